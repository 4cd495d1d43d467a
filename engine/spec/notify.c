// notify.c - `notify`: rows, and what rows cannot say: names of receivers, the tree of routes, conditions on labels, URLs.
//
// What is loaded here is what runs (watch/routing.h); routes inherit here, so that nobody has to look up.
#include "spec/load.h"

#include "base/diag.h"

// ---- rows -----------------------------------------------------------------------------------------------------------

typedef struct way_in {
    rki_way w;
    uint64_t timeout_ns;
} way_in;

typedef struct receiver_in {
    way_in way[RKI_N_WAYS];
} receiver_in;

typedef struct route_in {
    rkp_pairs match;
    rkp_words matchers, group_by;
    rkp_word receiver;
    uint64_t wait_ns, interval_ns, repeat_ns;
    bool go_on;
    const rkp_node *routes;
} route_in;

typedef struct inhibit_in {
    struct {
        rkp_pairs match;
        rkp_words matchers;
    } source, target;
    rkp_words equal;
} inhibit_in;

static rkp_status parse_node(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, void *field)
{
    return rki_any.parse(c, row, n, field);
}

static void print_node(const rkp_opt *row, const void *field, struct rki_json *out)
{
    rki_any.print(row, field, out);
}

static void schema_receivers(const rkp_opt *row, struct rki_json *out);

static void schema_routes(const rkp_opt *row, struct rki_json *out)
{
    (void)row;
    rki_json_put_z(out, "type", "array");
    rki_json_key(out, "items");
    rki_json_raw(out, RKP_STR("{\"$ref\":\"#/definitions/route\"}"));
}

static const rkp_opt_type receivers_type = { "receivers by name", sizeof(const rkp_node *), parse_node, print_node,
                                             schema_receivers };
static const rkp_opt_type routes_type = { "list of routes", sizeof(const rkp_node *), parse_node, print_node,
                                          schema_routes };

#define W(f) offsetof(way_in, f)
// clang-format off
#define RESOLVED_ROW \
    { "send_resolved", &rkp_bool, W(w.resolved), .def = "true", .help = "also when alerts are resolved" }
#define MAX_ROW \
    { "max_alerts", &rkp_uint, W(w.max_alerts), .def = "0", .help = "alerts in one message; the others are counted in it; 0 is all" }
#define TIMEOUT_ROW(what) \
    { "timeout", &rkp_duration, W(timeout_ns), .def = "10s", .bounded = true, .min = 1e6, .max = 3600e9, .help = what }
#define HTTP_ROWS(what) \
    { "url", &rkp_string, W(w.url), .required = true, .help = what, .also = "uri endpoint address" }, \
    { "headers", &rkp_word_map, W(w.headers), .optional = true, .help = "more fields of the request", .also = "http_headers" }
// clang-format on

static const rkp_opt log_rows[] = { RESOLVED_ROW, MAX_ROW, { 0 } };
static const rkp_opt file_rows[] = {
    { "path", &rkp_path, W(w.path), .required = true, .help = "each message is a line of JSON at its end" },
    RESOLVED_ROW,
    MAX_ROW,
    { 0 },
};
static const rkp_opt webhook_rows[] = {
    HTTP_ROWS("gets a POST of JSON, as Alertmanager sends it"),
    TIMEOUT_ROW("until it has answered"),
    RESOLVED_ROW,
    MAX_ROW,
    { 0 },
};
static const rkp_opt exec_rows[] = {
    RKP_COMMAND_OPTS(way_in, w.command),
    TIMEOUT_ROW("until the command has ended; then it is stopped"),
    RESOLVED_ROW,
    MAX_ROW,
    { 0 },
};
static const rkp_opt topic_rows[] = { RESOLVED_ROW, MAX_ROW, { 0 } };
static const rkp_opt alertmanager_rows[] = {
    HTTP_ROWS("of an Alertmanager, whose API v2 gets the alerts"),
    TIMEOUT_ROW("until it has answered"),
    RESOLVED_ROW,
    { 0 },
};

