#!/usr/bin/env bash
# What came out of a store of secrets is seen nowhere: three of them are planted, used, and looked for in all that the engine and the commands say.
. "$(dirname "$0")/lib.sh"
command -v curl >/dev/null || { echo 'skipped: no curl'; exit 77; }

export PLANTED=canary-env-4711
printf 'password: "canary-\\"file-0815"\nnumber: "1234543217"\n' >secrets.yaml
mkdir store && printf 'canary-dir-9157\n' >store/token
canaries() { grep -rlaE 'canary-|1234543217' "$@"; }
hidden() { true_that "a secret is in: $(canaries "$@")" isnt canaries "$@"; } # hidden FILE..

# Where others would see it for sure, it is refused.
shown() { # shown FIELD KERNELS [MORE]
    printf 'version: 1\nsecrets: { env: { type: env } }\n%s\nkernels:\n  g: { op: generate, with: { columns: { n: row }, rows: 1 }%s }\n  o: { op: write.null, from: [g] }\n' "${3:-}" "$2" >shown.yaml
    run 78 check shown.yaml
    has out "'$1' cannot hold a secret: others could see it [secret-here]"
    hidden out err
}
S='"x${secret:env/PLANTED}"'
shown labels ", labels: { a: $S }"
shown publish ", publish: $S"
shown topic ", subscribe: [ { topic: $S } ]"
shown name '' "name: $S"
shown labels '' "alerts: [ { alert: A, expr: rkpipe_kernel_in_rows_total > 1, labels: { a: $S } } ]"
shown annotations '' "alerts: [ { alert: A, expr: rkpipe_kernel_in_rows_total > 1, annotations: { a: $S } } ]"
shown alert '' "alerts: [ { alert: $S, expr: rkpipe_kernel_in_rows_total > 1 } ]"
shown file '' "telemetry: { logs: { file: $S } }"
shown resource '' "telemetry: { otlp: { endpoint: 'http://x', resource: { a: $S } } }"

cat >job.yaml <<'Y2'
version: 1
name: job
description: "d ${secret:env/PLANTED} ${secret:dir/token}"
run: { mode: stream, summary: summary.json }
secrets: { env: { type: env }, file: { type: file, path: secrets.yaml }, dir: { type: dir, path: store } }
vars:
  v: { type: string, default: "${secret:file/password}" }
  w: { type: string, default: "${secret:dir/token}" }
  n: { type: int, default: "${secret:file/number}" }
dead_letter: { store: {} }
reload: { watch: true, debounce: 50ms }
engine: { checkpoint: { interval: 50ms } }
telemetry: { interval: 50ms, otlp: { endpoint: "http://127.0.0.1:1/${secret:dir/token}", interval: 50ms, headers: { authorization: "Bearer ${secret:file/password}" }, traces: 1 } }
schemas: { s: { a: i64, b: i64 } }
kernels:
  gen: { op: generate, with: { columns: { n: row }, rate: 200 }, publish: t/x, description: "${secret:file/password}" }
  data: { op: map, subscribe: [ t/x ], with: { derive: { pass: "var.v", token: "concat('<', var.w, '>')", number: "var.n + n", q: "10 // (n % 5)" } } }
  log: { op: write.log, from: [data] }
  gone: { op: read.csv, on_error: dead_letter, with: { path: "in-${secret:env/PLANTED}.csv", schema: s } }
  out: { op: write.csv, from: [gone], with: { path: "out-${secret:dir/token}.csv" } }
alerts:
  - { alert: Many, expr: "rkpipe_kernel_in_rows_total > 10", annotations: { summary: "{{ $value }}" } }
Y2
printf 'a,b\n1\n2,x\n' >in-canary-env-4711.csv
sed "s/op: map/op: mop/; s/schema: s/schema: 's\${secret:env\/PLANTED}'/; s/rate: 200/rate: '\${secret:file\/password}'/" job.yaml >wrong.yaml

