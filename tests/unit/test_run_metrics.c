// labels: threads
// run/metrics.c: the series of a run agree with its summary, never go back, and measure what they say.
#include "nomem.h"
#include "run_expect.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
// after the above
#include <cmocka.h>

static const live_conf kept = { .keep = true };

// ---- what a walk gives ----------------------------------------------------------------------------------------------

struct sample {
    char *name; // x{a="b",c="d"}, labels as they come
    double v;
    bool counts; // it may not go down
};

struct samples {
    struct sample *v;
    size_t n, cap;
    const rki_metric *row;
};

static void add(struct samples *s, struct sample one)
{
    if (s->n == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 512;
        s->v = realloc(s->v, s->cap * sizeof *s->v);
        assert_non_null(s->v);
    }
    s->v[s->n++] = one;
}

static void note(void *arg, const rki_metric *row, rkp_str name, const rki_label *l, uint32_t n, double v)
{
    struct samples *s = arg;
    rki_buf b;
    rki_buf_init(&b);
    rki_put(&b, name.p, name.n);
    rki_putc(&b, '{');
    for (uint32_t i = 0; i < n; i++) {
        assert_true(l[i].name.n > 0);
        for (uint32_t k = 0; k < i; k++)
            assert_false(rkp_str_eq(l[k].name, l[i].name));
        if (l[i].value.n)
            rki_putf(&b, "%s%.*s=\"%.*s\"", b.p[b.n - 1] == '{' ? "" : ",", RKP_STR_ARG(l[i].name),
                     RKP_STR_ARG(l[i].value));
    }
    rki_putc(&b, '}');
    rki_putc(&b, 0);
    add(s, (struct sample){ rki_buf_take(&b, NULL), v, row->kind != RKI_METRIC_GAUGE });
    s->row = row;
}

static struct samples walk(rki_run *r)
{
    struct samples s = { 0 };
    assert_true(rki_run_metrics(r, note, &s));
    for (size_t i = 0; i < s.n; i++) // no series twice
        for (size_t k = 0; k < i; k++)
            if (strcmp(s.v[i].name, s.v[k].name) == 0)
                fail_msg("%s is there twice", s.v[i].name);
    return s;
}

static void forget(struct samples *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->v[i].name);
    free(s->v);
    *s = (struct samples){ 0 };
}

static const struct sample *find(const struct samples *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->v[i].name, name) == 0)
            return &s->v[i];
    return NULL;
}

static double RKP_PRINTF(2, 3) value(const struct samples *s, const char *fmt, ...)
{
    char name[512];
    const struct sample *at;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    at = find(s, name);
    if (!at) {
        for (size_t i = 0; i < s->n; i++)
            if (strncmp(s->v[i].name, name, strcspn(name, "{")) == 0)
                print_message("  %s %g\n", s->v[i].name, s->v[i].v);
        fail_msg("there is no %s", name);
    }
    return at->v;
}

// The sum of all series of a name.
static double total(const struct samples *s, const char *name)
{
    double sum = 0;
    for (size_t i = 0; i < s->n; i++)
        if (strncmp(s->v[i].name, name, strlen(name)) == 0 && s->v[i].name[strlen(name)] == '{')
            sum += s->v[i].v;
    return sum;
}

