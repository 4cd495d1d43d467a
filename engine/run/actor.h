// run/actor.h - the inside of a running graph, shared by the files of this room.
//
//   Owns     see the structs
//   Threads  a runner belongs to whoever runs its task; fields that others read are marked
//   Fails    -
//   Limits   -
//   Cost     -
//
//   rki_run --- rki_runner (one task: a replica of a planned actor) --- rkp_actor (one stage in it, what operators see)
//                   |-- rki_inset  one planned edge, its rings from every producer replica
//                   `-- rki_outset one planned edge, its rings to every consumer replica
#ifndef RKI_ACTOR_H
#define RKI_ACTOR_H

#include "flow/ring.h"
#include "run/run.h"
#include <pthread.h>
#include <rkpipe/hlc.h>

typedef struct rki_runner rki_runner;

typedef struct rki_counts {
    uint64_t batches, rows_in, rows_out, bytes_in, bytes_out, absorbed, busy_ns; // read by others, relaxed
    rki_reason_count drops[RKI_MAX_REASONS], deads[RKI_MAX_REASONS];
    uint32_t n_drops, n_deads;
    uint64_t dropped, dead; // sums of the above, read by others
    uint64_t metrics[16];
} rki_counts;

// One writer per counter; others may look: plain arithmetic, stored whole.
#define RKI_ADD(field, n) __atomic_store_n(&(field), (field) + (n), __ATOMIC_RELAXED)
#define RKI_LOOK(field)   __atomic_load_n(&(field), __ATOMIC_RELAXED)

// A ring with the two runners at its ends.
typedef struct rki_link {
    rki_ring *ring;
    rki_runner *from, *to;
    uint32_t closed; // atomic: the consumer wants no more
    uint64_t byte_limit;
    bool ended;                   // consumer: END has been taken
    uint64_t sent_rows, got_rows; // producer's and consumer's count, compared at the end
    uint64_t next_seq;            // producer
} rki_link;

typedef struct rki_inset {
    const rki_edge *edge;
    const rki_unite *unite;
    rki_link **links; // from every producer replica
    uint32_t n, n_ended, cur, step;
} rki_inset;

typedef struct rki_outmsg {
    rkp_envelope env;
    uint32_t link;
} rki_outmsg;

typedef struct rki_outset {
    const rki_edge *edge;
    rki_link **links; // to every consumer replica
    uint32_t n;
    rki_outmsg *box; // waiting for room, in order
    uint32_t n_box, cap_box;
    uint64_t next_chunk;
    uint32_t *open; // per link: index + 1 in box of the last message of the chunk at hand, 0 none
    const rkp_expr *partition;
    const uint8_t
        *flatten; // per column: the consumer keeps state and reads it: parsed here, where replicas share the work
    uint32_t n_flatten;
} rki_outset;

typedef struct rki_out {
    struct rkp_actor *local; // or
    rki_outset *set;
} rki_out;

struct rkp_actor {
    rki_runner *r;
    rki_run *run;
    const rki_stage *stage;
    uint32_t stage_index;
    const rki_bound *bound;
    const rkp_op *op;
    void *self;
    rki_out **outs; // per port
    uint32_t *n_outs;
    rki_counts counts;
    rkp_frame *frame;
    rkp_errs errs;
    rkp_meta meta;
    bool inited, stopped, failed_init;
    bool self_made;                         // options were set: fini must run
    uint64_t progress_done, progress_total; // read by others
    uint64_t bad;                           // rejected rows
    uint64_t state_used;
    uint64_t timer_ns; // on_timer's time; 0: none
};

// One dead letter; texts live as long as the batch it is written into needs them.
typedef struct rki_letter {
    rkp_str kernel, reason, error, source, row;
    int64_t line; // 0: none
} rki_letter;

// Raw rows that went wrong and are not sent yet: a batch for each would cost pages a row.
typedef struct rki_letters {
    rkp_batch *mem; // of the texts and of v; NULL: none wait
    rki_letter *v;
    uint32_t n;
    size_t bytes;
    struct rkp_actor *actor; // of the last one
} rki_letters;

struct rki_runner {
    rkp_task task;
    rki_run *run;
    const rki_pactor *plan;
    uint32_t index; // of the planned actor
    uint32_t replica;
    struct rkp_actor *stages;
    uint32_t n_stages;
    rki_inset *ins;
    uint32_t n_ins, next_in;
    rki_outset *outs; // planned out edges, the dead-letter edge among them
    uint32_t n_outs;
    rki_outset *dead;
    rki_letters letters;
    rkp_hlc clock;
    uint16_t id;
    uint32_t out_waiting __attribute__((aligned(64))); // atomic: wake me when there is room
    uint64_t chunk;                                    // of the input at hand
    rkp_batch *pending;                                // RKP_RETRY: offered again
    const rki_inset *pending_in;
    uint8_t pending_flags;
    bool inited, unwanted, polled_out, done;
    bool timed;         // a stage has set a timer
    uint32_t end_stage; // progress of the end phase
    uint8_t phase;
    uint64_t wall_us; // of the step at hand
    uint64_t wake_ns;
};

struct rki_run {
    const rki_plan *plan;
    rki_run_args args;
    const rkp_backend *backend;
    rkp_backend_run *b, *poke; // poke: atomic, b while it runs, for the signal handler
    rki_arena arena;
    rkp_pool *pool, *state_pool;
    rki_runner **runners; // cache-line aligned, one allocation each
    uint32_t n_runners;
    uint32_t *first_runner; // per planned actor
    rkp_task **tasks;
    rki_link *links;
    uint32_t n_links;
    void **ring_mem;
    uint32_t failed;      // atomic: give up, publish nothing
    uint32_t stopping;    // atomic: sources end early
    uint32_t signals;     // atomic
    uint32_t any_stop;    // atomic: somebody returned RKP_STOP
    pthread_mutex_t lock; // guards the failure
    bool lock_made;
    rkp_status fail_status;
    char failure[1024];
    uint64_t start_ns, end_ns, cpu_start_ns, cpu_end_ns;
    bool interrupted;
    bool stuck; // threads are left behind: nothing they may touch is freed
};

rkp_step rki_runner_step(rkp_task *t, void *arg, unsigned worker);
void rki_look_wanted(rki_runner *r); // by a source that waits: does anybody still want rows?  rkp_stopping then says so
void rki_deliver(struct rkp_actor *a, rkp_batch *b);
void rki_out_push(rki_runner *r, rki_outset *o, rkp_batch *b); // takes b
bool rki_failed(const rki_run *r);
void rki_drop_rows(struct rkp_actor *a, uint64_t rows, const char *reason);
uint64_t rki_batch_rows(const rkp_batch *b);
rkp_batch *rki_unite_batch(struct rkp_actor *a, const rki_unite *u, rkp_batch *b); // takes b; NULL: failed
// Dead letters of rows of a batch, or of one raw row; to the runner's dead-letter edge.  Raw rows are gathered:
// rki_dead_flush sends them, and must be called before what the runner made is given away.
void rki_dead_rows(struct rkp_actor *a, rkp_batch *b, const rkp_errs *errs);
void rki_dead_raw(struct rkp_actor *a, unsigned code, rkp_str what, rkp_str raw, rkp_str file, uint64_t line);
void rki_dead_flush(rki_runner *r);
// "cannot read 'abc' as f64 in column 'amount'"
void rki_row_error_text(const struct rkp_actor *a, const rkp_batch *b, const rkp_err *e, rki_buf *out);
uint64_t rki_mono_ns(void);
uint64_t rki_wall_us(void);

#endif
