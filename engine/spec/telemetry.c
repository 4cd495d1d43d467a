// telemetry.c - the rows of `telemetry`: where metrics are served, and the log.
#include "spec/load.h"

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

const rkp_opt rki_telemetry_rows[] = {
    { "interval", &rkp_duration, offsetof(rki_telemetry_conf, interval_ns), .def = "1s", .bounded = true, .min = 1e7,
      .max = 3600e9, .help = "how often alerts look at the metrics" },
    { "prometheus", &rkp_object, offsetof(rki_telemetry_conf, prometheus), .def = "{}",
      .help = "metrics over HTTP on an address of this machine", .sub = prometheus_rows,
      .sub_size = sizeof(((rki_telemetry_conf *)0)->prometheus) },
    { "logs", &rkp_object, offsetof(rki_telemetry_conf, logs), .def = "{}",
      .help = "the log of a run: level, format, file", .sub = logs_rows, .sub_size = sizeof(rki_logs_conf) },
    { 0 },
};
