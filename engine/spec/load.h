// spec/load.h - what the parts of one rki_spec_load share: files, variables, secrets, interpolation, rows.
//
//   Owns     memory of the spec's arena
//   Threads  one
//   Fails    findings; parts go on after one, so that a run reports all
//   Limits   SPEC.md 2
//   Cost     linear in the files
//
//   text --tree--> tree --include--> one tree --set--> --settings--> variables
//        --template--> kernels --interp--> values in place of ${..} --spec--> checked pipeline
#ifndef RKI_LOAD_H
#define RKI_LOAD_H

#include "spec/opt.h"
#include "spec/spec.h"
#include "spec/tests.h"
#include "spec/tree.h"

// ---- variables and parameters

typedef enum {
    RKI_SET_AUTO, // by its value: a bare scalar
    RKI_SET_STRING,
    RKI_SET_INT,
    RKI_SET_FLOAT,
    RKI_SET_BOOL,
    RKI_SET_DURATION,
    RKI_SET_SIZE,
    RKI_SET_PATH,
    RKI_SET_LIST,
} rki_set_type;

typedef struct rki_setting {
    rkp_word name;
    int type;                // rki_set_type
    rkp_node *value;         // resolved; NULL: none
    const rkp_node *raw;     // not resolved yet: the default or the argument
    const rkp_node *choices; // `enum`, a list; NULL: any
    bool required;
    int state; // 0 new, 1 being resolved, 2 done
} rki_setting;

typedef struct rki_settings {
    rki_setting *v;
    size_t n;
    rki_names names;
    const char *what; // "variable", "parameter"
    const char *ns;   // "var", "param"
} rki_settings;

typedef struct rki_store rki_store;

// A kernel made from a template, and the values of its parameters.
typedef struct rki_use {
    const rkp_node *kernel;
    rki_settings params;
    struct rki_use *next;
} rki_use;

// Of an alert: what the file says, and whether it watches a topic.
typedef struct rki_watching {
    const rkp_node *node;
    bool topic;
} rki_watching;

typedef struct rki_load {
    rki_arena *arena;
    rkp_diags *d;
    const rki_spec_args *args;
    rki_spec *s;
    rki_tree_budget budget;
    size_t filled; // bytes that interpolation has made
    rkp_node *root;
    struct rki_file *files; // loaded, newest first
    rki_settings vars;
    rki_store *stores;
    size_t n_stores;
    rki_names store_names;
    size_t read;            // bytes of small files
    size_t patterns;        // of include
    rki_use *uses;          // in the order of the kernels
    size_t errors;          // in the sink before this load
    rki_watching *watching; // as the spec's alerts
    bool alerts_wrong;      // there are more in the file than in the spec
} rki_load;

// ---- include.c

typedef struct rki_file {
    const char *name; // as shown
    const char *real; // realpath, "" for standard input
    const char *dir;  // "" or ends with a slash; what relative names begin with
    rkp_str text;
    bool open; // its includes are being loaded
    struct rki_file *next;
} rki_file;

// The main file and all that it includes, as one tree.  NULL and findings.
rkp_node *rki_load_files(rki_load *l);
void rki_load_sets(rki_load *l); // --set
// The folder that relative names at this place begin with.
const char *rki_load_dir(const rki_load *l, rkp_loc at);
// Text of a small file.  `what` names it in findings ("the file", "the secret"); regular files only.
bool rki_load_read(rki_load *l, const char *path, rkp_loc at, const char *what, rkp_str *out);

// ---- sources.c

// In the arena; texts are not copied.  A name that is there already stays as it is.  False without memory.
bool rki_sources_add(rki_arena *a, rki_sources *s, const char *name, const char *real, rkp_str text);
bool rki_sources_glob(rki_arena *a, rki_sources *s, const char *pattern);

// ---- settings.c

void rki_load_vars(rki_load *l);      // vars:, --var, RKPIPE_VAR_*: from here on values can be asked for
void rki_load_vars_done(rki_load *l); // all of them, and as expressions take them
// Declarations {name: {type, default, ..} | scalar} without values.
void rki_settings_declare(rki_load *l, const rkp_node *map, rki_settings *to);
rki_setting *rki_settings_find(const rki_settings *s, rkp_str name);
// The value, resolving its default now; NULL and a finding at `at` when there is none.
const rkp_node *rki_settings_value(rki_load *l, rki_settings *s, rkp_str name, rkp_loc at);
void rki_settings_resolve(rki_load *l, rki_settings *s); // all that have a value; checks types and enums
extern const rkp_opt rki_setting_rows[];

