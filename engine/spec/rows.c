// rows.c - the fixed part of the pipeline file as option rows: what keys there are, their types and defaults.
// One walker checks it, and one generator makes the JSON Schema of it, as for the options of operators.
#include "spec/load.h"

#include "spec/value.h"
#include <stdio.h>

// ---- types of this file only

static rkp_status parse_any(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, void *field)
{
    (void)c;
    (void)row;
    *(const rkp_node **)field = n;
    return RKP_OK;
}

static void print_any(const rkp_opt *row, const void *field, struct rki_json *out)
{
    (void)row;
    (void)field;
    rki_json_null(out);
}

static void schema_any(const rkp_opt *row, struct rki_json *out)
{
    (void)row;
    (void)out;
}

const rkp_opt_type rki_any = { "any", sizeof(const rkp_node *), parse_any, print_any, schema_any };

static rkp_status parse_version(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, void *field)
{
    const char *hint;
    uint64_t v = 0;

    if (n->kind != RKI_SCALAR || !n->plain || rki_node_is_null(n) ||
        rki_value_uint(n->text, &v, &hint) != RKI_VALUE_OK || v == 0)
        return rki_opt_refuse(c, row, n, "the number 1", NULL);
    if (v > 1) {
        rkp_diag(c->diags, RKP_ERROR, n->at, "version", "version %.*s is newer than this rkpipe, which reads version 1",
                 RKP_STR_ARG(n->text));
        return RKP_INVALID;
    }
    *(uint64_t *)field = v;
    return RKP_OK;
}

static void print_u64(const rkp_opt *row, const void *field, struct rki_json *out)
{
    (void)row;
    rki_json_u64(out, *(const uint64_t *)field);
}

static void schema_version(const rkp_opt *row, struct rki_json *out)
{
    (void)row;
    rki_json_put_u64(out, "const", 1);
}

static const rkp_opt_type version_type = { "version", sizeof(uint64_t), parse_version, print_u64, schema_version };

// "auto", or 1 and more.  Stored as 0 for auto.
static rkp_status parse_replicas(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, void *field)
{
    if (n->kind == RKI_SCALAR && rkp_str_is(n->text, "auto")) {
        *(uint64_t *)field = 0;
        return RKP_OK;
    }
    return rkp_uint.parse(c, row, n, field);
}

static void print_replicas(const rkp_opt *row, const void *field, struct rki_json *out)
{
    (void)row;
    if (*(const uint64_t *)field)
        rki_json_u64(out, *(const uint64_t *)field);
    else
        rki_json_z(out, "auto");
}

static void schema_replicas(const rkp_opt *row, struct rki_json *out)
{
    (void)row;
    rki_schema_or_var(out, "{\"anyOf\":[{\"const\":\"auto\"},{\"type\":\"integer\",\"minimum\":1,\"maximum\":1024}]}");
}

static const rkp_opt_type replicas_type = { "auto or whole number", sizeof(uint64_t), parse_replicas, print_replicas,
                                            schema_replicas };

static const rkp_choice devices[] = {
    { "auto", RKI_PLACE_AUTO, "where the planner finds best" },
    { "cpu", RKI_PLACE_CPU, "on the processor" },
    { "gpu", RKI_PLACE_GPU, "on a graphics card" },
    { 0 },
};

// A choice, and gpu:N.
static rkp_status parse_device(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, void *field)
{
    if (n->kind == RKI_SCALAR && n->text.n > 4 && memcmp(n->text.p, "gpu:", 4) == 0) {
        rkp_diag(c->diags, RKP_ERROR, n->at, "not-supported", "'%s: gpu:N' is not supported yet", row->name);
        rkp_diag_hint(c->diags, "'gpu' is the first one");
        return RKP_INVALID;
    }
    return rkp_choice_type.parse(c, row, n, field);
}

static void print_device(const rkp_opt *row, const void *field, struct rki_json *out)
{
    rkp_choice_type.print(row, field, out);
}

static void schema_device(const rkp_opt *row, struct rki_json *out)
{
    rkp_choice_type.schema(row, out);
}

static const rkp_opt_type device_type = { "auto, cpu, gpu or gpu:N", sizeof(int), parse_device, print_device,
                                          schema_device };

// ---- engine, run

static const rkp_choice backends[] = {
    { "auto", RKI_BACKEND_AUTO, "cuda when a device is there, else cpu" },
    { "cpu", RKI_BACKEND_CPU, "worker threads" },
    { "cuda", RKI_NOT_YET, "a graphics card" },
    { 0 },
};

static const rkp_choice deliveries[] = {
    { "auto", RKI_DELIVERY_AUTO, "the strongest that every kernel can keep" },
    { "at_most_once", RKI_DELIVERY_AT_MOST_ONCE, "fast; a crash may lose what was in flight" },
    { "at_least_once", RKI_DELIVERY_AT_LEAST_ONCE, "rows are sent again after a crash" },
    { "exactly_once", RKI_DELIVERY_EXACTLY_ONCE, "as if nothing had happened" },
    { 0 },
};

