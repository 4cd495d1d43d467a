// Rows of tests: files to nodes, values to types, typed columns, and what is refused at which place.
#include "base/diag.h"
#include "spec/given.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct kit {
    rki_arena arena;
    rkp_diags *d;
    rkp_pool *pool;
    rki_rows rows;
};

static bool parse(struct kit *k, const char *file, const char *text)
{
    rki_arena_init(&k->arena);
    k->d = rki_diags_new();
    k->pool = rkp_pool_new(64 << 20);
    assert_non_null(k->d);
    assert_non_null(k->pool);
    return rki_rows_parse(&k->arena, k->d, file, rkp_str_of(text), (rkp_loc){ 0 }, &k->rows);
}

static void fini(struct kit *k)
{
    rki_diags_free(k->d);
    rkp_pool_free(k->pool);
    rki_arena_fini(&k->arena);
}

// Each row as name=value|.., null as ~; rows one after the other with /.
static void shown(const rki_rows *rows, char to[512])
{
    size_t at = 0;
    to[0] = 0;
    for (const rkp_node *r = rows->list->child; r; r = r->next) {
        for (const rkp_node *v = r->child; v; v = v->next) {
            bool null = rki_node_is_null(v);
            int n = snprintf(to + at, 512 - at, "%s=%.*s%s", v->key.p, null ? 1 : (int)v->text.n,
                             null ? "~" : v->text.p, v->next ? "|" : "");
            assert_true(n > 0 && (size_t)n < 512 - at);
            at += (size_t)n;
        }
        if (r->next)
            to[at++] = '/';
        to[at] = 0;
    }
}

struct file_case {
    const char *file, *text, *want; // want NULL: refused
    unsigned line;                  // where
};

static const struct file_case files[] = {
    { "x.csv", "a,b\n1,x\n2,y\n", "a=1|b=x/a=2|b=y", 0 },
    { "x.csv", "a,b\r\n1,x\r\n", "a=1|b=x", 0 },
    { "x.csv", "a,b\n1,x", "a=1|b=x", 0 },
    { "x.csv", "a,b\n\n1,x\n\n", "a=1|b=x", 0 },
    { "x.csv", "a\n\"x \"\"y\"\", z\"\n\"two\nlines\"\n", "a=x \"y\", z/a=two\nlines", 0 },
    { "x.csv", "a,b\n,\"\"\nnull,~\n", "a=~|b=/a=null|b=~", 0 }, // the word is a word
    { "x.csv", "a,b\n", "", 0 },
    { "x.csv", "", "", 0 },
    { "x.csv", "a,b\n1\n", NULL, 2 },
    { "x.csv", "a,b\n1,2\n1,2,3\n", NULL, 3 },
    { "x.csv", "a\n\"open\n", NULL, 3 },
    { "x.jsonl", "{\"a\": 1, \"b\": \"x\"}\n\n{\"a\": null}\r\n", "a=1|b=x/a=~", 0 },
    { "x.ndjson", "{\"a\": true}", "a=true", 0 },
    { "x.jsonl", "", "", 0 },
    { "x.jsonl", "{}\n[1]\n", NULL, 2 },
    { "x.jsonl", "{}\n{\"a\":\n", NULL, 2 },
};

static void files_become_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct kit k = { 0 };
        bool ok = parse(&k, files[i].file, files[i].text);
        char got[512];
        if (files[i].want) {
            if (!ok)
                fail_msg("case %zu is refused", i);
            shown(&k.rows, got);
            assert_string_equal(got, files[i].want);
        } else {
            if (ok)
                fail_msg("case %zu is taken", i);
            assert_int_equal(rki_diags_n(k.d), 1);
            assert_int_equal(rki_diags_at(k.d, 0)->at.line, files[i].line);
            assert_string_equal(rki_diags_at(k.d, 0)->code, "test-rows");
        }
        fini(&k);
    }
}

static void types_are_found_as_in_csv(void **state)
{
    static const char text[] =
        "{\"i\": 1, \"f\": 1, \"s\": \"5\", \"b\": true, \"n\": null, \"j\": {\"x\": [1]}, \"m\": 1}\n"
        "{\"i\": -3, \"f\": 2.5, \"s\": \"6\", \"b\": false, \"z\": 7, \"m\": \"x\"}\n";
    static const char *const want[][2] = { { "i", "i64?" },    { "f", "f64?" },  { "s", "string?" }, { "b", "bool?" },
                                           { "n", "string?" }, { "j", "json?" }, { "m", "string?" }, { "z", "i64?" } };
    struct kit k = { 0 };
    rkp_schema s;
    (void)state;
    assert_true(parse(&k, "x.jsonl", text));
    assert_true(rki_rows_infer(&k.arena, &k.rows, &s));
    assert_int_equal(s.n, sizeof want / sizeof *want);
    for (uint32_t i = 0; i < s.n; i++) {
        char type[RKP_TYPE_TEXT];
        rkp_type_print(type, s.f[i].type);
        assert_true(rkp_str_is(s.f[i].name, want[i][0]));
        assert_string_equal(type, want[i][1]);
    }
    fini(&k);
}

