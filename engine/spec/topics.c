// topics.c - topics of the file: the entries of `topics`, what kernels publish and subscribe to, and the edges that come of it.
//
// Which publication can ever meet which subscription is known from their texts, so a topic becomes edges here, and
// everything behind (types, fusion, rings) treats them as it treats `from`.  A kernel whose subscriptions overlap reads a topic once:
// the first of its subscriptions that matches takes it.
#include "spec/load.h"
#include "spec/value.h"

// ---- texts

static rkp_loc inside(rkp_word w, size_t at, size_t n)
{
    rkp_loc l = w.at;

    if (w.at.len == w.n && at <= w.n) { // the text stands in the file as it is
        l.col += (uint32_t)at;
        l.len = (uint32_t)(n ? n : 1);
    }
    return l;
}

// Reports what is wrong with the text of a topic.
void rki_topic_refuse(rki_load *l, rkp_word w, const rki_topic_findings *f)
{
    for (uint32_t i = 0; i < f->n; i++) {
        rkp_diag(l->d, RKP_ERROR, inside(w, f->v[i].at, f->v[i].n), f->v[i].code, "topic '%.*s': %s",
                 (int)(w.n < 120 ? w.n : 120), w.p, f->v[i].what);
        if (f->v[i].hint[0])
            rkp_diag_hint(l->d, "%s", f->v[i].hint);
    }
}

static bool pattern_ok(rki_load *l, rkp_word w)
{
    rki_topic_findings f = { 0 };

    if (rki_topic_check(RKI_TOPIC_PATTERN, rkp_word_str(w), &f))
        return true;
    rki_topic_refuse(l, w, &f);
    return false;
}

// ---- topics:

static bool speaks_of(const rki_topic_conf *c, rkp_word topic, const rki_topic_template *tpl)
{
    return tpl ? rki_topic_may_match(tpl, rkp_word_str(c->pattern))
               : rki_topic_match(rkp_word_str(c->pattern), rkp_word_str(topic));
}

// The pattern of all topics that a template may make: a level that is filled in is '*'.
static bool widest(rki_load *l, const rki_topic_template *t, rkp_str *out)
{
    rki_buf b;

    rki_buf_init(&b);
    for (uint32_t i = 0; i < t->n_levels; i++) {
        const rki_topic_level *v = &t->levels[i];

        if (i)
            rki_putc(&b, '/');
        if (v->kind == RKI_LEVEL_FIXED)
            rki_put(&b, t->parts[v->first].text.p, t->parts[v->first].text.n);
        else
            rki_putc(&b, v->kind == RKI_LEVEL_MANY ? '#' : '*');
        if (v->kind == RKI_LEVEL_MANY)
            break;
    }
    *out = (rkp_str){ b.failed ? NULL : rki_dup(l->arena, b.p, b.n), b.n };
    rki_buf_fini(&b);
    return out->p != NULL;
}

// The entry that speaks about this topic (name or template): the one more specific than every other that does.  NULL: none.
// What a template makes shares its edges, so an entry about some of its topics only cannot be kept.
static const rki_topic_conf *conf_of(rki_load *l, rkp_word topic, const rki_topic_template *tpl)
{
    const rki_topic_conf *best = NULL, *v = l->s->topics;
    rkp_str all;

    for (size_t i = 0; i < l->s->n_topics; i++)
        if (speaks_of(&v[i], topic, tpl) &&
            (!best || rki_topic_specific_cmp(rkp_word_str(v[i].pattern), rkp_word_str(best->pattern)) < 0))
            best = &v[i];
    if (best && tpl && widest(l, tpl, &all) && !rkp_str_eq(all, rkp_word_str(best->pattern)) &&
        rki_topic_specific_cmp(all, rkp_word_str(best->pattern)) >= 0) {
        rkp_diag(l->d, RKP_ERROR, best->pattern.at, "topic-part",
                 "'%s' speaks about some of the topics that '%s' makes", best->pattern.p, topic.p);
        rkp_diag_hint(l->d, "topics of one template share their settings: write the entry for '%.*s'",
                      RKP_STR_ARG(all));
        return best;
    }
    for (size_t i = 0; best && i < l->s->n_topics; i++) {
        if (&v[i] == best || !speaks_of(&v[i], topic, tpl) ||
            rki_topic_specific_cmp(rkp_word_str(best->pattern), rkp_word_str(v[i].pattern)) < 0)
            continue;
        rkp_diag(l->d, RKP_ERROR, topic.at, "topic-tie", "'%s' and '%s' under 'topics' speak about '%s' equally",
                 best->pattern.p, v[i].pattern.p, topic.p);
        rkp_diag_hint(l->d, "add an entry that is more specific than both");
        break;
    }
    return best;
}

