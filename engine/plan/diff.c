// plan/diff.c - two plans compared: kernels by name, then rings, then actors.
//
//   kernels   text and bound form equal: same.  Operator, options and columns equal: retune (the instance goes on).  Else a new
//             instance, with the state of the old one where its shape cannot have changed.
//   edges     the same ends, the same shape, and what is in the ring is what the new consumer needs: its rings go on.
//   actors    the same stages of kernels that are the same, and no edge of theirs that has changed its shape: runs on as it is.
//
// An actor beside an edge whose shape changes stops as well, although its kernels are the same: the old ring must be emptied
// in between, by a consumer whose producer has stopped.  Such an edge may make the next one change, so that is a fixed point.
#include "plan/diff.h"

#include "base/json.h"
#include "spec/tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct differ {
    rki_diff *v;
    const rki_plan *a, *b; // from, to
    rkp_diags *d;
    bool variables, defaults; // differ
    bool kept;                // checkpoints are made
};

// ---- texts ----------------------------------------------------------------------------------------------------------

static bool same_str(rkp_str a, rkp_str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static bool same_word(rkp_word a, rkp_word b)
{
    return (a.p == NULL) == (b.p == NULL) && (!a.p || same_str(rkp_word_str(a), rkp_word_str(b)));
}

static bool same_node(const rkp_node *a, const rkp_node *b)
{
    if (!a || !b)
        return a == b;
    if (a->kind != b->kind || !same_word(a->key, b->key) || (a->child == NULL) != (b->child == NULL))
        return false;
    if (!a->child)
        return same_str(a->text, b->text);
    a = a->child;
    b = b->child;
    for (; a && b; a = a->next, b = b->next)
        if (!same_node(a, b))
            return false;
    return a == b;
}

// Variables in texts are filled in, and what differs is seen; in expressions they stand as var.x.
static bool speaks_of_variables(const rkp_node *n)
{
    if (!n)
        return false;
    if (!n->child)
        return n->text.n > 4 && memmem(n->text.p, n->text.n, "var.", 4) != NULL;
    for (n = n->child; n; n = n->next)
        if (speaks_of_variables(n))
            return true;
    return false;
}

static const rkp_node *node_of(const rki_plan *p, const rki_bound *k)
{
    const rkp_node *all = rki_node_get(p->spec->root, "kernels");
    return all ? rki_node_get(all, k->k->id.p) : NULL;
}

static bool same_variables(const rki_spec *a, const rki_spec *b)
{
    if (a->n_vars != b->n_vars)
        return false;
    for (size_t i = 0; i < a->n_vars; i++)
        if (!same_word(a->vars[i].name, b->vars[i].name) || !same_str(a->vars[i].value, b->vars[i].value))
            return false;
    return true;
}

// ---- columns --------------------------------------------------------------------------------------------------------

static bool same_type(rkp_type a, rkp_type b)
{
    return a.kind == b.kind && a.nullable == b.nullable && a.len == b.len;
}

static bool same_schema(const rkp_schema *a, const rkp_schema *b)
{
    if (a->n != b->n)
        return false;
    for (uint32_t i = 0; i < a->n; i++)
        if (!rkp_str_eq(a->f[i].name, b->f[i].name) || !same_type(a->f[i].type, b->f[i].type))
            return false;
    return true;
}

static bool same_outs(const rki_bound *a, const rki_bound *b)
{
    if (a->n_out != b->n_out)
        return false;
    for (uint32_t i = 0; i < a->n_out; i++)
        if (!same_schema(&a->out[i], &b->out[i]))
            return false;
    return true;
}

static bool same_bytes(const uint8_t *a, const uint8_t *b, uint32_t n)
{
    return (a == NULL) == (b == NULL) && (!a || n == 0 || memcmp(a, b, n) == 0);
}

static bool same_needs(const rki_bound *a, const rki_bound *b)
{
    return a->n_out == 0 || same_bytes(a->needed, b->needed, a->out[0].n);
}

// As far as an instance knows them.
static bool same_columns(const rki_bound *a, const rki_bound *b)
{
    return same_schema(&a->in, &b->in) && same_outs(a, b) && same_needs(a, b) &&
           same_bytes(a->reads, b->reads, a->in.n) && same_schema(&a->replies, &b->replies) && a->whole == b->whole;
}

// The columns that it looks at, by their names: what it keeps is made of those, and of what it gives.
static bool same_reads(const rki_bound *a, const rki_bound *b)
{
    for (int turn = 0; turn < 2; turn++) {
        const rki_bound *o = b;
        for (uint32_t i = 0; i < a->in.n; i++) {
            uint32_t j = 0;
            if (a->reads && !a->reads[i])
                continue;
            while (j < o->in.n && !rkp_str_eq(a->in.f[i].name, o->in.f[j].name))
                j++;
            if (j == o->in.n || !same_type(a->in.f[i].type, o->in.f[j].type))
                return false;
        }
        b = a;
        a = o;
    }
    return true;
}

// ---- kernels --------------------------------------------------------------------------------------------------------

static const rkp_opt *row_of(const rkp_op *op, rkp_word key)
{
    for (const rkp_opt *o = op->opts; o && o->name; o++)
        if (rkp_str_is(rkp_word_str(key), o->name))
            return o;
    return NULL;
}

// The first option that differs and that what the operator keeps depends on; "" none such; NULL: none differs at all.
static const char *changed_option(const rkp_op *op, const rkp_node *a, const rkp_node *b)
{
    const char *found = NULL;
    for (int turn = 0; turn < 2; turn++) {
        const rkp_node *x = turn ? b : a, *y = turn ? a : b;
        for (const rkp_node *o = x ? x->child : NULL; o; o = o->next) {
            const rkp_opt *row = row_of(op, o->key);
            if (y && same_node(o, rki_node_get(y, o->key.p)))
                continue;
            if (!row || !row->live)
                return o->key.p;
            found = "";
        }
    }
    return found;
}

static const char *text(struct differ *w, const char *fmt, const char *a)
{
    rki_buf b;
    char *z;
    rki_buf_init(&b);
    rki_putf(&b, fmt, a);
    z = rki_dup(&w->v->arena, b.p ? b.p : "", b.n);
    rki_buf_fini(&b);
    return z ? z : "";
}

static bool refuse_state(struct differ *w, const rki_bound *b, const char *what)
{
    rkp_diag(w->d, RKP_ERROR, b->k->at, "reload-state", "kernel '%s' keeps state that does not fit the change of %s",
             b->k->id.p, what);
    rkp_diag_hint(w->d, "reload.keep_state: reset lets it begin anew; or give the changed kernel another name");
    return false;
}

static bool refuse_output(struct differ *w, const rki_bound *b, const char *why)
{
    rkp_diag(w->d, RKP_ERROR, b->k->at, "reload-state",
             "kernel '%s' would begin the file it is writing anew, because of its %s", b->k->id.p, why);
    rkp_diag_hint(w->d, "give it another path: what it has written so far is then complete under its name");
    return false;
}

static bool replace(struct differ *w, rki_kernel_diff *k, const rki_bound *a, const rki_bound *b, const char *option,
                    const char *why)
{
    const rkp_op *op = b->k->op;
    k->change = RKI_REPLACE;
    k->why = why;
    if (a->k->op == op && (op->traits & RKP_STATELESS))
        return true;
    if (a->k->op != op)
        option = "op";
    if (a->k->op->kind == RKP_SINK) { // what was written is complete as it is
        const rkp_node *x = a->k->with ? rki_node_get(a->k->with, "path") : NULL;
        const rkp_node *y = b->k->with ? rki_node_get(b->k->with, "path") : NULL;
        if (x && same_node(x, y))
            return refuse_output(w, b, why);
        k->finishes = true;
        return true;
    }
    if (a->k->op == op && op->save && op->restore && (!option || !option[0]) && same_outs(a, b) && same_reads(a, b)) {
        k->carries = true;
        return true;
    }
    if ((a->k->op->traits & (RKP_STATELESS | RKP_RESTARTS)) || w->b->spec->reload.keep_state == RKI_KEEP_RESET)
        return true;
    return refuse_state(w, b, option && option[0] ? text(w, "'%s'", option) : "its columns");
}

static bool kernel(struct differ *w, rki_kernel_diff *k, const rki_bound *b)
{
    const rki_bound *a = NULL;
    const rkp_node *x, *y, *with;
    const char *option;
    k->old = -1;
    k->change = RKI_ADD;
    for (uint32_t i = 0; i < w->a->n_kernels; i++) {
        if (!same_word(w->a->kernels[i].k->id, b->k->id))
            continue;
        a = &w->a->kernels[i];
        k->old = (int32_t)i;
        w->v->old_kernels[i] = (int32_t)(b - w->b->kernels);
    }
    if (!a)
        return true;
    x = node_of(w->a, a);
    y = node_of(w->b, b);
    with = y ? rki_node_get(y, "with") : b->k->with; // the engine's own are not in the file
    option = changed_option(b->k->op, x ? rki_node_get(x, "with") : a->k->with, with);
    if (a->k->op != b->k->op)
        return replace(w, k, a, b, "op", "op");
    if (option)
        return replace(w, k, a, b, option, option[0] ? text(w, "with.%s", option) : "with");
    if (!same_node(x ? rki_node_get(x, "state") : NULL, y ? rki_node_get(y, "state") : NULL))
        return replace(w, k, a, b, NULL, "state");
    if (w->variables && speaks_of_variables(y))
        return replace(w, k, a, b, NULL, "vars");
    if (a->loads != b->loads)
        return replace(w, k, a, b, NULL, "what is in the file that it loads");
    if (!same_columns(a, b))
        return replace(w, k, a, b, NULL, "columns");
    if (w->defaults || !same_node(x, y) || a->on_error != b->on_error) {
        k->change = RKI_RETUNE;
        k->why = "settings";
        return true;
    }
    k->change = RKI_SAME;
    return true;
}

// Columns one after the other, or, where the order is nothing to it, their sum.
static uint64_t hash_columns(uint64_t h, const rkp_schema *s, const uint8_t *reads, bool ordered)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        uint64_t one = rki_hash_text(ordered ? h : RKI_HASH_BEGIN, s->f[i].name.p, s->f[i].name.n);
        uint32_t type[3] = { s->f[i].type.kind, s->f[i].type.nullable, s->f[i].type.len };
        if (reads && !reads[i])
            continue;
        one = rki_hash_text(one, (const char *)type, sizeof type);
        if (ordered)
            h = one;
        else
            sum += one;
    }
    return ordered ? h : rki_hash_text(h, (const char *)&sum, sizeof sum);
}

