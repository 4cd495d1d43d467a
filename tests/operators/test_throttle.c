// throttle: never more than the burst and the rate, nothing lost when it waits.
#include "fake_op.h"
#include "nomem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

extern const rkp_op rkp_op_throttle;

enum { SECOND = 1000000000 };

static void rows_above_the_rate_are_dropped(void **state)
{
    // Batches of some rows, each so many milliseconds after the one before.
    static const struct {
        const char *with;
        struct {
            unsigned after_ms, rows, pass;
        } v[6];
    } cases[] = {
        { "{ rate: 10/s, burst: 3 }", { { 0, 5, 3 }, { 0, 1, 0 }, { 100, 5, 1 }, { 250, 5, 2 }, { 60000, 9, 3 } } },
        { "{ rate: 10/s }", { { 0, 15, 10 }, { 500, 9, 5 }, { 5000, 30, 10 } } },
        { "{ rate: 30/m }", { { 0, 2, 1 }, { 1000, 1, 0 }, { 1000, 1, 1 } } },
        { "{ rate: 1000000/s, burst: 2 }", { { 0, 2, 2 }, { 1, 2, 2 }, { 1, 5, 2 } } },
        { "{ rate: 0.5, burst: 1 }", { { 0, 1, 1 }, { 1999, 1, 0 }, { 1, 1, 1 } } },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct op_run run;
        uint64_t pass = 0, drop = 0;

        op_start(&run, &rkp_op_throttle, cases[i].with, "x i64", OP_FLAT);
        for (size_t k = 0; k < 6 && cases[i].v[k].rows; k++) {
            char lines[256];
            size_t n = 0;

            for (unsigned r = 0; r < cases[i].v[k].rows; r++)
                n += (size_t)sprintf(lines + n, "%u\n", r);
            run.f->now_ns += cases[i].v[k].after_ms * 1000000ull;
            assert_int_not_equal(op_feed(&run, lines, 0), RKP_FAIL);
            pass += cases[i].v[k].pass;
            drop += cases[i].v[k].rows - cases[i].v[k].pass;
            if (run.f->emitted[0] != pass)
                fail_msg("%s, batch %zu: %llu rows have passed", cases[i].with, k,
                         (unsigned long long)run.f->emitted[0]);
        }
        assert_int_equal(fake_dropped(run.f, "throttle"), drop);
        assert_int_equal(run.f->counts[0], drop);
        op_close(&run);
    }
}

static void the_first_rows_of_a_batch_pass(void **state)
{
    (void)state;
    for (int form = 0; form < OP_FORMS; form++) {
        char *rows = op_rows(&rkp_op_throttle, "{ rate: 1/s, burst: 2 }", "x i64, s string?", "1|a\n2|\n3|c\n4|d\n", 0,
                             (enum op_form)form);

        assert_string_equal(rows, "1|a\n2|null\n");
        free(rows);
    }
}

static void a_batch_within_the_rate_passes_as_it_is(void **state)
{
    struct op_run run;

    (void)state;
    op_start(&run, &rkp_op_throttle, "{ rate: 5/s }", "x i64", OP_FLAT);
    assert_int_equal(op_feed(&run, "1\n2\n3\n4\n5\n", 0), RKP_PASS);
    run.f->now_ns += SECOND;
    assert_int_equal(op_feed(&run, "1\n2\n3\n4\n5\n", 0), RKP_PASS);
    op_close(&run);
}

static void in_any_time_at_most_the_burst_and_the_rate_pass(void **state)
{
    static const char *const modes[] = { "drop", "wait" };
    static const struct {
        const char *text;
        double per_s;
        uint64_t burst;
    } rates[] = { { "rate: 7/s, burst: 3", 7, 3 },
                  { "rate: 1000/s, burst: 1", 1000, 1 },
                  { "rate: 2.5k/s, burst: 400", 2500, 400 } };
    uint64_t seed = 1;

    (void)state;
    for (size_t i = 0; i < sizeof rates / sizeof *rates * 2; i++) {
        enum { TIMES = 400 };
        uint64_t at[TIMES], passed[TIMES];
        char with[100], lines[1024];
        struct op_run run;

        snprintf(with, sizeof with, "{ %s, on_excess: %s }", rates[i / 2].text, modes[i % 2]);
        op_start(&run, &rkp_op_throttle, with, "x i64", OP_FLAT);
        for (size_t k = 0; k < TIMES; k++) {
            size_t n = 0;
            uint64_t r = (seed = seed * 6364136223846793005u + 1442695040888963407u) >> 33;

            for (uint64_t x = 0; x <= r % 50; x++)
                n += (size_t)sprintf(lines + n, "%d\n", (int)x);
            run.f->now_ns += (r >> 8) % 2 ? (r >> 9) % 3000000 : (r >> 9) % 300000000;
            assert_int_not_equal(op_feed(&run, lines, 0), RKP_FAIL);
            at[k] = run.f->now_ns;
            passed[k] = run.f->emitted[0];
        }
        for (size_t a = 0; a < TIMES; a++)
            for (size_t b = a + 1; b < TIMES; b++) {
                double time = (double)(at[b] - at[a]) * 1e-9 + (i % 2 ? 0.01 : 0); // late ones are made up for
                double most = (double)rates[i / 2].burst + time * rates[i / 2].per_s + 1e-6;

                if ((double)(passed[b] - passed[a]) > most)
                    fail_msg("%s: %llu rows in %llu ns", with, (unsigned long long)(passed[b] - passed[a]),
                             (unsigned long long)(at[b] - at[a]));
            }
        op_close(&run);
    }
}

