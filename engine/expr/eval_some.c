// eval_some.c - the nodes that need not look at every row: && || ?: ?? in.
//
// They evaluate a part only for its rows: they pick those rows out, evaluate the part densely, and put its values back.
// That is what makes `x != 0 && 10 / x > 1` safe and cheap.
#include "expr/eval.h"

// ---- rows taken out of others ---------------------------------------------------------------------------------------

static bool pick(rki_eval *x, const rki_rows *r, const uint32_t *pos, uint32_t n, rki_rows *out)
{
    uint32_t *at = rki_take(x, (size_t)n * sizeof *at);

    if (!at)
        return false;
    for (uint32_t i = 0; i < n; i++)
        at[i] = rki_row(r, pos[i]);
    *out = (rki_rows){ .at = at, .n = n, .id = ++x->next_id, .up = r, .pos = pos };
    return true;
}

// out[pos[i]] = a[i], values and states; out->st must be there.
static void scatter(rkp_vec *out, const rkp_vec *a, const uint32_t *pos, uint32_t n)
{
    switch (rki_width(out->kind)) {
    case 1:
        for (uint32_t i = 0; i < n; i++)
            ((uint8_t *)out->v)[pos[i]] = RKI_AT(uint8_t, *a, i);
        break;
    case 8:
        for (uint32_t i = 0; i < n; i++)
            ((uint64_t *)out->v)[pos[i]] = RKI_AT(uint64_t, *a, i);
        break;
    default:
        for (uint32_t i = 0; i < n; i++)
            ((rkp_str *)out->v)[pos[i]] = RKI_AT(rkp_str, *a, i);
        break;
    }
    for (uint32_t i = 0; i < n; i++)
        out->st[pos[i]] = a->st ? a->st[i * a->step] : 0;
}

// Evaluates a node for the rows pos[0..n) of r (pos NULL: all of them) and puts the values in their places.
static bool run_into(rki_eval *x, const rki_node *n, const rki_rows *r, const uint32_t *pos, uint32_t count,
                     rkp_vec *out)
{
    rki_top m = rki_top_of(x);
    rki_rows sub;
    rkp_vec a = { 0 };

    if (count == 0)
        return true;
    if (!pick(x, r, pos, count, &sub) || !rki_run(x, n, &sub, &a))
        return false;
    scatter(out, &a, pos, count);
    rki_release(x, m);
    return true;
}

// ---- nodes that look at some rows only ------------------------------------------------------------------------------

// The rows that && || and `in` have not decided yet: pos[0..n) of r, or all of r while pos was not needed.
typedef struct open {
    const rki_rows *r;
    uint32_t *pos;
    uint32_t n;
    bool all;
} open_rows;

// Narrows the open rows by a part's values: a row whose value is `decides` gets it and is closed; an error closes it; a
// null marks it and leaves it open.
static void narrow(open_rows *o, const rkp_vec *a, uint8_t decides, rkp_vec *out)
{
    uint32_t k = 0;
    uint8_t *v = out->v;

    for (uint32_t i = 0; i < o->n; i++) {
        uint32_t at = o->all ? i : o->pos[i];
        uint8_t s = a->st ? a->st[i * a->step] : 0;

        if (s == 0 && RKI_AT(uint8_t, *a, i) == decides) {
            v[at] = decides;
            out->st[at] = 0;
        } else if (s > 1) {
            out->st[at] = s;
        } else {
            if (s)
                out->st[at] = 1;
            o->pos[k++] = at;
        }
    }
    o->all = o->all && k == o->n;
    o->n = k;
}

static bool run_open(rki_eval *x, const rki_node *n, const open_rows *o, rkp_vec *a)
{
    rki_rows *sub;

    if (o->all)
        return rki_run(x, n, o->r, a);
    sub = rki_take(x, sizeof *sub);
    return sub && pick(x, o->r, o->pos, o->n, sub) && rki_run(x, n, sub, a);
}

bool rki_run_logic(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out)
{
    uint8_t decides = n->op == RKI_X_OR, *st;
    open_rows o = { .r = r, .n = r->n, .all = true };

    if (!rki_make(x, n, r->n, out, &st))
        return false;
    o.pos = rki_take(x, (size_t)r->n * sizeof *o.pos);
    if (!o.pos)
        return false;
    memset(out->v, !decides, r->n);
    memset(st, 0, r->n);
    out->st = st;
    out->step = 1;
    for (uint32_t i = 0; i < n->n && o.n; i++) {
        rki_top top = rki_top_of(x);
        rkp_vec a = { 0 };

        if (!run_open(x, n->arg[i], &o, &a))
            return false;
        narrow(&o, &a, decides, out);
        rki_release(x, top);
    }
    rki_drop_states(out, r->n);
    return true;
}

