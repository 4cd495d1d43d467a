// run/ckpt.c - checkpoints: the barrier on its way, what each runner hands in, and the manifest (docs/design/checkpoints.md).
//
//   control   wanted = n --> every source: save, barrier behind what it has sent --> rings --> every other runner, when all of its
//             open links have given it: save, and on --> missing == 0 --> manifest n, old ones go
//
// What is on its way at the cut is saved where its messages must not wait for a barrier (docs/design/checkpoints.md), in a record of its own
// for each runner: the records of its logs on disk, by number, and messages of its inputs.
//
// A runner hands in under the lock.  Of one that has ended the control thread saves what it is at its end, when a manifest
// first wants it: a manifest takes the cut of its own number where there is one, else the end.
#include "run/actor.h"

#include "base/buf.h"
#include "data/state.h"
#include "data/wire.h"
#include "flow/manifest.h"
#include "plan/diff.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { TIMES = 1024, KEEP = 2, HURRY = 10 }; // HURRY: a tenth of the interval is soon

// One stage, at one moment.
struct part {
    rkp_save counts, state;
    bool ended; // it has given everything on, perhaps in an earlier run
};

// What a runner was at one cut.
struct cut {
    struct part *v;  // per stage
    rkp_save queues; // of the runner: its clock, its logs, and messages
    uint32_t number; // 0: none
};

struct rki_parts {
    struct cut cut;    // lock: what was handed in
    struct cut next;   // the runner's: not whole yet: links log
    rkp_save log;      // messages of next
    struct part *end;  // per stage
    bool retired;      // nothing touches it any more
    rkp_load restored; // messages that come before all others
};

// The role of a runner's record in a manifest; its kernel is that of the first stage.
#define QUEUES RKI_MANIFEST_QUEUES

struct rki_ckpt {
    pthread_mutex_t lock;
    int dir;      // of the manifests; -1: not made yet
    bool entered; // its name is durable
    uint64_t identity;
    uint64_t kept;        // identity of the newest manifest
    bool moved;           // what the run goes on from is of the pipeline before a reload
    uint32_t committed;   // atomic: number of the newest manifest; 0: none
    uint32_t wanted;      // atomic: number of the checkpoint that is asked for
    uint32_t missing;     // lock: runners that have not handed it in
    bool under_way, told; // told: it cannot be made durable
    bool last;            // atomic with wanted: no source goes on after it
    uint32_t hold;        // atomic: no source begins before the first checkpoint
    bool last_asked, last_done;
    uint32_t hurry; // atomic: soon
    uint64_t next_ns, began_ns;
    uint64_t took_ns[TIMES], count; // lock: from the request until the manifest was on disk, the last TIMES of `count`
    rki_manifest from;              // what the run goes on from; n 0: nothing
};

// ---- counts ---------------------------------------------------------------------------------------------------------

static void put_reasons(rkp_save *s, const rki_reason_count *v, uint32_t n)
{
    rkp_save_u64(s, n);
    for (uint32_t i = 0; i < n; i++) {
        rkp_save_str(s, (rkp_str){ v[i].reason, strlen(v[i].reason) });
        rkp_save_u64(s, v[i].rows);
    }
}

static bool get_reasons(rki_run *r, rkp_load *l, rki_reason_count *v, uint32_t *n)
{
    uint64_t most = rkp_load_count(l, 16);
    for (uint64_t i = 0; i < most && rkp_load_ok(l); i++) {
        rkp_str name = rkp_load_str(l);
        uint64_t rows = rkp_load_u64(l);
        uint32_t at = 0;
        while (at < *n && !rkp_str_eq((rkp_str){ v[at].reason, strlen(v[at].reason) }, name))
            at++;
        if (at == RKI_MAX_REASONS)
            at--;
        if (at == *n) {
            v[at] = (rki_reason_count){ rki_dup(&r->arena, name.p ? name.p : "", name.n), 0 };
            if (!v[at].reason)
                return false;
            ++*n;
        }
        v[at].rows += rows;
    }
    return true;
}

// What is counted, of an instance or of those that have gone, as a list.
struct sums {
    uint64_t *v[12];
    size_t n;
    uint64_t *metrics; // 16
    rki_reason_count *drops, *deads;
    uint32_t *n_drops, *n_deads;
};

static struct sums sums_of(rkp_actor *a)
{
    rki_counts *c = &a->counts;
    return (struct sums){ .v = { &c->batches, &c->rows_in, &c->rows_out, &c->bytes_in, &c->bytes_out, &c->absorbed,
                                 &c->unread, &c->dropped, &c->lost, &c->dead, &a->bad, &a->meta.first_row },
                          .n = 12,
                          .metrics = c->metrics,
                          .drops = c->drops,
                          .deads = c->deads,
                          .n_drops = &c->n_drops,
                          .n_deads = &c->n_deads };
}

// Of instances that reloads have taken out of a kernel.
static struct sums sums_of_past(rki_kernel_counts *c)
{
    return (struct sums){ .v = { &c->batches, &c->rows_in, &c->rows_out, &c->bytes_in, &c->bytes_out, &c->absorbed,
                                 &c->dropped, &c->lost, &c->dead_lettered, &c->bad },
                          .n = 10,
                          .metrics = c->metrics,
                          .drops = c->drops,
                          .deads = c->deads,
                          .n_drops = &c->n_drops,
                          .n_deads = &c->n_deads };
}

