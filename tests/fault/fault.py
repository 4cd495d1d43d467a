#!/usr/bin/python3
"""Batch jobs with checkpoints in bad company: calls that fail, power that goes, kill -9 and flipped bits.

    fault.py sweep RKPIPE SHIM [--sample N] [--only KIND:N]   each call of the job on its files fails once, or from then on
    fault.py power RKPIPE SHIM [--seeds N] [--from SEED]      the power goes at a random moment
    fault.py kill  RKPIPE SHIM [--kills N] [--seed N]         kill -9 at random moments
    fault.py reload RKPIPE SHIM [--kills N] [--seed N]        the same while the file changes and SIGHUPs come
    fault.py flip  RKPIPE SHIM [--sample N]                   a bit of the newest checkpoint is another one

Whatever happens, the same command is run again until nothing happens to it, and then the outputs must be those of a run that
nobody has disturbed. What a failing call left is kept in a folder whose name is printed, and `--from SEED --seeds 1` or
`--only` does the same choices again; threads and the clock may make another moment of it.
"""
import argparse
import gzip
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

TIMEOUT = 60
SANITIZER = re.compile(r"AddressSanitizer|LeakSanitizer|runtime error:|ThreadSanitizer")
ERRORS = {"EIO": "Input/output error", "ENOSPC": "No space left on device", "EINTR": "Interrupted system call",
          "EMFILE": "Too many open files"}

JOB = """version: 1
name: job
engine: { checkpoint: 1ms, delivery: %(delivery)s, threads: 2 }
admin: { listen: none }
kernels:
  in: { op: read.csv, with: { path: [a.csv, b.csv], chunk_bytes: %(chunk)s } }
  big: { op: filter, from: [in], with: { where: amount > 500 } }
  big_out: { op: write.csv, from: [big], with: { path: big.csv } }
  sum: { op: aggregate, from: [in], with: { by: [account], compute: { n: count(), s: sum(amount), p: "quantile(amount, 0.9)" } } }
  sum_out: { op: write.csv, from: [sum], with: { path: sum.csv } }
  lines: { op: read.jsonl, with: { path: [in.jsonl, in.jsonl.gz], chunk_bytes: %(chunk)s } }
  few: { op: filter, from: [lines], with: { where: k != '3' } }
  zip_out: { op: write.jsonl, from: [few], with: { path: few.jsonl.gz } }
  added: { op: write.csv, from: [lines], with: { path: added.csv, commit: append } }
  log: { op: write.jsonl, from: [few], with: { path: log.jsonl, commit: append } }
"""
# More state than there is memory for: it goes to a file and comes back.
SPILL = """version: 1
name: job
engine: { checkpoint: 1ms, delivery: %(delivery)s, threads: 2, memory_limit: 1MiB }
admin: { listen: none }
dead_letter: { kernel: bad }
kernels:
  in: { op: read.csv, with: { path: [a.csv, b.csv], chunk_bytes: %(chunk)s } }
  ok: { op: map, from: [in], with: { derive: { r: "100 // (n %% 1000)" } } }
  big: { op: sort, from: [ok], with: { by: [{ column: amount, order: desc }, n] } }
  big_out: { op: write.csv, from: [big], with: { path: big.csv } }
  sum: { op: aggregate, from: [ok], with: { by: [n], compute: { k: count(), s: sum(amount), p: "quantile(amount, 0.9)" } } }
  last: { op: sort, from: [sum], with: { by: [n] } }
  sum_out: { op: write.csv, from: [last], with: { path: sum.csv } }
  lines: { op: read.jsonl, with: { path: [in.jsonl, in.jsonl.gz], chunk_bytes: %(chunk)s } }
  few: { op: filter, from: [lines], with: { where: k != '3' } }
  zip_out: { op: write.jsonl, from: [few], with: { path: few.jsonl.gz } }
  added: { op: write.csv, from: [lines], with: { path: added.csv, commit: append } }
  bad: { op: write.jsonl, with: { path: log.jsonl, commit: append, columns: [kernel, row] } }
"""
# Rows that cannot be worked with go to a store in the data folder.
STORE = (JOB.replace("kernels:", "dead_letter: { store: {} }\nkernels:")
         .replace("  big:", '  ok: { op: map, from: [in], with: { derive: { r: "100 // (n %% 10)" } } }\n  big:')
         .replace("op: filter, from: [in]", "op: filter, from: [ok]"))
