// wire.c - see wire.h.
//
// Putting goes through the columns twice: the meta, then the buffers; sizes that only the second pass knows are written
// back into the meta.  Getting first copies the record into the batch's memory, so that nothing can change below it and
// columns can point into it, and then reads meta and buffers with one cursor each.  Both cursors refuse to leave the
// record; the second must end where the record ends.  What a buffer holds is checked when it is taken: no index, length
// or offset in it is used before that.
#include "data/wire.h"

#include <stdlib.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "buffers are written as they are in memory");

enum { MAGIC = 0x31574b52 }; // "RKW1"

enum { HAS_BLOB = 1, HAS_LINES = 2, HAS_TOPICS = 4, HAS_TOPIC_OF = 8 }; // head.flags
enum { HAS_VALID = 1, IS_CONSTANT = 2, IS_UTF8 = 4 };                   // of a column
enum {
    MAX_COLS = 4096,
    MAX_ARRAY = 65536,
    MAX_CONSTANT = 1 << 20, // rows of a constant: what a record asks for is in proportion to its size, or to this
};

struct head {
    uint32_t magic;
    uint16_t version, flags;
    uint32_t rows, cols;
    uint32_t size; // of the record
    uint32_t meta; // bytes
    uint64_t in_bytes, blob_rows, first_line;
    uint32_t batch_flags;
    uint32_t blob; // bytes
    uint64_t zero;
};
_Static_assert(sizeof(struct head) == 64, "the head is one line");

static size_t pad8(size_t n)
{
    return (n + 7) & ~(size_t)7;
}

static bool type_ok(unsigned kind, uint32_t len)
{
    if (kind >= RKP_N_KINDS || len > MAX_ARRAY)
        return false;
    return !len || (kind != RKP_BOOL && !rkp_kind_is_view(kind));
}

// ---- putting --------------------------------------------------------------------------------------------------------

struct column { // of what is written
    const rkp_col *c;
    uint32_t rows;    // physical rows to write
    bool constant;    // the value at sel[0]
    bool valid;       // some of them are null
    uint32_t lengths; // where in the meta the size of its text goes; 0: nowhere
};

static void put_u8(rki_buf *o, unsigned v)
{
    rki_putc(o, (char)v);
}

static void put_u32(rki_buf *o, uint32_t v)
{
    rki_put(o, (const char *)&v, sizeof v);
}

static void put_str(rki_buf *o, rkp_str s)
{
    put_u32(o, (uint32_t)s.n);
    rki_put(o, s.p, s.n);
}

// n bytes at the end, not written yet; NULL without memory or when the record is too large.
static char *take(rki_buf *o, size_t start, size_t n)
{
    char *p;

    if (n > RKI_WIRE_MAX || o->n - start + n > RKI_WIRE_MAX || !rki_buf_reserve(o, n))
        return NULL;
    p = o->p + o->n;
    o->n += n;
    return p;
}

static bool pad(rki_buf *o, size_t start)
{
    size_t n = pad8(o->n - start) - (o->n - start);
    char *p = take(o, start, n);

    if (p && n)
        memset(p, 0, n);
    return p != NULL;
}

static uint32_t physical(const struct column *c, uint32_t i)
{
    return rkp_col_row(c->c, i);
}

static bool text_absent(const rkp_col *c, uint32_t row)
{
    return c->pos[(size_t)row * c->stride] == RKP_NO_TEXT;
}

static void look(struct column *c, const rkp_col *col, uint32_t rows)
{
    uint32_t i;

    *c = (struct column){ .c = col, .rows = rows };
    if (col->sel && rows > 1 && rows <= MAX_CONSTANT) {
        for (i = 1; i < rows && col->sel[i] == col->sel[0]; i++)
            ;
        c->constant = i == rows;
        if (c->constant)
            c->rows = 1;
    }
    if (col->rep == RKP_TEXT)
        for (i = 0; i < c->rows && !c->valid; i++)
            c->valid = text_absent(col, physical(c, i));
    else if (col->valid)
        for (i = 0; i < c->rows && !c->valid; i++)
            c->valid = !rkp_bit(col->valid, physical(c, i));
}