uint64_t rki_form_of(const rki_bound *b, const rki_spec *s)
{
    const rkp_op *op = b->k->op;
    const rkp_node *with = b->k->with;
    uint64_t h = rki_hash_text(RKI_HASH_BEGIN, op->name, strlen(op->name)), sum = 0;
    for (const rkp_node *o = with ? with->child : NULL; o; o = o->next) { // in any order
        const rkp_opt *row = row_of(op, o->key);
        if (!row || !row->live)
            sum += rki_hash_node(RKI_HASH_BEGIN, o);
    }
    h = rki_hash_text(h, (const char *)&sum, sizeof sum);
    if (speaks_of_variables(with))
        h = rki_hash_variables(h, s);
    h = hash_columns(h, &b->in, b->reads, false);
    for (uint32_t i = 0; i < b->n_out; i++)
        h = hash_columns(h, &b->out[i], NULL, true);
    return h;
}

// ---- edges ----------------------------------------------------------------------------------------------------------

static const rki_bound *bound_of(const rki_plan *p, uint32_t stage)
{
    return &p->kernels[p->stages[stage].kernel];
}

// The same ends.
static bool same_ends(const rki_plan *pa, const rki_edge *a, const rki_plan *pb, const rki_edge *b)
{
    const rki_stage *fa = &pa->stages[a->from_stage], *fb = &pb->stages[b->from_stage];
    const rki_stage *ta = &pa->stages[a->to_stage], *tb = &pb->stages[b->to_stage];
    if (fa->role != fb->role || ta->role != tb->role || a->from_port != b->from_port || a->dead != b->dead ||
        (a->in == NULL) != (b->in == NULL))
        return false;
    if (!same_word(pa->kernels[fa->kernel].k->id, pb->kernels[fb->kernel].k->id) ||
        !same_word(pa->kernels[ta->kernel].k->id, pb->kernels[tb->kernel].k->id))
        return false;
    return !a->in ||
           (a->in->topic == b->in->topic && a->in->reply == b->in->reply && same_word(a->in->text, b->in->text) &&
            (!a->in->topic || (a->in->pub == b->in->pub && a->in->subs == b->in->subs)));
}

