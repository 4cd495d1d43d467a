// otlp_text.c - series and spans as OTLP/JSON.
#include "watch/otlp_text.h"

#include "base/json_read.h"
#include <rkpipe/num.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

// Numbers of opentelemetry/proto/metrics/v1/metrics.proto and trace/v1/trace.proto.
enum {
    CUMULATIVE = 2,
    KIND_INTERNAL = 1,
    STATUS_ERROR = 2,
    FLAGS_SAMPLED = 0x101, // sampled, and it is known that the parent is of this process
};

// ---- pieces ---------------------------------------------------------------------------------------------------------

static void put_u64(rki_json *j, const char *key, uint64_t v)
{
    char text[24];

    rki_json_put_str(j, key, (rkp_str){ text, rkp_print_u64(text, v) });
}

static void put_f64(rki_json *j, const char *key, double v)
{
    if (isfinite(v))
        rki_json_put_f64(j, key, v);
    else
        rki_json_put_z(j, key, isnan(v) ? "NaN" : v > 0 ? "Infinity" : "-Infinity");
}

static void attribute(rki_json *j, rkp_str key, rkp_str value)
{
    rki_json_object(j);
    rki_json_put_str(j, "key", key);
    rki_json_key(j, "value");
    rki_json_object(j);
    rki_json_put_str(j, "stringValue", value);
    rki_json_end_object(j);
    rki_json_end_object(j);
}

static void attribute_u64(rki_json *j, const char *key, uint64_t value)
{
    rki_json_object(j);
    rki_json_put_z(j, "key", key);
    rki_json_key(j, "value");
    rki_json_object(j);
    put_u64(j, "intValue", value);
    rki_json_end_object(j);
    rki_json_end_object(j);
}

static bool is_among(rkp_str name, const rkp_str *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (rkp_str_eq(name, names[i]))
            return true;
    return false;
}

static void resource(rki_json *j, const rki_otlp_resource *of)
{
    const rkp_str names[] = { RKP_STR("service.name"), RKP_STR("service.instance.id"), RKP_STR("host.name"),
                              RKP_STR("process.pid") };
    const rkp_str values[] = { of->pipeline, of->instance, of->host };

    rki_json_key(j, "resource");
    rki_json_object(j);
    rki_json_key(j, "attributes");
    rki_json_array(j);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        if (values[i].n)
            attribute(j, names[i], values[i]);
    attribute_u64(j, "process.pid", of->pid);
    for (size_t i = 0; of->more && i < of->more->n; i++)
        if (!is_among(rkp_word_str(of->more->v[i].key), names, sizeof names / sizeof *names))
            attribute(j, rkp_word_str(of->more->v[i].key), rkp_word_str(of->more->v[i].val));
    rki_json_end_array(j);
    rki_json_end_object(j);
}

// Up to the list of what is measured: {"resourceX":[{"resource":..,"scopeX":[{"scope":..,"x":[
static void begin(rki_json *j, rki_buf *out, const rki_otlp_resource *of, const char *const names[3])
{
    rki_json_init(j, out, 0);
    rki_json_object(j);
    rki_json_key(j, names[0]);
    rki_json_array(j);
    rki_json_object(j);
    resource(j, of);
    rki_json_key(j, names[1]);
    rki_json_array(j);
    rki_json_object(j);
    rki_json_key(j, "scope");
    rki_json_object(j);
    rki_json_put_z(j, "name", "rkpipe");
    rki_json_put_z(j, "version", of->version);
    rki_json_end_object(j);
    rki_json_key(j, names[2]);
    rki_json_array(j);
}

static void end(rki_json *j)
{
    rki_json_end_array(j);
    rki_json_end_object(j);
    rki_json_end_array(j);
    rki_json_end_object(j);
    rki_json_end_array(j);
    rki_json_end_object(j);
}

// ---- metrics --------------------------------------------------------------------------------------------------------

// As UCUM has them: what is counted stands in braces, and a fact has none.
static const char *unit_of(const rki_metric *row)
{
    static const char *const units[] = {
        [RKI_METRIC_NONE] = "",         [RKI_METRIC_SECONDS] = "s",          [RKI_METRIC_BYTES] = "By",
        [RKI_METRIC_ROWS] = "{row}",    [RKI_METRIC_MESSAGES] = "{message}", [RKI_METRIC_BATCHES] = "{batch}",
        [RKI_METRIC_COUNT] = "{count}",
    };

    return units[row->unit];
}

static int64_t whole(double v) // a limit may be none at all
{
    return v < 0x1p63 ? (int64_t)v : INT64_MAX;
}

