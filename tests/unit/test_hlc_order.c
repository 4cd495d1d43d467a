// labels: threads
// order: hlc with threads: what RELIABILITY.md 2.4 promises (G1 to G5), publishers that stand still, clocks over a restart.
//
//   test_hlc_order          two hundred thousand messages of jobs that a seed makes
//   test_hlc_order --all    ten million (labelled slow)
#include "files.h"
#include "run_expect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
// after the above
#include <cmocka.h>

// G2: each publisher's rows in order, without a gap.
static void expect_fifo(int sink, int64_t p, int64_t n)
{
    int64_t next = 0;
    for (size_t i = 0; i < case_results[sink].n; i++)
        if (case_results[sink].v[i].p == p)
            assert_int_equal(case_results[sink].v[i].n, next++);
    assert_int_equal(next, n);
}

// G3: what was made of a row is behind it, and has the larger stamp.
static void expect_causes(int sink, int64_t p, int64_t n)
{
    uint64_t *stamps = calloc((size_t)n, sizeof *stamps);
    assert_non_null(stamps);
    for (size_t i = 0; i < case_results[sink].n; i++) {
        const case_row *r = &case_results[sink].v[i];
        if (r->p == p)
            stamps[r->n] = r->stamp;
        if (r->p == p + 100)
            assert_true(stamps[r->n] && stamps[r->n] < r->stamp);
    }
    free(stamps);
}

// G5: what both have comes in the same order.
static void expect_same(int a, int b, bool (*both)(int64_t p))
{
    size_t i = 0, j = 0;
    const case_result *x = &case_results[a], *y = &case_results[b];
    for (;;) {
        while (i < x->n && !both(x->v[i].p))
            i++;
        while (j < y->n && !both(y->v[j].p))
            j++;
        if (i == x->n || j == y->n)
            break;
        assert_int_equal(x->v[i].p, y->v[j].p);
        assert_int_equal(x->v[i].n, y->v[j].n);
        assert_int_equal(x->v[i].stamp, y->v[j].stamp);
        i++;
        j++;
    }
    assert_true(i == x->n && j == y->n);
}

static bool all(int64_t p)
{
    (void)p;
    return true;
}

static bool odd(int64_t p)
{
    return p == 1 || p == 3;
}

static void subscribers_see_one_order_whatever_the_rates_are(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 4; threads++) {
        live *l;
        case_forget();
        case_set(case_gate[4], 0);
        l = live_start(
            &(live_conf){ .threads = threads },
            "kernels:\n"
            "  a: { op: t.pub, with: { id: 1, rows: 6000, batch: 2 }, publish: t/1 }\n"
            "  b: { op: t.pub, with: { id: 2, rows: 2000, every: 50us, keys: [2, 5] }, publish: 't/${this.k}' }\n"
            "  c: { op: t.pub, with: { id: 3, rows: 40, every: 4ms }, publish: t/3 }\n"
            "  d: { op: t.pub, with: { id: 4, rows: 10, gate: 4 }, publish: t/4 }\n"
            "  echo: { op: t.echo, subscribe: t/1, publish: t/again }\n"
            "  x: { op: t.sink, subscribe: t/#, order: hlc, queue: { capacity: 64 }, with: { into: 1 } }\n"
            "  y: { op: t.slow, subscribe: '#', order: hlc, queue: { capacity: 16 }, with: { into: 2 } }\n"
            "  z: { op: t.sink, subscribe: [t/1, t/3], order: hlc, with: { into: 3 } }\n"
            "  w: { op: t.sink, subscribe: t/#, with: { into: 4 } }\n");
        live_until(l, case_look(case_results[4].rows) == 14040); // an idle publisher holds nobody up
        live_until(l, case_look(case_results[1].rows) == 14040 && case_look(case_results[2].rows) == 14040);
        case_set(case_gate[4], 10);
        live_until(l, __atomic_load_n(&l->over, __ATOMIC_ACQUIRE));
        assert_int_equal(live_edges(l, "late"), 0);
        expect_end(l, RKI_EXIT_OK);
        for (int s = 1; s <= 4; s++) {
            if (s != 4)
                expect_ordered(s);
            expect_fifo(s, 1, 6000);
            expect_fifo(s, 3, 40);
            if (s == 3)
                continue;
            expect_fifo(s, 2, 2000);
            expect_fifo(s, 4, 10);
            if (s != 4)
                expect_causes(s, 1, 6000);
        }
        expect_same(1, 2, all);
        expect_same(1, 3, odd);
    }
}

