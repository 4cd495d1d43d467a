#!/usr/bin/env bash
# Sources to which clients send, with the real binary: rows in, full pipelines, the end, and what stands in the way.
. "$(dirname "$0")/lib.sh"
command -v curl >/dev/null || { echo 'skipped: no curl'; exit 77; }

begin() { # begin FILE ARG..: runs it; pid, port
    : >err_run
    "$rkpipe" run "$@" --progress none --summary none >out 2>err_run </dev/null &
    pid=$!
    last="rkpipe run $*"
    until_true grep -q 'listens on' err_run || bad "it does not listen: $(cat err_run)"
    port=$(sed -n 's/.* listens on .*:\([0-9]*\)$/\1/p' err_run | head -1)
}
end() { # end EXIT [SIGNAL]
    kill -s "${2:-TERM}" "$pid"
    code=0
    wait "$pid" 2>/dev/null || code=$?
    checks=$((checks + 1))
    [ "$code" = "$1" ] || { cp err_run err; bad "exit $code, not $1"; }
}
send() { cat 2>/dev/null >"/dev/tcp/127.0.0.1/$port"; } # from standard input
lines() { [ "$(wc -l <out)" -ge "$1" ]; }
http() { # http STATUS CURL_ARG..
    local want=$1 got
    shift
    got=$(curl -s -o answer -w '%{http_code}' --max-time 60 "$@" "http://127.0.0.1:$port/in")
    checks=$((checks + 1))
    [ "$got" = "$want" ] || bad "curl $*: $got, not $want: $(cat answer)"
}

# Clients at the same time; each one's rows are whole and in order.
cat >tcp.yaml <<'Y'
version: 1
kernels:
  in: { op: read.tcp, with: { listen: "127.0.0.1:0" } }
  out: { op: write.stdout, from: [in], with: { format: csv, header: false } }
Y
run 0 check tcp.yaml
run 0 plan tcp.yaml
begin tcp.yaml
clients=()
for c in a b c d e f; do
    seq -f "$c %.0f" 3000 | send &
    clients+=($!)
done
wait "${clients[@]}"
printf 'the last one has no end' | send
until_true lines 18001 || bad 'rows are missing'
end 0
for c in a b c d e f; do
    true_that "the rows of $c, in order" diff <(grep "^$c " out) <(seq -f "$c %.0f" 3000)
done
true_that 'nothing else' [ "$(grep -vc '^[a-f] [0-9]*$' out)" = 1 ]

# A pipeline that is slower than its client: what comes out is the beginning of what was sent, without a gap, also when it is
# told to stop in the middle.
cat >slow.yaml <<'Y'
version: 1
kernels:
  in: { op: read.tcp, with: { listen: "127.0.0.1:0" } }
  slow: { op: throttle, from: [in], queue: { capacity: 2, bytes: 64KiB }, with: { rate: 20000/s, burst: 100, on_excess: wait } }
  out: { op: write.stdout, from: [slow], with: { format: csv, header: false } }
Y
begin slow.yaml
seq 5000000 | send 2>/dev/null &
client=$!
until_true lines 10000 || bad 'no rows'
end 0
wait "$client" 2>/dev/null
true_that 'no gap' diff out <(seq "$(wc -l <out)")
true_that 'it has not read all' [ "$(wc -l <out)" -lt 5000000 ]

# A client that has sent all and gone before the end loses nothing.
begin slow.yaml
seq 30000 | send
end 0
true_that 'all that was sent' diff out <(seq 30000)

# What is bad, and who has sent it.
cat >bad.yaml <<'Y'
version: 1
kernels:
  in: { op: read.tcp, on_error: drop, with: { listen: "127.0.0.1:0", format: jsonl, schema: { a: i64 }, client: from, max_message: 1KiB } }
  out: { op: write.stdout, from: [in], with: { format: csv, header: false } }
Y
begin bad.yaml
{
    echo '{"a":1}'
    echo '{"a":}'
    head -c 100000 /dev/zero | tr '\0' x
    echo
    echo '{"a":2}'
} | send
until_true lines 2 || bad 'rows are missing'
end 0
is out $'1,127.0.0.1\n2,127.0.0.1\n'
begin bad.yaml --set kernels.in.on_error=fail
echo '{' | send
code=0
wait "$pid" || code=$?
checks=$((checks + 1))
[ "$code" = 1 ] || bad "exit $code, not 1, after a bad row"
true_that 'the place of a bad row' grep -qE '127\.0\.0\.1:[0-9]+:1: ' err_run

