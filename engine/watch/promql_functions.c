// promql_functions.c - the functions, a row each; what each makes of its samples is Prometheus' own arithmetic.
#include "watch/promql_tree.h"

#include <rkpipe/num.h>
#include <stdlib.h>

// ---- ranges ---------------------------------------------------------------------------------------------------------

// From the first to the last sample, stretched to the ends of the range where the samples come near enough to them.
static bool extrapolated(const rki_prom *call, const rki_prom_eval_at *x, const rki_sample *v, uint32_t n, bool counter,
                         bool per_second, double *out)
{
    const rki_prom *sel = call->arg[0];
    double value, sampled, average, to_start, to_end, whole, near, factor;

    if (n < 2)
        return false;
    while (sel->kind == RKI_PROM_PAREN)
        sel = sel->arg[0];
    value = v[n - 1].v - v[0].v;
    for (uint32_t i = 1; i < n && counter; i++)
        if (v[i].v < v[i - 1].v)
            value += v[i - 1].v; // it began again from zero
    to_start = (double)(v[0].ms - (x->ms - sel->range_ms)) / 1000;
    to_end = (double)(x->ms - v[n - 1].ms) / 1000;
    sampled = (double)(v[n - 1].ms - v[0].ms) / 1000;
    average = sampled / (n - 1);
    if (counter && value > 0 && v[0].v >= 0) {
        double to_zero = sampled * (v[0].v / value);

        if (to_zero < to_start)
            to_start = to_zero; // a counter was never below zero
    }
    near = average * 1.1;
    whole = sampled;
    whole += to_start < near ? to_start : average / 2;
    whole += to_end < near ? to_end : average / 2;
    factor = whole / sampled;
    if (per_second)
        factor /= (double)sel->range_ms / 1000; // before the value is multiplied: the last bit is Prometheus' as well
    *out = value * factor;
    return true;
}

static bool fn_rate(const rki_prom *call, const rki_prom_eval_at *x, const rki_sample *v, uint32_t n, double *out)
{
    return extrapolated(call, x, v, n, true, true, out);
}

static bool fn_increase(const rki_prom *call, const rki_prom_eval_at *x, const rki_sample *v, uint32_t n, double *out)
{
    return extrapolated(call, x, v, n, true, false, out);
}

static bool fn_delta(const rki_prom *call, const rki_prom_eval_at *x, const rki_sample *v, uint32_t n, double *out)
{
    return extrapolated(call, x, v, n, false, false, out);
}

// Kahan's sum with Neumaier's correction.
static void add(double v, double *sum, double *rest)
{
    double t = *sum + v;

    *rest += fabs(*sum) >= fabs(v) ? (*sum - t) + v : (v - t) + *sum;
    *sum = t;
}

static bool fn_sum(const rki_prom *call, const rki_prom_eval_at *x, const rki_sample *v, uint32_t n, double *out)
{
    double sum = 0, rest = 0;

    (void)call;
    (void)x;
    for (uint32_t i = 0; i < n; i++)
        add(v[i].v, &sum, &rest);
    *out = isinf(sum) ? sum : sum + rest;
    return true;
}

static bool fn_avg(const rki_prom *call, const rki_prom_eval_at *x, const rki_sample *v, uint32_t n, double *out)
{
    double mean = 0, rest = 0;

    (void)call;
    (void)x;
    for (uint32_t i = 0; i < n; i++) {
        double s = v[i].v, count = i + 1;

        if (isinf(mean) && ((isinf(s) && (mean > 0) == (s > 0)) || isfinite(s)))
            continue;
        add(s / count - mean / count, &mean, &rest);
    }
    *out = isinf(mean) ? mean : mean + rest;
    return true;
}

static bool fn_min(const rki_prom *call, const rki_prom_eval_at *x, const rki_sample *v, uint32_t n, double *out)
{
    (void)call;
    (void)x;
    *out = v[0].v;
    for (uint32_t i = 1; i < n; i++)
        if (v[i].v < *out || isnan(*out))
            *out = v[i].v;
    return true;
}

static bool fn_max(const rki_prom *call, const rki_prom_eval_at *x, const rki_sample *v, uint32_t n, double *out)
{
    (void)call;
    (void)x;
    *out = v[0].v;
    for (uint32_t i = 1; i < n; i++)
        if (v[i].v > *out || isnan(*out))
            *out = v[i].v;
    return true;
}

static bool fn_count(const rki_prom *call, const rki_prom_eval_at *x, const rki_sample *v, uint32_t n, double *out)
{
    (void)call;
    (void)x;
    (void)v;
    *out = n;
    return true;
}

