#!/usr/bin/env bash
# Pipelines that talk over topics, with the real binary: full queues, retained messages, topics that nobody reads.
. "$(dirname "$0")/lib.sh"
await() { # await KERNEL STATE: until `rkpipe status --json` says so
    local until=$((SECONDS + 60))
    while ! "$rkpipe" status --json 2>err | grep -q "\"kernel\":\"$1\",[^{}]*\"state\":\"$2\","; do
        [ "$SECONDS" -lt "$until" ] || { bad "kernel $1 is never $2"; return; }
        sleep 0.02
    done
}

# Mistakes in a subscription are told once.
cat >wrong.yaml <<'Y2'
version: 1
name: wrong
kernels:
  src: { op: generate, with: { rows: 3, columns: { n: row } }, publish: a/b }
  one: { op: write.null, subscribe: a* }
  two: { op: write.null, subscribe: { topic: a/b, begin: last } }
  all: { op: write.null, subscribe: "#" }
Y2
run 78 check wrong.yaml
has out "'*' is only a part of the level 'a*'" "no key 'begin'"
hasnt out 'reads nothing'
run 78 check wrong.yaml --set 'kernels.one.subscribe=[]' --set kernels.two.subscribe=a/b
has out "kernel 'one' (write.null) reads nothing"

# Rows under topics that nobody reads are counted, and the sums close.
cat >unread.yaml <<'Y2'
version: 1
name: unread
kernels:
  src: { op: generate, with: { rows: 10, columns: { n: row } }, publish: "a/${this.n}" }
  out: { op: write.csv, subscribe: a/3, with: { path: "-" } }
  changes: { op: write.null, subscribe: $lifecycle/out }
Y2
run 0 run unread.yaml
is out $'n\n3\n'
true_that 'the source has made 10 rows' grep -qE '^src +generate +10 +1 +9 ' err
has err 'dropped       unread           9'
true_that 'the engine drops nothing' grep -qE '^\$engine +\$engine +4 +4 +0 ' err

# A queue that is full: nothing waits, and what does not fit is told.
cat >full.yaml <<'Y2'
version: 1
name: full
dead_letter: { topic: dead/x }
kernels:
  src: { op: generate, with: { rows: 100, batch_rows: 1, columns: { n: row } }, publish: a/b }
  late: { op: write.csv, subscribe: a/b, start: suspended, queue: { capacity: 4, overflow: drop_newest }, with: { path: late.csv } }
  all: { op: write.csv, subscribe: a/b, queue: { capacity: 128 }, with: { path: all.csv } }
  dead: { op: write.csv, subscribe: dead/x, with: { path: dead.csv, columns: [reason, error, row] } }
Y2
run 1 run full.yaml --set kernels.late.queue.overflow=fail --quiet
has err "kernel 'src': the queue of kernel 'late' is full (overflow: fail)"
full() { # full OVERFLOW [EXIT ARG..]: rows of late.csv in `late`
    local want=${2:-0}
    rm -f late.csv
    "$rkpipe" run full.yaml --set "kernels.late.queue.overflow=$1" --progress none "${@:3}" >out 2>err_run </dev/null &
    await all terminated
    last="rkpipe activate late, with overflow: $1"
    "$rkpipe" activate late >out 2>err || bad 'late is not activated'
    is out $'kernel \'late\' is active\n'
    code=0
    wait $! || code=$?
    true_that "exit $code, not $want" test "$code" = "$want"
    [ "$want" = 0 ] || return
    true_that 'a subscriber that keeps up has everything' test "$(wc -l <all.csv)" = 101
    late=$(tail -n +2 late.csv | tr '\n' ' ')
}
full drop_newest
true_that "the first four come, not $late" test "$late" = '0 1 2 3 '
true_that 'what was dropped is counted' grep -qE 'dropped +queue_full +96' err_run
full drop_oldest
true_that "the last three come, and the end, not $late" test "$late" = '97 98 99 '
full dead_letter
true_that "the first four come, not $late" test "$late" = '0 1 2 3 '
true_that 'the others are dead letters' test "$(wc -l <dead.csv)" = 97
true_that 'they say why' grep -qF "queue_full,the queue of kernel 'late' is full,\"{\"\"n\"\":99}\"" dead.csv
true_that 'they are counted' grep -qE 'dead-lettered queue_full +96' err_run
full spill
true_that 'all come' test "$(wc -l <late.csv)" = 101

# What run.fail_on counts: rows that should have gone on, and dead letters, each for itself.
full drop_newest 65 --set 'run.fail_on=[drop]'
has err_run '96 rows that should have gone on were dropped, and run.fail_on has drop'
full drop_newest 0 --set 'run.fail_on=[dead_letter]'
full dead_letter 0 --set 'run.fail_on=[drop]'
full dead_letter 65 --set 'run.fail_on=[dead_letter]'
has err_run '96 rows were dead-lettered, and run.fail_on has dead_letter'
run 0 run unread.yaml --set 'run.fail_on=[drop, dead_letter]'

# A member of a group that takes nothing keeps its share, and the others do all the rest.
cat >group.yaml <<'Y2'
version: 1
name: group
defaults: { queue: { capacity: 4 } }
kernels:
  src: { op: generate, with: { rows: 1000, batch_rows: 1, columns: { n: row } }, publish: jobs }
  works: { op: map, subscribe: { topic: jobs, group: g }, order: none, with: { derive: { m: n } } }
  count: { op: aggregate, from: [works], with: { compute: { rows: count() } } }
  dead: { op: write.csv, subscribe: { topic: jobs, group: g }, order: none, start: suspended, with: { path: dead.csv } }
  out: { op: write.csv, from: [count], with: { path: rows.csv } }
