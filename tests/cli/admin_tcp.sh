#!/usr/bin/env bash
# Commands over TCP, by those who have the token: what the file may say, what the engine refuses, and every remote verb.
. "$(dirname "$0")/lib.sh"

cat >job.yaml <<'Y2'
version: 1
name: job
run: { mode: stream }
admin: { listen: "127.0.0.1:0", token_file: admin.token }
kernels:
  tick: { op: generate, with: { columns: { n: row }, rate: 100 }, publish: t/x }
  out: { op: write.null, subscribe: [ t/x ] }
Y2

# What the file may say.
run 0 check job.yaml # the token may come later
run 69 run job.yaml
has err "error: admin.token_file: cannot read the token in 'admin.token': No such file" 'hint: (umask 077; '
(umask 077 && head -c 32 /dev/urandom | base64 >admin.token)
chmod 640 admin.token
run 78 check job.yaml
has out "the token in 'admin.token' can be read or changed by others (mode 640) [admin-token]" "hint: chmod 600 'admin.token'"
run 78 run job.yaml
chmod 600 admin.token
run 0 check job.yaml
for at in 127.0.0.1:9464 localhost:1 '[::1]:9464' 127.1.2.3:0; do
    run 0 check job.yaml --set "admin.listen=\"$at\""
done
for at in 0.0.0.0:9464 '[::]:9464' 192.0.2.1:9464 example.com:9464; do
    run 78 check job.yaml --set "admin.listen=\"$at\""
    has out 'is not an address of this machine alone, and others are not supported yet [not-supported]' 'hint: 127.0.0.1:'
done
for at in :9464 9464 127.0.0.1:70000 '::1:9464'; do
    run 78 check job.yaml --set "admin.listen=\"$at\""
    has out "'listen' needs unix:PATH, or an address and a port as in 127.0.0.1:8077, not"
done
run 78 check job.yaml --set 'admin={listen: "127.0.0.1:1"}'
has out "'listen: 127.0.0.1:1' needs 'token_file'" '[admin-token]'
for admin in '{token_file: x}' '{listen: none, token_file: x}' '{listen: "unix:a.sock", token_file: x}'; do
    run 78 check job.yaml --set "admin=$admin"
    has out "'token_file' is for an address, and 'listen' names none [admin-token]"
done
run 78 check job.yaml --set 'admin.tls={}'
has out "'tls' is not supported yet"

# An engine, and who may ask it.
launch job.yaml
true_that 'where it listens' until_true grep -q 'commands are taken at http://127.0.0.1:' run.err
port=$(sed -n 's/.*commands are taken at http:.*:\([0-9]*\)$/\1/p' run.err)
admin=(--admin "127.0.0.1:$port" --token-file admin.token)
true_that 'the engine does not run' until_true runs 1
true_that 'there is no socket beside it' isnt test -e .rkpipe/job/admin.sock
run 0 status "${admin[@]}"
has out 'job: running'
run 0 status --admin "http://localhost:$port/" --token-file admin.token
run 64 status --admin "127.0.0.1:$port"
has err 'needs --token-file FILE'
run 69 status
(umask 077 && echo 0123456789abcdef0123456789 >other.token)
run 1 status --admin "127.0.0.1:$port" --token-file other.token
has err 'error: this needs the token of the engine'
chmod 644 other.token
run 69 status --admin "127.0.0.1:$port" --token-file other.token
has err 'can be read or changed by others'
run 0 tap t/x --limit 3 "${admin[@]}"
true_that 'three rows' [ "$(wc -l <out)" = 3 ]
run 0 status --json "${admin[@]}" # what a kernel would take, and what has come of reloads
has out '"commands":["suspend","restart","terminate"]' '"reloads":{"applied":0,"rejected":0,"timed_out":0,"superseded":0}'
run 0 suspend tick "${admin[@]}"
run 0 status --json "${admin[@]}"
has out '"commands":["activate","restart","terminate"]'
run 0 resume tick "${admin[@]}"
run 0 alerts "${admin[@]}"
run 0 reload "${admin[@]}"
run 0 status --json "${admin[@]}"
has out '"reloads":{"applied":1,"rejected":0,'
run 2 rollback "${admin[@]}" --diff
if command -v curl >/dev/null; then
    status() { curl -s -o answer -w '%{http_code}' --max-time 60 "$@" "http://127.0.0.1:$port/v1/status"; }
    true_that 'without a token' [ "$(status)" = 401 ]
    true_that 'only that' isnt grep -q job answer
    true_that 'with another one' [ "$(status -H 'Authorization: Bearer 0123456789abcdef0123456789')" = 401 ]
    true_that 'with it' [ "$(status -H "Authorization: Bearer $(cat admin.token)")" = 200 ]
    true_that 'for a name that is not of here' [ "$(status -H "Authorization: Bearer $(cat admin.token)" -H 'Host: evil.example')" = 403 ]
    true_that 'as a password' [ "$(status -u "x:$(cat admin.token)")" = 200 ]
    true_that 'as a name it is none' [ "$(status -u "$(cat admin.token):x")" = 401 ]
    true_that 'for another page' [ "$(status -u "x:$(cat admin.token)" -H 'Origin: http://evil.example')" = 403 ]
    true_that 'for its own' [ "$(status -u "x:$(cat admin.token)" -H "Origin: http://127.0.0.1:$port")" = 200 ]
fi
# Another one at the same address; the token is said nowhere.
run 69 run job.yaml --set engine.data_dir=.rkpipe/second --set "admin.listen=\"127.0.0.1:$port\""
has err "error: admin.listen: cannot listen at 127.0.0.1 port $port: Address already in use"
stop
cat out err run.out run.err answer 2>/dev/null >all
hasnt all "$(cat admin.token)"
finish
