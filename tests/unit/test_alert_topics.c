// labels: threads
// $alerts/<name>: changes of alerts as messages, whoever listens, however slowly, and however the run ends.
#include "run_expect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
// after the above
#include <cmocka.h>

#define SOURCE                                                                                                         \
    "  src: { op: t.pub, with: { id: 1, rows: 100, gate: 1 } }\n  out: { op: t.sink, from: [src], with: { into: 1 } "  \
    "}\n"

static const live_conf kept = { .keep = true };

static rki_alert_message change_of(const char *alert, const char *to)
{
    return (rki_alert_message){ .alert = rkp_str_of(alert),
                                .severity = RKP_STR("warn"),
                                .labels = RKP_STR("{\"a\":\"b\"}"),
                                .annotations = RKP_STR("{}"),
                                .from = "inactive",
                                .to = to,
                                .value = 1,
                                .active_ms = 1,
                                .ms = 2,
                                .key = "0123456789abcdef" };
}

static void say(live *l, const char *alert, const char *to)
{
    const rki_alert_message m = change_of(alert, to);

    rki_run_alert(l->r, &m);
}

struct outcomes {
    double published, dropped;
};

static void note(void *arg, const rki_metric *row, rkp_str name, const rki_label *l, uint32_t n, double v)
{
    struct outcomes *o = arg;

    (void)row;
    if (!rkp_str_is(name, "rkpipe_alert_messages_total"))
        return;
    assert_int_equal(n, 1);
    *(rkp_str_is(l->value, "dropped") ? &o->dropped : &o->published) = v;
}

static struct outcomes outcomes(live *l)
{
    struct outcomes o = { -1, -1 };

    assert_true(rki_run_metrics(l->r, note, &o));
    return o;
}

static void each_change_is_a_message_of_its_alerts_topic(void **state)
{
    live *l;

    (void)state;
    case_set(case_gate[1], 10);
    l = live_start(NULL, "kernels:\n" SOURCE "  all: { op: t.sink, subscribe: $alerts/#, with: { into: 2 } }\n"
                         "  one: { op: map, subscribe: $alerts/B, with: { derive: { l: \"json_get(labels, '$.a')\", t: "
                         "meta.topic } } }\n"
                         "  b: { op: filter, from: [one], with: { where: \"l == 'b' && t == '$alerts/B' && state == "
                         "'firing' && value == 1\" } }\n"
                         "  two: { op: t.sink, from: [b], with: { into: 3 } }\n");
    say(l, "A", "pending");
    say(l, "B", "firing");
    say(l, "A", "firing");
    say(l, "B", "resolved");
    live_until(l, case_look(case_results[2].rows) == 4);
    live_until(l, case_look(case_results[3].rows) == 1);
    case_set(case_gate[1], UINT64_MAX);
    expect_end(l, RKI_EXIT_OK); // who reads them keeps no job open
    expect_rows(1, 1, 100);
    assert_int_equal(case_results[2].rows, 4);
    assert_int_equal(case_results[3].rows, 1);
}

// The one who tells never waits, and no kernel does.
static void a_slow_subscriber_holds_nobody_up(void **state)
{
    enum { MANY = 5000 };
    struct outcomes o;
    live *l;

    (void)state;
    case_set(case_gate[1], 10);
    case_set(case_gate[2], 0);
    l = live_start(
        &kept, "kernels:\n" SOURCE
               "  slow: { op: t.slow, subscribe: $alerts/#, queue: { capacity: 4 }, with: { into: 2, gate: 2 } }\n");
    for (int i = 0; i < MANY; i++)
        say(l, "A", "firing");
    case_set(case_gate[1], UINT64_MAX);
    live_until(l, case_look(case_results[1].rows) == 100); // the others have come to their end
    o = outcomes(l);
    assert_true(o.dropped >= MANY - 1024 - 64 && o.dropped < MANY);
    case_set(case_gate[2], UINT64_MAX);
    assert_int_equal(live_end(l), RKI_EXIT_OK);
    o = outcomes(l);
    assert_true(o.published + o.dropped == MANY);
    assert_true((double)case_results[2].rows == o.published);
    live_free(l);
}

