// labels: threads
// Kernels with replicas one of whose ends must be one: order: hlc, queues that do not block, groups, several inputs.  What goes through them
// comes out in the order in which it came in, and nothing is lost or counted twice.
#include "files.h"
#include "plan/plan.h"
#include "run_expect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// after the above
#include <cmocka.h>

// The messages of one sink are those of another, in the same order.
static void expect_equal(int a, int b)
{
    const case_result *x = &case_results[a], *y = &case_results[b];
    assert_int_equal(x->n, y->n);
    for (size_t i = 0; i < x->n; i++) {
        assert_int_equal(x->v[i].p, y->v[i].p);
        assert_int_equal(x->v[i].n, y->v[i].n);
    }
}

// Rows of each publisher and key grow.
static void expect_keys_in_order(int sink, size_t n)
{
    const case_result *x = &case_results[sink];
    assert_int_equal(x->n, n);
    for (size_t i = 0; i < x->n; i++)
        for (size_t j = i; j-- > 0 && i - j < 400;)
            if (x->v[i].p == x->v[j].p && strcmp(x->v[i].k, x->v[j].k) == 0) {
                assert_true(x->v[j].n < x->v[i].n);
                break;
            }
}

#define PUBS                                                                                                           \
    "kernels:\n"                                                                                                       \
    "  a: { op: t.pub, with: { id: 1, rows: 4000, batch: 3, keys: [d, e, f, g, h] }, publish: t/1 }\n"                 \
    "  b: { op: t.pub, with: { id: 2, rows: 900, every: 50us, keys: [d, e] }, publish: t/2 }\n"

static const char *const many[] = { "2", "3", "auto", "7" };
enum { MANY = sizeof many / sizeof *many };

static void a_reader_in_the_order_of_stamps_has_replicas(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 4; threads++) {
        case_forget();
        expect_run(RKI_EXIT_OK, threads,
                   PUBS "  echo: { op: t.echo, subscribe: t/1, publish: t/again }\n"
                        "  x: { op: t.pass, subscribe: t/*, order: hlc, replicas: 3 }\n"
                        "  out: { op: t.sink, from: [x], with: { into: 1 } }\n"
                        "  y: { op: t.sink, subscribe: t/*, order: hlc, with: { into: 2 } }\n");
        assert_int_equal(case_results[1].n, 8900);
        expect_equal(1, 2);
    }
}

static void however_many_they_are_and_whatever_is_behind_them(void **state)
{
    static const char *const behind[] = { "", "fuse: never, ", "replicas: 2, fuse: never, ", "replicas: auto, " };
    (void)state;
    for (unsigned i = 0; i < MANY; i++)
        for (unsigned j = 0; j < sizeof behind / sizeof *behind; j++) {
            char text[1200];
            case_forget();
            snprintf(text, sizeof text,
                     PUBS "  x: { op: t.pass, subscribe: t/*, order: hlc, replicas: %s }\n"
                          "  m: { op: t.pass, from: [x], %spriority: high }\n"
                          "  out: { op: t.sink, from: [m], with: { into: 1 } }\n"
                          "  y: { op: t.sink, subscribe: t/*, order: hlc, with: { into: 2 } }\n",
                     many[i], behind[j]);
            expect_run(RKI_EXIT_OK, i + 1, text);
            assert_int_equal(case_results[1].n, 4900);
            expect_equal(1, 2);
        }
}

static void one_key_goes_to_one_replica_in_order(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 3; threads++) {
        case_forget();
        expect_run(RKI_EXIT_OK, threads,
                   PUBS
                   "  x: { op: t.step, subscribe: t/*, order: hlc, replicas: 3, partition_by: k, with: { id: 8 } }\n"
                   "  out: { op: t.sink, from: [x], with: { into: 1 } }\n");
        expect_keys_in_order(1, 4900);
        assert_int_equal(case_seen[8].inits, 3);
    }
}

