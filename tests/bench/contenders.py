"""Who runs which job, and how: the commands of rkpipe, of the hand-written loops, of the peers and of the floors.

A contender is a function (job, input, output) -> (argv, environment), or None where it does not do the job. Output is the
path of the answer; a command that writes to standard output gets it by redirection (OUTPUT_IS_STDOUT).
"""
import json
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join(ROOT, "build", "bench")

INPUT = {"j1": "csv", "j2": "csv", "j2b": "csv", "j3": "jsonl", "j4": "events"}

FEE_COLUMNS = "tx_id,ts,account,country,amount,currency,fee,note"
# awk splits at every comma: a quoted note with commas is the last field, so it is put together again
AWK = {
    "j1": 'NR == 1 { print "%s"; next } $7 > 500 && $9 == "ok" { note = $10; for (i = 11; i <= NF; i++) note = note FS $i;'
          ' printf "%%s,%%s,%%s,%%s,%%s,%%s,%%.2f,%%s\\n", $1, $2, $3, $5, $7, $8,'
          ' int(($7 * 0.029 + 0.30) * 100 + 0.5) / 100, note }' % FEE_COLUMNS,
    "j2b": 'NR > 1 { n[$3]++; s[$3] += $7 } END { for (k in n) printf "%s,%d,%.2f,%.15g\\n", k, n[k], s[k], s[k] / n[k] }',
    "j4": 'NR > 1 { k = $1 - $1 % 60000 "," $2; n[k]++; s[k] += $3; if (!(k in m) || $3 > m[k]) m[k] = $3 }'
          ' END { for (k in n) printf "%s,%d,%.15g,%s\\n", k, n[k], s[k] / n[k], m[k] }',
}
MILLER = {
    "j1": ["--csv", "filter", '$amount > 500 && $status == "ok"', "then", "put",
           "$fee = round(($amount * 0.029 + 0.30) * 100) / 100", "then", "cut", "-o", "-f", FEE_COLUMNS],
    "j2": ["--csv", "stats1", "-i", "-a", "count,sum,mean,p95", "-f", "amount", "-g", "account", "then", "sort", "-f", "account"],
    "j2b": ["--csv", "stats1", "-a", "count,sum,mean", "-f", "amount", "-g", "account", "then", "sort", "-f", "account"],
    "j3": ["--ijsonl", "--ojsonl", "filter", '$level == "WARN" || $level == "ERROR"', "then", "put",
           'if ($msg =~ "status=([0-9]+) dur=([0-9.]+)ms user=([A-Za-z0-9_]+)") { $* = {"ts": $ts, "level": $level,'
           ' "service": $service, "status": int("\\1"), "dur_ms": float("\\2"), "user": "\\3"} }'],
    "j4": ["--csv", "put", "$w = $ts_ms - $ts_ms % 60000", "then", "stats1", "-a", "count,mean,max", "-f", "value",
           "-g", "w,key", "then", "sort", "-nf", "w", "-f", "key"],
}
JQ = {
    "j3": 'select(.level == "WARN" or .level == "ERROR")'
          ' | (.msg | capture("status=(?<status>\\\\d+) dur=(?<dur>[0-9.]+)ms user=(?<user>\\\\w+)")) as $m'
          ' | {ts, level, service, status: ($m.status | tonumber), dur_ms: ($m.dur | tonumber), user: $m.user}',
}
HAND = {"j1": ["hand_j1"], "j2": ["hand_j2"], "j2b": ["hand_j2", "nop95"], "j3": ["hand_j3"], "j4": ["hand_j4"]}


def _script(program, scripts, before=(), env=None):
    def command(job, source, _):
        if job not in scripts:
            return None
        script = scripts[job]
        return [program, *before, *([script] if isinstance(script, str) else script), source], env
    return command


def _hand(job, source, target):
    name, *more = HAND[job]
    return [os.path.join(BUILD, name), source, target, *more], None


def _library(name, threads):
    def command(job, source, target):
        return ["node", os.path.join(HERE, "peers.js"), name, job, str(threads), source, target], None
    return command


def _rkpipe(binary, threads, settings):
    def command(job, source, target):
        more = [word for s in settings for word in ("--set", s)]
        return [binary, "run", os.path.join(HERE, job + ".yaml"), "--var", "in=" + source, "--var", "out=" + target,
                "--set", "engine.threads=%d" % threads, *more], None
    return command


def _fluent_bit(binary, variant=""):
    def command(job, source, target):
        config = os.path.join(HERE, "fluent_bit_%s%s.conf" % (job, variant))
        if not os.path.exists(config):
            return None
        env = {"IN": source, "OUT_DIR": os.path.dirname(target), "OUT_FILE": os.path.basename(target)}
        return [binary, "-q", "-c", config], env
    return command


