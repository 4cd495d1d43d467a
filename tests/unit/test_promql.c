// The PromQL subset: what it takes, what it refuses and how it says so.  Values are compared with Prometheus' own in
// tests/oracle/promtool.c; here is what no oracle can say, and a few values by hand.
#include "base/diag.h"
#include "nomem.h"
#include "watch/promql.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char *const metrics[] = { "rows_total", "fill", "wait_bucket", NULL };
static const rki_prom_names names = { metrics };

// "column: text [code] (hint)" of the first finding, or "" when it is right.
static void verdict(const char *text, char *to, size_t n)
{
    rkp_diags *d = rki_diags_new();
    rki_arena a;
    const rki_prom *e;

    rki_arena_init(&a);
    e = rki_prom_parse(&a, d, (rkp_word){ text, strlen(text), { "a.yaml", 1, 1, 0 } }, &names);
    assert_int_equal(e == NULL, rki_diags_count(d, RKP_ERROR) > 0);
    to[0] = '\0';
    if (!e) {
        const rki_finding *f = rki_diags_at(d, 0);

        snprintf(to, n, "%u: %s [%s]%s%s%s", f->at.col, f->text, f->code, f->hint ? " (" : "", f->hint ? f->hint : "",
                 f->hint ? ")" : "");
    }
    rki_arena_fini(&a);
    rki_diags_free(d);
}

static void mistakes_are_told_at_their_place_with_a_remedy(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        { "", "1: the expression ends where a metric, a function or a number is needed [promql-syntax]" },
        { "rate(rows_total) > 1",
          "6: rate needs a range vector here, and this is an instant vector [promql-args] (write a range behind the "
          "metric: x[5m])" },
        { "rows_total[5m]",
          "1: an alert needs an instant vector or a scalar, and this is a range vector [promql-type] (put it into a "
          "function: rate(x[5m]))" },
        { "rate(rows_totl[5m])", "6: there is no metric 'rows_totl' [promql-metric] (did you mean 'rows_total'?)" },
        { "rate(wait[5m])",
          "6: there is no metric 'wait' [promql-metric] (it is a histogram: wait_bucket, _sum and _count are)" },
        { "rats(rows_total[5m])", "1: there is no function 'rats' [promql-function] (did you mean 'rate'?)" },
        { "irate(rows_total[5m])", "1: 'irate' in an alert's expression is not supported yet [not-supported]" },
        { "topk(3, fill)", "1: 'topk' in an alert's expression is not supported yet [not-supported]" },
        { "quantile by (a) (0.9, fill)",
          "1: 'quantile' in an alert's expression is not supported yet [not-supported] (histogram_quantile(0.99, "
          "rate(x_bucket[1m])) is)" },
        { "fill offset 5m > 1", "6: 'offset' in an alert's expression is not supported yet [not-supported]" },
        { "fill @ 1", "6: '@' in an alert's expression is not supported yet [not-supported]" },
        { "fill + on (a) group_left fill", "15: 'group_left' in an alert's expression is not supported yet "
                                           "[not-supported] (aggregate the side with more "
                                           "series first: sum by (..) (x))" },
        { "max_over_time(fill[5m:1m])",
          "22: ':' in an alert's expression is not supported yet [not-supported] (a subquery: evaluate the inner "
          "expression in a rule of its own)" },
        { "sum(fill)[5m]",
          "10: a range of another expression is not supported yet [not-supported] (a range stands behind a metric: "
          "rate(x[1m]))" },
        { "rate(rows_total[2h]) > 1", "17: a range is at most 1h [promql-limit]" },
        { "rate(rows_total[0s]) > 1", "17: a range is longer than nothing [promql-limit]" },
        { "rate(rows_total[1m30]) > 1",
          "17: '1m30' is no number and no duration [promql-syntax] (durations are 500ms, 30s, 5m, 1h30m)" },
        { "fill = 1",
          "6: an operator is needed here, not '=' [promql-syntax] ('==' compares; '=' is for labels, in braces)" },
        { "fill && fill", "6: '&' means nothing here [promql-syntax] (the words are 'and', 'or' and 'unless')" },
        { "1 > 2", "1: scalars are compared with 'bool': 1 > bool 2 [promql-type]" },
        { "fill + bool fill", "8: 'bool' stands behind a comparison [promql-type]" },
        { "fill and 1", "1: 'and' is between instant vectors, and a side of it is a scalar [promql-type] (vector(1) "
                        "makes a vector of "
                        "a scalar)" },
        { "fill > on (a) 1", "1: labels are matched between instant vectors only [promql-type]" },
        { "fill{a=\"x\"", "11: the expression ends where '}' is needed [promql-syntax]" },
        { "fill{a='x}", "8: the string has no closing ' [promql-syntax]" },
        { "fill{a=~'(x'}", "9: the pattern is wrong: missing closing parenthesis [expr-regex]" },
        { "fill{a=~'(?=x)y'}", "9: the pattern has a group that Prometheus' RE2 does not know [promql-regex]" },
        { "{a=''}", "1: nothing is selected: every condition takes the empty text [promql-syntax] (name a metric)" },
        { "fill{__name__='x'}", "6: the name of the metric is given twice [promql-syntax]" },
        { "sum(fill, fill)", "1: sum takes 1 argument, not 2 [promql-args]" },
        { "sum(fill[5m])",
          "5: sum needs an instant vector, and this is a range vector [promql-type] (over time it is sum_over_time)" },
        { "abs(fill, 1)", "1: abs takes 1 argument, not 2 [promql-args]" },
        { "'x'", "1: ''x'' in an alert's expression is not supported yet [not-supported] (texts stand in braces: "
                 "x{label=\"text\"})" },
        { "fill > $labels", "8: '$' means nothing here [promql-syntax] (a variable cannot change an expression; "
                            "'$labels' and '$value' are "
                            "for annotations)" },
        { "007", "1: the number '007' has a leading zero [promql-syntax]" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char got[500];

        verdict(cases[i].text, got, sizeof got);
        assert_string_equal(got, cases[i].says);
    }
}

