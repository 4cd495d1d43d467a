// run/tap_where.c - see tap_where.h.
//
// Batches of a tap may have other columns from one to the next (topics, reloads), so the program goes with the columns for which it was
// compiled: a copy of them, since a reload may put others at the same place.
#include "run/tap_where.h"

#include "base/ctx.h"
#include "base/diag.h"
#include "spec/spec.h"
#include <rkpipe/expr.h>

#include <stdio.h>
#include <stdlib.h>

struct rki_tap_where {
    rki_arena mem;  // of the text and the variables
    rki_arena prog; // of the program and its columns
    rkp_pool *pool; // of the frame
    rkp_word text;
    rkp_expr_var *vars;
    size_t n_vars;
    rkp_schema columns;
    bool compiled;   // for these columns
    rkp_expr *where; // NULL: it does not fit them
    rkp_frame *frame;
    rkp_errs errs;
    uint32_t *rows; // that it wants, in their order
    uint32_t n_rows, cap;
};

enum { POOL = 8 << 20 };

static rkp_word word(rki_arena *a, rkp_str s)
{
    rkp_str copy = rki_dup_str(a, s);
    return (rkp_word){ copy.p, copy.n, { .file = "where", .line = 1, .col = 1 } };
}

rki_tap_where *rki_tap_where_new(const rki_spec *s, rkp_str text, char *err, size_t n)
{
    rki_tap_where *w = calloc(1, sizeof *w);
    snprintf(err, n, "out of memory");
    if (!w)
        return NULL;
    rki_arena_init(&w->mem);
    rki_arena_init(&w->prog);
    w->pool = rkp_pool_new(POOL);
    w->text = word(&w->mem, text);
    w->vars = rki_array(&w->mem, s->n_vars + 1, sizeof *w->vars);
    for (size_t i = 0; w->vars && i < s->n_vars; i++) {
        if (s->vars[i].secret) // who asks often enough would come to know it
            continue;
        w->vars[w->n_vars++] =
            (rkp_expr_var){ rki_dup_str(&w->mem, rkp_word_str(s->vars[i].name)), RKP_TYPE((uint8_t)s->vars[i].kind),
                            rki_dup_str(&w->mem, s->vars[i].value) };
    }
    w->frame = w->pool ? rkp_frame_new(w->pool) : NULL;
    if (!w->frame || rki_arena_failed(&w->mem)) {
        rki_tap_where_free(w);
        return NULL;
    }
    return w;
}

void rki_tap_where_free(rki_tap_where *w)
{
    if (!w)
        return;
    rkp_frame_free(w->frame);
    rkp_errs_fini(&w->errs);
    rkp_pool_free(w->pool);
    rki_arena_fini(&w->prog);
    rki_arena_fini(&w->mem);
    free(w->rows);
    free(w);
}

static bool same_columns(const rkp_schema *a, const rkp_schema *b)
{
    bool same = a->n == b->n;
    for (uint32_t i = 0; same && i < a->n; i++)
        same = rkp_str_eq(a->f[i].name, b->f[i].name) && memcmp(&a->f[i].type, &b->f[i].type, sizeof a->f[i].type) == 0;
    return same;
}

static bool copy_columns(rki_tap_where *w, const rkp_schema *s)
{
    rkp_field *f = rki_array(&w->prog, s->n + 1u, sizeof *f);
    for (uint32_t i = 0; f && i < s->n; i++)
        f[i] = (rkp_field){ rki_dup_str(&w->prog, s->f[i].name), s->f[i].type };
    w->columns = (rkp_schema){ s->n, f };
    return f && !rki_arena_failed(&w->prog);
}

// False without memory.
static bool compile(rki_tap_where *w, const rkp_schema *s, rkp_diags *d)
{
    rkp_opt_ctx ctx = { .arena = &w->prog, .diags = d, .owner = "where" };
    rkp_scope scope = { .vars = w->vars, .n_vars = w->n_vars, .meta = rkp_meta_names, .n_meta = RKP_N_META };
    w->compiled = false;
    w->where = NULL;
    rki_arena_fini(&w->prog);
    rki_arena_init(&w->prog);
    if (!copy_columns(w, s))
        return false;
    scope.schema = &w->columns;
    w->where = rkp_expr_compile(&ctx, d, w->text, &scope, RKP_WANT_BOOL);
    w->compiled = !rki_arena_failed(&w->prog);
    return w->compiled;
}

bool rki_tap_where_check(rki_tap_where *w, const rkp_schema *s, char *err, size_t n)
{
    rkp_diags *d = rki_diags_new();
    bool fits = false;
    if (!d || !compile(w, s, d)) {
        snprintf(err, n, "out of memory");
    } else if (!w->where) {
        const rki_finding *f = rki_diags_n(d) ? rki_diags_at(d, 0) : NULL;
        snprintf(err, n, "'where': %s%s%s", f ? f->text : "it does not fit the columns", f && f->hint ? "; " : "",
                 f && f->hint ? f->hint : "");
    } else {
        fits = true;
    }
    rki_diags_free(d);
    return fits;
}

bool rki_tap_where_look(rki_tap_where *w, const rkp_batch *b, const char *kernel, uint64_t stamp)
{
    const rkp_meta meta = { .kernel = rkp_str_of(kernel), .stamp = stamp };
    w->n_rows = 0;
    if (!w->compiled || !same_columns(&w->columns, b->schema)) {
        rkp_diags *d = rki_diags_new(); // what it finds has no reader
        bool ok = d && compile(w, b->schema, d);
        rki_diags_free(d);
        if (!ok)
            return false;
    }
    if (!w->where)
        return true; // none of them
    if (b->rows > w->cap) {
        uint32_t *rows = reallocarray(w->rows, b->rows, sizeof *rows);
        if (!rows)
            return false;
        w->rows = rows;
        w->cap = b->rows;
    }
    rkp_errs_clear(&w->errs);
    return rkp_expr_filter(w->where, w->frame, b, &meta, NULL, b->rows, w->rows, &w->n_rows, &w->errs) == RKP_OK;
}

bool rki_tap_where_wants(const rki_tap_where *w, uint32_t row)
{
    uint32_t lo = 0, hi = w->n_rows;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (w->rows[mid] < row)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < w->n_rows && w->rows[lo] == row;
}