void rki_load_topics(rki_load *l, const rkp_node *map)
{
    if (!map)
        return;
    if (map->kind != RKI_MAP) {
        rkp_diag(l->d, RKP_ERROR, map->at, "opt-type", "'topics' needs a mapping of patterns to settings, not %s",
                 rki_node_shown(l->arena, map));
        return;
    }
    l->s->topics = rki_array(l->arena, map->n ? map->n : 1, sizeof *l->s->topics);
    if (!l->s->topics)
        return;
    for (rkp_node *n = map->child; n; n = n->next) {
        rki_topic_conf *c = &l->s->topics[l->s->n_topics];
        rkp_str owner = rki_printf(l->arena, "topic '%.*s'", (int)(n->key.n < 80 ? n->key.n : 80), n->key.p);
        rkp_opt_ctx ctx = rki_load_ctx(l, owner.p);

        if (!owner.p)
            return;
        c->pattern = n->key;
        c->pattern.at = n->key_at;
        if (!pattern_ok(l, c->pattern))
            continue;
        if (n->kind != RKI_MAP) {
            rkp_diag(l->d, RKP_ERROR, n->at, "opt-type", "%s needs a mapping of settings, not %s", owner.p,
                     rki_node_shown(l->arena, n));
            continue;
        }
        rki_interp_rows(l, n, rki_topic_rows, NULL);
        rki_opts_apply(&ctx, rki_topic_rows, n, n->key_at, c);
        c->retains = rki_node_get(n, "retain") != NULL;
        if (c->retains && !c->retain.count) {
            const rkp_node *r = rki_node_get(n, "retain");
            c->retain.count = rki_node_get(r, "bytes") || rki_node_get(r, "age") ? UINT64_MAX : 1;
        }
        rki_queue_rounded(l, rki_node_get(n, "capacity"), c->capacity);
        l->s->n_topics++;
    }
}

// ---- one kernel

static void take_subscriptions(rki_load *l, const rki_kernel_conf *conf, rki_kernel *k)
{
    const rki_subscription *v = conf->subscribe.v;
    bool bad = false;

    for (size_t i = 0; i < conf->subscribe.n; i++) {
        if (!v[i].topic.p || !pattern_ok(l, v[i].topic)) {
            bad = true; // that has been said
            continue;
        }
        for (size_t j = 0; j < i; j++) {
            if (!v[j].topic.p || !rkp_str_eq(rkp_word_str(v[i].topic), rkp_word_str(v[j].topic)))
                continue;
            rkp_diag(l->d, RKP_ERROR, v[i].topic.at, "subscribe-twice", "kernel '%s' subscribes to '%s' twice", k->id.p,
                     v[i].topic.p);
            rkp_diag_hint(l->d, "a kernel gets a message once: put both conditions into one 'where', with ||");
        }
        if (v[i].group.p && !rki_is_id(rkp_word_str(v[i].group)))
            rkp_diag(l->d, RKP_ERROR, v[i].group.at, "id", "'%s' cannot be the name of a group", v[i].group.p);
    }
    if (bad)
        return;
    k->subs = v;
    k->n_subs = conf->subscribe.n;
}

static int port_named(const rki_kernel *k, rkp_str name)
{
    for (size_t i = 0; i < k->n_ports; i++)
        if (rkp_str_eq(rkp_word_str(k->ports[i]), name))
            return (int)i;
    return -1;
}

// The text is a name or a template; false: a finding was made.
static bool take_topic(rki_load *l, rkp_word w, rki_publication *to)
{
    rki_topic_findings f = { 0 };
    rki_topic_template *t = rki_alloc(l->arena, sizeof *t);
    rkp_status st = t ? rki_topic_template_parse(l->arena, RKI_TOPIC_NAME, rkp_word_str(w), t, &f) : RKP_NOMEM;

    if (st != RKP_OK) {
        rki_topic_refuse(l, w, &f);
        return false;
    }
    to->topic = w;
    to->tpl = t->fixed.p ? NULL : t;
    if (t->fixed.p)
        to->topic = (rkp_word){ rki_dup(l->arena, t->fixed.p, t->fixed.n), t->fixed.n, w.at };
    return to->topic.p != NULL;
}

