// hop_bare N: the hop benchmark with nothing but rings: one producer and one consumer each, batches of 32, one thread
// that takes the stages in turn. Stages are called through a pointer per message, as an engine must. No stamps, no
// counters.
#include "hop.h"
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { SLOTS = 256, BATCH = 32 };

struct ring {
    _Alignas(64) _Atomic uint64_t tail; // producer
    uint64_t head_seen;
    _Alignas(64) _Atomic uint64_t head; // consumer
    uint64_t tail_seen;
    _Alignas(64) struct row64 slot[SLOTS];
};

static uint64_t ring_room(struct ring *r, uint64_t tail)
{
    if (SLOTS - (tail - r->head_seen) < BATCH)
        r->head_seen = atomic_load_explicit(&r->head, memory_order_acquire);
    return SLOTS - (tail - r->head_seen);
}
static uint64_t ring_fill(struct ring *r, uint64_t head)
{
    if (r->tail_seen == head)
        r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
    return r->tail_seen - head;
}

struct stage {
    void (*call)(struct stage *, struct row64 *);
    struct ring *in, *out;
    uint64_t state;
};

static void make(struct stage *s, struct row64 *m)
{
    hop_make(m, s->state++);
}
static void add(struct stage *s, struct row64 *m)
{
    (void)s;
    hop_add(m);
}
static void mix(struct stage *s, struct row64 *m)
{
    (void)s;
    hop_mix(m);
}
static void keep(struct stage *s, struct row64 *m)
{
    hop_keep(&s->state, m);
}

static uint64_t step(struct stage *s, uint64_t most) // moves one batch; returns how many messages
{
    uint64_t n = most < BATCH ? most : BATCH, head = 0, tail = 0, room, fill;

    if (s->in) {
        head = atomic_load_explicit(&s->in->head, memory_order_relaxed);
        fill = ring_fill(s->in, head);
        n = n < fill ? n : fill;
    }
    if (s->out) {
        tail = atomic_load_explicit(&s->out->tail, memory_order_relaxed);
        room = ring_room(s->out, tail);
        n = n < room ? n : room;
    }
    for (uint64_t i = 0; i < n; i++) {
        struct row64 *from = s->in ? &s->in->slot[(head + i) % SLOTS] : NULL;
        struct row64 *to = s->out ? &s->out->slot[(tail + i) % SLOTS] : from;
        if (from && to != from)
            *to = *from;
        s->call(s, to);
    }
    if (s->in)
        atomic_store_explicit(&s->in->head, head + n, memory_order_release);
    if (s->out)
        atomic_store_explicit(&s->out->tail, tail + n, memory_order_release);
    return n;
}

int main(int argc, char **argv)
{
    static struct ring ring[HOPS];
    struct stage stage[STAGES] = { { make, NULL, &ring[0], 0 },
                                   { add, &ring[0], &ring[1], 0 },
                                   { mix, &ring[1], &ring[2], 0 },
                                   { keep, &ring[2], NULL, 0 } };
    struct timespec from, to;
    uint64_t n = argc == 2 ? strtoull(argv[1], NULL, 10) : 0, made = 0, kept = 0;

    if (n == 0) {
        fprintf(stderr, "usage: hop_bare N\n");
        return 64;
    }
    clock_gettime(CLOCK_MONOTONIC, &from);
    while (kept < n) {
        made += step(&stage[0], n - made);
        step(&stage[1], BATCH);
        step(&stage[2], BATCH);
        kept += step(&stage[3], BATCH);
    }
    clock_gettime(CLOCK_MONOTONIC, &to);
    double ns = (double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec);
    printf("{\"ns_per_message\": %.3f, \"check\": %llu}\n", ns / (double)n, (unsigned long long)stage[3].state);
    return 0;
}
