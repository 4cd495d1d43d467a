#!/usr/bin/env bash
# Notifications of a running engine: receivers, silences, what is kept over kill -9 and reload, secrets, run.fail_on.
. "$(dirname "$0")/lib.sh"

pipeline() { # pipeline ALERTS: a stream that runs until it is stopped
    cat <<END
version: 1
name: live
engine: { delivery: at_most_once, allow_exec: true }
run: { mode: stream }
telemetry: { interval: 50ms }
secrets: { hidden: { type: env } }
alerts:
$1
notify:
  receivers:
    ops: { file: { path: told.jsonl }, webhook: { url: "http://127.0.0.1:9/\${secret:hidden/TOKEN}", timeout: 1s }, log: {} }
    cmd: { exec: { argv: [sh, -c, "cat >>heard.jsonl; echo >>heard.jsonl"] } }
    sub: { topic: {} }
  route:
    receiver: ops
    group_by: [alert]
    group_wait: 10ms
    group_interval: 50ms
    routes:
      - { match: { severity: info }, receiver: cmd }
      - { matchers: ['alert=~"Pub.*"'], receiver: sub }
kernels:
  numbers: { op: generate, with: { columns: { n: row }, rate: 1000/s } }
  out: { op: write.null, from: [numbers] }
  notices: { op: write.jsonl, subscribe: \$notify/sub, with: { path: notices.jsonl, commit: append } }
END
}
told() { # told FILE ALERT STATE N: so often
    [ "$(grep -c "\"groupLabels\":{\"alertname\":\"$2\"}.*\"status\":\"$3\"" "$1" 2>/dev/null)" = "$4" ]
}
export TOKEN=xyzzy-secret
up='rkpipe_pipeline_info > 0'
A="  - { alert: Up, expr: \"$up\", severity: page, annotations: { summary: it runs } }"
B="  - { alert: Info, expr: \"$up\", severity: info }"
C="  - { alert: Public, expr: \"$up\" }"
D="  - { alert: Later, expr: \"$up\", for: 3s }"
pipeline "$A
$B
$C
$D" >live.yaml
start live.yaml
true_that 'a file is told' until_true told told.jsonl Up firing 1
true_that 'a command is told' until_true told heard.jsonl Info firing 1
true_that 'a topic is told' until_true grep -q '"receiver":"sub","status":"firing"' notices.jsonl
true_that 'the log is told' until_true grep -qF 'notify ops: 1 alert is firing: Up{' run.err
true_that 'who cannot be told is named' until_true grep -qF "receiver 'ops' (webhook) cannot be told now" run.err
run 0 alerts receivers
has out 'ops               webhook' 'it cannot be connected to' 'cmd               exec          1'
run 0 alerts receivers --format json
hasnt out xyzzy
run 0 check --print live.yaml
hasnt out xyzzy
hasnt run.err xyzzy
! command -v curl >/dev/null || true_that 'metrics count it' bash -c 'curl -s --unix-socket .rkpipe/live/admin.sock http://x/metrics | grep -q "^rkpipe_notifications_total{receiver=\"cmd\",kind=\"exec\",outcome=\"sent\"} 1"'

# Silences.
run 64 alerts silence alert=Later
run 64 alerts silence --for 1h
run 1 alerts silence 'a=~.*' --for 1h
has err 'none of these labels'
run 1 alerts silence 'a b' --for 1h
run 0 alerts silence alert=Later --for 1h --by me --comment 'it is known'
id=$(cat out)
run 0 alerts silences
has out "$id" 'alertname="Later"' '# it is known' 'me  '

true_that 'it fires' until_true grep -qF 'alert Later is firing' run.err
run 0 alerts
has out "          silenced by $id"
run 0 alerts --format json
has out "\"silenced_by\":[\"$id\"],\"inhibited_by\":[]" '"silenced_by":[],"inhibited_by":[]'