#define EXPECT(a, b)                                                                                                   \
    do {                                                                                                               \
        double expect_a = (a), expect_b = (double)(b);                                                                 \
        if (expect_a != expect_b)                                                                                      \
            fail_msg("%s is %.17g, not %.17g", #a, expect_a, expect_b);                                                \
    } while (0)

// What the summary says of every kernel that the metrics have.
static void agree_with_summary(rki_run *r, const struct samples *s)
{
    rki_kernel_counts c;
    for (rki_counts_walk w = { 0 }; rki_run_next_counts(r, &w, &c);) {
        char info[256];
        double drops = 0, deads = 0;
        snprintf(info, sizeof info, "rkpipe_kernel_restarts_total{kernel=\"%s\"}", c.kernel);
        if (!find(s, info) && c.removed)
            continue;
        EXPECT(value(s, "rkpipe_kernel_in_rows_total{kernel=\"%s\"}", c.kernel), c.rows_in);
        EXPECT(value(s, "rkpipe_kernel_out_rows_total{kernel=\"%s\"}", c.kernel), c.rows_out);
        EXPECT(value(s, "rkpipe_kernel_in_bytes_total{kernel=\"%s\"}", c.kernel), c.bytes_in);
        EXPECT(value(s, "rkpipe_kernel_out_bytes_total{kernel=\"%s\"}", c.kernel), c.bytes_out);
        EXPECT(value(s, "rkpipe_kernel_batches_total{kernel=\"%s\"}", c.kernel), c.batches);
        EXPECT(value(s, "rkpipe_kernel_absorbed_rows_total{kernel=\"%s\"}", c.kernel), c.absorbed);
        EXPECT(value(s, "rkpipe_kernel_rejected_rows_total{kernel=\"%s\"}", c.kernel), c.bad);
        for (uint32_t i = 0; i < c.n_drops; i++)
            drops += c.drops[i].rows ? value(s, "rkpipe_dropped_rows_total{kernel=\"%s\",reason=\"%s\"}", c.kernel,
                                             c.drops[i].reason)
                                     : 0;
        for (uint32_t i = 0; i < c.n_deads; i++)
            deads += c.deads[i].rows ? value(s, "rkpipe_dead_letter_rows_total{kernel=\"%s\",reason=\"%s\"}", c.kernel,
                                             c.deads[i].reason)
                                     : 0;
        EXPECT(drops, c.dropped);
        EXPECT(deads, c.dead_lettered);
    }
}

// ---- runs -----------------------------------------------------------------------------------------------------------

static void drain(live *l)
{
    rki_run_drain(l->r);
    assert_int_equal(live_end(l), RKI_EXIT_OK);
}

static void let_go(live *l, struct samples *s)
{
    forget(s);
    live_free(l);
}

// A run that comes to its end by itself, and its series then.
static live *RKP_PRINTF(2, 3) whole(struct samples *s, const char *fmt, ...)
{
    char text[4096];
    live *l;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    case_forget();
    l = live_start(&kept, "%s", text);
    assert_int_equal(live_end(l), RKI_EXIT_OK);
    *s = walk(l->r);
    return l;
}

// ---- sums -----------------------------------------------------------------------------------------------------------

static void the_sums_are_those_of_the_summary(void **state)
{
    live *l;
    struct samples s;
    (void)state;
    l = whole(&s,
              "dead_letter: { kernel: bin }\n"
              "kernels:\n"
              "  src: { op: t.pub, with: { id: 1, rows: 5000, batch: 7, keys: [a, b, c] }, publish: 'in/${this.k}' }\n"
              "  even: { op: filter, subscribe: in/*, with: { where: n %% 2 == 0 }, fuse: never }\n"
              "  work: { op: t.step, from: [even], replicas: 3, partition_by: n, with: { id: 2, bad_every: 50 } }\n"
              "  copy: { op: t.pass, from: [work], replicas: 2, fuse: never, publish: out/all }\n"
              "  few: { op: t.sink, subscribe: [{ topic: out/all, where: n < 1000 }], with: { into: 2 } }\n"
              "  all: { op: t.sink, subscribe: out/*, batch: { count: 64 }, with: { into: 1 } }\n"
              "  bin: { op: t.sink, with: { into: 3 } }\n");
    agree_with_summary(l->r, &s);
    EXPECT(value(&s, "rkpipe_kernel_in_rows_total{kernel=\"src\"}"), 5000);
    EXPECT(value(&s, "rkpipe_topic_published_rows_total{topic=\"in/${this.k}\",kernel=\"src\"}"), 5000);
    EXPECT(value(&s, "rkpipe_topic_published_messages_total{topic=\"in/${this.k}\",kernel=\"src\"}"), (5000 + 6) / 7);
    EXPECT(value(&s, "rkpipe_topic_subscribers{topic=\"out/all\",kernel=\"copy\"}"), 2);
    EXPECT(value(&s, "rkpipe_topic_published_rows_total{topic=\"out/all\",kernel=\"copy\"}"),
           value(&s, "rkpipe_kernel_out_rows_total{kernel=\"copy\"}"));
    EXPECT(value(&s, "rkpipe_edge_received_rows_total{from=\"copy\",to=\"all\",topic=\"out/all\",kind=\"topic\"}"),
           case_results[1].n);
    EXPECT(value(&s, "rkpipe_edge_sent_rows_total{from=\"copy\",to=\"few\",topic=\"out/all\",kind=\"topic\"}"),
           case_results[1].n);
    EXPECT(value(&s, "rkpipe_edge_filtered_rows_total{from=\"copy\",to=\"few\",topic=\"out/all\",kind=\"topic\"}"),
           case_results[1].n - case_results[2].n);
    EXPECT(value(&s, "rkpipe_edge_received_rows_total{from=\"work\",to=\"bin\",kind=\"dead_letter\"}"),
           case_results[3].n);
    EXPECT(total(&s, "rkpipe_dead_letter_rows_total"), case_results[3].n);
    EXPECT(total(&s, "rkpipe_edge_sent_rows_total"), total(&s, "rkpipe_edge_received_rows_total"));
    EXPECT(total(&s, "rkpipe_edge_queue_messages"), 0);
    EXPECT(total(&s, "rkpipe_edge_queue_bytes"), 0);
    assert_true(total(&s, "rkpipe_edge_queue_capacity_messages") > 0);
    // Every batch of `all` has a time, and one until it was written.
    EXPECT(value(&s, "rkpipe_sink_latency_seconds_count{kernel=\"all\"}"),
           value(&s, "rkpipe_kernel_batches_total{kernel=\"all\"}"));
    EXPECT(value(&s, "rkpipe_kernel_batch_seconds_count{kernel=\"all\"}"),
           value(&s, "rkpipe_kernel_batches_total{kernel=\"all\"}"));
    EXPECT(value(&s, "rkpipe_kernel_batch_seconds_count{kernel=\"work\"}"),
           value(&s, "rkpipe_kernel_batches_total{kernel=\"work\"}"));
    EXPECT(total(&s, "rkpipe_batch_flushes_total"), value(&s, "rkpipe_kernel_batches_total{kernel=\"all\"}"));
    assert_true(value(&s, "rkpipe_kernel_busy_seconds_total{kernel=\"work\"}") > 0);
    EXPECT(value(&s, "rkpipe_config_generation{}"), 1);
    EXPECT(value(&s, "rkpipe_memory_used_bytes{pool=\"batches\"}"), 0);
    assert_true(value(&s, "rkpipe_memory_peak_bytes{pool=\"batches\"}") > 0);
    EXPECT(value(&s, "rkpipe_pipeline_info{pipeline=\"case\",mode=\"batch\",delivery=\"at_most_once\"}"), 1);
    let_go(l, &s);
}

static void what_does_not_fit_is_counted_by_policy(void **state)
{
    live *l;
    struct samples s;
    double over;
    (void)state;
    case_forget();
    case_set(case_gate[2], 0);
    l = live_start(&kept, "run: { mode: stream }\nkernels:\n"
                          "  src: { op: t.pub, with: { id: 1, rows: 500 }, publish: a }\n"
                          "  out: { op: t.sink, subscribe: a, delivery: at_most_once, queue: { capacity: 4, overflow: "
                          "drop_newest }, with: { into: 1, gate: 2 } }\n");
    live_until(l, case_look(case_emitted[1]) == 500);
    case_set(case_gate[2], UINT64_MAX);
    assert_int_equal(live_end(l), RKI_EXIT_OK);
    s = walk(l->r);
    agree_with_summary(l->r, &s);
    over = value(
        &s,
        "rkpipe_edge_overflowed_rows_total{from=\"src\",to=\"out\",topic=\"a\",kind=\"topic\",policy=\"drop_newest\"}");
    assert_true(over > 400);
    EXPECT(value(&s, "rkpipe_dropped_rows_total{kernel=\"out\",reason=\"queue_full\"}"), over);
    EXPECT(over + (double)case_results[1].n, 500);
    EXPECT(value(&s, "rkpipe_edge_waits_total{from=\"src\",to=\"out\",topic=\"a\",kind=\"topic\"}"), 0);
    let_go(l, &s);
}

// ---- while it runs --------------------------------------------------------------------------------------------------

// What was there before has not become less.  What went with a kernel may come back.
static void no_less_than(const struct samples *before, const struct samples *now)
{
    for (size_t i = 0; i < before->n; i++) {
        const struct sample *at = before->v[i].counts ? find(now, before->v[i].name) : NULL;
        if (at && at->v < before->v[i].v)
            fail_msg("%s went from %.17g back to %.17g", at->name, before->v[i].v, at->v);
    }
}

struct watcher {
    live *l;
    pthread_t thread;
    struct samples last; // also of what has gone
    uint32_t stop;
    size_t walks;
};

// All that was ever seen is kept, so that what goes and comes back is compared, too.
static void remember(struct samples *all, struct samples *now)
{
    for (size_t i = 0; i < now->n; i++) {
        struct sample *at = (struct sample *)(uintptr_t)find(all, now->v[i].name);
        if (at) {
            at->v = now->v[i].v;
        } else {
            add(all, now->v[i]);
            now->v[i].name = NULL;
        }
    }
}

static void *watch(void *arg)
{
    struct watcher *w = arg;
    do {
        struct samples s = walk(w->l->r);
        no_less_than(&w->last, &s);
        remember(&w->last, &s);
        forget(&s);
        w->walks++;
    } while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE));
    return NULL;
}