static void a_publisher_that_is_merged_has_replicas(void **state)
{
    (void)state;
    for (unsigned i = 0; i < MANY; i++) {
        char text[1400];
        case_forget();
        snprintf(text, sizeof text,
                 "kernels:\n"
                 "  a: { op: t.pub, with: { id: 1, rows: 4000, batch: 3 } }\n"
                 "  m: { op: t.pass, from: [a], replicas: %s, publish: t/1 }\n"
                 "  echo: { op: t.echo, subscribe: t/1, publish: t/again }\n"
                 "  b: { op: t.pub, with: { id: 2, rows: 900, every: 50us }, publish: t/2 }\n"
                 "  x: { op: t.sink, subscribe: t/*, order: hlc, with: { into: 1 } }\n"
                 "  y: { op: t.slow, subscribe: t/*, order: hlc, queue: { capacity: 4 }, with: { into: 2 } }\n"
                 "  z: { op: t.sink, from: [m], with: { into: 3 } }\n",
                 many[i]);
        expect_run(RKI_EXIT_OK, i + 1, text);
        expect_ordered(1);
        expect_equal(1, 2);
        expect_rows(1, 1, 4000);
        expect_rows(1, 2, 900);
        expect_rows(3, 1, 4000);
    }
}

// What an expression sees of a message is the stamp that it came with, however often it was dealt.
static void a_replica_sees_the_stamp_of_its_message(void **state)
{
    (void)state;
    expect_run(RKI_EXIT_OK, 3,
               PUBS "  x: { op: map, subscribe: t/*, order: hlc, replicas: 3, with: { derive: { k: meta.hlc } } }\n"
                    "  out: { op: t.sink, from: [x], with: { into: 1 } }\n"
                    "  y: { op: map, subscribe: t/*, order: hlc, with: { derive: { k: meta.hlc } } }\n"
                    "  all: { op: t.sink, from: [y], with: { into: 2 } }\n");
    assert_int_equal(case_results[1].n, 4900);
    expect_equal(1, 2);
    for (size_t i = 1; i < case_results[1].n; i++)
        assert_true(strcmp(case_results[1].v[i - 1].k, case_results[1].v[i].k) <= 0);
    for (size_t i = 0; i < case_results[1].n; i++)
        assert_string_equal(case_results[1].v[i].k, case_results[2].v[i].k);
}

static void one_that_reads_in_order_and_is_read_in_order(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 3; threads++) {
        case_forget();
        expect_run(RKI_EXIT_OK, threads,
                   PUBS "  x: { op: t.pass, subscribe: t/*, order: hlc, replicas: auto, publish: u }\n"
                        "  y: { op: t.sink, subscribe: t/*, order: hlc, with: { into: 1 } }\n"
                        "  z: { op: t.sink, subscribe: u, order: hlc, with: { into: 2 } }\n");
        expect_ordered(2);
        expect_equal(1, 2);
    }
}

// Ports, topics that depend on the row, groups and readers that drop: one sends for all replicas.
static void whoever_reads_from_replicas_reads_from_one(void **state)
{
    uint64_t n;
    (void)state;
    expect_run(
        RKI_EXIT_OK, 3,
        "kernels:\n"
        "  a: { op: t.pub, with: { id: 1, rows: 4000, batch: 3, keys: [d, e] } }\n"
        "  r: { op: route, from: [a], replicas: 3, with: { ports: { even: n % 2 == 0, odd: 'true' } },\n"
        "       publish: { even: 'even/${this.k}', odd: odd } }\n"
        "  x: { op: t.sink, subscribe: even/*, order: hlc, with: { into: 1 } }\n"
        "  y: { op: t.sink, subscribe: odd, order: hlc, with: { into: 2 } }\n"
        "  all: { op: t.sink, subscribe: '#', order: hlc, with: { into: 3 } }\n"
        "  one: { op: t.sink, subscribe: { topic: odd, group: g }, order: none, with: { into: 4 } }\n"
        "  two: { op: t.sink, subscribe: { topic: odd, group: g }, order: none, with: { into: 5 } }\n"
        "  last: { op: t.sink, subscribe: odd, queue: { overflow: drop_oldest, capacity: 2 }, with: { into: 6 } }\n"
        "  direct: { op: t.sink, from: [r.even], with: { into: 7 } }\n");
    assert_int_equal(case_results[1].n, 2000);
    assert_int_equal(case_results[2].n, 2000);
    assert_int_equal(case_results[3].n, 4000);
    assert_int_equal(case_results[4].n + case_results[5].n, 2000);
    assert_int_equal(case_results[7].n, 2000);
    expect_ordered(3);
    for (int sink = 1; sink <= 2; sink++)
        for (n = 0; n < 2000; n++)
            assert_int_equal(case_results[sink].v[n].n, 2 * n + (uint64_t)(sink == 2));
}

