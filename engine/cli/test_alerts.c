// cli/test_alerts.c - alerts in a test: the rules of the pipeline on the test's clock, and what the test asks of them.
//
//   a run      its own metrics, looked at every telemetry.interval, as an engine does (watch/alerter.c)
//   series     given ones, from the beginning of 1970, evaluated at 0, interval, 2 * interval, .. as promtool does
//
// What is asked for a moment is looked up when the first evaluation after it is about to happen, or at the end.
#include "cli/alerting.h"
#include "cli/test.h"
#include "run/control.h"

#include <stdio.h>
#include <stdlib.h>

enum { MANY_CHANGES = 50, MANY_LOOKS = 1000000 };

struct asked {
    bool done, ok;
    rkp_str got; // what there was in its place
};

struct rki_case_alerts {
    rki_case *k;
    struct asked *v; // as the test's alerts
    bool *fired;     // as the spec's alerts
    rki_buf changes;
    size_t n_changes;
    int64_t begin_ms, ms; // the clock at the beginning, and now
    uint64_t number;      // of the last look that a run waits for; 0: none
    rki_run *run;
    rki_alerter *alerter;
    // Of series.
    rki_rules *rules;
    rki_series *store;
};

// ---- before ---------------------------------------------------------------------------------------------------------

static const rki_rule_conf *rule_named(const rki_spec *s, rkp_word name)
{
    for (size_t i = 0; i < s->n_alerts; i++)
        if (rkp_str_eq(rkp_word_str(s->alerts[i].name), rkp_word_str(name)))
            return &s->alerts[i];
    return NULL;
}

static void hint_rule(rki_case *k, rkp_str word)
{
    const rki_spec *s = k->l.spec;
    const char **names = rki_array(&k->arena, s->n_alerts + 1, sizeof *names), *near;
    for (size_t i = 0; names && i < s->n_alerts; i++)
        names[i] = s->alerts[i].name.p;
    near = names ? rki_nearest(word, names) : NULL;
    if (near)
        rkp_diag_hint(k->l.diags, "did you mean '%s'?", near);
    else if (!s->n_alerts)
        rkp_diag_hint(k->l.diags, "the pipeline has no 'alerts'");
}

static bool check_one(rki_case *k, const rki_alert_expect *e)
{
    const rki_rule_conf *rule = rule_named(k->l.spec, e->alert);
    const rki_run_conf *run = &k->l.spec->run;
    if (!rule) {
        rkp_diag(k->l.diags, RKP_ERROR, e->alert.at, "test-alert", "no alert is named '%s'", e->alert.p);
        hint_rule(k, rkp_word_str(e->alert));
        return false;
    }
    if (rule->where.p && k->t->of_series) {
        rkp_diag(k->l.diags, RKP_ERROR, e->alert.at, "test-alert",
                 "alert '%s' looks at rows, and a test with 'input_series' has none", e->alert.p);
        return false;
    }
    for (size_t i = 0; i < e->annotations.n; i++) {
        bool there = false;
        for (size_t n = 0; n < rule->n_notes; n++)
            there |= rkp_str_eq(rkp_word_str(rule->notes[n].name), rkp_word_str(e->annotations.v[i].key));
        if (!there) {
            rkp_diag(k->l.diags, RKP_ERROR, e->annotations.v[i].key.at, "test-alert",
                     "alert '%s' has no annotation '%s'", e->alert.p, e->annotations.v[i].key.p);
            return false;
        }
    }
    if (k->t->of_series || k->our_ns || !run->stop_ns || (uint64_t)e->at_ms * 1000000 <= run->stop_ns)
        return true;
    rkp_diag(k->l.diags, RKP_ERROR, e->at, "test-at", "the test is stopped after %g s, and never sees this moment",
             (double)run->stop_ns / 1e9);
    return false;
}

static bool check_series(rki_case *k)
{
    char **names = rki_metric_series_names(k->c->ops);
    bool ok = names != NULL;
    for (size_t i = 0; names && i < k->t->n_series; i++) {
        rkp_str name = k->t->series[i].name;
        const char *near;
        size_t n = 0;
        while (names[n] && !rkp_str_is(name, names[n]))
            n++;
        if (names[n])
            continue;
        rkp_diag(k->l.diags, RKP_ERROR, k->t->series[i].at, "promql-metric", "there is no metric '" RKP_STR_FMT "'",
                 RKP_STR_ARG(name));
        near = rki_nearest(name, (const char *const *)names);
        if (near)
            rkp_diag_hint(k->l.diags, "did you mean '%s'?", near);
        else
            rkp_diag_hint(k->l.diags, "'rkpipe list metrics' lists them");
        ok = false;
    }
    free(names);
    return ok;
}

