// rkpipe/device/mem.h - accesses to words that a host and a device share, for C11, CUDA C++ and the simulated device.
//
//   Owns     nothing
//   Threads  any; the order is in the name
//   Fails    -
//   Limits   aligned words of 4 and 8 bytes: those are single accesses also over the bus
//   Cost     on x86-64 plain moves; on a device a load of any order goes to the bus (about 1 us); acquire also empties the
//            L1 of the multiprocessor (rkd_acquired only when the value is there), release waits until what its block wrote has arrived
//
// Scope is always the system: who waits on the other side of the bus is no thread of this device.  There are no read-modify-writes, because
// over a bus they are not atomic.
#ifndef RKPIPE_DEVICE_MEM_H
#define RKPIPE_DEVICE_MEM_H

#ifdef __CUDACC_RTC__
#ifndef RKD_INTS // NVRTC has no <stdint.h>; as glibc has them
#define RKD_INTS
typedef signed char int8_t;
typedef short int16_t;
typedef int int32_t;
typedef long int64_t;
typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
typedef unsigned long uint64_t;
#endif
#else
#include <stdint.h>
#endif

#ifndef RKD_FN
#ifdef __CUDACC__
#define RKD_FN static __device__ __forceinline__ __attribute__((unused)) // NVRTC would say so of each
#else
#define RKD_FN static inline
#endif
#endif

#ifdef __CUDACC__

RKD_FN uint64_t rkd_look(const uint64_t *p) // relaxed
{
    unsigned long long v;
    asm volatile("ld.relaxed.sys.global.u64 %0, [%1];" : "=l"(v) : "l"(p) : "memory");
    return v;
}

RKD_FN uint64_t rkd_acquire(const uint64_t *p) // what was released before the value is visible from here on
{
    unsigned long long v;
    asm volatile("ld.acquire.sys.global.u64 %0, [%1];" : "=l"(v) : "l"(p) : "memory");
    return v;
}

RKD_FN uint32_t rkd_acquired(const uint64_t *p, uint64_t want) // is that there?  Then as rkd_acquire: for polling
{
    if (rkd_look(p) != want)
        return 0;
#if __CUDA_ARCH__ >= 900 && __CUDACC_VER_MAJOR__ >= 13
    asm volatile("fence.acquire.sys;" ::: "memory");
#else
    asm volatile("fence.acq_rel.sys;" ::: "memory");
#endif
    return 1;
}

RKD_FN void rkd_release(uint64_t *p, uint64_t v)
{
    asm volatile("st.release.sys.global.u64 [%0], %1;" ::"l"(p), "l"((unsigned long long)v) : "memory");
}

RKD_FN void rkd_put(uint64_t *p, uint64_t v) // relaxed
{
    asm volatile("st.relaxed.sys.global.u64 [%0], %1;" ::"l"(p), "l"((unsigned long long)v) : "memory");
}

#else

RKD_FN uint64_t rkd_look(const uint64_t *p)
{
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}

RKD_FN uint64_t rkd_acquire(const uint64_t *p)
{
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

RKD_FN uint32_t rkd_acquired(const uint64_t *p, uint64_t want)
{
    return __atomic_load_n(p, __ATOMIC_ACQUIRE) == want; // no fence: ThreadSanitizer sees none
}

RKD_FN void rkd_release(uint64_t *p, uint64_t v)
{
    __atomic_store_n(p, v, __ATOMIC_RELEASE);
}

RKD_FN void rkd_put(uint64_t *p, uint64_t v)
{
    __atomic_store_n(p, v, __ATOMIC_RELAXED);
}

#endif

#endif
