// labels: threads
// Commands: what they get, what they leave behind (nothing), and how their end is told.
#include <rkpipe/command.h>

#include "files.h"
#include "nomem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/rkpipe-command-XXXXXX";

// ---- helpers --------------------------------------------------------------------------------------------------------

enum { WORDS = 8 };

struct conf {
    rkp_command c;
    rkp_word v[WORDS];
    rkp_pair env[WORDS];
};

static rkp_word word(const char *s)
{
    return (rkp_word){ s, strlen(s), { "test.yaml", 1, 1, 0 } };
}

// argv, ended by NULL.
static rkp_command *conf(struct conf *to, const char *const *argv)
{
    *to = (struct conf){ .c = { .grace_ns = 60000000000u } };
    for (; argv[to->c.argv.n]; to->c.argv.n++)
        to->v[to->c.argv.n] = word(argv[to->c.argv.n]);
    to->c.argv.v = to->v;
    to->c.env.v = to->env;
    return &to->c;
}
#define ARGV(...) ((const char *const[]){ __VA_ARGS__, NULL })

static const char *const plain_env[] = { "PATH=/usr/bin:/bin", "HOME=/nowhere", "SECRET=1", "LANG=C", NULL };

struct lines {
    pthread_mutex_t lock;
    char text[200000];
    size_t n, count;
};

static struct lines said = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void on_line(void *arg, rkp_str line)
{
    struct lines *l = arg;
    pthread_mutex_lock(&l->lock);
    l->count++;
    if (l->n + line.n + 1 < sizeof l->text) {
        memcpy(l->text + l->n, line.p, line.n);
        l->n += line.n;
        l->text[l->n++] = '\n';
        l->text[l->n] = 0;
    }
    pthread_mutex_unlock(&l->lock);
}

static rkp_child *start(const rkp_command *c, rkp_child_way way)
{
    char err[RKP_FILE_ERR];
    rkp_child *child = NULL;
    said.n = said.count = 0;
    said.text[0] = 0;
    if (rkp_child_start(c, way, plain_env, on_line, &said, &child, err) != RKP_OK)
        fail_msg("%s", err);
    return child;
}

static char output[100000];

// Everything the command writes.
static const char *read_all(rkp_child *c)
{
    size_t n = 0;
    ssize_t k;
    while ((k = read(rkp_child_fd(c), output + n, sizeof output - 1 - n)) != 0)
        if (k > 0)
            n += (size_t)k;
        else if (errno != EINTR)
            fail_msg("read: %s", strerror(errno));
    output[n] = 0;
    return output;
}

// Runs a command to its end, which must be good, and returns its output.
static const char *run(const char *const *argv)
{
    struct conf v;
    char err[RKP_FILE_ERR];
    rkp_child *c = start(conf(&v, argv), RKP_CHILD_READ);
    read_all(c);
    if (rkp_child_wait(c, err) != RKP_OK)
        fail_msg("%s", err);
    rkp_child_free(c);
    return output;
}

static const char *shell(const char *script)
{
    return run(ARGV("sh", "-c", script));
}

// How it ends that should not end well.
static const char *failure(const char *script)
{
    static char err[RKP_FILE_ERR];
    struct conf v;
    rkp_child *c = start(conf(&v, ARGV("sh", "-c", script)), RKP_CHILD_READ);
    read_all(c);
    assert_int_equal(rkp_child_wait(c, err), RKP_IO);
    rkp_child_free(c);
    return err;
}

static uint64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

// Gone, or a zombie that its new parent has not reaped: within ten seconds.
static bool gone(long pid)
{
    for (uint64_t end = now_ms() + 10000; now_ms() < end;) {
        char path[64], text[256] = "";
        const char *state;
        FILE *f;
        snprintf(path, sizeof path, "/proc/%ld/stat", pid);
        f = fopen(path, "r");
        if (!f)
            return true;
        state = fgets(text, sizeof text, f) ? strrchr(text, ')') : NULL;
        fclose(f);
        if (!state || state[2] == 'Z' || state[2] == 'X')
            return true;
        poll(NULL, 0, 5);
    }
    return false;
}

// ---- tests ----------------------------------------------------------------------------------------------------------

