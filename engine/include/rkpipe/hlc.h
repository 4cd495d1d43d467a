// rkpipe/hlc.h - hybrid logical clock of one actor: 52 bits of microseconds since 1970, 12 bits of counter.
//
//   Owns     one word, written by its actor's thread only
//   Threads  the actor; a stamp is a plain value
//   Fails    -
//   Limits   4,096 stamps a microsecond, then the counter carries into the microseconds
//   Cost     under a nanosecond; the caller reads the wall clock once per batch
//
// Kulkarni et al., "Logical Physical Clocks", 2014, with the pair (l, c) packed into one word: comparing words compares
// pairs, and an overflow of c carries by itself.
#ifndef RKPIPE_HLC_H
#define RKPIPE_HLC_H

#include <stdint.h>

#ifndef RKP_FN
#ifdef __CUDACC__
#define RKP_FN __host__ __device__ static __forceinline__
#else
#define RKP_FN static inline
#endif
#endif

typedef struct rkp_hlc {
    uint64_t last;
} rkp_hlc;

// A new stamp: larger than every stamp this clock gave or merged, and not behind the wall clock.
RKP_FN uint64_t rkp_hlc_tick(rkp_hlc *c, uint64_t wall_us)
{
    uint64_t pt = wall_us << 12, next = c->last + 1;
    c->last = next > pt ? next : pt;
    return c->last;
}

// A received stamp: the next tick will be above it.
RKP_FN void rkp_hlc_merge(rkp_hlc *c, uint64_t stamp)
{
    if (stamp > c->last)
        c->last = stamp;
}

RKP_FN uint64_t rkp_hlc_us(uint64_t stamp)
{
    return stamp >> 12;
}

#endif
