// run/wire.c - what a plan becomes: runners, the links between them, and for each runner its wiring.
//
// A graph is built beside the one that runs, if there is one, and nothing of that is touched: links and runners that stay are shared, and a
// runner that stays gets a new wiring, which it puts on itself between two messages (rki_adopt).
#include "run/meter.h"

#include <stdlib.h>

static uint64_t pow2_at_least(uint64_t n)
{
    uint64_t p = 2;
    while (p < n && p < (1u << 20))
        p *= 2;
    return p;
}

// ---- runners --------------------------------------------------------------------------------------------------------

// Memory of runners is never given back while the run is there, and their `run` and task.state stay what they are meanwhile: who has read a
// link's end a moment ago may still wake it.
static rki_runner *take_runner(rki_run *r)
{
    rki_runner *run = r->spare;
    if (run) {
        char *rest = (char *)run + offsetof(rki_runner, plan);
        r->spare = run->next_spare;
        memset(rest, 0, sizeof *run - offsetof(rki_runner, plan));
        return run;
    }
    run = aligned_alloc(64, (sizeof *run + 63) & ~(size_t)63);
    if (!run)
        return NULL;
    memset(run, 0, sizeof *run);
    run->run = r;
    run->task.state = RKP_TASK_RETIRED; // until the backend gets it
    return run;
}

static void give_runner(rki_runner *run)
{
    run->next_spare = run->run->spare;
    run->run->spare = run;
}

// Stages without their instances.
static rki_runner *new_runner(rki_run *r, rki_net *g, uint32_t actor, uint32_t replica)
{
    const rki_plan *p = g->gen->plan;
    const rki_pactor *pa = &p->actors[actor];
    rki_runner *out = take_runner(r);
    if (!out)
        return NULL;
    out->gen = g->gen;
    out->plan = pa;
    out->index = actor;
    out->replica = replica;
    rki_arena_init(&out->arena);
    out->task.step = rki_runner_step;
    out->task.arg = out;
    out->task.priority = (uint8_t)pa->priority;
    out->task.own_thread = pa->own_thread;
    out->task.poll = pa->poll;
    out->task.wake_ns = 0;
    __atomic_store_n(&out->clock_word, RKI_CLOCK_RUNNING, __ATOMIC_RELAXED); // until it has a wiring
    out->acts = rki_array(&out->arena, pa->n_stages, sizeof *out->acts);
    for (uint32_t i = 0; out->acts && i < pa->n_stages; i++) {
        const rki_stage *s = &p->stages[pa->stages[i]];
        rkp_actor *a =
            rki_meter_of(g->ks[s->kernel], s->role, replica) ? aligned_alloc(64, (sizeof *a + 63) & ~(size_t)63) : NULL;
        if (!a)
            return out; // with fewer than it should have
        memset(a, 0, sizeof *a);
        rki_arena_init(&a->arena);
        a->run = r;
        rki_actor_place(a, out, i, g->ks[s->kernel]);
        out->n_stages++;
    }
    return out;
}

// As stage i of a runner; its instance, if it has one, fits.
void rki_actor_place(rkp_actor *a, rki_runner *r, uint32_t i, rki_kstate *ks)
{
    const rki_plan *p = r->gen->plan;
    const rki_stage *s = &p->stages[r->plan->stages[i]];
    r->acts[i] = a;
    a->r = r;
    a->stage = s;
    a->bound = &p->kernels[s->kernel];
    a->op = s->role == RKI_DEAL || s->role == RKI_GATHER ? &rki_op_pass : a->bound->k->op;
    a->ks = ks;
    a->muted = a->bound->k->muted;
    a->meter = rki_meter_of(ks, s->role, r->replica); // new_runner has made it
    a->meta.kernel = rkp_word_str(a->bound->k->id);
}

void rki_actor_end(rkp_actor *a)
{
    if (a->self_made && a->op->fini)
        a->op->fini(a->self);
    a->self_made = false;
}

