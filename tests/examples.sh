#!/usr/bin/env bash
# Runs every example as its run.sh says, with one and with two threads, N times each, in a copy of its folder, and
# compares what it wrote with expected/. usage: examples.sh RKPIPE SOURCE_DIR [N]; RKP_UPDATE_GOLDEN=1 writes expected/.
set -u
RKPIPE=$(realpath "$1") source=$(realpath "$2")
export RKPIPE PIPELINES=$source/pipelines
times=${3:-1} failed=0 passed=0
work=$(mktemp -d)
trap '[ "$BASHPID" != $$ ] || { rm -rf "$work"; }' EXIT # a child that is killed before its exec would run it, too
for dir in "$source"/examples/*/; do
    name=$(basename "$dir")
    for threads in 1 2; do
        for ((i = 0; i < times; i++)); do
            rm -rf "${work:?}/run" && mkdir "$work/run" && cp "$dir"* "$work/run/" 2>/dev/null
            if ! (cd "$work/run" && bash -eu run.sh --set "engine.threads=$threads" --progress none >stdout.txt 2>stderr.txt); then
                echo "FAIL $name (threads $threads): exit not 0"
                cat "$work/run/stderr.txt"
                failed=$((failed + 1))
                continue 2
            fi
            if [ -n "${RKP_UPDATE_GOLDEN:-}" ] && [ "$threads" = 1 ] && [ "$i" = 0 ]; then
                rm -rf "$dir/expected" && mkdir "$dir/expected"
                (cd "$work/run" && for f in *; do [ -e "$dir/$f" ] || [ "$f" = stderr.txt ] || [ ! -s "$f" ] || cp "$f" "$dir/expected/"; done)
            fi
            if [ ! -d "$dir/expected" ] || ! diff -r -q "$dir/expected" "$work/run" | grep -v '^Only in .*run' >"$work/diff"; then
                [ -d "$dir/expected" ] && [ ! -s "$work/diff" ] && continue
            fi
            echo "FAIL $name (threads $threads, run $i): differs from expected/"
            cat "$work/diff"
            failed=$((failed + 1))
            continue 2
        done
        passed=$((passed + 1))
    done
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