# Somebody is there already; endless sources in a batch job; so many rows and no more.
begin tcp.yaml
run 69 run tcp.yaml --set engine.data_dir=other --set "kernels.in.with.listen=127.0.0.1:$port"
has err "error: kernel 'in': cannot listen on '127.0.0.1:$port': Address already in use"
end 0 INT
run 78 check tcp.yaml --set run.mode=batch
has out '[source-endless]'
run 78 check tcp.yaml --set engine.delivery=at_least_once
has out 'keeps at_most_once only'
begin tcp.yaml --set run.stop_after.rows=2
printf '1\n2\n' | send
code=0
wait "$pid" || code=$?
checks=$((checks + 1))
[ "$code" = 0 ] || bad "exit $code, not 0, after so many rows"

# HTTP, by Content-Length and in chunks.
printf 'a secret\n' >token
cat >http.yaml <<'Y'
version: 1
kernels:
  in:
    op: read.http
    with: { listen: "127.0.0.1:0", format: jsonl, schema: { n: i64, s: string? }, token_file: token, max_message: 64KiB }
  out: { op: write.stdout, from: [in], with: { format: csv, header: false } }
Y
begin http.yaml
auth='Authorization: Bearer a secret'
http 204 -H "$auth" --data-binary $'{"n":1}\n{"n":2,"s":"x"}'
http 204 -H "$auth" -X PUT -T - <<<'{"n":3}'
http 204 -H "$auth" -H 'Transfer-Encoding: chunked' --data-binary '{"n":4}'
http 204 -H "$auth" -H 'Expect: 100-continue' --data-binary '{"n":5}'
http 401 --data-binary '{"n":6}'
http 401 -H 'Authorization: Bearer another' --data-binary '{"n":6}'
http 400 -H "$auth" --data-binary $'{"n":6}\n{"n":"six"}'
has answer "line 2: column 'n': \"six\""
http 405 -H "$auth"
head -c 70000 /dev/zero >large
http 413 -H "$auth" --data-binary @large
http 415 -H "$auth" -H 'Content-Encoding: gzip' --data-binary x
until_true lines 5 || bad 'rows are missing'
end 0
is out $'1,\n2,x\n3,\n4,\n5,\n'
hasnt err_run 'a secret'

# Whoever got 204 finds all rows in the output, also when the source stops while others send.
cat >acked.yaml <<'Y'
version: 1
kernels:
  in: { op: read.http, with: { listen: "127.0.0.1:0" } }
  slow: { op: throttle, from: [in], queue: { capacity: 2 }, with: { rate: 2000/s, burst: 10, on_excess: wait } }
  out: { op: write.stdout, from: [slow], with: { format: csv, header: false } }
Y
begin acked.yaml
rm -f acked.*
for c in 1 2 3 4; do
    for i in $(seq 500); do
        seq -f "$c-$i-%.0f" 20 >"body.$c"
        got=$(curl -s -o /dev/null -w '%{http_code}' --max-time 60 --data-binary "@body.$c" "http://127.0.0.1:$port/")
        [ "$got" = 204 ] && cat "body.$c" >>"acked.$c"
        [ "$got" = 204 ] || break
    done &
done
until_true lines 1000 || bad 'no rows'
end 0
wait
for c in 1 2 3 4; do
    true_that "every row of client $c that was answered with 204" [ -z "$(comm -23 <(sort "acked.$c") <(sort out))" ]
done
true_that 'no row twice' [ -z "$(sort out | uniq -d)" ]

# A unix socket: there while it runs; one that a dead process left is replaced.
cat >unix.yaml <<'Y'
version: 1
kernels:
  in: { op: read.unix, with: { listen: in.sock, mode: "0600" } }
  out: { op: write.stdout, from: [in], with: { format: csv, header: false } }
Y
begin unix.yaml
true_that 'its rights' [ "$(stat -c %a in.sock)" = 600 ]
curl -s --max-time 1 --unix-socket in.sock http://x/ >/dev/null # any text will do
until_true lines 2 || bad 'no rows'
true_that 'rows' grep -qx 'GET / HTTP/1.1' out
run 69 run unix.yaml --set engine.data_dir=other
has err "cannot listen on 'in.sock': another process listens there"
end 137 KILL
true_that 'it is left' [ -S in.sock ]
begin unix.yaml
curl -s --max-time 1 --unix-socket in.sock http://x/ >/dev/null
until_true lines 2 || bad 'no rows after a crash'
end 0
true_that 'it is gone' [ ! -e in.sock ]
finish
