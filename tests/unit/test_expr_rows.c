// Expressions over batches: filters, selections, chunks, errors of rows and what they are about, random arithmetic against
// a slow reference, further functions, text of every kind, and memory that runs out.
#include "expr/kernels.h"
#include "expr_case.h"
#include "nomem.h"
#include <rkpipe/num.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static rkp_pool *pool;
static rkp_frame *frame;

static int set_up(void **state)
{
    (void)state;
    pool = rkp_pool_new(256 << 20);
    frame = pool ? rkp_frame_new(pool) : NULL;
    return frame ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    rkp_frame_free(frame);
    assert_int_equal(rkp_pool_live(pool), 0);
    rkp_pool_free(pool);
    return 0;
}

static uint64_t seed = 12345;

static uint64_t random64(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed * 0x2545f4914f6cdd1du;
}

// ---- made-up columns ------------------------------------------------------------------------------------------------

static const rkp_field made_fields[] = {
    { { "a", 1 }, { .kind = RKP_I64, .nullable = 1 } },    { { "b", 1 }, { .kind = RKP_I64, .nullable = 1 } },
    { { "u", 1 }, { .kind = RKP_U64, .nullable = 1 } },    { { "v", 1 }, { .kind = RKP_U64, .nullable = 1 } },
    { { "f", 1 }, { .kind = RKP_F64, .nullable = 1 } },    { { "g", 1 }, { .kind = RKP_F64, .nullable = 1 } },
    { { "s", 1 }, { .kind = RKP_STRING, .nullable = 1 } }, { { "t", 1 }, { .kind = RKP_STRING, .nullable = 1 } },
};
enum { MADE = sizeof made_fields / sizeof *made_fields };
static const rkp_schema made_schema = { MADE, made_fields };

// Values that meet the edges often.
static rkp_str made_value(unsigned kind, char *to)
{
    static const int64_t ints[] = {
        0, 1, -1, 2, 7, -3, 10, INT64_MAX, INT64_MIN, INT64_MAX - 1, 1 << 20, 4611686018427387904
    };
    static const uint64_t uints[] = { 0, 1, 2, 7, UINT64_MAX, UINT64_MAX - 1, (uint64_t)1 << 63, INT64_MAX, 10 };
    static const double floats[] = { 0, -0.0, 1, -1, 0.1, 2.5, -2.5, 1e300, -1e300, 1e-300, 3.25, 12345.678 };
    static const char *const texts[] = { "ok", "failed", "a", "", "ab", "ok ok ok ok ok ok", "h\xc3\xa9", "z" };
    uint64_t r = random64();
    size_t n;

    if (r % 5 == 0)
        return (rkp_str){ NULL, 0 };
    switch (kind) {
    case RKP_I64:
        n = rkp_print_i64(to, r % 2 ? ints[r / 8 % (sizeof ints / sizeof *ints)] : (int64_t)(r / 8 % 2000) - 1000);
        break;
    case RKP_U64:
        n = rkp_print_u64(to, r % 2 ? uints[r / 8 % (sizeof uints / sizeof *uints)] : r / 8 % 2000);
        break;
    case RKP_F64:
        n = rkp_print_f64(to, r % 2 ? floats[r / 8 % (sizeof floats / sizeof *floats)]
                                    : (double)((int64_t)(r / 8 % 200000) - 100000) / 100);
        break;
    default:
        return rkp_str_of(texts[r / 8 % (sizeof texts / sizeof *texts)]);
    }
    return (rkp_str){ to, n };
}

// Rows as text, and as values.
static void made(uint32_t n, rkp_batch **text, rkp_batch **flat)
{
    rkp_str *fields = calloc((size_t)n * MADE, sizeof *fields);
    char *room = malloc((size_t)n * MADE * 32);

    assert_non_null(fields);
    assert_non_null(room);
    for (size_t i = 0; i < (size_t)n * MADE; i++)
        fields[i] = made_value(made_fields[i % MADE].type.kind, room + i * 32);
    *text = expr_case_text(pool, &made_schema, fields, n, RKP_TEXT_RAW);
    assert_non_null(*text);
    *flat = expr_case_flat(rkp_batch_get(*text));
    assert_non_null(*flat);
    free(fields);
    free(room);
}

static rkp_expr *compile(expr_case *c, const rkp_schema *schema, const char *text, rkp_want want)
{
    char got[1000];
    rkp_expr *e;

    c->scope.schema = schema;
    e = expr_case_compile(c, text, want);
    if (!e) {
        expr_case_findings(c, got, sizeof got);
        fail_msg("%s: %s", text, got);
    }
    return e;
}

// ---- the slow reference ---------------------------------------------------------------------------------------------

typedef struct cell {
    unsigned err; // rkp_row_error
    bool null;
    unsigned kind;
    int64_t i;
    uint64_t u;
    double f;
    rkp_str s;
} cell;

static cell read_cell(const rkp_batch *flat, uint32_t c, uint32_t row)
{
    const rkp_col *col = &flat->cols[c];
    cell x = { .kind = col->type.kind, .null = rkp_col_is_null(col, row) };

    if (x.null)
        return x;
    if (x.kind == RKP_F64)
        x.f = ((const double *)col->values)[row];
    else if (x.kind == RKP_STRING)
        x.s = rkp_view_str(col, row);
    else
        x.u = ((const uint64_t *)col->values)[row];
    x.i = (int64_t)x.u;
    return x;
}

static double as_double(cell x)
{
    return x.kind == RKP_F64 ? x.f : x.kind == RKP_U64 ? (double)x.u : (double)x.i;
}

__extension__ typedef __int128 wide;

static wide as_wide(cell x)
{
    return x.kind == RKP_U64 ? (wide)x.u : (wide)x.i;
}

