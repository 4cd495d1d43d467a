// The promise of a floor (RELIABILITY.md 2.4 lines 12 to 25) with the real files flow/ring.h, run/hold.c and run/out.c, under every
// interleaving and every value that their memory orders allow (weak.h).  hlc_order.c looks at the same rules in large graphs under random
// schedules, but between accesses, and with memory in order; what is here is what happens in between.
//
//   watermark [MUTANT]
//
// Two publishers, one subscriber.  Checked: the subscriber takes growing (stamp, actor), so it never goes on past a ring that can still give
// something smaller; in the end everything has arrived; and who waits for a floor is told, or looks again itself.
#define RKI_WEAK
#include "weak.h"

#include "run/actor.h"

#include <stdlib.h>

enum { PUBLISHERS = 2, SLOTS = 4 };

struct world {
    int on_skew;
    uint8_t messages[PUBLISHERS], looks;
};

static const char *const names[] = { "a publisher is excluded", "held back", NULL };
static const struct world worlds[] = { { RKI_SKEW_EXCLUDE, { 1, 1 }, 1 }, { RKI_SKEW_STRICT, { 1, 1 }, 2 } };

#define DISORDER "out of order"

static const weak_mutant mutants[] = {
    { "floor_load_relaxed", "floor", true, false, DISORDER },
    { "floor_store_relaxed", "floor", false, true, DISORDER },
    { "in_commit_relaxed", "in_commit", true, true, DISORDER },
    { "excluded_relaxed", "excluded", true, true, DISORDER },
    { 0 },
};

static const struct world *world;
static rki_run run;
static struct {
    rki_runner *r;
    rki_pactor plan;
    rki_kernel kernel;
    rki_bound bound;
    rkp_actor stage, *acts[1];
    rki_wiring wiring;
    rki_inset ins[PUBLISHERS];
    rki_outset outs[1];
    rki_outmsg box[4];
    rki_edge edge;
    rki_link link, *links[1];
    uint32_t open[1];
    char *ring;
} actors[PUBLISHERS + 1];
static uint64_t weights[SLOTS];
static uint32_t woken; // the subscriber's task word
static bool asleep;
static uint64_t last_stamp, taken;
static uint16_t last_id;

static uint64_t now(void *arg)
{
    (void)arg;
    return 1000000;
}

static void wake(rkp_backend_run *b, rkp_task *t)
{
    (void)b;
    if (t == &actors[PUBLISHERS].r->task)
        __atomic_fetch_or(&woken, 1, __ATOMIC_SEQ_CST);
}

static const rkp_backend backend = { .wake = wake };

static void begin(void)
{
    rki_runner *sub = actors[PUBLISHERS].r;
    run.backend = &backend;
    run.args.now_ns = now;
    rki_clock_init(&run.clock, &(rki_time){ weak_wall, weak_mono, NULL });
    asleep = false;
    last_stamp = last_id = 0;
    taken = 0;
    for (int i = 0; i <= PUBLISHERS; i++) {
        rki_runner *r = actors[i].r;
        memset(r, 0, sizeof *r);
        actors[i].acts[0] = &actors[i].stage;
        *r = (rki_runner){ .run = &run,
                           .plan = &actors[i].plan,
                           .acts = actors[i].acts,
                           .wiring = &actors[i].wiring,
                           .n_stages = 1,
                           .ins = actors[i].ins,
                           .outs = actors[i].outs,
                           .n_outs = i < PUBLISHERS,
                           .hlc_out = i < PUBLISHERS,
                           .hlc_in = i == PUBLISHERS,
                           .pt_us = 1,
                           .id = (uint16_t)(i + 1) };
        actors[i].plan = (rki_pactor){ .name = "", .replicas = 1 };
        actors[i].kernel =
            (rki_kernel){ .id = { "a", 1, { 0 } }, .max_skew_ns = 0, .heartbeat_ns = 1, .on_skew = world->on_skew };
        actors[i].bound = (rki_bound){ .k = &actors[i].kernel };
        actors[i].stage = (rkp_actor){ .r = r, .run = &run, .bound = &actors[i].bound };
        if (i == PUBLISHERS)
            break;
        actors[i].edge = (rki_edge){ .hlc = true, .overflow = RKI_OVERFLOW_BLOCK };
        actors[i].link = (rki_link){ .ring = (rki_ring *)(void *)actors[i].ring,
                                     .from = r,
                                     .to = sub,
                                     .byte_limit = 1 << 20,
                                     .weights = weights,
                                     .hlc = true };
        rki_ring_init(actors[i].link.ring, SLOTS);
        actors[i].links[0] = &actors[i].link;
        actors[i].outs[0] = (rki_outset){ .edge = &actors[i].edge,
                                          .links = actors[i].links,
                                          .n = 1,
                                          .open = actors[i].open,
                                          .box = actors[i].box,
                                          .cap_box = 4 };
        actors[PUBLISHERS].ins[i] = (rki_inset){ .edge = &actors[i].edge, .links = actors[i].links, .n = 1 };
    }
    sub->n_ins = PUBLISHERS;
    for (int i = 0; i < PUBLISHERS; i++) {
        weak_watch(&actors[i].link.ring->tail, "tail", i, WEAK_MANY);
        weak_watch(&actors[i].link.ring->floor, "floor", WEAK_MANY, WEAK_MANY);
        weak_watch(&actors[i].r->clock_word, "clock_word", WEAK_MANY, i);
        if (world->on_skew == RKI_SKEW_EXCLUDE) {
            weak_watch(&actors[i].link.excluded, "excluded", WEAK_MANY, WEAK_MANY);
            weak_watch(&actors[i].link.frontier, "frontier", PUBLISHERS, WEAK_MANY);
            weak_watch(&actors[i].r->in_commit, "in_commit", i, WEAK_MANY);
        }
    }
    weak_watch(&sub->held, "held", PUBLISHERS, WEAK_MANY);
    weak_watch(&woken, "task", WEAK_MANY, WEAK_MANY);
}

