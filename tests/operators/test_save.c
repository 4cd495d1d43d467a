// save and restore of every operator that keeps state: what a run gives that was interrupted at every k-th batch, and
// gone on with by a new instance from what was saved, is what one gives that was never disturbed; and bytes that nobody
// saved are refused or do no harm.
#include "data/state.h"
#include "fake_op.h"
#include "nomem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

extern const rkp_op rkp_op_aggregate, rkp_op_dedupe, rkp_op_delay, rkp_op_limit, rkp_op_sample, rkp_op_sort,
    rkp_op_throttle;

static const char schema_text[] = "k string?, i i64?, f f64?, b bool?, t timestamp?, w string, n u64, s i32, g f32?, y "
                                  "i8?";
enum { COLUMNS = 10, BATCHES = 12, STEP_NS = 7000000 };

struct job {
    const rkp_op *op;
    const char *with;
    uint64_t limit; // of the share; 0: none
    bool spills;
    rkp_bounds bounds;
};

static const struct job jobs[] = {
    { &rkp_op_aggregate, "{ compute: { on: count(), om: mean(f), ov: variance(i) } }", 0, false, { 0 } },
    { &rkp_op_aggregate,
      "{ by: [k], compute: { oa: count(), ob: count(i), oc: sum(i), od: sum(f), oe: mean(f), og: mean(i), oh: sum(n), "
      "oi: stddev(f), oj: variance(i), oo: sum(g) } }",
      0,
      false,
      { 0 } },
    { &rkp_op_aggregate,
      "{ by: [w, s], compute: { oa: min(k), ob: max(k), oc: first(k), od: last(k), oe: min(i), of: max(f), og: "
      "first(b), "
      "oh: last(t), oi: min(n), oj: max(g), oo: last(y) } }",
      0,
      false,
      { 0 } },
    { &rkp_op_aggregate,
      "{ by: [b], compute: { oa: 'quantile(f, 0.5)', ob: 'quantile(i, 0.9)', oc: 'approx_quantile(f, 0.5)', "
      "od: 'approx_quantile(i, 0.99)' } }",
      0,
      false,
      { 0 } },
    { &rkp_op_aggregate,
      "{ by: [y], compute: { oa: distinct(k), ob: distinct(i), oc: distinct(f), od: distinct(b), oe: distinct(w), "
      "oh: distinct(g) } }",
      0,
      false,
      { 0 } },
    { &rkp_op_aggregate, "{ by: [f, t, g, b, n], compute: { oa: count() } }", 0, false, { 0 } },
    { &rkp_op_aggregate,
      "{ by: [k, w, i], compute: { oa: sum(f), ob: distinct(w), oc: 'quantile(f, 0.25)', od: 'approx_quantile(f, "
      "0.25)', "
      "oe: max(k), of: stddev(i) } }",
      150000,
      true,
      { 0 } },
    { &rkp_op_aggregate, "{ by: [i], compute: { oa: last(k), ob: count(b) } }", 60000, true, { 0 } },
    { &rkp_op_dedupe, "{ by: [k] }", 0, false, { 0 } },
    { &rkp_op_dedupe, "{ by: [k, i] }", 0, false, { 0 } },
    { &rkp_op_dedupe, "{ by: [f, b, t, y] }", 0, false, { 0 } },
    { &rkp_op_dedupe, "{}", 0, false, { 0 } },
    { &rkp_op_dedupe, "{ by: [k] }", 0, false, { .max_keys = 20 } },
    { &rkp_op_dedupe, "{ by: [k, i] }", 0, false, { .ttl_ns = 3 * STEP_NS, .max_keys = 300 } },
    { &rkp_op_dedupe, "{ by: [w] }", 0, false, { .ttl_ns = 2 * STEP_NS + 1000 } },
    { &rkp_op_dedupe, "{ by: [b, t] }", 0, false, { .max_keys = 100, .full_fails = true } },
    { &rkp_op_limit, "{ rows: 1000 }", 0, false, { 0 } },
    { &rkp_op_limit, "{ rows: 500, offset: 700 }", 0, false, { 0 } },
    { &rkp_op_limit, "{ rows: 100000, offset: 300 }", 0, false, { 0 } },
    { &rkp_op_sample, "{ ratio: 0.3 }", 0, false, { 0 } },
    { &rkp_op_sample, "{ ratio: 1, seed: 3 }", 0, false, { 0 } },
    { &rkp_op_sample, "{ ratio: 50%, seed: 9 }", 0, false, { 0 } },
    { &rkp_op_sort, "{ by: [i] }", 0, false, { 0 } },
    { &rkp_op_sort, "{ by: [{ column: k, order: desc }, { column: b, nulls: first }] }", 0, false, { 0 } },
    { &rkp_op_sort, "{ by: [b], limit: 50 }", 0, false, { 0 } },
    { &rkp_op_sort, "{ by: [w, f], limit: 900 }", 0, false, { 0 } },
    { &rkp_op_sort, "{ by: [b, s] }", 200000, true, { 0 } },
    { &rkp_op_sort, "{ by: [{ column: g, order: desc }], limit: 700 }", 200000, true, { 0 } },
    { &rkp_op_throttle, "{ rate: 20000/s, burst: 50 }", 0, false, { 0 } },
    { &rkp_op_throttle, "{ rate: 40000/s, burst: 10, on_excess: wait }", 0, false, { 0 } },
    { &rkp_op_throttle, "{ rate: 300000/s, burst: 500, on_excess: wait }", 0, false, { 0 } },
    { &rkp_op_delay, "{ for: 40ms }", 0, false, { 0 } },
    { &rkp_op_delay, "{ for: 1ms }", 0, false, { 0 } },
    { &rkp_op_delay, "{ for: 0s }", 0, false, { 0 } },
};
enum { JOBS = sizeof jobs / sizeof *jobs };

