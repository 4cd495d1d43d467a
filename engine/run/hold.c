// run/hold.c - order hlc: a merge of all inputs by (stamp, actor), after RELIABILITY.md 2.4.
//
// Line 18, 19: of the messages at the front of the rings the smallest may go when no empty ring can still give a smaller one, which its
// floor says.  The floor is read before the ring is found empty.
//
// Who moves a floor: the producer, at the end of each step and with each message.  And, for a producer that is not in a step (or waits
// in the system), whoever needs it: `clock_word` goes FREE -> PUSHED by compare-and-swap, the clock is raised first, then the floors
// are stored, then the word is FREE again; a producer goes FREE -> RUNNING before it may tick, so the two exclude each other (line 14).
// A held consumer pushes its own producers: an idle one delays nothing.
//
// A producer that is in a long step moves no floor.  The consumer looks again every heartbeat, and is woken (`held`) when the step ends.
// When a floor that is needed has stood still for max_skew, it goes on as on_skew says (lines 21 to 24), with this message and with
// all that follow until the floor moves.  Never without a producer that has stamped messages which are not in the ring (`behind`).
#include "run/actor.h"

void rki_look_at_clock(rki_runner *r)
{
    const rki_clock *c = &r->run->clock;
    r->wall_us = 0;
    r->looked_ns = c->time.mono_ns(c->time.ctx);
    r->pt_us = rki_clock_at_us(c, r->looked_ns);
}

void rki_clock_enter(rki_runner *r)
{
    uint32_t free = RKI_CLOCK_FREE;
    // Acquire, from the release of who pushed: the clock as it left it.  A push is a few stores long.
    while (!__atomic_compare_exchange_n(&r->clock_word, &free, RKI_CLOCK_RUNNING, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST)) {
        free = RKI_CLOCK_FREE;
        __builtin_ia32_pause();
    }
}

// Raises the clock and stores it as the floor of every ordered edge on which nothing waits that is stamped already.
static void store_floors(rki_runner *r, uint64_t to)
{
    // A floor is a promise about stamps, so it stays below the bound on disk as they do.
    if (r->run->leased && to >= rki_lease_limit(&r->run->lease))
        return;
    rkp_hlc_merge(&r->clock, to);
    for (uint32_t i = 0; i < r->n_outs; i++)
        // What waits on disk is stamped already: its edge keeps the floor of the last that left it.
        for (uint32_t l = 0; r->outs[i].edge->hlc && l < r->outs[i].n; l++)
            if (!RKI_LOOK(r->outs[i].links[l]->behind))
                rki_ring_floor_set(r->outs[i].links[l]->ring, r->clock.last);
}

void rki_floors(rki_runner *r)
{
    store_floors(r, rki_clock_now_us(&r->run->clock) << 12);
    for (uint32_t i = 0; i < r->n_outs; i++) {
        for (uint32_t l = 0; r->outs[i].edge->hlc && l < r->outs[i].n; l++) {
            rki_runner *to = rki_to(r->outs[i].links[l]);
            // Sequentially consistent, with the consumer: it stores `held`, then looks at the floors once more.
            if (__atomic_load_n(&to->held, __ATOMIC_SEQ_CST))
                rki_wake_to(r->outs[i].links[l]);
        }
    }
}

void rki_clock_leave(rki_runner *r)
{
    __atomic_store_n(&r->clock_word, RKI_CLOCK_FREE, __ATOMIC_SEQ_CST);
}

void rki_clock_close(rki_runner *r)
{
    if (r->hlc_out)
        rki_clock_enter(r);
}

// To now, or to the stamp that is held where that is larger: after a restart all clocks are ahead of time for a while, and only
// those that give stamps move.  It is as if the producer had received that message.
static bool push_clock(rki_runner *from, uint64_t pt_us, uint64_t stamp)
{
    uint64_t to = pt_us << 12;
    uint32_t free = RKI_CLOCK_FREE;
    if (!__atomic_compare_exchange_n(&from->clock_word, &free, RKI_CLOCK_PUSHED, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST))
        return false;
    store_floors(from, to > stamp ? to : stamp);
    __atomic_store_n(&from->clock_word, RKI_CLOCK_FREE, __ATOMIC_SEQ_CST);
    return true;
}

static bool before(uint64_t t, uint16_t id, uint64_t t2, uint16_t id2)
{
    return t < t2 || (t == t2 && id < id2);
}

static bool look(const rki_inset *in, const rki_link *k, rkp_envelope *e)
{
    uint64_t at;
    if (in->edge->overflow == RKI_OVERFLOW_DROP_OLDEST)
        return rki_ring_look(k->ring, &at, e);
    if (!rki_ring_ready(k->ring))
        return false;
    *e = *rki_ring_peek(k->ring, 0);
    return true;
}

struct best {
    int input;
    uint32_t link;
    uint64_t stamp, seq;
    uint16_t id;
};

