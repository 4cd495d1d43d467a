#!/usr/bin/python3
"""./dev bench: rkpipe, hand-written loops and peers on the same jobs, in turns. docs/bench/README.md explains it.

First every contender runs each job once and its answer is compared; who answers wrongly is not timed and makes the exit
status 1. Then they take turns, A B C A B C .., as whole processes: wall and CPU seconds and peak memory of each. Ratios
are made within a round, and their median is what counts. Results: a table on standard output, build/bench/result.json
and build/bench/result.md.
"""
import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import answers  # noqa: E402
import contenders as who  # noqa: E402
import pubsub  # noqa: E402
import rings  # noqa: E402
import watching  # noqa: E402

# job, contender, (wall of contender / wall of rkpipe) at least; the floor to pass for the present state of the project
BARS = [
    ("j1", "duckdb-1", 5.0), ("j1", "mawk", 4.0), ("j1", "miller", 15.0), ("j1", "hand", 0.5),
    ("j2", "duckdb-1", 4.0), ("j2", "hand", 0.5), ("j3", "duckdb-1", 2.0), ("j3", "jq", 15.0), ("j3", "hand", 0.5),
    ("j4", "duckdb-1", 2.0), ("j4", "hand", 0.5), ("hop", "caf", 15.0), ("hop", "tbb-flow", 15.0), ("hop", "bare", 0.4),
]
BARS_CPU = [("j3", "fluent-bit", 10.0)]  # CPU seconds, not wall
BARS_2 = [("j1", "rkpipe", 1.3), ("j1", "polars-2", 2.5)]  # against two workers
PARTS = {"pubsub": pubsub, "queue": rings, "watching": watching}  # jobs that measure and report themselves
HOP_ROWS = {"bare": 20000000, "caf": 1000000, "tbb-flow": 1000000, "tbb-pipeline": 20000000, "rkpipe": 4000000}


def say(text):
    print(text, file=sys.stderr, flush=True)


def size(text):
    found = re.fullmatch(r"(\d+)\s*(|k|kB|M|MB|G|GB)", text)
    if not found:
        raise argparse.ArgumentTypeError("a size is a number with kB, MB or GB behind it, not '%s'" % text)
    return int(found[1]) * {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}[found[2][:1]]


def arguments():
    p = argparse.ArgumentParser(prog="./dev bench", description=__doc__.split("\n\n")[0])
    p.add_argument("job", nargs="*", help="which jobs; the same as --jobs")
    p.add_argument("--jobs", default="j1,j2,j2b,j3,j4,hop", help="which jobs (default %(default)s); pubsub, queue"
                   " and watching are three more")
    p.add_argument("--peers", default="all", help="who runs beside rkpipe, rkpipe-2 and hand: names with commas, none, or"
                   " all that are installed (default)")
    p.add_argument("--rounds", type=int, default=5, help="rounds of turns, at least 5 for a figure to publish")
    p.add_argument("--size", type=size, default=size("300MB"), help="bytes of each input (default 300MB)")
    p.add_argument("--dir", help="where inputs and answers go (default: a folder in /dev/shm if there is room)")
    p.add_argument("--keep", action="store_true", help="leave inputs and answers there")
    p.add_argument("--rkpipe", default=os.path.join(who.ROOT, "build", "release", "rkpipe"), help="the binary to time")
    p.add_argument("--set", action="append", default=[], metavar="A.B=V", help="passed on to rkpipe run, may be repeated")
    p.add_argument("--timeout", type=int, default=900, help="seconds after which a process is killed (default 900)")
    p.add_argument("--check-only", action="store_true", help="compare the answers, time nothing")
    p.add_argument("--strict", action="store_true", help="exit 1 when a bar is missed")
    args = p.parse_args()
    args.jobs = args.job or args.jobs.split(",")
    for job in args.jobs:
        if job not in answers.JOBS and job not in ("hop", *PARTS):
            p.error("no job '%s'; there are %s, hop, %s" % (job, ", ".join(answers.JOBS), ", ".join(PARTS)))
    return args


class Runner:
    """Runs one process at a time through `timed`, in the work folder."""

    def __init__(self, args, work):
        self.args, self.work = args, work
        self.log = open(os.path.join(work, "log"), "w+b")

    def program(self, name):
        return os.path.join(who.BUILD, name)

    def run(self, argv, env=None, stdout=os.devnull):
        self.log.seek(0)
        self.log.truncate()
        made = subprocess.run([self.program("timed"), str(self.args.timeout), stdout, *argv], cwd=self.work,
                              env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=self.log, check=True)
        took = json.loads(made.stdout)
        took["cpu_s"] = took.pop("user_s") + took.pop("sys_s")
        return took

    def complaint(self):
        self.log.seek(0)
        lines = self.log.read().decode(errors="replace").strip().splitlines()
        return " | ".join(lines[-3:])[-400:]

    def figure(self, *argv):
        return subprocess.run([self.program(argv[0]), *argv[1:]], stdout=subprocess.PIPE, check=True).stdout.decode().strip()

    def read(self, path):  # into the page cache, again
        with open(path, "rb", buffering=0) as f:
            block = bytearray(1 << 20)
            while f.readinto(block):
                pass


