// labels: threads
// reload.consistency: path: what a message meets on all its ways is of one generation.
#include "run_expect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// after the above
#include <cmocka.h>

enum { ROUNDS = 40 };

// Two ways from one source, each through kernels that write the number of their generation into the row: p = ((id * 1000 + first) * 1000 +
// second).  `mid` is there in every second generation, and `side` in every third.
static void pipeline(char *to, size_t size, const char *consistency, const char *how, int gen)
{
    size_t n = 0;
#define SAY(...) n += (size_t)snprintf(to + n, size - n, __VA_ARGS__)
    SAY("reload: { consistency: %s }\n"
        "kernels:\n"
        "  src: { op: t.pub, with: { id: 1, gate: 1, batch: 2 }, publish: t/1 }\n"
        "  keep: { op: map, subscribe: t/1, with: { derive: { y: n } }, fuse: never }\n"
        "  a: { op: map, from: [keep], publish: t/a, with: { derive: { p: 'p * 1000 + %d' } }, fuse: never%s }\n"
        "  still: { op: map, subscribe: t/a, with: { derive: { z: n } }, fuse: never }\n",
        consistency, gen, how);
    if (gen % 2)
        SAY("  mid: { op: map, from: [still], with: { derive: { z: '%d' } }, fuse: never }\n", gen);
    SAY("  c: { op: map, from: [%s], with: { derive: { p: 'p * 1000 + %d' } }, fuse: never%s }\n",
        gen % 2 ? "mid" : "still", gen, how);
    SAY("  one: { op: t.slow, from: [c], queue: { capacity: 4 }, with: { into: 1 } }\n"
        "  b: { op: map, subscribe: t/1, with: { derive: { p: '(p * 1000 + %d) * 1000 + %d' } }, fuse: never }\n"
        "  two: { op: t.sink, from: [b], with: { into: 2 } }\n",
        gen, gen);
    if (gen % 3 == 0)
        SAY("  side: { op: map, subscribe: [t/1, t/a], with: { derive: { q: '%d' } } }\n"
            "  three: { op: t.sink, from: [side], with: { into: 3 } }\n",
            gen);
#undef SAY
}

static int generation(int64_t p, int turn)
{
    return (int)(turn ? p % 1000 : p / 1000 % 1000);
}

// Rows whose ways were not of one generation.
static size_t mixed(void)
{
    size_t bad = 0;
    assert_int_equal(case_results[1].n, case_results[2].n);
    for (size_t i = 0; i < case_results[1].n; i++) {
        const case_row *x = &case_results[1].v[i], *y = &case_results[2].v[i];
        assert_int_equal(x->n, i); // in order, once
        assert_int_equal(y->n, i);
        bad += generation(x->p, 0) != generation(x->p, 1) || x->p != y->p;
    }
    return bad;
}

// Who subscribes to both topics for a while: what came over the one (p: 1) comes over the other, too.
static size_t halves(void)
{
    size_t bad = 0;
    char *seen = calloc(case_emitted[1] + 1, 1);
    assert_non_null(seen);
    for (size_t i = 0; i < case_results[3].n; i++)
        seen[case_results[3].v[i].n] |= case_results[3].v[i].p == 1 ? 1 : 2;
    for (size_t i = 0; i < case_emitted[1]; i++)
        bad += seen[i] == 1 || seen[i] == 2;
    free(seen);
    return bad;
}

static void run(const char *consistency, const char *how, unsigned threads, size_t *n_mixed, size_t *n_halves)
{
    static char text[8192];
    live *l;
    case_set(case_gate[1], 0);
    pipeline(text, sizeof text, consistency, how, 0);
    l = live_start(&(live_conf){ .threads = threads }, "%s", text);
    for (int i = 1; i <= ROUNDS; i++) {
        case_set(case_gate[1], case_look(case_emitted[1]) + 300);
        live_until(l, case_look(case_emitted[1]) + 250 > case_look(case_gate[1])); // under way
        pipeline(text, sizeof text, consistency, how, i);
        expect_reload(live_reload(l, "%s", text), RKI_RELOAD_APPLIED);
    }
    for (int sink = 1; sink <= 2; sink++)
        live_until(l, case_look(case_results[sink].rows) == case_look(case_gate[1]));
    rki_run_drain(l->r);
    expect_end(l, RKI_EXIT_OK);
    *n_mixed = mixed();
    *n_halves = halves();
}

static void each_message_meets_one_generation(void **state)
{
    static const char *const hows[] = { "", ", batch: { count: 7, period: 1s }", ", queue: { capacity: 2 }" };
    size_t n_mixed, n_halves;
    (void)state;
    for (size_t h = 0; h < sizeof hows / sizeof *hows; h++)
        for (unsigned threads = 1; threads <= 3; threads++) {
            run("path", hows[h], threads, &n_mixed, &n_halves);
            assert_int_equal(n_mixed, 0);
            assert_int_equal(n_halves, 0);
            case_forget();
        }
}

