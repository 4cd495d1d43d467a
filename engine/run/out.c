// run/out.c - what a runner sends: boxes in front of the rings, rings that are full, and the stamps.
//
// A message goes into its edge's box first and from there into the ring when there is room.  What happens when there is none is the
// edge's `overflow`: `block` leaves it in the box, and the runner does nothing else until it is empty; the others act at once and never wait.
//
// Stamps: all messages of one emission have the same.  Where a consumer orders by stamps (`order: hlc`) the stamp is given when every ring
// that the emission goes to has room, never before (RELIABILITY.md 2.4 line 9): so what is later in a ring has the larger stamp.
#include "run/actor.h"

#include <stdlib.h>

void rki_wake_runner(rki_runner *r)
{
    r->run->backend->wake(r->run->b, &r->task);
}

// Waking is a read-modify-write on the task's word, and so is what the control thread does to the task of a runner that it has taken from
// the link: so either it sees what we wake for, before it starts the successor, or we see the successor here.
void rki_wake_to(const rki_link *k)
{
    rki_runner *to = rki_to(k), *was;
    do {
        was = to;
        rki_wake_runner(was);
        to = rki_to(k);
    } while (RKP_UNLIKELY(to != was));
}

void rki_wake_from(const rki_link *k)
{
    rki_runner *from = rki_from(k), *was;
    do {
        was = from;
        rki_wake_runner(was);
        from = rki_from(k);
    } while (RKP_UNLIKELY(from != was));
}

void rki_box(rki_runner *r, rki_outset *o, uint32_t link, rkp_batch *b, uint64_t chunk, uint8_t flags)
{
    rki_outmsg *m;
    if (o->n_box == o->cap_box) {
        uint32_t cap = o->cap_box ? o->cap_box * 2 : 16;
        rki_outmsg *v = realloc(o->box, cap * sizeof *v);
        if (!v) {
            rkp_batch_put(b);
            rki_fail_run(r->acts[0], RKP_NOMEM, "out of memory for messages that wait");
            return;
        }
        o->box = v;
        o->cap_box = cap;
    }
    m = &o->box[o->n_box++];
    *m = (rki_outmsg){ .link = link, .emission = r->emission };
    m->env.payload = (uint64_t)(uintptr_t)b;
    m->env.chunk = chunk;
    m->env.rows = b ? (uint32_t)rki_batch_rows(b) : 0;
    m->env.flags = flags;
    m->env.actor = r->id;
    m->env.generation = 1;
    m->env.corr = r->corr;
    m->env.priority = (uint8_t)r->plan->priority;
    m->env.stamp = r->stamp;
    o->open[link] = o->n_box;
}

void rki_box_end(rki_runner *r, rki_outset *o)
{
    o->ends = true;
    for (uint32_t l = 0; l < o->n; l++)
        rki_box(r, o, l, NULL, UINT64_MAX, RKP_F_END);
}

// Parses the columns that the consumer reads while their text is warm, and where replicas share the work.  A column with
// bad values stays text: the consumer finds and reports them.  Takes b and gives b or a batch derived from it.
static rkp_batch *flatten(const rki_outset *o, rkp_batch *b)
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
    if (!out)
        return b;
    rkp_batch_put(b); // the derived one holds it
    return out;
}

struct part_to {
    rki_runner *r;
    rki_outset *o;
    uint64_t chunk;
    uint8_t flags;
};

static void push_part(void *arg, uint32_t i, rkp_batch *part)
{
    struct part_to *to = arg;
    if (part || (to->flags & RKP_F_LAST))
        rki_box(to->r, to->o, i, part, to->chunk, to->flags);
}

// A circle has ended: what its members give at their ends does not go round any more.
static bool after_circle(const rki_runner *r, const rki_outset *o)
{
    return r->in_circle && o->edge->circle && !rki_internal(o->edge) && rki_circle_done(r);
}