void rki_actor_free(rkp_actor *a)
{
    rki_actor_end(a);
    free(a->self);
    rkp_frame_free(a->frame);
    rkp_errs_fini(&a->errs);
    rki_arena_fini(&a->arena);
    rki_life_drop(a);
    free(a);
}

bool rki_new_instance(rkp_actor *a)
{
    a->self = calloc(1, a->op->self_size ? a->op->self_size : 1);
    if (!a->self)
        return false;
    a->self_made = true;
    a->gen = a->r->gen;
    if (a->op == &rki_op_pass)
        return true;
    return rki_plan_instance((rki_plan *)(uintptr_t)a->gen->plan, a->stage->kernel, &a->arena, a->self) == RKP_OK;
}

// Of a runner that no task runs.
void rki_runner_free(rki_runner *run)
{
    rki_ckpt_drop(run);
    for (uint32_t j = 0; j < run->n_stages; j++)
        if (run->acts[j])
            rki_actor_free(run->acts[j]);
    run->n_stages = 0;
    rki_batcher_free(run->batcher);
    run->batcher = NULL;
    rki_wiring_free(run->wiring);
    run->wiring = NULL;
    rki_arena_fini(&run->arena);
    give_runner(run);
}

// ---- links ----------------------------------------------------------------------------------------------------------

static rki_link *new_link(const rki_edge *e)
{
    uint64_t slots = pow2_at_least(e->capacity);
    size_t head = (sizeof(rki_link) + 63) & ~(size_t)63, ring = rki_ring_bytes(slots);
    rki_link *k = aligned_alloc(64, (head + ring + slots * sizeof *k->weights + 63) & ~(size_t)63);
    if (!k)
        return NULL;
    memset(k, 0, sizeof *k);
    k->ring = (rki_ring *)(void *)((char *)k + head);
    k->weights = (uint64_t *)(void *)((char *)k->ring + ring);
    k->byte_limit = e->bytes;
    k->hlc = e->hlc;
    k->evicts = e->overflow == RKI_OVERFLOW_DROP_OLDEST;
    k->letters = e->overflow == RKI_OVERFLOW_DEAD_LETTER;
    if (!rki_ring_init(k->ring, slots)) {
        free(k);
        return NULL;
    }
    return k;
}

// Lets go of what is in it.  Its rows.
uint64_t rki_link_empty(rki_link *k)
{
    uint64_t rows = 0, at;
    rkp_envelope e;
    while (k->evicts ? rki_ring_look(k->ring, &at, &e) && rki_ring_claim(k->ring, at) : rki_ring_pop(k->ring, &e)) {
        rows += e.rows;
        rkp_batch_put((rkp_batch *)(uintptr_t)e.payload);
    }
    return rows;
}

// ---- wirings --------------------------------------------------------------------------------------------------------

// Columns that a kernel reads and does not pass on.  What it passes on keeps its field's text, so that the output does
// not depend on whether the kernel got the column over a ring.
static uint8_t *only_read(rki_wiring *w, const rki_bound *b)
{
    uint8_t *v = rki_array(&w->arena, b->in.n ? b->in.n : 1, 1);
    for (uint32_t c = 0; v && c < b->in.n; c++)
        v[c] = b->reads[c];
    for (uint32_t q = 0; v && b->pass && q < b->out[0].n; q++)
        if (b->pass[q] >= 0)
            v[b->pass[q]] = 0;
    return v;
}

// A subscription that begins when its kernel is activated, with what is retained: until then the edge only retains.
static bool gate(const rki_plan *p, rki_outset *o)
{
    const rki_edge *e = o->edge;
    const rki_kernel *to = p->kernels[p->stages[e->to_stage].kernel].k;
    if (!e->in || !e->in->topic || !to->start_suspended || !e->in->conf || !e->in->conf->retains ||
        to->subs[e->in->sub].start == RKI_FROM_NOW)
        return true;
    o->kept = rki_kept_new(e->in->conf, to->subs[e->in->sub].start == RKI_FROM_LAST);
    o->kept_made = o->gated = true;
    return o->kept != NULL;
}

