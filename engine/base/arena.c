// arena.c - a chain of zeroed blocks; the newest block is the one that is bumped.
//
//   head -> [next|size| used ...... at   free   end] -> [next|size| full ] -> NULL
//
// A request that is large against the next block gets a block of its own, linked behind the head, so the
// room that is left in the head is not lost.  Under AddressSanitizer what is not handed out is poisoned and each
// piece is followed by 16 poisoned bytes, so an overrun inside a block is reported as it would be with malloc.
#include "base/arena.h"

#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif
#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
enum { ARENA_GAP = 16 };
#else
#define ASAN_POISON_MEMORY_REGION(p, n)   ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
enum { ARENA_GAP = 0 };
#endif

enum { ARENA_ALIGN = 16, ARENA_FIRST = 4 << 10, ARENA_LAST = 1 << 20 };

struct rki_arena_block {
    struct rki_arena_block *next;
    size_t size; // with this header
};

struct rki_arena_defer {
    struct rki_arena_defer *next;
    void (*fn)(void *);
    void *p;
};

_Static_assert(sizeof(struct rki_arena_block) % ARENA_ALIGN == 0, "the header keeps the alignment");

void rki_arena_init(rki_arena *a)
{
    *a = (rki_arena){ .next_size = ARENA_FIRST };
}

void rki_arena_fini(rki_arena *a)
{
    struct rki_arena_block *b = a->head;

    for (struct rki_arena_defer *d = a->defers; d; d = d->next)
        d->fn(d->p);
    while (b) {
        struct rki_arena_block *next = b->next;

        ASAN_UNPOISON_MEMORY_REGION(b, b->size);
        free(b);
        b = next;
    }
    rki_arena_init(a);
}

bool rki_arena_failed(const rki_arena *a)
{
    return a->failed;
}

static struct rki_arena_block *block_new(rki_arena *a, size_t size)
{
    struct rki_arena_block *b = calloc(1, size);

    if (!b) {
        a->failed = true;
        return NULL;
    }
    b->size = size;
    a->total += size;
    ASAN_POISON_MEMORY_REGION(b + 1, size - sizeof *b);
    return b;
}

void *rki_alloc(rki_arena *a, size_t bytes)
{
    struct rki_arena_block *b;
    size_t need;
    char *p;

    if (bytes > SIZE_MAX / 2) {
        a->failed = true;
        return NULL;
    }
    need = ((bytes ? bytes : 1) + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN + ARENA_GAP;
    if (need > (size_t)(a->end - a->at)) {
        if (need > a->next_size / 4) { // a block of its own
            b = block_new(a, sizeof *b + need);
            if (!b)
                return NULL;
            if (a->head) {
                b->next = a->head->next;
                a->head->next = b;
            } else {
                a->head = b; // at == end: nothing is bumped in it
            }
            p = (char *)(b + 1);
            ASAN_UNPOISON_MEMORY_REGION(p, bytes);
            return p;
        }
        b = block_new(a, a->next_size);
        if (!b)
            return NULL;
        b->next = a->head;
        a->head = b;
        a->at = (char *)(b + 1);
        a->end = (char *)b + a->next_size;
        if (a->next_size < ARENA_LAST)
            a->next_size *= 2;
    }
    p = a->at;
    a->at += need;
    ASAN_UNPOISON_MEMORY_REGION(p, bytes);
    return p;
}

bool rki_arena_reserve(rki_arena *a, size_t pieces, size_t bytes)
{
    const size_t piece = ARENA_ALIGN + ARENA_GAP;
    struct rki_arena_block *b;
    size_t more;

    if (__builtin_mul_overflow(pieces, piece, &more) || __builtin_add_overflow(more, bytes, &more) ||
        more > SIZE_MAX / 2) {
        a->failed = true;
        return false;
    }
    if (more <= (size_t)(a->end - a->at))
        return true;
    b = block_new(a, sizeof *b + more); // the rest of the head is lost
    if (!b)
        return false;
    b->next = a->head;
    a->head = b;
    a->at = (char *)(b + 1);
    a->end = (char *)b + b->size;
    return true;
}

void *rki_array(rki_arena *a, size_t n, size_t bytes)
{
    size_t all;

    if (__builtin_mul_overflow(n, bytes, &all)) {
        a->failed = true;
        return NULL;
    }
    return rki_alloc(a, all);
}

char *rki_dup(rki_arena *a, const char *p, size_t n)
{
    char *to;

    if (n > SIZE_MAX / 2) {
        a->failed = true;
        return NULL;
    }
    to = rki_alloc(a, n + 1);
    if (to && n)
        memcpy(to, p, n);
    return to;
}

rkp_str rki_dup_str(rki_arena *a, rkp_str s)
{
    char *p = rki_dup(a, s.p, s.n);

    return p ? (rkp_str){ p, s.n } : (rkp_str){ NULL, 0 };
}

rkp_str rki_vprintf(rki_arena *a, const char *fmt, va_list ap)
{
    va_list again;
    char *p = NULL;
    int n;

    va_copy(again, ap);
    n = vsnprintf(NULL, 0, fmt, ap);
    if (n >= 0)
        p = rki_alloc(a, (size_t)n + 1);
    if (p && vsnprintf(p, (size_t)n + 1, fmt, again) != n)
        p = NULL;
    va_end(again);
    if (!p) {
        a->failed = true;
        return (rkp_str){ NULL, 0 };
    }
    return (rkp_str){ p, (size_t)n };
}

rkp_str rki_printf(rki_arena *a, const char *fmt, ...)
{
    va_list ap;
    rkp_str s;

    va_start(ap, fmt);
    s = rki_vprintf(a, fmt, ap);
    va_end(ap);
    return s;
}

bool rki_arena_defer(rki_arena *a, void (*fn)(void *), void *p)
{
    struct rki_arena_defer *d = rki_alloc(a, sizeof *d);

    if (!d) {
        fn(p);
        return false;
    }
    *d = (struct rki_arena_defer){ a->defers, fn, p };
    a->defers = d;
    return true;
}
