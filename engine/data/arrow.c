// arrow.c - the Arrow C data interface.
//
// An exported array is a derived batch: the structs, buffer lists and flattened columns are in its memory, and every
// struct holds a reference to it, so a consumer may move children out and release them in any order.  An imported
// array is kept in the batch made of it and released when that dies.  What is imported may be hostile: every length,
// offset, index and view that the interface lets us see is checked before anything is read through it; what it does not
// say (how long the buffers of fixed widths are) is believed.
#include "data/batch.h"

#include <rkpipe/arrow.h>

#include <stdio.h>
#include <stdlib.h>

static const char nothing[64] __attribute__((aligned(64))) = { 0 }; // where a buffer may not be NULL

// ---- schemas out ----------------------------------------------------------------------------------------------------

static const char *const formats[RKP_N_KINDS] = {
    [RKP_BOOL] = "b", [RKP_I8] = "c",      [RKP_I16] = "s",    [RKP_I32] = "i",   [RKP_I64] = "l",
    [RKP_U8] = "C",   [RKP_U16] = "S",     [RKP_U32] = "I",    [RKP_U64] = "L",   [RKP_F32] = "f",
    [RKP_F64] = "g",  [RKP_STRING] = "vu", [RKP_BYTES] = "vz", [RKP_JSON] = "vu", [RKP_TIMESTAMP] = "tsu:UTC",
};

static void schema_release(struct ArrowSchema *s)
{
    for (int64_t i = 0; i < s->n_children; i++)
        if (s->children[i]->release)
            s->children[i]->release(s->children[i]);
    s->release = NULL;
    free(s->private_data);
}

// One malloc a node: child pointers, children, name, format.
static rkp_status schema_node(struct ArrowSchema *out, rkp_str name, const char *format, int64_t flags, size_t n)
{
    size_t children = n * (sizeof(struct ArrowSchema *) + sizeof(struct ArrowSchema)), f = strlen(format) + 1;
    char *m = calloc(1, children + name.n + 1 + f);
    struct ArrowSchema *child;
    char *text;

    if (!m)
        return RKP_NOMEM;
    child = (struct ArrowSchema *)(void *)(m + n * sizeof(struct ArrowSchema *));
    text = m + children;
    *out = (struct ArrowSchema){ .flags = flags,
                                 .n_children = (int64_t)n,
                                 .children = n ? (struct ArrowSchema **)(void *)m : NULL,
                                 .release = schema_release,
                                 .private_data = m };
    for (size_t i = 0; i < n; i++)
        out->children[i] = child + i;
    if (name.n)
        memcpy(text, name.p, name.n);
    out->name = text;
    out->format = memcpy(text + name.n + 1, format, f);
    return RKP_OK;
}

static rkp_status schema_field(struct ArrowSchema *out, const rkp_field *f)
{
    int64_t flags = f->type.nullable ? ARROW_FLAG_NULLABLE : 0;
    char list[16];
    rkp_status st;

    if (f->type.kind >= RKP_N_KINDS)
        return RKP_UNSUPPORTED;
    if (!f->type.len)
        return schema_node(out, f->name, formats[f->type.kind], flags, 0);
    snprintf(list, sizeof list, "+w:%u", (unsigned)f->type.len);
    st = schema_node(out, f->name, list, flags, 1);
    if (st == RKP_OK)
        st = schema_node(out->children[0], RKP_STR("item"), formats[f->type.kind], 0, 0);
    return st;
}

rkp_status rkp_arrow_export_schema(const rkp_schema *s, struct ArrowSchema *out)
{
    struct ArrowSchema top;
    rkp_status st = schema_node(&top, RKP_STR(""), "+s", 0, s->n);

    if (st != RKP_OK)
        return st;
    for (uint32_t i = 0; i < s->n && st == RKP_OK; i++)
        st = schema_field(top.children[i], &s->f[i]);
    if (st == RKP_OK)
        *out = top;
    else
        top.release(&top);
    return st;
}

// ---- arrays out -----------------------------------------------------------------------------------------------------

