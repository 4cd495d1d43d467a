#!/usr/bin/env bash
# What came of each reload is a message on $reload, for kernels that subscribe to it.
. "$(dirname "$0")/lib.sh"

pipeline() { # pipeline RATE MORE
    cat <<END
version: 1
name: live
engine: { delivery: at_most_once }
run: { mode: stream }
kernels:
  numbers: { op: generate, with: { columns: { n: row }, rate: $1/s } }
  out: { op: write.null, from: [numbers] }
$2
END
}
told='  told: { op: write.jsonl, subscribe: $reload, with: { path: told.jsonl, commit: append } }'
lines() { # lines N: so many reloads have been told
    [ "$(wc -l <told.jsonl)" = "$1" ]
}

# Nobody subscribes: nothing is kept. The first that is told is the one with which the subscriber came.
pipeline 100 '' >p.yaml
start p.yaml
run 0 reload
pipeline 100 "$told" >p.yaml
run 0 reload
has out 'add: told'
pipeline 200 "$told" >p.yaml
run 0 reload
pipeline 200 '  told: { op: write.nul, subscribe: $reload }' >q.yaml
run 2 reload q.yaml
run 0 reload --diff p.yaml # changes nothing, and is not told
pipeline 300 "$told" >p.yaml
kill -HUP "$engine"
true_that 'generation 5 never came' until_true runs 5
true_that "not all are told: $(cat told.jsonl)" until_true lines 4
run 0 rollback
true_that "the rollback is not told: $(cat told.jsonl)" until_true lines 5
stop

sed 's/,"answer".*//' told.jsonl >short
is short '{"outcome":"applied","generation":3,"by":"asked for","message":""
{"outcome":"applied","generation":4,"by":"asked for","message":""
{"outcome":"rejected","generation":4,"by":"asked for","message":""
{"outcome":"applied","generation":5,"by":"SIGHUP","message":""
{"outcome":"applied","generation":6,"by":"asked for","message":""
'
has told.jsonl '"add":["told"]' '"replace":["numbers"]' "there is no operator 'write.nul'" '"edges":[' '"back_to":'

# Who subscribes to something else of it is told so.
printf 'version: 1\nkernels:\n  g: { op: generate, with: { columns: { n: row }, rows: 1 } }\n  w: { op: write.null, subscribe: $reload/live }\n  v: { op: write.null, from: [g] }\n' >bad.yaml
run 0 check bad.yaml
has out "nobody publishes what '\$reload/live' matches" "did you mean '\$reload'?"

finish
