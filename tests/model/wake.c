// No wake is lost, with the real files backends/cpu/cpu.c, flow/ring.h, run/out.c and run/runner.c, under every interleaving and every value
// that their memory orders allow (weak.h).
//
//   wake [MUTANT]
//
// A publisher with a few messages, a ring of two slots, a reader; each is a task with a worker that runs it when it is READY.  In one world the
// ring is too small: who makes room must wake who waits for it.  In the other the reader is one that was taken out of the ring's end, and the
// control thread puts its successor there (run/swap.c, commit), while the publisher may still be waking the old one.
//
// Checked: everything arrives.  A wake that is lost leaves all of them waiting.
#define RKI_WEAK
#include "weak.h"

#ifndef CPU_C
#define CPU_C "../../backends/cpu/cpu.c"
#endif
#define rkp_backend_cpu cpu_in_the_machine // the registry has the other one
#include CPU_C

#include "run/actor.h"

#include <stdlib.h>

enum { PUBLISHER, READER, OLD, RUNNERS, SLOTS = 2 };

struct world {
    uint64_t messages;
    bool swaps;
};

static const char *const names[] = { "another reader", "room", NULL };
static const struct world worlds[] = { { 1, true }, { 3, false } };

#define LOST "nobody can go on"

static const weak_mutant mutants[] = {
    { "old_not_touched", NULL, false, false, LOST },
    { "out_waiting_relaxed", "out_waiting", true, true, LOST },
    { "reader_relaxed", "reader", true, true, LOST },
    { 0 },
};

static const struct world *world;
static const weak_mutant *chosen;
static rki_run run;
static rki_runner *runners[RUNNERS];
static rki_pactor plan = { .name = "", .replicas = 1 };
static rki_kernel kernel = { .id = { "a", 1, { 0 } } };
static const rkp_op op = { .name = "t", .kind = RKP_SINK };
static rki_bound bound = { .k = &kernel };
static rki_stage stage;
static rkp_actor acts[RUNNERS], *act_of[RUNNERS][1];
static rki_wiring wiring;
static rki_edge edge = { .overflow = RKI_OVERFLOW_BLOCK };
static rki_link link_, *links[1] = { &link_ };
static rki_inset in;
static rki_outset out;
static rki_outmsg box[4];
static uint32_t open_[1];
static char *ring;
static uint64_t left;

// As a source does.
static rkp_step publish(rkp_task *t, void *arg, unsigned worker)
{
    rki_runner *r = arg;
    (void)t;
    (void)worker;
    __atomic_store_n(&r->out_waiting, 0, __ATOMIC_RELAXED);
    while (rki_flush_or_wait(r)) {
        if (!left)
            return RKP_STEP_DONE;
        left--;
        r->emission++;
        rki_box(r, &out, 0, NULL, r->emission, RKP_F_DATA);
        out.box[0].env.rows = 1;
    }
    return RKP_STEP_IDLE;
}

