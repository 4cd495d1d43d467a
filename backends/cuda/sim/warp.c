// A grid of the simulated device.
//
// Lanes of a warp run one after another: each goes on until it meets the others (a ballot, a barrier), naps, or ends; then the next one that can
// go on is switched to.  The last one that comes to a meeting looks whether all are at the same place, works out what each of them gets, and
// for a barrier of the block waits for the other warps, on behalf of its own: nobody in it could run.
//
//   lane 0  ---ballot .......................... goes on
//   lane 1             ---ballot .....................   goes on
//   lane 31                          ---ballot, all are here: goes on
//
// For ThreadSanitizer each lane is a thread, and only what CUDA says orders anything: __syncthreads all of a block, __syncwarp all of a warp, a
// ballot and a shuffle nothing.  This file is not instrumented: what it hands around is not the program's business.
#include "cuda/sim/fiber.h"
#include "cuda/sim/launch.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifdef RKC_SANITIZE_THREAD
#include <sanitizer/tsan_interface.h>
#endif

enum {
    WARPS = RKC_BLOCK_THREADS / RKC_LANES,
    YIELDS = 32, // naps in a row that only let others run; longer ones follow
    NAP_NS = 20000,
    NAP_MOST_NS = 500000,
};

struct lane {
    rkd_sim_at at;
    rkc_fiber fiber;
    bool waits, ended;
    uint32_t why, from;
    uint64_t value, got;
    rkd_sim_place place;
    size_t shared; // bytes it has asked for
};

struct warp {
    struct block *block;
    uint32_t number, now;    // now: the lane that runs
    uint32_t arrived, ended; // lanes
    uint32_t naps;           // since the last meeting
    uint32_t meetings, barriers;
    rkd_sim_place place; // of its last barrier
    char order[2];       // for ThreadSanitizer: of meetings; of the thread's own begin and end
    char life[2];
    const rkd_sim_at **here;
    rkc_fiber home;
    pthread_t thread;
    struct lane lanes[RKC_LANES];
};

// The words that its warps share; all accesses are atomic.
struct block {
    struct rkc_launch *launch;
    uint32_t arrived, ended; // warps
    uint32_t turn;           // of barriers; waited for (futex)
    char order[2];
    struct warp *warps;
    char *shared;
};

struct rkc_launch {
    rkc_program program;
    const void *actors;
    uint32_t blocks, warps; // of a block
    uint32_t gate;          // 0: threads are being made; 1: go (futex)
    uint32_t running;       // threads
    uint32_t aborted, failed;
    char why[256];
    struct block *all;
    struct warp *all_warps;
    char *all_shared;
};

static _Thread_local struct warp *mine;
static uint64_t (*test_clock)(void);

