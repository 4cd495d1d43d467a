// Tests of data/wire.h: what is put comes back, and what was not put by us is refused or harmless.
#include "any_batch.h"
#include "data/wire.h"
#include "expr_case.h"
#include "nomem.h"
#include "pool_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

// ---- batches --------------------------------------------------------------------------------------------------------

static rkp_batch *trip(rkp_pool *p, const rkp_batch *b, const rkp_schema *expect)
{
    rki_buf o;
    rkp_batch *back = NULL;
    const char *why = "";

    rki_buf_init(&o);
    rki_putz(&o, "abc"); // wherever it begins
    assert_int_equal(rki_wire_put(b, &o), RKP_OK);
    assert_int_equal(rki_wire_get(p, expect, o.p + 3, o.n - 3, &back, &why), RKP_OK);
    assert_string_equal(why, "");
    memset(o.p, 0xa5, o.n); // nothing points there
    rki_buf_fini(&o);
    return back;
}

// The same values and the same errors, whatever the columns look like.
static void check_same(rkp_pool *p, const rkp_batch *a, const rkp_batch *b)
{
    rkp_batch *mem = rkp_batch_new(p, NULL, 0, 0);
    rkp_errs ea = { 0 }, eb = { 0 };

    assert_int_equal(a->rows, b->rows);
    assert_int_equal(a->n_cols, b->n_cols);
    assert_int_equal(a->in_bytes, b->in_bytes);
    assert_int_equal(a->schema->n, b->schema->n);
    for (uint32_t c = 0; c < a->n_cols; c++) {
        rkp_type t = a->schema->f[c].type;
        rkp_col x, y;

        assert_true(rkp_str_eq(a->schema->f[c].name, b->schema->f[c].name));
        assert_memory_equal(&t, &b->schema->f[c].type, sizeof t);
        assert_int_equal(a->cols[c].rep, b->cols[c].rep);
        assert_int_equal(rkp_col_flat(mem, a, c, NULL, a->rows, &x, &ea), RKP_OK);
        assert_int_equal(rkp_col_flat(mem, b, c, NULL, b->rows, &y, &eb), RKP_OK);
        for (uint32_t i = 0; i < a->rows; i++) {
            if (a->cols[c].rep == RKP_TEXT) {
                rkp_str ra = rkp_col_raw(&a->cols[c], i), rb = rkp_col_raw(&b->cols[c], i);

                assert_int_equal(!ra.p, !rb.p);
                assert_true(rkp_str_eq(ra, rb));
            }
            assert_int_equal(rkp_col_is_null(&x, i), rkp_col_is_null(&y, i));
            if (rkp_col_is_null(&x, i))
                continue;
            if (rkp_kind_is_view(t.kind))
                assert_true(rkp_str_eq(rkp_view_str(&x, i), rkp_view_str(&y, i)));
            else if (t.kind == RKP_BOOL)
                assert_int_equal(rkp_bit(x.values, i), rkp_bit(y.values, i));
            else
                assert_memory_equal((const char *)x.values + i * any_width(t),
                                    (const char *)y.values + i * any_width(t), any_width(t));
        }
        assert_int_equal(ea.n, eb.n);
        for (uint32_t i = 0; i < ea.n; i++) {
            assert_int_equal(ea.v[i].row, eb.v[i].row);
            assert_int_equal(ea.v[i].code, eb.v[i].code);
            assert_int_equal(ea.v[i].col, eb.v[i].col);
            assert_true(rkp_str_eq(ea.v[i].what, eb.v[i].what));
        }
        rkp_errs_clear(&ea);
        rkp_errs_clear(&eb);
    }
    for (uint32_t i = 0; i < a->rows; i++) {
        rkp_str na = { NULL, 0 }, nb = { NULL, 0 };

        assert_int_equal(rkp_batch_line(a, i, &na), rkp_batch_line(b, i, &nb));
        assert_true(rkp_str_eq(na, nb));
        assert_int_equal(!rkp_batch_topic(a, i).p, !rkp_batch_topic(b, i).p);
        assert_true(rkp_str_eq(rkp_batch_topic(a, i), rkp_batch_topic(b, i)));
    }
    rkp_errs_fini(&ea);
    rkp_errs_fini(&eb);
    rkp_batch_put(mem);
}

