// notifier.c - alerts, their groups, and what each flush of a group finds to tell.
//
// An alert is kept while it fires, and then until every way of its groups that was told that it fires has been told that it does not; an alert that
// is resolved before anybody was told is forgotten.  Silenced and inhibited alerts stay in their groups and are left out of what is told.
#include "watch/notifier.h"

#include "watch/told.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct alert {
    rki_noticed v;
    rki_arena arena;           // of v's texts
    uint64_t sources, targets; // bits of inhibitions
    uint32_t refs;             // groups that have it
} alert;

typedef struct group {
    char *key;
    rki_arena arena;
    const rki_alert_route *route;
    rki_labels labels;
    alert **v;
    size_t n, room;
    int64_t next_ms;
    bool flushed, late; // late: a flush found a notice on its way
    uint32_t away;      // notices on their way
} group;

// A notice on its way: what will have been told when it arrives.
typedef struct away {
    uint64_t ticket;
    char *key;
    group *g; // NULL: it has gone
    int64_t until;
    rki_ids firing, resolved;
} away;

struct rki_notifier {
    const rki_silences *silences;
    rki_routes *routes;
    const rki_routing *routing; // theirs
    alert **alerts;             // sorted by id
    size_t n_alerts, room_alerts;
    group **groups;
    size_t n_groups, room_groups;
    rki_tolds told;
    away *away;
    size_t n_away, room_away;
    uint64_t tickets, dropped;
};

rki_notifier *rki_notifier_new(const rki_silences *silences)
{
    rki_notifier *n = calloc(1, sizeof *n);

    if (n)
        n->silences = silences;
    return n;
}

// Room for one more pointer-sized or larger thing; v is what *p points at.
static bool room_for(void **v, size_t n, size_t *room, size_t bytes)
{
    size_t more = *room ? 2 * *room : 16;
    void *p;

    if (n < *room)
        return true;
    p = realloc(*v, more * bytes);
    if (!p)
        return false;
    *v = p;
    *room = more;
    return true;
}

// ---- alerts ---------------------------------------------------------------------------------------------------------

static uint64_t hashed(uint64_t h, rkp_str s)
{
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * UINT64_C(1099511628211);
    return (h ^ 0xff) * UINT64_C(1099511628211); // no byte of UTF-8
}

// The same in every process.
static uint64_t id_of(const rki_labels *l)
{
    uint64_t h = UINT64_C(14695981039346656037);

    for (uint32_t i = 0; i < l->n; i++)
        h = hashed(hashed(h, l->v[i].name), l->v[i].value);
    return h;
}

// Where it is, or would be.
static size_t place_of(const rki_notifier *n, uint64_t id)
{
    size_t from = 0, to = n->n_alerts;

    while (from < to) {
        size_t mid = (from + to) / 2;

        if (n->alerts[mid]->v.id < id)
            from = mid + 1;
        else
            to = mid;
    }
    return from;
}

static void alert_free(alert *a)
{
    if (a)
        rki_arena_fini(&a->arena);
    free(a);
}

static void forget_alert(rki_notifier *n, alert *a)
{
    size_t at = place_of(n, a->v.id);

    memmove(&n->alerts[at], &n->alerts[at + 1], (n->n_alerts - at - 1) * sizeof *n->alerts);
    n->n_alerts--;
    alert_free(a);
}

static void let_go(rki_notifier *n, alert *a)
{
    if (--a->refs == 0)
        forget_alert(n, a);
}

static void mark_inhibits(const rki_notifier *n, alert *a)
{
    a->sources = a->targets = 0;
    for (size_t i = 0; n->routing && i < n->routing->n_inhibits; i++) {
        a->sources |= (uint64_t)rki_matchers_hit(&n->routing->inhibits[i].source, &a->v.labels) << i;
        a->targets |= (uint64_t)rki_matchers_hit(&n->routing->inhibits[i].target, &a->v.labels) << i;
    }
}

