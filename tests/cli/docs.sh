#!/usr/bin/env bash
# Every YAML block of README.md and docs/: with `kernels:` it passes `rkpipe check` (an input that is not there is only
# a note; required variables get a value of their type), without it parses.
. "$(dirname "$0")/lib.sh"

# Blocks go to files named after their place: docs_howto_x.md_12.yaml.
find "$source/README.md" "$source/docs" -name '*.md' | sort | while read -r md; do
    awk -v name="$(realpath --relative-to="$source" "$md" | tr / _)" '
        /^ *```ya?ml *$/ { n = index($0, "`") - 1; file = name "_" NR ".yaml"; in_block = 1; printf "" >file; next }
        in_block && /^ *```/ { in_block = 0; close(file); next }
        in_block { print substr($0, n + 1) >file }' "$md"
done
value_of() {
    case $1 in
    int) echo 3 ;;
    float) echo 1.5 ;;
    bool) echo true ;;
    duration) echo 5s ;;
    size) echo 1MiB ;;
    *) echo x.csv ;;
    esac
}
blocks=0
for f in *.yaml; do
    [ -e "$f" ] || continue
    blocks=$((blocks + 1))
    last="rkpipe check $f"
    if ! grep -q '^kernels:' "$f"; then
        code=0
        "$rkpipe" check --format json "$f" >out 2>err || code=$?
        checks=$((checks + 1))
        ! grep -qE '"code": "(yaml-|key-twice|limit-)' out || bad "$f does not parse"
        continue
    fi
    vars=()
    while read -r name type; do
        vars+=(--var "$name=$(value_of "$type")")
    done < <("$rkpipe" check "$f" 2>/dev/null | sed -n 's/.*= hint: give it with --var \([a-z_A-Z0-9]*\)=.. (\([a-z]*\)).*/\1 \2/p')
    run 0 check "$f" "${vars[@]}"
done
[ "$blocks" -gt 0 ] || bad 'no YAML block found'
finish
