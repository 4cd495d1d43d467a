// run/runner.c - the actor's loop, the same for every kernel: take a message, run the stages, put messages, obey.
//
//   init -> take* -> on_end (each stage, producers first) -> prepare -> END on every edge -> done
//
// A message is taken only when everything that the last one produced has found room, so a runner holds at most what one
// message makes.  Chunk marks: on an edge whose producer or consumer is replicated, every input chunk yields at least
// one message, the last one marked; the consumer reads one ring until the mark, then the next ring in turn.  Chunk
// numbers are dense, so a ring that has ended at its turn means that no later chunk exists.
#include "data/pool.h"
#include "run/device.h"
#include "run/meter.h"
#include "run/trace.h"

#include <stdlib.h>

enum { PHASE_RUN, PHASE_END, PHASE_PREPARE, PHASE_SEND_END, PHASE_DONE };
enum { QUANTUM_MESSAGES = 16, QUANTUM_BYTES = 128 << 10 };
enum { GATHER_POLLS = 16, GATHER_ROWS = 64, GATHER_US = 10 };
enum {
    RKI_CLOCK_MARGIN_US = 500000,
    RKI_CLOCK_MARGIN_TICKS = 65536
}; // a step may give stamps for so long without looking at the bound

// ---- stages ---------------------------------------------------------------------------------------------------------

void rki_stop_stage(rkp_actor *a)
{
    a->stopped = true;
    __atomic_store_n(&a->run->any_stop, 1, __ATOMIC_SEQ_CST);
}

rkp_verdict rki_call(rkp_actor *a, rkp_batch *b)
{
    switch (a->stage->role) {
    case RKI_DECODE:
        return a->op->decode(a->self, a, b);
    case RKI_ENCODE:
        return a->op->encode(a->self, a, b);
    case RKI_DEAL:
    case RKI_GATHER:
        return rki_pass(a, b);
    default:
        return a->op->on_batch(a->self, a, a == a->r->acts[0] ? a->r->in_port : 0, b);
    }
}

static rkp_verdict work_on(rkp_actor *a, rkp_batch *b)
{
    rki_runner *r = a->r;
    rkp_actor *was = NULL;
    uint64_t born_us = b->born_us ? b->born_us : rkp_hlc_us(r->in_stamp); // what was on disk has forgotten it
    rkp_verdict v;
    if (rki_halted(a->r))
        return RKP_FAIL;
    if (a->stopped && !(RKP_UNLIKELY(r->chain) && rki_device_began(r))) {
        RKI_ADD(a->counts.rows_in, rki_batch_rows(b));
        if (a->stop_reason)
            rki_lose_rows(a, rki_batch_rows(b), a->stop_reason);
        else
            rki_drop_rows(a, rki_batch_rows(b), "stop");
        return RKP_DONE;
    }
    a->meta.stamp = r->in_stamp;
    r->in_born_us = born_us;
    if (RKP_UNLIKELY(a->bound->k->timeout_ns)) // of one message, not of a step
        __atomic_store_n(&r->step_start_ns, rki_run_ns(a->run), __ATOMIC_RELAXED);
    if (RKP_UNLIKELY(r->timing))
        was = rki_meter_enter(r, a);
    v = RKP_UNLIKELY(a->life)                       ? rki_supervised_call(a, b)
        : RKP_UNLIKELY(r->chain) && a == r->acts[0] ? rki_device_send(r, b)
                                                    : rki_call(a, b);
    if (RKP_UNLIKELY(r->timing))
        rki_meter_enter(r, was);
    if (v == RKP_RETRY || v == RKI_CRASHED)
        return v;
    if (RKP_UNLIKELY(a->run->args.see) && a->op->kind == RKP_SINK)
        rki_see(a, RKI_SEEN_TAKEN, NULL, NULL, b);
    r->took += a == r->acts[0];
    if (a->op->kind == RKP_SINK && a->stage->role != RKI_ENCODE)
        rki_meter_written(r, a, born_us);
    RKI_ADD(a->counts.batches, 1);
    RKI_ADD(a->counts.rows_in, rki_batch_rows(b));
    RKI_ADD(a->counts.bytes_in, b->blob.p ? b->blob.n : b->in_bytes);
    a->meta.first_row += rki_batch_rows(b);
    if (v == RKP_PASS)
        rkp_emit(a, 0, rkp_batch_get(b));
    else if (v == RKP_STOP)
        rki_stop_stage(a);
    else if (v == RKP_FAIL)
        rkp_fail(a, RKP_IO, "failed"); // keeps the first message
    return RKP_DONE;
}

static __attribute__((noinline)) rkp_verdict work_traced(rkp_actor *a, rkp_batch *b)
{
    rki_tracing t;
    rkp_batch *taken = rki_trace_begin(a, b, &t);
    rkp_verdict v = work_on(a, taken);
    rki_trace_end(a, b, taken, &t, v);
    return v;
}

// Runs one stage on a batch, which stays the caller's.  RKP_RETRY comes back to the caller; all else is settled here.
static inline rkp_verdict run_stage(rkp_actor *a, rkp_batch *b)
{
    return RKP_LIKELY(!(b->trace | a->r->trace)) ? work_on(a, b) : work_traced(a, b);
}

void rki_deliver(rkp_actor *a, rkp_batch *b)
{
    if (run_stage(a, b) == RKP_RETRY) // supervised kernels are never fused to others
        rkp_fail(a, RKP_INTERNAL, "a fused stage asked for a retry");
}

