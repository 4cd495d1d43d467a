// read.jsonl: columns and their types, paths, nulls, bad lines with their places, and what is checked how far.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_actor.h"
#include "files.h"
#include "nomem.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

extern const rkp_op rkp_op_read_jsonl;

static fake *source(const char *with, int on_error)
{
    fake *f = fake_new(&(fake_conf){ .op = &rkp_op_read_jsonl, .with = with, .on_error = on_error });
    if (f->st != RKP_OK)
        fail_msg("%s: %s\n%s", with, f->stage, fake_findings(f));
    return f;
}

static void done(fake *f)
{
    assert_int_equal(fake_free(f), 0);
}

static const struct {
    const char *name, *text, *with, *schema, *rows;
} cases[] = {
    { "types of JSON", "{\"b\":true,\"i\":1,\"f\":1.5,\"s\":\"x\",\"o\":{\"k\":[1]},\"a\":[],\"n\":null}\n", "",
      "b bool?, i i64?, f f64?, s string?, o json?, a json?, n string?", "true|1|1.5|x|{\"k\":[1]}|[]|null\n" },
    { "keys in the order of their first appearance", "{\"b\":1}\n{\"a\":2,\"b\":3}\n{\"c\":4}\n", "",
      "b i64?, a i64?, c i64?", "1|null|null\n3|2|null\nnull|null|4\n" },
    { "integers and reals", "{\"x\":1}\n{\"x\":2.5}\n{\"x\":1e3}\n", "", "x f64?", "1.0\n2.5\n1000.0\n" },
    { "an integer that is too large", "{\"x\":9223372036854775807}\n{\"x\":9223372036854775808}\n", "", "x f64?",
      "9.223372036854776e+18\n9.223372036854776e+18\n" },
    { "mixtures are json", "{\"x\":1,\"y\":true}\n{\"x\":\"1\",\"y\":0}\n{\"x\":null}\n", "", "x json?, y json?",
      "1|true\n\"1\"|0\nnull|null\n" },
    { "times stay strings", "{\"t\":\"2024-05-01T10:00:00Z\"}\n", "", "t string?", "2024-05-01T10:00:00Z\n" },
    { "unless the schema says so", "{\"t\":\"2024-05-01T10:00:00Z\"}\n{\"t\":null}\n{}\n",
      "schema: { t: 'timestamp?' }", "t timestamp?", "2024-05-01T10:00:00Z\nnull\nnull\n" },
    { "escapes", "{\"s\":\"a\\\"b\\\\\\u00e9\\ud83d\\ude00\\n\",\"k\\u0065y\":1}\n", "", "s string?, key i64?",
      "a\"b\\\xC3\xA9\xF0\x9F\x98\x80\n|1\n" },
    { "the last of equal keys", "{\"a\":1,\"a\":2}\n", "", "a i64?", "2\n" },
    { "paths with a schema",
      "{\"a\":{\"b\":[{\"c\":7},8]},\"x.y\":\"z\",\"d\":1}\n{\"a\":{\"b\":[]},\"d\":2}\n{\"a\":3}\n",
      "schema: { c: 'i64?', e: 'i64?', d: 'i64?', f: 'string?', g: 'json?' }\n"
      "paths: { c: 'a.b[0].c', e: 'a.b[1]', f: '[\"x.y\"]', g: a.b }\n",
      "c i64?, e i64?, d i64?, f string?, g json?",
      "7|8|1|z|[{\"c\":7},8]\nnull|null|2|null|[]\nnull|null|null|null|null\n" },
    { "paths alone are all columns", "{\"a\":{\"b\":1.5},\"c\":\"x\",\"d\":1}\n{\"a\":{\"b\":2}}\n",
      "paths: { y: c, x: a.b, z: e }", "y string?, x f64?, z string?", "x|1.5|null\nnull|2.0|null\n" },
    { "the whole line", "{\"a\":1}\n", "paths: { all: $, a: a }", "all json?, a i64?", "{\"a\":1}|1\n" },
    { "a dot in a column's name is no path", "{\"a.b\":1,\"a\":{\"b\":2}}\n", "schema: { a.b: i64 }", "a.b i64",
      "1\n" },
    { "blank lines, blanks, ends", "\xEF\xBB\xBF\n {\"a\" : 1 } \r\n\r\n  \n{\"a\":2}", "", "a i64?", "1\n2\n" },
    { "no rows with a schema", "", "schema: { a: i64 }", "a i64", "" },
};

