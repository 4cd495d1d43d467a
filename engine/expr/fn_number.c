// fn_number.c - functions of numbers, and those that compare.
#include "expr/functions.h"
#include "expr/kernels.h"

#include <math.h>

#define ROWS(i) for (uint32_t i = 0; i < r->n; i++)

static void bad(rki_eval *x, const rki_rows *r, uint32_t i, rkp_vec *out, unsigned code)
{
    rki_row_bad(x, r, i, out, code, -1, (rkp_str){ NULL, 0 });
}

static void copy8(const rki_rows *r, const rkp_vec *a, rkp_vec *out)
{
    ROWS(i)
    ((uint64_t *)out->v)[i] = RKI_AT(uint64_t, a[0], i);
}

static bool f_abs(rki_eval *x, const rki_node *n, const rki_rows *r, const rkp_vec *a, rkp_vec *out)
{
    if (n->kind == RKP_F64) {
        rki_k_abs_f64(out->v, a[0].v, r->n);
    } else if (n->kind == RKP_U64) {
        copy8(r, a, out);
    } else {
        ROWS(i)
        {
            int64_t v = RKI_AT(int64_t, a[0], i);

            ((int64_t *)out->v)[i] = v < 0 ? (int64_t)(0 - (uint64_t)v) : v;
            if (v == INT64_MIN && !out->st[i])
                bad(x, r, i, out, RKP_ROW_OVERFLOW);
        }
    }
    return true;
}

static bool f_ceil(rki_eval *x, const rki_node *n, const rki_rows *r, const rkp_vec *a, rkp_vec *out)
{
    (void)x;
    if (n->kind == RKP_F64)
        rki_k_ceil_f64(out->v, a[0].v, r->n);
    else
        copy8(r, a, out);
    return true;
}

static bool f_floor(rki_eval *x, const rki_node *n, const rki_rows *r, const rkp_vec *a, rkp_vec *out)
{
    (void)x;
    if (n->kind == RKP_F64)
        rki_k_floor_f64(out->v, a[0].v, r->n);
    else
        copy8(r, a, out);
    return true;
}

// As DuckDB: x * 10^n rounded half away from zero, divided again; x itself when that is not finite.  To tens and
// hundreds (n < 0) it is the other way round, and 0 when 10^-n is too large for any x.
static double round_to(double v, int64_t digits)
{
    double m, w;

    if (!(fabs(v) <= 1.7976931348623157e308))
        return v;
    if (digits >= 0) {
        m = pow(10, digits > 400 ? 400 : (double)digits);
        w = rki_round_half_away(v * m) / m;
        return isfinite(w) ? w : v;
    }
    m = pow(10, digits < -400 ? 400 : -(double)digits);
    w = rki_round_half_away(v / m) * m;
    return isfinite(w) ? w : 0;
}

// An integer to tens, hundreds, ..; false: it does not fit.
static bool round_int(int64_t v, bool is_unsigned, int64_t digits, int64_t *to)
{
    __extension__ typedef __int128 wide;
    wide w = is_unsigned ? (wide)(uint64_t)v : (wide)v, p = 1, rest;

    *to = v;
    if (digits >= 0)
        return true;
    *to = 0;
    if (digits < -20)
        return true;
    for (int64_t i = 0; i > digits; i--)
        p *= 10;
    rest = w % p;
    w -= rest;
    if (rest * 2 >= p)
        w += p;
    else if (rest * 2 <= -p)
        w -= p;
    *to = (int64_t)w;
    return is_unsigned ? w <= (wide)UINT64_MAX : w >= INT64_MIN && w <= INT64_MAX;
}

static bool f_round(rki_eval *x, const rki_node *n, const rki_rows *r, const rkp_vec *a, rkp_vec *out)
{
    static const int64_t none = 0;
    rkp_vec digits = n->n > 1 ? a[1] : (rkp_vec){ .kind = RKP_I64, .v = (void *)(uintptr_t)&none };

    if (n->kind == RKP_F64 && !digits.step && *(const int64_t *)digits.v >= 0 && *(const int64_t *)digits.v <= 300) {
        rki_k_round_f64(out->v, a[0].v, pow(10, (double)*(const int64_t *)digits.v), r->n);
        return true;
    }
    ROWS(i)
    {
        int64_t d = RKI_AT(int64_t, digits, i);

        if (out->st[i])
            ((int64_t *)out->v)[i] = 0;
        else if (n->kind == RKP_F64)
            ((double *)out->v)[i] = round_to(RKI_AT(double, a[0], i), d);
        else if (!round_int(RKI_AT(int64_t, a[0], i), n->kind == RKP_U64, d, (int64_t *)out->v + i))
            bad(x, r, i, out, RKP_ROW_OVERFLOW);
    }
    return true;
}

