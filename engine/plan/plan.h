// plan/plan.h - the physical graph of a pipeline: bound kernels, stages, actors, edges, and the reason for each
// decision.
//
//   Owns     everything in the plan's arena, and the operators' checking instances, until rki_plan_free
//   Threads  made by one; immutable while it runs
//   Fails    NULL and findings: every type error of the pipeline, before anything starts
//   Limits   64 replicas a kernel, 4,096 actors
//   Cost     a few microseconds a kernel
//
//   kernel --(source with decode, sink with encode: two stages; else one)--> stage --(fused)--> actor --(edges)-->
//   actor
//
// An actor is a tree of stages: its first stage takes what comes over edges, each further one is fed by a port of an
// earlier stage, by a function call.  A replicated actor is fed chunk by chunk in turns, and whoever reads its replicas
// takes them in the same turns, so the order of chunks is kept without sequence numbers to sort by.
#ifndef RKI_PLAN_H
#define RKI_PLAN_H

#include "spec/spec.h"

typedef enum rki_role {
    RKI_WHOLE,  // the operator as it is
    RKI_POLL,   // a source's blocking half
    RKI_DECODE, // its other half
    RKI_ENCODE, // a sink's replicable half
    RKI_WRITE,  // its blocking half
    RKI_DEAL,   // in front of a kernel's replicas: one that takes its messages and deals them
    RKI_GATHER, // behind a kernel's replicas: one that puts what they made in order and sends it
    RKI_N_ROLES,
} rki_role;

// How the columns of one input become those of the united input schema.
typedef struct rki_unite {
    bool same;    // nothing to do
    int32_t *col; // per united column: the input's column, -1 is null
} rki_unite;

typedef struct rki_bound {
    const rki_kernel *k;
    uint32_t index;
    bool known; // types are known (a missing input of `check` leaves them open)
    rkp_schema in;
    rkp_schema *out; // per port
    uint32_t n_out;
    rki_unite *unite;   // per input of `from`
    rkp_schema replies; // of RKP_CALLS: what comes back, united
    bool replies_known;
    rki_unite dead_unite; // of the dead-letter input, when this kernel is its target
    bool takes_dead;
    uint8_t *reads;           // per input column: the operator looks at its values
    int32_t *pass;            // per output column of port 0: input column it is, unchanged, or -1
    uint8_t *needed;          // per output column: somebody downstream reads it
    bool whole;               // encode and decode are not used
    const char *single;       // why it may not be replicated, or NULL
    bool endless;             // a source that never ends by itself
    bool no_wait;             // a BLOCKING source that a worker may run all the same
    bool adds;                // a sink that adds to what is there
    int delivery;             // rkp_delivery that it can keep; 0: its bind does not say
    const char *delivery_why; // not a stronger one
    int on_error;             // rki_error_action, never DEFAULT
    const void *probed;
    rkp_str kept;
    uint64_t loads;            // of the content of the files that an instance loads; 0: none
    const rkp_expr *partition; // partition_by
    uint32_t meta;             // bits 1 << rkp_meta_name: what its expressions ask for
    const rkp_expr **where;    // per subscription; NULL: all rows
    uint32_t **tpl_cols;       // per publication, per column placeholder of its template: output column of its port
    void *self;                // the instance that was bound for checking
    rkp_pool *given_pool;      // of a test: rows that this source gives
    rkp_batch *given;
} rki_bound;

typedef struct rki_target {
    bool local;     // a stage of the same actor, else an edge
    uint32_t index; // of the stage or edge in the plan
} rki_target;

typedef struct rki_stage {
    uint32_t kernel;
    uint8_t role;      // rki_role
    bool takes, gives; // of the stages of its kernel: the first, which has its inputs; the last, which has its outputs
    uint32_t actor;
    rki_target **targets; // per port
    uint32_t *n_targets;
    uint32_t n_ports;
} rki_stage;

typedef enum rki_edge_kind {
    RKI_EDGE_DIRECT,    // one to one
    RKI_EDGE_SCATTER,   // chunks in turns over the consumer's replicas
    RKI_EDGE_PARTITION, // rows by the hash of the consumer's partition_by
} rki_edge_kind;

