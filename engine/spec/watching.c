// watching.c - alerts on data: each has a kernel of its own that looks at what it watches.
//
// It reads as any other kernel does, so that what can be wrong with `watch`, `where` and `key` is found where it is found for those.  Its queue
// drops what does not fit: who is watched never waits for it.
#include "spec/load.h"

#include "flow/topic.h"

size_t rki_watching_n(const rki_load *l)
{
    size_t n = 0;

    for (size_t i = 0; l->args->watch_op && i < l->s->n_alerts; i++)
        n += l->s->alerts[i].where.p != NULL;
    return n;
}

static rkp_word id_of(rki_load *l, rkp_word name)
{
    const char *id = rki_printf(l->arena, RKI_WATCH_ID "%.*s", (int)name.n, name.p).p;

    return (rkp_word){ id, id ? strlen(id) : 0, name.at };
}

// What the operator takes of the alert's keys.
static const rkp_node *options_of(rki_load *l, const rkp_node *alert)
{
    static const char *const taken[] = { "where", "key", "limit" };
    rkp_node *with = rki_node_new(l->arena, RKI_MAP, alert->at);

    for (size_t i = 0; with && i < sizeof taken / sizeof *taken; i++) {
        const rkp_node *n = rki_node_get(alert, taken[i]);
        rkp_node *copy = n ? rki_node_copy(l->arena, l->d, n, n->at, &l->budget) : NULL;

        if (!copy)
            continue;
        copy->key = n->key;
        copy->key_at = n->key_at;
        rki_node_add(with, copy);
    }
    return with;
}

static bool topic_of(rki_load *l, rki_kernel *k, rkp_word topic)
{
    rki_topic_findings f = { 0 };
    rki_subscription *s = rki_alloc(l->arena, sizeof *s);

    if (!s)
        return false;
    if (!rki_topic_check(RKI_TOPIC_PATTERN, rkp_word_str(topic), &f)) {
        rki_topic_refuse(l, topic, &f);
        return false;
    }
    s->topic = topic;
    k->subs = s;
    k->n_subs = 1;
    return true;
}

bool rki_watching_kernel(rki_load *l, size_t *at, rki_kernel *k, rki_graph_from *from)
{
    const rki_rule_conf *c;
    const rki_watching *w;

    while (*at < l->s->n_alerts && !l->s->alerts[*at].where.p)
        ++*at;
    if (*at == l->s->n_alerts)
        return false;
    c = &l->s->alerts[*at];
    w = &l->watching[(*at)++];
    *k = (rki_kernel){ .id = id_of(l, c->name),
                       .at = w->node->at,
                       .op = l->args->watch_op,
                       .with = options_of(l, w->node),
                       .on_error.max_ratio = 1,
                       .on_error.action = RKI_ERR_DROP,
                       .replicas = 1,
                       .queue_capacity = 1024,
                       .queue_bytes = 32 << 20,
                       .capacity_given = true,
                       .bytes_given = true,
                       .overflow = RKI_OVERFLOW_DROP_NEWEST,
                       .delivery = RKI_DELIVERY_AT_MOST_ONCE,
                       .order = RKI_ORDER_FIFO,
                       .order_at = w->node->at,
                       .enabled = true,
                       .priority = RKI_PRIO_NORMAL };
    *from = (rki_graph_from){ .at = c->watch.at };
    if (w->topic) {
        from->bad = !topic_of(l, k, c->watch);
    } else {
        rkp_word *v = rki_alloc(l->arena, sizeof *v);

        if (v)
            *v = c->watch;
        from->w = (rkp_words){ .v = v, .n = v ? 1 : 0 };
        from->given = true;
    }
    return true;
}
