// sim.h - a process, its threads, its clock and its disk in one thread, as one seed has it.
//
//   Owns     sched.c the coroutines; disk.c the files; both until the process ends
//   Threads  one
//   Fails    what cannot be simulated aborts with a sentence
//   Limits   SIM_TASKS tasks of a run, SIM_FILES open files
//   Cost     a step of a task: a choice and two switches of stacks, some 100 ns
//
// The engine is the real one.  In this program its calls of the C library for time, files, locks and randomness are those of
// wraps.c (the linker's --wrap), and its backend is sim_backend.  Paths below /sim are files of the model.
#ifndef SIM_H
#define SIM_H

#include <rkpipe/backend.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

enum { SIM_TASKS = 256, SIM_FILES = 256, SIM_NAME = 64, SIM_MOST_STEPS = 1000000 };

// ---- chance ---------------------------------------------------------------------------------------------------------

typedef struct sim_rng {
    uint64_t s;
} sim_rng;

uint64_t sim_next(sim_rng *r);
uint64_t sim_below(sim_rng *r, uint64_t n);                   // 0 .. n - 1; n 0: 0
uint64_t sim_between(sim_rng *r, uint64_t from, uint64_t to); // both included
bool sim_chance(sim_rng *r, unsigned percent);

// ---- faults ---------------------------------------------------------------------------------------------------------

typedef enum sim_fault_kind {
    SIM_KILL,    // at a step: the process is gone
    SIM_POWER,   // the same, and what was not durable may be
    SIM_IO_KILL, // before a call that changes something, or in the middle of it
    SIM_IO_POWER,
    SIM_IO_FAILS, // a call fails, once or `n` times from then on
    SIM_IO_SHORT, // reads and writes move a few bytes
    SIM_FULL,     // no space for `n` calls
    SIM_SLOW,     // calls take `ns`, n of them
    SIM_CLOCK,    // at a step: the wall clock jumps
    SIM_SIGNAL,   // at a step: the first signal
    SIM_OPERATOR, // the operator that may fail does, at its n-th batch
    SIM_SUSPEND,  // at a step a kernel is suspended, and resumed n steps later
    SIM_RELOAD,   // at a step: another version of the file
    SIM_KINDS,
} sim_fault_kind;

typedef struct sim_fault {
    sim_fault_kind kind;
    unsigned life; // of the process: 0, 1, ..
    uint64_t at;   // a step, or a call on files, from 1
    uint64_t n;
    int error;
    int64_t ns;
    bool syncs; // of the calls on files only fsyncs are counted
    bool gone;  // not in this run: minimised
} sim_fault;

// ---- the world ------------------------------------------------------------------------------------------------------

typedef struct sim_life {
    const sim_fault *faults;
    size_t n_faults;
    unsigned number;  // of the life
    unsigned preempt; // per mille: how often somebody else comes between at a lock, a wake, a call on files
    unsigned workers;
    uint64_t step_ns; // a step takes so much on average
    sim_rng rng;
    void (*crash)(void *arg);  // the process is gone: the run is to be given up, quietly
    void (*signal)(void *arg); // a signal came
    void *arg;
} sim_life;

typedef enum sim_end { SIM_ENDED, SIM_STANDS_STILL, SIM_TOO_LONG } sim_end;

// Runs `body` as the process's first thread and `other` (may be NULL) as another, until both have ended.
sim_end sim_run(const sim_life *l, void (*body)(void *arg), void (*other)(void *arg), void *arg);

extern struct sim_world {
    uint64_t now_ns;         // monotonic
    int64_t wall_ns;         // above it
    uint64_t steps, ios;     // of this life
    uint64_t changes, syncs; // of the calls on files: those that change something; fsyncs
    uint64_t hash;           // of every choice and every call since the seed began
    uint64_t met;            // bit per kind of fault that came to pass in this life
    bool dead;               // the process is gone; what still runs is its taking apart
    bool power;              // and so is the power
    bool trace;              // each choice and each call on standard error
    const sim_life *life;    // NULL: none
    uint64_t op_calls;
} sim;

extern const rkp_backend sim_backend;

void sim_mix(uint64_t v); // into the hash
bool sim_inside(void);    // on a coroutine: false on the harness's own stack
void sim_yield(void);     // somebody else, perhaps
void sim_maybe(void);     // the same, as often as the life's `preempt` has it
void sim_sleep(uint64_t ns);
void sim_until_step(uint64_t step, const void *on); // or sim_free(on), or the end of the process
void sim_block(const void *on);                     // until sim_free(on)
void sim_free(const void *on);
bool sim_block_until(const void *on, uint64_t until_ns); // false: the time has come
void sim_crash(bool power);
bool sim_later(void); // what is to be read is not in memory

// A call on files begins: 0, or the errno that it fails with.  `moves`: bytes, which may become fewer.
int sim_io(const char *name, const char *what, bool changes, bool space, size_t *moves, bool *torn);

// ---- the disk -------------------------------------------------------------------------------------------------------

void disk_reset(sim_rng rng);                             // empty, but for /sim
void disk_put(const char *path, const void *p, size_t n); // durable at once, with its name
void disk_mkdir(const char *path);
const char *disk_get(const char *path, size_t *n); // NULL: not there; until the next change
void disk_close_all(void);                         // the process has gone; how many were open is not looked at
unsigned disk_n_open(void);
void disk_power_lost(void); // of what was not durable some has come through
void disk_names(const char *path, void (*each)(void *arg, const char *name), void *arg);
uint64_t disk_hash(void);

#endif
