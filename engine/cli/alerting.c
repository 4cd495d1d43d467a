// cli/alerting.c - where metrics of a run, alert rules and the log meet.
#include "cli/alerting.h"

#include "run/control.h"
#include "run/watch.h"
#include "watch/metrics.h"
#include <stdio.h>
#include <stdlib.h>

// ---- names ----------------------------------------------------------------------------------------------------------

typedef struct names {
    char **v; // in the same block behind it: the texts
    char *text;
    size_t n, bytes;
} names;

// Counts while there is no block, then fills it.
static void add(names *s, const char *name, const char *suffix)
{
    size_t n = strlen(name) + strlen(suffix) + 1;

    if (s->v) {
        s->v[s->n] = s->text + s->bytes;
        snprintf(s->v[s->n], n, "%s%s", name, suffix);
    }
    s->n++;
    s->bytes += n;
}

static void add_metric(names *s, const rki_metric *m)
{
    if (m->kind != RKI_METRIC_HISTOGRAM) {
        add(s, m->name, "");
        return;
    }
    add(s, m->name, "_bucket");
    add(s, m->name, "_sum");
    add(s, m->name, "_count");
}

static void walk(names *s, const rkp_op *const *ops)
{
    char name[RKI_METRIC_NAME];
    rki_metric m;

    s->n = s->bytes = 0;
    for (size_t i = 0; i < RKI_N_METRICS; i++)
        add_metric(s, &rki_metrics[i]);
    for (; ops && *ops; ops++)
        for (unsigned i = 0; rki_metric_of_op(*ops, i, name, &m); i++)
            add_metric(s, &m);
}

char **rki_metric_series_names(const rkp_op *const *ops)
{
    names s = { 0 };
    char **block;

    walk(&s, ops);
    block = malloc((s.n + 1) * sizeof *block + s.bytes);
    if (!block)
        return NULL;
    s.v = block;
    s.text = (char *)(block + s.n + 1);
    walk(&s, ops);
    block[s.n] = NULL;
    return block;
}

// ---- a run ----------------------------------------------------------------------------------------------------------

static void sample(void *arg, const rki_metric *row, rkp_str name, const rki_label *labels, uint32_t n, double value)
{
    const size_t id = sizeof RKI_WATCH_ID - 1;

    // What the kernel of an alert on data had no room for; kernel comes first, then reason.
    if (row == &rki_metrics[RKI_M_DROPPED_ROWS] && n == 2 && labels[0].value.n > id &&
        memcmp(labels[0].value.p, RKI_WATCH_ID, id) == 0 && rkp_str_is(labels[1].value, "queue_full"))
        rki_alerter_missed(arg, (rkp_str){ labels[0].value.p + id, labels[0].value.n - id }, (uint64_t)value);
    rki_alerter_sample(arg, name, labels, n, value);
}

static void saw(void *arg, rkp_str alert, const rkp_str *keys, size_t n, uint64_t rows, uint64_t over)
{
    rki_alerter_saw(arg, alert, keys, n, rows, over);
}

void rki_alerting_feed(void *run, rki_alerter *a)
{
    rki_run_metrics(run, sample, a);
    rki_run_watched(run, saw, a);
}

static const char *const severities[RKI_SEVERITIES] = { "info", "warn", "page" };

// Ticks and reloads tell one at a time.
static void note_fired(rki_alerting *x, rkp_str alert, rkp_str severity)
{
    for (int i = 0; i < RKI_SEVERITIES; i++) {
        if (!rkp_str_is(severity, severities[i]) || x->fired[i].yes)
            continue;
        snprintf(x->fired[i].name, sizeof x->fired[i].name, RKP_STR_FMT, RKP_STR_ARG(alert));
        __atomic_store_n(&x->fired[i].yes, true, __ATOMIC_RELEASE);
    }
}

// One that fired before this run began has not changed; it counts when it was found again.
static void note_firing(void *arg, const rki_rule_view *v, const rki_alert *al)
{
    if (al->state == RKI_ALERT_FIRING && !al->held)
        note_fired(arg, v->name, rki_labels_get(al->labels, "severity"));
}

void rki_alerting_metrics(void *alerting, rki_emit emit, void *arg)
{
    const rki_alerting *x = alerting;

    if (x->notifying)
        rki_notifying_metrics(x->notifying, emit, arg);
}

bool rki_alerting_approve(void *alerting, const rki_spec *s, char *text, size_t n)
{
    rki_alerting *x = alerting;

    if (!s->run.fail_on_alert || !x->alerter)
        return true;
    rki_alerter_tick(x->alerter);
    rki_alerter_each(x->alerter, note_firing, x);
    for (int i = s->run.fail_on_alert - 1; i < RKI_SEVERITIES; i++) {
        if (!__atomic_load_n(&x->fired[i].yes, __ATOMIC_ACQUIRE))
            continue;
        snprintf(text, n, "alert '%s' (%s) has fired, and run.fail_on has alert:%s", x->fired[i].name, severities[i],
                 severities[s->run.fail_on_alert - 1]);
        return false;
    }
    return true;
}

