// run_case.c - see run_case.h.
#include "run_case.h"
#include "backend_case.h"
#include "files.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
// after the above
#include <cmocka.h>

struct case_seen case_seen[CASE_IDS];
uint64_t case_gate[CASE_IDS];
uint64_t case_emitted[CASE_IDS];
case_result case_results[CASE_IDS];
char case_failure[65536];
rki_totals case_totals;
char live_said[256];

#define AT(type, field) offsetof(type, field)

static const rkp_field row_fields[] = {
    { { "p", 1 }, { .kind = RKP_I64 } },
    { { "n", 1 }, { .kind = RKP_I64 } },
    { { "k", 1 }, { .kind = RKP_STRING, .nullable = 1 } },
};
static const rkp_schema row_schema = { 3, row_fields };

// Another publisher's columns: other order, a narrower n, one more, one less.
static const rkp_field other_fields[] = {
    { { "x", 1 }, { .kind = RKP_F64 } },
    { { "n", 1 }, { .kind = RKP_I32 } },
    { { "p", 1 }, { .kind = RKP_I64 } },
};
static const rkp_schema other_schema = { 3, other_fields };

uint64_t case_now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t case_hash(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t h = (a * 0x9e3779b97f4a7c15ull ^ b) * 0xbf58476d1ce4e5b9ull ^ c;
    h = (h ^ h >> 31) * 0x94d049bb133111ebull;
    return h ^ h >> 29;
}

uint64_t case_key(uint64_t pick, uint64_t p, uint64_t n, uint64_t n_keys)
{
    return (pick ? case_hash(pick, p, n) : n) % n_keys;
}

static void nap(void)
{
    struct timespec ts = { 0, 100000 };
    nanosleep(&ts, NULL);
}

// ---- sources --------------------------------------------------------------------------------------------------------

struct pub {
    uint64_t id, rows, batch, pick, gate, every_ns, stall, fail_every, other;
    rkp_words keys;
    uint64_t next, due;
};

static const rkp_opt pub_opts[] = {
    { "id", &rkp_uint, AT(struct pub, id), .required = true, .help = "p" },
    { "rows", &rkp_uint, AT(struct pub, rows), .def = "0", .help = "how many; 0: without end" },
    { "batch", &rkp_uint, AT(struct pub, batch), .def = "1", .help = "rows of a batch" },
    { "pick", &rkp_uint, AT(struct pub, pick), .def = "0", .help = "seed of the keys; 0: in turns" },
    { "gate", &rkp_uint, AT(struct pub, gate), .def = "0", .help = "rows that may be emitted" },
    { "every", &rkp_duration, AT(struct pub, every_ns), .optional = true, .help = "between batches" },
    { "stall", &rkp_uint, AT(struct pub, stall), .def = "0", .help = "waits in poll for this gate to open" },
    { "fail_every", &rkp_uint, AT(struct pub, fail_every), .def = "0", .help = "polls" },
    { "other", &rkp_uint, AT(struct pub, other), .def = "0", .help = "1: other columns" },
    { "keys", &rkp_word_list, AT(struct pub, keys), .def = "[a]", .help = "~ is null" },
    { 0 },
};

static rkp_status pub_bind(void *self, rkp_bind *b)
{
    struct pub *s = self;
    rkp_bind_out(b, 0, s->other ? other_schema : row_schema);
    if (!s->rows)
        rkp_bind_endless(b);
    return RKP_OK;
}

static rkp_status pub_init(void *self, rkp_actor *a)
{
    struct pub *s = self;
    (void)a;
    case_add(case_seen[s->id].inits, 1);
    s->next = case_look(case_emitted[s->id]);
    return RKP_OK;
}

static rkp_batch *pub_rows(const struct pub *s, rkp_actor *a, uint64_t from, uint32_t n)
{
    rkp_batch *b = rkp_batch_new(rkp_actor_pool(a), s->other ? &other_schema : &row_schema, 3, 4096);
    int64_t *p = b ? rkp_batch_alloc(b, n * sizeof *p) : NULL, *v = b ? rkp_batch_alloc(b, n * sizeof *v) : NULL;
    rkp_str *k = b ? rkp_batch_alloc(b, n * sizeof *k) : NULL;
    int32_t *v32 = b ? rkp_batch_alloc(b, n * sizeof *v32) : NULL;
    double *x = b ? rkp_batch_alloc(b, n * sizeof *x) : NULL;
    if (!p || !v || !k || !v32 || !x)
        return NULL;
    for (uint32_t i = 0; i < n; i++) {
        rkp_word key = s->keys.v[case_key(s->pick, s->id, from + i, s->keys.n)];
        p[i] = (int64_t)s->id;
        v[i] = (int64_t)(from + i);
        v32[i] = (int32_t)(from + i);
        x[i] = (double)(from + i) * 0.5;
        k[i] = rkp_str_is(rkp_word_str(key), "~") ? (rkp_str){ NULL, 0 } : rkp_word_str(key);
    }
    b->rows = n;
    if (s->other) {
        rkp_col_set_values(b, 0, other_fields[0].type, x, NULL, n);
        rkp_col_set_values(b, 1, other_fields[1].type, v32, NULL, n);
        rkp_col_set_values(b, 2, other_fields[2].type, p, NULL, n);
    } else {
        rkp_col_set_values(b, 0, row_fields[0].type, p, NULL, n);
        rkp_col_set_values(b, 1, row_fields[1].type, v, NULL, n);
        if (rkp_col_set_strs(b, 2, row_fields[2].type, k, n) != RKP_OK) {
            rkp_batch_put(b);
            return NULL;
        }
    }
    return b;
}