Y2
"$rkpipe" run group.yaml --quiet >out 2>err_run </dev/null &
await out terminated
last='rkpipe run group.yaml'
"$rkpipe" activate dead >out 2>err || bad 'dead is not activated'
code=0
wait $! || code=$?
true_that "exit $code" test "$code" = 0
true_that 'the dead one has four' test "$(wc -l <dead.csv)" = 5
is rows.csv $'rows\n996\n'

# Ctrl-C does not wait for a kernel that nobody activates.
cat >held.yaml <<'Y2'
version: 1
name: held
run: { mode: stream }
engine: { shutdown: { grace: 1h } }
kernels:
  src: { op: generate, with: { rows: 5, columns: { n: row } } }
  work: { op: map, from: [src], start: suspended, with: { derive: { m: n } } }
  out: { op: write.null, from: [work] }
Y2
held() { # held ARG..: exit 75, within the test's time
    last="rkpipe run held.yaml $*, then INT"
    "$rkpipe" run held.yaml --progress none "$@" >out 2>err_run </dev/null &
    await src terminated
    kill -INT $!
    code=0
    wait $! || code=$?
    cp err_run err
    true_that "exit $code" test "$code" = 75
}
held
has err "kernel 'work' is suspended: 5 rows were not delivered"
held --set run.mode=batch
has err "kernel 'work' is suspended: outputs with commit: rename were not published (5 rows were in flight)"

# Retained messages are there for who begins late, also when the publisher has ended: of each topic, however rows
# of several came in one batch.
cat >retain.yaml <<'Y2'
version: 1
name: retain
topics: { state/*: { retain: { count: 2 } } }
kernels:
  src:
    op: generate
    with: { rows: 12, batch_rows: 4, columns: { n: row, k: "row < 8 ? row % 4 : 0" } }
    publish: state/${this.k}
  last: { op: write.csv, subscribe: { topic: state/#, start: last }, start: suspended, with: { path: last.csv, columns: [n] } }
  early: { op: write.csv, subscribe: { topic: state/#, start: earliest }, start: suspended, with: { path: early.csv, columns: [n] } }
Y2
"$rkpipe" run retain.yaml --quiet >out 2>err_run </dev/null &
await src terminated
last='rkpipe run retain.yaml'
"$rkpipe" activate last >out 2>err || bad 'last is not activated'
"$rkpipe" activate early >out 2>err || bad 'early is not activated'
code=0
wait $! || code=$?
true_that "exit $code" test "$code" = 0
is last.csv $'n\n5\n6\n7\n8\n9\n10\n11\n'
is early.csv $'n\n1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n'
# Several subscriptions of one kernel to what one template makes: each row by the first that matches its topic, and all rows
# in the order in which they were published.
cat >several.yaml <<'Y'
version: 1
defaults: { batch: { count: 37 } }
kernels:
  in:
    op: generate
    with: { rows: 60000, batch_rows: 1000, columns: { n: row, k: "row % 3 == 0 ? 'a' : row % 3 == 1 ? 'b' : 'c'" } }
    publish: t/${this.k}
  out:
    op: write.csv
    subscribe:
      - { topic: t/a, where: n % 2 == 0 }
      - { topic: t/b }
      - { topic: "t/*", where: n % 5 != 0 }
    with: { path: several.csv }
Y
run 0 run several.yaml --summary none
awk 'BEGIN { print "n,k"; for (n = 0; n < 60000; n++) { k = substr("abc", n % 3 + 1, 1)
    if (k == "a" ? n % 2 == 0 : k == "b" ? 1 : n % 5 != 0) print n "," k } }' >want.csv
true_that 'rows of several subscriptions, in their order' cmp several.csv want.csv
run 0 plan several.yaml
checks=$((checks + 1))
[ "$(grep -c '; topic t/' out)" = 1 ] || bad 'not one edge'


# A batch job that only a command can bring on says so, and stop_after ends it.
cat >stuck.yaml <<'Y2'
version: 1
name: stuck
kernels:
  src: { op: generate, with: { rows: 5, columns: { n: row } } }
  work: { op: map, from: [src], start: suspended, with: { derive: { m: n } } }
  out: { op: write.csv, from: [work], with: { path: stuck.csv } }
Y2
last='rkpipe run stuck.yaml'
"$rkpipe" run stuck.yaml --progress none >out 2>err_run </dev/null &
job=$!
until_s=$((SECONDS + 60))
while ! grep -q 'nothing moves' err_run && [ "$SECONDS" -lt "$until_s" ]; do sleep 0.1; done
has err_run "nothing moves: kernel 'work' was not activated yet; to go on: rkpipe activate work"
$(sed -n 's/.*to go on: rkpipe/run 0/p' err_run)
code=0
wait "$job" || code=$?
true_that "exit $code" test "$code" = 0
true_that 'it went on' test "$(wc -l <stuck.csv)" = 6
true_that 'it is said once' test "$(grep -c 'nothing moves' err_run)" = 1
rm stuck.csv
for by in rows=1 duration=200ms; do
    run 75 run stuck.yaml --progress none --set "run.stop_after.$by"
    has err "run.stop_after: kernel 'work' is suspended: outputs with commit: rename were not published (5 rows"
    true_that 'nothing is published' test ! -e stuck.csv
done
finish