static void several_inputs_are_dealt_each_in_its_order(void **state)
{
    (void)state;
    expect_run(RKI_EXIT_OK, 3,
               "kernels:\n"
               "  a: { op: t.pub, with: { id: 1, rows: 4000, batch: 3 } }\n"
               "  b: { op: t.pub, with: { id: 2, rows: 3000, batch: 2 } }\n"
               "  m: { op: t.pass, from: [b], replicas: 2, fuse: never }\n"
               "  x: { op: t.pass, from: [a, m], replicas: 3, fuse: never, with: { id: 8 } }\n"
               "  out: { op: t.sink, from: [x], with: { into: 1 } }\n");
    assert_int_equal(case_seen[8].inits, 3);
    expect_rows(1, 1, 4000);
    expect_rows(1, 2, 3000);
}

static void batches_are_made_before_they_are_dealt(void **state)
{
    (void)state;
    expect_run(RKI_EXIT_OK, 3,
               "kernels:\n"
               "  a: { op: t.pub, with: { id: 1, rows: 1003, batch: 3 }, publish: t/1 }\n"
               "  x: { op: t.pass, subscribe: t/*, order: hlc, replicas: 2, batch: { count: 10 }, with: { id: 8 } }\n"
               "  out: { op: t.sink, from: [x], with: { into: 1 } }\n");
    expect_rows(1, 1, 1003);
    assert_int_equal(case_seen[8].calls, 101);
}

static void a_member_of_a_group_has_replicas(void **state)
{
    (void)state;
    expect_run(RKI_EXIT_OK, 3,
               PUBS "  x: { op: t.pass, subscribe: { topic: t/*, group: g }, order: none, replicas: 2 }\n"
                    "  y: { op: t.pass, subscribe: { topic: t/*, group: g }, order: none, replicas: 3 }\n"
                    "  out: { op: t.sink, from: [x, y], with: { into: 1 } }\n");
    assert_int_equal(case_results[1].n, 4900);
}

// ---- streams --------------------------------------------------------------------------------------------------------

// What the file does not say is to spill.
static void the_queue_before_the_replicas_of_a_stream_spills(void **state)
{
    live *l;
    (void)state;
    case_set(case_gate[5], 0);
    l = live_start(&(live_conf){ .threads = 3 },
                   "run: { mode: stream }\n"
                   "kernels:\n"
                   "  a: { op: t.pub, with: { id: 1, rows: 3000 }, publish: t/1 }\n"
                   "  x: { op: t.pass, subscribe: t/*, replicas: 2, queue: { capacity: 4 }, with: { gate: 5 } }\n"
                   "  out: { op: t.sink, from: [x], with: { into: 1 } }\n"
                   "  y: { op: t.sink, subscribe: t/*, with: { into: 2 } }\n");
    live_until(l, case_look(case_results[2].rows) == 3000); // nobody waits for the replicas
    assert_int_equal(case_look(case_results[1].rows), 0);
    assert_true(live_edges(l, "spilled") > 2900);
    case_set(case_gate[5], UINT64_MAX);
    live_until(l, case_look(case_results[1].rows) == 3000);
    rki_run_drain(l->r);
    expect_end(l, RKI_EXIT_OK);
    expect_rows(1, 1, 3000);
}

