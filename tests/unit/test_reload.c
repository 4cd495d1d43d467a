// labels: threads
// Another pipeline in the place of one that runs: nothing lost, doubled or out of order, state goes on, what is wrong changes nothing.
#include "run_expect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
// after the above
#include <cmocka.h>

// Rows from .. to - 1 of publisher p, once each and in order, among those at a sink.
static void expect_some(int sink, int64_t p, int64_t from, int64_t to)
{
    int64_t next = from;
    for (size_t i = 0; i < case_results[sink].n; i++)
        if (case_results[sink].v[i].p == p)
            assert_int_equal(case_results[sink].v[i].n, next++);
    assert_int_equal(next, to);
}

#define SRC "  src: { op: t.pub, with: { id: 1, gate: 1 } }\n"
#define OUT "  out: { op: t.sink, from: [b], with: { into: 1 } }\n"

static void the_same_file_changes_nothing(void **state)
{
    const char *text = "kernels:\n" SRC "  b: { op: t.step, from: [src], with: { id: 2 } }\n" OUT;
    live *l;
    rki_reload_result r;
    (void)state;
    case_set(case_gate[1], 100); // before it begins
    l = live_start(NULL, "%s", text);
    live_until(l, case_look(case_results[1].rows) == 100);
    for (int i = 0; i < 20; i++) {
        r = live_reload(l, "%s", text);
        expect_reload(r, RKI_RELOAD_APPLIED);
        assert_int_equal(r.generation, 2 + i);
    }
    case_set(case_gate[1], 200);
    live_until(l, case_look(case_results[1].rows) == 200);
    assert_int_equal(case_seen[2].inits, 1);
    rki_run_drain(l->r);
    expect_end(l, RKI_EXIT_OK);
    expect_some(1, 1, 0, 200);
}

static void a_kernel_between_two_others_is_replaced(void **state)
{
    static const char *const shapes[] = {
        "",                           // one actor
        ", fuse: never",              // rings around it
        ", replicas: 3, fuse: never", // of several
    };
    (void)state;
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const char *fmt = "kernels:\n" SRC "  b: { op: map, from: [src], with: { derive: { x: '%d' } }%s }\n" OUT;
        live *l = live_start(NULL, fmt, 0, shapes[s]);
        case_set(case_gate[1], UINT64_MAX);
        for (int i = 1; i <= 30; i++) {
            uint64_t before = case_look(case_results[1].rows);
            expect_reload(live_reload(l, fmt, i, shapes[s]), RKI_RELOAD_APPLIED);
            live_until(l, case_look(case_results[1].rows) > before + 50);
        }
        rki_run_drain(l->r);
        expect_end(l, RKI_EXIT_OK);
        expect_some(1, 1, 0, (int64_t)case_emitted[1]);
        case_forget();
    }
}

static void a_subscriber_comes_and_goes(void **state)
{
    const char *base = "kernels:\n"
                       "  src: { op: t.pub, with: { id: 1 }, publish: a/b }\n"
                       "  x: { op: t.step, subscribe: a/*, with: { id: 2 } }\n"
                       "  out: { op: t.sink, from: [x], with: { into: 1 } }\n"
                       "%s";
    live *l = live_start(NULL, base, "");
    (void)state;
    for (int i = 0; i < 30; i++) {
        uint64_t at;
        expect_reload(live_reload(l, base, "  late: { op: t.sink, subscribe: 'a/#', with: { into: 2 } }\n"),
                      RKI_RELOAD_APPLIED);
        at = case_look(case_results[2].rows);
        live_until(l, case_look(case_results[2].rows) > at + 20);
        expect_reload(live_reload(l, base, ""), RKI_RELOAD_APPLIED);
    }
    rki_run_drain(l->r);
    assert_int_equal(case_seen[2].inits, 1);
    expect_end(l, RKI_EXIT_OK);
    expect_some(1, 1, 0, (int64_t)case_emitted[1]);
    for (size_t i = 1; i < case_results[2].n; i++) // in order, and without a hole but where it was not there
        assert_true(case_results[2].v[i].n > case_results[2].v[i - 1].n);
}