static void it_reads_what_a_command_writes(void **state)
{
    (void)state;
    assert_string_equal(run(ARGV("echo", "a  b", "$HOME", "*")), "a  b $HOME *\n");
    assert_string_equal(run(ARGV("/bin/echo", "")), "\n");
    assert_string_equal(run(ARGV("true")), "");
}

static void a_command_gets_the_four_names_and_what_is_given(void **state)
{
    struct conf v;
    char err[RKP_FILE_ERR];
    rkp_child *c;
    (void)state;
    assert_string_equal(run(ARGV("env")), "PATH=/usr/bin:/bin\nHOME=/nowhere\nLANG=C\n");
    conf(&v, ARGV("env"));
    v.env[0] = (rkp_pair){ word("LANG"), word("C.UTF-8") };
    v.env[1] = (rkp_pair){ word("MODE"), word("a b=c") };
    v.env[2] = (rkp_pair){ word("EMPTY"), word("") };
    v.c.env.n = 3;
    c = start(&v.c, RKP_CHILD_READ);
    assert_string_equal(read_all(c), "PATH=/usr/bin:/bin\nHOME=/nowhere\nLANG=C.UTF-8\nMODE=a b=c\nEMPTY=\n");
    assert_int_equal(rkp_child_wait(c, err), RKP_OK);
    rkp_child_free(c);
}

static void a_command_has_no_descriptor_of_ours(void **state)
{
    int leak = dup(0); // not closed on exec
    (void)state;
    assert_true(leak >= 0);
    // 3 is the folder that ls reads.
    assert_string_equal(run(ARGV("ls", "/proc/self/fd")), "0\n1\n2\n3\n");
    assert_string_equal(run(ARGV("readlink", "/proc/self/fd/0")), "/dev/null\n");
    close(leak);
}

static void a_command_has_default_signals_and_a_group_of_its_own(void **state)
{
    sigset_t set, old;
    unsigned long blocked = 1, ignored = 1;
    long group = 0, pid = 0;
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, &old);
    run(ARGV("grep", "^Sig[BI]", "/proc/self/status"));
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    signal(SIGPIPE, SIG_DFL);
    assert_int_equal(sscanf(output, "SigBlk: %lx SigIgn: %lx", &blocked, &ignored), 2);
    assert_int_equal(blocked, 0);
    assert_int_equal(ignored & ~0x180000000ul, 0); // 32 and 33 are the C library's own
    run(ARGV("cat", "/proc/self/stat"));
    assert_int_equal(sscanf(output, "%ld %*s %*c %*d %ld", &pid, &group), 2);
    assert_int_equal(group, pid);
    assert_int_not_equal(group, getpgrp());
}

static void standard_error_comes_line_by_line(void **state)
{
    (void)state;
    shell("echo one >&2; echo; printf 'two\\r\\n\\nlast' >&2; echo out");
    assert_string_equal(output, "\nout\n");
    assert_string_equal(said.text, "one\ntwo\n\nlast\n");
    shell("printf 'red \\033[31m\\tx\\177\\n' >&2");
    assert_string_equal(said.text, "red ?[31m\tx?\n");
    shell("head -c 10000 /dev/zero | tr '\\0' x >&2");
    assert_int_equal(said.count, 3);
    assert_int_equal(said.n, 10003);
    // More than two pipes hold while nobody reads its output: nobody waits for anybody.
    shell("i=0; while [ $i -lt 3000 ]; do echo 'a line of a good length, so that the pipe is soon full' >&2; "
          "i=$((i+1)); done; echo done");
    assert_string_equal(output, "done\n");
    assert_int_equal(said.count, 3000);
}

static void how_it_ended_is_told_with_its_last_line(void **state)
{
    (void)state;
    assert_string_equal(failure("exit 3"), "command 'sh' ended with exit status 3");
    assert_string_equal(failure("echo 'no such table' >&2; echo >&2; exit 1"),
                        "command 'sh' ended with exit status 1: no such table");
    assert_string_equal(failure("echo bye >&2; kill -9 $$"), "command 'sh' was ended by signal 9 (Killed): bye");
    // Long names and lines are cut, between characters.
    failure("printf '%0119d\\303\\251\\n' 0 >&2; exit 1");
    assert_true(strlen(failure("printf '%01000d\\n' 0 >&2; exit 1")) < RKP_FILE_ERR - 1);
}

