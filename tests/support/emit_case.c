// emit_case.c - see emit_case.h.
#include "emit_case.h"

#include <math.h>
#include <rkpipe/num.h>
#include <stdlib.h>

#define FIELD(n, k)                                                                                                    \
    {                                                                                                                  \
        { n, sizeof n - 1 },                                                                                           \
        {                                                                                                              \
            .kind = (k), .nullable = 1                                                                                 \
        }                                                                                                              \
    }

static const rkp_field fields[EMIT_COLS] = {
    FIELD("p", RKP_BOOL),      FIELD("q", RKP_BOOL), FIELD("i8", RKP_I8), FIELD("i16", RKP_I16), FIELD("i32", RKP_I32),
    FIELD("a", RKP_I64),       FIELD("b", RKP_I64),  FIELD("u8", RKP_U8), FIELD("u16", RKP_U16), FIELD("u32", RKP_U32),
    FIELD("u", RKP_U64),       FIELD("v", RKP_U64),  FIELD("h", RKP_F32), FIELD("f", RKP_F64),   FIELD("g", RKP_F64),
    FIELD("t", RKP_TIMESTAMP), FIELD("e", RKP_I64),  FIELD("x", RKP_F64),
};
enum { FIRST_TEXT = 16 };
const rkp_schema emit_case_schema = { EMIT_COLS, fields };

uint64_t emit_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed * 0x2545f4914f6cdd1du;
}

// ---- columns --------------------------------------------------------------------------------------------------------

static uint64_t f64_bits(double v)
{
    uint64_t b;

    memcpy(&b, &v, sizeof b);
    return b;
}

// A value of a register, as eight bytes; it fits the column's kind.
static uint64_t made(uint64_t *seed, unsigned kind)
{
    static const int64_t ints[] = { 0,
                                    1,
                                    -1,
                                    2,
                                    7,
                                    -3,
                                    10,
                                    127,
                                    -128,
                                    255,
                                    32767,
                                    -32768,
                                    65535,
                                    2147483647,
                                    -2147483648LL,
                                    INT64_MAX,
                                    INT64_MIN,
                                    1 << 20,
                                    INT64_MAX - 1,
                                    4611686018427387904 };
    static const double floats[] = { 0,
                                     -0.0,
                                     1,
                                     -1,
                                     0.1,
                                     2.5,
                                     -2.5,
                                     1e300,
                                     -1e300,
                                     1e-300,
                                     3.25,
                                     0.5,
                                     4.9e-324,
                                     -2.2e-308,
                                     1e18,
                                     9223372036854775808.0,
                                     -9223372036854775808.0,
                                     1.7976931348623157e308,
                                     2.675,
                                     1.005,
                                     255.5,
                                     -1e-5 };
    uint64_t r = emit_random(seed), some = r >> 8;
    int64_t i = r & 1 ? ints[some % (sizeof ints / sizeof *ints)] : (int64_t)(some % 4000) - 2000;

    switch (kind) {
    case RKP_BOOL:
        return r & 1;
    case RKP_I8:
        return (uint64_t)(int64_t)(int8_t)i;
    case RKP_I16:
        return (uint64_t)(int64_t)(int16_t)i;
    case RKP_I32:
        return (uint64_t)(int64_t)(int32_t)i;
    case RKP_U8:
        return (uint8_t)i;
    case RKP_U16:
        return (uint16_t)i;
    case RKP_U32:
        return (uint32_t)i;
    case RKP_U64:
        return r & 2 ? (uint64_t)i : some % 3000;
    case RKP_F32:
    case RKP_F64: {
        double d = (double)((int64_t)(some % 200000) - 100000) / 100;

        if (r % 16 < 7)
            d = floats[some % (sizeof floats / sizeof *floats)];
        else if (r % 16 == 7)
            d = some % 3 == 0 ? (double)NAN : some % 3 == 1 ? (double)INFINITY : -(double)INFINITY;
        return f64_bits(kind == RKP_F32 ? (double)(float)d : d);
    }
    case RKP_TIMESTAMP: // mostly dates of these centuries
        return r & 1 ? (uint64_t)i : (uint64_t)((int64_t)(emit_random(seed) % 8000000000000000) - 2000000000000000);
    default:
        return (uint64_t)i;
    }
}

static void put_value(const rkp_type *t, void *values, uint32_t row, uint64_t v)
{
    double d;
    float f;

    memcpy(&d, &v, sizeof d);
    f = (float)d;
    switch (t->kind) {
    case RKP_BOOL:
        if (v & 1)
            rkp_bit_set(values, row);
        break;
    case RKP_F32:
        memcpy((float *)values + row, &f, sizeof f);
        break;
    default: // little endian: the low bytes
        memcpy((char *)values + row * rkp_kind_width(t->kind), &v, rkp_kind_width(t->kind));
        break;
    }
}

