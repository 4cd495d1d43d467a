// throttle: lets at most `rate` rows per second through, with short bursts.
//
// A token bucket on the actor's clock: it gains `rate` tokens a second, holds `burst` of them at most, and a row takes
// one.  So in any time t at most burst + rate * t rows pass, and an idle hour earns one burst.
//
// With `wait` a batch that is above the rate is kept and given on in parts, each as large as the tokens of 10 ms.  While
// it is kept no other is taken, so the queue in front fills and the producers wait; and up to 10 ms that a wake-up comes
// late are made up for.
#include <rkpipe/op.h>

enum excess { EXCESS_DROP, EXCESS_WAIT, EXCESS_STOP };
enum { M_THROTTLED };
enum { PART_NS = 10000000 };

struct throttle {
    double rate; // options: constant after init
    uint64_t burst;
    int on_excess;     // enum excess
    rkp_schema schema; // bind
    double cap;        // init: most tokens
    double tokens;     // run state: actor thread
    uint64_t last_ns;
    rkp_batch *held; // wait: what is left of it has not passed yet
    uint32_t at;     // first row of it that is left
    uint64_t corr;   // of the request that it belongs to
};

static const rkp_choice excess_names[] = {
    { "drop", EXCESS_DROP, "drop the rows above it and count them, reason `throttle`" },
    { "wait", EXCESS_WAIT, "keep them until they may pass, so that the producers wait" },
    { "stop", EXCESS_STOP, "stop the pipeline" },
    { 0 },
};

#define AT(field) offsetof(struct throttle, field)
static const rkp_opt throttle_opts[] = {
    { "rate", &rkp_rate, AT(rate), .required = true, .bounded = true, .min = 1e-6, .max = 1e12, .unit = "rows/s",
      .live = true, .help = "rows in a second that may pass", .also = "count threshold limit rows_per_second rps qps" },
    { "burst", &rkp_uint, AT(burst), .def = "0", .bounded = true, .min = 0, .max = 1e9, .unit = "rows", .live = true,
      .help = "rows that may pass at once after a pause; 0: those of one second, at least one",
      .also = "capacity bucket" },
    { "on_excess", &rkp_choice_type, AT(on_excess), .def = "drop", .choices = excess_names, .live = true,
      .help = "what happens to rows above the rate", .also = "mode action overflow" },
    { 0 },
};

static const rkp_metric throttle_metrics[] = {
    [M_THROTTLED] = { "throttled", RKP_UNIT_ROWS, "rows above the rate: dropped, or made to wait" },
    { 0 },
};

static const rkp_example throttle_examples[] = {
    { .title = "Three alerts at once, then one in ten seconds; the others are dropped",
      .with = "rate: 6/m\nburst: 3\n",
      .input = "alert\na\nb\nc\nd\ne\n",
      .output = "alert\na\nb\nc\n" },
    { .title = "Spare a service that takes 200 rows a second: all rows pass, in order, as fast as they may",
      .with = "rate: 200/s\nburst: 2\non_excess: wait\n",
      .input = "id\n1\n2\n3\n4\n5\n",
      .output = "id\n1\n2\n3\n4\n5\n" },
    { 0 },
};

static rkp_status throttle_bind(void *self, rkp_bind *b)
{
    ((struct throttle *)self)->schema = *rkp_bind_in(b);
    rkp_bind_out_same(b, 0);
    rkp_bind_pass_all(b);
    return RKP_OK;
}

static rkp_status throttle_init(void *self, rkp_actor *a)
{
    struct throttle *t = self;
    unsigned n = 1;
    rkp_actor_replica(a, &n); // replicas (partition_by) have equal shares
    t->cap = t->burst ? (double)t->burst : t->rate;
    t->rate /= n;
    t->cap /= n;
    if (t->cap < 1)
        t->cap = 1;
    t->tokens = t->cap; // the first burst is free
    t->last_ns = rkp_now_ns(a);
    return RKP_OK;
}

static void refill(struct throttle *t, uint64_t now)
{
    double cap;
    t->tokens += (double)(now - t->last_ns) * 1e-9 * t->rate;
    t->last_ns = now;
    // While rows wait a wake-up that comes late is made up for, or the pace would be that of the timers.
    cap = t->cap + (t->held ? t->rate * PART_NS * 1e-9 : 0);
    if (t->tokens > cap)
        t->tokens = cap;
}

// How many of n rows may pass now.
static uint32_t room(const struct throttle *t, uint32_t n)
{
    double whole = t->tokens + 1e-9; // sums of parts of a token
    return whole >= (double)n ? n : (uint32_t)whole;
}

static rkp_verdict nomem(rkp_actor *a, uint32_t rows)
{
    return rkp_fail(a, RKP_NOMEM, "throttle: no memory for a batch of %u rows", (unsigned)rows);
}

static bool emit_part(rkp_actor *a, rkp_batch *b, uint32_t from, uint32_t n)
{
    rkp_batch *part = n == b->rows ? rkp_batch_get(b) : rkp_batch_slice(b, from, n);
    if (!part)
        return false;
    rkp_emit(a, 0, part);
    return true;
}

// The next part of `left` rows that are kept.
static double next_part(const struct throttle *t, uint32_t left)
{
    double part = t->rate * PART_NS * 1e-9;
    part = part > t->cap ? t->cap : part;
    return part < 1 ? 1 : part > left ? left : part;
}

// Sets the timer for it: not all of its tokens are there.
static void wait_for(const struct throttle *t, rkp_actor *a, double part)
{
    rkp_wake_at(a, t->last_ns + (uint64_t)((part - t->tokens) / t->rate * 1e9) + 1);
}

