// order: hlc under random schedules: the real rings, the real rules of run/out.c and run/hold.c, and no threads.
//
//   hlc_order SCHEDULES [SEED]     0: every promise held; 1: one did not, and it says which, with the seed of the schedule
//
// A schedule is a random graph of actors (edges go from lower to higher numbers), each with a step that begins and ends, random
// emissions within steps, deliveries, full rings of every policy, a wall clock that jumps, producers that stand still in a step until
// max_skew is over.  Where the real code wakes somebody or looks at the time, another actor may act in the middle of it.
//
// Checked (RELIABILITY.md 2.4): G1 stamps of an actor are unique and grow, and all messages of an emission have the same; G2 each edge gives
// what it was sent in order, gaps only where something was dropped; G3 a stamp is above all that its actor had taken before;
// G4 a subscriber takes growing (stamp, actor), except what `release` counts as late; with G1 that is G5, one order for what
// two subscribers share; nobody waits for an idle producer; and in the end everything has arrived.
//
// hlc_order.cmake builds it again with one rule broken at a time; each must be caught.
#include "run/actor.h"

#include <stdio.h>
#include <stdlib.h>

enum { ACTORS = 7, EDGES = 16, EMISSIONS = 400, MAX_SLOTS = 8, NESTED = 2 };

static uint64_t seed, state;