static cell reference(cell a, cell b, const char *op)
{
    cell r = { .kind = RKP_I64 };
    bool floats = a.kind == RKP_F64 || b.kind == RKP_F64 || strcmp(op, "/") == 0;
    bool order = strchr("<>=!", op[0]) != NULL;
    int cmp;

    r.null = a.null || b.null;
    if (order)
        r.kind = RKP_BOOL;
    else if (floats)
        r.kind = RKP_F64;
    else if (a.kind == RKP_U64 && b.kind == RKP_U64)
        r.kind = RKP_U64;
    // u64 in the company of i64 must fit, also when the other side is null
    if (r.kind == RKP_I64)
        if ((a.kind == RKP_U64 && !a.null && a.u > INT64_MAX) || (b.kind == RKP_U64 && !b.null && b.u > INT64_MAX))
            r.err = RKP_ROW_OVERFLOW;
    if (r.null || r.err)
        return r;
    if (order) {
        if (a.kind == RKP_STRING) {
            size_t n = a.s.n < b.s.n ? a.s.n : b.s.n;

            cmp = n ? memcmp(a.s.p, b.s.p, n) : 0;
            cmp = cmp ? cmp : (a.s.n > b.s.n) - (a.s.n < b.s.n);
        } else if (floats) {
            double x = as_double(a), y = as_double(b);

            cmp = (x > y) - (x < y);
        } else {
            cmp = (as_wide(a) > as_wide(b)) - (as_wide(a) < as_wide(b));
        }
        r.i = strcmp(op, "==") == 0   ? cmp == 0
              : strcmp(op, "!=") == 0 ? cmp != 0
              : strcmp(op, "<") == 0  ? cmp < 0
              : strcmp(op, "<=") == 0 ? cmp <= 0
              : strcmp(op, ">") == 0  ? cmp > 0
                                      : cmp >= 0;
        return r;
    }
    if (floats) {
        double x = as_double(a), y = as_double(b);

        if ((strcmp(op, "//") == 0 || strcmp(op, "%") == 0) && y == 0)
            r.err = RKP_ROW_ZERO;
        else
            r.f = strcmp(op, "+") == 0    ? x + y
                  : strcmp(op, "-") == 0  ? x - y
                  : strcmp(op, "*") == 0  ? x * y
                  : strcmp(op, "/") == 0  ? x / y
                  : strcmp(op, "//") == 0 ? trunc(x / y)
                                          : fmod(x, y);
        return r;
    }
    {
        wide x = as_wide(a), y = as_wide(b), z = 0;
        bool over = false;

        if (strcmp(op, "+") == 0)
            z = x + y;
        else if (strcmp(op, "-") == 0)
            z = x - y;
        else if (strcmp(op, "*") == 0)
            over = __builtin_mul_overflow(x, y, &z);
        else if (y == 0)
            r.err = RKP_ROW_ZERO;
        else
            z = strcmp(op, "//") == 0 ? x / y : x % y;
        if (over || (r.kind == RKP_U64 ? z < 0 || z > (wide)UINT64_MAX : z < INT64_MIN || z > INT64_MAX))
            r.err = RKP_ROW_OVERFLOW;
        r.u = (uint64_t)z;
        r.i = (int64_t)z;
    }
    return r;
}

static bool same_value(const rkp_col *c, uint32_t i, cell want)
{
    uint64_t a, b;

    if (rkp_col_is_null(c, i) || want.null || want.err)
        return rkp_col_is_null(c, i) && (want.null || want.err);
    if (c->type.kind != want.kind)
        return false;
    switch (want.kind) {
    case RKP_BOOL:
        return rkp_bit(c->values, i) == (want.i != 0);
    case RKP_F64:
        memcpy(&a, (const double *)c->values + i, sizeof a);
        memcpy(&b, &want.f, sizeof b);
        return a == b || (want.f != want.f && ((const double *)c->values)[i] != ((const double *)c->values)[i]);
    default:
        return ((const uint64_t *)c->values)[i] == want.u;
    }
}

// Rows picked at random, in order, as filters leave them.
static uint32_t some_rows(uint32_t n, uint32_t *rows)
{
    uint32_t k = 0;

    for (uint32_t i = 0; i < n; i++)
        if (random64() % 3)
            rows[k++] = i;
    return k;
}

