// load.c - columns of a batch into registers.
//
// FLAT columns of eight bytes a value that are not selected from are used where they lie; the others are gathered.
// TEXT columns are parsed here when the text is plain: a short number, a field without quotes, a JSON string without
// escapes.  The rows that are not go to rkp_col_flat and rkp_col_strs in one call, so that what a text means is decided
// in one place only: nothing here says that a text is wrong.
#include "expr/functions.h"
#include "expr/kernels.h"

#include "data/parse.h"
#include <rkpipe/num.h>

enum { WHAT_MAX = 64 };

// The rows of a load: physical indexes of the column.
typedef struct where {
    const uint32_t *at; // NULL: base + i
    uint32_t base, n;
} where;

static bool find(rki_eval *x, const rkp_col *c, const rki_rows *r, where *w)
{
    uint32_t *at;

    *w = (where){ .at = r->at, .base = r->base, .n = r->n };
    if (!c->sel)
        return true;
    if (!r->at) {
        w->at = c->sel + r->base;
        return true;
    }
    at = rki_take(x, (size_t)r->n * sizeof *at);
    if (!at)
        return false;
    for (uint32_t i = 0; i < r->n; i++)
        at[i] = c->sel[r->at[i]];
    w->at = at;
    return true;
}

static inline uint32_t phys(const where *w, uint32_t i)
{
    return w->at ? w->at[i] : w->base + i;
}

// ---- flat -----------------------------------------------------------------------------------------------------------

static bool flat_states(rki_eval *x, const rkp_col *c, const where *w, rkp_vec *out)
{
    uint8_t *st, any = 0;

    out->st = NULL;
    if (!c->valid)
        return true;
    st = rki_take(x, w->n);
    if (!st)
        return false;
    for (uint32_t i = 0; i < w->n; i++) {
        st[i] = !rkp_bit(c->valid, phys(w, i));
        any |= st[i];
    }
    if (any)
        out->st = st;
    return true;
}

#define GATHER(T, U)                                                                                                   \
    do {                                                                                                               \
        const T *from = c->values;                                                                                     \
        U *to = out->v;                                                                                                \
        if (w.at)                                                                                                      \
            for (uint32_t i = 0; i < w.n; i++)                                                                         \
                to[i] = (U)from[w.at[i]];                                                                              \
        else                                                                                                           \
            for (uint32_t i = 0; i < w.n; i++)                                                                         \
                to[i] = (U)from[w.base + i];                                                                           \
    } while (0)

static bool load_flat(rki_eval *x, const rkp_col *c, const rki_rows *r, rkp_vec *out)
{
    where w;

    if (!find(x, c, r, &w) || !flat_states(x, c, &w, out))
        return false;
    out->step = 1;
    if (!w.at && rkp_kind_width(c->type.kind) == 8 && !rkp_kind_is_view(c->type.kind)) {
        out->v = (char *)(uintptr_t)c->values + (size_t)w.base * 8;
        return true;
    }
    if (!out->v)
        out->v = rki_take(x, w.n * rki_width(out->kind));
    if (!out->v)
        return false;
    switch (c->type.kind) {
    case RKP_BOOL:
        for (uint32_t i = 0; i < w.n; i++)
            ((uint8_t *)out->v)[i] = rkp_bit(c->values, phys(&w, i));
        break;
    case RKP_I8:
        GATHER(int8_t, int64_t);
        break;
    case RKP_I16:
        GATHER(int16_t, int64_t);
        break;
    case RKP_I32:
        GATHER(int32_t, int64_t);
        break;
    case RKP_U8:
        GATHER(uint8_t, int64_t);
        break;
    case RKP_U16:
        GATHER(uint16_t, int64_t);
        break;
    case RKP_U32:
        GATHER(uint32_t, int64_t);
        break;
    case RKP_F32:
        GATHER(float, double);
        break;
    case RKP_F64:
    case RKP_I64:
    case RKP_U64:
    case RKP_TIMESTAMP:
        GATHER(uint64_t, uint64_t);
        break;
    default:
        for (uint32_t i = 0; i < w.n; i++)
            ((rkp_str *)out->v)[i] = out->st && out->st[i] ? (rkp_str){ "", 0 } : rkp_view_str(c, phys(&w, i));
        break;
    }
    return true;
}

