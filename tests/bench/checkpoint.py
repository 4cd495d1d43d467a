#!/usr/bin/python3
"""How long checkpoints take, from the request until the manifest is on disk, and what they cost.

    tests/bench/checkpoint.py build/release/rkpipe [OTHER..] --dir FOLDER [--job j1|checkpoint] [--interval 1s] [--rounds 5]

Each binary in turns, round by round, on the same input (FILE of `build/bench/gen csv`, --times as many of it), with
`delivery: exactly_once`; with --plain also once a round without checkpoints. The outputs and the checkpoints go to FOLDER, so
that is the disk which is measured. Before each run what is dirty is written out.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def run(binary, args, work, plain):
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(os.path.join(work, "in"))
    for i in range(args.times):
        os.symlink(os.path.abspath(args.input), os.path.join(work, "in", "%04d.csv" % i))
    os.sync()
    argv = [binary, "run", os.path.join(HERE, args.job + ".yaml"), "--progress", "none", "--summary", "json", "--var",
            "in=" + work + "/in/*.csv", "--var", "out=" + work + "/out.csv", "--set", "engine.data_dir=" + work + "/data",
            "--set", "engine.delivery=" + ("at_most_once" if plain else "exactly_once")]
    if not plain:
        argv += ["--set", "engine.checkpoint=" + args.interval]
    begin = time.monotonic()
    made = subprocess.run(argv + args.more, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    wall = time.monotonic() - begin
    if made.returncode:
        sys.exit("%s: exit %d: %s" % (binary, made.returncode, made.stderr.decode()[-500:]))
    told = made.stderr.decode()
    told = json.JSONDecoder().raw_decode(told[told.index("{"):])[0]
    size = sum(os.path.getsize(os.path.join(work, f)) for f in os.listdir(work) if f.startswith("out"))
    shutil.rmtree(work, ignore_errors=True)
    return {"wall": wall, "cpu": told["cpu_seconds"], "out": size, **(told["checkpoints"] or {"count": 0})}


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    p.add_argument("binary", nargs="+")
    p.add_argument("--input", required=True, help="a CSV file of `gen csv`")
    p.add_argument("--times", type=int, default=1, help="so often in a run")
    p.add_argument("--dir", required=True, help="where outputs and checkpoints go")
    p.add_argument("--job", default="checkpoint", help="j1 or checkpoint (default)")
    p.add_argument("--interval", default="1s")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--plain", action="store_true", help="also without checkpoints, by the first binary")
    p.add_argument("--set", action="append", default=[], dest="sets", metavar="A.B=V", help="passed on")
    args = p.parse_args()
    args.more = [x for s in args.sets for x in ("--set", s)]
    who = [(b, False) for b in args.binary] + ([(args.binary[0], True)] if args.plain else [])
    names = args.binary + (["without"] if args.plain else [])
    found = [[] for _ in who]
    for n in range(args.rounds):
        for i in range(len(who)):
            k = (i + n) % len(who)
            r = run(*who[k][:1], args, os.path.join(os.path.abspath(args.dir), "checkpoint-bench"), who[k][1])
            found[k].append(r)
            print("%d %s: wall %.2f s, CPU %.2f s, %.0f MB out; %d checkpoints, p50 %.1f ms, p99 %.1f, most %.1f" % (
                n, names[k], r["wall"], r["cpu"], r["out"] / 1e6, r["count"], *(1e3 * r.get(q + "_seconds", 0) for q in
                                                                               ("p50", "p99", "max"))), flush=True)
    for k, rs in enumerate(found):
        line = "%-30s" % names[k][-30:]
        for key in ("wall", "cpu", "p50_seconds", "p99_seconds", "max_seconds"):
            v = sorted(r.get(key, 0) * (1e3 if key.endswith("_seconds") else 1) for r in rs)
            line += "  %s %.3g [%.3g..%.3g]" % (key.replace("_seconds", " ms"), statistics.median(v), v[0], v[-1])
        print(line)
    for k in range(1, len(who)):
        for key in ("wall", "cpu"):
            v = sorted(a[key] / b[key] for a, b in zip(found[0], found[k]))
            print("%s %s / %s: %.3f [%.3f..%.3f]" % (key, names[0][-20:], names[k][-20:], statistics.median(v), v[0], v[-1]))


if __name__ == "__main__":
    main()
