#!/usr/bin/env bash
# rkpipe list, describe, schema.
. "$(dirname "$0")/lib.sh"

run 0 list ops
has out 'sources' 'transforms' 'sinks' 'read.csv' 'filter' 'write.csv'
for op in $(awk '/^  /{ print $1 }' out); do
    run 0 describe "$op"
    has out "$op (" 'options' 'behaviour'
    run 0 schema "$op"
    has out '"additionalProperties": false'
done
run 0 list ops --format json
has out '"name": "filter"' '"kind": "transform"'
run 0 list functions
has out 'round(' 'length('
run 0 list functions --format json
has out '"name": "round"'
run 0 list backends
has out 'cpu'
run 0 describe filter
has out 'where  expression' 'required' 'examples'
run 0 describe round
has out 'round(' 'gives'
run 64 describe filtre
has err "there is no operator or function 'filtre'" "did you mean 'filter'?"
run 64 describe mutate
has err "'mutate' is 'map' here"
run 64 describe
run 64 schema filtre
has err "did you mean 'filter'?"
run 0 schema
has out '"kernels"' '"read.csv"'
finish
