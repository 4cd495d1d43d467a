// labels: threads
// The kernels behind alerts on data: every row is looked at or counted as dropped, and nobody waits for them.
#include "run/watch.h"
#include "run_expect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
// after the above
#include <cmocka.h>

#define SRC "  src: { op: t.pub, with: { id: 1, rows: 1000, gate: 1 }, publish: a }\n"
#define OUT "  out: { op: t.sink, from: [src], with: { into: 1 } }\n"

static const live_conf kept = { .keep = true };

struct seen {
    uint64_t rows, over, keys;
    char last[64];
};

static void take(void *arg, rkp_str alert, const rkp_str *keys, size_t n, uint64_t rows, uint64_t over)
{
    struct seen *s = arg;

    s->rows += rows;
    s->over += over;
    s->keys += rows > 0;
    snprintf(s->last, sizeof s->last, "%.*s %.*s", RKP_STR_ARG(alert), n && rows ? (int)keys[0].n : 0,
             n && rows ? keys[0].p : "");
}

static uint64_t counted(live *l, const char *kernel, const char *what)
{
    return live_number(l, kernel, what);
}

static void all_rows_are_looked_at_or_counted(void **state)
{
    static const struct {
        const char *alert;
        uint64_t rows, over, keys;
    } table[] = {
        { "{ alert: A, watch: { kernel: src }, where: 'true' }", 1000, 0, 1 },
        { "{ alert: A, watch: { topic: a }, where: 'n % 2 == 0', key: p }", 500, 0, 1 },
        { "{ alert: A, watch: { topic: '*' }, where: 'n >= 990', key: [p, n] }", 10, 0, 10 },
        { "{ alert: A, watch: { kernel: src }, where: 'n >= 0', key: n, limit: 7 }", 7, 993, 7 },
        { "{ alert: A, watch: { kernel: src }, where: '10 // (n - 3) >= 0 && n <= 5' }", 2, 0, 1 }, // n = 3 is an error
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        live *l;
        struct seen s = { 0 };

        case_forget();
        l = live_start(&kept, "alerts: [ %s ]\nkernels:\n" SRC OUT, table[i].alert);
        assert_int_equal(live_end(l), RKI_EXIT_OK);
        rki_run_watched(l->r, take, &s);
        assert_int_equal(counted(l, "$alert:A", "rows_in"), 1000);
        if (counted(l, "$alert:A", "dropped") <= (i == 4)) { // nothing did not fit
            assert_int_equal(s.rows, table[i].rows);
            assert_int_equal(s.over, table[i].over);
            assert_int_equal(s.keys, table[i].keys);
        }
        assert_true(s.rows + s.over + counted(l, "$alert:A", "dropped") >= table[i].rows + table[i].over);
        s = (struct seen){ 0 };
        rki_run_watched(l->r, take, &s); // once
        assert_int_equal(s.rows, 0);
        expect_rows(1, 1, 1000);
        live_free(l);
        case_forget();
    }
}

// One thread has the source and the one who watches: what is watched goes on, and what did not fit is counted.
static void who_is_watched_never_waits(void **state)
{
    const live_conf one = { .keep = true, .threads = 1 };
    struct seen s = { 0 };
    live *l;

    (void)state;
    case_forget();
    l = live_start(&one, "run: { fail_on: [drop] }\n"
                         "alerts: [ { alert: A, watch: { kernel: src }, where: 'true' } ]\nkernels:\n"
                         "  src: { op: t.pub, with: { id: 1, rows: 20000, batch: 1 } }\n" OUT);
    assert_int_equal(live_end(l), RKI_EXIT_OK);
    rki_run_watched(l->r, take, &s);
    assert_int_equal(counted(l, "$alert:A", "rows_in"), 20000);
    assert_int_equal(s.rows + counted(l, "$alert:A", "dropped"), 20000);
    expect_rows(1, 1, 20000);
    live_free(l);
}

static void alerts_come_change_and_go_with_a_reload(void **state)
{
    struct seen s = { 0 };
    live *l;

    (void)state;
    case_set(case_gate[1], 10);
    l = live_start(&kept, "kernels:\n" SRC OUT);
    live_until(l, case_look(case_results[1].rows) == 10);
    expect_reload(live_reload(l, "alerts: [ { alert: A, watch: { topic: a }, where: n >= 10 } ]\nkernels:\n" SRC OUT),
                  RKI_RELOAD_APPLIED);
    case_set(case_gate[1], 20);
    live_until(l, (rki_run_watched(l->r, take, &s), s.rows == 10));
    expect_reload(
        live_reload(l, "alerts: [ { alert: A, watch: { topic: a }, where: n >= 25, key: n } ]\nkernels:\n" SRC OUT),
        RKI_RELOAD_APPLIED);
    case_set(case_gate[1], 30);
    live_until(l, (rki_run_watched(l->r, take, &s), s.rows == 15));
    assert_non_null(strstr(s.last, "A 2"));
    expect_reload(live_reload(l, "kernels:\n" SRC OUT), RKI_RELOAD_APPLIED);
    case_set(case_gate[1], UINT64_MAX);
    assert_int_equal(live_end(l), RKI_EXIT_OK);
    rki_run_watched(l->r, take, &s);
    assert_int_equal(s.rows, 15);
    expect_rows(1, 1, 1000);
    live_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(all_rows_are_looked_at_or_counted, run_forget),
        cmocka_unit_test_teardown(who_is_watched_never_waits, run_forget),
        cmocka_unit_test_teardown(alerts_come_change_and_go_with_a_reload, run_forget),
    };

    return cmocka_run_group_tests_name("watching", tests, NULL, NULL);
}
