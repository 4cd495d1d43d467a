// spec/spec.h - a checked pipeline: what the file says, with every name resolved and every place kept.
//
//   Owns     everything hangs off the spec's arena; freed by rki_spec_free
//   Threads  made by one, then immutable
//   Fails    NULL and findings; all findings of the file, not only the first
//   Limits   SPEC.md 2
//   Cost     under 5 ms for 10 kernels
#ifndef RKI_SPEC_H
#define RKI_SPEC_H

#include "flow/topic.h"
#include "spec/names.h"
#include "spec/opt.h"
#include "spec/sources.h"
#include "spec/tree.h"
#include "watch/routing.h"
#include "watch/rules.h"
#include <rkpipe/op.h>

typedef struct rki_kv {
    const char *key, *val;
} rki_kv;

typedef struct rki_spec_args {
    const char *file; // "-" is standard input
    rkp_str text;     // the file's text when it is in memory already: no file is read then.  p NULL: read `file`
    const rki_sources *sources; // the texts of the file and of what it includes, in place of the files; NULL: read them
    rki_snapshot **texts;       // gets the texts that were read, also when they are wrong; NULL: not wanted
    const rki_kv *vars;         // --var
    size_t n_vars;
    const rki_kv *sets; // --set a.b=v: applied to the tree before it is checked; v is YAML
    size_t n_sets;
    const char *const *env;        // NAME=VALUE, NULL terminated; the library reads no environment itself
    const rkp_op *const *ops;      // the registry, NULL terminated
    const rkp_op *engine_op;       // publishes `$` topics; NULL: they are not there
    const rkp_op *watch_op;        // looks at rows for alerts on data; NULL: nobody does
    const rki_prom_names *metrics; // what alerts can be about; NULL: not known, and any name is taken
    const char *backend;           // --backend, or NULL
    bool allow_exec;
    const struct rki_test *test; // what it is loaded for; NULL: to run
} rki_spec_args;

typedef enum { RKI_BACKEND_AUTO, RKI_BACKEND_CPU, RKI_BACKEND_CUDA } rki_backend_choice;
typedef enum { RKI_MODE_AUTO, RKI_MODE_BATCH, RKI_MODE_STREAM } rki_run_mode;
typedef enum { RKI_ERR_DEFAULT, RKI_ERR_FAIL, RKI_ERR_DROP, RKI_ERR_DEAD_LETTER } rki_error_action;
typedef enum {
    RKI_OVERFLOW_DEFAULT, // resolved by the plan: never in it
    RKI_OVERFLOW_BLOCK,
    RKI_OVERFLOW_DROP_OLDEST,
    RKI_OVERFLOW_DROP_NEWEST,
    RKI_OVERFLOW_DEAD_LETTER,
    RKI_OVERFLOW_FAIL,
    RKI_OVERFLOW_SPILL,
    RKI_N_OVERFLOWS
} rki_overflow;
typedef enum { RKI_ORDER_DEFAULT, RKI_ORDER_FIFO, RKI_ORDER_NONE, RKI_ORDER_KEY, RKI_ORDER_HLC } rki_order;
typedef enum { RKI_SKEW_EXCLUDE, RKI_SKEW_STRICT, RKI_SKEW_RELEASE } rki_skew;
typedef enum { RKI_FROM_NOW, RKI_FROM_LAST, RKI_FROM_EARLIEST } rki_start_from; // a subscription's start
typedef enum { RKI_RESTART_NEVER, RKI_RESTART_ON_FAILURE, RKI_RESTART_ALWAYS } rki_restart_policy;
typedef enum { RKI_EXHAUSTED_FAIL, RKI_EXHAUSTED_ISOLATE } rki_exhausted;
// As rkp_delivery, with 0 for auto.
typedef enum {
    RKI_DELIVERY_AUTO,
    RKI_DELIVERY_AT_MOST_ONCE,
    RKI_DELIVERY_AT_LEAST_ONCE,
    RKI_DELIVERY_EXACTLY_ONCE
} rki_delivery;
typedef enum { RKI_PRIO_LOW, RKI_PRIO_NORMAL, RKI_PRIO_HIGH, RKI_PRIO_CRITICAL } rki_priority;
typedef enum { RKI_PLACE_AUTO, RKI_PLACE_CPU, RKI_PLACE_GPU } rki_place_device;
typedef enum { RKI_FALLBACK_FAIL, RKI_FALLBACK_CPU } rki_fallback;
typedef enum { RKI_PLACE_MODE_AUTO, RKI_PLACE_MODE_THREAD, RKI_PLACE_MODE_PERSISTENT } rki_place_mode;

