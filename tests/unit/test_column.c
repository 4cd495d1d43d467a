// Tests of rkpipe/batch.h: columns out of text, selections, building and casting.
#include "data/parse_sse.h"
#include "data/text.h"
#include "nomem.h"
#include "pool_case.h"
#include <rkpipe/batch.h>
#include <rkpipe/num.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

// One TEXT column of n rows.  The text is in a block of its own size, so that reading past it is noticed.
struct input {
    char *base;
    uint32_t *pos;
    rkp_text text;
    rkp_batch *b;
};

static struct input *input_new(rkp_pool *p, unsigned kind, const char *type, const rkp_str *v, uint32_t n)
{
    struct input *in = calloc(1, sizeof *in);
    size_t bytes = 1, at = 0;

    for (uint32_t i = 0; i < n; i++)
        bytes += v[i].n + 1;
    in->base = malloc(bytes);
    in->pos = malloc((2 * (size_t)n + 1) * sizeof *in->pos);
    in->base[at++] = '\n';
    for (uint32_t i = 0; i < n; i++) {
        in->pos[2 * i] = v[i].p ? (uint32_t)at - 1 : RKP_NO_TEXT;
        if (v[i].n)
            memcpy(in->base + at, v[i].p, v[i].n);
        at += v[i].n;
        in->pos[2 * i + 1] = (uint32_t)at;
        in->base[at++] = '\n';
    }
    in->text = (rkp_text){ .base = in->base, .len = (uint32_t)bytes, .kind = (uint8_t)kind };
    if (kind == RKP_TEXT_CSV) {
        in->text.quote = '"';
        in->text.delim = ',';
    }
    in->b = rkp_batch_new(p, NULL, 1, 0);
    in->b->rows = n;
    in->b->cols[0] = (rkp_col){ .rep = RKP_TEXT, .stride = 2, .pos = in->pos, .text = &in->text };
    assert_true(rkp_type_parse(rkp_str_of(type), &in->b->cols[0].type));
    return in;
}

static struct input *input_of(rkp_pool *p, unsigned kind, const char *type, const char *const *v, uint32_t n)
{
    rkp_str *s = calloc(n + 1, sizeof *s);
    struct input *in;

    for (uint32_t i = 0; i < n; i++)
        s[i] = rkp_str_of(v[i]);
    in = input_new(p, kind, type, s, n);
    free(s);
    return in;
}

static void input_free(struct input *in)
{
    rkp_batch_put(in->b);
    free(in->base);
    free(in->pos);
    free(in);
}

// The value of a flat column as text: "null", or what a cast to string would give.
static const char *shown(const rkp_col *c, uint32_t row, char *to)
{
    size_t w = rkp_kind_width(c->type.kind), n = 0;
    uint8_t flag;

    if (rkp_col_is_null(c, row))
        return "null";
    if (rkp_kind_is_view(c->type.kind)) {
        rkp_str s = rkp_view_str(c, row);

        memcpy(to, s.p, s.n);
        to[s.n] = 0;
        return to;
    }
    if (c->type.len) {
        for (uint32_t i = 0; i < c->type.len; i++) {
            to[n++] = i ? ' ' : '[';
            n += rki_value_print(to + n, c->type.kind, (const char *)c->values + (row * c->type.len + i) * w);
        }
        to[n++] = ']';
    } else if (c->type.kind == RKP_BOOL) {
        flag = rkp_bit(c->values, row);
        n = rki_value_print(to, RKP_BOOL, &flag);
    } else {
        n = rki_value_print(to, c->type.kind, (const char *)c->values + row * w);
    }
    to[n] = 0;
    return to;
}

// ---- text to values -------------------------------------------------------------------------------------------------