static void tell(void *arg, const rki_alert_message *m)
{
    rki_alerting *x = arg;

    if (strcmp(m->to, "firing") == 0)
        note_fired(x, m->alert, m->severity);
    rki_run_alert(x->run, m);
    rki_notifying_told(x->notifying, m);
}

static void publish(void *run, const rki_notice_message *m)
{
    rki_run_notice(run, m);
}

// What fires since before this process is not a change: only those who notify hear of it.
static void restored(void *arg, const rki_alert_message *m)
{
    const rki_alerting *x = arg;

    rki_notifying_told(x->notifying, m);
}

static void remember(void *arg, rki_buf *out)
{
    const rki_alerting *x = arg;

    rki_alerter_state(x->alerter, out);
}

static void mark(void *arg, const rki_alert *al, struct rki_json *j)
{
    const rki_alerting *x = arg;

    rki_notifying_mark(x->notifying, al, j);
}

static void looked(void *arg, uint64_t number)
{
    const rki_alerting *x = arg;

    rki_run_looked(x->run, number);
}

static bool look(void *alerter, uint64_t number)
{
    return rki_alerter_last(alerter, number);
}

int rki_alerting_begin(rki_alerting *x, const rki_alerting_args *a)
{
    const rki_spec *s = a->spec;
    rki_alerter_args args = { .rules = s->alerts,
                              .n = s->n_alerts,
                              .interval_ms = (int64_t)(s->telemetry.interval_ns / 1000000),
                              .feed = rki_alerting_feed,
                              .feed_arg = a->run,
                              .log = a->log,
                              .log_arg = a->log_arg,
                              .tell = tell,
                              .tell_arg = x,
                              .mark = mark,
                              .mark_arg = x,
                              .looked = looked,
                              .looked_arg = x };
    rki_notifying_args notify = { .routing = s->notify,
                                  .pipeline = rkp_word_str(s->name),
                                  .version = RKI_VERSION,
                                  .env = a->env,
                                  .folder = a->folder,
                                  .publish = publish,
                                  .publish_arg = a->run,
                                  .remember = remember,
                                  .remember_arg = x,
                                  .log = a->log,
                                  .log_arg = a->log_arg };
    char err[400] = "";
    const struct rki_json_node *kept;
    int64_t kept_ms;

    *x = (rki_alerting){ .run = a->run };
    x->notifying = rki_notifying_new(&notify, err, sizeof err);
    if (!x->notifying) {
        rki_cli_say("error: %s", err);
        return RKI_EXIT_UNAVAILABLE;
    }
    x->alerter = rki_alerter_new(&args);
    if (!x->alerter) {
        rki_alerting_free(x);
        return rki_cli_nomem();
    }
    kept = rki_notifying_kept(x->notifying, &kept_ms);
    rki_alerter_restore(x->alerter, kept, kept_ms, restored, x);
    rki_run_on_last(a->run, look, x->alerter);
    return 0;
}

bool rki_alerting_start(rki_alerting *x)
{
    return !x->alerter || (rki_alerter_start(x->alerter) && rki_notifying_start(x->notifying));
}

struct rki_alert_change {
    rki_rules *rules;
    rki_notify_change *notify;
};

void rki_alert_change_free(rki_alert_change *c)
{
    if (!c)
        return;
    rki_rules_free(c->rules);
    rki_notify_change_free(c->notify);
    free(c);
}

rki_alert_change *rki_alerting_prepare(const rki_alerting *x, const rki_spec *s, char *err, size_t n)
{
    rki_alert_change *c = calloc(1, sizeof *c);

    snprintf(err, n, "out of memory");
    if (c && (c->rules = rki_rules_new(s->alerts, s->n_alerts)) &&
        (c->notify = rki_notifying_prepare(x->notifying, s->notify, err, n))) {
        err[0] = '\0';
        return c;
    }
    rki_alert_change_free(c);
    return NULL;
}

bool rki_alerting_diff(const rki_alerting *x, const rki_spec *s, rki_json *j)
{
    rki_rules *rules = rki_rules_new(s->alerts, s->n_alerts);

    if (!rules)
        return false;
    rki_json_key(j, "alerts");
    rki_alerter_diff(x->alerter, rules, j);
    rki_json_key(j, "notify");
    rki_notifying_diff(x->notifying, s->notify, j);
    rki_rules_free(rules);
    return true;
}

// Routes first: what ends with its rule is told as they say.
void rki_alerting_replace(const rki_alerting *x, rki_alert_change *c)
{
    rki_notifying_replace(x->notifying, c->notify);
    rki_alerter_replace(x->alerter, c->rules);
    free(c);
}

void rki_alerting_end(rki_alerting *x)
{
    if (!x->alerter)
        return;
    rki_run_on_last(x->run, NULL, NULL);
    rki_alerter_stop(x->alerter);
    rki_notifying_end(x->notifying);
}

void rki_alerting_free(rki_alerting *x)
{
    rki_notifying_free(x->notifying);
    rki_alerter_free(x->alerter);
    *x = (rki_alerting){ 0 };
}
