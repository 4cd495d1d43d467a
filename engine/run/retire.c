// run/retire.c - what a reload has taken out gives on what it has, and goes; its memory goes when no batch of its time is left
// (docs/design/reload.md).  Control thread.
#include "run/meter.h"
#include "run/reload.h"

#include "data/pool.h"

#include <stdio.h>
#include <stdlib.h>

void rki_leave(rki_run *r, rki_link *k, rki_kstate *writer, rki_kstate *reader)
{
    k->writer = writer;
    k->reader = reader;
    k->next_leaving = r->reload->leaving;
    r->reload->leaving = k;
}

static rki_grave grave_now(const rki_run *r)
{
    return (rki_grave){ .epoch = rki_pool_epoch(r->pool), .state_epoch = rki_pool_epoch(r->state_pool) };
}

void rki_bury(rki_run *r, rki_runner *run)
{
    rki_batcher_free(run->batcher); // it may have room in hand
    run->batcher = NULL;
    run->grave = grave_now(r);
    run->next_buried = r->reload->buried;
    r->reload->buried = run;
}

static bool may_go(const rki_run *r, const rki_grave *g)
{
    return g->epoch != rki_pool_epoch(r->pool) && g->state_epoch != rki_pool_epoch(r->state_pool) &&
           rki_pool_is_over(r->pool, g->epoch) && rki_pool_is_over(r->state_pool, g->state_epoch);
}

// So that what is made from now on is not taken for what has gone.
void rki_next_epoch(rki_run *r)
{
    if (rki_pool_may_advance(r->pool) && rki_pool_may_advance(r->state_pool)) {
        rki_pool_next_epoch(r->pool);
        rki_pool_next_epoch(r->state_pool);
    }
}

// Removed kernels drain by the END that their producers send; those that have no producers are told.
void rki_see_off(rki_run *r, rki_job *j)
{
    struct rki_reload *x = r->reload;
    rki_runner **before = x->going;
    pthread_rwlock_wrlock(&r->graph_lock); // others count them
    pthread_mutex_lock(&r->lock);
    if (x->n_going)
        memcpy(j->going, x->going, x->n_going * sizeof(rki_runner *));
    x->going = j->going;
    j->going = before; // the job frees it
    for (uint32_t i = 0; i < j->n_removed; i++) {
        rki_runner *run = j->removed[i];
        __atomic_store_n(&run->leaves, 1, __ATOMIC_RELEASE);
        x->going[x->n_going++] = run;
        rki_wake_runner(run);
    }
    for (uint32_t i = 0; i < j->n_removed; i++)
        for (uint32_t s = 0; s < j->removed[i]->n_stages; s++) {
            rki_kstate *k = j->removed[i]->acts[s]->ks;
            if (k->before == RKI_SUSPENDED || k->before == RKI_LAUNCHED) // it would never come to its end
                rki_life_cut(r, k);
        }
    pthread_mutex_unlock(&r->lock);
    pthread_rwlock_unlock(&r->graph_lock);
    if (j->n_removed)
        x->drain_until_ns = rki_mono_ns() + r->plan->spec->reload.drain_ns;
}

static bool gen_used(const rki_run *r, const rki_gen *g)
{
    const struct rki_reload *x = r->reload;
    if (g->plan == r->plan)
        return true;
    for (uint32_t i = 0; i < r->n_runners + x->n_going; i++) {
        const rki_runner *run = i < r->n_runners ? r->runners[i] : x->going[i - r->n_runners];
        if (run->gen == g ||
            (run->wiring && run->wiring->oldest <= g->number && g->number <= run->wiring->gen->number &&
             (run->wiring->gen == g || run->wiring->oldest < run->wiring->gen->number)))
            return true;
        for (uint32_t s = 0; s < run->n_stages; s++)
            if (run->acts[s]->gen == g)
                return true;
    }
    for (const rki_runner *run = x->buried; run; run = run->next_buried) {
        if (run->gen == g)
            return true;
        for (uint32_t s = 0; s < run->n_stages; s++)
            if (run->acts[s] && run->acts[s]->gen == g)
                return true;
    }
    return false;
}

static void gen_free(rki_gen *g)
{
    if (g->drop)
        g->drop(g->drop_arg);
    free(g);
}