// ---- rows -----------------------------------------------------------------------------------------------------------

static uint64_t rnd_state = 88172645463325252u;

static uint32_t rnd(uint32_t n)
{
    rnd_state ^= rnd_state << 13;
    rnd_state ^= rnd_state >> 7;
    rnd_state ^= rnd_state << 17;
    return (uint32_t)((rnd_state >> 33) % n);
}

static void add_value(rki_buf *to, unsigned column)
{
    char text[64] = "";

    switch (column) {
    case 0:
        snprintf(text, sizeof text, rnd(3) ? "k%u" : "a key that is longer than a view %u", rnd(40));
        break;
    case 1:
        snprintf(text, sizeof text, "%d", (int)rnd(400) - 200);
        break;
    case 2:
        snprintf(text, sizeof text, rnd(2) ? "%.2f" : "%.13f", (double)rnd(100000) / 7 - 5000);
        break;
    case 3:
        snprintf(text, sizeof text, "%s", rnd(2) ? "true" : "false");
        break;
    case 4:
        snprintf(text, sizeof text, "2024-01-%02uT00:00:%02uZ", 1 + rnd(3), rnd(4));
        break;
    case 5:
        snprintf(text, sizeof text, rnd(2) ? "w%u" : "a word of some length %u", rnd(30));
        break;
    case 6:
        snprintf(text, sizeof text, "%u", rnd(5));
        break;
    case 7:
        snprintf(text, sizeof text, "%d", (int)rnd(7) - 3);
        break;
    case 8:
        snprintf(text, sizeof text, "%.1f", (double)rnd(60) / 10);
        break;
    default:
        snprintf(text, sizeof text, "%d", (int)rnd(256) - 128);
        break;
    }
    rki_putz(to, text);
}

static char *make_rows(uint32_t n)
{
    static const bool nullable[COLUMNS] = { 1, 1, 1, 1, 1, 0, 0, 0, 1, 1 };
    rki_buf to;
    size_t size;

    rki_buf_init(&to);
    for (uint32_t r = 0; r < n; r++)
        for (unsigned c = 0; c < COLUMNS; c++) {
            if (!nullable[c] || rnd(9))
                add_value(&to, c);
            rki_putc(&to, c + 1 < COLUMNS ? '|' : '\n');
        }
    return rki_buf_take(&to, &size);
}

struct rows {
    char *v[BATCHES];
};

static struct rows rows_new(uint32_t most)
{
    struct rows r;

    for (int i = 0; i < BATCHES; i++)
        r.v[i] = make_rows(1 + rnd(most));
    return r;
}

static void rows_free(struct rows *r)
{
    for (int i = 0; i < BATCHES; i++)
        free(r->v[i]);
}

