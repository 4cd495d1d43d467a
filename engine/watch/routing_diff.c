// routing_diff.c - what a reload does to receivers and routes.
//
// Two of them are the same when all that is in them is written as the same bytes.  There are secrets in these bytes: they are compared, and go nowhere.
#include "watch/routing.h"

#include "base/json.h"

static void put_n(rki_buf *b, uint64_t n)
{
    rki_put(b, (const char *)&n, sizeof n);
}

static void put_str(rki_buf *b, rkp_str s)
{
    put_n(b, s.p ? s.n + 1 : 0);
    rki_put(b, s.p ? s.p : "", s.n);
}

static void put_pairs(rki_buf *b, const rkp_pairs *v)
{
    put_n(b, v->n);
    for (size_t i = 0; i < v->n; i++) {
        put_str(b, rkp_word_str(v->v[i].key));
        put_str(b, rkp_word_str(v->v[i].val));
    }
}

static void put_receiver(rki_buf *b, const rki_receiver *r)
{
    for (size_t i = 0; i < r->n_ways; i++) {
        const rki_way *w = &r->ways[i];

        put_n(b, (uint64_t)w->kind << 1 | w->resolved);
        put_n(b, (uint64_t)w->timeout_ms);
        put_n(b, w->max_alerts);
        put_str(b, rkp_word_str(w->path));
        put_n(b, w->command.argv.n);
        for (size_t k = 0; k < w->command.argv.n; k++)
            put_str(b, rkp_word_str(w->command.argv.v[k]));
        put_pairs(b, &w->command.env);
        put_n(b, w->command.grace_ns);
        put_str(b, rkp_word_str(w->url));
        put_pairs(b, &w->headers);
    }
}

static void put_matchers(rki_buf *b, const rki_matchers *m)
{
    put_n(b, m->n);
    rki_matchers_print(m, b);
}

// As deep as RKI_ROUTE_DEPTH.
static void put_route(rki_buf *b, const rki_routing *all, const rki_alert_route *r) // NOLINT(misc-no-recursion)
{
    put_matchers(b, &r->match);
    put_str(b, rkp_word_str(all->receivers[r->receiver].name));
    put_n(b, r->n_by << 2 | (uint64_t)r->by_all << 1 | r->go_on);
    for (size_t i = 0; i < r->n_by; i++)
        put_str(b, rkp_word_str(r->by[i]));
    put_n(b, (uint64_t)r->wait_ms);
    put_n(b, (uint64_t)r->interval_ms);
    put_n(b, (uint64_t)r->repeat_ms);
    put_n(b, r->n_routes);
    for (size_t i = 0; i < r->n_routes; i++)
        put_route(b, all, &r->routes[i]);
}

static void put_inhibits(rki_buf *b, const rki_routing *r)
{
    for (size_t i = 0; i < r->n_inhibits; i++) {
        put_matchers(b, &r->inhibits[i].source);
        put_matchers(b, &r->inhibits[i].target);
        put_n(b, r->inhibits[i].n_equal);
        for (size_t k = 0; k < r->inhibits[i].n_equal; k++)
            put_str(b, rkp_word_str(r->inhibits[i].equal[k]));
    }
}

static bool same(const rki_buf *a, const rki_buf *b)
{
    return a->n == b->n && (!a->n || memcmp(a->p, b->p, a->n) == 0);
}

static const rki_receiver *named(const rki_routing *r, rkp_word name)
{
    for (size_t i = 0; r && i < r->n_receivers; i++)
        if (rkp_str_eq(rkp_word_str(r->receivers[i].name), rkp_word_str(name)))
            return &r->receivers[i];
    return NULL;
}

static bool same_receiver(const rki_receiver *a, const rki_receiver *b, bool *failed)
{
    rki_buf x, y;
    bool ok;

    rki_buf_init(&x);
    rki_buf_init(&y);
    put_receiver(&x, a);
    put_receiver(&y, b);
    ok = same(&x, &y);
    *failed = *failed || x.failed || y.failed;
    rki_buf_fini(&x);
    rki_buf_fini(&y);
    return ok;
}

static void put_receivers(const rki_routing *from, const rki_routing *to, rki_json *j)
{
    rki_json_object(j);
    rki_json_key(j, "change");
    rki_json_array(j);
    for (size_t i = 0; to && i < to->n_receivers; i++) {
        const rki_receiver *was = named(from, to->receivers[i].name);

        if (was && !same_receiver(was, &to->receivers[i], &j->out->failed))
            rki_json_str(j, rkp_word_str(to->receivers[i].name));
    }
    rki_json_end_array(j);
    rki_json_key(j, "add");
    rki_json_array(j);
    for (size_t i = 0; to && i < to->n_receivers; i++)
        if (!named(from, to->receivers[i].name))
            rki_json_str(j, rkp_word_str(to->receivers[i].name));
    rki_json_end_array(j);
    rki_json_key(j, "remove");
    rki_json_array(j);
    for (size_t i = 0; from && i < from->n_receivers; i++)
        if (!named(to, from->receivers[i].name))
            rki_json_str(j, rkp_word_str(from->receivers[i].name));
    rki_json_end_array(j);
    rki_json_end_object(j);
}

void rki_routing_diff(const rki_routing *from, const rki_routing *to, rki_json *j)
{
    const rki_routing *both[] = { from, to };
    rki_buf routes[2], inhibits[2];

    for (int i = 0; i < 2; i++) {
        rki_buf_init(&routes[i]);
        rki_buf_init(&inhibits[i]);
        if (!both[i])
            continue;
        put_route(&routes[i], both[i], &both[i]->root);
        put_inhibits(&inhibits[i], both[i]);
        j->out->failed |= routes[i].failed || inhibits[i].failed;
    }
    rki_json_object(j);
    rki_json_key(j, "receivers");
    put_receivers(from, to, j);
    rki_json_key(j, "change");
    rki_json_array(j);
    if (!same(&routes[0], &routes[1]))
        rki_json_z(j, "route");
    if (!same(&inhibits[0], &inhibits[1]))
        rki_json_z(j, "inhibit");
    rki_json_end_array(j);
    rki_json_end_object(j);
    for (int i = 0; i < 2; i++) {
        rki_buf_fini(&routes[i]);
        rki_buf_fini(&inhibits[i]);
    }
}
