// run/sets.c - the ends of rings when a wiring takes the place of another: what is in both goes on, the rest is brought to its end
// (docs/design/reload.md).
#include "run/reload.h"

rki_outset *rki_out_with(const rki_wiring *w, const rki_link *k)
{
    for (uint32_t i = 0; i < w->n_outs; i++)
        if (w->outs[i].n && w->outs[i].links[0] == k)
            return &w->outs[i];
    return NULL;
}

rki_inset *rki_in_with(const rki_wiring *w, const rki_link *k)
{
    for (uint32_t i = 0; i < w->n_ins; i++)
        if (w->ins[i].n && w->ins[i].links[0] == k)
            return &w->ins[i];
    return NULL;
}

// What has happened to a set goes on with the one that takes its place.
void rki_move_out(const rki_wiring *w, rki_outset *to, rki_outset *from)
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
    to->ends = from->ends;
    rki_kept_moved(to);
    rki_spill_moved(to, w->gen->plan);
    from->box = NULL;
    from->n_box = from->cap_box = 0;
    from->spill = NULL;
    from->kept = NULL;
    from->n = 0;
}

void rki_move_in(rki_inset *to, rki_inset *from)
{
    to->n_ended = from->n_ended;
    to->cur = from->cur;
    to->n_barred = from->n_barred;
    to->turn = from->turn;
    to->era = from->era;
    to->known = true;
    from->n = 0;
}

// Of a set whose edge goes: all of it in memory of w, which has been reserved (wire.c).  False: it has not; the set is left where it is.
static bool own_copies(rki_wiring *w, const rki_edge **edge, rki_link ***links, uint32_t **open, uint32_t n)
{
    rki_edge *own = rki_alloc(&w->arena, sizeof *own);
    rki_link **v = rki_array(&w->arena, n, sizeof(rki_link *));
    uint32_t *o = open ? rki_array(&w->arena, n, sizeof *o) : NULL;
    if (!own || !v || (open && !o)) {
        w->failed = true;
        return false;
    }
    *own = **edge;
    own->in = NULL;
    own->group = 0;
    *edge = own;
    memcpy(v, *links, n * sizeof(rki_link *));
    *links = v;
    if (open)
        *open = o;
    w->n_ends += n;
    return true;
}

// Everything that it was given has been sent, and what was on disk for it has been taken.
bool rki_all_sent(const rki_outset *o)
{
    if (o->n_box || rki_spilling(o))
        return false;
    for (uint32_t l = 0; o->spill && l < o->n; l++)
        if (rki_ring_fill(o->links[l]->ring) > 0)
            return false;
    return true;
}

