// tests_alerts.c - what a test says of alerts: `alerts`, and `input_series` with their `interval`.
//
// A test has either rows, and then the pipeline runs and its own metrics are looked at, or series, and then nothing runs and the rules see those.
#include "spec/load.h"

enum { MANY_SERIES = 1000 };

static const rkp_choice states[] = {
    { "inactive", RKI_ALERT_INACTIVE, "none is pending, and none fires" },
    { "pending", RKI_ALERT_PENDING, "the expression holds, and not yet for so long as 'for' says" },
    { "firing", RKI_ALERT_FIRING, "it fires" },
    { "resolved", RKI_ALERT_RESOLVED, "it has fired, and does not any more" },
    { 0 },
};

#define A(f) offsetof(rki_test_alert_conf, f)
const rkp_opt rki_test_alert_rows[] = {
    { "alert", &rkp_string, A(alert), .required = true, .help = "its name", .also = "alertname name" },
    { "state", &rkp_choice_type, A(state), .required = true, .choices = states, .help = "what it must be" },
    { "at", &rkp_duration, A(at_ns), .optional = true, .bounded = true, .min = 0, .max = 7 * 86400e9,
      .help = "when, from the beginning of the test; its end when absent", .also = "eval_time time" },
    { "labels", &rkp_word_map, A(labels), .optional = true,
      .help = "an alert with these labels, whatever others it has", .also = "exp_labels" },
    { "annotations", &rkp_word_map, A(annotations), .optional = true, .help = "and these texts",
      .also = "exp_annotations" },
    { "count", &rkp_uint, A(count), .optional = true, .help = "how many of them; at least one when absent" },
    { 0 },
};

#define S(f) offsetof(rki_test_series_conf, f)
const rkp_opt rki_test_series_rows[] = {
    { "series", &rkp_string, S(series), .required = true, .help = "its name and labels: up{job=\"a\"}" },
    { "values", &rkp_string, S(values), .required = true,
      .help = "one for each 'interval': 5, 0+1x10 (0, 1, .., 10), 3x4 (five times 3), _ (none), _x3, stale" },
    { 0 },
};

static const rkp_node *first_of(const rkp_node *test, const char *key)
{
    const rkp_node *n = rki_node_get(test, key);

    return n && n->kind == RKI_LIST ? n->child : n;
}

static bool take_alert(rki_load *l, const rki_test_alert_conf *c, const rkp_node *n, rki_alert_expect *to)
{
    const rkp_node *at = rki_node_get(n, "at"), *count = rki_node_get(n, "count");

    *to = (rki_alert_expect){ .alert = c->alert,
                              .state = (rki_alert_state)c->state,
                              .at = n->at,
                              .says_at = at != NULL,
                              .at_ms = (int64_t)(c->at_ns / 1000000),
                              .labels = c->labels,
                              .annotations = c->annotations,
                              .counts = count != NULL,
                              .count = c->count };
    if (count && c->state == RKI_ALERT_INACTIVE) {
        rkp_diag(l->d, RKP_ERROR, count->at, "test-alert", "'inactive' means that there is none, so it has no 'count'");
        return false;
    }
    if (c->at_ns % 1000000) {
        rkp_diag(l->d, RKP_ERROR, at->at, "test-alert", "rules are evaluated at whole milliseconds");
        return false;
    }
    return true;
}

static bool alone(rki_load *l, const rki_series_text *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!rki_series_text_same(&v[i], &v[n]))
            continue;
        rkp_diag(l->d, RKP_ERROR, v[n].at, "test-input", "this series stands here twice");
        rkp_diag(l->d, RKP_NOTE, v[i].at, "test-input", "the first time is here");
        return false;
    }
    return true;
}

static void take_series(rki_load *l, const rkp_node *test, const rkp_objects_of *series, rki_test *t)
{
    static const char *const rows[] = { "from",  "topic", "input",  "input_file", "schema", "every",
                                        "batch", "mocks", "expect", "stop_after", "fails",  NULL };
    const rki_test_series_conf *c = series->v;

    if (series->n > MANY_SERIES)
        rkp_diag(l->d, RKP_ERROR, series->at, "test-input", "'input_series' has more than %d series", MANY_SERIES);
    t->series = rki_array(l->arena, series->n + 1, sizeof *t->series);
    for (size_t i = 0; t->series && i < series->n && i < MANY_SERIES; i++)
        if (rki_series_text_parse(l->arena, l->d, c[i].series, c[i].values, &t->series[t->n_series]) &&
            alone(l, t->series, t->n_series))
            t->n_series++;
    for (const char *const *key = rows; *key; key++) {
        const rkp_node *n = rki_node_get(test, *key);

        if (!n)
            continue;
        rkp_diag(l->d, RKP_ERROR, n->key_at, "test-input",
                 "a test with 'input_series' is of rules alone and has no '%s'", *key);
        rkp_diag_hint(l->d, "without 'input_series' the pipeline runs, and its rules see its own metrics");
    }
}

void rki_load_test_alerts(rki_load *l, const rkp_node *test, const rkp_objects_of *alerts, const rkp_objects_of *series,
                          uint64_t interval_ns, rki_test *t)
{
    const rkp_node *n = first_of(test, "alerts"), *interval = rki_node_get(test, "interval");
    const rki_test_alert_conf *c = alerts->v;

    t->of_series = rki_node_get(test, "input_series") != NULL;
    t->series_ms = (int64_t)(interval_ns / 1000000);
    if (t->of_series)
        take_series(l, test, series, t);
    if (interval && (!t->of_series || interval_ns % 1000000)) {
        rkp_diag(l->d, RKP_ERROR, interval->key_at, "test-input",
                 t->of_series ? "'interval' is a whole number of milliseconds"
                              : "'interval' is the time between the values of 'input_series', and there are none");
        if (!t->of_series)
            rkp_diag_hint(l->d, "'every' is the time between messages; 'telemetry.interval' is that between two looks");
    }
    t->asks_alerts = rki_node_get(test, "alerts") != NULL;
    t->alerts = rki_array(l->arena, alerts->n + 1, sizeof *t->alerts);
    for (size_t i = 0; t->alerts && i < alerts->n && n; i++, n = n->next)
        t->n_alerts += n->kind == RKI_MAP && !n->bad && take_alert(l, &c[i], n, &t->alerts[t->n_alerts]);
}

int64_t rki_test_last_ms(const rki_test *t)
{
    int64_t last = 0;

    for (size_t i = 0; i < t->n_alerts; i++)
        last = t->alerts[i].at_ms > last ? t->alerts[i].at_ms : last;
    return last;
}
