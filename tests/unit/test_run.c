// labels: threads
// The engine whole, with small operators of its own: numbers go in, a checksum of their order comes out.
#include "backend_case.h"
#include "files.h"
#include "run/run.h"
#include <rkpipe/op.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

// ---- operators of the test ------------------------------------------------------------------------------------------

#define AT(type, field) offsetof(type, field)

static const rkp_field number_fields[] = { { { "n", 1 }, { .kind = RKP_I64 } } };
static const rkp_schema numbers = { 1, number_fields };

static uint64_t arrived; // atomic: rows that sinks have taken

// t.count: batches of consecutive numbers; poll makes ranges, decode makes columns.
struct count {
    uint64_t rows, batch, wait_for, next;
};

static const rkp_opt count_opts[] = {
    { "rows", &rkp_uint, AT(struct count, rows), .required = true, .help = "how many" },
    { "batch", &rkp_uint, AT(struct count, batch), .def = "10", .help = "rows of a batch" },
    { "wait_for", &rkp_uint, AT(struct count, wait_for), .def = "0", .help = "end when so many have arrived" },
    { 0 },
};

static rkp_status count_bind(void *self, rkp_bind *b)
{
    (void)self;
    rkp_bind_out(b, 0, numbers);
    return RKP_OK;
}

static rkp_verdict count_poll(void *self, rkp_actor *a)
{
    struct count *c = self;
    uint64_t n = c->rows - c->next < c->batch ? c->rows - c->next : c->batch;
    rkp_batch *b;
    if (!n && __atomic_load_n(&arrived, __ATOMIC_RELAXED) < c->wait_for) {
        rkp_wake_at(a, rkp_now_ns(a) + 1000);
        return RKP_RETRY;
    }
    if (!n)
        return RKP_DONE;
    b = rkp_batch_new(rkp_actor_pool(a), NULL, 0, 64);
    if (b) {
        uint64_t *range = rkp_batch_alloc(b, 16);
        if (!range)
            return rkp_fail(a, RKP_NOMEM, "out of memory");
        range[0] = c->next;
        range[1] = n;
        b->blob = (rkp_str){ (const char *)range, 16 };
        b->blob_rows = n;
        b->in_bytes = n * 8;
    }
    c->next += n;
    rkp_emit(a, 0, b);
    return RKP_MORE;
}

static rkp_verdict count_decode(void *self, rkp_actor *a, rkp_batch *raw)
{
    const uint64_t *range = (const uint64_t *)(const void *)raw->blob.p;
    rkp_batch *b = rkp_batch_new(rkp_actor_pool(a), &numbers, 1, 4096);
    int64_t *v = b ? rkp_batch_alloc(b, range[1] * 8) : NULL;
    (void)self;
    if (!v)
        return rkp_fail(a, RKP_NOMEM, "out of memory");
    for (uint64_t i = 0; i < range[1]; i++)
        v[i] = (int64_t)(range[0] + i);
    rkp_col_set_values(b, 0, number_fields[0].type, v, NULL, (uint32_t)range[1]);
    b->rows = (uint32_t)range[1];
    rkp_emit(a, 0, b);
    return RKP_DONE;
}

static const rkp_op op_count = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "t.count",
    .kind = RKP_SOURCE,
    .summary = "Numbers.",
    .traits = RKP_FINITE | RKP_DETERMINISTIC,
    .self_size = sizeof(struct count),
    .opts = count_opts,
    .bind = count_bind,
    .poll = count_poll,
    .decode = count_decode,
};

static int64_t value(const rkp_batch *b, uint32_t i)
{
    return ((const int64_t *)b->cols[0].values)[rkp_col_row(&b->cols[0], i)];
}

// t.work: drops, rejects, splits and fails as its options say; stateless or not.
struct work {
    uint64_t drop_every, bad_every, fail_at, split, stop_at, retry_every;
    uint64_t seen, retried;
};

