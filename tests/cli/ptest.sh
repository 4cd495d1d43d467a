#!/usr/bin/env bash
# rkpipe test: what passes, what fails and how that is shown, tests that are wrong, time, files, results for machines.
. "$(dirname "$0")/lib.sh"
short() { # short ARG..: a run that must be over soon; nothing here waits for real time
    last="rkpipe $*"
    code=0
    timeout 60 "$rkpipe" "$@" >out 2>err </dev/null || code=$?
    checks=$((checks + 1))
}

cat >fees.yaml <<'Y'
version: 1
name: fees
vars: { in: { type: path, required: true }, out: { type: path, required: true }, least: 500 }
dead_letter: { kernel: bad }
kernels:
  read:  { op: read.csv, with: { path: "${var:in}" } }
  large: { op: filter, from: [read], with: { where: "amount > var.least && status == 'ok'" } }
  fee:   { op: map, from: [large], with: { derive: { fee: "round(amount * 0.029 + 0.30, 2)", n: "to_int(note)" }, select: [id, amount, fee, n] } }
  write: { op: write.csv, from: [fee], with: { path: "${var:out}" } }
  bad:   { op: write.jsonl, with: { path: bad.jsonl } }
tests:
  - name: takes a fee
    from: read
    input:
      - { id: 1, amount: 1000.0, status: ok, note: "5" }
      - { id: 2, amount: 100, status: ok, note: "6" }
      - { id: 3, amount: 600, status: ok, note: x }
      - { id: 4, amount: 700, status: no, note: "7" }
    expect:
      large: 2
      fee: [ { id: 1, amount: 1000.0, fee: 29.3, n: 5 } ]
      write: { count: { min: 1, max: 1 }, where: "fee > 1", contains: [ { n: 5 } ] }
      bad: { contains: [ { kernel: fee, reason: cast } ] }
      fee.dead_letter: 1
  - name: another least
    vars: { least: 50 }
    from: read
    input: [ { id: 2, amount: 100, status: ok, note: "6" } ]
    expect: { write: 1 }
Y
run 0 test fees.yaml
is out $'ok    fees.yaml: takes a fee\nok    fees.yaml: another least\nfees.yaml: rows passed 5 of 5 kernels\n2 tests, 0 failed\n'
is err ''
true_that 'nothing was written' test ! -e bad.jsonl -a ! -e out -o ! -d .rkpipe
run 0 check fees.yaml --var in=x --var out=y
has out 'ok: fees.yaml (5 kernels, 2 tests)'
run 0 test fees.yaml --only 'take*'
has out '1 test, 0 failed'
run 69 test fees.yaml --only nothing
has err "no test is named like 'nothing'"
run 64 test fees.yaml --seed x
run 64 test
run 69 test gone.yaml
has err "cannot open 'gone.yaml'"

# What fails is shown row by row, with its place; the others run all the same.
cat >bad.test.yaml <<'Y'
pipeline: fees.yaml
tests:
  - name: rows differ
    from: read
    input:
      - { id: 1, amount: 1000.0, status: ok, note: "5" }
      - { id: 2, amount: 2000.0, status: ok, note: "5" }
      - { id: 3, amount: 3000.0, status: ok, note: "5" }
    expect:
      fee:
        equals:
          - { id: 1, amount: 1000.0, fee: 29.3, n: 5 }
          - { id: 2, amount: 2000.0, fee: 58.31, n: 5 }
          - { id: 3, amount: 3000.0, fee: 87.3, n: 5 }
  - name: a row too many
    from: read
    input: [ { id: 1, amount: 1000.0, status: ok, note: "5" }, { id: 2, amount: 2000.0, status: ok, note: "5" } ]
    expect: { fee: { equals: [ { id: 2 } ], columns: [id] } }
  - name: count and where
    from: read
    input: [ { id: 1, amount: 1000.0, status: ok, note: "5" } ]
    expect: { write: { count: 3, where: "fee > 40", contains: [ { n: 7 } ] } }
  - name: in any order
    from: read
    input: [ { id: 1, amount: 1000.0, status: ok, note: "5" }, { id: 2, amount: 2000.0, status: ok, note: "5" } ]
    expect: { fee: { equals: [ { id: 2 }, { id: 1 } ], columns: [id], order: any } }
  - name: "good <&> \"one\""
    from: read
    input: []
    schema: { id: i64, amount: f64, status: string, note: string }
    expect: { write: 0 }