static void arithmetic_and_comparisons_agree_with_a_slow_reference(void **state)
{
    enum { N = 3000 };
    static const char *const ops[] = { "+", "-", "*", "/", "//", "%", "==", "!=", "<", "<=", ">", ">=" };
    static const char *const sides[] = { "a", "b", "u", "v", "f", "g" };
    static uint32_t rows[N], sel[N];
    rkp_batch *text, *flat, *picked[2];
    expr_case c;

    (void)state;
    made(N, &text, &flat);
    for (uint32_t i = 0; i < N; i++)
        sel[i] = (uint32_t)(random64() % N);
    picked[0] = rkp_batch_pick(text, sel, N);
    picked[1] = rkp_batch_pick(flat, sel, N);
    expr_case_init(&c);
    for (size_t o = 0; o < sizeof ops / sizeof *ops; o++) {
        for (int x = 0; x < 6; x++) {
            for (int y = 0; y < 7; y++) {
                const rkp_batch *b = random64() % 2 ? text : flat;
                bool through = random64() % 2;
                uint32_t n = random64() % 2 ? some_rows(N, rows) : N, seen = 0;
                const uint32_t *which = n < N ? rows : NULL;
                char line[40];
                rkp_errs errs = { 0 };
                rkp_col col;
                rkp_batch *mem = rkp_batch_new(pool, NULL, 0, 4096);
                rkp_expr *e;

                if (through)
                    b = picked[b == flat];
                // the last right side is a constant
                snprintf(line, sizeof line, "%s %s %s", sides[x], ops[o], y == 6 ? "7" : sides[y]);
                e = compile(&c, &made_schema, line, RKP_WANT_ANY);
                assert_int_equal(rkp_expr_eval(e, frame, mem, b, NULL, which, n, &col, &errs), RKP_OK);
                for (uint32_t i = 0; i < n; i++) {
                    uint32_t logical = which ? which[i] : i, row = through ? sel[logical] : logical;
                    cell left = read_cell(flat, (uint32_t)x, row), right = { .kind = RKP_I64, .i = 7, .u = 7 };
                    cell want;

                    if (y < 6)
                        right = read_cell(flat, (uint32_t)y, row);
                    else if (left.kind == RKP_U64)
                        right.kind = RKP_U64;
                    want = reference(left, right, ops[o]);
                    if (!same_value(&col, i, want))
                        fail_msg("%s: row %u", line, row);
                    if (want.err) {
                        if (seen == errs.n || errs.v[seen].row != logical || errs.v[seen].code != want.err)
                            fail_msg("%s: row %u has not error %u", line, row, want.err);
                        seen++;
                    }
                }
                assert_int_equal(seen, errs.n);
                rkp_errs_fini(&errs);
                rkp_batch_put(mem);
            }
        }
    }
    expr_case_fini(&c);
    rkp_batch_put(picked[0]);
    rkp_batch_put(picked[1]);
    rkp_batch_put(text);
    rkp_batch_put(flat);
}

// ---- filters --------------------------------------------------------------------------------------------------------

static void a_filter_keeps_what_the_value_says(void **state)
{
    enum { N = 5000 };
    static const char *const conditions[] = {
        "a > 0",
        "a > 0 && b > 0",
        "a > 0 && s == 'ok'",
        "s == 'ok' || t != 'a'",
        "f > 1 && f < 100 && g != 0",
        "s in ('ok', 'failed') && !(t == 'a') && a != 3",
        "is_null(a) && is_null(b)",
        "(a > 0 ? s : t) == 'ok'",
        "s ?\? t ?\? 'none' == 'none'",
        "true",
        "false",
        "null",
        "a > 0 && true && u > v",
        "s > t && length(s) > 1",
        "s =~ 'o.' && t =~ 'a'",
    };
    static uint32_t rows[N], out[N], out2[N];
    rkp_batch *b[2];
    expr_case c;

    (void)state;
    made(N, &b[0], &b[1]);
    expr_case_init(&c);
    for (size_t k = 0; k < sizeof conditions / sizeof *conditions; k++) {
        rkp_expr *e = compile(&c, &made_schema, conditions[k], RKP_WANT_BOOL);

        for (int pass = 0; pass < 6; pass++) {
            const rkp_batch *in = b[pass % 2];
            uint32_t n = pass < 2 ? N : pass < 4 ? 1 : some_rows(N, rows), kept, kept2, at = 0;
            const uint32_t *which = pass < 4 ? NULL : rows;
            rkp_batch *mem = rkp_batch_new(pool, NULL, 0, 4096);
            rkp_errs errs = { 0 }, errs2 = { 0 };
            rkp_col col;

            assert_int_equal(rkp_expr_filter(e, frame, in, NULL, which, n, out, &kept, &errs), RKP_OK);
            assert_int_equal(rkp_expr_filter(e, frame, in, NULL, which, n, out2, &kept2, &errs2), RKP_OK);
            assert_int_equal(rkp_expr_eval(e, frame, mem, in, NULL, which, n, &col, &errs2), RKP_OK);
            assert_int_equal(kept, kept2);
            assert_int_equal(errs.n, 0);
            assert_int_equal(errs2.n, 0);
            for (uint32_t i = 0; i < n; i++) {
                if (!rkp_col_is_null(&col, i) && rkp_bit(col.values, i)) {
                    assert_true(at < kept);
                    assert_int_equal(out[at], which ? which[i] : i);
                    at++;
                }
            }
            assert_int_equal(at, kept);
            rkp_errs_fini(&errs);
            rkp_errs_fini(&errs2);
            rkp_batch_put(mem);
        }
    }
    expr_case_fini(&c);
    rkp_batch_put(b[0]);
    rkp_batch_put(b[1]);
}

static void a_filter_narrows_from_left_to_right(void **state)
{
    static const rkp_field fields[] = { { { "x", 1 }, { .kind = RKP_I64, .nullable = 1 } },
                                        { { "y", 1 }, { .kind = RKP_I64, .nullable = 1 } } };
    static const rkp_schema schema = { 2, fields };
    static const rkp_str text[] = {
        { "1", 1 },  { "0", 1 },    // refused by x > 1, so y is not divided by
        { "2", 1 },  { "0", 1 },    // an error
        { "3", 1 },  { "1", 1 },    // kept
        { NULL, 0 }, { "0", 1 },    // null: refused, y is not looked at
        { "4", 1 },  { "oops", 4 }, // an error of the column
        { "oh", 2 }, { "0", 1 },    // an error of the first part
        { "1", 1 },  { "bad", 3 },  // refused before anybody looks
        { "5", 1 },  { NULL, 0 },   // null
    };
    static const struct {
        uint32_t row, code;
        int col;
        const char *what;
    } want[] = { { 1, RKP_ROW_ZERO, -1, "" }, { 4, RKP_ROW_PARSE, 1, "oops" }, { 5, RKP_ROW_PARSE, 0, "oh" } };
    rkp_batch *b = expr_case_text(pool, &schema, text, 8, RKP_TEXT_CSV);
    uint32_t out[8], n;
    rkp_errs errs = { 0 };
    expr_case c;
    rkp_expr *e;

    (void)state;
    expr_case_init(&c);
    e = compile(&c, &schema, "x > 1 && 10 // y > 2", RKP_WANT_BOOL);
    assert_int_equal(rkp_expr_filter(e, frame, b, NULL, NULL, 8, out, &n, &errs), RKP_OK);
    assert_int_equal(n, 1);
    assert_int_equal(out[0], 2);
    assert_int_equal(errs.n, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(errs.v[i].row, want[i].row);
        assert_int_equal(errs.v[i].code, want[i].code);
        assert_int_equal(errs.v[i].col, want[i].col);
        assert_true(rkp_str_is(errs.v[i].what, want[i].what));
    }
    rkp_errs_fini(&errs);
    expr_case_fini(&c);
    rkp_batch_put(b);
}