static bool all_of_them;

// Jobs that a seed makes: two publishers as fast as they can, one of them echoed; one that is slow, one that is idle, and one that stands
// still in a long step until half of the others' messages have come, and is left out.  (That one takes a worker for itself.)
static void random_jobs_of_many_messages_keep_every_promise(void **state)
{
    static const unsigned capacity[] = { 1, 2, 8, 64, 1024 };
    uint64_t want = all_of_them ? 10000000 : 200000, most = all_of_them ? 100000 : 20000, sent = 0, left_out = 0;
    (void)state;
    for (uint64_t round = 0; sent < want; round++) {
#define PICK(i, n) (case_hash(17, round, i) % (n))
        uint64_t a = most / 2 + PICK(1, most), b = most / 2 + PICK(2, most), c = 20 + PICK(3, 200),
                 s = 1 + PICK(4, 500), n;
        char text[2000];
        live *l;
        case_forget();
        case_set(case_gate[4], 0);
        case_set(case_gate[6], 0);
        snprintf(text, sizeof text,
                 "topics: { 't/#': { max_skew: %ums } }\n"
                 "kernels:\n"
                 "  a: { op: t.pub, with: { id: 1, rows: %llu }, publish: t/1 }\n"
                 "  b: { op: t.pub, with: { id: 2, rows: %llu, keys: [2, 5], pick: 3 }, publish: 't/${this.k}' }\n"
                 "  c: { op: t.pub, with: { id: 3, rows: %llu, every: 200us }, publish: t/3 }\n"
                 "  d: { op: t.pub, with: { id: 4, rows: 10, gate: 4 }, publish: t/4 }\n"
                 "  s: { op: t.pub, with: { id: 5, rows: %llu, stall: 6 }, publish: t/6 }\n"
                 "  echo: { op: t.echo, subscribe: t/1, queue: { capacity: %u }, publish: t/again }\n"
                 "  x: { op: t.sink, subscribe: t/#, order: hlc, queue: { capacity: %u }, with: { into: 1 } }\n"
                 "  y: { op: t.sink, subscribe: '#', order: hlc, queue: { capacity: %u }, with: { into: 2 } }\n",
                 (unsigned)(5 + PICK(5, 20)), (unsigned long long)a, (unsigned long long)b, (unsigned long long)c,
                 (unsigned long long)s, capacity[PICK(6, 5)], capacity[PICK(7, 5)], capacity[PICK(8, 5)]);
        l = live_start(&(live_conf){ .threads = 2 + (unsigned)PICK(9, 3) }, "%s", text);
        n = 2 * a + b + c;
        live_until(l, case_look(case_results[1].rows) >= n / 2);
        case_set(case_gate[6], 1);
        live_until(l, case_look(case_results[1].rows) >= n && case_look(case_results[2].rows) >= n);
        case_set(case_gate[4], 10);
        live_until(l, __atomic_load_n(&l->over, __ATOMIC_ACQUIRE));
        assert_int_equal(live_edges(l, "late"), 0);
        left_out += live_edges(l, "excluded");
        expect_end(l, RKI_EXIT_OK);
        n += s + 10;
        for (int k = 1; k <= 2; k++) {
            assert_int_equal(case_results[k].n, n);
            expect_ordered(k);
            expect_fifo(k, 1, (int64_t)a);
            expect_fifo(k, 2, (int64_t)b);
            expect_fifo(k, 3, (int64_t)c);
            expect_fifo(k, 4, 10);
            expect_fifo(k, 5, (int64_t)s);
            expect_causes(k, 1, (int64_t)a);
        }
        expect_same(1, 2, all);
        sent += n;
#undef PICK
    }
    assert_true(left_out > 0);
    print_message("%llu messages, to two subscribers each; %llu times somebody was left out\n",
                  (unsigned long long)sent, (unsigned long long)left_out);
}

