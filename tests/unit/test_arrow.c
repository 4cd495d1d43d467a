// Tests of rkpipe/arrow.h.  A consumer that is not ours: tests/oracle/arrow_duckdb.c.
#include "data/text.h"
#include "nomem.h"
#include "pool_case.h"
#include <rkpipe/arrow.h>

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

// ---- a batch with every type ----------------------------------------------------------------------------------------

enum { COLS = RKP_N_KINDS + 2 };

static const char *const type_names[COLS] = { "bool?",   "i8",    "i16",   "i32?",    "i64?",  "u8",
                                              "u16",     "u32",   "u64",   "f32",     "f64?",  "timestamp?",
                                              "string?", "bytes", "json?", "f32[3]?", "i64[2]" };

struct schema_of_all {
    rkp_field f[COLS];
    char names[COLS][8];
    rkp_schema s;
};

static void schema_init(struct schema_of_all *a)
{
    for (int i = 0; i < COLS; i++) {
        sprintf(a->names[i], "c%d", i);
        a->f[i].name = rkp_str_of(a->names[i]);
        assert_true(rkp_type_parse(rkp_str_of(type_names[i]), &a->f[i].type));
    }
    a->s = (rkp_schema){ COLS, a->f };
}

static rkp_batch *all_types(rkp_pool *p, const rkp_schema *s, uint32_t n)
{
    rkp_batch *b = rkp_batch_new(p, s, COLS, 0);

    if (!b)
        return NULL;
    b->rows = n;
    for (uint32_t c = 0; c < COLS; c++) {
        rkp_type t = s->f[c].type;
        size_t width = rkp_kind_width(t.kind) * (t.len ? t.len : 1);
        uint8_t *valid = NULL;

        if (t.nullable) {
            valid = rkp_batch_alloc(b, n / 8 + 1);
            if (!valid)
                goto nomem;
            for (uint32_t i = 0; i <= n / 8; i++)
                valid[i] = (uint8_t)(i * 37 + c);
        }
        if (rkp_kind_is_view(t.kind)) {
            rkp_str *v = rkp_batch_alloc(b, n * sizeof *v);
            char *text = v ? rkp_batch_alloc(b, n * 40) : NULL;

            if (!text)
                goto nomem;
            for (uint32_t i = 0; i < n; i++) {
                int len = sprintf(text, t.kind == RKP_JSON ? "[%u]" : "%.*s%u",
                                  t.kind == RKP_JSON ? (int)i : (int)(i % 30), "a text of up to thirty letters", i);

                v[i] = valid && !rkp_bit(valid, i) ? (rkp_str){ NULL, 0 } : (rkp_str){ text, (size_t)len };
                text += len + 1;
            }
            if (rkp_col_set_strs(b, c, t, v, n) != RKP_OK)
                goto nomem;
        } else {
            unsigned char *v = rkp_batch_alloc(b, width ? n * width : n / 8 + 1);

            if (!v)
                goto nomem;
            for (size_t i = 0; i < (width ? n * width : n / 8 + 1); i++)
                v[i] = (unsigned char)(i * 11 % 127);
            rkp_col_set_values(b, c, t, v, valid, n);
        }
    }
    return b;
nomem:
    rkp_batch_put(b);
    return NULL;
}

// Cell (row, col) as text.
static void cell(const rkp_batch *b, uint32_t row, uint32_t col, char *to)
{
    rkp_batch *mem = rkp_batch_new(b->pool, NULL, 0, 0);
    rkp_str s = { "null", 4 };
    rkp_col one, as;

    assert_int_equal(rkp_col_flat(mem, b, col, &row, 1, &one, NULL), RKP_OK);
    if (!rkp_col_is_null(&one, 0)) {
        if (rkp_kind_is_view(one.type.kind)) {
            s = rkp_view_str(&one, 0);
        } else {
            assert_int_equal(rkp_col_cast(mem, &one, 1, RKP_TYPE(RKP_STRING), &as, NULL), RKP_OK);
            s = rkp_view_str(&as, 0);
        }
    }
    memcpy(to, s.p, s.n);
    to[s.n] = 0;
    rkp_batch_put(mem);
}

