// run/actor.c - the contract's actor functions: what an operator can ask for and do.
#include "run/meter.h"
#include "run/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

uint64_t rki_mono_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t rki_wall_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

uint64_t rki_run_ns(const rki_run *r)
{
    const rki_time *t = r->args.time;
    return RKP_UNLIKELY(t) ? t->mono_ns(t->ctx) : rki_mono_ns();
}

uint64_t rki_run_wall_us(const rki_run *r)
{
    const rki_time *t = r->args.time;
    return RKP_UNLIKELY(t) ? (uint64_t)t->wall_us(t->ctx) : rki_wall_us();
}

static void count_reason(rki_reason_count *v, uint32_t *n, const char *reason, uint64_t rows)
{
    for (uint32_t i = 0; i < *n; i++) {
        if (v[i].reason == reason || strcmp(v[i].reason, reason) == 0) {
            RKI_ADD(v[i].rows, rows);
            return;
        }
    }
    if (*n < RKI_MAX_REASONS) {
        v[*n] = (rki_reason_count){ reason, rows };
        // Release, to the acquire of who looks while it runs: the reason's name.
        __atomic_store_n(n, *n + 1, __ATOMIC_RELEASE);
    } else {
        RKI_ADD(v[RKI_MAX_REASONS - 1].rows, rows);
    }
}

void rki_drop_rows(rkp_actor *a, uint64_t rows, const char *reason)
{
    if (!rows)
        return;
    count_reason(a->counts.drops, &a->counts.n_drops, reason, rows);
    RKI_ADD(a->counts.dropped, rows);
}

void rki_lose_rows(rkp_actor *a, uint64_t rows, const char *reason)
{
    rki_drop_rows(a, rows, reason);
    RKI_ADD(a->counts.lost, rows);
}

void rki_drop_unread(rkp_actor *a, uint64_t rows)
{
    RKI_ADD(a->counts.rows_out, 0 - rows);
    if (rki_is_publisher(a->r))
        return; // the engine tells everything, and hardly anybody wants all of it
    RKI_ADD(a->counts.unread, rows);
    rki_drop_rows(a, rows, "unread");
}

void rki_count_dead(rkp_actor *a, uint64_t rows, const char *reason)
{
    if (!rows)
        return;
    count_reason(a->counts.deads, &a->counts.n_deads, reason, rows);
    RKI_ADD(a->counts.dead, rows);
}

rkp_pool *rkp_actor_pool(rkp_actor *a)
{
    // State has a pool of its own, so that what an operator keeps never makes the sources wait for ever.
    return a->op->traits & RKP_HOLDS ? a->run->state_pool : a->run->pool;
}

rkp_frame *rkp_actor_frame(rkp_actor *a)
{
    if (!a->frame)
        a->frame = rkp_frame_new(a->run->pool);
    return a->frame;
}

rkp_errs *rkp_actor_errs(rkp_actor *a)
{
    rkp_errs_clear(&a->errs);
    return &a->errs;
}

const rkp_meta *rkp_actor_meta(rkp_actor *a)
{
    if (RKP_UNLIKELY(a->run->args.time))
        a->meta.now_us = (int64_t)rki_run_wall_us(a->run);
    return &a->meta;
}

const char *rkp_actor_kernel(const rkp_actor *a)
{
    return a->bound->k->id.p;
}

// Of what a source emits.  One that waits in the system has been at it for long.
static uint64_t arrives_us(const rkp_actor *a)
{
    return a->op->traits & RKP_BLOCKING ? rki_clock_now_us(&a->run->clock) : a->r->pt_us;
}

static void count_published(rki_published *p, uint64_t rows)
{
    RKI_ADD(p->rows, rows);
    RKI_ADD(p->messages, 1);
}

static void count_unheard(const rkp_actor *a, uint32_t port, uint64_t rows)
{
    for (uint32_t u = 0; u < a->n_unheard; u++)
        if (a->unheard[u].pub->port == port)
            count_published(a->unheard[u].published, rows);
}

