#!/usr/bin/python3
"""J1 to J4 of the benchmark against DuckDB, and against answers known from how the input was made.

    jobs.py RKPIPE GEN SOURCE_DIR [--size BYTES] [--only TEXT] [--seed N] [--keep DIR]

First the full generated files, then inputs that are meant to be hard: quotes, delimiters and ends of lines in fields, every
kind of line end, chunk borders everywhere, numbers of every shape, JSON as nobody would write it. Each runs with one and
with two threads, in chunks of several sizes. The rows of a hard input are made first and its text after them, so the right
answer is known without a second parser; DuckDB reads the text too wherever it can. Where it cannot, or where SPEC.md 14
wants something else, the case has `apart` with the reason, and only the known answer counts.

Exit code 77: skipped, DuckDB is not installed.
"""
import argparse
import csv
import itertools
import json
import math
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile

CSV_COLUMNS = ["tx_id", "ts", "account", "merchant", "country", "category", "amount", "currency", "status", "note"]
TEXTS = "tx_id: string?, ts: string?, account: string?, merchant: string?, country: string?, category: string?, " \
        "currency: string?, status: string?, note: string?"
# The types that DuckDB is told, in the order of the file: inference is not what these cases test.
TX_SCHEMA = "{ " + ", ".join("%s: %s" % (c, "f64?" if c == "amount" else "string?") for c in CSV_COLUMNS) + " }"
EVENT_SCHEMA = "{ ts_ms: i64?, key: string?, value: f64?, kind: string? }"
PATTERN = re.compile(r"status=(\d+) dur=([0-9.]+)ms user=(\w+)", re.ASCII)
SEED = 0  # --seed: other hard inputs
csv.field_size_limit(1 << 30)


class Wrong(Exception):
    pass


# ---- the right answers ----------------------------------------------------------------------------------------------

def number(text):
    """The f64 of a CSV field; None is null."""
    return None if text is None or text == "" else float(text)


def round2(y):
    scaled = y * 100
    if not math.isfinite(scaled):
        return y
    low = math.floor(abs(scaled))
    up = low + 1 if abs(scaled) - low >= 0.5 else low
    return math.copysign(up, scaled) / 100


def less(value):
    """The order of numbers: nan is above all of them."""
    return (1, 0.0) if math.isnan(value) else (0, value)


def quantile(values, q):
    values = sorted(values, key=less)
    at = (len(values) - 1) * q
    low, high = values[math.floor(at)], values[math.ceil(at)]
    part = at - math.floor(at)
    if low == high or part == 0:
        return low
    return low * (1 - part) + high * part


def total(values):
    try:
        return math.fsum(values)
    except (OverflowError, ValueError):  # infinities, nan
        return sum(values)


def answer_j1(rows):
    out = []
    for row in rows:
        r = dict(zip(CSV_COLUMNS, row))
        amount = number(r["amount"])
        if amount is None or r["status"] != "ok" or not amount > 500:
            continue
        out.append([r["tx_id"], r["ts"], r["account"], r["country"], amount, r["currency"], round2(amount * 0.029 + 0.30),
                    r["note"]])
    return out


def by_account(rows):
    groups = {}
    for row in rows:
        groups.setdefault(row[2] or None, []).append(number(row[6]))
    # nulls come last
    return sorted(groups.items(), key=lambda g: (g[0] is None, (g[0] or "").encode()))


def answer_j2(rows, p95=True):
    out = []
    for account, amounts in by_account(rows):
        known = [a for a in amounts if a is not None]
        s = total(known) if known else None
        line = [account, float(len(amounts)), s, s / len(known) if known else None]
        out.append(line + ([quantile(known, 0.95) if known else None] if p95 else []))
    return out


def answer_j3(objects):
    out = []
    for o in objects:
        if o.get("level") not in ("WARN", "ERROR"):
            continue
        m = PATTERN.search(o["msg"]) if o.get("msg") is not None else None
        out.append([o.get("ts"), o["level"], o.get("service"), float(m[1]) if m else None, float(m[2]) if m else None,
                    m[3] if m else None])
    return out