static int64_t interval_of(const rki_case *k)
{
    return (int64_t)(k->l.spec->telemetry.interval_ns / 1000000);
}

// The last moment that anybody is interested in.
static int64_t end_of_series(const rki_case *k)
{
    int64_t step = k->t->series_ms ? k->t->series_ms : interval_of(k), last = rki_test_last_ms(k->t);
    for (size_t i = 0; i < k->t->n_series; i++) {
        int64_t end = k->t->series[i].n ? (k->t->series[i].n - 1) * step : 0;
        last = end > last ? end : last;
    }
    return last;
}

bool rki_case_alerts_prepare(rki_case *k)
{
    const rki_test *t = k->t;
    bool ok = true;
    if (!t->asks_alerts && !t->of_series)
        return true;
    for (size_t i = 0; i < t->n_alerts; i++)
        ok = check_one(k, &t->alerts[i]) && ok;
    if (t->of_series) {
        ok = check_series(k) && ok;
        if (ok && end_of_series(k) / interval_of(k) > MANY_LOOKS) {
            rkp_diag(k->l.diags, RKP_ERROR, t->name.at, "test-at", "the rules would be evaluated more than %d times",
                     MANY_LOOKS);
            rkp_diag_hint(k->l.diags, "a longer telemetry.interval evaluates them less often");
            ok = false;
        }
    } else if (k->our_ns && k->l.spec->run.stop_ns < ((uint64_t)rki_test_last_ms(t) + 1) * 1000000) {
        k->l.spec->run.stop_ns = (uint64_t)rki_test_last_ms(t) * 1000000 + 2 * k->l.spec->telemetry.interval_ns;
    }
    return ok;
}

// ---- what there is --------------------------------------------------------------------------------------------------

static void put_duration(int64_t ms, rki_buf *out)
{
    rki_prom_print_duration(ms, out);
}

static void put_alert(const rki_alert *al, rki_buf *out)
{
    rki_labels_print(al->labels, out);
    rki_putz(out, " value ");
    rki_go_float(al->value, out);
}

static void put_notes(const rki_rule_view *v, const rki_alert *al, rki_buf *out)
{
    for (size_t i = 0; i < v->n_notes; i++) {
        rki_putf(out, ", " RKP_STR_FMT " ", RKP_STR_ARG(v->notes[i]));
        rki_quote((rkp_str){ al->notes[i].p, al->notes[i].n }, out);
    }
}

static bool alike(const rki_alert_expect *e, const rki_rule_view *v, const rki_alert *al, bool notes)
{
    for (size_t i = 0; i < e->labels.n; i++) {
        rkp_str is = rki_labels_find(al->labels, rkp_word_str(e->labels.v[i].key));
        if (!rkp_str_eq((rkp_str){ is.p ? is.p : "", is.n }, rkp_word_str(e->labels.v[i].val)))
            return false;
    }
    for (size_t i = 0; notes && i < e->annotations.n; i++)
        for (size_t n = 0; n < v->n_notes; n++)
            if (rkp_str_eq(v->notes[n], rkp_word_str(e->annotations.v[i].key)) &&
                !rkp_str_eq((rkp_str){ al->notes[n].p ? al->notes[n].p : "", al->notes[n].n },
                            rkp_word_str(e->annotations.v[i].val)))
                return false;
    return true;
}

struct looking {
    const rki_alert_expect *e;
    uint64_t hits, alive; // alive: with its labels, pending or firing
    rki_buf got;
};

static void look_at(void *arg, const rki_rule_view *v, const rki_alert *al)
{
    struct looking *l = arg;
    bool alive = al->state == RKI_ALERT_PENDING || al->state == RKI_ALERT_FIRING;
    if (!rkp_str_eq(v->name, rkp_word_str(l->e->alert)))
        return;
    rki_putf(&l->got, "    + %-8s  ", rki_alert_word(al->state));
    put_alert(al, &l->got);
    if (l->e->annotations.n)
        put_notes(v, al, &l->got);
    rki_putc(&l->got, '\n');
    l->alive += alive && alike(l->e, v, al, false);
    l->hits += al->state == l->e->state && alike(l->e, v, al, true);
}

