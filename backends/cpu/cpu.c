// cpu: a pool of worker threads that run tasks, and a thread of its own for each task that blocks or polls.
//
// Each worker has one queue per priority.  A queue is a bounded array with a sequence number per slot (D. Vyukov,
// "Bounded MPMC queue"): any thread may push (wake) and any worker may pop (its own work, or stealing).  A task is
// queued at most once, so a queue as large as the number of tasks is never full.
//
//   IDLE --wake--> READY --pop--> RUN --step says idle--> IDLE
//                    ^             |  \--wake--> RERUN --step ends--> READY
//                    |             +--step says again--> READY
//                    +-------------+--step says done--> RETIRED
//
// No wake is lost: `wake` writes the work first and then does a read-modify-write on the state word, and a worker does
// a read-modify-write before it looks for work.  One of the two comes second and sees the other.  So nobody stores to the word of a task that
// can be woken, for that would hide what a waker has left there: also what overwrites is an exchange (tests/model/wake.c).
//
// Sleeping: a worker that finds nothing adds itself to `sleepers`, reads `epoch`, looks once more, and waits on a futex
// for epoch to move.  A waker pushes, moves epoch, and wakes one sleeper if there is any (all sequentially consistent,
// so either the worker sees the push or the waker sees the sleeper).
#include <rkpipe/backend.h>

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { PRIORITIES = 4, SPINS = 200 };

struct slot {
    uint64_t seq; // atomic
    rkp_task *task;
};

struct queue {
    uint64_t head __attribute__((aligned(64))); // atomic: next to pop
    uint64_t tail __attribute__((aligned(64))); // atomic: next to push
    uint64_t mask;
    struct slot *slots;
};

struct worker {
    struct queue q[PRIORITIES];
    pthread_t thread;
    rkp_backend_run *run;
    unsigned index;
    bool started;
};

// The thread of a task that has its own.
struct own {
    rkp_backend_run *run;
    rkp_task *task;
    pthread_t thread;
    bool started;
};

struct rkp_backend_run {
    rkp_task **tasks; // the control thread's
    struct own **own; // per task; NULL: the workers run it
    size_t n_tasks, cap_tasks;
    size_t n_queued, cap_queue; // tasks of the workers, and how many a queue holds
    bool started;
    struct worker *workers;
    unsigned n_workers;
    struct slot *slots;
    uint32_t epoch __attribute__((aligned(64))); // atomic, futex
    uint32_t sleepers;                           // atomic
    uint32_t closing;                            // atomic
    uint32_t poked __attribute__((aligned(64))); // atomic, futex: wait() looks at things again
    uint32_t seen;                               // poked, when wait last returned; whoever waits
    uint32_t retired;                            // atomic: tasks that never run again
    uint32_t next_worker;                        // atomic: where a wake from outside the pool goes
};

static _Thread_local struct worker *self_worker; // which worker this thread is; NULL outside the pools

static void futex_wait(uint32_t *word, uint32_t seen, uint64_t timeout_ns)
{
    struct timespec ts = { .tv_sec = (time_t)(timeout_ns / 1000000000u), .tv_nsec = (long)(timeout_ns % 1000000000u) };
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, timeout_ns ? &ts : NULL, NULL, 0);
}

