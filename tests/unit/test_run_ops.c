// labels: threads
// Operators that wait for times and commands, in whole pipelines: nothing is lost, the counts add up, nothing is left
// behind.  The clock is the test's where times matter; what arrives is read from the log.
#include "backend_case.h"
#include "files.h"
#include "run/control.h"
#include <rkpipe/op.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

// ---- a full disk ----------------------------------------------------------------------------------------------------

static uint64_t full_at;                    // bytes into files after which there is no room; 0: there always is
static uint32_t refused, refusals, written; // atomic

ssize_t write(int fd, const void *p, size_t n)
{
    struct stat st;
    if (full_at && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        uint32_t at = __atomic_fetch_add(&written, (uint32_t)n, __ATOMIC_SEQ_CST);
        if (at + n > full_at && __atomic_fetch_add(&refused, 1, __ATOMIC_SEQ_CST) < refusals) {
            errno = ENOSPC;
            return -1;
        }
    }
    return syscall(SYS_write, fd, p, n);
}

// ---- a bad disk -----------------------------------------------------------------------------------------------------

static rki_run *at_work;
static uint32_t bad_every, reads; // reads atomic: so many reads of files until one fails; 0: none does

ssize_t read(int fd, void *p, size_t n)
{
    struct stat st;
    if (bad_every && at_work && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
        __atomic_add_fetch(&reads, 1, __ATOMIC_SEQ_CST) % bad_every == 0) {
        errno = EIO;
        return -1;
    }
    return syscall(SYS_read, fd, p, n);
}

// Where it fails a read follows, which fails too.
ssize_t preadv2(int fd, const struct iovec *v, int n, off_t at, int flags)
{
    if (bad_every && at_work && (__atomic_load_n(&reads, __ATOMIC_SEQ_CST) + 1) % bad_every == 0) {
        errno = EIO;
        return -1;
    }
    __atomic_fetch_add(&reads, 1, __ATOMIC_SEQ_CST);
    return syscall(SYS_preadv2, fd, v, n, at, 0, flags);
}

// ---- running --------------------------------------------------------------------------------------------------------

struct log {
    pthread_mutex_t lock;
    rki_buf text;
    uint64_t lines, torn; // torn: handed over without an end
};

static struct log logged = { .lock = PTHREAD_MUTEX_INITIALIZER };
static char failure[1024];
static rki_kernel_counts counts[16];
static char names[16][32];
static rki_totals totals;
static uint64_t clock_ns, step_ns; // the test's clock, and how far a look moves it
static bool own_clock;
static unsigned signal_at[2]; // rows out at which the run gets a signal; 0: none
static unsigned signals_sent;

// Commands that a thread gives while a run is at work: each when so many more rows have been made since the last, and so many
// lines logged.  A source that has no end waits for them all; the order for no kernel drains the run.
struct order {
    const char *kernel; // "": drain
    rki_command command;
    uint64_t rows, lines;
    rki_outcome outcome;
    uint64_t given_on, given_on_then; // rows that the kernel has given on, before and when it has obeyed
    bool done;
};
static struct order orders[4];
static uint64_t rows_made; // atomic
static uint32_t run_ended; // atomic

static void on_log(void *arg, rkp_str lines)
{
    struct log *l = arg;
    pthread_mutex_lock(&l->lock);
    l->torn += lines.n == 0 || lines.p[lines.n - 1] != '\n';
    for (size_t i = 0; i < lines.n; i++)
        l->lines += lines.p[i] == '\n';
    rki_put(&l->text, lines.p, lines.n);
    pthread_mutex_unlock(&l->lock);
}

static const char *log_text(void)
{
    rki_putc(&logged.text, 0);
    logged.text.n--;
    assert_false(logged.text.failed);
    return logged.text.p;
}

static uint64_t log_lines(void)
{
    uint64_t n;
    pthread_mutex_lock(&logged.lock);
    n = logged.lines;
    pthread_mutex_unlock(&logged.lock);
    return n;
}

static uint64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static uint64_t rows_given_on(const char *kernel)
{
    rki_kernel_counts c = { 0 };
    for (uint32_t i = 0; i < rki_run_n_kernels(at_work); i++) {
        rki_run_counts(at_work, i, &c);
        if (strcmp(c.kernel, kernel) == 0)
            return c.rows_out;
    }
    return 0;
}

static void *give_orders(void *arg)
{
    char text[256];
    uint64_t since = 0;
    (void)arg;
    for (struct order *o = orders; o < orders + 4 && o->kernel; o++) {
        while (!__atomic_load_n(&run_ended, __ATOMIC_SEQ_CST) &&
               (__atomic_load_n(&rows_made, __ATOMIC_SEQ_CST) - since < o->rows || log_lines() < o->lines))
            poll(NULL, 0, 1);
        if (__atomic_load_n(&run_ended, __ATOMIC_SEQ_CST))
            break;
        o->given_on = rows_given_on(o->kernel);
        if (*o->kernel)
            o->outcome = rki_run_command(at_work, rkp_str_of(o->kernel), o->command, (now_ms() + 60000) * 1000000, text,
                                         sizeof text);
        else
            rki_run_drain(at_work);
        o->given_on_then = rows_given_on(o->kernel);
        since = __atomic_load_n(&rows_made, __ATOMIC_SEQ_CST);
        o->done = true;
    }
    return NULL;
}

static uint64_t test_clock(void *arg)
{
    (void)arg;
    return __atomic_add_fetch(&clock_ns, step_ns, __ATOMIC_RELAXED);
}

