// run/inject.c - see inject.h.
#include "run/inject.h"

#include "flow/deadstore.h"
#include "flow/manifest.h"
#include "run/actor.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { LOOK_NS = 100000000 };
#define HANGS_NS UINT64_C(10000000000) // who has them at hand and does not come back for so long hangs

// Given and not settled.
struct rki_live_mark {
    uint64_t seq;
    uint32_t rows, after;
    uint8_t *done;
};

struct rki_live {
    struct rki_live_mark *v;
    size_t n, cap;
};

// A record's rows for one kernel.  With the run's lock.
struct rki_given_rows {
    rkp_batch *b; // the runner's from the moment it takes it
    const rki_bound *to;
    const rkp_actor *at;
    uint32_t rows;
    struct rki_live_mark mark;
    enum { WAITS, AT_HAND, TAKEN, REFUSED } state;
    bool orphan;  // nobody waits for it any more
    bool at_once; // its mark is who asks' business
};

// ---- where ----------------------------------------------------------------------------------------------------------

// The stage of this kernel that takes its input, of several instances the first one's; NULL: there is none.
static rkp_actor *entry_of(const rki_run *r, const rki_kernel *k)
{
    for (uint32_t i = 0; i < r->n_runners; i++)
        for (uint32_t s = 0; s < r->runners[i]->n_stages; s++) {
            rkp_actor *a = r->runners[i]->acts[s];
            if (r->runners[i]->replica == 0 && (a->stage->role == RKI_WHOLE || a->stage->role == RKI_ENCODE) &&
                strcmp(a->ks->id, k->id.p) == 0)
                return a;
        }
    return NULL;
}

// Do its instances share the rows by their values?
static bool partitioned(const rki_run *r, const rkp_actor *a)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->n_runners; i++)
        for (uint32_t s = 0; s < r->runners[i]->n_stages; s++)
            n += r->runners[i]->acts[s]->ks == a->ks && r->runners[i]->acts[s]->stage->role == a->stage->role;
    for (uint32_t i = 0; i < a->r->n_ins && n > 1; i++)
        if (a->r->ins[i].edge->kind == RKI_EDGE_PARTITION)
            return true;
    return n > 1 && a->bound->k->partition_by.p;
}

const char *rki_inject_refuses(void *run, const rki_kernel *k)
{
    rki_run *r = run;
    const char *why = NULL;
    const rkp_actor *a;
    if (k->op->kind == RKP_SOURCE)
        return "their source takes them again only where the pipeline does not run";
    pthread_rwlock_rdlock(&r->graph_lock);
    a = entry_of(r, k);
    if (!a || partitioned(r, a))
        why = "their kernel's instances share rows by key; they can be replayed where the pipeline does not run";
    else if (a->r->hlc_in)
        why = "their kernel takes rows in the order of their stamps; they can be replayed where the pipeline does not "
              "run";
    else if (a->r->in_circle)
        why = "their kernel is on a circle; they can be replayed where the pipeline does not run";
    pthread_rwlock_unlock(&r->graph_lock);
    return why;
}

const rki_plan *rki_run_plan(const rki_run *r)
{
    return r->plan;
}

bool rki_run_flush_letters(rki_run *r, char *err, size_t n)
{
    return rki_store_flush(r, err, n) == RKP_OK;
}

// ---- a runner -------------------------------------------------------------------------------------------------------

void rki_look_for_given(rki_runner *r)
{
    bool any = false;
    pthread_mutex_lock(&r->run->lock);
    for (uint32_t i = 0; i < r->n_stages; i++)
        any |= r->acts[i]->ks->given && r->acts[i]->ks->given->at == r->acts[i];
    pthread_mutex_unlock(&r->run->lock);
    r->given = any;
}

