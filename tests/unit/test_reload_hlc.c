// labels: threads
// Reloads of pipelines with order: hlc: kernels at either end of such an edge are replaced, come and go, and what is delivered stays in the
// order of stamps.
#include "files.h"
#include "run_expect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// after the above
#include <cmocka.h>

// Every row of the publishers 1 and 2, and the order of all, at a sink.
static void expect_whole(int sink)
{
    expect_ordered(sink);
    for (int64_t p = 1; p <= 2; p++)
        expect_rows(sink, p, (int64_t)case_emitted[p]);
}

static void close_gates(void)
{
    case_set(case_gate[1], 0);
    case_set(case_gate[2], 0);
}

// As many rows more of each publisher as have come by now.
static void open_gates(uint64_t rows)
{
    for (int p = 1; p <= 2; p++)
        case_set(case_gate[p], case_look(case_emitted[p]) + rows);
}

static void let_more_come(live *l, int sink, uint64_t rows)
{
    uint64_t at = case_look(case_results[sink].rows);
    open_gates(rows);
    live_until(l, case_look(case_results[sink].rows) >= at + 2 * rows);
}

static void end(live *l)
{
    assert_int_equal(live_edges(l, "late"), 0);
    rki_run_drain(l->r);
    expect_end(l, RKI_EXIT_OK);
}

#define PUBS                                                                                                           \
    "kernels:\n"                                                                                                       \
    "  a: { op: t.pub, with: { id: 1, gate: 1, batch: 3 }, publish: t/1 }\n"                                           \
    "  b: { op: t.pub, with: { id: 2, gate: 2, batch: 2 }, publish: t/2 }\n"

// What `fmt` has is replaced again and again while both publishers send to sink 1; %d is the number of the reload.
static void replace_while_rows_come(const char *fmt)
{
    live *l;
    close_gates();
    l = live_start(NULL, fmt, 0);
    for (int i = 1; i <= 30; i++) {
        open_gates(200);
        expect_reload(live_reload(l, fmt, i), RKI_RELOAD_APPLIED);
        let_more_come(l, 1, 20);
    }
    live_until(l, case_look(case_results[1].rows) == case_look(case_gate[1]) + case_look(case_gate[2]));
    end(l);
    expect_whole(1);
}

static void a_subscriber_that_merges_is_replaced(void **state)
{
    const char *fmt = PUBS "  x: { op: map, subscribe: t/*, order: hlc, with: { derive: { q: '%d' } } }\n"
                           "  s: { op: t.sink, from: [x], with: { into: 1 } }\n";
    (void)state;
    replace_while_rows_come(fmt);
}

static void a_publisher_that_is_merged_is_replaced(void **state)
{
    const char *fmt =
        PUBS "  m: { op: map, subscribe: t/1, publish: u/1, with: { derive: { q: '%d' } }, fuse: never }\n"
             "  y: { op: t.sink, subscribe: [u/1, t/2], order: hlc, with: { into: 1 } }\n";
    (void)state;
    replace_while_rows_come(fmt);
}

static void replicas_behind_one_reader_and_before_one_sender_are_replaced(void **state)
{
    const char *fmt =
        PUBS "  x: { op: map, subscribe: t/*, order: hlc, replicas: 3, publish: u, with: { derive: { q: '%d' } } }\n"
             "  s: { op: t.sink, subscribe: u, order: hlc, with: { into: 1 } }\n";
    (void)state;
    replace_while_rows_come(fmt);
}

// One behind whom its reader merges has replicas, and has not.
static void the_one_who_gathers_comes_and_goes(void **state)
{
    const char *fmt = PUBS "  x: { op: t.pass, subscribe: t/1, replicas: %d, queue: { overflow: block }, publish: u }\n"
                           "  s: { op: t.sink, subscribe: [u, t/2], order: hlc, with: { into: 1 } }\n";
    live *l;
    (void)state;
    close_gates();
    l = live_start(NULL, fmt, 1);
    for (int i = 1; i <= 30; i++) {
        open_gates(200);
        expect_reload(live_reload(l, fmt, 1 + 2 * (i % 2)), RKI_RELOAD_APPLIED);
        let_more_come(l, 1, 20);
    }
    live_until(l, case_look(case_results[1].rows) == case_look(case_gate[1]) + case_look(case_gate[2]));
    end(l);
    expect_whole(1);
}