static void array_release(struct ArrowArray *a)
{
    rkp_batch *mem = a->private_data;

    for (int64_t i = 0; i < a->n_children; i++)
        if (a->children[i]->release)
            a->children[i]->release(a->children[i]);
    a->release = NULL;
    rkp_batch_put(mem);
}

// An array with room for its buffers and children in mem, holding a reference.
static rkp_status array_node(rkp_batch *mem, struct ArrowArray *a, size_t rows, size_t buffers, size_t n)
{
    size_t list = buffers * sizeof(void *), kids = n * (sizeof(struct ArrowArray *) + sizeof(struct ArrowArray));
    char *m = rkp_batch_alloc(mem, list + kids);

    if (!m)
        return RKP_NOMEM;
    memset(m, 0, list + kids);
    *a = (struct ArrowArray){ .length = (int64_t)rows,
                              .n_buffers = (int64_t)buffers,
                              .n_children = (int64_t)n,
                              .buffers = (const void **)(void *)m,
                              .release = array_release,
                              .private_data = rkp_batch_get(mem) };
    if (n) {
        struct ArrowArray *child = (struct ArrowArray *)(void *)(m + list + n * sizeof(struct ArrowArray *));

        a->children = (struct ArrowArray **)(void *)(m + list);
        for (size_t i = 0; i < n; i++)
            a->children[i] = child + i;
    }
    return RKP_OK;
}

static const void *or_nothing(const void *p)
{
    return p ? p : nothing;
}

static rkp_status array_column(rkp_batch *mem, struct ArrowArray *a, const rkp_col *c, uint32_t rows)
{
    bool views = rkp_kind_is_view(c->type.kind);
    rkp_status st = array_node(mem, a, rows, c->type.len ? 1 : views ? 3 + (size_t)c->n_bufs : 2, c->type.len ? 1 : 0);

    if (st != RKP_OK)
        return st;
    a->buffers[0] = c->valid;
    a->null_count = c->valid ? -1 : 0;
    if (c->type.len) {
        st = array_node(mem, a->children[0], (size_t)rows * c->type.len, 2, 0);
        if (st == RKP_OK)
            a->children[0]->buffers[1] = or_nothing(c->values);
        return st;
    }
    a->buffers[1] = or_nothing(c->values);
    if (views) {
        for (uint32_t i = 0; i < c->n_bufs; i++)
            a->buffers[2 + i] = or_nothing(c->bufs[i]);
        a->buffers[2 + c->n_bufs] = or_nothing(c->buf_sizes);
    }
    return RKP_OK;
}

rkp_status rkp_arrow_export(rkp_batch *b, struct ArrowArray *out)
{
    rkp_batch *mem = rkp_batch_derive(b, 0);
    struct ArrowArray top;
    rkp_errs errs = { 0 };
    rkp_status st;

    if (!mem)
        return RKP_NOMEM;
    st = array_node(mem, &top, b->rows, 1, b->n_cols);
    if (st != RKP_OK) {
        rkp_batch_put(mem);
        return st;
    }
    for (uint32_t i = 0; i < b->n_cols && st == RKP_OK; i++) {
        rkp_col flat;

        st = rkp_col_flat(mem, b, i, NULL, b->rows, &flat, &errs);
        if (st == RKP_OK && errs.n)
            st = RKP_UNSUPPORTED;
        if (st == RKP_OK)
            st = array_column(mem, top.children[i], &flat, b->rows);
    }
    rkp_errs_fini(&errs);
    rkp_batch_put(mem); // the arrays hold it
    if (st == RKP_OK)
        *out = top;
    else
        top.release(&top);
    return st;
}

// ---- arrays in ------------------------------------------------------------------------------------------------------

enum { DEPTH = 4, WINDOW_BITS = 30 };

// A column on its way in: n values from `at` on, the array's own offset included.
struct incoming {
    rkp_batch *b;
    const struct ArrowSchema *s;
    const struct ArrowArray *a;
    int64_t at;
    uint32_t n;
    int depth;
};

static bool format_is(const struct incoming *in, const char *format)
{
    return in->s->format && strcmp(in->s->format, format) == 0;
}