static void same(const rkp_batch *a, uint32_t a_from, const rkp_batch *b, uint32_t b_from, uint32_t n)
{
    char x[256], y[256];

    assert_int_equal(a->n_cols, b->n_cols);
    for (uint32_t c = 0; c < a->n_cols; c++) {
        for (uint32_t i = 0; i < n; i++) {
            cell(a, a_from + i, c, x);
            cell(b, b_from + i, c, y);
            assert_string_equal(x, y);
        }
    }
}

// ---- out and in again -----------------------------------------------------------------------------------------------

static rkp_batch *round_trip(rkp_batch *b, const rkp_schema *s)
{
    struct ArrowSchema schema;
    struct ArrowArray array;
    rkp_batch *back = NULL;

    assert_int_equal(rkp_arrow_export_schema(s, &schema), RKP_OK);
    assert_int_equal(rkp_arrow_export(b, &array), RKP_OK);
    assert_int_equal(rkp_arrow_import(b->pool, &schema, &array, &back), RKP_OK);
    assert_null(schema.release);
    assert_null(array.release);
    return back;
}

static void every_type_survives_the_way_out_and_in(void **state)
{
    struct schema_of_all a;
    rkp_batch *b, *back;

    schema_init(&a);
    b = all_types(*state, &a.s, 203);
    back = round_trip(b, &a.s);
    assert_int_equal(back->rows, 203);
    same(b, 0, back, 0, 203);
    for (uint32_t c = 0; c < COLS; c++) {
        rkp_type t = back->schema->f[c].type;

        assert_true(rkp_str_eq(back->schema->f[c].name, a.f[c].name));
        assert_int_equal(t.kind, a.f[c].type.kind == RKP_JSON ? RKP_STRING : a.f[c].type.kind);
        assert_int_equal(t.len, a.f[c].type.len);
        assert_int_equal(t.nullable, a.f[c].type.nullable);
        assert_ptr_equal(back->cols[c].values, b->cols[c].values); // nothing was copied
    }
    rkp_batch_put(b); // the way back keeps it
    rkp_batch_put(round_trip(back, back->schema));
    rkp_batch_put(back);
}

static void selections_are_flattened(void **state)
{
    static const uint32_t rows[] = { 7, 7, 0, 150, 31, 8 };
    struct schema_of_all a;
    rkp_batch *b, *pick, *slice, *back;

    schema_init(&a);
    b = all_types(*state, &a.s, 203);
    pick = rkp_batch_pick(b, rows, 6);
    back = round_trip(pick, &a.s);
    same(pick, 0, back, 0, 6);
    same(b, 150, back, 3, 1);
    rkp_batch_put(back);
    slice = rkp_batch_slice(b, 13, 50);
    back = round_trip(slice, &a.s);
    same(b, 13, back, 0, 50);
    rkp_batch_put(back);
    rkp_batch_put(slice);
    rkp_batch_put(pick);
    slice = rkp_batch_slice(b, 0, 0);
    back = round_trip(slice, &a.s);
    assert_int_equal(back->rows, 0);
    rkp_batch_put(back);
    rkp_batch_put(slice);
    rkp_batch_put(b);
}

