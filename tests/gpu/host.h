// gpu/host.h - the host's side of chain.cu, for tests: slots, commands, and what each answer must be.
//
//   Owns     a host owns its memory and its stream; the program is the caller's
//   Threads  one
//   Fails    `wrong` says what is not as it must be; the first one stays
//   Limits   frames hold at most CHAIN_ROWS rows, and a block has fewer threads
//   Cost     every row of every answer is worked out again
//
// Rows of a frame, and how many there are, follow from its position alone, so a frame that is lost, doubled or answered twice with another one's
// rows is seen.
#ifndef TESTS_GPU_HOST_H
#define TESTS_GPU_HOST_H

#include "chain.h"
#include "cuda/driver.h"

enum { GPU_BLOCKS = 16 };

typedef struct gpu_program {
    const rkc_driver *d;
    cu_context context;
    cu_module module;
    cu_function main;
} gpu_program;

// Text replaced in what is compiled: `from` must be there exactly once.
typedef struct gpu_mutation {
    const char *file; // "rkpipe/device/loop.h", "program"
    const char *from, *to;
} gpu_mutation;

// tests/gpu/NAME, compiled for the simulated device and loaded.  "" or what is wrong.
const char *gpu_program_open(gpu_program *p, const char *name, const gpu_mutation *m);
void gpu_program_close(gpu_program *p);

typedef struct gpu_host {
    gpu_program *p;
    cu_stream stream;
    uint32_t blocks, threads, slots_log2;
    uint64_t orphan_ns;
    chain_in *in;
    chain_out *out;
    rkd_ctl *ctl;
    rkd_actor *actors;
    uint64_t put, taken; // positions
    uint64_t epoch;
    bool reuses_early; // a mutant: fills a slot whose answer it has not taken
    char wrong[200];
} gpu_host;

bool gpu_host_open(gpu_host *h, gpu_program *p, uint32_t blocks, uint32_t threads, uint32_t slots_log2,
                   uint64_t orphan_ns);
void gpu_host_close(gpu_host *h);

bool gpu_host_start(gpu_host *h);                  // a grid, from the first answer that was not taken
void gpu_host_command(gpu_host *h, unsigned what); // with the next epoch
bool gpu_host_says(gpu_host *h, unsigned state);   // do all blocks say that, with this epoch?
bool gpu_host_ended(gpu_host *h);                  // the grid; false also when something is wrong
void gpu_host_beat(gpu_host *h);
bool gpu_host_put(gpu_host *h);  // the next frame; false: there is no room
bool gpu_host_take(gpu_host *h); // the next answer, and looks at it; false: it is not there
// Frames up to `end` go and come, in moods that a seed draws.
void gpu_host_run(gpu_host *h, uint64_t end, uint64_t seed);
uint32_t gpu_rows(const gpu_host *h, uint64_t pos);

// Waits for a condition, a minute at most: while (gpu_wait(&w)).
typedef struct gpu_waiting {
    uint64_t until_ns;
    uint32_t turns;
} gpu_waiting;
bool gpu_wait(gpu_waiting *w); // false: too late
uint64_t gpu_now_ns(void);
// Waits for what must come; else it is wrong.
#define GPU_UNTIL(h, condition)                                                                                        \
    do {                                                                                                               \
        gpu_waiting waiting_ = { 0, 0 };                                                                               \
        while (!(h)->wrong[0] && !(condition))                                                                         \
            if (!gpu_wait(&waiting_))                                                                                  \
                gpu_host_wrong((h), "never came: %s", #condition);                                                     \
    } while (0)
void gpu_host_wrong(gpu_host *h, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
