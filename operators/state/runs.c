// runs.c - see runs.h.  Sorting is a merge sort over insertion-sorted pieces: stable, never quadratic, one pass when the
// rows come sorted, and little more when only neighbouring stretches overlap.
#include "runs.h"

#include <stdlib.h>
#include <sys/mman.h>

enum { PIECE = 16, TEXT_BYTES = 11 }; // TEXT_BYTES: of a text in a prefix when more keys follow

// ---- prefixes -------------------------------------------------------------------------------------------------------

struct prefix {
    uint8_t v[RKS_PREFIX + 8]; // first byte first; what lies behind RKS_PREFIX does not count
    uint32_t n;                // bytes in it, at most RKS_PREFIX
};

// The low `bytes` bytes of v, highest first; what does not fit is cut.
static inline void push(struct prefix *p, uint64_t v, uint32_t bytes)
{
    v = __builtin_bswap64(v << (64 - 8 * bytes));
    memcpy(p->v + p->n, &v, sizeof v);
    p->n = p->n + bytes < RKS_PREFIX ? p->n + bytes : RKS_PREFIX;
}

static uint64_t f64_order(double v)
{
    uint64_t w;

    if (v != v)
        return UINT64_MAX; // above inf
    v += 0.0;              // -0 is 0
    memcpy(&w, &v, sizeof w);
    return w >> 63 ? ~w : w | 1ull << 63;
}

// A fixed-width value as a number that orders as it does, of *bytes bytes.
static inline uint64_t fixed_order(const rkp_col *c, uint32_t row, uint32_t *bytes)
{
    const uint64_t top = 1ull << 63;

    *bytes = 8;
    switch (c->type.kind) {
    case RKP_BOOL:
        *bytes = 1;
        return rkp_bit(c->values, row);
    case RKP_I8:
        *bytes = 1;
        return (uint8_t)(((const uint8_t *)c->values)[row] ^ 0x80);
    case RKP_I16:
        *bytes = 2;
        return (uint16_t)(((const uint16_t *)c->values)[row] ^ 0x8000);
    case RKP_I32:
        *bytes = 4;
        return ((const uint32_t *)c->values)[row] ^ 0x80000000u;
    case RKP_U8:
        *bytes = 1;
        return ((const uint8_t *)c->values)[row];
    case RKP_U16:
        *bytes = 2;
        return ((const uint16_t *)c->values)[row];
    case RKP_U32:
        *bytes = 4;
        return ((const uint32_t *)c->values)[row];
    case RKP_U64:
        return ((const uint64_t *)c->values)[row];
    case RKP_F32:
        return f64_order((double)((const float *)c->values)[row]);
    case RKP_F64:
        return f64_order(((const double *)c->values)[row]);
    default: // i64, timestamp
        return ((const uint64_t *)c->values)[row] ^ top;
    }
}

// Appends a text: its first bytes, with zeros up to their number, and then their number, or one more when the text is
// longer.  So texts of which one is the beginning of the other are told apart, and what is pushed next decides only
// between equal texts.  false when it may not tell the text from every other: then nothing may be pushed any more.
static inline bool push_text(struct prefix *p, rkp_str s, bool desc, bool last)
{
    uint32_t room = RKS_PREFIX - p->n, width, n;
    bool whole;

    if (room < 2) {
        p->n = RKS_PREFIX;
        return false;
    }
    width = last || room - 1 < TEXT_BYTES ? room - 1 : TEXT_BYTES;
    whole = s.n <= width;
    n = whole ? (uint32_t)s.n : width;
    memset(p->v + p->n, 0, width);
    memcpy(p->v + p->n, s.p, n);
    p->v[p->n + width] = (uint8_t)(n + !whole);
    for (uint32_t i = 0; desc && i <= width; i++)
        p->v[p->n + i] ^= 0xff;
    p->n = whole ? p->n + width + 1 : RKS_PREFIX;
    return whole;
}

rkp_batch *rks_key_columns(const rks_order *o, rkp_batch *b)
{
    rkp_batch *k = rkp_batch_new(b->pool, NULL, o->n, 0);

    for (uint32_t i = 0; k && i < o->n; i++)
        if (rkp_col_flat(k, b, o->keys[i].col, NULL, b->rows, &k->cols[i], NULL) != RKP_OK) {
            rkp_batch_put(k);
            return NULL;
        }
    if (k)
        k->rows = b->rows;
    return k;
}