static const struct text_case {
    const char *type, *text, *want; // want: NULL is an error
} csv_cases[] = {
    { "bool", "true", "true" },
    { "bool", "false", "false" },
    { "bool", "\"true\"", "true" },
    { "bool", "True", NULL },
    { "bool", "1", NULL },
    { "bool", "fals", NULL },
    { "i8", "127", "127" },
    { "i8", "-128", "-128" },
    { "i8", "128", NULL },
    { "i8", "-129", NULL },
    { "i16", "-32768", "-32768" },
    { "i16", "32768", NULL },
    { "i32", "2147483647", "2147483647" },
    { "i32", "2147483648", NULL },
    { "i64", "0", "0" },
    { "i64", "+7", "7" },
    { "i64", "-0", "0" },
    { "i64", "007", "7" },
    { "i64", "12345678", "12345678" },
    { "i64", "-123456789", "-123456789" },
    { "i64", "1234567890123456", "1234567890123456" },
    { "i64", "-9223372036854775808", "-9223372036854775808" },
    { "i64", "9223372036854775807", "9223372036854775807" },
    { "i64", "9223372036854775808", NULL },
    { "i64", "1.0", NULL },
    { "i64", "-", NULL },
    { "i64", " 1", NULL },
    { "i64", "1 ", NULL },
    { "i64", "1e3", NULL },
    { "i64", "\"42\"", "42" },
    { "i64", "\"4\"\"2\"", NULL },
    { "i64", "", "null" },
    { "i64", "\"\"", "null" },
    { "i64", "NA", "null" },
    { "i64", "\"NA\"", "null" },
    { "i64", "na", NULL },
    { "u8", "255", "255" },
    { "u8", "256", NULL },
    { "u8", "-1", NULL },
    { "u8", "-0", "0" },
    { "u16", "65535", "65535" },
    { "u16", "65536", NULL },
    { "u32", "4294967295", "4294967295" },
    { "u32", "4294967296", NULL },
    { "u64", "18446744073709551615", "18446744073709551615" },
    { "u64", "18446744073709551616", NULL },
    { "u64", "9223372036854775808", "9223372036854775808" },
    { "f32", "0.1", "0.1" },
    { "f32", "16777217", "16777216.0" },
    { "f32", "-3.4028235e38", "-3.4028235e+38" },
    { "f32", "1e39", "inf" },
    { "f64", "0.1", "0.1" },
    { "f64", "-12.5", "-12.5" },
    { "f64", "-0", "-0.0" },
    { "f64", "100", "100.0" },
    { "f64", "1234.5678", "1234.5678" },
    { "f64", "12345678.12345678", "12345678.12345678" },
    { "f64", "9007199254740993", "9007199254740992.0" },
    { "f64", "123456789012345678901234567890", "1.2345678901234568e+29" },
    { "f64", "1e300", "1e+300" },
    { "f64", ".5", "0.5" },
    { "f64", "5.", "5.0" },
    { "f64", ".", NULL },
    { "f64", "-.", NULL },
    { "f64", "-", NULL },
    { "f64", "1.2.3", NULL },
    { "f64", "1234.5678.9", NULL },
    { "f64", "1,5", NULL },
    { "f64", "nan", "nan" },
    { "f64", "-inf", "-inf" },
    { "f64", "0x10", NULL },
    { "f64", "12a", NULL },
    { "timestamp", "2024-02-29T12:34:56Z", "2024-02-29T12:34:56Z" },
    { "timestamp", "2024-02-29 12:34", "2024-02-29T12:34:00Z" },
    { "timestamp", "2024-02-29T12:34:56.789+02:00", "2024-02-29T10:34:56.789Z" },
    { "timestamp", "\"2024-02-29T12:34:56.000001Z\"", "2024-02-29T12:34:56.000001Z" },
    { "timestamp", "2023-02-29T12:34:56Z", NULL },
    { "timestamp", "1700000000", NULL },
    { "string", "plain", "plain" },
    { "string", "a longer text than a view holds", "a longer text than a view holds" },
    { "string", "twelve bytes", "twelve bytes" },
    { "string", "thirteen byte", "thirteen byte" },
    { "string", "\"in quotes\"", "in quotes" },
    { "string", "\"he said \"\"no\"\"\"", "he said \"no\"" },
    { "string", "\"a long text with one \"\" quote in the middle\"", "a long text with one \" quote in the middle" },
    { "string", "\"\"\"\"", "\"" },
    { "string", "mid\"dle", "mid\"dle" },
    { "string", "\"open", NULL },
    { "string", "\"", NULL },
    { "string", "\"a\"b\"", NULL },
    { "string", "\"a\"b", NULL },
    { "string", "", "null" },
    { "string", "NA", "null" },
    { "string", "\"NA\"", "null" },
    { "string", "NAN", "NAN" },
    { "string", "gr\xc3\xbc\xc3\x9f" "e", "gr\xc3\xbc\xc3\x9f" "e" },
    { "string", "not \xff utf8", NULL },
    { "string", "\"cut \xc3\"", NULL },
    { "bytes", "not \xff utf8", "not \xff utf8" },
    { "json", "{\"a\":[1,2.5e3,true,null,\"x\"]}", "{\"a\":[1,2.5e3,true,null,\"x\"]}" },
    { "json", "\"{\"\"a\"\":1}\"", "{\"a\":1}" },
    { "json", "{a:1}", NULL },
    { "json", "12", "12" },
    { "json", "012", NULL },
    { "f32[3]", "\"[1, 2.5,-3]\"", "[1.0 2.5 -3.0]" },
    { "i64[2]", "\"[1,2,3]\"", NULL },
    { "i64[2]", "\"[1]\"", NULL },
    { "i64[2]", "[7;8]", NULL },
    { "i8[1]", "[-5]", "[-5]" },
    { "i8[1]", "[300]", NULL },
    { "i8[1]", "", "null" },
}, json_cases[] = {
    { "bool", "true", "true" },
    { "bool", "null", "null" },
    { "bool", "0", NULL },
    { "i64", "12", "12" },
    { "i64", "\"12\"", "12" },
    { "i64", "12.0", NULL },
    { "i64", "null", "null" },
    { "i64", "nul", NULL },
    { "f64", "-1.25e-3", "-0.00125" },
    { "f64", "\"NaN\"", "nan" },
    { "timestamp", "\"2024-01-01T00:00:00Z\"", "2024-01-01T00:00:00Z" },
    { "timestamp", "\"2024-01-01T00:00:00\\u005a\"", "2024-01-01T00:00:00Z" },
    { "timestamp", "\"2024-01-01T00:00:00Z", NULL },
    { "timestamp", "12", NULL },
    { "string", "\"\"", "" },
    { "string", "\"abc\"", "abc" },
    { "string", "\"a much longer text, as it happens\"", "a much longer text, as it happens" },
    { "string", "\"tab\\t nl\\n quote\\\" back\\\\ slash\\/ \\b\\f\\r\"", "tab\t nl\n quote\" back\\ slash/ \b\f\r" },
    { "string", "\"\\u00e9\\u20AC\\uD83D\\uDE00\"", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80" },
    { "string", "\"\\ud83d\"", NULL },
    { "string", "\"\\ude00\\ud83d\"", NULL },
    { "string", "\"\\ud83d\\u0041\"", NULL },
    { "string", "\"\\u12g4\"", NULL },
    { "string", "\"\\u12\"", NULL },
    { "string", "\"\\x\"", NULL },
    { "string", "\"\\\"", NULL },
    { "string", "\"open", NULL },
    { "string", "\"", NULL },
    { "string", "12.50", "12.50" },
    { "string", "true", "true" },
    { "string", "{\"a\": [1]}", "{\"a\": [1]}" },
    { "string", "null", "null" },
    { "string", "\"null\"", "null" }, // shown alike; told apart below
    { "string", "\"\xff\"", NULL },
    { "json", "\"abc\"", "\"abc\"" },
    { "json", "null", "null" },
    { "json", "[1, {\"b\":\"\\u00e9\"}]", "[1, {\"b\":\"\\u00e9\"}]" },
    { "json", "[1,]", NULL },
    { "f64[2]", "[1.5, 2]", "[1.5 2.0]" },
    { "f64[2]", "[1.5, null]", NULL },
    { "f64[2]", "null", "null" },
}, raw_cases[] = {
    { "string", "\"as it is\"", "\"as it is\"" },
    { "string", "", "" },
    { "string", "NA", "NA" },
    { "i64", "5", "5" },
    { "i64", "", NULL },
    { "f64", "2.5", "2.5" },
};

static void check_text(rkp_pool *p, unsigned kind, const struct text_case *t, bool lone)
{
    static const rkp_str nulls[] = { { "", 0 }, { "NA", 2 } };
    // Long neighbours let the short forms look past the end of the text; without them they must not.
    const char *v[3] = { lone ? t->text : "0000000000000000000000000000000000", t->text,
                         "99999999999999999999999999999" };
    const char *one[1] = { t->text };
    struct input *in = lone ? input_of(p, kind, t->type, one, 1) : input_of(p, kind, t->type, v, 3);
    uint32_t row = lone ? 0 : 1;
    rkp_batch *mem = rkp_batch_new(p, NULL, 0, 0);
    rkp_errs errs = { 0 };
    char buf[256];
    rkp_col out;

    in->text.nulls = nulls;
    in->text.n_nulls = kind == RKP_TEXT_CSV ? 2 : 0;
    assert_int_equal(rkp_col_flat(mem, in->b, 0, &row, 1, &out, &errs), RKP_OK);
    assert_int_equal(out.phys_rows, 1);
    if (t->want) {
        if (errs.n || strcmp(shown(&out, 0, buf), t->want) != 0)
            fail_msg("%s '%s': %s, %u errors", t->type, t->text, shown(&out, 0, buf), errs.n);
    } else {
        if (errs.n != 1 || !rkp_col_is_null(&out, 0))
            fail_msg("%s '%s' was taken: %s", t->type, t->text, shown(&out, 0, buf));
        assert_int_equal(errs.v[0].row, row);
        assert_int_equal(errs.v[0].col, 0);
    }
    if (rkp_kind_is_view(in->b->cols[0].type.kind)) {
        rkp_str s;

        rkp_errs_clear(&errs);
        assert_int_equal(rkp_col_strs(mem, in->b, 0, &row, 1, &s, &errs), RKP_OK);
        assert_int_equal(errs.n, !t->want);
        assert_int_equal(!s.p, rkp_col_is_null(&out, 0));
        if (s.p)
            assert_true(rkp_str_eq(s, rkp_view_str(&out, 0)));
    }
    rkp_errs_fini(&errs);
    rkp_batch_put(mem);
    input_free(in);
}

static void texts_become_values_or_errors(void **state)
{
    for (int lone = 0; lone < 2; lone++) {
        for (size_t i = 0; i < sizeof csv_cases / sizeof *csv_cases; i++)
            check_text(*state, RKP_TEXT_CSV, &csv_cases[i], lone);
        for (size_t i = 0; i < sizeof json_cases / sizeof *json_cases; i++)
            check_text(*state, RKP_TEXT_JSON, &json_cases[i], lone);
        for (size_t i = 0; i < sizeof raw_cases / sizeof *raw_cases; i++)
            check_text(*state, RKP_TEXT_RAW, &raw_cases[i], lone);
    }
}

static void absent_texts_are_null(void **state)
{
    const char *v[] = { "1", NULL, "3" };
    static const char *const types[] = { "i64", "f64", "bool", "string", "json", "timestamp", "u8", "f32[2]" };

    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        struct input *in = input_of(*state, RKP_TEXT_JSON, types[t], v, 3);
        rkp_batch *mem = rkp_batch_new(*state, NULL, 0, 0);
        rkp_str s[3];
        rkp_col out;

        assert_int_equal(rkp_col_flat(mem, in->b, 0, NULL, 3, &out, NULL), RKP_OK);
        assert_true(rkp_col_is_null(&out, 1));
        assert_int_equal(rkp_col_strs(mem, in->b, 0, NULL, 3, s, NULL), RKP_OK);
        assert_null(s[1].p);
        assert_true(rkp_str_is(s[2], "3"));
        assert_null(rkp_col_raw(&in->b->cols[0], 1).p);
        assert_true(rkp_str_is(rkp_col_raw(&in->b->cols[0], 2), "3"));
        rkp_batch_put(mem);
        input_free(in);
    }
}

