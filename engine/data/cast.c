// cast.c - a dense column as another type.
//
// Numbers go through one of three wide forms, 256 at a time: i64 (bool and timestamps too), u64, f64; so there is one
// loop per source and one per wide form and target, not one per pair.
//
//   from \ to     bool       integers          floats              timestamp     string, bytes, json
//   bool                     0, 1              0.0, 1.0            -             true, false
//   integers      not zero   in range          rounded             microseconds  digits
//   floats        not zero   cut, in range     rounded, in range   cut           the shortest that reads back
//   timestamp     -          microseconds      microseconds                      RFC 3339 (json: quoted)
//   texts         parsed     parsed            parsed              parsed        checked: UTF-8, JSON
//
// json to string or bytes gives the content of a JSON string and the text of anything else; JSON's null is null.
#include "data/text.h"
#include "data/views.h"

#include <math.h>
#include <rkpipe/num.h>

enum { BLOCK = 256, WHAT = 64 };

struct caster {
    rkp_batch *mem;
    const rkp_col *in;
    uint32_t n;
    rkp_errs *errs;
    const uint8_t *valid; // of the result
    uint8_t *own;         // the same, once it differs from the input's
    bool nomem;
};

static void cast_null(struct caster *c, uint32_t row)
{
    size_t bytes = ((size_t)c->n + 7) / 8;

    if (!c->own) {
        c->own = rkp_batch_alloc(c->mem, bytes);
        if (!c->own) {
            c->nomem = true;
            return;
        }
        if (c->valid)
            memcpy(c->own, c->valid, bytes);
        else
            memset(c->own, 0xff, bytes);
        c->valid = c->own;
    }
    rkp_bit_clear(c->own, row);
}

static void cast_error(struct caster *c, uint32_t row, unsigned code, rkp_str text)
{
    rkp_str what = { NULL, 0 };
    size_t n = text.n;
    char *to;

    cast_null(c, row);
    if (!c->errs)
        return;
    if (n > WHAT)
        for (n = WHAT; n > WHAT - 4 && ((unsigned char)text.p[n] & 0xc0) == 0x80; n--)
            ;
    to = n ? rkp_batch_alloc(c->mem, n) : NULL;
    if (to) {
        memcpy(to, text.p, n);
        what = (rkp_str){ to, n };
    } else if (n) {
        c->nomem = true;
    }
    rkp_errs_add(c->errs, row, code, -1, what);
}

static bool is_null(const struct caster *c, uint32_t row)
{
    return rkp_col_is_null(c->in, row);
}

// ---- numbers --------------------------------------------------------------------------------------------------------

enum wide { WIDE_I, WIDE_U, WIDE_F };

typedef union wide_values {
    int64_t i[BLOCK];
    uint64_t u[BLOCK];
    double f[BLOCK];
} wide_values;

#define WIDEN(T, field, W)                                                                                             \
    do {                                                                                                               \
        const T *in_ = (const T *)values + from;                                                                       \
        for (uint32_t k = 0; k < m; k++)                                                                               \
            v->field[k] = (W)in_[k];                                                                                   \
    } while (0)

static enum wide widen(unsigned kind, const void *values, size_t from, uint32_t m, wide_values *v)
{
    switch (kind) {
    case RKP_BOOL:
        for (uint32_t k = 0; k < m; k++)
            v->i[k] = rkp_bit(values, from + k);
        return WIDE_I;
    case RKP_I8:
        WIDEN(int8_t, i, int64_t);
        return WIDE_I;
    case RKP_I16:
        WIDEN(int16_t, i, int64_t);
        return WIDE_I;
    case RKP_I32:
        WIDEN(int32_t, i, int64_t);
        return WIDE_I;
    case RKP_U8:
        WIDEN(uint8_t, i, int64_t);
        return WIDE_I;
    case RKP_U16:
        WIDEN(uint16_t, i, int64_t);
        return WIDE_I;
    case RKP_U32:
        WIDEN(uint32_t, i, int64_t);
        return WIDE_I;
    case RKP_U64:
        WIDEN(uint64_t, u, uint64_t);
        return WIDE_U;
    case RKP_F32:
        WIDEN(float, f, double);
        return WIDE_F;
    case RKP_F64:
        WIDEN(double, f, double);
        return WIDE_F;
    default:
        WIDEN(int64_t, i, int64_t);
        return WIDE_I;
    }
}

