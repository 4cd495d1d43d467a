#!/usr/bin/env bash
# rkpipe dlq replay: rows that went wrong, once more through the pipeline as it is now.
. "$(dirname "$0")/lib.sh"

# listed FILE: rows of the store by kernel and reason, one "kernel reason rows" a line
listed() {
    "$rkpipe" dlq list "$1" --format csv | sed 1d | cut -d, -f1-3 | tr , ' ' | sort
}
stored() { # stored FILE TEXT: the store holds this
    checks=$((checks + 1))
    [ "$(listed "$1")" = "$2" ] || bad "the store holds '$(listed "$1")', not '$2'"
}
same() { # same FILE FILE
    checks=$((checks + 1))
    cmp -s "$1" "$2" || bad "$1 and $2 differ: $(diff "$1" "$2" | head -5)"
}
given_on() { "$rkpipe" status --json | grep -q "\"kernel\":\"$1\",[^{}]*\"rows_out\":$2,"; }
letters() { "$rkpipe" dlq show "$1" --format json; } # with their numbers, times and stamps
plain() { sed 's/"id":"[^"]*",//; s/"at":"[^"]*",//; s/"stamp":[0-9]*,//'; }

# ---- a bug, a fix, and exactly those rows -----------------------------------------------------------------------------

# Every 7th row divides by zero, every 11th has a day that is no date.
awk 'BEGIN { print "id,a,b,day,note"; for (i = 1; i <= 5000; i++)
    printf "%d,%d,%d,%s,\"row %d, \"\"quoted\"\"\"\n", i, i * 3, i % 7, i % 11 ? "2024-05-01T00:00:00Z" : "soon", i }' >in.csv
{ head -1 in.csv; awk 'NR > 1 && ((NR - 1) % 7 == 0 || (NR - 1) % 11 == 0)' in.csv; } >bad.csv
cat >job.yaml <<'Y'
version: 1
name: job
vars: { in: { type: path, default: in.csv }, out: { type: path, default: out.csv } }
dead_letter: { store: {} }
schemas: { s: { id: i64, a: i64, b: i64, day: timestamp, note: string } }
kernels:
  read: { op: read.csv, with: { path: "${var:in}", schema: s } }
  div: { op: map, from: [read], with: { derive: { q: "a // b" } } }
  when: { op: map, from: [div], with: { derive: { y: "year(day)" } } }
  out: { op: write.csv, from: [when], with: { path: "${var:out}" } }
