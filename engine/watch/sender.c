// sender.c - a queue and a thread that tries until it is done.
#include "watch/sender.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

struct rki_sender {
    rki_sender_args args;
    char *name;
    rki_send_stop stop;
    pthread_t thread;
    pthread_mutex_t lock; // of what is below
    pthread_cond_t wake;
    rki_parcel *first, *last;
    size_t n, bytes; // that wait
    bool hurry;
    rki_sender_counts counts;
};

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void rki_parcel_free(rki_parcel *p)
{
    if (p)
        rki_buf_fini(&p->body);
    free(p);
}

static bool stopped(const rki_sender *s)
{
    return __atomic_load_n(&s->stop.set, __ATOMIC_SEQ_CST);
}

// ---- the log --------------------------------------------------------------------------------------------------------

static void say(const rki_sender *s, const char *what, const char *thing, const char *more, const char *why)
{
    char line[RKI_SEND_WHY + 300];
    int n = s->args.who ? snprintf(line, sizeof line, "%s ", s->args.who)
                        : snprintf(line, sizeof line, "notify: receiver '%s' (%s) ", s->name, s->args.way);

    if (n > 0 && (size_t)n < sizeof line)
        n += snprintf(line + n, sizeof line - (size_t)n, "%s%s%s%s\n", what, thing, more, why);

    if (s->args.log && n > 0)
        s->args.log(s->args.arg, (rkp_str){ line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1 });
}

// Once when it begins to fail, and once when it works again.
static void note(rki_sender *s, rki_sent came, const char *why)
{
    bool was;

    pthread_mutex_lock(&s->lock);
    was = s->counts.failing;
    s->counts.failing = came != RKI_SENT;
    s->counts.tries++;
    s->counts.sent += came == RKI_SENT;
    snprintf(s->counts.why, sizeof s->counts.why, "%s", came == RKI_SENT ? "" : why);
    pthread_mutex_unlock(&s->lock);
    if (came == RKI_SENT && was)
        say(s, "takes ", s->args.goods ? s->args.goods : "notifications", " again", "");
    else if (came == RKI_SEND_REFUSED)
        say(s, "refuses ", s->args.goods ? s->args.goods : "a notification", ": ", why);
    else if (came == RKI_SEND_AGAIN && !was)
        say(s, "cannot be told now, and will be", "", ": ", why);
}

// ---- the thread -----------------------------------------------------------------------------------------------------

// With the lock.  Until then, or it is to stop.
static void wait_ns(rki_sender *s, uint64_t ns)
{
    uint64_t until = now_ns() + ns;
    struct timespec t = { .tv_sec = (time_t)(until / 1000000000), .tv_nsec = (long)(until % 1000000000) };

    while (!stopped(s) && !s->hurry && now_ns() < until)
        pthread_cond_timedwait(&s->wake, &s->lock, &t);
}

static bool deliver(rki_sender *s, const rki_parcel *p)
{
    int64_t pause_ms = s->args.first_ms;
    char why[RKI_SEND_WHY] = "";

    for (;;) {
        int64_t after_ms, wait_ms;
        bool last;
        rki_sent came;

        pthread_mutex_lock(&s->lock);
        last = s->hurry;
        pthread_mutex_unlock(&s->lock);
        came = s->args.send(s->args.self, (rkp_str){ p->body.p, p->body.n }, &s->stop, why);
        if (stopped(s) && came != RKI_SENT)
            return false;
        note(s, came, why);
        if (came != RKI_SEND_AGAIN || last)
            return came == RKI_SENT;
        after_ms = s->args.after_ms ? s->args.after_ms(s->args.self) : 0;
        wait_ms = after_ms > pause_ms ? after_ms : pause_ms;
        if (now_ns() + (uint64_t)wait_ms * 1000000 >= p->end_ns)
            return false;
        pthread_mutex_lock(&s->lock);
        wait_ns(s, (uint64_t)wait_ms * 1000000);
        pthread_mutex_unlock(&s->lock);
        if (stopped(s))
            return false;
        pause_ms = 2 * pause_ms < s->args.most_ms ? 2 * pause_ms : s->args.most_ms;
    }
}

