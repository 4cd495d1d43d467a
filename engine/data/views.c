// views.c - see views.h.
#include "data/views.h"

bool rki_heap_foreign(rki_heap *h, const char *p, int64_t n)
{
    if (h->n == h->cap) {
        uint32_t cap = h->cap ? h->cap * 2 : 4;
        const char **bufs = rkp_batch_alloc(h->mem, cap * (sizeof *bufs + sizeof *h->sizes));
        int64_t *sizes = bufs ? (int64_t *)(void *)(bufs + cap) : NULL;

        if (!bufs)
            return false;
        if (h->n) {
            memcpy(bufs, h->bufs, h->n * sizeof *bufs);
            memcpy(sizes, h->sizes, h->n * sizeof *sizes);
        }
        h->bufs = bufs;
        h->sizes = sizes;
        h->cap = cap;
    }
    h->bufs[h->n] = p;
    h->sizes[h->n] = n;
    h->n++;
    return true;
}

char *rki_heap_room(rki_heap *h, size_t n)
{
    uint32_t size;
    char *chunk;

    if (h->chunk && n <= h->size - h->used)
        return h->chunk + h->used;
    if (n > INT32_MAX)
        return NULL;
    size = h->chunk ? h->size * 2 : 1024;
    if (size > 1 << 20)
        size = 1 << 20;
    if (size < n)
        size = (uint32_t)n;
    chunk = rkp_batch_alloc(h->mem, size);
    if (!chunk)
        return NULL;
    if (h->chunk)
        h->sizes[h->n - 1] = h->used;
    if (!rki_heap_foreign(h, chunk, 0))
        return NULL;
    h->chunk = chunk;
    h->size = size;
    h->used = 0;
    return chunk;
}

void rki_heap_done(rki_heap *h, rkp_col *c)
{
    if (h->chunk)
        h->sizes[h->n - 1] = h->used;
    c->bufs = h->bufs;
    c->buf_sizes = h->sizes;
    c->n_bufs = h->n;
}
