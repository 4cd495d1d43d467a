#!/usr/bin/env python3
"""clients.py RKPIPE N: N reloads of a pipeline to which clients send over TCP, HTTP and unix sockets all the time.

The sources stay as they are; what is behind them changes, one file in ten is wrong. Each client sends numbered rows. In the
end every row of every client is there once, in its order; no connection was closed, and no HTTP request got anything
but 204.
RKP_SEED makes the same choices again; threads and the clock may make another run of them.
"""
import json
import os
import random
import re
import socket
import threading
import time

from engine import Engine, Fail, main, put, quantiles

SOURCES = ("tcp", "http", "unix")


def chain(rnd, source):
    """Kernels between a source and its file; the last one's name."""
    out, last = "", source
    some = rnd.choice([", batch: { count: 100, period: 2ms }", ", replicas: 2"])  # of a chain: both are refused
    for i in range(4):
        if rnd.random() < 0.5:
            continue
        name = f"{source}_{i}"
        with_ = rnd.choice([f"map, with: {{ derive: {{ x: n * {rnd.randrange(100)} }} }}",
                            f"filter, with: {{ where: n > -{1 + rnd.randrange(100)} }}",
                            f"map, with: {{ derive: {{ y: \"n + {rnd.randrange(9)}\", z: client }} }}"])
        more = rnd.choice(["", "", ", queue: { capacity: 2 }", some])
        out += f"  {name}: {{ op: {with_.replace(', with', f', from: [{last}]{more}, with', 1)} }}\n"
        last = name
    return out, last


def pipeline(rnd, wrong):
    text = """version: 1
name: live
engine: { delivery: at_most_once, threads: 2 }
run: { mode: stream }
schemas:
  row: { client: string, n: i64 }
kernels:
  tcp: { op: read.tcp, with: { listen: "127.0.0.1:0", format: csv, header: false, schema: row } }
  http: { op: read.http, with: { listen: "127.0.0.1:0", format: csv, header: false, schema: row } }
  unix: { op: read.unix, with: { listen: in.sock, format: csv, header: false, schema: row } }
  sums: { op: aggregate, from: [tcp, http, unix], with: { by: [client], compute: { rows: count(), last: max(n) } } }
  sums_out: { op: write.csv, from: [sums], with: { path: sums.csv } }
"""
    for s in SOURCES:
        between, last = chain(rnd, s)
        text += between
        text += f"  {s}_last: {{ op: map, from: [{last}], with: {{ select: [client, n] }} }}\n"
        text += f"  {s}_out: {{ op: write.csv, from: [{s}_last], with: {{ path: {s}.csv }} }}\n"
        if rnd.random() < 0.3:
            text += f"  {s}_side: {{ op: write.null, from: [{rnd.choice([s, last])}] }}\n"
    if wrong:
        bad = rnd.choice([("op: write.null", "op: write.nul"), ("n *", "nn *"), ("from: [tcp]", "from: [tpc]"),
                          ("kernels:", "kernel:"), ("version: 1", "version: 1\nx"), ("max(n)", "max(m)")])
        if bad[0] not in text:
            bad = ("sums.csv }", "sums.csv ")
        text = text.replace(*bad, 1)
    return text


class Client(threading.Thread):
    def __init__(self, name, at, stop, rnd):
        super().__init__()
        self.name, self.at, self.stop, self.rnd = name, at, stop, random.Random(rnd.random())
        self.sent, self.failed, self.done = 0, None, None

    def all_sent(self):
        """Rows by the name that is in them."""
        return self.done if self.done is not None else {self.name: self.sent}

    def rows(self):
        n = self.rnd.choice([1, 3, 20, 100])
        text = "".join(f"{self.name},{i}\n" for i in range(self.sent, self.sent + n))
        self.sent += n
        return text.encode()

    def connect(self):
        s = socket.socket(socket.AF_UNIX if isinstance(self.at, str) else socket.AF_INET)
        s.settimeout(60)
        s.connect(self.at)
        return s

    def run(self):
        try:
            self.work()
        except (OSError, Fail) as e:
            self.failed = repr(e)


class Stream(Client):
    """Rows over one connection, cut anywhere."""

    def work(self):
        with self.connect() as s:
            while not self.stop.is_set():
                data = self.rows()
                cut = self.rnd.randrange(len(data))
                s.sendall(data[:cut])
                self.stop.wait(self.rnd.random() * 0.004)
                s.sendall(data[cut:])
                s.settimeout(0)
                try:
                    if s.recv(1) == b"":
                        raise Fail(f"the connection was closed after {self.sent} rows")
                except BlockingIOError:
                    pass
                s.settimeout(60)
            s.shutdown(socket.SHUT_WR)
            if s.recv(1) != b"":
                raise Fail("something was answered")


class Short(Client):
    """One connection after the other, each with a few rows and a name of its own: between connections there is no order."""

    def work(self):
        base, k, self.done = self.name, 0, {}
        while not self.stop.is_set():
            self.name, self.sent = f"{base}.{k}", 0
            with self.connect() as s:
                s.sendall(self.rows())
                s.shutdown(socket.SHUT_WR)
                if s.recv(1) != b"":
                    raise Fail("something was answered")
            self.done[self.name] = self.sent
            k += 1
            self.stop.wait(self.rnd.random() * 0.02)