static void what_does_not_fit_is_dropped_before_it_is_dealt(void **state)
{
    static const char *const overflows[] = { "drop_oldest", "drop_newest" };
    (void)state;
    for (int i = 0; i < 2; i++) {
        uint64_t in, dropped;
        live *l;
        case_forget();
        case_set(case_gate[5], 0);
        l = live_start(&(live_conf){ .threads = 4 },
                       "run: { mode: stream }\n"
                       "kernels:\n"
                       "  a: { op: t.pub, with: { id: 1, rows: 1000 }, publish: t/1 }\n"
                       "  x: { op: t.pass, subscribe: t/*, order: hlc, replicas: 2, with: { gate: 5 },\n"
                       "       queue: { capacity: 4, overflow: %s } }\n"
                       "  out: { op: t.sink, from: [x], with: { into: 1 } }\n"
                       "  y: { op: t.sink, subscribe: t/*, with: { into: 2 } }\n",
                       overflows[i]);
        live_until(l, case_look(case_results[2].rows) == 1000);
        case_set(case_gate[5], UINT64_MAX);
        live_until(l, live_number(l, "x", "rows_in") == 1000 &&
                          case_look(case_results[1].rows) == 1000 - live_number(l, "x", "dropped"));
        in = live_number(l, "x", "rows_in");
        dropped = live_number(l, "x", "dropped");
        assert_int_equal(in, live_number(l, "x", "rows_out") + dropped);
        assert_int_equal(live_reason(l, "x", "drops", "queue_full"), dropped);
        // Its queue, what is dealt and not begun, what they have in their hands, and what the one who deals has.
        assert_in_range(1000 - dropped, 4, 4 + 2 * 2 + 2 + 2);
        rki_run_drain(l->r);
        expect_end(l, RKI_EXIT_OK);
        for (size_t n = 1; n < case_results[1].n; n++)
            assert_true(case_results[1].v[n - 1].n < case_results[1].v[n].n);
    }
}

// ---- commands -------------------------------------------------------------------------------------------------------

#define LIVE_ONE                                                                                                       \
    "run: { mode: stream }\n"                                                                                          \
    "kernels:\n"                                                                                                       \
    "  a: { op: t.pub, with: { id: 1, gate: 1 }, publish: t/1 }\n"                                                     \
    "  x: { op: t.pass, subscribe: t/*, order: hlc, replicas: 3, publish: u, with: { id: 8 } }\n"                      \
    "  y: { op: t.sink, subscribe: u, order: hlc, with: { into: 1 } }\n"                                               \
    "  z: { op: t.sink, subscribe: t/*, with: { into: 2 } }\n"

static void they_are_suspended_and_restarted_together(void **state)
{
    live *l;
    uint64_t at;
    (void)state;
    case_set(case_gate[1], 500);
    l = live_start(&(live_conf){ .threads = 3 }, LIVE_ONE);
    live_until(l, case_look(case_results[1].rows) == 500);
    assert_int_equal(live_command(l, "x", RKI_SUSPEND, 60000), RKI_DONE);
    at = case_look(case_results[1].rows);
    case_set(case_gate[1], 1000);
    live_until(l, case_look(case_results[2].rows) == 1000);
    assert_int_equal(case_look(case_results[1].rows), at);
    assert_int_equal(live_command(l, "x", RKI_ACTIVATE, 60000), RKI_DONE);
    live_until(l, case_look(case_results[1].rows) == 1000);
    assert_int_equal(live_command(l, "x", RKI_RESTART, 60000), RKI_DONE);
    assert_int_equal(case_seen[8].inits, 6);
    case_set(case_gate[1], 1500);
    live_until(l, case_look(case_results[1].rows) == 1500);
    rki_run_drain(l->r);
    expect_end(l, RKI_EXIT_OK);
    expect_rows(1, 1, 1500);
    expect_ordered(1);
}

