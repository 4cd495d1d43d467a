// plan/plan.c - spec to physical graph.
//
// In order: probe and bind every kernel, sources first; which columns anybody reads, sinks first; cut sources and sinks
// into their halves; fuse stages into actors; choose replicas; draw edges; size rings.  Every decision leaves a
// sentence.
#include "plan/plan.h"
#include "plan/bind.h"

#include <stdlib.h>

enum { PARTS = 8, MAX_REPLICAS = 64, MAX_REASONS = 24 };

static const rkp_field dead_fields[] = {
    { { "kernel", 6 }, { .kind = RKP_STRING } },
    { { "reason", 6 }, { .kind = RKP_STRING } },
    { { "error", 5 }, { .kind = RKP_STRING } },
    { { "source", 6 }, { .kind = RKP_STRING, .nullable = 1 } },
    { { "line", 4 }, { .kind = RKP_I64, .nullable = 1 } },
    { { "row", 3 }, { .kind = RKP_STRING, .nullable = 1 } },
};
static const rkp_schema dead_schema = { sizeof dead_fields / sizeof *dead_fields, dead_fields };

const rkp_schema *rki_dead_schema(void)
{
    return &dead_schema;
}

const char *rki_role_name(int role)
{
    static const char *const names[] = { "", "/poll", "/decode", "/encode", "/write" };
    return names[role];
}

struct planner {
    rki_plan *p;
    rki_spec *s;
    const rki_plan_args *args;
    rkp_diags *d;
    bool nomem, invalid;
};

static void *take(struct planner *w, size_t n, size_t bytes)
{
    void *m = rki_array(&w->p->arena, n ? n : 1, bytes);
    if (!m)
        w->nomem = true;
    return m;
}

static void RKP_PRINTF(3, 4) reason(struct planner *w, rki_pactor *a, const char *fmt, ...)
{
    const char ***list = a ? &a->reasons : &w->p->reasons;
    uint32_t *n = a ? &a->n_reasons : &w->p->n_reasons;
    va_list ap;
    rkp_str text;
    if (!*list)
        *list = take(w, MAX_REASONS, sizeof **list);
    if (!*list || *n == MAX_REASONS)
        return;
    va_start(ap, fmt);
    text = rki_vprintf(&w->p->arena, fmt, ap);
    va_end(ap);
    if (text.p)
        (*list)[(*n)++] = text.p;
    else
        w->nomem = true;
}

// ---- binding --------------------------------------------------------------------------------------------------------

// Kernels in topological order; the spec has refused cycles.  Dead letters make no edge here: their schema is fixed.
static void order_kernels(struct planner *w)
{
    uint32_t n = w->p->n_kernels, done = 0;
    uint8_t *placed = take(w, n, 1);
    w->p->order = take(w, n, sizeof *w->p->order);
    if (w->nomem)
        return;
    while (done < n) {
        uint32_t before = done;
        for (uint32_t i = 0; i < n; i++) {
            const rki_kernel *k = &w->s->kernels[i];
            bool ready = !placed[i];
            for (size_t j = 0; ready && j < k->n_from; j++)
                ready = placed[k->from[j].kernel];
            if (ready) {
                placed[i] = 1;
                w->p->order[done++] = i;
            }
        }
        if (done == before)
            break;
    }
}

static rkp_status opts_and_self(struct planner *w, rki_bound *b, rkp_opt_ctx *ctx)
{
    b->self = take(w, 1, b->k->op->self_size ? b->k->op->self_size : 1);
    if (!b->self)
        return RKP_NOMEM;
    return rki_opts_apply(ctx, b->k->op->opts, b->k->with, b->k->at, b->self);
}

