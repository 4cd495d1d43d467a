#!/usr/bin/env bash
# A running engine, looked into and commanded by the real binary. usage: admin.sh RKPIPE
set -u
rkpipe=$(realpath "$1")
failed=0 passed=0
export LC_ALL=C TERM=dumb NO_COLOR=1
work=$(mktemp -d)
pids=
trap '[ "$BASHPID" != $$ ] || { for p in $pids; do kill -KILL "$p" 2>/dev/null; done; rm -rf "$work"; }' EXIT # a child that is killed before its exec would run it, too
cd "$work" || exit 1

say() { printf '%s\n' "$*"; }
ok() { passed=$((passed + 1)); }
bad() {
    failed=$((failed + 1))
    say "FAIL $*"
    sed 's/^/     out | /' out 2>/dev/null | head -20
    sed 's/^/     err | /' err 2>/dev/null | head -20
}
# ask CODE ARG..: rkpipe ARG.. ends with CODE, within a minute
ask() {
    local want=$1 rc=0
    shift
    timeout -s KILL 60 "$rkpipe" "$@" >out 2>err </dev/null || rc=$?
    if [ "$rc" = "$want" ]; then ok; else bad "rkpipe $*: exit $rc, not $want"; fi
}
has() { # has out|err TEXT..
    local file=$1 text
    shift
    for text; do
        if grep -qE -- "$text" "$file"; then ok; else bad "$file does not say '$text'"; fi
    done
}
until_true() { # until_true COMMAND..: for at most a minute
    local until=$((SECONDS + 60))
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$until" ] || return 1
        sleep 0.05
    done
}
gone() { ! kill -0 "$1" 2>/dev/null || grep -q '^State:.*Z' "/proc/$1/status" 2>/dev/null; }
# start FILE ARG..: a run in the background; $pid
start() {
    "$rkpipe" run "$@" --summary none >run.out 2>run.err </dev/null &
    pid=$!
    pids="$pids $pid"
}
ended() { # ended NAME CODE
    local rc=0
    until_true gone "$pid" || { bad "$1: does not end" && kill -KILL "$pid"; }
    wait "$pid" 2>/dev/null || rc=$?
    cp run.err err
    if [ "$rc" = "$2" ]; then ok; else bad "$1: exit $rc, not $2"; fi
}
state_is() { "$rkpipe" status | grep -qE "^$1 +[a-z.]+ +$2 "; }
rows_of() { "$rkpipe" status --json | sed "s/.*\"kernel\":\"$1\"[^}]*\"rows_in\":\([0-9]*\),.*/\1/"; }

cat >sensors.yaml <<'YAML'
version: 1
name: sensors
run: { mode: stream }
kernels:
  gen: { op: generate, with: { columns: { n: row, t: "concat('s', n % 3)" }, rate: 2000 }, publish: "sensors/raw" }
  even: { op: filter, subscribe: ["sensors/#"], with: { where: "n % 2 == 0" }, queue: { overflow: drop_newest } }
  late: { op: map, subscribe: ["sensors/raw"], start: suspended, with: { derive: { x: "n + 1" } }, queue: { capacity: 4, overflow: drop_newest } }
  out: { op: write.csv, from: [even], with: { path: even.csv } }
  other: { op: write.csv, from: [late], with: { path: late.csv } }
YAML

grep -v -e late -e other sensors.yaml >plain.yaml

# ---- status and commands --------------------------------------------------------------------------------------------

