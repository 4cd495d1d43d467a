#!/usr/bin/env bash
# rkpipe top: pictures in a pipe, and on a terminal with keys.
. "$(dirname "$0")/lib.sh"

cat >job.yaml <<'Y'
version: 1
name: job
run: { mode: stream }
kernels:
  gen: { op: generate, with: { columns: { n: row }, rate: 5000/s }, publish: t/x }
  slow: { op: throttle, subscribe: [ { topic: t/x, start: now } ], with: { rate: 20/s, burst: 1, on_excess: wait }, queue: { overflow: block, capacity: 8 } }
  out: { op: write.null, from: [slow] }
Y
start job.yaml --summary none
holds_up() { "$rkpipe" top --count 1 | grep -q 'held up by: slow'; }
true_that 'who holds it up' until_true holds_up
run 0 top --count 2 --interval 100ms --sort name
has out 'job: running, stream' 'generation 1' 'rows in/s' 'blocked by'
true_that 'two pictures' test "$(grep -c '^kernel ' out)" = 2
true_that 'gen waits for slow' grep -q '^gen .* slow$' out
true_that 'by name' test "$(awk '/^kernel /{n = NR} n && NR > n && NR < n + 4 {printf "%s ", $1}' out)" = 'gen out slow gen out slow '
true_that 'no control characters in a pipe' test -z "$(tr -d '\n -~' <out)"
run 64 top --interval 10ms
has err "50ms"
run 64 top --count 0
run 64 top --sort size
if command -v script >/dev/null; then
    on_screen() { # on_screen KEYS ARG..: what a terminal of 12 lines is sent
        local keys=$1
        shift
        rm -f screen.log
        mkfifo keys.$$
        script -qec "stty cols 50 rows 12; '$rkpipe' top --interval 100ms $*; stty -a | grep -q ' icanon' && echo as-it-was" screen.log <keys.$$ >/dev/null 2>&1 &
        exec 4>keys.$$
        true_that 'a picture' until_true grep -q 'held up by' screen.log
        printf '%s' "$keys" >&4
        wait $!
        exec 4>&-
        rm keys.$$
    }
    on_screen 'nq' --sort rate
    true_that 'a screen of its own, and back' grep -q $'\033\\[?1049h.*' screen.log
    true_that 'the screen is given back' grep -q $'\033\\[?1049l' screen.log
    true_that 'the terminal is as it was' grep -q 'as-it-was' screen.log
    frames() { tr -d '\r' <screen.log | sed -E 's/\x1b\[(H|[?]1049l)/\n/g; s/\x1b\[[0-9;?]*[A-Za-z]//g' | grep -v '^Script '; }
    true_that 'lines are cut' test -z "$(frames | grep -E '^.{51}')"
    on_screen $'\003'
    true_that 'Ctrl-C gives it back, too' grep -q $'\033\\[?1049l' screen.log
fi
("$rkpipe" top --interval 50ms >pictures 2>said; echo $? >code) &
true_that 'a picture' until_true grep -q 'held up' pictures
crash
wait
is code $'0\n'
has said 'cannot be reached any more'
run 69 top
finish