static void text_is_parsed_on_the_way_out_or_refused(void **state)
{
    static const rkp_field f[] = { { { "n", 1 }, { .kind = RKP_I64, .nullable = 1 } },
                                   { { "s", 1 }, { .kind = RKP_STRING } } };
    static const rkp_schema s = { 2, f };
    static const rkp_str nulls[] = { { "", 0 } };
    static const char base[] = "\n12,\"a\"\"b\"\n-7,a text longer than a view\nx,end\n";
    rkp_text t = {
        .base = base, .len = sizeof base - 1, .kind = RKP_TEXT_CSV, .quote = '"', .nulls = nulls, .n_nulls = 1
    };
    rkp_batch *b = rkp_batch_new(*state, &s, 2, 0), *back;
    struct ArrowArray array = { 0 };
    uint32_t pos[7], k = 0;
    char text[64];

    for (uint32_t i = 0; i < t.len; i++)
        if (t.base[i] == '\n' || t.base[i] == ',')
            pos[k++] = i;
    assert_int_equal(k, 7);
    b->rows = 2;
    b->cols[0] = (rkp_col){ .type = f[0].type, .rep = RKP_TEXT, .stride = 2, .pos = pos, .text = &t };
    b->cols[1] = (rkp_col){ .type = f[1].type, .rep = RKP_TEXT, .stride = 2, .pos = pos + 1, .text = &t };
    back = round_trip(b, &s);
    cell(back, 1, 0, text);
    assert_string_equal(text, "-7");
    cell(back, 0, 1, text);
    assert_string_equal(text, "a\"b");
    cell(back, 1, 1, text);
    assert_string_equal(text, "a text longer than a view");
    rkp_batch_put(back);
    b->rows = 3;
    assert_int_equal(rkp_arrow_export(b, &array), RKP_UNSUPPORTED);
    assert_null(array.release);
    rkp_batch_put(b);
}

static void children_may_be_moved_and_outlive_the_rest(void **state)
{
    struct schema_of_all a;
    struct ArrowSchema schema, name;
    struct ArrowArray array, child, list;
    rkp_batch *b;

    schema_init(&a);
    b = all_types(*state, &a.s, 50);
    assert_int_equal(rkp_arrow_export_schema(&a.s, &schema), RKP_OK);
    assert_int_equal(rkp_arrow_export(b, &array), RKP_OK);
    rkp_batch_put(b);
    assert_string_equal(schema.format, "+s");
    assert_string_equal(schema.children[15]->format, "+w:3");
    assert_string_equal(schema.children[15]->children[0]->format, "f");
    assert_string_equal(schema.children[11]->format, "tsu:UTC");
    name = *schema.children[4];
    schema.children[4]->release = NULL;
    child = *array.children[4];
    array.children[4]->release = NULL;
    list = *array.children[15];
    array.children[15]->release = NULL;
    array.release(&array);
    assert_null(array.release);
    schema.release(&schema);
    assert_string_equal(name.name, "c4");
    assert_string_equal(name.format, "l");
    assert_int_equal(child.length, 50);
    assert_int_equal(((const unsigned char *)child.buffers[1])[5], 55);
    child.release(&child);
    assert_int_equal(list.children[0]->length, 150);
    assert_int_equal(rkp_pool_live(*state), 2);
    list.release(&list);
    name.release(&name);
    assert_null(name.release);
}

static void *release_it(void *arg)
{
    struct ArrowArray *a = arg;

    a->release(a);
    return NULL;
}

static void release_may_come_from_another_thread(void **state)
{
    struct schema_of_all a;
    struct ArrowArray array;
    rkp_batch *b;
    pthread_t t;

    schema_init(&a);
    b = all_types(*state, &a.s, 50);
    assert_int_equal(rkp_arrow_export(b, &array), RKP_OK);
    assert_int_equal(pthread_create(&t, NULL, release_it, &array), 0);
    rkp_batch_put(b);
    pthread_join(t, NULL);
}

// ---- foreign arrays -------------------------------------------------------------------------------------------------

// One column of somebody else, in a struct.
struct foreign {
    struct ArrowSchema top_schema, schema, item_schema, dict_schema, *schemas[1], *items[1];
    struct ArrowArray top, array, item, dict, *arrays[1], *item_arrays[1];
    const void *top_buffers[1], *buffers[6], *item_buffers[2], *dict_buffers[4];
    int released;
};

static struct foreign *the_foreign;

static void schema_gone(struct ArrowSchema *s)
{
    s->release = NULL;
    the_foreign->released |= 1;
}

static void array_gone(struct ArrowArray *a)
{
    a->release = NULL;
    the_foreign->released |= 2;
}

static struct foreign *foreign_new(const char *format, int64_t n, int64_t offset, int64_t n_buffers)
{
    static struct foreign f;

