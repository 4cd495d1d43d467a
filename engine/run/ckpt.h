// run/ckpt.h - what the files of checkpoints share (ckpt.c begins); nobody else looks into it.
#ifndef RKI_RUN_CKPT_H
#define RKI_RUN_CKPT_H

#include "data/state.h"
#include "flow/manifest.h"
#include "run/meter.h"

enum { RKI_CKPT_TIMES = 1024, RKI_CKPT_KEEP = 2 }; // manifests that are kept

// One stage, at one moment.
struct rki_part {
    rkp_save counts, state;
    bool ended; // it has given everything on, perhaps in an earlier run
};

// What a runner was at one cut.
struct rki_cut {
    struct rki_part *v; // per stage
    rkp_save queues;    // of the runner: its clock, its logs, and messages
    uint32_t number;    // 0: none
};

struct rki_parts {
    struct rki_cut cut;   // lock: what was handed in
    struct rki_cut next;  // the runner's: not whole yet: links log
    rkp_save log;         // messages of next
    struct rki_part *end; // per stage
    bool retired;         // nothing touches it any more
    rkp_load restored;    // messages that come before all others
};

// The log of an edge that is no more: it goes when no checkpoint that is kept speaks of it.
struct rki_gone_log {
    struct rki_gone_log *next;
    uint32_t number; // of the newest that may
    char dir[];
};

struct rki_ckpt {
    pthread_mutex_t lock;
    struct rki_gone_log *gone; // lock
    int dir;                   // of the manifests; -1: not made yet
    bool entered;              // its name is durable
    uint64_t identity;
    uint64_t kept;        // identity of the newest manifest
    bool moved;           // what the run goes on from is of the pipeline before a reload
    uint32_t committed;   // atomic: number of the newest manifest; 0: none
    uint32_t wanted;      // atomic: number of the checkpoint that is asked for
    uint32_t missing;     // lock: runners that have not handed it in
    bool under_way, told; // told: it cannot be made durable
    bool last;            // atomic with wanted: no source goes on after it
    uint32_t hold;        // atomic: no source begins before the first checkpoint
    bool last_asked, last_done;
    uint32_t hurry; // atomic: soon
    uint64_t next_ns, began_ns;
    // lock: from the request until the manifest was on disk, the last RKI_CKPT_TIMES of `count`
    uint64_t last_us, failures; // lock: when the last one was committed, wall clock
    rki_hist durations;         // lock: nanoseconds
    uint64_t took_ns[RKI_CKPT_TIMES], count;
    rki_manifest from; // what the run goes on from; n 0: nothing
};

// ---- ckpt_counts.c

void rki_counts_put(rkp_save *s, rkp_actor *a);
uint64_t rki_counts_rows_out(rkp_str bytes);            // of what rki_counts_put has written
rkp_status rki_counts_get(rkp_actor *a, rkp_str bytes); // adds
// What instances have counted that reloads have taken out of a kernel.
void rki_past_put(rkp_save *s, rki_kernel_counts *c);
rkp_status rki_past_get(rki_run *r, rki_kernel_counts *c, rkp_str bytes);

// ---- ckpt_cut.c

bool rki_ckpt_saves(const rkp_actor *a);
// What every stage is now; NULL: the run was failed.  `end`: a transform that has given everything on has nothing left.
struct rki_part *rki_ckpt_take(rki_runner *r, bool end);
// Everything but what is on its way to it.  False: the run was failed.
bool rki_ckpt_begin_cut(rki_runner *r, uint32_t number);
bool rki_ckpt_hand_in(rki_runner *r); // it is whole.  False: the run was failed

// ---- ckpt_queues.c

// The clock, and what waits on disk.  False: the run was failed.
bool rki_ckpt_put_logs(rki_runner *r, uint32_t number, rkp_save *to);
// Hands in what has no more messages to log.
bool rki_ckpt_whole(rki_runner *r);
// Control thread, after a checkpoint; `all`: none is kept any more.
void rki_ckpt_drop_logs(const rki_run *r, bool all);
// Those in the run's folder that no edge of the pipeline has.
void rki_ckpt_find_gone_logs(const rki_run *r);
// Messages to their runners; and no clock goes back.
bool rki_ckpt_go_on_queues(rki_run *r, rkp_status *st, char *err, size_t n);

// ---- ckpt_restore.c

bool rki_ckpt_refuse(rkp_status *st, char *err, size_t n, const char *fmt, const char *what); // false
// What a reload would have done with kernels that are changed or gone, and that nobody is there for to do it any more.
bool rki_ckpt_of_alert(const rki_record *v);
bool rki_ckpt_may_move(const rki_run *r, rkp_status *st, char *err, size_t n);
// Counts and messages, on the control thread; states come with rki_ckpt_restore.
bool rki_ckpt_go_on(rki_run *r, rkp_status *st, char *err, size_t n);

#endif
