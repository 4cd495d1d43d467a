// notifying.c - the notifier on a thread, and its notices on the threads of those who send them.
//
//   alerter --told--> [lock: notifier] <--flush-- this thread --parcels--> senders, one a way
//                                      <------------- done ----------------/
//
// Nobody sends or writes a file with the lock held, but the file of silences, which has a lock of its own around this one.
#include "watch/notice_text.h"
#include "watch/notifying_inside.h"
#include "watch/post.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { SAVE_MS = 1000, SAVE_ANYWAY_MS = 10000, FIRST_MS = 500, MOST_MS = 30000 };

struct rki_notify_change {
    rki_routes *routes;
    rki_senders *senders;
};

static int64_t clock_ms(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t rki_notifying_now(const rki_notifying *x)
{
    if (x->args.now_ms)
        return x->args.now_ms(x->args.now_arg);
    return x->wall_ms + clock_ms(CLOCK_MONOTONIC) - x->mono_ms;
}

static void say(const rki_notifying *x, const char *what, const char *name, const char *why)
{
    char line[500];
    int n = snprintf(line, sizeof line, "notify: %s '%s/%s': %s\n", what, x->folder, name, why);

    if (x->args.log && n > 0)
        x->args.log(x->args.log_arg, (rkp_str){ line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1 });
}

// ---- senders --------------------------------------------------------------------------------------------------------

static void arrived(void *arg, uint64_t ticket, bool ok)
{
    rki_notifying *x = arg;

    pthread_mutex_lock(&x->lock);
    rki_notifier_done(x->n, ticket, ok, rki_notifying_now(x));
    x->dirty = x->dirty || ok;
    pthread_cond_signal(&x->wake);
    pthread_cond_signal(&x->quiet);
    pthread_mutex_unlock(&x->lock);
}

static void log_line(void *arg, rkp_str line)
{
    const rki_notifying *x = arg;

    if (x->args.log)
        x->args.log(x->args.log_arg, line);
}

// A line of a command's standard error.
static void command_line(void *arg, rkp_str line)
{
    char text[4400];
    int n = snprintf(text, sizeof text, "notify: %.*s\n", (int)(line.n < 4096 ? line.n : 4096), line.p);

    if (n > 0)
        log_line(arg, (rkp_str){ text, (size_t)n });
}

static rki_sent log_send(void *self, rkp_str body, const rki_send_stop *stop, char why[RKI_SEND_WHY])
{
    (void)stop;
    (void)why;
    log_line(self, body);
    return RKI_SENT;
}

static bool courier(rki_notifying *x, const rki_way *w, rki_courier *out)
{
    switch (w->kind) {
    case RKI_WAY_FILE:
        return rki_courier_file(w, out);
    case RKI_WAY_EXEC:
        return rki_courier_exec(w, x->args.env, command_line, x, out);
    case RKI_WAY_WEBHOOK:
    case RKI_WAY_ALERTMANAGER:
        return rki_courier_http(w, x->args.version ? x->args.version : "", out);
    default: // log; what is published has no sender
        *out = (rki_courier){ log_send, NULL, x };
        return true;
    }
}

static rki_sender *sender(rki_notifying *x, const rki_receiver *r, const rki_way *w)
{
    rki_courier c;
    rki_sender_args a = { .receiver = rkp_word_str(r->name),
                          .way = rki_way_word(w->kind),
                          .first_ms = x->args.first_ms ? x->args.first_ms : FIRST_MS,
                          .most_ms = x->args.most_ms ? x->args.most_ms : MOST_MS,
                          .done = arrived,
                          .log = log_line,
                          .arg = x };

    if (!courier(x, w, &c))
        return NULL;
    a.send = c.send;
    a.close = c.close;
    a.self = c.self;
    return rki_sender_new(&a);
}

static void senders_free(rki_senders *s)
{
    for (size_t i = 0; s && i < s->n; i++)
        if (s->v[i])
            rki_sender_stop(s->v[i]);
    for (size_t i = 0; s && i < s->n; i++)
        rki_sender_free(s->v[i]);
    if (s)
        free(s->v);
    free(s);
}

static bool needs_http(const rki_routing *r)
{
    for (size_t i = 0; i < r->n_receivers; i++)
        for (size_t k = 0; k < r->receivers[i].n_ways; k++)
            if (r->receivers[i].ways[k].kind == RKI_WAY_WEBHOOK || r->receivers[i].ways[k].kind == RKI_WAY_ALERTMANAGER)
                return true;
    return false;
}

static rki_senders *senders_new(rki_notifying *x, const rki_routing *r, char *err, size_t n)
{
    rki_senders *s = calloc(1, sizeof *s);
    char why[RKI_SEND_WHY] = "";
    size_t all = 0;

    snprintf(err, n, "out of memory");
    for (size_t i = 0; r && i < r->n_receivers; i++)
        all += r->receivers[i].n_ways;
    if (r && needs_http(r) && !rki_post_there(why)) {
        snprintf(err, n, "notify: %s", why);
        free(s);
        return NULL;
    }
    if (s)
        s->v = calloc(all + 1, sizeof(rki_sender *));
    if (!s || !s->v) {
        free(s);
        return NULL;
    }
    for (size_t i = 0; r && i < r->n_receivers; i++) {
        for (size_t k = 0; k < r->receivers[i].n_ways; k++) {
            const rki_way *w = &r->receivers[i].ways[k];

            s->v[s->n] = w->kind == RKI_WAY_TOPIC ? NULL : sender(x, &r->receivers[i], w);
            if (!s->v[s->n++] && w->kind != RKI_WAY_TOPIC) {
                snprintf(err, n, "notify: receiver '%s' cannot be started", r->receivers[i].name.p);
                senders_free(s);
                return NULL;
            }
        }
    }
    return s;
}

static rki_sender *sender_of(const rki_notifying *x, const rki_notice *n)
{
    size_t at = n->way;

    for (uint32_t i = 0; i < n->receiver; i++)
        at += n->routing->receivers[i].n_ways;
    return x->senders->v[at];
}

// ---- notices --------------------------------------------------------------------------------------------------------

static bool publish(rki_notifying *x, const rki_notice *n, rki_parcel *p)
{
    rki_notice_message m = { .receiver = rkp_word_str(n->routing->receivers[n->receiver].name),
                             .status = n->firing ? "firing" : "resolved",
                             .ms = n->ms };
    rki_buf labels;
    rki_json j;

    rki_buf_init(&labels);
    rki_json_init(&j, &labels, 0);
    rki_labels_json(&j, &n->labels);
    rki_notice_alerts(n, &p->body);
    if (x->args.publish && !labels.failed && !p->body.failed) {
        m.group_labels = (rkp_str){ labels.p, labels.n };
        m.alerts = (rkp_str){ p->body.p, p->body.n };
        x->args.publish(x->args.publish_arg, &m);
    }
    rki_buf_fini(&labels);
    p->next = x->instant;
    x->instant = p;
    return true;
}

// With the lock.
static bool send(void *arg, const rki_notice *n)
{
    rki_notifying *x = arg;
    const rki_way *w = &n->routing->receivers[n->receiver].ways[n->way];
    rki_parcel *p = calloc(1, sizeof *p);

    if (!p)
        return false;
    rki_buf_init(&p->body);
    p->ticket = n->ticket;
    p->life_ms = n->interval_ms > 60000 ? n->interval_ms : 60000;
    if (w->kind == RKI_WAY_TOPIC)
        return publish(x, n, p);
    if (w->kind == RKI_WAY_LOG)
        rki_notice_line(n, &p->body);
    else if (w->kind == RKI_WAY_ALERTMANAGER)
        rki_notice_alertmanager(n, &p->body);
    else
        rki_notice_webhook(n, rkp_str_of(x->pipeline), &p->body);
    if (!p->body.failed)
        return rki_sender_give(sender_of(x, n), p);
    rki_parcel_free(p);
    return false;
}

// With the lock: the next time at which there is something to do.
static int64_t flush(rki_notifying *x)
{
    int64_t next = rki_notifier_due(x->n, rki_notifying_now(x), send, x);

    while (x->instant) {
        rki_parcel *p = x->instant;

        x->instant = p->next;
        rki_notifier_done(x->n, p->ticket, true, rki_notifying_now(x));
        rki_parcel_free(p);
        x->dirty = true;
        next = 0;
    }
    return next;
}

// ---- what is kept ---------------------------------------------------------------------------------------------------

// Without the lock.
static void save(rki_notifying *x)
{
    char err[RKP_FILE_ERR];
    rki_buf rules, b;
    bool nothing, ok = true;
    rki_json j;

    rki_buf_init(&rules);
    rki_buf_init(&b);
    if (x->args.remember)
        x->args.remember(x->args.remember_arg, &rules);
    else
        rki_putz(&rules, "[]");
    rki_json_init(&j, &b, 0);
    pthread_mutex_lock(&x->lock);
    x->alive = !rkp_str_is((rkp_str){ rules.p, rules.n }, "[]");
    nothing = rki_notifier_told(x->n) == 0 && rkp_str_is((rkp_str){ rules.p, rules.n }, "[]");
    rki_json_object(&j);
    rki_json_put_u64(&j, "version", 1);
    rki_json_put_i64(&j, "saved_ms", rki_notifying_now(x));
    rki_json_key(&j, "rules");
    rki_json_raw(&j, (rkp_str){ rules.p, rules.n });
    rki_json_key(&j, "told");
    rki_notifier_told_json(x->n, &j);
    rki_json_end_object(&j);
    pthread_mutex_unlock(&x->lock);
    if (nothing)
        rki_notify_file_remove(x->folder, RKI_ALERTS_FILE);
    else if (!rules.failed && !b.failed)
        ok = rki_notify_file_write(x->folder, RKI_ALERTS_FILE, (rkp_str){ b.p, b.n }, err);
    if (!ok && !x->save_failed)
        say(x, "cannot write", RKI_ALERTS_FILE, err);
    x->save_failed = !ok;
    rki_buf_fini(&rules);
    rki_buf_fini(&b);
}

static void load(rki_notifying *x)
{
    char err[RKP_FILE_ERR];
    const rki_json_node *n = rki_notify_file_read(&x->kept_arena, x->folder, RKI_ALERTS_FILE, err);
    uint64_t ms = 0;

    if (err[0] || (n && (!rki_json_count(rki_json_get(n, "saved_ms"), &ms) || ms > INT64_MAX ||
                         !rki_notifier_told_read(x->n, rki_json_get(n, "told")))))
        say(x, "alerts begin anew, because of", RKI_ALERTS_FILE, err[0] ? err : "it is not what it should be");
    else if (n)
        x->kept = rki_json_get(n, "rules");
    x->kept_ms = (int64_t)ms;
    n = rki_notify_file_read(&x->kept_arena, x->folder, RKI_SILENCES_FILE, err);
    if (err[0] || (n && !rki_silences_read(x->silences, rki_json_get(n, "silences"))))
        say(x, "silences are lost, because of", RKI_SILENCES_FILE, err[0] ? err : "it is not what it should be");
    rki_silences_tidy(x->silences, rki_notifying_now(x));
}

const rki_json_node *rki_notifying_kept(const rki_notifying *x, int64_t *ms)
{
    *ms = x->kept_ms;
    return x->kept;
}

// ---- the thread -----------------------------------------------------------------------------------------------------

// With the lock, which is let go meanwhile.
static void see_to_the_rest(rki_notifying *x)
{
    int64_t mono = clock_ms(CLOCK_MONOTONIC);

    while (x->retired) {
        rki_senders *s = x->retired;

        x->retired = s->next;
        pthread_mutex_unlock(&x->lock);
        senders_free(s);
        pthread_mutex_lock(&x->lock);
    }
    if (!x->folder || !(x->dirty || x->alive) || mono - x->saved_mono < (x->dirty ? SAVE_MS : SAVE_ANYWAY_MS))
        return;
    x->dirty = false;
    x->saved_mono = mono;
    pthread_mutex_unlock(&x->lock);
    save(x);
    pthread_mutex_lock(&x->lock);
}

static void wait_ms(rki_notifying *x, int64_t ms)
{
    int64_t until;
    struct timespec t;

    if (x->dirty && x->folder && ms > SAVE_MS)
        ms = SAVE_MS;
    if (x->alive && x->folder && ms > SAVE_ANYWAY_MS)
        ms = SAVE_ANYWAY_MS;
    until = clock_ms(CLOCK_MONOTONIC) + (ms < 3600000 ? ms : 3600000);
    t = (struct timespec){ .tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000 };
    pthread_cond_timedwait(&x->wake, &x->lock, &t);
}

static void *work(void *arg)
{
    rki_notifying *x = arg;

    pthread_mutex_lock(&x->lock);
    while (!x->over) {
        bool hurry = x->hurry && !x->hurried;
        int64_t next;

        if (hurry)
            rki_notifier_hurry(x->n, rki_notifying_now(x));
        next = flush(x);
        if (hurry) {
            for (size_t i = 0; i < x->senders->n; i++)
                if (x->senders->v[i])
                    rki_sender_hurry(x->senders->v[i]);
            x->hurried = true;
            pthread_cond_signal(&x->quiet);
        }
        see_to_the_rest(x);
        if (x->over || (x->hurry && !x->hurried))
            continue;
        next = next == INT64_MAX ? 3600000 : next - rki_notifying_now(x);
        if (next > 0)
            wait_ms(x, next);
    }
    pthread_mutex_unlock(&x->lock);
    return NULL;
}

static void locks_init(rki_notifying *x)
{
    pthread_condattr_t attr;

    pthread_mutex_init(&x->file_lock, NULL);
    pthread_mutex_init(&x->lock, NULL);
    pthread_mutex_init(&x->set_lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&x->wake, &attr);
    pthread_cond_init(&x->quiet, &attr);
    pthread_condattr_destroy(&attr);
}

rki_notifying *rki_notifying_new(const rki_notifying_args *args, char *err, size_t n)
{
    rki_notifying *x = calloc(1, sizeof *x);
    rki_routes *routes = rki_routes_new(args->routing);

    snprintf(err, n, "out of memory");
    if (!x || !routes) {
        rki_routes_free(routes);
        free(x);
        return NULL;
    }
    locks_init(x);
    rki_arena_init(&x->kept_arena);
    x->args = *args;
    x->args.routing = NULL;
    x->wall_ms = clock_ms(CLOCK_REALTIME);
    x->mono_ms = clock_ms(CLOCK_MONOTONIC);
    x->pipeline = strndup(args->pipeline.p ? args->pipeline.p : "", args->pipeline.n);
    x->folder = args->folder ? strdup(args->folder) : NULL;
    x->silences = rki_silences_new();
    x->n = x->silences ? rki_notifier_new(x->silences) : NULL;
    if (!x->n || !x->pipeline || (args->folder && !x->folder) ||
        !(x->senders = senders_new(x, routes->routing, err, n))) {
        rki_routes_free(routes);
        rki_notifying_free(x);
        return NULL;
    }
    if (x->folder)
        load(x);
    rki_notifier_route(x->n, routes, rki_notifying_now(x));
    return x;
}

// With the lock.  There is no thread until there is something to do.
static bool begin_thread(rki_notifying *x, bool wanted)
{
    if (x->running && !x->started && wanted)
        x->started = pthread_create(&x->thread, NULL, work, x) == 0;
    return x->started || !wanted;
}

bool rki_notifying_start(rki_notifying *x)
{
    bool ok;

    pthread_mutex_lock(&x->lock);
    x->running = true;
    ok = begin_thread(x, rki_notifier_routing(x->n) || x->dirty);
    pthread_mutex_unlock(&x->lock);
    return ok;
}

// With the lock: until everything has been told, or the time is over.
static void wait_for_the_last(rki_notifying *x)
{
    int64_t until = clock_ms(CLOCK_MONOTONIC) + RKI_NOTIFY_END_MS;
    struct timespec t = { .tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000 };

    x->hurry = true;
    pthread_cond_signal(&x->wake);
    while ((!x->hurried || rki_notifier_count(x->n).on_the_way) && clock_ms(CLOCK_MONOTONIC) < until)
        pthread_cond_timedwait(&x->quiet, &x->lock, &t);
}

void rki_notifying_end(rki_notifying *x)
{
    bool started;

    if (!x)
        return;
    pthread_mutex_lock(&x->lock);
    started = x->started;
    x->running = false; // nobody begins a thread any more
    if (started)
        wait_for_the_last(x);
    x->over = true;
    pthread_cond_signal(&x->wake);
    pthread_mutex_unlock(&x->lock);
    if (!started)
        return;
    pthread_join(x->thread, NULL);
    x->started = false;
    for (size_t i = 0; i < x->senders->n; i++)
        if (x->senders->v[i])
            rki_sender_stop(x->senders->v[i]);
    if (x->folder)
        save(x);
}

void rki_notifying_free(rki_notifying *x)
{
    if (!x)
        return;
    rki_notifying_end(x);
    senders_free(x->senders);
    for (rki_senders *s; (s = x->retired) != NULL;) {
        x->retired = s->next;
        senders_free(s);
    }
    rki_notifier_free(x->n);
    rki_silences_free(x->silences);
    rki_arena_fini(&x->kept_arena);
    pthread_cond_destroy(&x->quiet);
    pthread_cond_destroy(&x->wake);
    pthread_mutex_destroy(&x->set_lock);
    pthread_mutex_destroy(&x->lock);
    pthread_mutex_destroy(&x->file_lock);
    free(x->pipeline);
    free(x->folder);
    free(x);
}

// ---- being told -----------------------------------------------------------------------------------------------------

void rki_notifying_told(rki_notifying *x, const rki_alert_message *m)
{
    bool full;

    pthread_mutex_lock(&x->lock);
    full = !rki_notifier_change(x->n, m, rki_notifying_now(x)) && !x->full;
    x->full = x->full || full;
    x->dirty = true; // the rules remember something else, whatever is told
    begin_thread(x, x->folder || rki_notifier_routing(x->n));
    pthread_cond_signal(&x->wake);
    pthread_mutex_unlock(&x->lock);
    if (full && x->args.log)
        x->args.log(x->args.log_arg, RKP_STR("notify: there are too many alerts or groups: of some nobody is told\n"));
}

rki_notify_change *rki_notifying_prepare(rki_notifying *x, const rki_routing *routing, char *err, size_t n)
{
    rki_notify_change *c = calloc(1, sizeof *c);

    snprintf(err, n, "out of memory");
    if (c && (c->routes = rki_routes_new(routing)) && (c->senders = senders_new(x, routing, err, n)))
        return c;
    rki_notify_change_free(c);
    return NULL;
}

void rki_notify_change_free(rki_notify_change *c)
{
    if (!c)
        return;
    rki_routes_free(c->routes);
    senders_free(c->senders);
    free(c);
}

void rki_notifying_replace(rki_notifying *x, rki_notify_change *c)
{
    pthread_mutex_lock(&x->lock);
    for (size_t i = 0; i < x->senders->n; i++)
        if (x->senders->v[i])
            rki_sender_stop(x->senders->v[i]);
    x->senders->next = x->retired;
    x->retired = x->senders;
    pthread_mutex_lock(&x->set_lock);
    x->senders = c->senders;
    pthread_mutex_unlock(&x->set_lock);
    rki_notifier_route(x->n, c->routes, rki_notifying_now(x));
    begin_thread(x, rki_notifier_routing(x->n) != NULL);
    pthread_cond_signal(&x->wake);
    pthread_mutex_unlock(&x->lock);
    free(c);
}