static void a_kernel_is_put_in_and_taken_out_of_a_chain(void **state)
{
    live *l = live_start(NULL, "kernels:\n" SRC "  out: { op: t.slow, from: [src], with: { into: 1 } }\n");
    (void)state;
    case_set(case_gate[1], UINT64_MAX);
    for (int i = 0; i < 30; i++) {
        uint64_t at = case_look(case_results[1].rows);
        expect_reload(live_reload(l, "kernels:\n" SRC "  mid: { op: t.step, from: [src], with: { id: 3 } }\n"
                                     "  out: { op: t.slow, from: [mid], with: { into: 1 } }\n"),
                      RKI_RELOAD_APPLIED);
        live_until(l, case_look(case_results[1].rows) > at + 20);
        expect_reload(live_reload(l, "kernels:\n" SRC "  out: { op: t.slow, from: [src], with: { into: 1 } }\n"),
                      RKI_RELOAD_APPLIED);
    }
    rki_run_drain(l->r);
    expect_end(l, RKI_EXIT_OK);
    expect_some(1, 1, 0, (int64_t)case_emitted[1]);
}

static void state_goes_on_in_the_new_instance(void **state)
{
    // A column more at the input: another instance, the same groups.
    const char *fmt = "kernels:\n" SRC "  b: { op: map, from: [src], with: { derive: { %s } } }\n"
                      "  agg: { op: aggregate, from: [b], with: { by: [p], compute: { n: count(), k: last(k) } } }\n"
                      "  out: { op: t.sink, from: [agg], with: { into: 1 } }\n";
    live *l;
    (void)state;
    case_set(case_gate[1], 1000); // before it begins
    l = live_start(NULL, fmt, "x: '1'");
    live_until(l, live_number(l, "agg", "rows_in") == 1000);
    expect_reload(live_reload(l, fmt, "x: '1', y: '2'"), RKI_RELOAD_APPLIED);
    case_set(case_gate[1], 1500);
    live_until(l, live_number(l, "agg", "rows_in") == 1500);
    expect_reload(live_reload(l, fmt, "y: '2'"), RKI_RELOAD_APPLIED);
    case_set(case_gate[1], 1700);
    live_until(l, live_number(l, "agg", "rows_in") == 1700);
    rki_run_drain(l->r);
    expect_end(l, RKI_EXIT_OK);
    assert_int_equal(case_results[1].n, 1);
    assert_int_equal(case_results[1].v[0].n, 1700);
}

static void what_is_wrong_changes_nothing(void **state)
{
    static const struct {
        const char *text, *says;
    } wrong[] = {
        { "kernels:\n" SRC "  b: { op: nothing, from: [src] }\n" OUT, "op-unknown" },
        { "kernels:\n" SRC "  b: { op: t.step, from: [src], with: { id: 2, fail_inits: 1 } }\n" OUT, "reload-st" },
        { "name: other\nkernels:\n" SRC "  b: { op: t.step, from: [src], with: { id: 2 } }\n" OUT, "reload-fixed" },
        { "kernels:\n  src: { op: t.pub, with: { id: 9, gate: 1 } }\n  b: { op: t.step, from: [src], with: { id: 2 } "
          "}\n" OUT,
          "reload-state" },
    };
    live *l = live_start(NULL, "kernels:\n" SRC "  b: { op: t.step, from: [src], with: { id: 2 } }\n" OUT);
    (void)state;
    case_set(case_gate[1], UINT64_MAX);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        uint64_t at = case_look(case_results[1].rows);
        rki_reload_result r = live_reload(l, "%s", wrong[i].text);
        expect_reload(r, RKI_RELOAD_REJECTED);
        if (!strstr(case_failure, wrong[i].says))
            fail_msg("case %zu: %s", i, case_failure);
        live_until(l, case_look(case_results[1].rows) > at + 50);
    }
    rki_run_drain(l->r);
    expect_end(l, RKI_EXIT_OK);
    expect_some(1, 1, 0, (int64_t)case_emitted[1]);
}