# Queues that spill before kernels that are slower than what feeds them: what waits there is part of the checkpoints.
QUEUES = (JOB.replace("{ op: write.jsonl, from: [few], with: { path: few.jsonl.gz }",
                      "{ op: write.jsonl, from: [few], fuse: never, queue: { capacity: 2, overflow: spill }, with: { path: few.jsonl.gz }")
          .replace("{ op: aggregate, from: [in],", "{ op: aggregate, from: [in], fuse: never, queue: { capacity: 2, overflow: spill },"))
LEAST = JOB.replace("  log:", "  std: { op: write.stdout, from: [lines], with: { format: jsonl } }\n  log:")
JOBS = {"files": JOB, "spill": SPILL, "store": STORE, "queues": QUEUES}
OUTPUTS = ["big.csv", "sum.csv", "few.jsonl.gz", "added.csv", "log.jsonl"]
RENAMED = OUTPUTS[:3]
OLD = b"older and perhaps longer\n" * 10
BEFORE = b'{"n": -1}\n'  # what log.jsonl has before


class Wrong(Exception):
    pass


# ---- the job --------------------------------------------------------------------------------------------------------

class Job:
    def __init__(self, rkpipe, shim, base, rows, delivery="exactly_once", text=JOB, chunk="4KiB"):
        self.rkpipe, self.shim = os.path.abspath(rkpipe), os.path.abspath(shim)
        self.base = base
        self.dir, self.side = os.path.join(base, "job"), os.path.join(base, "side")
        self.inputs = os.path.join(base, "inputs")
        os.makedirs(self.inputs)
        with open(os.path.join(self.inputs, "job.yaml"), "w") as f:
            f.write(text % {"delivery": delivery, "chunk": chunk})
        half = rows // 2
        for name, r in (("a.csv", range(half)), ("b.csv", range(half, rows))):
            with open(os.path.join(self.inputs, name), "w") as f:
                f.write("n,account,amount,note\n")
                f.writelines('%d,a%d,%d.%02d,"x,\n%d"\n' % (i, i * 7919 % 50, i * 31 % 1000, i % 100, i) for i in r)
        lines = [('{"n": %d, "k": "%d"}\n' % (i, i % 7)).encode() for i in range(2 * rows)]
        with open(os.path.join(self.inputs, "in.jsonl"), "wb") as f:
            f.writelines(lines[:rows])
        with open(os.path.join(self.inputs, "in.jsonl.gz"), "wb") as f:
            f.write(gzip.compress(b"".join(lines[rows:]), mtime=0))
        self.rows = 2 * rows
        self.env = dict(os.environ, LC_ALL="C", TERM="dumb")
        for name in [n for n in self.env if n.startswith("FAULT_")]:
            del self.env[name]
        self.anew()
        code, err = self.run(args=["--set", "engine.checkpoint=1h"])
        if code:
            raise Wrong("the job does not work at all: exit %d: %s" % (code, err))
        self.want = {o: self.content(o) for o in OUTPUTS}
        self.want_dead = 0
        self.want_dead = self.dead()

    def path(self, name):
        return os.path.join(self.dir, name)

    def anew(self, old=False):
        shutil.rmtree(self.dir, ignore_errors=True)
        shutil.copytree(self.inputs, self.dir)
        self.old = old
        for o in RENAMED if old else []:  # of another job, yesterday
            with open(self.path(o), "wb") as f:
                f.write(gzip.compress(OLD) if o.endswith(".gz") else OLD)
        with open(self.path("log.jsonl"), "wb") as f:
            f.write(BEFORE)

    def start(self, env=None, args=(), stdout=subprocess.DEVNULL):
        e = dict(self.env)
        if env:
            e.update(env, FAULT_DIR=self.dir, LD_PRELOAD=self.shim)
            e["ASAN_OPTIONS"] = ":".join(filter(None, [e.get("ASAN_OPTIONS"), "verify_asan_link_order=0"]))
        return subprocess.Popen([self.rkpipe, "run", "job.yaml", "--summary", "none", *args], cwd=self.dir, env=e,
                                stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE, text=True,
                                errors="replace")

    def run(self, env=None, args=(), stdout=subprocess.DEVNULL):
        p = self.start(env, args, stdout)
        try:
            err = p.communicate(timeout=TIMEOUT)[1]
        except subprocess.TimeoutExpired:
            p.kill()
            p.communicate()
            raise Wrong("it hangs")
        if SANITIZER.search(err):
            raise Wrong("a finding: " + err)
        return p.returncode, err

    def content(self, output):
        try:
            with (gzip.open if output.endswith(".gz") else open)(self.path(output), "rb") as f:
                return f.read()
        except FileNotFoundError:
            return None
        except (OSError, EOFError) as e:
            return b"it cannot be read: " + str(e).encode()

    # What stands under its final name must be whole at any time.
    def check_published(self):
        for o in RENAMED:
            is_now = self.content(o)
            if is_now not in (OLD if self.old else None, self.want[o]):
                raise Wrong("'%s' is there, and wrong" % o)

    def check_done(self):
        for o in OUTPUTS:
            is_now = self.content(o)
            if is_now is None:
                raise Wrong("'%s' is not there" % o)
            if is_now != self.want[o]:
                at = next((i for i, (a, b) in enumerate(zip(is_now, self.want[o])) if a != b), -1)
                raise Wrong("'%s' is wrong: %d bytes, not %d; the first other one is %d: %r, not %r" %
                            (o, len(is_now), len(self.want[o]), at, is_now[at:at + 60], self.want[o][at:at + 60]))
        dead = self.dead() if self.want_dead else 0
        if dead < self.want_dead:
            raise Wrong("%d dead letters, not %d" % (dead, self.want_dead))

    # Rows in the store of dead letters.
    def dead(self):
        if not os.path.exists(self.path(".rkpipe/job/dlq")):
            return 0
        p = subprocess.run([self.rkpipe, "dlq", "list", "job.yaml"], cwd=self.dir, env=self.env, capture_output=True,
                           text=True, timeout=TIMEOUT)
        m = re.search(r"^(\d+) rows? in '", p.stdout, re.M)
        return int(m.group(1)) if m else 0

    # Of all the runs that were stopped somewhere nothing lies about.
    def check_tidy(self):
        left = [f for f in os.listdir(self.dir) if ".rkpipe-" in f]
        if left or (os.path.exists(self.path(".rkpipe")) and not self.want_dead):
            raise Wrong("'%s' was left behind" % (left[0] if left else ".rkpipe"))

    def manifests(self):
        try:
            return sorted(f for f in os.listdir(self.path(".rkpipe/job/checkpoints")) if f.endswith(".ckpt"))
        except FileNotFoundError:
            return []

    def newest_is_final(self):
        v = self.manifests()
        if not v:
            return False
        with open(self.path(".rkpipe/job/checkpoints/" + v[-1]), "rb") as f:
            return bool(f.read(24)[16] & 1)

    # Everything has its name and nothing is kept: the same command would be another job.
    def over(self):
        return not self.manifests() and all(self.content(o) == self.want[o] for o in OUTPUTS)

    # Begins, and is killed there; how many checkpoints there will be, the clock decides.
    def crash(self, where):
        for i in range(20):
            self.anew()
            code, err = self.run({"FAULT_KILL": where, "FAULT_NAP": "500"})
            if code == -signal.SIGKILL:
                return
            if code:
                break
        raise Wrong("it was to be killed at %s: exit %d: %s" % (where, code, err))

    def finish(self, what):
        code, err = self.run()
        if code:
            raise Wrong("%s: the same command again: exit %d: %s" % (what, code, err))
        self.check_done()