// ---- text -----------------------------------------------------------------------------------------------------------

// The rows that are not plain, to be asked for elsewhere.
typedef struct later {
    uint32_t *row; // logical
    uint32_t *at;  // in the register
    uint32_t n;
} later;

static void put_off(later *l, const rki_rows *r, uint32_t i)
{
    l->row[l->n] = rki_row(r, i);
    l->at[l->n++] = i;
}

// The error that was listed for row k of those put off, or NULL.
static const rkp_err *err_of(const rkp_errs *e, uint32_t row, uint32_t *seen)
{
    while (*seen < e->n && e->v[*seen].row != row && *seen + 1 < e->n && e->v[*seen + 1].row == row)
        ++*seen;
    return *seen < e->n && e->v[*seen].row == row ? &e->v[*seen] : NULL;
}

static void settle(rki_eval *x, const rki_rows *r, uint32_t i, bool null, const rkp_err *e, int col, rkp_vec *out)
{
    rkp_str what;

    if (!e) {
        out->st[i] = null;
        return;
    }
    // What rkp_col_flat noted lies in scratch memory; a filter has no other, but the text itself stays.
    what = x->mem ? e->what : rkp_col_raw(&x->b->cols[col], rki_row(r, i));
    if (!x->mem && what.n > WHAT_MAX)
        for (what.n = WHAT_MAX; what.n > WHAT_MAX - 4 && ((unsigned char)what.p[what.n] & 0xc0) == 0x80; what.n--)
            ;
    rki_row_bad(x, r, i, out, e->code, col, what);
}

static bool ask_values(rki_eval *x, uint32_t col, const rki_rows *r, const later *l, rkp_vec *out)
{
    rkp_batch *mem = rki_scratch(x);
    rkp_errs errs = { 0 };
    rkp_col c = { 0 };
    rki_rows dense = { .n = l->n };
    rkp_vec v = { .kind = out->kind };
    uint32_t seen = 0;
    bool ok = mem && rkp_col_flat(mem, x->b, col, l->row, l->n, &c, &errs) == RKP_OK && !errs.failed &&
              load_flat(x, &c, &dense, &v);

    for (uint32_t k = 0; ok && k < l->n; k++) {
        uint32_t i = l->at[k];
        bool null = rkp_col_is_null(&c, k);
        const rkp_err *e = null ? err_of(&errs, l->row[k], &seen) : NULL;

        if (rki_width(out->kind) == 1)
            ((uint8_t *)out->v)[i] = ((const uint8_t *)v.v)[k];
        else
            ((uint64_t *)out->v)[i] = ((const uint64_t *)v.v)[k];
        settle(x, r, i, null, e, (int)col, out);
    }
    rkp_errs_fini(&errs);
    return ok;
}

static bool ask_strs(rki_eval *x, uint32_t col, const rki_rows *r, const later *l, rkp_vec *out)
{
    rkp_batch *mem = rki_scratch(x);
    rkp_errs errs = { 0 };
    rkp_str *s = rki_take(x, (size_t)l->n * sizeof *s);
    uint32_t seen = 0;
    bool ok = mem && s && rkp_col_strs(mem, x->b, col, l->row, l->n, s, &errs) == RKP_OK && !errs.failed;

    for (uint32_t k = 0; ok && k < l->n; k++) {
        uint32_t i = l->at[k];
        const rkp_err *e = s[k].p ? NULL : err_of(&errs, l->row[k], &seen);

        ((rkp_str *)out->v)[i] = s[k].p ? s[k] : (rkp_str){ "", 0 };
        settle(x, r, i, !s[k].p, e, (int)col, out);
    }
    rkp_errs_fini(&errs);
    return ok;
}

// What must be known of a chunk's text to read a field of it.
typedef struct reader {
    const char *base, *wide_end; // RKI_PARSE_READS bytes may be read from below wide_end
    const uint32_t *pos;
    uint32_t stride;
    bool csv, json, cut_cr;
    char quote;      // 0: none
    bool only_empty; // an empty field is null, and no other is
    bool check_utf8; // texts that are not ASCII are asked for
    const rkp_text *text;
} reader;

