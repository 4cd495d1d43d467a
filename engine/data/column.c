// column.c - reading columns: text to values, selections to dense columns.
//
// A column is read in blocks of 256 rows.  The first pass over a block resolves rows and selections and leaves where
// each text begins and how long it is; the second runs a loop of the column's kind over that: short plain values are
// done inline, everything else (quotes, escapes, nulls, long numbers, errors) goes out of line one value at a time.  So
// no loop knows about selections, and no loop calls through a pointer.
#include "data/column.h"
#include "data/floats.h"
#include "data/ints.h"
#include "data/parse.h"
#include "data/text.h"
#include "data/views.h"

#include <rkpipe/num.h>

enum { BLOCK = 256, WHAT = 64 };

#define ABSENT     UINT32_MAX // the size of a text that is not there
#define ALWAYS     static inline __attribute__((always_inline))
#define OUT_OF_WAY static __attribute__((noinline))

// ---- one text -------------------------------------------------------------------------------------------------------

// What decides how the text of a column is read, unpacked.
struct dialect {
    const rkp_text *text;
    int quote;      // of CSV, -1: none
    bool json;      // texts are JSON values
    bool cr;        // a trailing \r is not part of the text
    uint32_t plain; // a text of this size or more is no null
};

static struct dialect dialect_of(const rkp_col *c)
{
    const rkp_text *t = c->text;
    struct dialect d = { .text = t, .quote = -1, .plain = 1 };

    d.json = t->kind == RKP_TEXT_JSON;
    if (t->kind != RKP_TEXT_CSV)
        return d;
    d.cr = t->cr && c->last;
    if (t->quote)
        d.quote = (unsigned char)t->quote;
    for (uint32_t i = 0; i < t->n_nulls; i++) {
        rkp_str s = t->nulls[i];

        if (s.n >= d.plain)
            d.plain = s.n < ABSENT / 2 ? (uint32_t)s.n + 1 : ABSENT / 2;
    }
    return d;
}

enum got { GOT, GOT_NULL, GOT_BAD, GOT_NOMEM };

static enum got as_null_or(const rkp_text *t, rkp_str s, rkp_str *out)
{
    for (uint32_t i = 0; i < t->n_nulls && t->kind == RKP_TEXT_CSV; i++)
        if (rkp_str_eq(t->nulls[i], s))
            return GOT_NULL;
    *out = s;
    return GOT;
}

// Room for n bytes of rewritten text: out of `h` when there is one, else the batch's.
static char *room(rkp_batch *mem, rki_heap *h, size_t n)
{
    return h ? rki_heap_room(h, n) : rkp_batch_alloc(mem, n);
}

// The content of one text.  What had to be rewritten lies in the room of `h`, not yet taken.
static enum got decode(const struct dialect *d, unsigned kind, rkp_str raw, rkp_batch *mem, rki_heap *h, rkp_str *out,
                       bool *rewritten)
{
    rkp_str in = { raw.p + 1, raw.n - 2 };
    size_t n;
    char *to;

    *rewritten = false;
    if (d->json) {
        if (raw.n == 4 && memcmp(raw.p, "null", 4) == 0)
            return GOT_NULL;
        if (!raw.n || raw.p[0] != '"' || kind == RKP_JSON) {
            *out = raw;
            return GOT;
        }
        if (raw.n < 2 || raw.p[raw.n - 1] != '"')
            return GOT_BAD;
        if (!memchr(in.p, '\\', in.n)) {
            *out = in;
            return GOT;
        }
        to = room(mem, h, in.n);
        if (!to)
            return GOT_NOMEM;
        n = rki_json_unescape(to, in.p, in.n);
        if (n == RKI_NO_TEXT_SIZE)
            return GOT_BAD;
        *rewritten = true;
        *out = (rkp_str){ to, n };
        return GOT;
    }
    if (!raw.n || (unsigned char)raw.p[0] != d->quote)
        return as_null_or(d->text, raw, out);
    if (raw.n < 2 || (unsigned char)raw.p[raw.n - 1] != d->quote)
        return GOT_BAD;
    if (!memchr(in.p, d->quote, in.n))
        return as_null_or(d->text, in, out);
    to = room(mem, h, in.n);
    if (!to)
        return GOT_NOMEM;
    n = rki_csv_unquote(to, in.p, in.n, (char)d->quote);
    if (n == RKI_NO_TEXT_SIZE)
        return GOT_BAD;
    *rewritten = true;
    return as_null_or(d->text, (rkp_str){ to, n }, out);
}