// ---- interp.c

typedef struct rki_interp {
    rki_settings *params; // NULL outside templates
    bool templated;       // ${this.x} and ${meta.x} may stay
    bool pattern;         // it is what a kernel subscribes to
    bool env_only;        // nothing but ${NAME}: where variables are not known yet
} rki_interp;

void rki_load_stores(rki_load *l); // secrets:
// Fills in every scalar at and below n.
void rki_interp_all(rki_load *l, rkp_node *n, const rki_interp *how);
// The same below a mapping with rows: expressions are left alone, and refused when they hold ${..}.
void rki_interp_rows(rki_load *l, rkp_node *map, const rkp_opt *rows, rki_settings *params);
const char *rki_load_env(const rki_load *l, rkp_str name); // NULL when not set
bool rki_utf8_ok(rkp_str s);

// ---- template.c

void rki_load_templates(rki_load *l);

// ---- rows.c

typedef struct rki_dead_conf {
    rkp_word kernel, topic; // p NULL: not given
    rki_store_conf store;
} rki_dead_conf;

typedef enum { RKI_SEVERITY_INFO, RKI_SEVERITY_WARN, RKI_SEVERITY_PAGE } rki_severity;

typedef struct rki_alert_conf {
    rkp_word name, expr, resolve;
    uint64_t for_ns, keep_ns, every_ns, limit;
    int no_data, severity;
    rkp_pairs labels, annotations;
    struct {
        rkp_word kernel, topic;
    } watch;
    rkp_word where;
    uint64_t throttle_ns;
    rkp_words key;
} rki_alert_conf;

// `notify`, as rows take it (notify.c); a route's fields lie in has_route.
typedef struct rki_notify_conf {
    const rkp_node *receivers;
    uint64_t has_route[32];
    rkp_objects_of inhibit;
} rki_notify_conf;

typedef struct rki_top {
    const rkp_node *include, *vars, *secrets, *schemas, *templates, *kernels, *tests, *defaults;
    uint64_t version;
    rkp_word name, description;
    rki_engine_conf engine;
    rki_run_conf run;
    rkp_words fail_on;
    rki_dead_conf dead_letter;
    const rkp_node *topics;
    rkp_objects_of alerts;
    rki_notify_conf notify;
    rki_admin_conf admin;
    rki_telemetry_conf telemetry;
    rki_reload_conf reload;
} rki_top;

typedef struct rki_kernel_conf {
    rki_kernel k;
    const rkp_node *with;
    rkp_words from;
    struct {
        uint64_t capacity, bytes;
        uint64_t spill_bytes; // 0: no limit
        int overflow;
    } queue;
    struct {
        uint64_t count, bytes, period_ns;
    } batch;
    struct {
        int device, mode;
        uint64_t blocks, threads;
        int fallback;
    } place;
    int fuse, start, order, delivery;
    rkp_objects_of subscribe;
    rkp_pairs publish;
} rki_kernel_conf;

extern const rkp_opt rki_top_rows[];
extern const rkp_opt rki_telemetry_rows[]; // telemetry.c
extern const rkp_opt rki_admin_rows[];     // listen.c
extern const rkp_opt_type rki_loopback_type;
extern const rkp_opt rki_kernel_rows[];   // without use and args
extern const rkp_opt rki_defaults_rows[]; // the part of them that `defaults` may hold
extern const rkp_opt rki_topic_rows[];    // an entry of `topics`
extern const rkp_opt rki_subscribe_rows[];
extern const rkp_opt rki_secret_rows[];
extern const rkp_opt rki_template_rows[];
extern const rkp_opt rki_alert_rows[];   // an entry of `alerts` (alerts.c)
extern const rkp_opt rki_notify_rows[];  // `notify` (notify.c)
extern const rkp_opt rki_route_rows[];   // an entry of `routes`
extern const rkp_opt_type rki_prom_text; // rkp_word
extern const rkp_opt_type rki_any;       // const rkp_node *: checked elsewhere

// ---- words.c

extern const rki_foreign rki_top_words[], rki_kernel_words[];
// A name of SPEC.md 13 that the registry may not have.
bool rki_op_promised(rkp_str name);
const char *rki_op_foreign(rkp_str name); // a hint, or NULL

// ---- graph.c

