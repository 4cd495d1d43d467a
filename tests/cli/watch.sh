#!/usr/bin/env bash
# `rkpipe run --watch`: a file that changes is reloaded when it has settled; what is wrong is said once and changes nothing.
. "$(dirname "$0")/lib.sh"
command -v curl >/dev/null || { echo 'skipped: no curl'; exit 77; }

said() { # said TEXT N: the engine's standard error has it so often
    [ "$(grep -cF -- "$1" run.err)" = "$2" ]
}
watched() { # watched looks|settled: how often; nothing where nobody looks
    curl -s --unix-socket .rkpipe/live/admin.sock http://x/v1/config | sed -n "s/.*\"watch\":{[^}]*\"$1\":\([0-9]*\).*/\1/p"
}
reaches() { # reaches looks|settled N
    local n
    n=$(watched "$1")
    [ -n "$n" ] && [ "$n" -ge "$2" ]
}
watches() { # watches: somebody looks at the file
    [ -n "$(watched looks)" ]
}
calm() { # calm: what has changed so far has been dealt with
    until_true settles_no_more || bad 'the watch does not come to rest'
}
settles_no_more() {
    local n looks
    n=$(watched settled) looks=$(watched looks)
    until_true reaches looks $((looks + 8)) && [ "$n" = "$(watched settled)" ]
}
deals() { # deals WHAT COMMAND..: with what has changed since `calm`, so that COMMAND is true
    true_that "the watch does not see it: $1" until_true reaches settled $((before + 1))
    true_that "$@"
}
pipeline() { # pipeline FACTOR
    cat <<END
version: 1
name: live
engine: { delivery: at_most_once }
run: { mode: stream }
include: [conf/*.yaml]
kernels:
  numbers: { op: generate, with: { columns: { n: row }, rate: 1000/s } }
  price: { op: map, from: [numbers], with: { derive: { total: n * $1 } } }
  out: { op: write.null, from: [price] }
END
}
mkdir conf
pipeline 1 >p.yaml
echo 'schemas: { s: { n: i64 } }' >conf/s.yaml

run 64 run --watch - </dev/null
has err '--watch needs a file'

start p.yaml --watch --set reload.debounce=200ms
pipeline 2 >p.yaml
true_that 'a change is not seen' until_true runs 2
# As an editor does it.
pipeline 3 >.p.yaml.swp
mv .p.yaml.swp p.yaml
true_that 'a file that was replaced is not seen' until_true runs 3
# A new include, and one that changes.
echo 'kernels: { late: { op: write.null, from: [price] } }' >conf/late.yaml
true_that 'a new include is not seen' until_true runs 4
sed -i 's/write.null/write.log/' conf/late.yaml
true_that 'a change of an include is not seen' until_true runs 5
# Written slowly: each piece that stands for long enough counts, and the file is whole in the end.
for ((i = 0; i < 5; i++)); do
    pipeline 4 | head -n $((2 * i)) >p.yaml
    true_that 'it looks no more' until_true reaches looks $(($(watched looks) + 1))
done
pipeline 4 >p.yaml
true_that 'a file that was written slowly is not seen' until_true runs 6
last='half a file' code=
checks=$((checks + 1))
! grep -q error run.err || bad "half a file was loaded: $(cat run.err 2>&1)"

# What is wrong is said once, until it is something else.
pipeline 5 | sed 's/op: map/op: mapp/' >p.yaml
true_that 'a wrong file is not told' until_true said 'error: reload rejected (the file has changed); generation 6 runs on' 1
calm
before=$(watched settled)
cp p.yaml same.yaml
mv same.yaml p.yaml # other times, the same text
deals 'a wrong file is told again' said "p.yaml:8:16: error: there is no operator 'mapp' [op-unknown]" 1
pipeline 5 | sed 's/derive/dervie/' >p.yaml
true_that 'another wrong file is not told' until_true said 'error: reload rejected (the file has changed); generation 6 runs on' 2
calm
before=$(watched settled)
pipeline 4 >p.yaml # what runs
deals 'what runs is loaded again' runs 6

# It goes, and comes back.
mv p.yaml away.yaml
true_that 'a file that has gone is not told' until_true said "error: 'p.yaml' cannot be read any more; generation 6 runs on" 1
calm
before=$(watched settled)
mv away.yaml p.yaml
deals 'what came back as it was is loaded again' runs 6
mv p.yaml away.yaml
pipeline 5 >p.yaml
true_that 'what came back is not seen' until_true runs 7

# A rollback holds: the file has not changed.  What somebody has reloaded is not loaded again.
run 0 rollback
calm
true_that 'the file is loaded again after a rollback' runs 8
before=$(watched settled)
pipeline 6 >p.yaml
run 0 reload
deals 'what was reloaded is loaded again' runs 9
stop
true_that 'not every reload is told' said 'reload applied (the file has changed): generation' 6

# The file asks for it itself, and can stop asking.
pipeline 1 >p.yaml
echo 'reload: { watch: true, debounce: 100ms }' >>p.yaml
start p.yaml
true_that 'watch: true watches nothing' until_true watches
pipeline 2 >p.yaml
true_that 'watch: true sees nothing' until_true runs 2
pipeline 3 >p.yaml
true_that 'it watches on without being asked' until_true isnt watches
true_that 'it does more than what was asked' runs 2
pipeline 3 >p.yaml
echo 'reload: { watch: true, debounce: 100ms }' >>p.yaml
run 0 reload
pipeline 4 >>p.yaml # two in one file: wrong
true_that 'it does not begin to watch' until_true said 'error: reload rejected (the file has changed); generation 3 runs on' 1
stop

# A run that does not watch.
pipeline 1 >p.yaml
start p.yaml
pipeline 2 >p.yaml
true_that 'it watches' isnt watches
true_that 'it reloads' runs 1
stop

finish