static bool same_retained(const rki_topic_conf *a, const rki_topic_conf *b)
{
    if (!a || !b)
        return a == b;
    return a->retains == b->retains && a->retain.count == b->retain.count && a->retain.bytes == b->retain.bytes &&
           a->retain.age_ns == b->retain.age_ns;
}

static const rki_kernel_diff *diff_of(const struct differ *w, uint32_t stage)
{
    return &w->v->kernels[w->b->stages[stage].kernel];
}

// The same shape, and what is in the rings is what the new consumer reads.
static bool same_shape(const struct differ *w, const rki_edge *a, const rki_edge *b)
{
    const rki_bound *fa = bound_of(w->a, a->from_stage), *fb = bound_of(w->b, b->from_stage);
    if (a->kind != b->kind || a->overflow != b->overflow || a->hlc != b->hlc || a->circle != b->circle ||
        a->chunked != b->chunked || (a->group != 0) != (b->group != 0) || a->capacity != b->capacity ||
        a->bytes != b->bytes)
        return false;
    if (w->a->actors[a->from_actor].replicas != w->b->actors[b->from_actor].replicas ||
        w->a->actors[a->to_actor].replicas != w->b->actors[b->to_actor].replicas)
        return false;
    if (a->in && !same_retained(a->in->conf, b->in->conf))
        return false;
    if (!a->in && !a->dead) // between two halves of a kernel: what passes there only its own kind of instance knows
        return diff_of(w, b->from_stage)->change <= RKI_RETUNE;
    if (a->dead)
        return true;
    if (a->from_port >= fa->n_out || b->from_port >= fb->n_out ||
        !same_schema(&fa->out[a->from_port], &fb->out[b->from_port]))
        return false;
    for (uint32_t i = 0; fb->needed && a->from_port == 0 && i < fb->out[0].n; i++)
        if (fb->needed[i] && fa->needed && !fa->needed[i])
            return false;
    return same_schema(&bound_of(w->a, a->to_stage)->in, &bound_of(w->b, b->to_stage)->in);
}