static reader reader_of(const rkp_col *c)
{
    const rkp_text *t = c->text;
    reader d = { .base = t->base, .pos = c->pos, .stride = c->stride, .text = t };

    d.wide_end = t->len >= RKI_PARSE_READS ? t->base + t->len - RKI_PARSE_READS : t->base - 1;
    d.csv = t->kind == RKP_TEXT_CSV;
    d.json = t->kind == RKP_TEXT_JSON;
    d.quote = d.csv ? t->quote : 0;
    d.cut_cr = d.csv && c->last && t->cr;
    d.only_empty = d.csv && t->n_nulls == 1 && t->nulls[0].n == 0;
    d.check_utf8 = c->type.kind == RKP_STRING && !t->utf8;
    return d;
}

// false: the row is absent.
static inline bool field(const reader *d, uint32_t row, const char **p, uint32_t *n)
{
    const uint32_t *pos = d->pos + (size_t)row * d->stride;
    uint32_t from = pos[0] + 1;

    if (pos[0] == RKP_NO_TEXT)
        return false;
    *p = d->base + from;
    *n = pos[1] - from;
    if (d->cut_cr && *n && (*p)[*n - 1] == '\r')
        --*n;
    return true;
}

static bool means_null(const reader *d, const char *p, uint32_t n)
{
    if (!d->csv)
        return d->json && n == 4 && memcmp(p, "null", 4) == 0;
    if (d->only_empty)
        return n == 0;
    for (uint32_t i = 0; i < d->text->n_nulls; i++)
        if (d->text->nulls[i].n == n && (n == 0 || memcmp(d->text->nulls[i].p, p, n) == 0))
            return true;
    return false;
}

static inline bool number_starts(char ch)
{
    return (unsigned)(ch - '0') <= 9 || ch == '-';
}

// 2024-01-31T12:00:00Z, as programs write it; the day is looked up only when it changes.
typedef struct days {
    char text[10];
    bool known;
    int64_t us;
} days;

static inline bool two(const char *p, unsigned below, unsigned *v)
{
    unsigned a = (unsigned)(p[0] - '0'), b = (unsigned)(p[1] - '0');

    *v = a * 10 + b;
    return a <= 9 && b <= 9 && *v < below;
}

static inline bool short_time(const char *p, uint32_t n, days *d, int64_t *out)
{
    unsigned h, m, s;

    if (n != 20 || p[10] != 'T' || p[13] != ':' || p[16] != ':' || p[19] != 'Z' || !two(p + 11, 24, &h) ||
        !two(p + 14, 60, &m) || !two(p + 17, 60, &s))
        return false;
    if (!d->known || memcmp(d->text, p, sizeof d->text) != 0) {
        d->known = false;
        if (!rkp_parse_timestamp(p, 16, &d->us))
            return false;
        d->us -= (int64_t)(h * 3600 + m * 60) * 1000000;
        memcpy(d->text, p, sizeof d->text);
        d->known = true;
    }
    *out = d->us + (int64_t)(h * 3600 + m * 60 + s) * 1000000;
    return true;
}

static inline bool short_int(const reader *d, const char *p, uint32_t n, int64_t lo, int64_t hi, int64_t *to)
{
    int64_t v;

    if (n == 0 || !number_starts(*p) || !((p <= d->wide_end && rki_short_i64(p, n, &v)) || rkp_parse_i64(p, n, &v)) ||
        v < lo || v > hi)
        return false;
    *to = v;
    return true;
}

static inline bool plain_value(const reader *d, unsigned kind, const char *p, uint32_t n, void *to, days *day)
{
    const char *t = p;
    float f;

    switch (kind) {
    case RKP_BOOL:
        *(uint8_t *)to = n == 4;
        return (n == 4 && memcmp(p, "true", 4) == 0) || (n == 5 && memcmp(p, "false", 5) == 0);
    case RKP_F64:
        if (n == 0 || !number_starts(*p))
            return false;
        return (p <= d->wide_end && rki_short_f64(p, n, to)) || rkp_parse_f64(p, n, to);
    case RKP_F32:
        if (n == 0 || !number_starts(*p) || p > d->wide_end || !rki_short_f32(p, n, &f))
            return false;
        *(double *)to = (double)f;
        return true;
    case RKP_I8:
        return short_int(d, p, n, INT8_MIN, INT8_MAX, to);
    case RKP_I16:
        return short_int(d, p, n, INT16_MIN, INT16_MAX, to);
    case RKP_I32:
        return short_int(d, p, n, INT32_MIN, INT32_MAX, to);
    case RKP_U8:
        return short_int(d, p, n, 0, UINT8_MAX, to);
    case RKP_U16:
        return short_int(d, p, n, 0, UINT16_MAX, to);
    case RKP_U32:
        return short_int(d, p, n, 0, UINT32_MAX, to);
    case RKP_U64:
        return short_int(d, p, n, 0, INT64_MAX, to);
    case RKP_I64:
        return short_int(d, p, n, INT64_MIN, INT64_MAX, to);
    case RKP_TIMESTAMP:
        if (n >= 2 && d->json) {
            t = p + 1;
            n -= 2;
        }
        return (t == p || (*p == '"' && t[n] == '"')) && short_time(t, n, day, to);
    default:
        return false;
    }
}