static void watch_begin(struct watcher *w, live *l)
{
    w->l = l;
    assert_int_equal(pthread_create(&w->thread, NULL, watch, w), 0);
}

// The run ends; its last series.
static struct samples watch_to_the_end(struct watcher *w)
{
    struct samples s;
    drain(w->l);
    __atomic_store_n(&w->stop, 1, __ATOMIC_RELEASE);
    pthread_join(w->thread, NULL);
    s = walk(w->l->r);
    no_less_than(&w->last, &s);
    forget(&w->last);
    return s;
}

#define BUSY_SRC                                                                                                       \
    "run: { mode: stream }\nreload: { keep_state: reset }\n"                                                           \
    "kernels:\n"                                                                                                       \
    "  src: { op: t.pub, with: { id: 1, gate: 1, batch: 5, keys: [a, b] }, publish: 't/${this.k}' }\n"

static void counters_never_go_back_over_reloads(void **state)
{
    static const char *const shapes[] = {
        BUSY_SRC "  x: { op: t.step, subscribe: t/*, queue: { overflow: block }, with: { id: 2 } }\n"
                 "  out: { op: t.sink, from: [x], with: { into: 1 } }\n",
        BUSY_SRC "  x: { op: t.step, subscribe: t/*, queue: { overflow: block }, with: { id: 2, bad_every: 9 }, "
                 "on_error: drop }\n"
                 "  out: { op: t.sink, from: [x], with: { into: 1 } }\n"
                 "  more: { op: t.sink, subscribe: t/a, with: { into: 2 } }\n",
        BUSY_SRC "  x: { op: t.pass, subscribe: t/*, queue: { overflow: block }, replicas: 3, fuse: never }\n"
                 "  y: { op: filter, from: [x], with: { where: n %% 3 == 0 } }\n"
                 "  out: { op: t.sink, from: [y], with: { into: 1 } }\n",
        BUSY_SRC "  x: { op: t.pass, subscribe: t/*, queue: { overflow: block }, fuse: never }\n"
                 "  out: { op: t.sink, from: [x], batch: { count: 16 }, with: { into: 1 } }\n"
                 "  more: { op: t.sink, subscribe: t/*, queue: { overflow: block }, with: { into: 2 } }\n",
    };
    struct watcher w = { 0 };
    uint64_t applied = 0, rows = 0;
    struct samples s;
    live *l;
    (void)state;
    case_forget();
    case_set(case_gate[1], UINT64_MAX);
    l = live_start(&kept, shapes[0], 0);
    watch_begin(&w, l);
    for (int i = 1; i <= 25; i++) {
        rki_reload_result r;
        live_until(l, case_look(case_results[1].rows) > rows + 20);
        r = live_reload(l, shapes[i % 4], 0);
        applied += r.outcome == RKI_RELOAD_APPLIED;
        if (r.outcome != RKI_RELOAD_APPLIED)
            fail_msg("reload %d: %s %s", i, r.text, case_failure);
        rki_buf_fini(&r.diff);
        rki_buf_fini(&r.pauses);
        rki_buf_fini(&r.edges);
        rows = case_look(case_results[1].rows);
    }
    s = watch_to_the_end(&w);
    agree_with_summary(l->r, &s);
    EXPECT(value(&s, "rkpipe_config_generation{}"), applied + 1);
    EXPECT(value(&s, "rkpipe_config_reload_total{outcome=\"applied\"}"), applied);
    EXPECT(value(&s, "rkpipe_config_reload_total{outcome=\"rejected\"}"), 0);
    // All that was ever published, over all generations of who published it.
    EXPECT(value(&s, "rkpipe_topic_published_rows_total{topic=\"t/${this.k}\",kernel=\"src\"}"), case_emitted[1]);
    EXPECT(value(&s, "rkpipe_edge_sent_rows_total{from=\"src\",to=\"x\",topic=\"t/${this.k}\",kind=\"topic\"}"),
           case_emitted[1]);
    EXPECT(value(&s, "rkpipe_edge_received_rows_total{from=\"src\",to=\"x\",topic=\"t/${this.k}\",kind=\"topic\"}"),
           case_emitted[1]);
    print_message("%zu walks, %llu reloads\n", w.walks, (unsigned long long)applied);
    let_go(l, &s);
}

