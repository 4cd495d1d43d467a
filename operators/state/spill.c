// spill.c - see spill.h.
#include "spill.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { FRAME = 64 << 10, HEAD = 16 }; // bytes of a frame with its head {u32 length, u32 zero, u64 checksum}

// ---- the file -------------------------------------------------------------------------------------------------------

void rks_spill_init(rks_spill *s, rkp_actor *a, const char *op)
{
    *s = (rks_spill){ .actor = a, .op = op, .fd = -1 };
}

void rks_spill_fini(rks_spill *s)
{
    free(s->buf);
    if (s->actor && s->fd >= 0) // init has run
        close(s->fd);
    *s = (rks_spill){ .fd = -1 };
}

static uint64_t checksum(const char *p, size_t n)
{
    uint64_t h = 0x9E3779B97F4A7C15u ^ n;

    for (; n >= 8; p += 8, n -= 8) {
        uint64_t v;

        memcpy(&v, p, 8);
        h = (h ^ v) * 0xFF51AFD7ED558CCDu;
        h ^= h >> 32;
    }
    if (n) {
        uint64_t v = 0;

        memcpy(&v, p, n);
        h = (h ^ v) * 0xFF51AFD7ED558CCDu;
        h ^= h >> 32;
    }
    return h;
}

static bool fail(rks_spill *s, const char *what)
{
    rkp_fail(s->actor, RKP_IO, "%s: %s its temporary file: %s", s->op, what, strerror(errno));
    s->st = RKP_IO;
    return false;
}

static bool ready(rks_spill *s)
{
    if (s->st != RKP_OK)
        return false;
    if (!s->buf) {
        s->buf = malloc(FRAME);
        if (!s->buf) {
            rkp_fail(s->actor, RKP_NOMEM, "%s: no memory for the buffer of its temporary file", s->op);
            s->st = RKP_NOMEM;
            return false;
        }
    }
    if (s->fd < 0) {
        s->fd = rkp_spill_open(s->actor);
        if (s->fd < 0) {
            s->st = RKP_IO;
            return false;
        }
    }
    return true;
}

static bool flush(rks_spill *s)
{
    uint32_t head[2] = { (uint32_t)(s->n - HEAD), 0 };
    uint64_t sum = checksum(s->buf + HEAD, s->n - HEAD);
    size_t done = 0;

    memcpy(s->buf, head, sizeof head);
    memcpy(s->buf + sizeof head, &sum, sizeof sum);
    while (done < s->n) {
        ssize_t w = pwrite(s->fd, s->buf + done, s->n - done, (off_t)(s->end + done));

        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0) {
            if (w == 0)
                errno = ENOSPC;
            return fail(s, "cannot write");
        }
        done += (size_t)w;
    }
    s->end += s->n;
    s->n = HEAD;
    return true;
}

void rks_spill_begin(rks_spill *s)
{
    s->st = RKP_OK;
    s->at = s->end;
    s->n = HEAD;
    ready(s);
}

void rks_spill_put(rks_spill *s, const void *p, size_t n)
{
    const char *from = p;

    while (n && s->st == RKP_OK) {
        size_t part = FRAME - s->n < n ? FRAME - s->n : n;

        memcpy(s->buf + s->n, from, part);
        s->n += part;
        from += part;
        n -= part;
        if (s->n == FRAME)
            flush(s);
    }
}

rkp_status rks_spill_end(rks_spill *s, uint32_t rows, rks_block_at *out)
{
    if (s->st == RKP_OK && s->n > HEAD)
        flush(s);
    if (s->st == RKP_OK)
        *out = (rks_block_at){ s->at, s->end - s->at, rows };
    return s->st;
}

// ---- reading --------------------------------------------------------------------------------------------------------

void rks_spill_open(rks_spill *s, const rks_block_at *b)
{
    s->st = RKP_OK;
    s->at = b->at;
    s->left = b->bytes;
    s->n = s->read_n = 0;
    ready(s);
}

static bool read_at(rks_spill *s, char *to, size_t n)
{
    size_t done = 0;

    while (done < n) {
        ssize_t r = pread(s->fd, to + done, n - done, (off_t)(s->at + done));

        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0) {
            if (r == 0)
                errno = EIO;
            return fail(s, "cannot read");
        }
        done += (size_t)r;
    }
    s->at += n;
    s->left -= n;
    return true;
}

