// alerter.c - alert rules at work: one thread, one lock.
//
// The lock is held during a tick, so that who looks or replaces sees whole ticks.  Inside it are only the locks of `feed`.
#include "watch/alerter.h"

#include <pthread.h>
#include <rkpipe/num.h>
#include <stdlib.h>
#include <time.h>

struct rki_alerter {
    rki_alerter_args args;    // without the rules
    int64_t wall_ms, mono_ms; // at the beginning
    pthread_mutex_t lock;     // of everything below
    rki_rules *rules;
    rki_series *series;
    int64_t back_ms;
    rki_buf text; // of what is told
    // The thread.
    pthread_mutex_t sleep_lock;
    pthread_cond_t wake;
    pthread_t thread;
    bool running, started; // with lock
    bool over;             // with sleep_lock:
    bool ticking;          //   the thread is there,
    uint64_t last;         //   and is to look at once; 0: not
};

static int64_t clock_ms(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int64_t now(const rki_alerter *a)
{
    if (a->args.now_ms)
        return a->args.now_ms(a->args.now_arg);
    return a->wall_ms + clock_ms(CLOCK_MONOTONIC) - a->mono_ms;
}

static rki_series *series_for(const rki_alerter *a, int64_t back_ms)
{
    // One tick more than the range: its edge is part of it.
    rki_series_conf c = { .keep_ms = back_ms + a->args.interval_ms, .interval_ms = a->args.interval_ms };

    return rki_series_new(&c);
}

// A store that goes as far back as the rules look.
static bool widen(rki_alerter *a, const rki_rules *rules)
{
    int64_t back = rki_rules_back(rules);
    rki_series *series;

    if (a->series && back <= a->back_ms)
        return true;
    series = series_for(a, back);
    if (!series || (a->series && !rki_series_copy(series, a->series))) {
        rki_series_free(series);
        return false;
    }
    rki_series_free(a->series);
    a->series = series;
    a->back_ms = back;
    return true;
}

rki_alerter *rki_alerter_new(const rki_alerter_args *args)
{
    rki_alerter *a = calloc(1, sizeof *a);
    pthread_condattr_t attr;

    if (!a)
        return NULL;
    a->args = *args;
    a->args.rules = NULL;
    rki_buf_init(&a->text);
    a->wall_ms = clock_ms(CLOCK_REALTIME);
    a->mono_ms = clock_ms(CLOCK_MONOTONIC);
    a->rules = rki_rules_new(args->rules, args->n);
    if (!a->rules || !widen(a, a->rules)) {
        rki_rules_free(a->rules);
        free(a);
        return NULL;
    }
    pthread_mutex_init(&a->lock, NULL);
    pthread_mutex_init(&a->sleep_lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&a->wake, &attr);
    pthread_condattr_destroy(&attr);
    return a;
}

void rki_alerter_free(rki_alerter *a)
{
    if (!a)
        return;
    rki_rules_free(a->rules);
    rki_series_free(a->series);
    rki_buf_fini(&a->text);
    pthread_cond_destroy(&a->wake);
    pthread_mutex_destroy(&a->sleep_lock);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

void rki_alerter_sample(rki_alerter *a, rkp_str name, const rki_label *labels, uint32_t n, double value)
{
    if (rki_rules_wants(a->rules, name))
        rki_series_add(a->series, name, labels, n, value);
}

void rki_alerter_saw(rki_alerter *a, rkp_str alert, const rkp_str *keys, size_t n, uint64_t rows, uint64_t over)
{
    rki_rules_saw(a->rules, alert, keys, n, rows, over);
}

void rki_alerter_missed(rki_alerter *a, rkp_str alert, uint64_t rows)
{
    rki_rules_missed(a->rules, alert, rows);
}

// ---- the log --------------------------------------------------------------------------------------------------------

static void put_line(rki_alerter *a, rki_buf *b)
{
    rki_putc(b, '\n');
    if (!b->failed && a->args.log)
        a->args.log(a->args.log_arg, (rkp_str){ b->p, b->n });
    rki_buf_fini(b);
}

// alert Full is firing: {kernel="read", severity="page"} value 0.97, summary "read is full"
static void log_change(void *arg, const rki_rules *r, size_t i, const rki_alert *al, rki_alert_state from)
{
    rki_rule_view v = rki_rules_view(r, i);
    rki_buf b;

    if (al->state != RKI_ALERT_FIRING && !(al->state == RKI_ALERT_RESOLVED && from == RKI_ALERT_FIRING))
        return;
    rki_buf_init(&b);
    rki_putf(&b, "alert " RKP_STR_FMT " is %s: ", RKP_STR_ARG(v.name), rki_alert_word(al->state));
    rki_labels_print(al->labels, &b);
    rki_putz(&b, " value ");
    rki_go_float(al->value, &b);
    for (size_t k = 0; k < v.n_notes; k++) {
        rki_putf(&b, ", " RKP_STR_FMT " ", RKP_STR_ARG(v.notes[k]));
        rki_quote((rkp_str){ al->notes[k].p, al->notes[k].n }, &b);
    }
    put_line(arg, &b);
}

typedef struct changing {
    rki_alerter *a;
    int64_t ms;
} changing;

static void changed(void *arg, const rki_rules *r, size_t i, const rki_alert *al, rki_alert_state from)
{
    const changing *c = arg;
    rki_alert_message m;

    log_change(c->a, r, i, al, from);
    if (c->a->args.tell && rki_alert_message_make(r, i, al, from, c->ms, &c->a->text, &m))
        c->a->args.tell(c->a->args.tell_arg, &m);
}

// Once when a rule begins to fail, and once when it works again.
static void log_failures(rki_alerter *a)
{
    for (size_t i = 0; i < rki_rules_n(a->rules); i++) {
        rki_rule_view v = rki_rules_view(a->rules, i);
        rki_buf b;

        if (!rki_rules_turned(a->rules, i))
            continue;
        rki_buf_init(&b);
        rki_putf(&b, "alert " RKP_STR_FMT " %s%s", RKP_STR_ARG(v.name),
                 v.error ? "cannot be evaluated: " : "is evaluated again", v.error ? v.error : "");
        put_line(a, &b);
    }
}

// ---- ticks ----------------------------------------------------------------------------------------------------------

bool rki_alerter_tick(rki_alerter *a)
{
    changing c = { a, 0 };
    int64_t ms;
    bool ok;

    pthread_mutex_lock(&a->lock);
    c.ms = ms = now(a);
    ok = rki_series_begin(a->series, ms) == RKP_OK;
    if (ok) {
        a->args.feed(a->args.feed_arg, a);
        rki_series_end(a->series);
        ok = rki_rules_tick(a->rules, a->series, ms, changed, &c);
        log_failures(a);
    }
    pthread_mutex_unlock(&a->lock);
    return ok;
}

// With sleep_lock.  Until then, or it is over, or another look than this one is asked for.
static void wait_until(rki_alerter *a, int64_t ms, uint64_t last)
{
    struct timespec until = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

    while (!a->over && a->last == last && clock_ms(CLOCK_MONOTONIC) < ms)
        pthread_cond_timedwait(&a->wake, &a->sleep_lock, &until);
}

static void *ticks(void *arg)
{
    rki_alerter *a = arg;
    int64_t next = clock_ms(CLOCK_MONOTONIC);

    pthread_mutex_lock(&a->sleep_lock);
    while (!a->over) {
        uint64_t last;
        int64_t late;

        next += a->args.interval_ms;
        late = clock_ms(CLOCK_MONOTONIC) - next;
        if (late > 0)
            next += late - late % a->args.interval_ms; // those that were missed are not made up for
        wait_until(a, next, 0);
        last = a->last;
        if (last)
            wait_until(a, clock_ms(CLOCK_MONOTONIC) + 2, last); // time has gone on since the look before
        a->last = 0;
        if (a->over)
            break;
        pthread_mutex_unlock(&a->sleep_lock);
        rki_alerter_tick(a);
        if (last && a->args.looked)
            a->args.looked(a->args.looked_arg, last);
        pthread_mutex_lock(&a->sleep_lock);
    }
    a->ticking = false;
    pthread_mutex_unlock(&a->sleep_lock);
    return NULL;
}

// With the lock, or before there is anybody else.
static bool begin_thread(rki_alerter *a)
{
    if (!a->running || a->started || rki_rules_n(a->rules) == 0)
        return true;
    pthread_mutex_lock(&a->sleep_lock);
    a->started = a->ticking = pthread_create(&a->thread, NULL, ticks, a) == 0;
    pthread_mutex_unlock(&a->sleep_lock);
    return a->started;
}

bool rki_alerter_last(rki_alerter *a, uint64_t number)
{
    bool ticking;

    pthread_mutex_lock(&a->sleep_lock);
    ticking = a->ticking && !a->over;
    if (ticking) {
        a->last = number;
        pthread_cond_signal(&a->wake);
    }
    pthread_mutex_unlock(&a->sleep_lock);
    return ticking;
}

bool rki_alerter_start(rki_alerter *a)
{
    bool ok;

    pthread_mutex_lock(&a->lock);
    a->running = true;
    ok = begin_thread(a);
    pthread_mutex_unlock(&a->lock);
    return ok;
}

void rki_alerter_stop(rki_alerter *a)
{
    bool started;

    if (!a)
        return;
    pthread_mutex_lock(&a->lock);
    a->running = false; // nobody begins a thread any more
    started = a->started;
    a->started = false;
    pthread_mutex_unlock(&a->lock);
    if (!started)
        return;
    pthread_mutex_lock(&a->sleep_lock);
    a->over = true;
    pthread_cond_signal(&a->wake);
    pthread_mutex_unlock(&a->sleep_lock);
    pthread_join(a->thread, NULL);
    rki_alerter_tick(a);
}

void rki_alerter_replace(rki_alerter *a, rki_rules *rules)
{
    changing c = { a, 0 };

    pthread_mutex_lock(&a->lock);
    c.ms = now(a);
    rki_rules_adopt(rules, a->rules);
    rki_rules_end(a->rules, c.ms, changed, &c);
    rki_rules_free(a->rules);
    a->rules = rules;
    widen(a, rules);
    begin_thread(a);
    pthread_mutex_unlock(&a->lock);
}

void rki_alerter_diff(rki_alerter *a, const rki_rules *rules, rki_json *j)
{
    pthread_mutex_lock(&a->lock);
    rki_rules_diff(a->rules, rules, j);
    pthread_mutex_unlock(&a->lock);
}

// ---- another process ------------------------------------------------------------------------------------------------

void rki_alerter_state(rki_alerter *a, rki_buf *out)
{
    rki_json j;

    rki_json_init(&j, out, 0);
    pthread_mutex_lock(&a->lock);
    rki_rules_state(a->rules, &j);
    pthread_mutex_unlock(&a->lock);
}

void rki_alerter_restore(rki_alerter *a, const struct rki_json_node *list, int64_t saved_ms, rki_rules_restored *told,
                         void *arg)
{
    pthread_mutex_lock(&a->lock);
    rki_rules_restore(a->rules, list, saved_ms, now(a), a->args.interval_ms, told, arg);
    pthread_mutex_unlock(&a->lock);
}

void rki_alerter_each(rki_alerter *a, void (*f)(void *arg, const rki_rule_view *v, const rki_alert *al), void *arg)
{
    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < rki_rules_n(a->rules); i++) {
        rki_rule_view v = rki_rules_view(a->rules, i);

        for (size_t k = 0; k < v.n; k++) {
            rki_alert al = rki_rules_alert(a->rules, i, k);

            f(arg, &v, &al);
        }
    }
    pthread_mutex_unlock(&a->lock);
}

void rki_alerter_rules(rki_alerter *a, void (*f)(void *arg, const rki_rule_view *v, bool turned), void *arg)
{
    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < rki_rules_n(a->rules); i++) {
        rki_rule_view v = rki_rules_view(a->rules, i);

        f(arg, &v, rki_rules_turned(a->rules, i));
    }
    pthread_mutex_unlock(&a->lock);
}