// A subscription that begins when its kernel is activated gets what is retained, before what is new.
static void replicas_that_begin_later_get_what_is_retained(void **state)
{
    live *l;
    (void)state;
    case_set(case_gate[1], 300);
    l = live_start(&(live_conf){ .threads = 3 },
                   "run: { mode: stream }\n"
                   "topics: { 't/#': { retain: { count: 50 } } }\n"
                   "kernels:\n"
                   "  a: { op: t.pub, with: { id: 1, gate: 1 } }\n"
                   "  m: { op: t.pass, from: [a], replicas: 2, publish: t/1 }\n"
                   "  x: { op: t.pass, subscribe: { topic: t/*, start: earliest }, start: suspended, replicas: 3 }\n"
                   "  y: { op: t.sink, from: [x], with: { into: 1 } }\n"
                   "  z: { op: t.sink, subscribe: t/*, with: { into: 2 } }\n");
    live_until(l, case_look(case_results[2].rows) == 300);
    assert_int_equal(case_look(case_results[1].rows), 0);
    assert_int_equal(live_command(l, "x", RKI_ACTIVATE, 60000), RKI_DONE);
    live_until(l, case_look(case_results[1].rows) == 50);
    case_set(case_gate[1], 400);
    live_until(l, case_look(case_results[1].rows) == 150);
    rki_run_drain(l->r);
    expect_end(l, RKI_EXIT_OK);
    for (int i = 0; i < 150; i++)
        assert_int_equal(case_results[1].v[i].n, 250 + i);
}

static void they_are_terminated_together(void **state)
{
    live *l;
    (void)state;
    case_set(case_gate[1], 500);
    l = live_start(&(live_conf){ .threads = 3 }, LIVE_ONE);
    live_until(l, case_look(case_results[1].rows) == 500);
    assert_int_equal(live_command(l, "x", RKI_TERMINATE, 60000), RKI_DONE);
    case_set(case_gate[1], 1000);
    live_until(l, case_look(case_results[2].rows) == 1000);
    live_until(l, live_number(l, "x", "rows_in") == 1000);
    assert_int_equal(live_number(l, "x", "rows_out"), 500);
    assert_int_equal(live_reason(l, "x", "drops", "terminated"), 500);
    rki_run_drain(l->r);
    expect_end(l, RKI_EXIT_OK);
}

// What they hold is given on at their ends, through the one who gathers.
static void what_replicas_hold_is_given_on_when_they_are_terminated(void **state)
{
    live *l;
    (void)state;
    case_set(case_gate[1], 600);
    l = live_start(
        &(live_conf){ .threads = 3 },
        "run: { mode: stream }\n"
        "kernels:\n"
        "  a: { op: t.pub, with: { id: 1, gate: 1, keys: [d, e, f, g, h] }, publish: t/1 }\n"
        "  x: { op: t.acc, subscribe: t/*, order: hlc, replicas: 3, partition_by: k, publish: u, with: { id: 8 } }\n"
        "  y: { op: t.sink, subscribe: u, order: hlc, with: { into: 1 } }\n");
    live_until(l, live_number(l, "x", "absorbed") == 600);
    assert_int_equal(live_command(l, "x", RKI_TERMINATE, 60000), RKI_DONE);
    live_until(l, case_look(case_results[1].rows) == 3);
    rki_run_drain(l->r);
    expect_end(l, RKI_EXIT_OK);
    assert_int_equal(case_results[1].v[0].n + case_results[1].v[1].n + case_results[1].v[2].n, 600);
}

// Alerts are no part of a checkpoint: with one there is somebody who gathers, without there is none, and the sums are those of the whole job.
static void an_alert_comes_and_goes_between_two_runs(void **state)
{
    const char *fmt = "%skernels:\n"
                      "  a: { op: t.pub, with: { id: 1, rows: 3000, batch: 3, gate: 1 } }\n"
                      "  x: { op: t.pass, from: [a], replicas: 3, fuse: never }\n"
                      "  out: { op: t.sink, from: [x], with: { into: 1 } }\n";
    const char *alert = "alerts: [ { alert: Huge, watch: { kernel: x }, where: n > 100 } ]\n";
    (void)state;
    for (int with = 0; with < 2; with++) {
        live_conf c = { .keeps = true, .keep = true };
        live *l, *next;
        case_forget();
        case_set(case_gate[1], 900);
        l = live_start(&c, fmt, with ? alert : "");
        live_until(l, case_look(case_results[1].rows) == 900);
        rki_run_signal(l->r);
        live_until(l, __atomic_load_n(&l->over, __ATOMIC_ACQUIRE));
        assert_int_equal(live_end(l), RKI_EXIT_INTERRUPTED);
        case_set(case_gate[1], 2000);
        case_emitted[1] = 0;
        c.from = l->dir;
        next = live_start(&c, fmt, with ? "" : alert);
        live_until(next, case_look(case_results[1].rows) == 2000);
        assert_int_equal(live_number(next, "x", "rows_in"), 2000);
        live_until(next, live_number(next, "x", "rows_out") == 2000);
        case_set(case_gate[1], UINT64_MAX);
        expect_end(next, RKI_EXIT_OK);
        expect_rows(1, 1, 3000);
        live_free(next);
        live_free(l);
    }
}

