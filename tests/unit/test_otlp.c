// labels: threads
// OTLP: the queue of spans, the text of requests, what a collector answers, and an exporter without memory.
#include "nomem.h"
#include "watch/otlp.h"

#include "base/json_read.h"
#include "watch/otlp_text.h"
#include "watch/post.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
// after the above
#include <cmocka.h>

// ---- spans ----------------------------------------------------------------------------------------------------------

static void a_full_queue_drops_and_counts_and_goes_on(void **state)
{
    rki_spans *q = rki_spans_new(4);
    rki_span s;

    (void)state;
    for (uint64_t round = 0; round < 5; round++) {
        for (uint64_t i = 1; i <= 6; i++) {
            const rki_span one = { .id = round * 10 + i };

            assert_int_equal(rki_spans_put(q, &one), i <= 4);
        }
        assert_int_equal(rki_spans_dropped(q), 2 * (round + 1));
        for (uint64_t i = 1; i <= 4; i++) {
            assert_true(rki_spans_take(q, &s));
            assert_int_equal(s.id, round * 10 + i);
        }
        assert_false(rki_spans_take(q, &s));
    }
    rki_spans_free(q);
}

static int by_value(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static void no_id_comes_twice_and_none_is_zero(void **state)
{
    enum { N = 100000 };
    uint64_t *v = malloc(N * sizeof *v);
    rki_spans *q = rki_spans_new(2), *other = rki_spans_new(2);

    (void)state;
    assert_non_null(v);
    for (size_t i = 0; i < N; i++)
        v[i] = rki_spans_id(q);
    qsort(v, N, sizeof *v, by_value);
    assert_true(v[0] != 0);
    for (size_t i = 1; i < N; i++)
        assert_true(v[i] != v[i - 1]);
    assert_true(rki_spans_high(q) != 0 && rki_spans_high(q) != rki_spans_high(other));
    rki_spans_free(other);
    rki_spans_free(q);
    free(v);
}

// ---- text -----------------------------------------------------------------------------------------------------------

static const rki_otlp_resource somebody = {
    .pipeline = { "p\"1", 3 }, .instance = { "i", 1 }, .host = { NULL, 0 }, .version = "9", .pid = 7
};

static const rki_metric rows_row = { "x_rows_total", RKI_METRIC_COUNTER, RKI_METRIC_ROWS, "", "rows" };
static const rki_metric age_row = { "x_seconds", RKI_METRIC_GAUGE, RKI_METRIC_SECONDS, "", "age" };
static const rki_metric time_row = { "x_time_seconds", RKI_METRIC_HISTOGRAM, RKI_METRIC_SECONDS, "", "time" };

// All that is between the head and the end of a request.
static void metrics_are(const char *want, void (*emit)(rki_otlp_points *m), uint64_t points)
{
    static const char head[] = "{\"resourceMetrics\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\","
                               "\"value\":{\"stringValue\":\"p\\\"1\"}},"
                               "{\"key\":\"service.instance.id\",\"value\":{\"stringValue\":\"i\"}},{\"key\":\"process."
                               "pid\",\"value\":{\"intValue\":\"7\"}}]},"
                               "\"scopeMetrics\":[{\"scope\":{\"name\":\"rkpipe\",\"version\":\"9\"},\"metrics\":[";
    static const char end[] = "]}]}]}";
    rki_arena a;
    rki_otlp_points m;
    rki_buf b;

    rki_buf_init(&b);
    rki_arena_init(&a);
    rki_otlp_metrics_begin(&m, &b, &somebody, 1000, 2000);
    emit(&m);
    assert_int_equal(rki_otlp_metrics_end(&m), points);
    assert_false(b.failed);
    assert_non_null(rki_json_read(&a, (rkp_str){ b.p, b.n }));
    assert_true(b.n > sizeof head + sizeof end - 2);
    assert_memory_equal(b.p, head, sizeof head - 1);
    assert_memory_equal(b.p + b.n - (sizeof end - 1), end, sizeof end - 1);
    b.n -= sizeof end - 1;
    rki_putc(&b, 0);
    assert_string_equal(b.p + sizeof head - 1, want);
    rki_arena_fini(&a);
    rki_buf_fini(&b);
}

static void two_counters(rki_otlp_points *m)
{
    const rki_label a[] = { { RKP_STR("k"), RKP_STR("a\n") }, { RKP_STR("none"), RKP_STR("") } };
    const rki_label b[] = { { RKP_STR("k"), RKP_STR("\xff") } };

    rki_otlp_metrics_emit(m, &rows_row, rkp_str_of(rows_row.name), a, 2, 0x1p53);
    rki_otlp_metrics_emit(m, &rows_row, rkp_str_of(rows_row.name), b, 1, 1e30);
}

static void a_counter_is_a_sum_of_whole_numbers_as_strings(void **state)
{
    (void)state;
    metrics_are(
        "{\"name\":\"x_rows_total\",\"description\":\"rows\",\"unit\":\"{row}\",\"sum\":{\"aggregationTemporality\":2,"
        "\"isMonotonic\":true,\"dataPoints\":["
        "{\"attributes\":[{\"key\":\"k\",\"value\":{\"stringValue\":\"a\\n\"}}],\"startTimeUnixNano\":\"1000\","
        "\"timeUnixNano\":\"2000\",\"asInt\":\"9007199254740992\"},"
        "{\"attributes\":[{\"key\":\"k\",\"value\":{\"stringValue\":\"\xef\xbf\xbd\"}}],\"startTimeUnixNano\":\"1000\","
        "\"timeUnixNano\":\"2000\",\"asInt\":\"9223372036854775807\"}]}}",
        two_counters, 2);
}

static void odd_gauges(rki_otlp_points *m)
{
    static const double v[] = { 0.25, NAN, INFINITY, -INFINITY };

    for (size_t i = 0; i < 4; i++)
        rki_otlp_metrics_emit(m, &age_row, rkp_str_of(age_row.name), NULL, 0, v[i]);
}

static void numbers_that_json_does_not_have_are_words(void **state)
{
    (void)state;
    metrics_are("{\"name\":\"x_seconds\",\"description\":\"age\",\"unit\":\"s\",\"gauge\":{\"dataPoints\":["
                "{\"attributes\":[],\"timeUnixNano\":\"2000\",\"asDouble\":0.25},"
                "{\"attributes\":[],\"timeUnixNano\":\"2000\",\"asDouble\":\"NaN\"},"
                "{\"attributes\":[],\"timeUnixNano\":\"2000\",\"asDouble\":\"Infinity\"},"
                "{\"attributes\":[],\"timeUnixNano\":\"2000\",\"asDouble\":\"-Infinity\"}]}}",
                odd_gauges, 4);
}

static void two_histograms(rki_otlp_points *m)
{
    static rki_hist h;
    const rki_label l = { RKP_STR("k"), RKP_STR("a") };

    memset(&h, 0, sizeof h);
    rki_hist_add(&h, 5000, 3);          // 5 us
    rki_hist_add(&h, 2000000, 1);       // 2 ms
    rki_hist_add(&h, 1000000000000, 1); // 1,000 s: above all borders
    rki_emit_hist(rki_otlp_metrics_emit, m, &time_row, &l, 1, &h, 1e9);
    memset(&h, 0, sizeof h);
    rki_emit_hist(rki_otlp_metrics_emit, m, &time_row, NULL, 0, &h, 1e9);
}

#define BORDERS "\"explicitBounds\":[1e-05,3e-05,0.0001,0.0003,0.001,0.003,0.01,0.03,0.1,0.3,1,3,10,60,600]"

static void series_of_a_histogram_become_one_point(void **state)
{
    (void)state;
    metrics_are("{\"name\":\"x_time_seconds\",\"description\":\"time\",\"unit\":\"s\",\"histogram\":{"
                "\"aggregationTemporality\":2,\"dataPoints\":["
                "{\"attributes\":[{\"key\":\"k\",\"value\":{\"stringValue\":\"a\"}}],\"startTimeUnixNano\":\"1000\","
                "\"timeUnixNano\":\"2000\","
                "\"count\":\"5\",\"sum\":1000.002015,\"bucketCounts\":[\"3\",\"0\",\"0\",\"0\",\"0\",\"1\",\"0\",\"0\","
                "\"0\",\"0\",\"0\",\"0\",\"0\","
                "\"0\",\"0\",\"1\"]," BORDERS "},"
                "{\"attributes\":[],\"startTimeUnixNano\":\"1000\",\"timeUnixNano\":\"2000\",\"count\":\"0\",\"sum\":0."
                "0,\"bucketCounts\":[\"0\","
                "\"0\",\"0\",\"0\",\"0\",\"0\",\"0\",\"0\",\"0\",\"0\",\"0\",\"0\",\"0\",\"0\",\"0\",\"0\"]," BORDERS
                "}]}}",
                two_histograms, 2);
}

static void a_span_has_its_parent_and_hexadecimal_ids(void **state)
{
    const rki_span root = { .trace = 0xabc,
                            .id = 1,
                            .start_ns = 5,
                            .end_ns = UINT64_MAX,
                            .rows_out = 10,
                            .kernel = "a",
                            .op = "read.csv",
                            .part = "poll" };
    const rki_span next = { .trace = 0xabc,
                            .id = UINT64_MAX,
                            .parent = 1,
                            .start_ns = 6,
                            .end_ns = 7,
                            .rows_in = 10,
                            .kernel = "b",
                            .op = "write.null",
                            .replica = 3,
                            .sink = true,
                            .failed = true };
    rki_otlp_traces t;
    rki_buf b;

    (void)state;
    rki_buf_init(&b);
    rki_otlp_traces_begin(&t, &b, &somebody, 0x10);
    rki_otlp_traces_span(&t, &root);
    rki_otlp_traces_span(&t, &next);
    rki_otlp_traces_end(&t);
    rki_putc(&b, 0);
    assert_false(b.failed);
    assert_string_equal(
        strstr(b.p, "\"spans\":"),
        "\"spans\":[{\"traceId\":\"00000000000000100000000000000abc\",\"spanId\":\"0000000000000001\",\"flags\":257,"
        "\"name\":\"a\",\"kind\":1,"
        "\"startTimeUnixNano\":\"5\",\"endTimeUnixNano\":\"18446744073709551615\",\"attributes\":["
        "{\"key\":\"rkpipe.operator\",\"value\":{\"stringValue\":\"read.csv\"}},{\"key\":\"rkpipe.part\",\"value\":{"
        "\"stringValue\":\"poll\"}},"
        "{\"key\":\"rkpipe.replica\",\"value\":{\"intValue\":\"0\"}},{\"key\":\"rkpipe.rows_out\",\"value\":{"
        "\"intValue\":\"10\"}}],\"status\":{}},"
        "{\"traceId\":\"00000000000000100000000000000abc\",\"spanId\":\"ffffffffffffffff\",\"parentSpanId\":"
        "\"0000000000000001\",\"flags\":257,"
        "\"name\":\"b\",\"kind\":1,\"startTimeUnixNano\":\"6\",\"endTimeUnixNano\":\"7\",\"attributes\":["
        "{\"key\":\"rkpipe.operator\",\"value\":{\"stringValue\":\"write.null\"}},{\"key\":\"rkpipe.replica\","
        "\"value\":{\"intValue\":\"3\"}},"
        "{\"key\":\"rkpipe.rows_in\",\"value\":{\"intValue\":\"10\"}}],\"status\":{\"code\":2}}]}]}]}");
    rki_buf_fini(&b);
}

// ---- answers --------------------------------------------------------------------------------------------------------

static void an_answer_says_what_was_not_taken(void **state)
{
    static const struct {
        const char *answer;
        uint64_t n;
        const char *why;
    } cases[] = {
        { "", 0, "" },
        { "{}", 0, "" },
        { "{\"partialSuccess\":{}}", 0, "" },
        { "{\"partialSuccess\":null}", 0, "" },
        { "{\"partialSuccess\":{\"rejectedSpans\":\"12\",\"errorMessage\":\"too\\u0007many\"}}", 12, "too many" },
        { "{\"partialSuccess\":{\"rejectedDataPoints\":3}}", 3, "" },
        { "{\"partialSuccess\":{\"rejectedDataPoints\":\"0\",\"errorMessage\":\"old\"}}", 0, "old" },
        { "{\"partialSuccess\":{\"rejectedDataPoints\":\"-1\",\"errorMessage\":5}}", 0, "" },
        { "{\"partialSuccess\":{\"rejectedSpans\":{\"a\":[]}}}", 0, "" },
        { "{\"partialSuccess\":[1,2]}", 0, "" },
        { "{\"partialSuccess\":{\"errorMessage\":\"0123456789ab\xc3\xa4tail\"}}", 0, "0123456789ab" },
        { "<html>\xff", 0, "" },
        { "[[[[[[[[", 0, "" },
    };
    char why[14];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(rki_otlp_rejected(rkp_str_of(cases[i].answer), why, sizeof why), cases[i].n);
        assert_string_equal(why, cases[i].why);
    }
}

