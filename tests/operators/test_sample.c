// sample: the choice depends on the row's number and the seed only, and keeps about the share that was asked for.
#include "fake_op.h"
#include "nomem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

extern const rkp_op rkp_op_sample;

static char *numbers(uint32_t n)
{
    char *text = malloc(12 * (size_t)n + 1), *to = text;

    assert_non_null(text);
    for (uint32_t i = 0; i < n; i++)
        to += sprintf(to, "%u\n", i);
    return text;
}

static uint32_t count_lines(const char *p)
{
    uint32_t n = 0;

    for (; *p; p++)
        n += *p == '\n';
    return n;
}

static void the_choice_does_not_depend_on_batches(void **state)
{
    char *text = numbers(1000), *want;

    (void)state;
    want = op_rows(&rkp_op_sample, "{ ratio: 0.3, seed: 5 }", "x i64", text, 0, OP_FLAT);
    op_expect(&rkp_op_sample, "{ ratio: 0.3, seed: 5 }", "x i64", text, want);
    free(want);
    free(text);
}

static void the_share_is_about_right(void **state)
{
    static const double ratios[] = { 0.001, 0.01, 0.1, 0.5, 0.9, 0.999 };
    char *text = numbers(100000);

    (void)state;
    for (size_t i = 0; i < sizeof ratios / sizeof *ratios; i++)
        for (unsigned seed = 0; seed < 3; seed++) {
            char with[64], *got;
            double n, want = ratios[i] * 100000, sd = 5 * __builtin_sqrt(want * (1 - ratios[i]));

            snprintf(with, sizeof with, "{ ratio: %g, seed: %u }", ratios[i], seed);
            got = op_rows(&rkp_op_sample, with, "x i64", text, 0, OP_FLAT);
            n = count_lines(got);
            assert_true(n > want - sd && n < want + sd);
            free(got);
        }
    free(text);
}

static void none_and_all_are_exact(void **state)
{
    char *text = numbers(1000);

    (void)state;
    op_expect(&rkp_op_sample, "ratio: 0", "x i64", text, "");
    op_expect(&rkp_op_sample, "ratio: 1", "x i64", text, text);
    op_expect(&rkp_op_sample, "ratio: 100%", "x i64", text, text);
    free(text);
}

static void a_smaller_share_is_part_of_a_larger(void **state)
{
    char *text = numbers(2000), *some, *more;

    (void)state;
    some = op_rows(&rkp_op_sample, "{ ratio: 0.05, seed: 9 }", "x i64", text, 0, OP_FLAT);
    more = op_rows(&rkp_op_sample, "{ ratio: 0.2, seed: 9 }", "x i64", text, 0, OP_FLAT);
    for (char *p = some; *p; p += strcspn(p, "\n") + 1) {
        char line[16];

        snprintf(line, sizeof line, "\n%.*s\n", (int)strcspn(p, "\n"), p);
        assert_true(strstr(more, line) || strncmp(more, line + 1, strlen(line) - 1) == 0);
    }
    free(some);
    free(more);
    free(text);
}

static void another_seed_chooses_other_rows(void **state)
{
    char *text = numbers(1000), *a, *b;

    (void)state;
    a = op_rows(&rkp_op_sample, "{ ratio: 0.5, seed: 1 }", "x i64", text, 0, OP_FLAT);
    b = op_rows(&rkp_op_sample, "{ ratio: 0.5, seed: 2 }", "x i64", text, 0, OP_FLAT);
    assert_string_not_equal(a, b);
    free(a);
    free(b);
    free(text);
}

static void what_is_not_kept_is_counted(void **state)
{
    struct op_run run;
    char *text = numbers(500);

    (void)state;
    op_start(&run, &rkp_op_sample, "ratio: 20%", "x i64", OP_FLAT);
    op_feed(&run, text, 100);
    assert_int_equal(run.f->emitted[0] + fake_dropped(run.f, "sample"), 500);
    op_close(&run);
    free(text);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    if (!nomem_works())
        skip();
    for (long n = 1;; n++) {
        struct op_run run;
        rkp_batch *b;
        bool done;

        op_start(&run, &rkp_op_sample, "ratio: 0.5", "x i64", OP_FLAT);
        b = op_batch(&run, "1\n2\n3\n4\n5\n6\n7\n8\n");
        nomem_at(n);
        fake_feed(run.f, 0, b);
        done = nomem_count() < n;
        nomem_at(0);
        assert_true(run.f->verdict == RKP_DONE || (!done && run.f->verdict == RKP_FAIL));
        op_close(&run);
        if (done)
            break;
    }
}

static void the_examples_are_true(void **state)
{
    (void)state;
    op_examples(&rkp_op_sample);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_choice_does_not_depend_on_batches),
        cmocka_unit_test(the_share_is_about_right),
        cmocka_unit_test(none_and_all_are_exact),
        cmocka_unit_test(a_smaller_share_is_part_of_a_larger),
        cmocka_unit_test(another_seed_chooses_other_rows),
        cmocka_unit_test(what_is_not_kept_is_counted),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(the_examples_are_true),
    };

    return cmocka_run_group_tests_name("sample", tests, NULL, NULL);
}