static void columns_types_and_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int all = 0; all < 2; all++) {
            char with[1024];
            fake *f;
            put_text("x.jsonl", cases[i].text);
            snprintf(with, sizeof with, "path: x.jsonl\n%s\n%s", all ? "validate: all" : "", cases[i].with);
            f = source(with, FAKE_FAIL);
            if (strcmp(fake_schema_text(f), cases[i].schema))
                fail_msg("%s: schema %s", cases[i].name, fake_schema_text(f));
            assert_int_equal(fake_poll_all(f, 0), RKP_DONE);
            if (strcmp(fake_rows(f, 0), cases[i].rows))
                fail_msg("%s: got\n%s%s", cases[i].name, fake_rows(f, 0), fake_reject_text(f));
            assert_int_equal(f->n_rejects, 0);
            done(f);
        }
}

static void types_come_from_the_first_ten_thousand_rows(void **state)
{
    FILE *o = fopen("many.jsonl", "wb");
    fake *f;
    (void)state;
    for (int i = 0; i < 10000; i++)
        fprintf(o, "{\"a\":%d}\n", i);
    fprintf(o, "{\"a\":\"x\",\"b\":1}\n{\"a\":10001}\n");
    fclose(o);
    f = source("path: many.jsonl", FAKE_DROP);
    assert_string_equal(fake_schema_text(f), "a i64?");
    assert_int_equal(fake_poll_all(f, 0), RKP_DONE);
    assert_int_equal(f->emitted[0], 10002); // nobody has looked at the value
    done(f);
    f = source("path: many.jsonl\nvalidate: all", FAKE_DROP);
    assert_int_equal(fake_poll_all(f, 0), RKP_DONE);
    assert_int_equal(f->emitted[0], 10001);
    assert_string_equal(fake_reject_text(f), "parse|0|\"x\"|many.jsonl:10001\n");
    done(f);
}

static void files_are_read_in_order_and_unite(void **state)
{
    fake *f;
    (void)state;
    put_text("p1.jsonl", "{\"a\":1}\n");
    put_text("p2.jsonl", "{\"b\":\"x\",\"a\":2.5}");
    f = source("path: 'p?.jsonl'", FAKE_FAIL);
    assert_string_equal(fake_schema_text(f), "a f64?, b string?");
    assert_int_equal(fake_poll_all(f, 0), RKP_DONE);
    assert_string_equal(fake_rows(f, 0), "1.0|null\n2.5|x\n");
    done(f);
}

static const char broken[] = "{\"a\":1,\"b\":{\"c\":1}}\n" // 1
                             "\n"
                             "{\"a\":2,}\n"                // 3
                             "{\"a\":3,\"b\":{\"c\" 1}}\n" // 4: only when all is checked
                             "[4]\n"                       // 5
                             "{\"a\":\"\xFF\"}\n"          // 6
                             "{\"a\":7}}\n"                // 7
                             "{\"a\":8,\"b\":[\"}\n"       // 8
                             "{\"a\":9}";                  // 9

static void bad_lines_are_told_with_their_place_and_the_rest_goes_on(void **state)
{
    static const char used[] = "syntax||byte 8: a key in quotes is expected|bad.jsonl:3\n"
                               "syntax||byte 1: the line is not an object|bad.jsonl:5\n"
                               "utf8||byte 6: a string is not UTF-8|bad.jsonl:6\n"
                               "syntax||byte 8: there is text behind the value|bad.jsonl:7\n"
                               "syntax||byte 15: a string does not end, or holds a control character|bad.jsonl:8\n";
    static const char all[] = "syntax||byte 8: a key in quotes is expected|bad.jsonl:3\n"
                              "syntax||byte 17: ':' is expected after a key|bad.jsonl:4\n"
                              "syntax||byte 1: the line is not an object|bad.jsonl:5\n"
                              "utf8||byte 6: a string is not UTF-8|bad.jsonl:6\n"
                              "syntax||byte 8: there is text behind the value|bad.jsonl:7\n"
                              "syntax||byte 15: a string does not end, or holds a control character|bad.jsonl:8\n";
    fake *f;
    (void)state;
    put_text("bad.jsonl", broken);
    f = source("path: bad.jsonl\nschema: { a: 'json?' }", FAKE_DROP);
    assert_int_equal(fake_poll_all(f, 0), RKP_DONE);
    assert_string_equal(fake_rows(f, 0), "1\n3\n9\n");
    assert_string_equal(fake_reject_text(f), used);
    assert_true(rkp_str_is(f->rejects[0].raw, "{\"a\":2,}"));
    done(f);
    f = source("path: bad.jsonl\nschema: { a: 'json?' }\nvalidate: all", FAKE_DROP);
    assert_int_equal(fake_poll_all(f, 0), RKP_DONE);
    assert_string_equal(fake_rows(f, 0), "1\n9\n");
    assert_string_equal(fake_reject_text(f), all);
    done(f);
    f = source("path: bad.jsonl\nschema: { a: 'json?' }", FAKE_FAIL);
    assert_int_equal(fake_poll_all(f, 0), RKP_FAIL);
    done(f);
}