// Before its runner can come to another barrier: what it has taken is known to the checkpoint that has its effects.
static void done(rki_runner *r, struct rki_given_rows *g, bool taken)
{
    rki_run *run = r->run;
    pthread_mutex_lock(&run->lock);
    g->state = taken ? TAKEN : REFUSED;
    g->mark.after = r->barrier;
    if (taken)
        __atomic_fetch_add(&g->at->ks->replayed, g->rows, __ATOMIC_RELAXED);
    if (taken && !g->at_once) // there is room (give)
        run->replays->v[run->replays->n++] = g->mark;
    else if (g->orphan)
        free(g->mark.done);
    if (g->orphan)
        free(g);
    pthread_cond_broadcast(&run->obeyed);
    pthread_mutex_unlock(&run->lock);
}

// What has been given to a stage of this runner, at a moment at which it would take a message.
void rki_take_given(rki_runner *r, void (*feed)(rki_runner *r, rkp_actor *a, rkp_batch *b))
{
    r->given = false;
    for (uint32_t i = 0; i < r->n_stages && !rki_failed(r->run); i++) {
        rkp_actor *a = r->acts[i];
        struct rki_given_rows *g;
        rkp_batch *b;
        pthread_mutex_lock(&r->run->lock);
        g = a->ks->given && a->ks->given->at == a ? a->ks->given : NULL;
        if (g) {
            a->ks->given = NULL;
            g->state = AT_HAND;
        }
        pthread_mutex_unlock(&r->run->lock);
        if (!g)
            continue;
        b = g->b;
        g->b = NULL;
        if (a->stopped || a->suspended || a->muted || !a->inited) {
            rkp_batch_put(b);
            done(r, g, false);
            continue;
        }
        b = rki_replay_fitting(a, g->to, b);
        if (b) {
            r->in_stamp = rkp_hlc_tick(&r->clock, r->pt_us);
            r->in_port = 0;
            r->corr = 0;
            feed(r, a, b);
            rki_end_of_no_chunk(r);
        }
        done(r, g, b != NULL);
    }
}

// ---- who asks -------------------------------------------------------------------------------------------------------

static uint64_t mono_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// With the lock: a while, or until something happens.
static void wait_a_while(rki_run *r)
{
    uint64_t until = mono_ns() + LOOK_NS;
    struct timespec ts = { (time_t)(until / 1000000000u), (long)(until % 1000000000u) };
    pthread_cond_timedwait(&r->obeyed, &r->lock, &ts);
}

static bool over(const rki_run *r)
{
    return __atomic_load_n(&r->ending, __ATOMIC_SEQ_CST) || rki_failed(r) ||
           __atomic_load_n(&r->signals, __ATOMIC_SEQ_CST);
}

// With the lock: room for one more mark.
static bool make_room(rki_run *r)
{
    struct rki_live *l = r->replays ? r->replays : (r->replays = calloc(1, sizeof *l));
    size_t cap;
    struct rki_live_mark *v;
    if (!l || l->n < l->cap)
        return l != NULL;
    cap = l->cap ? 2 * l->cap : 64;
    v = realloc(l->v, cap * sizeof *v);
    if (!v)
        return false;
    l->v = v;
    l->cap = cap;
    return true;
}

// With the lock.
static void say_why(const rki_run *r, const rki_kstate *k, const struct rki_given_rows *g, rki_inject_result *out)
{
    if (over(r))
        snprintf(out->text, sizeof out->text, "the run is ending");
    else if (k->state != RKI_ACTIVE)
        snprintf(out->text, sizeof out->text, "kernel '%s' is %s", k->id, rki_state_name((int)k->state));
    else if (g->state == REFUSED)
        snprintf(out->text, sizeof out->text, "kernel '%s' takes no more rows", k->id);
    else
        snprintf(out->text, sizeof out->text, "kernel '%s' has not taken them in time", k->id);
}