static void a_kernel_that_fails_takes_nothing_back_that_was_shown(void **state)
{
    struct watcher w = { 0 };
    struct samples s;
    live *l;
    (void)state;
    case_forget();
    case_set(case_gate[1], 3000);
    l = live_start(&kept, "run: { mode: stream }\nkernels:\n"
                          "  src: { op: t.pub, with: { id: 1, gate: 1 } }\n"
                          "  x: { op: t.step, from: [src], with: { id: 2, fail_from: 20, fail_to: 40 }, restart: { "
                          "max: 100, backoff: { initial: 1ms, max: 2ms } } }\n"
                          "  out: { op: t.sink, from: [x], with: { into: 1 } }\n");
    watch_begin(&w, l);
    live_until(l, case_look(case_results[1].rows) == 3000);
    s = watch_to_the_end(&w);
    EXPECT(value(&s, "rkpipe_kernel_failures_total{kernel=\"x\"}"), 21);
    EXPECT(value(&s, "rkpipe_kernel_restarts_total{kernel=\"x\"}"), 21);
    EXPECT(value(&s, "rkpipe_kernel_in_rows_total{kernel=\"x\"}"), 3000);
    let_go(l, &s);
}

static void states_follow_commands(void **state)
{
    struct samples s;
    live *l;
    (void)state;
    case_forget();
    case_set(case_gate[1], 10);
    l = live_start(&kept,
                   "run: { mode: stream }\nkernels:\n"
                   "  src: { op: t.pub, with: { id: 1, gate: 1 }, labels: { team: risk, 'a-b': 'x\"y', a_b: two } }\n"
                   "  out: { op: t.sink, from: [src], with: { into: 1 } }\n");
    live_until(l, case_look(case_results[1].rows) == 10);
    s = walk(l->r);
    EXPECT(value(&s, "rkpipe_kernel_state{kernel=\"out\",state=\"active\"}"), 1);
    EXPECT(total(&s, "rkpipe_kernel_state"), 2);
    EXPECT(value(&s, "rkpipe_pipeline_state{state=\"running\"}"), 1);
    // Two names that become one: the first.
    EXPECT(value(&s, "rkpipe_kernel_info{kernel=\"src\",operator=\"t.pub\",kind=\"source\",label_team=\"risk\",label_a_"
                     "b=\"x\"y\"}"),
           1);
    forget(&s);
    assert_int_equal(live_command(l, "out", RKI_SUSPEND, 20000), RKI_DONE);
    s = walk(l->r);
    EXPECT(value(&s, "rkpipe_kernel_state{kernel=\"out\",state=\"active\"}"), 0);
    EXPECT(value(&s, "rkpipe_kernel_state{kernel=\"out\",state=\"suspended\"}"), 1);
    forget(&s);
    assert_int_equal(live_command(l, "out", RKI_ACTIVATE, 20000), RKI_DONE);
    drain(l);
    live_free(l);
}

