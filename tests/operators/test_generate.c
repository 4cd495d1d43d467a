// generate: the same rows whatever the batches, the pace, and the end.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_actor.h"
#include "nomem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const rkp_op rkp_op_generate;

static fake *generator(const char *with, int on_error)
{
    return fake_new(&(fake_conf){ .op = &rkp_op_generate, .with = with, .on_error = on_error });
}

static void done(fake *f)
{
    assert_int_equal(fake_free(f), 0);
}

static void columns_are_made_of_the_row_number(void **state)
{
    fake *f =
        generator("rows: 5\ncolumns: { n: row + 1, square: n * n, s: \"n % 2 == 0 ? 'even' : 'odd'\" }", FAKE_FAIL);
    (void)state;
    if (f->st != RKP_OK)
        fail_msg("%s", fake_findings(f));
    assert_int_equal(fake_poll_all(f, 0), RKP_DONE);
    assert_string_equal(fake_rows(f, 0), "1|1|odd\n2|4|even\n3|9|odd\n4|16|even\n5|25|odd\n");
    assert_false(f->endless);
    assert_int_equal(f->done_bytes, 5);
    assert_int_equal(f->total_bytes, 5);
    done(f);
}

static void rows_do_not_depend_on_batches(void **state)
{
    static const char *const batches[] = { "1", "7", "1000", "4096" };
    char *want = NULL;
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        char with[256];
        fake *f;
        snprintf(with, sizeof with,
                 "rows: 1000\nseed: 7\nbatch_rows: %s\ncolumns: { a: 'rand_int(0, 1000000)', b: 'rand_int(0, "
                 "1000000)', c: uuid() }",
                 batches[i]);
        f = generator(with, FAKE_FAIL);
        if (f->st != RKP_OK)
            fail_msg("%s", fake_findings(f));
        assert_int_equal(fake_poll_all(f, 0), RKP_DONE);
        if (!want)
            want = strdup(fake_rows(f, 0));
        assert_string_equal(fake_rows(f, 0), want);
        done(f);
    }
    // Two columns with the same expression differ, and another seed makes other rows.
    assert_true(strncmp(want, strchr(want, '|') + 1, 3) != 0 || strncmp(strchr(want, '\n'), "|", 1) != 0);
    {
        fake *f = generator(
            "rows: 1000\nseed: 8\ncolumns: { a: 'rand_int(0, 1000000)', b: 'rand_int(0, 1000000)', c: uuid() }",
            FAKE_FAIL);
        assert_int_equal(fake_poll_all(f, 0), RKP_DONE);
        assert_true(strcmp(fake_rows(f, 0), want) != 0);
        done(f);
    }
    free(want);
}

static void without_rows_it_never_ends(void **state)
{
    fake *f = generator("batch_rows: 10\ncolumns: { n: row }", FAKE_FAIL);
    (void)state;
    assert_true(f->endless);
    for (int i = 0; i < 100; i++)
        assert_int_equal(fake_poll(f), RKP_MORE);
    assert_int_equal(f->emitted[0], 1000);
    assert_int_equal(f->total_bytes, 0);
    f->stopping = true;
    assert_int_equal(fake_poll(f), RKP_DONE);
    done(f);
}

static void a_rate_is_kept(void **state)
{
    static const struct {
        const char *rate;
        double per_s;
    } rates[] = { { "10/s", 10 }, { "1000", 1000 }, { "2.5k/s", 2500 }, { "1000k/s", 1e6 }, { "30/m", 0.5 } };
    (void)state;
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        char with[128];
        fake *f;
        uint64_t begin, until;
        double want;
        snprintf(with, sizeof with, "rate: %s\ncolumns: { n: row }", rates[i].rate);
        f = generator(with, FAKE_FAIL);
        if (f->st != RKP_OK)
            fail_msg("%s", fake_findings(f));
        begin = f->now_ns;
        until = begin + (rates[i].per_s < 1 ? 20000000000u : 2000000000u);
        while (f->now_ns < until) {
            rkp_verdict v = fake_poll(f); // moves the clock to where it wants to be woken
            assert_true(v == RKP_MORE || v == RKP_RETRY);
        }
        want = (double)(f->now_ns - begin) * 1e-9 * rates[i].per_s + 1;
        if ((double)f->emitted[0] > want + 0.5 || (double)f->emitted[0] < want * 0.98 - 1.5)
            fail_msg("%s: %llu rows, %f are right", rates[i].rate, (unsigned long long)f->emitted[0], want);
        done(f);
    }
}

static void a_pause_is_made_up_for_by_a_burst_at_most(void **state)
{
    fake *f = generator("rate: 100/s\nburst: 20\ncolumns: { n: row }", FAKE_FAIL);
    (void)state;
    while (f->emitted[0] == 0)
        fake_poll(f);
    f->now_ns += 60000000000u;
    while (fake_poll(f) == RKP_MORE)
        ;
    assert_in_range(f->emitted[0], 20, 22);
    done(f);
}

static void rows_in_error_are_rejected(void **state)
{
    fake *f = generator("rows: 5\ncolumns: { a: 10 // (row - 1), b: 10 // (row - 3) }", FAKE_DROP);
    (void)state;
    assert_int_equal(fake_poll_all(f, 0), RKP_DONE);
    assert_string_equal(fake_rows(f, 0), "-10|-3\n10|-10\n3|10\n");
    assert_int_equal(f->n_rejects, 2);
    assert_int_equal(f->rejects[0].row, 1);
    assert_int_equal(f->rejects[1].row, 3);
    done(f);
    f = generator("rows: 5\ncolumns: { a: 10 // (row - 1), b: 10 // (row - 3), c: a + 1 }", FAKE_DROP);
    f->conf.unneeded[0] = 1 << 1; // a is needed for c
    assert_int_equal(fake_poll_all(f, 0), RKP_DONE);
    assert_string_equal(fake_rows(f, 0), "-10|null|-9\n10|null|11\n5|null|6\n3|null|4\n");
    done(f);
}

static void options_that_are_wrong_are_told(void **state)
{
    static const struct {
        const char *with, *finding;
    } wrong[] = {
        { "rows: 1", "columns" },
        { "columns: {}", "columns-empty" },
        { "columns: { a: b }", "'b'" },
        { "columns: { a: b, b: row }", "'b'" },
        { "columns: { a: row }\nrate: fast", "rate" },
        { "columns: { a: row }\nbatch_rows: 0", "batch_rows" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        fake *f = generator(wrong[i].with, FAKE_FAIL);
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
        fake *f = generator("rows: 5\nbatch_rows: 3\ncolumns: { a: 10 // (row - 1), s: \"concat('a longer text than a "
                            "view ', to_string(a))\" }",
                            FAKE_DROP);
        bool none;
        rkp_verdict v;
        nomem_at(n);
        v = fake_poll_all(f, 0);
        none = nomem_count() < n;
        nomem_at(0);
        if (v == RKP_DONE)
            assert_int_equal(f->emitted[0], 4);
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
        cmocka_unit_test(columns_are_made_of_the_row_number),
        cmocka_unit_test(rows_do_not_depend_on_batches),
        cmocka_unit_test(without_rows_it_never_ends),
        cmocka_unit_test(a_rate_is_kept),
        cmocka_unit_test(a_pause_is_made_up_for_by_a_burst_at_most),
        cmocka_unit_test(rows_in_error_are_rejected),
        cmocka_unit_test(options_that_are_wrong_are_told),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests_name("op.generate", tests, NULL, NULL);
}
