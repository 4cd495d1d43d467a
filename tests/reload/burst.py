#!/usr/bin/env python3
"""burst.py RKPIPE N: N bursts of 50 requests to reload within a second, each with a new file, one in ten of them wrong.

Requests come as SIGHUP, as `rkpipe reload` and over the API.  After a burst the last file runs, and each request that
can get an answer got just one: applied, rejected, timed_out or superseded.
RKP_SEED makes the same choices again; threads and the clock may make another run of them.
"""
import json
import os
import random
import subprocess
import threading
import time

from engine import Engine, Fail, main, put, quantiles

REQUESTS = 50
OUTCOMES = {200: ["applied"], 422: ["rejected"], 409: ["timed_out", "superseded"]}
CODES = {0: "applied", 2: "rejected", 3: "timed_out", 4: "superseded"}


def pipeline(factor, wrong):
    late = f"  late{factor % 3}: {{ op: write.null, from: [price] }}\n" if factor % 2 else ""
    return f"""version: 1
name: live
engine: {{ delivery: at_most_once }}
run: {{ mode: stream }}
kernels:
  numbers: {{ op: generate, with: {{ columns: {{ n: row }}, rate: 20000/s, batch_rows: 16 }} }}
  price: {{ op: {"mapp" if wrong else "map"}, from: [numbers], with: {{ derive: {{ factor: "{factor}", total: n * {factor} }} }} }}
  sums: {{ op: aggregate, from: [price], with: {{ by: [], compute: {{ rows: count() }} }} }}
  out: {{ op: write.null, from: [sums] }}
{late}"""


def test(rkpipe, bursts):
    seed = int(os.environ.get("RKP_SEED") or random.randrange(1 << 32))
    rnd = random.Random(seed)
    counts, answers, ms, hangups = {}, [], [], 0
    lock = threading.Lock()
    factor = 1
    put("p.yaml", pipeline(factor, False))
    engine = Engine(rkpipe, "p.yaml")

    slowest = [0, b""]

    def answered(how, outcome, begin, body=b""):
        with lock:
            answers.append((how, outcome))
            ms.append((time.monotonic() - begin) * 1000)
            if ms[-1] > slowest[0] and outcome == "applied":
                slowest[:] = [ms[-1], body[body.find(b'"milliseconds"'):]]

    def by_api():
        begin = time.monotonic()
        body = b""
        try:
            status, body = engine.ask("POST", "/v1/config:apply")
            outcome = json.loads(body).get("outcome")
            if outcome not in OUTCOMES.get(status, []):
                outcome = f"status {status}: {body[:200]!r}"
        except (Fail, OSError, ValueError) as e:
            outcome = repr(e)
        answered("api", outcome, begin, body)

    def by_command():
        begin = time.monotonic()
        p = subprocess.run([rkpipe, "reload"], stdin=subprocess.DEVNULL, capture_output=True, timeout=300, check=False)
        answered("command", CODES.get(p.returncode, f"exit {p.returncode}: {p.stderr[-300:]!r}"), begin)

    try:
        for burst in range(bursts):
            threads = []
            answers.clear()
            begin = time.monotonic()
            for i in range(REQUESTS):
                factor += 1
                last = i == REQUESTS - 1
                put("p.yaml", pipeline(factor, not last and rnd.random() < 0.1))
                how = rnd.randrange(3)
                if how == 0:
                    engine.hangup()
                    hangups += 1
                else:
                    threads.append(threading.Thread(target=by_api if how == 1 else by_command))
                    threads[-1].start()
                pause = begin + (i + 1) / REQUESTS - time.monotonic()
                if pause > 0 and burst % 3 != 2:  # every third one as fast as it can
                    time.sleep(pause)
            for t in threads:
                t.join()
            if len(answers) != len(threads):
                raise Fail(f"seed {seed} burst {burst}: {len(answers)} answers to {len(threads)} requests")
            for how, outcome in answers:
                counts[how, outcome] = counts.get((how, outcome), 0) + 1
                if outcome not in CODES.values():
                    raise Fail(f"seed {seed} burst {burst}: a request by {how} got {outcome}")

            def runs():
                row = engine.ask("GET", "/v1/tap?topic=kernel:price&limit=1")[1]
                return f'"factor":{factor},'.encode() in row

            try:
                engine.until(f"the last file, with factor {factor}, runs", runs, 20)
            except Fail as e:
                raise Fail(f"seed {seed} burst {burst}: {e}") from None
            # What follows a burst changes nothing any more: one more is the next, whatever was still to be seen to.
            generation = engine.status()["generation"]
            status, body = engine.ask("POST", "/v1/config:apply")
            if status != 200 or json.loads(body)["generation"] != generation + 1 or not runs():
                raise Fail(f"seed {seed} burst {burst}: another reload after the last one")
        said = engine.said()
        told = said.count(" (SIGHUP)")
        if told > hangups or (hangups and not told):
            raise Fail(f"seed {seed}: {told} outcomes of {hangups} hangups")
        # What runs and what was rejected last can be read.
        put("p.yaml", pipeline(factor + 1, True))
        if engine.ask("POST", "/v1/config:apply")[0] != 422:
            raise Fail("a wrong file was not rejected")
        config = json.loads(engine.ask("GET", "/v1/config")[1])
        rejected = config["rejected"]
        if (config["files"] != [{"name": "p.yaml", "text": pipeline(factor, False)}] or
                rejected["files"] != [{"name": "p.yaml", "text": pipeline(factor + 1, True)}] or
                rejected["findings"][0]["code"] != "op-unknown"):
            raise Fail(f"the config is {config}")
        engine.drain()
    finally:
        engine.kill()
    by = {}
    for (how, outcome), n in sorted(counts.items()):
        by.setdefault(how, []).append(f"{outcome} {n}")
    print(f"seed {seed}: {bursts} bursts of {REQUESTS}, generation {generation}, {hangups} hangups with {told} outcomes")
    for how, what in by.items():
        print(f"  {how}: {', '.join(what)}")
    print(f"  from request to answer: {quantiles(ms)}")
    print(f"  the slowest: {slowest[0]:.1f} ms, {slowest[1].decode()}")


main(test)
