#!/usr/bin/env bash
# Kernels on a device: the simulated one gives the bytes, the counts and the dead letters of the processor.
. "$(dirname "$0")/lib.sh"

# On the card of this machine where RKP_DEVICE says so (./dev gpu-test).
simulate=true
if [ "${RKP_DEVICE:-}" = real ]; then
    simulate=false
    run 0 devices
fi
run 0 devices --simulate
has out simulated 'gpu:0'
run 0 devices --simulate --json
has out '"driver": "simulated"' '"usable": true'

# A table with everything that goes wrong: nulls, text that is no number, overflow, division by zero.
python=$(command -v python3) || { echo 'skipped: no python3'; exit 0; }
"$python" - <<'P' >in.csv
import random
r = random.Random(7)
print("id,name,n,x,ok,at")
for i in range(30000):
    n = r.choice(["", "0", "-1", str(r.randint(-10**6, 10**6)), str(r.randint(-2**62, 2**62)), "9223372036854775807", "7x" if i % 97 == 0 else "5"])
    x = r.choice(["", "0", "-0.0", "nan", "inf", repr(r.uniform(-1e6, 1e6)), repr(r.uniform(-1, 1) * 1e300), "1e" if i % 211 == 0 else "2.5"])
    ok = r.choice(["true", "false", "", "true"])
    at = r.choice(["2024-02-29T12:30:00Z", "1969-12-31T23:59:59Z", "", "2026-11-23T00:00:00Z"])
    print(f"{i},name {i % 13},{n},{x},{ok},{at}")
P
cat >all.yaml <<'Y2'
version: 1
name: all
engine: { gpu: { simulate: SIMULATE }, threads: 2 }
dead_letter: { kernel: letters }
defaults: { on_error: dead_letter }
kernels:
  read:
    op: read.csv
    with: { path: in.csv, schema: { id: i64, name: string, n: i64?, x: f64?, ok: bool?, at: timestamp? } }
  some: { op: filter, from: [read], with: { where: "n != 5 && (ok ?? true) && 100 // n < 50" } }
  more:
    op: map
    from: [some]
    with:
      derive:
        twice: n * 2
        half: x / 2
        small: n % 1000
        sure: x ?? 1.5
        late: at > '2000-01-01'
        size: "n > 0 ? 1 : n < 0 ? -1 : 0"
      cast: { small: i16 }
  rest: { op: filter, from: [more], with: { where: "half < 1e299 || is_null(half)" } }
  out: { op: write.csv, from: [rest], with: { path: out.csv } }
  letters: { op: write.csv, on_error: fail, with: { path: letters.csv } }
Y2
sed -i "s/SIMULATE/$simulate/" all.yaml
columns() { # the dead letters without their stamps
    "$python" - "$1" <<'P'
import csv, sys
rows = list(csv.reader(open(sys.argv[1])))
keep = [i for i, c in enumerate(rows[0]) if c not in ("stamp", "hlc", "at", "time")]
print("\n".join(sorted(repr([r[i] for i in keep]) for r in rows)))
P
}
counts() { grep -E '^ *(read|some|more|rest|out|letters|dropped|dead-lettered) ' err; }
run 0 run all.yaml --progress none
mv out.csv want.csv
columns letters.csv >want.letters
counts >want.counts
true_that 'something is rejected and something is left' test "$(wc -l <want.csv)" -gt 1000 -a "$(wc -l <want.letters)" -gt 500
on='--set kernels.some.place=gpu --set kernels.more.place=gpu --set kernels.rest.place=gpu'
for more in '' '--set kernels.some.place={"device":"gpu","blocks":3,"threads":64}' '--set engine.threads=1' \
    '--set kernels.more.place=cpu' '--set kernels.rest.place=cpu' '--set kernels.some.place=cpu'; do
    # shellcheck disable=SC2086
    run 0 run all.yaml --progress none $on $more
    true_that "the same rows in the same order ($more)" cmp -s out.csv want.csv
    columns letters.csv >got.letters
    true_that "the same dead letters ($more)" cmp -s got.letters want.letters
    counts >got.counts
    true_that "the same counts ($more)" cmp -s got.counts want.counts
    has err 'on a device   '
    [ "$simulate" = false ] || has err 'on a device   simulated'
done
# Frames of a hundred rows, and more than one for a message.
for more in '--set kernels.some.batch={"count":100}' '--set kernels.some.batch={"count":20000}'; do
    # shellcheck disable=SC2086
    run 0 run all.yaml --progress none $more
    columns letters.csv >want.batch
    # shellcheck disable=SC2086
    run 0 run all.yaml --progress none $on $more
    true_that "the same rows in the same order ($more)" cmp -s out.csv want.csv
    columns letters.csv >got.letters
    true_that "the same dead letters ($more)" cmp -s got.letters want.batch
done
# shellcheck disable=SC2086
run 0 plan all.yaml $on
has out 'on a device: its frames go to a chain of 3 kernels that stays there'
# shellcheck disable=SC2086
run 0 run all.yaml $on --set run.summary=sum.json --progress none
has sum.json '"device": "' '"device_punted_rows"'