static void check_trip(rkp_pool *p, const rkp_batch *b)
{
    rkp_batch *back = trip(p, b, NULL), *again = trip(p, back, b->schema);

    check_same(p, b, back);
    check_same(p, back, again);
    assert_ptr_equal(again->schema, b->schema);
    rkp_batch_put(back);
    rkp_batch_put(again);
}

// ---- tests ----------------------------------------------------------------------------------------------------------

static void values_of_every_type_come_back(void **state)
{
    static const uint32_t rows[] = { 0, 1, 7, 8, 9, 63, 64, 65, 1000 };
    static const unsigned nulls[] = { 0, 1, 2, 7 };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t j = 0; j < sizeof nulls / sizeof *nulls; j++) {
            rkp_batch *b = any_batch(*state, rows[i], i * 10 + j + 1, nulls[j]);

            check_trip(*state, b);
            rkp_batch_put(b);
        }
    }
}

static void selections_are_carried_out(void **state)
{
    enum { ROWS = 300 };
    rkp_batch *b = any_batch(*state, ROWS, 5, 3), *picked, *slice, *mixed;
    uint32_t rows[ROWS];

    for (uint32_t i = 0; i < ROWS; i++)
        rows[i] = (i * 31 + 7) % ROWS;
    picked = rkp_batch_pick(b, rows, 111);
    check_trip(*state, picked);
    slice = rkp_batch_slice(picked, 13, 50);
    check_trip(*state, slice);
    mixed = rkp_batch_slice(b, 13, 50); // some by a selection, some moved
    check_trip(*state, mixed);
    rkp_batch_put(mixed);
    rkp_batch_put(slice);
    rkp_batch_put(picked);
    rkp_batch_put(b);
}

static void a_constant_stays_one_value(void **state)
{
    enum { ROWS = 5000 };
    rkp_batch *b = any_batch(*state, 40, 77, 5), *same, *back;
    uint32_t rows[ROWS];
    rki_buf o;

    for (uint32_t k = 0; k < 10; k++) {
        for (uint32_t i = 0; i < ROWS; i++)
            rows[i] = k;
        same = rkp_batch_pick(b, rows, ROWS);
        rki_buf_init(&o);
        assert_int_equal(rki_wire_put(same, &o), RKP_OK);
        assert_true(o.n < 4096);
        rki_buf_fini(&o);
        back = trip(*state, same, NULL);
        assert_int_equal(back->cols[12].phys_rows, 1);
        check_trip(*state, same);
        rkp_batch_put(back);
        rkp_batch_put(same);
    }
    rkp_batch_put(b);
}

static void a_batch_without_columns_keeps_its_rows_or_its_blob(void **state)
{
    static const rkp_schema none = { 0, NULL };
    rkp_batch *b = rkp_batch_new(*state, &none, 0, 0), *back;

    b->rows = 12;
    back = trip(*state, b, &none);
    assert_int_equal(back->rows, 12);
    assert_null(back->blob.p);
    rkp_batch_put(back);
    b->rows = 0;
    b->schema = NULL;
    b->blob = RKP_STR("raw bytes,\n of some length");
    b->blob_rows = 3;
    back = trip(*state, b, &any_schema);
    assert_true(rkp_str_eq(back->blob, b->blob));
    assert_int_equal(back->blob_rows, 3);
    rkp_batch_put(back);
    b->blob.n = 0;
    back = trip(*state, b, NULL);
    assert_non_null(back->blob.p);
    assert_int_equal(back->blob.n, 0);
    rkp_batch_put(back);
    rkp_batch_put(b);
}

// ---- text -----------------------------------------------------------------------------------------------------------

static const rkp_field text_fields[] = {
    { { "i", 1 }, { .kind = RKP_I64, .nullable = 1 } },
    { { "f", 1 }, { .kind = RKP_F64, .nullable = 1 } },
    { { "s", 1 }, { .kind = RKP_STRING, .nullable = 1 } },
    { { "t", 1 }, { .kind = RKP_TIMESTAMP } },
    { { "j", 1 }, { .kind = RKP_JSON, .nullable = 1 } },
    { { "a", 1 }, { .kind = RKP_I32, .len = 2 } },
    { { "b", 1 }, { .kind = RKP_BOOL } },
};
enum { TEXTS = sizeof text_fields / sizeof *text_fields };
static const rkp_schema text_schema = { TEXTS, text_fields };

