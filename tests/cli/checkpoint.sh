#!/usr/bin/env bash
# A run that is killed, or stopped by a signal, and the same command again: what was done stays done, and nothing is
# lost or doubled.
. "$(dirname "$0")/lib.sh"

awk 'BEGIN { print "n,account,amount,note"
    for (i = 0; i < 300000; i++) printf "%d,a%d,%d.%02d,\"x,\n%d\"\n", i, i * 7919 % 501, i * 31 % 1000, i % 100, i }' >in.csv
split -n l/3 -d in.csv raw
awk 'BEGIN { for (i = 0; i < 100000; i++) printf "{\"n\": %d, \"k\": \"%d\"}\n", i, i % 7 }' >in.jsonl
gzip -k in.jsonl

cat >job.yaml <<'Y'
version: 1
name: job
engine: { checkpoint: 1ms, delivery: exactly_once }
kernels:
  in: { op: read.csv, with: { path: in.csv, chunk_bytes: 16KiB } }
  big: { op: filter, from: [in], with: { where: amount > 500 } }
  big_out: { op: write.csv, from: [big], with: { path: big.csv } }
  zip_out: { op: write.jsonl, from: [big], with: { path: big.jsonl.gz }, queue: { capacity: 2, overflow: spill } }
  sum: { op: aggregate, from: [in], with: { by: [account], compute: { n: count(), s: sum(amount), p: "quantile(amount, 0.9)" } } }
  sum_out: { op: write.csv, from: [sum], with: { path: sum.csv } }
  lines: { op: read.jsonl, with: { path: [in.jsonl, in.jsonl.gz], chunk_bytes: 16KiB } }
  few: { op: limit, from: [lines], with: { rows: 150000 } }
  last: { op: write.csv, from: [few], with: { path: lines.csv, commit: append } }
Y
outputs='big.csv big.jsonl sum.csv lines.csv'
run 0 plan job.yaml
has out 'delivery exactly_once: engine.delivery'
run 0 run job.yaml --summary json --set engine.checkpoint=1h
has err '"checkpoints": {'
gzip -dc big.jsonl.gz >big.jsonl
mkdir want && mv $outputs want/ && rm -f big.jsonl.gz

same() {
    local f
    gzip -dc big.jsonl.gz >big.jsonl || return 1
    for f in $outputs; do cmp "$f" "want/$f" || return 1; done
    [ ! -e .rkpipe/job/checkpoints ] && [ -z "$(ls .rkpipe/job/spill 2>/dev/null)" ] && [ -z "$(find . -maxdepth 1 -name '.*rkpipe-*')" ]
}
kept() { [ -n "$(find .rkpipe/job/checkpoints -name '*.ckpt' 2>/dev/null)" ]; }
newer() { [ -n "$(find .rkpipe/job/checkpoints -name '*.ckpt' -newer mark 2>/dev/null)" ] || ! kill -0 "$pid" 2>/dev/null; }

# Killed after some checkpoint, again and again; then it is let be.
for round in 1 2 3; do
    rm -rf $outputs big.jsonl.gz .rkpipe .*rkpipe-*
    kills=0
    for try in 1 2 3 4 5 6; do
        last="rkpipe run job.yaml, killed ($try of round $round)"
        : >mark
        "$rkpipe" run job.yaml --summary none --set engine.threads=$((try % 2 + 1)) >out 2>err </dev/null &
        pid=$!
        if [ $try = 6 ]; then
            code=0
            wait $pid || code=$?
            break
        fi
        until_true newer || bad 'no checkpoint comes'
        kill -KILL $pid 2>/dev/null
        code=0
        wait $pid 2>/dev/null || code=$?
        [ "$code" = 137 ] || break # it was at its end
        kills=$((kills + 1))
        kept || { code=0 && break; } # so was this one: what it made is published, and nothing is kept
    done
    true_that "exit $code" test "$code" = 0
    true_that "round $round: other outputs after $kills kills" same
done

# A first signal; what can be said about what is kept; and what is refused.
cat >slow.yaml <<'Y'
version: 1
name: slow
kernels:
  in: { op: generate, with: { rows: 4000, rate: 2000/s, columns: { n: row } } }
  out: { op: write.csv, from: [in], with: { path: slow.csv } }
