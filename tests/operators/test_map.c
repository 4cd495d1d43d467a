// map: each of its five parts, their order, what passes untouched, and errors.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_actor.h"
#include "nomem.h"

#include <stdio.h>

extern const rkp_op rkp_op_map;

static rki_arena arena;
static rkp_schema schema;

static fake *mapper(const char *with, const char *columns, int on_error)
{
    schema = fake_schema_in(&arena, columns);
    return fake_new(&(fake_conf){ .op = &rkp_op_map, .with = with, .in = &schema, .on_error = on_error });
}

static void done(fake *f)
{
    assert_int_equal(fake_free(f), 0);
}

static const struct {
    const char *name, *columns, *with, *schema, *rows, *out;
    const char *reads; // input columns that are looked at
} cases[] = {
    { "nothing to do", "a i64, s string", "", "a i64, s string", "1|x\n", "1|x\n", "" },
    { "a derived column", "a i64, s string", "derive: { b: a + 1 }", "a i64, s string, b i64", "1|x\n", "1|x|2\n",
      "a" },
    { "one uses another", "a i64", "derive: { b: a + 1, c: b * 2, d: c + b }", "a i64, b i64, c i64, d i64", "1\n2\n",
      "1|2|4|6\n2|3|6|9\n", "a" },
    { "new values at the old place", "a i64, s string", "derive: { a: a * 10, b: a + 1 }", "a i64, s string, b i64",
      "1|x\n", "10|x|11\n", "a" },
    { "another type at the old place", "a i64", "derive: { a: \"to_string(a)\", b: \"concat(a, '!')\" }",
      "a string, b string", "7\n", "7|7!\n", "a" },
    { "a column under another name", "a i64, s string", "derive: { b: a, c: b }", "a i64, s string, b i64, c i64",
      "1|x\n", "1|x|1|1\n", "" },
    { "what is computed from another name is read", "a i64", "derive: { b: a, c: b + 1 }", "a i64, b i64, c i64", "1\n",
      "1|1|2\n", "a" },
    { "rename", "a i64, s string", "rename: { a: x }", "x i64, s string", "1|y\n", "1|y\n", "" },
    { "names exchanged", "a i64, b i64", "rename: { a: b, b: a }", "b i64, a i64", "1|2\n", "1|2\n", "" },
    { "cast", "a i64, s string", "cast: { a: f64, s: i64 }", "a f64, s i64", "1|7\n", "1.0|7\n", "as" },
    { "cast to the type it has", "a i64", "cast: { a: i64 }", "a i64", "1\n", "1\n", "" },
    { "cast keeps nulls", "s string?", "cast: { s: i64 }", "s i64?", "7\n\n", "7\nnull\n", "s" },
    { "drop", "a i64, b i64, c i64", "drop: [b]", "a i64, c i64", "1|2|3\n", "1|3\n", "" },
    { "select", "a i64, b i64, c i64", "select: [c, a]", "c i64, a i64", "1|2|3\n", "3|1\n", "" },
    { "all in their order", "a i64, b i64, c i64",
      "select: [sum, z]\ndrop: [b]\ncast: { z: string }\nrename: { c: z }\nderive: { sum: a + b + c }",
      "sum i64, z string", "1|2|3\n", "6|3\n", "abc" },
    { "constants", "a i64", "derive: { k: \"'x'\", n: 1.5 }", "a i64, k string, n f64", "1\n2\n", "1|x|1.5\n2|x|1.5\n",
      "" },
    { "nulls go through", "a i64?", "derive: { b: a + 1 }", "a i64?, b i64?", "1\n\n", "1|2\nnull|null\n", "a" },
};

static void columns_are_made_in_the_documented_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fake *f = mapper(cases[i].with, cases[i].columns, FAKE_FAIL);
        if (f->st != RKP_OK)
            fail_msg("%s: %s", cases[i].name, fake_findings(f));
        if (strcmp(fake_schema_text(f), cases[i].schema))
            fail_msg("%s: schema %s", cases[i].name, fake_schema_text(f));
        for (uint32_t c = 0; c < schema.n; c++)
            if ((f->reads[0] >> c & 1) != (strchr(cases[i].reads, schema.f[c].name.p[0]) != NULL))
                fail_msg("%s: column " RKP_STR_FMT " is%s read", cases[i].name, RKP_STR_ARG(schema.f[c].name),
                         f->reads[0] >> c & 1 ? "" : " not");
        assert_in_range(fake_feed(f, 0, fake_batch(f, &schema, cases[i].rows)), RKP_DONE, RKP_PASS);
        if (strcmp(fake_rows(f, 0), cases[i].out))
            fail_msg("%s: got\n%s", cases[i].name, fake_rows(f, 0));
        done(f);
    }
}

static void columns_that_pass_are_not_touched(void **state)
{
    fake *f = mapper("derive: { c: a + 1 }\nrename: { s: t }\nselect: [t, c]", "a i64, s string", FAKE_FAIL);
    rkp_batch *b = fake_batch(f, &schema, "1|x\n2|y\n");
    (void)state;
    assert_int_equal(fake_feed(f, 0, rkp_batch_get(b)), RKP_DONE);
    assert_int_equal(f->pass[0], 1);
    assert_int_equal(f->pass[1], -1);
    assert_ptr_equal(f->out[0].b->cols[0].values, b->cols[1].values);
    rkp_batch_put(b);
    done(f);
}