static const rkp_opt work_opts[] = {
    { "drop_every", &rkp_uint, AT(struct work, drop_every), .def = "0", .help = "drop rows that it divides" },
    { "bad_every", &rkp_uint, AT(struct work, bad_every), .def = "0", .help = "reject rows that it divides" },
    { "fail_at", &rkp_uint, AT(struct work, fail_at), .def = "0", .help = "fail at this number" },
    { "split", &rkp_uint, AT(struct work, split), .def = "0", .help = "rows of the batches it emits" },
    { "stop_at", &rkp_uint, AT(struct work, stop_at), .def = "0", .help = "stop after so many rows" },
    { "retry_every", &rkp_uint, AT(struct work, retry_every), .def = "0", .help = "first refuse each such batch" },
    { 0 },
};

static rkp_status same_bind(void *self, rkp_bind *b)
{
    (void)self;
    if (rkp_bind_n_out(b))
        rkp_bind_out_same(b, 0);
    rkp_bind_read_all(b);
    rkp_bind_pass_all(b);
    return RKP_OK;
}

static rkp_verdict work_on_batch(void *self, rkp_actor *a, unsigned port, rkp_batch *b)
{
    struct work *w = self;
    rkp_errs *errs = rkp_actor_errs(a);
    uint32_t *keep = malloc(((size_t)b->rows + 1) * sizeof *keep), n = 0, dropped = 0;
    rkp_verdict v = RKP_DONE;
    (void)port;
    if (!keep)
        return rkp_fail(a, RKP_NOMEM, "out of memory");
    if (w->retry_every && !w->retried++) {
        rkp_wake_at(a, rkp_now_ns(a) + 1000);
        free(keep);
        return RKP_RETRY;
    }
    w->retried = 0;
    for (uint32_t i = 0; i < b->rows; i++) {
        uint64_t x = (uint64_t)value(b, i);
        if (w->fail_at && x == w->fail_at) {
            free(keep);
            return rkp_fail(a, RKP_IO, "asked to fail at %llu", (unsigned long long)x);
        }
        if (w->stop_at && w->seen == w->stop_at)
            dropped++;
        else if (w->bad_every && x % w->bad_every == 0)
            rkp_errs_add(errs, i, RKP_ROW_PARSE, 0, RKP_STR("x"));
        else if (w->drop_every && x % w->drop_every == 0)
            dropped++;
        else
            keep[n++] = i;
        w->seen += w->stop_at && w->seen < w->stop_at;
    }
    rkp_drop(a, dropped, "filter");
    if (rkp_reject(a, b, errs) == RKP_FAIL)
        v = RKP_FAIL;
    for (uint32_t at = 0; v == RKP_DONE && at < n;) {
        uint32_t m = w->split && n - at > w->split ? (uint32_t)w->split : n - at;
        rkp_emit(a, 0, rkp_batch_pick(b, keep + at, m));
        at += m;
    }
    free(keep);
    return v == RKP_DONE && w->stop_at && w->seen == w->stop_at ? RKP_STOP : v;
}

static const rkp_op op_work = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "t.work",
    .kind = RKP_TRANSFORM,
    .summary = "Works.",
    .traits = RKP_STATELESS | RKP_DETERMINISTIC | RKP_ROWWISE,
    .self_size = sizeof(struct work),
    .opts = work_opts,
    .bind = same_bind,
    .on_batch = work_on_batch,
};

static const rkp_op op_state = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "t.state",
    .kind = RKP_TRANSFORM,
    .summary = "Works, with state.",
    .traits = RKP_KEYED | RKP_DETERMINISTIC | RKP_ROWWISE | RKP_RETRIES,
    .self_size = sizeof(struct work),
    .opts = work_opts,
    .bind = same_bind,
    .on_batch = work_on_batch,
};

// t.bug: loses a row without saying so.
static rkp_verdict bug_on_batch(void *self, rkp_actor *a, unsigned port, rkp_batch *b)
{
    (void)self;
    (void)port;
    rkp_emit(a, 0, rkp_batch_pick(b, NULL, b->rows - 1));
    return RKP_DONE;
}

static const rkp_opt no_opts[] = { { 0 } };

static const rkp_op op_bug = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "t.bug",
    .kind = RKP_TRANSFORM,
    .summary = "Loses a row.",
    .traits = RKP_STATELESS | RKP_ROWWISE,
    .self_size = 8,
    .opts = no_opts,
    .bind = same_bind,
    .on_batch = bug_on_batch,
};

// t.hold: keeps up to `most` batches for a time and gives them on when it has come, also when nothing else comes.
struct hold {
    uint64_t for_ns, most;
    rkp_batch *held[8];
    uint64_t due[8];
    uint32_t n;
};

