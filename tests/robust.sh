#!/usr/bin/env bash
# What goes wrong around a pipeline, and what rkpipe makes of it: exit codes, messages, and what lies in the folder then.
# usage: robust.sh RKPIPE [all]
#   all   also what takes longer: a bad row in the middle of 10,000,000
set -u
rkpipe=$1
all=${2:-}
failed=0 passed=0
work=$(mktemp -d)
trap '[ "$BASHPID" != $$ ] || { kill $(jobs -p) 2>/dev/null; rm -rf "$work"; }' EXIT # a child that is killed before its exec would run it, too
cd "$work" || exit 1

# ---- checking -------------------------------------------------------------------------------------------------------

say() { printf '%s\n' "$*"; }
ok() { passed=$((passed + 1)); }
bad() {
    failed=$((failed + 1))
    say "FAIL $*"
    [ ! -s err ] || sed 's/^/     | /' err | head -12
}
# run CODE NAME ARG..: rkpipe run ARG.. must end with CODE, within a minute; standard error goes to err, output to out
run() {
    local want=$1 name=$2 rc=0
    shift 2
    timeout -s KILL "${deadline:-60}" "$rkpipe" run "$@" --progress none >out 2>err || rc=$?
    if [ "$rc" = "$want" ]; then ok; else bad "$name: exit $rc, not $want"; fi
}
says() { # says NAME TEXT: standard error holds TEXT
    if grep -qF -- "$2" err; then ok; else bad "$1: does not say '$2'"; fi
}
same() { # same NAME FILE FILE
    if cmp -s "$2" "$3"; then ok; else bad "$1: $2 and $3 differ"; fi
}
absent() { # absent NAME FILE..: none is there
    local name=$1 f
    shift
    for f; do
        if [ -e "$f" ]; then bad "$name: '$f' is there" && return; fi
    done
    ok
}
no_temps() { # no_temps NAME: nothing unfinished lies about
    local found
    found=$(find . -name '.*rkpipe-*' -o -name '*.tmp-*' -o -name 'spill-*')
    if [ -z "$found" ]; then ok; else bad "$1: left behind: $found"; fi
}
until_true() { # until_true COMMAND..: for at most a minute
    local until=$((SECONDS + 60))
    until "$@"; do
        [ "$SECONDS" -lt "$until" ] || return 1
        sleep 0.01
    done
}
has_bytes() { local f; for f in $1; do [ -s "$f" ] && return 0; done; return 1; }
gone() { ! kill -0 "$1" 2>/dev/null; }

# ---- pipelines ------------------------------------------------------------------------------------------------------

cat >copy.yaml <<'YAML'
version: 1
name: copy
vars: { in: { type: path, required: true }, out: { type: path, required: true } }
kernels:
  read: { op: read.csv, with: { path: "${var:in}" } }
  write: { op: write.csv, from: [read], with: { path: "${var:out}" } }
YAML
cat >lines.yaml <<'YAML'
version: 1
name: lines
vars: { in: { type: path, required: true }, out: { type: path, required: true } }
kernels:
  read: { op: read.lines, with: { path: "${var:in}" } }
  write: { op: write.jsonl, from: [read], with: { path: "${var:out}" } }
YAML
printf 'a,b\n1,x\n2,y\n' >in.csv
seq 1 300000 | sed '1s/.*/a,b/;1!s/$/,x/' >big.csv

# ---- inputs ---------------------------------------------------------------------------------------------------------