static void put_meta(rki_buf *o, size_t start, struct column *c, const rkp_field *f)
{
    const rkp_text *t = c->c->text;
    unsigned flags = (c->valid ? HAS_VALID : 0) | (c->constant ? IS_CONSTANT : 0);

    if (c->c->rep == RKP_TEXT && t->utf8)
        flags |= IS_UTF8;
    put_u8(o, f->type.kind);
    put_u8(o, f->type.nullable);
    put_u8(o, c->c->rep);
    put_u8(o, flags);
    put_u32(o, f->type.len);
    if (c->c->rep == RKP_TEXT || rkp_kind_is_view(f->type.kind)) {
        c->lengths = (uint32_t)(o->n - start);
        put_u32(o, 0);
    }
    put_str(o, f->name);
    if (c->c->rep != RKP_TEXT)
        return;
    put_u8(o, t->kind);
    put_u8(o, (unsigned char)t->quote);
    put_u8(o, (unsigned char)t->delim);
    put_u8(o, t->n_nulls);
    for (unsigned i = 0; i < t->n_nulls; i++)
        put_str(o, t->nulls[i]);
}

// The bits of the rows, out of those of the column.
static bool put_bits(rki_buf *o, size_t start, const struct column *c, const uint8_t *from)
{
    size_t n = ((size_t)c->rows + 7) / 8;
    uint8_t *to = (uint8_t *)take(o, start, n);

    if (!to)
        return false;
    if (!n)
        return true;
    if (c->c->sel) {
        memset(to, 0, n);
        for (uint32_t i = 0; i < c->rows; i++)
            to[i / 8] = (uint8_t)(to[i / 8] | (unsigned)rkp_bit(from, c->c->sel[i]) << i % 8);
    } else {
        memcpy(to, from, n);
        if (c->rows % 8)
            to[n - 1] = (uint8_t)(to[n - 1] & ((1u << c->rows % 8) - 1));
    }
    return pad(o, start);
}

static bool put_there(rki_buf *o, size_t start, const struct column *c) // as put_bits, of texts
{
    size_t n = ((size_t)c->rows + 7) / 8;
    uint8_t *to = (uint8_t *)take(o, start, n);

    if (!to)
        return false;
    memset(to, 0, n);
    for (uint32_t i = 0; i < c->rows; i++)
        if (!text_absent(c->c, physical(c, i)))
            rkp_bit_set(to, i);
    return pad(o, start);
}

#define GATHER(n)                                                                                                      \
    do {                                                                                                               \
        for (uint32_t i = 0; i < c->rows; i++)                                                                         \
            memcpy(to + i * (size_t)(n), from + physical(c, i) * (size_t)(n), (n));                                    \
    } while (0)

static bool put_fixed(rki_buf *o, size_t start, const struct column *c, size_t width)
{
    const char *from = c->c->values;
    char *to = take(o, start, c->rows * width);

    if (!to)
        return false;
    if (!c->rows)
        return true;
    if (!c->c->sel)
        memcpy(to, from, c->rows * width);
    else if (width == 4)
        GATHER(4);
    else if (width == 8)
        GATHER(8);
    else
        GATHER(width);
    return pad(o, start);
}

// Where a size that is known now belongs.
static void patch(rki_buf *o, size_t at, uint32_t v)
{
    memcpy(o->p + at, &v, sizeof v);
}

static bool put_views(rki_buf *o, size_t start, const struct column *c)
{
    size_t text = 0, at = o->n;
    char *to = take(o, start, c->rows * sizeof(rkp_view));

    if (!to)
        return false;
    for (uint32_t i = 0; i < c->rows; i++) {
        uint32_t row = physical(c, i);
        const rkp_view *v = (const rkp_view *)c->c->values + row;

        if (!rkp_col_is_null(c->c, row) && v->len > 12)
            text += (size_t)v->len;
    }
    if (!take(o, start, text)) // what was taken before may have moved
        return false;
    to = o->p + o->n - text;
    text = 0;
    for (uint32_t i = 0; i < c->rows; i++) {
        uint32_t row = physical(c, i);
        rkp_view v = ((const rkp_view *)c->c->values)[row];

        if (rkp_col_is_null(c->c, row)) {
            v = (rkp_view){ 0 };
        } else if (v.len > 12) {
            memcpy(to + text, rkp_view_str(c->c, row).p, (size_t)v.len);
            v.u.ref.buf = 0;
            v.u.ref.off = (int32_t)text;
            text += (size_t)v.len;
        }
        memcpy(o->p + at + i * sizeof v, &v, sizeof v);
    }
    patch(o, start + c->lengths, (uint32_t)text);
    return pad(o, start);
}

