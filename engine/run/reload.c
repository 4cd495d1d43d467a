// run/reload.c - another plan takes the place of the one that runs (RELIABILITY.md 3.2, docs/design/reload.md).
//
//   requester   prepare: compare, build the new graph beside the old one, make and begin its new instances
//   control     stop: kernels that are replaced come to a batch boundary         -- any failure up to here takes everything back
//               hand over: instances move, or their state does
//               commit: links get their new ends, runners that stay get a new wiring, the new ones begin
//   runners     adopt: each puts its new wiring on between two messages
//   control     retire: what was removed gives on what it has, and goes; memory goes when no batch of its time is left
//
// A ring whose edge stays goes on with new runners at its ends.  A ring whose edge goes is brought to its end: by who fills it, if that one stays
// or drains, else by its successor; and read to its end by who reads it, before anything that is new there.
#include "run/reload.h"

#include "base/failpoint.h"
#include "base/json.h"
#include "data/pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

bool rki_reload_open(rki_run *r)
{
    r->reload = calloc(1, sizeof *r->reload);
    return r->reload != NULL;
}

bool rki_job_fails(rki_reload_result *out, const char *step)
{
    if (!rki_failpoint(step))
        return false;
    snprintf(out->text, sizeof out->text, "%s was made to fail", step);
    return true;
}

// ---- prepare --------------------------------------------------------------------------------------------------------

static rki_runner *old_runner(const rki_run *r, uint32_t actor, uint32_t replica)
{
    return r->runners[r->net->first_runner[actor] + replica];
}

// Where the new file speaks of a kernel of the old one: there, or of all kernels.
static rkp_loc place_of(const rki_diff *f, uint32_t old)
{
    int32_t at = f->old_kernels[old];
    if (at >= 0)
        return f->to->kernels[at].k->at;
    return f->to->n_kernels ? f->to->kernels[0].k->at : (rkp_loc){ 0 };
}

static bool unsupported(rkp_diags *d, rkp_loc at, const char *what, const char *id)
{
    rkp_diag(d, RKP_ERROR, at, "reload-unsupported", "kernel '%s' %s, and a reload cannot change that yet", id, what);
    rkp_diag_hint(d, "stop the pipeline and start it again with the new file");
    return false;
}

// Of a stage of the new plan: -1 it is new, else whether the actor of the old plan that has it has ended.
static int has_ended(const rki_run *r, const rki_diff *f, uint32_t stage)
{
    const rki_stage *t = &f->to->stages[stage];
    int32_t old = f->kernels[t->kernel].old;
    for (uint32_t i = 0; old >= 0 && i < f->from->n_actors; i++)
        for (uint32_t s = 0; s < f->from->actors[i].n_stages; s++) {
            const rki_stage *x = &f->from->stages[f->from->actors[i].stages[s]];
            if (x->kernel == (uint32_t)old && x->role == t->role)
                return rki_runner_over(old_runner(r, i, 0));
        }
    return -1;
}

// Nobody reads what comes to a kernel that has ended.
static bool new_at_the_ended(const rki_run *r, const rki_diff *f, rkp_diags *d)
{
    for (uint32_t i = 0; i < f->to->n_edges; i++) {
        const rki_edge *e = &f->to->edges[i];
        int from = has_ended(r, f, e->from_stage), to = has_ended(r, f, e->to_stage);
        const rki_kernel *k = f->to->kernels[f->to->stages[e->to_stage].kernel].k;
        if (f->edges[i] >= 0 || to != 1 || (from == 1 && f->actors[e->to_actor] < 0))
            continue;
        rkp_diag(d, RKP_ERROR, k->at, "reload-unsupported", "kernel '%s' has ended, so it cannot be wired to others",
                 k->id.p);
        rkp_diag_hint(d, "give the kernel that shall take its place another name");
        return true;
    }
    return false;
}

static bool plain_edge(const rki_edge *e, rkp_loc at, const char *id, rkp_diags *d)
{
    return !e->circle || unsupported(d, at, "lies on a circle", id);
}