static void a_json_null_is_not_the_word_in_quotes(void **state)
{
    const char *v[] = { "null", "\"null\"" };
    struct input *in = input_of(*state, RKP_TEXT_JSON, "string", v, 2);
    rkp_batch *mem = rkp_batch_new(*state, NULL, 0, 0);
    rkp_str s[2];

    assert_int_equal(rkp_col_strs(mem, in->b, 0, NULL, 2, s, NULL), RKP_OK);
    assert_null(s[0].p);
    assert_true(rkp_str_is(s[1], "null"));
    rkp_batch_put(mem);
    input_free(in);
}

static void a_carriage_return_ends_the_last_field_only(void **state)
{
    const char *v[] = { "12\r", "\"a\"\r", "\r", "x\r\r", "" };
    struct input *in = input_of(*state, RKP_TEXT_CSV, "string", v, 5);
    rkp_batch *mem = rkp_batch_new(*state, NULL, 0, 0);
    rkp_str s[5];
    rkp_col out;

    in->text.cr = true;
    assert_int_equal(rkp_col_strs(mem, in->b, 0, NULL, 5, s, NULL), RKP_OK);
    assert_true(rkp_str_is(s[0], "12\r"));
    in->b->cols[0].last = true;
    assert_int_equal(rkp_col_strs(mem, in->b, 0, NULL, 5, s, NULL), RKP_OK);
    assert_true(rkp_str_is(s[0], "12"));
    assert_true(rkp_str_is(s[1], "a"));
    assert_true(rkp_str_is(s[2], "") && s[2].p);
    assert_true(rkp_str_is(s[3], "x\r"));
    assert_true(rkp_str_is(s[4], ""));
    assert_true(rkp_str_is(rkp_col_raw(&in->b->cols[0], 1), "\"a\""));
    in->b->cols[0].type.kind = RKP_I64;
    assert_int_equal(rkp_col_flat(mem, in->b, 0, NULL, 1, &out, NULL), RKP_OK);
    assert_int_equal(*(const int64_t *)out.values, 12);
    rkp_batch_put(mem);
    input_free(in);
}

static void a_number_may_mean_null(void **state)
{
    static const rkp_str nulls[] = { { "-999", 4 }, { "true", 4 } };
    const char *v[] = { "1", "-999", "\"-999\"", "-9990" }, *flags[] = { "true", "false" };
    struct input *in = input_of(*state, RKP_TEXT_CSV, "i64", v, 4);
    rkp_batch *mem = rkp_batch_new(*state, NULL, 0, 0);
    rkp_col out;

    in->text.nulls = nulls;
    in->text.n_nulls = 2;
    assert_int_equal(rkp_col_flat(mem, in->b, 0, NULL, 4, &out, NULL), RKP_OK);
    assert_false(rkp_col_is_null(&out, 0));
    assert_true(rkp_col_is_null(&out, 1));
    assert_true(rkp_col_is_null(&out, 2));
    assert_int_equal(((const int64_t *)out.values)[3], -9990);
    input_free(in);
    in = input_of(*state, RKP_TEXT_CSV, "bool", flags, 2);
    in->text.nulls = nulls;
    in->text.n_nulls = 2;
    assert_int_equal(rkp_col_flat(mem, in->b, 0, NULL, 2, &out, NULL), RKP_OK);
    assert_true(rkp_col_is_null(&out, 0));
    assert_false(rkp_col_is_null(&out, 1));
    input_free(in);
    rkp_batch_put(mem);
}