static bool f_sqrt(rki_eval *x, const rki_node *n, const rki_rows *r, const rkp_vec *a, rkp_vec *out)
{
    (void)x;
    (void)n;
    rki_k_sqrt_f64(out->v, a[0].v, r->n);
    return true;
}

#define OF_LIBM(name, call)                                                                                            \
    static bool name(rki_eval *x, const rki_node *n, const rki_rows *r, const rkp_vec *a, rkp_vec *out)                \
    {                                                                                                                  \
        (void)x;                                                                                                       \
        (void)n;                                                                                                       \
        ROWS(i)                                                                                                        \
        {                                                                                                              \
            double v = out->st[i] ? 1 : RKI_AT(double, a[0], i);                                                       \
            ((double *)out->v)[i] = call;                                                                              \
        }                                                                                                              \
        return true;                                                                                                   \
    }

OF_LIBM(f_exp, exp(v))
OF_LIBM(f_ln, log(v))
OF_LIBM(f_log10, log10(v))
OF_LIBM(f_log1p, log1p(v))

static bool f_pow(rki_eval *x, const rki_node *n, const rki_rows *r, const rkp_vec *a, rkp_vec *out)
{
    (void)x;
    (void)n;
    ROWS(i)
    ((double *)out->v)[i] = out->st[i] ? 0 : pow(RKI_AT(double, a[0], i), RKI_AT(double, a[1], i));
    return true;
}

// ---- order ----------------------------------------------------------------------------------------------------------

// Is value i of a before value i of b?
static bool before(const rkp_vec *a, const rkp_vec *b, uint32_t i)
{
    rkp_str s, t;
    int c;

    switch (a->kind) {
    case RKP_BOOL:
        return RKI_AT(uint8_t, *a, i) < RKI_AT(uint8_t, *b, i);
    case RKP_F64:
        return RKI_AT(double, *a, i) < RKI_AT(double, *b, i);
    case RKP_U64:
        return RKI_AT(uint64_t, *a, i) < RKI_AT(uint64_t, *b, i);
    case RKP_I64:
    case RKP_TIMESTAMP:
        return RKI_AT(int64_t, *a, i) < RKI_AT(int64_t, *b, i);
    default:
        s = RKI_AT(rkp_str, *a, i);
        t = RKI_AT(rkp_str, *b, i);
        c = s.n && t.n ? memcmp(s.p, t.p, s.n < t.n ? s.n : t.n) : 0;
        return c ? c < 0 : s.n < t.n;
    }
}

static bool not_a_number(const rkp_vec *a, uint32_t i)
{
    return a->kind == RKP_F64 && RKI_AT(double, *a, i) != RKI_AT(double, *a, i);
}

static void take(const rkp_vec *from, uint32_t i, rkp_vec *to)
{
    size_t w = rki_width(from->kind);

    memcpy((char *)to->v + i * w, (const char *)from->v + (size_t)i * from->step * w, w);
}

static bool extreme(const rki_node *n, const rki_rows *r, const rkp_vec *a, rkp_vec *out, bool max)
{
    rkp_vec best = { .kind = out->kind, .step = 1, .v = out->v };

    ROWS(i)
    {
        take(&a[0], i, out);
        for (uint32_t k = 1; k < n->n && !out->st[i] && !not_a_number(&best, i); k++)
            if ((max ? before(&best, &a[k], i) : before(&a[k], &best, i)) || not_a_number(&a[k], i))
                take(&a[k], i, out);
    }
    return true;
}

static bool f_min(rki_eval *x, const rki_node *n, const rki_rows *r, const rkp_vec *a, rkp_vec *out)
{
    (void)x;
    return extreme(n, r, a, out, false);
}

static bool f_max(rki_eval *x, const rki_node *n, const rki_rows *r, const rkp_vec *a, rkp_vec *out)
{
    (void)x;
    return extreme(n, r, a, out, true);
}

static bool f_clamp(rki_eval *x, const rki_node *n, const rki_rows *r, const rkp_vec *a, rkp_vec *out)
{
    (void)x;
    (void)n;
    ROWS(i)
    {
        if (!out->st[i] && before(&a[0], &a[1], i))
            take(&a[1], i, out);
        else if (!out->st[i] && before(&a[2], &a[0], i))
            take(&a[2], i, out);
        else
            take(&a[0], i, out);
    }
    return true;
}

// json and bytes have no order that means something.
static bool ordered(rki_check *c, rki_node *n)
{
    if (n->kind != RKP_JSON && n->kind != RKP_BYTES)
        return true;
    rki_say(&c->s, n->arg[0]->from, n->arg[0]->to, "expr-type", "%s cannot be ordered", rki_kind_word(n->kind));
    n->bad = true;
    return true;
}

static bool f_is_null(rki_eval *x, const rki_node *n, const rki_rows *r, const rkp_vec *a, rkp_vec *out)
{
    (void)x;
    (void)n;
    ROWS(i)
    ((uint8_t *)out->v)[i] = a[0].st && a[0].st[i * a[0].step] == 1;
    return true;
}

