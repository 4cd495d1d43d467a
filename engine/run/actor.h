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

#include "base/json.h"
#include "data/row_text.h"
#include "data/state.h"
#include "flow/actor_ids.h"
#include "flow/clock.h"
#include "flow/lease.h"
#include "flow/ring.h"
#include "run/control.h"
#include <pthread.h>
#include <rkpipe/hlc.h>

typedef struct rki_runner rki_runner;

typedef struct rki_counts {
    uint64_t batches, rows_in, rows_out, bytes_in, bytes_out, absorbed; // read by others, relaxed
    uint64_t unread; // rows that went to nobody: dropped, and not in rows_out
    rki_reason_count drops[RKI_MAX_REASONS], deads[RKI_MAX_REASONS];
    uint32_t n_drops, n_deads;
    uint64_t dropped, dead; // sums of the above, read by others
    uint64_t lost;          // of the dropped: those that nobody wanted to be left out
    uint64_t metrics[16];
} rki_counts;

// One writer per counter; others may look: plain arithmetic, stored whole.
#define RKI_ADD(field, n) __atomic_store_n(&(field), (field) + (n), __ATOMIC_RELAXED)
#define RKI_LOOK(field)   __atomic_load_n(&(field), __ATOMIC_RELAXED)

// A ring with the two runners at its ends.  What each end writes for every message has lines of its own.
// Counts are compared at the end: sent = got + overflowed.  Each has one writer; others look.
// A ring belongs to its edge: whoever replaces the runner at an end goes on with it.
typedef struct rki_link {
    rki_ring *ring;        // behind the struct, in the same memory
    rki_runner *from, *to; // atomic: rki_from, rki_to
    const rki_edge *edge;  // control, and who looks under the graph's lock
    uint32_t drains;       // atomic, RKI_DRAINS_*
    uint64_t byte_limit;
    uint64_t *weights; // evicts: bytes of the message in a slot; belongs to whoever the slot belongs to
    uint32_t closed;   // atomic: the consumer wants no more
    bool hlc;          // the consumer merges by stamp
    bool letters;      // what does not fit is dead-lettered
    bool evicts;       // its ring is of the second kind
    // Order hlc, RELIABILITY.md 2.4 line 22: the consumer goes on without the producer.
    uint32_t excluded; // atomic
    uint64_t frontier; // consumer writes, then excluded
    uint32_t behind;   // atomic: the producer has stamped messages that are not in the ring
    uint64_t n_excluded;
    // Producer.
    uint64_t sent_rows __attribute__((aligned(64)));
    uint64_t overflowed_rows, spilled_rows;
    uint64_t spill_bytes, spill_messages; // on disk, at the last look
    uint64_t spill_waits;                 // how often its log was full
    uint64_t ended_rows;                  // among those that overflowed: the circle had ended
    uint64_t next_seq;
    uint64_t gone_seen;         // the ring's bytes_out as last read
    uint64_t waits, blocked_us; // how often it waited for room, and for how long
    uint64_t full_us;           // since when it does, by its clock; 0: it does not
    uint32_t n_new;             // slots that are written and not published yet
    uint32_t due;               // atomic: number of the barrier that goes into the ring before anything else; 0: none
    bool end_sent;              // END is in the ring
    // Consumer.
    uint64_t got_rows __attribute__((aligned(64)));
    uint64_t filtered_rows, late;
    uint64_t lag_floor, lag_ns; // the floor that it waited for, and since when
    bool ended;                 // END has been taken
    bool barred;                // the barrier at hand has been taken: not read until all have come
    bool logs;                  // what comes before its barrier is part of the checkpoint that is under way
    bool taken;                 // something has been taken since the producer was last looked at
    uint32_t left_to;           // atomic: it is nobody's input any more
    // Producer.
    uint32_t left_from;    // atomic: it is nobody's output any more
    struct rki_flow *flow; // sums of all rings between the two kernels; nobody changes it
    // Control, from then on.
    struct rki_link *next_leaving;
    struct rki_kstate *writer, *reader; // of the kernels that it led from and to
} rki_link;

static inline rki_runner *rki_from(const rki_link *k)
{
    return __atomic_load_n(&k->from, __ATOMIC_SEQ_CST);
}

static inline rki_runner *rki_to(const rki_link *k)
{
    return __atomic_load_n(&k->to, __ATOMIC_SEQ_CST);
}

typedef struct rki_inset {
    const rki_edge *edge;
    const rki_unite *unite;
    const rkp_schema *unite_to;
    bool reply;            // replies to this kernel's requests
    uint8_t port;          // the first stage's: 1 for replies; of RKI_GATHER: the kernel's port that these come from
    const rkp_expr *where; // rows that the subscription wants; NULL: all, or
    uint64_t where_subs;   // subscriptions that share it: each row's first one that matches decides
    bool where_any;        // dead letters: any subscription
    rki_link **links;      // from every producer replica
    uint32_t n, n_ended, cur, step;
    uint32_t n_barred, turn; // links that are barred; whose turn it was
    uint32_t era;            // while one retires whose number is less, this one waits
    bool known;              // it has been read, in an earlier wiring
    const rkp_schema *comes; // of one that retires: the columns of its rows
    bool retires;            // its edge is not in the plan any more: read to its end, and what is new only then
} rki_inset;

typedef struct rki_outmsg {
    rkp_envelope env;
    uint32_t link;
    uint64_t emission; // messages of one emission get one stamp
} rki_outmsg;

typedef struct rki_kept rki_kept; // retained messages of an edge, kept.c

typedef struct rki_outset {
    const rki_edge *edge;
    uint32_t from;    // the stage of the runner that sends
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
    const rki_unite *unite; // to the consumer's columns, by whose values rows are divided
    const rkp_schema *unite_to;
    struct rki_spill *spill; // overflow: spill; NULL: nothing has been spilled
    uint64_t spool_stamp;    // of the last message that left it
    rki_kept *kept;
    bool replies;      // it goes back to the kernel that sent the request
    bool keeps_stamp;  // what is dealt to replicas keeps the stamp that it came with
    bool closes;       // its edge is not in the plan any more: only what waits is sent, and END
    bool ends;         // END is behind its last message
    bool kept_made;    // it retains, or did
    bool gated;        // producer: the subscription has not begun: messages are only retained
    uint32_t open_now; // atomic: the consumer asks for it to begin
} rki_outset;

