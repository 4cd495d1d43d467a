// The ring's memory orders, tested by weakening them: built once as it is and four times with one of P1 C1 C2 P2 taken
// down to relaxed.  ThreadSanitizer must stay silent on the first and report a race on each of the others.  Two slots
// and a payload behind a pointer make the races frequent.  With SOME all of it once more by push_some and pop_some.
#include "flow/ring.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

// Where the threads share a core with others, two messages take milliseconds: then they stop early.
enum { MESSAGES = 200000, SLOTS = 2, MOST_S = 3 };

static uint64_t payload[SLOTS * 2]; // written by the producer before the push, read by the consumer before the release

static uint64_t total = MESSAGES; // atomic, relaxed: orders nothing

static void *produce(void *arg)
{
    rki_ring *r = arg;
    time_t begin = time(NULL);
    for (uint64_t i = 0; i < MESSAGES;) {
        if (!rki_ring_room(r, 1))
            continue;
        if (i % 64 == 63 && time(NULL) > begin + MOST_S) {
            __atomic_store_n(&total, i, __ATOMIC_RELAXED);
            break;
        }
#ifdef SOME
        rkp_envelope some[SLOTS] = { { .seq = i, .payload = i % (SLOTS * 2) },
                                     { .seq = i + 1, .payload = (i + 1) % (SLOTS * 2) } };
        uint64_t n = rki_ring_room(r, 2) > 1 && i % 3 && i + 1 < MESSAGES ? 2 : 1;
        for (uint64_t k = 0; k < n; k++)
            payload[some[k].payload] = i + k;
        i += rki_ring_push_some(r, some, n);
#else
        rkp_envelope *e = rki_ring_reserve(r, 0);
        e->seq = i;
        e->payload = i % (SLOTS * 2);
        payload[e->payload] = i;
        rki_ring_publish(r, 1);
        i++;
#endif
    }
    return NULL;
}

int main(void)
{
    rki_ring *r = aligned_alloc(64, rki_ring_bytes(SLOTS));
    pthread_t t;
    uint64_t wrong = 0;
    if (!r || !rki_ring_init(r, SLOTS) || pthread_create(&t, NULL, produce, r) != 0)
        return 2;
    for (uint64_t i = 0; i < __atomic_load_n(&total, __ATOMIC_RELAXED);) {
#ifdef SOME
        rkp_envelope some[SLOTS];
        uint64_t n = rki_ring_pop_some(r, some, SLOTS);
        for (uint64_t k = 0; k < n; k++, i++)
            wrong += some[k].seq != i || payload[some[k].payload] != i;
#else
        if (!rki_ring_ready(r))
            continue;
        const rkp_envelope *e = rki_ring_peek(r, 0);
        wrong += e->seq != i || payload[e->payload] != i;
        rki_ring_release(r, 1);
        i++;
#endif
    }
    pthread_join(t, NULL);
    free(r);
    printf("%llu wrong\n", (unsigned long long)wrong);
    return wrong ? 1 : 0;
}