#define WAY(name, kind, rows, one, text)                                                                               \
    {                                                                                                                  \
        name, &rkp_object, offsetof(receiver_in, way) + (kind) * sizeof(way_in),                                       \
            .optional = true, .help = text, .sub = rows, .sub_size = sizeof(way_in), .short_key = one                  \
    }
static const rkp_opt receiver_rows[] = {
    WAY("log", RKI_WAY_LOG, log_rows, NULL, "a line of the engine's log"),
    WAY("file", RKI_WAY_FILE, file_rows, "path", "a line of JSON at the end of a file"),
    WAY("webhook", RKI_WAY_WEBHOOK, webhook_rows, "url", "an HTTP request"),
    WAY("exec", RKI_WAY_EXEC, exec_rows, NULL, "a command, with JSON on its standard input"),
    WAY("topic", RKI_WAY_TOPIC, topic_rows, NULL, "a message on $notify/NAME"),
    WAY("alertmanager", RKI_WAY_ALERTMANAGER, alertmanager_rows, "url", "alerts for an Alertmanager"),
    { 0 },
};

static void schema_receivers(const rkp_opt *row, struct rki_json *out)
{
    (void)row;
    rki_json_put_z(out, "type", "object");
    rki_json_key(out, "propertyNames");
    rki_json_raw(out, RKP_STR("{\"pattern\":\"^[A-Za-z_][A-Za-z0-9_-]{0,62}$\"}"));
    rki_json_key(out, "additionalProperties");
    rki_opts_schema(receiver_rows, out);
}

#define R(f) offsetof(route_in, f)
const rkp_opt rki_route_rows[] = {
    { "match", &rkp_word_map, R(match), .optional = true, .help = "labels that an alert must have, and their values",
      .also = "match_labels" },
    { "matchers", &rkp_word_list, R(matchers), .optional = true,
      .help = "conditions on labels, as in kernel=~\"read.*\": = != =~ !~", .also = "match_re" },
    { "receiver", &rkp_string, R(receiver), .optional = true, .help = "who is told; that of the route above",
      .also = "to" },
    { "group_by", &rkp_word_list, R(group_by), .optional = true,
      .help = "alerts that agree in these labels are told together; '...' is each by itself; absent: all together",
      .also = "groupBy" },
    { "group_wait", &rkp_duration, R(wait_ns), .optional = true, .bounded = true, .max = 1e17,
      .help = "from the first alert of a group to its first message (30s)" },
    { "group_interval", &rkp_duration, R(interval_ns), .optional = true, .bounded = true, .min = 1e6, .max = 1e17,
      .help = "between two messages of a group, when there is something new (5m)" },
    { "repeat_interval", &rkp_duration, R(repeat_ns), .optional = true, .bounded = true, .min = 1e6, .max = 1e17,
      .help = "until a message is said again when there is nothing new (4h)" },
    { "continue", &rkp_bool, R(go_on), .def = "false", .help = "routes after this one are looked at as well" },
    { "routes", &routes_type, R(routes), .optional = true, .help = "the first that matches takes an alert",
      .also = "children" },
    { 0 },
};

#define I(f) offsetof(inhibit_in, f)
#define S(f) (I(source.f) - I(source))
static const rkp_opt side_rows[] = {
    { "match", &rkp_word_map, S(match), .optional = true, .help = "labels that an alert must have, and their values" },
    { "matchers", &rkp_word_list, S(matchers), .optional = true, .help = "conditions on labels: = != =~ !~" },
    { 0 },
};
static const rkp_opt inhibit_rows[] = {
    { "source", &rkp_object, I(source), .required = true, .help = "while an alert like this fires", .sub = side_rows,
      .sub_size = sizeof(((inhibit_in *)0)->source), .also = "source_match source_matchers" },
    { "target", &rkp_object, I(target), .required = true, .help = "nobody is told of alerts like that",
      .sub = side_rows, .sub_size = sizeof(((inhibit_in *)0)->target), .also = "target_match target_matchers" },
    { "equal", &rkp_word_list, I(equal), .optional = true, .help = "when both agree in these labels" },
    { 0 },
};