static uint64_t rnd(void)
{
    uint64_t z = state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static uint32_t below(uint32_t n)
{
    return (uint32_t)(rnd() >> 32) % n;
}

static bool one_in(uint32_t n)
{
    return below(n) == 0;
}

// ---- the world ------------------------------------------------------------------------------------------------------

struct edge {
    rki_edge plan;
    rki_link link, *links[1];
    uint32_t open;
    uint64_t last_seq, last_emission, got, gaps;
    bool any;
};

struct actor {
    rki_runner *r;
    rki_pactor plan;
    rki_kernel kernel;
    rki_bound bound;
    rkp_actor stage, *acts[1];
    rki_wiring wiring;
    rki_inset ins[EDGES];
    rki_outset outs[EDGES];
    uint32_t in_of[EDGES]; // per input: the edge
    bool busy, in_step, woken;
    uint64_t top;                               // largest stamp that it has taken
    uint64_t last_stamp, last_id, out_of_order; // taken; by `release`
    bool any;
    uint64_t stamps[EMISSIONS], low[EMISSIONS]; // per emission: as first seen; what was taken before it
};

static rki_run run;
static struct actor actors[ACTORS];
static struct edge edges[EDGES];
static char *rings[EDGES];
static uint32_t n_actors, n_edges;
static uint64_t mono_ns, wall_us;
static int depth;
static uint64_t published, delivered;

static void broken(const char *what, uint32_t a)
{
    printf("schedule %llu: %s, actor %u\n", (unsigned long long)seed, what, a);
    exit(1);
}

static void act(void);

// In the middle of what somebody does, another one acts.
static void meanwhile(uint32_t chance)
{
    if (depth >= NESTED || !one_in(chance))
        return;
    depth++;
    act();
    depth--;
}

static int64_t wall(void *ctx)
{
    (void)ctx;
    return (int64_t)wall_us;
}

static uint64_t mono(void *ctx)
{
    (void)ctx;
    meanwhile(16);
    return mono_ns;
}

static uint64_t now(void *arg)
{
    (void)arg;
    return mono_ns;
}

static void wake(rkp_backend_run *b, rkp_task *t)
{
    (void)b;
    for (uint32_t i = 0; i < n_actors; i++)
        actors[i].woken |= &actors[i].r->task == t;
    meanwhile(4);
}

static const rkp_backend backend = { .wake = wake };

static void connect(uint32_t from, uint32_t to)
{
    static const uint8_t policies[] = { RKI_OVERFLOW_BLOCK, RKI_OVERFLOW_BLOCK, RKI_OVERFLOW_BLOCK,
                                        RKI_OVERFLOW_DROP_NEWEST, RKI_OVERFLOW_DROP_OLDEST };
    struct edge *e = &edges[n_edges];
    rki_runner *f = actors[from].r, *t = actors[to].r;
    uint64_t slots = 2ull << below(3);
    uint64_t *weights = (uint64_t *)(void *)(rings[n_edges] + rki_ring_bytes(MAX_SLOTS));
    *e = (struct edge){ .plan = { .hlc = true, .overflow = policies[below(sizeof policies)] },
                        .link = { .ring = (rki_ring *)(void *)rings[n_edges],
                                  .from = f,
                                  .to = t,
                                  .byte_limit = 1 << 20,
                                  .weights = weights,
                                  .hlc = true } };
    e->links[0] = &e->link;
    e->link.evicts = e->plan.overflow == RKI_OVERFLOW_DROP_OLDEST;
    rki_ring_init(e->link.ring, slots);
    actors[from].outs[f->n_outs] = (rki_outset){ .edge = &e->plan,
                                                 .links = e->links,
                                                 .n = 1,
                                                 .open = &e->open,
                                                 .box = actors[from].outs[f->n_outs].box,
                                                 .cap_box = actors[from].outs[f->n_outs].cap_box };
    f->n_outs++;
    f->hlc_out = true;
    actors[to].in_of[t->n_ins] = n_edges;
    t->ins[t->n_ins++] = (rki_inset){ .edge = &e->plan, .links = e->links, .n = 1 };
    t->hlc_in = true;
    n_edges++;
}

static void make_world(void)
{
    n_actors = 2 + below(ACTORS - 1);
    n_edges = 0;
    mono_ns = 1 + below(1000);
    wall_us = 1000000;
    run.backend = &backend;
    run.args.now_ns = now;
    rki_clock_init(&run.clock, &(rki_time){ wall, mono, NULL });
    for (uint32_t i = 0; i < n_actors; i++) {
        struct actor *a = &actors[i];
        rki_runner *r = a->r;
        memset(r, 0, sizeof *r);
        a->acts[0] = &a->stage;
        *r = (rki_runner){ .run = &run,
                           .plan = &a->plan,
                           .acts = a->acts,
                           .wiring = &a->wiring,
                           .n_stages = 1,
                           .ins = a->ins,
                           .outs = a->outs,
                           .id = (uint16_t)(n_actors - i) }; // so that ties are broken both ways
        a->plan = (rki_pactor){ .name = "", .replicas = 1 };
        a->kernel = (rki_kernel){ .id = { "a", 1, { 0 } },
                                  .max_skew_ns = 50000000,
                                  .heartbeat_ns = 1000000,
                                  .on_skew = (int[]){ RKI_SKEW_EXCLUDE, RKI_SKEW_EXCLUDE, RKI_SKEW_STRICT,
                                                      RKI_SKEW_RELEASE }[below(4)] };
        a->bound = (rki_bound){ .k = &a->kernel };
        a->stage = (rkp_actor){ .r = r, .run = &run, .bound = &a->bound };
        a->busy = a->in_step = a->any = false;
        a->top = a->last_stamp = a->last_id = a->out_of_order = 0;
        memset(a->stamps, 0, sizeof a->stamps);
        memset(a->low, 0, sizeof a->low);
    }
    for (uint32_t to = 1; to < n_actors; to++)
        for (uint32_t from = 0; from < to; from++)
            if (n_edges < EDGES && (one_in(2) || (from + 1 == to && !actors[to].r->n_ins)))
                connect(from, to);
}

// ---- what actors do -------------------------------------------------------------------------------------------------

static bool empty(const rki_runner *r)
{
    return rki_out_empty(r);
}

static void begin(struct actor *a)
{
    if (a->in_step || __atomic_load_n(&a->r->clock_word, __ATOMIC_RELAXED) != RKI_CLOCK_FREE)
        return;
    if (a->r->hlc_out)
        rki_clock_enter(a->r);
    a->in_step = true;
    rki_look_at_clock(a->r);
}

static void end(struct actor *a)
{
    if (!a->in_step)
        return;
    if (a->r->hlc_out) {
        rki_floors(a->r);
        rki_clock_leave(a->r);
    }
    a->in_step = false;
}

static void publish(struct actor *a)
{
    rki_runner *r = a->r;
    if (!a->in_step || !r->n_outs)
        return;
    if (empty(r) && r->emission + 1 < EMISSIONS) {
        r->emission++;
        a->low[r->emission] = a->top;
        for (uint32_t i = 0; i < r->n_outs; i++) {
            rki_box(r, &r->outs[i], 0, NULL, r->emission, RKP_F_DATA);
            r->outs[i].box[r->outs[i].n_box - 1].env.rows = 1;
        }
        published++;
    }
    rki_flush(r);
}

static uint32_t waiting(const rki_runner *r)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->n_ins; i++)
        n += rki_ring_fill(r->ins[i].links[0]->ring) > 0;
    return n;
}