static void bind_kernel(struct planner *w, uint32_t i)
{
    rki_bound *b = &w->p->kernels[i];
    const rki_kernel *k = b->k;
    rkp_opt_ctx ctx = { .arena = &w->p->arena, .diags = NULL, .spec = w->s, .owner = k->id.p };
    uint32_t n = (uint32_t)k->n_from + (b->takes_dead ? 1 : 0);
    const rkp_schema **ins = take(w, n, sizeof *ins);
    const char **names = take(w, n, sizeof *names);
    rki_unite *maps = take(w, n, sizeof *maps);
    rkp_status st;
    if (w->nomem)
        return;
    b->known = true;
    b->n_out = (uint32_t)k->n_ports;
    for (uint32_t j = 0; j < k->n_from; j++) {
        rki_bound *from = &w->p->kernels[k->from[j].kernel];
        if (!from->known) {
            b->known = false;
            return;
        }
        ins[j] = &from->out[k->from[j].port];
        names[j] = from->k->id.p;
    }
    if (b->takes_dead) {
        ins[k->n_from] = &dead_schema;
        names[k->n_from] = "(dead letters)";
    }
    if (n) {
        st = rki_bind_unite(&w->p->arena, w->d, b, ins, names, n, maps);
        if (st != RKP_OK) {
            w->nomem |= st == RKP_NOMEM;
            w->invalid = true;
            b->known = false;
            return;
        }
        b->unite = maps;
        if (b->takes_dead)
            b->dead_unite = maps[k->n_from];
    }
    st = opts_and_self(w, b, &ctx);
    ctx.diags = w->d;
    if (st == RKP_OK && w->args->probe)
        st = rki_probe_run(b, &ctx, w->args->may_read_stdin);
    if (st == RKP_OK)
        st = rki_bind_run(b, b->self, &ctx, true);
    if (st != RKP_OK) {
        w->nomem |= st == RKP_NOMEM;
        w->invalid = true;
        b->known = false;
    }
}

rkp_status rki_plan_instance(rki_plan *p, uint32_t kernel, rki_arena *arena, void *self)
{
    rki_bound *b = &p->kernels[kernel];
    rkp_opt_ctx ctx = { .arena = arena, .spec = p->spec, .owner = b->k->id.p };
    rkp_status st = rki_opts_apply(&ctx, b->k->op->opts, b->k->with, b->k->at, self);
    return st == RKP_OK ? rki_bind_run(b, self, &ctx, false) : st;
}

// ---- what is read ---------------------------------------------------------------------------------------------------

static void mark_needed(struct planner *w)
{
    // Sinks first: what a kernel reads, and what passes through it to a column that is needed, its producers must give.
    for (uint32_t o = w->p->n_kernels; o-- > 0;) {
        rki_bound *b = &w->p->kernels[w->p->order[o]];
        if (!b->known)
            continue;
        for (uint32_t j = 0; j < b->k->n_from; j++) {
            const rki_input *in = &b->k->from[j];
            rki_bound *from = &w->p->kernels[in->kernel];
            for (uint32_t c = 0; c < b->in.n; c++) {
                int32_t at = b->unite[j].col[c];
                bool wanted = b->reads[c];
                for (uint32_t q = 0; !wanted && b->pass && q < b->out[0].n; q++)
                    wanted = b->needed[q] && b->pass[q] == (int32_t)c;
                // `needed` is sized by port 0; ports of one kernel share its columns.
                if (wanted && at >= 0 && from->needed && (uint32_t)at < from->out[0].n)
                    from->needed[at] = 1;
            }
        }
    }
}

// ---- errors ---------------------------------------------------------------------------------------------------------

