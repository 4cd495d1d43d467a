// batch.c - batches: a bump allocator over pool blocks, a reference count, and selections.
//
//   first block   [header | rkp_batch | columns | free ... ]
//   other blocks  [header | free ... ]                          b->blocks -> newest -> .. -> first
//
// A batch lies in its own first block, so making one takes one block and dropping one gives a chain back.
#include "data/batch.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    ALIGN = 64,
    GROW_MAX = 64 << 10, // blocks for small pieces grow up to this
#ifdef RKI_ASAN
    GAP = ALIGN, // poisoned, between pieces
#else
    GAP = 0,
#endif
};

struct rki_defer {
    struct rki_defer *next;
    void (*fn)(void *arg);
    void *arg;
};

static _Atomic uint32_t *refs(const rkp_batch *b)
{
    return (_Atomic uint32_t *)(uintptr_t)&b->refs;
}

static rkp_block *first_block(const rkp_batch *b)
{
    return (rkp_block *)(uintptr_t)b - 1;
}

static size_t round_up(size_t n)
{
    return (n + ALIGN - 1) / ALIGN * ALIGN;
}

static size_t head_size(uint32_t n_cols)
{
    return round_up(sizeof(rkp_batch) + n_cols * sizeof(rkp_col)) + GAP;
}

// ---- life -----------------------------------------------------------------------------------------------------------

static rkp_batch *new_batch(rkp_pool *p, const rkp_schema *schema, uint32_t n_cols, size_t bytes, bool plain)
{
    size_t head = head_size(n_cols);
    size_t want = bytes ? round_up(bytes) + GAP : 0;
    // One block for both when that does not double what the bytes alone need.
    bool both = want < RKI_BLOCK_MIN || rki_block_class(head + want) == rki_block_class(want);
    rkp_block *k, *k2;
    rkp_batch *b;

    if (bytes > SIZE_MAX / 4 || (!both && rki_block_class(want) >= RKI_BLOCK_CLASSES))
        return NULL;
    k = plain ? rki_block_get_plain(p, both ? head + want : head, 1) : rki_block_get(p, both ? head + want : head, 1);
    if (!k)
        return NULL;
    b = (rkp_batch *)rki_block_data(k);
    RKI_UNPOISON(b, sizeof *b + n_cols * sizeof(rkp_col));
    memset(b, 0, sizeof *b + n_cols * sizeof(rkp_col));
    b->refs = 1;
    b->n_cols = n_cols;
    b->cols = (rkp_col *)(b + 1);
    b->schema = schema;
    b->pool = p;
    b->blocks = k;
    b->own = rki_block_size(k);
    b->at = (char *)b + head;
    b->end = (char *)b + rki_block_size(k);
    if (!both) {
        k2 = rki_block_get(p, want, 0);
        if (!k2) {
            rki_blocks_put(p, k, 1, k->epoch);
            return NULL;
        }
        k2->next = k;
        b->blocks = k2;
        b->own += rki_block_size(k2);
        b->at = rki_block_data(k2);
        b->end = b->at + rki_block_size(k2);
    }
    return b;
}

rkp_batch *rkp_batch_new(rkp_pool *p, const rkp_schema *schema, uint32_t n_cols, size_t bytes)
{
    return new_batch(p, schema, n_cols, bytes, !schema && !n_cols);
}

rkp_batch *rkp_batch_derive(rkp_batch *parent, size_t bytes)
{
    rkp_batch *b = new_batch(parent->pool, parent->schema, parent->n_cols, bytes, false);

    if (!b)
        return NULL;
    b->rows = parent->rows;
    b->flags = parent->flags;
    memcpy(b->cols, parent->cols, parent->n_cols * sizeof(rkp_col));
    b->blob = parent->blob;
    b->blob_rows = parent->blob_rows;
    b->in_bytes = parent->in_bytes;
    b->born_us = parent->born_us;
    b->trace = parent->trace;
    b->span = parent->span;
    b->text = parent->text;
    b->text_pos = parent->text_pos;
    b->text_sel = parent->text_sel;
    b->text_stride = parent->text_stride;
    b->topics = parent->topics;
    b->topic_of = parent->topic_of;
    b->parent = rkp_batch_get(parent);
    return b;
}

