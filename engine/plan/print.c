// plan/print.c - `rkpipe plan`: the physical graph, as text for people and as JSON.
//
// Both walk the plan in the same order: kernels (sources first), actors, edges, and the sums.  Names of columns come
// from files, so on the way to a terminal what could steer it is replaced.
#include "base/json.h"
#include "base/utf8.h"
#include "plan/plan.h"

enum { WIDTH = 110 };

static const char *const kind_names[] = { [RKP_SOURCE] = "source", [RKP_TRANSFORM] = "transform", [RKP_SINK] = "sink" };
static const char *const error_names[] = { [RKI_ERR_DEFAULT] = "default",
                                           [RKI_ERR_FAIL] = "fail",
                                           [RKI_ERR_DROP] = "drop",
                                           [RKI_ERR_DEAD_LETTER] = "dead_letter" };
static const char *const edge_names[] = {
    [RKI_EDGE_DIRECT] = "direct", [RKI_EDGE_SCATTER] = "scatter", [RKI_EDGE_PARTITION] = "partition"
};
static const char *const priority_names[] = { "low", "normal", "high", "critical" };

// Were the types of this source found by looking at its input?
static bool inferred(const rki_bound *b)
{
    const rkp_node *schema = b->k->with ? rki_node_get(b->k->with, "schema") : NULL;
    return b->k->op->kind == RKP_SOURCE && b->k->op->probe && b->probed && !schema;
}

static bool same_schema(const rkp_schema *a, const rkp_schema *b)
{
    if (a->n != b->n)
        return false;
    for (uint32_t i = 0; i < a->n; i++)
        if (!rkp_str_eq(a->f[i].name, b->f[i].name) || a->f[i].type.kind != b->f[i].type.kind ||
            a->f[i].type.nullable != b->f[i].type.nullable || a->f[i].type.len != b->f[i].type.len)
            return false;
    return true;
}

// A column of port 0 that nobody behind the kernel reads.
static bool pruned(const rki_bound *b, uint32_t col)
{
    return b->known && b->k->op->kind != RKP_SINK && b->needed && !b->needed[col];
}

static uint64_t ring_bytes(const rki_plan *p, const rki_edge *e)
{
    uint64_t rings = (uint64_t)p->actors[e->from_actor].replicas * p->actors[e->to_actor].replicas;
    return rings * e->capacity * 64u; // an envelope is 64 bytes
}

static const char *thread_of(const rki_pactor *a)
{
    return !a->own_thread ? "worker pool" : a->poll ? "own thread, polling" : "own thread";
}

// ---- text -----------------------------------------------------------------------------------------------------------

static size_t shown(rki_buf *out, rkp_str s)
{
    const char *p = s.p, *end = s.n ? s.p + s.n : s.p;
    size_t columns = 0;
    for (; p < end; columns++) {
        uint32_t cp;
        size_t n = rki_utf8_next(p, end, &cp);
        if (rki_utf8_plain(cp))
            rki_put(out, p, n);
        else
            rki_putz(out, "\xef\xbf\xbd");
        p += n;
    }
    return columns;
}

static void size_text(rki_buf *out, uint64_t bytes)
{
    static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB" };
    int u = 0;
    while (bytes >= 1024 && bytes % 1024 == 0 && u < 4) {
        bytes /= 1024;
        u++;
    }
    if (bytes >= 10240 && u < 4) {
        rki_putf(out, "%.1f %s", (double)bytes / 1024, units[u + 1]);
        return;
    }
    rki_putf(out, "%llu %s", (unsigned long long)bytes, units[u]);
}

static void label(rki_buf *out, const char *text)
{
    rki_putf(out, "      %-9s ", text);
}

// A list of words that breaks lines under its own beginning.
struct list {
    rki_buf *out;
    size_t at;
    bool any;
};

static void list_begin(struct list *l, rki_buf *out, const char *name)
{
    size_t start = out->n;
    label(out, name);
    *l = (struct list){ .out = out, .at = out->n - start };
}

