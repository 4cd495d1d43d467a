// write.jsonl: the bytes of every type, what is copied and what is escaped, nulls, errors, and when the file appears.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_actor.h"
#include "nomem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

extern const rkp_op rkp_op_write_jsonl;

static fake *sink(const char *with, const char *schema, int on_error)
{
    static rki_arena arena;
    static rkp_schema s;
    fake *f;
    rki_arena_fini(&arena);
    rki_arena_init(&arena);
    s = fake_schema_in(&arena, schema);
    f = fake_new(&(fake_conf){ .op = &rkp_op_write_jsonl, .with = with, .in = &s, .on_error = on_error });
    if (f->st != RKP_OK)
        fail_msg("%s: %s\n%s", with, f->stage, fake_findings(f));
    return f;
}

static void done(fake *f)
{
    assert_int_equal(fake_free(f), 0);
}

static void assert_bytes(fake *f, const char *want)
{
    rkp_str s = fake_bytes(f);
    if (!rkp_str_is(s, want))
        fail_msg("got\n" RKP_STR_FMT "\nwant\n%s", RKP_STR_ARG(s), want);
}

static const struct {
    const char *name, *schema, *with, *rows, *bytes;
} flats[] = {
    { "types", "b bool, i i64, u u8, f f64, s string, t timestamp", "", "true|-5|255|0.1|x|2024-01-01T00:00:00Z\n",
      "{\"b\":true,\"i\":-5,\"u\":255,\"f\":0.1,\"s\":\"x\",\"t\":\"2024-01-01T00:00:00Z\"}\n" },
    { "limits", "i i64, u u64, f f64, g f32", "",
      "-9223372036854775808|18446744073709551615|1.7976931348623157e308|0.1\n",
      "{\"i\":-9223372036854775808,\"u\":18446744073709551615,\"f\":1.7976931348623157e+308,\"g\":0.1}\n" },
    { "what JSON cannot say is null", "f f64", "", "nan\ninf\n-inf\n1.5\n",
      "{\"f\":null}\n{\"f\":null}\n{\"f\":null}\n{\"f\":1.5}\n" },
    { "nulls", "a i64?, b string?", "", "|\n1|\n|x\n",
      "{\"a\":null,\"b\":null}\n{\"a\":1,\"b\":null}\n{\"a\":null,\"b\":\"x\"}\n" },
    { "nulls left out", "a i64?, b string?", "nulls: omit", "|\n1|\n|x\n2|y\n",
      "{}\n{\"a\":1}\n{\"b\":\"x\"}\n{\"a\":2,\"b\":\"y\"}\n" },
    { "an empty string is no null", "a string?", "nulls: omit", "''\n", "{\"a\":\"\"}\n" },
    { "escapes", "a string", "", "q\"b\\\ttab\x01\x1f\x7f\n", "{\"a\":\"q\\\"b\\\\\\ttab\\u0001\\u001f\x7f\"}\n" },
    { "characters of all lengths", "a string", "",
      "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80 and a long ASCII tail of a text\"\n",
      "{\"a\":\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80 and a long ASCII tail of a text\\\"\"}\n" },
    { "a column", "a i64, b i64, c i64", "columns: [c, a]", "1|2|3\n", "{\"c\":3,\"a\":1}\n" },
};

static void values_of_all_types(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof flats / sizeof *flats; i++) {
        char with[256];
        fake *f;
        snprintf(with, sizeof with, "path: out.jsonl\n%s", flats[i].with);
        f = sink(with, flats[i].schema, FAKE_FAIL);
        assert_int_equal(fake_feed(f, 0, fake_batch(f, f->conf.in, flats[i].rows)), RKP_DONE);
        assert_bytes(f, flats[i].bytes);
        assert_int_equal(fake_finish(f), RKP_OK);
        done(f);
    }
}

