// pool.c - blocks in powers of two, cached per CPU, with a depot per class behind the caches.
//
//   take:  stripe of this CPU  <-  depot of the class (a few at once)  <-  the system
//   give:  stripe of this CPU  ->  depot of the class (half at once)   ->  the system, when more is held than the limit
//
// A worker has a stripe of its own, its seat, for small blocks: nobody else takes it, so it needs no word that guards it, which is
// what a message of one row pays most for.  What a seat holds is bounded, because nobody can take it from there.
//
// A block is taken on a reader's thread and given back on a writer's, so blocks travel stripe -> depot -> stripe;
// moving them several at a time makes that one lock in many operations.  A stripe is guarded by a word that is only
// ever tried: its CPU's threads exclude each other by it, and who finds it taken (it was preempted, or moved between
// reading the CPU number and taking the word) tries the next stripe and then the depot.  A depot is a stack of lists, as they
// were given back, under a spin lock whose section is a few instructions: no block of a list is touched but the first,
// because the others lie in the cache of whoever gave them.
//
// Bytes in use are counted in the stripe and carried to the pool's counter when they reach 256 KiB either way, so small
// batches on several cores share no counter; readers add the stripes' parts, and are exact when nothing moves.  (The peak may miss what other
// stripes had not carried at that moment.)
#include "data/pool.h"

#include <assert.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    STRIPES_MAX = 64,
    STRIPE_CLASSES = 12,    // up to 8 MiB; larger blocks go to the depot at once
    STRIPE_BYTES = 1 << 20, // of one class
    STRIPE_BLOCKS = 32,     // of one class
    SEAT_CLASSES = 5,       // up to 64 KiB
    SEAT_BYTES = 256 << 10, // of one class
    CARRY = 256 << 10,      // bytes a stripe counts by itself
    MAP_FROM = 256 << 10,   // blocks from this size on are mapped, so that giving them back gives them back
};

struct list {
    rkp_block *head;
    uint32_t n;
};

struct stripe {
    _Alignas(64) _Atomic uint32_t taken;
    _Atomic int64_t used;                 // bytes not carried yet; written by the holder, read by any
    _Atomic int64_t high;                 // the largest `used` since the last carry
    _Atomic int64_t live[RKI_EPOCHS + 1]; // batches, by epoch modulo their number; the last of none
    struct list free[STRIPE_CLASSES];
    bool seat; // the thread that sits here is the only one that uses `free` and writes the rest; `taken` says nothing
};

struct depot {
    _Alignas(64) _Atomic uint32_t taken;
    rkp_block *top; // first block of the list given back last
};

struct rkp_pool {
    uint64_t limit;
    uint64_t id; // no other pool of this process has or had it
    uint32_t stripe_mask;
    uint32_t n_stripes; // with the seats, which are behind those of CPUs
    _Atomic uint32_t n_seated;
    _Alignas(64) _Atomic int64_t held; // bytes taken from the system; moves rarely
    _Alignas(64) _Atomic int64_t used;
    _Atomic int64_t peak;
    _Atomic int64_t live[RKI_EPOCHS + 1];
    _Alignas(64) _Atomic uint32_t epoch; // moves when a graph is changed
    struct depot depot[RKI_BLOCK_CLASSES];
    struct stripe stripes[];
};

static _Atomic uint64_t last_id;
static _Thread_local struct {
    uint64_t asked; // the id of the pool where it asked for one last
    uint64_t pool;  // that of the pool where it has one; 0: nowhere
    struct stripe *stripe;
} seat;

// ---- lists ----------------------------------------------------------------------------------------------------------

static void list_push(struct list *l, rkp_block *k)
{
    k->next = l->head;
    l->head = k;
    l->n++;
}

static rkp_block *list_pop(struct list *l)
{
    rkp_block *k = l->head;

    if (k) {
        l->head = k->next;
        l->n--;
    }
    return k;
}

// The first n blocks, n <= l->n.
static struct list list_split(struct list *l, uint32_t n)
{
    struct list out = { l->head, n };
    rkp_block *last = NULL;

