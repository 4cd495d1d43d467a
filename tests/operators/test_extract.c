// extract: groups to columns, their types, rows without a match, and that texts are pointed at, not copied.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_actor.h"
#include "nomem.h"

#include <stdio.h>

extern const rkp_op rkp_op_extract;

static rki_arena arena;
static rkp_schema schema;

static fake *extractor(const char *with, const char *columns, int on_error)
{
    schema = fake_schema_in(&arena, columns);
    return fake_new(&(fake_conf){ .op = &rkp_op_extract, .with = with, .in = &schema, .on_error = on_error });
}

static void done(fake *f)
{
    assert_int_equal(fake_free(f), 0);
}

#define LOG "column: m\npattern: 'st=(?<st>\\d+) ms=(?<ms>[0-9.]+) u=(?<u>\\w+)'\ntypes: { st: i64, ms: f64 }\n"

static const struct {
    const char *name, *columns, *with, *schema, *rows, *out;
} cases[] = {
    { "groups and types", "m string, k i64", LOG, "m string, k i64, st i64?, ms f64?, u string?",
      "x st=200 ms=1.5 u=ann|1\nst=404 ms=12 u=a_user_with_a_long_name y|2\n",
      "x st=200 ms=1.5 u=ann|1|200|1.5|ann\n"
      "st=404 ms=12 u=a_user_with_a_long_name y|2|404|12.0|a_user_with_a_long_name\n" },
    { "no match is null", "m string?, k i64", LOG, "m string?, k i64, st i64?, ms f64?, u string?",
      "nothing|1\nst=200 ms=1.5 u=ann|2\n|3\n",
      "nothing|1|null|null|null\nst=200 ms=1.5 u=ann|2|200|1.5|ann\nnull|3|null|null|null\n" },
    { "no match is dropped", "m string?, k i64", LOG "no_match: drop\n",
      "m string?, k i64, st i64?, ms f64?, u string?", "nothing|1\nst=200 ms=1.5 u=ann|2\n|3\n",
      "st=200 ms=1.5 u=ann|2|200|1.5|ann\n" },
    { "all dropped", "m string", "column: m\npattern: '(?<a>x)'\nno_match: drop\n", "m string, a string?", "y\nz\n",
      "" },
    { "a group that took no part", "m string", "column: m\npattern: '(?<a>x)|(?<b>y)(?<c>z?)'\n",
      "m string, a string?, b string?, c string?", "x\ny\n", "x|x|null|null\ny|null|y|\n" },
    { "groups without a name", "m string", "column: m\npattern: '(x)(?<a>y)(?:z)'\n", "m string, a string?", "xyz\n",
      "xyz|y\n" },
    { "a column of the same name", "m string, a i64, z i64", "column: m\npattern: '(?<a>\\d+)'\ntypes: { a: i64 }\n",
      "m string, a i64?, z i64", "x12|1|2\n", "x12|12|2\n" },
    { "the searched column itself", "m string", "column: m\npattern: '(?<m>\\d+)'\n", "m string?", "x12\n", "12\n" },
    { "other types", "m string",
      "column: m\npattern: '(?<b>\\w+) (?<u>\\d+) (?<t>.+)'\ntypes: { b: bool, u: u8, t: timestamp }\n",
      "m string, b bool?, u u8?, t timestamp?", "true 255 2024-01-01 00:00\n",
      "true 255 2024-01-01 00:00|true|255|2024-01-01T00:00:00Z\n" },
};

static void groups_become_columns(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fake *f = extractor(cases[i].with, cases[i].columns, FAKE_FAIL);
        rkp_batch *b;
        uint64_t rows;
        if (f->st != RKP_OK)
            fail_msg("%s: %s", cases[i].name, fake_findings(f));
        if (strcmp(fake_schema_text(f), cases[i].schema))
            fail_msg("%s: schema %s", cases[i].name, fake_schema_text(f));
        b = fake_batch(f, &schema, cases[i].rows);
        rows = b->rows;
        if (fake_feed(f, 0, b) != RKP_DONE)
            fail_msg("%s: %s", cases[i].name, f->fail);
        if (strcmp(fake_rows(f, 0), cases[i].out))
            fail_msg("%s: got\n%s", cases[i].name, fake_rows(f, 0));
        assert_int_equal(f->emitted[0] + fake_dropped(f, "no_match"), rows);
        done(f);
    }
}