static void list_word(struct list *l, rkp_str name, const char *after)
{
    size_t n = name.n + strlen(after);
    if (l->any && l->at + 2 + n > WIDTH) {
        rki_putf(l->out, ",\n%*s", 16, "");
        l->at = 16;
    } else if (l->any) {
        rki_putz(l->out, ", ");
        l->at += 2;
    }
    shown(l->out, name);
    rki_putz(l->out, after);
    l->at += n;
    l->any = true;
}

static void columns_text(rki_buf *out, const char *name, const rkp_schema *s)
{
    struct list l;
    list_begin(&l, out, name);
    for (uint32_t i = 0; i < s->n; i++) {
        char type[RKP_TYPE_TEXT], after[RKP_TYPE_TEXT + 1] = " ";
        rkp_type_print(type, s->f[i].type);
        memcpy(after + 1, type, strlen(type) + 1);
        list_word(&l, s->f[i].name, after);
    }
    if (s->n == 0)
        rki_putz(out, "no columns");
    rki_putc(out, '\n');
}

static void in_text(rki_buf *out, const rki_plan *p, const rki_bound *b)
{
    const rki_kernel *k = b->k;
    if (k->op->kind == RKP_SOURCE)
        return;
    if (k->n_from == 1 && !b->takes_dead && same_schema(&b->in, &p->kernels[k->from[0].kernel].out[k->from[0].port])) {
        label(out, "in");
        rki_putf(out, "what '%s' gives\n",
                 k->from[0].topic ? p->kernels[k->from[0].kernel].k->id.p : k->from[0].text.p);
        return;
    }
    columns_text(out, "in", &b->in);
}

static void outs_text(rki_buf *out, const rki_bound *b)
{
    for (uint32_t i = 0; i < b->n_out; i++) {
        bool same = b->k->op->kind != RKP_SOURCE && same_schema(&b->in, &b->out[i]);
        if (b->n_out == 1 && same) {
            label(out, "out");
            rki_putz(out, "the same columns\n");
        } else if (b->n_out == 1) {
            columns_text(out, "out", &b->out[i]);
        } else {
            rki_putf(out, "      port " RKP_STR_FMT "%s", RKP_STR_ARG(b->k->ports[i]),
                     same ? ": the same columns\n" : "\n");
            if (!same)
                columns_text(out, "out", &b->out[i]);
        }
    }
    if (b->n_out && inferred(b)) {
        label(out, "");
        rki_putz(out, "(types inferred from the input)\n");
    }
}

static void pruned_text(rki_buf *out, const rki_bound *b)
{
    struct list l;
    uint32_t n = 0;
    for (uint32_t i = 0; b->n_out && i < b->out[0].n; i++)
        n += pruned(b, i);
    if (n == 0)
        return;
    if (n == b->out[0].n) {
        label(out, "pruned");
        rki_putz(out, "all of them: nobody reads their values\n");
        return;
    }
    list_begin(&l, out, "pruned");
    for (uint32_t i = 0; i < b->out[0].n; i++)
        if (pruned(b, i))
            list_word(&l, b->out[0].f[i].name, "");
    rki_putz(out, " (nobody reads them)\n");
}

// The kernel or topic that dead letters go to; NULL: none.
static const char *dead_target(const rki_plan *p)
{
    if (p->spec->dead_topic.p)
        return p->spec->dead_topic.p;
    for (uint32_t i = 0; i < p->n_kernels; i++)
        if (p->kernels[i].takes_dead)
            return p->kernels[i].k->id.p;
    return NULL;
}

static void errors_text(rki_buf *out, const rki_plan *p, const rki_bound *b)
{
    const rki_error_conf *e = &b->k->on_error;
    label(out, "errors");
    rki_putz(out, error_names[b->on_error]);
    if (b->on_error == RKI_ERR_DEAD_LETTER && dead_target(p))
        rki_putf(out, " to %s", dead_target(p));
    if (b->on_error == RKI_ERR_DEAD_LETTER && p->spec->dead_store.bytes)
        rki_putz(out, dead_target(p) ? " and to disk" : " to disk");
    if (e->max_ratio < 1)
        rki_putf(out, ", at most %g %% of its rows", e->max_ratio * 100);
    if (e->reason.p) {
        rki_putz(out, ", reason ");
        shown(out, rkp_word_str(e->reason));
    }
    rki_putc(out, '\n');
}

