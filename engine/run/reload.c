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
#include "run/actor.h"

#include "data/pool.h"
#include "data/state.h"
#include "plan/diff.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum phase { ASKED, STOPPING, ADOPTING, OVER };

// Where an actor of the new graph comes from.
struct origin {
    rkp_actor *from; // NULL: nobody
    bool moves, carries;
};

struct job {
    rki_gen *gen;
    rki_diff *diff;
    rki_net *net, *old;
    rki_stays stays;
    rki_arena arena;
    rki_runner **stopping; // of the old graph
    uint32_t n_stopping;
    rki_runner **removed;
    uint32_t n_removed;
    struct origin *origins; // per new runner and stage, one after the other
    uint32_t *first_origin; // per runner of the net
    enum phase phase;
    uint64_t stop_ns, commit_ns, deadline_ns;
    rki_reload_result *out;
};

// What cannot be given back yet.
struct grave {
    rki_runner *runner; // or
    rki_gen *gen;
    uint32_t epoch, state_epoch;
    struct grave *next;
};

// A ring that is brought to its end.
struct leaving {
    rki_link *link;
    struct leaving *next;
};

struct rki_reload {
    struct job *job;    // with the run's lock
    bool busy;          // somebody reloads
    uint64_t tickets;   // of who asked
    rki_runner **going; // removed, and not done yet; the control thread's, changed with the run's lock
    uint32_t n_going, cap_going;
    // Control thread.
    struct grave *graves;
    struct leaving *leaving;
    uint64_t drain_until_ns;
};

bool rki_reload_open(rki_run *r)
{
    r->reload = calloc(1, sizeof *r->reload);
    return r->reload != NULL;
}

// ---- prepare --------------------------------------------------------------------------------------------------------

static rki_runner *old_runner(const rki_run *r, uint32_t actor, uint32_t replica)
{
    return r->runners[r->net->first_runner[actor] + replica];
}

static bool ended(const rki_runner *run)
{
    return __atomic_load_n(&run->task.state, __ATOMIC_ACQUIRE) == RKP_TASK_RETIRED;
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

// An actor that stays, and has ended: nobody reads what comes to it, and who reads it would wait for its end.
static bool new_at_the_ended(const rki_run *r, const rki_diff *f, rkp_diags *d)
{
    for (uint32_t i = 0; i < f->to->n_edges; i++) {
        const rki_edge *e = &f->to->edges[i];
        for (int end = 0; f->edges[i] < 0 && end < 2; end++) {
            uint32_t actor = end ? e->to_actor : e->from_actor;
            const rki_kernel *k = f->to->kernels[f->to->stages[end ? e->to_stage : e->from_stage].kernel].k;
            for (uint32_t j = 0; f->actors[actor] >= 0 && j < f->to->actors[actor].replicas; j++)
                if (ended(old_runner(r, (uint32_t)f->actors[actor], j))) {
                    rkp_diag(d, RKP_ERROR, k->at, "reload-unsupported",
                             "kernel '%s' has ended, so it cannot be wired to others", k->id.p);
                    rkp_diag_hint(d, "give the kernel that shall take its place another name");
                    return true;
                }
        }
    }
    return false;
}

// The engine's own topics: who publishes them is known from the start.
static bool own_topics_change(const rki_diff *f, rkp_diags *d)
{
    const rki_plan *plans[] = { f->from, f->to };
    for (int p = 0; p < 2; p++)
        for (uint32_t i = 0; i < plans[p]->n_actors; i++) {
            bool own = false;
            for (uint32_t s = 0; s < plans[p]->actors[i].n_stages; s++)
                own |=
                    plans[p]->kernels[plans[p]->stages[plans[p]->actors[i].stages[s]].kernel].k->op == &rki_op_engine;
            if (!own || (p ? f->actors[i] : f->old_actors[i]) >= 0)
                continue;
            rkp_diag(d, RKP_ERROR, f->to->n_kernels ? f->to->kernels[0].k->at : (rkp_loc){ 0 }, "reload-unsupported",
                     "who reads the engine's own topics ($..) cannot change yet");
            rkp_diag_hint(d, "stop the pipeline and start it again with the new file");
            return true;
        }
    return false;
}

// What this way of reloading leaves out.
static bool supported(const rki_run *r, const rki_diff *f, rkp_diags *d)
{
    bool ok = true;
    if (new_at_the_ended(r, f, d) || own_topics_change(f, d))
        return false;
    for (uint32_t i = 0; i < f->from->n_edges; i++) {
        const rki_edge *e = &f->from->edges[i];
        const rki_bound *k = &f->from->kernels[f->from->stages[e->to_stage].kernel];
        rkp_loc at = place_of(f, f->from->stages[e->to_stage].kernel);
        bool touched = f->old_edges[i] < 0 || f->stops[e->from_actor] || f->stops[e->to_actor];
        if (!touched)
            continue;
        if (e->hlc)
            ok = unsupported(d, at, "reads in the order of stamps (order: hlc)", k->k->id.p);
        else if (e->circle)
            ok = unsupported(d, at, "lies on a circle", k->k->id.p);
        if (!ok)
            return false;
    }
    for (uint32_t i = 0; i < f->to->n_edges; i++) {
        const rki_edge *e = &f->to->edges[i];
        const rki_bound *k = &f->to->kernels[f->to->stages[e->to_stage].kernel];
        if (f->edges[i] >= 0)
            continue;
        if (e->hlc)
            ok = unsupported(d, k->k->at, "reads in the order of stamps (order: hlc)", k->k->id.p);
        else if (e->circle)
            ok = unsupported(d, k->k->at, "lies on a circle", k->k->id.p);
        if (!ok)
            return false;
    }
    for (uint32_t i = 0; i < f->from->n_actors; i++) {
        uint32_t head = f->from->stages[f->from->actors[i].stages[0]].kernel;
        const rki_kernel *k = f->from->kernels[head].k;
        for (uint32_t j = 0; j < f->from->actors[i].replicas; j++)
            if (f->stops[i] && ended(old_runner(r, i, j))) {
                rkp_diag(d, RKP_ERROR, place_of(f, head), "reload-unsupported",
                         "kernel '%s' has ended, so it cannot be changed", k->id.p);
                rkp_diag_hint(d, "remove it, or give the changed kernel another name");
                return false;
            }
    }
    return true;
}

static bool find_stays(rki_run *r, struct job *j)
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
    for (uint32_t i = 0; i < r->n_runners; i++) { // at most all of them, on one
        j->stays.sets += r->runners[i]->n_outs;
        if (r->runners[i]->n_ins > j->stays.sets)
            j->stays.sets = r->runners[i]->n_ins;
    }
    return true;
}