static void begin(void)
{
    while (queue_pop(&run.b->workers[0].q[0]))
        ;
    run.b->retired = 0;
    run.b->n_tasks = run.b->n_queued = 0;
    left = world->messages;
    for (int i = 0; i < RUNNERS; i++) {
        rki_runner *r = runners[i];
        memset(r, 0, sizeof *r);
        act_of[i][0] = &acts[i];
        acts[i] = (rkp_actor){ .r = r, .run = &run, .bound = &bound, .stage = &stage, .op = &op };
        *r = (rki_runner){ .run = &run,
                           .plan = &plan,
                           .acts = act_of[i],
                           .wiring = &wiring,
                           .n_stages = 1,
                           .inited = true,
                           .id = (uint16_t)(i + 1) };
        r->task.step = i == PUBLISHER ? publish : rki_runner_step;
        r->task.arg = r;
        r->task.state = i == PUBLISHER || (i == READER && !world->swaps) ? RKP_TASK_READY : RKP_TASK_RETIRED;
    }
    link_ = (rki_link){ .ring = (rki_ring *)(void *)ring,
                        .from = runners[PUBLISHER],
                        .to = runners[world->swaps ? OLD : READER],
                        .byte_limit = 1 << 20 };
    rki_ring_init(link_.ring, SLOTS);
    in = (rki_inset){ .edge = &edge, .links = links, .n = 1 };
    out = (rki_outset){ .edge = &edge, .links = links, .n = 1, .open = open_, .box = box, .cap_box = 4 };
    runners[PUBLISHER]->outs = &out;
    runners[PUBLISHER]->n_outs = 1;
    runners[READER]->ins = &in;
    runners[READER]->n_ins = 1;
    weak_watch(&link_.ring->tail, "tail", PUBLISHER, WEAK_MANY);
    if (!world->swaps) {
        weak_watch(&link_.ring->head, "head", READER, WEAK_MANY);
        weak_watch(&runners[PUBLISHER]->out_waiting, "out_waiting", WEAK_MANY, WEAK_MANY);
        weak_watch(&runners[PUBLISHER]->task.state, "publisher", WEAK_MANY, WEAK_MANY);
    } else {
        weak_watch(&link_.to, "to", 2, WEAK_MANY);
        weak_watch(&runners[OLD]->task.state, "old", WEAK_MANY, WEAK_MANY);
    }
    weak_watch(&runners[READER]->task.state, "reader", WEAK_MANY, WEAK_MANY);
}

static void first(void)
{
    do {
        if (!world->swaps)
            weak_until(&runners[PUBLISHER]->task.state, RKP_TASK_READY);
        run_task(run.b, &runners[PUBLISHER]->task, 0);
    } while (left || out.n_box);
}

static void second(void)
{
    while (link_.got_rows < world->messages) {
        weak_until(&runners[READER]->task.state, RKP_TASK_READY);
        run_task(run.b, &runners[READER]->task, 0);
    }
}

// rki_net_place, and what commit does after it.
static void swap(void)
{
    rkp_task *t = &runners[READER]->task;
    if (!world->swaps)
        return;
    __atomic_store_n(&link_.to, runners[READER], __ATOMIC_SEQ_CST);
    if (chosen != &mutants[0])
        __atomic_fetch_or(&runners[OLD]->task.state, 0, __ATOMIC_SEQ_CST);
    if (cpu_add(run.b, &t, 1) != RKP_OK)
        weak_broken("there is no room for a task");
    rki_wake_runner(runners[READER]);
}

static void end(void)
{
    if (link_.got_rows != world->messages)
        weak_broken("something never arrives");
}

static void enter(unsigned i)
{
    world = &worlds[i];
}

int main(int argc, char **argv)
{
    const weak_model model = { .name = "wake",
                               .program = { begin, { first, second, swap }, 3, end },
                               .worlds = names,
                               .enter = enter,
                               .mutants = mutants,
                               .chosen = &chosen };
    const rkp_backend_conf conf = { .workers = 1 };
    int code;
    pthread_mutex_init(&run.lock, NULL);
    rki_clock_init(&run.clock, &(rki_time){ weak_wall, weak_mono, NULL });
    run.backend = &cpu_in_the_machine;
    ring = weak_alloc(rki_ring_bytes(SLOTS));
    for (int i = 0; i < RUNNERS; i++)
        runners[i] = weak_alloc(sizeof(rki_runner));
    run.pool = rkp_pool_new(1 << 20);
    if (!run.pool || cpu_open(&conf, NULL, 0, &run.b) != RKP_OK)
        return 2;
    code = weak_main(&model, argc, argv);
    run.b->n_tasks = 0;
    cpu_close(run.b);
    rkp_pool_free(run.pool);
    for (int i = 0; i < RUNNERS; i++)
        free(runners[i]);
    free(ring);
    return code;
}