#define N(f) offsetof(rki_notify_conf, f)
const rkp_opt rki_notify_rows[] = {
    { "receivers", &receivers_type, N(receivers), .required = true, .help = "who can be told, by name" },
    { "route", &rkp_object, N(has_route), .optional = true, .help = "who is told of what, and when",
      .sub = rki_route_rows, .sub_size = sizeof(route_in), .short_key = "receiver" },
    { "inhibit", &rkp_objects, N(inhibit), .optional = true, .help = "alerts that hold others back",
      .sub = inhibit_rows, .sub_size = sizeof(inhibit_in), .also = "inhibit_rules" },
    { 0 },
};
_Static_assert(sizeof(route_in) <= sizeof(((rki_notify_conf *)0)->has_route), "there is room for a route");

// ---- conditions -----------------------------------------------------------------------------------------------------

static bool label_ok(rki_load *l, rkp_word w)
{
    if (rki_label_name(rkp_word_str(w)))
        return true;
    rkp_diag(l->d, RKP_ERROR, w.at, "notify-matcher", "'%.*s' cannot be the name of a label",
             (int)(w.n < 80 ? w.n : 80), w.p);
    rkp_diag_hint(l->d, "letters, digits and '_', no digit first");
    return false;
}

static void conditions(rki_load *l, const rkp_pairs *match, const rkp_words *more, rki_matchers *out)
{
    size_t n = match->n;

    *out = (rki_matchers){ .v = rki_array(l->arena, match->n + more->n * RKI_MATCHERS_MAX + 1, sizeof *out->v) };
    for (size_t i = 0; out->v && i < n; i++)
        if (label_ok(l, match->v[i].key) &&
            rki_match_make(l->arena, NULL, match->v[i].val.at, rkp_word_str(match->v[i].key), RKI_IS,
                           rkp_word_str(match->v[i].val), &out->v[out->n]))
            out->n++;
    for (size_t i = 0; out->v && i < more->n; i++) {
        rkp_word w = more->v[i];
        const char *why = NULL;
        size_t errors = rki_diags_count(l->d, RKP_ERROR);
        rki_matchers m;

        if (rki_matchers_parse(l->arena, l->d, w.at, rkp_word_str(w), &m, &why)) {
            memcpy(&out->v[out->n], m.v, m.n * sizeof *m.v);
            out->n += m.n;
        } else if (rki_diags_count(l->d, RKP_ERROR) == errors) {
            rkp_diag(l->d, RKP_ERROR, w.at, "notify-matcher", "'%.*s' is no condition on labels: %s",
                     (int)(w.n < 80 ? w.n : 80), w.p, why);
            rkp_diag_hint(l->d, "as in severity=\"page\" or kernel=~\"read.*\"");
        }
    }
}

// ---- receivers ------------------------------------------------------------------------------------------------------

static void url_ok(rki_load *l, const rkp_node *n, const rki_way *w)
{
    static const char *const begins[] = { "http://", "https://" };
    bool ok = false;

    for (size_t i = 0; i < 2; i++) {
        size_t k = strlen(begins[i]);

        ok = ok || (w->url.n > k && memcmp(w->url.p, begins[i], k) == 0 && w->url.p[k] != '/');
    }
    for (size_t i = 0; i < w->url.n; i++)
        ok = ok && (unsigned char)w->url.p[i] > ' ' && w->url.p[i] != 0x7f;
    if (ok)
        return;
    rkp_diag(l->d, RKP_ERROR, n->at, "notify-url", "%s is not the URL of a receiver", rki_node_shown(l->arena, n));
    rkp_diag_hint(l->d, "it begins with http:// or https:// and has no blanks");
}

static void headers_ok(rki_load *l, const rki_way *w)
{
    for (size_t i = 0; i < w->headers.n; i++) {
        rkp_word key = w->headers.v[i].key, val = w->headers.v[i].val;
        bool ok = key.n > 0;

        for (size_t k = 0; k < key.n; k++)
            ok = ok && (unsigned char)key.p[k] > ' ' && key.p[k] != ':' && (unsigned char)key.p[k] < 0x7f;
        for (size_t k = 0; k < val.n; k++)
            ok = ok && ((unsigned char)val.p[k] >= ' ' || val.p[k] == '\t');
        if (!ok)
            rkp_diag(l->d, RKP_ERROR, key.at, "notify-url", "'headers' has a field that no request can have");
    }
}

