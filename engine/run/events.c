// run/events.c - the operator behind `$` topics: what happens in the engine, as rows under its `$` topics.  A pipeline gets it by subscribing to one, not by name.
#include "run/run.h"

enum { ROWS = 64, KERNEL = 0, FROM, TO, REASON, AT, COLUMNS };

static const rkp_field fields[COLUMNS] = {
    [KERNEL] = { { "kernel", 6 }, { .kind = RKP_STRING } }, [FROM] = { { "from", 4 }, { .kind = RKP_STRING } },
    [TO] = { { "to", 2 }, { .kind = RKP_STRING } },         [REASON] = { { "reason", 6 }, { .kind = RKP_STRING } },
    [AT] = { { "at", 2 }, { .kind = RKP_TIMESTAMP } },
};
static const rkp_schema schema = { COLUMNS, fields };

static rkp_status events_bind(void *self, rkp_bind *b)
{
    (void)self;
    rkp_bind_out(b, 0, schema);
    rkp_bind_endless(b);
    return RKP_OK;
}

// One batch for each event: a subscriber sees every change as a message of its own.
static rkp_verdict events_poll(void *self, rkp_actor *a)
{
    bool over = rkp_engine_over(a); // before the look, so that the last events are not missed
    rkp_event e;
    rkp_batch *b;
    int64_t *at;
    (void)self;
    if (!rkp_engine_event(a, &e))
        return over ? RKP_DONE : RKP_RETRY;
    b = rkp_batch_new(rkp_actor_pool(a), &schema, COLUMNS, 1024);
    at = b ? rkp_batch_alloc(b, sizeof *at) : NULL;
    if (!at) {
        rkp_batch_put(b);
        return rkp_fail(a, RKP_NOMEM, "out of memory");
    }
    *at = e.us;
    rkp_col_set_values(b, AT, fields[AT].type, at, NULL, 1);
    for (uint32_t c = KERNEL; c < AT; c++) {
        rkp_str v = rkp_str_of(c == KERNEL ? e.kernel : c == FROM ? e.from : c == TO ? e.to : e.reason);
        if (rkp_col_set_strs(b, c, fields[c].type, &v, 1) != RKP_OK) {
            rkp_batch_put(b);
            return rkp_fail(a, RKP_NOMEM, "out of memory");
        }
    }
    b->rows = 1;
    rkp_emit(a, 0, b);
    return RKP_MORE;
}

const rkp_op rki_op_engine = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "$engine",
    .kind = RKP_SOURCE,
    .summary = "What happens in the engine, under its '$' topics.",
    .traits = RKP_RESTARTS,
    .self_size = 1,
    .bind = events_bind,
    .poll = events_poll,
};