def check_answers(run, job, source, fields):
    """Runs each contender once; returns those with the right answer, and what is wrong with the others."""
    good, bad, paths = {}, {}, {}
    for name, command in fields.items():
        target = os.path.join(run.work, "%s.%s.out" % (job, name))
        made = command(job, source, target)
        if made is None:
            continue
        paths[name] = target
        stdout = target if name in who.OUTPUT_IS_STDOUT else os.devnull
        took = run.run(*made, stdout=stdout)
        if took["exit"] != 0:
            bad[name] = "exit %d: %s" % (took["exit"], run.complaint())
        elif not os.path.exists(target):
            bad[name] = "it wrote no answer"
        else:
            good[name] = command
    reference = next((n for n in ("duckdb-1", "hand", *good) if n in good), None)
    count = 0
    for name in list(good):
        try:
            count = answers.compare(job, paths[name], who.FORM.get(name, {}), paths[reference], who.FORM.get(reference, {}))
        except (answers.Differ, OSError, ValueError) as why:
            bad[name] = "wrong answer beside %s: %s" % (reference, why)
            del good[name]
    for name, path in paths.items():
        if os.path.exists(path) and not run.args.keep:
            os.unlink(path)
    for name, why in bad.items():
        say("%s: %s: %s" % (job, name, why))
    say("%s: %d rows, the same from: %s" % (job, count, ", ".join(good)))
    return good, bad, count


def take_turns(run, rounds, turns):
    """turns: name -> function that does one run; returns name -> list of results, one a round, in step."""
    results = {name: [] for name in turns}
    for i in range(rounds):
        for name, turn in turns.items():
            results[name].append(turn())
        say("   round %d of %d" % (i + 1, rounds))
    return results


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def against(results, base, key):
    """name -> spread of the ratios to `base` within each round."""
    return {name: spread([r[key] / max(b[key], 1e-9) for r, b in zip(runs, results[base])]) for name, runs in results.items()}


def time_job(run, job, source, good):
    args, target = run.args, os.path.join(run.work, job + ".out")
    n_bytes = os.path.getsize(source)

    def turn(name, command):
        def once():
            run.read(source)
            if os.path.exists(target):
                os.unlink(target)
            took = run.run(*command(job, source, target), stdout=target if name in who.OUTPUT_IS_STDOUT else os.devnull)
            if took["exit"] != 0:
                raise SystemExit("bench: %s failed in %s after it had answered once: %s" % (name, job, run.complaint()))
            return took
        return once

    field = {**who.floors(), **good}
    results = take_turns(run, args.rounds, {name: turn(name, command) for name, command in field.items()})
    if os.path.exists(target):
        os.unlink(target)
    out = {"bytes": n_bytes, "contenders": {}}
    for name, runs in results.items():
        wall = spread([r["wall_s"] for r in runs])
        out["contenders"][name] = {
            "wall_s": wall, "cpu_s": spread([r["cpu_s"] for r in runs]),
            "peak_mib": max(r["peak_kib"] for r in runs) / 1024, "mb_per_s": n_bytes / 1e6 / wall["median"],
            "note": who.NOTES.get(name, {}).get(job, ""), "runs": runs,
        }
    for base in ("rkpipe", "rkpipe-2", "hand"):
        if base in results:
            wall, cpu = against(results, base, "wall_s"), against(results, base, "cpu_s")
            for name in results:
                out["contenders"][name]["ratio_to_" + base] = {"wall": wall[name], "cpu": cpu[name]}
    return out


