// eval.c - runs a typed tree over rows: the walk, and the nodes that are leaves or functions.
//
// Rows are taken RKI_CHUNK at a time.  A node gets its arguments' registers and makes one of its own; registers come
// from a stack in the frame, whose blocks are kept, so a warm frame asks the system for nothing.
//
// The state of a row (rkp_vec.st) is 0, null, or an error; two states join to the greater.
#include "expr/eval.h"

#include "expr/kernels.h"

#include <rkpipe/num.h>

// ---- registers ------------------------------------------------------------------------------------------------------

size_t rki_width(unsigned kind)
{
    return kind == RKP_BOOL ? 1 : kind >= RKP_STRING ? sizeof(rkp_str) : 8;
}

// Joins the states of k arguments over n rows into st; NULL when every row has a value.
uint8_t *rki_join(const rkp_vec *a, uint32_t k, uint32_t n, uint8_t *st)
{
    bool any = false;

    for (uint32_t j = 0; j < k; j++) {
        if (!a[j].st || (!a[j].step && !a[j].st[0]))
            continue;
        if (a[j].step && !any) {
            memcpy(st, a[j].st, n);
        } else if (a[j].step) {
            rki_k_max_u8(st, a[j].st, n);
        } else {
            if (!any)
                memset(st, 0, n);
            for (uint32_t i = 0; i < n; i++)
                st[i] = st[i] > a[j].st[0] ? st[i] : a[j].st[0];
        }
        any = true;
    }
    return any ? st : NULL;
}

// Memory for the values and states of a node that makes n of them.
bool rki_make(rki_eval *x, const rki_node *n, uint32_t rows, rkp_vec *out, uint8_t **st)
{
    out->kind = n->kind;
    if (!out->v)
        out->v = rki_take(x, rows * rki_width(n->kind));
    *st = rki_take(x, rows);
    out->st = NULL;
    return out->v && *st;
}

void rki_copy_values(rkp_vec *out, const rkp_vec *a, uint32_t n)
{
    size_t w = rki_width(out->kind);

    if (a->step) {
        memcpy(out->v, a->v, n * w);
        return;
    }
    if (w == 1)
        memset(out->v, *(const uint8_t *)a->v, n);
    else if (w == 8)
        for (uint32_t i = 0; i < n; i++)
            ((uint64_t *)out->v)[i] = *(const uint64_t *)a->v;
    else
        for (uint32_t i = 0; i < n; i++)
            ((rkp_str *)out->v)[i] = *(const rkp_str *)a->v;
}

void rki_drop_states(rkp_vec *v, uint32_t n)
{
    if (v->st && !rki_k_any_u8(v->st, v->step ? n : 1))
        v->st = NULL;
}

// ---- leaves ---------------------------------------------------------------------------------------------------------

static uint8_t is_null[1] = { 1 };

static bool run_const(const rki_node *n, rkp_vec *out)
{
    static const rkp_str empty = { "", 0 };

    *out = (rkp_vec){ .kind = n->kind, .v = (void *)&n->v, .st = n->null ? is_null : NULL };
    if (n->null)
        out->v = (void *)&empty;
    return true;
}

// Values that are cached for rows from which these were taken: looked up instead of parsed again.
static bool from_cache(rki_eval *x, const rki_cached *c, const rki_rows *r, rkp_vec *out, bool *found)
{
    const rki_rows *up = r;
    uint32_t *at;
    rkp_vec v = { .kind = c->v.kind, .step = 1, .v = NULL };

    *found = false;
    while (up && up->id != c->id)
        up = up->up;
    if (!up || !c->id)
        return true;
    *found = true;
    if (up == r || !c->v.step) {
        *out = c->v;
        return true;
    }
    at = rki_take(x, (size_t)r->n * sizeof *at);
    v.v = out->v ? out->v : rki_take(x, r->n * rki_width(v.kind));
    v.st = c->v.st ? rki_take(x, r->n) : NULL;
    if (!at || !v.v || (c->v.st && !v.st))
        return false;
    for (uint32_t i = 0; i < r->n; i++)
        at[i] = r->pos[i];
    for (const rki_rows *s = r->up; s != up; s = s->up)
        for (uint32_t i = 0; i < r->n; i++)
            at[i] = s->pos[at[i]];
    switch (rki_width(v.kind)) {
    case 1:
        for (uint32_t i = 0; i < r->n; i++)
            ((uint8_t *)v.v)[i] = ((const uint8_t *)c->v.v)[at[i]];
        break;
    case 8:
        for (uint32_t i = 0; i < r->n; i++)
            ((uint64_t *)v.v)[i] = ((const uint64_t *)c->v.v)[at[i]];
        break;
    default:
        for (uint32_t i = 0; i < r->n; i++)
            ((rkp_str *)v.v)[i] = ((const rkp_str *)c->v.v)[at[i]];
        break;
    }
    for (uint32_t i = 0; v.st && i < r->n; i++)
        v.st[i] = c->v.st[at[i]];
    *out = v;
    return true;
}