static rkp_verdict pub_poll(void *self, rkp_actor *a)
{
    struct pub *s = self;
    uint64_t allowed = s->gate ? case_look(case_gate[s->gate]) : UINT64_MAX, n = s->batch;
    rkp_batch *b;
    while (s->stall && !case_look(case_gate[s->stall]) && !rkp_stopping(a))
        nap(); // a long step
    if (s->rows && s->next >= s->rows)
        return RKP_DONE;
    if (s->next >= allowed || (s->every_ns && rkp_now_ns(a) < s->due)) {
        rkp_wake_at(a, rkp_now_ns(a) + 100000);
        return RKP_RETRY;
    }
    s->due = rkp_now_ns(a) + s->every_ns;
    if (s->rows && n > s->rows - s->next)
        n = s->rows - s->next;
    if (n > allowed - s->next)
        n = allowed - s->next;
    b = pub_rows(s, a, s->next, (uint32_t)n);
    if (!b)
        return rkp_fail(a, RKP_NOMEM, "out of memory");
    s->next += n;
    rkp_emit(a, 0, b);
    case_add(case_emitted[s->id], n);
    if (s->fail_every && (case_add(case_seen[s->id].calls, 1) + 1) % s->fail_every == 0)
        return rkp_fail(a, RKP_IO, "source %llu fails", (unsigned long long)s->id);
    return RKP_MORE;
}

static void pub_fini(void *self)
{
    case_add(case_seen[((struct pub *)self)->id].finis, 1);
}

static rkp_status pub_save(void *self, rkp_actor *a, rkp_save *to)
{
    (void)a;
    rkp_save_u64(to, ((struct pub *)self)->next);
    return RKP_OK;
}

static rkp_status pub_restore(void *self, rkp_actor *a, rkp_load *from)
{
    struct pub *s = self;
    (void)a;
    s->next = rkp_load_u64(from);
    return RKP_OK;
}

static const rkp_op op_pub = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "t.pub",
    .kind = RKP_SOURCE,
    .summary = "Rows.",
    .traits = RKP_FINITE | RKP_DETERMINISTIC,
    .self_size = sizeof(struct pub),
    .opts = pub_opts,
    .bind = pub_bind,
    .init = pub_init,
    .poll = pub_poll,
    .fini = pub_fini,
    .state_version = 1,
    .save = pub_save,
    .restore = pub_restore,
};

static const rkp_op op_live = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "t.live",
    .kind = RKP_SOURCE,
    .summary = "Rows, for ever.",
    .traits = RKP_RESTARTS | RKP_FINITE,
    .self_size = sizeof(struct pub),
    .opts = pub_opts,
    .bind = pub_bind,
    .init = pub_init,
    .poll = pub_poll,
    .fini = pub_fini,
};

// ---- transforms -----------------------------------------------------------------------------------------------------

struct step {
    uint64_t id, fail_from, fail_to, poison, fail_inits, skip_inits, fail_ends, fail_timers, gate, take, dawdle_ns,
        init_gate, begin_gate, bad_every;
    bool early; // emits half of the batch before it fails
    bool ready, ended, broken;
    uint64_t held; // rows that t.acc has
};

static const rkp_opt step_opts[] = {
    { "id", &rkp_uint, AT(struct step, id), .def = "0", .help = "of its counts" },
    { "fail_from", &rkp_uint, AT(struct step, fail_from), .def = "0", .help = "calls of all instances, from 1" },
    { "fail_to", &rkp_uint, AT(struct step, fail_to), .def = "0", .help = "the last of them" },
    { "poison", &rkp_uint, AT(struct step, poison), .def = "0", .help = "fails where this n is in it" },
    { "fail_inits", &rkp_uint, AT(struct step, fail_inits), .def = "0", .help = "so many inits fail" },
    { "skip_inits", &rkp_uint, AT(struct step, skip_inits), .def = "0", .help = "so many do not before" },
    { "fail_ends", &rkp_uint, AT(struct step, fail_ends), .def = "0", .help = "so many ends fail" },
    { "gate", &rkp_uint, AT(struct step, gate), .def = "0", .help = "waits in a call for this gate" },
    { "take", &rkp_uint, AT(struct step, take), .def = "0", .help = "bytes of state at init" },
    { "dawdle", &rkp_duration, AT(struct step, dawdle_ns), .optional = true, .help = "in a call" },
    { "init_gate", &rkp_uint, AT(struct step, init_gate), .def = "0",
      .help = "inits before it; waits for this gate, except the first" },
    { "begin_gate", &rkp_uint, AT(struct step, begin_gate), .def = "0", .help = "the first init waits for this gate" },
    { "bad_every", &rkp_uint, AT(struct step, bad_every), .def = "0", .help = "rows that it rejects" },
    { "early", &rkp_bool, AT(struct step, early), .def = "false", .help = "emits before it fails" },
    { 0 },
};

