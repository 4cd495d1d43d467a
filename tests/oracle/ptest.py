#!/usr/bin/env python3
"""Random rules and series, in `rkpipe test` and in `promtool test rules`: at every evaluation the same alerts are pending and firing.

    ptest.py RKPIPE [FILES [SEED]]

The rules are those of a pipeline, as `rkpipe alerts export` writes them; the series stand in `input_series` of both tests, letter by letter.
Exit code 77: skipped, promtool is not installed.
"""
import random
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

RULES = [
    "rate(rkpipe_kernel_out_rows_total[{range}]) {cmp} {small}",
    "increase(rkpipe_kernel_out_rows_total{{kernel=~\"read|score\"}}[{range}]) {cmp} {large}",
    "sum by (kernel) (rate(rkpipe_kernel_out_rows_total[{range}])) {cmp} {small}",
    "rkpipe_edge_queue_messages {cmp} {large}",
    "max_over_time(rkpipe_edge_queue_messages[{range}]) {cmp} {large}",
    "count_over_time(rkpipe_edge_queue_messages[{range}]) {cmp} {small}",
    "rkpipe_edge_queue_messages {cmp} on (edge) rkpipe_edge_queue_capacity_messages",
    "rkpipe_edge_queue_messages unless on (edge) rkpipe_edge_queue_capacity_messages",
    "absent(rkpipe_edge_queue_messages{{edge=\"a\"}})",
    "absent(rkpipe_edge_queue_capacity_messages{{edge=\"b\"}}) and on () vector(time()) > {large}",
    "count(rkpipe_edge_queue_messages) {cmp} {tiny}",
    "delta(rkpipe_edge_queue_messages[{range}]) {cmp} {tiny}",
]
SERIES = [f'rkpipe_kernel_out_rows_total{{kernel="{k}"}}' for k in ("read", "score", "write")] + [
    f'{name}{{edge="{e}"}}'
    for name in ("rkpipe_edge_queue_messages", "rkpipe_edge_queue_capacity_messages") for e in ("a", "b")]


def values(r, counter):
    """Text in promtool's notation; sums stay exact, so that no order of adding matters."""
    out, v = [], r.randrange(40)
    for _ in range(r.randrange(2, 9)):
        kind = r.randrange(10)
        if kind == 0:
            out.append(f"_x{r.randrange(0, 9)}")
        elif kind == 1:
            out.append(r.choice(["_", "stale", "stale", "_ _"]))
        elif kind == 2 and not counter:
            out.append(r.choice(["NaN", "Inf", "-Inf", "0", "1e2", "2.5e-1"]))
        elif kind < 5:
            out.append(f"{v}x{r.randrange(0, 12)}")
        else:
            step, n = r.choice([0.25, 1, 3, 10, 50]), r.randrange(0, 15)
            down = not counter and r.random() < 0.5
            out.append(f"{v}{'-' if down else '+'}{step:g}x{n}")
            v += round(-step * n if down else step * n)
            if counter and r.random() < 0.2:
                v = 0
        if not counter and v < 0:
            v = r.randrange(100)
    return " ".join(out)


def duration(r, interval):
    return r.choice([0, 0, 1, 2, 3, 5]) * interval + r.choice([0, 0, 0, 5])


def make(r):
    interval, step = r.choice([7, 15, 30, 60]), r.choice([10, 15, 60, 60, 90])
    rules = []
    for i in range(6):
        expr = r.choice(RULES).format(range=r.choice(["1m", "2m", "90s", "5m", "30s"]), cmp=r.choice(["<", ">", "<=", ">="]),
                                      tiny=r.randrange(0, 4), small=r.choice([0, 0.25, 1, 3]), large=r.randrange(0, 200))
        rules.append(f"  - {{ alert: R{i}, expr: '{expr}', for: {duration(r, interval)}s, "
                     f"keep_firing_for: {duration(r, interval)}s, severity: {r.choice(['info', 'warn', 'page'])} }}")
    series = [f"      - {{ series: '{s}', values: '{values(r, 'total' in s)}' }}" for s in SERIES if r.random() < 0.7]
    if not series:
        return make(r)
    pipeline = [
        "version: 1", f"telemetry: {{ interval: {interval}s }}", "alerts:", *rules, "kernels:",
        "  read: { op: read.csv, with: { path: in.csv } }", "  write: { op: write.csv, from: [read], with: { path: out.csv } }",
        "tests:", "  - name: t", f"    interval: {step}s", "    input_series:", *series]
    return interval, step, series, "\n".join(pipeline) + "\n"