static void take_publications(rki_load *l, const rki_kernel_conf *conf, bool ports_known, rki_kernel *k)
{
    const rkp_pairs *p = &conf->publish;

    if (!p->n)
        return;
    if (k->op->kind == RKP_SINK) {
        rkp_diag(l->d, RKP_ERROR, p->at, "publish-sink", "kernel '%s' is a sink (%s) and has nothing to publish",
                 k->id.p, k->op->name);
        return;
    }
    k->pubs = rki_array(l->arena, p->n, sizeof *k->pubs);
    if (!k->pubs || !ports_known)
        return;
    for (size_t i = 0; i < p->n; i++) {
        rki_publication *to = &k->pubs[k->n_pubs];
        int port = 0;

        if (p->v[i].key.p) {
            port = port_named(k, rkp_word_str(p->v[i].key));
            if (port < 0) {
                rkp_diag(l->d, RKP_ERROR, p->v[i].key.at, "port-unknown", "kernel '%s' (%s) has no port '%s'", k->id.p,
                         k->op->name, p->v[i].key.p);
                if (k->n_ports == 1)
                    rkp_diag_hint(l->d, "it has one output: write 'publish: %s'", p->v[i].val.p);
                else if (k->n_ports)
                    rkp_diag_hint(l->d, "its ports are %s", rki_load_port_list(l, k));
                continue;
            }
        } else if (k->op->ports) {
            rkp_diag(l->d, RKP_ERROR, p->v[i].val.at, "port-which", "kernel '%s' (%s) has several ports", k->id.p,
                     k->op->name);
            if (k->n_ports)
                rkp_diag_hint(l->d, "say which, as in 'publish: { %s: %s }': it has %s", k->ports[k->n_ports - 1].p,
                              p->v[i].val.p, rki_load_port_list(l, k));
            continue;
        }
        if (!take_topic(l, p->v[i].val, to))
            continue;
        to->port = (uint32_t)port;
        to->conf = conf_of(l, to->topic, to->tpl);
        k->n_pubs++;
    }
}

bool rki_load_publish(rki_load *l, rki_kernel *k, rkp_word topic)
{
    rki_topic_findings f = { 0 };
    k->pubs = rki_array(l->arena, 1, sizeof *k->pubs);
    if (!k->pubs)
        return false;
    if (!rki_topic_check(RKI_TOPIC_NAME, rkp_word_str(topic), &f)) {
        rki_topic_refuse(l, topic, &f);
        return false;
    }
    if (!take_topic(l, topic, k->pubs))
        return false;
    if (k->pubs->tpl) {
        rkp_diag(l->d, RKP_ERROR, topic.at, "test-input", "rows go to one topic, and '%s' may be several", topic.p);
        return false;
    }
    k->pubs->conf = conf_of(l, k->pubs->topic, NULL);
    k->n_pubs = 1;
    return true;
}

// The topic of a kernel that sends requests is one of its publications, of port 1.  It is no template: the rows of a request go to one
// topic, or it would get several replies.
static void take_request(rki_load *l, rki_kernel *k)
{
    rki_topic_findings f = { 0 };
    const rkp_node *n = k->with ? rki_node_get(k->with, "topic") : NULL;
    rki_publication *v;

    if (!n || n->kind != RKI_SCALAR || n->bad || rki_node_is_null(n))
        return; // its row has said so
    v = rki_array(l->arena, k->n_pubs + 1, sizeof *v);
    if (!v)
        return;
    for (size_t i = 0; i < k->n_pubs; i++)
        v[i] = k->pubs[i];
    k->pubs = v;
    if (!rki_topic_check(RKI_TOPIC_NAME, rkp_word_str(rki_node_word(n)), &f)) {
        rki_topic_refuse(l, rki_node_word(n), &f);
        return;
    }
    v[k->n_pubs] = (rki_publication){ .topic = rki_node_word(n), .port = 1 };
    v[k->n_pubs].conf = conf_of(l, v[k->n_pubs].topic, NULL);
    k->n_pubs++;
}

void rki_load_pubsub(rki_load *l, const rkp_node *kernel, const rki_kernel_conf *conf, bool ports_known, rki_kernel *k)
{
    const rkp_node *n = rki_node_get(kernel, "subscribe");

    if (n && k->op->kind == RKP_SOURCE) {
        rkp_diag(l->d, RKP_ERROR, n->key_at, "source-field",
                 "'subscribe' is about a kernel's input, and '%s' is a source", k->id.p);
        return;
    }
    take_subscriptions(l, conf, k);
    take_publications(l, conf, ports_known, k);
    if (k->op->traits & RKP_CALLS)
        take_request(l, k);
}

