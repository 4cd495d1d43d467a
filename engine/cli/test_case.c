// cli/test_case.c - one test: its pipeline loaded with the test on it, planned, run on a clock of its own.
//
// The run is the engine's own; only the backend (one step at a time), the clocks, and what stands at both ends differ.  A pipeline that does
// not end by itself is stopped after so many rows or so much of its time; one that does not stop then is told to as by two signals.
#include "cli/test.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MEMORY = 1 << 30 };
#define BEGIN_NS   UINT64_C(1000000000)
#define SECOND_NS  UINT64_C(1000000000)
#define PATIENCE_S 600 // of the test's clock, after it was told to stop

// ---- before ---------------------------------------------------------------------------------------------------------

static bool types_known(rki_case *k)
{
    if (k->l.plan->known)
        return true;
    for (uint32_t i = 0; i < k->l.plan->n_kernels; i++) {
        uint32_t at = k->l.plan->order[i];
        const rki_kernel *kernel = k->l.plan->kernels[at].k;
        if (k->l.plan->kernels[at].known)
            continue;
        rkp_diag(k->l.diags, RKP_ERROR, k->t->name.at, "test-types", "the columns of kernel '%s' (%s) are not known",
                 kernel->id.p, kernel->op->name);
        return false;
    }
    return false;
}

// What the test says, else the pipeline, else what is enough for most.
static void limits(rki_case *k)
{
    rki_run_conf *run = &k->l.spec->run;
    bool says = k->t->says_rows || k->t->says_ns || (!run->stop_rows && !run->stop_ns);
    k->our_rows = says ? !k->t->says_rows : !run->stop_rows;
    k->our_ns = says ? !k->t->says_ns : !run->stop_ns;
    if (says || !run->stop_rows)
        run->stop_rows = k->t->stop_rows;
    if (says || !run->stop_ns)
        run->stop_ns = k->t->stop_ns;
}

int rki_case_prepare(rki_cli *c, const rki_load_args *a, const rki_tests *tests, const rki_test *t, rki_case *k)
{
    rki_plan_args pa = { .cores = 1, .memory = UINT64_C(2) << 30, .probe = true };
    int code;
    *k = (rki_case){ .c = c, .t = t, .tests = tests };
    rki_arena_init(&k->arena);
    rki_buf_init(&k->report);
    k->pool = rkp_pool_new(MEMORY);
    k->frame = k->pool ? rkp_frame_new(k->pool) : NULL;
    k->l.diags = rki_diags_new();
    if (!k->frame || !k->l.diags)
        return rki_cli_nomem();
    for (const rki_source *s = tests->own->sources.first; s; s = s->next)
        rki_diags_source(k->l.diags, s->name, s->text);
    k->l.test = t;
    k->l.texts = &k->texts;
    code = rki_cli_load_spec(c, tests->pipeline, a, NULL, false, &k->l);
    if (code)
        return code;
    if (t->of_series) // nothing of the pipeline is needed but its rules
        return rki_case_alerts_prepare(k) && !rki_diags_failed(k->l.diags) ? 0
               : rki_diags_failed(k->l.diags)                              ? RKI_EXIT_INVALID
                                                                           : rki_cli_nomem();
    if (!rki_spec_test(k->l.spec, t, &rki_op_given, &rki_op_seen, k->l.diags))
        return rki_diags_failed(k->l.diags) ? RKI_EXIT_INVALID : rki_cli_nomem();
    k->l.plan = rki_plan_new(k->l.spec, &pa, k->l.diags);
    if (!k->l.plan || rki_diags_failed(k->l.diags))
        return rki_diags_failed(k->l.diags) ? RKI_EXIT_INVALID : rki_cli_nomem();
    if (!types_known(k) || !rki_goals_find(k))
        return rki_diags_failed(k->l.diags) ? RKI_EXIT_INVALID : rki_cli_nomem();
    limits(k);
    if (!rki_case_alerts_prepare(k))
        return rki_diags_failed(k->l.diags) ? RKI_EXIT_INVALID : rki_cli_nomem();
    return 0;
}

// ---- the run --------------------------------------------------------------------------------------------------------

struct clock {
    uint64_t now_ns;
    int64_t wall_us; // at BEGIN_NS
    rki_run *run;
    uint64_t give_up_ns;
    unsigned signals;
    rki_case *k;
};

static uint64_t mono_ns(void *ctx)
{
    return ((const struct clock *)ctx)->now_ns;
}

static int64_t wall_us(void *ctx)
{
    const struct clock *c = ctx;
    return c->wall_us + (int64_t)((c->now_ns - BEGIN_NS) / 1000);
}

static void look(void *arg, const rki_progress *p)
{
    struct clock *c = arg;
    if (!p->final)
        rki_case_alerts_tick(c->k, wall_us(c));
    if (c->now_ns < c->give_up_ns || c->signals == 2)
        return;
    while (c->signals < 2) {
        c->signals++;
        rki_run_signal(c->run);
    }
}

static void see(void *arg, const rki_seen *s)
{
    rki_goals_see(arg, s);
}

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