static void on_progress(void *arg, const rki_progress *p)
{
    (void)arg;
    __atomic_store_n(&rows_made, p->rows_in, __ATOMIC_SEQ_CST);
    while (signals_sent < 2 && signal_at[signals_sent] && p->rows_out + p->rows_in >= signal_at[signals_sent]) {
        signals_sent++;
        rki_run_signal(at_work);
    }
}

static char folder[] = "/tmp/rkp-run-ops-data-XXXXXX"; // the runs' own: others run at the same time

// Runs a pipeline; returns the exit code.  No process and no descriptor may be left.
static int run(const char *text, unsigned threads)
{
    static const char *const env[] = { "PATH=/usr/bin:/bin", "LANG=C", NULL };
    char path[] = "/tmp/rkp-run-ops-XXXXXX", err[256];
    int fd = mkstemp(path), code = RKI_EXIT_INVALID;
    rkp_diags *d = rki_diags_new();
    rki_spec_args args = { .file = path, .ops = rkp_ops, .env = env, .allow_exec = true };
    rki_plan_args pa = { .cores = threads, .memory = 1ull << 32, .probe = true };
    rki_run_args ra = { .backend = cpu_backend(),
                        .data_dir = folder,
                        .log = on_log,
                        .log_arg = &logged,
                        .env = env,
                        .progress = on_progress,
                        .progress_ns = 1000000 };
    unsigned fds = open_fds() - 1; // fd, which is closed before the run
    pthread_t thread;
    rki_spec *s;
    rki_plan *p;
    if (own_clock)
        ra.now_ns = test_clock;
    rki_buf_clear(&logged.text);
    logged.lines = logged.torn = 0;
    signals_sent = 0;
    failure[0] = 0;
    memset(counts, 0, sizeof counts);
    assert_true(fd >= 0);
    assert_true(dprintf(fd, "version: 1\n%s", text) > 0);
    close(fd);
    s = rki_spec_load(&args, d);
    p = s ? rki_plan_new(s, &pa, d) : NULL;
    if (!p) {
        rki_buf b;
        rki_buf_init(&b);
        rki_diags_text(d, &b, false);
        snprintf(failure, sizeof failure, "%.*s", (int)b.n, b.p);
        rki_buf_fini(&b);
    } else {
        assert_int_equal(rki_run_new(p, &ra, &at_work, err, sizeof err), RKP_OK);
        rows_made = run_ended = 0;
        assert_int_equal(pthread_create(&thread, NULL, give_orders, NULL), 0);
        code = rki_run_execute(at_work);
        __atomic_store_n(&run_ended, 1, __ATOMIC_SEQ_CST);
        pthread_join(thread, NULL);
        snprintf(failure, sizeof failure, "%s", rki_run_failure(at_work));
        assert_false(rki_run_stuck(at_work));
        rki_run_totals(at_work, &totals);
        for (uint32_t i = 0; i < rki_run_n_kernels(at_work) && i < 16; i++) {
            rki_run_counts(at_work, i, &counts[i]);
            snprintf(names[i], sizeof names[i], "%s", counts[i].kernel); // it goes with the pipeline
            counts[i].kernel = names[i];
        }
    }
    rki_run_free(at_work);
    at_work = NULL;
    rki_plan_free(p);
    rki_spec_free(s);
    rki_diags_free(d);
    unlink(path);
    assert_int_equal(open_fds(), fds);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    return code;
}

static void expect_ok(const char *text, unsigned threads)
{
    int code = run(text, threads);
    if (code != RKI_EXIT_OK)
        fail_msg("exit %d with %u threads: %s", code, threads, failure);
}

// The clock of the next runs: a look moves it by so much.
static void use_clock(uint64_t step)
{
    own_clock = true;
    clock_ns = 1;
    step_ns = step;
}

static int reset(void **state)
{
    (void)state;
    own_clock = false;
    signal_at[0] = signal_at[1] = 0;
    memset(orders, 0, sizeof orders);
    return 0;
}

static const rki_kernel_counts *of(const char *kernel)
{
    for (int i = 0; i < 16 && counts[i].kernel; i++)
        if (strcmp(counts[i].kernel, kernel) == 0)
            return &counts[i];
    fail_msg("no kernel %s", kernel);
    return NULL;
}

// What came in has gone out, one way or another.
static void adds_up(const char *kernel)
{
    const rki_kernel_counts *c = of(kernel);
    if (c->rows_in != c->rows_out + c->absorbed + c->dropped + c->dead_lettered)
        fail_msg("%s: %llu in, %llu out, %llu absorbed, %llu dropped, %llu dead", kernel,
                 (unsigned long long)c->rows_in, (unsigned long long)c->rows_out, (unsigned long long)c->absorbed,
                 (unsigned long long)c->dropped, (unsigned long long)c->dead_lettered);
}

// The log has the numbers 0 .. n-1 in order, a line each.
static void numbers_in_order(uint64_t n)
{
    const char *p = log_text();
    assert_int_equal(logged.lines, n);
    for (uint64_t i = 0; i < n; i++) {
        const char *end = strchrnul(p, '\n'), *at = memmem(p, (size_t)(end - p), " n=", 3);
        assert_non_null(at);
        assert_int_equal(strtoull(at + 3, NULL, 10), i);
        p = end + 1;
    }
}

// ---- replicas -------------------------------------------------------------------------------------------------------

