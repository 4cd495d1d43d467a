#include "fake_actor.h"

#include "nomem.h"

#include <rkpipe/num.h>

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

// The fake's own memory is not the operator's: no allocation of it fails on purpose (where nomem.c is linked).
__attribute__((weak)) void nomem_pause(bool on)
{
    (void)on;
}

// ---- records --------------------------------------------------------------------------------------------------------

static void *push(void *list, size_t *n, size_t *cap, size_t size)
{
    void **v = list;
    if (*n == *cap) {
        size_t to = *cap ? *cap * 2 : 16;
        void *p;
        nomem_pause(true);
        p = realloc(*v, to * size);
        nomem_pause(false);
        if (!p)
            abort();
        *v = p;
        *cap = to;
    }
    memset((char *)*v + *n * size, 0, size);
    return (char *)*v + (*n)++ * size;
}

static rkp_str copy(fake *f, rkp_str s)
{
    if (!s.p)
        return s;
    nomem_pause(true);
    s = rki_dup_str(&f->arena, s);
    nomem_pause(false);
    return s;
}

// ---- rkpipe/op.h: probe ---------------------------------------------------------------------------------------------

rkp_diags *rkp_probe_diags(rkp_probe *p)
{
    return p->f->diags;
}

rkp_opt_ctx *rkp_probe_mem(rkp_probe *p)
{
    return &p->f->opt;
}

bool rkp_probe_may_read_stdin(const rkp_probe *p)
{
    return p->f->conf.may_read_stdin;
}

void rkp_probe_set(rkp_probe *p, const void *answer)
{
    p->f->probed = answer;
}

void rkp_probe_loads(rkp_probe *p, const char *path)
{
    (void)p;
    (void)path;
}

void rkp_probe_keep(rkp_probe *p, rkp_str bytes)
{
    p->f->kept = copy(p->f, bytes);
}

// Weak, for test programs that link a room which has it.
__attribute__((weak)) void *rkp_opt_alloc(rkp_opt_ctx *c, size_t bytes)
{
    return rki_alloc(c->arena, bytes);
}

// ---- rkpipe/op.h: bind ----------------------------------------------------------------------------------------------

rkp_opt_ctx *rkp_bind_mem(rkp_bind *b)
{
    return &b->f->opt;
}

rkp_diags *rkp_bind_diags(rkp_bind *b)
{
    return b->f->diags;
}

rkp_loc rkp_bind_at(const rkp_bind *b)
{
    (void)b;
    return (rkp_loc){ "test.yaml", 1, 1, 0 };
}

const char *rkp_bind_kernel(const rkp_bind *b)
{
    (void)b;
    return "k";
}

const rkp_schema *rkp_bind_in(const rkp_bind *b)
{
    return b->f->conf.in;
}

const void *rkp_bind_probed(const rkp_bind *b)
{
    return b->f->probed;
}

unsigned rkp_bind_n_out(const rkp_bind *b)
{
    return b->f->n_outs;
}

void rkp_bind_out(rkp_bind *b, unsigned port, rkp_schema s)
{
    rkp_field *v;
    if (port >= 16)
        return;
    v = rki_array(&b->f->arena, s.n ? s.n : 1, sizeof *v);
    for (uint32_t i = 0; v && i < s.n; i++) {
        v[i] = s.f[i];
        v[i].name = copy(b->f, s.f[i].name);
    }
    b->f->outs[port] = (rkp_schema){ v ? s.n : 0, v };
}

void rkp_bind_out_same(rkp_bind *b, unsigned port)
{
    if (b->f->conf.in)
        rkp_bind_out(b, port, *b->f->conf.in);
}

const rkp_scope *rkp_bind_scope(const rkp_bind *b)
{
    fake *f = b->f;
    f->scope = (rkp_scope){ .schema = f->conf.in, .vars = f->conf.vars, .n_vars = f->conf.n_vars };
    return &f->scope;
}