// A batch of one TEXT column per field of the lines (no quotes that hold delimiters in these tests).
static rkp_batch *text_batch(fake *f, int kind, const char *lines, uint32_t n_cols)
{
    size_t n = strlen(lines);
    rkp_batch *b = rkp_batch_new(f->pool, f->conf.in, n_cols, 4096);
    char *base = rkp_batch_alloc(b, n + 2);
    rkp_text *t = rkp_batch_alloc(b, sizeof *t);
    uint32_t rows = 0, at = 1;
    static const rkp_str nulls[] = { { "", 0 } };
    for (size_t i = 0; i < n; i++)
        rows += lines[i] == '\n';
    base[0] = '\n';
    memcpy(base + 1, lines, n + 1);
    *t = (rkp_text){ .base = base,
                     .len = (uint32_t)n + 1,
                     .kind = (uint8_t)kind,
                     .quote = '"',
                     .delim = '|',
                     .n_nulls = 1,
                     .nulls = nulls };
    for (uint32_t c = 0; c < n_cols; c++)
        b->cols[c] = (rkp_col){ .type = f->conf.in->f[c].type,
                                .rep = RKP_TEXT,
                                .stride = 2,
                                .pos = rkp_batch_alloc(b, rows * 2 * sizeof(uint32_t)),
                                .text = t };
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t c = 0; c < n_cols; c++) {
            uint32_t *pos = (uint32_t *)(uintptr_t)b->cols[c].pos + 2 * (size_t)r;
            uint32_t end = at;
            while (base[end] != '\n' && base[end] != '|')
                end++;
            pos[0] = kind == RKP_TEXT_JSON && end == at ? RKP_NO_TEXT : at - 1;
            pos[1] = end;
            at = end + 1;
        }
    b->rows = rows;
    return b;
}

static void json_text_is_copied(void **state)
{
    fake *f = sink("path: out.jsonl", "a i64?, s string?, j json?, f f64?", FAKE_FAIL);
    (void)state;
    assert_int_equal(fake_feed(f, 0, text_batch(f, RKP_TEXT_JSON, "1|\"\\u0041\\n\"|{\"x\" : [1]}|1e5\n|||\n", 4)),
                     RKP_DONE);
    assert_bytes(f, "{\"a\":1,\"s\":\"\\u0041\\n\",\"j\":{\"x\" : [1]},\"f\":1e5}\n"
                    "{\"a\":null,\"s\":null,\"j\":null,\"f\":null}\n");
    done(f);
}

static void csv_text_is_written_as_its_type(void **state)
{
    fake *f = sink("path: out.jsonl", "a i64?, f f64?, b bool?, s string?, t timestamp?, j json?", FAKE_DROP);
    (void)state;
    assert_int_equal(fake_feed(f, 0,
                               text_batch(f, RKP_TEXT_CSV,
                                          "1|1.50|true|x|2024-01-01|[1]\n"
                                          "+2|.5|false|\"say \"\"hi\"\"\"|\"2024-01-01 10:00\"|\"{\"\"k\"\":1}\"\n"
                                          "007|1.|||| \"x\"\n"
                                          "-0|nan|true|tab\there||\"\"\"y\"\"\"\n"
                                          "x|1|true|a|b|1\n"
                                          "1|x|true|a|b|1\n"
                                          "1|1|yes|a|b|1\n"
                                          "1|1|true|a|b|{\n"
                                          "18446744073709551615|1e999|||\"\"|\n",
                                          6)),
                     RKP_DONE);
    assert_bytes(f,
                 "{\"a\":1,\"f\":1.50,\"b\":true,\"s\":\"x\",\"t\":\"2024-01-01\",\"j\":[1]}\n"
                 "{\"a\":2,\"f\":0.5,\"b\":false,\"s\":\"say \\\"hi\\\"\",\"t\":\"2024-01-01 10:00\",\"j\":{\"k\":1}}\n"
                 "{\"a\":7,\"f\":1.0,\"b\":null,\"s\":null,\"t\":null,\"j\": \"x\"}\n"
                 "{\"a\":-0,\"f\":null,\"b\":true,\"s\":\"tab\\there\",\"t\":null,\"j\":\"y\"}\n"
                 "{\"a\":18446744073709551615,\"f\":1e999,\"b\":null,\"s\":null,\"t\":null,\"j\":null}\n");
    assert_int_equal(f->n_rejects, 4);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(f->rejects[i].row, 4 + i);
        assert_int_equal(f->rejects[i].code, RKP_ROW_PARSE);
    }
    assert_int_equal(f->absorbed, 5);
    done(f);
}

static void raw_text_becomes_utf8(void **state)
{
    fake *f = sink("path: out.jsonl", "line string", FAKE_FAIL);
    (void)state;
    assert_int_equal(fake_feed(f, 0,
                               text_batch(f, RKP_TEXT_RAW,
                                          "a\\b\n\xFF"
                                          "a\xC3\n\xED\xA0\x80\n\xC3\xA9\"\n\n",
                                          1)),
                     RKP_DONE);
    assert_bytes(f,
                 "{\"line\":\"a\\\\b\"}\n{\"line\":\"\xEF\xBF\xBD"
                 "a\xEF\xBF\xBD\"}\n"
                 "{\"line\":\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"}\n{\"line\":\"\xC3\xA9\\\"\"}\n{\"line\":\"\"}\n");
    done(f);
}