static void kernel_text(rki_buf *out, const rki_plan *p, const rki_bound *b)
{
    const rki_kernel *k = b->k;
    rki_putf(out, "  %s: %s", k->id.p, k->op->name);
    bool some = false;
    for (size_t i = 0; i < k->n_from && !k->from[i].topic; i++, some = true)
        rki_putf(out, "%s%s", i ? ", " : " from ", k->from[i].text.p);
    for (size_t i = 0; i < k->n_subs; i++, some = true)
        rki_putf(out, "%stopic %s", some ? ", " : " from ", k->subs[i].topic.p);
    if (b->takes_dead && !p->spec->dead_topic.p)
        rki_putz(out, some ? ", and dead letters" : " of dead letters");
    rki_putc(out, '\n');
    for (size_t i = 0; i < k->n_pubs; i++) {
        label(out, i ? "" : "publishes");
        rki_putf(out, "%s%s%s\n", k->n_ports > 1 ? k->ports[k->pubs[i].port].p : "", k->n_ports > 1 ? ": " : "",
                 k->pubs[i].topic.p);
    }
    if (k->order != RKI_ORDER_FIFO || k->n_subs) {
        static const char *const orders[] = { "", "fifo", "none", "key", "hlc" };
        label(out, "order");
        rki_putf(out, "%s\n", orders[k->order]);
    }
    if (!b->known) {
        label(out, "types");
        rki_putz(out, "not known before its input is there\n");
    } else {
        in_text(out, p, b);
        outs_text(out, b);
        pruned_text(out, b);
    }
    errors_text(out, p, b);
}

static void actor_text(rki_buf *out, const rki_pactor *a)
{
    rki_putf(out, "  %s\n", a->name);
    label(out, "runs");
    rki_putf(out, "%u replica%s, %s, priority %s\n", a->replicas, a->replicas == 1 ? "" : "s", thread_of(a),
             priority_names[a->priority]);
    for (uint32_t i = 0; i < a->n_reasons; i++) {
        label(out, i ? "" : "because");
        rki_putf(out, "%s\n", a->reasons[i]);
    }
}

static void edge_text(rki_buf *out, const rki_plan *p, const rki_edge *e)
{
    const rki_pactor *from = &p->actors[e->from_actor], *to = &p->actors[e->to_actor];
    uint64_t rings = (uint64_t)from->replicas * to->replicas;
    rki_putf(out, "  %s -> %s\n      ", from->name, to->name);
    if (e->dead)
        rki_putz(out, "dead letters; ");
    else if (e->kind == RKI_EDGE_SCATTER)
        rki_putz(out, "scatter: chunks in turns over the replicas; ");
    else if (e->kind == RKI_EDGE_PARTITION)
        rki_putz(out, "partition: rows by the hash of partition_by; ");
    else
        rki_putz(out, from->replicas > 1 ? "direct, chunks put back in order; " : "direct; ");
    if (rings > 1)
        rki_putf(out, "%llu rings, each up to ", (unsigned long long)rings);
    else
        rki_putz(out, "1 ring, up to ");
    rki_putf(out, "%llu messages or ", (unsigned long long)e->capacity);
    size_text(out, e->bytes);
    if (e->overflow != RKI_OVERFLOW_BLOCK)
        rki_putf(out, "; full: %s", rki_overflow_name(e->overflow));
    if (e->spill_bytes) {
        rki_putz(out, ", up to ");
        size_text(out, e->spill_bytes);
    }
    if (e->in && e->in->topic)
        rki_putf(out, "; topic %s", p->spec->kernels[e->in->kernel].pubs[e->in->pub].topic.p);
    if (e->group)
        rki_putf(out, ", shared by group %s", p->kernels[p->stages[e->to_stage].kernel].k->subs[e->in->sub].group.p);
    rki_putc(out, '\n');
}