// ---- a run of several lives -----------------------------------------------------------------------------------------

struct life {
    const struct job *job;
    struct op_run run;
    uint64_t began; // the clock of this instance when the whole began
    size_t seen;    // of what it has emitted
    rki_buf out;    // time and rows of all lives
    uint64_t dropped;
};

static const int64_t began_us = 1700000000000000;

static void open_life(struct life *l, uint64_t at)
{
    op_open(
        &l->run,
        (fake_conf){ .op = l->job->op, .with = l->job->with, .state_limit = l->job->limit, .bounds = l->job->bounds },
        schema_text, OP_FLAT);
    l->run.f->wall_us = began_us + (int64_t)(at / 1000);
    if (l->run.f->st != RKP_OK)
        fail_msg("%s: %s: %s", l->job->with, l->run.f->stage, fake_findings(l->run.f));
    l->began = l->run.f->now_ns - at;
    l->seen = 0;
}

static uint64_t time_of(const struct life *l)
{
    return l->run.f->now_ns - l->began;
}

static void note(struct life *l)
{
    fake *f = l->run.f;

    for (; l->seen < f->n_out; l->seen++) {
        char text[40];

        // Operators without a clock may cut their output otherwise.
        if (l->job->op->on_timer) {
            snprintf(text, sizeof text, "%llu: port %u\n", (unsigned long long)time_of(l), f->out[l->seen].port);
            rki_putz(&l->out, text);
        }
        rki_putz(&l->out, fake_rows_of(f, f->out[l->seen].b));
    }
}

static void must(struct life *l, bool ok)
{
    if (!ok)
        fail_msg("%s %s: %s", l->job->op->name, l->job->with, l->run.f->fail);
}

// Lets time go on to `to`, with the timers that are due until then.
static void advance(struct life *l, uint64_t to)
{
    fake *f = l->run.f;

    while (f->wake_at && f->wake_at - l->began <= to) {
        must(l, fake_tick(f) != RKP_FAIL);
        note(l);
    }
    if (time_of(l) < to)
        f->now_ns = l->began + to;
    f->wall_us = began_us + (int64_t)(time_of(l) / 1000);
}

static void note_drops(struct life *l)
{
    fake *f = l->run.f;

    for (size_t i = 0; i < f->n_drops; i++)
        l->dropped += f->drops[i].rows;
    f->n_drops = 0;
}

static void end_life(struct life *l)
{
    note(l);
    note_drops(l);
    op_close(&l->run);
}

static void save_life(struct life *l, rkp_save *s)
{
    rki_save_begin(s);
    must(l, l->job->op->save(l->run.f->main.self, &l->run.f->main, s) == RKP_OK);
    assert_int_equal(rki_save_status(s), RKP_OK);
}

static rkp_status restore_life(struct life *l, const char *p, size_t n, char why[200])
{
    rkp_load load;
    rkp_status st;

    rki_load_begin(&load, p, n);
    st = l->job->op->restore(l->run.f->main.self, &l->run.f->main, &load);
    if (st == RKP_OK)
        st = rki_load_end(&load);
    memcpy(why, load.why, sizeof load.why);
    return st;
}

// The life ends, and another goes on with what was saved.
static void move_on(struct life *l)
{
    uint64_t at = time_of(l), used = l->run.f->state_used;
    char why[200];
    rkp_save s;
    char *copy;

    note_drops(l);
    save_life(l, &s);
    assert_int_equal(l->run.f->n_drops, 0); // counts are not those of the state otherwise
    end_life(l);
    open_life(l, at);
    copy = malloc(s.out.n + 1); // so that a byte behind it is found
    assert_non_null(copy);
    if (s.out.n)
        memcpy(copy, s.out.p, s.out.n);
    if (restore_life(l, copy, s.out.n, why) != RKP_OK)
        fail_msg("%s %s: %s %s", l->job->op->name, l->job->with, why, l->run.f->fail);
    free(copy);
    if (used && !l->job->limit) // it is counted
        assert_in_range(l->run.f->state_used, used / 8, used * 8);
    rki_save_fini(&s);
}

static rkp_verdict feed(struct life *l, const struct rows *r, int i)
{
    rkp_verdict v;

    advance(l, (uint64_t)i * STEP_NS);
    l->run.form = (enum op_form)(i % OP_FORMS);
    v = fake_feed(l->run.f, 0, op_batch(&l->run, r->v[i]));
    must(l, v != RKP_FAIL);
    note(l);
    return v;
}