static bool format_begins(const struct incoming *in, const char *format)
{
    return in->s->format && strncmp(in->s->format, format, strlen(format)) == 0;
}

static const void *buffer(const struct incoming *in, int64_t i)
{
    return in->a->buffers[i];
}

// The part of array a that is to be taken; false when the array does not have it.
static bool part_of(const struct ArrowArray *a, int64_t from, uint32_t n, int64_t buffers, int64_t *at)
{
    if (!a || a->length < 0 || a->offset < 0 || a->offset > INT64_MAX / 4 || a->length > INT64_MAX / 4)
        return false;
    if (from < 0 || from > a->length || n > a->length - from || a->n_buffers < buffers || (a->n_buffers && !a->buffers))
        return false;
    *at = a->offset + from;
    return *at <= INT64_MAX / 64;
}

// Bits [at, at + n), moved when they begin inside a byte.
static rkp_status bits_of(rkp_batch *b, const uint8_t *bits, int64_t at, uint32_t n, const uint8_t **out)
{
    const uint8_t *from = bits + at / 8;
    unsigned shift = (unsigned)(at % 8);
    size_t bytes = ((size_t)n + 7) / 8, have = ((size_t)n + shift + 7) / 8;
    uint8_t *to;

    *out = from;
    if (!shift || !n)
        return RKP_OK;
    to = rkp_batch_alloc(b, bytes);
    if (!to)
        return RKP_NOMEM;
    for (size_t i = 0; i < bytes; i++)
        to[i] = (uint8_t)(from[i] >> shift | (i + 1 < have ? from[i + 1] << (8 - shift) : 0));
    *out = to;
    return RKP_OK;
}

static rkp_status valid_of(const struct incoming *in, const uint8_t **out)
{
    *out = NULL;
    if (in->a->null_count == 0 || in->a->n_buffers < 1 || !buffer(in, 0))
        return RKP_OK;
    return bits_of(in->b, buffer(in, 0), in->at, in->n, out);
}

static bool any_null(const uint8_t *valid, uint32_t n)
{
    for (uint32_t i = 0; valid && i < n; i++)
        if (!rkp_bit(valid, i))
            return true;
    return false;
}

// n values of `width` bytes; copied only when they are not aligned.
static rkp_status fixed_of(const struct incoming *in, size_t width, const void **out)
{
    const char *p = buffer(in, 1);
    char *to;

    *out = nothing;
    if (!in->n)
        return RKP_OK;
    if (!p)
        return RKP_UNSUPPORTED;
    p += (size_t)in->at * width;
    *out = p;
    if ((uintptr_t)p % (width < 8 ? width : 8) == 0)
        return RKP_OK;
    to = rkp_batch_alloc(in->b, in->n * width);
    if (!to)
        return RKP_NOMEM;
    memcpy(to, p, in->n * width);
    *out = to;
    return RKP_OK;
}

static const struct unit {
    const char *format;
    bool narrow;           // i32
    int64_t times, divide; // microseconds
} units[] = {
    { "tsu:", false, 1, 1 },    { "tss:", false, 1000000, 1 }, { "tsm:", false, 1000, 1 },
    { "tsn:", false, 1, 1000 }, { "tdm", false, 1000, 1 },     { "tdD", true, 86400000000, 1 },
};

static rkp_status times_in(const struct incoming *in, const struct unit *u, rkp_col *c)
{
    rkp_status st = fixed_of(in, u->narrow ? 4 : 8, &c->values);
    const void *from = c->values;
    int64_t *to;

    if (st != RKP_OK || (u->times == 1 && u->divide == 1))
        return st;
    to = rkp_batch_alloc(in->b, in->n * sizeof *to);
    if (!to)
        return RKP_NOMEM;
    for (uint32_t i = 0; i < in->n; i++) {
        int64_t v = u->narrow ? ((const int32_t *)from)[i] : ((const int64_t *)from)[i];

        if (rkp_col_is_null(c, i))
            to[i] = 0;
        else if (u->divide > 1)
            to[i] = v / u->divide - (v % u->divide < 0); // down, as finer digits are cut
        else if (__builtin_mul_overflow(v, u->times, &to[i]))
            return RKP_UNSUPPORTED;
    }
    c->values = to;
    return RKP_OK;
}