// What the message says, in memory of its own.
static bool take_content(const rki_alert_message *m, int64_t ms, rki_arena *arena, rki_noticed *to)
{
    bool firing = strcmp(m->to, "firing") == 0;

    rki_arena_init(arena);
    *to = (rki_noticed){ .value = m->value, .starts_ms = m->fired_ms ? m->fired_ms : m->ms };
    if (!firing)
        to->ends_ms = ms > to->starts_ms ? ms : to->starts_ms + 1;
    memcpy(to->key, m->key, sizeof to->key);
    to->annotations = rki_dup_str(arena, m->annotations);
    if (to->annotations.p && rki_labels_copy(arena, m->set, &to->labels)) {
        to->id = id_of(&to->labels);
        return true;
    }
    rki_arena_fini(arena);
    return false;
}

// ---- groups ---------------------------------------------------------------------------------------------------------

static void group_free(rki_notifier *n, group *g)
{
    for (size_t i = 0; i < n->n_away; i++)
        if (n->away[i].g == g)
            n->away[i].g = NULL;
    rki_arena_fini(&g->arena);
    free(g->key);
    free(g->v);
    free(g);
}

static void drop_if_empty(rki_notifier *n, group *g)
{
    if (g->n || g->away)
        return;
    for (size_t i = 0; i < n->n_groups; i++) {
        if (n->groups[i] == g) {
            n->groups[i] = n->groups[--n->n_groups];
            group_free(n, g);
            return;
        }
    }
}

static void drop_groups(rki_notifier *n)
{
    for (size_t i = 0; i < n->n_groups; i++)
        group_free(n, n->groups[i]);
    n->n_groups = 0;
}

static void away_fini(away *w)
{
    free(w->key);
    rki_ids_free(&w->firing);
    rki_ids_free(&w->resolved);
}

void rki_notifier_free(rki_notifier *n)
{
    if (!n)
        return;
    drop_groups(n);
    for (size_t i = 0; i < n->n_alerts; i++)
        alert_free(n->alerts[i]);
    for (size_t i = 0; i < n->n_away; i++)
        away_fini(&n->away[i]);
    free(n->alerts);
    free(n->groups);
    free(n->away);
    rki_tolds_fini(&n->told);
    rki_routes_free(n->routes);
    free(n);
}

// The labels that a route groups by, and the group's name: where the route is, and those labels.
static char *group_key(const rki_alert_route *r, rkp_str path, const rki_labels *l, rki_arena *a, rki_labels *labels)
{
    rkp_str names[RKI_GROUP_BY_MAX];
    rki_buf b;

    for (size_t i = 0; i < r->n_by; i++)
        names[i] = rkp_word_str(r->by[i]);
    if (!rki_labels_pick(a, l, names, r->by_all ? 0 : (uint32_t)r->n_by, !r->by_all, false, labels))
        return NULL;
    rki_buf_init(&b);
    rki_put(&b, path.p, path.n);
    rki_putc(&b, ':');
    rki_labels_print(labels, &b);
    return rki_buf_take(&b, NULL);
}

static group *group_new(rki_notifier *n, const rki_alert_route *r, char *key, const rki_labels *labels)
{
    group *g =
        n->n_groups < RKI_GROUPS_MAX && room_for((void **)&n->groups, n->n_groups, &n->room_groups, sizeof(group *))
            ? calloc(1, sizeof *g)
            : NULL;

    if (!g)
        return NULL;
    rki_arena_init(&g->arena);
    g->route = r;
    g->next_ms = INT64_MAX;
    if (!rki_labels_copy(&g->arena, labels, &g->labels)) {
        rki_arena_fini(&g->arena);
        free(g);
        return NULL;
    }
    g->key = key;
    n->groups[n->n_groups++] = g;
    return g;
}