static void finish(struct life *l)
{
    fake *f = l->run.f;
    rkp_verdict v = RKP_DONE;

    if (l->job->op->on_end)
        while ((v = l->job->op->on_end(f->main.self, &f->main)) == RKP_MORE || v == RKP_RETRY) {
            if (v == RKP_RETRY)
                must(l, fake_tick(f) != RKP_FAIL);
            note(l);
        }
    must(l, v != RKP_FAIL);
    end_life(l);
}

// every: of so many batches a new life begins after the last; 0: never.
static char *run_job(const struct job *j, const struct rows *r, int every, uint64_t *dropped)
{
    struct life l = { .job = j };
    size_t n;

    rki_buf_init(&l.out);
    open_life(&l, 0);
    if (every)
        move_on(&l); // nothing has come yet
    for (int i = 0; i < BATCHES; i++) {
        rkp_verdict v = feed(&l, r, i);

        advance(&l, (uint64_t)i * STEP_NS + STEP_NS / 2); // some time after the batch
        if (every && (i + 1) % every == 0) {
            move_on(&l);
            if (i % 3 == 0)
                move_on(&l); // at once again
        }
        if (v == RKP_STOP)
            break;
    }
    finish(&l);
    *dropped = l.dropped;
    rki_putc(&l.out, 0);
    return rki_buf_take(&l.out, &n);
}

static void a_run_that_goes_on_gives_what_an_undisturbed_one_gives(void **state)
{
    (void)state;
    for (size_t i = 0; i < JOBS; i++)
        for (int round = 0; round < 3; round++) {
            struct rows r = rows_new(jobs[i].limit ? 700 : round == 0 ? 4 : 500);
            uint64_t dropped;
            char *want = run_job(&jobs[i], &r, 0, &dropped);

            assert_true(dropped || want[0]);
            for (int every = 1; every <= 5; every += 2) {
                uint64_t dropped_too;
                char *got = run_job(&jobs[i], &r, every, &dropped_too);

                if (strcmp(want, got) != 0) {
                    size_t at = 0;

                    while (want[at] == got[at])
                        at++;
                    at = at > 100 ? at - 100 : 0;
                    fail_msg("%s %s, every %d:\n%.300s\n---- and not\n%.300s", jobs[i].op->name, jobs[i].with, every,
                             got + at, want + at);
                }
                assert_int_equal(dropped, dropped_too);
                free(got);
            }
            free(want);
            rows_free(&r);
        }
}

// What is in a file is in the state too.
static void jobs_that_should_spill_do(void **state)
{
    (void)state;
    for (size_t i = 0; i < JOBS; i++) {
        struct rows r = rows_new(700);
        struct life l = { .job = &jobs[i] };
        bool spilled = false;

        rki_buf_init(&l.out);
        open_life(&l, 0);
        for (int k = 0; k < BATCHES && feed(&l, &r, k) != RKP_STOP; k++)
            ;
        if (jobs[i].op == &rkp_op_aggregate)
            spilled = l.run.f->counts[2] > 0;
        else if (jobs[i].op == &rkp_op_sort)
            spilled = l.run.f->counts[0] > 0;
        if (spilled != jobs[i].spills)
            fail_msg("%s", jobs[i].with);
        end_life(&l);
        rki_buf_fini(&l.out);
        rows_free(&r);
    }
}

// A share that is smaller than it was: groups go to the file while they are restored.
static void a_state_comes_back_into_a_smaller_share(void **state)
{
    static const struct job sets[] = {
        { &rkp_op_aggregate,
          "{ by: [k, i], compute: { oa: sum(f), ob: distinct(w), oc: 'quantile(f, 0.5)' } }",
          0,
          true,
          { 0 } },
        { &rkp_op_sort, "{ by: [i] }", 0, true, { 0 } },
    };

    (void)state;
    for (size_t k = 0; k < sizeof sets / sizeof *sets; k++) {
        struct job small = sets[k], large = sets[k];
        struct rows r = rows_new(900);
        struct life l = { .job = &large };
        uint64_t dropped;
        char *want = run_job(&large, &r, 0, &dropped);

        small.limit = 150000;
        rki_buf_init(&l.out);
        open_life(&l, 0);
        for (int i = 0; i < BATCHES; i++) {
            feed(&l, &r, i);
            if (i == BATCHES / 2) {
                l.job = &small;
                move_on(&l);
            }
        }
        assert_true(l.run.f->counts[k ? 0 : 2] > 0);
        finish(&l);
        rki_putc(&l.out, 0);
        assert_string_equal(l.out.p, want);
        rki_buf_fini(&l.out);
        free(want);
        rows_free(&r);
    }
}

