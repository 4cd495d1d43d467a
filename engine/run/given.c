// run/given.c - what stands in for sources and sinks in a test, and what sees everything that passes.
//
// The stand-ins have no names that a file could use: a plan puts them in the place of operators (plan.c, stand_in).
#include "spec/given.h"
#include "run/actor.h"

struct given {
    uint32_t at;
    uint64_t next_ns; // 0: before the first message
};

// There are no more rows: it ends now, or when it has been open for so long as it must.
static rkp_verdict over(rkp_actor *a, const rki_given *how)
{
    uint64_t end = a->run->start_ns + how->open_ns;
    if (!how->open_ns || rkp_now_ns(a) >= end || rkp_stopping(a))
        return RKP_DONE;
    rkp_wake_at(a, end);
    return RKP_RETRY;
}

// Message i comes at i * every; without `every` all come at once.
static rkp_verdict given_poll(void *self, rkp_actor *a)
{
    struct given *g = self;
    const rki_given *how = a->bound->k->given;
    rkp_batch *all = a->bound->given, *b;
    uint64_t n;
    if (!all || g->at == all->rows)
        return over(a, how);
    if (how->every_ns) {
        uint64_t now = rkp_now_ns(a);
        if (!g->next_ns)
            g->next_ns = now;
        if (now < g->next_ns) {
            rkp_wake_at(a, g->next_ns);
            return RKP_RETRY;
        }
        g->next_ns += how->every_ns;
    }
    n = how->batch ? how->batch : how->every_ns ? 1 : all->rows;
    if (n > all->rows - g->at)
        n = all->rows - g->at;
    b = rkp_batch_slice(all, g->at, (uint32_t)n);
    if (!b)
        return rkp_fail(a, RKP_NOMEM, "out of memory");
    g->at += (uint32_t)n;
    rkp_emit(a, 0, b);
    return g->at == all->rows && !how->open_ns ? RKP_DONE : RKP_MORE;
}

const rkp_op rki_op_given = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "$given",
    .kind = RKP_SOURCE,
    .summary = "Rows of a test.",
    .traits = RKP_DETERMINISTIC | RKP_FINITE | RKP_RESTARTS,
    .self_size = sizeof(struct given),
    .poll = given_poll,
};

static rkp_verdict seen_on_batch(void *self, rkp_actor *a, unsigned port, rkp_batch *b)
{
    (void)self;
    (void)port;
    rkp_absorb(a, b->rows);
    return RKP_DONE;
}

const rkp_op rki_op_seen = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "$seen",
    .kind = RKP_SINK,
    .summary = "What a test's sink gets.",
    .traits = RKP_DETERMINISTIC | RKP_ROWWISE,
    .self_size = 1,
    .on_batch = seen_on_batch,
};

void rki_see(const rkp_actor *a, uint32_t port, const rki_publication *pub, const rkp_topics *topics, rkp_batch *b)
{
    const rki_run_args *args = &a->run->args;
    rki_seen s = { a->bound->index, port, pub, topics, b };
    if (args->see && b->n_cols && !a->muted)
        args->see(args->see_arg, &s);
}