static void values_become_columns(void **state)
{
    const rkp_field f[] = { { RKP_STR("i"), RKP_TYPE(RKP_I64) }, { RKP_STR("s"), RKP_NTYPE(RKP_STRING) } };
    const rkp_schema s = { 2, f };
    struct kit k = { 0 };
    rki_rows_as as;
    rkp_batch *b;
    (void)state;
    assert_true(parse(&k, "x.csv", "i,s\n7,a string that is longer than a view\n-8,\n"));
    as = (rki_rows_as){ .arena = &k.arena, .d = k.d, .pool = k.pool, .schema = &s, .of = "kernel 'x'" };
    b = rki_rows_batch(&as, &k.rows);
    assert_non_null(b);
    assert_int_equal(b->rows, 2);
    assert_true(((const int64_t *)b->cols[0].values)[rkp_col_row(&b->cols[0], 1)] == -8);
    assert_true(
        rkp_str_is(rkp_view_str(&b->cols[1], rkp_col_row(&b->cols[1], 0)), "a string that is longer than a view"));
    assert_true(rkp_col_is_null(&b->cols[1], rkp_col_row(&b->cols[1], 1)));
    rkp_batch_put(b);
    fini(&k);
}

static void every_value_that_does_not_fit_has_its_place(void **state)
{
    const rkp_field f[] = { { RKP_STR("i"), RKP_TYPE(RKP_I64) }, { RKP_STR("t"), RKP_NTYPE(RKP_TIMESTAMP) } };
    const rkp_schema s = { 2, f };
    static const struct {
        unsigned line;
        const char *code;
    } want[] = {
        { 1, "test-value" }, { 2, "test-value" }, { 3, "test-column" }, { 4, "test-value" }, { 5, "test-value" }
    };
    struct kit k = { 0 };
    rki_rows_as as;
    (void)state;
    assert_true(
        parse(&k, "x.jsonl",
              "{\"i\": \"x\"}\n{\"i\": 1, \"t\": \"noon\"}\n{\"i\": 1, \"u\": 2}\n{\"i\": null}\n{\"i\": [1]}\n"));
    as = (rki_rows_as){ .arena = &k.arena, .d = k.d, .pool = k.pool, .schema = &s, .of = "kernel 'x'" };
    assert_null(rki_rows_batch(&as, &k.rows));
    rki_diags_sort(k.d);
    assert_int_equal(rki_diags_n(k.d), sizeof want / sizeof *want);
    for (size_t i = 0; i < rki_diags_n(k.d); i++) {
        assert_int_equal(rki_diags_at(k.d, i)->at.line, want[i].line);
        assert_string_equal(rki_diags_at(k.d, i)->code, want[i].code);
    }
    fini(&k);
}

static void arrays_are_refused_and_what_is_left_out_is_not(void **state)
{
    const rkp_field f[] = { { RKP_STR("i"), RKP_TYPE(RKP_I64) }, { RKP_STR("a"), { .kind = RKP_F32, .len = 4 } } };
    const rkp_schema s = { 2, f };
    struct kit k = { 0 };
    rki_rows_as as;
    rkp_batch *b;
    (void)state;
    assert_true(parse(&k, "x.jsonl", "{}\n"));
    as = (rki_rows_as){ .arena = &k.arena, .d = k.d, .pool = k.pool, .schema = &s, .of = "kernel 'x'" };
    assert_null(rki_rows_batch(&as, &k.rows));
    assert_string_equal(rki_diags_at(k.d, 0)->code, "not-supported");
    as.partial = true;
    b = rki_rows_batch(&as, &k.rows);
    assert_non_null(b);
    rkp_batch_put(b);
    fini(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_become_rows),
        cmocka_unit_test(types_are_found_as_in_csv),
        cmocka_unit_test(values_become_columns),
        cmocka_unit_test(every_value_that_does_not_fit_has_its_place),
        cmocka_unit_test(arrays_are_refused_and_what_is_left_out_is_not),
    };
    return cmocka_run_group_tests_name("given", tests, NULL, NULL);
}