static void a_share_that_is_too_small_for_the_keys_is_said(void **state)
{
    static const struct job large = { &rkp_op_dedupe, "{}", 0, false, { 0 } },
                            small = { &rkp_op_dedupe, "{}", 20000, false, { 0 } };
    struct rows r = rows_new(500);
    struct life l = { .job = &large };
    char why[200];
    rkp_save s;

    (void)state;
    rki_buf_init(&l.out);
    open_life(&l, 0);
    for (int i = 0; i < BATCHES; i++)
        feed(&l, &r, i);
    save_life(&l, &s);
    end_life(&l);
    l.job = &small;
    open_life(&l, 0);
    assert_int_equal(restore_life(&l, s.out.p, s.out.n, why), RKP_NOMEM);
    assert_non_null(strstr(l.run.f->fail, "memory_limit"));
    end_life(&l);
    rki_save_fini(&s);
    rki_buf_fini(&l.out);
    rows_free(&r);
}

// ---- damage ---------------------------------------------------------------------------------------------------------

// Restores these bytes, and when they are taken, goes on with them to the end; whatever comes out, nothing breaks.
static bool survives(const struct job *j, const struct rows *r, const char *p, size_t n)
{
    struct life l = { .job = j };
    char *copy = malloc(n + 1), why[200];
    rkp_status st;
    fake *f;

    assert_non_null(copy);
    if (n)
        memcpy(copy, p, n);
    rki_buf_init(&l.out);
    open_life(&l, 0);
    f = l.run.f;
    st = restore_life(&l, copy, n, why);
    free(copy);
    if (st == RKP_INVALID && !why[0])
        fail_msg("%s %s: refused without a reason", j->op->name, j->with);
    if (st != RKP_OK && st != RKP_INVALID)
        fail_msg("%s %s: %s", j->op->name, j->with, f->fail);
    if (st == RKP_OK) {
        rkp_verdict v = fake_feed(f, 0, op_batch(&l.run, r->v[0]));

        if (v != RKP_FAIL)
            fake_end(f);
        for (size_t i = 0; i < f->n_out; i++)
            fake_rows_of(f, f->out[i].b);
    }
    assert_int_equal(fake_free(f), 0);
    rki_arena_fini(&l.run.arena);
    rki_buf_fini(&l.out);
    return st == RKP_OK;
}

static void bytes_that_nobody_saved_are_refused_or_do_no_harm(void **state)
{
    static const unsigned flips[] = { 0x01, 0x80, 0xff };

    (void)state;
    for (size_t i = 0; i < JOBS; i++) {
        struct job j = jobs[i];
        struct rows r = rows_new(2);
        struct life l = { .job = &j };
        rkp_save s;

        j.limit = 0;
        rki_buf_init(&l.out);
        open_life(&l, 0);
        for (int k = 0; k < 2 && feed(&l, &r, k) != RKP_STOP; k++)
            ;
        save_life(&l, &s);
        end_life(&l);
        rki_buf_fini(&l.out);
        assert_true(survives(&j, &r, s.out.p, s.out.n));
        for (size_t n = 0; n < s.out.n; n++)
            if (survives(&j, &r, s.out.p, n))
                fail_msg("%s %s: taken after %zu of %zu bytes", j.op->name, j.with, n, s.out.n);
        for (size_t k = 0; k < s.out.n; k++)
            for (size_t m = 0; m < sizeof flips / sizeof *flips; m++) {
                s.out.p[k] = (char)((unsigned char)s.out.p[k] ^ flips[m]);
                survives(&j, &r, s.out.p, s.out.n);
                s.out.p[k] = (char)((unsigned char)s.out.p[k] ^ flips[m]);
            }
        rki_save_fini(&s);
        rows_free(&r);
    }
}