    for (uint32_t i = 0; i < n; i++) {
        last = l->head;
        l->head = last->next;
    }
    if (last)
        last->next = NULL;
    else
        out.head = NULL;
    l->n -= n;
    return out;
}

static uint32_t stripe_cap(const struct stripe *s, uint32_t cls)
{
    uint32_t n = (s->seat ? (uint32_t)SEAT_BYTES : STRIPE_BYTES) / RKI_BLOCK_MIN >> cls;

    return n > STRIPE_BLOCKS ? STRIPE_BLOCKS : n < 2 ? 2 : n;
}

// ---- locks ----------------------------------------------------------------------------------------------------------

// L1, from L2: what the last holder wrote to the lists.  Without it two holders could take one block.
static bool try_take(_Atomic uint32_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed) == 0 && // only a hint; the exchange decides
           atomic_exchange_explicit(word, 1, memory_order_acquire) == 0;
}

static void drop(_Atomic uint32_t *word)
{
    // L2, to L1.
    atomic_store_explicit(word, 0, memory_order_release);
}

static void stripe_drop(struct stripe *s)
{
    if (s && !s->seat)
        drop(&s->taken);
}

static void depot_take(struct depot *d)
{
    for (unsigned spins = 0; !try_take(&d->taken); spins++)
        if (spins > 100) // the holder has lost its CPU
            sched_yield();
}

static struct stripe *shared_take(rkp_pool *p)
{
    int cpu = sched_getcpu();
    uint32_t i = cpu < 0 ? 0 : (uint32_t)cpu;
    struct stripe *s = &p->stripes[i & p->stripe_mask];

    if (RKP_LIKELY(try_take(&s->taken)))
        return s;
    s = &p->stripes[(i + 1) & p->stripe_mask];
    return try_take(&s->taken) ? s : NULL;
}

// The one for a block of that class.
static struct stripe *stripe_take(rkp_pool *p, uint32_t cls)
{
    if (RKP_LIKELY(seat.pool == p->id && cls < SEAT_CLASSES))
        return seat.stripe;
    return shared_take(p);
}

// ---- counters -------------------------------------------------------------------------------------------------------

static uint32_t slot_of(uint32_t epoch)
{
    return epoch == RKI_NO_EPOCH ? RKI_EPOCHS : epoch % RKI_EPOCHS;
}

static void peak_raise(rkp_pool *p, int64_t to)
{
    // Relaxed: a maximum orders nothing.
    int64_t seen = atomic_load_explicit(&p->peak, memory_order_relaxed);

    while (seen < to &&
           !atomic_compare_exchange_weak_explicit(&p->peak, &seen, to, memory_order_relaxed, memory_order_relaxed))
        ;
}

static void carry(rkp_pool *p, struct stripe *s, int64_t used, int64_t high)
{
    int64_t base = atomic_fetch_add_explicit(&p->used, used, memory_order_relaxed);

    peak_raise(p, base + high);
    atomic_store_explicit(&s->used, 0, memory_order_relaxed);
    atomic_store_explicit(&s->high, 0, memory_order_relaxed);
}

// Relaxed but for `live`: counters order nothing, and only the holder of s writes its parts.
static inline void count_in(rkp_pool *p, struct stripe *s, int64_t bytes, int live, uint32_t epoch)
{
    int64_t used = atomic_load_explicit(&s->used, memory_order_relaxed) + bytes;
    int64_t high = atomic_load_explicit(&s->high, memory_order_relaxed);

    atomic_store_explicit(&s->used, used, memory_order_relaxed);
    if (used > high) {
        high = used;
        atomic_store_explicit(&s->high, high, memory_order_relaxed);
    }
    if (RKP_UNLIKELY(used >= CARRY || used <= -CARRY))
        carry(p, s, used, high);
    if (live) {
        _Atomic int64_t *n = &s->live[slot_of(epoch)];

        // P1, to P2: what was read of the batches that are gone.
        atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + live, memory_order_release);
    }
}