static void an_error_says_what_it_is_about(void **state)
{
    static const rkp_field fields[] = { { { "x", 1 }, { .kind = RKP_STRING, .nullable = 1 } },
                                        { { "y", 1 }, { .kind = RKP_F64, .nullable = 1 } } };
    static const rkp_schema schema = { 2, fields };
    static const rkp_str text[] = { { "12", 2 },         { "1.5", 3 }, { "twelve", 6 }, { "1", 1 },
                                    { "\"a\"\"b\"", 6 }, { "x1", 2 },  { "7", 1 },      { "\"1\"2", 4 } };
    static const struct {
        const char *text, *errs;
    } table[] = {
        { "to_int(x)", "1 cast -1 twelve;2 cast -1 a\"b;" },
        { "to_int(concat(x, '!'))", "0 cast -1 12!;1 cast -1 twelve!;2 cast -1 a\"b!;3 cast -1 7!;" },
        { "y + 1", "2 parse 1 x1;3 quotes 1 \"1\"2;" },
        { "y > 0 ? try(to_int(x)) : 1", "2 parse 1 x1;3 quotes 1 \"1\"2;" },
        { "try(y) ?\? to_float(x)", "2 cast -1 a\"b;" },
        { "y + y * y", "2 parse 1 x1;3 quotes 1 \"1\"2;" },
        { "to_int(x) + y", "1 cast -1 twelve;2 cast -1 a\"b;3 quotes 1 \"1\"2;" },
    };
    rkp_batch *b = expr_case_text(pool, &schema, text, 4, RKP_TEXT_CSV);
    expr_case c;

    (void)state;
    expr_case_init(&c);
    for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
        rkp_expr *e = compile(&c, &schema, table[k].text, RKP_WANT_ANY);
        rkp_batch *mem = rkp_batch_new(pool, NULL, 0, 4096);
        rkp_errs errs = { 0 };
        rkp_col col;
        char got[500] = "";
        size_t n = 0;

        assert_int_equal(rkp_expr_eval(e, frame, mem, b, NULL, NULL, 4, &col, &errs), RKP_OK);
        for (uint32_t i = 0; i < errs.n; i++)
            n += (size_t)snprintf(got + n, sizeof got - n, "%u %s %d " RKP_STR_FMT ";", errs.v[i].row,
                                  rkp_row_error_name(errs.v[i].code), errs.v[i].col, RKP_STR_ARG(errs.v[i].what));
        if (strcmp(got, table[k].errs) != 0)
            fail_msg("%s: %s", table[k].text, got);
        rkp_errs_fini(&errs);
        rkp_batch_put(mem);
    }
    expr_case_fini(&c);
    rkp_batch_put(b);
}

// ---- text of every kind ---------------------------------------------------------------------------------------------

static void print_all(const rkp_schema *schema, const rkp_batch *b, const char *text, const char *want)
{
    char got[2000];
    expr_case c;
    rkp_expr *e;

    expr_case_init(&c);
    e = compile(&c, schema, text, RKP_WANT_ANY);
    expr_case_print(pool, frame, e, b, NULL, NULL, b->rows, "|", got, sizeof got);
    if (strcmp(got, want) != 0)
        fail_msg("%s\n  expected  %s\n  got       %s", text, want, got);
    expr_case_fini(&c);
}

static void json_text_is_read(void **state)
{
    static const rkp_field fields[] = {
        { { "s", 1 }, { .kind = RKP_STRING, .nullable = 1 } },
        { { "f", 1 }, { .kind = RKP_F64, .nullable = 1 } },
        { { "t", 1 }, { .kind = RKP_TIMESTAMP, .nullable = 1 } },
        { { "b", 1 }, { .kind = RKP_BOOL, .nullable = 1 } },
    };
    static const rkp_schema schema = { 4, fields };
#define S(x)                                                                                                           \
    {                                                                                                                  \
        x, sizeof x - 1                                                                                                \
    }
    static const rkp_str text[] = {
        S("\"ok\""),
        S("1.5"),
        S("\"2024-03-09T10:20:30Z\""),
        S("true"),
        S("\"o\\u006b\""),
        S("-12"),
        S("\"2024-03-09 10:20:31.5Z\""),
        S("false"),
        S("null"),
        S("null"),
        S("null"),
        S("null"),
        { NULL, 0 },
        { NULL, 0 },
        { NULL, 0 },
        { NULL, 0 },
        S("\"a\\n\\\"b\""),
        S("1e3"),
        S("\"2024-03-09T10:20:32Z\""),
        S("true"),
        S("12"),
        S("\"x\""),
        S("5"),
        S("1"),
        S("\"bad\\q\""),
        S("0.1"),
        S("\"1969-12-31T23:59:59Z\""),
        S("true"),
    };
#undef S
    rkp_batch *b = expr_case_text(pool, &schema, text, 7, RKP_TEXT_JSON);

    (void)state;
    print_all(&schema, b, "try(s)", "ok|ok|null|null|a\n\"b|12|null");
    print_all(&schema, b, "s == 'ok'", "true|true|null|null|false|false|!syntax");
    print_all(&schema, b, "s != 'ok'", "false|false|null|null|true|true|!syntax");
    print_all(&schema, b, "s == '12'", "false|false|null|null|false|true|!syntax");
    print_all(&schema, b, "s == 'a\\n\"b'", "false|false|null|null|true|false|!syntax");
    print_all(&schema, b, "try(s) == 'bad'", "false|false|null|null|false|false|null");
    print_all(&schema, b, "f + 0", "1.5|-12.0|null|null|1000.0|!parse|0.1");
    print_all(&schema, b, "hour(t) * 100 + second(t)", "1030|1031|null|null|1032|!parse|2359");
    print_all(&schema, b, "b == true", "true|false|null|null|true|!parse|true");
    rkp_batch_put(b);
}

