// run/ckpt_queues.c - checkpoints: what is on its way at the cut, where messages must not wait for a barrier (docs/design/checkpoints.md).
//
// A record of its own for each runner: its clock, the records of its logs on disk, by number, and messages of its inputs.
#include "run/ckpt.h"

#include "base/buf.h"
#include "data/wire.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// ---- saving ---------------------------------------------------------------------------------------------------------

// The clock, and what waits on disk.
bool rki_ckpt_put_logs(rki_runner *r, uint32_t number, rkp_save *to)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < r->n_outs; i++)
        n += rki_spill_has(&r->outs[i]);
    rkp_save_u64(to, r->clock.last);
    rkp_save_u64(to, n);
    for (uint32_t i = 0; i < r->n_outs; i++)
        if (rki_spill_has(&r->outs[i]) && !rki_spill_save(r, &r->outs[i], number, to))
            return false;
    return true;
}

static void log_bytes(rki_runner *r, const rki_inset *in, const rkp_envelope *e, const void *p, size_t n)
{
    rki_buf name;
    rkp_envelope env = *e;
    env.payload = 0;
    rki_buf_init(&name);
    rki_edge_name(r->wiring->gen->plan, in->edge, &name);
    if (name.failed)
        r->parts->log.out.failed = true;
    rkp_save_str(&r->parts->log, (rkp_str){ name.n ? name.p : "", name.n });
    rkp_save_bytes(&r->parts->log, &env, sizeof env);
    rkp_save_str(&r->parts->log, (rkp_str){ p, n });
    rki_buf_fini(&name);
}

void rki_ckpt_log_message(rki_runner *r, const rki_inset *in, const rkp_envelope *e, const rkp_batch *b)
{
    rki_buf body;
    if (!b)
        return;
    rki_buf_init(&body);
    if (rki_wire_put(b, &body) != RKP_OK)
        r->parts->log.out.failed = true;
    else
        log_bytes(r, in, e, body.p, body.n);
    rki_buf_fini(&body);
}

// What is left of what was on its way at the last one still is.
bool rki_ckpt_whole(rki_runner *r)
{
    const rkp_load *l = &r->parts->restored;
    if (r->restored)
        rkp_save_bytes(&r->parts->log, l->p + l->at, l->n - l->at);
    return rki_ckpt_hand_in(r);
}

void rki_ckpt_link_done(rki_runner *r, rki_link *k)
{
    k->logs = false;
    if (--r->n_logs == 0)
        rki_ckpt_whole(r);
}

// Where the barrier is in the ring, or where the ring ends when nothing but the barrier comes next.  UINT64_MAX: it has not come.
static uint64_t barrier_at(rki_link *k, uint32_t number)
{
    // Acquire, from the release in rki_send_barrier: what is in the ring.
    bool due = __atomic_load_n(&k->due, __ATOMIC_ACQUIRE) == number;
    uint64_t head = __atomic_load_n(&k->ring->head, __ATOMIC_RELAXED), // relaxed: its consumer's own
        n = __atomic_load_n(&k->ring->tail, __ATOMIC_ACQUIRE) - head;
    for (uint64_t i = 0; i < n; i++) {
        const rkp_envelope *e = rki_ring_slot(k->ring, head + i);
        if ((e->flags & RKP_F_END) || ((e->flags & RKP_F_BARRIER) && (uint32_t)e->chunk == number))
            return i;
    }
    return due ? n : UINT64_MAX;
}

// Of a link that is suspended: it takes part with what is in its ring.  A queue that drops its oldest belongs to a kernel that may lose rows.
static bool rests(const rki_inset *in, const rki_link *k)
{
    return !k->ended && in->edge->overflow != RKI_OVERFLOW_DROP_OLDEST;
}

static bool peek_restored(rkp_load *l, rkp_str *name, rkp_envelope *e, rkp_str *body)
{
    if (l->at == l->n)
        return false;
    *name = rkp_load_str(l);
    rkp_load_bytes(l, e, sizeof *e);
    *body = rkp_load_str(l);
    return rkp_load_ok(l);
}

bool rki_ckpt_front(rki_runner *r, rkp_envelope *e)
{
    rkp_load l = r->parts->restored;
    rkp_str name, body;
    if (r->parts->restored.at == r->parts->restored.n)
        r->restored = false;
    return r->restored && peek_restored(&l, &name, e, &body);
}