rkp_expr *rkp_bind_expr(rkp_bind *b, rkp_word text, rkp_want want)
{
    fake *f = b->f;
    rkp_expr *e = rkp_expr_compile(&f->opt, f->diags, text, rkp_bind_scope(b), want);
    for (uint32_t c = 0; e && f->conf.in && c < f->conf.in->n; c++)
        if (rkp_expr_reads(e, c))
            rkp_bind_read(b, c);
    return e;
}

int rkp_bind_column(rkp_bind *b, rkp_word name)
{
    int c = b->f->conf.in ? rkp_schema_find(b->f->conf.in, rkp_word_str(name)) : -1;
    if (c >= 0)
        rkp_bind_read(b, (uint32_t)c);
    else
        rkp_diag(b->f->diags, RKP_ERROR, name.at, "column-unknown", "no column '" RKP_STR_FMT "'",
                 RKP_STR_ARG(rkp_word_str(name)));
    return c;
}

void rkp_bind_pass(rkp_bind *b, uint32_t out, uint32_t in)
{
    if (out < 4096)
        b->f->pass[out] = (int32_t)in;
}

void rkp_bind_pass_all(rkp_bind *b)
{
    b->f->pass_all = true;
}

void rkp_bind_read(rkp_bind *b, uint32_t in)
{
    if (in < 4096)
        b->f->reads[in / 64] |= 1ull << (in % 64);
}

void rkp_bind_read_all(rkp_bind *b)
{
    memset(b->f->reads, 0xff, sizeof b->f->reads);
}

void rkp_bind_whole(rkp_bind *b)
{
    b->f->whole = true;
}

void rkp_bind_endless(rkp_bind *b)
{
    b->f->endless = true;
}

void rkp_bind_single(rkp_bind *b, const char *why)
{
    b->f->single = why;
}

void rkp_bind_no_wait(rkp_bind *b)
{
    b->f->no_wait = true;
}

void rkp_bind_adds(rkp_bind *b)
{
    (void)b;
}

bool rkp_kept(const rkp_actor *a)
{
    return a->f->is_kept;
}

uint64_t rkp_owner(const rkp_actor *a)
{
    (void)a;
    return 0;
}

void rkp_bind_delivery(rkp_bind *b, rkp_delivery strongest, const char *why)
{
    if (b->f->delivery && strongest >= b->f->delivery)
        return;
    b->f->delivery = strongest;
    b->f->delivery_why = why;
}

// ---- rkpipe/op.h: actor ---------------------------------------------------------------------------------------------

rkp_pool *rkp_actor_pool(rkp_actor *a)
{
    return a->f->pool;
}

rkp_frame *rkp_actor_frame(rkp_actor *a)
{
    if (!a->frame)
        a->frame = rkp_frame_new(a->f->pool);
    return a->frame;
}

rkp_errs *rkp_actor_errs(rkp_actor *a)
{
    rkp_errs_clear(&a->errs);
    return &a->errs;
}

const rkp_meta *rkp_actor_meta(rkp_actor *a)
{
    return &a->f->meta;
}

const char *rkp_actor_kernel(const rkp_actor *a)
{
    (void)a;
    return "k";
}

void rkp_emit(rkp_actor *a, unsigned port, rkp_batch *b)
{
    fake *f = a->f;
    fake_out *o;
    if (a->first_half) {
        o = push(&f->half, &f->n_half, &f->cap_half, sizeof *o);
    } else {
        o = push(&f->out, &f->n_out, &f->cap_out, sizeof *o);
        if (port < 16)
            f->emitted[port] += b->rows;
    }
    o->port = port;
    o->b = b;
}

void rkp_drop(rkp_actor *a, uint64_t rows, const char *reason)
{
    fake *f = a->f;
    fake_drop *d;
    for (size_t i = 0; i < f->n_drops; i++)
        if (strcmp(f->drops[i].reason, reason) == 0) {
            f->drops[i].rows += rows;
            return;
        }
    d = push(&f->drops, &f->n_drops, &f->cap_drops, sizeof *d);
    d->reason = reason;
    d->rows = rows;
}

void rkp_absorb(rkp_actor *a, uint64_t rows)
{
    a->f->absorbed += rows;
}

