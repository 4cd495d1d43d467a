#include "run_expect.h"

#include <setjmp.h>
#include <stdarg.h>
// after the above
#include <cmocka.h>

int run_forget(void **state)
{
    (void)state;
    case_forget();
    return 0;
}

void expect_end(live *l, int want)
{
    int code = live_end(l);
    if (code != want)
        fail_msg("exit %d, not %d: %s", code, want, case_failure);
}

void expect_run(int want, unsigned threads, const char *text)
{
    int code = case_run(threads, "%s", text);
    if (code != want)
        fail_msg("exit %d, not %d: %s\n%s", code, want, case_failure, text);
}

void expect_rows(int sink, int64_t p, int64_t n)
{
    int64_t next = 0;
    for (size_t i = 0; i < case_results[sink].n; i++)
        if (case_results[sink].v[i].p == p)
            assert_int_equal(case_results[sink].v[i].n, next++);
    assert_int_equal(next, n);
}

void expect_reload(rki_reload_result r, rki_reload_outcome want)
{
    if (r.outcome != want)
        fail_msg("outcome %d, not %d: %s%s", (int)r.outcome, (int)want, r.text, case_failure);
}

void expect_ordered(int sink)
{
    const case_result *r = &case_results[sink];
    for (size_t i = 1; i < r->n; i++) {
        const case_row *a = &r->v[i - 1], *b = &r->v[i];
        if (a->call == b->call) {
            assert_int_equal(a->stamp, b->stamp); // one message
            continue;
        }
        if (b->stamp < a->stamp || (b->stamp == a->stamp && a->p == b->p))
            fail_msg("sink %d: %lld/%lld with stamp %llu behind %lld/%lld with %llu", sink, (long long)b->p,
                     (long long)b->n, (unsigned long long)b->stamp, (long long)a->p, (long long)a->n,
                     (unsigned long long)a->stamp);
    }
}