// One place more than there are rows, counted from 1: the byte before the first text is a line's end, as in a file.
static bool put_texts(rki_buf *o, size_t start, const struct column *c)
{
    size_t at = o->n, text = 1;
    uint32_t end = 1;
    char *to;

    if (!take(o, start, ((size_t)c->rows + 1) * sizeof end))
        return false;
    memcpy(o->p + at, &end, sizeof end);
    for (uint32_t i = 0; i < c->rows; i++)
        text += rkp_col_raw(c->c, i).n;
    if (!pad(o, start) || !(to = take(o, start, text)))
        return false;
    *to++ = '\n';
    for (uint32_t i = 0; i < c->rows; i++) {
        rkp_str raw = rkp_col_raw(c->c, i);

        if (raw.n)
            memcpy(to, raw.p, raw.n);
        to += raw.n;
        end += (uint32_t)raw.n;
        memcpy(o->p + at + ((size_t)i + 1) * sizeof end, &end, sizeof end);
    }
    patch(o, start + c->lengths, end);
    return pad(o, start);
}

static bool put_column(rki_buf *o, size_t start, const struct column *c)
{
    rkp_type t = c->c->type;

    if (c->valid && !(c->c->rep == RKP_TEXT ? put_there(o, start, c) : put_bits(o, start, c, c->c->valid)))
        return false;
    if (c->c->rep == RKP_TEXT)
        return put_texts(o, start, c);
    if (rkp_kind_is_view(t.kind))
        return put_views(o, start, c);
    if (t.kind == RKP_BOOL)
        return put_bits(o, start, c, c->c->values);
    return put_fixed(o, start, c, rkp_kind_width(t.kind) * (t.len ? t.len : 1));
}

static uint32_t newlines(const char *p, size_t n)
{
    const char *end = p + n;
    uint32_t found = 0;

    for (; p < end && (p = memchr(p, '\n', (size_t)(end - p))); p++)
        found++;
    return found;
}

// Lines of the rows as differences to *first, in memory at the end of `o`; nothing (and true) when a row has none.
static bool put_lines(rki_buf *o, size_t start, const rkp_batch *b, uint64_t *first, bool *has)
{
    const rkp_text *t = b->text;
    size_t at = o->n;
    uint32_t last = 0, line = 0, least = UINT32_MAX;
    rkp_str name;

    *has = false;
    if (!b->rows || !rkp_batch_line(b, 0, &name))
        return true;
    if (!take(o, start, (size_t)b->rows * sizeof line))
        return false;
    for (uint32_t i = 0; i < b->rows; i++) {
        uint32_t row = b->text_sel ? b->text_sel[i] : i, from = b->text_pos[(size_t)row * b->text_stride];

        if (t->base) { // the newlines between this row and the one before it, mostly behind it
            from++;
            if (from > t->len) {
                o->n = at;
                return true;
            }
            line = from >= last ? line + newlines(t->base + last, from - last)
                                : line - newlines(t->base + from, last - from);
            last = from;
        } else {
            line = from;
        }
        least = line < least ? line : least;
        memcpy(o->p + at + i * sizeof line, &line, sizeof line);
    }
    for (uint32_t i = 0; i < b->rows; i++) {
        memcpy(&line, o->p + at + i * sizeof line, sizeof line);
        line -= least;
        memcpy(o->p + at + i * sizeof line, &line, sizeof line);
    }
    *first = t->origin.first_line + least;
    *has = true;
    return pad(o, start);
}

