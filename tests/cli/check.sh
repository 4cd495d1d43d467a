#!/usr/bin/env bash
# rkpipe check: findings, folders, formats, exit codes.
. "$(dirname "$0")/lib.sh"

printf 'a,b\n1,x\n2,y\n' >in.csv
mkdir jobs
cat >jobs/good.yaml <<'Y'
version: 1
name: good
kernels:
  read: { op: read.csv, with: { path: in.csv } }
  big: { op: filter, from: [read], with: { where: "a > 1" } }
  write: { op: write.csv, from: [big], with: { path: out.csv } }
Y
run 0 check jobs/good.yaml
is out $'ok: jobs/good.yaml (3 kernels)\n'
is err ''

sed 's/from: \[read\]/form: [read]/; s/a > 1/a > b + 1/' jobs/good.yaml >bad.yaml
run 78 check bad.yaml
has out 'bad.yaml:5:22: error: ' "did you mean 'from'?" 'bad.yaml: 1 error, 0 warnings'
run 78 check jobs/good.yaml bad.yaml jobs/good.yaml
true_that 'every good file is said to be good' test "$(grep -c '^ok:' out)" = 2
run 78 check bad.yaml gone.yaml
has out "cannot open 'gone.yaml'"

cp jobs/good.yaml jobs/second.yml
cp bad.yaml jobs/a.test.yaml
echo hello >jobs/notes.txt
run 0 check jobs
is out $'ok: jobs/good.yaml (3 kernels)\nok: jobs/second.yml (3 kernels)\n'
run 0 check jobs/
is out $'ok: jobs/good.yaml (3 kernels)\nok: jobs/second.yml (3 kernels)\n'
mkdir empty
run 69 check empty
has err "no *.yaml or *.yml in 'empty'"

# A warning.
sed '$d' jobs/good.yaml >warn.yaml
run 0 check warn.yaml
has out 'warning: ' '[unused-output]' 'ok: warn.yaml (2 kernels, 1 warning)'
run 78 check --deny-warnings warn.yaml
has out 'warn.yaml: 1 warning, and --deny-warnings'
run 78 check --deny-warnings --format json warn.yaml
has out '"severity": "warning"'

# A missing input is a note: the types are open then.
sed 's/in\.csv/later.csv/' jobs/good.yaml >later.yaml
run 0 check later.yaml
has out 'note: ' 'later.csv' '[input-missing]' 'ok: later.yaml (3 kernels)'

run 78 check --format json bad.yaml jobs/good.yaml
has out '"file": "bad.yaml"' '"line": 5' '"column": 22' '"code": "key-unknown"'
run 0 check --format json jobs/good.yaml
is out $'[]\n'
run 78 check --format=sarif bad.yaml
has out '"version": "2.1.0"' '"ruleId": "key-unknown"'

cat >vars.yaml <<'Y'
version: 1
vars: { in: { type: path, required: true }, least: 1 }
kernels:
  read: { op: read.csv, with: { path: "${var:in}" } }
  big: { op: filter, from: [read], with: { where: "a > var.least" } }
  write: { op: write.csv, from: [big], with: { path: out.csv } }
Y
run 78 check vars.yaml
has out "variable 'in' has no value"
run 0 check vars.yaml --var in=in.csv
run 0 check vars.yaml --var in=gone.csv --var=in=in.csv --print
has out 'path: in.csv'
hasnt out 'ok:'
run 0 check vars.yaml --var in=in.csv --set kernels.big.with.where='a > 0' --print
has out 'a > 0'
code=0
RKPIPE_VAR_IN=in.csv "$rkpipe" check vars.yaml >out 2>err || code=$?
[ "$code" = 0 ] || bad 'a variable of the environment is not taken'
code=0
"$rkpipe" check - --var in=in.csv <vars.yaml >out 2>err || code=$?
[ "$code" = 0 ] || bad 'standard input is not checked'
run 78 check bad.yaml --print
is out ''
has err 'bad.yaml:5:22: error: '
finish