static void check_way(rki_load *l, rkp_word receiver, const rkp_node *n, rki_way *w)
{
    if (w->kind == RKI_WAY_WEBHOOK || w->kind == RKI_WAY_ALERTMANAGER) {
        const rkp_node *url = n->kind == RKI_SCALAR ? n : rki_node_get(n, "url");

        if (url && !url->bad && w->url.p)
            url_ok(l, url, w);
        headers_ok(l, w);
    }
    if (w->kind != RKI_WAY_EXEC || !rki_node_get(n, "argv"))
        return;
    rkp_command_check(&w->command, l->d);
    if (!l->s->engine.allow_exec && !l->args->test) {
        rkp_diag(l->d, RKP_ERROR, n->key_at, "exec-denied", "the receiver '%s' starts a command, which is not allowed",
                 receiver.p);
        rkp_diag_hint(l->d, "allow it with 'engine: {allow_exec: true}', or with --allow-exec");
    }
}

static void take_receiver(rki_load *l, rkp_node *n, rki_receiver *r)
{
    rkp_str owner = rki_printf(l->arena, "receiver '%.*s'", (int)(n->key.n < 80 ? n->key.n : 80), n->key.p);
    rkp_opt_ctx c = rki_load_ctx(l, owner.p);
    receiver_in *in = rki_alloc(l->arena, sizeof *in);

    *r = (rki_receiver){ .name = n->key, .ways = rki_array(l->arena, RKI_N_WAYS, sizeof *r->ways) };
    r->name.at = n->key_at;
    if (!owner.p || !in || !r->ways)
        return;
    if (rki_opts_apply(&c, receiver_rows, n, n->key_at, in) == RKP_NOMEM)
        return;
    for (int k = 0; k < RKI_N_WAYS; k++) {
        const rkp_node *way = rki_node_get(n, rki_way_word(k));

        if (!way)
            continue;
        in->way[k].w.kind = k;
        in->way[k].w.timeout_ms = (int64_t)(in->way[k].timeout_ns / 1000000);
        check_way(l, n->key, way, &in->way[k].w);
        r->ways[r->n_ways++] = in->way[k].w;
    }
    if (r->n_ways == 0 && n->kind == RKI_MAP && n->n == 0)
        rkp_diag(l->d, RKP_ERROR, n->at, "key-missing",
                 "%s needs at least one of log, file, webhook, exec, topic and alertmanager", owner.p);
}

static bool take_receivers(rki_load *l, const rkp_node *map, rki_routing *to)
{
    if (map->kind != RKI_MAP || map->n == 0) {
        rkp_diag(l->d, RKP_ERROR, map->at, "opt-type", "'receivers' needs a mapping of names to ways, not %s",
                 map->kind == RKI_MAP ? "an empty one" : rki_node_shown(l->arena, map));
        rkp_diag_hint(l->d, "as in receivers: { console: { log: {} } }");
        return false;
    }
    to->receivers = rki_array(l->arena, map->n, sizeof *to->receivers);
    if (!to->receivers)
        return false;
    if (map->n > RKI_RECEIVERS_MAX) {
        rkp_diag(l->d, RKP_ERROR, map->at, "opt-range", "there are more than %d receivers", RKI_RECEIVERS_MAX);
        return false;
    }
    for (rkp_node *n = map->child; n; n = n->next)
        if (rki_load_id(l, n, "receiver"))
            take_receiver(l, n, &to->receivers[to->n_receivers++]);
    return true;
}

// ---- routes ---------------------------------------------------------------------------------------------------------

typedef struct routes_at {
    rki_load *l;
    rki_routing *to;
    size_t n; // routes
    bool *used;
} routes_at;

