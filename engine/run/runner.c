// run/runner.c - the actor's loop, the same for every kernel: take a message, run the stages, put messages, obey.
//
//   init -> take* -> on_end (each stage, producers first) -> prepare -> END on every edge -> done
//
// A message is taken only when everything that the last one produced has found room, so a runner holds at most what one
// message makes.  Chunk marks: on an edge whose producer or consumer is replicated, every input chunk yields at least
// one message, the last one marked; the consumer reads one ring until the mark, then the next ring in turn.  Chunk
// numbers are dense, so a ring that has ended at its turn means that no later chunk exists.
#include "run/actor.h"

#include <stdlib.h>

enum { PHASE_RUN, PHASE_END, PHASE_PREPARE, PHASE_SEND_END, PHASE_DONE };
enum { QUANTUM_MESSAGES = 64, QUANTUM_BYTES = 128 << 10 };

static uint64_t weight(const rkp_batch *b)
{
    return b ? (b->blob.p ? b->blob.n : b->in_bytes) + (uint64_t)b->rows * 16u + 256u : 64u;
}

// ---- output ---------------------------------------------------------------------------------------------------------

static void wake_runner(rki_runner *r)
{
    r->run->backend->wake(r->run->b, &r->task);
}

static void box(rki_runner *r, rki_outset *o, uint32_t link, rkp_batch *b, uint64_t chunk, uint8_t flags)
{
    rki_outmsg *m;
    if (o->n_box == o->cap_box) {
        uint32_t cap = o->cap_box ? o->cap_box * 2 : 16;
        rki_outmsg *v = realloc(o->box, cap * sizeof *v);
        if (!v) {
            rkp_batch_put(b);
            rkp_fail(&r->stages[0], RKP_NOMEM, "out of memory for messages that wait");
            return;
        }
        o->box = v;
        o->cap_box = cap;
    }
    m = &o->box[o->n_box++];
    *m = (rki_outmsg){ .link = link };
    m->env.payload = (uint64_t)(uintptr_t)b;
    m->env.chunk = chunk;
    m->env.rows = b ? (uint32_t)rki_batch_rows(b) : 0;
    m->env.flags = flags;
    m->env.actor = r->id;
    m->env.generation = 1;
    o->open[link] = o->n_box;
}

static uint64_t hash_value(uint64_t h, const void *p, size_t n)
{
    // FNV-1a over the bytes, then a finaliser: only has to spread keys over a few replicas, the same way every time.
    const unsigned char *c = p;
    for (size_t i = 0; i < n; i++)
        h = (h ^ c[i]) * 0x100000001b3ull;
    return h;
}

static void push_partitioned(rki_runner *r, rki_outset *o, rkp_batch *b, uint64_t chunk, uint8_t flags)
{
    rkp_actor *a = &r->stages[r->n_stages - 1];
    rkp_frame *f = rkp_actor_frame(a);
    rkp_batch *mem = rkp_batch_new(r->run->pool, NULL, 0, 4096);
    uint32_t *which, *rows;
    rkp_errs errs = { 0 };
    rkp_col keys;
    if (!f || !mem || !(which = rkp_batch_alloc(mem, (size_t)b->rows * 8 + 8))) {
        rkp_fail(a, RKP_NOMEM, "out of memory while dividing rows");
        goto out;
    }
    rows = which + b->rows;
    if (rkp_expr_eval(o->partition, f, mem, b, NULL, NULL, b->rows, &keys, &errs) != RKP_OK) {
        rkp_fail(a, RKP_NOMEM, "out of memory while dividing rows");
        goto out;
    }
    for (uint32_t i = 0; i < b->rows; i++) {
        uint64_t h = 0xcbf29ce484222325ull;
        uint32_t p = rkp_col_row(&keys, i);
        if (!rkp_col_is_null(&keys, p)) { // null keys and keys in error go to replica 0, which reports them
            if (rkp_kind_is_view(keys.type.kind)) {
                rkp_str s = rkp_view_str(&keys, p);
                h = hash_value(h, s.p, s.n);
            } else if (keys.type.kind == RKP_BOOL) {
                unsigned char bit = rkp_bit(keys.values, p);
                h = hash_value(h, &bit, 1);
            } else {
                size_t w = rkp_kind_width(keys.type.kind);
                h = hash_value(h, (const char *)keys.values + w * p, w);
            }
            h ^= h >> 32;
            which[i] = (uint32_t)((h * 0x9e3779b97f4a7c15ull >> 33) % o->n);
        } else {
            which[i] = 0;
        }
    }
    for (uint32_t l = 0; l < o->n; l++) {
        uint32_t n = 0;
        rkp_batch *part = NULL;
        for (uint32_t i = 0; i < b->rows; i++) {
            rows[n] = i;
            n += which[i] == l;
        }
        if (n && !(part = rkp_batch_pick(b, rows, n))) {
            rkp_fail(a, RKP_NOMEM, "out of memory while dividing rows");
            goto out;
        }
        if (part || (flags & RKP_F_LAST))
            box(r, o, l, part, chunk, flags);
    }
out:
    rkp_errs_fini(&errs);
    rkp_batch_put(mem);
    rkp_batch_put(b);
}