# Commands that do not run it.
for verb in 'check' 'check --format json' 'check --format sarif' 'check --print' plan graph 'graph --format json'; do
    # shellcheck disable=SC2086
    run 0 $verb job.yaml
    hidden out err
done
for format in text json sarif; do
    run 78 check wrong.yaml --format "$format"
    hidden out err
done
run 69 run job.yaml --set kernels.log='{op: write.csv, from: [data], with: {path: "nowhere/${secret:dir/token}.csv"}}' --set engine.data_dir=.rkpipe/x --summary none
has err 'nowhere/***'
hidden err
rm -rf .rkpipe

http() { curl -s --max-time 60 --unix-socket .rkpipe/job/admin.sock "$@"; }
letters() { http http://x/v1/dlq/letters | grep -q '"kernel":"gone"' && http http://x/v1/alerts | grep -q '"state":"firing"'; }
for logs in '{}' '{format: json}' '{format: json, file: the.log}' '{format: text, file: the.log}'; do
    rm -rf .rkpipe said && mkdir said
    start job.yaml --set "telemetry.logs=$logs" --fresh
    true_that 'letters and an alert' until_true letters
    for path in /v1/status /v1/graph /v1/kernels /v1/kernels/data /v1/topics /v1/alerts /v1/config /v1/generations /v1/dlq /v1/dlq/letters \
        /metrics '/v1/tap?topic=t/%23&limit=3' '/v1/tap?topic=kernel:data&limit=30' '/v1/tap?topic=kernel:data&limit=30&format=csv'; do
        http "http://x$path" >"said/get$(printf %s "$path" | tr -c a-z0-9 _)"
    done
    http "http://x/v1/tap?topic=kernel:data&limit=1&where=var.v%20%3D~%20'canary'" >said/where # a condition could guess it
    true_that 'a secret variable is none for a tap' grep -q "'where': " said/where
    http -X POST 'http://x/v1/config:check?file=wrong.yaml' >said/check
    http -X POST http://x/v1/config:check --data-binary @wrong.yaml >said/check_text
    http -X POST 'http://x/v1/config:apply?file=wrong.yaml' >said/apply
    http -X POST 'http://x/v1/dlq:replay?dry=1' >said/replay
    http -X POST http://x/v1/dlq:replay >said/replayed
    http http://x/v1/config >said/config
    for args in 'dlq show job.yaml' 'dlq show job.yaml --format json' 'dlq show job.yaml --format csv' 'dlq list job.yaml --format json' status 'status --json' alerts 'tap kernel:data --limit 5' 'reload wrong.yaml' 'reload --diff' 'suspend data' 'resume data'; do
        # shellcheck disable=SC2086
        "$rkpipe" $args >"said/cli_$(printf %s "$args" | tr -c a-z _)" 2>&1
    done
    cp wrong.yaml job.yaml.new && cp job.yaml job.yaml.old && mv job.yaml.new job.yaml # by the watch
    rejected() { cat run.err the.log 2>/dev/null | grep -q 'mop'; }
    true_that 'the change is rejected' until_true rejected
    mv job.yaml.old job.yaml
    # What is kept on disk: checkpoints know the names of files, but no value; what is kept for a rollback is the text before anything is filled in.
    true_that 'a checkpoint' until_true compgen -G '.rkpipe/job/checkpoints*/*.ckpt'
    values() { grep -rlaE 'file-0815|1234543217' .rkpipe/job --exclude-dir=dlq; }
    true_that "a value is in: $(values)" isnt values
    stop
    cp run.out run.err summary.json said
    if [ -e the.log ]; then mv the.log said; fi
    true_that 'enough was said' test "$(cat said/* | wc -c)" -gt 20000
    true_that 'rows are shown without it' grep -q '"pass":"\*\*\*"' said/get_v1_tap_topic_kernel_data_limit_30
    hidden said
    if [ "$logs" = '{format: json}' ]; then
        cp said/run.err err
        true_that 'a line that is no object' isnt grep -v '^{"time":"20.*}$' said/run.err
    fi
done
finish