// The names of the topics, those that rows came over: topic[t] becomes the number of topic t among them, from 1.
static void put_topics(rki_buf *o, const rkp_batch *b, uint32_t *topic)
{
    uint32_t n = 0;
    size_t at = o->n;

    put_u32(o, 1);
    if (!topic) {
        put_str(o, b->topics->names[0]);
        return;
    }
    for (uint32_t i = 0; i < b->rows; i++) {
        uint32_t t = b->topic_of[i];

        if (!topic[t]) {
            put_str(o, b->topics->names[t]);
            topic[t] = ++n;
        }
    }
    if (!o->failed)
        patch(o, at, n);
}

static bool put_topic_of(rki_buf *o, size_t start, const rkp_batch *b, const uint32_t *topic)
{
    char *to = take(o, start, b->rows * sizeof *topic);

    if (!to)
        return false;
    for (uint32_t i = 0; i < b->rows; i++) {
        uint32_t t = topic[b->topic_of[i]] - 1;

        memcpy(to + i * sizeof t, &t, sizeof t);
    }
    return pad(o, start);
}

// `topic` is zeros, one for each topic; NULL: all rows came over the first.
static bool put_all(rki_buf *o, size_t start, const rkp_batch *b, struct column *cols, uint32_t *topic)
{
    struct head h = { .magic = MAGIC,
                      .version = RKI_WIRE_VERSION,
                      .rows = b->rows,
                      .cols = b->n_cols,
                      .in_bytes = b->in_bytes,
                      .blob_rows = b->blob_rows,
                      .batch_flags = b->flags };
    size_t meta;
    bool lines;

    if (!take(o, start, sizeof h))
        return false;
    for (uint32_t i = 0; i < b->n_cols; i++) {
        look(&cols[i], &b->cols[i], b->rows);
        put_meta(o, start, &cols[i], &b->schema->f[i]);
    }
    put_str(o, b->text ? b->text->origin.name : (rkp_str){ 0 });
    if (b->topics && b->topics->n) {
        h.flags |= HAS_TOPICS;
        put_topics(o, b, topic);
    }
    if (o->failed || !pad(o, start))
        return false;
    meta = o->n - start - sizeof h;
    for (uint32_t i = 0; i < b->n_cols; i++)
        if (!put_column(o, start, &cols[i]))
            return false;
    if (!put_lines(o, start, b, &h.first_line, &lines))
        return false;
    if (topic) {
        h.flags |= HAS_TOPIC_OF;
        if (!put_topic_of(o, start, b, topic))
            return false;
    }
    if (b->blob.p) {
        char *to = take(o, start, b->blob.n);

        if (!to)
            return false;
        if (b->blob.n)
            memcpy(to, b->blob.p, b->blob.n);
        h.flags |= HAS_BLOB;
        h.blob = (uint32_t)b->blob.n;
        if (!pad(o, start))
            return false;
    }
    if (o->n - start > RKI_WIRE_MAX)
        return false;
    h.flags = (uint16_t)(h.flags | (lines ? HAS_LINES : 0));
    h.meta = (uint32_t)meta;
    h.size = (uint32_t)(o->n - start);
    memcpy(o->p + start, &h, sizeof h);
    return true;
}

rkp_status rki_wire_put(const rkp_batch *b, rki_buf *out)
{
    struct column some[32], *cols = some;
    size_t start = out->n;
    bool had_failed = out->failed, ok;
    uint32_t *topic = NULL;

    if (had_failed)
        return RKP_NOMEM;
    if (b->n_cols && (!b->schema || b->schema->n != b->n_cols || b->n_cols > MAX_COLS))
        return RKP_INTERNAL;
    for (uint32_t i = 0; i < b->n_cols; i++) {
        rkp_type is = b->cols[i].type, said = b->schema->f[i].type;

        if (is.kind != said.kind || is.len != said.len || !type_ok(is.kind, is.len))
            return RKP_INTERNAL;
    }
    if (b->n_cols > sizeof some / sizeof *some) {
        cols = calloc(b->n_cols, sizeof *cols);
        if (!cols)
            return RKP_NOMEM;
    }
    if (b->topics && b->topic_of && b->topics->n > 1 && b->rows)
        topic = calloc(b->topics->n, sizeof *topic);
    out->failed = b->topics && b->topic_of && b->topics->n > 1 && b->rows && !topic;
    ok = !out->failed && put_all(out, start, b, cols, topic);
    free(topic);
    if (cols != some)
        free(cols);
    if (ok)
        return RKP_OK;
    out->n = start;
    ok = out->failed; // it was memory
    out->failed = false;
    return ok ? RKP_NOMEM : RKP_UNSUPPORTED;
}