// The smallest message at the front, END marks and barriers before all (they have no place in the order).
static struct best smallest(rki_runner *r)
{
    struct best b = { .input = -1 };
    rkp_envelope first;
    if (RKP_UNLIKELY(r->restored) && rki_ckpt_front(r, &first))
        b = (struct best){ RKI_HOLD_RESTORED, 0, first.stamp, 0, first.actor };
    for (uint32_t i = 0; i < r->n_ins; i++) {
        for (uint32_t l = 0; l < r->ins[i].n; l++) {
            const rki_link *k = r->ins[i].links[l];
            rkp_envelope e;
            if (k->ended || k->barred || !look(&r->ins[i], k, &e))
                continue;
            if (e.flags & (RKP_F_END | RKP_F_BARRIER))
                return (struct best){ (int)i, l, 0, e.seq, 0 };
            if (b.input == -1 || before(e.stamp, e.actor, b.stamp, b.id))
                b = (struct best){ (int)i, l, e.stamp, e.seq, e.actor };
        }
    }
    return b;
}

// Can this ring still give something smaller?
static bool may_give(const rki_inset *in, rki_link *k, const struct best *b)
{
    rkp_envelope e;
    uint64_t floor;
    if (k->ended)
        return false;
    floor = rki_ring_floor(k->ring); // before the ring
    if (look(in, k, &e))
        return before(e.stamp, e.actor, b->stamp, b->id); // came after we chose: choose again
    return !before(b->stamp, b->id, floor + 1, rki_from(k)->id);
}

// How long has this floor stood still while it was needed?
static uint64_t lag(rki_link *k, uint64_t now)
{
    uint64_t floor = rki_ring_floor(k->ring);
    if (!k->lag_ns || k->lag_floor != floor) {
        k->lag_ns = now;
        k->lag_floor = floor;
    }
    return now - k->lag_ns;
}

// Line 22.  True when the producer will come back above the message, or has nothing.
static bool exclude(const rki_inset *in, rki_link *k, const struct best *b)
{
    rkp_envelope e;
    __atomic_store_n(&k->frontier, b->stamp, __ATOMIC_RELAXED);
    if (!__atomic_exchange_n(&k->excluded, 1, __ATOMIC_SEQ_CST))
        RKI_ADD(k->n_excluded, 1);
    return !__atomic_load_n(&rki_from(k)->in_commit, __ATOMIC_SEQ_CST) &&
           !__atomic_load_n(&k->behind, __ATOMIC_SEQ_CST) && !look(in, k, &e);
}

int rki_hold_next(rki_runner *r)
{
    const rki_kernel *kernel = r->acts[0]->bound->k;
    for (;;) {
        struct best b = smallest(r);
        uint64_t now, wall = 0;
        bool again = false, blocked = false;
        if (b.input == -1)
            return -1;
        r->hold_seq = b.seq;
        if (b.stamp == 0 && b.id == 0) {
            r->ins[b.input].cur = b.link;
            return b.input;
        }
        now = 0;
        for (uint32_t i = 0; i < r->n_ins && !again; i++) {
            for (uint32_t l = 0; l < r->ins[i].n && !again; l++) {
                rki_link *k = r->ins[i].links[l];
                rkp_envelope e;
                if (((int)i == b.input && l == b.link) || !may_give(&r->ins[i], k, &b))
                    continue;
                wall = wall ? wall : rki_clock_now_us(&r->run->clock);
                if (push_clock(rki_from(k), wall, b.stamp) && !may_give(&r->ins[i], k, &b))
                    continue;
                if (look(&r->ins[i], k, &e)) {
                    again = true; // something came
                    break;
                }
                now = now ? now : rkp_now_ns(r->acts[0]);
                if (lag(k, now) >= kernel->max_skew_ns && kernel->on_skew != RKI_SKEW_STRICT) {
                    if (kernel->on_skew == RKI_SKEW_RELEASE || exclude(&r->ins[i], k, &b))
                        continue;
                    again = look(&r->ins[i], k, &e);
                }
                blocked = true;
            }
        }
        if (again)
            continue;
        if (!blocked) {
            if (b.input >= 0)
                r->ins[b.input].cur = b.link;
            __atomic_store_n(&r->held, 0, __ATOMIC_RELAXED);
            return b.input;
        }
        if (!__atomic_exchange_n(&r->held, 1, __ATOMIC_SEQ_CST))
            continue; // look once more, now that the producers know
        r->wake_ns = now + kernel->heartbeat_ns;
        return -1;
    }
}

void rki_hold_took(rki_runner *r, rki_link *k, const rkp_envelope *e)
{
    if (e->flags & (RKP_F_END | RKP_F_BARRIER))
        return;
    if (before(e->stamp, e->actor, r->front_stamp, r->front_id)) {
        RKI_ADD(k->late, 1); // on_skew: release
    } else {
        r->front_stamp = e->stamp;
        r->front_id = e->actor;
    }
}