// More and fewer of them; and what reads for them stays.
static void the_number_of_replicas_changes(void **state)
{
    const char *fmt = PUBS "  x: { op: t.pass, subscribe: t/*, order: hlc, replicas: %d, publish: u }\n"
                           "  s: { op: t.sink, subscribe: u, order: hlc, with: { into: 1 } }\n";
    live *l;
    (void)state;
    close_gates();
    l = live_start(NULL, fmt, 2);
    for (int i = 1; i <= 30; i++) {
        open_gates(200);
        expect_reload(live_reload(l, fmt, 2 + i % 4), RKI_RELOAD_APPLIED);
        let_more_come(l, 1, 20);
    }
    live_until(l, case_look(case_results[1].rows) == case_look(case_gate[1]) + case_look(case_gate[2]));
    end(l);
    expect_whole(1);
}

// Whoever needs the order of what replicas made comes while they are at work.
static void a_reader_in_order_comes_to_replicas_and_goes(void **state)
{
    const char *fmt =
        PUBS "  x: { op: t.pass, subscribe: t/1, replicas: 3, queue: { overflow: block }, publish: u/1 }\n"
             "  s: { op: t.sink, subscribe: [u/1, t/2], with: { into: 1 } }\n"
             "%s";
    (void)state;
    for (unsigned i = 0; i < 12; i++) {
        live *l;
        case_forget();
        close_gates();
        l = live_start(&(live_conf){ .threads = i % 4 + 1 }, fmt, "");
        open_gates(200);
        live_until(l, case_look(case_results[1].rows) >= 10 * i);
        expect_reload(
            live_reload(l, fmt, "  y: { op: t.sink, subscribe: [u/1, t/2], order: hlc, with: { into: 2 } }\n"),
            RKI_RELOAD_APPLIED);
        let_more_come(l, 2, 100);
        open_gates(100);
        expect_reload(live_reload(l, fmt, ""), RKI_RELOAD_APPLIED); // and goes
        let_more_come(l, 1, 100);
        live_until(l, case_look(case_results[1].rows) == case_look(case_gate[1]) + case_look(case_gate[2]));
        end(l);
        expect_rows(1, 1, (int64_t)case_emitted[1]);
        expect_rows(1, 2, (int64_t)case_emitted[2]);
        expect_ordered(2);
    }
}

// Whoever reads for the replicas comes and goes, whatever was in front of the kernel and behind it.
static void the_one_who_reads_comes_and_goes(void **state)
{
    static const char *const forms[] = {
        "order: hlc",
        "order: hlc, replicas: 3",
        "replicas: 2, queue: { overflow: block }",
        "order: hlc, replicas: 2, partition_by: p",
        "order: hlc, replicas: auto, queue: { capacity: 4 }",
        "queue: { capacity: 2 }",
    };
    enum { FORMS = sizeof forms / sizeof *forms };
    const char *fmt = PUBS "  x: { op: t.pass, subscribe: t/*, %s, publish: u }\n"
                           "  m: { op: t.pass, from: [x] }\n"
                           "  s: { op: t.sink, from: [m], with: { into: 1 } }\n"
                           "  o: { op: t.sink, subscribe: t/*, order: hlc, with: { into: 3 } }\n"
                           "  y: { op: t.sink, subscribe: u, order: hlc, with: { into: 2 } }\n";
    (void)state;
    for (unsigned threads = 1; threads <= 3; threads++) {
        live *l;
        case_forget();
        close_gates();
        l = live_start(&(live_conf){ .threads = threads }, fmt, forms[0]);
        for (unsigned i = 1; i <= 30; i++) {
            open_gates(200);
            expect_reload(live_reload(l, fmt, forms[case_hash(5, threads, i) % FORMS]), RKI_RELOAD_APPLIED);
            let_more_come(l, 1, 20);
        }
        live_until(l, case_look(case_results[1].rows) == case_look(case_gate[1]) + case_look(case_gate[2]));
        live_until(l, case_look(case_results[2].rows) == case_look(case_results[1].rows));
        live_until(l, case_look(case_results[3].rows) == case_look(case_results[1].rows));
        end(l);
        expect_whole(2);
        expect_whole(3);
        for (int64_t p = 1; p <= 2; p++)
            expect_rows(1, p, (int64_t)case_emitted[p]);
    }
}