static size_t put_text(char *to, unsigned kind, uint64_t v)
{
    double d;

    memcpy(&d, &v, sizeof d);
    return kind == RKP_F64 ? rkp_print_f64(to, d) : rkp_print_i64(to, (int64_t)v);
}

bool emit_case_init(emit_case *c, rkp_pool *pool, uint64_t *seed)
{
    static rkp_str texts[EMIT_ROWS * EMIT_COLS];
    static char room[EMIT_ROWS * EMIT_COLS][40];

    *c = (emit_case){ 0 };
    memset(texts, 0, sizeof texts);
    for (uint32_t k = 0; k < EMIT_COLS; k++) {
        size_t w = fields[k].type.kind == RKP_BOOL ? 1 : 8;

        c->c[k] = malloc(EMIT_ROWS * w);
        c->s[k] = malloc(EMIT_ROWS);
        if (!c->c[k] || !c->s[k])
            return false;
        for (uint32_t i = 0; i < EMIT_ROWS; i++) {
            uint64_t v = made(seed, fields[k].type.kind), r = emit_random(seed) % 16;

            c->s[k][i] = r < 2 ? 1 : r == 2 && k >= FIRST_TEXT ? 1 + RKP_ROW_PARSE : 0;
            if (k >= FIRST_TEXT) {
                size_t n = put_text(room[i * EMIT_COLS + k], fields[k].type.kind, v);

                texts[i * EMIT_COLS + k] = c->s[k][i] == 1   ? (rkp_str){ NULL, 0 }
                                           : c->s[k][i] != 0 ? RKP_STR("x1")
                                                             : (rkp_str){ room[i * EMIT_COLS + k], n };
            }
            if (c->s[k][i])
                v = emit_random(seed);
            memcpy((char *)c->c[k] + i * w, &v, w);
        }
    }
    c->batch = expr_case_text(pool, &emit_case_schema, texts, EMIT_ROWS, RKP_TEXT_RAW);
    for (uint32_t k = 0; c->batch && k < FIRST_TEXT; k++) {
        void *values = rkp_batch_alloc(c->batch, EMIT_ROWS * 8);
        uint8_t *valid = rkp_batch_alloc(c->batch, EMIT_ROWS / 8);

        if (!values || !valid)
            return false;
        memset(values, 0, EMIT_ROWS * 8);
        memset(valid, 0, EMIT_ROWS / 8);
        for (uint32_t i = 0; i < EMIT_ROWS; i++) {
            uint64_t v = 0;

            if (c->s[k][i])
                continue;
            memcpy(&v, (char *)c->c[k] + i * (fields[k].type.kind == RKP_BOOL ? 1u : 8u),
                   fields[k].type.kind == RKP_BOOL ? 1 : 8);
            put_value(&fields[k].type, values, i, v);
            rkp_bit_set(valid, i);
        }
        c->batch->cols[k] = (rkp_col){
            .type = fields[k].type, .rep = RKP_FLAT, .valid = valid, .values = values, .phys_rows = EMIT_ROWS
        };
    }
    return c->batch != NULL;
}

void emit_case_fini(emit_case *c)
{
    for (uint32_t k = 0; k < EMIT_COLS; k++) {
        free(c->c[k]);
        free(c->s[k]);
    }
    rkp_batch_put(c->batch);
}

// ---- expressions ----------------------------------------------------------------------------------------------------

typedef struct writer {
    uint64_t *seed;
    rki_buf *to;
} writer;

static unsigned below(const writer *w, unsigned n)
{
    return (unsigned)(emit_random(w->seed) >> 33) % n;
}

static const char *pick(const writer *w, const char *const *of)
{
    unsigned n = 0;

    while (of[n])
        n++;
    return of[below(w, n)];
}
#define PICK(w, ...) pick(w, (const char *const[]){ __VA_ARGS__, NULL })

static void write_kind(writer *w, unsigned kind, unsigned depth);

// A pattern: letters B I U F T are expressions of that kind, N any number, A anything, K one kind for all of them (the
// kind that is wanted), the rest is itself.
static void write(writer *w, const char *pattern, unsigned kind, unsigned depth)
{
    static const unsigned any[] = { RKP_BOOL, RKP_I64, RKP_U64, RKP_F64, RKP_TIMESTAMP };

    for (; *pattern; pattern++) {
        const char *at = strchr("BIUFTNAK", *pattern);

        if (!at)
            rki_putc(w->to, *pattern);
        else if (*pattern == 'N')
            write_kind(w, any[1 + below(w, 3)], depth);
        else if (*pattern == 'A')
            write_kind(w, any[below(w, 5)], depth);
        else
            write_kind(w, *pattern == 'K' ? kind : any[at - "BIUFTNAK"], depth);
    }
}

