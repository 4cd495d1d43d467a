// run_case.h - the engine whole in a test: small operators that count what they do, a run on a thread of its own, and
// what arrived where.
//
//   Owns     a live run until live_end; results until case_forget
//   Threads  one test thread; the run has its own
//   Fails    a run that does not end or a condition that does not come true in CASE_DEADLINE_S aborts with its status
//   Limits   CASE_IDS operators with an id, results, gates
//   Cost     for tests
//
// Rows have the columns p (who made the row), n (its number there) and k (a key, a string; null in between).
//
//   t.pub    source: rows p = id, n = 0, 1, ..; k dealt from `keys`.  It passes gate g only while rows < gates[g]
//   t.live   the same, endless, and a new instance goes on where the last one was: may be restarted
//   t.pass   stateless: gives on what it gets.  Fails, waits and dawdles as its options say
//   t.step   the same with state: one instance is one copy; alone in its actor
//   t.acc    absorbs rows; at the end emits p = id, n = how many it has absorbed
//   t.hold   keeps batches for a time
//   t.echo   p + 100 while p < 100 * hops; drops the others: for circles
//   t.sink   takes rows; t.slow has a thread of its own; t.file has commit and abort
#ifndef RUN_CASE_H
#define RUN_CASE_H

#include "run/control.h"
#include "run/run.h"
#include <pthread.h>
#include <rkpipe/op.h>

enum { CASE_IDS = 32, CASE_DEADLINE_S = 60 };

#define CASE_SINK(into) ((into) + CASE_IDS / 2) // where sinks count what they did: below are sources and transforms

extern const rkp_op *const *case_ops(void); // those above and the real ones

// ---- what operators with an id did; all atomic ----------------------------------------------------------------------

struct case_seen {
    uint64_t inits, finis, calls, ends, timers, rows; // rows: taken
    uint64_t misused;                                 // called before init, after a failure, or after its end
    uint64_t commits, aborts, prepares;
};

extern struct case_seen case_seen[CASE_IDS];
extern uint64_t case_gate[CASE_IDS];    // what may pass; UINT64_MAX is open
extern uint64_t case_emitted[CASE_IDS]; // rows that source id has emitted

// ---- what arrived ---------------------------------------------------------------------------------------------------

typedef struct case_row {
    int64_t p, n;
    char *k, *topic; // NULL: null, none
    uint64_t stamp;
    uint64_t call; // number of the batch at this sink
} case_row;

typedef struct case_result {
    case_row *v;
    size_t n, cap;
    uint64_t rows; // atomic: n, for others to look at
} case_result;

extern case_result case_results[CASE_IDS];

void case_forget(void); // everything above; gates open
uint64_t case_hash(uint64_t a, uint64_t b, uint64_t c);
// Which of n_keys keys row n of publisher p has when `pick` is its seed (0: in turns).
uint64_t case_key(uint64_t pick, uint64_t p, uint64_t n, uint64_t n_keys);

// ---- runs -----------------------------------------------------------------------------------------------------------

typedef struct live {
    rkp_diags *d;
    rki_spec *s;
    rki_plan *p;
    rki_run *r;
    pthread_t thread;
    int code;       // of rki_run_execute
    uint32_t over;  // atomic
    uint64_t clock; // atomic, of `clocked`
    char dir[32];   // data_dir; "": it is not ours
    bool keep;
    unsigned threads;
} live;

typedef struct live_conf {
    unsigned threads;                      // 0: 2
    bool clocked;                          // live.clock is the actors' clock
    bool keep;                             // live_end does not free
    bool keeps;                            // checkpoints may be kept
    bool fresh;                            // and those that are there are let go
    const char *from;                      // a data_dir whose checkpoints this run finds
    const char *dir;                       // data_dir, which stays; NULL: a new one
    void (*log)(void *arg, rkp_str lines); // from any thread; NULL: nobody listens
    void *log_arg;
} live_conf;

// Text without `version: 1`, a printf format.  data_dir is a new folder, removed at the end.
live *live_start(const live_conf *c, const char *fmt, ...) RKP_PRINTF(2, 3);
// The same in two halves: the run is there, and begins with live_go.
live *live_make(const live_conf *c, const char *fmt, ...) RKP_PRINTF(2, 3);
void live_go(live *l);
// As live_start; NULL when it cannot begin, and case_failure says why.
live *live_try(const live_conf *c, const char *fmt, ...) RKP_PRINTF(2, 3);
// Puts another pipeline in the place of the one that runs; what came of it, with the findings in case_failure.  From any thread.
rki_reload_result live_reload(live *l, const char *fmt, ...) RKP_PRINTF(2, 3);
extern void (*case_around_reload)(bool before); // around the reload itself, not the loading of its file; NULL: nothing
int live_end(live *l);                          // waits and frees; the exit code
void live_free(live *l);                        // after live_end of one that is kept
void case_copy_folder(const char *from, const char *to); // the checkpoints in a data_dir
// Runs to the end; the exit code, and case_failure.
int case_run(unsigned threads, const char *fmt, ...) RKP_PRINTF(2, 3);
extern char case_failure[65536]; // of the last run that ended, or the findings of one that did not begin
extern rki_totals case_totals;

// Waits until it is true.
#define live_until(l, condition)                                                                                       \
    do {                                                                                                               \
        uint64_t until_at = case_now_ns() + CASE_DEADLINE_S * 1000000000ull;                                           \
        while (!(condition))                                                                                           \
            live_nap((l), until_at, #condition, __FILE__, __LINE__);                                                   \
    } while (0)

// For who must do nothing: waits until another kernel has emitted 400 messages, which takes 20 ms at least.  Once in a run that has LIVE_TICK among its
// kernels, and began after live_tick_waits.
#define LIVE_TICK                                                                                                      \
    "  tick: { op: t.pub, with: { id: 30, rows: 400, gate: 30, every: 50us } }\n"                                      \
    "  tock: { op: t.sink, from: [tick], with: { into: 15 } }\n"
void live_tick_waits(void);
void live_ticks(live *l);

void live_nap(live *l, uint64_t until_ns, const char *what, const char *file, int line);
uint64_t case_now_ns(void);

#define case_look(x)   __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define case_set(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELAXED)
#define case_add(x, v) __atomic_fetch_add(&(x), (v), __ATOMIC_RELAXED)

// A command with a deadline of milliseconds; the sentence is in live_said.
rki_outcome live_command(live *l, const char *kernel, rki_command c, unsigned ms);
extern char live_said[256];
int live_state(live *l, const char *kernel);                        // rki_state
uint64_t live_number(live *l, const char *kernel, const char *key); // of the kernel's status; UINT64_MAX: none
uint64_t live_memory(live *l);                                      // bytes that batches and state hold
uint64_t live_edges(live *l, const char *key); // the sum over all edges: sent, received, late, excluded ..
uint64_t live_reason(live *l, const char *kernel, const char *list, const char *reason); // of drops or dead; 0: none

#endif
