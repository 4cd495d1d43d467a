#!/usr/bin/env bash
# Metrics and traces of a job, as OpenTelemetry's own definitions read them; see agree.js.  usage: agree.sh RKPIPE SOURCE_DIR
set -eu
here=$(dirname "$(realpath "$0")")
rkpipe=$(realpath "$1") source=$(realpath "$2")
for need in node python3; do
    command -v "$need" >/dev/null 2>&1 || { echo "skipped: $need is not installed"; exit 77; }
done
[ -d "$here/node_modules/@opentelemetry" ] || { echo "skipped: not installed; tests/oracle/setup.sh does"; exit 77; }
work=$(mktemp -d)
trap '[ "$BASHPID" != $$ ] || rm -rf "$work"' EXIT
cd "$work"
mkdir col
python3 "$source/tests/cli/otlp.py" serve col 0 &
until=$((SECONDS + 60))
until [ -s col/port ]; do
    [ "$SECONDS" -lt "$until" ] || { echo 'no collector'; exit 1; }
    sleep 0.05
done
cat >job.yaml <<END
version: 1
name: job
engine: { threads: 2 }
telemetry: { otlp: { endpoint: "http://127.0.0.1:$(cat col/port)", interval: 20ms, resource: { "a.b": "c \\" d" }, traces: 0.5 } }
kernels:
  gen: { op: generate, with: { columns: { n: row, k: "n % 7" }, rows: 200000, rate: 400000 }, labels: { team: "ü \\" \\\\" } }
  even: { op: filter, from: [gen], with: { where: "n % 2 == 0" }, publish: t/even }
  next: { op: map, subscribe: ["t/#"], replicas: 2, on_error: drop, with: { derive: { m: "10 // (n % 3)" } } }
  sum: { op: aggregate, from: [next], with: { by: [k], compute: { c: count() } } }
  out: { op: write.null, from: [sum, even] }
END
"$rkpipe" run job.yaml --summary none || { touch col/stop; exit 1; }
touch col/stop
wait
[ ! -s col/bad ] || { cat col/bad; exit 1; }
node "$here/agree.js" col/metrics.jsonl col/traces.jsonl