    f = (struct foreign){ 0 };
    the_foreign = &f;
    f.schemas[0] = &f.schema;
    f.arrays[0] = &f.array;
    f.items[0] = &f.item_schema;
    f.item_arrays[0] = &f.item;
    f.schema = (struct ArrowSchema){ .format = format, .name = "x", .flags = ARROW_FLAG_NULLABLE };
    f.item_schema = (struct ArrowSchema){ .format = "i", .name = "item" };
    f.dict_schema = (struct ArrowSchema){ .format = "u" };
    f.top_schema =
        (struct ArrowSchema){ .format = "+s", .n_children = 1, .children = f.schemas, .release = schema_gone };
    f.array = (struct ArrowArray){
        .length = n, .null_count = -1, .offset = offset, .n_buffers = n_buffers, .buffers = f.buffers
    };
    f.item = (struct ArrowArray){ .n_buffers = 2, .buffers = f.item_buffers };
    f.dict = (struct ArrowArray){ .n_buffers = 3, .buffers = f.dict_buffers };
    f.top = (struct ArrowArray){ .length = n,
                                 .n_buffers = 1,
                                 .buffers = f.top_buffers,
                                 .n_children = 1,
                                 .children = f.arrays,
                                 .release = array_gone };
    return &f;
}

// Imports and shows the column as "a|b|c", or says "refused".
static const char *taken(rkp_pool *p, struct foreign *f)
{
    static char text[1024];
    size_t n = 0;
    rkp_batch *b = NULL;
    rkp_status st = rkp_arrow_import(p, &f->top_schema, &f->top, &b);

    assert_null(f->top_schema.release);
    assert_null(f->top.release);
    assert_true(f->released & 1);
    if (st == RKP_UNSUPPORTED) {
        assert_true(f->released & 2);
        assert_null(b);
        return "refused";
    }
    assert_int_equal(st, RKP_OK);
    assert_int_equal(f->released & 2, 0);
    text[0] = 0;
    for (uint32_t i = 0; i < b->rows; i++) {
        cell(b, i, 0, text + n);
        n += strlen(text + n);
        if (i + 1 < b->rows)
            text[n++] = '|';
        text[n] = 0;
    }
    rkp_batch_put(b);
    assert_true(f->released & 2);
    return text;
}

static const uint8_t bits[] = { 0xa5, 0x3c, 0xff, 0x00 }; // 1010 0101 0011 1100 from the lowest

static void foreign_numbers_are_read_at_any_offset(void **state)
{
    static const int32_t i32[] = { 0, 1, -2, 3, 4, 5, 6, 7, 8, 9, 10, 11 };
    static const double f64[] = { 0.5, 1.5, 2.5, 3.5 };
    struct foreign *f = foreign_new("i", 5, 2, 2);

    f->buffers[1] = i32;
    assert_string_equal(taken(*state, f), "-2|3|4|5|6");
    f = foreign_new("i", 5, 1, 2);
    f->buffers[1] = i32;
    f->buffers[0] = bits; // 1 0 1 0 0 1 0 1
    assert_string_equal(taken(*state, f), "null|-2|null|null|5");
    f = foreign_new("i", 5, 1, 2);
    f->buffers[1] = i32;
    f->buffers[0] = bits;
    f->array.null_count = 0; // then nobody looks
    assert_string_equal(taken(*state, f), "1|-2|3|4|5");
    f = foreign_new("b", 9, 3, 2);
    f->buffers[1] = bits;
    assert_string_equal(taken(*state, f), "false|false|true|false|true|false|false|true|true");
    f = foreign_new("b", 3, 8, 2);
    f->buffers[1] = bits;
    assert_string_equal(taken(*state, f), "false|false|true");
    f = foreign_new("g", 2, 0, 2);
    f->buffers[1] = (const char *)f64 + 4; // not aligned
    f->array.length = f->top.length = 1;
    assert_string_not_equal(taken(*state, f), "refused");
    f = foreign_new("g", 4, 0, 2);
    f->buffers[1] = f64;
    f->top.offset = 1; // the struct's offset is the children's too
    f->top.length = 3;
    assert_string_equal(taken(*state, f), "1.5|2.5|3.5");
    f = foreign_new("l", 0, 0, 2);
    assert_string_equal(taken(*state, f), "");
}