static inline __attribute__((always_inline)) void give(rkp_actor *a, unsigned port, rkp_batch *b)
{
    uint64_t rows = rki_batch_rows(b);
    uint32_t n;
    RKI_ADD(a->counts.rows_out, rows);
    RKI_ADD(a->counts.bytes_out, b->blob.p ? b->blob.n : b->in_bytes);
    n = port < a->stage->n_ports ? a->n_outs[port] : 0;
    if (RKP_UNLIKELY(a->op->traits & RKP_REPLIES)) {
        if (RKP_UNLIKELY(a->run->args.see))
            rki_see(a, port, NULL, NULL, b);
        rki_send_reply(a, b);
        return;
    }
    // Relaxed: a tap may begin a message later.
    if (RKP_UNLIKELY(__atomic_load_n(&a->run->n_taps, __ATOMIC_RELAXED)) && a->stage->gives) {
        rki_tap_offer(a, port, NULL, NULL, b);
        rki_tap_unheard(a, port, b);
    }
    if (RKP_UNLIKELY(a->n_unheard))
        count_unheard(a, port, rows);
    if (n == 0) {
        // Nobody reads this port: counted, so that the sums close.
        rki_drop_unread(a, rows);
        rkp_batch_put(b);
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        rki_out *o = &a->outs[port][i];
        rkp_batch *m = i + 1 < n ? rkp_batch_get(b) : b;
        if (o->published)
            count_published(o->published, rows);
        if (o->local) {
            rki_deliver(o->local, m);
            rkp_batch_put(m);
        } else {
            rki_send(a, o, m);
        }
    }
}

static __attribute__((noinline)) void give_traced(rkp_actor *a, unsigned port, rkp_batch *b)
{
    rki_tracing t;
    bool begins = rki_trace_emits(a, b, &t);
    give(a, port, b);
    if (begins)
        rki_trace_emitted(a, &t);
}

void rkp_emit(rkp_actor *a, unsigned port, rkp_batch *b)
{
    if (!b) {
        rkp_fail(a, RKP_NOMEM, "out of memory");
        return;
    }
    a->r->emission++;
    if (!a->r->hlc_out)
        a->r->stamp = rkp_hlc_tick(&a->r->clock, a->r->pt_us);
    if (!b->born_us) { // made here: nobody else has it yet
        b->born_us = a->r->in_born_us ? a->r->in_born_us : arrives_us(a);
        if (RKP_UNLIKELY(a->run->args.spans)) {
            give_traced(a, port, b);
            return;
        }
    }
    give(a, port, b);
}

void rkp_drop(rkp_actor *a, uint64_t rows, const char *reason)
{
    rki_drop_rows(a, rows, reason);
}

void rkp_absorb(rkp_actor *a, uint64_t rows)
{
    RKI_ADD(a->counts.absorbed, rows);
}

static void fail_run(rkp_actor *a, rkp_status st, const char *fmt, va_list ap)
{
    rki_run *r = a->run;
    __atomic_store_n(&a->failed, true, __ATOMIC_RELAXED);
    pthread_mutex_lock(&r->lock);
    if (r->fail_status == RKP_OK) {
        int n = snprintf(r->failure, sizeof r->failure, "kernel '%s': ", a->bound->k->id.p);
        if (n < 0)
            n = 0;
        if ((size_t)n >= sizeof r->failure)
            n = sizeof r->failure - 1;
        if (vsnprintf(r->failure + n, sizeof r->failure - (size_t)n, fmt, ap) < 0)
            r->failure[n] = 0;
        r->fail_status = st == RKP_OK ? RKP_IO : st;
    }
    pthread_mutex_unlock(&r->lock);
    if (RKI_LOOK(a->r->observes))
        __atomic_store_n(&r->halted, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&r->failed, 1, __ATOMIC_SEQ_CST);
    // The control thread stops the others.
    rkp_backend_run *b = __atomic_load_n(&r->poke, __ATOMIC_SEQ_CST);
    if (b)
        r->backend->poke(b);
}