// Where an emission goes over rings: an edge, or the edges of a group that share.
typedef struct rki_dest {
    rki_outset **sets;
    uint32_t n, next;
    const rki_bound *to; // the (first) consumer
    const rki_input *in;
} rki_dest;

typedef struct rki_route rki_route; // a templated topic, route.c

typedef struct rki_out {
    bool is_local;
    uint32_t local_at;       // of is_local: which stage of the runner
    struct rkp_actor *local; // or
    rki_dest dest;           // n > 0; or
    rki_route *route;
    const rki_publication *pub;      // NULL: no topic
    bool first_of_pub;               // of several edges of a publication the one that taps listen to
    const rkp_topics *topics;        // of a plain topic; NULL: none
    struct rki_published *published; // of first_of_pub: counts
} rki_out;

typedef struct rki_life rki_life; // life.c

// What one stage emits to.
struct rki_wired {
    rki_out **outs; // per port
    uint32_t *n_outs, n_ports;
    rki_out *unheard; // publications without subscribers, for taps
    uint32_t n_unheard;
};

// Everything of a runner that depends on its neighbours.
typedef struct rki_wiring {
    rki_arena arena;
    struct rki_gen *gen; // whose plan its edges are of
    rki_inset *ins;
    rki_outset *outs; // planned out edges, the dead-letter edge among them
    rki_outset **dead;
    uint32_t n_ins, n_outs, n_dead, n_stages;
    struct rki_wired *stages;
    bool hlc_out, hlc_in, in_circle, spills, shares, calls;
    uint32_t n_closes, n_retires;
    uint32_t n_ends; // links of all sets that it ever had
    bool failed;     // memory ran out while it took the sets of another over
    uint32_t head;   // kernel of its first stage
    uint32_t oldest; // number of the oldest generation that something of it is of
} rki_wiring;

// When it went: memory goes when no batch of its time is left.
typedef struct rki_grave {
    uint32_t epoch, state_epoch;
} rki_grave;

// Of an instance that was replaced by a new one of the same actor.
typedef struct rki_husk {
    struct rki_husk *next;
    void *self;
    rki_arena arena;
    rki_grave grave;
} rki_husk;

// A plan that is at work, or whose kernels or batches still are.  The control thread's.
typedef struct rki_gen {
    const rki_plan *plan;
    uint32_t number;         // from 1
    void (*drop)(void *arg); // the plan and its spec; NULL: they are the caller's
    void *drop_arg;
    struct rki_gen *next;
    rki_grave grave;
} rki_gen;

#define RKI_CRASHED ((rkp_verdict)100) // a supervised kernel failed: what it had is offered again

typedef struct rki_batcher rki_batcher; // batcher.c

struct rkp_actor {
    rki_runner *r;
    rki_run *run;
    rki_gen *gen; // whose plan stage, bound and instance are of
    struct rki_kstate *ks;
    const rki_stage *stage;
    const rki_bound *bound;
    const rkp_op *op;
    void *self;
    rki_out **outs; // of the wiring
    uint32_t *n_outs;
    rki_out *unheard;
    uint32_t n_unheard;
    rki_counts counts;
    rkp_frame *frame;
    rkp_errs errs;
    rkp_meta meta;
    bool inited, stopped, failed_init;
    bool muted;              // of a replay: no row can come to it
    bool self_made;          // options were set: fini must run
    const char *stop_reason; // of rows that come when it is stopped; NULL: "stop"
    rki_arena arena;         // of the instance
    bool suspended;          // its kernel is: the runner takes nothing
    bool ended;              // on_end has run, or never will
    bool prepared;           // and so has prepare
    uint64_t wish_done;      // number of the last command that it obeyed
    rki_life *life;          // NULL: not supervised
    bool failed;             // atomic: and the run with it
    bool crashed;            // supervised, and it failed on what it has at hand
    rkp_status crash_status;
    char crash[256];
    uint64_t progress_done, progress_total; // read by others
    uint64_t bad;                           // rejected rows
    uint64_t state_used;
    uint64_t timer_ns; // on_timer's time; 0: none
    bool leaving;      // its kernel is restarted or terminated: rkp_stopping
    struct rki_meter *meter;
    uint64_t spent_ns; // of a step whose stages are timed
    double share;      // of the time of a step
};

// One dead letter; texts live as long as the batch it is written into needs them.
typedef struct rki_letter {
    rkp_str kernel, reason, error, source, row;
    int64_t line; // 0: none
    bool made;    // `row` has been made of its columns
    rkp_str to;   // the kernel that should have had it; p NULL: the one in which it went wrong; empty: none
} rki_letter;

enum { RKI_BORN = 16 };

// Raw rows that went wrong and are not sent yet: a batch for each would cost pages a row.
typedef struct rki_letters {
    rkp_batch *mem; // of the texts and of v; NULL: none wait
    rki_letter *v;
    uint32_t n;
    size_t bytes;
    struct rkp_actor *actor; // of the last one
} rki_letters;

