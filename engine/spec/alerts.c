// alerts.c - `alerts:`: rows, and what rows cannot say: names, labels, expressions and templates.
//
// A rule is checked here by what will run it (watch/rules.h), so that a mistake is found at its place in the file.  `severity`
// is a label like any other from here on.
#include "spec/load.h"

#include "spec/value.h"

// ---- rows -----------------------------------------------------------------------------------------------------------

static rkp_status parse_prom(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, void *field)
{
    return rkp_expr_text.parse(c, row, n, field);
}

static void print_prom(const rkp_opt *row, const void *field, struct rki_json *out)
{
    rkp_expr_text.print(row, field, out);
}

static void schema_prom(const rkp_opt *row, struct rki_json *out)
{
    rkp_expr_text.schema(row, out);
}

const rkp_opt_type rki_prom_text = { "PromQL expression", sizeof(rkp_word), parse_prom, print_prom, schema_prom };

static const rkp_choice severities[] = {
    { "info", RKI_SEVERITY_INFO, "to be read some time" },
    { "warn", RKI_SEVERITY_WARN, "to be looked at" },
    { "page", RKI_SEVERITY_PAGE, "somebody is woken" },
    { 0 },
};

static const rkp_choice no_data[] = {
    { "ok", RKI_NO_DATA_OK, "the alert ends, as in Prometheus" },
    { "keep", RKI_NO_DATA_KEEP, "it stays as it is" },
    { "fire", RKI_NO_DATA_FIRE, "that is an alert of its own" },
    { 0 },
};

#define A(f) offsetof(rki_alert_conf, f)
#define W(f) (A(watch.f) - A(watch))
static const rkp_opt watch_rows[] = {
    { "kernel", &rkp_string, W(kernel), .optional = true, .help = "rows that it gives on: KERNEL or KERNEL.PORT",
      .also = "from" },
    { "topic", &rkp_string, W(topic), .optional = true, .no_secrets = true,
      .help = "rows under topics that match this pattern", .also = "subscribe" },
    { 0 },
};

const rkp_opt rki_alert_rows[] = {
    { "alert", &rkp_string, A(name), .required = true, .no_secrets = true,
      .help = "its name; the topic is $alerts/NAME", .also = "name id" },
    { "expr", &rki_prom_text, A(expr), .optional = true, .no_vars = true,
      .help = "PromQL over the engine's own metrics: each element that it has is an alert",
      .also = "expression query condition when if" },
    { "for", &rkp_duration, A(for_ns), .def = "0", .bounded = true, .min = 0, .max = 1e17,
      .help = "how long it must hold before the alert fires", .also = "duration pending_period" },
    { "keep_firing_for", &rkp_duration, A(keep_ns), .def = "0", .bounded = true, .min = 0, .max = 1e17,
      .help = "how long the alert goes on after it does not hold any more", .also = "keep keep_firing" },
    { "resolve_expr", &rki_prom_text, A(resolve), .optional = true, .no_vars = true,
      .help = "an alert ends only when this holds for its labels; between the two it stays as it is",
      .also = "recovery recover_expr" },
    { "no_data", &rkp_choice_type, A(no_data), .def = "ok", .choices = no_data,
      .help = "when there are no samples to look at", .also = "noDataState no_data_state" },
    { "every", &rkp_duration, A(every_ns), .optional = true, .bounded = true, .min = 1e6, .max = 1e17,
      .help = "how often it is evaluated (telemetry.interval)", .also = "interval evaluate_every" },
    { "limit", &rkp_uint, A(limit), .def = "100", .bounded = true, .min = 0, .max = 10000,
      .help = "alerts that it may have at once: past it the rule fails; 0 is no limit" },
    { "severity", &rkp_choice_type, A(severity), .def = "warn", .choices = severities, .help = "a label of that name",
      .also = "level priority" },
    { "labels", &rkp_word_map, A(labels), .optional = true, .no_secrets = true,
      .help = "added to each alert; templates" },
    { "annotations", &rkp_word_map, A(annotations), .optional = true, .no_secrets = true,
      .help = "texts for people; templates", .also = "annotation message description summary" },
    { "watch", &rkp_object, A(watch), .optional = true, .sub = watch_rows,
      .sub_size = sizeof(((rki_alert_conf *)0)->watch),
      .help = "an alert on data, in place of 'expr': a kernel or a topic whose rows are looked at" },
    { "where", &rkp_expr_text, A(where), .optional = true, .no_vars = true,
      .help = "of 'watch': rows for which this is true are alerts", .also = "filter when" },
    { "throttle", &rkp_duration, A(throttle_ns), .def = "1m", .bounded = true, .min = 0, .max = 1e17,
      .help = "of 'watch': the shortest time between two messages of an alert; without rows for so long it is resolved",
      .also = "realert debounce" },
    { "key", &rkp_word_list, A(key), .optional = true,
      .help = "of 'watch': columns that are labels: an alert for each of their values",
      .also = "by group_by query_key" },
    { 0 },
};

