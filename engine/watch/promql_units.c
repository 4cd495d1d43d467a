// promql_units.c - what an expression measures, from the units of its metrics: seconds are not compared with bytes.
//
// Bottom up, and in doubt silent: a number is of any unit, what is multiplied by one may have been converted, and a metric that is not known, or a
// selector without a name, is taken for right.
#include "watch/metrics.h"
#include "watch/promql_tree.h"

typedef struct unit {
    bool known, any; // any: a number
    uint8_t what;    // rki_metric_unit
    uint8_t each;    // what / each: 0, or 1 for "a second"
    uint8_t bucket;  // counts of a histogram: rki_metric_unit of what it is of, + 1
} unit;

static const unit unknown = { 0 }, a_number = { .known = true, .any = true };

static unit of(rki_metric_unit what)
{
    return (unit){ .known = true, .what = (uint8_t)what };
}

// A second of a second is a ratio.
static unit each_second(unit u)
{
    if (!u.known || u.any || u.each)
        return unknown;
    if (u.what == RKI_METRIC_SECONDS)
        return of(RKI_METRIC_NONE);
    u.each = 1;
    return u;
}

static bool cut(rkp_str *s, const char *end)
{
    size_t n = strlen(end);
    if (s->n < n || memcmp(s->p + s->n - n, end, n) != 0)
        return false;
    s->n -= n;
    return true;
}

static const rki_metric *row_of(rkp_str name)
{
    for (size_t i = 0; i < RKI_N_METRICS; i++)
        if (rkp_str_is(name, rki_metrics[i].name))
            return &rki_metrics[i];
    return NULL;
}

// Of a metric of an operator, whose unit is the end of its name.
static unit by_name(rkp_str name)
{
    static const rki_metric_unit ends[] = { RKI_METRIC_SECONDS, RKI_METRIC_BYTES, RKI_METRIC_ROWS, RKI_METRIC_MESSAGES,
                                            RKI_METRIC_BATCHES };
    cut(&name, "_total");
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        const char *text = rki_metric_unit_text((int)ends[i]);
        rkp_str left = name;
        if (cut(&left, text) && left.n && left.p[left.n - 1] == '_')
            return of(ends[i]);
    }
    return unknown;
}

static unit of_metric(rkp_str name)
{
    const rki_metric *row = row_of(name);
    rkp_str base = name;
    if (row)
        return of(row->unit);
    if (cut(&base, "_bucket") && (row = row_of(base)))
        return (unit){ .known = true, .what = RKI_METRIC_COUNT, .bucket = (uint8_t)(row->unit + 1) };
    base = name;
    if (cut(&base, "_sum") && (row = row_of(base)))
        return of(row->unit);
    base = name;
    if (cut(&base, "_count") && row_of(base))
        return of(RKI_METRIC_COUNT);
    return by_name(name);
}

static unit of_selector(const rki_prom *e)
{
    for (uint32_t i = 0; i < e->n_matchers; i++)
        if (rkp_str_is(e->matchers[i].name, "__name__") && e->matchers[i].how == RKI_MATCH_EQ)
            return of_metric(e->matchers[i].value);
    return unknown;
}

// How many there are of something may stand beside how many there are.
static bool counts(unit u)
{
    return u.what == RKI_METRIC_ROWS || u.what == RKI_METRIC_MESSAGES || u.what == RKI_METRIC_BATCHES ||
           u.what == RKI_METRIC_NONE || u.what == RKI_METRIC_COUNT;
}

static bool alike(unit a, unit b)
{
    if (!a.known || !b.known || a.any || b.any)
        return true;
    if (a.each != b.each)
        return false;
    return a.what == b.what || (a.what == RKI_METRIC_COUNT && counts(b)) || (b.what == RKI_METRIC_COUNT && counts(a));
}

static const char *word(unit u)
{
    return u.what == RKI_METRIC_NONE    ? "a ratio or a state"
           : u.what == RKI_METRIC_COUNT ? "a count"
                                        : rki_metric_unit_text(u.what);
}

static void unlike(rki_source *s, const rki_prom *e, unit a, unit b)
{
    rki_say(s, e->from, e->to, "promql-units", "%s%s and %s%s: '%s' between them means nothing", word(a),
            a.each ? " a second" : "", word(b), b.each ? " a second" : "", rki_prom_ops[e->op]);
    if (a.what == b.what)
        rki_hint(s, "rate(x[1m]) is how much came in a second; put both into one form");
    else
        rki_hint(s, "compare with a number, or divide each by something of its own unit first");
}

