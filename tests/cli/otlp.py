#!/usr/bin/env python3
"""A collector for tests: takes OTLP/HTTP JSON, is strict about every member of it, and can be down, slow or wrong.

    otlp.py serve DIR PORT      serves until DIR/stop is there, or DIR is not; what it does with a request stands in DIR/how (see HOW)
    otlp.py metric DIR NAME [LABEL=VALUE..]     the newest value of that series (a histogram: its count and its sum)
    otlp.py metrics DIR FILE    every series of FILE, which is in the Prometheus text format, has the same value in the newest metrics
    otlp.py spans DIR           what is wrong with the traces: nothing, or a sentence each; then a line for each span
    otlp.py names DIR           names of metrics, sorted

DIR gets metrics.jsonl and traces.jsonl (what was taken, a request a line), requests.jsonl (path, status and fields of each request) and
bad (what is wrong with them).  Written from the OpenTelemetry protocol specification 1.x and the comments of opentelemetry-proto; nothing of
it is copied.
"""
import gzip
import json
import math
import os
import re
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# ---- what a request may hold ------------------------------------------------------------------------------------------


class Bad(Exception):
    pass


def need(ok, where, what):
    if not ok:
        raise Bad(f'{where}: {what}')


def text(v, at):
    need(isinstance(v, str), at, f'{v!r} is no text')


def flag(v, at):
    need(isinstance(v, bool), at, f'{v!r} is no bool')


def whole(bits, signed):
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)

    def check(v, at):  # 64 bits are strings, by protojson
        if bits == 64:
            need(isinstance(v, str) and re.fullmatch(r'-?(0|[1-9]\d*)', v), at, f'{v!r} is no string of a whole number')
        else:
            need(isinstance(v, int) and not isinstance(v, bool), at, f'{v!r} is no whole number')
        need(low <= int(v) <= high, at, f'{v!r} does not fit {bits} bits')

    return check


def double(v, at):
    need(v in ('NaN', 'Infinity', '-Infinity') if isinstance(v, str) else isinstance(v, (int, float)) and not isinstance(v, bool), at, f'{v!r} is no double')


def among(*values):
    def check(v, at):
        need(any(v is w or (type(v) is type(w) and v == w) for w in values), at, f'{v!r} is none of {values}')

    return check


def hexa(n):
    def check(v, at):
        need(isinstance(v, str) and re.fullmatch('[0-9a-f]{%d}' % (2 * n), v) and int(v, 16), at, f'{v!r} is no id of {n} bytes')

    return check


def each(of):
    def check(v, at):
        need(isinstance(v, list), at, 'no list')
        for i, one in enumerate(v):
            of(one, f'{at}[{i}]')

    return check


def message(must, may=None, also=None):
    members = {**must, **(may or {})}

    def check(v, at):
        need(isinstance(v, dict), at, 'no object')
        for key in must:
            need(key in v, at, f"has no '{key}'")
        for key, one in v.items():
            need(key in members, at, f"has '{key}', which it does not have")
            members[key](one, f'{at}.{key}')
        if also:
            also(v, at)

    return check


def one_of(**members):
    def check(v, at):
        need(isinstance(v, dict) and len(v) == 1 and set(v) <= set(members), at, f'{v!r} is not one of {sorted(members)}')
        for key, one in v.items():
            members[key](one, f'{at}.{key}')

    return check


def keys_once(v, at):
    keys = [a['key'] for a in v]
    need(len(keys) == len(set(keys)), at, f'an attribute is there twice: {keys}')
    need(all(keys), at, 'an attribute has no name')


ATTRIBUTES_OF = each(message({'key': text, 'value': one_of(stringValue=text, intValue=whole(64, True), doubleValue=double, boolValue=flag)}))


def attributes(v, at):
    ATTRIBUTES_OF(v, at)
    keys_once(v, at)


def times(v, at):
    need(10**18 < int(v['timeUnixNano']) < 2 * 10**18, at, f"{v['timeUnixNano']} is not of this time")
    if 'startTimeUnixNano' in v:
        need(0 < int(v['startTimeUnixNano']) <= int(v['timeUnixNano']), at, 'ends before it begins')


def number_point(v, at):
    need(('asInt' in v) != ('asDouble' in v), at, 'has not one value')
    times(v, at)


