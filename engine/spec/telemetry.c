// telemetry.c - the rows of `telemetry`: where metrics are served, who is told of them, and the log.
#include "spec/load.h"

#include <rkpipe/file.h>

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
_Static_assert(PM(listen) == offsetof(rki_loopback, text) && PM(address) == offsetof(rki_loopback, address) &&
                   PM(port) == offsetof(rki_loopback, port),
               "one is parsed as the other");
static const rkp_opt prometheus_rows[] = {
    { "listen", &rki_loopback_type, PM(listen), .optional = true,
      .help = "where Prometheus scrapes metrics: 127.0.0.1:9464; port 0 is any that is free",
      .also = "address bind port" },
    { "path", &url_path_type, PM(path), .def = "/metrics", .help = "the only path that is served there",
      .also = "metrics_path endpoint" },
    { 0 },
};

static const rkp_choice levels[] = {
    { "info", RKI_LOG_INFO, "everything" },
    { "warn", RKI_LOG_WARN, "what somebody should look at" },
    { "error", RKI_LOG_ERROR, "what went wrong" },
    { 0 },
};

static const rkp_choice formats[] = {
    { "text", RKI_LOG_TEXT, "a line for people" },
    { "json", RKI_LOG_JSON, "an object a line: time, level, kernel, message" },
    { 0 },
};

#define LG(f) offsetof(rki_logs_conf, f)
static const rkp_opt logs_rows[] = {
    { "level", &rkp_choice_type, LG(level), .def = "info", .choices = levels,
      .help = "the least that a line must matter; rows of write.log are always written",
      .also = "log_level severity verbosity" },
    { "format", &rkp_choice_type, LG(format), .def = "text", .choices = formats, .help = "what a line looks like",
      .also = "encoding log_format" },
    { "file", &rkp_path, LG(file), .optional = true, .no_secrets = true,
      .help = "where it goes; without it to standard error", .also = "path output" },
    { 0 },
};

// ---- OpenTelemetry --------------------------------------------------------------------------------------------------

static rkp_status parse_http_url(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, void *field)
{
    static const char want[] = "a URL such as http://127.0.0.1:4318";
    static const char *const begins[] = { "http://", "https://" };
    rkp_str s = n->text;
    bool ok = false;
    if (!rki_opt_scalar(c, row, n, want))
        return RKP_INVALID;
    for (size_t i = 0; i < 2; i++) {
        size_t k = strlen(begins[i]);
        ok = ok || (s.n > k && memcmp(s.p, begins[i], k) == 0 && s.p[k] != '/' && s.p[k] != ':');
    }
    for (size_t i = 0; i < s.n; i++) // a query would end up in the middle of the paths below it
        ok = ok && (unsigned char)s.p[i] > ' ' && s.p[i] != 0x7f && s.p[i] != '?' && s.p[i] != '#';
    if (!ok)
        return rki_opt_refuse(c, row, n, want, "http:// or https://, a host, perhaps a port and a path, and no blanks");
    *(rkp_word *)field = rki_node_word(n);
    return RKP_OK;
}

static void print_http_url(const rkp_opt *row, const void *field, struct rki_json *out)
{
    const rkp_word *w = field;
    (void)row;
    if (w->p)
        rki_json_str(out, rkp_word_str(*w));
    else
        rki_json_null(out);
}

static void schema_http_url(const rkp_opt *row, struct rki_json *out)
{
    (void)row;
    rki_schema_or_var(out, "{\"type\":\"string\",\"pattern\":\"^https?://[^/:?# ][^?# ]*$\"}");
}

static const rkp_opt_type http_url_type = { "URL", sizeof(rkp_word), parse_http_url, print_http_url, schema_http_url };

static bool is_field(rkp_word key, rkp_word val)
{
    bool ok = key.n > 0;
    for (size_t i = 0; i < key.n; i++)
        ok = ok && (unsigned char)key.p[i] > ' ' && key.p[i] != ':' && (unsigned char)key.p[i] < 0x7f;
    for (size_t i = 0; i < val.n; i++)
        ok = ok && ((unsigned char)val.p[i] >= ' ' || val.p[i] == '\t') && val.p[i] != 0x7f;
    return ok;
}

