// flow/ring.h - one producer, one consumer, envelopes of one cache line, no locks.
//
//   Owns     the caller's memory, rki_ring_bytes() long, aligned to 64; never allocates
//   Threads  push side: the producer.  pop side: the consumer.  fill: any, approximate
//   Fails    push returns false when full, peek NULL when empty; nothing is changed
//   Limits   slots is a power of two, 2 .. 2^30; a byte limit that one message may overshoot
//   Cost     wait-free both ways; the other side's index is read only when the cached one says full or empty
//
// Who writes what                          Ordered accesses, in pairs
//   tail, bytes_in   producer              P1 release tail -> C1 acquire tail
//   head_seen, rest  producer, private       carries: the envelope and the batch behind it
//   slots            producer, in [head, tail)   C2 release head -> P2 acquire head
//   head, bytes_out  consumer                carries: "I no longer read the slot"
//   tail_seen        consumer, private     F1 release floor -> F2 acquire floor
//   floor            producer                carries: nothing but itself (read before tail, RELIABILITY.md 2.4 line 18)
//   mask, slots_off  nobody after init     relaxed: one's own index, no partner
//
// Taking any of P1 C1 C2 P2 down to relaxed must be caught: tests/model/ring.c builds this header with one order at a
// time replaced through the macros below.
#ifndef RKI_RING_H
#define RKI_RING_H

#include <rkpipe/base.h>
#include <rkpipe/ring_abi.h>

#ifndef RKI_RING_P1
#define RKI_RING_P1 __ATOMIC_RELEASE
#endif
#ifndef RKI_RING_C1
#define RKI_RING_C1 __ATOMIC_ACQUIRE
#endif
#ifndef RKI_RING_C2
#define RKI_RING_C2 __ATOMIC_RELEASE
#endif
#ifndef RKI_RING_P2
#define RKI_RING_P2 __ATOMIC_ACQUIRE
#endif

typedef rkp_ring_abi rki_ring;

static inline size_t rki_ring_bytes(uint64_t slots)
{
    return sizeof(rki_ring) + (size_t)slots * sizeof(rkp_envelope);
}

// Zeroed memory becomes an empty ring.  false when slots is not a power of two in range.
static inline bool rki_ring_init(rki_ring *r, uint64_t slots)
{
    if (slots < 2 || slots > (1u << 30) || (slots & (slots - 1)))
        return false;
    memset(r, 0, sizeof *r);
    r->mask = slots - 1;
    r->slots_off = sizeof *r;
    return true;
}

static inline rkp_envelope *rki_ring_slot(const rki_ring *r, uint64_t i)
{
    // On the host they follow at once (slots_off is for who knows the layout by the header alone): one load less on the way to a slot.
    return (rkp_envelope *)((uintptr_t)r + sizeof *r) + (i & r->mask);
}

// Producer: slots that may be written now, up to `want`.
static inline uint64_t rki_ring_room(rki_ring *r, uint64_t want)
{
    // Relaxed: no other thread writes tail.
    uint64_t tail = __atomic_load_n(&r->tail, __ATOMIC_RELAXED), cap = r->mask + 1;
    if (tail - r->head_seen + want > cap)
        // P2, from C2: the consumer is done with every slot below head.  Without it we could overwrite an envelope that
        // it is still copying out.
        r->head_seen = __atomic_load_n(&r->head, RKI_RING_P2);
    return cap - (tail - r->head_seen);
}

// Producer: writes into the n-th free slot (n < rki_ring_room), visible only after rki_ring_publish.
static inline rkp_envelope *rki_ring_reserve(rki_ring *r, uint64_t n)
{
    return rki_ring_slot(r, __atomic_load_n(&r->tail, __ATOMIC_RELAXED) + n);
}

// Producer: makes the next n reserved slots visible at once.
static inline void rki_ring_publish(rki_ring *r, uint64_t n)
{
    // P1, to C1: publishes the slots written since the last publish, and the batches they refer to.
    __atomic_store_n(&r->tail, __atomic_load_n(&r->tail, __ATOMIC_RELAXED) + n, RKI_RING_P1);
}

// A producer with nothing else to do, at a ring that is nearly full: each look at `head` takes its line away from the consumer, which
// writes it with every message, so a few slots at a time make both slow.  It rests before it looks again, longer the longer too little
// has become free in the meantime, and hardly at all when nothing has: then the consumer is not at work.
enum { RKI_RING_FEW = 32, RKI_RING_REST_STEP = 8, RKI_RING_REST_MAX = 64 };