// Hands them over and waits until they are taken.  False: they were not, and out->text says why.  Takes what is in part but, where marks are
// settled at once, done.
static bool give(rki_run *r, const rki_bound *to, rkp_actor *at, rki_replay_part *part, uint64_t deadline_ns,
                 struct rki_live_mark *mark, rki_inject_result *out)
{
    struct rki_given_rows *g = calloc(1, sizeof *g);
    rki_kstate *k = at->ks;
    rkp_batch *left = NULL;
    bool taken = false, room;
    pthread_mutex_lock(&r->lock);
    room = g && make_room(r);
    if (room) {
        *g = (struct rki_given_rows){ .b = part->b,
                                      .to = to,
                                      .at = at,
                                      .rows = part->b->rows,
                                      .mark = { part->seq, part->rows, 0, part->done },
                                      .at_once = !r->ckpt && r->plan->stream };
        if (k->state == RKI_ACTIVE && !over(r)) {
            k->given = g;
            __atomic_store_n(&at->r->commands, 1, __ATOMIC_RELEASE);
            rki_wake_runner(at->r);
            while (k->given == g && k->state == RKI_ACTIVE && !over(r) && mono_ns() < deadline_ns)
                wait_a_while(r);
            while (g->state == AT_HAND && mono_ns() < deadline_ns + HANGS_NS)
                wait_a_while(r);
        }
        if (k->given == g)
            k->given = NULL;
        taken = g->state == TAKEN;
        if (!taken)
            say_why(r, k, g, out);
        *mark = g->mark;
        left = g->b;
        g->orphan = g->state == AT_HAND;
        if (!taken && !g->orphan)
            free(g->mark.done);
        if (!g->orphan)
            free(g);
    } else {
        snprintf(out->text, sizeof out->text, "out of memory");
        left = part->b;
        free(part->done);
        free(g);
    }
    pthread_mutex_unlock(&r->lock);
    rkp_batch_put(left); // NULL where it was taken
    return taken;
}

// In a run without checkpoints that has no end: at once.
static bool settle_now(rki_run *r, const struct rki_live_mark *mark, rki_inject_result *out)
{
    const rki_dead_mark m = { mark->seq, mark->rows, mark->done };
    char err[RKI_SPOOL_ERR] = "";
    rkp_status st = rki_deadstore_settle(r->dead_store, &m, 1, err);
    free(mark->done);
    if (st != RKP_OK)
        snprintf(out->text, sizeof out->text,
                 "rows were replayed and stay in the store, where another replay would find them again: %.100s", err);
    return st == RKP_OK;
}

static rkp_status replay_target(rki_run *r, rki_replay *p, uint32_t target, uint64_t deadline_ns, uint32_t *last,
                                rki_inject_result *out)
{
    const rki_bound *to = rki_replay_target(p, target);
    rkp_actor *at = entry_of(r, to->k);
    bool at_once = !r->ckpt && r->plan->stream;
    for (;;) {
        rki_replay_part part;
        struct rki_live_mark mark;
        char err[RKI_SPOOL_ERR] = "";
        uint32_t n;
        rkp_status st = rki_replay_next(p, target, r->pool, &part, err);
        if (st != RKP_OK) {
            snprintf(out->text, sizeof out->text, "cannot read the dead letters: %.200s", err);
            return st;
        }
        if (!part.seq)
            return RKP_OK;
        n = part.b->rows;
        if (!give(r, to, at, &part, deadline_ns, &mark, out))
            return RKP_UNAVAILABLE;
        out->replayed += n;
        *last = mark.after > *last ? mark.after : *last;
        if (at_once && !settle_now(r, &mark, out))
            return RKP_IO;
        out->settled += at_once ? n : 0;
    }
}

// The checkpoint after `last`.
static void wait_for_checkpoint(rki_run *r, uint32_t last, uint64_t deadline_ns, rki_inject_result *out)
{
    rki_ckpt_hurry(r);
    pthread_mutex_lock(&r->lock);
    while (rki_ckpt_committed(r) <= last && !over(r) && mono_ns() < deadline_ns)
        wait_a_while(r);
    pthread_mutex_unlock(&r->lock);
    if (rki_ckpt_committed(r) > last)
        out->settled = out->replayed;
    else if (!out->text[0])
        snprintf(out->text, sizeof out->text, "they leave the store with the next checkpoint, which is not made yet");
}