// Puts it into the group of this route.  One that has waited for long enough elsewhere waits no more.
static bool join(rki_notifier *n, const rki_alert_route *r, rkp_str path, alert *a, int64_t ms)
{
    int64_t due = a->v.starts_ms + r->wait_ms;
    group *g = NULL;
    rki_labels labels;
    rki_arena scratch;
    char *key;
    bool ok;

    rki_arena_init(&scratch);
    key = group_key(r, path, &a->v.labels, &scratch, &labels);
    for (size_t i = 0; key && i < n->n_groups && !g; i++)
        if (strcmp(n->groups[i]->key, key) == 0)
            g = n->groups[i];
    if (g || !key || !(g = group_new(n, r, key, &labels)))
        free(key);
    rki_arena_fini(&scratch);
    ok = g && room_for((void **)&g->v, g->n, &g->room, sizeof(alert *));
    if (!ok) {
        if (g)
            drop_if_empty(n, g);
        return false;
    }
    g->v[g->n++] = a;
    a->refs++;
    if (!g->flushed && g->next_ms > (due > ms ? due : ms))
        g->next_ms = due > ms ? due : ms;
    return true;
}

typedef struct finding {
    rki_notifier *n;
    alert *a;
    int64_t ms;
    rki_buf path; // the conditions of the routes above, so that a group keeps its name when others come and go
    bool failed;
} finding;

// The groups below this route; false: it does not match.  As deep as RKI_ROUTE_DEPTH.
static bool find_groups(finding *f, const rki_alert_route *r) // NOLINT(misc-no-recursion)
{
    size_t above = f->path.n;
    bool below = false;

    if (!rki_matchers_hit(&r->match, &f->a->v.labels))
        return false;
    rki_putz(&f->path, above ? "/{" : "{");
    rki_matchers_print(&r->match, &f->path);
    rki_putc(&f->path, '}');
    for (size_t i = 0; i < r->n_routes; i++) {
        if (!find_groups(f, &r->routes[i]))
            continue;
        below = true;
        if (!r->routes[i].go_on)
            break;
    }
    if (!below && !join(f->n, r, (rkp_str){ f->path.p, f->path.n }, f->a, f->ms))
        f->failed = true;
    f->path.n = above;
    return true;
}

static bool admit(rki_notifier *n, alert *a, int64_t ms)
{
    finding f = { .n = n, .a = a, .ms = ms };

    mark_inhibits(n, a);
    rki_buf_init(&f.path);
    if (n->routing)
        find_groups(&f, &n->routing->root);
    f.failed = f.failed || f.path.failed;
    rki_buf_fini(&f.path);
    n->dropped += f.failed;
    return !f.failed;
}

// Into its groups; one that is in none goes, unless there are no routes yet that it could take.
static bool settle(rki_notifier *n, alert *a, int64_t ms)
{
    bool ok;

    a->refs = 1; // until it has been let in
    ok = admit(n, a, ms);
    if (n->routing || a->v.ends_ms)
        let_go(n, a);
    else
        a->refs = 0;
    return ok;
}

bool rki_notifier_change(rki_notifier *n, const rki_alert_message *m, int64_t ms)
{
    bool firing = strcmp(m->to, "firing") == 0;
    rki_noticed v;
    rki_arena arena;
    alert *a;
    size_t at;

    if (!firing && strcmp(m->from, "firing") != 0)
        return true;
    if (!take_content(m, ms, &arena, &v)) {
        n->dropped++;
        return false;
    }
    at = place_of(n, v.id);
    if (at < n->n_alerts && n->alerts[at]->v.id == v.id) {
        a = n->alerts[at];
        if (a->v.ends_ms == 0)
            v.starts_ms = a->v.starts_ms;
        rki_arena_fini(&a->arena);
        a->arena = arena;
        a->v = v;
        if (!firing && a->refs == 0)
            forget_alert(n, a);
        return true;
    }
    a = n->n_alerts < RKI_NOTIFIED_MAX && room_for((void **)&n->alerts, n->n_alerts, &n->room_alerts, sizeof(alert *))
            ? calloc(1, sizeof *a)
            : NULL;
    if (!a) {
        rki_arena_fini(&arena);
        n->dropped++;
        return false;
    }
    a->v = v;
    a->arena = arena;
    memmove(&n->alerts[at + 1], &n->alerts[at], (n->n_alerts - at) * sizeof *n->alerts);
    n->alerts[at] = a;
    n->n_alerts++;
    return settle(n, a, ms);
}