// What a kernel may say: less than the pipeline.
static const rkp_choice side[] = {
    { "auto", RKI_DELIVERY_AUTO, "that of the pipeline" },
    { "at_most_once", RKI_DELIVERY_AT_MOST_ONCE, "what is before it and in it may be lost in a crash" },
    { "at_least_once", RKI_DELIVERY_AT_LEAST_ONCE, "what it has given away may come again after a crash" },
    { "exactly_once", RKI_NOT_YET, "as if nothing had happened" },
    { 0 },
};

// And a topic.
static const rkp_choice relaxed[] = {
    { "auto", RKI_DELIVERY_AUTO, "that of the pipeline" },
    { "at_most_once", RKI_DELIVERY_AT_MOST_ONCE, "fast; a crash may lose what was in flight" },
    { "at_least_once", RKI_NOT_YET, "rows are sent again after a crash" },
    { "exactly_once", RKI_NOT_YET, "as if nothing had happened" },
    { 0 },
};

static const rkp_opt checkpoint_rows[] = {
    { "interval", &rkp_duration, 0, .def = "10s", .bounded = true, .min = 1e6, .max = 1e18,
      .help = "how often positions and state are saved", .also = "every period" },
    { 0 },
};

static const rkp_choice ingresses[] = {
    { "auto", 0, "mapped" },
    { "mapped", 1, "blocks read pinned memory of the host" },
    { "relay", RKI_NOT_YET, "one block reads for all others" },
    { "frames", RKI_NOT_YET, "the copy engine moves frames" },
    { 0 },
};

#define G(f) offsetof(rki_gpu_conf, f)
static const rkp_opt gpu_rows[] = {
    { "devices", &rki_any, 0, .optional = true, .help = "which cards", .not_yet = "" },
    { "memory_limit", &rki_any, 0, .optional = true, .help = "memory of a card", .not_yet = "" },
    { "watchdog", &rkp_duration, G(watchdog_ns), .def = "10s", .bounded = true, .min = 1e8, .max = 1e18,
      .help = "how long a block may show no sign of life before the run fails, and the engine before a block leaves" },
    { "simulate", &rkp_bool, G(simulate), .def = "false",
      .help = "threads in place of a card, for tests: slow, and needs a C++ compiler" },
    { "ingress", &rkp_choice_type, G(ingress), .def = "auto", .choices = ingresses, .help = "how rows come to a card" },
    { 0 },
};

static const rkp_opt shutdown_rows[] = {
    { "grace", &rkp_duration, 0, .def = "30s", .help = "how long a drain may take after the first signal",
      .also = "timeout" },
    { 0 },
};

#define E(f) offsetof(rki_engine_conf, f)
static const rkp_opt engine_rows[] = {
    { "backend", &rkp_choice_type, E(backend), .def = "auto", .choices = backends, .help = "what kernels run on",
      .also = "device" },
    { "threads", &rkp_uint, E(threads), .def = "0", .bounded = true, .min = 0, .max = 1024,
      .help = "worker threads; 0 is one per core", .also = "workers parallelism" },
    { "memory_limit", &rkp_size, E(memory_limit), .optional = true, .bounded = true, .min = 1 << 20, .max = 1e15,
      .unit = "bytes", .help = "memory for batches and state", .also = "memory max_memory" },
    { "data_dir", &rkp_path, E(data_dir), .optional = true, .help = "folder for spill and locks (.rkpipe/NAME)" },
    { "delivery", &rkp_choice_type, E(delivery), .optional = true, .choices = deliveries,
      .help = "what a crash may lose" },
    { "allow_exec", &rkp_bool, E(allow_exec), .def = "false", .help = "may the pipeline start commands" },
    { "module_dir", &rki_any, 0, .optional = true, .help = "folder of operator modules", .not_yet = "" },
    { "checkpoint", &rkp_object, E(checkpoint_ns), .def = "{}", .help = "what a crash or a signal does not lose",
      .sub = checkpoint_rows, .sub_size = sizeof(uint64_t), .short_key = "interval" },
    { "shutdown", &rkp_object, E(grace_ns), .def = "{}", .help = "how the engine ends", .sub = shutdown_rows,
      .sub_size = sizeof(uint64_t) },
    { "clock", &rki_any, 0, .optional = true, .help = "the hybrid clock", .not_yet = "" },
    { "gpu", &rkp_object, E(gpu), .def = "{}", .help = "graphics cards", .sub = gpu_rows,
      .sub_size = sizeof(rki_gpu_conf) },
    { 0 },
};

static const rkp_choice modes[] = {
    { "auto", RKI_MODE_AUTO, "batch when every source ends" },
    { "batch", RKI_MODE_BATCH, "ends when every source is exhausted" },
    { "stream", RKI_MODE_STREAM, "runs until it is stopped" },
    { 0 },
};