static void edges(struct differ *w)
{
    for (uint32_t i = 0; i < w->a->n_edges; i++)
        w->v->old_edges[i] = -1;
    for (uint32_t j = 0; j < w->b->n_edges; j++) {
        w->v->edges[j] = -1;
        for (uint32_t i = 0; i < w->a->n_edges; i++) {
            if (w->v->old_edges[i] >= 0 || !same_ends(w->a, &w->a->edges[i], w->b, &w->b->edges[j]))
                continue;
            if (same_shape(w, &w->a->edges[i], &w->b->edges[j])) {
                w->v->edges[j] = (int32_t)i;
                w->v->old_edges[i] = (int32_t)j;
            }
            break;
        }
    }
}

// ---- actors ---------------------------------------------------------------------------------------------------------

static bool same_targets(const rki_plan *pa, const rki_pactor *a, const rki_plan *pb, const rki_pactor *b)
{
    for (uint32_t s = 0; s < a->n_stages; s++) {
        const rki_stage *x = &pa->stages[a->stages[s]], *y = &pb->stages[b->stages[s]];
        if (x->n_ports != y->n_ports)
            return false;
        for (uint32_t p = 0; p < x->n_ports; p++) {
            uint32_t n = 0, m = 0;
            for (uint32_t t = 0; t < x->n_targets[p]; t++)
                n += x->targets[p][t].local;
            for (uint32_t t = 0; t < y->n_targets[p]; t++)
                m += y->targets[p][t].local;
            if (n != m)
                return false;
        }
    }
    return true;
}