#define S(t)                                                                                                           \
    {                                                                                                                  \
        t, sizeof t - 1                                                                                                \
    }
#define ABSENT                                                                                                         \
    {                                                                                                                  \
        NULL, 0                                                                                                        \
    }

static const rkp_str csv_rows[][TEXTS] = {
    { S("1"), S("1.50"), S("plain"), S("2024-01-01"), S("{\"a\": 1}"), S("\"[1, 2]\""), S("true") },
    { S("\"2\""), S("1e3"), S("\"with, \"\"quotes\"\"\""), S("\"2024-01-01T00:00:00Z\""), S("\"{\"\"a\"\": 1}\""),
      S("\"[1, -2]\""), S("\"false\"") },
    { S(""), S(""), S("\"\""), S("no date"), S("{"), S("[1"), S("yes") },
    { S("x"), S("1.2.3"), S("\"open"), S("\"a\"b"), S("\"\"\""), S("\""), S("") },
    { S("NA"), S("\"NA\""), S("NA"), S("NA"), S("NA"), S("NA"), S("NA") },
    { S("9223372036854775808"), S("-0"),
      S("a\xff"
        "b"),
      S("1969-12-31"), S("\"[1, {}]\""), S("\"[1,2,3]\""), S("true\r") },
    { S("00012"), S("inf"), S("\"line\nbreak, and \r\""), S("2024-01-01 12:00:00.123456789+02:00"), S("null"),
      S("\"[ 1 , 2 ]\""), S("\"true\"\r") },
    { S("-9"), S(" 1"), S("ends with \r"), S("10000-01-01"), S("\"text\""), S("[1]"), S("true\r\r") },
};

static const rkp_str json_rows[][TEXTS] = {
    { S("1"), S("1.5"), S("\"plain\""), S("\"2024-01-01\""), S("{\"a\": 1}"), S("[1, 2]"), S("true") },
    { S("\"1\""), S("1e3"), S("\"\\u00e9\\n\\\"\""), S("12"), S("\"x\""), S("[1, 2, 3]"), S("1") },
    { S("null"), ABSENT, S("null"), S("null"), ABSENT, S("null"), ABSENT },
    { S("1.5"), S("true"), S("{\"x\": []}"), S("\"no\""), S("null"), S("\"[1, 2]\""), S("\"true\"") },
    { ABSENT, S("\"nan\""), S("\"bad \\ud800\""), ABSENT, S("[[[]]]"), ABSENT, S("false") },
};

static rkp_batch *text_batch(rkp_pool *p, unsigned kind, bool utf8)
{
    static const rkp_str nulls[] = { S(""), S("NA") };
    const rkp_str *fields = kind == RKP_TEXT_JSON ? json_rows[0] : csv_rows[0];
    uint32_t rows = kind == RKP_TEXT_JSON ? sizeof json_rows / sizeof *json_rows : sizeof csv_rows / sizeof *csv_rows;
    rkp_batch *b = expr_case_text(p, &text_schema, fields, rows, kind);

    assert_non_null(b);
    for (uint32_t c = 0; c < TEXTS; c++) {
        rkp_text *t = rkp_batch_alloc(b, sizeof *t);

        *t = *b->cols[c].text;
        t->kind = (uint8_t)kind;
        t->utf8 = utf8;
        if (kind == RKP_TEXT_CSV) {
            t->quote = '"';
            t->delim = ',';
            t->cr = true;
            t->nulls = nulls;
            t->n_nulls = (uint8_t)(c % 3); // none, one, both
        }
        b->cols[c].text = t;
        b->cols[c].last = c + 1 == TEXTS;
    }
    return b;
}