// What a subscriber to the topic of dead letters wants of them.
static const rkp_expr *dead_where(const rki_plan *p, const rki_bound *b)
{
    rkp_word topic = p->spec->dead_topic;
    for (uint32_t i = 0; topic.p && i < b->k->n_subs; i++)
        if (rki_topic_match(rkp_word_str(b->k->subs[i].topic), rkp_word_str(topic)))
            return b->where[i];
    return NULL;
}

// One condition, or none, or one for each subscription that shares the edge.
static void choose_where(rki_inset *in, const rki_input *from, const rki_bound *b)
{
    bool some = false;
    in->where = b->where[from->sub];
    for (uint32_t i = 0; i < b->k->n_subs; i++)
        some |= i != from->sub && rki_input_of_sub(from, i) && (in->where || b->where[i]);
    if (!some)
        return;
    in->where = NULL;
    in->where_subs = from->subs;
}

// With room for the sets of an old one that has to be brought to its end.
static rki_wiring *new_wiring(rki_net *g, uint32_t actor, rki_more more)
{
    const rki_pactor *pa = &g->gen->plan->actors[actor];
    rki_wiring *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    rki_arena_init(&w->arena);
    w->gen = g->gen;
    w->oldest = g->gen->number;
    w->head = g->gen->plan->stages[pa->stages[0]].kernel;
    w->ins = rki_array(&w->arena, pa->n_in + more.ins + 1u, sizeof *w->ins);
    w->outs = rki_array(&w->arena, pa->n_out + more.outs + 1u, sizeof *w->outs);
    w->stages = rki_array(&w->arena, pa->n_stages, sizeof *w->stages);
    if (w->ins && w->outs && w->stages) {
        w->n_stages = pa->n_stages;
        return w;
    }
    rki_wiring_free(w);
    return NULL;
}

void rki_wiring_free(rki_wiring *w)
{
    if (!w)
        return;
    for (uint32_t o = 0; o < w->n_outs; o++)
        rki_out_free(&w->outs[o]);
    for (uint32_t j = 0; j < w->n_stages; j++) {
        struct rki_wired *s = &w->stages[j];
        for (uint32_t p = 0; s->outs && p < s->n_ports; p++)
            for (uint32_t o = 0; s->outs[p] && o < s->n_outs[p]; o++)
                rki_route_free(s->outs[p][o].route);
        for (uint32_t u = 0; u < s->n_unheard; u++)
            rki_route_free(s->unheard[u].route);
    }
    rki_arena_fini(&w->arena);
    free(w);
}

static rki_wiring *wiring_of(const rki_net *g, uint32_t actor, uint32_t replica)
{
    return g->wirings[g->first_runner[actor] + replica];
}

static rki_runner *runner_of(const rki_net *g, uint32_t actor, uint32_t replica)
{
    return g->runners[g->first_runner[actor] + replica];
}

// Index of a stage of the plan in its actor.
static uint32_t place_of(const rki_pactor *pa, uint32_t stage)
{
    uint32_t i = 0;
    while (i + 1 < pa->n_stages && pa->stages[i] != stage)
        i++;
    return i;
}

static bool make_links(rki_run *r, rki_net *g, uint32_t edge, rki_link *const *old)
{
    bool failed = false;
    const rki_plan *p = g->gen->plan;
    const rki_edge *e = &p->edges[edge];
    uint32_t n = p->actors[e->from_actor].replicas * p->actors[e->to_actor].replicas;
    g->first_link[edge] = g->n_links;
    for (uint32_t i = 0; i < n; i++) {
        rki_link *k = old ? old[i] : new_link(e);
        if (!k)
            return false;
        if (!old)
            k->edge = e;
        if (!old && !(k->flow = rki_flow_of(r, p, e)))
            failed = true;
        g->shared[g->n_links] = old != NULL;
        g->links[g->n_links++] = k;
    }
    return !failed;
}

