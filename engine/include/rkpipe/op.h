// rkpipe/op.h - the operator contract: one descriptor, from which everything about an operator is known.
//
//   Owns     the engine owns `self` (self_size bytes, zeroed) and makes one per instance: a replica, a decode or encode
//            stage, and the copy used for checking each have their own
//   Threads  each slot names its thread; one instance is never in two slots at a time
//   Fails    slots return a status or a verdict; the message goes through rkp_fail or the bind's findings
//   Limits   16 output ports fixed in the table, 64 named by options (`route`)
//   Cost     one indirect call per batch and stage
//
// Life of an instance:   options set -> bind -> init -> (on_batch | poll | decode | encode)* -> on_end -> fini
// `fini` always runs when options were set, also when bind or init failed.
//
// A source may be cut in two: `poll` (its own thread, may block) emits raw chunks, cut at row ends; `decode` (worker,
// replicable) makes columns of them.  A sink likewise: `encode` (worker, replicable) makes bytes of a batch, `on_batch`
// (its own thread when the op is BLOCKING) writes them in order.
#ifndef RKPIPE_OP_H
#define RKPIPE_OP_H

#include <rkpipe/base.h>
#include <rkpipe/batch.h>
#include <rkpipe/diag.h>
#include <rkpipe/expr.h>
#include <rkpipe/opt.h>
#include <rkpipe/state.h>

#define RKP_ABI 1u

typedef struct rkp_actor rkp_actor;
typedef struct rkp_bind rkp_bind;
typedef struct rkp_probe rkp_probe;
typedef struct rkp_dev rkp_dev;

typedef enum rkp_op_kind { RKP_SOURCE, RKP_TRANSFORM, RKP_SINK } rkp_op_kind;

typedef enum rkp_trait {
    RKP_STATELESS = 1 << 0,     // output depends on the one batch only: may be fused and replicated
    RKP_KEYED = 1 << 1,         // state per key: replicas need partition_by
    RKP_BLOCKING = 1 << 2,      // may wait for the outside: gets a thread of its own (its poll, when it has decode)
    RKP_DETERMINISTIC = 1 << 3, // the same input gives the same output
    RKP_FINITE = 1 << 4,        // source: ends by itself
    RKP_ROWWISE = 1 << 5,       // every row in is emitted, dropped, absorbed or rejected: checked at the end
    RKP_NOT_YET = 1 << 6,       // known by name, refused with "not supported yet"
    RKP_RETRIES = 1 << 7,       // on_batch may answer RKP_RETRY: always the first stage of its actor
    RKP_HOLDS = 1 << 8,         // keeps memory that grows with its input (rkp_state_take): gets a share of memory_limit
    RKP_RESTARTS = 1 << 9,      // source: a new instance goes on with what comes, it does not begin a file again
    RKP_EXECS = 1 << 10,        // starts a command: refused unless engine.allow_exec
    // Sends requests: its option `topic` is where they go, from output port 1; replies come to on_batch as port 1.  on_end is asked when
    // the other inputs have ended, and answers RKP_RETRY while it waits for replies.
    RKP_CALLS = 1 << 11,
    RKP_REPLIES = 1 << 12, // what it emits goes back to the kernel that sent the request
    RKP_FORGETS = 1 << 13, // keyed, and may forget keys: obeys rkp_actor_bounds
} rkp_trait;

typedef enum rkp_verdict {
    RKP_DONE,  // consumed; whatever was emitted was emitted
    RKP_PASS,  // forward this very batch on port 0
    RKP_MORE,  // poll, on_end: there is more, call again (when there is room downstream)
    RKP_RETRY, // offer the same batch again later (rkp_wake_at says when; else when something changes)
    RKP_STOP,  // no more input is wanted: the engine drops what still comes (reason "stop") and lets sources end
    RKP_FAIL,  // rkp_fail was called
} rkp_verdict;

typedef enum rkp_metric_unit { RKP_UNIT_ROWS, RKP_UNIT_BYTES, RKP_UNIT_COUNT, RKP_UNIT_SECONDS } rkp_metric_unit;