// The next frame into buf.  A block's frames are full but for the last, so its end is known without reading the head.
static bool fill(rks_spill *s)
{
    size_t n = s->left < FRAME ? (size_t)s->left : FRAME;
    uint32_t len;
    uint64_t sum;

    if (n <= HEAD)
        return false;
    if (!read_at(s, s->buf, n))
        return false;
    memcpy(&len, s->buf, sizeof len);
    memcpy(&sum, s->buf + 8, sizeof sum);
    if (len != n - HEAD || sum != checksum(s->buf + HEAD, len)) {
        errno = EBADMSG;
        return fail(s, "found other bytes than it wrote in");
    }
    s->n = n;
    s->read_n = HEAD;
    return true;
}

bool rks_spill_get(rks_spill *s, void *to, size_t n)
{
    char *at = to;

    while (n) {
        size_t part;

        if (s->st != RKP_OK || (s->read_n == s->n && !fill(s)))
            return false;
        part = s->n - s->read_n < n ? s->n - s->read_n : n;
        memcpy(at, s->buf + s->read_n, part);
        s->read_n += part;
        at += part;
        n -= part;
    }
    return true;
}

bool rks_spill_more(const rks_spill *s)
{
    return s->st == RKP_OK && (s->read_n < s->n || s->left > 0);
}

void rks_spill_reader(rks_spill *in, const rks_spill *of)
{
    *in = (rks_spill){ .actor = of->actor, .op = of->op, .fd = of->fd };
}

void rks_spill_reader_fini(rks_spill *in)
{
    free(in->buf);
    in->buf = NULL;
}

bool rks_blocks_add(rks_blocks *l, rks_block_at b)
{
    if (l->n == l->cap) {
        uint32_t cap = l->cap ? l->cap * 2 : 8;
        rks_block_at *v = realloc(l->v, cap * sizeof *v);

        if (!v)
            return false;
        l->v = v;
        l->cap = cap;
    }
    l->v[l->n++] = b;
    return true;
}

void rks_blocks_fini(rks_blocks *l)
{
    free(l->v);
    *l = (rks_blocks){ 0 };
}

// ---- batches as blocks ----------------------------------------------------------------------------------------------
//
// A column is a letter, then
//   v  a validity bitmap, values (or lengths and bytes of views)
//   a  values (or ..) that are all valid
//   t  1 when it is known to be UTF-8; lengths, -1 for null, and bytes of text

size_t rks_col_bytes(rkp_type t, uint32_t rows)
{
    size_t n = (size_t)rows * (t.len ? t.len : 1);

    return t.kind == RKP_BOOL ? (n + 7) / 8 : n * rkp_kind_width(t.kind);
}

// Text of row i of a TEXT column of kind RAW; p NULL for null.
static inline rkp_str raw_text(const rkp_col *c, uint32_t i)
{
    const uint32_t *q = c->pos + (size_t)i * c->stride;

    if (q[0] == RKP_NO_TEXT)
        return (rkp_str){ NULL, 0 };
    return (rkp_str){ c->text->base + q[0] + 1, q[1] - q[0] - 1 };
}

static inline rkp_str text_at(const rkp_col *c, uint32_t i)
{
    if (c->rep == RKP_TEXT)
        return raw_text(c, i);
    return rkp_col_is_null(c, i) ? (rkp_str){ NULL, 0 } : rkp_view_str(c, i);
}

static void put_texts(rks_spill *s, const rkp_col *c, uint32_t rows)
{
    for (uint32_t i = 0; i < rows; i++) {
        rkp_str t = text_at(c, i);
        int32_t len = t.p ? (int32_t)t.n : -1;

        rks_spill_put(s, &len, sizeof len);
    }
    for (uint32_t i = 0; i < rows; i++) {
        rkp_str t = text_at(c, i);

        rks_spill_put(s, t.p, t.n);
    }
}