// One value of each wide form into a target; false when it does not fit, and *to is then 0.
#define NARROW(T, fits_i, fits_u, fits_f)                                                                              \
    do {                                                                                                               \
        T *out_ = (T *)values + from;                                                                                  \
        for (uint32_t k = 0; k < m; k++) {                                                                             \
            bool ok = w == WIDE_I ? (fits_i) : w == WIDE_U ? (fits_u) : (fits_f);                                      \
                                                                                                                       \
            bad[k] = !ok;                                                                                              \
            any |= !ok;                                                                                                \
            out_[k] = !ok ? (T)0 : w == WIDE_I ? (T)v->i[k] : w == WIDE_U ? (T)v->u[k] : (T)v->f[k];                   \
        }                                                                                                              \
    } while (0)
#define NARROW_INT(T, lo, hi, lo_f, hi_f)                                                                              \
    NARROW(T, v->i[k] >= (lo) && v->i[k] <= (int64_t)(hi), v->u[k] <= (uint64_t)(hi),                                  \
           v->f[k] > (lo_f) && v->f[k] < (hi_f))

static bool narrow(unsigned kind, enum wide w, const wide_values *v, void *values, size_t from, uint32_t m,
                   uint8_t *bad)
{
    bool any = false;

    switch (kind) {
    case RKP_BOOL:
        for (uint32_t k = 0; k < m; k++) {
            bool on = w == WIDE_F ? v->f[k] != 0 : v->i[k] != 0;

            bad[k] = w == WIDE_F && isnan(v->f[k]);
            any |= bad[k];
            if (on && !bad[k])
                rkp_bit_set(values, from + k);
        }
        break;
    case RKP_I8:
        NARROW_INT(int8_t, INT8_MIN, INT8_MAX, -129.0, 128.0);
        break;
    case RKP_I16:
        NARROW_INT(int16_t, INT16_MIN, INT16_MAX, -32769.0, 32768.0);
        break;
    case RKP_I32:
        NARROW_INT(int32_t, INT32_MIN, INT32_MAX, -2147483649.0, 2147483648.0);
        break;
    case RKP_U8:
        NARROW_INT(uint8_t, 0, UINT8_MAX, -1.0, 256.0);
        break;
    case RKP_U16:
        NARROW_INT(uint16_t, 0, UINT16_MAX, -1.0, 65536.0);
        break;
    case RKP_U32:
        NARROW_INT(uint32_t, 0, UINT32_MAX, -1.0, 4294967296.0);
        break;
    case RKP_U64:
        NARROW(uint64_t, v->i[k] >= 0, true, v->f[k] > -1.0 && v->f[k] < 0x1p64);
        break;
    case RKP_F32: // what is finite must stay so
        NARROW(float, true, true, isinf((float)v->f[k]) == isinf(v->f[k]));
        break;
    case RKP_F64:
        NARROW(double, true, true, true);
        break;
    default: // i64, timestamp
        NARROW(int64_t, true, v->u[k] <= INT64_MAX, v->f[k] >= -0x1p63 && v->f[k] < 0x1p63);
        break;
    }
    return any;
}

static void wide_error(struct caster *c, uint32_t row, enum wide w, const wide_values *v, uint32_t k)
{
    char text[RKP_F64_TEXT];
    size_t n = w == WIDE_I   ? rkp_print_i64(text, v->i[k])
               : w == WIDE_U ? rkp_print_u64(text, v->u[k])
                             : rkp_print_f64(text, v->f[k]);

    cast_error(c, row, RKP_ROW_CAST, (rkp_str){ text, n });
}

// `per_row` values a row.
static void numbers(struct caster *c, unsigned to, void *values, uint32_t per_row)
{
    size_t total = (size_t)c->n * per_row;
    uint8_t bad[BLOCK];
    wide_values v;

    for (size_t from = 0; from < total; from += BLOCK) {
        uint32_t m = total - from < BLOCK ? (uint32_t)(total - from) : BLOCK;
        enum wide w = widen(c->in->type.kind, c->in->values, from, m, &v);

        if (!narrow(to, w, &v, values, from, m, bad))
            continue;
        for (uint32_t k = 0; k < m; k++) {
            uint32_t row = (uint32_t)((from + k) / per_row);

            if (bad[k] && !is_null(c, row) && !(c->valid && !rkp_bit(c->valid, row)))
                wide_error(c, row, w, &v, k);
        }
    }
}