static void behind_replicas_one_kernel_has_all_the_state(void **state)
{
    static const char *const many[] = { "replicas: 3, partition_by: n % 5", "replicas: 3",
                                        "partition_by: n % 5, replicas: auto" };
    (void)state;
    for (size_t i = 0; i < sizeof many / sizeof *many; i++) {
        for (unsigned threads = 1; threads <= 3; threads++) {
            char text[512];
            snprintf(text, sizeof text,
                     "kernels:\n"
                     "  in: { op: generate, with: { rows: 100, batch_rows: 7, columns: { n: row } } }\n"
                     "  part: { op: map, from: [in], %s, with: { derive: { x: n + 1 } } }\n"
                     "  all: { op: sort, from: [part], with: { by: [n] } }\n"
                     "  out: { op: write.log, from: [all], with: { time: false } }\n",
                     many[i]);
            expect_ok(text, threads);
            numbers_in_order(100);
        }
    }
}

// ---- who wants no more ----------------------------------------------------------------------------------------------

static void an_aggregate_that_nobody_waits_for_gives_nothing(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 3; threads++) {
        expect_ok("kernels:\n"
                  "  in: { op: generate, with: { rows: 100000, batch_rows: 10, columns: { n: row, k: row % 3 } } }\n"
                  "  raw: { op: filter, from: [in], with: { where: n >= 0 } }\n"
                  "  sums: { op: aggregate, from: [in], with: { by: [k], compute: { rows: count() } } }\n"
                  "  few: { op: limit, from: [raw, sums], with: { rows: 3 } }\n"
                  "  read: { op: aggregate, from: [few], with: { compute: { rows: count() } } }\n"
                  "  out: { op: write.log, from: [read], with: { time: false } }\n",
                  threads);
        assert_int_equal(of("sums")->rows_out, 0);
        assert_int_equal(of("read")->rows_out, 1); // a limit was reached, and this one is still waited for
        assert_non_null(strstr(log_text(), " rows=3"));
    }
}

// ---- throttle and delay ---------------------------------------------------------------------------------------------

static void throttle_that_waits_loses_nothing_and_keeps_the_order(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 3; threads++) {
        use_clock(1000000);
        expect_ok("kernels:\n"
                  "  in: { op: generate, with: { rows: 3000, batch_rows: 700, columns: { n: row } } }\n"
                  "  slow: { op: throttle, from: [in], with: { rate: 10k/s, burst: 50, on_excess: wait } }\n"
                  "  out: { op: write.log, from: [slow], with: { time: false } }\n",
                  threads);
        numbers_in_order(3000);
        adds_up("slow");
        // 2,950 rows at 10,000 a second.
        assert_true(clock_ns >= 295000000);
    }
}

static void throttle_that_drops_counts_what_it_drops(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 3; threads++) {
        use_clock(0); // no time passes: one burst
        expect_ok("kernels:\n"
                  "  in: { op: generate, with: { rows: 3000, batch_rows: 70, columns: { n: row } } }\n"
                  "  some: { op: throttle, from: [in], with: { rate: 100/s } }\n"
                  "  out: { op: write.log, from: [some], with: { time: false } }\n",
                  threads);
        numbers_in_order(100);
        adds_up("some");
        assert_int_equal(of("some")->dropped, 2900);
        assert_string_equal(of("some")->drops[0].reason, "throttle");
    }
}

static void throttle_that_stops_ends_an_endless_source(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 3; threads++) {
        use_clock(0);
        expect_ok("kernels:\n"
                  "  in: { op: generate, with: { columns: { n: row } } }\n"
                  "  some: { op: throttle, from: [in], with: { rate: 100/s, on_excess: stop } }\n"
                  "  out: { op: write.log, from: [some], with: { time: false } }\n",
                  threads);
        numbers_in_order(100);
        adds_up("some");
    }
}

static void replicas_of_a_throttle_keep_the_rate_together(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 3; threads++) {
        use_clock(0);
        expect_ok("kernels:\n"
                  "  in: { op: generate, with: { rows: 4000, batch_rows: 100, columns: { n: row } } }\n"
                  "  some: { op: throttle, from: [in], replicas: 4, partition_by: n, with: { rate: 400/s } }\n"
                  "  out: { op: write.log, from: [some], with: { time: false } }\n",
                  threads);
        assert_int_equal(logged.lines, 400);
        adds_up("some");
        use_clock(1000000);
        expect_ok("kernels:\n"
                  "  in: { op: generate, with: { rows: 4000, batch_rows: 100, columns: { n: row } } }\n"
                  "  all: { op: throttle, from: [in], replicas: 3, partition_by: n, with: { rate: 10k/s, burst: 9, "
                  "on_excess: wait } }\n"
                  "  out: { op: write.log, from: [all], with: { time: false } }\n",
                  threads);
        assert_int_equal(logged.lines, 4000);
        adds_up("all");
    }
}

static void delay_gives_everything_on_in_order(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 3; threads++) {
        use_clock(5000000);
        expect_ok("kernels:\n"
                  "  in: { op: generate, with: { rows: 3000, batch_rows: 70, columns: { n: row } } }\n"
                  "  late: { op: delay, from: [in], with: { for: 300ms }, queue: { capacity: 4 } }\n"
                  "  later: { op: delay, from: [late], with: { for: 1s } }\n"
                  "  out: { op: write.log, from: [later], with: { time: false } }\n",
                  threads);
        numbers_in_order(3000);
        adds_up("late");
        adds_up("later");
        assert_true(clock_ns >= 1300000000);
        assert_true(of("late")->metrics[0] > 0); // it was full
        assert_int_equal(of("later")->metrics[0], 0);
    }
}