# A row that is wrong fails the run where the file says so, with its place.
# shellcheck disable=SC2086
run 1 run all.yaml $on --set defaults.on_error=fail --progress none
has err "in.csv:" "kernel 'some'"

# Checkpoints let what is on the device come back first.
# shellcheck disable=SC2086
run 0 run all.yaml $on --set engine.checkpoint.interval=1ms --progress none
true_that 'the same rows' cmp -s out.csv want.csv

# Nobody wants more while a large message is half on its way.
cat >limit.yaml <<'Y2'
version: 1
name: limit
engine: { gpu: { simulate: SIMULATE } }
kernels:
  numbers: { op: generate, with: { rows: 2000000, batch_rows: 500000, columns: { n: row } } }
  even: { op: filter, from: [numbers], place: gpu, with: { where: n % 2 == 0 } }
  few: { op: limit, from: [even], with: { rows: 5 } }
  out: { op: write.csv, from: [few], with: { path: few.csv } }
Y2
sed -i "s/SIMULATE/$simulate/" limit.yaml
for threads in 1 2; do
    run 0 run limit.yaml --set engine.threads=$threads --progress none
    is few.csv $'n\n0\n2\n4\n6\n8\n'
done

# A message of which others have the batch, and which is traced, is half on its way.
cat >shared.yaml <<'Y2'
version: 1
name: shared
engine: { gpu: { simulate: SIMULATE } }
telemetry: { otlp: { endpoint: "http://127.0.0.1:1", timeout: 1s, traces: { sample: 1 } } }
kernels:
  numbers: { op: generate, with: { rows: 1000000, batch_rows: 500000, columns: { n: row } } }
  even: { op: filter, from: [numbers], place: gpu, with: { where: n % 2 == 0 } }
  out: { op: write.csv, from: [even], with: { path: even.csv } }
  others: { op: write.null, from: [numbers] }
Y2
sed -i "s/SIMULATE/$simulate/" shared.yaml
run 0 run shared.yaml --progress none
true_that 'each row once, in order' bash -c 'tail -n +2 even.csv | awk "\$1 != 2 * (NR - 1) { exit 1 } END { exit NR != 500000 }"'

# A reload beside a chain that stays: every row comes once, in order. One that touches the chain is refused, and the old generation runs on.
pipeline() { # pipeline WHERE COLUMN MORE
    cat <<END
version: 1
name: beside
engine: { gpu: { simulate: $simulate }, delivery: at_most_once }
run: { mode: stream }
kernels:
  numbers: { op: generate, with: { rows: 200000, rate: 100000/s, columns: { n: row } } }
  even: { op: filter, from: [numbers], place: gpu, with: { where: n % $1 == 0 } }
  more: { op: map, from: [even], with: { derive: { twice: n * $2 } } }
  out: { op: write.csv, from: [more], with: { path: beside.csv, commit: append } }
$3
END
}
pipeline 2 2 '' >beside.yaml
start beside.yaml
run 0 reload
pipeline 2 2 '  also: { op: write.null, from: [even] }' >beside.yaml
run 0 reload
has out 'add: also'
pipeline 2 3 '  also: { op: write.null, from: [even] }' >beside.yaml
run 0 reload
pipeline 3 3 '' >beside.yaml
run 2 reload
has err "kernel 'even' runs on a device, and a reload cannot add, change or remove that yet" '[reload-unsupported]'
run 0 status
has out even
stop
true_that 'each row once, in order' bash -c 'grep -v n beside.csv | awk -F, "\$1 != 2 * (NR - 1) { exit 1 } END { exit NR < 10 }"'

# What a device does not take is said by name.
run 78 check all.yaml --set kernels.some.place=gpu --set "kernels.some.with.where=name == 'x'"
has out '[device-unsupported]' "kernel 'some' (filter) cannot run on a device"
run 78 check all.yaml --set kernels.out.place=gpu
has out "only kernels that take rows and give rows run there"
run 78 check all.yaml --set 'kernels.some.place={"blocks":4}'
has out '[field-useless]' "add 'device: gpu', or leave them out"
run 78 check all.yaml --set 'kernels.some.place={"device":"gpu","threads":33}'
has out "a multiple of 32"
run 78 check all.yaml --set kernels.some.place=gpu --set kernels.some.replicas=2
has out 'it has no replicas there, but blocks'

# Without a device: an error, or the processor, which is said.
if [ ! -e /dev/nvidia0 ]; then
    # shellcheck disable=SC2086
    run 69 run all.yaml $on --set engine.gpu.simulate=false --progress none
    has err "kernels with 'place: gpu' cannot run"
    off='--set kernels.some.place={"device":"gpu","fallback":"cpu"} --set kernels.more.place={"device":"gpu","fallback":"cpu"} --set kernels.rest.place={"device":"gpu","fallback":"cpu"}'
    # shellcheck disable=SC2086
    run 0 run all.yaml $off --set engine.gpu.simulate=false --progress none
    has err 'no kernel runs on a device (place: fallback: cpu)'
    hasnt err 'on a device   '
    true_that 'the same rows' cmp -s out.csv want.csv
fi
finish
