// run/replay.h - stored dead letters, put in front of their kernels once more.
//
//   Owns     what the store holds for this replay, and how far it has come, until rki_replay_free
//   Threads  each target's rows: its source's; everything else: the one control thread, before and after the run
//   Fails    a status and a sentence; nothing is taken out of the store unless the run has gone well
//   Limits   those of the store
//   Cost     a scan of the store, and one more for each target
//
//   rki_replay_new      what there is, and what of it can go where
//   rki_spec_replay     the pipeline, with a hidden source for each target
//   rki_replay_fits     do the stored columns fit the planned kernels?
//   rki_run_execute     with rki_run_args.replay: rows come from the store; what goes wrong again is kept in it, but
//                       does not count yet; when all outputs are published, both sides of it are settled in one step
#ifndef RKI_REPLAY_H
#define RKI_REPLAY_H

#include "plan/plan.h"

typedef struct rki_replay rki_replay;

typedef struct rki_replay_opts {
    const char *dir;             // of the store
    const char *kernel, *reason; // only letters of this; NULL: any
    // Why rows cannot be put before this kernel, a text that stays; NULL, or gives NULL: they can.
    const char *(*refuse)(void *arg, const struct rki_kernel *k);
    void *refuse_arg;
} rki_replay_opts;

// Rows of the same kernel, place and reason.
typedef struct rki_replay_group {
    const char *kernel, *to, *reason; // to: the kernel that gets them; "" none
    uint64_t rows;
    const char *stays; // NULL: they are replayed; else why they are not
} rki_replay_group;

typedef struct rki_replay_result {
    uint64_t replayed; // rows that their kernels got
    uint64_t again;    // dead letters that they have become meanwhile
    uint64_t refused;  // their source could not take them any more
    bool settled;      // they have left the store
} rki_replay_result;

// Looks through the store.  RKP_UNAVAILABLE: there is none.
rkp_status rki_replay_new(const rki_replay_opts *o, const rki_spec *s, rki_replay **out, char *err, size_t n);
void rki_replay_free(rki_replay *p); // NULL is fine; after the run
const rki_replay_group *rki_replay_groups(const rki_replay *p, size_t *n);
uint64_t rki_replay_damaged(const rki_replay *p);                      // records that are stepped over
const char *const *rki_replay_targets(const rki_replay *p, size_t *n); // for rki_spec_replay
// Findings where the rows do not fit the plan; false with errors in d.
bool rki_replay_fits(rki_replay *p, const rki_plan *plan, rkp_diags *d);
void rki_replay_look(const rki_replay *p, rki_replay_result *out); // after the run

// The rows of one record of the store that go to a target; seq 0: there are no more.
typedef struct rki_replay_part {
    uint64_t seq;
    uint32_t rows; // of the record
    rkp_batch *b;  // the caller's, as is done (free): the bits of those that are in b
    uint8_t *done;
} rki_replay_part;

// Without a run of its own (inject.h): the next part for this target, as rki_replay_fits has found it.
rkp_status rki_replay_next(rki_replay *p, uint32_t target, rkp_pool *pool, rki_replay_part *out, char *err);
const rki_bound *rki_replay_target(const rki_replay *p, uint32_t target);

// The operator of a hidden source, for rki_spec_replay.
extern const rkp_op rki_op_replay;

#endif
