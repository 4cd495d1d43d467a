// csv_print.c - rows as CSV text.
//
// Columns become segments: neighbours of one CSV matrix are one segment, copied with the delimiters between them while
// the copy looks for quotes and \r; only when it finds one the fields are looked at one by one.  Output memory is
// reserved for what the fields have now; what quoting adds comes out of `extra`, and when that is used up the text moves
// to a larger place.
#include "data/csv_print.h"

#include <rkpipe/num.h>

#include <math.h>

enum { BEYOND = 64 }; // bytes that a copy may write behind its end

enum seg_kind { SEG_RAW, SEG_TEXT, SEG_FLAT, SEG_F64, SEG_I64 };

struct seg {
    uint8_t kind;
    bool cr;    // SEG_RAW: the last field may end in \r
    char other; // SEG_RAW: a byte that asks for quotes besides quote and \r
    uint32_t k; // SEG_RAW: columns
    uint32_t col;
    uint32_t stride;
    const uint32_t *sel, *pos;
    const char *base, *limit;
    const rkp_col *c;
};

struct print {
    rkp_batch *mem;
    rkp_csv_style style;
    char *buf, *row, *at;
    size_t cap;   // without BEYOND
    size_t extra; // bytes of cap that no field has reserved
    bool bad_row;
};

// ---- room -----------------------------------------------------------------------------------------------------------

static bool move(struct print *o, size_t cap)
{
    char *buf = rkp_batch_alloc(o->mem, cap + BEYOND);
    size_t n = (size_t)(o->at - o->buf);
    if (!buf)
        return false;
    if (n)
        memcpy(buf, o->buf, n);
    o->row = buf + (o->row - o->buf);
    o->at = buf + n;
    o->extra += cap - o->cap;
    o->buf = buf;
    o->cap = cap;
    return true;
}

// Room for `want` bytes at o->at where `had` are reserved; what is taken beyond is paid with `took`.
static bool room(struct print *o, size_t want, size_t had)
{
    return want <= had + o->extra || move(o, o->cap * 2 + want);
}

static void took(struct print *o, size_t n, size_t had)
{
    if (n > had)
        o->extra -= n - had;
    else
        o->extra += had - n;
}

// ---- fields ---------------------------------------------------------------------------------------------------------

static bool special(const rkp_csv_style *s, const char *p, size_t n)
{
    bool found = false;
    for (size_t i = 0; i < n; i++)
        found |= p[i] == s->delim || p[i] == s->quote || p[i] == '\n' || p[i] == '\r';
    return found;
}

// A value that is not null; `had` bytes are reserved for it.
static bool put_value(struct print *o, const char *p, size_t n, size_t had)
{
    char q = o->style.quote, *at;
    if (!room(o, n * 2 + 2, had))
        return false;
    at = o->at;
    if (n && !o->style.quote_all && !special(&o->style, p, n)) {
        memcpy(at, p, n);
        at += n;
    } else {
        *at++ = q;
        for (size_t i = 0; i < n; i++) {
            if (p[i] == q)
                *at++ = q;
            *at++ = p[i];
        }
        *at++ = q;
    }
    took(o, (size_t)(at - o->at), had);
    o->at = at;
    return true;
}

static bool is_null(const rkp_text *t, const char *p, size_t n)
{
    for (unsigned i = 0; i < t->n_nulls; i++)
        if (rkp_str_eq(t->nulls[i], (rkp_str){ p, n }))
            return true;
    return false;
}

// One field of CSV text that has the same quote as the output, or none.  *well is cleared when its quotes are broken.
static bool put_csv_field(struct print *o, const rkp_text *t, const char *p, size_t n, bool *well)
{
    size_t had = n, inner = 0;
    bool quotes = false;
    if (!t->quote || n == 0 || p[0] != t->quote) {
        if (is_null(t, p, n))
            return true;
        return put_value(o, p, n, had);
    }
    for (inner = 1; inner < n && (p[inner] != t->quote || (inner + 1 < n && p[inner + 1] == t->quote)); inner++)
        if (p[inner] == t->quote) {
            quotes = true;
            inner++;
        }
    if (inner + 1 != n) {
        *well = false;
        return true;
    }
    if (!quotes) { // the usual: it is quoted for a delimiter in it
        if (is_null(t, p + 1, n - 2))
            return true;
        return put_value(o, p + 1, n - 2, had);
    }
    if (!room(o, n, had)) // already as it must be
        return false;
    memcpy(o->at, p, n);
    o->at += n;
    return true;
}