struct stop_after {
    uint64_t rows, ns;
};
_Static_assert(offsetof(rki_run_conf, stop_ns) - offsetof(rki_run_conf, stop_rows) == offsetof(struct stop_after, ns),
               "stop_after is a part of rki_run_conf");

static const rkp_opt stop_rows[] = {
    { "rows", &rkp_uint, offsetof(struct stop_after, rows), .optional = true, .bounded = true, .min = 1, .max = 1e18,
      .help = "rows read from all sources" },
    { "duration", &rkp_duration, offsetof(struct stop_after, ns), .optional = true, .help = "time since the start" },
    { 0 },
};

struct run_in {
    rki_run_conf c;
    rkp_words fail_on;
};
_Static_assert(offsetof(rki_top, fail_on) - offsetof(rki_top, run) == offsetof(struct run_in, fail_on),
               "run_in is a part of rki_top");

#define R(f) offsetof(struct run_in, f)
static const rkp_opt run_rows[] = {
    { "mode", &rkp_choice_type, R(c.mode), .def = "auto", .choices = modes, .help = "when the run ends" },
    { "max_bad_ratio", &rkp_ratio, R(c.max_bad_ratio), .def = "1",
      .help = "share of rows that may be bad before the run fails" },
    { "fail_on", &rkp_word_list, R(fail_on), .optional = true,
      .help = "what makes the exit code 65: dead_letter, drop (bad rows dropped, full queues; not what a filter leaves "
              "out), alert:info, alert:warn or alert:page (an alert of that severity or a worse one has fired)" },
    { "summary", &rkp_path, R(c.summary), .optional = true, .help = "a file for the summary as JSON" },
    { "stop_after", &rkp_object, R(c.stop_rows), .optional = true, .help = "ends the run early", .sub = stop_rows,
      .sub_size = sizeof(struct stop_after) },
    { 0 },
};

// ---- reload

static const rkp_choice keep_states[] = {
    { "fail", RKI_KEEP_FAIL, "a change that a kernel's state does not fit is refused" },
    { "reset", RKI_KEEP_RESET, "the kernel begins anew" },
    { 0 },
};

static const rkp_choice consistencies[] = {
    { "hop", RKI_CONSISTENT_HOP, "each kernel on it, by itself" },
    { "path", RKI_CONSISTENT_PATH, "all of it: kernels between those that change stand still for the change" },
    { 0 },
};

#define RL(f) offsetof(rki_reload_conf, f)
static const rkp_opt reload_rows[] = {
    { "quiesce_timeout", &rkp_duration, RL(quiesce_ns), .def = "5s",
      .help = "how long kernels that are replaced may take to come to a batch boundary" },
    { "drain_timeout", &rkp_duration, RL(drain_ns), .def = "30s",
      .help = "how long kernels that are removed may take for what is on its way to them" },
    { "keep_state", &rkp_choice_type, RL(keep_state), .def = "fail", .choices = keep_states,
      .help = "what becomes of state that does not fit a change" },
    { "keep_generations", &rkp_uint, RL(generations), .def = "5", .bounded = true, .min = 1, .max = 1000,
      .help = "files of earlier generations that are kept for rollback" },
    { "watch", &rkp_bool, RL(watch), .def = "false",
      .help = "reload the file when it changes, or a file that it includes; as --watch" },
    { "debounce", &rkp_duration, RL(debounce_ns), .def = "1s",
      .help = "of watch: how long the files must stay as they are before they count" },
    { "consistency", &rkp_choice_type, RL(consistency), .def = "hop", .choices = consistencies,
      .help = "what of a message's way is of one generation" },
    { "prepare_timeout", &rkp_duration, RL(prepare_ns), .def = "60s",
      .help = "how long the new generation may take to be built; looked at between its steps" },
    { "on_timeout", &rki_any, 0, .optional = true, .help = "rollback or force", .not_yet = "it always goes back" },
    { 0 },
};

// ---- fields of a kernel

static const rkp_choice overflows[] = {
    { "block", RKI_OVERFLOW_BLOCK, "the producer waits" },
    { "drop_oldest", RKI_OVERFLOW_DROP_OLDEST, "the oldest message is dropped and counted" },
    { "drop_newest", RKI_OVERFLOW_DROP_NEWEST, "the new message is dropped and counted" },
    { "dead_letter", RKI_OVERFLOW_DEAD_LETTER, "the new message becomes dead letters" },
    { "fail", RKI_OVERFLOW_FAIL, "the run fails" },
    { "spill", RKI_OVERFLOW_SPILL, "messages wait on disk" },
    { 0 },
};

static const rkp_opt spill_rows[] = {
    { "max_bytes", &rkp_size, 0, .optional = true, .bounded = true, .min = 65536, .max = 1e15, .unit = "bytes",
      .help =
          "of the log on disk of each edge; when it is full, the producer waits; not given: as much as the disk takes",
      .also = "bytes max_size size limit" },
    { 0 },
};