static void count(rkp_pool *p, struct stripe *s, int64_t bytes, int live, uint32_t epoch)
{
    int64_t now;

    if (RKP_LIKELY(s)) {
        count_in(p, s, bytes, live, epoch);
        return;
    }
    now = atomic_fetch_add_explicit(&p->used, bytes, memory_order_relaxed) + bytes;
    peak_raise(p, now);
    if (live)
        atomic_fetch_add_explicit(&p->live[slot_of(epoch)], live, memory_order_release); // P1, to P2
}

uint64_t rkp_pool_used(const rkp_pool *p)
{
    int64_t n = atomic_load_explicit(&p->used, memory_order_relaxed);

    for (uint32_t i = 0; i < p->n_stripes; i++)
        n += atomic_load_explicit(&p->stripes[i].used, memory_order_relaxed);
    return n > 0 ? (uint64_t)n : 0;
}

uint64_t rkp_pool_peak(const rkp_pool *p)
{
    int64_t base = atomic_load_explicit(&p->used, memory_order_relaxed);
    int64_t peak = atomic_load_explicit(&p->peak, memory_order_relaxed);
    int64_t now = (int64_t)rkp_pool_used(p);

    if (now > peak)
        peak = now;
    for (uint32_t i = 0; i < p->n_stripes; i++) {
        int64_t high = base + atomic_load_explicit(&p->stripes[i].high, memory_order_relaxed);

        if (high > peak)
            peak = high;
    }
    return (uint64_t)peak;
}

uint64_t rkp_pool_limit(const rkp_pool *p)
{
    return p->limit;
}

// Exact when nothing moves; see rki_pool_is_over for when something does.  Acquire: P2, from P1.
static int64_t live_of(const rkp_pool *p, uint32_t epoch)
{
    int64_t n = atomic_load_explicit(&p->live[slot_of(epoch)], memory_order_acquire);

    for (uint32_t i = 0; i < p->n_stripes; i++)
        n += atomic_load_explicit(&p->stripes[i].live[slot_of(epoch)], memory_order_acquire);
    return n;
}

uint64_t rkp_pool_live(const rkp_pool *p)
{
    int64_t n = 0;

    for (uint32_t e = 0; e < RKI_EPOCHS; e++)
        n += live_of(p, e);
    n += live_of(p, RKI_NO_EPOCH);
    return n > 0 ? (uint64_t)n : 0;
}

uint32_t rki_pool_epoch(const rkp_pool *p)
{
    return atomic_load_explicit(&p->epoch, memory_order_relaxed);
}

bool rki_pool_may_advance(const rkp_pool *p)
{
    return live_of(p, rki_pool_epoch(p) + 1) == 0;
}

bool rki_pool_next_epoch(rkp_pool *p)
{
    uint32_t e = rki_pool_epoch(p);

    if (!rki_pool_may_advance(p))
        return false;
    // Relaxed: whoever reads the old one a little longer only makes us wait for that batch as well.
    atomic_store_explicit(&p->epoch, e + 1, memory_order_relaxed);
    return true;
}

// Nothing is added to an epoch that is over, so every counter of it only goes down, and the sum of what is read, one after the other,
// is never below what is left at the end.
bool rki_pool_is_over(const rkp_pool *p, uint32_t epoch)
{
    for (uint32_t back = 0; back + 1 < RKI_EPOCHS && back <= epoch; back++)
        if (live_of(p, epoch - back) != 0)
            return false;
    return true;
}

bool rkp_pool_room(const rkp_pool *p, uint64_t bytes)
{
    int64_t carried = atomic_load_explicit(&p->used, memory_order_relaxed); // a stripe has less than CARRY besides
    uint64_t used;

    if (RKP_LIKELY(bytes < p->limit && carried + (int64_t)p->n_stripes * CARRY <= (int64_t)(p->limit - bytes)))
        return true;
    used = rkp_pool_used(p);

    return used <= p->limit && bytes <= p->limit - used;
}

// ---- the system -----------------------------------------------------------------------------------------------------

static bool mapped(uint32_t cls)
{
#ifdef RKI_ASAN // it watches what malloc gives
    (void)cls;
    return false;
#else
    return (size_t)RKI_BLOCK_MIN << cls >= MAP_FROM;
#endif
}