void rki_out_push(rki_runner *r, rki_outset *o, rkp_batch *b)
{
    bool many = r->plan->replicas > 1;
    uint64_t chunk;
    if (RKP_UNLIKELY(after_circle(r, o))) {
        uint64_t rows = rki_batch_rows(b);
        RKI_ADD(o->links[0]->sent_rows, rows);
        RKI_ADD(o->links[0]->ended_rows, rows);
        RKI_ADD(o->links[0]->overflowed_rows, rows);
        rkp_batch_put(b);
        return;
    }
    if (o->kept)
        rki_keep(r, o, b);
    if (o->gated) {
        rkp_batch_put(b);
        return;
    }
    chunk = many ? r->chunk : o->next_chunk++;
    uint8_t flags = (uint8_t)(RKP_F_DATA | (many || !o->edge->chunked ? 0 : RKP_F_LAST));
    if (o->edge->kind == RKI_EDGE_PARTITION) {
        struct part_to to = { r, o, chunk, flags };
        rki_divide(r, o, b, o->n, push_part, &to);
        return;
    }
    if (o->n_flatten && b->n_cols)
        b = flatten(o, b);
    rki_box(r, o, o->edge->kind == RKI_EDGE_SCATTER ? (uint32_t)(chunk % o->n) : 0, b, chunk, flags);
}

// The input chunk at hand is complete: marks the last message of it on every chunked edge, or sends an empty one.
void rki_close_scattered(rki_runner *r)
{
    for (uint32_t i = 0; i < r->n_outs; i++) {
        rki_outset *o = &r->outs[i];
        if (RKP_UNLIKELY(o->closes))
            continue;
        bool all = o->edge->kind == RKI_EDGE_PARTITION;
        uint32_t mine = o->edge->kind == RKI_EDGE_SCATTER ? (uint32_t)(r->chunk % o->n) : 0;
        for (uint32_t l = all ? 0 : mine; l < (all ? o->n : mine + 1); l++) {
            if (o->open[l])
                o->box[o->open[l] - 1].env.flags |= RKP_F_LAST;
            else
                rki_box(r, o, l, NULL, r->chunk, RKP_F_DATA | RKP_F_LAST);
        }
    }
}

static void forget_open(rki_outset *o)
{
    for (uint32_t l = 0; l < o->n; l++)
        o->open[l] = 0;
}

// What was sent last is not what a chunk that is closed later ends with.
void rki_end_of_no_chunk(rki_runner *r)
{
    for (uint32_t i = 0; i < r->n_outs; i++)
        forget_open(&r->outs[i]);
}

// An edge whose queue does not block must not do so for a barrier: that waits beside the box, and until it is in the ring the ring counts as
// full.
void rki_send_barrier(rki_runner *r, uint32_t number)
{
    if (RKP_UNLIKELY(r->gathered)) // before a source's position is behind it
        rki_spill_write(r);
    r->emission++;
    for (uint32_t i = 0; i < r->n_outs; i++) {
        rki_outset *o = &r->outs[i];
        for (uint32_t l = 0; l < o->n && !o->gated && !o->closes; l++) {
            rki_link *k = o->links[l];
            if (k->end_sent)
                continue;
            if (o->edge->overflow == RKI_OVERFLOW_BLOCK || o->edge->overflow == RKI_OVERFLOW_FAIL) {
                rki_box(r, o, l, NULL, number, RKP_F_BARRIER);
                continue;
            }
            // Release, to the acquire of a consumer that takes nothing: what is in the ring.
            __atomic_store_n(&k->due, number, __ATOMIC_RELEASE);
            rki_wake_to(k);
        }
        forget_open(o); // it is no message of a chunk
    }
}

// ---- one message into its ring --------------------------------------------------------------------------------------

static bool evicts(const rki_outset *o)
{
    return o->edge->overflow == RKI_OVERFLOW_DROP_OLDEST;
}

static inline __attribute__((always_inline)) bool has_room(rki_link *k, uint64_t w)
{
    uint64_t in = k->ring->bytes_in + w;
    if (rki_ring_room(k->ring, k->n_new + 1u) <= k->n_new)
        return false;
    if (in - k->gone_seen <= k->byte_limit)
        return true;
    // Relaxed: a bound on memory, not on order.
    k->gone_seen = __atomic_load_n(&k->ring->bytes_out, __ATOMIC_RELAXED);
    if (in - k->gone_seen <= k->byte_limit)
        return true;
    return k->n_new == 0 && rki_ring_fill(k->ring) == 0; // one message may be larger than the limit
}

bool rki_has_room(rki_link *k, uint64_t w)
{
    return has_room(k, w);
}

static bool is_control(const rki_outmsg *m)
{
    return (m->env.flags & (RKP_F_END | RKP_F_BARRIER)) != 0;
}

