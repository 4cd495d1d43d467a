#!/bin/sh
# mutant.sh PROGRAM TEST: of a program with something broken in it the test must fail, within ten runs; or it does not see anything.
set -u
for run in 1 2 3 4 5 6 7 8 9 10; do
    said=$(timeout 100 "$1" "$2" 2>&1)
    if [ $? -ne 0 ]; then
        printf '%s\n' "$said" | tail -n 5
        exit 0
    fi
done
echo "nobody saw it"
exit 1
