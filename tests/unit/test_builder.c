// Tests of the builder of rkpipe/batch.h.
#include "data/batch.h"
#include "data/text.h"
#include "nomem.h"
#include "pool_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const rkp_field fields[] = {
    { { "id", 2 }, { .kind = RKP_I64 } },
    { { "flag", 4 }, { .kind = RKP_BOOL, .nullable = 1 } },
    { { "price", 5 }, { .kind = RKP_F64, .nullable = 1 } },
    { { "name", 4 }, { .kind = RKP_STRING, .nullable = 1 } },
    { { "pair", 4 }, { .kind = RKP_I16, .len = 2 } },
};
enum { COLS = 5 };
static const rkp_schema schema = { COLS, fields };

// Row i of the made up data as CSV text; "" is null.
static void row_text(uint32_t i, char to[COLS][64])
{
    sprintf(to[0], "%u", i);
    sprintf(to[1], "%s", i % 3 == 0 ? "" : i % 3 == 1 ? "true" : "false");
    sprintf(to[2], "%s", "");
    if (i % 5)
        sprintf(to[2], "%u.%u0", i * 3, i % 10); // with a zero that a number would lose
    sprintf(to[3], "%.*s", (int)(i % 29), "names of all lengths up to 28");
    sprintf(to[4], "\"[%u, -%u]\"", i % 1000, i % 7);
}

static const rkp_str nulls[] = { { "", 0 } };

// Rows [from, from + n) as CSV text in a batch.
static rkp_batch *csv(rkp_pool *p, uint32_t from, uint32_t n)
{
    rkp_batch *b = rkp_batch_new(p, &schema, COLS, 0);
    uint32_t *pos = b ? rkp_batch_alloc(b, ((size_t)n * COLS + 1) * sizeof *pos) : NULL;
    char *base = b ? rkp_batch_alloc(b, (size_t)n * 128 + 1) : NULL;
    rkp_text *t = b ? rkp_batch_alloc(b, sizeof *t) : NULL;
    size_t at = 0, k = 0;

    if (!pos || !base || !t) {
        rkp_batch_put(b);
        return NULL;
    }
    base[at++] = '\n';
    pos[k++] = 0;
    for (uint32_t i = 0; i < n; i++) {
        char row[COLS][64];

        row_text(from + i, row);
        for (int c = 0; c < COLS; c++) {
            memcpy(base + at, row[c], strlen(row[c]));
            at += strlen(row[c]);
            pos[k++] = (uint32_t)at;
            base[at++] = c + 1 < COLS ? ',' : '\n';
        }
    }
    *t = (rkp_text){ .base = base,
                     .len = (uint32_t)at,
                     .kind = RKP_TEXT_CSV,
                     .quote = '"',
                     .delim = ',',
                     .utf8 = true,
                     .nulls = nulls,
                     .n_nulls = 1 };
    for (uint32_t c = 0; c < COLS; c++)
        b->cols[c] = (rkp_col){
            .type = fields[c].type, .rep = RKP_TEXT, .stride = COLS, .pos = pos + c, .text = t, .last = c + 1 == COLS
        };
    b->rows = n;
    return b;
}

static rkp_batch *flat(rkp_pool *p, uint32_t from, uint32_t n)
{
    rkp_batch *b = csv(p, from, n);

    for (uint32_t c = 0; b && c < COLS; c++) {
        rkp_col out;

        if (rkp_col_flat(b, b, c, NULL, n, &out, NULL) != RKP_OK) {
            rkp_batch_put(b);
            return NULL;
        }
        b->cols[c] = out;
    }
    return b;
}

