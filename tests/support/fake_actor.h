// tests/support/fake_actor.h - drives one operator without the engine: the actor, bind and probe functions of
// rkpipe/op.h over plain lists.
//
//   Owns     the operator's instances, the pool, every batch that was emitted, copies of every text in a record
//   Threads  one
//   Fails    fake_new never returns NULL; fake.st and fake.verdict say how far it came
//   Limits   16 ports; rkp_wait_readable does not see rkp_stopping
//   Cost     for tests
//
// As in the engine, an operator that is cut in two has two instances: fake_poll runs poll on one and decode on the
// other, fake_feed runs encode on one and on_batch on the other.  A test reads f->out, f->rejects, f->drops.
#ifndef FAKE_ACTOR_H
#define FAKE_ACTOR_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/diag.h"
#include "spec/opt.h"
#include <pthread.h>
#include <rkpipe/op.h>

enum fake_on_error { FAKE_FAIL, FAKE_DROP };

typedef struct fake_conf {
    const rkp_op *op;
    const char *with;         // YAML of the `with:` mapping; NULL is none
    const rkp_schema *in;     // NULL: a source
    int on_error;             // enum fake_on_error
    uint64_t pool_limit;      // 0: 64 MiB
    uint64_t state_limit;     // 0: no limit
    bool no_probe;            // as when a probe could not run: rkp_bind_probed gives NULL
    bool may_read_stdin;      // as in `run`
    bool no_init;             // stop after bind
    unsigned replicas;        // 0: 1
    unsigned attempts;        // of rkp_retry_at, a second apart; 0: there is no `retry`
    rkp_bounds bounds;        // rkp_actor_bounds
    uint64_t queue_messages;  // 0: 1024
    uint64_t queue_bytes;     // 0: 8 MiB
    const char *const *env;   // rkp_actor_env
    const rkp_expr_var *vars; // var.x in expressions
    size_t n_vars;
    uint64_t unneeded[64]; // bit c: nobody reads out column c (rkp_actor_needed)
} fake_conf;

typedef struct fake_out {
    unsigned port;
    rkp_batch *b;
} fake_out;

typedef struct fake_reject {
    unsigned code;
    int col;       // -1: none
    rkp_str what;  // what was wrong
    rkp_str raw;   // rkp_reject_raw only
    rkp_str file;  // place
    uint64_t line; // 0: not known
    uint32_t row;  // rkp_reject only
} fake_reject;

typedef struct fake_drop {
    const char *reason;
    uint64_t rows;
} fake_drop;

typedef struct fake fake;

struct rkp_actor {
    fake *f;
    void *self;
    bool first_half; // what it emits goes to the other half, not to f->out
    rkp_frame *frame;
    rkp_errs errs;
};

struct rkp_bind {
    fake *f;
};

struct rkp_probe {
    fake *f;
};

struct fake {
    fake_conf conf;
    rkp_status st;       // of options, ports, probe, bind, init: the first that failed
    const char *stage;   // which one: "options" "ports" "probe" "bind" "init", or "" when all is well
    rkp_verdict verdict; // the last one
    rki_arena arena;
    rkp_diags *diags;
    rkp_opt_ctx opt;
    rkp_pool *pool;
    rkp_actor main;   // poll, on_batch, on_end, prepare, commit, abort
    rkp_actor stage2; // decode or encode; self is NULL when the operator has neither (or asked for `whole`)
    // what probe and bind said
    const void *probed;
    rkp_str kept;
    rkp_schema outs[16];
    unsigned n_outs;
    const rkp_word *port_names; // that options added
    size_t n_port_names;
    bool whole;
    const char *single;
    rkp_delivery delivery; // rkp_bind_delivery's; 0: not called
    const char *delivery_why;
    bool endless, no_wait;
    uint64_t reads[64]; // bit c: input column c is read
    int32_t pass[4096]; // out column -> input column, -1: not passed
    bool pass_all;
    // what happened
    fake_out *out;
    size_t n_out, cap_out;
    fake_out *half; // emitted by the first half, not taken by the second yet
    size_t n_half, cap_half;
    fake_reject *rejects;
    size_t n_rejects, cap_rejects;
    fake_drop *drops; // one entry a reason
    size_t n_drops, cap_drops;
    uint64_t absorbed;
    uint64_t counts[32]; // rkp_count by metric
    uint64_t emitted[16];
    char fail[1024]; // the first rkp_fail
    rkp_status fail_st;
    uint64_t done_bytes, total_bytes;
    uint64_t now_ns; // the test's clocks
    int64_t wall_us;
    uint64_t wake_at;
    bool stopping;
    bool is_kept;  // what rkp_kept says
    bool given_up; // rkp_wait_ready: at once, false
    rki_buf log;   // what rkp_log got; p is NULL when nothing
    pthread_mutex_t log_lock;
    bool committed;
    uint64_t state_used;
    uint64_t corr, next_corr;
    rkp_meta meta;
    rkp_scope scope; // rkp_bind_scope's answer
};

// Options, ports, probe, bind (three instances: the check's and the two that run), init.
fake *fake_new(const fake_conf *c);
// abort unless fake_finish has committed, fini of every instance, and everything the fake holds.  Returns the batches
// that were still referenced by somebody else (0, or the operator leaks).
uint64_t fake_free(fake *f);

// Source: polls once (and decodes what came).  Returns the verdict of poll, or FAIL when decode failed.
rkp_verdict fake_poll(fake *f);
// Polls until it does not say MORE or RETRY (at most `max` times; 0: no limit).
rkp_verdict fake_poll_all(fake *f, size_t max);
// Transform or sink: hands a batch to encode + on_batch, or on_batch; RETRY is offered again up to 1,000 times with the
// clock moved to where rkp_wake_at said.  PASS emits b.  Takes b.
rkp_verdict fake_feed(fake *f, unsigned port, rkp_batch *b);
// Moves the clock to where rkp_wake_at said, and runs on_timer.
rkp_verdict fake_tick(fake *f);
// on_end until it says neither MORE nor RETRY; the clock moves on RETRY.
rkp_verdict fake_end(fake *f);
// on_end, prepare, commit.
rkp_status fake_finish(fake *f);

// Texts for comparing.  All live until fake_free.
// Rows emitted on a port, values separated by '|', null as `null`, text as it is, one row a line.
const char *fake_rows(fake *f, unsigned port);
const char *fake_schema_text(const fake *f); // of its first output: "a i64?, b string?"
const char *fake_rows_of(fake *f, const rkp_batch *b);
// Bytes of the blobs emitted on port 0.
rkp_str fake_bytes(fake *f);
// "code|column|what|file:line" a line for each reject; column and what may be empty.
const char *fake_reject_text(fake *f);
uint64_t fake_dropped(const fake *f, const char *reason);
// All findings as text.
const char *fake_findings(fake *f);

// A schema from "a i64, b string?".
const rkp_schema *fake_schema(fake *f, const char *text);
rkp_schema fake_schema_in(rki_arena *a, const char *text);
// A FLAT batch from lines of fields separated by '|': an empty field is null when the column is nullable; `''` is an
// empty string.
rkp_batch *fake_batch(fake *f, const rkp_schema *s, const char *lines);

#endif