def answer_j4(rows):
    groups = {}
    for ts, key, value, _ in rows:
        minute = None if not ts else int(math.trunc(int(ts) / 60000)) * 60000 if abs(int(ts)) < 2**53 else None
        groups.setdefault((minute, key or None), []).append(number(value))
    out = []
    for (minute, key), values in sorted(groups.items(), key=lambda g: (g[0][0] is None, g[0][0] or 0, g[0][1] is None,
                                                                       (g[0][1] or "").encode())):
        known = [v for v in values if v is not None]
        out.append([minute if minute is None else float(minute), key, float(len(values)),
                    total(known) / len(known) if known else None, max(known, key=less) if known else None])
    return out


# ---- answers on paper -----------------------------------------------------------------------------------------------

NUMBERS = {"j1": {4, 6}, "j2": {1, 2, 3, 4}, "j2b": {1, 2, 3}, "j3": {3, 4}, "j4": {0, 2, 3, 4}}
HEADERS = {"j1": ["tx_id", "ts", "account", "country", "amount", "currency", "fee", "note"],
           "j2": ["account", "n", "s", "m", "p95"], "j2b": ["account", "n", "s", "m"],
           "j3": ["ts", "level", "service", "status", "dur_ms", "user"], "j4": ["w", "key", "n", "m", "mx"]}


def read_answer(job, path):
    """Rows of an answer file. An empty field is None: neither side can be told from null there, by SPEC.md 14."""
    if job == "j3":
        with open(path, encoding="utf-8", newline="\n") as f:
            for line in f:
                o = json.loads(line)
                if list(o) != HEADERS[job]:
                    raise Wrong("members are %s" % list(o))
                yield [float(v) if i in NUMBERS[job] and v is not None else v for i, v in enumerate(o.values())]
        return
    with open(path, encoding="utf-8", newline="") as f:
        lines = csv.reader(f)
        if next(lines) != HEADERS[job]:
            raise Wrong("the header is wrong")
        for line in lines:
            if len(line) != len(HEADERS[job]):
                raise Wrong("%d fields: %s" % (len(line), shown(line)))
            yield [None if v == "" else float(v) if i in NUMBERS[job] else v for i, v in enumerate(line)]


def shown(row):
    return str([v if not isinstance(v, str) or len(v) < 60 else v[:60] + "..." for v in row])


def close(a, b):  # within 1e-9, or some steps of the smallest numbers
    if isinstance(a, float) and isinstance(b, float):
        return a == b or (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-321)
    return a == b


def compare(name, got, want, csv_like):
    """Raises at the first row that differs; the number of rows. csv_like: an empty text and null are one."""
    missing = object()
    count = 0
    for g, w in itertools.zip_longest(got, want, fillvalue=missing):
        count += 1
        if g is missing or w is missing:
            raise Wrong("%s: row %d is %s: %s" % (name, count, "missing" if g is missing else "too many",
                                                  shown(w if g is missing else g)))
        if csv_like:
            w = [None if v == "" else v for v in w]
        if not all(close(a, b) for a, b in zip(g, w)):
            raise Wrong("%s: row %d is %s, not %s" % (name, count, shown(g), shown(w)))
    return count


# ---- texts that are hard --------------------------------------------------------------------------------------------

PLAIN = ["ok", "ref d1a38037", "A", "x y", "0", "-", "007", "null", "NULL", "NaN", "true", "'", "\\", "\\n", "#", ";", "\t", " ",
         " lead", "trail ", "€", "naïve", "日本語", "👩‍👩‍👧", "é", "\u00a0", "\ufeff", "\u2028", "ÿ" * 30]
HARD = ["a,b", ",", ",,", '"', '""', 'say "hi", she', "\n", "\r\n", "two\nlines", "two\r\nlines", '"\n"', "\n,\n", ',"', '",',
        "end\r\n", "\n\n\n", 'x""y', "a,\r\n\"b\"\r\n,c"]


def csv_field(r, value, quote):
    """Text of a field: quoted when it must be, or when `quote` says so."""
    if value is None:
        return '""' if quote == "all" else ""
    if quote == "all" or any(c in value for c in ',"\r\n') or (quote == "some" and r.random() < 0.3):
        return '"' + value.replace('"', '""') + '"'
    return value


def csv_text(r, header, rows, eol="\n", quote="min", last=True, bom=False):
    parts = ["\ufeff" if bom else ""]
    table = [header] + rows
    for i, row in enumerate(table):
        parts.append(",".join(csv_field(r, v, quote) for v in row))
        if i + 1 < len(table) or last:
            parts.append(r.choice(["\n", "\r\n"]) if eol == "mixed" else eol)
    return "".join(parts).encode()


