#!/usr/bin/env bash
# What Prometheus says of our metrics: promtool finds nothing, and a real one that scrapes a running engine has the values of `rkpipe status`.
. "$(dirname "$0")/lib.sh"

command -v promtool >/dev/null || {
    echo 'skipped: no promtool'
    exit 77
}
prometheus_pid=
trap '[ "$BASHPID" != $$ ] || { for p in $engine $prometheus_pid; do kill -KILL "$p" 2>/dev/null; done; rm -rf "$work"; }' EXIT

http() { # http PORT PATH: the body of the answer in `out`
    exec 3<>"/dev/tcp/127.0.0.1/$1" || return 1
    printf 'GET %s HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n' "$2" >&3
    timeout 30 cat <&3 | sed '1,/^\r*$/d' >out
    exec 3<&- 3>&-
    last="GET $2"
}
listening() { port=$(sed -n 's|^rkpipe: note: metrics are at http://127.0.0.1:\([0-9]*\)/.*|\1|p' run.err); [ -n "$port" ]; }
lint() { # lint NAME: `out` as promtool sees it
    checks=$((checks + 1))
    promtool check metrics <out >lint 2>&1 && [ ! -s lint ] || {
        head -20 lint
        bad "promtool finds something in $1"
    }
}

# Every kind of kernel and edge, bad rows, names that want escapes; what is suspended keeps the job open when all else is done.
cat >job.yaml <<'YAML'
version: 1
name: job
telemetry: { prometheus: { listen: "127.0.0.1:0" } }
dead_letter: { kernel: bin }
kernels:
  gen: { op: generate, with: { columns: { n: row, t: "concat('s', n % 3)", x: "if_bad" }, rows: 20000 }, publish: "in/${this.t}", labels: { team: "ri\\sk \"7\"", "a-b": "ü" } }
  even: { op: filter, subscribe: "in/#", with: { where: "n % 2 == 0" }, queue: { capacity: 4 } }
  add: { op: map, from: [even], with: { derive: { q: "to_int(x)" } }, replicas: 2, fuse: never, publish: out/all }
  sum: { op: aggregate, subscribe: "out/#", with: { by: [t], compute: { c: count() } }, batch: { count: 50 } }
  save: { op: write.csv, from: [sum], with: { path: sums.csv } }
  all: { op: write.jsonl, subscribe: out/all, with: { path: all.jsonl } }
  few: { op: write.null, subscribe: [{ topic: out/all, where: n < 100 }] }
  bin: { op: write.csv, with: { path: bad.csv } }
  wait: { op: generate, with: { columns: { n: row }, rows: 10 }, start: suspended }
  end: { op: write.null, from: [wait] }
YAML
sed -i "s/\"if_bad\"/\"n % 7 == 0 ? 'bad' : '1'\"/" job.yaml
launch job.yaml --summary none
true_that 'it says where metrics are' until_true listening || cat run.err
# A line for each kernel of the status, without what changes by itself.
steps() { "$rkpipe" status --json | sed 's/"edges":.*//; s/{"kernel":/\n"kernel":/g' | grep '^"kernel":' | sed 's/"since":"[^"]*",//' >"$1"; }
quiet() { # every second row is left out, every seventh of the others is bad
    local kernel
    steps before
    for kernel in gen even add sum save all few; do
        grep -q "^\"kernel\":\"$kernel\".*\"state\":\"terminated\"" before || return 1
    done
    grep -q '^"kernel":"bin".*"absorbed":1429,' before
}
true_that 'all is done but for what waits' until_true quiet
http "$port" /metrics
lint 'what is scraped'
cp out scraped

# A series of each kind, and no less than the row's labels: nothing is without HELP and TYPE.
for name in $(sed -n 's/^\([a-z_]*\).*/\1/p' scraped | sort -u); do
    checks=$((checks + 1))
    grep -qE "^# TYPE (${name}|${name%_bucket}|${name%_sum}|${name%_count}) " scraped || bad "$name has no TYPE"
done

command -v prometheus >/dev/null || {
    echo 'skipped: no prometheus'
    [ "$failed" = 0 ] || finish
    exit 77
}
cat >prometheus.yml <<YAML
global: { scrape_interval: 200ms, scrape_timeout: 200ms }
scrape_configs: [ { job_name: rkpipe, static_configs: [ { targets: [ "127.0.0.1:$port" ] } ] } ]
YAML
server=
serving() { http "$server" /-/ready && grep -q Ready out; }
for try in 1 2 3; do
    server=$((20000 + (RANDOM + $$ * try) % 20000))
    prometheus --config.file=prometheus.yml --storage.tsdb.path=tsdb --web.listen-address="127.0.0.1:$server" >prometheus.log 2>&1 &
    prometheus_pid=$!
    serves_or_ends() { ! kill -0 "$prometheus_pid" 2>/dev/null || serving 2>/dev/null; }
    until_true serves_or_ends
    kill -0 "$prometheus_pid" 2>/dev/null && break # or somebody has that port