typedef struct rki_gpu_conf {
    bool simulate;        // threads of this process in place of a card
    int ingress;          // 0 auto, 1 mapped, which is the same
    uint64_t watchdog_ns; // how long a side may show no sign of life
} rki_gpu_conf;

typedef struct rki_engine_conf {
    int backend;           // rki_backend_choice
    uint64_t threads;      // 0: cores
    uint64_t memory_limit; // bytes, 0: SPEC.md 14's default
    rkp_word data_dir;     // p NULL: .rkpipe/<name>
    int delivery;          // rki_delivery
    bool allow_exec;
    uint64_t grace_ns;      // shutdown.grace
    uint64_t checkpoint_ns; // checkpoint.interval
    rki_gpu_conf gpu;
} rki_engine_conf;

typedef struct rki_run_conf {
    int mode; // rki_run_mode
    double max_bad_ratio;
    bool fail_on_dead_letter, fail_on_drop;
    int fail_on_alert;           // 0: no; else 1 and the least severity: 1 info, 2 warn, 3 page
    rkp_word summary;            // p NULL: none
    uint64_t stop_rows, stop_ns; // 0: none
} rki_run_conf;

// Of this machine alone.
typedef struct rki_loopback {
    rkp_word text;    // as it stands in the file; p NULL: there is none
    rkp_word address; // "127.0.0.1"
    uint16_t port;    // 0: any that is free
} rki_loopback;

typedef enum { RKI_LISTEN_DEFAULT, RKI_LISTEN_UNIX, RKI_LISTEN_TCP, RKI_LISTEN_NONE } rki_listen_kind;

typedef struct rki_listen {
    int kind;        // rki_listen_kind; default: a socket in data_dir
    rkp_word path;   // of RKI_LISTEN_UNIX
    rki_loopback at; // of RKI_LISTEN_TCP
} rki_listen;

typedef struct rki_admin_conf {
    rki_listen listen;
    rkp_word token_file; // of RKI_LISTEN_TCP
} rki_admin_conf;

typedef enum { RKI_LOG_INFO, RKI_LOG_WARN, RKI_LOG_ERROR } rki_log_level;
typedef enum { RKI_LOG_TEXT, RKI_LOG_JSON } rki_log_format;

typedef struct rki_logs_conf {
    int level, format; // rki_log_level, rki_log_format
    rkp_word file;     // p NULL: standard error
} rki_logs_conf;

// An OpenTelemetry collector.
typedef struct rki_otlp_conf {
    rkp_word endpoint; // p NULL: none is told
    rkp_pairs headers; // values may be secrets
    rkp_pairs resource;
    uint64_t interval_ns, timeout_ns;
    bool metrics;
    int compression; // RKP_COMPRESS_NONE, RKP_COMPRESS_GZIP
    struct {
        double sample; // share of the batches of each source
    } traces;
} rki_otlp_conf;

typedef struct rki_telemetry_conf {
    uint64_t interval_ns; // between two looks of alerts at the metrics
    struct {
        rkp_word listen;  // as it stands in the file; p NULL: nobody listens
        rkp_word address; // "127.0.0.1"
        uint16_t port;    // 0: any that is free
        rkp_word path;
    } prometheus;
    rki_logs_conf logs;
    rki_otlp_conf otlp;
} rki_telemetry_conf;

typedef enum { RKI_KEEP_FAIL, RKI_KEEP_RESET } rki_keep_state;

typedef enum { RKI_CONSISTENT_HOP, RKI_CONSISTENT_PATH } rki_consistency;

typedef struct rki_reload_conf {
    uint64_t prepare_ns;           // prepare_timeout
    uint64_t quiesce_ns, drain_ns; // quiesce_timeout, drain_timeout
    int consistency;               // rki_consistency
    int keep_state;                // rki_keep_state
    uint64_t generations;          // keep_generations
    bool watch;
    uint64_t debounce_ns;
} rki_reload_conf;

typedef struct rki_store_conf {
    uint64_t bytes;  // 0: there is no store
    uint64_t age_ns; // 0: for ever
} rki_store_conf;

typedef struct rki_error_conf {
    int action;       // rki_error_action
    double max_ratio; // 1: no limit
    rkp_word reason;  // p NULL: the operator's own
    rkp_loc at;
} rki_error_conf;

