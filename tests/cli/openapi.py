"""Asks a running engine with curl for everything in schemas/openapi.yaml and checks each answer by the schema there.

usage: openapi.py OPENAPI_YAML SEEN BASE CURL_ARG.. -- CALLS
       openapi.py OPENAPI_YAML SEEN BASE CURL_ARG.. -- 401
       openapi.py OPENAPI_YAML SEEN
CALLS has a line for each call: STATUS METHOD PATH_TEMPLATE TARGET [CURL_ARG..], in the order in which they are made; 401 calls everything, and that
is what it wants. What was seen is added to the file SEEN; the last form checks the file itself, and that every status of every operation was
seen, or is one of those that a call cannot bring about.
"""

import csv
import json
import re
import shlex
import subprocess
import sys

import jsonschema
import yaml

# They need a machine without memory, a kernel that hangs, or a hundred clients: unit tests see to those.
ELSEWHERE = {("*", "504"), ("apply", "409"), ("rollback", "409")}


def fail(text):
    print("FAIL", text)
    fail.n += 1


fail.n = 0


def resolved(doc, node):
    while "$ref" in node:
        at = doc
        for part in node["$ref"].removeprefix("#/").split("/"):
            at = at[part]
        node = at
    return node


def check_value(doc, schema, value, what):
    schema = {"components": doc["components"], "allOf": [schema]}
    for e in sorted(jsonschema.Draft202012Validator(schema).iter_errors(value), key=lambda e: list(e.path)):
        fail(f"{what}: at {'/'.join(map(str, e.absolute_path)) or '.'}: {e.message[:300]}")


def check_body(doc, content, kind, body, what):
    if kind not in content:
        fail(f"{what}: the answer is {kind}, and the file has {', '.join(content)}")
        return
    schema = content[kind]["schema"]
    if kind == "application/json":
        check_value(doc, schema, json.loads(body), what)
    elif kind == "application/x-ndjson":
        lines = body.splitlines()
        if not lines:
            fail(f"{what}: no line")
        for line in lines:
            check_value(doc, schema, json.loads(line), what)
    elif kind == "text/csv":
        if len({len(row) for row in csv.reader(body.splitlines())}) != 1:
            fail(f"{what}: rows of different lengths")
    elif not body:
        fail(f"{what}: empty")


def check_params(doc, path, op, target, status, what):
    """What is asked for with success is as the file says."""
    params = {p["name"]: p for p in (resolved(doc, p) for p in path.get("parameters", []) + op.get("parameters", []))}
    query = target.partition("?")[2]
    for pair in filter(None, query.split("&")):
        name, _, value = pair.partition("=")
        if name not in params:
            fail(f"{what}: the file has no parameter {name}")
            continue
        schema = params[name]["schema"]
        if status < 400:
            check_value(doc, schema, int(value) if schema.get("type") == "integer" else value, f"{what}: {name}")
    for name, p in params.items():
        if p.get("required") and p["in"] == "query" and f"{name}=" not in query and status < 400:
            fail(f"{what}: {name} is required")


def ask(curl, method, target, args):
    run = subprocess.run(
        ["curl", "-sS", "--max-time", "60", *curl, "-X", method, *args, "-w", "\n%{http_code} %{content_type}", target],
        capture_output=True, check=False)
    if run.returncode not in (0, 23):
        fail(f"curl {method} {target}: {run.stderr.decode()}")
        return 0, "", ""
    body, _, last = run.stdout.decode().rpartition("\n")
    status, _, kind = last.partition(" ")
    return int(status), kind.partition(";")[0], body


def calls_of(doc, name):
    if name == "401":
        for template, path in doc["paths"].items():
            for method in path:
                if method != "parameters":
                    yield "401", method.upper(), template, template.replace("{id}", "div"), []
        return
    with open(name, encoding="utf-8") as f:
        for line in f:
            if line.strip() and not line.startswith("#"):
                want, method, template, target, *args = shlex.split(line)
                yield want, method, template, target, args


def make_calls(doc, base, curl, name, seen):
    calls = 0
    for want, method, template, target, args in calls_of(doc, name):
        what = f"{method} {target}"
        path = doc["paths"][template]
        op = path[method.lower()]
        check_params(doc, path, op, target, int(want), what)
        if not re.fullmatch(re.sub(r"\\{[a-z]+\\}", "[^/:]+", re.escape(template)), target.partition("?")[0]):
            fail(f"{what} is not {template}")
        status, kind, body = ask(curl, method, base + target, args)
        calls += 1
        if str(status) != want:
            fail(f"{what}: {status}, not {want}: {body[:300]}")
        elif want not in op["responses"]:
            fail(f"{what}: the file has no {want}")
        else:
            check_body(doc, resolved(doc, op["responses"][want])["content"], kind, body, what)
            seen.write(f"{op['operationId']} {want}\n")
    print(f"{calls} calls, {fail.n} failed")


def check_file(doc, seen):
    """Its schemas, names and references; and has everything been seen?"""
    for name, schema in doc["components"]["schemas"].items():
        try:
            jsonschema.Draft202012Validator.check_schema(schema)
        except jsonschema.SchemaError as e:
            fail(f"schema {name}: {e.message}")
    ops = [op for path in doc["paths"].values() for method, op in path.items() if method != "parameters"]
    if len(ops) != len({op["operationId"] for op in ops}):
        fail("an operationId stands twice")
    for ref in set(re.findall(r"'\$ref': '([^']*)'", str(doc))):
        resolved(doc, {"$ref": ref})
    for op in ops:
        for status in op["responses"]:
            name = op["operationId"]
            busy = resolved(doc, op["responses"][status]) is doc["components"]["responses"]["Busy"]
            if f"{name} {status}" not in seen and not busy and not {(name, status), ("*", status)} & ELSEWHERE:
                fail(f"{name}: no call has brought about {status}")


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        doc = yaml.safe_load(f)
    if len(sys.argv) == 3:
        with open(sys.argv[2], encoding="utf-8") as f:
            check_file(doc, set(f.read().splitlines()))
    else:
        split = sys.argv.index("--")
        with open(sys.argv[2], "a", encoding="utf-8") as seen:
            make_calls(doc, sys.argv[3], sys.argv[4:split], sys.argv[split + 1], seen)
    return fail.n != 0


sys.exit(main())
