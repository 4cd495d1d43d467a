// queue ROUNDS [--json]: the engine's ring beside a bare ring, ck_ring and boost's queue: 64-byte messages between two threads on two
// cores.  How many there and then, one at a time and in bursts of 32; and how long one takes, when nothing else is on the way:
// half of the time there and back over two queues, beside a cache line that is handed to and fro.  Contenders take turns in every
// round; medians of the figures, and of the ratios round by round, because two cores of a virtual machine can be near or far from
// one run to the next.
//
// The bare ring is the same idea with nothing around it: cached indices, no burst interface, no reserve and publish.
#include "queue.h"
#include "flow/ring.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#ifdef HAVE_CK
#include <ck_ring.h>
#endif

enum { MESSAGES = 2000000, TRIPS = 50000, MAX_ROUNDS = 101, RESTS = 4096 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

// ---- the engine's ring ----------------------------------------------------------------------------------------------

static void *ours_make(void)
{
    rki_ring *r = aligned_alloc(64, rki_ring_bytes(QUEUE_SLOTS));
    return r && rki_ring_init(r, QUEUE_SLOTS) ? r : NULL;
}
static unsigned ours_push(void *q, const struct message *m, unsigned n)
{
    return (unsigned)rki_ring_push_some(q, (const rkp_envelope *)(const void *)m, n);
}
static unsigned ours_pop(void *q, struct message *m, unsigned n)
{
    return (unsigned)rki_ring_pop_some(q, (rkp_envelope *)(void *)m, n);
}
static const struct queue_kind ours = { "rkpipe", ours_make, free, ours_push, ours_pop };

// ---- a bare ring ----------------------------------------------------------------------------------------------------

struct bare {
    _Alignas(64) _Atomic uint64_t tail;
    uint64_t head_seen;
    _Alignas(64) _Atomic uint64_t head;
    uint64_t tail_seen;
    _Alignas(64) struct message slot[QUEUE_SLOTS];
};

static void *bare_make(void)
{
    struct bare *b = aligned_alloc(64, sizeof *b);
    if (b)
        memset(b, 0, sizeof *b);
    return b;
}
static unsigned bare_push(void *q, const struct message *m, unsigned n)
{
    struct bare *b = q;
    uint64_t tail = atomic_load_explicit(&b->tail, memory_order_relaxed);
    if (tail - b->head_seen + n > QUEUE_SLOTS)
        b->head_seen = atomic_load_explicit(&b->head, memory_order_acquire);
    if (tail - b->head_seen + n > QUEUE_SLOTS)
        n = (unsigned)(QUEUE_SLOTS - (tail - b->head_seen));
    for (unsigned i = 0; i < n; i++)
        b->slot[(tail + i) % QUEUE_SLOTS] = m[i];
    if (n)
        atomic_store_explicit(&b->tail, tail + n, memory_order_release);
    return n;
}
static unsigned bare_pop(void *q, struct message *m, unsigned n)
{
    struct bare *b = q;
    uint64_t head = atomic_load_explicit(&b->head, memory_order_relaxed);
    if (b->tail_seen == head)
        b->tail_seen = atomic_load_explicit(&b->tail, memory_order_acquire);
    if (b->tail_seen - head < n)
        n = (unsigned)(b->tail_seen - head);
    for (unsigned i = 0; i < n; i++)
        m[i] = b->slot[(head + i) % QUEUE_SLOTS];
    if (n)
        atomic_store_explicit(&b->head, head + n, memory_order_release);
    return n;
}
static const struct queue_kind bare = { "bare", bare_make, free, bare_push, bare_pop };

// ---- ck_ring --------------------------------------------------------------------------------------------------------

#ifdef HAVE_CK
CK_RING_PROTOTYPE(message, message)

struct ck {
    ck_ring_t ring;
    struct message slot[QUEUE_SLOTS];
};

static void *ck_make(void)
{
    struct ck *c = aligned_alloc(64, (sizeof *c + 63) & ~(size_t)63);
    if (c)
        ck_ring_init(&c->ring, QUEUE_SLOTS);
    return c;
}
static unsigned ck_push(void *q, const struct message *m, unsigned n)
{
    struct ck *c = q;
    unsigned i = 0;
    while (i < n && CK_RING_ENQUEUE_SPSC(message, &c->ring, c->slot, (struct message *)(uintptr_t)&m[i]))
        i++;
    return i;
}
static unsigned ck_pop(void *q, struct message *m, unsigned n)
{
    struct ck *c = q;
    unsigned i = 0;
    while (i < n && CK_RING_DEQUEUE_SPSC(message, &c->ring, c->slot, &m[i]))
        i++;
    return i;
}
static const struct queue_kind ck = { "ck_ring", ck_make, free, ck_push, ck_pop };
#endif

static const struct queue_kind *const kinds[] = {
    &ours,
    &bare,
#ifdef HAVE_CK
    &ck,
#endif
#ifdef HAVE_BOOST
    &queue_boost,
#endif
};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

// ---- a run ----------------------------------------------------------------------------------------------------------

struct run {
    const struct queue_kind *kind;
    void *queue, *back;
    unsigned burst;
};

static cpu_set_t may; // the cores that this process had at its start

// The n-th of them; where there is only one, it is shared.
static void stay_on(unsigned n)
{
    cpu_set_t one;
    if (CPU_COUNT(&may) < 2)
        return;
    for (unsigned c = 0; c < CPU_SETSIZE; c++) {
        if (!CPU_ISSET(c, &may) || n--)
            continue;
        CPU_ZERO(&one);
        CPU_SET(c, &one);
        pthread_setaffinity_np(pthread_self(), sizeof one, &one);
        return;
    }
}

// Nothing to do, again: after a while the other one may need this core.
static void look_again(unsigned *times)
{
    if (++*times % RESTS == 0)
        sched_yield();
}

static void rest(unsigned *times)
{
    __builtin_ia32_pause();
    look_again(times);
}

static void *produce(void *arg)
{
    struct run *r = arg;
    struct message m[32] = { { { 0 } } };
    unsigned rests = 0;
    stay_on(1);
    for (uint64_t i = 0; i < MESSAGES;) {
        unsigned n = 0;
        for (unsigned k = 0; k < r->burst; k++)
            m[k].word[0] = i + k;
        while (n < r->burst) {
            unsigned got = r->kind->push(r->queue, m + n, r->burst - n);
            n += got;
            if (!got)
                rest(&rests);
        }
        i += n;
    }
    return NULL;
}

// Millions of messages a second; 0 when something is wrong.
static double rate(const struct queue_kind *kind, unsigned burst)
{
    struct run r = { .kind = kind, .queue = kind->make(), .burst = burst };
    struct message m[32];
    unsigned rests = 0;
    pthread_t t;
    double begin = now();
    uint64_t next = 0, wrong = 0;
    if (!r.queue || pthread_create(&t, NULL, produce, &r) != 0)
        return 0;
    while (next < MESSAGES) {
        unsigned n = kind->pop(r.queue, m, burst);
        if (!n)
            rest(&rests);
        for (unsigned k = 0; k < n; k++)
            wrong += m[k].word[0] != next++;
    }
    pthread_join(t, NULL);
    kind->drop(r.queue);
    return wrong ? 0 : MESSAGES / (now() - begin) / 1e6;
}

// ---- one message there and back -------------------------------------------------------------------------------------

static _Alignas(128) _Atomic uint64_t line; // handed to and fro

static void *give_back(void *arg)
{
    struct run *r = arg;
    struct message m;
    unsigned looks = 0;
    stay_on(1);
    for (uint64_t i = 0; i < TRIPS; i++) {
        if (!r->kind) {
            while (atomic_load_explicit(&line, memory_order_acquire) != 2 * i + 1)
                look_again(&looks);
            atomic_store_explicit(&line, 2 * i + 2, memory_order_release);
            continue;
        }
        while (!r->kind->pop(r->queue, &m, 1))
            look_again(&looks);
        while (!r->kind->push(r->back, &m, 1))
            look_again(&looks);
    }
    return NULL;
}

static int by_ticks(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

// Nanoseconds one way, the median; kind NULL: of the line.  0 when something is wrong.
static double latency(const struct queue_kind *kind)
{
    static uint64_t took[TRIPS];
    struct run r = { .kind = kind, .queue = kind ? kind->make() : NULL, .back = kind ? kind->make() : NULL };
    struct message m = { { 0 } };
    uint64_t wrong = 0, first;
    unsigned looks = 0;
    double begin;
    pthread_t t;
    atomic_store(&line, 0);
    if ((kind && (!r.queue || !r.back)) || pthread_create(&t, NULL, give_back, &r) != 0)
        return 0;
    begin = now();
    first = __builtin_ia32_rdtsc();
    for (uint64_t i = 0; i < TRIPS; i++) {
        uint64_t from = __builtin_ia32_rdtsc();
        if (kind) {
            m.word[0] = i;
            while (!kind->push(r.queue, &m, 1))
                look_again(&looks);
            while (!kind->pop(r.back, &m, 1))
                look_again(&looks);
            wrong += m.word[0] != i;
        } else {
            atomic_store_explicit(&line, 2 * i + 1, memory_order_release);
            while (atomic_load_explicit(&line, memory_order_acquire) != 2 * i + 2)
                look_again(&looks);
        }
        took[i] = __builtin_ia32_rdtsc() - from;
    }
    begin = (now() - begin) * 1e9 / (double)(__builtin_ia32_rdtsc() - first); // ns a tick
    pthread_join(t, NULL);
    if (kind) {
        kind->drop(r.queue);
        kind->drop(r.back);
    }
    qsort(took, TRIPS, sizeof *took, by_ticks);
    return wrong ? 0 : (double)took[TRIPS / 2] * begin / 2;
}

// ---- figures --------------------------------------------------------------------------------------------------------

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, by_value);
    return v[n / 2];
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 5;
    static double got[2][N_KINDS][MAX_ROUNDS], way[N_KINDS + 1][MAX_ROUNDS];
    static const unsigned bursts[2] = { 1, 32 };
    if (rounds < 1 || rounds > MAX_ROUNDS)
        return 64;
    sched_getaffinity(0, sizeof may, &may);
    stay_on(0);
    for (int i = 0; i < rounds; i++) {
        for (int b = 0; b < 2; b++)
            for (int k = 0; k < N_KINDS; k++)
                got[b][k][i] = rate(kinds[k], bursts[b]);
        for (int k = 0; k <= N_KINDS; k++)
            way[k][i] = latency(k < N_KINDS ? kinds[k] : NULL);
    }
    if (argc > 2 && strcmp(argv[2], "--json") == 0) {
        for (int b = 0; b < 2; b++) {
            printf("%s\"%u\":{", b ? "," : "{", bursts[b]);
            for (int k = 0; k < N_KINDS; k++)
                printf("%s\"%s\":%.2f", k ? "," : "", kinds[k]->name, median(got[b][k], rounds));
            printf("}");
        }
        printf(",\"way_ns\":{\"line\":%.1f", median(way[N_KINDS], rounds));
        for (int k = 0; k < N_KINDS; k++)
            printf(",\"%s\":%.1f", kinds[k]->name, median(way[k], rounds));
        printf("}}\n");
        return 0;
    }
    printf("queue: %d rounds of %d messages of 64 bytes between two threads, median\n", rounds, MESSAGES);
    for (int b = 0; b < 2; b++) {
        for (int k = 0; k < N_KINDS; k++) {
            double ratio[MAX_ROUNDS];
            for (int i = 0; i < rounds; i++)
                ratio[i] = got[b][k][i] > 0 ? got[b][0][i] / got[b][k][i] : 0;
            double rates[MAX_ROUNDS];
            memcpy(rates, got[b][k], sizeof rates);
            printf("  burst %2u  %-8s %7.1f M/s   rkpipe is %.2fx\n", bursts[b], kinds[k]->name, median(rates, rounds),
                   median(ratio, rounds));
        }
    }
    for (int k = 0; k <= N_KINDS; k++) {
        double ratio[MAX_ROUNDS], ns[MAX_ROUNDS];
        for (int i = 0; i < rounds; i++)
            ratio[i] = way[k][i] > 0 ? way[0][i] / way[k][i] : 0;
        memcpy(ns, way[k], sizeof ns);
        printf("  one way   %-8s %7.1f ns    rkpipe is %.2fx\n", k < N_KINDS ? kinds[k]->name : "a line",
               median(ns, rounds), median(ratio, rounds));
    }
    return 0;
}
