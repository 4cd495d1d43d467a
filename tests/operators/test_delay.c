// delay: each batch comes out after the time, in order; it holds no more than its queue.
#include "fake_op.h"
#include "nomem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

extern const rkp_op rkp_op_delay;

static const uint64_t MS = 1000000;

static rkp_verdict offer(struct op_run *run, rkp_batch *b)
{
    return rkp_op_delay.on_batch(run->f->main.self, &run->f->main, 0, b);
}

static rkp_verdict tick(struct op_run *run)
{
    return rkp_op_delay.on_timer(run->f->main.self, &run->f->main);
}

static void a_batch_comes_out_when_its_time_has_come(void **state)
{
    struct op_run run;

    (void)state;
    op_start(&run, &rkp_op_delay, "for: 100ms", "x i64", OP_FLAT);
    run.f->now_ns = 1000 * MS;
    assert_int_equal(op_feed(&run, "1\n2\n", 0), RKP_DONE);
    assert_int_equal(run.f->wake_at, 1100 * MS);
    run.f->now_ns = 1040 * MS;
    assert_int_equal(op_feed(&run, "3\n", 0), RKP_DONE);
    assert_int_equal(run.f->wake_at, 1100 * MS);
    run.f->now_ns = 1099 * MS;
    assert_int_equal(tick(&run), RKP_DONE); // too early
    assert_int_equal(run.f->n_out, 0);
    run.f->now_ns = 1100 * MS;
    assert_int_equal(tick(&run), RKP_DONE);
    assert_string_equal(fake_rows(run.f, 0), "1\n2\n");
    assert_int_equal(run.f->wake_at, 1140 * MS);
    run.f->now_ns = 1150 * MS; // a new one brings the old one out, too
    assert_int_equal(op_feed(&run, "4\n", 0), RKP_DONE);
    assert_string_equal(fake_rows(run.f, 0), "1\n2\n3\n");
    assert_int_equal(run.f->wake_at, 1250 * MS);
    run.f->now_ns = 9000 * MS;
    assert_int_equal(tick(&run), RKP_DONE);
    assert_string_equal(fake_rows(run.f, 0), "1\n2\n3\n4\n");
    assert_int_equal(run.f->wake_at, 0);
    op_close(&run);
}

static void many_batches_keep_their_order(void **state)
{
    struct op_run run;
    char line[32];
    uint64_t seed = 7;
    int64_t want = 0;

    (void)state;
    op_start(&run, &rkp_op_delay, "for: 5ms", "x i64", OP_FLAT);
    for (int i = 0; i < 3000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        run.f->now_ns += (seed >> 33) % 400000;
        if (run.f->wake_at && run.f->wake_at <= run.f->now_ns)
            assert_int_equal(tick(&run), RKP_DONE);
        snprintf(line, sizeof line, "%d\n", i);
        assert_int_equal(op_feed(&run, line, 0), RKP_DONE);
    }
    assert_in_range(run.f->n_out, 2900, 2995);
    assert_int_equal(fake_end(run.f), RKP_DONE);
    assert_int_equal(run.f->n_out, 3000);
    for (size_t i = 0; i < run.f->n_out; i++)
        assert_int_equal(((const int64_t *)run.f->out[i].b->cols[0].values)[0], want++);
    op_close(&run);
}

static void at_the_end_it_waits_for_the_last_ones(void **state)
{
    struct op_run run;
    uint64_t begin;

    (void)state;
    op_start(&run, &rkp_op_delay, "for: 2s", "x i64", OP_FLAT);
    begin = run.f->now_ns;
    assert_int_equal(op_feed(&run, "1\n2\n3\n", 1), RKP_DONE);
    assert_int_equal(rkp_op_delay.on_end(run.f->main.self, &run.f->main), RKP_RETRY);
    assert_int_equal(run.f->n_out, 0);
    assert_int_equal(fake_end(run.f), RKP_DONE);
    assert_int_equal(run.f->now_ns - begin, 2000 * MS);
    assert_string_equal(fake_rows(run.f, 0), "1\n2\n3\n");
    op_close(&run);
}

static void told_to_stop_it_gives_everything_on_at_once(void **state)
{
    struct op_run run;

    (void)state;
    op_start(&run, &rkp_op_delay, "for: 1h", "x i64", OP_FLAT);
    assert_int_equal(op_feed(&run, "1\n2\n3\n", 1), RKP_DONE);
    run.f->stopping = true;
    assert_int_equal(tick(&run), RKP_DONE);
    assert_string_equal(fake_rows(run.f, 0), "1\n2\n3\n");
    assert_int_equal(run.f->wake_at, 0);
    assert_int_equal(op_feed(&run, "4\n", 0), RKP_PASS);
    assert_string_equal(fake_rows(run.f, 0), "1\n2\n3\n4\n");
    op_close(&run);
}

static void no_time_passes_batches_as_they_are(void **state)
{
    struct op_run run;

    (void)state;
    op_start(&run, &rkp_op_delay, "for: 0s", "x i64", OP_FLAT);
    assert_int_equal(op_feed(&run, "1\n2\n3\n", 1), RKP_PASS);
    assert_string_equal(fake_rows(run.f, 0), "1\n2\n3\n");
    op_close(&run);
}