// Parses the columns that the consumer reads while their text is warm, and where replicas share the work.  A column with
// bad values stays text: the consumer finds and reports them.  Takes b and gives b or a batch derived from it.
static rkp_batch *flatten(rki_runner *r, const rki_outset *o, rkp_batch *b)
{
    rkp_batch *out = NULL;
    rkp_errs errs = { 0 };
    for (uint32_t c = 0; c < o->n_flatten && c < b->n_cols; c++) {
        rkp_col flat;
        if (!o->flatten[c] || b->cols[c].rep != RKP_TEXT || b->cols[c].type.len)
            continue;
        if (!out && !(out = rkp_batch_derive(b, (size_t)b->rows * 16 + 256)))
            break;
        rkp_errs_clear(&errs);
        if (rkp_col_flat(out, b, c, NULL, b->rows, &flat, &errs) != RKP_OK)
            break; // without memory it stays as it is
        if (errs.n == 0 && !errs.failed)
            out->cols[c] = flat;
    }
    rkp_errs_fini(&errs);
    (void)r;
    if (!out)
        return b;
    rkp_batch_put(b); // the derived one holds it
    return out;
}

void rki_out_push(rki_runner *r, rki_outset *o, rkp_batch *b)
{
    bool many = r->plan->replicas > 1;
    uint64_t chunk = many ? r->chunk : o->next_chunk++;
    if (o->n_flatten && b->n_cols)
        b = flatten(r, o, b);
    uint8_t flags = (uint8_t)(RKP_F_DATA | (many || !o->edge->chunked ? 0 : RKP_F_LAST));
    if (o->edge->kind == RKI_EDGE_PARTITION)
        push_partitioned(r, o, b, chunk, flags);
    else
        box(r, o, o->edge->kind == RKI_EDGE_SCATTER ? (uint32_t)(chunk % o->n) : 0, b, chunk, flags);
}

// The input chunk at hand is complete: marks the last message of it on every chunked edge, or sends an empty one.
static void close_chunk(rki_runner *r)
{
    rki_dead_flush(r);
    if (r->plan->replicas == 1)
        return;
    for (uint32_t i = 0; i < r->n_outs; i++) {
        rki_outset *o = &r->outs[i];
        bool all = o->edge->kind == RKI_EDGE_PARTITION;
        uint32_t mine = o->edge->kind == RKI_EDGE_SCATTER ? (uint32_t)(r->chunk % o->n) : 0;
        for (uint32_t l = all ? 0 : mine; l < (all ? o->n : mine + 1); l++) {
            if (o->open[l])
                o->box[o->open[l] - 1].env.flags |= RKP_F_LAST;
            else
                box(r, o, l, NULL, r->chunk, RKP_F_DATA | RKP_F_LAST);
        }
    }
}

static void forget_open(rki_outset *o)
{
    for (uint32_t l = 0; l < o->n; l++)
        o->open[l] = 0;
}