static void put_sums(rkp_save *s, struct sums c)
{
    for (size_t i = 0; i < c.n; i++)
        rkp_save_u64(s, *c.v[i]);
    for (size_t i = 0; i < 16; i++)
        rkp_save_u64(s, c.metrics[i]);
    put_reasons(s, c.drops, *c.n_drops);
    put_reasons(s, c.deads, *c.n_deads);
}

// Adds: what several replicas had becomes one's where there are fewer now.
static bool add_sums(rki_run *r, rkp_load *l, struct sums c)
{
    for (size_t i = 0; i < c.n; i++)
        *c.v[i] += rkp_load_u64(l);
    for (size_t i = 0; i < 16; i++)
        c.metrics[i] += rkp_load_u64(l);
    return get_reasons(r, l, c.drops, c.n_drops) && get_reasons(r, l, c.deads, c.n_deads);
}

static void put_counts(rkp_save *s, rkp_actor *a)
{
    put_sums(s, sums_of(a));
    rkp_save_bool(s, a->stopped);
}

static rkp_status get_counts(rkp_actor *a, rkp_str bytes)
{
    rkp_load l;
    rki_load_begin(&l, bytes.p, bytes.n);
    if (!add_sums(a->run, &l, sums_of(a)))
        return RKP_NOMEM;
    if (rkp_load_bool(&l))
        a->stopped = true;
    return rki_load_end(&l);
}

static rkp_status get_past(rki_run *r, rki_kernel_counts *c, rkp_str bytes)
{
    rkp_load l;
    rki_load_begin(&l, bytes.p, bytes.n);
    return add_sums(r, &l, sums_of_past(c)) ? rki_load_end(&l) : RKP_NOMEM;
}

// ---- handing in -----------------------------------------------------------------------------------------------------

static void part_fini(struct part *p)
{
    rki_save_fini(&p->counts);
    rki_save_fini(&p->state);
}

static void parts_fini(struct part *v, uint32_t n)
{
    for (uint32_t i = 0; v && i < n; i++)
        part_fini(&v[i]);
    free(v);
}

// The half of a source that reads, and the half of a sink that writes, hold what their kernel saves.
static bool saves(const rkp_actor *a)
{
    return a->op->save && a->stage->role != RKI_DECODE && a->stage->role != RKI_ENCODE;
}

// What every stage is now; NULL: the run was failed.  `end`: a transform that has given everything on has nothing left.
static struct part *take_parts(rki_runner *r, bool end)
{
    struct part *v = calloc(r->n_stages, sizeof *v);
    for (uint32_t i = 0; v && i < r->n_stages; i++) {
        rki_save_begin(&v[i].counts);
        rki_save_begin(&v[i].state);
    }
    for (uint32_t i = 0; v && i < r->n_stages; i++) {
        rkp_actor *a = r->acts[i];
        rkp_status st = RKP_OK;
        put_counts(&v[i].counts, a);
        v[i].ended = end || a->ended;
        if (saves(a) && !(v[i].ended && a->op->kind == RKP_TRANSFORM))
            st = a->op->save(a->self, a, &v[i].state);
        if (st == RKP_OK)
            st = rki_save_status(&v[i].state);
        if (st == RKP_OK)
            st = rki_save_status(&v[i].counts);
        if (st != RKP_OK) {
            rki_fail_run(a, st,
                         st == RKP_NOMEM         ? "out of memory while saving its state"
                         : st == RKP_UNSUPPORTED ? "its state is above 2 GiB"
                                                 : "cannot save its state");
            parts_fini(v, r->n_stages);
            return NULL;
        }
    }
    if (!v)
        rki_fail_run(r->acts[0], RKP_NOMEM, "out of memory while saving its state");
    return v;
}

static void cut_fini(struct cut *c, uint32_t n)
{
    parts_fini(c->v, n);
    if (c->number)
        rki_save_fini(&c->queues);
    *c = (struct cut){ 0 };
}

// With the lock.
static void counted(rki_run *r, rki_runner *run, uint32_t number)
{
    struct rki_ckpt *c = r->ckpt;
    if (number <= run->barrier)
        return;
    run->barrier = number;
    if (--c->missing == 0)
        r->backend->poke(r->b);
}

bool rki_ckpt_due(const rki_runner *r)
{
    const struct rki_ckpt *c = r->run->ckpt;
    // Acquire, with the release of who asks: `last`.
    return c && !RKI_LOOK(r->leaves) && __atomic_load_n(&c->wanted, __ATOMIC_ACQUIRE) != r->barrier;
}

bool rki_ckpt_hold(const rki_runner *r)
{
    // Acquire, from the release of who has committed: nothing but the word itself.
    return r->run->ckpt && __atomic_load_n(&r->run->ckpt->hold, __ATOMIC_ACQUIRE);
}

// The clock, and what waits on disk.
static bool take_logs(rki_runner *r, uint32_t number, rkp_save *to)
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

