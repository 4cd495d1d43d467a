// slab.h - the memory of a stateful operator: pieces of any size, counted against the kernel's share.
//
//   Owns     every piece, until rks_slab_reset or rks_slab_fini; a piece may be given back alone
//   Threads  the actor's
//   Fails    NULL when malloc fails.  A share that is used up refuses nothing here: what goes over it is counted in
//            `over`, and the owner makes room (spills) or fails at the next boundary
//   Limits   freed pieces are used again for the same size class only
//   Cost     a bump or a pop of a list; blocks grow to 2 MiB, on huge pages where the system gives them
#ifndef RKS_SLAB_H
#define RKS_SLAB_H

#include <rkpipe/op.h>

enum { RKS_SLAB_BIG = 64 << 10, RKS_SLAB_CLASSES = 48 };

typedef struct rks_slab {
    rkp_actor *actor;
    uint64_t held; // bytes taken from the system
    uint64_t over; // the part of `held` that the share has refused
    uint64_t live; // bytes in pieces that are in use
    struct rks_block *blocks;
    char *at, *end;
    size_t next; // size of the next block
    void *free[RKS_SLAB_CLASSES];
} rks_slab;

void rks_slab_init(rks_slab *s, rkp_actor *a);
void *rks_alloc(rks_slab *s, size_t n);        // aligned to 16, not zeroed; n > 0
void rks_free(rks_slab *s, void *p, size_t n); // n as it was asked for; NULL is fine
// The size that a piece of n bytes really has.
size_t rks_alloc_size(size_t n);
void rks_slab_reset(rks_slab *s); // frees every piece and gives the share back
void rks_slab_fini(rks_slab *s);  // frees every piece; the actor may be gone

// For memory that is counted and kept elsewhere.  Goes over the share like rks_alloc.
void rks_slab_count(rks_slab *s, uint64_t bytes);
void rks_slab_uncount(rks_slab *s, uint64_t bytes);

#endif