bool rks_prefixes(const rks_order *o, const rkp_batch *keys, rks_entry *e, uint32_t n)
{
    bool inexact = false;

    for (uint32_t i = 0; i < n; i++) {
        struct prefix p = { .n = 0 };
        uint32_t k;

        for (k = 0; k < o->n && p.n < RKS_PREFIX; k++) {
            const rks_order_key *key = &o->keys[k];
            const rkp_col *c = &keys->cols[k];
            uint32_t row = e[i].row, bytes;
            bool null = rkp_col_is_null(c, row);
            uint64_t v;

            if (key->nullable)
                push(&p, !null ? 1 : key->nulls_first ? 0 : 2, 1);
            if (null) // two nulls are equal, and the next key decides
                continue;
            if (rkp_kind_is_view(c->type.kind)) {
                inexact |= !push_text(&p, rkp_view_str(c, row), key->desc, k + 1 == o->n);
                continue;
            }
            v = fixed_order(c, row, &bytes);
            inexact |= p.n + bytes > RKS_PREFIX;
            push(&p, key->desc ? ~v : v, bytes);
        }
        inexact |= k < o->n;
        for (uint32_t w = 0; w < RKS_PREFIX / 8; w++) {
            uint64_t v;

            memcpy(&v, p.v + 8 * w, sizeof v);
            e[i].w[w] = __builtin_bswap64(v);
        }
    }
    return inexact;
}

static int compare_text(rkp_str x, rkp_str y)
{
    size_t n = x.n < y.n ? x.n : y.n;
    int c = n ? memcmp(x.p, y.p, n) : 0;

    return c ? c : x.n < y.n ? -1 : x.n > y.n;
}

int rks_compare(const rks_order *o, const rkp_batch *x, uint32_t i, const rkp_batch *y, uint32_t j)
{
    for (uint32_t k = 0; k < o->n; k++) {
        const rks_order_key *key = &o->keys[k];
        const rkp_col *cx = &x->cols[k], *cy = &y->cols[k];
        bool nx = rkp_col_is_null(cx, i), ny = rkp_col_is_null(cy, j);
        int c;

        if (nx || ny) {
            if (nx && ny)
                continue;
            return nx == key->nulls_first ? -1 : 1;
        }
        if (rkp_kind_is_view(cx->type.kind)) {
            c = compare_text(rkp_view_str(cx, i), rkp_view_str(cy, j));
        } else {
            uint32_t bytes;
            uint64_t vx = fixed_order(cx, i, &bytes), vy = fixed_order(cy, j, &bytes);

            c = vx < vy ? -1 : vx > vy;
        }
        if (c)
            return key->desc ? -c : c;
    }
    return 0;
}

rks_entry *rks_entries_new(uint32_t n)
{
    const size_t huge = 2 << 20;
    size_t bytes = ((size_t)n + 1) * sizeof(rks_entry);
    rks_entry *e;

    if (bytes < 2 * huge)
        return malloc(bytes);
    bytes = (bytes + huge - 1) / huge * huge;
    e = aligned_alloc(huge, bytes);
#ifdef MADV_HUGEPAGE
    if (e)
        madvise(e, bytes, MADV_HUGEPAGE); // a wish; nothing depends on it
#endif
    return e;
}

// ---- sorting --------------------------------------------------------------------------------------------------------

struct sorter {
    const rks_order *o;
    const rkp_batch *keys;
    bool inexact;
};

static inline int compare_prefixes(const rks_entry *x, const rks_entry *y)
{
    for (uint32_t w = 0; w < RKS_PREFIX / 8; w++)
        if (x->w[w] != y->w[w])
            return x->w[w] < y->w[w] ? -1 : 1;
    return 0;
}

// x must stand behind y (y came later).
static inline bool behind(const struct sorter *s, const rks_entry *x, const rks_entry *y)
{
    int c;

    if (RKP_LIKELY(x->w[0] != y->w[0]))
        return x->w[0] > y->w[0];
    c = compare_prefixes(x, y);
    if (c == 0 && s->inexact)
        c = rks_compare(s->o, s->keys, x->row, s->keys, y->row);
    return c > 0;
}