// Moves what waits into rings with room, in order per ring.  True when nothing waits any more.
static bool flush(rki_runner *r)
{
    bool empty = true;
    rki_dead_flush(r);
    for (uint32_t i = 0; i < r->n_outs; i++) {
        rki_outset *o = &r->outs[i];
        uint32_t kept = 0;
        uint64_t full = 0, touched = 0; // bits per link (n <= 64)
        for (uint32_t m = 0; m < o->n_box; m++) {
            rki_outmsg *out = &o->box[m];
            rki_link *k = o->links[out->link];
            uint64_t bit = 1ull << out->link, w = weight((rkp_batch *)(uintptr_t)out->env.payload);
            bool room = !(full & bit) && rki_ring_room(k->ring, 1) > 0;
            if (room && rki_ring_fill(k->ring) > 0) {
                // Relaxed: a bound on memory, not on order; one message may overshoot it.
                uint64_t in = k->ring->bytes_in, gone = __atomic_load_n(&k->ring->bytes_out, __ATOMIC_RELAXED);
                room = in - gone + w <= k->byte_limit;
            }
            if (!room) {
                full |= bit;
                o->box[kept++] = *out;
                continue;
            }
            out->env.seq = k->next_seq++;
            out->env.stamp = rkp_hlc_tick(&r->clock, r->wall_us);
            RKI_ADD(k->sent_rows, out->env.rows);
            k->ring->bytes_in += w;
            rki_ring_push(k->ring, &out->env);
            touched |= bit;
        }
        o->n_box = kept;
        forget_open(o);
        empty &= kept == 0;
        for (uint32_t l = 0; touched; l++, touched >>= 1)
            if (touched & 1)
                wake_runner(o->links[l]->to);
    }
    return empty;
}

// flush, and if something still waits, ask to be woken; looks once more so that no wake-up is missed.
static bool flush_or_wait(rki_runner *r)
{
    if (flush(r))
        return true;
    // Sequentially consistent, with the consumer's read-modify-write in give_back: it releases slots and then looks
    // here.
    __atomic_exchange_n(&r->out_waiting, 1, __ATOMIC_SEQ_CST);
    if (!flush(r))
        return false;
    __atomic_store_n(&r->out_waiting, 0, __ATOMIC_RELAXED);
    return true;
}

// ---- stages ---------------------------------------------------------------------------------------------------------

static void stop_stage(rkp_actor *a)
{
    a->stopped = true;
    __atomic_store_n(&a->run->any_stop, 1, __ATOMIC_SEQ_CST);
}

static rkp_verdict call(rkp_actor *a, rkp_batch *b)
{
    switch (a->stage->role) {
    case RKI_DECODE:
        return a->op->decode(a->self, a, b);
    case RKI_ENCODE:
        return a->op->encode(a->self, a, b);
    default:
        return a->op->on_batch(a->self, a, 0, b);
    }
}

// Runs one stage on a batch, which stays the caller's.  RKP_RETRY comes back to the caller; all else is settled here.
static rkp_verdict run_stage(rkp_actor *a, rkp_batch *b)
{
    rkp_verdict v;
    if (rki_failed(a->run))
        return RKP_FAIL;
    if (a->stopped) {
        RKI_ADD(a->counts.rows_in, rki_batch_rows(b));
        rki_drop_rows(a, rki_batch_rows(b), "stop");
        return RKP_DONE;
    }
    v = call(a, b);
    if (v == RKP_RETRY)
        return v;
    RKI_ADD(a->counts.batches, 1);
    RKI_ADD(a->counts.rows_in, rki_batch_rows(b));
    RKI_ADD(a->counts.bytes_in, b->blob.p ? b->blob.n : b->in_bytes);
    a->meta.first_row += rki_batch_rows(b);
    if (v == RKP_PASS)
        rkp_emit(a, 0, rkp_batch_get(b));
    else if (v == RKP_STOP)
        stop_stage(a);
    else if (v == RKP_FAIL)
        rkp_fail(a, RKP_IO, "failed"); // keeps the first message
    return RKP_DONE;
}

void rki_deliver(rkp_actor *a, rkp_batch *b)
{
    if (run_stage(a, b) == RKP_RETRY)
        rkp_fail(a, RKP_INTERNAL, "a fused stage asked for a retry");
}

static bool init_stages(rki_runner *r)
{
    for (uint32_t i = 0; i < r->n_stages; i++) {
        rkp_actor *a = &r->stages[i];
        rkp_status st = a->op->init ? a->op->init(a->self, a) : RKP_OK;
        a->inited = true;
        if (st != RKP_OK) {
            rkp_fail(a, st, st == RKP_NOMEM ? "out of memory at its start" : "cannot start");
            return false;
        }
    }
    return true;
}