static void resolve_errors(struct planner *w)
{
    uint32_t n = w->p->n_kernels;
    uint8_t *below = take(w, n, 1); // the dead-letter kernel and everything it feeds
    if (w->nomem)
        return;
    if (w->s->dead_letter >= 0)
        below[w->s->dead_letter] = 1;
    for (uint32_t o = 0; o < n; o++) {
        const rki_kernel *k = &w->s->kernels[w->p->order[o]];
        for (size_t j = 0; j < k->n_from; j++)
            below[w->p->order[o]] |= below[k->from[j].kernel];
    }
    for (uint32_t i = 0; i < n; i++) {
        rki_bound *b = &w->p->kernels[i];
        int act = b->k->on_error.action;
        if (act == RKI_ERR_DEFAULT)
            act = w->s->dead_letter >= 0 && !below[i] ? RKI_ERR_DEAD_LETTER : RKI_ERR_FAIL;
        else if (act == RKI_ERR_DEAD_LETTER && w->s->dead_letter < 0) {
            rkp_diag(w->d, RKP_ERROR, b->k->on_error.at, "dead-letter-none",
                     "kernel '%s' sends failed rows to dead letters, and the pipeline has no dead_letter target",
                     b->k->id.p);
            rkp_diag_hint(w->d, "add 'dead_letter: { kernel: NAME }' at the top level");
            w->invalid = true;
        } else if (act == RKI_ERR_DEAD_LETTER && below[i]) {
            rkp_diag(w->d, RKP_ERROR, b->k->on_error.at, "dead-letter-loop",
                     "kernel '%s' stands behind the dead-letter target and cannot send to it", b->k->id.p);
            rkp_diag_hint(w->d, "use 'on_error: drop' or 'on_error: fail' there");
            w->invalid = true;
        }
        b->on_error = act;
    }
}

// ---- sources without end --------------------------------------------------------------------------------------------

static void check_endless(struct planner *w)
{
    const rki_run_conf *run = &w->s->run;
    if (run->mode != RKI_MODE_BATCH || run->stop_rows || run->stop_ns)
        return;
    for (uint32_t i = 0; i < w->p->n_kernels; i++) {
        const rki_bound *b = &w->p->kernels[i];
        if (!b->endless)
            continue;
        rkp_diag(w->d, RKP_ERROR, b->k->at, "source-endless", "kernel '%s' never ends, and the job's mode is batch",
                 b->k->id.p);
        rkp_diag_hint(w->d, "limit its rows, or set 'run: { stop_after: { rows: N } }', or 'mode: stream'");
        w->invalid = true;
    }
}

// ---- stages and actors ----------------------------------------------------------------------------------------------

static uint32_t add_stage(struct planner *w, uint32_t kernel, rki_role role, uint32_t n_ports)
{
    rki_stage *s = &w->p->stages[w->p->n_stages];
    s->kernel = kernel;
    s->role = (uint8_t)role;
    s->actor = UINT32_MAX;
    s->n_ports = n_ports;
    s->targets = take(w, n_ports, sizeof *s->targets);
    s->n_targets = take(w, n_ports, sizeof *s->n_targets);
    return w->p->n_stages++;
}

static void add_target(struct planner *w, uint32_t stage, uint32_t port, rki_target t)
{
    rki_stage *s = &w->p->stages[stage];
    rki_target *v;
    if (w->nomem)
        return;
    v = take(w, s->n_targets[port] + 1u, sizeof *v);
    if (!v)
        return;
    for (uint32_t i = 0; i < s->n_targets[port]; i++)
        v[i] = s->targets[port][i];
    v[s->n_targets[port]++] = t;
    s->targets[port] = v;
}

static bool stage_stateless(const struct planner *w, const rki_stage *s)
{
    const rki_bound *b = &w->p->kernels[s->kernel];
    if (s->role == RKI_DECODE || s->role == RKI_ENCODE)
        return !b->single;
    return s->role == RKI_WHOLE && (b->k->op->traits & RKP_STATELESS) && !(b->k->op->traits & RKP_BLOCKING) &&
           !b->single && b->k->op->kind != RKP_SOURCE;
}

static bool stage_own_thread(const struct planner *w, const rki_stage *s)
{
    const rki_kernel *k = w->p->kernels[s->kernel].k;
    if (s->role == RKI_POLL || s->role == RKI_WRITE)
        return s->role == RKI_POLL || (k->op->traits & RKP_BLOCKING) || k->place_mode == RKI_PLACE_MODE_THREAD;
    if (s->role == RKI_WHOLE)
        return k->op->kind == RKP_SOURCE || (k->op->traits & RKP_BLOCKING) || k->place_mode == RKI_PLACE_MODE_THREAD;
    return false;
}