static const rkp_opt hold_opts[] = {
    { "for", &rkp_duration, AT(struct hold, for_ns), .def = "1s", .help = "how long" },
    { "most", &rkp_uint, AT(struct hold, most), .def = "8", .help = "batches" },
    { 0 },
};

static rkp_verdict hold_on_timer(void *self, rkp_actor *a)
{
    struct hold *h = self;
    while (h->n && (h->due[0] <= rkp_now_ns(a) || rkp_stopping(a))) {
        rkp_emit(a, 0, h->held[0]);
        h->n--;
        memmove(h->held, h->held + 1, h->n * sizeof *h->held);
        memmove(h->due, h->due + 1, h->n * sizeof *h->due);
    }
    rkp_wake_at(a, h->n ? h->due[0] : 0);
    return RKP_DONE;
}

static rkp_verdict hold_on_batch(void *self, rkp_actor *a, unsigned port, rkp_batch *b)
{
    struct hold *h = self;
    (void)port;
    if (h->n == h->most)
        return rkp_stopping(a) ? rkp_fail(a, RKP_INTERNAL, "full after it was told to stop") : RKP_RETRY;
    h->held[h->n] = rkp_batch_get(b);
    h->due[h->n++] = rkp_now_ns(a) + h->for_ns;
    return hold_on_timer(self, a);
}

static rkp_verdict hold_on_end(void *self, rkp_actor *a)
{
    (void)a;
    return ((struct hold *)self)->n ? RKP_RETRY : RKP_DONE;
}

static void hold_fini(void *self)
{
    struct hold *h = self;
    for (uint32_t i = 0; i < h->n; i++)
        rkp_batch_put(h->held[i]);
}

static const rkp_op op_hold = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "t.hold",
    .kind = RKP_TRANSFORM,
    .summary = "Holds.",
    .traits = RKP_ROWWISE | RKP_RETRIES,
    .self_size = sizeof(struct hold),
    .opts = hold_opts,
    .bind = same_bind,
    .on_batch = hold_on_batch,
    .on_timer = hold_on_timer,
    .on_end = hold_on_end,
    .fini = hold_fini,
};

// t.sink: what arrived, in order.
struct result {
    int64_t *v;
    size_t n, cap;
    unsigned commits, aborts, prepares;
};

static struct result results[4];

struct sink {
    uint64_t into;
};

static const rkp_opt sink_opts[] = {
    { "into", &rkp_uint, AT(struct sink, into), .def = "0", .help = "which result" },
    { 0 },
};

static rkp_verdict sink_on_batch(void *self, rkp_actor *a, unsigned port, rkp_batch *b)
{
    struct result *r = &results[((struct sink *)self)->into];
    (void)port;
    for (uint32_t i = 0; i < b->rows; i++) {
        if (r->n == r->cap) {
            r->cap = r->cap ? r->cap * 2 : 1024;
            r->v = realloc(r->v, r->cap * sizeof *r->v);
            assert_non_null(r->v);
        }
        r->v[r->n++] = b->n_cols == 1 ? value(b, i) : 0;
    }
    rkp_absorb(a, b->rows);
    __atomic_fetch_add(&arrived, b->rows, __ATOMIC_RELAXED);
    return RKP_DONE;
}

static rkp_status sink_prepare(void *self, rkp_actor *a)
{
    (void)a;
    results[((struct sink *)self)->into].prepares++;
    return RKP_OK;
}

static rkp_status sink_commit(void *self, rkp_actor *a)
{
    (void)a;
    results[((struct sink *)self)->into].commits++;
    return RKP_OK;
}

static void sink_abort(void *self, rkp_actor *a)
{
    (void)a;
    results[((struct sink *)self)->into].aborts++;
}

static const rkp_op op_sink = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "t.sink",
    .kind = RKP_SINK,
    .summary = "Keeps numbers.",
    .traits = RKP_BLOCKING | RKP_ROWWISE,
    .self_size = sizeof(struct sink),
    .opts = sink_opts,
    .bind = same_bind,
    .on_batch = sink_on_batch,
    .prepare = sink_prepare,
    .commit = sink_commit,
    .abort = sink_abort,
};

