// labels: threads
// Each allocation of a reload fails once: it is rejected and nothing has changed, or it is applied, or the run ends and says that memory is out.
#include "nomem.h"
#include "run_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
// after the above
#include <cmocka.h>

static long nth, asked; // the allocation that fails; how many there were

static void around(bool before)
{
    if (before) {
        nomem_at(nth);
    } else {
        asked = nomem_count();
        nomem_at(0);
    }
}

// Rows from .. to - 1 of the source, in order, at sink 1.
static void expect_rows(int64_t to)
{
    assert_int_equal(case_results[1].rows, to);
    for (size_t i = 0; i < case_results[1].n; i++)
        assert_int_equal(case_results[1].v[i].n, i);
}

// Some more rows pass.  False: the run has ended instead.
static bool goes_on(live *l)
{
    uint64_t to = case_look(case_gate[1]) + 3;
    case_set(case_gate[1], to);
    live_until(l, case_look(case_results[1].rows) >= to || __atomic_load_n(&l->over, __ATOMIC_ACQUIRE));
    return !__atomic_load_n(&l->over, __ATOMIC_ACQUIRE);
}

static live *begin(const char *text)
{
    live *l;
    case_forget();
    case_set(case_gate[1], 0);
    l = live_start(NULL, "%s", text);
    assert_true(goes_on(l));
    return l;
}

static void end(live *l)
{
    uint64_t rows = case_look(case_gate[1]);
    int code;
    rki_run_drain(l->r);
    code = live_end(l);
    if (code != RKI_EXIT_OK)
        fail_msg("allocation %ld: exit %d: %s", nth, code, case_failure);
    expect_rows((int64_t)rows);
}

static void each_allocation_of(const char *from, const char *to)
{
    live *l = begin(from);
    uint32_t applied = 0, rejected = 0, failed = 0;
    case_around_reload = around;
    for (nth = 1;; nth++) {
        rki_reload_result r = live_reload(l, "%s", to);
        bool all = asked < nth;
        if (goes_on(l)) {
            if (r.outcome == RKI_RELOAD_APPLIED) {
                applied++;
                case_around_reload = NULL;
                r = live_reload(l, "%s", from);
                case_around_reload = around;
                if (r.outcome != RKI_RELOAD_APPLIED)
                    fail_msg("allocation %ld, and back: %s%s", nth, r.text, case_failure);
                assert_true(goes_on(l));
            } else {
                rejected++;
                assert_int_equal(r.outcome, RKI_RELOAD_REJECTED);
                if (!strstr(case_failure, "memory") && !strstr(r.text, "memory"))
                    fail_msg("allocation %ld: '%s' '%s'", nth, r.text, case_failure);
            }
        } else {
            int code = live_end(l);
            failed++;
            if (code != RKI_EXIT_FAILED || !strstr(case_failure, "memory"))
                fail_msg("allocation %ld: exit %d: %s", nth, code, case_failure);
            l = begin(from);
        }
        if (all)
            break;
    }
    case_around_reload = NULL;
    end(l);
    print_message("%ld allocations: %u applied, %u rejected, %u runs ended\n", nth - 1, applied, rejected, failed);
    assert_true(applied > 0 && rejected > 0);
}

#define HEAD                                                                                                           \
    "reload: { keep_state: reset }\nkernels:\n"                                                                        \
    "  src: { op: t.pub, with: { id: 1, gate: 1 }, publish: rows }\n"
#define OUT "  out: { op: t.sink, from: [b], with: { into: 1 } }\n"
#define B   "  b: { op: t.step, subscribe: rows, with: { id: 2 } }\n"

static void a_subscriber_comes(void **state)
{
    (void)state;
    each_allocation_of(HEAD B OUT, HEAD B OUT "  two: { op: t.sink, subscribe: '*', with: { into: 2 } }\n");
}

static void a_subscriber_goes(void **state)
{
    (void)state;
    each_allocation_of(HEAD B OUT "  two: { op: t.sink, subscribe: '*', with: { into: 2 } }\n", HEAD B OUT);
}

static void a_kernel_is_replaced_and_another_keeps_its_state(void **state)
{
    const char *fmt = HEAD "  b: { op: map, subscribe: rows, with: { derive: { x: '%d' } } }\n"
                           "  lim: { op: limit, from: [b], with: { rows: %d } }\n"
                           "  two: { op: t.sink, from: [lim], with: { into: 2 } }\n" OUT;
    char from[1024], to[1024];
    (void)state;
    snprintf(from, sizeof from, fmt, 1, 100000);
    snprintf(to, sizeof to, fmt, 2, 200000);
    each_allocation_of(from, to);
}

static void a_chain_is_put_together_anew(void **state)
{
    (void)state;
    each_allocation_of(HEAD "  a: { op: t.pass, subscribe: rows, with: { id: 3 } }\n"
                            "  b: { op: t.step, from: [a], with: { id: 2 } }\n" OUT,
                       HEAD "  a: { op: t.pass, subscribe: rows, fuse: never, with: { id: 3 } }\n"
                            "  m: { op: filter, from: [a], fuse: never, with: { where: 'n >= 0' } }\n"
                            "  b: { op: t.step, from: [m], with: { id: 2 } }\n" OUT);
}

static int forget(void **state)
{
    (void)state;
    nomem_at(0);
    case_around_reload = NULL;
    case_forget();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_subscriber_comes, forget),
        cmocka_unit_test_teardown(a_subscriber_goes, forget),
        cmocka_unit_test_teardown(a_kernel_is_replaced_and_another_keeps_its_state, forget),
        cmocka_unit_test_teardown(a_chain_is_put_together_anew, forget),
    };
    if (!nomem_works())
        return 77;
    return cmocka_run_group_tests_name("nomem_reload", tests, NULL, NULL);
}
