// labels: threads
// write.exec: what a command gets, and that its end decides.
#include "fake_op.h"
#include "files.h"
#include "nomem.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

extern const rkp_op rkp_op_write_exec;

static const char *const env[] = { "PATH=/usr/bin:/bin", "LANG=C", NULL };
static char folder[] = "/tmp/rkpipe-write-exec-XXXXXX";

static void start(struct op_run *run, const char *with, const char *schema, int on_error)
{
    op_open(run, (fake_conf){ .op = &rkp_op_write_exec, .with = with, .on_error = on_error, .env = env }, schema,
            OP_FLAT);
    if (run->f->st != RKP_OK)
        fail_msg("%s: %s", with, fake_findings(run->f));
}

static void done(struct op_run *run)
{
    op_close(run);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static const char *file(const char *name)
{
    static char text[1 << 20];
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    size_t n = 0;
    ssize_t k;
    if (fd < 0)
        return NULL;
    while ((k = read(fd, text + n, sizeof text - 1 - n)) > 0)
        n += (size_t)k;
    close(fd);
    text[n] = 0;
    return text;
}

static void gets(const char *with, const char *schema, const char *lines, const char *want)
{
    for (uint32_t cut = 0; cut < 2; cut++) {
        struct op_run run;
        unlink("got");
        start(&run, with, schema, FAKE_FAIL);
        if (op_feed(&run, lines, cut) == RKP_FAIL || fake_finish(run.f) != RKP_OK)
            fail_msg("%s: %s", with, run.f->fail);
        assert_string_equal(file("got"), want);
        if (!strstr(with, "echo"))
            assert_int_equal(run.f->counts[0], strlen(want));
        done(&run);
    }
}

static void rows_reach_the_command(void **state)
{
    (void)state;
    gets("{ argv: [sh, -c, 'cat >got'] }", "a string?", "one\n\n''\ntwo, \"2\"\n", "one\n\n\ntwo, \"2\"\n");
    gets("{ argv: [sh, -c, 'cat >got'], columns: [n] }", "a string, n i64?", "x|1\ny|\nz|-3\n", "1\n\n-3\n");
    gets("{ argv: [sh, -c, 'cat >got'], format: csv }", "a string?, n f64", "x, y|1\n|2.5\n",
         "a,n\n\"x, y\",1.0\n,2.5\n");
    gets("{ argv: [sh, -c, 'cat >got'], format: csv, header: false, columns: [n, a] }", "a string, n i64", "x|1\n",
         "1,x\n");
    gets("{ argv: [sh, -c, 'cat >got'], format: jsonl, columns: [n, a] }", "a string?, n i64", "x|1\n|2\n",
         "{\"n\":1,\"a\":\"x\"}\n{\"n\":2,\"a\":null}\n");
    gets("{ argv: [sh, -c, 'echo $X $LANG >got; exec cat >>got'], env: { X: '5' } }", "a string", "", "5 C\n");
}

static void the_command_runs_also_without_rows(void **state)
{
    (void)state;
    gets("{ argv: [sh, -c, 'cat >got'], format: csv }", "a string", "", "a\n");
    gets("{ argv: [sh, -c, 'cat >got'] }", "a string", "", "");
}

static void more_than_a_pipe_holds_is_written_whole(void **state)
{
    struct op_run run;
    char lines[20000], *to = lines;
    (void)state;
    for (int i = 0; i < 2000; i++)
        to += sprintf(to, "%d\n", i);
    unlink("got");
    start(&run, "{ argv: [sh, -c, 'sleep 0.05; wc -l >got'] }", "a i64", FAKE_FAIL);
    for (int i = 0; i < 100; i++)
        assert_int_equal(op_feed(&run, lines, 0), RKP_DONE);
    assert_int_equal(fake_finish(run.f), RKP_OK);
    assert_int_equal(strtol(file("got"), NULL, 10), 200000);
    assert_int_equal(run.f->absorbed, 200000);
    done(&run);
}

static void a_text_with_a_line_break_is_an_error_row(void **state)
{
    struct op_run run;
    rkp_str v[3] = { { "a\nb", 3 }, { "c", 1 }, { "\n", 1 } };
    rkp_batch *b;
    (void)state;
    unlink("got");
    start(&run, "{ argv: [sh, -c, 'cat >got'] }", "a string", FAKE_DROP);
    b = rkp_batch_new(run.f->pool, &run.schema, 1, 4096);
    assert_non_null(b);
    b->rows = 3;
    assert_int_equal(rkp_col_set_strs(b, 0, run.schema.f[0].type, v, 3), RKP_OK);
    assert_int_equal(fake_feed(run.f, 0, b), RKP_DONE);
    assert_int_equal(fake_finish(run.f), RKP_OK);
    assert_string_equal(file("got"), "c\n");
    assert_int_equal(run.f->n_rejects, 2);
    assert_int_equal(run.f->rejects[1].row, 2);
    assert_int_equal(run.f->absorbed, 1);
    done(&run);
}

static void a_command_that_does_not_end_well_fails_the_job(void **state)
{
    static const struct {
        const char *with, *why;
    } cases[] = {
        { "{ argv: [sh, -c, 'cat >/dev/null; echo full >&2; exit 4'] }",
          "command 'sh' ended with exit status 4: full" },
        { "{ argv: [sh, -c, 'cat >/dev/null; kill -9 $$'] }", "command 'sh' was ended by signal 9 (Killed)" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct op_run run;
        start(&run, cases[i].with, "a i64", FAKE_FAIL);
        assert_int_equal(op_feed(&run, "1\n2\n", 0), RKP_DONE);
        assert_int_equal(fake_finish(run.f), RKP_IO);
        assert_string_equal(run.f->fail, cases[i].why);
        done(&run);
    }
}

// Feeds rows until the sink fails.
static void feed_until_it_fails(struct op_run *run)
{
    char lines[9000], *to = lines;
    rkp_verdict v = RKP_DONE;
    for (int i = 0; i < 1000; i++)
        to += sprintf(to, "%d\n", i);
    for (int i = 0; i < 10000 && v == RKP_DONE; i++)
        v = op_feed(run, lines, 0);
    assert_int_equal(v, RKP_FAIL);
}

static void a_command_that_ends_before_the_input_fails_the_job(void **state)
{
    static const struct {
        const char *with, *why;
    } cases[] = {
        { "{ argv: [head, -n, '1'] }", "command 'head' has ended before the end of its input" },
        { "{ argv: [sh, -c, 'echo enough >&2; exit 5'] }", "command 'sh' ended with exit status 5: enough" },
        { "{ argv: [sh, -c, 'exec <&-; sleep 1000'], grace: 20ms }",
          "command 'sh' has closed its input before the end" },
    };
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC), keep = dup(STDOUT_FILENO);
    unsigned fds = open_fds();
    (void)state;
    signal(SIGPIPE, SIG_DFL); // it would end the test
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct op_run run;
        start(&run, cases[i].with, "a i64", FAKE_FAIL);
        dup2(null, STDOUT_FILENO);
        feed_until_it_fails(&run);
        dup2(keep, STDOUT_FILENO);
        assert_string_equal(run.f->fail, cases[i].why);
        done(&run);
    }
    assert_int_equal(open_fds(), fds);
    close(null);
    close(keep);
}