rkp_verdict rkp_reject(rkp_actor *a, rkp_batch *b, const rkp_errs *errs)
{
    fake *f = a->f;
    for (uint32_t i = 0; i < errs->n; i++) {
        const rkp_err *e = &errs->v[i];
        fake_reject *r = push(&f->rejects, &f->n_rejects, &f->cap_rejects, sizeof *r);
        rkp_str name = { 0 };
        r->line = rkp_batch_line(b, e->row, &name);
        r->code = e->code;
        r->col = e->col;
        r->what = copy(f, e->what);
        r->file = copy(f, name);
        r->row = e->row;
    }
    if (errs->n && f->conf.on_error == FAKE_FAIL)
        return rkp_fail(a, RKP_IO, "%u bad rows", errs->n);
    return RKP_DONE;
}

rkp_verdict rkp_reject_made(rkp_actor *a, rkp_batch *b, const rkp_errs *errs)
{
    return rkp_reject(a, b, errs);
}

rkp_verdict rkp_reject_raw(rkp_actor *a, unsigned code, rkp_str what, rkp_str raw, rkp_str file, uint64_t line)
{
    fake *f = a->f;
    fake_reject *r = push(&f->rejects, &f->n_rejects, &f->cap_rejects, sizeof *r);
    r->code = code;
    r->col = -1;
    r->what = copy(f, what);
    r->raw = copy(f, raw);
    r->file = copy(f, file);
    r->line = line;
    if (f->conf.on_error == FAKE_FAIL)
        return rkp_fail(a, RKP_IO, "a bad row");
    return RKP_DONE;
}

rkp_verdict rkp_fail(rkp_actor *a, rkp_status st, const char *fmt, ...)
{
    fake *f = a->f;
    va_list ap;
    if (f->fail_st != RKP_OK)
        return RKP_FAIL;
    f->fail_st = st;
    va_start(ap, fmt);
    vsnprintf(f->fail, sizeof f->fail, fmt, ap);
    va_end(ap);
    return RKP_FAIL;
}

uint64_t rkp_now_ns(const rkp_actor *a)
{
    return a->f->now_ns;
}

uint64_t rkp_corr(const rkp_actor *a)
{
    return a->f->corr;
}

void rkp_corr_set(rkp_actor *a, uint64_t corr)
{
    a->f->corr = corr;
}

uint64_t rkp_corr_new(rkp_actor *a)
{
    return ++a->f->next_corr;
}

int64_t rkp_wall_us(const rkp_actor *a)
{
    return a->f->wall_us;
}

void rkp_wake_at(rkp_actor *a, uint64_t ns)
{
    a->f->wake_at = ns;
}

bool rkp_retry_at(rkp_actor *a, const char *error, uint64_t attempts, uint64_t first_ns, uint64_t *at_ns)
{
    (void)error;
    (void)first_ns;
    *at_ns = a->f->now_ns + 1000000000u;
    return attempts < a->f->conf.attempts;
}

void rkp_count(rkp_actor *a, unsigned metric, uint64_t n)
{
    if (metric < 32)
        a->f->counts[metric] += n;
}

void rkp_progress(rkp_actor *a, uint64_t done_bytes, uint64_t total_bytes)
{
    a->f->done_bytes = done_bytes;
    a->f->total_bytes = total_bytes;
}

bool rkp_stopping(const rkp_actor *a)
{
    return a->f->stopping;
}

unsigned rkp_actor_replica(const rkp_actor *a, unsigned *n)
{
    if (n)
        *n = a->f->conf.replicas ? a->f->conf.replicas : 1;
    return 0;
}

rkp_bounds rkp_actor_bounds(const rkp_actor *a)
{
    return a->f->conf.bounds;
}

void rkp_actor_queue(const rkp_actor *a, uint64_t *messages, uint64_t *bytes)
{
    *messages = a->f->conf.queue_messages ? a->f->conf.queue_messages : 1024;
    *bytes = a->f->conf.queue_bytes ? a->f->conf.queue_bytes : 8 << 20;
}