def report(job, what, e, kept):
    print("FAIL %s: %s" % (what, e))
    to = tempfile.mkdtemp(prefix="rkpipe-fault-kept-")
    for folder in (job.dir, kept):
        if folder and os.path.isdir(folder):
            shutil.copytree(folder, os.path.join(to, os.path.basename(folder)), symlinks=True)
    print("  what is left: %s" % to, flush=True)


# ---- calls that fail ------------------------------------------------------------------------------------------------

def names_it(path, err, later):
    """Does the message say what could not be done with what?"""
    if path == "." or later:  # of an output's folder; or another file was the one that counted
        return "'" in err or "job.yaml" in err or "folder of checkpoints" in err
    if path.startswith(".rkpipe"):
        return "checkpoint" in err or ".rkpipe" in err or "data folder" in err or "ckpt" in err or "dead letters" in err
    base = os.path.basename(path)
    temp = re.fullmatch(r"\.(.*)\.rkpipe-[a-z0-9]{6}", base)
    return (temp.group(1) if temp else base) in err


def sweep_one(job, scene, kind, n):
    hits = os.path.join(job.base, "hits")
    if os.path.exists(hits):
        os.unlink(hits)
    SCENES[scene](job)
    code, err = job.run({"FAULT_FAIL": "%d:%s" % (n, kind), "FAULT_LIST": hits})
    with open(hits) as f:
        hit = next((line.split(" ", 3)[2:] for line in f if line.startswith("hit ")), None)
    if hit is None:
        if code:
            raise Wrong("exit %d although no call has failed: %s" % (code, err))
        return None
    call, path = hit[0], hit[1].strip() or "."
    what = "%s of '%s'" % (call, path)
    later, kind = kind.endswith("+"), kind.rstrip("+")
    if code < 0:
        raise Wrong("%s: signal %d: %s" % (what, -code, err))
    if code == 0:
        try:
            job.check_done()
        except Wrong as e:
            raise Wrong("%s: exit 0, and %s: %s" % (what, e, err))
        if job.manifests():  # it could not let go of them, and said so: the next one only does that
            job.finish(what)
        return call, "well"
    if kind == "SHORT":
        raise Wrong("%s: exit %d: %s" % (what, code, err))
    if code == 70 or ERRORS[kind] not in err or not names_it(path, err, later):
        raise Wrong("%s: exit %d without a clear word: %s" % (what, code, err))
    job.check_published()
    job.finish("after %s: %s" % (what, err.strip()))
    return call, "error"


