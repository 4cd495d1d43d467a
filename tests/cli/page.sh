#!/usr/bin/env bash
# The status page in headless Chromium: tests/page/page.js.
. "$(dirname "$0")/lib.sh"
command -v node >/dev/null || { echo 'skipped: no node (./dev setup test)'; exit 77; }
chromium=$(command -v chromium || command -v google-chrome) || { echo 'skipped: no chromium (./dev setup test)'; exit 77; }

cat >job.yaml <<'Y2'
version: 1
name: page-job
run: { mode: stream }
admin: { listen: "127.0.0.1:0", token_file: token }
telemetry: { interval: 100ms }
kernels:
  gen: { op: generate, with: { columns: { n: row }, rate: 200 }, publish: "sensors/raw" }
  even: { op: filter, subscribe: ["sensors/#"], with: { where: "n % 2 == 0" } }
  late: { op: map, subscribe: ["sensors/raw"], start: suspended, with: { derive: { x: "n + 1" } }, queue: { overflow: drop_oldest } }
  out: { op: write.null, from: [even] }
  other: { op: write.null, from: [late] }
alerts:
  - alert: LateWorks
    expr: rkpipe_kernel_in_rows_total{kernel="late"} > 0
    severity: page
    annotations: { summary: "late has begun" }
Y2
(umask 077 && head -c 32 /dev/urandom | base64 >token)
launch job.yaml --summary none
true_that 'where it listens' until_true grep -q 'commands are taken at http://127.0.0.1:' run.err
port=$(sed -n 's/.*commands are taken at http:.*:\([0-9]*\)$/\1/p' run.err)
last="page.js"
checks=$((checks + 1))
node "$source/tests/page/page.js" "$chromium" "$port" token job.yaml >out 2>err || bad 'the page is not as it should be'
cat out
ended
finish
