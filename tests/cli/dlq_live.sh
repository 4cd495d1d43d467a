#!/usr/bin/env bash
# Stored dead letters into a pipeline that runs: each row comes out once, whatever keeps it, also over kill -9; counts add up; what cannot go stays.
. "$(dirname "$0")/lib.sh"

pipeline() { # pipeline ENGINE DIV [MORE..]
    cat <<END
version: 1
name: live
run: { mode: stream }
dead_letter: { store: {} }
engine: $1
kernels:
  read: { op: generate, with: { columns: { n: row }, rate: 20000/s } }
  div: { op: map, from: [read], ${3:-}with: { derive: { q: "$2" } } }
  out: { op: write.csv, from: [div], with: { path: out.csv, commit: append } }
END
}
wrong='10 // (n % 50)' right='n % 50 == 0 ? 0 : 10 // (n % 50)'
letters() { [ "$("$rkpipe" dlq list live.yaml 2>/dev/null | sed -n 's/^\([0-9]*\) rows in.*/\1/p')" -ge "$1" ]; }
checkpoints() { "$rkpipe" status --json | sed -n 's/.*"checkpoints":{"newest":\([0-9]*\).*/\1/p'; }
past() { [ "$(checkpoints)" -ge "$1" ]; }
whole() { # every row from the first to the last one, once
    tail -n +2 out.csv | cut -d, -f1 | sort -n | awk '$1 != NR - 1 { bad = 1 } END { exit bad || !NR }'
}
adds_up() { # of div: rows in = out + dead-lettered; and it got what read has given, and those that were replayed
    "$rkpipe" status | tr -d , | awk -v replayed="$1" '
        $1 == "read" && NF < 10 && $2 == "generate" { read = $6 }
        $1 == "div" && $2 == "map" { in_ = $5; out = $6; dead = $8 }
        END { exit !(in_ > 0 && in_ == out + dead && in_ == read + replayed) }'
}

# Delivery, fusion, instances, order: in each of them the same.
for conf in '{ checkpoint: { interval: 100ms } }|' '{ delivery: at_most_once }|' '{ delivery: at_most_once, threads: 1 }|' \
    '{ checkpoint: { interval: 100ms } }|replicas: 3, ' '{ checkpoint: { interval: 100ms } }|batch: { count: 64, period: 20ms }, ' \
    '{ checkpoint: { interval: 100ms }, threads: 4 }|'; do
    rm -rf .rkpipe out.csv
    pipeline "${conf%|*}" "$wrong" "${conf#*|}" >live.yaml
    start live.yaml
    true_that 'rows go wrong' until_true letters 20
    pipeline "${conf%|*}" "$right" "${conf#*|}" >live.yaml
    run 0 reload
    run 0 dlq replay live.yaml --dry-run
    has out ' would be replayed into the engine that runs, 0 would stay'
    run 0 dlq replay live.yaml
    n=$(sed -n 's/^\([0-9]*\) rows replayed into the engine that runs, .* 0 stay$/\1/p' err)
    true_that "all are replayed ($conf)" test "${n:-0}" -ge 20
    has err "$n have left the store"
    run 0 dlq list live.yaml
    has out '0 rows in'
    run 0 suspend read # and what is on its way comes
    true_that "the counts of $conf" until_true adds_up "$n"
    run 0 resume read
    ! command -v curl >/dev/null || true_that 'the metrics say so' bash -c "curl -s --unix-socket .rkpipe/live/admin.sock http://x/metrics | grep -qx 'rkpipe_kernel_replayed_rows_total{kernel=\"div\"} $n'"
    run 0 drain
    ended
    true_that "each row is there once ($conf)" whole
done

# What goes wrong again is kept again; what is suspended takes nothing; what cannot go stays, and it is said why.
rm -rf .rkpipe out.csv
pipeline '{ checkpoint: { interval: 100ms } }' "$wrong" >live.yaml
start live.yaml
true_that 'rows go wrong' until_true letters 20
run 0 suspend read
run 0 dlq replay live.yaml
n=$(sed -n 's/^\([0-9]*\) rows replayed.*/\1/p' err)
true_that 'they are kept again' until_true letters "$n"
run 0 suspend div
run 1 dlq replay live.yaml
has err "0 rows replayed into the engine that runs, 0 have left the store" "stay; kernel 'div' is suspended"
run 0 dlq replay live.yaml --kernel nobody
has err '0 rows replayed'
run 64 dlq replay live.yaml --overwrite
has err '--overwrite changes nothing of the engine that runs'
run 0 resume div
pipeline '{ checkpoint: { interval: 100ms } }' 'rate * n' | sed 's/from: .read., with: {/from: [mid], with: { select: [n, q],/
    s/^  div:/  mid: { op: map, from: [read], with: { derive: { rate: n * 2 } } }\n&/' >live.yaml
run 0 reload
run 1 dlq replay live.yaml
has err "kernel 'div' reads a column 'rate' (i64), which" 'stored rows of it do not have'
run 0 resume read
stop
cat >keyed.yaml <<'Y'
version: 1
name: live
run: { mode: stream }
dead_letter: { store: {} }
engine: { checkpoint: { interval: 100ms } }
kernels:
  read: { op: generate, with: { columns: { n: row, k: row % 3 }, rate: 5000/s } }
  div: { op: map, from: [read], replicas: 2, partition_by: k, with: { derive: { q: "10 // (n % 50)" } } }
  out: { op: write.null, from: [div] }
Y
rm -rf .rkpipe
cp keyed.yaml live.yaml
start live.yaml
true_that 'rows go wrong' until_true letters 5
run 0 dlq replay live.yaml
has err "0 rows replayed" "instances share rows by key"
stop

# kill -9 at any moment, once what went wrong is in a checkpoint (a letter that is younger may come again with its source): a row is in the output or in the store, and never in both or twice.
command -v curl >/dev/null || { echo 'skipped: no curl'; finish; }
rounds=6
[ "${1:-}" != all ] || rounds=60
for ((i = 0; i < rounds; i++)); do
    rm -rf .rkpipe out.csv
    pipeline '{ checkpoint: { interval: 30ms } }' "$wrong" >live.yaml
    start live.yaml
    true_that 'rows go wrong' until_true letters 20
    pipeline '{ checkpoint: { interval: 30ms } }' "$right" >live.yaml
    run 0 reload
    made=$(checkpoints)
    true_that 'checkpoints go on' until_true past $((made + 2))
    curl -s -X POST --unix-socket .rkpipe/live/admin.sock http://x/v1/dlq:replay >/dev/null 2>&1 & # only the engine, never by itself
    asks=$!
    for ((k = 0; k < i * 40; k++)); do :; done # a while that grows, without a clock
    crash
    wait "$asks" 2>/dev/null
    start live.yaml
    true_that 'it can be replayed again' until_true "$rkpipe" dlq replay live.yaml
    run 0 dlq list live.yaml
    has out '0 rows in'
    stop
    true_that "each row is there once (kill $i)" whole
done
finish
