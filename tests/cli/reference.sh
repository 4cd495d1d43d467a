#!/usr/bin/env bash
# docs/reference and schemas/ are what the binary writes today: ./dev doc writes them again.
. "$(dirname "$0")/lib.sh"

run 0 describe --all reference
checks=$((checks + 1))
diff -r -u "$source/docs/reference" reference >diff || {
    head -40 diff
    bad 'docs/reference is not fresh: run ./dev doc'
}
run 0 schema
true_that 'schemas/pipeline.schema.json is not fresh: run ./dev doc' cmp out "$source/schemas/pipeline.schema.json"
run 0 describe --markdown filter
true_that 'a page by its name' cmp out reference/operators/filter.md
checks=$((checks + 1))
"$rkpipe" describe --all /proc/nothing >out 2>err && bad 'a folder that cannot be made is no error'
has err "cannot make the folder '/proc/nothing"
finish