static bool same_actor(const struct differ *w, const rki_pactor *a, const rki_pactor *b)
{
    if (a->n_stages != b->n_stages || a->replicas != b->replicas || a->own_thread != b->own_thread ||
        a->poll != b->poll || a->priority != b->priority)
        return false;
    for (uint32_t s = 0; s < a->n_stages; s++) {
        const rki_stage *x = &w->a->stages[a->stages[s]], *y = &w->b->stages[b->stages[s]];
        const rki_kernel_diff *k = &w->v->kernels[y->kernel];
        if (k->change != RKI_SAME || k->old != (int32_t)x->kernel || x->role != y->role)
            return false;
    }
    return same_targets(w->a, a, w->b, b);
}

// Replicas are dealt chunks in turns and read in the same turns, so their rings have a common position: either all of them go on, or all
// are emptied and begin anew together.
static bool touches(const rki_edge *e, uint32_t actor)
{
    return e->from_actor == actor || e->to_actor == actor;
}

static bool breaks_old(const struct differ *w, uint32_t actor)
{
    bool any = false;
    for (uint32_t i = 0; i < w->a->n_edges; i++)
        any |= touches(&w->a->edges[i], actor) && w->v->old_edges[i] < 0;
    return any && w->a->actors[actor].replicas > 1;
}

static bool breaks_new(const struct differ *w, uint32_t actor)
{
    bool any = false;
    for (uint32_t i = 0; i < w->b->n_edges; i++)
        any |= touches(&w->b->edges[i], actor) && w->v->edges[i] < 0;
    return any && w->b->actors[actor].replicas > 1;
}

static void sections(struct differ *w)
{
    for (bool again = true; again;) {
        again = false;
        for (uint32_t i = 0; i < w->a->n_edges; i++) {
            int32_t j = w->v->old_edges[i];
            const rki_edge *a = &w->a->edges[i];
            const rki_edge *b = j >= 0 ? &w->b->edges[j] : NULL;
            if (!b || !(breaks_old(w, a->from_actor) || breaks_old(w, a->to_actor) || breaks_new(w, b->from_actor) ||
                        breaks_new(w, b->to_actor)))
                continue;
            w->v->old_edges[i] = w->v->edges[j] = -1;
            again = true;
        }
    }
}

static void stop_actor(struct differ *w, uint32_t old, bool *again)
{
    if (w->v->stops[old])
        return;
    w->v->stops[old] = true;
    if (w->v->old_actors[old] >= 0) {
        w->v->actors[w->v->old_actors[old]] = -1;
        w->v->old_actors[old] = -1;
    }
    *again = true;
}

static bool goes_on(const struct differ *w, const rki_pactor *a)
{
    for (uint32_t s = 0; s < a->n_stages; s++)
        if (w->v->old_kernels[w->a->stages[a->stages[s]].kernel] >= 0)
            return true;
    return false;
}

// Nobody can go on with its rings: its first stage becomes the second one of another actor, or goes, or is one of several replicas, which
// have a position in common that a ring of one of them does not have.
static bool head_lost(const struct differ *w, uint32_t old)
{
    const rki_stage *a = &w->a->stages[w->a->actors[old].stages[0]];
    for (uint32_t j = 0; j < w->b->n_actors; j++) {
        const rki_stage *b = &w->b->stages[w->b->actors[j].stages[0]];
        if (w->v->old_kernels[a->kernel] == (int32_t)b->kernel && a->role == b->role)
            return w->a->actors[old].replicas > 1 || w->b->actors[j].replicas > 1;
    }
    return true;
}

static bool keeps_nothing(const struct differ *w, const rki_pactor *a)
{
    for (uint32_t s = 0; s < a->n_stages; s++) {
        const rkp_op *op = bound_of(w->a, a->stages[s])->k->op;
        if (op->kind != RKP_TRANSFORM || !(op->traits & RKP_STATELESS))
            return false;
    }
    return true;
}

