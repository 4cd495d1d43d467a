#!/usr/bin/env bash
# `rkpipe rollback`: the pipelines that a run has had are kept, as they were, and can be gone back to.
. "$(dirname "$0")/lib.sh"

export PASSWORD=hunter2
mkdir conf
main() { # main FACTOR
    cat <<END
version: 1
name: live
vars: { word: { type: string, default: none } }
reload: { keep_generations: 3 }
engine: { delivery: at_most_once }
run: { mode: stream }
include: [conf/*.yaml, more.yaml]
kernels:
  numbers: { op: generate, with: { columns: { n: row }, rate: 1000/s } }
  price: { op: map, from: [numbers], with: { derive: { total: n * $1, who: "'\${PASSWORD}'", w: "var.word" } } }
END
}
main 1 | sed "s/'\"\\\$.*\"'//; s/who: \"'[^']*'\", //" >p.yaml
grep -q PASSWORD p.yaml && bad 'the test writes another pipeline than it means'
echo 'x-secret: "${PASSWORD}"' >>p.yaml
echo 'kernels: { out: { op: write.null, from: [price], labels: { by: "${PASSWORD}" } } }' >conf/out.yaml
echo 'schemas: { s: { n: i64 } }' >more.yaml

run 69 rollback
has err 'no engine runs in this folder'
run 64 rollback x
has err "'x' is no generation"

start p.yaml --var word=verysecret
run 0 rollback --list
has out '     1  ' 'p.yaml  (runs)'
run 2 rollback
has err 'no earlier generation that is kept differs from what runs; generation 1 runs on'
run 2 rollback 7
has err 'generation 7 is not kept; generation 1 runs on'

# What is kept is text: no value that it stands for.
true_that 'the text is not kept' grep -qF '${PASSWORD}' .rkpipe/live/generations/1
true_that 'an include is not kept' grep -qF 'op: write.null' .rkpipe/live/generations/1
true_that 'the name of a variable is not kept' grep -q '^var word$' .rkpipe/live/generations/1
checks=$((checks + 1))
! grep -rqE 'hunter2|verysecret' .rkpipe || bad 'a secret is on disk'
checks=$((checks + 1))
[ "$(stat -c %a .rkpipe/live/generations)" = 700 ] || bad 'others can look into generations'

# Another factor and another include; then back, though the files have gone.
sed -i 's/n \* 1/n * 2/' p.yaml
run 0 reload
has out 'replace: price' 'applied: generation 2'
echo 'kernels: { late: { op: write.null, from: [price] } }' >conf/late.yaml
run 0 reload
has out 'add: late' 'applied: generation 3'
mv p.yaml p.away
mv conf conf.away
run 0 rollback --diff
is out $'remove: late\n'
run 0 rollback
has out 'remove: late' 'applied: generation 4, as 2 was'
run 0 rollback --format json 1
has out '"outcome":"applied","generation":5,"back_to":1,"diff":' '"replace":["price"]'
run 0 rollback
has out 'replace: price' 'applied: generation 6, as 4 was'

# The running one and three before it; the same text as one that is kept is not gone back to by itself.
run 0 rollback --list
has out '     6  ' '     3  ' '     4  '
hasnt out '     2  '
has run.err 'rollback applied (asked for): generation 4; remove: late' 'error: rollback rejected (asked for): generation 7 is not kept; generation 1 runs on'
checks=$((checks + 1))
[ "$(ls .rkpipe/live/generations | sort -n | tr '\n' ' ')" = '3 4 5 6 ' ] || bad 'others are kept'
run 2 rollback 1
has err 'generation 1 is not kept; generation 6 runs on'
run 69 reload p.yaml
mv p.away p.yaml
mv conf.away conf
run 0 reload
has out 'applied: generation 7'
run 0 reload
has out 'applied: generation 8'
run 0 rollback
has out 'applied: generation 9, as 6 was'

# A file that a generation needs has gone: why it does not load.
echo note >note.txt
sed 's/^kernels:/&\n  end: { op: write.null, from: [price], labels: { of: "${file:note.txt}" } }/' p.yaml >q.yaml
run 0 reload q.yaml
has out 'add: end' 'applied: generation 10'
run 0 rollback
has out 'applied: generation 11, as 9 was'
rm note.txt
run 2 rollback 10
has err 'q.yaml:' 'note.txt' 'generation 11 runs on'
# A byte of what is kept has changed.
sed -i 's/n \* 2/n * 3/' .rkpipe/live/generations/10
run 2 rollback 10
has err 'what is kept of generation 10 cannot be read' 'damaged' 'generation 11 runs on'
run 0 rollback --list
has out 'cannot be read'
stop
true_that 'something is left of a run that has ended' [ ! -e .rkpipe/live/generations ]

# One that cannot be written: the reload holds all the same, and says so.
start p.yaml
rm -r .rkpipe/live/generations
run 0 reload
has out 'applied: generation 2'
has err 'note: it is not kept for a rollback: cannot write'
has run.err 'reload applied (asked for): generation 2; it is not kept for a rollback'
run 0 rollback --list
is out $'generation 2 runs, and none is kept\n'
stop

# A run that is killed leaves them; the next one puts them aside, and takes them along when it ends.
start p.yaml
run 0 reload
crash
start p.yaml
true_that 'what the killed run had is gone' [ -f .rkpipe/live/generations.old/2 ]
true_that 'what runs is not kept' [ -f .rkpipe/live/generations/1 ]
run 0 rollback --list
hasnt out '     2  '
stop
true_that 'something is left' [ ! -e .rkpipe/live/generations -a ! -e .rkpipe/live/generations.old ]
rm -rf .rkpipe

# A folder that is called so and is somebody else's stays as it is.
mkdir -p here/generations
echo mine >here/generations/notes
admin=(--admin unix:here/sock)
start p.yaml --set engine.data_dir=here --set admin.listen=unix:here/sock
run 0 rollback --list "${admin[@]}"
has out '     1  '
stop
admin=()
is here/generations/notes $'mine\n'

# A batch job keeps nothing until another pipeline follows; then its first one, too.
cat >batch.yaml <<'END'
version: 1
name: job
engine: { delivery: at_most_once }
kernels:
  rows: { op: generate, with: { columns: { n: row }, rate: 100/s, rows: 100000 } }
  out: { op: write.null, from: [rows] }
END
start batch.yaml
true_that 'a batch job keeps its pipeline at once' [ ! -e .rkpipe/job/generations ]
sed -i 's/op: write.null/op: write.null, labels: { a: b }/' batch.yaml
run 0 reload
true_that 'a batch job does not keep what it was' [ -f .rkpipe/job/generations/1 ]
run 0 rollback
has out 'applied: generation 3, as 1 was'
kill -INT "$engine"
wait "$engine" 2>/dev/null
engine=
true_that "something is left of the job: $(find .rkpipe 2>&1; tail -3 run.err)" [ ! -e .rkpipe ]

finish