rkp_status rks_spill_batch(rks_spill *s, const rkp_batch *b, rks_block_at *out)
{
    rks_spill_begin(s);
    for (uint32_t j = 0; j < b->n_cols; j++) {
        const rkp_col *c = &b->cols[j];

        if (c->rep == RKP_TEXT) {
            char utf8 = c->text->utf8;

            rks_spill_put(s, "t", 1);
            rks_spill_put(s, &utf8, 1);
            put_texts(s, c, b->rows);
            continue;
        }
        rks_spill_put(s, c->valid ? "v" : "a", 1);
        if (c->valid)
            rks_spill_put(s, c->valid, (b->rows + 7) / 8);
        if (rkp_kind_is_view(c->type.kind))
            put_texts(s, c, b->rows);
        else
            rks_spill_put(s, c->values, rks_col_bytes(c->type, b->rows));
    }
    return rks_spill_end(s, b->rows, out);
}

// A TEXT column over texts that stand in `text` one after the other, from its second byte on, a byte between them.
static bool set_raw(rkp_batch *b, uint32_t j, rkp_type type, const int32_t *len, char *base, uint64_t n, bool utf8)
{
    rkp_text *t = rkp_batch_alloc(b, sizeof *t);
    uint32_t *pos = rkp_batch_alloc(b, ((size_t)b->rows + 1) * 2 * sizeof *pos);
    uint32_t at = 1;

    if (!t || !pos)
        return false;
    base[0] = '\n';
    for (uint32_t i = 0; i < b->rows; i++) {
        pos[2 * i] = len[i] < 0 ? RKP_NO_TEXT : at - 1;
        if (len[i] >= 0) {
            at += (uint32_t)len[i];
            base[at] = '\n';
        }
        pos[2 * i + 1] = at;
        at += len[i] >= 0;
    }
    *t = (rkp_text){ .base = base, .len = (uint32_t)n, .kind = RKP_TEXT_RAW, .utf8 = utf8 };
    b->cols[j] = (rkp_col){ .type = type, .rep = RKP_TEXT, .stride = 2, .pos = pos, .text = t, .phys_rows = b->rows };
    return true;
}

// Lengths; *total is what their texts take with `gap` bytes behind each that is there.
static int32_t *get_lengths(rks_spill *s, rkp_batch *b, uint32_t gap, uint64_t *total)
{
    int32_t *len = rkp_batch_alloc(b, ((size_t)b->rows + 1) * sizeof *len);

    *total = 0;
    if (!len || !rks_spill_get(s, len, b->rows * sizeof *len))
        return NULL;
    for (uint32_t i = 0; i < b->rows; i++)
        *total += len[i] < 0 ? 0 : (uint64_t)len[i] + gap;
    return *total > INT32_MAX - 1 ? NULL : len;
}

static bool get_raw(rks_spill *s, rkp_batch *b, uint32_t j, rkp_type type)
{
    uint64_t total;
    char utf8, *base;
    int32_t *len;
    size_t at = 1;

    if (!rks_spill_get(s, &utf8, 1))
        return false;
    len = get_lengths(s, b, 1, &total);
    base = len ? rkp_batch_alloc(b, (size_t)total + 1) : NULL;
    if (!base)
        return false;
    for (uint32_t i = 0; i < b->rows; i++) {
        if (len[i] < 0)
            continue;
        if (!rks_spill_get(s, base + at, (size_t)len[i]))
            return false;
        at += (size_t)len[i] + 1;
    }
    return set_raw(b, j, type, len, base, total + 1, utf8);
}