static rkp_status same_bind(void *self, rkp_bind *b)
{
    (void)self;
    if (rkp_bind_n_out(b))
        rkp_bind_out_same(b, 0);
    rkp_bind_read_all(b);
    rkp_bind_pass_all(b);
    return RKP_OK;
}

static rkp_status step_init(void *self, rkp_actor *a)
{
    struct step *s = self;
    uint64_t nth = case_add(case_seen[s->id].inits, 1);
    while (nth && s->init_gate && case_look(case_gate[s->init_gate]) <= nth)
        nap();
    while (!nth && s->begin_gate && !case_look(case_gate[s->begin_gate]))
        nap();
    if (nth >= s->skip_inits && nth < s->skip_inits + s->fail_inits) {
        s->broken = true;
        rkp_fail(a, RKP_IO, "asked to fail at init %llu", (unsigned long long)nth + 1);
        return RKP_IO;
    }
    if (s->take && !rkp_state_take(a, s->take)) {
        s->broken = true;
        rkp_fail(a, RKP_NOMEM, "no room for state");
        return RKP_NOMEM;
    }
    s->ready = true;
    return RKP_OK;
}

static int64_t number(const rkp_batch *b, const char *name, uint32_t i)
{
    int c = b->schema ? rkp_schema_find(b->schema, rkp_str_of(name)) : -1;
    const rkp_col *col;
    uint32_t at;
    if (c < 0)
        return -1;
    col = &b->cols[c];
    at = rkp_col_row(col, i);
    if (rkp_col_is_null(col, at))
        return -1;
    return col->type.kind == RKP_I32 ? ((const int32_t *)col->values)[at] : ((const int64_t *)col->values)[at];
}

static rkp_verdict step_on_batch(void *self, rkp_actor *a, unsigned port, rkp_batch *b)
{
    struct step *s = self;
    uint64_t call = case_add(case_seen[s->id].calls, 1) + 1, until = case_now_ns() + s->dawdle_ns;
    bool fails = call >= s->fail_from && call <= s->fail_to && s->fail_from;
    (void)port;
    if (!s->ready || s->broken || s->ended)
        case_add(case_seen[s->id].misused, 1);
    while (s->gate && !case_look(case_gate[s->gate]))
        nap();
    while (s->dawdle_ns && case_now_ns() < until)
        nap();
    for (uint32_t i = 0; s->poison && i < b->rows; i++)
        fails |= (uint64_t)number(b, "n", i) == s->poison;
    if (fails) {
        s->broken = true;
        if (s->early && b->rows)
            rkp_emit(a, 0, rkp_batch_slice(b, 0, b->rows / 2 ? b->rows / 2 : 1));
        return rkp_fail(a, RKP_IO, "asked to fail at call %llu", (unsigned long long)call);
    }
    case_add(case_seen[s->id].rows, b->rows);
    if (s->bad_every) {
        rkp_errs *errs = rkp_actor_errs(a);
        uint32_t *keep = malloc((b->rows + 1u) * sizeof *keep), n = 0;
        rkp_verdict v;
        if (!keep)
            return rkp_fail(a, RKP_NOMEM, "out of memory");
        for (uint32_t i = 0; i < b->rows; i++) {
            if ((uint64_t)number(b, "n", i) % s->bad_every == 0)
                rkp_errs_add(errs, i, RKP_ROW_PARSE, 1, RKP_STR("x"));
            else
                keep[n++] = i;
        }
        v = rkp_reject(a, b, errs);
        if (v == RKP_DONE && n)
            rkp_emit(a, 0, rkp_batch_pick(b, keep, n));
        free(keep);
        return v;
    }
    return RKP_PASS;
}

static rkp_verdict step_on_end(void *self, rkp_actor *a)
{
    struct step *s = self;
    uint64_t nth = case_add(case_seen[s->id].ends, 1);
    if (!s->ready || s->ended || s->broken)
        case_add(case_seen[s->id].misused, 1);
    if (nth < s->fail_ends) {
        s->broken = true;
        return rkp_fail(a, RKP_IO, "asked to fail at end %llu", (unsigned long long)nth + 1);
    }
    s->ended = true;
    return RKP_DONE;
}

static void step_fini(void *self)
{
    case_add(case_seen[((struct step *)self)->id].finis, 1);
}

#define STEP(sym, z, bits)                                                                                             \
    static const rkp_op sym = { .abi = RKP_ABI,                                                                        \
                                .size = sizeof(rkp_op),                                                                \
                                .name = z,                                                                             \
                                .kind = RKP_TRANSFORM,                                                                 \
                                .summary = "Gives on.",                                                                \
                                .traits = (bits),                                                                      \
                                .self_size = sizeof(struct step),                                                      \
                                .opts = step_opts,                                                                     \
                                .bind = same_bind,                                                                     \
                                .init = step_init,                                                                     \
                                .on_batch = step_on_batch,                                                             \
                                .on_end = step_on_end,                                                                 \
                                .fini = step_fini }

STEP(op_pass, "t.pass", RKP_STATELESS | RKP_DETERMINISTIC | RKP_ROWWISE);
STEP(op_step, "t.step", RKP_KEYED | RKP_DETERMINISTIC | RKP_ROWWISE | RKP_HOLDS);