static unsigned bad_code(const struct dialect *d)
{
    return d->json ? RKP_ROW_SYNTAX : RKP_ROW_QUOTES;
}

static rkp_str raw_of(const rkp_col *c, uint32_t physical, bool cr)
{
    const uint32_t *q = c->pos + (size_t)physical * c->stride;
    uint32_t at = q[0] + 1, n = q[1] - at;

    if (q[0] == RKP_NO_TEXT)
        return (rkp_str){ NULL, 0 };
    if (cr && n && c->text->base[at + n - 1] == '\r')
        n--;
    return (rkp_str){ c->text->base + at, n };
}

rkp_str rkp_col_raw(const rkp_col *c, uint32_t logical_row)
{
    return raw_of(c, rkp_col_row(c, logical_row), c->last && c->text->cr && c->text->kind == RKP_TEXT_CSV);
}

bool rkp_text_decode(rkp_batch *mem, const rkp_col *c, rkp_str raw, rkp_str *out, bool *bad)
{
    struct dialect d = dialect_of(c);
    bool rewritten;
    enum got got = raw.p ? decode(&d, c->type.kind, raw, mem, NULL, out, &rewritten) : GOT_NULL;

    *bad = got == GOT_BAD || got == GOT_NOMEM;
    if (got == GOT)
        return true;
    *out = (rkp_str){ NULL, 0 };
    return false;
}

// ---- the reader -----------------------------------------------------------------------------------------------------

struct reader {
    rkp_batch *mem;
    const rkp_col *c;
    const uint32_t *rows; // logical; NULL: all
    uint32_t n;
    int col;
    rkp_errs *errs; // NULL: nobody asks
    uint8_t *valid; // of the result; NULL while there is no null
    bool nomem;
    // TEXT
    struct dialect d;
    const char *base;
    int64_t reach; // a text that begins here or before can be read RKI_PARSE_READS bytes far
    bool utf8;     // strings need no check
    bool tricky;   // a null text is a value, such as -999: short forms decide nothing
    bool by_index; // errors name the result, not the row
    bool any_text; // texts are taken for what they say, whatever the type
    rki_heap heap; // decoded text
    uint32_t at[BLOCK], size[BLOCK];
};

static uint32_t logical(const struct reader *r, uint32_t i)
{
    return r->rows ? r->rows[i] : i;
}

// Result i is null.
OUT_OF_WAY void set_null(struct reader *r, uint32_t i)
{
    if (!r->valid) {
        size_t bytes = ((size_t)r->n + 7) / 8;

        r->valid = rkp_batch_alloc(r->mem, bytes);
        if (!r->valid) {
            r->nomem = true;
            return;
        }
        memset(r->valid, 0xff, bytes);
    }
    rkp_bit_clear(r->valid, i);
}

OUT_OF_WAY void set_error(struct reader *r, uint32_t i, unsigned code, rkp_str text)
{
    rkp_str what = { NULL, 0 };
    size_t n = text.n;

    set_null(r, i);
    if (!r->errs)
        return;
    if (n > WHAT) // not inside a character
        for (n = WHAT; n > WHAT - 4 && ((unsigned char)text.p[n] & 0xc0) == 0x80; n--)
            ;
    if (n) {
        char *to = rkp_batch_alloc(r->mem, n);

        if (to) {
            memcpy(to, text.p, n);
            what = (rkp_str){ to, n };
        } else {
            r->nomem = true;
        }
    }
    rkp_errs_add(r->errs, r->by_index ? i : logical(r, i), code, r->col, what);
}