static const rkp_op *const ops[] = { &op_count, &op_work, &op_state, &op_bug, &op_hold, &op_sink, 0 };

// ---- running --------------------------------------------------------------------------------------------------------

static char failure[1024];
static rki_totals totals;
static uint64_t test_ns, test_step_ns; // the test's clock, and how far a look moves it; 0: the system's clock

static uint64_t test_clock(void *arg)
{
    (void)arg;
    return __atomic_add_fetch(&test_ns, test_step_ns, __ATOMIC_RELAXED);
}

static void forget(void)
{
    for (int i = 0; i < 4; i++) {
        free(results[i].v);
        results[i] = (struct result){ 0 };
    }
    __atomic_store_n(&arrived, 0, __ATOMIC_RELAXED);
}

static char folder[] = "/tmp/rkp-run-data-XXXXXX"; // the runs' own: others run at the same time

// Runs a pipeline whose kernels are `text`; returns the exit code.
static int run(const char *text, unsigned threads)
{
    char path[] = "/tmp/rkp-run-XXXXXX", err[256];
    int fd = mkstemp(path), code;
    static const char *const env[] = { NULL };
    rkp_diags *d = rki_diags_new();
    rki_spec_args args = { .file = path, .ops = ops, .env = env };
    rki_plan_args pa = { .cores = threads, .memory = 1ull << 32, .probe = true };
    rki_run_args ra = { .backend = cpu_backend(), .data_dir = folder };
    rki_spec *s;
    rki_plan *p;
    rki_run *r = NULL;
    if (test_ns)
        ra.now_ns = test_clock;
    forget();
    failure[0] = 0;
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
        code = RKI_EXIT_INVALID;
    } else {
        assert_int_equal(rki_run_new(p, &ra, &r, err, sizeof err), RKP_OK);
        code = rki_run_execute(r);
        snprintf(failure, sizeof failure, "%s", rki_run_failure(r));
        rki_run_totals(r, &totals);
    }
    rki_run_free(r);
    rki_plan_free(p);
    rki_spec_free(s);
    rki_diags_free(d);
    unlink(path);
    return code;
}

static void expect_ok(const char *text, unsigned threads)
{
    int code = run(text, threads);
    if (code != RKI_EXIT_OK)
        fail_msg("exit %d with %u threads: %s", code, threads, failure);
}

// ---- tests ----------------------------------------------------------------------------------------------------------

static void every_number_arrives_once_and_in_order_with_any_number_of_workers(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 5; threads++) {
        expect_ok("kernels:\n"
                  "  src: { op: t.count, with: { rows: 10007, batch: 13 } }\n"
                  "  a: { op: t.work, from: [src], with: { drop_every: 3 } }\n"
                  "  b: { op: t.work, from: [a], with: { split: 4 } }\n"
                  "  out: { op: t.sink, from: [b] }\n",
                  threads);
        size_t n = 0;
        for (int64_t x = 0; x < 10007; x++) {
            if (x % 3 == 0)
                continue;
            assert_true(n < results[0].n);
            assert_int_equal(results[0].v[n++], x);
        }
        assert_int_equal(results[0].n, n);
        assert_int_equal(results[0].commits, 1);
        assert_int_equal(results[0].aborts, 0);
    }
}

static void order_is_kept_through_actors_with_different_numbers_of_replicas(void **state)
{
    static const int shapes[][3] = { { 1, 2, 3 }, { 2, 1, 2 }, { 3, 2, 1 }, { 2, 3, 4 },
                                     { 4, 3, 2 }, { 3, 6, 2 }, { 6, 2, 3 } };
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        char text[1024];
        snprintf(text, sizeof text,
                 "kernels:\n"
                 "  src: { op: t.count, with: { rows: 5003, batch: 7 } }\n"
                 "  a: { op: t.work, from: [src], replicas: %d, fuse: never }\n"
                 "  b: { op: t.work, from: [a], replicas: %d, fuse: never, with: { split: 3, drop_every: 5 } }\n"
                 "  c: { op: t.work, from: [b], replicas: %d, fuse: never, queue: { capacity: 2 } }\n"
                 "  out: { op: t.sink, from: [c] }\n",
                 shapes[i][0], shapes[i][1], shapes[i][2]);
        expect_ok(text, 2);
        size_t n = 0;
        for (int64_t x = 0; x < 5003; x++)
            if (x % 5)
                assert_int_equal(results[0].v[n++], x);
        assert_int_equal(results[0].n, n);
    }
}

