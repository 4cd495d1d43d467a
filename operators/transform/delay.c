// delay: gives each batch on after a time, in order.
//
// Batches wait in a circle, each with the time when it is due.  All wait equally long, so the first is due first and one
// timer is enough.  It holds at most what its queue may hold and half of the memory for batches in flight; then it asks
// for the next batch to be offered again.  (Asking whether the pool has room would not do: what waits in the queue in
// front may have filled it, and then one batch would pass each time.)
#include <rkpipe/op.h>

#include <stdlib.h>

enum { M_STALLS };

struct waiting {
    rkp_batch *b;
    uint64_t due_ns, weight, memory, corr;
};

struct delay {
    uint64_t for_ns;                        // option
    rkp_schema schema;                      // bind
    uint64_t most, most_bytes, most_memory; // init
    struct waiting *v;                      // run state: actor thread; a circle
    uint32_t first, n, cap;                 // cap is a power of two
    uint64_t bytes, memory;                 // of what it holds, as queues count and in truth
    bool stalled;                           // the batch at hand has been refused
};

static const uint64_t most_ns = 7 * 86400 * 1000000000ull; // of `for`

#define AT(field) offsetof(struct delay, field)
static const rkp_opt delay_opts[] = {
    { "for", &rkp_duration, AT(for_ns), .required = true, .live = true, .bounded = true, .min = 0, .max = 7 * 86400e9,
      .help = "how long each batch waits", .also = "duration time period delay interval sleep" },
    { 0 },
};

static const rkp_metric delay_metrics[] = {
    [M_STALLS] = { "stalls", RKP_UNIT_COUNT, "batches that had to wait in front because it held as much as its queue" },
    { 0 },
};

static const rkp_example delay_examples[] = {
    { .title = "Each row comes out 20 ms later",
      .with = "for: 20ms\n",
      .input = "id\n1\n2\n3\n",
      .output = "id\n1\n2\n3\n" },
    { .title = "Let a slow table catch up before its rows are looked up",
      .with = "for: 50ms\n",
      .input = "order,customer\n1,Ann\n2,Bob\n",
      .output = "order,customer\n1,Ann\n2,Bob\n" },
    { 0 },
};

static rkp_status delay_bind(void *self, rkp_bind *b)
{
    ((struct delay *)self)->schema = *rkp_bind_in(b);
    rkp_bind_out_same(b, 0);
    rkp_bind_pass_all(b);
    return RKP_OK;
}

static rkp_status delay_init(void *self, rkp_actor *a)
{
    struct delay *d = self;
    rkp_actor_queue(a, &d->most, &d->most_bytes);
    d->most_memory = rkp_pool_limit(rkp_actor_pool(a)) / 2;
    return RKP_OK;
}

static uint64_t weight_of(const rkp_batch *b) // as the engine weighs a message
{
    return b->in_bytes + (uint64_t)b->rows * 16 + 256;
}

// There is room for one more in the circle; takes b.
static void keep(struct delay *d, rkp_batch *b, uint64_t due_ns, uint64_t corr)
{
    struct waiting w = { b, due_ns, weight_of(b), rkp_batch_bytes(b), corr };
    d->v[(d->first + d->n++) & (d->cap - 1)] = w;
    d->bytes += w.weight;
    d->memory += w.memory;
}

static bool full(const struct delay *d, uint64_t weight, uint64_t memory)
{
    return d->n && (d->n >= d->most || d->bytes + weight > d->most_bytes || d->memory + memory > d->most_memory);
}

static bool grow(struct delay *d)
{
    uint32_t cap = d->cap ? d->cap * 2 : 16;
    struct waiting *v = malloc(cap * sizeof *v);
    if (!v)
        return false;
    for (uint32_t i = 0; i < d->n; i++)
        v[i] = d->v[(d->first + i) & (d->cap - 1)];
    free(d->v);
    d->v = v;
    d->cap = cap;
    d->first = 0;
    return true;
}

// Gives on what is due, all of it when the run is stopping.
static rkp_verdict delay_on_timer(void *self, rkp_actor *a)
{
    struct delay *d = self;
    uint64_t now = rkp_now_ns(a);
    bool all = rkp_stopping(a);
    while (d->n && (all || d->v[d->first].due_ns <= now)) {
        struct waiting w = d->v[d->first];
        d->first = (d->first + 1) & (d->cap - 1);
        d->n--;
        d->bytes -= w.weight;
        d->memory -= w.memory;
        rkp_corr_set(a, w.corr);
        rkp_emit(a, 0, w.b);
    }
    rkp_wake_at(a, d->n ? d->v[d->first].due_ns : 0);
    return RKP_DONE;
}