SCENES = {
    "fresh": lambda job: job.anew(),
    "goes on": lambda job: job.crash("2:rename:.ckpt"),
    "at its end": lambda job: job.crash("1:rename:sum.csv"),
}


def sweep(args):
    job = Job(args.rkpipe, args.shim, args.base, args.rows or 1500, args.delivery, JOBS[args.job])
    kinds = ["EIO", "EIO+", "ENOSPC", "ENOSPC+", "EINTR", "EMFILE", "SHORT", "SHORT+"]
    bad, sums, rnd = 0, {}, random.Random(args.seed)
    begin = time.time()
    for scene in SCENES:
        for kind in kinds:
            if args.only and not args.only.startswith("%s:%s:" % (scene, kind)):
                continue
            n, misses, step = 1, 0, 1
            if args.only:
                n, misses = int(args.only.rsplit(":", 1)[1]), 2
            while misses < 3 and bad < 20:  # where threads are about, one call more or less is luck
                try:
                    r = sweep_one(job, scene, kind, n)
                except Wrong as e:
                    bad += 1
                    report(job, "%s:%s:%d" % (scene, kind, n), e, None)
                    r = ("", "wrong")
                if r is None:
                    misses += 1
                else:
                    sums[r] = sums.get(r, 0) + 1
                if args.only:
                    break
                n += rnd.randrange(1, 2 * args.sample) if args.sample > 1 and r else 1
    runs = sum(sums.values())
    print("sweep: %d runs with a call that failed, %d wrong, %.1f s" % (runs, bad, time.time() - begin))
    for (call, how), k in sorted(sums.items()):
        print("  %-10s %-6s %5d" % (call, how, k))
    if not args.only and runs < 20:
        print("FAIL: hardly any call was failed")
        return 1
    return bad != 0


# ---- power ----------------------------------------------------------------------------------------------------------

RECORD = struct.Struct("<8sQQQQ")


def records(path):
    with open(path, "rb") as f:
        log = f.read()
    at = 0
    while at < len(log):
        kind, ino, where, n_path, n_data = RECORD.unpack_from(log, at)
        at += RECORD.size
        yield chr(kind[0]), ino, where, log[at:at + n_path].decode(), log[at + n_path:at + n_path + n_data]
        at += n_path + n_data