static void text_reads_the_same_values_and_the_same_errors(void **state)
{
    static const unsigned kinds[] = { RKP_TEXT_CSV, RKP_TEXT_JSON, RKP_TEXT_RAW };

    for (size_t i = 0; i < 3; i++) {
        rkp_batch *b = text_batch(*state, kinds[i], kinds[i] == RKP_TEXT_JSON), *part;
        uint32_t rows[] = { 4, 0, 0, 3, 1, 2 }, all[100];

        check_trip(*state, b);
        part = rkp_batch_pick(b, rows, 6);
        check_trip(*state, part);
        rkp_batch_put(part);
        part = rkp_batch_slice(b, 2, 0);
        check_trip(*state, part);
        rkp_batch_put(part);
        for (uint32_t r = 0; r < b->rows; r++) { // constants
            for (int k = 0; k < 100; k++)
                all[k] = r;
            part = rkp_batch_pick(b, all, 100);
            check_trip(*state, part);
            rkp_batch_put(part);
        }
        rkp_batch_put(b);
    }
}

// ---- places ---------------------------------------------------------------------------------------------------------

static void lines_of_rows_are_kept_without_their_text(void **state)
{
    static const rkp_field one[] = { { { "x", 1 }, { .kind = RKP_I64 } } };
    static const rkp_schema s = { 1, one };
    enum { ROWS = 200 };
    rkp_batch *b = rkp_batch_new(*state, &s, 1, 0), *back, *part, *again;
    uint32_t *pos = rkp_batch_alloc(b, ROWS * sizeof *pos), rows[ROWS];
    int64_t *v = rkp_batch_alloc(b, ROWS * sizeof *v);
    char *base = rkp_batch_alloc(b, ROWS * 8), name[] = "folder/in.csv";
    rkp_text t = { .base = base, .origin = { { name, sizeof name - 1 }, 1000, 0 } };
    rkp_str file;

    for (uint32_t i = 0; i < ROWS; i++) { // every third row has a line break in it
        pos[i] = t.len - 1;
        v[i] = i;
        t.len += (uint32_t)sprintf(base + t.len, i % 3 ? "%u\n" : "\"%u\n\"\n", i);
    }
    b->rows = ROWS;
    rkp_col_set_values(b, 0, one[0].type, v, NULL, ROWS);
    b->text = &t;
    b->text_pos = pos;
    b->text_stride = 1;
    assert_int_equal(rkp_batch_line(b, 4, &file), 1006);
    check_trip(*state, b);
    back = trip(*state, b, NULL);
    name[0] = 'x'; // the name has been copied
    assert_int_equal(rkp_batch_line(back, 4, &file), 1006);
    assert_true(rkp_str_is(file, "folder/in.csv"));
    name[0] = 'f';
    for (uint32_t i = 0; i < ROWS; i++)
        rows[i] = ROWS - 1 - i / 2;
    part = rkp_batch_pick(b, rows, ROWS); // backwards
    check_trip(*state, part);
    rkp_batch_put(part);
    part = rkp_batch_pick(back, rows, ROWS);
    again = rkp_batch_slice(part, 3, 20);
    check_trip(*state, again);
    assert_int_equal(rkp_batch_line(again, 1, &file), rkp_batch_line(b, rows[4], &file));
    rkp_batch_put(again);
    rkp_batch_put(part);
    part = rkp_batch_slice(back, 17, 20);
    assert_int_equal(rkp_batch_line(part, 0, &file), rkp_batch_line(b, 17, &file));
    rkp_batch_put(part);
    rkp_batch_put(back);
    rkp_batch_put(b);
}

// ---- topics ---------------------------------------------------------------------------------------------------------

static void topics_of_rows_are_kept(void **state)
{
    static const rkp_str names[] = { S("a"), S("scores/de"), S("scores/a topic that is longer than others"), S("") };
    static const rkp_topics topics = { 4, names }, one = { 1, names + 1 };
    static const uint32_t of[] = { 2, 2, 0, 2, 0 };
    rkp_batch *b = any_batch(*state, 5, 1, 0), *back, *part;
    uint32_t rows[] = { 4, 2 };

    b->topics = &one;
    check_trip(*state, b);
    b->topics = &topics;
    check_trip(*state, b); // the first, of many
    b->topic_of = of;
    check_trip(*state, b);
    back = trip(*state, b, NULL);
    assert_int_equal(back->topics->n, 2); // only those that are needed
    rkp_batch_put(back);
    part = rkp_batch_pick(b, rows, 2);
    check_trip(*state, part);
    rkp_batch_put(part);
    part = rkp_batch_slice(b, 1, 3);
    check_trip(*state, part);
    rkp_batch_put(part);
    part = rkp_batch_slice(b, 1, 0);
    check_trip(*state, part);
    rkp_batch_put(part);
    rkp_batch_put(b);
}