static void a_program_that_cannot_run_is_told_before_it_starts(void **state)
{
    static const struct {
        const char *argv0, *why;
    } cases[] = {
        { "no-such-program-here", "there is no command 'no-such-program-here' in PATH" },
        { "./none", "there is no command './none'" },
        { "ls -l", "there is no command 'ls -l'; its arguments are further entries of argv, no shell divides them" },
        { "/tmp", "cannot run '/tmp': Is a directory" },
        { "./text", "cannot run './text': Permission denied" },
        { "./odd", "cannot run './odd': Exec format error (a script begins with #!)" },
    };
    int fd = open("text", O_CREAT | O_WRONLY, 0644);
    unsigned fds;
    (void)state;
    close(fd);
    fd = open("odd", O_CREAT | O_WRONLY, 0755);
    assert_int_equal(write(fd, "echo\n", 5), 5);
    close(fd);
    fds = open_fds();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct conf v;
        char err[RKP_FILE_ERR];
        rkp_child *c = NULL;
        conf(&v, ARGV(cases[i].argv0));
        assert_int_equal(rkp_child_start(&v.c, RKP_CHILD_READ, plain_env, on_line, &said, &c, err), RKP_UNAVAILABLE);
        assert_null(c);
        assert_string_equal(err, cases[i].why);
        if (strcmp(cases[i].argv0, "./odd") != 0) // only the system can tell
            assert_int_equal(rkp_command_find(&v.c, plain_env, err), RKP_UNAVAILABLE);
    }
    assert_int_equal(open_fds(), fds);
    assert_int_equal(waitpid(-1, NULL, 0), -1);
    assert_int_equal(errno, ECHILD);
}

static void a_name_is_looked_for_in_the_path_that_the_command_gets(void **state)
{
    struct conf v;
    char err[RKP_FILE_ERR];
    (void)state;
    conf(&v, ARGV("echo"));
    assert_int_equal(rkp_command_find(&v.c, NULL, err), RKP_OK);
    v.env[0] = (rkp_pair){ word("PATH"), word("/nowhere:/tmp") };
    v.c.env.n = 1;
    assert_int_equal(rkp_command_find(&v.c, plain_env, err), RKP_UNAVAILABLE);
    v.env[0].val = word("/nowhere:/bin");
    assert_int_equal(rkp_command_find(&v.c, plain_env, err), RKP_OK);
    v.env[0].val = word("");
    assert_int_equal(rkp_command_find(&v.c, plain_env, err), RKP_UNAVAILABLE);
}

static void what_no_command_can_have_is_a_finding(void **state)
{
    static const rkp_word with_nul = { "a\0b", 3, { "test.yaml", 1, 1, 0 } };
    struct conf v;
    (void)state;
    assert_int_equal(rkp_command_check(conf(&v, ARGV("echo", "")), NULL), RKP_OK);
    v.v[1] = with_nul;
    assert_int_equal(rkp_command_check(&v.c, NULL), RKP_INVALID);
    assert_int_equal(rkp_command_check(conf(&v, ARGV("")), NULL), RKP_INVALID);
    v.c.argv.n = 0;
    assert_int_equal(rkp_command_check(&v.c, NULL), RKP_INVALID);
    for (int i = 0; i < 3; i++) {
        conf(&v, ARGV("echo"));
        v.env[0] = (rkp_pair){ i == 0 ? word("") : i == 1 ? word("A=B") : word("A"), i == 2 ? with_nul : word("") };
        v.c.env.n = 1;
        assert_int_equal(rkp_command_check(&v.c, NULL), RKP_INVALID);
    }
}

static void stopping_ends_the_whole_group(void **state)
{
    unsigned fds = open_fds();
    struct conf v;
    long pids[2] = { 0 };
    char text[100] = "";
    size_t n = 0;
    rkp_child *c;
    (void)state;
    c = start(conf(&v, ARGV("sh", "-c", "sleep 1000 & echo $! $$; wait")), RKP_CHILD_READ);
    while (!strchr(text, '\n')) {
        ssize_t k = read(rkp_child_fd(c), text + n, sizeof text - 1 - n);
        assert_true(k > 0);
        n += (size_t)k;
    }
    assert_int_equal(sscanf(text, "%ld %ld", &pids[0], &pids[1]), 2);
    assert_false(rkp_child_ended(c));
    rkp_child_stop(c);
    rkp_child_free(c);
    assert_true(gone(pids[0]));
    assert_true(gone(pids[1]));
    assert_int_equal(open_fds(), fds);
    assert_int_equal(waitpid(-1, NULL, 0), -1); // no zombie
}

