// notifying_look.c - silences, and what can be seen of notifications: JSON and metrics.
#include "watch/notifying_inside.h"

#include <stdio.h>

// ---- silences -------------------------------------------------------------------------------------------------------

// With file_lock.
static bool write_silences(rki_notifying *x, char *err, size_t n)
{
    char why[RKP_FILE_ERR] = "out of memory";
    bool ok;
    rki_json j;
    rki_buf b;

    if (!x->folder)
        return true;
    rki_buf_init(&b);
    rki_json_init(&j, &b, 0);
    rki_json_object(&j);
    rki_json_put_u64(&j, "version", 1);
    rki_json_key(&j, "silences");
    pthread_mutex_lock(&x->lock);
    rki_silences_json(x->silences, &j, true);
    pthread_mutex_unlock(&x->lock);
    rki_json_end_object(&j);
    ok = !b.failed && rki_notify_file_write(x->folder, RKI_SILENCES_FILE, (rkp_str){ b.p, b.n }, why);
    rki_buf_fini(&b);
    if (!ok)
        snprintf(err, n, "%s", why);
    return ok;
}

bool rki_notifying_silence(rki_notifying *x, rkp_str matchers, int64_t for_ms, rkp_str by, rkp_str comment,
                           rki_buf *out, char *err, size_t n)
{
    const rki_silence *s;
    char id[RKI_SILENCE_ID] = "";
    const char *why = "";
    int64_t ms = rki_notifying_now(x);
    bool ok;
    rki_json j;

    pthread_mutex_lock(&x->file_lock);
    pthread_mutex_lock(&x->lock);
    s = rki_silences_add(x->silences, matchers, ms, ms + for_ms, by, comment, &why);
    if (s) {
        memcpy(id, s->id, sizeof id);
        rki_json_init(&j, out, 0);
        rki_silence_json(s, &j, false);
    } else {
        snprintf(err, n, "%s", why);
    }
    pthread_mutex_unlock(&x->lock);
    ok = s && write_silences(x, err, n);
    if (s && !ok) {
        pthread_mutex_lock(&x->lock);
        rki_silences_end(x->silences, rkp_str_of(id));
        pthread_mutex_unlock(&x->lock);
    }
    pthread_mutex_unlock(&x->file_lock);
    return ok;
}

bool rki_notifying_unsilence(rki_notifying *x, rkp_str id, char *err, size_t n)
{
    bool ok;

    pthread_mutex_lock(&x->file_lock);
    pthread_mutex_lock(&x->lock);
    ok = rki_silences_end(x->silences, id);
    pthread_mutex_unlock(&x->lock);
    if (!ok)
        snprintf(err, n, "there is no silence '%.*s'", (int)(id.n < 40 ? id.n : 40), id.p);
    ok = ok && write_silences(x, err, n);
    pthread_mutex_unlock(&x->file_lock);
    return ok;
}

// ---- marks and differences ------------------------------------------------------------------------------------------

void rki_notifying_diff(rki_notifying *x, const rki_routing *routing, rki_json *j)
{
    pthread_mutex_lock(&x->lock);
    rki_routing_diff(rki_notifier_routing(x->n), routing, j);
    pthread_mutex_unlock(&x->lock);
}

void rki_notifying_mark(rki_notifying *x, const rki_alert *al, rki_json *j)
{
    if (al->state != RKI_ALERT_PENDING && al->state != RKI_ALERT_FIRING)
        return;
    pthread_mutex_lock(&x->lock);
    rki_notifier_muted(x->n, al->labels, rki_notifying_now(x), j);
    pthread_mutex_unlock(&x->lock);
}

// ---- looking -------------------------------------------------------------------------------------------------------

void rki_notifying_metrics(rki_notifying *x, rki_emit emit, void *arg)
{
    const rki_metric *row = &rki_metrics[RKI_M_NOTIFICATIONS];

    pthread_mutex_lock(&x->set_lock);
    for (size_t i = 0; i < x->senders->n; i++) {
        rki_sender *s = x->senders->v[i];
        rki_sender_counts c;

        if (!s)
            continue;
        c = rki_sender_count(s);
        for (int failed = 0; failed < 2; failed++) {
            const rki_label l[] = { { RKP_STR("receiver"), rkp_str_of(rki_sender_receiver(s)) },
                                    { RKP_STR("kind"), rkp_str_of(rki_sender_way(s)) },
                                    { RKP_STR("outcome"), failed ? RKP_STR("failed") : RKP_STR("sent") } };

            emit(arg, row, rkp_str_of(row->name), l, 3, (double)(failed ? c.failed : c.sent));
        }
    }
    pthread_mutex_unlock(&x->set_lock);
}

// ---- as JSON --------------------------------------------------------------------------------------------------------

static void put_sender(rki_json *j, const rki_receiver *r, const rki_way *w, rki_sender *s)
{
    rki_json_object(j);
    rki_json_put_str(j, "receiver", rkp_word_str(r->name));
    rki_json_put_z(j, "kind", rki_way_word(w->kind));
    if (s) {
        rki_sender_counts c = rki_sender_count(s);

        rki_json_put_u64(j, "sent", c.sent);
        rki_json_put_u64(j, "failed", c.failed);
        rki_json_put_u64(j, "tries", c.tries);
        if (c.failing)
            rki_json_put_z(j, "error", c.why);
    }
    rki_json_end_object(j);
}

void rki_notifying_json(rki_notifying *x, rki_buf *out)
{
    const rki_routing *r;
    rki_notifier_counts c;
    size_t at = 0;
    rki_json j;

    rki_json_init(&j, out, 0);
    pthread_mutex_lock(&x->lock);
    rki_silences_tidy(x->silences, rki_notifying_now(x));
    r = rki_notifier_routing(x->n);
    c = rki_notifier_count(x->n);
    rki_json_object(&j);
    rki_json_key(&j, "receivers");
    rki_json_array(&j);
    for (size_t i = 0; r && i < r->n_receivers; i++)
        for (size_t k = 0; k < r->receivers[i].n_ways; k++)
            put_sender(&j, &r->receivers[i], &r->receivers[i].ways[k], x->senders->v[at++]);
    rki_json_end_array(&j);
    rki_json_key(&j, "silences");
    rki_silences_json(x->silences, &j, false);
    rki_json_put_u64(&j, "alerts", c.alerts);
    rki_json_put_u64(&j, "groups", c.groups);
    rki_json_put_u64(&j, "waiting", c.on_the_way);
    rki_json_put_u64(&j, "dropped", c.dropped);
    rki_json_end_object(&j);
    pthread_mutex_unlock(&x->lock);
}
