#!/usr/bin/env bash
# Alert rules of a pipeline: checked, printed, exported as Prometheus reads them.
. "$(dirname "$0")/lib.sh"

cat >p.yaml <<'YAML'
version: 1
name: scoring
alerts:
  - alert: DeadLettersGrow
    expr: rate(rkpipe_dead_letter_rows_total[1m]) > 1
    for: 30s
    keep_firing_for: 1m
    severity: page
    labels: { team: risk }
    annotations: { summary: "{{ $labels.kernel }} rejects {{ $value | humanize }} rows/s" }
  - alert: Slow
    expr: |
      histogram_quantile(0.99, sum by (le) (rate(rkpipe_kernel_batch_seconds_bucket{kernel=~"a|b\\d"}[5m])))
        > 0.5
    every: 10s
    limit: 5
    annotations: { summary: 'it says "slow"' }
  - { alert: Full, expr: 'rkpipe_edge_queue_messages > 90', resolve_expr: 'rkpipe_edge_queue_messages < 50' }
kernels:
  a: { op: read.csv, with: { path: a.csv } }
  out: { op: write.csv, from: [a], with: { path: b.csv } }
YAML
printf 'x\n1\n' >a.csv

run 0 check p.yaml
run 0 check --print p.yaml
has out 'keep_firing_for: 1m' 'rate(rkpipe_dead_letter_rows_total[1m]) > 1'
run 0 alerts export --prometheus p.yaml
has out 'alert: DeadLettersGrow' 'for: 30s' 'keep_firing_for: 60s' 'severity: "page"' 'interval: 10s' 'limit: 5' \
    '# Full: left out, because it has resolve_expr, which Prometheus does not have'
has err "alert 'Full' is left out"
if command -v promtool >/dev/null; then
    cp out rules.yml
    true_that 'promtool takes the rules' promtool check rules rules.yml
else
    echo 'skipped: no promtool'
fi
# A running engine: an alert fires, is shown, and keeps its state over a reload that does not change it.
engine=
trap '[ "$BASHPID" != $$ ] || { [ -z "$engine" ] || kill -9 "$engine" 2>/dev/null; rm -rf "$work"; }' EXIT
pipeline() { # pipeline TEXT: what stands below the first rule
    cat <<END
version: 1
name: live
engine: { delivery: at_most_once }
run: { mode: stream }
telemetry: { interval: 50ms }
alerts:
  - { alert: Runs, expr: rkpipe_pipeline_info > 0, severity: info, annotations: { summary: "{{ \$labels.pipeline }} runs" } }
$1
kernels:
  numbers: { op: generate, with: { columns: { n: row }, rate: 1000/s } }
  out: { op: write.null, from: [numbers] }
END
}
firing() { # firing ALERT: it is
    "$rkpipe" alerts --format json 2>/dev/null </dev/null | grep -q "\"alert\":\"$1\",\"state\":\"firing\""
}
since() {
    "$rkpipe" alerts --format json </dev/null | sed 's/.*"alert":"Runs","state":"firing"//' | grep -o '"active_at":"[^"]*"' | head -1
}
pipeline '  - { alert: Never, expr: "rkpipe_pipeline_info > 5" }' >live.yaml
launch live.yaml
true_that 'the alert does not fire' until_true firing Runs
run 0 alerts
has out 'firing    info      Runs' 'pipeline=live' 'summary: live runs'
hasnt out Never
true_that 'it is logged' grep -qF 'rkpipe: alert Runs is firing: {' run.err
first=$(since)
pipeline '  - { alert: Also, expr: "rate(rkpipe_kernel_out_rows_total[1s]) > 0", for: 100ms }' >live.yaml
run 0 reload
true_that 'the new rule does not fire' until_true firing Also
true_that 'the old one began anew' [ "$(since)" = "$first" ]
pipeline '  - { alert: Odd, expr: "rkpipe_pipeline_info > on () rkpipe_kernel_state" }' >live.yaml
run 0 reload
true_that 'the mistake is not said' until_true grep -qF 'alert Odd cannot be evaluated: several series on the right side' run.err
run 0 alerts
has out 'rule Odd cannot be evaluated'
run 0 drain
wait "$engine" || bad "the engine ended with $?: $(cat run.err)"
engine=
run 69 alerts