static void what_was_wrong_is_kept_cut_between_characters(void **state)
{
    char longer[200];
    const char *v[] = { "x", longer };
    struct input *in;
    rkp_batch *mem = rkp_batch_new(*state, NULL, 0, 0);
    rkp_errs errs = { 0 };
    rkp_col out;

    for (size_t i = 0; i < sizeof longer - 3; i += 3)
        memcpy(longer + i, "\xe2\x82\xac", 4);
    in = input_of(*state, RKP_TEXT_CSV, "f64", v, 2);
    assert_int_equal(rkp_col_flat(mem, in->b, 0, NULL, 2, &out, &errs), RKP_OK);
    assert_int_equal(errs.n, 2);
    assert_true(rkp_str_is(errs.v[0].what, "x"));
    assert_int_equal(errs.v[0].code, RKP_ROW_PARSE);
    assert_int_equal(errs.v[1].what.n, 63);
    input_free(in); // `what` does not need it
    assert_int_equal(errs.v[1].what.p[62], (char)0xac);
    rkp_errs_fini(&errs);
    rkp_batch_put(mem);
}

static void decoding_one_text_says_null_bad_or_what_it_is(void **state)
{
    static const rkp_str nulls[] = { { "", 0 } };
    rkp_batch *mem = rkp_batch_new(*state, NULL, 0, 0);
    rkp_text text = { .kind = RKP_TEXT_CSV, .quote = '"', .nulls = nulls, .n_nulls = 1 };
    rkp_col c = { .type = RKP_TYPE(RKP_STRING), .rep = RKP_TEXT, .text = &text };
    rkp_str out;
    bool bad;

    assert_true(rkp_text_decode(mem, &c, RKP_STR("\"a\"\"b\""), &out, &bad));
    assert_true(rkp_str_is(out, "a\"b") && !bad);
    assert_false(rkp_text_decode(mem, &c, RKP_STR("\"\""), &out, &bad));
    assert_true(!out.p && !bad);
    assert_false(rkp_text_decode(mem, &c, RKP_STR("\"a"), &out, &bad));
    assert_true(bad);
    assert_false(rkp_text_decode(mem, &c, (rkp_str){ 0 }, &out, &bad));
    assert_false(bad);
    text.quote = '\'';
    assert_true(rkp_text_decode(mem, &c, RKP_STR("'it''s'"), &out, &bad));
    assert_true(rkp_str_is(out, "it's"));
    text.quote = 0;
    assert_true(rkp_text_decode(mem, &c, RKP_STR("'x'"), &out, &bad));
    assert_true(rkp_str_is(out, "'x'"));
    rkp_batch_put(mem);
}

// ---- rows and selections --------------------------------------------------------------------------------------------

static unsigned seed = 12345;

static unsigned rnd(unsigned below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

static size_t random_text(unsigned kind, char *to)
{
    static const char *const odd[] = { "",
                                       "NA",
                                       "\"NA\"",
                                       "x",
                                       "-",
                                       "1e5",
                                       "\"17\"",
                                       "+3",
                                       "true",
                                       "99999999999999999999",
                                       "\"a\"\"b is a longer text\"",
                                       "2024-05-06T07:08:09Z",
                                       "\"q" };
    size_t n = 0;

    if (rnd(8) == 0) {
        const char *s = odd[rnd(sizeof odd / sizeof *odd)];

        memcpy(to, s, strlen(s));
        return strlen(s);
    }
    switch (kind) {
    case RKP_BOOL:
        return (size_t)sprintf(to, "%s", rnd(2) ? "true" : "false");
    case RKP_TIMESTAMP:
        return (size_t)sprintf(to, "20%02u-%02u-%02uT%02u:%02u:%02u.%03uZ", rnd(99), 1 + rnd(12), 1 + rnd(30), rnd(24),
                               rnd(60), rnd(60), rnd(1000));
    case RKP_STRING:
    case RKP_BYTES:
        for (n = rnd(30); n > 0; n--)
            to[n - 1] = (char)('a' + rnd(26));
        return rnd(30) ? (size_t)sprintf(to, "%.*s", (int)rnd(30), "abcdefghijklmnopqrstuvwxyz0123") : 0;
    default:
        if (rnd(4) == 0)
            to[n++] = '-';
        for (unsigned k = 1 + rnd(rnd(3) ? 3 : 17); k > 0; k--)
            to[n++] = (char)('0' + rnd(10));
        if (rkp_kind_is_float(kind) && rnd(3)) {
            to[n++] = '.';
            for (unsigned k = rnd(9); k > 0; k--)
                to[n++] = (char)('0' + rnd(10));
        }
        return n;
    }
}

// What one row must give, by the slow and simple way.
static const char *expected(rkp_batch *mem, const rkp_col *c, uint32_t row, char *to)
{
    uint64_t v[2] = { 0 };
    rkp_str s;
    bool bad;
    size_t n;

    if (!rkp_text_decode(mem, c, rkp_col_raw(c, row), &s, &bad))
        return bad ? "error" : "null";
    if (rkp_kind_is_view(c->type.kind)) {
        memcpy(to, s.p, s.n);
        to[s.n] = 0;
        return to;
    }
    if (!rki_value_parse(c->type.kind, s.p, s.n, v))
        return "error";
    n = rki_value_print(to, c->type.kind, v);
    to[n] = 0;
    return to;
}

static void check_random(rkp_pool *p, unsigned kind, bool with_rows, bool with_sel)
{
    static const rkp_str nulls[] = { { "", 0 }, { "NA", 2 } };
    enum { PHYS = 900 };
    char texts[PHYS][64], a[64], b[64];
    rkp_str v[PHYS];
    uint32_t sel[1500], rows[1100], n_logical = with_sel ? 1500 : PHYS, n = with_rows ? 1100 : n_logical, e = 0;
    struct input *in;
    rkp_batch *mem = rkp_batch_new(p, NULL, 0, 0);
    rkp_errs errs = { 0 };
    rkp_col out, *c;

    for (uint32_t i = 0; i < PHYS; i++)
        v[i] = (rkp_str){ texts[i], random_text(kind, texts[i]) };
    for (uint32_t i = 0; i < 1500; i++)
        sel[i] = rnd(PHYS);
    for (uint32_t i = 0; i < 1100; i++)
        rows[i] = rnd(n_logical);
    in = input_new(p, RKP_TEXT_CSV, rkp_kind_name(kind), v, PHYS);
    in->text.nulls = nulls;
    in->text.n_nulls = 2;
    in->b->rows = n_logical;
    c = &in->b->cols[0];
    c->sel = with_sel ? sel : NULL;
    assert_int_equal(rkp_col_flat(mem, in->b, 0, with_rows ? rows : NULL, n, &out, &errs), RKP_OK);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t row = with_rows ? rows[i] : i;
        const char *want = expected(mem, c, row, a);

        if (strcmp(want, "error") == 0) {
            if (e && errs.v[e - 1].row == row) // a row appears once
                continue;
            assert_true(e < errs.n);
            assert_int_equal(errs.v[e].row, row);
            e++;
            want = "null";
        }
        assert_string_equal(shown(&out, i, b), want);
    }
    assert_int_equal(e, errs.n);
    // The dense column again through rows and a selection, as flat columns go.
    in->b->cols[0] = out;
    in->b->rows = n;
    if (n == 1500) {
        rkp_col twice;

        in->b->cols[0].sel = with_sel ? sel : NULL;
        assert_int_equal(rkp_col_flat(mem, in->b, 0, rows, 1100, &twice, &errs), RKP_OK);
        for (uint32_t i = 0; i < 1100; i++)
            assert_string_equal(shown(&twice, i, a), shown(&out, with_sel ? sel[rows[i]] : rows[i], b));
    }
    rkp_errs_fini(&errs);
    rkp_batch_put(mem);
    input_free(in);
}