// The physical rows of results [from, from + m): NULL when they are `from` and on.
static const uint32_t *resolve(const struct reader *r, uint32_t from, uint32_t m, uint32_t *room_for)
{
    const uint32_t *sel = r->c->sel, *rows = r->rows;

    if (!rows)
        return sel ? sel + from : NULL;
    if (!sel)
        return rows + from;
    for (uint32_t i = 0; i < m; i++)
        room_for[i] = sel[rows[from + i]];
    return room_for;
}

// Where the texts of results [from, from + m) are.
static void locate(struct reader *r, uint32_t from, uint32_t m)
{
    uint32_t idx[BLOCK];
    const uint32_t *phys = resolve(r, from, m, idx), *pos = r->c->pos;
    size_t stride = r->c->stride;

    if (phys) {
        for (uint32_t i = 0; i < m; i++) {
            const uint32_t *q = pos + phys[i] * stride;

            r->at[i] = q[0] + 1;
            r->size[i] = q[0] == RKP_NO_TEXT ? ABSENT : q[1] - q[0] - 1;
        }
    } else {
        const uint32_t *q = pos + from * stride;

        for (uint32_t i = 0; i < m; i++, q += stride) {
            r->at[i] = q[0] + 1;
            r->size[i] = q[0] == RKP_NO_TEXT ? ABSENT : q[1] - q[0] - 1;
        }
    }
    if (r->d.cr)
        for (uint32_t i = 0; i < m; i++)
            if (r->size[i] - 1 < ABSENT - 1 && r->base[r->at[i] + r->size[i] - 1] == '\r')
                r->size[i]--;
}

// The content of text k of the block, which is result i; false when it is null or an error, which is then noted.
static bool content(struct reader *r, uint32_t i, uint32_t k, unsigned kind, rki_heap *h, rkp_str *out, bool *rewritten)
{
    rkp_str raw = { r->base + r->at[k], r->size[k] };

    if (raw.n == ABSENT) {
        set_null(r, i);
        return false;
    }
    switch (decode(&r->d, kind, raw, r->mem, h, out, rewritten)) {
    case GOT:
        return true;
    case GOT_NULL:
        set_null(r, i);
        return false;
    case GOT_BAD:
        set_error(r, i, bad_code(&r->d), raw);
        return false;
    default:
        set_null(r, i);
        r->nomem = true;
        return false;
    }
}

// ---- text to values -------------------------------------------------------------------------------------------------

// Any value of any fixed-width kind, and arrays.
OUT_OF_WAY void value_slow(struct reader *r, uint32_t i, uint32_t k, void *to)
{
    rkp_type t = r->c->type;
    size_t width = t.kind == RKP_BOOL ? 1 : rkp_kind_width(t.kind);
    bool rewritten;
    rkp_str s;

    // No null text is a value here, so what reads as a value is one.
    if (!t.len && !r->tricky && r->size[k] - 1 < ABSENT - 1 && r->base[r->at[k]] != '"' &&
        rki_value_parse(t.kind, r->base + r->at[k], r->size[k], to))
        return;
    if (content(r, i, k, t.kind, &r->heap, &s, &rewritten)) {
        if (t.len ? rki_array_parse(t.kind, t.len, s.p, s.n, to) : rki_value_parse(t.kind, s.p, s.n, to))
            return;
        set_error(r, i, RKP_ROW_PARSE, s);
    }
    memset(to, 0, width * (t.len ? t.len : 1));
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "integers are narrowed by taking their first bytes");

#define NARROW(width, lo, hi)                                                                                          \
    for (uint32_t k = 0; k < m; k++) {                                                                                 \
        char *to = (char *)out + (size_t)(from + k) * (width);                                                         \
                                                                                                                       \
        if (RKP_LIKELY(v[k] >= (lo) && v[k] <= (hi)))                                                                  \
            memcpy(to, &v[k], width); /* its low bytes */                                                              \
        else                                                                                                           \
            value_slow(r, from + k, k, to);                                                                            \
    }                                                                                                                  \
    break

