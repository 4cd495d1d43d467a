// eval_call.c - rkp_expr_eval and rkp_expr_filter: an expression over the rows of a batch, a chunk at a time.
#include "expr/eval.h"

#include "expr/kernels.h"

#include <stdlib.h>

static void add_source(rkp_frame *f, const void *p, size_t n)
{
    for (uint32_t i = 0; i < f->n_known; i++)
        if (f->src[i].p == p && f->src[i].n >= n)
            return;
    if (f->n_known == RKI_SOURCES || n == 0)
        return;
    f->src[f->n_known].p = p;
    f->src[f->n_known++].n = n;
}

// Which memory of the batch strings may point into.
static void find_sources(rki_eval *x)
{
    x->f->n_known = x->f->n_src = 0;
    for (uint32_t i = 0; i < x->e->n_reads; i++) {
        const rkp_col *c = &x->b->cols[x->e->reads[i]];

        if (c->rep == RKP_TEXT && c->text)
            add_source(x->f, c->text->base, c->text->len);
        else if (c->rep == RKP_FLAT && rkp_kind_is_view(c->type.kind) && c->type.len == 0 && c->buf_sizes)
            for (uint32_t k = 0; k < c->n_bufs && k < RKI_SOURCES; k++)
                add_source(x->f, c->bufs[k], (size_t)c->buf_sizes[k]);
    }
    x->f->n_src = x->f->n_known;
}

static bool start(rki_eval *x)
{
    rkp_frame *f = x->f;

    if (x->e->n_slots > f->cap_cache) {
        rki_cached *v = reallocarray(f->cache, x->e->n_slots, sizeof *v);

        if (!v)
            return false;
        f->cache = v;
        f->cap_cache = x->e->n_slots;
    }
    find_sources(x);
    return true;
}

static void next_chunk(rki_eval *x)
{
    rkp_frame *f = x->f;

    rki_frame_reset(f);
    f->n_details = 0;
    x->next_id = 1;
    for (uint32_t i = 0; i < x->e->n_slots; i++)
        f->cache[i].id = 0;
}

static void finish(rki_eval *x)
{
    next_chunk(x);
    rkp_batch_put(x->f->scratch);
    x->f->scratch = NULL;
    x->f->n_known = 0;
}

static rki_rows chunk_rows(const uint32_t *rows, uint32_t from, uint32_t n)
{
    uint32_t k = n - from < RKI_CHUNK ? n - from : RKI_CHUNK;

    return (rki_rows){ .at = rows ? rows + from : NULL, .base = from, .n = k, .id = 1 };
}

// The column that an evaluation fills.
typedef struct sink {
    rkp_batch *mem;
    rkp_col *out;
    char *values;
    uint8_t *valid;
    const char **bufs;
    int64_t *sizes;
    uint32_t n;
} sink;

static bool sink_new(rki_eval *x, sink *s, uint32_t n)
{
    size_t width = rkp_kind_width(x->e->type.kind), bytes = width ? width * n : (n + 7) / 8;
    size_t chunks = n / RKI_CHUNK + 1;

    s->n = n;
    s->values = rkp_batch_alloc(s->mem, bytes ? bytes : 1);
    if (!s->values)
        return false;
    if (width == 0)
        memset(s->values, 0, bytes);
    if (width != sizeof(rkp_view))
        return true;
    s->bufs = rkp_batch_alloc(s->mem, (x->f->n_src + chunks) * sizeof *s->bufs);
    s->sizes = rkp_batch_alloc(s->mem, (x->f->n_src + chunks) * sizeof *s->sizes);
    if (!s->bufs || !s->sizes)
        return false;
    for (uint32_t i = 0; i < x->f->n_src; i++) {
        s->bufs[i] = x->f->src[i].p;
        s->sizes[i] = (int64_t)x->f->src[i].n;
    }
    s->out->n_bufs = x->f->n_src;
    return true;
}