static void text_that_is_not_utf8_is_an_error_row(void **state)
{
    static const rkp_field fields[] = { { { "s", 1 }, { .kind = RKP_STRING, .nullable = 1 } },
                                        { { "r", 1 }, { .kind = RKP_BYTES, .nullable = 1 } } };
    static const rkp_schema schema = { 2, fields };
    static const rkp_str text[] = { { "ok", 2 }, { "\xff", 1 },      { "o\xff", 2 },
                                    { "k", 1 },  { "h\xc3\xa9", 3 }, { "", 0 } };
    rkp_batch *b = expr_case_text(pool, &schema, text, 3, RKP_TEXT_CSV);

    (void)state;
    print_all(&schema, b, "length(s)", "2|!utf8|2");
    print_all(&schema, b, "s == 'ok'", "true|!utf8|false");
    print_all(&schema, b, "s == 'h\\u{e9}'", "false|!utf8|true");
    print_all(&schema, b, "length(r)", "1|1|null");
    print_all(&schema, b, "r == 'k'", "false|true|null");
    rkp_batch_put(b);
}

static void nulls_of_csv_are_what_the_text_says(void **state)
{
    static const rkp_field fields[] = { { { "s", 1 }, { .kind = RKP_STRING, .nullable = 1 } },
                                        { { "f", 1 }, { .kind = RKP_F64, .nullable = 1 } } };
    static const rkp_schema schema = { 2, fields };
    static const rkp_str text[] = { { "NA", 2 },    { "-999", 4 }, { "", 0 },    { "5", 1 },    { "\"NA\"", 4 },
                                    { "\"7\"", 3 }, { "x\r", 2 },  { "8\r", 2 }, { "\"\"", 2 }, { "NA\r", 3 } };
    static const rkp_str nulls[] = { { "NA", 2 }, { "-999", 4 } };
    rkp_batch *b = expr_case_text(pool, &schema, text, 5, RKP_TEXT_CSV);

    (void)state;
    ((rkp_text *)(uintptr_t)b->text)->nulls = nulls;
    ((rkp_text *)(uintptr_t)b->text)->n_nulls = 2;
    ((rkp_text *)(uintptr_t)b->text)->cr = true;
    b->cols[1].last = true;
    print_all(&schema, b, "try(s)", "null||null|x\r|");
    print_all(&schema, b, "s == ''", "null|true|null|false|true");
    print_all(&schema, b, "s == 'NA'", "null|false|null|false|false");
    print_all(&schema, b, "f * 2", "null|10.0|14.0|16.0|null");
    rkp_batch_put(b);
}

static void columns_used_twice_are_parsed_once_and_right(void **state)
{
    enum { N = 2500 };
    rkp_batch *b[2];
    static const char *const texts[] = {
        "a > 0 && a < 1000 && a != 7",
        "f > 0 ? f : -f",
        "(a > 0 ? (f > 0 ? f : 0) : (f < 0 ? f : 1)) + f",
        "(a > 0 && f > 0) || (a < 0 && f < 0) || f == 0",
        "s == t ? s : (s > t ? t : s ?\? t)",
        "try(a * a) ?\? a ?\? b",
        "a in (b, a + 0.5, f)",
    };
    expr_case c;

    (void)state;
    made(N, &b[0], &b[1]);
    expr_case_init(&c);
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
        rkp_expr *e = compile(&c, &made_schema, texts[k], RKP_WANT_ANY);
        static char got[2][N * 24];

        for (int i = 0; i < 2; i++)
            expr_case_print(pool, frame, e, b[i], NULL, NULL, N, "|", got[i], sizeof got[i]);
        assert_string_equal(got[0], got[1]);
        assert_true(strlen(got[0]) > N);
    }
    expr_case_fini(&c);
    rkp_batch_put(b[0]);
    rkp_batch_put(b[1]);
}

// ---- views ----------------------------------------------------------------------------------------------------------

