#!/usr/bin/env bash
# Makes the pictures of the status page in docs/howto/ again. usage: shots.sh RKPIPE SOURCE_DIR
. "$(dirname "$0")/../cli/lib.sh"
chromium=$(command -v chromium || command -v google-chrome) && command -v node >/dev/null || { echo 'chromium and node are needed (./dev setup test)' >&2; exit 69; }

cat >payments.yaml <<'Y2'
version: 1
name: payments
run: { mode: stream }
admin: { listen: "127.0.0.1:0", token_file: token }
dead_letter: { kernel: letters }
kernels:
  cards: { op: generate, with: { columns: { n: row, amount: "(n * 37 % 1000) / 10", kind: "'card'" }, rate: 4000 }, publish: "payments/card" }
  transfers: { op: generate, with: { columns: { n: row, amount: "(n * 91 % 9000) / 10", kind: "'transfer'" }, rate: 1500 }, publish: "payments/transfer" }
  fee: { op: map, subscribe: ["payments/#"], with: { derive: { fee: "round(amount * 0.029, 2)", share: "100 // (n % 200)" } } }
  large: { op: filter, from: [fee], with: { where: "amount > 50" }, fuse: never }
  slow: { op: throttle, from: [large], with: { rate: 1200/s, burst: 100, on_excess: wait }, queue: { capacity: 8 } }
  ledger: { op: write.csv, from: [slow], with: { path: ledger.csv } }
  audit: { op: map, subscribe: ["payments/transfer"], with: { select: [n, amount] }, start: suspended, queue: { overflow: drop_oldest } }
  archive: { op: write.csv, from: [audit], with: { path: archive.csv } }
  letters: { op: write.jsonl, with: { path: letters.jsonl } }
alerts:
  - alert: DeadLettersGrow
    expr: sum by (kernel) (rate(rkpipe_dead_letter_rows_total[10s])) > 1
    severity: page
    labels: { team: risk }
    annotations: { summary: "{{ $labels.kernel }} rejects {{ $value }} rows/s" }
  - { alert: AuditStands, expr: 'rkpipe_kernel_in_rows_total{kernel="audit"} < 1', for: 1h, severity: warn, annotations: { summary: "nothing is audited" } }
Y2
(umask 077 && head -c 32 /dev/urandom | base64 >token)
run 0 check payments.yaml
launch payments.yaml --summary none
true_that 'where it listens' until_true grep -q 'commands are taken at http://127.0.0.1:' run.err
port=$(sed -n 's/.*commands are taken at http:.*:\([0-9]*\)$/\1/p' run.err)
node "$source/tests/page/shots.js" "$chromium" "$port" token "$source/docs/howto" || bad 'no pictures'
crash
finish
