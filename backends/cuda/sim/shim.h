// cuda/sim/shim.h - what device source finds on the simulated device in the place of CUDA: threads, ballots, barriers, a clock.
//
//   Owns     one pointer to the calls of the simulated device, one per thread of it to the lane that runs
//   Threads  those of a launch; a lane stays on its thread
//   Fails    never comes back from a call whose launch has failed
//   Limits   all 32 lanes of a warp meet; RKD_SIM_SHARED_BYTES for a block
//   Cost     a call through a pointer, and where lanes meet 32 switches of stacks
//
// The upper part is C, for the module; the lower one is compiled before a program (rkc_sim_compile).  A program needs no symbol of ours: it is
// given a table.
#ifndef RKC_SIM_SHIM_H
#define RKC_SIM_SHIM_H

#include <stddef.h>
#include <stdint.h>

enum { RKD_SIM_ABI = 1, RKD_SIM_SHARED_BYTES = 48 << 10 };

typedef struct rkd_sim_dim {
    uint32_t x, y, z;
} rkd_sim_dim;

// One lane of a warp: where it is.
typedef struct rkd_sim_at {
    rkd_sim_dim thread, block, threads, blocks;
} rkd_sim_at;

// Why lanes meet, and with what.
enum { RKD_SIM_BALLOT, RKD_SIM_SHUFFLE, RKD_SIM_WARP, RKD_SIM_BLOCK };

// Where in the source: a text that lives as long as the program.
typedef struct rkd_sim_place {
    const char *file;
    uint32_t line;
} rkd_sim_place;

typedef struct rkd_sim_calls {
    uint32_t abi, size;
    // Returns when all lanes have come: of a ballot who had a value, of a shuffle the value of lane `from`.
    uint64_t (*meet)(uint32_t why, uint32_t mask, uint64_t value, uint32_t from, rkd_sim_place at);
    void (*nap)(uint32_t ns);
    uint64_t (*now_ns)(void);
    void *(*shared)(size_t bytes, rkd_sim_place at); // the n-th call of each thread of a block gives the same memory
} rkd_sim_calls;

// What a program has for the simulated device, by dlsym.
#define RKD_SIM_BIND "rkd_sim_bind" // void (const rkd_sim_calls *), once, before all
#define RKD_SIM_HERE "rkd_sim_here" // const rkd_sim_at ** (void), on each thread: where to write which lane runs

#ifdef __cplusplus
#include <string.h>

#define __device__
#define __global__
#define __host__
#define __forceinline__ inline

static const rkd_sim_calls *rkd_sim_calls_of;
static thread_local const rkd_sim_at *rkd_sim_lane;

extern "C" void rkd_sim_bind(const rkd_sim_calls *calls)
{
    rkd_sim_calls_of = calls;
}

extern "C" const rkd_sim_at **rkd_sim_here(void)
{
    return &rkd_sim_lane;
}

#define threadIdx (rkd_sim_lane->thread)
#define blockIdx  (rkd_sim_lane->block)
#define blockDim  (rkd_sim_lane->threads)
#define gridDim   (rkd_sim_lane->blocks)

// The place is that of the call: defaults are filled in there.
#define RKD_SIM_PLACE const char *file = __builtin_FILE(), uint32_t line = __builtin_LINE()

static inline uint32_t __ballot_sync(uint32_t mask, int yes, RKD_SIM_PLACE)
{
    return (uint32_t)rkd_sim_calls_of->meet(RKD_SIM_BALLOT, mask, yes != 0, 0, rkd_sim_place{ file, line });
}

static inline int __any_sync(uint32_t mask, int yes, RKD_SIM_PLACE)
{
    return __ballot_sync(mask, yes, file, line) != 0;
}

static inline int __all_sync(uint32_t mask, int yes, RKD_SIM_PLACE)
{
    return __ballot_sync(mask, yes, file, line) == 0xffffffffu;
}

template <typename T> static inline T __shfl_sync(uint32_t mask, T value, int from, int width = 32, RKD_SIM_PLACE)
{
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "a register or two");
    uint32_t lane = rkd_sim_lane->thread.x & 31, part = (uint32_t)width - 1;
    uint64_t bits = 0;
    T got;
    memcpy(&bits, &value, sizeof value);
    bits = rkd_sim_calls_of->meet(RKD_SIM_SHUFFLE, mask, bits, (lane & ~part) | ((uint32_t)from & part),
                                  rkd_sim_place{ file, line });
    memcpy(&got, &bits, sizeof got);
    return got;
}

static inline void __syncwarp(uint32_t mask = 0xffffffffu, RKD_SIM_PLACE)
{
    rkd_sim_calls_of->meet(RKD_SIM_WARP, mask, 0, 0, rkd_sim_place{ file, line });
}

static inline void __syncthreads(RKD_SIM_PLACE)
{
    rkd_sim_calls_of->meet(RKD_SIM_BLOCK, 0xffffffffu, 0, 0, rkd_sim_place{ file, line });
}

static inline void __nanosleep(uint32_t ns)
{
    rkd_sim_calls_of->nap(ns);
}

static inline uint64_t rkd_now_ns(void)
{
    return rkd_sim_calls_of->now_ns();
}

static inline void *rkd_sim_shared(size_t bytes, RKD_SIM_PLACE)
{
    return rkd_sim_calls_of->shared(bytes, rkd_sim_place{ file, line });
}

static inline int __popc(uint32_t v)
{
    return __builtin_popcount(v);
}

static inline int __popcll(uint64_t v)
{
    return __builtin_popcountll(v);
}

static inline int __clz(int v)
{
    return v ? __builtin_clz((uint32_t)v) : 32;
}

static inline int __clzll(long long v)
{
    return v ? __builtin_clzll((uint64_t)v) : 64;
}

static inline int __ffs(int v)
{
    return __builtin_ffs(v);
}

static inline uint64_t __umul64hi(uint64_t a, uint64_t b)
{
    return (uint64_t)((unsigned __int128)a * b >> 64);
}

static inline long long __mul64hi(long long a, long long b)
{
    return (long long)((__int128)a * b >> 64);
}

static inline long long __double_as_longlong(double v)
{
    long long bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

static inline double __longlong_as_double(long long bits)
{
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}
#endif

#endif
