// sched.c - coroutines, the choice of the next one, the clock, and the backend that the engine meets.
//
// Whoever may run is a candidate: a coroutine that does not wait, or a task that is ready while a worker is free.  One is chosen,
// runs until it waits, ends its step or comes to a place where it may be interrupted (a lock, a wake, a call on files), and the next
// is chosen.  When there is no candidate the clock goes to the earliest time that somebody waits for.
#include "sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SIM_ASAN 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define SIM_ASAN 1
#endif
#ifdef SIM_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

enum { COROS = 96, STACK = 512 << 10, OTHER = 1, FIRST_TASK = 2 };
static const uint64_t most_ns = 3600000000000ull;

struct sim_world sim;

// ---- chance ---------------------------------------------------------------------------------------------------------

uint64_t sim_next(sim_rng *r)
{
    uint64_t z = r->s += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

uint64_t sim_below(sim_rng *r, uint64_t n)
{
    return n ? (uint64_t)((unsigned __int128)sim_next(r) * n >> 64) : 0;
}

uint64_t sim_between(sim_rng *r, uint64_t from, uint64_t to)
{
    return from + sim_below(r, to - from + 1);
}

bool sim_chance(sim_rng *r, unsigned percent)
{
    return sim_below(r, 100) < percent;
}

void sim_mix(uint64_t v)
{
    uint64_t h = (sim.hash ^ v) * 0x9fb21c651e98df25ull;
    sim.hash = h ^ h >> 32;
}

// ---- coroutines -----------------------------------------------------------------------------------------------------

enum state { FREE, CAN, WAITS };

struct coro {
    void *sp;
    char *stack;
    enum state state;
    uint64_t until; // WAITS: 0, or when it can again
    const void *on; // WAITS: what for
    bool timed_out;
    bool napping;  // in a slow call: nobody waits for that when the process is gone
    uint64_t step; // WAITS: 0, or the step at which it can again
    uint32_t id;
    rkp_task *task;
    int worker; // -1: none
    void (*fn)(void *arg);
    void *arg;
#ifdef SIM_ASAN
    void *fake;
#endif
};

static struct {
    struct coro coros[COROS];
    struct coro *cur; // NULL: the scheduler
    void *sp;
#ifdef SIM_ASAN
    void *fake;
    const void *bottom;
    size_t size;
#endif
    sim_rng rng;
    enum { UNIFORM, STICKY, STARVE, FAVOUR, TURNS, MOODS } mood;
    uint32_t who, last;
    uint64_t mood_left;
} s;

void sim_switch(void **from, void *to);
__asm__(".text\n"
        ".globl sim_switch\n"
        ".type sim_switch, @function\n"
        "sim_switch:\n"
        "    endbr64\n"
        "    pushq %rbp\n    pushq %rbx\n    pushq %r12\n    pushq %r13\n    pushq %r14\n    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n    popq %r14\n    popq %r13\n    popq %r12\n    popq %rbx\n    popq %rbp\n"
        "    ret\n"
        ".size sim_switch, . - sim_switch\n");

static void leave(bool for_ever)
{
    struct coro *c = s.cur;
    int e = errno; // of this thread
    s.cur = NULL;
#ifdef SIM_ASAN
    __sanitizer_start_switch_fiber(for_ever ? NULL : &c->fake, s.bottom, s.size);
#else
    (void)for_ever;
#endif
    sim_switch(&c->sp, s.sp);
#ifdef SIM_ASAN
    __sanitizer_finish_switch_fiber(c->fake, &s.bottom, &s.size);
#endif
    errno = e;
}

static void begin_here(void)
{
    struct coro *c = s.cur;
#ifdef SIM_ASAN
    __sanitizer_finish_switch_fiber(NULL, &s.bottom, &s.size);
#endif
    c->fn(c->arg);
    c->state = FREE;
    leave(true);
    abort();
}

static void enter(struct coro *c)
{
    s.cur = c;
#ifdef SIM_ASAN
    __sanitizer_start_switch_fiber(&s.fake, c->stack, STACK);
#endif
    sim_switch(&s.sp, c->sp);
#ifdef SIM_ASAN
    __sanitizer_finish_switch_fiber(s.fake, NULL, NULL);
#endif
}

static struct coro *new_coro(uint32_t id, void (*fn)(void *arg), void *arg)
{
    struct coro *c = NULL;
    void **top;
    for (int i = 0; i < COROS && !c; i++)
        if (s.coros[i].state == FREE)
            c = &s.coros[i];
    if (!c)
        abort();
    if (!c->stack) {
        c->stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (c->stack == MAP_FAILED)
            abort();
    }
    top = (void **)(void *)(c->stack + STACK - 72);
    *top-- = NULL; // nobody returns there; and the stack is as it is after a call
    *top = (void *)(uintptr_t)begin_here;
    top -= 6;
    memset(top, 0, 6 * sizeof *top);
    *c = (struct coro){ .sp = top, .stack = c->stack, .state = CAN, .id = id, .fn = fn, .arg = arg, .worker = -1 };
    return c;
}

bool sim_inside(void)
{
    return s.cur != NULL;
}

void sim_yield(void)
{
    leave(false);
}

void sim_maybe(void)
{
    if (s.cur && !sim.dead && sim.life && sim_below(&s.rng, 1000) < sim.life->preempt)
        leave(false);
}

bool sim_block_until(const void *on, uint64_t until_ns)
{
    struct coro *c = s.cur;
    c->state = WAITS;
    c->on = on;
    c->until = until_ns;
    c->timed_out = false;
    leave(false);
    return !c->timed_out;
}

void sim_block(const void *on)
{
    sim_block_until(on, 0);
}

static void can(struct coro *c, bool timed_out)
{
    c->state = CAN;
    c->on = NULL;
    c->until = c->step = 0;
    c->napping = false;
    c->timed_out = timed_out;
}

void sim_free(const void *on)
{
    for (int i = 0; i < COROS; i++)
        if (s.coros[i].state == WAITS && s.coros[i].on == on)
            can(&s.coros[i], false);
}

void sim_sleep(uint64_t ns)
{
    if (sim.dead)
        return;
    s.cur->napping = true;
    sim_block_until(s.cur, sim.now_ns + (ns ? ns : 1));
}

void sim_until_step(uint64_t step, const void *on)
{
    if (sim.dead || sim.steps >= step)
        return;
    s.cur->napping = true;
    s.cur->step = step;
    sim_block_until(on, 0);
}

void sim_crash(bool power)
{
    if (sim.dead)
        return;
    sim.dead = true;
    sim.power = power;
    if (sim.trace)
        fprintf(stderr, "  %8llu  %s\n", (unsigned long long)sim.steps, power ? "THE POWER GOES" : "KILLED");
    for (int i = 0; i < COROS; i++)
        if (s.coros[i].state == WAITS && s.coros[i].napping)
            can(&s.coros[i], false);
    if (sim.life->crash)
        sim.life->crash(sim.life->arg);
}

// ---- calls on files -------------------------------------------------------------------------------------------------

static bool hit(const sim_fault *f, bool changes, bool sync)
{
    bool dies = f->kind == SIM_IO_KILL || f->kind == SIM_IO_POWER;
    uint64_t n = f->syncs ? sim.syncs : dies ? sim.changes : sim.ios;
    if (f->gone || f->life != sim.life->number || (f->syncs && !sync) || (dies && !changes))
        return false;
    return n >= f->at && n - f->at < f->n;
}

bool sim_later(void)
{
    return sim.life && !sim.dead && sim_chance(&s.rng, 10);
}

int sim_io(const char *name, const char *what, bool changes, bool space, size_t *moves, bool *torn)
{
    const sim_life *l = sim.life;
    bool sync = strcmp(name, "fsync") == 0;
    uint64_t n, nap = 0;
    int e = 0;
    if (sim.dead)
        return EIO;
    n = ++sim.ios;
    sim.changes += changes;
    sim.syncs += sync;
    sim.now_ns += 200 + sim_below(&s.rng, changes ? 20000 : 2000);
    sim_mix(n ^ (moves ? *moves << 20 : 0) ^ (uint64_t)name[0] << 56);
    if (sim.trace)
        fprintf(stderr, "  %8llu  call %llu: %s %s %zu\n", (unsigned long long)sim.steps, (unsigned long long)n, name,
                what, moves ? *moves : 0);
    for (size_t i = 0; i < l->n_faults; i++) {
        const sim_fault *f = &l->faults[i];
        if (!hit(f, changes, sync))
            continue;
        switch (f->kind) {
        case SIM_IO_KILL:
        case SIM_IO_POWER:
            if (torn && sim_chance(&s.rng, 50)) {
                *torn = true;
                *moves = sim_below(&s.rng, *moves + 1);
            }
            sim.met |= 1u << f->kind;
            sim_crash(f->kind == SIM_IO_POWER);
            return EIO;
        case SIM_IO_FAILS:
            if ((f->error == ENOSPC && !space) || (f->error == EMFILE && strcmp(name, "open") != 0) ||
                (f->error == EINTR && strncmp(name, "re", 2) == 0 && strcmp(name, "read") != 0))
                continue;
            e = f->error;
            break;
        case SIM_FULL:
            if (!space || sync)
                continue;
            e = ENOSPC;
            break;
        case SIM_IO_SHORT:
            if (!moves || *moves < 2)
                continue;
            *moves = 1 + sim_below(&s.rng, *moves < 7 ? *moves - 1 : 7);
            break;
        case SIM_SLOW:
            nap += (uint64_t)f->ns;
            break;
        default:
            continue;
        }
        sim.met |= 1u << f->kind;
    }
    if (nap)
        sim_sleep(nap);
    else
        sim_maybe();
    return sim.dead ? EIO : e;
}

// ---- the backend ----------------------------------------------------------------------------------------------------

struct rkp_backend_run {
    rkp_task *tasks[SIM_TASKS];
    uint32_t ids[SIM_TASKS];
    size_t n;
    uint32_t next_id;
    unsigned workers;
    bool busy[16];
    bool started;
    uint32_t poked, seen;
    size_t retired;
};

static rkp_backend_run *the_run;

static void wake(rkp_task *t)
{
    if (t->state == RKP_TASK_IDLE)
        t->state = RKP_TASK_READY;
    else if (t->state == RKP_TASK_RUN)
        t->state = RKP_TASK_RERUN;
}

static void sim_wake(rkp_backend_run *r, rkp_task *t)
{
    (void)r;
    sim_maybe();
    wake(t);
}

static void sim_poke(rkp_backend_run *r)
{
    r->poked++;
    sim_free(&r->poked);
}

static void retire(rkp_backend_run *r, rkp_task *t)
{
    t->state = RKP_TASK_RETIRED;
    r->retired++;
    sim_poke(r);
    sim_free(r);
}

static void task_body(void *arg)
{
    struct coro *c = s.cur;
    rkp_backend_run *r = the_run;
    rkp_task *t = arg;
    t->state = RKP_TASK_RUN;
    if (t->own_thread)
        t->wake_ns = 0;
    switch (t->step(t, t->arg, c->worker >= 0 ? (unsigned)c->worker : 0)) {
    case RKP_STEP_DONE:
        retire(r, t);
        break;
    case RKP_STEP_IDLE:
        if (t->state == RKP_TASK_RUN && !t->poll) {
            t->state = RKP_TASK_IDLE;
            sim_free(r);
            break;
        }
        t->state = RKP_TASK_READY;
        break;
    case RKP_STEP_AGAIN:
        t->state = RKP_TASK_READY;
        break;
    }
    if (c->worker >= 0)
        r->busy[c->worker] = false;
}

static rkp_status sim_add(rkp_backend_run *r, rkp_task **tasks, size_t n)
{
    if (r->n + n > SIM_TASKS)
        return RKP_UNSUPPORTED;
    for (size_t i = 0; i < n; i++) {
        r->ids[r->n] = r->next_id++;
        r->tasks[r->n++] = tasks[i];
        tasks[i]->state = RKP_TASK_IDLE;
    }
    return RKP_OK;
}

static void sim_forget(rkp_backend_run *r, rkp_task *t)
{
    for (size_t i = 0; i < r->n; i++) {
        if (r->tasks[i] != t)
            continue;
        r->n--;
        r->retired--;
        r->tasks[i] = r->tasks[r->n];
        r->ids[i] = r->ids[r->n];
        return;
    }
}

static rkp_status sim_open(const rkp_backend_conf *c, rkp_task **tasks, size_t n, rkp_backend_run **out)
{
    rkp_backend_run *r = calloc(1, sizeof *r);
    rkp_status st;
    if (!r)
        return RKP_NOMEM;
    r->workers = c->workers && c->workers < 16 ? c->workers : 4;
    r->next_id = FIRST_TASK;
    st = sim_add(r, tasks, n);
    if (st != RKP_OK) {
        free(r);
        return st;
    }
    the_run = *out = r;
    return RKP_OK;
}

static rkp_status sim_start(rkp_backend_run *r)
{
    r->started = true;
    return RKP_OK;
}

static bool sim_wait(rkp_backend_run *r, uint64_t deadline_ns)
{
    if (r->retired == r->n)
        return true;
    if (r->poked == r->seen && (!deadline_ns || deadline_ns > sim.now_ns))
        sim_block_until(&r->poked, deadline_ns);
    else
        sim_yield(); // who looks again and again must not keep the others from what it looks for
    r->seen = r->poked;
    return r->retired == r->n;
}

static bool at_work(const rkp_backend_run *r)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->tasks[i]->state != RKP_TASK_IDLE && r->tasks[i]->state != RKP_TASK_RETIRED)
            return true;
    return false;
}