static void a_delay_with_less_memory_than_it_could_use_goes_on(void **state)
{
    (void)state;
    use_clock(10000000);
    expect_ok("engine: { memory_limit: 1MiB }\n"
              "kernels:\n"
              "  in: { op: generate, with: { rows: 50000, columns: { n: row, s: \"concat('some text ', n)\" } } }\n"
              "  late: { op: delay, from: [in], with: { for: 50ms } }\n"
              "  out: { op: write.log, from: [late], with: { time: false, columns: [n] } }\n",
              2);
    numbers_in_order(50000);
}

static void what_waits_comes_out_when_the_run_is_told_to_stop(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 3; threads++) {
        use_clock(0); // only stopping brings it out
        expect_ok("run: { stop_after: { rows: 100 } }\n"
                  "kernels:\n"
                  "  in: { op: generate, with: { batch_rows: 10, columns: { n: row } } }\n"
                  "  late: { op: delay, from: [in], with: { for: 1h }, queue: { capacity: 8 } }\n"
                  "  slow: { op: throttle, from: [late], with: { rate: 1/m, on_excess: wait } }\n"
                  "  out: { op: write.log, from: [slow], with: { time: false } }\n",
                  threads);
        assert_true(logged.lines >= 100);
        numbers_in_order(logged.lines);
        adds_up("late");
        adds_up("slow");
    }
}

static void who_wants_no_more_ends_those_that_wait(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 3; threads++) {
        use_clock(1000000);
        expect_ok("kernels:\n"
                  "  in: { op: generate, with: { batch_rows: 10, columns: { n: row } } }\n"
                  "  late: { op: delay, from: [in], with: { for: 10ms } }\n"
                  "  slow: { op: throttle, from: [late], with: { rate: 1k/s, burst: 7, on_excess: wait } }\n"
                  "  some: { op: limit, from: [slow], with: { rows: 55 } }\n"
                  "  out: { op: write.log, from: [some], with: { time: false } }\n",
                  threads);
        numbers_in_order(55);
        adds_up("late");
        adds_up("slow");
    }
}

// ---- commands to kernels --------------------------------------------------------------------------------------------

static void a_kernel_that_is_restarted_or_ended_gives_on_what_it_holds(void **state)
{
    static const char *const ops[] = { "op: delay, with: { for: 1h }",
                                       "op: throttle, with: { rate: 1/m, on_excess: wait }" };
    (void)state;
    for (int i = 0; i < 4; i++) {
        char text[512];
        rki_command c = i % 2 ? RKI_RESTART : RKI_TERMINATE;
        snprintf(text, sizeof text,
                 "kernels:\n"
                 "  in: { op: generate, with: { rate: 1k/s, batch_rows: 10, columns: { n: row } } }\n"
                 "  it: { %s, from: [in] }\n"
                 "  out: { op: write.log, from: [it], with: { time: false } }\n",
                 ops[i / 2]);
        memset(orders, 0, sizeof orders);
        orders[0] = (struct order){ "it", c, 50, 0, RKI_NO_MEMORY, 0, 0, false };
        orders[1] = (struct order){ "", c, 50, 0, RKI_NO_MEMORY, 0, 0, false }; // one that is terminated ends by itself
        expect_ok(text, 2);
        assert_true(orders[0].done);
        assert_int_equal(orders[0].outcome, RKI_DONE);
        adds_up("it");
        numbers_in_order(logged.lines);
        assert_in_range(logged.lines, 10, of("it")->rows_in);
        assert_true(c == RKI_TERMINATE || of("it")->dropped == 0);
    }
}

static void a_kernel_that_is_suspended_gives_nothing_on(void **state)
{
    (void)state;
    use_clock(1000000);
    orders[0] = (struct order){ "late", RKI_SUSPEND, 100, 1, RKI_NO_MEMORY, 0, 0, false };
    orders[1] = (struct order){ "late", RKI_ACTIVATE, 200, 1, RKI_NO_MEMORY, 0, 0, false };
    orders[2] = (struct order){ "", RKI_ACTIVATE, 100, 1, RKI_NO_MEMORY, 0, 0, false };
    expect_ok("kernels:\n"
              "  in: { op: generate, with: { rate: 1k/s, batch_rows: 10, columns: { n: row } } }\n"
              "  late: { op: delay, from: [in], with: { for: 5ms } }\n"
              "  out: { op: write.log, from: [late], with: { time: false } }\n",
              2);
    assert_int_equal(orders[0].outcome, RKI_DONE);
    assert_int_equal(orders[1].outcome, RKI_DONE);
    assert_true(orders[2].done);
    assert_int_equal(orders[1].given_on, orders[0].given_on_then);
    assert_true(of("late")->rows_out > orders[1].given_on);
    assert_true(of("in")->rows_out >= 400);
    numbers_in_order(of("in")->rows_out);
    adds_up("late");
}