static void take_who(routes_at *t, rkp_word name, rki_alert_route *r)
{
    const char *names[RKI_RECEIVERS_MAX + 1], *near;
    size_t n = t->to->n_receivers;

    for (size_t i = 0; i < n; i++) {
        names[i] = t->to->receivers[i].name.p;
        if (rkp_str_eq(rkp_word_str(name), rkp_word_str(t->to->receivers[i].name))) {
            r->receiver = (uint32_t)i;
            return;
        }
    }
    names[n] = NULL;
    near = rki_opt_nearest(t->l->d, rkp_word_str(name), names);
    rkp_diag(t->l->d, RKP_ERROR, name.at, "notify-receiver", "there is no receiver '%.*s'",
             (int)(name.n < 80 ? name.n : 80), name.p);
    if (near)
        rkp_diag_hint(t->l->d, "did you mean '%s'?", near);
}

static void take_groups(rki_load *l, const route_in *in, rki_alert_route *r)
{
    r->by = rki_array(l->arena, in->group_by.n + 1, sizeof *r->by);
    r->n_by = 0;
    r->by_all = false;
    if (in->group_by.n > RKI_GROUP_BY_MAX) {
        rkp_diag(l->d, RKP_ERROR, in->group_by.at, "opt-range", "'group_by' has more than %d labels", RKI_GROUP_BY_MAX);
        return;
    }
    for (size_t i = 0; r->by && i < in->group_by.n; i++) {
        rkp_word w = in->group_by.v[i];
        rkp_str name = rki_label_word(rkp_word_str(w));

        if (rkp_str_is(rkp_word_str(w), "...")) {
            r->by_all = true;
            continue;
        }
        if (!label_ok(l, w))
            continue;
        r->by[r->n_by++] = (rkp_word){ name.p, name.n, w.at };
    }
}

static int64_t ms_of(uint64_t ns)
{
    return (int64_t)((ns + 999999) / 1000000);
}

static void take_routes(routes_at *t, const rkp_node *list, rki_alert_route *above, int depth);

// What it does not say is as above.
static void take_route(routes_at *t, const rkp_node *n, const route_in *in, rki_alert_route *r,
                       int depth) // NOLINT(misc-no-recursion)
{
    conditions(t->l, &in->match, &in->matchers, &r->match);
    r->go_on = in->go_on;
    r->routes = NULL;
    r->n_routes = 0;
    if (in->receiver.p)
        take_who(t, in->receiver, r);
    if (rki_node_get(n, "group_by"))
        take_groups(t->l, in, r);
    if (rki_node_get(n, "group_wait"))
        r->wait_ms = ms_of(in->wait_ns);
    if (rki_node_get(n, "group_interval"))
        r->interval_ms = ms_of(in->interval_ns);
    if (rki_node_get(n, "repeat_interval"))
        r->repeat_ms = ms_of(in->repeat_ns);
    if (in->routes)
        take_routes(t, in->routes, r, depth + 1);
    t->used[r->receiver] = true;
}

static void take_routes(routes_at *t, const rkp_node *list, rki_alert_route *above,
                        int depth) // NOLINT(misc-no-recursion)
{
    rki_load *l = t->l;

    if (list->kind != RKI_LIST) {
        rkp_diag(l->d, RKP_ERROR, list->at, "opt-type", "'routes' needs a list of routes, not %s",
                 rki_node_shown(l->arena, list));
        return;
    }
    t->n += list->n;
    if (depth >= RKI_ROUTE_DEPTH || t->n > RKI_ROUTES_MAX) {
        rkp_diag(l->d, RKP_ERROR, list->at, "opt-range", "routes are at most %d deep, and at most %d", RKI_ROUTE_DEPTH,
                 RKI_ROUTES_MAX);
        return;
    }
    above->routes = rki_array(l->arena, list->n + 1, sizeof *above->routes);
    for (const rkp_node *n = list->child; above->routes && n; n = n->next) {
        rki_alert_route *r = &above->routes[above->n_routes];
        rkp_opt_ctx c = rki_load_ctx(l, "a route");
        route_in in = { 0 };

        if (rki_opts_apply(&c, rki_route_rows, n, n->at, &in) != RKP_OK)
            continue;
        *r = *above;
        above->n_routes++;
        take_route(t, n, &in, r, depth);
    }
}