bool rkp_actor_needed(const rkp_actor *a, uint32_t out_column)
{
    return out_column >= 4096 || !((a->f->conf.unneeded[out_column / 64] >> (out_column % 64)) & 1);
}

rkp_str rkp_actor_kept(const rkp_actor *a)
{
    return a->f->kept;
}

bool rkp_state_take(rkp_actor *a, uint64_t bytes)
{
    fake *f = a->f;
    if (f->conf.state_limit && f->state_used + bytes > f->conf.state_limit)
        return false;
    f->state_used += bytes;
    return true;
}

void rkp_state_give(rkp_actor *a, uint64_t bytes)
{
    a->f->state_used -= bytes;
}

uint64_t rkp_state_limit(const rkp_actor *a)
{
    return a->f->conf.state_limit ? a->f->conf.state_limit : UINT64_MAX;
}

int rkp_spill_open(rkp_actor *a)
{
    (void)a;
    return memfd_create("spill", MFD_CLOEXEC);
}

bool rkp_wait_readable(rkp_actor *a, int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    if (a->f->stopping)
        return false;
    poll(&p, 1, -1);
    return true;
}

bool rkp_wait_ready(rkp_actor *a, int fd, short events)
{
    struct pollfd p = { .fd = fd, .events = events };
    if (a->f->given_up)
        return false;
    if (poll(&p, 1, 30000) == 0)
        abort(); // a test that hangs
    return true;
}

void rkp_log(rkp_actor *a, rkp_str lines)
{
    nomem_pause(true);
    pthread_mutex_lock(&a->f->log_lock);
    rki_put(&a->f->log, lines.p, lines.n);
    rki_putc(&a->f->log, 0);
    a->f->log.n--; // a string all the time
    pthread_mutex_unlock(&a->f->log_lock);
    nomem_pause(false);
}

void rkp_log_rows(rkp_actor *a, rkp_str lines)
{
    rkp_log(a, lines);
}

const char *const *rkp_actor_env(const rkp_actor *a)
{
    return a->f->conf.env;
}

// ---- life -----------------------------------------------------------------------------------------------------------

static bool step(fake *f, rkp_status st, const char *stage)
{
    if (f->st == RKP_OK && st != RKP_OK) {
        f->st = st;
        f->stage = stage;
    }
    return f->st == RKP_OK;
}

// An instance: options, and bind.
static void *instance(fake *f, const rkp_node *with, bool check)
{
    const rkp_op *op = f->conf.op;
    void *self = calloc(1, op->self_size ? op->self_size : 1);
    rkp_bind b = { f };
    if (!self)
        abort();
    f->opt.diags = check ? f->diags : NULL;
    step(f, rki_opts_apply(&f->opt, op->opts, with, (rkp_loc){ "test.yaml", 1, 1, 0 }, self), "options");
    f->opt.diags = f->diags;
    if (check && f->st == RKP_OK) {
        if (op->ports)
            step(f, op->ports(self, &f->opt, &f->port_names, &f->n_port_names), "ports");
        for (f->n_outs = 0; op->outs && op->outs[f->n_outs].name; f->n_outs++)
            ;
        if (!op->outs && op->kind != RKP_SINK && !f->n_port_names)
            f->n_outs = 1;
        f->n_outs += (unsigned)f->n_port_names;
        if (f->st == RKP_OK && op->probe && !f->conf.no_probe) {
            rkp_probe p = { f };
            step(f, op->probe(self, &p), "probe");
        }
    }
    if (f->st == RKP_OK && op->bind)
        step(f, op->bind(self, &b), "bind");
    return self;
}

static bool cut_in_two(const fake *f)
{
    const rkp_op *op = f->conf.op;
    return !f->whole && (op->decode || op->encode);
}