// What is not short becomes a number that no other kind has, so that the rows are asked for in their order.
static void read_ints(struct reader *r, uint32_t from, uint32_t m, void *out, size_t width)
{
    int64_t room_for[BLOCK], *v = width == 8 ? (int64_t *)out + from : room_for;
    uint32_t others[BLOCK], n = rki_short_ints(r->base, r->reach, r->at, r->size, m, v, others);

    if (r->c->type.kind == RKP_I64) {
        for (uint32_t k = 0; k < n; k++)
            value_slow(r, from + others[k], others[k], &v[others[k]]);
        return;
    }
    for (uint32_t k = 0; k < n; k++)
        v[others[k]] = INT64_MIN;
    switch (r->c->type.kind) {
    case RKP_I8:
        NARROW(1, INT8_MIN, INT8_MAX);
    case RKP_I16:
        NARROW(2, INT16_MIN, INT16_MAX);
    case RKP_I32:
        NARROW(4, INT32_MIN, INT32_MAX);
    case RKP_U8:
        NARROW(1, 0, UINT8_MAX);
    case RKP_U16:
        NARROW(2, 0, UINT16_MAX);
    case RKP_U32:
        NARROW(4, 0, UINT32_MAX);
    default: // u64
        for (uint32_t k = 0; k < m; k++)
            if (RKP_UNLIKELY(v[k] < 0))
                value_slow(r, from + k, k, &v[k]);
        break;
    }
}
#undef NARROW

static void read_f32(struct reader *r, uint32_t from, uint32_t m, float *out)
{
    for (uint32_t k = 0; k < m; k++)
        if (RKP_UNLIKELY(r->size[k] - 1 >= RKI_PARSE_READS || r->at[k] > r->reach ||
                         !rki_short_f32(r->base + r->at[k], r->size[k], &out[from + k])))
            value_slow(r, from + k, k, &out[from + k]);
}

static void read_timestamps(struct reader *r, uint32_t from, uint32_t m, int64_t *out)
{
    for (uint32_t k = 0; k < m; k++) {
        const char *p = r->base + r->at[k];
        uint32_t n = r->size[k];

        if (r->d.json && n - 2 < RKP_TIMESTAMP_TEXT && p[0] == '"' && p[n - 1] == '"') {
            p++;
            n -= 2;
        }
        if (RKP_UNLIKELY(n > RKP_TIMESTAMP_TEXT || !rkp_parse_timestamp(p, n, &out[from + k])))
            value_slow(r, from + k, k, &out[from + k]);
    }
}

static void read_bools(struct reader *r, uint32_t from, uint32_t m, uint8_t *out)
{
    for (uint32_t k = 0; k < m; k++) {
        const char *p = r->base + r->at[k];
        uint8_t v = 0;

        if (r->size[k] == 4 && memcmp(p, "true", 4) == 0)
            v = 1;
        else if (r->size[k] != 5 || memcmp(p, "false", 5) != 0)
            value_slow(r, from + k, k, &v);
        out[(from + k) / 8] = (uint8_t)(out[(from + k) / 8] | v << (from + k) % 8);
    }
}

static void read_floats(struct reader *r, uint32_t from, uint32_t m, double *out)
{
    uint32_t others[BLOCK], n = rki_short_floats(r->base, r->reach, r->at, r->size, m, out + from, others);

    for (uint32_t k = 0; k < n; k++)
        value_slow(r, from + others[k], others[k], &out[from + others[k]]);
}

static void read_slowly(struct reader *r, uint32_t from, uint32_t m, void *out, size_t width)
{
    for (uint32_t k = 0; k < m; k++) {
        if (r->c->type.kind == RKP_BOOL) {
            uint8_t v = 0;

            value_slow(r, from + k, k, &v);
            if (v)
                rkp_bit_set(out, from + k);
        } else {
            value_slow(r, from + k, k, (char *)out + (from + k) * width);
        }
    }
}