static bool init_stages(rki_runner *r)
{
    // What a crash left on disk comes first.
    for (uint32_t i = 0; (r->gen->plan->stream || r->run->ckpt) && r->spills && i < r->n_outs; i++)
        if (r->outs[i].edge->overflow == RKI_OVERFLOW_SPILL && !r->outs[i].spill && !r->outs[i].closes &&
            rki_spill_left(r, &r->outs[i]) && !rki_spill_open(r, &r->outs[i]))
            return false;
    for (uint32_t i = 0; i < r->n_stages; i++) {
        rkp_actor *a = r->acts[i];
        rkp_status st;
        if (a->muted || a->inited)
            continue;
        st = a->op->init ? a->op->init(a->self, a) : RKP_OK;
        a->inited = true;
        if (st == RKP_OK && r->run->ckpt && !rki_ckpt_restore(a))
            return false;
        a->meta.kernel = rkp_word_str(a->bound->k->id);
        if (a->life && (st != RKP_OK || a->crashed)) {
            rki_crash_at_start(a, st);
            continue;
        }
        if (st != RKP_OK) {
            rkp_fail(a, st, st == RKP_NOMEM ? "out of memory at its start" : "cannot start");
            return false;
        }
    }
    return true;
}

static bool wanted(const rkp_actor *a);

// Does anybody behind this stage want what it makes?
static bool read_on(const rkp_actor *a)
{
    for (uint32_t p = 0; p < a->stage->n_ports; p++)
        for (uint32_t i = 0; i < a->n_outs[p]; i++)
            if (a->outs[p][i].local && wanted(a->outs[p][i].local))
                return true;
    for (uint32_t i = 0; i < a->r->n_outs; i++) {
        const rki_outset *o = &a->r->outs[i];
        for (uint32_t l = 0; !o->edge->dead && !o->closes && a->r->acts[o->from] == a && l < o->n; l++)
            // Acquire, with the release in check_wanted: nothing but the word itself.
            if (!__atomic_load_n(&o->links[l]->closed, __ATOMIC_ACQUIRE))
                return true;
    }
    return false;
}

static bool wanted(const rkp_actor *a)
{
    return !a->stopped && ((a->op->kind == RKP_SINK && a->stage->role != RKI_ENCODE) || read_on(a));
}

// What it would make of all that it has seen, at its end, is for nobody.  (What holds rows gives them on, so that they are counted.)
static bool ends_for_nobody(const rkp_actor *a)
{
    return a->op->kind == RKP_TRANSFORM && !(a->op->traits & (RKP_ROWWISE | RKP_CALLS)) &&
           __atomic_load_n(&a->run->any_stop, __ATOMIC_RELAXED) && !read_on(a);
}

static void stop_unwanted(rki_runner *r)
{
    r->unwanted = true;
    rki_stop_stage(r->acts[0]);
    for (uint32_t i = 0; i < r->n_ins; i++) {
        for (uint32_t l = 0; l < r->ins[i].n; l++) {
            __atomic_store_n(&r->ins[i].links[l]->closed, 1, __ATOMIC_RELEASE);
            rki_wake_from(r->ins[i].links[l]);
        }
    }
}

static inline void check_wanted(rki_runner *r)
{
    if (RKP_UNLIKELY(__atomic_load_n(&r->run->any_stop, __ATOMIC_RELAXED)) && !r->unwanted && !wanted(r->acts[0]))
        stop_unwanted(r);
}

void rki_look_wanted(rki_runner *r)
{
    check_wanted(r);
}

// ---- input ----------------------------------------------------------------------------------------------------------

static bool evicts(const rki_inset *in)
{
    return in->edge->overflow == RKI_OVERFLOW_DROP_OLDEST;
}

static void next_ring(rki_inset *in)
{
    uint32_t tries = 0;
    in->cur = (in->cur + in->step) % in->n;
    while (in->n_ended < in->n && in->links[in->cur]->ended && tries++ < in->n)
        in->cur = (in->cur + 1) % in->n;
}

// Is there a message at the front of the input's turn?  With its priority.
static bool front(rki_inset *in, rkp_envelope *e)
{
    rki_ring *ring;
    uint64_t at;
    if (in->n_ended + in->n_barred == in->n)
        return false;
    while (in->links[in->cur]->ended || in->links[in->cur]->barred)
        in->cur = (in->cur + 1) % in->n;
    ring = in->links[in->cur]->ring;
    if (evicts(in))
        return rki_ring_look(ring, &at, e);
    if (!rki_ring_ready(ring))
        return false;
    *e = *rki_ring_peek(ring, 0);
    return true;
}

static bool half_free(const rki_link *k)
{
    return rki_ring_fill(k->ring) * 2 <= k->ring->mask + 1 &&
           (RKI_LOOK(k->ring->bytes_in) - RKI_LOOK(k->ring->bytes_out)) * 2 <= k->byte_limit;
}

// A read-modify-write, with the exchange in rki_flush_or_wait: either it sees the slots or we see that it waits.
static void wake_producer(rki_link *k)
{
    rki_runner *from = rki_from(k), *was;
    do { // rki_wake_from says why
        was = from;
        if (__atomic_fetch_and(&was->out_waiting, 0, __ATOMIC_SEQ_CST))
            rki_wake_runner(was);
        from = rki_from(k);
    } while (RKP_UNLIKELY(from != was));
}

// The batch after the one at hand comes nearer while that is worked on: its memory was last in the hands of who made it.
static void expect_next(const rki_ring *ring)
{
    const rkp_envelope *e = rki_ring_known(ring);
    const char *b = e ? (const char *)(uintptr_t)e->payload : NULL;
    for (size_t at = 0; b && at < sizeof(rkp_batch); at += 64)
        __builtin_prefetch(b + at);
}