static void who_ignores_sigterm_is_killed_after_the_grace(void **state)
{
    struct conf v;
    char byte;
    uint64_t begin;
    rkp_child *c;
    (void)state;
    conf(&v, ARGV("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"));
    v.c.grace_ns = 50000000;
    c = start(&v.c, RKP_CHILD_READ);
    assert_int_equal(read(rkp_child_fd(c), &byte, 1), 1);
    begin = now_ms();
    rkp_child_free(c);
    assert_in_range(now_ms() - begin, 49, 20000);
    assert_int_equal(waitpid(-1, NULL, 0), -1);
}

static void what_it_left_behind_does_not_hold_us(void **state)
{
    struct conf v;
    char err[RKP_FILE_ERR];
    long pid = 0;
    rkp_child *c;
    (void)state;
    // The one that stays keeps standard error open.
    c = start(conf(&v, ARGV("sh", "-c", "sleep 1000 >/dev/null & echo $!")), RKP_CHILD_READ);
    assert_int_equal(sscanf(read_all(c), "%ld", &pid), 1);
    assert_int_equal(rkp_child_wait(c, err), RKP_OK);
    rkp_child_free(c);
    assert_int_equal(kill((pid_t)pid, 0), 0); // it did nothing wrong
    kill((pid_t)pid, SIGKILL);
    assert_true(gone(pid));
}

static void the_end_can_be_waited_for(void **state)
{
    struct conf v;
    char err[RKP_FILE_ERR];
    rkp_child *c = start(conf(&v, ARGV("true")), RKP_CHILD_READ);
    struct pollfd p = { .fd = rkp_child_exit_fd(c), .events = POLLIN };
    (void)state;
    assert_int_equal(poll(&p, 1, 10000), 1);
    assert_true(rkp_child_ended(c));
    assert_int_equal(rkp_child_wait(c, err), RKP_OK);
    assert_true(rkp_child_ended(c));
    assert_int_equal(rkp_child_wait(c, err), RKP_OK); // again
    rkp_child_free(c);
}

// Writes all of it, waiting as long as it takes; false when nobody reads it.
static bool write_all(rkp_child *c, const char *p, size_t n)
{
    while (n) {
        int64_t k = rkp_child_write(c, p, n);
        struct pollfd f = { .fd = rkp_child_fd(c), .events = POLLOUT };
        if (k < 0)
            return false;
        if (k == 0)
            assert_int_equal(poll(&f, 1, 10000), 1);
        p += k;
        n -= (size_t)k;
    }
    return true;
}

static void it_writes_what_a_command_reads(void **state)
{
    static char text[300000];
    struct conf v;
    char err[RKP_FILE_ERR];
    struct stat st;
    rkp_child *c;
    (void)state;
    memset(text, 'x', sizeof text);
    c = start(conf(&v, ARGV("tee", "got")), RKP_CHILD_WRITE); // its standard output is ours
    rkp_child_free(c);
    c = start(conf(&v, ARGV("sh", "-c", "cat >got")), RKP_CHILD_WRITE);
    assert_true(write_all(c, text, sizeof text));
    rkp_child_close(c);
    assert_int_equal(rkp_child_wait(c, err), RKP_OK);
    rkp_child_free(c);
    assert_int_equal(stat("got", &st), 0);
    assert_int_equal(st.st_size, sizeof text);
}

