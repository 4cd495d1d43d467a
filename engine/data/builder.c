// builder.c - rows of many batches in one.
//
// Rows come in chunks of 1,024: every column of a chunk is made dense in scratch memory first, so that a row with a
// wrong value can be left out of all of them, and is then appended.  What has been appended is what lies below `rows`;
// a failure in the middle of a chunk leaves bytes above that nobody looks at.
//
//   values    one block, doubled by copying: fixed widths, bits, or views; positions of a text column
//   valid     one block, once there is a null
//   text      of views: chunks that stay where they are.  Of a text column: one block, doubled by copying, because
//             positions count from one base
#include "data/batch.h"
#include "data/column.h"
#include "data/views.h"

#include <stdlib.h>

enum { CHUNK = 1024, TEXT_FIRST = 4 << 10, TEXT_LAST = 1 << 20 };

struct text_chunk {
    rkp_block *k;
    uint32_t used;
};

enum form { FORM_NONE, FORM_FLAT, FORM_TEXT };

struct column {
    uint8_t form;
    bool utf8; // FORM_TEXT: all of it is known to be
    rkp_block *values;
    rkp_block *valid;
    struct text_chunk *text; // FORM_TEXT: one at most
    uint32_t n_text, cap_text;
};

struct rkp_builder {
    rkp_pool *pool;
    const rkp_schema *schema;
    bool keep_text;
    uint32_t rows;
    uint64_t bytes;
    rkp_batch *scratch; // of one chunk
    rkp_batch *what;    // texts of errors
    struct column cols[];
};

// ---- memory ---------------------------------------------------------------------------------------------------------

static rkp_block *take(rkp_builder *w, size_t bytes)
{
    rkp_block *k = rki_block_get(w->pool, bytes, 0);

    if (k) {
        RKI_UNPOISON(rki_block_data(k), rki_block_size(k));
        w->bytes += rki_block_size(k);
    }
    return k;
}

static void give(rkp_builder *w, rkp_block *k)
{
    if (!k)
        return;
    w->bytes -= rki_block_size(k);
    k->next = NULL;
    rki_blocks_put(w->pool, k, 0, 0);
}

// *k holds at least `bytes`, of which the first `used` are kept.
static bool grow(rkp_builder *w, rkp_block **k, size_t used, size_t bytes)
{
    rkp_block *bigger;

    if (*k && rki_block_size(*k) >= bytes)
        return true;
    if (*k) {
        size_t size = rki_block_size(*k);

        bigger = rki_block_grow(w->pool, *k, bytes);
        if (bigger) {
            w->bytes += rki_block_size(bigger) - size;
            *k = bigger;
            return true;
        }
    }
    bigger = take(w, bytes);
    if (!bigger)
        return false;
    if (*k)
        memcpy(rki_block_data(bigger), rki_block_data(*k), used);
    give(w, *k);
    *k = bigger;
    return true;
}

// A place for n bytes of text behind views, in the newest chunk.
static char *text_room(rkp_builder *w, struct column *c, size_t n)
{
    size_t size = TEXT_FIRST;
    rkp_block *k;

    if (c->n_text) {
        struct text_chunk *t = &c->text[c->n_text - 1];

        size = rki_block_size(t->k);
        if (n <= size - t->used)
            return rki_block_data(t->k) + t->used;
        size = size * 2 > TEXT_LAST ? TEXT_LAST : size * 2;
    }
    if (c->n_text == c->cap_text) {
        uint32_t cap = c->cap_text ? c->cap_text * 2 : 8;
        struct text_chunk *more = realloc(c->text, cap * sizeof *more);

        if (!more)
            return NULL;
        c->text = more;
        c->cap_text = cap;
    }
    k = n > INT32_MAX ? NULL : take(w, n > size ? n : size);
    if (!k)
        return NULL;
    c->text[c->n_text++] = (struct text_chunk){ k, 0 };
    return rki_block_data(k);
}

static void column_clear(rkp_builder *w, struct column *c)
{
    give(w, c->values);
    give(w, c->valid);
    for (uint32_t i = 0; i < c->n_text; i++)
        give(w, c->text[i].k);
    c->values = c->valid = NULL;
    c->n_text = 0;
    c->form = FORM_NONE;
}

// ---- appending ------------------------------------------------------------------------------------------------------

static void put_bit(uint8_t *bits, size_t i, bool v)
{
    bits[i >> 3] = (uint8_t)((bits[i >> 3] & ~(1u << (i & 7))) | (unsigned)v << (i & 7));
}

static void append_bits(uint8_t *to, size_t at, const uint8_t *from, uint32_t n)
{
    if (at % 8 == 0) {
        memcpy(to + at / 8, from, ((size_t)n + 7) / 8);
        return;
    }
    for (uint32_t i = 0; i < n; i++)
        put_bit(to, at + i, rkp_bit(from, i));
}

