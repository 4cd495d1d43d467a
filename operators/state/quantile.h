// quantile.h - the values of a group: all of them, for exact quantiles, or a digest of them.
//
//   Owns     pieces in the slab
//   Threads  the actor's
//   Fails    RKP_NOMEM or false when malloc fails; loading also RKP_IO
//   Limits   exact: 4 or 8 bytes a value.  A digest: a few kilobytes
//   Cost     exact: 2 to 5 ns to add a value, about 3 ns a value to select
#ifndef RKS_QUANTILE_H
#define RKS_QUANTILE_H

#include "slab.h"
#include "spill.h"

enum {
    RKS_LIST = 64 << 10,  // values that are looked at in one piece
    RKS_SCRATCH = 8 << 10 // words
};

// Memory that all groups share.
typedef struct rks_quantiles {
    rks_slab *slab;
    uint64_t *list;    // RKS_LIST words; NULL when there are only digests
    uint64_t *scratch; // RKS_SCRATCH words
} rks_quantiles;

// ---- all values -----------------------------------------------------------------------------------------------------
//
// A group's values stand in small chunks.  Numbers as people write them, such as 12.34, are an i32 over a power of ten
// and are kept so, in half of the memory: v is kept as k when k / 10^d is v to the bit.  d belongs to the state, not to
// the group: it grows when a value does not fit, and when none fits, values are kept as they are from there on.  Chunks
// that are made already stay as they are.

typedef struct rks_values { // all zeros: none
    char *at;               // free places of the last chunk
    struct rks_chunk *last;
    uint32_t left;
    uint32_t format; // of the last chunk: 0 is f64, else i32 over 10^(format - 1)
} rks_values;

// The format from `format` on (1: begin with whole numbers) in which all valid values of v fit; *ints are they then.
uint8_t rks_values_format(uint8_t format, const double *v, const uint8_t *valid, uint32_t n, int32_t *ints);
bool rks_values_grow(rks_quantiles *q, rks_values *t, unsigned format);

static inline bool rks_values_put(rks_quantiles *q, rks_values *t, unsigned format, const void *v, size_t size)
{
    if (RKP_UNLIKELY(t->left == 0 || t->format != format) && !rks_values_grow(q, t, format))
        return false;
    memcpy(t->at, v, size);
    t->at += size;
    t->left--;
    return true;
}

enum { RKS_VALUES_TOGETHER = 16 };
// Asks for the memory of several groups, n <= RKS_VALUES_TOGETHER, of which the values are wanted next: their chunks hang
// together one by one, so of a group alone they come one by one.
void rks_values_ask(const rks_values *const *t, uint32_t n);
// Interpolated at rank (n - 1) q; false when there are none.
bool rks_values_quantile(rks_quantiles *q, const rks_values *t, double at, double *out);
void rks_values_save(const rks_values *t, rks_spill *to);
rkp_status rks_values_load(rks_quantiles *q, rks_values *t, rks_spill *from);
// The same in a checkpoint, whose bytes are not trusted.
void rks_values_checkpoint(const rks_values *t, rkp_save *to);
rkp_status rks_values_restore(rks_quantiles *q, rks_values *t, rkp_load *from);
void rks_values_free(rks_quantiles *q, rks_values *t);

// ---- a digest -------------------------------------------------------------------------------------------------------
//
// A merging t-digest: values wait in a buffer; when it is full, they and the centroids are sorted together and merged
// again.  A centroid at rank q of n stands for at most max(1, 4 n q (1 - q) / 100) values, so the tails are fine and the
// number of centroids grows with log n only.  Values that are not finite are counted beside it.

typedef struct rks_digest rks_digest;

// *d is NULL before the first value.
rkp_status rks_digest_add(rks_quantiles *q, rks_digest **d, double v);
rkp_status rks_digest_quantile(rks_quantiles *q, rks_digest *d, double at, double *out, bool *has);
void rks_digest_save(const rks_digest *d, rks_spill *to);
rkp_status rks_digest_load(rks_quantiles *q, rks_digest **d, rks_spill *from);
void rks_digest_checkpoint(const rks_digest *d, rkp_save *to);
rkp_status rks_digest_restore(rks_quantiles *q, rks_digest **d, rkp_load *from);
void rks_digest_free(rks_quantiles *q, rks_digest *d);

#endif
