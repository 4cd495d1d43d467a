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
      histogram_quantile(0.99, sum by (le) (rate(rkpipe_kernel_seconds_bucket{kernel=~"a|b\\d"}[5m])))
        > 0.5
    every: 10s
    limit: 5
    annotations: { summary: 'it says "slow"' }
  - { alert: Full, expr: 'rkpipe_queue_fill_ratio > 0.9', resolve_expr: 'rkpipe_queue_fill_ratio < 0.5' }
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
run 64 alerts list p.yaml
has err "'alerts' does not know 'list'"
run 64 alerts export p.yaml
has err "'alerts export' needs a form"
run 69 alerts export --prometheus gone.yaml
sed -i 's/> 1$/> > 1/' p.yaml
run 78 alerts export --prometheus p.yaml
has err 'promql-syntax'
finish