// ---- the engine's own topics

// In the order of the publisher's ports.
static const rkp_word engine_topics[] = { { "$lifecycle/${this.kernel}", 25, { 0 } },
                                          { "$alerts/${this.alert}", 21, { 0 } },
                                          { "$reload", 7, { 0 } },
                                          { "$notify/${this.receiver}", 24, { 0 } } };
static const rkp_word engine_ports[] = {
    { "life", 4, { 0 } }, { "alerts", 6, { 0 } }, { "reload", 6, { 0 } }, { "notify", 6, { 0 } }
};

enum { ENGINE_TOPICS = sizeof engine_topics / sizeof *engine_topics };

bool rki_engine_wanted(const rki_spec *s)
{
    for (size_t i = 0; i < s->n_kernels; i++)
        for (size_t j = 0; j < s->kernels[i].n_subs; j++)
            if (s->kernels[i].subs[j].topic.p[0] == '$')
                return true;
    return false;
}

// A kernel that publishes them, after all others.  What happens is not said again after a crash, and that is no reason for other kernels
// to keep less.
void rki_engine_kernel(rki_load *l, rki_kernel *k)
{
    rki_topic_findings f = { 0 };

    *k = (rki_kernel){ .id = { "$engine", 7, { 0 } },
                       .at = { .file = l->s->file, .line = 1, .col = 1 },
                       .op = l->args->engine_op,
                       .on_error.max_ratio = 1,
                       .on_error.action = RKI_ERR_FAIL,
                       .replicas = 1,
                       .queue_capacity = 1024,
                       .queue_bytes = 8 << 20,
                       .enabled = true,
                       .priority = RKI_PRIO_NORMAL,
                       .order = RKI_ORDER_FIFO,
                       .delivery = RKI_DELIVERY_AT_MOST_ONCE,
                       .ports = engine_ports,
                       .n_ports = ENGINE_TOPICS };
    k->pubs = rki_array(l->arena, ENGINE_TOPICS, sizeof *k->pubs);
    for (uint32_t i = 0; k->pubs && i < ENGINE_TOPICS; i++) {
        rki_topic_template *t = rki_alloc(l->arena, sizeof *t);

        if (!t || rki_topic_template_parse(l->arena, RKI_TOPIC_ANY, rkp_word_str(engine_topics[i]), t, &f) == RKP_NOMEM)
            return;
        k->pubs[k->n_pubs++] = (rki_publication){ .topic = engine_topics[i], .tpl = t->fixed.p ? NULL : t, .port = i };
    }
}

// ---- edges

size_t rki_topic_inputs_max(const rki_spec *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->n_kernels; i++)
        n += s->kernels[i].n_pubs;
    return n;
}

static bool meets(const rki_publication *p, rkp_str pattern)
{
    return p->tpl ? rki_topic_may_match(p->tpl, pattern) : rki_topic_match(pattern, rkp_word_str(p->topic));
}

// Subscriptions of a kernel that a template may meet share one edge, so that what their publisher sent keeps its order between them; not
// those that share with other kernels, or begin differently.
static bool share_edge(const rki_kernel *k)
{
    for (size_t i = 0; i < k->n_subs; i++)
        if (k->subs[i].group.p || k->subs[i].start != k->subs[0].start)
            return false;
    return k->n_subs <= 64;
}

bool rki_input_of_sub(const rki_input *in, uint32_t sub)
{
    return in->topic && (in->sub == sub || (sub < 64 && in->subs >> sub & 1));
}

void rki_load_topic_edges(rki_load *l, uint32_t kernel, void (*mark)(void *arg, uint32_t kernel, uint32_t port),
                          void *arg)
{
    rki_kernel *k = &l->s->kernels[kernel];
    bool share = share_edge(k);

    if (!k->n_subs)
        return;
    for (uint32_t i = 0; i < l->s->n_kernels; i++) {
        const rki_kernel *from = &l->s->kernels[i];

        for (uint32_t p = 0; p < from->n_pubs; p++) {
            const rki_publication *pub = &from->pubs[p];
            rki_input *one = NULL;

            for (uint32_t s = 0; s < k->n_subs; s++) {
                if (!meets(pub, rkp_word_str(k->subs[s].topic)))
                    continue;
                if (one) {
                    one->subs |= UINT64_C(1) << s;
                    continue;
                }
                k->from[k->n_from++] = (rki_input){ .text = k->subs[s].topic,
                                                    .kernel = i,
                                                    .port = pub->port,
                                                    .topic = true,
                                                    .sub = s,
                                                    .subs = s < 64 ? UINT64_C(1) << s : 0,
                                                    .pub = p,
                                                    .conf = pub->conf };
                one = share ? &k->from[k->n_from - 1] : NULL;
                mark(arg, i, pub->port);
                if (!pub->tpl)
                    break; // later subscriptions never get it
            }
        }
    }
}