static void selections_of_random_text_agree_with_one_at_a_time(void **state)
{
    for (unsigned kind = 0; kind < RKP_JSON; kind++)
        for (unsigned how = 0; how < 4; how++)
            check_random(*state, kind, how & 1, how & 2);
}

#ifdef RKI_SSE
RKI_SSE static bool wide_f64(const char *p, uint32_t n, double *out)
{
    return rki_sse_f64(p, n, out);
}

RKI_SSE static bool wide_i64(const char *p, uint32_t n, int64_t *out)
{
    return rki_sse_i64(p, n, out);
}
#endif

static void short_numbers_agree_with_the_exact_parsers(void **state)
{
    size_t taken = 0;

    static const char letters[] = "01234567890123456789.-+e x";

    (void)state;
    for (int round = 0; round < 300000; round++) {
        char text[RKI_PARSE_READS + 18];
        uint32_t n = 1 + rnd(RKI_PARSE_READS);
        double d, exact_d;
        float f, exact_f;
        int64_t i, exact_i;

        for (size_t k = 0; k < sizeof text; k++)
            text[k] = letters[rnd(rnd(5) ? 10 : sizeof letters - 1)];
        if (rki_short_f64(text, n, &d)) {
            assert_true(rkp_parse_f64(text, n, &exact_d));
            assert_memory_equal(&d, &exact_d, sizeof d);
        }
        if (rki_short_f32(text, n, &f)) {
            assert_true(rkp_parse_f32(text, n, &exact_f));
            assert_memory_equal(&f, &exact_f, sizeof f);
        }
        if (rki_short_i64(text, n, &i)) {
            assert_true(rkp_parse_i64(text, n, &exact_i));
            assert_true(i == exact_i);
            taken++;
        }
#ifdef RKI_SSE
        if (!rki_sse())
            continue;
        if (wide_f64(text, n, &d)) {
            assert_true(rkp_parse_f64(text, n, &exact_d));
            assert_memory_equal(&d, &exact_d, sizeof d);
            taken++;
        }
        if (wide_i64(text, n, &i)) {
            assert_true(rkp_parse_i64(text, n, &exact_i));
            assert_true(i == exact_i);
            taken++;
        }
#endif
    }
    assert_true(taken > 100000);
}

static void flat_columns_of_every_width_are_gathered(void **state)
{
    static const char *const types[] = { "bool?", "i8",         "i16?",   "u32",    "i64?",
                                         "f64",   "timestamp?", "i8[3]?", "f32[5]", "u64[2]" };
    enum { ROWS = 700 };
    uint32_t sel[ROWS], rows[400];

    for (uint32_t i = 0; i < ROWS; i++)
        sel[i] = rnd(ROWS);
    for (uint32_t i = 0; i < 400; i++)
        rows[i] = rnd(ROWS);
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        rkp_batch *b = rkp_batch_new(*state, NULL, 1, 0), *mem = rkp_batch_new(*state, NULL, 0, 0);
        rkp_type type;
        unsigned char *values = rkp_batch_alloc(b, ROWS * 32);
        uint8_t *valid = rkp_batch_alloc(b, ROWS);
        char x[256], y[256];
        rkp_col all, out;

        assert_true(rkp_type_parse(rkp_str_of(types[t]), &type));
        for (uint32_t i = 0; i < ROWS * 32; i++)
            values[i] = (unsigned char)rnd(128);
        for (uint32_t i = 0; i < ROWS; i++)
            valid[i] = (uint8_t)rnd(256);
        rkp_col_set_values(b, 0, type, values, type.nullable ? valid : NULL, ROWS);
        b->rows = ROWS;
        assert_int_equal(rkp_col_flat(mem, b, 0, NULL, ROWS, &all, NULL), RKP_OK);
        assert_ptr_equal(all.values, values); // dense already
        b->cols[0].sel = sel;
        assert_int_equal(rkp_col_flat(mem, b, 0, rows, 400, &out, NULL), RKP_OK);
        assert_null(out.sel);
        for (uint32_t i = 0; i < 400; i++)
            assert_string_equal(shown(&out, i, x), shown(&all, sel[rows[i]], y));
        assert_int_equal(rkp_col_strs(mem, b, 0, NULL, 1, &(rkp_str){ 0 }, NULL), RKP_INTERNAL);
        rkp_batch_put(b);
        rkp_batch_put(mem);
    }
}

