// gen: the input tables of the benchmark, the same bytes for the same size, on every machine.
//
//   gen csv|jsonl|events BYTES     whole records to standard output until at least BYTES are written
//
//   csv     card payments: tx_id, ts, account, merchant, country, category, amount, currency, status, note. 10,000
//           accounts, half of the rows on 500 of them; 4 % of the rows have a quoted note with commas or "" in it
//   jsonl   request logs of a service: ts, level, service, host, trace_id, msg, ctx {..}, tags [..]
//   events  readings: ts_ms, key, value, kind. 1,000 keys; one row in ten is late by up to two seconds
//
// Every column is one or more draws of one generator (xorshift64*). The order of the draws is part of the format: later
// columns are drawn first, so that published figures on these tables stay comparable.
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 1 << 20, RECORD_MAX = 1024 };

struct out {
    char *p;          // next free byte
    uint64_t written; // bytes handed to the system
    char buf[BUFFER + RECORD_MAX];
};
static struct out o;

static void flush(void)
{
    for (char *from = o.buf; from < o.p;) {
        ssize_t n = write(STDOUT_FILENO, from, (size_t)(o.p - from));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            fprintf(stderr, "gen: cannot write: %s\n", strerror(errno));
            exit(1);
        }
        from += n;
    }
    o.written += (uint64_t)(o.p - o.buf);
    o.p = o.buf;
}

static void text(const char *s)
{
    size_t n = strlen(s);
    memcpy(o.p, s, n);
    o.p += n;
}