static void a_partitioned_kernel_gets_each_key_on_one_replica_and_gives_the_same_bytes_always(void **state)
{
    int64_t *first = NULL;
    size_t n_first = 0;
    (void)state;
    for (unsigned threads = 1; threads <= 4; threads++) {
        expect_ok("kernels:\n"
                  "  src: { op: t.count, with: { rows: 4000, batch: 17 } }\n"
                  "  a: { op: t.work, from: [src], with: { drop_every: 7 } }\n"
                  "  s: { op: t.state, from: [a], replicas: 3, partition_by: n % 10 }\n"
                  "  b: { op: t.work, from: [s] }\n"
                  "  out: { op: t.sink, from: [b] }\n",
                  threads);
        if (!first) {
            n_first = results[0].n;
            first = malloc(n_first * sizeof *first);
            assert_non_null(first);
            memcpy(first, results[0].v, n_first * sizeof *first);
            assert_int_equal(n_first, 4000 - 572);
        }
        assert_int_equal(results[0].n, n_first);
        assert_memory_equal(results[0].v, first, n_first * sizeof *first);
    }
    free(first);
}

static void two_consumers_each_get_everything(void **state)
{
    (void)state;
    expect_ok("kernels:\n"
              "  src: { op: t.count, with: { rows: 3000, batch: 11 } }\n"
              "  a: { op: t.work, from: [src], with: { drop_every: 2 } }\n"
              "  one: { op: t.sink, from: [a], with: { into: 0 } }\n"
              "  b: { op: t.work, from: [a], with: { drop_every: 3 } }\n"
              "  two: { op: t.sink, from: [b], with: { into: 1 } }\n"
              "  three: { op: t.sink, from: [src, b], with: { into: 2 } }\n",
              3);
    assert_int_equal(results[0].n, 1500);
    assert_int_equal(results[1].n, 1000);
    assert_int_equal(results[2].n, 4000);
}

static void a_budget_smaller_than_a_batch_stops_nobody(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 2; threads++) {
        expect_ok("engine: { memory_limit: 1MiB }\n"
                  "kernels:\n"
                  "  src: { op: t.count, with: { rows: 100000, batch: 1000 } }\n"
                  "  a: { op: t.work, from: [src] }\n"
                  "  out: { op: t.sink, from: [a] }\n",
                  threads);
        assert_int_equal(results[0].n, 100000);
    }
}

static void a_full_queue_of_two_messages_stalls_and_never_deadlocks(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 3; threads++) {
        expect_ok("defaults: { queue: { capacity: 2, bytes: 4KiB } }\n"
                  "kernels:\n"
                  "  src: { op: t.count, with: { rows: 2000, batch: 3 } }\n"
                  "  a: { op: t.work, from: [src], with: { split: 1 } }\n"
                  "  s: { op: t.state, from: [a], with: { retry_every: 1 } }\n"
                  "  b: { op: t.work, from: [a, s] }\n"
                  "  out: { op: t.sink, from: [b] }\n",
                  threads);
        assert_int_equal(results[0].n, 4000);
    }
}

static void a_failing_kernel_stops_the_run_and_publishes_nothing(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 3; threads++) {
        assert_int_equal(run("kernels:\n"
                             "  src: { op: t.count, with: { rows: 100000, batch: 10 } }\n"
                             "  a: { op: t.work, from: [src], with: { fail_at: 5000 } }\n"
                             "  out: { op: t.sink, from: [a] }\n",
                             threads),
                         RKI_EXIT_FAILED);
        assert_non_null(strstr(failure, "kernel 'a': asked to fail at 5000"));
        assert_int_equal(results[0].commits, 0);
        assert_true(results[0].aborts <= 1); // a sink that had not started yet has nothing to abort
    }
}