static void strings_are_set_and_read_back(void **state)
{
    rkp_batch *b = rkp_batch_new(*state, NULL, 2, 0);
    rkp_str v[300], s[300];
    char text[300];

    memset(text, 'x', sizeof text);
    for (uint32_t i = 0; i < 300; i++)
        v[i] = i % 7 == 3 ? (rkp_str){ NULL, 0 } : (rkp_str){ text, i };
    b->rows = 300;
    assert_int_equal(rkp_col_set_strs(b, 0, RKP_NTYPE(RKP_STRING), v, 300), RKP_OK);
    memset(text, 'y', sizeof text);
    assert_int_equal(rkp_col_strs(b, b, 0, NULL, 300, s, NULL), RKP_OK);
    for (uint32_t i = 0; i < 300; i++) {
        assert_int_equal(s[i].p != NULL, i % 7 != 3);
        assert_int_equal(s[i].n, i % 7 == 3 ? 0 : i);
        if (s[i].n)
            assert_int_equal(s[i].p[i - 1], 'x');
    }
    for (uint32_t i = 0; i < b->cols[0].n_bufs; i++)
        assert_true(b->cols[0].buf_sizes[i] > 0);
    assert_int_equal(rkp_col_set_strs(b, 1, RKP_TYPE(RKP_STRING), v, 3), RKP_OK);
    assert_null(b->cols[1].valid);
    rkp_batch_put(b);
}

static void views_are_zero_behind_short_texts(void **state)
{
    const char *v[] = { "", "a", "abcd", "abcde", "abcdefghijkl", "abcdefghijklm", "the neighbour of them all" };
    struct input *in = input_of(*state, RKP_TEXT_RAW, "string", v, 7);
    rkp_batch *mem = rkp_batch_new(*state, NULL, 0, 0);
    rkp_col out;

    assert_int_equal(rkp_col_flat(mem, in->b, 0, NULL, 7, &out, NULL), RKP_OK);
    for (uint32_t i = 0; i < 7; i++) {
        const rkp_view *w = (const rkp_view *)out.values + i;

        assert_int_equal(w->len, strlen(v[i]));
        if (w->len <= 12) {
            for (int k = w->len; k < 12; k++)
                assert_int_equal(w->u.inlined[k], 0);
            assert_memory_equal(w->u.inlined, v[i], (size_t)w->len);
        } else {
            assert_memory_equal(w->u.ref.prefix, v[i], 4);
            assert_true(w->u.ref.off + w->len <= out.buf_sizes[w->u.ref.buf]);
        }
    }
    rkp_batch_put(mem);
    input_free(in);
}

// ---- casts ----------------------------------------------------------------------------------------------------------

static const struct cast_case {
    const char *from, *text, *to, *want; // want: NULL is an error
} cast_cases[] = {
    { "bool", "true", "i64", "1" },
    { "bool", "false", "f64", "0.0" },
    { "bool", "true", "string", "true" },
    { "bool", "false", "json", "false" },
    { "i64", "127", "i8", "127" },
    { "i64", "128", "i8", NULL },
    { "i64", "-129", "i8", NULL },
    { "i64", "-1", "u8", NULL },
    { "i64", "-1", "u64", NULL },
    { "i64", "-5", "bool", "true" },
    { "i64", "0", "bool", "false" },
    { "i64", "9007199254740993", "f64", "9007199254740992.0" },
    { "i64", "16777217", "f32", "16777216.0" },
    { "i64", "1700000000000000", "timestamp", "2023-11-14T22:13:20Z" },
    { "i64", "-12", "string", "-12" },
    { "i64", "-12", "json", "-12" },
    { "u64", "18446744073709551615", "i64", NULL },
    { "u64", "18446744073709551615", "f64", "1.8446744073709552e+19" },
    { "u64", "18446744073709551615", "u32", NULL },
    { "u64", "18446744073709551615", "string", "18446744073709551615" },
    { "u64", "7", "i16", "7" },
    { "u64", "9223372036854775808", "bool", "true" },
    { "f64", "2.9", "i64", "2" },
    { "f64", "-2.9", "i64", "-2" },
    { "f64", "-0.9", "u8", "0" },
    { "f64", "-1", "u8", NULL },
    { "f64", "255.9", "u8", "255" },
    { "f64", "256", "u8", NULL },
    { "f64", "-128.5", "i8", "-128" },
    { "f64", "9223372036854775807", "i64", NULL },
    { "f64", "-9223372036854775808", "i64", "-9223372036854775808" },
    { "f64", "18446744073709551615", "u64", NULL },
    { "f64", "18446744073709549568", "u64", "18446744073709549568" },
    { "f64", "nan", "i64", NULL },
    { "f64", "inf", "u16", NULL },
    { "f64", "nan", "bool", NULL },
    { "f64", "0.5", "bool", "true" },
    { "f64", "-0.0", "bool", "false" },
    { "f64", "1e39", "f32", NULL },
    { "f64", "inf", "f32", "inf" },
    { "f64", "nan", "f32", "nan" },
    { "f64", "0.1", "f32", "0.1" },
    { "f64", "2", "string", "2.0" },
    { "f64", "1e300", "string", "1e+300" },
    { "f64", "nan", "string", "nan" },
    { "f64", "nan", "json", NULL },
    { "f64", "1e300", "json", "1e+300" },
    { "f32", "0.1", "f64", "0.10000000149011612" },
    { "f32", "0.1", "string", "0.1" },
    { "timestamp", "2024-01-01T00:00:00.5Z", "i64", "1704067200500000" },
    { "timestamp", "2024-01-01T00:00:00.5Z", "string", "2024-01-01T00:00:00.500Z" },
    { "timestamp", "2024-01-01T00:00:00Z", "json", "\"2024-01-01T00:00:00Z\"" },
    { "timestamp", "1969-12-31T23:59:59Z", "f64", "-1000000.0" },
    { "string", "12", "i64", "12" },
    { "string", " 12", "i64", NULL },
    { "string", "12.5", "i64", NULL },
    { "string", "12.5", "f64", "12.5" },
    { "string", "true", "bool", "true" },
    { "string", "yes", "bool", NULL },
    { "string", "2024-01-01 00:00", "timestamp", "2024-01-01T00:00:00Z" },
    { "string", "[1,2]", "i32[2]", "[1 2]" },
    { "string", "[1,2]", "i32[3]", NULL },
    { "string", "a longer text than twelve", "bytes", "a longer text than twelve" },
    { "string", "{\"a\":1, \"b\":[null]}", "json", "{\"a\":1, \"b\":[null]}" },
    { "string", "{\"a\":1, \"b\":[null}", "json", NULL },
    { "bytes", "ok", "string", "ok" },
    { "bytes", "\xff\xfe", "string", NULL },
    { "bytes", "\"\xff\xfe\"", "json", NULL },
    { "json", "\"a text that is longer than twelve\"", "string", "a text that is longer than twelve" },
    { "json", "\"a text that has \\u0065scapes, and is long\"", "string", "a text that has escapes, and is long" },
    { "json", "\"\\u0065\"", "bytes", "e" },
    { "json", " \"short\" ", "string", "short" },
    { "json", "[1, 2]", "string", "[1, 2]" },
    { "json", "null", "string", "null" },
    { "json", "12", "i64", "12" },
    { "json", "\"12\"", "i64", "12" },
    { "json", "null", "i64", "null" },
    { "json", "\"\\ud800\"", "string", NULL },
    { "json", "[1.5,2]", "f32[2]", "[1.5 2.0]" },
    { "i32[2]", "[1,-2]", "f64[2]", "[1.0 -2.0]" },
    { "i32[2]", "[1,-2]", "u8[2]", NULL },
    { "i32[2]", "[1,-2]", "string", "[1,-2]" },
    { "f64[2]", "[1,\"nan\"]", "string", "[1.0,nan]" },
    { "f64[2]", "[1,\"nan\"]", "json", NULL },
    { "timestamp[1]", "[2024-01-01T00:00:00Z]", "json", "[\"2024-01-01T00:00:00Z\"]" },
    { "i64", "5", "i64", "5" },
};