static rki_pactor *new_actor(struct planner *w, uint32_t stage)
{
    rki_pactor *a = &w->p->actors[w->p->n_actors];
    const rki_kernel *k = w->p->kernels[w->p->stages[stage].kernel].k;
    a->stages = take(w, w->p->n_stages, sizeof *a->stages);
    a->in_edges = take(w, w->p->n_edges ? w->p->n_edges : 4096, sizeof *a->in_edges);
    a->out_edges = take(w, w->p->n_edges ? w->p->n_edges : 4096, sizeof *a->out_edges);
    if (w->nomem)
        return NULL;
    a->stages[a->n_stages++] = stage;
    a->replicas = 1;
    a->priority = k->priority;
    a->own_thread = stage_own_thread(w, &w->p->stages[stage]);
    a->poll = k->place_mode == RKI_PLACE_MODE_THREAD && k->op->kind != RKP_SOURCE && !(k->op->traits & RKP_BLOCKING);
    a->stateless = stage_stateless(w, &w->p->stages[stage]);
    w->p->stages[stage].actor = w->p->n_actors++;
    return a;
}

// Why `stage` is not fused into the actor of its only producer; NULL when it can be.
static const char *not_fused(struct planner *w, uint32_t stage, uint32_t from)
{
    const rki_stage *s = &w->p->stages[stage], *f = &w->p->stages[from];
    const rki_kernel *k = w->p->kernels[s->kernel].k, *fk = w->p->kernels[f->kernel].k;
    const rki_pactor *a = &w->p->actors[f->actor];
    bool halves = s->kernel == f->kernel; // two halves of one kernel
    if (w->p->kernels[s->kernel].takes_dead)
        return "it also takes dead letters";
    if (a->own_thread)
        return "its producer has a thread of its own";
    if (stage_own_thread(w, s))
        return "it has a thread of its own";
    if (!stage_stateless(w, s)) {
        // With one worker nothing could run beside it: a batch then goes through while it is warm.
        bool alone = w->p->workers == 1 && s->role == RKI_WHOLE && !k->partition_by.p && k->op->kind == RKP_TRANSFORM;
        if (!alone)
            return w->p->kernels[s->kernel].single ? w->p->kernels[s->kernel].single : "it keeps state";
    }
    if (k->op->traits & RKP_RETRIES)
        return "it may ask for a batch again later";
    if (!halves && (k->fuse_never || fk->fuse_never))
        return "fuse: never";
    if (!halves && k->priority != fk->priority)
        return "its priority differs";
    if (k->replicas_given && k->replicas != 0 && a->replicas != k->replicas && !(a->n_stages && a->stateless))
        return "its replicas differ";
    if (k->replicas_given && a->stateless) {
        for (uint32_t i = 0; i < a->n_stages; i++) {
            const rki_kernel *o = w->p->kernels[w->p->stages[a->stages[i]].kernel].k;
            if (o->replicas_given && o->replicas != k->replicas)
                return "its replicas differ";
        }
    }
    if (!a->stateless && k->replicas_given && k->replicas != 1)
        return "its replicas differ";
    return NULL;
}

// The stage that takes a kernel's input, and the one that gives its output.
static uint32_t in_stage_of(const struct planner *w, uint32_t kernel)
{
    for (uint32_t i = 0; i < w->p->n_stages; i++)
        if (w->p->stages[i].kernel == kernel)
            return i;
    return UINT32_MAX;
}

static uint32_t out_stage_of(const struct planner *w, uint32_t kernel)
{
    uint32_t at = in_stage_of(w, kernel);
    while (at + 1 < w->p->n_stages && w->p->stages[at + 1].kernel == kernel)
        at++;
    return at;
}

static void make_stages(struct planner *w)
{
    w->p->stages = take(w, w->p->n_kernels * 2u, sizeof *w->p->stages);
    if (w->nomem)
        return;
    for (uint32_t o = 0; o < w->p->n_kernels && !w->nomem; o++) {
        uint32_t i = w->p->order[o];
        rki_bound *b = &w->p->kernels[i];
        const rkp_op *op = b->k->op;
        if (op->kind == RKP_SOURCE && op->decode && !b->whole) {
            add_stage(w, i, RKI_POLL, 1);
            add_stage(w, i, RKI_DECODE, b->n_out);
        } else if (op->kind == RKP_SINK && op->encode && !b->whole) {
            add_stage(w, i, RKI_ENCODE, 1);
            add_stage(w, i, RKI_WRITE, 0);
        } else {
            add_stage(w, i, RKI_WHOLE, b->n_out);
        }
    }
}