static void a_bad_row_fails_the_job_drops_or_goes_to_dead_letters_as_on_error_says(void **state)
{
    (void)state;
    assert_int_equal(run("kernels:\n"
                         "  src: { op: t.count, with: { rows: 1000 } }\n"
                         "  a: { op: t.work, from: [src], with: { bad_every: 100 } }\n"
                         "  out: { op: t.sink, from: [a] }\n",
                         2),
                     RKI_EXIT_FAILED);
    assert_non_null(strstr(failure, "kernel 'a': cannot read 'x' as i64 in column 'n' [parse]"));
    expect_ok("kernels:\n"
              "  src: { op: t.count, with: { rows: 1000 } }\n"
              "  a: { op: t.work, from: [src], on_error: drop, with: { bad_every: 100 } }\n"
              "  out: { op: t.sink, from: [a] }\n",
              2);
    assert_int_equal(results[0].n, 990);
    assert_int_equal(totals.dropped, 10);
    expect_ok("dead_letter: { kernel: dead }\n"
              "kernels:\n"
              "  src: { op: t.count, with: { rows: 1000 } }\n"
              "  a: { op: t.work, from: [src], with: { bad_every: 100 } }\n"
              "  out: { op: t.sink, from: [a] }\n"
              "  dead: { op: t.sink, with: { into: 1 } }\n",
              3);
    assert_int_equal(results[0].n, 990);
    assert_int_equal(results[1].n, 10);
    assert_int_equal(totals.dead_lettered, 10);
}

static void too_many_bad_rows_exit_65_and_publish_nothing(void **state)
{
    (void)state;
    assert_int_equal(run("run: { max_bad_ratio: 0.5% }\n"
                         "kernels:\n"
                         "  src: { op: t.count, with: { rows: 1000 } }\n"
                         "  a: { op: t.work, from: [src], on_error: drop, with: { bad_every: 100 } }\n"
                         "  out: { op: t.sink, from: [a] }\n",
                         2),
                     RKI_EXIT_BAD_DATA);
    assert_int_equal(results[0].commits, 0);
    assert_int_equal(results[0].aborts, 1);
    expect_ok("run: { max_bad_ratio: 2% }\n"
              "kernels:\n"
              "  src: { op: t.count, with: { rows: 1000 } }\n"
              "  a: { op: t.work, from: [src], on_error: drop, with: { bad_every: 100 } }\n"
              "  out: { op: t.sink, from: [a] }\n",
              2);
}

static void a_kernel_that_wants_no_more_ends_an_endless_source(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 3; threads++) {
        expect_ok("kernels:\n"
                  "  src: { op: t.count, with: { rows: 1000000000000, batch: 50 } }\n"
                  "  s: { op: t.state, from: [src], with: { stop_at: 777 } }\n"
                  "  out: { op: t.sink, from: [s] }\n",
                  threads);
        assert_int_equal(results[0].n, 777);
        for (int64_t x = 0; x < 777; x++)
            assert_int_equal(results[0].v[x], x);
    }
}

static void a_row_that_is_lost_without_a_word_is_an_internal_error(void **state)
{
    (void)state;
    assert_int_equal(run("kernels:\n"
                         "  src: { op: t.count, with: { rows: 100 } }\n"
                         "  a: { op: t.bug, from: [src] }\n"
                         "  out: { op: t.sink, from: [a] }\n",
                         1),
                     RKI_EXIT_INTERNAL);
    assert_non_null(strstr(failure, "kernel 'a': 100 rows in, but 90 out"));
    assert_int_equal(results[0].commits, 0);
}

static void a_port_that_nobody_reads_is_counted(void **state)
{
    (void)state;
    expect_ok("kernels:\n"
              "  src: { op: t.count, with: { rows: 100 } }\n"
              "  a: { op: t.work, from: [src] }\n"
              "  out: { op: t.sink, from: [src] }\n",
              1);
    assert_int_equal(totals.dropped, 100);
}

// Runs with a clock of its own.
static void expect_at(uint64_t step_ns, const char *text)
{
    for (unsigned threads = 1; threads <= 3; threads++) {
        test_ns = 1;
        test_step_ns = step_ns;
        expect_ok(text, threads);
        test_ns = 0;
    }
}

static void expect_numbers(int64_t n)
{
    assert_int_equal(results[0].n, n);
    for (int64_t x = 0; x < n; x++)
        assert_int_equal(results[0].v[x], x);
}

