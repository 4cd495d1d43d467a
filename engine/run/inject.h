// run/inject.h - stored dead letters into a run that is at work: before the kernels in which they went wrong, as these are.
//
//   Owns     rows on their way to a kernel; what has been given and is not settled yet, until the run is freed
//   Threads  rki_run_replay: any but the runners' and the control thread, one at a time; nobody reloads meanwhile
//   Fails    a status and a sentence; what was given by then is settled all the same, the rest stays in the store
//   Limits   one record of the store is on its way at a time; not before kernels that rki_inject_refuses
//   Cost     a scan of the store, one more for each kernel; to who is not replayed to: a byte that a runner looks at
//
//   who asks          store --record--> kstate.given --> waits                        settles, where nothing is kept by checkpoints
//   runner of kernel                        takes it between two messages             remembers before which checkpoint
//   control thread    checkpoint: manifest with the marks of what was given before it --> settles
//
// Of several instances that take messages in turns the first one gets the rows, as messages of no chunk: they are behind the last chunk
// that it has worked on and before the next one, and who reads takes them with that.
//
// So a row leaves the store with the checkpoint that its effects are in: after a crash both are there or neither (the manifest has the
// marks, and whoever goes on from it settles again).  In a stream that keeps no checkpoints a record is settled when its kernel has it; in a batch job
// when the outputs have their names.
#ifndef RKI_INJECT_H
#define RKI_INJECT_H

#include "run/run.h"

struct rki_deadstore;

typedef struct rki_inject_result {
    uint64_t replayed; // rows that their kernels got
    uint64_t settled;  // of them, those that have left the store
    char text[256];    // why not all were; "": all that can be
} rki_inject_result;

// rki_replay_opts.refuse: why rows cannot be put before this kernel while it runs; NULL: they can.
const char *rki_inject_refuses(void *run, const struct rki_kernel *k);
// Of p, which was made with rki_inject_refuses, and fits the plan that runs.
rkp_status rki_run_replay(rki_run *r, rki_replay *p, uint64_t deadline_ns, rki_inject_result *out);
const rki_plan *rki_run_plan(const rki_run *r); // while nobody reloads
// What was added by now can be read by others.
bool rki_run_flush_letters(rki_run *r, char *err, size_t n);

#endif