static bool is_new(const struct job *j, uint32_t i)
{
    return j->net->runners[i]->gen == j->gen;
}

// The actor of the old graph that had this stage, in a runner that stops.
static rkp_actor *origin_of(const rki_run *r, const struct job *j, const rki_runner *run, const rkp_actor *a)
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

static bool make_instances(rki_run *r, struct job *j, rkp_diags *d)
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
        if (!is_new(j, i)) {
            n += run->n_stages;
            continue;
        }
        if (!rki_ckpt_join(run))
            return false;
        for (uint32_t s = 0; s < run->n_stages; s++, n++) {
            rkp_actor *a = run->acts[s];
            const rki_kernel_diff *k = &j->diff->kernels[a->stage->kernel];
            struct origin *o = &j->origins[n];
            o->from = origin_of(r, j, run, a);
            o->moves = o->from && k->change <= RKI_RETUNE;
            o->carries = o->from && k->change == RKI_REPLACE && k->carries;
            if (!o->moves && !begin_instance(a, d))
                return false;
        }
    }
    return true;
}

static bool find_old(rki_run *r, struct job *j)
{
    j->stopping = rki_array(&j->arena, r->n_runners + 1u, sizeof(rki_runner *));
    j->removed = rki_array(&j->arena, r->n_runners + 1u, sizeof(rki_runner *));
    if (!j->stopping || !j->removed)
        return false;
    for (uint32_t i = 0; i < r->n_runners; i++) {
        rki_runner *o = r->runners[i];
        uint32_t actor = UINT32_MAX;
        for (uint32_t k = 0; k < j->diff->from->n_actors; k++)
            if (r->net->first_runner[k] <= i)
                actor = k;
        o->index = actor; // of the plan that runs; its own plan may be older
        if (j->diff->stops[actor])
            j->stopping[j->n_stopping++] = o;
        else if (j->diff->old_actors[actor] < 0)
            j->removed[j->n_removed++] = o;
    }
    return true;
}

static void job_free(rki_run *r, struct job *j)
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
    rki_arena_fini(&j->arena);
    free(j);
}

static struct job *prepare(rki_run *r, rki_gen *gen, rkp_diags *d, rki_reload_result *out)
{
    struct job *j = calloc(1, sizeof *j);
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
    j->diff = rki_diff_new(r->plan, gen->plan, r->ckpt != NULL, d);
    ok = j->diff && find_old(r, j) && supported(r, j->diff, d);
    if (ok) {
        rki_json w;
        rki_json_init(&w, &out->diff, 0);
        rki_diff_json(j->diff, &w);
        ok = find_stays(r, j);
    }
    if (ok) {
        pthread_mutex_lock(&r->build_lock);
        j->net = rki_net_new(r, gen, &j->stays);
        pthread_mutex_unlock(&r->build_lock);
        ok = j->net && make_instances(r, j, d);
        if (!ok && rki_diags_count(d, RKP_ERROR) == 0)
            rkp_diag(d, RKP_ERROR, (rkp_loc){ 0 }, "no-memory", "out of memory while building the new graph");
    }
    if (ok)
        return j;
    job_free(r, j);
    return NULL;
}

// ---- sets -----------------------------------------------------------------------------------------------------------

static rki_outset *out_with(rki_wiring *w, const rki_link *k)
{
    for (uint32_t i = 0; i < w->n_outs; i++)
        if (w->outs[i].n && w->outs[i].links[0] == k)
            return &w->outs[i];
    return NULL;
}

static rki_inset *in_with(rki_wiring *w, const rki_link *k)
{
    for (uint32_t i = 0; i < w->n_ins; i++)
        if (w->ins[i].n && w->ins[i].links[0] == k)
            return &w->ins[i];
    return NULL;
}

// What has happened to a set goes on with the one that takes its place.
static void move_out(const rki_wiring *w, rki_outset *to, rki_outset *from)
{
    to->box = from->box;
    to->n_box = from->n_box;
    to->cap_box = from->cap_box;
    to->next_chunk = from->next_chunk;
    memcpy(to->open, from->open, from->n * sizeof *to->open);
    to->spill = from->spill;
    to->spool_stamp = from->spool_stamp;
    rki_kept_free(to);
    to->kept = from->kept;
    to->kept_made = from->kept_made;
    to->gated = from->gated;
    to->open_now = from->open_now;
    rki_kept_moved(to);
    rki_spill_moved(to, w->gen->plan);
    from->box = NULL;
    from->n_box = from->cap_box = 0;
    from->spill = NULL;
    from->kept = NULL;
    from->n = 0;
}

static void move_in(rki_inset *to, rki_inset *from)
{
    to->n_ended = from->n_ended;
    to->cur = from->cur;
    to->n_barred = from->n_barred;
    to->turn = from->turn;
    to->era = from->era;
    to->known = true;
    from->n = 0;
}

// An edge of its own, for a set whose edge goes.
static const rki_edge *own_edge(rki_wiring *w, const rki_edge *e)
{
    rki_edge *own = rki_alloc(&w->arena, sizeof *own);
    if (!own)
        return e;
    *own = *e;
    own->in = NULL;
    own->group = 0;
    return own;
}

// Everything that it was given has been sent, and what was on disk for it has been taken.
static bool all_sent(const rki_outset *o)
{
    if (o->n_box || rki_spilling(o))
        return false;
    for (uint32_t l = 0; o->spill && l < o->n; l++)
        if (rki_ring_fill(o->links[l]->ring) > 0)
            return false;
    return true;
}