rkp_verdict rki_fail_run(rkp_actor *a, rkp_status st, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fail_run(a, st, fmt, ap);
    va_end(ap);
    return RKP_FAIL;
}

rkp_verdict rkp_fail(rkp_actor *a, rkp_status st, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (RKP_UNLIKELY(a->r->prepare)) {
        rki_prepare *p = a->r->prepare;
        if (p->st == RKP_OK && vsnprintf(p->text, sizeof p->text, fmt, ap) < 0)
            p->text[0] = 0;
        p->st = p->st == RKP_OK ? st : p->st;
    } else if (a->life && st != RKP_INTERNAL) {
        if (!a->crashed && vsnprintf(a->crash, sizeof a->crash, fmt, ap) < 0) // the first is what is told
            a->crash[0] = 0;
        a->crash_status = a->crashed ? a->crash_status : st;
        a->crashed = true;
    } else {
        fail_run(a, st, fmt, ap);
    }
    va_end(ap);
    return RKP_FAIL;
}

static const char *reject_reason(const rkp_actor *a, unsigned code)
{
    return a->bound->k->on_error.reason.p ? a->bound->k->on_error.reason.p : rkp_row_error_name(code);
}

static void count_rejects(rkp_actor *a, unsigned code, uint64_t rows)
{
    RKI_ADD(a->bad, rows);
    if (a->bound->on_error == RKI_ERR_DEAD_LETTER) {
        rki_count_dead(a, rows, reject_reason(a, code));
    } else {
        rki_lose_rows(a, rows, reject_reason(a, code));
    }
}

static rkp_verdict reject(rkp_actor *a, rkp_batch *b, const rkp_errs *errs, bool made)
{
    if (errs->failed)
        return rkp_fail(a, RKP_NOMEM, "out of memory while noting bad rows");
    if (errs->n == 0)
        return RKP_DONE;
    if (a->bound->on_error == RKI_ERR_FAIL) {
        rkp_str file = { 0 };
        uint64_t line = rkp_batch_line(b, errs->v[0].row, &file);
        rki_buf text;
        rki_buf_init(&text);
        if (line)
            rki_putf(&text, "%.*s:%llu: ", RKP_STR_ARG(file), (unsigned long long)line);
        rki_row_error_text(a, b, &errs->v[0], &text);
        if (text.failed)
            rkp_fail(a, RKP_IO, "a bad row [%s]", rkp_row_error_name(errs->v[0].code));
        else
            rkp_fail(a, RKP_IO, "%.*s", (int)text.n, text.p);
        rki_buf_fini(&text);
        RKI_ADD(a->bad, 1);
        return RKP_FAIL;
    }
    for (uint32_t i = 0; i < errs->n; i++)
        count_rejects(a, errs->v[i].code, 1);
    if (a->bound->on_error == RKI_ERR_DEAD_LETTER)
        rki_dead_rows(a, b, errs, made);
    return rki_halted(a->r) ? RKP_FAIL : RKP_DONE;
}

rkp_verdict rkp_reject(rkp_actor *a, rkp_batch *b, const rkp_errs *errs)
{
    return reject(a, b, errs, false);
}

rkp_verdict rkp_reject_made(rkp_actor *a, rkp_batch *b, const rkp_errs *errs)
{
    return reject(a, b, errs, true);
}

rkp_verdict rkp_reject_raw(rkp_actor *a, unsigned code, rkp_str what, rkp_str raw, rkp_str file, uint64_t line)
{
    if (a->bound->on_error == RKI_ERR_FAIL) {
        RKI_ADD(a->bad, 1);
        return rkp_fail(a, RKP_IO, "%.*s:%llu: %.*s [%s]", RKP_STR_ARG(file), (unsigned long long)line,
                        RKP_STR_ARG(what), rkp_row_error_name(code));
    }
    count_rejects(a, code, 1);
    if (a->bound->on_error == RKI_ERR_DEAD_LETTER)
        rki_dead_raw(a, code, what, raw, file, line);
    return rki_halted(a->r) ? RKP_FAIL : RKP_DONE;
}