static void each(const rki_case_alerts *x, void (*f)(void *arg, const rki_rule_view *v, const rki_alert *al), void *arg)
{
    if (x->alerter) {
        rki_alerter_each(x->alerter, f, arg);
        return;
    }
    for (size_t i = 0; i < rki_rules_n(x->rules); i++) {
        rki_rule_view v = rki_rules_view(x->rules, i);
        for (size_t n = 0; n < v.n; n++) {
            rki_alert al = rki_rules_alert(x->rules, i, n);
            f(arg, &v, &al);
        }
    }
}

static void settle(rki_case_alerts *x, size_t i)
{
    struct looking l = { .e = &x->k->t->alerts[i] };
    struct asked *to = &x->v[i];
    rki_buf_init(&l.got);
    each(x, look_at, &l);
    to->done = true;
    to->ok = l.e->state == RKI_ALERT_INACTIVE ? l.alive == 0 : l.e->counts ? l.hits == l.e->count : l.hits != 0;
    if (!to->ok)
        to->got =
            rki_dup_str(&x->k->arena, (rkp_str){ l.got.n ? l.got.p : "    + inactive\n", l.got.n ? l.got.n : 15 });
    x->k->nomem |= l.got.failed || (!to->ok && !to->got.p);
    rki_buf_fini(&l.got);
}

// An evaluation at `ms` (from the beginning) is about to happen: what is asked of moments before it is as it is now.
static void before(rki_case_alerts *x, int64_t ms)
{
    for (size_t i = 0; i < x->k->t->n_alerts; i++)
        if (!x->v[i].done && x->k->t->alerts[i].says_at && x->k->t->alerts[i].at_ms < ms)
            settle(x, i);
}

static void put_change(rki_case_alerts *x, rkp_str name, const char *from, const char *to, const rki_alert *al)
{
    if (x->n_changes++ >= MANY_CHANGES && x->k->t->n_alerts)
        return;
    rki_putz(&x->changes, "      ");
    put_duration(x->ms - x->begin_ms, &x->changes);
    rki_putf(&x->changes, "  " RKP_STR_FMT "  %s -> %s  ", RKP_STR_ARG(name), from, to);
    put_alert(al, &x->changes);
    rki_putc(&x->changes, '\n');
}

static void note_fired(rki_case_alerts *x, rkp_str name)
{
    for (size_t i = 0; i < x->k->l.spec->n_alerts; i++)
        if (rkp_str_eq(rkp_word_str(x->k->l.spec->alerts[i].name), name))
            x->fired[i] = true;
}

static void changed(void *arg, const rki_rules *r, size_t i, const rki_alert *al, rki_alert_state from)
{
    rki_case_alerts *x = arg;
    rki_rule_view v = rki_rules_view(r, i);
    if (al->state == RKI_ALERT_FIRING)
        note_fired(x, v.name);
    put_change(x, v.name, rki_alert_word(from), rki_alert_word(al->state), al);
}

// A rule that cannot be evaluated is a failure at the first time.
static void look_for_error(void *arg, const rki_rule_view *v, bool turned)
{
    rki_case_alerts *x = arg;
    rki_buf at;
    if (!v->error || !turned)
        return;
    rki_buf_init(&at);
    put_duration(x->ms - x->begin_ms, &at);
    rki_case_fail(x->k, x->k->t->name.at, "test-alert", "alert '" RKP_STR_FMT "' cannot be evaluated at %.*s: %s",
                  RKP_STR_ARG(v->name), (int)at.n, at.p ? at.p : "", v->error);
    rki_buf_fini(&at);
}

static rki_case_alerts *case_alerts_new(rki_case *k)
{
    rki_case_alerts *x = rki_alloc(&k->arena, sizeof *x);
    if (!x)
        return NULL;
    x->k = k;
    x->v = rki_array(&k->arena, k->t->n_alerts + 1, sizeof *x->v);
    x->fired = rki_array(&k->arena, k->l.spec->n_alerts + 1, sizeof *x->fired);
    x->begin_ms = x->ms = k->t->now_us / 1000;
    rki_buf_init(&x->changes);
    k->alerts = x;
    return x->v && x->fired ? x : NULL;
}

void rki_case_alerts_free(rki_case_alerts *x)
{
    if (!x)
        return;
    rki_alerter_free(x->alerter);
    rki_rules_free(x->rules);
    rki_series_free(x->store);
    rki_buf_fini(&x->changes);
}

// ---- series ---------------------------------------------------------------------------------------------------------