static bool sink_valid(sink *s, const rkp_vec *v, uint32_t from, uint32_t n)
{
    if (!v->st)
        return true;
    if (!s->valid) {
        s->valid = rkp_batch_alloc(s->mem, (s->n + 7) / 8 + 1);
        if (!s->valid)
            return false;
        memset(s->valid, 0xff, (s->n + 7) / 8 + 1);
    }
    for (uint32_t i = 0; i < n; i++)
        if (v->st[i * v->step])
            rkp_bit_clear(s->valid, from + i);
    return true;
}

static uint32_t source_of(const rki_eval *x, const char *p)
{
    for (uint32_t i = 0; i < x->f->n_src; i++)
        if ((uintptr_t)p - (uintptr_t)x->f->src[i].p < x->f->src[i].n)
            return i;
    return UINT32_MAX;
}

static bool sink_strs(rki_eval *x, sink *s, const rkp_vec *v, uint32_t from, uint32_t n)
{
    rkp_view *to = (rkp_view *)(void *)s->values + from;
    uint64_t total = 0;
    uint32_t at = 0, own = s->out->n_bufs;
    char *copy = NULL;

    for (uint32_t i = 0; i < n; i++) {
        rkp_str t = RKI_AT(rkp_str, *v, i);
        bool null = v->st && v->st[i * v->step];

        if (!null && t.n > 12 && source_of(x, t.p) == UINT32_MAX)
            total += t.n;
    }
    if (total > INT32_MAX)
        return false;
    if (total) {
        copy = rkp_batch_alloc(s->mem, (size_t)total);
        if (!copy)
            return false;
        s->bufs[own] = copy;
        s->sizes[own] = (int64_t)total;
        s->out->n_bufs++;
    }
    for (uint32_t i = 0; i < n; i++) {
        rkp_str t = RKI_AT(rkp_str, *v, i);
        rkp_view w = { 0 };
        uint32_t src;

        if (v->st && v->st[i * v->step])
            t.n = 0;
        w.len = (int32_t)t.n;
        if (t.n > 12) {
            memcpy(w.u.ref.prefix, t.p, 4);
            src = source_of(x, t.p);
            if (src == UINT32_MAX) {
                memcpy(copy + at, t.p, t.n);
                w.u.ref.buf = (int32_t)own;
                w.u.ref.off = (int32_t)at;
                at += (uint32_t)t.n;
            } else {
                w.u.ref.buf = (int32_t)src;
                w.u.ref.off = (int32_t)(t.p - x->f->src[src].p);
            }
        } else if (t.n) {
            memcpy(w.u.inlined, t.p, t.n);
        }
        to[i] = w;
    }
    return true;
}

static bool sink_put(rki_eval *x, sink *s, const rkp_vec *v, uint32_t from, uint32_t n)
{
    if (!sink_valid(s, v, from, n))
        return false;
    switch (rkp_kind_width(x->e->type.kind)) {
    case 0:
        for (uint32_t i = 0; i < n; i++)
            if (RKI_AT(uint8_t, *v, i) && !(v->st && v->st[i * v->step]))
                rkp_bit_set((uint8_t *)s->values, from + i);
        return true;
    case 8: {
        rkp_vec to = { .kind = v->kind, .v = s->values + (size_t)from * 8 };

        if (!v->step || to.v != v->v)
            rki_copy_values(&to, v, n);
        return true;
    }
    default:
        return sink_strs(x, s, v, from, n);
    }
}

static rkp_status eval(rki_eval *x, sink *s, const uint32_t *rows, uint32_t n, rkp_errs *errs)
{
    if (!sink_new(x, s, n))
        return RKP_NOMEM;
    for (uint32_t from = 0; from < n; from += RKI_CHUNK) {
        rki_rows r = chunk_rows(rows, from, n);
        rkp_vec v = { 0 };

        next_chunk(x);
        if (rkp_kind_width(x->e->type.kind) == 8)
            v.v = s->values + (size_t)from * 8;
        if (!rki_run(x, x->e->root, &r, &v) || !sink_put(x, s, &v, from, r.n))
            return RKP_NOMEM;
        if (v.st)
            rki_report(x, &r, &v, errs);
    }
    s->out->type = x->e->type;
    s->out->rep = RKP_FLAT;
    s->out->values = s->values;
    s->out->valid = s->valid;
    s->out->bufs = s->bufs;
    s->out->buf_sizes = s->sizes;
    s->out->phys_rows = n;
    return RKP_OK;
}