static bool f_is_nan(rki_eval *x, const rki_node *n, const rki_rows *r, const rkp_vec *a, rkp_vec *out)
{
    (void)x;
    (void)n;
    ROWS(i)
    ((uint8_t *)out->v)[i] = not_a_number(&a[0], i);
    return true;
}

const rki_fn rki_fns_number[] = {
    { .name = "abs",
      .args = "n",
      .result = '1',
      .eval = f_abs,
      .emit = rki_emit_call,
      .usage = "abs(x)",
      .help = "the value without its sign",
      .example = "abs(-2.5)",
      .gives = "2.5" },
    { .name = "ceil",
      .args = "n",
      .result = '1',
      .eval = f_ceil,
      .emit = rki_emit_call,
      .usage = "ceil(x)",
      .help = "the smallest whole number that is not below x",
      .example = "ceil(1.2)",
      .gives = "2.0" },
    { .name = "floor",
      .args = "n",
      .result = '1',
      .eval = f_floor,
      .emit = rki_emit_call,
      .usage = "floor(x)",
      .help = "the largest whole number that is not above x",
      .example = "floor(-1.2)",
      .gives = "-2.0" },
    { .name = "round",
      .args = "n?i",
      .result = '1',
      .eval = f_round,
      .emit = rki_emit_round,
      .usage = "round(x [, digits])",
      .help = "rounds half away from zero, to so many digits behind the point (or, below 0, before it)",
      .example = "round(2.345, 1)",
      .gives = "2.3" },
    { .name = "sqrt",
      .args = "f",
      .result = 'f',
      .eval = f_sqrt,
      .emit = rki_emit_call,
      .usage = "sqrt(x)",
      .help = "the square root; nan below 0",
      .example = "sqrt(2.25)",
      .gives = "1.5" },
    { .name = "exp",
      .args = "f",
      .result = 'f',
      .eval = f_exp,
      .host = RKI_LAST_DIGIT,
      .usage = "exp(x)",
      .help = "e to the power of x",
      .example = "exp(0)",
      .gives = "1.0" },
    { .name = "ln",
      .args = "f",
      .result = 'f',
      .eval = f_ln,
      .host = RKI_LAST_DIGIT,
      .usage = "ln(x)",
      .help = "the natural logarithm; -inf at 0, nan below",
      .example = "ln(1)",
      .gives = "0.0" },
    { .name = "log10",
      .args = "f",
      .result = 'f',
      .eval = f_log10,
      .host = RKI_LAST_DIGIT,
      .usage = "log10(x)",
      .help = "the logarithm to base 10",
      .example = "log10(1000)",
      .gives = "3.0" },
    { .name = "log1p",
      .args = "f",
      .result = 'f',
      .eval = f_log1p,
      .host = RKI_LAST_DIGIT,
      .usage = "log1p(x)",
      .help = "ln(1 + x), exact for small x",
      .example = "log1p(0)",
      .gives = "0.0" },
    { .name = "pow",
      .args = "ff",
      .result = 'f',
      .eval = f_pow,
      .host = RKI_LAST_DIGIT,
      .usage = "pow(x, y)",
      .help = "x to the power of y",
      .example = "pow(2, 10)",
      .gives = "1024.0" },
    { .name = "min",
      .args = "c*",
      .result = '1',
      .bind = ordered,
      .eval = f_min,
      .emit = rki_emit_extreme,
      .usage = "min(a, b, ..)",
      .help = "the smallest of its arguments; null when one is null, nan when one is nan",
      .example = "min(3, 1, 2)",
      .gives = "1" },
    { .name = "max",
      .args = "c*",
      .result = '1',
      .bind = ordered,
      .eval = f_max,
      .emit = rki_emit_extreme,
      .usage = "max(a, b, ..)",
      .help = "the largest of its arguments; null when one is null, nan when one is nan",
      .example = "max('ant', 'bee')",
      .gives = "bee" },
    { .name = "clamp",
      .args = "ccc",
      .result = '1',
      .bind = ordered,
      .eval = f_clamp,
      .emit = rki_emit_call,
      .usage = "clamp(x, low, high)",
      .help = "x, but not below low and not above high",
      .example = "clamp(12, 0, 10)",
      .gives = "10" },
    { .name = "is_null",
      .args = "a",
      .result = 'b',
      .sees_null = true,
      .eval = f_is_null,
      .emit = rki_emit_is_null,
      .usage = "is_null(x)",
      .help = "is there no value; true or false, never null",
      .example = "is_null(null)",
      .gives = "true" },
    { .name = "is_nan",
      .args = "n",
      .result = 'b',
      .eval = f_is_nan,
      .emit = rki_emit_call,
      .usage = "is_nan(x)",
      .help = "is the float not a number",
      .example = "is_nan(0.0 / 0.0)",
      .gives = "true" },
    { 0 },
};
