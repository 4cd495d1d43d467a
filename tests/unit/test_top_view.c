// A picture of a running engine: rates between two answers, who blocks whom, orders, and where it is cut.
#include "cli/top_view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static char got[1 << 14];

// Kernels: name, rows in, rows out, absorbed, dropped, dead-lettered, messages, capacity.
#define KERNEL(name, in, out, absorbed, dropped, dead, messages, capacity)                                             \
    "{\"kernel\":\"" name "\",\"state\":\"active\",\"rows_in\":" in ",\"rows_out\":" out ",\"absorbed\":" absorbed     \
    ",\"dropped\":" dropped ",\"dead_lettered\":" dead ",\"queue\":{\"messages\":" messages ",\"capacity\":" capacity  \
    "},\"batch_seconds\":{\"p99\":0.0000123},\"latency_seconds\":{\"p99\":1.5}}"
#define EDGE(from, to, overflow, messages, capacity)                                                                   \
    "{\"from\":\"" from "\",\"to\":\"" to "\",\"overflow\":\"" overflow "\",\"messages\":" messages                    \
    ",\"capacity\":" capacity "}"
#define STATUS(up, kernels, edges)                                                                                     \
    "{\"name\":\"fees\",\"state\":\"running\",\"mode\":\"stream\",\"generation\":3,\"uptime_seconds\":" up             \
    ",\"workers\":2,\"kernels\":[" kernels "],\"edges\":[" edges                                                       \
    "],\"memory\":{\"batches\":3145728,\"batches_limit\":104857600,\"state\":0,\"state_limit\":0}}"

static size_t view(const char *before, const char *now, const rki_top_look *look)
{
    rki_arena a;
    rki_buf out;
    size_t n = 0;
    rki_arena_init(&a);
    rki_buf_init(&out);
    assert_true(rki_top_view(&a, before ? rki_json_read(&a, rkp_str_of(before)) : NULL,
                             rki_json_read(&a, rkp_str_of(now)), look, &n, &out));
    snprintf(got, sizeof got, "%.*s", (int)out.n, out.p ? out.p : "");
    rki_buf_fini(&out);
    rki_arena_fini(&a);
    return n;
}

static const rki_top_look all = { .sort = RKI_TOP_NAME };

static void rates_are_those_between_two_answers(void **state)
{
    static const char before[] = STATUS("10.0", KERNEL("a", "100", "90", "0", "4", "1", "0", "0"), ""),
                      now[] = STATUS("12.0", KERNEL("a", "2000100", "190", "0", "8", "3", "0", "0"), "");
    (void)state;
    assert_int_equal(view(before, now, &all), 1);
    assert_string_equal(got,
                        "fees: running, stream, up 12.0 s\n"
                        "generation 3, 2 workers, batches 3 of 100 MiB\n"
                        "held up by: nobody\n"
                        "\n"
                        "kernel  state   rows in/s  rows out/s  lost/s  queue  batch p99  latency p99  blocked by\n"
                        "a       active     1.00 M        50.0     3.0           12.3 us        1.5 s\n");
}

static void without_an_answer_before_they_are_since_the_start(void **state)
{
    static const char now[] = STATUS("4.0", KERNEL("a", "100", "0", "100", "0", "0", "3", "1024"), "");
    (void)state;
    view(NULL, now, &all);
    assert_non_null(strstr(got, "a       active       25.0        25.0       0  3 / 1,024"));
}

static void who_began_again_counts_from_zero(void **state)
{
    static const char before[] = STATUS("10.0", KERNEL("a", "1000", "1000", "0", "0", "0", "0", "0"), ""),
                      again[] = STATUS("12.0", KERNEL("a", "20", "20", "0", "0", "0", "0", "0"), ""),
                      other[] = STATUS("2.0", KERNEL("a", "40", "40", "0", "0", "0", "0", "0"), "");
    (void)state;
    view(before, again, &all);
    assert_non_null(strstr(got, "active       10.0        10.0"));
    view(before, other, &all); // another engine, younger than the one before
    assert_non_null(strstr(got, "active       20.0        20.0"));
}

#define FIVE                                                                                                           \
    KERNEL("a", "1", "9", "0", "0", "0", "0", "0")                                                                     \
    "," KERNEL("b", "9", "5", "0", "0", "0", "8", "8") "," KERNEL("c", "5", "5", "0", "0", "0", "8", "8") "," KERNEL(  \
        "d", "5", "0", "5", "0", "0", "1", "8") "," KERNEL("e", "3", "0", "3", "0", "0", "8", "8")

