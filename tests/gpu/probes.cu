// One kernel for each kind of access that census.c tells apart, so that the assembler itself says what it looks like.
#include <rkpipe/device/mem.h>

typedef unsigned long long word;
#define PROBE(name)     extern "C" __global__ void name(word *p, word v, const word *q)
#define LOAD(order, to) asm volatile("ld." order ".global.u64 %0, [%1];" : "=l"(to) : "l"(q) : "memory")
#define STORE(order)    asm volatile("st." order ".global.u64 [%0], %1;" ::"l"(p), "l"(v) : "memory")

PROBE(store_weak)
{
    *p = v;
}

PROBE(load_weak)
{
    *p = *q;
}

PROBE(load_sys)
{
    word got;
    LOAD("relaxed.sys", got);
    *p = got;
}

PROBE(load_gpu)
{
    word got;
    LOAD("relaxed.gpu", got);
    *p = got;
}

PROBE(load_acquire)
{
    word got;
    LOAD("acquire.sys", got);
    *p = got;
}

PROBE(store_sys)
{
    STORE("relaxed.sys");
}

PROBE(store_gpu)
{
    STORE("relaxed.gpu");
}

PROBE(store_release)
{
    STORE("release.sys");
}

PROBE(fence_sc)
{
    asm volatile("fence.sc.sys;" ::: "memory");
    *p = v;
}

PROBE(fence_gpu)
{
    asm volatile("fence.acq_rel.gpu;" ::: "memory");
    *p = v;
}

PROBE(generic)
{
    __shared__ word s[64];
    s[threadIdx.x] = v;
    volatile word *either = *q ? p : s; // nobody knows which before it runs
    *either = 1;
    p[1] = s[threadIdx.x];
}

PROBE(barrier)
{
    __shared__ word s[64];
    s[threadIdx.x] = v;
    __syncthreads();
    *p = s[63 - threadIdx.x];
}

PROBE(spilled)
{
    volatile int many[64];
    for (int i = 0; i < 64; i++)
        many[(i * v) & 63] = i;
    *p = many[v & 63];
}
