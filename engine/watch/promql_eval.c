// promql_eval.c - the value of a tree at one moment: selectors, calls, and what leads to promql_binary.c.
//
// A vector is an array of (labels, value) in the arena of the run; labels point into the store or the arena.  Nothing of
// an evaluation outlives the next one.
#include "watch/promql_tree.h"

#include "expr/functions.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct rki_prom_run {
    rki_arena arena;
    rkp_regex_run *regex;
    char why[400];
};

rki_prom_run *rki_prom_run_new(void)
{
    rki_prom_run *r = calloc(1, sizeof *r);

    if (r)
        rki_arena_init(&r->arena);
    return r;
}

void rki_prom_run_free(rki_prom_run *r)
{
    if (!r)
        return;
    rki_arena_fini(&r->arena);
    rkp_regex_run_free(r->regex);
    free(r);
}

bool rki_prom_fail(rki_prom_eval_at *x, const char *fmt, ...)
{
    va_list ap;
    rkp_str s;

    if (x->why)
        return false;
    va_start(ap, fmt);
    s = rki_vprintf(x->arena, fmt, ap);
    va_end(ap);
    x->why = s.p ? s.p : "memory is used up";
    return false;
}

// Grows by copying: 8, 16, 32, ..
rki_elem *rki_vector_add(rki_prom_eval_at *x, rki_vector *v)
{
    if (v->n == 0 || (v->n >= 8 && (v->n & (v->n - 1)) == 0)) {
        rki_elem *to = rki_array(x->arena, v->n ? 2 * v->n : 8, sizeof *to);

        if (!to || x->arena->total > RKI_PROM_BYTES) {
            rki_prom_fail(x, to ? "the expression needs too much memory" : "memory is used up");
            return NULL;
        }
        if (v->n)
            memcpy(to, v->v, v->n * sizeof *to);
        v->v = to;
    }
    return &v->v[v->n++];
}

static bool work(rki_prom_eval_at *x, uint64_t n)
{
    x->work += n;
    if (x->work > RKI_PROM_SAMPLES)
        return rki_prom_fail(x, "the expression looks at more than %d samples", RKI_PROM_SAMPLES);
    return true;
}

// ---- selectors ------------------------------------------------------------------------------------------------------

static int matches(rki_prom_eval_at *x, const rki_matcher *m, rkp_str value)
{
    bool want = m->how == RKI_MATCH_EQ || m->how == RKI_MATCH_RE;
    int hit;

    if (!m->re)
        return rkp_str_eq(m->value, value) == want;
    *x->regex = rki_regex_run_fit(*x->regex, m->re);
    if (!*x->regex) {
        rki_prom_fail(x, "memory is used up");
        return -1;
    }
    hit = rkp_regex_match(m->re, *x->regex, value, NULL, 0);
    if (hit < 0) {
        rki_prom_fail(x, "a regular expression takes too long");
        return -1;
    }
    return (hit == 1) == want;
}

// Is series i selected?  -1: failed.
static int selected(rki_prom_eval_at *x, const rki_prom *e, uint32_t i)
{
    const rki_labels *l = rki_series_labels(x->series, i);

    if (e->name.p && !rkp_str_eq(e->name, rki_series_name(x->series, i)))
        return 0;
    for (uint32_t k = e->name.p ? 1 : 0; k < e->n_matchers; k++) {
        int hit = matches(x, &e->matchers[k], rki_labels_find(l, e->matchers[k].name));

        if (hit != 1)
            return hit;
    }
    return 1;
}

static bool eval_selector(rki_prom_eval_at *x, const rki_prom *e, rki_vector *out)
{
    uint32_t n = rki_series_n(x->series);

    if (!work(x, n))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        int hit = selected(x, e, i);
        rki_elem *to;
        double v;

        if (hit < 0)
            return false;
        if (!hit || !rki_series_at(x->series, i, x->ms, RKI_PROM_BACK_MS, &v))
            continue;
        to = rki_vector_add(x, out);
        if (!to || !work(x, 1))
            return false;
        *to = (rki_elem){ *rki_series_labels(x->series, i), v };
        x->seen++;
    }
    return true;
}

// ---- calls ----------------------------------------------------------------------------------------------------------

static bool eval(rki_prom_eval_at *x, const rki_prom *e, rki_vector *out);

static bool drop_name(rki_prom_eval_at *x, const rki_labels *from, rki_labels *to)
{
    if (rki_labels_pick(x->arena, from, NULL, 0, false, true, to))
        return true;
    return rki_prom_fail(x, "memory is used up");
}