static bool fn_last(const rki_prom *call, const rki_prom_eval_at *x, const rki_sample *v, uint32_t n, double *out)
{
    (void)call;
    (void)x;
    *out = v[n - 1].v;
    return true;
}

// ---- elements -------------------------------------------------------------------------------------------------------

static double each_abs(double v, double arg)
{
    (void)arg;
    return fabs(v);
}

// Go's math.Max and math.Min: an infinity wins over a nan, a nan over a number, and zeros have signs.
static double each_clamp_min(double v, double arg)
{
    if ((isinf(v) && v > 0) || (isinf(arg) && arg > 0))
        return (double)INFINITY;
    if (isnan(v) || isnan(arg))
        return (double)NAN;
    if (v == 0 && arg == 0)
        return signbit(v) ? arg : v;
    return v > arg ? v : arg;
}

static double each_clamp_max(double v, double arg)
{
    if ((isinf(v) && v < 0) || (isinf(arg) && arg < 0))
        return -(double)INFINITY;
    if (isnan(v) || isnan(arg))
        return (double)NAN;
    if (v == 0 && arg == 0)
        return signbit(v) ? v : arg;
    return v < arg ? v : arg;
}

// ---- the rest -------------------------------------------------------------------------------------------------------

static bool one(rki_prom_eval_at *x, double v, rki_vector *out)
{
    rki_elem *to = rki_vector_add(x, out);

    if (to)
        to->v = v;
    return to != NULL;
}

static bool call_time(const rki_prom *call, rki_prom_eval_at *x, const rki_vector *args, rki_vector *out)
{
    (void)call;
    (void)args;
    return one(x, (double)x->ms / 1000, out);
}

static bool call_vector(const rki_prom *call, rki_prom_eval_at *x, const rki_vector *args, rki_vector *out)
{
    (void)call;
    return one(x, args[0].v[0].v, out);
}

static bool call_scalar(const rki_prom *call, rki_prom_eval_at *x, const rki_vector *args, rki_vector *out)
{
    (void)call;
    return one(x, args[0].n == 1 ? args[0].v[0].v : (double)NAN, out);
}

// The labels that a selector asks for by `=`, once each: those two conditions speak about are left out.
static bool absent_labels(rki_prom_eval_at *x, const rki_prom *sel, rki_labels *to)
{
    rki_label *v = rki_array(x->arena, sel->n_matchers + 1, sizeof *v);
    uint32_t n = 0;

    if (!v)
        return rki_prom_fail(x, "memory is used up");
    for (uint32_t i = 0; i < sel->n_matchers; i++) {
        const rki_matcher *m = &sel->matchers[i];
        uint32_t k = 0;

        if (rkp_str_is(m->name, "__name__"))
            continue;
        while (k < n && !rkp_str_eq(v[k].name, m->name))
            k++;
        if (m->how == RKI_MATCH_EQ && k == n)
            v[n++] = (rki_label){ m->name, m->value };
        else if (k < n)
            v[k].value = (rkp_str){ "", 0 };
    }
    rki_labels_make(v, n, to);
    return true;
}

static bool call_absent(const rki_prom *call, rki_prom_eval_at *x, const rki_vector *args, rki_vector *out)
{
    const rki_prom *sel = call->arg[0];

    while (sel->kind == RKI_PROM_PAREN)
        sel = sel->arg[0];
    if (args[0].n)
        return true;
    if (!one(x, 1, out))
        return false;
    return sel->kind != RKI_PROM_SELECTOR || absent_labels(x, sel, &out->v[0].labels);
}

// ---- histogram_quantile ---------------------------------------------------------------------------------------------

typedef struct bucket {
    double bound, count;
    uint32_t group;
} bucket;

static int by_bound(const void *a, const void *b)
{
    const bucket *x = a, *y = b;

    if (x->group != y->group)
        return x->group < y->group ? -1 : 1;
    return x->bound < y->bound ? -1 : x->bound > y->bound;
}

// Buckets with the same bound become one, and counts never fall.
static uint32_t settle(bucket *b, uint32_t n)
{
    uint32_t kept = 1;

    for (uint32_t i = 1; i < n; i++) {
        if (b[i].bound == b[kept - 1].bound)
            b[kept - 1].count += b[i].count;
        else
            b[kept++] = b[i];
    }
    for (uint32_t i = 1; i < kept; i++)
        if (b[i].count < b[i - 1].count)
            b[i].count = b[i - 1].count;
    return kept;
}