static bool producers_idle(const rki_runner *r)
{
    for (uint32_t i = 0; i < r->n_ins; i++)
        if (__atomic_load_n(&r->ins[i].links[0]->from->clock_word, __ATOMIC_RELAXED) != RKI_CLOCK_FREE)
            return false;
    return true;
}

static void check(struct actor *a, uint32_t me, struct edge *e, const rkp_envelope *m)
{
    struct actor *from = NULL;
    bool ordered = a->last_stamp < m->stamp || (a->last_stamp == m->stamp && a->last_id < m->actor);
    for (uint32_t i = 0; i < n_actors; i++)
        if (actors[i].r == e->link.from)
            from = &actors[i];
    if (!from || m->actor != from->r->id)
        broken("a message from nobody", me);
    // G1
    if (!from->stamps[m->chunk])
        from->stamps[m->chunk] = m->stamp;
    if (from->stamps[m->chunk] != m->stamp)
        broken("one emission has two stamps", me);
    for (uint64_t i = m->chunk; i-- > 1;) {
        if (!from->stamps[i])
            continue;
        if (from->stamps[i] >= m->stamp)
            broken("the stamps of an actor do not grow (G1)", me);
        break;
    }
    // G2
    if (e->any && (m->seq <= e->last_seq || m->chunk <= e->last_emission))
        broken("an edge gives messages in another order (G2)", me);
    e->gaps += m->seq - (e->any ? e->last_seq + 1 : 0);
    e->last_seq = m->seq;
    e->last_emission = m->chunk;
    e->any = true;
    e->got++;
    // G3
    if (m->stamp <= from->low[m->chunk])
        broken("an effect is not after its cause (G3)", me);
    // G4
    if (a->any && !ordered) {
        if (a->kernel.on_skew != RKI_SKEW_RELEASE)
            broken("out of order (G4)", me);
        a->out_of_order++;
    } else {
        a->last_stamp = m->stamp;
        a->last_id = m->actor;
    }
    a->any = true;
}

// As run/runner.c takes: what was chosen, and nothing else.
static bool take(rki_runner *r, rki_link *k, rkp_envelope *m)
{
    uint64_t at, w;
    if (!k->evicts) {
        w = k->weights[k->ring->head & k->ring->mask];
        if (!rki_ring_pop(k->ring, m))
            return false;
    } else {
        if (!rki_ring_look(k->ring, &at, m))
            return false;
#ifndef TAKE_WHAT_IS_THERE
        if (m->seq != r->hold_seq)
            return false;
#endif
        w = k->weights[at & k->ring->mask];
        if (!rki_ring_claim(k->ring, at))
            return false;
    }
    k->ring->bytes_out += w;
    RKI_ADD(k->got_rows, m->rows);
    rki_hold_took(r, k, m);
    return true;
}

static bool deliver(uint32_t me)
{
    struct actor *a = &actors[me];
    rki_runner *r = a->r;
    bool stepped = false, idle, there, took = false;
    int at;
    if (!r->n_ins)
        return false;
    if (r->hlc_out && !a->in_step) { // who takes is in a step
        begin(a);
        stepped = a->in_step;
        if (!stepped)
            return false;
    }
    idle = producers_idle(r);
    there = waiting(r) > 0;
    a->woken = false;
    at = rki_hold_next(r);
    if (at < 0 && idle && there && !a->woken && producers_idle(r))
        broken("it waits for producers that are idle", me);
    if (at >= 0) {
        struct edge *e = &edges[a->in_of[at]];
        rkp_envelope m;
        meanwhile(8);
        took = take(r, &e->link, &m);
        if (took) {
            check(a, me, e, &m);
            rkp_hlc_merge(&r->clock, m.stamp);
            a->top = m.stamp > a->top ? m.stamp : a->top;
            delivered++;
            if (one_in(2))
                publish(a);
        }
    }
    if (stepped && !one_in(3))
        end(a);
    return took;
}