# A job that is over before the first tick has one at its end.
cat >short.yaml <<'YAML'
version: 1
alerts: [ { alert: Read, expr: 'rkpipe_kernel_out_rows_total{kernel="a"} > 0' } ]
kernels:
  a: { op: read.csv, with: { path: a.csv } }
  out: { op: write.null, from: [a] }
YAML
run 0 run short.yaml
has err 'rkpipe: alert Read is firing'
sed -i 's/rkpipe_kernel_out_rows_total/rkpipe_kernel_outt_rows_total/' short.yaml
run 78 check short.yaml
has out "there is no metric 'rkpipe_kernel_outt_rows_total'" "did you mean 'rkpipe_kernel_out_rows_total'?"

# Changes of alerts are messages, also those that the look at the end of a job finds.
cat >told.yaml <<'YAML'
version: 1
alerts:
  - { alert: Read, expr: 'rkpipe_kernel_out_rows_total{kernel="a"} > 0', annotations: { summary: "{{ $labels.kernel }}: {{ $value }}" } }
  - { alert: Never, expr: 'rkpipe_kernel_out_rows_total{kernel="a"} > 5' }
kernels:
  a: { op: read.csv, with: { path: a.csv } }
  out: { op: write.null, from: [a] }
  told: { op: write.jsonl, subscribe: $alerts/#, with: { path: "-", columns: [alert, severity, state, was, labels, annotations, value] } }
  pages: { op: write.exec, subscribe: $alerts/Read, with: { argv: [sh, -c, 'cat >pages'], format: jsonl, columns: [alert, key] } }
YAML
run 0 run told.yaml --allow-exec
is out '{"alert":"Read","severity":"warn","state":"firing","was":"inactive","labels":{"alertname":"Read","kernel":"a","severity":"warn"},"annotations":{"summary":"a: 1"},"value":1.0}
'
true_that 'the command got it with a key' grep -qE '^\{"alert":"Read","key":"[0-9a-f]{16}"\}$' pages
true_that 'the engine gave what it published' grep -qE '^\$engine +\$engine +1 +1 +0 ' err
run 0 check told.yaml --allow-exec --set 'kernels.told.subscribe=$alerts/Raed'
has out "nobody publishes '\$alerts/Raed': no alert is named 'Raed'" "did you mean '\$alerts/Read'?"
# Who reads them is no reason for others to keep less.
run 0 plan told.yaml --allow-exec --set 'run.mode=stream' --set 'engine.delivery=at_least_once' --set 'kernels.pages.delivery=at_most_once' \
    --set 'kernels.told.with.path=t.jsonl' --set 'kernels.told.with.commit=append'
has out 'delivery at_least_once: engine.delivery'
# Who reads them comes and goes with a reload; what fires when its rule goes is resolved.
listening() { # listening RULES READER
    cat <<END
version: 1
name: live
engine: { delivery: at_most_once }
run: { mode: stream }
telemetry: { interval: 50ms }
alerts: [ $1 ]
kernels:
  numbers: { op: generate, with: { columns: { n: row }, rate: 1000/s } }
  out: { op: write.null, from: [numbers] }
${2:-}
END
}
runs='{ alert: Runs, expr: rkpipe_pipeline_info > 0 }'
reader='  told: { op: write.jsonl, subscribe: $alerts/#, with: { path: told.jsonl, commit: append, columns: [alert, state] } }'
listening "$runs" >live.yaml
launch live.yaml
true_that 'the alert does not fire' until_true firing Runs
listening "$runs, { alert: Also, expr: rkpipe_workers > 0 }" "$reader" >live.yaml
run 0 reload
true_that 'it is not told' until_true grep -qxF '{"alert":"Also","state":"firing"}' told.jsonl
listening "$runs" "$reader" >live.yaml
run 0 reload
true_that 'its end is not told' until_true grep -qxF '{"alert":"Also","state":"resolved"}' told.jsonl
listening "$runs" >live.yaml
run 0 reload
run 0 drain
wait "$engine" || bad "the engine ended with $?: $(cat run.err)"
engine=
true_that 'what fired before is not told' test "$(wc -l <told.jsonl)" = 2

# Alerts on data: rows of a kernel or of a topic, an alert for each key.
cat >data.yaml <<'YAML'
version: 1
alerts:
  - { alert: Huge, watch: { kernel: score }, where: amount > 90, key: customer, severity: page, annotations: { summary: "{{ $value }} of {{ $labels.customer }}" } }
  - { alert: Topic, watch: { topic: pay/# }, where: "meta.topic == 'pay/2'" }
  - { alert: Few, watch: { kernel: score }, where: amount >= 0, key: amount, limit: 2 }
kernels:
  a: { op: generate, with: { rows: 100, columns: { amount: row, customer: row % 3 } } }
  score: { op: map, from: [a], with: { derive: { x: amount } }, publish: "pay/${this.customer}" }
  out: { op: write.null, from: [score] }
  told: { op: write.jsonl, subscribe: $alerts/#, with: { path: told.jsonl, columns: [alert, state, labels, value] } }
YAML
run 0 run data.yaml
true_that 'nine rows of three customers' test "$(grep -c '"alert":"Huge","state":"firing".*"value":3.0' told.jsonl)" = 3
true_that 'the topic has 33 rows' grep -qxF '{"alert":"Topic","state":"firing","labels":{"alertname":"Topic","severity":"warn"},"value":33.0}' told.jsonl
true_that 'two keys, not more' test "$(grep -c '"alert":"Few"' told.jsonl)" = 2
has err 'summary "3 of 2"' 'alert Few cannot be evaluated: 98 rows were of more keys than its limit of 2' '$alert:Huge'
true_that 'its kernel takes all rows' grep -qE '^\$alert:Huge +\$alert +100 +100 +0 ' err
run 0 run data.yaml --summary json
true_that 'the sums are those without alerts' grep -q '"rows_out": *10[0-9],' err
run 0 alerts export --prometheus data.yaml
has out '# Huge: left out, because it is about rows'
run 78 check data.yaml --set 'alerts=[{alert: A, watch: {kernel: scor}, where: amount > 1}]'
has out "no kernel is named 'scor'" "did you mean 'score'?"
run 78 check data.yaml --set 'alerts=[{alert: A, watch: {kernel: score}, where: amout > 1}]'
has out "no column 'amout'" "did you mean 'amount'?"
sed 's/rows: 100, columns/rate: 1000\/s, columns/; s/path: told.jsonl/path: live.jsonl, commit: append/; s/^alerts:/run: { mode: stream }\ntelemetry: { interval: 50ms }\nalerts:/' data.yaml >live.yaml
launch live.yaml
true_that 'the alert on data does not fire' until_true firing Huge
run 0 alerts
has out 'firing    page      Huge' 'customer=1' 'rule Few cannot be evaluated'
run 0 alerts --format json
has out '"watch":"score where amount > 90 by customer"' '"rows_of_more_keys":'
sed -i '/alert: Huge/d' live.yaml
run 0 reload
true_that 'its end is not told' until_true grep -q '^{"alert":"Huge","state":"resolved"' live.jsonl
run 0 drain
wait "$engine" || bad "the engine ended with $?: $(cat run.err)"
engine=

run 64 alerts list p.yaml
has err "'alerts' does not know 'list'"
run 64 alerts export p.yaml
has err "'alerts export' needs a form"
run 69 alerts export --prometheus gone.yaml
sed -i 's/> 1$/> > 1/' p.yaml
run 78 alerts export --prometheus p.yaml
has err 'promql-syntax'
finish
