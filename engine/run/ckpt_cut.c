// run/ckpt_cut.c - checkpoints on the side of a runner: it saves its stages, sends the barrier on, and hands in.
//
// A runner hands in under the lock.  Of one that has ended the control thread saves what it is at its end (ckpt.c).
#include "run/ckpt.h"

#include <stdlib.h>

static void part_fini(struct rki_part *p)
{
    rki_save_fini(&p->counts);
    rki_save_fini(&p->state);
}

static void parts_fini(struct rki_part *v, uint32_t n)
{
    for (uint32_t i = 0; v && i < n; i++)
        part_fini(&v[i]);
    free(v);
}

// The half of a source that reads, and the half of a sink that writes, hold what their kernel saves.
bool rki_ckpt_saves(const rkp_actor *a)
{
    return a->op->save && a->stage->role != RKI_DECODE && a->stage->role != RKI_ENCODE;
}

// What every stage is now; NULL: the run was failed.  `end`: a transform that has given everything on has nothing left.
struct rki_part *rki_ckpt_take(rki_runner *r, bool end)
{
    struct rki_part *v = calloc(r->n_stages, sizeof *v);
    for (uint32_t i = 0; v && i < r->n_stages; i++) {
        rki_save_begin(&v[i].counts);
        rki_save_begin(&v[i].state);
    }
    for (uint32_t i = 0; v && i < r->n_stages; i++) {
        rkp_actor *a = r->acts[i];
        rkp_status st = RKP_OK;
        rki_counts_put(&v[i].counts, a);
        v[i].ended = end || a->ended;
        if (rki_ckpt_saves(a) && !(v[i].ended && a->op->kind == RKP_TRANSFORM))
            st = rki_life_save(a, &v[i].state) ? RKP_OK : a->op->save(a->self, a, &v[i].state);
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

static void cut_fini(struct rki_cut *c, uint32_t n)
{
    parts_fini(c->v, n);
    if (c->number)
        rki_save_fini(&c->queues);
    *c = (struct rki_cut){ 0 };
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

// It is whole.  False: the run was failed.
bool rki_ckpt_hand_in(rki_runner *r)
{
    struct rki_ckpt *c = r->run->ckpt;
    struct rki_parts *p = r->parts;
    struct rki_cut old;
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
    p->next = (struct rki_cut){ 0 };
    cut_fini(&old, r->n_stages);
    return true;
}

// Everything but what is on its way to it.
bool rki_ckpt_begin_cut(rki_runner *r, uint32_t number)
{
    struct rki_parts *p = r->parts;
    rki_dead_flush(r);
    p->next.v = rki_ckpt_take(r, false);
    if (!p->next.v)
        return false;
    p->next.number = number;
    rki_save_begin(&p->next.queues);
    rki_save_begin(&p->log);
    if (rki_ckpt_put_logs(r, number, &p->next.queues))
        return true;
    cut_fini(&p->next, r->n_stages);
    return false;
}

bool rki_ckpt_cut(rki_runner *r, uint32_t number)
{
    struct rki_ckpt *c = r->run->ckpt;
    if (!number)
        number = __atomic_load_n(&c->wanted, __ATOMIC_ACQUIRE);
    if (!rki_ckpt_begin_cut(r, number))
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
    return r->n_logs ? true : rki_ckpt_whole(r);
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