static void values_of_another_type_are_errors_when_they_are_read(void **state)
{
    fake *f;
    rkp_str name;
    (void)state;
    put_text("t.jsonl", "{\"a\":1,\"b\":1}\n{\"a\":\"x\",\"b\":1.5}\n{\"a\":null,\"b\":3}\n{\"b\":true}\n");
    f = source("path: t.jsonl\nschema: { a: 'i64?', b: 'i64?' }", FAKE_DROP);
    assert_int_equal(fake_poll_all(f, 0), RKP_DONE);
    assert_string_equal(fake_rows(f, 0), "1|1\nnull|null\nnull|3\nnull|null\n"
                                         "! row 1 column 0: parse\n! row 3 column 1: parse\n");
    assert_int_equal(rkp_batch_line(f->out[0].b, 3, &name), 4);
    done(f);
    f = source("path: t.jsonl\nschema: { a: 'i64?', b: 'i64?' }\nvalidate: all", FAKE_DROP);
    f->conf.unneeded[0] = 3; // nobody reads them, and still they are checked
    assert_int_equal(fake_poll_all(f, 0), RKP_DONE);
    assert_string_equal(fake_rows(f, 0), "1|1\nnull|3\n");
    assert_string_equal(fake_reject_text(f), "parse|0|\"x\"|t.jsonl:2\nparse|1|true|t.jsonl:4\n");
    done(f);
}

static void columns_that_nobody_reads_are_not_looked_at(void **state)
{
    fake *f;
    (void)state;
    put_text("u.jsonl", "{\"a\":zzz,\"b\":1,\"c\":01}\n{\"a\":t,\"b\":2,\"c\":[}]}\n{\"a\":n,\"b\":3}\n");
    f = source("path: u.jsonl\nschema: { a: 'i64?', b: 'i64?', c: 'json?' }", FAKE_DROP);
    f->conf.unneeded[0] = 5;
    assert_int_equal(fake_poll_all(f, 0), RKP_DONE);
    assert_string_equal(fake_rows(f, 0), "null|3|null\n");
    assert_int_equal(f->n_rejects, 2);
    done(f);
    // Not even one column: the lines are still counted, and their structure checked.
    f = source("path: u.jsonl\nschema: { a: 'i64?', b: 'i64?', c: 'json?' }", FAKE_DROP);
    f->conf.unneeded[0] = 7;
    assert_int_equal(fake_poll_all(f, 0), RKP_DONE);
    assert_int_equal(f->emitted[0], 2);
    done(f);
}

static void chunks_join_to_the_same_rows(void **state)
{
    char *want = NULL;
    char with[128];
    FILE *o = fopen("chunks.jsonl", "wb");
    (void)state;
    for (int i = 0; i < 3000; i++)
        fprintf(o, "{\"id\":%d,\"s\":\"%.*s\"%s%s}%s\n", i, i % 40,
                "some text that is long enough for a view, and more", i % 7 ? "" : ",\"k\":[1,2]",
                i % 11 ? "" : ", \"o\" : {\"p\":\"}\"}", i % 13 ? "" : "\r");
    fclose(o);
    for (unsigned chunk = 4096; chunk < 400000; chunk = chunk * 3 + 1) {
        fake *f;
        snprintf(with, sizeof with, "path: chunks.jsonl\nchunk_bytes: %u\n", chunk);
        f = source(with, FAKE_FAIL);
        assert_int_equal(fake_poll_all(f, 0), RKP_DONE);
        assert_int_equal(f->emitted[0], 3000);
        if (!want)
            want = strdup(fake_rows(f, 0));
        assert_string_equal(fake_rows(f, 0), want);
        done(f);
    }
    free(want);
}