// The fields of a segment one by one; p is the first one's position, row the logical row.
static bool put_raw_fields(struct print *o, const struct seg *s, const uint32_t *p, uint32_t row, rkp_errs *errs)
{
    bool well = true;
    if (p[0] == RKP_NO_TEXT)
        return true;
    for (uint32_t f = 0; f < s->k; f++) {
        uint32_t from = p[f] + 1, to = p[f + 1];
        if (f + 1 == s->k && s->cr && to > from && s->base[to - 1] == '\r')
            to--;
        if (!put_csv_field(o, s->c->text, s->base + from, to - from, &well))
            return false;
        if (f + 1 < s->k)
            *o->at++ = o->style.delim;
    }
    if (!well) {
        rkp_errs_add(errs, row, RKP_ROW_QUOTES, (int)s->col, (rkp_str){ s->base + p[0] + 1, p[s->k] - p[0] - 1 });
        o->bad_row = true;
    }
    return true;
}

static char *put_u64(char *at, uint64_t v)
{
    static const char pairs[] =
        "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445"
        "4647484950515253545556575859606162636465666768697071727374757677787980818283848586878889"
        "90919293949596979899";
    char t[20], *p = t + sizeof t;
    size_t n;
    while (v >= 100) {
        p -= 2;
        memcpy(p, pairs + v % 100 * 2, 2);
        v /= 100;
    }
    if (v >= 10) {
        p -= 2;
        memcpy(p, pairs + v * 2, 2);
    } else {
        *--p = (char)('0' + v);
    }
    n = (size_t)(t + sizeof t - p);
    memcpy(at, p, n);
    return at + n;
}

static char *put_i64(char *at, int64_t v)
{
    uint64_t u = (uint64_t)v;
    if (v < 0) {
        *at++ = '-';
        u = 0 - u;
    }
    return put_u64(at, u);
}

// rkp_print_f64, faster for at most two decimals: r / 100 is rounded as reading the text would round, so when it is v
// the text reads back; texts of at most 15 digits are shortest when they have no trailing zero.
static char *put_f64(char *at, double v)
{
    double a = fabs(v), r;
    if (a < 1e12 && (a > 0 || !signbit(v))) {
        uint64_t n = (uint64_t)(a * 100 + 0.5);
        r = (double)n / 100;
        if (r == a) {
            unsigned f = (unsigned)(n % 100);
            if (v < 0)
                *at++ = '-';
            at = put_u64(at, n / 100);
            *at++ = '.';
            *at++ = (char)('0' + f / 10);
            if (f % 10)
                *at++ = (char)('0' + f % 10);
            return at;
        }
    }
    return at + rkp_print_f64(at, v);
}

// At most RKP_F64_TEXT bytes.
static char *put_flat(char *at, const rkp_col *c, uint32_t r)
{
    const void *v = c->values;
    switch (c->type.kind) {
    case RKP_BOOL: {
        bool yes = rkp_bit(v, r);
        memcpy(at, yes ? "true" : "false", yes ? 4 : 5);
        return at + (yes ? 4 : 5);
    }
    case RKP_I8:
        return put_i64(at, ((const int8_t *)v)[r]);
    case RKP_I16:
        return put_i64(at, ((const int16_t *)v)[r]);
    case RKP_I32:
        return put_i64(at, ((const int32_t *)v)[r]);
    case RKP_I64:
        return put_i64(at, ((const int64_t *)v)[r]);
    case RKP_U8:
        return put_u64(at, ((const uint8_t *)v)[r]);
    case RKP_U16:
        return put_u64(at, ((const uint16_t *)v)[r]);
    case RKP_U32:
        return put_u64(at, ((const uint32_t *)v)[r]);
    case RKP_U64:
        return put_u64(at, ((const uint64_t *)v)[r]);
    case RKP_F32:
        return at + rkp_print_f32(at, ((const float *)v)[r]);
    case RKP_F64:
        return put_f64(at, ((const double *)v)[r]);
    case RKP_TIMESTAMP:
        return at + rkp_print_timestamp(at, ((const int64_t *)v)[r]);
    default:
        return at;
    }
}