// Every text a view can be asked for lies inside of its buffer, and strings are UTF-8.
static rkp_status views_check(const rkp_col *c, uint32_t n)
{
    for (uint32_t i = 0; i < c->n_bufs; i++)
        if (c->buf_sizes[i] < 0 || (c->buf_sizes[i] && !c->bufs[i]))
            return RKP_UNSUPPORTED;
    for (uint32_t i = 0; i < n; i++) {
        const rkp_view *v = (const rkp_view *)c->values + i;
        rkp_str s;

        if (rkp_col_is_null(c, i))
            continue;
        if (v->len < 0)
            return RKP_UNSUPPORTED;
        if (v->len > 12 && (v->u.ref.buf < 0 || (uint32_t)v->u.ref.buf >= c->n_bufs || v->u.ref.off < 0 ||
                            (int64_t)v->u.ref.off + v->len > c->buf_sizes[v->u.ref.buf]))
            return RKP_UNSUPPORTED;
        s = rkp_view_str(c, i);
        if (c->type.kind == RKP_STRING && !rkp_text_is_utf8(s.p, s.n))
            return RKP_UNSUPPORTED;
    }
    return RKP_OK;
}

static rkp_status views_in(const struct incoming *in, rkp_col *c)
{
    rkp_status st = fixed_of(in, sizeof(rkp_view), &c->values);

    if (st != RKP_OK)
        return st;
    if (in->a->n_buffers - 3 > UINT16_MAX)
        return RKP_UNSUPPORTED;
    c->n_bufs = (uint32_t)(in->a->n_buffers - 3);
    c->bufs = (const char *const *)(in->a->buffers + 2);
    c->buf_sizes = buffer(in, in->a->n_buffers - 1);
    if (c->n_bufs && (!c->buf_sizes || (uintptr_t)c->buf_sizes % sizeof(int64_t)))
        return RKP_UNSUPPORTED;
    return views_check(c, in->n);
}

static int64_t offset_at(const void *offsets, bool large, uint32_t i)
{
    return large ? ((const int64_t *)offsets)[i] : ((const int32_t *)offsets)[i];
}

// utf8 and binary, small and large: the data becomes buffers that begin every GiB and overlap, so that a view of up to
// a GiB reaches every text.
static rkp_status offsets_in(const struct incoming *in, bool large, rkp_col *c)
{
    struct incoming offsets = *in;
    const char *data = buffer(in, 2), **bufs;
    const void *off;
    int64_t *sizes, end = 0, n_bufs;
    rkp_view *views;
    rkp_status st;

    if (!in->n) {
        c->values = nothing;
        return RKP_OK;
    }
    offsets.n = in->n + 1;
    st = fixed_of(&offsets, large ? 8 : 4, &off);
    if (st != RKP_OK)
        return st;
    for (uint32_t i = 0; i <= in->n; i++) {
        int64_t at = offset_at(off, large, i);

        if (at < end || at > (int64_t)1 << 45)
            return RKP_UNSUPPORTED;
        end = at;
    }
    if (end > offset_at(off, large, 0) && !data)
        return RKP_UNSUPPORTED;
    n_bufs = (end >> WINDOW_BITS) + 1;
    views = rkp_batch_alloc(in->b, in->n * sizeof *views);
    bufs = rkp_batch_alloc(in->b, (size_t)n_bufs * sizeof *bufs);
    sizes = rkp_batch_alloc(in->b, (size_t)n_bufs * sizeof *sizes);
    if (!views || !bufs || !sizes)
        return RKP_NOMEM;
    for (int64_t i = 0; i < n_bufs; i++) {
        int64_t left = end - (i << WINDOW_BITS);

        bufs[i] = data ? data + (i << WINDOW_BITS) : nothing;
        sizes[i] = !data ? 0 : left > INT32_MAX ? INT32_MAX : left;
    }
    for (uint32_t i = 0; i < in->n; i++) {
        int64_t at = offset_at(off, large, i), n = offset_at(off, large, i + 1) - at;

        views[i] = (rkp_view){ 0 };
        if (rkp_col_is_null(c, i) || !n)
            continue;
        if (n > (int64_t)1 << WINDOW_BITS)
            return RKP_UNSUPPORTED;
        views[i].len = (int32_t)n;
        if (n <= 12) {
            memcpy(views[i].u.inlined, data + at, (size_t)n);
            continue;
        }
        memcpy(views[i].u.ref.prefix, data + at, 4);
        views[i].u.ref.buf = (int32_t)(at >> WINDOW_BITS);
        views[i].u.ref.off = (int32_t)(at & (((int64_t)1 << WINDOW_BITS) - 1));
    }
    c->values = views;
    c->bufs = bufs;
    c->buf_sizes = sizes;
    c->n_bufs = (uint32_t)n_bufs;
    return views_check(c, in->n);
}