fake *fake_new(const fake_conf *c)
{
    fake *f = calloc(1, sizeof *f);
    const rkp_node *with = NULL;
    rki_tree_budget budget = { 0 };
    void *check;
    if (!f)
        abort();
    f->conf = *c;
    f->stage = "";
    f->now_ns = 1000000000;
    f->wall_us = 1700000000000000;
    memset(f->pass, 0xff, sizeof f->pass);
    rki_arena_init(&f->arena);
    rki_buf_init(&f->log);
    pthread_mutex_init(&f->log_lock, NULL);
    f->diags = rki_diags_new();
    f->opt = (rkp_opt_ctx){ .arena = &f->arena, .diags = f->diags, .owner = c->op->name };
    f->pool = rkp_pool_new(c->pool_limit ? c->pool_limit : 64u << 20);
    f->main.f = f->stage2.f = f;
    if (!f->diags || !f->pool)
        abort();
    // Room, so that a test of failing allocations meets the operator's and not these.
    for (size_t i = 0; i < 256; i++) {
        push(&f->out, &f->n_out, &f->cap_out, sizeof *f->out);
        push(&f->half, &f->n_half, &f->cap_half, sizeof *f->half);
        push(&f->rejects, &f->n_rejects, &f->cap_rejects, sizeof *f->rejects);
    }
    push(&f->drops, &f->n_drops, &f->cap_drops, sizeof *f->drops);
    f->n_out = f->n_half = f->n_rejects = f->n_drops = 0;
    if (c->with && c->with[0]) {
        with = rki_tree_load(&f->arena, f->diags, "test.yaml", rkp_str_of(c->with), &budget);
        if (!with)
            step(f, RKP_INVALID, "options");
    }
    check = instance(f, with, true);
    if (c->op->fini)
        c->op->fini(check);
    free(check);
    if (f->st != RKP_OK || c->no_init)
        return f;
    f->main.self = instance(f, with, false);
    if (f->st == RKP_OK && c->op->init)
        step(f, c->op->init(f->main.self, &f->main), "init");
    if (f->st == RKP_OK && cut_in_two(f)) {
        f->stage2.self = instance(f, with, false);
        if (c->op->decode)
            f->main.first_half = true;
        else
            f->stage2.first_half = true;
        if (f->st == RKP_OK && c->op->init)
            step(f, c->op->init(f->stage2.self, &f->stage2), "init");
    }
    return f;
}

static void end_actor(fake *f, rkp_actor *a)
{
    if (a->self) {
        if (f->conf.op->fini)
            f->conf.op->fini(a->self);
        free(a->self);
    }
    if (a->frame)
        rkp_frame_free(a->frame);
    rkp_errs_fini(&a->errs);
}

uint64_t fake_free(fake *f)
{
    uint64_t live;
    if (!f)
        return 0;
    if (f->main.self && !f->committed && f->conf.op->abort)
        f->conf.op->abort(f->main.self, &f->main);
    end_actor(f, &f->main);
    end_actor(f, &f->stage2);
    for (size_t i = 0; i < f->n_half; i++)
        rkp_batch_put(f->half[i].b);
    for (size_t i = 0; i < f->n_out; i++)
        rkp_batch_put(f->out[i].b);
    live = rkp_pool_live(f->pool);
    if (!live)
        rkp_pool_free(f->pool);
    free(f->half);
    free(f->out);
    free(f->rejects);
    free(f->drops);
    rki_diags_free(f->diags);
    rki_arena_fini(&f->arena);
    rki_buf_fini(&f->log);
    pthread_mutex_destroy(&f->log_lock);
    free(f);
    return live;
}

// ---- running --------------------------------------------------------------------------------------------------------

static rkp_verdict decode_half(fake *f)
{
    rkp_verdict v = RKP_DONE;
    for (size_t i = 0; i < f->n_half; i++) {
        if (v != RKP_FAIL)
            v = f->conf.op->decode(f->stage2.self, &f->stage2, f->half[i].b);
        if (v == RKP_PASS)
            rkp_emit(&f->stage2, 0, f->half[i].b);
        else
            rkp_batch_put(f->half[i].b);
    }
    f->n_half = 0;
    return v;
}

rkp_verdict fake_poll(fake *f)
{
    f->verdict = f->conf.op->poll(f->main.self, &f->main);
    if (f->stage2.self && decode_half(f) == RKP_FAIL)
        f->verdict = RKP_FAIL;
    if (f->verdict == RKP_RETRY && f->wake_at > f->now_ns)
        f->now_ns = f->wake_at;
    return f->verdict;
}