static void subscribers_that_publish_are_ordered_too(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 3; threads++) {
        int code;
        case_forget();
        code = case_run(threads, "kernels:\n"
                                 "  a: { op: t.pub, with: { id: 1, rows: 3000, batch: 2 }, publish: s/1 }\n"
                                 "  b: { op: t.pub, with: { id: 2, rows: 3000, batch: 3 }, publish: s/2 }\n"
                                 "  m: { op: t.step, subscribe: s/#, order: hlc, publish: m }\n"
                                 "  n: { op: t.step, subscribe: [m, s/2], order: hlc, publish: n }\n"
                                 "  x: { op: t.sink, subscribe: [s/#, n], order: hlc, with: { into: 1 } }\n"
                                 "  y: { op: t.sink, subscribe: [s/#, n], order: hlc, with: { into: 2 } }\n");
        if (code != RKI_EXIT_OK)
            fail_msg("exit %d: %s", code, case_failure);
        assert_int_equal(case_results[1].n, 6000 + 9000);
        assert_int_equal(case_results[2].n, 6000 + 9000);
        for (size_t i = 0; i < case_results[1].n; i++) {
            assert_int_equal(case_results[1].v[i].p, case_results[2].v[i].p);
            assert_int_equal(case_results[1].v[i].n, case_results[2].v[i].n);
            assert_int_equal(case_results[1].v[i].stamp, case_results[2].v[i].stamp);
            assert_true(!i || case_results[1].v[i].stamp >= case_results[1].v[i - 1].stamp);
        }
    }
}

static void a_queue_that_drops_keeps_the_order(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 3; threads++) {
        int code;
        case_forget();
        code = case_run(threads, "kernels:\n"
                                 "  a: { op: t.pub, with: { id: 1, rows: 20000 }, publish: t/1 }\n"
                                 "  b: { op: t.pub, with: { id: 2, rows: 20000 }, publish: t/2 }\n"
                                 "  c: { op: t.pub, with: { id: 3, rows: 200, every: 100us }, publish: t/3 }\n"
                                 "  x: { op: t.slow, subscribe: t/#, order: hlc, queue: { capacity: 8, overflow: "
                                 "drop_oldest }, with: { into: 1 } }\n"
                                 "  y: { op: t.slow, subscribe: t/#, order: hlc, queue: { capacity: 8, overflow: "
                                 "drop_newest }, with: { into: 2 } }\n"
                                 "  z: { op: t.slow, subscribe: t/#, order: hlc, queue: { capacity: 8, overflow: spill "
                                 "}, with: { into: 3 } }\n");
        if (code != RKI_EXIT_OK)
            fail_msg("exit %d: %s", code, case_failure);
        expect_ordered(1);
        expect_ordered(2);
        expect_ordered(3);
        expect_fifo(3, 1, 20000);
        expect_fifo(3, 2, 20000);
        expect_fifo(3, 3, 200);
        assert_int_equal(case_results[1].n + case_results[2].n + case_totals.dropped, 2 * 40200);
    }
}

// ---- publishers that stand still ------------------------------------------------------------------------------------

// b stands still in its first step until gate 5 opens.
static live *standing(const char *topics, const char *more)
{
    case_forget();
    case_set(case_gate[5], 0);
    live_tick_waits();
    return live_start(&(live_conf){ .threads = 2 },
                      "topics: { 't/#': { %s } }\n"
                      "kernels:\n"
                      "  a: { op: t.pub, with: { id: 1, rows: 400, every: 100us }, publish: t/1 }\n"
                      "  c: { op: t.pub, with: { id: 2, rows: 50 } }\n"
                      "  b: { op: t.step, from: [c], with: { id: 9, gate: 5 }, publish: t/2 }\n"
                      "  x: { op: t.sink, subscribe: t/#, order: hlc, with: { into: 1 } }\n"
                      "  y: { op: t.sink, subscribe: t/#, order: hlc, with: { into: 2 } }\n%s",
                      topics, more);
}

static void who_stands_still_is_left_out_after_max_skew_and_comes_back_in_order(void **state)
{
    uint64_t start = case_now_ns();
    live *l = standing("max_skew: 30ms", "");
    (void)state;
    live_until(l, case_look(case_results[1].rows) == 400 && case_look(case_results[2].rows) == 400);
    assert_true(case_now_ns() - start < 5000000000ull); // once 30 ms, not once for each message
    assert_true(live_edges(l, "excluded") >= 2);
    case_set(case_gate[5], 1);
    live_until(l, __atomic_load_n(&l->over, __ATOMIC_ACQUIRE));
    assert_int_equal(live_edges(l, "late"), 0);
    expect_end(l, RKI_EXIT_OK);
    for (int s = 1; s <= 2; s++) {
        expect_ordered(s);
        expect_fifo(s, 1, 400);
        expect_fifo(s, 2, 50);
    }
    expect_same(1, 2, all);
}