// An entry of `topics:`.  What it does not say is 0.
typedef struct rki_topic_conf {
    rkp_word pattern;
    rkp_schema_use schema;
    int order, overflow, delivery, on_skew;
    uint64_t capacity, bytes, spill_bytes;
    struct {
        uint64_t count, bytes, age_ns;
    } retain;
    bool retains;
    uint64_t max_skew_ns, heartbeat_ns;
    rkp_word description;
} rki_topic_conf;

typedef struct rki_subscription {
    rkp_word topic; // a pattern
    rkp_word where; // an expression; p NULL: all rows
    int start;      // rki_start_from
    rkp_word group; // p NULL: none
} rki_subscription;

typedef struct rki_publication {
    rkp_word topic;                // a name, or a template
    const rki_topic_template *tpl; // NULL: a plain name
    uint32_t port;
    const rki_topic_conf *conf; // of a plain name: the entry of `topics` that is most specific; NULL: none
} rki_publication;

// What a kernel reads: a port of another kernel, over an edge of their own or over a topic.
typedef struct rki_input {
    rkp_word text; // "kernel" or "kernel.port"; over a topic: the pattern
    uint32_t kernel;
    uint32_t port;              // output port of that kernel
    bool reply;                 // what a `reply` kernel sends back to this one, after all others
    bool replay;                // dead letters (rki_spec_replay), behind them
    bool topic;                 // over a topic:
    uint32_t sub, pub;          //   index of the (first) subscription here, and of the publication there
    uint64_t subs;              //   bits of all subscriptions here that share the edge
    const rki_topic_conf *conf; //   what `topics` says of it; NULL: nothing
    int overflow;               // rki_overflow
    uint64_t capacity, bytes;
    uint64_t spill_bytes; // of its log on disk; 0: no limit
} rki_input;

// Does the subscription read (also) this?
bool rki_input_of_sub(const rki_input *in, uint32_t sub);

typedef struct rki_backoff {
    uint64_t initial_ns, max_ns;
    double multiplier, jitter;
} rki_backoff;

typedef struct rki_restart_conf {
    int policy; // rki_restart_policy
    uint64_t max, window_ns;
    rki_backoff backoff;
    int on_exhausted;
} rki_restart_conf;

typedef struct rki_retry_conf {
    uint64_t max_attempts,
        max_elapsed_ns; // max_attempts: with the first one; 0: there is no `retry`.  max_elapsed_ns 0: no limit
    rki_backoff backoff;
    rkp_words errors; // v NULL: all that the operator knows
} rki_retry_conf;

typedef enum { RKI_FULL_EVICT, RKI_FULL_FAIL } rki_full;

typedef struct rki_state_conf {
    uint64_t ttl_ns, max_keys; // 0: no bound
    int on_full;               // rki_full
} rki_state_conf;

typedef struct rki_kernel {
    rkp_word id;
    rkp_loc at;
    const rkp_op *op;
    rkp_word op_name;
    const rkp_node *with; // NULL: none
    rki_input *from;      // `from` first, then what the subscriptions find
    size_t n_from;
    const rki_subscription *subs;
    size_t n_subs;
    rki_publication *pubs; // at most one for a port
    size_t n_pubs;
    int order;        // rki_order, resolved: never DEFAULT
    int delivery;     // rki_delivery: what it need not keep more than; auto: that of the pipeline
    rkp_loc order_at; // where it is said, else the kernel
    int on_skew;      // rki_skew; of order: hlc
    uint64_t max_skew_ns, heartbeat_ns;
    rki_restart_conf restart;
    rki_retry_conf retry;
    rki_state_conf state;
    bool supervised; // `restart` is given, and says more than that the run fails
    bool start_suspended;
    uint64_t timeout_ns; // of a step; 0: none
    rki_error_conf on_error;
    int place_device, place_mode;
    uint64_t place_blocks, place_threads; // on a device
    int place_fallback;                   // rki_fallback
    rkp_loc place_at;
    uint64_t replicas; // 0: auto, 1 the default
    bool replicas_given;
    rkp_word partition_by;                // an expression; p NULL: none
    int priority;                         // rki_priority
    uint64_t queue_capacity, queue_bytes; // capacity is a power of two
    bool capacity_given, bytes_given;
    uint64_t spill_bytes; // of `queue`; 0: not given
    int overflow;         // rki_overflow, of `queue`; DEFAULT: not given
    uint64_t batch_count; // 0: none
    uint64_t batch_bytes; // 0: none
    uint64_t batch_period_ns;
    bool batches, batch_period_given;
    bool fuse_never;
    bool enabled;                  // false: the kernel is left out, and so are the edges to it
    bool muted;                    // of a replay: no row can reach it, so it does nothing
    const struct rki_given *given; // of a test: rows in place of what this source reads; NULL: none
    bool watched;                  // of a test: this sink only looks
    bool again;                    // of a replay: a source that gets records it has rejected
    rkp_word description;
    rkp_pairs labels;
    // Output ports: the operator's own, or what its options name (`route`).
    const rkp_word *ports;
    size_t n_ports;
} rki_kernel;

