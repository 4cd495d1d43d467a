// sort: order of every type, nulls, stability; the same answer whether runs stay in memory or go to a file, against a
// naive insertion sort.
#include "fake_op.h"
#include "nomem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

extern const rkp_op rkp_op_sort;

static uint64_t seed = 88172645463325252u;

static uint32_t rnd(uint32_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)((seed >> 33) % n);
}

static void every_type_has_an_order(void **state)
{
    static const struct {
        const char *schema, *in, *want;
    } cases[] = {
        { "x i64?", "3\n-1\n\n9223372036854775807\n0\n-9223372036854775808\n",
          "-9223372036854775808\n-1\n0\n3\n9223372036854775807\nnull\n" },
        { "x u64?", "3\n18446744073709551615\n0\n", "0\n3\n18446744073709551615\n" },
        { "x i8", "5\n-128\n127\n-1\n0\n", "-128\n-1\n0\n5\n127\n" },
        { "x i16", "5\n-300\n300\n-1\n0\n", "-300\n-1\n0\n5\n300\n" },
        { "x i32", "5\n-70000\n70000\n-1\n0\n", "-70000\n-1\n0\n5\n70000\n" },
        { "x u8", "5\n255\n0\n128\n", "0\n5\n128\n255\n" },
        { "x u16", "5\n65535\n0\n256\n", "0\n5\n256\n65535\n" },
        { "x u32", "5\n4294967295\n0\n256\n", "0\n5\n256\n4294967295\n" },
        { "x f64?", "1.5\nnan\n-inf\n\n0.0\n-2.5\ninf\n1e-300\n", "-inf\n-2.5\n0.0\n1e-300\n1.5\ninf\nnan\nnull\n" },
        { "x f32", "1.5\n-1.5\n0.25\n", "-1.5\n0.25\n1.5\n" },
        { "x bool?", "true\nfalse\n\ntrue\n", "false\ntrue\ntrue\nnull\n" },
        { "x timestamp", "2024-01-02T00:00:00Z\n1969-01-01T00:00:00Z\n2024-01-01T12:00:00Z\n",
          "1969-01-01T00:00:00Z\n2024-01-01T12:00:00Z\n2024-01-02T00:00:00Z\n" },
        { "x string?", "b\n\nab\na\n''\naa\nB\n\xc3\xa9\nz\n", "\nB\na\naa\nab\nb\nz\n\xc3\xa9\nnull\n" },
        { "x string",
          "a prefix that is long enough 2\na prefix that is long enough 1\na prefix that is lon\n"
          "a prefix that is long enough 10\n",
          "a prefix that is lon\na prefix that is long enough 1\na prefix that is long enough 10\n"
          "a prefix that is long enough 2\n" },
        { "x bytes", "b\na\n", "a\nb\n" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        op_expect(&rkp_op_sort, "by: x", cases[i].schema, cases[i].in, cases[i].want);
}

static void descending_turns_the_order_but_not_the_nulls(void **state)
{
    (void)state;
    op_expect(&rkp_op_sort, "by: { column: x, order: desc }", "x i64?", "1\n\n3\n2\n", "3\n2\n1\nnull\n");
    op_expect(&rkp_op_sort, "by: { column: x, order: desc, nulls: first }", "x i64?", "1\n\n3\n2\n", "null\n3\n2\n1\n");
    op_expect(&rkp_op_sort, "by: { column: x, nulls: first }", "x i64?", "1\n\n3\n2\n", "null\n1\n2\n3\n");
    op_expect(&rkp_op_sort, "by: { column: x, order: desc }", "x string?", "a\n\nab\nb\n''\n", "b\nab\na\n\nnull\n");
    op_expect(&rkp_op_sort, "by: { column: x, order: desc }", "x f64", "1.0\nnan\n-1.0\n", "nan\n1.0\n-1.0\n");
    op_expect(&rkp_op_sort, "by: { column: x, order: desc }", "x bool", "true\nfalse\ntrue\n", "true\ntrue\nfalse\n");
}

static void equal_keys_keep_their_order(void **state)
{
    (void)state;
    op_expect(&rkp_op_sort, "by: x", "x i64, y string", "2|a\n1|b\n2|c\n1|d\n2|e\n", "1|b\n1|d\n2|a\n2|c\n2|e\n");
    op_expect(&rkp_op_sort, "by: { column: x, order: desc }", "x i64, y string", "2|a\n1|b\n2|c\n1|d\n2|e\n",
              "2|a\n2|c\n2|e\n1|b\n1|d\n");
    op_expect(&rkp_op_sort, "by: x", "x f64, y string", "0.0|a\n-0.0|b\n0.0|c\n", "0.0|a\n-0.0|b\n0.0|c\n");
}

static void the_second_key_decides_where_the_first_is_equal(void **state)
{
    static const char in[] = "a|2|9\nb|1|8\na|1|7\n|5|6\nb||5\na|2|4\n";

    (void)state;
    op_expect(&rkp_op_sort, "by: [s, n]", "s string?, n i64?, r i64", in,
              "a|1|7\na|2|9\na|2|4\nb|1|8\nb|null|5\nnull|5|6\n");
    op_expect(&rkp_op_sort, "by: [{ column: s, order: desc }, { column: n, nulls: first }]", "s string?, n i64?, r i64",
              in, "b|null|5\nb|1|8\na|1|7\na|2|9\na|2|4\nnull|5|6\n");
    op_expect(&rkp_op_sort, "by: [n, s, { column: r }]", "s string?, n i64?, r i64", in,
              "a|1|7\nb|1|8\na|2|4\na|2|9\nnull|5|6\nb|null|5\n");
}

static void the_first_rows_are_enough_with_a_limit(void **state)
{
    (void)state;
    op_expect(&rkp_op_sort, "{ by: x, limit: 2 }", "x i64", "3\n1\n2\n", "1\n2\n");
    op_expect(&rkp_op_sort, "{ by: x, limit: 9 }", "x i64", "3\n1\n2\n", "1\n2\n3\n");
    op_expect(&rkp_op_sort, "{ by: x }", "x i64", "", "");
}

static void wrong_options_are_refused(void **state)
{
    (void)state;
    op_refuses(&rkp_op_sort, "by: y", "x i64", "no column 'y'");
    op_refuses(&rkp_op_sort, "by: []", "x i64", "[sort-empty]");
    op_refuses(&rkp_op_sort, "by: x", "x f32[3]", "[sort-type]");
    op_refuses(&rkp_op_sort, "limit: 3", "x i64", "by");
    op_refuses(&rkp_op_sort, "by: { column: x, order: up }", "x i64", "up");
}

static void rows_with_a_wrong_key_are_rejected_and_other_columns_are_not_read(void **state)
{
    struct op_run run;

    (void)state;
    op_open(&run, (fake_conf){ .op = &rkp_op_sort, .with = "by: x", .on_error = FAKE_DROP }, "x i64?, y i64?", OP_TEXT);
    op_feed(&run, "3|30\noops|40\n1|010\n2|20.50\n", 2);
    assert_int_equal(fake_end(run.f), RKP_DONE);
    assert_int_equal(run.f->n_rejects, 1);
    assert_int_equal(run.f->rejects[0].code, RKP_ROW_PARSE);
    assert_int_equal(run.f->emitted[0], 3);
    assert_int_equal(run.f->n_out, 1);
    assert_int_equal(run.f->out[0].b->cols[1].rep, RKP_TEXT);
    for (uint32_t i = 0; i < 3; i++) {
        static const char *const want[] = { "010", "20.50", "30" };
        rkp_str got = rkp_col_raw(&run.f->out[0].b->cols[1], i);

        assert_true(rkp_str_is(got, want[i]));
    }
    op_close(&run);
}

static void text_and_values_may_come_in_turns(void **state)
{
    (void)state;
    for (int first = 0; first < 2; first++)
        for (uint64_t limit = 0; limit < 20000; limit += 10000) {
            struct op_run run;

            op_open(&run, (fake_conf){ .op = &rkp_op_sort, .with = "by: x", .state_limit = limit },
                    "x i64, y f64?, z string?", OP_FLAT);
            for (int i = 0; i < 50; i++) {
                char lines[64];

                run.form = i % 2 == first ? OP_TEXT : OP_FLAT;
                snprintf(lines, sizeof lines, "%d|%d.5|t%d\n%d||\n", 49 - i, i, i, 50 + i);
                op_feed(&run, lines, 0);
            }
            assert_int_equal(fake_end(run.f), RKP_DONE);
            assert_int_equal(run.f->emitted[0], 100);
            assert_non_null(strstr(fake_rows(run.f, 0), "0|49.5|t49\n1|48.5|t48\n2|47.5|t47\n"));
            assert_non_null(strstr(fake_rows(run.f, 0), "\n98|null|null\n99|null|null\n"));
            op_close(&run);
        }
}

// ---- against a naive sort -------------------------------------------------------------------------------------------

struct row {
    char s[40], b[8];
    bool s_null, n_null, f_null;
    int64_t n;
    double f;
    uint32_t id;
};

struct spec {
    char with[256];
    int col[3]; // 0 s, 1 n, 2 f
    bool desc[3], first[3];
    int n;
};

static int compare_rows(const struct spec *s, const struct row *x, const struct row *y)
{
    for (int k = 0; k < s->n; k++) {
        bool nx = s->col[k] == 0 ? x->s_null : s->col[k] == 1 ? x->n_null : x->f_null;
        bool ny = s->col[k] == 0 ? y->s_null : s->col[k] == 1 ? y->n_null : y->f_null;
        int c;

        if (nx || ny) {
            if (nx && ny)
                continue;
            return nx == s->first[k] ? -1 : 1;
        }
        if (s->col[k] == 0)
            c = strcmp(x->s, y->s);
        else if (s->col[k] == 1)
            c = x->n < y->n ? -1 : x->n > y->n;
        else
            c = x->f < y->f ? -1 : x->f > y->f;
        if (c)
            return s->desc[k] ? -c : c;
    }
    return 0;
}

static void merge_sort(const struct spec *s, struct row *v, struct row *tmp, uint32_t n)
{
    uint32_t h = n / 2, i = 0, j = h, k = 0;

    if (n < 2)
        return;
    merge_sort(s, v, tmp, h);
    merge_sort(s, v + h, tmp, n - h);
    while (i < h && j < n)
        tmp[k++] = compare_rows(s, &v[j], &v[i]) < 0 ? v[j++] : v[i++];
    while (i < h)
        tmp[k++] = v[i++];
    while (j < n)
        tmp[k++] = v[j++];
    memcpy(v, tmp, n * sizeof *v);
}

static void make_spec(struct spec *s)
{
    static const char *const names[] = { "s", "n", "f" };
    char *to = s->with;

    s->n = 1 + (int)rnd(3);
    to += sprintf(to, "by: [");
    for (int k = 0; k < s->n; k++) {
        s->col[k] = (int)rnd(3);
        s->desc[k] = rnd(2);
        s->first[k] = rnd(2);
        to += sprintf(to, "%s{ column: %s, order: %s, nulls: %s }", k ? ", " : "", names[s->col[k]],
                      s->desc[k] ? "desc" : "asc", s->first[k] ? "first" : "last");
    }
    sprintf(to, "]");
}

static struct row make_row(uint32_t id, uint32_t spread)
{
    static const char *const stems[] = { "", "k", "a stem of 18 bytes", "another" };
    struct row r = { .id = id };

    r.s_null = rnd(10) == 0;
    r.n_null = rnd(10) == 0;
    r.f_null = rnd(10) == 0;
    snprintf(r.s, sizeof r.s, "%s%u", stems[rnd(4)], rnd(spread));
    r.n = (int64_t)rnd(spread) - (int64_t)(spread / 2);
    r.f = ((double)rnd(spread) - spread / 2.0) / 4;
    snprintf(r.b, sizeof r.b, "%s", rnd(2) ? "true" : "false");
    return r;
}

static char *print_rows(const struct row *v, uint32_t n, const char *null)
{
    char *text = malloc((size_t)n * 100 + 1), *to = text;

    assert_non_null(text);
    *to = 0;
    for (uint32_t i = 0; i < n; i++) {
        to += v[i].s_null ? sprintf(to, "%s|", null) : sprintf(to, "%s|", v[i].s);
        to += v[i].n_null ? sprintf(to, "%s|", null) : sprintf(to, "%lld|", (long long)v[i].n);
        if (v[i].f_null)
            to += sprintf(to, "%s|", null);
        else
            to += sprintf(to, (double)(int64_t)v[i].f == v[i].f ? "%.1f|" : "%.15g|", v[i].f);
        to += sprintf(to, "%s|%u\n", v[i].b, v[i].id);
    }
    return text;
}

static void the_answer_is_that_of_a_naive_sort_in_memory_and_in_files(void **state)
{
    (void)state;
    for (int round = 0; round < 40; round++) {
        uint32_t n = rnd(4) ? rnd(3000) : rnd(40), spread = rnd(2) ? 50 : 100000;
        uint64_t limit = rnd(2) ? 0 : 30000 + rnd(200000);
        struct row *v = malloc((n + 1) * sizeof *v), *tmp = malloc((n + 1) * sizeof *tmp);
        struct spec s;
        struct op_run run;
        char *in, *want;

        assert_true(v && tmp);
        make_spec(&s);
        for (uint32_t i = 0; i < n; i++)
            v[i] = make_row(i, spread);
        in = print_rows(v, n, "");
        merge_sort(&s, v, tmp, n);
        want = print_rows(v, n, "null");
        op_open(&run, (fake_conf){ .op = &rkp_op_sort, .with = s.with, .state_limit = limit },
                "s string?, n i64?, f f64?, b bool, id u32", (enum op_form)rnd(OP_FORMS));
        assert_int_equal(run.f->st, RKP_OK);
        op_feed(&run, in, 1 + rnd(300));
        assert_int_equal(fake_end(run.f), RKP_DONE);
        if (strcmp(fake_rows(run.f, 0), want) != 0)
            fail_msg("round %d, %u rows, limit %llu: %s", round, n, (unsigned long long)limit, s.with);
        if (limit && n > 2500)
            assert_true(run.f->counts[0] > 1);
        op_close(&run);
        free(in);
        free(want);
        free(v);
        free(tmp);
    }
}

static void a_limit_gives_the_first_rows_of_the_whole_order(void **state)
{
    enum { N = 80000 };
    struct row *v = malloc(N * sizeof *v), *tmp = malloc(N * sizeof *tmp);
    struct spec s = {
        .with = "{ by: [n, { column: f, order: desc }], limit: 1000 }", .n = 2, .col = { 1, 2 }, .desc = { false, true }
    };
    char *in, *want;

    (void)state;
    assert_true(v && tmp);
    for (uint32_t i = 0; i < N; i++)
        v[i] = make_row(i, 5000);
    in = print_rows(v, N, "");
    merge_sort(&s, v, tmp, N);
    want = print_rows(v, 1000, "null");
    for (int small = 0; small < 2; small++) {
        struct op_run run;

        op_open(&run, (fake_conf){ .op = &rkp_op_sort, .with = s.with, .state_limit = small ? 200000 : 0 },
                "s string?, n i64?, f f64?, b bool, id u32", OP_FLAT);
        op_feed(&run, in, 5000);
        assert_int_equal(fake_end(run.f), RKP_DONE);
        assert_string_equal(fake_rows(run.f, 0), want);
        assert_int_equal(fake_dropped(run.f, "limit"), N - 1000);
        op_close(&run);
    }
    free(in);
    free(want);
    free(v);
    free(tmp);
}

static void arrays_and_long_texts_come_through_a_file(void **state)
{
    enum { ROWS = 200 };
    struct op_run run;
    rkp_batch *b;
    float *values;
    uint16_t *more;
    rkp_str texts[ROWS], raw;
    static char text[ROWS][300];
    uint32_t seen = 0;

    (void)state;
    op_open(&run, (fake_conf){ .op = &rkp_op_sort, .with = "by: id", .state_limit = 20000 },
            "id i64, v f32[5], m u16[3], t string", OP_FLAT);
    for (int64_t part = 0; part < 10; part++) {
        int64_t *ids;

        b = rkp_batch_new(run.f->pool, &run.schema, 4, 4096);
        assert_non_null(b);
        b->rows = ROWS;
        ids = rkp_batch_alloc(b, ROWS * 8);
        values = rkp_batch_alloc(b, ROWS * 5 * 4);
        more = rkp_batch_alloc(b, ROWS * 3 * 2);
        for (uint32_t i = 0; i < ROWS; i++) {
            int64_t id = ids[i] = (int64_t)((i * 7919u + (uint64_t)part * 131u) % ROWS) * 10 + part;

            for (uint32_t k = 0; k < 5; k++)
                values[i * 5 + k] = (float)(id * 10 + k);
            for (uint32_t k = 0; k < 3; k++)
                more[i * 3 + k] = (uint16_t)(id + k);
            memset(text[i], 'x', (size_t)(id % 290));
            texts[i] = (rkp_str){ text[i], (size_t)(id % 290) };
        }
        rkp_col_set_values(b, 0, run.schema.f[0].type, ids, NULL, ROWS);
        rkp_col_set_values(b, 1, run.schema.f[1].type, values, NULL, ROWS);
        rkp_col_set_values(b, 2, run.schema.f[2].type, more, NULL, ROWS);
        assert_int_equal(rkp_col_set_strs(b, 3, run.schema.f[3].type, texts, ROWS), RKP_OK);
        assert_int_equal(fake_feed(run.f, 0, b), RKP_DONE);
    }
    assert_int_equal(fake_end(run.f), RKP_DONE);
    assert_true(run.f->counts[0] > 1);
    for (size_t o = 0; o < run.f->n_out; o++) {
        b = run.f->out[o].b;
        for (uint32_t i = 0; i < b->rows; i++, seen++) {
            assert_int_equal(((const int64_t *)b->cols[0].values)[i], seen);
            for (uint32_t k = 0; k < 5; k++)
                assert_true(((const float *)b->cols[1].values)[i * 5 + k] == (float)(seen * 10 + k));
            for (uint32_t k = 0; k < 3; k++)
                assert_int_equal(((const uint16_t *)b->cols[2].values)[i * 3 + k], seen + k);
            raw = rkp_view_str(&b->cols[3], i);
            assert_int_equal(raw.n, seen % 290);
        }
    }
    assert_int_equal(seen, ROWS * 10);
    op_close(&run);
}

static void memory_stays_near_the_share(void **state)
{
    enum { N = 30000 };
    struct op_run run;

    (void)state;
    op_open(&run, (fake_conf){ .op = &rkp_op_sort, .with = "by: x", .state_limit = 100000 }, "x i64, y string",
            OP_FLAT);
    for (uint32_t i = 0; i < N; i += 100) {
        char lines[100 * 32], *to = lines;

        for (uint32_t k = 0; k < 100; k++)
            to += sprintf(to, "%u|text%u\n", rnd(1000000), k);
        op_feed(&run, lines, 0);
        assert_true(run.f->state_used <= 100000);
    }
    assert_int_equal(fake_end(run.f), RKP_DONE);
    assert_int_equal(run.f->emitted[0], N);
    assert_true(run.f->counts[0] >= 10);
    op_close(&run);
}

static void every_allocation_may_fail(void **state)
{
    char lines[400 * 24], *to = lines;

    (void)state;
    if (!nomem_works())
        skip();
    for (uint32_t k = 0; k < 400; k++)
        to += sprintf(to, "%u|some text %u\n", rnd(1000), k);
    for (uint64_t limit = 0; limit <= 20000; limit += 20000)
        for (long n = 1;; n++) {
            struct op_run run;
            rkp_batch *a, *b;
            bool done;

            op_open(&run,
                    (fake_conf){ .op = &rkp_op_sort, .with = "by: [y, x]", .state_limit = limit, .no_init = true },
                    "x i64, y string?", OP_FLAT);
            op_close(&run);
            op_open(&run, (fake_conf){ .op = &rkp_op_sort, .with = "by: [y, x]", .state_limit = limit },
                    "x i64, y string?", OP_FLAT);
            a = op_batch(&run, lines);
            b = op_batch(&run, lines);
            nomem_at(n);
            if (fake_feed(run.f, 0, a) != RKP_FAIL && fake_feed(run.f, 0, rkp_batch_get(b)) != RKP_FAIL)
                fake_end(run.f);
            done = nomem_count() < n;
            nomem_at(0);
            rkp_batch_put(b);
            if (run.f->verdict != RKP_FAIL)
                assert_int_equal(run.f->emitted[0], 800);
            op_close(&run);
            if (done)
                break;
        }
}

static void the_examples_are_true(void **state)
{
    (void)state;
    op_examples(&rkp_op_sort);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_has_an_order),
        cmocka_unit_test(descending_turns_the_order_but_not_the_nulls),
        cmocka_unit_test(equal_keys_keep_their_order),
        cmocka_unit_test(the_second_key_decides_where_the_first_is_equal),
        cmocka_unit_test(the_first_rows_are_enough_with_a_limit),
        cmocka_unit_test(wrong_options_are_refused),
        cmocka_unit_test(rows_with_a_wrong_key_are_rejected_and_other_columns_are_not_read),
        cmocka_unit_test(text_and_values_may_come_in_turns),
        cmocka_unit_test(the_answer_is_that_of_a_naive_sort_in_memory_and_in_files),
        cmocka_unit_test(a_limit_gives_the_first_rows_of_the_whole_order),
        cmocka_unit_test(arrays_and_long_texts_come_through_a_file),
        cmocka_unit_test(memory_stays_near_the_share),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(the_examples_are_true),
    };

    return cmocka_run_group_tests_name("sort", tests, NULL, NULL);
}