static bool later_new(rki_eval *x, uint32_t n, later *l)
{
    l->row = rki_take(x, (size_t)n * sizeof *l->row);
    l->at = rki_take(x, (size_t)n * sizeof *l->at);
    l->n = 0;
    return l->row && l->at;
}

static bool load_values(rki_eval *x, uint32_t col, const rki_rows *r, rkp_vec *out)
{
    const rkp_col *c = &x->b->cols[col];
    reader d = reader_of(c);
    bool checks = d.csv && c->text->n_nulls && !d.only_empty;
    unsigned kind = c->type.kind;
    size_t width = rki_width(out->kind);
    days day = { .known = false };
    where w;
    later l;
    bool any = false;

    out->step = 1;
    if (!out->v)
        out->v = rki_take(x, r->n * width);
    out->st = rki_take(x, r->n);
    if (!out->v || !out->st || !find(x, c, r, &w) || !later_new(x, r->n, &l))
        return false;
    memset(out->st, 0, r->n);
    for (uint32_t i = 0; i < r->n; i++) {
        char *to = (char *)out->v + i * width;
        const char *p;
        uint32_t n;
        bool there = field(&d, phys(&w, i), &p, &n);

        if (RKP_LIKELY(there && plain_value(&d, kind, p, n, to, &day)) && !(checks && means_null(&d, p, n)))
            continue;
        memset(to, 0, width);
        if (there && !((d.only_empty || d.json) && means_null(&d, p, n))) {
            put_off(&l, r, i);
        } else {
            out->st[i] = 1;
            any = true;
        }
    }
    if (l.n && !ask_values(x, col, r, &l, out))
        return false;
    if (!any && !(l.n && rki_k_any_u8(out->st, r->n)))
        out->st = NULL;
    return true;
}

static bool ascii(const char *p, uint32_t n)
{
    uint64_t any = 0;

    for (; n >= 8; p += 8, n -= 8)
        any |= rki_load8(p);
    for (; n; p++, n--)
        any |= (uint64_t)(unsigned char)*p;
    return (any & 0x8080808080808080u) == 0;
}

// The text of a plain field: 1, null: -1, something to ask for: 0.
static inline int plain_text(const reader *d, unsigned kind, const char *p, uint32_t n, rkp_str *out)
{
    if (d->check_utf8 && !ascii(p, n))
        return 0;
    if (d->json) {
        if (means_null(d, p, n))
            return -1;
        if (kind != RKP_STRING || n < 2 || *p != '"' || memchr(p + 1, '\\', n - 2))
            return 0;
        *out = (rkp_str){ p + 1, n - 2 };
        return 1;
    }
    if (n && d->quote && *p == d->quote)
        return 0;
    if (d->csv && (d->only_empty ? n == 0 : means_null(d, p, n)))
        return -1;
    if (kind == RKP_JSON) // is checked to be JSON
        return 0;
    *out = (rkp_str){ p, n };
    return 1;
}

