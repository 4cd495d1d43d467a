// labels: threads
// Reloads of pipelines with order: hlc: kernels at either end of such an edge are replaced, come and go, and what is delivered stays in the
// order of stamps.
#include "files.h"
#include "run_expect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
// after the above
#include <cmocka.h>

// Every row of the publishers 1 and 2, and the order of all, at a sink.
static void expect_whole(int sink)
{
    expect_ordered(sink);
    for (int64_t p = 1; p <= 2; p++)
        expect_rows(sink, p, (int64_t)case_emitted[p]);
}

static void let_more_come(live *l, int sink, uint64_t rows)
{
    uint64_t at = case_look(case_results[sink].rows);
    case_set(case_gate[1], case_look(case_emitted[1]) + rows);
    case_set(case_gate[2], case_look(case_emitted[2]) + rows);
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

static void a_subscriber_that_merges_is_replaced(void **state)
{
    const char *fmt = PUBS "  x: { op: map, subscribe: t/*, order: hlc, with: { derive: { q: '%d' } } }\n"
                           "  s: { op: t.sink, from: [x], with: { into: 1 } }\n";
    live *l;
    (void)state;
    case_set(case_gate[1], 0);
    case_set(case_gate[2], 0);
    l = live_start(NULL, fmt, 0);
    for (int i = 1; i <= 30; i++) {
        case_set(case_gate[1], case_look(case_emitted[1]) + 200);
        case_set(case_gate[2], case_look(case_emitted[2]) + 200);
        expect_reload(live_reload(l, fmt, i), RKI_RELOAD_APPLIED);
        let_more_come(l, 1, 20);
    }
    live_until(l, case_look(case_results[1].rows) == case_look(case_gate[1]) + case_look(case_gate[2]));
    end(l);
    expect_whole(1);
}

static void a_publisher_that_is_merged_is_replaced(void **state)
{
    const char *fmt =
        PUBS "  m: { op: map, subscribe: t/1, publish: u/1, with: { derive: { q: '%d' } }, fuse: never }\n"
             "  y: { op: t.sink, subscribe: [u/1, t/2], order: hlc, with: { into: 1 } }\n";
    live *l;
    (void)state;
    case_set(case_gate[1], 0);
    case_set(case_gate[2], 0);
    l = live_start(NULL, fmt, 0);
    for (int i = 1; i <= 30; i++) {
        case_set(case_gate[1], case_look(case_emitted[1]) + 200);
        case_set(case_gate[2], case_look(case_emitted[2]) + 200);
        expect_reload(live_reload(l, fmt, i), RKI_RELOAD_APPLIED);
        let_more_come(l, 1, 20);
    }
    live_until(l, case_look(case_results[1].rows) == case_look(case_gate[1]) + case_look(case_gate[2]));
    end(l);
    expect_whole(1);
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
    case_set(case_gate[1], 0);
    case_set(case_gate[2], 0);
    l = live_start(NULL, fmt, "fifo", 8);
    for (int i = 1; i <= 20; i++) {
        case_set(case_gate[1], case_look(case_emitted[1]) + 50);
        case_set(case_gate[2], case_look(case_emitted[2]) + 50);
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
        SAY("  d%u: { op: t.pub, with: { id: 4, rows: 20 }, publish: t/4 }\n", round);
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
    case_set(case_gate[1], 0);
    case_set(case_gate[2], 0);
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
    case_set(case_gate[1], 0);
    case_set(case_gate[2], 0);
    random_pipeline(text, sizeof text, 0);
    if (ahead)
        l = begin_ahead(dir, 1 + (unsigned)(begin % 3), text);
    else
        l = live_start(&(live_conf){ .threads = 1 + (unsigned)(begin % 3) }, "%s", text);
    for (unsigned i = 1; i <= rounds; i++) {
        rki_reload_result r;
        case_set(case_gate[1], case_look(case_emitted[1]) + 200);
        case_set(case_gate[2], case_look(case_emitted[2]) + 200);
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
        cmocka_unit_test_teardown(an_idle_publisher_gets_a_subscriber, run_forget),
        cmocka_unit_test_teardown(the_order_of_a_subscription_changes, run_forget),
        cmocka_unit_test_teardown(random_reloads_keep_the_order_of_stamps, run_forget),
        cmocka_unit_test_teardown(random_reloads_keep_the_order_of_clocks_that_are_ahead_of_time, run_forget),
    };
    return cmocka_run_group_tests_name("reload_hlc", tests, NULL, NULL);
}