// ---- getting --------------------------------------------------------------------------------------------------------

struct cursor {
    const char *at, *end;
    bool bad; // something was asked for that is not there
};

struct incoming {
    rkp_batch *b;
    const rkp_schema *expect;
    rkp_field *fields; // of a schema that is made; NULL: expect
    const char *start; // of the record in b's memory
    struct cursor meta, data;
    uint32_t rows;
    const uint32_t *zeros; // the selection of constants; NULL: none yet
    const char *why;
    rkp_status st;
};

static bool invalid(struct incoming *in, const char *why)
{
    in->why = why;
    in->st = RKP_INVALID;
    return false;
}

static bool nomem(struct incoming *in)
{
    in->st = RKP_NOMEM;
    return false;
}

static const char *get(struct cursor *c, size_t n)
{
    static const char nothing[64] __attribute__((aligned(64))) = { 0 };
    const char *p = c->at;

    if (c->bad || n > (size_t)(c->end - c->at)) {
        c->bad = true;
        return nothing;
    }
    c->at += n;
    return p;
}

static unsigned get_u8(struct cursor *c)
{
    return (unsigned char)*get(c, 1);
}

static uint32_t get_u32(struct cursor *c)
{
    uint32_t v;

    memcpy(&v, get(c, sizeof v), sizeof v);
    return v;
}

static rkp_str get_str(struct cursor *c)
{
    uint32_t n = get_u32(c);
    const char *p = get(c, n);

    return c->bad ? (rkp_str){ "", 0 } : (rkp_str){ p, n };
}

// A buffer: n bytes, and zeros up to the next multiple of 8.  NULL when the record is shorter.
static const char *get_buffer(struct incoming *in, size_t n)
{
    const char *p = get(&in->data, n);

    for (size_t more = pad8(n) - n; more; more--)
        if (get_u8(&in->data) != 0)
            in->data.bad = true;
    if (!in->data.bad)
        return p;
    invalid(in, "a buffer does not lie in the record");
    return NULL;
}

struct form { // of a column, as the meta has it
    rkp_field f;
    unsigned rep, flags;
    uint32_t bytes; // of its text
    rkp_text *text;
};

static bool get_dialect(struct incoming *in, struct form *m)
{
    rkp_text *t = rkp_batch_alloc(in->b, sizeof *t);
    rkp_str *nulls;

    if (!t)
        return nomem(in);
    *t = (rkp_text){ .kind = (uint8_t)get_u8(&in->meta), .utf8 = m->flags & IS_UTF8 };
    t->quote = (char)get_u8(&in->meta);
    t->delim = (char)get_u8(&in->meta);
    t->n_nulls = (uint8_t)get_u8(&in->meta);
    if (t->kind > RKP_TEXT_RAW)
        return invalid(in, "a text is of no kind that is known");
    nulls = rkp_batch_alloc(in->b, (t->n_nulls ? t->n_nulls : 1u) * sizeof *nulls);
    if (!nulls)
        return nomem(in);
    for (unsigned i = 0; i < t->n_nulls; i++)
        nulls[i] = get_str(&in->meta);
    t->nulls = nulls;
    m->text = t;
    return true;
}