class Disk:
    """What is on the disk for sure, and what is on its way there; from a picture of the folder and the record of the changes."""

    def __init__(self, root):
        self.root = root
        self.durable, self.pending = {}, {}  # inode: bytes; inode: changes
        self.names, self.changes = {}, {}    # folder: {name: inode, or None for a folder}; folder: changes of names
        for folder, dirs, files in os.walk(root):
            self.names[folder] = {d: None for d in dirs}
            self.changes[folder] = []
            for f in files:
                path = os.path.join(folder, f)
                ino = os.lstat(path).st_ino
                with open(path, "rb") as g:
                    self.durable[ino] = g.read()
                self.pending[ino] = []
                self.names[folder][f] = ino

    @staticmethod
    def put(content, change):
        at, data = change
        if data is None:
            return content[:at] + b"\0" * (at - len(content))
        return content[:at] + b"\0" * (at - len(content)) + data + content[at + len(data):]

    def rename(self, folder, change):
        names = self.names[folder]
        kind, name, other = change
        if kind == "add":
            names[name] = other
        elif kind == "move":
            old, ino = other
            names.pop(old, None)
            names[name] = ino
        else:
            names.pop(name, None)

    def read(self, log, ignore):
        for kind, ino, at, path, data in records(log):
            folder, name = os.path.split(path)
            if kind == {"files": "S", "folders": "D"}.get(ignore):
                continue
            if kind == "C":
                self.durable[ino], self.pending[ino] = b"", []
                self.changes[folder].append(("add", name, ino))
            elif kind in "WTS" and ino not in self.pending:
                continue  # it has never had a name
            elif kind == "W":
                self.pending[ino].append((at, data))
            elif kind == "T":
                self.pending[ino].append((at, None))
            elif kind == "S":
                for c in self.pending[ino]:
                    self.durable[ino] = self.put(self.durable[ino], c)
                self.pending[ino] = []
            elif kind == "D":
                for c in self.changes[path]:
                    self.rename(path, c)
                self.changes[path] = []
            elif kind == "R":
                to = data.decode()
                if os.path.dirname(to) != folder:
                    raise Wrong("a rename across folders: %s" % to)
                self.changes[folder].append(("move", os.path.basename(to), (name, ino)))
            elif kind == "U" or kind == "X":
                self.changes[folder].append(("remove", name, None))
            elif kind == "M":
                self.names[path], self.changes[path] = {}, []
                self.changes[folder].append(("add", name, None))

    @staticmethod
    def some(rnd, v):
        """How many of them came through."""
        return rnd.choice([0, len(v), rnd.randint(0, len(v))])

    def lose(self, rnd):
        """The power goes: of what was on its way some has come through."""
        lost = 0
        for folder, changes in self.changes.items():
            if rnd.random() < 0.3:  # in no order
                through = [c for c in changes if rnd.random() < 0.5]
            else:
                through = changes[:self.some(rnd, changes)]
            lost += len(changes) - len(through)
            for c in through:
                self.rename(folder, c)
        for ino, changes in self.pending.items():
            n = self.some(rnd, changes)
            lost += len(changes) - n
            for c in changes[:n]:
                self.durable[ino] = self.put(self.durable[ino], c)
            if n < len(changes) and changes[n][1] is not None:
                at, data = changes[n]
                part = data[:rnd.randint(0, len(data))]
                if rnd.random() < 0.25:  # the length came through, the bytes did not
                    part = b"\0" * len(part)
                self.durable[ino] = self.put(self.durable[ino], (at, part))
        return lost

    def restore(self, side):
        """Makes the folder what it is after the power has come back: the same inodes, other names and contents."""
        for folder, dirs, files in os.walk(self.root):
            for f in files:
                path = os.path.join(folder, f)
                to = os.path.join(side, str(os.lstat(path).st_ino))
                if not os.path.exists(to):
                    os.link(path, to)
        for name in os.listdir(self.root):
            path = os.path.join(self.root, name)
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
        todo = [self.root]
        while todo:
            folder = todo.pop()
            for name, ino in self.names[folder].items():
                path = os.path.join(folder, name)
                if ino is None:
                    os.mkdir(path, 0o700)
                    todo.append(path)
                    continue
                os.link(os.path.join(side, str(ino)), path)
                with open(path, "r+b") as f:
                    if f.read() != self.durable[ino]:
                        f.seek(0)
                        f.write(self.durable[ino])
                        f.truncate()


def power_one(job, seed, sums, ignore):
    rnd = random.Random(seed)
    job.anew(rnd.random() < 0.5)
    log = os.path.join(job.base, "log")
    for go in range(rnd.randint(1, 3)):
        shutil.rmtree(job.side, ignore_errors=True)
        os.mkdir(job.side)
        if os.path.exists(log):
            os.unlink(log)
        open(log, "w").close()
        disk = Disk(job.dir)
        env = {"FAULT_LOG": log, "FAULT_SIDE": job.side}
        env["FAULT_NAP"] = str(rnd.choice([1, 200, 500]))
        if rnd.random() < 0.9:
            env["FAULT_KILL"] = rnd.choice(["%d" % rnd.randint(1, 40), "%d" % rnd.randint(1, 150), "%d:rename:ckpt" % rnd.randint(1, 5),
                                            "%d:fsync:/" % rnd.randint(1, 40), "%d:unlink:ckpt" % rnd.randint(1, 5),
                                            "1:rename:%s" % rnd.choice(RENAMED)])
            if rnd.random() < 0.5:
                env["FAULT_TEAR"] = "1"
        code, err = job.run(env)
        if code not in (0, -signal.SIGKILL):
            raise Wrong("exit %d: %s" % (code, err))
        final = job.newest_is_final()
        disk.read(log, ignore)
        sums["lost"] += disk.lose(rnd)
        disk.restore(job.side)
        sums["went"] += 1
        sums["at the end" if final else "done" if code == 0 else "between" if job.manifests() else "before the first"] += 1
        job.check_published()
        if code == 0:
            try:
                job.check_done()
                if job.manifests():  # that they went was lost
                    job.finish("once more")
            except Wrong as e:
                raise Wrong("it had succeeded, and then the power went: %s" % e)
            return
        if job.over():
            return
    job.finish("after the power went")
    job.check_tidy()