static size_t gross(uint32_t cls)
{
    return ((size_t)RKI_BLOCK_MIN << cls) + sizeof(rkp_block);
}

static void system_put(rkp_pool *p, rkp_block *k)
{
    uint32_t cls = k->cls;

    RKI_UNPOISON(rki_block_data(k), rki_block_size(k));
    if (mapped(cls))
        munmap(k, gross(cls));
    else
        free(k);
    // Relaxed: a figure that decides only when to give memory back.
    atomic_fetch_sub_explicit(&p->held, (int64_t)RKI_BLOCK_MIN << cls, memory_order_relaxed);
}

static void system_put_list(rkp_pool *p, struct list l)
{
    rkp_block *k;

    while ((k = list_pop(&l)))
        system_put(p, k);
}

// All lists of a depot.
static void system_put_all(rkp_pool *p, rkp_block *top)
{
    while (top) {
        struct list l = { top, top->n_list };

        top = top->below;
        system_put_list(p, l);
    }
}

// Gives cached blocks back until `want` more bytes fit into the limit, largest first.
static void shrink(rkp_pool *p, uint64_t want)
{
    for (uint32_t cls = RKI_BLOCK_CLASSES; cls-- > 0;) {
        struct depot *d = &p->depot[cls];
        rkp_block *top;
        struct list l;

        if ((uint64_t)atomic_load_explicit(&p->held, memory_order_relaxed) + want <= p->limit)
            return;
        depot_take(d);
        top = d->top;
        d->top = NULL;
        drop(&d->taken);
        system_put_all(p, top);
        for (uint32_t i = 0; cls < STRIPE_CLASSES && i <= p->stripe_mask; i++) {
            struct stripe *s = &p->stripes[i];

            if (!try_take(&s->taken))
                continue;
            l = list_split(&s->free[cls], s->free[cls].n);
            drop(&s->taken);
            system_put_list(p, l);
        }
        if (seat.pool == p->id && cls < SEAT_CLASSES)
            system_put_list(p, list_split(&seat.stripe->free[cls], seat.stripe->free[cls].n));
    }
}

