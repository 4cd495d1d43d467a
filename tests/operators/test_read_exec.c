// labels: threads
// read.exec: the rows of a command's output, and what becomes of the command.
#include "fake_actor.h"
#include "files.h"
#include "nomem.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

extern const rkp_op rkp_op_read_exec;

static const char *const env[] = { "PATH=/usr/bin:/bin", "LANG=C", "SECRET=1", NULL };

static fake *source(const char *with, int on_error)
{
    return fake_new(&(fake_conf){ .op = &rkp_op_read_exec, .with = with, .on_error = on_error, .env = env });
}

// Frees it; nothing may be left: no batch, no process, no descriptor.
static void done(fake *f)
{
    assert_int_equal(fake_free(f), 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void expect(const char *with, const char *rows)
{
    fake *f = source(with, FAKE_FAIL);
    if (f->st != RKP_OK)
        fail_msg("%s: %s", with, fake_findings(f));
    if (fake_poll_all(f, 0) != RKP_DONE)
        fail_msg("%s: %s", with, f->fail);
    assert_string_equal(fake_rows(f, 0), rows);
    assert_int_equal(f->counts[0], 1);
    done(f);
}

static void fails(const char *with, rkp_status st, const char *why)
{
    fake *f = source(with, FAKE_FAIL);
    if (f->st == RKP_OK)
        assert_int_equal(fake_poll_all(f, 0), RKP_FAIL);
    assert_int_equal(f->fail_st, st);
    if (!strstr(f->fail, why))
        fail_msg("%s: %s", with, f->fail);
    done(f);
}

// ---- rows -----------------------------------------------------------------------------------------------------------

static void lines_are_rows(void **state)
{
    (void)state;
    expect("argv: [printf, 'a\\r\\n\\nb,\"c']", "a\n\nb,\"c\n");
    expect("{ argv: [seq, '3'], column: n }", "1\n2\n3\n");
    expect("{ argv: true }", "");
    expect("{ argv: [echo, '$HOME', '*', 'a  b'] }", "$HOME * a  b\n");
}

static void csv_is_read_as_a_file_is(void **state)
{
    (void)state;
    expect("{ argv: [printf, 'a,b\\n1,x\\n2,\"y,z\"\\n3,\\n'], format: csv, schema: { a: i64, b: string? } }",
           "1|x\n2|y,z\n3|null\n");
    // By name, some of them, and absent ones are null.
    expect("{ argv: [printf, 'b,a\\nx,1\\n'], format: csv, schema: { a: i64, b: string, c: f64? } }", "1|x|null\n");
    expect("{ argv: [printf, 'a,b\\n1,x\\n'], format: csv, schema: { a: i64, b: string }, columns: [b] }", "x\n");
    expect("{ argv: [printf, 'a,b\\n1,x\\n'], format: csv, columns: [b, a] }", "x|1\n");
    expect("{ argv: [printf, '1,x\\n'], format: csv, header: false, columns: [b, a] }", "1|x\n");
    expect("{ argv: [printf, 'a\\tb\\n1\\tNA\\n'], format: csv, delimiter: tab, nulls: NA, columns: [a, b] }",
           "1|null\n");
    expect("{ argv: true, format: csv, columns: [a] }", "");
}

static void json_lines_are_read_as_a_file_is(void **state)
{
    (void)state;
    expect("{ argv: [printf, '{\"a\":1}\\n\\n{\"b\":\"x\",\"a\":null}\\n'], format: jsonl, schema: { a: i64?, b: "
           "string? } }",
           "1|null\nnull|x\n");
    expect("{ argv: [printf, '{\"a\":{\"b\":[5,6]}}\\n'], format: jsonl, schema: { x: i64 }, paths: { x: 'a.b[1]' } }",
           "6\n");
}

static void output_larger_than_pipes_and_chunks_is_whole(void **state)
{
    fake *f = source("{ argv: [seq, '200000'], chunk_bytes: 4096 }", FAKE_FAIL);
    uint64_t n = 0;
    (void)state;
    assert_int_equal(fake_poll_all(f, 0), RKP_DONE);
    for (size_t i = 0; i < f->n_out; i++)
        n += f->out[i].b->rows;
    assert_int_equal(n, 200000);
    assert_true(f->n_out > 100);
    done(f);
}

static void a_number_that_was_the_pipes_is_looked_at_no_more(void **state)
{
    static const char *const cases[] = {
        "{ argv: [seq, '3'], idle: 0 }",
        "{ argv: [seq, '3'], idle: 0, format: csv, header: false, columns: [n] }",
        "{ argv: [echo, '{}'], idle: 0, format: jsonl, schema: { n: i64? } }",
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fake *f = source(cases[i], FAKE_FAIL);
        int quiet[2], taken[64]; // every number that is free, and nothing ever comes
        while (f->n_out == 0 && fake_poll(f) != RKP_FAIL)
            ;
        assert_int_equal(pipe(quiet), 0);
        for (size_t k = 0; k < sizeof taken / sizeof *taken; k++)
            assert_true((taken[k] = dup(quiet[0])) >= 0);
        if (fake_poll_all(f, 200) != RKP_DONE) // of a tenth of a second each, while nothing comes
            fail_msg("%s: verdict %d", cases[i], (int)f->verdict);
        for (size_t k = 0; k < sizeof taken / sizeof *taken; k++)
            close(taken[k]);
        close(quiet[0]);
        close(quiet[1]);
        done(f);
    }
}

static void bad_rows_are_named_after_the_command(void **state)
{
    fake *f =
        source("{ argv: [printf, 'a,b\\n1,2\\n3\\n4,5\\n'], format: csv, schema: { a: i64, b: i64 } }", FAKE_DROP);
    (void)state;
    assert_int_equal(fake_poll_all(f, 0), RKP_DONE);
    assert_string_equal(fake_rows(f, 0), "1|2\n4|5\n");
    assert_string_equal(fake_reject_text(f), "fields||1 field where 2 are expected|printf:3\n");
    done(f);
    f = source("{ argv: [printf, '{}\\nx\\n'], format: jsonl, schema: { a: i64? } }", FAKE_DROP);
    assert_int_equal(fake_poll_all(f, 0), RKP_DONE);
    assert_int_equal(f->n_rejects, 1);
    assert_int_equal(f->rejects[0].line, 2);
    done(f);
    f = source("{ argv: [printf, 'a long line of text\\nshort\\n'], max_record: 16 }", FAKE_DROP);
    assert_int_equal(fake_poll_all(f, 0), RKP_DONE);
    assert_string_equal(fake_rows(f, 0), "short\n");
    assert_int_equal(f->n_rejects, 1);
    done(f);
}

// Polls until something has come, which may take a while.
static rkp_verdict poll_some(fake *f)
{
    rkp_verdict v = fake_poll(f);
    while (v == RKP_RETRY)
        v = fake_poll(f);
    return v;
}

static void rows_come_before_the_command_has_ended(void **state)
{
    fake *f = source("{ argv: [sh, -c, 'echo one; exec sleep 1000'], idle: 1ms }", FAKE_FAIL);
    (void)state;
    assert_int_equal(poll_some(f), RKP_MORE);
    assert_string_equal(fake_rows(f, 0), "one\n");
    done(f); // and it is stopped
}

// ---- the command ----------------------------------------------------------------------------------------------------

static void standard_error_is_passed_on_with_the_kernels_name(void **state)
{
    fake *f = source("{ argv: [sh, -c, 'echo to the log >&2; echo row; printf last >&2'] }", FAKE_FAIL);
    (void)state;
    assert_int_equal(fake_poll_all(f, 0), RKP_DONE);
    assert_string_equal(fake_rows(f, 0), "row\n");
    assert_string_equal(f->log.p, "kernel 'k': to the log\nkernel 'k': last\n");
    done(f);
}

static void a_command_that_fails_fails_the_kernel(void **state)
{
    (void)state;
    fails("{ argv: [sh, -c, 'echo row; echo why >&2; exit 3'] }", RKP_IO, "command 'sh' ended with exit status 3: why");
    fails("{ argv: [sh, -c, 'kill -TERM $$'], format: csv, columns: [a] }", RKP_IO,
          "command 'sh' was ended by signal 15 (Terminated)");
    fails("{ argv: [no-such-program-here] }", RKP_UNAVAILABLE, "there is no command 'no-such-program-here' in PATH");
    fails("{ argv: ['seq 3'] }", RKP_UNAVAILABLE, "no shell divides them");
}

static void it_gets_the_environment_that_is_given(void **state)
{
    (void)state;
    expect("{ argv: [env], env: { LANG: C.UTF-8, X: 'a b' } }", "PATH=/usr/bin:/bin\nLANG=C.UTF-8\nX=a b\n");
    expect("{ argv: [env], env: { PATH: /bin } }", "LANG=C\nPATH=/bin\n");
}

static void told_to_stop_it_stops_the_command(void **state)
{
    unsigned fds = open_fds();
    fake *f = source("{ argv: [sh, -c, 'sleep 1000 & echo one; wait'], idle: 1ms }", FAKE_FAIL);
    (void)state;
    assert_int_equal(poll_some(f), RKP_MORE);
    f->stopping = true;
    assert_int_equal(fake_poll(f), RKP_DONE);
    assert_int_equal(f->fail_st, RKP_OK);
    done(f);
    assert_int_equal(open_fds(), fds);
    // Before it was started there is nothing to stop.
    f = source("{ argv: [sleep, '1000'] }", FAKE_FAIL);
    f->stopping = true;
    assert_int_equal(fake_poll(f), RKP_DONE);
    assert_int_equal(f->counts[0], 0);
    done(f);
}

static void a_kernel_that_fails_leaves_no_command_behind(void **state)
{
    static const char *const cases[] = {
        "{ argv: [sh, -c, 'echo a,b; echo 1; sleep 1000'], format: csv, columns: [a, b], idle: 1ms }",
        "{ argv: [sh, -c, 'echo x; sleep 1000'], format: csv, schema: { a: i64 }, idle: 1ms }",
        "{ argv: [sh, -c, 'echo x; sleep 1000'], format: jsonl, schema: { a: i64 }, idle: 1ms }",
    };
    unsigned fds = open_fds();
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fake *f = source(cases[i], FAKE_FAIL);
        rkp_verdict v = RKP_MORE;
        assert_int_equal(f->st, RKP_OK);
        while (v == RKP_MORE)
            v = poll_some(f);
        assert_int_equal(v, RKP_FAIL);
        done(f);
    }
    assert_int_equal(open_fds(), fds);
}

// ---- options --------------------------------------------------------------------------------------------------------

static void options_that_are_wrong_are_told(void **state)
{
    static const struct {
        const char *with, *finding;
    } wrong[] = {
        { "{}", "needs 'argv'" },
        { "{ argv: [] }", "'argv' names no command [exec-argv]" },
        { "{ argv: [''] }", "'argv' names no command" },
        { "{ argv: { a: b } }", "'argv' needs a list of texts" },
        { "{ argv: [a, [b]] }", "'argv' needs texts in its list" },
        { "{ command: ls }", "'command' is 'argv' here" },
        { "{ argv: ls, env: [A] }", "env" },
        { "{ argv: ls, env: { 'A=B': c } }", "'A=B' cannot be a variable of the environment [exec-env]" },
        { "{ argv: ls, format: xml }", "opt-choice" },
        { "{ argv: ls, format: csv }", "format: csv needs 'schema', or 'columns' [exec-format]" },
        { "{ argv: ls, format: jsonl }", "format: jsonl needs 'schema'" },
        { "{ argv: ls, format: jsonl, columns: [a] }", "'columns' means nothing for format: jsonl" },
        { "{ argv: ls, schema: { a: i64 } }", "'schema' means nothing for format: lines" },
        { "{ argv: ls, delimiter: ';' }", "'delimiter' means nothing for format: lines" },
        { "{ argv: ls, nulls: x }", "'nulls' means nothing for format: lines" },
        { "{ argv: ls, paths: { a: b } }", "'paths' means nothing for format: lines" },
        { "{ argv: ls, format: csv, columns: [a], column: b }", "'column' means nothing for format: csv" },
        { "{ argv: ls, column: '' }", "a column name is empty" },
        { "{ argv: ls, format: csv, schema: { a: i64 }, columns: [b] }", "no column 'b'" },
        { "{ argv: ls, format: csv, columns: [a, a] }", "named twice" },
        { "{ argv: ls, format: csv, columns: [a], delimiter: '\"' }", "the same" },
        { "{ argv: ls, format: csv, schema: { a: 'i64[4]' } }", "is an array" },
        { "{ argv: ls, format: jsonl, schema: { a: i64 }, paths: { b: c } }", "no column 'b'" },
        { "{ argv: ls, format: jsonl, schema: { a: i64 }, paths: { a: 'x[' } }", "is not a path" },
        { "{ argv: ls, chunk_bytes: 1 }", "opt-range" },
        { "{ argv: ls, grace: soon }", "'grace' needs a duration" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        fake *f = source(wrong[i].with, FAKE_FAIL);
        if (f->st != RKP_INVALID || !strstr(fake_findings(f), wrong[i].finding))
            fail_msg("%s: %s", wrong[i].with, fake_findings(f));
        done(f);
    }
}

static void memory_may_run_out_anywhere(void **state)
{
    static const struct {
        const char *with;
        uint64_t rows;
    } cases[] = {
        { "{ argv: [seq, '3'] }", 3 },
        { "{ argv: [printf, 'a,b\\n1,x\\n2,\"y,z\"\\n'], format: csv, schema: { a: i64, b: string? } }", 2 },
        { "{ argv: [printf, '{\"a\":1}\\n'], format: jsonl, schema: { a: i64? } }", 1 },
    };
    unsigned fds = open_fds();
    (void)state;
    if (!nomem_works())
        skip();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (long n = 1;; n++) {
            fake *f = source(cases[i].with, FAKE_FAIL);
            rkp_verdict v;
            bool none;
            assert_int_equal(f->st, RKP_OK);
            nomem_at(n);
            v = fake_poll_all(f, 0);
            none = nomem_count() < n;
            nomem_at(0);
            if (v == RKP_DONE)
                assert_int_equal(f->emitted[0], cases[i].rows);
            else
                assert_int_equal(v, RKP_FAIL);
            done(f);
            if (none)
                break;
        }
    }
    assert_int_equal(open_fds(), fds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_rows),
        cmocka_unit_test(csv_is_read_as_a_file_is),
        cmocka_unit_test(json_lines_are_read_as_a_file_is),
        cmocka_unit_test(output_larger_than_pipes_and_chunks_is_whole),
        cmocka_unit_test(a_number_that_was_the_pipes_is_looked_at_no_more),
        cmocka_unit_test(bad_rows_are_named_after_the_command),
        cmocka_unit_test(rows_come_before_the_command_has_ended),
        cmocka_unit_test(standard_error_is_passed_on_with_the_kernels_name),
        cmocka_unit_test(a_command_that_fails_fails_the_kernel),
        cmocka_unit_test(it_gets_the_environment_that_is_given),
        cmocka_unit_test(told_to_stop_it_stops_the_command),
        cmocka_unit_test(a_kernel_that_fails_leaves_no_command_behind),
        cmocka_unit_test(options_that_are_wrong_are_told),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests_name("op.read_exec", tests, NULL, NULL);
}