static bool get_form(struct incoming *in, struct form *m)
{
    *m = (struct form){ 0 };
    m->f.type.kind = (uint8_t)get_u8(&in->meta);
    m->f.type.nullable = (uint8_t)get_u8(&in->meta);
    m->rep = get_u8(&in->meta);
    m->flags = get_u8(&in->meta);
    m->f.type.len = get_u32(&in->meta);
    if (!type_ok(m->f.type.kind, m->f.type.len) || m->f.type.nullable > 1)
        return invalid(in, "a column has no type that is known");
    if (m->rep > RKP_TEXT || m->flags > (HAS_VALID | IS_CONSTANT | IS_UTF8) ||
        ((m->flags & IS_UTF8) && m->rep != RKP_TEXT) ||
        ((m->flags & IS_CONSTANT) && (in->rows < 2 || in->rows > MAX_CONSTANT)))
        return invalid(in, "a column has no form that is known");
    if (m->rep == RKP_TEXT || rkp_kind_is_view(m->f.type.kind))
        m->bytes = get_u32(&in->meta);
    m->f.name = get_str(&in->meta);
    if (m->rep == RKP_TEXT && !get_dialect(in, m))
        return false;
    return in->meta.bad ? invalid(in, "the columns' descriptions are cut off") : true;
}

// A view that comes out of a record: what it says is kept, what it should not say is put right.
static bool get_view(rkp_view *v, bool null, const char *text, uint32_t bytes)
{
    rkp_view clean = { .len = v->len };

    if (null || v->len < 0) {
        *v = (rkp_view){ 0 };
        return null;
    }
    if (v->len <= 12) {
        memcpy(clean.u.inlined, v->u.inlined, (size_t)v->len);
    } else {
        if (v->u.ref.buf != 0 || v->u.ref.off < 0 || (uint64_t)v->u.ref.off + (uint64_t)v->len > bytes)
            return false;
        memcpy(clean.u.ref.prefix, text + v->u.ref.off, 4);
        clean.u.ref.off = v->u.ref.off;
    }
    *v = clean;
    return true;
}

static bool get_views(struct incoming *in, const struct form *m, rkp_col *c)
{
    rkp_view *views = (rkp_view *)(uintptr_t)get_buffer(in, c->phys_rows * sizeof *views);
    const char **bufs, *text;
    int64_t *sizes;

    if (!views)
        return false;
    // The text comes behind the views without a gap.
    text = get_buffer(in, m->bytes);
    bufs = rkp_batch_alloc(in->b, sizeof *bufs + sizeof *sizes);
    if (!text || !bufs)
        return text ? nomem(in) : false;
    sizes = (int64_t *)(void *)(bufs + 1);
    *bufs = text;
    *sizes = m->bytes;
    c->values = views;
    c->bufs = bufs;
    c->buf_sizes = sizes;
    c->n_bufs = 1;
    for (uint32_t i = 0; i < c->phys_rows; i++)
        if (!get_view(&views[i], rkp_col_is_null(c, i), text, m->bytes))
            return invalid(in, "a text does not lie in its buffer");
    return true;
}

// Would a reader of CSV have cut this field here?
static bool csv_field(const rkp_text *t, const char *p, size_t n)
{
    return (t->quote && n && *p == t->quote) || (!memchr(p, '\n', n) && !(t->delim && memchr(p, t->delim, n)));
}

static bool get_texts(struct incoming *in, const struct form *m, rkp_col *c)
{
    const uint32_t *ends = (const uint32_t *)(const void *)get_buffer(in, ((size_t)c->phys_rows + 1) * sizeof *ends);
    rkp_text *t = m->text;
    bool cut_well = true;
    uint32_t *pos;

    if (!ends)
        return false;
    pos = rkp_batch_alloc(in->b, (size_t)c->phys_rows * 2 * sizeof *pos); // the record is as long as that says
    if (!pos)
        return nomem(in);
    t->base = get_buffer(in, m->bytes);
    t->len = m->bytes;
    if (!t->base)
        return false;
    if (ends[0] != 1 || ends[c->phys_rows] != m->bytes)
        return invalid(in, "the texts of a column do not fill their buffer");
    t->utf8 = t->utf8 && rkp_text_is_utf8(t->base, t->len);
    if (t->kind == RKP_TEXT_CSV)
        cut_well = !memchr(t->base + 1, '\n', t->len - 1) && !(t->delim && memchr(t->base + 1, t->delim, t->len - 1));
    else if (t->kind == RKP_TEXT_JSON && memchr(t->base + 1, '\n', t->len - 1))
        return invalid(in, "a JSON text has more than one line");
    for (uint32_t i = 0; i < c->phys_rows; i++) {
        uint32_t from = ends[i], to = ends[i + 1];

        if (to < from || to > m->bytes)
            return invalid(in, "the texts of a column do not follow each other");
        if (to < t->len && ((unsigned char)t->base[to] & 0xc0) == 0x80)
            t->utf8 = false; // one ends inside of a character
        if (!cut_well && !csv_field(t, t->base + from, to - from))
            return invalid(in, "a CSV field has a separator in it");
        pos[2 * (size_t)i] = rkp_col_is_null(c, i) ? RKP_NO_TEXT : from - 1;
        pos[2 * (size_t)i + 1] = to;
    }
    *c = (rkp_col){ .type = c->type, .rep = RKP_TEXT, .stride = 2, .pos = pos, .text = t };
    return true;
}