rki_routes *rki_routes_new(const rki_routing *r)
{
    rki_routes *x = calloc(1, sizeof *x);

    if (!x)
        return NULL;
    rki_arena_init(&x->arena);
    if (!r || (x->routing = rki_routing_copy(&x->arena, r)))
        return x;
    rki_routes_free(x);
    return NULL;
}

void rki_routes_free(rki_routes *r)
{
    if (r)
        rki_arena_fini(&r->arena);
    free(r);
}

void rki_notifier_route(rki_notifier *n, rki_routes *r, int64_t ms)
{
    drop_groups(n);
    rki_routes_free(n->routes);
    n->routes = r;
    n->routing = r->routing;
    for (size_t i = n->n_alerts; i-- > 0;) {
        alert *a = n->alerts[i];

        settle(n, a, ms);
    }
}

const rki_routing *rki_notifier_routing(const rki_notifier *n)
{
    return n->routing;
}

// ---- what is left out -----------------------------------------------------------------------------------------------

static bool equal_labels(const rki_inhibit *h, const rki_labels *a, const rki_labels *b)
{
    for (size_t i = 0; i < h->n_equal; i++)
        if (!rkp_str_eq(rki_labels_find(a, rkp_word_str(h->equal[i])), rki_labels_find(b, rkp_word_str(h->equal[i]))))
            return false;
    return true;
}

// Something that fires is a source for which it is a target.  What is both cannot be held down by what is both.  The next of those; *k and *i are 0
// at the beginning.
static const alert *holder(const rki_notifier *n, const alert *a, size_t *k, size_t *i)
{
    for (; n->routing && *k < n->routing->n_inhibits; ++*k, *i = 0) {
        uint64_t bit = UINT64_C(1) << *k;

        while ((a->targets & bit) && *i < n->n_alerts) {
            const alert *b = n->alerts[(*i)++];

            if (b->v.id != a->v.id && b->v.ends_ms == 0 && (b->sources & bit) &&
                !((a->sources & bit) && (b->targets & bit)) &&
                equal_labels(&n->routing->inhibits[*k], &a->v.labels, &b->v.labels))
                return b;
        }
    }
    return NULL;
}

static bool inhibited(const rki_notifier *n, const alert *a)
{
    size_t k = 0, i = 0;

    return holder(n, a, &k, &i) != NULL;
}

void rki_notifier_muted(const rki_notifier *n, const rki_labels *l, int64_t ms, rki_json *j)
{
    enum { SHOWN = 20 };
    alert a = { .v = { .id = id_of(l), .labels = *l } };
    size_t at = 0, k = 0, i = 0;

    mark_inhibits(n, &a);
    rki_json_key(j, "silenced_by");
    rki_json_array(j);
    for (const rki_silence *s; (s = rki_silences_next(n->silences, l, ms, &at)) != NULL;)
        rki_json_z(j, s->id);
    rki_json_end_array(j);
    rki_json_key(j, "inhibited_by");
    rki_json_array(j);
    for (int shown = 0; shown < SHOWN; shown++) {
        const alert *b = holder(n, &a, &k, &i);

        if (!b)
            break;
        rki_labels_json(j, &b->v.labels);
    }
    rki_json_end_array(j);
}

// ---- flush ----------------------------------------------------------------------------------------------------------

static char *told_key(const rki_notifier *n, const group *g, size_t way)
{
    const rki_receiver *r = &n->routing->receivers[g->route->receiver];
    rki_buf b;

    rki_buf_init(&b);
    rki_putf(&b, RKP_STR_FMT "/%s %s", RKP_STR_ARG(r->name), rki_way_word(r->ways[way].kind), g->key);
    return rki_buf_take(&b, NULL);
}

