// Expressions whose metrics are of unlike units.
#include "base/diag.h"
#include "watch/promql.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

// "text (hint)" of each finding, one in a line.
static void verdict(const char *text, char *to, size_t n)
{
    rkp_word w = { text, strlen(text), { "a.yaml", 1, 1, 0 } };
    rkp_diags *d = rki_diags_new();
    const rki_prom *e;
    size_t at = 0;
    rki_arena a;
    bool right;

    rki_arena_init(&a);
    e = rki_prom_parse(&a, d, w, NULL);
    if (!e)
        fail_msg("%s: %s", text, rki_diags_at(d, 0)->text);
    right = rki_prom_units(e, d, w);
    assert_int_equal(right, rki_diags_count(d, RKP_ERROR) == 0);
    to[0] = '\0';
    for (uint32_t i = 0; i < rki_diags_count(d, RKP_ERROR); i++) {
        const rki_finding *f = rki_diags_at(d, i);

        assert_string_equal(f->code, "promql-units");
        at += (size_t)snprintf(to + at, n - at, "%s%u: %s", i ? "\n" : "", f->at.col, f->text);
    }
    rki_arena_fini(&a);
    rki_diags_free(d);
}

static void what_is_right_is_right(void **state)
{
    static const char *const cases[] = {
        "rkpipe_kernel_in_rows_total > 5",
        "5 < rkpipe_kernel_in_rows_total",
        "rkpipe_kernel_in_rows_total - rkpipe_kernel_out_rows_total > 10",
        "rate(rkpipe_kernel_in_rows_total[1m]) > 2 * rate(rkpipe_kernel_out_rows_total[1m])",
        ("sum by (kernel) (rate(rkpipe_dropped_rows_total[1m])) / sum by (kernel) "
         "(rate(rkpipe_kernel_in_rows_total[1m])) > 0.1"),
        "histogram_quantile(0.99, sum by (le) (rate(rkpipe_sink_latency_seconds_bucket[1m]))) > 0.5",
        "histogram_quantile(0.99, rate(rkpipe_sink_latency_seconds_bucket[1m])) > avg(rkpipe_kernel_batch_seconds_sum)",
        "rate(rkpipe_sink_latency_seconds_sum[1m]) / rate(rkpipe_sink_latency_seconds_count[1m]) > 0.1",
        "rate(rkpipe_kernel_busy_seconds_total[1m]) > 0.9",
        "time() - max(process_start_time_seconds) > 3600",
        "count(rkpipe_kernel_state == 1) > rkpipe_workers",
        "rkpipe_kernel_in_rows_total * 8 > rkpipe_kernel_in_bytes_total", // may have been converted
        "rkpipe_kernel_in_bytes_total / rkpipe_kernel_in_rows_total > 100",
        "rkpipe_kernel_in_rows_total / rkpipe_kernel_busy_seconds_total > rate(rkpipe_kernel_in_rows_total[1m])",
        "rkpipe_kernel_in_rows_total / rate(rkpipe_kernel_in_rows_total[1m]) > rkpipe_kernel_busy_seconds_total",
        "somebody_elses > rkpipe_kernel_in_bytes_total",
        "{kernel='a'} > rkpipe_kernel_in_bytes_total",
        "(rkpipe_kernel_in_rows_total > bool 5) + (rkpipe_kernel_in_bytes_total > bool 5) > 1",
        "rkpipe_kernel_in_rows_total > 5 and rkpipe_kernel_in_bytes_total > 100",
        "rkpipe_kernel_in_rows_total or rkpipe_kernel_in_bytes_total > 100",
        "rkpipe_throttle_throttled_rows_total > rkpipe_kernel_in_rows_total",
    };
    char says[1024];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        verdict(cases[i], says, sizeof says);
        if (says[0])
            fail_msg("%s: %s", cases[i], says);
    }
}

static void unlike_units_are_told(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        { "rkpipe_kernel_in_rows_total > rkpipe_kernel_in_bytes_total",
          "1: rows and bytes: '>' between them means nothing" },
        { "rkpipe_kernel_busy_seconds_total - rkpipe_kernel_in_rows_total",
          "1: seconds and rows: '-' between them means nothing" },
        { "rate(rkpipe_kernel_in_rows_total[1m]) < rkpipe_kernel_out_rows_total",
          "1: rows a second and rows: '<' between them means nothing" },
        { "histogram_quantile(0.99, rate(rkpipe_sink_latency_seconds_bucket[1m])) > rkpipe_kernel_in_bytes_total",
          "1: seconds and bytes: '>' between them means nothing" },
        { "1 + (sum(rkpipe_kernel_in_rows_total) == max(rkpipe_kernel_in_bytes_total))",
          "6: rows and bytes: '==' between them means nothing" },
        { "rate(rkpipe_kernel_busy_seconds_total[1m]) > rkpipe_kernel_busy_seconds_total",
          "1: a ratio or a state and seconds: '>' between them means nothing" },
        { "rkpipe_throttle_throttled_rows_total > rkpipe_kernel_in_bytes_total",
          "1: rows and bytes: '>' between them means nothing" },
        { "(rkpipe_kernel_in_rows_total > rkpipe_kernel_in_bytes_total) or (time() > max(rkpipe_kernel_in_rows_total))",
          "2: rows and bytes: '>' between them means nothing\n66: seconds and rows: '>' between them means nothing" },
    };
    char says[1024];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        verdict(cases[i].text, says, sizeof says);
        assert_string_equal(says, cases[i].says);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_right_is_right),
        cmocka_unit_test(unlike_units_are_told),
    };

    return cmocka_run_group_tests_name("promql_units", tests, NULL, NULL);
}
