// write.log: a line for each row, as logfmt and as JSON.
#include "fake_op.h"
#include "nomem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

extern const rkp_op rkp_op_write_log;

static void logs(const char *with, const char *schema, const char *lines, const char *want)
{
    for (int form = 0; form < OP_FORMS; form++)
        for (uint32_t cut = 0; cut < 2; cut++) {
            struct op_run run;
            uint64_t rows = 0;

            op_start(&run, &rkp_op_write_log, with, schema, (enum op_form)form);
            run.f->wall_us = 1700000000123456;
            if (op_feed(&run, lines, cut) == RKP_FAIL || fake_finish(run.f) != RKP_OK)
                fail_msg("%s: %s", with, run.f->fail);
            for (const char *p = lines; *p; p++)
                rows += *p == '\n';
            assert_int_equal(run.f->absorbed, rows);
            assert_string_equal(run.f->log.n ? run.f->log.p : "", want);
            op_close(&run);
        }
}

static void a_row_is_a_line_of_text(void **state)
{
    (void)state;
    logs("{}", "a string?, n f64?", "x|1.5\n|\n''|2.0\n",
         "time=2023-11-14T22:13:20.123Z level=info kernel=k a=x n=1.5\n"
         "time=2023-11-14T22:13:20.123Z level=info kernel=k a= n=\n"
         "time=2023-11-14T22:13:20.123Z level=info kernel=k a=\"\" n=2.0\n");
    logs("{ level: error, time: false, columns: [n, a] }", "a string, n i64", "x|1\n",
         "level=error kernel=k n=1 a=x\n");
    logs("{ time: false }", "a string", "", "");
}

static void values_that_would_be_misread_are_quoted(void **state)
{
    (void)state;
    logs(
        "{ time: false }", "a string", "two words\na=b\nsay \"hi\"\nback\\slash\ngr\xc3\xbc\xc3\x9f\n",
        "level=info kernel=k a=\"two words\"\nlevel=info kernel=k a=\"a=b\"\nlevel=info kernel=k a=\"say \\\"hi\\\"\"\n"
        "level=info kernel=k a=\"back\\\\slash\"\nlevel=info kernel=k a=gr\xc3\xbc\xc3\x9f\n");
    logs("{ time: false }", "a string", "\x1b[31mred\ttab\r\x7f\n",
         "level=info kernel=k a=\"\\u001b[31mred\\ttab\\r\\u007f\"\n");
}

static void columns_with_names_of_ours_are_told_apart(void **state)
{
    (void)state;
    logs("{ time: false }", "level string, kernel i64, odd=name i64", "ERROR|7|1\n",
         "level=info kernel=k row.level=ERROR row.kernel=7 odd_name=1\n");
    logs("{ format: json }", "level string, time i64, x i64", "ERROR|7|1\n",
         "{\"time\":\"2023-11-14T22:13:20.123Z\",\"level\":\"info\",\"kernel\":\"k\",\"row.level\":\"ERROR\",\"row."
         "time\":7,"
         "\"x\":1}\n");
}

static void a_row_is_an_object(void **state)
{
    (void)state;
    logs("{ format: json, level: warn, time: false }", "a string?, n f64?", "x \"y\"|1.5\n|\n",
         "{\"level\":\"warn\",\"kernel\":\"k\",\"a\":\"x \\\"y\\\"\",\"n\":1.5}\n"
         "{\"level\":\"warn\",\"kernel\":\"k\",\"a\":null,\"n\":null}\n");
}

static void rows_whose_values_cannot_be_read_are_rejected(void **state)
{
    (void)state;
    for (int json = 0; json < 2; json++) {
        struct op_run run;

        op_open(&run,
                (fake_conf){ .op = &rkp_op_write_log,
                             .with = json ? "{ format: json, time: false }" : "{ time: false }",
                             .on_error = FAKE_DROP },
                "a i64", OP_TEXT);
        assert_int_equal(op_feed(&run, "1\nx\n3\n", 0), RKP_DONE);
        if (json) { // a number must be one; text is shown as it came
            assert_int_equal(run.f->n_rejects, 1);
            assert_string_equal(run.f->log.p, "{\"level\":\"info\",\"kernel\":\"k\",\"a\":1}\n"
                                              "{\"level\":\"info\",\"kernel\":\"k\",\"a\":3}\n");
        } else {
            assert_string_equal(run.f->log.p, "level=info kernel=k a=1\nlevel=info kernel=k a=x\nlevel=info kernel=k "
                                              "a=3\n");
        }
        assert_int_equal(run.f->absorbed + run.f->n_rejects, 3);
        op_close(&run);
    }
}

static void options_that_are_wrong_are_told(void **state)
{
    static const struct {
        const char *with, *schema, *finding;
    } wrong[] = {
        { "{ level: loud }", "a i64", "opt-choice" },
        { "{ severity: warn }", "a i64", "'severity' is 'level' here" },
        { "{ format: xml }", "a i64", "opt-choice" },
        { "{ columns: [b] }", "a i64", "no column 'b'" },
        { "{ columns: [] }", "a i64", "names no column" },
        { "{ columns: [], format: json }", "a i64", "names no column" },
        { "{}", "a i64[2]", "is an array" },
        { "{ time: yes }", "a i64", "'time' needs true or false" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        op_refuses(&rkp_op_write_log, wrong[i].with, wrong[i].schema, wrong[i].finding);
}

static void every_allocation_may_fail(void **state)
{
    static const char *const with[] = { "{}", "{ format: json }" };

    (void)state;
    if (!nomem_works())
        skip();
    for (int i = 0; i < 2; i++)
        for (long n = 1;; n++) {
            struct op_run run;
            rkp_verdict v;
            rkp_batch *b;
            bool done;

            op_start(&run, &rkp_op_write_log, with[i], "a string, n i64", OP_TEXT);
            b = op_batch(&run, "one|1\ntwo|2\n");
            nomem_at(n);
            v = fake_feed(run.f, 0, b);
            done = nomem_count() < n;
            nomem_at(0);
            assert_true(v == RKP_DONE || (!done && v == RKP_FAIL));
            op_close(&run);
            if (done)
                break;
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_is_a_line_of_text),
        cmocka_unit_test(values_that_would_be_misread_are_quoted),
        cmocka_unit_test(columns_with_names_of_ours_are_told_apart),
        cmocka_unit_test(a_row_is_an_object),
        cmocka_unit_test(rows_whose_values_cannot_be_read_are_rejected),
        cmocka_unit_test(options_that_are_wrong_are_told),
        cmocka_unit_test(every_allocation_may_fail),
    };

    return cmocka_run_group_tests_name("op.write_log", tests, NULL, NULL);
}