static void rows_in_error_are_rejected_once(void **state)
{
    static const uint32_t wrong[] = { 1, 2, 4, 5 };
    fake *f =
        mapper("derive: { x: 10 // a, y: 10 // b, z: x + y }\ncast: { s: i64 }", "a i64, b i64, s string", FAKE_DROP);
    (void)state;
    assert_int_equal(fake_feed(f, 0, fake_batch(f, &schema, "1|1|1\n1|0|1\n0|0|x\n2|2|2\n2|2|x\n0|2|2\n5|5|5\n")),
                     RKP_DONE);
    assert_string_equal(fake_rows(f, 0), "1|1|1|10|10|20\n2|2|2|5|5|10\n5|5|5|2|2|4\n");
    assert_int_equal(f->n_rejects, 4);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(f->rejects[i].row, wrong[i]);
    assert_int_equal(f->rejects[1].code, RKP_ROW_ZERO);
    assert_int_equal(f->rejects[2].code, RKP_ROW_CAST);
    // Only rows in error.
    assert_int_equal(fake_feed(f, 0, fake_batch(f, &schema, "0|1|1\n")), RKP_DONE);
    assert_int_equal(f->n_out, 1);
    done(f);
    f = mapper("derive: { x: 10 // a }", "a i64", FAKE_FAIL);
    assert_int_equal(fake_feed(f, 0, fake_batch(f, &schema, "1\n0\n")), RKP_FAIL);
    assert_int_equal(f->n_out, 0);
    done(f);
}

static void what_nobody_reads_is_not_computed(void **state)
{
    fake *f = mapper("derive: { x: 10 // a, y: x + 1, z: a + 1 }", "a i64", FAKE_FAIL);
    (void)state;
    f->conf.unneeded[0] = 1 << 1 | 1 << 2; // x and y
    assert_int_equal(fake_feed(f, 0, fake_batch(f, &schema, "0\n1\n")), RKP_DONE);
    assert_string_equal(fake_rows(f, 0), "0|null|null|1\n1|null|null|2\n");
    done(f);
    f = mapper("derive: { x: 10 // a, y: x + 1 }", "a i64", FAKE_DROP);
    f->conf.unneeded[0] = 1 << 1; // x is needed for y
    assert_int_equal(fake_feed(f, 0, fake_batch(f, &schema, "0\n1\n")), RKP_DONE);
    assert_string_equal(fake_rows(f, 0), "1|10|11\n");
    done(f);
}

static void options_that_are_wrong_are_told(void **state)
{
    static const struct {
        const char *with, *finding;
    } wrong[] = {
        { "derive: { x: nope + 1 }", "nope" },
        { "derive: { x: y, y: a }", "'y'" },
        { "rename: { aa: b }", "did you mean 'a'" },
        { "rename: { a: s }", "column-duplicate" },
        { "rename: { a: '' }", "column-name" },
        { "cast: { zz: i64 }", "column-unknown" },
        { "cast: { a: i65 }", "i65" },
        { "cast: { a: 'f32[4]' }", "not supported yet" },
        { "drop: [zz]", "column-unknown" },
        { "drop: [a]\nselect: [a]", "column-unknown" },
        { "rename: { a: b }\ndrop: [a]", "column-unknown" },
        { "select: [a, a]", "column-duplicate" },
        { "select: []", "select-empty" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        fake *f = mapper(wrong[i].with, "a i64, s string", FAKE_FAIL);
        if (f->st != RKP_INVALID || !strstr(fake_findings(f), wrong[i].finding))
            fail_msg("%s: %s", wrong[i].with, fake_findings(f));
        done(f);
    }
}

static void memory_may_run_out_anywhere(void **state)
{
    (void)state;
    if (!nomem_works())
        skip();
    for (long n = 1;; n++) {
        fake *f =
            mapper("derive: { x: 10 // a, t: \"concat(s, ' and a longer text than a view')\" }\ncast: { x: string }",
                   "a i64, s string", FAKE_DROP);
        rkp_batch *b = fake_batch(f, &schema, "1|x\n0|y\n5|z\n");
        bool none;
        rkp_verdict v;
        nomem_at(n);
        v = fake_feed(f, 0, b);
        none = nomem_count() < n;
        nomem_at(0);
        if (v == RKP_DONE)
            assert_string_equal(fake_rows(f, 0),
                                "1|x|10|x and a longer text than a view\n5|z|2|z and a longer text than a view\n");
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
        cmocka_unit_test(columns_are_made_in_the_documented_order), cmocka_unit_test(columns_that_pass_are_not_touched),
        cmocka_unit_test(rows_in_error_are_rejected_once),          cmocka_unit_test(what_nobody_reads_is_not_computed),
        cmocka_unit_test(options_that_are_wrong_are_told),          cmocka_unit_test(memory_may_run_out_anywhere),
    };
    int failed;
    rki_arena_init(&arena);
    failed = cmocka_run_group_tests_name("op.map", tests, NULL, NULL);
    rki_arena_fini(&arena);
    return failed;
}