// The set is brought to its end by the runner that will have w; `over`: by nobody, because that one has ended, and said so.
static void close_out(rki_runner *r, rki_wiring *w, rki_outset *from, bool over)
{
    rki_outset *o;
    if (over || (from->closes && all_sent(from))) {
        rki_spill_close(from, all_sent(from));
        for (uint32_t l = 0; l < from->n; l++)
            __atomic_store_n(&from->links[l]->left_from, 1, __ATOMIC_RELEASE);
        from->n = 0;
        return;
    }
    o = &w->outs[w->n_outs++];
    *o = *from;
    o->edge = own_edge(w, from->edge);
    o->links = rki_array(&w->arena, from->n, sizeof(rki_link *));
    o->open = rki_array(&w->arena, from->n, sizeof *o->open);
    if (!o->links || !o->open) { // cannot be helped: the old arrays are as good as long as the run lives
        o->links = from->links;
        o->open = from->open;
    } else {
        memcpy(o->links, from->links, from->n * sizeof(rki_link *));
    }
    o->flatten = NULL;
    o->n_flatten = 0;
    o->unite = NULL;
    o->unite_to = NULL;
    o->partition = NULL;
    rki_kept_free(o);
    from->box = NULL;
    from->n_box = from->cap_box = 0;
    from->spill = NULL;
    from->kept = NULL;
    from->n = 0;
    w->n_closes++;
    w->spills |= o->edge->overflow == RKI_OVERFLOW_SPILL;
    if (o->closes)
        return;
    o->closes = true;
    r->emission++;
    for (uint32_t l = 0; l < o->n; l++)
        rki_box(r, o, l, NULL, UINT64_MAX, RKP_F_END);
}

// Rows of an input that is not in the plan any more, by the names of their columns.
static const rki_unite *unite_by_name(rki_wiring *w, const rkp_schema *to, const rkp_schema *from)
{
    rki_unite *u = rki_alloc(&w->arena, sizeof *u);
    if (!u)
        return NULL;
    u->col = rki_array(&w->arena, to->n + 1u, sizeof *u->col);
    if (!u->col)
        return NULL;
    u->same = to->n == from->n;
    for (uint32_t c = 0; c < to->n; c++) {
        u->col[c] = -1;
        for (uint32_t i = 0; i < from->n; i++)
            if (rkp_str_eq(to->f[c].name, from->f[i].name) && to->f[c].type.kind == from->f[i].type.kind &&
                to->f[c].type.len == from->f[i].type.len)
                u->col[c] = (int32_t)i;
        u->same &= u->col[c] == (int32_t)c;
    }
    return u;
}

static void retire_in(rki_wiring *w, const rki_bound *head, const rki_plan *p, rki_inset *from)
{
    rki_inset *in;
    if (from->n_ended == from->n) {
        for (uint32_t l = 0; l < from->n; l++)
            __atomic_store_n(&from->links[l]->left_to, 1, __ATOMIC_RELEASE);
        from->n = 0;
        return;
    }
    in = &w->ins[w->n_ins++];
    *in = *from;
    if (!from->retires && from->unite) {
        const rki_bound *b = &p->kernels[p->stages[from->edge->from_stage].kernel];
        in->comes = from->edge->dead ? rki_dead_schema() : &b->out[from->edge->from_port];
    }
    if (in->comes && !(in->unite = unite_by_name(w, &head->in, in->comes)))
        w->failed = true;
    in->edge = own_edge(w, from->edge);
    in->unite_to = &head->in;
    in->links = rki_array(&w->arena, from->n, sizeof(rki_link *));
    if (in->links)
        memcpy(in->links, from->links, from->n * sizeof(rki_link *));
    else
        in->links = from->links;
    in->retires = true;
    from->n = 0;
    w->n_retires++;
}

// Everything of `from` goes on in w: what is in both, and what has to be brought to its end.
static void take_sets(rki_runner *r, rki_wiring *w, rki_wiring *from, const rki_bound *head)
{
    const rki_plan *p = from->gen->plan;
    for (uint32_t i = 0; i < from->n_outs; i++) {
        rki_outset *o = &from->outs[i], *to = o->n && !o->closes ? out_with(w, o->links[0]) : NULL;
        if (to)
            move_out(w, to, o);
        else if (o->n)
            close_out(r, w, o, ended(r));
    }
    for (uint32_t i = 0; i < from->n_ins; i++) {
        rki_inset *in = &from->ins[i], *to = in->n && !in->retires ? in_with(w, in->links[0]) : NULL;
        if (to)
            move_in(to, in);
        else if (in->n)
            retire_in(w, head, p, in);
    }
    if ((w->n_closes || w->n_retires) && from->oldest < w->oldest)
        w->oldest = from->oldest;
}

// What is new comes after what retires.
static void mark_following(rki_wiring *w)
{
    for (uint32_t i = 0; w->n_retires && i < w->n_ins; i++)
        if (!w->ins[i].retires && !w->ins[i].known)
            w->ins[i].era = w->gen->number;
}

void rki_adopt(rki_runner *r)
{
    // Acquire, from the control thread's release: the wiring.
    rki_wiring *w = __atomic_load_n(&r->next, __ATOMIC_ACQUIRE), *old = r->wiring;
    bool failed;
    if (!w)
        return;
    pthread_mutex_lock(&r->run->lock); // others open gates under it
    take_sets(r, w, old, &w->gen->plan->kernels[w->head]);
    mark_following(w);
    rki_put_on(r, w);
    failed = w->failed;
    __atomic_store_n(&r->worn, old, __ATOMIC_RELEASE);
    // Release, to the acquire of the control thread: nothing of the old one is used any more.
    __atomic_store_n(&r->next, NULL, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&r->run->lock);
    if (failed)
        rki_fail_run(r->acts[0], RKP_NOMEM, "out of memory while a reload changes its inputs");
    if (r->run->b)
        r->run->backend->poke(r->run->b);
}

void rki_let_sets_go(rki_runner *r)
{
    rki_wiring *w = r->wiring;
    bool any = false;
    for (uint32_t i = 0; i < w->n_outs; i++) {
        rki_outset *o = &w->outs[i];
        if (!o->closes || !o->n || !all_sent(o))
            continue;
        rki_spill_close(o, true);
        for (uint32_t l = 0; l < o->n; l++)
            __atomic_store_n(&o->links[l]->left_from, 1, __ATOMIC_RELEASE);
        o->n = 0;
        w->n_closes--;
        any = true;
    }
    for (uint32_t i = 0; i < w->n_ins; i++) {
        rki_inset *in = &w->ins[i];
        if (!in->retires || !in->n || in->n_ended < in->n)
            continue;
        for (uint32_t l = 0; l < in->n; l++)
            __atomic_store_n(&in->links[l]->left_to, 1, __ATOMIC_RELEASE);
        in->n = in->n_ended = in->n_barred = 0;
        w->n_retires--;
        any = true;
    }
    if (any && r->run->b)
        r->run->backend->poke(r->run->b);
}

