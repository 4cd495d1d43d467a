// promql_binary.c - what joins vectors: operators with their matching of labels, and aggregations.
//
// Both sides of an operator meet by a signature, the labels of on(..) or all but those of ignoring(..) and the name.  A
// table with open addresses finds the partner; it is made anew for every operator, in the arena.
#include "watch/promql_tree.h"

bool rki_sig_new(rki_prom_eval_at *x, uint32_t n, rki_sig_table *t)
{
    uint32_t size = 4;

    while (size < 2 * n)
        size *= 2;
    t->mask = size - 1;
    t->slot = rki_array(x->arena, size, sizeof *t->slot);
    return t->slot || rki_prom_fail(x, "memory is used up");
}

uint32_t *rki_sig_find(const rki_sig_table *t, const rki_sig *k, const rki_elem *v, const rki_labels *l)
{
    uint32_t at = (uint32_t)rki_labels_pick_hash(l, k->names, k->n, k->keep, !k->name) & t->mask;

    while (t->slot[at] && !rki_labels_pick_eq(&v[t->slot[at] - 1].labels, l, k->names, k->n, k->keep, !k->name))
        at = (at + 1) & t->mask;
    return &t->slot[at];
}

bool rki_prom_distinct(rki_prom_eval_at *x, const rki_vector *v)
{
    rki_sig all = { .name = true };
    rki_sig_table t;

    if (v->n < 2)
        return true;
    if (!rki_sig_new(x, v->n, &t))
        return false;
    for (uint32_t i = 0; i < v->n; i++) {
        uint32_t *slot = rki_sig_find(&t, &all, v->v, &v->v[i].labels);

        if (*slot)
            return rki_prom_fail(x, "two series have the same labels");
        *slot = i + 1;
    }
    return true;
}

// ---- operators ------------------------------------------------------------------------------------------------------

// The value, and whether a filter lets the left one pass.
static bool apply(unsigned op, double l, double r, double *v)
{
    *v = l;
    switch (op) {
    case RKI_PROM_PLUS:
        *v = l + r;
        return true;
    case RKI_PROM_MINUS:
        *v = l - r;
        return true;
    case RKI_PROM_TIMES:
        *v = l * r;
        return true;
    case RKI_PROM_DIVIDE:
        *v = l / r;
        return true;
    case RKI_PROM_MODULO:
        *v = fmod(l, r);
        return true;
    case RKI_PROM_POWER:
        *v = pow(l, r);
        return true;
    case RKI_PROM_EQ:
        return l == r;
    case RKI_PROM_NE:
        return l != r;
    case RKI_PROM_LE:
        return l <= r;
    case RKI_PROM_LT:
        return l < r;
    case RKI_PROM_GE:
        return l >= r;
    default:
        return l > r;
    }
}

// The labels of what an operator makes of a and b.
static bool result_labels(rki_prom_eval_at *x, const rki_prom *e, const rki_labels *l, rki_labels *to)
{
    bool drop = e->is_bool || !rki_prom_compares(e->op);

    if (rki_labels_pick(x->arena, l, e->labels, e->n_labels, e->on, drop, to))
        return true;
    return rki_prom_fail(x, "memory is used up");
}

static rki_sig sig_of(const rki_prom *e)
{
    return (rki_sig){ e->labels, e->n_labels, e->on, e->on };
}

static bool twice(rki_prom_eval_at *x, const char *side)
{
    return rki_prom_fail(x, "several series on the %s side have the same labels to match by", side);
}

static bool join(rki_prom_eval_at *x, const rki_prom *e, const rki_vector *l, const rki_vector *r, rki_vector *out)
{
    rki_sig k = sig_of(e);
    rki_sig_table t;
    uint8_t *matched;

    if (!l->n || !r->n)
        return true;
    matched = rki_alloc(x->arena, r->n);
    if (!matched || !rki_sig_new(x, r->n, &t))
        return rki_prom_fail(x, "memory is used up");
    for (uint32_t i = 0; i < r->n; i++) {
        uint32_t *slot = rki_sig_find(&t, &k, r->v, &r->v[i].labels);

        if (*slot)
            return twice(x, "right");
        *slot = i + 1;
    }
    for (uint32_t i = 0; i < l->n; i++) {
        uint32_t slot = *rki_sig_find(&t, &k, r->v, &l->v[i].labels);
        rki_elem *to;
        double v;
        bool keep;

        if (!slot)
            continue;
        keep = apply(e->op, l->v[i].v, r->v[slot - 1].v, &v);
        if (e->is_bool)
            v = keep;
        else if (!keep)
            continue;
        // Only what passes counts, as in Prometheus.
        if (matched[slot - 1]++)
            return twice(x, "left");
        to = rki_vector_add(x, out);
        if (!to || !result_labels(x, e, &l->v[i].labels, &to->labels))
            return false;
        to->v = v;
    }
    return true;
}