// What the above would see, and what users have who do not ask for it.
static void with_hops_messages_on_their_way_meet_two(void **state)
{
    size_t n_mixed, n_halves;
    (void)state;
    run("hop", "", 2, &n_mixed, &n_halves);
    assert_true(n_mixed > 0);
}

static void who_does_not_come_to_rest_in_time_takes_all_back(void **state)
{
    const char *fmt = "reload: { consistency: path, quiesce_timeout: 50ms }\nkernels:\n"
                      "  src: { op: t.pub, with: { id: 1, gate: 1 } }\n"
                      "  a: { op: map, from: [src], with: { derive: { p: '%d' } }, fuse: never }\n"
                      "  b: { op: t.step, from: [a], fuse: never, with: { id: 2, gate: 3 } }\n"
                      "  c: { op: map, from: [b], with: { derive: { q: '%d' } }, fuse: never }\n"
                      "  out: { op: t.sink, from: [c], with: { into: 1 } }\n";
    rki_reload_result r;
    live *l;
    (void)state;
    case_set(case_gate[1], 0);
    case_set(case_gate[3], 0);
    l = live_start(NULL, fmt, 1, 1);
    case_set(case_gate[1], 50);
    live_until(l, case_look(case_seen[2].calls) > 0); // it is in its call, and does not change
    r = live_reload(l, fmt, 2, 2);
    expect_reload(r, RKI_RELOAD_TIMED_OUT);
    assert_non_null(strstr(r.text, "'b'"));
    case_set(case_gate[3], UINT64_MAX);
    live_until(l, case_look(case_results[1].rows) == 50);
    case_set(case_gate[1], 100);
    live_until(l, case_look(case_results[1].rows) == 100);
    expect_reload(live_reload(l, fmt, 2, 2), RKI_RELOAD_APPLIED);
    case_set(case_gate[1], 150);
    live_until(l, case_look(case_results[1].rows) == 150);
    rki_run_drain(l->r);
    expect_end(l, RKI_EXIT_OK);
    for (size_t i = 0; i < case_results[1].n; i++)
        assert_int_equal(case_results[1].v[i].p, i < 100 ? 1 : 2);
    assert_int_equal(case_seen[2].inits, 1);
}

static void circles_between_what_changes_are_refused(void **state)
{
    const char *fmt =
        "reload: { consistency: path }\n"
        "topics: { 'loop/#': { schema: { p: i64, n: i64, k: string? } } }\n"
        "kernels:\n"
        "  src: { op: t.pub, with: { id: 1, gate: 1 } }\n"
        "  a: { op: map, from: [src], publish: loop/in, with: { derive: { n: 'n * %d' } } }\n"
        "  e: { op: t.echo, subscribe: loop/#, publish: loop/again, queue: { overflow: drop_newest }, fuse: never }\n"
        "  b: { op: map, subscribe: loop/#, with: { derive: { y: '%d' } } }\n"
        "  s: { op: t.sink, from: [b], with: { into: 1 } }\n";
    live *l;
    (void)state;
    case_set(case_gate[1], 0);
    l = live_start(NULL, fmt, 1, 1);
    expect_reload(live_reload(l, fmt, 2, 2), RKI_RELOAD_REJECTED);
    assert_non_null(strstr(case_failure, "consistency: path"));
    expect_reload(live_reload(l, fmt, 1, 2), RKI_RELOAD_APPLIED); // at one place
    rki_run_drain(l->r);
    expect_end(l, RKI_EXIT_OK);
}

static void what_takes_too_long_to_build_is_given_up(void **state)
{
    const char *fmt = "reload: { prepare_timeout: 1us }\nkernels:\n"
                      "  src: { op: t.pub, with: { id: 1, gate: 1 } }\n"
                      "  a: { op: map, from: [src], with: { derive: { p: '%d' } } }\n"
                      "  out: { op: t.sink, from: [a], with: { into: 1 } }\n";
    rki_reload_result r;
    live *l;
    (void)state;
    case_set(case_gate[1], 5);
    l = live_start(NULL, fmt, 1);
    r = live_reload(l, fmt, 2);
    expect_reload(r, RKI_RELOAD_TIMED_OUT);
    assert_non_null(strstr(r.text, "prepare_timeout"));
    expect_reload(live_reload(l, fmt, 1), RKI_RELOAD_APPLIED); // nothing is built
    live_until(l, case_look(case_results[1].rows) == 5);
    rki_run_drain(l->r);
    expect_end(l, RKI_EXIT_OK);
    assert_int_equal(case_results[1].v[4].p, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(each_message_meets_one_generation, run_forget),
        cmocka_unit_test_teardown(with_hops_messages_on_their_way_meet_two, run_forget),
        cmocka_unit_test_teardown(who_does_not_come_to_rest_in_time_takes_all_back, run_forget),
        cmocka_unit_test_teardown(circles_between_what_changes_are_refused, run_forget),
        cmocka_unit_test_teardown(what_takes_too_long_to_build_is_given_up, run_forget),
    };
    return cmocka_run_group_tests_name("reload_path", tests, NULL, NULL);
}