static void read_values(struct reader *r, uint32_t from, uint32_t m, void *out, size_t width)
{
    if (r->c->type.len || r->tricky) {
        read_slowly(r, from, m, out, width);
        return;
    }
    switch (r->c->type.kind) {
    case RKP_BOOL:
        read_bools(r, from, m, out);
        break;
    case RKP_F64:
        read_floats(r, from, m, out);
        break;
    case RKP_F32:
        read_f32(r, from, m, out);
        break;
    case RKP_TIMESTAMP:
        read_timestamps(r, from, m, out);
        break;
    default:
        read_ints(r, from, m, out, width);
        break;
    }
}

// ---- text to strings ------------------------------------------------------------------------------------------------

// Is the content of text k of the block there as it is, perhaps between quotes?  Then p and n are it.
ALWAYS bool plain(const struct reader *r, uint32_t k, const char **p, uint32_t *n)
{
    int quote = r->d.json ? '"' : r->d.quote;

    *p = r->base + r->at[k];
    *n = r->size[k];
    if (*n - 1 >= INT32_MAX)
        return false;
    if ((unsigned char)**p != quote)
        return !r->d.json && *n >= r->d.plain;
    if (*n < 2 || (unsigned char)(*p)[*n - 1] != quote || *n - 2 + r->d.json < r->d.plain)
        return false;
    *p += 1;
    *n -= 2;
    return !memchr(*p, r->d.json ? '\\' : quote, *n);
}

// A content that is not plain, checked.
OUT_OF_WAY bool string_slow(struct reader *r, uint32_t i, uint32_t k, rkp_str *out, bool *rewritten)
{
    unsigned kind = r->c->type.kind;

    if (!content(r, i, k, kind, &r->heap, out, rewritten))
        return false;
    if (r->any_text)
        return true;
    if (kind == RKP_JSON && !rki_json_valid(out->p, out->n)) {
        set_error(r, i, RKP_ROW_PARSE, *out);
        return false;
    }
    if (!r->utf8 && !rki_ascii(out->p, out->n) && !rkp_text_is_utf8(out->p, out->n)) {
        set_error(r, i, RKP_ROW_UTF8, *out);
        return false;
    }
    return true;
}

// Masks for the first n bytes of four and of the eight behind them; 13 is for long texts, which keep the four.
static const uint32_t mask4[14] = {
    0,          0xff,       0xffff,     0xffffff,   UINT32_MAX, UINT32_MAX, UINT32_MAX,
    UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX
};
static const uint64_t mask8[14] = {
    0, 0, 0, 0, 0, 0xff, 0xffff, 0xffffff, 0xffffffff, 0xffffffffff, 0xffffffffffff, 0xffffffffffffff, UINT64_MAX, 0
};

// The view of n bytes at p in buffer 0 (which begins at base), when 12 bytes at p can be read.
ALWAYS void view_of(rkp_view *to, const char *base, const char *p, uint32_t n)
{
    uint32_t m = n > 12 ? 13 : n;
    uint64_t ref = (uint64_t)(p - base) << 32; // buffer 0
    uint64_t w[2] = { n | (uint64_t)(rki_load4(p) & mask4[m]) << 32, rki_load8(p + 4) & mask8[m] };

    w[1] |= n > 12 ? ref : 0;
    memcpy(to, w, sizeof w);
}