static void a_request_that_is_delayed_finds_back(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 3; threads++) {
        use_clock(1000000);
        expect_ok("topics: { ask: {} }\n"
                  "kernels:\n"
                  "  in: { op: generate, with: { rows: 60, batch_rows: 3, columns: { n: row } } }\n"
                  "  ask: { op: call, from: [in], with: { topic: ask, timeout: 1h, output: { m: m } } }\n"
                  "  late: { op: delay, subscribe: [ask], with: { for: 20ms } }\n"
                  "  twice: { op: map, from: [late], with: { derive: { m: n * 2 } } }\n"
                  "  back: { op: reply, from: [twice] }\n"
                  "  out: { op: write.log, from: [ask], with: { time: false } }\n",
                  threads);
        assert_int_equal(logged.lines, 60);
        for (uint64_t i = 0; i < 60; i++) {
            char line[64];
            snprintf(line, sizeof line, " n=%llu m=%llu\n", (unsigned long long)i, (unsigned long long)(2 * i));
            assert_non_null(strstr(log_text(), line));
        }
        assert_int_equal(of("ask")->metrics[0], 0); // no timeout
        adds_up("late");
    }
}

static const char asks[] = "topics: { ask: {} }\n"
                           "dead_letter: { kernel: letters }\n"
                           "kernels:\n"
                           "  in: { op: generate, with: { rows: 12, batch_rows: 3, columns: { n: row } } }\n"
                           "  ask:\n"
                           "    op: call\n"
                           "    from: [in]\n"
                           "    retry: %s\n"
                           "    with: { topic: ask, timeout: 200ms, output: { m: m } }\n"
                           "  got: { op: map, subscribe: [ask], with: { derive: { m: n * 2 } } }\n"
                           "  service: %s\n"
                           "  back: { op: reply, from: [service] }\n"
                           "  out: { op: write.log, from: [ask], with: { time: false } }\n"
                           "  letters: { op: write.null }\n";