// ---- replies

static void follow(const rki_spec *s, uint32_t kernel, uint32_t port, uint8_t *seen, uint32_t *todo, size_t *n)
{
    for (uint32_t i = 0; i < s->n_kernels; i++) {
        for (size_t e = 0; e < s->kernels[i].n_from && !seen[i]; e++) {
            const rki_input *in = &s->kernels[i].from[e];

            if (in->reply || in->kernel != kernel || (port != UINT32_MAX && in->port != port))
                continue;
            seen[i] = 1;
            todo[(*n)++] = i;
        }
    }
}

// Edges back to kernels that send requests, from every `reply` that a request of theirs can reach.
void rki_load_replies(rki_load *l)
{
    rki_spec *s = l->s;
    uint8_t *seen = rki_alloc(l->arena, s->n_kernels + 1), *answers = rki_alloc(l->arena, s->n_kernels + 1);
    uint32_t *todo = rki_array(l->arena, s->n_kernels + 1, sizeof *todo);

    for (uint32_t i = 0; seen && answers && todo && i < s->n_kernels; i++) {
        rki_kernel *k = &s->kernels[i];
        rki_input *v;
        size_t n = 0, found = 0;

        if (!(k->op->traits & RKP_CALLS))
            continue;
        memset(seen, 0, s->n_kernels);
        follow(s, i, 1, seen, todo, &n);
        for (size_t t = 0; t < n; t++) {
            if (s->kernels[todo[t]].op->traits & RKP_REPLIES) {
                answers[todo[t]] = 1;
                found++;
            } else if (todo[t] != i) {
                follow(s, todo[t], s->kernels[todo[t]].op->traits & RKP_CALLS ? 0 : UINT32_MAX, seen, todo, &n);
            }
        }
        v = rki_array(l->arena, k->n_from + found, sizeof *v);
        if (!v)
            return;
        for (size_t e = 0; e < k->n_from; e++)
            v[e] = k->from[e];
        k->from = v;
        for (uint32_t r = 0; r < s->n_kernels; r++)
            if (seen[r] && (s->kernels[r].op->traits & RKP_REPLIES))
                v[k->n_from++] =
                    (rki_input){ .text = s->kernels[r].id, .kernel = r, .reply = true, .overflow = RKI_OVERFLOW_BLOCK };
        if (!found && rki_diags_count(l->d, RKP_ERROR) == l->errors) {
            rkp_diag(l->d, RKP_ERROR, k->at, "call-unanswered",
                     "no 'reply' kernel can answer the requests of kernel '%s'", k->id.p);
            rkp_diag_hint(l->d, "subscribe to '%s', and end what answers it with a kernel of op: reply",
                          k->n_pubs ? k->pubs[k->n_pubs - 1].topic.p : "its topic");
        }
    }
    for (uint32_t r = 0; answers && r < s->n_kernels; r++)
        if ((s->kernels[r].op->traits & RKP_REPLIES) && !answers[r] && rki_diags_count(l->d, RKP_ERROR) == l->errors)
            rkp_diag(l->d, RKP_WARNING, s->kernels[r].at, "reply-unasked", "no request can reach kernel '%s'",
                     s->kernels[r].id.p);
}

// ---- in the end

static const char *order_name(int o)
{
    static const char *const names[] = { "default", "fifo", "none", "key", "hlc" };

    return names[o];
}

