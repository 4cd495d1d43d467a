// plan/plan.c - spec to physical graph.
//
// In order: probe and bind every kernel, sources first; which columns anybody reads, sinks first; cut sources and sinks
// into their halves; fuse stages into actors; choose replicas; draw edges; size rings.  Every decision leaves a
// sentence.
#include "plan/plan.h"
#include "plan/bind.h"
#include "plan/chain.h"
#include "plan/many.h"
#include "spec/given.h"
#include "spec/tree.h"

#include <stdlib.h>

// WINDOW: messages of each replica that are dealt and not begun.
enum { PARTS = 8, MAX_REPLICAS = 64, MAX_REASONS = 24, WINDOW = 2 };

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

const char *rki_overflow_name(int overflow)
{
    static const char *const names[RKI_N_OVERFLOWS] = { "default",     "block", "drop_oldest", "drop_newest",
                                                        "dead_letter", "fail",  "spill" };
    return names[overflow];
}

const char *rki_role_name(int role)
{
    static const char *const names[RKI_N_ROLES] = { "", "/poll", "/decode", "/encode", "/write", "/deal", "/gather" };
    return names[role];
}

struct planner {
    rki_plan *p;
    rki_spec *s;
    const rki_plan_args *args;
    rkp_diags *d;
    uint32_t *in_stage; // of each kernel, once stages are made
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

// Must `k` be bound after what feeds this input?  Not when the topic says its columns.
static bool waits_for(const rki_input *in)
{
    return !in->reply && !(in->conf && in->conf->schema.schema);
}

static uint32_t n_plain(const rki_kernel *k) // inputs that are no replies, and no dead letters that are replayed
{
    uint32_t n = (uint32_t)k->n_from;
    while (n && (k->from[n - 1].reply || k->from[n - 1].replay))
        n--;
    return n;
}

static uint32_t n_replies(const rki_kernel *k)
{
    uint32_t n = 0;
    for (size_t i = n_plain(k); i < k->n_from; i++)
        n += k->from[i].reply;
    return n;
}

// What a call gives depends on its replies.
static bool call_known(const struct planner *w, const rki_input *in, const uint8_t *placed)
{
    const rki_kernel *c = &w->s->kernels[in->kernel];
    if (!(c->op->traits & RKP_CALLS) || in->port != 0)
        return true;
    for (size_t i = n_plain(c); i < c->n_from; i++)
        if (c->from[i].reply && !placed[c->from[i].kernel])
            return false;
    return true;
}

// Kernels in topological order.  Circles are cut where a topic has a schema.  Dead letters make no edge here: their
// schema is fixed.
static void order_kernels(struct planner *w)
{
    uint32_t n = w->p->n_kernels, done = 0;
    uint8_t *placed = take(w, n, 1);
    w->p->order = take(w, n, sizeof *w->p->order);
    if (w->nomem)
        return;
    for (int cut = 0; cut < 2 && done < n;) {
        uint32_t before = done;
        for (uint32_t i = 0; i < n; i++) {
            const rki_kernel *k = &w->s->kernels[i];
            bool ready =
                !placed[i] && (k->id.p[0] != '$' || cut || !w->s->test); // a test's input is like another publisher's
            for (size_t j = 0; ready && j < k->n_from; j++)
                ready = k->from[j].reply || (placed[k->from[j].kernel] && call_known(w, &k->from[j], placed)) ||
                        (cut && !waits_for(&k->from[j]));
            if (ready) {
                placed[i] = 1;
                w->p->order[done++] = i;
                cut = 0;
            }
        }
        if (done == before)
            cut++;
    }
    for (uint32_t i = 0; i < n && done < n; i++) {
        const rki_kernel *k = &w->s->kernels[i];
        if (placed[i])
            continue;
        rkp_diag(w->d, RKP_ERROR, k->at, "cycle-schema",
                 "kernel '%s' is on a circle, and no topic of it says its columns", k->id.p);
        rkp_diag_hint(w->d, "give one of its topics a schema: topics: { TOPIC: { schema: .. } }");
        w->invalid = true;
        break;
    }
    w->p->n_order = done;
}

static rkp_status opts_and_self(struct planner *w, rki_bound *b, rkp_opt_ctx *ctx)
{
    b->self = take(w, 1, b->k->op->self_size ? b->k->op->self_size : 1);
    if (!b->self)
        return RKP_NOMEM;
    return rki_opts_apply(ctx, b->k->op->opts, b->k->with, b->k->at, b->self);
}

// Binds a call for the second time, when what answers it is known.
static void finish_call(struct planner *w, rki_bound *b)
{
    const rki_kernel *k = b->k;
    uint32_t plain = n_plain(k), n = n_replies(k);
    rkp_opt_ctx ctx = { .arena = &w->p->arena, .diags = w->d, .spec = w->s, .owner = k->id.p };
    const rkp_schema **ins;
    const char **names;
    rkp_status st;
    if (!(k->op->traits & RKP_CALLS) || b->replies_known || !b->known || n == 0)
        return;
    ins = take(w, n, sizeof *ins);
    names = take(w, n, sizeof *names);
    for (uint32_t i = 0; !w->nomem && i < n; i++) {
        rki_bound *from = &w->p->kernels[k->from[plain + i].kernel];
        if (!from->known) {
            b->known = false;
            return;
        }
        ins[i] = &from->out[0];
        names[i] = from->k->id.p;
    }
    if (w->nomem)
        return;
    st = rki_bind_unite(&w->p->arena, w->d, b, ins, names, n, b->unite + plain, &b->replies);
    b->replies_known = true;
    if (st == RKP_OK)
        st = rki_bind_run(b, b->self, &ctx, true);
    if (st != RKP_OK) {
        w->nomem |= st == RKP_NOMEM;
        w->invalid = true;
        b->known = false;
    }
}

// ---- tests
//
// A source with rows of a test, and a sink that only looks, are bound as themselves, so that everything in the file is checked; then
// another operator stands in for them.

static void let_self_go(rki_bound *b)
{
    if (b->self && b->k->op->fini)
        b->k->op->fini(b->self);
    b->self = NULL;
}

// The columns that rows of a test come with.
static bool given_schema(struct planner *w, const rki_bound *b, rkp_schema *out)
{
    const rki_given *g = b->k->given;
    const rki_publication *pub = b->k->n_pubs ? &b->k->pubs[0] : NULL;
    bool topic = b->k->id.p[0] == '$';
    if (g->schema.n) {
        *out = g->schema;
        return true;
    }
    if (topic && pub->conf && pub->conf->schema.schema) {
        *out = *pub->conf->schema.schema;
        return true;
    }
    for (uint32_t i = 0; topic && i < w->p->n_kernels; i++) { // of another publisher
        const rki_bound *o = &w->p->kernels[i];
        for (uint32_t p = 0; o != b && o->known && p < o->k->n_pubs; p++)
            if (!o->k->pubs[p].tpl && o->k->pubs[p].port < o->n_out && o->out &&
                rkp_str_eq(rkp_word_str(o->k->pubs[p].topic), rkp_word_str(pub->topic))) {
                *out = o->out[o->k->pubs[p].port];
                return true;
            }
    }
    if (!topic && b->known && b->n_out && b->out[0].n) {
        *out = b->out[0];
        return true;
    }
    return rki_rows_infer(&w->p->arena, &g->rows, out);
}

static void give_rows(struct planner *w, rki_bound *b)
{
    rki_rows_as as = { .arena = &w->p->arena, .d = w->d };
    rkp_schema *s = take(w, 1, sizeof *s);
    rkp_str of;
    size_t errors = w->d ? rki_diags_count(w->d, RKP_ERROR) : 0;
    if (!s || !given_schema(w, b, s)) {
        w->nomem = true;
        return;
    }
    if (!s->n) {
        rkp_diag(w->d, RKP_ERROR, b->k->given->rows.at, "test-types",
                 "no rows to tell columns from, and nothing else says what kernel '%s' gives", b->k->id.p);
        rkp_diag_hint(w->d, "add 'schema: { COLUMN: TYPE, .. }', or the name of one of 'schemas'");
        w->invalid = true;
        b->known = false;
        return;
    }
    of = b->k->id.p[0] == '$' ? rki_printf(&w->p->arena, "topic '%s'", b->k->pubs[0].topic.p)
                              : rki_printf(&w->p->arena, "kernel '%s'", b->k->id.p);
    b->given_pool = rkp_pool_new(UINT64_C(1) << 30);
    if (!of.p || !b->given_pool) {
        w->nomem = true;
        return;
    }
    as.pool = b->given_pool;
    as.schema = s;
    as.of = of.p;
    b->given = rki_rows_batch(&as, &b->k->given->rows);
    if (!b->given) {
        w->invalid |= rki_diags_count(w->d, RKP_ERROR) > errors;
        w->nomem |= rki_diags_count(w->d, RKP_ERROR) == errors;
    }
    if (!b->out)
        b->out = take(w, b->n_out ? b->n_out : 1, sizeof *b->out);
    b->pass = take(w, s->n, sizeof *b->pass);
    b->needed = take(w, s->n, 1);
    if (w->nomem)
        return;
    b->out[0] = *s;
    for (uint32_t c = 0; c < s->n; c++)
        b->pass[c] = -1;
    b->known = true;
}

static void stand_in(struct planner *w, rki_bound *b)
{
    rki_kernel *k = &w->s->kernels[b->index];
    if (!k->given && !k->watched)
        return;
    if (k->given)
        give_rows(w, b);
    let_self_go(b);
    k->op = k->given ? w->s->given_op : w->s->seen_op;
    k->with = NULL;
    b->whole = b->adds = b->no_wait = false;
    b->single = NULL;
    b->delivery = 0;
    b->kept = (rkp_str){ 0 };
    for (uint32_t c = 0; k->watched && b->reads && c < b->in.n; c++)
        b->reads[c] = 1;
    b->self = take(w, 1, k->op->self_size ? k->op->self_size : 1);
}

// Whoever looks at a test may ask for any column.
static void need_all(struct planner *w)
{
    for (uint32_t i = 0; i < w->p->n_kernels; i++) {
        rki_bound *b = &w->p->kernels[i];
        if (b->needed && b->out[0].n)
            memset(b->needed, 1, b->out[0].n);
    }
}

static void bind_kernel(struct planner *w, uint32_t i)
{
    rki_bound *b = &w->p->kernels[i];
    const rki_kernel *k = b->k;
    rkp_opt_ctx ctx = { .arena = &w->p->arena, .diags = NULL, .spec = w->s, .owner = k->id.p };
    uint32_t plain = n_plain(k), n = plain + (b->takes_dead ? 1 : 0);
    const rkp_schema **ins = take(w, k->n_from + 1, sizeof *ins);
    const char **names = take(w, k->n_from + 1, sizeof *names);
    rki_unite *maps = take(w, k->n_from + 1, sizeof *maps);
    rkp_status st;
    if (w->nomem)
        return;
    b->known = true;
    b->n_out = (uint32_t)k->n_ports;
    for (uint32_t j = 0; j < plain; j++) {
        rki_bound *from = &w->p->kernels[k->from[j].kernel];
        if (k->from[j].port == 0)
            finish_call(w, from);
        names[j] = from->k->id.p;
        if (!waits_for(&k->from[j])) {
            ins[j] = k->from[j].conf->schema.schema;
            continue;
        }
        if (!from->known) {
            b->known = false;
            return;
        }
        ins[j] = &from->out[k->from[j].port];
    }
    if (b->takes_dead) {
        ins[plain] = &dead_schema;
        names[plain] = "(dead letters)";
    }
    if (n) {
        st = rki_bind_unite(&w->p->arena, w->d, b, ins, names, n, maps, &b->in);
        if (st != RKP_OK) {
            w->nomem |= st == RKP_NOMEM;
            w->invalid = true;
            b->known = false;
            return;
        }
        b->unite = maps;
        if (b->takes_dead)
            b->dead_unite = maps[plain];
    }
    st = opts_and_self(w, b, &ctx);
    ctx.diags = w->d;
    if (st == RKP_OK && w->args->probe && !(k->given && k->given->schema.n))
        st = rki_probe_run(b, &ctx, w->args->may_read_stdin);
    if (st == RKP_OK)
        st = rki_bind_run(b, b->self, &ctx, true);
    if (st != RKP_OK) {
        w->nomem |= st == RKP_NOMEM;
        w->invalid = true;
        b->known = false;
    }
    if (RKP_UNLIKELY(w->s->test) && !w->nomem)
        stand_in(w, b);
}

// A hidden source gives what the kernel that it feeds reads, whatever that is.
static void bind_replays(struct planner *w)
{
    for (uint32_t i = 0; i < w->p->n_kernels && !w->nomem; i++) {
        rki_bound *b = &w->p->kernels[i];
        uint32_t last = (uint32_t)b->k->n_from;
        if (!last || !b->k->from[--last].replay)
            continue;
        rki_bound *from = &w->p->kernels[b->k->from[last].kernel];
        rki_unite *u;
        from->known = b->known;
        if (!b->known)
            continue;
        from->out[0] = b->in;
        from->needed = take(w, b->in.n, 1);
        u = &b->unite[last];
        *u = (rki_unite){ .same = true, .col = take(w, b->in.n, sizeof *u->col) };
        for (uint32_t c = 0; c < b->in.n && !w->nomem; c++) {
            from->needed[c] = 1;
            u->col[c] = (int32_t)c;
        }
    }
}

rkp_status rki_plan_instance(rki_plan *p, uint32_t kernel, rki_arena *arena, void *self)
{
    rki_bound *b = &p->kernels[kernel];
    rkp_opt_ctx ctx = { .arena = arena, .spec = p->spec, .owner = b->k->id.p };
    rkp_status st = rki_opts_apply(&ctx, b->k->op->opts, b->k->with, b->k->at, self);
    return st == RKP_OK ? rki_bind_run(b, self, &ctx, false) : st;
}

// ---- topics ---------------------------------------------------------------------------------------------------------

// Columns that templates name, in what their ports give.
static void bind_templates(struct planner *w, rki_bound *b)
{
    const rki_kernel *k = b->k;
    if (!k->n_pubs || !b->known)
        return;
    b->tpl_cols = take(w, k->n_pubs, sizeof *b->tpl_cols);
    for (uint32_t p = 0; !w->nomem && p < k->n_pubs; p++) {
        const rki_publication *pub = &k->pubs[p];
        const rkp_schema *s = &b->out[pub->port];
        if (!pub->tpl)
            continue;
        b->tpl_cols[p] = take(w, pub->tpl->n_parts, sizeof **b->tpl_cols);
        for (uint32_t i = 0; !w->nomem && i < pub->tpl->n_parts; i++) {
            const rki_topic_part *part = &pub->tpl->parts[i];
            int at;
            if (part->kind != RKI_TOPIC_COLUMN)
                continue;
            at = rkp_schema_find(s, part->text);
            if (at < 0) {
                rkp_diag(w->d, RKP_ERROR, pub->topic.at, "column-unknown",
                         "topic '%s': kernel '%s' has no output column '%.*s'", pub->topic.p, k->id.p,
                         RKP_STR_ARG(part->text));
                rki_bind_hint_column(&w->p->arena, w->d, s, part->text);
                w->invalid = true;
            } else if (s->f[at].type.len) {
                rkp_diag(w->d, RKP_ERROR, pub->topic.at, "column-type", "topic '%s': column '%.*s' is an array",
                         pub->topic.p, RKP_STR_ARG(part->text));
                w->invalid = true;
            } else {
                b->tpl_cols[p][i] = (uint32_t)at;
                if (b->needed && (uint32_t)at < b->out[0].n)
                    b->needed[at] = 1;
            }
        }
    }
}

static bool type_fits(rkp_type have, rkp_type want)
{
    if (have.len != want.len)
        return false;
    if (have.kind == want.kind)
        return true;
    if (have.len || !rkp_kind_is_num(have.kind) || !rkp_kind_is_num(want.kind))
        return false;
    return rkp_kind_is_float(want.kind) ? want.kind == RKP_F64 : want.kind == RKP_I64 && !rkp_kind_is_float(have.kind);
}

// The topic has a schema: what the publisher gives must fit it.  Makes the map from the publisher's columns.
static void fit_schema(struct planner *w, rki_bound *b, uint32_t input)
{
    const rki_input *in = &b->k->from[input];
    const rkp_schema *want = in->conf->schema.schema;
    rki_bound *from = &w->p->kernels[in->kernel];
    const rki_publication *pub = &from->k->pubs[in->pub];
    rki_unite *u = &b->unite[input];
    if (!from->known || !b->known)
        return;
    const rkp_schema *have = &from->out[in->port];
    for (uint32_t c = 0; c < want->n; c++) {
        int at = rkp_schema_find(have, want->f[c].name);
        char th[RKP_TYPE_TEXT], tw[RKP_TYPE_TEXT];
        if (at >= 0 && type_fits(have->f[at].type, want->f[c].type))
            continue;
        if (at < 0 && want->f[c].type.nullable)
            continue;
        rkp_type_print(tw, want->f[c].type);
        if (at < 0) {
            rkp_diag(w->d, RKP_ERROR, pub->topic.at, "topic-schema",
                     "topic '%s' has a column '%.*s' (%s), and kernel '%s' has none to give", pub->topic.p,
                     RKP_STR_ARG(want->f[c].name), tw, from->k->id.p);
        } else {
            rkp_type_print(th, have->f[at].type);
            rkp_diag(w->d, RKP_ERROR, pub->topic.at, "topic-schema",
                     "topic '%s' has '%.*s' as %s, and kernel '%s' gives %s", pub->topic.p,
                     RKP_STR_ARG(want->f[c].name), tw, from->k->id.p, th);
            rkp_diag_hint(w->d, "cast it with a map");
        }
        w->invalid = true;
    }
    u->same = b->in.n == have->n;
    for (uint32_t c = 0; c < b->in.n; c++) {
        int at = rkp_schema_find(want, b->in.f[c].name) < 0 ? -1 : rkp_schema_find(have, b->in.f[c].name);
        u->col[c] = at;
        if (at != (int)c || have->f[at].type.kind != b->in.f[c].type.kind)
            u->same = false;
    }
}

static void bind_topics(struct planner *w)
{
    if (w->s->dead_topic.p) {
        rkp_str *name = take(w, 1, sizeof *name);
        rkp_topics *t = take(w, 1, sizeof *t);
        if (w->nomem)
            return;
        *name = rkp_word_str(w->s->dead_topic);
        *t = (rkp_topics){ 1, name };
        w->p->dead_topics = t;
    }
    for (uint32_t i = 0; i < w->p->n_kernels && !w->nomem; i++) {
        rki_bound *b = &w->p->kernels[i];
        w->p->reads_topics |= w->s->dead_store.bytes != 0; // they are kept with the rows
        w->p->reads_topics |= (b->meta & 1u << RKP_META_TOPIC) != 0;
        for (uint32_t p = 0; p < b->k->n_pubs; p++)
            for (uint32_t q = 0; b->k->pubs[p].tpl && q < b->k->pubs[p].tpl->n_parts; q++)
                w->p->reads_topics |= b->k->pubs[p].tpl->parts[q].kind == RKI_TOPIC_META &&
                                      b->k->pubs[p].tpl->parts[q].meta == RKI_META_TOPIC;
        bind_templates(w, b);
        for (uint32_t j = 0; b->known && j < b->k->n_from; j++)
            if (!b->k->from[j].reply && !waits_for(&b->k->from[j]))
                fit_schema(w, b, j);
    }
}

// ---- what is read ---------------------------------------------------------------------------------------------------

bool rki_plan_wants(const rki_bound *b, uint32_t column)
{
    bool wanted = b->reads[column];
    for (uint32_t q = 0; !wanted && b->pass && q < b->out[0].n; q++)
        wanted = b->needed[q] && b->pass[q] == (int32_t)column;
    return wanted;
}

static bool mark_inputs(struct planner *w, rki_bound *b)
{
    bool changed = false;
    for (uint32_t j = 0; j < b->k->n_from; j++) {
        const rki_input *in = &b->k->from[j];
        rki_bound *from = &w->p->kernels[in->kernel];
        for (uint32_t c = 0; in->reply && from->needed && c < from->out[0].n; c++) {
            changed |= !from->needed[c];
            from->needed[c] = 1;
        }
        if (in->reply)
            continue;
        for (uint32_t c = 0; c < b->in.n; c++) {
            int32_t at = b->unite[j].col[c];
            bool wanted = rki_plan_wants(b, c);
            // `needed` is sized by port 0; ports of one kernel share its columns.
            if (!wanted || at < 0 || !from->needed || (uint32_t)at >= from->out[0].n || from->needed[at])
                continue;
            from->needed[at] = 1;
            changed = true;
        }
    }
    return changed;
}

// Sinks first: what a kernel reads, and what passes through it to a column that is needed, its producers must give.
// Once round is enough without circles.
static void mark_needed(struct planner *w)
{
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t o = w->p->n_order; o-- > 0;)
            if (w->p->kernels[w->p->order[o]].known)
                changed |= mark_inputs(w, &w->p->kernels[w->p->order[o]]);
    }
}