static bool append_valid(rkp_builder *w, struct column *c, const uint8_t *valid, uint32_t n)
{
    size_t bytes = ((size_t)w->rows + n + 7) / 8;

    if (!valid && !c->valid)
        return true;
    if (!c->valid) {
        if (!grow(w, &c->valid, 0, bytes))
            return false;
        memset(rki_block_data(c->valid), 0xff, ((size_t)w->rows + 7) / 8);
    } else if (!grow(w, &c->valid, ((size_t)w->rows + 7) / 8, bytes)) {
        return false;
    }
    if (valid)
        append_bits((uint8_t *)rki_block_data(c->valid), w->rows, valid, n);
    else
        for (uint32_t i = 0; i < n; i++)
            put_bit((uint8_t *)rki_block_data(c->valid), (size_t)w->rows + i, true);
    return true;
}

static bool append_views(rkp_builder *w, struct column *c, const rkp_col *from, uint32_t n)
{
    rkp_view *to = (rkp_view *)(void *)rki_block_data(c->values) + w->rows;

    for (uint32_t i = 0; i < n; i++) {
        rkp_view v = ((const rkp_view *)from->values)[i];

        if (rkp_col_is_null(from, i)) {
            v = (rkp_view){ 0 };
        } else if (v.len > 12) {
            rkp_str s = rkp_view_str(from, i);
            char *p = text_room(w, c, s.n);
            struct text_chunk *t;

            if (!p)
                return false;
            memcpy(p, s.p, s.n);
            t = &c->text[c->n_text - 1];
            v.u.ref.buf = (int32_t)(c->n_text - 1);
            v.u.ref.off = (int32_t)t->used;
            t->used += (uint32_t)s.n;
        }
        to[i] = v;
    }
    return true;
}

static bool append_flat(rkp_builder *w, uint32_t col, const rkp_col *from, uint32_t n)
{
    rkp_type t = w->schema->f[col].type;
    size_t width = rkp_kind_width(t.kind) * (t.len ? t.len : 1), rows = w->rows;
    struct column *c = &w->cols[col];

    if (!width) {
        if (!grow(w, &c->values, (rows + 7) / 8, (rows + n + 7) / 8))
            return false;
        append_bits((uint8_t *)rki_block_data(c->values), rows, from->values, n);
    } else {
        if (!grow(w, &c->values, rows * width, (rows + n) * width))
            return false;
        if (!rkp_kind_is_view(t.kind))
            memcpy(rki_block_data(c->values) + rows * width, from->values, n * width);
        else if (!append_views(w, c, from, n))
            return false;
    }
    return append_valid(w, c, from->valid, n);
}

// Texts one after the other, each with a byte before it: position pairs as of JSON lines.
static bool append_texts(rkp_builder *w, uint32_t col, const rkp_str *v, uint32_t n)
{
    struct column *c = &w->cols[col];
    size_t more = 0, rows = w->rows;
    uint32_t *pos, used;
    char *base;

    for (uint32_t i = 0; i < n; i++)
        more += v[i].n + 1;
    if (!c->n_text) {
        if (!text_room(w, c, 1))
            return false;
        *rki_block_data(c->text[0].k) = '\n'; // so that no text begins at 0
        c->text[0].used = 1;
        c->utf8 = true;
    }
    used = c->text[0].used;
    if (more > INT32_MAX - used || !grow(w, &c->text[0].k, used, used + more) ||
        !grow(w, &c->values, rows * 2 * sizeof *pos, (rows + n) * 2 * sizeof *pos))
        return false;
    base = rki_block_data(c->text[0].k);
    pos = (uint32_t *)(void *)rki_block_data(c->values) + rows * 2;
    for (uint32_t i = 0; i < n; i++) {
        pos[2 * i] = v[i].p ? used - 1 : RKP_NO_TEXT;
        if (v[i].n)
            memcpy(base + used, v[i].p, v[i].n);
        used += (uint32_t)v[i].n;
        pos[2 * i + 1] = used;
        if (v[i].p)
            base[used++] = '\n';
    }
    c->text[0].used = used;
    return true;
}

// ---- one chunk ------------------------------------------------------------------------------------------------------

struct dense { // a column of a chunk
    rkp_col flat;
    rkp_str *texts;
};