// The kernel's own order, or what its topics say, or fifo.
static void resolve_order(rki_load *l, rki_kernel *k)
{
    const rki_topic_conf *says = NULL, *skew = NULL;

    for (size_t i = 0; i < k->n_from; i++) {
        const rki_topic_conf *c = k->from[i].conf;

        if (!c)
            continue;
        skew = skew ? skew : c;
        if (k->order != RKI_ORDER_DEFAULT || c->order == RKI_ORDER_DEFAULT)
            continue;
        if (says && says->order != c->order) {
            rkp_diag(l->d, RKP_ERROR, k->at, "order-which",
                     "topics '%s' and '%s' have different orders, %s and %s, and kernel '%s' reads both",
                     says->pattern.p, c->pattern.p, order_name(says->order), order_name(c->order), k->id.p);
            rkp_diag_hint(l->d, "say which it gets, as in 'order: %s'", order_name(says->order));
            break;
        }
        says = c;
    }
    if (k->order == RKI_ORDER_DEFAULT)
        k->order = says ? says->order : RKI_ORDER_FIFO;
    k->max_skew_ns = 50000000u;
    k->heartbeat_ns = 1000000u;
    if (skew) {
        k->max_skew_ns = skew->max_skew_ns;
        k->heartbeat_ns = skew->heartbeat_ns;
        k->on_skew = skew->on_skew;
    }
    if (k->order == RKI_ORDER_KEY && !k->partition_by.p) {
        rkp_diag(l->d, RKP_ERROR, k->order_at, "order-key", "kernel '%s' has order: key, which needs partition_by",
                 k->id.p);
        rkp_diag_hint(l->d, "add 'partition_by: <column>'");
    }
    for (size_t i = 0; i < k->n_subs; i++) {
        if (!k->subs[i].group.p || k->order == RKI_ORDER_NONE || k->order == RKI_ORDER_KEY)
            continue;
        rkp_diag(l->d, RKP_ERROR, k->subs[i].group.at, "group-order",
                 "a group shares messages, so kernel '%s' cannot have order: %s", k->id.p, order_name(k->order));
        rkp_diag_hint(l->d, "write 'order: none', or 'order: key' with partition_by");
    }
}

static uint64_t power_of_two(uint64_t v)
{
    uint64_t p = 2;

    while (p < v)
        p *= 2;
    return p;
}

static void resolve_edges(rki_kernel *k)
{
    for (size_t i = 0; i < k->n_from; i++) {
        rki_input *in = &k->from[i];
        const rki_topic_conf *c = in->conf;

        in->overflow = k->overflow ? k->overflow : c ? c->overflow : RKI_OVERFLOW_DEFAULT;
        in->capacity = !k->capacity_given && c && c->capacity ? power_of_two(c->capacity) : k->queue_capacity;
        in->bytes = !k->bytes_given && c && c->bytes ? c->bytes : k->queue_bytes;
        in->spill_bytes = k->spill_bytes ? k->spill_bytes : c ? c->spill_bytes : 0;
        if (in->reply)
            in->overflow = RKI_OVERFLOW_BLOCK;
        if (!in->topic && !in->overflow)
            in->overflow = RKI_OVERFLOW_BLOCK;
    }
}

// Who shares what with whom must be the same for all members of a group.
static void check_members(rki_load *l, const rki_kernel *a, const rki_subscription *one, const rki_kernel *b,
                          const rki_subscription *two)
{
    if (!rkp_str_eq(rkp_word_str(one->topic), rkp_word_str(two->topic))) {
        rkp_diag(l->d, RKP_ERROR, one->topic.at, "group-topic", "group '%s' has members on '%s' and on '%s'",
                 one->group.p, two->topic.p, one->topic.p);
        rkp_diag_hint(l->d, "members of a group subscribe to the same pattern");
    } else if (a->order != b->order && (a->order == RKI_ORDER_NONE || a->order == RKI_ORDER_KEY) &&
               (b->order == RKI_ORDER_NONE || b->order == RKI_ORDER_KEY)) {
        rkp_diag(l->d, RKP_ERROR, a->order_at, "group-key",
                 "group '%s' shares by %s for kernel '%s' and by %s for kernel '%s'", one->group.p,
                 b->order == RKI_ORDER_KEY ? "key" : "turns", b->id.p, a->order == RKI_ORDER_KEY ? "key" : "turns",
                 a->id.p);
        rkp_diag_hint(l->d, "give all members the same 'order'");
    } else if (a->order == RKI_ORDER_KEY && a->partition_by.p && b->partition_by.p &&
               !rkp_str_eq(rkp_word_str(a->partition_by), rkp_word_str(b->partition_by))) {
        rkp_diag(l->d, RKP_ERROR, a->partition_by.at, "group-key",
                 "group '%s' shares by '%s' for kernel '%s', not by '%s'", one->group.p, b->partition_by.p, b->id.p,
                 a->partition_by.p);
        rkp_diag_hint(l->d, "a key stays with one member only when all have the same 'partition_by'");
    }
}