// Row r of b must be row i of the data.  `text`: fields must have kept their text.
static void check_row(rkp_batch *mem, const rkp_batch *b, uint32_t r, uint32_t i, bool text)
{
    char want[COLS][64];

    row_text(i, want);
    for (uint32_t c = 0; c < COLS; c++) {
        const char *w = want[c];
        size_t n = strlen(w);
        rkp_col one, as;
        rkp_str s;

        if (w[0] == '"') {
            w++;
            n -= 2;
        }
        if (text) {
            assert_int_equal(b->cols[c].rep, RKP_TEXT);
            s = rkp_col_raw(&b->cols[c], r);
            assert_int_equal(s.p == NULL, n == 0);
            assert_int_equal(s.n, n);
            assert_true(n == 0 || memcmp(s.p, w, n) == 0);
        }
        assert_int_equal(rkp_col_flat(mem, b, c, &r, 1, &one, NULL), RKP_OK);
        assert_int_equal(rkp_col_is_null(&one, 0), n == 0);
        if (n == 0)
            continue;
        assert_int_equal(rkp_col_cast(mem, &one, 1, RKP_TYPE(RKP_STRING), &as, NULL), RKP_OK);
        s = rkp_view_str(&as, 0);
        if (c == 0 || c == 1 || c == 3) {
            assert_int_equal(s.n, n);
            assert_memory_equal(s.p, w, n);
        } else if (c == 2) {
            char number[64];

            snprintf(number, sizeof number, "%.*s", (int)s.n, s.p);
            assert_true(strtod(number, NULL) == strtod(want[2], NULL));
        } else {
            const int16_t *pair = one.values;

            assert_int_equal(pair[0], i % 1000);
            assert_int_equal(pair[1], -(int)(i % 7));
        }
    }
}

static void check(rkp_pool *p, bool keep, bool first_flat, bool then_flat)
{
    enum { A = 2500, B = 1300 };
    rkp_builder *w = rkp_builder_new(p, &schema);
    rkp_batch *a = first_flat ? flat(p, 0, A) : csv(p, 0, A), *b = then_flat ? flat(p, A, B) : csv(p, A, B), *out;
    rkp_batch *mem = rkp_batch_new(p, NULL, 0, 0), *part;
    rkp_errs errs = { 0 };
    uint32_t rows[B];

    for (uint32_t i = 0; i < B; i++)
        rows[i] = (i * 37) % B;
    if (keep)
        rkp_builder_keep_text(w);
    assert_int_equal(rkp_builder_add(w, a, NULL, A, &errs), RKP_OK);
    assert_int_equal(rkp_builder_add(w, b, rows, B, &errs), RKP_OK);
    part = rkp_batch_pick(b, rows, 7); // through a selection
    assert_int_equal(rkp_builder_add(w, part, (const uint32_t[]){ 6, 0 }, 2, &errs), RKP_OK);
    assert_int_equal(errs.n, 0);
    rkp_batch_put(a);
    rkp_batch_put(b);
    rkp_batch_put(part);
    assert_int_equal(rkp_builder_rows(w), A + B + 2);
    assert_true(rkp_builder_bytes(w) > 0);
    out = rkp_builder_finish(w);
    assert_int_equal(rkp_builder_bytes(w), 0);
    assert_int_equal(rkp_builder_rows(w), 0);
    assert_int_equal(out->rows, A + B + 2);
    for (uint32_t i = 0; i < A; i += 11)
        check_row(mem, out, i, i, keep && !first_flat);
    for (uint32_t i = 0; i < B; i += 7)
        check_row(mem, out, A + i, A + rows[i], keep && !first_flat && !then_flat);
    check_row(mem, out, A + B, A + rows[6], false);
    check_row(mem, out, A + B + 1, A + rows[0], false);
    for (uint32_t c = 0; c < COLS; c++)
        assert_int_equal(out->cols[c].rep, keep && !first_flat ? RKP_TEXT : RKP_FLAT);
    rkp_errs_fini(&errs);
    rkp_batch_put(out);
    // Empty again, and of use again.
    a = csv(p, 5, 1);
    assert_int_equal(rkp_builder_add(w, a, NULL, 1, NULL), RKP_OK);
    out = rkp_builder_finish(w);
    check_row(mem, out, 0, 5, keep);
    rkp_batch_put(a);
    rkp_batch_put(out);
    rkp_batch_put(mem);
    rkp_builder_free(w);
}

