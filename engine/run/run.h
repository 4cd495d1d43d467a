// run/run.h - a plan at work: actors, rings, counts, and the verdict at the end.
//
//   Owns     actors, rings and pools, until rki_run_free; the plan is borrowed
//   Threads  new, execute, free: one control thread; rki_run_signal: any, async-signal-safe
//   Fails    execute returns the exit code of SPEC.md 10 and keeps the first failure's text
//   Limits   see plan.h
//   Cost     per batch: a ring slot, a clock tick, a handful of counters
#ifndef RKI_RUN_H
#define RKI_RUN_H

#include "flow/clock.h"
#include "run/replay.h"
#include "watch/metrics.h"
#include <rkpipe/backend.h>

typedef struct rki_run rki_run;

// Exit codes of SPEC.md 10.
enum {
    RKI_EXIT_OK = 0,
    RKI_EXIT_FAILED = 1,
    RKI_EXIT_USAGE = 64,
    RKI_EXIT_BAD_DATA = 65,
    RKI_EXIT_UNAVAILABLE = 69,
    RKI_EXIT_INTERNAL = 70,
    RKI_EXIT_INTERRUPTED = 75,
    RKI_EXIT_INVALID = 78,
    RKI_EXIT_SIGNAL = 130,
};

typedef struct rki_progress {
    uint64_t elapsed_ns;
    uint64_t rows_in, bytes_in; // read by the sources
    uint64_t rows_out;          // taken by the sinks
    uint64_t done, total;       // bytes of the input files; total 0: not known
    uint64_t bad;
    bool final;
} rki_progress;

// Rows that pass: what a kernel emits, or a sink takes in, or what goes wrong in a kernel.
enum { RKI_SEEN_TAKEN = UINT32_MAX, RKI_SEEN_DEAD = UINT32_MAX - 1 };

typedef struct rki_seen {
    uint32_t kernel; // of the plan
    uint32_t port;   // or RKI_SEEN_TAKEN, RKI_SEEN_DEAD (rows are dead letters)
    // Of what is published, which is seen once more for each publication.  NULL: not of a topic.  Which one is in topics, or, when that is
    // NULL, row by row in the batch.
    const rki_publication *pub;
    const rkp_topics *topics;
    rkp_batch *b; // borrowed
} rki_seen;

typedef struct rki_run_args {
    const rkp_backend *backend;
    void (*progress)(void *arg, const rki_progress *p); // every `progress_ns`, on the control thread; may be NULL
    void *progress_arg;
    uint64_t progress_ns;
    const char *data_dir; // for spill files; made when first needed
    bool keeps;           // data_dir belongs to this run: checkpoints may be kept there
    bool fresh;           // those of earlier runs are let go
    // On the control thread: soon, and when as many nanoseconds have passed as it says, or earlier; may be NULL.
    uint64_t (*beat)(void *arg);
    void *beat_arg;
    bool migrate; // one of another form of the pipeline is gone on from, where it fits
    bool quiet;   // that it goes on from one is not said
    // Whole lines for the log; any thread, several at a time.  NULL: they are let go.
    void (*log)(void *arg, rkp_str lines);
    void (*log_rows)(void *arg, rkp_str lines); // the same for rows that were to be written to it; NULL: as `log`
    void *log_arg;
    rki_replay *replay;     // what is replayed, of a plan for that; NULL: an ordinary run
    const char *const *env; // NAME=VALUE, NULL terminated, of which commands get some; may be NULL
    const char *version;    // of the program, for metrics; may be NULL
    const char *lib_dir;    // where modules of this rkpipe are; NULL: there are none
    // The actors' monotonic clock, any thread, never 0; NULL: the system's.  Times to wake are then looked at every
    // millisecond of the system's clock.
    uint64_t (*now_ns)(void *arg);
    void *now_arg;
    // All of its clocks, those of the control thread and of stamps as well; the backend keeps the same.  NULL: the system's.
    const rki_time *time;
    uint64_t *virtual_ns; // for the backend; NULL but with `time`
    uint64_t seed;        // for the backend
    // What every kernel gives, on its actor's thread; NULL: nobody looks.
    void (*see)(void *arg, const struct rki_seen *s);
    void *see_arg;
    // More series of those who watch the run, from any thread that looks; it must not wait for the run.  NULL: there is none.
    void (*notified)(void *arg, rki_emit emit, void *emit_arg);
    void *notified_arg;
    // Asked when everything else is right, before outputs have their names, on the control thread.  False and a sentence: exit code 65.
    bool (*approve)(void *arg, const rki_spec *s, char *text, size_t n); // NULL: nobody is asked
    void *approve_arg;
    // What kernels do with batches that are part of a trace, and how many are: 2^64 times the share; NULL: none is.
    struct rki_spans *spans;
    uint64_t sample_step;
} rki_run_args;

