// watch/metrics.c - the table, and series as text.
#include "watch/metrics.h"

#include "base/utf8.h"
#include <rkpipe/num.h>

#include <math.h>
#include <stdio.h>

#define RKI_METRIC_ROW(id, name, kind, unit, labels, help)                                                             \
    [RKI_M_##id] = { name, RKI_METRIC_##kind, RKI_METRIC_##unit, labels, help },
const rki_metric rki_metrics[RKI_N_METRICS] = { RKI_METRIC_ROWS(RKI_METRIC_ROW) };
#undef RKI_METRIC_ROW

const char *rki_metric_kind_name(int kind)
{
    static const char *const names[] = {
        [RKI_METRIC_COUNTER] = "counter", [RKI_METRIC_GAUGE] = "gauge", [RKI_METRIC_HISTOGRAM] = "histogram"
    };
    return names[kind];
}

const char *rki_metric_unit_text(int unit)
{
    static const char *const names[] = {
        [RKI_METRIC_NONE] = "",       [RKI_METRIC_SECONDS] = "seconds",   [RKI_METRIC_BYTES] = "bytes",
        [RKI_METRIC_ROWS] = "rows",   [RKI_METRIC_MESSAGES] = "messages", [RKI_METRIC_BATCHES] = "batches",
        [RKI_METRIC_COUNT] = "count",
    };
    return names[unit];
}

// ---- metrics of operators -------------------------------------------------------------------------------------------

static bool ends_with(const char *z, const char *end)
{
    size_t n = strlen(z), m = strlen(end);
    return n >= m && memcmp(z + n - m, end, m) == 0;
}

bool rki_metric_of_op(const rkp_op *op, unsigned i, char name[RKI_METRIC_NAME], rki_metric *out)
{
    static const struct {
        const char *end;
        rki_metric_unit unit;
    } of[] = {
        [RKP_UNIT_ROWS] = { "_rows", RKI_METRIC_ROWS },
        [RKP_UNIT_BYTES] = { "_bytes", RKI_METRIC_BYTES },
        [RKP_UNIT_COUNT] = { NULL, RKI_METRIC_COUNT },
        [RKP_UNIT_SECONDS] = { "_seconds", RKI_METRIC_SECONDS },
    };
    const rkp_metric *m = op->metrics;
    const char *end;
    int n;
    for (unsigned k = 0; m && k < i && m[k].name; k++)
        if (!m[k + 1].name)
            return false;
    if (!m || !m[i].name)
        return false;
    end = of[m[i].unit].end;
    n = snprintf(name, RKI_METRIC_NAME, "rkpipe_%s_%s%s_total", op->name, m[i].name,
                 end && !ends_with(m[i].name, end + 1) ? end : ""); // metric `bytes` of unit bytes says it once
    if (n < 0 || n >= RKI_METRIC_NAME)
        return false;
    for (char *p = name; *p; p++)
        if (*p == '.' || *p == '-')
            *p = '_';
    *out = (rki_metric){ name, RKI_METRIC_COUNTER, of[m[i].unit].unit, "kernel", m[i].help };
    return true;
}

// ---- histograms -----------------------------------------------------------------------------------------------------

// Borders of the classic buckets, in seconds; the last one of all is +Inf.
static const struct {
    double most;
    const char *text;
} borders[] = {
    { 1e-5, "1e-05" }, { 3e-5, "3e-05" }, { 1e-4, "0.0001" }, { 3e-4, "0.0003" }, { 1e-3, "0.001" },
    { 3e-3, "0.003" }, { 1e-2, "0.01" },  { 3e-2, "0.03" },   { 0.1, "0.1" },     { 0.3, "0.3" },
    { 1, "1" },        { 3, "3" },        { 10, "10" },       { 60, "60" },       { 600, "600" },
};

void rki_emit_hist(rki_emit emit, void *arg, const rki_metric *row, const rki_label *labels, uint32_t n_labels,
                   const rki_hist *h, double per)
{
    rki_label with[RKI_EMIT_LABELS + 1];
    char name[RKI_METRIC_NAME + 16];
    size_t n = strlen(row->name);
    uint64_t count = rki_hist_count(h);
    if (n_labels > RKI_EMIT_LABELS || n >= RKI_METRIC_NAME)
        return;
    if (n_labels)
        memcpy(with, labels, n_labels * sizeof *labels);
    memcpy(name, row->name, n);
    memcpy(name + n, "_bucket", 8);
    with[n_labels].name = RKP_STR("le");
    for (size_t i = 0; i < sizeof borders / sizeof *borders; i++) {
        with[n_labels].value = rkp_str_of(borders[i].text);
        emit(arg, row, (rkp_str){ name, n + 7 }, with, n_labels + 1, (double)rki_hist_up_to(h, borders[i].most * per));
    }
    with[n_labels].value = RKP_STR("+Inf");
    emit(arg, row, (rkp_str){ name, n + 7 }, with, n_labels + 1, (double)count);
    memcpy(name + n, "_sum", 5);
    emit(arg, row, (rkp_str){ name, n + 4 }, labels, n_labels, (double)h->sum / per);
    memcpy(name + n, "_count", 7);
    emit(arg, row, (rkp_str){ name, n + 6 }, labels, n_labels, (double)count);
}

// ---- text -----------------------------------------------------------------------------------------------------------

// A backslash, a line break and (in values of labels) a quote are escaped; what is not UTF-8 becomes U+FFFD.
static void put_escaped(rki_buf *out, rkp_str s, bool quote)
{
    size_t done = 0;
    for (size_t i = 0; i < s.n;) {
        uint32_t cp;
        size_t n = rki_utf8_next(s.p + i, s.p + s.n, &cp);
        const char *as = cp == RKI_UTF8_BAD   ? "\xef\xbf\xbd"
                         : cp == '\\'         ? "\\\\"
                         : cp == '\n'         ? "\\n"
                         : cp == '"' && quote ? "\\\""
                                              : NULL;
        if (as) {
            rki_put(out, s.p + done, i - done);
            rki_putz(out, as);
            done = i + n;
        }
        i += n;
    }
    rki_put(out, s.p + done, s.n - done);
}

void rki_put_sample_value(rki_buf *out, double v)
{
    char text[64];
    size_t n;
    if (isnan(v)) {
        rki_putz(out, "NaN");
    } else if (isinf(v)) {
        rki_putz(out, v > 0 ? "+Inf" : "-Inf");
    } else if (v >= 0 && v < 0x1p53 && v == floor(v)) {
        n = rkp_print_u64(text, (uint64_t)v);
        rki_put(out, text, n);
    } else {
        n = rkp_print_f64(text, v);
        if (n > 2 && memcmp(text + n - 2, ".0", 2) == 0)
            n -= 2;
        rki_put(out, text, n);
    }
}

// HELP is a sentence: a capital and a full stop.
static void put_head(rki_buf *out, const rki_metric *row)
{
    char first = row->help[0];
    rki_putf(out, "# HELP %s ", row->name);
    rki_putc(out, (char)(first >= 'a' && first <= 'z' ? first - 'a' + 'A' : first));
    put_escaped(out, rkp_str_of(row->help + (first != 0)), false);
    rki_putf(out, ".\n# TYPE %s %s\n", row->name, rki_metric_kind_name((int)row->kind));
}

void rki_exposition_emit(void *exposition, const rki_metric *row, rkp_str name, const rki_label *labels,
                         uint32_t n_labels, double value)
{
    rki_exposition *x = exposition;
    bool any = false;
    if (x->row != row)
        put_head(x->out, row);
    x->row = row;
    rki_put(x->out, name.p, name.n);
    for (uint32_t i = 0; i < n_labels; i++) {
        if (!labels[i].value.n) // as if it were not there
            continue;
        rki_putc(x->out, any ? ',' : '{');
        rki_put(x->out, labels[i].name.p, labels[i].name.n);
        rki_put(x->out, "=\"", 2);
        put_escaped(x->out, labels[i].value, true);
        rki_putc(x->out, '"');
        any = true;
    }
    rki_putz(x->out, any ? "} " : " ");
    rki_put_sample_value(x->out, value);
    rki_putc(x->out, '\n');
}