static void check_groups(rki_load *l)
{
    const rki_spec *s = l->s;

    for (size_t a = 0; a < s->n_kernels; a++) {
        for (size_t i = 0; i < s->kernels[a].n_subs; i++) {
            const rki_subscription *one = &s->kernels[a].subs[i];

            for (size_t b = 0; one->group.p && b < a; b++) {
                for (size_t j = 0; j < s->kernels[b].n_subs; j++) {
                    const rki_subscription *two = &s->kernels[b].subs[j];

                    if (two->group.p && rkp_str_eq(rkp_word_str(one->group), rkp_word_str(two->group)))
                        check_members(l, &s->kernels[a], one, &s->kernels[b], two);
                }
            }
        }
    }
}

static bool is_dead_pattern(const rki_spec *s, rkp_str pattern)
{
    return s->dead_topic.p && rki_topic_match(pattern, rkp_word_str(s->dead_topic));
}

// Subscriptions that ask for retained messages where there are none.
static void check_starts(rki_load *l, const rki_kernel *k)
{
    for (uint32_t i = 0; i < k->n_subs; i++) {
        bool retains = false;

        if (k->subs[i].start == RKI_FROM_NOW)
            continue;
        for (size_t e = 0; e < k->n_from; e++)
            retains |= rki_input_of_sub(&k->from[e], i) && k->from[e].conf && k->from[e].conf->retains;
        if (!k->start_suspended) {
            rkp_diag(l->d, RKP_WARNING, k->subs[i].topic.at, "start-nothing",
                     "kernel '%s' runs from the start, so its subscription has missed nothing that 'start' could give",
                     k->id.p);
            rkp_diag_hint(l->d, "'start' is for a kernel that is activated later: start: suspended");
        } else if (!retains) {
            rkp_diag(l->d, RKP_WARNING, k->subs[i].topic.at, "start-nothing",
                     "no topic that '%s' matches retains messages", k->subs[i].topic.p);
            rkp_diag_hint(l->d, "add it: topics: { TOPIC: { retain: { count: 1 } } }");
        } else if (k->subs[i].group.p) {
            // What it is dealt before it begins would be retained in part only, and nobody else would have it.
            rkp_diag(l->d, RKP_ERROR, k->subs[i].topic.at, "group-start",
                     "group '%s' shares messages, so kernel '%s' cannot begin with those that are retained",
                     k->subs[i].group.p, k->id.p);
            rkp_diag_hint(l->d, "leave out 'start: %s': what it is dealt waits in its queue",
                          k->subs[i].start == RKI_FROM_LAST ? "last" : "earliest");
        }
    }
}

// A subscription that gets nothing because one before it takes all: says so.
static bool covered(rki_load *l, const rki_kernel *k, uint32_t sub)
{
    const rki_spec *s = l->s;
    rkp_str mine = rkp_word_str(k->subs[sub].topic);

    for (size_t i = 0; i < s->n_kernels; i++) {
        for (size_t p = 0; p < s->kernels[i].n_pubs; p++) {
            for (uint32_t j = 0; j < sub && meets(&s->kernels[i].pubs[p], mine); j++) {
                if (!meets(&s->kernels[i].pubs[p], rkp_word_str(k->subs[j].topic)))
                    continue;
                rkp_diag(l->d, RKP_WARNING, k->subs[sub].topic.at, "subscribe-covered",
                         "'%s' gets nothing: '%s' before it takes all that it matches", k->subs[sub].topic.p,
                         k->subs[j].topic.p);
                rkp_diag_hint(l->d, "a kernel gets a message once, from the first subscription that matches");
                return true;
            }
        }
    }
    return false;
}

// What the engine publishes has a name in it, as its second level.  A subscription to another name: says so.
static bool no_such(rki_load *l, const rki_subscription *sub, const char *before, const char *what, size_t n_names,
                    const char *(*name)(const rki_spec *s, size_t i))
{
    const size_t n = strlen(before);
    rkp_str id = rkp_word_str(sub->topic);
    const char **names, *near;

    if (id.n <= n || memcmp(id.p, before, n) != 0)
        return false;
    id = (rkp_str){ id.p + n, id.n - n };
    if (rkp_str_is(id, "*") || rkp_str_is(id, "#") || memchr(id.p, '/', id.n))
        return false;
    names = rki_array(l->arena, n_names + 1, sizeof *names);
    for (size_t i = 0; names && i < n_names; i++) {
        names[i] = name(l->s, i);
        if (rkp_str_is(id, names[i]))
            return false;
    }
    rkp_diag(l->d, RKP_WARNING, inside(sub->topic, n, id.n), "subscribe-unreached",
             "nobody publishes '%s': no %s is named '%.*s'", sub->topic.p, what, (int)(id.n < 60 ? id.n : 60), id.p);
    near = names ? rki_opt_nearest(l->d, id, names) : NULL;
    if (near)
        rkp_diag_hint(l->d, "did you mean '%s%s'?", before, near);
    else if (n_names)
        rkp_diag_hint(l->d, "'%s*' is every %s", before, what);
    else
        rkp_diag_hint(l->d, "add one of that name to 'alerts'");
    return true;
}