static void rows_that_wait_come_out_in_order_at_the_rate(void **state)
{
    static const struct {
        const char *with;
        double per_s, burst;
    } cases[] = { { "{ rate: 100/s, burst: 1, on_excess: wait }", 100, 1 },
                  { "{ rate: 100/s, burst: 20, on_excess: wait }", 100, 20 },
                  { "{ rate: 1k/s, burst: 10, on_excess: wait }", 1000, 10 },
                  { "{ rate: 1000k/s, burst: 1000, on_excess: wait }", 1e6, 1000 },
                  { "{ rate: 2/s, on_excess: wait }", 2, 2 } };
    enum { ROWS = 5000 };
    char *lines = malloc(ROWS * 8), *to = lines;

    (void)state;
    assert_non_null(lines);
    for (int x = 0; x < ROWS; x++)
        to += sprintf(to, "%d\n", x);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct op_run run;
        uint64_t begin;
        double took, want = (ROWS - cases[i].burst) / cases[i].per_s;

        op_start(&run, &rkp_op_throttle, cases[i].with, "x i64", OP_FLAT);
        begin = run.f->now_ns;
        for (unsigned cut = 0; cut < 2; cut++) {
            assert_int_not_equal(op_feed(&run, lines, cut ? 700 : 0), RKP_FAIL);
            assert_int_equal(fake_end(run.f), RKP_DONE);
            took = (double)(run.f->now_ns - begin) * 1e-9;
            if (took < want - 1e-6 || took > want * 1.02 + 0.02)
                fail_msg("%s: %g s instead of %g s", cases[i].with, took, want);
            begin = run.f->now_ns + (uint64_t)(2e9 * cases[i].burst / cases[i].per_s); // the bucket is full again
            run.f->now_ns = begin;
        }
        assert_int_equal(run.f->emitted[0], 2 * ROWS);
        assert_memory_equal(fake_rows(run.f, 0), lines, strlen(lines));
        assert_int_equal(run.f->n_drops, 0);
        assert_true(run.f->counts[0] > 0);
        op_close(&run);
    }
    free(lines);
}

static void wake_ups_that_come_late_are_made_up_for(void **state)
{
    struct op_run run;
    uint64_t begin;
    char lines[10000], *to = lines;

    (void)state;
    for (int x = 0; x < 2000; x++)
        to += sprintf(to, "%d\n", x);
    op_start(&run, &rkp_op_throttle, "{ rate: 1k/s, burst: 1, on_excess: wait }", "x i64", OP_FLAT);
    begin = run.f->now_ns;
    assert_int_equal(op_feed(&run, lines, 0), RKP_DONE);
    while (run.f->wake_at) {
        run.f->now_ns = run.f->wake_at + 300000; // each time
        run.f->wake_at = 0;
        assert_int_equal(rkp_op_throttle.on_timer(run.f->main.self, &run.f->main), RKP_DONE);
    }
    assert_int_equal(run.f->emitted[0], 2000);
    assert_in_range(run.f->now_ns - begin, 1999ull * SECOND / 1000, 2001ull * SECOND / 1000);
    op_close(&run);
}

static void while_a_batch_waits_no_other_is_taken(void **state)
{
    struct op_run run;
    rkp_batch *b;

    (void)state;
    op_start(&run, &rkp_op_throttle, "{ rate: 1/s, on_excess: wait }", "x i64", OP_FLAT);
    assert_int_equal(op_feed(&run, "1\n2\n3\n", 0), RKP_DONE);
    assert_string_equal(fake_rows(run.f, 0), "1\n");
    b = op_batch(&run, "4\n");
    for (int i = 0; i < 3; i++)
        assert_int_equal(rkp_op_throttle.on_batch(run.f->main.self, &run.f->main, 0, b), RKP_RETRY);
    run.f->now_ns += SECOND;
    assert_int_equal(fake_tick(run.f), RKP_DONE);
    assert_string_equal(fake_rows(run.f, 0), "1\n2\n");
    // Told to stop: the rest passes at once.
    run.f->stopping = true;
    run.f->wake_at = 0;
    assert_int_equal(rkp_op_throttle.on_timer(run.f->main.self, &run.f->main), RKP_DONE);
    assert_string_equal(fake_rows(run.f, 0), "1\n2\n3\n");
    assert_int_equal(fake_feed(run.f, 0, b), RKP_PASS);
    assert_int_equal(op_feed(&run, "5\n6\n", 0), RKP_PASS);
    assert_string_equal(fake_rows(run.f, 0), "1\n2\n3\n4\n5\n6\n");
    op_close(&run);
}

