// What rkpipe sends to a collector, read by the protobuf definitions of OpenTelemetry's own JavaScript: each request becomes a message, is
// encoded, decoded again, and must say the same.  A member that the definitions do not know, or that is of another type, is lost or changed on the way.
// usage: node agree.js metrics.jsonl traces.jsonl
'use strict';
const fs = require('fs');

let root;
try {
    root = require('@opentelemetry/otlp-transformer/build/src/generated/root.js').opentelemetry.proto.collector;
} catch (e) {
    if (e.code !== 'MODULE_NOT_FOUND')
        throw e;
    console.log('skipped: @opentelemetry/otlp-transformer is not installed; tests/oracle/setup.sh does');
    process.exit(77);
}
const types = [root.metrics.v1.ExportMetricsServiceRequest, root.trace.v1.ExportTraceServiceRequest];
const ids = new Set(['traceId', 'spanId', 'parentSpanId']);

// OTLP/JSON has ids as hexadecimal digits, protojson has bytes in base64.
const to64 = (key, v) => (ids.has(key) ? Buffer.from(v, 'hex').toString('base64') : v);

// An empty list is no list, and an empty object says nothing.
function tidy(v) {
    if (Array.isArray(v))
        return v.map(tidy);
    if (v === null || typeof v !== 'object')
        return v;
    const to = {};
    for (const key of Object.keys(v).sort()) {
        const one = tidy(v[key]);
        if (typeof one !== 'object' || Object.keys(one).length)
            to[key] = one;
    }
    return to;
}

let requests = 0, wrong = 0;
process.argv.slice(2).forEach((file, i) => {
    for (const line of fs.readFileSync(file, 'utf8').split('\n').filter((l) => l)) {
        const sent = JSON.parse(line, to64);
        const message = types[i].fromObject(sent);
        const problem = types[i].verify(message);
        const bytes = types[i].encode(message).finish();
        const got = types[i].toObject(types[i].decode(bytes), { longs: String, bytes: String, json: true });
        requests++;
        if (problem || JSON.stringify(tidy(sent)) !== JSON.stringify(tidy(got))) {
            wrong++;
            console.log(`${file}: ${problem || 'something was lost'}`);
            console.log(`  sent ${JSON.stringify(tidy(sent)).slice(0, 600)}\n  got  ${JSON.stringify(tidy(got)).slice(0, 600)}`);
        }
    }
});
console.log(`${requests} requests, ${wrong} differ`);
process.exit(wrong || !requests ? 1 : 0);