: >empty.csv
printf 'a,b\n' >head.csv
mkdir folder
run 78 'an empty file has no columns' copy.yaml --var in=empty.csv --var out=o.csv
says 'an empty file has no columns' '[input-empty]'
absent 'an empty file has no columns' o.csv
run 0 'a header alone is a table without rows' copy.yaml --var in=head.csv --var out=o.csv
same 'a header alone is a table without rows' head.csv o.csv
rm -f o.csv
run 0 'an empty file has no lines' lines.yaml --var in=empty.csv --var out=o.jsonl
same 'an empty file has no lines' empty.csv o.jsonl
rm -f o.jsonl
for pipeline in copy lines; do
    run 69 "a folder is no input ($pipeline)" $pipeline.yaml --var in=folder --var out=o.csv
    says "a folder is no input ($pipeline)" "it is a folder"
    run 69 "a file that is not there ($pipeline)" $pipeline.yaml --var in=nowhere.csv --var out=o.csv
    says "a file that is not there ($pipeline)" "cannot open 'nowhere.csv': No such file"
    run 69 "a glob that matches nothing ($pipeline)" $pipeline.yaml --var 'in=no*where.csv' --var out=o.csv
    absent "no input, no output ($pipeline)" o.csv
done
run 69 'a pipeline that is not there' nowhere.yaml
run 69 'a pipeline that is a folder' folder
cp in.csv locked.csv && chmod 0 locked.csv
if [ -r locked.csv ]; then # root may read anything: lower rights, when there is a way
    if setpriv --reuid=65534 --clear-groups --bounding-set=-all true 2>/dev/null && chmod 711 "$work"; then
        rc=0
        (cd "$work" && setpriv --reuid=65534 --clear-groups --bounding-set=-all "$rkpipe" run copy.yaml --var in=locked.csv \
            --var out=/dev/null >out 2>err) || rc=$?
        case $rc in
        69) ok && says 'a file that may not be read' 'Permission denied' ;;
        126 | 127) say 'skipped: another user cannot run this rkpipe' ;;
        *) bad "a file that may not be read: exit $rc, not 69" ;;
        esac
    else
        say 'skipped: no permission to read, as root'
    fi
else
    run 69 'a file that may not be read' copy.yaml --var in=locked.csv --var out=o.csv
    says 'a file that may not be read' 'Permission denied'
fi

# ---- outputs --------------------------------------------------------------------------------------------------------

run 69 'no folder for the output' copy.yaml --var in=in.csv --var out=nowhere/o.csv
says 'no folder for the output' "the folder 'nowhere' is not there"
run 69 'the output is a folder' copy.yaml --var in=in.csv --var out=folder
no_temps 'the output is a folder'
run 1 'a full device' copy.yaml --var in=big.csv --var out=/dev/full
says 'a full device' 'No space left on device'
rc=0
"$rkpipe" run copy.yaml --var in=big.csv --var out=- --summary none >/dev/full 2>err || rc=$?
if [ "$rc" = 1 ]; then ok; else bad "standard output is full: exit $rc, not 1"; fi
says 'standard output is full' 'No space left on device'
if mkdir -p small && mount -t tmpfs -o size=1m none small 2>/dev/null; then
    run 1 'a full disk' copy.yaml --var in=big.csv --var out=small/o.csv
    says 'a full disk' 'No space left on device'
    if [ -z "$(ls -A small)" ]; then ok; else bad "a full disk: left behind: $(ls -A small)"; fi
    umount small
fi
rc=0
(ulimit -f 64 && trap '' XFSZ && exec "$rkpipe" run copy.yaml --var in=big.csv --var out=o.csv --summary none) >out 2>err || rc=$?
if [ "$rc" = 1 ]; then ok; else bad "a file larger than the limit: exit $rc, not 1"; fi
says 'a file larger than the limit' 'File too large'
absent 'a file larger than the limit' o.csv
no_temps 'a file larger than the limit'
cp big.csv both.csv
run 0 'input and output are one file' copy.yaml --var in=both.csv --var out=both.csv
same 'input and output are one file' big.csv both.csv
run 0 'output replaces what was there' copy.yaml --var in=in.csv --var out=both.csv
same 'output replaces what was there' in.csv both.csv
cat >twice.yaml <<'YAML'
version: 1
kernels:
  read: { op: read.csv, with: { path: in.csv } }
  a: { op: write.csv, from: [read], with: { path: twice.csv } }
  b: { op: write.csv, from: [read], with: { path: nowhere/b.csv } }
