#!/usr/bin/env bash
# Plans and drawings of the pipelines in plan/ are as expected there. usage: plan.sh RKPIPE SOURCE_DIR;
# RKP_UPDATE_GOLDEN=1 writes the expected files again.
set -u
export LC_ALL=C NO_COLOR=1
rkpipe=$(realpath "$1") failed=0 passed=0
work=$(mktemp -d)
trap '[ "$BASHPID" != $$ ] || { rm -rf "$work"; }' EXIT # a child that is killed before its exec would run it, too
for dir in "$(realpath "$2")"/tests/golden/plan/*/; do
    cd "$dir" || exit 1
    for file in plan.txt plan.json graph.dot graph.mermaid graph.svg graph.json; do
        case $file in
        plan.txt) words=(plan pipeline.yaml) ;;
        plan.json) words=(plan pipeline.yaml --format json) ;;
        *) words=(graph pipeline.yaml --format "${file#graph.}") ;;
        esac
        if ! "$rkpipe" "${words[@]}" >"$work/out" 2>"$work/err" </dev/null; then
            echo "FAIL $dir$file: rkpipe ${words[*]}"
            cat "$work/err"
            failed=$((failed + 1))
            continue
        fi
        [ -z "${RKP_UPDATE_GOLDEN:-}" ] || cp "$work/out" "$file"
        if diff -u "$file" "$work/out"; then
            passed=$((passed + 1))
        else
            echo "FAIL $dir$file"
            failed=$((failed + 1))
        fi
    done
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