// An actor that is removed stops as those do that are replaced, with nothing left in it: everybody around it stops, too, so what is on its way
// through it comes to its end before.  False: it keeps something, or somebody around it is removed that does.
static bool vanish(struct differ *w, uint32_t old)
{
    bool ignored;
    if (w->v->stops[old])
        return true;
    if (!goes_on(w, &w->a->actors[old]) && !keeps_nothing(w, &w->a->actors[old]))
        return false;
    stop_actor(w, old, &ignored);
    for (uint32_t i = 0; i < w->a->n_edges && !goes_on(w, &w->a->actors[old]); i++)
        if (touches(&w->a->edges[i], old) &&
            (!vanish(w, w->a->edges[i].from_actor) || !vanish(w, w->a->edges[i].to_actor)))
            return false;
    return true;
}

// What replicas that stop have in their rings they give on first, so who fills those stops before them.
static bool stop_before(struct differ *w, bool *again)
{
    for (uint32_t i = 0; i < w->a->n_edges; i++) {
        const rki_edge *e = &w->a->edges[i];
        if (!w->v->stops[e->to_actor] || w->v->old_edges[i] >= 0 ||
            !(breaks_old(w, e->to_actor) || head_lost(w, e->to_actor)))
            continue;
        *again |= !w->v->stops[e->from_actor];
        if (!vanish(w, e->from_actor)) {
            const rki_bound *k = bound_of(w->a, e->to_stage);
            rkp_diag(
                w->d, RKP_ERROR, k->k->at, "reload-unsupported",
                "kernel '%s' is run by another actor, and kernel '%s', which it reads, is removed: both at once is not "
                "supported yet",
                k->k->id.p, bound_of(w->a, e->from_stage)->k->id.p);
            rkp_diag_hint(w->d, "make it two reloads: first one that takes '%s' from its inputs",
                          bound_of(w->a, e->from_stage)->k->id.p);
            return false;
        }
    }
    return true;
}

static bool actors(struct differ *w)
{
    bool again = true;
    for (uint32_t i = 0; i < w->a->n_actors; i++)
        w->v->old_actors[i] = -1;
    for (uint32_t j = 0; j < w->b->n_actors; j++) {
        w->v->actors[j] = -1;
        for (uint32_t i = 0; i < w->a->n_actors && w->v->actors[j] < 0; i++) {
            if (w->v->old_actors[i] >= 0 || !same_actor(w, &w->a->actors[i], &w->b->actors[j]))
                continue;
            w->v->actors[j] = (int32_t)i;
            w->v->old_actors[i] = (int32_t)j;
        }
    }
    for (uint32_t i = 0; i < w->a->n_actors; i++)
        w->v->stops[i] = w->v->old_actors[i] < 0 && goes_on(w, &w->a->actors[i]);
    for (uint32_t i = 0; i < w->a->n_actors; i++) {
        bool ignored;
        if (breaks_old(w, i) && goes_on(w, &w->a->actors[i]))
            stop_actor(w, i, &ignored);
    }
    while (again) {
        again = false;
        if (!stop_before(w, &again))
            return false;
        for (uint32_t j = 0; j < w->b->n_edges; j++) {
            const rki_edge *e = &w->b->edges[j];
            // Who merges by stamps has nothing delivered that a new publisher could be behind: it does not go on before that one is there.
            if (w->v->edges[j] < 0 && e->hlc && w->v->actors[e->to_actor] >= 0)
                stop_actor(w, (uint32_t)w->v->actors[e->to_actor], &again);
        }
        for (uint32_t j = 0; j < w->b->n_edges; j++)
            for (uint32_t i = 0; i < w->a->n_edges && w->v->edges[j] < 0; i++) {
                const rki_edge *e = &w->a->edges[i];
                if (w->v->old_edges[i] >= 0 || !same_ends(w->a, e, w->b, &w->b->edges[j]))
                    continue;
                stop_actor(w, e->from_actor, &again);
                stop_actor(w, e->to_actor, &again);
            }
    }
    return true;
}

// ---- what cannot be changed while it runs ---------------------------------------------------------------------------