static void act(void)
{
    uint32_t me = below(n_actors), what = below(100);
    struct actor *a = &actors[me];
    if (what < 8) {
        mono_ns += below(3000); // up to 3 us
    } else if (what < 9) {
        mono_ns += 20000000ull * (1 + below(4));
    } else if (what < 10) {
        wall_us = wall_us + below(2000) - below(2000); // it jumps
        rki_clock_follow(&run.clock);
    } else if (!a->busy) {
        a->busy = true;
        if (what < 25)
            begin(a);
        else if (what < 50)
            publish(a);
        else if (what < 62)
            end(a);
        else
            deliver(me);
        a->busy = false;
    }
}

// Everything that is on its way arrives when nobody begins anything new.
static void finish(void)
{
    for (int round = 0; round < 100000; round++) {
        bool any = false;
        for (uint32_t i = 0; i < n_actors; i++) {
            rki_runner *r = actors[i].r;
            actors[i].busy = true;
            if (!empty(r)) {
                begin(&actors[i]);
                rki_flush(r);
            }
            end(&actors[i]);
            actors[i].busy = false;
        }
        for (uint32_t i = 0; i < n_actors; i++) {
            actors[i].busy = true;
            while (deliver(i))
                any = true;
            end(&actors[i]);
            actors[i].busy = false;
        }
        if (!any) {
            bool left = false;
            for (uint32_t i = 0; i < n_actors; i++)
                left |= !empty(actors[i].r) || waiting(actors[i].r);
            if (!left)
                return;
        }
        mono_ns += 1000;
    }
    broken("something never arrives", 0);
}

static void schedule(void)
{
    make_world();
    for (uint32_t steps = 60 + below(200); steps > 0; steps--)
        act();
    depth = NESTED; // nobody else from here on
    finish();
    depth = 0;
    for (uint32_t i = 0; i < n_edges; i++) {
        const rki_link *k = &edges[i].link;
        uint64_t gone = k->next_seq - edges[i].got, lost = k->overflowed_rows;
        if (k->sent_rows != edges[i].got + lost)
            broken("sent is not received and overflowed", i);
        if (edges[i].plan.overflow == RKI_OVERFLOW_BLOCK && (edges[i].gaps || lost))
            broken("an edge that blocks has lost something (G2)", i);
        if (edges[i].plan.overflow == RKI_OVERFLOW_DROP_OLDEST && gone != lost)
            broken("what was taken back is not what is missing", i);
    }
    for (uint32_t i = 0; i < n_actors; i++) {
        uint64_t late = 0;
        for (uint32_t j = 0; j < actors[i].r->n_ins; j++)
            late += actors[i].r->ins[j].links[0]->late;
        if (late != actors[i].out_of_order)
            broken("late messages are counted wrongly", i);
    }
    if (run.failed)
        broken(run.failure, 0);
}

int main(int argc, char **argv)
{
    uint64_t n = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000, first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    pthread_mutex_init(&run.lock, NULL);
    for (uint32_t i = 0; i < ACTORS; i++)
        if (!(actors[i].r = aligned_alloc(64, (sizeof(rki_runner) + 63) & ~(size_t)63)))
            return 2;
    for (uint32_t i = 0; i < EDGES; i++)
        if (!(rings[i] = aligned_alloc(64, rki_ring_bytes(MAX_SLOTS) + 64 * MAX_SLOTS)))
            return 2;
    for (seed = first; seed < first + n; seed++) {
        state = seed * 0x632be59bd9b4e019ull;
        schedule();
    }
    for (uint32_t i = 0; i < ACTORS; i++) {
        for (uint32_t o = 0; o < EDGES; o++)
            free(actors[i].outs[o].box);
        free(actors[i].r);
    }
    for (uint32_t i = 0; i < EDGES; i++)
        free(rings[i]);
    printf("%llu schedules, %llu emissions, %llu messages delivered\n", (unsigned long long)n,
           (unsigned long long)published, (unsigned long long)delivered);
    return 0;
}