static rkp_verdict delay_on_batch(void *self, rkp_actor *a, unsigned port, rkp_batch *b)
{
    struct delay *d = self;
    (void)port;
    if (!d->n && (!d->for_ns || rkp_stopping(a)))
        return RKP_PASS;
    if (full(d, weight_of(b), rkp_batch_bytes(b))) { // the timer is set: the first one's
        if (!d->stalled)
            rkp_count(a, M_STALLS, 1);
        d->stalled = true;
        return RKP_RETRY;
    }
    d->stalled = false;
    if (d->n == d->cap && !grow(d))
        return rkp_fail(a, RKP_NOMEM, "delay: no memory for %u batches", (unsigned)d->n + 1);
    keep(d, rkp_batch_get(b), rkp_now_ns(a) + d->for_ns, rkp_corr(a));
    return delay_on_timer(self, a);
}

static rkp_verdict delay_on_end(void *self, rkp_actor *a)
{
    struct delay *d = self;
    delay_on_timer(self, a);
    return d->n ? RKP_RETRY : RKP_DONE;
}

// Time stands still between the checkpoint and the run that goes on: what is left of each wait is kept.
static rkp_status delay_save(void *self, rkp_actor *a, rkp_save *to)
{
    const struct delay *d = self;
    uint64_t now = rkp_now_ns(a);
    rkp_save_u64(to, d->n);
    for (uint32_t i = 0; i < d->n; i++) {
        const struct waiting *w = &d->v[(d->first + i) & (d->cap - 1)];
        rkp_save_u64(to, w->due_ns > now ? w->due_ns - now : 0);
        rkp_save_u64(to, w->corr);
        rkp_save_batch(to, w->b);
    }
    return RKP_OK;
}

static rkp_status delay_restore(void *self, rkp_actor *a, rkp_load *from)
{
    struct delay *d = self;
    uint64_t now = rkp_now_ns(a), n = rkp_load_count(from, 3 * sizeof(uint64_t)), last = 0;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t left = rkp_load_u64(from), corr = rkp_load_u64(from);
        rkp_batch *b = rkp_load_batch(from, rkp_actor_pool(a), &d->schema);
        if (!b)
            return rkp_load_status(from);
        // It may have been kept for a longer time than `for` is now: that is waited for.
        if (left > most_ns || left < last || (d->n == d->cap && !grow(d))) {
            rkp_batch_put(b);
            return left > most_ns || left < last ? rkp_load_refuse(from, "a batch waits longer than it may")
                                                 : RKP_NOMEM;
        }
        last = left;
        keep(d, b, now + left, corr);
    }
    if (d->n)
        rkp_wake_at(a, d->v[d->first].due_ns);
    return rkp_load_status(from);
}

static void delay_fini(void *self)
{
    struct delay *d = self;
    for (uint32_t i = 0; i < d->n; i++)
        rkp_batch_put(d->v[(d->first + i) & (d->cap - 1)].b);
    free(d->v);
}

const rkp_op rkp_op_delay = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "delay",
    .kind = RKP_TRANSFORM,
    .summary = "Give each batch on after a time.",
    .details =
        "Batches come out in the order in which they came, each `for` after it was taken, also when nothing comes "
        "after it. At the end of the input the last ones are waited for; when the pipeline is told to stop they come "
        "out at once.\n\n"
        "It holds at most as much as the kernel's `queue` may hold (`capacity` messages, `bytes`), and half of the "
        "memory "
        "for batches in flight. Then it takes nothing until its first batch is due, and the producers wait: give a "
        "`queue` that is large enough for what comes in during `for`.",
    .traits = RKP_DETERMINISTIC | RKP_ROWWISE | RKP_RETRIES,
    .self_size = sizeof(struct delay),
    .opts = delay_opts,
    .metrics = delay_metrics,
    .examples = delay_examples,
    .also = "sleep hold wait defer",
    .bind = delay_bind,
    .init = delay_init,
    .on_batch = delay_on_batch,
    .on_timer = delay_on_timer,
    .on_end = delay_on_end,
    .state_version = 1,
    .save = delay_save,
    .restore = delay_restore,
    .fini = delay_fini,
};