// Any segment but SEG_RAW, row i.
static bool put_other(struct print *o, const struct seg *s, uint32_t i, rkp_errs *errs)
{
    const rkp_col *c = s->c;
    if (s->kind == SEG_TEXT) {
        rkp_str raw = rkp_col_raw(c, i), v;
        bool bad = false;
        if (!raw.p || !rkp_text_decode(o->mem, c, raw, &v, &bad)) {
            if (!bad)
                return true;
            v = raw;
        }
        if (bad) {
            rkp_errs_add(errs, i, c->text->kind == RKP_TEXT_JSON ? RKP_ROW_SYNTAX : RKP_ROW_QUOTES, (int)s->col, v);
            o->bad_row = true;
            return true;
        }
        return put_value(o, v.p, v.n, raw.n + 2);
    } else {
        uint32_t r = rkp_col_row(c, i);
        if (rkp_col_is_null(c, r))
            return true;
        if (s->kind == SEG_F64) {
            o->at = put_f64(o->at, ((const double *)c->values)[r]);
        } else if (s->kind == SEG_I64) {
            o->at = put_i64(o->at, ((const int64_t *)c->values)[r]);
        } else if (rkp_kind_is_view(c->type.kind)) {
            rkp_str v = rkp_view_str(c, r);
            return put_value(o, v.p, v.n, v.n + 2);
        } else if (o->style.quote_all) {
            *o->at++ = o->style.quote;
            o->at = put_flat(o->at, c, r);
            *o->at++ = o->style.quote;
        } else {
            o->at = put_flat(o->at, c, r);
        }
        return true;
    }
}

// ---- copying --------------------------------------------------------------------------------------------------------

static inline bool copy_bytes(char *to, const char *p, size_t n, char quote, char other)
{
    bool clean = true;
    for (size_t i = 0; i < n; i++) {
        clean &= p[i] != quote && p[i] != other && p[i] != '\r';
        to[i] = p[i];
    }
    return clean;
}

#if defined(__x86_64__)
#include <immintrin.h>

#define K(name) sse2_##name
#define TARGET
static inline bool sse2_copy(char *to, const char *p, size_t n, const char *limit, char quote, char other)
{
    __m128i q = _mm_set1_epi8(quote), o = _mm_set1_epi8(other), cr = _mm_set1_epi8('\r');
    unsigned found = 0;
    if (RKP_UNLIKELY((size_t)(limit - p) < n + 15)) // the end of the text: nothing behind it may be read
        return copy_bytes(to, p, n, quote, other);
    for (size_t i = 0; i < n; i += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
        __m128i hit = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, q), _mm_cmpeq_epi8(v, o)), _mm_cmpeq_epi8(v, cr));
        unsigned m = (unsigned)_mm_movemask_epi8(hit);
        _mm_storeu_si128((__m128i *)(void *)(to + i), v);
        found |= n - i < 16 ? m & ((1u << (n - i)) - 1) : m;
    }
    return !found;
}
#include "data/csv_rows.inc"
#undef K
#undef TARGET