// The set is brought to its end by the runner that will have w; `over`: by nobody, because that one has ended, and said so.
void rki_close_out(rki_runner *r, rki_wiring *w, rki_outset *from, bool over)
{
    rki_outset *o;
    if (over || ((from->closes || from->ends) && rki_all_sent(from))) {
        rki_spill_close(from, rki_all_sent(from));
        for (uint32_t l = 0; l < from->n; l++)
            __atomic_store_n(&from->links[l]->left_from, 1, __ATOMIC_RELEASE);
        from->n = 0;
        return;
    }
    o = &w->outs[w->n_outs];
    *o = *from;
    if (!own_copies(w, &o->edge, &o->links, &o->open, from->n))
        return;
    w->n_outs++;
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
    w->hlc_out |= o->edge->hlc; // its reader may move our clock until it has ended
    if (o->closes || o->ends) {
        o->closes = true;
        return;
    }
    o->closes = true;
    r->emission++;
    rki_box_end(r, o);
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

void rki_retire_in(rki_wiring *w, const rki_bound *head, const rki_plan *p, rki_inset *from)
{
    rki_inset *in;
    if (from->n_ended == from->n) {
        for (uint32_t l = 0; l < from->n; l++)
            __atomic_store_n(&from->links[l]->left_to, 1, __ATOMIC_RELEASE);
        from->n = 0;
        return;
    }
    in = &w->ins[w->n_ins];
    *in = *from;
    if (!own_copies(w, &in->edge, &in->links, NULL, from->n))
        return;
    w->n_ins++;
    if (!from->retires && from->unite) {
        const rki_bound *b = &p->kernels[p->stages[from->edge->from_stage].kernel];
        in->comes = from->edge->dead ? rki_dead_schema() : &b->out[from->edge->from_port];
    }
    if (in->comes && !(in->unite = unite_by_name(w, &head->in, in->comes)))
        w->failed = true;
    in->unite_to = &head->in;
    in->retires = true;
    from->n = 0;
    w->n_retires++;
}

// Everything of `from` goes on in w: what is in both, and what has to be brought to its end.
static void take_sets(rki_runner *r, rki_wiring *w, rki_wiring *from, const rki_bound *head)
{
    const rki_plan *p = from->gen->plan;
    for (uint32_t i = 0; i < from->n_outs; i++) {
        rki_outset *o = &from->outs[i], *to = o->n && !o->closes ? rki_out_with(w, o->links[0]) : NULL;
        if (to)
            rki_move_out(w, to, o);
        else if (o->n)
            rki_close_out(r, w, o, rki_runner_over(r));
    }
    for (uint32_t i = 0; i < from->n_ins; i++) {
        rki_inset *in = &from->ins[i], *to = in->n && !in->retires ? rki_in_with(w, in->links[0]) : NULL;
        if (to)
            rki_move_in(to, in);
        else if (in->n)
            rki_retire_in(w, head, p, in);
    }
    if ((w->n_closes || w->n_retires) && from->oldest < w->oldest)
        w->oldest = from->oldest;
}

// What is new comes after what retires.
void rki_mark_following(rki_wiring *w)
{
    for (uint32_t i = 0; w->n_retires && i < w->n_ins; i++)
        if (!w->ins[i].retires && !w->ins[i].known)
            w->ins[i].era = w->gen->number;
}

// What comes to one that has said its end gets an end, and nothing else.
static void end_new_outs(rki_runner *r)
{
    r->emission++;
    for (uint32_t i = 0; i < r->n_outs; i++)
        if (r->outs[i].n && !r->outs[i].ends && !r->outs[i].closes && !r->outs[i].gated)
            rki_box_end(r, &r->outs[i]);
}

void rki_adopt(rki_runner *r)
{
    // Acquire, from the control thread's release: the wiring.
    rki_wiring *w = __atomic_load_n(&r->next, __ATOMIC_ACQUIRE), *old = r->wiring;
    bool failed;
    if (!w)
        return;
    if (r->hlc_out) // who moves our clock looks at the rings; else nobody may move it
        rki_clock_enter(r);
    pthread_mutex_lock(&r->run->lock); // others open gates under it
    take_sets(r, w, old, &w->gen->plan->kernels[w->head]);
    rki_mark_following(w);
    rki_put_on(r, w);
    if (r->end_sent)
        end_new_outs(r);
    rki_reopen(r);
    failed = w->failed;
    __atomic_store_n(&r->worn, old, __ATOMIC_RELEASE);
    // Release, to the acquire of the control thread: nothing of the old one is used any more.
    __atomic_store_n(&r->next, NULL, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&r->run->lock);
    if (r->hlc_out)
        rki_clock_leave(r);
    if (failed)
        rki_fail_run(r->acts[0], RKP_NOMEM, "out of memory while a reload changes its inputs");
    if (!r->run->b)
        return;
    if (r->done) // nobody else would
        rki_flush(r);
    r->run->backend->poke(r->run->b);
}

void rki_let_sets_go(rki_runner *r)
{
    rki_wiring *w = r->wiring;
    bool any = false;
    for (uint32_t i = 0; i < w->n_outs; i++) {
        rki_outset *o = &w->outs[i];
        if (!o->closes || !o->n || !rki_all_sent(o))
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
