// base/arena.h - memory that is freed all at once.
//
//   Owns     every block it hands out, until rki_arena_fini
//   Threads  one at a time
//   Fails    NULL when memory is out (sticky: rki_arena_failed)
//   Limits   none of its own
//   Cost     a bump of a pointer; blocks grow from 4 KiB to 1 MiB
#ifndef RKI_ARENA_H
#define RKI_ARENA_H

#include <rkpipe/base.h>
#include <stdarg.h>

typedef struct rki_arena {
    struct rki_arena_block *head;
    struct rki_arena_defer *defers;
    char *at, *end;
    size_t next_size;
    size_t total; // bytes taken from the system
    bool failed;
} rki_arena;

void rki_arena_init(rki_arena *a);
void rki_arena_fini(rki_arena *a);
bool rki_arena_failed(const rki_arena *a);

void *rki_alloc(rki_arena *a, size_t bytes); // aligned to 16, zeroed
// After true, `pieces` more requests that are `bytes` together cannot fail.
bool rki_arena_reserve(rki_arena *a, size_t pieces, size_t bytes);
void *rki_array(rki_arena *a, size_t n, size_t bytes); // zeroed, overflow checked
char *rki_dup(rki_arena *a, const char *p, size_t n);  // a copy with a NUL after it
rkp_str rki_dup_str(rki_arena *a, rkp_str s);          // the same as a view; {NULL, 0} when memory is out
rkp_str rki_printf(rki_arena *a, const char *fmt, ...) RKP_PRINTF(2, 3);
rkp_str rki_vprintf(rki_arena *a, const char *fmt, va_list ap);

// fn(p) is called by rki_arena_fini, newest first, before the memory goes: for what hangs off arena memory but is not
// made of it (compiled regular expressions).  false, and fn(p) is called at once, when memory is out.
bool rki_arena_defer(rki_arena *a, void (*fn)(void *), void *p);

#endif