static void a_command_that_reads_no_more_is_noticed_and_kills_nobody(void **state)
{
    static char text[1 << 20];
    struct conf v;
    char err[RKP_FILE_ERR];
    rkp_child *c = start(conf(&v, ARGV("sh", "-c", "exec <&-; echo closed >&2; exit 7")), RKP_CHILD_WRITE);
    sigset_t pending;
    (void)state;
    signal(SIGPIPE, SIG_DFL);
    assert_false(write_all(c, text, sizeof text));
    assert_int_equal(errno, EPIPE);
    sigpending(&pending);
    assert_int_equal(sigismember(&pending, SIGPIPE), 0);
    assert_int_equal(rkp_child_wait(c, err), RKP_IO);
    assert_string_equal(err, "command 'sh' ended with exit status 7: closed");
    rkp_child_free(c);
    // What it has not read can be seen.
    c = start(conf(&v, ARGV("sleep", "1000")), RKP_CHILD_WRITE);
    assert_int_equal(rkp_child_write(c, text, 1000), 1000);
    assert_int_equal(rkp_child_unread(c), 1000);
    rkp_child_free(c);
}

static void it_starts_without_standard_descriptors(void **state)
{
    int keep[3];
    char text[100] = "";
    rkp_child *c;
    struct conf v;
    char err[RKP_FILE_ERR];
    rkp_status st;
    ssize_t n = -1;
    (void)state;
    for (int i = 0; i < 3; i++) {
        keep[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
        assert_true(keep[i] >= 0);
    }
    for (int i = 0; i < 3; i++)
        close(i);
    st = rkp_child_start(conf(&v, ARGV("echo", "hi")), RKP_CHILD_READ, plain_env, on_line, &said, &c, err);
    if (st == RKP_OK) {
        n = read(rkp_child_fd(c), text, sizeof text);
        st = rkp_child_wait(c, err);
        rkp_child_free(c);
    }
    for (int i = 0; i < 3; i++) {
        dup2(keep[i], i);
        close(keep[i]);
    }
    if (st != RKP_OK)
        fail_msg("%s", err);
    assert_int_equal(n, 3);
    assert_memory_equal(text, "hi\n", 3);
}

static void every_allocation_may_fail(void **state)
{
    unsigned fds = open_fds();
    (void)state;
    if (!nomem_works())
        skip();
    for (long n = 1;; n++) {
        struct conf v;
        char err[RKP_FILE_ERR];
        rkp_child *c = NULL;
        rkp_status st;
        bool done;
        conf(&v, ARGV("true"));
        nomem_at(n);
        st = rkp_child_start(&v.c, RKP_CHILD_READ, plain_env, on_line, &said, &c, err);
        done = nomem_count() < n;
        nomem_at(0);
        if (st == RKP_OK) {
            assert_int_equal(rkp_child_wait(c, err), RKP_OK);
            rkp_child_free(c);
        } else {
            assert_false(done);
            assert_null(c);
        }
        assert_int_equal(open_fds(), fds);
        if (done)
            break;
    }
    assert_int_equal(waitpid(-1, NULL, 0), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_reads_what_a_command_writes),
        cmocka_unit_test(a_command_gets_the_four_names_and_what_is_given),
        cmocka_unit_test(a_command_has_no_descriptor_of_ours),
        cmocka_unit_test(a_command_has_default_signals_and_a_group_of_its_own),
        cmocka_unit_test(standard_error_comes_line_by_line),
        cmocka_unit_test(how_it_ended_is_told_with_its_last_line),
        cmocka_unit_test(a_program_that_cannot_run_is_told_before_it_starts),
        cmocka_unit_test(a_name_is_looked_for_in_the_path_that_the_command_gets),
        cmocka_unit_test(what_no_command_can_have_is_a_finding),
        cmocka_unit_test(stopping_ends_the_whole_group),
        cmocka_unit_test(who_ignores_sigterm_is_killed_after_the_grace),
        cmocka_unit_test(what_it_left_behind_does_not_hold_us),
        cmocka_unit_test(the_end_can_be_waited_for),
        cmocka_unit_test(it_writes_what_a_command_reads),
        cmocka_unit_test(a_command_that_reads_no_more_is_noticed_and_kills_nobody),
        cmocka_unit_test(it_starts_without_standard_descriptors),
        cmocka_unit_test(every_allocation_may_fail),
    };
    int rc;
    if (!mkdtemp(folder) || chdir(folder) != 0)
        return 1;
    rc = cmocka_run_group_tests_name("command", tests, NULL, NULL);
    unlink("text");
    unlink("odd");
    unlink("got");
    if (chdir("/") != 0 || rmdir(folder) != 0)
        return 1;
    return rc;
}