// One value of every series.  False: none has any.
static bool feed(rki_case_alerts *x, rki_series_walk *walks, int64_t ms)
{
    const rki_test *t = x->k->t;
    bool some = false;
    if (rki_series_begin(x->store, ms) != RKP_OK)
        x->k->nomem = true;
    for (size_t i = 0; i < t->n_series; i++) {
        const rki_series_text *s = &t->series[i];
        rkp_status st = RKP_OK;
        double v;
        if (!rki_series_text_next(s, &walks[i], &v))
            continue;
        some = true;
        if (rki_bits_of(v) != RKI_GAP_BITS && rki_rules_wants(x->rules, s->name))
            st = rki_series_add(x->store, s->name, s->labels, s->n_labels, v);
        x->k->nomem |= st == RKP_NOMEM;
    }
    rki_series_end_quiet(x->store);
    return some;
}

static bool make_rules(rki_case_alerts *x, int64_t step)
{
    const rki_spec *s = x->k->l.spec;
    int64_t interval = interval_of(x->k);
    rki_series_conf conf = { .interval_ms = step };
    x->rules = rki_rules_new(s->alerts, s->n_alerts);
    if (!x->rules)
        return false;
    conf.keep_ms = rki_rules_back(x->rules) + step + interval;
    x->store = rki_series_new(&conf);
    return x->store != NULL;
}

bool rki_case_run_series(rki_case *k)
{
    rki_case_alerts *x = case_alerts_new(k);
    int64_t interval = interval_of(k), step = k->t->series_ms ? k->t->series_ms : interval, end = end_of_series(k);
    rki_series_walk *walks = rki_array(&k->arena, k->t->n_series + 1, sizeof *walks);
    bool some = true;
    if (!x || !walks || !make_rules(x, step))
        return false;
    for (int64_t ms = 0, fed = 0; ms <= end && !k->nomem; ms += interval) {
        for (; some && fed <= ms; fed += step)
            some = feed(x, walks, x->begin_ms + fed);
        before(x, ms);
        x->ms = x->begin_ms + ms;
        if (!rki_rules_tick(x->rules, x->store, x->ms, changed, x))
            k->nomem = true;
        for (size_t i = 0; i < rki_rules_n(x->rules); i++) {
            rki_rule_view v = rki_rules_view(x->rules, i);
            look_for_error(x, &v, rki_rules_turned(x->rules, i));
        }
    }
    return !k->nomem;
}

// ---- a run ----------------------------------------------------------------------------------------------------------

static int64_t clock_ms(void *arg)
{
    return ((rki_case_alerts *)arg)->ms;
}

static void told(void *arg, const rki_alert_message *m)
{
    rki_case_alerts *x = arg;
    const rki_alert al = { .labels = m->set, .value = m->value };
    if (strcmp(m->to, "firing") == 0)
        note_fired(x, m->alert);
    put_change(x, m->alert, m->from, m->to, &al);
    rki_run_alert(x->run, m);
}

// The run waits for one more look, which comes with the clock.
static bool last(void *arg, uint64_t number)
{
    ((rki_case_alerts *)arg)->number = number;
    return true;
}

bool rki_case_alerts_begin(rki_case *k, rki_run *r)
{
    rki_case_alerts *x = case_alerts_new(k);
    const rki_spec *s = k->l.spec;
    rki_alerter_args args = { .rules = s->alerts,
                              .n = s->n_alerts,
                              .interval_ms = interval_of(k),
                              .feed = rki_alerting_feed,
                              .feed_arg = r,
                              .tell = told,
                              .tell_arg = x,
                              .now_ms = clock_ms,
                              .now_arg = x };
    if (!x)
        return false;
    x->run = r;
    x->alerter = rki_alerter_new(&args);
    if (x->alerter)
        rki_run_on_last(r, last, x);
    return x->alerter != NULL;
}

static void tick(rki_case_alerts *x, int64_t ms)
{
    uint64_t number = x->number;
    if (ms <= x->ms)
        return;
    before(x, ms - x->begin_ms);
    x->ms = ms;
    rki_alerter_tick(x->alerter);
    rki_alerter_rules(x->alerter, look_for_error, x);
    x->number = 0;
    if (number)
        rki_run_looked(x->run, number);
}

void rki_case_alerts_tick(rki_case *k, int64_t wall_us)
{
    if (k->alerts)
        tick(k->alerts, wall_us / 1000);
}