#define K(f) offsetof(rki_kernel_conf, f)
#define Q(f) (K(queue.f) - K(queue))
static const rkp_opt queue_rows[] = {
    { "capacity", &rkp_uint, Q(capacity), .def = "1024", .bounded = true, .min = 1, .max = 1 << 20, .unit = "messages",
      .help = "rounded up to a power of two", .also = "size length max_messages limit" },
    { "bytes", &rkp_size, Q(bytes), .def = "8MiB", .bounded = true, .min = 4096, .max = 1e15, .unit = "bytes",
      .help = "the first limit reached counts", .also = "max_bytes max_size" },
    { "overflow", &rkp_choice_type, Q(overflow), .optional = true, .choices = overflows,
      .help = "what happens when it is full: block, but for topics of a stream spill (drop_oldest with at_most_once)",
      .also = "when_full policy on_full" },
    { "spill", &rkp_object, Q(spill_bytes), .def = "{}", .help = "of overflow: spill", .sub = spill_rows,
      .sub_size = sizeof(uint64_t), .short_key = "max_bytes", .also = "disk max_disk" },
    { 0 },
};

#define B(f) (K(batch.f) - K(batch))
static const rkp_opt batch_rows[] = {
    { "count", &rkp_uint, B(count), .optional = true, .bounded = true, .min = 1, .max = 1 << 24, .unit = "rows",
      .help = "merges and splits messages to so many rows", .also = "size max_batch_size batch_size max_events rows" },
    { "bytes", &rkp_size, B(bytes), .optional = true, .bounded = true, .min = 1, .max = 1 << 30, .unit = "bytes",
      .help = "flushes at so many bytes", .also = "byte_size max_bytes" },
    { "period", &rkp_duration, B(period_ns), .optional = true,
      .help = "flushes so long after the first row came; 0: when the kernel is idle (the default of a stream)",
      .also = "timeout timeout_secs" },
    { "preferred", &rki_any, 0, .optional = true, .help = "sizes that the kernel likes", .not_yet = "",
      .also = "preferred_batch_size" },
    { "deadline", &rki_any, 0, .optional = true, .help = "flushes before a message is late", .not_yet = "",
      .also = "max_queue_delay_microseconds" },
    { 0 },
};

static const rkp_choice place_modes[] = {
    { "auto", RKI_PLACE_MODE_AUTO, "on the shared workers; on a device: persistent" },
    { "thread", RKI_PLACE_MODE_THREAD, "a thread of its own" },
    { "persistent", RKI_PLACE_MODE_PERSISTENT, "resident on the device" },
    { "launch", RKI_NOT_YET, "one launch per batch" },
    { 0 },
};

static const rkp_choice fallbacks[] = {
    { "fail", RKI_FALLBACK_FAIL, "the run does not begin" },
    { "cpu", RKI_FALLBACK_CPU, "the kernel runs on the processor, and the summary says so" },
    { 0 },
};

#define P(f) (K(place.f) - K(place))
static const rkp_opt place_rows[] = {
    { "device", &device_type, P(device), .def = "auto", .choices = devices, .help = "auto, cpu, gpu or gpu:N" },
    { "mode", &rkp_choice_type, P(mode), .def = "auto", .choices = place_modes, .help = "how it gets its time" },
    { "blocks", &rkp_uint, P(blocks), .def = "0", .bounded = true, .min = 0, .max = 1024,
      .help = "blocks on the device; 0: one" },
    { "threads", &rkp_uint, P(threads), .def = "0", .bounded = true, .min = 0, .max = 1024,
      .help = "threads of a block, a multiple of 32; 0: 256" },
    { "pin", &rki_any, 0, .optional = true, .help = "processors to stay on", .not_yet = "" },
    { "fallback", &rkp_choice_type, P(fallback), .def = "fail", .choices = fallbacks,
      .help = "when the device is not there" },
    { 0 },
};

static const rkp_choice actions[] = {
    { "fail", RKI_ERR_FAIL, "the run fails" },
    { "drop", RKI_ERR_DROP, "the row is dropped and counted" },
    { "dead_letter", RKI_ERR_DEAD_LETTER, "the row goes to the dead-letter kernel" },
    { 0 },
};

static const rkp_opt error_rows[] = {
    { "action", &rkp_choice_type, offsetof(rki_error_conf, action), .optional = true, .choices = actions,
      .help = "what happens to a row that is in error" },
    { "max_ratio", &rkp_ratio, offsetof(rki_error_conf, max_ratio), .def = "1",
      .help = "share of rows after which the kernel fails all the same" },
    { "reason", &rkp_string, offsetof(rki_error_conf, reason), .optional = true,
      .help = "the reason that is counted instead of the operator's own" },
    { 0 },
};

static const rkp_choice priorities[] = {
    { "low", RKI_PRIO_LOW, "when nothing else is ready" },
    { "normal", RKI_PRIO_NORMAL, "as the others" },
    { "high", RKI_PRIO_HIGH, "before normal ones" },
    { "critical", RKI_PRIO_CRITICAL, "before all others" },
    { 0 },
};

