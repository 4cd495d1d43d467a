// filter: which rows pass, nulls, errors, and that nothing is copied.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_actor.h"
#include "nomem.h"

#include <stdio.h>

extern const rkp_op rkp_op_filter;

static rki_arena arena;
static rkp_schema schema;

static fake *with_where(const char *where, const char *columns, int on_error)
{
    char with[512];
    fake *f;
    snprintf(with, sizeof with, "where: \"%s\"\n", where);
    schema = fake_schema_in(&arena, columns);
    f = fake_new(&(fake_conf){ .op = &rkp_op_filter, .with = with, .in = &schema, .on_error = on_error });
    return f;
}

static void done(fake *f)
{
    assert_int_equal(fake_free(f), 0);
}

static const struct {
    const char *name, *columns, *where, *rows, *passed;
} cases[] = {
    { "comparison", "a i64, s string", "a > 1", "1|x\n2|y\n3|z\n", "2|y\n3|z\n" },
    { "all", "a i64", "a > 0", "1\n2\n", "1\n2\n" },
    { "none", "a i64", "a > 5", "1\n2\n", "" },
    { "null is false", "a i64?", "a > 1", "1\n\n2\n", "2\n" },
    { "null asked for", "a i64?", "is_null(a)", "1\n\n2\n", "null\n" },
    { "and, or", "a i64, s string", "a > 1 && s == 'y' || a == 1", "1|x\n2|y\n3|z\n", "1|x\n2|y\n" },
    { "a constant", "a i64", "true", "1\n2\n", "1\n2\n" },
    { "a column that is a condition", "b bool?", "b", "true\nfalse\n\n", "true\n" },
};

static void rows_pass_for_which_the_condition_is_true(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fake *f = with_where(cases[i].where, cases[i].columns, FAKE_FAIL);
        rkp_batch *b;
        uint64_t rows;
        if (f->st != RKP_OK)
            fail_msg("%s: %s", cases[i].name, fake_findings(f));
        b = fake_batch(f, &schema, cases[i].rows);
        rows = b->rows;
        assert_in_range(fake_feed(f, 0, b), RKP_DONE, RKP_PASS);
        if (strcmp(fake_rows(f, 0), cases[i].passed))
            fail_msg("%s: got\n%s", cases[i].name, fake_rows(f, 0));
        assert_int_equal(f->emitted[0] + fake_dropped(f, "filter"), rows);
        assert_true(f->pass_all);
        done(f);
    }
}

static void a_batch_that_passes_whole_goes_on_as_it_is(void **state)
{
    fake *f = with_where("a > 0", "a i64", FAKE_FAIL);
    rkp_batch *b = fake_batch(f, &schema, "1\n2\n");
    (void)state;
    assert_int_equal(fake_feed(f, 0, rkp_batch_get(b)), RKP_PASS);
    assert_ptr_equal(f->out[0].b, b);
    rkp_batch_put(b);
    done(f);
}

static void rows_in_error_are_rejected_and_the_rest_goes_on(void **state)
{
    fake *f = with_where("10 // a > 2", "a i64", FAKE_DROP);
    (void)state;
    assert_int_equal(fake_feed(f, 0, fake_batch(f, &schema, "1\n0\n9\n0\n2\n")), RKP_DONE);
    assert_string_equal(fake_rows(f, 0), "1\n2\n");
    assert_int_equal(f->n_rejects, 2);
    assert_int_equal(f->rejects[0].row, 1);
    assert_int_equal(f->rejects[0].code, RKP_ROW_ZERO);
    assert_int_equal(f->rejects[1].row, 3);
    assert_int_equal(fake_dropped(f, "filter"), 1);
    // Only rows in error: nothing else is counted.
    assert_int_equal(fake_feed(f, 0, fake_batch(f, &schema, "0\n")), RKP_DONE);
    assert_int_equal(fake_dropped(f, "filter"), 1);
    done(f);
    f = with_where("10 // a > 2", "a i64", FAKE_FAIL);
    assert_int_equal(fake_feed(f, 0, fake_batch(f, &schema, "1\n0\n")), RKP_FAIL);
    assert_int_equal(f->n_out, 0);
    done(f);
}

static void conditions_that_are_wrong_are_told(void **state)
{
    static const char *const wrong[] = { "b > 1", "a >", "a", "a + 1", "'x' > a" };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        fake *f = with_where(wrong[i], "a i64", FAKE_FAIL);
        assert_int_equal(f->st, RKP_INVALID);
        assert_true(strlen(fake_findings(f)) > 0);
        assert_int_equal(f->outs[0].n, 1); // later kernels can still be checked
        done(f);
    }
}

static void memory_may_run_out_anywhere(void **state)
{
    (void)state;
    if (!nomem_works())
        skip();
    for (long n = 1;; n++) {
        fake *f = with_where("10 // a > 2 && s != 'q'", "a i64, s string", FAKE_DROP);
        rkp_batch *b = fake_batch(f, &schema, "1|x\n0|y\n9|z\n2|q\n3|a longer text than a view\n");
        bool none;
        rkp_verdict v;
        nomem_at(n);
        v = fake_feed(f, 0, b);
        none = nomem_count() < n;
        nomem_at(0);
        if (v == RKP_DONE)
            assert_string_equal(fake_rows(f, 0), "1|x\n3|a longer text than a view\n");
        else
            assert_int_equal(v, RKP_FAIL);
        done(f);
        if (none)
            break;
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_pass_for_which_the_condition_is_true),
        cmocka_unit_test(a_batch_that_passes_whole_goes_on_as_it_is),
        cmocka_unit_test(rows_in_error_are_rejected_and_the_rest_goes_on),
        cmocka_unit_test(conditions_that_are_wrong_are_told),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    int failed;
    rki_arena_init(&arena);
    failed = cmocka_run_group_tests_name("op.filter", tests, NULL, NULL);
    rki_arena_fini(&arena);
    return failed;
}