rkp_status rkp_expr_eval(const rkp_expr *e, rkp_frame *f, rkp_batch *mem, const rkp_batch *b, const rkp_meta *meta,
                         const uint32_t *rows, uint32_t n, rkp_col *out, rkp_errs *errs)
{
    rki_eval x = { .f = f, .e = e, .b = b, .mem = mem, .meta = meta, .now_us = meta ? meta->now_us : 0 };
    rkp_col col = { 0 };
    sink s = { .mem = mem, .out = &col };
    rkp_status st;

    if (e->column >= 0)
        return rkp_col_flat(mem, b, (uint32_t)e->column, rows, n, out, errs);
    if (!f || !start(&x))
        return RKP_NOMEM;
    st = eval(&x, &s, rows, n, errs);
    finish(&x);
    if (st == RKP_OK)
        *out = col;
    return st;
}

static int by_err_row(const void *a, const void *b)
{
    const rkp_err *x = a, *y = b;

    return (x->row > y->row) - (x->row < y->row);
}

static bool filter(rki_eval *x, const uint32_t *rows, uint32_t n, uint32_t *out, uint32_t *n_out, rkp_errs *errs)
{
    *n_out = 0;
    for (uint32_t from = 0; from < n; from += RKI_CHUNK) {
        rki_rows r[2];
        uint32_t which = 0, k, first = errs ? errs->n : 0;

        next_chunk(x);
        r[0] = chunk_rows(rows, from, n);
        for (uint32_t i = 0; i < x->e->n_conj && r[which].n; i++) {
            rki_rows *at = &r[which];
            uint32_t *pos = rki_take(x, (size_t)at->n * sizeof *pos), *next;
            rkp_vec v = { 0 };

            if (!pos || !rki_run(x, x->e->conj[i], at, &v))
                return false;
            if (v.st)
                rki_report(x, at, &v, errs);
            if (v.step) {
                k = rki_k_true(v.v, v.st, at->n, pos);
            } else {
                k = !(v.st && v.st[0]) && *(const uint8_t *)v.v ? at->n : 0;
                for (uint32_t j = 0; j < k; j++)
                    pos[j] = j;
            }
            if (k == at->n)
                continue;
            // Earlier rows stay alive for the cache: copies of the parents hang on the registers.
            next = rki_take(x, (size_t)k * sizeof *next);
            if (k && !next)
                return false;
            for (uint32_t j = 0; j < k; j++)
                next[j] = rki_row(at, pos[j]);
            {
                rki_rows *up = rki_take(x, sizeof *up);

                if (!up)
                    return false;
                *up = *at;
                which ^= 1;
                r[which] = (rki_rows){ .at = next, .n = k, .id = ++x->next_id, .up = up, .pos = pos };
            }
        }
        k = r[which].n;
        for (uint32_t j = 0; j < k; j++)
            out[*n_out + j] = rki_row(&r[which], j);
        *n_out += k;
        // Parts report one after the other; the list is in the order of the rows.
        if (errs && x->e->n_conj > 1 && errs->n - first > 1)
            qsort(errs->v + first, errs->n - first, sizeof *errs->v, by_err_row);
    }
    return true;
}

rkp_status rkp_expr_filter(const rkp_expr *e, rkp_frame *f, const rkp_batch *b, const rkp_meta *meta,
                           const uint32_t *rows, uint32_t n, uint32_t *out, uint32_t *n_out, rkp_errs *errs)
{
    rki_eval x = { .f = f, .e = e, .b = b, .meta = meta, .now_us = meta ? meta->now_us : 0 };
    bool ok;

    if (!f)
        return RKP_NOMEM;
    ok = start(&x) && filter(&x, rows, n, out, n_out, errs);
    finish(&x);
    return ok ? RKP_OK : RKP_NOMEM;
}
