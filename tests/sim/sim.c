// sim: whole jobs of the engine under a seeded scheduler, clock and disk; what they leave must be what an undisturbed run leaves
// (docs/design/simulation.md).
//
//   sim [--seeds N] [--from S] [--jobs J]     searches; a seed that fails is made smaller and printed
//   sim --reloads some|never|always ..         which jobs are reloaded while they run
//   sim --seed S [--drop X,Y,..] [--trace]    one again: without parts of it, and every step of it
//   sim --all ..                              goes on behind a seed that fails
//   sim --mutant ..                           something is broken on purpose: a seed must fail
//   sim --twice ..                            every seed twice: both must take the same steps
#include "data/row_text.h"
#include "flow/deadstore.h"
#include "plan/plan.h"
#include "run/control.h"
#include "run/run.h"
#include "scene.h"
#include "spec/spec.h"
#include <rkpipe/op.h>

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST_DROPS = 64, MOST_JOBS = 64, TRY_SECONDS = 60, MOST_TOLD = 50 };

struct args {
    uint64_t from, seeds, seed;
    unsigned jobs;
    bool one, trace, mutant, twice, all, whole;
    const char *drops[MOST_DROPS];
    size_t n_drops;
    scene_reloads reloads;
};

static const char *const reload_names[] = { "some", "never", "always" };

// ---- an operator that fails -----------------------------------------------------------------------------------------

struct sim_step {
    char nothing;
};

static const rkp_opt step_opts[] = { { 0 } };

static rkp_status step_bind(void *self, rkp_bind *b)
{
    (void)self;
    rkp_bind_out_same(b, 0);
    rkp_bind_pass_all(b);
    return RKP_OK;
}

static rkp_verdict step_on_batch(void *self, rkp_actor *a, unsigned port, rkp_batch *b)
{
    (void)self;
    (void)port;
    (void)b;
    sim.op_calls++;
    for (size_t i = 0; i < sim.life->n_faults && !sim.dead; i++) {
        const sim_fault *f = &sim.life->faults[i];
        if (f->kind != SIM_OPERATOR || f->gone || f->life != sim.life->number || f->at != sim.op_calls)
            continue;
        sim.met |= 1u << SIM_OPERATOR;
        return rkp_fail(a, RKP_IO, "asked to fail");
    }
    return RKP_PASS;
}

static const rkp_op op_step = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "sim.step",
    .kind = RKP_TRANSFORM,
    .summary = "Fails when it is asked to.",
    .traits = RKP_STATELESS | RKP_DETERMINISTIC | RKP_ROWWISE,
    .self_size = sizeof(struct sim_step),
    .opts = step_opts,
    .bind = step_bind,
    .on_batch = step_on_batch,
};

static const rkp_op *const *all_ops(void)
{
    static const rkp_op *all[256] = { &op_step };
    if (!all[1])
        for (size_t i = 0; rkp_ops[i] && i < 254; i++)
            all[i + 1] = rkp_ops[i];
    return all;
}

// ---- one life of the process ----------------------------------------------------------------------------------------

struct process {
    scene *s;
    unsigned version;
    bool checkpoints;
    rki_run *r; // while it runs
    rki_plan *plan;
    bool begun, ended, other_over;
    int code;
    bool refused, stuck;
    unsigned applied; // the version that runs
    bool reloading;   // applied or not: it was not said yet
    unsigned asked;
    char text[1024];
};

struct planned {
    rki_spec *s;
    rki_plan *p;
};

static void drop_planned(void *arg)
{
    struct planned *v = arg;
    rki_plan_free(v->p);
    rki_spec_free(v->s);
    free(v);
}

static struct planned *plan_of(const scene *s, unsigned version, bool checkpoints, bool invalid, rkp_diags *d)
{
    static const char *const env[] = { NULL };
    rki_plan_args pa = { .cores = s->workers, .memory = 1ull << 30, .probe = true };
    rki_spec_args sa = { .file = "sim.yaml", .ops = all_ops(), .env = env, .engine_op = &rki_op_engine };
    struct planned *v = calloc(1, sizeof *v);
    rki_buf text;
    rki_buf_init(&text);
    scene_text(s, version, checkpoints, &text);
    if (invalid)
        rki_putz(&text, "  wrong: { op: filter, from: [nobody], with: { where: true } }\n");
    sa.text = (rkp_str){ text.p, text.n };
    v->s = rki_spec_load(&sa, d);
    v->p = v->s ? rki_plan_new(v->s, &pa, d) : NULL;
    rki_buf_fini(&text);
    return v;
}

static void say(struct process *p, rkp_diags *d)
{
    rki_buf b;
    rki_buf_init(&b);
    rki_diags_text(d, &b, false);
    snprintf(p->text, sizeof p->text, "%.*s", (int)b.n, b.p);
    rki_buf_fini(&b);
}

static void log_lines(void *arg, rkp_str lines)
{
    (void)arg;
    if (sim.trace)
        fprintf(stderr, "  log: %.*s", (int)lines.n, lines.p);
}

