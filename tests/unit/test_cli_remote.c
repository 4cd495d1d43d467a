// labels: threads
// The verbs that talk to a running engine, with a server and a run that is none behind it (admin_fake.h).
#include "admin/server.h"
#include "admin_fake.h"
#include "cli/verbs.h"
#include "nomem.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const rki_verb *const verbs[] = {
    &rki_verb_status,    &rki_verb_tap,    &rki_verb_activate,
    &rki_verb_suspend,   &rki_verb_resume, &rki_verb_restart,
    &rki_verb_terminate, &rki_verb_drain,  NULL,
};
static const char *const env[] = { "TERM=dumb", NULL };
static char dir[] = "/tmp/rkpipe-remote-XXXXXX";
static char said_out[1 << 16], said_err[1 << 14];

static void slurp(int fd, char *to, size_t n)
{
    ssize_t k;
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    k = read(fd, to, n - 1);
    assert_true(k >= 0);
    to[k] = 0;
}

// Runs a verb with standard output and error in files; said_out and said_err hold them.
static int rkpipe(int argc, const char *const *argv)
{
    int keep_out, keep_err, out, err, code;
    fflush(NULL);
    keep_out = dup(STDOUT_FILENO);
    keep_err = dup(STDERR_FILENO);
    out = open("out.txt", O_RDWR | O_CREAT | O_TRUNC, 0600);
    err = open("err.txt", O_RDWR | O_CREAT | O_TRUNC, 0600);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    code = rki_cli_main(verbs, argc, argv, env);
    fflush(NULL);
    dup2(keep_out, STDOUT_FILENO);
    dup2(keep_err, STDERR_FILENO);
    slurp(out, said_out, sizeof said_out);
    slurp(err, said_err, sizeof said_err);
    close(out);
    close(err);
    close(keep_out);
    close(keep_err);
    return code;
}

#define WORDS(...) ((const char *const[]){ "rkpipe", __VA_ARGS__, NULL })
#define RUN(...)   rkpipe((int)(sizeof WORDS(__VA_ARGS__) / sizeof(char *)) - 1, WORDS(__VA_ARGS__))

static void expect(int got, int code, const char *out, const char *err)
{
    if (got != code || strcmp(said_out, out) != 0 || !strstr(said_err, err) || (!*err && *said_err))
        fail_msg("exit %d, not %d\n--- out\n%s--- err\n%s--- wanted\n%s%s\n", got, code, said_out, said_err, out, err);
}

struct engine {
    struct fake f;
    rki_admin_source source;
    rki_admin *a;
};

static void start(struct engine *e, const char *path)
{
    rki_admin_args args = { .source = &e->source, .path = path, .times = { .tap_ns = 1000000u } };
    char err[300] = "";

    e->source = fake_source(&e->f);
    if (rki_admin_start(&args, &e->a, err, sizeof err) != RKP_OK)
        fail_msg("%s", err);
}

static void start_new(struct engine *e, const char *path)
{
    fake_init(&e->f);
    start(e, path);
}

static void stop(struct engine *e)
{
    rki_admin_stop(e->a);
    rki_admin_free(e->a, 0);
    fake_fini(&e->f);
}

static const char status[] =
    "{\"name\":\"cards\",\"state\":\"running\",\"mode\":\"stream\",\"uptime_seconds\":3725.5,\"kernels\":["
    "{\"kernel\":\"read\",\"op\":\"read.csv\",\"state\":\"active\",\"rows_in\":1234567,\"rows_out\":1234560,"
    "\"dropped\":7,\"drops\":{\"fields\":5,\"type\":2},\"dead_lettered\":0,\"queue\":{\"messages\":0,\"capacity\":0}},"
    "{\"kernel\":\"score\",\"op\":\"map\",\"state\":\"failed\",\"reason\":\"column\\n'x' is bad\",\"restarts\":2,"
    "\"rows_in\":1000,\"rows_out\":1000,\"dead_lettered\":12,\"queue\":{\"messages\":1024,\"capacity\":1024}},"
    "{\"kernel\":\"w\\u001b[31mrite\",\"op\":\"write.csv\",\"state\":\"active\",\"rows_in\":1000,\"absorbed\":1000,"
    "\"queue\":{\"messages\":0,\"capacity\":64}}],"
    "\"edges\":[{\"from\":\"read\",\"to\":\"score\",\"topic\":\"cards/#\",\"messages\":1024,\"capacity\":1024,"
    "\"sent\":8388608,\"received\":5,\"filtered\":1,\"overflowed\":7,\"spilled\":1234},"
    "{\"from\":\"score\",\"to\":\"write\",\"topic\":null,\"messages\":0,\"capacity\":64,\"sent\":1,\"received\":1}"
    "]}\n";