// Merges [a, mid) and [mid, end) in their place.  What stands before the first row of the other side, or behind its
// last, is not touched; `tmp` has room for the rest of the left side.
static void merge(const struct sorter *s, rks_entry *a, rks_entry *mid, rks_entry *end, rks_entry *tmp)
{
    const rks_entry *i = tmp, *i_end, *j = mid;
    size_t lo = 0, hi = (size_t)(mid - a);

    if (!behind(s, mid - 1, mid))
        return;
    while (lo < hi) { // the first on the left that is behind the first on the right
        size_t k = (lo + hi) / 2;

        if (behind(s, a + k, mid))
            hi = k;
        else
            lo = k + 1;
    }
    a += lo;
    lo = 0;
    hi = (size_t)(end - mid);
    while (lo < hi) { // the first on the right that the last on the left is not behind
        size_t k = (lo + hi) / 2;

        if (behind(s, mid - 1, mid + k))
            lo = k + 1;
        else
            hi = k;
    }
    end = mid + lo;
    memcpy(tmp, a, (size_t)(mid - a) * sizeof *a);
    i_end = tmp + (mid - a);
    while (i < i_end && j < end)
        *a++ = behind(s, i, j) ? *j++ : *i++;
    memcpy(a, i, (size_t)(i_end - i) * sizeof *a);
}

void rks_sort(const rks_order *o, const rkp_batch *keys, rks_entry *e, rks_entry *tmp, uint32_t n, bool inexact)
{
    struct sorter s = { o, keys, inexact };

    for (uint32_t lo = 0; lo < n; lo += PIECE) {
        uint32_t hi = n - lo < PIECE ? n : lo + PIECE;

        for (uint32_t i = lo + 1; i < hi; i++) {
            rks_entry x = e[i];
            uint32_t k = i;

            for (; k > lo && behind(&s, &e[k - 1], &x); k--)
                e[k] = e[k - 1];
            e[k] = x;
        }
    }
    for (uint64_t width = PIECE; width < n; width *= 2)
        for (uint64_t lo = 0; lo + width < n; lo += 2 * width)
            merge(&s, e + lo, e + lo + width, e + (n - lo < 2 * width ? n : lo + 2 * width), tmp);
}

// ---- runs -----------------------------------------------------------------------------------------------------------

static void run_fini(rks_run *r)
{
    rkp_batch_put(r->keys);
    rkp_batch_put(r->b);
    free(r->order);
    rks_blocks_fini(&r->blocks);
    *r = (rks_run){ 0 };
}

static rkp_status no_memory(rks_spill *s)
{
    rkp_fail(s->actor, RKP_NOMEM, "%s: no memory for its sorted runs", s->op);
    return RKP_NOMEM;
}

rkp_status rks_runs_add(rks_runs *l, rks_run run)
{
    if (l->n == l->cap) {
        uint32_t cap = l->cap ? l->cap * 2 : 8;
        rks_run *v = realloc(l->v, cap * sizeof *v);

        if (!v) {
            run_fini(&run);
            return RKP_NOMEM;
        }
        l->v = v;
        l->cap = cap;
    }
    l->v[l->n++] = run;
    return RKP_OK;
}

void rks_runs_fini(rks_runs *l)
{
    for (uint32_t i = 0; i < l->n; i++)
        run_fini(&l->v[i]);
    free(l->v);
    *l = (rks_runs){ 0 };
}

// Writes everything that a merge gives as one run of blocks.
static rkp_status write_merged(rks_merge *m, const rks_order *o, rks_spill *s, uint32_t rows, uint64_t bytes,
                               rks_blocks *out)
{
    for (;;) {
        rkp_batch *b;
        rks_block_at at;
        rkp_status st = rks_merge_next(m, o->schema, rows, bytes, &b);

        if (st != RKP_OK || !b)
            return st;
        st = rks_spill_batch(s, b, &at);
        rkp_batch_put(b);
        if (st != RKP_OK)
            return st;
        if (!rks_blocks_add(out, at))
            return no_memory(s);
    }
}

