// limit: which rows pass, what is dropped for which reason, when it asks to stop.
#include "fake_op.h"
#include "nomem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

extern const rkp_op rkp_op_limit;

static const char seven[] = "1\n2\n3\n4\n5\n6\n7\n";

static void rows_pass_after_the_offset(void **state)
{
    static const struct {
        const char *with, *want;
    } cases[] = {
        { "rows: 3", "1\n2\n3\n" },
        { "{ rows: 3, offset: 2 }", "3\n4\n5\n" },
        { "{ rows: 100 }", "1\n2\n3\n4\n5\n6\n7\n" },
        { "{ rows: 7 }", "1\n2\n3\n4\n5\n6\n7\n" },
        { "{ rows: 100, offset: 6 }", "7\n" },
        { "{ rows: 1, offset: 7 }", "" },
        { "{ rows: 1, offset: 700 }", "" },
        { "{ rows: 0 }", "" },
        { "{ rows: 0, offset: 2 }", "" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        op_expect(&rkp_op_limit, cases[i].with, "x i64?", seven, cases[i].want);
}

static void it_stops_with_the_batch_that_holds_the_last_row(void **state)
{
    struct op_run run;

    (void)state;
    op_start(&run, &rkp_op_limit, "{ rows: 3, offset: 1 }", "x i64", OP_FLAT);
    assert_int_equal(op_feed(&run, "1\n2\n3\n", 0), RKP_DONE);
    assert_int_equal(op_feed(&run, "4\n5\n6\n", 0), RKP_STOP);
    assert_int_equal(op_feed(&run, "7\n8\n", 0), RKP_STOP);
    assert_string_equal(fake_rows(run.f, 0), "2\n3\n4\n");
    assert_int_equal(fake_dropped(run.f, "offset"), 1);
    assert_int_equal(fake_dropped(run.f, "limit"), 4);
    op_close(&run);
}

static void a_batch_that_fits_passes_as_it_is(void **state)
{
    struct op_run run;

    (void)state;
    op_start(&run, &rkp_op_limit, "rows: 6", "x i64", OP_FLAT);
    assert_int_equal(op_feed(&run, "1\n2\n3\n", 0), RKP_PASS);
    assert_int_equal(op_feed(&run, "4\n5\n6\n", 0), RKP_STOP);
    assert_string_equal(fake_rows(run.f, 0), "1\n2\n3\n4\n5\n6\n");
    op_close(&run);
}

static void nothing_passes_and_it_stops_at_once(void **state)
{
    struct op_run run;

    (void)state;
    op_start(&run, &rkp_op_limit, "rows: 0", "x i64", OP_FLAT);
    assert_int_equal(op_feed(&run, "1\n2\n", 0), RKP_STOP);
    assert_int_equal(fake_dropped(run.f, "limit"), 2);
    op_close(&run);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    if (!nomem_works())
        skip();
    for (long n = 1;; n++) {
        struct op_run run;
        rkp_verdict v;
        rkp_batch *b;
        bool done;

        op_start(&run, &rkp_op_limit, "{ rows: 3, offset: 1 }", "x i64", OP_FLAT);
        b = op_batch(&run, seven);
        nomem_at(n);
        v = fake_feed(run.f, 0, b);
        done = nomem_count() < n;
        nomem_at(0);
        assert_true(v == RKP_STOP || (!done && v == RKP_FAIL));
        op_close(&run);
        if (done)
            break;
    }
}

static void the_examples_are_true(void **state)
{
    (void)state;
    op_examples(&rkp_op_limit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_pass_after_the_offset),
        cmocka_unit_test(it_stops_with_the_batch_that_holds_the_last_row),
        cmocka_unit_test(a_batch_that_fits_passes_as_it_is),
        cmocka_unit_test(nothing_passes_and_it_stops_at_once),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(the_examples_are_true),
    };

    return cmocka_run_group_tests_name("limit", tests, NULL, NULL);
}