static void process_body(void *arg)
{
    struct process *p = arg;
    rkp_diags *d = rki_diags_new();
    struct planned *v = NULL;
    rki_run *r = NULL;
    rki_run_args ra = { .backend = &sim_backend, .data_dir = "/sim/data", .keeps = true, .log = log_lines };
    p->code = RKI_EXIT_FAILED;
    if (mkdir("/sim/data", 0700) != 0 && errno != EEXIST) {
        snprintf(p->text, sizeof p->text, "cannot make the data folder: %s", strerror(errno));
        goto out;
    }
    v = plan_of(p->s, p->version, p->checkpoints, false, d);
    if (!v->p) {
        say(p, d);
        p->code = RKI_EXIT_INVALID;
        goto out;
    }
    if (rki_run_new(v->p, &ra, &r, p->text, sizeof p->text) != RKP_OK) {
        p->refused = strstr(p->text, "of another form of this pipeline") != NULL;
        p->code = RKI_EXIT_UNAVAILABLE;
        goto out;
    }
    p->plan = v->p;
    p->r = r;
    sim_free(p);
    if (sim.dead) {
        rki_run_signal(r);
        rki_run_signal(r);
    }
    p->code = rki_run_execute(r);
    p->ended = true;
    sim_free(p);
    while (!p->other_over)
        sim_block(&p->other_over);
    p->r = NULL;
    snprintf(p->text, sizeof p->text, "%s", rki_run_failure(r));
    p->stuck = rki_run_stuck(r);
    rki_run_free(r);
out:
    p->ended = true;
    sim_free(p);
    while (!p->other_over)
        sim_block(&p->other_over);
    if (v && !p->stuck)
        drop_planned(v);
    rki_diags_free(d);
}

static void suspend(struct process *p, const sim_fault *f)
{
    const rki_plan *plan = p->plan;
    char id[64], text[256] = "";
    rki_outcome o;
    snprintf(id, sizeof id, "%s", plan->kernels[(unsigned)f->error % plan->n_kernels].k->id.p);
    o = rki_run_command(p->r, (rkp_str){ id, strlen(id) }, RKI_SUSPEND, sim.now_ns + 1000000000u, text, sizeof text);
    if (sim.trace)
        fprintf(stderr, "  suspend %s: %d %s\n", id, (int)o, text);
    if (o != RKI_DONE)
        return;
    sim.met |= 1u << SIM_SUSPEND;
    sim_until_step(sim.steps + f->n, p);
    while (!p->ended) {
        o = rki_run_command(p->r, (rkp_str){ id, strlen(id) }, RKI_ACTIVATE, sim.now_ns + 1000000000u, text,
                            sizeof text);
        if (sim.trace)
            fprintf(stderr, "  resume %s: %d %s\n", id, (int)o, text);
        if (o != RKI_TIMED_OUT)
            break;
    }
}

static void reload(struct process *p, const sim_fault *f)
{
    rki_reload_result out = { .outcome = RKI_RELOAD_REJECTED };
    rkp_diags *d = rki_diags_new();
    struct planned *v = plan_of(p->s, (unsigned)f->n, p->checkpoints, f->error != 0, d);
    rki_buf_init(&out.diff);
    rki_buf_init(&out.pauses);
    rki_buf_init(&out.edges);
    sim.met |= 1u << SIM_RELOAD;
    p->asked = (unsigned)f->n;
    if (!v->p || p->ended) {
        drop_planned(v);
    } else {
        p->reloading = true;
        rki_run_reload(p->r, v->p, drop_planned, v, d, &out);
        if (!sim.dead)
            p->reloading = false;
        if (out.outcome == RKI_RELOAD_APPLIED && !sim.dead)
            p->applied = (unsigned)f->n;
    }
    if (sim.trace) {
        rki_buf b;
        rki_buf_init(&b);
        rki_diags_text(d, &b, false);
        fprintf(stderr, "  reload to %u: %d %s %.*s\n", (unsigned)f->n, (int)out.outcome, out.text, (int)b.n, b.p);
        rki_buf_fini(&b);
    }
    rki_diags_free(d);
    rki_buf_fini(&out.diff);
    rki_buf_fini(&out.pauses);
    rki_buf_fini(&out.edges);
}

static void process_other(void *arg)
{
    struct process *p = arg;
    uint64_t last = 0;
    while (!p->r && !p->ended)
        sim_block(p);
    for (;;) {
        const sim_fault *f = NULL;
        for (size_t i = 0; i < p->s->n_faults; i++) {
            const sim_fault *g = &p->s->faults[i];
            if (!g->gone && g->life == sim.life->number && (g->kind == SIM_SUSPEND || g->kind == SIM_RELOAD) &&
                g->at > last && (!f || g->at < f->at))
                f = g;
        }
        if (!f)
            break;
        last = f->at;
        sim_until_step(f->at, p);
        if (sim.dead || p->ended)
            break;
        if (f->kind == SIM_SUSPEND)
            suspend(p, f);
        else
            reload(p, f);
    }
    p->other_over = true;
    sim_free(&p->other_over);
}