def fluent_bit(build=False):
    """The binary that FLUENT_BIT names, or the one built here; None where there is none. build: make it if need be."""
    named, own = os.environ.get("FLUENT_BIT"), os.path.join(BUILD, "fluent-bit")
    if named:
        return os.path.abspath(named)
    if build:  # it says itself why it fails; then there is no such peer
        subprocess.run([os.path.join(HERE, "fluent_bit.sh"), own], stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)
    binary = os.path.join(own, "fluent-bit")
    return binary if os.access(binary, os.X_OK) else None


# name -> how its answer differs in form; the content must be the same
#   header  the first line names the columns      sorted  in the order of the job (else the check sorts)
#   skip    columns of a job that mean something else there
FORM = {
    "mawk": {"header": {"j1": True}, "sorted": False},
    "gawk": {"header": {"j1": True}, "sorted": False},
    "polars-1": {"skip": {"j2": ["p95"]}},
    "polars-2": {"skip": {"j2": ["p95"]}},
}
NOTES = {
    "polars-1": {"j2": "its p95 is the nearest value, not the interpolated one: not compared"},
    "polars-2": {"j2": "its p95 is the nearest value, not the interpolated one: not compared"},
    "mawk": {"j2b": "its answer is not sorted", "j4": "its answer is not sorted"},
    "gawk": {"j2b": "its answer is not sorted", "j4": "its answer is not sorted"},
    "miller": {"j2": "uses all cores", "j1": "uses all cores", "j2b": "uses all cores", "j3": "uses all cores",
               "j4": "uses all cores"},
    "fluent-bit": {"j3": "ends at a tick of its second: its CPU seconds count"},
    "fluent-bit-raw": {"j3": "drops lines by their text, before it parses them; as above"},
}
OUTPUT_IS_STDOUT = {"mawk", "gawk", "miller", "jq"}


def contenders(rkpipe, settings):
    """All that can run here, in the order in which they take turns: name -> command function."""
    found = {}
    if os.access(rkpipe, os.X_OK):
        found["rkpipe"] = _rkpipe(rkpipe, 1, settings)
        found["rkpipe-2"] = _rkpipe(rkpipe, 2, settings)
    found["hand"] = _hand
    have_node = shutil.which("node")
    if have_node and os.path.isdir(os.path.join(HERE, "node_modules", "@duckdb", "node-api")):
        found["duckdb-1"] = _library("duckdb", 1)
        found["duckdb-2"] = _library("duckdb", 2)
    if have_node and os.path.isdir(os.path.join(HERE, "node_modules", "nodejs-polars")):
        found["polars-1"] = _library("polars", 1)
        found["polars-2"] = _library("polars", 2)
    if shutil.which("mawk"):
        found["mawk"] = _script("mawk", AWK, ("-v", "CONVFMT=%.0f", "-F,"))
    if shutil.which("gawk"):
        found["gawk"] = _script("gawk", AWK, ("-F,",), {"LC_ALL": "C"})
    if shutil.which("mlr"):
        found["miller"] = _script("mlr", MILLER)
    if shutil.which("jq"):
        found["jq"] = _script("jq", JQ, ("-c",))
    if fluent_bit():
        found["fluent-bit"] = _fluent_bit(fluent_bit())
        found["fluent-bit-raw"] = _fluent_bit(fluent_bit(), "_raw")
    return found


def floors():
    """The least that a reader of the input does."""
    return {
        "cat": lambda job, source, target: (["cat", source], None),
        "lines": lambda job, source, target: ([os.path.join(BUILD, "floor"), "lines", source], None),
    }


# The hop benchmark: four stages, 64-byte messages (hop.h). A program and its words; the number of messages comes last.
HOP = {"bare": ["hop_bare"], "caf": ["hop_caf"], "tbb-flow": ["hop_tbb", "flow"], "tbb-pipeline": ["hop_tbb", "pipeline"]}


def _first_line(argv):
    try:
        out = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20,
                             check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = out.stdout.decode(errors="replace").strip().splitlines()
    return lines[0] if lines else None


def versions(rkpipe):
    """What was compared with what."""
    found = {
        "rkpipe": _first_line([rkpipe, "version"]),
        "commit": _first_line(["git", "-C", ROOT, "describe", "--always", "--dirty"]),
        "gcc": _first_line(["gcc", "--version"]),
        "mawk": _first_line(["mawk", "-W", "version"]),
        "gawk": _first_line(["gawk", "--version"]),
        "miller": _first_line(["mlr", "--version"]),
        "jq": _first_line(["jq", "--version"]),
        "node": _first_line(["node", "--version"]),
        "zeromq": _first_line(["pkg-config", "--modversion", "libzmq"]),
        "libnats": _first_line(["pkg-config", "--modversion", "libnats"]),
        "nats-server": _first_line(["nats-server", "--version"]),
    }
    if fluent_bit():
        found["fluent-bit"] = _first_line([fluent_bit(), "--version"])
    for name, package in (("duckdb", "@duckdb/node-api"), ("polars", "nodejs-polars")):
        path = os.path.join(HERE, "node_modules", package, "package.json")
        if os.path.exists(path):
            with open(path, encoding="utf-8") as f:
                found[name] = json.load(f)["version"]
    return {k: v for k, v in found.items() if v}