// Messages before the barriers, and what is left of an earlier checkpoint: all by their stamps where they are taken so; else link by link.
static bool log_rings(rki_runner *r, uint32_t number, bool logging)
{
    struct {
        const rki_inset *in;
        rki_link *k;
        uint64_t at, end;
    } * v;
    rkp_load left = r->parts->restored;
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->n_ins; i++)
        n += r->ins[i].n;
    v = calloc(n + 1u, sizeof *v);
    if (!v) {
        rki_fail_run(r->acts[0], RKP_NOMEM, "out of memory while saving what is on its way");
        return false;
    }
    n = 0;
    for (uint32_t i = 0; i < r->n_ins; i++)
        for (uint32_t l = 0; l < r->ins[i].n; l++) {
            rki_link *k = r->ins[i].links[l];
            uint64_t head = __atomic_load_n(&k->ring->head, __ATOMIC_RELAXED);
            if (!rests(&r->ins[i], k) || k->barred || (logging && !k->logs))
                continue;
            v[n].in = &r->ins[i];
            v[n].k = k;
            v[n].at = head;
            v[n++].end = head + barrier_at(k, number);
        }
    for (;;) {
        rkp_load next = left;
        rkp_str name, body;
        rkp_envelope first;
        bool old = r->restored && peek_restored(&next, &name, &first, &body);
        const rkp_envelope *best = old ? &first : NULL;
        uint32_t from = 0;
        for (uint32_t i = 0; i < n && (!best || r->hlc_in); i++) {
            const rkp_envelope *e = v[i].at < v[i].end ? rki_ring_slot(v[i].k->ring, v[i].at) : NULL;
            if (e && (!best || e->stamp < best->stamp || (e->stamp == best->stamp && e->actor < best->actor))) {
                best = e;
                from = i;
            }
        }
        if (!best)
            break;
        if (best == &first) {
            rkp_save_bytes(&r->parts->log, left.p + left.at, next.at - left.at);
            left = next;
            continue;
        }
        rki_ckpt_log_message(r, v[from].in, best, (const rkp_batch *)(uintptr_t)best->payload);
        v[from].at++;
    }
    free(v);
    return true;
}

bool rki_ckpt_at_rest(rki_runner *r)
{
    uint32_t number = __atomic_load_n(&r->run->ckpt->wanted, __ATOMIC_ACQUIRE);
    bool logging = r->n_logs != 0;
    if (r->pending || rki_batcher_rows(r->batcher) || r->end_stage)
        return true; // when it goes on again
    for (uint32_t i = 0; i < r->n_ins; i++)
        for (uint32_t l = 0; l < r->ins[i].n; l++) {
            const rki_inset *in = &r->ins[i];
            rki_link *k = in->links[l];
            if (!rests(in, k) || k->barred || (logging && !k->logs))
                continue;
            uint64_t at = barrier_at(k, number);
            // Between two halves of a kernel is what only its own kind knows; and what is of a chunk has its place among replicas.
            bool apart = !in->edge->in || r->plan->replicas > 1 || (in->n > 1 && in->edge->chunked);
            if (in->retires || at == UINT64_MAX || (apart && at > 0))
                return true;
        }
    if (!logging && !rki_ckpt_begin_cut(r, number))
        return false;
    if (!log_rings(r, number, logging))
        return false;
    for (uint32_t i = 0; i < r->n_ins; i++) {
        rki_inset *in = &r->ins[i];
        for (uint32_t l = 0; l < in->n; l++)
            in->links[l]->barred = in->links[l]->logs = false;
        if (in->n_barred)
            in->cur = in->turn;
        in->n_barred = 0;
    }
    r->barring = r->n_logs = 0;
    if (!logging)
        rki_send_barrier(r, number);
    return rki_ckpt_hand_in(r);
}

static rki_inset *inset_named(rki_runner *r, rkp_str name)
{
    rki_inset *found = NULL;
    rki_buf b;
    rki_buf_init(&b);
    for (uint32_t i = 0; i < r->n_ins && !found; i++) {
        rki_buf_clear(&b);
        rki_edge_name(r->wiring->gen->plan, r->ins[i].edge, &b);
        if (!b.failed && rkp_str_eq((rkp_str){ b.p, b.n }, name))
            found = &r->ins[i];
    }
    rki_buf_fini(&b);
    return found;
}