// Gives on what may pass of the batch that is kept, all of it when the run is stopping, and sets the timer for the rest.
static rkp_verdict give(struct throttle *t, rkp_actor *a)
{
    while (t->held) {
        uint32_t left = t->held->rows - t->at, n = left;
        refill(t, rkp_now_ns(a));
        if (!rkp_stopping(a)) {
            double part = next_part(t, left);
            if (t->tokens + 1e-9 < part) {
                wait_for(t, a, part);
                return RKP_DONE;
            }
            n = room(t, left);
            t->tokens -= n;
        }
        rkp_corr_set(a, t->corr);
        if (!emit_part(a, t->held, t->at, n))
            return nomem(a, n);
        t->at += n;
        if (n == left) {
            rkp_batch_put(t->held);
            t->held = NULL;
        }
    }
    rkp_wake_at(a, 0);
    return RKP_DONE;
}

static rkp_verdict throttle_on_batch(void *self, rkp_actor *a, unsigned port, rkp_batch *b)
{
    struct throttle *t = self;
    uint32_t n;
    (void)port;
    if (t->held)
        return RKP_RETRY;
    if (t->on_excess == EXCESS_WAIT && rkp_stopping(a))
        return RKP_PASS;
    refill(t, rkp_now_ns(a));
    n = room(t, b->rows);
    if (n == b->rows) {
        t->tokens -= n;
        return RKP_PASS;
    }
    rkp_count(a, M_THROTTLED, b->rows - n);
    if (t->on_excess == EXCESS_WAIT) {
        t->held = rkp_batch_get(b);
        t->at = 0;
        t->corr = rkp_corr(a);
        return give(t, a);
    }
    if (n && !emit_part(a, b, 0, n))
        return nomem(a, n);
    t->tokens -= n;
    rkp_drop(a, b->rows - n, "throttle");
    return t->on_excess == EXCESS_STOP ? RKP_STOP : RKP_DONE;
}

static rkp_verdict throttle_on_timer(void *self, rkp_actor *a)
{
    return give(self, a);
}

static rkp_verdict throttle_on_end(void *self, rkp_actor *a)
{
    struct throttle *t = self;
    rkp_verdict v = give(t, a);
    return v == RKP_DONE && t->held ? RKP_RETRY : v;
}

// Time stands still between the checkpoint and the run that goes on.
static rkp_status throttle_save(void *self, rkp_actor *a, rkp_save *to)
{
    const struct throttle *t = self;
    rkp_save_f64(to, t->tokens);
    rkp_save_u64(to, rkp_now_ns(a) - t->last_ns);
    rkp_save_bool(to, t->held != NULL);
    if (t->held) {
        rkp_save_u64(to, t->at);
        rkp_save_u64(to, t->corr);
        rkp_save_batch(to, t->held);
    }
    return RKP_OK;
}

static rkp_status throttle_restore(void *self, rkp_actor *a, rkp_load *from)
{
    struct throttle *t = self;
    double tokens = rkp_load_f64(from), most = t->cap + t->rate * PART_NS * 1e-9, part;
    uint64_t now = rkp_now_ns(a), since = rkp_load_u64(from), at;
    if (!(tokens >= -1))
        return rkp_load_refuse(from, "there are fewer tokens than there can be");
    if (tokens > most) // the rate, or the burst, may be another now
        tokens = most;
    t->tokens = tokens;
    t->last_ns = now - (since < now ? since : now);
    if (!rkp_load_bool(from))
        return rkp_load_status(from);
    at = rkp_load_u64(from);
    t->corr = rkp_load_u64(from);
    t->held = rkp_load_batch(from, rkp_actor_pool(a), &t->schema);
    if (!t->held)
        return rkp_load_status(from);
    if (t->on_excess != EXCESS_WAIT || at >= t->held->rows)
        return rkp_load_refuse(from, "a batch is kept of which nothing is left");
    t->at = (uint32_t)at;
    part = next_part(t, t->held->rows - t->at);
    if (t->tokens < part)
        wait_for(t, a, part);
    else
        rkp_wake_at(a, now);
    return RKP_OK;
}

static void throttle_fini(void *self)
{
    struct throttle *t = self;
    rkp_batch_put(t->held);
}

const rkp_op rkp_op_throttle = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "throttle",
    .kind = RKP_TRANSFORM,
    .summary = "Let at most `rate` rows per second through.",
    .details =
        "A bucket gains `rate` tokens a second and holds `burst` of them; it begins full, and each row that passes "
        "takes "
        "one. So in any time of t seconds at most `burst` + `rate` x t rows pass. Rows count, not batches: of a batch "
        "that is too large the first rows pass.\n\n"
        "With `on_excess: wait` nothing is lost and the order is kept: rows come out at the rate, in parts of about 10 "
        "ms, and what is in front has to wait, up to a source that stops reading. (A machine that is late by up to 10 "
        "ms "
        "makes up for it, beyond `burst`.) When the pipeline is told to stop, what waits passes at once.\n\n"
        "With `partition_by` and replicas each replica lets through its equal share of `rate` and `burst`.",
    .traits = RKP_ROWWISE | RKP_RETRIES,
    .self_size = sizeof(struct throttle),
    .opts = throttle_opts,
    .metrics = throttle_metrics,
    .examples = throttle_examples,
    .also = "rate_limit ratelimit limit_rate rate_limiter local_rate_limit",
    .bind = throttle_bind,
    .init = throttle_init,
    .on_batch = throttle_on_batch,
    .on_timer = throttle_on_timer,
    .on_end = throttle_on_end,
    .state_version = 1,
    .save = throttle_save,
    .restore = throttle_restore,
    .fini = throttle_fini,
};