uint64_t rkp_corr(const rkp_actor *a)
{
    return a->r->corr;
}

void rkp_corr_set(rkp_actor *a, uint64_t corr)
{
    a->r->corr = corr;
}

uint64_t rkp_corr_new(rkp_actor *a)
{
    return (uint64_t)a->r->id << 48 | (++a->r->next_corr & 0xffffffffffffu);
}

uint64_t rkp_now_ns(const rkp_actor *a)
{
    const rki_run_args *args = &a->run->args;
    return args->now_ns ? args->now_ns(args->now_arg) : rki_run_ns(a->run);
}

int64_t rkp_wall_us(const rkp_actor *a)
{
    rki_runner *r = a->r;
    if (!r->wall_us)
        r->wall_us = rki_run_wall_us(a->run);
    return (int64_t)r->wall_us;
}

void rkp_wake_at(rkp_actor *a, uint64_t ns)
{
    if (a->op->on_timer) {
        a->timer_ns = ns;
        a->r->timed = true;
    } else {
        a->r->wake_ns = ns;
    }
}

void rkp_count(rkp_actor *a, unsigned metric, uint64_t n)
{
    if (metric < 16)
        RKI_ADD(a->counts.metrics[metric], n);
}

void rkp_progress(rkp_actor *a, uint64_t done_bytes, uint64_t total_bytes)
{
    __atomic_store_n(&a->progress_done, done_bytes, __ATOMIC_RELAXED);
    __atomic_store_n(&a->progress_total, total_bytes, __ATOMIC_RELAXED);
}

bool rkp_stopping(const rkp_actor *a)
{
    // What happens at the end is told, too: the engine's publisher goes on until all others have ended.
    bool stopping = a->op != &rki_op_engine && __atomic_load_n(&a->run->stopping, __ATOMIC_RELAXED);
    return stopping || rki_halted(a->r) || a->r->unwanted || a->leaving || RKI_LOOK(a->r->leaves);
}

unsigned rkp_actor_replica(const rkp_actor *a, unsigned *n)
{
    if (n)
        *n = a->r->plan->replicas;
    return a->r->replica;
}

void rkp_actor_queue(const rkp_actor *a, uint64_t *messages, uint64_t *bytes)
{
    *messages = a->bound->k->queue_capacity;
    *bytes = a->bound->k->queue_bytes;
}

rkp_bounds rkp_actor_bounds(const rkp_actor *a)
{
    const rki_state_conf *s = &a->bound->k->state;
    return (rkp_bounds){ s->ttl_ns, s->max_keys, s->on_full == RKI_FULL_FAIL };
}

bool rkp_actor_needed(const rkp_actor *a, uint32_t out_column)
{
    const rki_bound *b = a->bound;
    return !b->needed || b->n_out == 0 || out_column >= b->out[0].n || b->needed[out_column];
}

rkp_str rkp_actor_kept(const rkp_actor *a)
{
    return a->bound->kept;
}

bool rkp_state_take(rkp_actor *a, uint64_t bytes)
{
    if (bytes > rkp_state_limit(a) || a->state_used > rkp_state_limit(a) - bytes)
        return false;
    a->state_used += bytes;
    return true;
}

void rkp_state_give(rkp_actor *a, uint64_t bytes)
{
    a->state_used -= bytes;
}

uint64_t rkp_state_limit(const rkp_actor *a)
{
    const rki_plan *p = a->gen->plan;
    return p->n_holders ? p->state_bytes / p->n_holders : 0;
}

// mkdir -p
static int make_dirs(char *path)
{
    for (char *p = path + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = 0;
        if (mkdir(path, 0777) != 0 && errno != EEXIST) {
            *p = '/';
            return -1;
        }
        *p = '/';
    }
    return mkdir(path, 0777) != 0 && errno != EEXIST ? -1 : 0;
}