#define RKI_STORE_FOLDER "dlq" // of data_dir: where dead letters are kept

rkp_status rki_run_new(const rki_plan *p, const rki_run_args *args, rki_run **out, char *err, size_t err_n);
int rki_run_execute(rki_run *r); // exit code
// Counts a signal: the first drains, the second stops at once.
void rki_run_signal(rki_run *r);
// After execute: a thread hangs in the system (a write to a pipe that nobody reads) and did not stop when it was told
// to.  It may still use the run and the plan, so free leaves them; all that is left is to end the process.
bool rki_run_stuck(const rki_run *r);
void rki_run_free(rki_run *r);

// The operator that a spec gives a kernel of its own when somebody subscribes to `$` topics (rki_spec_args.engine_op).
extern const rkp_op rki_op_engine;
// That of the kernels of alerts on data (rki_spec_args.watch_op).
extern const rkp_op rki_op_watch;
// In a test: in the place of sources that are given rows, and of sinks that only look.
extern const rkp_op rki_op_given, rki_op_seen;

const char *rki_run_failure(const rki_run *r); // text for standard error; "" when none

// What happened, per kernel.
typedef struct rki_reason_count {
    const char *reason;
    uint64_t rows;
} rki_reason_count;

enum { RKI_MAX_REASONS = 32 };

typedef struct rki_kernel_counts {
    const char *kernel, *op;
    uint64_t rows_in, rows_out, bytes_in, bytes_out, batches, absorbed, dropped, dead_lettered;
    uint64_t lost; // of the dropped: those that nobody wanted to be left out
    uint64_t bad;  // rejected rows, whatever became of them
    bool removed;  // by a reload
    rki_reason_count drops[RKI_MAX_REASONS], deads[RKI_MAX_REASONS];
    uint32_t n_drops, n_deads;
    uint64_t metrics[16];
} rki_kernel_counts;

typedef struct rki_totals {
    uint64_t wall_ns, cpu_ns, peak_bytes; // peak: resident set of the process
    uint64_t rows_in, rows_out, dropped, lost, dead_lettered, bad;
    uint64_t in_flight; // rows not accounted for; 0 or it is a bug or an interruption
    uint32_t workers;
} rki_totals;

uint32_t rki_run_n_kernels(const rki_run *r);
void rki_run_counts(const rki_run *r, uint32_t kernel, rki_kernel_counts *out);
// One kernel after the other, in the plan's order, then those that reloads have removed: {0} at the beginning.  False: no more.
typedef struct rki_counts_walk {
    const struct rki_kstate *kernel;
    uint32_t at;
} rki_counts_walk;

bool rki_run_next_counts(const rki_run *r, rki_counts_walk *w, rki_kernel_counts *out);
void rki_run_totals(const rki_run *r, rki_totals *out);
void rki_run_summary_text(const rki_run *r, rki_buf *out);
void rki_run_summary_json(const rki_run *r, int exit_code, rki_buf *out);

#endif
