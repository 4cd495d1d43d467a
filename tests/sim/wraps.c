// wraps.c - time, locks and randomness of the C library as the engine has them in a simulation (the linker's --wrap).
//
// On the harness's own stack these are the real ones; on a coroutine they are the model's.
#include "sim.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>

int __real_clock_gettime(clockid_t id, struct timespec *t);
int __real_getrusage(int who, struct rusage *u);
ssize_t __real_getrandom(void *p, size_t n, unsigned flags);
int __real_nanosleep(const struct timespec *t, struct timespec *left);
int __real_poll(struct pollfd *v, nfds_t n, int ms);
int __real_pthread_mutex_lock(pthread_mutex_t *m);
int __real_pthread_mutex_unlock(pthread_mutex_t *m);
int __real_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m);
int __real_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *t);
int __real_pthread_cond_signal(pthread_cond_t *c);
int __real_pthread_cond_broadcast(pthread_cond_t *c);
int __real_pthread_rwlock_rdlock(pthread_rwlock_t *l);
int __real_pthread_rwlock_wrlock(pthread_rwlock_t *l);
int __real_pthread_rwlock_unlock(pthread_rwlock_t *l);
int __real_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg);
int __wrap_clock_gettime(clockid_t id, struct timespec *t);
int __wrap_getrusage(int who, struct rusage *u);
ssize_t __wrap_getrandom(void *p, size_t n, unsigned flags);
int __wrap_nanosleep(const struct timespec *t, struct timespec *left);
int __wrap_poll(struct pollfd *v, nfds_t n, int ms);
int __wrap_pthread_mutex_lock(pthread_mutex_t *m);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *m);
int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m);
int __wrap_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *t);
int __wrap_pthread_cond_signal(pthread_cond_t *c);
int __wrap_pthread_cond_broadcast(pthread_cond_t *c);
int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t *l);
int __wrap_pthread_rwlock_wrlock(pthread_rwlock_t *l);
int __wrap_pthread_rwlock_unlock(pthread_rwlock_t *l);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg);

// ---- time and chance ------------------------------------------------------------------------------------------------

int __wrap_clock_gettime(clockid_t id, struct timespec *t)
{
    uint64_t ns;
    if (!sim_inside())
        return __real_clock_gettime(id, t);
    sim.now_ns += 20; // who waits for time to pass without waiting for anything else gets there, too
    ns = id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE ? sim.now_ns + (uint64_t)sim.wall_ns : sim.now_ns;
    *t = (struct timespec){ (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };
    return 0;
}

int __wrap_getrusage(int who, struct rusage *u)
{
    if (!sim_inside())
        return __real_getrusage(who, u);
    memset(u, 0, sizeof *u);
    return 0;
}

ssize_t __wrap_getrandom(void *p, size_t n, unsigned flags)
{
    static sim_rng rng;
    if (!sim_inside())
        return __real_getrandom(p, n, flags);
    rng.s = sim.hash ^ sim.steps;
    for (size_t i = 0; i < n; i++)
        ((unsigned char *)p)[i] = (unsigned char)sim_next(&rng);
    return (ssize_t)n;
}

int __wrap_nanosleep(const struct timespec *t, struct timespec *left)
{
    if (!sim_inside())
        return __real_nanosleep(t, left);
    sim_sleep((uint64_t)t->tv_sec * 1000000000u + (uint64_t)t->tv_nsec);
    return 0;
}

// Nothing that is read or written here has to be waited for.
int __wrap_poll(struct pollfd *v, nfds_t n, int ms)
{
    if (!sim_inside())
        return __real_poll(v, n, ms);
    for (nfds_t i = 0; i < n; i++)
        v[i].revents = v[i].events;
    return (int)n;
}

int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg)
{
    return sim_inside() ? EAGAIN : __real_pthread_create(t, a, fn, arg);
}

// ---- locks ----------------------------------------------------------------------------------------------------------

int __wrap_pthread_mutex_lock(pthread_mutex_t *m)
{
    int e;
    if (!sim_inside())
        return __real_pthread_mutex_lock(m);
    sim_maybe();
    while ((e = pthread_mutex_trylock(m)) == EBUSY)
        sim_block(m);
    return e;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *m)
{
    int e = __real_pthread_mutex_unlock(m);
    if (sim_inside())
        sim_free(m);
    return e;
}

static int cond_wait(pthread_cond_t *c, pthread_mutex_t *m, uint64_t until)
{
    bool signalled;
    __wrap_pthread_mutex_unlock(m);
    signalled = sim_block_until(c, until);
    while (pthread_mutex_trylock(m) == EBUSY)
        sim_block(m);
    return signalled ? 0 : ETIMEDOUT;
}

int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
    return sim_inside() ? cond_wait(c, m, 0) : __real_pthread_cond_wait(c, m);
}

int __wrap_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *t)
{
    uint64_t until = (uint64_t)t->tv_sec * 1000000000u + (uint64_t)t->tv_nsec;
    if (!sim_inside())
        return __real_pthread_cond_timedwait(c, m, t);
    return until <= sim.now_ns ? ETIMEDOUT : cond_wait(c, m, until);
}

int __wrap_pthread_cond_signal(pthread_cond_t *c)
{
    if (!sim_inside())
        return __real_pthread_cond_signal(c);
    sim_free(c); // one too many is allowed
    return 0;
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *c)
{
    if (!sim_inside())
        return __real_pthread_cond_broadcast(c);
    sim_free(c);
    return 0;
}

int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t *l)
{
    int e;
    if (!sim_inside())
        return __real_pthread_rwlock_rdlock(l);
    sim_maybe();
    while ((e = pthread_rwlock_tryrdlock(l)) == EBUSY)
        sim_block(l);
    return e;
}

int __wrap_pthread_rwlock_wrlock(pthread_rwlock_t *l)
{
    int e;
    if (!sim_inside())
        return __real_pthread_rwlock_wrlock(l);
    sim_maybe();
    while ((e = pthread_rwlock_trywrlock(l)) == EBUSY)
        sim_block(l);
    return e;
}

int __wrap_pthread_rwlock_unlock(pthread_rwlock_t *l)
{
    int e = __real_pthread_rwlock_unlock(l);
    if (sim_inside())
        sim_free(l);
    return e;
}