// `quick`, a constant: texts of CSV that need no check are tried first, with all that decides in registers.
ALWAYS void views_loop(struct reader *r, uint32_t from, uint32_t m, rkp_view *out, bool quick)
{
    bool direct = r->c->type.kind != RKP_JSON;
    const char *base = r->base;
    const uint32_t least = r->d.plain, more = (uint32_t)INT32_MAX - least;
    const int64_t reach = r->reach;
    const int quote = r->d.quote;

    for (uint32_t k = 0; k < m; k++) {
        uint32_t i = from + k, n;
        bool rewritten;
        const char *p;
        rkp_str s;

        if (quick &&
            RKP_LIKELY(r->size[k] - least <= more && r->at[k] <= reach && (unsigned char)base[r->at[k]] != quote)) {
            view_of(&out[i], base, base + r->at[k], r->size[k]);
            continue;
        }
        if (RKP_LIKELY(direct && plain(r, k, &p, &n) && (r->utf8 || rki_ascii(p, n)))) {
            if (RKP_LIKELY(r->at[k] <= r->reach))
                view_of(&out[i], r->base, p, n);
            else
                out[i] = n <= 12 ? rki_view_short(p, n) : rki_view_long(p, n, 0, (uint32_t)(p - r->base));
        } else if (!string_slow(r, i, k, &s, &rewritten)) {
            out[i] = (rkp_view){ 0 };
        } else if (rewritten) {
            out[i] = rki_heap_take(&r->heap, s.p, s.n);
        } else {
            out[i] = s.n <= 12 ? rki_view_short(s.p, s.n) : rki_view_long(s.p, s.n, 0, (uint32_t)(s.p - r->base));
        }
    }
}

static void read_views(struct reader *r, uint32_t from, uint32_t m, rkp_view *out)
{
    if (r->utf8 && !r->d.json && r->c->type.kind != RKP_JSON && r->d.plain < INT32_MAX)
        views_loop(r, from, m, out, true);
    else
        views_loop(r, from, m, out, false);
}

static void read_strs(struct reader *r, uint32_t from, uint32_t m, rkp_str *out)
{
    bool direct = r->c->type.kind != RKP_JSON || (r->any_text && !r->d.json);

    for (uint32_t k = 0; k < m; k++) {
        uint32_t i = from + k, n;
        bool rewritten;
        const char *p;

        if (RKP_LIKELY(direct && plain(r, k, &p, &n) && (r->utf8 || rki_ascii(p, n)))) {
            out[i] = (rkp_str){ p, n };
        } else if (!string_slow(r, i, k, &out[i], &rewritten)) {
            out[i] = (rkp_str){ NULL, 0 };
        } else if (rewritten) {
            r->heap.used += (uint32_t)out[i].n; // taken, also when short: the result points at it
        }
    }
}

// ---- flat columns ---------------------------------------------------------------------------------------------------

#define GATHER(T)                                                                                                      \
    do {                                                                                                               \
        const T *in_ = in;                                                                                             \
        T *out_ = (T *)out + from;                                                                                     \
        for (uint32_t i = 0; i < m; i++)                                                                               \
            out_[i] = in_[phys[i]];                                                                                    \
    } while (0)

// Of arrays only the elements are aligned.
static void gather(uint32_t from, uint32_t m, const uint32_t *phys, const void *in, void *out, size_t width, bool array)
{
    switch (array ? 0 : width) {
    case 1:
        GATHER(uint8_t);
        break;
    case 2:
        GATHER(uint16_t);
        break;
    case 4:
        GATHER(uint32_t);
        break;
    case 8:
        GATHER(uint64_t);
        break;
    case sizeof(rkp_view):
        GATHER(rkp_view);
        break;
    default:
        for (uint32_t i = 0; i < m; i++)
            memcpy((char *)out + (from + i) * width, (const char *)in + phys[i] * width, width);
    }
}

// `from` is a multiple of 8.
static void gather_bits(uint32_t from, uint32_t m, const uint32_t *phys, const uint8_t *in, uint8_t *out)
{
    out += from / 8;
    for (uint32_t i = 0; i < m; i += 8) {
        uint32_t left = m - i < 8 ? m - i : 8;
        unsigned v = 0;

        for (uint32_t k = 0; k < left; k++)
            v |= (unsigned)rkp_bit(in, phys[i + k]) << k;
        out[i / 8] = (uint8_t)v;
    }
}

// Bytes of one physical value; 0 for bool.
static size_t width_of(rkp_type t)
{
    return rkp_kind_width(t.kind) * (t.len ? t.len : 1);
}

