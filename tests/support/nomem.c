// nomem.c - stands before the allocator.  The program's own malloc is found before the C library's (or the sanitizer's)
// by the dynamic linker, so calls from the libraries come here as well.  What is not refused goes on to the real one:
// __libc_malloc, or the sanitizer's interceptor.
#include "nomem.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define NOMEM_SAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define NOMEM_SAN 1
#endif
#endif

#ifdef NOMEM_SAN
#define REAL(f) __interceptor_##f
#else
#define REAL(f) __libc_##f
#endif

// Sanitizers start up inside the first allocations, before instrumented code may run.
#if defined(__clang__)
#define BARE __attribute__((no_sanitize("address", "thread", "memory", "undefined")))
#else
#define BARE __attribute__((no_sanitize_address, no_sanitize_thread, no_sanitize_undefined))
#endif

// The libraries must find these, whatever the default visibility.
#define EXPORT BARE __attribute__((visibility("default")))

extern void *REAL(malloc)(size_t n);
extern void *REAL(calloc)(size_t n, size_t size);
extern void *REAL(realloc)(void *p, size_t n);
extern void *REAL(memalign)(size_t align, size_t n);

static atomic_long fail_at; // 0: not armed
static atomic_long count;
static atomic_bool and_later;
static atomic_bool paused;
static _Thread_local bool exempt; // what the sanitizer asks for, it must get

// Relaxed throughout: the counter orders nothing.
BARE static bool refuse(void)
{
    long at = atomic_load_explicit(&fail_at, memory_order_relaxed), n;

    if (at == 0 || exempt || atomic_load_explicit(&paused, memory_order_relaxed))
        return false;
    n = atomic_fetch_add_explicit(&count, 1, memory_order_relaxed) + 1;
    if (n != at && !(n > at && atomic_load_explicit(&and_later, memory_order_relaxed)))
        return false;
    errno = ENOMEM;
    return true;
}

EXPORT void *malloc(size_t n)
{
    return refuse() ? NULL : REAL(malloc)(n);
}

EXPORT void *calloc(size_t n, size_t size)
{
    return refuse() ? NULL : REAL(calloc)(n, size);
}

EXPORT void *realloc(void *p, size_t n)
{
    return refuse() ? NULL : REAL(realloc)(p, n);
}

EXPORT void *reallocarray(void *p, size_t n, size_t size)
{
    size_t all;

    if (__builtin_mul_overflow(n, size, &all)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(p, all);
}

EXPORT void *aligned_alloc(size_t align, size_t n)
{
    return refuse() ? NULL : REAL(memalign)(align, n);
}

EXPORT int posix_memalign(void **out, size_t align, size_t n)
{
    void *p = refuse() ? NULL : REAL(memalign)(align, n);

    if (!p)
        return ENOMEM;
    *out = p;
    return 0;
}

#ifdef NOMEM_SAN
// A sanitizer asks where the stack of a new thread is, and takes no for an answer by ending the process.
typedef int getattr_fn(pthread_t t, pthread_attr_t *a);
static getattr_fn *real_getattr;

BARE static getattr_fn *find_getattr(void)
{
    void *p = dlsym(RTLD_NEXT, "pthread_getattr_np");
    getattr_fn *f;

    __builtin_memcpy(&f, &p, sizeof f);
    return f;
}

EXPORT int pthread_getattr_np(pthread_t t, pthread_attr_t *a)
{
    getattr_fn *f = real_getattr ? real_getattr : find_getattr();
    int rc;

    exempt = true;
    rc = f(t, a);
    exempt = false;
    return rc;
}
#endif

static void arm(long n, bool later)
{
    atomic_store_explicit(&fail_at, 0, memory_order_relaxed);
    atomic_store_explicit(&count, 0, memory_order_relaxed);
    atomic_store_explicit(&and_later, later, memory_order_relaxed);
#ifdef NOMEM_SAN
    if (!real_getattr)
        real_getattr = find_getattr();
#endif
    atomic_store_explicit(&fail_at, n, memory_order_relaxed);
}

void nomem_pause(bool on)
{
    atomic_store_explicit(&paused, on, memory_order_relaxed);
}

void nomem_at(long n)
{
    arm(n, false);
}

void nomem_from(long n)
{
    arm(n, true);
}

long nomem_count(void)
{
    return atomic_load_explicit(&count, memory_order_relaxed);
}

bool nomem_works(void)
{
    void *volatile p; // volatile, or the pair is optimised away
    bool ok;

    nomem_at(1);
    p = malloc(1);
    ok = p == NULL && nomem_count() == 1;
    nomem_at(0);
    free(p);
    if (!ok)
        puts("skipped: allocations cannot be made to fail here");
    return ok;
}
