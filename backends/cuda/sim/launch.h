// cuda/sim/launch.h - a grid of the simulated device: one thread for each warp, whose 32 lanes are fibers.
//
//   Owns     a launch owns its threads, stacks and shared memory; the program's image must stay loaded
//   Threads  start, over, abort, free: one at a time
//   Fails    lanes that do not meet where they should end the launch, with a text that names both places
//   Limits   a block has 32 .. 1024 threads, a multiple of 32
//   Cost     a thread and 32 stacks for a warp; idle, a nap of at most 500 us for each block
#ifndef RKC_SIM_LAUNCH_H
#define RKC_SIM_LAUNCH_H

#include "cuda/sim/shim.h"

#include <rkpipe/base.h>

enum { RKC_LANES = 32, RKC_BLOCK_THREADS = 1024 };

typedef struct rkc_program {
    void (*main)(const void *actors);
    const rkd_sim_at **(*here)(void);
} rkc_program;

typedef struct rkc_launch rkc_launch;

const rkd_sim_calls *rkc_sim_calls(void);
// What rkd_now_ns gives; NULL: the monotonic clock.  For tests: any thread calls it.
void rkc_sim_clock(uint64_t (*now_ns)(void));

// NULL: no memory or no threads; then nothing of it has run.
rkc_launch *rkc_launch_start(const rkc_program *p, uint32_t blocks, uint32_t threads, const void *actors);
bool rkc_launch_over(const rkc_launch *l); // no lane of it runs any more
void rkc_launch_abort(rkc_launch *l);      // every lane ends where it next meets others, or naps
// Waits for its threads, at most that long.  false: a lane neither meets nor naps; the launch is left to it.  why: of a failed one, else "".
bool rkc_launch_free(rkc_launch *l, uint64_t wait_ns, char *why, size_t n);

#endif