// A chain on a device stays as it is: its grid is not made anew while it runs.
static bool device_touched(const rki_diff *f, rkp_diags *d)
{
    for (uint32_t i = 0; i < f->to->n_actors + f->from->n_actors; i++) {
        bool old = i >= f->to->n_actors;
        uint32_t at = old ? i - f->to->n_actors : i;
        const rki_plan *p = old ? f->from : f->to, *q = old ? f->to : f->from;
        int32_t other = old ? f->old_actors[at] : f->actors[at];
        const rki_kernel *k = p->kernels[p->stages[p->actors[at].stages[0]].kernel].k;
        if (!p->actors[at].device || (other >= 0 && q->actors[other].device && !(old && f->stops[at])))
            continue;
        rkp_diag(d, RKP_ERROR, old ? place_of(f, p->stages[p->actors[at].stages[0]].kernel) : k->place_at,
                 "reload-unsupported",
                 "kernel '%s' runs on a device, and a reload cannot add, change or remove that yet", k->id.p);
        rkp_diag_hint(d, "stop the run, and start it with the new file");
        return true;
    }
    return false;
}

// What this way of reloading leaves out.
static bool supported(const rki_run *r, const rki_diff *f, rkp_diags *d)
{
    if (new_at_the_ended(r, f, d) || device_touched(f, d))
        return false;
    for (uint32_t i = 0; i < f->from->n_edges; i++) {
        const rki_edge *e = &f->from->edges[i];
        uint32_t k = f->from->stages[e->to_stage].kernel;
        bool touched = f->old_edges[i] < 0 || f->stops[e->from_actor] || f->stops[e->to_actor];
        if (touched && !plain_edge(e, place_of(f, k), f->from->kernels[k].k->id.p, d))
            return false;
    }
    for (uint32_t i = 0; i < f->to->n_edges; i++) {
        const rki_edge *e = &f->to->edges[i];
        const rki_kernel *k = f->to->kernels[f->to->stages[e->to_stage].kernel].k;
        if (f->edges[i] < 0 && !plain_edge(e, k->at, k->id.p, d))
            return false;
    }
    for (uint32_t i = 0; i < f->from->n_actors; i++) {
        const rki_bound *k = f->stops[i] ? rki_job_too_late(f, i) : NULL;
        for (uint32_t j = 0; k && j < f->from->actors[i].replicas; j++)
            if (rki_runner_over(old_runner(r, i, j))) {
                rkp_diag(d, RKP_ERROR, place_of(f, k->index), "reload-unsupported",
                         "kernel '%s' has ended, so it cannot be changed", k->k->id.p);
                rkp_diag_hint(d, "remove it, or give the changed kernel another name");
                return false;
            }
    }
    return true;
}

static void add_more(rki_more *m, const rki_wiring *w)
{
    m->ins += w->n_ins;
    m->outs += w->n_outs;
    m->ends += w->n_ends;
}

// Some stage of the old actor goes on in the new one.
static bool goes_on_in(const rki_diff *f, uint32_t old, uint32_t actor)
{
    const rki_pactor *a = &f->from->actors[old], *b = &f->to->actors[actor];
    for (uint32_t s = 0; s < a->n_stages; s++)
        for (uint32_t t = 0; t < b->n_stages; t++) {
            const rki_stage *x = &f->from->stages[a->stages[s]], *y = &f->to->stages[b->stages[t]];
            if (x->role == y->role && f->kernels[y->kernel].old == (int32_t)x->kernel)
                return true;
        }
    return false;
}

// Of a runner that stays its own; of a new one, of everybody whose heir it may be.
static bool find_more(rki_run *r, rki_job *j)
{
    const rki_diff *f = j->diff;
    rki_more *more = rki_array(&j->arena, f->to->n_actors + 1u, sizeof *more);
    j->stays.more = more;
    for (uint32_t i = 0; more && i < f->to->n_actors; i++)
        for (uint32_t o = 0; o < f->from->n_actors; o++) {
            uint32_t first = r->net->first_runner[o];
            if (f->actors[i] >= 0 ? f->actors[i] != (int32_t)o : !f->stops[o] || !goes_on_in(f, o, i))
                continue;
            for (uint32_t n = 0; n < f->from->actors[o].replicas; n++)
                add_more(&more[i], r->runners[first + n]->wiring);
        }
    return more != NULL;
}