void rki_plan_text(const rki_plan *p, rki_buf *out)
{
    uint64_t rings = 0;
    rki_putf(out, "pipeline %s: %u kernel%s in %u actor%s, %u worker%s\n", p->spec->name.p, p->n_kernels,
             p->n_kernels == 1 ? "" : "s", p->n_actors, p->n_actors == 1 ? "" : "s", p->workers,
             p->workers == 1 ? "" : "s");
    if (!p->known)
        rki_putz(out, "types that depend on a missing input are checked when it is there\n");
    rki_putz(out, "\nkernels (a type with ? may be null)\n");
    for (uint32_t i = 0; i < p->n_kernels; i++)
        kernel_text(out, p, &p->kernels[p->order[i]]);
    rki_putz(out, "\nactors\n");
    for (uint32_t i = 0; i < p->n_actors; i++)
        actor_text(out, &p->actors[i]);
    if (p->n_edges)
        rki_putz(out, "\nedges (a full ring makes its producer wait, where nothing else is said)\n");
    for (uint32_t i = 0; i < p->n_edges; i++) {
        edge_text(out, p, &p->edges[i]);
        rings += ring_bytes(p, &p->edges[i]);
    }
    rki_putz(out, "\nthe whole\n");
    for (uint32_t i = 0; i < p->n_reasons; i++)
        rki_putf(out, "  %s\n", p->reasons[i]);
    rki_putz(out, "  rings: ");
    size_text(out, rings);
    rki_putz(out, " of slots, besides the batches in them\n");
}

// ---- JSON -----------------------------------------------------------------------------------------------------------

static void u64(rki_json *j, const char *key, uint64_t v)
{
    rki_json_put_u64(j, key, v);
}

static void text(rki_json *j, const char *key, const char *v)
{
    rki_json_put_z(j, key, v);
}

static void flag(rki_json *j, const char *key, bool v)
{
    rki_json_put_bool(j, key, v);
}

static void columns_json(rki_json *j, const rkp_schema *s, const rki_bound *needed)
{
    rki_json_array(j);
    for (uint32_t i = 0; i < s->n; i++) {
        char type[RKP_TYPE_TEXT];
        rkp_type_print(type, s->f[i].type);
        rki_json_object(j);
        rki_json_put_str(j, "name", s->f[i].name);
        text(j, "type", type);
        if (needed)
            flag(j, "needed", !pruned(needed, i));
        rki_json_end_object(j);
    }
    rki_json_end_array(j);
}

static void kernel_json(rki_json *j, const rki_plan *p, const rki_bound *b)
{
    const rki_kernel *k = b->k;
    rki_json_object(j);
    text(j, "kernel", k->id.p);
    text(j, "op", k->op->name);
    text(j, "kind", kind_names[k->op->kind]);
    rki_json_key(j, "from");
    rki_json_array(j);
    for (size_t i = 0; i < k->n_from; i++)
        rki_json_z(j, k->from[i].text.p);
    rki_json_end_array(j);
    flag(j, "takes_dead_letters", b->takes_dead);
    flag(j, "types_known", b->known);
    rki_json_key(j, "in");
    if (b->known && k->op->kind != RKP_SOURCE)
        columns_json(j, &b->in, NULL);
    else
        rki_json_null(j);
    rki_json_key(j, "out");
    rki_json_object(j);
    for (uint32_t i = 0; b->known && i < b->n_out; i++) {
        rki_json_key_str(j, rkp_word_str(k->ports[i]));
        columns_json(j, &b->out[i], b->out[i].n == b->out[0].n ? b : NULL);
    }
    rki_json_end_object(j);
    flag(j, "inferred", inferred(b));
    text(j, "on_error", error_names[b->on_error]);
    rki_json_key(j, "dead_letters_to");
    if (b->on_error == RKI_ERR_DEAD_LETTER && dead_target(p))
        rki_json_z(j, dead_target(p));
    else
        rki_json_null(j);
    rki_json_end_object(j);
}