static bool with_scalar(rki_prom_eval_at *x, const rki_prom *e, const rki_vector *v, double s, bool swapped,
                        rki_vector *out)
{
    bool drop = e->is_bool || !rki_prom_compares(e->op);

    for (uint32_t i = 0; i < v->n; i++) {
        double one = v->v[i].v, value;
        bool keep = swapped ? apply(e->op, s, one, &value) : apply(e->op, one, s, &value);
        rki_elem *to;

        if (e->is_bool)
            value = keep;
        else if (!keep)
            continue;
        else if (rki_prom_compares(e->op))
            value = one;
        to = rki_vector_add(x, out);
        if (!to)
            return false;
        *to = (rki_elem){ v->v[i].labels, value };
        if (drop && !rki_labels_pick(x->arena, &to->labels, NULL, 0, false, true, &to->labels))
            return rki_prom_fail(x, "memory is used up");
    }
    return true;
}

static bool set_operator(rki_prom_eval_at *x, const rki_prom *e, const rki_vector *l, const rki_vector *r,
                         rki_vector *out)
{
    const rki_vector *in = e->op == RKI_PROM_OR ? l : r, *from = e->op == RKI_PROM_OR ? r : l;
    rki_sig k = sig_of(e);
    rki_sig_table t;

    if (!rki_sig_new(x, in->n, &t))
        return false;
    for (uint32_t i = 0; i < in->n; i++) {
        uint32_t *slot = rki_sig_find(&t, &k, in->v, &in->v[i].labels);

        if (!*slot)
            *slot = i + 1;
        if (e->op == RKI_PROM_OR) {
            rki_elem *to = rki_vector_add(x, out);

            if (!to)
                return false;
            *to = in->v[i];
        }
    }
    for (uint32_t i = 0; i < from->n; i++) {
        bool there = *rki_sig_find(&t, &k, in->v, &from->v[i].labels) != 0;
        rki_elem *to;

        if (there != (e->op == RKI_PROM_AND))
            continue;
        to = rki_vector_add(x, out);
        if (!to)
            return false;
        *to = from->v[i];
    }
    return true;
}

bool rki_prom_binary(rki_prom_eval_at *x, const rki_prom *e, const rki_vector *l, const rki_vector *r, rki_vector *out)
{
    rki_elem *to;
    double v;
    bool keep;

    if (rki_prom_is_set(e->op))
        return set_operator(x, e, l, r, out);
    if (l->scalar && r->scalar) {
        to = rki_vector_add(x, out);
        if (!to)
            return false;
        keep = apply(e->op, l->v[0].v, r->v[0].v, &v);
        to->v = rki_prom_compares(e->op) ? keep : v;
        out->scalar = true;
        return true;
    }
    if (l->scalar || r->scalar)
        return l->scalar ? with_scalar(x, e, r, l->v[0].v, true, out) : with_scalar(x, e, l, r->v[0].v, false, out);
    return join(x, e, l, r, out);
}

// ---- aggregations ---------------------------------------------------------------------------------------------------

static void aggregate_one(unsigned op, rki_elem *to, uint32_t *count, double v)
{
    double n = ++*count;

    switch (op) {
    case RKI_AGG_SUM:
        to->v += v;
        break;
    case RKI_AGG_AVG:
        if (isinf(to->v) && ((isinf(v) && (to->v > 0) == (v > 0)) || isfinite(v)))
            break;
        to->v += v / n - to->v / n; // as Prometheus: no sum that could overflow
        break;
    case RKI_AGG_MAX:
        if (to->v < v || isnan(to->v))
            to->v = v;
        break;
    case RKI_AGG_MIN:
        if (to->v > v || isnan(to->v))
            to->v = v;
        break;
    default:
        break;
    }
}

bool rki_prom_aggregate(rki_prom_eval_at *x, const rki_prom *e, const rki_vector *in, rki_vector *out)
{
    rki_sig k = sig_of(e);
    uint32_t *counts = rki_array(x->arena, in->n ? in->n : 1, sizeof *counts);
    rki_sig_table t;

    if (!counts || !rki_sig_new(x, in->n, &t))
        return rki_prom_fail(x, "memory is used up");
    for (uint32_t i = 0; i < in->n; i++) {
        // Group labels have the same signature as those of their members.
        uint32_t *slot = rki_sig_find(&t, &k, out->v, &in->v[i].labels);
        rki_elem *to;

        if (*slot) {
            aggregate_one(e->op, &out->v[*slot - 1], &counts[*slot - 1], in->v[i].v);
            continue;
        }
        to = rki_vector_add(x, out);
        if (!to)
            return false;
        if (!rki_labels_pick(x->arena, &in->v[i].labels, e->labels, e->n_labels, e->on, !e->on, &to->labels))
            return rki_prom_fail(x, "memory is used up");
        to->v = in->v[i].v;
        *slot = out->n;
        counts[out->n - 1] = 1;
    }
    for (uint32_t i = 0; i < out->n && e->op == RKI_AGG_COUNT; i++)
        out->v[i].v = counts[i];
    return true;
}