struct rki_runner {
    rkp_task task; // on lines of its own: whoever wakes it writes there
    rki_run *run __attribute__((aligned(64)));
    rki_runner *next_spare;
    uint32_t clock_word;    // atomic, of hlc_out: RKI_CLOCK_*; RUNNING while the memory is nobody's
    const rki_pactor *plan; // from here on cleared when it is used again
    rki_gen *gen;           // of plan
    rki_arena arena;
    uint32_t index; // of the planned actor
    uint32_t replica;
    struct rkp_actor **acts; // its stages; an actor may move to another runner with its instance
    uint32_t n_stages;
    rki_wiring *wiring; // and what of it is looked at all the time:
    rki_inset *ins;
    uint32_t n_ins, next_in;
    rki_outset *outs;
    uint32_t n_outs;
    rki_outset **dead;
    uint32_t n_dead;
    rki_letters letters;
    rkp_hlc clock;
    uint16_t id;
    bool hlc_out, hlc_in; // some edge of it is ordered by stamps
    uint32_t in_commit;   // atomic, of hlc_out: between stamping and the last release
    uint32_t held;        // atomic, of hlc_in: tell me when a floor moves
    uint64_t hold_seq;    // of hlc_in: of the message that may be taken
    uint64_t front_stamp; // of hlc_in: the last that was delivered
    uint16_t front_id;
    uint64_t emission;       // number of the emission at hand
    uint64_t stamp;          // of it, where nobody orders by stamps
    uint64_t in_stamp, corr; // of the message at hand
    uint8_t in_priority;
    uint64_t steps;         // others look: has it moved?
    uint64_t step_start_ns; // others look: 0 when it is not in a step
    uint32_t commands;      // atomic: look at the kernels' wishes
    uint32_t n_suspended;
    bool spills;         // some edge of it may
    bool lossy;          // the queue of some edge of it does not block
    bool gathered;       // something was spilled and is not in its file yet
    bool spills_at_once; // a stage of it may wait for the outside: nothing is gathered over several flushes
    bool shares;         // some edges of it are of a group
    bool behind_engine;  // control: the publisher of $ topics, or fed by it
    bool watches;        // control: observes, while that is found out
    uint32_t observes;   // atomic: fed by nothing else and feeding nothing else: goes on after a failure, to tell of it
    bool counts, over_told;   // with the run's lock: it is among rki_run.live; it never will be again
    bool watched;             // somebody asks for the times of its steps
    struct rki_rchain *chain; // its stages run on a device (device.c); NULL: they do not
    bool in_circle;
    uint32_t circle; // of in_circle: which
    // Reload (reload.c).
    uint32_t stop;               // atomic, RKI_STOP_*
    uint32_t leaves;             // atomic: its kernels have been removed: it ends when nothing comes any more
    bool picks;                  // not all of its inputs are read at the moment
    uint64_t stopped_ns;         // when it has, monotonic
    bool stop_retires;           // it stops only when what retires has ended
    bool stop_pending;           // it may stop with a message that is offered again: the successor takes it
    rki_wiring *next;            // atomic: to be put on between two messages
    rki_wiring *worn;            // atomic: the one before, for the control thread
    struct rki_prepare *prepare; // of one that is built: where rkp_fail goes; NULL: it is at work
    struct rki_grave grave;
    rki_runner *next_buried;
    uint32_t at_rest; // atomic, of in_circle: after its last step it held nothing, and what feeds the circle had ended
    rki_batcher *batcher;       // of the head's `batch`; NULL: messages pass as they come
    bool calls, requests_ended; // its head sends requests; and has sent its last
    uint8_t in_port;            // of the message at hand: rki_inset.port
    uint8_t pending_port;
    uint64_t pending_corr;
    uint64_t next_corr;
    uint32_t out_waiting __attribute__((aligned(64))); // atomic: wake me when there is room
    uint64_t chunk __attribute__((aligned(64)));       // of the input at hand
    rkp_batch *pending;                                // RKP_RETRY: offered again
    const rki_inset *pending_in;
    uint8_t pending_flags;
    bool inited, unwanted, polled_out;
    bool done;          // it has ended by itself; read by others when its task is retired
    bool end_sent;      // END went to every edge that is not gated
    bool timed;         // a stage has set a timer
    uint32_t gather;    // of a source: polls more whose messages go out together
    uint32_t end_stage; // progress of the end phase
    uint8_t phase;
    uint64_t gathered_ns;    // of the last flush that spilled in this step, or its begin
    uint32_t barrier;        // number of the last checkpoint that it has handed in, or need not
    uint32_t barring;        // of its inputs at hand; 0: none
    bool over;               // a source after the last barrier: nothing more is read
    uint32_t n_logs;         // links whose messages are part of the checkpoint at hand: its own state is as before them
    bool restored;           // messages of a checkpoint come before all others
    bool given;              // stored rows wait for one of its stages
    struct rki_parts *parts; // what it has handed in, ckpt.h
    uint64_t wall_us;        // of the step at hand: what people call the time; 0: nobody has asked in this step
    uint64_t pt_us;          // of the step at hand: physical time of stamps
    uint64_t now_ns;         // of the step at hand, monotonic; only where something asks for it
    uint64_t wake_ns;
    // What is measured (meter.c).
    uint64_t looked_ns, begun_ns; // the clock when pt_us was read, and when the step began
    uint64_t in_born_us;          // of the batch at hand: when it arrived at its source; 0: this is a source
    uint64_t trace, span;         // of the kernel at work, when its batch is part of a trace; 0: it is not
    uint64_t sample;              // of a source: when the next one begins (trace.c)
    uint64_t measured;            // steps
    uint64_t begun_emission;
    uint64_t timed_ns;          // timing: since when a stage is at work,
    struct rkp_actor *timed_at; // and which
    uint32_t took;              // batches of this step
    uint32_t n_born;
    bool timing; // of this step its stages are
    struct {
        struct rkp_actor *a;
        uint64_t us, times;
    } born[RKI_BORN]; // batches that sinks have taken in this step
};

// Both ends of a ring stop, and what is in it is given on before.
enum { RKI_DRAINS_NOT, RKI_DRAINS, RKI_DRAINS_AND_GOES };

enum { RKI_STOP_NO, RKI_STOP_ASKED, RKI_STOP_DONE };

enum { RKI_CLOCK_FREE, RKI_CLOCK_RUNNING, RKI_CLOCK_PUSHED };

// A kernel's life; guarded by the run's lock but for `state`, which others look at.  It stays when the kernel is replaced.
typedef struct rki_kstate {
    const char *id; // lives as long as the run
    uint32_t state; // rki_state
    uint32_t parts; // runners that it has
    uint32_t alive; // of them, not done
    bool wished;    // a command is on its way:
    rki_command wish;
    uint64_t wish_number;
    uint32_t begun, obeyed; // parts alive that are at it or have done it; that have done it
    uint32_t before;        // rki_state, when it came
    uint64_t lost;          // number of the wish that nobody was left for
    rki_state reached;      // by the last command
    uint64_t restarts, since_us;
    char reason[256];             // of the last change
    struct rki_kstate *next_gone; // of those that are in no plan any more
    bool gone;
    rki_kernel_counts past; // of instances that have gone, under the graph's lock
    const rkp_op *op;
    struct rki_meter *meters;        // each released to who looks; they go with it
    struct rki_published *published; // as those
    rki_kernel_counts *shown;        // the largest that metrics have said, with metrics_lock
    struct rki_given_rows *given;    // lock: stored rows on their way to it (inject.c)
    uint64_t replayed;               // atomic: rows that came so
} rki_kstate;