static const rkp_choice orders[] = {
    { "fifo", RKI_ORDER_FIFO, "each producer's messages in the order it sent them (the default)" },
    { "none", RKI_ORDER_NONE, "no promise" },
    { "key", RKI_ORDER_KEY, "fifo per key, with partition_by" },
    { "hlc", RKI_ORDER_HLC, "one global order, by time stamp: never an effect before its cause" },
    { 0 },
};

static const rkp_choice fuses[] = {
    { "auto", 0, "the planner may run it in one actor with its neighbours" },
    { "never", 1, "an actor of its own" },
    { 0 },
};

static const rkp_choice starts[] = {
    { "active", 0, "it runs from the start" },
    { "suspended", 1, "it waits to be activated" },
    { 0 },
};

static const rkp_choice starts_from[] = {
    { "now", RKI_FROM_NOW, "what is published from the start of the subscription" },
    { "last", RKI_FROM_LAST, "first the newest retained message of each topic" },
    { "earliest", RKI_FROM_EARLIEST, "first all retained messages" },
    { 0 },
};

#define S(f) offsetof(rki_subscription, f)
const rkp_opt rki_subscribe_rows[] = {
    // the pattern first
    { "topic", &rkp_string, S(topic), .required = true, .no_secrets = true,
      .help = "a pattern: '*' is one level, '#' at the end the rest", .also = "pattern name" },
    { "where", &rkp_expr_text, S(where), .optional = true, .help = "only rows for which this is true",
      .also = "filter condition when" },
    { "start", &rkp_choice_type, S(start), .def = "now", .choices = starts_from, .help = "where it begins",
      .also = "from offset auto_offset_reset" },
    { "group", &rkp_string, S(group), .optional = true, .help = "members of one group share the messages",
      .also = "queue consumer_group queue_group" },
    { 0 },
};

// "topic", or {port: topic}.  Stored as pairs; the key of a bare topic is empty.
static rkp_status parse_publish(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, void *field)
{
    rkp_pair *one;
    rkp_status st;

    if (n->kind == RKI_MAP) {
        st = rkp_word_map.parse(c, row, n, field);
        if (st == RKP_OK && ((rkp_pairs *)field)->n == 0) {
            rkp_diag(c->diags, RKP_ERROR, n->at, "key-missing", "'publish' needs a topic, or topics by port");
            return RKP_INVALID;
        }
        return st;
    }
    if (!rki_opt_scalar(c, row, n, "a topic, or a mapping of ports to topics"))
        return RKP_INVALID;
    one = rki_array(c->arena, 1, sizeof *one);
    if (!one)
        return RKP_NOMEM;
    one->val = rki_node_word(n);
    *(rkp_pairs *)field = (rkp_pairs){ one, 1, n->at };
    return RKP_OK;
}

static void print_publish(const rkp_opt *row, const void *field, struct rki_json *out)
{
    rkp_word_map.print(row, field, out);
}

static void schema_publish(const rkp_opt *row, struct rki_json *out)
{
    (void)row;
    rki_json_key(out, "anyOf");
    rki_json_raw(out, RKP_STR("[{\"type\":\"string\",\"minLength\":1},{\"type\":\"object\",\"minProperties\":1,"
                              "\"additionalProperties\":{\"type\":\"string\",\"minLength\":1}}]"));
}

static const rkp_opt_type publish_type = { "topic, or topics by port", sizeof(rkp_pairs), parse_publish, print_publish,
                                           schema_publish };

static const rkp_choice policies[] = {
    { "never", RKI_RESTART_NEVER, "a failure fails the run" },
    { "on_failure", RKI_RESTART_ON_FAILURE, "it is started again when it failed" },
    { "always", RKI_RESTART_ALWAYS, "also when it ended by itself (sources)" },
    { 0 },
};

static const rkp_choice exhausted[] = {
    { "fail", RKI_EXHAUSTED_FAIL, "the run fails" },
    { "isolate", RKI_EXHAUSTED_ISOLATE, "the run goes on without the kernel" },
    { 0 },
};

#define X(f) offsetof(rki_restart_conf, f)
#define Y(f) offsetof(rki_backoff, f)
static const rkp_opt backoff_rows[] = {
    { "initial", &rkp_duration, Y(initial_ns), .def = "100ms", .help = "before the first try" },
    { "max", &rkp_duration, Y(max_ns), .def = "10s", .help = "the longest" },
    { "multiplier", &rkp_float, Y(multiplier), .def = "2", .bounded = true, .min = 1, .max = 100,
      .help = "from try to try", .also = "factor" },
    { "jitter", &rkp_ratio, Y(jitter), .def = "0", .help = "share of it that is left to chance" },
    { 0 },
};