static bool is_whole(const rki_metric *row)
{
    return row->unit != RKI_METRIC_NONE && row->unit != RKI_METRIC_SECONDS;
}

void rki_otlp_metrics_begin(rki_otlp_points *m, rki_buf *out, const rki_otlp_resource *of, uint64_t start_ns,
                            uint64_t now_ns)
{
    static const char *const names[] = { "resourceMetrics", "scopeMetrics", "metrics" };

    m->row = NULL;
    m->start_ns = start_ns;
    m->now_ns = now_ns > start_ns ? now_ns : start_ns;
    m->points = 0;
    m->n = 0;
    begin(&m->j, out, of, names);
}

static void end_metric(rki_otlp_points *m)
{
    if (!m->row)
        return;
    rki_json_end_array(&m->j);
    rki_json_end_object(&m->j);
    rki_json_end_object(&m->j);
    m->row = NULL;
}

static void begin_metric(rki_otlp_points *m, const rki_metric *row)
{
    static const char *const data[] = {
        [RKI_METRIC_COUNTER] = "sum", [RKI_METRIC_GAUGE] = "gauge", [RKI_METRIC_HISTOGRAM] = "histogram"
    };
    rki_json *j = &m->j;

    end_metric(m);
    m->row = row;
    m->n = 0;
    rki_json_object(j);
    rki_json_put_z(j, "name", row->name);
    rki_json_put_z(j, "description", row->help);
    rki_json_put_z(j, "unit", unit_of(row));
    rki_json_key(j, data[row->kind]);
    rki_json_object(j);
    if (row->kind != RKI_METRIC_GAUGE)
        rki_json_put_u64(j, "aggregationTemporality", CUMULATIVE);
    if (row->kind == RKI_METRIC_COUNTER)
        rki_json_put_bool(j, "isMonotonic", true);
    rki_json_key(j, "dataPoints");
    rki_json_array(j);
}

static void begin_point(rki_otlp_points *m, const rki_label *labels, uint32_t n)
{
    rki_json *j = &m->j;

    m->points++;
    rki_json_object(j);
    rki_json_key(j, "attributes");
    rki_json_array(j);
    for (uint32_t i = 0; i < n; i++)
        if (labels[i].value.n) // as if it were not there
            attribute(j, labels[i].name, labels[i].value);
    rki_json_end_array(j);
    if (m->row->kind != RKI_METRIC_GAUGE)
        put_u64(j, "startTimeUnixNano", m->start_ns);
    put_u64(j, "timeUnixNano", m->now_ns);
}

static void histogram(rki_otlp_points *m, const rki_label *labels, uint32_t n, double count)
{
    rki_json *j = &m->j;
    uint64_t before = 0;
    char text[24];

    begin_point(m, labels, n);
    put_u64(j, "count", (uint64_t)count);
    put_f64(j, "sum", m->sum);
    rki_json_key(j, "bucketCounts");
    rki_json_array(j);
    for (uint32_t i = 0; i <= m->n; i++) {
        uint64_t now = i < m->n ? m->up_to[i] : (uint64_t)count;

        rki_json_str(j, (rkp_str){ text, rkp_print_u64(text, now - before) });
        before = now;
    }
    rki_json_end_array(j);
    rki_json_key(j, "explicitBounds");
    rki_json_array(j);
    for (uint32_t i = 0; i < m->n; i++)
        rki_json_raw(j, m->borders[i]);
    rki_json_end_array(j);
    rki_json_end_object(j);
    m->n = 0;
}

static bool ends_with(rkp_str s, rkp_str end)
{
    return s.n >= end.n && memcmp(s.p + s.n - end.n, end.p, end.n) == 0;
}

// Its series come one after the other: buckets with their borders in order, the last label being `le`; the sum; the count.
static void part_of_histogram(rki_otlp_points *m, rkp_str name, const rki_label *labels, uint32_t n, double value)
{
    if (ends_with(name, RKP_STR("_count"))) {
        histogram(m, labels, n, value);
    } else if (ends_with(name, RKP_STR("_sum"))) {
        m->sum = value;
    } else if (m->n < RKI_OTLP_BUCKETS && n && !rkp_str_is(labels[n - 1].value, "+Inf")) {
        m->borders[m->n] = labels[n - 1].value;
        m->up_to[m->n++] = (uint64_t)value;
    }
}