static bool run_column(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out)
{
    const rkp_col *c = &x->b->cols[n->v.index];
    rki_cached *slot = n->slot != UINT32_MAX && c->rep == RKP_TEXT ? &x->f->cache[n->slot] : NULL;
    bool found;
    char *keep;
    rkp_vec v = { 0 };

    if (!slot)
        return rki_load(x, n->v.index, r, out);
    if (!from_cache(x, slot, r, out, &found))
        return false;
    if (found)
        return true;
    // The values must outlive the registers of the node that asks first.
    v.v = rki_text(x, r->n * rki_width(n->kind));
    if (!v.v || !rki_load(x, n->v.index, r, &v))
        return false;
    if (v.st) {
        keep = rki_text(x, r->n);
        if (!keep)
            return false;
        memcpy(keep, v.st, r->n);
        v.st = (uint8_t *)keep;
    }
    *slot = (rki_cached){ r->id, v };
    *out = v;
    return true;
}

const rkp_str rkp_meta_names[RKP_N_META] = { { "kernel", 6 }, { "topic", 5 }, { "hlc", 3 } };

// The topic of every row; one value when they came over one.
static bool run_topic(rki_eval *x, const rki_rows *r, rkp_vec *out)
{
    bool many = x->b && x->b->topic_of;
    rkp_str *v = rki_take(x, (many ? r->n + 1u : 1u) * sizeof *v);

    if (!v)
        return false;
    *v = x->b && x->b->topics ? x->b->topics->names[0] : (rkp_str){ NULL, 0 };
    for (uint32_t i = 0; many && i < r->n; i++)
        v[i] = rkp_batch_topic(x->b, rki_row(r, i));
    *out = (rkp_vec){ .kind = RKP_STRING, .step = many ? 1 : 0, .v = v, .st = v->p ? NULL : is_null };
    if (!v->p)
        *v = (rkp_str){ "", 0 };
    return true;
}

static bool run_meta(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out)
{
    rkp_str *s;

    if (n->v.index == RKP_META_TOPIC)
        return run_topic(x, r, out);
    s = rki_take(x, sizeof *s + 24);
    if (!s)
        return false;
    *s = (rkp_str){ NULL, 0 };
    if (n->v.index == RKP_META_KERNEL && x->meta)
        *s = x->meta->kernel;
    if (n->v.index == RKP_META_HLC && x->meta && x->meta->stamp) {
        char *text = (char *)(s + 1);

        *s = (rkp_str){ text, (size_t)rkp_print_u64(text, x->meta->stamp) };
    }
    *out = (rkp_vec){ .kind = RKP_STRING, .v = s, .st = s->p ? NULL : is_null };
    if (!s->p)
        *s = (rkp_str){ "", 0 };
    return true;
}

static bool run_row(rki_eval *x, const rki_rows *r, rkp_vec *out)
{
    int64_t *v = out->v ? out->v : rki_take(x, (size_t)r->n * sizeof *v);
    uint64_t first = x->meta ? x->meta->first_row : 0;

    if (!v)
        return false;
    for (uint32_t i = 0; i < r->n; i++)
        v[i] = (int64_t)(first + rki_row(r, i));
    *out = (rkp_vec){ .kind = RKP_I64, .step = 1, .v = v };
    return true;
}

// ---- functions ------------------------------------------------------------------------------------------------------

// Evaluates the arguments; out gets the joined states (always there), and room for the values.
static bool run_args(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out, rkp_vec **args, bool sees_null,
                     rki_top *top)
{
    uint8_t *st;
    rkp_vec *a;
    uint32_t m;

    if (!rki_make(x, n, r->n, out, &st))
        return false;
    *top = rki_top_of(x);
    *args = a = rki_take(x, (n->n + 1) * sizeof *a);
    if (!a)
        return false;
    memset(a, 0, (n->n + 1) * sizeof *a);
    out->step = 0;
    for (uint32_t i = 0; i < n->n; i++) {
        if (!rki_run(x, n->arg[i], r, &a[i]))
            return false;
        out->step |= a[i].step;
    }
    m = out->step ? r->n : 1;
    if (!rki_join(a, n->n, m, st))
        memset(st, 0, m);
    if (sees_null)
        for (uint32_t i = 0; i < m; i++)
            st[i] = st[i] == 1 ? 0 : st[i];
    out->st = st;
    return true;
}

static bool run_fn(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out)
{
    const rki_fn *f = n->aux;
    rki_rows one = *r;
    rkp_vec *a;
    rki_top top;

    if (!run_args(x, n, r, out, &a, f->sees_null, &top))
        return false;
    if (!out->step)
        one.n = 1;
    if (!f->eval(x, n, &one, a, out))
        return false;
    rki_drop_states(out, r->n);
    // What a function gives may be one of its arguments: those that make text keep their registers.
    if (rki_width(n->kind) != sizeof(rkp_str))
        rki_release(x, top);
    return true;
}