// Takes the message at the front and wakes the producer when it waits for room.  False: its producer took it back.  seq: only this one,
// which was chosen by its stamp; what stands there now comes later.
static bool take_front(rki_inset *in, const uint64_t *seq, rkp_envelope *e, uint64_t *bytes)
{
    rki_link *k = in->links[in->cur];
    uint64_t at, w;
    if (evicts(in)) {
        if (!rki_ring_look(k->ring, &at, e) || (seq && e->seq != *seq))
            return false;
        w = __atomic_load_n(&k->weights[at & k->ring->mask], __ATOMIC_RELAXED);
        if (!rki_ring_claim(k->ring, at))
            return false;
        __atomic_fetch_add(&k->ring->bytes_out, w, __ATOMIC_RELAXED);
    } else {
        *e = *rki_ring_peek(k->ring, 0);
        w = rki_weight((const rkp_batch *)(uintptr_t)e->payload);
        __atomic_store_n(&k->ring->bytes_out, k->ring->bytes_out + w, __ATOMIC_RELAXED);
        rki_ring_release(k->ring, 1);
        expect_next(k->ring);
    }
    *bytes += w;
    k->taken = true;
    // A producer with a thread of its own costs a system call to wake, so one that waits is woken when half of the ring is free, not for
    // each slot; and in any case before this runner goes idle.  First the word that hardly ever changes.
    if (RKP_UNLIKELY(RKI_LOOK(rki_from(k)->out_waiting)) && half_free(k))
        wake_producer(k);
    return true;
}

// Producers that wait and were not seen to.  `all`: this runner has nothing to do, perhaps because of one of them (with rings taken in turns
// it need not be the producer of the ring that it waits for).  Where nothing was taken there is no more room than the producer found.
static void wake_producers(rki_runner *r, bool all)
{
    for (uint32_t i = 0; i < r->n_ins; i++) {
        for (uint32_t l = 0; l < r->ins[i].n; l++) {
            rki_link *k = r->ins[i].links[l];
            if (!k->taken || (!all && !half_free(k)))
                continue;
            k->taken = false;
            wake_producer(k);
        }
    }
}

// Runs the head stage on what the batcher has; false when it asks for a retry.
static bool give_batches(rki_runner *r, rki_flush_why why)
{
    bool nomem = false;
    uint64_t corr = 0;
    rkp_batch *b;
    while (!rki_halted(r) && (b = rki_batcher_get(r->batcher, r->now_ns, why, &corr, &nomem))) {
        rkp_verdict v;
        r->corr = corr;
        v = run_stage(r->acts[0], b);
        if (v == RKP_RETRY || v == RKI_CRASHED) {
            r->pending = b;
            r->pending_port = 0;
            r->pending_corr = corr;
            return false;
        }
        rkp_batch_put(b);
        if (!rki_out_room(r))
            break; // the rest when there is room
    }
    if (nomem)
        rki_fail_run(r->acts[0], RKP_NOMEM, "out of memory while making batches");
    return true;
}

// Runs the head stage on a batch of an input; false when it asks for a retry (the batch is kept as pending).
static bool feed(rki_runner *r, const rki_inset *in, rkp_batch *b, uint8_t flags)
{
    rkp_actor *head = r->acts[0];
    rkp_verdict v;
    if (in->unite && !in->unite->same && !b->blob.p) {
        b = rki_unite_batch(head, in->unite_to, in->unite, b);
        rki_crash_is_final(head);
        if (!b)
            return true;
    }
    if (in->where || in->where_subs || in->where_any) {
        b = rki_wanted_rows(r, in, b);
        rki_crash_is_final(head);
        if (!b)
            return true;
    }
    if (RKP_UNLIKELY(r->batcher) && !in->reply) {
        if (head->bound->k->batch_period_ns)
            r->now_ns = rkp_now_ns(head);
        rki_batcher_put(r->batcher, b, r->corr);
        r->pending_flags = flags;
        return give_batches(r, RKI_FLUSH_NO);
    }
    v = run_stage(head, b);
    if (v == RKP_RETRY || v == RKI_CRASHED) {
        r->pending = b;
        r->pending_port = r->in_port;
        r->pending_corr = r->corr;
        r->pending_flags = flags;
        return false;
    }
    rkp_batch_put(b);
    return true;
}

// Stored rows that come back to a stage of this runner.
static void feed_given(rki_runner *r, rkp_actor *a, rkp_batch *b)
{
    static const rki_inset none;
    if (a == r->acts[0]) {
        feed(r, &none, b, 0);
        return;
    }
    rki_deliver(a, b);
    rkp_batch_put(b);
}

enum took { TOOK_NONE, TOOK_SOME, TOOK_RETRY };

// While something retires only that and what was there before it is read, and while it stops only what its successor will not.
static bool picked(const rki_runner *r, const rki_inset *in)
{
    if (__atomic_load_n(&r->stop, __ATOMIC_ACQUIRE) == RKI_STOP_ASKED && !in->retires && !rki_drains(r, in))
        return false;
    for (uint32_t i = 0; i < r->n_ins; i++)
        if (r->ins[i].retires && r->ins[i].n_ended < r->ins[i].n && r->ins[i].era < in->era)
            return false;
    return true;
}

// Whose turn it is: the highest priority, and among equals in turns.  -1: nothing there.
static int next_input(rki_runner *r, bool only_replies)
{
    int best = -1;
    unsigned most = 0;
    if (r->hlc_in && !only_replies)
        return rki_hold_next(r);
    for (uint32_t i = 0; i < r->n_ins; i++) {
        uint32_t at = (r->next_in + i) % r->n_ins;
        rkp_envelope e;
        if ((only_replies && !r->ins[at].reply) || (RKP_UNLIKELY(r->picks) && !picked(r, &r->ins[at])) ||
            !front(&r->ins[at], &e))
            continue;
        if (r->n_ins == 1)
            return (int)at;
        if (best < 0 || e.priority > most) {
            best = (int)at;
            most = e.priority;
        }
    }
    return best;
}

// What had been on its way when the checkpoint was made.  It is of no chunk: who has such things has one replica.
static enum took take_restored(rki_runner *r)
{
    rkp_envelope e;
    rki_inset *in;
    if (!rki_ckpt_restored(r, &in, &e))
        return TOOK_SOME;
    if (r->hlc_in)
        rki_hold_took(r, in->links[0], &e);
    rkp_hlc_merge(&r->clock, e.stamp);
    r->in_stamp = e.stamp;
    r->corr = e.corr;
    r->in_port = in->port;
    return feed(r, in, (rkp_batch *)(uintptr_t)e.payload, e.flags) ? TOOK_SOME : TOOK_RETRY;
}

