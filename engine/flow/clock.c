// flow/clock.c - physical time: one offset between two clocks of the system, which only grows.
#include "flow/clock.h"

#include <time.h>

enum { PPM_DIVISOR = 2000, MOST_STEP_US = 500, SOON_NS = 10000000 };

#define LATEST_US ((1ull << 52) - 1)

static int64_t system_wall_us(void *ctx)
{
    struct timespec t;

    (void)ctx;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static uint64_t system_mono_ns(void *ctx)
{
    struct timespec t;

    (void)ctx;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

const rki_time rki_time_system = { system_wall_us, system_mono_ns, NULL };

// A wall clock that nobody has set yet, or that shows nonsense, is held between 1970 and the last year of stamps.
static int64_t wall_us(const rki_clock *c)
{
    int64_t us = c->time.wall_us(c->time.ctx);

    return us < 0 ? 0 : us > (int64_t)LATEST_US ? (int64_t)LATEST_US : us;
}

void rki_clock_init(rki_clock *c, const rki_time *t)
{
    *c = (rki_clock){ .time = *t };
    c->looked_ns = t->mono_ns(t->ctx);
    c->offset_us = wall_us(c) - (int64_t)(c->looked_ns / 1000);
}

uint64_t rki_clock_at_us(const rki_clock *c, uint64_t mono_ns)
{
    // Relaxed: the word is all there is.  Whoever reads it again reads the same or a later one, so time does not go back.
    int64_t us = __atomic_load_n(&c->offset_us, __ATOMIC_RELAXED) + (int64_t)(mono_ns / 1000);

    return us > (int64_t)LATEST_US ? LATEST_US : (uint64_t)us;
}

uint64_t rki_clock_now_us(const rki_clock *c)
{
    return rki_clock_at_us(c, c->time.mono_ns(c->time.ctx));
}

int64_t rki_clock_follow(rki_clock *c)
{
    uint64_t now_ns = c->time.mono_ns(c->time.ctx), since = now_ns - c->looked_ns;
    int64_t offset = __atomic_load_n(&c->offset_us, __ATOMIC_RELAXED); // relaxed: nobody else writes it
    int64_t ahead = wall_us(c) - offset - (int64_t)(now_ns / 1000), step = ahead;
    int64_t most = (int64_t)(since / 1000 / PPM_DIVISOR);

    if (since < SOON_NS) // looking all the time would round every step down to nothing
        return ahead;
    c->looked_ns = now_ns;
    if (most > MOST_STEP_US)
        most = MOST_STEP_US;
    if (step > most)
        step = most;
    if (step > 0)
        __atomic_store_n(&c->offset_us, offset + step, __ATOMIC_RELAXED);
    return ahead - (step > 0 ? step : 0);
}