// ---- as JSON --------------------------------------------------------------------------------------------------------

static void put_time(rki_json *j, const char *key, int64_t ms)
{
    char text[RKP_TIMESTAMP_TEXT];

    rki_json_put_str(j, key, (rkp_str){ text, rkp_print_timestamp(text, ms * 1000) });
}

static void put_alert(const rki_alerter *a, rki_json *j, const rki_rule_view *v, const rki_alert *al)
{
    rki_json_object(j);
    rki_json_put_str(j, "alert", v->name);
    rki_json_put_z(j, "state", rki_alert_word(al->state));
    rki_json_key(j, "labels");
    rki_labels_json(j, al->labels);
    rki_json_key(j, "annotations");
    rki_notes_json(j, v, al);
    rki_json_put_f64(j, "value", al->value);
    put_time(j, "active_at", al->active_ms);
    if (al->fired_ms)
        put_time(j, "fired_at", al->fired_ms);
    if (al->state == RKI_ALERT_RESOLVED)
        put_time(j, "resolved_at", al->resolved_ms);
    if (a->args.mark)
        a->args.mark(a->args.mark_arg, al, j);
    rki_json_end_object(j);
}

static void put_rule(rki_json *j, const rki_rule_view *v)
{
    rki_json_object(j);
    rki_json_put_str(j, "alert", v->name);
    rki_json_put_str(j, v->data ? "watch" : "expr", v->expr);
    rki_json_put_z(j, "state", rki_alert_word(v->state));
    if (v->data) {
        rki_json_put_f64(j, "throttle_seconds", (double)v->throttle_ms / 1000);
        rki_json_put_u64(j, "rows", v->rows);
        rki_json_put_u64(j, "rows_of_more_keys", v->over);
        rki_json_put_u64(j, "rows_missed", v->missed);
    } else {
        rki_json_put_f64(j, "for_seconds", (double)v->for_ms / 1000);
    }
    rki_json_put_f64(j, "keep_firing_for_seconds", (double)v->keep_ms / 1000);
    rki_json_put_u64(j, "evaluations", v->evaluations);
    rki_json_put_u64(j, "failures", v->failures);
    if (v->last_ms != INT64_MIN)
        put_time(j, "last_evaluation", v->last_ms);
    if (v->error)
        rki_json_put_z(j, "error", v->error);
    rki_json_end_object(j);
}