static enum took take(rki_runner *r, uint64_t *bytes, bool only_replies)
{
    rkp_envelope e;
    rki_inset *in;
    rki_link *k;
    rkp_batch *b;
    int at;
    if (RKP_UNLIKELY(r->restored) && !r->hlc_in && !only_replies)
        return take_restored(r);
    at = next_input(r, only_replies);
    if (RKP_UNLIKELY(at == RKI_HOLD_RESTORED))
        return take_restored(r);
    if (at < 0)
        return TOOK_NONE;
    in = &r->ins[at];
    k = in->links[in->cur];
    if (!take_front(in, r->hlc_in && !only_replies ? &r->hold_seq : NULL, &e, bytes))
        return TOOK_SOME; // look again
    if (r->hlc_in && !only_replies)
        rki_hold_took(r, k, &e);
    b = (rkp_batch *)(uintptr_t)e.payload;
    rkp_hlc_merge(&r->clock, e.stamp);
    r->in_stamp = e.stamp;
    r->corr = e.corr;
    r->in_port = in->port;
    r->chunk = in->edge->kind == RKI_EDGE_PARTITION ? e.chunk * r->plan->replicas + r->replica : e.chunk;
    RKI_ADD(k->got_rows, e.rows);
    r->next_in = ((uint32_t)at + 1) % r->n_ins;
    if (e.flags & RKP_F_END) {
        k->ended = true;
        in->n_ended++;
        if (RKP_UNLIKELY(k->logs))
            rki_ckpt_link_done(r, k);
        next_ring(in);
        if (RKP_UNLIKELY(in->retires) && in->n_ended == in->n)
            rki_let_sets_go(r);
        return TOOK_SOME;
    }
    if (RKP_UNLIKELY(e.flags & RKP_F_BARRIER)) {
        if (k->logs)
            rki_ckpt_link_done(r, k);
        else if ((uint32_t)e.chunk > r->barrier) // or it was suspended and did not wait for it
            rki_ckpt_took(r, in, k, (uint32_t)e.chunk);
        return TOOK_SOME;
    }
    if (RKP_UNLIKELY(k->logs))
        rki_ckpt_log_message(r, in, &e, b);
    if ((e.flags & RKP_F_LAST) && in->edge->chunked)
        next_ring(in);
    if (b && !feed(r, in, b, e.flags))
        return TOOK_RETRY;
    if ((e.flags & RKP_F_LAST) || !in->edge->chunked)
        rki_close_chunk(r);
    return TOOK_SOME;
}

static uint64_t rki_now_ns(const rki_runner *r)
{
    return rkp_now_ns(r->acts[0]);
}

static bool inputs_ended(const rki_runner *r)
{
    bool circle = r->in_circle && rki_circle_done(r);
    // Within a kernel the end comes when the stage before has ended: what that gives at its end is not lost.
    for (uint32_t i = 0; i < r->n_ins; i++)
        if (!r->ins[i].reply && r->ins[i].n_ended < r->ins[i].n &&
            !(circle && r->ins[i].edge->circle && !rki_internal(r->ins[i].edge)))
            return false;
    return true;
}

// ---- the step -------------------------------------------------------------------------------------------------------

// A call begins: who watches for hung kernels counts from here.
static void look_at_watch(rki_runner *r)
{
    if (RKP_UNLIKELY(r->watched))
        __atomic_store_n(&r->step_start_ns, rki_run_ns(r->run), __ATOMIC_RELAXED);
}

// Also a kernel may have no inputs, when nobody publishes what it subscribes to: it ends at once.
static bool is_source(const rki_runner *r)
{
    return r->n_ins == 0 && r->acts[0]->op->kind == RKP_SOURCE;
}

// Runs on_timer of the stages whose time has come; false when none was run.
static bool run_timers(rki_runner *r)
{
    bool any = false;
    for (uint32_t i = 0; i < r->n_stages; i++) {
        rkp_actor *a = r->acts[i];
        rkp_verdict v;
        if (!a->timer_ns || a->ended || (a->timer_ns > rkp_now_ns(a) && !rkp_stopping(a)))
            continue;
        a->timer_ns = 0;
        any = true;
        if (RKP_UNLIKELY(a->life)) {
            rki_supervised_timer(a);
            continue;
        }
        v = a->op->on_timer(a->self, a);
        if (v == RKP_STOP)
            rki_stop_stage(a);
        else if (v == RKP_FAIL)
            rkp_fail(a, RKP_IO, "failed"); // keeps the first message
    }
    return any;
}

static rkp_step idle(rki_runner *r)
{
    wake_producers(r, true);
    uint64_t wake = r->wake_ns;
    bool full = false; // it waits for room, which wakes it: a timer could do nothing before
    for (uint32_t i = 0; i < r->n_outs; i++)
        full |= r->outs[i].n_box > 0;
    full |= r->n_suspended > 0; // and a command that resumes it wakes it, too
    for (uint32_t i = 0; r->timed && !full && i < r->n_stages; i++) {
        uint64_t t = r->acts[i]->timer_ns;
        if (t && (!wake || t < wake))
            wake = t;
    }
    if (wake && r->run->args.now_ns)
        wake = rki_run_ns(r->run) + 1000000u;
    __atomic_store_n(&r->task.wake_ns, wake, __ATOMIC_RELAXED);
    return RKP_STEP_IDLE;
}

static rkp_step finish(rki_runner *r)
{
    r->phase = PHASE_DONE;
    r->done = true;
    if (r->run->ckpt)
        rki_ckpt_retire(r);
    rki_life_end(r);
    // The control thread looks at the run when a task retires.
    return RKP_STEP_DONE;
}

