#!/usr/bin/env bash
# `rkpipe reload` and SIGHUP against a running engine: what runs changes, and no row is lost, doubled or out of order; what is wrong changes
# nothing and says where.
. "$(dirname "$0")/lib.sh"

pipeline() { # pipeline FACTOR MORE
    cat <<END
version: 1
name: live
engine: { delivery: at_most_once }
run: { mode: stream }
kernels:
  numbers: { op: generate, with: { columns: { n: row, k: "row % 7" }, rate: 50000/s, batch_rows: 8 } }
  price: { op: map, from: [numbers], with: { derive: { total: n * $1 } }, publish: price/all }
  sums: { op: aggregate, from: [price], with: { by: [k], compute: { rows: count() } } }
  out: { op: write.csv, from: [sums], with: { path: sums.csv } }
  all: { op: write.csv, subscribe: price/*, with: { path: all.csv }, queue: { overflow: block } }
$2
END
}
rows_of() { # rows_of KERNEL: rows in, of the status
    "$rkpipe" status --json 2>/dev/null </dev/null | sed -n "s/.*\"kernel\":\"$1\",[^}]*\"rows_in\":\([0-9]*\),.*/\1/p"
}
more_rows() { # more_rows KERNEL N: waits until it has had so many more
    local begin
    begin=$(rows_of "$1")
    true_that "kernel $1 gets no rows" until_true had "$1" $((${begin:-0} + $2))
}
had() { # had KERNEL N
    local now
    now=$(rows_of "$1")
    [ -n "$now" ] && [ "$now" -ge "$2" ]
}

run 69 reload
has err 'no engine runs in this folder'

pipeline 2 '' >p.yaml
start p.yaml
more_rows all 200

# The same file.
run 0 reload --diff
is out $'nothing would change\n'
run 0 reload
has out 'applied: generation 2'

# Another factor; a kernel more; and without it.
pipeline 3 '' >q.yaml
run 0 reload --diff q.yaml
is out $'replace: price\n'
run 0 reload q.yaml
has out 'replace: price' 'applied: generation 3'
more_rows all 200
pipeline 3 '  late: { op: write.csv, subscribe: "price/#", with: { path: late.csv } }' >r.yaml
run 0 reload r.yaml
has out 'add: late' 'applied: generation 4'
more_rows late 200
run 0 reload --format json q.yaml
has out '"outcome":"applied","generation":5' '"remove":["late"]' '"same":["numbers","price","sums","out","all"]'
sed 's/.*"edges"://; s/},{/\n/g' out | sed -n 's/.*"from":"\([a-z]*\)","to":"\([a-z]*\)".*"sent":\([0-9]*\),"received":\([0-9]*\),"overflowed":\([0-9]*\),.*"in_flight":\([0-9]*\),.*/\1 \2 \3 \4 \5 \6/p' >edges
checks=$((checks + 1))
awk '$3 != $4 + $5 + $6 { exit 1 } $1 == "price" && $2 == "all" { ok = 1 } END { exit !ok }' edges || bad 'the edges of the answer'

# What is wrong changes nothing.
pipeline 4 '' | sed 's/op: map/op: mapp/' >bad.yaml
run 2 reload bad.yaml
has err "bad.yaml:7:16: error: there is no operator 'mapp' [op-unknown]" "hint: did you mean 'map'?" 'rejected; generation 5 runs on'
pipeline 4 '' | sed 's/by: \[k\]/by: [k, n]/' >bad.yaml
run 2 reload bad.yaml
has err "bad.yaml:8:3: error: kernel 'sums' keeps state that does not fit the change of 'by' [reload-state]" 'keep_state: reset'
pipeline 4 '' | sed 's/name: live/name: other/' >bad.yaml
run 2 reload bad.yaml
has err "bad.yaml:2:7: error: 'name' cannot change while the pipeline runs [reload-fixed]"
pipeline 4 '' | sed 's/derive: {/derive: { x: k + 1,/' >bad.yaml
run 2 reload bad.yaml
has err "kernel 'all' would begin the file it is writing anew" 'give it another path'
pipeline 4 '  in: { op: read.csv, with: { path: not-there.csv } }
  no: { op: write.null, from: [in] }' >bad.yaml
run 2 reload bad.yaml
has err 'not-there.csv' 'generation 5 runs on'
run 69 reload not-there.yaml
has err "cannot open 'not-there.yaml'"
run 64 reload p.yaml q.yaml

# SIGHUP: the file that it was started with.
pipeline 6 '' >p.yaml
kill -HUP "$engine"
true_that 'generation 6 never came' until_true runs 6
more_rows all 200
echo 'kernels: [' >p.yaml
kill -HUP "$engine"
until_true grep -q 'generation 6 runs on' run.err
last='SIGHUP with a broken file' code=
has run.err 'reload applied (SIGHUP): generation 6; replace: price' 'p.yaml:' 'error: reload rejected (SIGHUP); generation 6 runs on' 'reload applied (asked for): generation 4; add: late' 'error: reload rejected (asked for); generation 5 runs on'
more_rows all 200

stop
last='the outputs' code=
# Replicas change over each at a chunk of its own: around a reload rows may be of one generation and the other in turns.
checks=$((checks + 1))
awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
    $at["n"] != NR - 2 { print "row " NR ": " $0; exit 1 }
    { f = $at["n"] ? $at["total"] / $at["n"] : 2; if (f != was) { order = order f; was = f } }
    END { if (order !~ /^2[23]*3[36]*6$/) { print "factors " order; exit 1 } }' all.csv >out 2>err || bad 'all.csv has lost, doubled or reordered rows'
lines=$(($(wc -l <all.csv) - 1))
sum=$(awk -F, 'NR > 1 { s += $2 } END { print s + 0 }' sums.csv)
checks=$((checks + 2))
[ "$lines" = "$sum" ] || bad "the aggregate has counted $sum rows of $lines"
[ -s late.csv ] || bad 'late.csv, of a kernel that was removed, is not there'
checks=$((checks + 1))
awk -F, 'NR > 2 && $1 != was + 1 { exit 1 } { was = $1 }' late.csv || bad 'late.csv has a hole'

finish