// Does anybody want what this stage makes?
static bool wanted(const rkp_actor *a)
{
    if (a->stopped)
        return false;
    if (a->op->kind == RKP_SINK && a->stage->role != RKI_ENCODE)
        return true;
    for (uint32_t p = 0; p < a->stage->n_ports; p++) {
        for (uint32_t i = 0; i < a->n_outs[p]; i++) {
            const rki_out *o = &a->outs[p][i];
            if (o->local) {
                if (wanted(o->local))
                    return true;
                continue;
            }
            for (uint32_t l = 0; l < o->set->n; l++)
                // Acquire, with the release in check_wanted: nothing but the word itself.
                if (!__atomic_load_n(&o->set->links[l]->closed, __ATOMIC_ACQUIRE))
                    return true;
        }
    }
    return false;
}

static void check_wanted(rki_runner *r)
{
    if (r->unwanted || !__atomic_load_n(&r->run->any_stop, __ATOMIC_RELAXED) || wanted(&r->stages[0]))
        return;
    r->unwanted = true;
    stop_stage(&r->stages[0]);
    for (uint32_t i = 0; i < r->n_ins; i++) {
        for (uint32_t l = 0; l < r->ins[i].n; l++) {
            __atomic_store_n(&r->ins[i].links[l]->closed, 1, __ATOMIC_RELEASE);
            wake_runner(r->ins[i].links[l]->from);
        }
    }
}

void rki_look_wanted(rki_runner *r)
{
    check_wanted(r);
}

// ---- input ----------------------------------------------------------------------------------------------------------

static void next_ring(rki_inset *in)
{
    uint32_t tries = 0;
    in->cur = (in->cur + in->step) % in->n;
    while (in->n_ended < in->n && in->links[in->cur]->ended && tries++ < in->n)
        in->cur = (in->cur + 1) % in->n;
}

// The envelope at the front of the input's turn, or NULL when it has not come yet.
static const rkp_envelope *front(rki_inset *in)
{
    if (in->n_ended == in->n)
        return NULL;
    while (in->links[in->cur]->ended)
        in->cur = (in->cur + 1) % in->n;
    rki_ring *ring = in->links[in->cur]->ring;
    return rki_ring_ready(ring) ? rki_ring_peek(ring, 0) : NULL;
}

// Gives the front slot back and wakes the producer when it waits for room.
static void give_back(rki_link *k, uint64_t w)
{
    __atomic_store_n(&k->ring->bytes_out, k->ring->bytes_out + w, __ATOMIC_RELAXED);
    rki_ring_release(k->ring, 1);
    // A read-modify-write, with the exchange in flush_or_wait: either it sees the slot or we see that it waits.
    if (__atomic_fetch_and(&k->from->out_waiting, 0, __ATOMIC_SEQ_CST))
        wake_runner(k->from);
}

// Runs the head stage on a batch of an input; false when it asks for a retry (the batch is kept as pending).
static bool feed(rki_runner *r, const rki_inset *in, rkp_batch *b, uint8_t flags)
{
    rkp_actor *head = &r->stages[0];
    if (in->unite && !in->unite->same && !b->blob.p) {
        b = rki_unite_batch(head, in->unite, b);
        if (!b)
            return true;
    }
    if (run_stage(head, b) == RKP_RETRY) {
        r->pending = b;
        r->pending_flags = flags;
        return false;
    }
    rkp_batch_put(b);
    return true;
}

enum took { TOOK_NONE, TOOK_SOME, TOOK_RETRY };

static enum took take(rki_runner *r, uint64_t *bytes)
{
    for (uint32_t i = 0; i < r->n_ins; i++) {
        rki_inset *in = &r->ins[(r->next_in + i) % r->n_ins];
        const rkp_envelope *e = front(in);
        rki_link *k;
        rkp_batch *b;
        uint64_t w;
        uint8_t flags;
        if (!e)
            continue;
        k = in->links[in->cur];
        b = (rkp_batch *)(uintptr_t)e->payload;
        w = weight(b);
        flags = e->flags;
        rkp_hlc_merge(&r->clock, e->stamp);
        r->chunk = in->edge->kind == RKI_EDGE_PARTITION ? e->chunk * r->plan->replicas + r->replica : e->chunk;
        RKI_ADD(k->got_rows, e->rows);
        *bytes += w;
        give_back(k, w);
        r->next_in = (r->next_in + i + 1) % r->n_ins;
        if (flags & RKP_F_END) {
            k->ended = true;
            in->n_ended++;
            next_ring(in);
            return TOOK_SOME;
        }
        if ((flags & RKP_F_LAST) && in->edge->chunked)
            next_ring(in);
        if (b && !feed(r, in, b, flags))
            return TOOK_RETRY;
        if ((flags & RKP_F_LAST) || !in->edge->chunked)
            close_chunk(r);
        return TOOK_SOME;
    }
    return TOOK_NONE;
}