Y
run 1 test bad.test.yaml --junit results.xml
has out 'FAIL  bad.test.yaml: rows differ' "bad.test.yaml:13:13: error: kernel 'fee': other rows than expected [test-equals]" \
    '   13 |           - { id: 2, amount: 2000.0, fee: 58.31, n: 5 }' \
    "kernel 'fee': 2 rows, and 1 expected" "kernel 'write': 1 row, and 3 expected [test-count]" \
    'not so for 1 of 1 row, first row 1 [test-where]' 'none of 1 row is like this [test-contains]' \
    'ok    bad.test.yaml: in any order' '5 tests, 3 failed'
[[ $(cat out) == *'    - expected, + got
             id  amount    fee  n
          1   1  1000.0   29.3  5
    -     2   2  2000.0  58.31  5
    +     2   2  2000.0   58.3  5
          3   3  3000.0   87.3  5'* ]] || bad 'the rows are not shown side by side'
has results.xml '<testsuite name="bad.test.yaml" tests="5" failures="3" errors="0"' 'name="good &lt;&amp;&gt; &quot;one&quot;"' \
    "<failure message=\"kernel 'fee': other rows than expected [test-equals]\">"
if command -v python3 >/dev/null; then
    true_that 'the results are XML' python3 -c 'import sys, xml.dom.minidom as x; x.parse("results.xml")'
fi
run 1 test fees.yaml --junit /nowhere/x.xml
has err "cannot write '/nowhere/x.xml'"

# Without expectations what was produced is printed.
cat >show.yaml <<'Y'
version: 1
name: show
kernels:
  gen:   { op: generate, with: { rate: 10/s, columns: { n: "row", t: "now()" } } }
  slow:  { op: delay, from: [gen], with: { for: 1m } }
  out:   { op: write.null, from: [slow] }
tests:
  - name: three seconds
    stop_after: { duration: 3s }
  - name: for ever
  - name: some rows
    now: 2024-05-06T07:08:09Z
    stop_after: { rows: 5 }
    expect: { gen: { contains: [ { n: 3, t: 2024-05-06T07:08:09.300Z } ] } }
Y
short test show.yaml
true_that 'exit 0' test "$code" = 0
has out '  gen: 30 rows' '          2   1  2000-01-01T00:00:00.100Z' '.. and 10 more' '  slow: 36000 rows' \
    'note: stopped after 3600 s of its clock' 'ok    show.yaml: some rows'
# Without a rate, time would never pass.
sed 's/rate: 10\/s, //' show.yaml >busy.yaml
short test busy.yaml --only 'for ever'
true_that 'exit 0' test "$code" = 0
has out 'note: stopped after 100000 rows of its sources'

# Timers: throttle, batch.period, call's timeout, restarts, and what the engine says about them.
cat >time.yaml <<'Y'
version: 1
name: times
dead_letter: { topic: dead/x }
kernels:
  src: { op: read.tcp, with: { listen: "127.0.0.1:0", format: jsonl, schema: { x: i64 } } }
  thr: { op: throttle, from: [src], with: { rate: 1/m, burst: 1 } }
  per: { op: map, from: [src], batch: { count: 100, period: 1h }, with: { derive: { at: "now()" } } }
  sup: { op: map, from: [src], restart: { policy: on_failure, max: 2, window: 60s, backoff: { initial: 5s, jitter: 0 } }, with: { derive: { y: "10 // x" } }, on_error: fail }
  ask: { op: call, from: [src], with: { topic: ask/it, timeout: 30s } }
  ans: { op: filter, subscribe: ask/it, with: { where: "x > 1" } }
  rep: { op: reply, from: [ans] }
  out: { op: write.null, from: [thr, per, sup, ask] }
  ev:  { op: filter, subscribe: "$lifecycle/sup", with: { where: "to == 'failed'" } }
  evo: { op: write.null, from: [ev] }
  dead: { op: write.null, subscribe: dead/# }
tests:
  - name: all of them
    from: src
    every: 1s
    input: [ { x: 1 }, { x: 2 }, { x: 5 } ]
    expect:
      thr: { equals: [ { x: 1 } ] }
      per: { equals: [ { x: 1, at: 2000-01-01T00:00:02Z }, { x: 2, at: 2000-01-01T00:00:02Z }, { x: 5, at: 2000-01-01T00:00:02Z } ] }
      ask.dead_letter: { contains: [ { reason: timeout } ], count: 1 }
      dead/#: { contains: [ { reason: timeout } ] }
      rep: 2
  - name: a kernel that fails again and again
    from: src
    every: 1s
    input: [ { x: 1 }, { x: 0 } ]
    fails: integer division by zero
  - name: it must fail
    from: src
    input: [ { x: 1 } ]
    fails: nothing
Y
short test time.yaml
true_that 'exit 1' test "$code" = 1
has out 'ok    time.yaml: all of them' 'ok    time.yaml: a kernel that fails again' 'the run went well, and must fail [test-run]'

# Topics and mocks: nothing listens, nothing starts, nothing is written.
cat >topic.yaml <<'Y'
version: 1
name: topics
run: { mode: stream }
topics: { raw/#: { schema: { id: i64, v: f64? } } }
engine: { delivery: at_least_once }
kernels:
  src:   { op: read.tcp, with: { listen: "127.0.0.1:0", format: jsonl, schema: { id: i64, v: f64? } }, publish: raw/tcp, delivery: at_most_once }
  calc:  { op: map, subscribe: raw/#, with: { derive: { w: "v * 2" } }, publish: "calc/${this.id}" }
  route: { op: route, subscribe: "calc/*", with: { ports: { big: "w > 10", small: "w <= 10" } } }
  a:     { op: write.stdout, from: [route.big], with: { format: csv }, delivery: at_most_once }
  b:     { op: write.exec, from: [route.small], with: { argv: [touch, started], format: jsonl }, delivery: at_most_once }
tests:
  - name: from the source
    from: src
    input: [ { id: 1, v: 3.0 }, { id: 2, v: 30 }, { id: 3 } ]
    expect:
      calc/#: 3
      calc/2: [ { id: 2, v: 30, w: 60 } ]
      route.big: 1
      route.small: [ { id: 1, v: 3, w: 6 } ]
      route.default: { contains: [ { id: 3, v: null } ] }
      b: 1
  - name: over a topic
    topic: raw/other
    input: [ { id: 1, v: 3.0 }, { id: 2, v: 30 } ]
    mocks: { src: { input: [ { id: 9, v: 1 } ] } }
    expect: { raw/#: 3, raw/other: 2, raw/tcp: 1, calc: 3 }
  - name: other operators
    mocks:
      src: { op: generate, with: { rows: 5, columns: { id: row, v: to_float(row) } } }
      calc: { op: map, with: { derive: { w: "99.0" } } }
      a: { op: write.csv, with: { path: seen.csv, columns: [id, w] } }
    expect: { route.big: 5, a: 5, b: 0 }
Y
run 0 test topic.yaml --allow-exec
run 0 test topic.yaml --seed 3
is seen.csv $'id,w\n0,99.0\n1,99.0\n2,99.0\n3,99.0\n4,99.0\n'
true_that 'no command was started' test ! -e started
has out 'topic.yaml: rows passed 5 of 5 kernels'

# Rows in files.
printf 'id,amount,status,note\n1,1000.5,ok,5\n2,"600",ok,"a ""b"", c"\n' >in.csv
printf '{"id": 1, "fee": 29.31, "amount": 1000.5, "n": 5}\n' >want.jsonl
cat >files.test.yaml <<'Y'
pipeline: fees.yaml
tests:
  - { name: files, from: read, input_file: in.csv, expect: { fee: { equals_file: want.jsonl }, bad: 1 } }
Y
run 0 test files.test.yaml
printf 'id,amount\n1\n' >in.csv
run 78 test files.test.yaml
has out 'in.csv:2:1: error: not a row of CSV with as many fields as the header [test-rows]'
printf '{"id": 1\n' >want.jsonl
run 78 test files.test.yaml
has out 'want.jsonl:1:1: error: not a JSON object'
rm in.csv
run 78 test files.test.yaml
has out "cannot open the rows 'in.csv'"

# Values, types.
cat >types.yaml <<'Y'
version: 1
name: types
kernels:
  src: { op: read.jsonl, with: { path: gone.jsonl } }
  out: { op: write.null, from: [src] }
tests:
  - name: given
    from: src
    schema: { i: i32, s: string?, t: timestamp?, b: bool?, j: json?, u: u64?, f: f32? }
    input: [ { i: 5, s: "", t: 2024-01-02 03:04, b: true, j: { a: [1, "x", null] }, u: 18446744073709551615, f: 0.1 }, { i: 1, s: ~ } ]
    expect:
      out:
        - { i: 5, s: "", t: 2024-01-02T03:04:00Z, b: true, j: '{"a":[1,"x",null]}', u: 18446744073709551615, f: 0.1 }
        - { i: 1 }
  - name: found
    from: src
    input: [ { i: 5, s: "7", f: 1, z: 007, n: nan, l: ~ }, { i: -1, s: 8, f: 2.5, z: 8, n: 1 } ]
    expect:
      src: { where: "i + 1 > -1 && length(s) == 1 && f >= 1.0 && length(z) > 0 && l ?? '' == ''", contains: [ { n: nan, f: 1.0 } ] }
  - name: nearly
    from: src
    input: [ { f: 0.1 }, { f: 3.0e10 } ]
    expect: { out: { equals: [ { f: 0.10000001 }, { f: 3.00000001e10 } ], tolerance: 1e-6 } }
  - name: not nearly
    from: src
    input: [ { f: 0.1 } ]
    expect: { out: [ { f: 0.1000000000000001 } ] }
Y
run 1 test types.yaml
has out '4 tests, 1 failed' '0.1000000000000001'

# Of many columns those that differ are shown.
cat >wide.yaml <<'Y'
version: 1
kernels:
  src: { op: read.jsonl, with: { path: gone.jsonl } }
  out: { op: write.null, from: [src] }
tests:
  - name: wide
    from: src
    input: [ { a: 1, b: 2, c: 3, d: 4, e: 5, f: 6, g: 7, h: 8, i: 9 } ]
    expect: { out: [ { a: 1, b: 2, c: 3, d: 4, e: 5, f: 7, g: 7, h: 8, i: 9 } ] }
Y
run 1 test wide.yaml
has out '7 columns without a difference are left out'
[[ $(cat out) == *'             a  f
    -     1  1  7
    +     1  1  6'* ]] || bad 'not only what differs is shown'

# What is wrong with tests is said with its place, all at once, by check as well.
wrong() { # wrong NAME YAML TEXT..: a test with these lines has this finding
    local name=$1 yaml=$2
    shift 2
    sed '/^tests:/,$d' topic.yaml >wrong.yaml
    printf 'tests:\n  - name: %s\n%s\n' "$name" "$yaml" >>wrong.yaml
    run 78 test wrong.yaml
    has out "$@"
    run 78 check wrong.yaml --allow-exec
    has out "$@"
}
wrong unmocked '    expect: { a: 2 }' "kernel 'src' (read.tcp) reads from outside" '[test-outside]' 'mocks: { src: { input: [..] } }'
wrong values '    from: src
    input: [ { id: x, v: 3.0 }, { idd: 2, v: 30 }, { id: 3, v: [1] }, { id: null } ]' \
    "wrong.yaml:15:20: error: column 'id' of kernel 'src' is i64, and 'x' is none [test-value]" "did you mean 'id'?" \
    "is f64?, not a list" "column 'id' of kernel 'src' is never null" "the row has no 'id'"
wrong goals '    from: src
    input: []
    expect: { a: { equals: [ { id: y } ], columns: [zz], where: "id + 1" }, route: 1, route.bog: 2, x/y: 3, aa: 3, a.dead_letter: 1 }' \
    "column 'id' of kernel 'a' is i64, and 'y' is none" "no column 'zz'" '[port-which]' '[port-unknown]' \
    "nobody publishes what 'x/y' matches" "no kernel is named 'aa'" 'makes no dead letters' '[expr-type]'
wrong mocks '    from: src
    input: []
    mocks: { clac: { op: map }, calc: { op: generate, with: { rows: 1 } }, route: { op: filtr } }' \
    "no kernel is named 'clac'" "did you mean 'calc'?" "kernel 'calc' is a transform (map), and its mock is a source" \
    "did you mean 'filter'?"
wrong options '    mocks: { src: { op: generate, with: { rowz: 1 } } }' "has no option 'rowz'"
wrong columns '    mocks: { src: { op: generate, with: { rows: 1, columns: { x: "1" } } } }' '[topic-schema]'
wrong exec '    mocks: { src: { input: [] }, b: { op: write.exec, with: { argv: [], format: jsonl } } }' 'error'
wrong twice '    from: src
    input: []
    mocks: { src: { input: [] } }' 'given rows twice'
wrong 'a sink' '    from: a
    input: []' "kernel 'a' (write.stdout) is no source"
wrong keys '    form: src' "a test has no key 'form'" "did you mean 'from'?"
wrong both '    from: src
    topic: raw/x
    input: []' "'from' and 'topic' exclude each other"
wrong nowhere '    input: []' 'nothing says where these rows go'
wrong nothing '    from: src' "there is neither 'input' nor 'input_file'"
wrong pattern '    topic: raw/*
    input: []' 'raw/*'
wrong rows '    from: src
    input: { id: 1 }' "'input' needs a list of rows"
wrong count '    expect: { a: { count: { min: 3, max: 1 } } }' "'min' is above 'max'"
wrong empty '    expect: { a: {} }' "needs 'count', 'equals', 'contains' or 'where'"
wrong vars '    vars: { nope: 1 }' "the pipeline has no variable 'nope'"
wrong now '    now: yesterday' "'now' needs a timestamp"
printf 'pipeline: nowhere.yaml\ntests: [ { name: x } ]\n' >lost.test.yaml
run 78 test lost.test.yaml
has out "cannot open 'nowhere.yaml'"
printf 'version: 1\nkernels: {}\n' >nope.test.yaml
run 78 test nope.test.yaml
has out "'pipeline'"
sed 's/large:/large/' fees.yaml >broken.yaml
run 78 test broken.yaml fees.yaml
has out 'ERROR broken.yaml: cannot be read' 'ok    fees.yaml: takes a fee' 'could not run'

# Folders: pipelines with tests, files of tests, below as well; what has none is passed by.
mkdir -p tree/deep/er tree/.hidden
cp fees.yaml tree/
cp fees.yaml tree/deep/er/
sed '/^tests:/,$d' fees.yaml >tree/none.yaml
printf 'x: 1\n' >tree/notes.yaml
cp broken.yaml tree/.hidden/
printf 'pipeline: er/fees.yaml\ntests: [ { name: t, from: read, input: [ { id: 1, amount: 1, status: ok, note: "1" } ], expect: { write: 0 } } ]\n' >tree/deep/x.test.yaml
run 0 test tree
has out 'ok    tree/deep/er/fees.yaml: takes a fee' 'ok    tree/deep/x.test.yaml: t' 'ok    tree/fees.yaml' \
    'tree/deep/er/fees.yaml: rows passed 5 of 5' '5 tests, 0 failed'
mkdir empty
run 69 test empty
has err 'there are no tests'
run 69 test tree/none.yaml
has err "'tree/none.yaml' has no tests"
run 0 check tree/deep/x.test.yaml
has out 'ok: tree/deep/x.test.yaml (1 test)'

# The same again is the same; other orders of steps give the same rows.
"$rkpipe" test show.yaml topic.yaml >first 2>&1
"$rkpipe" test show.yaml topic.yaml >second 2>&1
true_that 'two runs say the same' cmp first second
for seed in 1 2 3 4 5; do
    run 0 test fees.yaml topic.yaml --seed $seed
done
true_that 'nothing is left behind' test -z "$(ls -d "${TMPDIR:-/tmp}"/rkpipe-test-* 2>/dev/null)"
finish