// ---- what is refused ------------------------------------------------------------------------------------------------

static void other_columns_than_expected_are_refused(void **state)
{
    rkp_batch *b = any_batch(*state, 3, 1, 0), *back = NULL;
    rkp_field f[ANY_COLUMNS + 1];
    rkp_schema s = { ANY_COLUMNS, f };
    const char *why = NULL;
    rki_buf o;

    rki_buf_init(&o);
    assert_int_equal(rki_wire_put(b, &o), RKP_OK);
    for (int how = 0; how < 5; how++) {
        memcpy(f, any_fields, sizeof any_fields);
        f[ANY_COLUMNS] = f[0];
        s.n = how == 0 ? ANY_COLUMNS - 1 : how == 1 ? ANY_COLUMNS + 1 : ANY_COLUMNS;
        if (how == 2)
            f[3].name = RKP_STR("I32");
        if (how == 3)
            f[3].type.nullable = 0;
        if (how == 4)
            f[15].type.len = 2;
        assert_int_equal(rki_wire_get(*state, &s, o.p, o.n, &back, &why), RKP_INVALID);
        assert_string_equal(why, "the columns are not those that are expected");
        assert_null(back);
    }
    rki_buf_fini(&o);
    rkp_batch_put(b);
}

static void what_is_too_large_is_refused(void **state)
{
    static const rkp_field one[] = { { { "x", 1 }, { .kind = RKP_STRING } } };
    static const rkp_schema s = { 1, one };
    enum { LONG = 1 << 20, ROWS = 3000 };
    rkp_batch *b = rkp_batch_new(*state, &s, 1, 0);
    rkp_str v[2] = { { calloc(1, LONG), LONG }, RKP_STR("short") };
    uint32_t *sel = rkp_batch_alloc(b, ROWS * sizeof *sel);
    rki_buf o;

    assert_non_null(v[0].p);
    assert_int_equal(rkp_col_set_strs(b, 0, one[0].type, v, 2), RKP_OK);
    for (uint32_t i = 0; i < ROWS; i++)
        sel[i] = i == 1;
    b->cols[0].sel = sel;
    b->rows = ROWS;
    rki_buf_init(&o);
    rki_putz(&o, "before");
    assert_int_equal(rki_wire_put(b, &o), RKP_UNSUPPORTED);
    assert_int_equal(o.n, 6);
    assert_false(o.failed);
    rki_buf_fini(&o);
    free((void *)(uintptr_t)v[0].p);
    rkp_batch_put(b);
}

// Looks at everything there is.
static void touch(rkp_pool *p, const rkp_batch *b)
{
    rkp_batch *mem = rkp_batch_new(p, NULL, 0, 0);
    rkp_errs errs = { 0 };
    rki_buf o;

    for (uint32_t c = 0; c < b->n_cols; c++) {
        rkp_type t = b->schema->f[c].type;
        rkp_col x, as;

        rkp_errs_clear(&errs);
        assert_int_equal(rkp_col_flat(mem, b, c, NULL, b->rows, &x, &errs), RKP_OK);
        if (!t.len && !rkp_kind_is_view(t.kind))
            rkp_col_cast(mem, &x, b->rows, RKP_TYPE(RKP_STRING), &as, NULL);
    }
    for (uint32_t i = 0; i < b->rows && i < 100; i++) {
        rkp_str name;

        rkp_batch_line(b, i, &name);
    }
    rki_buf_init(&o);
    assert_int_equal(rki_wire_put(b, &o), RKP_OK);
    rki_buf_fini(&o);
    rkp_errs_fini(&errs);
    rkp_batch_put(mem);
}

// A copy whose end is the end of memory, so that a look behind it is seen.
static void get_copy(rkp_pool *p, const char *from, size_t n)
{
    char *copy = malloc(n ? n : 1);
    rkp_batch *b = NULL;
    const char *why = NULL;
    rkp_status st;

    memcpy(copy, from, n);
    st = rki_wire_get(p, NULL, copy, n, &b, &why);
    free(copy);
    if (st == RKP_OK) {
        touch(p, b);
        rkp_batch_put(b);
    } else {
        assert_int_equal(st, RKP_INVALID);
        assert_non_null(why);
        assert_null(b);
    }
}

