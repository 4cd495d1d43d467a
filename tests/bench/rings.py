"""./dev bench queue: the engine's ring (engine/flow/ring.h) and nothing else, beside a bare ring and the queues of others.

Each round runs build/bench/queue once, which lets its contenders take turns; ratios are made within a round.
"""
import json
import statistics
import subprocess

# what, group, over, sign, bound: rkpipe's figure over that of the other one
BARS = [
    ("one at a time / bare ring", "1", "bare", "least", 0.8),
    ("bursts of 32 / bare ring", "32", "bare", "least", 0.8),
    ("one way, p50 / bare ring", "way_ns", "bare", "most", 1.3),
    ("one way, p50 / a cache line", "way_ns", "line", "most", 2.0),
]
GROUPS = {"1": ("one at a time", "M messages/s"), "32": ("bursts of 32", "M messages/s"),
          "way_ns": ("one way, half of there and back, median", "ns")}
NOTES = {"bare": "cached indices and nothing else", "line": "no queue: one cache line handed to and fro",
         "ck_ring": "concurrency kit, SPSC", "boost": "boost::lockfree::spsc_queue"}


def _spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def measure(run, say):
    """All rounds: group -> contender -> {"median", "min", "max", "runs"}; `bad`: what failed."""
    rounds = []
    for i in range(run.args.rounds):
        try:
            found = json.loads(run.figure("queue", "1", "--json"))
        except (ValueError, OSError, subprocess.CalledProcessError) as why:
            return {"groups": {}, "bad": {"queue": str(why)}}
        wrong = [name for group in found.values() for name, value in group.items() if value <= 0]
        if wrong:
            return {"groups": {}, "bad": dict.fromkeys(wrong, "messages were missing or out of order")}
        rounds.append(found)
        say("   round %d of %d" % (i + 1, run.args.rounds))
    groups = {}
    for group in GROUPS:
        groups[group] = {}
        for name in rounds[0][group]:
            values = [r[group][name] for r in rounds]
            groups[group][name] = {**_spread(values), "runs": values, "note": NOTES.get(name, "")}
    return {"groups": groups, "bad": {}}


def bars(found):
    rows = []
    for what, group, over, sign, bound in BARS:
        ours, other = (found["groups"].get(group, {}).get(name) for name in ("rkpipe", over))
        if not ours or not other:
            continue
        got = _spread([x / max(y, 1e-9) for x, y in zip(ours["runs"], other["runs"])])
        met = got["median"] >= bound if sign == "least" else got["median"] <= bound
        rows.append({"job": "queue", "what": what, sign: bound, "got": got["median"], "spread": got, "met": met})
    return rows


def markdown(found, number):
    text = []
    for group, contenders in found["groups"].items():
        title, unit = GROUPS[group]
        text += ["| %s | %s [min..max] | |" % (title, unit), "|---|---|---|"]
        for name, c in contenders.items():
            text.append("| %s | %s [%s..%s] | %s |" % (name, *(number(c[k]) for k in ("median", "min", "max")), c["note"]))
        text.append("")
    for name, why in found["bad"].items():
        text += ["%s is not in the table: %s" % (name, why), ""]
    return text