// One that has stood still for long is no reason to wait; and what it sends then is behind what was delivered.
static void an_idle_publisher_gets_a_subscriber(void **state)
{
    const char *fmt = PUBS "  y: { op: t.sink, subscribe: [%s], order: hlc, with: { into: 1 } }\n"
                           "  z: { op: t.sink, subscribe: t/2, with: { into: 2 } }\n";
    live *l;
    (void)state;
    case_set(case_gate[1], 0);
    case_set(case_gate[2], 5);
    l = live_start(NULL, fmt, "t/1");
    live_until(l, case_look(case_results[2].rows) == 5);
    case_set(case_gate[1], 100);
    live_until(l, case_look(case_results[1].rows) == 100);
    expect_reload(live_reload(l, fmt, "t/1, t/2"), RKI_RELOAD_APPLIED);
    case_set(case_gate[1], 200);
    live_until(l, case_look(case_results[1].rows) == 200); // although nothing comes from the other one
    case_set(case_gate[2], 10);
    live_until(l, case_look(case_results[1].rows) == 205);
    end(l);
    expect_ordered(1);
    expect_rows(1, 1, 200);
}

static void the_order_of_a_subscription_changes(void **state)
{
    const char *fmt =
        PUBS "  y: { op: t.slow, subscribe: t/*, order: %s, queue: { capacity: %d }, with: { into: 1 } }\n";
    live *l;
    (void)state;
    close_gates();
    l = live_start(NULL, fmt, "fifo", 8);
    for (int i = 1; i <= 20; i++) {
        open_gates(50);
        expect_reload(live_reload(l, fmt, i % 2 ? "hlc" : "fifo", 8 << i % 3), RKI_RELOAD_APPLIED);
        let_more_come(l, 1, 10);
    }
    live_until(l, case_look(case_results[1].rows) == case_look(case_gate[1]) + case_look(case_gate[2]));
    end(l);
    for (int64_t p = 1; p <= 2; p++)
        expect_rows(1, p, (int64_t)case_emitted[p]);
}

// ---- at random ------------------------------------------------------------------------------------------------------

static uint64_t seed;

static uint32_t dice(uint32_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % n;
}

// Two publishers that stay, others that come and go, kernels between; three subscribers that merge by stamps, one of them not always there.
static void random_pipeline(char *to, size_t size, unsigned round)
{
    static const char *const queues[] = { "", ", queue: { capacity: 8 }", ", queue: { capacity: 64, overflow: spill }",
                                          ", priority: high" };
    size_t n = 0;
#define SAY(...) n += (size_t)snprintf(to + n, size - n, __VA_ARGS__)
    SAY("%s", PUBS);
    if (dice(2))
        SAY("  c: { op: t.live, with: { id: 3, every: 50us }, publish: t/3 }\n");
    if (dice(2))
        SAY("  d%u: { op: t.pub, with: { id: %u, rows: 20 }, publish: t/4 }\n", round,
            4 + round % 7); // may have the stamps of the one before
    if (dice(2))
        SAY("  e: { op: t.echo, subscribe: t/%u, publish: t/echo%s }\n", 1 + dice(2), dice(2) ? ", fuse: never" : "");
    if (dice(2))
        SAY("  f: { op: map, subscribe: t/1, publish: t/more, with: { derive: { p: '10 + p', q: '%u' } } }\n", dice(3));
    SAY("  x: { op: map, subscribe: [t/1, t/2], order: hlc%s, with: { derive: { q: '%u' } } }\n", queues[dice(4)],
        dice(3));
    SAY("  sx: { op: t.sink, from: [x], with: { into: 1 }%s }\n", dice(2) ? ", fuse: never" : "");
    SAY("  y: { op: t.slow, subscribe: 't/#', order: hlc%s, with: { into: 2 } }\n", queues[dice(4)]);
    if (dice(2))
        SAY("  z: { op: t.sink, subscribe: %s, order: hlc, with: { into: 3 } }\n", dice(2) ? "t/*" : "[t/2, t/3]");
    if (dice(3) == 0)
        SAY("  w: { op: t.sink, subscribe: 't/#', with: { into: 4 } }\n");
#undef SAY
}