static rkp_status column_in(const struct incoming *in, rkp_col *c);

// The kind of a format that is one of ours as it is, else RKP_N_KINDS.
static unsigned plain_kind(const struct incoming *in)
{
    for (unsigned k = RKP_BOOL; k <= RKP_F64; k++)
        if (format_is(in, formats[k]))
            return k;
    return RKP_N_KINDS;
}

static rkp_status list_in(const struct incoming *in, rkp_col *c)
{
    struct incoming child = { .b = in->b, .depth = in->depth + 1 };
    uint64_t len = 0, values;
    const uint8_t *valid;
    rkp_status st;
    unsigned kind;

    for (const char *p = in->s->format + 3; *p; p++) {
        if (*p < '0' || *p > '9' || len > 65536)
            return RKP_UNSUPPORTED;
        len = len * 10 + (uint64_t)(*p - '0');
    }
    values = in->n * len;
    if (len < 1 || len > 65536 || in->s->n_children != 1 || in->a->n_children != 1 || !in->s->children ||
        !in->a->children || values > INT32_MAX || in->at > INT64_MAX / 65536)
        return RKP_UNSUPPORTED;
    child.s = in->s->children[0];
    child.a = in->a->children[0];
    child.n = (uint32_t)values;
    if (!child.s || child.s->dictionary || !part_of(child.a, in->at * (int64_t)len, child.n, 2, &child.at))
        return RKP_UNSUPPORTED;
    kind = format_begins(&child, "tsu:") ? RKP_TIMESTAMP : plain_kind(&child);
    if (kind == RKP_N_KINDS || kind == RKP_BOOL)
        return RKP_UNSUPPORTED;
    st = valid_of(&child, &valid);
    if (st != RKP_OK)
        return st;
    for (uint32_t i = 0; valid && i < child.n; i++)
        if (!rkp_bit(valid, i) && !rkp_col_is_null(c, (uint32_t)(i / len)))
            return RKP_UNSUPPORTED;
    c->type.kind = (uint8_t)kind;
    c->type.len = (uint32_t)len;
    return fixed_of(&child, rkp_kind_width(kind), &c->values);
}

#define INDEXES(T)                                                                                                     \
    do {                                                                                                               \
        const T *v_ = values;                                                                                          \
        for (uint32_t i = 0; i < in->n; i++) {                                                                         \
            bool null_ = valid && !rkp_bit(valid, i);                                                                  \
            if (!null_ && (uint64_t)v_[i] >= size)                                                                     \
                return RKP_UNSUPPORTED;                                                                                \
            sel[i] = null_ ? 0 : (uint32_t)v_[i];                                                                      \
        }                                                                                                              \
    } while (0)