rkp_batch *rkp_batch_get(rkp_batch *b)
{
    // Relaxed: the caller holds a reference already, so nothing can be freed under it.
    atomic_fetch_add_explicit(refs(b), 1, memory_order_relaxed);
    return b;
}

uint64_t rkp_batch_bytes(const rkp_batch *b)
{
    uint64_t sum = 0;

    for (; b; b = b->parent)
        sum += b->own;
    return sum;
}

static void run_defers(rkp_block *first)
{
    struct rki_defer *d = first->defers;

    while (d) {
        struct rki_defer *next = d->next;

        d->fn(d->arg);
        d = next;
    }
    first->defers = NULL;
}

void rkp_batch_put(rkp_batch *b)
{
    while (b) {
        rkp_batch *parent = b->parent;

        // R2, from every R1: when ours is the only reference, nobody else can add or drop one.
        if (atomic_load_explicit(refs(b), memory_order_acquire) != 1) {
            // R1, to R2 of the last one: our reads of the batch are done before its memory is used again.
            if (atomic_fetch_sub_explicit(refs(b), 1, memory_order_release) != 1)
                return;
            // R2, from every R1.
            (void)atomic_load_explicit(refs(b), memory_order_acquire);
        }
        if (first_block(b)->defers)
            run_defers(first_block(b));
        rki_blocks_put(b->pool, b->blocks, 1, first_block(b)->epoch);
        b = parent;
    }
}

bool rkp_batch_sole(const rkp_batch *b)
{
    // R2, from every R1: who dropped the other references has stopped reading.
    return atomic_load_explicit(refs(b), memory_order_acquire) == 1;
}

bool rkp_batch_mine(const rkp_batch *b)
{
    for (; b; b = b->parent)
        // R2, from every R1: who dropped the other references has stopped reading.
        if (atomic_load_explicit(refs(b), memory_order_acquire) != 1)
            return false;
    return true;
}

void *rkp_batch_alloc(rkp_batch *b, size_t bytes)
{
    size_t need, size;
    rkp_block *k;
    char *p;

    if (RKP_UNLIKELY(bytes > SIZE_MAX / 4))
        return NULL;
    need = round_up(bytes ? bytes : 1) + GAP;
    if (RKP_LIKELY(need <= (size_t)(b->end - b->at))) {
        p = b->at;
        b->at += need;
        RKI_UNPOISON(p, bytes);
        return p;
    }
    size = rki_block_size(b->blocks) * 2;
    if (size > GROW_MAX)
        size = GROW_MAX;
    k = rki_block_get(b->pool, need > size ? need : size, 0);
    if (!k)
        return NULL;
    k->next = b->blocks;
    b->blocks = k;
    b->own += rki_block_size(k);
    p = rki_block_data(k);
    RKI_UNPOISON(p, bytes);
    // Go on in the block that has more room left.
    if (rki_block_size(k) - need > (size_t)(b->end - b->at)) {
        b->at = p + need;
        b->end = p + rki_block_size(k);
    }
    return p;
}

rkp_status rki_batch_defer(rkp_batch *b, void (*fn)(void *arg), void *arg)
{
    struct rki_defer *d = rkp_batch_alloc(b, sizeof *d);

    if (!d)
        return RKP_NOMEM;
    *d = (struct rki_defer){ first_block(b)->defers, fn, arg };
    first_block(b)->defers = d;
    return RKP_OK;
}

static void put_held(void *other)
{
    rkp_batch_put(other);
}

uint64_t rkp_batch_own_bytes(const rkp_batch *b)
{
    return b->own;
}

rkp_status rkp_batch_hold(rkp_batch *b, rkp_batch *other)
{
    rkp_status st = rki_batch_defer(b, put_held, other);

    if (st == RKP_OK)
        rkp_batch_get(other);
    return st;
}

void rki_batch_reset(rkp_batch *b)
{
    rkp_block *first = first_block(b), *rest = NULL, *k = b->blocks;
    rkp_batch *parent = b->parent;
    size_t head = head_size(b->n_cols);

    run_defers(first);
    while (k) {
        rkp_block *next = k->next;

        if (k != first) {
            k->next = rest;
            rest = k;
        }
        k = next;
    }
    if (rest)
        rki_blocks_put(b->pool, rest, 0, 0);
    first->next = NULL;
    *b = (rkp_batch){ .refs = 1,
                      .n_cols = b->n_cols,
                      .cols = b->cols,
                      .schema = b->schema,
                      .pool = b->pool,
                      .blocks = first,
                      .own = rki_block_size(first),
                      .at = (char *)b + head,
                      .end = (char *)b + rki_block_size(first) };
    memset(b->cols, 0, b->n_cols * sizeof(rkp_col));
    RKI_POISON(b->at, (size_t)(b->end - b->at));
    rkp_batch_put(parent);
}