static void a_long_line_is_refused(void **state)
{
    static const char *const chunks[] = { "4096", "510KiB" };
    char *text = malloc(20000);
    (void)state;
    memset(text, 'x', 20000);
    memcpy(text, "{\"a\":1}\n{\"a\":\"", 14);
    strcpy(text + 10000, "\"}\n{\"a\":3}\n");
    put_text("long.jsonl", text);
    for (int i = 0; i < 2; i++) {
        char with[128];
        fake *f;
        snprintf(with, sizeof with, "path: long.jsonl\nmax_record: 100\nchunk_bytes: %s\nschema: { a: json }\n",
                 chunks[i]);
        f = source(with, FAKE_DROP);
        assert_int_equal(fake_poll_all(f, 0), RKP_DONE);
        assert_string_equal(fake_rows(f, 0), "1\n3\n");
        assert_string_equal(fake_reject_text(f), "size||a line of more than 100 bytes|long.jsonl:2\n");
        done(f);
    }
    free(text);
}

static void standard_input_is_sampled_and_not_lost(void **state)
{
    int p[2], in = dup(0);
    fake *f;
    (void)state;
    assert_int_equal(pipe(p), 0);
    assert_int_equal(dup2(p[0], 0), 0);
    close(p[0]);
    assert_int_equal(write(p[1], "{\"a\":1}\n{\"a\":2", 14), 14);
    close(p[1]);
    f = fake_new(&(fake_conf){ .op = &rkp_op_read_jsonl, .with = "path: '-'", .may_read_stdin = true });
    assert_int_equal(f->st, RKP_OK);
    assert_string_equal(fake_schema_text(f), "a i64?");
    assert_int_equal(fake_poll_all(f, 0), RKP_FAIL); // the second line is cut
    done(f);
    dup2(in, 0);
    close(in);
}

static void what_is_not_known_yet_leaves_the_port_open(void **state)
{
    static const struct {
        const char *with, *finding;
    } open[] = {
        { "path: not-there.jsonl", "input-missing" },
        { "path: '-'", "input-missing" },
        { "path: empty.jsonl", "input-empty" },
    };
    (void)state;
    put_text("empty.jsonl", "\n[1]\nx\n");
    for (size_t i = 0; i < 3; i++) {
        fake *f = fake_new(&(fake_conf){ .op = &rkp_op_read_jsonl, .with = open[i].with, .no_init = true });
        assert_int_equal(f->st, RKP_OK);
        assert_int_equal(f->outs[0].n, 0);
        if (!strstr(fake_findings(f), open[i].finding))
            fail_msg("%s: %s", open[i].with, fake_findings(f));
        done(f);
    }
}

static void options_that_are_wrong_are_told(void **state)
{
    static const struct {
        const char *with, *finding;
    } wrong[] = {
        { "schema: { a: i64 }", "path" },
        { "path: x.jsonl\nfollow: true", "not-yet" },
        { "path: x.jsonl\npaths: { a: 'b..c' }", "path-syntax" },
        { "path: x.jsonl\npaths: { a: '' }", "path-syntax" },
        { "path: x.jsonl\nschema: { a: i64 }\npaths: { b: c }", "column-unknown" },
        { "path: x.jsonl\nvalidate: some", "validate" },
    };
    (void)state;
    put_text("x.jsonl", "{\"a\":1}\n");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        fake *f = fake_new(&(fake_conf){ .op = &rkp_op_read_jsonl, .with = wrong[i].with, .no_init = true });
        assert_int_equal(f->st, RKP_INVALID);
        if (!strstr(fake_findings(f), wrong[i].finding))
            fail_msg("%s: %s", wrong[i].with, fake_findings(f));
        done(f);
    }
}