// Texts of one column into views over one buffer.
static bool get_views(rks_spill *s, rkp_batch *b, uint32_t j, rkp_type type, const uint8_t *valid)
{
    uint32_t rows = b->rows;
    uint64_t total, at = 0;
    int32_t *len = get_lengths(s, b, 0, &total);
    rkp_view *v = rkp_batch_alloc(b, ((size_t)rows + 1) * sizeof *v);
    const char **bufs = rkp_batch_alloc(b, sizeof *bufs);
    int64_t *sizes = rkp_batch_alloc(b, sizeof *sizes);
    char *text = len ? rkp_batch_alloc(b, (size_t)total + 1) : NULL;

    if (!v || !bufs || !sizes || !text || !rks_spill_get(s, text, (size_t)total))
        return false;
    memset(v, 0, rows * sizeof *v);
    for (uint32_t i = 0; i < rows; i++) {
        v[i].len = len[i] < 0 ? 0 : len[i];
        if (v[i].len <= 12) {
            memcpy(v[i].u.inlined, text + at, (size_t)v[i].len);
        } else {
            memcpy(v[i].u.ref.prefix, text + at, 4);
            v[i].u.ref.off = (int32_t)at;
        }
        at += (uint64_t)v[i].len;
    }
    bufs[0] = text;
    sizes[0] = (int64_t)total;
    b->cols[j] = (rkp_col){ .type = type,
                            .rep = RKP_FLAT,
                            .valid = valid,
                            .values = v,
                            .bufs = bufs,
                            .buf_sizes = sizes,
                            .n_bufs = 1,
                            .phys_rows = rows };
    return true;
}

static bool get_column(rks_spill *s, rkp_batch *b, uint32_t j, rkp_type type)
{
    char form;
    uint8_t *valid = NULL;
    void *values;

    if (!rks_spill_get(s, &form, 1))
        return false;
    if (form == 't')
        return get_raw(s, b, j, type);
    if (form == 'v') {
        valid = rkp_batch_alloc(b, (b->rows + 7) / 8 + 1);
        if (!valid || !rks_spill_get(s, valid, (b->rows + 7) / 8))
            return false;
    }
    if (rkp_kind_is_view(type.kind))
        return get_views(s, b, j, type, valid);
    values = rkp_batch_alloc(b, rks_col_bytes(type, b->rows) + 1);
    if (!values || !rks_spill_get(s, values, rks_col_bytes(type, b->rows)))
        return false;
    rkp_col_set_values(b, j, type, values, valid, b->rows);
    return true;
}

rkp_batch *rks_spill_load(rks_spill *s, const rks_block_at *at, const rkp_schema *schema)
{
    rkp_batch *b = rkp_batch_new(rkp_actor_pool(s->actor), schema, schema->n, (size_t)at->bytes);
    bool ok = b != NULL;

    if (b) {
        b->rows = at->rows;
        rks_spill_open(s, at);
        for (uint32_t j = 0; ok && j < schema->n; j++)
            ok = get_column(s, b, j, schema->f[j].type);
    }
    if (ok)
        return b;
    if (!b || s->st == RKP_OK) {
        s->st = RKP_NOMEM;
        rkp_fail(s->actor, RKP_NOMEM, "%s: no memory for %u rows of its temporary file", s->op, at->rows);
    }
    rkp_batch_put(b);
    return NULL;
}

// ---- gather ---------------------------------------------------------------------------------------------------------

uint64_t rks_row_bytes(const rkp_batch *b, uint32_t n_cols, uint32_t row)
{
    uint64_t n = 0;

    for (uint32_t j = 0; j < n_cols; j++)
        if (b->cols[j].rep == RKP_TEXT || rkp_kind_is_view(b->cols[j].type.kind))
            n += text_at(&b->cols[j], row).n;
    return n;
}

#define GATHER(T)                                                                                                      \
    do {                                                                                                               \
        for (uint32_t i = 0; i < n; i++)                                                                               \
            ((T *)to)[i] = ((const T *)rows[i].b->cols[j].values)[rows[i].row];                                        \
    } while (0)

static void gather_fixed(const rks_pick *rows, uint32_t n, uint32_t j, rkp_type t, void *to)
{
    size_t each = t.len;

    if (t.kind == RKP_BOOL) {
        if (!each)
            each = 1;
        memset(to, 0, rks_col_bytes(t, n));
        for (uint32_t i = 0; i < n; i++)
            for (size_t k = 0; k < each; k++)
                if (rkp_bit(rows[i].b->cols[j].values, rows[i].row * each + k))
                    rkp_bit_set(to, i * each + k);
        return;
    }
    if (each) {
        each *= rkp_kind_width(t.kind);
        for (uint32_t i = 0; i < n; i++)
            memcpy((char *)to + i * each, (const char *)rows[i].b->cols[j].values + rows[i].row * each, each);
        return;
    }
    switch (rkp_kind_width(t.kind)) {
    case 1:
        GATHER(uint8_t);
        break;
    case 2:
        GATHER(uint16_t);
        break;
    case 4:
        GATHER(uint32_t);
        break;
    default:
        GATHER(uint64_t);
        break;
    }
}