void rki_batch_adopt(rkp_batch *b, rkp_block *chain)
{
    while (chain) {
        rkp_block *next = chain->next;

        chain->next = b->blocks;
        b->blocks = chain;
        b->own += rki_block_size(chain);
        chain = next;
    }
}

// ---- selections -----------------------------------------------------------------------------------------------------

// New selections by old ones: columns mostly share one, so the last pair is tried first.
struct compose {
    rkp_batch *b; // the new batch
    const uint32_t *rows;
    uint32_t n;
    const uint32_t *own; // `rows` copied into b
    const uint32_t *last_old, *last_new;
    bool seen;
};

static const uint32_t *compose_one(struct compose *c, const uint32_t *old)
{
    uint32_t *to;

    if (!old && c->own)
        return c->own;
    to = rkp_batch_alloc(c->b, (size_t)c->n * sizeof *to);
    if (!to)
        return NULL;
    if (old) {
        for (uint32_t i = 0; i < c->n; i++)
            to[i] = old[c->rows[i]];
    } else {
        memcpy(to, c->rows, (size_t)c->n * sizeof *to);
        c->own = to;
    }
    return to;
}

static const uint32_t *compose(struct compose *c, const rkp_batch *from, uint32_t col, const uint32_t *old)
{
    const uint32_t *to;

    if (c->seen && c->last_old == old)
        return c->last_new;
    for (uint32_t j = col; j-- > 0;) {
        if (from->cols[j].sel == old) {
            c->last_old = old;
            c->last_new = c->b->cols[j].sel;
            return c->last_new;
        }
    }
    to = compose_one(c, old);
    c->last_old = old;
    c->last_new = to;
    c->seen = true;
    return to;
}

rkp_batch *rkp_batch_pick(rkp_batch *b, const uint32_t *rows, uint32_t n)
{
    struct compose c = { .rows = rows, .n = n };

    if (!rows) {
        // The first n: a selection is long enough as it is.
        assert(n <= b->rows);
        c.b = rkp_batch_derive(b, 0);
        if (c.b)
            c.b->rows = n;
        return c.b;
    }
    c.b = rkp_batch_derive(b, (size_t)n * sizeof *rows);
    if (!c.b)
        return NULL;
    c.b->rows = n;
    for (uint32_t i = 0; i < b->n_cols; i++) {
        c.b->cols[i].sel = compose(&c, b, i, b->cols[i].sel);
        if (!c.b->cols[i].sel)
            goto nomem;
    }
    if (b->text) {
        c.b->text_sel = compose(&c, b, b->n_cols, b->text_sel);
        if (!c.b->text_sel)
            goto nomem;
    }
    if (b->topic_of) {
        uint32_t *to = rkp_batch_alloc(c.b, (size_t)n * sizeof *to);

        if (!to)
            goto nomem;
        for (uint32_t i = 0; i < n; i++)
            to[i] = b->topic_of[rows[i]];
        c.b->topic_of = to;
    }
    return c.b;
nomem:
    rkp_batch_put(c.b);
    return NULL;
}

// Moves the start of a column without a selection; false when only a selection can say it (a bitmap cannot start
// inside a byte).
static bool col_shift(rkp_col *c, uint32_t from)
{
    if (c->rep == RKP_TEXT) {
        c->pos += (size_t)from * c->stride;
        return true;
    }
    if (from % 8 && (c->valid || c->type.kind == RKP_BOOL))
        return false;
    if (c->valid)
        c->valid += from / 8;
    if (c->type.kind == RKP_BOOL)
        c->values = (const char *)c->values + from / 8;
    else if (c->values)
        c->values =
            (const char *)c->values + (size_t)from * rkp_kind_width(c->type.kind) * (c->type.len ? c->type.len : 1);
    c->phys_rows -= from;
    return true;
}