static bool wire_out(rki_net *g, uint32_t edge, uint32_t f)
{
    const rki_plan *p = g->gen->plan;
    const rki_edge *e = &p->edges[edge];
    const rki_stage *ts = &p->stages[e->to_stage];
    const rki_bound *tb = &p->kernels[ts->kernel];
    uint32_t nt = p->actors[e->to_actor].replicas;
    rki_wiring *w = wiring_of(g, e->from_actor, f);
    rki_outset *o = &w->outs[w->n_outs++];
    o->edge = e;
    o->n = nt;
    o->from = place_of(&p->actors[e->from_actor], e->from_stage);
    o->partition = e->kind == RKI_EDGE_PARTITION || e->group ? tb->partition : NULL;
    o->replies = e->in && e->in->reply;
    o->keeps_stamp = p->stages[e->from_stage].role == RKI_DEAL && !e->dead;
    o->unite_to = o->replies ? &tb->replies : &tb->in;
    o->unite = !e->in ? NULL : &tb->unite[e->to_input];
    w->hlc_out |= e->hlc;
    w->in_circle |= e->circle;
    w->spills |= e->overflow == RKI_OVERFLOW_SPILL;
    w->shares |= e->group != 0;
    if (!gate(p, o))
        return false;
    o->links = rki_array(&w->arena, nt, sizeof(rki_link *));
    o->open = rki_array(&w->arena, nt, sizeof *o->open);
    if (!o->links || !o->open)
        return false;
    for (uint32_t t = 0; t < nt; t++)
        o->links[t] = g->links[g->first_link[edge] + f * nt + t];
    if (!o->replies && ts->role == RKI_WHOLE && tb->k->op->kind == RKP_TRANSFORM &&
        !(tb->k->op->traits & RKP_STATELESS) && !e->dead && tb->unite[e->to_input].same) {
        o->flatten = only_read(w, tb);
        o->n_flatten = tb->in.n;
        if (!o->flatten)
            return false;
    }
    if (e->dead) {
        rki_outset **v = rki_array(&w->arena, w->n_dead + 1u, sizeof(rki_outset *));
        if (!v)
            return false;
        for (uint32_t d = 0; d < w->n_dead; d++)
            v[d] = w->dead[d];
        v[w->n_dead++] = o;
        w->dead = v;
    }
    return true;
}

static bool wire_in(rki_run *r, rki_net *g, uint32_t edge, uint32_t t)
{
    const rki_plan *p = g->gen->plan;
    const rki_edge *e = &p->edges[edge];
    const rki_stage *ts = &p->stages[e->to_stage];
    const rki_bound *tb = &p->kernels[ts->kernel];
    uint32_t nf = p->actors[e->from_actor].replicas, nt = p->actors[e->to_actor].replicas;
    rki_wiring *w = wiring_of(g, e->to_actor, t);
    rki_runner *run = runner_of(g, e->to_actor, t);
    rki_inset *in = &w->ins[w->n_ins++];
    bool head = ts->takes;
    in->edge = e;
    in->port = ts->role == RKI_GATHER ? (uint8_t)e->from_port : e->in && e->in->reply;
    in->n = nf;
    in->unite = !head ? NULL : e->dead ? &tb->dead_unite : &tb->unite[e->to_input];
    in->reply = e->in && e->in->reply;
    in->unite_to = in->reply ? &tb->replies : &tb->in;
    w->calls |= in->reply;
    in->where_any = e->in && e->in->replay && rki_replay_has_where(tb);
    if (head && e->in && e->in->topic && tb->where)
        choose_where(in, e->in, tb);
    if (head && e->dead && tb->where)
        in->where = dead_where(p, tb);
    if (head && tb->k->batches && !run->batcher && !(run->batcher = rki_batcher_new(r, p, tb, run->acts[0]->meter)))
        return false;
    w->hlc_in |= e->hlc;
    w->in_circle |= e->circle;
    // Whoever gets every chunk takes the rings in turn; a replica t of nt gets chunks t, t + nt, ..
    in->cur = e->kind == RKI_EDGE_SCATTER ? t % nf : 0;
    in->step = e->kind == RKI_EDGE_SCATTER ? nt % nf : 1 % nf;
    in->links = rki_array(&w->arena, nf, sizeof(rki_link *));
    for (uint32_t f = 0; in->links && f < nf; f++)
        in->links[f] = g->links[g->first_link[edge] + f * nt + t];
    return in->links != NULL;
}