ask 69 status
has err 'no engine runs in this folder'
start sensors.yaml
until_true "$rkpipe" status || bad 'the engine cannot be asked'
if [ "$(stat -c %a .rkpipe/sensors/admin.sock)" = 600 ]; then ok; else bad 'the socket is open to others'; fi
until_true state_is gen active || bad 'gen is not active'
ask 0 status
has out '^sensors: running, stream, up ' '^late +map +launched ' '^gen -> even +sensors/raw '
ask 0 status --json
has out '^\{"name":"sensors","state":"running"'
ask 1 activate even
has err "^rkpipe: error: kernel 'even' is active; activate needs launched or suspended$"
ask 0 suspend even
has out "^kernel 'even' is suspended$"
ask 0 status
has out '^even +filter +suspended '
ask 1 suspend even
before=$(rows_of even)
sleep 0.1
if [ "$(rows_of even)" = "$before" ]; then ok; else bad 'a suspended kernel works on'; fi
ask 0 resume even
more_rows() { [ "$(rows_of even)" -gt "$before" ]; }
if until_true more_rows; then ok; else bad 'a resumed kernel does not work'; fi
ask 0 deactivate even
has out "^kernel 'even' is suspended$"
ask 0 resume even
ask 0 activate late
ask 0 restart late
has out "^kernel 'late' is active$"
ask 0 terminate late
has out "^kernel 'late' is terminated$"
ask 1 activate late
has err "kernel 'late' is terminated; activate needs"
ask 1 suspend nobody
has err "'nobody'"

# ---- taps -----------------------------------------------------------------------------------------------------------

ask 0 tap 'sensors/#' --limit 3
if [ "$(grep -cE '^\{"topic":"sensors/raw","kernel":"gen","stamp":[0-9]+,"row":\{"n":[0-9]+,"t":"s[0-2]"\}\}$' out)" = 3 ]; then ok; else
    bad 'three rows of a topic'
fi
ask 0 tap kernel:even --limit 5 --format csv
if [ "$(wc -l <out)" = 6 ] && [ "$(head -1 out)" = topic,kernel,stamp,n,t ]; then ok; else bad 'five rows of a kernel'; fi
ask 0 tap 'sensors/#' --where "n % 10 == 3 && t != 's9' && meta.kernel == 'gen'" --limit 4
if [ "$(grep -cE '"row":\{"n":[0-9]*3,' out)" = 4 ] && [ "$(wc -l <out)" = 4 ]; then ok; else bad 'rows that fit a condition'; fi
ask 0 tap kernel:even --where "n % 4 == 2" --limit 2 --format csv
if [ "$(wc -l <out)" = 3 ] && [ "$(head -1 out)" = topic,kernel,stamp,n,t ]; then ok; else bad 'rows of a kernel that fit a condition'; fi
ask 0 tap 'sensors/#' --where '1 // (n % 2) == 1' --limit 2 # rows for which it cannot be computed are not shown
if [ "$(grep -cE '"row":\{"n":[0-9]*[13579],' out)" = 2 ]; then ok; else bad 'rows for which a condition can be computed'; fi
ask 1 tap 'sensors/#' --where 'nn == 3'
has err "'where': .*'nn'"
ask 1 tap 'sensors/#' --where 'n +'
has err "'where': "
ask 1 tap 'sensors/#' --where 'n + 1'
ask 1 tap 'sensors/#' --where ''
ask 1 tap 'cards/#' --where 'n > 1'
has err "'cards/#'"
ask 1 tap 'cards/#'
has err "'cards/#'"
ask 1 tap 'sensors/dev*'
ask 1 tap kernel:out
"$rkpipe" tap 'sensors/#' >tap.out 2>err &
tapper=$!
until_true grep -q topic tap.out || bad 'a tap that goes on gives nothing'
kill -INT "$tapper"
rc=0
wait "$tapper" || rc=$?
if [ "$rc" = 0 ]; then ok; else bad "an interrupted tap: exit $rc"; fi
if [ "$("$rkpipe" tap 'sensors/#' 2>/dev/null | head -2 | wc -l)" = 2 ]; then ok; else bad 'tap | head'; fi

# ---- several engines, and a folder that is taken --------------------------------------------------------------------

ask 69 run plain.yaml
has err "the folder '.rkpipe/sensors' belongs to another run \(pid $pid, since 20"
first=$pid
start plain.yaml --set engine.data_dir=.rkpipe/second --set kernels.out.with.path=2.csv
until_true test -S .rkpipe/second/admin.sock || bad 'a second engine has no socket'
ask 64 status
has err '2 engines run in this folder' '--admin unix:.rkpipe/second/admin.sock'
ask 0 status --admin unix:.rkpipe/second/admin.sock
ask 0 drain --admin .rkpipe/second/admin.sock
if gone "$pid" || until_true gone "$pid"; then ok; else bad 'drained, and not gone'; fi
ended 'the second engine' 0
pid=$first