static bool fixed(struct differ *w, bool same, const char *key)
{
    const rkp_node *n = w->b->spec->root;
    char part[64];
    const char *at = key;
    if (same)
        return true;
    while (n && *at) {
        size_t len = strcspn(at, ".");
        const rkp_node *c;
        snprintf(part, sizeof part, "%.*s", (int)len, at);
        c = rki_node_get(n, part);
        if (!c)
            break;
        n = c;
        at += len + (at[len] == '.');
    }
    rkp_diag(w->d, RKP_ERROR, n ? n->at : (rkp_loc){ 0 }, "reload-fixed", "'%s' cannot change while the pipeline runs",
             key);
    rkp_diag_hint(w->d, "leave it as it is, or stop the pipeline and start it again");
    return false;
}

static bool same_pairs(const rkp_pairs *a, const rkp_pairs *b)
{
    bool same = a->n == b->n;
    for (size_t i = 0; same && i < a->n; i++)
        same = same_word(a->v[i].key, b->v[i].key) && same_word(a->v[i].val, b->v[i].val);
    return same;
}

static bool same_otlp(const rki_otlp_conf *a, const rki_otlp_conf *b)
{
    return same_word(a->endpoint, b->endpoint) && same_pairs(&a->headers, &b->headers) &&
           same_pairs(&a->resource, &b->resource) && a->interval_ns == b->interval_ns &&
           a->timeout_ns == b->timeout_ns && a->compression == b->compression && a->metrics == b->metrics &&
           a->traces.sample <= b->traces.sample && a->traces.sample >= b->traces.sample;
}

static bool settings(struct differ *w)
{
    const rki_spec *a = w->a->spec, *b = w->b->spec;
    // Without a name in it the file is of the pipeline that runs, whatever the file is called.
    bool ok = fixed(w, !rki_node_get(b->root, "name") || same_word(a->name, b->name), "name");
    ok &= fixed(w, a->engine.backend == b->engine.backend, "engine.backend");
    ok &= fixed(w, w->a->workers == w->b->workers, "engine.threads");
    ok &= fixed(w, w->a->memory_limit == w->b->memory_limit, "engine.memory_limit");
    ok &= fixed(w, same_word(a->engine.data_dir, b->engine.data_dir), "engine.data_dir");
    // What is kept already stays; `auto` may come to more.
    ok &= fixed(w, a->engine.delivery == b->engine.delivery && (!w->kept || w->b->delivery >= w->a->delivery),
                "engine.delivery");
    ok &= fixed(w, !w->kept || !w->variables, "vars");
    ok &= fixed(w, w->a->stream == w->b->stream, "run.mode");
    ok &= fixed(w,
                a->admin.listen.kind == b->admin.listen.kind && same_word(a->admin.listen.path, b->admin.listen.path) &&
                    same_word(a->admin.listen.at.text, b->admin.listen.at.text),
                "admin.listen");
    ok &= fixed(w, same_word(a->admin.token_file, b->admin.token_file), "admin.token_file");
    ok &= fixed(w, a->telemetry.interval_ns == b->telemetry.interval_ns, "telemetry.interval");
    ok &= fixed(w, same_word(a->telemetry.prometheus.listen, b->telemetry.prometheus.listen),
                "telemetry.prometheus.listen");
    ok &= fixed(w, same_word(a->telemetry.prometheus.path, b->telemetry.prometheus.path), "telemetry.prometheus.path");
    ok &= fixed(w, a->telemetry.logs.level == b->telemetry.logs.level, "telemetry.logs.level");
    ok &= fixed(w, a->telemetry.logs.format == b->telemetry.logs.format, "telemetry.logs.format");
    ok &= fixed(w, same_word(a->telemetry.logs.file, b->telemetry.logs.file), "telemetry.logs.file");
    ok &= fixed(w, same_otlp(&a->telemetry.otlp, &b->telemetry.otlp), "telemetry.otlp");
    ok &= fixed(w, a->dead_store.bytes == b->dead_store.bytes && a->dead_store.age_ns == b->dead_store.age_ns,
                "dead_letter.store");
    return ok;
}