static void free_buried(rki_run *r, bool all)
{
    struct rki_reload *x = r->reload;
    for (rki_runner **at = &x->buried; *at;) {
        rki_runner *run = *at;
        if (!all && !may_go(r, &run->grave)) {
            at = &run->next_buried;
            continue;
        }
        *at = run->next_buried;
        pthread_mutex_lock(&r->build_lock);
        rki_runner_free(run);
        pthread_mutex_unlock(&r->build_lock);
    }
    for (rki_gen **at = &x->buried_gens; *at;) {
        rki_gen *g = *at;
        if (!all && !may_go(r, &g->grave)) {
            at = &g->next;
            continue;
        }
        *at = g->next;
        gen_free(g);
    }
}

// ---- instances that were replaced by their own actor ----------------------------------------------------------------

bool rki_actor_renew(rkp_actor *a)
{
    rki_run *r = a->run;
    rki_husk *h = malloc(sizeof *h);
    void *self = calloc(1, a->op->self_size ? a->op->self_size : 1);
    if (!h || !self) {
        free(h);
        free(self);
        return false;
    }
    rki_actor_end(a);
    *h = (rki_husk){ .self = a->self, .arena = a->arena, .grave = grave_now(r) };
    a->self = self;
    rki_arena_init(&a->arena);
    pthread_mutex_lock(&r->lock);
    h->next = r->husks;
    r->husks = h;
    pthread_mutex_unlock(&r->lock);
    r->backend->poke(r->b);
    return true;
}

static void husk_free(rki_husk *h)
{
    rki_arena_fini(&h->arena);
    free(h->self);
    free(h);
}

// True when there are some whose epoch is not over.
static bool free_husks(rki_run *r)
{
    rki_husk *gone = NULL;
    bool now = false, left;
    pthread_mutex_lock(&r->lock);
    for (rki_husk **at = &r->husks; *at;) {
        rki_husk *h = *at;
        if (!may_go(r, &h->grave)) {
            now |= h->grave.epoch == rki_pool_epoch(r->pool) || h->grave.state_epoch == rki_pool_epoch(r->state_pool);
            at = &h->next;
            continue;
        }
        *at = h->next;
        h->next = gone;
        gone = h;
    }
    left = r->husks != NULL;
    pthread_mutex_unlock(&r->lock);
    for (rki_husk *h; (h = gone) != NULL; husk_free(h))
        gone = h->next;
    if (now)
        rki_next_epoch(r);
    return left;
}

void rki_husks_free(rki_run *r)
{
    for (rki_husk *h; (h = r->husks) != NULL; husk_free(h))
        r->husks = h->next;
}

static void bury_gens(rki_run *r)
{
    pthread_mutex_lock(&r->lock); // wirings are put on with it
    for (rki_gen **at = &r->gens; *at;) {
        rki_gen *g = *at;
        if (gen_used(r, g)) {
            at = &g->next;
            continue;
        }
        *at = g->next;
        g->grave = grave_now(r);
        g->next = r->reload->buried_gens;
        r->reload->buried_gens = g;
    }
    pthread_mutex_unlock(&r->lock);
}

static void check_left(rki_run *r, const rki_link *k)
{
    if (k->sent_rows == k->got_rows + k->overflowed_rows)
        return;
    pthread_mutex_lock(&r->lock);
    if (r->fail_status == RKP_OK) {
        snprintf(r->failure, sizeof r->failure,
                 "an edge to kernel '%s' that a reload removed: sent %llu rows, received %llu, %llu did not fit",
                 k->reader->id, (unsigned long long)k->sent_rows, (unsigned long long)k->got_rows,
                 (unsigned long long)k->overflowed_rows);
        r->fail_status = RKP_INTERNAL;
    }
    pthread_mutex_unlock(&r->lock);
    __atomic_store_n(&r->failed, 1, __ATOMIC_SEQ_CST);
}

// After reload.drain_timeout.  Where checkpoints are made every row counts, however late it comes.
static void late(rki_run *r)
{
    const struct rki_reload *x = r->reload;
    pthread_mutex_lock(&r->lock);
    for (uint32_t i = 0; i < x->n_going; i++)
        for (uint32_t s = 0; s < x->going[i]->n_stages; s++) {
            rki_kstate *k = x->going[i]->acts[s]->ks;
            if (x->going[i]->replica == 0)
                rki_log(r, "warning: kernel '%s', which a reload has removed, has rows after reload.drain_timeout%s\n",
                        k->id, r->ckpt ? "" : "; they are dropped (reason: reload)");
            if (!r->ckpt)
                rki_life_cut(r, k);
        }
    pthread_mutex_unlock(&r->lock);
}