// Kernels that hear each other, directly or round about.  Circles end one by one: one may feed another.
typedef struct rki_circle {
    uint32_t done;  // atomic: its members end
    bool quiet;     // control: all were idle at the last look,
    uint64_t steps; // and had run so often
} rki_circle;

typedef struct rki_event {
    const rki_kstate *kernel;
    uint8_t from, to;
    int64_t us;
    char reason[160];
} rki_event;

typedef struct rki_news_item {
    struct rki_news_item *next;
    size_t bytes;
    enum { RKI_NEWS_ALERT, RKI_NEWS_RELOAD, RKI_NEWS_NOTICE } kind;
    rki_alert_message alert; // its texts are behind it, as those of the others
    rki_reload_message reload;
    rki_notice_message notice;
} rki_news_item;

// Changes of alerts, reloads and notifications that wait for the engine's own publisher.
typedef struct rki_news {
    rki_news_item *first, *last;
    size_t n, bytes;
    uint64_t published, dropped;             // changes of alerts
    bool told;                               // that messages are dropped
    bool (*ask)(void *arg, uint64_t number); // rki_run_on_last
    void *ask_arg;
    uint64_t asked, awaited; // looks; awaited: atomic, the number of the one that `$` topics wait for, 0: none
} rki_news;

typedef struct rki_named_topic {
    rkp_str name;
    rkp_topics topics;
    struct rki_named_topic *next;
} rki_named_topic;

// A plan made into runners: what a run consists of between two reloads.
typedef struct rki_net {
    rki_arena arena;
    rki_gen *gen;
    rki_runner **runners;
    rki_wiring **wirings; // per runner, until it is put on
    uint32_t n_runners, cap_runners;
    uint32_t *first_runner; // per planned actor
    rki_link **links;
    bool *shared; // per link: of the graph before
    uint32_t n_links;
    uint32_t *first_link; // per planned edge
    rki_kstate **ks;      // per planned kernel
} rki_net;

// The most that a runner may have to bring to their ends: sets, and links of them.
typedef struct rki_more {
    uint32_t ins, outs, ends;
} rki_more;

// What of the graph that runs goes on in the next one.  NULL: nothing.
typedef struct rki_stays {
    rki_runner *const **runners; // per planned actor: its replicas; NULL: new ones
    rki_link *const **links;     // per planned edge; NULL: new ones
    rki_kstate **ks;             // per planned kernel; NULL: a new one
    const rki_more *more;        // per planned actor
} rki_stays;

struct rki_run {
    struct rki_device *device; // NULL: nothing runs on one
    const rki_plan *plan;      // of the newest generation
    rki_run_args args;
    const rkp_backend *backend;
    rkp_backend_run *b, *poke; // poke: atomic, b while it runs, for the signal handler
    rki_arena arena;
    rkp_pool *pool, *state_pool;
    struct rki_deadstore *dead_store; // NULL: none
    struct rki_live *replays;         // lock: of the store, replayed and not settled yet; NULL: nothing
    // The graph: the control thread changes it with the lock written, others look with it read; runners never look.
    pthread_rwlock_t graph_lock;
    rki_net *net; // and what of it is looked at all the time:
    rki_runner **runners;
    uint32_t n_runners;
    rki_link **links;
    uint32_t n_links;
    rki_kstate **ks;              // per kernel of the plan
    rki_gen *gens;                // the newest first
    struct rki_reload *reload;    // reload.c
    rki_husk *husks;              // lock; newest first
    uint32_t number;              // of the newest generation
    const char *name;             // of the pipeline, whatever the file of a later generation is called
    uint16_t last_id;             // of runners
    struct rki_flow *flows;       // released to who looks; in arena
    pthread_mutex_t metrics_lock; // before graph_lock: one walk at a time
    int64_t drift_us;             // atomic: how far the wall clock is ahead
    uint64_t reloads[4];          // lock: by rki_reload_outcome,
    bool reload_failed;           //   what came of the last one,
    uint64_t reload_us;           //   and when the last one was applied
    uint64_t reload_pause_ns;
    rki_runner *spare;
    rki_kstate *gone;
    pthread_mutex_t build_lock; // spare, named, gone, arena
    rki_named_topic *named;
    uint32_t failed;      // atomic: give up, publish nothing
    uint32_t halted;      // atomic: after that, those that observe give up, too
    uint32_t stopping;    // atomic: sources end early
    uint32_t signals;     // atomic
    uint32_t any_stop;    // atomic: somebody returned RKP_STOP
    pthread_mutex_t lock; // guards the failure
    bool lock_made;
    rkp_status fail_status;
    char failure[1024];
    uint64_t start_ns, end_ns, cpu_start_ns, cpu_end_ns;
    uint64_t started_us; // wall clock
    rki_clock clock;     // physical time of all stamps
    rki_lease lease;     // of a stream: above every stamp, on disk
    bool leased;
    bool lease_told;       // that it cannot be renewed
    int dir;               // of data_dir; -1: none
    pthread_cond_t obeyed; // with lock
    bool cond_made;
    rki_event *events; // waiting for the engine's own publisher
    uint32_t n_events, cap_events;
    struct rki_watch_box *watches; // lock
    rki_news news;                 // lock
    rki_runner *publisher;         // atomic: of $topics; NULL: nobody subscribes
    uint32_t live;                 // atomic: runners that are not behind it and not done
    rkp_hlc event_clock;           // with lock: of events, as taps get them
    rki_circle *circles;
    uint32_t n_circles;
    pthread_rwlock_t tap_lock; // read: who emits; written: who opens and closes
    struct rki_tap *taps[64];
    uint32_t n_taps; // written with tap_lock; others look whether there are any
    bool taps_closed;
    uint32_t ending;       // atomic: no more commands
    struct rki_ckpt *ckpt; // NULL: at_most_once
    bool interrupted;
    bool cut;                  // the drain was given up
    const rki_kernel *held_up; // because this one is suspended
    bool stuck;                // threads are left behind: nothing they may touch is freed
};