static void no_byte_can_do_harm(void **state)
{
    static const rkp_str names[] = { S("x"), S("a topic") };
    static const rkp_topics topics = { 2, names };

    for (int which = 0; which < 5; which++) {
        rkp_batch *b = which < 2 ? any_batch(*state, which ? 9 : 2, 9, 2)
                                 : text_batch(*state, RKP_TEXT_CSV + (unsigned)which % 3, which == 3),
                  *part = b;
        uint32_t same[] = { 1, 1, 1, 1, 1, 1, 1, 1, 1 };
        rkp_text t = { .base = "\n\n\n", .len = 3, .origin = { { "f", 1 }, 5, 0 } };
        rki_buf o;

        if (which == 1)
            part = rkp_batch_pick(b, same, 9);
        if (which == 0) {
            b->topics = &topics;
            b->topic_of = same;
            b->text = &t;
            b->text_pos = same;
            b->text_stride = 1;
        }
        rki_buf_init(&o);
        assert_int_equal(rki_wire_put(part, &o), RKP_OK);
        for (size_t n = 0; n < o.n; n++) {
            rkp_batch *none = NULL;

            assert_int_equal(rki_wire_get(*state, NULL, o.p, n, &none, NULL), RKP_INVALID);
        }
        for (size_t i = 0; i < o.n; i++) {
            char was = o.p[i];
            static const unsigned char to[] = { 0, 1, 2, 13, 0x7f, 0x80, 0xff };

            for (size_t k = 0; k < sizeof to; k++) {
                o.p[i] = (char)to[k];
                get_copy(*state, o.p, o.n);
            }
            o.p[i] = was;
        }
        rki_putc(&o, 0);
        get_copy(*state, o.p, o.n);
        rki_buf_fini(&o);
        if (part != b)
            rkp_batch_put(part);
        rkp_batch_put(b);
    }
}

static void no_memory_is_said_and_nothing_is_lost(void **state)
{
    (void)state;
    if (!nomem_works())
        skip();
    for (long nth = 1;; nth++) {
        rkp_pool *p = rkp_pool_new(64 << 20);
        rkp_batch *b = any_batch(p, 2000, 3, 4), *back = NULL;
        rkp_status put, get = RKP_NOMEM;
        rki_buf o;
        bool done;

        rki_buf_init(&o);
        nomem_at(nth);
        put = rki_wire_put(b, &o);
        if (put == RKP_OK)
            get = rki_wire_get(p, NULL, o.p, o.n, &back, NULL);
        done = nomem_count() < nth;
        nomem_at(0);
        assert_false(o.failed);
        if (put != RKP_OK) {
            assert_int_equal(put, RKP_NOMEM);
            assert_int_equal(o.n, 0);
            assert_int_equal(rki_wire_put(b, &o), RKP_OK);
        }
        if (get != RKP_OK) {
            assert_int_equal(get, RKP_NOMEM);
            assert_int_equal(rki_wire_get(p, NULL, o.p, o.n, &back, NULL), RKP_OK);
        }
        check_same(p, b, back);
        rki_buf_fini(&o);
        rkp_batch_put(back);
        rkp_batch_put(b);
        assert_int_equal(rkp_pool_live(p), 0);
        rkp_pool_free(p);
        if (done)
            break;
    }
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, pool_case_begin, pool_case_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(values_of_every_type_come_back),
        CASE(selections_are_carried_out),
        CASE(a_constant_stays_one_value),
        CASE(a_batch_without_columns_keeps_its_rows_or_its_blob),
        CASE(text_reads_the_same_values_and_the_same_errors),
        CASE(lines_of_rows_are_kept_without_their_text),
        CASE(topics_of_rows_are_kept),
        CASE(other_columns_than_expected_are_refused),
        CASE(what_is_too_large_is_refused),
        CASE(no_byte_can_do_harm),
        CASE(no_memory_is_said_and_nothing_is_lost),
    };

    return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
