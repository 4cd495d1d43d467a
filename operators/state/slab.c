// slab.c - size classes over blocks; large pieces are blocks of their own.
#include "slab.h"

#include <stdlib.h>
#include <sys/mman.h>

struct rks_block {
    struct rks_block *next, **link;
    size_t size; // with this header
    size_t pad;
};

enum { HEAD = sizeof(struct rks_block), FIRST = 16 << 10, HUGE = 2 << 20, HUGE_FROM = 4 << 20 };

// 16, 32 .. 256, then four classes an octave up to 64 KiB.
static unsigned class_of(size_t n)
{
    unsigned octave;

    if (n <= 256)
        return n ? (unsigned)((n - 1) / 16) : 0;
    octave = 63 - (unsigned)__builtin_clzll(n - 1); // 8 for 257..512
    return 16 + (octave - 8) * 4 + (unsigned)(((n - 1) >> (octave - 2)) & 3);
}

static size_t class_size(unsigned c)
{
    unsigned octave;

    if (c < 16)
        return (c + 1) * 16;
    octave = (c - 16) / 4 + 8;
    return ((size_t)1 << octave) + ((size_t)((c - 16) % 4 + 1) << (octave - 2));
}

size_t rks_alloc_size(size_t n)
{
    return n > RKS_SLAB_BIG ? (n + 15) / 16 * 16 : class_size(class_of(n));
}

void rks_slab_init(rks_slab *s, rkp_actor *a)
{
    *s = (rks_slab){ .actor = a, .next = FIRST };
}

void rks_slab_count(rks_slab *s, uint64_t bytes)
{
    s->held += bytes;
    if (!rkp_state_take(s->actor, bytes))
        s->over += bytes;
}

void rks_slab_uncount(rks_slab *s, uint64_t bytes)
{
    uint64_t from_over = bytes < s->over ? bytes : s->over;

    s->held -= bytes;
    s->over -= from_over;
    if (bytes > from_over)
        rkp_state_give(s->actor, bytes - from_over);
}

static struct rks_block *block_new(rks_slab *s, size_t size)
{
    struct rks_block *b;

    if (size >= HUGE) {
        size = (size + HUGE - 1) / HUGE * HUGE;
        b = aligned_alloc(HUGE, size);
#ifdef MADV_HUGEPAGE
        if (b)
            madvise(b, size, MADV_HUGEPAGE); // a wish; nothing depends on it
#endif
    } else {
        b = malloc(size);
    }
    if (!b)
        return NULL;
    b->size = size;
    b->next = s->blocks;
    b->link = &s->blocks;
    if (b->next)
        b->next->link = &b->next;
    s->blocks = b;
    rks_slab_count(s, size);
    return b;
}

static void block_free(rks_slab *s, struct rks_block *b)
{
    *b->link = b->next;
    if (b->next)
        b->next->link = b->link;
    rks_slab_uncount(s, b->size);
    free(b);
}

void *rks_alloc(rks_slab *s, size_t n)
{
    unsigned c;
    size_t size;
    struct rks_block *b;
    void *p;

    if (n > RKS_SLAB_BIG) {
        if (n > SIZE_MAX / 2)
            return NULL;
        size = rks_alloc_size(n);
        b = block_new(s, size + HEAD);
        if (!b)
            return NULL;
        s->live += size;
        return (char *)b + HEAD;
    }
    c = class_of(n);
    size = class_size(c);
    p = s->free[c];
    if (p) {
        memcpy(&s->free[c], p, sizeof p);
        s->live += size;
        return p;
    }
    if (RKP_UNLIKELY((size_t)(s->end - s->at) < size)) {
        size_t want = s->next > size + HEAD ? s->next : size + HEAD;

        b = block_new(s, want);
        if (!b)
            return NULL;
        s->at = (char *)b + HEAD;
        s->end = (char *)b + b->size;
        // Small states stay small: a block is at most half of what is held, and large only far from the limit.
        if (s->held >= HUGE_FROM && rkp_state_limit(s->actor) / 16 >= HUGE)
            s->next = HUGE;
        else if (s->next < s->held / 4 && s->next < HUGE / 4 && s->next < rkp_state_limit(s->actor) / 64)
            s->next *= 2;
    }
    p = s->at;
    s->at += size;
    s->live += size;
    return p;
}

void rks_free(rks_slab *s, void *p, size_t n)
{
    unsigned c;

    if (!p)
        return;
    s->live -= rks_alloc_size(n);
    if (n > RKS_SLAB_BIG) {
        block_free(s, (struct rks_block *)((char *)p - HEAD));
        return;
    }
    c = class_of(n);
    memcpy(p, &s->free[c], sizeof p);
    s->free[c] = p;
}

void rks_slab_reset(rks_slab *s)
{
    rkp_actor *a = s->actor;

    while (s->blocks)
        block_free(s, s->blocks); // NOLINT(clang-analyzer-unix.Malloc): it takes the block out of the list
    rks_slab_init(s, a);
}

void rks_slab_fini(rks_slab *s)
{
    struct rks_block *next;

    for (struct rks_block *b = s->blocks; b; b = next) {
        next = b->next;
        free(b);
    }
    *s = (rks_slab){ 0 };
}