// t.acc
static rkp_verdict acc_on_batch(void *self, rkp_actor *a, unsigned port, rkp_batch *b)
{
    struct step *s = self;
    (void)port;
    if (!s->ready || s->broken || s->ended)
        case_add(case_seen[s->id].misused, 1);
    case_add(case_seen[s->id].calls, 1);
    case_add(case_seen[s->id].rows, b->rows);
    s->held += b->rows;
    rkp_absorb(a, b->rows);
    return RKP_DONE;
}

static rkp_status acc_bind(void *self, rkp_bind *b)
{
    (void)self;
    rkp_bind_out(b, 0, row_schema);
    rkp_bind_read_all(b);
    return RKP_OK;
}

static rkp_verdict acc_on_end(void *self, rkp_actor *a)
{
    struct step *s = self;
    struct pub one = { .id = s->id };
    rkp_word key = { "sum", 3, { 0 } };
    rkp_batch *b;
    rkp_verdict v = step_on_end(self, a);
    if (v != RKP_DONE)
        return v;
    one.keys = (rkp_words){ &key, 1, { 0 } };
    b = pub_rows(&one, a, s->held, 1);
    rkp_emit(a, 0, b);
    return RKP_DONE;
}

static rkp_status acc_save(void *self, rkp_actor *a, rkp_save *to)
{
    (void)a;
    rkp_save_u64(to, ((struct step *)self)->held);
    return RKP_OK;
}

static rkp_status acc_restore(void *self, rkp_actor *a, rkp_load *from)
{
    struct step *s = self;
    (void)a;
    s->held = rkp_load_u64(from);
    return RKP_OK;
}

static const rkp_op op_acc = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "t.acc",
    .kind = RKP_TRANSFORM,
    .summary = "Counts.",
    .traits = RKP_HOLDS | RKP_DETERMINISTIC,
    .self_size = sizeof(struct step),
    .opts = step_opts,
    .bind = acc_bind,
    .init = step_init,
    .on_batch = acc_on_batch,
    .on_end = acc_on_end,
    .fini = step_fini,
    .state_version = 1,
    .save = acc_save,
    .restore = acc_restore,
};

// t.hold
struct hold {
    uint64_t id, for_ns;
    bool silent;
    rkp_batch *held[64];
    uint64_t due[64];
    uint32_t n;
};

static const rkp_opt hold_opts[] = {
    { "id", &rkp_uint, AT(struct hold, id), .def = "0", .help = "of its counts" },
    { "for", &rkp_duration, AT(struct hold, for_ns), .def = "1s", .help = "how long" },
    { "silent", &rkp_bool, AT(struct hold, silent), .def = "false", .help = "sets no timer" },
    { 0 },
};

static rkp_verdict hold_on_timer(void *self, rkp_actor *a)
{
    struct hold *h = self;
    case_add(case_seen[h->id].timers, 1);
    while (h->n && (h->due[0] <= rkp_now_ns(a) || rkp_stopping(a))) {
        rkp_emit(a, 0, h->held[0]);
        h->n--;
        memmove(h->held, h->held + 1, h->n * sizeof *h->held);
        memmove(h->due, h->due + 1, h->n * sizeof *h->due);
    }
    rkp_wake_at(a, h->n && !h->silent ? h->due[0] : 0);
    return RKP_DONE;
}

static rkp_verdict hold_on_batch(void *self, rkp_actor *a, unsigned port, rkp_batch *b)
{
    struct hold *h = self;
    (void)port;
    if (h->n == 64)
        return RKP_RETRY;
    case_add(case_seen[h->id].calls, 1);
    case_add(case_seen[h->id].rows, b->rows);
    h->held[h->n] = rkp_batch_get(b);
    h->due[h->n++] = rkp_now_ns(a) + h->for_ns;
    return hold_on_timer(self, a);
}

static rkp_verdict hold_on_end(void *self, rkp_actor *a)
{
    (void)a;
    return ((struct hold *)self)->n ? RKP_RETRY : RKP_DONE;
}

static void hold_fini(void *self)
{
    struct hold *h = self;
    case_add(case_seen[h->id].finis, 1);
    for (uint32_t i = 0; i < h->n; i++)
        rkp_batch_put(h->held[i]);
}

static const rkp_op op_hold = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "t.hold",
    .kind = RKP_TRANSFORM,
    .summary = "Holds.",
    .traits = RKP_ROWWISE | RKP_RETRIES,
    .self_size = sizeof(struct hold),
    .opts = hold_opts,
    .bind = same_bind,
    .on_batch = hold_on_batch,
    .on_timer = hold_on_timer,
    .on_end = hold_on_end,
    .fini = hold_fini,
};

// t.echo
struct echo {
    uint64_t hops;
};

static const rkp_opt echo_opts[] = {
    { "hops", &rkp_uint, AT(struct echo, hops), .def = "1", .help = "how often a row goes round" },
    { 0 },
};