static bool find_stays(rki_run *r, rki_job *j)
{
    const rki_diff *f = j->diff;
    rki_runner *const **runners = rki_array(&j->arena, f->to->n_actors + 1u, sizeof *runners);
    rki_link *const **links = rki_array(&j->arena, f->to->n_edges + 1u, sizeof *links);
    rki_kstate **ks = rki_array(&j->arena, f->to->n_kernels + 1u, sizeof *ks);
    if (!runners || !links || !ks)
        return false;
    for (uint32_t i = 0; i < f->to->n_actors; i++)
        runners[i] = f->actors[i] >= 0 ? r->runners + r->net->first_runner[f->actors[i]] : NULL;
    for (uint32_t i = 0; i < f->to->n_edges; i++)
        links[i] = f->edges[i] >= 0 ? r->links + r->net->first_link[f->edges[i]] : NULL;
    for (uint32_t i = 0; i < f->to->n_kernels; i++)
        ks[i] = f->kernels[i].old >= 0 ? r->ks[f->kernels[i].old] : NULL;
    j->stays = (rki_stays){ .runners = runners, .links = links, .ks = ks };
    return find_more(r, j);
}

// Memory for what may not fail any more.
static bool reserve(rki_run *r, rki_job *j)
{
    pthread_mutex_lock(&r->lock); // nobody else adds to them while this one is at work
    j->cap_going = r->reload->n_going + j->n_removed;
    pthread_mutex_unlock(&r->lock);
    j->going = calloc(j->cap_going + 1u, sizeof(rki_runner *));
    j->tasks = rki_array(&j->arena, j->net->n_runners + j->n_removed + 1u, sizeof(rkp_task *));
    return j->going && j->tasks;
}

bool rki_job_new_runner(const rki_job *j, uint32_t i)
{
    return j->net->runners[i]->gen == j->gen;
}

// The actor of the old graph that had this stage, in a runner that stops.
static rkp_actor *origin_of(const rki_run *r, const rki_job *j, const rki_runner *run, const rkp_actor *a)
{
    int32_t old = j->diff->kernels[a->stage->kernel].old;
    for (uint32_t i = 0; old >= 0 && i < r->n_runners; i++) {
        const rki_runner *o = r->runners[i];
        if (!j->diff->stops[o->index] || (o->replica != run->replica))
            continue;
        for (uint32_t s = 0; s < o->n_stages; s++)
            if (o->acts[s]->ks == r->ks[old] && o->acts[s]->stage->role == a->stage->role)
                return o->acts[s];
    }
    return NULL;
}

static bool begin_instance(rkp_actor *a, rkp_diags *d)
{
    rki_prepare p = { .st = RKP_OK };
    rkp_status st = RKP_NOMEM;
    a->r->prepare = &p;
    if (rki_new_instance(a)) {
        st = a->op->init && !a->muted ? a->op->init(a->self, a) : RKP_OK;
        a->inited = true;
    }
    a->r->prepare = NULL;
    if (st == RKP_OK && p.st == RKP_OK)
        return true;
    rkp_diag(d, RKP_ERROR, a->bound->k->at, "reload-start", "kernel '%s' cannot start: %s", a->bound->k->id.p,
             p.text[0]         ? p.text
             : st == RKP_NOMEM ? "out of memory"
                               : "its operator refused");
    return false;
}

// After an instance was made, which may take long (a table, a model).
static bool in_time(rki_job *j, const rkp_actor *a)
{
    uint64_t most = j->gen->plan->spec->reload.prepare_ns;
    if (rki_mono_ns() - j->begin_ns <= most)
        return true;
    snprintf(j->out->text, sizeof j->out->text,
             "the new generation was not built within reload.prepare_timeout (at '%s')", a->bound->k->id.p);
    j->out->outcome = RKI_RELOAD_TIMED_OUT;
    return false;
}

