#!/usr/bin/env python3
"""How long kernels stand while a pipeline at full load is changed: tests/bench/reload.py RKPIPE [--reloads 200] [--threads 2].

Two versions of a pipeline in turns, of which each row below is one; `pause` of each answer is how long the kernel that stood longest did, `answer` how
long the command took.  The rows of the job are counted at the end, and must add up (exit code 0)."""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

HEAD = """version: 1
name: pause
engine: {{ threads: {threads}, data_dir: {dir} }}
run: {{ mode: stream }}
defaults: {{ queue: {{ capacity: 4096, bytes: 1GiB }} }}
kernels:
  src: {{ op: generate, with: {{ columns: {{ n: row, k: row % 97 }} }} }}
  first: {{ op: map, from: [src], with: {{ derive: {{ x: n * 2 }} }} }}
"""
NULL = "  {name}: {{ op: write.null, from: [{of}] }}\n"
MAP = "  {name}: {{ op: map, from: [{of}], with: {{ derive: {{ {name}: n + {add} }} }} }}\n"
SUM = "  {name}: {{ op: aggregate, from: [{of}], with: {{ by: [k], compute: {{ rows: count() }} }} }}\n"

SLOW = "  {name}: {{ op: aggregate, from: [{of}], with: {{ by: [k], compute: {{ d: stddev(n), e: stddev(x), f: min(x), g: max(n) }} }} }}\n"

# name: (what is so in even versions, what in odd ones)
JOBS = {
    "an expression of a kernel": (MAP.format(name="mid", of="first", add=1) + NULL.format(name="out", of="mid"),
                                  MAP.format(name="mid", of="first", add=2) + NULL.format(name="out", of="mid")),
    "a kernel comes and goes": (NULL.format(name="out", of="first"),
                                MAP.format(name="mid", of="first", add=1) + NULL.format(name="out", of="mid")),
    "a reader comes and goes": (NULL.format(name="out", of="first"),
                                NULL.format(name="out", of="first") + NULL.format(name="more", of="first")),
    "a reader with state comes and goes": (NULL.format(name="out", of="first"),
                                           NULL.format(name="out", of="first") + SUM.format(name="sums", of="first") +
                                           NULL.format(name="more", of="sums")),
    "a kernel comes and goes, full rings": (SLOW.format(name="slow", of="first"),
                                            MAP.format(name="mid", of="first", add=1) + SLOW.format(name="slow", of="mid")),
    "a reader comes and goes, full rings": (SLOW.format(name="slow", of="first"),
                                            SLOW.format(name="slow", of="first") + NULL.format(name="more", of="first")),
}


def quantile(v, q):
    v = sorted(v)
    return v[min(len(v) - 1, int(q * len(v)))] if v else 0


def job(rkpipe, versions, reloads, threads):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "p.yaml")
        head = HEAD.format(threads=threads, dir=os.path.join(folder, "data"))

        def write(i):
            with open(path + ".new", "w", encoding="utf-8") as f:
                f.write(head + versions[i % 2] + (NULL.format(name="end", of="slow") if "slow:" in versions[0] else ""))
            os.rename(path + ".new", path)

        write(0)
        run = subprocess.Popen([rkpipe, "run", path, "--progress", "none", "--summary", "json"], stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE)
        sock = os.path.join(folder, "data", "admin.sock")
        end = time.monotonic() + 20
        while not os.path.exists(sock) and time.monotonic() < end and run.poll() is None:
            time.sleep(0.01)
        pauses, answers, prepares = [], [], []
        for i in range(1, reloads + 1):
            write(i)
            begin = time.monotonic()
            p = subprocess.run([rkpipe, "reload", path, "--admin", "unix:" + sock, "--format", "json"], capture_output=True,
                               text=True)
            answers.append((time.monotonic() - begin) * 1000)
            a = json.loads(p.stdout) if p.stdout else {}
            if a.get("outcome") != "applied":
                print(p.stdout, p.stderr, file=sys.stderr)
                run.kill()
                return None
            pauses.append(a["milliseconds"]["pause"])
            prepares.append(a["milliseconds"].get("prepare", 0))
        run.terminate()
        err = run.communicate(timeout=60)[1].decode()
        if run.returncode != 0:
            print(err, file=sys.stderr)
            return None
        return pauses, answers


def main():
    a = argparse.ArgumentParser()
    a.add_argument("rkpipe")
    a.add_argument("--reloads", type=int, default=200)
    a.add_argument("--threads", type=int, default=2)
    a = a.parse_args()
    ok = True
    print("| change | pause p50 | p99 | most | answer p50 | p99 |\n|---|---|---|---|---|---|")
    for name, versions in JOBS.items():
        got = job(os.path.abspath(a.rkpipe), versions, a.reloads, a.threads)
        if not got:
            ok = False
            print(f"| {name} | failed |")
            continue
        pauses, answers = got
        print(f"| {name} | {quantile(pauses, .5):.3f} ms | {quantile(pauses, .99):.3f} ms | {max(pauses):.3f} ms | "
              f"{quantile(answers, .5):.1f} ms | {quantile(answers, .99):.1f} ms |", flush=True)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