typedef struct rki_graph_from {
    rkp_words w;
    rkp_loc at;
    bool given;
    bool bad; // given, and not a list of names: that has been said
} rki_graph_from;

// A kernel that is too wrong to take part; its id is known, so edges to it are not.
typedef struct rki_graph_lost {
    rkp_word id;
    rkp_words from;
} rki_graph_lost;

// `from` to edges, dead letters, cycles, kernels nobody reads.  Arrays are by kernel.
typedef struct rki_graph_in {
    const rki_graph_from *from;
    const bool *ports_known;
    const rkp_word *off; // ids of disabled kernels
    size_t n_off;
    const rki_graph_lost *lost;
    size_t n_lost;
    rki_dead_conf dead_letter;
} rki_graph_in;

void rki_load_graph(rki_load *l, const rki_graph_in *in);
const char *rki_load_port_list(rki_load *l, const rki_kernel *k); // "a, b and c"

// ---- tests_alerts.c

typedef struct rki_test_alert_conf {
    rkp_word alert;
    int state;
    uint64_t at_ns, count;
    rkp_pairs labels, annotations;
} rki_test_alert_conf;

typedef struct rki_test_series_conf {
    rkp_word series, values;
} rki_test_series_conf;

extern const rkp_opt rki_test_alert_rows[], rki_test_series_rows[];
// `alerts`, `input_series` and `interval` of a test.
void rki_load_test_alerts(rki_load *l, const rkp_node *test, const rkp_objects_of *alerts, const rkp_objects_of *series,
                          uint64_t interval_ns, rki_test *t);

// ---- alerts.c

void rki_load_alerts(rki_load *l, const rkp_objects_of *v); // `alerts:`
void rki_load_admin(rki_load *l);                           // `admin:`, what its keys mean together

// ---- notify.c

void rki_load_notify(rki_load *l, const rki_notify_conf *c); // `notify:`

// ---- watching.c

size_t rki_watching_n(const rki_load *l); // how many alerts on data have a kernel
// The kernel of the first of them from alert *at on; false: there are no more.
bool rki_watching_kernel(rki_load *l, size_t *at, rki_kernel *k, rki_graph_from *from);

// ---- topics.c

void rki_load_topics(rki_load *l, const rkp_node *map); // `topics:`
void rki_topic_refuse(rki_load *l, rkp_word w, const rki_topic_findings *f);
// The kernel's subscribe and publish, checked by themselves.
// fields.c.  Is this field of `defaults` for kernels of this operator?
bool rki_field_for(const rkp_op *op, const rkp_node *field);
void rki_check_fields(rki_load *l, const rkp_node *n, const rki_kernel *k);

void rki_load_pubsub(rki_load *l, const rkp_node *kernel, const rki_kernel_conf *conf, bool ports_known,
                     rki_kernel *to);
bool rki_engine_wanted(const rki_spec *s);
void rki_engine_kernel(rki_load *l, rki_kernel *k);
// How many publications of the pipeline subscription patterns of k could meet, at most.
size_t rki_topic_inputs_max(const rki_spec *s);
// Adds what k's subscriptions find to k->from (with room for rki_topic_inputs_max more); `read` by kernel and `read_by` by port are
// told through `mark`.
void rki_load_topic_edges(rki_load *l, uint32_t kernel, void (*mark)(void *arg, uint32_t kernel, uint32_t port),
                          void *arg);
// After all edges: orders, defaults of edges, topics that nobody reads, subscriptions that nobody can reach.
void rki_load_topics_end(rki_load *l);
void rki_load_replies(rki_load *l);

// ---- testing.c

void rki_load_test(rki_load *l);                                   // mocks
void rki_load_test_vars(rki_load *l);                              // does the pipeline have them?
bool rki_load_test_topic(rki_load *l, rki_kernel *k);              // true: a kernel was made that gives rows to a topic
bool rki_load_publish(rki_load *l, rki_kernel *k, rkp_word topic); // topics.c: port 0, to a plain name

rkp_opt_ctx rki_load_ctx(rki_load *l, const char *owner);
void rki_queue_rounded(rki_load *l, const rkp_node *n, uint64_t capacity); // says so when n says another one
// A mapping of the top level, or NULL: absent, or a finding.  `of` says of what ("variables").
rkp_node *rki_load_map(rki_load *l, const char *key, const char *of);
bool rki_load_id(rki_load *l, const rkp_node *n, const char *what); // a finding when the key is no id

#endif