static uint32_t block_rows(const rks_order *o, uint64_t bytes)
{
    uint64_t each = 0, rows;

    for (uint32_t j = 0; j < o->schema->n; j++)
        each += rks_col_bytes(o->schema->f[j].type, 8);
    rows = bytes * 8 / (each ? each : 1);
    return rows < 1 ? 1 : rows > RKS_BLOCK_ROWS ? RKS_BLOCK_ROWS : (uint32_t)rows;
}

rkp_status rks_run_spill(rks_spill *s, const rks_order *o, rks_run *run, uint64_t bytes)
{
    rks_merge m = { 0 };
    rks_blocks blocks = { 0 };
    rkp_status st;
    bool long_rows;

    if (!run->b)
        return RKP_OK;
    st = rks_merge_init(&m, o, s, run, 1);
    if (st == RKP_OK)
        st = write_merged(&m, o, s, block_rows(o, bytes), bytes, &blocks);
    rks_merge_fini(&m);
    if (st != RKP_OK) {
        rks_blocks_fini(&blocks);
        return st;
    }
    long_rows = run->long_rows;
    run_fini(run);
    run->blocks = blocks;
    run->long_rows = long_rows;
    return RKP_OK;
}

uint32_t rks_merge_fan(uint64_t bytes)
{
    uint64_t fan = bytes / (4 * RKS_BLOCK_BYTES);

    return fan < 4 ? 4 : fan > 512 ? 512 : (uint32_t)fan;
}

rkp_status rks_runs_reduce(rks_runs *l, const rks_order *o, rks_spill *s, uint32_t fan, uint64_t bytes)
{
    while (l->n > fan) {
        uint32_t to = 0;

        for (uint32_t at = 0; at < l->n; at += fan) {
            uint32_t n = l->n - at < fan ? l->n - at : fan;
            rks_merge m = { 0 };
            rks_run run = { 0 };
            rkp_status st;

            if (n == 1) {
                run = l->v[at];
                l->v[at] = (rks_run){ 0 };
                l->v[to++] = run;
                continue;
            }
            st = rks_merge_init(&m, o, s, l->v + at, n);
            if (st == RKP_OK)
                st = write_merged(&m, o, s, block_rows(o, bytes), bytes, &run.blocks);
            rks_merge_fini(&m);
            if (st != RKP_OK) {
                run_fini(&run);
                return st;
            }
            for (uint32_t i = 0; i < n; i++) {
                run.long_rows |= l->v[at + i].long_rows;
                run_fini(&l->v[at + i]);
            }
            l->v[to++] = run;
        }
        l->n = to;
    }
    return RKP_OK;
}

// ---- merge ----------------------------------------------------------------------------------------------------------

// Loads the cursor's next block, if it has one.
static rkp_status cursor_load(rks_merge *m, rks_cursor *c)
{
    rks_run *r = c->run;

    c->i = c->n = 0;
    if (r->b) {
        if (c->block++ == 0) {
            c->b = r->b;
            c->keys = r->keys;
            c->e = r->order;
            c->n = r->n;
            c->inexact = r->inexact;
        }
        return RKP_OK;
    }
    while (c->block < r->blocks.n && c->n == 0) {
        c->b = rks_spill_load(m->spill, &r->blocks.v[c->block++], m->order->schema);
        if (!c->b)
            return m->spill->st;
        c->keys = rks_key_columns(m->order, c->b);
        if (!c->keys)
            return no_memory(m->spill);
        if (c->b->rows > c->cap) {
            rks_entry *e = realloc(c->own, c->b->rows * sizeof *e);

            if (!e)
                return no_memory(m->spill);
            c->own = e;
            c->cap = c->b->rows;
        }
        c->e = c->own;
        c->n = c->b->rows;
        for (uint32_t i = 0; i < c->n; i++)
            c->e[i].row = i;
        c->inexact = rks_prefixes(m->order, c->keys, c->e, c->n);
        if (!c->n) {
            rkp_batch_put(c->keys);
            rkp_batch_put(c->b);
            c->b = c->keys = NULL;
        }
    }
    return RKP_OK;
}

static bool before(const rks_merge *m, uint32_t x, uint32_t y)
{
    const rks_cursor *cx = &m->cur[x], *cy = &m->cur[y];
    const rks_entry *ex = &cx->e[cx->i], *ey = &cy->e[cy->i];
    int c = compare_prefixes(ex, ey);

    if (c == 0 && (cx->inexact || cy->inexact))
        c = rks_compare(m->order, cx->keys, ex->row, cy->keys, ey->row);
    return c ? c < 0 : x < y;
}