static void a_batch_that_waits_is_let_go_when_the_run_fails(void **state)
{
    struct op_run run;

    (void)state;
    op_start(&run, &rkp_op_throttle, "{ rate: 1/s, on_excess: wait }", "x i64", OP_FLAT);
    assert_int_equal(op_feed(&run, "1\n2\n3\n", 0), RKP_DONE);
    op_close(&run);
}

static void stop_lets_the_burst_pass_and_stops(void **state)
{
    struct op_run run;

    (void)state;
    op_start(&run, &rkp_op_throttle, "{ rate: 2/s, on_excess: stop }", "x i64", OP_FLAT);
    assert_int_equal(op_feed(&run, "1\n", 0), RKP_PASS);
    assert_int_equal(op_feed(&run, "2\n3\n4\n", 0), RKP_STOP);
    assert_string_equal(fake_rows(run.f, 0), "1\n2\n");
    assert_int_equal(fake_dropped(run.f, "throttle"), 2);
    op_close(&run);
}

static void replicas_share_the_rate(void **state)
{
    struct op_run run;

    (void)state;
    op_open(&run, (fake_conf){ .op = &rkp_op_throttle, .with = "{ rate: 40/s, burst: 8 }", .replicas = 4 }, "x i64",
            OP_FLAT);
    op_feed(&run, "1\n2\n3\n4\n", 0);
    assert_int_equal(run.f->emitted[0], 2);
    run.f->now_ns += SECOND / 10;
    op_feed(&run, "1\n2\n3\n4\n", 0);
    assert_int_equal(run.f->emitted[0], 3);
    op_close(&run);
}

static void options_that_are_wrong_are_told(void **state)
{
    static const struct {
        const char *with, *finding;
    } wrong[] = {
        { "{}", "needs 'rate'" },
        { "{ rate: fast }", "'rate' needs a rate" },
        { "{ rate: 0 }", "opt-range" },
        { "{ rate: -1/s }", "rate" },
        { "{ rate: 1/s, burst: -1 }", "burst" },
        { "{ rate: 1/s, burst: many }", "burst" },
        { "{ rate: 1/s, on_excess: block }", "opt-choice" },
        { "{ rate: 1/s, burts: 3 }", "did you mean 'burst'?" },
        { "{ rps: 1 }", "'rps' is 'rate' here" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        op_refuses(&rkp_op_throttle, wrong[i].with, "x i64", wrong[i].finding);
}

static void every_allocation_may_fail(void **state)
{
    static const char *const with[] = { "{ rate: 1/s, burst: 2 }", "{ rate: 1/s, burst: 2, on_excess: wait }" };

    (void)state;
    if (!nomem_works())
        skip();
    for (int i = 0; i < 2; i++) {
        for (long n = 1;; n++) {
            struct op_run run;
            rkp_verdict v;
            rkp_batch *b;
            bool done;

            op_start(&run, &rkp_op_throttle, with[i], "x i64", OP_FLAT);
            b = op_batch(&run, "1\n2\n3\n4\n");
            nomem_at(n);
            v = fake_feed(run.f, 0, b);
            if (v != RKP_FAIL)
                v = fake_end(run.f);
            done = nomem_count() < n;
            nomem_at(0);
            assert_true(v == RKP_DONE || (!done && v == RKP_FAIL));
            op_close(&run);
            if (done)
                break;
        }
    }
}

static void the_examples_are_true(void **state)
{
    (void)state;
    op_examples(&rkp_op_throttle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_above_the_rate_are_dropped),
        cmocka_unit_test(the_first_rows_of_a_batch_pass),
        cmocka_unit_test(a_batch_within_the_rate_passes_as_it_is),
        cmocka_unit_test(in_any_time_at_most_the_burst_and_the_rate_pass),
        cmocka_unit_test(rows_that_wait_come_out_in_order_at_the_rate),
        cmocka_unit_test(wake_ups_that_come_late_are_made_up_for),
        cmocka_unit_test(while_a_batch_waits_no_other_is_taken),
        cmocka_unit_test(a_batch_that_waits_is_let_go_when_the_run_fails),
        cmocka_unit_test(stop_lets_the_burst_pass_and_stops),
        cmocka_unit_test(replicas_share_the_rate),
        cmocka_unit_test(options_that_are_wrong_are_told),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(the_examples_are_true),
    };

    return cmocka_run_group_tests_name("throttle", tests, NULL, NULL);
}
