// load.c - columns of a batch into registers.
//
// FLAT columns of eight bytes a value that are not selected from are used where they lie; the others are gathered.
// TEXT columns are parsed here when the text is plain: a short number, a field without quotes, a JSON string without
// escapes.  The rows that are not go to rkp_col_flat and rkp_col_strs in one call, so that what a text means is decided
// in one place only: nothing here says that a text is wrong.
#include "expr/functions.h"
#include "expr/kernels.h"

#include "data/floats.h"
#include "data/ints.h"
#include "data/parse.h"
#include <rkpipe/num.h>

#define OUT_OF_WAY static __attribute__((noinline))
#define ALWAYS     static inline __attribute__((always_inline))

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
    const char *base;
    int64_t reach; // fields that begin here or before may be read RKI_PARSE_READS bytes far
    bool csv, json;
    char quote;      // 0: none
    bool only_empty; // an empty field is null, and no other is
    bool checks;     // a field that reads like a value may be null
    bool check_utf8; // texts that are not ASCII are asked for
    const rkp_text *text;
} reader;

#define ABSENT UINT32_MAX // the size of a field that is not there

static reader reader_of(const rkp_col *c)
{
    const rkp_text *t = c->text;
    reader d = { .base = t->base, .reach = (int64_t)t->len - RKI_PARSE_READS, .text = t };

    d.csv = t->kind == RKP_TEXT_CSV;
    d.json = t->kind == RKP_TEXT_JSON;
    d.quote = d.csv ? t->quote : 0;
    d.only_empty = d.csv && t->n_nulls == 1 && t->nulls[0].n == 0;
    d.checks = d.csv && t->n_nulls && !d.only_empty;
    d.check_utf8 = c->type.kind == RKP_STRING && !t->utf8;
    return d;
}