static void reasons_json(rki_json *j, const char *const *v, uint32_t n)
{
    rki_json_key(j, "reasons");
    rki_json_array(j);
    for (uint32_t i = 0; i < n; i++)
        rki_json_z(j, v[i]);
    rki_json_end_array(j);
}

static void actor_json(rki_json *j, const rki_plan *p, const rki_pactor *a)
{
    rki_json_object(j);
    text(j, "actor", a->name);
    rki_json_key(j, "stages");
    rki_json_array(j);
    for (uint32_t i = 0; i < a->n_stages; i++) {
        const rki_stage *s = &p->stages[a->stages[i]];
        const char *role = rki_role_name(s->role);
        rki_json_object(j);
        text(j, "kernel", p->kernels[s->kernel].k->id.p);
        text(j, "role", *role ? role + 1 : "whole");
        rki_json_end_object(j);
    }
    rki_json_end_array(j);
    u64(j, "replicas", a->replicas);
    flag(j, "own_thread", a->own_thread);
    flag(j, "polls", a->poll);
    text(j, "priority", priority_names[a->priority]);
    reasons_json(j, a->reasons, a->n_reasons);
    rki_json_end_object(j);
}

static void edge_json(rki_json *j, const rki_plan *p, const rki_edge *e)
{
    rki_json_object(j);
    text(j, "from", p->actors[e->from_actor].name);
    text(j, "to", p->actors[e->to_actor].name);
    text(j, "kind", edge_names[e->kind]);
    flag(j, "dead_letters", e->dead);
    u64(j, "rings", (uint64_t)p->actors[e->from_actor].replicas * p->actors[e->to_actor].replicas);
    u64(j, "capacity", e->capacity);
    u64(j, "bytes", e->bytes);
    text(j, "overflow", rki_overflow_name(e->overflow));
    if (e->spill_bytes)
        u64(j, "spill_max_bytes", e->spill_bytes);
    rki_json_key(j, "topic");
    if (e->in && e->in->topic)
        rki_json_z(j, p->spec->kernels[e->in->kernel].pubs[e->in->pub].topic.p);
    else
        rki_json_null(j);
    rki_json_put_z(j, "order", e->hlc ? "hlc" : "fifo");
    rki_json_key(j, "group");
    if (e->group)
        rki_json_z(j, p->kernels[p->stages[e->to_stage].kernel].k->subs[e->in->sub].group.p);
    else
        rki_json_null(j);
    rki_json_end_object(j);
}

void rki_plan_json(const rki_plan *p, rki_buf *out)
{
    rki_json j;
    uint64_t rings = 0;
    rki_json_init(&j, out, 2);
    rki_json_object(&j);
    text(&j, "pipeline", p->spec->name.p);
    flag(&j, "types_known", p->known);
    u64(&j, "workers", p->workers);
    u64(&j, "memory_limit", p->memory_limit);
    u64(&j, "pool_bytes", p->pool_bytes);
    u64(&j, "state_bytes", p->state_bytes);
    for (uint32_t i = 0; i < p->n_edges; i++)
        rings += ring_bytes(p, &p->edges[i]);
    u64(&j, "ring_bytes", rings);
    reasons_json(&j, p->reasons, p->n_reasons);
    rki_json_key(&j, "kernels");
    rki_json_array(&j);
    for (uint32_t i = 0; i < p->n_kernels; i++)
        kernel_json(&j, p, &p->kernels[p->order[i]]);
    rki_json_end_array(&j);
    rki_json_key(&j, "actors");
    rki_json_array(&j);
    for (uint32_t i = 0; i < p->n_actors; i++)
        actor_json(&j, p, &p->actors[i]);
    rki_json_end_array(&j);
    rki_json_key(&j, "edges");
    rki_json_array(&j);
    for (uint32_t i = 0; i < p->n_edges; i++)
        edge_json(&j, p, &p->edges[i]);
    rki_json_end_array(&j);
    rki_json_end_object(&j);
    rki_putc(out, '\n');
}