int rkp_spill_open(rkp_actor *a)
{
    char path[4096];
    int fd, n = snprintf(path, sizeof path, "%s", a->run->args.data_dir);
    if (n < 0 || (size_t)n >= sizeof path - 32) {
        rkp_fail(a, RKP_IO, "engine.data_dir is too long");
        return -1;
    }
    if (make_dirs(path) != 0) {
        rkp_fail(a, RKP_IO, "cannot make the folder '%s' for spilling: %s", path, strerror(errno));
        return -1;
    }
    fd = open(path, O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    memcpy(path + n, "/spill-XXXXXX", sizeof "/spill-XXXXXX"); // not every file system has those
    fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        rkp_fail(a, RKP_IO, "cannot make a spill file in '%s': %s", a->run->args.data_dir, strerror(errno));
    else
        unlink(path);
    return fd;
}

bool rkp_wait_readable(rkp_actor *a, int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    if (RKP_UNLIKELY(a->r->gathered))
        rki_spill_write(a->r);
    while (!rkp_stopping(a)) {
        rki_wiring *next;
        bool ready;
        int n;
        if (a->r->hlc_out) { // who waits for our clock may move it meanwhile
            rki_floors(a->r);
            rki_clock_leave(a->r);
        }
        n = poll(&p, 1, 100); // wakes now and then to see that the run is stopping, or that nobody wants more
        ready = n > 0 || (n < 0 && errno != EINTR);
        // It may wait for long: between two messages is here, too.
        next = ready ? NULL : __atomic_load_n(&a->r->next, __ATOMIC_ACQUIRE);
        if (RKP_UNLIKELY(next))
            rki_adopt(a->r);
        if (a->r->hlc_out) {
            rki_clock_enter(a->r);
            rki_look_at_clock(a->r);
        }
        if (ready)
            return true;
        rki_look_wanted(a->r);
        if (RKP_UNLIKELY(next))
            rki_flush(a->r);
    }
    return false;
}

bool rkp_wait_ready(rkp_actor *a, int fd, short events)
{
    struct pollfd p = { .fd = fd, .events = events };
    if (RKP_UNLIKELY(a->r->gathered))
        rki_spill_write(a->r);
    while (!rki_halted(a->r)) {
        int n = poll(&p, 1, 100);
        if (n > 0 || (n < 0 && errno != EINTR))
            return true;
    }
    return false;
}

void rkp_log(rkp_actor *a, rkp_str lines)
{
    const rki_run_args *args = &a->run->args;
    if (args->log && lines.n)
        args->log(args->log_arg, lines);
}

void rkp_log_rows(rkp_actor *a, rkp_str lines)
{
    const rki_run_args *args = &a->run->args;
    if (args->log_rows && lines.n)
        args->log_rows(args->log_arg, lines);
    else
        rkp_log(a, lines);
}

const char *const *rkp_actor_env(const rkp_actor *a)
{
    return a->run->args.env;
}

void rki_log(rki_run *r, const char *fmt, ...)
{
    va_list ap;
    char text[1024];
    int n;
    if (!r->args.log)
        return;
    va_start(ap, fmt);
    n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n > 0)
        r->args.log(r->args.log_arg, (rkp_str){ text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1 });
}

static uint64_t hash(uint64_t h, const char *text)
{
    do
        h = (h ^ (unsigned char)*text) * UINT64_C(1099511628211);
    while (*text++);
    return h;
}

// By the folder's path: after the power was lost the folder may be another one.
uint64_t rkp_owner(const rkp_actor *a)
{
    const rki_run_args *args = &a->run->args;
    char *path = args->keeps && !args->replay ? realpath(args->data_dir, NULL) : NULL, name[40] = "";
    uint64_t h = 0;
    if (path) {
        // A run without checkpoints has names of its own, so it takes none away that a checkpoint is about.
        if (a->run->ckpt)
            rki_spec_checkpoints(a->run->plan->spec, name);
        h = hash(hash(UINT64_C(14695981039346656037), path), name);
    }
    free(path);
    return h;
}
