// base/hist.h - how often values of each size came: log-linear buckets with base 2, 64 for each power of two.
//
//   Owns     nothing; zeroed memory is an empty one
//   Threads  add: one.  Everything else: any, meanwhile; each bucket is read whole
//   Fails    -
//   Limits   values below 2^44 (of nanoseconds: 4.9 h); larger ones count as that
//   Cost     20 KiB; adding about 2 ns; a quantile goes over all buckets
//
// Values below 64 have buckets of their own.  A value in [2^e, 2^(e+1)) is in one of 64 buckets of the same width, so the middle
// of its bucket is within 1/128 (0.78 %) of it, and so is every quantile.
#ifndef RKI_HIST_H
#define RKI_HIST_H

#include <rkpipe/base.h>

enum { RKI_HIST_SUB = 64, RKI_HIST_POWERS = 44, RKI_HIST_BUCKETS = (RKI_HIST_POWERS - 6 + 1) * RKI_HIST_SUB };

typedef struct rki_hist {
    uint64_t sum; // of all values, exact
    uint64_t n[RKI_HIST_BUCKETS];
} rki_hist;

static inline uint32_t rki_hist_bucket(uint64_t v)
{
    uint32_t shift;
    if (v >> RKI_HIST_POWERS)
        return RKI_HIST_BUCKETS - 1;
    if (v < RKI_HIST_SUB)
        return (uint32_t)v;
    shift = 57u - (uint32_t)__builtin_clzll(v); // so that v >> shift is in [64, 128)
    return shift * RKI_HIST_SUB + (uint32_t)(v >> shift);
}

// `times` values of the same size.  Relaxed: whoever looks adds up what it finds.
static inline void rki_hist_add(rki_hist *h, uint64_t v, uint64_t times)
{
    uint64_t *n = &h->n[rki_hist_bucket(v)];
    __atomic_store_n(n, *n + times, __ATOMIC_RELAXED);
    __atomic_store_n(&h->sum, h->sum + v * times, __ATOMIC_RELAXED);
}

void rki_hist_merge(rki_hist *to, const rki_hist *from); // `to` is the caller's alone
uint64_t rki_hist_count(const rki_hist *h);
// The value of which a part q of all are no larger: that of rank ceil(q * count), to 1/128.  0 without values.
double rki_hist_quantile(const rki_hist *h, double q);
uint64_t rki_hist_up_to(const rki_hist *h, double most); // how many are no larger, to those within 1/128 of it

#endif