// b is sorted and of one group.
static double quantile(double q, bucket *b, uint32_t n)
{
    uint32_t low = 0, high;
    double rank, start = 0, count, all;

    if (isnan(q))
        return (double)NAN;
    if (q < 0 || q > 1)
        return q < 0 ? -(double)INFINITY : (double)INFINITY;
    if (!isinf(b[n - 1].bound) || b[n - 1].bound < 0)
        return (double)NAN;
    n = settle(b, n);
    all = b[n - 1].count;
    if (n < 2 || all == 0)
        return (double)NAN;
    rank = q * all;
    for (high = n - 1; low < high;) {
        uint32_t mid = low + (high - low) / 2;

        if (b[mid].count >= rank)
            high = mid;
        else
            low = mid + 1;
    }
    if (low == n - 1)
        return b[n - 2].bound;
    if (low == 0 && b[0].bound <= 0)
        return b[0].bound;
    count = b[low].count;
    if (low > 0) {
        start = b[low - 1].bound;
        count -= b[low - 1].count;
        rank -= b[low - 1].count;
    }
    return start + (b[low].bound - start) * (rank / count);
}

static bool call_quantile(const rki_prom *call, rki_prom_eval_at *x, const rki_vector *args, rki_vector *out)
{
    static const rkp_str drop[] = { { "__name__", 8 }, { "le", 2 } };
    const rki_vector *in = &args[1];
    bucket *b = rki_array(x->arena, in->n ? in->n : 1, sizeof *b);
    rki_sig k = { &drop[1], 1, false, true };
    rki_vector groups = { 0 }; // labels with their names, as they come
    rki_sig_table t;
    uint32_t n = 0;

    (void)call;
    if (!b || !rki_sig_new(x, in->n, &t))
        return rki_prom_fail(x, "memory is used up");
    for (uint32_t i = 0; i < in->n; i++) {
        rkp_str le = rki_labels_get(&in->v[i].labels, "le");
        uint32_t *slot;

        if (!le.n || !rkp_parse_f64(le.p, le.n, &b[n].bound))
            continue;
        slot = rki_sig_find(&t, &k, groups.v, &in->v[i].labels);
        if (!*slot) {
            rki_elem *to = rki_vector_add(x, &groups);

            if (!to)
                return false;
            to->labels = in->v[i].labels;
            *slot = groups.n;
        }
        b[n].count = in->v[i].v;
        b[n++].group = *slot - 1;
    }
    if (n)
        qsort(b, n, sizeof *b, by_bound);
    for (uint32_t i = 0, end; i < n; i = end) {
        rki_elem *to = rki_vector_add(x, out);

        for (end = i + 1; end < n && b[end].group == b[i].group;)
            end++;
        if (!to || !rki_labels_pick(x->arena, &groups.v[b[i].group].labels, drop, 2, false, false, &to->labels))
            return rki_prom_fail(x, "memory is used up");
        to->v = quantile(args[0].v[0].v, b + i, end - i);
    }
    return true;
}

const rki_prom_fn rki_prom_fns[] = {
    { "abs", "v", RKI_PROM_VECTOR, .each = each_abs },
    { "absent", "v", RKI_PROM_VECTOR, .call = call_absent },
    { "avg_over_time", "m", RKI_PROM_VECTOR, .range = fn_avg },
    { "clamp_max", "vs", RKI_PROM_VECTOR, .each = each_clamp_max },
    { "clamp_min", "vs", RKI_PROM_VECTOR, .each = each_clamp_min },
    { "count_over_time", "m", RKI_PROM_VECTOR, .range = fn_count },
    { "delta", "m", RKI_PROM_VECTOR, .range = fn_delta },
    { "histogram_quantile", "sv", RKI_PROM_VECTOR, .call = call_quantile },
    { "increase", "m", RKI_PROM_VECTOR, .range = fn_increase },
    { "last_over_time", "m", RKI_PROM_VECTOR, .range = fn_last },
    { "max_over_time", "m", RKI_PROM_VECTOR, .range = fn_max },
    { "min_over_time", "m", RKI_PROM_VECTOR, .range = fn_min },
    { "rate", "m", RKI_PROM_VECTOR, .range = fn_rate },
    { "scalar", "v", RKI_PROM_SCALAR, .call = call_scalar },
    { "sum_over_time", "m", RKI_PROM_VECTOR, .range = fn_sum },
    { "time", "", RKI_PROM_SCALAR, .call = call_time },
    { "vector", "s", RKI_PROM_VECTOR, .call = call_vector },
    { 0 },
};