const char *rki_intern(rki_run *r, const char *z)
{
    rki_named_topic *t;
    rkp_str name = { z, strlen(z) };
    pthread_mutex_lock(&r->build_lock);
    for (t = r->named; t && !rkp_str_eq(t->name, name);)
        t = t->next;
    if (!t && (t = rki_alloc(&r->arena, sizeof *t))) {
        *t = (rki_named_topic){ .name = { rki_dup(&r->arena, z, name.n), name.n } };
        t->topics = (rkp_topics){ 1, &t->name };
        if (t->name.p) {
            t->next = r->named;
            r->named = t;
        }
    }
    pthread_mutex_unlock(&r->build_lock);
    return t ? t->name.p : NULL;
}

// Topics that batches point to: they live as long as the run, once each.
static const rkp_topics *topics_of(rki_run *r, const rki_publication *p)
{
    rkp_str name = rkp_word_str(p->topic);
    rki_named_topic *t = r->named;
    while (t && !rkp_str_eq(t->name, name))
        t = t->next;
    if (t)
        return &t->topics;
    t = rki_alloc(&r->arena, sizeof *t);
    if (!t)
        return NULL;
    t->name = (rkp_str){ rki_dup(&r->arena, name.p, name.n), name.n };
    if (!t->name.p)
        return NULL;
    t->topics = (rkp_topics){ 1, &t->name };
    t->next = r->named;
    r->named = t;
    return &t->topics;
}

// Whose outputs are wired.
struct of_stage {
    const rki_bound *b;
    rki_kstate *ks;
    uint32_t replica;
};

// Adds an edge to what a port emits to: by itself, to the group that shares, or to the route of its templated topic.
static bool add_out(rki_run *r, rki_wiring *w, struct rki_wired *ws, const struct of_stage *of, uint32_t port,
                    rki_outset *o)
{
    const rki_bound *b = of->b;
    const rki_edge *e = o->edge;
    const rki_publication *pub = e->in && e->in->topic ? &b->k->pubs[e->in->pub] : NULL;
    rki_out *out;
    for (uint32_t i = 0; pub && i < ws->n_outs[port]; i++) {
        rki_outset **v;
        out = &ws->outs[port][i];
        if (pub->tpl && out->route && out->pub == pub)
            return rki_route_add(out->route, o);
        if (pub->tpl || !e->group || out->pub != pub || !out->dest.n || out->dest.sets[0]->edge->group != e->group)
            continue;
        v = rki_array(&w->arena, out->dest.n + 1u, sizeof(rki_outset *));
        if (!v)
            return false;
        for (uint32_t d = 0; d < out->dest.n; d++)
            v[d] = out->dest.sets[d];
        v[out->dest.n++] = o;
        out->dest.sets = v;
        return true;
    }
    out = &ws->outs[port][ws->n_outs[port]++];
    out->pub = pub;
    out->first_of_pub = true;
    for (uint32_t i = 0; i + 1 < ws->n_outs[port]; i++)
        out->first_of_pub &= ws->outs[port][i].pub != pub;
    if (pub && out->first_of_pub &&
        !(out->published = rki_published_of(r, of->ks, rkp_word_str(pub->topic), of->replica)))
        return false;
    if (pub && pub->tpl) {
        out->route = rki_route_new(w->gen->plan, b, e->in->pub);
        return out->route && rki_route_add(out->route, o);
    }
    out->topics = pub ? topics_of(r, pub) : NULL;
    out->dest = (rki_dest){ .sets = rki_alloc(&w->arena, sizeof(rki_outset *)), .n = 1 };
    if (!out->dest.sets || (pub && !out->topics))
        return false;
    out->dest.sets[0] = o;
    return true;
}