done
query() { http "$server" "/api/v1/query?query=$1"; }
up() { query up && grep -q '"value":\[[0-9.]*,"1"\]' out; }
true_that 'Prometheus scrapes it' until_true up || cat prometheus.log
scrapes() {
    query "count_over_time(up%5B10m%5D)"
    sed -n 's/.*"value":\[[0-9.]*,"\([0-9]*\)".*/\1/p' out
}
seen=0
more() { [ "$(scrapes)" -gt $((seen + 2)) ]; }
scraped_again() { # all that it has is from now on
    seen=$(scrapes)
    true_that 'Prometheus scrapes on' until_true more
}
scraped_again
# from_prometheus METRIC LABEL..: lines "label label value", sorted
from_prometheus() {
    local metric=$1 labels=
    shift
    query "$metric"
    tr -d '\n' <out | sed 's/{"metric":/\n/g' | grep __name__ | while read -r line; do
        labels=
        for label; do labels="$labels$(sed -n "s/.*\"$label\":\"\([^\"]*\)\".*/\1/p" <<<"$line") "; done
        echo "$labels$(sed 's/.*"value":\[[0-9.e+]*,"\([^"]*\)"\].*/\1/' <<<"$line")"
    done | sort
}
sums() { awk '{ s[$1] += $2 } END { for (k in s) print k, s[k] }' | sort; } # of lines "label value"
# from_status FIELD: lines "kernel value"
from_status() { sed "s/^\"kernel\":\"\([^\"]*\)\".*\"$1\":\([0-9]*\).*/\1 \2/" before | sort; }
same() { # same METRIC FIELD
    from_prometheus "$1" kernel >theirs
    from_status "$2" >ours
    checks=$((checks + 1))
    [ -s ours ] && cmp -s ours theirs || {
        diff ours theirs
        bad "$1 in Prometheus is not '$2' of the status"
    }
}
same rkpipe_kernel_in_rows_total rows_in
same rkpipe_kernel_out_rows_total rows_out
same rkpipe_kernel_absorbed_rows_total absorbed
same rkpipe_kernel_batches_total batches
same rkpipe_kernel_in_bytes_total bytes_in
same rkpipe_kernel_out_bytes_total bytes_out
same rkpipe_kernel_restarts_total restarts
from_status dropped | grep -v ' 0$' >ours
from_prometheus rkpipe_dropped_rows_total kernel | sums >theirs
true_that 'dropped rows' cmp ours theirs
from_prometheus rkpipe_dead_letter_rows_total kernel | sums >theirs
from_status dead_lettered | grep -v ' 0$' >ours
true_that 'dead letters' cmp ours theirs
# Edges: sent and received of each, by both.
"$rkpipe" status --json | sed 's/.*"edges"://; s/{"from":/\n"from":/g' | sed -n 's/^"from":"\([^"]*\)","to":"\([^"]*\)",.*"sent":\([0-9]*\),"received":\([0-9]*\),.*/\1 \2 \3 \4/p' |
    awk '{ s[$1 " " $2] += $3; r[$1 " " $2] += $4 } END { for (k in s) print k, s[k], r[k] }' | sort >ours
for what in sent received; do
    from_prometheus "rkpipe_edge_${what}_rows_total" from to | awk '{ s[$1 " " $2] += $3 } END { for (k in s) print k, s[k] }' | sort >"theirs.$what"
done
join -j 1 <(sed 's/ /,/' theirs.sent | sort) <(sed 's/ /,/' theirs.received | sort) | sed 's/,/ /' | sort >theirs
checks=$((checks + 1))
cmp -s ours theirs || {
    diff ours theirs
    bad 'edges'
}
# Names that want escapes arrive as they are.
query 'rkpipe_kernel_info{kernel="gen"}'
has out '"label_team":"ri\\sk \"7\""' '"label_a_b":"ü"'
# Its own PromQL over our histograms gives the quantiles that the status has, as far as classic buckets go.
query 'histogram_quantile(0.5,rkpipe_kernel_batch_seconds_bucket{kernel="even"})'
checks=$((checks + 1))
grep -q '"value":\[[0-9.]*,"[0-9]' out || bad 'histogram_quantile has no value'
query 'max_over_time(scrape_duration_seconds%5B1m%5D)'
echo "a scrape took at most $(sed 's/.*"value":\[[0-9.]*,"\([^"]*\)".*/\1/' out) s, of $(grep -vc '^#' scraped) series"

# What a reload does is no reset of a counter.
sed 's/n % 2 == 0/n % 2 == 1/; s/few: .*/few2: { op: write.null, subscribe: out\/all }/' job.yaml >other.yaml
run 0 reload other.yaml
scraped_again
http "$port" /metrics
lint 'what is scraped after a reload'
for name in $(sed -n 's/^# TYPE \(rkpipe_[a-z_]*\) counter/\1/p' scraped) rkpipe_kernel_batch_seconds_bucket rkpipe_sink_latency_seconds_count; do
    query "sum(resets($name%5B1m%5D))"
    checks=$((checks + 1))
    grep -q '"value":\[[0-9.]*,"0"\]' out || bad "a counter went back: $name"
done
run 0 activate wait
ended
kill "$prometheus_pid"
wait "$prometheus_pid" 2>/dev/null
prometheus_pid=
finish
