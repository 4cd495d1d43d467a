#!/usr/bin/env bash
# rkpipe dlq: what is kept of rows that went wrong, and how it is shown.
. "$(dirname "$0")/lib.sh"

printf 'a,b,c\n1,2.5,x\nbad,1,y\n3,4\n"4",5,"z, ""q"""\n' >in.csv
cat >job.yaml <<'Y'
version: 1
name: job
dead_letter: { store: {} }
schemas: { s: { a: i64, b: f64, c: string } }
kernels:
  read: { op: read.csv, with: { path: in.csv, schema: s } }
  div: { op: map, from: [read], with: { derive: { q: "a // 0" } } }
  out: { op: write.csv, from: [div], with: { path: out.csv } }
Y
run 69 dlq list
has err 'no dead letters are kept in this folder'
run 69 dlq list job.yaml
has err "pipeline 'job' has kept no dead letters in '.rkpipe/job/dlq'"
run 69 dlq list job.yaml --set 'dead_letter={kernel: out}'
has err 'it keeps them with dead_letter: {store: {}}'
run 0 plan job.yaml
has out 'dead_letter to disk'

# Without a target, a row that went wrong is kept and no more.
run 0 run job.yaml --set engine.threads=1
has err 'dead-lettered zero             2'
is out.csv $'a,b,c,q\n'
run 0 dlq list
has out 'kernel  reason  rows  oldest' 'read    fields     1  20' 'div     zero       2  20' 'div     parse      1  20' \
    "4 rows in '.rkpipe/job/dlq'"
run 0 dlq list job.yaml --kernel div --reason zero --format csv
true_that 'one group' test "$(wc -l <out)" = 2
has out 'kernel,reason,rows,oldest,newest' 'div,zero,2,20'
run 0 dlq list .rkpipe/job --format json
has out '"store": ".rkpipe/job/dlq"' '"rows": 4' '"kernel": "read"' '"oldest": "20'
run 0 dlq list .rkpipe/job/dlq --reason nothing
has out "0 rows in '.rkpipe/job/dlq'"

run 0 dlq show job.yaml
has out 'id   at' 'in.csv:4' '2 fields where 3 are expected' '{"a":"bad","b":1.0,"c":"y"}' \
    "cannot read 'bad' as i64 in column 'a'"
run 0 dlq show job.yaml --format json
has out '"kernel":"read","reason":"fields","error":"2 fields where 3 are expected","source":"in.csv","line":4,' \
    '"text":"3,4"}' '"text":"1,2.5,x","row":{"a":1,"b":2.5,"c":"x"}}' '"row":{"a":4,"b":5.0,"c":"z, \"q\""}}'
true_that 'a row a line' test "$(wc -l <out)" = 4
run 0 dlq show job.yaml --format csv --kernel div --limit 1
has out 'id,at,kernel,to,reason,error,source,line,topic,stamp,text,row' 'div,div,zero,integer division by zero [zero],in.csv,5,,' \
    '"{""a"":4,""b"":5.0,""c"":""z, \""q\""""}"'
true_that 'the newest one' test "$(wc -l <out)" = 2
run 0 dlq show --limit 1
has out 'the newest 1 of 4 rows; --limit N shows more'
run 0 dlq show --kernel none
has out 'no rows'

# A second run adds to them; with a target they go there as well.
{
    cat job.yaml
    echo '  dead: { op: write.jsonl, with: { path: dead.jsonl } }'
} >both.yaml
run 0 run both.yaml --set dead_letter.kernel=dead --quiet
true_that 'the target has them' grep -q '"reason":"zero"' dead.jsonl
run 0 dlq list
has out 'div     zero       4' "8 rows in '.rkpipe/job/dlq'"

# Long rows are kept whole, and bytes that are no text.
{
    printf 'a,b,c\n1,2.5,"'
    head -c 100000 /dev/zero | tr '\0' x
    printf '"\n7,\xff\xfe,c\n8,9\n'
} >in.csv
run 0 run job.yaml --set engine.data_dir=other --quiet
run 0 dlq show other --format json --kernel div --limit 2
true_that 'all of it' test "$(head -1 out | wc -c)" -gt 100000
has out '"text":"7,' '"b":"'

# What is damaged is left out, and said.
seg=$(ls other/dlq/*.seg)
printf 'X' | dd of="$seg" bs=1 seek=300 conv=notrunc 2>/dev/null
run 0 dlq list other
has err 'warning: 1 record is damaged and left out'
run 0 run job.yaml --set engine.data_dir=other --quiet
rm -r other/dlq
mkdir -p other
echo x >other/dlq
run 69 run job.yaml --set engine.data_dir=other
has err "dead letters cannot be kept: cannot open 'other/dlq'"

# Usage.
run 64 dlq
run 64 dlq lits
has err "did you mean 'list'?"
run 64 dlq show job.yaml --limit many
has err "--limit needs a number, not 'many'"
run 69 dlq list nothing.yaml
run 64 dlq list a b
mkdir -p .rkpipe/two/dlq
run 64 dlq list
has err 'dead letters of 2 pipelines are kept in this folder' 'one of .rkpipe/job/dlq'
finish