static const rkp_opt restart_rows[] = {
    { "policy", &rkp_choice_type, X(policy), .def = "on_failure", .choices = policies, .help = "when it is restarted" },
    { "max", &rkp_uint, X(max), .def = "3", .bounded = true, .min = 1, .max = 1e6, .help = "restarts in one window",
      .also = "intensity max_restarts limit" },
    { "window", &rkp_duration, X(window_ns), .def = "60s", .help = "time in which restarts count", .also = "period" },
    { "backoff", &rkp_object, X(backoff), .def = "{}", .help = "the wait before a restart", .also = "delay",
      .sub = backoff_rows, .sub_size = sizeof(rki_backoff), .short_key = "initial" },
    { "on_exhausted", &rkp_choice_type, X(on_exhausted), .def = "fail", .choices = exhausted,
      .help = "what happens past 'max'" },
    { 0 },
};

#define Z(f) offsetof(rki_retry_conf, f)
static const rkp_opt retry_rows[] = {
    { "max_attempts", &rkp_uint, Z(max_attempts), .def = "5", .bounded = true, .min = 1, .max = 1e6, .unit = "attempts",
      .help = "with the first one", .also = "max_retries retries attempts count limit" },
    { "max_elapsed", &rkp_duration, Z(max_elapsed_ns), .optional = true,
      .help = "no attempt begins later than this after the first", .also = "max_elapsed_time deadline timeout" },
    { "backoff", &rkp_object, Z(backoff), .def = "{}", .help = "the wait before the next attempt", .also = "delay",
      .sub = backoff_rows, .sub_size = sizeof(rki_backoff), .short_key = "initial" },
    { "errors", &rkp_word_list, Z(errors), .optional = true,
      .help = "only after these errors; absent: all that the operator knows ('rkpipe describe OPERATOR')",
      .also = "on when reasons retry_on" },
    { 0 },
};

static const rkp_choice fulls[] = {
    { "evict", RKI_FULL_EVICT, "the key that was not seen for longest goes, and is counted" },
    { "fail", RKI_FULL_FAIL, "the kernel fails" },
    { 0 },
};

#define SC(f) offsetof(rki_state_conf, f)
static const rkp_opt state_rows[] = {
    { "ttl", &rkp_duration, SC(ttl_ns), .optional = true, .bounded = true, .min = 1000, .max = 3e18,
      .help = "how long a key is remembered; absent: until the end", .also = "within window expire max_age" },
    { "max_keys", &rkp_uint, SC(max_keys), .optional = true, .bounded = true, .min = 1, .max = 4e9, .unit = "keys",
      .help = "of each replica; absent: as many as its memory takes", .also = "capacity size limit num_events" },
    { "on_full", &rkp_choice_type, SC(on_full), .def = "evict", .choices = fulls,
      .help = "what happens when there is one more key", .also = "overflow" },
    { 0 },
};

#define QUEUE_ROW                                                                                                      \
    {                                                                                                                  \
        "queue", &rkp_object, K(queue), .def = "{}", .help = "the ring at its input", .also = "buffer",                \
                                        .sub = queue_rows, .sub_size = sizeof(((rki_kernel_conf *)0)->queue)           \
    }
#define BATCH_ROW                                                                                                      \
    {                                                                                                                  \
        "batch", &rkp_object, K(batch), .optional = true, .help = "sizes of the messages at its input",                \
                                        .sub = batch_rows, .sub_size = sizeof(((rki_kernel_conf *)0)->batch)           \
    }
#define ERROR_ROW                                                                                                      \
    {                                                                                                                  \
        "on_error", &rkp_object, K(k.on_error), .optional = true, .help = "what happens to rows in error",             \
                                                .also = "errors error_handling catch", .sub = error_rows,              \
                                                .sub_size = sizeof(rki_error_conf), .short_key = "action"              \
    }
#define PLACE_ROW                                                                                                      \
    {                                                                                                                  \
        "place", &rkp_object, K(place), .def = "{}", .help = "where it runs", .sub = place_rows,                       \
                                        .sub_size = sizeof(((rki_kernel_conf *)0)->place), .short_key = "device"       \
    }
#define RETRY_ROW                                                                                                      \
    {                                                                                                                  \
        "retry", &rkp_object, K(k.retry), .optional = true, .help = "tries again what failed", .sub = retry_rows,      \
                                          .sub_size = sizeof(rki_retry_conf), .short_key = "max_attempts"              \
    }