static void results_point_into_the_text_they_come_from(void **state)
{
    static const rkp_field fields[] = { { { "s", 1 }, { .kind = RKP_STRING } } };
    static const rkp_schema schema = { 1, fields };
    static const rkp_str text[] = { { "the first row is long", 21 },
                                    { "\"the second row \"\"is\"\" long\"", 28 },
                                    { "short", 5 } };
    rkp_batch *b = expr_case_text(pool, &schema, text, 3, RKP_TEXT_CSV), *mem = rkp_batch_new(pool, NULL, 0, 4096);
    rkp_errs errs = { 0 };
    rkp_col col;
    expr_case c;
    rkp_str s;

    (void)state;
    expr_case_init(&c);
    assert_int_equal(
        rkp_expr_eval(compile(&c, &schema, "substr(s, 2)", RKP_WANT_ANY), frame, mem, b, NULL, NULL, 3, &col, &errs),
        RKP_OK);
    s = rkp_view_str(&col, 0);
    assert_true(rkp_str_is(s, "he first row is long"));
    assert_ptr_equal(s.p, b->text->base + 2);
    s = rkp_view_str(&col, 1);
    assert_true(rkp_str_is(s, "he second row \"is\" long"));
    assert_true(s.p < b->text->base || s.p >= b->text->base + b->text->len);
    assert_memory_equal(((const rkp_view *)col.values)[1].u.ref.prefix, s.p, 4);
    assert_true(rkp_str_is(rkp_view_str(&col, 2), "hort"));
    rkp_batch_put(mem);
    rkp_batch_put(b);
    rkp_errs_fini(&errs);
    expr_case_fini(&c);
}

// ---- further functions ----------------------------------------------------------------------------------------------

static void random_rows_depend_on_seed_site_and_row_only(void **state)
{
    static const rkp_schema none = { 0, NULL };
    rkp_expr_extra extra = { .row = true, .site = 77, .fns = rkp_expr_random };
    static const struct {
        const char *text, *type;
    } table[] = {
        { "rand_int(1, 6)", "i64" },
        { "rand_float(-1, 1)", "f64" },
        { "rand_choice('red', 'green', 'blue')", "string" },
        { "rand_normal(100, 15)", "f64" },
        { "uuid()", "string" },
        { "rand_int(0, row)", "i64" },
        { "concat('user-', rand_int(1, 1000), '-', row)", "string" },
        { "row % 3 == 0 ? rand_int(1, 6) : rand_int(1, 6)", "i64" },
    };
    static char whole[200000], part[200000], other[200000];
    rkp_batch *b = rkp_batch_new(pool, &none, 0, 4096);
    rkp_meta meta = { .first_row = 1000 };
    uint32_t rows[100];
    expr_case c;

    (void)state;
    expr_case_init(&c);
    c.scope.extra = &extra;
    for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
        char type[RKP_TYPE_TEXT];
        rkp_expr *e = compile(&c, &none, table[k].text, RKP_WANT_ANY), *same;
        const char *p = whole;

        rkp_type_print(type, rkp_expr_type(e));
        assert_string_equal(type, table[k].type);
        assert_false(rkp_expr_is_const(e));
        rkp_frame_seed(frame, 42);
        b->rows = 3000;
        expr_case_print(pool, frame, e, b, &meta, NULL, 3000, "\n", whole, sizeof whole);
        // rows 2000 to 2099 alone, of a batch that begins elsewhere, by a program compiled again
        same = compile(&c, &none, table[k].text, RKP_WANT_ANY);
        for (uint32_t i = 0; i < 100; i++)
            rows[i] = 500 + i;
        meta.first_row = 1500;
        expr_case_print(pool, frame, same, b, &meta, rows, 100, "\n", part, sizeof part);
        meta.first_row = 1000;
        for (int i = 0; i < 1000; i++)
            p = strchr(p, '\n') + 1;
        assert_memory_equal(part, p, strlen(part));
        // another seed, another site
        rkp_frame_seed(frame, 43);
        expr_case_print(pool, frame, e, b, &meta, NULL, 3000, "\n", other, sizeof other);
        assert_string_not_equal(whole, other);
        extra.site = 78;
        rkp_frame_seed(frame, 42);
        expr_case_print(pool, frame, compile(&c, &none, table[k].text, RKP_WANT_ANY), b, &meta, NULL, 3000, "\n", other,
                        sizeof other);
        assert_string_not_equal(whole, other);
        extra.site = 77;
    }
    expr_case_fini(&c);
    rkp_batch_put(b);
}

static void random_values_are_spread_as_they_should(void **state)
{
    enum { N = 60000 };
    static const rkp_schema none = { 0, NULL };
    rkp_expr_extra extra = { .row = true, .site = 1, .fns = rkp_expr_random };
    rkp_batch *b = rkp_batch_new(pool, &none, 0, 4096), *mem = rkp_batch_new(pool, NULL, 0, 4096);
    rkp_errs errs = { 0 };
    rkp_col col;
    expr_case c;
    unsigned count[7] = { 0 };
    double sum = 0, square = 0;

    (void)state;
    expr_case_init(&c);
    c.scope.extra = &extra;
    b->rows = N;
    assert_int_equal(
        rkp_expr_eval(compile(&c, &none, "rand_int(1, 6)", RKP_WANT_ANY), frame, mem, b, NULL, NULL, N, &col, &errs),
        RKP_OK);
    for (uint32_t i = 0; i < N; i++) {
        int64_t v = ((const int64_t *)col.values)[i];

        assert_in_range(v, 1, 6);
        count[v]++;
    }
    for (int v = 1; v <= 6; v++)
        assert_in_range(count[v], N / 6 - 500, N / 6 + 500); // five standard deviations
    assert_int_equal(rkp_expr_eval(compile(&c, &none, "rand_normal(10, 2)", RKP_WANT_ANY), frame, mem, b, NULL, NULL, N,
                                   &col, &errs),
                     RKP_OK);
    for (uint32_t i = 0; i < N; i++) {
        double v = ((const double *)col.values)[i];

        sum += v;
        square += v * v;
    }
    assert_true(fabs(sum / N - 10) < 0.05);
    assert_true(fabs(sqrt(square / N - sum / N * sum / N) - 2) < 0.05);
    assert_int_equal(
        rkp_expr_eval(compile(&c, &none, "rand_float(2, 3)", RKP_WANT_ANY), frame, mem, b, NULL, NULL, N, &col, &errs),
        RKP_OK);
    sum = 0;
    for (uint32_t i = 0; i < N; i++) {
        double v = ((const double *)col.values)[i];

        assert_true(v >= 2 && v < 3);
        sum += v;
    }
    assert_true(fabs(sum / N - 2.5) < 0.01);
    assert_int_equal(errs.n, 0);
    assert_int_equal(
        rkp_expr_eval(compile(&c, &none, "rand_int(row, 5)", RKP_WANT_ANY), frame, mem, b, NULL, NULL, 10, &col, &errs),
        RKP_OK);
    assert_int_equal(errs.n, 4);
    assert_int_equal(errs.v[0].row, 6);
    assert_int_equal(errs.v[0].code, RKP_ROW_DOMAIN);
    rkp_errs_fini(&errs);
    rkp_batch_put(mem);
    rkp_batch_put(b);
    expr_case_fini(&c);
}