static void rows_in_error_are_told_and_leave(void **state)
{
    static const uint32_t wrong[] = { 1, 2, 4, 5, 6 };
    fake *f = extractor("column: m\npattern: 'a=(?<a>\\S*) b=(?<b>\\S*)'\ntypes: { a: i64, b: f64 }\nno_match: error\n",
                        "m string", FAKE_DROP);
    (void)state;
    assert_int_equal(
        fake_feed(f, 0,
                  fake_batch(f, &schema,
                             "a=1 b=1\na=x b=1\nnothing\na=2 b=2\na=x b=x\na=3 b=\na=99999999999999999999 b=1\n")),
        RKP_DONE);
    assert_string_equal(fake_rows(f, 0), "a=1 b=1|1|1.0\na=2 b=2|2|2.0\n");
    assert_string_equal(fake_reject_text(f),
                        "parse||x|:0\nmissing|0|nothing|:0\nparse||x|:0\nparse|||:0\nparse||99999999999999999999|:0\n");
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(f->rejects[i].row, wrong[i]);
    done(f);
    f = extractor("column: m\npattern: '(?<a>.)'\ntypes: { a: i64 }\n", "m string", FAKE_FAIL);
    assert_int_equal(fake_feed(f, 0, fake_batch(f, &schema, "1\nx\n")), RKP_FAIL);
    assert_int_equal(f->n_out, 0);
    done(f);
}

static void a_limit_of_the_matcher_is_an_error_row(void **state)
{
    fake *f = extractor("column: m\npattern: '^(?<a>(x+x+)+y)'\n", "m string", FAKE_DROP);
    (void)state;
    assert_int_equal(
        fake_feed(f, 0, fake_batch(f, &schema, "xxy\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxzy\n")),
        RKP_DONE);
    assert_string_equal(fake_rows(f, 0), "xxy|xxy\n");
    assert_int_equal(f->n_rejects, 1);
    assert_int_equal(f->rejects[0].code, RKP_ROW_REGEX);
    done(f);
}

static void texts_point_into_the_text_that_was_searched(void **state)
{
    static const char base[] = "\nuser=a_name_longer_than_a_view end\nuser=b end\n";
    fake *f = extractor("column: m\npattern: 'user=(?<u>\\w+)'\n", "m string", FAKE_FAIL);
    rkp_batch *b = rkp_batch_new(f->pool, &schema, 1, 4096);
    rkp_text *t = rkp_batch_alloc(b, sizeof *t);
    uint32_t *pos = rkp_batch_alloc(b, 3 * sizeof *pos);
    const rkp_col *c;
    (void)state;
    *t = (rkp_text){ .base = base, .len = sizeof base - 1, .kind = RKP_TEXT_RAW };
    pos[0] = 0;
    pos[1] = 35;
    pos[2] = 46;
    b->cols[0] = (rkp_col){ .type = RKP_TYPE(RKP_STRING), .rep = RKP_TEXT, .stride = 1, .pos = pos, .text = t };
    b->rows = 2;
    assert_int_equal(fake_feed(f, 0, b), RKP_DONE);
    assert_string_equal(fake_rows(f, 0),
                        "user=a_name_longer_than_a_view end|a_name_longer_than_a_view\nuser=b end|b\n");
    c = &f->out[0].b->cols[1];
    assert_ptr_equal(rkp_view_str(c, 0).p, base + 6);
    done(f);
}