static void bytes_arrays_and_odd_names(void **state)
{
    static const float values[] = { 1.5f, NAN, 2, 0.25f, 0, -1 };
    fake *f;
    rkp_batch *b;
    rkp_str raw[] = { { "\0\xFF", 2 }, { "abc", 3 } };
    static rki_arena arena;
    rkp_field fields[] = { { RKP_STR("a\"b\\\n"), { RKP_F32, 0, 0, 3 } }, { RKP_STR("raw"), { RKP_BYTES, 1, 0, 0 } } };
    rkp_schema s = { 2, fields };
    (void)state;
    rki_arena_init(&arena);
    f = fake_new(&(fake_conf){ .op = &rkp_op_write_jsonl, .with = "path: out.jsonl", .in = &s });
    assert_int_equal(f->st, RKP_OK);
    b = rkp_batch_new(f->pool, &s, 2, 4096);
    b->rows = 2;
    rkp_col_set_values(b, 0, fields[0].type, values, NULL, 2);
    assert_int_equal(rkp_col_set_strs(b, 1, fields[1].type, raw, 2), RKP_OK);
    assert_int_equal(fake_feed(f, 0, b), RKP_DONE);
    assert_bytes(f, "{\"a\\\"b\\\\\\u000a\":[1.5,null,2.0],\"raw\":\"AP8=\"}\n"
                    "{\"a\\\"b\\\\\\u000a\":[0.25,0.0,-1.0],\"raw\":\"YWJj\"}\n");
    done(f);
    rki_arena_fini(&arena);
}

static void selections_are_followed(void **state)
{
    fake *f = sink("path: out.jsonl", "a i64, s string", FAKE_FAIL);
    rkp_batch *b = fake_batch(f, f->conf.in, "1|x\n2|y\n3|a longer text than a view holds\n");
    uint32_t rows[] = { 2, 0, 2 };
    rkp_batch *picked = rkp_batch_pick(b, rows, 3);
    (void)state;
    rkp_batch_put(b);
    assert_int_equal(fake_feed(f, 0, picked), RKP_DONE);
    assert_bytes(f, "{\"a\":3,\"s\":\"a longer text than a view holds\"}\n{\"a\":1,\"s\":\"x\"}\n"
                    "{\"a\":3,\"s\":\"a longer text than a view holds\"}\n");
    done(f);
}

static void large_batches_and_texts(void **state)
{
    fake *f = sink("path: out.jsonl", "s string", FAKE_FAIL);
    size_t n = 300000;
    char *text = malloc(n + 1);
    rkp_str got, v[3];
    rkp_batch *b = rkp_batch_new(f->pool, f->conf.in, 1, 4096);
    (void)state;
    for (size_t i = 0; i < n; i++)
        text[i] = i % 3 ? '\x01' : '"';
    v[0] = (rkp_str){ text, n };
    v[1] = RKP_STR("x");
    v[2] = (rkp_str){ text, 100000 };
    b->rows = 3;
    assert_int_equal(rkp_col_set_strs(b, 0, RKP_TYPE(RKP_STRING), v, 3), RKP_OK);
    assert_int_equal(fake_feed(f, 0, b), RKP_DONE);
    got = fake_bytes(f);
    assert_int_equal(got.n, 3 * 9 + 1 + 100000 * 2 + 200000 * 6 + 33334 * 2 + 66666 * 6);
    done(f);
    free(text);
}

static char *slurp(const char *name)
{
    static char text[4096];
    FILE *f = fopen(name, "rb");
    size_t n;
    if (!f)
        return NULL;
    n = fread(text, 1, sizeof text - 1, f);
    text[n] = 0;
    fclose(f);
    return text;
}