static inline bool rki_circle_done(const rki_runner *r)
{
    // Acquire, from the release of the control thread: nothing but the word itself.
    return __atomic_load_n(&r->run->circles[r->circle].done, __ATOMIC_ACQUIRE);
}

rkp_step rki_runner_step(rkp_task *t, void *arg, unsigned worker);
void rki_find_engine(rki_run *r); // control thread: who publishes $ topics, and whom that feeds
bool rki_is_publisher(const rki_runner *r);
rkp_batch *rki_event_batch(rkp_pool *pool, const struct rkp_event *e); // one row; NULL: out of memory
void rki_look_wanted(rki_runner *r); // by a source that waits: does anybody still want rows?  rkp_stopping then says so
void rki_deliver(struct rkp_actor *a, rkp_batch *b);
void rki_wake_runner(rki_runner *r);

// ---- wire.c: what a plan becomes

// The graph of a generation, of which `stays` goes on.  Nothing that runs is touched.  NULL: out of memory.
rki_net *rki_net_new(rki_run *r, rki_gen *gen, const rki_stays *stays);
void rki_net_free(rki_run *r, rki_net *g, const rki_stays *stays); // one that was never put in place
bool rki_new_instance(struct rkp_actor *a);                        // options set and bound
void rki_put_on(rki_runner *run, rki_wiring *w);                   // a runner that does not run, or by itself
void rki_wiring_free(rki_wiring *w);
void rki_net_place(rki_run *r, rki_net *g); // is the run's from now on; links know their ends
void rki_actor_place(struct rkp_actor *a, rki_runner *r, uint32_t i, rki_kstate *ks);
void rki_actor_end(rkp_actor *a);         // lets go of what its instance holds; what it was made of stays
void rki_actor_free(struct rkp_actor *a); // with its instance
// Ends the instance and gives the actor room for another.  What batches may refer to goes when none of its time is left.  False: no memory.
bool rki_actor_renew(struct rkp_actor *a);
void rki_husks_free(rki_run *r);       // all of them
void rki_runner_free(rki_runner *run); // with its instances and its wiring
uint64_t rki_link_empty(rki_link *k);  // lets go of what is in its ring: rows
void rki_wake_from(const rki_link *k); // whoever is at that end now
void rki_wake_to(const rki_link *k);

// ---- reload.c

// Why a new instance could not begin.
typedef struct rki_prepare {
    rkp_status st;
    char text[512];
} rki_prepare;

bool rki_reload_open(rki_run *r);
void rki_reload_close(rki_run *r);
// Control thread: goes on with what was asked for; true while kernels are stopped for it, and the end of all tasks means nothing.
bool rki_reload_look(rki_run *r, uint64_t now, uint64_t *until);
void rki_reload_end(rki_run *r);                                    // the run ends: whoever waits is told
uint64_t rki_reload_drain(rki_run *r);                              // rows of what was removed and has not ended
rki_runner *const *rki_reload_going(const rki_run *r, uint32_t *n); // what was removed and has not ended
bool rki_reload_at_work(const rki_run *r);                          // with the lock: commands wait
bool rki_reload_under_way(rki_run *r);                              // control thread
void rki_edges_json(
    rki_json *j,
    rki_run *r); // with the graph's lock: of the plan, and those that a reload has removed and that are not empty yet
const rki_link *rki_reload_leaving(const rki_run *r);  // with the graph's lock: rings that are brought to their ends
bool rki_reload_drains(const rki_run *r);              // control thread: what was removed has not ended
uint64_t rki_runner_empty(rki_runner *r);              // lets go of what it has in its hands: rows
void rki_finish_sink(rki_run *r, struct rkp_actor *a); // its output is complete; nothing for those that are no sinks
void rki_count_actor(rki_kernel_counts *to, const struct rkp_actor *a);
void rki_count_link(rki_kernel_counts *to, const rki_link *k); // what did not fit

const char *rki_intern(rki_run *r, const char *z); // lives as long as the run; NULL: out of memory
void rki_reopen(rki_runner *r);
void rki_adopt(rki_runner *r);                             // its own thread: puts on r->next
void rki_let_sets_go(rki_runner *r);                       // its own thread: sets that are done with
bool rki_drains(const rki_runner *r, const rki_inset *in); // while it stops: is this input read to its end first?
bool rki_may_stop(
    rki_runner *r); // its own thread, between two messages, when it is asked to: has it nothing left to do?

// ---- out.c: boxes, rings that are full, stamps

void rki_box(rki_runner *r, rki_outset *o, uint32_t link, rkp_batch *b, uint64_t chunk, uint8_t flags); // takes b
void rki_box_end(rki_runner *r, rki_outset *o);                // END, to every consumer
void rki_out_push(rki_runner *r, rki_outset *o, rkp_batch *b); // takes b
void rki_close_scattered(rki_runner *r);                       // the chunk at hand, for who has replicas
// Moves what waits into rings with room, in order per ring.  True when nothing waits any more that must not be lost.
bool rki_flush(rki_runner *r);
bool rki_flush_or_ask(rki_runner *r);                  // to be woken when it does
void rki_send_barrier(rki_runner *r, uint32_t number); // behind everything, on every edge
bool rki_out_room(rki_runner *r);                      // flushes: nothing waits any more
bool rki_out_empty(const rki_runner *r);               // nothing in boxes and spools
void rki_out_free(rki_outset *o);

// What a message holds while it waits: its own memory, and its part of a parent's text; NULL: it has no batch.
static inline uint64_t rki_weight(const rkp_batch *b)
{
    return b ? b->own + (b->blob.p || !b->parent ? 0 : b->in_bytes) : 64u;
}

bool rki_has_room(rki_link *k, uint64_t w);
void rki_push_one(rki_runner *r, rki_outset *o, rki_outmsg *m); // there is room

// ---- spill.c: overflow: spill

