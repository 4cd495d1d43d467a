// admin_fake.h - a run that is none, behind the admin room: two kernels, commands by the rules, taps that count.
//
//   Owns     its taps
//   Threads  all calls are locked
#ifndef ADMIN_FAKE_H
#define ADMIN_FAKE_H

#include "admin/source.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct fake {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int state[2]; // of kernels a and b: rki_state
    bool ready, drained;
    bool hold;        // commands wait until it is false, or their deadline
    unsigned waiting; // commands that do
    unsigned begun;   // commands that ever did
    uint64_t rows;    // that taps may give; UINT64_MAX: more than anybody reads
    bool ended;
    uint64_t missed;
    unsigned taps, reads;
    size_t big;         // bytes of status and metrics, at least
    bool no_metrics;    // out of memory
    const char *status; // all of it; NULL: made up
};

struct rki_tap {
    struct fake *f;
    rki_tap_format format;
    uint64_t given;
    bool header;
};

static inline struct fake *fake_of(rki_run *r)
{
    return (struct fake *)(void *)r;
}

static inline void fake_init(struct fake *f)
{
    *f = (struct fake){ .ready = true, .state = { RKI_ACTIVE, RKI_LAUNCHED } };
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, NULL);
}

static inline void fake_fini(struct fake *f)
{
    pthread_mutex_destroy(&f->lock);
    pthread_cond_destroy(&f->changed);
}

#define FAKE_SET(f, field, value)                                                                                      \
    do {                                                                                                               \
        pthread_mutex_lock(&(f)->lock);                                                                                \
        (f)->field = (value);                                                                                          \
        pthread_cond_broadcast(&(f)->changed);                                                                         \
        pthread_mutex_unlock(&(f)->lock);                                                                              \
    } while (0)

static inline const char *fake_state(int s)
{
    static const char *const names[] = {
        "created", "launched", "active", "suspended", "failed", "terminating", "terminated",
    };
    return names[s];
}

static inline rki_outcome fake_command(rki_run *r, rkp_str kernel, rki_command c, uint64_t deadline_ns, char *text,
                                       size_t n)
{
    struct fake *f = fake_of(r);
    int i = rkp_str_is(kernel, "a") ? 0 : rkp_str_is(kernel, "b") ? 1 : -1, old;
    rki_outcome o = RKI_DONE;
    struct timespec now, end;
    clock_gettime(CLOCK_MONOTONIC, &now);
    clock_gettime(CLOCK_REALTIME, &end);
    uint64_t now_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec,
             at = (uint64_t)end.tv_nsec + (deadline_ns > now_ns ? deadline_ns - now_ns : 0);
    end.tv_sec += (time_t)(at / 1000000000u);
    end.tv_nsec = (long)(at % 1000000000u);
    if (i < 0) {
        snprintf(text, n, "there is no kernel '%.*s'", RKP_STR_ARG(kernel));
        return RKI_NO_KERNEL;
    }
    pthread_mutex_lock(&f->lock);
    old = f->state[i];
    f->waiting++;
    f->begun++;
    pthread_cond_broadcast(&f->changed);
    while (f->hold && o == RKI_DONE)
        if (pthread_cond_timedwait(&f->changed, &f->lock, &end) != 0)
            o = RKI_TIMED_OUT;
    f->waiting--;
    if (o == RKI_TIMED_OUT) {
        snprintf(text, n, "kernel '%.*s' came to no batch boundary in time", RKP_STR_ARG(kernel));
    } else if (f->ended) {
        o = RKI_TOO_LATE;
        snprintf(text, n, "the run is ending");
    } else if (c == RKI_ACTIVATE && old == RKI_ACTIVE) {
        o = RKI_REFUSED;
        snprintf(text, n, "kernel '%.*s' is active; activate needs launched or suspended", RKP_STR_ARG(kernel));
    } else {
        f->state[i] = c == RKI_SUSPEND ? RKI_SUSPENDED : c == RKI_TERMINATE ? RKI_TERMINATED : RKI_ACTIVE;
        snprintf(text, n, "kernel '%.*s' is %s", RKP_STR_ARG(kernel), fake_state(f->state[i]));
    }
    pthread_mutex_unlock(&f->lock);
    return o;
}

static inline void fake_drain(rki_run *r)
{
    FAKE_SET(fake_of(r), drained, true);
}

static inline bool fake_ready(rki_run *r)
{
    struct fake *f = fake_of(r);
    bool ready;
    pthread_mutex_lock(&f->lock);
    ready = f->ready;
    pthread_mutex_unlock(&f->lock);
    return ready;
}