static rkp_verdict echo_on_batch(void *self, rkp_actor *a, unsigned port, rkp_batch *b)
{
    struct echo *e = self;
    uint32_t *rows = malloc((b->rows + 1u) * sizeof *rows), n = 0;
    rkp_batch *out, *part;
    int64_t *p;
    (void)port;
    if (!rows)
        return rkp_fail(a, RKP_NOMEM, "out of memory");
    for (uint32_t i = 0; i < b->rows; i++)
        if (number(b, "p", i) < (int64_t)e->hops * 100)
            rows[n++] = i;
    rkp_drop(a, b->rows - n, "done");
    if (n) {
        part = rkp_batch_pick(b, rows, n);
        out = part ? rkp_batch_derive(part, n * sizeof *p) : NULL;
        rkp_batch_put(part);
        p = out ? rkp_batch_alloc(out, n * sizeof *p) : NULL;
        for (uint32_t i = 0; p && i < n; i++)
            p[i] = number(b, "p", rows[i]) + 100;
        if (p)
            rkp_col_set_values(out, 0, row_fields[0].type, p, NULL, n);
        rkp_emit(a, 0, out);
    }
    free(rows);
    return RKP_DONE;
}

static const rkp_op op_echo = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "t.echo",
    .kind = RKP_TRANSFORM,
    .summary = "Again.",
    .traits = RKP_STATELESS | RKP_ROWWISE,
    .self_size = sizeof(struct echo),
    .opts = echo_opts,
    .bind = same_bind,
    .on_batch = echo_on_batch,
};

// ---- sinks ----------------------------------------------------------------------------------------------------------

struct sink {
    uint64_t into, gate, dawdle_ns, fail_from, fail_to, calls;
};

static const rkp_opt sink_opts[] = {
    { "into", &rkp_uint, AT(struct sink, into), .def = "0", .help = "which result" },
    { "gate", &rkp_uint, AT(struct sink, gate), .def = "0", .help = "takes so many rows" },
    { "dawdle", &rkp_duration, AT(struct sink, dawdle_ns), .optional = true, .help = "for each batch" },
    { "fail_from", &rkp_uint, AT(struct sink, fail_from), .def = "0", .help = "calls of all instances, from 1" },
    { "fail_to", &rkp_uint, AT(struct sink, fail_to), .def = "0", .help = "the last of them" },
    { 0 },
};

static char *text_of(rkp_str s)
{
    char *z = s.p ? malloc(s.n + 1) : NULL;
    if (z) {
        memcpy(z, s.p, s.n);
        z[s.n] = 0;
    }
    return z;
}

static rkp_verdict sink_on_batch(void *self, rkp_actor *a, unsigned port, rkp_batch *b)
{
    struct sink *s = self;
    case_result *r = &case_results[s->into];
    uint64_t call = case_add(case_seen[CASE_SINK(s->into)].calls, 1) + 1, until = case_now_ns() + s->dawdle_ns;
    int kc = b->schema ? rkp_schema_find(b->schema, RKP_STR("k")) : -1;
    (void)port;
    if (call >= s->fail_from && call <= s->fail_to && s->fail_from)
        return rkp_fail(a, RKP_IO, "asked to fail at call %llu", (unsigned long long)call);
    while (s->dawdle_ns && case_now_ns() < until)
        nap();
    while (s->gate && case_look(case_gate[s->gate]) <= case_look(r->rows) && !rkp_stopping(a))
        nap();
    for (uint32_t i = 0; i < b->rows; i++) {
        case_row *row;
        uint32_t at = kc < 0 ? 0 : rkp_col_row(&b->cols[kc], i);
        if (r->n == r->cap) {
            case_row *v = realloc(r->v, (r->cap ? r->cap * 2 : 1024) * sizeof *v);
            if (!v)
                return rkp_fail(a, RKP_NOMEM, "out of memory");
            r->v = v;
            r->cap = r->cap ? r->cap * 2 : 1024;
        }
        row = &r->v[r->n++];
        *row = (case_row){ .p = number(b, "p", i),
                           .n = number(b, "n", i),
                           .topic = text_of(rkp_batch_topic(b, i)),
                           .stamp = rkp_actor_meta(a)->stamp,
                           .call = call };
        if (kc >= 0 && !rkp_col_is_null(&b->cols[kc], at))
            row->k = text_of(rkp_view_str(&b->cols[kc], at));
    }
    rkp_absorb(a, b->rows);
    __atomic_store_n(&r->rows, r->n, __ATOMIC_RELEASE);
    return RKP_DONE;
}

static rkp_status sink_init(void *self, rkp_actor *a)
{
    (void)a;
    case_add(case_seen[CASE_SINK(((struct sink *)self)->into)].inits, 1);
    return RKP_OK;
}

static void sink_fini(void *self)
{
    case_add(case_seen[CASE_SINK(((struct sink *)self)->into)].finis, 1);
}

static rkp_status sink_prepare(void *self, rkp_actor *a)
{
    (void)a;
    case_add(case_seen[CASE_SINK(((struct sink *)self)->into)].prepares, 1);
    return RKP_OK;
}

static rkp_status sink_commit(void *self, rkp_actor *a)
{
    (void)a;
    case_add(case_seen[CASE_SINK(((struct sink *)self)->into)].commits, 1);
    return RKP_OK;
}

static void sink_abort(void *self, rkp_actor *a)
{
    (void)a;
    case_add(case_seen[CASE_SINK(((struct sink *)self)->into)].aborts, 1);
}