static void a_full_queue_that_blocks_holds_its_producers_up(void **state)
{
    // a -> b -> c -> d, and a -> e, which drops; b's own halves do not count.
    static const char now[] = STATUS(
        "1.0", FIVE,
        EDGE("a", "b", "block", "8", "8") "," EDGE("b", "b", "block", "4", "4") "," EDGE(
            "b", "c", "block", "8", "8") "," EDGE("c", "d", "block", "1", "8") "," EDGE("a", "e", "spill", "8", "8"));
    (void)state;
    view(NULL, now, &all);
    assert_non_null(strstr(got, "held up by: c\n"));
    assert_non_null(strstr(got, "1.5 s  b\nb "));
    assert_non_null(strstr(got, "1.5 s  c\nc "));
    assert_non_null(strstr(got, "1.5 s\nd "));
}

static void several_blockers_are_counted(void **state)
{
    static const char now[] = STATUS("1.0", FIVE,
                                     EDGE("a", "b", "block", "8", "8") "," EDGE("a", "c", "block", "9", "8") "," EDGE(
                                         "a", "b", "block", "8", "8") "," EDGE("a", "d", "block", "8", "8"));
    (void)state;
    view(NULL, now, &all);
    assert_non_null(strstr(got, "b and 2 more\n"));
    assert_non_null(strstr(got, "held up by: b, c, d\n"));
}

static void kernels_are_in_the_order_that_is_asked_for(void **state)
{
    static const struct {
        int sort;
        const char *order;
    } cases[] = { { RKI_TOP_NAME, "abcde" }, { RKI_TOP_RATE, "abcde" }, { RKI_TOP_QUEUE, "bceda" } };
    static const char now[] = STATUS("1.0", FIVE, "");
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const rki_top_look look = { .sort = cases[i].sort };
        const char *p;
        view(NULL, now, &look);
        p = strstr(got, "blocked by\n");
        assert_non_null(p);
        for (const char *k = cases[i].order; *k; k++) {
            p = strchr(p, '\n') + 1;
            if (*p != *k)
                fail_msg("order %d: %s", cases[i].sort, got);
        }
    }
}

static void it_fits_the_screen(void **state)
{
    static const char now[] = STATUS("1.0", FIVE, "");
    (void)state;
    for (size_t lines = 1; lines < 12; lines++)
        for (size_t columns = 1; columns < 100; columns += 7) {
            const rki_top_look look = { .sort = RKI_TOP_NAME, .lines = lines, .columns = columns, .from = 2 };
            size_t n = 0;
            assert_int_equal(view(NULL, now, &look), 5);
            for (const char *p = got; *p; n++) {
                const char *nl = strchr(p, '\n');
                assert_true((size_t)(nl - p) <= columns);
                p = nl + 1;
            }
            assert_true(n <= lines);
            if (lines == 7 && columns > 50) {
                assert_non_null(strstr(got, "\nc "));
                assert_non_null(strstr(got, "\nd "));
                assert_null(strstr(got, "\nb "));
                assert_null(strstr(got, "\ne "));
            }
        }
}

static void what_an_engine_says_cannot_harm_a_terminal(void **state)
{
    static const char *const cases[] = {
        "{}",
        "[]",
        "null",
        "{\"kernels\":[{}],\"edges\":[{}]}",
        "{\"kernels\":5,\"edges\":\"x\"}",
        "{\"kernels\":[1,null,[]],\"edges\":[[],7]}",
        STATUS("1e300", KERNEL("\\u001b[2J\\u0007", "-1", "1.5", "\"x\"", "null", "99999999999999999999", "1", "0"),
               ""),
        STATUS("-5", KERNEL("\\u00e4\\u00f6", "1", "1", "0", "0", "0", "18446744073709551615", "1"),
               EDGE("\\u00e4\\u00f6", "x", "block", "1", "1")),
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t columns = 0; columns < 30; columns += 3) {
            const rki_top_look look = { .columns = columns };
            view(cases[i], cases[i], &look);
            for (const char *p = got; *p; p++)
                assert_true((unsigned char)*p >= ' ' || *p == '\n');
        }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_are_those_between_two_answers),
        cmocka_unit_test(without_an_answer_before_they_are_since_the_start),
        cmocka_unit_test(who_began_again_counts_from_zero),
        cmocka_unit_test(a_full_queue_that_blocks_holds_its_producers_up),
        cmocka_unit_test(several_blockers_are_counted),
        cmocka_unit_test(kernels_are_in_the_order_that_is_asked_for),
        cmocka_unit_test(it_fits_the_screen),
        cmocka_unit_test(what_an_engine_says_cannot_harm_a_terminal),
    };
    return cmocka_run_group_tests_name("top_view", tests, NULL, NULL);
}
