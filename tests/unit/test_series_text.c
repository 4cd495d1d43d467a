// Series and values in the notation of promtool's tests; that they mean the same there is compared in tests/oracle/ptest.py.
#include "base/diag.h"
#include "nomem.h"
#include "watch/series_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static rkp_word word(const char *z)
{
    return (rkp_word){ z, strlen(z), { .file = "t.yaml", .line = 1, .col = 1 } };
}

static void expand(const rki_series_text *t, char *out, size_t n)
{
    rki_series_walk w = { 0 };
    double v;
    size_t at = 0;

    out[0] = '\0';
    while (rki_series_text_next(t, &w, &v) && at < n) {
        const char *sep = at ? " " : "";

        if (rki_bits_of(v) == RKI_GAP_BITS)
            at += (size_t)snprintf(out + at, n - at, "%s_", sep);
        else if (rki_bits_of(v) == RKI_STALE_BITS)
            at += (size_t)snprintf(out + at, n - at, "%sstale", sep);
        else
            at += (size_t)snprintf(out + at, n - at, "%s%g", sep, v);
    }
}

static void values_are_those_of_promtool(void **state)
{
    static const struct {
        const char *text, *values;
    } rows[] = {
        { "", "" },
        { "5", "5" },
        { "0+1x3", "0 1 2 3" },
        { " 10-2.5x2\t_ \n stale 7 ", "10 7.5 5 _ stale 7" },
        { "-2+1x2", "-2 -1 0" },
        { "-2-1x0", "-2" },
        { "1x2", "1 1 1" },
        { "_x3 1", "_ _ _ 1" },
        { "_x0 1", "1" },
        { "NaN Inf -Inf +inf", "nan inf -inf inf" },
        { "1e2+5e-1x1 .5 2.", "100 100.5 0.5 2" },
        { "Inf-1x1 1+-1x1", NULL },
        { "0.1+0.1x2", "0.1 0.2 0.3" },
        { "stale stale", "stale stale" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        rkp_diags *d = rki_diags_new();
        rki_series_text t;
        rki_arena a;
        char got[400];
        bool ok;

        rki_arena_init(&a);
        ok = rki_series_text_parse(&a, d, word("up{job=\"a\"}"), word(rows[i].text), &t);
        if (ok != (rows[i].values != NULL))
            fail_msg("'%s' is %s", rows[i].text, ok ? "taken" : "refused");
        if (ok)
            expand(&t, got, sizeof got);
        if (ok && strcmp(got, rows[i].values) != 0)
            fail_msg("'%s' gives '%s'", rows[i].text, got);
        rki_diags_free(d);
        rki_arena_fini(&a);
    }
}

static void what_is_wrong_is_said_at_its_place(void **state)
{
    static const struct {
        const char *series, *values, *place, *text;
    } rows[] = {
        { "up", "1 2y", "t.yaml:1:3", "'2y' is no value of a series" },
        { "up", "1 0x10x3", "t.yaml:1:3", "'0x10x3' is no value" },
        { "up", "010", "t.yaml:1:1", "'010' is no value" },
        { "up", "1+1", "t.yaml:1:1", "'1+1' is no value" },
        { "up", "1x", "t.yaml:1:1", "'1x' is no value" },
        { "up", "NaNx3", "t.yaml:1:1", "'NaNx3' is no value" },
        { "up", "stalex3", "t.yaml:1:1", "'stalex3' is no value" },
        { "up", "x3", "t.yaml:1:1", "'x3' is no value" },
        { "up", "{{count:1}}", "t.yaml:1:1", "histograms are their series" },
        { "up", "1x1000000", "t.yaml:1:1", "at most 1000000 values" },
        { "up", "1x18446744073709551615", "t.yaml:1:1", "is no value" },
        { "up", "_x999999 1 1", "t.yaml:1:12", "at most 1000000 values" },
        { "up{job=a}", "1", "t.yaml:1:8", "a series needs a value in quotes" },
        { "up{job=\"a\",job=\"b\"}", "1", "t.yaml:1:12", "the label 'job' stands here twice" },
        { "up{a:b=\"a\"}", "1", "t.yaml:1:4", "'a:b' cannot be the name of a label" },
        { "up{job=~\"a\"}", "1", "t.yaml:1:7", "a series needs '='" },
        { "up{job=\"a\"", "1", "t.yaml:1:11", "a series needs '}'" },
        { "up{__name__=\"a\"}", "1", "t.yaml:1:4", "given twice" },
        { "{job=\"a\"}", "1", "t.yaml:1:1", "the series has no name" },
        { "up 5", "1", "t.yaml:1:4", "a series needs its end" },
        { "", "1", "t.yaml:1:1", "the series has no name" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        rkp_diags *d = rki_diags_new();
        rki_series_text t;
        rki_arena a;
        rki_buf b;

        rki_arena_init(&a);
        rki_buf_init(&b);
        assert_false(rki_series_text_parse(&a, d, word(rows[i].series), word(rows[i].values), &t));
        rki_diags_text(d, &b, false);
        rki_putc(&b, 0);
        if (!strstr(b.p, rows[i].place) || !strstr(b.p, rows[i].text))
            fail_msg("%s %s: %s", rows[i].series, rows[i].values, b.p);
        rki_buf_fini(&b);
        rki_diags_free(d);
        rki_arena_fini(&a);
    }
}

static void a_series_has_a_name_and_labels(void **state)
{
    static const char *const same[] = { "up{job=\"a b\",zone='x'}", "{zone=`x`,__name__=\"up\",job=\"a\\x20b\",}",
                                        "up { job = \"a b\", zone=\"x\", none=\"\" }" };

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        rki_series_text t;
        rki_labels l;
        rki_arena a;
        rki_buf b;

        rki_arena_init(&a);
        rki_buf_init(&b);
        assert_true(rki_series_text_parse(&a, NULL, word(same[i]), word("1"), &t));
        assert_true(rkp_str_is(t.name, "up"));
        assert_true(rki_labels_make(t.labels, t.n_labels, &l));
        rki_labels_print(&l, &b);
        rki_putc(&b, 0);
        assert_string_equal(b.p, "{job=\"a b\", zone=\"x\"}");
        rki_buf_fini(&b);
        rki_arena_fini(&a);
    }
}

static bool parse_once(void)
{
    rki_series_text t;
    rki_arena a;
    bool ok;

    rki_arena_init(&a);
    ok = rki_series_text_parse(&a, NULL, word("up{job=\"a\"}"), word("0+1x10 _ stale"), &t);
    if (!ok)
        assert_true(rki_arena_failed(&a));
    rki_arena_fini(&a);
    return ok;
}

static void without_memory_it_says_so(void **state)
{
    (void)state;
    if (!nomem_works())
        skip();
    for (long n = 1;; n++) {
        bool ok, done;

        nomem_at(n);
        ok = parse_once();
        done = nomem_count() < n;
        nomem_at(0);
        assert_int_equal(ok, done);
        if (done)
            break;
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(values_are_those_of_promtool),
                                        cmocka_unit_test(what_is_wrong_is_said_at_its_place),
                                        cmocka_unit_test(a_series_has_a_name_and_labels),
                                        cmocka_unit_test(without_memory_it_says_so) };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests_name("series_text", tests, NULL, NULL);
}