// Texts into a TEXT column.
static bool gather_raw(rkp_batch *out, const rks_pick *rows, uint32_t n, uint32_t j, rkp_type type)
{
    uint64_t total = 1;
    size_t at = 1;
    bool utf8 = true;
    int32_t *len = rkp_batch_alloc(out, n * sizeof *len);
    char *base;

    if (!len)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        rkp_str t = raw_text(&rows[i].b->cols[j], rows[i].row);

        len[i] = t.p ? (int32_t)t.n : -1;
        total += t.p ? t.n + 1 : 0;
        utf8 &= rows[i].b->cols[j].text->utf8;
    }
    base = total <= INT32_MAX ? rkp_batch_alloc(out, (size_t)total) : NULL;
    if (!base)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        if (len[i] < 0)
            continue;
        memcpy(base + at, raw_text(&rows[i].b->cols[j], rows[i].row).p, (size_t)len[i]);
        at += (size_t)len[i] + 1;
    }
    return set_raw(out, j, type, len, base, total, utf8);
}

static bool gather_column(rkp_batch *out, const rks_pick *rows, uint32_t n, uint32_t j, rkp_type type, rkp_str *texts)
{
    uint8_t *valid = NULL;
    void *values;

    if (rows[0].b->cols[j].rep == RKP_TEXT)
        return gather_raw(out, rows, n, j, type);
    if (rkp_kind_is_view(type.kind)) {
        for (uint32_t i = 0; i < n; i++)
            texts[i] = text_at(&rows[i].b->cols[j], rows[i].row);
        return rkp_col_set_strs(out, j, type, texts, n) == RKP_OK;
    }
    values = rkp_batch_alloc(out, rks_col_bytes(type, n) + 1);
    if (!values)
        return false;
    gather_fixed(rows, n, j, type, values);
    for (uint32_t i = 0; i < n; i++) {
        if (!rkp_col_is_null(&rows[i].b->cols[j], rows[i].row))
            continue;
        if (!valid) {
            valid = rkp_batch_alloc(out, (n + 7) / 8);
            if (!valid)
                return false;
            memset(valid, 0xff, (n + 7) / 8);
        }
        rkp_bit_clear(valid, i);
    }
    rkp_col_set_values(out, j, type, values, valid, n);
    return true;
}

rkp_batch *rks_gather(rkp_pool *pool, const rkp_schema *schema, const rks_pick *rows, uint32_t n)
{
    size_t hint = 0;
    bool any_text = false, ok = true;
    rkp_str *texts = NULL;
    rkp_batch *out;

    for (uint32_t j = 0; j < schema->n; j++) {
        any_text |= rkp_kind_is_view(schema->f[j].type.kind);
        hint += rks_col_bytes(schema->f[j].type, n) + n / 8 + 128;
    }
    if (any_text) {
        texts = malloc(n * sizeof *texts);
        if (!texts)
            return NULL;
    }
    out = rkp_batch_new(pool, schema, schema->n, hint);
    if (out) {
        out->rows = n;
        for (uint32_t j = 0; ok && j < schema->n; j++)
            ok = gather_column(out, rows, n, j, schema->f[j].type, texts);
    }
    free(texts);
    if (!out || !ok) {
        rkp_batch_put(out);
        return NULL;
    }
    return out;
}

// ---- errors ---------------------------------------------------------------------------------------------------------

static int compare_errs(const void *x, const void *y)
{
    const rkp_err *a = x, *b = y;

    return a->row != b->row ? (a->row < b->row ? -1 : 1) : a->col < b->col ? -1 : a->col > b->col;
}

void rks_unite_errs(rkp_errs *errs)
{
    uint32_t n = 0;

    if (errs->n < 2)
        return;
    qsort(errs->v, errs->n, sizeof *errs->v, compare_errs);
    for (uint32_t i = 0; i < errs->n; i++)
        if (n == 0 || errs->v[i].row != errs->v[n - 1].row)
            errs->v[n++] = errs->v[i];
    errs->n = n;
}