static void a_kernel_that_does_not_stop_in_time_lets_all_go_on(void **state)
{
    const char *fmt = "reload: { quiesce_timeout: 50ms, keep_state: reset }\nkernels:\n" SRC
                      "  b: { op: t.step, from: [src], with: { id: 2, gate: 3, bad_every: %d } }\n" OUT;
    live *l;
    (void)state;
    case_set(case_gate[3], 0);
    l = live_start(NULL, fmt, 0);
    case_set(case_gate[1], UINT64_MAX);
    live_until(l, case_look(case_seen[2].calls) > 0); // it is in its call
    expect_reload(live_reload(l, fmt, 1000000), RKI_RELOAD_TIMED_OUT);
    case_set(case_gate[3], UINT64_MAX);
    live_until(l, case_look(case_results[1].rows) > 50);
    expect_reload(live_reload(l, fmt, 1000000), RKI_RELOAD_APPLIED);
    live_until(l, case_look(case_results[1].rows) > 100);
    rki_run_drain(l->r);
    expect_end(l, RKI_EXIT_OK);
    expect_some(1, 1, 0, (int64_t)case_emitted[1]);
}

// It is never asked again, so what is in its queue goes nowhere; who feeds it can be changed afterwards.
static void a_suspended_kernel_that_is_removed_drops_what_waits_for_it(void **state)
{
    const char *fmt = "kernels:\n  src: { op: t.pub, with: { id: 1, gate: 1 } }\n"
                      "  b: { op: t.step, from: [src], with: { id: 2 } }\n%s" OUT;
    const char *side = "  side: { op: t.sink, from: [src], queue: { capacity: 4 }, with: { into: 2 } }\n";
    live *l;
    uint64_t got, dropped;
    (void)state;
    for (int started = 0; started < 2; started++) {
        case_set(case_gate[1], 100);
        l = live_start(
            NULL, fmt,
            started
                ? side
                : "  side: { op: t.sink, from: [src], queue: { capacity: 4 }, start: suspended, with: { into: 2 } }\n");
        if (started) {
            live_until(l, case_look(case_results[2].rows) == 100);
            assert_int_equal(live_command(l, "side", RKI_SUSPEND, 5000), RKI_DONE);
        }
        case_set(case_gate[1], UINT64_MAX);
        live_until(l, live_number(l, "src", "rows_out") > (started ? 100 : 2)); // until its queue is full
        got = case_look(case_results[2].rows);
        expect_reload(live_reload(l, fmt, ""), RKI_RELOAD_APPLIED);
        live_until(l, case_look(case_results[1].rows) > 500);
        for (int i = 0; i < 4; i++) // who feeds it stops as any other
            expect_reload(live_reload(l, fmt, i % 2 ? "" : "  other: { op: t.sink, from: [src], with: { into: 3 } }\n"),
                          RKI_RELOAD_APPLIED);
        rki_run_drain(l->r);
        expect_end(l, RKI_EXIT_OK);
        assert_int_equal(case_results[2].rows, got);
        expect_some(1, 1, 0, (int64_t)case_emitted[1]);
        dropped = case_totals.dropped;
        assert_true(dropped > 0);
        assert_int_equal(case_totals.rows_out, case_results[1].rows + got + case_results[3].rows);
        case_forget();
    }
}

static void hear(void *arg, rkp_str lines)
{
    if (memmem(lines.p, lines.n, "drain_timeout", 13))
        case_set(*(uint64_t *)arg, 1);
}