// ---- regular expressions --------------------------------------------------------------------------------------------

static rkp_regex *regex(expr_case *c, const char *text)
{
    return rkp_regex_compile(&c->ctx, c->diags, (rkp_word){ text, strlen(text), { "x", 3, 10, 0 } });
}

static void regular_expressions_find_groups(void **state)
{
    rkp_str g[4], s = RKP_STR("status=200 dur=1.5ms user=ann");
    expr_case c;
    rkp_regex *r;
    rkp_regex_run *m;

    (void)state;
    expr_case_init(&c);
    r = regex(&c, "status=(?<code>\\d+) dur=([0-9.]+)ms(?: user=(\\w+))?");
    assert_non_null(r);
    assert_int_equal(rkp_regex_groups(r), 3);
    assert_true(rkp_str_is(rkp_regex_group_name(r, 1), "code"));
    assert_int_equal(rkp_regex_group_name(r, 2).n, 0);
    assert_int_equal(rkp_regex_group_name(r, 9).n, 0);
    m = rkp_regex_run_new(r);
    assert_int_equal(rkp_regex_match(r, m, s, g, 4), 1);
    assert_true(rkp_str_is(g[0], s.p));
    assert_true(rkp_str_is(g[1], "200"));
    assert_true(rkp_str_is(g[2], "1.5"));
    assert_true(rkp_str_is(g[3], "ann"));
    s = RKP_STR("status=404 dur=2ms");
    assert_int_equal(rkp_regex_match(r, m, s, g, 4), 1);
    assert_null(g[3].p);
    assert_int_equal(rkp_regex_match(r, m, RKP_STR("nothing"), g, 4), 0);
    assert_int_equal(rkp_regex_match(r, m, (rkp_str){ NULL, 0 }, NULL, 0), 0);
    rkp_regex_run_free(m);
    rkp_regex_run_free(NULL);
    expr_case_fini(&c);
}

static void patterns_mean_code_points_and_bear_bad_bytes(void **state)
{
    static const struct {
        const char *pattern, *subject;
        int match;
    } t[] = {
        { "^.$", "\xc3\xa9", 1 },
        { "^..$", "\xc3\xa9", 0 },
        { "^[^a]$", "\xe2\x82\xac", 1 },
        { "a.c",
          "a\xff"
          "c",
          0 },
        { "b",
          "\xff\xfe"
          "b",
          1 },
        { "b$",
          "\xff"
          "b",
          1 },
        { "\xc3\xa9", "caf\xc3\xa9", 1 },
        { "(?i)\xc3\x89", "\xc3\xa9", 1 },
        { "a\\.b", "a.b", 1 },
        { "a\\.b", "axb", 0 },
        { "^ab", "abc", 1 },
        { "^bc", "abc", 0 },
        { "", "", 1 },
        { "^", "x", 1 },
        { "\\(x\\)", "f(x)", 1 },
        { "a#b c", "a#b c", 1 },
    };
    expr_case c;

    (void)state;
    expr_case_init(&c);
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        rkp_regex *r = regex(&c, t[i].pattern);
        rkp_regex_run *m = rkp_regex_run_new(r);
        rkp_str g;

        assert_non_null(r);
        if (rkp_regex_match(r, m, rkp_str_of(t[i].subject), &g, 1) != t[i].match)
            fail_msg("%s on %s", t[i].pattern, t[i].subject);
        rkp_regex_run_free(m);
    }
    expr_case_fini(&c);
}