// ---- times ----------------------------------------------------------------------------------------------------------

static void a_full_queue_blocks_its_producer_and_says_for_how_long(void **state)
{
    static const char edge[] = "from=\"src\",to=\"out\",kind=\"direct\"";
    struct samples s;
    uint64_t at;
    double blocked;
    live *l;
    (void)state;
    case_forget();
    case_set(case_gate[2], 0);
    at = case_now_ns();
    case_set(case_gate[1], 100);
    l = live_start(
        &kept, "run: { mode: stream }\nkernels:\n"
               "  src: { op: t.pub, with: { id: 1, gate: 1 }, fuse: never }\n"
               "  out: { op: t.sink, from: [src], queue: { capacity: 4 }, with: { into: 1, gate: 2 }, fuse: never }\n");
    do { // it waits, and the time that it does grows while it does
        s = walk(l->r);
        blocked = value(&s, "rkpipe_edge_blocked_seconds_total{%s}", edge);
        if (blocked < 0.02)
            forget(&s);
    } while (blocked < 0.02 && case_now_ns() < at + 30000000000ull);
    assert_true(blocked >= 0.02);
    EXPECT(value(&s, "rkpipe_edge_waits_total{%s}", edge), 1);
    assert_true(value(&s, "rkpipe_edge_queue_messages{%s}", edge) >= 3); // it may have taken one since
    EXPECT(value(&s, "rkpipe_edge_queue_capacity_messages{%s}", edge), 4);
    assert_true(value(&s, "rkpipe_edge_queue_bytes{%s}", edge) > 0);
    forget(&s);
    case_set(case_gate[2], UINT64_MAX);
    live_until(l, case_look(case_results[1].rows) == 100);
    s = walk(l->r);
    assert_true(value(&s, "rkpipe_edge_blocked_seconds_total{%s}", edge) >= blocked);
    assert_true(value(&s, "rkpipe_edge_blocked_seconds_total{%s}", edge) <= (double)(case_now_ns() - at) * 1e-9);
    // The first four came in time, the others waited with it.
    assert_true(value(&s, "rkpipe_sink_latency_seconds_sum{kernel=\"out\"}") >= 4 * 0.02);
    forget(&s);
    drain(l);
    live_free(l);
}