bool rki_spill_open(rki_runner *r, rki_outset *o);       // false: the run was failed
bool rki_spill_left(rki_runner *r, const rki_outset *o); // is there a log of an earlier run?
void rki_spill_mark_left(rki_run *run); // before the run begins: where there is, the producer is behind from the start
bool rki_spilling(const rki_outset *o); // something waits on disk
bool rki_spill_put(rki_runner *r, rki_outset *o, rki_outmsg *m); // takes the message's batch; false: the run was failed
void rki_spill_write(rki_runner *r);                             // what was put is in the file, or the run was failed
void rki_spill_flushed(rki_runner *r);                           // the same, unless more is to be expected at once
bool rki_spill_room(rki_runner *r, rki_outset *o);               // false: its log is full; told once
bool rki_spill_move(rki_runner *r, rki_outset *o);               // from disk to the ring, as far as there is room
void rki_edge_name(const rki_plan *p, const rki_edge *e, rki_buf *to); // the same as long as the pipeline is
void rki_spill_close(rki_outset *o, bool all_taken);
void rki_spill_end(const rki_run *run); // of the run: its folder goes, when nothing is in it
void rki_spill_remove(const char *dir); // the log of an edge that is no more
// The folder that the logs are in.  Memory: the caller's.
char *rki_spill_folder(const rki_run *run);
// What waits on disk is part of the checkpoint, and on disk.  False: the run was failed.
bool rki_spill_save(rki_runner *r, rki_outset *o, uint32_t number, rkp_save *to);
bool rki_spill_has(const rki_outset *o); // rki_spill_save has something to say
void rki_spill_begin(rki_runner *r);
void rki_spill_moved(rki_outset *o, const rki_plan *p); // to a set of this plan

// ---- route.c: topics of rows, groups; kept.c: retained messages

void rki_send(struct rkp_actor *a, rki_out *o, rkp_batch *b); // takes b
void rki_tap_unheard(struct rkp_actor *a, uint32_t port, rkp_batch *b);
void rki_send_reply(struct rkp_actor *a, rkp_batch *b); // takes b
rki_route *rki_route_new(const rki_plan *p, const rki_bound *b, uint32_t pub);
bool rki_route_add(rki_route *t, rki_outset *o);
bool rki_route_seal(rki_route *t); // after the last add
void rki_route_free(rki_route *t);
bool rki_takes(const rki_outset *o); // its consumer wants more
// Rows by the hash of the consumer's key into n parts (NULL: no row of that part).  Takes b.
void rki_divide(rki_runner *r, const rki_outset *o, rkp_batch *b, uint32_t n,
                void (*to)(void *arg, uint32_t i, rkp_batch *part), void *arg);
void rki_keep(rki_runner *r, rki_outset *o, rkp_batch *b); // retains; b stays the caller's
void rki_keep_back(rki_outset *o, uint64_t emission);      // not what was emitted after this
void rki_open_gates(rki_runner *r);                        // replays what is retained where a subscription begins
void rki_end_gates(rki_runner *r);                         // nothing more comes: what is retained waits in the ring
rki_kept *rki_kept_new(const rki_topic_conf *conf, bool last_only);
void rki_kept_free(rki_outset *o);
void rki_kept_moved(rki_outset *o); // to a set of another plan

// ---- pass.c: who deals to the replicas of a kernel, and who gathers from them

extern const rkp_op rki_op_pass; // in place of the kernel's operator
rkp_verdict rki_pass(struct rkp_actor *a, rkp_batch *b);
// Between two stages of a kernel.
static inline bool rki_internal(const rki_edge *e)
{
    return !e->in && !e->dead;
}

// ---- life.c: states, commands, supervision

rkp_verdict rki_call(struct rkp_actor *a, rkp_batch *b);
rkp_verdict rki_supervised_call(struct rkp_actor *a, rkp_batch *b); // may give RKI_CRASHED
rkp_verdict rki_supervised_poll(struct rkp_actor *a);
rkp_verdict rki_supervised_end(struct rkp_actor *a);
void rki_supervised_timer(struct rkp_actor *a);
void rki_crash_at_start(struct rkp_actor *a, rkp_status st);
bool rki_life_ready(struct rkp_actor *a); // false: it is down, r->wake_ns says until when; or the run has failed
// What the engine did for a supervised kernel failed: that is no failure of its instance.
void rki_crash_is_final(struct rkp_actor *a);
// The wait before attempt n + 1; `salt`: what its jitter is taken from.
uint64_t rki_backoff_ns(const rki_backoff *b, uint64_t n, uint64_t salt);
void rki_stop_stage(struct rkp_actor *a);
void rki_life_leave(rki_run *r, rki_kstate *k); // with the lock: a reload has removed it, and what is left of it drains
void rki_life_cut(rki_run *r, rki_kstate *k);   // with the lock: what a removed one still has is dropped and counted
// Bits of the commands that this kernel would take now, by rki_command.  With the graph's lock.
uint32_t rki_life_commands(const rki_run *r, const rki_kstate *k, int state);
// Removed, and nothing of it is left.
static inline bool rki_life_left(const rki_kstate *k)
{
    return k->gone && RKI_LOOK(k->state) == RKI_TERMINATED;
}

void rki_life_begin(rki_run *r, uint32_t kernel); // with the lock held
// Changes of alerts for the publisher.  With the lock: forget, ask_last_look.
rki_news_item *rki_next_news(rki_run *r); // free() it; NULL: there is none
void rki_forget_news(rki_run *r);         // they are dropped
void rki_ask_last_look(rki_run *r);       // before nobody is alive
void rki_life_counts(rki_runner *r,
                     bool counts);        // with the lock held: does it keep the run open, while it has not ended?
void rki_last_words(struct rkp_actor *a); // what it holds is given on, as at its end
void rki_drop_held(struct rkp_actor *a, const char *reason);
bool rki_life_of(struct rkp_actor *a); // supervision, as its kernel has it; again when its runner is another
void rki_life_drop(struct rkp_actor *a);
bool rki_life_new(rki_run *r);   // after the runners are built
void rki_life_start(rki_run *r); // created -> launched -> active
void rki_life_end(rki_runner *r);
void rki_life_free(rki_run *r);
void rki_obey(rki_runner *r);
bool rki_look_for_hung(rki_run *r, uint64_t now_ns, uint64_t *until); // true: the run was failed
rkp_verdict rki_fail_run(struct rkp_actor *a, rkp_status st, const char *fmt, ...) RKP_PRINTF(3, 4);
void rki_dead_batch(rki_runner *r, rki_link *k, rkp_batch *b); // its queue is full
void rki_dead_crash(struct rkp_actor *a, rkp_batch *b, const char *text);

