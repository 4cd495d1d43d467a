// run/news.c - changes of alerts, notifications, and what came of reloads, on their way to the publisher of `$` topics.
//
// Who evaluates alerts or reloads leaves a message here and goes on, however slow the subscribers are: past the limits the oldest message
// makes room, and is counted.  When the last kernel of a job ends, whoever evaluates looks once more before the publisher ends.
#include "run/actor.h"
#include "run/control.h"

#include <stdlib.h>

enum { MAX_MESSAGES = 1024, MAX_BYTES = 4 << 20 };

static rkp_str put(char **to, rkp_str s)
{
    rkp_str out = { *to, s.n };
    if (s.n)
        memcpy(*to, s.p, s.n);
    *to += s.n;
    return out;
}

// like, with its texts behind it; NULL without memory.
static rki_news_item *copy_of(const rki_news_item *like)
{
    const rki_alert_message *m = &like->alert;
    const rki_reload_message *w = &like->reload;
    const rki_notice_message *o = &like->notice;
    const size_t sizes[] = { [RKI_NEWS_ALERT] = m->alert.n + m->severity.n + m->labels.n + m->annotations.n,
                             [RKI_NEWS_RELOAD] = w->by.n + w->message.n + w->answer.n,
                             [RKI_NEWS_NOTICE] = o->receiver.n + o->group_labels.n + o->alerts.n };
    size_t texts = sizes[like->kind];
    rki_news_item *t = malloc(sizeof *t + texts);
    char *to;
    if (!t)
        return NULL;
    *t = *like;
    t->bytes = sizeof *t + texts;
    to = (char *)(t + 1);
    if (like->kind == RKI_NEWS_NOTICE) {
        t->notice.receiver = put(&to, o->receiver);
        t->notice.group_labels = put(&to, o->group_labels);
        t->notice.alerts = put(&to, o->alerts);
    } else if (like->kind == RKI_NEWS_RELOAD) {
        t->reload.by = put(&to, w->by);
        t->reload.message = put(&to, w->message);
        t->reload.answer = put(&to, w->answer);
    } else {
        t->alert.alert = put(&to, m->alert);
        t->alert.severity = put(&to, m->severity);
        t->alert.labels = put(&to, m->labels);
        t->alert.annotations = put(&to, m->annotations);
        t->alert.set = NULL;
    }
    return t;
}

// With the lock.
static rki_news_item *take(rki_news *n)
{
    rki_news_item *t = n->first;
    if (!t)
        return NULL;
    n->first = t->next;
    n->n--;
    n->bytes -= t->bytes;
    return t;
}

static void drop(rki_news *n, rki_news_item *t)
{
    n->dropped += t->kind == RKI_NEWS_ALERT;
    free(t);
}

void rki_forget_news(rki_run *r)
{
    for (rki_news_item *t; (t = take(&r->news)) != NULL;)
        drop(&r->news, t);
}

// The backend is there as long as the run does not end and the lock is held.
static void wake(rki_run *r)
{
    rki_runner *p = __atomic_load_n(&r->publisher, __ATOMIC_ACQUIRE);
    if (p && r->b && !__atomic_load_n(&r->ending, __ATOMIC_SEQ_CST))
        rki_wake_runner(p);
}

static void leave(rki_run *r, const rki_news_item *like)
{
    rki_news *n = &r->news;
    rki_news_item *t = NULL;
    bool full = false;
    pthread_mutex_lock(&r->lock);
    if (r->publisher) {
        t = copy_of(like);
        if (!t)
            n->dropped += like->kind == RKI_NEWS_ALERT;
    }
    if (t) {
        t->next = NULL;
        if (n->first)
            n->last->next = t;
        else
            n->first = t;
        n->last = t;
        n->n++;
        n->bytes += t->bytes;
        while (n->n > MAX_MESSAGES || (n->bytes > MAX_BYTES && n->n > 1)) {
            drop(n, take(n));
            full = !n->told;
            n->told = true;
        }
        wake(r);
    }
    pthread_mutex_unlock(&r->lock);
    if (full)
        rki_log(r, "warning: who subscribes to $alerts, $notify or $reload is too slow: the oldest messages that wait "
                   "are dropped\n");
}

void rki_run_alert(rki_run *r, const rki_alert_message *m)
{
    leave(r, &(rki_news_item){ .alert = *m });
}

void rki_run_tell_reload(rki_run *r, const rki_reload_message *m)
{
    leave(r, &(rki_news_item){ .kind = RKI_NEWS_RELOAD, .reload = *m });
}

void rki_run_notice(rki_run *r, const rki_notice_message *m)
{
    leave(r, &(rki_news_item){ .kind = RKI_NEWS_NOTICE, .notice = *m });
}

rki_news_item *rki_next_news(rki_run *r)
{
    rki_news_item *t;
    pthread_mutex_lock(&r->lock);
    t = take(&r->news);
    r->news.published += t && t->kind == RKI_NEWS_ALERT;
    r->news.told = r->news.told && r->news.n;
    pthread_mutex_unlock(&r->lock);
    return t;
}

// ---- the last look --------------------------------------------------------------------------------------------------

void rki_run_on_last(rki_run *r, bool (*ask)(void *arg, uint64_t number), void *arg)
{
    pthread_mutex_lock(&r->lock);
    r->news.ask = ask;
    r->news.ask_arg = arg;
    if (!ask)
        r->news.awaited = 0;
    pthread_mutex_unlock(&r->lock);
}

void rki_ask_last_look(rki_run *r)
{
    rki_news *n = &r->news;
    if (!r->publisher || !n->ask)
        return;
    n->asked++;
    // Before the count of who is alive says that there is none.
    if (n->ask(n->ask_arg, n->asked))
        __atomic_store_n(&n->awaited, n->asked, __ATOMIC_SEQ_CST);
}

void rki_run_looked(rki_run *r, uint64_t number)
{
    rki_news *n = &r->news;
    pthread_mutex_lock(&r->lock);
    if (n->awaited == number)
        __atomic_store_n(&n->awaited, 0, __ATOMIC_SEQ_CST);
    wake(r);
    pthread_mutex_unlock(&r->lock);
}
