// run/swap.c - kernels that a reload replaces come to a batch boundary, their instances or states move, and the new graph is there
// (RELIABILITY.md 3.2, docs/design/reload.md).  Control thread, but for rki_may_stop, rki_drains (runners).
#include "run/reload.h"

#include "base/failpoint.h"
#include "data/state.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

// ---- stop -----------------------------------------------------------------------------------------------------------

// Relaxed: written before the runner is asked to stop.
static bool drains(const rki_link *k)
{
    return __atomic_load_n(&k->drains, __ATOMIC_RELAXED) != RKI_DRAINS_NOT;
}

bool rki_drains(const rki_runner *r, const rki_inset *in)
{
    return in->n && (in->retires ? r->stop_retires : drains(in->links[0]));
}

// Everything has come that ever will.
static bool all_ended(const rki_runner *r)
{
    for (uint32_t i = 0; i < r->n_ins; i++)
        if (r->ins[i].n_ended < r->ins[i].n)
            return false;
    return r->n_ins > 0;
}

bool rki_may_stop(rki_runner *r)
{
    uint32_t asked = RKI_STOP_ASKED;
    rki_dead_flush(r);
    // It ends in a moment, which is as good; and who reads several of its kind in turns may wait for its END to come to theirs.
    if (all_ended(r) && !r->n_suspended)
        return false;
    if (r->barring || (r->pending && !r->stop_pending) || rki_batcher_rows(r->batcher))
        return false;
    for (uint32_t i = 0; i < r->n_outs; i++)
        if (r->outs[i].n && (r->outs[i].closes || drains(r->outs[i].links[0])) &&
            (r->outs[i].n_box || rki_spilling(&r->outs[i])))
            return false;
    for (uint32_t i = 0; i < r->n_ins; i++)
        for (uint32_t l = 0; rki_drains(r, &r->ins[i]) && l < r->ins[i].n; l++) {
            const rki_link *k = r->ins[i].links[l];
            if (r->ins[i].retires) { // whoever fills it goes on until its end
                if (!k->ended)
                    return false;
                continue;
            }
            // Acquire, from the producer's stop: everything that it has put into the ring.
            if (__atomic_load_n(&rki_from(k)->stop, __ATOMIC_ACQUIRE) != RKI_STOP_DONE || rki_ring_fill(k->ring) > 0)
                return false;
        }
    r->stopped_ns = rki_mono_ns();
    return __atomic_compare_exchange_n(&r->stop, &asked, RKI_STOP_DONE, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

// The successor of a stopped runner's head, if there is one.
static rki_runner *heir(const rki_job *j, const rki_runner *o)
{
    for (uint32_t i = 0; i < j->net->n_runners; i++) {
        rki_runner *run = j->net->runners[i];
        if (rki_job_new_runner(j, i) && j->origins[j->first_origin[i]].from == o->acts[0])
            return run;
    }
    return NULL;
}

// Of the runners that stop.
static bool stays_link(const rki_job *j, const rki_link *k)
{
    for (uint32_t i = 0; i < j->net->n_links; i++)
        if (j->net->links[i] == k)
            return true;
    return false;
}

static bool stops(const rki_job *j, const rki_runner *o)
{
    for (uint32_t i = 0; i < j->n_stopping; i++)
        if (j->stopping[i] == o)
            return true;
    return false;
}

// Stops, or stands still: the i-th of all of them; NULL: there are no more.
static rki_runner *halting(const rki_job *j, uint32_t i)
{
    if (i < j->n_stopping)
        return j->stopping[i];
    return i < j->n_stopping + j->n_resting ? j->resting[i - j->n_stopping] : NULL;
}

static bool halts(const rki_job *j, const rki_runner *o)
{
    for (uint32_t i = 0; i < j->n_resting; i++)
        if (j->resting[i] == o)
            return true;
    return stops(j, o);
}

// Is what is in this ring given on before the cut?
static uint32_t empties(const rki_job *j, const rki_link *k)
{
    if (!stays_link(j, k) && stops(j, rki_from(k)) && stops(j, rki_to(k)))
        return RKI_DRAINS_AND_GOES;
    return j->diff->path && halts(j, rki_from(k)) && halts(j, rki_to(k)) ? RKI_DRAINS : RKI_DRAINS_NOT;
}

static bool same_columns(const rkp_schema *a, const rkp_schema *b)
{
    bool same = a->n == b->n;
    for (uint32_t i = 0; same && i < a->n; i++)
        same = rkp_str_eq(a->f[i].name, b->f[i].name) && a->f[i].type.kind == b->f[i].type.kind &&
               a->f[i].type.len == b->f[i].type.len;
    return same;
}

// It has ended by itself, which is as good: everything that it had is on its way, and its successor has nothing to do but to say so to whom it
// is new.
static void has_stopped(rki_runner *o)
{
    o->stopped_ns = rki_mono_ns();
    __atomic_store_n(&o->stop, RKI_STOP_DONE, __ATOMIC_RELEASE);
}

const rki_bound *rki_job_too_late(const rki_diff *f, uint32_t actor)
{
    const rki_pactor *a = &f->from->actors[actor];
    for (uint32_t s = 0; s < a->n_stages; s++) {
        uint32_t k = f->from->stages[a->stages[s]].kernel;
        int32_t to = f->old_kernels[k];
        if (to >= 0 && f->kernels[to].change == RKI_REPLACE && f->from->kernels[k].k->op->kind != RKP_TRANSFORM)
            return &f->from->kernels[k];
    }
    return NULL;
}

static void ask_to_stop(rki_run *r, rki_job *j)
{
    rki_runner *o;
    for (uint32_t i = 0; i < r->n_links; i++)
        __atomic_store_n(&r->links[i]->drains, empties(j, r->links[i]), __ATOMIC_RELAXED);
    for (uint32_t i = 0; (o = halting(j, i)); i++) {
        rki_runner *h = i < j->n_stopping ? heir(j, o) : NULL;
        o->stop_retires = !h || j->diff->path || h->plan->replicas > 1 || o->plan->replicas > 1;
        o->stop_pending = h && same_columns(&h->acts[0]->bound->in, &o->acts[0]->bound->in);
        for (uint32_t l = 0; j->diff->path && l < r->n_links; l++) // it has met what is before
            o->stop_pending &= rki_to(r->links[l]) != o || !drains(r->links[l]);
    }
    for (uint32_t i = 0; (o = halting(j, i)); i++)
        if (rki_runner_over(o))
            has_stopped(o);
        else
            __atomic_store_n(&o->stop, RKI_STOP_ASKED, __ATOMIC_RELEASE);
    for (uint32_t i = 0; (o = halting(j, i)); i++)
        rki_wake_runner(o);
}

// True when all have; *gone: one has ended instead.
static bool all_stopped(const rki_job *j, const rki_runner **gone)
{
    bool all = true;
    rki_runner *o;
    for (uint32_t i = 0; (o = halting(j, i)); i++) {
        bool over = rki_runner_over(o); // first: who stops says so before it ends
        bool done = __atomic_load_n(&o->stop, __ATOMIC_ACQUIRE) == RKI_STOP_DONE;
        if (over && !done && (i >= j->n_stopping || !rki_job_too_late(j->diff, o->index))) {
            has_stopped(o);
            done = true;
        }
        if (over && !done)
            *gone = o;
        if (!done)
            rki_wake_runner(o); // what it waits for may be that another one has stopped
        all &= done && over;
    }
    return all;
}

// A runner that has stopped goes on.  False: out of memory.
static bool go_on(rki_run *r, rki_runner *o)
{
    rkp_task *t = &o->task;
    __atomic_store_n(&o->stop, RKI_STOP_NO, __ATOMIC_RELEASE);
    r->backend->forget(r->b, t);
    return r->backend->add(r->b, &t, 1) == RKP_OK;
}

static void take_back(rki_run *r, rki_job *j)
{
    rki_runner *o;
    for (uint32_t i = 0; (o = halting(j, i)); i++) {
        uint32_t asked = RKI_STOP_ASKED;
        if (rki_runner_ended(o)) {
            __atomic_store_n(&o->stop, RKI_STOP_NO, __ATOMIC_RELEASE);
            continue;
        }
        if (__atomic_compare_exchange_n(&o->stop, &asked, RKI_STOP_NO, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            continue;
        while (!rki_runner_over(o)) // its last step is over in a moment
            sched_yield();
        if (!go_on(r, o)) { // it was there a moment ago
            rki_fail_run(o->acts[0], RKP_NOMEM, "out of memory while a reload is taken back");
            return;
        }
    }
    for (uint32_t i = 0; (o = halting(j, i)); i++)
        rki_wake_runner(o);
}

// ---- hand over ------------------------------------------------------------------------------------------------------

// What the old instance has kept, for the new one.  False: why is in j->out->text.
static bool carry(rki_job *j, rkp_actor *to, rkp_actor *from)
{
    rki_prepare p = { .st = RKP_OK };
    rkp_save s;
    rkp_load l;
    rkp_status st = RKP_OK;
    if (to->stage->role == RKI_DECODE || to->stage->role == RKI_ENCODE)
        return true;
    rki_save_begin(&s);
    from->r->prepare = to->r->prepare = &p;
    st = from->op->save(from->self, from, &s);
    if (st == RKP_OK)
        st = rki_save_status(&s);
    if (st == RKP_OK) {
        rki_load_begin(&l, s.out.p, s.out.n);
        st = to->op->restore(to->self, to, &l);
        if (st == RKP_OK)
            st = l.st == RKP_OK ? rki_load_end(&l) : l.st;
    } else {
        l.why[0] = 0;
    }
    from->r->prepare = to->r->prepare = NULL;
    if (st == RKP_OK)
        st = p.st;
    if (st != RKP_OK)
        snprintf(j->out->text, sizeof j->out->text, "kernel '%s': its state cannot be handed over: %s",
                 to->bound->k->id.p,
                 p.text[0]         ? p.text
                 : l.why[0]        ? l.why
                 : st == RKP_NOMEM ? "out of memory"
                                   : "it does not fit");
    rki_save_fini(&s);
    return st == RKP_OK;
}

static bool carry_all(rki_job *j)
{
    for (uint32_t i = 0; i < j->net->n_runners; i++)
        for (uint32_t s = 0; rki_job_new_runner(j, i) && s < j->net->runners[i]->n_stages; s++) {
            rki_origin *o = &j->origins[j->first_origin[i] + s];
            if (o->carries && !o->from->ended && !carry(j, j->net->runners[i]->acts[s], o->from))
                return false;
        }
    return true;
}

// The names of reasons may be of a plan that goes.
static const char *keep_name(rki_run *r, const char *reason)
{
    const char *z = rki_intern(r, reason);
    return z ? z : "other";
}

// Counts of a kernel go on whatever becomes of its instances.
void rki_add_past(rki_kstate *k, const rkp_actor *a)
{
    rki_count_actor(&k->past, a);
    for (uint32_t i = 0; i < k->past.n_drops; i++)
        k->past.drops[i].reason = keep_name(a->run, k->past.drops[i].reason);
    for (uint32_t i = 0; i < k->past.n_deads; i++)
        k->past.deads[i].reason = keep_name(a->run, k->past.deads[i].reason);
}

// Of a stage that takes what its kernel takes, or gives what it gives, and then does not, or the other way round: what it has counted meant
// that.
static bool counts_differ(const rkp_actor *a, const rkp_actor *b)
{
    return a->stage->takes != b->stage->takes || a->stage->gives != b->stage->gives;
}

static void forget_counts(rkp_actor *a)
{
    memset(&a->counts, 0, sizeof a->counts);
    a->bad = 0;
}

static void move_actor(rki_runner *run, uint32_t s, rkp_actor *from)
{
    rkp_actor *blank = run->acts[s];
    rki_runner *old = from->r;
    rki_kstate *ks = blank->ks;
    if (counts_differ(from, blank)) {
        rki_add_past(ks, from);
        forget_counts(from);
    }
    for (uint32_t i = 0; i < old->n_stages; i++)
        if (old->acts[i] == from)
            old->acts[i] = NULL;
    rki_actor_place(from, run, s, ks);
    rki_actor_free(blank);
}

// A number that no runner has; there are 65,535, and at most 4,096 runners.
static uint16_t free_id(rki_run *r)
{
    bool taken = true;
    while (taken) {
        taken = ++r->last_id == 0;
        for (uint32_t i = 0; i < r->n_runners; i++)
            taken |= r->runners[i]->id == r->last_id;
        for (uint32_t i = 0; i < r->reload->n_going; i++)
            taken |= r->reload->going[i]->id == r->last_id;
    }
    return r->last_id;
}

// Before any ring has one of them at its end: who reads in an order looks at the numbers of publishers.
static void number_new(rki_run *r, const rki_job *j)
{
    for (uint32_t i = 0; i < j->net->n_runners; i++) {
        const rkp_actor *head = rki_job_new_runner(j, i) ? j->origins[j->first_origin[i]].from : NULL;
        if (rki_job_new_runner(j, i))
            j->net->runners[i]->id = head && head->r->acts[0] == head ? head->r->id : free_id(r);
    }
}

// Whoever reads or sends for a kernel from now on, which had one that did so for its replicas, and has none any more.
static rki_runner *end_of(const rki_job *j, const rki_runner *o)
{
    const rki_stage *old = &j->diff->from->stages[j->diff->from->actors[o->index].stages[0]];
    if (old->role != RKI_DEAL && old->role != RKI_GATHER)
        return NULL;
    for (uint32_t i = 0; i < j->net->n_runners; i++) {
        rki_runner *run = j->net->runners[i];
        for (uint32_t s = 0; rki_job_new_runner(j, i) && s < run->n_stages; s++) {
            const rki_stage *st = run->acts[s]->stage;
            if (j->diff->kernels[st->kernel].old == (int32_t)old->kernel &&
                (old->role == RKI_DEAL ? st->takes : st->gives))
                return run;
        }
    }
    return NULL;
}

// Where a kernel gets one that reads for its replicas, or one that sends for them, or has none any more: what has been delivered, and what was
// sent, is before all that comes.
static void hand_order_over(const rki_job *j)
{
    for (uint32_t i = 0; i < j->n_stopping; i++) {
        const rki_runner *o = j->stopping[i];
        const rki_plan *from = j->diff->from;
        for (uint32_t n = 0; n < j->net->n_runners; n++) {
            rki_runner *run = j->net->runners[n];
            const rki_stage *st = run->acts[0] ? run->acts[0]->stage : NULL;
            bool same = false;
            for (uint32_t s = 0; rki_job_new_runner(j, n) && st && s < o->n_stages; s++)
                same |=
                    j->diff->kernels[st->kernel].old == (int32_t)from->stages[from->actors[o->index].stages[s]].kernel;
            if (!same)
                continue;
            if (run->clock.last < o->clock.last)
                run->clock.last = o->clock.last;
            if (st->takes && run->front_stamp < o->front_stamp) {
                run->front_stamp = o->front_stamp;
                run->front_id = o->front_id;
            }
        }
    }
}

// From the stopped runners to the new ones; cannot fail.
static void hand_over(rki_job *j)
{
    for (uint32_t i = 0; i < j->net->n_runners; i++) {
        rki_runner *run = j->net->runners[i];
        for (uint32_t s = 0; rki_job_new_runner(j, i) && s < run->n_stages; s++) {
            rki_origin *o = &j->origins[j->first_origin[i] + s];
            rkp_actor *a = run->acts[s];
            if (!o->from)
                continue;
            if (s == 0) { // the head's runner goes on in this one
                const rki_runner *old = o->from->r;
                run->clock = old->clock;
                run->emission = old->emission;
                run->stamp = old->stamp;
                run->in_stamp = old->in_stamp;
                run->front_stamp = old->front_stamp;
                run->front_id = old->front_id;
                run->next_corr = old->next_corr;
                run->chunk = old->chunk;
                run->pending = old->pending;
                run->pending_flags = old->pending_flags;
                run->pending_port = old->pending_port;
                run->pending_corr = old->pending_corr;
                run->barrier = old->barrier;
                run->polled_out = old->polled_out || old->done;
                run->requests_ended = old->requests_ended;
                run->over = old->over;
                run->unwanted = old->unwanted;
                run->gather = old->gather;
                run->timed = old->timed;
                o->from->r->pending = NULL;
            }
            run->timed |= o->from->timer_ns != 0;
            if (run->clock.last < o->from->r->clock.last)
                run->clock.last = o->from->r->clock.last;
            if (o->moves) {
                move_actor(run, s, o->from);
                continue;
            }
            if (!o->carries && !o->from->ended)
                rki_drop_held(o->from, "reload");
            a->ended = o->from->ended;
            a->meta.first_row = o->from->meta.first_row;
            if (counts_differ(o->from, a))
                continue; // commit adds them to those of instances that have gone
            a->counts = o->from->counts;
            for (uint32_t k = 0; k < a->counts.n_drops; k++)
                a->counts.drops[k].reason = keep_name(a->run, a->counts.drops[k].reason);
            for (uint32_t k = 0; k < a->counts.n_deads; k++)
                a->counts.deads[k].reason = keep_name(a->run, a->counts.deads[k].reason);
            a->bad = o->from->bad;
            forget_counts(o->from);
        }
    }
    hand_order_over(j);
}

// ---- commit ---------------------------------------------------------------------------------------------------------

// The successor that gets what o has in its hands besides what the links say.
rki_runner *rki_job_heir(const rki_job *j, const rki_runner *o)
{
    rki_runner *h = heir(j, o);
    for (uint32_t i = 0; !h && i < j->net->n_runners; i++)
        for (uint32_t s = 0; rki_job_new_runner(j, i) && s < j->net->runners[i]->n_stages && !h; s++)
            if (j->origins[j->first_origin[i] + s].from && j->origins[j->first_origin[i] + s].from->r == o)
                h = j->net->runners[i];
    for (uint32_t i = 0; !h && i < j->n_stopping && o->replica; i++) // there are fewer replicas now
        if (j->stopping[i]->index == o->index && j->stopping[i]->replica == 0)
            h = rki_job_heir(j, j->stopping[i]);
    return h ? h : end_of(j, o);
}

static rki_wiring *wiring_with(const rki_job *j, const rki_link *k, bool out)
{
    for (uint32_t i = 0; i < j->net->n_runners; i++) {
        rki_wiring *w = rki_job_new_runner(j, i) ? j->net->wirings[i] : NULL;
        if (w && (out ? (void *)rki_out_with(w, k) : (void *)rki_in_with(w, k)))
            return w;
    }
    return NULL;
}

// Both of its ends have stopped, and nothing is in it.
static bool goes_empty(const rki_link *k)
{
    return __atomic_load_n(&k->drains, __ATOMIC_RELAXED) == RKI_DRAINS_AND_GOES;
}

// Sets of stopped runners; before the instances move.
static void hand_sets_over(rki_job *j)
{
    for (uint32_t i = 0; i < j->n_stopping; i++) {
        rki_runner *o = j->stopping[i], *h = rki_job_heir(j, o);
        rki_wiring *own = NULL;
        for (uint32_t n = 0; n < j->net->n_runners; n++)
            if (j->net->runners[n] == h)
                own = j->net->wirings[n];
        for (uint32_t s = 0; s < o->n_outs; s++) {
            rki_outset *set = &o->outs[s];
            rki_wiring *w = set->n && !set->closes ? wiring_with(j, set->links[0], true) : NULL;
            if (w)
                rki_move_out(w, rki_out_with(w, set->links[0]), set);
            else if (set->n && !set->closes &&
                     goes_empty(set->links[0])) { // its consumer has stopped, with an empty ring
                for (uint32_t l = 0; l < set->n; l++)
                    set->links[l]->left_from = set->links[l]->left_to = 1;
                rki_spill_close(set, true);
                set->n = 0;
            } else if (set->n && own) {
                for (uint32_t l = 0; l < set->n; l++)
                    __atomic_store_n(&set->links[l]->from, h, __ATOMIC_SEQ_CST);
                rki_close_out(h, own, set, false);
            }
        }
        for (uint32_t s = 0; s < o->n_ins; s++) {
            rki_inset *set = &o->ins[s];
            rki_wiring *w = set->n && !set->retires ? wiring_with(j, set->links[0], false) : NULL;
            if (w)
                rki_move_in(rki_in_with(w, set->links[0]), set);
            else if (set->n && !set->retires && goes_empty(set->links[0]))
                set->n = 0;
            else if (set->n && own) {
                for (uint32_t l = 0; l < set->n; l++)
                    __atomic_store_n(&set->links[l]->to, h, __ATOMIC_SEQ_CST);
                rki_retire_in(own, h->acts[0]->bound, o->wiring->gen->plan, set);
            }
        }
        if (own && (own->n_closes || own->n_retires) && o->wiring->oldest < own->oldest)
            own->oldest = o->wiring->oldest;
    }
}

// With the lock: it is nobody's in the plan any more.  What is left of it drains.
static void remove_state(rki_run *r, const rki_job *j, rki_kstate *k)
{
    k->gone = true;
    k->next_gone = r->gone;
    r->gone = k;
    k->parts = k->alive = 0;
    for (uint32_t i = 0; i < j->n_removed; i++)
        for (uint32_t s = 0; s < j->removed[i]->n_stages; s++)
            if (j->removed[i]->acts[s]->ks == k) {
                k->parts++;
                k->alive += !rki_runner_ended(j->removed[i]);
            }
    rki_life_leave(r, k);
}

static void begin_states(rki_run *r, rki_job *j)
{
    pthread_mutex_lock(&r->lock);
    for (uint32_t i = 0; i < j->diff->from->n_kernels; i++)
        if (j->diff->old_kernels[i] < 0)
            remove_state(r, j, j->old->ks[i]);
    for (uint32_t i = 0; i < r->plan->n_kernels; i++)
        r->ks[i]->parts = r->ks[i]->alive = 0;
    for (uint32_t i = 0; i < r->n_runners; i++)
        for (uint32_t s = 0; s < r->runners[i]->n_stages; s++) {
            r->runners[i]->acts[s]->ks->parts++;
            r->runners[i]->acts[s]->ks->alive += !rki_runner_ended(r->runners[i]) || rki_job_new_runner(j, i);
        }
    for (uint32_t i = 0; i < r->plan->n_kernels; i++)
        if (j->diff->kernels[i].change == RKI_ADD)
            rki_life_begin(r, i);
    pthread_mutex_unlock(&r->lock);
}

static void take_from_gone(rki_run *r, const rki_net *net)
{
    for (uint32_t i = 0; i < net->gen->plan->n_kernels; i++)
        for (rki_kstate **at = &r->gone; *at; at = &(*at)->next_gone)
            if (*at == net->ks[i]) {
                *at = net->ks[i]->next_gone;
                net->ks[i]->gone = false;
                net->ks[i]->next_gone = NULL;
                break;
            }
}

// Whoever fills a new ring of an order begins above what its reader has delivered (which has stopped: plan/diff.c), as who was left
// behind does.
static void begin_orders(const rki_net *g)
{
    for (uint32_t i = 0; i < g->n_links; i++) {
        rki_link *k = g->links[i];
        if (g->shared[i] || !k->hlc)
            continue;
        __atomic_store_n(&k->frontier, rki_to(k)->front_stamp, __ATOMIC_RELAXED);
        __atomic_store_n(&k->excluded, 1, __ATOMIC_SEQ_CST);
    }
}

static void start_new(rki_run *r, rki_job *j)
{
    for (uint32_t i = 0; i < r->n_runners; i++) {
        rki_runner *run = r->runners[i];
        if (!rki_job_new_runner(j, i))
            continue;
        if (r->leased && run->clock.last < r->lease.start)
            run->clock.last = r->lease.start;
        rki_mark_following(j->net->wirings[i]);
        if (j->net->wirings[i]->failed)
            rki_fail_run(run->acts[0], RKP_NOMEM, "out of memory while a reload changes its inputs");
        rki_put_on(run, j->net->wirings[i]);
        if (run->hlc_out)
            rki_clock_leave(run);
        j->net->wirings[i] = NULL;
        for (uint32_t s = 0; s < run->n_stages; s++) {
            rkp_actor *a = run->acts[s];
            uint32_t state = RKI_LOOK(a->ks->state);
            bool waits = state == RKI_SUSPENDED || state == RKI_LAUNCHED;
            a->suspended = waits;
            run->n_suspended += waits;
            run->watched |= a->bound->k->timeout_ns != 0;
            if (!rki_life_of(a))
                rki_fail_run(a, RKP_NOMEM, "out of memory");
        }
    }
}

// Nothing can fail from here on but memory for the backend's table, which ends the run.
static void commit(rki_run *r, rki_job *j)
{
    size_t n = 0;
    j->old = r->net;
    pthread_rwlock_wrlock(&r->graph_lock); // others look at runners and their actors
    for (uint32_t i = 0; i < j->n_stopping; i++)
        rki_clock_close(j->stopping[i]);
    number_new(r, j);
    hand_sets_over(j);
    hand_over(j);
    pthread_mutex_lock(&r->build_lock);
    take_from_gone(r, j->net);
    pthread_mutex_unlock(&r->build_lock);
    for (uint32_t i = 0; i < j->n_stopping; i++)
        for (uint32_t s = 0; s < j->stopping[i]->n_stages; s++)
            if (j->stopping[i]->acts[s])
                rki_add_past(j->stopping[i]->acts[s]->ks, j->stopping[i]->acts[s]);
    rki_net_place(r, j->net);
    begin_orders(j->net);
    __atomic_store_n(&r->number, j->gen->number,
                     __ATOMIC_RELAXED); // seen by who sees a wiring of it, or what one of those sends
    j->gen->next = r->gens;
    r->gens = j->gen;
    begin_states(r, j);
    start_new(r, j);
    rki_find_engine(r);
    pthread_mutex_lock(&r->lock);
    for (uint32_t i = 0; i < j->n_stopping; i++) // after their successors, so that it is never none in between
        rki_life_counts(j->stopping[i], false);
    pthread_mutex_unlock(&r->lock);
    for (uint32_t e = 0, i = 0; i < j->old->n_links; i++) {
        const rki_plan *p = j->diff->from;
        while (e + 1 < p->n_edges && j->old->first_link[e + 1] <= i)
            e++;
        if (!stays_link(j, j->old->links[i]))
            rki_leave(r, j->old->links[i], j->old->ks[p->stages[p->edges[e].from_stage].kernel],
                      j->old->ks[p->stages[p->edges[e].to_stage].kernel]);
    }
    pthread_rwlock_unlock(&r->graph_lock);
    for (uint32_t i = 0; i < j->n_stopping; i++) {
        // A read-modify-write on the word of each: see rki_wake_to.
        __atomic_fetch_or(&j->stopping[i]->task.state, 0, __ATOMIC_SEQ_CST);
        __atomic_fetch_and(&j->stopping[i]->out_waiting, 0, __ATOMIC_SEQ_CST);
        r->backend->forget(r->b, &j->stopping[i]->task);
        rki_bury(r, j->stopping[i]);
    }
    for (uint32_t i = 0; i < r->n_runners; i++) {
        rki_runner *run = r->runners[i];
        if (rki_job_new_runner(j, i)) {
            j->tasks[n++] = &run->task;
        } else if (rki_runner_ended(run)) {
            __atomic_store_n(&run->next, j->net->wirings[i], __ATOMIC_RELEASE);
            rki_adopt(run);
        } else {
            __atomic_store_n(&run->next, j->net->wirings[i], __ATOMIC_RELEASE);
        }
        j->net->wirings[i] = NULL;
    }
    for (uint32_t i = 0; i < j->n_resting; i++) {
        __atomic_store_n(&j->resting[i]->stop, RKI_STOP_NO, __ATOMIC_RELEASE);
        if (rki_runner_ended(j->resting[i]))
            continue;
        r->backend->forget(r->b, &j->resting[i]->task);
        j->tasks[n++] = &j->resting[i]->task;
    }
    if (n && r->backend->add(r->b, j->tasks, n) != RKP_OK) {
        pthread_mutex_lock(&r->lock);
        snprintf(r->failure, sizeof r->failure, "out of memory while a reload begins its kernels");
        r->fail_status = RKP_NOMEM;
        pthread_mutex_unlock(&r->lock);
        __atomic_store_n(&r->failed, 1, __ATOMIC_SEQ_CST);
    }
    for (uint32_t i = 0; i < r->n_runners; i++)
        rki_wake_runner(r->runners[i]);
}

// Of kernels that are not in the new plan, or begin anew: what they have written is complete.
static void finish_sinks(rki_run *r, rki_job *j)
{
    for (uint32_t i = 0; i < j->n_stopping; i++)
        for (uint32_t s = 0; s < j->stopping[i]->n_stages; s++) {
            rkp_actor *a = j->stopping[i]->acts[s];
            if (!a)
                continue;
            rki_finish_sink(r, a);
            rki_actor_end(a); // batches of its own, a table, would keep their time from being over
        }
}

// Kernels of stopped runners that are in no plan any more give on what they hold, to those that were behind them.
static void say_last_words(rki_job *j)
{
    for (uint32_t i = 0; i < j->n_stopping; i++)
        for (uint32_t s = 0; s < j->stopping[i]->n_stages; s++) {
            rkp_actor *a = j->stopping[i]->acts[s];
            const rki_stage *st = &j->diff->from->stages[j->diff->from->actors[j->stopping[i]->index].stages[s]];
            if (j->diff->old_kernels[st->kernel] < 0 && a->stage->role == RKI_WHOLE && !a->ended && !a->stopped)
                rki_last_words(a);
        }
}

void rki_swap_begin(rki_run *r, rki_job *j, uint64_t now)
{
    j->stop_ns = now;
    j->deadline_ns = now + r->plan->spec->reload.quiesce_ns;
    ask_to_stop(r, j);
}

// How long the kernels of each runner stood, from its last message to its successor's first step.
static void tell_pauses(rki_job *j)
{
    uint64_t now = rki_mono_ns();
    const rki_runner *o;
    rki_json w;
    rki_json_init(&w, &j->out->pauses, 0);
    rki_json_object(&w);
    for (uint32_t i = 0; (o = halting(j, i)); i++) {
        uint64_t ns = now - o->stopped_ns, us = ns / 1000u;
        if (ns > j->out->pause_ns)
            j->out->pause_ns = ns;
        if (o->replica)
            continue;
        rki_json_put_f64(&w, j->diff->from->actors[o->index].name, (double)us / 1000.0);
    }
    rki_json_end_object(&w);
}

// True: not all have stopped yet.  *job becomes NULL when it is over.
bool rki_swap_look(rki_run *r, rki_job **job, uint64_t now, uint64_t *until)
{
    rki_job *j = *job;
    const rki_runner *gone = NULL;
    bool all = all_stopped(j, &gone);
    if (gone || (!all && now >= j->deadline_ns)) {
        size_t n = 0;
        const rki_runner *o;
        for (uint32_t i = 0; !gone && (o = halting(j, i)); i++)
            if (__atomic_load_n(&o->stop, __ATOMIC_ACQUIRE) != RKI_STOP_DONE && n < sizeof j->out->text - 80)
                n += (size_t)snprintf(j->out->text + n, sizeof j->out->text - n, "%s'%.60s'", n ? ", " : "",
                                      o->acts[0]->bound->k->id.p);
        if (gone)
            snprintf(j->out->text, sizeof j->out->text, "kernel '%s' has ended meanwhile; try again",
                     gone->acts[0]->bound->k->id.p);
        else
            snprintf(j->out->text + n, sizeof j->out->text - n,
                     " came to no batch boundary within reload.quiesce_timeout");
        take_back(r, j);
        rki_job_over(r, j, gone ? RKI_RELOAD_REJECTED : RKI_RELOAD_TIMED_OUT);
        *job = NULL;
        return false;
    }
    if (!all) {
        uint64_t next = now + 1000000u < j->deadline_ns ? now + 1000000u : j->deadline_ns;
        *until = !*until || next < *until ? next : *until;
        return true;
    }
    if (rki_job_fails(j->out, "reload.hand_over") || !carry_all(j) || rki_job_fails(j->out, "reload.commit")) {
        take_back(r, j);
        rki_job_over(r, j, RKI_RELOAD_REJECTED);
        *job = NULL;
        return false;
    }
    say_last_words(j);
    j->commit_ns = rki_mono_ns();
    j->out->quiesce_ns = j->commit_ns - j->stop_ns;
    commit(r, j);
    rki_failpoint("reload.committed");
    tell_pauses(j);
    j->out->commit_ns = rki_mono_ns() - j->commit_ns;
    j->out->generation = r->number;
    finish_sinks(r, j);
    rki_see_off(r, j);
    rki_failpoint("reload.retired");
    rki_ckpt_changed(r);
    rki_next_epoch(r);
    pthread_mutex_lock(&r->lock);
    j->phase = RKI_JOB_ADOPTING;
    pthread_mutex_unlock(&r->lock);
    return false;
}