// A reload has put a new input before a runner that is ending: it takes what comes, which is too late for it, to its end.
void rki_reopen(rki_runner *r)
{
    bool any = false;
    for (uint32_t i = 0; i < r->n_ins; i++)
        any |= r->ins[i].n && !r->ins[i].retires && !r->ins[i].known;
    if (!any || r->phase == PHASE_RUN || r->phase == PHASE_DONE)
        return;
    for (uint32_t i = 0; i < r->n_stages; i++)
        if (!r->acts[i]->stopped) {
            r->acts[i]->stop_reason = "reload";
            rki_stop_stage(r->acts[i]);
        }
    r->phase = PHASE_RUN;
}

// Has everything that this runner sent been taken?
static bool all_taken(const rki_runner *r)
{
    for (uint32_t i = 0; i < r->n_outs; i++)
        for (uint32_t l = 0; l < r->outs[i].n; l++)
            if (rki_ring_fill(r->outs[i].links[l]->ring) > 0)
                return false;
    return true;
}

// What a source that never waits makes within a few microseconds goes into the rings together while it is small: looking at the clock,
// publishing and waking cost more than such a message.
static rkp_verdict poll_some(rki_runner *r)
{
    rkp_actor *a = r->acts[0];
    uint64_t rows = a->counts.rows_out, begin_us = r->pt_us;
    uint32_t n = 0, most = a->op->traits & RKP_BLOCKING ? 1 : r->gather + 1;
    rkp_verdict v;
    do {
        v = a->op->poll(a->self, a);
        RKI_ADD(a->counts.batches, 1);
    } while (v == RKP_MORE && ++n < most && a->counts.rows_out - rows < GATHER_ROWS && !rkp_stopping(a));
    rki_look_at_clock(r);
    if (r->pt_us - begin_us > GATHER_US)
        r->gather /= 2;
    else if (r->gather + 1 < GATHER_POLLS)
        r->gather++;
    return v;
}

// A source polls until it ends; RKP_STEP_DONE here means "go on to the end phase".
static rkp_step poll_source(rki_runner *r)
{
    rkp_actor *a = r->acts[0];
    if (RKP_UNLIKELY(a->muted))
        return RKP_STEP_DONE;
    // A worker that has read so much looks after those who work on it while it is in the cache.
    uint64_t bytes = a->counts.bytes_out, most = r->task.own_thread ? UINT64_MAX : QUANTUM_BYTES;
    for (int i = 0; i < QUANTUM_MESSAGES && a->counts.bytes_out - bytes < most; i++) {
        uint64_t polls = a->counts.batches, emission = r->emission;
        rkp_verdict v;
        if (RKP_UNLIKELY(__atomic_load_n(&r->stop, __ATOMIC_ACQUIRE) == RKI_STOP_ASKED)) {
            rki_flush(r);
            if (!rki_may_stop(r))
                rki_flush_or_wait(r);
            return RKP_STEP_IDLE;
        }
        if (!rki_flush_or_wait(r))
            return RKP_STEP_IDLE;
        check_wanted(r);
        if (RKP_UNLIKELY(r->given)) {
            rki_take_given(r, feed_given);
            continue;
        }
        if (RKP_UNLIKELY(r->over))
            return RKP_STEP_IDLE;
        if (rkp_stopping(a) || r->polled_out || RKP_UNLIKELY(RKI_LOOK(r->leaves)))
            return RKP_STEP_DONE;
        if (RKP_UNLIKELY(rki_ckpt_due(r))) {
            if (!rki_ckpt_cut(r, 0))
                return RKP_STEP_AGAIN;
            continue;
        }
        if (RKP_UNLIKELY(rki_ckpt_hold(r)))
            return RKP_STEP_IDLE;
        if (!rkp_pool_room(r->run->pool, 1 << 20) && !all_taken(r)) {
            // Batches in flight use the budget: look again when one of ours is taken, or in a millisecond.  A source of
            // which nothing waits may always send one more, or a budget smaller than what the others hold would stop it
            // for ever.
            __atomic_exchange_n(&r->out_waiting, 1, __ATOMIC_SEQ_CST);
            r->wake_ns = rki_run_ns(r->run) + 1000000u;
            return RKP_STEP_IDLE;
        }
        if (RKP_UNLIKELY(a->bound->k->again)) {
            v = rki_replay_feed(a);
        } else if (RKP_UNLIKELY(a->life)) {
            v = rki_supervised_poll(a);
            if (v == RKI_CRASHED) {
                rki_flush_or_wait(r);
                return RKP_STEP_IDLE;
            }
            RKI_ADD(a->counts.batches, 1);
            rki_look_at_clock(r);
        } else {
            v = poll_some(r);
        }
        if (r->emission != emission)
            r->took += (uint32_t)(a->counts.batches - polls);
        switch (v) {
        case RKP_DONE:
        case RKP_STOP:
            r->polled_out = true;
            break;
        case RKP_FAIL:
            rkp_fail(a, RKP_IO, "failed");
            return RKP_STEP_AGAIN;
        case RKP_RETRY:
            // The engine's own publisher is woken when something happens.
            if (!rki_flush_or_wait(r) || r->wake_ns || rki_is_publisher(r))
                return RKP_STEP_IDLE;
            break;
        default:
            break;
        }
        if (RKP_UNLIKELY(__atomic_load_n(&r->commands, __ATOMIC_RELAXED)))
            break;
    }
    return rki_flush_or_wait(r) ? RKP_STEP_AGAIN : RKP_STEP_IDLE;
}

static bool is_request(const rki_outset *o);

// Nothing but END, behind what waits on disk.
static bool only_ends_wait(const rki_runner *r)
{
    for (uint32_t i = 0; i < r->n_outs; i++) {
        const rki_outset *o = &r->outs[i];
        if (o->n_box && (o->edge->overflow != RKI_OVERFLOW_SPILL || o->n_box > 1 || !(o->box[0].env.flags & RKP_F_END)))
            return false;
    }
    return true;
}