static void make_actors(struct planner *w)
{
    w->p->actors = take(w, w->p->n_stages, sizeof *w->p->actors);
    for (uint32_t i = 0; i < w->p->n_stages && !w->nomem; i++) {
        rki_stage *s = &w->p->stages[i];
        const rki_kernel *k = w->p->kernels[s->kernel].k;
        const char *why = NULL;
        uint32_t from = UINT32_MAX, port = 0;
        rki_pactor *a;
        if (s->role == RKI_DECODE || s->role == RKI_WRITE) {
            from = i - 1;
        } else if (k->n_from == 1) {
            from = out_stage_of(w, k->from[0].kernel);
            port = k->from[0].port;
        }
        if (from != UINT32_MAX && !(why = not_fused(w, i, from))) {
            a = &w->p->actors[w->p->stages[from].actor];
            s->actor = w->p->stages[from].actor;
            a->stages[a->n_stages++] = i;
            a->stateless &= stage_stateless(w, s);
            add_target(w, from, port, (rki_target){ true, i });
            continue;
        }
        a = new_actor(w, i);
        if (!a)
            return;
        if (k->n_from > 1 && from == UINT32_MAX)
            why = "it has several inputs";
        if (why)
            reason(w, a, "'%s%s' starts an actor of its own: %s", k->id.p, rki_role_name(s->role), why);
    }
}

static void choose_replicas(struct planner *w)
{
    for (uint32_t i = 0; i < w->p->n_actors; i++) {
        rki_pactor *a = &w->p->actors[i];
        const rki_stage *head = &w->p->stages[a->stages[0]];
        const rki_bound *hb = &w->p->kernels[head->kernel];
        const rki_kernel *k = hb->k;
        uint64_t want = 0;
        bool given = false;
        for (uint32_t j = 0; j < a->n_stages; j++) {
            const rki_kernel *o = w->p->kernels[w->p->stages[a->stages[j]].kernel].k;
            if (o->replicas_given) {
                given = true;
                want = o->replicas ? o->replicas : w->p->workers;
            }
        }
        if (k->partition_by.p && head->role == RKI_WHOLE && k->op->kind == RKP_TRANSFORM) {
            // Rows come out replica by replica in turns, so their order depends on how many there are: auto is the same
            // number on every machine.
            uint64_t n = k->replicas_given ? (k->replicas ? k->replicas : PARTS) : 1;
            a->replicas = (uint32_t)(n > MAX_REPLICAS ? MAX_REPLICAS : n);
            reason(w, a, "%u replicas, rows divided by the hash of partition_by", a->replicas);
            continue;
        }
        if (given && want > 1 && !a->stateless && !a->own_thread && head->role == RKI_WHOLE) {
            rkp_diag(w->d, RKP_ERROR, k->at, "replicas-stateful",
                     "kernel '%s' keeps state, so %llu replicas need partition_by", k->id.p, (unsigned long long)want);
            rkp_diag_hint(w->d, "add 'partition_by: <column>', so that one key always goes to one replica");
            w->invalid = true;
            continue;
        }
        if (a->own_thread) {
            a->replicas = 1;
            reason(w, a, "%s",
                   a->poll ? "a thread of its own that polls (place.mode: thread)"
                           : "a thread of its own: it may wait for files or the system");
        } else if (!a->stateless) {
            a->replicas = 1;
            reason(w, a, "one replica: %s keeps state", a->n_stages > 1 ? "a kernel in it" : "it");
        } else if (k->n_from > 1 || hb->takes_dead) {
            a->replicas = 1;
            reason(w, a, "one replica: several inputs");
        } else {
            uint64_t n = given ? want : w->p->workers;
            a->replicas = (uint32_t)(n > MAX_REPLICAS ? MAX_REPLICAS : n < 1 ? 1 : n);
            if (given)
                reason(w, a, "%u replica%s, as the file says", a->replicas, a->replicas == 1 ? "" : "s");
            else if (a->replicas > 1)
                reason(w, a, "%u replicas, one per worker: stateless; chunks are dealt in turns and put back in order",
                       a->replicas);
            else
                reason(w, a, "one replica: one worker");
        }
        if (a->n_stages > 1)
            reason(w, a, "%u stages fused: a batch goes through all of them on one core while it is warm", a->n_stages);
    }
}