// ---- the exporter ---------------------------------------------------------------------------------------------------

static bool walk(void *arg, rki_emit emit, void *emit_arg)
{
    (void)arg;
    emit(emit_arg, &rows_row, rkp_str_of(rows_row.name), NULL, 0, 1);
    return true;
}

static void count(void *arg, const rki_metric *row, rkp_str name, const rki_label *labels, uint32_t n, double value)
{
    double *failed = arg;

    (void)name;
    if (row == &rki_metrics[RKI_M_OTLP_REQUESTS] && n == 2 && rkp_str_is(labels[1].value, "failed"))
        *failed += value;
}

static const rkp_pair pairs[] = { { { "a", 1, { 0 } }, { "b", 1, { 0 } } } };
static const rkp_pairs some = { pairs, 1, { 0 } };

static rki_otlp_args args_of(rki_spans *spans)
{
    return (rki_otlp_args){ .endpoint = RKP_STR("http://127.0.0.1:1/"), // nobody is there
                            .headers = &some,
                            .resource = &some,
                            .interval_ms = 10,
                            .timeout_ms = 1000,
                            .metrics = true,
                            .spans = spans,
                            .pipeline = RKP_STR("p"),
                            .version = "9",
                            .walk = walk,
                            .first_ms = 1,
                            .most_ms = 5 };
}

