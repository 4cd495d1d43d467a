"""./dev bench watching: what it costs to be watched. J1 without anything, with alerts and a scrape each second, and with an OpenTelemetry
collector that is told metrics each second and a trace of every hundredth batch; and how long a scrape takes.

What is read is so much that a run takes several seconds (links to one file in memory); the output goes to /dev/null. All take turns; ratios are
made within a round. Instructions are counted where the machine lets `perf stat` do so, else CPU seconds stand alone.
"""
import http.client
import json
import os
import shutil
import socket
import statistics
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HERE = os.path.dirname(os.path.abspath(__file__))
READ = 12 * 10**9  # bytes of a run
SCRAPES = 300
# what, over, key, most: the figure of that way over that of a run without anything
BARS = [("alerts", "cpu_s", 1.01), ("alerts", "instructions", 1.01), ("otlp", "cpu_s", 1.01), ("otlp", "instructions", 1.01)]
SCRAPE_MS = 10.0
NOTES = {"plain": "nobody looks", "alerts": "ten rules, looked at each second, and /metrics is read each second",
         "otlp": "metrics each second, a trace of 1 % of the batches, to a collector on the loopback"}

RULES = [
    "rate(rkpipe_kernel_in_rows_total[10s]) < 0", "rate(rkpipe_kernel_out_rows_total[1m]) < 0",
    "increase(rkpipe_dropped_rows_total[1m]) < 0", "rkpipe_edge_queue_messages > 1e9",
    "rkpipe_edge_queue_messages / rkpipe_edge_queue_capacity_messages > 2",
    "histogram_quantile(0.99, sum by (kernel, le) (rate(rkpipe_kernel_batch_seconds_bucket[1m]))) > 1e6",
    "sum by (kernel) (rate(rkpipe_kernel_busy_seconds_total[10s])) > 1e6", "rkpipe_memory_used_bytes > 1e15",
    "max_over_time(process_resident_memory_bytes[1m]) > 1e15", "absent(rkpipe_pipeline_info)",
]


def _spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "runs": values}


class _Collector(BaseHTTPRequestHandler):
    """Takes everything. In this process, so that none of its time is the engine's."""
    protocol_version = "HTTP/1.1"
    taken = 0

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        _Collector.taken += 1
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *args):
        pass


class _Admin(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=10)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def _get(path, what):
    c = _Admin(path)
    try:
        c.request("GET", what)
        answer = c.getresponse()
        body = answer.read()
        return body if answer.status == 200 else None
    except OSError:
        return None
    finally:
        c.close()


def _counts_instructions():
    made = subprocess.run(["perf", "stat", "-x,", "-e", "instructions", "true"], capture_output=True, text=True, check=False) if shutil.which("perf") else None
    return bool(made and made.returncode == 0 and made.stderr.split(",")[0].strip().isdigit())


def _pipeline(way, port):
    """J1 as it is, with what watches it in front."""
    with open(os.path.join(HERE, "j1.yaml"), encoding="utf-8") as f:
        text = f.read()
    if way == "alerts":
        text += "alerts:\n" + "".join("  - { alert: R%d, expr: '%s' }\n" % (i, r) for i, r in enumerate(RULES))
    if way == "otlp":
        text += "telemetry: { otlp: { endpoint: 'http://127.0.0.1:%d', interval: 1s, traces: 1%% } }\n" % port
    return text


def _scrape_each_second(sock, ended, counts):
    while not ended.wait(1):
        counts["scrapes"] += _get(sock, "/metrics") is not None


def _run(rkpipe, way, work, port, perf):
    data, said = os.path.join(work, "data"), os.path.join(work, "said")
    shutil.rmtree(data, ignore_errors=True)
    path = os.path.join(work, "j1-%s.yaml" % way)
    with open(path, "w", encoding="utf-8") as f:
        f.write(_pipeline(way, port))
    count = os.path.join(work, "perf")
    argv = ["perf", "stat", "-x,", "-o", count, "-e", "instructions"] if perf else []
    argv += [rkpipe, "run", path, "--progress", "none", "--summary", "json", "--var", "in=" + work + "/many/*.csv", "--var", "out=-",
             "--set", "engine.threads=1", "--set", "engine.data_dir=" + data, "--set", "engine.delivery=at_most_once"]
    ended, counts, before = threading.Event(), {"scrapes": 0}, _Collector.taken
    with open(said, "w", encoding="utf-8") as err:
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err)
        looker = threading.Thread(target=_scrape_each_second, args=(data + "/admin.sock", ended, counts)) if way == "alerts" else None
        if looker:
            looker.start()
        code = child.wait()
        ended.set()
        if looker:
            looker.join()
    with open(said, encoding="utf-8") as f:
        told = f.read()
    if code:
        raise OSError("%s: exit %d: %s" % (way, code, told[-300:]))
    told = json.JSONDecoder().raw_decode(told[told.index("{"):])[0]
    found = {"wall_s": told["wall_seconds"], "cpu_s": told["cpu_seconds"], "scrapes": counts["scrapes"], "requests": _Collector.taken - before}
    if perf:
        with open(count, encoding="utf-8") as f:
            found["instructions"] = float(next(line for line in f if ",instructions" in line).split(",")[0])
    return found


