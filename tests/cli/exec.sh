#!/usr/bin/env bash
# Commands and the log from the command line: who may start them, what they say, and that none is left behind.
. "$(dirname "$0")/lib.sh"

cat >p.yaml <<'Y'
version: 1
kernels:
  in: { op: read.exec, with: { argv: [seq, "3"] } }
  out: { op: write.stdout, from: [in], with: { format: csv } }
Y
run 78 check p.yaml
has out "operator 'read.exec' starts a command" '[exec-denied]' "engine: {allow_exec: true}" '--allow-exec'
run 78 run p.yaml
is out ''
run 78 plan p.yaml
run 0 check p.yaml --allow-exec
run 0 plan p.yaml --allow-exec
run 0 graph p.yaml --allow-exec
run 0 check p.yaml --set engine.allow_exec=true
run 0 run p.yaml --allow-exec
is out $'line\n1\n2\n3\n'
run 0 run --help
has out '--allow-exec'

# Rows through two commands; what they say on standard error has the kernel's name.
cat >two.yaml <<'Y'
version: 1
engine: { allow_exec: true }
kernels:
  in: { op: read.exec, with: { argv: [sh, -c, 'echo reading >&2; seq 100'] } }
  odd: { op: filter, from: [in], with: { where: "to_int(line) % 2 == 1" } }
  out: { op: write.exec, from: [odd], with: { argv: [sh, -c, 'echo writing >&2; wc -l'] } }
Y
run 0 run two.yaml --summary none
is out $'50\n'
has err "kernel 'in': reading" "kernel 'out': writing"

# A command that fails; one that is not there.
run 1 run p.yaml --allow-exec --set 'kernels.in.with.argv=[sh, -c, "echo 1; echo no luck >&2; exit 4"]'
has err "error: kernel 'in': command 'sh' ended with exit status 4: no luck"
run 69 run p.yaml --allow-exec --set 'kernels.in.with.argv=[no-such-program]'
has err "error: kernel 'in': there is no command 'no-such-program' in PATH"
run 69 run p.yaml --allow-exec --set 'kernels.in.with.argv=seq 3'
has err 'no shell divides them'

# The environment: four names and what is given; an ignored SIGCHLD is no excuse.
code=0
MY_TOKEN=canary TZ=UTC HOME=/nowhere "$rkpipe" run p.yaml --allow-exec --quiet --set 'kernels.in.with.argv=[env]' \
    --set 'kernels.in.with.env={X: "1"}' >out 2>err </dev/null || code=$?
[ "$code" = 0 ] || bad 'env fails'
has out 'HOME=/nowhere' 'TZ=UTC' 'X=1' 'PATH='
hasnt out canary
code=0
(trap '' CHLD PIPE; exec "$rkpipe" run p.yaml --allow-exec --quiet --set 'kernels.in.with.argv=[sh, -c, "exit 3"]') >out 2>err </dev/null || code=$?
[ "$code" = 1 ] || bad "exit $code with SIGCHLD ignored"
has err 'exit status 3'

# Secrets.
mkdir -p keys && printf canary >keys/token
cat >secret.yaml <<'Y'
version: 1
engine: { allow_exec: true }
secrets: { keys: { type: dir, path: keys } }
kernels:
  in: { op: read.exec, with: { argv: [echo, "${secret:keys/token}"] } }
  out: { op: write.stdout, from: [in] }
Y
run 78 check secret.yaml
has out "'argv' cannot hold a secret" '[secret-here]'
hasnt out canary

# Stopped: the command and what it has started are gone, and nobody waits long for one that ignores SIGTERM.
gone() { ! [ -e "/proc/$1" ] || [ "$(sed 's/.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null)" = Z ]; }
said_both() { [ "$(wc -l <out)" = 2 ]; }
cat >long.yaml <<'Y'
version: 1
engine: { allow_exec: true }
vars: { script: { type: string, required: true } }
kernels:
  in: { op: read.exec, with: { argv: [sh, -c, "${var:script}"], idle: 10ms, grace: 200ms } }
  out: { op: write.stdout, from: [in], with: { format: csv, header: false } }
Y
for script in 'sleep 1000 & echo $$; echo $!; wait' 'trap "" TERM; sleep 1000 & echo $$; echo $!; while :; do wait; done'; do
    for signals in TERM 'TERM TERM' KILL; do
        last="rkpipe run long.yaml, then $signals"
        : >out # the shell in the background may take its time to do that
        "$rkpipe" run long.yaml --var script="$script" >out 2>err </dev/null &
        pid=$!
        until_true said_both || bad 'the command does not say its numbers'
        for s in $signals; do kill -s "$s" $pid; done
        code=0
        wait $pid 2>/dev/null || code=$?
        checks=$((checks + 1))
        case $signals:$code in
        TERM:75 | 'TERM TERM':75 | 'TERM TERM':143 | KILL:137) ;;
        *) bad "exit $code after $signals" ;;
        esac
        for p in $(cat out); do
            if [ "$signals" = KILL ]; then # nothing of ours is left to stop it
                kill -9 "$p" 2>/dev/null
            else
                true_that "process $p of '$script' is left after $signals" until_true gone "$p"
            fi
        done
    done
done

# The log: a line a row, on standard error, beside the results.
cat >log.yaml <<'Y'
version: 1
kernels:
  in: { op: generate, with: { rows: 3, columns: { n: row, s: "concat('value ', to_string(row))" } } }
  log: { op: write.log, from: [in], with: { level: warn } }
  js: { op: write.log, from: [in], with: { format: json, time: false } }
Y
run 0 run log.yaml --summary none
is out ''
checks=$((checks + 1))
[ "$(grep -cE '^time=20[0-9-]+T[0-9:.]+Z level=warn kernel=log n=[0-2] s="value [0-2]"$' err)" = 3 ] || bad 'no line a row'
has err '{"level":"info","kernel":"js","n":2,"s":"value 2"}'
run 0 run log.yaml --quiet
checks=$((checks + 1))
[ "$(wc -l <err)" = 6 ] || bad 'rows are not only what is logged'

# throttle and delay, on the clock on the wall.
cat >slow.yaml <<'Y'
version: 1
kernels:
  in: { op: generate, with: { rows: 30, columns: { n: row } } }
  slow: { op: throttle, from: [in], with: { rate: 100/s, burst: 10, on_excess: wait } }
  late: { op: delay, from: [slow], with: { for: 100ms } }
  out: { op: write.stdout, from: [late], with: { format: csv, header: false } }
Y
begin=$(date +%s%N)
run 0 run slow.yaml --quiet
took=$((($(date +%s%N) - begin) / 1000000))
true_that 'all rows, in order' diff out <(seq 0 29)
checks=$((checks + 1))
[ "$took" -ge 300 ] || bad "it took $took ms, not 200 and 100"
run 0 run slow.yaml --set kernels.slow.with.on_excess=drop --summary json
has err '"throttle"'
checks=$((checks + 1))
[ "$(wc -l <out)" = 10 ] || bad 'a burst of 10'
finish
