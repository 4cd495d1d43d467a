#!/usr/bin/env bash
# What a running engine answers about texts and dead letters: /v1/config:check and /v1/dlq*.
. "$(dirname "$0")/lib.sh"
command -v curl >/dev/null || { echo 'skipped: no curl'; exit 77; }

ask() { # ask STATUS METHOD TARGET CURL_ARG..: the answer is in out
    local want=$1 method=$2 target=$3 got
    shift 3
    last="$method $target"
    got=$(curl -s -o out -w '%{http_code}' --max-time 60 --unix-socket .rkpipe/job/admin.sock -X "$method" "$@" "http://x$target")
    checks=$((checks + 1))
    [ "$got" = "$want" ] || bad "$got, not $want"
}

printf 'a,b,c\n1,2.5,x\nbad,1,y\n3,4\n"4",5,"z, ""q"""\n' >in.csv
cat >job.yaml <<'Y2'
version: 1
name: job
run: { mode: stream }
dead_letter: { store: {} }
include: [part.yaml]
schemas: { s: { a: i64, b: f64, c: string } }
kernels:
  read: { op: read.csv, with: { path: in.csv, schema: s } }
  div: { op: map, from: [read], with: { derive: { q: "a // 0" } } }
  out: { op: write.csv, from: [div], with: { path: out.csv } }
Y2
cat >part.yaml <<'Y2'
kernels:
  tick: { op: generate, with: { columns: { n: row }, rate: 50 } }
  ticks: { op: write.null, from: [tick] }
Y2
start job.yaml
kept() { ask 200 GET /v1/dlq && grep -q '"rows":4,' out; }
true_that 'four letters' until_true kept
has out '"store":".rkpipe/job/dlq"' '{"kernel":"div","reason":"zero","rows":2,"oldest":"20'
ask 200 GET '/v1/dlq?kernel=div&reason=parse'
has out '"rows":1,"groups":[{"kernel":"div","reason":"parse","rows":1,'
ask 200 GET '/v1/dlq?kernel=nobody'
has out '"rows":0,"groups":[]}'

# The letters are those that the command shows.
run 0 dlq show job.yaml --format json
cp out shown
ask 200 GET /v1/dlq/letters
has out '"rows":4,"letters":[{"id"' '"damaged":0}'
while IFS= read -r line; do has out "$line"; done <shown
ask 200 GET '/v1/dlq/letters?limit=1&kernel=div&reason=zero'
has out '"rows":2,"letters":[{"id"' '"row":{"a":4,"b":5.0,"c":"z, \"q\""}}],'
hasnt out '"a":1,'
ask 400 GET '/v1/dlq/letters?limit=0'
ask 405 POST /v1/dlq
ask 200 POST '/v1/dlq:replay?dry=1'
has out '{"kernel":"div","reason":"zero","to":"div","rows":2}' '"would_replay":3,"would_stay":1}' # one that its source could not read
ask 200 POST '/v1/dlq:replay?dry=1&kernel=read'
has out '"would_replay":0,' 'their source takes them again only where the pipeline does not run'
true_that 'nothing has left the store' kept

# Checks: its own file, another one, a text in its place with the includes that run.
ask 200 POST /v1/config:check
is out $'{"file":"job.yaml","valid":true,"findings":[]}\n'
sed 's/op: map/op: mop/' job.yaml >wrong.yaml
ask 422 POST '/v1/config:check?file=wrong.yaml'
has out '"file":"wrong.yaml","valid":false' '"code": "op-unknown"' '"line": 9'
cp out first
run 78 check --format json wrong.yaml
true_that 'the same findings as check' cmp <(sed '1s/.*findings":/./;$d' first | tail -n +2) <(tail -n +2 out | sed '$d')
ask 422 POST /v1/config:check --data-binary @wrong.yaml
has out '"file":"job.yaml","valid":false' '"code": "op-unknown"'
ask 200 POST /v1/config:check --data-binary @job.yaml
has out '"valid":true'
ask 422 POST /v1/config:check --data-binary 'kernels: ['
ask 422 POST '/v1/config:check?file=nowhere.yaml'
has out '"code": "file-open"'
ask 400 POST '/v1/config:check?file=job.yaml' --data-binary @job.yaml
ask 413 POST /v1/config:check --data-binary "@$rkpipe" -H 'Expect:'
printf 'a: \0b' >nul
ask 422 POST /v1/config:check --data-binary @nul
run 0 status
has out 'job: running'
stop

# Nobody keeps any.
rm -rf .rkpipe
start job.yaml --set dead_letter='{kernel: ticks}'
ask 404 GET /v1/dlq
has out '"code":"no-store"'
stop
finish