static void casts_give_the_value_or_an_error(void **state)
{
    for (size_t i = 0; i < sizeof cast_cases / sizeof *cast_cases; i++) {
        const struct cast_case *t = &cast_cases[i];
        const char *v[3] = { t->text, NULL, t->text };
        struct input *in = input_of(*state, RKP_TEXT_RAW, t->from, v, 3);
        rkp_batch *mem = rkp_batch_new(*state, NULL, 0, 0);
        rkp_errs errs = { 0 };
        char buf[256];
        rkp_type to;
        rkp_col a, b;

        in->text.utf8 = true;
        assert_int_equal(rkp_col_flat(mem, in->b, 0, NULL, 3, &a, &errs), RKP_OK);
        if (errs.n)
            fail_msg("%s '%s' is not a value", t->from, t->text);
        assert_true(rkp_type_parse(rkp_str_of(t->to), &to));
        assert_int_equal(rkp_col_cast(mem, &a, 3, to, &b, &errs), RKP_OK);
        assert_int_equal(b.type.kind, to.kind);
        assert_true(rkp_col_is_null(&b, 1));
        if (t->want) {
            if (errs.n || strcmp(shown(&b, 2, buf), t->want) != 0)
                fail_msg("%s '%s' to %s: %s, %u errors", t->from, t->text, t->to, shown(&b, 2, buf), errs.n);
            assert_string_equal(shown(&b, 0, buf), t->want);
        } else {
            if (errs.n != 2)
                fail_msg("%s '%s' to %s: %s, %u errors", t->from, t->text, t->to, shown(&b, 2, buf), errs.n);
            assert_int_equal(errs.v[0].row, 0);
            assert_int_equal(errs.v[1].row, 2);
            assert_true(errs.v[0].what.n > 0);
            assert_true(rkp_col_is_null(&b, 0));
            assert_false(rkp_col_is_null(&a, 0)); // the input is as it was
        }
        rkp_errs_fini(&errs);
        rkp_batch_put(mem);
        input_free(in);
    }
}

static void casts_without_a_meaning_are_refused(void **state)
{
    static const char *const pairs[][2] = { { "bool", "timestamp" },
                                            { "timestamp", "bool" },
                                            { "i64", "i64[2]" },
                                            { "i64[2]", "i64[3]" },
                                            { "f32[4]", "f32" } };
    rkp_batch *mem = rkp_batch_new(*state, NULL, 1, 0);

    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        rkp_type from, to;
        rkp_col out;

        assert_true(rkp_type_parse(rkp_str_of(pairs[i][0]), &from));
        assert_true(rkp_type_parse(rkp_str_of(pairs[i][1]), &to));
        rkp_col_set_values(mem, 0, from, "", NULL, 0);
        assert_int_equal(rkp_col_cast(mem, &mem->cols[0], 0, to, &out, NULL), RKP_UNSUPPORTED);
    }
    rkp_batch_put(mem);
}

static void every_cast_of_many_rows_reads_back(void **state)
{
    // Small numbers survive every pair of kinds.
    enum { ROWS = 1000 };
    rkp_batch *mem = rkp_batch_new(*state, NULL, 1, 0);
    int8_t *v = rkp_batch_alloc(mem, ROWS);
    rkp_errs errs = { 0 };
    char x[64], y[64];

    for (uint32_t i = 0; i < ROWS; i++)
        v[i] = (int8_t)(i % 128);
    rkp_col_set_values(mem, 0, RKP_TYPE(RKP_I8), v, NULL, ROWS);
    for (unsigned a = RKP_I8; a < RKP_N_KINDS; a++) {
        for (unsigned b = RKP_I8; b < RKP_N_KINDS; b++) {
            rkp_col c1, c2, c3;

            if (rkp_kind_is_float(a) && rkp_kind_is_view(b))
                continue; // 1.0 is no integer
            if ((a == RKP_TIMESTAMP && rkp_kind_is_view(b)) || (b == RKP_TIMESTAMP && rkp_kind_is_view(a)))
                continue; // neither is a date
            assert_int_equal(rkp_col_cast(mem, &mem->cols[0], ROWS, RKP_TYPE(a), &c1, &errs), RKP_OK);
            assert_int_equal(rkp_col_cast(mem, &c1, ROWS, RKP_TYPE(b), &c2, &errs), RKP_OK);
            assert_int_equal(rkp_col_cast(mem, &c2, ROWS, RKP_TYPE(RKP_I8), &c3, &errs), RKP_OK);
            assert_int_equal(errs.n, 0);
            for (uint32_t i = 0; i < ROWS; i += 37)
                assert_string_equal(shown(&c3, i, x), shown(&mem->cols[0], i, y));
        }
    }
    rkp_errs_fini(&errs);
    rkp_batch_put(mem);
}

// ---- JSON and UTF-8 -------------------------------------------------------------------------------------------------

