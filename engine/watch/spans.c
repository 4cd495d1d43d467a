// spans.c - a bounded queue of spans with many producers, and ids.
#include "watch/spans.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

// The orders have names so that a test can weaken them (tests/model/spans.c).
#ifndef RKI_SPANS_S1
#define RKI_SPANS_S1 __ATOMIC_RELEASE
#endif
#ifndef RKI_SPANS_S2
#define RKI_SPANS_S2 __ATOMIC_ACQUIRE
#endif
#ifndef RKI_SPANS_S3
#define RKI_SPANS_S3 __ATOMIC_RELEASE
#endif
#ifndef RKI_SPANS_S4
#define RKI_SPANS_S4 __ATOMIC_ACQUIRE
#endif

struct slot {
    uint64_t turn; // atomic
    rki_span span;
} __attribute__((aligned(64)));

struct rki_spans {
    struct slot *slots;
    uint64_t mask, high, salt;
    uint64_t tail __attribute__((aligned(64))); // atomic
    uint64_t dropped, n_ids;                    // atomic
    uint64_t head __attribute__((aligned(64))); // the consumer's
};

// ---- ids ------------------------------------------------------------------------------------------------------------

// Where chance cannot be had, the clock and the process must do: nobody's safety depends on an id.
static uint64_t chance(uint64_t salt)
{
    struct timespec t;
    uint64_t v;

    if (getrandom(&v, sizeof v, GRND_NONBLOCK) == sizeof v)
        return v;
    clock_gettime(CLOCK_REALTIME, &t);
    return ((uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec) * (salt | 1) + (uint64_t)getpid();
}

// A bijection of 64 bits (the finalizer of splitmix64, Steele et al. 2014).
static uint64_t mix(uint64_t v)
{
    v = (v ^ (v >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    v = (v ^ (v >> 27)) * UINT64_C(0x94d049bb133111eb);
    return v ^ (v >> 31);
}

uint64_t rki_spans_high(const rki_spans *q)
{
    return q->high;
}

uint64_t rki_spans_id(rki_spans *q)
{
    // Relaxed: a number that nobody else gets, and nothing more.
    uint64_t id = mix(__atomic_fetch_add(&q->n_ids, 1, __ATOMIC_RELAXED) ^ q->salt);

    return id ? id : mix(UINT64_MAX ^ q->salt); // one number gives 0, and nobody counts to that one
}

// ---- the queue ------------------------------------------------------------------------------------------------------

rki_spans *rki_spans_new(uint32_t slots)
{
    rki_spans *q = aligned_alloc(64, sizeof *q);

    if (!q)
        return NULL;
    memset(q, 0, sizeof *q);
    q->mask = slots - 1;
    q->high = chance(1);
    q->high += q->high == 0;
    q->salt = chance(q->high);
    q->slots = aligned_alloc(64, slots * sizeof *q->slots);
    if (!q->slots) {
        free(q);
        return NULL;
    }
    for (uint32_t i = 0; i < slots; i++)
        q->slots[i].turn = i;
    return q;
}

void rki_spans_free(rki_spans *q)
{
    if (q)
        free(q->slots);
    free(q);
}

bool rki_spans_put(rki_spans *q, const rki_span *s)
{
    // Relaxed: a guess, which the slot's turn and the swap correct.
    uint64_t at = __atomic_load_n(&q->tail, __ATOMIC_RELAXED);

    for (;;) {
        struct slot *k = &q->slots[at & q->mask];
        // S4, from S3: the consumer has read what was there.  Without it we could write over what it still copies.
        uint64_t turn = __atomic_load_n(&k->turn, RKI_SPANS_S4);

        if (turn == at) {
            // Relaxed: it only says whose the slot is; what is in it goes by its turn.
            if (!__atomic_compare_exchange_n(&q->tail, &at, at + 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
                continue;
            k->span = *s;
            // S1, to S2: publishes the span.
            __atomic_store_n(&k->turn, at + 1, RKI_SPANS_S1);
            return true;
        }
        if ((int64_t)(turn - at) < 0) { // still that of the round before: full
            __atomic_fetch_add(&q->dropped, 1, __ATOMIC_RELAXED);
            return false;
        }
        at = __atomic_load_n(&q->tail, __ATOMIC_RELAXED); // as above
    }
}

bool rki_spans_take(rki_spans *q, rki_span *out)
{
    struct slot *k = &q->slots[q->head & q->mask];

    // S2, from S1: the span is there.
    if (__atomic_load_n(&k->turn, RKI_SPANS_S2) != q->head + 1)
        return false;
    *out = k->span;
    // S3, to S4: it has been read.
    __atomic_store_n(&k->turn, q->head + q->mask + 1, RKI_SPANS_S3);
    q->head++;
    return true;
}

uint64_t rki_spans_dropped(const rki_spans *q)
{
    return __atomic_load_n(&q->dropped, __ATOMIC_RELAXED); // a count, from which nothing follows
}
