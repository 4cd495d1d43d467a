"""The job `pubsub` of ./dev bench: publish and subscribe, and what a message that is handed over costs.

Everything takes turns within a round: the engine's pipelines (pubsub_*.yaml, run by pubsub_engine with operators that
make, check and time messages of 64 bytes), ZeroMQ, NATS, a bare ring, CAF, a futex. A figure is the median of the
rounds; a ratio is made within each round, and its median is what a bar is held against.
"""
import json
import os
import shutil
import socket
import statistics
import subprocess
import time

import contenders as who

# figures: name -> (group, unit, what it is)
GROUPS = {
    "one": ("One publisher, one subscriber with a wildcard, messages of 64 bytes", "M messages/s"),
    "four": ("One publisher, four subscribers", "M deliveries/s"),
    "index": ("Publishing while there are many subscriptions (the index, the ring and nothing else)", "M messages/s"),
    "dead": ("Seven subscribers that work 2 us on 32 messages, and an eighth", "M deliveries/s to the seven"),
    "dead10": ("The same when subscribers work 10 us on 32 messages, 0.3 us each", "M deliveries/s to the seven"),
    "dead0": ("The same when subscribers do nothing and the publisher goes as fast as it can", "M deliveries/s to the seven"),
    "held": ("From publish to a subscriber, four publishers: one busy, one slow, two idle", "us"),
    "hand": ("A message handed over between two actors", "ns for a round trip"),
    "wake": ("Waking who is parked", "us"),
    "idle": ("A stream that waits for input and for a time, with an order: hlc subscriber", "% of a CPU"),
}
NOTES = {
    "zeromq": "inproc PUB/SUB, one message a frame",
    "zeromq-32": "inproc PUB/SUB, 32 messages packed into a frame by hand",
    "zeromq-4": "inproc PUB/SUB, one message a frame",
    "nats-4": "nats-server on the loopback, a connection for each",
    "bare-1": "nothing but a ring (queue.c)",
    "bare-32": "nothing but a ring, bursts of 32",
    "rkpipe-1": "one message in a publish",
    "rkpipe-32": "32 messages in a publish",
    "rkpipe-32-2": "32 messages in a publish, two workers",
    "rkpipe-1-2": "one message in a publish, two workers",
    "direct-32": "rkpipe, a direct edge instead of a topic, 32",
    "direct-1": "rkpipe, a direct edge instead of a topic, 1",
    "template-32": "rkpipe, a topic that depends on the row, 32",
    "seven": "without an eighth",
    "alive": "the eighth takes part",
    "drop_oldest": "the eighth is dead, overflow: drop_oldest",
    "spill": "the eighth is dead, overflow: spill",
    "seven-10": "without an eighth",
    "drop_oldest-10": "the eighth is dead, overflow: drop_oldest",
    "spill-10": "the eighth is dead, overflow: spill",
    "seven-0": "without an eighth",
    "drop_oldest-0": "the eighth is dead, overflow: drop_oldest",
    "spill-0": "the eighth is dead, overflow: spill",
    "hlc-p50": "order: hlc, median",
    "hlc-p99": "order: hlc, 99 %",
    "fifo-p50": "order: fifo, median",
    "fifo-p99": "order: fifo, 99 %",
    "turn": "rkpipe, one worker",
    "turn-2": "rkpipe, two workers",
    "caf-turn": "CAF, one worker",
    "caf-turn-2": "CAF, two workers",
    "wake-p50": "rkpipe: a source publishes each millisecond, the subscriber is parked meanwhile; median",
    "futex-p50": "a thread that waits on a futex; median",
    "subs-1": "1 subscription",
    "subs-10000": "10,000 subscriptions",
    "subs-100000": "100,000 subscriptions",
    "idle": "rkpipe",
}
# what, figure, over figure or None, "least" or "most", bound
BARS = [
    ("batch 32 / zeromq", "rkpipe-32", "zeromq", "least", 8.0),
    ("batch 32, M/s (for cores that are near)", "rkpipe-32", None, "least", 20.0),
    ("single publish / zeromq", "rkpipe-1", "zeromq", "least", 3.0),
    ("four-way deliveries, batch 32 / nats-server", "rkpipe-4-32", "nats-4", "least", 10.0),
    ("four-way deliveries, single / nats-server", "rkpipe-4-1", "nats-4", "least", 10.0),
    ("publish, 100,000 subscriptions / 1", "subs-100000", "subs-1", "least", 0.8),
    ("topic / direct edge, batch 32", "rkpipe-32", "direct-32", "least", 1 / 1.3),
    ("seven with a dead eighth, drop_oldest / without", "drop_oldest", "seven", "least", 0.95),
    ("seven at 0.3 us a message with a dead eighth, drop_oldest / without", "drop_oldest-10", "seven-10", "least", 0.95),
    ("seven at 0.3 us a message with a dead eighth, spill / without", "spill-10", "seven-10", "least", 0.95),
    ("seven at 0.06 us a message with a dead eighth, spill / without", "spill", "seven", "least", 0.95),
    ("order: hlc, p50 us", "hlc-p50", None, "most", 1000.0),
    ("order: hlc, p99 us", "hlc-p99", None, "most", 3000.0),
    ("round trip / CAF", "turn", "caf-turn", "most", 0.5),
    ("parked wake-up / futex", "wake-p50", "futex-p50", "most", 1.5),
    ("idle, % of a CPU", "idle", None, "most", 0.5),
]