const rkp_opt rki_kernel_rows[] = {
    { "op", &rkp_string, K(k.op_name), .required = true, .help = "the operator it runs ('rkpipe list ops')",
      .also = "type operator kind plugin processor" },
    { "with", &rki_any, K(with), .optional = true, .help = "the operator's options",
      .also = "options args config params parameters settings properties" },
    { "from", &rkp_word_list, K(from), .optional = true, .help = "kernels, or kernel.port, whose output it reads",
      .also = "inputs input source sources depends_on needs after" },
    { "subscribe", &rkp_objects, K(subscribe), .optional = true, .help = "topics it reads, by pattern",
      .also = "topics topic listen", .sub = rki_subscribe_rows, .sub_size = sizeof(rki_subscription),
      .short_key = "topic" },
    { "publish", &publish_type, K(publish), .optional = true, .no_secrets = true, .templated = true,
      .help = "the topic its output goes to, or a topic for each port", .also = "emit produce" },
    PLACE_ROW,
    { "replicas", &replicas_type, K(k.replicas), .def = "1", .bounded = true, .min = 1, .max = 1024,
      .help = "copies that share the work, or auto",
      .also = "threads workers parallelism concurrency instance_group instances max_in_flight" },
    { "partition_by", &rkp_expr_text, K(k.partition_by), .optional = true,
      .help = "a column or expression: one key always goes to one replica", .also = "partition_key" },
    { "order", &rkp_choice_type, K(order), .optional = true, .choices = orders,
      .help = "the order it gets messages in" },
    { "priority", &rkp_choice_type, K(k.priority), .def = "normal", .choices = priorities,
      .help = "which ready kernel runs first" },
    QUEUE_ROW,
    BATCH_ROW,
    { "fuse", &rkp_choice_type, K(fuse), .def = "auto", .choices = fuses, .help = "may it share an actor" },
    { "delivery", &rkp_choice_type, K(delivery), .optional = true, .choices = side,
      .help = "relaxes the pipeline's level for a side output" },
    ERROR_ROW,
    RETRY_ROW,
    { "restart", &rkp_object, K(k.restart), .optional = true, .help = "what happens when it fails",
      .also = "supervision supervise", .sub = restart_rows, .sub_size = sizeof(rki_restart_conf),
      .short_key = "policy" },
    { "start", &rkp_choice_type, K(start), .def = "active", .choices = starts, .help = "does it run from the start" },
    { "timeout", &rkp_duration, K(k.timeout_ns), .optional = true,
      .help = "longest time for one message: past it the kernel hangs, and the run fails" },
    { "state", &rkp_object, K(k.state), .optional = true, .help = "bounds of what it remembers",
      .also = "ttl max_keys within cache", .sub = state_rows, .sub_size = sizeof(rki_state_conf) },
    { "enabled", &rkp_bool, K(k.enabled), .def = "true", .help = "false leaves it out, with its edges",
      .also = "disabled active" },
    { "labels", &rkp_word_map, K(k.labels), .optional = true, .no_secrets = true, .help = "for metrics and people",
      .also = "tags metadata annotations" },
    { "description", &rkp_string, K(k.description), .optional = true, .help = "for people",
      .also = "doc comment help" },
    { 0 },
};

const rkp_opt rki_defaults_rows[] = { QUEUE_ROW, BATCH_ROW, RETRY_ROW, ERROR_ROW, PLACE_ROW, { 0 } };

// ---- top level

static const rkp_opt store_rows[] = {
    { "bytes", &rkp_size, offsetof(rki_store_conf, bytes), .def = "1GiB", .bounded = true, .min = 1 << 20, .max = 1e15,
      .unit = "bytes", .help = "on disk; the oldest go", .also = "size max_bytes limit" },
    { "age", &rkp_duration, offsetof(rki_store_conf, age_ns), .def = "7d",
      .help = "how long they are kept; 0 is for ever", .also = "retention ttl max_age" },
    { 0 },
};

static const rkp_opt dead_letter_rows[] = {
    { "kernel", &rkp_string, offsetof(rki_dead_conf, kernel), .optional = true, .help = "the kernel that gets them" },
    { "topic", &rkp_string, offsetof(rki_dead_conf, topic), .optional = true, .no_secrets = true,
      .help = "the topic they go to" },
    { "store", &rkp_object, offsetof(rki_dead_conf, store), .optional = true,
      .help = "keeps them on disk, with their rows, for 'rkpipe dlq'", .sub = store_rows,
      .sub_size = sizeof(rki_store_conf), .also = "keep disk" },
    { 0 },
};