static rkp_status flat_from_flat(rkp_batch *mem, const rkp_col *c, const uint32_t *rows, uint32_t n, rkp_col *out)
{
    struct reader r = { .mem = mem, .c = c, .rows = rows, .n = n };
    size_t width = width_of(c->type), bits = ((size_t)n + 7) / 8;
    uint8_t *valid = NULL;
    uint32_t idx[BLOCK];
    void *values;

    *out = *c;
    out->phys_rows = n;
    if (!rows && !c->sel)
        return RKP_OK;
    out->sel = NULL;
    values = rkp_batch_alloc(mem, width ? n * width : bits);
    if (c->valid)
        valid = rkp_batch_alloc(mem, bits);
    if (!values || (c->valid && !valid))
        return RKP_NOMEM;
    for (uint32_t from = 0; from < n; from += BLOCK) {
        uint32_t m = n - from < BLOCK ? n - from : BLOCK;
        const uint32_t *phys = resolve(&r, from, m, idx);

        if (width)
            gather(from, m, phys, c->values, values, width, c->type.len);
        else
            gather_bits(from, m, phys, c->values, values);
        if (valid)
            gather_bits(from, m, phys, c->valid, valid);
    }
    out->values = values;
    out->valid = valid;
    return RKP_OK;
}

static void reader_init(struct reader *r, rkp_batch *mem, const rkp_col *c, uint32_t col, const uint32_t *rows,
                        uint32_t n, rkp_errs *errs)
{
    r->mem = mem;
    r->c = c;
    r->rows = rows;
    r->n = n;
    r->col = (int)col;
    r->errs = errs;
    r->valid = NULL;
    r->nomem = false;
    r->d = dialect_of(c);
    r->base = c->text->base;
    r->reach = (int64_t)c->text->len - RKI_PARSE_READS;
    r->utf8 = c->text->utf8 || (c->type.kind != RKP_STRING && c->type.kind != RKP_JSON);
    r->heap = (rki_heap){ .mem = mem };
    r->by_index = r->any_text = r->tricky = false;
    for (uint32_t i = 0; i < c->text->n_nulls && c->text->kind == RKP_TEXT_CSV; i++) {
        uint64_t v;

        r->tricky |= rki_value_parse(c->type.kind, c->text->nulls[i].p, c->text->nulls[i].n, &v);
    }
}

static rkp_status reader_done(const struct reader *r)
{
    return r->nomem || (r->errs && r->errs->failed) ? RKP_NOMEM : RKP_OK;
}

static rkp_status flat_of(rkp_batch *mem, const rkp_batch *b, uint32_t col, const uint32_t *rows, uint32_t n,
                          rkp_col *out, rkp_errs *errs, bool by_index)
{
    const rkp_col *c = &b->cols[col];
    size_t width = width_of(c->type), bytes = width ? width * n : ((size_t)n + 7) / 8;
    bool views = rkp_kind_is_view(c->type.kind);
    struct reader r;
    void *values;

    if (c->rep == RKP_FLAT)
        return flat_from_flat(mem, c, rows, n, out);
    values = rkp_batch_alloc(mem, bytes);
    if (!values)
        return RKP_NOMEM;
    reader_init(&r, mem, c, col, rows, n, errs);
    r.by_index = by_index;
    if (views && !rki_heap_foreign(&r.heap, r.base, c->text->len))
        return RKP_NOMEM;
    if (!width)
        memset(values, 0, bytes);
    for (uint32_t from = 0; from < n; from += BLOCK) {
        uint32_t m = n - from < BLOCK ? n - from : BLOCK;

        locate(&r, from, m);
        if (views)
            read_views(&r, from, m, values);
        else
            read_values(&r, from, m, values, width);
    }
    *out = (rkp_col){ .type = c->type, .rep = RKP_FLAT, .valid = r.valid, .values = values, .phys_rows = n };
    if (views)
        rki_heap_done(&r.heap, out);
    return reader_done(&r);
}