rkp_status rki_run_replay(rki_run *r, rki_replay *p, uint64_t deadline_ns, rki_inject_result *out)
{
    rkp_status st = RKP_OK;
    uint32_t last = 0;
    size_t n;
    *out = (rki_inject_result){ 0 };
    rki_replay_targets(p, &n);
    if (!r->dead_store) {
        snprintf(out->text, sizeof out->text, "the run keeps no dead letters");
        return RKP_UNAVAILABLE;
    }
    for (uint32_t i = 0; i < n && st == RKP_OK; i++)
        st = replay_target(r, p, i, deadline_ns, &last, out);
    if (out->replayed && r->ckpt)
        wait_for_checkpoint(r, last, deadline_ns, out);
    else if (out->replayed && !r->plan->stream && !out->text[0])
        snprintf(out->text, sizeof out->text, "they leave the store when the job's outputs have their names");
    return st;
}

// ---- checkpoints ----------------------------------------------------------------------------------------------------

static bool in_it(const struct rki_live_mark *m, uint64_t number)
{
    return m->after < number;
}

bool rki_live_put(rki_run *r, uint64_t number, rki_buf *out)
{
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; r->replays && i < r->replays->n; i++) {
        const struct rki_live_mark *m = &r->replays->v[i];
        if (!in_it(m, number))
            continue;
        rki_put(out, (const char *)&m->seq, sizeof m->seq);
        rki_put(out, (const char *)&m->rows, sizeof m->rows);
        rki_put(out, (const char *)m->done, m->rows / 8 + 1u);
    }
    pthread_mutex_unlock(&r->lock);
    return !out->failed;
}

rkp_status rki_live_settle(rki_run *r, uint64_t number, char *err, size_t n)
{
    struct rki_live *l;
    char why[RKI_SPOOL_ERR] = "out of memory";
    rki_dead_mark *v;
    rkp_status st = RKP_OK;
    size_t k = 0, left = 0;
    pthread_mutex_lock(&r->lock);
    l = r->replays;
    v = l && l->n ? calloc(l->n, sizeof *v) : NULL;
    for (size_t i = 0; v && i < l->n; i++)
        if (in_it(&l->v[i], number))
            v[k++] = (rki_dead_mark){ l->v[i].seq, l->v[i].rows, l->v[i].done };
    if (l && l->n && !v)
        st = RKP_NOMEM;
    if (k)
        st = rki_deadstore_settle(r->dead_store, v, k, why);
    for (size_t i = 0; k && st == RKP_OK && i < l->n; i++) {
        if (in_it(&l->v[i], number))
            free(l->v[i].done);
        else
            l->v[left++] = l->v[i];
    }
    if (k && st == RKP_OK)
        l->n = left;
    pthread_cond_broadcast(&r->obeyed);
    pthread_mutex_unlock(&r->lock);
    free(v);
    if (st != RKP_OK)
        snprintf(err, n, "dead letters that were replayed stay in the store: %.200s", why);
    return st;
}

// Of the checkpoint that the run goes on from: a crash may have come between the two.
rkp_status rki_live_restore(rki_run *r, rkp_str marks, char *err, size_t n)
{
    char why[RKI_SPOOL_ERR] = "the checkpoint does not say which";
    rkp_status st = RKP_OK;
    for (size_t at = 0; at < marks.n && st == RKP_OK && r->dead_store;) {
        rki_dead_mark m = { 0 };
        size_t bits = 0;
        if (marks.n - at >= sizeof m.seq + sizeof m.rows) {
            memcpy(&m.seq, marks.p + at, sizeof m.seq);
            memcpy(&m.rows, marks.p + at + sizeof m.seq, sizeof m.rows);
            at += sizeof m.seq + sizeof m.rows;
            bits = m.rows / 8 + 1u;
        }
        if (!bits || !m.rows || marks.n - at < bits)
            st = RKP_INVALID;
        else
            m.done = (const uint8_t *)marks.p + at;
        at += bits;
        if (st == RKP_OK)
            st = rki_deadstore_settle(r->dead_store, &m, 1, why);
    }
    if (st != RKP_OK)
        snprintf(err, n, "dead letters that were replayed cannot leave the store: %.200s", why);
    return st;
}

void rki_live_free(rki_run *r)
{
    for (size_t i = 0; r->replays && i < r->replays->n; i++)
        free(r->replays->v[i].done);
    if (r->replays)
        free(r->replays->v);
    free(r->replays);
    r->replays = NULL;
}