// What did not fit into memory is in a folder that is made when it is needed.
static char *scratch(const rki_cli *c)
{
    const char *tmp = rki_cli_env(c, "TMPDIR");
    rki_buf b;
    rki_buf_init(&b);
    rki_putf(&b, "%s/rkpipe-test-%ld", tmp && *tmp ? tmp : "/tmp", (long)getpid());
    return rki_buf_take(&b, NULL);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *w)
{
    (void)st;
    (void)kind;
    (void)w;
    remove(path);
    return 0;
}

static void remove_scratch(const char *path)
{
    if (access(path, F_OK) == 0)
        nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void judge(rki_case *k, const rki_run *r, int code)
{
    const char *why = rki_run_failure(r);
    const rkp_word *fails = &k->t->fails;
    if (fails->p && code == RKI_EXIT_OK)
        rki_case_fail(k, fails->at, "test-run", "the run went well, and must fail");
    else if (fails->p && !strstr(why, fails->p))
        rki_case_fail(k, fails->at, "test-run", "the run fails otherwise: %s", why);
    else if (!fails->p && code != RKI_EXIT_OK)
        rki_case_fail(k, k->t->name.at, "test-run", "the run failed: %s", *why ? why : "no reason is known");
    if (!k->t->n_expects && !k->t->n_alerts && !fails->p)
        rki_case_show(k);
    else if (!k->failures)
        rki_expect_look(k);
    rki_case_alerts_look(k);
}

static void tell_stopped(rki_case *k, const rki_run *r, const struct clock *clock)
{
    const rki_run_conf *run = &k->l.spec->run;
    rki_totals t;
    rki_run_totals(r, &t);
    if (t.rows_in >= run->stop_rows && k->our_rows)
        rki_putf(&k->report, "  note: stopped after %llu rows of its sources; the test may say another stop_after\n",
                 (unsigned long long)run->stop_rows);
    else if (clock->now_ns - BEGIN_NS >= run->stop_ns && k->our_ns)
        rki_putf(&k->report, "  note: stopped after %llu s of its clock; the test may say another stop_after\n",
                 (unsigned long long)(run->stop_ns / SECOND_NS));
}

static int run_series(rki_case *k)
{
    double begin = seconds_now();
    bool ok = rki_case_run_series(k);
    if (ok)
        rki_case_alerts_look(k);
    k->seconds = seconds_now() - begin;
    return !ok || k->nomem || rki_arena_failed(&k->arena) || k->report.failed ? rki_cli_nomem() : 0;
}

int rki_case_run(uint64_t seed, rki_case *k, void (*counts)(void *arg, const rki_run *r), void *arg)
{
    struct clock clock = { .now_ns = BEGIN_NS, .wall_us = k->t->now_us, .k = k };
    rki_time time = { wall_us, mono_ns, &clock };
    char *dir = scratch(k->c), err[1024] = "";
    rki_run_args ra = { .backend = rki_find_backend(k->c, "sim"),
                        .progress = look,
                        .progress_arg = &clock,
                        .progress_ns = k->t->asks_alerts ? k->l.spec->telemetry.interval_ns : SECOND_NS,
                        .data_dir = dir,
                        .fresh = true,
                        .quiet = true,
                        .env = k->c->env,
                        .approve = rki_case_alerts_approve,
                        .approve_arg = k,
                        .time = &time,
                        .virtual_ns = &clock.now_ns,
                        .seed = seed,
                        .see = see,
                        .see_arg = k };
    double begin = seconds_now();
    rki_run *r = NULL;
    rkp_status st;
    int code;
    if (k->t->of_series) {
        free(dir);
        return run_series(k);
    }
    if (!dir || !ra.backend)
        return rki_cli_nomem();
    clock.give_up_ns = BEGIN_NS + k->l.spec->run.stop_ns + PATIENCE_S * SECOND_NS;
    st = rki_run_new(k->l.plan, &ra, &r, err, sizeof err);
    if (st != RKP_OK) {
        rki_cli_say("error: %s", err[0] ? err : rki_status_text(st));
        free(dir);
        return rki_status_exit(st);
    }
    clock.run = r;
    if (k->t->asks_alerts && !rki_case_alerts_begin(k, r))
        k->nomem = true;
    code = rki_run_execute(r);
    rki_case_alerts_end(k, wall_us(&clock));
    k->seconds = seconds_now() - begin;
    counts(arg, r);
    judge(k, r, code);
    tell_stopped(k, r, &clock);
    rki_run_free(r);
    remove_scratch(dir);
    free(dir);
    return k->nomem || rki_arena_failed(&k->arena) || k->report.failed ? rki_cli_nomem() : 0;
}

void rki_case_fini(rki_case *k)
{
    rki_case_alerts_free(k->alerts);
    rki_buf_fini(&k->report);
    rki_loaded_free(&k->l);
    rki_snapshot_free(k->texts);
    rkp_frame_free(k->frame);
    rki_arena_fini(&k->arena);
    if (k->pool)
        rkp_pool_free(k->pool);
}