static const char *kernel_named(const rki_spec *s, size_t i)
{
    return s->kernels[i].id.p;
}

static const char *alert_named(const rki_spec *s, size_t i)
{
    return s->alerts[i].name.p;
}

static bool no_such_name(rki_load *l, const rki_subscription *sub)
{
    return no_such(l, sub, "$lifecycle/", "kernel", l->s->n_kernels, kernel_named) ||
           (!l->alerts_wrong && no_such(l, sub, "$alerts/", "alert", l->s->n_alerts, alert_named));
}

static void hint_published(rki_load *l, rkp_str pattern)
{
    static const char *const engine[] = { "$lifecycle", "$alerts", "$reload", NULL };
    const rki_spec *s = l->s;
    const char *names[64 + 1], *near, *slash = memchr(pattern.p, '/', pattern.n);
    size_t n = 0;

    if (pattern.n && pattern.p[0] == '$') {
        rkp_str first = { pattern.p, slash ? (size_t)(slash - pattern.p) : pattern.n };

        near =
            rkp_str_is(first, engine[0]) || rkp_str_is(first, engine[1]) ? NULL : rki_opt_nearest(l->d, first, engine);
        if (near == engine[2])
            rkp_diag_hint(l->d, "did you mean '%s'?", near);
        else if (near)
            rkp_diag_hint(l->d, "did you mean '%s/%s'?", near,
                          slash && (size_t)(slash - pattern.p) + 1 < pattern.n ? slash + 1 : "*");
        else
            rkp_diag_hint(l->d, "the engine publishes '$lifecycle/KERNEL', '$alerts/ALERT' and '$reload'");
        return;
    }
    for (size_t k = 0; k < s->n_kernels; k++)
        for (size_t p = 0; p < s->kernels[k].n_pubs && n < 64; p++)
            names[n++] = s->kernels[k].pubs[p].topic.p;
    names[n] = NULL;
    near = rki_opt_nearest(l->d, pattern, names);
    if (near)
        rkp_diag_hint(l->d, "'%s' is published: did you mean that?", near);
}

static void unreached(rki_load *l)
{
    const rki_spec *s = l->s;

    for (size_t i = 0; i < s->n_kernels; i++) {
        check_starts(l, &s->kernels[i]);
        for (uint32_t j = 0; j < s->kernels[i].n_subs; j++) {
            const rki_subscription *sub = &s->kernels[i].subs[j];
            bool found = is_dead_pattern(s, rkp_word_str(sub->topic));

            for (size_t e = 0; !found && e < s->kernels[i].n_from; e++)
                found = rki_input_of_sub(&s->kernels[i].from[e], j);
            if (no_such_name(l, sub) || found || covered(l, &s->kernels[i], j))
                continue;
            rkp_diag(l->d, RKP_WARNING, sub->topic.at, "subscribe-unreached", "nobody publishes what '%s' matches",
                     sub->topic.p);
            hint_published(l, rkp_word_str(sub->topic));
        }
        for (size_t p = 0; p < s->kernels[i].n_pubs; p++) {
            const rki_publication *pub = &s->kernels[i].pubs[p];
            bool heard = false;

            for (size_t k = 0; !heard && k < s->n_kernels; k++)
                for (size_t e = 0; !heard && e < s->kernels[k].n_from; e++)
                    heard = s->kernels[k].from[e].topic && s->kernels[k].from[e].kernel == i &&
                            s->kernels[k].from[e].pub == p;
            if (!heard && s->kernels[i].id.p[0] != '$')
                rkp_diag(l->d, RKP_WARNING, pub->topic.at, "topic-unheard", "nobody subscribes to '%s'", pub->topic.p);
        }
    }
}

void rki_load_topics_end(rki_load *l)
{
    for (size_t i = 0; i < l->s->n_kernels; i++) {
        resolve_order(l, &l->s->kernels[i]);
        resolve_edges(&l->s->kernels[i]);
    }
    check_groups(l);
    if (rki_diags_count(l->d, RKP_ERROR) == l->errors)
        unreached(l);
}