// A kernel that still has rows when its time is up gives them up, and says so; everything adds up.
static void a_removed_kernel_has_its_time_to_drain(void **state)
{
    const char *fmt =
        "reload: { drain_timeout: 20ms }\nkernels:\n" SRC "  b: { op: t.step, from: [src], with: { id: 2 } }\n%s" OUT;
    uint64_t said = 0;
    live_conf c = { .log = hear, .log_arg = &said };
    live *l;
    (void)state;
    case_set(case_gate[3], 0);
    l = live_start(&c, fmt,
                   "  slow: { op: t.step, from: [src], with: { id: 4, gate: 3 }, queue: { capacity: 4 } }\n"
                   "  end: { op: t.sink, from: [slow], with: { into: 2 } }\n");
    case_set(case_gate[1], UINT64_MAX);
    live_until(l, case_look(case_seen[4].calls) > 0); // it is in its call
    expect_reload(live_reload(l, fmt, ""), RKI_RELOAD_APPLIED);
    live_until(l, case_look(case_results[1].rows) > 500);
    live_until(l, case_look(said));
    case_set(case_gate[3], UINT64_MAX);
    rki_run_drain(l->r);
    expect_end(l, RKI_EXIT_OK);
    expect_some(1, 1, 0, (int64_t)case_emitted[1]);
    assert_true(case_totals.dropped > 0);
}

// What has ended has ended in the new pipeline, too; whoever is new behind it gets its end.
static void kernels_that_have_ended_may_be_wired_anew(void **state)
{
    static const char *const shapes[] = {
        "  a: { op: t.pass, from: [src], fuse: never, with: { id: 3 } }\n"
        "  b: { op: t.step, from: [a, more], with: { id: 2 } }\n",
        "  a: { op: map, from: [src], fuse: never, with: { derive: { x: n } } }\n" // another operator
        "  b: { op: t.step, from: [a, more], with: { id: 2 } }\n",
        "  a: { op: t.pass, from: [src], with: { id: 3 } }\n" // fused, and one more behind it
        "  m: { op: filter, from: [a], fuse: never, with: { where: n >= 0 } }\n"
        "  b: { op: t.step, from: [m, more], with: { id: 2 } }\n",
        "  a: { op: t.pass, from: [src], with: { id: 3 } }\n"
        "  b: { op: t.step, from: [a, more], with: { id: 2, take: 1 } }\n",
        "  a: { op: t.pass, from: [src], with: { id: 3 } }\n"
        "  b: { op: t.step, from: [a, more], with: { id: 2 } }\n"
        "  late: { op: t.acc, from: [a], fuse: never, with: { id: 5 } }\n" // all that there is has come before it
        "  ends: { op: t.sink, from: [late], with: { into: 2 } }\n",
    };
    const char *fmt = "reload: { keep_state: reset }\nkernels:\n"
                      "  src: { op: t.pub, with: { id: 1, rows: 50 } }\n"
                      "  more: { op: t.pub, with: { id: 6, gate: 6 } }\n%s"
                      "  out: { op: t.sink, from: [b], with: { into: 1 } }\n";
    const int n = sizeof shapes / sizeof *shapes;
    (void)state;
    for (int from = 0; from < n; from++)
        for (int to = 0; to < n; to++) {
            rki_reload_result r;
            live *l;
            case_set(case_gate[6], 0);
            l = live_start(NULL, fmt, shapes[from]);
            live_until(l, case_look(case_results[1].rows) == 50 && live_state(l, "a") == RKI_TERMINATED);
            r = live_reload(l, fmt, shapes[to]);
            expect_reload(r, RKI_RELOAD_APPLIED);
            case_set(case_gate[6], 20);
            live_until(l, case_look(case_results[1].rows) == 70);
            r = live_reload(
                l, fmt,
                "  new: { op: t.pub, with: { id: 7 } }\n  a: { op: t.pass, from: [src, new], with: { id: 3 } }\n"
                "  b: { op: t.step, from: [a, more], with: { id: 2 } }\n");
            expect_reload(r, RKI_RELOAD_REJECTED);
            assert_non_null(strstr(case_failure, "has ended, so it cannot be wired to others"));
            rki_run_drain(l->r);
            expect_end(l, RKI_EXIT_OK);
            expect_some(1, 1, 0, 50);
            expect_some(1, 6, 0, 20);
            case_forget();
        }
}

struct request {
    live *l;
    const char *text;
    rki_reload_result r;
};

static void *ask(void *arg)
{
    struct request *q = arg;
    q->r = live_reload(q->l, "%s", q->text);
    return NULL;
}

static uint32_t generation_of(live *l)
{
    rki_reload_result r;
    rki_run_generation(l->r, &r);
    return r.generation;
}