// ---- edges ----------------------------------------------------------------------------------------------------------

static void add_edge(struct planner *w, uint32_t from, uint32_t port, uint32_t to, uint32_t input, bool dead)
{
    rki_edge *e = &w->p->edges[w->p->n_edges];
    rki_pactor *fa = &w->p->actors[w->p->stages[from].actor], *ta = &w->p->actors[w->p->stages[to].actor];
    const rki_bound *tb = &w->p->kernels[w->p->stages[to].kernel];
    *e = (rki_edge){ .from_stage = from,
                     .from_port = port,
                     .from_actor = w->p->stages[from].actor,
                     .to_actor = w->p->stages[to].actor,
                     .to_stage = to,
                     .to_input = input,
                     .dead = dead };
    e->kind = tb->partition && ta->replicas > 1 ? RKI_EDGE_PARTITION
              : ta->replicas > 1                ? RKI_EDGE_SCATTER
                                                : RKI_EDGE_DIRECT;
    e->chunked = fa->replicas > 1 || ta->replicas > 1;
    e->capacity = tb->k->queue_capacity;
    e->bytes = tb->k->queue_bytes;
    if (fa->n_out >= 4096 || ta->n_in >= 4096) {
        w->nomem = true;
        return;
    }
    fa->out_edges[fa->n_out++] = w->p->n_edges;
    ta->in_edges[ta->n_in++] = w->p->n_edges;
    if (!dead)
        add_target(w, from, port, (rki_target){ false, w->p->n_edges });
    w->p->n_edges++;
}

static void make_edges(struct planner *w)
{
    uint32_t cap = w->p->n_stages + w->p->n_actors;
    for (uint32_t i = 0; i < w->p->n_kernels; i++)
        cap += (uint32_t)w->s->kernels[i].n_from;
    w->p->edges = take(w, cap, sizeof *w->p->edges);
    for (uint32_t i = 0; i < w->p->n_stages && !w->nomem; i++) {
        rki_stage *s = &w->p->stages[i];
        const rki_kernel *k = w->p->kernels[s->kernel].k;
        if (s->role == RKI_DECODE || s->role == RKI_WRITE) {
            if (w->p->stages[i - 1].actor != s->actor)
                add_edge(w, i - 1, 0, i, 0, false);
            continue;
        }
        for (uint32_t j = 0; j < k->n_from; j++) {
            uint32_t from = out_stage_of(w, k->from[j].kernel);
            if (w->p->stages[from].actor != s->actor)
                add_edge(w, from, k->from[j].port, i, j, false);
        }
    }
    if (w->s->dead_letter < 0 || w->nomem)
        return;
    uint32_t to = in_stage_of(w, (uint32_t)w->s->dead_letter);
    for (uint32_t i = 0; i < w->p->n_actors && !w->nomem; i++) {
        for (uint32_t j = 0; j < w->p->actors[i].n_stages; j++) {
            uint32_t st = w->p->actors[i].stages[j];
            if (w->p->kernels[w->p->stages[st].kernel].on_error == RKI_ERR_DEAD_LETTER) {
                add_edge(w, st, UINT32_MAX, to, UINT32_MAX, true);
                break;
            }
        }
    }
}

static void name_actors(struct planner *w)
{
    for (uint32_t i = 0; i < w->p->n_actors; i++) {
        rki_pactor *a = &w->p->actors[i];
        rki_buf b;
        rki_buf_init(&b);
        for (uint32_t j = 0; j < a->n_stages; j++) {
            const rki_stage *s = &w->p->stages[a->stages[j]];
            rki_putf(&b, "%s%s%s", j ? "+" : "", w->p->kernels[s->kernel].k->id.p, rki_role_name(s->role));
        }
        if (b.failed || !(a->name = rki_dup(&w->p->arena, b.p, b.n)))
            w->nomem = true;
        rki_buf_fini(&b);
    }
}