static void put_series(rki_json *j, const rki_series *s)
{
    rki_series_stats c = rki_series_count(s);

    rki_json_object(j);
    rki_json_put_u64(j, "count", c.series);
    rki_json_put_u64(j, "limit", c.max_series);
    rki_json_put_u64(j, "bytes", c.bytes);
    rki_json_put_u64(j, "ticks", c.ticks);
    rki_json_put_u64(j, "refused_samples", c.refused);
    rki_json_put_u64(j, "lost_ticks", c.lost);
    rki_json_end_object(j);
}

void rki_alerter_json(rki_alerter *a, rki_buf *out)
{
    rki_json j;

    rki_json_init(&j, out, 0);
    pthread_mutex_lock(&a->lock);
    rki_json_object(&j);
    rki_json_key(&j, "alerts");
    rki_json_array(&j);
    for (size_t i = 0; i < rki_rules_n(a->rules); i++) {
        rki_rule_view v = rki_rules_view(a->rules, i);

        for (size_t k = 0; k < v.n; k++) {
            rki_alert al = rki_rules_alert(a->rules, i, k);

            put_alert(a, &j, &v, &al);
        }
    }
    rki_json_end_array(&j);
    rki_json_key(&j, "rules");
    rki_json_array(&j);
    for (size_t i = 0; i < rki_rules_n(a->rules); i++) {
        rki_rule_view v = rki_rules_view(a->rules, i);

        put_rule(&j, &v);
    }
    rki_json_end_array(&j);
    rki_json_key(&j, "series");
    put_series(&j, a->series);
    rki_json_end_object(&j);
    pthread_mutex_unlock(&a->lock);
}