def time_hop(run, rkpipe):
    """Four stages, one worker, nanoseconds per message. rkpipe's start is taken out by timing two lengths."""
    def own(program, *words):
        def once():
            out = run.figure(program, *words)
            found = json.loads(out)
            found["rows"] = int(words[-1])
            return found
        return once

    def engine():
        n = HOP_ROWS["rkpipe"]
        walls = []
        for rows in (n, 2 * n):
            took = run.run([rkpipe, "run", os.path.join(who.HERE, "hop.yaml"), "--var", "rows=%d" % rows, "--set",
                            "engine.threads=1"])
            if took["exit"] != 0:
                raise answers.Differ("exit %d: %s" % (took["exit"], run.complaint()))
            walls.append(took["wall_s"])
        if walls[1] <= walls[0]:
            raise answers.Differ("twice the rows take no longer: it does not do the work")
        return {"ns_per_message": (walls[1] - walls[0]) / n * 1e9, "rows": n}

    turns, bad = {}, {}
    if os.access(rkpipe, os.X_OK):
        try:
            engine()
            turns["rkpipe"] = engine
        except answers.Differ as why:
            bad["rkpipe"] = str(why)
            say("hop: rkpipe: %s" % why)
    for name, argv in who.HOP.items():
        if not os.path.exists(run.program(argv[0])):
            continue
        check = json.loads(run.figure(*argv, "100000"))["check"]
        if check != json.loads(run.figure("hop_bare", "100000"))["check"]:
            bad[name] = "its check sum is not that of the bare pipeline"
        else:
            turns[name] = own(*argv, str(HOP_ROWS[name]))
    results = take_turns(run, run.args.rounds, turns)
    out = {"contenders": {}, "bad": bad}
    for name, runs in results.items():
        out["contenders"][name] = {"ns_per_message": spread([r["ns_per_message"] for r in runs]), "runs": runs}
    for base in ("rkpipe", "bare"):
        if base in results:
            for name, ratio in against(results, base, "ns_per_message").items():
                out["contenders"][name]["ratio_to_" + base] = {"wall": ratio}
    return out


def source_of(run, work, kind):
    """An input of `gen`, made once."""
    source = os.path.join(work, "in." + kind)
    if not os.path.exists(source) or os.path.getsize(source) < run.args.size:
        with open(source, "wb") as f:
            subprocess.run([run.program("gen"), kind, str(run.args.size)], stdout=f, check=True)
    return source


def measure_part(run, job, rkpipe, work):
    if job == "pubsub":
        return pubsub.measure(run, rkpipe, say)
    if job == "queue":
        return rings.measure(run, say)
    return watching.measure(run, rkpipe, source_of(run, work, "csv"), work, say)


def bars(result):
    rows = []
    for base, key, table in (("rkpipe", "wall", BARS), ("rkpipe", "cpu", BARS_CPU), ("rkpipe-2", "wall", BARS_2)):
        for job, name, least in table:
            found = result["jobs"].get(job, {}).get("contenders", {}).get(name, {}).get("ratio_to_" + base)
            if found:
                got, what = found[key]["median"], "%s / %s%s" % (name, base, ", CPU" if key == "cpu" else "")
                rows.append({"job": job, "what": what, "least": least, "got": got, "met": got >= least})
    for job, part in PARTS.items():
        if job in result["jobs"]:
            rows += part.bars(result["jobs"][job])
    return rows


def number(x):
    return "%.3f" % x if x < 10 else "%.2f" % x if x < 100 else "%.0f" % x


def markdown(result):
    m = result["machine"]
    text = ["# Benchmark", "", "%s, %d cores, %s, load %.1f at the start; %d rounds, inputs of %d MB." %
            (m["cpu"], m["cores"], m["kernel"], m["load_before"], result["rounds"], result["size"] // 10**6), ""]
    text += ["Floors of this run: memcpy %s GB/s; cache line to and fro, one way: %s ns." %
             (", ".join(result["floors"]["memcpy_gb_per_s"]), ", ".join(result["floors"]["pingpong_ns"])), ""]
    for job, found in result["jobs"].items():
        base = "rkpipe" if "rkpipe" in found.get("contenders", {}) else "bare" if job == "hop" else "hand"
        text += ["## %s" % job, ""]
        if job in PARTS:
            text += PARTS[job].markdown(found, number)
            continue
        if job == "hop":
            text += ["| contender | ns per message [min..max] | times %s [min..max] |" % base, "|---|---|---|"]
        else:
            text += ["| contender | wall s [min..max] | CPU s | peak MiB | MB/s | wall, times %s [min..max] | CPU, times %s | |" %
                     (base, base), "|---|---|---|---|---|---|---|---|"]
        for name, c in found["contenders"].items():
            ratio = c.get("ratio_to_" + base, {})
            wall = ratio["wall"] if ratio else None
            times = "%s [%s..%s]" % tuple(number(wall[k]) for k in ("median", "min", "max")) if wall else ""
            main = c.get("wall_s") or c["ns_per_message"]
            main = "%s [%s..%s]" % tuple(number(main[k]) for k in ("median", "min", "max"))
            if job == "hop":
                text.append("| %s | %s | %s |" % (name, main, times))
            else:
                text.append("| %s | %s | %s | %.0f | %.0f | %s | %s | %s |" %
                            (name, main, number(c["cpu_s"]["median"]), c["peak_mib"], c["mb_per_s"], times,
                             number(ratio["cpu"]["median"]) if ratio else "", c["note"]))
        for name, why in found.get("bad", {}).items():
            text.append("\n%s is not in the table: %s" % (name, why))
        text.append("")
    if result["bars"]:
        text += ["## Bars", "", "| job | ratio | bar | got | |", "|---|---|---|---|---|"]
        text += ["| %s | %s | at %s %s | %s | %s |" %
                 (b["job"], b["what"], "least" if "least" in b else "most", number(b.get("least", b.get("most"))),
                  number(b["got"]), "met" if b["met"] else "missed") for b in result["bars"]]
        text.append("")
    text += ["Versions: " + "; ".join("%s: %s" % (k, v) for k, v in result["versions"].items()), ""]
    return "\n".join(text)


def machine():
    cpu = platform.processor() or "unknown"
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as f:
            cpu = next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), cpu)
    except OSError:
        pass
    return {"cpu": cpu, "cores": len(os.sched_getaffinity(0)), "kernel": platform.release(), "load_before": os.getloadavg()[0]}