static void sim_close(rkp_backend_run *r)
{
    while (r->started && at_work(r))
        sim_block(r);
    the_run = NULL;
    free(r);
}

static unsigned sim_workers(const rkp_backend_run *r)
{
    return r->workers;
}

const rkp_backend sim_backend = {
    .abi = 1,
    .size = sizeof(rkp_backend),
    .name = "sim",
    .summary = "One step at a time, in an order that a seed has.",
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

// ---- the choice -----------------------------------------------------------------------------------------------------

struct candidate {
    struct coro *coro; // NULL: the task, which begins a step
    rkp_task *task;
    uint32_t id;
};

static size_t candidates(struct candidate v[COROS + SIM_TASKS])
{
    rkp_backend_run *r = the_run;
    size_t n = 0;
    bool free_worker = false;
    for (int i = 0; i < COROS; i++)
        if (s.coros[i].state == CAN)
            v[n++] = (struct candidate){ &s.coros[i], NULL, s.coros[i].id };
    for (unsigned w = 0; r && r->started && w < r->workers; w++)
        free_worker |= !r->busy[w];
    for (size_t i = 0; r && r->started && i < r->n; i++)
        if (r->tasks[i]->state == RKP_TASK_READY && (r->tasks[i]->own_thread || free_worker))
            v[n++] = (struct candidate){ NULL, r->tasks[i], r->ids[i] };
    return n;
}

// Those whose time has come can run; otherwise *next is the earliest time.
static void timers(uint64_t *next)
{
    rkp_backend_run *r = the_run;
    *next = 0;
    for (int i = 0; i < COROS; i++) {
        struct coro *c = &s.coros[i];
        if (c->state != WAITS)
            continue;
        if (c->step && sim.steps >= c->step)
            can(c, false);
        else if (c->until && c->until <= sim.now_ns)
            can(c, true);
        else if (c->until && (!*next || c->until < *next))
            *next = c->until;
    }
    for (size_t i = 0; r && r->started && i < r->n; i++) {
        rkp_task *t = r->tasks[i];
        if (t->state != RKP_TASK_IDLE || !t->wake_ns)
            continue;
        if (t->wake_ns <= sim.now_ns) {
            t->wake_ns = 0;
            wake(t);
        } else if (!*next || t->wake_ns < *next) {
            *next = t->wake_ns;
        }
    }
}

static size_t choose(const struct candidate *v, size_t n)
{
    size_t at = 0;
    if (!s.mood_left--) {
        s.mood = (unsigned)sim_below(&s.rng, MOODS);
        s.mood_left = sim_between(&s.rng, 1, sim_chance(&s.rng, 20) ? 400 : 40);
        s.who = v[sim_below(&s.rng, n)].id;
    }
    switch (s.mood) {
    case STICKY:
    case FAVOUR:
        for (size_t i = 0; i < n; i++)
            if (v[i].id == (s.mood == STICKY ? s.last : s.who) && !sim_chance(&s.rng, 5))
                return i;
        break;
    case STARVE:
        if (n > 1) {
            at = sim_below(&s.rng, n);
            return v[at].id == s.who ? (at + 1) % n : at;
        }
        break;
    case TURNS: {
        size_t least = n;
        for (size_t i = 0; i < n; i++) {
            if (v[i].id > s.last && (at == 0 || v[i].id < v[at - 1].id))
                at = i + 1;
            if (least == n || v[i].id < v[least].id)
                least = i;
        }
        return at ? at - 1 : least;
    }
    case UNIFORM:
    case MOODS:
        break;
    }
    return sim_below(&s.rng, n);
}

static void step_faults(void)
{
    const sim_life *l = sim.life;
    for (size_t i = 0; i < l->n_faults && !sim.dead; i++) {
        const sim_fault *f = &l->faults[i];
        if (f->gone || f->life != l->number || f->at != sim.steps)
            continue;
        switch (f->kind) {
        case SIM_KILL:
        case SIM_POWER:
            sim.met |= 1u << f->kind;
            sim_crash(f->kind == SIM_POWER);
            break;
        case SIM_CLOCK:
            sim.met |= 1u << f->kind;
            sim.wall_ns += f->ns;
            break;
        case SIM_SIGNAL:
            sim.met |= 1u << f->kind;
            if (l->signal)
                l->signal(l->arg);
            break;
        default:
            break;
        }
    }
}

static bool all_over(void)
{
    for (int i = 0; i < COROS; i++)
        if (s.coros[i].state != FREE && s.coros[i].id < FIRST_TASK)
            return false;
    return true;
}

sim_end sim_run(const sim_life *l, void (*body)(void *arg), void (*other)(void *arg), void *arg)
{
    struct candidate v[COROS + SIM_TASKS];
    uint64_t begin = sim.now_ns, next;
    sim.life = l;
    sim.steps = sim.ios = sim.changes = sim.syncs = sim.met = sim.op_calls = 0;
    sim.dead = sim.power = false;
    s.rng = l->rng;
    s.mood_left = 0;
    s.last = 0;
    for (int i = 0; i < COROS; i++)
        s.coros[i].state = FREE;
    the_run = NULL;
    new_coro(0, body, arg);
    if (other)
        new_coro(OTHER, other, arg);
    while (!all_over()) {
        size_t n, at;
        struct coro *c;
        timers(&next);
        n = candidates(v);
        if (!n) {
            if (!next) {
                // Who waits for a step waits for the next one.
                for (int i = 0; i < COROS; i++)
                    if (s.coros[i].state == WAITS && s.coros[i].step) {
                        can(&s.coros[i], false);
                        n++;
                    }
                if (!n)
                    return SIM_STANDS_STILL;
                continue;
            }
            sim.now_ns = next;
            continue;
        }
        sim.steps++;
        sim.now_ns += sim_below(&s.rng, 2 * l->step_ns);
        step_faults();
        if (sim.steps > SIM_MOST_STEPS || sim.now_ns - begin > most_ns)
            return SIM_TOO_LONG;
        at = choose(v, n);
        s.last = v[at].id;
        sim_mix(v[at].id + (sim.now_ns << 8));
        if (sim.trace)
            fprintf(stderr, "  %8llu  %12llu ns  %u of %zu%s\n", (unsigned long long)sim.steps,
                    (unsigned long long)(sim.now_ns - begin), v[at].id, n, v[at].coro ? "" : ", begins");
        c = v[at].coro;
        if (!c) {
            c = new_coro(v[at].id, task_body, v[at].task);
            c->task = v[at].task;
            for (unsigned w = 0; !c->task->own_thread && w < the_run->workers && c->worker < 0; w++)
                if (!the_run->busy[w]) {
                    the_run->busy[w] = true;
                    c->worker = (int)w;
                }
            c->task->state = RKP_TASK_RUN;
        }
        enter(c);
    }
    sim.life = NULL;
    return SIM_ENDED;
}