// Topics that nobody subscribes to can still be tapped.
static bool add_unheard(rki_run *r, rki_wiring *w, struct rki_wired *ws, const struct of_stage *of, const rki_stage *s)
{
    const rki_bound *b = of->b;
    const rki_kernel *k = b->k;
    if (!k->n_pubs || !s->gives)
        return true;
    ws->unheard = rki_array(&w->arena, k->n_pubs, sizeof *ws->unheard);
    for (uint32_t q = 0; ws->unheard && q < k->n_pubs; q++) {
        const rki_publication *pub = &k->pubs[q];
        rki_out *out = &ws->unheard[ws->n_unheard];
        bool heard = pub->port >= s->n_ports;
        for (uint32_t o = 0; !heard && o < ws->n_outs[pub->port]; o++)
            heard = ws->outs[pub->port][o].pub == pub;
        if (heard)
            continue;
        out->pub = pub;
        out->topics = pub->tpl ? NULL : topics_of(r, pub);
        out->route = pub->tpl ? rki_route_new(w->gen->plan, b, q) : NULL;
        ws->n_unheard++;
        out->published = rki_published_of(r, of->ks, rkp_word_str(pub->topic), of->replica);
        if (!out->published || (!out->topics && !out->route) || (out->route && !rki_route_seal(out->route)))
            return false;
    }
    return ws->unheard != NULL;
}

static bool wire_stage(rki_run *r, rki_net *g, uint32_t actor, uint32_t replica, uint32_t i)
{
    rki_wiring *w = wiring_of(g, actor, replica);
    const rki_plan *p = g->gen->plan;
    const rki_pactor *pa = &p->actors[actor];
    const rki_stage *s = &p->stages[pa->stages[i]];
    const rki_bound *b = &p->kernels[s->kernel];
    const struct of_stage of = { b, g->ks[s->kernel], replica };
    struct rki_wired *ws = &w->stages[i];
    ws->outs = rki_array(&w->arena, s->n_ports ? s->n_ports : 1, sizeof *ws->outs);
    ws->n_outs = rki_array(&w->arena, s->n_ports ? s->n_ports : 1, sizeof *ws->n_outs);
    if (!ws->outs || !ws->n_outs)
        return false;
    ws->n_ports = s->n_ports;
    for (uint32_t q = 0; q < s->n_ports; q++) {
        uint32_t n = s->n_targets[q];
        ws->outs[q] = rki_array(&w->arena, n ? n : 1, sizeof **ws->outs);
        if (!ws->outs[q])
            return false;
        for (uint32_t t = 0; t < n; t++) {
            rki_target to = s->targets[q][t];
            if (to.local) {
                ws->outs[q][ws->n_outs[q]].local_at = place_of(pa, to.index);
                ws->outs[q][ws->n_outs[q]++].is_local = true;
                continue;
            }
            for (uint32_t j = 0; j < w->n_outs; j++)
                if (w->outs[j].edge == &p->edges[to.index] && !add_out(r, w, ws, &of, q, &w->outs[j]))
                    return false;
        }
        for (uint32_t o = 0; o < ws->n_outs[q]; o++)
            if (ws->outs[q][o].route && !rki_route_seal(ws->outs[q][o].route))
                return false;
    }
    return add_unheard(r, w, ws, &of, s);
}

