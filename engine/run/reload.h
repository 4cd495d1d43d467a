// run/reload.h - the parts of a reload: reload.c asks and prepares, swap.c stops, hands over and commits, sets.c moves the ends of rings,
// retire.c lets go.
//
//   Owns     a job everything that is prepared, until it is committed
//   Threads  each function says whose
//   Fails    up to the commit everything is taken back; nothing after it needs memory that was not reserved, or the run fails and says so
//   Limits   one job at a time
//   Cost     nothing on the way of a message
#ifndef RKI_RELOAD_H
#define RKI_RELOAD_H

#include "run/actor.h"

#include "plan/diff.h"

enum { RKI_JOB_ASKED, RKI_JOB_STOPPING, RKI_JOB_ADOPTING, RKI_JOB_OVER };

// Where an actor of the new graph comes from.
typedef struct rki_origin {
    rkp_actor *from; // NULL: nobody
    bool moves, carries;
} rki_origin;

typedef struct rki_job {
    rki_gen *gen;
    rki_diff *diff;
    rki_net *net, *old;
    rki_stays stays;
    rki_arena arena;
    rki_runner **stopping; // of the old graph
    uint32_t n_stopping;
    rki_runner **resting; // those that stand still for the cut, and go on (reload.consistency: path)
    uint32_t n_resting;
    rki_runner **removed;
    uint32_t n_removed;
    rki_origin *origins;    // per new runner and stage, one after the other
    uint32_t *first_origin; // per runner of the net
    uint8_t phase;          // RKI_JOB_*
    uint64_t begin_ns, asked_ns, stop_ns, commit_ns, deadline_ns;
    rki_reload_result *out;
    // Made beforehand, for what may not fail.
    rkp_task **tasks;   // per runner of the net, and removed
    rki_runner **going; // of everybody who leaves, now and before
    uint32_t cap_going;
} rki_job;

struct rki_reload {
    rki_job *job;       // with the run's lock
    bool busy;          // somebody reloads
    uint64_t tickets;   // of who asked
    rki_runner **going; // removed, and not done yet; the control thread's, changed with the run's lock
    uint32_t n_going, cap_going;
    // Control thread.
    rki_runner *buried; // what they were made of may be in use
    rki_gen *buried_gens;
    rki_link *leaving; // brought to their ends
    uint64_t drain_until_ns;
};

// Control thread unless it says otherwise.

static inline bool rki_runner_over(const rki_runner *r)
{
    return __atomic_load_n(&r->task.state, __ATOMIC_ACQUIRE) == RKP_TASK_RETIRED;
}

// By itself; not one that stands still for a reload.
static inline bool rki_runner_ended(const rki_runner *r)
{
    return rki_runner_over(r) && r->done;
}

// ---- reload.c
bool rki_job_new_runner(const rki_job *j, uint32_t i);                 // of its net: not one that stays
void rki_job_over(rki_run *r, rki_job *j, rki_reload_outcome outcome); // it is the requester's again

bool rki_job_fails(rki_reload_result *out, const char *step); // as a test wants (base/failpoint.h)

// ---- sets.c: also runners, for themselves
rki_outset *rki_out_with(const rki_wiring *w, const rki_link *k);
rki_inset *rki_in_with(const rki_wiring *w, const rki_link *k);
void rki_move_out(const rki_wiring *w, rki_outset *to, rki_outset *from);
void rki_move_in(rki_inset *to, rki_inset *from);
bool rki_all_sent(const rki_outset *o);
void rki_close_out(rki_runner *r, rki_wiring *w, rki_outset *from, bool over);
void rki_retire_in(rki_wiring *w, const rki_bound *head, const rki_plan *p, rki_inset *from);
void rki_mark_following(rki_wiring *w);

// ---- swap.c
void rki_swap_begin(rki_run *r, rki_job *j, uint64_t now);
// True: not all have stopped yet.  *job becomes NULL when it is over.
bool rki_swap_look(rki_run *r, rki_job **job, uint64_t now, uint64_t *until);
// A kernel of an old actor that has ended and would begin anew with other options: it cannot any more.  NULL: there is none.
const rki_bound *rki_job_too_late(const rki_diff *f, uint32_t actor);
void rki_add_past(rki_kstate *k, const rkp_actor *a); // counts of an instance that goes, with the graph's lock
rki_runner *rki_job_heir(const rki_job *j, const rki_runner *o); // who gets what o has in its hands; NULL: nobody

// ---- retire.c
void rki_leave(rki_run *r, rki_link *k, rki_kstate *writer, rki_kstate *reader); // a ring that is brought to its end
void rki_bury(rki_run *r, rki_runner *run); // memory that goes when no batch of its time is left
void rki_next_epoch(rki_run *r);
void rki_see_off(rki_run *r, rki_job *j);
void rki_reap(rki_run *r, uint64_t now, uint64_t *until);

#endif