// What a result has is durable; what comes after the last save is taken back.
static rkp_status sink_save(void *self, rkp_actor *a, rkp_save *to)
{
    (void)a;
    rkp_save_u64(to, case_results[((struct sink *)self)->into].n);
    return RKP_OK;
}

static rkp_status sink_restore(void *self, rkp_actor *a, rkp_load *from)
{
    case_result *r = &case_results[((struct sink *)self)->into];
    uint64_t n = rkp_load_u64(from);
    (void)a;
    if (n > r->n)
        return rkp_load_refuse(from, "the result is shorter than it was");
    for (; r->n > n; r->n--) {
        free(r->v[r->n - 1].k);
        free(r->v[r->n - 1].topic);
    }
    __atomic_store_n(&r->rows, r->n, __ATOMIC_RELEASE);
    return RKP_OK;
}

#define SINK(sym, z, bits, commits, aborts)                                                                            \
    static const rkp_op sym = { .abi = RKP_ABI,                                                                        \
                                .size = sizeof(rkp_op),                                                                \
                                .name = z,                                                                             \
                                .kind = RKP_SINK,                                                                      \
                                .summary = "Takes.",                                                                   \
                                .traits = (bits),                                                                      \
                                .self_size = sizeof(struct sink),                                                      \
                                .opts = sink_opts,                                                                     \
                                .bind = same_bind,                                                                     \
                                .init = sink_init,                                                                     \
                                .on_batch = sink_on_batch,                                                             \
                                .prepare = sink_prepare,                                                               \
                                .commit = (commits),                                                                   \
                                .abort = (aborts),                                                                     \
                                .fini = sink_fini,                                                                     \
                                .state_version = 1,                                                                    \
                                .save = sink_save,                                                                     \
                                .restore = sink_restore }

SINK(op_sink, "t.sink", RKP_ROWWISE, NULL, NULL);
SINK(op_slow, "t.slow", RKP_ROWWISE | RKP_BLOCKING, NULL, NULL);
SINK(op_file, "t.file", RKP_ROWWISE | RKP_BLOCKING, sink_commit, sink_abort);

const rkp_op *const *case_ops(void)
{
    static const rkp_op *all[256] = { &op_pub,  &op_live, &op_pass, &op_step, &op_acc, &op_hold,
                                      &op_echo, &op_sink, &op_slow, &op_file, NULL };
    static bool made;
    size_t n = 0;
    while (!made && all[n])
        n++;
    for (size_t i = 0; !made && rkp_ops[i] && n < 255; i++)
        all[n++] = rkp_ops[i];
    made = true;
    return all;
}

// ---- runs -----------------------------------------------------------------------------------------------------------

void case_forget(void)
{
    for (int i = 0; i < CASE_IDS; i++) {
        case_result *r = &case_results[i];
        for (size_t j = 0; j < r->n; j++) {
            free(r->v[j].k);
            free(r->v[j].topic);
        }
        free(r->v);
        *r = (case_result){ 0 };
        case_set(case_gate[i], UINT64_MAX);
        case_set(case_emitted[i], 0);
    }
    memset(case_seen, 0, sizeof case_seen);
}

static uint64_t live_clock(void *arg)
{
    return __atomic_load_n(&((live *)arg)->clock, __ATOMIC_RELAXED);
}

static void *execute(void *arg)
{
    live *l = arg;
    l->code = rki_run_execute(l->r);
    __atomic_store_n(&l->over, 1, __ATOMIC_RELEASE);
    return NULL;
}

static live *new_live(const char *dir)
{
    live *l = calloc(1, sizeof *l);
    assert_non_null(l);
    if (!dir) {
        memcpy(l->dir, "/tmp/rkp-case-XXXXXX", sizeof "/tmp/rkp-case-XXXXXX");
        assert_non_null(mkdtemp(l->dir));
    }
    return l;
}

// The files of a folder into one that has been made, or is made now.
static void copy_files(const char *from, const char *to)
{
    DIR *d = opendir(from);
    for (struct dirent *e; d && (e = readdir(d));) {
        char a[512], b[512], buf[65536];
        FILE *in, *out;
        size_t n;
        snprintf(a, sizeof a, "%s/%s", from, e->d_name);
        snprintf(b, sizeof b, "%s/%s", to, e->d_name);
        if (strstr(e->d_name, ".ckpt") == NULL || strstr(e->d_name, ".new") || !(in = fopen(a, "rb")))
            continue; // pruned in between
        out = fopen(b, "wb");
        assert_non_null(out);
        while ((n = fread(buf, 1, sizeof buf, in)) > 0)
            assert_int_equal(fwrite(buf, 1, n, out), n);
        fclose(in);
        assert_int_equal(fclose(out), 0);
    }
    if (d)
        closedir(d);
}

void case_copy_folder(const char *from, const char *to)
{
    char a[256], b[256];
    snprintf(a, sizeof a, "%s/checkpoints", from);
    snprintf(b, sizeof b, "%s/checkpoints", to);
    (void)mkdir(b, 0700);
    copy_files(a, b);
}

void live_free(live *l)
{
    if (!l)
        return;
    rki_run_free(l->r);
    rki_plan_free(l->p);
    rki_spec_free(l->s);
    rki_diags_free(l->d);
    if (l->dir[0])
        remove_folder(l->dir);
    free(l);
}