static void rows_of_batches_are_joined(void **state)
{
    for (int how = 0; how < 8; how++)
        check(*state, how & 1, how & 2, how & 4);
}

static void nothing_gives_an_empty_batch(void **state)
{
    rkp_builder *w = rkp_builder_new(*state, &schema);
    rkp_batch *b = csv(*state, 0, 3), *out;

    rkp_builder_keep_text(w);
    assert_int_equal(rkp_builder_add(w, b, NULL, 0, NULL), RKP_OK);
    out = rkp_builder_finish(w);
    assert_int_equal(out->rows, 0);
    for (uint32_t c = 0; c < COLS; c++) {
        assert_int_equal(out->cols[c].type.kind, fields[c].type.kind);
        assert_non_null(out->cols[c].values);
    }
    rkp_batch_put(out);
    rkp_batch_put(b);
    rkp_builder_free(w);
    rkp_builder_free(NULL);
}

static void wrong_rows_are_left_out_and_told_once(void **state)
{
    static const rkp_field two[] = { { { "a", 1 }, { .kind = RKP_I64 } }, { { "b", 1 }, { .kind = RKP_F64 } } };
    static const rkp_schema s = { 2, two };
    enum { ROWS = 3000 };
    rkp_batch *b = rkp_batch_new(*state, &s, 2, 0), *out;
    uint32_t *pos = rkp_batch_alloc(b, (ROWS * 2 + 1) * sizeof *pos), k = 0, e = 0, good = 0;
    char *base = rkp_batch_alloc(b, ROWS * 32);
    rkp_text t = { .base = base, .kind = RKP_TEXT_CSV, .quote = '"' };
    rkp_builder *w = rkp_builder_new(*state, &s);
    rkp_errs errs = { 0 };

    base[t.len++] = '\n';
    pos[k++] = 0;
    for (uint32_t i = 0; i < ROWS; i++) { // a is wrong in every 10th row, b in every 15th
        t.len += (uint32_t)sprintf(base + t.len, i % 10 ? "%u" : "a%u", i);
        pos[k++] = t.len++;
        t.len += (uint32_t)sprintf(base + t.len, i % 15 ? "%u.5" : "\"b%u", i);
        pos[k++] = t.len++;
    }
    b->rows = ROWS;
    for (uint32_t c = 0; c < 2; c++)
        b->cols[c] = (rkp_col){ .type = two[c].type, .rep = RKP_TEXT, .stride = 2, .pos = pos + c, .text = &t };
    assert_int_equal(rkp_builder_add(w, b, NULL, ROWS, &errs), RKP_OK);
    out = rkp_builder_finish(w);
    for (uint32_t i = 0; i < ROWS; i++) {
        char what[16];

        if (i % 10 && i % 15) {
            assert_int_equal(((const int64_t *)out->cols[0].values)[good], i);
            assert_true(((const double *)out->cols[1].values)[good] == i + 0.5);
            good++;
            continue;
        }
        assert_int_equal(errs.v[e].row, i);
        assert_int_equal(errs.v[e].col, i % 10 ? 1 : 0);
        assert_int_equal(errs.v[e].code, i % 10 ? RKP_ROW_QUOTES : RKP_ROW_PARSE);
        sprintf(what, i % 10 ? "\"b%u" : "a%u", i);
        assert_true(rkp_str_is(errs.v[e].what, what));
        e++;
    }
    assert_int_equal(errs.n, e);
    assert_int_equal(out->rows, good);
    rkp_batch_put(out);
    // Kept as text, only what cannot be read at all is wrong.
    rkp_errs_clear(&errs);
    rkp_builder_keep_text(w);
    assert_int_equal(rkp_builder_add(w, b, NULL, ROWS, &errs), RKP_OK);
    assert_int_equal(errs.n, ROWS / 15);
    assert_int_equal(rkp_builder_rows(w), ROWS - ROWS / 15);
    rkp_errs_fini(&errs);
    rkp_batch_put(b);
    rkp_builder_free(w);
}