static rkp_batch *payload(const rki_outmsg *m)
{
    return (rkp_batch *)(uintptr_t)m->env.payload;
}

static void let_go(rki_link *k, rki_outmsg *m)
{
    RKI_ADD(k->sent_rows, m->env.rows);
    RKI_ADD(k->overflowed_rows, m->env.rows);
    rkp_batch_put(payload(m));
}

// The consumer may have let go of the slot already: its weight is counted by who takes the message.
static bool evict(rki_link *k)
{
    rkp_envelope e = { 0 };
    uint64_t at = 0, w;
    if (!rki_ring_look(k->ring, &at, &e) || (e.flags & (RKP_F_END | RKP_F_BARRIER)))
        return false;
    w = __atomic_load_n(&k->weights[at & k->ring->mask], __ATOMIC_RELAXED);
    if (!rki_ring_claim(k->ring, at))
        return true; // the consumer took it: there is room now
    __atomic_fetch_add(&k->ring->bytes_out, w, __ATOMIC_RELAXED);
    RKI_ADD(k->overflowed_rows, e.rows);
    rkp_batch_put((rkp_batch *)(uintptr_t)e.payload);
    return true;
}

// What push has written becomes visible at once.
static void publish(rki_link *k)
{
    if (k->n_new)
        rki_ring_publish(k->ring, k->n_new);
    k->n_new = 0;
}

// Written into the ring, and visible after publish, unless its stamp or the ring's kind does not let it wait.
static inline __attribute__((always_inline)) void push(rki_outset *o, rki_outmsg *m, uint64_t w)
{
    rki_link *k = o->links[m->link];
    m->env.seq = k->next_seq++;
    k->end_sent |= (m->env.flags & RKP_F_END) != 0;
    RKI_ADD(k->sent_rows, m->env.rows);
    RKI_ADD(k->ring->bytes_in, w);
    if (evicts(o)) {
        // Relaxed: published with the slot; atomic because who evicts reads it early.
        __atomic_store_n(&k->weights[__atomic_load_n(&k->ring->tail, __ATOMIC_RELAXED) & k->ring->mask], w,
                         __ATOMIC_RELAXED);
        (void)rki_ring_put(k->ring, &m->env);
    } else {
        *rki_ring_reserve(k->ring, k->n_new++) = m->env;
    }
    if (o->edge->hlc) {
        publish(k);
        rki_ring_floor_set(k->ring, m->env.stamp);
    }
}

void rki_push_one(rki_runner *r, rki_outset *o, rki_outmsg *m)
{
    (void)r;
    push(o, m, rki_weight(payload(m)));
    publish(o->links[m->link]);
}

// Something goes before whatever is new: on disk, or a barrier.
static bool behind(const rki_outset *o)
{
    return rki_spilling(o) || RKI_LOOK(o->links[0]->due) != 0;
}

// Barriers that found no room.  True: one has found some now.
static bool put_due(rki_runner *r)
{
    bool any = false;
    for (uint32_t i = 0; i < r->n_outs; i++) {
        rki_outset *o = &r->outs[i];
        rki_link *k = o->n ? o->links[0] : NULL;
        rki_outmsg m = { .env = { .flags = RKP_F_BARRIER, .actor = r->id, .generation = 1 } };
        if (!k || !RKI_LOOK(k->due))
            continue;
        while (evicts(o) && !has_room(k, rki_weight(NULL)) && evict(k))
            ;
        if (!has_room(k, rki_weight(NULL)))
            continue;
        m.env.chunk = RKI_LOOK(k->due);
        m.env.stamp = o->edge->hlc ? rki_ring_floor(k->ring) : r->stamp; // it has no place in their order
        rki_push_one(r, o, &m);
        __atomic_store_n(&k->due, 0, __ATOMIC_RELEASE);
        rki_wake_to(k);
        any = true;
    }
    return any;
}

// Time that it waits for room, by the clock of its steps: from the flush that found none to the one that finds some.
static void begin_wait(const rki_runner *r, const rki_outset *o, rki_link *k)
{
    // Where a queue does not block, only barriers and ends wait, and keep nobody from working.
    if (k->full_us || (o->edge->overflow != RKI_OVERFLOW_BLOCK && o->edge->overflow != RKI_OVERFLOW_SPILL))
        return;
    RKI_ADD(k->waits, 1);
    __atomic_store_n(&k->full_us, r->pt_us, __ATOMIC_RELAXED);
}