// As Alertmanager's: is there anything that this way does not know, or should hear again?
static bool needed(const rki_told *was, const rki_ids *firing, const rki_ids *resolved, bool wants_resolved, int64_t ms,
                   int64_t repeat_ms)
{
    if (!was)
        return firing->n > 0;
    if (!rki_ids_within(firing, &was->firing))
        return true;
    if (firing->n == 0)
        return was->firing.n > 0;
    if (wants_resolved && !rki_ids_within(resolved, &was->resolved)) {
        // Only what it was told to fire can be resolved for it.
        for (size_t i = 0; i < resolved->n; i++)
            if (rki_ids_has(&was->firing, resolved->v[i]))
                return true;
    }
    return ms - was->ms >= repeat_ms;
}

typedef struct view {
    const rki_noticed **v; // that fire, then the others
    size_t n, n_firing;
} view;

static bool ids_of(const view *x, size_t from, size_t to, rki_ids *out)
{
    *out = (rki_ids){ .v = malloc((to - from ? to - from : 1) * sizeof *out->v), .n = to - from };
    for (size_t i = from; out->v && i < to; i++)
        out->v[i - from] = x->v[i]->id;
    if (out->v)
        rki_ids_sort(out);
    return out->v != NULL;
}

// Not silenced and not inhibited, those that fire first.
static bool view_of(const rki_notifier *n, const group *g, int64_t ms, view *out)
{
    *out = (view){ .v = malloc((g->n ? g->n : 1) * sizeof *out->v) };
    for (int resolved = 0; out->v && resolved < 2; resolved++) {
        for (size_t i = 0; i < g->n; i++)
            if ((g->v[i]->v.ends_ms != 0) == resolved && !rki_silences_hit(n->silences, &g->v[i]->v.labels, ms) &&
                !inhibited(n, g->v[i]))
                out->v[out->n++] = &g->v[i]->v;
        if (!resolved)
            out->n_firing = out->n;
    }
    return out->v != NULL;
}

static bool is_away(const rki_notifier *n, const char *key)
{
    for (size_t i = 0; i < n->n_away; i++)
        if (strcmp(n->away[i].key, key) == 0)
            return true;
    return false;
}

// Of one way.  Takes key and both lists.
static void tell(rki_notifier *n, group *g, size_t way, const view *x, away w, int64_t ms, rki_notifier_send *send,
                 void *arg)
{
    const rki_way *to = &n->routing->receivers[g->route->receiver].ways[way];
    size_t count = to->resolved ? x->n : x->n_firing;
    rki_notice notice = { .ticket = w.ticket,
                          .receiver = g->route->receiver,
                          .way = (uint32_t)way,
                          .routing = n->routing,
                          .group = rkp_str_of(g->key),
                          .labels = g->labels,
                          .ms = ms,
                          .interval_ms = g->route->interval_ms,
                          .firing = x->n_firing > 0,
                          .alerts = x->v,
                          .n = count };

    if (count == 0) { // it does not want to know, and now it would not hear of it again
        rki_told_set(&n->told, w.key, ms, w.until, w.firing, w.resolved);
        free(w.key);
        return;
    }
    if (!room_for((void **)&n->away, n->n_away, &n->room_away, sizeof *n->away)) {
        away_fini(&w);
        return;
    }
    n->away[n->n_away++] = w;
    g->away++;
    if (send(arg, &notice))
        return;
    g->away--;
    away_fini(&n->away[--n->n_away]);
}

static void flush_way(rki_notifier *n, group *g, size_t way, const view *x, int64_t ms, rki_notifier_send *send,
                      void *arg)
{
    const rki_way *to = &n->routing->receivers[g->route->receiver].ways[way];
    // An Alertmanager forgets what it is not told again, and has its own idea of repeating.
    int64_t repeat = to->kind == RKI_WAY_ALERTMANAGER ? g->route->interval_ms : g->route->repeat_ms;
    away w = { .key = told_key(n, g, way), .g = g, .until = ms + 2 * g->route->repeat_ms + g->route->interval_ms };

    if (w.key && is_away(n, w.key)) {
        g->late = true;
    } else if (w.key && ids_of(x, 0, x->n_firing, &w.firing) && ids_of(x, x->n_firing, x->n, &w.resolved) &&
               needed(rki_told_find(&n->told, w.key), &w.firing, &w.resolved, to->resolved, ms, repeat)) {
        w.ticket = ++n->tickets;
        tell(n, g, way, x, w, ms, send, arg);
        return;
    }
    away_fini(&w);
}