static void format(rki_buf *text, const char *fmt, va_list ap)
{
    va_list again;
    char *z;
    int n;
    rki_buf_init(text);
    rki_putz(text, "version: 1\n");
    va_copy(again, ap);
    n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    assert_true(n >= 0);
    z = malloc((size_t)n + 1);
    assert_non_null(z);
    vsnprintf(z, (size_t)n + 1, fmt, ap);
    rki_put(text, z, (size_t)n);
    free(z);
}

static void tell(rkp_diags *d)
{
    rki_buf b;
    rki_buf_init(&b);
    rki_diags_text(d, &b, false);
    snprintf(case_failure, sizeof case_failure, "%.*s", (int)b.n, b.p);
    rki_buf_fini(&b);
}

struct planned {
    rki_spec *s;
    rki_plan *p;
};

void (*case_around_reload)(bool before);

static void drop_planned(void *arg)
{
    struct planned *v = arg;
    rki_plan_free(v->p);
    rki_spec_free(v->s);
    free(v);
}

rki_reload_result live_reload(live *l, const char *fmt, ...)
{
    static const char *const env[] = { NULL };
    rki_plan_args pa = { .cores = l->threads, .memory = 1ull << 32, .probe = true };
    rki_spec_args sa = {
        .file = "case.yaml", .ops = case_ops(), .env = env, .engine_op = &rki_op_engine, .watch_op = &rki_op_watch
    };
    rki_reload_result out = { .outcome = RKI_RELOAD_REJECTED };
    rkp_diags *d = rki_diags_new();
    struct planned *v = calloc(1, sizeof *v);
    rki_buf text;
    va_list ap;
    assert_non_null(v);
    va_start(ap, fmt);
    format(&text, fmt, ap);
    va_end(ap);
    sa.text = (rkp_str){ text.p, text.n };
    v->s = rki_spec_load(&sa, d);
    v->p = v->s ? rki_plan_new(v->s, &pa, d) : NULL;
    rki_buf_fini(&text);
    rki_buf_init(&out.diff);
    rki_buf_init(&out.pauses);
    rki_buf_init(&out.edges);
    case_failure[0] = 0;
    if (v->p) {
        if (case_around_reload)
            case_around_reload(true);
        rki_run_reload(l->r, v->p, drop_planned, v, d, &out);
        if (case_around_reload)
            case_around_reload(false);
    } else {
        drop_planned(v);
    }
    tell(d);
    rki_diags_free(d);
    rki_buf_fini(&out.diff);
    rki_buf_fini(&out.pauses);
    rki_buf_fini(&out.edges);
    return out;
}

// NULL: the pipeline is wrong, and case_failure says how.
static live *make(const live_conf *c, const char *fmt, va_list ap)
{
    static const char *const env[] = { NULL };
    live *l = new_live(c->dir);
    rki_buf text;
    char err[256];
    rki_plan_args pa = { .cores = c->threads ? c->threads : 2, .memory = 1ull << 32, .probe = true };
    rki_run_args ra = {
        .backend = cpu_backend(), .data_dir = c->dir ? c->dir : l->dir, .keeps = c->keeps, .fresh = c->fresh
    };
    rki_spec_args sa = {
        .file = "case.yaml", .ops = case_ops(), .env = env, .engine_op = &rki_op_engine, .watch_op = &rki_op_watch
    };
    ra.log = c->log;
    ra.log_arg = c->log_arg;
    l->clock = 1000000000u;
    if (c->clocked) {
        ra.now_ns = live_clock;
        ra.now_arg = l;
    }
    l->threads = pa.cores;
    format(&text, fmt, ap);
    sa.text = (rkp_str){ text.p, text.n };
    case_failure[0] = 0;
    l->d = rki_diags_new();
    l->s = rki_spec_load(&sa, l->d);
    l->p = l->s ? rki_plan_new(l->s, &pa, l->d) : NULL;
    rki_buf_fini(&text);
    if (!l->p) {
        tell(l->d);
        live_free(l);
        return NULL;
    }
    l->keep = c->keep;
    if (c->from)
        case_copy_folder(c->from, l->dir);
    if (rki_run_new(l->p, &ra, &l->r, err, sizeof err) != RKP_OK) {
        snprintf(case_failure, sizeof case_failure, "%s", err);
        live_free(l);
        return NULL;
    }
    return l;
}

static live *start(const live_conf *c, const char *fmt, va_list ap)
{
    live *l = make(c ? c : &(live_conf){ 0 }, fmt, ap);
    if (l)
        live_go(l);
    return l;
}

live *live_make(const live_conf *c, const char *fmt, ...)
{
    va_list ap;
    live *l;
    va_start(ap, fmt);
    l = make(c ? c : &(live_conf){ 0 }, fmt, ap);
    va_end(ap);
    if (!l)
        fail_msg("%s", case_failure);
    return l;
}

void live_go(live *l)
{
    assert_int_equal(pthread_create(&l->thread, NULL, execute, l), 0);
}

live *live_try(const live_conf *c, const char *fmt, ...)
{
    va_list ap;
    live *l;
    va_start(ap, fmt);
    l = start(c, fmt, ap);
    va_end(ap);
    return l;
}

