#!/usr/bin/env bash
# rkpipe new: every template is offered, written, and good.
. "$(dirname "$0")/lib.sh"

run 0 new --list
cp out list.txt
for f in "$source"/pipelines/*.yaml; do
    t=$(basename "$f" .yaml)
    checks=$((checks + 1))
    grep -qE "^  $t +[^ ]" list.txt || bad "template $t is not listed, or says nothing"
    run 0 new "my_${t//-/_}" --template "$t"
    is out "my_${t//-/_}.yaml is written"$'\n'
    true_that "template $t is not as it is in pipelines/" diff <(sed "s/my_${t//-/_}/$t/" "my_${t//-/_}.yaml") "$f"
    vars=()
    while read -r name; do
        vars+=(--var "$name=x.csv")
    done < <(sed -n 's/^  \([a-z_]*\): {.*required: true.*/\1/p' "$f")
    run 0 check "my_${t//-/_}.yaml" "${vars[@]}"
done
run 0 new first
true_that 'the name is in it' grep -q '^name: first$' first.yaml
run 1 new first
has err "'first.yaml' is there already"
run 0 new second.yaml
true_that 'NAME.yaml is taken as NAME' test -s second.yaml
run 64 new ../evil
has err "'../evil' is no name for a pipeline"
run 64 new 1st
run 64 new
has err "'new' needs NAME"
run 64 new third --template csv-fliter
has err "there is no template 'csv-fliter'" "did you mean 'csv-filter'?"
true_that 'nothing is written then' test ! -e third.yaml
finish