// Slots that may be written now, looked up.
static inline uint64_t rki_ring_wait_room(rki_ring *r, uint64_t tail)
{
    uint64_t cap = r->mask + 1, few = cap / 4 < RKI_RING_FEW ? cap / 4 : RKI_RING_FEW;
    uint64_t head = __atomic_load_n(&r->head, RKI_RING_P2), later; // P2, from C2: as above
    if (head != tail - cap && tail - head + few > cap) {
        for (uint64_t i = 0; i < r->rest; i++)
            __builtin_ia32_pause();
        later = __atomic_load_n(&r->head, RKI_RING_P2); // P2, from C2: as above
        if (later == head)
            r->rest /= 2;
        else if (tail - later + few > cap && r->rest < RKI_RING_REST_MAX)
            r->rest += RKI_RING_REST_STEP;
        r->rest += r->rest == 0;
        head = later;
    }
    r->head_seen = head;
    return cap - (tail - head);
}

// Producer: room, reserve and publish in one, for up to n messages; how many found room.  The indices stay in registers.  For a thread
// of its own: an actor, which has other things to do than to rest, asks rki_ring_room.
static inline uint64_t rki_ring_push_some(rki_ring *r, const rkp_envelope *e, uint64_t n)
{
    uint64_t tail = __atomic_load_n(&r->tail, __ATOMIC_RELAXED), mask = r->mask,
             room = mask + 1 - (tail - r->head_seen);
    rkp_envelope *slots = rki_ring_slot(r, 0);
    if (room < n) {
        room = rki_ring_wait_room(r, tail);
        n = n < room ? n : room;
        if (n == 0)
            return 0;
    }
    for (uint64_t i = 0; i < n; i++)
        slots[(tail + i) & mask] = e[i];
    __atomic_store_n(&r->tail, tail + n, RKI_RING_P1); // P1, to C1: as above
    return n;
}

static inline bool rki_ring_push(rki_ring *r, const rkp_envelope *e)
{
    return rki_ring_push_some(r, e, 1) == 1;
}

// Consumer: how many messages are there, up to a cached view; reads tail again only when none is known.
static inline uint64_t rki_ring_ready(rki_ring *r)
{
    uint64_t head = __atomic_load_n(&r->head, __ATOMIC_RELAXED); // relaxed: no other thread writes head
    if (r->tail_seen == head)
        // C1, from P1: what the producer wrote into the slots below tail.
        r->tail_seen = __atomic_load_n(&r->tail, RKI_RING_C1);
    return r->tail_seen - head;
}

// Consumer: the n-th message from the front (n < rki_ring_ready); it stays until rki_ring_release.
static inline const rkp_envelope *rki_ring_peek(const rki_ring *r, uint64_t n)
{
    return rki_ring_slot(r, __atomic_load_n(&r->head, __ATOMIC_RELAXED) + n);
}

// Consumer: the message at the front when it is known to be there without another look at the producer's word; or NULL.
static inline const rkp_envelope *rki_ring_known(const rki_ring *r)
{
    uint64_t head = __atomic_load_n(&r->head, __ATOMIC_RELAXED);
    return r->tail_seen != head ? rki_ring_slot(r, head) : NULL;
}

// Consumer: gives the first n slots back.
static inline void rki_ring_release(rki_ring *r, uint64_t n)
{
    // C2, to P2: "I no longer read these slots".
    __atomic_store_n(&r->head, __atomic_load_n(&r->head, __ATOMIC_RELAXED) + n, RKI_RING_C2);
}

// Consumer: ready, peek and release in one, for up to n messages; how many there were.
static inline uint64_t rki_ring_pop_some(rki_ring *r, rkp_envelope *out, uint64_t n)
{
    uint64_t head = __atomic_load_n(&r->head, __ATOMIC_RELAXED), mask = r->mask;
    const rkp_envelope *slots = rki_ring_slot(r, 0);
    if (r->tail_seen == head)
        r->tail_seen = __atomic_load_n(&r->tail, RKI_RING_C1); // C1, from P1: as above
    n = n < r->tail_seen - head ? n : r->tail_seen - head;
    if (n == 0)
        return 0;
    for (uint64_t i = 0; i < n; i++)
        out[i] = slots[(head + i) & mask];
    __atomic_store_n(&r->head, head + n, RKI_RING_C2); // C2, to P2: as above
    return n;
}

