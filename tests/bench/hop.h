// hop.h: the job of the hop benchmarks, the same in every contender. Four stages, 64-byte messages:
//   make (value 0, 1, 2 ..) -> add one -> add the sum of two fields -> keep a check sum
// Each stage is a function called once per message. A contender prints nanoseconds per message and the check sum.
#ifndef BENCH_HOP_H
#define BENCH_HOP_H

#include <stdint.h>

struct row64 {
    uint64_t v[8];
};
enum { STAGES = 4, HOPS = STAGES - 1 };

static inline void hop_make(struct row64 *m, uint64_t i)
{
    m->v[0] = i;
    for (int k = 1; k < 8; k++)
        m->v[k] = 0;
}
static inline void hop_add(struct row64 *m)
{
    m->v[1] = m->v[0] + 1;
}
static inline void hop_mix(struct row64 *m)
{
    m->v[2] = m->v[0] + m->v[1];
}
static inline void hop_keep(uint64_t *sum, const struct row64 *m)
{
    *sum = *sum * 31 + m->v[2];
}

#endif