static rkp_block *system_try(uint32_t cls)
{
    void *m;

    if (mapped(cls)) {
        m = mmap(NULL, gross(cls), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return m == MAP_FAILED ? NULL : m;
    }
    return aligned_alloc(64, gross(cls));
}

static rkp_block *system_get(rkp_pool *p, uint32_t cls)
{
    uint64_t size = (uint64_t)RKI_BLOCK_MIN << cls;
    rkp_block *k;

    if ((uint64_t)atomic_load_explicit(&p->held, memory_order_relaxed) + size > p->limit)
        shrink(p, size);
    k = system_try(cls);
    if (!k) {
        shrink(p, UINT64_MAX / 2);
        k = system_try(cls);
    }
    if (!k)
        return NULL;
    atomic_fetch_add_explicit(&p->held, (int64_t)size, memory_order_relaxed);
    k->cls = cls;
    RKI_POISON(rki_block_data(k), size);
    return k;
}

// ---- blocks ---------------------------------------------------------------------------------------------------------

// Some blocks: a list as it was given back; empty when there is none.
static struct list depot_get(rkp_pool *p, uint32_t cls)
{
    struct depot *d = &p->depot[cls];
    rkp_block *k;

    depot_take(d);
    k = d->top;
    if (k)
        d->top = k->below;
    drop(&d->taken);
    return (struct list){ k, k ? k->n_list : 0 };
}

// The pages of a mapped block move to where there is room behind them.
rkp_block *rki_block_grow(rkp_pool *p, rkp_block *k, size_t bytes)
{
    uint32_t old = k->cls, cls = rki_block_class(bytes);
    int64_t more = (int64_t)(((uint64_t)RKI_BLOCK_MIN << cls) - ((uint64_t)RKI_BLOCK_MIN << old));
    struct stripe *s;
    void *m;

    if (cls >= RKI_BLOCK_CLASSES || cls <= old || !mapped(old))
        return NULL;
    // Relaxed: see system_put.
    if (atomic_load_explicit(&p->held, memory_order_relaxed) + more > (int64_t)p->limit)
        shrink(p, (uint64_t)more);
    m = mremap(k, gross(old), gross(cls), MREMAP_MAYMOVE);
    if (m == MAP_FAILED)
        return NULL;
    k = m;
    k->cls = cls;
    atomic_fetch_add_explicit(&p->held, more, memory_order_relaxed);
    s = stripe_take(p, cls);
    count(p, s, more, 0, 0);
    stripe_drop(s);
    return k;
}

// l may be empty and ends in NULL.
static void depot_put(rkp_pool *p, uint32_t cls, struct list l)
{
    struct depot *d = &p->depot[cls];

    if (!l.n)
        return;
    l.head->n_list = l.n;
    depot_take(d);
    l.head->below = d->top;
    d->top = l.head;
    drop(&d->taken);
}

// One block, where there is no stripe for it.
static rkp_block *depot_get_one(rkp_pool *p, uint32_t cls)
{
    struct list l = depot_get(p, cls);
    rkp_block *k = list_pop(&l);

    depot_put(p, cls, l);
    return k;
}

static inline rkp_block *begin(rkp_block *k, uint32_t epoch)
{
    k->next = NULL;
    k->defers = NULL;
    k->epoch = epoch;
    return k;
}

static rkp_block *block_get(rkp_pool *p, size_t bytes, int live, uint32_t epoch)
{
    uint32_t cls = rki_block_class(bytes);
    struct stripe *s;
    rkp_block *k = NULL;

    if (RKP_LIKELY(seat.pool == p->id && cls < SEAT_CLASSES) && (k = list_pop(&seat.stripe->free[cls]))) {
        if (seat.stripe->free[cls].head)
            __builtin_prefetch(seat.stripe->free[cls].head,
                               1); // it is next, and was last in the hands of who gave it back
        count_in(p, seat.stripe, (int64_t)rki_block_size(k), live, epoch);
        return begin(k, epoch);
    }
    if (RKP_UNLIKELY(cls >= RKI_BLOCK_CLASSES))
        return NULL;
    s = stripe_take(p, cls);
    if (RKP_LIKELY(s && cls < STRIPE_CLASSES)) {
        k = list_pop(&s->free[cls]);
        if (!k) {
            s->free[cls] = depot_get(p, cls);
            k = list_pop(&s->free[cls]);
        }
    } else {
        k = depot_get_one(p, cls);
    }
    if (RKP_LIKELY(k)) {
        count(p, s, (int64_t)rki_block_size(k), live, epoch);
        stripe_drop(s);
    } else {
        stripe_drop(s);
        k = system_get(p, cls);
        if (!k)
            return NULL;
        s = stripe_take(p, cls);
        count(p, s, (int64_t)rki_block_size(k), live, epoch);
        stripe_drop(s);
    }
    return begin(k, epoch);
}

rkp_block *rki_block_get(rkp_pool *p, size_t bytes, int live)
{
    return block_get(p, bytes, live, rki_pool_epoch(p));
}

rkp_block *rki_block_get_plain(rkp_pool *p, size_t bytes, int live)
{
    return block_get(p, bytes, live, RKI_NO_EPOCH);
}

// Relaxed: see system_put.
static inline bool within_limit(const rkp_pool *p)
{
    return (uint64_t)atomic_load_explicit(&p->held, memory_order_relaxed) <= p->limit;
}

// Returns those that are too large for s.
static rkp_block *put_into(rkp_pool *p, struct stripe *s, rkp_block *chain, int live, uint32_t epoch)
{
    struct list over = { 0 }; // goes to the system after the stripe is dropped
    bool keep = within_limit(p);
    uint32_t classes = !s ? 0 : s->seat ? SEAT_CLASSES : STRIPE_CLASSES;
    rkp_block *rest = NULL;
    int64_t bytes = 0;

    while (chain) {
        rkp_block *k = chain;
        uint32_t cls = k->cls;

        chain = k->next;
        if (RKP_UNLIKELY(cls >= classes && classes == SEAT_CLASSES)) {
            k->next = rest;
            rest = k;
            continue;
        }
        bytes += (int64_t)rki_block_size(k);
        if (RKP_UNLIKELY(!keep)) {
            list_push(&over, k);
            continue;
        }
        RKI_POISON(rki_block_data(k), rki_block_size(k));
        if (RKP_LIKELY(cls < classes)) {
            uint32_t cap = stripe_cap(s, cls);

            if (s->free[cls].n >= cap)
                depot_put(p, cls, list_split(&s->free[cls], cap / 2));
            list_push(&s->free[cls], k);
        } else {
            k->next = NULL;
            depot_put(p, cls, (struct list){ k, 1 });
        }
    }
    count(p, s, -bytes, -live, epoch);
    stripe_drop(s);
    system_put_list(p, over);
    return rest;
}

void rki_blocks_put(rkp_pool *p, rkp_block *chain, int live, uint32_t epoch)
{
    uint32_t cls = chain->cls;
    rkp_block *rest;

    // One small block where there is room for it: a message of a row.
    if (RKP_LIKELY(seat.pool == p->id && cls < SEAT_CLASSES && !chain->next) &&
        seat.stripe->free[cls].n < stripe_cap(seat.stripe, cls) && within_limit(p)) {
        RKI_POISON(rki_block_data(chain), rki_block_size(chain));
        count_in(p, seat.stripe, -(int64_t)rki_block_size(chain), -live, epoch);
        list_push(&seat.stripe->free[cls], chain);
        return;
    }
    rest = put_into(p, stripe_take(p, 0), chain, live, epoch);
    if (RKP_UNLIKELY(rest))
        put_into(p, shared_take(p), rest, 0, 0);
}

// ---- life -----------------------------------------------------------------------------------------------------------

rkp_pool *rkp_pool_new(uint64_t limit_bytes)
{
    long cpus = sysconf(_SC_NPROCESSORS_CONF);
    uint32_t n = 1;
    size_t bytes;
    rkp_pool *p;

    while (n < STRIPES_MAX && (long)n < cpus)
        n *= 2;
    bytes = sizeof *p + (size_t)2 * n * sizeof p->stripes[0];
    p = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!p)
        return NULL;
    memset(p, 0, bytes);
    p->limit = limit_bytes > INT64_MAX / 2 ? INT64_MAX / 2 : limit_bytes;
    p->id = atomic_fetch_add_explicit(&last_id, 1, memory_order_relaxed) + 1; // only has to differ
    p->stripe_mask = n - 1;
    p->n_stripes = 2 * n;
    for (uint32_t i = n; i < p->n_stripes; i++)
        p->stripes[i].seat = true;
    return p;
}

