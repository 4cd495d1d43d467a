// flow/lease.h - a bound in data_dir that no stamp has passed, so that a restart begins above all of them.
//
//   Owns     nothing; the folder's descriptor is borrowed until the last renew
//   Threads  open, renew: control.  tick, limit: any, each with its own clock
//   Fails    a status and a sentence; when the bound cannot be written, tick goes on up to the old one and then refuses
//   Limits   -
//   Cost     a file written with two fsyncs, once a second; tick is one load more than rkp_hlc_tick
//
// The file `clock` holds a stamp that is larger than every stamp given out: RKI_LEASE_US ahead of now, written anew when a
// second of it is used up.  All clocks of a run begin at `start`: now, or the bound of the run before where that is
// larger, as after a wall clock was set back.  Then stamps go on from there, one by one, until physical time has caught up;
// the bound is kept RKI_LEASE_ROOM_US above the start, so that a run that crashes again and again does not push it far.
#ifndef RKI_LEASE_H
#define RKI_LEASE_H

#include <rkpipe/file.h>
#include <rkpipe/hlc.h>

#define RKI_LEASE_US      3000000u
#define RKI_LEASE_NEXT_US 1000000u
#define RKI_LEASE_ROOM_US 100000u

typedef struct rki_lease {
    int dir;
    uint64_t start;  // every clock of this run begins with it: (rkp_hlc){ start }
    uint64_t limit;  // atomic: every stamp is below
    uint64_t wanted; // atomic: the largest stamp that was refused
} rki_lease;

// Reads the bound, and writes the next one.  A damaged file is RKP_IO: without it nobody knows where to begin.
rkp_status rki_lease_open(rki_lease *l, int dir, uint64_t now_us, char err[RKP_FILE_ERR]);

// Writes the next bound when it is time, or when a tick was refused; to be called at least once a second.
rkp_status rki_lease_renew(rki_lease *l, uint64_t now_us, char err[RKP_FILE_ERR]);

static inline uint64_t rki_lease_limit(const rki_lease *l)
{
    // L2, from L1 in renew: the bound is on the disk before anybody sees it.
    return __atomic_load_n(&l->limit, __ATOMIC_ACQUIRE);
}

// A stamp, as rkp_hlc_tick.  false: the bound must be moved first (rki_lease_renew); the clock is as it was.
static inline bool rki_lease_tick(rki_lease *l, rkp_hlc *c, uint64_t now_us, uint64_t *stamp)
{
    rkp_hlc next = *c;
    uint64_t t = rkp_hlc_tick(&next, now_us), wanted;

    if (RKP_LIKELY(t < rki_lease_limit(l))) {
        *c = next;
        *stamp = t;
        return true;
    }
    // Relaxed: renew only needs to see the largest one some time.
    wanted = __atomic_load_n(&l->wanted, __ATOMIC_RELAXED);
    while (wanted < t && !__atomic_compare_exchange_n(&l->wanted, &wanted, t, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
    return false;
}

#endif