def some_text(r, hard):
    k = r.random()
    if k < 0.15:
        return None
    if hard and k < 0.5:
        return r.choice(HARD) + (r.choice(PLAIN) if r.random() < 0.5 else "")
    if k < 0.7:
        return r.choice(PLAIN)
    return "t%d" % r.randrange(1000)


def tx_rows(r, n, hard=True, amount=None, account=None):
    amount = amount or (lambda: "%.2f" % (r.random() * 2000))
    account = account or (lambda: "A%05d" % r.randrange(20))
    return [["T%010d" % i, "2025-01-01T00:00:%02dZ" % (i % 60), account(), some_text(r, hard), r.choice(["DE", "GB", None]),
             some_text(r, hard), amount(), "EUR", r.choice(["ok", "ok", "failed", None]), some_text(r, hard)]
            for i in range(n)]


def tx_case(name, seed, n, jobs=("j1", "j2", "j2b"), **how):
    make = how.pop("rows", None)
    r = random.Random(seed + SEED)
    rows = make(r) if make else tx_rows(r, n, **{k: v(r) if callable(v) and k != "hard" else v
                                                 for k, v in how.pop("columns", {}).items()})
    text = {k: how.pop(k) for k in ("eol", "quote", "last", "bom") if k in how}
    data = csv_text(r, CSV_COLUMNS, rows, **text)
    for job in jobs:
        want = answer_j1(rows) if job == "j1" else answer_j2(rows, job == "j2")
        yield {"name": name, "job": job, "data": data, "want": want, "schema": ("tx", TX_SCHEMA), **how}


def pick(values):
    return lambda r: lambda: r.choice(values)


def f64_anywhere(r):
    def draw():
        while True:
            v = struct.unpack("<d", struct.pack("<Q", r.getrandbits(64)))[0]
            if math.isfinite(v):
                return repr(abs(v)) if r.random() < 0.5 else "%.17g" % abs(v)
    return draw


HUGE = ["1e308", "1.7976931348623157e308", "9" * 300, "1" + "0" * 308]
TINY = ["5e-324", "2.2250738585072014e-308", "4.9406564584124654e-324", "0." + "0" * 320 + "1", "1e-400", "0"]
SHAPES = ["1", "01", "001.50", "1.", "1e3", "1E3", "1e+3", "1E-3", "1000.0000000000000000000000001", "501", "500.00", "500.01",
          "0.1", "123456789012345678901234567890", "500.005", "510.345", "517.5862068965517", "1e0", "00", "0.0"]