static void a_limit_of_a_pattern_is_an_error_row(void **state)
{
    static const rkp_field fields[] = { { { "s", 1 }, { .kind = RKP_STRING } } };
    static const rkp_schema schema = { 1, fields };
    static char deep[600001];
    rkp_str text[] = { RKP_STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"), RKP_STR("aaa"), { deep, 600000 } };
    rkp_batch *b;

    (void)state;
    memset(deep, 'x', 600000);
    b = expr_case_text(pool, &schema, text, 3, RKP_TEXT_CSV);
    print_all(&schema, b, "s =~ '^(a+)+$'", "!regex|true|false");
    print_all(&schema, b, "length(extract(s, '^(?:(.)(.))*$', 0))", "null|null|!regex");
    print_all(&schema, b, "try(s =~ '^(a+)+$')", "null|true|false");
    rkp_batch_put(b);
}

static void a_wrong_pattern_is_found_at_its_place(void **state)
{
    char got[300];
    expr_case c;

    (void)state;
    expr_case_init(&c);
    assert_null(regex(&c, "h\xc3\xa9(a"));
    expr_case_findings(&c, got, sizeof got);
    assert_string_equal(got, "14:1 expr-regex: the pattern is wrong: missing closing parenthesis");
    assert_null(regex(&c, "\\C"));
    expr_case_fini(&c);
}

// Plain texts are searched without the library: against the obvious way.
static void texts_are_found_at_every_place(void **state)
{
    char s[100], part[20];

    (void)state;
    for (int round = 0; round < 20000; round++) {
        size_t n = random64() % 90, m = 1 + random64() % 6;
        const char *want;

        for (size_t i = 0; i < n; i++)
            s[i] = (char)('a' + random64() % 2);
        for (size_t i = 0; i < m; i++)
            part[i] = (char)('a' + random64() % 2);
        want = m <= n ? memmem(s, n, part, m) : NULL;
        assert_ptr_equal(rki_find(s, n, part, m), want);
    }
}

// ---- memory ---------------------------------------------------------------------------------------------------------

static void memory_that_runs_out_is_told_and_nothing_leaks(void **state)
{
    static const char *const texts[] = {
        "amount > 500 && status == 'ok' || name =~ '(a|b)+c'",
        "concat(upper(name), '-', to_string(amount), '-', extract(name, '(.)(?<x>.)', 'x')) ?\? 'none'",
        "id in (1,2,3,4,5,6,7,8,9,10,11) ? json_get(doc, 'a[0]') : format_time(ts, '%Y')",
        "try(to_int(name)) + small * small",
        "status in ('a','b','c','d','e','f','g','h','i','j') && date_trunc('day', ts) > '2024-01-01'",
    };
    static const char csv[] =
        "1,10,18,100.5,ok,Ann the very long name,2024-03-09T10:20:30Z,true,\"{\"\"a\"\": [1]}\",xyz,o,5,\"[1, "
        "2, 3, 4]\",1\n"
        "2,70000,3,1,\"x\"\"y\",\"Bob \"\"the\"\" Bb\",2024-03-09 10:20:30.5,no,7,\"\"\"\",p,6,\"[1, 2, 3, "
        "4]\",2\n";

    (void)state;
    if (!nomem_works())
        skip();
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
        rkp_batch *b = expr_case_batch(pool, csv, false);

        for (long n = 1;; n++) {
            expr_case c;
            rkp_expr *e;
            rkp_frame *f;
            rkp_batch *mem = NULL;
            rkp_errs errs = { 0 };
            rkp_col col;
            rkp_status st = RKP_NOMEM;
            bool done;

            expr_case_init(&c);
            nomem_at(n);
            e = expr_case_compile(&c, texts[k], RKP_WANT_ANY);
            f = rkp_frame_new(pool);
            if (e && f)
                mem = rkp_batch_new(pool, NULL, 0, 4096);
            if (mem)
                st = rkp_expr_eval(e, f, mem, b, NULL, NULL, b->rows, &col, &errs);
            done = nomem_count() < n;
            nomem_at(0);
            if (done) {
                assert_int_equal(st, RKP_OK);
                assert_non_null(e);
            } else if (!e) {
                assert_true(rki_diags_failed(c.diags));
            }
            rkp_errs_fini(&errs);
            rkp_batch_put(mem);
            rkp_frame_free(f);
            expr_case_fini(&c);
            if (done)
                break;
        }
        rkp_batch_put(b);
    }
}

static void a_warm_frame_asks_for_no_memory(void **state)
{
    enum { N = 5000 };
    static uint32_t out[N];
    rkp_batch *b[2];
    uint32_t n;
    rkp_errs errs = { 0 };
    expr_case c;
    rkp_expr *e;

    (void)state;
    if (!nomem_works())
        skip();
    made(N, &b[0], &b[1]);
    expr_case_init(&c);
    e = compile(
        &c, &made_schema,
        "a > 0 && s == 'ok' && (f ?\? 0) * 2 > 1 && concat(s, t) =~ 'o.' && (a > 5 ? upper(t) : s) in ('OK', 'ok')",
        RKP_WANT_BOOL);
    assert_int_equal(rkp_expr_filter(e, frame, b[0], NULL, NULL, N, out, &n, &errs), RKP_OK);
    nomem_from(1);
    assert_int_equal(rkp_expr_filter(e, frame, b[0], NULL, NULL, N, out, &n, &errs), RKP_OK);
    n = (uint32_t)nomem_count();
    nomem_at(0);
    assert_int_equal(n, 0);
    rkp_errs_fini(&errs);
    expr_case_fini(&c);
    rkp_batch_put(b[0]);
    rkp_batch_put(b[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arithmetic_and_comparisons_agree_with_a_slow_reference),
        cmocka_unit_test(a_filter_keeps_what_the_value_says),
        cmocka_unit_test(a_filter_narrows_from_left_to_right),
        cmocka_unit_test(an_error_says_what_it_is_about),
        cmocka_unit_test(json_text_is_read),
        cmocka_unit_test(text_that_is_not_utf8_is_an_error_row),
        cmocka_unit_test(nulls_of_csv_are_what_the_text_says),
        cmocka_unit_test(columns_used_twice_are_parsed_once_and_right),
        cmocka_unit_test(results_point_into_the_text_they_come_from),
        cmocka_unit_test(random_rows_depend_on_seed_site_and_row_only),
        cmocka_unit_test(random_values_are_spread_as_they_should),
        cmocka_unit_test(regular_expressions_find_groups),
        cmocka_unit_test(patterns_mean_code_points_and_bear_bad_bytes),
        cmocka_unit_test(a_limit_of_a_pattern_is_an_error_row),
        cmocka_unit_test(a_wrong_pattern_is_found_at_its_place),
        cmocka_unit_test(texts_are_found_at_every_place),
        cmocka_unit_test(memory_that_runs_out_is_told_and_nothing_leaks),
        cmocka_unit_test(a_warm_frame_asks_for_no_memory),
    };

    return cmocka_run_group_tests_name("expr_rows", tests, set_up, tear_down);
}
