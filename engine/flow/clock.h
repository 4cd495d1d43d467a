// flow/clock.h - physical time that never goes back, and stamps from outside (RELIABILITY.md 2.4, lines 3 to 6).
//
//   Owns     nothing
//   Threads  rki_clock_now_us: any.  rki_clock_follow: one.  Stamps: whoever owns the rkp_hlc
//   Fails    rki_hlc_receive refuses a stamp
//   Limits   the year 2112 (52 bits of microseconds)
//   Cost     a reading of the monotonic clock, about 25 ns: once per batch
//
// Physical time is the wall clock as it was at start, plus the monotonic clock since.  A wall clock that is set back
// changes nothing.  One that is ahead is followed: each look adds at most 500 ppm of the time since the last look, and at
// most 500 us, so that it takes an hour to make up 1.8 s.  A wall clock that was set wrong by an hour can therefore
// neither stop stamps nor carry them away, and what NTP corrects is followed.  A restart begins at the wall clock anew.
#ifndef RKI_CLOCK_H
#define RKI_CLOCK_H

#include <rkpipe/base.h>
#include <rkpipe/hlc.h>

// Where time comes from; tests have their own.
typedef struct rki_time {
    int64_t (*wall_us)(void *ctx);  // since 1970; may be anything
    uint64_t (*mono_ns)(void *ctx); // never goes back
    void *ctx;
} rki_time;

extern const rki_time rki_time_system; // CLOCK_REALTIME, CLOCK_MONOTONIC

typedef struct rki_clock {
    rki_time time;
    int64_t offset_us;  // atomic: physical time less the monotonic clock; it only grows
    uint64_t looked_ns; // when rki_clock_follow last looked
} rki_clock;

void rki_clock_init(rki_clock *c, const rki_time *t);
uint64_t rki_clock_now_us(const rki_clock *c);
uint64_t rki_clock_at_us(const rki_clock *c, uint64_t mono_ns); // physical time at a reading of the monotonic clock

// Looks at the wall clock; once a second is often enough.  Gives how far the wall clock is ahead (below 0: behind).
int64_t rki_clock_follow(rki_clock *c);

// Merges a stamp from outside this process.  false: it is more than max_drift_us ahead of now_us, and the clock was not
// moved by it.
static inline bool rki_hlc_receive(rkp_hlc *c, uint64_t stamp, uint64_t now_us, uint64_t max_drift_us)
{
    uint64_t us = rkp_hlc_us(stamp);

    if (us > now_us && us - now_us > max_drift_us)
        return false;
    rkp_hlc_merge(c, stamp);
    return true;
}

#endif