// A subscriber whose only input goes, and that has another one in the new graph, which it does not wear yet: END over the one that goes
// is not its end.
static void the_end_of_an_edge_that_goes_is_not_the_end_of_who_reads_it(void **state)
{
#define READER                                                                                                         \
    "  b: { op: t.step, subscribe: a/*, fuse: never, with: { id: 2, gate: 3 } }\n"                                     \
    "  out: { op: t.sink, from: [b], with: { into: 1 } }\n"
    struct request q = {
        .text = "kernels:\n  src: { op: t.pub, with: { id: 1, gate: 1 }, publish: z/x }\n"
                "  mid: { op: t.step, subscribe: z/x, publish: a/y, fuse: never, with: { id: 4 } }\n" READER
    };
    pthread_t t;
    (void)state;
    case_set(case_gate[3], 0);
    case_set(case_gate[1], 3);
    q.l = live_start(NULL, "kernels:\n  src: { op: t.pub, with: { id: 1, gate: 1 }, publish: a/x }\n" READER);
    live_until(q.l, case_look(case_seen[2].calls) > 0 && case_look(case_emitted[1]) == 3); // it is in its call
    assert_int_equal(pthread_create(&t, NULL, ask, &q), 0);
    live_until(q.l, generation_of(q.l) == 2);
    case_set(case_gate[1], 10);
    live_until(q.l, case_look(case_seen[4].calls) > 0); // the source wears the new graph, and has ended the old edge
    case_set(case_gate[3], UINT64_MAX);
    pthread_join(t, NULL);
    expect_reload(q.r, RKI_RELOAD_APPLIED);
    case_set(case_gate[1], 20);
    live_until(q.l, case_look(case_results[1].rows) == 20);
    rki_run_drain(q.l->r);
    expect_end(q.l, RKI_EXIT_OK);
    expect_some(1, 1, 0, 20);
#undef READER
}

// END waits for room while somebody new comes behind the same kernel: that one gets its END, too.
static void who_is_new_behind_an_end_that_waits_gets_an_end(void **state)
{
    const char *fmt =
        "run: { mode: batch }\nkernels:\n  src: { op: t.pub, with: { id: 1, rows: 3 } }\n"
        "  b: { op: t.step, from: [src], fuse: never, queue: { capacity: 2 }, with: { id: 2, gate: 3 } }\n"
        "  out: { op: t.sink, from: [b], with: { into: 1 } }\n%s";
    char text[1024];
    struct request q = { .text = text };
    pthread_t t;
    (void)state;
    for (int i = 0; i < 2; i++) { // the second time it has ended
        snprintf(text, sizeof text, fmt, "  c: { op: t.sink, from: [src], with: { into: 2 } }\n");
        case_set(case_gate[3], 0);
        q.l = live_start(NULL, fmt, i ? "  more: { op: t.sink, from: [src], with: { into: 4 } }\n" : "");
        live_until(q.l, case_look(case_seen[2].calls) > 0 && case_look(case_emitted[1]) == 3);
        assert_int_equal(pthread_create(&t, NULL, ask, &q), 0);
        live_until(q.l, live_number(q.l, "b", "rows_in") <= 3);
        case_set(case_gate[3], UINT64_MAX);
        pthread_join(t, NULL);
        if (q.r.outcome != RKI_RELOAD_APPLIED)
            assert_non_null(strstr(q.r.text, "ending"));
        expect_end(q.l, RKI_EXIT_OK);
        expect_some(1, 1, 0, 3);
        case_forget();
    }
}

