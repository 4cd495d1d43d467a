#!/usr/bin/env bash
# failpoints.sh RKPIPE SOURCE_DIR: a reload that fails at each of its steps, or whose process is killed there (failpoint.c is part of this RKPIPE). What
# fails changes nothing, says what it was, and the next one is applied; who is killed goes on with the file that was right then. The outputs are
# always those that an undisturbed run writes, byte for byte.
. "$2/tests/cli/lib.sh"

job() { # job WHERE
    cat <<END
version: 1
name: job
engine: { checkpoint: 50ms, delivery: exactly_once, threads: 2 }
kernels:
  in: { op: generate, with: { columns: { n: row, k: row % 7 }, rows: $rows, rate: $rate, batch_rows: 20 } }
  some: { op: filter, from: [in], with: { where: "$1" } }
  sums: { op: aggregate, from: [some], with: { by: [k], compute: { s: sum(n) } } }
  out: { op: write.csv, from: [sums], with: { path: sums.csv } }
  rows: { op: write.csv, from: [some], with: { path: rows.csv } }
END
}
answers() {
    for f in sums.csv rows.csv; do
        true_that "$f is not what an undisturbed run writes ($step)" cmp "$f" "ref/$f"
    done
    rm -f sums.csv rows.csv
}
kept() {
    ls .rkpipe/job/checkpoints | grep -q 'ckpt$'
}
gone() { ! kill -0 "$engine"; }

rows=12000 rate=1000000/s step=none # three seconds where it is reloaded
mkdir ref
job 'n >= 0' >ref/job.yaml
(cd ref && "$rkpipe" run job.yaml --quiet --set engine.checkpoint=1h >/dev/null 2>&1) || bad "the job itself fails"
rate=4000/s

steps='parse check diff admit build warm warmed intend stop hand_over commit committed retired keep kept'
for step in $steps; do
    case $step in
    committed | retired | kept) continue ;; # nothing can fail any more
    esac
    job 'n >= 0' >job.yaml
    RKP_FAILPOINT=reload.$step:fail start job.yaml --fresh
    true_that "no checkpoint ($step)" until_true kept
    job 'not (n < 0)' >job.yaml
    if [ "$step" = keep ]; then
        run 0 reload
        has out 'applied: generation 2'
        has err 'it is not kept for a rollback: reload.keep was made to fail'
    else
        run 2 reload
        has err "rejected: reload.$step was made to fail; generation 1 runs on"
        run 0 reload
        has out 'applied: generation 2'
    fi
    ended
    answers
done
for step in $steps; do
    job 'n >= 0' >job.yaml
    cp job.yaml old.yaml
    RKP_FAILPOINT=reload.$step:crash start job.yaml --fresh
    true_that "no checkpoint ($step)" until_true kept
    job 'not (n < 0)' >job.yaml
    "$rkpipe" reload >/dev/null 2>&1 </dev/null
    true_that "it was not killed ($step)" until_true gone
    { wait "$engine"; } 2>/dev/null
    engine=
    case $step in # what it was to become is not known before
    parse | check | diff | admit | build | warm | warmed | intend)
        run 69 run job.yaml
        has err 'a checkpoint of another form of this pipeline'
        cp old.yaml job.yaml
        ;;
    stop | commit) [ "$step" = stop ] || cp old.yaml job.yaml ;; # both will do
    esac
    run 0 run job.yaml
    has err 'going on from checkpoint'
    answers
done
finish