static bool make_instances(rki_run *r, rki_job *j, rkp_diags *d)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < j->net->n_runners; i++)
        n += j->net->runners[i]->n_stages;
    j->origins = rki_array(&j->arena, n + 1u, sizeof *j->origins);
    j->first_origin = rki_array(&j->arena, j->net->n_runners + 1u, sizeof *j->first_origin);
    if (!j->origins || !j->first_origin)
        return false;
    n = 0;
    for (uint32_t i = 0; i < j->net->n_runners; i++) {
        rki_runner *run = j->net->runners[i];
        j->first_origin[i] = n;
        if (!rki_job_new_runner(j, i)) {
            n += run->n_stages;
            continue;
        }
        if (!rki_ckpt_join(run))
            return false;
        for (uint32_t s = 0; s < run->n_stages; s++, n++) {
            rkp_actor *a = run->acts[s];
            const rki_kernel_diff *k = &j->diff->kernels[a->stage->kernel];
            rki_origin *o = &j->origins[n];
            o->from = origin_of(r, j, run, a);
            o->moves = o->from && k->change <= RKI_RETUNE;
            o->carries = o->from && k->change == RKI_REPLACE && k->carries;
            if (!o->moves && (!begin_instance(a, d) || !in_time(j, a)))
                return false;
        }
    }
    return true;
}

static bool find_old(rki_run *r, rki_job *j)
{
    j->stopping = rki_array(&j->arena, r->n_runners + 1u, sizeof(rki_runner *));
    j->removed = rki_array(&j->arena, r->n_runners + 1u, sizeof(rki_runner *));
    j->resting = rki_array(&j->arena, r->n_runners + 1u, sizeof(rki_runner *));
    if (!j->stopping || !j->removed || !j->resting)
        return false;
    for (uint32_t i = 0; i < r->n_runners; i++) {
        rki_runner *o = r->runners[i];
        uint32_t actor = UINT32_MAX;
        for (uint32_t k = 0; k < j->diff->from->n_actors; k++)
            if (r->net->first_runner[k] <= i)
                actor = k;
        o->index = actor; // of the plan that runs; its own plan may be older
        if (j->diff->halts[actor] && !j->diff->stops[actor])
            j->resting[j->n_resting++] = o;
        if (j->diff->stops[actor])
            j->stopping[j->n_stopping++] = o;
        else if (j->diff->old_actors[actor] < 0)
            j->removed[j->n_removed++] = o;
    }
    return true;
}

static void job_free(rki_run *r, rki_job *j)
{
    if (!j)
        return;
    if (j->net) {
        pthread_mutex_lock(&r->build_lock);
        rki_net_free(r, j->net, &j->stays);
        pthread_mutex_unlock(&r->build_lock);
    }
    rki_diff_free(j->diff);
    if (j->gen) {
        if (j->gen->drop)
            j->gen->drop(j->gen->drop_arg);
        free(j->gen);
    }
    free(j->going);
    rki_arena_fini(&j->arena);
    free(j);
}

static rki_job *prepare(rki_run *r, rki_gen *gen, rkp_diags *d, rki_reload_result *out)
{
    rki_job *j = calloc(1, sizeof *j);
    bool ok;
    if (!j) {
        if (gen->drop)
            gen->drop(gen->drop_arg);
        free(gen);
        return NULL;
    }
    rki_arena_init(&j->arena);
    j->gen = gen;
    j->out = out;
    j->begin_ns = rki_mono_ns();
    if (!rki_job_fails(out, "reload.diff"))
        j->diff = rki_diff_new(r->plan, gen->plan, r->ckpt != NULL, d);
    ok = j->diff && find_old(r, j) && !rki_job_fails(out, "reload.admit") && supported(r, j->diff, d);
    if (ok) {
        rki_json w;
        rki_json_init(&w, &out->diff, 0);
        rki_diff_json(j->diff, &w);
        ok = find_stays(r, j) && !rki_job_fails(out, "reload.build");
    }
    if (ok) {
        pthread_mutex_lock(&r->build_lock);
        j->net = rki_net_new(r, gen, &j->stays);
        pthread_mutex_unlock(&r->build_lock);
        ok = j->net && !rki_job_fails(out, "reload.warm") && make_instances(r, j, d) && reserve(r, j) &&
             !rki_job_fails(out, "reload.warmed");
    }
    if (ok)
        return j;
    job_free(r, j);
    return NULL;
}