rkp_batch *rkp_batch_slice(rkp_batch *b, uint32_t from, uint32_t n)
{
    rkp_batch *s = rkp_batch_derive(b, 0);
    uint32_t *iota = NULL;

    if (!s)
        return NULL;
    assert(from <= b->rows && n <= b->rows - from);
    s->rows = n;
    if (b->rows)
        s->in_bytes = (uint64_t)((unsigned __int128)b->in_bytes * (from + n) / b->rows -
                                 (unsigned __int128)b->in_bytes * from / b->rows);
    if (from == 0)
        return s;
    if (s->topic_of)
        s->topic_of += from;
    for (uint32_t i = 0; i < s->n_cols; i++) {
        rkp_col *c = &s->cols[i];

        if (c->sel) {
            c->sel += from;
        } else if (!col_shift(c, from)) {
            if (!iota) {
                iota = rkp_batch_alloc(s, (size_t)n * sizeof *iota);
                if (!iota) {
                    rkp_batch_put(s);
                    return NULL;
                }
                for (uint32_t r = 0; r < n; r++)
                    iota[r] = from + r;
            }
            c->sel = iota;
        }
    }
    if (s->text_sel)
        s->text_sel += from;
    else if (s->text_pos)
        s->text_pos += (size_t)from * s->text_stride;
    return s;
}

// ---- places and errors ----------------------------------------------------------------------------------------------

rkp_str rkp_batch_topic(const rkp_batch *b, uint32_t row)
{
    if (!b->topics || !b->topics->n)
        return (rkp_str){ 0 };
    return b->topics->names[b->topic_of ? b->topic_of[row] : 0];
}

uint64_t rkp_batch_line(const rkp_batch *b, uint32_t i, rkp_str *name)
{
    const rkp_text *t = b->text;
    const char *p, *end;
    uint32_t row, start;
    uint64_t line;

    if (!t || !b->text_pos || i >= b->rows)
        return 0;
    row = b->text_sel ? b->text_sel[i] : i;
    line = t->origin.first_line;
    if (!line)
        return 0;
    if (!t->base) {
        *name = t->origin.name;
        return line + b->text_pos[(size_t)row * b->text_stride];
    }
    start = b->text_pos[(size_t)row * b->text_stride] + 1; // a row at base[0] begins after position -1
    if (start > t->len)
        return 0;
    for (p = t->base, end = p + start; p < end && (p = memchr(p, '\n', (size_t)(end - p))); p++)
        line++;
    *name = t->origin.name;
    return line;
}

const char *rkp_row_error_name(unsigned e)
{
    static const char *const names[RKP_N_ROW_ERRORS] = {
        [RKP_ROW_PARSE] = "parse",
        [RKP_ROW_FIELDS] = "fields",
        [RKP_ROW_QUOTES] = "quotes",
        [RKP_ROW_SYNTAX] = "syntax",
        [RKP_ROW_OVERFLOW] = "integer_overflow",
        [RKP_ROW_ZERO] = "zero",
        [RKP_ROW_CAST] = "cast",
        [RKP_ROW_REGEX] = "regex",
        [RKP_ROW_UTF8] = "utf8",
        [RKP_ROW_MISSING] = "missing",
        [RKP_ROW_SIZE] = "size",
        [RKP_ROW_DOMAIN] = "domain",
        [RKP_ROW_TIMEOUT] = "timeout",
        [RKP_ROW_REPLY] = "reply",
    };

    return e < RKP_N_ROW_ERRORS && names[e] ? names[e] : "error";
}

void rkp_errs_add(rkp_errs *e, uint32_t row, unsigned code, int col, rkp_str what)
{
    if (e->n && e->v[e->n - 1].row == row)
        return; // the first reason of a row is the one that is told
    if (e->n == e->cap) {
        uint32_t cap = e->cap ? e->cap * 2 : 16;
        rkp_err *v = cap > e->cap ? realloc(e->v, cap * sizeof *v) : NULL;

        if (!v) {
            e->failed = true;
            return;
        }
        e->v = v;
        e->cap = cap;
    }
    e->v[e->n++] = (rkp_err){ .row = row, .code = (uint16_t)code, .col = (int16_t)col, .what = what };
}

void rkp_errs_clear(rkp_errs *e)
{
    e->n = 0;
    e->failed = false;
}

void rkp_errs_fini(rkp_errs *e)
{
    free(e->v);
    *e = (rkp_errs){ 0 };
}