static inline bool rki_ring_pop(rki_ring *r, rkp_envelope *out)
{
    return rki_ring_pop_some(r, out, 1) == 1;
}

// ---- the second kind: the producer may take the oldest message back (`overflow: drop_oldest`) -----------------------
//
// Both sides take from the front, so `head` is moved by compare-and-swap, and a slot may be read by the consumer while the producer,
// which has taken it back, writes it again: slots are read and written word by word (relaxed), and what was read counts only
// when the compare-and-swap that claims it succeeds.  An index never comes back (64 bits), so success means that nobody took the
// slot in between.
//
//   S1 acq_rel compare-and-swap of head   keeps the words read above it; orders them before the producer's reuse (P2, S2)
//   S2 acquire load of head               from S1: the slot is free
//
// Only a ring that is used with these functions alone on both sides may mix them.

// Taking any of P1 C1 P2 S1 down to relaxed must be caught: tests/model/ring_evict.c, where nobody takes back and words are plain.

#ifndef RKI_RING_S1
#define RKI_RING_S1 __ATOMIC_ACQ_REL
#endif
#ifndef RKI_SLOT_LOAD
#define RKI_SLOT_LOAD(p)     __atomic_load_n((p), __ATOMIC_RELAXED)
#define RKI_SLOT_STORE(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#endif

static inline void rki_slot_copy_out(const rkp_envelope *slot, rkp_envelope *to)
{
    const uint64_t *from = (const uint64_t *)(const void *)slot;
    uint64_t *v = (uint64_t *)(void *)to;
    for (unsigned i = 0; i < sizeof *slot / 8; i++)
        v[i] = RKI_SLOT_LOAD(&from[i]); // relaxed: counts only after S1
}

// Either side: the message at the front and its index; it may be gone when it is claimed.
static inline bool rki_ring_look(rki_ring *r, uint64_t *at, rkp_envelope *out)
{
    uint64_t head = __atomic_load_n(&r->head, __ATOMIC_ACQUIRE);
    // C1, from P1: what the producer wrote into the slots below tail.
    if (__atomic_load_n(&r->tail, RKI_RING_C1) == head)
        return false;
    rki_slot_copy_out(rki_ring_slot(r, head), out);
    *at = head;
    return true;
}

// Either side: takes the message that rki_ring_look gave.  False: somebody else has taken it.
static inline bool rki_ring_claim(rki_ring *r, uint64_t at)
{
    return __atomic_compare_exchange_n(&r->head, &at, at + 1, false, RKI_RING_S1, __ATOMIC_RELAXED);
}

// Producer: false when it is full.
static inline bool rki_ring_put(rki_ring *r, const rkp_envelope *e)
{
    uint64_t tail = __atomic_load_n(&r->tail, __ATOMIC_RELAXED), *to;
    const uint64_t *from = (const uint64_t *)(const void *)e;
    // S2, from S1: the consumer's reads of the slot are over, or will not count.
    if (tail - __atomic_load_n(&r->head, RKI_RING_P2) > r->mask)
        return false;
    to = (uint64_t *)(void *)rki_ring_slot(r, tail);
    for (unsigned i = 0; i < sizeof *e / 8; i++)
        RKI_SLOT_STORE(&to[i], from[i]); // relaxed: published by P1
    // P1, to C1.
    __atomic_store_n(&r->tail, tail + 1, RKI_RING_P1);
    return true;
}

// ---- clock floor ----------------------------------------------------------------------------------------------------

// Producer, or who pushes its clock: every later message has a stamp above `floor`.
static inline void rki_ring_floor_set(rki_ring *r, uint64_t floor)
{
    // F1, to F2; sequentially consistent with the `held` words (hold.c).
    __atomic_store_n(&r->floor, floor, __ATOMIC_SEQ_CST);
}

// Consumer; must be read before rki_ring_ready says that the ring is empty.
static inline uint64_t rki_ring_floor(const rki_ring *r)
{
    return __atomic_load_n(&r->floor, __ATOMIC_SEQ_CST); // F2, from F1
}

// Any thread: messages in it, approximately.
static inline uint64_t rki_ring_fill(const rki_ring *r)
{
    // Relaxed: a figure for people; head first, so that the difference is never negative.
    uint64_t head = __atomic_load_n(&r->head, __ATOMIC_RELAXED);
    return __atomic_load_n(&r->tail, __ATOMIC_RELAXED) - head;
}

#endif