void rki_reap(rki_run *r, uint64_t now, uint64_t *until)
{
    struct rki_reload *x = r->reload;
    bool some = false;
    for (uint32_t i = 0; i < x->n_going;) {
        rki_runner *run = x->going[i];
        bool sent = rki_runner_over(run);
        for (uint32_t n = 0; n < run->n_outs && sent; n++)
            sent = rki_all_sent(&run->outs[n]);
        if (!sent) {
            i++;
            continue;
        }
        for (uint32_t n = 0; n < run->n_outs; n++)
            rki_spill_close(&run->outs[n], true);
        for (uint32_t s = 0; s < run->n_stages; s++)
            rki_finish_sink(r, run->acts[s]);
        for (uint32_t n = 0; n < run->n_outs; n++)
            for (uint32_t l = 0; l < run->outs[n].n; l++)
                __atomic_store_n(&run->outs[n].links[l]->left_from, 1, __ATOMIC_RELEASE);
        for (uint32_t n = 0; n < run->n_ins; n++)
            for (uint32_t l = 0; l < run->ins[n].n; l++)
                __atomic_store_n(&run->ins[n].links[l]->left_to, 1, __ATOMIC_RELEASE);
        r->backend->forget(r->b, &run->task);
        rki_clock_close(run);                  // of links that its readers have not let go of
        pthread_rwlock_wrlock(&r->graph_lock); // others count it here or there
        pthread_mutex_lock(&r->lock);
        for (uint32_t s = 0; s < run->n_stages; s++) {
            rki_add_past(run->acts[s]->ks, run->acts[s]);
            rki_actor_end(run->acts[s]);
        }
        x->going[i] = x->going[--x->n_going];
        pthread_cond_broadcast(&r->obeyed);
        pthread_mutex_unlock(&r->lock);
        pthread_rwlock_unlock(&r->graph_lock);
        rki_bury(r, run);
        some = true;
    }
    for (rki_link **at = &x->leaving; *at;) {
        rki_link *k = *at;
        if (!__atomic_load_n(&k->left_from, __ATOMIC_ACQUIRE) || !__atomic_load_n(&k->left_to, __ATOMIC_ACQUIRE)) {
            at = &k->next_leaving;
            continue;
        }
        check_left(r, k);
        pthread_rwlock_wrlock(&r->graph_lock); // others count what did not fit
        rki_count_link(&k->reader->past, k);
        rki_flow_add(&k->flow->past, k);
        *at = k->next_leaving;
        pthread_rwlock_unlock(&r->graph_lock);
        free(k);
    }
    bury_gens(r);
    if (some || (x->buried && x->buried->grave.epoch == rki_pool_epoch(r->pool)) ||
        (x->buried_gens && x->buried_gens->grave.epoch == rki_pool_epoch(r->pool)))
        rki_next_epoch(r);
    free_buried(r, false);
    if (x->n_going && x->drain_until_ns && now >= x->drain_until_ns) {
        x->drain_until_ns = 0;
        late(r);
    }
    if (free_husks(r) || x->n_going || x->leaving || x->buried || x->buried_gens)
        *until = !*until || now + 10000000u < *until ? now + 10000000u : *until;
}

const rki_link *rki_reload_leaving(const rki_run *r)
{
    return r->reload->leaving;
}

rki_runner *const *rki_reload_going(const rki_run *r, uint32_t *n)
{
    *n = r->reload->n_going;
    return r->reload->going;
}

bool rki_reload_drains(const rki_run *r)
{
    return r->reload->n_going > 0;
}

void rki_reload_close(rki_run *r)
{
    struct rki_reload *x = r->reload;
    rki_link *k;
    if (!x)
        return;
    for (uint32_t i = 0; i < x->n_going; i++)
        rki_runner_free(x->going[i]);
    free_buried(r, true);
    while ((k = x->leaving)) {
        x->leaving = k->next_leaving;
        rki_link_empty(k);
        free(k);
    }
    free(x->going);
    free(x);
    r->reload = NULL;
}

uint64_t rki_reload_drain(rki_run *r)
{
    uint64_t rows = 0;
    for (uint32_t i = 0; i < r->reload->n_going; i++)
        rows += rki_runner_empty(r->reload->going[i]);
    for (rki_link *k = r->reload->leaving; k; k = k->next_leaving)
        rows += rki_link_empty(k);
    return rows;
}