def sum_point(v, at):
    number_point(v, at)
    need('startTimeUnixNano' in v, at, 'a sum needs its start')
    need(float(v.get('asInt', v.get('asDouble'))) >= 0, at, 'a sum that grows is below 0')


def histogram_point(v, at):
    times(v, at)
    bounds, counts = v['explicitBounds'], [int(n) for n in v['bucketCounts']]
    need(len(counts) == len(bounds) + 1, at, f'{len(counts)} buckets and {len(bounds)} borders')
    need(all(a < b for a, b in zip(bounds, bounds[1:])), at, 'borders do not grow')
    need(sum(counts) == int(v['count']), at, f"buckets have {sum(counts)}, count is {v['count']}")
    need(int(v['count']) or v['sum'] == 0, at, 'nothing has a sum')


TIME = whole(64, False)
POINT = {'attributes': attributes, 'timeUnixNano': TIME}
VALUE = {'asInt': whole(64, True), 'asDouble': double, 'startTimeUnixNano': TIME}
CUMULATIVE = {'aggregationTemporality': among(2)}
METRIC = message(
    {'name': text, 'description': text, 'unit': text},
    {
        'sum': message({'dataPoints': each(message(POINT, VALUE, sum_point)), 'isMonotonic': among(True), **CUMULATIVE}),
        'gauge': message({'dataPoints': each(message(POINT, VALUE, number_point))}),
        'histogram': message({
            'dataPoints': each(message({**POINT, 'startTimeUnixNano': TIME, 'count': TIME, 'sum': double, 'bucketCounts': each(TIME), 'explicitBounds': each(double)}, {}, histogram_point)),
            **CUMULATIVE,
        }),
    },
)


def metric(v, at):
    METRIC(v, at)
    need(len(set(v) & {'sum', 'gauge', 'histogram'}) == 1, at, 'is not of one kind')
    need(re.fullmatch(r'[A-Za-z][A-Za-z0-9_./-]{0,254}', v['name']), at, f"'{v['name']}' cannot be its name")
    seen = set()
    for p in points(v):
        need(key_of(p) not in seen, at, f'{key_of(p)} is there twice')
        seen.add(key_of(p))
    need(seen, at, 'has no point')


def metrics_once(v, at):
    names = [m['name'] for m in v['metrics']]
    need(len(names) == len(set(names)), at, 'a metric is there twice')


def span(v, at):
    SPAN(v, at)
    need(int(v['startTimeUnixNano']) <= int(v['endTimeUnixNano']), at, 'ends before it begins')
    need(int(v['startTimeUnixNano']) > 10**18, at, 'is not of this time')
    need(v['name'], at, 'has no name')


SPAN = message(
    {'traceId': hexa(16), 'spanId': hexa(8), 'name': text, 'kind': among(1, 2, 3, 4, 5), 'startTimeUnixNano': TIME, 'endTimeUnixNano': TIME},
    {'parentSpanId': hexa(8), 'flags': whole(32, False), 'attributes': attributes, 'status': message({}, {'code': among(0, 1, 2), 'message': text}), 'traceState': text},
)


def resource(v, at):
    message({'attributes': attributes})(v, at)
    has = {a['key'] for a in v['attributes']}
    need({'service.name', 'service.instance.id', 'host.name'} <= has, at, f'only has {sorted(has)}')


SCOPE = message({'name': text}, {'version': text})
REQUESTS = {
    '/v1/metrics': message({'resourceMetrics': each(message({'resource': resource, 'scopeMetrics': each(message({'scope': SCOPE, 'metrics': each(metric)}, {}, metrics_once))}))}),
    '/v1/traces': message({'resourceSpans': each(message({'resource': resource, 'scopeSpans': each(message({'scope': SCOPE, 'spans': each(span)}))}))}),
}

# ---- what is in it ----------------------------------------------------------------------------------------------------


def kind_of(m):
    return next(k for k in ('sum', 'gauge', 'histogram') if k in m)


def points(m):
    return m[kind_of(m)]['dataPoints']


def plain(attrs):
    return {a['key']: next(iter(a['value'].values())) for a in attrs}


def key_of(p):
    return tuple(sorted(plain(p['attributes']).items()))


def value_of(p):
    return float(p['asInt'] if 'asInt' in p else p['asDouble'])


def lines(path):
    """the whole ones: the collector may be writing the last"""
    try:
        with open(path) as f:
            return [json.loads(line) for line in f if line.endswith('\n')]
    except FileNotFoundError:
        return []


