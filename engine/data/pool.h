// data/pool.h - the blocks behind batches; batch.c and builder.c take them from here.
//
//   Owns     a pool owns the blocks that are not handed out
//   Threads  any; a block may be given back on another thread than took it
//   Fails    NULL when the system has no memory; the budget itself refuses nothing
//   Limits   payloads of 4 KiB << class, class 0 .. 28
//   Cost     about 10 ns to take or give back a block that is cached on this CPU
#ifndef RKI_POOL_H
#define RKI_POOL_H

#include <rkpipe/batch.h>

typedef struct rkp_block {
    struct rkp_block *next;
    struct rki_defer *defers; // of the batch that begins in this block
    uint32_t cls;
    uint32_t n_list;         // in a depot: blocks of the list that begins here
    struct rkp_block *below; // in a depot: the list that was given back before
    uint32_t epoch;          // of the batch that begins in this block
    uint32_t pad[7];
} rkp_block;
_Static_assert(sizeof(rkp_block) == 64, "the payload behind the header keeps its alignment");

enum { RKI_BLOCK_MIN = 4096, RKI_BLOCK_CLASSES = 29 };

static inline size_t rki_block_size(const rkp_block *k)
{
    return (size_t)RKI_BLOCK_MIN << k->cls;
}

static inline char *rki_block_data(rkp_block *k)
{
    return (char *)(k + 1);
}

// The class whose payload holds `bytes`; RKI_BLOCK_CLASSES when none does.
static inline uint32_t rki_block_class(size_t bytes)
{
    if (bytes <= RKI_BLOCK_MIN)
        return 0;
    if (bytes > (size_t)RKI_BLOCK_MIN << (RKI_BLOCK_CLASSES - 1))
        return RKI_BLOCK_CLASSES;
    return 64 - (uint32_t)__builtin_clzll((bytes - 1) / RKI_BLOCK_MIN);
}

// A block with next and defers cleared; the payload is poisoned under AddressSanitizer.  `live` is added to the count
// of batches (on success only).
rkp_block *rki_block_get(rkp_pool *p, size_t bytes, int live);
// The same for plain memory.
rkp_block *rki_block_get_plain(rkp_pool *p, size_t bytes, int live);
// Makes k larger without copying it: its payload of at least `bytes`, whose first bytes are those of k.  NULL: cannot, and
// k is as it was.  k was got with live 0.
rkp_block *rki_block_grow(rkp_pool *p, rkp_block *k, size_t bytes);
// This thread takes small blocks from a place of its own from now on, as one of at most as many as there are CPUs; the others go on as
// they are.  It leaves it when it sits down in another pool, and its place stays empty.  For threads that stay as long as the pool.
void rki_pool_sit(rkp_pool *p);
uint64_t rki_pool_seated_bytes(const rkp_pool *p); // that lie unused in such places; while nobody works with p
// Gives back a chain; `live` is taken from the count of batches, of that epoch.
void rki_blocks_put(rkp_pool *p, rkp_block *chain, int live, uint32_t epoch);

// ---- epochs: is anything left that was made before?
//
// What a batch refers to besides its own memory and that of its parents (a schema, a literal, the table of a lookup) belongs to whoever
// made it, who may be taken out of a running graph.  Batches are counted by the epoch in which they were made, so that one can wait
// until all of an epoch and of those before it have gone.  (A batch of a later one that was derived from such a batch holds it.)

// Plain memory (a batch that is made without columns: text, scratch, tables) refers to nobody, may be kept for long, and belongs to none.

enum { RKI_EPOCHS = 16 };
#define RKI_NO_EPOCH UINT32_MAX

uint32_t rki_pool_epoch(const rkp_pool *p);
// One thread at a time.  False: a batch of the epoch that had the next one's counter lives still; nothing has changed.
bool rki_pool_next_epoch(rkp_pool *p);
bool rki_pool_may_advance(const rkp_pool *p);
// No batch of this epoch or an earlier one lives.  Of an epoch that is over: everybody who may have read its number before it ended is
// done with making that batch.
bool rki_pool_is_over(const rkp_pool *p, uint32_t epoch);

// AddressSanitizer sees into blocks: what is not handed out is poisoned.
#if defined(__SANITIZE_ADDRESS__)
#define RKI_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RKI_ASAN 1
#endif
#endif
#ifdef RKI_ASAN
#include <sanitizer/asan_interface.h>
#define RKI_POISON(p, n)   __asan_poison_memory_region((p), (n))
#define RKI_UNPOISON(p, n) __asan_unpoison_memory_region((p), (n))
#else
#define RKI_POISON(p, n)   ((void)(p), (void)(n))
#define RKI_UNPOISON(p, n) ((void)(p), (void)(n))
#endif

#endif