// Indexes into the dictionary, checked, as a selection; a null's is 0.
static rkp_status indexes_in(const struct incoming *in, const uint8_t *valid, uint64_t size, uint32_t *sel)
{
    unsigned kind = plain_kind(in);
    const void *values;
    rkp_status st;

    if (!rkp_kind_is_int(kind))
        return RKP_UNSUPPORTED;
    st = fixed_of(in, rkp_kind_width(kind), &values);
    if (st != RKP_OK)
        return st;
    switch (kind) { // a negative one is large
    case RKP_I8:
        INDEXES(int8_t);
        break;
    case RKP_I16:
        INDEXES(int16_t);
        break;
    case RKP_I32:
        INDEXES(int32_t);
        break;
    case RKP_I64:
        INDEXES(int64_t);
        break;
    case RKP_U8:
        INDEXES(uint8_t);
        break;
    case RKP_U16:
        INDEXES(uint16_t);
        break;
    case RKP_U32:
        INDEXES(uint32_t);
        break;
    default:
        INDEXES(uint64_t);
        break;
    }
    return RKP_OK;
}

static rkp_status dictionary_in(const struct incoming *in, rkp_col *c)
{
    struct incoming words = { .b = in->b, .s = in->s->dictionary, .a = in->a->dictionary, .depth = in->depth + 1 };
    const uint8_t *valid = c->valid;
    size_t bytes = ((size_t)in->n + 7) / 8, width;
    uint32_t *sel = rkp_batch_alloc(in->b, in->n * sizeof *sel);
    uint8_t *both, *zeros;
    rkp_col dict, out;
    rkp_batch fake;
    rkp_status st;

    if (!sel)
        return RKP_NOMEM;
    if (!words.a || words.a->length < 0 || words.a->length > INT32_MAX ||
        !part_of(words.a, 0, (uint32_t)words.a->length, 0, &words.at))
        return RKP_UNSUPPORTED;
    words.n = (uint32_t)words.a->length;
    st = column_in(&words, &dict);
    if (st == RKP_OK)
        st = indexes_in(in, valid, words.n, sel);
    if (st != RKP_OK)
        return st;
    if (!words.n && in->n) { // all null: there is no value to point at
        width = rkp_kind_width(dict.type.kind) * (dict.type.len ? dict.type.len : 1);
        out = dict;
        zeros = rkp_batch_alloc(in->b, width ? in->n * width : bytes);
        if (!zeros)
            return RKP_NOMEM;
        memset(zeros, 0, width ? in->n * width : bytes);
        out.values = zeros;
        out.valid = valid;
        out.phys_rows = in->n;
    } else {
        dict.sel = sel;
        fake = (rkp_batch){ .refs = 1, .rows = in->n, .n_cols = 1, .cols = &dict };
        st = rkp_col_flat(in->b, &fake, 0, NULL, in->n, &out, NULL);
        if (st != RKP_OK)
            return st;
    }
    if (valid && out.valid && out.valid != valid) {
        both = rkp_batch_alloc(in->b, bytes);
        if (!both)
            return RKP_NOMEM;
        for (size_t i = 0; i < bytes; i++)
            both[i] = valid[i] & out.valid[i];
        out.valid = both;
    } else if (valid) {
        out.valid = valid;
    }
    *c = out;
    return RKP_OK;
}

static rkp_status column_in(const struct incoming *in, rkp_col *c)
{
    unsigned kind;
    rkp_status st;

    *c = (rkp_col){ .rep = RKP_FLAT, .phys_rows = in->n };
    if (!in->s || !in->s->format || in->depth > DEPTH)
        return RKP_UNSUPPORTED;
    st = valid_of(in, &c->valid);
    if (st != RKP_OK)
        return st;
    if (in->s->dictionary)
        return in->a->n_buffers < 2 ? RKP_UNSUPPORTED : dictionary_in(in, c);
    if (format_begins(in, "+w:"))
        return list_in(in, c);
    if (in->a->n_buffers < 2)
        return RKP_UNSUPPORTED;
    kind = plain_kind(in);
    if (kind == RKP_BOOL) {
        const uint8_t *bits = (const uint8_t *)nothing;

        if (in->n && !buffer(in, 1))
            return RKP_UNSUPPORTED;
        if (in->n)
            st = bits_of(in->b, buffer(in, 1), in->at, in->n, &bits);
        c->type.kind = RKP_BOOL;
        c->values = bits;
        return st;
    }
    if (kind != RKP_N_KINDS) {
        c->type.kind = (uint8_t)kind;
        return fixed_of(in, rkp_kind_width(kind), &c->values);
    }
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (!format_begins(in, units[i].format))
            continue;
        c->type.kind = RKP_TIMESTAMP;
        return times_in(in, &units[i], c);
    }
    if (in->a->n_buffers < 3)
        return RKP_UNSUPPORTED;
    c->type.kind = format_is(in, "vu") || format_is(in, "u") || format_is(in, "U") ? RKP_STRING : RKP_BYTES;
    if (format_is(in, "vu") || format_is(in, "vz"))
        return views_in(in, c);
    if (format_is(in, "u") || format_is(in, "z"))
        return offsets_in(in, false, c);
    if (format_is(in, "U") || format_is(in, "Z"))
        return offsets_in(in, true, c);
    return RKP_UNSUPPORTED;
}