// ---- checks ---------------------------------------------------------------------------------------------------------

static int64_t ms_of(uint64_t ns)
{
    return (int64_t)((ns + 999999) / 1000000);
}

static bool name_ok(rki_load *l, const rki_alert_conf *c)
{
    if (!c->name.p || rki_is_id(rkp_word_str(c->name)))
        return c->name.p != NULL;
    rkp_diag(l->d, RKP_ERROR, c->name.at, "alert-name", "'%.*s' cannot be the name of an alert",
             (int)(c->name.n < 80 ? c->name.n : 80), c->name.p);
    rkp_diag_hint(l->d, "letters, digits, '_' and '-', at most 63, and no digit first");
    return false;
}

static bool texts(rki_load *l, const char *what, const rkp_pairs *from, const rki_rule_text **to, size_t *n,
                  size_t more)
{
    rki_rule_text *v = rki_array(l->arena, from->n + more, sizeof *v);
    bool ok = v != NULL;

    for (size_t i = 0; i < from->n && v; i++) {
        rkp_word key = from->v[i].key;

        v[i] = (rki_rule_text){ key, from->v[i].val };
        if (!rki_label_name(rkp_word_str(key)) || (key.n > 1 && memcmp(key.p, "__", 2) == 0)) {
            rkp_diag(l->d, RKP_ERROR, key.at, "alert-label", "'%.*s' cannot be the name of %s",
                     (int)(key.n < 80 ? key.n : 80), key.p, what);
            rkp_diag_hint(l->d, "letters, digits and '_', no digit and no '__' first");
            ok = false;
        } else if (more && (rkp_str_is(rkp_word_str(key), "alertname") || rkp_str_is(rkp_word_str(key), "severity"))) {
            rkp_diag(l->d, RKP_ERROR, key.at, "alert-label", "the label '%s' is set by the engine", key.p);
            rkp_diag_hint(l->d, rkp_str_is(rkp_word_str(key), "severity") ? "'severity' stands beside 'labels'"
                                                                          : "it is the name of the alert");
            ok = false;
        }
    }
    *to = v;
    *n = from->n;
    return ok;
}

static bool same_labels(const rki_rule_conf *a, const rki_rule_conf *b)
{
    if (a->n_labels != b->n_labels)
        return false;
    for (size_t i = 0; i < a->n_labels; i++)
        if (!rkp_str_eq(rkp_word_str(a->labels[i].name), rkp_word_str(b->labels[i].name)) ||
            !rkp_str_eq(rkp_word_str(a->labels[i].text), rkp_word_str(b->labels[i].text)))
            return false;
    return true;
}