static const char *const bools[] = { "(N < N)",
                                     "(N <= N)",
                                     "(N == N)",
                                     "(N != N)",
                                     "(N > N)",
                                     "(N >= N)",
                                     "(I < U)",
                                     "(U == I)",
                                     "(U >= I)",
                                     "(T < T)",
                                     "(T == T)",
                                     "(B == B)",
                                     "(B != B)",
                                     "(B && B)",
                                     "(B || B)",
                                     "(B && B && B)",
                                     "(B || B || B)",
                                     "(!B)",
                                     "is_null(A)",
                                     "is_nan(N)",
                                     "(I in (I, I))",
                                     "(U in (1, U))",
                                     "(F in (F, 0.5))",
                                     "(T not in (T, T))",
                                     "(B in (B, null))",
                                     "(I in (1, 2, null))",
                                     "(I not in (-1, 0, 7))",
                                     "(F in (0, 1, 2.5, -1))",
                                     "(I in (9, 8, 7, 6, 5, 4, 3, 2, 1, 0, -1, -2))",
                                     "(U in (18446744073709551615, 9, 8, 7, 6, 5, 4, 3, 2, 1))",
                                     "(F not in (0.1, 1, 2, 3, 4, 5, 6, 7.5, 2.5, -1, 1e300))",
                                     "(B && null)",
                                     "(null || B)",
                                     "(I == null)",
                                     "(x != 0 && 10 / x > 1)",
                                     "(a != 0 && b // a > 1)",
                                     NULL };
static const char *const ints[] = { "(I + I)",      "(I - I)",     "(I * I)",   "(I // I)",      "(I % I)",
                                    "(-I)",         "(U - I)",     "(I * U)",   "abs(I)",        "ceil(I)",
                                    "round(I, -2)", "round(I, I)", "year(T)",   "month(T)",      "day(T)",
                                    "hour(T)",      "minute(T)",   "second(T)", "weekday(T)",    "to_int(F)",
                                    "to_int(U)",    "to_int(B)",   "to_int(T)", "(T - T)",       "(I // 7)",
                                    "(I % 10)",     "(I % -1)",    "(I // 0)",  "(I * 3)",       "(-U)",
                                    "floor(I)",     "round(I)",    "(I // -1)", "round(I, -19)", NULL };
static const char *const uints[] = { "(U + U)",     "(U - U)",          "(U * U)",   "(U // U)",
                                     "(U % U)",     "(U + 1)",          "(U // 10)", "hash(A)",
                                     "hash(A, A)",  "hash(A, null, A)", "abs(U)",    "round(U, -1)",
                                     "round(U, I)", "hash(B, F, I)",    "(7 % U)",   NULL };
static const char *const floats[] = {
    "(F + F)",  "(F - F)",       "(F * F)",        "(F / F)",      "(F // F)",    "(F % F)",
    "(F + I)",  "(I / I)",       "(U / F)",        "(-F)",         "abs(F)",      "ceil(F)",
    "floor(F)", "round(F)",      "round(F, 2)",    "round(F, -1)", "round(F, I)", "round(F, i8)",
    "sqrt(F)",  "to_float(I)",   "to_float(U)",    "to_float(B)",  "to_float(F)", "(F * 0.029 + 0.30)",
    "(F % 1)",  "round(F, 305)", "round(F, -320)", "(F // 0)",     NULL
};
static const char *const times[] = { "(T + I)",
                                     "(I + T)",
                                     "(T - I)",
                                     "date_trunc(T, 'second')",
                                     "date_trunc('minute', T)",
                                     "date_trunc(T, 'hour')",
                                     "date_trunc(T, 'day')",
                                     "date_trunc(T, 'week')",
                                     "date_trunc(T, 'month')",
                                     "date_trunc(T, 'quarter')",
                                     "date_trunc(T, 'year')",
                                     "date_trunc(T, 'microsecond')",
                                     "date_trunc('millisecond', T)",
                                     "to_timestamp(I)",
                                     "to_timestamp(I, 'ms')",
                                     "to_timestamp(I, 'us')",
                                     "to_timestamp(I, 'ns')",
                                     "to_timestamp(F)",
                                     "to_timestamp(F, 'ns')",
                                     "to_timestamp(U, 'ms')",
                                     "to_timestamp(T)",
                                     NULL };
static const char *const all[] = { "(B ? K : K)",       "(K ?\? K)",      "try(K)",
                                   "min(K, K)",         "max(K, K)",      "clamp(K, K, K)",
                                   "coalesce(K, K, K)", "(B ? K : null)", "(B ? null : K)",
                                   "(null ?\? K)",      "min(K, K, K)",   NULL };