// ---- place.c: sources that go on where they were

typedef struct rki_place {
    rkp_save good, next;
    bool known;
} rki_place;

bool rki_place_kept(const rki_bound *b);
bool rki_keeps_place(const struct rkp_actor *a);            // the half that polls
bool rki_place_take(struct rkp_actor *a, rki_place *p);     // false: the actor has failed, and the old place stays
bool rki_place_go(struct rkp_actor *a, const rki_place *p); // a new instance; false: it has failed
void rki_place_fini(rki_place *p);
// It has failed, and there is no new instance yet: its place instead of what the failed one would save.
bool rki_life_lost(const struct rkp_actor *a);
bool rki_life_save(const struct rkp_actor *a, rkp_save *to); // false: ask the instance

// ---- batcher.c

struct rki_meter;
rki_batcher *rki_batcher_new(rki_run *r, const rki_plan *p, const rki_bound *b, struct rki_meter *m);
void rki_batcher_free(rki_batcher *s);
uint64_t rki_batcher_rows(const rki_batcher *s); // that wait in it
void rki_batcher_put(rki_batcher *s, rkp_batch *b, uint64_t corr);
bool rki_batcher_full(const rki_batcher *s); // a message is at hand that is not given on yet
bool rki_batcher_due(const rki_batcher *s, uint64_t now_ns, bool idle, uint64_t *wake_ns);

// ---- control.c, tap.c

const char *rki_run_state(const rki_run *r); // "running", "draining", "ending"
void rki_tap_offer(struct rkp_actor *a, uint32_t port, const rki_publication *pub, const rkp_topics *topics,
                   rkp_batch *b);
// To the taps of its topic.  With the run's lock held.
void rki_tap_event(rki_run *r, const rkp_event *e);
void rki_taps_end(rki_run *r);
// "no kernel is named 'scroe'; did you mean 'score'?"
void rki_no_kernel(const rki_run *r, rkp_str name, char *text, size_t n);

// ---- hold.c: order hlc

// The input whose front message may be taken now, or -1: none, and r->wake_ns says when to look again; or RKI_HOLD_RESTORED: that of the
// checkpoint.
enum { RKI_HOLD_RESTORED = -2 };
int rki_hold_next(rki_runner *r);
void rki_hold_took(rki_runner *r, rki_link *k, const rkp_envelope *e); // it was taken
void rki_look_at_clock(rki_runner *r);                                 // pt_us, and wall_us when it is asked for
void rki_clock_enter(rki_runner *r);                                   // around everything that may tick, where hlc_out
void rki_clock_leave(rki_runner *r);
void rki_clock_close(rki_runner *r); // nobody moves it any more: who stops, or goes
void rki_floors(rki_runner *r);
static inline bool rki_failed(const rki_run *r)
{
    // Relaxed: a hint to give up; what the failure says is read under the lock.
    return __atomic_load_n(&r->failed, __ATOMIC_RELAXED) != 0;
}
// Must it give up?  After a failure those that observe ($ topics and nothing else) go on until the last change has reached them.
static inline bool rki_halted(const rki_runner *r)
{
    return RKP_UNLIKELY(rki_failed(r->run)) && (!__atomic_load_n(&r->observes, __ATOMIC_RELAXED) ||
                                                __atomic_load_n(&r->run->halted, __ATOMIC_RELAXED) != 0);
}
void rki_drop_rows(struct rkp_actor *a, uint64_t rows, const char *reason);
void rki_lose_rows(struct rkp_actor *a, uint64_t rows,
                   const char *reason);                   // the same, of rows that should have gone on
void rki_drop_unread(struct rkp_actor *a, uint64_t rows); // that were counted as out, and nobody reads
void rki_count_dead(struct rkp_actor *a, uint64_t rows, const char *reason);
static inline uint64_t rki_batch_rows(const rkp_batch *b)
{
    return b->blob.p ? b->blob_rows : b->rows;
}
rkp_batch *rki_unite_batch(struct rkp_actor *a, const rkp_schema *to, const rki_unite *u,
                           rkp_batch *b); // takes b; NULL: failed
// Dead letters of rows of a batch, or of one raw row; to the runner's dead-letter edge.  Raw rows are gathered:
// rki_dead_flush sends them, and must be called before what the runner made is given away.
void rki_dead_rows(struct rkp_actor *a, rkp_batch *b, const rkp_errs *errs, bool made); // made: by the kernel itself
void rki_dead_raw(struct rkp_actor *a, unsigned code, rkp_str what, rkp_str raw, rkp_str file, uint64_t line);
void rki_dead_send(rki_runner *r);
static inline void rki_dead_flush(rki_runner *r)
{
    if (RKP_UNLIKELY(r->letters.mem))
        rki_dead_send(r);
}

// Before the next message: one test where nothing can wait, because it is called for each.
static inline bool rki_flush_or_wait(rki_runner *r)
{
    return (!r->n_outs && !r->wiring->n_closes && !r->letters.mem) || rki_flush_or_ask(r);
}

// What came with the chunk at hand has been dealt with.
static inline void rki_close_chunk(rki_runner *r)
{
    rki_dead_flush(r);
    if (r->plan->replicas > 1)
        rki_close_scattered(r);
}
// Dead letters on disk.  Letter i is of row rows[i] of b (rows NULL: of row i; b NULL: they never had columns).  False:
// the run fails.
rkp_status rki_store_open(rki_run *r, char *err, size_t n);
rkp_status rki_store_flush(rki_run *r, char *err, size_t n); // what is kept is on disk
void rki_store_close(rki_run *r);
bool rki_store_letters(struct rkp_actor *a, rkp_batch *b, const uint32_t *rows, const rki_letter *v, uint32_t n);

// ---- ckpt.c, ckpt_*.c: checkpoints