// Two rules of one name and the same labels would be the same alert.
static bool alone(rki_load *l, const rki_rule_conf *rule)
{
    for (size_t i = 0; i < l->s->n_alerts; i++) {
        const rki_rule_conf *other = &l->s->alerts[i];

        if (!rkp_str_eq(rkp_word_str(other->name), rkp_word_str(rule->name)) || !same_labels(other, rule))
            continue;
        rkp_diag(l->d, RKP_ERROR, rule->name.at, "alert-name", "two alerts have the name '%s' and the same labels",
                 rule->name.p);
        rkp_diag(l->d, RKP_NOTE, other->name.at, "alert-name", "the first one is here");
        return false;
    }
    return true;
}

// Keys that belong to the other kind of alert.
static bool belongs(rki_load *l, const rkp_node *alert, bool data)
{
    static const char *const of_expr[] = { "for", "resolve_expr", "no_data", "every", "expr", NULL };
    static const char *const of_watch[] = { "where", "throttle", "key", NULL };
    const char *const *not = data ? of_expr : of_watch;
    bool ok = true;

    for (; *not ; not ++) {
        const rkp_node *n = rki_node_get(alert, *not );

        if (!n)
            continue;
        rkp_diag(l->d, RKP_ERROR, n->key_at, "alert-kind",
                 data ? "'%s' is of an alert on metrics, and this one watches rows"
                      : "'%s' is of an alert on data, and this one has no 'watch'",
                 *not );
        rkp_diag_hint(l->d, data ? "make two alerts of it, one with 'expr' and one with 'watch' and 'where'"
                                 : "say whose rows: watch: { kernel: KERNEL } or { topic: TOPIC }");
        ok = false;
    }
    return ok;
}

static bool keys(rki_load *l, const rki_alert_conf *c, rki_rule_conf *rule)
{
    bool ok = true;

    for (size_t i = 0; i < c->key.n; i++) {
        rkp_word w = c->key.v[i];
        bool ours = rkp_str_is(rkp_word_str(w), "alertname") || rkp_str_is(rkp_word_str(w), "severity");

        if (!ours && rki_label_name(rkp_word_str(w)) && !(w.n > 1 && memcmp(w.p, "__", 2) == 0))
            continue;
        rkp_diag(l->d, RKP_ERROR, w.at, "alert-label",
                 ours ? "the label '%.*s' is set by the engine" : "'%.*s' cannot be the name of a label",
                 (int)(w.n < 80 ? w.n : 80), w.p);
        rkp_diag_hint(l->d, "a key is a label of its column's name; give the column another one before, with 'map'");
        ok = false;
    }
    if (c->key.n > RKI_WATCH_KEYS) {
        rkp_diag(l->d, RKP_ERROR, c->key.v[RKI_WATCH_KEYS].at, "opt-range", "'key' has more than %d columns",
                 RKI_WATCH_KEYS);
        ok = false;
    }
    rule->keys = c->key.v;
    rule->n_keys = c->key.n;
    return ok;
}

// The name is that of the kernel that looks, so there is one of it.
static bool only_one(rki_load *l, const rki_rule_conf *rule)
{
    for (size_t i = 0; i < l->s->n_alerts; i++) {
        const rki_rule_conf *other = &l->s->alerts[i];

        if (!rkp_str_eq(rkp_word_str(other->name), rkp_word_str(rule->name)) || (!other->where.p && !rule->where.p))
            continue;
        rkp_diag(l->d, RKP_ERROR, rule->name.at, "alert-name", "two alerts have the name '%s', and one watches rows",
                 rule->name.p);
        rkp_diag(l->d, RKP_NOTE, other->name.at, "alert-name", "the first one is here");
        return false;
    }
    return true;
}