typedef struct rki_named_schema {
    rkp_word name;
    rkp_schema schema;
} rki_named_schema;

typedef struct rki_var {
    rkp_word name;
    rkp_str value; // as text, as var.x in expressions takes it: durations are microseconds, sizes bytes
    int kind;      // of var.x in expressions: rkp_kind (string, i64, f64, bool), durations and sizes are i64
    bool secret;   // never printed
    rkp_loc at;
} rki_var;

typedef struct rki_spec {
    rki_arena arena;
    rki_sources sources; // what it was loaded from
    rkp_node *root;      // the resolved tree: includes, merges, templates and interpolation done
    const char *file;
    rkp_word name, description;
    rki_engine_conf engine;
    rki_run_conf run;
    rki_admin_conf admin;
    rki_telemetry_conf telemetry;
    rki_reload_conf reload;
    rki_var *vars;
    size_t n_vars;
    rki_named_schema *schemas;
    size_t n_schemas;
    rki_names schema_names;
    rki_kernel *kernels; // in the order of the file; disabled ones are not in it
    size_t n_kernels;
    rki_topic_conf *topics;
    size_t n_topics;
    bool dead_letters;   // there is a target, or a store:
    uint8_t *takes_dead; //   per kernel: it gets them
    rkp_word dead_topic; //   p NULL: a kernel
    rkp_loc dead_letter_at;
    rki_store_conf dead_store;        //   they are kept on disk as well
    bool test;                        // of rkpipe test: every column of every kernel is looked at
    const rkp_op *given_op, *seen_op; // in place of sources with rows, and of sinks that only look
    rki_rule_conf *alerts;            // `alerts`, checked; `severity` is a label
    size_t n_alerts;
    rkp_loc alerts_at;
    const rki_routing *notify; // NULL: nobody is told
    bool replay;               // dead letters are put in front of kernels again, and nothing else is read
} rki_spec;

rki_spec *rki_spec_load(const rki_spec_args *args, rkp_diags *d);
void rki_spec_free(rki_spec *s);

#define RKI_WATCH_ID "$alert:" // and the alert on data that the kernel looks for
enum { RKI_WATCH_KEYS = 8 };

#define RKI_REPLAY_ID "$replay:" // and the kernel that it feeds

// Makes a loaded pipeline, not planned yet, one that replays dead letters: a batch job in which each of these kernels
// gets rows from a hidden source of its own (`op`) over one more input, and its own sources are muted, with everything
// that no such row can reach.  A target that is a source is not muted: it gets records again.  Edges block, but for those
// on circles, and kernels that start suspended do not.  False without memory.
bool rki_spec_replay(rki_spec *s, const rkp_op *op, const char *const *targets, size_t n);

const rki_named_schema *rki_schema_named(const rki_spec *s, rkp_str name); // NULL when there is none
// The JSON Schema of a pipeline file, with the operators' options (conditional on `op`).
void rki_spec_schema(const rkp_op *const *ops, rki_buf *out);
#define RKI_HASH_BEGIN UINT64_C(14695981039346656037) // FNV-1a
uint64_t rki_hash_text(uint64_t h, const char *p, size_t n);
uint64_t rki_hash_node(uint64_t h, const struct rkp_node *n);
uint64_t rki_hash_variables(uint64_t h, const rki_spec *s);
// Of what a checkpoint depends on: the kernels with their options, topics, dead letters and variables.  Not how fast or where it runs.
uint64_t rki_spec_identity(const rki_spec *s);
// The folder of its checkpoints in data_dir: one for each choice of variables, because each is another job.
void rki_spec_checkpoints(const rki_spec *s, char name[40]);
// `check --print`: the resolved pipeline as YAML, secrets as ***.
void rki_spec_print(const rki_spec *s, rki_buf *out);

#endif