static void what_is_printed_parses_to_the_same(void **state)
{
    static const struct {
        const char *text, *printed;
    } cases[] = {
        { "sum  by(a , b)( rate(rows_total{k=~\"x|y\",} [ 90s ]))>0.5",
          "sum by (a, b) (rate(rows_total{k=~\"x|y\"}[1m30s])) > 0.5" },
        { "SUM(fill) Without (b,a)", "sum without (a, b) (fill)" },
        { "-2 ^ 2", "-2.0 ^ 2.0" },
        { "fill # comment\n + -fill", "fill + -fill" },
        { "fill AND ON() fill or fill Unless ignoring(b) fill",
          "fill and on () fill or fill unless ignoring (b) fill" },
        { "1 == bool 2 ^ 3 ^ .5", "1.0 == bool 2.0 ^ 3.0 ^ 0.5" },
        { "absent(+fill{a='\\x41\\u00e9\"'})", "absent(+fill{a=\"A\xc3\xa9\\\"\"})" },
        { "Inf + NaN + 0x1F", "inf + nan + 31.0" },
        { "{__name__=~'fill|x'}", "{__name__=~\"fill|x\"}" },
        { "-(fill)", "-(fill)" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rki_arena a;
        rki_buf once, twice;
        const rki_prom *e;

        rki_arena_init(&a);
        rki_buf_init(&once);
        rki_buf_init(&twice);
        e = rki_prom_parse(&a, NULL, (rkp_word){ cases[i].text, strlen(cases[i].text), { 0 } }, NULL);
        assert_non_null(e);
        rki_prom_print(e, &once);
        rki_putc(&once, '\0');
        assert_string_equal(once.p, cases[i].printed);
        e = rki_prom_parse(&a, NULL, (rkp_word){ once.p, once.n - 1, { 0 } }, NULL);
        assert_non_null(e);
        rki_prom_print(e, &twice);
        rki_putc(&twice, '\0');
        assert_string_equal(once.p, twice.p);
        rki_buf_fini(&once);
        rki_buf_fini(&twice);
        rki_arena_fini(&a);
    }
}

static void depth_and_length_have_limits(void **state)
{
    static const char *const parts[] = { "(", "-", "abs(", "1+", "fill+", "2^", "sum(", "{" };

    (void)state;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        size_t n = strlen(parts[i]), times = 60000 / n;
        char *text = malloc(n * times + 5), got[200];

        assert_non_null(text);
        for (size_t k = 0; k < times; k++)
            memcpy(text + k * n, parts[i], n);
        memcpy(text + n * times, "fill", 5);
        verdict(text, got, sizeof got);
        assert_true(got[0] != '\0');
        free(text);
    }
}

// ---- values ---------------------------------------------------------------------------------------------------------

static rki_series *some(void)
{
    rki_series_conf conf = { .keep_ms = 3600000, .interval_ms = 15000 };
    rki_series *s = rki_series_new(&conf);

    assert_non_null(s);
    for (int t = 0; t < 20; t++) {
        assert_int_equal(rki_series_begin(s, t * 15000), RKP_OK);
        for (int k = 0; k < 3; k++) {
            char kernel[2] = { (char)('a' + k), '\0' };
            rki_label l = { RKP_STR("kernel"), rkp_str_of(kernel) };

            assert_int_equal(rki_series_add(s, RKP_STR("rows_total"), &l, 1, t * 30 * (k + 1)), RKP_OK);
            assert_int_equal(rki_series_add(s, RKP_STR("fill"), &l, 1, 10 * k), RKP_OK);
        }
        rki_series_end(s);
    }
    return s;
}

