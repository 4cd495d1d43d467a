// run/device.h - chains of kernels that run on a device, as their runners see them (docs/design/devices.md).
//
//   Owns     the module, its image and its grid, until rki_device_close; a chain's runner owns the batches on their way
//   Threads  open, close: control; send, collect: the runner's; one thread of its own looks for answers and wakes runners
//   Fails    open: a status and a text; later the run fails
//   Limits   RKI_CHAIN_*
//   Cost     a copy of each column that the chain reads, and of each that it makes
#ifndef RKI_RUN_DEVICE_H
#define RKI_RUN_DEVICE_H

#include "plan/chain.h"
#include "run/run.h"

struct rki_runner;
typedef struct rki_device rki_device;
typedef struct rki_rchain rki_rchain;

// Compiles the plan's program and makes its grid.  *out is NULL when nothing runs on a device, or when all of it falls back to the CPU, which
// the log is told.  RKP_UNAVAILABLE, and why: there is no device.
rkp_status rki_device_open(rki_run *r, rki_device **out, char *err, size_t n);
rkp_status rki_device_start(rki_device *d, char *err, size_t n);
// No task runs any more: nobody is woken from here on.  Returns the rows that were on their way.
uint64_t rki_device_rest(rki_device *d);
void rki_device_close(rki_device *d); // after rest

// Of a kernel that runs on a device; false: it does not.  Numbers are of its whole chain.
typedef struct rki_device_counts {
    const char *device;      // its name
    uint64_t frames, punted; // answers that were taken; rows that the CPU looked at again
} rki_device_counts;

bool rki_device_counts_of(const rki_run *r, const char *kernel, rki_device_counts *out);

// By the runner: --------------------------------------------------------------------------------------------------------

// Instead of the first stage's on_batch; b is borrowed.  RKP_RETRY: no slot is free.
rkp_verdict rki_device_send(struct rki_runner *r, rkp_batch *b);
// Gives on one answer, if it is there.
bool rki_device_collect(struct rki_runner *r);
bool rki_device_room(const struct rki_runner *r); // for one more frame
bool rki_device_empty(const struct rki_runner *r);
bool rki_device_began(const struct rki_runner *r); // some of the message at hand is on its way, and some is not
bool rki_device_busy(const struct rki_runner *r);  // any thread: frames are on their way
void rki_device_forget(struct rki_runner *r);      // lets go what is on its way

#endif
