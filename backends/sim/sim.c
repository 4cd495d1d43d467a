// sim: every task on the thread that waits, one step at a time, on a clock of its own.  Nothing sleeps: where nobody can run, the clock
// goes to the next time that somebody waits for.
//
//   wait:  the first of the ready tasks (priority, then who has waited longest; with a seed: any of them) takes a step, again and
//          again, until somebody pokes, `LOOK` steps are done, or nobody is ready.  Then the clock moves: to the nearest wake_ns or
//          to the deadline.
//
// Time stands still while steps are taken, so what a file says about times happens exactly then.  A pipeline in which somebody is always
// ready would never see time pass: after `BUSY` steps in one moment the clock moves by itself, each time twice as far.
//
// Steps are whole: nobody comes between two lines of one.  Who looks for what happens then wants tests/sim, which interrupts them.
#include <rkpipe/backend.h>

#include <stdlib.h>

enum { LOOK = 64, BUSY = 1000000, BUSY_NS = 1000000 };

struct entry {
    rkp_task *task;
    uint64_t since; // READY: in which order they became so
};

struct rkp_backend_run {
    struct entry *v;
    size_t n, cap, retired;
    uint64_t *now_ns; // the caller's
    uint64_t order;   // of the next that becomes ready
    uint64_t seed;    // 0: in turns
    uint64_t busy, busy_ns;
    uint32_t poked; // atomic: a signal handler pokes, too
    uint32_t seen;
    unsigned workers;
};

