// run/ckpt_restore.c - checkpoints: a run goes on from one.  What it says must fit the pipeline, or it is refused with what to do.
#include "run/ckpt.h"

#include "plan/diff.h"
#include <stdio.h>

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

bool rki_ckpt_refuse(rkp_status *st, char *err, size_t n, const char *fmt, const char *what)
{
    *st = RKP_UNAVAILABLE;
    snprintf(err, n, fmt, what);
    return false;
}

// Alerts are no part of what a checkpoint is of: they may come, change and go from one run to the next.
bool rki_ckpt_of_alert(const rki_record *v)
{
    const size_t n = sizeof RKI_WATCH_ID - 1;
    return v->kernel.n > n && memcmp(v->kernel.p, RKI_WATCH_ID, n) == 0;
}

static bool same_kernel(const rki_record *v, const char *id)
{
    return v->kernel.n == strlen(id) && memcmp(v->kernel.p, id, v->kernel.n) == 0;
}

// Of a pipeline before a reload: the record of a stage that begins anew all the same, because its state would not fit.
static bool begins_anew(const struct rki_ckpt *c, const rkp_actor *a, const rki_record *v)
{
    return c->moved && rki_ckpt_saves(a) && v->form != rki_form_of(a->bound, a->run->plan->spec);
}

#define EARLIER "run that form once more, or begin anew with --fresh"

// What a reload would have done with kernels that are changed or gone, and that nobody is there for to do it any more.
bool rki_ckpt_may_move(const rki_run *r, rkp_status *st, char *err, size_t n)
{
    const struct rki_ckpt *c = r->ckpt;
    const rki_plan *p = r->plan;
    for (size_t i = 0; i < c->from.n; i++) {
        const rki_record *v = &c->from.v[i];
        char id[128];
        const rki_bound *b = NULL;
        if (rki_ckpt_of_alert(v))
            continue;
        snprintf(id, sizeof id, RKP_STR_FMT, RKP_STR_ARG(v->kernel));
        for (uint32_t k = 0; k < p->n_kernels && !b; k++)
            if (same_kernel(v, p->kernels[k].k->id.p))
                b = &p->kernels[k];
        if (v->role == RKI_MANIFEST_QUEUES && v->state.n > RKI_MANIFEST_NO_QUEUES)
            return rki_ckpt_refuse(
                st, err, n,
                "the checkpoint has rows on their way to kernel '%s' in an earlier form of the pipeline: " EARLIER, id);
        if (!v->state.n || v->role >= RKI_N_ROLES || (b && v->form == rki_form_of(b, p->spec)))
            continue;
        if (b && b->k->op->kind != RKP_SINK && p->spec->reload.keep_state == RKI_KEEP_RESET)
            continue;
        if (!b && !v->keeps_rows && !v->publishes)
            continue; // a source that reads no more, a sink that is complete
        return rki_ckpt_refuse(
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
        if (c->from.v[i].role < RKI_N_ROLES && same_kernel(&c->from.v[i], a->bound->k->id.p) && rki_ckpt_saves(a))
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
            *st = rki_past_get(r, &r->ks[k]->past, c->from.v[i].counts);
            if (*st != RKP_OK)
                return rki_ckpt_refuse(st, err, n, "the checkpoint of kernel '%s' cannot be read; --fresh begins anew",
                                       r->ks[k]->id);
        }
    return true;
}

// One that puts in order what replicas made may have come with an alert, which is no part of the checkpoint: everything that they had made
// has passed.
static bool gathers_now(const struct rki_ckpt *c, rkp_actor *a)
{
    if (a->stage->role != RKI_GATHER)
        return false;
    for (size_t i = 0; i < c->from.n; i++) {
        const rki_record *v = &c->from.v[i];
        uint64_t rows = same_kernel(v, a->bound->k->id.p) && (v->role == RKI_WHOLE || v->role == RKI_DECODE)
                            ? rki_counts_rows_out(v->counts)
                            : 0;
        a->counts.rows_in += rows;
        a->counts.rows_out += rows;
    }
    return true;
}

// Counts of all stages, on the control thread; and whether there is a record for each.
static bool go_on_counts(rki_run *r, rkp_status *st, char *err, size_t n)
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
            if (!v && ((c->moved && !of_other_replicas(c, a)) || a->op == &rki_op_watch))
                continue; // it has come with the reload
            if (!v && gathers_now(c, a))
                continue;
            if (!v && (rki_ckpt_saves(a) || run->replica == 0))
                return rki_ckpt_refuse(st, err, n, "the checkpoint knows nothing of kernel '%s'; --fresh begins anew",
                                       a->bound->k->id.p);
            if (v && (v->version != a->op->state_version || v->op.n != strlen(a->op->name) ||
                      memcmp(v->op.p, a->op->name, v->op.n) != 0))
                return rki_ckpt_refuse(
                    st, err, n,
                    "the checkpoint of kernel '%s' is of another operator, or another version of it; --fresh "
                    "begins anew",
                    a->bound->k->id.p);
            for (; v; v = run->replica == 0 ? record_of(c, a, more++) : NULL) {
                if (v->replica && v->replica >= run->plan->replicas && rki_ckpt_saves(a))
                    return rki_ckpt_refuse(st, err, n,
                                           "the checkpoint has more replicas of kernel '%s'; --fresh begins anew",
                                           a->bound->k->id.p);
                *st = rki_counts_get(a, v->counts);
                if (*st != RKP_OK)
                    return rki_ckpt_refuse(st, err, n,
                                           "the checkpoint of kernel '%s' cannot be read; --fresh begins anew",
                                           a->bound->k->id.p);
            }
        }
    }
    return true;
}

bool rki_ckpt_go_on(rki_run *r, rkp_status *st, char *err, size_t n)
{
    return go_on_counts(r, st, err, n) && rki_ckpt_go_on_queues(r, st, err, n) && restore_pasts(r, st, err, n);
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
    if (!rki_ckpt_saves(a) || (v->ended && a->op->kind == RKP_TRANSFORM))
        return true;
    rki_load_begin(&l, v->state.p, v->state.n);
    st = a->op->restore(a->self, a, &l);
    if (rki_halted(a->r))
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