// Where the fields are and how long.
static void locate(const rkp_col *c, const where *w, uint32_t *at, uint32_t *size)
{
    const uint32_t *pos = c->pos;
    size_t stride = c->stride;

    if (w->at) {
        for (uint32_t i = 0; i < w->n; i++) {
            const uint32_t *q = pos + w->at[i] * stride;

            at[i] = q[0] + 1;
            size[i] = q[0] == RKP_NO_TEXT ? ABSENT : q[1] - q[0] - 1;
        }
    } else {
        const uint32_t *q = pos + w->base * stride;

        for (uint32_t i = 0; i < w->n; i++, q += stride) {
            at[i] = q[0] + 1;
            size[i] = q[0] == RKP_NO_TEXT ? ABSENT : q[1] - q[0] - 1;
        }
    }
    if (c->last && c->text->cr && c->text->kind == RKP_TEXT_CSV)
        for (uint32_t i = 0; i < w->n; i++)
            if (size[i] - 1 < ABSENT - 1 && c->text->base[at[i] + size[i] - 1] == '\r')
                size[i]--;
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

// 2024-01-31T12:00:00Z, as programs write it; the day is looked up only when it changes.  The text is three words:
//
//   2024-01-  31T12:00  :00Z
//
// A digit's byte is 0x30 to 0x39: its upper half is 3, and still is when 6 has been added.
typedef struct days {
    uint64_t date, day; // the first word, and the part of the second that belongs to it
    int64_t us;
} days;

ALWAYS bool short_time(const char *p, uint32_t n, days *d, int64_t *out)
{
    const uint64_t halves = 0xf0f000f0f0, digits = 0x3030003030;
    uint64_t date, rest, hm;
    uint32_t s;

    if (n != 20)
        return false;
    date = rki_load8(p);
    rest = rki_load8(p + 8);
    s = rki_load4(p + 16);
    hm = rest >> 24; // 12:00
    if ((hm & halves) != digits || ((hm + 0x0606000606) & halves) != digits || (hm >> 16 & 0xff) != ':' ||
        (s & 0xfff0f0ff) != 0x5a30303a || ((s + 0x060600) & 0xf0f000) != 0x303000)
        return false;
    hm = (hm & 15) * 600 + (hm >> 8 & 15) * 60 + (hm >> 24 & 15) * 10 + (hm >> 32 & 15);
    s = (s >> 8 & 15) * 10 + (s >> 16 & 15);
    if (RKP_UNLIKELY(date != d->date || (rest & 0xffffff) != d->day)) {
        d->date = 0;
        if (p[10] != 'T' || !rkp_parse_timestamp(p, 16, &d->us))
            return false;
        d->us -= (int64_t)hm * 60000000;
        d->date = date;
        d->day = rest & 0xffffff;
    }
    // 24:00 and the minute 60 are not for here, and a wrong day has no entry.
    if (hm >= 1440 || (p[14] - '0') > 5 || s > 59)
        return false;
    *out = d->us + (int64_t)hm * 60000000 + (int64_t)s * 1000000;
    return true;
}

ALWAYS bool short_int(bool wide, const char *p, uint32_t n, int64_t lo, int64_t hi, int64_t *to)
{
    int64_t v;

    if (n == 0 || !number_starts(*p) || !((wide && rki_short_i64(p, n, &v)) || rkp_parse_i64(p, n, &v)) || v < lo ||
        v > hi)
        return false;
    *to = v;
    return true;
}

// wide: RKI_PARSE_READS bytes may be read.
ALWAYS bool plain_value(const reader *d, bool wide, unsigned kind, const char *p, uint32_t n, void *to, days *day)
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
        return (wide && rki_short_f64(p, n, to)) || rkp_parse_f64(p, n, to);
    case RKP_F32:
        if (n == 0 || !number_starts(*p) || !wide || !rki_short_f32(p, n, &f))
            return false;
        *(double *)to = (double)f;
        return true;
    case RKP_I8:
        return short_int(wide, p, n, INT8_MIN, INT8_MAX, to);
    case RKP_I16:
        return short_int(wide, p, n, INT16_MIN, INT16_MAX, to);
    case RKP_I32:
        return short_int(wide, p, n, INT32_MIN, INT32_MAX, to);
    case RKP_U8:
        return short_int(wide, p, n, 0, UINT8_MAX, to);
    case RKP_U16:
        return short_int(wide, p, n, 0, UINT16_MAX, to);
    case RKP_U32:
        return short_int(wide, p, n, 0, UINT32_MAX, to);
    case RKP_U64:
        return short_int(wide, p, n, 0, INT64_MAX, to);
    case RKP_I64:
        return short_int(wide, p, n, INT64_MIN, INT64_MAX, to);
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

// What a loop over texts works on.
typedef struct job {
    reader d;
    uint32_t *at, *size;
    later later;
    const rki_rows *r;
    rkp_vec *out;
    bool nulls; // was there any
} job;

static bool job_new(rki_eval *x, uint32_t col, const rki_rows *r, rkp_vec *out, job *j)
{
    const rkp_col *c = &x->b->cols[col];
    where w;

    *j = (job){ .d = reader_of(c), .r = r, .out = out };
    out->step = 1;
    if (!out->v)
        out->v = rki_take(x, r->n * rki_width(out->kind));
    out->st = rki_take(x, r->n);
    j->at = rki_take(x, r->n * sizeof *j->at);
    j->size = rki_take(x, r->n * sizeof *j->size);
    if (!out->v || !out->st || !j->at || !j->size || !find(x, c, r, &w) || !later_new(x, r->n, &j->later))
        return false;
    memset(out->st, 0, r->n);
    locate(c, &w, j->at, j->size);
    return true;
}

static void job_done(const job *j)
{
    if (!j->nulls && !(j->later.n && rki_k_any_u8(j->out->st, j->r->n)))
        j->out->st = NULL;
}

// Field i has no plain value: it is null, or somebody else says what it is.
OUT_OF_WAY void not_plain(job *j, uint32_t i, size_t width)
{
    uint32_t n = j->size[i];

    memset((char *)j->out->v + i * width, 0, width);
    if (n != ABSENT && !((j->d.only_empty || j->d.json) && means_null(&j->d, j->d.base + j->at[i], n))) {
        put_off(&j->later, j->r, i);
    } else {
        j->out->st[i] = 1;
        j->nulls = true;
    }
}

// One loop for every kind: `kind` is a constant where this is called.
ALWAYS void read_values(job *j, unsigned kind, size_t width)
{
    const reader d = j->d;
    const uint32_t *at = j->at, *size = j->size;
    days day = { .date = 0 };
    char *to = j->out->v;

    for (uint32_t i = 0; i < j->r->n; i++, to += width) {
        const char *p = d.base + at[i];
        uint32_t n = size[i];

        if (RKP_UNLIKELY(n == ABSENT || !plain_value(&d, at[i] <= d.reach, kind, p, n, to, &day) ||
                         (d.checks && means_null(&d, p, n))))
            not_plain(j, i, width);
    }
}

// Numbers go many at a time; the long ones and what is none are looked at again.
ALWAYS bool read_many(rki_eval *x, job *j, unsigned kind)
{
    uint32_t rows = j->r->n, n, *others = rki_take(x, (size_t)rows * sizeof *others);
    char *to = j->out->v;
    days none = { .date = 0 };

    if (!others)
        return false;
    n = kind == RKP_F64 ? rki_short_floats(j->d.base, j->d.reach, j->at, j->size, rows, j->out->v, others)
                        : rki_short_ints(j->d.base, j->d.reach, j->at, j->size, rows, j->out->v, others);
    for (uint32_t k = 0; k < n; k++) {
        uint32_t i = others[k];

        if (j->size[i] == ABSENT ||
            !plain_value(&j->d, false, kind, j->d.base + j->at[i], j->size[i], to + (size_t)i * 8, &none))
            not_plain(j, i, 8);
    }
    // a value may mean null
    for (uint32_t i = 0; j->d.checks && i < rows; i++)
        if (j->size[i] != ABSENT && means_null(&j->d, j->d.base + j->at[i], j->size[i]))
            j->out->st[i] = j->nulls = true;
    return true;
}

static bool read_any(rki_eval *x, job *j, unsigned kind)
{
    switch (kind) {
    case RKP_F64:
        return read_many(x, j, RKP_F64);
    case RKP_I64:
        return read_many(x, j, RKP_I64);
    case RKP_BOOL:
        read_values(j, RKP_BOOL, 1);
        break;
    case RKP_F32:
        read_values(j, RKP_F32, 8);
        break;
    case RKP_TIMESTAMP:
        read_values(j, RKP_TIMESTAMP, 8);
        break;
    default:
        read_values(j, kind, 8);
        break;
    }
    return true;
}

static bool load_values(rki_eval *x, uint32_t col, const rki_rows *r, rkp_vec *out)
{
    job j;

    if (!job_new(x, col, r, out, &j))
        return false;
    if (!read_any(x, &j, x->b->cols[col].type.kind))
        return false;
    if (j.later.n && !ask_values(x, col, r, &j.later, out))
        return false;
    job_done(&j);
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
    unsigned kind = x->b->cols[col].type.kind;
    rkp_str *v;
    job j;

    if (!job_new(x, col, r, out, &j))
        return false;
    v = out->v;
    for (uint32_t i = 0; i < r->n; i++) {
        uint32_t n = j.size[i];
        int is = n != ABSENT ? plain_text(&j.d, kind, j.d.base + j.at[i], n, &v[i]) : -1;

        if (RKP_LIKELY(is > 0))
            continue;
        v[i] = (rkp_str){ "", 0 };
        if (is < 0) {
            out->st[i] = 1;
            j.nulls = true;
        } else {
            put_off(&j.later, r, i);
        }
    }
    if (j.later.n && !ask_strs(x, col, r, &j.later, out))
        return false;
    job_done(&j);
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

// A literal as words, so that a short one is compared without a call and without a branch on its length.
typedef struct literal {
    rkp_str s;
    uint64_t word[2], mask[2];
    bool is_short; // at most 16 bytes
} literal;

static literal literal_of(rkp_str s)
{
    literal l = { .s = s, .is_short = s.n <= 16 };
    char t[16] = { 0 }, m[16] = { 0 };

    if (!l.is_short)
        return l;
    if (s.n)
        memcpy(t, s.p, s.n);
    memset(m, 0xff, s.n);
    for (int i = 0; i < 2; i++) {
        memcpy(&l.word[i], t + 8 * i, 8);
        memcpy(&l.mask[i], m + 8 * i, 8);
    }
    return l;
}

ALWAYS bool same(bool wide, const char *p, uint32_t n, const literal *l)
{
    uint64_t a, b;

    if (RKP_UNLIKELY(!l->is_short || !wide))
        return n == l->s.n && memcmp(p, l->s.p, n) == 0;
    memcpy(&a, p, 8);
    memcpy(&b, p + 8, 8);
    return (n == l->s.n) & ((((a ^ l->word[0]) & l->mask[0]) | ((b ^ l->word[1]) & l->mask[1])) == 0);
}

// One row: 1 or 0, -1 for null, -2 to be asked for.
ALWAYS int equals(const reader *d, bool wide, const char *p, uint32_t n, const literal *l)
{
    if (RKP_UNLIKELY(d->check_utf8 && !ascii(p, n)))
        return -2;
    if (d->json) {
        if (means_null(d, p, n))
            return -1;
        // Escapes only make a text longer, so a shorter one, or one that is the same, is known.
        if (n < 2 || *p != '"')
            return -2;
        if (same(wide, p + 1, n - 2, l))
            return 1;
        return n - 2 > l->s.n && memchr(p + 1, '\\', n - 2) ? -2 : 0;
    }
    if (RKP_UNLIKELY(n == 0 || (d->quote && *p == d->quote)))
        return n ? -2 : d->csv && means_null(d, p, n) ? -1 : l->s.n == 0;
    if (RKP_UNLIKELY(d->csv && !d->only_empty && means_null(d, p, n)))
        return -1;
    return same(wide, p, n, l);
}

// Views of up to twelve bytes hold the text: length and text are two words.
static bool flat_eq(rki_eval *x, const rkp_col *c, const rki_rows *r, rkp_str lit, rkp_vec *out)
{
    const rkp_view *views = c->values;
    rkp_view want = { .len = (int32_t)lit.n }, mask = { .len = -1 };
    uint64_t w[2], m[2], a[2];
    uint8_t *v;
    where at;

    if (lit.n)
        memcpy(want.u.inlined, lit.p, lit.n);
    memset(mask.u.inlined, 0xff, lit.n);
    memcpy(w, &want, sizeof w);
    memcpy(m, &mask, sizeof m);
    if (!find(x, c, r, &at) || !flat_states(x, c, &at, out))
        return false;
    out->step = 1;
    v = out->v = out->v ? out->v : rki_take(x, r->n);
    if (!v)
        return false;
    for (uint32_t i = 0; i < r->n; i++) {
        memcpy(a, views + phys(&at, i), sizeof a);
        v[i] = (((a[0] ^ w[0]) & m[0]) | ((a[1] ^ w[1]) & m[1])) == 0;
    }
    return true;
}

bool rki_load_eq(rki_eval *x, uint32_t col, const rki_rows *r, rkp_str lit, rkp_vec *out, bool *done)
{
    const rkp_col *c = &x->b->cols[col];
    literal l = literal_of(lit);
    const uint32_t *at, *size;
    uint8_t *v;
    reader d;
    job j;

    out->kind = RKP_BOOL;
    *done = c->rep == RKP_TEXT || lit.n <= 12;
    if (c->rep == RKP_FLAT)
        return !*done || flat_eq(x, c, r, lit, out);
    // A literal with a quote or backslash would not be itself in JSON.
    if (c->text->kind == RKP_TEXT_JSON && lit.n && (memchr(lit.p, '"', lit.n) || memchr(lit.p, '\\', lit.n))) {
        *done = false;
        return true;
    }
    if (!job_new(x, col, r, out, &j))
        return false;
    v = out->v;
    d = j.d;
    at = j.at;
    size = j.size;
    for (uint32_t i = 0; i < r->n; i++) {
        uint32_t n = size[i];
        int is = n != ABSENT ? equals(&d, at[i] < d.reach, d.base + at[i], n, &l) : -1;

        v[i] = is == 1;
        if (RKP_LIKELY(is >= 0))
            continue;
        if (is == -1) {
            out->st[i] = 1;
            j.nulls = true;
        } else {
            put_off(&j.later, r, i);
        }
    }
    if (j.later.n) {
        rkp_vec s = { .kind = RKP_STRING, .step = 1, .v = rki_take(x, r->n * sizeof(rkp_str)), .st = out->st };

        if (!s.v || !ask_strs(x, col, r, &j.later, &s))
            return false;
        for (uint32_t k = 0; k < j.later.n; k++)
            v[j.later.at[k]] = rkp_str_eq(((const rkp_str *)s.v)[j.later.at[k]], lit);
        j.nulls |= rki_k_any_u8(out->st, r->n);
    }
    if (!j.nulls)
        out->st = NULL;
    return true;
}