class Http(Client):
    """Requests over one connection, each answered before the next."""

    def work(self):
        with self.connect() as s:
            while not self.stop.is_set():
                body = self.rows()
                s.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                got = b""
                while b"\r\n\r\n" not in got:
                    more = s.recv(65536)
                    if not more:
                        raise Fail(f"the connection was closed after {self.sent} rows")
                    got += more
                if not got.startswith(b"HTTP/1.1 204 "):
                    raise Fail(f"answered with {got!r}")
                if got.partition(b"\r\n\r\n")[2]:
                    raise Fail(f"more than an answer: {got!r}")
                self.stop.wait(self.rnd.random() * 0.002)


def check(source, clients):
    """Every row of every client, once, in its order."""
    at = {}
    with open(f"{source}.csv", encoding="utf-8") as f:
        if f.readline() != "client,n\n":
            raise Fail(f"{source}.csv has another head")
        for line in f:
            client, n = line.rstrip("\n").split(",")
            if at.get(client, 0) != int(n):
                raise Fail(f"{source}.csv: row {n} of {client} comes where {at.get(client, 0)} is due")
            at[client] = int(n) + 1
    for c in clients:
        for name, sent in c.all_sent().items():
            if at.pop(name, 0) != sent:
                raise Fail(f"{source}.csv has not the {sent} rows that {name} has sent")
    if at:
        raise Fail(f"{source}.csv has rows of {list(at)[:5]}, which nobody has sent")


def check_sums(clients):
    with open("sums.csv", encoding="utf-8") as f:
        f.readline()
        sums = {client: (int(rows), int(last)) for client, rows, last in (x.rstrip("\n").split(",") for x in f)}
    want = {name: (sent, sent - 1) for c in clients for name, sent in c.all_sent().items() if sent}
    if sums != want:
        raise Fail(f"the aggregate has {sums.items() - want.items()}, not {want.items() - sums.items()}")


def test(rkpipe, reloads):
    seed = int(os.environ.get("RKP_SEED") or random.randrange(1 << 32))
    rnd = random.Random(seed)
    put("p.yaml", pipeline(rnd, False))
    engine = Engine(rkpipe, "p.yaml")
    stop = threading.Event()
    ms, pauses, outcomes, clients = [], [], {}, {}
    try:
        engine.until("all sources listen", lambda: engine.said().count("listens on") == 3)
        ports = dict(re.findall(r"kernel '(tcp|http)': listens on 127\.0\.0\.1:(\d+)", engine.said()))
        tcp, http = (("127.0.0.1", int(ports[s])) for s in ("tcp", "http"))
        clients = {"tcp": [Stream("t1", tcp, stop, rnd), Stream("t2", tcp, stop, rnd),
                           Short("t3", tcp, stop, rnd)],
                   "http": [Http("h1", http, stop, rnd), Http("h2", http, stop, rnd)],
                   "unix": [Stream("u1", "in.sock", stop, rnd), Stream("u2", "in.sock", stop, rnd),
                            Short("u3", "in.sock", stop, rnd)]}
        everybody = [c for some in clients.values() for c in some]
        for c in everybody:
            c.start()
        for i in range(reloads):
            wrong = rnd.random() < 0.1
            text = pipeline(rnd, wrong)
            put("p.yaml", text)
            begin = time.monotonic()
            status, body = engine.ask("POST", "/v1/config:apply")
            ms.append((time.monotonic() - begin) * 1000)
            answer = json.loads(body)
            outcome = answer["outcome"]
            # What a reload cannot do yet it refuses by name: that is an answer, too, but must stay rare.
            if outcome == "rejected" and not wrong and all(f["code"] == "reload-unsupported" for f in answer["findings"]):
                outcome = "not supported"
            elif outcome != ("rejected" if wrong else "applied"):
                raise Fail(f"reload {i}: {status} {body.decode()}\n{text}")
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
            pauses.append(answer.get("milliseconds", {}).get("pause", 0))
            for c in everybody:
                if c.failed:
                    raise Fail(f"reload {i}: {c.name}: {c.failed}")
            engine.alive()
            time.sleep(rnd.random() * 0.1)
        if outcomes.get("applied", 0) * 2 < reloads:
            raise Fail(f"too few were applied: {outcomes}")
        stop.set()
        for c in everybody:
            c.join(120)
            if c.is_alive() or c.failed:
                raise Fail(f"{c.name}: {c.failed or 'hangs'}")
        engine.drain()
        for s in SOURCES:
            check(s, clients[s])
        check_sums(everybody)
    except (Fail, OSError) as e:
        raise Fail(f"seed {seed}: {e}\n{engine.last_words()}") from None
    finally:
        stop.set()
        engine.kill()
    print(f"seed {seed}: {reloads} reloads ({', '.join(f'{k} {v}' for k, v in sorted(outcomes.items()))}), "
          f"{sum(sum(c.all_sent().values()) for c in everybody)} rows over "
          f"{sum(len(c.all_sent()) for c in everybody)} connections")
    print(f"  from request to answer: {quantiles(ms)}; kernels stood: {quantiles(pauses)}")


main(test)