// ---- texts ----------------------------------------------------------------------------------------------------------

// The content of a text: of JSON, what a JSON string says; false when that is null or broken, which is then noted.
// What had to be rewritten lies in the room of h, not taken.
static bool text_of(struct caster *c, uint32_t row, rki_heap *h, rkp_str *s, bool *rewritten)
{
    size_t n;
    char *to;

    *s = rkp_view_str(c->in, row);
    *rewritten = false;
    if (c->in->type.kind != RKP_JSON)
        return true;
    while (s->n && strchr(" \t\r\n", s->p[0]) && s->p[0]) {
        s->p++;
        s->n--;
    }
    while (s->n && strchr(" \t\r\n", s->p[s->n - 1]) && s->p[s->n - 1])
        s->n--;
    if (rkp_str_is(*s, "null")) {
        cast_null(c, row);
        return false;
    }
    if (s->n < 2 || s->p[0] != '"')
        return true;
    s->p++;
    s->n -= 2;
    if (!memchr(s->p, '\\', s->n))
        return true;
    to = rki_heap_room(h, s->n);
    if (!to) {
        c->nomem = true;
        cast_null(c, row);
        return false;
    }
    n = rki_json_unescape(to, s->p, s->n);
    if (n == RKI_NO_TEXT_SIZE) {
        cast_error(c, row, RKP_ROW_SYNTAX, *s);
        return false;
    }
    *s = (rkp_str){ to, n };
    *rewritten = true;
    return true;
}

static void texts_to_values(struct caster *c, rkp_type to, void *values)
{
    size_t one = to.kind == RKP_BOOL ? 1 : rkp_kind_width(to.kind), width = one * (to.len ? to.len : 1);
    rki_heap h = { .mem = c->mem };

    for (uint32_t row = 0; row < c->n; row++) {
        uint8_t flag = 0;
        void *at = to.kind == RKP_BOOL ? &flag : (void *)((char *)values + row * width);
        bool rewritten;
        rkp_str s;

        if (!is_null(c, row) && text_of(c, row, &h, &s, &rewritten)) {
            if (to.len ? rki_array_parse(to.kind, to.len, s.p, s.n, at) : rki_value_parse(to.kind, s.p, s.n, at)) {
                if (flag)
                    rkp_bit_set(values, row);
                continue;
            }
            cast_error(c, row, RKP_ROW_CAST, s);
        }
        memset(at, 0, width);
    }
}

// The views of texts that stay where they are, with what does not fit the new type taken out.
static void texts_to_texts(struct caster *c, rkp_type to, rkp_view *views, rki_heap *h)
{
    unsigned from = c->in->type.kind;

    for (uint32_t row = 0; row < c->n; row++) {
        const rkp_view *old = (const rkp_view *)c->in->values + row;
        unsigned code = 0;
        bool rewritten;
        rkp_str s;

        views[row] = (rkp_view){ 0 };
        if (is_null(c, row) || !text_of(c, row, h, &s, &rewritten))
            continue;
        if (to.kind != RKP_BYTES && from == RKP_BYTES && !rkp_text_is_utf8(s.p, s.n))
            code = RKP_ROW_UTF8;
        else if (to.kind == RKP_JSON && !rki_json_valid(s.p, s.n))
            code = RKP_ROW_CAST;
        if (code) {
            cast_error(c, row, code, s);
            continue;
        }
        if (rewritten)
            views[row] = rki_heap_take(h, s.p, s.n);
        else if (s.n <= 12)
            views[row] = rki_view_short(s.p, s.n);
        else // the same text, or a part of it
            views[row] =
                rki_view_long(s.p, s.n, (uint32_t)old->u.ref.buf, (uint32_t)(s.p - c->in->bufs[old->u.ref.buf]));
    }
}

// A value as text in the room of h; false when JSON cannot say it.
static bool print_one(unsigned kind, const void *value, bool quote, bool json, char *to, size_t *n)
{
    if (kind == RKP_TIMESTAMP && quote) {
        size_t inner = rki_value_print(to + 1, kind, value);

        to[0] = to[inner + 1] = '"';
        *n = inner + 2;
        return true;
    }
    *n = rki_value_print(to, kind, value);
    return !(json && rkp_kind_is_float(kind)) || rki_json_number(to, *n);
}