static void what_is_held_is_given_on_when_its_time_has_come_although_nothing_else_comes(void **state)
{
    (void)state;
    expect_at(1000000, "kernels:\n" // a millisecond a look; the source ends when the rows have arrived
                       "  src: { op: t.count, with: { rows: 50, wait_for: 50 } }\n"
                       "  hold: { op: t.hold, from: [src], with: { for: 100ms } }\n"
                       "  out: { op: t.sink, from: [hold] }\n");
    expect_numbers(50);
}

static void at_the_end_what_is_held_is_given_on_in_time(void **state)
{
    (void)state;
    expect_at(1000000, "kernels:\n"
                       "  src: { op: t.count, with: { rows: 50 } }\n"
                       "  hold: { op: t.hold, from: [src], with: { for: 300ms } }\n"
                       "  again: { op: t.hold, from: [hold], with: { for: 200ms } }\n"
                       "  a: { op: t.work, from: [again] }\n"
                       "  out: { op: t.sink, from: [a] }\n");
    expect_numbers(50);
}

static void who_holds_too_much_takes_the_next_batch_when_its_timer_made_room(void **state)
{
    (void)state;
    expect_at(10000000, "defaults: { queue: { capacity: 2 } }\n"
                        "kernels:\n"
                        "  src: { op: t.count, with: { rows: 900, batch: 3 } }\n"
                        "  hold: { op: t.hold, from: [src], with: { for: 20ms, most: 2 } }\n"
                        "  a: { op: t.work, from: [hold], with: { split: 1 } }\n"
                        "  out: { op: t.sink, from: [a] }\n");
    expect_numbers(900);
}

static void a_run_that_is_stopping_does_not_wait_for_timers(void **state)
{
    (void)state;
    expect_at(0, "run: { stop_after: { rows: 20 } }\n" // the clock stands still
                 "kernels:\n"
                 "  src: { op: t.count, with: { rows: 100000000, wait_for: 1000 } }\n"
                 "  hold: { op: t.hold, from: [src], with: { for: 1h, most: 2 } }\n"
                 "  out: { op: t.sink, from: [hold] }\n");
    assert_true(results[0].n >= 20);
    expect_numbers((int64_t)results[0].n);
}

static void rows_that_are_held_when_nobody_wants_more_are_counted(void **state)
{
    (void)state;
    expect_at(1000000, "kernels:\n"
                       "  src: { op: t.count, with: { rows: 1000000000 } }\n"
                       "  hold: { op: t.hold, from: [src], with: { for: 5ms } }\n"
                       "  s: { op: t.state, from: [hold], with: { stop_at: 77 } }\n"
                       "  out: { op: t.sink, from: [s] }\n");
    expect_numbers(77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_arrives_once_and_in_order_with_any_number_of_workers),
        cmocka_unit_test(order_is_kept_through_actors_with_different_numbers_of_replicas),
        cmocka_unit_test(a_partitioned_kernel_gets_each_key_on_one_replica_and_gives_the_same_bytes_always),
        cmocka_unit_test(two_consumers_each_get_everything),
        cmocka_unit_test(a_budget_smaller_than_a_batch_stops_nobody),
        cmocka_unit_test(a_full_queue_of_two_messages_stalls_and_never_deadlocks),
        cmocka_unit_test(a_failing_kernel_stops_the_run_and_publishes_nothing),
        cmocka_unit_test(a_bad_row_fails_the_job_drops_or_goes_to_dead_letters_as_on_error_says),
        cmocka_unit_test(too_many_bad_rows_exit_65_and_publish_nothing),
        cmocka_unit_test(a_kernel_that_wants_no_more_ends_an_endless_source),
        cmocka_unit_test(a_row_that_is_lost_without_a_word_is_an_internal_error),
        cmocka_unit_test(a_port_that_nobody_reads_is_counted),
        cmocka_unit_test(what_is_held_is_given_on_when_its_time_has_come_although_nothing_else_comes),
        cmocka_unit_test(at_the_end_what_is_held_is_given_on_in_time),
        cmocka_unit_test(who_holds_too_much_takes_the_next_batch_when_its_timer_made_room),
        cmocka_unit_test(a_run_that_is_stopping_does_not_wait_for_timers),
        cmocka_unit_test(rows_that_are_held_when_nobody_wants_more_are_counted),
    };
    int rc = mkdtemp(folder) ? cmocka_run_group_tests_name("run", tests, NULL, NULL) : 1;
    forget();
    remove_folder(folder);
    return rc;
}
