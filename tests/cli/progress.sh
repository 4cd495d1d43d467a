#!/usr/bin/env bash
# The progress bar on a terminal: `script` (bsdutils) gives one.
. "$(dirname "$0")/lib.sh"
command -v script >/dev/null || { echo 'skipped: no script command'; exit 77; }

mkfifo pipe
cat >job.yaml <<'Y'
version: 1
name: job
kernels:
  read: { op: read.lines, with: { path: pipe } }
  write: { op: write.csv, from: [read], with: { path: out.csv } }
Y
last='rkpipe run on a terminal'
feed() { # lines slowly enough for three pictures
    for _ in 1 2 3 4; do
        seq 1 1000
        sleep 0.25
    done >pipe
}
feed &
TERM=xterm script -qec "stty cols 100; '$rkpipe' run job.yaml --summary none" typed >/dev/null 2>&1 </dev/null
wait
tr '\r' '\n' <typed | grep -v '^Script' >out
checks=$((checks + 1))
grep -qE ' rows  .* rows/s +[0-9.]+ MB/s +[0-9]+:[0-9]{2}' out || bad 'no progress line'
checks=$((checks + 1))
tail -n 1 out | tr -d '\n' | cmp -s - <(printf '\033[K') || bad 'the line is not cleared at the end'
feed &
TERM=xterm script -qec "stty cols 30; '$rkpipe' run job.yaml --summary none" typed >/dev/null 2>&1 </dev/null
wait
tr '\r' '\n' <typed | sed $'s/\033\\[K//' >out
checks=$((checks + 1))
[ "$(grep rows out | awk '{ if (length($0) > n) n = length($0) } END { print n + 0 }')" -lt 30 ] || bad 'wider than the terminal'
feed &
TERM=xterm script -qec "'$rkpipe' run job.yaml --summary none --quiet" typed >/dev/null 2>&1 </dev/null
wait
grep -v '^Script' typed | tr -d '\r\n' >out
is out ''
finish