Y
"$rkpipe" run slow.yaml --summary none >out 2>err </dev/null &
pid=$!
some() { [ -n "$(find . -maxdepth 1 -name '.slow.csv.rkpipe-*')" ]; }
until_true some || bad 'it does not begin'
kill -TERM $pid
code=0
wait $pid || code=$?
last='rkpipe run slow.yaml, then TERM'
true_that "exit $code" test "$code" = 75
has err 'checkpoint 1 is kept: the same command goes on from it, --fresh begins anew'
true_that 'not published' test ! -e slow.csv
run 0 checkpoint list slow.yaml
has out 'under way'
run 0 checkpoint show slow.yaml
has out 'generate' 'write.csv'
run 0 checkpoint verify slow.yaml
has out 'checkpoint 1: whole'
run 69 run slow.yaml --set kernels.out.with.header=false
has err 'of another form of this pipeline' '--fresh'
cp .rkpipe/slow/checkpoints/0000000001.ckpt kept
printf 'X' | dd of=.rkpipe/slow/checkpoints/0000000001.ckpt bs=1 seek=100 conv=notrunc 2>dd.err
run 1 checkpoint verify slow.yaml
has err 'is damaged'
run 78 run slow.yaml --set engine.delivery=none
code=0
"$rkpipe" run slow.yaml >out 2>err </dev/null || code=$?
true_that "exit $code for a damaged checkpoint" test "$code" != 0
has err "checkpoint '0000000001.ckpt' is damaged" '--fresh'
cp kept .rkpipe/slow/checkpoints/0000000001.ckpt
temp=$(find . -maxdepth 1 -name '.slow.csv.rkpipe-*')
cp "$temp" temp
: >"$temp"
run 69 run slow.yaml
has err 'slow.csv' '--fresh'
cp temp "$temp"
run 0 run slow.yaml --quiet
is err ''
seq 0 3999 | sed '1i n' >want.csv
true_that 'all rows, once' cmp slow.csv want.csv
run 69 checkpoint list slow.yaml

# What a run that begins anew finds of one before it, it removes: also what a checkpoint was about that is let go.
rm -f slow.csv
"$rkpipe" run slow.yaml --summary none >out 2>err </dev/null &
pid=$!
until_true some || bad 'it does not begin'
kill -KILL $pid
wait $pid 2>/dev/null
true_that 'a hidden file is left' some
"$rkpipe" run slow.yaml --summary none >out 2>err </dev/null &
pid=$!
begun() { [ "$(find . -maxdepth 1 -name '.slow.csv.rkpipe-*' -newer mark | wc -l)" = 1 ]; }
: >mark
until_true begun || bad 'it does not begin again'
kill -TERM $pid
wait $pid
true_that 'one hidden file' test "$(find . -maxdepth 1 -name '.slow.csv.rkpipe-*' | wc -l)" = 1
run 0 run slow.yaml --summary none --fresh
true_that 'no hidden file' test -z "$(find . -maxdepth 1 -name '.slow.csv.rkpipe-*')"
true_that 'all rows, once, anew' cmp slow.csv want.csv

# What is added to a file can be taken back although there was no time for a second checkpoint.
printf 'n\n-1\n' >add.csv
add=(add.yaml --summary none --set engine.checkpoint=1h)
sed 's/name: slow/name: add/; s/slow.csv }/add.csv, commit: append }/' slow.yaml >add.yaml
"$rkpipe" run "${add[@]}" >out 2>err </dev/null &
pid=$!
grown() { [ "$(wc -l <add.csv)" -gt 20 ]; }
until_true grown || bad 'nothing is added'
kill -KILL $pid
wait $pid 2>/dev/null
run 0 run "${add[@]}"
seq -1 3999 | sed '1i n' >want.csv
true_that 'all rows, once, behind what was there' cmp add.csv want.csv

# A level that cannot be kept; a level that is the strongest.
cat >pipe.yaml <<'Y'
version: 1
kernels:
  in: { op: generate, with: { rows: 3, columns: { n: row } } }
  out: { op: write.stdout, from: [in], with: { format: csv } }