static rkp_status parse_fields(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, void *field)
{
    const rkp_pairs *p = field;
    rkp_status st = rkp_word_map.parse(c, row, n, field);
    for (size_t i = 0; st == RKP_OK && i < p->n; i++) {
        if (is_field(p->v[i].key, p->v[i].val))
            continue;
        rkp_diag(c->diags, RKP_ERROR, p->v[i].key.at, "opt-type", "'%s' has a field that no request can have",
                 row->name);
        st = RKP_INVALID;
    }
    return st;
}

static void print_fields(const rkp_opt *row, const void *field, struct rki_json *out)
{
    rkp_word_map.print(row, field, out);
}

static void schema_fields(const rkp_opt *row, struct rki_json *out)
{
    rkp_word_map.schema(row, out);
}

static const rkp_opt_type fields_type = { "fields of a request", sizeof(rkp_pairs), parse_fields, print_fields,
                                          schema_fields };

static const rkp_choice packings[] = {
    { "none", RKP_COMPRESS_NONE, "JSON as it is" },
    { "gzip", RKP_COMPRESS_GZIP, "a tenth of the size" },
    { 0 },
};

#define TR(f) (offsetof(rki_otlp_conf, traces.f) - offsetof(rki_otlp_conf, traces))
static const rkp_opt traces_rows[] = {
    { "sample", &rkp_ratio, TR(sample), .def = "0", .help = "share of the batches of each source; 0 is none, 1 is all",
      .also = "ratio rate sampling sampler sample_ratio probability" },
    { 0 },
};

#define OT(f) offsetof(rki_otlp_conf, f)
static const rkp_opt otlp_rows[] = {
    { "endpoint", &http_url_type, OT(endpoint), .required = true,
      .help = "of the collector; /v1/metrics and /v1/traces are below it", .also = "url address host uri" },
    { "headers", &fields_type, OT(headers), .optional = true, .help = "more fields of each request",
      .also = "http_headers" },
    { "resource", &rkp_word_map, OT(resource), .optional = true, .no_secrets = true,
      .help = "more attributes of the resource, as deployment.environment", .also = "attributes resource_attributes" },
    { "interval", &rkp_duration, OT(interval_ns), .def = "10s", .bounded = true, .min = 1e7, .max = 3600e9,
      .help = "between two looks at the metrics", .also = "period export_interval" },
    { "timeout", &rkp_duration, OT(timeout_ns), .def = "10s", .bounded = true, .min = 1e6, .max = 3600e9,
      .help = "until the collector has answered" },
    { "compression", &rkp_choice_type, OT(compression), .def = "none", .choices = packings,
      .help = "how requests are packed" },
    { "metrics", &rkp_bool, OT(metrics), .def = "true", .help = "whether metrics are told" },
    { "traces", &rkp_object, OT(traces), .def = "{}", .help = "what becomes of some batches, kernel by kernel",
      .sub = traces_rows, .sub_size = sizeof(((rki_otlp_conf *)0)->traces), .short_key = "sample" },
    { 0 },
};

const rkp_opt rki_telemetry_rows[] = {
    { "interval", &rkp_duration, offsetof(rki_telemetry_conf, interval_ns), .def = "1s", .bounded = true, .min = 1e7,
      .max = 3600e9, .help = "how often alerts look at the metrics" },
    { "prometheus", &rkp_object, offsetof(rki_telemetry_conf, prometheus), .def = "{}",
      .help = "metrics over HTTP on an address of this machine", .sub = prometheus_rows,
      .sub_size = sizeof(((rki_telemetry_conf *)0)->prometheus) },
    { "otlp", &rkp_object, offsetof(rki_telemetry_conf, otlp), .optional = true,
      .help = "metrics and traces for an OpenTelemetry collector, by OTLP/HTTP", .sub = otlp_rows,
      .sub_size = sizeof(rki_otlp_conf), .short_key = "endpoint", .also = "opentelemetry otel tracing traces" },
    { "logs", &rkp_object, offsetof(rki_telemetry_conf, logs), .def = "{}",
      .help = "the log of a run: level, format, file", .sub = logs_rows, .sub_size = sizeof(rki_logs_conf) },
    { 0 },
};