typedef struct rkp_metric {
    const char *name;
    rkp_metric_unit unit;
    const char *help;
} rkp_metric;

typedef struct rkp_port {
    const char *name;
    const char *help;
} rkp_port;

// A worked use for describe and the reference page: YAML of the `with:` mapping, input CSV and the output CSV it gives
// (checked by the tests).  `pipeline` instead, when one kernel does not tell the story.
typedef struct rkp_example {
    const char *title;
    const char *with;   // YAML, "" for none
    const char *input;  // CSV with header (transforms); file text (sources)
    const char *output; // CSV with header, or the sink's bytes
} rkp_example;

// A record that a source has rejected, as it came.
typedef struct rkp_record {
    rkp_str text, file; // file p NULL: not known
    uint64_t line;      // 0: not known
    uint64_t at_us;     // when it was rejected
} rkp_record;

typedef struct rkp_op {
    uint32_t abi, size; // RKP_ABI, sizeof(rkp_op)
    const char *name;   // "read.csv"
    rkp_op_kind kind;
    const char *summary; // one sentence with a full stop
    const char *details; // further paragraphs for describe and the reference; may be NULL
    uint32_t traits;
    size_t self_size;
    const rkp_opt *opts;
    const rkp_metric *metrics;
    const rkp_port *outs; // NULL: one port "out" (none for a sink)
    const rkp_example *examples;
    const char *also; // names of the same thing in other engines, blank separated, for hints
    // What may pass if it is tried again (rkp_retry_at), blank separated: the words of `retry: { errors }`.  NULL: nothing, and the kernel field
    // `retry` is refused.  With `retry` on_batch may answer RKP_RETRY, also without RKP_RETRIES.
    const char *retries;

    // Port names that options add (`route`), appended to *names; control, after options are set, before bind.
    rkp_status (*ports)(void *self, rkp_opt_ctx *c, const rkp_word **names, size_t *n);
    // Asks what only the outside knows (headers, samples); control thread, may read files; once per kernel.
    rkp_status (*probe)(void *self, rkp_probe *p);
    // Input schemas -> output schemas, expressions compiled; control thread, pure.
    rkp_status (*bind)(void *self, rkp_bind *b);
    rkp_status (*init)(void *self, rkp_actor *a); // actor thread, before the first batch
    rkp_verdict (*on_batch)(void *self, rkp_actor *a, unsigned port,
                            rkp_batch *b); // actor; b is borrowed (rkp_batch_sole)
    // The time of rkp_wake_at has come, or the run is stopping; actor, between two batches, when there is room
    // downstream.  For transforms and sinks that hold what they got: DONE, STOP or FAIL.
    rkp_verdict (*on_timer)(void *self, rkp_actor *a);
    rkp_verdict (*poll)(void *self, rkp_actor *a);                   // source's thread; DONE ends the stream
    rkp_verdict (*decode)(void *self, rkp_actor *a, rkp_batch *raw); // worker; raw is borrowed
    rkp_verdict (*encode)(void *self, rkp_actor *a, rkp_batch *b);   // worker; emits one batch with a blob
    rkp_verdict (*on_end)(void *self, rkp_actor *a); // all inputs have ended; MORE to go on, RETRY: at rkp_wake_at
    rkp_status (*prepare)(void *self, rkp_actor *a); // after the end: sinks make everything durable; actor thread
    rkp_status (*commit)(void *self, rkp_actor *a);  // sinks: publish under the final name; control, after all prepared
    void (*abort)(void *self, rkp_actor *a);         // sinks: the job failed: leave no output behind
    void (*fini)(void *self);
    // A source with decode, in place of poll and on its thread: emits the chunk of one record that decode has rejected,
    // so that it is decoded again.  RKP_UNAVAILABLE: what that needs, the head of its file, is not there any more or has changed.
    rkp_status (*again)(void *self, rkp_actor *a, const rkp_record *r);

    // Checkpoints.  save: between two batches, when everything before has been emitted; a source writes its position (that of
    // its poll half), a sink makes what it was given durable and writes how far it is.  restore: after init, in a new
    // process, before anything else; RKP_INVALID with rkp_load_refuse when that is not possible.  Both on the actor's thread, or, after
    // it has ended, on the control thread.
    uint32_t state_version; // of what save writes, from 1
    rkp_status (*save)(void *self, rkp_actor *a, rkp_save *to);
    rkp_status (*restore)(void *self, rkp_actor *a, rkp_load *from);

    // What on_batch does, said in terms of rkp_dev_*, so that a device can do it; control, after bind.  Only of STATELESS transforms with one
    // output.  NULL: it cannot run on a device.
    void (*device)(const void *self, rkp_dev *d);
} rkp_op;

