#!/usr/bin/env bash
# The log of a run: text or JSON, on standard error or in a file, as far as it matters.
. "$(dirname "$0")/lib.sh"

cat >job.yaml <<'Y2'
version: 1
name: job
run: { mode: stream }
kernels:
  gen: { op: generate, with: { columns: { n: row }, rate: 100 } }
  log: { op: write.log, from: [gen], with: { format: json } }
  unheard: { op: generate, with: { columns: { n: row }, rate: 10 }, publish: t/x }
  out: { op: write.null, from: [unheard] }
Y2
objects() { # objects FILE: every line is an object with a time and a level
    true_that "lines of $1 that are no objects: $(grep -vE '^\{"time":"20[^"]*Z","level":"(info|warn|error)",.*\}$' "$1" | head -3)" \
        isnt grep -qvE '^\{"time":"20[^"]*Z","level":"(info|warn|error)",.*\}$' "$1"
}

# JSON on standard error: findings, reloads, rows of write.log, errors, the summary.
start job.yaml --set telemetry.logs.format=json
true_that 'rows' until_true grep -q '"kernel":"log","n":' run.err
cp job.yaml good.yaml
sed -i 's/rate: 100/rate: -1/' job.yaml
kill -HUP "$engine"
true_that 'a reload that is rejected' until_true grep -q '"level":"error","message":"reload rejected (SIGHUP)' run.err
cp good.yaml job.yaml
kill -HUP "$engine"
true_that 'a reload' until_true grep -q '"level":"info","message":"reload applied (SIGHUP): generation 2' run.err
stop
cp run.err err
objects run.err
has err "\"level\":\"warn\",\"message\":\"job.yaml:7:" "nobody subscribes to 't/x' [topic-unheard]" '"level":"error","message":"job.yaml:5:' \
    '"message":"the run has ended","summary":{"pipeline":"job","exit":0,'
run 0 run job.yaml --quiet --set telemetry.logs.format=json --set run.stop_after.rows=5
objects err
hasnt err 'topic-unheard'
hasnt err summary
run 1 run job.yaml --set telemetry.logs.format=json --set 'kernels.out={op: map, from: [unheard], with: {derive: {q: "1 // 0"}}, on_error: fail}' \
    --set 'kernels.end={op: write.null, from: [out]}' --summary none
objects err
has err '"level":"error","kernel":"out","message":"integer division by zero'

# In a file: what people look at stays on standard error, and an error is in both.
rm -rf .rkpipe
run 1 run job.yaml --set 'telemetry.logs={file: the.log}' --set 'kernels.out={op: map, from: [unheard], with: {derive: {q: "1 // 0"}}, on_error: fail}' \
    --set 'kernels.end={op: write.null, from: [out]}'
has err "rkpipe: error: kernel 'out'" 'generate'
hasnt err '"n":'
has the.log " error kernel 'out'"
true_that 'the time comes first' isnt grep -qvE '^(20[0-9T:.-]*Z (info|warn|error) |\{)' the.log
start job.yaml --set 'telemetry.logs={file: the.log, format: json}' --fresh
mv the.log old.log
true_that 'a new file' until_true grep -q '"n":' the.log
stop
objects the.log

# How much matters; rows are not measured by it.
rm -rf .rkpipe the.log
start job.yaml --set 'telemetry.logs={file: the.log, level: error}'
kill -HUP "$engine"
true_that 'rows' until_true grep -q '"n":' the.log
reloaded() { "$rkpipe" status --json | grep -q '"generation":2'; }
true_that 'a reload' until_true reloaded
stop
hasnt the.log 'reload applied'
start job.yaml --fresh
printf 'telemetry: { logs: { level: warn } }\n' | cat job.yaml - >other.yaml
run 2 reload other.yaml
has err "'telemetry.logs.level' cannot change while the pipeline runs"
stop
run 69 run job.yaml --set telemetry.logs.file=nowhere/the.log
has err "error: telemetry.logs: cannot open 'nowhere/the.log': No such file or directory"
run 78 check job.yaml --set telemetry.logs.format=xml
has out "'format' is text or json, not 'xml'"
finish
