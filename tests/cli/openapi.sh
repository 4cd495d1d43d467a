#!/usr/bin/env bash
# Each call of schemas/openapi.yaml, by curl to a running engine; each answer by the schema that stands there.
. "$(dirname "$0")/lib.sh"
command -v curl >/dev/null || { echo 'skipped: no curl'; exit 77; }
python=
for p in python3 /usr/bin/python3; do
    [ -n "$python" ] || ! "$p" -c 'import yaml, jsonschema; jsonschema.Draft202012Validator' 2>/dev/null || python=$p
done
[ -n "$python" ] || { echo 'skipped: no python3 with yaml and jsonschema of at least 4.0 (./dev setup test)'; exit 77; }

cat >job.yaml <<'Y2'
version: 1
name: job
run: { mode: stream }
dead_letter: { store: {} }
reload: { quiesce_timeout: 50ms, watch: true }
kernels:
  gen: { op: generate, with: { columns: { n: row }, rate: 500 }, publish: t/x }
  div: { op: map, subscribe: [ { topic: t/x, where: "n < 1000000000" } ], with: { derive: { q: "10 // (n % 5)" } } }
  out: { op: write.null, from: [div] }
  big: { op: read.csv, with: { path: big.csv } }
  drain: { op: write.null, from: [big] }
  other: { op: write.null, subscribe: [ t/x ] }
  late: { op: write.null, subscribe: [ t/x ], start: suspended, queue: { overflow: drop_newest } }
alerts:
  - { alert: Many, expr: "rkpipe_kernel_in_rows_total > 1", severity: page, labels: { team: risk }, annotations: { summary: "{{ $value }}" } }
  - { alert: Fives, watch: { kernel: div }, where: "n % 7 == 0", throttle: 1s }
notify: { receivers: { ops: { log: {} } }, route: { receiver: ops } }
telemetry: { interval: 50ms }
Y2
sed 's/% 5/% 4/' job.yaml >next.yaml
sed 's/op: map/op: mop/' job.yaml >wrong.yaml
head -c 70000 /dev/zero | tr '\0' x >large
{
    echo a,b
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18; do
        head -c 1000000 /dev/zero | tr '\0' x
        echo
    done
} >big.csv

cat >calls <<'Y2'
200 GET / /
200 GET /live /live
200 GET /ready /ready
200 GET /metrics /metrics
200 GET /v1/status /v1/status
200 GET /v1/graph /v1/graph
200 GET /v1/kernels /v1/kernels
200 GET /v1/kernels/{id} /v1/kernels/div
404 GET /v1/kernels/{id} /v1/kernels/nobody
200 GET /v1/topics /v1/topics
200 GET /v1/tap '/v1/tap?topic=t/%23&limit=20'
200 GET /v1/tap '/v1/tap?topic=kernel:div&limit=20&format=csv'
200 GET /v1/tap '/v1/tap?topic=t/%23&limit=3&where=n%20%25%202%20%3D%3D%200'
400 GET /v1/tap '/v1/tap?topic=t/%23&limit=3&where=nn%20%3D%3D%200'
400 GET /v1/tap '/v1/tap?topic=nobody/publishes'
400 GET /v1/tap /v1/tap
200 GET /v1/alerts /v1/alerts
200 GET /v1/notify /v1/notify
200 POST /v1/notify:silence '/v1/notify:silence?matchers=team%3D%22risk%22&seconds=60&by=me&comment=at%20work'
400 POST /v1/notify:silence '/v1/notify:silence?matchers=team&seconds=60'
400 POST /v1/notify:silence '/v1/notify:silence?matchers=team%3D%22risk%22&seconds=0'
200 GET /v1/notify /v1/notify
404 POST /v1/notify:unsilence '/v1/notify:unsilence?id=nobody'
400 POST /v1/notify:unsilence /v1/notify:unsilence
200 POST /v1/kernels/{id}:suspend /v1/kernels/other:suspend
409 POST /v1/kernels/{id}:suspend /v1/kernels/other:suspend
404 POST /v1/kernels/{id}:suspend /v1/kernels/nobody:suspend
200 GET /v1/status /v1/status
200 POST /v1/kernels/{id}:resume /v1/kernels/other:resume
409 POST /v1/kernels/{id}:resume /v1/kernels/other:resume
404 POST /v1/kernels/{id}:resume /v1/kernels/nobody:resume
200 POST /v1/kernels/{id}:deactivate /v1/kernels/other:deactivate
409 POST /v1/kernels/{id}:deactivate /v1/kernels/other:deactivate
404 POST /v1/kernels/{id}:deactivate /v1/kernels/nobody:deactivate
200 POST /v1/kernels/{id}:activate /v1/kernels/other:activate
409 POST /v1/kernels/{id}:activate /v1/kernels/other:activate
404 POST /v1/kernels/{id}:activate /v1/kernels/nobody:activate
200 POST /v1/kernels/{id}:restart /v1/kernels/other:restart
404 POST /v1/kernels/{id}:restart /v1/kernels/nobody:restart
200 POST /v1/kernels/{id}:terminate /v1/kernels/late:terminate
409 POST /v1/kernels/{id}:terminate /v1/kernels/late:terminate
404 POST /v1/kernels/{id}:terminate /v1/kernels/nobody:terminate
409 POST /v1/kernels/{id}:restart /v1/kernels/late:restart
200 GET /v1/config /v1/config
200 POST /v1/config:check /v1/config:check
200 POST /v1/config:check '/v1/config:check?file=next.yaml'
200 POST /v1/config:check /v1/config:check --data-binary @next.yaml -H 'Content-Type: application/yaml'
422 POST /v1/config:check '/v1/config:check?file=wrong.yaml'
422 POST /v1/config:check /v1/config:check --data-binary @wrong.yaml
400 POST /v1/config:check '/v1/config:check?file=next.yaml' --data-binary @next.yaml
413 POST /v1/config:check /v1/config:check --data-binary @large
200 POST /v1/config:apply '/v1/config:apply?file=next.yaml&dry=1'
200 POST /v1/config:apply '/v1/config:apply?file=next.yaml'
422 POST /v1/config:apply '/v1/config:apply?file=wrong.yaml'
400 POST /v1/config:apply '/v1/config:apply?dry=maybe'
200 GET /v1/config /v1/config
200 GET /v1/generations /v1/generations
200 POST /v1/config:rollback '/v1/config:rollback?generation=1&dry=1'
200 POST /v1/config:rollback /v1/config:rollback
422 POST /v1/config:rollback '/v1/config:rollback?generation=77'
400 POST /v1/config:rollback '/v1/config:rollback?generation=0'
200 GET /v1/status /v1/status
200 GET /v1/dlq /v1/dlq
200 GET /v1/dlq '/v1/dlq?kernel=div&reason=zero'
400 GET /v1/dlq '/v1/dlq?kernel='
200 GET /v1/dlq/letters /v1/dlq/letters
200 GET /v1/dlq/letters '/v1/dlq/letters?kernel=div&reason=zero&limit=3'
400 GET /v1/dlq/letters '/v1/dlq/letters?limit=1001'
413 GET /v1/dlq/letters '/v1/dlq/letters?kernel=big'
200 POST /v1/dlq:replay '/v1/dlq:replay?dry=1&kernel=div'
400 POST /v1/dlq:replay '/v1/dlq:replay?dry=2'
200 POST /v1/dlq:replay '/v1/dlq:replay?kernel=nobody'
200 POST /v1/dlq:replay '/v1/dlq:replay?kernel=div'
200 POST /v1/kernels/{id}:suspend /v1/kernels/div:suspend
409 POST /v1/dlq:replay '/v1/dlq:replay?kernel=div'
200 POST /v1/kernels/{id}:activate /v1/kernels/div:activate
400 POST /v1/shutdown '/v1/shutdown?wait=7'
200 POST /v1/shutdown '/v1/shutdown?wait=1'
Y2
cat >over_tcp <<'Y2'
200 GET / /
200 GET /live /live
200 GET /v1/status /v1/status
200 GET /v1/tap '/v1/tap?topic=t/x&limit=5'
404 GET /v1/dlq /v1/dlq
404 GET /v1/dlq/letters /v1/dlq/letters
404 POST /v1/dlq:replay '/v1/dlq:replay?dry=1'
200 POST /v1/config:check /v1/config:check
202 POST /v1/shutdown /v1/shutdown
503 GET /ready /ready
Y2
by_schema() { # by_schema [BASE CURL_ARG.. -- CALLS]
    last="openapi.py $*"
    checks=$((checks + 1))
    "$python" "$source/tests/cli/openapi.py" "$source/schemas/openapi.yaml" seen "$@" >out 2>err || bad 'the API is not as its file says'
}