static void size_memory(struct planner *w)
{
    uint64_t machine = w->args->memory / 2, def = 1ull << 30;
    rki_plan *p = w->p;
    p->memory_limit = w->s->engine.memory_limit ? w->s->engine.memory_limit : machine && machine < def ? machine : def;
    for (uint32_t i = 0; i < p->n_stages; i++)
        if (p->kernels[p->stages[i].kernel].k->op->traits & RKP_HOLDS)
            p->n_holders += p->actors[p->stages[i].actor].replicas;
    // Batches in flight need little once they are warm; state is what grows.
    p->pool_bytes = p->n_holders ? p->memory_limit / 4 : p->memory_limit - p->memory_limit / 8;
    p->state_bytes = p->n_holders ? p->memory_limit / 2 : 0;
    reason(w, NULL, "memory_limit %llu MiB%s: %llu MiB for batches in flight, %llu MiB for state%s",
           (unsigned long long)(p->memory_limit >> 20), w->s->engine.memory_limit ? "" : " (the default)",
           (unsigned long long)(p->pool_bytes >> 20), (unsigned long long)(p->state_bytes >> 20),
           p->n_holders > 1 ? ", in equal parts" : "");
}

rki_plan *rki_plan_new(rki_spec *s, const rki_plan_args *args, rkp_diags *d)
{
    rki_plan *p = calloc(1, sizeof *p);
    struct planner w = { .p = p, .s = s, .args = args, .d = d };
    if (!p) {
        w.nomem = true;
        goto fail;
    }
    rki_arena_init(&p->arena);
    p->spec = s;
    p->n_kernels = (uint32_t)s->n_kernels;
    p->kernels = take(&w, p->n_kernels, sizeof *p->kernels);
    p->workers = s->engine.threads ? (uint32_t)s->engine.threads : args->cores ? args->cores : 1;
    if (w.nomem)
        goto fail;
    for (uint32_t i = 0; i < p->n_kernels; i++) {
        p->kernels[i].k = &s->kernels[i];
        p->kernels[i].index = i;
        p->kernels[i].takes_dead = s->dead_letter == (int)i;
    }
    order_kernels(&w);
    for (uint32_t o = 0; o < p->n_kernels && !w.nomem; o++)
        bind_kernel(&w, p->order[o]);
    if (!w.nomem)
        resolve_errors(&w);
    if (!w.nomem)
        check_endless(&w);
    p->known = true;
    for (uint32_t i = 0; i < p->n_kernels; i++)
        p->known &= p->kernels[i].known;
    if (w.nomem || w.invalid)
        goto fail;
    mark_needed(&w);
    reason(&w, NULL, "%u worker%s: %s", p->workers, p->workers == 1 ? "" : "s",
           s->engine.threads ? "engine.threads" : "one per core");
    make_stages(&w);
    if (!w.nomem)
        make_actors(&w);
    if (!w.nomem)
        choose_replicas(&w);
    if (!w.nomem)
        size_memory(&w);
    if (!w.nomem)
        make_edges(&w);
    if (!w.nomem)
        name_actors(&w);
    if (w.nomem || w.invalid)
        goto fail;
    return p;
fail:
    if (w.nomem)
        rkp_diag(d, RKP_ERROR, (rkp_loc){ 0 }, "no-memory", "out of memory while planning the pipeline");
    rki_plan_free(p);
    return NULL;
}

void rki_plan_free(rki_plan *p)
{
    if (!p)
        return;
    for (uint32_t i = 0; p->kernels && i < p->n_kernels; i++)
        if (p->kernels[i].self && p->kernels[i].k->op->fini)
            p->kernels[i].k->op->fini(p->kernels[i].self);
    rki_arena_fini(&p->arena);
    free(p);
}
