#!/usr/bin/env bash
# overflow: spill over kill -9: what had been spilled is there after a restart, once, in order. usage: spill.sh RKPIPE [ROUNDS]
set -u
rkpipe=$(realpath "$1")
rounds=${2:-5}
export LC_ALL=C TERM=dumb NO_COLOR=1
work=$(mktemp -d)
pid=
trap '[ "$BASHPID" != $$ ] || { [ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null; rm -rf "$work"; }' EXIT # a child that is killed before its exec would run it, too
cd "$work" || exit 1

cat >spill.yaml <<'YAML'
version: 1
name: spill
vars: { run: { type: int, required: true } }
engine: { delivery: at_most_once } # no source goes back: what is in the log is all that there is
run: { mode: stream }
kernels:
  make: { op: generate, with: { rate: 20000/s, columns: { run: var.run, id: row } }, publish: t/a }
  slow: { op: map, subscribe: "t/#", start: suspended, queue: { capacity: 2, overflow: spill }, with: { derive: { topic: meta.topic } } }
  out: { op: write.csv, from: [slow], with: { path: out.csv, commit: append } }
YAML

fail() {
    echo "FAIL $*"
    sed 's/^/     | /' log 2>/dev/null | tail -5
    exit 1
}
figure() { # figure KEY: of the edge make -> slow; 0 when nobody answers
    "$rkpipe" status --json 2>/dev/null | tr '{' '\n' | sed -n "s/.*\"from\":\"make\",\"to\":\"slow\".*\"$1\":\([0-9]*\).*/\1/p"
}
spilled_at_least() {
    local n until=$((SECONDS + 60))
    while [ "$SECONDS" -lt "$until" ]; do
        n=$(figure spilled)
        [ "${n:-0}" -lt "$1" ] || return 0
        sleep 0.05
    done
    return 1
}

for ((r = 1; r <= rounds; r++)); do
    "$rkpipe" run spill.yaml --var "run=$r" --progress none >log 2>&1 </dev/null &
    pid=$!
    spilled_at_least $((500 + RANDOM % 3000)) || fail "round $r: nothing is spilled"
    figure spilled >"spilled.$r"
    kill -KILL "$pid"
    wait "$pid" 2>/dev/null
    pid=
done
"$rkpipe" run spill.yaml --var run=0 --progress none >log 2>&1 </dev/null &
pid=$!
spilled_at_least 1 || fail "the last run does not spill"
"$rkpipe" activate slow >/dev/null || fail "the kernel cannot be activated"
"$rkpipe" drain >/dev/null || fail "the engine does not drain"
rc=0
wait "$pid" || rc=$?
pid=
[ "$rc" = 0 ] || fail "exit $rc"

# Rows of a run in order and without gaps; all that were known to be spilled; runs in their order; the last run whole.
awk -F, -v rounds="$rounds" '
    NR == 1 { next }
    $3 != "t/a" { print "row " NR " has topic " $3; bad = 1; exit }
    { run = $1 == 0 ? rounds + 1 : $1 }
    run < last_run { print "run " $1 " comes after run " last_run; bad = 1; exit }
    run == last_run && $2 != last_id + 1 { print "run " $1 ": row " $2 " comes after " last_id; bad = 1; exit }
    { n[run]++; last_run = run; last_id = $2; if (n[run] == 1) first[run] = $2 }
    END {
        if (bad) exit 1
        for (r = 1; r <= rounds; r++) {
            getline known < ("spilled." r)
            if (n[r] < known) { print "run " r ": " known " rows were spilled, " n[r] + 0 " came"; exit 1 }
        }
        if (first[rounds + 1] != 0) { print "the last run begins with row " first[rounds + 1]; exit 1 }
    }' out.csv || fail "rows"
echo "$rounds kills, $(($(wc -l <out.csv) - 1)) rows, none of them lost"