// ---- stop -----------------------------------------------------------------------------------------------------------

// Relaxed: written before the runner is asked to stop.
static bool drains(const rki_link *k)
{
    return __atomic_load_n(&k->drains, __ATOMIC_RELAXED) != 0;
}

bool rki_drains(const rki_runner *r, const rki_inset *in)
{
    return in->n && (in->retires ? r->stop_retires : drains(in->links[0]));
}

bool rki_may_stop(rki_runner *r)
{
    uint32_t asked = RKI_STOP_ASKED;
    rki_dead_flush(r);
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
static rki_runner *heir(const struct job *j, const rki_runner *o)
{
    for (uint32_t i = 0; i < j->net->n_runners; i++) {
        rki_runner *run = j->net->runners[i];
        if (is_new(j, i) && j->origins[j->first_origin[i]].from == o->acts[0])
            return run;
    }
    return NULL;
}

// Of the runners that stop.
static bool stays_link(const struct job *j, const rki_link *k)
{
    for (uint32_t i = 0; i < j->net->n_links; i++)
        if (j->net->links[i] == k)
            return true;
    return false;
}

static bool stops(const struct job *j, const rki_runner *o)
{
    for (uint32_t i = 0; i < j->n_stopping; i++)
        if (j->stopping[i] == o)
            return true;
    return false;
}

static bool same_columns(const rkp_schema *a, const rkp_schema *b)
{
    bool same = a->n == b->n;
    for (uint32_t i = 0; same && i < a->n; i++)
        same = rkp_str_eq(a->f[i].name, b->f[i].name) && a->f[i].type.kind == b->f[i].type.kind &&
               a->f[i].type.len == b->f[i].type.len;
    return same;
}

static void ask_to_stop(rki_run *r, struct job *j)
{
    for (uint32_t i = 0; i < j->n_stopping; i++) {
        rki_runner *o = j->stopping[i], *h = heir(j, o);
        o->stop_retires = !h || h->plan->replicas > 1 || o->plan->replicas > 1;
        o->stop_pending = h && same_columns(&h->acts[0]->bound->in, &o->acts[0]->bound->in);
    }
    for (uint32_t i = 0; i < r->n_links; i++) {
        rki_link *k = r->links[i];
        __atomic_store_n(&k->drains, !stays_link(j, k) && stops(j, rki_from(k)) && stops(j, rki_to(k)),
                         __ATOMIC_RELAXED);
    }
    for (uint32_t i = 0; i < j->n_stopping; i++)
        __atomic_store_n(&j->stopping[i]->stop, RKI_STOP_ASKED, __ATOMIC_RELEASE);
    for (uint32_t i = 0; i < j->n_stopping; i++)
        rki_wake_runner(j->stopping[i]);
}

// True when all have; *gone: one has ended instead.
static bool all_stopped(const struct job *j, const rki_runner **gone)
{
    bool all = true;
    for (uint32_t i = 0; i < j->n_stopping; i++) {
        rki_runner *o = j->stopping[i];
        bool over = ended(o); // first: who stops says so before it ends
        bool done = __atomic_load_n(&o->stop, __ATOMIC_ACQUIRE) == RKI_STOP_DONE;
        if (over && !done)
            *gone = o;
        if (!done)
            rki_wake_runner(o); // what it waits for may be that another one has stopped
        all &= done && over;
    }
    return all;
}

static void take_back(rki_run *r, struct job *j)
{
    for (uint32_t i = 0; i < j->n_stopping; i++) {
        rki_runner *o = j->stopping[i];
        rkp_task *t = &o->task;
        uint32_t asked = RKI_STOP_ASKED;
        if (__atomic_compare_exchange_n(&o->stop, &asked, RKI_STOP_NO, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            continue;
        while (!ended(o)) // its last step is over in a moment
            sched_yield();
        __atomic_store_n(&o->stop, RKI_STOP_NO, __ATOMIC_RELEASE);
        r->backend->forget(r->b, t);
        if (r->backend->add(r->b, &t, 1) != RKP_OK) { // it was there a moment ago
            rki_fail_run(o->acts[0], RKP_NOMEM, "out of memory while a reload is taken back");
            return;
        }
    }
    for (uint32_t i = 0; i < j->n_stopping; i++)
        rki_wake_runner(j->stopping[i]);
}

// ---- hand over ------------------------------------------------------------------------------------------------------

// What the old instance has kept, for the new one.  False: why is in j->out->text.
static bool carry(struct job *j, rkp_actor *to, rkp_actor *from)
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
                 p.text[0]  ? p.text
                 : l.why[0] ? l.why
                            : "it does not fit");
    rki_save_fini(&s);
    return st == RKP_OK;
}

static bool carry_all(struct job *j)
{
    for (uint32_t i = 0; i < j->net->n_runners; i++)
        for (uint32_t s = 0; is_new(j, i) && s < j->net->runners[i]->n_stages; s++) {
            struct origin *o = &j->origins[j->first_origin[i] + s];
            if (o->carries && !carry(j, j->net->runners[i]->acts[s], o->from))
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
static void add_past(rki_kstate *k, const rkp_actor *a)
{
    rki_count_actor(&k->past, a);
    k->past_bad += a->bad;
    for (uint32_t i = 0; i < k->past.n_drops; i++)
        k->past.drops[i].reason = keep_name(a->run, k->past.drops[i].reason);
    for (uint32_t i = 0; i < k->past.n_deads; i++)
        k->past.deads[i].reason = keep_name(a->run, k->past.deads[i].reason);
}

static void move_actor(rki_runner *run, uint32_t s, rkp_actor *from)
{
    rkp_actor *blank = run->acts[s];
    rki_runner *old = from->r;
    rki_kstate *ks = blank->ks;
    for (uint32_t i = 0; i < old->n_stages; i++)
        if (old->acts[i] == from)
            old->acts[i] = NULL;
    rki_actor_place(from, run, s, ks);
    rki_actor_free(blank);
}

// From the stopped runners to the new ones; cannot fail.
static void hand_over(struct job *j)
{
    for (uint32_t i = 0; i < j->net->n_runners; i++) {
        rki_runner *run = j->net->runners[i];
        for (uint32_t s = 0; is_new(j, i) && s < run->n_stages; s++) {
            struct origin *o = &j->origins[j->first_origin[i] + s];
            rkp_actor *a = run->acts[s];
            if (!o->from)
                continue;
            if (s == 0) { // the head's runner goes on in this one
                const rki_runner *old = o->from->r;
                run->id = old->id;
                run->clock = old->clock;
                run->emission = old->emission;
                run->stamp = old->stamp;
                run->in_stamp = old->in_stamp;
                run->next_corr = old->next_corr;
                run->chunk = old->chunk;
                run->pending = old->pending;
                run->pending_flags = old->pending_flags;
                run->pending_port = old->pending_port;
                run->pending_corr = old->pending_corr;
                run->barrier = old->barrier;
                run->polled_out = old->polled_out;
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
            if (!o->carries)
                rki_drop_held(o->from, "reload");
            a->counts = o->from->counts;
            for (uint32_t k = 0; k < a->counts.n_drops; k++)
                a->counts.drops[k].reason = keep_name(a->run, a->counts.drops[k].reason);
            for (uint32_t k = 0; k < a->counts.n_deads; k++)
                a->counts.deads[k].reason = keep_name(a->run, a->counts.deads[k].reason);
            a->bad = o->from->bad;
            a->meta.first_row = o->from->meta.first_row;
            memset(&o->from->counts, 0, sizeof o->from->counts);
            o->from->bad = 0;
        }
    }
}

// ---- commit ---------------------------------------------------------------------------------------------------------

static void leave(rki_run *r, rki_link *k)
{
    struct leaving *v = calloc(1, sizeof *v);
    if (!v)
        return; // it stays until the process ends; its rows are delivered all the same
    v->link = k;
    v->next = r->reload->leaving;
    r->reload->leaving = v;
}

static void bury(rki_run *r, rki_runner *run, rki_gen *gen)
{
    struct grave *g = calloc(1, sizeof *g);
    if (!g)
        return;
    *g = (struct grave){ .runner = run,
                         .gen = gen,
                         .epoch = rki_pool_epoch(r->pool),
                         .state_epoch = rki_pool_epoch(r->state_pool),
                         .next = r->reload->graves };
    r->reload->graves = g;
}

// So that what is made from now on is not taken for what has gone.
static void next_epoch(rki_run *r)
{
    if (rki_pool_may_advance(r->pool) && rki_pool_may_advance(r->state_pool)) {
        rki_pool_next_epoch(r->pool);
        rki_pool_next_epoch(r->state_pool);
    }
}

// The successor that gets what o has in its hands besides what the links say.
static rki_runner *some_heir(const struct job *j, const rki_runner *o)
{
    rki_runner *h = heir(j, o);
    for (uint32_t i = 0; !h && i < j->net->n_runners; i++)
        for (uint32_t s = 0; is_new(j, i) && s < j->net->runners[i]->n_stages && !h; s++)
            if (j->origins[j->first_origin[i] + s].from && j->origins[j->first_origin[i] + s].from->r == o)
                h = j->net->runners[i];
    for (uint32_t i = 0; !h && i < j->n_stopping && o->replica; i++) // there are fewer replicas now
        if (j->stopping[i]->index == o->index && j->stopping[i]->replica == 0)
            h = some_heir(j, j->stopping[i]);
    return h;
}

static rki_wiring *wiring_with(const struct job *j, const rki_link *k, bool out)
{
    for (uint32_t i = 0; i < j->net->n_runners; i++) {
        rki_wiring *w = is_new(j, i) ? j->net->wirings[i] : NULL;
        if (w && (out ? (void *)out_with(w, k) : (void *)in_with(w, k)))
            return w;
    }
    return NULL;
}

// Sets of stopped runners; before the instances move.
static void hand_sets_over(struct job *j)
{
    for (uint32_t i = 0; i < j->n_stopping; i++) {
        rki_runner *o = j->stopping[i], *h = some_heir(j, o);
        rki_wiring *own = NULL;
        for (uint32_t n = 0; n < j->net->n_runners; n++)
            if (j->net->runners[n] == h)
                own = j->net->wirings[n];
        for (uint32_t s = 0; s < o->n_outs; s++) {
            rki_outset *set = &o->outs[s];
            rki_wiring *w = set->n && !set->closes ? wiring_with(j, set->links[0], true) : NULL;
            if (w)
                move_out(w, out_with(w, set->links[0]), set);
            else if (set->n && !set->closes && drains(set->links[0])) { // its consumer has stopped, with an empty ring
                for (uint32_t l = 0; l < set->n; l++)
                    set->links[l]->left_from = set->links[l]->left_to = 1;
                rki_spill_close(set, true);
                set->n = 0;
            } else if (set->n && own) {
                for (uint32_t l = 0; l < set->n; l++)
                    __atomic_store_n(&set->links[l]->from, h, __ATOMIC_SEQ_CST);
                close_out(h, own, set, false);
            }
        }
        for (uint32_t s = 0; s < o->n_ins; s++) {
            rki_inset *set = &o->ins[s];
            rki_wiring *w = set->n && !set->retires ? wiring_with(j, set->links[0], false) : NULL;
            if (w)
                move_in(in_with(w, set->links[0]), set);
            else if (set->n && !set->retires && drains(set->links[0]))
                set->n = 0;
            else if (set->n && own) {
                for (uint32_t l = 0; l < set->n; l++)
                    __atomic_store_n(&set->links[l]->to, h, __ATOMIC_SEQ_CST);
                retire_in(own, h->acts[0]->bound, o->wiring->gen->plan, set);
            }
        }
        if (own && (own->n_closes || own->n_retires) && o->wiring->oldest < own->oldest)
            own->oldest = o->wiring->oldest;
    }
}

static void begin_states(rki_run *r, struct job *j)
{
    pthread_mutex_lock(&r->lock);
    for (uint32_t i = 0; i < j->diff->from->n_kernels; i++)
        if (j->diff->old_kernels[i] < 0) {
            j->old->ks[i]->gone = true;
            j->old->ks[i]->next_gone = r->gone;
            r->gone = j->old->ks[i];
        }
    for (uint32_t i = 0; i < r->plan->n_kernels; i++)
        r->ks[i]->parts = r->ks[i]->alive = 0;
    for (uint32_t i = 0; i < r->n_runners; i++)
        for (uint32_t s = 0; s < r->runners[i]->n_stages; s++) {
            r->runners[i]->acts[s]->ks->parts++;
            r->runners[i]->acts[s]->ks->alive += !ended(r->runners[i]) || is_new(j, i);
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

static void start_new(rki_run *r, struct job *j)
{
    for (uint32_t i = 0; i < r->n_runners; i++) {
        rki_runner *run = r->runners[i];
        if (!is_new(j, i))
            continue;
        if (!run->id)
            run->id = free_id(r);
        if (r->leased && run->clock.last < r->lease.start)
            run->clock.last = r->lease.start;
        mark_following(j->net->wirings[i]);
        if (j->net->wirings[i]->failed)
            rki_fail_run(run->acts[0], RKP_NOMEM, "out of memory while a reload changes its inputs");
        rki_put_on(run, j->net->wirings[i]);
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
        if (!run->behind_engine)
            __atomic_fetch_add(&r->live, 1, __ATOMIC_SEQ_CST);
    }
}

// Nothing can fail from here on but memory for the backend's table, which ends the run.
static void commit(rki_run *r, struct job *j)
{
    rkp_task **tasks = rki_array(&j->arena, j->net->n_runners + 1u, sizeof(rkp_task *));
    size_t n = 0;
    j->old = r->net;
    pthread_rwlock_wrlock(&r->graph_lock); // others look at runners and their actors
    hand_sets_over(j);
    hand_over(j);
    pthread_mutex_lock(&r->build_lock);
    take_from_gone(r, j->net);
    pthread_mutex_unlock(&r->build_lock);
    for (uint32_t i = 0; i < j->n_stopping; i++)
        for (uint32_t s = 0; s < j->stopping[i]->n_stages; s++)
            if (j->stopping[i]->acts[s])
                add_past(j->stopping[i]->acts[s]->ks, j->stopping[i]->acts[s]);
    rki_net_place(r, j->net);
    r->number = j->gen->number;
    j->gen->next = r->gens;
    r->gens = j->gen;
    for (uint32_t i = 0; i < j->n_stopping; i++)
        if (!j->stopping[i]->behind_engine)
            __atomic_fetch_sub(&r->live, 1, __ATOMIC_SEQ_CST);
    begin_states(r, j);
    start_new(r, j);
    for (uint32_t i = 0; i < j->old->n_links; i++)
        if (!stays_link(j, j->old->links[i]))
            leave(r, j->old->links[i]);
    pthread_rwlock_unlock(&r->graph_lock);
    for (uint32_t i = 0; i < j->n_stopping; i++) {
        // A read-modify-write on the word of each: see rki_wake_to.
        __atomic_fetch_or(&j->stopping[i]->task.state, 0, __ATOMIC_SEQ_CST);
        __atomic_fetch_and(&j->stopping[i]->out_waiting, 0, __ATOMIC_SEQ_CST);
        r->backend->forget(r->b, &j->stopping[i]->task);
        bury(r, j->stopping[i], NULL);
    }
    for (uint32_t i = 0; i < r->n_runners; i++) {
        rki_runner *run = r->runners[i];
        if (is_new(j, i)) {
            tasks[n++] = &run->task;
        } else if (ended(run)) {
            __atomic_store_n(&run->next, j->net->wirings[i], __ATOMIC_RELEASE);
            rki_adopt(run);
        } else {
            __atomic_store_n(&run->next, j->net->wirings[i], __ATOMIC_RELEASE);
        }
        j->net->wirings[i] = NULL;
    }
    if (n && r->backend->add(r->b, tasks, n) != RKP_OK) {
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
static void finish_sinks(rki_run *r, struct job *j)
{
    for (uint32_t i = 0; i < j->n_stopping; i++)
        for (uint32_t s = 0; s < j->stopping[i]->n_stages; s++) {
            rkp_actor *a = j->stopping[i]->acts[s];
            if (a)
                rki_finish_sink(r, a);
        }
}

// Kernels of stopped runners that are in no plan any more give on what they hold, to those that were behind them.
static void say_last_words(struct job *j)
{
    for (uint32_t i = 0; i < j->n_stopping; i++)
        for (uint32_t s = 0; s < j->stopping[i]->n_stages; s++) {
            rkp_actor *a = j->stopping[i]->acts[s];
            const rki_stage *st = &j->diff->from->stages[j->diff->from->actors[j->stopping[i]->index].stages[s]];
            if (j->diff->old_kernels[st->kernel] < 0 && a->stage->role == RKI_WHOLE && !a->ended && !a->stopped)
                rki_last_words(a);
        }
}

// Removed kernels drain by the END that their producers send; those that have no producers, or stand, are told.
static void see_off(rki_run *r, struct job *j)
{
    struct rki_reload *x = r->reload;
    uint32_t cap = x->n_going + j->n_removed;
    pthread_mutex_lock(&r->lock);
    if (cap > x->cap_going) {
        rki_runner **v = realloc(x->going, cap * sizeof(rki_runner *));
        if (!v) {
            pthread_mutex_unlock(&r->lock);
            rki_log(r, "warning: out of memory: kernels that a reload removes are not waited for\n");
            return;
        }
        x->going = v;
        x->cap_going = cap;
    }
    for (uint32_t i = 0; i < j->n_removed; i++) {
        rki_runner *run = j->removed[i];
        __atomic_store_n(&run->leaves, 1, __ATOMIC_RELEASE);
        x->going[x->n_going++] = run;
        rki_wake_runner(run);
    }
    pthread_mutex_unlock(&r->lock);
    if (j->n_removed)
        x->drain_until_ns = rki_mono_ns() + r->plan->spec->reload.drain_ns;
}

static void free_old_net(struct job *j)
{
    rki_arena_fini(&j->old->arena);
    free(j->old);
    j->old = NULL;
}

static void begin_stop(rki_run *r, struct job *j, uint64_t now)
{
    j->stop_ns = now;
    j->deadline_ns = now + r->plan->spec->reload.quiesce_ns;
    ask_to_stop(r, j);
}

static void over(rki_run *r, struct job *j, rki_reload_outcome outcome)
{
    pthread_mutex_lock(&r->lock);
    r->reload->job = NULL; // it is the requester's from here on
    j->out->outcome = outcome;
    j->phase = OVER;
    pthread_cond_broadcast(&r->obeyed);
    pthread_mutex_unlock(&r->lock);
}

// How long the kernels of each runner stood, from its last message to its successor's first step.
static void tell_pauses(struct job *j)
{
    uint64_t now = rki_mono_ns();
    rki_json w;
    rki_json_init(&w, &j->out->pauses, 0);
    rki_json_object(&w);
    for (uint32_t i = 0; i < j->n_stopping; i++) {
        const rki_runner *o = j->stopping[i];
        uint64_t ns = now - o->stopped_ns, us = ns / 1000u;
        if (ns > j->out->pause_ns)
            j->out->pause_ns = ns;
        if (o->replica)
            continue;
        rki_json_key(&w, j->diff->from->actors[o->index].name);
        rki_json_f64(&w, (double)us / 1000.0);
    }
    rki_json_end_object(&w);
}

// True: not all have stopped yet.  *job becomes NULL when it is over.
static bool stopping_look(rki_run *r, struct job **job, uint64_t now, uint64_t *until)
{
    struct job *j = *job;
    const rki_runner *gone = NULL;
    bool all = all_stopped(j, &gone);
    if (gone || (!all && now >= j->deadline_ns)) {
        size_t n = 0;
        for (uint32_t i = 0; i < j->n_stopping && !gone; i++)
            if (__atomic_load_n(&j->stopping[i]->stop, __ATOMIC_ACQUIRE) != RKI_STOP_DONE &&
                n < sizeof j->out->text - 80)
                n += (size_t)snprintf(j->out->text + n, sizeof j->out->text - n, "%s'%.60s'", n ? ", " : "",
                                      j->stopping[i]->acts[0]->bound->k->id.p);
        if (gone)
            snprintf(j->out->text, sizeof j->out->text, "kernel '%s' has ended meanwhile; try again",
                     gone->acts[0]->bound->k->id.p);
        else
            snprintf(j->out->text + n, sizeof j->out->text - n,
                     " came to no batch boundary within reload.quiesce_timeout");
        take_back(r, j);
        over(r, j, gone ? RKI_RELOAD_REJECTED : RKI_RELOAD_TIMED_OUT);
        *job = NULL;
        return false;
    }
    if (!all) {
        uint64_t next = now + 1000000u < j->deadline_ns ? now + 1000000u : j->deadline_ns;
        *until = !*until || next < *until ? next : *until;
        return true;
    }
    if (!carry_all(j)) {
        take_back(r, j);
        over(r, j, RKI_RELOAD_REJECTED);
        *job = NULL;
        return false;
    }
    say_last_words(j);
    j->commit_ns = rki_mono_ns();
    j->out->quiesce_ns = j->commit_ns - j->stop_ns;
    commit(r, j);
    tell_pauses(j);
    j->out->commit_ns = rki_mono_ns() - j->commit_ns;
    j->out->generation = r->number;
    finish_sinks(r, j);
    see_off(r, j);
    rki_ckpt_changed(r);
    next_epoch(r);
    pthread_mutex_lock(&r->lock);
    j->phase = ADOPTING;
    pthread_mutex_unlock(&r->lock);
    return false;
}

static void adopting_look(rki_run *r, struct job *j, uint64_t *until, uint64_t now)
{
    bool all = true;
    for (uint32_t i = 0; i < r->n_runners; i++) {
        rki_runner *run = r->runners[i];
        // Acquire, from rki_adopt: it uses nothing of the old one any more.
        if (__atomic_load_n(&run->next, __ATOMIC_ACQUIRE)) {
            if (ended(run))
                rki_adopt(run);
            else
                all = false;
            continue;
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
    free_old_net(j);
    over(r, j, RKI_RELOAD_APPLIED);
}

// ---- retire ---------------------------------------------------------------------------------------------------------

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
    for (const struct grave *v = x->graves; v; v = v->next) {
        if (v->gen == g || (v->runner && v->runner->gen == g))
            return true;
        for (uint32_t s = 0; v->runner && s < v->runner->n_stages; s++)
            if (v->runner->acts[s] && v->runner->acts[s]->gen == g)
                return true;
    }
    return false;
}

static void free_graves(rki_run *r, bool all)
{
    struct grave **at = &r->reload->graves;
    while (*at) {
        struct grave *g = *at;
        if (!all && (g->epoch == rki_pool_epoch(r->pool) || g->state_epoch == rki_pool_epoch(r->state_pool) ||
                     !rki_pool_is_over(r->pool, g->epoch) || !rki_pool_is_over(r->state_pool, g->state_epoch))) {
            at = &g->next;
            continue;
        }
        *at = g->next;
        if (g->runner) {
            pthread_mutex_lock(&r->build_lock);
            rki_runner_free(g->runner);
            pthread_mutex_unlock(&r->build_lock);
        }
        if (g->gen) {
            if (g->gen->drop)
                g->gen->drop(g->gen->drop_arg);
            free(g->gen);
        }
        free(g);
    }
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
        bury(r, NULL, g);
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
                 rki_to(k)->acts[0] && !ended(rki_to(k)) ? rki_to(k)->acts[0]->ks->id : "?",
                 (unsigned long long)k->sent_rows, (unsigned long long)k->got_rows,
                 (unsigned long long)k->overflowed_rows);
        r->fail_status = RKP_INTERNAL;
    }
    pthread_mutex_unlock(&r->lock);
    __atomic_store_n(&r->failed, 1, __ATOMIC_SEQ_CST);
}

static void reap(rki_run *r, uint64_t now, uint64_t *until)
{
    struct rki_reload *x = r->reload;
    bool some = false;
    for (uint32_t i = 0; i < x->n_going;) {
        rki_runner *run = x->going[i];
        bool sent = ended(run);
        for (uint32_t n = 0; n < run->n_outs && sent; n++)
            sent = all_sent(&run->outs[n]);
        if (!sent) {
            i++;
            continue;
        }
        for (uint32_t n = 0; n < run->n_outs; n++)
            rki_spill_close(&run->outs[n], true);
        for (uint32_t s = 0; s < run->n_stages; s++) {
            rki_finish_sink(r, run->acts[s]);
            pthread_rwlock_wrlock(&r->graph_lock);
            add_past(run->acts[s]->ks, run->acts[s]);
            pthread_rwlock_unlock(&r->graph_lock);
        }
        for (uint32_t n = 0; n < run->n_outs; n++)
            for (uint32_t l = 0; l < run->outs[n].n; l++)
                __atomic_store_n(&run->outs[n].links[l]->left_from, 1, __ATOMIC_RELEASE);
        for (uint32_t n = 0; n < run->n_ins; n++)
            for (uint32_t l = 0; l < run->ins[n].n; l++)
                __atomic_store_n(&run->ins[n].links[l]->left_to, 1, __ATOMIC_RELEASE);
        r->backend->forget(r->b, &run->task);
        pthread_mutex_lock(&r->lock);
        x->going[i] = x->going[--x->n_going];
        pthread_cond_broadcast(&r->obeyed);
        pthread_mutex_unlock(&r->lock);
        bury(r, run, NULL);
        some = true;
    }
    for (struct leaving **at = &x->leaving; *at;) {
        struct leaving *v = *at;
        if (!__atomic_load_n(&v->link->left_from, __ATOMIC_ACQUIRE) ||
            !__atomic_load_n(&v->link->left_to, __ATOMIC_ACQUIRE)) {
            at = &v->next;
            continue;
        }
        check_left(r, v->link);
        *at = v->next;
        free(v->link);
        free(v);
    }
    bury_gens(r);
    if (some || (x->graves && x->graves->epoch == rki_pool_epoch(r->pool)))
        next_epoch(r);
    free_graves(r, false);
    if (x->n_going && x->drain_until_ns && now >= x->drain_until_ns) {
        x->drain_until_ns = 0;
        for (uint32_t i = 0; i < x->n_going; i++)
            rki_log(r, "warning: kernel '%s', which a reload has removed, still has rows after reload.drain_timeout\n",
                    x->going[i]->acts[0]->bound->k->id.p);
    }
    if (x->n_going || x->leaving || x->graves)
        *until = !*until || now + 10000000u < *until ? now + 10000000u : *until;
}

bool rki_reload_look(rki_run *r, uint64_t now, uint64_t *until)
{
    struct rki_reload *x = r->reload;
    struct job *j;
    bool stopping = false, wished = false, asked = false, ending = false, begins = false;
    pthread_mutex_lock(&r->lock);
    j = x->job;
    if (j && j->phase == ASKED) {
        asked = true;
        for (uint32_t i = 0; i < r->plan->n_kernels; i++)
            wished |= r->ks[i]->wished;
        ending = __atomic_load_n(&r->signals, __ATOMIC_SEQ_CST) || __atomic_load_n(&r->stopping, __ATOMIC_SEQ_CST) ||
                 rki_failed(r);
        begins = !ending && !wished && rki_ckpt_idle(r);
        if (begins) // commands wait from here on
            j->phase = STOPPING;
    }
    pthread_mutex_unlock(&r->lock);
    if (asked) {
        if (ending) {
            snprintf(j->out->text, sizeof j->out->text, "the run is ending");
            over(r, j, RKI_RELOAD_REJECTED);
            j = NULL;
        } else if (begins) {
            begin_stop(r, j, now);
        } else {
            *until = !*until || now + 1000000u < *until ? now + 1000000u : *until;
        }
    }
    if (j && j->phase == STOPPING) {
        if (rki_failed(r)) {
            snprintf(j->out->text, sizeof j->out->text, "the run is ending");
            over(r, j, RKI_RELOAD_REJECTED);
            j = NULL;
        } else {
            stopping = stopping_look(r, &j, now, until);
        }
    }
    if (j && j->phase == ADOPTING)
        adopting_look(r, j, until, now);
    if (!stopping)
        reap(r, now, until);
    return stopping;
}

// With the run's lock.
bool rki_reload_at_work(const rki_run *r)
{
    return r->reload->job && (r->reload->job->phase == STOPPING || r->reload->job->phase == ADOPTING);
}

bool rki_reload_under_way(rki_run *r)
{
    bool any;
    pthread_mutex_lock(&r->lock);
    any = r->reload->job != NULL;
    pthread_mutex_unlock(&r->lock);
    return any;
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

void rki_reload_end(rki_run *r)
{
    struct job *j = r->reload->job;
    if (j) {
        if (j->phase == ADOPTING) { // it holds, and nobody runs any more
            for (uint32_t i = 0; i < r->n_runners; i++) {
                rki_adopt(r->runners[i]);
                rki_wiring_free(r->runners[i]->worn);
                r->runners[i]->worn = NULL;
            }
            free_old_net(j);
            over(r, j, RKI_RELOAD_APPLIED);
            return;
        }
        snprintf(j->out->text, sizeof j->out->text, "the run is ending");
        over(r, j, RKI_RELOAD_REJECTED);
    }
}

void rki_reload_close(rki_run *r)
{
    struct rki_reload *x = r->reload;
    struct leaving *v;
    if (!x)
        return;
    for (uint32_t i = 0; i < x->n_going; i++)
        rki_runner_free(x->going[i]);
    free_graves(r, true);
    while ((v = x->leaving)) {
        x->leaving = v->next;
        rki_link_empty(v->link);
        free(v->link);
        free(v);
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
    for (struct leaving *v = r->reload->leaving; v; v = v->next)
        rows += rki_link_empty(v->link);
    return rows;
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

void rki_run_reload(rki_run *r, const rki_plan *plan, void (*drop)(void *arg), void *drop_arg, rkp_diags *d,
                    rki_reload_result *out)
{
    struct rki_reload *x = r->reload;
    rki_gen *gen = calloc(1, sizeof *gen);
    struct job *j = NULL;
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
        while (j->phase != OVER)
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