static void a_command_that_is_not_there_is_told_before_the_work(void **state)
{
    struct op_run run;
    (void)state;
    op_open(&run, (fake_conf){ .op = &rkp_op_write_exec, .with = "{ argv: [no-such-program] }", .env = env }, "a i64",
            OP_FLAT);
    assert_int_equal(run.f->st, RKP_UNAVAILABLE);
    assert_string_equal(run.f->stage, "init");
    assert_string_equal(run.f->fail, "there is no command 'no-such-program' in PATH");
    done(&run);
}

static void a_job_that_fails_does_not_end_the_commands_input(void **state)
{
    struct op_run run;
    (void)state;
    unlink("got");
    // It would say so at the end of its input, after a while.
    start(&run, "{ argv: [sh, -c, 'cat >/dev/null; echo end >got'] }", "a i64", FAKE_FAIL);
    assert_int_equal(op_feed(&run, "1\n", 0), RKP_DONE);
    done(&run); // abort and fini
    assert_null(file("got"));
}

static void a_run_that_is_given_up_waits_for_no_command(void **state)
{
    static char text[200000];
    struct op_run run;
    rkp_str v = { text, sizeof text };
    rkp_batch *b;
    (void)state;
    memset(text, 'x', sizeof text);
    start(&run, "{ argv: [sleep, '1000'] }", "a string", FAKE_FAIL);
    b = rkp_batch_new(run.f->pool, &run.schema, 1, 4096);
    assert_non_null(b);
    b->rows = 1;
    assert_int_equal(rkp_col_set_strs(b, 0, run.schema.f[0].type, &v, 1), RKP_OK);
    run.f->given_up = true;
    assert_int_equal(fake_feed(run.f, 0, b), RKP_DONE);
    assert_int_equal(rkp_op_write_exec.prepare(run.f->main.self, &run.f->main), RKP_OK);
    assert_int_equal(run.f->fail_st, RKP_OK);
    done(&run);
}