static void foreign_times_become_microseconds(void **state)
{
    static const int64_t v[] = { 1, -1, 1700000000 };
    static const int32_t days[] = { 0, 19723, -1 };
    static const int64_t far[] = { INT64_MAX, 0 };
    struct foreign *f = foreign_new("tss:Europe/Berlin", 3, 0, 2);

    f->buffers[1] = v;
    assert_string_equal(taken(*state, f), "1970-01-01T00:00:01Z|1969-12-31T23:59:59Z|2023-11-14T22:13:20Z");
    f = foreign_new("tsm:", 2, 0, 2);
    f->buffers[1] = v;
    assert_string_equal(taken(*state, f), "1970-01-01T00:00:00.001Z|1969-12-31T23:59:59.999Z");
    f = foreign_new("tsu:UTC", 2, 0, 2);
    f->buffers[1] = v;
    assert_string_equal(taken(*state, f), "1970-01-01T00:00:00.000001Z|1969-12-31T23:59:59.999999Z");
    f = foreign_new("tsn:", 2, 0, 2);
    f->buffers[1] = v;
    assert_string_equal(taken(*state, f), "1970-01-01T00:00:00Z|1969-12-31T23:59:59.999999Z");
    f = foreign_new("tdD", 3, 0, 2);
    f->buffers[1] = days;
    assert_string_equal(taken(*state, f), "1970-01-01T00:00:00Z|2024-01-01T00:00:00Z|1969-12-31T00:00:00Z");
    f = foreign_new("tss:", 2, 0, 2);
    f->buffers[1] = far;
    assert_string_equal(taken(*state, f), "refused");
    f = foreign_new("tss:", 2, 0, 2);
    f->buffers[1] = far;
    f->buffers[0] = "\x02"; // the far one is null
    assert_string_equal(taken(*state, f), "null|1970-01-01T00:00:00Z");
}

static void foreign_strings_are_read_and_checked(void **state)
{
    static const char data[] = "abcdefghijklmnopqrstuvwxyz\xc3\xa9";
    static const int32_t good[] = { 0, 0, 3, 20, 26, 28 }, falling[] = { 0, 5, 3 }, negative[] = { -1, 3 },
                         half[] = { 26, 27 };
    static const int64_t large[] = { 0, 3, 20, 26 }, far[] = { 0, INT64_MAX };
    static const char *const all = "|abc|defghijklmnopqrst|uvwxyz|\xc3\xa9";
    struct foreign *f = foreign_new("u", 5, 0, 3);

    f->buffers[1] = good;
    f->buffers[2] = data;
    assert_string_equal(taken(*state, f), all);
    f = foreign_new("z", 2, 2, 3);
    f->buffers[1] = good;
    f->buffers[2] = data;
    assert_string_equal(taken(*state, f), "defghijklmnopqrst|uvwxyz");
    f = foreign_new("U", 3, 0, 3);
    f->buffers[1] = large;
    f->buffers[2] = data;
    assert_string_equal(taken(*state, f), "abc|defghijklmnopqrst|uvwxyz");
    f = foreign_new("u", 3, 1, 3);
    f->buffers[1] = good;
    f->buffers[2] = data;
    f->buffers[0] = "\x0a"; // rows 1 and 3
    assert_string_equal(taken(*state, f), "abc|null|uvwxyz");
    f = foreign_new("u", 2, 0, 3);
    f->buffers[1] = falling;
    f->buffers[2] = data;
    assert_string_equal(taken(*state, f), "refused");
    f = foreign_new("u", 1, 0, 3);
    f->buffers[1] = negative;
    f->buffers[2] = data;
    assert_string_equal(taken(*state, f), "refused");
    f = foreign_new("u", 1, 0, 3);
    f->buffers[1] = half; // half a character
    f->buffers[2] = data;
    assert_string_equal(taken(*state, f), "refused");
    f = foreign_new("z", 1, 0, 3);
    f->buffers[1] = half;
    f->buffers[2] = data;
    assert_string_equal(taken(*state, f), "\xc3");
    f = foreign_new("U", 1, 0, 3);
    f->buffers[1] = far;
    f->buffers[2] = data;
    assert_string_equal(taken(*state, f), "refused");
    f = foreign_new("u", 1, 1, 3);
    f->buffers[1] = good; // no data, and three bytes of it
    assert_string_equal(taken(*state, f), "refused");
    f = foreign_new("u", 1, 0, 3);
    f->buffers[1] = good; // no data, and none of it
    assert_string_equal(taken(*state, f), "");
    f = foreign_new("u", 1, 0, 3);
    f->buffers[2] = data; // no offsets
    assert_string_equal(taken(*state, f), "refused");
    f = foreign_new("u", 0, 0, 3);
    assert_string_equal(taken(*state, f), "");
}