// Runs on_end, prepare, and END, each as far as room allows; resumes where it stopped.
static rkp_step end_phase(rki_runner *r)
{
    while (r->phase == PHASE_END) {
        if (!rki_flush_or_wait(r) || (run_timers(r) && !rki_flush_or_wait(r)))
            return RKP_STEP_IDLE;
        if (rki_halted(r))
            return RKP_STEP_AGAIN;
        if (r->end_stage == r->n_stages) {
            r->phase = PHASE_PREPARE;
            break;
        }
        rkp_actor *a = r->acts[r->end_stage];
        rkp_verdict v = RKP_DONE;
        bool half = a->stage->role == RKI_POLL || a->stage->role == RKI_DECODE || a->stage->role == RKI_ENCODE;
        look_at_watch(r);
        if (RKP_UNLIKELY(a->life) && !rki_life_ready(a)) {
            rki_flush_or_wait(r);
            return RKP_STEP_IDLE;
        }
        if (a->op->on_end && !half && !a->ended && !a->muted && !ends_for_nobody(a))
            v = RKP_UNLIKELY(a->life) ? rki_supervised_end(a) : a->op->on_end(a->self, a);
        if (v == RKP_RETRY || v == RKI_CRASHED) {
            rki_flush_or_wait(r);
            return RKP_STEP_IDLE;
        }
        if (v == RKP_FAIL) {
            rkp_fail(a, RKP_IO, "failed at the end");
        } else if (v != RKP_MORE) {
            a->ended = true;
            r->end_stage++;
        }
    }
    if (r->phase == PHASE_PREPARE) {
        for (uint32_t i = 0; i < r->n_stages; i++) {
            rkp_actor *a = r->acts[i];
            bool half = a->stage->role == RKI_ENCODE, isolated = a->life && a->stopped;
            rkp_status st = RKP_OK;
            if (a->op->prepare && !half && !isolated && !a->muted && !a->prepared)
                st = a->op->prepare(a->self, a);
            a->prepared = st == RKP_OK;
            if (st != RKP_OK) {
                rkp_fail(a, st, "cannot make its output durable");
                rki_crash_is_final(a);
                return RKP_STEP_AGAIN;
            }
        }
        rki_dead_flush(r); // before the end
        rki_end_gates(r);
        r->emission++;
        for (uint32_t i = 0; i < r->n_outs; i++) {
            rki_outset *o = &r->outs[i];
            bool sent = r->requests_ended && is_request(o);
            if (sent || o->gated || o->closes || o->ends)
                continue;
            rki_box_end(r, o);
        }
        r->end_sent = true;
        r->phase = PHASE_SEND_END;
    }
    if (!rki_flush_or_wait(r) || !rki_out_empty(r)) {
        // What waits on disk may wait for long: its consumer is suspended.
        if (RKP_UNLIKELY(r->lossy) && rki_ckpt_due(r) && only_ends_wait(r) && rki_ckpt_cut(r, 0))
            rki_flush_or_wait(r);
        return RKP_STEP_IDLE;
    }
    return finish(r);
}

// ---- requests -------------------------------------------------------------------------------------------------------
//
// A kernel that sends requests takes replies whatever else waits, so that a full ring of requests and a full ring of replies cannot wait
// for each other.  Its end: the other inputs have ended, every request is answered or timed out (on_end says so), END goes to
// whom it asks, and END comes back from who answers.

static bool is_request(const rki_outset *o)
{
    return !o->edge->dead && o->from == 0 && o->edge->from_port == 1;
}

static bool only_requests_wait(const rki_runner *r)
{
    for (uint32_t i = 0; i < r->n_outs; i++)
        if (r->outs[i].n_box && !is_request(&r->outs[i]))
            return false;
    return true;
}

static bool replies_ended(const rki_runner *r)
{
    for (uint32_t i = 0; i < r->n_ins; i++)
        if (r->ins[i].reply && r->ins[i].n_ended < r->ins[i].n)
            return false;
    return true;
}

// True when something was done; false when there is nothing to do but wait.
static bool end_requests(rki_runner *r)
{
    rkp_actor *a = r->acts[0];
    rkp_verdict v;
    if (r->requests_ended)
        return false;
    r->corr = 0;
    v = a->op->on_end && !a->ended && !a->stopped && !a->muted ? a->op->on_end(a->self, a) : RKP_DONE;
    if (v == RKP_RETRY)
        return false;
    if (v == RKP_MORE)
        return true;
    if (v == RKP_FAIL)
        rkp_fail(a, RKP_IO, "failed at the end");
    a->ended = true;
    r->requests_ended = true;
    r->emission++;
    for (uint32_t i = 0; i < r->n_outs; i++)
        if (is_request(&r->outs[i]))
            rki_box_end(r, &r->outs[i]);
    return v != RKP_FAIL;
}

// No stamp may pass the bound on disk (RELIABILITY.md 2.4 line 7): near it the runner waits for the control thread to move it.
static bool clock_stands(rki_runner *r)
{
    rki_run *run = r->run;
    uint64_t limit;
    if (!run->leased)
        return false;
    limit = rki_lease_limit(&run->lease);
    // By time, and by count where the clock is ahead of time (after a wall clock was set back).
    if ((r->pt_us + RKI_CLOCK_MARGIN_US) << 12 < limit && r->clock.last + RKI_CLOCK_MARGIN_TICKS < limit)
        return false;
    __atomic_store_n(&run->lease.wanted, r->clock.last + RKI_CLOCK_MARGIN_TICKS, __ATOMIC_RELAXED);
    r->wake_ns = rki_run_ns(r->run) + 10000000u;
    return true;
}

// It is asked to stop.  What waits for room in a ring that its successor gets may wait there.
static bool stops_here(rki_runner *r)
{
    rki_flush(r);
    if (rki_batcher_rows(r->batcher) && !r->pending)
        give_batches(r, RKI_FLUSH_RELOAD);
    return rki_may_stop(r);
}

