// labels: threads
// Subscribers in the order of stamps, and publishers that keep them waiting: idle ones, ones in a long step, and clocks
// that are ahead of time after a restart.
#include "backend_case.h"
#include "flow/lease.h"
#include "run/run.h"
#include <rkpipe/op.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static uint64_t clock_ns(clockid_t which)
{
    struct timespec ts;
    clock_gettime(which, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void nap(uint64_t ms)
{
    struct timespec ts = { (time_t)(ms / 1000), (long)(ms % 1000) * 1000000 };
    nanosleep(&ts, NULL);
}

// ---- operators of the test ------------------------------------------------------------------------------------------

static const rkp_field fields[] = { { { "n", 1 }, { .kind = RKP_I64 } } };
static const rkp_schema numbers = { 1, fields };
static const rkp_opt no_opts[] = { { 0 } };
enum { ROWS = 100, GIVE_UP_S = 20 };

static uint64_t arrived, made;      // atomic
static uint64_t disorder, cpu_used; // of one run; looked at when it is over
static bool gave_up;
static uint64_t looks; // atomic; the clock of a run that counts them: a millisecond each

static rkp_status source_bind(void *self, rkp_bind *b)
{
    (void)self;
    rkp_bind_out(b, 0, numbers);
    return RKP_OK;
}

struct source {
    uint64_t n, from_ns;
};

// h.fast: one message a millisecond.
static rkp_verdict fast_poll(void *self, rkp_actor *a)
{
    struct source *s = self;
    rkp_batch *b = rkp_batch_new(rkp_actor_pool(a), &numbers, 1, 64);
    int64_t *v = b ? rkp_batch_alloc(b, 8) : NULL;
    if (!v)
        return rkp_fail(a, RKP_NOMEM, "out of memory");
    *v = (int64_t)s->n;
    rkp_col_set_values(b, 0, fields[0].type, v, NULL, 1);
    b->rows = 1;
    rkp_emit(a, 0, b);
    __atomic_fetch_add(&made, 1, __ATOMIC_SEQ_CST);
    if (++s->n == ROWS)
        return RKP_DONE;
    rkp_wake_at(a, rkp_now_ns(a) + 1000000);
    return RKP_RETRY;
}

static bool all_there(struct source *s)
{
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    s->from_ns = s->from_ns ? s->from_ns : now;
    gave_up |= now - s->from_ns > GIVE_UP_S * 1000000000ull;
    return gave_up || __atomic_load_n(&arrived, __ATOMIC_SEQ_CST) == ROWS;
}

// h.idle: publishes nothing, and ends when everything of the other has arrived.
static rkp_verdict idle_poll(void *self, rkp_actor *a)
{
    if (all_there(self))
        return RKP_DONE;
    rkp_wake_at(a, rkp_now_ns(a) + 5000000);
    return RKP_RETRY;
}

// h.long: the same in one step.
static rkp_verdict long_poll(void *self, rkp_actor *a)
{
    (void)a;
    while (!all_there(self))
        nap(5);
    return RKP_DONE;
}

// h.stuck: a step of half a second, and how busy everybody else is when the ring of h.fast has long been full.
static rkp_verdict stuck_poll(void *self, rkp_actor *a)
{
    uint64_t cpu;
    (void)self;
    (void)a;
    while (__atomic_load_n(&made, __ATOMIC_SEQ_CST) < 8)
        nap(1);
    nap(100);
    cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    nap(400);
    cpu_used = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    return RKP_DONE;
}

#define SOURCE(id, word, function)                                                                                     \
    static const rkp_op id = { .abi = RKP_ABI,                                                                         \
                               .size = sizeof(rkp_op),                                                                 \
                               .name = word,                                                                           \
                               .kind = RKP_SOURCE,                                                                     \
                               .summary = "A source.",                                                                 \
                               .traits = RKP_BLOCKING | RKP_FINITE,                                                    \
                               .self_size = sizeof(struct source),                                                     \
                               .opts = no_opts,                                                                        \
                               .bind = source_bind,                                                                    \
                               .poll = function }
SOURCE(op_fast, "h.fast", fast_poll);
SOURCE(op_idle, "h.idle", idle_poll);
SOURCE(op_long, "h.long", long_poll);
SOURCE(op_stuck, "h.stuck", stuck_poll);

struct sink {
    uint64_t stamp;
};

static rkp_status sink_bind(void *self, rkp_bind *b)
{
    (void)self;
    rkp_bind_read_all(b);
    return RKP_OK;
}

static rkp_verdict sink_on_batch(void *self, rkp_actor *a, unsigned port, rkp_batch *b)
{
    struct sink *s = self;
    uint64_t stamp = rkp_actor_meta(a)->stamp;
    (void)port;
    disorder += stamp <= s->stamp;
    s->stamp = stamp;
    rkp_absorb(a, b->rows);
    __atomic_fetch_add(&arrived, b->rows, __ATOMIC_SEQ_CST);
    return RKP_DONE;
}

static const rkp_op op_sink = { .abi = RKP_ABI,
                                .size = sizeof(rkp_op),
                                .name = "h.sink",
                                .kind = RKP_SINK,
                                .summary = "Takes.",
                                .traits = RKP_ROWWISE,
                                .self_size = sizeof(struct sink),
                                .opts = no_opts,
                                .bind = sink_bind,
                                .on_batch = sink_on_batch };

// ---- running --------------------------------------------------------------------------------------------------------

static const rkp_op *const ops[] = { &op_fast, &op_idle, &op_long, &op_stuck, &op_sink, NULL };

static uint64_t count_looks(void *arg)
{
    (void)arg;
    return __atomic_add_fetch(&looks, 1, __ATOMIC_RELAXED) * 1000000;
}

static void run(const char *text, unsigned threads, const char *data_dir, uint64_t (*clock)(void *arg))
{
    rkp_diags *d = rki_diags_new();
    rki_spec_args args = { .file = "hold.yaml", .text = rkp_str_of(text), .ops = ops };
    rki_plan_args pa = { .cores = threads, .memory = 1ull << 30, .probe = true };
    rki_run_args ra = { .backend = cpu_backend(), .data_dir = data_dir, .now_ns = clock };
    rki_spec *s = rki_spec_load(&args, d);
    rki_plan *p = s ? rki_plan_new(s, &pa, d) : NULL;
    rki_run *r = NULL;
    char err[256] = "";
    int code;
    arrived = made = looks = disorder = cpu_used = 0;
    gave_up = false;
    if (!p) {
        rki_buf b;
        rki_buf_init(&b);
        rki_diags_text(d, &b, false);
        fail_msg("%.*s", (int)b.n, b.p);
    }
    assert_int_equal(rki_run_new(p, &ra, &r, err, sizeof err), RKP_OK);
    code = rki_run_execute(r);
    if (code != 0)
        fail_msg("exit %d: %s", code, rki_run_failure(r));
    rki_run_free(r);
    rki_plan_free(p);
    rki_spec_free(s);
    rki_diags_free(d);
    assert_int_equal(arrived, ROWS);
    assert_int_equal(disorder, 0);
    assert_false(gave_up);
}

// ---- tests ----------------------------------------------------------------------------------------------------------

static void idle_publishers_hold_nothing_when_clocks_are_ahead_of_time(void **state)
{
    char dir[] = "/tmp/rkp-hold-XXXXXX", path[64], err[RKP_FILE_ERR];
    struct timespec ts;
    rki_lease before;
    int fd;
    (void)state;
    assert_non_null(mkdtemp(dir));
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    // The run before was told that it is an hour later.
    clock_gettime(CLOCK_REALTIME, &ts);
    assert_int_equal(rki_lease_open(&before, fd, ((uint64_t)ts.tv_sec + 3600) * 1000000, err), RKP_OK);
    for (unsigned threads = 1; threads <= 2; threads++)
        run("version: 1\n"
            "run: { mode: stream }\n"
            "topics: { 't/#': { max_skew: 1h, on_skew: strict } }\n"
            "kernels:\n"
            "  fast: { op: h.fast, publish: t/fast }\n"
            "  idle: { op: h.idle, publish: t/idle }\n"
            "  sink: { op: h.sink, subscribe: ['t/*'], order: hlc }\n",
            threads, dir, NULL);
    close(fd);
    for (const char *const *f = (const char *const[]){ "clock", "actors", NULL }; *f; f++) {
        snprintf(path, sizeof path, "%s/%s", dir, *f);
        unlink(path);
    }
    rmdir(dir);
}

static void a_publisher_that_is_left_out_is_waited_for_once(void **state)
{
    (void)state;
    run("version: 1\n"
        "topics: { 't/#': { max_skew: 50ms, on_skew: exclude } }\n"
        "kernels:\n"
        "  fast: { op: h.fast, publish: t/fast }\n"
        "  long: { op: h.long, publish: t/long }\n"
        "  sink: { op: h.sink, subscribe: ['t/*'], order: hlc }\n",
        1, NULL, count_looks);
    // Once 50 of them, and then one or two for each of the 100 messages; not 50 for each.
    assert_true(looks < 1000);
}

static void who_waits_for_a_publisher_in_a_long_step_wakes_nobody_in_vain(void **state)
{
    (void)state;
    run("version: 1\n"
        "defaults: { queue: { capacity: 8 } }\n"
        "topics: { 't/#': { max_skew: 1h, on_skew: strict } }\n"
        "kernels:\n"
        "  fast: { op: h.fast, publish: t/fast }\n"
        "  stuck: { op: h.stuck, publish: t/stuck }\n"
        "  sink: { op: h.sink, subscribe: ['t/*'], order: hlc }\n",
        1, NULL, NULL);
    assert_true(cpu_used < 130000000u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idle_publishers_hold_nothing_when_clocks_are_ahead_of_time),
        cmocka_unit_test(a_publisher_that_is_left_out_is_waited_for_once),
        cmocka_unit_test(who_waits_for_a_publisher_in_a_long_step_wakes_nobody_in_vain),
    };
    return cmocka_run_group_tests_name("hold", tests, NULL, NULL);
}