def wide_case():
    """1,000 columns, those of J1 scattered among them."""
    r = random.Random(8 + SEED)
    rows = tx_rows(r, 300)
    header, places = [], {}
    for i in range(1000):
        c = CSV_COLUMNS[i // 100] if i % 100 == 37 else "c%d" % i
        places[c] = i
        header.append(c)
    table = []
    for row in rows:
        line = [some_text(r, i % 10 == 0) if i % 3 else str(i) for i in range(1000)]
        for c, v in zip(CSV_COLUMNS, row):
            line[places[c]] = v
        table.append(line)
    data = csv_text(r, header, table)
    why = "the columns that DuckDB is told are those of the benchmark's files"
    yield {"name": "1,000 columns", "job": "j1", "data": data, "want": answer_j1(rows), "apart": why}
    yield {"name": "1,000 columns", "job": "j2", "data": data, "want": answer_j2(rows), "apart": why}


def csv_cases():
    yield from tx_case("plain", 1, 2000, columns={"hard": False})
    yield from tx_case("quotes, delimiters and ends of lines in fields", 2, 2000)
    yield from tx_case("every field quoted", 3, 1000, quote="all")
    yield from tx_case("some fields quoted that need not be", 4, 1000, quote="some")
    yield from tx_case("CRLF", 5, 1000, eol="\r\n")
    yield from tx_case("CRLF, no end after the last row", 6, 1000, eol="\r\n", last=False)
    yield from tx_case("no end after the last row", 7, 1000, last=False)
    yield from tx_case("byte order mark", 9, 200, bom=True)
    yield from tx_case("byte order mark, everything quoted", 10, 200, bom=True, quote="all")
    yield from tx_case("LF and CRLF mixed", 11, 1000, eol="mixed",
                       apart="DuckDB takes one kind of line end for the file; here either ends a row")
    yield from tx_case("a header and nothing else", 12, 0)
    yield from tx_case("a header without its end", 13, 0, last=False)
    yield from tx_case("one row", 14, 1, columns={"amount": pick(["600.00"])})
    yield from tx_case("one row without its end", 15, 1, last=False, columns={"amount": pick(["600.00"])})
    yield from tx_case("accounts with leading zeros stay apart", 16, 1000,
                       columns={"account": pick(["1", "01", "001", "1.0", "1e0", "+1", None, " 1", "true", "True", "nan"])})
    yield from tx_case("accounts that are hard", 17, 3000, columns={"account": pick(PLAIN + HARD + [None])})
    yield from tx_case("accounts without end", 18, 5000, columns={"account": lambda r: lambda: "%x" % r.getrandbits(60)})
    yield from tx_case("amounts of every shape", 19, 2000, columns={"amount": pick(SHAPES)})
    yield from tx_case("huge amounts", 20, 300, jobs=("j1",), columns={"amount": pick(HUGE)})
    yield from tx_case("huge amounts, alone in their groups", 21, 300,
                       columns={"amount": pick(HUGE), "account": lambda r: lambda: "%x" % r.getrandbits(60)})
    yield from tx_case("tiny amounts", 22, 300, columns={"amount": pick(TINY)})
    yield from tx_case("amounts from all of f64", 23, 3000, columns={
        "amount": f64_anywhere, "account": lambda r: lambda: "%x" % r.getrandbits(60)})
    yield from tx_case("zeros of both signs", 24, 300, columns={"amount": pick(["-0.0", "0.0", "-0", "0", "600"])})
    yield from tx_case("negative amounts", 25, 500, columns={"amount": pick(["-1", "-1e3", "-501.5", "-0.01"])})
    yield from tx_case("no amounts at all", 26, 200, columns={"amount": pick([None])})
    yield from tx_case("amounts here and there", 27, 500, columns={"amount": pick([None, None, "700"])})
    yield from tx_case("infinities", 28, 500, columns={"amount": pick(["inf", "Infinity", "-inf", "INF", "600"]),
                                                       "account": lambda r: lambda: "A%d" % r.randrange(200)})
    yield from tx_case("nan", 31, 500, jobs=("j1",), columns={"amount": pick(["nan", "NaN", "600"])},
                       apart="nan > 500 is false, as in IEEE 754 and C; DuckDB orders nan above all numbers")
    yield from tx_case("nan in sums", 32, 500, jobs=("j2", "j2b"), columns={
        "amount": pick(["nan", "1", "2"]), "account": lambda r: lambda: "A%d" % r.randrange(200)})
    yield from tx_case("a field of 1 MiB", 29, 0, rows=lambda r: tx_rows(r, 20) + [
        ["L", None, "A", None, None, None, "900", "EUR", "ok", "y" * (1 << 20)]] + tx_rows(r, 20),
        more=", max_line_size = 16777216, buffer_size = 67108864")
    yield from tx_case("fields of 1 MiB that are all quotes and ends of lines", 30, 0, rows=lambda r: tx_rows(r, 20) + [
        ["L", None, "A", None, None, None, "900", "EUR", "ok", '"\n,' * (1 << 18)],
        ["M", None, "B", "\r\n" * (1 << 19), None, None, "900", "EUR", "ok", None]] + tx_rows(r, 20),
        more=", max_line_size = 16777216, buffer_size = 67108864")
    yield from wide_case()


# ---- events ---------------------------------------------------------------------------------------------------------

def event_case(name, seed, n, ts, key, value, **how):
    r = random.Random(seed + SEED)
    rows = [[ts(r), key(r), value(r), some_text(r, True)] for _ in range(n)]
    text = {k: how.pop(k) for k in ("eol", "quote", "last", "bom") if k in how}
    yield {"name": name, "job": "j4", "data": csv_text(r, ["ts_ms", "key", "value", "kind"], rows, **text),
           "want": answer_j4(rows), "schema": ("event", EVENT_SCHEMA), **how}


def event_cases():
    def near(r):
        return str(1735689600000 + r.randrange(600000))

    def keys(r):
        return "k%d" % r.randrange(50)

    def values(r):
        return repr(r.random() * 100)
    yield from event_case("events", 40, 3000, near, keys, values)
    yield from event_case("keys that are hard", 41, 3000, near, lambda r: r.choice(PLAIN + HARD + [None]), values, eol="\r\n")
    yield from event_case("times before 1970, and at the borders of minutes", 42, 2000,
                          lambda r: str(r.choice([-1, 1]) * (r.randrange(5) * 60000 + r.choice([0, 1, 59999]))), keys, values)
    yield from event_case("times and values that are not there", 43, 1000, lambda r: r.choice([near(r), None]), keys,
                          lambda r: r.choice([values(r), None]))
    yield from event_case("values with infinities and nan", 44, 1000, near, lambda r: "k%d" % r.randrange(200),
                          lambda r: r.choice(["inf", "-inf", "nan", "1", "-0.0", "0.0", "2"]))
    yield from event_case("negative values", 45, 1000, near, keys, lambda r: "-" + values(r), last=False)


# ---- JSON -----------------------------------------------------------------------------------------------------------

def json_string(r, s, odd):
    """Any way to write s that JSON allows."""
    out = ['"']
    for c in s:
        k = r.random()
        if c in '"\\':
            out.append("\\" + c)
        elif c in "\n\t\r\b\f" and k < 0.5:
            out.append({"\n": "\\n", "\t": "\\t", "\r": "\\r", "\b": "\\b", "\f": "\\f"}[c])
        elif ord(c) < 32 or (odd and k < 0.2):
            for unit in struct.unpack("<%dH" % (len(c.encode("utf-16-le")) // 2), c.encode("utf-16-le")):
                out.append(("\\u%04x" if r.random() < 0.5 else "\\u%04X") % unit)
        elif c == "/" and k < 0.5:
            out.append("\\/")
        else:
            out.append(c)
    return "".join(out) + '"'


JSON_NUMBERS = ["0", "-0", "-0.0", "1", "-1", "1.5", "1e5", "1E5", "1e+5", "1e-5", "0.1e1", "123456789012345678901234567890",
                "1e400", "-1e-400", "9223372036854775807", "9223372036854775808", "0.000000000000000000000000000001"]


def json_any(r, depth=0):
    k = r.randrange(9 if depth < 4 else 6)
    if k == 0:
        return r.choice(["true", "false", "null"])
    if k < 3:
        return r.choice(JSON_NUMBERS)
    if k < 6:
        return json_string(r, r.choice(PLAIN + HARD + ['{"level":"WARN"}', "level", '"level"', "]}", "\\", "\\\\"]), True)
    if k == 6:
        return "[" + blank(r) + ("," + blank(r)).join(json_any(r, depth + 1) for _ in range(r.randrange(4))) + blank(r) + "]"
    names = ["level", "msg", "ts", "x", "service", "", "a.b", "\u00e9"]
    return "{" + blank(r) + ",".join(json_string(r, r.choice(names) + str(i), True) + ":" + blank(r) + json_any(r, depth + 1)
                                     for i in range(r.randrange(4))) + blank(r) + "}"


def blank(r):
    return r.choice(["", "", "", " ", "  ", "\t", " \t "])


def log_record(r, i, odd):
    level = r.choice(["INFO", "WARN", "ERROR", "DEBUG", "warn", "WARN "])
    service = r.choice(["api", "bezahlung-ü", "日本", "a/b", 'q"q', "tab\there", "nl\nhere", "\\", "👍", ""])
    msg = "%s status=%d dur=%s user=%s%s" % (r.choice(["GET /x", "ü", "", '"', "status=x dur=1ms user=y", "\\ \n \u0001"]),
                                             r.choice([0, 200, 404, 2147483647]),
                                             r.choice(["1ms", "0.5ms", "12.25ms", "5.ms", ".5ms"]), r.choice(["u1", "_x", "Z9"]),
                                             r.choice(["", " tail", "ü", "-x"]))
    return {"ts": "2025-01-01T00:00:%02d.%03dZ" % (i % 60, i % 1000), "level": level, "service": service, "msg": msg}


def log_line(r, record, odd, more):
    """A record as text; `more` members around and before those that count."""
    members = [(k, json_string(r, v, odd)) for k, v in record.items() if v is not None]
    if odd:
        r.shuffle(members)
    for i in range(r.randrange(more + 1)):
        members.insert(r.randrange(len(members) + 1), ("m%d" % i, json_any(r)))
    b = blank if odd else lambda _: ""
    return b(r) + "{" + b(r) + ",".join("%s%s%s:%s%s%s" % (b(r), json_string(r, k, odd), b(r), b(r), v, b(r))
                                       for k, v in members) + "}" + b(r)


def json_case(name, seed, n, make, eol="\n", last=True, bom=False, **how):
    r = random.Random(seed + SEED)
    records, lines = [], []
    for i in range(n):
        record, line = make(r, i)
        lines.append(line)
        if record is not None:
            records.append(record)
    data = ("\ufeff" if bom else "") + eol.join(lines) + (eol if last and lines else "")
    yield {"name": name, "job": "j3", "data": data.encode(), "want": answer_j3(records), **how}


def json_cases():
    def record(odd, more=0):
        def make(r, i):
            o = log_record(r, i, odd)
            return o, log_line(r, o, odd, more)
        return make

    def twice(r, i):
        o = log_record(r, i, False)
        first = json_string(r, r.choice(["WARN", "x", "INFO"]), False)
        return o, '{"level":%s,"level":%s,' % (first, json.dumps(o["level"])) + log_line(
            r, {k: v for k, v in o.items() if k != "level"}, False, 0)[1:]

    def partly(r, i):
        o = log_record(r, i, False)
        for k in ("ts", "service", "msg"):
            if r.random() < 0.3:
                o[k] = None
        text = {k: v for k, v in o.items() if v is not None or r.random() < 0.5}
        return o, "{" + ",".join("%s:%s" % (json.dumps(k), "null" if v is None else json.dumps(v)) for k, v in text.items()) + "}"

    def long(r, i):
        o = log_record(r, i, False)
        if i % 10 == 3:
            o["service"] = "s" * (1 << 20)
        return o, log_line(r, o, False, 1)

    def blanks(r, i):
        if r.random() < 0.2:
            return None, r.choice(["", " ", "\t"])
        return record(True, 1)(r, i)
    yield from json_case("log lines", 60, 3000, record(False))
    yield from json_case("escapes, white space, any order", 61, 3000, record(True))
    yield from json_case("nested values before the keys, and keys in them", 62, 3000, record(True, 5))
    yield from json_case("CRLF", 63, 500, record(True, 2), eol="\r\n")
    yield from json_case("no end after the last line", 64, 500, record(True, 2), last=False)
    yield from json_case("blank lines", 65, 500, blanks)
    yield from json_case("strings of 1 MiB", 66, 60, long, more=", maximum_object_size = 33554432")
    yield from json_case("a key that comes twice: the last one counts", 67, 500, twice,
                         apart="DuckDB takes the first; the last one counts here, as in JavaScript, Python and jq")
    yield from json_case("members that are null or not there", 68, 500, partly,
                         apart="without a match DuckDB's struct holds empty texts, which are no numbers")
    yield from json_case("byte order mark", 69, 100, record(False), bom=True,
                         apart="DuckDB refuses the mark")
    yield from json_case("an empty file", 70, 0, record(False), last=False)


# ---- running --------------------------------------------------------------------------------------------------------

class Duck:
    def __init__(self, source):
        self.p = subprocess.Popen(["node", os.path.join(source, "tests/oracle/duckdb_jobs.js")], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if not self.p.stdout.readline():
            self.p.wait()
            print("skipped: %s" % (self.p.stderr.read().strip() or "node does not start"))
            sys.exit(77)

    def run(self, job, source, output, more):
        self.p.stdin.write(json.dumps({"job": job, "input": source, "output": output, "more": more}) + "\n")
        self.p.stdin.flush()
        answer = json.loads(self.p.stdout.readline())
        if "error" in answer:
            raise Wrong("DuckDB: " + answer["error"])


def rkpipe(args, case, source, output, threads, chunk):
    command = [args.rkpipe, "run", os.path.join(args.source, "tests/bench", case["job"] + ".yaml"), "--var", "in=" + source,
               "--var", "out=" + output, "--set", "engine.threads=%d" % threads, "--progress", "none", "--summary", "none"]
    if chunk:
        command += ["--set", "kernels.read.with.chunk_bytes=%d" % chunk]
    if "schema" in case:
        name, text = case["schema"]
        command += ["--set", "schemas.%s=%s" % (name, text), "--set", "kernels.read.with.schema=" + name]
    p = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace", timeout=300)
    if p.returncode != 0:
        raise Wrong("exit %d: %s" % (p.returncode, p.stderr.strip()[:500]))


def settings(case):
    """Threads and chunk sizes: one of each, and borders in every place where the input is not too long for it."""
    small = [4096, 65536] if case["job"] == "j3" else [1000, 4096] if len(case["data"]) > 2000000 else [16, 61, 1000]
    return [(1, 0), (2, 0)] + [(1 + i % 2, c) for i, c in enumerate(small)]


def check_hard(args, duck, case):
    source, output = os.path.join(args.work, "in"), os.path.join(args.work, "out")
    with open(source, "wb") as f:
        f.write(case["data"])
    first = None
    for threads, chunk in settings(case):
        what = "threads %d, chunks of %s" % (threads, chunk or "the usual size")
        rkpipe(args, case, source, output, threads, chunk)
        compare(what + ", and the known answer", read_answer(case["job"], output), case["want"], case["job"] != "j3")
        with open(output, "rb") as f:
            text = f.read()
        if case["job"] in ("j1", "j3"):  # no sums: not one byte depends on the chunks
            if first is not None and text != first:
                raise Wrong(what + ": other bytes than before")
            first = text
    if "apart" in case:
        return
    duck.run(case["job"], source, output + ".duckdb", case.get("more", ""))
    compare("the known answer, and DuckDB", case["want"], read_answer(case["job"], output + ".duckdb"), case["job"] != "j3")


def check_full(args, duck, job):
    kind = {"j3": "jsonl", "j4": "events"}.get(job, "csv")
    source, output = os.path.join(args.work, kind), os.path.join(args.work, "out")
    if not os.path.exists(source):
        with open(source, "wb") as f:
            subprocess.run([args.gen, kind, str(args.size)], stdout=f, check=True)
    duck.run(job, source, output + ".duckdb", "")
    first = None
    for threads in (1, 2):
        rkpipe(args, {"job": job}, source, output, threads, 0)
        n = compare("threads %d" % threads, read_answer(job, output), read_answer(job, output + ".duckdb"), job != "j3")
        if n < 100:
            raise Wrong("only %d rows" % n)
        with open(output, "rb") as f:
            text = f.read()
        if first is not None and text != first:
            raise Wrong("two threads give other bytes than one")
        first = text


def main():
    p = argparse.ArgumentParser()
    p.add_argument("rkpipe")
    p.add_argument("gen")
    p.add_argument("source")
    p.add_argument("--size", type=int, default=20000000)
    p.add_argument("--only", default="")
    p.add_argument("--seed", type=int, default=0, help="other hard inputs")
    p.add_argument("--keep", help="a folder for inputs and answers; the last ones stay there")
    args = p.parse_args()
    global SEED
    SEED = args.seed * 1000
    args.rkpipe, args.gen, args.source = (os.path.abspath(a) for a in (args.rkpipe, args.gen, args.source))
    if not shutil.which("node"):
        print("skipped: node is not installed")
        return 77
    args.work = args.keep or tempfile.mkdtemp(prefix="rkpipe-oracle-")
    os.makedirs(args.work, exist_ok=True)
    passed = failed = 0
    try:
        duck = Duck(args.source)
        todo = [("%s: the benchmark's file of %d bytes" % (job, args.size), lambda job=job: check_full(args, duck, job))
                for job in ("j1", "j2", "j2b", "j3", "j4")]
        for cases in (csv_cases, event_cases, json_cases):
            todo += [("%s: %s" % (c["job"], c["name"]), lambda c=c: check_hard(args, duck, c)) for c in cases()]
        for name, check in todo:
            if args.only not in name:
                continue
            try:
                check()
                passed += 1
            except (Wrong, OSError, ValueError, subprocess.SubprocessError) as e:
                failed += 1
                print("FAIL %s\n     %s" % (name, e))
                if args.keep:
                    break
    finally:
        if not args.keep:
            shutil.rmtree(args.work, ignore_errors=True)
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