// Stopped: its successor goes on, or it does itself when that was taken back.
static bool has_stopped(const rki_runner *r)
{
    return __atomic_load_n(&r->stop, __ATOMIC_RELAXED) == RKI_STOP_DONE;
}

// The second half of a kernel that is suspended: what the first one has sent only it can read, and it cannot be part of a checkpoint, so it is
// given on up to the barrier.  Not to another kernel of this runner that is suspended.
static bool gives_on(const rki_runner *r)
{
    uint32_t own = 0;
    if (!r->n_ins || !rki_internal(r->ins[0].edge) || r->phase != PHASE_RUN || !rki_ckpt_due(r))
        return false;
    for (uint32_t i = 0; i < r->n_ins; i++) {
        rki_ring *ring = r->ins[i].links[r->ins[i].cur]->ring;
        if (rki_ring_ready(ring) && rki_ring_peek(ring, 0)->flags & RKP_F_END) // it does not end meanwhile
            return false;
    }
    for (uint32_t i = 0; i < r->n_stages; i++)
        own += r->acts[i]->suspended && r->acts[i]->ks == r->acts[0]->ks;
    return own == r->n_suspended;
}

static rkp_step step(rki_runner *r)
{
    uint64_t bytes = 0;
    rkp_step st = RKP_STEP_AGAIN;
    if (rki_halted(r))
        return finish(r);
    if (!r->inited) {
        r->inited = true;
        if (!init_stages(r))
            return finish(r);
    }
    // Acquire, with the release of who commands: the wishes it left.  Relaxed before it: who commands wakes us afterwards.
    if (RKP_UNLIKELY(__atomic_load_n(&r->commands, __ATOMIC_RELAXED)) &&
        __atomic_exchange_n(&r->commands, 0, __ATOMIC_ACQ_REL))
        rki_obey(r);
    if (RKP_UNLIKELY(r->n_suspended) && !gives_on(r)) {
        bool empty = rki_flush_or_wait(r);
        if (RKP_UNLIKELY(r->chain) && !rki_device_empty(r)) // what it had taken comes back first
            return empty && rki_device_collect(r) ? RKP_STEP_AGAIN : idle(r);
        if (RKP_UNLIKELY(__atomic_load_n(&r->stop, __ATOMIC_ACQUIRE) == RKI_STOP_ASKED) && rki_may_stop(r))
            return RKP_STEP_DONE;
        if (RKP_UNLIKELY(rki_ckpt_due(r)) && empty && r->phase == PHASE_RUN) {
            if (!(is_source(r) ? rki_ckpt_cut(r, 0) : rki_ckpt_at_rest(r)))
                return finish(r);
            rki_flush_or_wait(r);
        }
        return idle(r);
    }
    if (RKP_UNLIKELY(clock_stands(r)))
        return idle(r);
    if (RKP_UNLIKELY(r->acts[0]->life) && !rki_life_ready(r->acts[0])) {
        if (rki_halted(r))
            return finish(r);
        if (rki_flush_or_wait(r) && r->phase == PHASE_RUN && rki_ckpt_due(r) && rki_life_lost(r->acts[0])) {
            if (!rki_ckpt_cut(r, 0)) // a checkpoint need not wait for the new instance: its place is known
                return finish(r);
            rki_flush_or_wait(r);
        }
        return idle(r);
    }
    if (r->phase == PHASE_RUN && is_source(r)) {
        st = poll_source(r);
        if (RKP_UNLIKELY(has_stopped(r)))
            return RKP_STEP_DONE;
        if (st == RKP_STEP_DONE)
            r->phase = PHASE_END;
        else if (rki_halted(r))
            return finish(r);
        else
            return st == RKP_STEP_IDLE ? idle(r) : st;
    }
    for (int i = 0; r->phase == PHASE_RUN && i < QUANTUM_MESSAGES && bytes < QUANTUM_BYTES; i++) {
        enum took took = TOOK_SOME;
        if (RKP_UNLIKELY(r->n_suspended) && !gives_on(r))
            break;
        if (RKP_UNLIKELY(__atomic_load_n(&r->stop, __ATOMIC_ACQUIRE) == RKI_STOP_ASKED) && stops_here(r))
            return RKP_STEP_DONE;
        if (!rki_flush_or_wait(r)) {
            if (RKP_UNLIKELY(r->calls) && only_requests_wait(r) && take(r, &bytes, true) == TOOK_SOME)
                continue;
            return idle(r);
        }
        check_wanted(r);
        if (RKP_UNLIKELY(r->chain) && rki_device_collect(r))
            continue;
        if (RKP_UNLIKELY(r->timed) && run_timers(r) && !rki_flush_or_wait(r))
            return idle(r);
        if (RKP_UNLIKELY(r->acts[0]->life) && !rki_life_ready(r->acts[0]))
            return rki_halted(r) ? finish(r) : idle(r);
        if (RKP_UNLIKELY(r->batcher) && !r->pending && r->acts[0]->bound->k->batch_period_ns &&
            rki_batcher_due(r->batcher, r->now_ns = rki_now_ns(r), false, &r->wake_ns)) {
            if (!give_batches(r, RKI_FLUSH_PERIOD)) {
                rki_flush_or_wait(r);
                return idle(r);
            }
            continue;
        }
        if (RKP_UNLIKELY(r->barring) && !r->pending && rki_ckpt_aligned(r)) {
            if (RKP_UNLIKELY(r->chain) && !rki_device_empty(r))
                return idle(r); // what is before the barrier comes back first
            if (rki_batcher_rows(r->batcher)) {
                if (!give_batches(r, RKI_FLUSH_BARRIER)) {
                    rki_flush_or_wait(r);
                    return idle(r);
                }
            } else if (!rki_ckpt_cut(r, r->barring)) {
                return finish(r);
            }
            continue;
        }
        if (r->pending && r->calls && take(r, &bytes, true) == TOOK_SOME)
            continue; // a reply may be what it waits for
        if (r->pending) {
            rkp_batch *b = r->pending;
            rkp_verdict v;
            r->in_port = r->pending_port;
            r->corr = r->pending_corr;
            v = run_stage(r->acts[0], b);
            if (v == RKP_RETRY || v == RKI_CRASHED)
                return idle(r);
            r->pending = NULL;
            rkp_batch_put(b);
            if (r->pending_flags & RKP_F_LAST)
                rki_close_chunk(r);
        } else if (RKP_UNLIKELY(r->batcher) && rki_batcher_full(r->batcher)) {
            took = give_batches(r, RKI_FLUSH_NO) ? TOOK_SOME : TOOK_RETRY;
        } else if (RKP_UNLIKELY(r->given)) {
            rki_take_given(r, feed_given);
            took = r->pending ? TOOK_RETRY : TOOK_SOME;
        } else {
            took = take(r, &bytes, false);
        }
        if (rki_halted(r))
            return finish(r);
        if (took == TOOK_RETRY) {
            rki_flush_or_wait(r);
            return idle(r);
        }
        if (took == TOOK_NONE && RKP_UNLIKELY(r->batcher)) {
            bool over = inputs_ended(r);
            if (over || rki_batcher_due(r->batcher, rki_now_ns(r), true, &r->wake_ns)) {
                if (!give_batches(r, over ? RKI_FLUSH_END : RKI_FLUSH_IDLE)) {
                    rki_flush_or_wait(r);
                    return idle(r);
                }
                if (!over || rki_batcher_rows(r->batcher))
                    continue;
            }
        }
        if (took == TOOK_NONE) {
            if (!inputs_ended(r) || (RKP_UNLIKELY(r->chain) && !rki_device_empty(r)))
                return idle(r);
            if (r->calls && !replies_ended(r)) {
                if (!end_requests(r))
                    return rki_halted(r) ? finish(r) : idle(r);
                continue;
            }
            // Its last input may have ended because a new graph is there, in which it has others: only who wears that knows.
            if (RKP_UNLIKELY(r->wiring->gen->number != RKI_LOOK(r->run->number)) && !RKI_LOOK(r->leaves))
                return __atomic_load_n(&r->next, __ATOMIC_ACQUIRE) ? RKP_STEP_AGAIN : idle(r);
            r->phase = PHASE_END;
        }
        if (RKP_UNLIKELY(__atomic_load_n(&r->commands, __ATOMIC_RELAXED)))
            return RKP_STEP_AGAIN;
    }
    if (r->phase == PHASE_RUN) {
        if (!rki_flush_or_wait(r))
            return idle(r);
        wake_producers(r, false);
        return RKP_STEP_AGAIN;
    }
    st = end_phase(r);
    if (rki_halted(r) && st != RKP_STEP_DONE)
        return finish(r);
    return st == RKP_STEP_IDLE ? idle(r) : st;
}