// Who reads the engine's own topics keeps no job open, and may come, change, and go.
static void readers_of_the_engines_topics_come_change_and_go(void **state)
{
#define EVENTS(q)                                                                                                      \
    "  ev: { op: map, subscribe: $lifecycle/#, with: { derive: { q: '" q "' }, select: [q, kernel, to] } }\n"          \
    "  seen: { op: t.acc, from: [ev], with: { id: 5 } }\n  told: { op: t.sink, from: [seen], with: { into: 2 } }\n"
    static const char base[] = "run: { mode: batch }\nreload: { keep_state: reset }\nkernels:\n"
                               "  src: { op: t.pub, with: { id: 1, rows: 100, gate: 1 } }\n"
                               "  b: { op: t.step, from: [src], fuse: never, with: { id: 2 } }\n" OUT;
    (void)state;
    for (int i = 0; i < 10; i++) {
        live *l;
        uint64_t calls;
        case_set(case_gate[1], 10);
        l = live_start(NULL, "%s%s", base, i % 2 ? EVENTS("1") : "");
        live_until(l, case_look(case_results[1].rows) == 10);
        calls = case_look(case_seen[5].calls);
        expect_reload(live_reload(l, "%s%s", base, EVENTS("2")), RKI_RELOAD_APPLIED);
        assert_int_equal(live_command(l, "b", RKI_SUSPEND, 1000), RKI_DONE);
        assert_int_equal(live_command(l, "b", RKI_ACTIVATE, 1000), RKI_DONE);
        live_until(l, case_look(case_seen[5].calls) >= calls + 2);
        if (i % 3 == 0)
            expect_reload(live_reload(l, "%s", base), RKI_RELOAD_APPLIED);
        if (i % 3 == 1)
            expect_reload(live_reload(l, "%s%s", base, EVENTS("3")), RKI_RELOAD_APPLIED);
        case_set(case_gate[1], UINT64_MAX);
        expect_end(l, RKI_EXIT_OK); // by itself
        expect_some(1, 1, 0, 100);
        case_forget();
    }
#undef EVENTS
}

static void write_table(const char *path, int version)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "n,v\n");
    for (int i = 0; i < 20000; i++)
        fprintf(f, "%d,version %d of %d\n", i, version, i);
    assert_int_equal(fclose(f), 0);
}

// An instance that goes lets go of its tables, however long what it was made of is needed.
static void a_table_goes_with_its_instance(void **state)
{
    char path[] = "/tmp/rkpipe-table-XXXXXX", with[128] = "";
    const char *fmt = "reload: { keep_state: reset }\nkernels:\n  src: { op: t.pub, with: { id: 1, gate: 1 } }\n%s  b: "
                      "{ op: t.step, from: [%s], "
                      "with: { id: 2 } }\n" OUT;
    int fd = mkstemp(path);
    uint64_t held = 0;
    live *l;
    (void)state;
    assert_true(fd >= 0);
    close(fd);
    snprintf(with, sizeof with, "  look: { op: lookup, from: [src], with: { table: '%s', key: n } }\n", path);
    write_table(path, 0);
    case_set(case_gate[1], 0);
    l = live_start(NULL, fmt, with, "look");
    for (int i = 1; i <= 30; i++) {
        uint64_t to = (uint64_t)i * 10;
        case_set(case_gate[1], to);
        live_until(l, case_look(case_results[1].rows) == to);
        if (i % 5 == 0) {
            expect_reload(live_reload(l, fmt, "", "src"), RKI_RELOAD_APPLIED);
            expect_reload(live_reload(l, fmt, with, "look"), RKI_RELOAD_APPLIED);
        } else {
            write_table(path, i % 3);
            expect_reload(live_reload(l, fmt, with, "look"), RKI_RELOAD_APPLIED);
        }
        if (i == 3)
            held = live_memory(l);
    }
    live_until(l, live_memory(l) <= held * 2); // one table, or two while they change over
    rki_run_drain(l->r);
    expect_end(l, RKI_EXIT_OK);
    expect_some(1, 1, 0, 300);
    unlink(path);
}

// ---- at random ------------------------------------------------------------------------------------------------------
//
// Four publishers, each with a chain of up to three kernels of random kinds between it and its sink, over rings, topics, replicas; sinks
// that come and go; and an aggregate over everything, whose input changes its columns.  Each reload is another such pipeline, or one that is wrong.

enum { CHAINS = 4, MIDS = 3 };

static uint64_t seed;

static uint32_t dice(uint32_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % n;
}