#define T(f) offsetof(rki_top, f)
const rkp_opt rki_top_rows[] = {
    { "version", &version_type, T(version), .required = true, .help = "the version of this format, as in version: 1" },
    { "name", &rkp_string, T(name), .optional = true, .no_secrets = true,
      .help = "of the pipeline; the file's stem when absent" },
    { "description", &rkp_string, T(description), .optional = true, .help = "for people" },
    { "include", &rki_any, T(include), .optional = true, .help = "files, relative to this one; globs" },
    { "vars", &rki_any, T(vars), .optional = true, .help = "values from outside: --var, RKPIPE_VAR_NAME",
      .also = "variables params parameters globals env" },
    { "secrets", &rki_any, T(secrets), .optional = true, .help = "stores of secrets" },
    { "engine", &rkp_object, T(engine), .def = "{}", .help = "the engine", .sub = engine_rows,
      .sub_size = sizeof(rki_engine_conf) },
    { "run", &rkp_object, T(run), .def = "{}", .help = "the run", .sub = run_rows, .sub_size = sizeof(struct run_in) },
    { "reload", &rkp_object, T(reload), .def = "{}", .help = "replacing the pipeline as it runs", .sub = reload_rows,
      .sub_size = sizeof(rki_reload_conf) },
    { "admin", &rkp_object, T(admin), .def = "{}", .help = "the admin socket", .sub = rki_admin_rows,
      .sub_size = sizeof(rki_admin_conf) },
    { "telemetry", &rkp_object, T(telemetry), .def = "{}", .help = "metrics and logs", .sub = rki_telemetry_rows,
      .sub_size = sizeof(rki_telemetry_conf), .also = "metrics logger logging logs tracer" },
    { "defaults", &rki_any, T(defaults), .optional = true, .help = "fields for every kernel" },
    { "schemas", &rki_any, T(schemas), .optional = true, .help = "columns by name" },
    { "topics", &rki_any, T(topics), .optional = true, .help = "what holds for topics, by pattern" },
    { "dead_letter", &rkp_object, T(dead_letter), .optional = true, .help = "where failed rows go",
      .sub = dead_letter_rows, .sub_size = sizeof(rki_dead_conf), .also = "dlq dead_letters deadletter" },
    { "templates", &rki_any, T(templates), .optional = true, .help = "kernels with parameters", .also = "macros" },
    { "kernels", &rki_any, T(kernels), .required = true, .help = "the kernels by id",
      .also = "steps nodes stages tasks jobs operators components flow flows actors graph" },
    { "alerts", &rkp_objects, T(alerts), .optional = true, .help = "alert rules", .also = "groups rules",
      .sub = rki_alert_rows, .sub_size = sizeof(rki_alert_conf) },
    { "notify", &rkp_object, T(notify), .optional = true, .help = "who is told of alerts, and when",
      .also = "receivers route", .sub = rki_notify_rows, .sub_size = sizeof(rki_notify_conf) },
    { "tests", &rki_any, T(tests), .optional = true, .help = "tests of the pipeline; 'run' ignores them" },
    { 0 },
};

#define C(f) offsetof(rki_topic_conf, f)
#define D(f) (C(retain.f) - C(retain))
static const rkp_opt retain_rows[] = {
    { "count", &rkp_uint, D(count), .optional = true, .bounded = true, .min = 1, .max = 1 << 20, .unit = "messages",
      .help = "of each publisher and topic; absent: 1, or as many as `bytes` and `age` let when one of them is given" },
    { "bytes", &rkp_size, D(bytes), .def = "8MiB", .bounded = true, .min = 1, .max = 1e15, .unit = "bytes",
      .help = "of each publisher and subscription; the newest message is kept whatever its size" },
    { "age", &rkp_duration, D(age_ns), .optional = true, .help = "older ones are let go" },
    { 0 },
};

static const rkp_choice skews[] = {
    { "exclude", RKI_SKEW_EXCLUDE, "goes on without the slow publisher, which comes back above what was delivered" },
    { "strict", RKI_SKEW_STRICT, "waits on" },
    { "release", RKI_SKEW_RELEASE, "delivers, and counts what comes late" },
    { 0 },
};

const rkp_opt rki_topic_rows[] = {
    { "schema", &rkp_schema_name, C(schema), .optional = true, .help = "its columns: a name of 'schemas', or inline" },
    { "order", &rkp_choice_type, C(order), .optional = true, .choices = orders,
      .help = "the order its subscribers get messages in" },
    { "capacity", &rkp_uint, C(capacity), .optional = true, .bounded = true, .min = 1, .max = 1 << 20,
      .unit = "messages", .help = "of each edge; rounded up to a power of two" },
    { "bytes", &rkp_size, C(bytes), .optional = true, .bounded = true, .min = 4096, .max = 1e15, .unit = "bytes",
      .help = "of each edge" },
    { "overflow", &rkp_choice_type, C(overflow), .optional = true, .choices = overflows,
      .help = "what happens when an edge is full" },
    { "spill", &rkp_object, C(spill_bytes), .def = "{}", .help = "of overflow: spill", .sub = spill_rows,
      .sub_size = sizeof(uint64_t), .short_key = "max_bytes" },
    { "delivery", &rkp_choice_type, C(delivery), .optional = true, .choices = relaxed,
      .help = "relaxes the pipeline's level" },
    { "retain", &rkp_object, C(retain), .optional = true, .help = "keeps messages for later subscribers",
      .sub = retain_rows, .sub_size = sizeof(((rki_topic_conf *)0)->retain), .short_key = "count" },
    { "max_skew", &rkp_duration, C(max_skew_ns), .def = "50ms", .help = "order: hlc waits at most so long" },
    { "on_skew", &rkp_choice_type, C(on_skew), .def = "exclude", .choices = skews, .help = "and then" },
    { "heartbeat", &rkp_duration, C(heartbeat_ns), .def = "1ms",
      .help = "how often order: hlc looks at a busy publisher's clock" },
    { "description", &rkp_string, C(description), .optional = true, .help = "for people" },
    { 0 },
};

const rkp_opt rki_template_rows[] = {
    { "params", &rki_any, 0, .optional = true, .help = "what a use may set",
      .also = "args arguments parameters vars variables" },
    { "kernel", &rki_any, sizeof(const rkp_node *), .required = true, .help = "the kernel" },
    { 0 },
};