// ---- errors ---------------------------------------------------------------------------------------------------------

static void resolve_errors(struct planner *w)
{
    uint32_t n = w->p->n_kernels;
    uint8_t *below = take(w, n, 1); // the dead-letter kernel and everything it feeds
    if (w->nomem)
        return;
    for (uint32_t i = 0; i < n; i++)
        below[i] = w->s->takes_dead[i];
    for (bool changed = w->s->dead_letters; changed;) {
        changed = false;
        for (uint32_t o = 0; o < n; o++) {
            const rki_kernel *k = &w->s->kernels[w->p->order[o]];
            for (size_t j = 0; j < k->n_from && !below[w->p->order[o]]; j++)
                if (below[k->from[j].kernel]) {
                    below[w->p->order[o]] = 1;
                    changed = true;
                }
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        rki_bound *b = &w->p->kernels[i];
        int act = b->k->on_error.action;
        if (act == RKI_ERR_DEFAULT)
            act = w->s->dead_letters && !below[i] ? RKI_ERR_DEAD_LETTER : RKI_ERR_FAIL;
        else if (act == RKI_ERR_DEAD_LETTER && !w->s->dead_letters) {
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
    if (w->s->replay)
        return; // its sources end at once
    w->p->stream = run->mode == RKI_MODE_STREAM;
    for (uint32_t i = 0; i < w->p->n_kernels; i++)
        w->p->stream |= run->mode == RKI_MODE_AUTO && !run->stop_rows && !run->stop_ns && w->p->kernels[i].endless &&
                        w->p->kernels[i].k->id.p[0] != '$';
    if (run->mode != RKI_MODE_BATCH || run->stop_rows || run->stop_ns)
        return;
    for (uint32_t i = 0; i < w->p->n_kernels; i++) {
        const rki_bound *b = &w->p->kernels[i];
        if (!b->endless || b->k->id.p[0] == '$')
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

// It is of the engine, not of the operator.
static bool passes_on(const rki_stage *s)
{
    return s->role == RKI_DEAL || s->role == RKI_GATHER;
}

static bool stage_stateless(const struct planner *w, const rki_stage *s)
{
    const rki_bound *b = &w->p->kernels[s->kernel];
    if (s->role == RKI_DECODE || s->role == RKI_ENCODE)
        return !b->single;
    if (passes_on(s))
        return true;
    return s->role == RKI_WHOLE && (b->k->op->traits & RKP_STATELESS) && !(b->k->op->traits & RKP_BLOCKING) &&
           !b->single && b->k->op->kind != RKP_SOURCE;
}

static bool stage_own_thread(const struct planner *w, const rki_stage *s)
{
    const rki_bound *b = &w->p->kernels[s->kernel];
    const rki_kernel *k = b->k;
    bool half = s->role == RKI_DECODE || s->role == RKI_ENCODE || passes_on(s);
    // Beginning again and replaying look at files in ways of their own.
    bool waits = (k->op->traits & RKP_BLOCKING) && (!b->no_wait || k->supervised || k->again);
    return !half && (waits || k->place_mode == RKI_PLACE_MODE_THREAD);
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
    a->device = rki_on_device(w->s, k);
    w->p->stages[stage].actor = w->p->n_actors++;
    return a;
}

// May the actor become several?
static bool divided(const struct planner *w, const rki_pactor *a)
{
    for (uint32_t i = 0; i < a->n_stages; i++) {
        const rki_kernel *k = w->p->kernels[w->p->stages[a->stages[i]].kernel].k;
        if (k->partition_by.p || (k->replicas_given && k->replicas != 1))
            return true;
    }
    return false;
}

// Why an actor that could be replicated must not be: its edges.  NULL: nothing.
static const char *single_why(const struct planner *w, uint32_t actor)
{
    const rki_pactor *a = &w->p->actors[actor];
    const rki_stage *head = &w->p->stages[a->stages[0]];
    const rki_kernel *k = w->p->kernels[head->kernel].k;
    const char *why = NULL;
    if (!k->batches || (head->role != RKI_WRITE && head->role != RKI_DECODE))
        why = rki_many_alone(w->p, head->kernel);
    if (!why && head->takes)
        why = rki_many_reader(w->p, head->kernel);
    for (uint32_t i = 0; !why && i < a->n_stages; i++)
        if (w->p->stages[a->stages[i]].gives)
            why = rki_many_writer(w->p, w->p->stages[a->stages[i]].kernel);
    return why;
}

// The halves of a kernel with replicas beside those that deal to them and gather from them.
static const char *not_with_half(const struct planner *w, const rki_stage *s, const rki_stage *f)
{
    const rki_kernel *k = w->p->kernels[s->kernel].k;
    bool one = !k->replicas && w->p->workers == 1 && !k->partition_by.p;
    if (s->role == RKI_GATHER && (!one || s->n_ports != 1))
        return "it puts what the replicas made in order";
    if (f->role == RKI_DEAL && !one)
        return "its messages are dealt to its replicas";
    return NULL;
}

// Why one of two kernels may be several, and the other must be one; NULL: they agree.
static const char *not_as_many(const struct planner *w, uint32_t stage, uint32_t actor)
{
    const rki_stage *s = &w->p->stages[stage];
    const rki_pactor *a = &w->p->actors[actor];
    const rki_bound *head = &w->p->kernels[w->p->stages[a->stages[0]].kernel];
    const rki_kernel *k = w->p->kernels[s->kernel].k;
    bool wanted = rki_many_wanted(k), several = head->k->n_from > 1 || head->takes_dead;
    if (wanted && (k->replicas || w->p->workers > 1) && a->stateless &&
        (single_why(w, actor) || (w->p->stages[a->stages[0]].takes && several)))
        return "its replicas differ";
    return !wanted && s->gives && a->stateless && divided(w, a) ? rki_many_writer(w->p, s->kernel) : NULL;
}

// Why a chain on a device ends before `k`; NULL: it goes on, or there is none.
static const char *not_chained(const struct planner *w, const rki_kernel *k, const rki_kernel *fk, const rki_pactor *a)
{
    uint32_t readers = 0;
    if (!rki_on_device(w->s, k) && !rki_on_device(w->s, fk))
        return NULL;
    if (rki_on_device(w->s, k) != rki_on_device(w->s, fk))
        return "only one of them runs on a device";
    for (uint32_t i = 0; i < w->p->n_kernels; i++)
        for (size_t j = 0; j < w->p->kernels[i].k->n_from; j++)
            readers += w->p->kernels[w->p->kernels[i].k->from[j].kernel].k == fk;
    if (readers > 1)
        return "its producer's rows go to others, too";
    return a->n_stages == RKD_STAGES ? "a chain on a device has at most 32 kernels" : NULL;
}

// Why `stage` is not fused into the actor of its only producer; NULL when it can be.
static const char *not_fused(struct planner *w, uint32_t stage, uint32_t from)
{
    const rki_stage *s = &w->p->stages[stage], *f = &w->p->stages[from];
    const rki_kernel *k = w->p->kernels[s->kernel].k, *fk = w->p->kernels[f->kernel].k;
    const rki_pactor *a = &w->p->actors[f->actor];
    bool halves = s->kernel == f->kernel; // two halves of one kernel
    if (s->role == RKI_DEAL)
        return "one reader deals its messages to its replicas";
    if (w->p->kernels[s->kernel].takes_dead && f->role != RKI_DEAL && s->role != RKI_GATHER)
        return "it also takes dead letters";
    if (f->role == RKI_GATHER)
        return "one of its producer puts in order what its replicas made";
    if (halves && not_with_half(w, s, f))
        return not_with_half(w, s, f);
    if (!halves && not_chained(w, k, fk, a))
        return not_chained(w, k, fk, a);
    if (!halves && not_as_many(w, stage, f->actor))
        return not_as_many(w, stage, f->actor);
    if (!halves && k->n_from == 1 && k->from[0].topic)
        return "its input is a topic";
    if (!halves && k->n_from == 1 && k->from[0].overflow != RKI_OVERFLOW_BLOCK)
        return "its queue does not block";
    if (!halves && k->batches)
        return "it has a batch policy";
    if (!halves && (k->supervised || k->start_suspended || k->timeout_ns))
        return "it is supervised";
    if (!halves && fk->supervised)
        return "its producer is supervised";
    if (a->own_thread)
        return "its producer has a thread of its own";
    if (f->role == RKI_POLL)
        return "its producer only reads";
    if (stage_own_thread(w, s))
        return "it has a thread of its own";
    if (s->role == RKI_DECODE && !w->p->kernels[s->kernel].single && (w->p->workers > 1 || k->replicas_given))
        return "several workers share it";
    if (!stage_stateless(w, s)) {
        // With one worker nothing could run beside it: a batch then goes through while it is warm.  Replicas that the
        // file asks for are several all the same, and each would have a state of its own.
        bool alone = w->p->workers == 1 && s->role == RKI_WHOLE && !k->partition_by.p && k->op->kind == RKP_TRANSFORM &&
                     !divided(w, a);
        if (!alone)
            return w->p->kernels[s->kernel].single ? w->p->kernels[s->kernel].single : "it keeps state";
    }
    if (k->op->traits & RKP_CALLS)
        return "it waits for replies";
    if ((k->op->traits & RKP_RETRIES) || k->retry.max_attempts)
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
    return w->in_stage[kernel];
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
    w->p->stages = take(w, w->p->n_kernels * 4u, sizeof *w->p->stages);
    w->in_stage = take(w, w->p->n_kernels, sizeof *w->in_stage);
    if (w->nomem)
        return;
    for (uint32_t o = 0; o < w->p->n_kernels && !w->nomem; o++) {
        uint32_t i = w->p->order[o];
        w->in_stage[i] = w->p->n_stages;
        rki_bound *b = &w->p->kernels[i];
        const rkp_op *op = b->k->op;
        if (rki_many_deals(w->p, i))
            add_stage(w, i, RKI_DEAL, 1);
        if (op->kind == RKP_SOURCE && op->decode && !b->whole) {
            add_stage(w, i, RKI_POLL, 1);
            add_stage(w, i, RKI_DECODE, b->n_out);
        } else if (op->kind == RKP_SINK && op->encode && !b->whole) {
            add_stage(w, i, RKI_ENCODE, 1);
            add_stage(w, i, RKI_WRITE, 0);
        } else {
            add_stage(w, i, RKI_WHOLE, b->n_out);
        }
        if (rki_many_gathers(w->p, i))
            add_stage(w, i, RKI_GATHER, b->n_out);
        w->p->stages[w->in_stage[i]].takes = true;
        w->p->stages[w->p->n_stages - 1].gives = true;
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
        if (!s->takes) {
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

// What a full edge does where the file does not say (SPEC.md 4).
static void resolve_overflows(struct planner *w)
{
    for (uint32_t i = 0; i < w->p->n_kernels; i++) {
        rki_kernel *k = &w->s->kernels[i];
        bool spills = false;
        for (size_t j = 0; j < k->n_from; j++) {
            bool lossy = w->s->engine.delivery == RKI_DELIVERY_AT_MOST_ONCE ||
                         k->delivery == RKI_DELIVERY_AT_MOST_ONCE ||
                         (k->from[j].conf && k->from[j].conf->delivery == RKI_DELIVERY_AT_MOST_ONCE);
            if (k->from[j].overflow == RKI_OVERFLOW_DEFAULT)
                k->from[j].overflow = !w->p->stream ? RKI_OVERFLOW_BLOCK
                                      : lossy       ? RKI_OVERFLOW_DROP_OLDEST
                                                    : RKI_OVERFLOW_SPILL;
            spills |= k->from[j].overflow == RKI_OVERFLOW_SPILL;
            if (k->from[j].overflow == RKI_OVERFLOW_DEAD_LETTER && !w->s->dead_letters) {
                rkp_diag(w->d, RKP_ERROR, k->at, "dead-letter-none",
                         "the queue of kernel '%s' sends what does not fit to dead letters, and the pipeline has no "
                         "dead_letter target",
                         k->id.p);
                rkp_diag_hint(w->d, "add 'dead_letter: { kernel: NAME }' at the top level");
                w->invalid = true;
            }
        }
        if (k->spill_bytes && !spills) {
            rkp_diag(w->d, RKP_WARNING, k->at, "queue-no-spill",
                     "'queue: { spill: .. }' of kernel '%s' means nothing: no queue of it spills", k->id.p);
            rkp_diag_hint(w->d, "add 'overflow: spill'");
        }
    }
}

// True, and a finding, when what the file says about an actor allows one replica only.
static bool refuse_replicas(struct planner *w, uint32_t actor, uint64_t want)
{
    const rki_stage *head = &w->p->stages[w->p->actors[actor].stages[0]];
    const rki_kernel *k = w->p->kernels[head->kernel].k;
    if (want <= 1)
        return false;
    if ((w->p->actors[actor].stateless || k->partition_by.p) && single_why(w, actor)) {
        rkp_diag(w->d, RKP_ERROR, k->at, "replicas-single", "kernel '%s' cannot have %llu replicas: %s", k->id.p,
                 (unsigned long long)want, single_why(w, actor));
        rkp_diag_hint(w->d, "leave out replicas, or give the work that needs them a kernel of its own");
        w->invalid = true;
        return true;
    }
    return false;
}

// Of one that deals to replicas, or gathers from them.
static void one_for_many(struct planner *w, uint32_t actor)
{
    rki_pactor *a = &w->p->actors[actor];
    const rki_stage *head = &w->p->stages[a->stages[0]];
    const rki_bound *b = &w->p->kernels[head->kernel];
    const char *why =
        head->role == RKI_GATHER ? rki_many_writer(w->p, head->kernel) : rki_many_reader(w->p, head->kernel);
    a->replicas = 1;
    if (!why)
        why = b->k->n_from > 1 ? "several inputs" : "it takes dead letters";
    if (a->n_stages > 1)
        reason(w, a, "one replica: one worker");
    else if (head->role == RKI_GATHER)
        reason(w, a, "one for all replicas of '%s': it puts what they made in order, because %s", b->k->id.p, why);
    else
        reason(w, a, "one for all replicas of '%s': it takes their messages and deals them: %s", b->k->id.p, why);
}

static void choose_replicas(struct planner *w)
{
    for (uint32_t i = 0; i < w->p->n_actors; i++) {
        rki_pactor *a = &w->p->actors[i];
        const rki_stage *head = &w->p->stages[a->stages[0]];
        const rki_bound *hb = &w->p->kernels[head->kernel];
        const rki_kernel *k = hb->k;
        uint64_t want = 0;
        bool given = false; // a number; auto is as many as there can be
        if (passes_on(head)) {
            one_for_many(w, i);
            continue;
        }
        for (uint32_t j = 0; j < a->n_stages; j++) {
            const rki_kernel *o = w->p->kernels[w->p->stages[a->stages[j]].kernel].k;
            if (o->replicas_given) {
                given = o->replicas != 0;
                want = o->replicas ? o->replicas : w->p->workers;
            }
        }
        if (k->partition_by.p && head->role == RKI_WHOLE && k->op->kind == RKP_TRANSFORM) {
            if (given && refuse_replicas(w, i, want))
                continue;
            // Rows come out replica by replica in turns, so their order depends on how many there are: auto is the same
            // number on every machine.
            bool one = !k->replicas_given || (!k->replicas && (single_why(w, i) || k->batches));
            uint64_t n = one ? 1 : k->replicas ? k->replicas : PARTS;
            a->replicas = (uint32_t)(n > MAX_REPLICAS ? MAX_REPLICAS : n);
            reason(w, a, "%u replica%s, rows divided by the hash of partition_by", a->replicas,
                   a->replicas == 1 ? "" : "s");
            continue;
        }
        if (given && want > 1 && !a->stateless && !a->own_thread && head->role == RKI_WHOLE) {
            rkp_diag(w->d, RKP_ERROR, k->at, "replicas-stateful",
                     "kernel '%s' keeps state, so %llu replicas need partition_by", k->id.p, (unsigned long long)want);
            rkp_diag_hint(w->d, "add 'partition_by: <column>', so that one key always goes to one replica");
            w->invalid = true;
            continue;
        }
        if (given && refuse_replicas(w, i, want))
            continue;
        if (a->device) {
            a->replicas = 1;
            reason(w, a, "on a device: its frames go to a chain of %u kernel%s that stays there", a->n_stages,
                   a->n_stages == 1 ? "" : "s");
            continue;
        }
        if (a->own_thread) {
            a->replicas = 1;
            reason(w, a, "%s",
                   a->poll ? "a thread of its own that polls (place.mode: thread)"
                           : "a thread of its own: it may wait for files or the system");
        } else if (!a->stateless) {
            a->replicas = 1;
            reason(w, a, "one replica: %s",
                   hb->no_wait ? "it reads files, without waiting for the disk"
                   : head->role == RKI_POLL || k->op->kind == RKP_SOURCE ? "it begins with a source"
                   : a->n_stages > 1                                     ? "a kernel in it keeps state"
                                                                         : "it keeps state");
        } else if (head->takes && (k->n_from > 1 || hb->takes_dead)) {
            a->replicas = 1;
            reason(w, a, "one replica: several inputs");
        } else if (single_why(w, i)) {
            a->replicas = 1;
            reason(w, a, "one replica: %s", single_why(w, i));
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
        if (given && want > 1 && a->replicas == 1 && head->role == RKI_WHOLE) {
            rkp_diag(w->d, RKP_WARNING, k->at, "replicas-one", "kernel '%s' runs as one replica, not %llu: %s", k->id.p,
                     (unsigned long long)want,
                     a->own_thread   ? "it has a thread of its own"
                     : k->n_from > 1 ? "it has several inputs"
                     : !a->stateless ? "a kernel in its actor keeps state"
                                     : "it takes dead letters");
            rkp_diag_hint(w->d, "leave out replicas, or put a kernel with one input before the work that needs them");
        }
        if (a->n_stages > 1)
            reason(w, a, "%u stages fused: a batch goes through all of them on one core while it is warm", a->n_stages);
    }
}

// ---- edges ----------------------------------------------------------------------------------------------------------

// Edges of one publication to members of one group share its messages: their number, from 1; 0: no group.
static uint32_t group_of(const struct planner *w, const rki_kernel *k, const rki_input *in)
{
    rkp_word name = in->topic ? k->subs[in->sub].group : (rkp_word){ 0 };
    uint32_t n = 0;
    if (!name.p)
        return 0;
    for (uint32_t i = 0; i < w->p->n_kernels; i++) {
        for (size_t s = 0; s < w->s->kernels[i].n_subs; s++) {
            rkp_word g = w->s->kernels[i].subs[s].group;
            n++;
            if (g.p && rkp_str_eq(rkp_word_str(g), rkp_word_str(name)))
                return n;
        }
    }
    return 0;
}

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
    e->overflow = RKI_OVERFLOW_BLOCK;
    if (w->p->stages[from].role == RKI_DEAL)
        e->capacity = WINDOW;
    if (!dead && w->p->stages[to].takes) {
        e->in = &tb->k->from[input];
        e->capacity = e->in->capacity;
        e->bytes = e->in->bytes;
        e->overflow = (uint8_t)e->in->overflow;
        e->spill_bytes = e->overflow == RKI_OVERFLOW_SPILL ? e->in->spill_bytes : 0;
        e->hlc = tb->k->order == RKI_ORDER_HLC;
        e->group = group_of(w, tb->k, e->in);
    }
    if (dead && tb->k->order == RKI_ORDER_HLC)
        e->hlc = true;
    ta->hlc |= e->hlc;
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

// Does what this stage sends become dead letters where it does not fit?
static bool overflow_dead(const struct planner *w, uint32_t stage)
{
    for (uint32_t i = 0; i < w->p->n_kernels; i++)
        for (size_t j = 0; j < w->s->kernels[i].n_from; j++)
            if (w->s->kernels[i].from[j].overflow == RKI_OVERFLOW_DEAD_LETTER &&
                out_stage_of(w, w->s->kernels[i].from[j].kernel) == stage)
                return true;
    return false;
}

static void make_edges(struct planner *w)
{
    uint32_t cap = w->p->n_stages, takers = 0;
    for (uint32_t i = 0; i < w->p->n_kernels; i++)
        takers += w->s->takes_dead[i];
    cap += takers * w->p->n_actors;
    for (uint32_t i = 0; i < w->p->n_kernels; i++)
        cap += (uint32_t)w->s->kernels[i].n_from;
    for (uint32_t i = 0; i < w->p->n_stages; i++)
        cap += w->p->stages[i].role == RKI_GATHER ? w->p->stages[i].n_ports : 0;
    w->p->edges = take(w, cap, sizeof *w->p->edges);
    for (uint32_t i = 0; i < w->p->n_stages && !w->nomem; i++) {
        rki_stage *s = &w->p->stages[i];
        const rki_kernel *k = w->p->kernels[s->kernel].k;
        if (!s->takes) {
            uint32_t ports = s->role == RKI_GATHER ? s->n_ports : 1;
            for (uint32_t q = 0; q < ports && w->p->stages[i - 1].actor != s->actor; q++)
                add_edge(w, i - 1, q, i, q, false);
            continue;
        }
        for (uint32_t j = 0; j < k->n_from; j++) {
            uint32_t from = out_stage_of(w, k->from[j].kernel);
            if (w->p->stages[from].actor != s->actor || k->from[j].topic)
                add_edge(w, from, k->from[j].port, i, j, false);
        }
    }
    // In a replay a row that goes wrong again is only kept: its target has had it.
    for (uint32_t t = 0; w->s->dead_letters && !w->s->replay && t < w->p->n_kernels; t++) {
        if (!w->s->takes_dead[t])
            continue;
        uint32_t to = in_stage_of(w, t);
        for (uint32_t i = 0; i < w->p->n_actors && !w->nomem; i++) {
            for (uint32_t j = 0; j < w->p->actors[i].n_stages; j++) {
                uint32_t st = w->p->actors[i].stages[j];
                if (w->p->kernels[w->p->stages[st].kernel].on_error == RKI_ERR_DEAD_LETTER || overflow_dead(w, st)) {
                    add_edge(w, st, UINT32_MAX, to, UINT32_MAX, true);
                    break;
                }
            }
        }
    }
}

// Can actor `to` be reached from actor `at`?
static bool reaches(const rki_plan *p, uint32_t at, uint32_t to, uint8_t *seen)
{
    if (at == to)
        return true;
    if (seen[at])
        return false;
    seen[at] = 1;
    for (uint32_t i = 0; i < p->actors[at].n_out; i++) {
        const rki_edge *e = &p->edges[p->actors[at].out_edges[i]];
        if (!(e->in && e->in->reply) && reaches(p, e->to_actor, to, seen))
            return true;
    }
    return false;
}

// Edges on circles.  Without any (actors can be put in an order) nothing is looked at twice.
static void find_circles(struct planner *w)
{
    rki_plan *p = w->p;
    uint32_t *waits = take(w, p->n_actors, sizeof *waits), *ready = take(w, p->n_actors, sizeof *ready), n = 0;
    uint8_t *seen = take(w, p->n_actors, 1);
    if (w->nomem)
        return;
    for (uint32_t i = 0; i < p->n_actors; i++) {
        waits[i] = p->actors[i].n_in;
        for (uint32_t e = 0; e < p->actors[i].n_in; e++)
            waits[i] -= p->edges[p->actors[i].in_edges[e]].in && p->edges[p->actors[i].in_edges[e]].in->reply;
        if (!waits[i])
            ready[n++] = i;
    }
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t e = 0; e < p->actors[ready[i]].n_out; e++) {
            const rki_edge *edge = &p->edges[p->actors[ready[i]].out_edges[e]];
            uint32_t to = edge->to_actor;
            if (!(edge->in && edge->in->reply) && --waits[to] == 0)
                ready[n++] = to;
        }
    for (uint32_t e = 0; n < p->n_actors && e < p->n_edges; e++) {
        memset(seen, 0, p->n_actors);
        p->edges[e].circle = !(p->edges[e].in && p->edges[e].in->reply) && waits[p->edges[e].from_actor] &&
                             waits[p->edges[e].to_actor] &&
                             reaches(p, p->edges[e].to_actor, p->edges[e].from_actor, seen);
    }
}

// ---- delivery -------------------------------------------------------------------------------------------------------

static bool drops(const rki_input *in)
{
    bool meant = in->conf && in->conf->delivery == RKI_DELIVERY_AT_MOST_ONCE; // the topic says so
    return !meant && (in->overflow == RKI_OVERFLOW_DROP_OLDEST || in->overflow == RKI_OVERFLOW_DROP_NEWEST);
}

// Why its checkpoints could not be whole, whatever it is asked to keep.  NULL: nothing.
static const char *cannot_take_part(const rki_bound *b)
{
    const rki_kernel *k = b->k;
    if (k->op->traits & (RKP_CALLS | RKP_REPLIES))
        return "requests under way are not saved yet";
    for (size_t i = 0; i < k->n_from; i++)
        if (k->start_suspended && k->from[i].conf && k->from[i].conf->retains)
            return "retained messages are not saved yet";
    if (k->op->kind == RKP_SOURCE && !k->op->save && !b->endless)
        return b->delivery_why ? b->delivery_why : "its operator cannot save how far it is"; // it would begin again
    return NULL;
}

// The strongest level that a kernel keeps; *why not a stronger one.
static int kernel_keeps(const rki_bound *b, const char **why)
{
    const rki_kernel *k = b->k;
    *why = NULL;
    if (k->supervised && k->op->kind == RKP_SOURCE && !k->op->save)
        *why = "a source that is restarted is not saved yet";
    else if (k->supervised && k->op->kind == RKP_TRANSFORM && !(k->op->traits & RKP_STATELESS))
        *why = "a restart loses its state";
    else if (k->op->traits & (RKP_CALLS | RKP_REPLIES))
        *why = "requests under way are not saved yet";
    for (size_t i = 0; i < k->n_from && !*why; i++) {
        if (drops(&k->from[i]))
            *why = "its queue drops";
        else if (k->start_suspended && k->from[i].conf && k->from[i].conf->retains)
            *why = "retained messages are not saved yet";
    }
    if (*why)
        return RKI_DELIVERY_AT_MOST_ONCE;
    if (!k->op->save && !(k->op->traits & RKP_STATELESS)) {
        *why = k->op->kind == RKP_TRANSFORM ? "its operator cannot save its state"
                                            : "its operator cannot save how far it is";
        return RKI_DELIVERY_AT_MOST_ONCE;
    }
    if (b->delivery && (b->delivery < RKI_DELIVERY_AT_LEAST_ONCE || !k->supervised)) {
        *why = b->delivery_why;
        return b->delivery;
    }
    if (k->supervised && k->op->kind == RKP_SINK) {
        *why = "what it is restarted for is offered again";
        return RKI_DELIVERY_AT_LEAST_ONCE;
    }
    return RKI_DELIVERY_EXACTLY_ONCE;
}

// It says itself that less is enough for it (SPEC.md 2, `delivery`).
static bool side_output(const rki_bound *b, int keeps)
{
    return b->k->delivery && keeps >= b->k->delivery && !cannot_take_part(b);
}

const char *rki_delivery_name(int level)
{
    static const char *const names[] = { "auto", "at_most_once", "at_least_once", "exactly_once" };
    return names[level];
}

// A source that goes on where it failed must be able to tell where that is.
// What a kernel on a device cannot have, as far as its operator does not say it (chain.c); NULL: nothing.
static const char *device_cannot(const rki_kernel *k)
{
    if (k->op->kind != RKP_TRANSFORM)
        return "only kernels that take rows and give rows run there";
    if (k->supervised)
        return "'restart' of it is not supported yet";
    if (k->partition_by.p || (k->replicas_given && k->replicas != 1))
        return "it has no replicas there, but blocks: place: { device: gpu, blocks: 4 }";
    if (k->place_mode == RKI_PLACE_MODE_THREAD)
        return "'mode: thread' is for processors";
    if (k->place_threads % 32)
        return "'threads' is a multiple of 32 there";
    return NULL;
}

static void check_devices(struct planner *w)
{
    for (uint32_t i = 0; i < w->p->n_kernels; i++) {
        const rki_kernel *k = w->p->kernels[i].k;
        const char *why = k->place_device == RKI_PLACE_GPU ? device_cannot(k) : NULL;
        bool idle = k->place_device != RKI_PLACE_GPU &&
                    (k->place_blocks || k->place_threads || k->place_mode == RKI_PLACE_MODE_PERSISTENT);
        if (!why && !idle)
            continue;
        rkp_diag(w->d, RKP_ERROR, k->place_at, why ? "device-unsupported" : "field-useless",
                 why ? "kernel '%s' (%s) cannot run on a device: %s" : "kernel '%s' (%s) is on no device: %s", k->id.p,
                 k->op->name, why ? why : "'blocks', 'threads' and 'mode: persistent' mean nothing");
        rkp_diag_hint(w->d, why ? "leave out 'place'" : "add 'device: gpu', or leave them out");
        w->invalid = true;
    }
}

// The source of what runs on devices.
static void make_program(struct planner *w)
{
    rki_program *prog = NULL;
    rkp_status st = w->p->known ? rki_program_new(w->p, w->d, &prog) : RKP_OK;
    w->nomem |= st == RKP_NOMEM;
    w->invalid |= st == RKP_INVALID;
    w->p->program = prog;
}

static void check_places(struct planner *w)
{
    check_devices(w);
    for (uint32_t i = 0; i < w->p->n_kernels; i++) {
        const rki_bound *b = &w->p->kernels[i];
        const rkp_op *op = b->k->op;
        if (!b->k->supervised || op->kind != RKP_SOURCE || !op->save || (op->traits & RKP_RESTARTS) || !b->delivery ||
            b->delivery == RKP_EXACTLY_ONCE)
            continue;
        rkp_diag(w->d, RKP_ERROR, b->k->at, "restart-impossible", "kernel '%s' (%s) cannot be restarted: %s",
                 b->k->id.p, op->name, b->delivery_why);
        rkp_diag_hint(w->d, "leave 'restart' out, or read a file");
        w->invalid = true;
    }
}

static void resolve_delivery(struct planner *w)
{
    int want = w->s->engine.delivery;
    const rki_bound *weakest = NULL;
    const char *why = NULL, *reason_why = NULL;
    w->p->delivery = want == RKI_DELIVERY_AUTO ? RKI_DELIVERY_EXACTLY_ONCE : want;
    if (want == RKI_DELIVERY_AT_MOST_ONCE) {
        reason(w, NULL, "delivery at_most_once: engine.delivery");
        return;
    }
    for (uint32_t i = 0; i < w->p->n_kernels; i++) {
        const rki_bound *b = &w->p->kernels[i];
        int keeps = kernel_keeps(b, &why);
        if (keeps >= w->p->delivery)
            continue;
        if (side_output(b, keeps)) {
            reason(w, NULL, "kernel '%s' keeps %s, as its delivery says: %s", b->k->id.p, rki_delivery_name(keeps),
                   why);
            continue;
        }
        if (want != RKI_DELIVERY_AUTO) {
            rkp_diag(w->d, RKP_ERROR, b->k->at, "delivery-level", "kernel '%s' (%s) keeps %s only: %s", b->k->id.p,
                     b->k->op->name, rki_delivery_name(keeps), why);
            if (cannot_take_part(b))
                rkp_diag_hint(w->d, "write 'engine: { delivery: %s }', or leave it out", rki_delivery_name(keeps));
            else
                rkp_diag_hint(
                    w->d,
                    "write 'engine: { delivery: %s }', or leave it out; or 'delivery: %s' at this kernel, when "
                    "that is enough for it",
                    rki_delivery_name(keeps), rki_delivery_name(keeps));
            w->invalid = true;
            continue;
        }
        w->p->delivery = keeps;
        weakest = b;
        reason_why = why;
    }
    if (w->s->dead_store.bytes && want == RKI_DELIVERY_EXACTLY_ONCE) {
        const rkp_node *n = rki_node_get(w->s->root, "dead_letter");
        rkp_diag(w->d, RKP_ERROR, n ? n->key_at : w->s->dead_letter_at, "delivery-level",
                 "dead letters in a store keep at_least_once only: they cannot be taken back");
        rkp_diag_hint(w->d, "write 'engine: { delivery: at_least_once }', or leave it out");
        w->invalid = true;
    }
    if (w->s->dead_store.bytes && w->p->delivery > RKI_DELIVERY_AT_LEAST_ONCE && want == RKI_DELIVERY_AUTO) {
        w->p->delivery = RKI_DELIVERY_AT_LEAST_ONCE;
        reason(w, NULL, "delivery at_least_once: dead letters in a store cannot be taken back");
        return;
    }
    if (weakest)
        reason(w, NULL, "delivery %s: kernel '%s' (%s): %s", rki_delivery_name(w->p->delivery), weakest->k->id.p,
               weakest->k->op->name, reason_why);
    else
        reason(w, NULL, "delivery %s: %s", rki_delivery_name(w->p->delivery),
               want == RKI_DELIVERY_AUTO ? "every kernel can keep it" : "engine.delivery");
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
        if (!passes_on(&p->stages[i]) && p->kernels[p->stages[i].kernel].k->op->traits & RKP_HOLDS)
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
        p->kernels[i].takes_dead = s->takes_dead[i];
    }
    order_kernels(&w);
    for (uint32_t o = 0; o < p->n_order && !w.nomem; o++)
        bind_kernel(&w, p->order[o]);
    for (uint32_t i = 0; i < p->n_kernels && !w.nomem && p->n_order == p->n_kernels; i++)
        finish_call(&w, &p->kernels[i]);
    if (!w.nomem && p->n_order == p->n_kernels)
        bind_replays(&w);
    if (!w.nomem && p->n_order == p->n_kernels)
        bind_topics(&w);
    if (!w.nomem && p->n_order == p->n_kernels)
        resolve_errors(&w);
    if (!w.nomem)
        check_endless(&w);
    if (!w.nomem)
        resolve_overflows(&w);
    p->known = true;
    for (uint32_t i = 0; i < p->n_kernels; i++)
        p->known &= p->kernels[i].known;
    if (w.nomem || w.invalid)
        goto fail;
    mark_needed(&w);
    if (s->test)
        need_all(&w);
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
        find_circles(&w);
    if (!w.nomem)
        name_actors(&w);
    if (!w.nomem)
        check_places(&w);
    if (!w.nomem && !w.invalid)
        make_program(&w);
    if (!w.nomem)
        resolve_delivery(&w);
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
    for (uint32_t i = 0; p->kernels && i < p->n_kernels; i++) {
        let_self_go(&p->kernels[i]);
        rkp_batch_put(p->kernels[i].given);
        if (p->kernels[i].given_pool)
            rkp_pool_free(p->kernels[i].given_pool);
    }
    rki_arena_fini(&p->arena);
    free(p);
}