YAML
run 69 'one output of two fails' twice.yaml
absent 'one output of two fails' twice.csv
no_temps 'one output of two fails'

# ---- standard streams -----------------------------------------------------------------------------------------------

"$rkpipe" run copy.yaml --var in=- --var out=- --summary none <big.csv >out 2>err
same 'standard input to standard output' big.csv out
"$rkpipe" run copy.yaml --var in=big.csv --var out=- --summary none 2>err | head -1 >out
if [ "${PIPESTATUS[0]}" = 0 ] && [ "$(cat out)" = a,b ]; then ok; else bad 'a reader that has seen enough'; fi
rc=0
"$rkpipe" run copy.yaml --var in=- --var out=o.csv <&- >out 2>err || rc=$?
if [ "$rc" = 78 ] || [ "$rc" = 69 ]; then ok; else bad "standard input is closed: exit $rc"; fi
says 'standard input is closed' 'cannot read standard input'
rc=0
"$rkpipe" run copy.yaml --var in=in.csv --var out=- >&- 2>err || rc=$?
if [ "$rc" = 1 ]; then ok; else bad "standard output is closed: exit $rc, not 1"; fi
rm -f o.csv
(cat in.csv && sleep 1.2) | "$rkpipe" run copy.yaml --var in=- --var out=o.csv --progress json 2>&- >&-
same 'messages do not go into an output that has the number of a closed stream' in.csv o.csv
rm -f o.csv

# ---- shapes ---------------------------------------------------------------------------------------------------------

{ printf 'a,b\n1,' && head -c 200000 /dev/zero | tr '\0' y && printf '\n2,z\n'; } >long.csv
run 0 'a field of 200 KB' copy.yaml --var in=long.csv --var out=o.csv
same 'a field of 200 KB' long.csv o.csv
awk 'BEGIN { for (j = 0; j < 300; j++) for (i = 0; i < 1000; i++)
    printf "%s%s", j ? i * j % 97 : "c" i, i < 999 ? "," : "\n" }' >wide.csv
run 0 '1,000 columns' copy.yaml --var in=wide.csv --var out=o.csv
same '1,000 columns' wide.csv o.csv
awk 'BEGIN { print "k,v"; for (i = 0; i < 300000; i++) print i % 100000 "," 1 }' >keys.csv
awk 'BEGIN { print "k,n,s"; for (i = 0; i < 100000; i++) print i ",3,3" }' >keys.want
cat >keys.yaml <<'YAML'
version: 1
kernels:
  read: { op: read.csv, with: { path: keys.csv } }
  sums: { op: aggregate, from: [read], with: { by: [k], compute: { n: count(), s: sum(v) } } }
  write: { op: write.csv, from: [sums], with: { path: o.csv } }
YAML
run 0 '100,000 keys' keys.yaml
same '100,000 keys' keys.want o.csv
run 0 '100,000 keys in 4 MiB' keys.yaml --set engine.memory_limit=4MiB
same '100,000 keys in 4 MiB' keys.want o.csv
run 0 '100,000 keys in 1 MiB' keys.yaml --set engine.memory_limit=1MiB
same '100,000 keys in 1 MiB' keys.want o.csv
no_temps '100,000 keys'