// ---- at work ---------------------------------------------------------------------------------------------------------

static void free_old_net(rki_job *j)
{
    rki_arena_fini(&j->old->arena);
    free(j->old);
    j->old = NULL;
}

void rki_job_over(rki_run *r, rki_job *j, rki_reload_outcome outcome)
{
    pthread_mutex_lock(&r->lock);
    r->reload->job = NULL; // it is the requester's from here on
    j->out->outcome = outcome;
    j->phase = RKI_JOB_OVER;
    pthread_cond_broadcast(&r->obeyed);
    pthread_mutex_unlock(&r->lock);
}

static void adopting_look(rki_run *r, rki_job *j, uint64_t *until, uint64_t now)
{
    rki_json w;
    bool all = true;
    for (uint32_t i = 0; i < r->n_runners; i++) {
        rki_runner *run = r->runners[i];
        // Acquire, from rki_adopt: it uses nothing of the old one any more.
        if (__atomic_load_n(&run->next, __ATOMIC_ACQUIRE)) {
            if (!rki_runner_over(run)) {
                all = false;
                continue;
            }
            rki_adopt(run);
        }
        if (run->worn) {
            rki_wiring_free(run->worn);
            run->worn = NULL;
        }
    }
    if (!all) {
        *until = !*until || now + 1000000u < *until ? now + 1000000u : *until;
        return;
    }
    j->out->grace_ns = rki_mono_ns() - j->commit_ns - j->out->commit_ns;
    rki_json_init(&w, &j->out->edges, 0);
    rki_edges_json(&w, r);
    free_old_net(j);
    rki_job_over(r, j, RKI_RELOAD_APPLIED);
}

static void say_what_is_under_way(const rki_run *r, bool wished, rki_reload_result *out)
{
    const char *id = wished ? NULL : rki_ckpt_waits_for(r);
    snprintf(out->text, sizeof out->text, "%s is under way and did not end within reload.quiesce_timeout%s%s%s",
             wished ? "a command to a kernel" : "a checkpoint", id ? ": it waits for kernel '" : "", id ? id : "",
             id ? "', which is suspended" : "");
}

bool rki_reload_look(rki_run *r, uint64_t now, uint64_t *until)
{
    struct rki_reload *x = r->reload;
    rki_job *j;
    bool stopping = false, wished = false, asked = false, ending = false, begins = false;
    pthread_mutex_lock(&r->lock);
    j = x->job;
    if (j && j->phase == RKI_JOB_ASKED) {
        asked = true;
        for (uint32_t i = 0; i < r->plan->n_kernels; i++)
            wished |= r->ks[i]->wished;
        ending = __atomic_load_n(&r->signals, __ATOMIC_SEQ_CST) || __atomic_load_n(&r->stopping, __ATOMIC_SEQ_CST) ||
                 rki_failed(r);
        begins = !ending && !wished && rki_ckpt_idle(r);
        if (begins) // commands wait from here on
            j->phase = RKI_JOB_STOPPING;
    }
    pthread_mutex_unlock(&r->lock);
    if (asked && !j->asked_ns)
        j->asked_ns = now;
    if (asked) {
        if (ending) {
            snprintf(j->out->text, sizeof j->out->text, "the run is ending");
            rki_job_over(r, j, RKI_RELOAD_REJECTED);
            j = NULL;
        } else if (begins) {
            if (!rki_job_fails(j->out, "reload.intend") &&
                rki_ckpt_intend(r, j->gen->plan, j->out->text, sizeof j->out->text) &&
                !rki_job_fails(j->out, "reload.stop")) {
                rki_swap_begin(r, j, now);
            } else {
                rki_job_over(r, j, RKI_RELOAD_REJECTED);
                j = NULL;
            }
        } else if (now - j->asked_ns >= j->gen->plan->spec->reload.quiesce_ns) {
            say_what_is_under_way(r, wished, j->out);
            rki_job_over(r, j, RKI_RELOAD_TIMED_OUT);
            j = NULL;
        } else {
            *until = !*until || now + 1000000u < *until ? now + 1000000u : *until;
        }
    }
    if (j && j->phase == RKI_JOB_STOPPING) {
        if (rki_failed(r)) {
            snprintf(j->out->text, sizeof j->out->text, "the run is ending");
            rki_job_over(r, j, RKI_RELOAD_REJECTED);
            j = NULL;
        } else {
            stopping = rki_swap_look(r, &j, now, until);
        }
    }
    if (j && j->phase == RKI_JOB_ADOPTING)
        adopting_look(r, j, until, now);
    if (!stopping)
        rki_reap(r, now, until);
    return stopping;
}