static bool data_rule(rki_load *l, const rki_alert_conf *c, const rkp_node *n, rki_rule_conf *rule)
{
    const rkp_node *limit = rki_node_get(n, "limit");
    rkp_word what = c->watch.topic.p ? c->watch.topic : c->watch.kernel;
    const rkp_node *watch = rki_node_get(n, "watch");
    bool both = c->watch.topic.p && c->watch.kernel.p, ok = belongs(l, n, true) && what.p;

    if (both || (watch->kind == RKI_MAP && watch->n == 0)) {
        rkp_diag(l->d, RKP_ERROR, watch->at, "key-missing", "'watch' needs 'kernel' or 'topic'%s",
                 both ? ", and not both" : "");
        ok = false;
    }
    if (!rki_node_get(n, "where")) {
        rkp_diag(l->d, RKP_ERROR, n->at, "key-missing", "an alert that watches rows needs 'where'");
        rkp_diag_hint(l->d, "which rows? where: amount > 50000, or where: 'true' for all");
    }
    if (limit && c->limit == 0) {
        rkp_diag(l->d, RKP_ERROR, limit->at, "opt-range", "'limit' of an alert that watches rows must be at least 1");
        rkp_diag_hint(l->d, "each key takes memory");
        ok = false;
    }
    rule->watch = what;
    rule->where = c->where;
    rule->throttle_ms = ms_of(c->throttle_ns);
    return keys(l, c, rule) && ok && c->where.p;
}

static bool make_rule(rki_load *l, const rki_alert_conf *c, const rkp_node *n, rki_rule_conf *rule)
{
    bool data = rki_node_get(n, "watch") != NULL;
    rki_rule_text *labels;
    bool ok;

    *rule = (rki_rule_conf){ .name = c->name,
                             .expr = c->expr,
                             .resolve = c->resolve,
                             .for_ms = ms_of(c->for_ns),
                             .keep_ms = ms_of(c->keep_ns),
                             .every_ms = ms_of(c->every_ns),
                             .limit = (uint32_t)c->limit,
                             .no_data = c->no_data };
    ok = name_ok(l, c);
    ok = texts(l, "a label", &c->labels, &rule->labels, &rule->n_labels, 1) && ok;
    ok = texts(l, "an annotation", &c->annotations, &rule->notes, &rule->n_notes, 0) && ok;
    if (!rule->labels || !rule->notes)
        return false;
    // The row for it was asked for above.
    labels = (rki_rule_text *)(uintptr_t)rule->labels;
    labels[rule->n_labels++] =
        (rki_rule_text){ { "severity", 8, { 0 } },
                         { severities[c->severity].name, strlen(severities[c->severity].name), { 0 } } };
    if (data) {
        ok = data_rule(l, c, n, rule) && ok;
    } else {
        ok = belongs(l, n, false) && ok;
        if (!rki_node_get(n, "expr")) {
            rkp_diag(l->d, RKP_ERROR, n->at, "key-missing", "'alerts' needs 'expr', or 'watch' and 'where'");
            rkp_diag_hint(l->d, "'expr' is PromQL over the engine's own metrics, 'watch' looks at rows");
        }
        if (!c->expr.p)
            return false;
    }
    return (rule->where.p || !data) && rki_rule_check(rule, l->d, l->args->metrics) && ok && alone(l, rule) &&
           only_one(l, rule);
}

void rki_load_alerts(rki_load *l, const rkp_objects_of *v)
{
    const rkp_node *list = rki_node_get(l->root, "alerts"), *n;
    const rki_alert_conf *c = v->v;

    if (!list || v->n == 0)
        return;
    l->s->alerts = rki_array(l->arena, v->n, sizeof *l->s->alerts);
    l->watching = rki_array(l->arena, v->n, sizeof *l->watching);
    l->s->alerts_at = list->key_at;
    n = list->kind == RKI_LIST ? list->child : list;
    for (size_t i = 0; i < v->n && n && l->s->alerts && l->watching; i++, n = n->next) {
        // Where a row has said something already, no more is said about what follows from it.
        if (n->kind == RKI_MAP && !n->bad && make_rule(l, &c[i], n, &l->s->alerts[l->s->n_alerts]))
            l->watching[l->s->n_alerts++] = (rki_watching){ n, c[i].watch.topic.p != NULL };
        else
            l->alerts_wrong = true;
    }
}