static void a_request_without_a_reply_is_sent_again(void **state)
{
    // How often each request is sent, and whether it is answered then.
    static const struct {
        const char *retry, *service;
        uint64_t sent, most, timeouts, answered;
    } cases[] = {
        // The reply to the first try comes while the second is on its way.
        { "{ max_attempts: 3, backoff: 50ms }", "{ op: delay, from: [got], with: { for: 300ms } }", 2, 2, 1, 12 },
        { "{ max_attempts: 3, backoff: { initial: 200ms, multiplier: 1, jitter: 50% } }",
          "{ op: delay, from: [got], with: { for: 210ms } }", 1, 2, 1, 12 },
        { "3", "{ op: filter, from: [got], with: { where: n < 0 } }", 3, 3, 3, 0 },
        { "{ max_attempts: 9, errors: [reply] }", "{ op: filter, from: [got], with: { where: n < 0 } }", 1, 1, 1, 0 },
        // Attempts at 0, 300 and 700 ms; the next one would be at 1300.
        { "{ max_attempts: 9, max_elapsed: 1200ms, backoff: 100ms }",
          "{ op: filter, from: [got], with: { where: n < 0 } }", 3, 3, 3, 0 },
        // Each reply has a row too few.
        { "{ max_attempts: 4, errors: reply, backoff: 10ms }",
          "{ op: filter, from: [got], with: { where: n % 3 > 0 } }", 4, 4, 0, 0 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (unsigned threads = 1; threads <= 3; threads += 2) {
            char text[2048];
            use_clock(1000000);
            snprintf(text, sizeof text, asks, cases[i].retry, cases[i].service);
            expect_ok(text, threads);
            if (logged.lines != cases[i].answered || of("got")->rows_in < 12 * cases[i].sent ||
                of("got")->rows_in > 12 * cases[i].most || of("ask")->metrics[0] > 4 * cases[i].timeouts)
                fail_msg("case %zu, %u threads: %llu lines, %llu rows asked, %llu timeouts", i, threads,
                         (unsigned long long)logged.lines, (unsigned long long)of("got")->rows_in,
                         (unsigned long long)of("ask")->metrics[0]);
            assert_int_equal(of("letters")->rows_in, 12 - cases[i].answered);
        }
    }
}

static void a_reader_goes_on_where_its_disk_failed(void **state)
{
    static const struct {
        const char *write, *read;
    } cases[] = {
        { "write.csv, with: { path: %s/in-0.csv }", "read.csv, with: { path: '%s/in-*.csv', chunk_bytes: 64KiB }" },
        { "write.csv, with: { path: %s/in-0.csv.gz }",
          "read.csv, with: { path: '%s/in-*.csv.gz', chunk_bytes: 64KiB }" },
        { "write.jsonl, with: { path: %s/in-0.jsonl }",
          "read.jsonl, with: { path: '%s/in-*.jsonl', chunk_bytes: 64KiB }" },
        { "write.jsonl, with: { path: %s/in-0.jsonl.zst }",
          "read.jsonl, with: { path: '%s/in-*.zst', chunk_bytes: 64KiB }" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (unsigned threads = 1; threads <= 3; threads += 2) {
            char text[1024], write[128], from[128], path[200];
            snprintf(write, sizeof write, cases[i].write, folder);
            snprintf(from, sizeof from, cases[i].read, folder);
            snprintf(text, sizeof text,
                     "kernels:\n"
                     "  in: { op: generate, with: { rows: 60000, columns: { n: row, t: uuid() } } }\n"
                     "  out: { op: %s, from: [in] }\n",
                     write);
            expect_ok(text, threads);
            snprintf(
                text, sizeof text,
                "kernels:\n"
                "  in: { op: %s, restart: { max: 10000, backoff: 10us } }\n"
                "  sum: { op: aggregate, from: [in], with: { compute: { a: count(), b: distinct(n), c: sum(n) } } }\n"
                "  out: { op: write.log, from: [sum], with: { time: false } }\n",
                from);
            reads = 37; // so the fourth fails, and then one in 41
            bad_every = 41;
            expect_ok(text, threads);
            bad_every = 0;
            if (!strstr(log_text(), " a=60000 b=60000 c=1799970000\n"))
                fail_msg("%s: %s", from, log_text());
            assert_true(reads > 41);
            assert_true(of("in")->rows_out == 60000);
            snprintf(path, sizeof path, "%s/in-0%s", folder, strrchr(cases[i].write, '0') + 1);
            path[strcspn(path, " ")] = 0;
            assert_int_equal(unlink(path), 0);
        }
    }
}

static void a_sink_waits_for_room_on_its_disk(void **state)
{
    static const char text[] = "kernels:\n"
                               "  in: { op: generate, with: { rows: 6000, batch_rows: 100, columns: { n: row } } }\n"
                               "  some: { op: filter, from: [in], with: { where: n %% 2 == 0 } }\n"
                               "  out:\n"
                               "    op: write.jsonl\n"
                               "    from: [some]\n"
                               "    retry: { max_attempts: %d, backoff: { initial: 1ms, max: 4ms, jitter: 10%% } }\n"
                               "    with: { path: %s/full.jsonl }\n";
    (void)state;
    for (unsigned threads = 1; threads <= 3; threads += 2) {
        char with[1024], path[128], *got;
        size_t n, lines = 0;
        use_clock(100000);
        snprintf(path, sizeof path, "%s/full.jsonl", folder);
        snprintf(with, sizeof with, text, 10, folder);
        full_at = 10000;
        refused = written = 0;
        refusals = 9;
        expect_ok(with, threads);
        assert_true(refused > 9);
        assert_int_equal(of("out")->absorbed, 3000);
        got = slurp(path, &n);
        for (char *at = got; *at; at = strchr(at, '\n') + 1) {
            char line[32];
            int k = snprintf(line, sizeof line, "{\"n\":%zu}\n", 2 * lines++);
            assert_memory_equal(at, line, (size_t)k);
        }
        assert_int_equal(lines, 3000);
        free(got);
        unlink(path);
        refused = written = 0;
        refusals = UINT32_MAX; // it stays full
        snprintf(with, sizeof with, text, 3, folder);
        assert_int_equal(run(with, threads), RKI_EXIT_FAILED);
        assert_int_equal(refused, 3);
        assert_non_null(strstr(failure, "No space left on device"));
        assert_non_null(strstr(failure, "(3 attempts)"));
        full_at = 0;
        assert_int_equal(access(path, F_OK), -1);
    }
}

// ---- generate -------------------------------------------------------------------------------------------------------

static void several_generates_with_seeds_of_their_own_make_rows_of_their_own(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 3; threads++) {
        expect_ok(
            "kernels:\n"
            "  a: { op: generate, with: { rows: 5000, seed: 1, columns: { id: uuid(), x: 'rand_float(0, 1)' } } }\n"
            "  b: { op: generate, with: { rows: 5000, seed: 2, columns: { id: uuid(), x: 'rand_float(0, 1)' } } }\n"
            "  c: { op: generate, with: { rows: 5000, seed: 3, columns: { id: uuid(), x: 'rand_float(0, 1)' } } }\n"
            "  ids: { op: dedupe, from: [a, b, c], with: { by: [id] } }\n"
            "  xs: { op: dedupe, from: [a, b, c], with: { by: [x] } }\n"
            "  out: { op: write.null, from: [ids] }\n"
            "  out2: { op: write.null, from: [xs] }\n",
            threads);
        assert_int_equal(of("ids")->rows_out, 15000);
        assert_int_equal(of("xs")->rows_out, 15000);
        // The same seed makes the same rows.
        expect_ok("kernels:\n"
                  "  a: { op: generate, with: { rows: 5000, seed: 7, columns: { id: uuid() } } }\n"
                  "  b: { op: generate, with: { rows: 5000, seed: 7, columns: { id: uuid() } } }\n"
                  "  ids: { op: dedupe, from: [a, b], with: { by: [id] } }\n"
                  "  out: { op: write.null, from: [ids] }\n",
                  threads);
        assert_int_equal(of("ids")->rows_out, 5000);
    }
}

static void generate_keeps_its_rate(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 2; threads++) {
        use_clock(1000000);
        expect_ok("kernels:\n"
                  "  in: { op: generate, with: { rows: 2000, rate: 10k/s, columns: { n: row } } }\n"
                  "  out: { op: write.log, from: [in], with: { time: false } }\n",
                  threads);
        numbers_in_order(2000);
        assert_in_range(clock_ns, 195000000, 400000000);
    }
}

// ---- commands -------------------------------------------------------------------------------------------------------

static void rows_go_through_commands(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 3; threads++) {
        expect_ok(
            "kernels:\n"
            "  in: { op: read.exec, with: { argv: [seq, -f, '%.0f,x', '0', '19999'], format: csv, header: false,\n"
            "        schema: { n: i64, s: string }, chunk_bytes: 4096 } }\n"
            "  odd: { op: filter, from: [in], with: { where: n % 2 == 1 } }\n"
            "  more: { op: write.exec, from: [odd], with: { argv: [sh, -c, 'wc -l >&2'], format: jsonl } }\n"
            "  less: { op: write.exec, from: [odd], with: { argv: [sh, -c, 'wc -l >&2'], columns: [s] } }\n"
            "  out: { op: write.log, from: [in], with: { time: false, columns: [n] } }\n",
            threads);
        assert_int_equal(of("in")->rows_out, 20000);
        assert_int_equal(of("more")->absorbed, 10000);
        assert_int_equal(of("less")->absorbed, 10000);
        assert_int_equal(logged.torn, 0);
        assert_int_equal(logged.lines, 20002);
        assert_non_null(strstr(log_text(), "kernel 'more': 10000\n"));
        assert_non_null(strstr(log_text(), "kernel 'less': 10000\n"));
    }
}