rkp_verdict fake_poll_all(fake *f, size_t max)
{
    for (size_t i = 0; max == 0 || i < max; i++) {
        rkp_verdict v = fake_poll(f);
        if (v != RKP_MORE && v != RKP_RETRY)
            return v;
    }
    return f->verdict;
}

rkp_verdict fake_tick(fake *f)
{
    if (f->wake_at > f->now_ns)
        f->now_ns = f->wake_at;
    if (!f->conf.op->on_timer || !f->wake_at)
        return RKP_DONE;
    f->wake_at = 0;
    return f->conf.op->on_timer(f->main.self, &f->main);
}

static rkp_verdict offer(fake *f, unsigned port, rkp_batch *b)
{
    rkp_verdict v = RKP_RETRY;
    for (int i = 0; i < 1000 && v == RKP_RETRY; i++) {
        v = f->conf.op->on_batch(f->main.self, &f->main, port, b);
        if (v == RKP_RETRY && fake_tick(f) == RKP_FAIL)
            v = RKP_FAIL;
    }
    if (v == RKP_PASS)
        rkp_emit(&f->main, 0, rkp_batch_get(b));
    return v;
}

rkp_verdict fake_feed(fake *f, unsigned port, rkp_batch *b)
{
    if (!f->stage2.self) {
        f->verdict = offer(f, port, b);
        rkp_batch_put(b);
        return f->verdict;
    }
    f->verdict = f->conf.op->encode(f->stage2.self, &f->stage2, b);
    rkp_batch_put(b);
    for (size_t i = 0; i < f->n_half; i++) {
        if (f->verdict != RKP_FAIL)
            f->verdict = offer(f, port, f->half[i].b);
        // What a sink was given stays readable in f->out.
        fake_out *o = push(&f->out, &f->n_out, &f->cap_out, sizeof *o);
        *o = f->half[i];
    }
    f->n_half = 0;
    return f->verdict;
}

rkp_verdict fake_end(fake *f)
{
    f->verdict = RKP_DONE;
    if (f->conf.op->on_end) {
        do {
            f->verdict = f->conf.op->on_end(f->main.self, &f->main);
            if (f->verdict == RKP_RETRY && fake_tick(f) == RKP_FAIL)
                f->verdict = RKP_FAIL;
        } while (f->verdict == RKP_MORE || f->verdict == RKP_RETRY);
    }
    return f->verdict;
}

rkp_status fake_finish(fake *f)
{
    if (fake_end(f) == RKP_FAIL)
        step(f, f->fail_st, "end");
    if (f->st == RKP_OK && f->conf.op->prepare)
        step(f, f->conf.op->prepare(f->main.self, &f->main), "prepare");
    if (f->st == RKP_OK && f->conf.op->commit)
        step(f, f->conf.op->commit(f->main.self, &f->main), "commit");
    f->committed = f->st == RKP_OK;
    return f->st;
}

// ---- texts ----------------------------------------------------------------------------------------------------------

static void put_value(rki_buf *out, const rkp_col *c, uint32_t i)
{
    char t[RKP_F64_TEXT];
    const void *v = c->values;
    if (rkp_col_is_null(c, i)) {
        rki_putz(out, "null");
        return;
    }
    switch (c->type.kind) {
    case RKP_BOOL:
        rki_putz(out, rkp_bit(v, i) ? "true" : "false");
        break;
    case RKP_I8:
        rki_put(out, t, rkp_print_i64(t, ((const int8_t *)v)[i]));
        break;
    case RKP_I16:
        rki_put(out, t, rkp_print_i64(t, ((const int16_t *)v)[i]));
        break;
    case RKP_I32:
        rki_put(out, t, rkp_print_i64(t, ((const int32_t *)v)[i]));
        break;
    case RKP_I64:
        rki_put(out, t, rkp_print_i64(t, ((const int64_t *)v)[i]));
        break;
    case RKP_U8:
        rki_put(out, t, rkp_print_u64(t, ((const uint8_t *)v)[i]));
        break;
    case RKP_U16:
        rki_put(out, t, rkp_print_u64(t, ((const uint16_t *)v)[i]));
        break;
    case RKP_U32:
        rki_put(out, t, rkp_print_u64(t, ((const uint32_t *)v)[i]));
        break;
    case RKP_U64:
        rki_put(out, t, rkp_print_u64(t, ((const uint64_t *)v)[i]));
        break;
    case RKP_F32:
        rki_put(out, t, rkp_print_f32(t, ((const float *)v)[i]));
        break;
    case RKP_F64:
        rki_put(out, t, rkp_print_f64(t, ((const double *)v)[i]));
        break;
    case RKP_TIMESTAMP:
        rki_put(out, t, rkp_print_timestamp(t, ((const int64_t *)v)[i]));
        break;
    default: {
        rkp_str s = rkp_view_str(c, i);
        rki_put(out, s.p, s.n);
        break;
    }
    }
}

