// The progress line at every width, and its JSON.
#include "cli/progress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const rki_progress half = {
    .elapsed_ns = 4000000000u, .rows_in = 5000000, .bytes_in = 1200000000, .rows_out = 10, .done = 500, .total = 1000
};

static void is_line(const rki_progress *p, int width, const char *want)
{
    rki_bar b = { 0 };
    rki_buf out;
    rki_buf_init(&out);
    rki_bar_line(&b, p, width, &out);
    rki_putc(&out, 0);
    assert_false(out.failed);
    assert_string_equal(out.p, want);
    rki_buf_fini(&out);
}

static void pieces_are_left_out_by_rank(void **state)
{
    (void)state;
    is_line(&half, 100, "[====================>                   ]   50 %  1.25 M rows/s  300.0 MB/s  0:04 left");
    is_line(&half, 60, "[======>      ]   50 %  1.25 M rows/s  300.0 MB/s  0:04 left");
    is_line(&half, 50, " 50 %  1.25 M rows/s  300.0 MB/s  0:04 left");
    is_line(&half, 35, " 50 %  1.25 M rows/s  0:04 left");
    is_line(&half, 16, " 50 %  0:04 left");
    is_line(&half, 5, " 50 %");
    is_line(&half, 4, "");
    is_line(&half, 0, "");
    is_line(&half, -3, "");
}

static void without_a_total_the_sums_are_shown(void **state)
{
    rki_progress p = half;
    (void)state;
    p.total = 0;
    p.bad = 7;
    is_line(&p, 100, "5.00 M rows  1.20 GB  1.25 M rows/s  300.0 MB/s  0:04  7 bad");
    is_line(&p, 40, "5.00 M rows  1.25 M rows/s  0:04  7 bad");
    p.elapsed_ns = 3725000000000u;
    is_line(&p, 30, "5.00 M rows  1:02:05  7 bad");
}

static void no_width_and_no_value_breaks_it(void **state)
{
    static const uint64_t values[] = { 0, 1, 999, 1000, 123456789, UINT64_MAX / 2, UINT64_MAX };
    enum { N = sizeof values / sizeof *values };
    rki_bar b = { 0 };
    rki_buf out;
    (void)state;
    rki_buf_init(&out);
    for (size_t i = 0; i < N * N * N; i++) {
        rki_progress p = { .elapsed_ns = values[i % N],
                           .rows_in = values[i / N % N],
                           .bytes_in = values[i / N / N],
                           .done = values[i / N % N],
                           .total = values[i % N],
                           .bad = values[i / N / N] };
        for (int width = -1; width < 140; width += 7) {
            rki_buf_clear(&out);
            rki_bar_line(&b, &p, width, &out);
            assert_true(out.n <= (size_t)(width < 0 ? 0 : width));
        }
    }
    rki_buf_fini(&out);
}

static void json_is_one_line(void **state)
{
    rki_buf out;
    (void)state;
    rki_buf_init(&out);
    rki_progress_json(&half, &out);
    rki_putc(&out, 0);
    assert_string_equal(out.p, "{\"elapsed_seconds\":4.0,\"rows_in\":5000000,\"rows_out\":10,\"bad_rows\":0,"
                               "\"bytes_in\":1200000000,\"done_bytes\":500,\"total_bytes\":1000,\"final\":false}\n");
    rki_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_left_out_by_rank),
        cmocka_unit_test(without_a_total_the_sums_are_shown),
        cmocka_unit_test(no_width_and_no_value_breaks_it),
        cmocka_unit_test(json_is_one_line),
    };
    return cmocka_run_group_tests_name("cli_progress", tests, NULL, NULL);
}