static void release_kept(void *arg)
{
    struct ArrowArray *a = arg;

    a->release(a);
}

static rkp_status columns_in(rkp_batch *b, const struct ArrowSchema *s, const struct ArrowArray *a)
{
    rkp_schema *schema = rkp_batch_alloc(b, sizeof *schema);
    rkp_field *fields = rkp_batch_alloc(b, b->n_cols * sizeof *fields);
    struct incoming top = { .b = b, .a = a };
    const uint8_t *valid;
    rkp_status st;

    if (!schema || !fields)
        return RKP_NOMEM;
    if (!part_of(a, 0, (uint32_t)a->length, 0, &top.at))
        return RKP_UNSUPPORTED;
    top.n = b->rows;
    st = valid_of(&top, &valid);
    if (st != RKP_OK)
        return st;
    if (any_null(valid, b->rows))
        return RKP_UNSUPPORTED;
    for (uint32_t i = 0; i < b->n_cols; i++) {
        struct incoming in = { .b = b, .s = s->children[i], .a = a->children[i], .n = b->rows };
        const char *name;
        size_t len;
        char *copy;

        if (!in.s || !part_of(in.a, a->offset, b->rows, 0, &in.at))
            return RKP_UNSUPPORTED;
        st = column_in(&in, &b->cols[i]);
        if (st != RKP_OK)
            return st;
        b->cols[i].type.nullable = (in.s->flags & ARROW_FLAG_NULLABLE) || b->cols[i].valid;
        name = in.s->name ? in.s->name : "";
        len = strlen(name);
        copy = rkp_batch_alloc(b, len);
        if (!copy)
            return RKP_NOMEM;
        memcpy(copy, name, len);
        fields[i] = (rkp_field){ { copy, len }, b->cols[i].type };
    }
    *schema = (rkp_schema){ b->n_cols, fields };
    b->schema = schema;
    return RKP_OK;
}

rkp_status rkp_arrow_import(rkp_pool *p, struct ArrowSchema *schema, struct ArrowArray *array, rkp_batch **out)
{
    struct ArrowArray *kept = NULL;
    rkp_batch *b = NULL;
    rkp_status st = RKP_UNSUPPORTED;

    if (!schema->release || !array->release)
        goto out;
    if (!schema->format || strcmp(schema->format, "+s") != 0 || schema->dictionary || schema->n_children < 0 ||
        schema->n_children > 4096 || schema->n_children != array->n_children || array->length < 0 ||
        array->length > INT32_MAX || (schema->n_children && (!schema->children || !array->children)))
        goto out;
    st = RKP_NOMEM;
    b = rkp_batch_new(p, NULL, (uint32_t)array->n_children, 0);
    if (!b)
        goto out;
    b->rows = (uint32_t)array->length;
    kept = rkp_batch_alloc(b, sizeof *kept);
    if (!kept)
        goto out;
    *kept = *array;
    st = rki_batch_defer(b, release_kept, kept);
    if (st != RKP_OK)
        goto out;
    array->release = NULL; // moved
    st = columns_in(b, schema, kept);
out:
    if (st == RKP_OK)
        *out = b;
    else
        rkp_batch_put(b);
    if (schema->release)
        schema->release(schema);
    if (array->release)
        array->release(array);
    return st;
}
