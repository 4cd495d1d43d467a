// telemetry.c - the rows of `telemetry`: where metrics are served.
#include "spec/load.h"

#include <arpa/inet.h>
#include <rkpipe/num.h>

// ADDRESS:PORT of this machine alone; localhost is 127.0.0.1, and IPv6 stands in brackets.
typedef struct loopback_at {
    rkp_word text, address;
    uint16_t port;
} loopback_at;

static bool split_port(rkp_str s, rkp_str *host, uint64_t *port)
{
    size_t n = s.n;
    while (n && s.p[n - 1] >= '0' && s.p[n - 1] <= '9')
        n--;
    if (n == s.n || n < 2 || s.p[n - 1] != ':' || !rkp_parse_u64(s.p + n, s.n - n, port) || *port > 65535)
        return false;
    *host = (rkp_str){ s.p, n - 1 };
    if (host->p[0] == '[' && host->p[host->n - 1] == ']' && host->n > 2)
        *host = (rkp_str){ host->p + 1, host->n - 2 };
    else if (memchr(host->p, ':', host->n) || memchr(host->p, '[', host->n))
        return false;
    return !memchr(host->p, '/', host->n);
}

static bool is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static rkp_status parse_loopback(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, void *field)
{
    static const char want[] = "an address and a port, as in 127.0.0.1:9464";
    loopback_at *to = field;
    rkp_str host;
    uint64_t port;

    if (!rki_opt_scalar(c, row, n, want))
        return RKP_INVALID;
    if (!split_port(n->text, &host, &port))
        return rki_opt_refuse(c, row, n, want, NULL);
    if (rkp_str_is(host, "localhost"))
        host = RKP_STR("127.0.0.1");
    host = rki_dup_str(c->arena, host);
    if (!host.p)
        return RKP_NOMEM;
    if (!is_loopback(host.p)) {
        if (!n->bad) {
            rkp_diag(c->diags, RKP_ERROR, n->at, "not-supported",
                     "'%s: %s' is not an address of this machine alone, and others are not supported yet", row->name,
                     n->text.p);
            rkp_diag_hint(c->diags, "127.0.0.1:%llu is; ssh -L or a proxy with a password takes it further",
                          (unsigned long long)port);
        }
        return RKP_INVALID;
    }
    to->text = rki_node_word(n);
    to->address = (rkp_word){ host.p, host.n, n->at };
    to->port = (uint16_t)port;
    return RKP_OK;
}

static void print_loopback(const rkp_opt *row, const void *field, struct rki_json *out)
{
    const loopback_at *at = field;
    (void)row;
    if (at->text.p)
        rki_json_str(out, rkp_word_str(at->text));
    else
        rki_json_null(out);
}

static void schema_loopback(const rkp_opt *row, struct rki_json *out)
{
    (void)row;
    rki_schema_or_var(out,
                      "{\"type\":\"string\",\"pattern\":\"^(localhost|127(\\\\.[0-9]+){3}|\\\\[::1\\\\]):[0-9]+$\"}");
}

static const rkp_opt_type loopback_type = { "address:port", sizeof(loopback_at), parse_loopback, print_loopback,
                                            schema_loopback };

// Of a URL: it begins with / and is what a client sends, so there is nothing in it that would have to be escaped.
static rkp_status parse_url_path(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, void *field)
{
    static const char want[] = "a path such as /metrics";
    rkp_str s = n->text;
    if (!rki_opt_scalar(c, row, n, want))
        return RKP_INVALID;
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || ((s.p[i] | 0x20) >= 'a' && (s.p[i] | 0x20) <= 'z') ||
              memchr("/-_.~", s.p[i], 5)))
            return rki_opt_refuse(c, row, n, want, "letters, digits, and / - _ . ~");
    if (s.n == 0 || s.p[0] != '/' || s.n > 200)
        return rki_opt_refuse(c, row, n, want, NULL);
    *(rkp_word *)field = rki_node_word(n);
    return RKP_OK;
}

static void print_url_path(const rkp_opt *row, const void *field, struct rki_json *out)
{
    const rkp_word *w = field;
    (void)row;
    rki_json_str(out, rkp_word_str(*w));
}

static void schema_url_path(const rkp_opt *row, struct rki_json *out)
{
    (void)row;
    rki_schema_or_var(out, "{\"type\":\"string\",\"pattern\":\"^/[A-Za-z0-9/_.~-]*$\"}");
}

static const rkp_opt_type url_path_type = { "path of a URL", sizeof(rkp_word), parse_url_path, print_url_path,
                                            schema_url_path };

#define PM(f) (offsetof(rki_telemetry_conf, prometheus.f) - offsetof(rki_telemetry_conf, prometheus))
_Static_assert(PM(listen) == offsetof(loopback_at, text) && PM(address) == offsetof(loopback_at, address) &&
                   PM(port) == offsetof(loopback_at, port),
               "one is parsed as the other");
static const rkp_opt prometheus_rows[] = {
    { "listen", &loopback_type, PM(listen), .optional = true,
      .help = "where Prometheus scrapes metrics: 127.0.0.1:9464; port 0 is any that is free",
      .also = "address bind port" },
    { "path", &url_path_type, PM(path), .def = "/metrics", .help = "the only path that is served there",
      .also = "metrics_path endpoint" },
    { 0 },
};

const rkp_opt rki_telemetry_rows[] = {
    { "interval", &rkp_duration, offsetof(rki_telemetry_conf, interval_ns), .def = "1s", .bounded = true, .min = 1e7,
      .max = 3600e9, .help = "how often alerts look at the metrics" },
    { "prometheus", &rkp_object, offsetof(rki_telemetry_conf, prometheus), .def = "{}",
      .help = "metrics over HTTP on an address of this machine", .sub = prometheus_rows,
      .sub_size = sizeof(((rki_telemetry_conf *)0)->prometheus) },
    { "logs", &rki_any, 0, .optional = true, .help = "level, format and file of the log", .not_yet = "" },
    { 0 },
};