// Larger states, those in files among them, with some bytes changed.
static void damaged_parts_in_files_do_no_harm(void **state)
{
    (void)state;
    for (size_t i = 0; i < JOBS; i++) {
        struct job j = jobs[i];
        struct life l = { .job = &j };
        struct rows r;
        rkp_save s;

        if (!j.spills)
            continue;
        r = rows_new(400);
        rki_buf_init(&l.out);
        open_life(&l, 0);
        for (int k = 0; k < BATCHES - 2; k++)
            feed(&l, &r, k);
        save_life(&l, &s);
        end_life(&l);
        rki_buf_fini(&l.out);
        assert_true(survives(&j, &r, s.out.p, s.out.n));
        for (int k = 0; k < 60; k++) {
            size_t at = k < 20 ? rnd(200) : rnd((uint32_t)s.out.n);
            unsigned flip = 1 + rnd(255);

            s.out.p[at] = (char)((unsigned char)s.out.p[at] ^ flip);
            survives(&j, &r, s.out.p, s.out.n);
            s.out.p[at] = (char)((unsigned char)s.out.p[at] ^ flip);
        }
        rki_save_fini(&s);
        rows_free(&r);
    }
}

static void noise_is_refused_or_does_no_harm(void **state)
{
    struct rows r = rows_new(3);

    (void)state;
    for (size_t i = 0; i < JOBS; i++)
        for (int round = 0; round < 60; round++) {
            char bytes[400];
            size_t n = rnd(sizeof bytes);

            for (size_t k = 0; k < n; k++)
                bytes[k] = (char)(rnd(4) ? 0 : rnd(256));
            survives(&jobs[i], &r, bytes, n);
        }
    rows_free(&r);
}

// ---- memory ---------------------------------------------------------------------------------------------------------

static void every_allocation_of_a_restore_may_fail(void **state)
{
    (void)state;
    if (!nomem_works())
        skip();
    for (size_t i = 0; i < JOBS; i++) {
        struct rows r = rows_new(jobs[i].limit ? 300 : 20);
        struct life l = { .job = &jobs[i] };
        rkp_save s;

        rki_buf_init(&l.out);
        open_life(&l, 0);
        for (int k = 0; k < BATCHES && feed(&l, &r, k) != RKP_STOP; k++)
            ;
        save_life(&l, &s);
        for (long n = 1;; n += 1 + n / 8) {
            rkp_save other;
            rkp_status st;
            bool done;

            rki_save_begin(&other);
            nomem_at(n);
            st = jobs[i].op->save(l.run.f->main.self, &l.run.f->main, &other);
            done = nomem_count() < n;
            nomem_at(0);
            if (done || st != RKP_OK) {
                rki_save_fini(&other);
                assert_true(!done || st == RKP_OK);
                break; // an operator whose save has failed is not used any more
            }
            assert_int_equal(rki_save_status(&other), RKP_NOMEM);
            rki_save_fini(&other);
        }
        end_life(&l);
        rki_buf_fini(&l.out);
        for (long n = 1;; n += 1 + n / 8) {
            char why[200];
            rkp_status st;
            bool done;

            rki_buf_init(&l.out);
            open_life(&l, 0);
            nomem_at(n);
            st = restore_life(&l, s.out.p, s.out.n, why);
            done = nomem_count() < n;
            nomem_at(0);
            if (st != RKP_OK)
                assert_int_equal(st, RKP_NOMEM);
            assert_true(!done || st == RKP_OK);
            end_life(&l);
            rki_buf_fini(&l.out);
            if (done)
                break;
        }
        rki_save_fini(&s);
        rows_free(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_that_goes_on_gives_what_an_undisturbed_one_gives),
        cmocka_unit_test(jobs_that_should_spill_do),
        cmocka_unit_test(a_state_comes_back_into_a_smaller_share),
        cmocka_unit_test(a_share_that_is_too_small_for_the_keys_is_said),
        cmocka_unit_test(bytes_that_nobody_saved_are_refused_or_do_no_harm),
        cmocka_unit_test(damaged_parts_in_files_do_no_harm),
        cmocka_unit_test(noise_is_refused_or_does_no_harm),
        cmocka_unit_test(every_allocation_of_a_restore_may_fail),
    };

    return cmocka_run_group_tests_name("save", tests, NULL, NULL);
}
