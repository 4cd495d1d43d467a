#!/usr/bin/env bash
# Metrics of a running engine over its two listeners, and what the file may say about them.
. "$(dirname "$0")/lib.sh"

get() { # get PATH [HOST] [METHOD]: the answer in `out`
    exec 3<>"/dev/tcp/127.0.0.1/$port" || return 1
    printf '%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "${3:-GET}" "$1" "${2:-127.0.0.1:$port}" >&3
    timeout 30 cat <&3 >out
    exec 3<&- 3>&-
    last="${3:-GET} $1"
}
listening() { port=$(sed -n 's|^rkpipe: note: metrics are at http://127.0.0.1:\([0-9]*\)/.*|\1|p' run.err); [ -n "$port" ]; }
value() { sed -n "s/^$1 //p" out; }
is_value() { # is_value SERIES VALUE
    checks=$((checks + 1))
    [ "$(value "$1")" = "$2" ] || bad "$1 is '$(value "$1")', not '$2'"
}

cat >job.yaml <<'YAML'
version: 1
name: job
telemetry: { interval: 500ms, prometheus: { listen: "localhost:0", path: /rkpipe/metrics } }
kernels:
  read: { op: generate, with: { columns: { n: row }, rows: 3000 } }
  even: { op: filter, from: [read], with: { where: "n % 2 == 0" }, labels: { team: "a \"b\"" } }
  out: { op: write.null, from: [even] }
  wait: { op: generate, with: { columns: { n: row }, rows: 1 }, start: suspended }
  end: { op: write.null, from: [wait] }
YAML
launch job.yaml --summary none
true_that 'it says where metrics are' until_true listening
all_done() { get /rkpipe/metrics && [ "$(value 'rkpipe_kernel_absorbed_rows_total{kernel="out"}')" = 1500 ]; }
true_that 'the rows come through' until_true all_done
has out 'HTTP/1.1 200 OK' 'Content-Type: text/plain; version=0.0.4; charset=utf-8' '# TYPE rkpipe_kernel_in_rows_total counter'
is_value 'rkpipe_kernel_in_rows_total{kernel="read"}' 3000
is_value 'rkpipe_kernel_out_rows_total{kernel="even"}' 1500
is_value 'rkpipe_dropped_rows_total{kernel="even",reason="filter"}' 1500
is_value 'rkpipe_kernel_info{kernel="even",operator="filter",kind="transform",label_team="a \\"b\\""}' 1
is_value 'rkpipe_kernel_state{kernel="wait",state="launched"}' 1
is_value 'rkpipe_pipeline_info{pipeline="job",mode="batch",delivery="[a-z_]*"}' 1
is_value 'rkpipe_config_generation' 1
for path in / /metrics /live /v1/status /v1/shutdown /rkpipe/metrics/; do
    get $path
    has out 'HTTP/1.1 404 Not Found'
done
get /rkpipe/metrics evil.example
has out 'HTTP/1.1 403 Forbidden'
hasnt out rkpipe_kernel
get /rkpipe/metrics 127.0.0.1 POST
has out 'HTTP/1.1 405 Method Not Allowed' 'Allow: GET, HEAD'

run 0 status
has out 'since arrival' 'at work' 'p99.9'
run 0 status --json
has out '"batch_seconds":{"count":' '"latency_seconds":{"count":' '"p999":'

# A reload leaves what telemetry says, or is refused by the place.
sed 's/500ms/2s/' job.yaml >other.yaml
run 2 reload other.yaml
has err "other.yaml:3:24: error: 'telemetry.interval' cannot change while the pipeline runs [reload-fixed]"
sed 's/localhost:0/localhost:9464/' job.yaml >other.yaml
run 2 reload other.yaml
has err "'telemetry.prometheus.listen' cannot change while the pipeline runs [reload-fixed]"
sed 's|/rkpipe/metrics|/metrics|' job.yaml >other.yaml
run 2 reload other.yaml
has err "'telemetry.prometheus.path' cannot change while the pipeline runs [reload-fixed]"
printf 'not a pipeline' >other.yaml
run 2 reload other.yaml
get /rkpipe/metrics
is_value 'rkpipe_config_reload_total{outcome="rejected"}' 4
is_value 'rkpipe_config_last_reload_successful' 0
is_value 'rkpipe_config_generation' 1

run 0 activate wait
ended
checks=$((checks + 1))
! get /rkpipe/metrics 2>/dev/null || bad 'somebody listens after the end'

# A port that is taken.
sed 's/localhost:0/127.0.0.1:0/' job.yaml >one.yaml
launch one.yaml --summary none
true_that 'it says where metrics are' until_true listening
sed "s/name: job/name: two/; s/localhost:0/127.0.0.1:$port/" job.yaml >two.yaml
run 69 run two.yaml
has err "error: telemetry.prometheus: cannot listen at 127.0.0.1 port $port: Address already in use"
run 0 activate wait
ended

# What the file may say.
pipeline() { # pipeline TELEMETRY: in file.yaml
    printf 'version: 1\ntelemetry: { %s }\nkernels: { a: { op: generate, with: { columns: { n: row } } }, b: { op: write.null, from: [a] } }\n' "$1" >file.yaml
}
for at in 0.0.0.0:9464 '[::]:9464' 192.0.2.1:9464 example.com:9464 128.0.0.1:1; do
    pipeline "prometheus: { listen: \"$at\" }"
    run 78 check file.yaml
    has out 'is not an address of this machine alone, and others are not supported yet [not-supported]' 'hint: 127.0.0.1:'
done
for at in :9464 9464 127.0.0.1 127.0.0.1:70000 unix:/tmp/x http://127.0.0.1:9464 '::1:9464'; do
    pipeline "prometheus: { listen: \"$at\" }"
    run 78 check file.yaml
    has out "'listen' needs an address and a port, as in 127.0.0.1:9464, not"
done
for at in 127.0.0.1:9464 localhost:1 '[::1]:9464' 127.1.2.3:0; do
    pipeline "prometheus: { listen: \"$at\" }"
    run 0 check file.yaml
done
pipeline 'prometheus: { path: "a b" }'
run 78 check file.yaml
has out "'path' needs a path such as /metrics"
pipeline 'logs: { level: debug }'
run 78 check file.yaml
has out "'level' is info, warn or error, not 'debug'"
pipeline 'interval: 1us'
run 78 check file.yaml
has out "'interval'"
finish
