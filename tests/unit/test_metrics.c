// watch/metrics.h: the table keeps Prometheus' rules, any text survives the text format, histograms become buckets.
#include "watch/metrics.h"

#include "base/utf8.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

extern const rkp_op *const rkp_ops[];

static bool ends_with(const char *z, const char *end)
{
    size_t n = strlen(z), m = strlen(end);
    return n >= m && strcmp(z + n - m, end) == 0;
}

static void check_row(const rki_metric *m)
{
    static const char *const of_histograms[] = { "_bucket", "_sum", "_count" };
    assert_true(m->name[0] >= 'a' && m->name[0] <= 'z');
    assert_int_equal(strspn(m->name, "abcdefghijklmnopqrstuvwxyz0123456789_"), strlen(m->name));
    assert_true(strlen(m->name) < RKI_METRIC_NAME);
    if (ends_with(m->name, "_total") != (m->kind == RKI_METRIC_COUNTER))
        fail_msg("%s: counters, and nothing else, end with _total", m->name);
    for (size_t i = 0; i < 3; i++)
        assert_false(ends_with(m->name, of_histograms[i]));
    if (m->unit == RKI_METRIC_SECONDS || m->unit == RKI_METRIC_BYTES)
        if (!strstr(m->name, m->unit == RKI_METRIC_SECONDS ? "_seconds" : "_bytes"))
            fail_msg("%s: the unit is not in the name", m->name);
    assert_null(strstr(m->name, "__"));
    assert_true(m->help && *m->help);
    assert_true(m->help[strlen(m->help) - 1] != '.');
}

static void every_row_keeps_the_rules(void **state)
{
    (void)state;
    for (int i = 0; i < RKI_N_METRICS; i++) {
        check_row(&rki_metrics[i]);
        for (int k = 0; k < i; k++)
            assert_string_not_equal(rki_metrics[i].name, rki_metrics[k].name);
    }
    for (size_t o = 0; rkp_ops[o]; o++) {
        char name[RKI_METRIC_NAME], again[RKI_METRIC_NAME];
        rki_metric m, k;
        unsigned n = 0;
        for (; rki_metric_of_op(rkp_ops[o], n, name, &m); n++) {
            check_row(&m);
            assert_memory_equal(m.name, "rkpipe_", 7);
            for (int i = 0; i < RKI_N_METRICS; i++)
                assert_string_not_equal(m.name, rki_metrics[i].name);
            for (unsigned i = 0; i < n; i++) {
                assert_true(rki_metric_of_op(rkp_ops[o], i, again, &k));
                assert_string_not_equal(m.name, k.name);
            }
        }
        for (unsigned i = 0; i < 16 && rkp_ops[o]->metrics && rkp_ops[o]->metrics[i].name; i++)
            assert_true(i < n);
        assert_false(rki_metric_of_op(rkp_ops[o], n + 5, name, &m));
    }
}

static const rki_metric gauge = { "x_bytes", RKI_METRIC_GAUGE, RKI_METRIC_BYTES, "a b", "a \\ and\na \"b\"" };

static void a_family_is_written_as_the_format_wants_it(void **state)
{
    static const rki_metric other = { "y_total", RKI_METRIC_COUNTER, RKI_METRIC_COUNT, "", "things" };
    rki_label l[] = { { RKP_STR("a"), RKP_STR("1") }, { RKP_STR("b"), RKP_STR("x\\y\"z\nw") } };
    rki_buf b;
    rki_exposition x = { .out = &b };
    (void)state;
    rki_buf_init(&b);
    rki_exposition_emit(&x, &gauge, rkp_str_of(gauge.name), l, 2, 1.5);
    l[0].value = RKP_STR("");
    rki_exposition_emit(&x, &gauge, rkp_str_of(gauge.name), l, 2, 2);
    rki_exposition_emit(&x, &other, rkp_str_of(other.name), NULL, 0, 9007199254740991.0);
    rki_putc(&b, 0);
    assert_string_equal(b.p, "# HELP x_bytes A \\\\ and\\na \"b\".\n"
                             "# TYPE x_bytes gauge\n"
                             "x_bytes{a=\"1\",b=\"x\\\\y\\\"z\\nw\"} 1.5\n"
                             "x_bytes{b=\"x\\\\y\\\"z\\nw\"} 2\n"
                             "# HELP y_total Things.\n"
                             "# TYPE y_total counter\n"
                             "y_total 9007199254740991\n");
    rki_buf_fini(&b);
}