Y
sed 's,a // b,b == 0 ? -1 : a // b,' job.yaml >div.yaml
sed 's/day: timestamp/day: string/; s/year(day)/length(day)/' div.yaml >fixed.yaml
for threads in 1 3; do
    rm -rf .rkpipe ./*.out out.csv
    run 0 run job.yaml --set engine.threads=$threads --summary none
    stored job.yaml $'div zero 714\nwhen parse 390'
    total=$(wc -l <out.csv)
    # What is only asked for changes nothing.
    letters job.yaml >before.out
    run 0 dlq replay div.yaml --var out=re.out --dry-run
    has out "390 rows of kernel 'when' (parse) would be replayed" "714 rows of kernel 'div' (zero) would be replayed" \
        '1104 rows would be replayed, 0 would stay'
    run 0 dlq replay div.yaml --var out=re.out --dry-run --kernel div --reason parse
    has out '0 rows would be replayed, 0 would stay'
    run 0 dlq replay div.yaml --var out=re.out --kernel div --reason parse
    has err 'there is nothing to replay'
    true_that 'nothing was written' test ! -e re.out
    letters job.yaml >after.out
    same before.out after.out
    # The first fix: rows that get further and go wrong there are kept again, as rows of that kernel.
    run 0 dlq replay div.yaml --var out=re1.out --reason zero --set engine.threads=$threads
    has err '714 rows replayed, 64 went wrong again'
    true_that 'those that did not' test "$(wc -l <re1.out)" = 651
    stored job.yaml 'when parse 454'
    # The second: everything else.
    run 0 dlq replay fixed.yaml --var out=re2.out --set engine.threads=$threads --summary json
    has err '454 rows replayed, 0 went wrong again' '"kernel": "$replay:when"' '"rows_in": 454'
    stored job.yaml ''
    run 0 dlq list job.yaml
    has out "0 rows in '.rkpipe/job/dlq'"
    run 0 dlq replay fixed.yaml --var out=re3.out
    has err 'there is nothing to replay'
    # Together they are what a run without the bugs makes of these rows.
    run 0 run div.yaml --var in=bad.csv --var out=want1.out --set engine.data_dir=other --summary none
    run 0 run fixed.yaml --var in=bad.csv --var out=want2.out --set engine.data_dir=other --summary none
    sort <re1.out >got.out && sort <want1.out >want.out
    same got.out want.out
    awk -F, 'NR == 1 || $1 % 11 == 0' want2.out | sort >want.out
    sort <re2.out >got.out
    same got.out want.out
    true_that 'no row is lost or doubled' test $((total + 650 + 454)) = 5001
    rm -rf other
done

# The rows of one kernel come in the order in which they went wrong.
rm -rf .rkpipe
run 0 run job.yaml --set engine.threads=1 --quiet
run 0 dlq replay fixed.yaml --reason zero --var out=re.out --quiet
cut -d, -f1 re.out | sed 1d >got.out
sort -n got.out >want.out
same got.out want.out
is err ''

# ---- a run that does not go well leaves everything as it is -----------------------------------------------------------

rm -f ./*.out
letters job.yaml >before.out
run 65 dlq replay job.yaml --var out=re.out --set 'run.fail_on=[dead_letter]'
has err 'no row has left the store'
run 1 dlq replay job.yaml --var out=re.out --set kernels.when.on_error=fail
run 1 dlq replay fixed.yaml --var out=/dev/full
run 69 dlq replay fixed.yaml --var out=nowhere/re.out
run 78 dlq replay fixed.yaml --set kernels.when.with.derive.z=nothing
run 78 dlq replay fixed.yaml --set 'dead_letter={kernel: out}'
run 69 dlq replay nothing.yaml
run 69 dlq replay fixed.yaml --set engine.data_dir=none
has err "pipeline 'job' has kept no dead letters in 'none/dlq'"
letters job.yaml >after.out
same before.out after.out
true_that 'nothing was written' test ! -e re.out
# Those that all go wrong again are there again, and nothing else.
run 0 dlq replay job.yaml --var out=re.out --summary none
has err '390 rows replayed, 390 went wrong again'
letters job.yaml | plain | sed 's/"text":"[^}]*","row"/"row"/' >after.out
plain <before.out | sed 's/"text":"[^}]*","row"/"row"/' >want.out
same want.out after.out
is re.out $'id,a,b,day,note,q,y\n'

# ---- outputs that are there --------------------------------------------------------------------------------------------

letters job.yaml >before.out
cp out.csv kept.out
run 64 dlq replay fixed.yaml
has err "'out.csv' is there, and kernel 'out' (commit: rename) would replace it by the replayed rows alone" \
    '--set kernels.out.with.commit=append'
run 64 dlq replay fixed.yaml --dry-run
has out '390 rows would be replayed'
same out.csv kept.out
letters job.yaml >after.out
same before.out after.out
run 0 dlq replay job.yaml --overwrite --summary none # they go wrong again
is out.csv $'id,a,b,day,note,q,y\n'
cp kept.out out.csv
run 0 dlq replay fixed.yaml --set kernels.out.with.commit=append --summary none
true_that 'appended' test "$(wc -l <out.csv)" = $(($(wc -l <kept.out) + 390))
head -"$(wc -l <kept.out)" out.csv >got.out
same got.out kept.out
stored job.yaml ''

# ---- only what the rows come to is touched -----------------------------------------------------------------------------

rm -rf .rkpipe ./*.out
cat >wide.yaml <<'Y'
version: 1
name: wide
engine: { allow_exec: true }
dead_letter: { kernel: rejected, store: {} }
schemas: { s: { id: i64, a: i64, b: i64, day: string, note: string } }
kernels:
  read: { op: read.csv, with: { path: in.csv, schema: s } }
  count: { op: aggregate, from: [read], with: { compute: { n: count() } } }
  div: { op: map, from: [read], with: { select: [id, q], derive: { q: "a // b" } } }
  both: { op: map, from: [div, count], with: { derive: { one: "1" } } }
  out: { op: write.csv, from: [both], with: { path: both.out } }
  counts: { op: write.csv, from: [count], with: { path: counts.out } }
  command: { op: read.exec, with: { argv: [sh, -c, "date >>started.out; echo x"] } }
  said: { op: write.csv, from: [command], with: { path: said.out } }
  rejected: { op: write.csv, with: { path: rejected.out } }
Y
sed 's,a // b,a,' wide.yaml >wide2.yaml
run 0 run wide.yaml --summary none
true_that 'a target has them' test "$(wc -l <rejected.out)" = 715
cp counts.out counts.kept && cp rejected.out rejected.kept && cp started.out started.kept && rm said.out
run 0 dlq replay wide2.yaml --set kernels.out.with.path=re.out --summary none
same counts.out counts.kept
same rejected.out rejected.kept
same started.out started.kept
true_that 'a source of its own is not started' test ! -e said.out
true_that 'an empty sum is not one of those rows' test "$(wc -l <re.out)" = 715
has re.out 'id,q,n,one' '7,21,,1'
stored wide.yaml ''
rm -f ./*.kept
# A row that goes wrong again is kept, and its target has had it.
run 0 run wide.yaml --summary none --set kernels.out.with.path=x.out
cp rejected.out rejected.kept
run 0 dlq replay wide.yaml --set kernels.out.with.path=y.out --summary none
stored wide.yaml 'div zero 714'
same rejected.out rejected.kept
rm -f ./*.kept

# ---- what does not fit any more ----------------------------------------------------------------------------------------

rm -rf .rkpipe ./*.out
cat >fit.yaml <<'Y'
version: 1
name: fit
dead_letter: { store: {} }
kernels:
  read: { op: read.jsonl, with: { path: fit.jsonl } }
  half: { op: map, from: [read], with: { derive: { h: "x / 2" } } }
  div: { op: map, from: [half], with: { derive: { q: "x // y" } } }
  pick: { op: map, from: [div], with: { select: [x, h, q] } }
  out: { op: write.jsonl, from: [pick], with: { path: fit.out } }
Y
printf '{"x":%d,"y":%d,"z":"only here"}\n' 1 0 2 1 3 0 >fit.jsonl
run 0 run fit.yaml --summary none
stored fit.yaml 'div zero 2'
run 0 dlq show fit.yaml --format json
has out '"row":{"x":1,"y":0,"h":0.5}' # nobody read z, so it was not made
run 78 dlq replay fit.yaml --set 'kernels.div.with.derive.q="coalesce(z, to_string(x // y))"' --set kernels.out.with.path=re.out
has err "kernel 'div' reads a column 'z' (string?), which 2 stored rows of it do not have" '[replay-columns]'
run 78 dlq replay fit.yaml --set 'kernels.half.with.derive.h=concat("h", x)' --set kernels.out.with.path=re.out
has err "kernel 'div' reads column 'h' as string?, and it is f64 in 2 stored rows" "'dlq show --format json' has these"
run 78 dlq replay fit.yaml --set 'kernels.half.with.derive.new=x' --set kernels.div.with.derive.q=new --dry-run
has err "reads a column 'new' (i64?)"
stored fit.yaml 'div zero 2'
true_that 'nothing was written' test ! -e re.out
# Wider types do, and columns that nobody needs may come and go.
run 0 dlq replay fit.yaml --set kernels.half.with.derive.new=x --set 'kernels.div.with.derive.q="y == 0 ? 0 : x // y"' \
    --set kernels.out.with.path=re.out --summary none
is re.out $'{"x":1,"h":0.5,"q":0}\n{"x":3,"h":1.5,"q":0}\n'

# A kernel that is not there any more keeps its rows waiting.
run 0 run fit.yaml --quiet --set kernels.out.with.path=x.out
sed 's/div/divide/' fit.yaml >renamed.yaml
run 0 dlq replay renamed.yaml --set kernels.out.with.path=re.out
has err "2 rows of kernel 'div' (zero) stay: the pipeline has no such kernel" 'there is nothing to replay'
stored fit.yaml 'div zero 2'

# What a kernel has made itself is not what it got.
cat >made.yaml <<'Y'
version: 1
name: made
dead_letter: { store: {} }
kernels:
  read: { op: read.jsonl, with: { path: made.jsonl } }
  sums: { op: aggregate, from: [read], with: { by: [k], compute: { s: sum(x) } } }
  out: { op: write.jsonl, from: [sums], with: { path: made.out } }
Y
printf '{"k":%d,"x":%d}\n' 1 9223372036854775807 1 1 2 5 >made.jsonl
run 0 run made.yaml --summary none
stored made.yaml 'sums integer_overflow 1'
run 0 dlq replay made.yaml --set kernels.out.with.path=re.out --dry-run
has out "1 row of kernel 'sums' (integer_overflow) would stay: the kernel has made them, it did not get them"

# ---- records that a source could not read ------------------------------------------------------------------------------

rm -rf .rkpipe ./*.out
{
    printf 'b,a,c\n1,2,x\nbad,1,y\n3,4\n"un"even,5,z\n6,7,'
    head -c 5000 /dev/zero | tr '\0' l
    printf ',too many\n8,9,"two\nlines"\n'
} >raw.csv
cat >raw.yaml <<'Y'
version: 1
name: raw
vars: { quote: { type: string, default: "\"" } }
dead_letter: { store: {} }
schemas: { s: { a: i64, b: i64, c: string } }
kernels:
  read: { op: read.csv, with: { path: raw.csv, schema: s, validate: all, quote: "${var:quote}" } }
  out: { op: write.csv, from: [read], with: { path: raw.out } }
Y
run 0 run raw.yaml --summary none
stored raw.yaml $'read fields 2\nread parse 1\nread quotes 1'
letters raw.yaml | plain | sort >before.out
run 0 dlq replay raw.yaml --set kernels.out.with.path=re.out --summary none
has err '4 rows replayed, 4 went wrong again'
letters raw.yaml | plain | sort >after.out
same before.out after.out # text, file and line
run 0 dlq replay raw.yaml --set kernels.out.with.path=re.out --set schemas.s.b=string --set schemas.s.c=string? \
    --var quote= --summary none --overwrite
has err '4 rows replayed, 2 went wrong again'
is re.out $'a,b,c\n5,"""un""even",z\n1,bad,y\n'
stored raw.yaml 'read fields 2'
# Only the head of the file says what its fields are.
touch raw.csv
run 0 dlq replay raw.yaml --set kernels.out.with.path=re3.out --summary none
has err '2 rows stay: the file that they came from is not there any more, or has changed' '0 rows replayed'
stored raw.yaml 'read fields 2'
# Rows alone, with the places of those that went wrong later.
rm -rf .rkpipe
printf '1,x\n2,y,z\n3\n' >raw.csv
cat >raw.yaml <<'Y'
version: 1
name: raw
dead_letter: { store: {} }
schemas: { s: { a: i64, b: string }, t: { a: i64, b: string, c: string } }
kernels:
  read: { op: read.csv, with: { path: raw.csv, schema: s, header: false } }
  out: { op: write.csv, from: [read], with: { path: raw.out } }
Y
run 0 run raw.yaml --summary none
rm raw.csv
run 0 dlq replay raw.yaml --set kernels.out.with.path=re4.out --set kernels.read.with.schema=t --summary none
is re4.out $'a,b,c\n2,y,z\n'
run 0 dlq show raw.yaml --format json
has out '"source":"raw.csv","line":3,' '"text":"3"'
# Lines of JSON, and what cannot be whole.
rm -rf .rkpipe
{
    printf '{"a":1}\n{"a":"x"}\n{"a":2\n{"a":"'
    head -c 200000 /dev/zero | tr '\0' l
    printf '"}\n'
} >raw.jsonl
cat >lines.yaml <<'Y'
version: 1
name: lines
dead_letter: { store: {} }
schemas: { s: { a: i64 } }
kernels:
  read: { op: read.jsonl, with: { path: raw.jsonl, schema: s, validate: all, max_record: 100KiB, chunk_bytes: 4KiB } }
  out: { op: write.jsonl, from: [read], with: { path: raw.out } }
Y
run 0 run lines.yaml --summary none
stored lines.yaml $'read parse 1\nread size 1\nread syntax 1'
run 0 dlq replay lines.yaml --set kernels.out.with.path=re5.out --set schemas.s.a=string --set kernels.read.with.max_record=1MiB
has err "1 row of kernel 'read' (size) stays: only the beginning of their text is known" '2 rows replayed, 1 went wrong again'
is re5.out $'{"a":"x"}\n'
stored lines.yaml $'read size 1\nread syntax 1'

# ---- topics, orders, policies of a stream ------------------------------------------------------------------------------

rm -rf .rkpipe ./*.out
cat >stream.yaml <<'Y'
version: 1
name: stream
run: { mode: stream }
dead_letter: { store: {} }
kernels:
  gen: { op: generate, with: { columns: { n: row, k: "n % 5" }, rows: 3000 }, publish: "in/${this.k}" }
  odd: { op: map, subscribe: [{ topic: "in/1", where: "10 // (n % 20 - 1) < 5" }, { topic: "in/*", where: "n % 2 == 0" }],
         order: hlc, start: suspended, with: { derive: { q: "n // (n % 3)", t: meta.topic } }, queue: { capacity: 4, overflow: block } }
  slow: { op: throttle, from: [odd], with: { rate: 2000, on_excess: wait }, queue: { capacity: 2, overflow: drop_newest } }
  out: { op: write.csv, from: [slow], with: { path: stream.out } }
Y
grep -v -e slow: stream.yaml | sed 's/from: .slow./from: [odd]/; s/start: suspended, //' >first.yaml
run 0 run first.yaml --summary none
stored first.yaml 'odd zero 700'
rows=$(letters first.yaml | sed 's/.*"row":{"n":\([0-9]*\),.*/\1/' | awk '$1 % 20 == 1 { a++ } $1 % 20 != 1 { b++ } END { print a, b }')
true_that "both places: $rows" test "$rows" = '150 550'
# Nobody activates it, nothing is dropped, and it does not end after 3,000 rows; a condition is asked again.
sed 's/, rows: 3000//; s,n // (n % 3),n,; s,10 // (n % 20 - 1) < 5,n % 3 == 0,; s/rate: 2000/rate: 1000000/' stream.yaml >stream2.yaml
run 0 dlq replay stream2.yaml --set kernels.out.with.path=re.out --set run.stop_after.rows=10
has err '700 rows replayed, 0 went wrong again'
sed 1d re.out | awk -F, '{ print $1 % 3, $4 }' | sort | uniq -c | awk '{ print $1, $2, $3 }' >got.out
has got.out '0 in/0' '0 in/1'
true_that 'those that its conditions want' test "$(sed 1d re.out | wc -l)" = "$((50 + 150 + 400))"
stored stream.yaml ''