// Finds what to go on from.  False: *st and err.
bool rki_ckpt_open(rki_run *r, rkp_status *st, char *err, size_t n);
rkp_status rki_ckpt_replayed(rki_run *r, char *err, size_t n); // once the store is open
void rki_ckpt_close(rki_run *r);
bool rki_ckpt_restore(struct rkp_actor *a); // after its init; false: the run was failed
// Is there a barrier that this source has not sent?
bool rki_ckpt_due(const rki_runner *r);
bool rki_ckpt_hold(const rki_runner *r); // a source that waits for the first checkpoint
// Everything before the barrier has been done and given on: saves, and sends it on.  False: the run was failed.
bool rki_ckpt_cut(rki_runner *r, uint32_t number);
// Took a barrier from a link of this input.
void rki_ckpt_took(rki_runner *r, rki_inset *in, rki_link *k, uint32_t number);
bool rki_ckpt_aligned(const rki_runner *r); // every open link has given it, or need not
// One that takes nothing because it is suspended: what is in its rings is part of the checkpoint.  False: the run was failed.
bool rki_ckpt_at_rest(rki_runner *r);
// Of links that log: their barrier or end, and a message.
void rki_ckpt_link_done(rki_runner *r, rki_link *k);
void rki_ckpt_log_message(rki_runner *r, const rki_inset *in, const rkp_envelope *e, const rkp_batch *b);
// The next message of the checkpoint that the run went on from, as if taken from that input; its batch is e->payload.  False: there
// are no more, or the run was failed.
bool rki_ckpt_restored(rki_runner *r, rki_inset **in, rkp_envelope *e);
bool rki_ckpt_front(rki_runner *r, rkp_envelope *e); // it, without taking it
bool rki_ckpt_join(rki_runner *r);                   // one that is built while the run is at work
void rki_ckpt_drop(rki_runner *r);
bool rki_ckpt_idle(const rki_run *r);             // control thread: none is under way
const char *rki_ckpt_waits_for(const rki_run *r); // control thread: a kernel that is suspended; NULL: none such
// Before a reload changes anything: so that who begins again with the new file may go on.  False: why is in text.
bool rki_ckpt_intend(rki_run *r, const rki_plan *to, char *text, size_t n);
void rki_ckpt_changed(rki_run *r);   // control thread: another pipeline from now on
void rki_ckpt_retire(rki_runner *r); // it takes no more part
// Control thread.  Begins and commits checkpoints; *until: when to look again (0: never).
void rki_ckpt_look(rki_run *r, uint64_t now, uint64_t *until);
uint32_t rki_ckpt_committed(const rki_run *r); // number of the newest one that is kept, which may need logs; 0: none
void rki_ckpt_hurry(rki_run *r);               // any thread: a checkpoint is wanted soon
// What the checkpoint that the run went on from says about the log of that name: records (*from, *to] were waiting.
bool rki_ckpt_log(const rki_run *r, const char *name, uint64_t *from, uint64_t *to);
// Any thread: the edge that had the log in this folder is no more, and all of it was taken; there is one again, before its log is opened.
void rki_ckpt_log_gone(const rki_run *r, const char *dir);
void rki_ckpt_log_back(const rki_run *r, const char *dir);
bool rki_ckpt_last(rki_run *r); // one more, after which no source goes on.  False: there are none
bool rki_ckpt_last_done(const rki_run *r);
bool rki_ckpt_finish(rki_run *r); // before outputs take their names; false: the run was failed
void rki_ckpt_forget(rki_run *r); // after it
// How many, and how long they took from the request until the manifest was on disk; null: none are made.
void rki_ckpt_json(const rki_run *r, rki_json *j);
// A sentence about what is kept, "" when nothing is.
void rki_ckpt_say(const rki_run *r, char *text, size_t n);

// ---- replay.c: dead letters once more

// As the kernel's columns are now.  Takes b; NULL: the run was failed.
rkp_batch *rki_replay_fitting(rkp_actor *a, const rki_bound *to, rkp_batch *b);
void rki_end_of_no_chunk(rki_runner *r); // out.c
// inject.c: does anything wait for this runner?  Takes it; feed runs the stage.
void rki_look_for_given(rki_runner *r);
void rki_take_given(rki_runner *r, void (*feed)(rki_runner *r, rkp_actor *a, rkp_batch *b));
// Marks of what was replayed before checkpoint `number`: for its manifest; into the store, once that is durable; and again, from a manifest.
bool rki_live_put(rki_run *r, uint64_t number, rki_buf *out);
rkp_status rki_live_settle(rki_run *r, uint64_t number, char *err, size_t n);
rkp_status rki_live_restore(rki_run *r, rkp_str marks, char *err, size_t n);
void rki_live_free(rki_run *r);
rkp_verdict rki_replay_feed(struct rkp_actor *a); // in place of the poll of a source that gets its records again
// Only the rows of b that the subscription wants.  Takes b; NULL: none, or it failed.
rkp_batch *rki_wanted_rows(rki_runner *r, const rki_inset *in, rkp_batch *b);
bool rki_replay_has_where(const rki_bound *to);
void rki_replay_kept(rki_replay *p, uint64_t rows); // they went wrong again
// Nobody replays any more: lets go of what is at hand.
void rki_replay_stop(rki_replay *p);
// Rows have not come through although the run went well; a sentence says why.
bool rki_replay_lost(const rki_run *r, char *text, size_t n);
rkp_status rki_replay_settle(rki_replay *p, struct rki_deadstore *store, char *err, size_t n);
// "cannot read 'abc' as f64 in column 'amount'"
void rki_row_error_text(const struct rkp_actor *a, const rkp_batch *b, const rkp_err *e, rki_buf *out);
void rki_log(rki_run *r, const char *fmt, ...) RKP_PRINTF(2, 3); // a line for the log
uint64_t rki_mono_ns(void);
uint64_t rki_run_ns(const rki_run *r); // the run's clocks
uint64_t rki_run_wall_us(const rki_run *r);
void rki_see(const struct rkp_actor *a, uint32_t port, const rki_publication *pub, const rkp_topics *topics,
             rkp_batch *b);
uint64_t rki_wall_us(void);

#endif