static void memory_may_run_out_anywhere(void **state)
{
    (void)state;
    if (!nomem_works())
        skip();
    put_text("x.jsonl",
             "{\"a\":1,\"b\":{\"c\":[1,\"x\"]}}\n{\"a\":z}\n{\"b\":{\"c\":[1,\"a longer text than a view\"]},"
             "\"a\":3}\n{\"a\":4,\"b\":0,\"long\":\"...........................................\"}\n");
    for (int all = 0; all < 2; all++)
        for (long n = 1;; n++) {
            bool none;
            rkp_verdict v;
            fake *f = source(all ? "path: x.jsonl\nschema: { a: 'i64?', s: 'string?' }\npaths: { s: 'b.c[1]' }\n"
                                   "validate: all\nmax_record: 45"
                                 : "path: x.jsonl\npaths: { a: a, s: 'b.c[1]' }",
                             FAKE_DROP);
            nomem_at(n);
            v = fake_poll_all(f, 0);
            none = nomem_count() < n;
            nomem_at(0);
            if (v == RKP_DONE)
                assert_string_equal(fake_rows(f, 0), all ? "1|x\n" : "1|x\n3|a longer text than a view\n4|null\n");
            else
                assert_int_equal(v, RKP_FAIL);
            done(f);
            if (none)
                break;
        }
}

static void memory_may_run_out_while_sampling(void **state)
{
    (void)state;
    if (!nomem_works())
        skip();
    put_text("x.jsonl", "{\"a\":1,\"k\\u0065y\":{\"c\":[1,\"x\"]}}\n{\"d\":\"x\"}\n");
    for (int paths = 0; paths < 2; paths++)
        for (long n = 1;; n++) {
            bool none;
            fake *f = fake_new(&(fake_conf){ .op = &rkp_op_read_jsonl,
                                             .with = paths ? "path: x.jsonl\npaths: { a: a, d: d }" : "path: x.jsonl",
                                             .no_init = true,
                                             .no_probe = true });
            rkp_probe p = { f };
            void *self = calloc(1, rkp_op_read_jsonl.self_size);
            rki_tree_budget budget = { 0 };
            const rkp_node *with = rki_tree_load(&f->arena, f->diags, "t", rkp_str_of(f->conf.with), &budget);
            rkp_status st;
            assert_int_equal(rki_opts_apply(&f->opt, rkp_op_read_jsonl.opts, with, (rkp_loc){ 0 }, self), RKP_OK);
            nomem_at(n);
            st = rkp_op_read_jsonl.probe(self, &p);
            none = nomem_count() < n;
            nomem_at(0);
            if (none)
                assert_int_equal(st, RKP_OK);
            else
                assert_true(st == RKP_OK || st == RKP_NOMEM || st == RKP_UNAVAILABLE);
            rkp_op_read_jsonl.fini(self);
            free(self);
            done(f);
            if (none)
                break;
        }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_types_and_values),
        cmocka_unit_test(types_come_from_the_first_ten_thousand_rows),
        cmocka_unit_test(files_are_read_in_order_and_unite),
        cmocka_unit_test(bad_lines_are_told_with_their_place_and_the_rest_goes_on),
        cmocka_unit_test(values_of_another_type_are_errors_when_they_are_read),
        cmocka_unit_test(columns_that_nobody_reads_are_not_looked_at),
        cmocka_unit_test(chunks_join_to_the_same_rows),
        cmocka_unit_test(a_long_line_is_refused),
        cmocka_unit_test(standard_input_is_sampled_and_not_lost),
        cmocka_unit_test(what_is_not_known_yet_leaves_the_port_open),
        cmocka_unit_test(options_that_are_wrong_are_told),
        cmocka_unit_test(memory_may_run_out_anywhere),
        cmocka_unit_test(memory_may_run_out_while_sampling),
    };
    static const char *const files[] = { "x.jsonl", "many.jsonl", "p1.jsonl",     "p2.jsonl",   "bad.jsonl",
                                         "t.jsonl", "u.jsonl",    "chunks.jsonl", "long.jsonl", "empty.jsonl" };
    char dir[] = "/tmp/rkp_jsonl_XXXXXX";
    int failed;
    if (!mkdtemp(dir) || chdir(dir))
        return 1;
    failed = cmocka_run_group_tests_name("op.read_jsonl", tests, NULL, NULL);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        unlink(files[i]);
    rmdir(dir);
    return failed;
}