// A dense column as text that reads back to the same values.
static rkp_status texts_of_flat(rkp_batch *mem, const rkp_col *flat, uint32_t n, rkp_str *out)
{
    rkp_col as = *flat;
    rkp_status st = RKP_OK;

    if (!rkp_kind_is_view(flat->type.kind))
        st = rkp_col_cast(mem, flat, n, RKP_TYPE(RKP_STRING), &as, NULL);
    for (uint32_t i = 0; i < n && st == RKP_OK; i++) {
        rkp_str s = { NULL, 0 };

        if (!rkp_col_is_null(&as, i))
            s = rkp_view_str(&as, i);
        out[i] = s;
    }
    return st;
}

static rkp_status densify(rkp_builder *w, const rkp_batch *b, uint32_t col, const uint32_t *rows, uint32_t n,
                          struct dense *d, rkp_errs *errs)
{
    const rkp_col *from = &b->cols[col];
    rkp_status st;

    if (w->cols[col].form == FORM_FLAT)
        return rki_col_flat(w->scratch, b, col, rows, n, &d->flat, errs);
    d->texts = rkp_batch_alloc(w->scratch, n * sizeof *d->texts);
    if (!d->texts)
        return RKP_NOMEM;
    if (from->rep == RKP_TEXT)
        return rki_col_texts(w->scratch, b, col, rows, n, d->texts, errs);
    st = rki_col_flat(w->scratch, b, col, rows, n, &d->flat, errs);
    return st == RKP_OK ? texts_of_flat(w->scratch, &d->flat, n, d->texts) : st;
}

// Makes all columns dense; the errors found name indexes, column by column.
static rkp_status densify_all(rkp_builder *w, const rkp_batch *b, const uint32_t *rows, uint32_t n, struct dense **out,
                              rkp_errs *found)
{
    struct dense *d;
    rkp_status st = RKP_OK;

    rki_batch_reset(w->scratch);
    d = rkp_batch_alloc(w->scratch, w->schema->n * sizeof *d);
    if (!d)
        return RKP_NOMEM;
    for (uint32_t i = 0; i < w->schema->n && st == RKP_OK; i++)
        st = densify(w, b, i, rows, n, &d[i], found);
    *out = d;
    return st;
}

// Tells of the rows in `found`, each once and in order, and writes the others' logical rows into good.
static rkp_status split(rkp_builder *w, const uint32_t *rows, uint32_t n, const rkp_errs *found, rkp_errs *errs,
                        uint32_t *good, uint32_t *n_good)
{
    const rkp_err *first[CHUNK] = { NULL };
    uint32_t g = 0;

    for (uint32_t i = found->n; i-- > 0;) // the first column's reason is left standing
        first[found->v[i].row] = &found->v[i];
    for (uint32_t i = 0; i < n; i++) {
        const rkp_err *e = first[i];
        rkp_str what = { NULL, 0 };

        if (!e) {
            good[g++] = rows[i];
            continue;
        }
        if (!errs)
            continue;
        if (e->what.n) {
            char *to = rkp_batch_alloc(w->what, e->what.n);

            if (!to)
                return RKP_NOMEM;
            memcpy(to, e->what.p, e->what.n);
            what = (rkp_str){ to, e->what.n };
        }
        rkp_errs_add(errs, rows[i], e->code, e->col, what);
    }
    *n_good = g;
    return errs && errs->failed ? RKP_NOMEM : RKP_OK;
}

static rkp_status add_chunk(rkp_builder *w, const rkp_batch *b, const uint32_t *rows, uint32_t n, rkp_errs *errs)
{
    rkp_errs found = { 0 };
    struct dense *d;
    uint32_t good[CHUNK];
    rkp_status st = densify_all(w, b, rows, n, &d, &found);

    if (st == RKP_OK && found.n) {
        st = split(w, rows, n, &found, errs, good, &n);
        rkp_errs_clear(&found);
        if (st == RKP_OK && n)
            st = densify_all(w, b, good, n, &d, &found); // finds nothing
    }
    for (uint32_t i = 0; i < w->schema->n && st == RKP_OK && n; i++) {
        if (!(w->cols[i].form == FORM_TEXT ? append_texts(w, i, d[i].texts, n) : append_flat(w, i, &d[i].flat, n)))
            st = RKP_NOMEM;
        else if (w->cols[i].form == FORM_TEXT && b->cols[i].rep == RKP_TEXT)
            w->cols[i].utf8 &= b->cols[i].text->utf8;
        else if (w->schema->f[i].type.kind == RKP_BYTES)
            w->cols[i].utf8 = false;
    }
    rkp_errs_fini(&found);
    if (st == RKP_OK)
        w->rows += n;
    return st;
}

// ---- the builder ----------------------------------------------------------------------------------------------------