static void text_that_was_unescaped_is_copied(void **state)
{
    static const char base[] = "\n\"user=\\u0041_name_longer_than_a_view \\\" end\"\n";
    fake *f = extractor("column: m\npattern: 'user=(?<u>\\w+) (?<q>.)'\n", "m string", FAKE_FAIL);
    rkp_batch *b = rkp_batch_new(f->pool, &schema, 1, 4096);
    rkp_text *t = rkp_batch_alloc(b, sizeof *t);
    uint32_t *pos = rkp_batch_alloc(b, 2 * sizeof *pos);
    (void)state;
    *t = (rkp_text){ .base = base, .len = sizeof base - 1, .kind = RKP_TEXT_JSON };
    pos[0] = 0;
    pos[1] = sizeof base - 2;
    b->cols[0] = (rkp_col){ .type = RKP_TYPE(RKP_STRING), .rep = RKP_TEXT, .stride = 2, .pos = pos, .text = t };
    b->rows = 1;
    assert_int_equal(fake_feed(f, 0, b), RKP_DONE);
    assert_string_equal(fake_rows(f, 0), "user=A_name_longer_than_a_view \" end|A_name_longer_than_a_view|\"\n");
    done(f);
}

static void groups_that_nobody_reads_are_not_made(void **state)
{
    fake *f = extractor("column: m\npattern: '(?<a>.)(?<b>.)'\ntypes: { a: i64, b: i64 }\n", "m string", FAKE_FAIL);
    (void)state;
    f->conf.unneeded[0] = 1 << 1;
    assert_int_equal(fake_feed(f, 0, fake_batch(f, &schema, "x1\n")), RKP_DONE);
    assert_string_equal(fake_rows(f, 0), "x1|null|1\n");
    done(f);
}

static void options_that_are_wrong_are_told(void **state)
{
    static const struct {
        const char *with, *finding;
    } wrong[] = {
        { "pattern: '(?<a>x)'", "column" },
        { "column: zz\npattern: '(?<a>x)'", "column-unknown" },
        { "column: k\npattern: '(?<a>x)'", "column-type" },
        { "column: m\npattern: '(?<a>x'", "regex" },
        { "column: m\npattern: 'x'", "extract-groups" },
        { "column: m\npattern: '(?<a>x)'\ntypes: { b: i64 }", "group-unknown" },
        { "column: m\npattern: '(?<a>x)'\ntypes: { a: i65 }", "i65" },
        { "column: m\npattern: '(?<a>x)'\ntypes: { a: 'f32[3]' }", "type-array" },
        { "column: m\npattern: '(?<a>x)'\nno_match: skip", "no_match" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        fake *f = extractor(wrong[i].with, "m string, k i64", FAKE_FAIL);
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
        fake *f = extractor(LOG "no_match: error\n", "m string", FAKE_DROP);
        rkp_batch *b = fake_batch(
            f, &schema, "st=1 ms=1 u=ann\nnothing\nst=1 ms=1.2.3 u=x\nst=2 ms=2 u=a_longer_name_than_a_view\n");
        bool none;
        rkp_verdict v;
        nomem_at(n);
        v = fake_feed(f, 0, b);
        none = nomem_count() < n;
        nomem_at(0);
        if (v == RKP_DONE)
            assert_string_equal(fake_rows(f, 0),
                                "st=1 ms=1 u=ann|1|1.0|ann\n"
                                "st=2 ms=2 u=a_longer_name_than_a_view|2|2.0|a_longer_name_than_a_view\n");
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
        cmocka_unit_test(groups_become_columns),
        cmocka_unit_test(rows_in_error_are_told_and_leave),
        cmocka_unit_test(a_limit_of_the_matcher_is_an_error_row),
        cmocka_unit_test(texts_point_into_the_text_that_was_searched),
        cmocka_unit_test(text_that_was_unescaped_is_copied),
        cmocka_unit_test(groups_that_nobody_reads_are_not_made),
        cmocka_unit_test(options_that_are_wrong_are_told),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    int failed;
    rki_arena_init(&arena);
    failed = cmocka_run_group_tests_name("op.extract", tests, NULL, NULL);
    rki_arena_fini(&arena);
    return failed;
}