static bool scales(unit u)
{
    return u.known && !u.any && !u.each && (u.what == RKI_METRIC_NONE || u.what == RKI_METRIC_COUNT);
}

static unit divided(unit a, unit b)
{
    if (!a.known || !b.known || a.any || b.any)
        return unknown;
    if (a.what == b.what && a.each == b.each)
        return of(RKI_METRIC_NONE);
    if (scales(b))
        return a;
    if (b.what == RKI_METRIC_SECONDS && !b.each)
        return each_second(a);
    return a.what == b.what && b.each ? of(RKI_METRIC_SECONDS) : unknown;
}

static unit multiplied(unit a, unit b)
{
    if (!a.known || !b.known || a.any || b.any)
        return unknown;
    if (scales(a))
        return b;
    if (scales(b))
        return a;
    if (a.each && b.what == RKI_METRIC_SECONDS && !b.each)
        return of((rki_metric_unit)a.what);
    if (b.each && a.what == RKI_METRIC_SECONDS && !a.each)
        return of((rki_metric_unit)b.what);
    return unknown;
}

static unit of_binary(rki_source *s, const rki_prom *e, unit a, unit b)
{
    unit both = a.known && a.any ? b : b.known && b.any ? a : a.known && b.known ? a : unknown;
    bool same = alike(a, b);
    both.bucket = 0;
    if (rki_prom_compares(e->op) || e->op == RKI_PROM_PLUS || e->op == RKI_PROM_MINUS) {
        if (!same)
            unlike(s, e, a, b);
        return !same ? unknown : e->is_bool ? of(RKI_METRIC_NONE) : both;
    }
    switch (e->op) {
    case RKI_PROM_TIMES:
        return multiplied(a, b);
    case RKI_PROM_DIVIDE:
        return divided(a, b);
    case RKI_PROM_OR:
        return same ? both : unknown;
    case RKI_PROM_AND:
    case RKI_PROM_UNLESS:
    case RKI_PROM_MODULO:
        return a;
    default:
        return unknown;
    }
}

static unit of_call(const rki_prom *e, unit arg, unit second)
{
    static const char *const keep[] = { "abs",           "avg_over_time", "clamp_max",      "clamp_min",
                                        "delta",         "increase",      "last_over_time", "max_over_time",
                                        "min_over_time", "scalar",        "sum_over_time",  "vector" };
    if (strcmp(e->fn->name, "rate") == 0)
        return each_second(arg);
    if (strcmp(e->fn->name, "time") == 0)
        return of(RKI_METRIC_SECONDS);
    if (strcmp(e->fn->name, "count_over_time") == 0)
        return of(RKI_METRIC_COUNT);
    if (strcmp(e->fn->name, "histogram_quantile") == 0)
        return second.bucket ? of((rki_metric_unit)(second.bucket - 1)) : unknown;
    for (size_t i = 0; i < sizeof keep / sizeof *keep; i++)
        if (strcmp(e->fn->name, keep[i]) == 0)
            return arg;
    return unknown;
}

// As deep as the tree is high, RKI_PROM_HEIGHT.
static unit unit_of(rki_source *s, const rki_prom *e)
{
    unit arg[2] = { unknown, unknown };
    for (uint32_t i = 0; i < e->n_args; i++)
        arg[i] = unit_of(s, e->arg[i]);
    switch ((rki_prom_kind)e->kind) {
    case RKI_PROM_NUMBER:
        return a_number;
    case RKI_PROM_SELECTOR:
        return of_selector(e);
    case RKI_PROM_SIGN:
    case RKI_PROM_PAREN:
        return arg[0];
    case RKI_PROM_AGGREGATE:
        return e->op == RKI_AGG_COUNT ? of(RKI_METRIC_COUNT) : arg[0];
    case RKI_PROM_CALL:
        return of_call(e, arg[0], arg[1]);
    case RKI_PROM_BINARY:
        return of_binary(s, e, arg[0], arg[1]);
    }
    return unknown;
}

bool rki_prom_units(const rki_prom *e, rkp_diags *d, rkp_word text)
{
    rki_source s = { .diags = d, .text = text };
    unit_of(&s, e);
    return !s.failed;
}