# kill -9, and the same again: what fires is not told twice, what was silenced is silent, `for` goes on.
true_that 'the state is kept' until_true grep -q '"alert":"Later"' .rkpipe/live/alerts.json
true_that 'it fires' until_true grep -qF 'alert Later is firing' run.err
true_that 'that is kept, too' until_true grep -q '"alert":"Later".*"state":"firing"' .rkpipe/live/alerts.json
crash
start live.yaml
run 0 alerts
has out 'firing    page      Up' 'firing    warn      Later'
run 0 alerts silences
has out "$id"
run 0 alerts unsilence "$id"
run 1 alerts unsilence "$id"
true_that 'what is not silenced any more is told' until_true told told.jsonl Later firing 1
true_that 'nobody is told twice' told told.jsonl Up firing 1
true_that 'nobody is told twice' told heard.jsonl Info firing 1
hasnt run.err 'alert Up is firing'

# A reload: a rule that is gone is resolved, other receivers take over.  What it would do can be seen before.
pipeline "${A/it runs/it still runs}
${B/ > 0/ > 0.5}
  - { alert: New, expr: \"$up\" }" >next.yaml
sed -i 's/timeout: 1s/timeout: 2s/; s/sub: { topic/pub: { topic/; s/receiver: sub/receiver: pub/; s/repeat_interval/&/; s/notify\/sub/notify\/pub/' next.yaml
run 0 reload --diff next.yaml
has out 'alerts change: Up (annotations; keeps its state), Info (expr; begins anew: 1 that fires is resolved)' 'alerts add: New' \
    'alerts remove: Public (1 that fires is resolved), Later (1 that fires is resolved)' 'receivers change: ops' 'receivers add: pub' \
    'receivers remove: sub' 'notify change: route'
run 0 reload --diff next.yaml --format json
has out '"alerts":{"same":[],"change":[{"alert":"Up","what":["annotations"],"keeps_state":true,"pending":0,"firing":1}'
hasnt out xyzzy
run 0 reload --diff
is out $'nothing would change\n'
pipeline "$A" >live.yaml
run 0 reload
has out 'alerts remove: Info (1 that fires is resolved), Public' 'applied: generation 2'
has run.err '; alerts remove: Info (1 that fires is resolved), Public'
true_that 'it is resolved' until_true told told.jsonl Later resolved 1
true_that 'for the command, too' until_true told heard.jsonl Info resolved 1
sed -i 's/receiver: ops/receiver: nobody/' live.yaml
run 2 reload
has err "there is no receiver 'nobody'"
stop
# A rule that is gone when it begins again is resolved as well.
pipeline '  - { alert: Other, expr: "rkpipe_pipeline_info > 5" }' >live.yaml
start live.yaml
true_that 'it is resolved by the next one' until_true told told.jsonl Up resolved 1
stop
true_that 'nothing is left' isnt test -e .rkpipe/live/alerts.json

# run.fail_on, also when the alert fires since an earlier run.
job() { # job FAIL_ON SEVERITY
    cat <<END
version: 1
name: job
run: { fail_on: [$1] }
alerts: [ { alert: Rows, expr: sum(rkpipe_kernel_in_rows_total) > 100, severity: $2 } ]
notify: { receivers: { ops: { file: job.jsonl } } }
kernels:
  numbers: { op: generate, with: { columns: { n: row }, rows: 500 } }
  out: { op: write.csv, from: [numbers], with: { path: out.csv } }
END
}
job alert:warn page >job.yaml
run 65 run job.yaml
has err "alert 'Rows' (page) has fired, and run.fail_on has alert:warn"
true_that 'it is told at the end, though its group would wait' grep -q '"status":"firing","receiver":"ops"' job.jsonl
true_that 'there is no output' isnt test -e out.csv
run 65 run job.yaml
true_that 'it is told once' test "$(wc -l <job.jsonl)" = 1
job alert:page warn >job.yaml
run 0 run job.yaml
true_that 'there is an output' test -e out.csv
finish