// ---- circles --------------------------------------------------------------------------------------------------------

static void a_circle_has_replicas_and_ends(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 3; threads++) {
        case_forget();
        expect_run(RKI_EXIT_OK, threads,
                   "schemas: { row: { p: i64, n: i64, k: string? } }\n"
                   "topics: { t: { schema: row } }\n"
                   "kernels:\n"
                   "  a: { op: t.pub, with: { id: 1, rows: 500 }, publish: t }\n"
                   "  x: { op: t.pass, subscribe: t, order: hlc, replicas: 3, queue: { overflow: spill } }\n"
                   "  echo: { op: t.echo, from: [x], replicas: 2, fuse: never, with: { hops: 3 }, publish: t }\n"
                   "  y: { op: t.sink, subscribe: t, order: hlc, with: { into: 1 } }\n");
        assert_int_equal(case_results[1].n, 500 * 4);
        expect_ordered(1);
    }
}

// ---- what is planned ------------------------------------------------------------------------------------------------

static void dead_letters_come_from_every_part(void **state)
{
    (void)state;
    expect_run(RKI_EXIT_OK, 3,
               "dead_letter: { kernel: bad }\n"
               "kernels:\n"
               "  a: { op: t.pub, with: { id: 1, rows: 900 }, publish: t/1 }\n"
               "  x: { op: t.pass, subscribe: t/*, order: hlc, replicas: 3, with: { bad_every: 3 } }\n"
               "  y: { op: t.sink, from: [x], with: { into: 1 } }\n"
               "  bad: { op: map, order: hlc, replicas: 2, with: { derive: { p: 7, n: line, k: reason } } }\n"
               "  z: { op: t.sink, from: [bad], with: { into: 2 } }\n");
    assert_int_equal(case_results[1].n, 600);
    assert_int_equal(case_results[2].n, 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_reader_in_the_order_of_stamps_has_replicas, run_forget),
        cmocka_unit_test_teardown(however_many_they_are_and_whatever_is_behind_them, run_forget),
        cmocka_unit_test_teardown(one_key_goes_to_one_replica_in_order, run_forget),
        cmocka_unit_test_teardown(a_publisher_that_is_merged_has_replicas, run_forget),
        cmocka_unit_test_teardown(a_replica_sees_the_stamp_of_its_message, run_forget),
        cmocka_unit_test_teardown(one_that_reads_in_order_and_is_read_in_order, run_forget),
        cmocka_unit_test_teardown(whoever_reads_from_replicas_reads_from_one, run_forget),
        cmocka_unit_test_teardown(several_inputs_are_dealt_each_in_its_order, run_forget),
        cmocka_unit_test_teardown(batches_are_made_before_they_are_dealt, run_forget),
        cmocka_unit_test_teardown(a_member_of_a_group_has_replicas, run_forget),
        cmocka_unit_test_teardown(the_queue_before_the_replicas_of_a_stream_spills, run_forget),
        cmocka_unit_test_teardown(what_does_not_fit_is_dropped_before_it_is_dealt, run_forget),
        cmocka_unit_test_teardown(they_are_suspended_and_restarted_together, run_forget),
        cmocka_unit_test_teardown(replicas_that_begin_later_get_what_is_retained, run_forget),
        cmocka_unit_test_teardown(they_are_terminated_together, run_forget),
        cmocka_unit_test_teardown(what_replicas_hold_is_given_on_when_they_are_terminated, run_forget),
        cmocka_unit_test_teardown(an_alert_comes_and_goes_between_two_runs, run_forget),
        cmocka_unit_test_teardown(a_circle_has_replicas_and_ends, run_forget),
        cmocka_unit_test_teardown(dead_letters_come_from_every_part, run_forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