static void standard_error_is_passed_on_with_the_kernels_name(void **state)
{
    struct op_run run;
    (void)state;
    start(&run, "{ argv: [sh, -c, 'cat >/dev/null; echo done >&2'] }", "a i64", FAKE_FAIL);
    assert_int_equal(op_feed(&run, "1\n", 0), RKP_DONE);
    assert_int_equal(fake_finish(run.f), RKP_OK);
    assert_string_equal(run.f->log.p, "kernel 'k': done\n");
    done(&run);
}

static void options_that_are_wrong_are_told(void **state)
{
    static const struct {
        const char *with, *schema, *finding;
    } wrong[] = {
        { "{}", "a i64", "needs 'argv'" },
        { "{ argv: [] }", "a i64", "'argv' names no command" },
        { "{ argv: cat, env: { 'A=B': c } }", "a i64", "exec-env" },
        { "{ argv: cat }", "a i64, b i64", "format: lines writes one column, and there are 2 [exec-format]" },
        { "{ argv: cat, columns: [a, b] }", "a i64, b i64", "format: lines writes one column, and there are 2" },
        { "{ argv: cat, columns: [c] }", "a i64, b i64", "no column 'c'" },
        { "{ argv: cat }", "a i64[2]", "is an array" },
        { "{ argv: cat, format: csv }", "a i64[2]", "is an array" },
        { "{ argv: cat, format: jsonl, columns: [a, a] }", "a i64", "twice" },
        { "{ argv: cat, format: table }", "a i64", "opt-choice" },
        { "{ argv: cat, grace: -1s }", "a i64", "grace" },
        { "{ argv: cat, codec: csv }", "a i64", "'codec' is 'format' here" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        op_refuses(&rkp_op_write_exec, wrong[i].with, wrong[i].schema, wrong[i].finding);
}

static void every_allocation_may_fail(void **state)
{
    static const char *const with[] = { "{ argv: [sh, -c, 'cat >got'] }", "{ argv: [sh, -c, 'cat >got'], format: csv }",
                                        "{ argv: [sh, -c, 'cat >got'], format: jsonl }" };
    unsigned fds = open_fds();
    (void)state;
    if (!nomem_works())
        skip();
    for (size_t i = 0; i < 3; i++) {
        for (long n = 1;; n++) {
            struct op_run run;
            rkp_batch *b;
            rkp_verdict v;
            rkp_status st = RKP_NOMEM;
            bool none;
            start(&run, with[i], "a string", FAKE_FAIL);
            b = op_batch(&run, "one\ntwo\n");
            nomem_at(n);
            v = fake_feed(run.f, 0, b);
            if (v != RKP_FAIL)
                st = fake_finish(run.f);
            none = nomem_count() < n;
            nomem_at(0);
            assert_true(st == RKP_OK || !none);
            done(&run);
            if (none)
                break;
        }
    }
    assert_int_equal(open_fds(), fds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_reach_the_command),
        cmocka_unit_test(the_command_runs_also_without_rows),
        cmocka_unit_test(more_than_a_pipe_holds_is_written_whole),
        cmocka_unit_test(a_text_with_a_line_break_is_an_error_row),
        cmocka_unit_test(a_command_that_does_not_end_well_fails_the_job),
        cmocka_unit_test(a_command_that_ends_before_the_input_fails_the_job),
        cmocka_unit_test(a_command_that_is_not_there_is_told_before_the_work),
        cmocka_unit_test(a_job_that_fails_does_not_end_the_commands_input),
        cmocka_unit_test(a_run_that_is_given_up_waits_for_no_command),
        cmocka_unit_test(standard_error_is_passed_on_with_the_kernels_name),
        cmocka_unit_test(options_that_are_wrong_are_told),
        cmocka_unit_test(every_allocation_may_fail),
    };
    int rc;
    if (!mkdtemp(folder) || chdir(folder) != 0)
        return 1;
    rc = cmocka_run_group_tests_name("op.write_exec", tests, NULL, NULL);
    unlink("got");
    if (chdir("/") != 0 || rmdir(folder) != 0)
        return 1;
    return rc;
}