static void *work(void *arg)
{
    rki_sender *s = arg;

    pthread_mutex_lock(&s->lock);
    while (!stopped(s)) {
        rki_parcel *p = s->first;
        bool ok;

        if (!p) {
            pthread_cond_wait(&s->wake, &s->lock);
            continue;
        }
        s->first = p->next;
        s->n--;
        s->bytes -= p->body.n;
        pthread_mutex_unlock(&s->lock);
        ok = deliver(s, p);
        s->args.done(s->args.arg, p->ticket, ok);
        rki_parcel_free(p);
        pthread_mutex_lock(&s->lock);
        s->counts.failed += !ok;
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

rki_sender *rki_sender_new(const rki_sender_args *args)
{
    rki_sender *s = calloc(1, sizeof *s);
    pthread_condattr_t attr;

    if (s) {
        s->args = *args;
        s->stop.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        s->name = strndup(args->receiver.p, args->receiver.n);
    }
    if (!s || s->stop.fd < 0 || !s->name) {
        if (s && s->stop.fd >= 0)
            close(s->stop.fd);
        if (s)
            free(s->name);
        free(s);
        if (args->close)
            args->close(args->self);
        return NULL;
    }
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->wake, &attr);
    pthread_condattr_destroy(&attr);
    if (pthread_create(&s->thread, NULL, work, s) == 0)
        return s;
    s->thread = pthread_self(); // there is none to wait for
    rki_sender_free(s);
    return NULL;
}

bool rki_sender_give(rki_sender *s, rki_parcel *p)
{
    bool room;

    p->next = NULL;
    p->end_ns = now_ns() + (uint64_t)(p->life_ms > 0 ? p->life_ms : 0) * 1000000;
    pthread_mutex_lock(&s->lock);
    room = s->n < RKI_PARCELS_MAX && (!s->args.max_bytes || !s->n || s->bytes + p->body.n <= s->args.max_bytes);
    if (room) {
        if (s->first)
            s->last->next = p;
        else
            s->first = p;
        s->last = p;
        s->n++;
        s->bytes += p->body.n;
        pthread_cond_signal(&s->wake);
    } else {
        s->counts.failed++;
    }
    pthread_mutex_unlock(&s->lock);
    if (!room)
        rki_parcel_free(p);
    return room;
}

void rki_sender_hurry(rki_sender *s)
{
    pthread_mutex_lock(&s->lock);
    s->hurry = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
}

void rki_sender_stop(rki_sender *s)
{
    const uint64_t one = 1;
    ssize_t k;

    pthread_mutex_lock(&s->lock);
    __atomic_store_n(&s->stop.set, true, __ATOMIC_SEQ_CST);
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    k = write(s->stop.fd, &one, sizeof one);
    (void)k; // it cannot be full
}

void rki_sender_free(rki_sender *s)
{
    if (!s)
        return;
    if (!pthread_equal(s->thread, pthread_self())) {
        rki_sender_stop(s);
        pthread_join(s->thread, NULL);
    }
    while (s->first) {
        rki_parcel *p = s->first;

        s->first = p->next;
        s->args.done(s->args.arg, p->ticket, false);
        rki_parcel_free(p);
    }
    if (s->args.close)
        s->args.close(s->args.self);
    close(s->stop.fd);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    free(s->name);
    free(s);
}

const char *rki_sender_receiver(const rki_sender *s)
{
    return s->name;
}

const char *rki_sender_way(const rki_sender *s)
{
    return s->args.way;
}

rki_sender_counts rki_sender_count(rki_sender *s)
{
    rki_sender_counts c;

    pthread_mutex_lock(&s->lock);
    c = s->counts;
    pthread_mutex_unlock(&s->lock);
    return c;
}