static inline void fake_kernels_json(rki_run *r, rki_buf *out)
{
    struct fake *f = fake_of(r);
    pthread_mutex_lock(&f->lock);
    rki_putf(out, "[{\"kernel\":\"a\",\"state\":\"%s\"},{\"kernel\":\"b\",\"state\":\"%s\"}]", fake_state(f->state[0]),
             fake_state(f->state[1]));
    pthread_mutex_unlock(&f->lock);
}

static inline void fake_status_json(rki_run *r, rki_buf *out)
{
    if (fake_of(r)->status) {
        rki_putz(out, fake_of(r)->status);
        return;
    }
    rki_putz(out, "{\"name\":\"fake\",\"state\":\"running\",\"kernels\":");
    fake_kernels_json(r, out);
    rki_putz(out, ",\"pad\":\"");
    for (size_t i = 0; i < fake_of(r)->big; i++) // set before the server starts
        rki_putc(out, 'x');
    rki_putz(out, "\"}\n");
}

static inline bool fake_kernel_json(rki_run *r, rkp_str kernel, rki_buf *out)
{
    (void)r;
    if (!rkp_str_is(kernel, "a"))
        return false;
    rki_putz(out, "{\"kernel\":\"a\"}\n");
    return true;
}

static inline void fake_topics_json(rki_run *r, rki_buf *out)
{
    (void)r;
    rki_putz(out, "[]");
}

static inline void fake_graph_json(rki_run *r, rki_buf *out)
{
    (void)r;
    rki_putz(out, "{\"edges\":[]}\n");
}

static inline void fake_alerts_json(rki_alerter *a, rki_buf *out)
{
    (void)a;
    rki_putz(out, "{\"alerts\":[],\"rules\":[]}");
}

static inline bool fake_metrics_text(rki_run *r, rki_buf *out)
{
    rki_putz(out, "# HELP x Things.\n# TYPE x gauge\nx 1\n");
    for (size_t i = 0; i < fake_of(r)->big; i++)
        rki_putc(out, '\n');
    return !fake_of(r)->no_metrics;
}

static inline rki_tap *fake_tap_open(rki_run *r, rkp_str pattern, rkp_str where, rki_tap_format format, char *text,
                                     size_t n)
{
    rki_tap *t = rkp_str_is(pattern, "none") || (where.p && rkp_str_is(where, "wrong")) ? NULL : calloc(1, sizeof *t);
    if (!t) {
        snprintf(text, n, "no topic matches '%.*s'", RKP_STR_ARG(pattern));
        return NULL;
    }
    t->f = fake_of(r);
    t->format = format;
    pthread_mutex_lock(&t->f->lock);
    t->f->taps++;
    pthread_cond_broadcast(&t->f->changed);
    pthread_mutex_unlock(&t->f->lock);
    return t;
}

static inline int fake_tap_read(rki_tap *t, uint64_t max_rows, uint64_t deadline_ns, rki_buf *out)
{
    struct fake *f = t->f;
    size_t had = out->n;
    bool ended;
    (void)deadline_ns;
    pthread_mutex_lock(&f->lock);
    if (t->format == RKI_TAP_CSV && !t->header)
        rki_putz(out, "n\n");
    t->header = true;
    for (uint64_t i = 0; i < max_rows && t->given < f->rows; i++, t->given++)
        rki_putf(out, t->format == RKI_TAP_CSV ? "%llu\n" : "{\"n\":%llu}\n", (unsigned long long)t->given);
    ended = f->ended;
    f->reads++;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
    return out->n > had ? 1 : ended ? -1 : 0;
}

static inline uint64_t fake_tap_rows(const rki_tap *t)
{
    return t->given;
}

static inline uint64_t fake_tap_missed(const rki_tap *t)
{
    return t->f->missed;
}

static inline void fake_tap_close(rki_tap *t)
{
    pthread_mutex_lock(&t->f->lock);
    t->f->taps--;
    pthread_cond_broadcast(&t->f->changed);
    pthread_mutex_unlock(&t->f->lock);
    free(t);
}

static inline rki_admin_source fake_source(struct fake *f)
{
    return (rki_admin_source){
        .run = (rki_run *)(void *)f,
        .command = fake_command,
        .drain = fake_drain,
        .ready = fake_ready,
        .status_json = fake_status_json,
        .kernels_json = fake_kernels_json,
        .kernel_json = fake_kernel_json,
        .topics_json = fake_topics_json,
        .graph_json = fake_graph_json,
        .metrics_text = fake_metrics_text,
        .alerts_json = fake_alerts_json,
        .tap_open = fake_tap_open,
        .tap_read = fake_tap_read,
        .tap_rows = fake_tap_rows,
        .tap_missed = fake_tap_missed,
        .tap_close = fake_tap_close,
    };
}

#endif