static void write_leaf(writer *w, unsigned kind)
{
    const char *s;

    switch (kind) {
    case RKP_BOOL:
        s = below(w, 8) ? PICK(w, "p", "q") : PICK(w, "true", "false");
        break;
    case RKP_I64:
        s = below(w, 4) ? PICK(w, "i8", "i16", "i32", "a", "b", "u8", "u16", "u32", "e")
                        : PICK(w, "0", "1", "(-1)", "2", "1000", "9223372036854775807", "(-9223372036854775807 - 1)");
        break;
    case RKP_U64:
        s = below(w, 6) ? PICK(w, "u", "v") : PICK(w, "18446744073709551615", "9223372036854775808");
        break;
    case RKP_F64:
        s = below(w, 4)
                ? PICK(w, "h", "f", "g", "x")
                : PICK(w, "0.0", "-0.0", "0.1", "2.5", "1e308", "5e-324", "(0.0 / 0.0)", "(1.0 / 0.0)", "-3.75");
        break;
    default:
        s = below(w, 5) ? "t" : PICK(w, "to_timestamp('2024-02-29T12:30:15Z')", "to_timestamp('1969-12-31')");
        break;
    }
    rki_putz(w->to, s);
}

static void write_kind(writer *w, unsigned kind, unsigned depth)
{
    const char *const *of = kind == RKP_BOOL  ? bools
                            : kind == RKP_I64 ? ints
                            : kind == RKP_U64 ? uints
                            : kind == RKP_F64 ? floats
                                              : times;

    if (depth == 0 || below(w, 6) == 0)
        write_leaf(w, kind);
    else
        write(w, pick(w, below(w, 4) ? of : all), kind, depth - 1);
}

void emit_case_text(uint64_t *seed, unsigned kind, unsigned depth, rki_buf *to)
{
    writer w = { seed, to };

    write_kind(&w, kind, depth);
    rki_putc(to, 0);
}

// ---- the evaluator --------------------------------------------------------------------------------------------------

void emit_case_read(const rkp_col *c, uint32_t row, void *to)
{
    uint64_t v = 0;
    double d;
    float f;

    switch (c->type.kind) {
    case RKP_BOOL:
        *(uint8_t *)to = rkp_bit(c->values, row);
        return;
    case RKP_F32:
        memcpy(&f, (const float *)c->values + row, sizeof f);
        d = (double)f;
        memcpy(&v, &d, sizeof v);
        break;
    case RKP_I8:
        v = (uint64_t)(int64_t)((const int8_t *)c->values)[row];
        break;
    case RKP_I16:
        v = (uint64_t)(int64_t)((const int16_t *)c->values)[row];
        break;
    case RKP_I32:
        v = (uint64_t)(int64_t)((const int32_t *)c->values)[row];
        break;
    default:
        memcpy(&v, (const char *)c->values + row * rkp_kind_width(c->type.kind), rkp_kind_width(c->type.kind));
        break;
    }
    memcpy(to, &v, sizeof v);
}

bool emit_case_eval(rkp_pool *pool, rkp_frame *f, const rkp_expr *e, const rkp_batch *b, void *v, uint8_t *st)
{
    rkp_batch *mem = rkp_batch_new(pool, NULL, 0, 4096);
    rkp_errs errs = { 0 };
    rkp_col col = { 0 };
    bool ok = mem && rkp_expr_eval(e, f, mem, b, NULL, NULL, EMIT_ROWS, &col, &errs) == RKP_OK && !errs.failed;

    for (uint32_t i = 0; ok && i < EMIT_ROWS; i++) {
        st[i] = rkp_col_is_null(&col, i);
        emit_case_read(&col, i, (char *)v + i * (col.type.kind == RKP_BOOL ? 1u : 8u));
    }
    for (uint32_t i = 0; ok && i < errs.n; i++)
        st[errs.v[i].row] = (uint8_t)(1 + errs.v[i].code);
    rkp_errs_fini(&errs);
    rkp_batch_put(mem);
    return ok;
}

bool emit_case_filter(rkp_frame *f, const rkp_expr *e, const rkp_batch *b, uint8_t *st)
{
    uint32_t kept[EMIT_ROWS], n = 0;
    rkp_errs errs = { 0 };
    bool ok = rkp_expr_filter(e, f, b, NULL, NULL, EMIT_ROWS, kept, &n, &errs) == RKP_OK && !errs.failed;

    memset(st, 1, EMIT_ROWS);
    for (uint32_t i = 0; ok && i < n; i++)
        st[kept[i]] = 0;
    for (uint32_t i = 0; ok && i < errs.n; i++)
        st[errs.v[i].row] = (uint8_t)(1 + errs.v[i].code);
    rkp_errs_fini(&errs);
    return ok;
}