# kernels COUNT EXTRA: a chain of filters
chain() {
    local i last=read
    printf 'version: 1\nname: chain\nkernels:\n  read: { op: read.csv, with: { path: big.csv } }\n'
    for ((i = 0; i < $1; i++)); do
        printf '  k%d: { op: filter, from: [%s], with: { where: "a != %d" }%s }\n' $i $last $((i * 1000)) "$2"
        last=k$i
    done
    printf '  write: { op: write.csv, from: [%s], with: { path: o.csv } }\n' $last
}
chain 200 '' >chain.yaml
chain 200 ', fuse: never' >chain_apart.yaml
awk -F, 'NR == 1 || $1 % 1000 || $1 > 199000' big.csv >chain.want
cat >diamond.yaml <<'YAML'
version: 1
name: diamond
kernels:
  read: { op: read.csv, with: { path: big.csv } }
  low: { op: filter, from: [read], with: { where: "a % 3 == 0" } }
  mid: { op: filter, from: [read], with: { where: "a % 3 == 1" } }
  high: { op: filter, from: [read], with: { where: "a % 3 == 2" } }
  both: { op: map, from: [low, high], with: { derive: { c: "1" } } }
  all: { op: sort, from: [both, mid], with: { by: [a] } }
  plain: { op: map, from: [all], with: { select: [a, b] } }
  write: { op: write.csv, from: [plain], with: { path: o.csv } }
YAML
{
    printf 'version: 1\nname: fan\nkernels:\n  read: { op: read.csv, with: { path: big.csv } }\n'
    for ((i = 0; i < 64; i++)); do
        printf '  f%d: { op: filter, from: [read], with: { where: "a %% 64 == %d" } }\n' $i $i
        printf '  w%d: { op: write.csv, from: [f%d], with: { path: fan%d.csv, header: false } }\n' $i $i $i
    done
} >fan.yaml
for threads in 1 2 3 4 5 6 7 8; do
    run 0 "200 kernels in a row, $threads threads" chain.yaml --set engine.threads=$threads
    same "200 kernels in a row, $threads threads" chain.want o.csv
    run 0 "200 kernels in a row, not fused, $threads threads" chain_apart.yaml --set engine.threads=$threads
    same "200 kernels in a row, not fused, $threads threads" chain.want o.csv
    run 0 "a diamond, $threads threads" diamond.yaml --set engine.threads=$threads
    same "a diamond, $threads threads" big.csv o.csv
    run 0 "64 consumers, $threads threads" fan.yaml --set engine.threads=$threads
    cat fan?.csv fan??.csv | sort -n >fan.all
    tail -n +2 big.csv >fan.want
    same "64 consumers, $threads threads" fan.want fan.all
done
rm -f fan*.csv

# ---- bad rows -------------------------------------------------------------------------------------------------------

# bad_rows ROWS: a broken row in the middle, and its line
bad_rows() {
    local n=$1 at=$(($1 / 2)) name="a bad row among $1"
    seq 1 "$n" | sed '1s/.*/a,b/;1!s/$/,x/' | sed "${at}s/.*/$at,x,too,many/" >bad.csv
    sed "${at}d" bad.csv >good.csv
    cat >bad.yaml <<'YAML'
version: 1
name: bad
dead_letter: { kernel: dead }
kernels:
  read: { op: read.csv, on_error: dead_letter, with: { path: bad.csv } }
  write: { op: write.csv, from: [read], with: { path: o.csv } }
  dead: { op: write.csv, with: { path: dead.csv } }
YAML
    rm -f o.csv dead.csv
    run 1 "$name: fail" copy.yaml --var in=bad.csv --var out=o.csv
    says "$name: fail" "bad.csv:$at:"
    absent "$name: fail" o.csv
    no_temps "$name: fail"
    run 0 "$name: drop" copy.yaml --var in=bad.csv --var out=o.csv --set kernels.read.on_error=drop
    same "$name: drop" good.csv o.csv
    if grep -qE '^ *dropped +fields +1$' err; then ok; else bad "$name: drop: is not counted"; fi
    rm -f o.csv
    run 0 "$name: dead letter" bad.yaml
    same "$name: dead letter" good.csv o.csv
    if [ "$(wc -l <dead.csv)" = 2 ] && grep -q "^read,fields,.*,bad.csv,$at,\"$at,x,too,many\"$" dead.csv; then ok; else
        bad "$name: dead letter: $(cat dead.csv)"
    fi
    rm -f o.csv dead.csv
    run 65 "$name: max_bad_ratio" bad.yaml --set run.max_bad_ratio=0
    absent "$name: max_bad_ratio" o.csv dead.csv
    run 65 "$name: fail_on" bad.yaml --set 'run.fail_on=[dead_letter]'
    absent "$name: fail_on" o.csv dead.csv
    no_temps "$name: max_bad_ratio"
    run 0 "$name: as many as are allowed" bad.yaml --set run.max_bad_ratio=1%
    rm -f o.csv dead.csv bad.csv good.csv
}
bad_rows 1000
[ "$all" != all ] || bad_rows 10000000