static void status_is_a_table(void **state)
{
    struct engine e;

    (void)state;
    fake_init(&e.f);
    e.f.status = status;
    start(&e, "s.sock");
    expect(RUN("status", "--admin", "unix:s.sock"), 0,
           "cards: running, stream, up 1:02:05\n"
           "\n"
           "kernel      operator   state   restarts    rows in   rows out  dropped  dead-lettered          queue\n"
           "read        read.csv   active         0  1,234,567  1,234,560        7              0\n"
           "score       map        failed         2      1,000      1,000        0             12  1,024 / 1,024\n"
           "w\xef\xbf\xbd[31mrite  write.csv  active         0      1,000      1,000        0              0         0 "
           "/ 64\n"
           "  score: column\xef\xbf\xbd'x' is bad\n"
           "\n"
           "edge            topic         sent  received  filtered  overflowed  spilled          queue\n"
           "read -> score   cards/#  8,388,608         5         1           7    1,234  1,024 / 1,024\n"
           "score -> write                   1         1         0           0        0         0 / 64\n",
           "");
    expect(RUN("status", "--json", "--admin=s.sock"), 0, status, "");
    stop(&e);
}

static void an_answer_of_another_shape_is_no_harm(void **state)
{
    static const struct {
        const char *says;
        int code;
    } cases[] = {
        { "{}", 0 },
        { "[]", 0 },
        { "{\"kernels\":[1,null,{\"kernel\":[]}],\"edges\":[{}]}", 0 },
        { "{\"kernels\":{\"a\":{}},\"uptime_seconds\":-1e999}", 0 },
        { "not JSON", 1 },
        { "", 1 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct engine e;
        int code;
        fake_init(&e.f);
        e.f.status = cases[i].says;
        start(&e, "odd.sock");
        code = RUN("status", "--admin", "odd.sock");
        if (code != cases[i].code)
            fail_msg("case %zu: exit %d: %s", i, code, said_err);
        stop(&e);
    }
}

static void the_one_engine_of_the_folder_is_found(void **state)
{
    struct engine one, two;

    (void)state;
    expect(RUN("status"), 69, "", "no engine runs in this folder\n  = hint: go where it was started");
    mkdir(".rkpipe", 0700);
    expect(RUN("drain"), 69, "", "no engine runs in this folder\n");
    mkdir(".rkpipe/one", 0700);
    mkdir(".rkpipe/two", 0700);
    mkdir(".rkpipe/.hidden", 0700);
    start_new(&one, ".rkpipe/one/admin.sock");
    expect(RUN("suspend", "b"), 0, "kernel 'b' is suspended\n", "");
    start_new(&two, ".rkpipe/two/admin.sock");
    expect(RUN("suspend", "b"), 64, "",
           "rkpipe: error: 2 engines run in this folder\n"
           "  = hint: one of --admin unix:.rkpipe/one/admin.sock\n"
           "  = hint: or --admin unix:.rkpipe/two/admin.sock\n");
    expect(RUN("suspend", "b", "--admin", ".rkpipe/two/admin.sock"), 0, "kernel 'b' is suspended\n", "");
    stop(&one);
    expect(RUN("resume", "b"), 0, "kernel 'b' is active\n", "");
    assert_int_equal(link(".rkpipe/two/admin.sock", ".rkpipe/one/admin.sock"), 0);
    stop(&two);
    expect(RUN("resume", "b"), 69, "", "no engine runs in this folder (there are sockets, and nobody listens)");
    unlink(".rkpipe/one/admin.sock");
}

static void an_address_is_a_path(void **state)
{
    (void)state;
    expect(RUN("status", "--admin", "unix:nowhere.sock"), 69, "",
           "cannot reach an engine at 'nowhere.sock': No such file or directory");
    expect(RUN("status", "--admin", "unix:"), 64, "", "--admin needs unix:PATH");
    expect(RUN("status", "--admin", "localhost:8080"), 64, "", "--admin localhost:8080 needs --token-file FILE");
    expect(RUN("status", "--admin", "192.0.2.1:8080", "--token-file", "x"), 69, "",
           "'--admin 192.0.2.1:8080' is not an address of this machine, and others are not supported yet");
    expect(RUN("status", "--admin", "http://example.com/x"), 64, "", "--admin needs unix:PATH or ADDRESS:PORT");
    expect(RUN("status", "--admin", "[::1]:1", "--token-file", "none"), 69, "", "cannot read the token in 'none'");
    expect(RUN("status", "--admin", "s.sock", "--token-file", "none"), 64, "", "--token-file is for an address");
    expect(RUN("status", "--token-file", "none"), 64, "", "--token-file is for an address: --admin ADDRESS:PORT");
    expect(RUN("status", "--admin", "out.txt"), 69, "", "cannot reach an engine at 'out.txt'");
    expect(RUN("suspend"), 64, "", "'suspend' needs KERNEL");
}

static void commands_say_what_the_engine_says(void **state)
{
    struct engine e;

    (void)state;
    start_new(&e, "c.sock");
    expect(RUN("activate", "b", "--admin", "c.sock"), 0, "kernel 'b' is active\n", "");
    expect(RUN("activate", "b", "--admin", "c.sock"), 1, "",
           "rkpipe: error: kernel 'b' is active; activate needs launched or suspended\n");
    expect(RUN("suspend", "b", "--admin", "c.sock"), 0, "kernel 'b' is suspended\n", "");
    expect(RUN("resume", "b", "--admin", "c.sock"), 0, "kernel 'b' is active\n", "");
    expect(RUN("restart", "b", "--admin", "c.sock"), 0, "kernel 'b' is active\n", "");
    expect(RUN("terminate", "b", "--admin", "c.sock"), 0, "kernel 'b' is terminated\n", "");
    expect(RUN("suspend", "none", "--admin", "c.sock"), 1, "", "there is no kernel 'none'");
    expect(RUN("suspend", "../a:b?c \xff\x1b", "--admin", "c.sock"), 1, "", "Bad Request");
    expect(RUN("suspend", "a/b:terminate?x=1#y z", "--admin", "c.sock"), 1, "", "no command");
    expect(RUN("suspend", "\xc3\xa9", "--admin", "c.sock"), 1, "", "there is no kernel '\xc3\xa9'");
    stop(&e);
}

static void taps_show_rows(void **state)
{
    struct engine e;

    (void)state;
    fake_init(&e.f);
    e.f.rows = 10;
    e.f.missed = 4;
    start(&e, "t.sock");
    expect(RUN("tap", "a/#", "--limit", "2", "--admin", "t.sock"), 0, "{\"n\":0}\n{\"n\":1}\n",
           "rkpipe: 4 rows passed too fast to be shown and were left out between these\n");
    e.f.missed = 0; // no tap is open
    expect(RUN("tap", "a/#", "--limit", "1", "--format", "csv", "--admin", "t.sock"), 0, "n\n0\n", "");
    expect(RUN("tap", "none", "--admin", "t.sock"), 1, "", "no topic matches 'none'");
    expect(RUN("tap", "a", "--limit", "0", "--admin", "t.sock"), 64, "", "--limit needs a number of rows from 1");
    expect(RUN("tap", "a", "--limit", "many", "--admin", "t.sock"), 64, "", "not 'many'");
    expect(RUN("tap", "a", "--format", "xml", "--admin", "t.sock"), 64, "", "--format does not know 'xml'");
    stop(&e);
}

static void *interrupt_when_it_reads(void *arg)
{
    struct fake *f = arg;
    pthread_mutex_lock(&f->lock);
    while (f->reads < 3)
        pthread_cond_wait(&f->changed, &f->lock);
    pthread_mutex_unlock(&f->lock);
    kill(getpid(), SIGINT);
    return NULL;
}

static void a_tap_ends_with_an_interrupt(void **state)
{
    struct engine e;
    pthread_t t;
    int code;

    (void)state;
    fake_init(&e.f);
    e.f.rows = 3;
    e.f.missed = 9;
    start(&e, "i.sock");
    assert_int_equal(pthread_create(&t, NULL, interrupt_when_it_reads, &e.f), 0);
    code = RUN("tap", "a", "--admin", "i.sock");
    pthread_join(t, NULL);
    expect(code, 0, "{\"n\":0}\n{\"n\":1}\n{\"n\":2}\n",
           "rkpipe: 9 rows passed too fast to be shown and were left out between these\n");
    stop(&e);
}

static void *end_when_drained(void *arg)
{
    struct engine *e = arg;
    pthread_mutex_lock(&e->f.lock);
    while (!e->f.drained)
        pthread_cond_wait(&e->f.changed, &e->f.lock);
    pthread_mutex_unlock(&e->f.lock);
    rki_admin_stop(e->a);
    rki_admin_free(e->a, 75);
    return NULL;
}

static void a_drain_waits_for_the_end(void **state)
{
    struct engine e;
    pthread_t t;
    int code;

    (void)state;
    start_new(&e, "d.sock");
    expect(RUN("drain", "--no-wait", "--admin", "d.sock"), 0, "", "");
    assert_true(e.f.drained);
    FAKE_SET(&e.f, drained, false);
    assert_int_equal(pthread_create(&t, NULL, end_when_drained, &e), 0);
    code = RUN("drain", "--admin", "d.sock");
    pthread_join(t, NULL);
    expect(code, 0, "", "rkpipe: the engine has ended with exit code 75\n");
    fake_fini(&e.f);
}

// The client's allocations fail, and the server's, which share a process here.
static void memory_may_run_out(void **state)
{
    static const struct {
        const char *verb, *word;
    } cases[] = { { "status", NULL }, { "suspend", "b" }, { "tap", "a" } };
    struct engine e;

    (void)state;
    if (!nomem_works())
        skip();
    fake_init(&e.f);
    e.f.rows = 3;
    e.f.ended = false;
    e.f.status = status;
    start(&e, "n.sock");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *words[] = { "rkpipe", cases[i].verb, "--admin", "n.sock", cases[i].word, NULL, NULL, NULL };
        bool done = false;
        if (i == 2) {
            words[5] = "--limit";
            words[6] = "3";
        }
        for (long n = 1; !done; n++) {
            int code;
            nomem_at(n);
            code = rkpipe(i == 2 ? 7 : cases[i].word ? 5 : 4, words);
            done = nomem_count() < n;
            nomem_at(0);
            if (code != 0 && !said_err[0])
                fail_msg("%s: allocation %ld: exit %d without a word", cases[i].verb, n, code);
            assert_true(code == 0 || !done);
        }
    }
    stop(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_is_a_table),
        cmocka_unit_test(an_answer_of_another_shape_is_no_harm),
        cmocka_unit_test(the_one_engine_of_the_folder_is_found),
        cmocka_unit_test(an_address_is_a_path),
        cmocka_unit_test(commands_say_what_the_engine_says),
        cmocka_unit_test(taps_show_rows),
        cmocka_unit_test(a_tap_ends_with_an_interrupt),
        cmocka_unit_test(a_drain_waits_for_the_end),
        cmocka_unit_test(memory_may_run_out),
    };
    char command[300];
    int rc;

    if (!mkdtemp(dir) || chdir(dir) != 0)
        return 1;
    rc = cmocka_run_group_tests_name("cli_remote", tests, NULL, NULL);
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return chdir("/") != 0 || system(command) != 0 || rc ? 1 : 0;
}