// Onto a runner that does not run, or by the runner itself.
void rki_put_on(rki_runner *run, rki_wiring *w)
{
    run->wiring = w;
    run->ins = w->ins;
    run->n_ins = w->n_ins;
    run->outs = w->outs;
    run->n_outs = w->n_outs;
    run->dead = w->dead;
    run->n_dead = w->n_dead;
    run->hlc_out = w->hlc_out;
    run->hlc_in = w->hlc_in;
    run->in_circle = w->in_circle;
    run->spills = w->spills;
    run->lossy = false;
    for (uint32_t i = 0; i < w->n_outs; i++)
        run->lossy |= w->outs[i].edge->overflow != RKI_OVERFLOW_BLOCK;
    run->shares = w->shares;
    run->calls = w->calls;
    for (uint32_t i = 0; i < run->n_stages; i++) {
        rkp_actor *a = run->acts[i];
        struct rki_wired *s = &w->stages[i];
        a->outs = s->outs;
        a->n_outs = s->n_outs;
        a->unheard = s->unheard;
        a->n_unheard = s->n_unheard;
        for (uint32_t p = 0; p < s->n_ports; p++)
            for (uint32_t o = 0; o < s->n_outs[p]; o++)
                if (s->outs[p][o].is_local)
                    s->outs[p][o].local = run->acts[s->outs[p][o].local_at];
    }
    if (run->spills)
        rki_spill_begin(run);
}

// ---- the whole ------------------------------------------------------------------------------------------------------

static rki_kstate *new_kstate(rki_run *r, const rki_kernel *k)
{
    rki_kstate *s = r->gone; // events and dead letters speak of kernels that have gone
    while (s && strcmp(s->id, k->id.p) != 0)
        s = s->next_gone;
    if (s)
        return s; // rki_net_place gives it its operator
    s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->op = k->op;
    s->id = rki_dup(&r->arena, k->id.p, k->id.n);
    if (s->id)
        return s;
    free(s);
    return NULL;
}

// Also memory for what it will be given by another (sets.c), which may not fail then.
static bool count_ends(rki_wiring *w, rki_more more)
{
    size_t columns = w->gen->plan->kernels[w->head].in.n + 1u, sets = (size_t)more.ins + more.outs;
    for (uint32_t i = 0; i < w->n_outs; i++)
        w->n_ends += w->outs[i].n;
    for (uint32_t i = 0; i < w->n_ins; i++)
        w->n_ends += w->ins[i].n;
    return sets == 0 ||
           rki_arena_reserve(&w->arena, 4 * sets,
                             sets * sizeof(rki_edge) + more.ends * (sizeof(rki_link *) + sizeof(uint32_t)) +
                                 more.ins * (sizeof(rki_unite) + columns * sizeof(int32_t)));
}

