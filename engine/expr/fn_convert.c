// fn_convert.c - from one type to another, and the rest of the table.  What cannot be converted is an error row.
#include "expr/functions.h"

#include <math.h>
#include <rkpipe/num.h>

#define ROWS(i)   for (uint32_t i = 0; i < r->n; i++)
#define OUT(T, i) (((T *)out->v)[i])

rkp_str rki_value_text(const rkp_vec *v, uint32_t i, char *to)
{
    switch (v->kind) {
    case RKP_BOOL:
        return RKI_AT(uint8_t, *v, i) ? RKP_STR("true") : RKP_STR("false");
    case RKP_I64:
        return (rkp_str){ to, rkp_print_i64(to, RKI_AT(int64_t, *v, i)) };
    case RKP_U64:
        return (rkp_str){ to, rkp_print_u64(to, RKI_AT(uint64_t, *v, i)) };
    case RKP_F64:
        return (rkp_str){ to, rkp_print_f64(to, RKI_AT(double, *v, i)) };
    case RKP_TIMESTAMP:
        return (rkp_str){ to, rkp_print_timestamp(to, RKI_AT(int64_t, *v, i)) };
    default:
        return RKI_AT(rkp_str, *v, i);
    }
}

static bool from_kinds(rki_check *c, rki_node *n, const char *fn, const uint8_t *kinds, const char *words)
{
    unsigned k = n->arg[0]->kind;

    for (; *kinds != RKI_NULL; kinds++)
        if (k == *kinds)
            return true;
    rki_say(&c->s, n->arg[0]->from, n->arg[0]->to, "expr-type", "%s takes %s, not %s", fn, words, rki_kind_word(k));
    if (k == RKP_JSON)
        rki_hint(&c->s, "write %s(json_get(x, 'path'))", fn);
    n->bad = true;
    return true;
}

static bool bind_to_int(rki_check *c, rki_node *n)
{
    static const uint8_t kinds[] = { RKP_I64, RKP_U64, RKP_F64, RKP_BOOL, RKP_TIMESTAMP, RKP_STRING, RKI_NULL };

    return from_kinds(c, n, "to_int", kinds, "a number, string, bool or timestamp");
}

static bool bind_to_float(rki_check *c, rki_node *n)
{
    static const uint8_t kinds[] = { RKP_I64, RKP_U64, RKP_F64, RKP_BOOL, RKP_STRING, RKI_NULL };

    return from_kinds(c, n, "to_float", kinds, "a number, string or bool");
}

static bool to_int(const rkp_vec *a, uint32_t i, int64_t *to)
{
    rkp_str s;
    double d;

    switch (a->kind) {
    case RKP_BOOL:
        *to = RKI_AT(uint8_t, *a, i);
        return true;
    case RKP_U64:
        *to = (int64_t)RKI_AT(uint64_t, *a, i);
        return *to >= 0;
    case RKP_F64:
        d = RKI_AT(double, *a, i);
        if (!(d >= -9223372036854775808.0 && d < 9223372036854775808.0))
            return false;
        *to = (int64_t)d;
        return true;
    case RKP_STRING:
        s = RKI_AT(rkp_str, *a, i);
        return rkp_parse_i64(s.p, s.n, to);
    default:
        *to = RKI_AT(int64_t, *a, i);
        return true;
    }
}

// What a failed conversion was about: the text that was no number.
static rkp_str what(const rkp_vec *a, uint32_t i)
{
    return a->kind == RKP_STRING ? RKI_AT(rkp_str, *a, i) : (rkp_str){ NULL, 0 };
}

static bool f_to_int(rki_eval *x, const rki_node *n, const rki_rows *r, const rkp_vec *a, rkp_vec *out)
{
    (void)n;
    ROWS(i)
    {
        OUT(int64_t, i) = 0;
        if (!out->st[i] && !to_int(&a[0], i, &OUT(int64_t, i)))
            rki_row_bad(x, r, i, out, RKP_ROW_CAST, -1, what(&a[0], i));
    }
    return true;
}

static bool f_to_float(rki_eval *x, const rki_node *n, const rki_rows *r, const rkp_vec *a, rkp_vec *out)
{
    (void)n;
    ROWS(i)
    {
        double *to = &OUT(double, i);
        rkp_str s;

        *to = 0;
        if (out->st[i])
            continue;
        switch (a[0].kind) {
        case RKP_BOOL:
            *to = RKI_AT(uint8_t, a[0], i);
            break;
        case RKP_I64:
            *to = (double)RKI_AT(int64_t, a[0], i);
            break;
        case RKP_U64:
            *to = (double)RKI_AT(uint64_t, a[0], i);
            break;
        case RKP_F64:
            *to = RKI_AT(double, a[0], i);
            break;
        default:
            s = RKI_AT(rkp_str, a[0], i);
            if (!rkp_parse_f64(s.p, s.n, to))
                rki_row_bad(x, r, i, out, RKP_ROW_CAST, -1, s);
            break;
        }
    }
    return true;
}

