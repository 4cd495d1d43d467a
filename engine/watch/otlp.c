// otlp.c - the exporter: a thread that looks at the metrics and at the spans, and a sender for each of them.
//
//   this thread --bodies--> sender of metrics --> /v1/metrics
//               --bodies--> sender of traces  --> /v1/traces
#include "watch/otlp.h"

#include "base/compress.h"
#include "watch/otlp_text.h"
#include "watch/post.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum { METRICS, TRACES, N_SIGNALS };
enum {
    SPANS_A_REQUEST = 512,
    SPANS_MS = 1000,
    LIFE_MS = 300000,
    FIRST_MS = 1000,
    MOST_MS = 30000,
    WAITING_BYTES = 16 << 20
};

typedef struct counts {
    uint64_t sent, failed;           // requests
    uint64_t waiting;                // of them
    uint64_t full, undone, rejected; // data points or spans
    bool last_failed;                // the last request that is done
} counts;

// One of the two: what is told, and where.
typedef struct lane {
    struct rki_otlp *x;
    const char *name; // "metrics"
    rki_post *post;
    rki_sender *sender; // NULL: it is not told
    int64_t after_ms;   // the sender's thread: what the last answer said
    counts n;           // with the lock
} lane;

struct rki_otlp {
    rki_otlp_args args;
    char *pipeline, instance[37], host[256];
    rkp_pairs resource;
    rki_arena mem; // of the resource
    lane of[N_SIGNALS];
    uint64_t start_ns;
    pthread_mutex_t lock;
    pthread_cond_t wake, quiet;
    pthread_t thread;
    bool started, over;
};