static rkp_step whole_step(rki_runner *r)
{
    rkp_step st = step(r);
    if (RKP_UNLIKELY(r->gathered))
        rki_spill_write(r);
    rki_meter_end(r);
    return st;
}

// A member of a circle: nothing in its hands, and everything that comes from outside of the circle has come.
static bool holds_nothing(const rki_runner *r)
{
    for (uint32_t i = 0; i < r->n_ins; i++)
        if (!r->ins[i].edge->circle && r->ins[i].n_ended < r->ins[i].n)
            return false;
    for (uint32_t i = 0; i < r->n_stages; i++)
        if (r->acts[i]->timer_ns)
            return false;
    return !r->pending && !r->restored && !(r->chain && !rki_device_empty(r)) && rki_batcher_rows(r->batcher) == 0 &&
           rki_out_empty(r);
}

rkp_step rki_runner_step(rkp_task *t, void *arg, unsigned worker)
{
    rki_runner *r = arg;
    rkp_step st;
    (void)worker;
    if (!t->own_thread) // those of workers stay as long as the run
        rki_pool_sit(r->run->pool);
    // Relaxed: only a wake-up hint of our own; whoever saw 1 wakes us once too often.
    __atomic_store_n(&r->out_waiting, 0, __ATOMIC_RELAXED);
    r->wake_ns = 0;
    if (RKP_UNLIKELY(__atomic_load_n(&r->next, __ATOMIC_RELAXED)))
        rki_adopt(r);
    r->picks = r->wiring->n_retires || __atomic_load_n(&r->stop, __ATOMIC_ACQUIRE) == RKI_STOP_ASKED;
    rki_look_at_clock(r);
    rki_meter_begin(r);
    if (RKP_UNLIKELY(r->spills))
        r->gathered_ns = rki_now_ns(r);
    RKI_ADD(r->steps, 1);
    if (RKP_UNLIKELY(r->in_circle))
        __atomic_store_n(&r->at_rest, 0, __ATOMIC_RELAXED);
    if (!r->watched && !r->hlc_out) {
        st = whole_step(r);
        if (RKP_UNLIKELY(r->hlc_out)) { // since a reload in the middle of it
            rki_floors(r);
            rki_clock_leave(r);
        }
        if (RKP_UNLIKELY(r->in_circle))
            __atomic_store_n(&r->at_rest, holds_nothing(r), __ATOMIC_RELEASE);
        return st;
    }
    r->now_ns = rki_run_ns(r->run);
    __atomic_store_n(&r->step_start_ns, r->now_ns, __ATOMIC_RELAXED);
    if (r->hlc_out)
        rki_clock_enter(r);
    st = whole_step(r);
    if (r->hlc_out) {
        rki_floors(r);
        rki_clock_leave(r);
    }
    __atomic_store_n(&r->step_start_ns, 0, __ATOMIC_RELAXED);
    if (RKP_UNLIKELY(r->in_circle))
        __atomic_store_n(&r->at_rest, holds_nothing(r), __ATOMIC_RELEASE);
    return st;
}