static void text_that_is_not_utf8_is_carried_and_told_when_it_is_read(void **state)
{
    static const rkp_field one[] = { { { "a", 1 }, { .kind = RKP_STRING } } };
    static const rkp_schema s = { 1, one };
    static const uint32_t pos[] = { 0, 5 };
    rkp_text t = { .base = "\nab\xff"
                           "c\n",
                   .len = 6,
                   .kind = RKP_TEXT_CSV };
    rkp_batch *b = rkp_batch_new(*state, &s, 1, 0), *out;
    rkp_builder *w = rkp_builder_new(*state, &s);
    rkp_errs errs = { 0 };
    rkp_col col;

    b->rows = 1;
    b->cols[0] = (rkp_col){ .type = one[0].type, .rep = RKP_TEXT, .stride = 1, .pos = pos, .text = &t };
    rkp_builder_keep_text(w);
    assert_int_equal(rkp_builder_add(w, b, NULL, 1, &errs), RKP_OK);
    assert_int_equal(errs.n, 0);
    out = rkp_builder_finish(w);
    assert_true(rkp_str_is(rkp_col_raw(&out->cols[0], 0), "ab\xff"
                                                          "c"));
    assert_int_equal(rkp_col_flat(out, out, 0, NULL, 1, &col, &errs), RKP_OK);
    assert_int_equal(errs.n, 1);
    assert_int_equal(errs.v[0].code, RKP_ROW_UTF8);
    rkp_errs_fini(&errs);
    rkp_batch_put(out);
    rkp_batch_put(b);
    rkp_builder_free(w);
}

static void no_memory_loses_no_row_that_was_added(void **state)
{
    (void)state;
    if (!nomem_works())
        skip();
    for (int how = 0; how < 4; how++) {
        for (long nth = 1;; nth++) {
            rkp_pool *p = rkp_pool_new(64 << 20);
            rkp_batch *a = csv(p, 0, 3000), *b = flat(p, 3000, 3000), *out = NULL, *mem;
            rkp_status st[2] = { RKP_NOMEM, RKP_NOMEM };
            rkp_builder *w;
            uint32_t rows = 0;
            bool done;

            nomem_from(nth);
            w = rkp_builder_new(p, &schema);
            if (w) {
                if (how & 1)
                    rkp_builder_keep_text(w);
                st[0] = rkp_builder_add(w, how & 2 ? b : a, NULL, 3000, NULL);
                if (st[0] == RKP_OK)
                    st[1] = rkp_builder_add(w, how & 2 ? a : b, NULL, 3000, NULL);
                rows = rkp_builder_rows(w);
                out = rkp_builder_finish(w);
            }
            done = nomem_count() < nth;
            nomem_at(0);
            assert_true(done == (out && st[0] == RKP_OK && st[1] == RKP_OK));
            if (w && !out)
                out = rkp_builder_finish(w); // nothing was lost
            mem = rkp_batch_new(p, NULL, 0, 0);
            if (out)
                assert_int_equal(out->rows, rows);
            for (uint32_t i = 0; i < rows; i += 101)
                check_row(mem, out, i, how & 2 ? (i + 3000) % 6000 : i, false);
            rkp_batch_put(mem);
            rkp_builder_free(w);
            rkp_batch_put(out);
            rkp_batch_put(a);
            rkp_batch_put(b);
            assert_int_equal(rkp_pool_used(p), 0);
            assert_int_equal(rkp_pool_live(p), 0);
            rkp_pool_free(p);
            if (done)
                break;
        }
    }
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, pool_case_begin, pool_case_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(rows_of_batches_are_joined),
        CASE(nothing_gives_an_empty_batch),
        CASE(wrong_rows_are_left_out_and_told_once),
        CASE(text_that_is_not_utf8_is_carried_and_told_when_it_is_read),
        CASE(no_memory_loses_no_row_that_was_added),
    };

    return cmocka_run_group_tests_name("builder", tests, NULL, NULL);
}