void rki_pool_sit(rkp_pool *p)
{
    uint32_t i;

    if (RKP_LIKELY(seat.asked == p->id))
        return;
    seat.asked = p->id;
    i = p->stripe_mask + 1 + atomic_fetch_add_explicit(&p->n_seated, 1, memory_order_relaxed); // only has to differ
    if (i >= p->n_stripes)
        return;
    seat.pool = p->id;
    seat.stripe = &p->stripes[i];
}

uint64_t rki_pool_seated_bytes(const rkp_pool *p)
{
    uint64_t n = 0;

    for (uint32_t i = p->stripe_mask + 1; i < p->n_stripes; i++)
        for (uint32_t cls = 0; cls < SEAT_CLASSES; cls++)
            n += (uint64_t)p->stripes[i].free[cls].n * RKI_BLOCK_MIN << cls;
    return n;
}

void rkp_pool_free(rkp_pool *p)
{
    if (!p)
        return;
    assert(rkp_pool_live(p) == 0);
    for (uint32_t cls = 0; cls < RKI_BLOCK_CLASSES; cls++) {
        system_put_all(p, p->depot[cls].top);
        for (uint32_t i = 0; cls < STRIPE_CLASSES && i < p->n_stripes; i++)
            system_put_list(p, p->stripes[i].free[cls]);
    }
    free(p);
}