def work_folder(args):
    """In /dev/shm when four times the size is free there (inputs in memory, outputs on a RAM disk), else build/bench."""
    if args.dir:
        os.makedirs(args.dir, exist_ok=True)
        return args.dir, False
    try:
        if shutil.disk_usage("/dev/shm").free > 5 * args.size:
            return tempfile.mkdtemp(prefix="rkpipe-bench-", dir="/dev/shm"), True
    except OSError:
        pass
    return tempfile.mkdtemp(prefix="work-", dir=who.BUILD), True


def main():
    args = arguments()
    rkpipe = os.path.abspath(args.rkpipe)
    who.fluent_bit(build="fluent-bit" in args.peers or (args.peers == "all" and "j3" in args.jobs))
    field = who.contenders(rkpipe, args.set)
    if args.peers != "all":
        chosen = [] if args.peers == "none" else args.peers.split(",")
        for name in chosen:
            if name not in field:
                say("bench: '%s' cannot run here; there are: %s" % (name, ", ".join(field)))
                return 64
        field = {name: field[name] for name in field if name in (*chosen, "rkpipe", "rkpipe-2", "hand")}
    if not os.access(rkpipe, os.X_OK):
        say("bench: %s is not there; only the others are compared" % rkpipe)
    work, own = work_folder(args)
    result = {"machine": machine(), "versions": who.versions(rkpipe), "rounds": args.rounds, "size": args.size, "jobs": {},
              "floors": {"memcpy_gb_per_s": [], "pingpong_ns": []}}
    wrong = False
    try:
        run = Runner(args, work)
        for job in args.jobs:
            if not args.check_only:
                result["floors"]["memcpy_gb_per_s"].append(run.figure("floor", "memcpy"))
                result["floors"]["pingpong_ns"].append(run.figure("floor", "pingpong"))
            if job == "hop":
                if not args.check_only:
                    say("== hop")
                    result["jobs"]["hop"] = time_hop(run, rkpipe)
                    wrong |= bool(result["jobs"]["hop"]["bad"])
                continue
            say("== %s" % job)
            if job in PARTS:
                if not args.check_only:
                    result["jobs"][job] = measure_part(run, job, rkpipe, work)
                    wrong |= bool(result["jobs"][job]["bad"])
                continue
            source = source_of(run, work, who.INPUT[job])
            good, bad, rows = check_answers(run, job, source, field)
            wrong |= bool(bad)
            found = time_job(run, job, source, good) if good and not args.check_only else {"contenders": {}}
            result["jobs"][job] = {**found, "answer_rows": rows, "bad": bad}
    finally:
        if own and not args.keep:
            shutil.rmtree(work, ignore_errors=True)
        elif args.keep:
            say("inputs and answers are in %s" % work)
    result["bars"] = bars(result)
    text = markdown(result)
    with open(os.path.join(who.BUILD, "result.json"), "w", encoding="utf-8") as f:
        json.dump(result, f, indent=1)
        f.write("\n")
    with open(os.path.join(who.BUILD, "result.md"), "w", encoding="utf-8") as f:
        f.write(text)
    print(text)
    say("written: build/bench/result.json, build/bench/result.md")
    return 1 if wrong or (args.strict and not all(b["met"] for b in result["bars"])) else 0


if __name__ == "__main__":
    sys.exit(main())