static void the_file_appears_when_all_is_well(void **state)
{
    fake *f = sink("path: final.jsonl", "a i64", FAKE_FAIL);
    (void)state;
    assert_int_equal(fake_feed(f, 0, fake_batch(f, f->conf.in, "1\n2\n")), RKP_DONE);
    assert_null(slurp("final.jsonl"));
    assert_int_equal(fake_finish(f), RKP_OK);
    assert_string_equal(slurp("final.jsonl"), "{\"a\":1}\n{\"a\":2}\n");
    done(f);
    // A job that fails leaves what was there.
    f = sink("path: final.jsonl", "a i64", FAKE_FAIL);
    assert_int_equal(fake_feed(f, 0, fake_batch(f, f->conf.in, "3\n")), RKP_DONE);
    done(f);
    assert_string_equal(slurp("final.jsonl"), "{\"a\":1}\n{\"a\":2}\n");
    f = sink("path: final.jsonl\ncommit: append", "a i64", FAKE_FAIL);
    assert_int_equal(fake_feed(f, 0, fake_batch(f, f->conf.in, "3\n")), RKP_DONE);
    assert_int_equal(fake_finish(f), RKP_OK);
    assert_string_equal(slurp("final.jsonl"), "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n");
    done(f);
    unlink("final.jsonl");
    f = sink("path: final.jsonl", "a i64", FAKE_FAIL); // no rows: an empty file
    assert_int_equal(fake_finish(f), RKP_OK);
    assert_string_equal(slurp("final.jsonl"), "");
    done(f);
    unlink("final.jsonl");
}

static void a_folder_that_is_not_there_is_a_failure(void **state)
{
    fake *f = sink("path: no/such/folder/x.jsonl", "a i64", FAKE_FAIL);
    (void)state;
    assert_int_equal(fake_feed(f, 0, fake_batch(f, f->conf.in, "1\n")), RKP_FAIL);
    assert_true(f->fail[0] != 0);
    done(f);
}

static void options_that_are_wrong_are_told(void **state)
{
    static const struct {
        const char *with, *finding;
    } wrong[] = {
        { "nulls: omit", "path" },
        { "path: x\ncolumns: [b]", "column-unknown" },
        { "path: x\ncolumns: [a, a]", "column-duplicate" },
        { "path: x\ncommit: sometimes", "commit" },
    };
    rki_arena arena;
    rkp_schema s;
    (void)state;
    rki_arena_init(&arena);
    s = fake_schema_in(&arena, "a i64");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        fake *f = fake_new(&(fake_conf){ .op = &rkp_op_write_jsonl, .with = wrong[i].with, .in = &s });
        assert_int_equal(f->st, RKP_INVALID);
        if (!strstr(fake_findings(f), wrong[i].finding))
            fail_msg("%s: %s", wrong[i].with, fake_findings(f));
        done(f);
    }
    rki_arena_fini(&arena);
}

static void memory_may_run_out_anywhere(void **state)
{
    (void)state;
    if (!nomem_works())
        skip();
    for (long n = 1;; n++) {
        bool none;
        rkp_verdict v;
        fake *f = sink("path: out.jsonl", "a i64?, j json?, s string?", FAKE_DROP);
        rkp_batch *b = text_batch(f, RKP_TEXT_CSV,
                                  "1|[1]|\"q \"\"and a much longer text than fits a view\"\"\"\nx|1|1\n1|{|x\n", 3);
        nomem_at(n);
        v = fake_feed(f, 0, b);
        none = nomem_count() < n;
        nomem_at(0);
        if (v == RKP_DONE)
            assert_bytes(f, "{\"a\":1,\"j\":[1],\"s\":\"q \\\"and a much longer text than fits a view\\\"\"}\n");
        else
            assert_int_equal(v, RKP_FAIL);
        done(f);
        if (none)
            break;
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_all_types),
        cmocka_unit_test(json_text_is_copied),
        cmocka_unit_test(csv_text_is_written_as_its_type),
        cmocka_unit_test(raw_text_becomes_utf8),
        cmocka_unit_test(bytes_arrays_and_odd_names),
        cmocka_unit_test(selections_are_followed),
        cmocka_unit_test(large_batches_and_texts),
        cmocka_unit_test(the_file_appears_when_all_is_well),
        cmocka_unit_test(a_folder_that_is_not_there_is_a_failure),
        cmocka_unit_test(options_that_are_wrong_are_told),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    char dir[] = "/tmp/rkp_jsonl_XXXXXX";
    int failed;
    if (!mkdtemp(dir) || chdir(dir))
        return 1;
    failed = cmocka_run_group_tests_name("op.write_jsonl", tests, NULL, NULL);
    unlink("out.jsonl");
    rmdir(dir);
    return failed;
}
