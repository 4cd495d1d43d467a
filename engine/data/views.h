// data/views.h - making views, and a place for the text that is longer than a view.
//
//   Owns     nothing: text goes into a batch's memory
//   Threads  the one that builds the batch
//   Fails    false or NULL when memory is out
//   Limits   2^31 - 1 bytes a text
//   Cost     a copy of the text; chunks grow from 1 KiB to 1 MiB
#ifndef RKI_VIEWS_H
#define RKI_VIEWS_H

#include <rkpipe/batch.h>

typedef struct rki_heap {
    rkp_batch *mem;
    const char **bufs;
    int64_t *sizes;
    uint32_t n, cap;
    uint32_t size; // of the newest chunk
    uint32_t used; // of the newest chunk
    char *chunk;   // the newest: bufs[n - 1]; NULL when there is none
} rki_heap;

// Adds a buffer of others' memory; its index is the old h->n.
bool rki_heap_foreign(rki_heap *h, const char *p, int64_t n);
// Room for n bytes in the newest chunk, not taken yet.
char *rki_heap_room(rki_heap *h, size_t n);

static inline rkp_view rki_view_short(const char *p, size_t n) // n <= 12
{
    rkp_view v = { .len = (int32_t)n };

    memcpy(v.u.inlined, p, n);
    return v;
}

static inline rkp_view rki_view_long(const char *p, size_t n, uint32_t buf, uint32_t off) // n > 12
{
    rkp_view v = { .len = (int32_t)n };

    memcpy(v.u.ref.prefix, p, 4);
    v.u.ref.buf = (int32_t)buf;
    v.u.ref.off = (int32_t)off;
    return v;
}

// The view of n bytes at p, which is in the room that was given last; takes them when they are long.
static inline rkp_view rki_heap_take(rki_heap *h, const char *p, size_t n)
{
    rkp_view v;

    if (n <= 12)
        return rki_view_short(p, n);
    v = rki_view_long(p, n, h->n - 1, h->used);
    h->used += (uint32_t)n;
    return v;
}

// A copy of s as a view.
static inline bool rki_heap_copy(rki_heap *h, const char *p, size_t n, rkp_view *out)
{
    char *to;

    if (n <= 12) {
        *out = rki_view_short(p, n);
        return true;
    }
    to = rki_heap_room(h, n);
    if (!to)
        return false;
    memcpy(to, p, n);
    *out = rki_heap_take(h, to, n);
    return true;
}

// Hands the buffers to a column of views.
void rki_heap_done(rki_heap *h, rkp_col *c);

#endif
