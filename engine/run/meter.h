// run/meter.h - what is measured of kernels and edges besides rows (docs/design/metrics.md).
//
//   Owns     a kernel's state owns its meters, a run its flows; they outlive instances and rings
//   Threads  counters: the runner that has the part writes, others look relaxed; lists grow with the build lock held
//   Fails    NULL: out of memory
//   Limits   -
//   Cost     a step: one reading of the clock, and an addition to a histogram for each stage
#ifndef RKI_METER_H
#define RKI_METER_H

#include "base/hist.h"
#include "run/actor.h"

// What made a batch of `batch` complete.
typedef enum rki_flush_why {
    RKI_FLUSH_NO,    // nothing yet
    RKI_FLUSH_COUNT, // as many rows as batch.count says
    RKI_FLUSH_BYTES,
    RKI_FLUSH_PERIOD,
    RKI_FLUSH_IDLE,    // nothing else to do
    RKI_FLUSH_BARRIER, // of a checkpoint
    RKI_FLUSH_RELOAD,
    RKI_FLUSH_TOPIC, // what came next was of another topic or request
    RKI_FLUSH_END,
    RKI_N_FLUSHES
} rki_flush_why;

const char *rki_flush_name(int why);

// Of one half (role) of a kernel in one replica, whatever instance has it.
typedef struct rki_meter {
    struct rki_meter *next;
    int role;
    uint32_t replica;
    uint64_t pad[8];   // what the runner writes has lines of its own
    uint64_t busy_ns;  // at work
    uint64_t failures; // of supervised instances
    uint64_t retries;  // further attempts
    uint64_t flushes[RKI_N_FLUSHES];
    rki_hist work; // nanoseconds for a batch
    rki_hist late; // of a sink: nanoseconds since the batch arrived at its source
} rki_meter;

// Of a publication in one replica.
typedef struct rki_published {
    struct rki_published *next;
    const char *topic; // lives as long as the run
    uint32_t replica;
    uint64_t rows, messages;
} rki_published;

// Sums of the rings between two kernels.
typedef struct rki_flow_sums {
    uint64_t sent, got, over, spilled, filtered, late, excluded, waits, blocked_us;
} rki_flow_sums;

typedef struct rki_flow {
    struct rki_flow *next;
    const char *from, *to, *topic, *kind; // as long as the run; topic: "" for none
    const char *policy;                   // of its queue
    bool hlc;
    rki_flow_sums past;  // of rings that have gone, with the graph's lock written
    rki_flow_sums shown; // with the metrics lock
    // of the walk at hand
    bool live;
    rki_flow_sums now;
    uint64_t messages, capacity, bytes, limit, lag_us, spill_bytes, spill_messages;
} rki_flow;

// Of checkpoints that this process has made.
typedef struct rki_ckpt_counts {
    uint64_t count, failures, last_us; // last_us: wall clock, 0: none
    rki_hist took;                     // nanoseconds
} rki_ckpt_counts;

bool rki_ckpt_sums(const rki_run *r, rki_ckpt_counts *out); // false: none are made

// Found, or made.  With the build lock, or before anything runs.
rki_meter *rki_meter_of(rki_kstate *k, int role, uint32_t replica);
rki_published *rki_published_of(rki_run *r, rki_kstate *k, rkp_str topic, uint32_t replica);
rki_flow *rki_flow_of(rki_run *r, const rki_plan *p, const rki_edge *e);
void rki_kstate_free(rki_kstate *k);
void rki_flow_add(rki_flow_sums *to, const rki_link *k);
void rki_meters_times(const rki_kstate *k, uint64_t *busy_ns, rki_hist *work,
                      rki_hist *late); // merged; each may be NULL
// "batch_seconds": {"count":..,"p50":..,"p90":..,"p99":..,"p999":..}, and "latency_seconds" of a sink.
void rki_times_json(rki_json *j, const rki_kstate *k);

// ---- the runner's

rkp_batch *rki_batcher_get(rki_batcher *s, uint64_t now_ns, rki_flush_why why, uint64_t *corr, bool *nomem);

void rki_meter_begin(rki_runner *r);                     // of a step, after it has looked at the clock
void rki_meter_end(rki_runner *r);                       // of the step
rkp_actor *rki_meter_enter(rki_runner *r, rkp_actor *a); // r->timing: a stage begins; gives whose turn it was
void rki_meter_late(rki_runner *r, uint64_t now_us);     // counts what r->born holds

// A sink has taken a batch.  Those of one poll of a source have the same time.
static inline void rki_meter_written(rki_runner *r, rkp_actor *a, uint64_t born_us)
{
    uint32_t n = r->n_born;
    if (n && r->born[n - 1].us == born_us && r->born[n - 1].a == a) {
        r->born[n - 1].times++;
        return;
    }
    if (RKP_UNLIKELY(n == RKI_BORN)) {
        rki_meter_late(r, rki_clock_now_us(&r->run->clock));
        n = 0;
    }
    r->born[n].a = a;
    r->born[n].us = born_us;
    r->born[n].times = 1;
    r->n_born = n + 1;
}

#endif
