// The orders of the second kind of ring (`overflow: drop_oldest`), tested by weakening them, as ring.c does for the first.
//
// Without arguments nobody takes anything back, so the words of a slot are never read while they are written, and the build has them plain:
// ThreadSanitizer must stay silent as it is and report a race with any of P1 C1 P2 S1 relaxed.
// `evict` (a build with the words as they are in the engine): the producer takes back what does not fit.  Every message is taken
// once, by one side, whole and in order.
#ifdef PLAIN_WORDS
#define RKI_SLOT_LOAD(p)     (*(p))
#define RKI_SLOT_STORE(p, v) (*(p) = (v))
#endif
#include "flow/ring.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// Where the threads share a core with others, two messages take milliseconds: then they stop early.
enum { MESSAGES = 200000, SLOTS = 2, MOST_S = 3 };

static uint64_t payload[MESSAGES]; // written before the message is put, read by who takes it
static uint64_t wrong;             // atomic
static uint8_t taken[MESSAGES];    // atomic: how often
static uint64_t total = MESSAGES;  // atomic, relaxed: orders nothing
static bool evicting;

static void check(const rkp_envelope *e, uint64_t *last)
{
    bool whole = e->seq < MESSAGES && e->payload == e->seq * 3 && e->stamp == e->seq * 5 && e->chunk == e->seq * 7;
    if (!whole || payload[e->seq] != e->seq + 1 || (*last && e->seq < *last) ||
        __atomic_fetch_add(&taken[whole ? e->seq : 0], 1, __ATOMIC_RELAXED))
        __atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
    *last = e->seq + 1;
}

static void *produce(void *arg)
{
    rki_ring *r = arg;
    uint64_t last = 0;
    time_t begin = time(NULL);
    for (uint64_t i = 0; i < MESSAGES;) {
        if (i % 64 == 63 && time(NULL) > begin + MOST_S) {
            __atomic_store_n(&total, i, __ATOMIC_RELAXED);
            break;
        }
        rkp_envelope e = { .seq = i, .payload = i * 3, .stamp = i * 5, .chunk = i * 7 }, old;
        uint64_t at;
        payload[i] = i + 1;
        if (rki_ring_put(r, &e)) {
            i++;
            continue;
        }
        if (evicting && rki_ring_look(r, &at, &old) && rki_ring_claim(r, at))
            check(&old, &last);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    rki_ring *r = aligned_alloc(64, rki_ring_bytes(SLOTS));
    pthread_t t;
    uint64_t last = 0, missing = 0;
    evicting = argc > 1 && strcmp(argv[1], "evict") == 0;
    if (!r || !rki_ring_init(r, SLOTS) || pthread_create(&t, NULL, produce, r) != 0)
        return 2;
    while (last < __atomic_load_n(&total, __ATOMIC_RELAXED)) {
        rkp_envelope e;
        uint64_t at;
        if (rki_ring_look(r, &at, &e) && rki_ring_claim(r, at))
            check(&e, &last);
        else if (evicting && __atomic_load_n(&taken[__atomic_load_n(&total, __ATOMIC_RELAXED) - 1], __ATOMIC_RELAXED))
            break; // never: the last one is not taken back
    }
    pthread_join(t, NULL);
    for (uint64_t i = 0; i < total; i++)
        missing += !taken[i];
    free(r);
    printf("%llu wrong, %llu missing\n", (unsigned long long)wrong, (unsigned long long)missing);
    return wrong || missing ? 1 : 0;
}
