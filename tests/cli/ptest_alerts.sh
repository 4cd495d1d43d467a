#!/usr/bin/env bash
# rkpipe test: alerts, of a run and of given series. That the series mean what they mean in promtool: tests/oracle/ptest.py.
. "$(dirname "$0")/lib.sh"

cat >p.yaml <<'Y'
version: 1
name: p
telemetry: { interval: 15s }
alerts:
  - alert: Slow
    expr: rate(rkpipe_kernel_out_rows_total[1m]) < 5
    for: 30s
    keep_firing_for: 30s
    severity: page
    annotations: { summary: "{{ $labels.kernel }} at {{ $value }}" }
  - { alert: Huge, watch: { kernel: read }, where: n > 2, key: n, throttle: 20s }
  - { alert: Never, expr: rkpipe_kernel_out_rows_total > 1000000000 }
kernels:
  read: { op: read.csv, with: { path: x.csv, schema: { n: i64 } } }
  write: { op: write.csv, from: [read], with: { path: out.csv } }
  told: { op: write.jsonl, subscribe: $alerts/#, with: { path: told.jsonl, columns: [alert, state] } }
tests:
  - name: of series
    input_series:
      - { series: 'rkpipe_kernel_out_rows_total{kernel="read"}', values: '0+150x4 600+15x10 _x2 stale' }
    alerts:
      - { alert: Slow, state: inactive, at: 1m }
      - { alert: Slow, state: pending, at: 119s }
      - { alert: Slow, state: pending, at: 134s }
      - { alert: Slow, state: firing, at: 135s, labels: { kernel: read }, annotations: { summary: read at 1 } }
      - { alert: Slow, state: firing, at: 5m, count: 1 }
      - { alert: Slow, state: resolved }
      - { alert: Slow, state: firing, at: 3m, labels: { kernel: write }, count: 0 }
      - { alert: Slow, state: resolved, at: 10m }
      - { alert: Slow, state: inactive, at: 10m }
  - name: of rows
    from: read
    every: 1s
    input: [ { n: 1 }, { n: 3 }, { n: 3 } ]
    alerts:
      - { alert: Huge, state: firing, at: 15s, labels: { n: "3" }, count: 1 }
      - { alert: Huge, state: firing, at: 15s, labels: { n: "1" }, count: 0 }
      - { alert: Huge, state: resolved, at: 45s }
      - { alert: Slow, state: pending, at: 45s }
      - { alert: Slow, state: firing, at: 75s, labels: { kernel: read } }
    expect:
      write: 3
      told: { contains: [ { alert: Huge, state: firing }, { alert: Huge, state: resolved }, { alert: Slow, state: pending } ] }
Y
run 0 test p.yaml
is out $'ok    p.yaml: of series\nok    p.yaml: of rows\np.yaml: rows passed 3 of 3 kernels\np.yaml: 2 of 3 alerts fired; never Never\n2 tests, 0 failed\n'
is err ''
run 0 check p.yaml
has out 'ok: p.yaml (5 kernels, 2 tests)'

# What is not so is shown with its place, what there was, and how it came to that.
cat >bad.test.yaml <<'Y'
pipeline: p.yaml
tests:
  - name: too early
    input_series:
      - { series: 'rkpipe_kernel_out_rows_total{kernel="read"}', values: '0+150x4 600+15x10' }
    alerts:
      - { alert: Slow, state: firing, at: 134s, labels: { kernel: read }, annotations: { summary: fast } }
      - { alert: Slow, state: firing, at: 3m, annotations: { summary: fast } }
      - { alert: Slow, state: firing, at: 3m, count: 2 }
      - { alert: Slow, state: inactive, at: 2m }
      - { alert: Never, state: firing }
  - name: over before
    from: read
    input: [ { n: 3 } ]
    expect: { write: 1 }
    alerts: [ { alert: Huge, state: firing } ]
Y
run 1 test bad.test.yaml --junit results.xml
is out 'FAIL  bad.test.yaml: too early
  bad.test.yaml:7:9: error: alert '\''Slow'\'' is not firing at 2m14s [test-alert]
      7 |       - { alert: Slow, state: firing, at: 134s, labels: { kernel: read }, annotations: { summary: fast } }
        |         ^
    - expected, + got
    - firing  {kernel="read"}, summary "fast"
    + pending   {alertname="Slow", kernel="read", severity="page"} value 0.75, summary "read at 0.75"
  bad.test.yaml:8:9: error: alert '\''Slow'\'' is not firing at 3m [test-alert]
      8 |       - { alert: Slow, state: firing, at: 3m, annotations: { summary: fast } }
        |         ^
    - expected, + got
    - firing, summary "fast"
    + firing    {alertname="Slow", kernel="read", severity="page"} value 1, summary "read at 1"
  bad.test.yaml:9:9: error: alert '\''Slow'\'' is not so often in this state at 3m [test-alert]
      9 |       - { alert: Slow, state: firing, at: 3m, count: 2 }
        |         ^
    - expected, + got
    - firing  (2)
    + firing    {alertname="Slow", kernel="read", severity="page"} value 1
  bad.test.yaml:10:9: error: alert '\''Slow'\'' is not inactive at 2m [test-alert]
     10 |       - { alert: Slow, state: inactive, at: 2m }
        |         ^
    - expected, + got
    - inactive
    + pending   {alertname="Slow", kernel="read", severity="page"} value 0.75
  bad.test.yaml:11:9: error: alert '\''Never'\'' is not firing at the end [test-alert]
     11 |       - { alert: Never, state: firing }
        |         ^
    - expected, + got
    - firing
    + inactive
    changes of alerts:
      15s  Slow  inactive -> pending  {alertname="Slow", kernel="read", severity="page"} value 2.5
      30s  Slow  pending -> inactive  {alertname="Slow", kernel="read", severity="page"} value 2.5
      1m45s  Slow  inactive -> pending  {alertname="Slow", kernel="read", severity="page"} value 3
      2m15s  Slow  pending -> firing  {alertname="Slow", kernel="read", severity="page"} value 1
ok    bad.test.yaml: over before
p.yaml: rows passed 3 of 3 kernels
p.yaml: 2 of 3 alerts fired; never Never
2 tests, 1 failed
'
has results.xml 'failures="1"' "<failure message=\"alert 'Slow' is not firing at 2m14s [test-alert]\">"

# The same rule and the same rows in an engine: it fires there, too.
sed -e 's/interval: 15s/interval: 100ms/; s/\[1m\]/[1s]/; s/for: 30s/for: 200ms/; /^tests:/,$d' p.yaml >live.yaml
printf 'n\n1\n3\n3\n' >x.csv
run 0 run live.yaml
has err 'alert Huge is firing: {alertname="Huge", n="3", severity="warn"} value 2'

# A run that is over before the moment that is asked for; one that is stopped before it.
cat >short.yaml <<'Y'
version: 1
alerts: [ { alert: Many, expr: 'rkpipe_kernel_out_rows_total{kernel="a"} > 5', severity: page } ]
kernels:
  a: { op: generate, with: { rows: 10, rate: 1/s, columns: { n: row } } }
  out: { op: write.null, from: [a] }
tests:
  - name: t
    alerts:
      - { alert: Many, state: inactive, at: 5s }
      - { alert: Many, state: firing, at: 8s }
      - { alert: Many, state: firing, at: 1h }
      - { alert: Many, state: firing }
Y
run 1 test short.yaml
has out "short.yaml:11:9: error: the run was over after 9.001 s, before this moment [test-at]" '6s  Many  inactive -> firing' '1 test, 1 failed'
true_that 'the others are right' test "$(grep -c error: out)" = 1
sed -i 's/^    alerts:$/    stop_after: { duration: 3s }\n    alerts:/' short.yaml
run 78 test short.yaml
has out "short.yaml:10:9: error: the test is stopped after 3 s, and never sees this moment [test-at]"
# run.fail_on sees them as well, and a rule that cannot be evaluated is said.
sed -e '/stop_after/,$d' -e 's/^kernels:/run: { fail_on: ["alert:page"] }\nkernels:/' short.yaml >failing.yaml
printf "    fails: \"alert 'Many' (page) has fired\"\n    alerts: [ { alert: Many, state: firing } ]\n" >>failing.yaml
run 0 test failing.yaml
cat >odd.yaml <<'Y'
version: 1
alerts: [ { alert: Odd, expr: 'rkpipe_workers + on () rkpipe_kernel_out_rows_total > 0' } ]
kernels: { a: { op: generate, with: { rows: 1, columns: { n: row } } }, out: { op: write.null, from: [a] } }
tests:
  - name: t
    input_series:
      - { series: 'rkpipe_workers', values: '1x3' }
      - { series: 'rkpipe_kernel_out_rows_total{kernel="a"}', values: '_ 1x3' }
      - { series: 'rkpipe_kernel_out_rows_total{kernel="b"}', values: '_x2 1x3' }
    alerts: [ { alert: Odd, state: firing, at: 1s } ]
Y
sed -i 's/rkpipe_workers + on () rkpipe_kernel_out_rows_total/rkpipe_kernel_out_rows_total * on () rkpipe_kernel_out_rows_total/' odd.yaml
run 1 test odd.yaml
has out "alert 'Odd' cannot be evaluated at 2s: several series on the"

# What is wrong with a test is said at its place.
wrong() { # wrong TEXT LINES: of the first test of p.yaml
    {
        sed '/^tests:/,$d' p.yaml
        printf 'tests:\n  - name: t\n%s\n' "$2"
    } >wrong.yaml
    run 78 test wrong.yaml
    has out "$1"
}
rows='    from: read
    input: []
'
wrong "no alert is named 'Slo'" "$rows    alerts: [ { alert: Slo, state: firing } ]"
has out "did you mean 'Slow'?"
wrong "'state' is inactive, pending, firing or resolved, not 'fires'" '    alerts: [ { alert: Slow, state: fires } ]'
wrong "'inactive' means that there is none" '    alerts: [ { alert: Slow, state: inactive, count: 1 } ]'
wrong "alert 'Slow' has no annotation 'sumary'" "$rows    alerts: [ { alert: Slow, state: firing, annotations: { sumary: x } } ]"
wrong "alert 'Huge' looks at rows" '    input_series: [ { series: rkpipe_workers, values: 1 } ]
    alerts: [ { alert: Huge, state: firing } ]'
wrong "there is no metric 'rkpipe_worker'" '    input_series: [ { series: rkpipe_worker, values: 1 } ]'
has out "did you mean 'rkpipe_workers'?"
wrong "wrong.yaml:19:60: error: '1+x' is no value of a series [series-text]" '    input_series: [ { series: rkpipe_workers, values: "0 1 1+x" } ]'
wrong "is of rules alone and has no 'from'" "$rows    input_series: [ { series: rkpipe_workers, values: 1 } ]"
wrong "there are none" '    interval: 1s
    alerts: [ { alert: Slow, state: firing } ]'
wrong 'this series stands here twice' \
    '    input_series: [ { series: "rkpipe_workers{a=\"1\",b=\"2\"}", values: 1 }, { series: "rkpipe_workers{b=\"2\",a=\"1\"}", values: 1 } ]'
sed -i 's/interval: 15s/interval: 100ms/' p.yaml
wrong 'more than 1000000 times' '    input_series: [ { series: rkpipe_workers, values: 1 } ]
    alerts: [ { alert: Slow, state: firing, at: 7d } ]'
finish
