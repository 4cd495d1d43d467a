// aggregate: every function over every type, nulls, errors, findings; quantiles against sorting; many groups against a
// naive reference; the same bytes whether groups stay in memory or move to files.
#include "fake_op.h"
#include "nomem.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <rkpipe/num.h>

#include <cmocka.h>

extern const rkp_op rkp_op_aggregate;

static uint64_t seed = 88172645463325252u;

static uint32_t rnd(uint32_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)((seed >> 33) % n);
}

// ---- functions ------------------------------------------------------------------------------------------------------

static void every_function_has_its_value(void **state)
{
    static const struct {
        const char *call, *schema, *in, *want;
    } cases[] = {
        { "count()", "x i64?", "1\n\n3\n", "3\n" },
        { "count(x)", "x i64?", "1\n\n3\n", "2\n" },
        { "count(x)", "x string?", "a\n\n''\n", "2\n" },
        { "count(x)", "x bool?", "true\n\nfalse\n", "2\n" },
        { "sum(x)", "x i64?", "1\n\n3\n-10\n", "-6\n" },
        { "sum(x)", "x i8", "127\n127\n127\n", "381\n" },
        { "sum(x)", "x u16", "65535\n65535\n", "131070\n" },
        { "sum(x)", "x u64", "18446744073709551615\n0\n", "18446744073709551615\n" },
        { "sum(x)", "x i64", "9223372036854775807\n9223372036854775807\n-9223372036854775807\n",
          "9223372036854775807\n" },
        { "sum(x)", "x i64", "-9223372036854775808\n-1\n1\n", "-9223372036854775808\n" },
        { "sum(x)", "x f64?", "0.1\n0.1\n0.1\n0.1\n0.1\n0.1\n0.1\n0.1\n0.1\n0.1\n", "1.0\n" },
        { "sum(x)", "x f64?", "1e100\n1.0\n-1e100\n", "1.0\n" },
        { "sum(x)", "x f64?", "inf\n1.0\n", "inf\n" },
        { "sum(x)", "x f64?", "inf\n-inf\n", "nan\n" },
        { "sum(x)", "x f32", "0.5\n0.25\n", "0.75\n" },
        { "sum(x)", "x f64?", "\n\n", "null\n" },
        { "sum(x)", "x i64?", "\n\n", "null\n" },
        { "mean(x)", "x i64?", "1\n2\n\n4\n", "2.3333333333333335\n" },
        { "mean(x)", "x i64", "9223372036854775807\n9223372036854775807\n", "9.223372036854776e+18\n" },
        { "mean(x)", "x f64?", "1.5\n\n2.5\n", "2.0\n" },
        { "mean(x)", "x f64?", "\n", "null\n" },
        { "min(x)", "x i64?", "3\n\n-2\n7\n", "-2\n" },
        { "max(x)", "x i64?", "3\n\n-2\n7\n", "7\n" },
        { "min(x)", "x i64?", "\n\n", "null\n" },
        { "min(x)", "x u64", "18446744073709551615\n9223372036854775808\n", "9223372036854775808\n" },
        { "max(x)", "x u64", "1\n18446744073709551615\n2\n", "18446744073709551615\n" },
        { "min(x)", "x f64?", "nan\n2.5\n-1.5\n", "-1.5\n" },
        { "max(x)", "x f64?", "2.5\nnan\n3.5\n", "nan\n" },
        { "min(x)", "x f64?", "nan\n", "nan\n" },
        { "max(x)", "x f32", "0.5\n0.75\n", "0.75\n" },
        { "max(x)", "x i16", "-3\n-300\n", "-3\n" },
        { "min(x)", "x bool?", "true\nfalse\n\n", "false\n" },
        { "max(x)", "x bool?", "true\nfalse\n\n", "true\n" },
        { "max(x)", "x timestamp", "2024-01-01T00:00:00Z\n2023-01-01T00:00:00Z\n", "2024-01-01T00:00:00Z\n" },
        { "min(x)", "x string?", "b\n\nab\na longer text than a view holds\nabc\n",
          "a longer text than a view holds\n" },
        { "max(x)", "x string?", "b\n\nab\nbb\nba\n", "bb\n" },
        { "max(x)", "x string?", "\n", "null\n" },
        { "min(x)", "x string?", "''\na\n", "\n" },
        { "first(x)", "x i64?", "\n5\n6\n", "5\n" },
        { "last(x)", "x i64?", "5\n6\n\n", "6\n" },
        { "first(x)", "x string?", "\nthe first of all texts\nb\n", "the first of all texts\n" },
        { "last(x)", "x string?", "a\nb\na much longer text at the end\n\n", "a much longer text at the end\n" },
        { "last(x)", "x f32?", "1.5\n0.1\n", "0.1\n" },
        { "last(x)", "x timestamp?", "2024-01-01T00:00:00Z\n2024-01-01T00:00:01.5Z\n", "2024-01-01T00:00:01.500Z\n" },
        { "first(x)", "x bool", "false\ntrue\n", "false\n" },
        { "variance(x)", "x f64?", "1.0\n2.0\n\n4.0\n", "2.333333333333333\n" },
        { "variance(x)", "x i64", "2\n4\n4\n4\n5\n5\n7\n9\n", "4.571428571428571\n" },
        { "stddev(x)", "x i64", "2\n4\n4\n4\n5\n5\n7\n9\n", "2.138089935299395\n" },
        { "stddev(x)", "x f64?", "1.0\n\n", "null\n" },
        { "stddev(x)", "x f64?", "1.0\n1.0\n1.0\n", "0.0\n" },
        { "distinct(x)", "x i64?", "1\n2\n\n1\n\n3\n", "3\n" },
        { "distinct(x)", "x f64?", "0.0\n-0.0\nnan\nnan\n1.0\n", "3\n" },
        { "distinct(x)", "x string?", "a\nb\na\n\n''\nlonger than twelve bytes\nlonger than twelve bytes\n", "4\n" },
        { "distinct(x)", "x bool?", "true\ntrue\n\n", "1\n" },
        { "distinct(x)", "x string?", "\n", "0\n" },
        { "quantile(x, 0.5)", "x i64?", "4\n1\n\n3\n2\n", "2.5\n" },
        { "quantile(x, 0)", "x f64?", "4.5\n1.25\n3.0\n", "1.25\n" },
        { "quantile(x, 1)", "x f64?", "4.5\n1.25\n3.0\n", "4.5\n" },
        { "quantile(x, 0.25)", "x f64?", "4.0\n1.0\n3.0\n2.0\n5.0\n", "2.0\n" },
        { "quantile(x, 0.95)", "x f64?", "10.0\n20.0\n", "19.5\n" },
        { "quantile(x, 0.5)", "x f64?", "\n", "null\n" },
        { "quantile(x, 0.5)", "x f64?", "nan\n1.0\n-inf\n", "1.0\n" },
        { "quantile(x, 1.0)", "x f64?", "nan\n1.0\n-inf\n", "nan\n" },
        { "quantile(x, 0.5)", "x f64?", "inf\ninf\n", "inf\n" },
        { "quantile(x, .5)", "x f32", "0.1\n", "0.10000000149011612\n" },
        { "quantile(x, 0.5)", "x f64?", "-0.01\n1e300\n0.30000000000000004\n", "0.30000000000000004\n" },
        { "approx_quantile(x, 0.5)", "x i64?", "4\n1\n\n3\n2\n", "2.5\n" },
        { "approx_quantile(x, 0.9)", "x f64?", "inf\n1.0\n", "inf\n" },
        { "approx_quantile(x, 1)", "x f64?", "inf\n1.0\n-inf\n", "inf\n" },
        { "approx_quantile(x, 0)", "x f64?", "inf\n1.0\n-inf\n", "-inf\n" },
        { "approx_quantile(x, 0.5)", "x f64?", "inf\n1.0\n-inf\n", "1.0\n" },
        { "approx_quantile(x, 0.5)", "x f64?", "\n", "null\n" },
        { " sum ( x * 2 + length('a, (b') ) ", "x i64?", "1\n2\n", "16\n" },
        { "sum(x > 1 ? 1 : 0)", "x i64?", "1\n2\n3\n", "2\n" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char with[128];

        snprintf(with, sizeof with, "compute: { y: \"%s\" }", cases[i].call);
        op_expect(&rkp_op_aggregate, with, cases[i].schema, cases[i].in, cases[i].want);
    }
}

static void no_rows_are_one_group_without_keys_and_none_with(void **state)
{
    (void)state;
    op_expect(&rkp_op_aggregate,
              "compute: { a: count(), b: sum(x), c: min(x), d: distinct(x), e: 'quantile(x, 0.5)', f: last(x), "
              "g: count(x), h: stddev(x) }",
              "x i64?", "", "0|null|null|0|null|null|0|null\n");
    op_expect(&rkp_op_aggregate, "{ by: [x], compute: { a: count() } }", "x i64?", "", "");
}

static void groups_come_out_in_the_order_of_their_first_rows(void **state)
{
    static const char in[] = "b|2|1.5\na|1|2.5\nb||3.5\n||4.5\na|1|\nb|2|5.5\n|2|\n||6.5\n";

    (void)state;
    op_expect(&rkp_op_aggregate, "{ by: [k], compute: { n: count(), s: sum(x), m: mean(f), l: last(f) } }",
              "k string?, x i64?, f f64?", in, "b|3|4|3.5|5.5\na|2|2|2.5|2.5\nnull|3|2|5.5|6.5\n");
    op_expect(&rkp_op_aggregate, "{ by: [x, k], compute: { n: count() } }", "k string?, x i64?, f f64?", in,
              "2|b|2\n1|a|2\nnull|b|1\nnull|null|2\n2|null|1\n");
    op_expect(&rkp_op_aggregate, "{ by: [x], compute: { k: first(k) } }", "k string?, x i64?, f f64?", in,
              "2|b\n1|a\nnull|b\n");
}

static void keys_of_every_type_come_out_as_they_came_in(void **state)
{
    static const struct {
        const char *type, *in, *want;
    } cases[] = {
        { "bool?", "true\nfalse\n\ntrue\n", "true|2\nfalse|1\nnull|1\n" },
        { "i8", "-128\n127\n-128\n", "-128|2\n127|1\n" },
        { "i16", "-129\n129\n-129\n", "-129|2\n129|1\n" },
        { "i32?", "-70000\n70000\n-70000\n\n", "-70000|2\n70000|1\nnull|1\n" },
        { "i64", "-9223372036854775808\n0\n0\n", "-9223372036854775808|1\n0|2\n" },
        { "u8", "255\n0\n255\n", "255|2\n0|1\n" },
        { "u16", "65535\n0\n", "65535|1\n0|1\n" },
        { "u32", "4294967295\n0\n", "4294967295|1\n0|1\n" },
        { "u64?", "18446744073709551615\n0\n\n", "18446744073709551615|1\n0|1\nnull|1\n" },
        { "f32", "0.5\n0.1\n0.5\n", "0.5|2\n0.1|1\n" },
        { "f64?", "0.1\nnan\n-0.0\n0.0\nnan\n\n", "0.1|1\nnan|2\n0.0|2\nnull|1\n" },
        { "timestamp?", "2024-01-01T00:00:00Z\n\n2024-01-01T00:00:00Z\n", "2024-01-01T00:00:00Z|2\nnull|1\n" },
        { "string?", "x\n\n''\nx\nexactly 12 b\nthirteen byte\nthirteen bytf\nthirteen byte\n",
          "x|2\nnull|1\n|1\nexactly 12 b|1\nthirteen byte|2\nthirteen bytf|1\n" },
        { "bytes", "a\nb\na\n", "a|2\nb|1\n" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char schema[32];

        snprintf(schema, sizeof schema, "x %s", cases[i].type);
        op_expect(&rkp_op_aggregate, "{ by: [x], compute: { n: count() } }", schema, cases[i].in, cases[i].want);
    }
}

static void a_sum_that_does_not_fit_is_an_error_row_of_its_group(void **state)
{
    struct op_run run;

    (void)state;
    op_open(&run,
            (fake_conf){ .op = &rkp_op_aggregate,
                         .with = "{ by: [k], compute: { s: sum(x), n: count() } }",
                         .on_error = FAKE_DROP },
            "k i64, x i64", OP_FLAT);
    op_feed(&run,
            "1|9223372036854775807\n2|5\n1|1\n3|-9223372036854775808\n3|-1\n4|-9223372036854775808\n"
            "5|9223372036854775807\n5|1\n5|-1\n",
            0);
    assert_int_equal(fake_end(run.f), RKP_DONE);
    assert_string_equal(fake_rows(run.f, 0), "2|5|1\n4|-9223372036854775808|1\n5|9223372036854775807|3\n");
    assert_string_equal(fake_reject_text(run.f), "integer_overflow|1|sum(x)|:0\ninteger_overflow|1|sum(x)|:0\n");
    op_close(&run);
    op_start(&run, &rkp_op_aggregate, "compute: { s: sum(x) }", "x u64", OP_FLAT);
    op_feed(&run, "18446744073709551615\n1\n", 0);
    assert_int_equal(fake_end(run.f), RKP_FAIL);
    op_close(&run);
}

static void a_row_in_error_is_rejected_as_a_whole(void **state)
{
    struct op_run run;

    (void)state;
    op_open(&run,
            (fake_conf){ .op = &rkp_op_aggregate,
                         .with = "{ by: [k], compute: { n: count(), s: sum(x), t: sum(y // x) } }",
                         .on_error = FAKE_DROP },
            "k i64?, x i64?, y i64?", OP_TEXT);
    op_feed(&run, "1|2|10\nno|2|10\n1|no|10\n1|0|10\n1|5|10\n2||no\n2||10\n", 0);
    assert_int_equal(fake_end(run.f), RKP_DONE);
    assert_string_equal(fake_rows(run.f, 0), "1|2|7|7\n2|1|null|null\n");
    assert_int_equal(run.f->n_rejects, 4);
    assert_int_equal(run.f->rejects[0].row, 1);
    assert_int_equal(run.f->rejects[2].code, RKP_ROW_ZERO);
    assert_int_equal(run.f->absorbed, 3);
    op_close(&run);
}

static void the_output_has_the_types_that_are_promised(void **state)
{
    struct op_run run;
    static const char *const want[] = { "u16?",    "i64",        "i64?", "u64?", "f64?",  "f64?", "i8?",
                                        "string?", "timestamp?", "f64?", "i64",  "bool?", "f32?" };

    (void)state;
    op_start(&run, &rkp_op_aggregate,
             "{ by: [k], compute: { a: count(), b: sum(i), c: sum(u), d: sum(f), e: mean(i), f: min(i), g: max(s), "
             "h: first(t), i: 'quantile(i, 0.5)', j: distinct(s), k2: last(b), l: max(f) } }",
             "k u16?, i i8, u u64, f f32, s string, t timestamp, b bool", OP_FLAT);
    assert_int_equal(run.f->outs[0].n, sizeof want / sizeof *want);
    for (uint32_t i = 0; i < run.f->outs[0].n; i++) {
        char t[RKP_TYPE_TEXT];

        rkp_type_print(t, run.f->outs[0].f[i].type);
        assert_string_equal(t, want[i]);
    }
    op_close(&run);
}

static void wrong_calls_are_refused_with_their_place(void **state)
{
    static const struct {
        const char *with, *finding;
    } cases[] = {
        { "compute: { y: \"sum(x) / count()\" }", "[aggregate-call]" },
        { "compute: { y: \"x\" }", "[aggregate-call]" },
        { "compute: { y: \"sum(x\" }", "[aggregate-call]" },
        { "compute: { y: \"sum('x)\" }", "[aggregate-call]" },
        { "compute: { y: \"(x)\" }", "[aggregate-call]" },
        { "compute: { y: \"avg(x)\" }", "here it is mean(x)" },
        { "compute: { y: \"median(x)\" }", "here it is quantile(x, q)" },
        { "compute: { y: \"frobnicate(x)\" }", "[aggregate-unknown]" },
        { "compute: { y: \"sum()\" }", "[aggregate-arguments]" },
        { "compute: { y: \"sum(x, x)\" }", "[aggregate-arguments]" },
        { "compute: { y: \"count(x, x)\" }", "[aggregate-arguments]" },
        { "compute: { y: \"quantile(x)\" }", "[aggregate-arguments]" },
        { "compute: { y: \"quantile(x, 95)\" }", "from 0 to 1" },
        { "compute: { y: \"quantile(x, nan)\" }", "from 0 to 1" },
        { "compute: { y: \"quantile(x, 0.5, 1, 2)\" }", "[aggregate-arguments]" },
        { "compute: { y: \"sum(s)\" }", "[aggregate-type]" },
        { "compute: { y: \"sum(b)\" }", "sum(b ? 1 : 0)" },
        { "compute: { y: \"mean(t)\" }", "[aggregate-type]" },
        { "compute: { y: \"min(v)\" }", "[aggregate-type]" },
        { "compute: { y: \"sum(nothing)\" }", "nothing" },
        { "compute: { y: \"sum(x +)\" }", "test.yaml:1:" },
        { "compute: { s: count() }\nby: [s]", "[aggregate-repeated]" },
        { "compute: { y: count() }\nby: [s, s]", "[aggregate-repeated]" },
        { "compute: { y: count() }\nby: [none]", "no column 'none'" },
        { "compute: { y: count() }\nby: [v]", "[aggregate-type]" },
        { "by: [s]", "compute" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        op_refuses(&rkp_op_aggregate, cases[i].with, "x i64?, s string, b bool, t timestamp, v f32[4]",
                   cases[i].finding);
    op_refuses(&rkp_op_aggregate, "compute: { y: \"sum(x + 'a')\" }", "x i64?, s string", "test.yaml:1:");
    op_refuses(&rkp_op_aggregate, "compute: { y: \"sum(nothing)\" }", "x i64?", "test.yaml:1:20");
}

static void many_functions_at_once_do_not_disturb_each_other(void **state)
{
    (void)state;
    op_expect(&rkp_op_aggregate,
              "{ by: [k], compute: { a: min(x), b: max(x), c: first(x), d: last(x), e: 'quantile(x, 0.5)', "
              "f: distinct(s), g: min(s), h: max(s), i: 'approx_quantile(x, 0.5)', j: sum(x), k2: mean(x), "
              "l: distinct(x), m: count(s), n: 'quantile(x, 1)', o: variance(x) } }",
              "k i64, x i64?, s string?", "1|5|b\n2|7|a\n1|3|a\n1||b\n2|9|\n1|4|c\n",
              "1|3|5|5|4|4.0|3|a|c|4.0|12|4.0|3|4|5.0|1.0\n2|7|9|7|9|8.0|1|a|a|8.0|16|8.0|2|1|9.0|2.0\n");
}

// ---- quantiles ------------------------------------------------------------------------------------------------------

static int compare_f64(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;

    return a < b ? -1 : a > b;
}

static double naive_quantile(double *v, size_t n, double q)
{
    double h = (double)(n - 1) * q;
    size_t lo = (size_t)h;

    qsort(v, n, sizeof *v, compare_f64);
    if (lo + 1 >= n || v[lo] == v[lo + 1])
        return v[lo];
    return v[lo] + (v[lo + 1] - v[lo]) * (h - (double)lo);
}

// Feeds doubles as one column in batches of 5,000.
static void feed_values(struct op_run *run, const double *v, size_t n)
{
    for (size_t from = 0; from < n; from += 5000) {
        uint32_t m = n - from < 5000 ? (uint32_t)(n - from) : 5000;
        rkp_batch *b = rkp_batch_new(run->f->pool, &run->schema, 1, 4096);
        double *to;

        assert_non_null(b);
        to = rkp_batch_alloc(b, m * sizeof *to);
        assert_non_null(to);
        memcpy(to, v + from, m * sizeof *to);
        b->rows = m;
        rkp_col_set_values(b, 0, run->schema.f[0].type, to, NULL, m);
        assert_int_equal(fake_feed(run->f, 0, b), RKP_DONE);
    }
}

// How values are made: whole numbers, prices, prices that become something else later, anything.
static double make_value(int kind, size_t i, size_t n)
{
    switch (kind) {
    case 0:
        return (double)rnd(1000) - 500;
    case 1:
        return ((double)rnd(2000000) - 1000) / 100;
    case 2:
        return i < n / 3 ? (double)rnd(100) : i < n / 2 ? (double)rnd(1000) / 1000 : (double)rnd(1000000) * 1e9 + 0.1;
    case 3:
        return (double)rnd(1u << 30) * 0x1p-20 * (rnd(2) ? 1 : -1);
    default:
        return rnd(100) ? 42.5 : (double)rnd(3);
    }
}

static void quantiles_are_those_of_a_sorted_list(void **state)
{
    static const size_t sizes[] = { 1, 2, 3, 5, 33, 100, 1000, 5000, 70000, 140000, 300000 };

    (void)state;
    for (int kind = 0; kind < 5; kind++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            size_t n = sizes[s];
            double *v = malloc(n * sizeof *v), qs[] = { 0, 0.01, 0.25, 0.5, 0.95, 0.999, 1 };
            struct op_run run;
            rkp_batch *out;

            assert_non_null(v);
            for (size_t i = 0; i < n; i++)
                v[i] = make_value(kind, i, n);
            op_start(&run, &rkp_op_aggregate,
                     "compute: { a: 'quantile(x, 0)', b: 'quantile(x, 0.01)', c: 'quantile(x, 0.25)', "
                     "d: 'quantile(x, 0.5)', e: 'quantile(x, 0.95)', f: 'quantile(x, 0.999)', g: 'quantile(x, 1)' }",
                     "x f64", OP_FLAT);
            feed_values(&run, v, n);
            assert_int_equal(fake_end(run.f), RKP_DONE);
            out = run.f->out[0].b;
            for (int k = 0; k < 7; k++) {
                double got = *(const double *)out->cols[k].values, want = naive_quantile(v, n, qs[k]);

                if (got != want)
                    fail_msg("kind %d, %zu values, q %g: %.17g, not %.17g", kind, n, qs[k], got, want);
            }
            op_close(&run);
            free(v);
        }
}

static void approximate_quantiles_are_near_in_rank_and_bounded_in_memory(void **state)
{
    enum { N = 200000 };
    double *v = malloc(N * sizeof *v), qs[] = { 0, 0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999, 1 };

    (void)state;
    assert_non_null(v);
    for (int kind = 0; kind < 7; kind++) {
        struct op_run run;
        rkp_batch *out;

        for (size_t i = 0; i < N; i++)
            v[i] = kind == 5 ? (double)i : kind == 6 ? (double)(N - i) * (double)(N - i) : make_value(kind, i, N);
        op_start(
            &run, &rkp_op_aggregate,
            "compute: { a: 'approx_quantile(x, 0)', b: 'approx_quantile(x, 0.001)', c: 'approx_quantile(x, 0.01)', "
            "d: 'approx_quantile(x, 0.1)', e: 'approx_quantile(x, 0.25)', f: 'approx_quantile(x, 0.5)', "
            "g: 'approx_quantile(x, 0.75)', h: 'approx_quantile(x, 0.95)', i: 'approx_quantile(x, 0.99)', "
            "j: 'approx_quantile(x, 0.999)', k: 'approx_quantile(x, 1)' }",
            "x f64", OP_FLAT);
        feed_values(&run, v, N);
        if (run.f->state_used > 80 << 10)
            fail_msg("%llu bytes", (unsigned long long)run.f->state_used);
        assert_int_equal(fake_end(run.f), RKP_DONE);
        out = run.f->out[0].b;
        qsort(v, N, sizeof *v, compare_f64);
        for (int k = 0; k < 11; k++) {
            double got = *(const double *)out->cols[k].values, q = qs[k];
            size_t lo = 0, hi = N;
            double from, to, off;

            for (size_t a = 0, b = N; a < b;) { // ranks of the values around it
                size_t m = (a + b) / 2;

                if (v[m] < got)
                    lo = a = m + 1;
                else
                    b = m;
            }
            for (size_t a = 0, b = N; a < b;) {
                size_t m = (a + b) / 2;

                if (v[m] <= got)
                    a = m + 1;
                else
                    hi = b = m;
            }
            from = ((double)lo - 1) / (N - 1);
            to = (double)hi / (N - 1);
            off = q < from ? from - q : q > to ? q - to : 0;
            if (off > 0.04 * q * (1 - q) + 2.0 / N)
                fail_msg("kind %d, q %g: %g is of rank %g to %g", kind, q, got, from, to);
        }
        op_close(&run);
    }
    free(v);
}

// ---- many groups ----------------------------------------------------------------------------------------------------

struct group {
    char key[48];
    int64_t k2, first, last, sum, min, n, n_x;
    double fsum, *values;
    size_t n_values;
    char text[64];
    bool seen[64];
    int64_t distinct;
};

// Rows of `groups` groups; *want is what comes out, computed one row at a time.
static char *make_rows(uint32_t n, uint32_t groups, char **want)
{
    struct group *g = calloc(groups + 1, sizeof *g), **order = calloc(groups + 1, sizeof *order);
    uint32_t n_order = 0;
    char *in = malloc((size_t)n * 128 + 1), *to = in;

    assert_true(g && order && in);
    *to = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t id = rnd(groups), word = rnd(64);
        bool null = rnd(8) == 0;
        int64_t x = (int64_t)rnd(100000) - 50000;
        double f = (double)rnd(10000) / 100;
        struct group *t = &g[id];
        char text[64];

        if (!t->n) {
            snprintf(t->key, sizeof t->key, id % 3 ? "k%u" : "a key that is longer %u", id);
            t->k2 = id % 5;
            order[n_order++] = t;
        }
        snprintf(text, sizeof text, word % 2 ? "w%u" : "a word of some length %u", word);
        if (null)
            to += sprintf(to, "%s|%lld||%.2f|%s\n", t->key, (long long)t->k2, f, text);
        else
            to += sprintf(to, "%s|%lld|%lld|%.2f|%s\n", t->key, (long long)t->k2, (long long)x, f, text);
        t->n++;
        if (!null) {
            if (!t->n_x++)
                t->first = t->min = x;
            t->last = x;
            t->sum += x;
            t->min = x < t->min ? x : t->min;
        }
        if (t->n_values % 16 == 0)
            t->values = realloc(t->values, (t->n_values + 16) * sizeof *t->values);
        t->values[t->n_values++] = f;
        if (!t->text[0] || strcmp(text, t->text) > 0)
            strcpy(t->text, text);
        t->distinct += !t->seen[word];
        t->seen[word] = true;
    }
    *want = to = malloc((size_t)n_order * 256 + 1);
    assert_non_null(to);
    *to = 0;
    for (uint32_t i = 0; i < n_order; i++) {
        struct group *t = order[i];
        char p50[RKP_F64_TEXT + 1] = "";
        size_t k;

        to += sprintf(to, "%s|%lld|%lld|", t->key, (long long)t->k2, (long long)t->n);
        if (t->n_x)
            to += sprintf(to, "%lld|%lld|%lld|%lld", (long long)t->sum, (long long)t->min, (long long)t->first,
                          (long long)t->last);
        else
            to += sprintf(to, "null|null|null|null");
        k = rkp_print_f64(p50, naive_quantile(t->values, t->n_values, 0.5));
        p50[k] = 0;
        to += sprintf(to, "|%s|%s|%lld\n", p50, t->text, (long long)t->distinct);
        free(t->values);
    }
    free(order);
    free(g);
    return in;
}

static const char many_with[] = "{ by: [k, j], compute: { n: count(), s: sum(x), lo: min(x), a: first(x), z: last(x), "
                                "p: 'quantile(f, 0.5)', t: max(w), d: distinct(w) } }";
static const char many_schema[] = "k string?, j i32, x i64?, f f64, w string";

static void many_groups_are_those_of_a_naive_reference(void **state)
{
    (void)state;
    for (int round = 0; round < 12; round++) {
        uint32_t n = 1 + rnd(8000), groups = 1 + rnd(rnd(2) ? 20 : 5000);
        char *want, *in = make_rows(n, groups, &want), *got;

        got = op_rows(&rkp_op_aggregate, many_with, many_schema, in, 1 + rnd(5000), (enum op_form)rnd(OP_FORMS));
        assert_string_equal(got, want);
        free(in);
        free(want);
        free(got);
    }
}

static void the_answer_is_the_same_when_groups_move_to_files(void **state)
{
    (void)state;
    for (int round = 0; round < 12; round++) {
        uint32_t n = 6000 + rnd(6000), groups = 200 + rnd(6000);
        uint64_t limit = 60000 + rnd(400000);
        char *want, *in = make_rows(n, groups, &want);
        struct op_run run;

        op_open(&run, (fake_conf){ .op = &rkp_op_aggregate, .with = many_with, .state_limit = limit }, many_schema,
                (enum op_form)rnd(OP_FORMS));
        if (op_feed(&run, in, 1 + rnd(2000)) == RKP_FAIL || fake_end(run.f) == RKP_FAIL)
            fail_msg("limit %llu, %u groups: %s", (unsigned long long)limit, groups, run.f->fail);
        assert_string_equal(fake_rows(run.f, 0), want);
        assert_true(run.f->counts[2] > 0);
        op_close(&run);
        free(in);
        free(want);
    }
}

// Sums of floats, spreads and digests have no naive reference to the bit; memory must not change them either.
static void floats_do_not_depend_on_memory_or_batches(void **state)
{
    static const char with[] =
        "{ by: [k], compute: { s: sum(f), m: mean(f), d: stddev(f), q: 'approx_quantile(f, 0.9)', "
        "z: min(f), p: 'quantile(g, 0.9)' } }";
    static const char schema[] = "k i64?, f f64?, g f64?";
    enum { N = 30000 };
    char *in = malloc(N * 80), *to = in, *want;

    (void)state;
    assert_non_null(in);
    for (uint32_t i = 0; i < N; i++) {
        uint32_t k = rnd(3) ? rnd(3) : rnd(1500);

        to += sprintf(to, "%u|%.17g|%.17g\n", k, (double)rnd(1u << 30) * 1e-3 + 0.5, (double)rnd(1u << 30) / 7 + 0.5);
    }
    want = op_rows(&rkp_op_aggregate, with, schema, in, 0, OP_FLAT);
    for (int i = 0; i < 6; i++) {
        struct op_run run;

        op_open(&run,
                (fake_conf){
                    .op = &rkp_op_aggregate, .with = with, .state_limit = i < 2 ? 0 : 200000u + 50000u * (unsigned)i },
                schema, OP_FLAT);
        if (op_feed(&run, in, i == 1 ? 1 : 1 + rnd(3000)) == RKP_FAIL || fake_end(run.f) == RKP_FAIL)
            fail_msg("%s", run.f->fail);
        assert_string_equal(fake_rows(run.f, 0), want);
        if (i >= 2)
            assert_true(run.f->counts[1] > 0 && run.f->counts[2] > 0);
        op_close(&run);
    }
    free(in);
    free(want);
}

static void parts_that_do_not_fit_are_cut_again(void **state)
{
    enum { N = 60000 };
    char *in = malloc(N * 40), *to = in, *want = malloc(N * 60), *w = want;
    struct op_run run;

    (void)state;
    assert_true(in && want);
    for (uint32_t i = 0; i < 2 * N; i++)
        if (i < N) {
            to += sprintf(to, "%u|%u\n", i * 2654435761u, i);
            w += sprintf(w, "%u|2|%u\n", i * 2654435761u, 2 * i);
        }
    op_open(&run,
            (fake_conf){ .op = &rkp_op_aggregate,
                         .with = "{ by: [k], compute: { n: count(), s: sum(x) } }",
                         .state_limit = 40000 },
            "k u32, x i64", OP_FLAT);
    assert_int_equal(op_feed(&run, in, 4000), RKP_DONE);
    assert_int_equal(op_feed(&run, in, 4000), RKP_DONE);
    if (fake_end(run.f) == RKP_FAIL)
        fail_msg("%s", run.f->fail);
    assert_string_equal(fake_rows(run.f, 0), want);
    assert_true(run.f->counts[1] > 2 * (uint64_t)N); // rows went twice and more
    op_close(&run);
    free(in);
    free(want);
}

static void one_group_that_does_not_fit_fails_with_the_figure(void **state)
{
    struct op_run run;
    double *v = malloc(60000 * sizeof *v);
    rkp_verdict verdict = RKP_DONE;

    (void)state;
    assert_non_null(v);
    op_open(&run,
            (fake_conf){ .op = &rkp_op_aggregate, .with = "compute: { p: 'quantile(x, 0.5)' }", .state_limit = 100000 },
            "x f64", OP_FLAT);
    for (int i = 0; i < 60 && verdict != RKP_FAIL; i++) {
        rkp_batch *b = rkp_batch_new(run.f->pool, &run.schema, 1, 4096);
        double *to = rkp_batch_alloc(b, 1000 * sizeof *to);

        for (int k = 0; k < 1000; k++)
            to[k] = (double)rnd(1u << 30) / 7;
        b->rows = 1000;
        rkp_col_set_values(b, 0, run.schema.f[0].type, to, NULL, 1000);
        verdict = fake_feed(run.f, 0, b);
    }
    assert_int_equal(verdict, RKP_FAIL);
    assert_int_equal(run.f->fail_st, RKP_NOMEM);
    assert_non_null(strstr(run.f->fail, "1 group takes"));
    assert_non_null(strstr(run.f->fail, "100000 bytes"));
    assert_non_null(strstr(run.f->fail, "approx_quantile"));
    op_close(&run);
    free(v);
}

static void a_sum_that_does_not_fit_is_rejected_after_spilling_too(void **state)
{
    enum { N = 4000 };
    char *in = malloc(N * 60), *to = in;
    struct op_run run;

    (void)state;
    assert_non_null(in);
    for (uint32_t i = 0; i < N; i++)
        to += sprintf(to, "%u|%s\n", i % 2000, i % 2000 < 200 ? "9223372036854775807" : "1");
    op_open(&run,
            (fake_conf){ .op = &rkp_op_aggregate,
                         .with = "{ by: [k], compute: { s: sum(x) } }",
                         .state_limit = 50000,
                         .on_error = FAKE_DROP },
            "k u32, x i64", OP_FLAT);
    op_feed(&run, in, 100);
    assert_int_equal(fake_end(run.f), RKP_DONE);
    assert_true(run.f->counts[2] > 0);
    assert_int_equal(run.f->emitted[0], 1800);
    assert_int_equal(run.f->n_rejects, 200);
    assert_int_equal(strncmp(fake_rows(run.f, 0), "200|2\n201|2\n202|2\n", 18), 0);
    op_close(&run);
    free(in);
}

static void memory_stays_near_the_share(void **state)
{
    enum { LIMIT = 300000 };
    char *want, *in = make_rows(20000, 8000, &want);
    struct op_run run;
    const char *p = in;

    (void)state;
    op_open(&run, (fake_conf){ .op = &rkp_op_aggregate, .with = many_with, .state_limit = LIMIT }, many_schema,
            OP_FLAT);
    while (*p) {
        const char *end = p;
        char *part;

        for (int i = 0; i < 500 && *end; i++)
            end += strcspn(end, "\n") + 1;
        part = strndup(p, (size_t)(end - p));
        op_feed(&run, part, 0);
        free(part);
        p = end;
        assert_true(run.f->state_used <= LIMIT);
    }
    assert_int_equal(fake_end(run.f), RKP_DONE);
    assert_true(run.f->state_used <= LIMIT);
    assert_string_equal(fake_rows(run.f, 0), want);
    op_close(&run);
    free(in);
    free(want);
}

static void every_allocation_may_fail(void **state)
{
    char *want, *in = make_rows(500, 300, &want);

    (void)state;
    if (!nomem_works())
        skip();
    for (uint64_t limit = 0; limit <= 40000; limit += 40000)
        for (long n = 1;; n += 1 + n / 200) {
            struct op_run run;
            rkp_batch *b;
            bool done;

            op_open(&run, (fake_conf){ .op = &rkp_op_aggregate, .with = many_with, .state_limit = limit }, many_schema,
                    OP_FLAT);
            b = op_batch(&run, in);
            nomem_at(n);
            fake_feed(run.f, 0, b);
            if (run.f->verdict != RKP_FAIL)
                fake_end(run.f);
            done = nomem_count() < n;
            nomem_at(0);
            if (run.f->verdict != RKP_FAIL)
                assert_string_equal(fake_rows(run.f, 0), want);
            op_close(&run);
            if (done)
                break;
        }
    free(in);
    free(want);
}

static void the_examples_are_true(void **state)
{
    (void)state;
    op_examples(&rkp_op_aggregate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_function_has_its_value),
        cmocka_unit_test(no_rows_are_one_group_without_keys_and_none_with),
        cmocka_unit_test(groups_come_out_in_the_order_of_their_first_rows),
        cmocka_unit_test(keys_of_every_type_come_out_as_they_came_in),
        cmocka_unit_test(a_sum_that_does_not_fit_is_an_error_row_of_its_group),
        cmocka_unit_test(a_row_in_error_is_rejected_as_a_whole),
        cmocka_unit_test(the_output_has_the_types_that_are_promised),
        cmocka_unit_test(wrong_calls_are_refused_with_their_place),
        cmocka_unit_test(many_functions_at_once_do_not_disturb_each_other),
        cmocka_unit_test(quantiles_are_those_of_a_sorted_list),
        cmocka_unit_test(approximate_quantiles_are_near_in_rank_and_bounded_in_memory),
        cmocka_unit_test(many_groups_are_those_of_a_naive_reference),
        cmocka_unit_test(the_answer_is_the_same_when_groups_move_to_files),
        cmocka_unit_test(floats_do_not_depend_on_memory_or_batches),
        cmocka_unit_test(parts_that_do_not_fit_are_cut_again),
        cmocka_unit_test(one_group_that_does_not_fit_fails_with_the_figure),
        cmocka_unit_test(a_sum_that_does_not_fit_is_rejected_after_spilling_too),
        cmocka_unit_test(memory_stays_near_the_share),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(the_examples_are_true),
    };

    return cmocka_run_group_tests_name("aggregate", tests, NULL, NULL);
}