static void warn_unused(const routes_at *t)
{
    for (size_t i = 0; i < t->to->n_receivers; i++) {
        if (t->used[i])
            continue;
        rkp_diag(t->l->d, RKP_WARNING, t->to->receivers[i].name.at, "notify-receiver",
                 "nobody is told over the receiver '%s': no route names it", t->to->receivers[i].name.p);
    }
}

static bool take_root(rki_load *l, const rkp_node *map, const route_in *in, rki_routing *to)
{
    const rkp_node *n = rki_node_get(map, "route"), *wrong;
    routes_at t = { l, to, 0, rki_array(l->arena, to->n_receivers + 1, sizeof(bool)) };
    size_t errors = rki_diags_count(l->d, RKP_ERROR);

    to->root = (rki_alert_route){ .wait_ms = 30000, .interval_ms = 300000, .repeat_ms = 4 * 3600000 };
    if (!t.used)
        return false;
    if (!n && to->n_receivers > 1) {
        rkp_diag(l->d, RKP_ERROR, map->key_at, "key-missing", "'notify' needs 'route': which receiver is told of what");
        rkp_diag_hint(l->d, "route: { receiver: %s } tells it of everything", to->receivers[0].name.p);
        return false;
    }
    if (n && n->kind == RKI_MAP && !rki_node_get(n, "receiver") && to->n_receivers > 1) {
        rkp_diag(l->d, RKP_ERROR, n->at, "key-missing", "'route' needs 'receiver'");
        rkp_diag_hint(l->d, "who is told of what no route below takes");
    }
    wrong = n && n->kind == RKI_MAP ? rki_node_get(n, "match") : NULL;
    wrong = n && n->kind == RKI_MAP && !wrong ? rki_node_get(n, "matchers") : wrong;
    if (wrong) {
        rkp_diag(l->d, RKP_ERROR, wrong->key_at, "notify-route", "the route at the top takes every alert");
        rkp_diag_hint(l->d, "put conditions into 'routes' below it");
    }
    if (n && n->kind == RKI_MAP)
        take_route(&t, n, in, &to->root, 0);
    else
        take_who(&t, in->receiver.p ? in->receiver : to->receivers[0].name, &to->root);
    t.used[to->root.receiver] = true;
    if (rki_diags_count(l->d, RKP_ERROR) == errors)
        warn_unused(&t);
    return true;
}

// ---- inhibitions ----------------------------------------------------------------------------------------------------

static void take_inhibits(rki_load *l, const rkp_objects_of *v, rki_routing *to)
{
    const inhibit_in *in = v->v;

    if (v->n > RKI_INHIBITS_MAX) {
        rkp_diag(l->d, RKP_ERROR, v->at, "opt-range", "'inhibit' has more than %d entries", RKI_INHIBITS_MAX);
        return;
    }
    to->inhibits = rki_array(l->arena, v->n + 1, sizeof *to->inhibits);
    for (size_t i = 0; to->inhibits && i < v->n; i++) {
        rki_inhibit *x = &to->inhibits[to->n_inhibits++];

        conditions(l, &in[i].source.match, &in[i].source.matchers, &x->source);
        conditions(l, &in[i].target.match, &in[i].target.matchers, &x->target);
        x->equal = rki_array(l->arena, in[i].equal.n + 1, sizeof *x->equal);
        for (size_t k = 0; x->equal && k < in[i].equal.n; k++) {
            rkp_str name = rki_label_word(rkp_word_str(in[i].equal.v[k]));

            if (label_ok(l, in[i].equal.v[k]))
                x->equal[x->n_equal++] = (rkp_word){ name.p, name.n, in[i].equal.v[k].at };
        }
    }
}

void rki_load_notify(rki_load *l, const rki_notify_conf *c)
{
    const rkp_node *map = rki_node_get(l->root, "notify");
    rki_routing *to = rki_alloc(l->arena, sizeof *to);

    if (!map || map->kind != RKI_MAP || !c->receivers || !to || !take_receivers(l, c->receivers, to) ||
        to->n_receivers == 0 || !take_root(l, map, (const route_in *)(const void *)&c->has_route, to))
        return;
    take_inhibits(l, &c->inhibit, to);
    l->s->notify = to;
}