static bool get_column(struct incoming *in, uint32_t i)
{
    rkp_col *c = &in->b->cols[i];
    const rkp_field *said = in->expect ? &in->expect->f[i] : NULL;
    struct form m;
    size_t width;

    if (!get_form(in, &m))
        return false;
    if (said && (m.f.type.kind != said->type.kind || m.f.type.len != said->type.len ||
                 m.f.type.nullable != said->type.nullable || !rkp_str_eq(m.f.name, said->name)))
        return invalid(in, "the columns are not those that are expected");
    if (in->fields)
        in->fields[i] = m.f;
    *c = (rkp_col){ .type = m.f.type, .rep = RKP_FLAT, .phys_rows = m.flags & IS_CONSTANT ? 1 : in->rows };
    if (m.flags & HAS_VALID) {
        c->valid = (const uint8_t *)get_buffer(in, ((size_t)c->phys_rows + 7) / 8);
        if (!c->valid)
            return false;
    }
    width = rkp_kind_width(m.f.type.kind) * (m.f.type.len ? m.f.type.len : 1);
    if (m.rep == RKP_TEXT) {
        if (!get_texts(in, &m, c))
            return false;
    } else if (rkp_kind_is_view(m.f.type.kind)) {
        if (!get_views(in, &m, c))
            return false;
    } else {
        c->values = get_buffer(in, width ? c->phys_rows * width : ((size_t)c->phys_rows + 7) / 8);
        if (!c->values)
            return false;
    }
    if (m.flags & IS_CONSTANT) {
        if (!in->zeros) {
            uint32_t *zeros = rkp_batch_alloc(in->b, in->rows * sizeof *zeros);

            if (!zeros)
                return nomem(in);
            memset(zeros, 0, in->rows * sizeof *zeros);
            in->zeros = zeros;
        }
        c->sel = in->zeros;
    }
    return true;
}

static bool get_topics(struct incoming *in)
{
    rkp_topics *t = rkp_batch_alloc(in->b, sizeof *t);
    uint32_t n = get_u32(&in->meta);
    rkp_str *names;

    if (!n || n > (size_t)(in->meta.end - in->meta.at) / sizeof n) // each has its length
        return invalid(in, "the topics do not lie in the record");
    names = rkp_batch_alloc(in->b, n * sizeof *names);
    if (!t || !names)
        return nomem(in);
    for (uint32_t i = 0; i < n; i++)
        names[i] = get_str(&in->meta);
    *t = (rkp_topics){ n, names };
    in->b->topics = t;
    return true;
}

static bool get_topic_of(struct incoming *in)
{
    const uint32_t *of = (const uint32_t *)(const void *)get_buffer(in, in->rows * sizeof *of);

    if (!of)
        return false;
    for (uint32_t i = 0; i < in->rows; i++)
        if (of[i] >= in->b->topics->n)
            return invalid(in, "a row came over no topic that is there");
    in->b->topic_of = of;
    return true;
}

