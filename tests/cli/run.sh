#!/usr/bin/env bash
# rkpipe run: what goes where, and the exit codes.
. "$(dirname "$0")/lib.sh"

printf 'a,b\n1,x\n2,y\n3,z\n' >in.csv
cat >job.yaml <<'Y'
version: 1
name: job
kernels:
  read: { op: read.csv, with: { path: in.csv } }
  big: { op: filter, from: [read], with: { where: "a > 1" } }
  write: { op: write.csv, from: [big], with: { path: out.csv } }
Y
run 0 run job.yaml
is out ''
is out.csv $'a,b\n2,y\n3,z\n'
has err 'kernel  operator' 'read    read.csv' 'dropped       filter' 'wall '
run 0 run job.yaml --summary none
is err ''
run 0 run job.yaml --quiet
is err ''
run 0 run job.yaml --summary json
has err '"pipeline": "job"' '"exit": 0' '"rows_in": 3' '"rows_out": 2'
run 0 run job.yaml --progress json --summary none
has err '"rows_in":3' '"final":true'
run 0 run job.yaml --progress bar --summary none
has err 'standard error is no terminal'
run 0 run job.yaml --set run.summary=sum.json --quiet
true_that 'the summary is a file' grep -q '"rows_out": 2' sum.json
run 1 run job.yaml --set run.summary=no/such/folder/sum.json --quiet
has err "cannot write the summary 'no/such/folder/sum.json'"
run 0 run job.yaml --backend cpu --quiet
run 0 run job.yaml --backend auto --quiet
run 0 run job.yaml --set engine.threads=1 --quiet
true_that 'nothing is left behind' test "$(ls -a | grep -c tmp)" = 0

# Bad pipelines and missing inputs.
run 78 run job.yaml --set kernels.big.with.where='a >'
has err 'error: '
rm out.csv
run 69 run job.yaml --set kernels.read.with.path=gone.csv
has err 'gone.csv'
true_that 'no output without success' test ! -e out.csv
run 78 run job.yaml --backend cuda --quiet
has err "the backend 'cuda' is not supported yet"

# Bad rows.
printf 'a,b\n1,x\n2,y,more\n3,z\n' >in.csv
run 1 run job.yaml
has err 'in.csv' '3'
true_that 'no output of a failed run' test ! -e out.csv
run 0 run job.yaml --set kernels.read.on_error=drop --quiet
is out.csv $'a,b\n3,z\n'
rm out.csv
run 65 run job.yaml --set kernels.read.on_error=drop --set run.max_bad_ratio=0.1 --summary none
has err 'max_bad_ratio'
true_that 'no output with too many bad rows' test ! -e out.csv
run 65 run job.yaml --set kernels.read.on_error=drop --set 'run.fail_on=[drop]' --summary none
has err 'fail_on'
run 0 run job.yaml --set kernels.read.on_error=drop --set run.max_bad_ratio=0.5 --quiet

# Signals: a source that waits on a pipe.
mkfifo pipe
cat >wait.yaml <<'Y'
version: 1
name: wait
kernels:
  read: { op: read.lines, with: { path: pipe } }
  write: { op: write.csv, from: [read], with: { path: waited.csv } }
Y
signal() { # signal EXIT SIGNAL..
    local want=$1 pid sig
    shift
    last="rkpipe run wait.yaml, then $*"
    : >err # the shell in the background may take its time to do that
    "$rkpipe" run wait.yaml --progress json >out 2>err </dev/null &
    pid=$!
    exec 9>pipe
    echo line >&9
    until_true grep -q elapsed err || bad 'it does not run'
    for sig in "$@"; do
        kill "-$sig" "$pid"
    done
    code=0
    wait "$pid" || code=$?
    exec 9>&-
    checks=$((checks + 1))
    [ "$code" = "$want" ] || bad "exit $code, not $want"
    true_that 'no output after a signal' test ! -e waited.csv
}
signal 75 INT
has err 'stopping; once more to stop at once' 'interrupted'
signal 75 TERM

# A reader that goes away is no failure of the process.
seq 1 300000 | sed 's/$/,text text text text/' | sed '1s/.*/a,b/' >big.csv
cat >print.yaml <<'Y'
version: 1
name: print
kernels:
  read: { op: read.csv, with: { path: big.csv } }
  write: { op: write.csv, from: [read], with: { path: "-" } }
Y
code=0
"$rkpipe" run print.yaml --quiet 2>err | head -1 >out
code=${PIPESTATUS[0]}
checks=$((checks + 1))
[ "$code" -lt 128 ] || bad "killed by a signal: $code"
is out $'a,b\n'
run 0 run print.yaml --summary none
true_that 'all rows are printed' test "$(wc -l <out)" = 300000

# A writer that waits for a reader that never comes: the first signal waits with it, the second ends it.
mkfifo full
sed 's/path: "-"/path: full/' print.yaml >stuck.yaml
stuck() { # stuck EXIT SIGNAL
    local want=$1 pid
    last="rkpipe run stuck.yaml, then $2 twice"
    : >err
    exec 9<>full
    "$rkpipe" run stuck.yaml --progress json >out 2>err </dev/null &
    pid=$!
    until_true grep -q elapsed err || bad 'it does not run'
    kill "-$2" "$pid"
    until_true grep -q 'once more to stop at once' err || bad 'the first signal is not noticed' # two at once are one
    sleep 0.2
    kill -0 "$pid" || bad 'the first signal did not wait'
    kill "-$2" "$pid"
    code=0
    wait "$pid" || code=$?
    exec 9<&-
    checks=$((checks + 1))
    [ "$code" = "$want" ] || bad "exit $code, not $want"
}
stuck 130 INT
stuck 143 TERM
finish