def seconds(text):
    units = {"d": 86400, "h": 3600, "m": 60, "s": 1}
    return sum(int(n) * units[u] for n, u in re.findall(r"(\d+)([dhms])", text))


def changes(out):
    for line in out.splitlines():
        m = re.match(r"      (\S+)  (R\d)  (\w+) -> (\w+)  (\{.*\}) value \S+$", line)
        if m:
            yield seconds(m[1]), m[2], m[4], m[5]


def one(r, rkpipe, folder, totals):
    interval, step, series, pipeline = make(r)
    # Without an expectation every change is shown.
    (folder / "p.yaml").write_text(pipeline)
    ours = subprocess.run([rkpipe, "test", folder / "p.yaml"], capture_output=True, text=True, timeout=120)
    if ours.returncode != 0:
        if "cannot be evaluated" in ours.stdout:
            totals["errors"] += 1
            return True
        print(ours.stdout, ours.stderr, pipeline)
        return False
    rules = subprocess.run([rkpipe, "alerts", "export", "--prometheus", folder / "p.yaml"], capture_output=True, text=True, timeout=60)
    (folder / "rules.yml").write_text(rules.stdout)
    lengths = [length(re.search(r"values: '(.*)'", s)[1]) for s in series]
    end = max(0, max(lengths) - 1) * step
    expected, state, todo = [], {}, list(changes(ours.stdout))
    for ms in range(0, end + 1, interval):
        while todo and todo[0][0] <= ms:
            _, rule, to, labels = todo.pop(0)
            state[rule, labels] = to
        for i in range(6):
            expected.append(f"      - expr: ALERTS{{alertname=\"R{i}\"}}\n        eval_time: {ms}s\n        exp_samples:")
            totals["assertions"] += 1
            for (rule, labels), to in state.items():
                if rule != f"R{i}" or to not in ("pending", "firing"):
                    continue
                totals[to] += 1
                text = f'ALERTS{{alertstate="{to}", {labels[1:]}'
                expected.append(f"          - labels: '{text}'\n            value: 1")
    assert not todo, todo
    (folder / "t.yml").write_text("\n".join(
        ["rule_files: [rules.yml]", f"evaluation_interval: {interval}s", "tests:", f"  - interval: {step}s", "    input_series:",
         *["  " + s for s in series], "    promql_expr_test:", *expected]) + "\n")
    theirs = subprocess.run(["promtool", "test", "rules", "t.yml"], capture_output=True, text=True, timeout=300, cwd=folder)
    if theirs.returncode == 0:
        return True
    print(f"promtool does not agree:\n{theirs.stdout[:3000]}{theirs.stderr[:3000]}\n{pipeline}\n{ours.stdout}")
    return False


def length(text):
    n = 0
    for item in text.split():
        times = re.search(r"x(\d+)$", item)
        n += 1 if not times else int(times[1]) + (0 if item.startswith("_") else 1)
    return n


def main():
    rkpipe, files, seed = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 20, int(sys.argv[3]) if len(sys.argv) > 3 else 1
    if not shutil.which("promtool"):
        print("skipped: promtool is not installed")
        return 77
    totals = {"assertions": 0, "pending": 0, "firing": 0, "errors": 0}
    r = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(files):
            if not one(r, Path(rkpipe).resolve(), Path(folder), totals):
                print(f"seed {seed}")
                return 1
    print(f"{files} files, seed {seed}: {totals}; 0 differ")
    return 0 if totals["firing"] and totals["pending"] else 1


sys.exit(main())