static void futex_wake(uint32_t *word, int n)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
}

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void queue_push(struct queue *q, rkp_task *t)
{
    uint64_t pos = __atomic_load_n(&q->tail, __ATOMIC_RELAXED);
    for (;;) {
        struct slot *s = &q->slots[pos & q->mask];
        // Q1, from Q4: the slot is free again, its last reader is done with it.
        uint64_t seq = __atomic_load_n(&s->seq, __ATOMIC_ACQUIRE);
        if (seq == pos) {
            // Relaxed: the position is only claimed; the task is published by Q2.
            if (__atomic_compare_exchange_n(&q->tail, &pos, pos + 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
                s->task = t;
                // Q2, to Q3: publishes the task pointer.
                __atomic_store_n(&s->seq, pos + 1, __ATOMIC_RELEASE);
                return;
            }
        } else {
            pos = __atomic_load_n(&q->tail, __ATOMIC_RELAXED);
        }
    }
}

static rkp_task *queue_pop(struct queue *q)
{
    uint64_t pos = __atomic_load_n(&q->head, __ATOMIC_RELAXED);
    for (;;) {
        struct slot *s = &q->slots[pos & q->mask];
        // Q3, from Q2: the task pointer of this position.
        uint64_t seq = __atomic_load_n(&s->seq, __ATOMIC_ACQUIRE);
        int64_t ahead = (int64_t)(seq - (pos + 1));
        if (ahead == 0) {
            if (__atomic_compare_exchange_n(&q->head, &pos, pos + 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
                rkp_task *t = s->task;
                // Q4, to Q1: the slot may be written again, one lap later.
                __atomic_store_n(&s->seq, pos + q->mask + 1, __ATOMIC_RELEASE);
                return t;
            }
        } else if (ahead < 0) {
            return NULL;
        } else {
            pos = __atomic_load_n(&q->head, __ATOMIC_RELAXED);
        }
    }
}

static void enqueue(rkp_backend_run *r, rkp_task *t)
{
    bool mine = self_worker && self_worker->run == r;
    struct worker *w =
        mine ? self_worker : &r->workers[__atomic_fetch_add(&r->next_worker, 1, __ATOMIC_RELAXED) % r->n_workers];
    queue_push(&w->q[t->priority & 3], t);
    if (mine && r->n_workers == 1)
        return; // the only one that could sleep is awake
    // Sequentially consistent with the sleeper's own sequence: see the head of this file.
    __atomic_fetch_add(&r->epoch, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&r->sleepers, __ATOMIC_SEQ_CST) > 0)
        futex_wake(&r->epoch, 1);
}

static void cpu_wake(rkp_backend_run *r, rkp_task *t)
{
    // A read-modify-write also when nothing changes: it orders the caller's work before the look at the state.
    uint32_t s = __atomic_fetch_or(&t->state, 0, __ATOMIC_SEQ_CST);
    for (;;) {
        uint32_t to = s == RKP_TASK_IDLE ? RKP_TASK_READY : s == RKP_TASK_RUN ? RKP_TASK_RERUN : s;
        if (to == s)
            return;
        if (__atomic_compare_exchange_n(&t->state, &s, to, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            break;
    }
    if (s == RKP_TASK_RUN)
        return;
    if (t->own_thread)
        futex_wake(&t->state, 1);
    else
        enqueue(r, t);
}

static void cpu_poke(rkp_backend_run *r)
{
    __atomic_fetch_add(&r->poked, 1, __ATOMIC_SEQ_CST);
    futex_wake(&r->poked, 1);
}

static void retire(rkp_backend_run *r, rkp_task *t)
{
    // Release, to the acquire in cpu_wait: everything the task did.
    __atomic_exchange_n(&t->state, RKP_TASK_RETIRED, __ATOMIC_ACQ_REL);
    __atomic_fetch_add(&r->retired, 1, __ATOMIC_ACQ_REL);
    cpu_poke(r);
}

static rkp_task *find_work(struct worker *w)
{
    rkp_backend_run *r = w->run;
    for (int p = PRIORITIES - 1; p >= 0; p--) {
        rkp_task *t = queue_pop(&w->q[p]);
        for (unsigned i = 1; !t && i < r->n_workers; i++)
            t = queue_pop(&r->workers[(w->index + i) % r->n_workers].q[p]);
        if (t)
            return t;
    }
    return NULL;
}

static void run_task(rkp_backend_run *r, rkp_task *t, unsigned worker)
{
    uint32_t s = RKP_TASK_RUN;
    uint64_t wake;
    __atomic_exchange_n(&t->state, RKP_TASK_RUN, __ATOMIC_SEQ_CST);
    switch (t->step(t, t->arg, worker)) {
    case RKP_STEP_DONE:
        retire(r, t);
        return;
    case RKP_STEP_IDLE:
        wake = __atomic_load_n(&t->wake_ns, __ATOMIC_RELAXED); // before it is IDLE: then another worker may run it
        if (__atomic_compare_exchange_n(&t->state, &s, RKP_TASK_IDLE, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
            if (wake)
                cpu_poke(r); // wait() keeps the timers
            return;
        }
        break;
    case RKP_STEP_AGAIN:
        break;
    }
    __atomic_exchange_n(&t->state, RKP_TASK_READY, __ATOMIC_SEQ_CST);
    enqueue(r, t);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    rkp_backend_run *r = w->run;
    self_worker = w;
    for (;;) {
        rkp_task *t = find_work(w);
        for (int i = 0; !t && i < SPINS; i++) {
            __builtin_ia32_pause();
            if (i % 16 == 15)
                t = find_work(w);
        }
        if (!t) {
            __atomic_fetch_add(&r->sleepers, 1, __ATOMIC_SEQ_CST);
            uint32_t seen = __atomic_load_n(&r->epoch, __ATOMIC_SEQ_CST);
            t = find_work(w);
            if (!t && !__atomic_load_n(&r->closing, __ATOMIC_SEQ_CST))
                futex_wait(&r->epoch, seen, 0);
            __atomic_fetch_sub(&r->sleepers, 1, __ATOMIC_SEQ_CST);
        }
        if (t)
            run_task(r, t, w->index);
        else if (__atomic_load_n(&r->closing, __ATOMIC_SEQ_CST))
            return NULL;
    }
}

// A task with a thread of its own: the same states, with the thread itself as the queue.
static void *own_main(void *arg)
{
    struct own *o = arg;
    rkp_task *t = o->task;
    for (;;) {
        uint32_t s = __atomic_load_n(&t->state, __ATOMIC_SEQ_CST);
        if (s == RKP_TASK_IDLE) {
            uint64_t wake = __atomic_load_n(&t->wake_ns, __ATOMIC_RELAXED), left = 0;
            if (__atomic_load_n(&o->run->closing, __ATOMIC_SEQ_CST))
                return NULL;
            if (wake) {
                uint64_t now = now_ns();
                if (now >= wake) {
                    // Also when somebody else woke it just now: then it is READY, and the loop sees that.
                    __atomic_compare_exchange_n(&t->state, &s, RKP_TASK_READY, false, __ATOMIC_SEQ_CST,
                                                __ATOMIC_SEQ_CST);
                    continue;
                }
                left = wake - now;
            }
            if (t->poll)
                __builtin_ia32_pause();
            else
                futex_wait(&t->state, RKP_TASK_IDLE, left);
            continue;
        }
        __atomic_exchange_n(&t->state, RKP_TASK_RUN, __ATOMIC_SEQ_CST);
        __atomic_store_n(&t->wake_ns, 0, __ATOMIC_RELAXED);
        s = RKP_TASK_RUN;
        switch (t->step(t, t->arg, 0)) {
        case RKP_STEP_DONE:
            retire(o->run, t);
            return NULL;
        case RKP_STEP_IDLE:
            if (!t->poll)
                __atomic_compare_exchange_n(&t->state, &s, RKP_TASK_IDLE, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
            else if (__atomic_load_n(&o->run->closing, __ATOMIC_SEQ_CST))
                return NULL;
            break;
        case RKP_STEP_AGAIN:
            break;
        }
    }
}

static void end_own(struct own *o)
{
    if (!o)
        return;
    if (o->started)
        pthread_join(o->thread, NULL);
    free(o);
}

static void cpu_close(rkp_backend_run *r)
{
    if (!r)
        return;
    __atomic_store_n(&r->closing, 1, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&r->epoch, 1, __ATOMIC_SEQ_CST);
    futex_wake(&r->epoch, INT32_MAX);
    // Woken like everybody else: a thread that has looked at `closing` and is about to sleep on its state sees that move.
    for (size_t i = 0; i < r->n_tasks; i++)
        if (r->tasks[i]->own_thread)
            cpu_wake(r, r->tasks[i]);
    for (unsigned i = 0; i < r->n_workers; i++)
        if (r->workers[i].started)
            pthread_join(r->workers[i].thread, NULL);
    for (size_t i = 0; i < r->n_tasks; i++)
        end_own(r->own[i]);
    free(r->own);
    free(r->tasks);
    free(r->slots);
    free(r->workers);
    free(r);
}

// Signals are the control thread's business.
static int make_thread(pthread_t *to, void *(*run)(void *), void *arg)
{
    sigset_t all, old;
    int e;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    e = pthread_create(to, NULL, run, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return e;
}

static bool room_for(rkp_backend_run *r, size_t n)
{
    size_t cap = r->cap_tasks ? r->cap_tasks : 16;
    rkp_task **v;
    struct own **o;
    if (r->n_tasks + n <= r->cap_tasks)
        return true;
    while (cap < r->n_tasks + n)
        cap *= 2;
    v = realloc(r->tasks, cap * sizeof *v);
    if (v)
        r->tasks = v;
    o = realloc(r->own, cap * sizeof(struct own *));
    if (o)
        r->own = o;
    if (!v || !o)
        return false;
    r->cap_tasks = cap;
    return true;
}

static void take_back(rkp_backend_run *r, size_t from)
{
    for (size_t i = from; i < r->n_tasks; i++) {
        end_own(r->own[i]); // its task is RETIRED still: the thread ends
        r->n_queued -= !r->tasks[i]->own_thread;
    }
    r->n_tasks = from;
}

static void *own_begins(void *arg);

static rkp_status cpu_add(rkp_backend_run *r, rkp_task **tasks, size_t n)
{
    size_t before = r->n_tasks, queued = 0;
    for (size_t i = 0; i < n; i++)
        queued += !tasks[i]->own_thread;
    if (r->n_queued + queued > r->cap_queue)
        return RKP_UNSUPPORTED;
    if (!room_for(r, n))
        return RKP_NOMEM;
    for (size_t i = 0; i < n; i++) {
        struct own *o = NULL;
        if (tasks[i]->own_thread && !(o = calloc(1, sizeof *o))) {
            take_back(r, before);
            return RKP_NOMEM;
        }
        r->tasks[r->n_tasks] = tasks[i];
        r->own[r->n_tasks++] = o;
        r->n_queued += !o;
        __atomic_exchange_n(&tasks[i]->state, RKP_TASK_STOPPED, __ATOMIC_SEQ_CST);
        if (!o)
            continue;
        o->run = r;
        o->task = tasks[i];
        if (r->started && make_thread(&o->thread, own_begins, o) != 0) {
            for (size_t k = before; k < r->n_tasks; k++) {
                __atomic_store_n(&r->tasks[k]->state, RKP_TASK_RETIRED, __ATOMIC_SEQ_CST);
                futex_wake(&r->tasks[k]->state, 1);
            }
            take_back(r, before);
            return RKP_NOMEM;
        }
        o->started = r->started;
    }
    for (size_t i = before; i < r->n_tasks; i++) {
        // From here on it can be woken.
        __atomic_exchange_n(&r->tasks[i]->state, RKP_TASK_IDLE, __ATOMIC_SEQ_CST);
        if (r->own[i] && r->started)
            futex_wake(&r->tasks[i]->state, 1);
    }
    return RKP_OK;
}

static void cpu_forget(rkp_backend_run *r, rkp_task *t)
{
    for (size_t i = 0; i < r->n_tasks; i++) {
        if (r->tasks[i] != t)
            continue;
        end_own(r->own[i]);
        r->n_queued -= !t->own_thread;
        r->n_tasks--;
        r->tasks[i] = r->tasks[r->n_tasks];
        r->own[i] = r->own[r->n_tasks];
        __atomic_fetch_sub(&r->retired, 1, __ATOMIC_ACQ_REL);
        return;
    }
}

// It waits until all that were added with it are there.
static void *own_begins(void *arg)
{
    struct own *o = arg;
    uint32_t s;
    while ((s = __atomic_load_n(&o->task->state, __ATOMIC_SEQ_CST)) == RKP_TASK_STOPPED)
        futex_wait(&o->task->state, s, 0);
    return s == RKP_TASK_RETIRED ? NULL : own_main(arg);
}

static rkp_status cpu_open(const rkp_backend_conf *c, rkp_task **tasks, size_t n, rkp_backend_run **out)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned workers = c->workers ? c->workers : cores > 0 ? (unsigned)cores : 1;
    size_t cap = 256;
    rkp_backend_run *r;
    rkp_status st;
    while (cap < 4 * (n + 1)) // tasks that are added take their places
        cap *= 2;
    r = aligned_alloc(64, sizeof *r);
    if (!r)
        return RKP_NOMEM;
    memset(r, 0, sizeof *r);
    r->cap_queue = cap - 1;
    r->workers = aligned_alloc(64, workers * sizeof *r->workers);
    r->slots = calloc((size_t)workers * PRIORITIES * cap, sizeof *r->slots);
    if (!r->workers || !r->slots) {
        cpu_close(r);
        return RKP_NOMEM;
    }
    memset(r->workers, 0, workers * sizeof *r->workers);
    r->n_workers = workers;
    for (unsigned w = 0; w < workers; w++) {
        r->workers[w].run = r;
        r->workers[w].index = w;
        for (int p = 0; p < PRIORITIES; p++) {
            struct queue *q = &r->workers[w].q[p];
            q->mask = cap - 1;
            q->slots = r->slots + ((size_t)w * PRIORITIES + (size_t)p) * cap;
            for (size_t i = 0; i < cap; i++)
                q->slots[i].seq = i;
        }
    }
    st = cpu_add(r, tasks, n);
    if (st != RKP_OK) {
        cpu_close(r);
        return st;
    }
    *out = r;
    return RKP_OK;
}

static rkp_status cpu_start(rkp_backend_run *r)
{
    for (unsigned i = 0; i < r->n_workers; i++) {
        if (make_thread(&r->workers[i].thread, worker_main, &r->workers[i]) != 0)
            return RKP_NOMEM;
        r->workers[i].started = true;
    }
    for (size_t i = 0; i < r->n_tasks; i++) {
        struct own *o = r->own[i];
        if (o && make_thread(&o->thread, own_main, o) != 0)
            return RKP_NOMEM;
        if (o)
            o->started = true;
    }
    r->started = true;
    return RKP_OK;
}

// The caller looks at things between two waits, so a poke that comes while it looks must make the next wait return: what is
// compared is the word as it was when the last wait returned, not as it is now.
static bool cpu_wait(rkp_backend_run *r, uint64_t deadline_ns)
{
    uint32_t seen = r->seen;
    uint64_t now = now_ns(), until = deadline_ns;
    if (__atomic_load_n(&r->retired, __ATOMIC_ACQUIRE) == r->n_tasks)
        return true;
    for (size_t i = 0; i < r->n_tasks; i++) {
        rkp_task *t = r->tasks[i];
        uint64_t wake = t->own_thread ? 0 : __atomic_load_n(&t->wake_ns, __ATOMIC_RELAXED);
        if (!wake)
            continue;
        if (wake <= now) {
            __atomic_store_n(&t->wake_ns, 0, __ATOMIC_RELAXED);
            cpu_wake(r, t);
        } else if (!until || wake < until) {
            until = wake;
        }
    }
    if (!until || until > now)
        futex_wait(&r->poked, seen, until ? until - now : 0);
    r->seen = __atomic_load_n(&r->poked, __ATOMIC_SEQ_CST);
    return __atomic_load_n(&r->retired, __ATOMIC_ACQUIRE) == r->n_tasks;
}

static unsigned cpu_workers(const rkp_backend_run *r)
{
    return r->n_workers;
}

const rkp_backend rkp_backend_cpu = {
    .abi = 1,
    .size = sizeof(rkp_backend),
    .name = "cpu",
    .summary = "Worker threads that share the cores, with stealing and priorities.",
    .open = cpu_open,
    .start = cpu_start,
    .wake = cpu_wake,
    .wait = cpu_wait,
    .poke = cpu_poke,
    .close = cpu_close,
    .workers = cpu_workers,
    .add = cpu_add,
    .forget = cpu_forget,
};