static void end_wait(const rki_runner *r, rki_link *k)
{
    if (RKP_LIKELY(!k->full_us))
        return;
    RKI_ADD(k->blocked_us, r->pt_us > k->full_us ? r->pt_us - k->full_us : 0);
    __atomic_store_n(&k->full_us, 0, __ATOMIC_RELAXED);
}

enum put { PUT_DONE, PUT_LOST, PUT_WAIT };

// As the edge's policy says.  PUT_WAIT: it stays in the box.
static enum put put(rki_runner *r, rki_outset *o, rki_outmsg *m)
{
    rki_link *k = o->links[m->link];
    uint64_t w = rki_weight(payload(m));
    if (RKP_LIKELY(has_room(k, w) && !behind(o))) {
        push(o, m, w);
        return PUT_DONE;
    }
    if (is_control(m) && (!evicts(o) || RKI_LOOK(k->due)))
        return PUT_WAIT;
    switch (o->edge->overflow) {
    case RKI_OVERFLOW_DROP_NEWEST:
        let_go(k, m);
        return PUT_LOST;
    case RKI_OVERFLOW_DROP_OLDEST:
        // A barrier at the front is taken by the next step of whoever reads; of one that is suspended it stays there, and what comes is lost.
        while (!behind(o) && !has_room(k, w) && evict(k))
            ;
        if (behind(o) || !has_room(k, w)) {
            if (is_control(m))
                return PUT_WAIT;
            let_go(k, m);
            return PUT_LOST;
        }
        push(o, m, w);
        return PUT_DONE;
    case RKI_OVERFLOW_SPILL:
        if (!r->hlc_out && !rki_spill_room(r, o)) // with stamps: all_room has looked
            return PUT_WAIT;
        if ((!o->spill && !rki_spill_open(r, o)) || !rki_spill_put(r, o, m))
            return PUT_WAIT;
        return PUT_LOST;
    case RKI_OVERFLOW_DEAD_LETTER:
        RKI_ADD(k->sent_rows, m->env.rows);
        RKI_ADD(k->overflowed_rows, m->env.rows);
        if (payload(m))
            rki_dead_batch(r, k, payload(m));
        rkp_batch_put(payload(m));
        return PUT_LOST;
    case RKI_OVERFLOW_FAIL:
        rki_fail_run(r->acts[r->n_stages - 1], RKP_IO, "the queue of kernel '%s' is full (overflow: fail)",
                     rki_to(k)->acts[0]->bound->k->id.p);
        return PUT_WAIT;
    default:
        return PUT_WAIT;
    }
}

// ---- boxes to rings -------------------------------------------------------------------------------------------------

// A set of links of one edge (at most 64 replicas).
static void wake_touched(const rki_outset *o, uint64_t touched)
{
    for (uint32_t l = 0; touched; l++, touched >>= 1) {
        if (!(touched & 1))
            continue;
        publish(o->links[l]);
        rki_wake_to(o->links[l]);
    }
}

static bool flush_set(rki_runner *r, rki_outset *o)
{
    uint32_t kept = 0;
    uint64_t full = 0, touched = 0; // bits per link
    for (uint32_t m = 0; m < o->n_box; m++) {
        rki_outmsg *out = &o->box[m];
        uint64_t bit = 1ull << out->link;
        enum put what = full & bit ? PUT_WAIT : put(r, o, out);
        if (what == PUT_WAIT) {
            full |= bit;
            begin_wait(r, o, o->links[out->link]);
            o->box[kept++] = *out;
        } else if (what == PUT_DONE) {
            end_wait(r, o->links[out->link]);
            touched |= bit;
        }
    }
    o->n_box = kept;
    forget_open(o);
    wake_touched(o, touched);
    return kept == 0;
}

// ---- where stamps order ---------------------------------------------------------------------------------------------

static bool first_of(const rki_outset *o, uint64_t *emission)
{
    if (!o->n_box)
        return false;
    *emission = o->box[0].emission;
    return true;
}

static void shift(rki_outset *o, uint32_t n)
{
    o->n_box -= n;
    memmove(o->box, o->box + n, o->n_box * sizeof *o->box);
}