def _wide(rkpipe, work):
    """A running pipeline of more than a thousand series, and how long a scrape of it takes."""
    kernels = ["  gen: { op: generate, with: { columns: { n: row }, rate: 20000 }, publish: 't/a' }"]
    kernels += ["  k%d: { op: filter, subscribe: ['t/#'], with: { where: 'n %% %d == 0' } }\n  o%d: { op: write.null, from: [k%d] }" % (i, i + 2, i, i) for i in range(11)]
    path, data = os.path.join(work, "wide.yaml"), os.path.join(work, "wide")
    with open(path, "w", encoding="utf-8") as f:
        f.write("version: 1\nname: wide\nrun: { mode: stream }\nengine: { data_dir: '%s' }\nkernels:\n%s\n" % (data, "\n".join(kernels)))
    child = subprocess.Popen([rkpipe, "run", path, "--summary", "none"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        sock, took, body, until = data + "/admin.sock", [], None, time.monotonic() + 30
        while not body and time.monotonic() < until:
            body = _get(sock, "/metrics")
        for _ in range(SCRAPES):
            begin = time.perf_counter()
            body = _get(sock, "/metrics")
            took.append((time.perf_counter() - begin) * 1e3)
            if body is None:
                raise OSError("a scrape failed")
        took.sort()
        series = sum(1 for line in body.decode().split("\n") if line and not line.startswith("#"))
        return {"series": series, "bytes": len(body), "p50_ms": took[len(took) // 2], "p99_ms": took[len(took) * 99 // 100], "most_ms": took[-1]}
    finally:
        child.terminate()
        child.wait()


def measure(run, rkpipe, source, work, say):
    many = os.path.join(work, "many")
    os.makedirs(many, exist_ok=True)
    for i in range(max(1, round(READ / os.path.getsize(source)))):
        link = os.path.join(many, "%04d.csv" % i)
        if not os.path.exists(link):
            os.symlink(source, link)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Collector)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    perf, ways, runs = _counts_instructions(), list(NOTES), {way: [] for way in NOTES}
    try:
        for n in range(run.args.rounds):
            for i in range(len(ways)):
                way = ways[(i + n) % len(ways)]
                runs[way].append(_run(rkpipe, way, work, server.server_address[1], perf))
            say("   round %d of %d: CPU s %s" % (n + 1, run.args.rounds, ", ".join("%s %.2f" % (w, runs[w][-1]["cpu_s"]) for w in ways)))
        scrape = _wide(rkpipe, work)
    except (OSError, ValueError, KeyError) as why:
        return {"ways": {}, "bad": {"rkpipe": str(why)}}
    finally:
        server.shutdown()
    found = {"ways": {}, "scrape": scrape, "bad": {}}
    for way in ways:
        keys = [k for k in ("wall_s", "cpu_s", "instructions") if k in runs[way][0]]
        found["ways"][way] = {
            **{k: _spread([r[k] for r in runs[way]]) for k in keys}, "note": NOTES[way],
            "ratio": {k: _spread([a[k] / b[k] for a, b in zip(runs[way], runs["plain"])]) for k in keys},
            "scrapes": sum(r["scrapes"] for r in runs[way]), "requests": sum(r["requests"] for r in runs[way])}
    return found


def bars(found):
    rows = []
    for way, key, most in BARS:
        got = found["ways"].get(way, {}).get("ratio", {}).get(key)
        if got:
            rows.append({"job": "watching", "what": "%s / plain, %s" % (way, key.replace("_s", " seconds").replace("cpu", "CPU")),
                         "most": most, "got": got["median"], "spread": got, "met": got["median"] <= most})
    if found.get("scrape"):
        took = found["scrape"]["p50_ms"]
        rows.append({"job": "watching", "what": "a scrape of %d series, median, ms" % found["scrape"]["series"], "most": SCRAPE_MS,
                     "got": took, "met": took <= SCRAPE_MS})
    return rows


def markdown(found, number):
    def three(v):
        return "%s [%s..%s]" % tuple(number(v[k]) for k in ("median", "min", "max"))

    text = ["| J1 | wall s [min..max] | CPU s | CPU, times plain | least CPU, times plain's | instructions, times plain | scrapes, requests | |",
            "|---|---|---|---|---|---|---|---|"]
    for way, c in found["ways"].items():
        text.append("| %s | %s | %s | %s | %.4f | %s | %d, %d | %s |" % (
            way, three(c["wall_s"]), three(c["cpu_s"]), "%.4f [%.3f..%.3f]" % tuple(c["ratio"]["cpu_s"][k] for k in ("median", "min", "max")),
            c["cpu_s"]["min"] / found["ways"]["plain"]["cpu_s"]["min"],
            "%.5f" % c["ratio"]["instructions"]["median"] if "instructions" in c["ratio"] else "not counted here", c["scrapes"], c["requests"], c["note"]))
    if found.get("scrape"):
        s = found["scrape"]
        text += ["", "A scrape of %d series (%d KB): p50 %.2f ms, p99 %.2f ms, most %.2f ms." % (s["series"], s["bytes"] // 1000, s["p50_ms"], s["p99_ms"], s["most_ms"])]
    text.append("")
    for name, why in found["bad"].items():
        text += ["%s is not in the table: %s" % (name, why), ""]
    return text
