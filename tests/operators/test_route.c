// route: which port a row goes to, what becomes of the rest, errors.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_actor.h"
#include "nomem.h"

#include <stdio.h>

extern const rkp_op rkp_op_route;

static rki_arena arena;
static rkp_schema schema;

static fake *router(const char *with, const char *columns, int on_error)
{
    schema = fake_schema_in(&arena, columns);
    return fake_new(&(fake_conf){ .op = &rkp_op_route, .with = with, .in = &schema, .on_error = on_error });
}

static void done(fake *f)
{
    assert_int_equal(fake_free(f), 0);
}

static void the_first_true_condition_wins(void **state)
{
    fake *f = router("ports: { big: a > 10, even: a % 2 == 0 }", "a i64?", FAKE_FAIL);
    (void)state;
    assert_int_equal(f->st, RKP_OK);
    assert_int_equal(f->n_port_names, 2);
    assert_int_equal(f->n_outs, 3);
    assert_int_equal(fake_feed(f, 0, fake_batch(f, &schema, "1\n12\n4\n\n13\n")), RKP_DONE);
    assert_string_equal(fake_rows(f, 0), "1\nnull\n");
    assert_string_equal(fake_rows(f, 1), "12\n13\n");
    assert_string_equal(fake_rows(f, 2), "4\n");
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(f->outs[i].n, 1);
    done(f);
}

static void a_batch_for_one_port_is_not_cut(void **state)
{
    fake *f = router("ports: { all: true }", "a i64", FAKE_FAIL);
    rkp_batch *b = fake_batch(f, &schema, "1\n2\n");
    (void)state;
    assert_int_equal(fake_feed(f, 0, rkp_batch_get(b)), RKP_DONE);
    assert_int_equal(f->n_out, 1);
    assert_int_equal(f->out[0].port, 1);
    assert_ptr_equal(f->out[0].b, b);
    rkp_batch_put(b);
    done(f);
}

static void discarded_ports_are_dropped_and_cannot_be_read(void **state)
{
    fake *f = router("ports: { noise: a < 3, big: a > 10 }\ndiscard: [noise, default]", "a i64", FAKE_FAIL);
    (void)state;
    assert_int_equal(f->st, RKP_OK);
    assert_int_equal(f->n_port_names, 1);
    assert_string_equal(f->port_names[0].p, "big");
    assert_int_equal(fake_feed(f, 0, fake_batch(f, &schema, "1\n12\n5\n2\n")), RKP_DONE);
    assert_string_equal(fake_rows(f, 1), "12\n");
    assert_int_equal(f->emitted[0], 0);
    assert_int_equal(fake_dropped(f, "discard"), 3);
    done(f);
}

static void rows_in_error_go_to_no_port(void **state)
{
    fake *f = router("ports: { a: 10 // a > 4, b: 10 // b > 4 }", "a i64, b i64", FAKE_DROP);
    (void)state;
    // Row 1 fails at the second condition, row 2 at the first; row 3 has found its port before the second.
    assert_int_equal(fake_feed(f, 0, fake_batch(f, &schema, "5|1\n5|0\n0|1\n1|0\n5|5\n")), RKP_DONE);
    assert_string_equal(fake_rows(f, 0), "5|5\n");
    assert_string_equal(fake_rows(f, 1), "1|0\n");
    assert_string_equal(fake_rows(f, 2), "5|1\n");
    assert_int_equal(f->n_rejects, 2);
    assert_int_equal(f->rejects[0].row, 1);
    assert_int_equal(f->rejects[1].row, 2);
    done(f);
    f = router("ports: { a: 10 // a > 4 }", "a i64", FAKE_FAIL);
    assert_int_equal(fake_feed(f, 0, fake_batch(f, &schema, "0\n")), RKP_FAIL);
    done(f);
}

static void options_that_are_wrong_are_told(void **state)
{
    static const struct {
        const char *with, *finding;
    } wrong[] = {
        { "discard: [x]", "ports" },
        { "ports: {}", "route-empty" },
        { "ports: { default: a > 1 }", "route-default" },
        { "ports: { 'a b': a > 1 }", "port-name" },
        { "ports: { x: a > 1 }\ndiscard: [y]", "port-unknown" },
        { "ports: { x: b > 1 }", "'b'" },
        { "ports: { x: a + 1 }", "expr" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        fake *f = router(wrong[i].with, "a i64", FAKE_FAIL);
        if (f->st != RKP_INVALID || !strstr(fake_findings(f), wrong[i].finding))
            fail_msg("%s: %s", wrong[i].with, fake_findings(f));
        done(f);
    }
}

static void memory_may_run_out_anywhere(void **state)
{
    (void)state;
    if (!nomem_works())
        skip();
    for (long n = 1;; n++) {
        fake *f = router("ports: { a: 10 // a > 4, b: s == 'x' }", "a i64, s string", FAKE_DROP);
        rkp_batch *b = fake_batch(f, &schema, "1|x\n0|y\n5|x\n5|z\n");
        bool none;
        rkp_verdict v;
        nomem_at(n);
        v = fake_feed(f, 0, b);
        none = nomem_count() < n;
        nomem_at(0);
        if (v == RKP_DONE) {
            assert_string_equal(fake_rows(f, 0), "5|z\n");
            assert_string_equal(fake_rows(f, 1), "1|x\n");
            assert_string_equal(fake_rows(f, 2), "5|x\n");
        } else {
            assert_int_equal(v, RKP_FAIL);
        }
        done(f);
        if (none)
            break;
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_true_condition_wins),
        cmocka_unit_test(a_batch_for_one_port_is_not_cut),
        cmocka_unit_test(discarded_ports_are_dropped_and_cannot_be_read),
        cmocka_unit_test(rows_in_error_go_to_no_port),
        cmocka_unit_test(options_that_are_wrong_are_told),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    int failed;
    rki_arena_init(&arena);
    failed = cmocka_run_group_tests_name("op.route", tests, NULL, NULL);
    rki_arena_fini(&arena);
    return failed;
}