# Over a socket.
start job.yaml --summary none
http() { curl -s --unix-socket .rkpipe/job/admin.sock "http://x$1" "${@:2}"; }
has_some() { http /v1/dlq | grep -q '"reason":"zero","rows":[0-9]\{3\}' && http /v1/alerts | grep -q '"state":"firing"'; }
true_that 'letters and alerts' until_true has_some
silenced=$(http '/v1/notify:silence?matchers=team%3D%22web%22&seconds=60' -X POST | sed 's/.*"id":"\([^"]*\)".*/\1/')
sed -i "1i 200 POST /v1/notify:unsilence '/v1/notify:unsilence?id=$silenced'" calls
by_schema http://localhost --unix-socket .rkpipe/job/admin.sock -- calls
ended

# Over TCP: without the token everything is 401, and nothing happens; with it the rest is seen.
(umask 077 && head -c 32 /dev/urandom | base64 >token)
cat >slow.yaml <<'Y2'
version: 1
name: slow
run: { mode: stream }
admin: { listen: "127.0.0.1:0", token_file: token }
engine: { shutdown: { grace: 5m } } # what waits is delivered, however long the calls before took
kernels:
  gen: { op: generate, with: { columns: { n: row }, rate: 1000 }, publish: t/x }
  slow: { op: throttle, subscribe: [ { topic: t/x, start: now } ], with: { rate: 100/s, burst: 1, on_excess: wait }, queue: { capacity: 32, overflow: block } }
  out: { op: write.null, from: [slow] }
Y2
launch slow.yaml --summary none
true_that 'where it listens' until_true grep -q 'commands are taken at http://127.0.0.1:' run.err
port=$(sed -n 's/.*commands are taken at http:.*:\([0-9]*\)$/\1/p' run.err)
admin=(--admin "127.0.0.1:$port" --token-file token)
true_that 'the engine does not run' until_true runs 1
by_schema "http://127.0.0.1:$port" -- 401
waits() { "$rkpipe" status "${admin[@]}" --json | grep -qE '"to":"slow","topic":"t/x".*"in_flight":[0-9]{3}'; } # so that it takes a while to drain
true_that 'a queue' until_true waits
by_schema "http://127.0.0.1:$port" -H "Authorization: Bearer $(cat token)" -- over_tcp
ended
by_schema
finish