void rki_otlp_metrics_emit(void *otlp_metrics, const rki_metric *row, rkp_str name, const rki_label *labels,
                           uint32_t n_labels, double value)
{
    rki_otlp_points *m = otlp_metrics;
    char text[24];

    if (m->row != row)
        begin_metric(m, row);
    if (row->kind == RKI_METRIC_HISTOGRAM) {
        part_of_histogram(m, name, labels, n_labels, value);
        return;
    }
    begin_point(m, labels, n_labels);
    if (is_whole(row))
        rki_json_put_str(&m->j, "asInt", (rkp_str){ text, rkp_print_i64(text, whole(value)) });
    else
        put_f64(&m->j, "asDouble", value);
    rki_json_end_object(&m->j);
}

uint64_t rki_otlp_metrics_end(rki_otlp_points *m)
{
    end_metric(m);
    end(&m->j);
    return m->points;
}

// ---- traces ---------------------------------------------------------------------------------------------------------

void rki_otlp_traces_begin(rki_otlp_traces *t, rki_buf *out, const rki_otlp_resource *of, uint64_t high)
{
    static const char *const names[] = { "resourceSpans", "scopeSpans", "spans" };

    t->high = high;
    begin(&t->j, out, of, names);
}

void rki_otlp_traces_span(rki_otlp_traces *t, const rki_span *s)
{
    rki_json *j = &t->j;
    char id[40];

    rki_json_object(j);
    snprintf(id, sizeof id, "%016" PRIx64 "%016" PRIx64, t->high, s->trace);
    rki_json_put_z(j, "traceId", id);
    snprintf(id, sizeof id, "%016" PRIx64, s->id);
    rki_json_put_z(j, "spanId", id);
    snprintf(id, sizeof id, "%016" PRIx64, s->parent);
    if (s->parent)
        rki_json_put_z(j, "parentSpanId", id);
    rki_json_put_u64(j, "flags", FLAGS_SAMPLED);
    rki_json_put_z(j, "name", s->kernel);
    rki_json_put_u64(j, "kind", KIND_INTERNAL);
    put_u64(j, "startTimeUnixNano", s->start_ns);
    put_u64(j, "endTimeUnixNano", s->end_ns);
    rki_json_key(j, "attributes");
    rki_json_array(j);
    attribute(j, RKP_STR("rkpipe.operator"), rkp_str_of(s->op));
    if (s->part)
        attribute(j, RKP_STR("rkpipe.part"), rkp_str_of(s->part));
    attribute_u64(j, "rkpipe.replica", s->replica);
    if (s->parent)
        attribute_u64(j, "rkpipe.rows_in", s->rows_in);
    if (!s->sink)
        attribute_u64(j, "rkpipe.rows_out", s->rows_out);
    rki_json_end_array(j);
    rki_json_key(j, "status");
    rki_json_object(j);
    if (s->failed)
        rki_json_put_u64(j, "code", STATUS_ERROR);
    rki_json_end_object(j);
    rki_json_end_object(j);
}

void rki_otlp_traces_end(rki_otlp_traces *t)
{
    end(&t->j);
}

// ---- answers --------------------------------------------------------------------------------------------------------

// 64-bit numbers are strings; some write them as numbers.
static uint64_t number(const rki_json_node *n)
{
    uint64_t v = 0;

    if (n && n->kind == RKI_JSON_STRING)
        for (size_t i = 0; i < n->text.n && i < 18; i++) {
            if (n->text.p[i] < '0' || n->text.p[i] > '9')
                return 0;
            v = v * 10 + (uint64_t)(n->text.p[i] - '0');
        }
    else if (!rki_json_count(n, &v))
        return 0;
    return v;
}

uint64_t rki_otlp_rejected(rkp_str answer, char *why, size_t n)
{
    const rki_json_node *partial;
    rki_arena mem;
    rkp_str text;
    uint64_t v;
    size_t k = 0;

    why[0] = 0;
    rki_arena_init(&mem);
    partial = rki_json_get(rki_json_read(&mem, answer), "partialSuccess");
    v = number(rki_json_get(partial, "rejectedDataPoints")) + number(rki_json_get(partial, "rejectedSpans"));
    text = rki_json_text(rki_json_get(partial, "errorMessage"), "");
    for (; k < text.n && k + 1 < n; k++)
        why[k] = (char)((unsigned char)text.p[k] < ' ' || text.p[k] == 0x7f ? ' ' : text.p[k]);
    while (k && k < text.n && ((unsigned char)text.p[k] & 0xc0) == 0x80) // no half of a character
        k--;
    why[k] = 0;
    rki_arena_fini(&mem);
    return v;
}