static bool f_to_string(rki_eval *x, const rki_node *n, const rki_rows *r, const rkp_vec *a, rkp_vec *out)
{
    (void)n;
    ROWS(i)
    {
        char *to = NULL;

        OUT(rkp_str, i) = (rkp_str){ "", 0 };
        if (out->st[i])
            continue;
        if (a[0].kind < RKP_STRING && a[0].kind != RKP_BOOL) {
            to = rki_text(x, RKI_PRINTED);
            if (!to)
                return false;
        }
        OUT(rkp_str, i) = rki_value_text(&a[0], i, to);
    }
    return true;
}

// ---- to_timestamp ---------------------------------------------------------------------------------------------------

typedef struct scale {
    const char *name;
    int64_t mul, div; // microseconds are x * mul / div
} scale;

static const scale scales[] = {
    { "s", 1000000, 1 }, { "ms", 1000, 1 }, { "us", 1, 1 }, { "ns", 1, 1000 }, { 0 },
};

static bool bind_to_timestamp(rki_check *c, rki_node *n)
{
    static const uint8_t kinds[] = { RKP_I64, RKP_U64, RKP_F64, RKP_TIMESTAMP, RKP_STRING, RKI_NULL };
    const rki_node *u = n->n > 1 ? n->arg[1] : NULL;
    unsigned k = n->arg[0]->kind;
    const scale *s = scales;

    if (!from_kinds(c, n, "to_timestamp", kinds, "a number or string") || n->bad)
        return n->bad;
    if (k == RKP_U64 && !rki_convert(c, n, 0, RKP_I64))
        return false;
    if (u && (k == RKP_STRING || k == RKP_TIMESTAMP)) {
        rki_say(&c->s, u->from, u->to, "expr-args", "a unit goes with a number, not with %s", rki_kind_word(k));
        n->bad = true;
        return true;
    }
    while (u && s->name && !rkp_str_is(u->v.s, s->name))
        s++;
    if (!s->name) {
        rki_say(&c->s, u->from, u->to, "expr-args", "'" RKP_STR_FMT "' is no unit of time", RKP_STR_ARG(u->v.s));
        rki_hint(&c->s, "'s', 'ms', 'us' or 'ns'");
        n->bad = true;
        return true;
    }
    n->data = s;
    return true;
}

void rki_time_scale(const rki_node *n, int64_t *mul, int64_t *div)
{
    const scale *s = n->data;

    *mul = s->mul;
    *div = s->div;
}

static bool to_timestamp(const scale *s, const rkp_vec *a, uint32_t i, int64_t *to, unsigned *code)
{
    rkp_str t;
    double d;
    int64_t v;

    *code = RKP_ROW_CAST;
    switch (a->kind) {
    case RKP_TIMESTAMP:
        *to = RKI_AT(int64_t, *a, i);
        return true;
    case RKP_STRING:
        t = RKI_AT(rkp_str, *a, i);
        return rki_parse_time(t, to);
    case RKP_F64:
        d = round(RKI_AT(double, *a, i) * (double)s->mul / (double)s->div);
        if (!(d > -9.2e18 && d < 9.2e18))
            return false;
        *to = (int64_t)d;
        return true;
    default:
        *code = RKP_ROW_OVERFLOW;
        v = RKI_AT(int64_t, *a, i);
        if (s->div > 1) {
            *to = v / s->div - (v % s->div < 0);
            return true;
        }
        return !__builtin_mul_overflow(v, s->mul, to);
    }
}

static bool f_to_timestamp(rki_eval *x, const rki_node *n, const rki_rows *r, const rkp_vec *a, rkp_vec *out)
{
    ROWS(i)
    {
        unsigned code;

        OUT(int64_t, i) = 0;
        if (!out->st[i] && !to_timestamp(n->data, &a[0], i, &OUT(int64_t, i), &code))
            rki_row_bad(x, r, i, out, code, -1, what(&a[0], i));
    }
    return true;
}

// ---- hash -----------------------------------------------------------------------------------------------------------