static void readers_come_change_and_go(void **state)
{
#define READER(q)                                                                                                      \
    "  ev: { op: map, subscribe: $alerts/#, with: { derive: { q: '" q "' } } }\n"                                      \
    "  told: { op: t.sink, from: [ev], with: { into: 2 } }\n"
    (void)state;
    for (int i = 0; i < 6; i++) {
        uint64_t rows;
        live *l;

        case_set(case_gate[1], 10);
        l = live_start(NULL, "run: { mode: batch }\nkernels:\n" SOURCE "%s", i % 2 ? READER("1") : "");
        live_until(l, case_look(case_results[1].rows) == 10);
        say(l, "A", "pending"); // perhaps nobody is there
        expect_reload(live_reload(l, "run: { mode: batch }\nkernels:\n" SOURCE READER("2")), RKI_RELOAD_APPLIED);
        rows = case_look(case_results[2].rows);
        assert_true(rows <= 1);
        for (int k = 0; k < 10; k++)
            say(l, "A", "firing");
        live_until(l, case_look(case_results[2].rows) >= 10);
        if (i % 3 == 0) {
            expect_reload(live_reload(l, "run: { mode: batch }\nkernels:\n" SOURCE), RKI_RELOAD_APPLIED);
            say(l, "A", "resolved"); // let go
        } else if (i % 3 == 1) {
            expect_reload(
                live_reload(l, "run: { mode: batch }\nkernels:\n" SOURCE
                               "  news: { op: t.sink, subscribe: $lifecycle/#, with: { into: 3 } }\n" READER("2")),
                RKI_RELOAD_APPLIED);
            say(l, "A", "resolved");
        }
        case_set(case_gate[1], UINT64_MAX);
        expect_end(l, RKI_EXIT_OK);
        assert_int_equal(case_results[2].rows, 10 + i % 2 + (i % 3 == 1));
        expect_rows(1, 1, 100);
        case_forget();
    }
#undef READER
}

// ---- the last look --------------------------------------------------------------------------------------------------

struct asked {
    uint64_t number; // atomic
    bool yes;
};

static bool ask(void *arg, uint64_t number)
{
    struct asked *a = arg;

    __atomic_store_n(&a->number, number, __ATOMIC_SEQ_CST);
    return a->yes;
}

static void what_is_seen_when_all_else_has_ended_is_told_too(void **state)
{
    static const char text[] = "kernels:\n" SOURCE "  told: { op: t.sink, subscribe: $alerts/#, with: { into: 2 } }\n";

    (void)state;
    for (int i = 0; i < 20; i++) {
        struct asked a = { .yes = i % 2 };
        live *l;

        case_set(case_gate[1], 10);
        l = live_start(NULL, text);
        rki_run_on_last(l->r, ask, &a);
        case_set(case_gate[1], UINT64_MAX);
        live_until(l, __atomic_load_n(&a.number, __ATOMIC_SEQ_CST) == 1);
        if (a.yes) {
            say(l, "A", "firing");
            rki_run_looked(l->r, 7); // of another look
            say(l, "A", "resolved");
            rki_run_looked(l->r, 1);
        }
        expect_end(l, RKI_EXIT_OK);
        assert_int_equal(case_results[2].rows, a.yes ? 2 : 0);
        case_forget();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(each_change_is_a_message_of_its_alerts_topic, run_forget),
        cmocka_unit_test_teardown(a_slow_subscriber_holds_nobody_up, run_forget),
        cmocka_unit_test_teardown(readers_come_change_and_go, run_forget),
        cmocka_unit_test_teardown(what_is_seen_when_all_else_has_ended_is_told_too, run_forget),
    };

    return cmocka_run_group_tests_name("alert topics", tests, NULL, NULL);
}