{ echo a,b && yes x | head -200000; } >bad.csv
cat >bad.yaml <<'YAML'
version: 1
dead_letter: { kernel: dead }
kernels:
  read: { op: read.csv, with: { path: bad.csv, schema: two } }
  write: { op: write.csv, from: [read], with: { path: o.csv } }
  dead: { op: write.csv, with: { path: dead.csv } }
schemas: { two: { a: i64, b: i64 } }
YAML
for threads in 1 2; do
    run 0 'every row is bad' bad.yaml --set engine.memory_limit=16MiB --set engine.threads=$threads
    if [ "$(wc -l <dead.csv)" = 200001 ] && [ "$(wc -l <o.csv)" = 1 ]; then ok; else bad 'every row is bad'; fi
done

# ---- partitions -----------------------------------------------------------------------------------------------------

awk 'BEGIN { print "k,v"; for (i = 0; i < 100000; i++) print i * 7919 % 1000 "," i * 0.1 }' >parts.csv
cat >parts.yaml <<'YAML'
version: 1
kernels:
  read: { op: read.csv, with: { path: parts.csv, chunk_bytes: 16KiB } }
  sums: { op: aggregate, from: [read], replicas: auto, partition_by: k, with: { by: [k], compute: { n: count(), s: sum(v) } } }
  write: { op: write.csv, from: [sums], with: { path: o.csv } }
YAML
for threads in 1 2 3 5; do
    run 0 "rows divided by key, $threads threads" parts.yaml --set engine.threads=$threads
    [ $threads != 1 ] || mv o.csv parts.want
    [ $threads = 1 ] || same "rows divided by key, $threads threads" parts.want o.csv
done

# ---- signals --------------------------------------------------------------------------------------------------------

# The thread sanitizer keeps a signal until the next call that it knows; a futex wait is none.
if grep -q __tsan_init "$rkpipe"; then
    say 'skipped: signals, in a build with the thread sanitizer'
    no_signals=1
fi

# hold NAME: a run that has written something and waits for more on its input; $pid
hold() {
    rm -f fifo o.csv .o.csv.rkpipe-*
    mkfifo fifo
    "$rkpipe" run copy.yaml --var in=- --var out=o.csv --summary none <fifo >out 2>err &
    pid=$!
    exec 7>fifo
    head -200000 big.csv >&7
    until_true has_bytes '.o.csv.rkpipe-*' || bad "$1: does not begin"
}
# ended NAME CODE: the run ends by itself with CODE while its input stays open
ended() {
    local rc=0
    until_true gone "$pid" || { bad "$1: does not stop" && kill -KILL "$pid"; }
    wait "$pid" 2>/dev/null || rc=$?
    exec 7>&-
    if [ "$rc" = "$2" ]; then ok; else bad "$1: exit $rc, not $2"; fi
}
[ -n "${no_signals:-}" ] || for sig in INT TERM; do
    hold "SIG$sig"
    kill -$sig "$pid"
    ended "SIG$sig" 75
    says "SIG$sig" 'interrupted'
    absent "SIG$sig" o.csv
    no_temps "SIG$sig"
