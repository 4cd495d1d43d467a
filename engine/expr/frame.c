// frame.c - the memory of an evaluation: registers, text, and what was wrong in which row.  eval.h has a drawing.
#include "expr/eval.h"

#include <stdlib.h>

enum {
    BLOCK = 64 << 10,
    TEXT_KEPT = 1 << 20, // bytes of text blocks that are kept between chunks
    WHAT_MAX = 256,      // bytes copied of what was wrong
};

struct rki_block {
    rki_block *next;
    size_t size;
    char data[] __attribute__((aligned(32)));
};

// ---- memory ---------------------------------------------------------------------------------------------------------

static void *stack_take(rki_stack *s, size_t bytes)
{
    char *p;

    bytes = (bytes + 31) & ~(size_t)31;
    while (!s->cur || s->cur->size - s->at < bytes) {
        rki_block **link = s->cur ? &s->cur->next : &s->first, *b = *link;

        if (!b || b->size < bytes) {
            size_t size = bytes > BLOCK ? bytes : BLOCK;

            b = malloc(sizeof *b + size);
            if (!b)
                return NULL;
            b->size = size;
            b->next = *link;
            *link = b;
        }
        s->cur = b;
        s->at = 0;
    }
    p = s->cur->data + s->at;
    s->at += bytes;
    return p;
}

static void stack_fini(rki_stack *s)
{
    while (s->first) {
        rki_block *b = s->first;

        s->first = b->next;
        free(b);
    }
    *s = (rki_stack){ 0 };
}

static void stack_reset(rki_stack *s, size_t keep)
{
    size_t total = 0;

    for (rki_block **link = &s->first; *link;) {
        rki_block *b = *link;

        total += b->size;
        if (total <= keep) {
            link = &b->next;
        } else {
            *link = b->next;
            free(b);
        }
    }
    s->cur = NULL;
    s->at = 0;
}

void rki_frame_reset(rkp_frame *f)
{
    stack_reset(&f->regs, SIZE_MAX);
    stack_reset(&f->text, TEXT_KEPT);
}

void *rki_take(rki_eval *x, size_t bytes)
{
    return stack_take(&x->f->regs, bytes);
}

char *rki_text(rki_eval *x, size_t bytes)
{
    return stack_take(&x->f->text, bytes);
}

char *rkp_expr_bytes(const rkp_expr_call *c, size_t bytes)
{
    return stack_take(&((rki_eval *)c->memory)->f->text, bytes);
}

rkp_frame *rkp_frame_new(rkp_pool *pool)
{
    rkp_frame *f = calloc(1, sizeof *f);

    if (f)
        f->pool = pool;
    return f;
}

void rkp_frame_free(rkp_frame *f)
{
    if (!f)
        return;
    stack_fini(&f->regs);
    stack_fini(&f->text);
    free(f->details);
    free(f->cache);
    rkp_regex_run_free(f->regex);
    free(f);
}

void rkp_frame_seed(rkp_frame *f, uint64_t seed)
{
    f->seed = seed;
}

rkp_regex_run *rki_frame_regex(rkp_frame *f, const rkp_regex *r)
{
    rkp_regex_run *m = rki_regex_run_fit(f->regex, r);

    if (m)
        f->regex = m;
    return m;
}

rkp_batch *rki_scratch(rki_eval *x)
{
    if (!x->f->scratch && x->f->pool)
        x->f->scratch = rkp_batch_new(x->f->pool, NULL, 0, 4096);
    return x->f->scratch;
}

bool rki_in_batch(const rki_eval *x, const char *p)
{
    for (uint32_t i = 0; i < x->f->n_known; i++)
        if ((uintptr_t)p - (uintptr_t)x->f->src[i].p < x->f->src[i].n)
            return true;
    return false;
}

// ---- rows in error --------------------------------------------------------------------------------------------------

void rki_row_bad(rki_eval *x, const rki_rows *r, uint32_t i, rkp_vec *out, unsigned code, int col, rkp_str what)
{
    rkp_frame *f = x->f;

    out->st[i] = (uint8_t)(code + 1);
    if (!x->b)
        return;
    if (f->n_details == f->cap_details) {
        uint32_t cap = f->cap_details ? f->cap_details * 2 : 64;
        rki_detail *v = reallocarray(f->details, cap, sizeof *v);

        if (!v)
            return; // the error itself is not lost, only what it was about
        f->details = v;
        f->cap_details = cap;
    }
    if (what.n && !rki_in_batch(x, what.p)) {
        size_t n = what.n < WHAT_MAX ? what.n : WHAT_MAX;
        char *copy = x->mem ? rkp_batch_alloc(x->mem, n) : NULL;

        if (copy)
            memcpy(copy, what.p, n);
        what = (rkp_str){ copy, copy ? n : 0 };
    }
    f->details[f->n_details] = (rki_detail){
        .row = rki_row(r, i), .seq = f->n_details, .code = (uint16_t)code, .col = (int16_t)col, .what = what
    };
    f->n_details++;
}

static int by_row(const void *a, const void *b)
{
    const rki_detail *x = a, *y = b;

    return x->row != y->row ? (x->row > y->row) - (x->row < y->row) : (x->seq > y->seq) - (x->seq < y->seq);
}

// Adds the rows of a chunk that are in error to the caller's list.
void rki_report(rki_eval *x, const rki_rows *r, const rkp_vec *v, rkp_errs *errs)
{
    rkp_frame *f = x->f;
    bool sorted = false;

    if (!errs)
        return;
    for (uint32_t i = 0; i < r->n; i++) {
        unsigned code = v->st[i * v->step] - 1u;
        uint32_t row = rki_row(r, i), lo = 0, hi = f->n_details;
        const rki_detail *d = NULL;

        if (v->st[i * v->step] < 2)
            continue;
        if (!sorted && f->n_details > 1)
            qsort(f->details, f->n_details, sizeof *f->details, by_row);
        sorted = true;
        while (lo < hi) {
            uint32_t mid = lo + (hi - lo) / 2;

            if (f->details[mid].row < row)
                lo = mid + 1;
            else
                hi = mid;
        }
        for (; lo < f->n_details && f->details[lo].row == row && !d; lo++)
            if (f->details[lo].code == code)
                d = &f->details[lo];
        rkp_errs_add(errs, row, code, d ? d->col : -1, d ? d->what : (rkp_str){ NULL, 0 });
    }
}