// With the run's lock.
bool rki_reload_at_work(const rki_run *r)
{
    return r->reload->job && (r->reload->job->phase == RKI_JOB_STOPPING || r->reload->job->phase == RKI_JOB_ADOPTING);
}

bool rki_reload_under_way(rki_run *r)
{
    bool any;
    pthread_mutex_lock(&r->lock);
    any = r->reload->job != NULL;
    pthread_mutex_unlock(&r->lock);
    return any;
}

void rki_reload_end(rki_run *r)
{
    rki_job *j = r->reload->job;
    if (j) {
        if (j->phase == RKI_JOB_ADOPTING) { // it holds, and nobody runs any more
            for (uint32_t i = 0; i < r->n_runners; i++) {
                rki_adopt(r->runners[i]);
                rki_wiring_free(r->runners[i]->worn);
                r->runners[i]->worn = NULL;
            }
            free_old_net(j);
            rki_job_over(r, j, RKI_RELOAD_APPLIED);
            return;
        }
        snprintf(j->out->text, sizeof j->out->text, "the run is ending");
        rki_job_over(r, j, RKI_RELOAD_REJECTED);
    }
}

// ---- who asks -------------------------------------------------------------------------------------------------------

// A kernel that was removed and has not given on everything yet, and that the plan has again: two of one name would write one file.
static const char *still_going(const rki_run *r, const rki_plan *plan)
{
    for (uint32_t i = 0; i < r->reload->n_going; i++)
        for (uint32_t s = 0; s < r->reload->going[i]->n_stages; s++)
            for (uint32_t k = 0; k < plan->n_kernels; k++)
                if (strcmp(r->reload->going[i]->acts[s]->ks->id, plan->kernels[k].k->id.p) == 0)
                    return plan->kernels[k].k->id.p;
    return NULL;
}

// With the lock.  False: one is still there after reload.drain_timeout.
static bool wait_for_going(rki_run *r, const rki_plan *plan, const char **id)
{
    uint64_t at = rki_mono_ns() + plan->spec->reload.drain_ns;
    struct timespec ts = { (time_t)(at / 1000000000u), (long)(at % 1000000000u) };
    while ((*id = still_going(r, plan)) && !__atomic_load_n(&r->ending, __ATOMIC_SEQ_CST))
        if (pthread_cond_timedwait(&r->obeyed, &r->lock, &ts) == ETIMEDOUT)
            return !(*id = still_going(r, plan));
    return true;
}

const char *const rki_reload_outcomes[4] = { [RKI_RELOAD_APPLIED] = "applied",
                                             [RKI_RELOAD_REJECTED] = "rejected",
                                             [RKI_RELOAD_TIMED_OUT] = "timed_out",
                                             [RKI_RELOAD_SUPERSEDED] = "superseded" };

// With the lock.
static void count_outcome(rki_run *r, rki_reload_result *out)
{
    if (out->counted)
        return;
    out->counted = true;
    r->reloads[out->outcome]++;
    if (out->outcome == RKI_RELOAD_SUPERSEDED)
        return; // what took its place says whether it went well
    r->reload_failed = out->outcome != RKI_RELOAD_APPLIED;
    if (r->reload_failed)
        return;
    r->reload_us = rki_wall_us();
    r->reload_pause_ns = out->pause_ns;
}

void rki_run_count_reload(rki_run *r, rki_reload_result *out)
{
    pthread_mutex_lock(&r->lock);
    count_outcome(r, out);
    pthread_mutex_unlock(&r->lock);
}