// Above the stamps of another run, with clocks that are ahead of time: then only messages move them.
static live *begin_ahead(char *dir, unsigned threads, const char *text)
{
    live *l;
    assert_non_null(mkdtemp(dir));
    l = live_start(&(live_conf){ .dir = dir }, "kernels:\n"
                                               "  a: { op: t.live, with: { id: 1 }, publish: t/1 }\n"
                                               "  x: { op: t.sink, subscribe: t/1, order: hlc, with: { into: 1 } }\n");
    live_until(l, case_look(case_results[1].rows) > 10);
    rki_run_drain(l->r);
    expect_end(l, RKI_EXIT_OK);
    case_forget();
    close_gates();
    return live_start(&(live_conf){ .threads = threads, .dir = dir }, "%s", text);
}

static void random_reloads(bool ahead)
{
    char dir[] = "/tmp/rkp-ahead-XXXXXX";
    static char text[8192];
    const char *asked = getenv("RKP_RELOADS"), *from = getenv("RKP_RELOAD_SEED");
    unsigned rounds = asked ? (unsigned)strtoul(asked, NULL, 10) : 60;
    uint64_t begin = from ? strtoull(from, NULL, 10) : 1;
    live *l;
    seed = begin;
    close_gates();
    random_pipeline(text, sizeof text, 0);
    if (ahead)
        l = begin_ahead(dir, 1 + (unsigned)(begin % 3), text);
    else
        l = live_start(&(live_conf){ .threads = 1 + (unsigned)(begin % 3) }, "%s", text);
    for (unsigned i = 1; i <= rounds; i++) {
        rki_reload_result r;
        open_gates(200);
        random_pipeline(text, sizeof text, i);
        r = live_reload(l, "%s", text);
        if (r.outcome != RKI_RELOAD_APPLIED)
            fprintf(stderr, "seed %llu, reload %u:\n%s\nthe run: %s\n", (unsigned long long)begin, i, text,
                    rki_run_failure(l->r));
        expect_reload(r, RKI_RELOAD_APPLIED);
        if (dice(2))
            let_more_come(l, 1, 5);
    }
    for (int sink = 1; sink <= 2; sink++)
        live_until(l, case_look(case_results[sink].rows) >= case_look(case_gate[1]) + case_look(case_gate[2]));
    end(l);
    for (int sink = 1; sink <= 2; sink++)
        expect_whole(sink);
    expect_ordered(3);
    if (ahead)
        remove_folder(dir);
}

static void random_reloads_keep_the_order_of_stamps(void **state)
{
    (void)state;
    random_reloads(false);
}

static void random_reloads_keep_the_order_of_clocks_that_are_ahead_of_time(void **state)
{
    (void)state;
    random_reloads(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_subscriber_that_merges_is_replaced, run_forget),
        cmocka_unit_test_teardown(a_publisher_that_is_merged_is_replaced, run_forget),
        cmocka_unit_test_teardown(replicas_behind_one_reader_and_before_one_sender_are_replaced, run_forget),
        cmocka_unit_test_teardown(the_one_who_gathers_comes_and_goes, run_forget),
        cmocka_unit_test_teardown(the_number_of_replicas_changes, run_forget),
        cmocka_unit_test_teardown(a_reader_in_order_comes_to_replicas_and_goes, run_forget),
        cmocka_unit_test_teardown(the_one_who_reads_comes_and_goes, run_forget),
        cmocka_unit_test_teardown(an_idle_publisher_gets_a_subscriber, run_forget),
        cmocka_unit_test_teardown(the_order_of_a_subscription_changes, run_forget),
        cmocka_unit_test_teardown(random_reloads_keep_the_order_of_stamps, run_forget),
        cmocka_unit_test_teardown(random_reloads_keep_the_order_of_clocks_that_are_ahead_of_time, run_forget),
    };
    return cmocka_run_group_tests_name("reload_hlc", tests, NULL, NULL);
}