// Messages at the front of a box that belong to the emission.
static uint32_t run_of(const rki_outset *o, uint64_t emission)
{
    uint32_t n = 0;
    while (n < o->n_box && o->box[n].emission == emission)
        n++;
    return n;
}

// Line 9a: a slot on every ring, where a full one blocks; and room in a log that has a limit.
static bool all_room(rki_runner *r, uint64_t emission)
{
    for (uint32_t i = 0; i < r->n_outs; i++) {
        rki_outset *o = &r->outs[i];
        uint32_t n = run_of(o, emission);
        uint64_t need[64] = { 0 };
        for (uint32_t m = 0; m < n; m++) {
            rki_link *k = o->links[o->box[m].link];
            if (o->edge->overflow == RKI_OVERFLOW_SPILL && !is_control(&o->box[m]) && !rki_spill_room(r, o) &&
                (behind(o) || !has_room(k, rki_weight(payload(&o->box[m]))))) {
                begin_wait(r, o, k);
                return false;
            }
            if (o->edge->overflow != RKI_OVERFLOW_BLOCK && !is_control(&o->box[m]))
                continue;
            uint64_t want = ++need[o->box[m].link];
            if (rki_ring_room(k->ring, want) < want || !has_room(k, rki_weight(payload(&o->box[m]))) || behind(o)) {
                begin_wait(r, o, k);
                return false;
            }
        }
    }
    return true;
}

// Line 22: whom a consumer went on without comes back above what that consumer has delivered.
static void rejoin(rki_runner *r)
{
    for (uint32_t i = 0; i < r->n_outs; i++) {
        for (uint32_t l = 0; r->outs[i].edge->hlc && l < r->outs[i].n; l++) {
            rki_link *k = r->outs[i].links[l];
            // Sequentially consistent, with the consumer's store of `excluded` and its look at in_commit: one sees the other.
            if (__atomic_load_n(&k->excluded, __ATOMIC_SEQ_CST)) {
                rkp_hlc_merge(&r->clock, __atomic_load_n(&k->frontier, __ATOMIC_RELAXED));
                __atomic_store_n(&k->excluded, 0, __ATOMIC_SEQ_CST);
            }
        }
    }
}

// UINT64_MAX: nothing waits.
static uint64_t first_emission(const rki_runner *r)
{
    uint64_t first = UINT64_MAX, e;
    for (uint32_t i = 0; i < r->n_outs; i++)
        if (first_of(&r->outs[i], &e) && e < first)
            first = e;
    return first;
}

static bool flush_ordered(rki_runner *r)
{
    for (;;) {
        uint64_t first = first_emission(r), stamp;
        if (first == UINT64_MAX)
            return true;
        if (!all_room(r, first))
            return false;
        __atomic_store_n(&r->in_commit, 1, __ATOMIC_SEQ_CST);
        rejoin(r);
        stamp = rkp_hlc_tick(&r->clock, r->pt_us);
        for (uint32_t i = 0; i < r->n_outs; i++) {
            rki_outset *o = &r->outs[i];
            uint32_t n = run_of(o, first);
            uint64_t touched = 0;
            for (uint32_t m = 0; m < n; m++) {
                if (!o->keeps_stamp)
                    o->box[m].env.stamp = stamp;
                if (put(r, o, &o->box[m]) == PUT_WAIT && !rki_halted(r))
                    rki_fail_run(r->acts[0], RKP_INTERNAL, "a ring with room was full");
                end_wait(r, o->links[o->box[m].link]);
                touched |= 1ull << o->box[m].link;
            }
            if (!n)
                continue;
            shift(o, n);
            forget_open(o);
            wake_touched(o, touched);
        }
        __atomic_store_n(&r->in_commit, 0, __ATOMIC_SEQ_CST);
        if (rki_halted(r))
            return true;
    }
}

static bool move_spilled(rki_runner *r)
{
    bool any = false;
    for (uint32_t i = 0; i < r->n_outs; i++) {
        if (!r->outs[i].spill || !rki_spill_move(r, &r->outs[i]))
            continue;
        rki_wake_to(r->outs[i].links[0]);
        any = true;
    }
    return any;
}

// What waits on disk, a barrier, or for whom a reload has removed, keeps nobody from working.
static bool waits_aside(const rki_runner *r)
{
    for (uint32_t i = 0; i < r->n_outs; i++)
        if ((r->outs[i].n && behind(&r->outs[i])) || (r->outs[i].closes && r->outs[i].n_box))
            return true;
    return false;
}