static void sift_down(rks_merge *m, uint32_t at)
{
    uint32_t x = m->heap[at];

    for (;;) {
        uint32_t kid = 2 * at + 1;

        if (kid >= m->n_heap)
            break;
        if (kid + 1 < m->n_heap && before(m, m->heap[kid + 1], m->heap[kid]))
            kid++;
        if (!before(m, m->heap[kid], x))
            break;
        m->heap[at] = m->heap[kid];
        at = kid;
    }
    m->heap[at] = x;
}

rkp_status rks_merge_init(rks_merge *m, const rks_order *o, rks_spill *s, rks_run *runs, uint32_t n)
{
    *m = (rks_merge){ .order = o, .spill = s };
    m->cur = calloc(n ? n : 1, sizeof *m->cur);
    m->heap = calloc(n ? n : 1, sizeof *m->heap);
    m->picks = malloc(RKS_MERGE_ROWS * sizeof *m->picks);
    if (!m->cur || !m->heap || !m->picks)
        return no_memory(s);
    m->n = n;
    for (uint32_t i = 0; i < n; i++) {
        rkp_status st;

        m->cur[i].run = &runs[i];
        st = cursor_load(m, &m->cur[i]);
        if (st != RKP_OK)
            return st;
        if (m->cur[i].n)
            m->heap[m->n_heap++] = i;
    }
    for (uint32_t i = m->n_heap / 2; i-- > 0;)
        sift_down(m, i);
    return RKP_OK;
}

static void drop_done(rks_merge *m)
{
    while (m->n_done)
        rkp_batch_put(m->done[--m->n_done]);
}

void rks_merge_fini(rks_merge *m)
{
    for (uint32_t i = 0; i < m->n; i++) {
        if (m->cur[i].run && !m->cur[i].run->b) {
            rkp_batch_put(m->cur[i].keys);
            rkp_batch_put(m->cur[i].b);
        }
        free(m->cur[i].own);
    }
    drop_done(m);
    free(m->done);
    free(m->cur);
    free(m->heap);
    free(m->picks);
    *m = (rks_merge){ 0 };
}

// The block stays until the rows picked from it are copied.
static rkp_status retire(rks_merge *m, rks_cursor *c)
{
    if (c->run->b)
        return RKP_OK;
    if (m->n_done == m->cap_done) {
        uint32_t cap = m->cap_done ? m->cap_done * 2 : 16;
        rkp_batch **v = realloc(m->done, cap * sizeof *v);

        if (!v)
            return no_memory(m->spill);
        m->done = v;
        m->cap_done = cap;
    }
    m->done[m->n_done++] = c->b;
    rkp_batch_put(c->keys);
    c->b = c->keys = NULL;
    return RKP_OK;
}

rkp_status rks_merge_next(rks_merge *m, const rkp_schema *schema, uint32_t max_rows, uint64_t max_bytes,
                          rkp_batch **out)
{
    uint32_t n = 0;
    uint64_t bytes = 0;
    rkp_status st = RKP_OK;

    *out = NULL;
    if (max_rows > RKS_MERGE_ROWS)
        max_rows = RKS_MERGE_ROWS;
    while (m->n_heap && n < max_rows && bytes < max_bytes) {
        rks_cursor *c = &m->cur[m->heap[0]];

        m->picks[n++] = (rks_pick){ c->b, c->e[c->i].row };
        if (c->run->long_rows)
            bytes += rks_row_bytes(c->b, schema->n, c->e[c->i].row);
        if (++c->i == c->n) {
            st = retire(m, c);
            if (st == RKP_OK)
                st = cursor_load(m, c);
            if (st != RKP_OK)
                return st;
            if (!c->n)
                m->heap[0] = m->heap[--m->n_heap];
        }
        if (m->n_heap > 1)
            sift_down(m, 0);
    }
    if (!n)
        return RKP_OK;
    *out = rks_gather(rkp_actor_pool(m->spill->actor), schema, m->picks, n);
    drop_done(m);
    return *out ? RKP_OK : no_memory(m->spill);
}
