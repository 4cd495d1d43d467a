// dedupe: the first row of each key, exactly; keys of every type; limits fail with figures.
#include "fake_op.h"
#include "nomem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

extern const rkp_op rkp_op_dedupe;

static uint64_t seed = 88172645463325252u;

static uint32_t rnd(uint32_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)((seed >> 33) % n);
}

static void the_first_row_of_a_key_passes(void **state)
{
    static const struct {
        const char *with, *schema, *in, *want;
    } cases[] = {
        { "", "x i64?, y string?", "1|a\n2|b\n1|a\n1|b\n|a\n|a\n1|\n1|\n", "1|a\n2|b\n1|b\nnull|a\n1|null\n" },
        { "by: x", "x i64?, y string?", "1|a\n2|b\n1|c\n|d\n|e\n", "1|a\n2|b\nnull|d\n" },
        { "by: [y]", "x i64?, y string?", "1|a\n2|b\n3|a\n4|\n5|\n6|''\n7|''\n", "1|a\n2|b\n4|null\n6|\n" },
        { "by: [y, x]", "x i64?, y string?", "1|a\n1|b\n1|a\n2|a\n", "1|a\n1|b\n2|a\n" },
        { "by: x", "x f64?", "0.0\n-0.0\nnan\nnan\n1.5\n1.50\n", "0.0\nnan\n1.5\n" },
        { "by: x", "x f32", "0.5\n0.5\n0.25\n", "0.5\n0.25\n" },
        { "by: x", "x bool?", "true\nfalse\n\ntrue\n\n", "true\nfalse\nnull\n" },
        { "by: x", "x timestamp", "2024-01-01 00:00\n2024-01-01T00:00:00Z\n2024-01-02 00:00\n",
          "2024-01-01T00:00:00Z\n2024-01-02T00:00:00Z\n" },
        { "by: [a, b, c, d, e, f]", "a i8, b u8, c i16, d u16, e i32, f u32",
          "-1|255|-1|65535|-1|4294967295\n-1|255|-1|65535|-1|4294967294\n-1|255|-1|65535|-1|4294967295\n",
          "-1|255|-1|65535|-1|4294967295\n-1|255|-1|65535|-1|4294967294\n" },
        { "by: x", "x u64, y i64", "18446744073709551615|1\n1|2\n18446744073709551615|3\n",
          "18446744073709551615|1\n1|2\n" },
        { "", "x string", "twelve bytes\nthirteen byte\ntwelve bytes\nthirteen bytf\nthirteen byte\n",
          "twelve bytes\nthirteen byte\nthirteen bytf\n" },
        { "", "x i64", "", "" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        op_expect(&rkp_op_dedupe, cases[i].with, cases[i].schema, cases[i].in, cases[i].want);
}

static void a_batch_without_repeats_passes_as_it_is(void **state)
{
    struct op_run run;

    (void)state;
    op_start(&run, &rkp_op_dedupe, "", "x i64", OP_FLAT);
    assert_int_equal(op_feed(&run, "1\n2\n3\n", 0), RKP_PASS);
    assert_int_equal(op_feed(&run, "1\n4\n3\n", 0), RKP_DONE);
    assert_int_equal(fake_dropped(run.f, "duplicate"), 2);
    assert_int_equal(run.f->counts[0], 4);
    op_close(&run);
}

static void bad_rows_are_rejected_and_not_remembered(void **state)
{
    struct op_run run;

    (void)state;
    op_open(&run, (fake_conf){ .op = &rkp_op_dedupe, .with = "by: [x, y]", .on_error = FAKE_DROP }, "x i64?, y f64?",
            OP_TEXT);
    op_feed(&run, "1|2.5\noops|wrong\n1|2.5\n2|wrong\n2|1.0\n", 0);
    assert_int_equal(run.f->n_rejects, 2);
    assert_int_equal(run.f->rejects[0].row, 1);
    assert_int_equal(run.f->rejects[1].row, 3);
    assert_string_equal(fake_rows(run.f, 0), "1|2.5\n2|1.0\n");
    assert_int_equal(fake_dropped(run.f, "duplicate"), 1);
    op_close(&run);
}

static void limits_fail_with_figures(void **state)
{
    struct op_run run;
    char lines[3000 * 8], *to = lines;

    (void)state;
    op_open(&run, (fake_conf){ .op = &rkp_op_dedupe, .bounds = { .max_keys = 3, .full_fails = true } }, "x i64",
            OP_FLAT);
    assert_int_equal(op_feed(&run, "1\n2\n3\n1\n", 0), RKP_DONE);
    assert_int_equal(op_feed(&run, "3\n4\n", 0), RKP_FAIL);
    assert_non_null(strstr(run.f->fail, "state.max_keys (3)"));
    op_close(&run);
    for (uint32_t i = 0; i < 3000; i++)
        to += sprintf(to, "%u\n", i);
    op_open(&run, (fake_conf){ .op = &rkp_op_dedupe, .state_limit = 40000 }, "x i64", OP_FLAT);
    assert_int_equal(op_feed(&run, lines, 100), RKP_FAIL);
    assert_non_null(strstr(run.f->fail, "40000"));
    op_close(&run);
}

// ---- bounds ---------------------------------------------------------------------------------------------------------

static void a_key_is_forgotten_after_its_time(void **state)
{
    struct op_run run;

    (void)state;
    op_open(&run, (fake_conf){ .op = &rkp_op_dedupe, .with = "by: x", .bounds = { .ttl_ns = 1000 } }, "x i64, y string",
            OP_FLAT);
    op_feed(&run, "1|a\n2|b\n1|c\n", 0);
    run.f->now_ns += 600;
    op_feed(&run, "1|d\n3|e\n", 0); // seen again, but its time goes on
    run.f->now_ns += 399;
    op_feed(&run, "1|f\n2|g\n", 0);
    run.f->now_ns += 1;
    op_feed(&run, "1|h\n3|i\n1|j\n", 0);
    run.f->now_ns += 600;
    op_feed(&run, "3|k\n1|l\n", 0);
    assert_string_equal(fake_rows(run.f, 0), "1|a\n2|b\n3|e\n1|h\n3|k\n");
    assert_int_equal(run.f->counts[1], 3);
    op_close(&run);
}

static void of_two_times_the_shorter_holds(void **state)
{
    static const uint64_t ttls[] = { 0, 1000, 5000 };

    (void)state;
    for (size_t i = 0; i < sizeof ttls / sizeof *ttls; i++) {
        struct op_run run;

        op_open(&run, (fake_conf){ .op = &rkp_op_dedupe, .with = "within: 2us", .bounds = { .ttl_ns = ttls[i] } },
                "x i64", OP_FLAT);
        op_feed(&run, "1\n1\n", 0);
        run.f->now_ns += 1000;
        op_feed(&run, "1\n", 0);
        run.f->now_ns += 1000;
        op_feed(&run, "1\n", 0);
        assert_string_equal(fake_rows(run.f, 0), ttls[i] == 1000 ? "1\n1\n1\n" : "1\n1\n");
        op_close(&run);
    }
}

static void the_key_that_was_not_seen_for_longest_goes(void **state)
{
    struct op_run run;

    (void)state;
    op_open(&run, (fake_conf){ .op = &rkp_op_dedupe, .with = "by: x", .bounds = { .max_keys = 2 } }, "x string, y i64",
            OP_FLAT);
    op_feed(&run,
            "a long text that is not inline|1\nb|2\na long text that is not inline|3\nc|4\n"
            "a long text that is not inline|5\nb|6\nc|7\n",
            0);
    assert_string_equal(fake_rows(run.f, 0), "a long text that is not inline|1\nb|2\nc|4\nb|6\nc|7\n");
    assert_int_equal(run.f->counts[2], 3);
    op_close(&run);
}

// What a list would do, for keys with and without long texts, whatever the batches.
static void bounded_answers_are_those_of_a_naive_list(void **state)
{
    (void)state;
    for (int round = 0; round < 60; round++) {
        enum { MOST = 400 };
        struct {
            uint32_t key;
            uint64_t made;
        } list[MOST + 1]; // the most recently seen last
        uint32_t n = 0, max = 1 + rnd(rnd(2) ? 8 : MOST), spread = 1 + rnd(3 * max), batches = 1 + rnd(60), evicted = 0;
        uint64_t ttl = rnd(2) ? 1 + rnd(3000) : 0;
        struct op_run run;
        char *want = calloc(batches * 64u + 1, 32), *w = want;

        assert_non_null(want);
        op_open(&run,
                (fake_conf){ .op = &rkp_op_dedupe, .with = "by: x", .bounds = { .ttl_ns = ttl, .max_keys = max } },
                "x string, y i64", OP_FLAT);
        for (uint32_t b = 0, row = 0; b < batches; b++) {
            char in[64 * 64], *to = in;
            uint32_t rows = 1 + rnd(60);
            for (uint32_t i = 0; ttl && i < n;) {
                if (run.f->now_ns - list[i].made >= ttl)
                    memmove(&list[i], &list[i + 1], (--n - i) * sizeof *list);
                else
                    i++;
            }
            for (uint32_t r = 0; r < rows; r++, row++) {
                uint32_t key = rnd(spread), at = 0;
                char text[40];
                snprintf(text, sizeof text, key % 3 ? "k%u" : "a key that is long %u", key);
                to += sprintf(to, "%s|%u\n", text, row);
                while (at < n && list[at].key != key)
                    at++;
                if (at < n) {
                    uint64_t made = list[at].made;
                    memmove(&list[at], &list[at + 1], (n - at - 1) * sizeof *list);
                    list[n - 1].key = key;
                    list[n - 1].made = made;
                    continue;
                }
                list[n].key = key;
                list[n++].made = run.f->now_ns;
                w += sprintf(w, "%s|%u\n", text, row);
                if (n > max) {
                    memmove(&list[0], &list[1], --n * sizeof *list);
                    evicted++;
                }
            }
            assert_int_not_equal(op_feed(&run, in, 1 + rnd(70)), RKP_FAIL);
            run.f->now_ns += rnd(500);
        }
        assert_string_equal(fake_rows(run.f, 0), want);
        assert_int_equal(run.f->counts[2], evicted);
        op_close(&run);
        free(want);
    }
}

static void wrong_options_are_refused(void **state)
{
    (void)state;
    op_refuses(&rkp_op_dedupe, "by: y", "x i64", "no column 'y'");
    op_refuses(&rkp_op_dedupe, "", "x f32[3]", "[dedupe-type]");
}

static void the_answer_is_that_of_a_naive_search(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        uint32_t n = 1 + rnd(3000), spread = 1 + rnd(rnd(2) ? 40 : 4000), m = 0;
        char(*keys)[64] = malloc(n * sizeof *keys), *in = malloc(n * 80), *want = malloc(n * 80), *to = in, *w = want;
        char *got;

        assert_true(keys && in && want);
        *w = *to = 0;
        for (uint32_t i = 0; i < n; i++) {
            uint32_t x = rnd(spread), y = rnd(3);
            bool seen = false;

            snprintf(keys[m], sizeof keys[m],
                     y == 0   ? "%u|k%u"
                     : y == 1 ? "%u|a long text for key %u"
                              : "%u|twelve%u",
                     x % 7, x);
            to += sprintf(to, "%s|%u\n", keys[m], i);
            for (uint32_t k = 0; k < m && !seen; k++)
                seen = strcmp(keys[k], keys[m]) == 0;
            if (seen)
                continue;
            w += sprintf(w, "%s|%u\n", keys[m++], i);
        }
        got = op_rows(&rkp_op_dedupe, "by: [t, n]", "n i32, t string?, id u32", in, 1 + rnd(500),
                      (enum op_form)rnd(OP_FORMS));
        assert_string_equal(got, want);
        free(got);
        free(keys);
        free(in);
        free(want);
    }
}

static void wide_rows_are_keys_too(void **state)
{
    enum { COLUMNS = 300 };
    char *schema = calloc(1, COLUMNS * 16), *in = calloc(1, COLUMNS * 100), *want = calloc(1, COLUMNS * 100), *to;

    (void)state;
    assert_true(schema && in && want);
    to = schema;
    for (int i = 0; i < COLUMNS; i++)
        to += sprintf(to, "%sc%d %s", i ? "," : "", i, i % 3 ? "i32?" : "string?");
    to = in;
    for (int row = 0; row < 6; row++) // rows 0, 2, 4 are equal; 1, 3, 5 differ in the last column
        for (int i = 0; i < COLUMNS; i++) {
            int v = i == COLUMNS - 1 && row % 2 ? row : 7;

            to += i % 50 == 49 && v == 7 ? sprintf(to, "%s", i + 1 < COLUMNS ? "|" : "\n")
                                         : sprintf(to, "%d%s", v, i + 1 < COLUMNS ? "|" : "\n");
        }
    for (uint32_t cut = 0; cut < 3; cut++) {
        char *got = op_rows(&rkp_op_dedupe, "", schema, in, cut, OP_FLAT);
        int n = 0;

        for (char *p = got; *p; p++)
            n += *p == '\n';
        assert_int_equal(n, 4);
        free(got);
    }
    free(schema);
    free(in);
    free(want);
}

static void every_allocation_may_fail(void **state)
{
    char lines[1500 * 32], *to = lines;

    (void)state;
    if (!nomem_works())
        skip();
    for (uint32_t k = 0; k < 1500; k++)
        to += sprintf(to, "%u|some long text %u\n", rnd(1000), k % 700);
    for (long n = 1;; n++) {
        struct op_run run;
        rkp_batch *a;
        bool done;

        op_start(&run, &rkp_op_dedupe, "by: [y, x]", "x i64?, y string?", OP_FLAT);
        a = op_batch(&run, lines);
        nomem_at(n);
        fake_feed(run.f, 0, rkp_batch_get(a));
        if (run.f->verdict != RKP_FAIL)
            fake_feed(run.f, 0, rkp_batch_get(a));
        done = nomem_count() < n;
        nomem_at(0);
        rkp_batch_put(a);
        if (run.f->verdict != RKP_FAIL)
            assert_int_equal(run.f->emitted[0] + fake_dropped(run.f, "duplicate"), 3000);
        op_close(&run);
        if (done)
            break;
    }
}

static void the_examples_are_true(void **state)
{
    (void)state;
    op_examples(&rkp_op_dedupe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_row_of_a_key_passes),
        cmocka_unit_test(a_batch_without_repeats_passes_as_it_is),
        cmocka_unit_test(bad_rows_are_rejected_and_not_remembered),
        cmocka_unit_test(limits_fail_with_figures),
        cmocka_unit_test(a_key_is_forgotten_after_its_time),
        cmocka_unit_test(of_two_times_the_shorter_holds),
        cmocka_unit_test(the_key_that_was_not_seen_for_longest_goes),
        cmocka_unit_test(bounded_answers_are_those_of_a_naive_list),
        cmocka_unit_test(wrong_options_are_refused),
        cmocka_unit_test(the_answer_is_that_of_a_naive_search),
        cmocka_unit_test(wide_rows_are_keys_too),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(the_examples_are_true),
    };

    return cmocka_run_group_tests_name("dedupe", tests, NULL, NULL);
}