static const char *value(rki_series *s, const char *text, char *to, size_t n)
{
    rki_prom_run *run = rki_prom_run_new();
    rki_arena a;
    rki_vector v;
    rki_buf b;
    const char *why = "?";
    const rki_prom *e;

    rki_arena_init(&a);
    rki_buf_init(&b);
    e = rki_prom_parse(&a, NULL, (rkp_word){ text, strlen(text), { 0 } }, NULL);
    assert_non_null(e);
    if (!rki_prom_eval(run, e, s, 285000, &v, &why)) {
        snprintf(to, n, "%s", why);
    } else {
        for (uint32_t i = 0; i < v.n; i++) {
            if (!v.scalar)
                rki_labels_print(&v.v[i].labels, &b);
            rki_putf(&b, "%s%g%s", v.scalar ? "" : " ", v.v[i].v, i + 1 < v.n ? "; " : "");
        }
        snprintf(to, n, "%.*s", (int)b.n, b.p ? b.p : "");
    }
    rki_buf_fini(&b);
    rki_arena_fini(&a);
    rki_prom_run_free(run);
    return to;
}

static void values_are_those_of_prometheus(void **state)
{
    static const struct {
        const char *text, *gives;
    } cases[] = {
        { "rate(rows_total[1m])", "{kernel=\"a\"} 2; {kernel=\"b\"} 4; {kernel=\"c\"} 6" },
        { "fill > 5", "fill{kernel=\"b\"} 10; fill{kernel=\"c\"} 20" },
        { "sum(fill)", "{} 30" },
        { "fill{kernel!~\"a|c\"}", "fill{kernel=\"b\"} 10" },
        { "1 + 1", "2" },
        { "time()", "285" },
        { "absent(gone{kernel=\"x\"})", "{kernel=\"x\"} 1" },
        { "fill + on () fill", "several series on the right side have the same labels to match by" },
        { "sum(fill) + on () fill", "several series on the right side have the same labels to match by" },
        { "fill + on () sum(fill)", "several series on the left side have the same labels to match by" },
        { "fill or fill + 1", "fill{kernel=\"a\"} 0; fill{kernel=\"b\"} 10; fill{kernel=\"c\"} 20" },
        { "abs({kernel=\"a\"})", "two series have the same labels" },
    };
    rki_series *s = some();

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char got[300];

        assert_string_equal(value(s, cases[i].text, got, sizeof got), cases[i].gives);
    }
    rki_series_free(s);
}

static void an_evaluation_that_costs_too_much_is_refused(void **state)
{
    rki_series *s = some();
    rki_prom_run *run = rki_prom_run_new();
    char *text = malloc(65000);
    rki_arena a;
    rki_vector v;
    const char *why = "";
    const rki_prom *e;
    size_t n = 0;

    (void)state;
    assert_non_null(text);
    // Each of the ranges looks at every sample of 3,000 series.
    for (int64_t t = 20; t < 240; t++) {
        assert_int_equal(rki_series_begin(s, t * 15000), RKP_OK);
        for (int k = 0; k < 3000; k++) {
            char kernel[8];
            rki_label l = { RKP_STR("kernel"), { kernel, (size_t)snprintf(kernel, sizeof kernel, "%d", k) } };

            rki_series_add(s, RKP_STR("rows_total"), &l, 1, 1);
        }
        rki_series_end(s);
    }
    for (int i = 0; i < 120; i++)
        n += (size_t)snprintf(text + n, 65000 - n, "%ssum(rate(rows_total[1h]))", i ? "+" : "");
    rki_arena_init(&a);
    e = rki_prom_parse(&a, NULL, (rkp_word){ text, n, { 0 } }, NULL);
    assert_non_null(e);
    assert_false(rki_prom_eval(run, e, s, 239 * 15000, &v, &why));
    assert_string_equal(why, "the expression looks at more than 50000000 samples");
    rki_arena_fini(&a);
    rki_prom_run_free(run);
    free(text);
    rki_series_free(s);
}

static void every_allocation_may_fail(void **state)
{
    static const char text[] =
        "sum by (kernel) (rate(rows_total{kernel=~\"a|b.*\"}[1m])) / on (kernel) fill > bool 1 or "
        "histogram_quantile(0.9, {__name__=~\".+\"}) or absent(gone{a=\"b\"})";
    rki_series *s = some();

    (void)state;
    if (!nomem_works())
        skip();
    for (long n = 1;; n++) {
        rki_arena a;
        rki_prom_run *run;
        rki_vector v;
        const char *why = NULL;
        const rki_prom *e;
        bool ok, done;

        nomem_at(n);
        rki_arena_init(&a);
        run = rki_prom_run_new();
        e = rki_prom_parse(&a, NULL, (rkp_word){ text, sizeof text - 1, { 0 } }, NULL);
        ok = run && e && rki_prom_eval(run, e, s, 285000, &v, &why);
        done = nomem_count() < n;
        nomem_at(0);
        if (done)
            assert_true(ok);
        rki_prom_run_free(run);
        rki_arena_fini(&a);
        if (done)
            break;
    }
    rki_series_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_are_told_at_their_place_with_a_remedy),
        cmocka_unit_test(what_is_printed_parses_to_the_same),
        cmocka_unit_test(depth_and_length_have_limits),
        cmocka_unit_test(values_are_those_of_prometheus),
        cmocka_unit_test(an_evaluation_that_costs_too_much_is_refused),
        cmocka_unit_test(every_allocation_may_fail),
    };

    return cmocka_run_group_tests_name("promql", tests, NULL, NULL);
}