bool rki_case_alerts_approve(void *arg, const rki_spec *s, char *text, size_t n)
{
    static const char *const severities[] = { "info", "warn", "page" };
    rki_case *k = arg;
    const rki_case_alerts *x = k->alerts;
    if (!s->run.fail_on_alert || !x)
        return true;
    tick(k->alerts, x->ms + 1); // as an engine does, whose clock goes on meanwhile
    for (size_t i = 0; i < s->n_alerts; i++)
        for (int v = s->run.fail_on_alert - 1; x->fired[i] && v < RKI_SEVERITIES; v++) {
            const rki_rule_conf *r = &s->alerts[i];
            for (size_t l = 0; l < r->n_labels; l++) {
                if (!rkp_str_is(rkp_word_str(r->labels[l].name), "severity") ||
                    !rkp_str_is(rkp_word_str(r->labels[l].text), severities[v]))
                    continue;
                snprintf(text, n, "alert '%s' (%s) has fired, and run.fail_on has alert:%s", r->name.p, severities[v],
                         severities[s->run.fail_on_alert - 1]);
                return false;
            }
        }
    return true;
}

void rki_case_alerts_end(rki_case *k, int64_t wall_us)
{
    rki_case_alerts *x = k->alerts;
    if (!x)
        return;
    rki_run_on_last(x->run, NULL, NULL);
    tick(x, wall_us / 1000 > x->ms ? wall_us / 1000 : x->ms + 1);
}

// ---- afterwards -----------------------------------------------------------------------------------------------------

static void put_expected(const rki_alert_expect *e, rki_buf *out)
{
    rki_putf(out, "    - %s", rki_alert_word(e->state));
    if (e->labels.n)
        rki_putz(out, "  {");
    for (size_t i = 0; i < e->labels.n; i++) {
        rki_putf(out, "%s%s=", i ? ", " : "", e->labels.v[i].key.p);
        rki_quote(rkp_word_str(e->labels.v[i].val), out);
    }
    if (e->labels.n)
        rki_putc(out, '}');
    for (size_t i = 0; i < e->annotations.n; i++) {
        rki_putf(out, ", %s ", e->annotations.v[i].key.p);
        rki_quote(rkp_word_str(e->annotations.v[i].val), out);
    }
    if (e->counts)
        rki_putf(out, "  (%llu)", (unsigned long long)e->count);
    rki_putc(out, '\n');
}

static void fail_one(rki_case *k, const rki_alert_expect *e, const struct asked *a)
{
    rki_buf at;
    rki_buf_init(&at);
    rki_putz(&at, e->says_at ? "at " : "at the end");
    if (e->says_at)
        put_duration(e->at_ms, &at);
    rki_case_fail(k, e->at, "test-alert", "alert '%s' is not %s %.*s", e->alert.p,
                  e->counts ? "so often in this state" : rki_alert_word(e->state), (int)at.n, at.p ? at.p : "");
    rki_putz(&k->report, "    - expected, + got\n");
    put_expected(e, &k->report);
    rki_put(&k->report, a->got.p, a->got.n);
    k->nomem |= at.failed;
    rki_buf_fini(&at);
}

static void fail_late(rki_case *k, const rki_alert_expect *e)
{
    const rki_case_alerts *x = k->alerts;
    rki_case_fail(k, e->at, "test-at", "the run was over after %g s, before this moment",
                  (double)(x->ms - x->begin_ms) / 1000);
}

void rki_case_alerts_look(rki_case *k)
{
    rki_case_alerts *x = k->alerts;
    unsigned failures = k->failures;
    if (!x)
        return;
    for (size_t i = 0; i < k->t->n_alerts; i++) {
        const rki_alert_expect *e = &k->t->alerts[i];
        bool late = e->says_at && x->alerter && e->at_ms > x->ms - x->begin_ms;
        if (!x->v[i].done)
            settle(x, i);
        if (late)
            fail_late(k, e);
        else if (!x->v[i].ok)
            fail_one(k, e, &x->v[i]);
    }
    if (k->failures == failures && k->t->n_alerts)
        return;
    if (!x->n_changes) {
        rki_putz(&k->report, "    no alert has changed its state\n");
        return;
    }
    rki_putz(&k->report, "    changes of alerts:\n");
    rki_put(&k->report, x->changes.p, x->changes.n);
    k->nomem |= x->changes.failed;
    if (x->n_changes > MANY_CHANGES && k->t->n_alerts)
        rki_putf(&k->report, "      .. and %zu more\n", x->n_changes - MANY_CHANGES);
}

bool rki_case_fired(const rki_case *k, size_t rule)
{
    return k->alerts && k->alerts->fired[rule];
}