done
# stall NAME ARG..: a run whose reader does not read; $pid
stall() {
    local name=$1
    shift
    rm -f fifo begun
    mkfifo fifo
    (head -c 1 >begun && exec sleep 60) <fifo &
    sleeper=$!
    "$rkpipe" run copy.yaml --var in=big.csv --var out=- --summary none "$@" >fifo 2>err &
    pid=$!
    until_true has_bytes begun || bad "$name: does not begin"
    sleep 0.2 # the pipe is full in no time
}
[ -n "${no_signals:-}" ] || for two in 'INT 130' 'TERM 143'; do
    set -- $two
    stall "two SIG$1"
    kill -"$1" "$pid"
    until_true grep -q 'once more to stop at once' err || bad "the first SIG$1 is not noticed"
    kill -"$1" "$pid"
    ended "the second SIG$1 ends a run that cannot write" "$2"
    kill "$sleeper"
done
if [ -z "${no_signals:-}" ]; then
    stall 'grace' --set engine.shutdown.grace=300ms
    kill "$pid"
    ended 'the grace of a run that cannot write ends' 75
    kill "$sleeper"
    stall 'a reader that goes'
    kill "$pid"
    until_true grep -q 'once more to stop at once' err || bad 'a reader that goes: the signal is not noticed'
    sleep 0.2
    kill "$sleeper"
    ended 'a reader that goes after the first signal' 75
    run 0 'another choice of variables is another job' copy.yaml --var in=in.csv --var out=o.csv
    same 'another choice of variables is another job' in.csv o.csv
    rm -rf .rkpipe
fi
hold 'SIGKILL'
kill -KILL "$pid"
ended 'SIGKILL' 137
absent 'SIGKILL' o.csv
found=$(find . -name '.o.csv.rkpipe-*' | wc -l)
if [ "$found" = 1 ]; then ok; else bad "SIGKILL: $found hidden files named after the output, not one"; fi
run 0 'a run after SIGKILL' copy.yaml --var in=in.csv --var out=o.csv
same 'a run after SIGKILL' in.csv o.csv
rm -f .o.csv.rkpipe-*

# ---- at once --------------------------------------------------------------------------------------------------------

for i in 1 2 3 4; do
    "$rkpipe" run diamond.yaml --summary none --set engine.memory_limit=4MiB --set engine.data_dir="dir$i" \
        >"out$i" 2>"err$i" &
    pids[i]=$!
done
for i in 1 2 3 4; do
    if wait "${pids[i]}"; then ok; else
        cp "err$i" err
        bad 'four runs of one pipeline at once'
    fi
done
same 'four runs of one pipeline at once' big.csv o.csv
no_temps 'four runs of one pipeline at once'

# ---- the folder of a run --------------------------------------------------------------------------------------------

absent 'no run left a folder' .rkpipe dir1 dir2 dir3 dir4
if [ -z "${no_signals:-}" ]; then
    hold 'a folder that is taken'
    run 69 'a second run of one folder' copy.yaml --var in=in.csv --var out=p.csv
    says 'a second run of one folder' "the folder '.rkpipe/copy' belongs to another run (pid $pid, since 20"
    says 'a second run of one folder' '--set engine.data_dir=.rkpipe/copy-2'
    run 0 'a second run in a folder of its own' copy.yaml --var in=in.csv --var out=p.csv --set engine.data_dir=.rkpipe/copy-2
    kill "$pid"
    ended 'a run whose folder was wanted' 75
    hold 'a folder whose owner dies'
    kill -KILL "$pid"
    ended 'a folder whose owner dies' 137
    run 0 'a run after it' copy.yaml --var in=in.csv --var out=p.csv
    rm -rf .rkpipe p.csv .o.csv.rkpipe-*
fi
touch .rkpipe
run 0 'a batch job where no folder can be made' copy.yaml --var in=in.csv --var out=p.csv
says 'a batch job where no folder can be made' "note: cannot make the folder '.rkpipe/copy': Not a directory"
run 0 'a batch job that needs none' copy.yaml --quiet --var in=in.csv --var out=p.csv --set admin.listen=none
if [ ! -s err ]; then ok; else bad 'a batch job that needs none is quiet'; fi
rm -f .rkpipe p.csv

say "$passed passed, $failed failed"
[ "$failed" = 0 ]