rkp_builder *rkp_builder_new(rkp_pool *p, const rkp_schema *s)
{
    rkp_builder *w = calloc(1, sizeof *w + s->n * sizeof w->cols[0]);

    if (!w)
        return NULL;
    w->pool = p;
    w->schema = s;
    w->scratch = rkp_batch_new(p, NULL, 0, 0);
    w->what = rkp_batch_new(p, NULL, 0, 0);
    if (!w->scratch || !w->what) {
        rkp_builder_free(w);
        return NULL;
    }
    return w;
}

void rkp_builder_keep_text(rkp_builder *w)
{
    w->keep_text = true;
}

rkp_status rkp_builder_add(rkp_builder *w, const rkp_batch *b, const uint32_t *rows, uint32_t n, rkp_errs *errs)
{
    uint32_t iota[CHUNK];
    rkp_status st = RKP_OK;

    if (n > INT32_MAX - w->rows)
        return RKP_NOMEM;
    rki_batch_reset(w->what);
    for (uint32_t i = 0; i < w->schema->n && w->rows == 0; i++) {
        uint8_t form = w->keep_text && b->cols[i].rep == RKP_TEXT ? FORM_TEXT : FORM_FLAT;

        if (form != w->cols[i].form)
            column_clear(w, &w->cols[i]);
        w->cols[i].form = form;
    }
    for (uint32_t from = 0; from < n && st == RKP_OK; from += CHUNK) {
        uint32_t m = n - from < CHUNK ? n - from : CHUNK;

        for (uint32_t i = 0; i < m && !rows; i++)
            iota[i] = from + i;
        st = add_chunk(w, b, rows ? rows + from : iota, m, errs);
    }
    rki_batch_reset(w->scratch);
    return st;
}

uint32_t rkp_builder_rows(const rkp_builder *w)
{
    return w->rows;
}

uint64_t rkp_builder_bytes(const rkp_builder *w)
{
    return w->bytes;
}

static bool finish_column(rkp_builder *w, rkp_batch *b, uint32_t i)
{
    struct column *c = &w->cols[i];
    rkp_col *to = &b->cols[i];

    *to = (rkp_col){ .type = w->schema->f[i].type, .phys_rows = w->rows };
    to->values = c->values ? (const void *)rki_block_data(c->values) : rkp_batch_alloc(b, 1);
    to->valid = c->valid ? (const uint8_t *)rki_block_data(c->valid) : NULL;
    if (!to->values)
        return false;
    if (c->form == FORM_TEXT && w->rows) {
        rkp_text *t = rkp_batch_alloc(b, sizeof *t);

        if (!t)
            return false;
        *t = (rkp_text){
            .base = rki_block_data(c->text[0].k), .len = c->text[0].used, .kind = RKP_TEXT_RAW, .utf8 = c->utf8
        };
        *to = (rkp_col){ .type = to->type, .rep = RKP_TEXT, .stride = 2, .pos = to->values, .text = t };
        return true;
    }
    if (rkp_kind_is_view(to->type.kind) && c->n_text) {
        const char **bufs = rkp_batch_alloc(b, c->n_text * sizeof *bufs);
        int64_t *sizes = rkp_batch_alloc(b, c->n_text * sizeof *sizes);

        if (!bufs || !sizes)
            return false;
        for (uint32_t k = 0; k < c->n_text; k++) {
            bufs[k] = rki_block_data(c->text[k].k);
            sizes[k] = c->text[k].used;
        }
        to->bufs = bufs;
        to->buf_sizes = sizes;
        to->n_bufs = c->n_text;
    }
    return true;
}

static void hand_over(rkp_batch *b, rkp_block **k)
{
    if (*k) {
        (*k)->next = NULL;
        rki_batch_adopt(b, *k);
        *k = NULL;
    }
}

rkp_batch *rkp_builder_finish(rkp_builder *w)
{
    rkp_batch *b = rkp_batch_new(w->pool, w->schema, w->schema->n, 0);

    if (!b)
        return NULL;
    for (uint32_t i = 0; i < w->schema->n; i++) {
        if (!finish_column(w, b, i)) {
            rkp_batch_put(b);
            return NULL;
        }
    }
    b->rows = w->rows;
    for (uint32_t i = 0; i < w->schema->n; i++) {
        struct column *c = &w->cols[i];

        hand_over(b, &c->values);
        hand_over(b, &c->valid);
        for (uint32_t k = 0; k < c->n_text; k++)
            hand_over(b, &c->text[k].k);
        c->n_text = 0;
        c->form = FORM_NONE;
    }
    w->rows = 0;
    w->bytes = 0;
    return b;
}

void rkp_builder_free(rkp_builder *w)
{
    if (!w)
        return;
    for (uint32_t i = 0; i < w->schema->n; i++) {
        column_clear(w, &w->cols[i]);
        free(w->cols[i].text);
    }
    rkp_batch_put(w->scratch);
    rkp_batch_put(w->what);
    free(w);
}