static void num(uint64_t v, int digits) // at least `digits`, with leading zeros
{
    char d[20];
    int n = 0;
    do {
        d[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    for (int pad = digits - n; pad > 0; pad--)
        *o.p++ = '0';
    while (n)
        *o.p++ = d[--n];
}

static void hex(uint64_t v, int digits)
{
    for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4)
        *o.p++ = "0123456789abcdef"[(v >> shift) & 15];
}

static uint64_t state = 0x9E3779B97F4A7C15u;
static uint64_t draw(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * 0x2545F4914F6CDD1Du;
}
static uint32_t below(uint32_t n)
{
    return (uint32_t)(((draw() >> 32) * n) >> 32);
}
#define ONE_OF(names) names[below(sizeof names / sizeof *names)]

static void iso(uint64_t ms)
{
    static uint64_t second = UINT64_MAX;
    static char upto[64];
    if (ms / 1000 != second) {
        time_t t = (time_t)(second = ms / 1000);
        struct tm g;
        gmtime_r(&t, &g);
        strftime(upto, sizeof upto, "%Y-%m-%dT%H:%M:%S.", &g);
    }
    text(upto);
    num(ms % 1000, 3);
    text("Z");
}

static const char *const merchants[] = { "Acme Stores",      "Blue Fin Sushi", "City Transit",    "Delta Fuel",
                                         "Evergreen Market", "Foxglove Books", "Grand Cinema",    "Harbor Coffee",
                                         "Ion Electric",     "Juniper Hotels", "Kite Airlines",   "Lumen Telecom",
                                         "Moss & Co",        "Northwind",      "Orchid Pharmacy", "Pioneer Hardware" };
static const char *const countries[] = { "US", "DE", "FR", "GB", "JP", "BR", "IN", "CA", "AU", "NL", "SE", "PL" };
static const char *const categories[] = { "groceries", "travel",      "fuel",   "dining",
                                          "utilities", "electronics", "health", "leisure" };
static const char *const currencies[] = { "USD", "EUR", "GBP", "JPY" };
static const char *const statuses[] = { "ok", "ok", "ok", "ok", "ok", "ok", "ok", "declined", "pending", "refunded" };

static void payment(uint64_t row, uint64_t *ms)
{
    uint32_t group, account, size, kind, x = 0, y = 0;
    uint64_t cents;

    *ms += below(40);
    group = below(100);
    account = group < 50 ? below(500) : group < 80 ? 500 + below(2500) : 3000 + below(7000);
    size = below(100);
    cents = size < 70 ? 100 + below(9900) : size < 95 ? 10000 + below(90000) : 100000 + below(900000);
    kind = below(100);
    if (kind >= 60 && kind < 96) {
        x = (uint32_t)draw();
    } else if (kind >= 96 && kind < 99) {
        y = below(50);
        x = below(100000);
    } else if (kind >= 99) {
        x = below(100000);
    }
    const char *status = ONE_OF(statuses), *currency = ONE_OF(currencies);
    const char *category = ONE_OF(categories), *country = ONE_OF(countries), *merchant = ONE_OF(merchants);

    text("T"), num(row, 10), text(","), iso(*ms), text(",A"), num(account, 5), text(","), text(merchant);
    text(","), text(country), text(","), text(category), text(","), num(cents / 100, 1), text("."), num(cents % 100, 2);
    text(","), text(currency), text(","), text(status), text(",");
    if (kind >= 99)
        text("\"said \"\"ok\"\", id "), num(x, 1), text("\"");
    else if (kind >= 96)
        text("\"order "), num(x, 1), text(", item "), num(y, 1), text("\"");
    else if (kind >= 60)
        text("ref "), hex(x, 8);
    text("\n");
}

static const char *const levels[] = {
    "DEBUG", "INFO", "INFO", "INFO", "INFO", "INFO", "INFO", "WARN", "ERROR", "DEBUG"
};
static const char *const services[] = {
    "gateway", "billing", "search", "auth", "catalog", "worker", "mailer", "ledger"
};
static const char *const methods[] = { "GET", "GET", "GET", "POST", "PUT", "DELETE" };
static const char *const paths[] = { "/api/v1/items",  "/api/v1/users", "/api/v1/orders",        "/healthz",
                                     "/api/v2/search", "/login",        "/api/v1/cart/checkout", "/static/app.js" };
static const int codes[] = { 200, 200, 200, 200, 201, 204, 301, 304, 400, 401, 404, 429, 500, 502, 503 };
static const char *const regions[] = { "eu-west-1", "us-east-1", "us-west-2", "ap-south-1" };

static void request(uint64_t row, uint64_t *ms)
{
    (void)row;
    *ms += below(20);
    uint32_t us = below(100) < 90 ? 200 + below(40000) : 40000 + below(3000000);
    uint32_t retried = below(50) == 0;
    uint32_t tag = below(9), retries = below(4), pod = below(65536);
    const char *pod_of = ONE_OF(services), *region = ONE_OF(regions);
    uint32_t bytes = below(200000), user = below(50000);
    int code = ONE_OF(codes);
    uint32_t item = below(100000);
    const char *path = ONE_OF(paths), *method = ONE_OF(methods);
    uint64_t trace_low = draw(), trace_high = draw();
    uint32_t node = below(40);
    const char *service = ONE_OF(services), *level = ONE_OF(levels);

    text("{\"ts\":\""), iso(*ms), text("\",\"level\":\""), text(level), text("\",\"service\":\""), text(service);
    text("\",\"host\":\"node-"), num(node, 2), text(".prod\",\"trace_id\":\""), hex(trace_high, 16), hex(trace_low, 16);
    text("\",\"msg\":\""), text(method), text(" "), text(path), text("/"), num(item, 1), text(" status=");
    num((uint64_t)code, 1), text(" dur="), num(us / 1000, 1), text("."), num(us % 1000 / 100, 1), text("ms user=u");
    num(user, 1), text(" bytes="), num(bytes, 1), text(retried ? " note=\\\"retry \\u00e9\\\"" : "");
    text("\",\"ctx\":{\"region\":\""), text(region), text("\",\"pod\":\""), text(pod_of), text("-"), hex(pod, 4);
    text("\",\"retries\":"), num(retries, 1), text("},\"tags\":[\"http\",\"v"), num(tag, 1), text("\"]}\n");
}

static void reading(uint64_t row, uint64_t *ms)
{
    (void)row;
    *ms += below(3);
    uint64_t at = *ms - (below(10) == 0 ? below(2000) : 0);
    const char *kind = below(5) ? "temp" : "hum";
    uint32_t thousandths = below(1000), whole = below(100), key = below(1000);
    num(at, 1), text(",dev-"), num(key, 4), text(","), num(whole, 1), text("."), num(thousandths, 3);
    text(","), text(kind), text("\n");
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name, *header;
        void (*record)(uint64_t row, uint64_t *ms);
    } tables[] = {
        { "csv", "tx_id,ts,account,merchant,country,category,amount,currency,status,note\n", payment },
        { "jsonl", "", request },
        { "events", "ts_ms,key,value,kind\n", reading },
    };
    uint64_t ms = 1735689600000u; // 2025-01-01T00:00:00Z
    char *end = argv[0];
    uint64_t bytes = argc == 3 ? strtoull(argv[2], &end, 10) : 0;

    for (size_t t = 0; argc == 3 && end != argv[2] && !*end && t < sizeof tables / sizeof *tables; t++) {
        if (strcmp(argv[1], tables[t].name) != 0)
            continue;
        o.p = o.buf;
        text(tables[t].header);
        for (uint64_t row = 0; o.written + (uint64_t)(o.p - o.buf) < bytes; row++) {
            tables[t].record(row, &ms);
            if (o.p - o.buf >= BUFFER)
                flush();
        }
        flush();
        return 0;
    }
    fprintf(stderr, "usage: gen csv|jsonl|events BYTES\n");
    return 64;
}