static void what_is_held_back_counts_from_its_arrival(void **state)
{
    struct samples s;
    live *l;
    (void)state;
    l = whole(&s, "kernels:\n"
                  "  src: { op: t.pub, with: { id: 1, rows: 5 } }\n"
                  "  late: { op: delay, from: [src], with: { for: 50ms } }\n"
                  "  copy: { op: map, from: [late], with: { derive: { m: n + 1 } }, fuse: never }\n"
                  "  out: { op: write.null, from: [copy] }\n");
    assert_true(value(&s, "rkpipe_sink_latency_seconds_count{kernel=\"out\"}") >= 1);
    EXPECT(value(&s, "rkpipe_sink_latency_seconds_bucket{kernel=\"out\",le=\"0.03\"}"), 0);
    assert_true(value(&s, "rkpipe_sink_latency_seconds_sum{kernel=\"out\"}") >= 0.05);
    let_go(l, &s);
}

static void kernels_that_share_an_actor_divide_its_time(void **state)
{
    struct samples s;
    double slow, fast, idle;
    live *l;
    (void)state;
    l = whole(&s, "kernels:\n"
                  "  src: { op: t.pub, with: { id: 1, rows: 400 } }\n"
                  "  fast: { op: t.pass, from: [src] }\n"
                  "  slow: { op: t.pass, from: [fast], with: { dawdle: 100us } }\n"
                  "  idle: { op: t.pass, from: [slow] }\n"
                  "  out: { op: t.sink, from: [idle], with: { into: 1 } }\n");
    slow = value(&s, "rkpipe_kernel_busy_seconds_total{kernel=\"slow\"}");
    fast = value(&s, "rkpipe_kernel_busy_seconds_total{kernel=\"fast\"}");
    idle = value(&s, "rkpipe_kernel_busy_seconds_total{kernel=\"idle\"}");
    if (slow < 400 * 100e-6 * 0.7)
        fail_msg("slow %g fast %g idle %g", slow, fast, idle);
    assert_true(slow > 3 * fast && slow > 3 * idle);
    EXPECT(value(&s, "rkpipe_kernel_batch_seconds_count{kernel=\"slow\"}"), 400);
    EXPECT(value(&s, "rkpipe_kernel_batch_seconds_count{kernel=\"idle\"}"), 400);
    let_go(l, &s);
}