static void random_pipeline(char *to, size_t size)
{
    size_t n = 0;
#define SAY(...) n += (size_t)snprintf(to + n, size - n, __VA_ARGS__)
    SAY("reload: { keep_state: reset%s }\nkernels:\n", dice(4) ? "" : ", consistency: path");
    for (int c = 1; c <= CHAINS; c++)
        SAY("  src%d: { op: t.pub, with: { id: %d, gate: %d, batch: %d }, publish: t/%d }\n", c, c, c, c * 3, c);
    for (int c = 1; c <= CHAINS; c++) {
        char before[32], topic[32] = "";
        snprintf(before, sizeof before, "src%d", c);
        snprintf(topic, sizeof topic, "t/%d", c);
        for (int m = 0; m < MIDS; m++) {
            static const char *const ops[] = { "map, with: { derive: { x: '%u' } }",
                                               "map, with: { derive: { x: '%u', y: p } }",
                                               "filter, with: { where: 'n >= 0 - %u' }", "t.pass, with: { id: 0 }" };
            static const char *const hows[] = { "",
                                                ", fuse: never",
                                                ", replicas: 2, queue: { overflow: block }",
                                                ", replicas: 3, fuse: never, queue: { overflow: block }",
                                                ", queue: { capacity: 16 }",
                                                ", priority: high" };
            char op[80], from[64];
            if (dice(2))
                continue;
            snprintf(op, sizeof op, ops[dice(4)], dice(3));
            if (topic[0] && dice(2))
                snprintf(from, sizeof from, "subscribe: %s", topic);
            else
                snprintf(from, sizeof from, "from: [%s]", before);
            SAY("  mid%d%d: { op: %s, %s%s", c, m, op, from, hows[dice(6)]);
            snprintf(before, sizeof before, "mid%d%d", c, m);
            topic[0] = 0;
            if (dice(3) == 0) {
                snprintf(topic, sizeof topic, "u/%d/%d", c, m);
                SAY(", publish: %s", topic);
            }
            SAY(" }\n");
        }
        if (topic[0] && dice(2))
            SAY("  out%d: { op: t.sink, subscribe: %s, with: { into: %d } }\n", c, topic, c);
        else
            SAY("  out%d: { op: %s, from: [%s], with: { into: %d } }\n", c, "t.sink", before, c);
        if (dice(3) == 0)
            SAY("  late%d: { op: t.sink, subscribe: 't/#', with: { into: %d } }\n", c, c + CHAINS);
    }
    SAY("  all: { op: map, subscribe: 't/*', with: { derive: { z: '%u' } } }\n", dice(4));
    SAY("  agg: { op: aggregate, from: [all], with: { by: [p], compute: { n: count(), k: last(k) } } }\n"
        "  sum: { op: t.sink, from: [agg], with: { into: 15 } }\n");
    switch (dice(10)) {
    case 0:
        SAY("  bad: { op: nothing, from: [src1] }\n");
        break;
    case 1:
        SAY("  bad: { op: t.step, from: [src1], with: { fail_inits: 1000000 } }\n");
        break;
    case 2:
        SAY("  bad: { op: map, from: [src1], with: { derive: { x: 'none + 1' } } }\n");
        break;
    default:
        break;
    }
#undef SAY
}

// Somebody who asks for the status all the time.
struct looker {
    rki_run *r;
    uint32_t ends; // atomic
    uint64_t looks;
};

static void *look_on(void *arg)
{
    struct looker *k = arg;
    while (!__atomic_load_n(&k->ends, __ATOMIC_ACQUIRE)) {
        rki_buf b;
        rki_buf_init(&b);
        rki_run_status_json(k->r, &b);
        rki_run_topics_json(k->r, &b);
        k->looks += b.n > 0;
        rki_buf_fini(&b);
    }
    return NULL;
}