extern const rkp_op *const rkp_ops[]; // the registry, NULL terminated; written by the build

// ---- probe ----------------------------------------------------------------------------------------------------------

rkp_diags *rkp_probe_diags(rkp_probe *p);
rkp_opt_ctx *rkp_probe_mem(rkp_probe *p);
// True in `run`: standard input may be sampled; what is read must be given back with rkp_probe_keep.
bool rkp_probe_may_read_stdin(const rkp_probe *p);
// The answer, handed to every bind of this kernel's instances.  Memory: rkp_probe_mem.
void rkp_probe_set(rkp_probe *p, const void *answer);
// The instance loads this file whole: with another content a reload makes a new one.  Reads it; a file that cannot be read has no content.
void rkp_probe_loads(rkp_probe *p, const char *path);
// Bytes taken from standard input, for the instance that polls.
void rkp_probe_keep(rkp_probe *p, rkp_str bytes);
void *rkp_opt_alloc(rkp_opt_ctx *c, size_t bytes); // zeroed arena memory; NULL when out

// ---- bind -----------------------------------------------------------------------------------------------------------

rkp_opt_ctx *rkp_bind_mem(rkp_bind *b);
rkp_diags *rkp_bind_diags(rkp_bind *b);
rkp_loc rkp_bind_at(const rkp_bind *b);         // the kernel
const char *rkp_bind_kernel(const rkp_bind *b); // its id
// Inputs of a port are united before (SPEC.md 14): one schema; NULL for a source.
const rkp_schema *rkp_bind_in(const rkp_bind *b);
// Of RKP_CALLS: the columns of replies, united; NULL: not known yet (bind comes twice, first for the request port alone).
const rkp_schema *rkp_bind_replies(const rkp_bind *b);
const void *rkp_bind_probed(const rkp_bind *b); // rkp_probe_set's answer, or NULL (types are then not known yet)
unsigned rkp_bind_n_out(const rkp_bind *b);
// Copies the schema.  Every out port must be set, also when bind fails elsewhere, so that later kernels can be checked.
void rkp_bind_out(rkp_bind *b, unsigned port, rkp_schema s);
void rkp_bind_out_same(rkp_bind *b, unsigned port); // the input schema
// Compiles against the input schema; marks the columns it reads.  NULL and a finding when it is wrong.
rkp_expr *rkp_bind_expr(rkp_bind *b, rkp_word text, rkp_want want);
// What names mean in this kernel's expressions: the input schema, vars, meta.  For operators that compile against
// another schema (`map`'s later derives): copy it, change `schema` or `extra`, use rkp_expr_compile and rkp_bind_read.
const rkp_scope *rkp_bind_scope(const rkp_bind *b);
// A column by name: index, or -1 and a finding with a hint.  Marks it as read.
int rkp_bind_column(rkp_bind *b, rkp_word name);
// What happens to input columns, for pruning: out column `out` of every port is input column `in`, unchanged.
void rkp_bind_pass(rkp_bind *b, uint32_t out, uint32_t in);
void rkp_bind_pass_all(rkp_bind *b); // all of them, same index (filter, sort, limit ..)
void rkp_bind_read(rkp_bind *b, uint32_t in);
void rkp_bind_read_all(rkp_bind *b); // sinks
// The options make encode or decode impossible (a path template): use on_batch or poll alone.
void rkp_bind_whole(rkp_bind *b);
// This instance may not be replicated or fused although the op is STATELESS; `why` is shown by `plan`.
void rkp_bind_single(rkp_bind *b, const char *why);
// This source never ends by itself, although the op is FINITE.
void rkp_bind_endless(rkp_bind *b);
// A source that is BLOCKING: this instance does not wait (it answers RKP_RETRY and rkp_wake_at), so a worker may run its poll.
void rkp_bind_no_wait(rkp_bind *b);
// The strongest delivery that this instance can keep with its options, and why not a stronger one.  Without it: a STATELESS kernel and
// one with `save` keep exactly_once, all others at_most_once.
typedef enum rkp_delivery { RKP_AT_MOST_ONCE = 1, RKP_AT_LEAST_ONCE, RKP_EXACTLY_ONCE } rkp_delivery;
void rkp_bind_delivery(rkp_bind *b, rkp_delivery strongest, const char *why);
// A sink that adds to what is there: a checkpoint is made before the first row, so that a crash before the next one can be taken back.
void rkp_bind_adds(rkp_bind *b);