static bool inputs_ended(const rki_runner *r)
{
    for (uint32_t i = 0; i < r->n_ins; i++)
        if (r->ins[i].n_ended < r->ins[i].n)
            return false;
    return true;
}

// ---- the step -------------------------------------------------------------------------------------------------------

// Runs on_timer of the stages whose time has come; false when none was run.
static bool run_timers(rki_runner *r)
{
    bool any = false;
    for (uint32_t i = 0; r->timed && i < r->n_stages; i++) {
        rkp_actor *a = &r->stages[i];
        rkp_verdict v;
        if (!a->timer_ns || (a->timer_ns > rkp_now_ns(a) && !rkp_stopping(a)))
            continue;
        a->timer_ns = 0;
        any = true;
        v = a->op->on_timer(a->self, a);
        if (v == RKP_STOP)
            stop_stage(a);
        else if (v == RKP_FAIL)
            rkp_fail(a, RKP_IO, "failed"); // keeps the first message
    }
    return any;
}

static rkp_step idle(rki_runner *r)
{
    uint64_t wake = r->wake_ns;
    bool full = false; // it waits for room, which wakes it: a timer could do nothing before
    for (uint32_t i = 0; i < r->n_outs; i++)
        full |= r->outs[i].n_box > 0;
    for (uint32_t i = 0; r->timed && !full && i < r->n_stages; i++) {
        uint64_t t = r->stages[i].timer_ns;
        if (t && (!wake || t < wake))
            wake = t;
    }
    if (wake && r->run->args.now_ns)
        wake = rki_mono_ns() + 1000000u;
    __atomic_store_n(&r->task.wake_ns, wake, __ATOMIC_RELAXED);
    return RKP_STEP_IDLE;
}