// A function of a range: one value per series that has samples enough.
static bool call_range(rki_prom_eval_at *x, const rki_prom *e, rki_vector *out)
{
    const rki_prom *arg = e->arg[0];
    bool keeps_name = strcmp(e->fn->name, "last_over_time") == 0;
    uint32_t n = rki_series_n(x->series), room;
    rki_sample *samples;
    int64_t from;

    while (arg->kind == RKI_PROM_PAREN)
        arg = arg->arg[0];
    from = x->ms - arg->range_ms;
    room = rki_series_ticks(x->series, from, x->ms);
    samples = rki_array(x->arena, room ? room : 1, sizeof *samples);
    if (!samples)
        return rki_prom_fail(x, "memory is used up");
    if (!work(x, n))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        int hit = selected(x, arg, i);
        uint32_t count;
        rki_elem *to;
        double v;

        if (hit < 0)
            return false;
        count = hit ? rki_series_range(x->series, i, from, x->ms, samples, room) : 0;
        if (!work(x, hit ? room : 0))
            return false;
        x->seen += count;
        if (count == 0 || !e->fn->range(e, x, samples, count, &v))
            continue;
        to = rki_vector_add(x, out);
        if (!to)
            return false;
        to->v = v;
        to->labels = *rki_series_labels(x->series, i);
        if (!keeps_name && !drop_name(x, &to->labels, &to->labels))
            return false;
    }
    return rki_prom_distinct(x, out);
}

static bool eval_call(rki_prom_eval_at *x, const rki_prom *e, rki_vector *out)
{
    rki_vector args[2] = { 0 };

    if (e->fn->range)
        return call_range(x, e, out);
    for (uint32_t i = 0; i < e->n_args; i++)
        if (!eval(x, e->arg[i], &args[i]))
            return false;
    if (e->fn->call)
        return e->fn->call(e, x, args, out) && rki_prom_distinct(x, out);
    for (uint32_t i = 0; i < args[0].n; i++) {
        rki_elem *to = rki_vector_add(x, out);

        if (!to || !drop_name(x, &args[0].v[i].labels, &to->labels))
            return false;
        to->v = e->fn->each(args[0].v[i].v, e->n_args > 1 ? args[1].v[0].v : 0);
    }
    return rki_prom_distinct(x, out);
}

// ---- everything -----------------------------------------------------------------------------------------------------

static bool eval_sign(rki_prom_eval_at *x, const rki_prom *e, rki_vector *out)
{
    if (!eval(x, e->arg[0], out))
        return false;
    for (uint32_t i = 0; i < out->n && e->op == RKI_PROM_MINUS; i++) {
        out->v[i].v = -out->v[i].v;
        if (!out->scalar && !drop_name(x, &out->v[i].labels, &out->v[i].labels))
            return false;
    }
    return rki_prom_distinct(x, out);
}

static bool eval_number(rki_prom_eval_at *x, double v, rki_vector *out)
{
    rki_elem *to = rki_vector_add(x, out);

    if (!to)
        return false;
    to->v = v;
    out->scalar = true;
    return true;
}

static bool eval(rki_prom_eval_at *x, const rki_prom *e, rki_vector *out)
{
    rki_vector l = { 0 }, r = { 0 };

    switch (e->kind) {
    case RKI_PROM_NUMBER:
        return eval_number(x, e->number, out);
    case RKI_PROM_SELECTOR:
        return eval_selector(x, e, out);
    case RKI_PROM_PAREN:
        return eval(x, e->arg[0], out);
    case RKI_PROM_SIGN:
        return eval_sign(x, e, out);
    case RKI_PROM_CALL:
        out->scalar = e->type == RKI_PROM_SCALAR;
        return eval_call(x, e, out);
    case RKI_PROM_AGGREGATE:
        return eval(x, e->arg[0], &l) && rki_prom_aggregate(x, e, &l, out);
    default:
        if (!eval(x, e->arg[0], &l) || !eval(x, e->arg[1], &r) || !work(x, l.n + r.n))
            return false;
        return rki_prom_binary(x, e, &l, &r, out) && rki_prom_distinct(x, out);
    }
}

bool rki_prom_eval(rki_prom_run *r, const rki_prom *e, const rki_series *s, int64_t ms, rki_vector *out,
                   const char **why)
{
    rki_prom_eval_at x = { .arena = &r->arena, .series = s, .ms = ms, .regex = &r->regex };

    rki_arena_fini(&r->arena);
    rki_arena_init(&r->arena);
    *out = (rki_vector){ 0 };
    if (!eval(&x, e, out)) {
        snprintf(r->why, sizeof r->why, "%s", x.why ? x.why : "memory is used up");
        *why = r->why;
        return false;
    }
    out->seen = x.seen;
    return true;
}