static void strict_waits_for_who_stands_still(void **state)
{
    live *l = standing("max_skew: 5ms, on_skew: strict", LIVE_TICK);
    (void)state;
    live_until(l, live_state(l, "a") == RKI_TERMINATED);
    live_ticks(l); // four times as long as max_skew
    // What is stamped before b began to stand still may come.
    assert_true(case_look(case_results[1].rows) < 400);
    case_set(case_gate[5], 1);
    live_until(l, __atomic_load_n(&l->over, __ATOMIC_ACQUIRE));
    assert_int_equal(live_edges(l, "late"), 0);
    assert_int_equal(live_edges(l, "excluded"), 0);
    expect_end(l, RKI_EXIT_OK);
    for (int s = 1; s <= 2; s++) {
        expect_ordered(s);
        expect_fifo(s, 1, 400);
        expect_fifo(s, 2, 50);
    }
    expect_same(1, 2, all);
}

static void release_goes_on_and_counts_what_comes_late(void **state)
{
    uint64_t late, behind = 0, call = 0, top = 0;
    live *l = standing("max_skew: 5ms, on_skew: release", "");
    (void)state;
    live_until(l, case_look(case_results[1].rows) == 400 && case_look(case_results[2].rows) == 400);
    case_set(case_gate[5], 1);
    live_until(l, __atomic_load_n(&l->over, __ATOMIC_ACQUIRE));
    late = live_edges(l, "late");
    assert_int_equal(live_edges(l, "excluded"), 0);
    expect_end(l, RKI_EXIT_OK);
    for (int s = 1; s <= 2; s++) {
        expect_fifo(s, 1, 400);
        expect_fifo(s, 2, 50);
        call = top = 0;
        for (size_t i = 0; i < case_results[s].n; i++) {
            const case_row *r = &case_results[s].v[i];
            if (r->call == call)
                continue;
            call = r->call;
            behind += r->stamp < top ? 1 : 0;
            top = r->stamp > top ? r->stamp : top;
        }
    }
    assert_true(late >= 2); // b's first message, to both
    assert_int_equal(late, behind);
}

// ---- over a restart -------------------------------------------------------------------------------------------------

static void stamps_of_a_stream_go_on_above_those_of_the_last_run(void **state)
{
    char dir[] = "/tmp/rkp-clock-XXXXXX";
    uint64_t top = 0;
    (void)state;
    assert_non_null(mkdtemp(dir));
    for (int round = 0; round < 4; round++) {
        live *l;
        case_forget();
        l = live_start(&(live_conf){ .dir = dir },
                       "kernels:\n"
                       "  a: { op: t.live, with: { id: 1 }, publish: t/1 }\n"
                       "  b: { op: t.live, with: { id: 2 }, publish: t/2 }\n"
                       "  x: { op: t.sink, subscribe: t/#, order: hlc, with: { into: 1 } }\n");
        live_until(l, case_look(case_results[1].rows) > 200);
        rki_run_drain(l->r);
        expect_end(l, RKI_EXIT_OK);
        expect_ordered(1);
        assert_true(case_results[1].v[0].stamp > top);
        top = case_results[1].v[case_results[1].n - 1].stamp;
    }
    remove_folder(dir);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, run_forget, run_forget)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CASE(subscribers_see_one_order_whatever_the_rates_are),
        CASE(random_jobs_of_many_messages_keep_every_promise),
        CASE(subscribers_that_publish_are_ordered_too),
        CASE(a_queue_that_drops_keeps_the_order),
        CASE(who_stands_still_is_left_out_after_max_skew_and_comes_back_in_order),
        CASE(strict_waits_for_who_stands_still),
        CASE(release_goes_on_and_counts_what_comes_late),
        CASE(stamps_of_a_stream_go_on_above_those_of_the_last_run),
    };
    all_of_them = argc > 1 && strcmp(argv[1], "--all") == 0;
    if (all_of_them)
        cmocka_set_test_filter("random_jobs_*");
    if (getenv("RKP_ONLY"))
        cmocka_set_test_filter(getenv("RKP_ONLY"));
    return cmocka_run_group_tests_name("hlc_order", tests, NULL, NULL);
}