def power(args):
    job = Job(args.rkpipe, args.shim, args.base, args.rows or 1500, args.delivery, JOBS[args.job])
    sums = dict.fromkeys(["went", "before the first", "between", "at the end", "done", "lost"], 0)
    bad, begin = 0, time.time()
    for seed in range(args.seed, args.seed + args.seeds):
        try:
            power_one(job, seed, sums, args.ignore)
        except Wrong as e:
            bad += 1
            if args.ignore:
                continue
            report(job, "seed %d" % seed, e, job.side)
            if bad == 10:
                break
    print("power: %d seeds, %d wrong; it went %d times: %d before the first checkpoint, %d later, %d when all was done but the "
          "names, %d after the end; %d changes were lost; %.1f s" %
          (args.seeds, bad, sums["went"], sums["before the first"], sums["between"], sums["at the end"], sums["done"],
           sums["lost"], time.time() - begin))
    return bad != 0


# ---- kill -9 --------------------------------------------------------------------------------------------------------

def kill_phase(job):
    if job.newest_is_final():
        return "names"
    return "between" if job.manifests() else "before"


def kill_round(job, rnd, sums, left, std):
    """One job from its begin to its end, killed on the way; the number of kills."""
    job.anew(rnd.random() < 0.5)
    kills = 0
    if std:
        open(std, "wb").close()
    for go in range(9):
        out = open(std, "ab") if std else subprocess.DEVNULL
        env, delay = None, None
        if go < 8 and kills < left:
            if std and rnd.random() < 0.25:  # in the middle of a line
                env = {"FAULT_KILL": "%d:write:std" % rnd.randint(1, 30), "FAULT_TEAR": "1"}
            elif rnd.random() < 0.25:  # at the end, which is short
                env = {"FAULT_KILL": rnd.choice(["1:rename:big.csv", "1:rename:sum.csv", "1:rename:few", "%d:unlink:ckpt" % rnd.randint(1, 9),
                                                 "1:rmdir:checkpoints", "%d:fsync:/job" % rnd.randint(1, 20)])}
            else:
                delay = rnd.random() * sums["takes"]
        p = job.start(env, ["--set", "engine.threads=%d" % rnd.randint(1, 3)], out)
        if std:
            out.close()
        try:
            err = p.communicate(timeout=TIMEOUT if delay is None else delay)[1]
        except subprocess.TimeoutExpired:
            if delay is None:
                p.kill()
                p.communicate()
                raise Wrong("it hangs")
            p.kill()
            err = p.communicate()[1]
        if p.returncode == -signal.SIGKILL:
            kills += 1
            sums["over" if job.over() else kill_phase(job)] += 1
            job.check_published()
            if job.over():
                break
            continue
        if p.returncode or SANITIZER.search(err):
            raise Wrong("exit %d: %s" % (p.returncode, err))
        job.check_tidy()
        break
    job.check_done()
    return kills


def check_at_least_once(job, std):
    with open(std, "rb") as f:
        got = f.read().split(b"\n")
    want = set(job.std)
    missing = want - set(got)
    if missing:
        raise Wrong("%d rows never came to standard output, as %r" % (len(missing), sorted(missing)[:3]))
    torn = [line for line in got if line not in want and line]
    if any(line.count(b"{") > 1 or not line.startswith(b"{") for line in torn):
        raise Wrong("a line goes on in another one: %r" % torn[:3])
    return len(got) - 1 - len(torn) - len(want)


def kill(args):
    jobs = []
    for i, (delivery, text) in enumerate((("exactly_once", JOB), ("at_least_once", LEAST), ("exactly_once", QUEUES))):
        base = os.path.join(args.base, str(i))
        os.mkdir(base)
        jobs.append(Job(args.rkpipe, args.shim, base, args.rows or 60000, delivery, text, "16KiB"))
    least = jobs[1]
    std = least.path("std")  # calls on it count, too
    least.anew()
    with open(std, "wb") as f:
        code, err = least.run(stdout=f)
    with open(std, "rb") as f:
        least.std = f.read().split(b"\n")[:-1]
    begin = time.time()
    jobs[0].anew()
    jobs[0].run()
    takes = time.time() - begin
    sums = dict.fromkeys(["before", "between", "names", "over"], 0)
    sums["takes"] = takes
    bad = kills = rounds = again = 0
    rnd = random.Random(args.seed)
    begin = time.time()
    while kills < args.kills and bad < 10:
        job = jobs[(0, 2, 0, 1)[rounds % 4]]
        rounds += 1
        try:
            kills += kill_round(job, rnd, sums, args.kills - kills, std if job is least else None)
            if job is least:
                again += check_at_least_once(job, std)
        except Wrong as e:
            bad += 1
            report(job, "round %d of seed %d, %s" % (rounds, args.seed, "at_least_once" if job is least else "exactly_once"),
                   e, None)
    print("kill: %d kills in %d jobs, %d wrong: %d before the first checkpoint, %d later, %d between the names, %d when all was "
          "done; %d lines came again at_least_once; an undisturbed job takes %.0f ms; %.1f s" %
          (kills, rounds, bad, sums["before"], sums["between"], sums["names"], sums["over"], again, takes * 1000,
           time.time() - begin))
    return bad != 0