static rkp_step finish(rki_runner *r)
{
    r->phase = PHASE_DONE;
    // The control thread looks at the run when a task retires.
    return RKP_STEP_DONE;
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

// A source polls until it ends; RKP_STEP_DONE here means "go on to the end phase".
static rkp_step poll_source(rki_runner *r)
{
    rkp_actor *a = &r->stages[0];
    for (int i = 0; i < QUANTUM_MESSAGES; i++) {
        rkp_verdict v;
        if (!flush_or_wait(r))
            return RKP_STEP_IDLE;
        check_wanted(r);
        if (rkp_stopping(a) || r->polled_out)
            return RKP_STEP_DONE;
        if (!rkp_pool_room(r->run->pool, 1 << 20) && !all_taken(r)) {
            // Batches in flight use the budget: look again when one of ours is taken, or in a millisecond.  A source of
            // which nothing waits may always send one more, or a budget smaller than what the others hold would stop it
            // for ever.
            __atomic_exchange_n(&r->out_waiting, 1, __ATOMIC_SEQ_CST);
            r->wake_ns = rki_mono_ns() + 1000000u;
            return RKP_STEP_IDLE;
        }
        v = a->op->poll(a->self, a);
        RKI_ADD(a->counts.batches, 1);
        switch (v) {
        case RKP_DONE:
        case RKP_STOP:
            r->polled_out = true;
            break;
        case RKP_FAIL:
            rkp_fail(a, RKP_IO, "failed");
            return RKP_STEP_AGAIN;
        case RKP_RETRY:
            if (!flush_or_wait(r) || r->wake_ns)
                return RKP_STEP_IDLE;
            break;
        default:
            break;
        }
        r->wall_us = rki_wall_us();
    }
    return flush_or_wait(r) ? RKP_STEP_AGAIN : RKP_STEP_IDLE;
}

// Runs on_end, prepare, and END, each as far as room allows; resumes where it stopped.
static rkp_step end_phase(rki_runner *r)
{
    while (r->phase == PHASE_END) {
        if (!flush_or_wait(r) || (run_timers(r) && !flush_or_wait(r)))
            return RKP_STEP_IDLE;
        if (rki_failed(r->run))
            return RKP_STEP_AGAIN;
        if (r->end_stage == r->n_stages) {
            r->phase = PHASE_PREPARE;
            break;
        }
        rkp_actor *a = &r->stages[r->end_stage];
        rkp_verdict v = RKP_DONE;
        bool half = a->stage->role == RKI_POLL || a->stage->role == RKI_DECODE || a->stage->role == RKI_ENCODE;
        if (a->op->on_end && !half)
            v = a->op->on_end(a->self, a);
        if (v == RKP_RETRY) {
            flush_or_wait(r);
            return RKP_STEP_IDLE;
        }
        if (v == RKP_FAIL)
            rkp_fail(a, RKP_IO, "failed at the end");
        else if (v != RKP_MORE)
            r->end_stage++;
    }
    if (r->phase == PHASE_PREPARE) {
        for (uint32_t i = 0; i < r->n_stages; i++) {
            rkp_actor *a = &r->stages[i];
            bool half = a->stage->role == RKI_ENCODE;
            rkp_status st = a->op->prepare && !half ? a->op->prepare(a->self, a) : RKP_OK;
            if (st != RKP_OK) {
                rkp_fail(a, st, "cannot make its output durable");
                return RKP_STEP_AGAIN;
            }
        }
        rki_dead_flush(r); // before the end
        for (uint32_t i = 0; i < r->n_outs; i++)
            for (uint32_t l = 0; l < r->outs[i].n; l++)
                box(r, &r->outs[i], l, NULL, UINT64_MAX, RKP_F_END);
        r->phase = PHASE_SEND_END;
    }
    if (!flush_or_wait(r))
        return RKP_STEP_IDLE;
    return finish(r);
}

rkp_step rki_runner_step(rkp_task *t, void *arg, unsigned worker)
{
    rki_runner *r = arg;
    uint64_t bytes = 0;
    rkp_step st = RKP_STEP_AGAIN;
    (void)t;
    (void)worker;
    // Relaxed: only a wake-up hint of our own; whoever saw 1 wakes us once too often.
    __atomic_store_n(&r->out_waiting, 0, __ATOMIC_RELAXED);
    r->wake_ns = 0;
    r->wall_us = rki_wall_us();
    if (rki_failed(r->run))
        return finish(r);
    if (!r->inited) {
        r->inited = true;
        if (!init_stages(r))
            return finish(r);
    }
    if (r->phase == PHASE_RUN && r->n_ins == 0) {
        st = poll_source(r);
        if (st == RKP_STEP_DONE)
            r->phase = PHASE_END;
        else if (rki_failed(r->run))
            return finish(r);
        else
            return st == RKP_STEP_IDLE ? idle(r) : st;
    }
    for (int i = 0; r->phase == PHASE_RUN && i < QUANTUM_MESSAGES && bytes < QUANTUM_BYTES; i++) {
        enum took took = TOOK_SOME;
        if (!flush_or_wait(r))
            return idle(r);
        check_wanted(r);
        if (run_timers(r) && !flush_or_wait(r))
            return idle(r);
        if (r->pending) {
            rkp_batch *b = r->pending;
            if (run_stage(&r->stages[0], b) == RKP_RETRY)
                return idle(r);
            r->pending = NULL;
            rkp_batch_put(b);
            if (r->pending_flags & RKP_F_LAST)
                close_chunk(r);
        } else {
            took = take(r, &bytes);
        }
        if (rki_failed(r->run))
            return finish(r);
        if (took == TOOK_RETRY) {
            flush_or_wait(r);
            return idle(r);
        }
        if (took == TOOK_NONE) {
            if (!inputs_ended(r))
                return idle(r);
            r->phase = PHASE_END;
        }
    }
    if (r->phase == PHASE_RUN)
        return flush_or_wait(r) ? RKP_STEP_AGAIN : idle(r);
    st = end_phase(r);
    if (rki_failed(r->run) && st != RKP_STEP_DONE)
        return finish(r);
    return st == RKP_STEP_IDLE ? idle(r) : st;
}