static uint64_t monotonic_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void wait_while(uint32_t *word, uint32_t value)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void wake_all(uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

// ---- order -----------------------------------------------------------------------------------------------------------

// For ThreadSanitizer: all that came before is seen by all that comes behind.  Two places in turns, because who is behind may come to the next
// meeting before others have left this one.
static void order_before(char *place)
{
    (void)place;
#ifdef RKC_SANITIZE_THREAD
    __tsan_release(place);
#endif
}

static void order_behind(char *place)
{
    (void)place;
#ifdef RKC_SANITIZE_THREAD
    __tsan_acquire(place);
#endif
}

// ---- the end of a launch ---------------------------------------------------------------------------------------------

// The lane that runs is never gone on with.
__attribute__((noreturn)) static void leave(struct warp *w)
{
    w->lanes[w->now].ended = true;
    order_before(&w->life[1]);
    rkc_fiber_switch(&w->lanes[w->now].fiber, &w->home);
    abort(); // unreachable: nobody switches to it again
}

void rkc_launch_abort(rkc_launch *l)
{
    __atomic_store_n(&l->aborted, 1, __ATOMIC_SEQ_CST);
    for (uint32_t b = 0; b < l->blocks; b++) {
        __atomic_add_fetch(&l->all[b].turn, 1, __ATOMIC_SEQ_CST); // who is about to wait sees another value
        wake_all(&l->all[b].turn);
    }
}

static void look(struct warp *w)
{
    if (RKP_UNLIKELY(__atomic_load_n(&w->block->launch->aborted, __ATOMIC_SEQ_CST)))
        leave(w);
}

// The first failure is the one that is told.
__attribute__((noreturn, format(printf, 2, 3))) static void fail(struct warp *w, const char *format, ...)
{
    rkc_launch *l = w->block->launch;
    if (!__atomic_exchange_n(&l->failed, 1, __ATOMIC_SEQ_CST)) {
        va_list ap;
        va_start(ap, format);
        vsnprintf(l->why, sizeof l->why, format, ap);
        va_end(ap);
    }
    rkc_launch_abort(l);
    leave(w);
}

static uint32_t thread_of(const struct warp *w, uint32_t lane)
{
    return w->number * RKC_LANES + lane;
}

__attribute__((noreturn)) static void fail_ended(struct warp *w, uint32_t ended, uint32_t waits)
{
    fail(w, "diverged: thread %u has ended while thread %u is at %s:%u", thread_of(w, ended), thread_of(w, waits),
         w->lanes[waits].place.file, w->lanes[waits].place.line);
}

__attribute__((noreturn)) static void fail_apart(struct warp *w, uint32_t a, rkd_sim_place at_a, uint32_t b,
                                                 rkd_sim_place at_b)
{
    fail(w, "diverged: thread %u is at %s:%u while thread %u is at %s:%u", a, at_a.file, at_a.line, b, at_b.file,
         at_b.line);
}

static bool same(rkd_sim_place a, rkd_sim_place b)
{
    return a.line == b.line && (a.file == b.file || strcmp(a.file, b.file) == 0);
}

// ---- turns -----------------------------------------------------------------------------------------------------------

static bool can_go_on(const struct lane *l)
{
    return !l->waits && !l->ended;
}

// To the next lane that can go on, which may be the one that runs.  Comes back when it is this one's turn.
static void next(struct warp *w)
{
    uint32_t from = w->now;
    for (uint32_t i = 1; i <= RKC_LANES; i++) {
        uint32_t to = (from + i) % RKC_LANES;
        if (!can_go_on(&w->lanes[to]))
            continue;
        if (to == from)
            return;
        w->now = to;
        *w->here = &w->lanes[to].at;
        rkc_fiber_switch(&w->lanes[from].fiber, &w->lanes[to].fiber);
        look(w);
        return;
    }
    abort(); // our bug: whoever leaves others waiting alone has failed before
}

static bool alone(const struct warp *w)
{
    for (uint32_t i = 0; i < RKC_LANES; i++)
        if (i != w->now && can_go_on(&w->lanes[i]))
            return false;
    return true;
}

static void rest(uint32_t naps)
{
    if (naps <= YIELDS) {
        sched_yield();
        return;
    }
    uint32_t doubled = (naps - YIELDS) / YIELDS;
    uint64_t ns = doubled < 4 ? (uint64_t)NAP_NS << doubled : NAP_MOST_NS;
    struct timespec t = { 0, (long)(ns < NAP_MOST_NS ? ns : NAP_MOST_NS) };
    nanosleep(&t, NULL);
}

static void nap(uint32_t ns)
{
    struct warp *w = mine;
    (void)ns; // of the device's clock; here others are let run, and who waits for long sleeps
    look(w);
    w->naps++;
    if (alone(w))
        rest(w->naps);
    else if (w->naps % RKC_LANES == 0)
        rest(w->naps / RKC_LANES);
    look(w);
    next(w);
}

// ---- meetings --------------------------------------------------------------------------------------------------------

// By the last lane that came: the warp waits for the other warps.
static void meet_block(struct warp *w, rkd_sim_place at)
{
    struct block *b = w->block;
    uint32_t warps = b->launch->warps, turn = __atomic_load_n(&b->turn, __ATOMIC_SEQ_CST);
    w->place = at;
    if (__atomic_add_fetch(&b->arrived, 1, __ATOMIC_SEQ_CST) == warps) {
        for (uint32_t i = 0; i < warps; i++)
            if (!same(at, b->warps[i].place))
                fail_apart(w, thread_of(&b->warps[i], 0), b->warps[i].place, thread_of(w, 0), at);
        __atomic_store_n(&b->arrived, 0, __ATOMIC_SEQ_CST);
        __atomic_add_fetch(&b->turn, 1, __ATOMIC_SEQ_CST);
        wake_all(&b->turn);
    }
    // Whoever ends looks for those who wait, and whoever waits for those who have ended: one of them sees the other.  Who ended behind this
    // barrier has made its turn another one before.
    if (__atomic_load_n(&b->ended, __ATOMIC_SEQ_CST) && __atomic_load_n(&b->turn, __ATOMIC_SEQ_CST) == turn)
        fail(w, "diverged: a warp has ended while thread %u is at %s:%u", thread_of(w, 0), at.file, at.line);
    while (__atomic_load_n(&b->turn, __ATOMIC_SEQ_CST) == turn)
        wait_while(&b->turn, turn);
    look(w);
    w->barriers++;
}

// By the last lane that came.
static void meet_all(struct warp *w)
{
    const struct lane *first = &w->lanes[0];
    uint32_t votes = 0;
    for (uint32_t i = 0; i < RKC_LANES; i++) {
        const struct lane *l = &w->lanes[i];
        if (l->why != first->why || !same(l->place, first->place))
            fail_apart(w, thread_of(w, 0), first->place, thread_of(w, i), l->place);
        votes |= (uint32_t)(l->value != 0) << i;
    }
    for (uint32_t i = 0; i < RKC_LANES; i++) {
        struct lane *l = &w->lanes[i];
        l->got = l->why == RKD_SIM_SHUFFLE ? w->lanes[l->from % RKC_LANES].value : votes;
    }
    if (first->why == RKD_SIM_BLOCK)
        meet_block(w, first->place);
    for (uint32_t i = 0; i < RKC_LANES; i++)
        w->lanes[i].waits = false;
    w->arrived = w->naps = 0;
    w->meetings++;
}

static uint64_t meet(uint32_t why, uint32_t mask, uint64_t value, uint32_t from, rkd_sim_place at)
{
    struct warp *w = mine;
    struct lane *l = &w->lanes[w->now];
    char *order = why == RKD_SIM_WARP    ? &w->order[w->meetings & 1]
                  : why == RKD_SIM_BLOCK ? &w->block->order[w->barriers & 1]
                                         : NULL;
    look(w);
    l->why = why;
    l->value = value;
    l->from = from;
    l->place = at;
    if (mask != 0xffffffffu)
        fail(w, "a meeting of a part of a warp is not simulated: mask %08x at %s:%u", mask, at.file, at.line);
    for (uint32_t i = 0; w->ended && i < RKC_LANES; i++)
        if (w->lanes[i].ended)
            fail_ended(w, i, w->now);
    if (order)
        order_before(order);
    l->waits = true;
    if (++w->arrived == RKC_LANES)
        meet_all(w);
    while (l->waits)
        next(w);
    if (order)
        order_behind(order);
    return l->got;
}

static void *shared(size_t bytes, rkd_sim_place at)
{
    struct warp *w = mine;
    struct lane *l = &w->lanes[w->now];
    size_t begin = l->shared, end = begin + ((bytes + 15) & ~(size_t)15);
    look(w);
    if (end > RKD_SIM_SHARED_BYTES)
        fail(w, "%zu bytes of shared memory, of at most %d: %s:%u", end, RKD_SIM_SHARED_BYTES, at.file, at.line);
    l->shared = end;
    return w->block->shared + begin;
}

static uint64_t now_ns(void)
{
    uint64_t (*test)(void) = __atomic_load_n(&test_clock, __ATOMIC_SEQ_CST);
    return test ? test() : monotonic_ns();
}

void rkc_sim_clock(uint64_t (*clock)(void))
{
    __atomic_store_n(&test_clock, clock, __ATOMIC_SEQ_CST);
}

const rkd_sim_calls *rkc_sim_calls(void)
{
    static const rkd_sim_calls calls = { RKD_SIM_ABI, sizeof calls, meet, nap, now_ns, shared };
    return &calls;
}

// ---- threads ---------------------------------------------------------------------------------------------------------

static void lane_main(void *arg)
{
    struct warp *w = arg;
    struct block *b = w->block;
    struct lane *l;
    order_behind(&w->life[0]);
    look(w);
    b->launch->program.main(b->launch->actors);
    l = &w->lanes[w->now];
    l->ended = true;
    order_before(&w->life[1]);
    if (w->arrived)
        for (uint32_t i = 0; i < RKC_LANES; i++)
            if (w->lanes[i].waits)
                fail_ended(w, w->now, i);
    if (++w->ended < RKC_LANES)
        next(w);
    __atomic_add_fetch(&b->ended, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&b->arrived, __ATOMIC_SEQ_CST))
        fail(w, "diverged: threads %u to %u have ended while others of their block are at a barrier", thread_of(w, 0),
             thread_of(w, RKC_LANES - 1));
    leave(w);
}

