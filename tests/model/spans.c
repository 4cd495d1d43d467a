// The orders of the queue of spans, tested by weakening them: ThreadSanitizer must stay silent as it is and report a race with any of S1 S2
// S3 S4 relaxed.  Two producers, one consumer, four slots: every span that was put is taken once, whole, and in its producer's order; what found
// no room is counted.
#include "watch/spans.c"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

// Where the threads share a core with others it takes long: then they stop early.
enum { PRODUCERS = 2, SPANS = 100000, SLOTS = 4, MOST_S = 3 };

static uint64_t payload[PRODUCERS][SPANS + 1]; // written before the span is put, read by who takes it
static uint64_t put, over;                     // atomic, relaxed: they order nothing

struct producer {
    rki_spans *q;
    uint64_t which;
};

static void *produce(void *arg)
{
    const struct producer *p = arg;
    time_t begin = time(NULL);

    for (uint64_t i = 1; i <= SPANS && (i % 64 != 63 || time(NULL) <= begin + MOST_S); i++) {
        const rki_span s = { .trace = p->which, .id = i, .parent = i * 3, .start_ns = i * 5, .rows_out = i * 7 };

        payload[p->which][i] = i + p->which;
        if (rki_spans_put(p->q, &s))
            __atomic_fetch_add(&put, 1, __ATOMIC_RELAXED);
    }
    __atomic_fetch_add(&over, 1, __ATOMIC_RELAXED);
    return NULL;
}

static bool check(const rki_span *s, uint64_t last[PRODUCERS])
{
    bool whole = s->trace < PRODUCERS && s->id && s->id <= SPANS && s->parent == s->id * 3 &&
                 s->start_ns == s->id * 5 && s->rows_out == s->id * 7;
    bool ok = whole && s->id > last[s->trace] && payload[s->trace][s->id] == s->id + s->trace;

    if (whole)
        last[s->trace] = s->id;
    return ok;
}

int main(void)
{
    rki_spans *q = rki_spans_new(SLOTS);
    struct producer p[PRODUCERS] = { { q, 0 }, { q, 1 } };
    uint64_t last[PRODUCERS] = { 0 }, taken = 0, wrong = 0;
    pthread_t t[PRODUCERS];
    rki_span s;
    bool ended = false;

    for (int i = 0; i < PRODUCERS; i++)
        if (!q || pthread_create(&t[i], NULL, produce, &p[i]) != 0)
            return 2;
    for (;;) {
        if (rki_spans_take(q, &s)) {
            taken++;
            wrong += !check(&s, last);
        } else if (ended) {
            break;
        } else if (__atomic_load_n(&over, __ATOMIC_RELAXED) == PRODUCERS) { // then once more
            for (int i = 0; i < PRODUCERS; i++)
                pthread_join(t[i], NULL);
            ended = true;
        }
    }
    printf("%llu put, %llu taken, %llu dropped, %llu wrong\n", (unsigned long long)put, (unsigned long long)taken,
           (unsigned long long)rki_spans_dropped(q), (unsigned long long)wrong);
    wrong += put != taken || put == 0;
    rki_spans_free(q);
    return wrong != 0;
}