// `in` with parts that are not constant: x == a || x == b .., with x evaluated once.
static bool run_in_parts(rki_eval *x, const rki_node *n, const open_rows *all, const rkp_vec *subject, rkp_vec *out)
{
    open_rows o = *all;
    size_t w = rki_width(subject->kind);

    for (uint32_t i = 1; i < n->n && o.n; i++) {
        rki_top top = rki_top_of(x);
        rkp_vec a[2] = { 0 }, eq = { .kind = RKP_BOOL, .step = 1 };
        uint8_t *st;

        if (!run_open(x, n->arg[i], &o, &a[1]))
            return false;
        a[0] = *subject;
        a[0].st = NULL;
        if (!o.all && subject->step) {
            char *v = rki_take(x, o.n * w);

            if (!v)
                return false;
            for (uint32_t k = 0; k < o.n; k++)
                memcpy(v + k * w, (const char *)subject->v + o.pos[k] * w, w);
            a[0].v = v;
        }
        eq.v = rki_take(x, o.n);
        st = rki_take(x, o.n);
        if (!eq.v || !st)
            return false;
        eq.st = rki_join(&a[1], 1, o.n, st);
        rki_compare(RKI_EQ, eq.v, &a[0], &a[1], o.n);
        narrow(&o, &eq, 1, out);
        rki_release(x, top);
    }
    return true;
}

bool rki_run_in(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out)
{
    rkp_vec a = { 0 };
    uint8_t *st, *v;
    open_rows o = { .r = r, .all = true };
    rki_top top;

    if (!rki_make(x, n, r->n, out, &st))
        return false;
    v = out->v;
    o.pos = rki_take(x, (size_t)r->n * sizeof *o.pos);
    top = rki_top_of(x);
    if (!o.pos || !rki_run(x, n->arg[0], r, &a))
        return false;
    out->step = 1;
    out->st = st;
    if (!rki_join(&a, 1, r->n, st))
        memset(st, 0, r->n);
    if (n->data) {
        rki_set_has(n->data, &a, r->n, v);
        for (uint32_t i = 0; rki_set_null(n->data) && i < r->n; i++)
            if (!v[i] && !st[i])
                st[i] = 1;
    } else {
        memset(v, 0, r->n);
        for (uint32_t i = 0; i < r->n; i++)
            if (!st[i])
                o.pos[o.n++] = i;
        o.all = o.n == r->n;
        if (!run_in_parts(x, n, &o, &a, out))
            return false;
    }
    for (uint32_t i = 0; n->sub && i < r->n; i++)
        v[i] ^= 1;
    rki_drop_states(out, r->n);
    rki_release(x, top);
    return true;
}

static void scatter_nothing(rkp_vec *out, uint32_t i)
{
    size_t w = rki_width(out->kind);

    memset((char *)out->v + i * w, 0, w);
    if (w == sizeof(rkp_str))
        ((rkp_str *)out->v)[i].p = "";
}

bool rki_run_cond(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out)
{
    rkp_vec c = { 0 };
    uint32_t *yes, *no, n_yes = 0, n_no = 0;
    uint8_t *st;

    if (!rki_make(x, n, r->n, out, &st))
        return false;
    yes = rki_take(x, (size_t)r->n * sizeof *yes);
    no = rki_take(x, (size_t)r->n * sizeof *no);
    if (!yes || !no || !rki_run(x, n->arg[0], r, &c))
        return false;
    out->st = st;
    out->step = 1;
    for (uint32_t i = 0; i < r->n; i++) {
        uint8_t s = c.st ? c.st[i * c.step] : 0;

        st[i] = s;
        if (s > 1) {
            scatter_nothing(out, i);
        } else if (s == 0 && RKI_AT(uint8_t, c, i)) {
            yes[n_yes++] = i;
        } else {
            no[n_no++] = i;
        }
    }
    if (n_yes == r->n || n_no == r->n) { // one side has it all
        out->st = NULL;
        return rki_run(x, n->arg[n_yes ? 1 : 2], r, out);
    }
    if (!run_into(x, n->arg[1], r, yes, n_yes, out) || !run_into(x, n->arg[2], r, no, n_no, out))
        return false;
    rki_drop_states(out, r->n);
    return true;
}

bool rki_run_coalesce(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out)
{
    rkp_vec a = { 0 };
    uint32_t *pos, k = 0;
    uint8_t *st;

    if (!rki_make(x, n, r->n, out, &st))
        return false;
    pos = rki_take(x, (size_t)r->n * sizeof *pos);
    if (!pos || !rki_run(x, n->arg[0], r, &a))
        return false;
    for (uint32_t i = 0; a.st && i < r->n; i++) {
        pos[k] = i;
        k += a.st[i * a.step] == 1;
    }
    if (k == 0) {
        *out = a;
        return true;
    }
    out->st = st;
    out->step = 1;
    rki_copy_values(out, &a, r->n);
    for (uint32_t i = 0; i < r->n; i++)
        st[i] = a.st[i * a.step];
    for (uint32_t j = 1; j < n->n && k; j++) {
        uint32_t open = 0;

        if (!run_into(x, n->arg[j], r, pos, k, out))
            return false;
        for (uint32_t i = 0; i < k; i++)
            if (st[pos[i]] == 1)
                pos[open++] = pos[i];
        k = open;
    }
    rki_drop_states(out, r->n);
    return true;
}
