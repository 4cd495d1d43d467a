// run/frames.h - what is behind run/device.h: chains and what is on its way.
#ifndef RKI_RUN_FRAMES_H
#define RKI_RUN_FRAMES_H

#include "run/actor.h"
#include "run/device.h"
#include <rkpipe/device.h>

// A frame on its way, and the message that it is of.
typedef struct rki_flight {
    rkp_batch *b;
    uint32_t from, n; // rows of it
    uint64_t stamp, born_us, corr;
    uint8_t port;
} rki_flight;

struct rki_rchain {
    rki_device *dev;
    const rki_chain *c; // own
    rki_chain own;
    rki_runner *r;
    rkd_in *in;
    rkd_out *out;
    rkd_ctl *ctl;
    rki_flight *flights; // as many as slots
    uint64_t next;       // position of the next frame
    uint64_t taken;      // of the next answer
    uint64_t waits;      // atomic: taken + 1; 0: nothing is on its way
    uint32_t at;         // row of the message that waits for a slot: up to there it is on its way; 0: none waits
    uint64_t punted;     // rows
    uint32_t *rows;      // scratch
    uint64_t woken;      // looker: `waits` that it has woken the runner for
    uint64_t pulse;      // looker: the block's, when it last moved
    uint64_t moved_ns;   // looker
};

struct rki_device {
    rki_run *run;
    const rkd_module *m;
    rkd_host *host;
    rkd_image *image;
    rkd_grid *grid;
    uint64_t watchdog_ns;
    rki_rchain *chains;
    uint32_t n;
    pthread_t looker;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool lock_made, looks, started;
    uint32_t sleeps;  // atomic
    uint32_t leaving; // atomic
    char what[160];
};

static inline rkd_out *rki_out_at(const rki_rchain *x, uint64_t pos)
{
    uint64_t slot = pos & ((1ull << x->c->slots_log2) - 1);
    return (rkd_out *)(void *)((char *)x->out + slot * x->c->out_bytes);
}

static inline rkd_in *rki_in_at(const rki_rchain *x, uint64_t pos)
{
    uint64_t slot = pos & ((1ull << x->c->slots_log2) - 1);
    return (rkd_in *)(void *)((char *)x->in + slot * x->c->in_bytes);
}

static inline rki_flight *rki_flight_at(const rki_rchain *x, uint64_t pos)
{
    return &x->flights[pos & ((1ull << x->c->slots_log2) - 1)];
}

void rki_device_rouse(rki_device *d); // something is on its way

#endif
