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
"$rkpipe" run live.yaml >run.out 2>run.err </dev/null &
engine=$!
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

run 64 alerts list p.yaml
has err "'alerts' does not know 'list'"
run 64 alerts export p.yaml
has err "'alerts export' needs a form"
run 69 alerts export --prometheus gone.yaml
sed -i 's/> 1$/> > 1/' p.yaml
run 78 alerts export --prometheus p.yaml
has err 'promql-syntax'
finish