void rki_run_reload(rki_run *r, const rki_plan *plan, void (*drop)(void *arg), void *drop_arg, rkp_diags *d,
                    rki_reload_result *out)
{
    struct rki_reload *x = r->reload;
    rki_gen *gen = calloc(1, sizeof *gen);
    rki_job *j = NULL;
    const char *id = "";
    bool gone;
    uint64_t ticket, begin = rki_mono_ns();
    out->outcome = RKI_RELOAD_REJECTED;
    if (!gen) {
        drop(drop_arg);
        snprintf(out->text, sizeof out->text, "out of memory");
        return;
    }
    *gen = (rki_gen){ .plan = plan, .drop = drop, .drop_arg = drop_arg };
    pthread_mutex_lock(&r->lock);
    ticket = ++x->tickets;
    while (x->busy && x->tickets == ticket && !__atomic_load_n(&r->ending, __ATOMIC_SEQ_CST))
        pthread_cond_wait(&r->obeyed, &r->lock);
    out->generation = r->number;
    if (x->tickets != ticket || __atomic_load_n(&r->ending, __ATOMIC_SEQ_CST) || r->args.replay) {
        bool newer = x->tickets != ticket;
        pthread_mutex_unlock(&r->lock);
        out->outcome = newer ? RKI_RELOAD_SUPERSEDED : RKI_RELOAD_REJECTED;
        snprintf(out->text, sizeof out->text, "%s", newer ? "a newer reload takes its place" : "the run is ending");
        rki_run_count_reload(r, out);
        drop(drop_arg);
        free(gen);
        return;
    }
    x->busy = true;
    gen->number = r->number + 1;        // nobody else adds one
    pthread_cond_broadcast(&r->obeyed); // who waited with an older ticket
    gone = wait_for_going(r, plan, &id);
    if (!gone)
        snprintf(out->text, sizeof out->text,
                 "kernel '%s', which an earlier reload has removed, still has rows on their way", id);
    pthread_mutex_unlock(&r->lock);
    if (gone) {
        j = prepare(r, gen, d, out);
        if (!j && rki_diags_count(d, RKP_ERROR) == 0 && !out->text[0])
            snprintf(out->text, sizeof out->text, "out of memory while building the new graph");
    } else {
        drop(drop_arg);
        free(gen);
    }
    out->prepare_ns = rki_mono_ns() - begin;
    pthread_mutex_lock(&r->lock);
    if (j && !__atomic_load_n(&r->ending, __ATOMIC_SEQ_CST)) {
        rkp_backend_run *b = __atomic_load_n(&r->poke, __ATOMIC_SEQ_CST);
        x->job = j;
        if (b)
            r->backend->poke(b);
        while (j->phase != RKI_JOB_OVER)
            pthread_cond_wait(&r->obeyed, &r->lock);
    } else if (j) {
        snprintf(out->text, sizeof out->text, "the run is ending");
    }
    pthread_mutex_unlock(&r->lock);
    if (j && out->outcome == RKI_RELOAD_APPLIED) {
        j->gen = NULL;
        j->net = NULL;
        out->generation = r->number;
    }
    job_free(r, j);
    pthread_mutex_lock(&r->lock);
    x->busy = false;
    count_outcome(r, out);
    pthread_cond_broadcast(&r->obeyed);
    pthread_mutex_unlock(&r->lock);
}

void rki_run_generation(rki_run *r, rki_reload_result *out)
{
    pthread_rwlock_rdlock(&r->graph_lock);
    out->generation = r->number;
    pthread_rwlock_unlock(&r->graph_lock);
}

void rki_run_compare(rki_run *r, const rki_plan *plan, rkp_diags *d, rki_reload_result *out)
{
    rki_diff *f;
    rki_json w;
    pthread_rwlock_rdlock(&r->graph_lock); // the plan that runs stays while it is read
    out->generation = r->number;
    f = rki_diff_new(r->plan, plan, r->ckpt != NULL, d);
    out->outcome = f && supported(r, f, d) ? RKI_RELOAD_APPLIED : RKI_RELOAD_REJECTED;
    if (f) {
        rki_json_init(&w, &out->diff, 0);
        rki_diff_json(f, &w);
    }
    pthread_rwlock_unlock(&r->graph_lock);
    rki_diff_free(f);
}