// ---- device ---------------------------------------------------------------------------------------------------------
//
// A kernel on a device works row by row over registers: numbers for the values of a row.  regs[c] is the register of column c of the schema
// that an expression was compiled for (NULL: the input's).  What cannot be done there is a finding with the kernel's place, once.

uint32_t rkp_dev_in(rkp_dev *d, uint32_t column); // of the input
void rkp_dev_filter(rkp_dev *d, const rkp_expr *e,
                    const uint32_t *regs); // rows for which it is not true end here, reason "filter"
uint32_t rkp_dev_derive(rkp_dev *d, const rkp_expr *e, const uint32_t *regs);
uint32_t rkp_dev_cast(rkp_dev *d, uint32_t reg, rkp_type to);
void rkp_dev_out(rkp_dev *d, uint32_t column, uint32_t reg); // of the output; every column that is needed
void rkp_dev_out_same(rkp_dev *d);                           // the input's columns
void rkp_dev_nomem(rkp_dev *d);                              // the operator could not get memory
bool rkp_dev_needed(const rkp_dev *d, uint32_t out_column);

// ---- actor ----------------------------------------------------------------------------------------------------------

rkp_pool *rkp_actor_pool(rkp_actor *a);
rkp_frame *rkp_actor_frame(rkp_actor *a); // scratch for expressions
rkp_errs *rkp_actor_errs(rkp_actor *a);   // an empty list, reused between batches
const rkp_meta *rkp_actor_meta(rkp_actor *a);
const char *rkp_actor_kernel(const rkp_actor *a);
// Takes b (also on failure).  Rows are counted as emitted on that port.
void rkp_emit(rkp_actor *a, unsigned port, rkp_batch *b);
// Rows that end here: `reason` is a literal ("filter", "limit", "duplicate").
void rkp_drop(rkp_actor *a, uint64_t rows, const char *reason);
// Rows taken into state or written out.
void rkp_absorb(rkp_actor *a, uint64_t rows);
// Rows of b that are wrong: goes where on_error says (fail, drop, dead_letter).  Returns RKP_FAIL when the job must
// stop, else RKP_DONE; the caller goes on with the other rows.  Rows must not be counted otherwise.
rkp_verdict rkp_reject(rkp_actor *a, rkp_batch *b, const rkp_errs *errs);
// The same for rows that the kernel has made itself: dead letters of them cannot be put in front of it again.
rkp_verdict rkp_reject_made(rkp_actor *a, rkp_batch *b, const rkp_errs *errs);
// Rows of a source or decode that never became rows of a batch: raw text and place.  Of decode the text is the whole
// record, of poll it may be the beginning.
rkp_verdict rkp_reject_raw(rkp_actor *a, unsigned code, rkp_str what, rkp_str raw, rkp_str file, uint64_t line);
// Records why the job fails; returns RKP_FAIL.  The first one of a run is shown; exit code by status (IO 1, UNAVAILABLE
// 69).
rkp_verdict rkp_fail(rkp_actor *a, rkp_status st, const char *fmt, ...) RKP_PRINTF(3, 4);
// The correlation id that the message at hand carries (0: none), and that what is emitted from here on carries.
uint64_t rkp_corr(const rkp_actor *a);
void rkp_corr_set(rkp_actor *a, uint64_t corr);
uint64_t rkp_corr_new(rkp_actor *a);     // unique in this run; replies to it come back to this kernel
uint64_t rkp_now_ns(const rkp_actor *a); // the actor's monotonic clock
int64_t rkp_wall_us(const rkp_actor *a); // wall clock, for now()
// With RKP_RETRY or RKP_MORE.  For an operator with on_timer it holds until the time has come, or another is set (0:
// none).
void rkp_wake_at(rkp_actor *a, uint64_t ns);
void rkp_count(rkp_actor *a, unsigned metric, uint64_t n);
void rkp_progress(rkp_actor *a, uint64_t done_bytes, uint64_t total_bytes); // source; total 0: not known
// An attempt has failed for `error`, one of the operator's `retries`: the `attempts`-th since first_ns.  True: the kernel's `retry` lets
// it try again at *at_ns, and that is counted.  False: it is final.
bool rkp_retry_at(rkp_actor *a, const char *error, uint64_t attempts, uint64_t first_ns, uint64_t *at_ns);
bool rkp_stopping(const rkp_actor *a); // poll: end early (signal, failure, nobody listens)
unsigned rkp_actor_replica(const rkp_actor *a, unsigned *n);
// What the kernel's `queue` may hold.
void rkp_actor_queue(const rkp_actor *a, uint64_t *messages, uint64_t *bytes);
bool rkp_actor_needed(const rkp_actor *a, uint32_t out_column); // does anybody read it
// The kernel's `state`: how long a key is remembered (0: until the end), how many are (0: as many as memory takes), and whether one more
// than that fails or makes another one go.
typedef struct rkp_bounds {
    uint64_t ttl_ns, max_keys;
    bool full_fails;
} rkp_bounds;
rkp_bounds rkp_actor_bounds(const rkp_actor *a);
rkp_str rkp_actor_kept(const rkp_actor *a); // rkp_probe_keep's bytes
// State memory: false when the instance's share of memory_limit is used up: spill, or fail with the figure.  All shares
// are equal and known before the start, so what fits does not depend on what other kernels hold at the time.
bool rkp_state_take(rkp_actor *a, uint64_t bytes);
void rkp_state_give(rkp_actor *a, uint64_t bytes);
uint64_t rkp_state_limit(const rkp_actor *a);
// News of the engine, for the source of `$` topics: false when there are none now.  Whoever got false is woken by the next.
typedef struct rkp_event {
    const char *kernel, *from, *to; // lives as long as the run
    int64_t us;
    char reason[160];
} rkp_event;
bool rkp_engine_event(rkp_actor *a, rkp_event *out);
bool rkp_engine_over(const rkp_actor *a); // every kernel that does not hang on `$` topics has ended
// Opens an unlinked temporary file in data_dir for spilling; -1 and rkp_fail's message when it cannot.
int rkp_spill_open(rkp_actor *a);
// abort: a checkpoint is kept from which the next run goes on, so what was saved for it must stay.
bool rkp_kept(const rkp_actor *a);
// A number of the folder that this run has to itself: the same in each run of the pipeline there, and another one elsewhere.  0: there
// is no such folder.  See rkp_writer_open_own.
uint64_t rkp_owner(const rkp_actor *a);
// Waits, on a BLOCKING actor's thread, until fd is readable; false when rkp_stopping, also because nobody listens.
bool rkp_wait_readable(rkp_actor *a, int fd);
// The same for who must go on while the run drains: until fd is ready for `events` of poll(2); false when the run is
// given up, and then nobody asks for what is left.
bool rkp_wait_ready(rkp_actor *a, int fd, short events);
// Whole lines for the log: standard error, unless the run's owner takes them elsewhere.  Any thread; may wait.
void rkp_log(rkp_actor *a, rkp_str lines);
// The same for rows that were to be written there: none is left out, however many there are.
void rkp_log_rows(rkp_actor *a, rkp_str lines);
// NAME=VALUE of the process, NULL terminated; NULL when nobody told.
const char *const *rkp_actor_env(const rkp_actor *a);

#endif