static void crash(void *arg)
{
    struct process *p = arg;
    if (!p->r)
        return;
    rki_run_signal(p->r);
    rki_run_signal(p->r);
}

static void terminate(void *arg)
{
    struct process *p = arg;
    if (p->r)
        rki_run_signal(p->r);
}

// ---- a seed ---------------------------------------------------------------------------------------------------------

struct content {
    char *p;
    size_t n;
    bool there;
};

struct seed_run {
    scene s;
    struct content want[MOST_CHAINS];
    uint64_t *want_dead; // which rows must be in the store of dead letters, ascending
    size_t n_want_dead;
    uint64_t lives, crashes, met[SIM_KINDS];
    struct sim_world undisturbed; // what that life had come to
    char why[4096];               // "": nothing is wrong
    uintptr_t kind;               // of what is wrong
};

static bool wrong(struct seed_run *x, const char *fmt, ...) RKP_PRINTF(2, 3);
static bool wrong(struct seed_run *x, const char *fmt, ...)
{
    va_list ap;
    if (x->why[0])
        return false;
    x->kind = (uintptr_t)fmt;
    va_start(ap, fmt);
    vsnprintf(x->why, sizeof x->why, fmt, ap);
    va_end(ap);
    return false;
}

static bool live(struct seed_run *x, struct process *p, unsigned number, bool faults, uint64_t pick)
{
    sim_life l = {
        .faults = x->s.faults,
        .n_faults = faults ? x->s.n_faults : 0,
        .number = number,
        .preempt = x->s.preempt,
        .workers = x->s.workers,
        .step_ns = x->s.step_ns,
        .rng = { x->s.seed * 0x94d049bb133111ebull + pick },
        .crash = crash,
        .signal = terminate,
        .arg = p,
    };
    sim_end end;
    if (sim.trace)
        fprintf(stderr, "life %u of version %u\n", number, p->version);
    p->s = &x->s;
    p->applied = p->version;
    end = sim_run(&l, process_body, process_other, p);
    x->lives++;
    x->crashes += sim.dead;
    for (unsigned k = 0; k < SIM_KINDS; k++)
        x->met[k] += sim.met >> k & 1;
    sim_mix(disk_hash());
    if (sim.trace)
        fprintf(stderr, "life %u: exit %d%s, %llu steps, %llu calls on files: %s\n", number, p->code,
                sim.dead ? " (of a dead process)" : "", (unsigned long long)sim.steps, (unsigned long long)sim.ios,
                p->text);
    if (end != SIM_ENDED && sim.trace && p->r) {
        rki_buf b;
        rki_buf_init(&b);
        rki_run_status_json(p->r, &b);
        fprintf(stderr, "%.*s\n", (int)b.n, b.p);
        rki_buf_fini(&b);
    }
    if (end == SIM_STANDS_STILL)
        return wrong(x, "life %u stands still: nobody can run, and nobody waits for a time", number);
    if (end == SIM_TOO_LONG)
        return sim.steps > SIM_MOST_STEPS
                   ? wrong(x, "life %u runs in circles: %llu steps", number, (unsigned long long)sim.steps)
                   : wrong(x, "life %u does not end: an hour of its clock, %llu steps", number,
                           (unsigned long long)sim.steps);
    if (p->stuck)
        return wrong(x, "life %u: a kernel did not stop in time", number);
    if (disk_n_open())
        return wrong(x, "life %u left %u files open", number, disk_n_open());
    disk_close_all();
    return true;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

// Lines in order of their bytes.  Memory: the caller's.
static char *sorted(const char *p, size_t n)
{
    char *copy = malloc(n + 2), *out = malloc(n + 2), **lines = malloc((n + 1) * sizeof *lines), *at = out;
    size_t k = 0, all = n;
    if (!copy || !out || !lines)
        abort();
    memcpy(copy, p, n);
    copy[n] = 0;
    for (char *z = copy; z < copy + n;) {
        char *end = memchr(z, '\n', n - (size_t)(z - copy));
        lines[k++] = z;
        if (!end)
            break;
        *end = 0;
        z = end + 1;
    }
    if (k)
        qsort(lines, k, sizeof *lines, by_text);
    for (size_t i = 0; i < k && (size_t)(at - out) < all; i++)
        at += snprintf(at, (size_t)(out + all + 2 - at), "%s\n", lines[i]);
    free(copy);
    free(lines);
    return out;
}

static bool same(const struct content *want, const char *p, size_t n, bool unordered)
{
    char *a, *b;
    bool is;
    if (want->n != n)
        return false;
    if (!unordered || !n)
        return n == 0 || memcmp(want->p, p, n) == 0;
    a = sorted(want->p, want->n);
    b = sorted(p, n);
    is = strcmp(a, b) == 0;
    free(a);
    free(b);
    return is;
}

// In which order rows of two ways come is nobody's promise.
static bool unordered(const struct chain *c)
{
    bool is = c->n_from == 2;
    for (unsigned k = 0; k < c->n_steps; k++)
        if (!c->steps[k].gone)
            is = (is || c->steps[k].kind == STEP_DIAMOND) && c->steps[k].kind != STEP_SORT;
    return is;
}

static bool is_output(const struct seed_run *x, unsigned c, bool whole)
{
    char path[64];
    size_t n = 0;
    const char *p;
    scene_output(&x->s, c, path);
    p = disk_get(path, &n);
    if (!p)
        return whole ? !x->want[c].there : true;
    if (x->want[c].there && same(&x->want[c], p, n, unordered(&x->s.chains[c])))
        return true;
    return !whole && x->s.old && n == 25 && memcmp(p, "older and perhaps longer\n", 25) == 0;
}

static void differ(struct seed_run *x, unsigned c, const char *when)
{
    char path[64];
    size_t n = 0, at = 0;
    const char *p;
    const struct content *w = &x->want[c];
    scene_output(&x->s, c, path);
    p = disk_get(path, &n);
    if (!p) {
        wrong(x, "%s: '%s' is not there", when, path);
        return;
    }
    while (at < n && at < w->n && p[at] == w->p[at])
        at++;
    while (at && p[at - 1] != '\n')
        at--;
    wrong(x, "%s: '%s' has %zu bytes, and should have %zu; from byte %zu: %.*s.. and not %.*s..", when, path, n, w->n,
          at, (int)(n - at < 120 ? n - at : 120), p + at, (int)(w->n - at < 120 ? w->n - at : 120),
          w->p ? w->p + at : "");
}

struct listing {
    unsigned manifests, strange;
    char name[SIM_NAME];
};

static void look_data(void *arg, const char *name)
{
    struct listing *l = arg;
    l->manifests += strstr(name, ".ckpt") && !strstr(name, ".new");
    l->strange += strstr(name, ".new") != NULL;
}

static void look_out(void *arg, const char *name)
{
    struct listing *l = arg;
    if (name[0] == '.') {
        l->strange++;
        snprintf(l->name, sizeof l->name, "%s", name);
    }
}

static unsigned manifests(void)
{
    struct listing l = { 0 };
    disk_names("/sim/data/checkpoints", look_data, &l);
    return l.manifests;
}

// ---- dead letters ----

struct dead {
    uint64_t *v; // a hash of each row
    size_t n, cap;
    bool over;
    char err[RKI_SPOOL_ERR];
};

// A row's kernel and its first column, n, as one number.  Which of the others are there depends on who else reads them.
static uint64_t dead_row(const rki_dead_record *r, uint32_t row, rkp_batch *mem)
{
    rkp_str kernel = rki_dead_text(r, row, RKI_DEAD_KERNEL);
    uint64_t h = 14695981039346656037u;
    rki_buf b;
    rki_buf_init(&b);
    rki_put(&b, kernel.p, kernel.n);
    if (r->rows)
        rki_row_csv(mem, r->rows, row, &b);
    if (sim.trace)
        fprintf(stderr, "  dead: %.*s\n", (int)b.n, b.p);
    for (size_t i = 0; i < b.n && (b.p[i] != ',' || i <= kernel.n); i++)
        h = (h ^ (unsigned char)b.p[i]) * 1099511628211u;
    rki_buf_fini(&b);
    return h;
}

static void add_dead(struct dead *d, const rki_dead_record *r, rkp_pool *pool)
{
    static const rkp_schema none;
    rkp_batch *mem = rkp_batch_new(pool, &none, 0, 4096);
    if (!mem)
        abort();
    for (uint32_t i = 0; i < r->letters->rows; i++) {
        if (d->n == d->cap && !(d->v = realloc(d->v, (d->cap = d->cap * 2 + 64) * sizeof *d->v)))
            abort();
        d->v[d->n++] = dead_row(r, i, mem);
    }
    rkp_batch_put(mem);
}

static void dead_body(void *arg)
{
    struct dead *d = arg;
    const rki_deadstore_opts o = { .read_only = true };
    rkp_pool *pool = rkp_pool_new(1 << 24);
    rki_deadstore *store = NULL;
    rki_dead_record r;
    rkp_status st = pool ? rki_deadstore_open("/sim/data/" RKI_STORE_FOLDER, &o, &store, d->err) : RKP_NOMEM;
    while (st == RKP_OK && (st = rki_deadstore_next(store, pool, &r, d->err)) == RKP_OK && r.seq) {
        add_dead(d, &r, pool);
        rki_dead_record_put(&r);
    }
    rki_deadstore_close(store);
    if (pool)
        rkp_pool_free(pool);
    d->over = true;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

// Every row that went wrong, once.  Memory: the caller's.
static struct dead dead_rows(void)
{
    struct dead d = { 0 };
    sim_life l = { .step_ns = 1, .workers = 1 };
    size_t n = 0;
    uint64_t met = sim.met;
    sim_run(&l, dead_body, NULL, &d);
    sim.met = met;
    disk_close_all();
    if (d.n)
        qsort(d.v, d.n, sizeof *d.v, by_number);
    for (size_t i = 0; i < d.n; i++)
        if (!n || d.v[n - 1] != d.v[i])
            d.v[n++] = d.v[i];
    d.n = n;
    return d;
}

static bool check_dead(struct seed_run *x, const char *when)
{
    struct dead d;
    size_t at = 0, lost = 0;
    if (!scene_has(&x->s, STEP_BAD))
        return true;
    d = dead_rows();
    for (size_t i = 0; i < x->n_want_dead; i++) {
        while (at < d.n && d.v[at] < x->want_dead[i])
            at++;
        lost += at == d.n || d.v[at] != x->want_dead[i];
    }
    free(d.v);
    return !lost ||
           wrong(x, "%s: %zu of %zu rows are not among the dead letters %s", when, lost, x->n_want_dead, d.err);
}

static bool all_there(struct seed_run *x)
{
    for (unsigned c = 0; c < x->s.n_chains; c++)
        if (!x->s.chains[c].gone && !is_output(x, c, true))
            return false;
    return true;
}

static bool check_done(struct seed_run *x, const char *when)
{
    for (unsigned c = 0; c < x->s.n_chains; c++)
        if (!x->s.chains[c].gone && !is_output(x, c, true))
            differ(x, c, when);
    return !x->why[0] && check_dead(x, when);
}

// What has its final name is whole at any time.
static bool check_published(struct seed_run *x, unsigned life)
{
    char when[64];
    snprintf(when, sizeof when, "after life %u", life);
    for (unsigned c = 0; c < x->s.n_chains; c++)
        if (!x->s.chains[c].gone && !x->s.chains[c].append && !is_output(x, c, false))
            differ(x, c, when);
    return !x->why[0];
}

static bool check_tidy(struct seed_run *x)
{
    struct listing l = { 0 };
    disk_names("/sim/out", look_out, &l);
    if (l.strange)
        return wrong(x, "'%s' was left behind", l.name);
    disk_names("/sim/data/checkpoints", look_data, &l);
    if (l.manifests || l.strange)
        return wrong(x, "checkpoints were left behind");
    return true;
}

static void fresh_disk(struct seed_run *x)
{
    disk_reset((sim_rng){ x->s.seed * 0xd6e8feb86659fd93ull });
    scene_inputs(&x->s);
}

// Proves nothing about the engine, whatever is broken in it.
#define BAD_SCENE "the scene is no pipeline: "

static bool reference(struct seed_run *x)
{
    struct process p = { .checkpoints = true };
    fresh_disk(x);
    if (!live(x, &p, 0, false, 1))
        return false;
    x->undisturbed = sim;
    if (p.code == RKI_EXIT_INVALID)
        return wrong(x, BAD_SCENE "%s", p.text);
    if (p.code != RKI_EXIT_OK)
        return wrong(x, "nothing happens to it, and it ends with %d: %s", p.code, p.text);
    for (unsigned c = 0; c < x->s.n_chains; c++) {
        char path[64];
        size_t n = 0;
        const char *q;
        scene_output(&x->s, c, path);
        q = disk_get(path, &n);
        free(x->want[c].p);
        x->want[c] = (struct content){ malloc(n + 1), n, q != NULL };
        if (q && x->want[c].p)
            memcpy(x->want[c].p, q, n);
    }
    free(x->want_dead);
    x->want_dead = NULL;
    x->n_want_dead = 0;
    if (scene_has(&x->s, STEP_BAD)) {
        struct dead d = dead_rows();
        x->want_dead = d.v;
        x->n_want_dead = d.n;
        if (sim.trace)
            fprintf(stderr, "%zu dead letters %s\n", d.n, d.err);
    }
    return check_tidy(x);
}

static const uint64_t excuses = 1u << SIM_IO_FAILS | 1u << SIM_FULL | 1u << SIM_OPERATOR | 1u << SIM_SIGNAL;

// The versions of the file that the checkpoint on the disk may be of, the likeliest first.
struct versions {
    unsigned v[MOST_VERSIONS];
    unsigned n;
};

static void first(struct versions *v, unsigned version)
{
    unsigned k = 0;
    while (k < v->n && v->v[k] != version)
        k++;
    if (k == v->n)
        v->n++;
    memmove(v->v + 1, v->v, k * sizeof *v->v);
    v->v[0] = version;
}

// One life, of the version that the checkpoint is of.
static bool next_life(struct seed_run *x, struct process *p, struct versions *v, unsigned number)
{
    for (unsigned i = 0; i < v->n; i++) {
        *p = (struct process){ .checkpoints = true, .version = v->v[i] };
        if (!live(x, p, number, true, 2 + number + 100 * i))
            return false;
        if (!p->refused || sim.dead) {
            if (p->reloading)
                first(v, p->asked);
            first(v, p->applied);
            return true;
        }
    }
    return wrong(x, "life %u: the checkpoint is of no version of the file: %s", number, p->text);
}

static bool disturbed(struct seed_run *x)
{
    struct versions v = { .n = 1 };
    fresh_disk(x);
    for (unsigned life = 0;; life++) {
        struct process p;
        bool last = life > x->s.lives + 3;
        if (!next_life(x, &p, &v, life))
            return false;
        if (sim.dead) {
            if (sim.power)
                disk_power_lost();
            if (!check_published(x, life))
                return false;
            if (!manifests() && all_there(x))
                return true; // it was over
            continue;
        }
        if (p.code == RKI_EXIT_OK) {
            bool more = manifests() != 0;
            if (!check_done(x, "it has succeeded"))
                return false;
            if (more && !(sim.met & excuses))
                return wrong(x, "it has succeeded, and keeps checkpoints");
            if (x->s.power_last) {
                disk_power_lost();
                if (!check_done(x, "it had succeeded, and then the power went"))
                    return false;
                more = manifests() != 0;
            }
            if (!more)
                return x->s.power_last || x->met[SIM_IO_FAILS] || check_tidy(x); // a failed look leaves another name
        } else if (p.code == RKI_EXIT_INTERNAL || !p.text[0]) {
            return wrong(x, "life %u: exit %d: %s", life, p.code, p.text);
        } else if (!(sim.met & excuses)) {
            return wrong(x, "life %u: exit %d without a reason: %s", life, p.code, p.text);
        } else if (!check_published(x, life)) {
            return false;
        }
        if (last)
            return wrong(x, "it does not come to an end in %u lives: exit %d: %s", life, p.code, p.text);
    }
}

// True: nothing is wrong.
static bool run_seed(struct seed_run *x, const struct args *a, uint64_t seed, const char *const *drops, size_t n_drops)
{
    bool other = false, ok;
    memset(x, 0, sizeof *x);
    sim.now_ns = 1000000000000u;
    sim.wall_ns = 1700000000000000000;
    sim.hash = seed;
    scene_make(&x->s, seed, a->reloads);
    ok = reference(x);
    if (ok)
        scene_faults(&x->s, &x->undisturbed);
    for (size_t i = 0; ok && i < n_drops; i++)
        other |= scene_drop(&x->s, drops[i]) && drops[i][0] != 'f' && drops[i][0] != 'p';
    ok = ok && (!other || reference(x)) && disturbed(x);
    for (unsigned c = 0; c < MOST_CHAINS; c++)
        free(x->want[c].p);
    free(x->want_dead);
    return ok;
}

// ---- searching ------------------------------------------------------------------------------------------------------
//
// Seeds are run by child processes, so one that crashes or stands still costs a process.

struct shared {
    uint64_t at, done, lives, crashes, hash, n_faults, kind, met[SIM_KINDS];
    bool failed;
    volatile bool stop; // set by the parent
    char why[4096];
};

struct job {
    pid_t pid;
    struct shared *s;
};

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void search(const struct args *a, struct shared *s, uint64_t job)
{
    static struct seed_run x;
    for (uint64_t i = job; i < a->seeds && !s->stop; i += a->jobs) {
        uint64_t hash;
        bool ok;
        s->at = a->from + i;
        alarm(TRY_SECONDS);
        ok = run_seed(&x, a, s->at, a->drops, a->n_drops);
        hash = sim.hash;
        if (ok && a->twice) {
            ok = run_seed(&x, a, s->at, a->drops, a->n_drops);
            if (ok && sim.hash != hash) {
                wrong(&x, "the same seed took other steps");
                ok = false;
            }
        }
        s->lives += x.lives;
        s->crashes += x.crashes;
        for (unsigned k = 0; k < SIM_KINDS; k++)
            s->met[k] += x.met[k];
        s->hash ^= sim.hash * (2 * s->at + 1);
        s->n_faults = x.s.n_faults;
        if (!ok) {
            snprintf(s->why, sizeof s->why, "%s", x.why);
            s->kind = x.kind;
            s->failed = true;
            fflush(NULL);
            _exit(1); // what stands still cannot be freed
        }
        s->done++;
    }
    fflush(NULL);
    if (a->whole)
        exit(0); // what looks for leaks does it then
    _exit(0);
}

static struct shared *share(size_t n)
{
    struct shared *s = mmap(NULL, n * sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return s == MAP_FAILED ? NULL : s;
}

static void describe(struct shared *s, int status)
{
    if (s->failed)
        return;
    s->failed = true;
    s->kind = (uint64_t)status;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        snprintf(s->why, sizeof s->why, "it hangs in one step for %d seconds", TRY_SECONDS);
    else if (WIFSIGNALED(status))
        snprintf(s->why, sizeof s->why, "signal %d: %s", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(s->why, sizeof s->why, "exit %d", WEXITSTATUS(status));
}

// Does the seed fail without those parts?
static bool fails(const struct args *as, uint64_t seed, const char *const *drops, size_t n, struct shared *s)
{
    struct args a = { .from = seed, .seeds = 1, .jobs = 1, .n_drops = n, .reloads = as->reloads };
    int status;
    pid_t pid;
    memcpy(a.drops, drops, n * sizeof *drops);
    memset(s, 0, sizeof *s);
    pid = fork();
    if (pid == 0) {
        if (!freopen("/dev/null", "w", stderr))
            _exit(2);
        search(&a, s, 0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return false;
    if (status != 0)
        describe(s, status);
    return s->failed;
}

static void minimise(const struct args *a, uint64_t seed, struct shared *s)
{
    static char names[MOST_DROPS][16];
    const char *drops[MOST_DROPS];
    size_t n = 0;
    struct seed_run *x = calloc(1, sizeof *x);
    struct shared last = *s;
    pid_t pid;
    char list[MOST_DROPS * 10] = "";
    static const unsigned rows[] = { 1, 5, 10, 20, 50, 100, 200, 400 };
    if (!x)
        return;
    scene_make(&x->s, seed, a->reloads);
    x->s.n_faults = s->n_faults;
    for (bool any = true; any && n < MOST_DROPS - 1;) {
        any = false;
        for (unsigned k = 0; k < MOST_FAULTS + MOST_CHAINS + MOST_CHAINS * MOST_STEPS + 9 && n < MOST_DROPS - 1; k++) {
            char name[16];
            unsigned c = k - MOST_FAULTS - MOST_CHAINS;
            bool known = false;
            if (k < MOST_FAULTS)
                snprintf(name, sizeof name, "f%u", MOST_FAULTS - 1 - k);
            else if (k < MOST_FAULTS + MOST_CHAINS)
                snprintf(name, sizeof name, "c%u", k - MOST_FAULTS);
            else if (c < MOST_CHAINS * MOST_STEPS)
                snprintf(name, sizeof name, "s%u.%u", c / MOST_STEPS, c % MOST_STEPS);
            else if (c == MOST_CHAINS * MOST_STEPS)
                snprintf(name, sizeof name, "p");
            else
                snprintf(name, sizeof name, "r%u", rows[c - MOST_CHAINS * MOST_STEPS - 1]);
            for (size_t i = 0; i < n; i++)
                known |= strcmp(names[i], name) == 0 || (name[0] == 'r' && names[i][0] == 'r');
            if (known || !scene_drop(&x->s, name))
                continue;
            snprintf(names[n], sizeof names[n], "%s", name);
            drops[n] = names[n];
            if (!fails(a, seed, drops, n + 1, s) || s->kind != last.kind) {
                scene_make(&x->s, seed, a->reloads);
                x->s.n_faults = last.n_faults;
                for (size_t i = 0; i < n; i++)
                    scene_drop(&x->s, drops[i]);
                continue;
            }
            last = *s;
            n++;
            any = true;
        }
    }
    *s = last;
    for (size_t i = 0; i < n; i++)
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? "," : "", drops[i]);
    printf("seed %llu fails: %s\n", (unsigned long long)seed, s->why);
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        run_seed(x, a, seed, drops, n);
        scene_tell(&x->s, stdout);
        fflush(NULL);
        _exit(0);
    }
    if (pid > 0)
        waitpid(pid, NULL, 0);
    printf("again: ./dev sim --seed %llu%s%s", (unsigned long long)seed, n ? " --drop " : "", list);
    if (a->reloads)
        printf(" --reloads %s", reload_names[a->reloads]);
    printf("\n");
    free(x);
}

static int one(const struct args *a)
{
    static struct seed_run x;
    bool ok;
    sim.trace = a->trace;
    ok = run_seed(&x, a, a->seed, a->drops, a->n_drops);
    scene_tell(&x.s, stdout);
    printf("seed %llu: %s%s\n", (unsigned long long)a->seed, ok ? "clean" : "fails: ", x.why);
    printf("steps: %016llx\n", (unsigned long long)sim.hash);
    fflush(NULL);
    _exit(!ok);
}

static int many(const struct args *a)
{
    struct job jobs[MOST_JOBS];
    struct shared *s = share(MOST_JOBS + 1), sum = { 0 };
    double begin = now_s(), took;
    unsigned left = 0, failures = 0;
    uint64_t worst = UINT64_MAX;
    struct shared *found = NULL;
    if (!s)
        return 2;
    for (unsigned j = 0; j < a->jobs; j++) {
        jobs[j] = (struct job){ fork(), &s[j] };
        if (jobs[j].pid == 0)
            search(a, jobs[j].s, j);
        left += jobs[j].pid > 0;
    }
    while (left) {
        int status;
        pid_t pid = wait(&status);
        for (unsigned j = 0; j < a->jobs; j++) {
            if (jobs[j].pid != pid)
                continue;
            left--;
            if (status != 0)
                describe(jobs[j].s, status);
            jobs[j].pid = 0;
            if (status != 0 && a->all) { // goes on behind it
                if (failures < MOST_TOLD)
                    printf("seed %llu fails: %.*s\n", (unsigned long long)s[j].at, (int)strcspn(s[j].why, "\n"),
                           s[j].why);
                fflush(NULL);
                failures++;
                s[j].failed = false;
                s[j].why[0] = 0;
                jobs[j].pid = fork();
                if (jobs[j].pid == 0)
                    search(a, &s[j], s[j].at - a->from + a->jobs);
                left += jobs[j].pid > 0;
                break;
            }
            if (status != 0) // the others need not look for more
                for (unsigned k = 0; k < a->jobs; k++)
                    s[k].stop = true;
        }
        if (pid < 0)
            break;
    }
    took = now_s() - begin;
    for (unsigned j = 0; j < a->jobs; j++) {
        sum.done += s[j].done;
        sum.lives += s[j].lives;
        sum.crashes += s[j].crashes;
        for (unsigned k = 0; k < SIM_KINDS; k++)
            sum.met[k] += s[j].met[k];
        sum.hash ^= s[j].hash;
        if (s[j].failed && s[j].at < worst) {
            worst = s[j].at;
            found = &s[j];
        }
    }
    printf("%llu seeds clean in %.1f s, %.0f a second; %llu lives, %llu crashes; steps %016llx\n",
           (unsigned long long)sum.done, took, (double)sum.done / took, (unsigned long long)sum.lives,
           (unsigned long long)sum.crashes, (unsigned long long)sum.hash);
    printf("faults that came to pass:");
    for (unsigned k = 0; k < SIM_KINDS; k++)
        printf("%s %s %llu", k ? "," : "", scene_fault_name(k), (unsigned long long)sum.met[k]);
    printf("\n");
    if (found && a->mutant && strncmp(found->why, BAD_SCENE, sizeof BAD_SCENE - 1) != 0) {
        printf("found at seed %llu, the %llu. of them: %s\n", (unsigned long long)worst,
               (unsigned long long)(worst - a->from + 1), found->why);
        return 0;
    }
    if (a->mutant) {
        printf("not found\n");
        return 1;
    }
    if (a->all)
        printf("%u seeds fail\n", failures);
    if (!found)
        return failures != 0;
    printf("seed %llu fails: %s\n", (unsigned long long)worst, found->why);
    fflush(NULL);
    s[MOST_JOBS] = *found;
    minimise(a, worst, &s[MOST_JOBS]);
    return 1;
}

static const char usage[] =
    "usage: sim [--seeds N] [--from S] [--jobs J] [--reloads some|never|always] [--all] [--twice] [--mutant]\n"
    "       sim --seed S [--drop X,Y,..] [--reloads some|never|always] [--trace]\n"
    "\n"
    "  --seeds N    so many (2000)             --from S   the first one (1)      --jobs J   processes\n"
    "  --reloads    which jobs are reloaded while they run (some)\n"
    "  --all        goes on behind a seed that fails, and makes none smaller\n"
    "  --twice      every seed twice: both must take the same steps\n"
    "  --mutant     something is broken on purpose: a seed must fail\n"
    "  --seed S     one: its pipeline, its faults, and what came of it\n"
    "  --drop       without fault f1, chain c1, step s0.2 of chain 0, the loss of power at the very end (p); at most "
    "r20 rows\n"
    "  --trace      every choice and every call on files, on standard error\n";

static bool number(const char *z, uint64_t *to)
{
    char *end;
    errno = 0;
    *to = z ? strtoull(z, &end, 10) : 0;
    return z && *z >= '0' && *z <= '9' && !*end && !errno;
}

int main(int argc, char **argv)
{
    struct args a = { .from = 1, .seeds = 2000, .jobs = 1, .whole = true };
    uint64_t jobs = 1;
    for (int i = 1; i < argc; i++) {
        const char *next = i + 1 < argc ? argv[i + 1] : NULL;
        bool ok = true, help = strcmp(argv[i], "--help") == 0;
        if (strcmp(argv[i], "--seeds") == 0)
            ok = number(next, &a.seeds);
        else if (strcmp(argv[i], "--from") == 0)
            ok = number(next, &a.from);
        else if (strcmp(argv[i], "--jobs") == 0)
            ok = number(next, &jobs) && jobs >= 1 && jobs <= MOST_JOBS;
        else if (strcmp(argv[i], "--seed") == 0)
            ok = a.one = number(next, &a.seed);
        else if (strcmp(argv[i], "--reloads") == 0) {
            ok = false;
            for (unsigned k = 0; next && k < 3; k++)
                if (strcmp(next, reload_names[k]) == 0) {
                    a.reloads = (scene_reloads)k;
                    ok = true;
                }
        } else if (strcmp(argv[i], "--drop") == 0 && next) {
            char *list = argv[i + 1];
            for (char *p; (p = strsep(&list, ","));)
                if (a.n_drops < MOST_DROPS)
                    a.drops[a.n_drops++] = p;
        } else {
            a.trace |= strcmp(argv[i], "--trace") == 0;
            a.mutant |= strcmp(argv[i], "--mutant") == 0;
            a.twice |= strcmp(argv[i], "--twice") == 0;
            a.all |= strcmp(argv[i], "--all") == 0;
            ok = strcmp(argv[i], "--all") == 0 || strcmp(argv[i], "--trace") == 0 || strcmp(argv[i], "--mutant") == 0 ||
                 strcmp(argv[i], "--twice") == 0;
            next = NULL;
            i--;
        }
        if (!ok) {
            fputs(usage, help ? stdout : stderr);
            return help ? 0 : 64;
        }
        i++;
        (void)next;
    }
    a.jobs = (unsigned)jobs;
    return a.one ? one(&a) : many(&a);
}