# ---- kill -9 while the pipeline is changed ---------------------------------------------------------------------------
#
# Each form of the pipeline has the same answers; what is changed is how it is put together.  Whatever file is there is what the
# next run begins with.

def variant(text, rnd):
    if rnd.random() < 0.5:
        text = text.replace("where: amount > 500", "where: not (amount <= 500)")
    if rnd.random() < 0.5:
        text = text.replace("where: k != '3'", "where: not (k == '3')")
    if rnd.random() < 0.5:
        text = text.replace("sum: { op: aggregate, from: [in]", "sum: { op: aggregate, from: [all]")
        text = text.replace("  sum:", "  all: { op: filter, from: [in], with: { where: n >= %d } }\n  sum:" % -rnd.randint(1, 3), 1)
    if rnd.random() < 0.5:
        text = text.replace("few: {", "few: { fuse: never,")
    if rnd.random() < 0.4:
        text = text.replace("few: {", "few: { batch: { count: %d }," % rnd.choice([10, 1000]))
    if rnd.random() < 0.4:
        text += "  extra: { op: write.null, from: [%s] }\n" % rnd.choice(["in", "big", "few"])
    if rnd.random() < 0.15:  # rejected; but then it must not be what the next run begins with
        return text.replace("amount > 500", "amount > ").replace("not (amount", "not (amoun"), False
    return text, True


def listens(p):
    """It has a handler for SIGHUP."""
    try:
        with open("/proc/%d/status" % p.pid) as f:
            return int(re.search(r"^SigCgt:\s*(\w+)", f.read(), re.M).group(1), 16) >> (signal.SIGHUP - 1) & 1
    except (OSError, AttributeError):
        return 0


def reload_round(job, rnd, sums, left):
    job.anew(rnd.random() < 0.5)
    kills = 0
    base = open(os.path.join(job.inputs, "job.yaml")).read()

    def put(text):
        with open(job.path("job.new"), "w") as f:
            f.write(text)
        os.rename(job.path("job.new"), job.path("job.yaml"))

    migrate = False
    for go in range(20):
        p = job.start(None, ["--set", "engine.threads=%d" % rnd.randint(1, 3)] + (["--migrate"] if migrate else []))
        until = time.time() + (rnd.random() * 1.2 * sums["takes"] if kills < 8 and kills < left else TIMEOUT)
        good = open(job.path("job.yaml")).read()
        last = True
        while p.poll() is None and time.time() < until:
            time.sleep(min(rnd.random() * 0.02, max(0, until - time.time())))
            if rnd.random() < 0.5 or not listens(p):
                continue
            text, last = variant(base, rnd)
            put(text)
            good = text if last else good
            p.send_signal(signal.SIGHUP)
            sums["reloads"] += 1
        if p.poll() is None and until - time.time() < 1:
            p.kill()
        err = p.communicate(timeout=TIMEOUT)[1]
        sums["applied"] += err.count("applied")
        if not last:
            put(good)
        if p.returncode == -signal.SIGKILL:
            kills += 1
            sums["over" if job.over() else kill_phase(job)] += 1
            job.check_published()
            if job.over():
                break
            continue
        if p.returncode and "another form of this pipeline" in err and not migrate:  # killed before it knew of the file
            sums["unknown"] += 1
            migrate = True
            continue
        if p.returncode or SANITIZER.search(err):
            raise Wrong("exit %d: %s" % (p.returncode, err))
        sums["moved"] += "of an earlier form" in err
        job.check_tidy()
        break
    job.check_done()
    return kills