// It is whole.  False: the run was failed.
static bool hand_in(rki_runner *r)
{
    struct rki_ckpt *c = r->run->ckpt;
    struct rki_parts *p = r->parts;
    struct cut old;
    rkp_status st;
    rkp_save_str(&p->next.queues, (rkp_str){ p->log.out.n ? p->log.out.p : "", p->log.out.n });
    st = rki_save_status(&p->log);
    rki_save_fini(&p->log);
    if (st == RKP_OK)
        st = rki_save_status(&p->next.queues);
    if (st != RKP_OK) {
        cut_fini(&p->next, r->n_stages);
        rki_fail_run(r->acts[0], st,
                     st == RKP_NOMEM ? "out of memory while saving what is on its way"
                                     : "what is on its way to it is above 2 GiB");
        return false;
    }
    pthread_mutex_lock(&c->lock);
    old = p->cut;
    p->cut = p->next;
    counted(r->run, r, p->cut.number);
    pthread_mutex_unlock(&c->lock);
    p->next = (struct cut){ 0 };
    cut_fini(&old, r->n_stages);
    return true;
}

// Everything but what is on its way to it.
static bool begin_cut(rki_runner *r, uint32_t number)
{
    struct rki_parts *p = r->parts;
    rki_dead_flush(r);
    p->next.v = take_parts(r, false);
    if (!p->next.v)
        return false;
    p->next.number = number;
    rki_save_begin(&p->next.queues);
    rki_save_begin(&p->log);
    if (take_logs(r, number, &p->next.queues))
        return true;
    cut_fini(&p->next, r->n_stages);
    return false;
}

// What is left of what was on its way at the last one still is.
static bool whole(rki_runner *r)
{
    const rkp_load *l = &r->parts->restored;
    if (r->restored)
        rkp_save_bytes(&r->parts->log, l->p + l->at, l->n - l->at);
    return hand_in(r);
}

bool rki_ckpt_cut(rki_runner *r, uint32_t number)
{
    struct rki_ckpt *c = r->run->ckpt;
    if (!number)
        number = __atomic_load_n(&c->wanted, __ATOMIC_ACQUIRE);
    if (!begin_cut(r, number))
        return false;
    for (uint32_t i = 0; r->barring && i < r->n_ins; i++) {
        rki_inset *in = &r->ins[i];
        for (uint32_t l = 0; l < in->n; l++) {
            in->links[l]->logs = !in->links[l]->barred && !in->links[l]->ended;
            r->n_logs += in->links[l]->logs;
            in->links[l]->barred = false;
        }
        if (in->n_barred)
            in->cur = in->turn;
        in->n_barred = 0;
    }
    r->barring = 0;
    r->over = c->last && r->n_ins == 0;
    rki_send_barrier(r, number);
    return r->n_logs ? true : whole(r);
}

void rki_ckpt_took(rki_runner *r, rki_inset *in, rki_link *k, uint32_t number)
{
    if (!in->n_barred)
        in->turn = in->cur;
    k->barred = true;
    in->n_barred++;
    r->barring = number;
}

// Messages that are ordered by stamps hide a barrier behind those that may not be taken yet, and on a circle it comes back only after it
// was given on: these save at the first one.
bool rki_ckpt_aligned(const rki_runner *r)
{
    if (r->hlc_in || r->in_circle)
        return true;
    for (uint32_t i = 0; i < r->n_ins; i++)
        if (r->ins[i].n_barred + r->ins[i].n_ended < r->ins[i].n)
            return false;
    return true;
}

bool rkp_kept(const rkp_actor *a)
{
    return rki_ckpt_committed(a->run) != 0;
}

// ---- what is on its way ---------------------------------------------------------------------------------------------

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