static void values_are_written_so_that_they_read_back(void **state)
{
    static const struct {
        double v;
        const char *text;
    } cases[] = {
        { 0, "0" },
        { 1, "1" },
        { -1, "-1" },
        { 0.25, "0.25" },
        { 1e21, "1e+21" },
        { 1e-7, "1e-07" },
        { NAN, "NaN" },
        { INFINITY, "+Inf" },
        { -INFINITY, "-Inf" },
        { 0.1, "0.1" },
        { 123456.789, "123456.789" },
        { 0x1p53, "9007199254740992" },
        { 1.7976931348623157e308, "1.7976931348623157e+308" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rki_buf b;
        rki_buf_init(&b);
        rki_put_sample_value(&b, cases[i].v);
        rki_putc(&b, 0);
        assert_string_equal(b.p, cases[i].text);
        if (!isnan(cases[i].v))
            assert_true(strtod(b.p, NULL) == cases[i].v);
        rki_buf_fini(&b);
    }
}

// What a reader of the format makes of `name{a="..."} v\n`: the value of the label.
static size_t read_label(const char *line, char *to)
{
    const char *p = strchr(line, '"') + 1;
    size_t n = 0;
    for (; *p != '"'; p++) {
        assert_true(*p != '\n' && *p != 0);
        if (*p == '\\') {
            p++;
            assert_true(*p == '\\' || *p == 'n' || *p == '"');
        }
        to[n++] = *p == 'n' && p[-1] == '\\' ? '\n' : *p;
    }
    assert_memory_equal(p, "\"} 1\n", 5);
    assert_int_equal(p[5], 0);
    return n;
}

static void any_bytes_in_a_label_come_back_or_are_replaced(void **state)
{
    static const rki_metric m = { "h", RKI_METRIC_GAUGE, RKI_METRIC_NONE, "a", "help" };
    static const char nasty[] = "\\\"\n\r\t{},=# \x7f\xc3\xa9\xff\xe2\x82\xf0\x9f\x98\x80\xed\xa0\x80";
    uint64_t seed = 88172645463325252u;
    (void)state;
    for (int round = 0; round < 20000; round++) {
        char value[40], want[256], got[256];
        size_t n, w = 0, g;
        rki_label l = { RKP_STR("a"), { value, 0 } };
        rki_buf b;
        rki_exposition x = { .out = &b, .row = &m };
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        n = 1 + seed % (sizeof value - 1);
        for (size_t i = 0; i < n; i++) {
            uint64_t r = (seed >> (i % 8 * 7)) ^ (seed * (i + 1));
            value[i] = r % 3 ? nasty[r / 3 % (sizeof nasty - 1)] : (char)(r >> 9);
        }
        l.value.n = n;
        for (size_t i = 0; i < n;) { // as it is, but what is not UTF-8
            uint32_t cp;
            size_t k = rki_utf8_next(value + i, value + n, &cp);
            memcpy(want + w, cp == RKI_UTF8_BAD ? "\xef\xbf\xbd" : value + i, cp == RKI_UTF8_BAD ? 3 : k);
            w += cp == RKI_UTF8_BAD ? 3 : k;
            i += k;
        }
        if (memchr(value, 0, n))
            continue; // the reader below works on strings
        rki_buf_init(&b);
        rki_exposition_emit(&x, &m, RKP_STR("h"), &l, 1, 1);
        rki_putc(&b, 0);
        assert_int_equal(strcspn(b.p, "\n"), b.n - 2); // one line
        g = read_label(b.p, got);
        assert_int_equal(g, w);
        assert_memory_equal(got, want, w);
        rki_buf_fini(&b);
    }
}

struct seen {
    double last, sum, count, inf;
    uint32_t buckets;
    char text[4096];
};

static void note(void *arg, const rki_metric *row, rkp_str name, const rki_label *l, uint32_t n, double v)
{
    struct seen *s = arg;
    assert_true(row->kind == RKI_METRIC_HISTOGRAM);
    assert_memory_equal(l[0].name.p, "kernel", 6);
    if (rkp_str_is(name, "lat_seconds_bucket")) {
        assert_int_equal(n, 2);
        assert_true(rkp_str_is(l[1].name, "le"));
        assert_true(v >= s->last);
        s->last = v;
        s->buckets++;
        if (rkp_str_is(l[1].value, "+Inf"))
            s->inf = v;
    } else if (rkp_str_is(name, "lat_seconds_sum")) {
        s->sum = v;
    } else {
        assert_true(rkp_str_is(name, "lat_seconds_count"));
        assert_int_equal(n, 1);
        s->count = v;
    }
}

static void a_histogram_becomes_buckets_a_sum_and_a_count(void **state)
{
    static const rki_metric m = { "lat_seconds", RKI_METRIC_HISTOGRAM, RKI_METRIC_SECONDS, "kernel", "latency" };
    rki_label l = { RKP_STR("kernel"), RKP_STR("k") };
    rki_hist *h = calloc(1, sizeof *h);
    struct seen s = { 0 };
    (void)state;
    assert_non_null(h);
    for (uint64_t i = 1; i <= 1000; i++)
        rki_hist_add(h, i * 1000000, 1); // 1 ms .. 1 s
    rki_emit_hist(note, &s, &m, &l, 1, h, 1e9);
    assert_int_equal(s.buckets, 16);
    assert_float_equal(s.count, 1000, 0);
    assert_float_equal(s.inf, 1000, 0);
    assert_float_equal(s.sum, 500.5, 1e-9);
    free(h);
}

static void the_process_has_cpu_memory_and_files(void **state)
{
    rki_process p;
    (void)state;
    rki_process_read(&p);
    assert_true(p.cpu_seconds >= 0);
    assert_true(p.resident_bytes > 100000 && p.virtual_bytes >= p.resident_bytes);
    assert_true(p.fds >= 1 && p.fds < 1000);
    assert_true(p.start_seconds > 1e9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_keeps_the_rules),
        cmocka_unit_test(a_family_is_written_as_the_format_wants_it),
        cmocka_unit_test(values_are_written_so_that_they_read_back),
        cmocka_unit_test(any_bytes_in_a_label_come_back_or_are_replaced),
        cmocka_unit_test(a_histogram_becomes_buckets_a_sum_and_a_count),
        cmocka_unit_test(the_process_has_cpu_memory_and_files),
    };
    return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