class Failed(Exception):
    """A contender failed, or messages were missing or out of order."""


def _yaml(name):
    return os.path.join(who.HERE, "pubsub%s.yaml" % name)


def _json(argv, cwd, timeout=300):
    """The last line of what a program prints, as JSON."""
    try:
        made = subprocess.run(argv, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=timeout, check=False)
    except subprocess.TimeoutExpired as why:
        raise Failed("%s did not end within %d s" % (os.path.basename(argv[0]), timeout)) from why
    if made.returncode != 0:
        raise Failed("exit %d: %s" % (made.returncode, made.stderr.decode(errors="replace").strip()[-300:]))
    found = json.loads(made.stdout.decode().strip().splitlines()[-1])
    if found.get("wrong") or found.get("disorder") and "order=hlc" in argv:
        raise Failed("messages were missing or out of order")
    return found


class Nats:
    """A nats-server on a free port of the loopback, for as long as the job runs."""

    def __init__(self, work):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.server = subprocess.Popen([_server(), "-a", "127.0.0.1", "-p", str(self.port)], cwd=work,
                                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.url = "nats://127.0.0.1:%d" % self.port
        until = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError as why:
                if self.server.poll() is not None or time.monotonic() > until:
                    self.close()
                    raise Failed("nats-server does not listen") from why
                time.sleep(0.05)

    def close(self):
        self.server.terminate()
        self.server.wait()


def _server():
    return shutil.which("nats-server") or shutil.which("nats-server", path="/usr/sbin:/usr/local/sbin")


def _idle(rkpipe, work, seconds):
    """CPU time of a pipeline that waits, in percent, without its start; by the scheduler's own count, in ns."""
    data = os.path.join(work, "idle")
    os.makedirs(data, exist_ok=True)
    run = subprocess.Popen([rkpipe, "run", _yaml("_idle"), "--set", "engine.data_dir=" + data, "--quiet"], cwd=work,
                           stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def used():
        total = 0
        for task in os.listdir("/proc/%d/task" % run.pid):
            with open("/proc/%d/task/%s/schedstat" % (run.pid, task), encoding="ascii") as f:
                total += int(f.read().split()[0])
        return total

    try:
        time.sleep(1)
        begin, ns = time.monotonic_ns(), used()
        time.sleep(seconds)
        if run.poll() is not None:
            raise Failed("the pipeline that waits has ended")
        return (used() - ns) / (time.monotonic_ns() - begin) * 100
    finally:
        run.stdin.close()
        run.terminate()
        run.wait()


def _turns(run, rkpipe, nats):
    """What a round consists of: name -> function that returns {figure: value}."""
    work = os.path.join(run.work, "pubsub")
    os.makedirs(work, exist_ok=True)
    disk = os.path.join(who.BUILD, "pubsub-data")  # spilling goes to a disk, not to memory
    os.makedirs(disk, exist_ok=True)
    turns = {}

    def engine(name, *words, threads=1):
        return _json([os.path.join(os.path.dirname(rkpipe), "tests", "pubsub_engine"), _yaml(name), *words, "--threads",
                      str(threads), "--dir", disk], work)

    def add(figure, turn, key="m_per_s"):
        turns[figure] = lambda: {figure: turn()[key]}

    def latency(name, turn, kernel, *parts):
        def once():
            found = turn()["kernels"][kernel]
            return {"%s-%s" % (name, p): found[p + "_us"] for p in parts}
        turns[name] = once

    def peer(program, *words):
        return _json([run.program(program), *words], work)

    if os.access(rkpipe, os.X_OK):
        add("rkpipe-32", lambda: engine("", "rows=8000000", "batch=32"))
    if os.path.exists(run.program("pubsub_zmq")):
        add("zeromq", lambda: peer("pubsub_zmq", "1", "1000000", "1"))
        add("zeromq-32", lambda: peer("pubsub_zmq", "1", "8000000", "32"))
    if os.access(rkpipe, os.X_OK):
        add("rkpipe-1", lambda: engine("", "rows=1000000", "batch=1"))
        add("rkpipe-32-2", lambda: engine("", "rows=8000000", "batch=32", threads=2))
        add("rkpipe-1-2", lambda: engine("", "rows=1000000", "batch=1", threads=2))
        add("direct-32", lambda: engine("_direct", "rows=8000000", "batch=32"))
        add("direct-1", lambda: engine("_direct", "rows=1000000", "batch=1"))
        add("template-32", lambda: engine("_template", "rows=4000000", "batch=32"))

    def ring():
        found = peer("queue", "1", "--json")
        return {"bare-1": found["1"]["bare"], "bare-32": found["32"]["bare"]}
    turns["bare"] = ring
    if os.access(rkpipe, os.X_OK):
        add("rkpipe-4-32", lambda: engine("_4", "rows=2000000", "batch=32", "--wait", "4"))
    if nats:
        add("nats-4", lambda: peer("pubsub_nats", nats.url, "4", "250000"))
    if os.access(rkpipe, os.X_OK):
        add("rkpipe-4-1", lambda: engine("_4", "rows=500000", "batch=1", "--wait", "4"))
    if os.path.exists(run.program("pubsub_zmq")):
        add("zeromq-4", lambda: peer("pubsub_zmq", "4", "500000", "1"))

    def index():
        found = peer("topics", "1", "--json")["publish"]
        return {"subs-%d" % n: rate for n, rate in zip(found["subscriptions"], found["m_per_s"])}
    turns["topics"] = index
    if os.access(rkpipe, os.X_OK):
        for suffix, rows, work_for in (("", "1000000", "2us"), ("-10", "300000", "10us"), ("-0", "4000000", "0s")):
            def eight(*words, rows=rows, work_for=work_for):
                return engine("_8", "rows=" + rows, "work=" + work_for, "--wait", "7", *words, threads=2)
            add("seven" + suffix, eight)
            if not suffix:
                add("alive", lambda eight=eight: eight("eighth=true"))
            for how in ("drop_oldest", "spill"):
                add(how + suffix, lambda how=how, eight=eight: eight(
                    "eighth=true", "start=suspended", "overflow=" + how, "--dead", "eighth"))
        for order in ("hlc", "fifo"):
            latency(order, lambda order=order: engine("_hlc", "rows=10000", "order=" + order), "take", "p50", "p99")
        add("turn", lambda: engine("_turn", "turns=300000"), "turn_ns")
    if os.path.exists(run.program("turn_caf")):
        add("caf-turn", lambda: peer("turn_caf", "300000", "1"), "turn_ns")
    if os.access(rkpipe, os.X_OK):
        add("turn-2", lambda: engine("_turn", "turns=300000", threads=2), "turn_ns")
    if os.path.exists(run.program("turn_caf")):
        add("caf-turn-2", lambda: peer("turn_caf", "300000", "2"), "turn_ns")
    if os.access(rkpipe, os.X_OK):
        latency("wake", lambda: engine("_wake", "rows=1000"), "take", "p50")
        latency("futex", lambda: _json([os.path.join(os.path.dirname(rkpipe), "tests", "pubsub_engine"), "--futex", "1000",
                                        "1000"], work), "futex", "p50")
        turns["idle"] = lambda: {"idle": _idle(rkpipe, work, 4)}
    return turns


GROUP_OF = {
    **dict.fromkeys(("rkpipe-32", "rkpipe-32-2", "rkpipe-1", "rkpipe-1-2", "direct-32", "direct-1", "template-32", "zeromq",
                     "zeromq-32", "bare-1", "bare-32"), "one"),
    **dict.fromkeys(("rkpipe-4-32", "rkpipe-4-1", "nats-4", "zeromq-4"), "four"),
    **dict.fromkeys(("subs-1", "subs-10000", "subs-100000"), "index"),
    **dict.fromkeys(("seven", "alive", "drop_oldest", "spill"), "dead"),
    **dict.fromkeys(("seven-10", "drop_oldest-10", "spill-10"), "dead10"),
    **dict.fromkeys(("seven-0", "drop_oldest-0", "spill-0"), "dead0"),
    **dict.fromkeys(("hlc-p50", "hlc-p99", "fifo-p50", "fifo-p99"), "held"),
    **dict.fromkeys(("turn", "turn-2", "caf-turn", "caf-turn-2"), "hand"),
    **dict.fromkeys(("wake-p50", "futex-p50"), "wake"),
    "idle": "idle",
}


def _spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def measure(run, rkpipe, say):
    """All rounds; what fails is named and left out. Returns {"figures", "pingpong_ns", "load", "bad"}."""
    bad, nats = {}, None
    if _server() and os.path.exists(run.program("pubsub_nats")):
        try:
            nats = Nats(run.work)
        except Failed as why:
            bad["nats-4"] = str(why)
    figures, pingpong, load = {}, [], []
    try:
        turns = _turns(run, rkpipe, nats)
        for i in range(run.args.rounds):
            pingpong.append(float(run.figure("floor", "pingpong")))
            load.append(os.getloadavg()[0])
            for name in list(turns):
                try:
                    for figure, value in turns[name]().items():
                        figures.setdefault(figure, []).append(value)
                except (Failed, KeyError, ValueError) as why:
                    bad[name] = str(why)
                    say("pubsub: %s: %s" % (name, why))
                    del turns[name]
            say("   round %d of %d" % (i + 1, run.args.rounds))
    finally:
        if nats:
            nats.close()
    kept = {f: runs for f, runs in figures.items() if len(runs) == run.args.rounds}
    return {"figures": {f: {**_spread(runs), "runs": runs, "note": NOTES.get(f, "")} for f, runs in kept.items()},
            "pingpong_ns": pingpong, "load": load, "bad": bad}


def bars(found):
    """One row per bar of which both sides were measured."""
    rows = []
    for what, figure, over, sign, bound in BARS:
        a, b = found["figures"].get(figure), found["figures"].get(over) if over else None
        if not a or over and not b:
            continue
        got = _spread([x / max(y, 1e-9) for x, y in zip(a["runs"], b["runs"])] if over else a["runs"])
        met = got["median"] >= bound if sign == "least" else got["median"] <= bound
        rows.append({"job": "pubsub", "what": what, sign: bound, "got": got["median"], "spread": got, "met": met})
    return rows


def markdown(found, number):
    text = ["Cache line from one core to the other before each round: %s ns; load: %s." %
            (", ".join("%.0f" % p for p in found["pingpong_ns"]), ", ".join("%.1f" % x for x in found["load"])), ""]
    for group, (title, unit) in GROUPS.items():
        rows = [f for f in GROUP_OF if GROUP_OF[f] == group and f in found["figures"]]
        if not rows:
            continue
        text += ["### %s" % title, "", "| | %s [min..max] | |" % unit, "|---|---|---|"]
        for f in rows:
            c = found["figures"][f]
            text.append("| %s | %s [%s..%s] | %s |" % (f, *(number(c[k]) for k in ("median", "min", "max")), c["note"]))
        text.append("")
    for name, why in found["bad"].items():
        text += ["%s is not in the table: %s" % (name, why), ""]
    return text