static void foreign_views_cannot_point_outside(void **state)
{
    static const char data[] = "abcdefghijklmnopqrstuvwxyz\xff";
    static const int64_t sizes[] = { 27, 10 };
    rkp_view v[2] = { { .len = 3, .u = { .inlined = "xyz" } }, { .len = 13, .u = { .ref = { "nopq", 0, 13 } } } };
    static const struct {
        int32_t len, buf, off;
        const char *want;
    } cases[] = {
        { 13, 0, 13, "xyz|nopqrstuvwxyz" },
        { 26, 0, 0, "xyz|abcdefghijklmnopqrstuvwxyz" },
        { 27, 0, 0, "refused" },
        { 14, 0, 13, "refused" },
        { 28, 0, 0, "refused" },
        { 13, 0, -1, "refused" },
        { 13, 2, 0, "refused" },
        { 13, -1, 0, "refused" },
        { 13, 1, 0, "refused" },
        { -1, 0, 0, "refused" },
        { INT32_MAX, 0, 0, "refused" },
        { INT32_MAX, 0, INT32_MAX, "refused" },
    };
    struct foreign *f;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        v[1] = (rkp_view){ .len = cases[i].len, .u = { .ref = { "nopq", cases[i].buf, cases[i].off } } };
        f = foreign_new("vu", 2, 0, 5);
        f->buffers[1] = v;
        f->buffers[2] = f->buffers[3] = data;
        f->buffers[4] = sizes;
        assert_string_equal(taken(*state, f), cases[i].want);
        f = foreign_new("vu", 2, 0, 5); // what a null says is not looked at
        f->buffers[0] = "\x01";
        f->buffers[1] = v;
        f->buffers[2] = f->buffers[3] = data;
        f->buffers[4] = sizes;
        assert_string_equal(taken(*state, f), "xyz|null");
    }
    f = foreign_new("vu", 2, 0, 5); // no sizes
    f->buffers[1] = v;
    f->buffers[2] = f->buffers[3] = data;
    assert_string_equal(taken(*state, f), "refused");
    v[1] = v[0];
    f = foreign_new("vz", 2, 0, 3); // no buffers are needed
    f->buffers[1] = v;
    assert_string_equal(taken(*state, f), "xyz|xyz");
}