static uint64_t clock_ns(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int64_t mono_ms(void)
{
    return (int64_t)(clock_ns(CLOCK_MONOTONIC) / 1000000);
}

static void say(const rki_otlp *x, const char *fmt, ...) RKP_PRINTF(2, 3);

static void say(const rki_otlp *x, const char *fmt, ...)
{
    char line[600];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (x->args.log && n > 0)
        x->args.log(x->args.log_arg, (rkp_str){ line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1 });
}

// ---- a request, on its sender's thread ------------------------------------------------------------------------------

// It was taken; perhaps not all of it, and perhaps with a word of warning.
static void look_at_answer(lane *s, const rki_buf *body)
{
    char why[300];
    uint64_t n = body->failed || !body->n ? 0 : rki_otlp_rejected((rkp_str){ body->p, body->n }, why, sizeof why);

    if (!body->n || body->failed || (!n && !why[0]))
        return;
    pthread_mutex_lock(&s->x->lock);
    s->n.rejected += n;
    pthread_mutex_unlock(&s->x->lock);
    if (n)
        say(s->x, "warning: otlp: the collector did not take %llu of the %s: %s\n", (unsigned long long)n,
            s == &s->x->of[METRICS] ? "data points" : "spans", why[0] ? why : "it does not say why");
    else
        say(s->x, "otlp: the collector says of the %s: %s\n", s->name, why);
}

static rki_sent send(void *self, rkp_str body, const rki_send_stop *stop, char why[RKI_SEND_WHY])
{
    lane *s = self;
    rki_buf said;
    rki_answer a = { .body = &said };
    rki_sent came;

    rki_buf_init(&said);
    rki_post_send(s->post, body, stop, &a);
    s->after_ms = a.after_ms;
    snprintf(why, RKI_SEND_WHY, "%s", a.why);
    if (a.status >= 200 && a.status < 300) {
        look_at_answer(s, &said);
        came = RKI_SENT;
    } else if (a.status) {
        came = a.status == 429 || a.status == 502 || a.status == 503 || a.status == 504 ? RKI_SEND_AGAIN
                                                                                        : RKI_SEND_REFUSED;
    } else {
        came = a.never ? RKI_SEND_REFUSED : RKI_SEND_AGAIN;
    }
    rki_buf_fini(&said);
    return came;
}

static int64_t after_ms(void *self)
{
    const lane *s = self;

    return s->after_ms;
}

// A ticket: which signal, and how much of it.
static uint64_t ticket_of(int which, uint64_t n)
{
    return n << 1 | (uint64_t)which;
}

static void done(void *arg, uint64_t ticket, bool ok)
{
    rki_otlp *x = arg;
    lane *s = &x->of[ticket & 1];

    pthread_mutex_lock(&x->lock);
    s->n.sent += ok;
    s->n.failed += !ok;
    s->n.undone += ok ? 0 : ticket >> 1;
    s->n.last_failed = !ok;
    s->n.waiting--;
    pthread_cond_signal(&x->quiet);
    pthread_mutex_unlock(&x->lock);
}

static void log_line(void *arg, rkp_str line)
{
    const rki_otlp *x = arg;

    if (x->args.log)
        x->args.log(x->args.log_arg, line);
}

// ---- what is told, on the exporter's thread -------------------------------------------------------------------------

// In place of b.  False: it stays as it is, and cannot be sent.
static bool pack(rki_buf *b)
{
    rki_encoder *e = NULL;
    char err[RKP_FILE_ERR];
    rki_comp came = RKI_COMP_OK;
    size_t from = 0;
    rki_buf to;

    rki_buf_init(&to);
    if (rki_encoder_open(RKP_COMPRESS_GZIP, &e, err) != RKP_OK)
        return false;
    while (came == RKI_COMP_OK && rki_buf_reserve(&to, 64 << 10)) {
        size_t in = b->n - from, out = to.cap - to.n;

        came = rki_encoder_step(e, (const uint8_t *)b->p + from, &in, (uint8_t *)to.p + to.n, &out, true);
        from += in;
        to.n += out;
    }
    rki_encoder_close(e);
    if (came != RKI_COMP_END || to.failed) {
        rki_buf_fini(&to);
        return false;
    }
    rki_buf_fini(b);
    *b = to;
    return true;
}

// Takes body: n data points or spans.
static void give(rki_otlp *x, int which, rki_buf *body, uint64_t n)
{
    lane *s = &x->of[which];
    rki_parcel *p = calloc(1, sizeof *p);
    bool ok = p && !body->failed && (!x->args.gzip || pack(body));

    if (ok) {
        *p = (rki_parcel){ .ticket = ticket_of(which, n), .body = *body, .life_ms = LIFE_MS };
        pthread_mutex_lock(&x->lock);
        s->n.waiting++;
        pthread_mutex_unlock(&x->lock);
        if (rki_sender_give(s->sender, p))
            return;
        pthread_mutex_lock(&x->lock);
        s->n.waiting--;
    } else {
        rki_buf_fini(body);
        free(p);
        pthread_mutex_lock(&x->lock);
    }
    s->n.full += n;
    s->n.last_failed = true;
    pthread_mutex_unlock(&x->lock);
}

static rki_otlp_resource resource_of(const rki_otlp *x)
{
    return (rki_otlp_resource){ .pipeline = rkp_str_of(x->pipeline),
                                .instance = rkp_str_of(x->instance),
                                .host = rkp_str_of(x->host),
                                .version = x->args.version,
                                .pid = (uint64_t)getpid(),
                                .more = &x->resource };
}

static void tell_metrics(rki_otlp *x)
{
    rki_otlp_resource of = resource_of(x);
    rki_otlp_points m;
    rki_buf body;
    uint64_t n;

    rki_buf_init(&body);
    rki_otlp_metrics_begin(&m, &body, &of, x->start_ns, clock_ns(CLOCK_REALTIME));
    body.failed |= !x->args.walk(x->args.walk_arg, rki_otlp_metrics_emit, &m);
    n = rki_otlp_metrics_end(&m);
    give(x, METRICS, &body, n);
}

static void tell_spans(rki_otlp *x)
{
    rki_otlp_resource of = resource_of(x);
    rki_otlp_traces t;
    rki_span s;
    bool more = rki_spans_take(x->args.spans, &s);

    while (more) {
        uint64_t n = 0;
        rki_buf body;

        rki_buf_init(&body);
        rki_otlp_traces_begin(&t, &body, &of, rki_spans_high(x->args.spans));
        for (; more && n < SPANS_A_REQUEST; n++) {
            rki_otlp_traces_span(&t, &s);
            more = rki_spans_take(x->args.spans, &s);
        }
        rki_otlp_traces_end(&t);
        give(x, TRACES, &body, n);
    }
}

// With the lock, until then or the end.
static void wait_until(rki_otlp *x, int64_t ms)
{
    struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

    while (!x->over && mono_ms() < ms)
        pthread_cond_timedwait(&x->wake, &x->lock, &t);
}

static void *work(void *arg)
{
    rki_otlp *x = arg;
    const int64_t each_ms = x->args.spans && x->args.interval_ms > SPANS_MS ? SPANS_MS : x->args.interval_ms;
    int64_t metrics_at = mono_ms() + x->args.interval_ms;
    bool over = false;

    while (!over) {
        int64_t now = mono_ms();

        pthread_mutex_lock(&x->lock);
        wait_until(x, now + each_ms < metrics_at || !x->args.metrics ? now + each_ms : metrics_at);
        over = x->over;
        pthread_mutex_unlock(&x->lock);
        now = mono_ms();
        if (x->args.spans)
            tell_spans(x);
        if (x->args.metrics && (over || now >= metrics_at)) {
            tell_metrics(x);
            metrics_at += (now - metrics_at) / x->args.interval_ms * x->args.interval_ms + x->args.interval_ms;
        }
    }
    return NULL;
}

// ---- life -----------------------------------------------------------------------------------------------------------

static bool lane_begin(rki_otlp *x, int which)
{
    static const char *const names[] = { [METRICS] = "metrics", [TRACES] = "traces" };
    lane *s = &x->of[which];
    rkp_str at = x->args.endpoint;
    rki_sender_args a = { .receiver = rkp_str_of(names[which]),
                          .way = "otlp",
                          .who = "otlp: the collector",
                          .goods = names[which],
                          .send = send,
                          .self = s,
                          .after_ms = after_ms,
                          .first_ms = x->args.first_ms ? x->args.first_ms : FIRST_MS,
                          .most_ms = x->args.most_ms ? x->args.most_ms : MOST_MS,
                          .max_bytes = WAITING_BYTES,
                          .done = done,
                          .log = log_line,
                          .arg = x };
    rki_buf url;

    s->x = x;
    s->name = names[which];
    while (at.n && at.p[at.n - 1] == '/')
        at.n--;
    rki_buf_init(&url);
    rki_putf(&url, RKP_STR_FMT "/v1/%s", RKP_STR_ARG(at), s->name);
    if (!url.failed) {
        const rki_post_args p = { .url = { url.p, url.n },
                                  .headers = x->args.headers,
                                  .encoding = x->args.gzip ? "gzip" : NULL,
                                  .version = x->args.version,
                                  .timeout_ms = x->args.timeout_ms };

        s->post = rki_post_new(&p);
    }
    rki_buf_fini(&url);
    s->sender = s->post ? rki_sender_new(&a) : NULL;
    return s->sender != NULL;
}

// RFC 4122, version 4.
static bool draw_instance(char to[37])
{
    const char *end = to + 37;
    uint8_t v[16];

    if (getrandom(v, sizeof v, 0) != sizeof v)
        return false;
    v[6] = (uint8_t)((v[6] & 0x0f) | 0x40);
    v[8] = (uint8_t)((v[8] & 0x3f) | 0x80);
    for (size_t i = 0; i < sizeof v; i++)
        to +=
            snprintf(to, (size_t)(end - to), i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", (unsigned)v[i]);
    return true;
}

static bool copy_pairs(rki_arena *mem, const rkp_pairs *from, rkp_pairs *to)
{
    size_t n = from ? from->n : 0;

    rkp_pair *v = rki_array(mem, n + 1, sizeof *v);

    *to = (rkp_pairs){ .v = v };
    for (; v && to->n < n; to->n++) {
        const rkp_str key = rki_dup_str(mem, rkp_word_str(from->v[to->n].key));
        const rkp_str val = rki_dup_str(mem, rkp_word_str(from->v[to->n].val));

        if (!key.p || !val.p)
            return false;
        v[to->n].key = (rkp_word){ .p = key.p, .n = key.n };
        v[to->n].val = (rkp_word){ .p = val.p, .n = val.n };
    }
    return v != NULL;
}

// gzip's library is opened when it is needed first: better now than at the first request.
static bool tools_there(const rki_otlp_args *args, char *err, size_t n)
{
    char why[RKP_FILE_ERR] = "";
    rki_encoder *e = NULL;

    if (!rki_post_there(why)) {
        snprintf(err, n, "telemetry.otlp: %s", why);
        return false;
    }
    if (!args->gzip)
        return true;
    if (rki_encoder_open(RKP_COMPRESS_GZIP, &e, why) == RKP_OK) {
        rki_encoder_close(e);
        return true;
    }
    snprintf(err, n, "telemetry.otlp: compression: %s", why);
    return false;
}

rki_otlp *rki_otlp_new(const rki_otlp_args *args, char *err, size_t n)
{
    rki_otlp *x;
    pthread_condattr_t attr;
    rki_process p;
    bool ok;

    if (!tools_there(args, err, n))
        return NULL;
    snprintf(err, n, "out of memory");
    x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    pthread_mutex_init(&x->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&x->wake, &attr);
    pthread_cond_init(&x->quiet, &attr);
    pthread_condattr_destroy(&attr);
    rki_arena_init(&x->mem);
    x->args = *args;
    x->pipeline = strndup(args->pipeline.p ? args->pipeline.p : "", args->pipeline.n);
    if (gethostname(x->host, sizeof x->host - 1) != 0)
        x->host[0] = 0;
    rki_process_read(&p);
    x->start_ns = (uint64_t)(p.start_seconds * 1e9);
    ok = x->pipeline && copy_pairs(&x->mem, args->resource, &x->resource) && draw_instance(x->instance) &&
         (!args->metrics || lane_begin(x, METRICS)) && (!args->spans || lane_begin(x, TRACES));
    x->args.endpoint = (rkp_str){ 0 }; // used up
    x->args.headers = x->args.resource = NULL;
    if (ok)
        return x;
    rki_otlp_free(x);
    return NULL;
}

bool rki_otlp_start(rki_otlp *x)
{
    x->started = pthread_create(&x->thread, NULL, work, x) == 0;
    return x->started;
}

// With the lock: until everything has been told, or the time is over.
static void wait_for_the_last(rki_otlp *x)
{
    int64_t until = mono_ms() + RKI_OTLP_END_MS;
    struct timespec t = { .tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000 };

    while ((x->of[METRICS].n.waiting || x->of[TRACES].n.waiting) && mono_ms() < until)
        pthread_cond_timedwait(&x->quiet, &x->lock, &t);
}

void rki_otlp_end(rki_otlp *x)
{
    if (!x || !x->started)
        return;
    pthread_mutex_lock(&x->lock);
    x->over = true;
    pthread_cond_signal(&x->wake);
    pthread_mutex_unlock(&x->lock);
    pthread_join(x->thread, NULL);
    x->started = false;
    for (int i = 0; i < N_SIGNALS; i++)
        if (x->of[i].sender)
            rki_sender_hurry(x->of[i].sender);
    pthread_mutex_lock(&x->lock);
    wait_for_the_last(x);
    pthread_mutex_unlock(&x->lock);
    for (int i = 0; i < N_SIGNALS; i++)
        if (x->of[i].sender)
            rki_sender_stop(x->of[i].sender);
}

// What nobody will ever be told.  Metrics that were not told are in those that come after them.
static void say_lost(rki_otlp *x)
{
    const counts *c = &x->of[TRACES].n;
    uint64_t spans = c->full + c->undone + (x->args.spans ? rki_spans_dropped(x->args.spans) : 0);

    if (x->of[METRICS].n.last_failed)
        say(x, "warning: otlp: the collector did not get the last metrics\n");
    if (spans)
        say(x, "warning: otlp: the collector did not get %llu spans\n", (unsigned long long)spans);
}

void rki_otlp_free(rki_otlp *x)
{
    if (!x)
        return;
    rki_otlp_end(x);
    for (int i = 0; i < N_SIGNALS; i++) {
        rki_sender_free(x->of[i].sender);
        rki_post_free(x->of[i].post);
    }
    say_lost(x);
    pthread_cond_destroy(&x->quiet);
    pthread_cond_destroy(&x->wake);
    pthread_mutex_destroy(&x->lock);
    rki_arena_fini(&x->mem);
    free(x->pipeline);
    free(x);
}

// ---- what it says of itself -----------------------------------------------------------------------------------------

static void one(rki_emit emit, void *arg, int id, const char *signal, const char *what, const char *value, uint64_t v)
{
    const rki_label l[] = { { RKP_STR("signal"), rkp_str_of(signal) }, { rkp_str_of(what), rkp_str_of(value) } };

    emit(arg, &rki_metrics[id], rkp_str_of(rki_metrics[id].name), l, 2, (double)v);
}

void rki_otlp_metrics(rki_otlp *x, rki_emit emit, void *arg)
{
    counts c[N_SIGNALS];

    pthread_mutex_lock(&x->lock);
    for (int i = 0; i < N_SIGNALS; i++)
        c[i] = x->of[i].n;
    pthread_mutex_unlock(&x->lock);
    if (x->args.spans)
        c[TRACES].full += rki_spans_dropped(x->args.spans);
    for (int i = 0; i < N_SIGNALS; i++) {
        if (!x->of[i].sender)
            continue;
        one(emit, arg, RKI_M_OTLP_REQUESTS, x->of[i].name, "outcome", "sent", c[i].sent);
        one(emit, arg, RKI_M_OTLP_REQUESTS, x->of[i].name, "outcome", "failed", c[i].failed);
    }
    for (int i = 0; i < N_SIGNALS; i++) {
        if (!x->of[i].sender)
            continue;
        one(emit, arg, RKI_M_OTLP_LOST, x->of[i].name, "reason", "full", c[i].full);
        one(emit, arg, RKI_M_OTLP_LOST, x->of[i].name, "reason", "failed", c[i].undone);
        one(emit, arg, RKI_M_OTLP_LOST, x->of[i].name, "reason", "rejected", c[i].rejected);
    }
}