typedef struct rki_edge {
    uint32_t from_stage, from_port;
    uint32_t from_actor, to_actor;
    uint32_t to_stage; // first stage of to_actor
    uint32_t to_input; // index in the kernel's `from`; UINT32_MAX: dead letters
    uint8_t kind;      // rki_edge_kind
    bool dead;
    const rki_input *in;      // NULL: between two halves of a kernel, or dead letters
    uint8_t overflow;         // rki_overflow, never DEFAULT
    bool hlc;                 // the consumer takes messages in the order of their stamps
    uint32_t group;           // 0: none; else edges of one publisher port with this number share its messages
    bool circle;              // lies on a circle
    bool chunked;             // messages carry chunk marks: producer or consumer is replicated
    uint64_t capacity, bytes; // per ring
    uint64_t spill_bytes;     // overflow: spill: of its log; 0: no limit
} rki_edge;

typedef struct rki_pactor {
    const char *name; // "read/decode+large+fee+write/encode"
    uint32_t *stages; // in the order of the fusion; the first is the head
    uint32_t n_stages;
    uint32_t replicas;
    bool own_thread, poll;
    bool device;    // it is a chain on a device:
    uint32_t chain; //   of the program
    int priority;
    bool stateless;
    bool hlc; // takes messages in the order of their stamps
    uint32_t *in_edges, n_in, *out_edges, n_out;
    const char **reasons;
    uint32_t n_reasons;
} rki_pactor;

typedef struct rki_plan {
    rki_arena arena;
    rki_spec *spec; // borrowed
    rki_bound *kernels;
    uint32_t n_kernels;
    uint32_t *order, n_order; // kernels, sources first
    rki_stage *stages;
    uint32_t n_stages;
    rki_pactor *actors;
    uint32_t n_actors;
    rki_edge *edges;
    uint32_t n_edges;
    uint32_t workers;
    uint64_t memory_limit, pool_bytes, state_bytes;
    uint32_t n_holders;                // instances that share state_bytes in equal parts
    bool known;                        // every type is known: it can run
    bool stream;                       // it runs until it is stopped
    const rkp_topics *dead_topics;     // of dead letters that go to a topic
    int delivery;                      // rki_delivery, never auto
    const struct rki_program *program; // of what runs on devices; NULL: nothing does
    bool reads_topics;                 // some expression or template asks for meta.topic
    const char **reasons;              // of the whole: threads, memory, delivery
    uint32_t n_reasons;
} rki_plan;

typedef struct rki_plan_args {
    uint32_t cores;      // of the machine
    uint64_t memory;     // of the machine or its cgroup, bytes
    bool may_read_stdin; // `run`
    bool probe;          // ask operators about files (check, plan and run do; tests of the plan may not)
} rki_plan_args;

// The spec must outlive the plan.  NULL and findings when types or options do not fit.
rki_plan *rki_plan_new(rki_spec *s, const rki_plan_args *args, rkp_diags *d);
void rki_plan_free(rki_plan *p);

// Makes one more instance of a kernel's operator: options set and bound.  Memory and n_bytes from the caller: zeroed,
// op->self_size.
rkp_status rki_plan_instance(rki_plan *p, uint32_t kernel, rki_arena *arena, void *self);

// Does anybody look at this input column: the kernel itself, or who gets it from there?
bool rki_plan_wants(const rki_bound *b, uint32_t column);

const rkp_schema *rki_dead_schema(void);
const char *rki_overflow_name(int overflow); // "drop_oldest"
const char *rki_delivery_name(int level);    // "at_least_once"
const char *rki_role_name(int role);         // "", "/poll", "/decode", "/encode", "/write"

// `rkpipe plan`: text for people; with `json`, the same as JSON.
void rki_plan_text(const rki_plan *p, rki_buf *out);
void rki_plan_json(const rki_plan *p, rki_buf *out);

typedef enum { RKI_GRAPH_DOT, RKI_GRAPH_MERMAID, RKI_GRAPH_SVG, RKI_GRAPH_JSON } rki_graph_format;
void rki_graph(const rki_plan *p, rki_graph_format f, rki_buf *out);

#endif