// The bytes that stand for a value: integers as eight bytes in i64 or u64 (the same for the same number), floats as
// their bits with one zero and one nan, text as it is, true and false as one byte.  Null stands for no bytes.
static uint64_t hash_one(const rkp_vec *a, uint32_t i, uint64_t seed)
{
    unsigned char b[8];
    uint64_t v;
    double d;
    rkp_str s;

    if (a->st && a->st[i * a->step])
        return rki_xxh64("", 0, seed);
    switch (a->kind) {
    case RKP_BOOL:
        b[0] = RKI_AT(uint8_t, *a, i);
        return rki_xxh64(b, 1, seed);
    case RKP_F64:
        d = RKI_AT(double, *a, i);
        d = d == 0 ? 0 : d != d ? (double)NAN : d;
        memcpy(&v, &d, sizeof v);
        break;
    case RKP_STRING:
    case RKP_BYTES:
    case RKP_JSON:
        s = RKI_AT(rkp_str, *a, i);
        return rki_xxh64(s.p, s.n, seed);
    default:
        v = RKI_AT(uint64_t, *a, i);
        break;
    }
    for (int k = 0; k < 8; k++)
        b[k] = (unsigned char)(v >> 8 * k);
    return rki_xxh64(b, 8, seed);
}

static bool f_hash(rki_eval *x, const rki_node *n, const rki_rows *r, const rkp_vec *a, rkp_vec *out)
{
    (void)x;
    ROWS(i)
    {
        uint64_t h = 0;

        for (uint32_t k = 0; k < n->n && !out->st[i]; k++)
            h = hash_one(&a[k], i, h);
        OUT(uint64_t, i) = h;
    }
    return true;
}

const rki_fn rki_fns_convert[] = {
    { .name = "to_int",
      .args = "a",
      .result = 'i',
      .bind = bind_to_int,
      .eval = f_to_int,
      .emit = rki_emit_call,
      .usage = "to_int(x)",
      .help = "an integer of a text or bool, of a float without its fraction, of a timestamp as microseconds",
      .example = "to_int('42')",
      .gives = "42" },
    { .name = "to_float",
      .args = "a",
      .result = 'f',
      .bind = bind_to_float,
      .eval = f_to_float,
      .emit = rki_emit_call,
      .usage = "to_float(x)",
      .help = "a float of a text, integer or bool",
      .example = "to_float('2.5')",
      .gives = "2.5" },
    { .name = "to_string",
      .args = "a",
      .result = 's',
      .eval = f_to_string,
      .usage = "to_string(x)",
      .help = "the text of any value",
      .example = "to_string(1.5)",
      .gives = "1.5" },
    { .name = "to_timestamp",
      .args = "a?S",
      .result = 't',
      .bind = bind_to_timestamp,
      .eval = f_to_timestamp,
      .emit = rki_emit_to_timestamp,
      .usage = "to_timestamp(x [, unit])",
      .help = "a time of a text such as '2024-01-31T12:00:00Z', or of a number since 1970: 's' (the default), 'ms', "
              "'us', 'ns'",
      .example = "to_timestamp(1700000000, 's')",
      .gives = "2023-11-14T22:13:20Z" },
    { 0 },
};

const rki_fn rki_fns_other[] = {
    { .name = "try",
      .args = "a",
      .result = '1',
      .nullable = true,
      .usage = "try(x)",
      .help = "null instead of an error row when x fails",
      .example = "try(to_int('ten'))",
      .gives = "null" },
    { .name = "coalesce",
      .args = "a*",
      .result = '1',
      .usage = "coalesce(a, b, ..)",
      .help = "the first that is not null, as a ?\? b",
      .example = "coalesce(null, 3)",
      .gives = "3" },
    { .name = "hash",
      .args = "a*",
      .result = 'u',
      .sees_null = true,
      .eval = f_hash,
      .emit = rki_emit_hash,
      .usage = "hash(a, b, ..)",
      .help = "64 bits (XXH64) that are the same in every run and version; u64",
      .example = "hash('abc')",
      .gives = "4952883123889572249" },
    { 0 },
};

const rki_fn_group *rki_expr_functions(void)
{
    static const rki_fn_group groups[] = {
        { "Numbers", rki_fns_number }, { "Text", rki_fns_text },   { "Time", rki_fns_time },
        { "Types", rki_fns_convert },  { "Other", rki_fns_other }, { 0 },
    };

    return groups;
}

const rki_fn *rki_fn_find(rkp_str name)
{
    for (const rki_fn_group *g = rki_expr_functions(); g->title; g++)
        for (const rki_fn *f = g->fns; f->name; f++)
            if (rkp_str_is(name, f->name))
                return f;
    return NULL;
}
