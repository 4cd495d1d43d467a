"""Are two answers of a job the same? Text is compared as text, numbers within 1e-9 relative.

Rows are compared in order; the answers of a contender that does not sort are sorted here first, by the key of the job.
"""
import csv
import itertools
import json
import math

# columns in order, each text (str) or number (float); key: the number of leading columns that identify a row
JOBS = {
    "j1": {"columns": ["tx_id", "ts", "account", "country", "amount", "currency", "fee", "note"],
           "numbers": {"amount", "fee"}, "key": 0},
    "j2": {"columns": ["account", "n", "s", "m", "p95"], "numbers": {"n", "s", "m", "p95"}, "key": 1},
    "j2b": {"columns": ["account", "n", "s", "m"], "numbers": {"n", "s", "m"}, "key": 1},
    "j3": {"columns": ["ts", "level", "service", "status", "dur_ms", "user"], "numbers": {"status", "dur_ms"}, "key": 0},
    "j4": {"columns": ["w", "key", "n", "m", "mx"], "numbers": {"w", "n", "m", "mx"}, "key": 2},
}


class Differ(Exception):
    """The answers are not the same, or one is not an answer; the text says where."""


def _convert(job, where, values):
    if len(values) != len(job["columns"]):
        raise Differ("%s has %d columns, not %d: %s" % (where, len(values), len(job["columns"]), values))
    try:
        return tuple(float(v) if c in job["numbers"] else v for c, v in zip(job["columns"], values))
    except (TypeError, ValueError):
        raise Differ("%s: not a number where one is due: %s" % (where, values)) from None


def _csv_rows(job, path, header):
    with open(path, encoding="utf-8", newline="") as f:
        for i, values in enumerate(csv.reader(f)):
            if i > 0 or not header:
                yield _convert(job, "row %d" % (i + 1), values)


def _json_rows(job, path):
    with open(path, encoding="utf-8") as f:
        for i, line in enumerate(f):
            record = json.loads(line)
            if set(record) != set(job["columns"]):
                raise Differ("row %d has other members: %s" % (i + 1, line.strip()))
            yield _convert(job, "row %d" % (i + 1), [record[c] for c in job["columns"]])


def rows(name, path, form):
    """The rows of an answer, lazily; `form` says how it is written (contenders.FORM)."""
    job = JOBS[name]
    if name == "j3":
        found = _json_rows(job, path)
    else:
        found = _csv_rows(job, path, form.get("header", {}).get(name, "header" not in form))
    if job["key"] and not form.get("sorted", True):
        found = iter(sorted(found, key=lambda row: row[:job["key"]]))
    return found


def compare(name, path, form, reference, reference_form):
    """Raises Differ at the first difference; returns the number of rows."""
    job = JOBS[name]
    skip = set(form.get("skip", {}).get(name, ())) | set(reference_form.get("skip", {}).get(name, ()))
    count = 0
    for got, want in itertools.zip_longest(rows(name, path, form), rows(name, reference, reference_form)):
        count += 1
        if got is None or want is None:
            raise Differ("row %d is in one of the answers only: %s" % (count, got or want))
        if got == want:
            continue
        for column, g, w in zip(job["columns"], got, want):
            same = g == w if isinstance(g, str) else math.isclose(g, w, rel_tol=1e-9, abs_tol=0.0)
            if not same and column not in skip:
                raise Differ("row %d, %s: %r, not %r" % (count, column, g, w))
    return count