static void batches_say_why_they_were_made(void **state)
{
    static const struct {
        const char *conf;
        uint64_t rows;
        const char *why;
        double n;
    } cases[] = {
        { "count: 10", 100, "count", 10 },
        { "count: 10", 105, "end", 1 },
        { "bytes: 64", 100, "bytes", 0 }, // some
        { "count: 1000000", 7, "end", 1 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct samples s;
        double n;
        live *l;
        l = whole(&s,
                  "kernels:\n"
                  "  src: { op: t.pub, with: { id: 1, rows: %d } }\n"
                  "  out: { op: t.sink, from: [src], batch: { %s }, with: { into: 1 } }\n",
                  (int)cases[i].rows, cases[i].conf);
        n = value(&s, "rkpipe_batch_flushes_total{kernel=\"out\",reason=\"%s\"}", cases[i].why);
        if (cases[i].n > 0 ? n != cases[i].n : n <= 0)
            fail_msg("case %zu: %g", i, n);
        EXPECT(total(&s, "rkpipe_batch_flushes_total"), value(&s, "rkpipe_kernel_batches_total{kernel=\"out\"}"));
        let_go(l, &s);
    }
}

static void checkpoints_are_counted_and_have_an_age(void **state)
{
    static const live_conf keeps = { .keep = true, .keeps = true };
    struct samples s = { 0 };
    double n = 0;
    live *l;
    uint64_t at = case_now_ns();
    (void)state;
    case_forget();
    case_set(case_gate[1], UINT64_MAX);
    l = live_start(&keeps, "engine: { delivery: at_least_once, checkpoint: { interval: 10ms } }\n"
                           "run: { mode: stream }\nkernels:\n"
                           "  src: { op: generate, with: { columns: { n: row }, rate: 1000/s } }\n"
                           "  out: { op: write.null, from: [src] }\n");
    do {
        forget(&s);
        s = walk(l->r);
        n = value(&s, "rkpipe_checkpoints_total{}");
    } while (n < 3 && case_now_ns() < at + 30000000000ull);
    assert_true(n >= 3);
    EXPECT(value(&s, "rkpipe_checkpoint_duration_seconds_count{}"), n);
    EXPECT(value(&s, "rkpipe_checkpoint_failures_total{}"), 0);
    assert_true(value(&s, "rkpipe_checkpoint_age_seconds{}") < 30);
    assert_true(value(&s, "rkpipe_checkpoint_last_timestamp_seconds{}") > 1e9);
    assert_true(fabs(value(&s, "rkpipe_hlc_drift_seconds{}")) < 60);
    forget(&s);
    drain(l);
    live_free(l);
}

static void without_memory_it_says_so(void **state)
{
    live *l;
    rki_buf all;
    (void)state;
    if (!nomem_works()) {
        print_message("skipped: allocations cannot be made to fail here\n");
        skip();
    }
    case_forget();
    l = live_start(&kept, "dead_letter: { kernel: bin }\nkernels:\n"
                          "  src: { op: t.pub, with: { id: 1, rows: 100 } }\n"
                          "  work: { op: t.step, from: [src], with: { id: 2, bad_every: 5 } }\n"
                          "  out: { op: t.sink, from: [work], with: { into: 1 } }\n"
                          "  bin: { op: t.sink, with: { into: 2 } }\n");
    assert_int_equal(live_end(l), RKI_EXIT_OK);
    rki_buf_init(&all);
    assert_true(rki_run_metrics_text(l->r, &all));
    for (long n = 1;; n++) {
        rki_buf b;
        bool ok, done;
        rki_buf_init(&b);
        nomem_at(n);
        ok = rki_run_metrics_text(l->r, &b);
        done = nomem_count() < n;
        nomem_at(0);
        assert_true(ok || !done);
        if (ok) // as many lines as with memory
            assert_true(b.n + 200 > all.n);
        rki_buf_fini(&b);
        if (done)
            break;
    }
    rki_buf_fini(&all);
    live_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sums_are_those_of_the_summary),
        cmocka_unit_test(what_does_not_fit_is_counted_by_policy),
        cmocka_unit_test(counters_never_go_back_over_reloads),
        cmocka_unit_test(a_kernel_that_fails_takes_nothing_back_that_was_shown),
        cmocka_unit_test(states_follow_commands),
        cmocka_unit_test(a_full_queue_blocks_its_producer_and_says_for_how_long),
        cmocka_unit_test(what_is_held_back_counts_from_its_arrival),
        cmocka_unit_test(kernels_that_share_an_actor_divide_its_time),
        cmocka_unit_test(batches_say_why_they_were_made),
        cmocka_unit_test(checkpoints_are_counted_and_have_an_age),
        cmocka_unit_test(without_memory_it_says_so),
    };
    return cmocka_run_group_tests_name("run_metrics", tests, NULL, NULL);
}