#define K(name) avx512_##name
#define TARGET  __attribute__((target("avx512f,avx512bw,avx512vl,bmi2")))
TARGET static inline bool avx512_copy(char *to, const char *p, size_t n, const char *limit, char quote, char other)
{
    __m512i q = _mm512_set1_epi8(quote), o = _mm512_set1_epi8(other), cr = _mm512_set1_epi8('\r');
    __mmask64 found = 0;
    (void)limit; // masked loads read nothing behind the end
    for (size_t i = 0; i < n; i += 64) {
        __mmask64 in = n - i >= 64 ? ~0ull : (1ull << (n - i)) - 1;
        __m512i v = _mm512_maskz_loadu_epi8(in, p + i);
        _mm512_storeu_si512(to + i, v);
        found |= _mm512_mask_cmpeq_epi8_mask(in, v, q) | _mm512_mask_cmpeq_epi8_mask(in, v, o) |
                 _mm512_mask_cmpeq_epi8_mask(in, v, cr);
    }
    return !found;
}
#include "data/csv_rows.inc"
#undef K
#undef TARGET

static bool print_rows(unsigned loop, struct print *o, const struct seg *segs, uint32_t n, uint32_t rows,
                       rkp_errs *errs)
{
    __builtin_cpu_init();
    if (loop == RKI_CSV_BEST && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("bmi2"))
        return avx512_rows(o, segs, n, rows, errs);
    return sse2_rows(o, segs, n, rows, errs);
}
#else
#define K(name) plain_##name
#define TARGET
static inline bool plain_copy(char *to, const char *p, size_t n, const char *limit, char quote, char other)
{
    (void)limit;
    return copy_bytes(to, p, n, quote, other);
}
#include "data/csv_rows.inc"
#undef K
#undef TARGET

static bool print_rows(unsigned loop, struct print *o, const struct seg *segs, uint32_t n, uint32_t rows,
                       rkp_errs *errs)
{
    (void)loop;
    return plain_rows(o, segs, n, rows, errs);
}
#endif

// ---- segments -------------------------------------------------------------------------------------------------------

static bool copies(const rkp_col *c, const rkp_csv_style *s)
{
    const rkp_text *t = c->text;
    return c->rep == RKP_TEXT && t->kind == RKP_TEXT_CSV && !s->quote_all && (t->quote == s->quote || !t->quote) &&
           t->n_nulls == 1 && t->nulls[0].n == 0;
}

static struct seg seg_of(const rkp_batch *b, uint32_t col, const rkp_csv_style *s)
{
    const rkp_col *c = &b->cols[col];
    struct seg g = { .col = col, .c = c, .sel = c->sel };
    if (c->rep != RKP_TEXT) {
        bool plain = !c->type.len && !s->quote_all;
        g.kind = plain && c->type.kind == RKP_F64 ? SEG_F64 : plain && c->type.kind == RKP_I64 ? SEG_I64 : SEG_FLAT;
        return g;
    }
    g.kind = copies(c, s) ? SEG_RAW : SEG_TEXT;
    g.k = 1;
    g.cr = c->last && c->text->cr;
    g.other = c->text->delim == s->delim ? '\r' : s->delim;
    g.pos = c->pos;
    g.stride = c->stride;
    g.base = c->text->base;
    g.limit = c->text->base + c->text->len;
    return g;
}

// Does column c go on where the segment ends?
static bool follows(const struct seg *g, const struct seg *c, const rkp_csv_style *s)
{
    return g->kind == SEG_RAW && c->kind == SEG_RAW && g->c->text == c->c->text && c->c->text->delim == s->delim &&
           g->sel == c->sel && g->stride == c->stride && g->k < g->stride && c->pos == g->pos + g->k;
}

// Bytes that the segment's fields have now, in all rows.
static size_t bytes_of(const struct seg *g, uint32_t rows, const rkp_csv_style *s)
{
    size_t n = 0;
    if (g->kind == SEG_RAW) {
        for (uint32_t i = 0; i < rows; i++) {
            const uint32_t *p = g->pos + (size_t)(g->sel ? g->sel[i] : i) * g->stride;
            n += p[0] == RKP_NO_TEXT ? 0 : p[g->k] - p[0];
        }
    } else if (g->kind == SEG_TEXT) {
        for (uint32_t i = 0; i < rows; i++)
            n += rkp_col_raw(g->c, i).n + 2;
    } else if (rkp_kind_is_view(g->c->type.kind)) {
        const rkp_view *v = g->c->values;
        for (uint32_t i = 0; i < rows; i++)
            n += (size_t)v[rkp_col_row(g->c, i)].len + 2;
    } else {
        n = (size_t)rows * (RKP_F64_TEXT + (s->quote_all ? 2u : 0u));
    }
    return n;
}

