#!/usr/bin/env bash
# A checkpoint of an earlier form of a pipeline: refused, gone on from with --migrate where it fits, or by itself after a reload that a crash has
# overtaken; and a reload sees that a file which a kernel loads has another content.
. "$(dirname "$0")/lib.sh"

job() { # job WHERE COMPUTE MORE
    cat <<END
version: 1
name: job
engine: { checkpoint: 50ms, delivery: exactly_once }
kernels:
  in: { op: generate, with: { columns: { n: row, k: row % 7 }, rows: 4000, rate: 5000/s, batch_rows: 20 } }
  some: { op: filter, from: [in], with: { where: "$1" } }
  sums: { op: aggregate, from: [some], with: { by: [k], compute: { $2 } } }
  out: { op: write.csv, from: [sums], with: { path: sums.csv } }
  rows: { op: write.csv, from: [some], with: { path: rows.csv } }
$3
END
}

undisturbed() { # undisturbed: the same answers without a crash
    mkdir ref
    job 'n >= 0' 's: sum(n)' '' >ref/job.yaml
    (cd ref && "$rkpipe" run job.yaml --quiet --set engine.checkpoint=1h --set kernels.in.with.rate=1000000/s >/dev/null 2>&1) || bad "the job itself fails"
}
some_checkpoints() {
    ls .rkpipe/job/checkpoints | grep -q '[0-9]*[02-9].ckpt'
}
half() { # half: runs it until there is a checkpoint, and kills it
    launch job.yaml --fresh
    until_true some_checkpoints
    crash
}
answers() {
    cmp -s sums.csv ref/sums.csv || bad "sums.csv is not what an undisturbed run writes"
    cmp -s rows.csv ref/rows.csv || bad "rows.csv is not what an undisturbed run writes"
    rm -f sums.csv rows.csv
}
undisturbed

# Another form of it: only when it is asked for.
job 'n >= 0' 's: sum(n)' '' >job.yaml
half
job 'not (n < 0)' 's: sum(n)' '' >job.yaml
run 69 run job.yaml
has err 'a checkpoint of another form of this pipeline'
has err 'go on with --migrate where it still fits'
run 0 run job.yaml --migrate
has err 'of an earlier form of the pipeline'
answers

# What is kept does not fit: it is named, and nothing is lost by asking.
job 'n >= 0' 's: sum(n)' '' >job.yaml
half
job 'n >= 0' 's: sum(n), m: max(n)' '' >job.yaml
run 69 run job.yaml --migrate
has err "the checkpoint of kernel 'sums' is of an earlier form of it, and does not fit any more"
job 'n >= 0' 's: sum(n)' '' | grep -v '^  rows:' >job.yaml
run 69 run job.yaml --migrate
has err "the checkpoint has kernel 'rows', which has not ended, and the pipeline has not"
job 'n >= 0' 's: sum(n)' "  more: { op: write.csv, from: [sums], with: { path: more.csv } }" >job.yaml
run 0 run job.yaml --migrate # a new sink, of what comes from now on
cmp -s more.csv ref/sums.csv || bad 'more.csv'
answers

# A reload that a crash overtakes before there is a checkpoint of the new form needs no flag.
job 'n >= 0' 's: sum(n)' '' | sed 's/50ms/100s/' >job.yaml
launch job.yaml --fresh --set engine.checkpoint=30ms
until_true some_checkpoints
job 'not (n < 0)' 's: sum(n)' '' >job.yaml
run 0 reload
has out 'applied: generation 2'
crash
run 0 run job.yaml --quiet
answers

# A table that a kernel loads.
printf 'k,name\n0,a\n1,b\n' >table.csv
cat >live.yaml <<END
version: 1
name: live
run: { mode: stream }
engine: { delivery: at_most_once }
kernels:
  n: { op: generate, with: { columns: { k: "row % 2" }, rate: 1000/s } }
  l: { op: lookup, from: [n], with: { table: table.csv, key: [k] } }
  o: { op: write.null, from: [l] }
END
start live.yaml
run 0 reload live.yaml --diff
is out $'nothing would change\n'
touch table.csv
run 0 reload live.yaml --diff
is out $'nothing would change\n'
printf 'k,name\n0,a\n1,c\n' >table.csv
run 0 reload live.yaml --diff
has out "replace: l"
run 0 reload live.yaml
has out 'applied: generation 2'
run 0 reload live.yaml --diff
is out $'nothing would change\n'
kill -TERM "$engine"
wait "$engine" 2>/dev/null
engine=
finish