static void a_command_of_which_nobody_wants_more_is_stopped(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 3; threads++) {
        expect_ok("kernels:\n"
                  "  in: { op: read.exec, with: { argv: [yes, 'a line'] } }\n"
                  "  some: { op: limit, from: [in], with: { rows: 10 } }\n"
                  "  out: { op: write.log, from: [some] }\n",
                  threads);
        assert_int_equal(logged.lines, 10);
        // One that says nothing more.
        expect_ok("kernels:\n"
                  "  in: { op: read.exec, with: { argv: [sh, -c, 'seq 10; exec sleep 1000'], idle: 1ms } }\n"
                  "  some: { op: limit, from: [in], with: { rows: 10 } }\n"
                  "  out: { op: write.log, from: [some] }\n",
                  threads);
        assert_int_equal(logged.lines, 10);
    }
}

static void a_failing_command_fails_the_run(void **state)
{
    static const struct {
        const char *kernels, *why;
    } cases[] = {
        { "  in: { op: read.exec, with: { argv: [sh, -c, 'seq 1000; echo lost it >&2; exit 3'] } }\n"
          "  out: { op: write.null, from: [in] }\n",
          "kernel 'in': command 'sh' ended with exit status 3: lost it" },
        { "  in: { op: generate, with: { columns: { n: row } } }\n"
          "  out: { op: write.exec, from: [in], with: { argv: [sh, -c, 'read x; exit 9'] } }\n",
          "kernel 'out': command 'sh' ended with exit status 9" },
        { "  in: { op: generate, with: { rows: 10, columns: { n: row } } }\n"
          "  out: { op: write.exec, from: [in], with: { argv: [sh, -c, 'cat >/dev/null; exit 2'] } }\n",
          "kernel 'out': command 'sh' ended with exit status 2" },
        // The other commands of the run are stopped.
        { "  in: { op: read.exec, with: { argv: [sh, -c, 'sleep 0.1; exit 1'] } }\n"
          "  other: { op: read.exec, with: { argv: [sleep, '1000'] } }\n"
          "  out: { op: write.exec, from: [in, other], with: { argv: [sh, -c, 'cat; sleep 1000'] } }\n",
          "kernel 'in': command 'sh' ended with exit status 1" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[1024];
        uint64_t begin = now_ms();
        snprintf(text, sizeof text, "kernels:\n%s", cases[i].kernels);
        assert_int_equal(run(text, 2), RKI_EXIT_FAILED);
        assert_string_equal(failure, cases[i].why);
        assert_true(now_ms() - begin < 60000);
    }
    assert_int_equal(run("kernels:\n"
                         "  in: { op: read.exec, with: { argv: [no-such-program] } }\n"
                         "  out: { op: write.null, from: [in] }\n",
                         2),
                     RKI_EXIT_UNAVAILABLE);
}

static void a_signal_drains_commands_and_a_second_one_ends_them(void **state)
{
    (void)state;
    // Drained: all that was read has reached the command that writes.
    signal_at[0] = 1000;
    assert_int_equal(run("kernels:\n"
                         "  in: { op: read.exec, with: { argv: [sh, -c, 'seq 1000; exec sleep 1000'], idle: 1ms } }\n"
                         "  out: { op: write.exec, from: [in], with: { argv: [sh, -c, 'wc -l >&2'] } }\n",
                         2),
                     RKI_EXIT_INTERRUPTED);
    assert_string_equal(log_text(), "kernel 'out': 1000\n");
    assert_int_equal(of("out")->absorbed, 1000);
    // One that does not read: the first signal waits for it, the second does not.
    signal_at[0] = signal_at[1] = 100000;
    assert_int_equal(run("kernels:\n"
                         "  in: { op: generate, with: { columns: { n: row, s: \"'a longer text'\" } } }\n"
                         "  out: { op: write.exec, from: [in], with: { argv: [sleep, '1000'], format: jsonl } }\n",
                         2),
                     RKI_EXIT_SIGNAL);
}

static void a_command_is_started_again_when_its_kernel_is(void **state)
{
    char path[] = "/tmp/rkp-again-XXXXXX", text[768];
    int fd = mkstemp(path);
    (void)state;
    assert_true(fd >= 0);
    close(fd);
    // It fails twice, then it ends well.
    snprintf(text, sizeof text,
             "kernels:\n"
             "  in:\n"
             "    op: read.exec\n"
             "    restart: { policy: on_failure, max: 5, backoff: { initial: 1ms } }\n"
             "    with: { argv: [sh, -c, 'echo x >>%s; n=$(wc -l <%s); echo run $n; [ $n -ge 3 ]'] }\n"
             "  out: { op: write.log, from: [in], with: { time: false } }\n",
             path, path);
    expect_ok(text, 2);
    assert_string_equal(log_text(), "level=info kernel=out line=\"run 1\"\nlevel=info kernel=out line=\"run 2\"\n"
                                    "level=info kernel=out line=\"run 3\"\n");
    unlink(path);
    // By hand: the process that runs is stopped and another one takes its place, although it says nothing.
    orders[0] = (struct order){ "in", RKI_RESTART, 0, 1, RKI_NO_MEMORY, 0, 0, false };
    orders[1] = (struct order){ "in", RKI_RESTART, 0, 2, RKI_NO_MEMORY, 0, 0, false };
    orders[2] = (struct order){ "in", RKI_TERMINATE, 0, 3, RKI_NO_MEMORY, 0, 0, false };
    expect_ok("kernels:\n"
              "  in: { op: read.exec, with: { argv: [sh, -c, 'echo one; exec sleep 1000'], idle: 1ms } }\n"
              "  out: { op: write.log, from: [in], with: { time: false } }\n",
              2);
    for (int i = 0; i < 3; i++)
        assert_int_equal(orders[i].outcome, RKI_DONE);
    assert_int_equal(logged.lines, 3);
}

static void rows_that_a_command_cannot_get_are_dead_letters(void **state)
{
    (void)state;
    expect_ok("dead_letter: { kernel: dead }\n"
              "kernels:\n"
              "  in: { op: generate, with: { rows: 100, columns: { s: \"row % 10 == 0 ? 'two\\nlines' : 'one'\" } } }\n"
              "  out: { op: write.exec, from: [in], with: { argv: [sh, -c, 'wc -l >&2'] } }\n"
              "  dead: { op: write.null }\n",
              2);
    assert_int_equal(of("out")->absorbed, 90);
    assert_int_equal(of("out")->dead_lettered, 10);
    assert_int_equal(of("dead")->absorbed, 10);
    assert_string_equal(log_text(), "kernel 'out': 90\n");
}

// ---- log ------------------------------------------------------------------------------------------------------------

static void lines_of_several_kernels_do_not_mix(void **state)
{
    (void)state;
    expect_ok("kernels:\n"
              "  in: { op: generate, with: { rows: 20000, batch_rows: 100, columns: { n: row } } }\n"
              "  a: { op: write.log, from: [in] }\n"
              "  b: { op: write.log, from: [in], with: { format: json, level: error } }\n"
              "  c: { op: write.exec, from: [in], with: { argv: [sh, -c, 'cat >&2'] } }\n",
              3);
    assert_int_equal(logged.lines, 60000);
    assert_int_equal(logged.torn, 0);
    for (const char *p = log_text(); *p; p += strcspn(p, "\n") + 1) {
        size_t n = strcspn(p, "\n");
        bool a = strncmp(p, "time=", 5) == 0 && memmem(p, n, " level=info kernel=a n=", 22);
        bool b = strncmp(p, "{\"time\":\"", 9) == 0 && p[n - 1] == '}' && memmem(p, n, "\"kernel\":\"b\",\"n\":", 17);
        bool c = strncmp(p, "kernel 'c': ", 12) == 0 && n < 18;
        if (a + b + c != 1)
            fail_msg("%.*s", (int)n, p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(behind_replicas_one_kernel_has_all_the_state, reset),
        cmocka_unit_test_setup(an_aggregate_that_nobody_waits_for_gives_nothing, reset),
        cmocka_unit_test_setup(throttle_that_waits_loses_nothing_and_keeps_the_order, reset),
        cmocka_unit_test_setup(throttle_that_drops_counts_what_it_drops, reset),
        cmocka_unit_test_setup(throttle_that_stops_ends_an_endless_source, reset),
        cmocka_unit_test_setup(replicas_of_a_throttle_keep_the_rate_together, reset),
        cmocka_unit_test_setup(delay_gives_everything_on_in_order, reset),
        cmocka_unit_test_setup(a_delay_with_less_memory_than_it_could_use_goes_on, reset),
        cmocka_unit_test_setup(what_waits_comes_out_when_the_run_is_told_to_stop, reset),
        cmocka_unit_test_setup(who_wants_no_more_ends_those_that_wait, reset),
        cmocka_unit_test_setup(a_kernel_that_is_restarted_or_ended_gives_on_what_it_holds, reset),
        cmocka_unit_test_setup(a_kernel_that_is_suspended_gives_nothing_on, reset),
        cmocka_unit_test_setup(a_request_that_is_delayed_finds_back, reset),
        cmocka_unit_test_setup(a_request_without_a_reply_is_sent_again, reset),
        cmocka_unit_test_setup(a_sink_waits_for_room_on_its_disk, reset),
        cmocka_unit_test_setup(a_reader_goes_on_where_its_disk_failed, reset),
        cmocka_unit_test_setup(several_generates_with_seeds_of_their_own_make_rows_of_their_own, reset),
        cmocka_unit_test_setup(generate_keeps_its_rate, reset),
        cmocka_unit_test_setup(rows_go_through_commands, reset),
        cmocka_unit_test_setup(a_command_of_which_nobody_wants_more_is_stopped, reset),
        cmocka_unit_test_setup(a_failing_command_fails_the_run, reset),
        cmocka_unit_test_setup(a_signal_drains_commands_and_a_second_one_ends_them, reset),
        cmocka_unit_test_setup(a_command_is_started_again_when_its_kernel_is, reset),
        cmocka_unit_test_setup(rows_that_a_command_cannot_get_are_dead_letters, reset),
        cmocka_unit_test_setup(lines_of_several_kernels_do_not_mix, reset),
    };
    int rc;
    if (getenv("RKP_ONLY"))
        cmocka_set_test_filter(getenv("RKP_ONLY"));
    rki_buf_init(&logged.text);
    rc = mkdtemp(folder) ? cmocka_run_group_tests_name("run_ops", tests, NULL, NULL) : 1;
    remove_folder(folder);
    rki_buf_fini(&logged.text);
    return rc;
}