static void random_reloads_lose_double_and_reorder_nothing(void **state)
{
    struct looker looker = { 0 };
    pthread_t thread;
    static char text[16384];
    const char *asked = getenv("RKP_RELOADS"), *from = getenv("RKP_RELOAD_SEED");
    unsigned rounds = asked ? (unsigned)strtoul(asked, NULL, 10) : 60, applied = 0, rejected = 0;
    uint64_t begin = from ? strtoull(from, NULL, 10) : 1;
    live *l;
    (void)state;
    seed = begin;
    do {
        random_pipeline(text, sizeof text);
        l = strstr(text, "bad:") ? NULL : live_try(&(live_conf){ .threads = 1 + (unsigned)(begin % 3) }, "%s", text);
    } while (!l); // replicas are not for every place
    looker.r = l->r;
    assert_int_equal(pthread_create(&thread, NULL, look_on, &looker), 0);
    for (unsigned i = 0; i < rounds; i++) {
        uint64_t at;
        rki_reload_result r;
        for (int c = 1; c <= CHAINS; c++)
            case_set(case_gate[c], case_look(case_emitted[c]) + 400);
        random_pipeline(text, sizeof text);
        r = live_reload(l, "%s", text);
        if (strstr(text, "bad:") || strstr(case_failure, "replicas-single") ||
            strstr(case_failure, "make it two reloads")) {
            expect_reload(r, RKI_RELOAD_REJECTED);
            rejected++;
        } else {
            if (r.outcome != RKI_RELOAD_APPLIED)
                fprintf(stderr, "seed %llu, reload %u:\n%s\nthe run: %s\n", (unsigned long long)begin, i, text,
                        rki_run_failure(l->r));
            expect_reload(r, RKI_RELOAD_APPLIED);
            applied++;
        }
        at = case_look(case_results[1 + dice(CHAINS)].rows);
        if (dice(2))
            live_until(l, case_look(case_results[1].rows) + case_look(case_results[2].rows) +
                                  case_look(case_results[3].rows) + case_look(case_results[4].rows) >
                              at + 10);
    }
    for (int c = 1; c <= CHAINS; c++)
        live_until(l, case_look(case_results[c].rows) == case_look(case_emitted[c]) &&
                          case_look(case_emitted[c]) == case_look(case_gate[c]));
    __atomic_store_n(&looker.ends, 1, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    assert_true(looker.looks > 0);
    rki_run_drain(l->r);
    expect_end(l, RKI_EXIT_OK);
    for (int c = 1; c <= CHAINS; c++)
        expect_some(c, c, 0, (int64_t)case_emitted[c]);
    assert_int_equal(case_results[15].n, CHAINS);
    for (size_t i = 0; i < case_results[15].n; i++)
        assert_int_equal(case_results[15].v[i].n, case_emitted[case_results[15].v[i].p]);
    assert_true(applied > 0);
    (void)rejected;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_same_file_changes_nothing, run_forget),
        cmocka_unit_test_teardown(a_kernel_between_two_others_is_replaced, run_forget),
        cmocka_unit_test_teardown(a_subscriber_comes_and_goes, run_forget),
        cmocka_unit_test_teardown(a_kernel_is_put_in_and_taken_out_of_a_chain, run_forget),
        cmocka_unit_test_teardown(state_goes_on_in_the_new_instance, run_forget),
        cmocka_unit_test_teardown(what_is_wrong_changes_nothing, run_forget),
        cmocka_unit_test_teardown(a_kernel_that_does_not_stop_in_time_lets_all_go_on, run_forget),
        cmocka_unit_test_teardown(a_suspended_kernel_that_is_removed_drops_what_waits_for_it, run_forget),
        cmocka_unit_test_teardown(a_removed_kernel_has_its_time_to_drain, run_forget),
        cmocka_unit_test_teardown(kernels_that_have_ended_may_be_wired_anew, run_forget),
        cmocka_unit_test_teardown(the_end_of_an_edge_that_goes_is_not_the_end_of_who_reads_it, run_forget),
        cmocka_unit_test_teardown(who_is_new_behind_an_end_that_waits_gets_an_end, run_forget),
        cmocka_unit_test_teardown(readers_of_the_engines_topics_come_change_and_go, run_forget),
        cmocka_unit_test_teardown(a_table_goes_with_its_instance, run_forget),
        cmocka_unit_test_teardown(random_reloads_lose_double_and_reorder_nothing, run_forget),
    };
    return cmocka_run_group_tests_name("reload", tests, NULL, NULL);
}