void rki_ckpt_link_done(rki_runner *r, rki_link *k)
{
    k->logs = false;
    if (--r->n_logs == 0)
        whole(r);
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
    if (r->plan->replicas > 1 || r->pending || rki_batcher_rows(r->batcher) || r->end_stage)
        return true; // when it goes on again
    for (uint32_t i = 0; i < r->n_ins; i++)
        for (uint32_t l = 0; l < r->ins[i].n; l++) {
            const rki_inset *in = &r->ins[i];
            rki_link *k = in->links[l];
            if (!rests(in, k) || k->barred || (logging && !k->logs))
                continue;
            if ((in->n > 1 && in->edge->chunked) || in->retires || !in->edge->in || barrier_at(k, number) == UINT64_MAX)
                return true;
        }
    if (!logging && !begin_cut(r, number))
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
    return hand_in(r);
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

void rki_ckpt_retire(rki_runner *r)
{
    struct rki_ckpt *c = r->run->ckpt;
    if (RKI_LOOK(r->leaves))
        return; // nobody waits for it
    pthread_mutex_lock(&c->lock);
    r->parts->retired = true;
    if (c->under_way)
        counted(r->run, r, c->wanted);
    pthread_mutex_unlock(&c->lock);
}

bool rki_ckpt_join(rki_runner *r)
{
    if (!r->run->ckpt)
        return true;
    r->parts = calloc(1, sizeof *r->parts);
    r->barrier = __atomic_load_n(&r->run->ckpt->wanted, __ATOMIC_ACQUIRE);
    return r->parts != NULL;
}

void rki_ckpt_drop(rki_runner *r)
{
    if (!r->parts)
        return;
    if (r->parts->next.number)
        rki_save_fini(&r->parts->log);
    cut_fini(&r->parts->cut, r->n_stages);
    cut_fini(&r->parts->next, r->n_stages);
    parts_fini(r->parts->end, r->n_stages);
    free(r->parts);
    r->parts = NULL;
}

// ---- control --------------------------------------------------------------------------------------------------------

static bool folder(const rki_run *r, char *path, size_t n)
{
    char name[40];
    rki_spec_checkpoints(r->plan->spec, name);
    return snprintf(path, n, "%s/%s", r->args.data_dir, name) < (int)n;
}

// Also one that is there, once: who made it may not have come to make its name durable.
static rkp_status make_folder(rki_run *r, char err[RKI_MANIFEST_ERR])
{
    struct rki_ckpt *c = r->ckpt;
    char path[4096];
    int dir;
    rkp_status st;
    if (c->entered)
        return RKP_OK;
    if (!folder(r, path, sizeof path)) {
        snprintf(err, RKI_MANIFEST_ERR, "the name of the folder of checkpoints is too long");
        return RKP_IO;
    }
    st = rki_manifest_folder(path, true, &dir, err);
    if (st != RKP_OK)
        return st;
    if (c->dir >= 0)
        close(c->dir);
    c->dir = dir;
    c->entered = true;
    return RKP_OK;
}

// Those who had ended before they could hand in for this number: what they are is saved here, when the first checkpoint wants it.
static bool save_ended(rki_run *r, uint64_t number)
{
    for (uint32_t i = 0; i < r->n_runners; i++) {
        rki_runner *run = r->runners[i];
        if (run->parts->cut.number == (uint32_t)number)
            continue;
        if (!run->parts->end && !(run->parts->end = take_parts(run, true)))
            return false;
    }
    return true;
}

// With the lock.
static size_t fill(rki_run *r, uint64_t number, rki_record *to)
{
    size_t n = 0;
    for (uint32_t i = 0; i < r->n_runners; i++) {
        rki_runner *run = r->runners[i];
        bool cut = run->parts->cut.number == (uint32_t)number;
        const struct part *v = cut ? run->parts->cut.v : run->parts->end;
        if (cut) {
            const char *id = run->acts[0]->bound->k->id.p;
            to[n++] = (rki_record){ .kernel = { id, strlen(id) },
                                    .op = { "", 0 },
                                    .role = QUEUES,
                                    .replica = run->replica,
                                    .version = run->acts[0]->stage->role,
                                    .counts = { "", 0 },
                                    .state = { run->parts->cut.queues.out.p, run->parts->cut.queues.out.n } };
        }
        for (uint32_t s = 0; v && s < run->n_stages; s++) {
            const rkp_actor *a = run->acts[s];
            const char *id = a->bound->k->id.p, *op = a->op->name;
            to[n++] = (rki_record){ .kernel = { id, strlen(id) },
                                    .op = { op, strlen(op) },
                                    .role = a->stage->role,
                                    .replica = run->replica,
                                    .version = a->op->state_version,
                                    .keeps_rows = a->op->kind == RKP_TRANSFORM,
                                    .publishes = a->op->commit != NULL,
                                    .form = rki_form_of(a->bound, a->run->plan->spec),
                                    .ended = v[s].ended,
                                    .counts = { v[s].counts.out.p, v[s].counts.out.n },
                                    .state = { v[s].state.out.p, v[s].state.out.n } };
        }
    }
    return n;
}

// Behind the stages: what kernels have counted in instances that are no more.  Control thread, which alone changes that.  s: one for each kernel.
static bool fill_past(rki_run *r, rki_manifest *m, rkp_save *s)
{
    bool ok = true;
    for (uint32_t i = 0; i < r->plan->n_kernels; i++) {
        rki_kernel_counts *c = &r->ks[i]->past;
        const char *id = r->ks[i]->id, *op = r->ks[i]->op->name;
        rki_save_begin(&s[i]);
        if (!c->batches && !c->rows_in && !c->rows_out && !c->absorbed && !c->dropped && !c->dead_lettered)
            continue;
        put_sums(&s[i], sums_of_past(c));
        ok &= rki_save_status(&s[i]) == RKP_OK;
        m->v[m->n++] = (rki_record){ .kernel = { id, strlen(id) },
                                     .op = { op, strlen(op) },
                                     .role = RKI_MANIFEST_PAST,
                                     .counts = { s[i].out.p, s[i].out.n } };
    }
    return ok;
}

static bool commit(rki_run *r, uint64_t number, bool final)
{
    struct rki_ckpt *c = r->ckpt;
    rki_manifest m = { .number = number, .identity = c->identity, .us = (int64_t)rki_wall_us(), .final = final };
    char err[RKI_MANIFEST_ERR] = "";
    size_t total = 0;
    rkp_status st = RKP_NOMEM;
    rkp_save *pasts;
    for (uint32_t i = 0; i < r->n_runners; i++)
        total += r->runners[i]->n_stages + 1;
    m.v = calloc(total + r->plan->n_kernels + 1, sizeof *m.v);
    pasts = calloc(r->plan->n_kernels + 1u, sizeof *pasts);
    if (m.v && pasts && !save_ended(r, number)) {
        free(m.v);
        free(pasts);
        return false;
    }
    if (!m.v || !pasts) {
        snprintf(err, sizeof err, "out of memory");
    } else if ((st = make_folder(r, err)) == RKP_OK && (st = rki_store_flush(r, err, sizeof err)) == RKP_OK) {
        // Nobody hands in for this number any more, and the next is not asked for: what is read stays.
        pthread_mutex_lock(&c->lock);
        m.n = fill(r, number, m.v);
        pthread_mutex_unlock(&c->lock);
        if (fill_past(r, &m, pasts)) {
            st = rki_manifest_write(c->dir, &m, err);
        } else {
            st = RKP_NOMEM;
            snprintf(err, sizeof err, "out of memory");
        }
    }
    for (uint32_t i = 0; pasts && i < r->plan->n_kernels; i++)
        rki_save_fini(&pasts[i]);
    free(pasts);
    free(m.v);
    if (st != RKP_OK) {
        char name[32];
        rki_manifest_name(number, name);
        if (c->dir >= 0 && faccessat(c->dir, name, F_OK, 0) == 0)
            __atomic_store_n(
                &c->committed, (uint32_t)number,
                __ATOMIC_RELEASE); // it has its name, and who comes next goes on from it: its files must stay
        pthread_mutex_lock(&r->lock);
        if (r->fail_status == RKP_OK) {
            snprintf(r->failure, sizeof r->failure, "the checkpoint cannot be kept: %s", err);
            r->fail_status = st;
        }
        pthread_mutex_unlock(&r->lock);
        __atomic_store_n(&r->failed, 1, __ATOMIC_SEQ_CST);
        return false;
    }
    __atomic_store_n(&c->committed, (uint32_t)number, __ATOMIC_RELEASE);
    c->kept = c->identity;
    if (rki_manifest_prune(c->dir, KEEP, err) != RKP_OK && !c->told) {
        c->told = true;
        rki_log(r, "warning: old checkpoints stay: %s\n", err);
    }
    return true;
}

// Sources; and who takes nothing and must look by itself.
static void wake_all(rki_run *r)
{
    for (uint32_t i = 0; i < r->n_runners; i++)
        rki_wake_runner(r->runners[i]);
}

static void begin(rki_run *r, bool last)
{
    struct rki_ckpt *c = r->ckpt;
    uint32_t number = c->wanted + 1;
    pthread_mutex_lock(&c->lock);
    c->missing = 0;
    for (uint32_t i = 0; i < r->n_runners; i++)
        if (!r->runners[i]->parts->retired)
            c->missing++;
        else
            r->runners[i]->barrier = number;
    c->under_way = c->missing > 0;
    c->last = last;
    // Release, to the acquire of the sources: `last`.
    __atomic_store_n(&c->wanted, number, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&c->lock);
    __atomic_store_n(&c->hurry, 0, __ATOMIC_RELAXED);
    c->began_ns = rki_mono_ns();
    wake_all(r);
}

void rki_ckpt_look(rki_run *r, uint64_t now, uint64_t *until)
{
    struct rki_ckpt *c = r->ckpt;
    bool done;
    if (!c->next_ns)
        c->next_ns = r->start_ns + r->plan->spec->engine.checkpoint_ns;
    pthread_mutex_lock(&c->lock);
    done = c->under_way && c->missing == 0;
    if (done)
        c->under_way = false;
    pthread_mutex_unlock(&c->lock);
    if (done) {
        bool last = c->last;
        if (!commit(r, c->wanted, false))
            return;
        c->last_done = last;
        pthread_mutex_lock(&c->lock);
        c->took_ns[c->count++ % TIMES] = rki_mono_ns() - c->began_ns;
        pthread_mutex_unlock(&c->lock);
        if (c->hold) {
            __atomic_store_n(&c->hold, 0, __ATOMIC_RELEASE);
            wake_all(r);
        }
        c->next_ns = rki_mono_ns() + r->plan->spec->engine.checkpoint_ns;
        if (last)
            return;
    }
    if (!c->under_way && c->next_ns != UINT64_MAX && __atomic_load_n(&c->hurry, __ATOMIC_RELAXED)) {
        uint64_t soon = c->began_ns + r->plan->spec->engine.checkpoint_ns / HURRY;
        c->next_ns = soon < c->next_ns ? soon : c->next_ns;
    }
    if (!c->under_way && !rki_reload_under_way(r) && !rki_reload_drains(r) &&
        (c->last_asked || now >= c->next_ns || (c->hold && !c->wanted))) {
        begin(r, c->last_asked);
        if (!c->under_way) // everybody has ended
            c->next_ns = UINT64_MAX;
    }
    // While a reload is at work its end is what is waited for.
    if (!c->under_way && c->next_ns != UINT64_MAX && !rki_reload_under_way(r) && (!*until || c->next_ns < *until))
        *until = c->next_ns;
}

uint32_t rki_ckpt_committed(const rki_run *r)
{
    // Acquire, from the release of the control thread: nothing but the number itself.
    return r->ckpt ? __atomic_load_n(&r->ckpt->committed, __ATOMIC_ACQUIRE) : 0;
}

void rki_ckpt_hurry(rki_run *r)
{
    if (r->ckpt && !__atomic_exchange_n(&r->ckpt->hurry, 1, __ATOMIC_RELAXED))
        r->backend->poke(r->b);
}

bool rki_ckpt_idle(const rki_run *r)
{
    return !r->ckpt || !r->ckpt->under_way;
}

bool rki_ckpt_intend(rki_run *r, const rki_plan *to, char *text, size_t n)
{
    struct rki_ckpt *c = r->ckpt;
    char err[RKI_MANIFEST_ERR];
    if (!c || !c->committed || c->dir < 0)
        return true; // who begins again begins at the beginning, with whatever file
    if (rki_manifest_intend(c->dir, c->kept, rki_spec_identity(to->spec), err) == RKP_OK)
        return true;
    snprintf(text, n, "what it goes on from cannot be kept: %s", err);
    return false;
}

// What is kept from now on is of the new pipeline: soon, so that a crash finds it.
void rki_ckpt_changed(rki_run *r)
{
    if (!r->ckpt)
        return;
    r->ckpt->identity = rki_spec_identity(r->plan->spec);
    r->ckpt->next_ns = 1;
}

bool rki_ckpt_last(rki_run *r)
{
    if (!r->ckpt)
        return false;
    r->ckpt->last_asked = true;
    return true;
}

bool rki_ckpt_last_done(const rki_run *r)
{
    return r->ckpt && r->ckpt->last_done;
}

bool rki_ckpt_finish(rki_run *r)
{
    // A number that nobody has handed in for: of everybody it is the end, not the cut of one that was still under way.
    return !r->ckpt || !r->ckpt->committed || commit(r, r->ckpt->wanted + 1, true);
}

void rki_ckpt_forget(rki_run *r)
{
    char err[RKI_MANIFEST_ERR];
    char path[4096];
    if (!r->ckpt || r->ckpt->dir < 0)
        return;
    __atomic_store_n(&r->ckpt->committed, 0, __ATOMIC_RELEASE);
    if (rki_manifest_prune(r->ckpt->dir, 0, err) != RKP_OK)
        rki_log(r, "warning: %s; the next run would only name the outputs again\n", err);
    else if (folder(r, path, sizeof path))
        rki_manifest_gone(r->ckpt->dir, path);
}

static int by_time(const void *x, const void *y)
{
    const uint64_t *a = x, *b = y;
    return *a < *b ? -1 : *a > *b;
}

static void seconds(rki_json *j, const char *key, uint64_t ns)
{
    rki_json_key(j, key);
    rki_json_f64(j, (double)ns * 1e-9);
}

void rki_ckpt_json(const rki_run *r, rki_json *j)
{
    struct rki_ckpt *c = r->ckpt;
    uint64_t v[TIMES], n, count, last;
    if (!c) {
        rki_json_null(j);
        return;
    }
    pthread_mutex_lock(&c->lock);
    count = c->count;
    n = count < TIMES ? count : TIMES;
    memcpy(v, c->took_ns, (size_t)n * sizeof *v);
    last = n ? v[(count - 1) % TIMES] : 0;
    pthread_mutex_unlock(&c->lock);
    qsort(v, (size_t)n, sizeof *v, by_time);
    rki_json_object(j);
    rki_json_key(j, "newest");
    rki_json_u64(j, rki_ckpt_committed(r));
    rki_json_key(j, "count");
    rki_json_u64(j, count);
    if (n) {
        seconds(j, "last_seconds", last);
        seconds(j, "p50_seconds", v[(n - 1) / 2]);
        seconds(j, "p99_seconds", v[(n - 1) * 99 / 100]);
        seconds(j, "max_seconds", v[n - 1]);
    }
    rki_json_end_object(j);
}

void rki_ckpt_say(const rki_run *r, char *text, size_t n)
{
    text[0] = 0;
    if (r->ckpt && r->ckpt->committed)
        snprintf(text, n, "checkpoint %llu is kept: the same command goes on from it, --fresh begins anew",
                 (unsigned long long)r->ckpt->committed);
}

// ---- going on -------------------------------------------------------------------------------------------------------

static const rki_record *record_of(const struct rki_ckpt *c, const rkp_actor *a, uint32_t replica)
{
    const char *id = a->bound->k->id.p;
    for (size_t i = 0; i < c->from.n; i++) {
        const rki_record *v = &c->from.v[i];
        if (v->role == a->stage->role && v->replica == replica && v->kernel.n == strlen(id) &&
            memcmp(v->kernel.p, id, v->kernel.n) == 0)
            return v;
    }
    return NULL;
}

static bool refuse(rkp_status *st, char *err, size_t n, const char *fmt, const char *what)
{
    *st = RKP_UNAVAILABLE;
    snprintf(err, n, fmt, what);
    return false;
}

static bool same_kernel(const rki_record *v, const char *id)
{
    return v->kernel.n == strlen(id) && memcmp(v->kernel.p, id, v->kernel.n) == 0;
}

// Of a pipeline before a reload: the record of a stage that begins anew all the same, because its state would not fit.
static bool begins_anew(const struct rki_ckpt *c, const rkp_actor *a, const rki_record *v)
{
    return c->moved && saves(a) && v->form != rki_form_of(a->bound, a->run->plan->spec);
}

#define EARLIER "run that form once more, or begin anew with --fresh"

// What a reload would have done with kernels that are changed or gone, and that nobody is there for to do it any more.
static bool may_move(const rki_run *r, rkp_status *st, char *err, size_t n)
{
    const struct rki_ckpt *c = r->ckpt;
    const rki_plan *p = r->plan;
    for (size_t i = 0; i < c->from.n; i++) {
        const rki_record *v = &c->from.v[i];
        char id[128];
        const rki_bound *b = NULL;
        snprintf(id, sizeof id, RKP_STR_FMT, RKP_STR_ARG(v->kernel));
        for (uint32_t k = 0; k < p->n_kernels && !b; k++)
            if (same_kernel(v, p->kernels[k].k->id.p))
                b = &p->kernels[k];
        if (v->role == QUEUES && v->state.n > RKI_MANIFEST_NO_QUEUES)
            return refuse(
                st, err, n,
                "the checkpoint has rows on their way to kernel '%s' in an earlier form of the pipeline: " EARLIER, id);
        if (!v->state.n || v->role > RKI_WRITE || (b && v->form == rki_form_of(b, p->spec)))
            continue;
        if (b && b->k->op->kind != RKP_SINK && p->spec->reload.keep_state == RKI_KEEP_RESET)
            continue;
        if (!b && !v->keeps_rows && !v->publishes)
            continue; // a source that reads no more, a sink that is complete
        return refuse(
            st, err, n,
            b ? "the checkpoint of kernel '%s' is of an earlier form of it, and does not fit any more: " EARLIER
              : "the checkpoint has kernel '%s', which has not ended, and the pipeline has not: " EARLIER,
            id);
    }
    return true;
}

static bool of_other_replicas(const struct rki_ckpt *c, const rkp_actor *a)
{
    for (size_t i = 0; i < c->from.n; i++)
        if (c->from.v[i].role <= RKI_WRITE && same_kernel(&c->from.v[i], a->bound->k->id.p) && saves(a))
            return true;
    return false;
}

static bool restore_pasts(rki_run *r, rkp_status *st, char *err, size_t n)
{
    const struct rki_ckpt *c = r->ckpt;
    for (size_t i = 0; i < c->from.n; i++)
        for (uint32_t k = 0; c->from.v[i].role == RKI_MANIFEST_PAST && k < r->plan->n_kernels; k++) {
            if (!same_kernel(&c->from.v[i], r->ks[k]->id))
                continue;
            *st = get_past(r, &r->ks[k]->past, c->from.v[i].counts);
            if (*st != RKP_OK)
                return refuse(st, err, n, "the checkpoint of kernel '%s' cannot be read; --fresh begins anew",
                              r->ks[k]->id);
        }
    return true;
}

// Counts of all stages, on the control thread; and whether there is a record for each.
static bool go_on(rki_run *r, rkp_status *st, char *err, size_t n)
{
    struct rki_ckpt *c = r->ckpt;
    for (uint32_t i = 0; i < r->n_runners; i++) {
        rki_runner *run = r->runners[i];
        for (uint32_t s = 0; s < run->n_stages; s++) {
            rkp_actor *a = run->acts[s];
            const rki_record *v = record_of(c, a, run->replica);
            uint32_t more = run->plan->replicas;
            if (v && begins_anew(c, a, v))
                continue;
            if (!v && c->moved && !of_other_replicas(c, a))
                continue; // it has come with the reload
            if (!v && (saves(a) || run->replica == 0))
                return refuse(st, err, n, "the checkpoint knows nothing of kernel '%s'; --fresh begins anew",
                              a->bound->k->id.p);
            if (v && (v->version != a->op->state_version || v->op.n != strlen(a->op->name) ||
                      memcmp(v->op.p, a->op->name, v->op.n) != 0))
                return refuse(st, err, n,
                              "the checkpoint of kernel '%s' is of another operator, or another version of it; --fresh "
                              "begins anew",
                              a->bound->k->id.p);
            for (; v; v = run->replica == 0 ? record_of(c, a, more++) : NULL) {
                if (v->replica && v->replica >= run->plan->replicas && saves(a))
                    return refuse(st, err, n, "the checkpoint has more replicas of kernel '%s'; --fresh begins anew",
                                  a->bound->k->id.p);
                *st = get_counts(a, v->counts);
                if (*st != RKP_OK)
                    return refuse(st, err, n, "the checkpoint of kernel '%s' cannot be read; --fresh begins anew",
                                  a->bound->k->id.p);
            }
        }
    }
    return true;
}

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
        if (v->role != QUEUES || !read_queues(v, &q))
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
            found = e->overflow == RKI_OVERFLOW_SPILL && !b.failed && strlen(log) == b.n && memcmp(log, b.p, b.n) == 0;
        }
    rki_buf_fini(&b);
    return found;
}