rkp_status rkp_col_flat(rkp_batch *mem, const rkp_batch *b, uint32_t col, const uint32_t *rows, uint32_t n,
                        rkp_col *out, rkp_errs *errs)
{
    return flat_of(mem, b, col, rows, n, out, errs, false);
}

rkp_status rki_col_flat(rkp_batch *mem, const rkp_batch *b, uint32_t col, const uint32_t *rows, uint32_t n,
                        rkp_col *out, rkp_errs *errs)
{
    return flat_of(mem, b, col, rows, n, out, errs, true);
}

static rkp_status strs_of(rkp_batch *mem, const rkp_batch *b, uint32_t col, const uint32_t *rows, uint32_t n,
                          rkp_str *out, rkp_errs *errs, bool raw)
{
    const rkp_col *c = &b->cols[col];
    struct reader r;
    uint32_t idx[BLOCK];

    if (c->rep == RKP_FLAT && !rkp_kind_is_view(c->type.kind))
        return RKP_INTERNAL; // a value, not a text
    if (c->rep == RKP_TEXT) {
        reader_init(&r, mem, c, col, rows, n, errs);
        r.by_index = r.any_text = raw;
        r.utf8 |= raw;
        for (uint32_t from = 0; from < n; from += BLOCK) {
            uint32_t m = n - from < BLOCK ? n - from : BLOCK;

            locate(&r, from, m);
            read_strs(&r, from, m, out);
        }
        return reader_done(&r);
    }
    r.c = c;
    r.rows = rows;
    for (uint32_t from = 0; from < n; from += BLOCK) {
        uint32_t m = n - from < BLOCK ? n - from : BLOCK;
        const uint32_t *phys = resolve(&r, from, m, idx);

        for (uint32_t i = 0; i < m; i++) {
            uint32_t row = phys ? phys[i] : from + i;

            out[from + i] = rkp_col_is_null(c, row) ? (rkp_str){ NULL, 0 } : rkp_view_str(c, row);
        }
    }
    return RKP_OK;
}

rkp_status rkp_col_strs(rkp_batch *mem, const rkp_batch *b, uint32_t col, const uint32_t *rows, uint32_t n,
                        rkp_str *out, rkp_errs *errs)
{
    return strs_of(mem, b, col, rows, n, out, errs, false);
}

rkp_status rki_col_texts(rkp_batch *mem, const rkp_batch *b, uint32_t col, const uint32_t *rows, uint32_t n,
                         rkp_str *out, rkp_errs *errs)
{
    return strs_of(mem, b, col, rows, n, out, errs, true);
}

// ---- building -------------------------------------------------------------------------------------------------------

rkp_status rkp_col_set_strs(rkp_batch *b, uint32_t col, rkp_type type, const rkp_str *v, uint32_t n)
{
    rkp_view *views = rkp_batch_alloc(b, (size_t)n * sizeof *views);
    rkp_col *c = &b->cols[col];
    rki_heap heap = { .mem = b };
    uint8_t *valid = NULL;

    if (!views)
        return RKP_NOMEM;
    for (uint32_t i = 0; i < n; i++) {
        if (v[i].p) {
            if (!rki_heap_copy(&heap, v[i].p, v[i].n, &views[i]))
                return RKP_NOMEM;
            continue;
        }
        views[i] = (rkp_view){ 0 };
        if (!valid) {
            valid = rkp_batch_alloc(b, ((size_t)n + 7) / 8);
            if (!valid)
                return RKP_NOMEM;
            memset(valid, 0xff, ((size_t)n + 7) / 8);
        }
        rkp_bit_clear(valid, i);
    }
    *c = (rkp_col){ .type = type, .rep = RKP_FLAT, .valid = valid, .values = views, .phys_rows = n };
    rki_heap_done(&heap, c);
    return RKP_OK;
}

void rkp_col_set_values(rkp_batch *b, uint32_t col, rkp_type type, const void *values, const uint8_t *valid, uint32_t n)
{
    b->cols[col] = (rkp_col){ .type = type, .rep = RKP_FLAT, .valid = valid, .values = values, .phys_rows = n };
}