live *live_start(const live_conf *c, const char *fmt, ...)
{
    va_list ap;
    live *l;
    va_start(ap, fmt);
    l = start(c, fmt, ap);
    va_end(ap);
    if (!l)
        fail_msg("%s", case_failure);
    return l;
}

static void abandon(live *l, const char *what, const char *file, int line)
{
    rki_buf b;
    rki_buf_init(&b);
    if (l && !__atomic_load_n(&l->over, __ATOMIC_ACQUIRE))
        rki_run_status_json(l->r, &b);
    else if (l)
        rki_putf(&b, "the run has ended: exit %d, %s", l->code, rki_run_failure(l->r));
    fprintf(stderr, "%s:%d: never came: %s\n%.*s\n", file, line, what, (int)b.n, b.p);
    abort();
}

void live_nap(live *l, uint64_t until_ns, const char *what, const char *file, int line)
{
    if (case_now_ns() > until_ns)
        abandon(l, what, file, line);
    nap();
}

void live_tick_waits(void)
{
    case_set(case_gate[30], 0);
}

void live_ticks(live *l)
{
    case_set(case_gate[30], UINT64_MAX);
    live_until(l, case_look(case_results[15].rows) == 400);
}

static int wait_for_end(live *l)
{
    live_until(l, __atomic_load_n(&l->over, __ATOMIC_ACQUIRE));
    pthread_join(l->thread, NULL);
    snprintf(case_failure, sizeof case_failure, "%s", rki_run_failure(l->r));
    rki_run_totals(l->r, &case_totals);
    return l->code;
}

int live_end(live *l)
{
    int code = wait_for_end(l);
    if (!rki_run_stuck(l->r) && !l->keep)
        live_free(l);
    return code;
}

int case_run(unsigned threads, const char *fmt, ...)
{
    live_conf c = { .threads = threads };
    va_list ap;
    live *l;
    va_start(ap, fmt);
    l = make(&c, fmt, ap);
    va_end(ap);
    if (!l)
        return RKI_EXIT_INVALID;
    assert_int_equal(pthread_create(&l->thread, NULL, execute, l), 0);
    return live_end(l);
}

rki_outcome live_command(live *l, const char *kernel, rki_command c, unsigned ms)
{
    live_said[0] = 0;
    return rki_run_command(l->r, rkp_str_of(kernel), c, case_now_ns() + ms * 1000000ull, live_said, sizeof live_said);
}

// ---- status, read back ----------------------------------------------------------------------------------------------

// The text after "key": in the object, or NULL.
static const char *after_key(const char *json, const char *key)
{
    char quoted[160];
    const char *at;
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    at = strstr(json, quoted);
    return at ? at + strlen(quoted) : NULL;
}

static void status_of(live *l, const char *kernel, rki_buf *b)
{
    rki_buf_init(b);
    if (!rki_run_kernel_json(l->r, rkp_str_of(kernel), b))
        abandon(l, kernel, __FILE__, __LINE__);
    rki_putc(b, 0);
}

int live_state(live *l, const char *kernel)
{
    rki_buf b;
    const char *at;
    int found = -1;
    status_of(l, kernel, &b);
    at = after_key(b.p, "state");
    for (int s = 0; at && s < RKI_N_STATES; s++)
        if (strncmp(at + 1, rki_state_name(s), strlen(rki_state_name(s))) == 0 &&
            at[1 + strlen(rki_state_name(s))] == '"')
            found = s;
    rki_buf_fini(&b);
    return found;
}

uint64_t live_number(live *l, const char *kernel, const char *key)
{
    rki_buf b;
    const char *at;
    uint64_t v = UINT64_MAX;
    status_of(l, kernel, &b);
    at = after_key(b.p, key);
    if (at)
        v = strtoull(at, NULL, 10);
    rki_buf_fini(&b);
    return v;
}

uint64_t live_edges(live *l, const char *key)
{
    rki_buf b;
    uint64_t sum = 0;
    rki_buf_init(&b);
    rki_run_status_json(l->r, &b);
    rki_putc(&b, 0);
    for (const char *at = b.p ? strstr(b.p, "\"edges\":") : NULL; at && (at = after_key(at, key));)
        sum += strtoull(at, NULL, 10);
    rki_buf_fini(&b);
    return sum;
}

uint64_t live_memory(live *l)
{
    rki_buf b;
    const char *at, *batches, *state;
    uint64_t sum;
    rki_buf_init(&b);
    rki_run_status_json(l->r, &b);
    rki_putc(&b, 0);
    at = b.p ? strstr(b.p, "\"memory\":") : NULL;
    batches = at ? after_key(at, "batches") : NULL;
    state = at ? after_key(at, "state") : NULL;
    assert_true(batches && state);
    sum = strtoull(batches, NULL, 10) + strtoull(state, NULL, 10);
    rki_buf_fini(&b);
    return sum;
}

uint64_t live_reason(live *l, const char *kernel, const char *list, const char *reason)
{
    rki_buf b;
    const char *at, *end;
    uint64_t v = 0;
    status_of(l, kernel, &b);
    at = after_key(b.p, list);
    end = at ? strchr(at, '}') : NULL;
    at = at ? after_key(at, reason) : NULL;
    if (at && end && at < end)
        v = strtoull(at, NULL, 10);
    rki_buf_fini(&b);
    return v;
}