static void json_is_what_the_standard_says(void **state)
{
    static const char *const good[] = {
        "0",     "-0",   "1.5", "-1e9", "1E+5",   "\"\"",        "\"\\u0000\\\\\"",       "true",
        "false", "null", "[]",  "{}",   "[[[]]]", " [ 1 , 2 ] ", "{\"a\":{},\"b\":[{}]}", "\t{ \"\" : null }\r\n"
    };
    static const char *const bad[] = { "",           " ",     "01",    "1.",      ".5",        "+1",
                                       "-",          "1e",    "1e+",   "\"",      "\"\\x\"",   "\"\\u12\"",
                                       "\"\n\"",     "tru",   "nulll", "[",       "]",         "[1",
                                       "[1,]",       "[,1]",  "{",     "{\"a\"}", "{\"a\":}",  "{a:1}",
                                       "{\"a\":1,}", "[1 2]", "1 2",   "[}",      "{]",        "[1}",
                                       "{\"a\":1]",  "'a'",   "NaN",   "\"a",     "{\"a\" 1}", "{\"a\":1 \"b\":2}",
                                       "{1:2}" };
    static char deep[3000];

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!rki_json_valid(good[i], strlen(good[i])))
            fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (rki_json_valid(bad[i], strlen(bad[i])))
            fail_msg("taken: %s", bad[i]);
    assert_false(rki_json_valid("\"a\0b\"", 5));
    assert_false(rki_json_valid("\"\\\0\"", 4));
    memset(deep, '[', 1000);
    assert_false(rki_json_valid(deep, 1000));
    memset(deep, '[', 999);
    memset(deep + 999, ']', 999);
    assert_true(rki_json_valid(deep, 2 * 999));
    memset(deep, '[', 1500);
    memset(deep + 1500, ']', 1500);
    assert_false(rki_json_valid(deep, 3000));
}

static void a_quoted_json_string_reads_back(void **state)
{
    char in[256], out[6 * 256 + 2], back[256];
    size_t n;

    (void)state;
    for (int i = 0; i < 256; i++)
        in[i] = (char)(i < 128 ? i : 'x');
    n = rki_json_quote(out, in, sizeof in);
    assert_true(rki_json_valid(out, n));
    assert_int_equal(rki_json_unescape(back, out + 1, n - 2), sizeof in);
    assert_memory_equal(in, back, sizeof in);
}

static void utf8_is_checked_to_the_last_byte(void **state)
{
    char text[200];

    (void)state;
    memset(text, 'a', sizeof text);
    for (size_t n = 0; n <= sizeof text; n++)
        assert_true(rkp_text_is_utf8(text, n));
    for (size_t at = 0; at < sizeof text; at++) {
        text[at] = (char)0xc3;
        assert_false(rkp_text_is_utf8(text, sizeof text));
        if (at + 1 < sizeof text) {
            text[at + 1] = (char)0xa9;
            assert_true(rkp_text_is_utf8(text, sizeof text));
            assert_false(rkp_text_is_utf8(text, at + 1));
            text[at + 1] = 'a';
        }
        text[at] = 'a';
    }
    assert_false(rkp_text_is_utf8("\xed\xa0\x80", 3));
    assert_false(rkp_text_is_utf8("\xc0\x80", 2));
    assert_true(rkp_text_is_utf8("\xf0\x9f\x98\x80", 4));
}

// ---- memory ---------------------------------------------------------------------------------------------------------

static void no_memory_is_an_answer_everywhere(void **state)
{
    static const char *const types[] = { "i64", "string", "bool", "json", "f32[2]" };

    (void)state;
    if (!nomem_works())
        skip();
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        for (long nth = 1;; nth++) {
            enum { ROWS = 3000 };
            rkp_pool *p = rkp_pool_new(64 << 20);
            rkp_str *v = calloc(ROWS, sizeof *v), *s = calloc(ROWS, sizeof *s);
            rkp_errs errs = { 0 };
            struct input *in;
            rkp_status st[4] = { 0 };
            rkp_col a, b;
            bool done;

            for (uint32_t i = 0; i < ROWS; i++)
                v[i] = i % 5 == 0   ? RKP_STR("17")
                       : i % 5 == 1 ? RKP_STR("")
                       : i % 5 == 2 ? RKP_STR("\"[1,\"\"2\"\"]\"")
                       : i % 5 == 3 ? RKP_STR("true")
                                    : RKP_STR("\"broken");
            in = input_new(p, RKP_TEXT_CSV, types[t], v, ROWS);
            nomem_from(nth); // once alone the pool tries again after it has emptied its caches
            st[0] = rkp_col_flat(in->b, in->b, 0, NULL, ROWS, &a, &errs);
            if (st[0] == RKP_OK)
                st[1] = rkp_col_cast(in->b, &a, ROWS, RKP_TYPE(RKP_STRING), &b, &errs);
            st[2] = rkp_col_strs(in->b, in->b, 0, NULL, ROWS, s, &errs);
            st[3] = rkp_col_set_strs(in->b, 0, RKP_TYPE(RKP_STRING), v, ROWS);
            done = nomem_count() < nth;
            nomem_at(0);
            for (size_t i = 0; i < 4; i++)
                assert_true(st[i] == RKP_OK || (st[i] == RKP_NOMEM && !done));
            assert_true(done || st[0] || st[1] || st[2] || st[3]);
            rkp_errs_fini(&errs);
            input_free(in);
            free(v);
            free(s);
            assert_int_equal(rkp_pool_used(p), 0);
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
        CASE(texts_become_values_or_errors),
        CASE(absent_texts_are_null),
        CASE(a_json_null_is_not_the_word_in_quotes),
        CASE(a_carriage_return_ends_the_last_field_only),
        CASE(a_number_may_mean_null),
        CASE(what_was_wrong_is_kept_cut_between_characters),
        CASE(decoding_one_text_says_null_bad_or_what_it_is),
        CASE(selections_of_random_text_agree_with_one_at_a_time),
        CASE(short_numbers_agree_with_the_exact_parsers),
        CASE(flat_columns_of_every_width_are_gathered),
        CASE(strings_are_set_and_read_back),
        CASE(views_are_zero_behind_short_texts),
        CASE(casts_give_the_value_or_an_error),
        CASE(casts_without_a_meaning_are_refused),
        CASE(every_cast_of_many_rows_reads_back),
        CASE(json_is_what_the_standard_says),
        CASE(a_quoted_json_string_reads_back),
        CASE(utf8_is_checked_to_the_last_byte),
        CASE(no_memory_is_an_answer_everywhere),
    };

    return cmocka_run_group_tests_name("column", tests, NULL, NULL);
}
