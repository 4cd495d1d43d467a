// plan/cut.c - reload.consistency: path.  Which actors stand still so that no message meets kernels or routes of two generations.
//
// What changes at one place only is changed there between two messages, and needs no more.  Where a message can meet several such places, the
// actors between them stop from upstream to downstream, each when nothing is left before it; so at the cut everything has passed all
// of them or none.  Where that begins: as far downstream as one row of actors has everything of the change behind it, else at the sources.
//
// It is the aligned barrier of Chandy and Lamport, and of Flink, with the rings drained in place of a mark in them: the same messages are before
// it and behind it, and what is replaced stands as long either way, because all are replaced at once.
#include "plan/diff.h"

#include <string.h>

struct cut {
    const rki_diff *v;
    bool *changed; // per actor of the plan that runs, as all of these: a place where a message meets the change
    bool *leads;   // something of the change is behind it, or itself
    bool *begins;
    bool *seen;
    uint32_t *queue;
};

static uint32_t n_of(const struct cut *c)
{
    return c->v->from->n_actors;
}

static void mark_changed(struct cut *c)
{
    const rki_diff *v = c->v;
    for (uint32_t i = 0; i < n_of(c); i++)
        c->changed[i] = v->old_actors[i] < 0;
    for (uint32_t i = 0; i < v->from->n_edges; i++)
        if (v->old_edges[i] < 0)
            c->changed[v->from->edges[i].from_actor] = true;
    for (uint32_t j = 0; j < v->to->n_edges; j++) {
        int32_t old = v->actors[v->to->edges[j].from_actor];
        if (v->edges[j] < 0 && old >= 0)
            c->changed[old] = true;
    }
}

static void mark_leads(struct cut *c)
{
    const rki_plan *p = c->v->from;
    memcpy(c->leads, c->changed, n_of(c) * sizeof *c->leads);
    for (bool again = true; again;) {
        again = false;
        for (uint32_t i = 0; i < p->n_edges; i++) {
            const rki_edge *e = &p->edges[i];
            if (c->leads[e->to_actor] && !c->leads[e->from_actor])
                again = c->leads[e->from_actor] = true;
        }
    }
}

// How many changed actors are behind this one, itself among them; two are as good as more.
static uint32_t behind(struct cut *c, uint32_t at)
{
    const rki_plan *p = c->v->from;
    uint32_t n = 1, found = 0;
    memset(c->seen, 0, n_of(c) * sizeof *c->seen);
    c->queue[0] = at;
    c->seen[at] = true;
    for (uint32_t i = 0; i < n && found < 2; i++) {
        found += c->changed[c->queue[i]];
        for (uint32_t e = 0; e < p->n_edges; e++) {
            uint32_t to = p->edges[e].to_actor;
            if (p->edges[e].from_actor != c->queue[i] || c->seen[to] || !c->leads[to])
                continue;
            c->seen[to] = true;
            c->queue[n++] = to;
        }
    }
    return found;
}

static bool is_source(const struct cut *c, uint32_t actor)
{
    for (uint32_t i = 0; i < c->v->from->n_edges; i++)
        if (c->v->from->edges[i].to_actor == actor)
            return false;
    return true;
}

// The only actor behind this one that leads to the change; -1: there are several, or it changes itself.
static int64_t only_target(const struct cut *c, uint32_t actor)
{
    int64_t to = -1;
    for (uint32_t i = 0; i < c->v->from->n_edges; i++) {
        const rki_edge *e = &c->v->from->edges[i];
        if (e->from_actor != actor || !c->leads[e->to_actor])
            continue;
        if (to >= 0 && to != e->to_actor)
            return -1;
        to = e->to_actor;
    }
    return c->changed[actor] ? -1 : to;
}

// Everybody before `to` begins, and leads only there: it can begin there.
static bool all_lead_to(const struct cut *c, uint32_t to)
{
    for (uint32_t i = 0; i < c->v->from->n_edges; i++) {
        const rki_edge *e = &c->v->from->edges[i];
        if (e->to_actor == to && (!c->begins[e->from_actor] || only_target(c, e->from_actor) != to))
            return false;
    }
    return true;
}

static void find_begin(struct cut *c)
{
    const rki_plan *p = c->v->from;
    for (uint32_t i = 0; i < n_of(c); i++)
        c->begins[i] = is_source(c, i) && c->leads[i] && behind(c, i) > 1;
    for (bool again = true; again;) {
        again = false;
        for (uint32_t i = 0; i < n_of(c); i++) {
            int64_t to = c->begins[i] ? only_target(c, i) : -1;
            if (to < 0 || c->begins[to] || !all_lead_to(c, (uint32_t)to))
                continue;
            for (uint32_t e = 0; e < p->n_edges; e++)
                if (p->edges[e].to_actor == (uint32_t)to)
                    c->begins[p->edges[e].from_actor] = false;
            again = c->begins[to] = true;
        }
    }
}

static void mark_between(struct cut *c, bool *halts)
{
    const rki_plan *p = c->v->from;
    memcpy(c->seen, c->begins, n_of(c) * sizeof *c->seen);
    for (bool again = true; again;) {
        again = false;
        for (uint32_t i = 0; i < p->n_edges; i++) {
            const rki_edge *e = &p->edges[i];
            if (c->seen[e->from_actor] && c->leads[e->to_actor] && !c->seen[e->to_actor])
                again = c->seen[e->to_actor] = true;
        }
    }
    for (uint32_t i = 0; i < n_of(c); i++)
        halts[i] |= c->seen[i];
}

// Nobody of those who wait for each other's end could stop first.
static bool no_circles(const struct cut *c, rkp_diags *d)
{
    const rki_plan *p = c->v->from;
    for (uint32_t i = 0; i < p->n_edges; i++) {
        const rki_edge *e = &p->edges[i];
        const rki_bound *b = &p->kernels[p->stages[e->to_stage].kernel];
        bool reply = e->in && e->in->reply;
        if (!c->seen[e->from_actor] || !c->seen[e->to_actor] || !(e->circle || reply))
            continue;
        rkp_diag(d, RKP_ERROR, c->v->to->n_kernels ? c->v->to->kernels[0].k->at : (rkp_loc){ 0 }, "reload-unsupported",
                 "kernel '%s' %s between what changes, which 'consistency: path' does not support yet", b->k->id.p,
                 reply ? "waits for replies" : "lies on a circle");
        rkp_diag_hint(d, "use 'consistency: hop' for this change, or stop the pipeline and start it again");
        return false;
    }
    return true;
}

bool rki_diff_cut(rki_diff *v, rkp_diags *d)
{
    uint32_t n = v->from->n_actors;
    struct cut c = {
        .v = v,
        .changed = rki_array(&v->arena, n + 1u, sizeof(bool)),
        .leads = rki_array(&v->arena, n + 1u, sizeof(bool)),
        .begins = rki_array(&v->arena, n + 1u, sizeof(bool)),
        .seen = rki_array(&v->arena, n + 1u, sizeof(bool)),
        .queue = rki_array(&v->arena, n + 1u, sizeof(uint32_t)),
    };
    if (!c.changed || !c.leads || !c.begins || !c.seen || !c.queue) {
        rkp_diag(d, RKP_ERROR, (rkp_loc){ 0 }, "no-memory", "out of memory");
        return false;
    }
    mark_changed(&c);
    mark_leads(&c);
    find_begin(&c);
    mark_between(&c, v->halts);
    return no_circles(&c, d);
}