def metrics_in(request):
    return [m for r in request['resourceMetrics'] for s in r['scopeMetrics'] for m in s['metrics']]


def newest(folder):
    """name -> (kind, {labels: point})"""
    requests = lines(f'{folder}/metrics.jsonl')
    need(requests, folder, 'has no metrics')
    return {m['name']: (kind_of(m), {key_of(p): p for p in points(m)}) for m in metrics_in(requests[-1])}


def no_counter_goes_back(folder):
    """What is wrong with the requests one after the other."""
    last, start = {}, set()
    for request in lines(f'{folder}/metrics.jsonl'):
        for m in metrics_in(request):
            for p in points(m) if kind_of(m) == 'sum' else []:
                at = (m['name'], key_of(p))
                start.add(p['startTimeUnixNano'])
                if value_of(p) < last.get(at, 0):
                    yield f'{at} went from {last[at]} to {value_of(p)}'
                last[at] = value_of(p)
    if len(start) > 1:
        yield f'sums of one process begin at {len(start)} times'


def same_as_text(folder, path):
    """Every series of the text format is there, with its value."""
    have = newest(folder)
    for line in open(path):
        m = re.fullmatch(r'([a-z_]+)(?:\{(.*)\})? (\S+)\n', line)
        if line.startswith('#') or not m or m[1].startswith('process_') or m[1].startswith('rkpipe_otlp_'):
            continue
        labels = {k: v.replace('\\"', '"').replace('\\n', '\n').replace('\\\\', '\\') for k, v in re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', m[2] or '')}
        name, le, want = m[1], labels.pop('le', None), float(m[3])
        base = re.sub(r'_(bucket|sum|count)$', '', name)
        kind, series = have.get(name) or have.get(base) or (None, {})
        p = series.get(tuple(sorted(labels.items())))
        if p is None:
            yield f'{line.strip()}: it is not there'
            continue
        if kind != 'histogram':
            got = value_of(p)
        elif name.endswith('_count'):
            got = float(p['count'])
        elif name.endswith('_sum'):
            got = p['sum']
        else:
            n = len(p['explicitBounds']) if le == '+Inf' else p['explicitBounds'].index(float(le))
            got = sum(int(c) for c in p['bucketCounts'][: n + 1])
        if not math.isclose(got, want, rel_tol=1e-12, abs_tol=1e-12) and not re.search('age_seconds|drift|memory_|_lag_', name):
            yield f'{line.strip()}: it is {got}'


def spans_of(folder):
    return [s for q in lines(f'{folder}/traces.jsonl') for r in q['resourceSpans'] for sc in r['scopeSpans'] for s in sc['spans']]


def wrong_with_spans(spans):
    by_id = {}
    for s in spans:
        if s['spanId'] in by_id:
            yield f"span {s['spanId']} is there twice"
        by_id[s['spanId']] = s
    roots = {}
    for s in spans:
        p = by_id.get(s.get('parentSpanId'))
        if 'parentSpanId' not in s:
            if s['traceId'] in roots:
                yield f"trace {s['traceId']} has two roots"
            roots[s['traceId']] = s
        elif p is None:
            yield f"{s['name']} {s['spanId']}: its parent is nowhere"
        elif p['traceId'] != s['traceId']:
            yield f"{s['name']} {s['spanId']}: its parent is of another trace"
        elif int(s['startTimeUnixNano']) < int(p['startTimeUnixNano']):
            yield f"{s['name']} {s['spanId']} begins before its parent {p['name']}"
    for s in spans:
        if s['traceId'] not in roots:
            yield f"trace {s['traceId']} has no root"


def show_spans(spans):
    by_id = {s['spanId']: s for s in spans}
    for s in sorted(spans, key=lambda s: (s['traceId'], int(s['startTimeUnixNano']))):
        a, p = plain(s['attributes']), by_id.get(s.get('parentSpanId'))

        def name(s):
            part = plain(s['attributes']).get('rkpipe.part')
            return s['name'] + (f'/{part}' if part else '')

        inside = p is not None and int(s['endTimeUnixNano']) <= int(p['endTimeUnixNano'])
        print(f"{s['traceId']} {name(s)} < {name(p) if p else '-'} in={a.get('rkpipe.rows_in', '-')} out={a.get('rkpipe.rows_out', '-')} replica={a['rkpipe.replica']} {a['rkpipe.operator']}{' inside' if inside else ''}{' failed' if s.get('status', {}).get('code') == 2 else ''}")


# ---- the collector ----------------------------------------------------------------------------------------------------

# What DIR/how may say: "ok" (no file says the same), a status as in "503", "503 2" (and Retry-After: 2), "hang" (no answer until DIR/how is
# another), "close" (the connection), "garbage" (200 and something that is no JSON), "partial" (takes all but one),
# "echo" (400, and says what it was sent).  A second word `metrics` or `traces` after a "/" is for that path alone: "503/traces".


class Collector(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    folder = '.'
    lock = threading.Lock()

    def log_message(self, *args):
        pass

    def how(self):
        try:
            with open(f'{self.folder}/how') as f:
                said = f.read().strip() or 'ok'
        except FileNotFoundError:
            return 'ok'
        what, _, only = said.partition('/')
        return what if not only or self.path.endswith(only) else 'ok'

    def note(self, name, line):
        with Collector.lock, open(f'{self.folder}/{name}', 'a') as f:
            f.write(line + '\n')

    def answer(self, status, body=b'{}', fields=()):
        self.note('requests.jsonl', json.dumps({'path': self.path, 'status': status, 'at': time.time(), **{k.lower(): v for k, v in self.headers.items()}}))
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        for k, v in fields:
            self.send_header(k, v)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def take(self, body):
        try:
            if self.headers.get('Content-Encoding') == 'gzip':
                body = gzip.decompress(body)
            need(self.headers.get('Content-Type') == 'application/json', self.path, 'is no JSON')
            need(self.path in REQUESTS, self.path, 'is no path of a collector')
            request = json.loads(body.decode('utf-8'), parse_constant=lambda v: need(False, self.path, f'{v} is no JSON'))
            REQUESTS[self.path](request, self.path)
            self.note(self.path.rsplit('/', 1)[1] + '.jsonl', json.dumps(request))
        except (Bad, ValueError, OSError) as e:
            self.note('bad', str(e))

    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        how = self.how()
        while how == 'hang':
            time.sleep(0.02)
            how = 'close' if self.how() != 'hang' or os.path.exists(f'{self.folder}/stop') else 'hang'
        words = how.split()
        if how == 'close':
            self.close_connection = True
        elif how == 'echo':
            self.answer(400, json.dumps({'code': 3, 'message': str(self.headers)}).encode())
        elif words[0].isdigit():
            self.answer(int(words[0]), b'{"code": 14}', [('Retry-After', words[1])] if len(words) > 1 else [])
        else:
            self.take(body)
            rejected = 'rejectedSpans' if self.path.endswith('traces') else 'rejectedDataPoints'
            said = {'garbage': b'\xff<html>\x00', 'partial': json.dumps({'partialSuccess': {rejected: '1', 'errorMessage': 'one\nis too many'}}).encode()}
            self.answer(200, said.get(how, b'{"partialSuccess":{}}'))


def serve(folder, port):
    Collector.folder = folder
    ThreadingHTTPServer.allow_reuse_address = True
    server = ThreadingHTTPServer(('127.0.0.1', int(port)), Collector)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.05}, daemon=True).start()
    with open(f'{folder}/port.tmp', 'w') as f:
        f.write(f'{server.server_address[1]}\n')
    os.rename(f'{folder}/port.tmp', f'{folder}/port')
    while os.path.isdir(folder) and not os.path.exists(f'{folder}/stop'):
        time.sleep(0.05)
    server.shutdown()


def main(verb, folder, *args):
    if verb == 'serve':
        serve(folder, *args)
        return 0
    if verb == 'metric':
        kind, series = newest(folder).get(args[0], (None, {}))
        p = series.get(tuple(sorted(tuple(a.split('=', 1)) for a in args[1:])))
        print('-' if p is None else f"{p['count']} {p['sum']}" if kind == 'histogram' else f'{value_of(p):.15g}')
        return p is None
    if verb == 'names':
        print('\n'.join(sorted(newest(folder))))
        return 0
    if verb == 'metrics':
        wrong = [*same_as_text(folder, *args), *no_counter_goes_back(folder)]
    else:
        spans = spans_of(folder)
        wrong = list(wrong_with_spans(spans))
        show_spans(spans)
    for w in wrong:
        print(f'wrong: {w}')
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
