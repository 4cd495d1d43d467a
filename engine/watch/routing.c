// routing.c - copies of receivers and routes: what is at work outlives the file it came from.
#include "watch/routing.h"

const char *rki_way_word(int kind)
{
    static const char *const words[RKI_N_WAYS] = { "log", "file", "webhook", "exec", "topic", "alertmanager" };

    return words[kind];
}

static bool copy_word(rki_arena *a, rkp_word *w)
{
    if (w->p)
        w->p = rki_dup(a, w->p, w->n);
    w->at = (rkp_loc){ 0 }; // of a file that may be gone
    return w->p || w->n == 0;
}

static bool copy_list(rki_arena *a, rkp_word **v, size_t n)
{
    rkp_word *to = rki_array(a, n ? n : 1, sizeof *to);

    for (size_t i = 0; to && i < n; i++) {
        to[i] = (*v)[i];
        if (!copy_word(a, &to[i]))
            return false;
    }
    *v = to;
    return to != NULL;
}

static bool copy_words(rki_arena *a, rkp_words *w)
{
    rkp_word *v = (rkp_word *)(uintptr_t)w->v;
    bool ok = copy_list(a, &v, w->n);

    *w = (rkp_words){ .v = v, .n = w->n };
    return ok;
}

static bool copy_pairs(rki_arena *a, rkp_pairs *p)
{
    rkp_pair *to = rki_array(a, p->n ? p->n : 1, sizeof *to);

    for (size_t i = 0; to && i < p->n; i++) {
        to[i] = p->v[i];
        if (!copy_word(a, &to[i].key) || !copy_word(a, &to[i].val))
            return false;
    }
    *p = (rkp_pairs){ .v = to, .n = p->n };
    return to != NULL;
}

static bool copy_receiver(rki_arena *a, rki_receiver *r)
{
    rki_way *to = rki_array(a, r->n_ways ? r->n_ways : 1, sizeof *to);

    for (size_t i = 0; to && i < r->n_ways; i++) {
        to[i] = r->ways[i];
        if (!copy_word(a, &to[i].path) || !copy_word(a, &to[i].url) || !copy_words(a, &to[i].command.argv) ||
            !copy_pairs(a, &to[i].command.env) || !copy_pairs(a, &to[i].headers))
            return false;
    }
    r->ways = to;
    return to && copy_word(a, &r->name);
}

// As deep as routes may be (RKI_ROUTE_DEPTH).
static bool copy_route(rki_arena *a, rki_alert_route *r) // NOLINT(misc-no-recursion)
{
    rki_matchers match = r->match;
    rki_alert_route *to = rki_array(a, r->n_routes ? r->n_routes : 1, sizeof *to);

    if (!to || !rki_matchers_copy(a, &match, &r->match) || !copy_list(a, &r->by, r->n_by))
        return false;
    for (size_t i = 0; i < r->n_routes; i++) {
        to[i] = r->routes[i];
        if (!copy_route(a, &to[i]))
            return false;
    }
    r->routes = to;
    return true;
}

static bool copy_inhibit(rki_arena *a, rki_inhibit *i)
{
    rki_matchers source = i->source, target = i->target;

    return rki_matchers_copy(a, &source, &i->source) && rki_matchers_copy(a, &target, &i->target) &&
           copy_list(a, &i->equal, i->n_equal);
}

rki_routing *rki_routing_copy(rki_arena *a, const rki_routing *from)
{
    rki_routing *to = rki_alloc(a, sizeof *to);

    if (!to)
        return NULL;
    *to = *from;
    to->receivers = rki_array(a, from->n_receivers ? from->n_receivers : 1, sizeof *to->receivers);
    to->inhibits = rki_array(a, from->n_inhibits ? from->n_inhibits : 1, sizeof *to->inhibits);
    if (!to->receivers || !to->inhibits || !copy_route(a, &to->root))
        return NULL;
    for (size_t i = 0; i < from->n_receivers; i++) {
        to->receivers[i] = from->receivers[i];
        if (!copy_receiver(a, &to->receivers[i]))
            return NULL;
    }
    for (size_t i = 0; i < from->n_inhibits; i++) {
        to->inhibits[i] = from->inhibits[i];
        if (!copy_inhibit(a, &to->inhibits[i]))
            return NULL;
    }
    return to;
}