static bool same_group(const rki_outset *a, const rki_outset *b)
{
    return a->edge->group == b->edge->group && a->edge->from_stage == b->edge->from_stage &&
           a->edge->from_port == b->edge->from_port && a->edge->in->pub == b->edge->in->pub;
}

// A message for a member of a group that has no room goes to one that has: it was dealt when nobody had any, and the
// member whose turn it was may not take anything for long.  True: something can be moved to a ring now.
static bool deal_again(rki_runner *r)
{
    bool any = false;
    for (uint32_t i = 0; i < r->n_outs; i++) {
        rki_outset *o = &r->outs[i];
        if (!o->n_box || !o->edge->group || o->partition || is_control(&o->box[0]))
            continue;
        if (has_room(o->links[0], rki_weight(payload(&o->box[0])))) { // it has just taken one
            any |= !r->hlc_out || all_room(r, first_emission(r));
            continue;
        }
        for (uint32_t j = 0; j < r->n_outs; j++) {
            rki_outset *to = &r->outs[j];
            rki_outmsg m = o->box[0];
            if (j == i || to->n_box || !to->edge->group || !same_group(o, to) || !rki_takes(to) ||
                !has_room(to->links[0], rki_weight(payload(&m))))
                continue;
            shift(o, 1);
            forget_open(o);
            rki_box(r, to, 0, payload(&m), to->next_chunk++, m.env.flags);
            if (to->n_box) { // or the run has failed
                to->box[0].env = m.env;
                to->box[0].emission = m.emission;
            }
            any = true;
            break;
        }
    }
    return any;
}

static bool flush_boxes(rki_runner *r)
{
    bool empty = true;
    for (uint32_t i = 0; i < r->n_outs; i++)
        if (r->outs[i].n_box && !flush_set(r, &r->outs[i]))
            empty &= r->outs[i].closes;      // whom a reload has removed keeps nobody from working
    for (uint32_t i = 0; i < r->n_dead; i++) // what an overflow made into dead letters just now
        if (r->dead[i]->n_box)
            empty &= flush_set(r, r->dead[i]);
    return empty;
}

bool rki_flush(rki_runner *r)
{
    bool empty;
    rki_dead_flush(r);
    if (RKP_UNLIKELY(r->wiring->n_closes))
        rki_let_sets_go(r);
    if (RKP_UNLIKELY(r->lossy))
        put_due(r);
    if (RKP_UNLIKELY(r->spills))
        move_spilled(r);
    // Until nobody who shares has room: one with an empty ring would not wake us for what waits for another.
    do
        empty = r->hlc_out ? flush_ordered(r) : flush_boxes(r);
    while (!empty && RKP_UNLIKELY(r->shares) && !rki_halted(r) && deal_again(r));
    if (RKP_UNLIKELY(r->gathered))
        rki_spill_flushed(r);
    return empty;
}

// Looks once more after it has said that it waits, so that no wake-up is missed.
bool rki_flush_or_ask(rki_runner *r)
{
    if (rki_flush(r)) {
        if (RKP_UNLIKELY(r->lossy || r->spills || r->wiring->n_closes) && waits_aside(r)) {
            // But who makes room must wake us for it.
            __atomic_exchange_n(&r->out_waiting, 1, __ATOMIC_SEQ_CST);
            rki_flush(r);
        }
        return true;
    }
    // Sequentially consistent, with the consumer's read-modify-write in give_back: it releases slots and then looks
    // here.
    __atomic_exchange_n(&r->out_waiting, 1, __ATOMIC_SEQ_CST);
    if (!rki_flush(r))
        return false;
    __atomic_store_n(&r->out_waiting, 0, __ATOMIC_RELAXED);
    return true;
}

bool rki_out_room(rki_runner *r)
{
    return rki_flush(r);
}

bool rki_out_empty(const rki_runner *r)
{
    for (uint32_t i = 0; i < r->n_outs; i++)
        if (r->outs[i].n_box || (r->outs[i].n && behind(&r->outs[i])))
            return false;
    return true;
}

void rki_out_free(rki_outset *o)
{
    rki_spill_close(o, false);
    rki_kept_free(o);
    free(o->box);
    o->box = NULL;
}