// Has any way been told, or is being told, that it fires?
static bool known(const rki_notifier *n, const group *g, uint64_t id)
{
    const rki_receiver *r = &n->routing->receivers[g->route->receiver];

    for (size_t i = 0; i < r->n_ways; i++) {
        char *key = told_key(n, g, i);
        const rki_told *t = key ? rki_told_find(&n->told, key) : NULL;
        bool yes = !key || is_away(n, key) || (t && rki_ids_has(&t->firing, id));

        free(key);
        if (yes)
            return true;
    }
    return false;
}

// What is resolved, and nobody has to be told of any more, goes; an empty group goes too.
static void sweep(rki_notifier *n, group *g)
{
    for (size_t i = g->n; i-- > 0;) {
        alert *a = g->v[i];

        if (a->v.ends_ms == 0 || known(n, g, a->v.id))
            continue;
        memmove(&g->v[i], &g->v[i + 1], (--g->n - i) * sizeof(alert *)); // in the order in which they came
        let_go(n, a);
    }
    drop_if_empty(n, g);
}

static void flush(rki_notifier *n, group *g, int64_t ms, rki_notifier_send *send, void *arg)
{
    const rki_receiver *r = &n->routing->receivers[g->route->receiver];
    int64_t every = g->route->interval_ms > 0 ? g->route->interval_ms : 1;
    view x;

    g->flushed = true;
    g->next_ms = ms + every;
    g->late = false;
    if (!view_of(n, g, ms, &x))
        return;
    for (size_t i = 0; i < r->n_ways && x.n; i++)
        flush_way(n, g, i, &x, ms, send, arg);
    free(x.v);
    sweep(n, g);
}

int64_t rki_notifier_due(rki_notifier *n, int64_t ms, rki_notifier_send *send, void *arg)
{
    int64_t next = INT64_MAX;

    rki_tolds_tidy(&n->told, ms);
    for (size_t i = n->n_groups; i-- > 0;)
        if (n->groups[i]->next_ms <= ms)
            flush(n, n->groups[i], ms, send, arg);
    for (size_t i = 0; i < n->n_groups; i++)
        next = n->groups[i]->next_ms < next ? n->groups[i]->next_ms : next;
    return next;
}

void rki_notifier_done(rki_notifier *n, uint64_t ticket, bool ok, int64_t ms)
{
    for (size_t i = 0; i < n->n_away; i++) {
        away w = n->away[i];

        if (w.ticket != ticket)
            continue;
        n->away[i] = n->away[--n->n_away];
        if (ok) {
            rki_told_set(&n->told, w.key, ms, w.until, w.firing, w.resolved);
            w.firing = w.resolved = (rki_ids){ 0 };
        }
        away_fini(&w);
        for (size_t k = 0; k < n->n_groups; k++)
            if (n->groups[k]->late)
                n->groups[k]->next_ms = ms;
        if (w.g) {
            w.g->away--;
            sweep(n, w.g);
        }
        return;
    }
}

void rki_notifier_hurry(rki_notifier *n, int64_t ms)
{
    for (size_t i = 0; i < n->n_groups; i++)
        n->groups[i]->next_ms = ms;
}

rki_notifier_counts rki_notifier_count(const rki_notifier *n)
{
    return (rki_notifier_counts){ n->n_alerts, n->n_groups, n->n_away, n->dropped };
}

// ---- for the next process -------------------------------------------------------------------------------------------

void rki_notifier_told_json(const rki_notifier *n, rki_json *j)
{
    rki_tolds_json(&n->told, j);
}

bool rki_notifier_told_read(rki_notifier *n, const rki_json_node *list)
{
    return rki_tolds_read(&n->told, list);
}

size_t rki_notifier_told(const rki_notifier *n)
{
    return n->told.n;
}