rki_net *rki_net_new(rki_run *r, rki_gen *gen, const rki_stays *stays)
{
    const rki_plan *p = gen->plan;
    rki_net *g = calloc(1, sizeof *g);
    uint32_t n_links = 0;
    if (!g)
        return NULL;
    rki_arena_init(&g->arena);
    g->gen = gen;
    for (uint32_t i = 0; i < p->n_actors; i++)
        g->cap_runners += p->actors[i].replicas;
    for (uint32_t i = 0; i < p->n_edges; i++)
        n_links += p->actors[p->edges[i].from_actor].replicas * p->actors[p->edges[i].to_actor].replicas;
    g->runners = rki_array(&g->arena, g->cap_runners + 1u, sizeof *g->runners);
    g->wirings = rki_array(&g->arena, g->cap_runners + 1u, sizeof *g->wirings);
    g->first_runner = rki_array(&g->arena, p->n_actors + 1u, sizeof *g->first_runner);
    g->links = rki_array(&g->arena, n_links + 1u, sizeof *g->links);
    g->shared = rki_array(&g->arena, n_links + 1u, sizeof *g->shared);
    g->first_link = rki_array(&g->arena, p->n_edges + 1u, sizeof *g->first_link);
    g->ks = rki_array(&g->arena, p->n_kernels + 1u, sizeof *g->ks);
    if (!g->runners || !g->wirings || !g->first_runner || !g->links || !g->shared || !g->first_link || !g->ks)
        goto fail;
    for (uint32_t i = 0; i < p->n_kernels; i++) {
        g->ks[i] = stays && stays->ks[i] ? stays->ks[i] : new_kstate(r, p->kernels[i].k);
        if (!g->ks[i])
            goto fail;
    }
    for (uint32_t i = 0; i < p->n_actors; i++) {
        g->first_runner[i] = g->n_runners;
        for (uint32_t j = 0; j < p->actors[i].replicas; j++) {
            rki_runner *old = stays && stays->runners[i] ? stays->runners[i][j] : NULL;
            rki_runner *run = old ? old : new_runner(r, g, i, j);
            g->runners[g->n_runners] = run;
            g->wirings[g->n_runners++] = new_wiring(g, i, stays ? stays->more[i] : (rki_more){ 0 });
            if (!run || run->n_stages != p->actors[i].n_stages || !g->wirings[g->n_runners - 1])
                goto fail;
        }
    }
    for (uint32_t i = 0; i < p->n_edges; i++)
        if (!make_links(r, g, i, stays ? stays->links[i] : NULL))
            goto fail;
    for (uint32_t i = 0; i < p->n_edges; i++) {
        for (uint32_t f = 0; f < p->actors[p->edges[i].from_actor].replicas; f++)
            if (!wire_out(g, i, f))
                goto fail;
        for (uint32_t t = 0; t < p->actors[p->edges[i].to_actor].replicas; t++)
            if (!wire_in(r, g, i, t))
                goto fail;
    }
    for (uint32_t i = 0; i < p->n_actors; i++)
        for (uint32_t j = 0; j < p->actors[i].replicas; j++)
            for (uint32_t s = 0; s < p->actors[i].n_stages; s++)
                if (!wire_stage(r, g, i, j, s))
                    goto fail;
    for (uint32_t i = 0; i < p->n_actors; i++)
        for (uint32_t j = 0; j < p->actors[i].replicas; j++)
            if (!count_ends(wiring_of(g, i, j), stays ? stays->more[i] : (rki_more){ 0 }))
                goto fail;
    return g;
fail:
    rki_net_free(r, g, stays);
    return NULL;
}

// What it does not share with another: of a graph that was never put in place.
void rki_net_free(rki_run *r, rki_net *g, const rki_stays *stays)
{
    const rki_plan *p;
    if (!g)
        return;
    p = g->gen->plan;
    (void)r;
    for (uint32_t i = 0; i < g->n_runners; i++) {
        rki_wiring_free(g->wirings[i]);
        if (g->runners[i] && g->runners[i]->gen == g->gen)
            rki_runner_free(g->runners[i]);
    }
    for (uint32_t i = 0; i < g->n_links; i++)
        if (!g->shared[i])
            free(g->links[i]);
    for (uint32_t i = 0; g->ks && i < p->n_kernels; i++)
        if (g->ks[i] && (!stays || !stays->ks[i]) && !g->ks[i]->gone)
            rki_kstate_free(g->ks[i]);
    rki_arena_fini(&g->arena);
    free(g);
}

void rki_net_place(rki_run *r, rki_net *g)
{
    const rki_plan *p = g->gen->plan;
    for (uint32_t i = 0; i < p->n_edges; i++) {
        const rki_edge *e = &p->edges[i];
        uint32_t nf = p->actors[e->from_actor].replicas, nt = p->actors[e->to_actor].replicas;
        for (uint32_t f = 0; f < nf; f++) {
            for (uint32_t t = 0; t < nt; t++) {
                rki_link *k = g->links[g->first_link[i] + f * nt + t];
                k->edge = e;
                // Sequentially consistent: see rki_wake_to.
                __atomic_store_n(&k->from, runner_of(g, e->from_actor, f), __ATOMIC_SEQ_CST);
                __atomic_store_n(&k->to, runner_of(g, e->to_actor, t), __ATOMIC_SEQ_CST);
            }
        }
    }
    r->net = g;
    r->plan = p;
    r->runners = g->runners;
    r->n_runners = g->n_runners;
    r->links = g->links;
    r->n_links = g->n_links;
    r->ks = g->ks;
    for (uint32_t i = 0; i < p->n_kernels; i++)
        r->ks[i]->op = p->kernels[i].k->op;
}