def reload(args):
    job = Job(args.rkpipe, args.shim, args.base, args.rows or 60000, "exactly_once", JOB, "16KiB")
    begin = time.time()
    job.anew()
    job.run()
    sums = dict.fromkeys(["before", "between", "names", "over", "reloads", "applied", "moved", "unknown"], 0)
    sums["takes"] = time.time() - begin
    bad = kills = rounds = 0
    rnd = random.Random(args.seed)
    begin = time.time()
    while kills < args.kills and bad < 10:
        rounds += 1
        try:
            kills += reload_round(job, rnd, sums, args.kills - kills)
        except Wrong as e:
            bad += 1
            report(job, "round %d of seed %d" % (rounds, args.seed), e, None)
    print("reload: %d kills in %d jobs, %d wrong: %d before the first checkpoint, %d later, %d between the names, %d when all was "
          "done; %d reloads asked for, %d applied; %d last runs went on from before a reload, %d runs had to be told to; %.1f s" %
          (kills, rounds, bad, sums["before"], sums["between"], sums["names"], sums["over"], sums["reloads"], sums["applied"],
           sums["moved"], sums["unknown"], time.time() - begin))
    return bad != 0


# ---- a flipped bit --------------------------------------------------------------------------------------------------

def flip(args):
    job = Job(args.rkpipe, args.shim, args.base, 300, chunk="4KiB")
    rnd = random.Random(args.seed)
    bad = runs = refused = 0
    begin = time.time()
    job.crash("3:rename:.ckpt")
    newest = job.manifests()[-1]
    file = job.path(".rkpipe/job/checkpoints/" + newest)
    with open(file, "rb") as f:
        whole = f.read()
    for at in range(0, len(whole), args.sample):
        broken = bytearray(whole)
        broken[at] ^= 1 << rnd.randrange(8)
        with open(file, "wb") as f:
            f.write(broken)
        p = subprocess.run([job.rkpipe, "checkpoint", "verify", "job.yaml"], cwd=job.dir, env=job.env, capture_output=True,
                           text=True, timeout=TIMEOUT)
        runs += 1
        if p.returncode != 1 or newest not in p.stderr or SANITIZER.search(p.stderr):
            bad += 1
            print("FAIL verify: byte %d of %d: exit %d: %s" % (at, len(whole), p.returncode, p.stderr))
            if bad == 10:
                break
    # The run itself: from the one before, or not at all when that one's files have their names already.
    for go, where in enumerate(["3:rename:.ckpt"] * args.goes + ["1:rename:sum.csv"] * args.goes):
        try:
            job.crash(where)
            newest = job.manifests()[-1]
            file = job.path(".rkpipe/job/checkpoints/" + newest)
            with open(file, "r+b") as f:
                broken = bytearray(f.read())
                at = go if go < 4 else rnd.randrange(len(broken))
                broken[at] ^= 1 << rnd.randrange(8)
                f.seek(0)
                f.write(broken)
            code, err = job.run()
            runs += 1
            if newest not in err or "damaged" not in err:
                raise Wrong("byte %d: it says nothing of '%s': exit %d: %s" % (at, newest, code, err))
            if code == 0:
                job.check_done()
            elif code == 69 and "--fresh" in err and where.endswith("sum.csv"):
                refused += 1
                job.check_published()
                code, err = job.run(args=["--fresh"])
                job.check_tidy()
            else:
                raise Wrong("byte %d: exit %d: %s" % (at, code, err))
        except Wrong as e:
            bad += 1
            report(job, "%s, go %d" % (where, go), e, None)
    print("flip: %d runs, %d wrong, %d refused, a checkpoint of %d bytes, %.1f s" %
          (runs, bad, refused, len(whole), time.time() - begin))
    return bad != 0


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", choices=["sweep", "power", "kill", "reload", "flip"])
    p.add_argument("rkpipe")
    p.add_argument("shim")
    p.add_argument("--sample", type=int, default=1, help="about one of so many")
    p.add_argument("--only", help="SCENE:KIND:N")
    p.add_argument("--seeds", type=int, default=30)
    p.add_argument("--seed", "--from", type=int, default=1)
    p.add_argument("--ignore", choices=["files", "folders"], help="their fsync does nothing")
    p.add_argument("--kills", type=int, default=40)
    p.add_argument("--rows", type=int, help="of each input")
    p.add_argument("--job", choices=JOBS, default="files")
    p.add_argument("--delivery", default="exactly_once")
    p.add_argument("--goes", type=int, default=10)
    args = p.parse_args()
    where = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    args.base = os.path.realpath(tempfile.mkdtemp(prefix="rkpipe-fault-", dir=where))
    try:
        return {"sweep": sweep, "power": power, "kill": kill, "reload": reload, "flip": flip}[args.what](args)
    except Wrong as e:
        print("FAIL: %s" % e)
        return 1
    finally:
        shutil.rmtree(args.base, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