Y
run 78 check pipe.yaml --set engine.delivery=exactly_once
has out '[delivery-level]' 'keeps at_least_once only' "engine: { delivery: at_least_once }"
run 0 check pipe.yaml --set engine.delivery=at_least_once
run 0 plan pipe.yaml
has out "delivery at_least_once: kernel 'out' (write.stdout)"
# What a kernel says that is enough for it.
run 0 check pipe.yaml --set engine.delivery=exactly_once --set kernels.out.delivery=at_least_once
run 0 plan pipe.yaml --set kernels.out.delivery=at_least_once
has out 'delivery exactly_once: every kernel can keep it' "kernel 'out' keeps at_least_once, as its delivery says: what is on standard output"
cat >drops.yaml <<'Y'
version: 1
kernels:
  in: { op: generate, with: { rows: 3, columns: { n: row } } }
  out: { op: write.csv, from: [in], with: { path: out.csv } }
  side: { op: write.csv, from: [in], with: { path: side.csv }, queue: { overflow: drop_oldest } }
Y
run 0 plan drops.yaml
has out "delivery at_most_once: kernel 'side' (write.csv): its queue drops"
run 78 check drops.yaml --set engine.delivery=at_least_once
has out '[delivery-level]' 'its queue drops' "'delivery: at_most_once' at this kernel"
run 0 plan drops.yaml --set kernels.side.delivery=at_most_once --set engine.delivery=exactly_once
has out "kernel 'side' keeps at_most_once, as its delivery says: its queue drops"
run 78 check drops.yaml --set kernels.side.delivery=exactly_once
printf 'dead_letter: { store: {} }\n' | cat slow.yaml - >store.yaml
run 78 check store.yaml --set engine.delivery=exactly_once
has out 'dead letters in a store keep at_least_once only' '[delivery-level]' 'store.yaml:6:1'
run 0 plan store.yaml
has out 'delivery at_least_once: dead letters in a store'
run 64 checkpoint nope pipe.yaml
run 69 run pipe.yaml --set engine.delivery=at_least_once --set engine.data_dir=pipe.yaml/x
has err 'engine.delivery needs a folder for checkpoints'
run 0 run pipe.yaml --set engine.data_dir=pipe.yaml/x --quiet

# What was lost before the crash counts at the end: run.fail_on.
cat >lost.yaml <<END
version: 1
name: lost
run: { fail_on: [drop] }
engine: { checkpoint: 20ms, delivery: exactly_once }
admin: { listen: none }
kernels:
  in: { op: generate, with: { columns: { n: row }, rows: 3000, rate: 5000/s, batch_rows: 20 } }
  div: { op: map, from: [in], with: { derive: { d: 100 // n } }, on_error: drop }
  out: { op: write.csv, from: [div], with: { path: lost.csv } }
END
"$rkpipe" run lost.yaml --summary none >out 2>err </dev/null &
pid=$!
second() { [ -n "$(find .rkpipe/lost/checkpoints -name '*[02-9].ckpt' 2>/dev/null)" ]; }
until_true second || bad 'no second checkpoint'
kill -KILL $pid
wait $pid 2>/dev/null
run 65 run lost.yaml
has err 'going on from checkpoint' '1 rows that should have gone on were dropped'

# Sources that are suspended, whose two halves run apart, keep nobody from making checkpoints, nor from a reload.
cat >rest.yaml <<END
version: 1
name: rest
engine: { checkpoint: 10ms, delivery: exactly_once }
kernels:
  wait: { op: read.csv, with: { path: in.csv }, start: suspended }
  end: { op: write.csv, from: [wait], with: { path: waited.csv } }
  in: { op: generate, with: { columns: { n: row }, rate: 20000/s, batch_rows: 10 } }
  out: { op: write.jsonl, from: [in], with: { path: rest.jsonl } }
END
printf 'a,b\n1,2\n3,4\n' >in.csv
launch rest.yaml --summary none
made() { # so many, or more
    local n
    n=$("$rkpipe" status --json | sed -n 's/.*"checkpoints":{[^}]*"count":\([0-9]*\).*/\1/p')
    [ "${n:-0}" -ge "$1" ]
}
true_that 'checkpoints beside a source that is launched' until_true made 2
run 0 suspend in
true_that 'checkpoints while a source is suspended' until_true made 200
sed 's/from: \[in\]/from: [in], queue: { capacity: 8 }/' rest.yaml >rest2.yaml
run 0 reload rest2.yaml
run 0 resume in
true_that 'checkpoints when it goes on' until_true made 210
kill -KILL "$engine"
wait "$engine" 2>/dev/null
engine=
finish