rki_diff *rki_diff_new(const rki_plan *from, const rki_plan *to, bool kept, rkp_diags *d)
{
    struct differ w = { .v = calloc(1, sizeof(rki_diff)), .a = from, .b = to, .d = d, .kept = kept };
    rki_arena *m;
    bool ok;
    if (!w.v)
        return NULL;
    m = &w.v->arena;
    rki_arena_init(m);
    w.v->from = from;
    w.v->to = to;
    w.v->kernels = rki_array(m, to->n_kernels + 1u, sizeof *w.v->kernels);
    w.v->edges = rki_array(m, to->n_edges + 1u, sizeof *w.v->edges);
    w.v->actors = rki_array(m, to->n_actors + 1u, sizeof *w.v->actors);
    w.v->old_kernels = rki_array(m, from->n_kernels + 1u, sizeof *w.v->old_kernels);
    w.v->old_edges = rki_array(m, from->n_edges + 1u, sizeof *w.v->old_edges);
    w.v->old_actors = rki_array(m, from->n_actors + 1u, sizeof *w.v->old_actors);
    w.v->stops = rki_array(m, from->n_actors + 1u, sizeof *w.v->stops);
    w.v->halts = rki_array(m, from->n_actors + 1u, sizeof *w.v->halts);
    w.v->path = to->spec->reload.consistency == RKI_CONSISTENT_PATH;
    ok = w.v->kernels && w.v->edges && w.v->actors && w.v->old_kernels && w.v->old_edges && w.v->old_actors &&
         w.v->stops && w.v->halts;
    if (ok) {
        w.variables = !same_variables(from->spec, to->spec);
        w.defaults = !same_node(rki_node_get(from->spec->root, "defaults"), rki_node_get(to->spec->root, "defaults"));
        for (uint32_t i = 0; i < from->n_kernels; i++)
            w.v->old_kernels[i] = -1;
        ok = settings(&w);
        for (uint32_t i = 0; i < to->n_kernels; i++)
            ok &= kernel(&w, &w.v->kernels[i], &to->kernels[i]);
    } else {
        rkp_diag(d, RKP_ERROR, (rkp_loc){ 0 }, "no-memory", "out of memory");
    }
    if (!ok) {
        rki_diff_free(w.v);
        return NULL;
    }
    edges(&w);
    sections(&w);
    ok = actors(&w);
    memcpy(w.v->halts, w.v->stops, from->n_actors * sizeof *w.v->halts);
    if (!ok || (w.v->path && !rki_diff_cut(w.v, d))) {
        rki_diff_free(w.v);
        return NULL;
    }
    for (uint32_t j = 0; j < to->n_actors; j++)
        w.v->any |= w.v->actors[j] < 0;
    for (uint32_t i = 0; i < from->n_actors; i++)
        w.v->any |= w.v->old_actors[i] < 0;
    for (uint32_t j = 0; j < to->n_edges; j++)
        w.v->any |= w.v->edges[j] < 0;
    for (uint32_t i = 0; i < from->n_edges; i++)
        w.v->any |= w.v->old_edges[i] < 0;
    return w.v;
}

void rki_diff_free(rki_diff *d)
{
    if (!d)
        return;
    rki_arena_fini(&d->arena);
    free(d);
}

void rki_diff_json(const rki_diff *d, rki_json *out)
{
    static const char *const names[] = { "same", "retune", "replace", "add" };
    rki_json_object(out);
    for (int c = 0; c < 4; c++) {
        rki_json_key(out, names[c]);
        rki_json_array(out);
        for (uint32_t i = 0; i < d->to->n_kernels; i++)
            if (d->kernels[i].change == c && d->to->kernels[i].k->id.p[0] != '$')
                rki_json_z(out, d->to->kernels[i].k->id.p);
        rki_json_end_array(out);
    }
    rki_json_key(out, "remove");
    rki_json_array(out);
    for (uint32_t i = 0; i < d->from->n_kernels; i++)
        if (d->old_kernels[i] < 0 && d->from->kernels[i].k->id.p[0] != '$')
            rki_json_z(out, d->from->kernels[i].k->id.p);
    rki_json_end_array(out);
    rki_json_end_object(out);
}