# A full queue: the rows belong before the kernel that had no room.
rm -rf .rkpipe ./*.out
cat >full.yaml <<'Y'
version: 1
name: full
dead_letter: { store: {} }
kernels:
  read: { op: read.csv, with: { path: in.csv, chunk_bytes: 256 } }
  twice: { op: map, from: [read], with: { select: [id, d], derive: { d: "id * 2" } } }
  slow: { op: throttle, from: [twice], with: { rate: 30000, on_excess: wait }, queue: { capacity: 2, overflow: dead_letter } }
  out: { op: write.csv, from: [slow], with: { path: full.out } }
Y
"$rkpipe" run full.yaml --summary none --set kernels.slow.start=suspended >out 2>err </dev/null & # until all are made
until_true given_on twice 5000 || bad 'twice gives not all on'
"$rkpipe" activate slow >/dev/null || bad 'slow is not activated'
last='rkpipe run full.yaml'
code=0
wait $! || code=$?
true_that "exit $code" test "$code" = 0
lost=$((5000 - $(sed 1d full.out | wc -l)))
true_that "most do not fit: $lost" test "$lost" -gt 4000
stored full.yaml "twice queue_full $lost"
run 0 dlq replay full.yaml --set kernels.out.with.path=re.out --set kernels.slow.with.rate=10000000 --dry-run
has out "$lost rows of kernel 'twice' (queue_full) would be replayed, before kernel 'slow'"
run 0 dlq replay full.yaml --set kernels.out.with.path=re.out --set kernels.slow.with.rate=10000000
has err "$lost rows replayed, 0 went wrong again"
{ sed 1d full.out && sed 1d re.out; } | sort -n >got.out
seq 5000 | awk '{ print $1 "," $1 * 2 }' >want.out
same got.out want.out

# Replicas that share rows by key.
rm -rf .rkpipe ./*.out
awk 'BEGIN { print "k,x"; for (i = 0; i < 3000; i++) print i % 50 "," (i % 3 ? i : "bad") }' >parts.csv
cat >parts.yaml <<'Y'
version: 1
name: parts
dead_letter: { store: {} }
schemas: { s: { k: i64, x: i64 } }
kernels:
  read: { op: read.csv, with: { path: parts.csv, schema: s } }
  sums: { op: aggregate, from: [read], replicas: 3, partition_by: k, with: { by: [k], compute: { n: count(), s: sum(x) } } }
  order: { op: sort, from: [sums], with: { by: [k] } }
  out: { op: write.csv, from: [order], with: { path: parts.out } }
Y
run 0 run parts.yaml --summary none
stored parts.yaml 'sums parse 1000'
run 0 dlq replay parts.yaml --set kernels.out.with.path=re.out --set schemas.s.x=string --set 'kernels.sums.with.compute={n: count()}'
seq 0 49 | sed 's/$/,20/; 1i k,n' >want.out
same re.out want.out
stored parts.yaml ''

# A kernel that wants no more before all have come, whether they come at once or not.
rm -rf .rkpipe ./*.out
run 0 run job.yaml --quiet --var out=x.out --set kernels.read.with.chunk_bytes=16KiB --set engine.threads=1
{ cat fixed.yaml && echo '  few: { op: limit, from: [when], with: { rows: 10 } }'; } >few.yaml
letters job.yaml >before.out
run 1 dlq replay few.yaml --reason zero --var out=re.out --set 'kernels.out.from=[few]' --summary none
has err "kernel 'few' took no more rows before the end; all rows stay in the store" 'no row has left the store'
run 1 dlq replay few.yaml --reason zero --var out=re.out --set 'kernels.out.from=[few]' --set kernels.few.with.rows=713
letters job.yaml >after.out
same before.out after.out
true_that 'nothing was written' test ! -e re.out
run 0 dlq replay few.yaml --reason zero --var out=re.out --set 'kernels.out.from=[few]' --set kernels.few.with.rows=714
true_that 'just as many' test "$(wc -l <re.out)" = 715
stored job.yaml 'when parse 390'

# Requests without an answer, and rows that go round in a circle.
rm -rf .rkpipe ./*.out
cat >call.yaml <<'Y'
version: 1
name: call
dead_letter: { store: {} }
kernels:
  read: { op: read.csv, with: { path: few.csv } }
  ask: { op: call, from: [read], batch: { count: 1 }, with: { topic: req, timeout: 3s, output: { r: q } } }
  some: { op: filter, subscribe: [req], with: { where: "n % 3 != 0" } }
  answer: { op: map, from: [some], with: { derive: { q: n * 2 } } }
  reply: { op: reply, from: [answer] }
  out: { op: write.csv, from: [ask], with: { path: call.out } }
Y
seq 10 | sed '1i n' >few.csv
run 0 run call.yaml --summary none
stored call.yaml 'ask timeout 3'
run 0 dlq replay call.yaml --set kernels.out.with.path=re.out --set 'kernels.some.with.where="true"' --set kernels.ask.with.timeout=1m
sort -n re.out >got.out
is got.out $'n,r\n3,6\n6,12\n9,18\n'
cat >circle.yaml <<'Y'
version: 1
name: circle
run: { mode: stream }
dead_letter: { store: {} }
topics: { jobs: { schema: { n: i64, left: i64 } } }
kernels:
  read: { op: read.csv, with: { path: in.csv } }
  first: { op: map, from: [read], with: { derive: { n: id, left: id % 7 }, select: [n, left] }, publish: jobs }
  work: { op: map, subscribe: [jobs], with: { derive: { left: "left - 1 + 0 * (1 // (n % 5))" } }, queue: { capacity: 2 } }
  split: { op: route, from: [work], with: { ports: { more: "left > 0", done: "left <= 0" }, discard: [default] }, publish: { more: jobs } }
  out: { op: write.csv, from: [split.done], with: { path: circle.out } }
Y
run 0 run circle.yaml --summary none
stored circle.yaml 'work zero 1000'
run 0 dlq replay circle.yaml --set kernels.out.with.path=re2.out --set 'kernels.work.with.derive.left="left - 1"'
sed 1d re2.out circle.out | grep -v n,left | cut -d, -f1 | sort -n >got.out
seq 5000 >want.out
same got.out want.out

# ---- damage, and somebody else -----------------------------------------------------------------------------------------

rm -rf .rkpipe ./*.out
for i in 1 2 3; do
    run 0 run job.yaml --quiet --set engine.threads=1 --var in=bad.csv --var out=x.out --set run.stop_after.rows=1000000
done
all=$(listed job.yaml | awk '{ n += $3 } END { print n }')
true_that 'three times the same' test "$all" = $((3 * 1104))
seg=$(ls .rkpipe/job/dlq/*.seg)
printf 'X' | dd of="$seg" bs=1 seek=400 conv=notrunc 2>/dev/null
left=$(listed job.yaml 2>/dev/null | awk '{ n += $3 } END { print n }')
true_that 'a record is damaged' test "$left" -lt "$all"
run 0 dlq replay fixed.yaml --var out=re.out --summary none
has err 'warning: 1 record is damaged and left out' "$left rows replayed, 0 went wrong again"
true_that 'all others' test "$(sed 1d re.out | wc -l)" = "$left"
run 0 dlq list job.yaml
has out "0 rows in '.rkpipe/job/dlq'"
has err 'warning: 1 record is damaged and left out'
run 0 run job.yaml --quiet --var out=x.out
printf 'X' | dd of=.rkpipe/job/dlq/replayed bs=1 seek=20 conv=notrunc 2>/dev/null
run 0 dlq list job.yaml
has err 'replayed rows may come again'

cat >busy.yaml <<'Y'
version: 1
name: job
run: { mode: stream }
dead_letter: { store: {} }
kernels:
  gen: { op: generate, with: { columns: { n: "row" }, rate: 10 } }
  out: { op: write.csv, from: [gen], with: { path: busy.out } }
Y
"$rkpipe" run busy.yaml --summary none >/dev/null 2>&1 &
busy=$!
until_true "$rkpipe" status || bad 'it cannot be asked'
run 64 dlq replay fixed.yaml --var out=re.out --set kernels.out.with.path=x
has err '--set changes nothing of the engine that runs'
run 0 dlq replay fixed.yaml --var out=re.out
has err '0 rows replayed into the engine that runs' ') stay: the pipeline has no such kernel'
run 0 dlq replay fixed.yaml --var out=re9.out --dry-run
has out '0 rows would be replayed into the engine that runs'
kill -KILL $busy
wait $busy 2>/dev/null

# ---- killed ------------------------------------------------------------------------------------------------------------

# Half of the rows go wrong again.  At any moment the store holds them all, or the output is there.
rm -rf .rkpipe ./*.out
awk 'BEGIN { print "id,a,b,day,note"; for (i = 1; i <= 60000; i++) printf "%d,%d,0,%s,n\n", i, i, i % 2 ? "2024-05-01T00:00:00Z" : "soon" }' >many.csv
run 0 run job.yaml --quiet --var in=many.csv --var out=x.out
stored job.yaml 'div zero 60000'
cp -r .rkpipe kept
whole=$(listed job.yaml)
# A reader that goes: not all rows came through, so none has left the store.
last='dlq replay | head'
"$rkpipe" dlq replay fixed.yaml --var out=- --summary none 2>err | head -1 >out
code=${PIPESTATUS[0]}
true_that 'a reader that goes' test "$code" = 1
has err "kernel 'out' took no more rows before the end"
stored job.yaml 'div zero 60000'
begin=$(date +%s%N)
run 0 dlq replay div.yaml --var out=re.out --quiet
took=$((($(date +%s%N) - begin) / 1000000 + 20)) # milliseconds
rm -rf .rkpipe && cp -r kept .rkpipe
killed=0 finished=0
for ((i = 0; i < 25; i++)); do
    rm -f re.out
    "$rkpipe" dlq replay div.yaml --var out=re.out --quiet >out 2>err &
    pid=$!
    ms=$((RANDOM % (took * 5 / 4)))
    sleep "$((ms / 1000)).$(printf '%03d' $((ms % 1000)))"
    kill -KILL $pid 2>/dev/null
    wait $pid 2>/dev/null
    [ $? != 137 ] || killed=$((killed + 1))
    now=$(listed job.yaml)
    if [ "$now" = "$whole" ]; then # not yet, or between the output and the store
        checks=$((checks + 1))
        [ ! -e re.out ] || [ "$(wc -l <re.out)" = 30001 ] || bad "killed: part of an output"
    else
        stored job.yaml 'when parse 30000'
        true_that 'killed: the output is there' test "$(wc -l <re.out)" = 30001
        finished=$((finished + 1))
        rm -rf .rkpipe
        cp -r kept .rkpipe
    fi
done
rm -f re.out .re.out.*
run 0 dlq replay div.yaml --var out=re.out --quiet
stored job.yaml 'when parse 30000'
true_that 'after all' test "$(wc -l <re.out)" = 30001
echo "$killed killed, $finished finished"

# ---- usage -------------------------------------------------------------------------------------------------------------

run 64 dlq replay
has err "'dlq replay' needs the pipeline's file"
run 64 dlq replay .rkpipe/job
has err "'.rkpipe/job' is a folder"
run 64 dlq replay job.yaml --limit 3
run 64 dlq replay job.yaml --format json
run 64 dlq list job.yaml --dry-run
has err '--dry-run is about replay'
run 64 dlq show job.yaml --overwrite
finish