rkp_status rki_csv_rows(unsigned loop, rkp_batch *mem, const rkp_batch *b, const uint32_t *cols, uint32_t n_cols,
                        const rkp_csv_style *style, rkp_str *text, rkp_errs *errs)
{
    struct print o = { .mem = mem, .style = *style };
    struct seg *segs = rkp_batch_alloc(mem, (n_cols ? n_cols : 1) * sizeof *segs);
    uint32_t n = 0;
    size_t bytes = 0;
    *text = (rkp_str){ "", 0 };
    if (!segs)
        return RKP_NOMEM;
    for (uint32_t i = 0; i < n_cols; i++) {
        struct seg g = seg_of(b, cols ? cols[i] : i, style);
        if (n && follows(&segs[n - 1], &g, style)) {
            segs[n - 1].k++;
            segs[n - 1].cr = g.cr;
        } else {
            segs[n++] = g;
        }
    }
    if (!n || !b->rows)
        return RKP_OK;
    for (uint32_t i = 0; i < n; i++)
        bytes += bytes_of(&segs[i], b->rows, style);
    bytes += (size_t)b->rows * (n + 2u);
    if (!move(&o, bytes + bytes / 32 + 256))
        return RKP_NOMEM;
    o.extra = o.cap - bytes;
    if (!print_rows(loop, &o, segs, n, b->rows, errs))
        return RKP_NOMEM;
    *text = (rkp_str){ o.buf, (size_t)(o.at - o.buf) };
    return RKP_OK;
}

rkp_status rkp_csv_rows(rkp_batch *mem, const rkp_batch *b, const uint32_t *cols, uint32_t n_cols,
                        const rkp_csv_style *style, rkp_str *text, rkp_errs *errs)
{
    return rki_csv_rows(RKI_CSV_BEST, mem, b, cols, n_cols, style, text, errs);
}

rkp_status rkp_csv_header(rkp_batch *mem, const rkp_schema *schema, const uint32_t *cols, uint32_t n_cols,
                          const rkp_csv_style *style, rkp_str *text)
{
    struct print o = { .mem = mem, .style = *style };
    if (!move(&o, 256))
        return RKP_NOMEM;
    for (uint32_t i = 0; i < n_cols; i++) {
        rkp_str name = schema->f[cols ? cols[i] : i].name;
        if (!put_value(&o, name.p, name.n, 0) || !room(&o, 2, 0))
            return RKP_NOMEM;
        *o.at++ = style->delim;
        took(&o, 1, 0);
    }
    if (n_cols)
        o.at--;
    if (style->crlf)
        *o.at++ = '\r';
    *o.at++ = '\n';
    *text = (rkp_str){ o.buf, (size_t)(o.at - o.buf) };
    return RKP_OK;
}

rkp_status rkp_col_texts(rkp_batch *mem, const rkp_batch *b, uint32_t c, uint32_t n, rkp_str *out, rkp_errs *errs)
{
    const rkp_col *col = &b->cols[c];
    char *at;
    if (col->rep == RKP_TEXT || rkp_kind_is_view(col->type.kind))
        return rkp_col_strs(mem, b, c, NULL, n, out, errs);
    at = rkp_batch_alloc(mem, (size_t)n * RKP_F64_TEXT + 1);
    if (!at)
        return RKP_NOMEM;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t r = rkp_col_row(col, i);
        char *from = at;
        out[i] = (rkp_str){ NULL, 0 };
        if (rkp_col_is_null(col, r))
            continue;
        at = put_flat(at, col, r);
        out[i] = (rkp_str){ from, (size_t)(at - from) };
    }
    return RKP_OK;
}