# ---- drain ----------------------------------------------------------------------------------------------------------

"$rkpipe" tap 'sensors/#' >last.out 2>last.err &
tapper=$!
until_true grep -q topic last.out || bad 'a tap before the end gives nothing'
ask 0 drain
ask 69 status
ended 'a drained engine' 0
rc=0
wait "$tapper" || rc=$?
if [ "$rc" = 0 ]; then ok; else bad "a tap when the engine ends: exit $rc: $(cat last.err)"; fi
if [ -z "$(find .rkpipe ! -type d ! -name actors ! -name clock 2>/dev/null)" ]; then ok; else bad 'more than the clock and the numbers of actors stays'; fi
if [ "$(head -1 even.csv)" = n,t ] && [ "$(wc -l <even.csv)" -gt 2 ]; then ok; else bad 'nothing was written'; fi

start plain.yaml
until_true "$rkpipe" status || bad 'the engine cannot be asked'
ask 0 drain --no-wait
# A second drain is no second signal; the engine may be gone by then, or go when it has just been asked.
rc=0
timeout -s KILL 60 "$rkpipe" drain >out 2>err || rc=$?
case $rc in
0 | 69) ok ;;
1) has err 'has gone ' ;;
*) bad "a second drain: exit $rc" ;;
esac
ended 'an engine that was drained twice' 0

# ---- a run that is killed leaves nothing in the way -----------------------------------------------------------------

start plain.yaml
until_true "$rkpipe" status || bad 'the engine cannot be asked'
kill -KILL "$pid"
ended 'killed' 137
ask 69 status
has err 'there are sockets, and nobody listens'
start plain.yaml
until_true "$rkpipe" status || bad 'an engine after one that was killed cannot be asked'
ask 0 drain
ended 'an engine after one that was killed' 0

# ---- where it listens -----------------------------------------------------------------------------------------------

start plain.yaml --set admin.listen=unix:mine.sock
until_true "$rkpipe" status --admin unix:mine.sock || bad 'an engine with a socket of its own cannot be asked'
ask 69 status
ask 69 run plain.yaml --set admin.listen=unix:mine.sock --set engine.data_dir=.rkpipe/x
has err "another engine listens at 'mine.sock'"
ask 0 drain --admin mine.sock
ended 'an engine with a socket of its own' 0
ask 69 run plain.yaml --set admin.listen=unix:nowhere/mine.sock
has err "cannot make the admin socket 'nowhere/mine.sock': No such file"
cat >deaf.yaml <<'YAML'
version: 1
name: deaf
run: { mode: stream }
kernels:
  read: { op: read.lines, with: { path: lines } }
  out: { op: write.csv, from: [read], with: { path: deaf.csv } }
YAML
mkfifo lines
start deaf.yaml --set admin.listen=none
exec 8>lines
until_true test -e .rkpipe/deaf/lock || bad 'a run without a socket does not start'
ask 69 status
if [ -e .rkpipe/deaf/lock ] && [ ! -e .rkpipe/deaf/admin.sock ]; then ok; else bad 'listen: none'; fi
# The thread sanitizer keeps a signal until the next call that it knows: there the input ends.
if grep -q __tsan_init "$rkpipe"; then exec 8>&-; else kill -TERM "$pid"; fi
ended 'an engine without a socket' 0
exec 8>&-
long=$(printf '%0120d' 7)
start plain.yaml --set engine.data_dir="$long/d"
until_true "$rkpipe" status --admin "unix:$long/d/admin.sock" || bad 'an engine with a long path cannot be asked'
ask 0 drain --admin "unix:$long/d/admin.sock"
ended 'an engine with a long path' 0

say "$passed passed, $failed failed"
[ "$failed" = 0 ]