// Messages to their runners; and no clock goes back.
static bool go_on_queues(rki_run *r, rkp_status *st, char *err, size_t n)
{
    uint64_t clock = 0;
    for (size_t i = 0; i < r->ckpt->from.n; i++) {
        const rki_record *v = &r->ckpt->from.v[i];
        rki_runner *to = v->role == QUEUES ? runner_of(r, v) : NULL;
        rkp_str messages;
        struct queues q;
        char name[256];
        if (v->role != QUEUES)
            continue;
        if (read_queues(v, &q))
            for (uint64_t l = 0; l < q.n && rkp_load_ok(&q.at); l++) {
                rkp_str log = rkp_load_str(&q.at);
                rkp_load_u64(&q.at);
                rkp_load_u64(&q.at);
                snprintf(name, sizeof name, "%.*s", rkp_load_ok(&q.at) ? (int)log.n : 0, log.p ? log.p : "");
                if (!spills_to(r, name))
                    return refuse(
                        st, err, n,
                        "the checkpoint has what waits on disk in '%s', and that queue does not spill any more: "
                        "let it, or begin anew with --fresh",
                        name);
            }
        messages = rkp_load_str(&q.at);
        if (rki_load_end(&q.at) != RKP_OK)
            return refuse(st, err, n, "%s", "the checkpoint's queues cannot be read; --fresh begins anew");
        clock = q.clock > clock ? q.clock : clock;
        if (!messages.n)
            continue;
        if (!to) {
            snprintf(name, sizeof name, "%.*s", RKP_STR_ARG(v->kernel));
            return refuse(st, err, n,
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

bool rki_ckpt_restore(rkp_actor *a)
{
    const struct rki_ckpt *c = a->run->ckpt;
    const rki_record *v = c->from.n ? record_of(c, a, a->r->replica) : NULL;
    rkp_load l;
    rkp_status st;
    if (!v || begins_anew(c, a, v))
        return true;
    a->ended = v->ended && a->op->kind != RKP_SOURCE;
    if (!a->op->save && !a->ended)
        rki_drop_held(a, "restart"); // it said that it may lose that
    if (!saves(a) || (v->ended && a->op->kind == RKP_TRANSFORM))
        return true;
    rki_load_begin(&l, v->state.p, v->state.n);
    st = a->op->restore(a->self, a, &l);
    if (rki_failed(a->run))
        return false;
    if (l.st == RKP_OK && st == RKP_OK)
        st = rki_load_end(&l);
    if (st == RKP_OK && l.st == RKP_OK)
        return true;
    if (l.st == RKP_NOMEM || st == RKP_NOMEM)
        rki_fail_run(a, RKP_NOMEM, "out of memory while going on from checkpoint %llu",
                     (unsigned long long)c->from.number);
    else
        rki_fail_run(a, RKP_UNAVAILABLE, "cannot go on from checkpoint %llu: %s; --fresh begins anew",
                     (unsigned long long)c->from.number, l.why[0] ? l.why : "its state does not fit");
    return false;
}

static void hold_if_adding(rki_run *r)
{
    for (uint32_t i = 0; i < r->plan->n_kernels; i++)
        if (r->plan->kernels[i].adds)
            r->ckpt->hold = 1;
}

bool rki_ckpt_open(rki_run *r, rkp_status *st, char *err, size_t n)
{
    struct rki_ckpt *c;
    char note[RKI_MANIFEST_ERR] = "", why[RKI_MANIFEST_ERR] = "", path[4096];
    if (r->plan->delivery <= RKI_DELIVERY_AT_MOST_ONCE || r->args.replay)
        return true;
    if (!r->args.keeps)
        return r->plan->spec->engine.delivery == RKI_DELIVERY_AUTO ||
               refuse(st, err, n, "engine.delivery needs a folder for checkpoints, and '%s' cannot be made",
                      r->args.data_dir ? r->args.data_dir : "");
    *st = RKP_NOMEM;
    c = calloc(1, sizeof *c);
    if (!c || pthread_mutex_init(&c->lock, NULL) != 0) {
        free(c);
        return false;
    }
    c->dir = -1;
    c->identity = rki_spec_identity(r->plan->spec);
    r->ckpt = c;
    for (uint32_t i = 0; i < r->n_runners; i++) {
        if (!rki_ckpt_join(r->runners[i]))
            return false;
    }
    if (!folder(r, path, sizeof path))
        return true;
    *st = rki_manifest_folder(path, false, &c->dir, why);
    if (*st == RKP_UNAVAILABLE) { // there were none
        *st = RKP_OK;
        hold_if_adding(r);
        return true;
    }
    if (*st != RKP_OK)
        return refuse(st, err, n, "%s", why);
    if (r->args.fresh) {
        *st = rki_manifest_prune(c->dir, 0, why);
        hold_if_adding(r);
        return *st == RKP_OK || refuse(st, err, n, "%s", why);
    }
    *st = rki_manifest_newest(c->dir, &c->from, note, why);
    if (*st == RKP_UNAVAILABLE && !note[0]) {
        *st = RKP_OK;
        hold_if_adding(r);
        return true;
    }
    if (*st != RKP_OK)
        return refuse(st, err, n, "%s; --fresh begins anew", note[0] ? note : why);
    if (note[0])
        rki_log(r, "warning: %s: going on from the one before\n", note);
    c->moved = c->from.identity != c->identity &&
               (r->args.migrate || rki_manifest_intended(c->dir, c->from.identity, c->identity));
    if (c->from.identity != c->identity && !c->moved)
        return refuse(
            st, err, n,
            "'%s' has a checkpoint of another form of this pipeline: run that to its end, go on with --migrate "
            "where it still fits, or begin anew with --fresh",
            path);
    c->wanted = (uint32_t)c->from.number;
    c->committed = (uint32_t)c->from.number;
    c->kept = c->from.identity;
    if (c->moved && !may_move(r, st, err, n))
        return false;
    for (uint32_t i = 0; i < r->n_runners; i++)
        r->runners[i]->barrier = c->wanted;
    if (!go_on(r, st, err, n) || !go_on_queues(r, st, err, n) || !restore_pasts(r, st, err, n))
        return false;
    // Who wrote it may have been killed before its name was durable, and outputs must never be ahead of what is found.
    *st = make_folder(r, why);
    if (*st != RKP_OK)
        return refuse(st, err, n, "%s", why);
    if (!r->args.quiet)
        rki_log(r, "going on from checkpoint %llu%s\n", (unsigned long long)c->from.number,
                c->moved ? ", which is of an earlier form of the pipeline" : "");
    *st = RKP_OK;
    return true;
}

void rki_ckpt_close(rki_run *r)
{
    struct rki_ckpt *c = r->ckpt;
    if (!c)
        return;
    rki_manifest_free(&c->from);
    if (c->dir >= 0)
        close(c->dir);
    pthread_mutex_destroy(&c->lock);
    free(c);
    r->ckpt = NULL;
}