// Nothing waits for it: it ends in the time that its end has.
static void an_exporter_without_a_collector_ends(void **state)
{
    rki_spans *spans = rki_spans_new(16);
    const rki_span one = { .trace = 1, .id = 1, .kernel = "k", .op = "o" };
    rki_otlp_args args = args_of(spans);
    double failed = 0;
    char err[300];
    rki_otlp *x;

    (void)state;
    if (!rki_post_there(err)) {
        rki_spans_free(spans);
        print_message("skipped: %s\n", err);
        skip();
    }
    x = rki_otlp_new(&args, err, sizeof err);
    assert_non_null(x);
    assert_true(rki_otlp_start(x));
    assert_true(rki_spans_put(spans, &one));
    rki_otlp_end(x);
    rki_otlp_end(x);
    rki_otlp_metrics(x, count, &failed);
    assert_true(failed >= 2); // the last metrics and the span
    rki_otlp_free(x);
    rki_spans_free(spans);
}

static void an_exporter_without_memory_is_none(void **state)
{
    char err[300];
    rki_spans *spans;
    rki_otlp_args args;

    (void)state;
    if (!nomem_works())
        skip();
    if (!rki_post_there(err)) {
        print_message("skipped: %s\n", err);
        skip();
    }
    spans = rki_spans_new(16);
    args = args_of(spans);
    args.gzip = true;
    for (long n = 1;; n++) {
        rki_otlp *x;
        bool ended;

        nomem_at(n);
        x = rki_otlp_new(&args, err, sizeof err);
        ended = nomem_count() < n;
        nomem_at(0);
        assert_true(x || err[0]);
        rki_otlp_free(x);
        if (ended) {
            assert_non_null(x);
            break;
        }
    }
    rki_spans_free(spans);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_queue_drops_and_counts_and_goes_on),
        cmocka_unit_test(no_id_comes_twice_and_none_is_zero),
        cmocka_unit_test(a_counter_is_a_sum_of_whole_numbers_as_strings),
        cmocka_unit_test(numbers_that_json_does_not_have_are_words),
        cmocka_unit_test(series_of_a_histogram_become_one_point),
        cmocka_unit_test(a_span_has_its_parent_and_hexadecimal_ids),
        cmocka_unit_test(an_answer_says_what_was_not_taken),
        cmocka_unit_test(an_exporter_without_a_collector_ends),
        cmocka_unit_test(an_exporter_without_memory_is_none),
    };

    return cmocka_run_group_tests_name("otlp", tests, NULL, NULL);
}