static void foreign_dictionaries_are_expanded(void **state)
{
    static const char data[] = "redgreenblue";
    static const int32_t off[] = { 0, 3, 8, 12 };
    static const int8_t index[] = { 2, 0, 1, 1, -1, 3 };
    static const uint64_t wide[] = { 0, 2, UINT64_MAX };
    struct foreign *f;

    for (int how = 0; how < 5; how++) {
        f = foreign_new(how == 4 ? "L" : "c", how == 4 ? 2 : 4, 0, 2);
        f->schema.dictionary = &f->dict_schema;
        f->array.dictionary = &f->dict;
        f->dict.length = 3;
        f->dict_buffers[1] = off;
        f->dict_buffers[2] = data;
        f->buffers[1] = how == 4 ? (const void *)wide : index;
        if (how == 0)
            assert_string_equal(taken(*state, f), "blue|red|green|green");
        if (how == 1) {
            f->buffers[0] = "\x0d"; // rows 0, 2, 3
            f->dict_buffers[0] = "\x06";
            f->dict.null_count = 1; // red is null
            f->array.offset = 0;
            assert_string_equal(taken(*state, f), "blue|null|green|green");
        }
        if (how == 2) {
            f->array.length = f->top.length = 5; // -1
            assert_string_equal(taken(*state, f), "refused");
        }
        if (how == 3) {
            f->array.offset = 2;
            f->buffers[0] = "\x0c"; // of -1 and 3 nobody asks
            assert_string_equal(taken(*state, f), "green|green|null|null");
        }
        if (how == 4)
            assert_string_equal(taken(*state, f), "red|blue");
    }
    f = foreign_new("c", 4, 0, 2); // an empty dictionary
    f->schema.dictionary = &f->dict_schema;
    f->array.dictionary = &f->dict;
    f->buffers[1] = index;
    assert_string_equal(taken(*state, f), "refused");
    f = foreign_new("c", 4, 0, 2); // of which all are null
    f->schema.dictionary = &f->dict_schema;
    f->array.dictionary = &f->dict;
    f->buffers[1] = index;
    f->buffers[0] = "\0";
    assert_string_equal(taken(*state, f), "null|null|null|null");
    f = foreign_new("g", 1, 0, 2); // indexes are integers
    f->schema.dictionary = &f->dict_schema;
    f->array.dictionary = &f->dict;
    f->buffers[1] = wide;
    assert_string_equal(taken(*state, f), "refused");
    f = foreign_new("c", 4, 0, 2); // the array has none
    f->schema.dictionary = &f->dict_schema;
    f->buffers[1] = index;
    assert_string_equal(taken(*state, f), "refused");
    f = foreign_new("c", 4, 0, 2); // a dictionary of itself has no end
    f->schema.dictionary = &f->schema;
    f->array.dictionary = &f->array;
    f->buffers[1] = index;
    assert_string_equal(taken(*state, f), "refused");
}

static void foreign_fixed_lists_are_arrays(void **state)
{
    static const int32_t v[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 };
    struct foreign *f;

    for (int how = 0; how < 7; how++) {
        f = foreign_new(how == 3   ? "+w:0"
                        : how == 4 ? "+w:99999999999999999999"
                        : how == 5 ? "+w:2x"
                                   : "+w:2",
                        3, 1, 1);
        f->schema.n_children = f->array.n_children = 1;
        f->schema.children = f->items;
        f->array.children = f->item_arrays;
        f->item.length = how == 1 ? 7 : 8;
        f->item.offset = 1;
        f->item_buffers[1] = v;
        if (how == 2) {
            f->item.null_count = 1;
            f->item_buffers[0] = "\xf7\xff"; // element 3, which is the first one taken
        }
        if (how == 6) {
            f->item.null_count = 1;
            f->item_buffers[0] = "\xf7\xff";
            f->buffers[0] = "\x0c"; // in a row that is null
        }
        assert_string_equal(taken(*state, f), how == 0   ? "[4,5]|[6,7]|[8,9]"
                                              : how == 6 ? "null|[6,7]|[8,9]"
                                                         : "refused");
    }
    f = foreign_new("+w:2", 1, 0, 1);
    assert_string_equal(taken(*state, f), "refused"); // no child
}