static void put_rows(fake *f, rki_buf *out, const rkp_batch *b)
{
    rkp_errs errs = { 0 };
    rkp_batch *mem = rkp_batch_new(f->pool, NULL, 0, 4096);
    rkp_col *cols = calloc(b->n_cols ? b->n_cols : 1, sizeof *cols);
    if (!mem || !cols)
        abort();
    for (uint32_t c = 0; c < b->n_cols; c++)
        if (b->cols[c].type.len || rkp_col_flat(mem, b, c, NULL, b->rows, &cols[c], &errs) != RKP_OK)
            cols[c].type.kind = RKP_N_KINDS;
    for (uint32_t i = 0; i < b->rows; i++) {
        for (uint32_t c = 0; c < b->n_cols; c++) {
            if (c)
                rki_putc(out, '|');
            if (cols[c].type.kind == RKP_N_KINDS)
                rki_putz(out, "?");
            else
                put_value(out, &cols[c], i);
        }
        rki_putc(out, '\n');
    }
    for (uint32_t i = 0; i < errs.n; i++)
        rki_putf(out, "! row %u column %d: %s\n", errs.v[i].row, errs.v[i].col, rkp_row_error_name(errs.v[i].code));
    rkp_errs_fini(&errs);
    free(cols);
    rkp_batch_put(mem);
}

static const char *keep(fake *f, rki_buf *b)
{
    const char *s;
    if (b->failed)
        abort();
    s = rki_dup(&f->arena, b->p ? b->p : "", b->n);
    rki_buf_fini(b);
    return s;
}

const char *fake_rows_of(fake *f, const rkp_batch *b)
{
    rki_buf out;
    rki_buf_init(&out);
    put_rows(f, &out, b);
    return keep(f, &out);
}

const char *fake_rows(fake *f, unsigned port)
{
    rki_buf out;
    rki_buf_init(&out);
    for (size_t i = 0; i < f->n_out; i++)
        if (f->out[i].port == port)
            put_rows(f, &out, f->out[i].b);
    return keep(f, &out);
}

rkp_str fake_bytes(fake *f)
{
    rki_buf out;
    rkp_str s;
    rki_buf_init(&out);
    for (size_t i = 0; i < f->n_out; i++)
        if (f->out[i].port == 0)
            rki_put(&out, f->out[i].b->blob.p, f->out[i].b->blob.n);
    s.n = out.n;
    s.p = keep(f, &out);
    return s;
}

const char *fake_reject_text(fake *f)
{
    rki_buf out;
    rki_buf_init(&out);
    for (size_t i = 0; i < f->n_rejects; i++) {
        const fake_reject *r = &f->rejects[i];
        rki_putf(&out, "%s|", rkp_row_error_name(r->code));
        if (r->col >= 0)
            rki_putf(&out, "%d", r->col);
        rki_putc(&out, '|');
        rki_put(&out, r->what.p ? r->what.p : "", r->what.n);
        rki_putc(&out, '|');
        rki_put(&out, r->file.p ? r->file.p : "", r->file.n);
        rki_putf(&out, ":%llu\n", (unsigned long long)r->line);
    }
    return keep(f, &out);
}