static bool run_extra(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out)
{
    const rkp_expr_fn *f = n->aux;
    rkp_expr_call call = { .seed = x->f->seed, .site = x->e->site * 0x9e3779b97f4a7c15u + n->v.u, .n = r->n };
    uint64_t *rows, first = x->meta ? x->meta->first_row : 0;
    rkp_vec *a;
    rki_top top;

    if (!run_args(x, n, r, out, &a, false, &top))
        return false;
    if (!out->step) // every row has its own value although the arguments are the same
        for (uint32_t i = r->n; i-- > 0;)
            out->st[i] = out->st[0];
    out->step = 1;
    rows = rki_take(x, (size_t)r->n * sizeof *rows);
    if (!rows)
        return false;
    for (uint32_t i = 0; i < r->n; i++)
        rows[i] = first + rki_row(r, i);
    call.rows = rows;
    call.memory = x;
    if (f->eval(&call, a, n->n, out) != RKP_OK)
        return false;
    rki_drop_states(out, r->n);
    return true;
}

static bool run_match(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out)
{
    rkp_regex_run *m = rki_frame_regex(x->f, n->data);
    rkp_vec *a;
    rki_top top;
    uint32_t count;

    // The pattern is an argument too, a constant one.
    if (!m || !run_args(x, n, r, out, &a, false, &top))
        return false;
    count = out->step ? r->n : 1;
    for (uint32_t i = 0; i < count; i++) {
        int rc = 0;

        if (!out->st[i])
            rc = rkp_regex_match(n->data, m, RKI_AT(rkp_str, a[0], i), NULL, 0);
        ((uint8_t *)out->v)[i] = rc > 0;
        if (rc < 0)
            rki_row_bad(x, r, i, out, RKP_ROW_REGEX, -1, RKI_AT(rkp_str, a[0], i));
    }
    rki_drop_states(out, r->n);
    rki_release(x, top);
    return true;
}

static bool run_try(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out)
{
    uint32_t seen = x->f->n_details, m;
    uint8_t *st = rki_take(x, r->n);

    if (!st || !rki_run(x, n->arg[0], r, out))
        return false;
    x->f->n_details = seen;
    if (!out->st)
        return true;
    m = out->step ? r->n : 1;
    for (uint32_t i = 0; i < m; i++)
        st[i] = out->st[i] != 0;
    out->st = st;
    return true;
}

// ---- the walk -------------------------------------------------------------------------------------------------------

bool rki_run(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out)
{
    switch (n->op) {
    case RKI_X_CONST:
        return run_const(n, out);
    case RKI_X_COL:
        return run_column(x, n, r, out);
    case RKI_X_META:
        return run_meta(x, n, r, out);
    case RKI_X_ROW:
        return run_row(x, r, out);
    case RKI_X_ARITH:
        return rki_run_arith(x, n, r, out);
    case RKI_X_NEG:
        return rki_run_neg(x, n, r, out);
    case RKI_X_CONV:
        return rki_run_conv(x, n, r, out);
    case RKI_X_CMP:
        return rki_run_cmp(x, n, r, out);
    case RKI_X_NOT:
        return rki_run_not(x, n, r, out);
    case RKI_X_AND:
    case RKI_X_OR:
        return rki_run_logic(x, n, r, out);
    case RKI_X_IN:
        return rki_run_in(x, n, r, out);
    case RKI_X_MATCH:
        return run_match(x, n, r, out);
    case RKI_X_COND:
        return rki_run_cond(x, n, r, out);
    case RKI_X_COALESCE:
        return rki_run_coalesce(x, n, r, out);
    case RKI_X_TRY:
        return run_try(x, n, r, out);
    case RKI_X_EXTRA:
        return run_extra(x, n, r, out);
    default:
        return run_fn(x, n, r, out);
    }
}

bool rki_fold(rkp_frame *f, const rki_node *n, rki_node *to, uint8_t *state, rki_arena *a)
{
    static const rkp_expr none = { .column = -1 };
    rki_eval x = { .f = f, .e = &none };
    rki_rows one = { .n = 1, .id = 1 };
    rkp_vec v = { 0 };
    bool ok;

    x.next_id = 1;
    ok = rki_run(&x, n, &one, &v);
    *state = ok && v.st ? v.st[0] : 0;
    if (ok && *state == 0) {
        switch (rki_width(v.kind)) {
        case 1:
            to->v.b = *(const uint8_t *)v.v != 0;
            break;
        case 8:
            to->v.u = *(const uint64_t *)v.v;
            break;
        default:
            to->v.s = *(const rkp_str *)v.v;
            to->v.s = to->v.s.n ? rki_dup_str(a, to->v.s) : (rkp_str){ "", 0 };
            ok = to->v.s.p != NULL;
            break;
        }
    }
    rki_frame_reset(f);
    return ok;
}