bool rki_ckpt_restored(rki_runner *r, rki_inset **in, rkp_envelope *e)
{
    rkp_load *l = &r->parts->restored;
    const rki_plan *p = r->wiring->gen->plan;
    const rki_stage *from;
    const rkp_schema *expect = NULL;
    const char *why = "it is damaged";
    rkp_batch *b = NULL;
    rkp_status st = RKP_INVALID;
    rkp_str name, body;
    size_t at = l->at;
    if (at == l->n) {
        r->restored = false;
        return false;
    }
    *in = peek_restored(l, &name, e, &body) ? inset_named(r, name) : NULL;
    if (r->n_logs) // the one at hand is as before it
        rkp_save_bytes(&r->parts->log, l->p + at, l->at - at);
    if (*in) {
        from = &p->stages[(*in)->edge->from_stage];
        if (!(*in)->edge->dead && (*in)->edge->from_port < p->kernels[from->kernel].n_out)
            expect = &p->kernels[from->kernel].out[(*in)->edge->from_port];
        st = rki_wire_get(r->run->pool, expect, body.p, body.n, &b, &why);
    }
    if (st == RKP_OK) {
        e->payload = (uint64_t)(uintptr_t)b;
        return true;
    }
    r->restored = false;
    rki_fail_run(r->acts[0], st == RKP_NOMEM ? RKP_NOMEM : RKP_UNAVAILABLE,
                 st == RKP_NOMEM
                     ? "out of memory while going on from a checkpoint"
                     : "cannot go on from the checkpoint: a message of it does not fit: %s; --fresh begins anew",
                 why);
    return false;
}

// ---- logs that nobody has any more --------------------------------------------------------------------------------

static bool spills_to(const rki_run *r, const char *log)
{
    bool found = false;
    rki_buf b;
    rki_buf_init(&b);
    for (uint32_t i = 0; i < r->n_runners && !found; i++)
        for (uint32_t o = 0; o < r->runners[i]->n_outs && !found; o++) {
            const rki_edge *e = r->runners[i]->outs[o].edge;
            rki_buf_clear(&b);
            rki_edge_name(r->plan, e, &b);
            found = e->overflow == RKI_OVERFLOW_SPILL &&
                    (b.failed || (strlen(log) == b.n && memcmp(log, b.p, b.n) == 0)); // in doubt it stays
        }
    rki_buf_fini(&b);
    return found;
}

static void gone(const rki_run *r, const char *dir, uint32_t number)
{
    struct rki_ckpt *c = r->ckpt;
    size_t n = strlen(dir) + 1;
    struct rki_gone_log *g = malloc(sizeof *g + n);
    if (!g)
        return; // the next run finds it
    memcpy(g->dir, dir, n);
    g->number = number;
    pthread_mutex_lock(&c->lock);
    g->next = c->gone;
    c->gone = g;
    pthread_mutex_unlock(&c->lock);
}

void rki_ckpt_log_gone(const rki_run *r, const char *dir)
{
    // Acquire, as everywhere.  One that is under way may speak of it.
    gone(r, dir, __atomic_load_n(&r->ckpt->wanted, __ATOMIC_ACQUIRE));
}

void rki_ckpt_log_back(const rki_run *r, const char *dir)
{
    struct rki_ckpt *c = r->ckpt;
    struct rki_gone_log **at, *g;
    if (!c)
        return;
    pthread_mutex_lock(&c->lock); // nobody is about to remove it
    for (at = &c->gone; (g = *at);)
        if (strcmp(g->dir, dir) == 0) {
            *at = g->next;
            free(g);
        } else {
            at = &g->next;
        }
    pthread_mutex_unlock(&c->lock);
}

void rki_ckpt_drop_logs(const rki_run *r, bool all)
{
    struct rki_ckpt *c = r->ckpt;
    uint32_t committed = rki_ckpt_committed(r);
    struct rki_gone_log **at, *g;
    pthread_mutex_lock(&c->lock);
    for (at = &c->gone; (g = *at);)
        if (all || g->number + RKI_CKPT_KEEP <= committed) {
            rki_spill_remove(g->dir);
            *at = g->next;
            free(g);
        } else {
            at = &g->next;
        }
    pthread_mutex_unlock(&c->lock);
}