static void *warp_main(void *arg)
{
    struct warp *w = arg;
    rkc_launch *l = w->block->launch;
    while (__atomic_load_n(&l->gate, __ATOMIC_SEQ_CST) == 0)
        wait_while(&l->gate, 0);
    mine = w;
    w->here = l->program.here();
    rkc_fiber_of_thread(&w->home);
    order_before(&w->life[0]);
    // The first one comes back when all have ended; behind a failure each leaves for itself, those before the one that came back as well.
    for (uint32_t i = 0; i < 2 * RKC_LANES; i++)
        if (!w->lanes[i % RKC_LANES].ended) {
            w->now = i % RKC_LANES;
            *w->here = &w->lanes[w->now].at;
            rkc_fiber_switch(&w->home, &w->lanes[w->now].fiber);
        }
    order_behind(&w->life[1]);
    __atomic_sub_fetch(&l->running, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void release(rkc_launch *l)
{
    for (uint32_t i = 0; l->all_warps && i < l->blocks * l->warps; i++)
        for (uint32_t k = 0; k < RKC_LANES; k++)
            rkc_fiber_free(&l->all_warps[i].lanes[k].fiber);
    free(l->all_shared);
    free(l->all_warps);
    free(l->all);
    free(l);
}

static bool make_warp(rkc_launch *l, uint32_t block, uint32_t number)
{
    struct warp *w = &l->all[block].warps[number];
    w->block = &l->all[block];
    w->number = number;
    for (uint32_t i = 0; i < RKC_LANES; i++) {
        w->lanes[i].at = (rkd_sim_at){ .thread = { number * RKC_LANES + i, 0, 0 },
                                       .block = { block, 0, 0 },
                                       .threads = { l->warps * RKC_LANES, 1, 1 },
                                       .blocks = { l->blocks, 1, 1 } };
        if (!rkc_fiber_new(&w->lanes[i].fiber, lane_main, w))
            return false;
    }
    return true;
}

// All that it takes but threads.
static rkc_launch *make(const rkc_program *p, uint32_t blocks, uint32_t warps, const void *actors)
{
    rkc_launch *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    *l = (rkc_launch){ .program = *p, .actors = actors, .blocks = blocks, .warps = warps };
    l->all = calloc(blocks, sizeof *l->all);
    l->all_warps = calloc((size_t)blocks * warps, sizeof *l->all_warps);
    l->all_shared = aligned_alloc(64, (size_t)blocks * RKD_SIM_SHARED_BYTES);
    if (!l->all || !l->all_warps || !l->all_shared)
        goto failed;
    memset(l->all_shared, 0xa5, (size_t)blocks * RKD_SIM_SHARED_BYTES); // what a program has not written is not 0
    for (uint32_t b = 0; b < blocks; b++) {
        l->all[b].launch = l;
        l->all[b].warps = l->all_warps + (size_t)b * warps;
        l->all[b].shared = l->all_shared + (size_t)b * RKD_SIM_SHARED_BYTES;
        for (uint32_t w = 0; w < warps; w++)
            if (!make_warp(l, b, w))
                goto failed;
    }
    return l;
failed:
    release(l);
    return NULL;
}

static void go(rkc_launch *l)
{
    __atomic_store_n(&l->gate, 1, __ATOMIC_SEQ_CST);
    wake_all(&l->gate);
}

rkc_launch *rkc_launch_start(const rkc_program *p, uint32_t blocks, uint32_t threads, const void *actors)
{
    rkc_launch *l = make(p, blocks, threads / RKC_LANES, actors);
    sigset_t all, old;
    uint32_t made = 0, n = blocks * (threads / RKC_LANES);
    if (!l)
        return NULL;
    l->running = n;
    sigfillset(&all); // signals are for others
    pthread_sigmask(SIG_BLOCK, &all, &old);
    while (made < n && pthread_create(&l->all_warps[made].thread, NULL, warp_main, &l->all_warps[made]) == 0)
        made++;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (made == n) {
        go(l);
        return l;
    }
    rkc_launch_abort(l);
    go(l);
    for (uint32_t i = 0; i < made; i++)
        pthread_join(l->all_warps[i].thread, NULL);
    release(l);
    return NULL;
}

bool rkc_launch_over(const rkc_launch *l)
{
    return __atomic_load_n(&l->running, __ATOMIC_SEQ_CST) == 0;
}

bool rkc_launch_free(rkc_launch *l, uint64_t wait_ns, char *why, size_t n)
{
    uint64_t until = monotonic_ns() + wait_ns;
    while (!rkc_launch_over(l)) {
        if (monotonic_ns() >= until)
            return false;
        nanosleep(&(struct timespec){ 0, NAP_NS }, NULL);
    }
    for (uint32_t i = 0; i < l->blocks * l->warps; i++)
        pthread_join(l->all_warps[i].thread, NULL);
    snprintf(why, n, "%s", l->why);
    release(l);
    return true;
}