static void publish(int me)
{
    rki_runner *r = actors[me].r;
    for (int i = 0; i < world->messages[me]; i++) {
        rki_clock_enter(r);
        r->emission++;
        rki_box(r, &r->outs[0], 0, NULL, r->emission, RKP_F_DATA);
        rki_flush(r);
        rki_floors(r);
        rki_clock_leave(r);
    }
}

static void first(void)
{
    publish(0);
}

static void second(void)
{
    publish(1);
}

// One look, and what it allows is taken.
static bool look(void)
{
    rki_runner *r = actors[PUBLISHERS].r;
    int in = rki_hold_next(r);
    rkp_envelope e;
    if (in < 0)
        return false;
    if (!rki_ring_pop(r->ins[in].links[0]->ring, &e)) {
        weak_broken("what was chosen is not there");
        return false;
    }
    rki_hold_took(r, r->ins[in].links[0], &e);
    if (e.stamp < last_stamp || (e.stamp == last_stamp && e.actor <= last_id))
        weak_broken(DISORDER);
    last_stamp = e.stamp;
    last_id = e.actor;
    taken++;
    return true;
}

static void subscribe(void)
{
    for (int i = 0; i < world->looks; i++) {
        __atomic_exchange_n(&woken, 0, __ATOMIC_SEQ_CST);
        actors[PUBLISHERS].r->wake_ns = 0;
        asleep = !look();
    }
}

static void end(void)
{
    uint64_t before = taken, wake_ns = actors[PUBLISHERS].r->wake_ns;
    bool told = __atomic_load_n(&woken, __ATOMIC_SEQ_CST) != 0;
    while (look())
        ;
    if (taken != (uint64_t)(world->messages[0] + world->messages[1]))
        weak_broken("something never arrives");
    if (asleep && !told && !wake_ns && taken > before)
        weak_broken("who waits is not told");
}

static void enter(unsigned i)
{
    world = &worlds[i];
}

int main(int argc, char **argv)
{
    static const weak_model model = { .name = "watermark",
                                      .program = { begin, { first, second, subscribe }, PUBLISHERS + 1, end },
                                      .worlds = names,
                                      .enter = enter,
                                      .mutants = mutants };
    int code;
    pthread_mutex_init(&run.lock, NULL);
    for (int i = 0; i <= PUBLISHERS; i++) {
        actors[i].r = weak_alloc(sizeof(rki_runner));
        actors[i].ring = weak_alloc(rki_ring_bytes(SLOTS));
    }
    code = weak_main(&model, argc, argv);
    for (int i = 0; i <= PUBLISHERS; i++) {
        free(actors[i].r);
        free(actors[i].ring);
    }
    return code;
}