static bool load_strs(rki_eval *x, uint32_t col, const rki_rows *r, rkp_vec *out)
{
    const rkp_col *c = &x->b->cols[col];
    reader d = reader_of(c);
    rkp_str *v;
    where w;
    later l;
    bool any = false;

    out->step = 1;
    if (!out->v)
        out->v = rki_take(x, r->n * sizeof *v);
    out->st = rki_take(x, r->n);
    v = out->v;
    if (!v || !out->st || !find(x, c, r, &w) || !later_new(x, r->n, &l))
        return false;
    memset(out->st, 0, r->n);
    for (uint32_t i = 0; i < r->n; i++) {
        const char *p;
        uint32_t n;
        int is = field(&d, phys(&w, i), &p, &n) ? plain_text(&d, c->type.kind, p, n, &v[i]) : -1;

        if (RKP_LIKELY(is > 0))
            continue;
        v[i] = (rkp_str){ "", 0 };
        if (is < 0) {
            out->st[i] = 1;
            any = true;
        } else {
            put_off(&l, r, i);
        }
    }
    if (l.n && !ask_strs(x, col, r, &l, out))
        return false;
    if (!any && !(l.n && rki_k_any_u8(out->st, r->n)))
        out->st = NULL;
    return true;
}

bool rki_load(rki_eval *x, uint32_t col, const rki_rows *r, rkp_vec *out)
{
    const rkp_col *c = &x->b->cols[col];
    unsigned kind = c->type.kind;

    out->kind = (uint8_t)(kind == RKP_U64           ? RKP_U64
                          : rkp_kind_is_int(kind)   ? RKP_I64
                          : rkp_kind_is_float(kind) ? RKP_F64
                                                    : kind);
    if (c->rep == RKP_FLAT)
        return load_flat(x, c, r, out);
    return kind >= RKP_STRING ? load_strs(x, col, r, out) : load_values(x, col, r, out);
}

// ---- column == 'text' -----------------------------------------------------------------------------------------------

static inline bool same(const char *p, rkp_str lit)
{
    return memcmp(p, lit.p, lit.n) == 0;
}

// One row: 1 or 0, -1 for null, -2 to be asked for.
static inline int equals(const reader *d, const char *p, uint32_t n, rkp_str lit)
{
    if (d->check_utf8 && !ascii(p, n))
        return -2;
    if (d->json) {
        if (means_null(d, p, n))
            return -1;
        // Escapes only make a text longer, so a shorter one, or one that is the same, is known.
        if (n < 2 || *p != '"')
            return -2;
        if (n - 2 == lit.n && same(p + 1, lit))
            return 1;
        return n - 2 > lit.n && memchr(p + 1, '\\', n - 2) ? -2 : 0;
    }
    if (d->quote && n && *p == d->quote)
        return -2;
    if (d->csv && (d->only_empty ? n == 0 : means_null(d, p, n)))
        return -1;
    return n == lit.n && same(p, lit);
}

bool rki_load_eq(rki_eval *x, uint32_t col, const rki_rows *r, rkp_str lit, rkp_vec *out, bool *done)
{
    const rkp_col *c = &x->b->cols[col];
    reader d;
    uint8_t *v;
    where w;
    later l;
    bool any = false;

    *done = c->rep == RKP_TEXT;
    if (!*done)
        return true;
    // A literal with a quote or backslash would not be itself in JSON.
    if (c->text->kind == RKP_TEXT_JSON && lit.n && (memchr(lit.p, '"', lit.n) || memchr(lit.p, '\\', lit.n))) {
        *done = false;
        return true;
    }
    d = reader_of(c);
    *out = (rkp_vec){ .kind = RKP_BOOL, .step = 1, .v = out->v ? out->v : rki_take(x, r->n), .st = rki_take(x, r->n) };
    v = out->v;
    if (!v || !out->st || !find(x, c, r, &w) || !later_new(x, r->n, &l))
        return false;
    memset(out->st, 0, r->n);
    for (uint32_t i = 0; i < r->n; i++) {
        const char *p;
        uint32_t n;
        int is = field(&d, phys(&w, i), &p, &n) ? equals(&d, p, n, lit) : -1;

        v[i] = is == 1;
        if (is == -1) {
            out->st[i] = 1;
            any = true;
        } else if (is == -2) {
            put_off(&l, r, i);
        }
    }
    if (l.n) {
        rkp_vec s = { .kind = RKP_STRING, .step = 1, .v = rki_take(x, r->n * sizeof(rkp_str)), .st = out->st };

        if (!s.v || !ask_strs(x, col, r, &l, &s))
            return false;
        for (uint32_t k = 0; k < l.n; k++)
            v[l.at[k]] = rkp_str_eq(((const rkp_str *)s.v)[l.at[k]], lit);
        any |= rki_k_any_u8(out->st, r->n);
    }
    if (!any)
        out->st = NULL;
    return true;
}