uint64_t fake_dropped(const fake *f, const char *reason)
{
    for (size_t i = 0; i < f->n_drops; i++)
        if (strcmp(f->drops[i].reason, reason) == 0)
            return f->drops[i].rows;
    return 0;
}

const char *fake_findings(fake *f)
{
    rki_buf out;
    rki_buf_init(&out);
    rki_diags_sort(f->diags);
    rki_diags_text(f->diags, &out, false);
    return keep(f, &out);
}

// ---- inputs ---------------------------------------------------------------------------------------------------------

static rkp_str trim(rkp_str s)
{
    while (s.n && (*s.p == ' ' || *s.p == '\n'))
        s.p++, s.n--;
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\n'))
        s.n--;
    return s;
}

static rkp_str cut(rkp_str *rest, char at)
{
    const char *e = rest->n ? memchr(rest->p, at, rest->n) : NULL;
    rkp_str part = { rest->p, e ? (size_t)(e - rest->p) : rest->n };
    rest->p += part.n + (e != NULL);
    rest->n -= part.n + (e != NULL);
    return part;
}

rkp_schema fake_schema_in(rki_arena *a, const char *text)
{
    rkp_str rest = rkp_str_of(text);
    rkp_field *v = rki_array(a, strlen(text) + 1, sizeof *v);
    uint32_t n = 0;
    if (!v)
        abort();
    while (rest.n) {
        rkp_str part = trim(cut(&rest, ','));
        v[n].name = rki_dup_str(a, cut(&part, ' '));
        if (!rkp_type_parse(trim(part), &v[n].type))
            abort(); // the test's schema is wrong
        n++;
    }
    return (rkp_schema){ n, v };
}

const rkp_schema *fake_schema(fake *f, const char *text)
{
    rkp_schema *s = rki_alloc(&f->arena, sizeof *s);
    if (!s)
        abort();
    *s = fake_schema_in(&f->arena, text);
    return s;
}

rkp_batch *fake_batch(fake *f, const rkp_schema *s, const char *lines)
{
    rkp_str rest = rkp_str_of(lines), *v;
    rkp_errs errs = { 0 };
    uint32_t n = 0, rows = 0;
    rkp_batch *b = rkp_batch_new(f->pool, s, s->n, 4096);
    for (const char *p = lines; *p; p++)
        rows += *p == '\n';
    v = calloc((size_t)rows * s->n + 1, sizeof *v);
    if (!b || !v)
        abort();
    while (rest.n) {
        rkp_str line = cut(&rest, '\n');
        for (uint32_t c = 0; c < s->n; c++) {
            rkp_str x = cut(&line, '|');
            if (rkp_str_is(x, "''"))
                x.n = 0;
            else if (!x.n && s->f[c].type.nullable)
                x.p = NULL;
            v[(size_t)c * rows + n] = x;
        }
        n++;
    }
    b->rows = n;
    for (uint32_t c = 0; c < s->n; c++) {
        rkp_type t = s->f[c].type, text = { .kind = RKP_STRING, .nullable = t.nullable };
        bool view = rkp_kind_is_view(t.kind);
        rkp_col out;
        if (rkp_col_set_strs(b, c, view ? t : text, v + (size_t)c * rows, n) != RKP_OK)
            abort();
        if (view)
            continue;
        if (rkp_col_cast(b, &b->cols[c], n, t, &out, &errs) != RKP_OK || errs.n)
            abort(); // the test's values are wrong
        b->cols[c] = out;
    }
    rkp_errs_fini(&errs);
    free(v);
    return b;
}

const char *fake_schema_text(const fake *f)
{
    static char text[4096];
    size_t n = 0;
    text[0] = 0;
    for (uint32_t i = 0; i < f->outs[0].n; i++) {
        char type[RKP_TYPE_TEXT];
        rkp_type_print(type, f->outs[0].f[i].type);
        n += (size_t)snprintf(text + n, sizeof text - n, "%s" RKP_STR_FMT " %s", i ? ", " : "",
                              RKP_STR_ARG(f->outs[0].f[i].name), type);
    }
    return text;
}