static uint64_t draw(rkp_backend_run *r)
{
    uint64_t z = r->seed += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static void ready(rkp_backend_run *r, rkp_task *t)
{
    t->state = RKP_TASK_READY;
    for (size_t i = 0; i < r->n; i++)
        if (r->v[i].task == t)
            r->v[i].since = r->order++;
}

static void sim_wake(rkp_backend_run *r, rkp_task *t)
{
    if (t->state == RKP_TASK_IDLE)
        ready(r, t);
    else if (t->state == RKP_TASK_RUN)
        t->state = RKP_TASK_RERUN;
}

static void sim_poke(rkp_backend_run *r)
{
    __atomic_fetch_add(&r->poked, 1, __ATOMIC_SEQ_CST);
}

// Who goes next; NULL: nobody is ready.
static rkp_task *choose(rkp_backend_run *r)
{
    struct entry *best = NULL;
    uint64_t n = 0; // that are as urgent
    for (size_t i = 0; i < r->n; i++) {
        struct entry *e = &r->v[i];
        if (e->task->state != RKP_TASK_READY || (best && e->task->priority < best->task->priority))
            continue;
        n = best && e->task->priority == best->task->priority ? n + 1 : 1;
        if (n == 1 || (r->seed ? draw(r) % n == 0 : e->since < best->since))
            best = e;
    }
    return best ? best->task : NULL;
}

static void one_step(rkp_backend_run *r, rkp_task *t)
{
    rkp_step st;
    t->state = RKP_TASK_RUN;
    t->wake_ns = 0;
    st = t->step(t, t->arg, 0);
    if (st == RKP_STEP_DONE) {
        t->state = RKP_TASK_RETIRED;
        r->retired++;
        sim_poke(r);
    } else if (st == RKP_STEP_IDLE && t->state == RKP_TASK_RUN) {
        t->state = RKP_TASK_IDLE;
    } else {
        ready(r, t);
    }
}

// Wakes those whose time has come.  Otherwise the earliest time that a task waits for; 0: none.
static uint64_t timers(rkp_backend_run *r)
{
    uint64_t next = 0;
    for (size_t i = 0; i < r->n; i++) {
        rkp_task *t = r->v[i].task;
        if (t->state != RKP_TASK_IDLE || !t->wake_ns)
            continue;
        if (t->wake_ns <= *r->now_ns) {
            t->wake_ns = 0;
            ready(r, t);
            next = *r->now_ns;
        } else if (!next || t->wake_ns < next) {
            next = t->wake_ns;
        }
    }
    return next;
}

static void move_clock(rkp_backend_run *r, uint64_t to)
{
    if (to <= *r->now_ns)
        return;
    *r->now_ns = to;
    r->busy = 0;
    r->busy_ns = BUSY_NS;
}

// Somebody was always ready: such a moment ends, too.
static void stay_busy(rkp_backend_run *r)
{
    if (++r->busy < BUSY)
        return;
    r->busy = 0;
    *r->now_ns += r->busy_ns;
    if (r->busy_ns < UINT64_C(1) << 50)
        r->busy_ns *= 2;
}

static bool sim_wait(rkp_backend_run *r, uint64_t deadline_ns)
{
    uint64_t next;
    timers(r);
    for (int i = 0; i < LOOK && r->retired < r->n; i++) {
        rkp_task *t;
        if (__atomic_load_n(&r->poked, __ATOMIC_SEQ_CST) != r->seen)
            break;
        t = choose(r);
        if (t) {
            one_step(r, t);
            stay_busy(r);
            continue;
        }
        next = timers(r);
        if (next && next <= *r->now_ns)
            continue;
        if (deadline_ns && deadline_ns <= *r->now_ns)
            break;
        if (deadline_ns && (!next || deadline_ns < next)) {
            move_clock(r, deadline_ns);
            break;
        }
        if (!next) { // only who waits could move anything, and does not say when
            move_clock(r, *r->now_ns + BUSY_NS);
            break;
        }
        move_clock(r, next);
    }
    r->seen = __atomic_load_n(&r->poked, __ATOMIC_SEQ_CST);
    return r->retired == r->n;
}

static void sim_close(rkp_backend_run *r)
{
    if (r)
        free(r->v);
    free(r);
}

static rkp_status sim_add(rkp_backend_run *r, rkp_task **tasks, size_t n)
{
    if (r->n + n > r->cap) {
        struct entry *v = reallocarray(r->v, r->n + n, sizeof *v);
        if (!v)
            return RKP_NOMEM;
        r->v = v;
        r->cap = r->n + n;
    }
    for (size_t i = 0; i < n; i++) {
        tasks[i]->state = RKP_TASK_IDLE;
        r->v[r->n++] = (struct entry){ tasks[i], 0 };
    }
    return RKP_OK;
}

static void sim_forget(rkp_backend_run *r, rkp_task *t)
{
    for (size_t i = 0; i < r->n; i++) {
        if (r->v[i].task != t)
            continue;
        r->retired--;
        r->v[i] = r->v[--r->n];
        return;
    }
}

static rkp_status sim_open(const rkp_backend_conf *c, rkp_task **tasks, size_t n, rkp_backend_run **out)
{
    rkp_backend_run *r;
    rkp_status st;
    if (!c->virtual_ns)
        return RKP_INVALID;
    r = calloc(1, sizeof *r);
    if (!r)
        return RKP_NOMEM;
    *r = (rkp_backend_run){
        .now_ns = c->virtual_ns, .seed = c->seed, .workers = c->workers ? c->workers : 1, .busy_ns = BUSY_NS
    };
    st = sim_add(r, tasks, n);
    if (st == RKP_OK)
        *out = r;
    else
        sim_close(r);
    return st;
}

static rkp_status sim_start(rkp_backend_run *r)
{
    (void)r;
    return RKP_OK;
}

static unsigned sim_workers(const rkp_backend_run *r)
{
    return r->workers;
}

const rkp_backend rkp_backend_sim = {
    .abi = 1,
    .size = sizeof(rkp_backend),
    .name = "sim",
    .summary = "One step at a time on a virtual clock, in the same order every time: `rkpipe test`.",
    .open = sim_open,
    .start = sim_start,
    .wake = sim_wake,
    .wait = sim_wait,
    .poke = sim_poke,
    .close = sim_close,
    .workers = sim_workers,
    .add = sim_add,
    .forget = sim_forget,
};