static void it_holds_no_more_than_its_queue(void **state)
{
    static const fake_conf confs[] = {
        { .op = &rkp_op_delay, .with = "for: 1s", .queue_messages = 4 },
        { .op = &rkp_op_delay, .with = "for: 1s", .queue_bytes = 4 * (256 + 16) },
    };

    (void)state;
    for (size_t i = 0; i < sizeof confs / sizeof *confs; i++) {
        struct op_run run;
        rkp_batch *b;

        op_open(&run, confs[i], "x i64", OP_FLAT);
        for (int k = 0; k < 4; k++) {
            run.f->now_ns += 100 * MS;
            assert_int_equal(op_feed(&run, "1\n", 0), RKP_DONE);
        }
        b = op_batch(&run, "2\n");
        for (int k = 0; k < 3; k++)
            assert_int_equal(offer(&run, b), RKP_RETRY);
        assert_int_equal(run.f->counts[0], 1);
        assert_int_equal(run.f->n_out, 0);
        assert_int_equal(fake_tick(run.f), RKP_DONE);
        assert_int_equal(run.f->n_out, 1);
        assert_int_equal(offer(&run, b), RKP_DONE);
        rkp_batch_put(b);
        assert_int_equal(fake_end(run.f), RKP_DONE);
        assert_string_equal(fake_rows(run.f, 0), "1\n1\n1\n1\n2\n");
        op_close(&run);
    }
}

static void it_holds_no_more_than_there_is_memory_for_but_always_one(void **state)
{
    struct op_run run;
    rkp_batch *b;

    (void)state;
    op_open(&run, (fake_conf){ .op = &rkp_op_delay, .with = "for: 1s", .pool_limit = 8 << 10 }, "x i64", OP_FLAT);
    assert_int_equal(op_feed(&run, "1\n", 0), RKP_DONE);
    b = op_batch(&run, "2\n");
    assert_int_equal(offer(&run, b), RKP_RETRY);
    assert_int_equal(fake_feed(run.f, 0, b), RKP_DONE);
    assert_int_equal(fake_end(run.f), RKP_DONE);
    assert_string_equal(fake_rows(run.f, 0), "1\n2\n");
    op_close(&run);
}

static void what_it_holds_is_let_go_when_the_run_fails(void **state)
{
    struct op_run run;

    (void)state;
    op_start(&run, &rkp_op_delay, "for: 1s", "x i64", OP_FLAT);
    assert_int_equal(op_feed(&run, "1\n2\n3\n", 1), RKP_DONE);
    op_close(&run);
}

static void options_that_are_wrong_are_told(void **state)
{
    static const struct {
        const char *with, *finding;
    } wrong[] = {
        { "{}", "needs 'for'" },
        { "{ for: long }", "'for' needs a duration" },
        { "{ for: -1s }", "for" },
        { "{ for: 30d }", "opt-range" },
        { "{ for: 1s, jitter: 1s }", "no option 'jitter'" },
        { "{ duration: 1s }", "'duration' is 'for' here" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        op_refuses(&rkp_op_delay, wrong[i].with, "x i64", wrong[i].finding);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    if (!nomem_works())
        skip();
    for (long n = 1;; n++) {
        struct op_run run;
        rkp_verdict v = RKP_DONE;
        rkp_batch *b[40];
        bool done;

        op_start(&run, &rkp_op_delay, "for: 1s", "x i64", OP_FLAT);
        for (int i = 0; i < 40; i++)
            b[i] = op_batch(&run, "1\n2\n");
        nomem_at(n);
        for (int i = 0; i < 40 && v != RKP_FAIL; i++)
            v = offer(&run, b[i]);
        if (v != RKP_FAIL)
            v = fake_end(run.f);
        done = nomem_count() < n;
        nomem_at(0);
        assert_true(v == RKP_DONE || (!done && v == RKP_FAIL));
        for (int i = 0; i < 40; i++)
            rkp_batch_put(b[i]);
        op_close(&run);
        if (done)
            break;
    }
}

static void the_examples_are_true(void **state)
{
    (void)state;
    op_examples(&rkp_op_delay);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_comes_out_when_its_time_has_come),
        cmocka_unit_test(many_batches_keep_their_order),
        cmocka_unit_test(at_the_end_it_waits_for_the_last_ones),
        cmocka_unit_test(told_to_stop_it_gives_everything_on_at_once),
        cmocka_unit_test(no_time_passes_batches_as_they_are),
        cmocka_unit_test(it_holds_no_more_than_its_queue),
        cmocka_unit_test(it_holds_no_more_than_there_is_memory_for_but_always_one),
        cmocka_unit_test(what_it_holds_is_let_go_when_the_run_fails),
        cmocka_unit_test(options_that_are_wrong_are_told),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(the_examples_are_true),
    };

    return cmocka_run_group_tests_name("delay", tests, NULL, NULL);
}