void rki_ckpt_find_gone_logs(const rki_run *r)
{
    char *path = rki_spill_folder(r);
    int fd = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    rki_buf b;
    rki_buf_init(&b);
    for (struct dirent *e; d && (e = readdir(d));) {
        if (e->d_name[0] == '.' || spills_to(r, e->d_name))
            continue;
        rki_buf_clear(&b);
        rki_putf(&b, "%s/%s", path, e->d_name);
        rki_put(&b, "", 1);
        if (!b.failed)
            gone(r, b.p, (uint32_t)r->ckpt->from.number);
    }
    rki_buf_fini(&b);
    if (d)
        closedir(d);
    else if (fd >= 0)
        close(fd);
    free(path);
}

// ---- going on -------------------------------------------------------------------------------------------------------

struct queues {
    uint64_t clock, n; // n: logs, which come next in `at`
    rkp_load at;
};

static bool read_queues(const rki_record *v, struct queues *q)
{
    rki_load_begin(&q->at, v->state.p, v->state.n);
    q->clock = rkp_load_u64(&q->at);
    q->n = rkp_load_u64(&q->at);
    return rkp_load_ok(&q->at);
}

bool rki_ckpt_log(const rki_run *r, const char *name, uint64_t *from, uint64_t *to)
{
    for (size_t i = 0; r->ckpt && i < r->ckpt->from.n; i++) {
        const rki_record *v = &r->ckpt->from.v[i];
        struct queues q;
        if (v->role != RKI_MANIFEST_QUEUES || !read_queues(v, &q))
            continue;
        for (uint64_t n = 0; n < q.n && rkp_load_ok(&q.at); n++) {
            rkp_str is = rkp_load_str(&q.at);
            *from = rkp_load_u64(&q.at);
            *to = rkp_load_u64(&q.at);
            if (rkp_load_ok(&q.at) && rkp_str_is(is, name))
                return true;
        }
    }
    return false;
}

static rki_runner *runner_of(const rki_run *r, const rki_record *v)
{
    for (uint32_t i = 0; i < r->n_runners; i++)
        if (r->runners[i]->replica == v->replica && rkp_str_is(v->kernel, r->runners[i]->acts[0]->bound->k->id.p) &&
            r->runners[i]->acts[0]->stage->role == v->version)
            return r->runners[i];
    return NULL;
}

// Messages to their runners; and no clock goes back.
bool rki_ckpt_go_on_queues(rki_run *r, rkp_status *st, char *err, size_t n)
{
    uint64_t clock = 0;
    for (size_t i = 0; i < r->ckpt->from.n; i++) {
        const rki_record *v = &r->ckpt->from.v[i];
        rki_runner *to = v->role == RKI_MANIFEST_QUEUES ? runner_of(r, v) : NULL;
        rkp_str messages;
        struct queues q;
        char name[256];
        if (v->role != RKI_MANIFEST_QUEUES)
            continue;
        if (read_queues(v, &q))
            for (uint64_t l = 0; l < q.n && rkp_load_ok(&q.at); l++) {
                rkp_str log = rkp_load_str(&q.at);
                rkp_load_u64(&q.at);
                rkp_load_u64(&q.at);
                snprintf(name, sizeof name, "%.*s", rkp_load_ok(&q.at) ? (int)log.n : 0, log.p ? log.p : "");
                if (!spills_to(r, name))
                    return rki_ckpt_refuse(
                        st, err, n,
                        "the checkpoint has what waits on disk in '%s', and that queue does not spill any more: "
                        "let it, or begin anew with --fresh",
                        name);
            }
        messages = rkp_load_str(&q.at);
        if (rki_load_end(&q.at) != RKP_OK)
            return rki_ckpt_refuse(st, err, n, "%s", "the checkpoint's queues cannot be read; --fresh begins anew");
        clock = q.clock > clock ? q.clock : clock;
        if (!messages.n || (!to && rki_ckpt_of_alert(v)))
            continue;
        if (!to) {
            snprintf(name, sizeof name, "%.*s", RKP_STR_ARG(v->kernel));
            return rki_ckpt_refuse(
                st, err, n,
                "the checkpoint has messages for another layout (replicas, threads) of kernel '%s'; --fresh "
                "begins anew",
                name);
        }
        to->restored = true;
        rki_load_begin(&to->parts->restored, messages.p, messages.n);
    }
    for (uint32_t i = 0; i < r->n_runners; i++)
        rkp_hlc_merge(&r->runners[i]->clock, clock);
    return true;
}