static bool get_places(struct incoming *in, const struct head *h)
{
    rkp_text *t = rkp_batch_alloc(in->b, sizeof *t);
    rkp_str name = get_str(&in->meta);
    const char *lines;

    if (!t)
        return nomem(in);
    if (h->flags & HAS_TOPICS && !get_topics(in))
        return false;
    while (in->meta.at < in->meta.end && !in->meta.bad)
        if (get_u8(&in->meta))
            in->meta.bad = true;
    if (in->meta.bad)
        return invalid(in, "the columns' descriptions are not of the size that is said");
    if (!(h->flags & HAS_LINES))
        return true;
    lines = get_buffer(in, (size_t)in->rows * sizeof(uint32_t));
    if (!lines)
        return false;
    if (!h->first_line || h->first_line > UINT64_MAX - UINT32_MAX)
        return invalid(in, "the first line is not a line");
    *t = (rkp_text){ .kind = RKP_TEXT_RAW, .origin = { .name = name, .first_line = h->first_line } };
    in->b->text = t;
    in->b->text_pos = (const uint32_t *)(const void *)lines;
    in->b->text_stride = 1;
    return true;
}

static bool get_all(struct incoming *in, const struct head *h)
{
    rkp_schema *schema;

    if (!in->expect && h->cols) {
        schema = rkp_batch_alloc(in->b, sizeof *schema);
        in->fields = rkp_batch_alloc(in->b, h->cols * sizeof *in->fields);
        if (!schema || !in->fields)
            return nomem(in);
        *schema = (rkp_schema){ h->cols, in->fields };
        in->b->schema = schema;
    }
    for (uint32_t i = 0; i < h->cols; i++)
        if (!get_column(in, i))
            return false;
    if (!get_places(in, h))
        return false;
    if (h->flags & HAS_TOPIC_OF && !get_topic_of(in))
        return false;
    if (h->flags & HAS_BLOB) {
        in->b->blob = (rkp_str){ get_buffer(in, h->blob), h->blob };
        if (!in->b->blob.p)
            return false;
    }
    return in->data.at == in->data.end ? true : invalid(in, "there is more in the record than is said");
}

// What can be said before there is a batch; NULL: nothing is wrong so far.
static const char *bad_head(const struct head *h, const rkp_schema *expect, size_t n)
{
    if (h->magic != MAGIC)
        return "it is not a batch";
    if (h->version != RKI_WIRE_VERSION)
        return "it is of another version";
    if (h->flags > (HAS_BLOB | HAS_LINES | HAS_TOPICS | HAS_TOPIC_OF) || h->zero ||
        (h->flags & (HAS_TOPICS | HAS_TOPIC_OF)) == HAS_TOPIC_OF)
        return "the head has what is not known";
    if (h->size != n || h->meta > n - sizeof *h || h->meta % 8)
        return "it is not of the size that is said";
    if (h->rows > INT32_MAX || h->cols > MAX_COLS || (h->cols && h->flags & HAS_BLOB))
        return "it has more rows or columns than a batch can have";
    if (expect && h->cols != expect->n && !(h->flags & HAS_BLOB))
        return "the columns are not those that are expected";
    return NULL;
}

rkp_status rki_wire_get(rkp_pool *pool, const rkp_schema *expect, const void *p, size_t n, rkp_batch **out,
                        const char **why)
{
    struct incoming in = { .st = RKP_OK };
    struct head h;
    char *copy;

    in.why = "it is too short";
    if (n >= sizeof h) {
        memcpy(&h, p, sizeof h);
        in.why = bad_head(&h, expect, n);
    }
    if (in.why) {
        if (why)
            *why = in.why;
        return RKP_INVALID;
    }
    in.b = rkp_batch_new(pool, h.flags & HAS_BLOB ? NULL : expect, h.cols, n);
    copy = in.b ? rkp_batch_alloc(in.b, n) : NULL;
    if (!copy) {
        rkp_batch_put(in.b);
        return RKP_NOMEM;
    }
    memcpy(copy, p, n);
    in.b->rows = in.rows = h.rows;
    in.b->flags = h.batch_flags;
    in.b->in_bytes = h.in_bytes;
    in.b->blob_rows = h.blob_rows;
    in.expect = h.cols ? expect : NULL;
    in.meta = (struct cursor){ copy + sizeof h, copy + sizeof h + h.meta, false };
    in.data = (struct cursor){ in.meta.end, copy + n, false };
    if (get_all(&in, &h)) {
        *out = in.b;
        return RKP_OK;
    }
    rkp_batch_put(in.b);
    if (why && in.st == RKP_INVALID)
        *why = in.why;
    return in.st;
}