static void what_is_not_ours_is_refused(void **state)
{
    static const char *const formats[] = { "n",   "e",   "d:10,2", "w:4", "+l", "+s", "+m",
                                           "tts", "tiM", "+vl",    "",    "x",  "vx", "+w:" };
    static const int64_t v[8] = { 0 };
    struct foreign *f;

    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        f = foreign_new(formats[i], 1, 0, 3);
        f->buffers[1] = f->buffers[2] = v;
        assert_string_equal(taken(*state, f), "refused");
    }
    for (int how = 0; how < 16; how++) {
        f = foreign_new("l", 2, 0, 2);
        f->buffers[1] = v;
        switch (how) {
        case 0:
            f->array.length = 1;
            break;
        case 1:
            f->array.length = -1;
            break;
        case 2:
            f->array.offset = -1;
            break;
        case 3:
            f->array.n_buffers = 1;
            break;
        case 4:
            f->array.buffers = NULL;
            break;
        case 5:
            f->buffers[1] = NULL;
            break;
        case 6:
            f->top.length = -1;
            break;
        case 7:
            f->top.length = (int64_t)INT32_MAX + 1;
            break;
        case 8:
            f->top.n_children = 0;
            break;
        case 9:
            f->top.children = NULL;
            break;
        case 10:
            f->arrays[0] = NULL;
            break;
        case 11:
            f->schemas[0] = NULL;
            break;
        case 12:
            f->schema.format = NULL;
            break;
        case 13:
            f->top_schema.format = "l";
            break;
        case 14:
            f->top.null_count = 1; // a row that is null as a whole
            f->top_buffers[0] = "\x01";
            break;
        default:
            f->array.offset = INT64_MAX;
            break;
        }
        assert_string_equal(taken(*state, f), "refused");
    }
    f = foreign_new("l", 2, 0, 2); // a null struct row that nobody says is there
    f->buffers[1] = v;
    f->top.null_count = -1;
    f->top_buffers[0] = "\x03";
    f->schema.name = NULL;
    assert_string_equal(taken(*state, f), "0|0");
}

static void what_was_released_is_refused(void **state)
{
    struct ArrowSchema schema = { .format = "+s" };
    struct ArrowArray array = { 0 };
    rkp_batch *b = NULL;

    assert_int_equal(rkp_arrow_import(*state, &schema, &array, &b), RKP_UNSUPPORTED);
    assert_null(b);
}

static void no_memory_releases_everything(void **state)
{
    struct schema_of_all a;

    (void)state;
    if (!nomem_works())
        skip();
    schema_init(&a);
    for (long nth = 1;; nth++) {
        rkp_pool *p = rkp_pool_new(64 << 20);
        struct ArrowSchema schema = { 0 };
        struct ArrowArray array = { 0 };
        rkp_status st[3] = { RKP_NOMEM, RKP_NOMEM, RKP_NOMEM };
        rkp_batch *b, *s = NULL, *back = NULL;
        bool done;

        nomem_from(nth);
        b = all_types(p, &a.s, 2000);
        if (b)
            s = rkp_batch_slice(b, 3, 1500);
        if (s)
            st[0] = rkp_arrow_export(s, &array);
        st[1] = rkp_arrow_export_schema(&a.s, &schema);
        if (st[0] == RKP_OK && st[1] == RKP_OK)
            st[2] = rkp_arrow_import(p, &schema, &array, &back);
        done = nomem_count() < nth;
        nomem_at(0);
        assert_int_equal(done, st[2] == RKP_OK);
        if (array.release)
            array.release(&array);
        if (schema.release)
            schema.release(&schema);
        rkp_batch_put(back);
        rkp_batch_put(s);
        rkp_batch_put(b);
        assert_int_equal(rkp_pool_used(p), 0);
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
        CASE(every_type_survives_the_way_out_and_in),
        CASE(selections_are_flattened),
        CASE(text_is_parsed_on_the_way_out_or_refused),
        CASE(children_may_be_moved_and_outlive_the_rest),
        CASE(release_may_come_from_another_thread),
        CASE(foreign_numbers_are_read_at_any_offset),
        CASE(foreign_times_become_microseconds),
        CASE(foreign_strings_are_read_and_checked),
        CASE(foreign_views_cannot_point_outside),
        CASE(foreign_dictionaries_are_expanded),
        CASE(foreign_fixed_lists_are_arrays),
        CASE(what_is_not_ours_is_refused),
        CASE(what_was_released_is_refused),
        CASE(no_memory_releases_everything),
    };

    return cmocka_run_group_tests_name("arrow", tests, NULL, NULL);
}