static void values_to_texts(struct caster *c, rkp_type to, rkp_view *views, rki_heap *h)
{
    rkp_type t = c->in->type;
    size_t one = rkp_kind_width(t.kind), most = RKI_VALUE_TEXT + 3;
    bool json = to.kind == RKP_JSON;

    for (uint32_t row = 0; row < c->n; row++) {
        const char *at = (const char *)c->in->values + (size_t)row * one * (t.len ? t.len : 1);
        char *p, *from;
        bool ok = true;
        uint8_t flag;
        size_t n;

        views[row] = (rkp_view){ 0 };
        if (is_null(c, row))
            continue;
        from = p = rki_heap_room(h, most * (t.len ? t.len : 1) + 2);
        if (!p) {
            c->nomem = true;
            return;
        }
        if (t.kind == RKP_BOOL) {
            flag = rkp_bit(c->in->values, row);
            at = (const char *)&flag;
        }
        if (t.len) {
            *p++ = '[';
            for (uint32_t i = 0; i < t.len; i++, at += one) {
                if (i)
                    *p++ = ',';
                ok &= print_one(t.kind, at, true, json, p, &n);
                p += n;
            }
            *p++ = ']';
        } else {
            ok = print_one(t.kind, at, json, json, p, &n);
            p += n;
        }
        if (ok)
            views[row] = rki_heap_take(h, from, (size_t)(p - from));
        else
            cast_error(c, row, RKP_ROW_CAST, (rkp_str){ from, (size_t)(p - from) });
    }
}

// ---- the cast -------------------------------------------------------------------------------------------------------

static bool castable(rkp_type from, rkp_type to)
{
    if (rkp_kind_is_view(from.kind) || rkp_kind_is_view(to.kind))
        return true;
    if (from.len != to.len)
        return false;
    return !((from.kind == RKP_BOOL && to.kind == RKP_TIMESTAMP) ||
             (from.kind == RKP_TIMESTAMP && to.kind == RKP_BOOL));
}

rkp_status rkp_col_cast(rkp_batch *mem, const rkp_col *in, uint32_t n, rkp_type to, rkp_col *out, rkp_errs *errs)
{
    struct caster c = { .mem = mem, .in = in, .n = n, .errs = errs, .valid = in->valid };
    size_t width = rkp_kind_width(to.kind) * (to.len ? to.len : 1), bytes = width ? width * n : ((size_t)n + 7) / 8;
    bool from_views = rkp_kind_is_view(in->type.kind), views = rkp_kind_is_view(to.kind);
    rki_heap h = { .mem = mem };
    rkp_col col;
    void *values;

    if (in->rep != RKP_FLAT)
        return RKP_INTERNAL;
    if (!castable(in->type, to))
        return RKP_UNSUPPORTED;
    col = *in;
    col.type = to;
    col.sel = NULL;
    col.phys_rows = n;
    if (in->type.kind == to.kind && in->type.len == to.len) {
        *out = col;
        return RKP_OK;
    }
    if (in->type.kind == RKP_STRING && to.kind == RKP_BYTES) {
        *out = col;
        return RKP_OK;
    }
    values = rkp_batch_alloc(mem, bytes);
    if (!values)
        return RKP_NOMEM;
    if (!width)
        memset(values, 0, bytes);
    if (from_views && views) {
        for (uint32_t i = 0; i < in->n_bufs; i++)
            if (!rki_heap_foreign(&h, in->bufs[i], in->buf_sizes[i]))
                return RKP_NOMEM;
        texts_to_texts(&c, to, values, &h);
    } else if (from_views) {
        texts_to_values(&c, to, values);
    } else if (views) {
        values_to_texts(&c, to, values, &h);
    } else {
        numbers(&c, to.kind, values, to.len ? to.len : 1);
    }
    col = (rkp_col){ .type = to, .rep = RKP_FLAT, .valid = c.valid, .values = values, .phys_rows = n };
    if (views)
        rki_heap_done(&h, &col);
    if (c.nomem || (errs && errs->failed))
        return RKP_NOMEM;
    *out = col;
    return RKP_OK;
}
