#!/usr/bin/env bash
# Replicas of kernels that are fed over topics, with the real binary: in the order of stamps, behind queues of a stream, and what is said of it.
. "$(dirname "$0")/lib.sh"

cat >order.yaml <<'Y2'
version: 1
name: order
kernels:
  one: { op: generate, with: { rows: 3000, batch_rows: 7, columns: { n: row, p: "1" } }, publish: t/1 }
  two: { op: generate, with: { rows: 2000, batch_rows: 5, columns: { n: row, p: "2" } }, publish: t/2 }
  many:
    op: map
    subscribe: t/*
    order: hlc
    replicas: 3
    with: { derive: { at: meta.hlc } }
    publish: u
  out: { op: write.csv, subscribe: u, order: hlc, with: { path: out.csv } }
  single: { op: map, subscribe: t/*, order: hlc, with: { derive: { at: meta.hlc } } }
  want: { op: write.csv, from: [single], with: { path: want.csv } }
Y2
for set in engine.threads=1 engine.threads=2 engine.threads=4 kernels.many.replicas=auto kernels.many.replicas=64; do
    run 0 run order.yaml --set "$set" --progress none
    true_that "replicas change nothing ($set)" cmp -s out.csv want.csv
    true_that 'all rows are there' test "$(wc -l <out.csv)" = 5001
    true_that 'the sums are those of one kernel' grep -qE '^many +map +5,000 +5,000 +0 +0' err
done
run 0 plan order.yaml
has out 'many/deal' 'many/gather' 'one for all replicas of '\''many'\'': it takes their messages and deals them: order: hlc' \
    'it puts what they made in order, because a reader has order: hlc' '3 replicas, as the file says'
run 0 plan order.yaml --set kernels.many.replicas=1
hasnt out 'many/deal' 'many/gather'
has out 'one replica: order: hlc'
run 0 graph order.yaml
has out many

# By a key: one replica has it, in order; with the number of rows that a single one gives.
run 0 run order.yaml --set kernels.many.partition_by=p --progress none
true_that 'each publisher in order' bash -c 'tail -n +2 out.csv | awk -F, "{ if (\$1 < last[\$2] + 0) exit 1; last[\$2] = \$1 }"'
true_that 'all rows are there' test "$(wc -l <out.csv)" = 5001

# The queue of a stream spills where the file does not say, also before replicas.
cat >stream.yaml <<'Y2'
version: 1
name: stream
run: { mode: stream, stop_after: { rows: 4000 } }
kernels:
  src: { op: generate, with: { batch_rows: 1, columns: { n: row } }, publish: t }
  many: { op: map, subscribe: t, replicas: 2, queue: { capacity: 2 }, with: { derive: { twice: n * 2 } } }
  out: { op: write.csv, from: [many], with: { path: stream.csv } }
Y2
run 0 plan stream.yaml
has out 'many/deal' 'full: spill' 'its queue does not block'
run 0 run stream.yaml --progress none
true_that 'in order, and all of them' bash -c 'tail -n +2 stream.csv | awk -F, "NR - 1 != \$1 { exit 1 } END { exit NR < 4000 }"'
true_that 'the sums are those of one kernel' grep -qE '^many +map +([0-9,]+) +\1 +0 +0' err

# An alert on the rows of a kernel with replicas reads from the one who puts them in order.
cat >alert.yaml <<'Y2'
version: 1
name: alert
alerts: [ { alert: Huge, watch: { kernel: many }, where: n > 1000 } ]
kernels:
  src: { op: generate, with: { rows: 5000, batch_rows: 10, columns: { n: row } } }
  many: { op: map, from: [src], replicas: 3, fuse: never, with: { derive: { x: n } } }
  out: { op: write.csv, from: [many], with: { path: alert.csv } }
  told: { op: write.csv, subscribe: $alerts/Huge, with: { path: told.csv } }
Y2
run 0 plan alert.yaml
has out 'many/gather' 'because an alert watches it'
run 0 run alert.yaml --progress none
true_that 'in order, and all of them' bash -c 'tail -n +2 alert.csv | awk -F, "NR - 1 != \$1 { exit 1 } END { exit NR != 5000 }"'
true_that 'the alert is told' grep -q '^Huge,' told.csv

# What still cannot be.
run 78 plan order.yaml --set kernels.many.restart=on_failure
has err "kernel 'many' cannot have 3 replicas: it is supervised"
finish
