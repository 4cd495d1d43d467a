// run/tap.c - taps: rows of a run at work, for who asks.
//
// A tap's box is guarded by its lock; who emits only tries it, and what does not get in is counted as missed.
#include "base/json.h"
#include "flow/topic.h"
#include "run/actor.h"
#include "run/tap_where.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { TAPS = 64, TAP_BATCHES = 256, TAP_BYTES = 1 << 20 };

struct tapped {
    rkp_batch *b;
    uint64_t stamp;
    const char *kernel;
    const rkp_topics *topics; // of all rows alike; NULL: the batch's own
    uint64_t missed;          // by the tap until then
};

struct rest {
    size_t end; // of the row
    uint64_t missed;
};

struct rki_tap {
    rki_run *run; // NULL: it has ended
    rki_tap_format format;
    char pattern[RKI_TOPIC_BYTES + 1];
    size_t n_pattern;
    const rki_kstate *kernel; // of "kernel:ID.port"; NULL: topics
    uint32_t port;            // UINT32_MAX: all
    rki_tap_where *where;     // NULL: all rows
    pthread_mutex_t lock;
    pthread_cond_t came;
    struct tapped box[TAP_BATCHES];
    uint32_t first, n, row; // row: the next of the first
    uint64_t bytes, rows;
    uint64_t missed, gaps;  // rows that did not get in; those of them that passed before the last row given
    const rkp_schema *last; // of the header of CSV
    // What was left when the run ended, printed, so that the batches could go: rows, and a struct rest of each.
    rki_buf rest, ends;
    size_t given; // of ends
    bool over;
};

// A row as {"topic":..,"kernel":..,"stamp":..,"row":{..}}, or as CSV after topic, kernel and stamp.
static void print_row(rki_tap *t, const struct tapped *m, rkp_batch *mem, uint32_t row, rki_buf *out)
{
    rkp_str topic = m->topics ? m->topics->names[0] : rkp_batch_topic(m->b, row);
    rki_json j;
    if (t->format == RKI_TAP_JSON) {
        rki_json_init(&j, out, 0);
        rki_json_object(&j);
        rki_json_key(&j, "topic");
        if (topic.p)
            rki_json_str(&j, topic);
        else
            rki_json_null(&j);
        rki_json_put_z(&j, "kernel", m->kernel);
        rki_json_put_u64(&j, "stamp", m->stamp);
        rki_json_key(&j, "row");
        rki_row_json(&j, mem, m->b, row);
        rki_json_end_object(&j);
    } else {
        if (t->last != m->b->schema) {
            t->last = m->b->schema;
            rki_putz(out, "topic,kernel,stamp");
            for (uint32_t c = 0; c < m->b->n_cols; c++) {
                rki_putc(out, ',');
                rki_put_csv(out, m->b->schema->f[c].name);
            }
            rki_putc(out, '\n');
        }
        rki_put_csv(out, topic.p ? topic : (rkp_str){ "", 0 });
        rki_putf(out, ",%s,%llu", m->kernel, (unsigned long long)m->stamp);
        rki_row_csv(mem, m->b, row, out);
    }
    rki_putc(out, '\n');
}

static bool row_fits(const rki_tap *t, const struct tapped *m, uint32_t row)
{
    rkp_str topic;
    if (t->kernel || m->topics)
        return true; // chosen when it was put in
    topic = rkp_batch_topic(m->b, row);
    return topic.p && rki_topic_match((rkp_str){ t->pattern, t->n_pattern }, topic);
}

// Relaxed: who asks for it has read the rows, or only wants to know.
static void set_gaps(rki_tap *t, uint64_t missed)
{
    __atomic_store_n(&t->gaps, missed, __ATOMIC_RELAXED);
}

// Prints from the box, with the lock held: for who reads, or (ends: a struct rest of each) for later.  How many rows.
static uint64_t print_some(rki_tap *t, uint64_t max_rows, rki_buf *out, rki_buf *ends)
{
    uint64_t rows = 0;
    while (t->n && rows < max_rows) {
        struct tapped m = t->box[t->first];
        rkp_batch *mem = rkp_batch_new(m.b->pool, NULL, 0, 4096);
        if (!mem || (t->where && t->row == 0 && !rki_tap_where_look(t->where, m.b, m.kernel, m.stamp))) {
            __atomic_fetch_add(&t->missed, m.b->rows - t->row, __ATOMIC_RELAXED);
            t->row = m.b->rows;
        }
        for (; t->row < m.b->rows && rows < max_rows; t->row++) {
            if (!row_fits(t, &m, t->row) || (t->where && !rki_tap_where_wants(t->where, t->row)))
                continue;
            print_row(t, &m, mem, t->row, out);
            if (ends)
                rki_put(ends, (const char *)&(struct rest){ out->n, m.missed }, sizeof(struct rest));
            else
                set_gaps(t, m.missed);
            rows++;
        }
        rkp_batch_put(mem);
        if (t->row < m.b->rows)
            break;
        t->row = 0;
        t->bytes -= rki_weight(m.b);
        rkp_batch_put(m.b);
        t->first = (t->first + 1) % TAP_BATCHES;
        t->n--;
    }
    return rows;
}

// The same from what was printed at the end.
static uint64_t give_rest(rki_tap *t, uint64_t max_rows, rki_buf *out)
{
    size_t all = t->ends.n / sizeof(struct rest), n;
    struct rest from = { 0 }, to;
    if (t->rest.failed || t->ends.failed)
        all = t->given;
    n = all - t->given < max_rows ? all - t->given : (size_t)max_rows;
    if (n == 0)
        return 0;
    if (t->given)
        memcpy(&from, t->ends.p + (t->given - 1) * sizeof from, sizeof from);
    memcpy(&to, t->ends.p + (t->given + n - 1) * sizeof to, sizeof to);
    rki_put(out, t->rest.p + from.end, to.end - from.end);
    set_gaps(t, to.missed);
    t->given += n;
    return n;
}

// How many of its rows the tap is about.
static uint64_t rows_for(const rki_tap *t, const rkp_topics *topics, rkp_batch *b)
{
    struct tapped m = { .b = b, .topics = topics };
    uint64_t n = 0;
    for (uint32_t i = 0; i < b->rows; i++)
        n += row_fits(t, &m, i);
    return n;
}

static bool listens(const rki_tap *t, const rkp_actor *a, uint32_t port, const rki_publication *pub)
{
    rkp_str pattern = { t->pattern, t->n_pattern };
    if (t->kernel)
        return !pub && t->kernel == a->ks && (t->port == UINT32_MAX || t->port == port);
    if (!pub || a->op == &rki_op_engine) // rki_tap_event
        return false;
    return pub->tpl ? rki_topic_may_match(pub->tpl, pattern) : rki_topic_match(pattern, rkp_word_str(pub->topic));
}

// With its lock held; false: there is no room.
static bool put_in(rki_tap *t, const struct tapped *m)
{
    uint64_t w = rki_weight(m->b);
    struct tapped *to = &t->box[(t->first + t->n) % TAP_BATCHES];
    if (t->n == TAP_BATCHES || (t->n && t->bytes + w > TAP_BYTES))
        return false;
    *to = *m;
    rkp_batch_get(to->b);
    to->missed = RKI_LOOK(t->missed);
    t->n++;
    t->bytes += w;
    pthread_cond_signal(&t->came);
    return true;
}

void rki_tap_offer(rkp_actor *a, uint32_t port, const rki_publication *pub, const rkp_topics *topics, rkp_batch *b)
{
    rki_run *r = a->run;
    if (!b->n_cols)
        return; // a chunk of text
    if (RKP_UNLIKELY(r->args.see))
        rki_see(a, port, pub, topics, b);
    pthread_rwlock_rdlock(&r->tap_lock); // held by who opens or closes a tap, for a few stores
    for (uint32_t i = 0; i < r->n_taps; i++) {
        rki_tap *t = r->taps[i];
        bool fits = t && listens(t, a, port, pub);
        if (!fits)
            continue;
        if (pthread_mutex_trylock(&t->lock) != 0) {
            __atomic_fetch_add(&t->missed, rows_for(t, topics, b), __ATOMIC_RELAXED);
            continue;
        }
        if (!put_in(t, &(struct tapped){ .b = b, .stamp = a->r->stamp, .kernel = a->ks->id, .topics = topics }))
            __atomic_fetch_add(&t->missed, rows_for(t, topics, b), __ATOMIC_RELAXED);
        pthread_mutex_unlock(&t->lock);
    }
    pthread_rwlock_unlock(&r->tap_lock);
}

static rkp_str event_topic(const char *kernel, char to[RKI_TOPIC_BYTES])
{
    int n = snprintf(to, RKI_TOPIC_BYTES, "$lifecycle/%s", kernel);
    return (rkp_str){ to, n > 0 && n < RKI_TOPIC_BYTES ? (size_t)n : 0 };
}

static rkp_batch *event_under(rki_run *r, const rkp_event *e, rkp_str topic)
{
    struct {
        rkp_topics topics;
        rkp_str name;
    } * of;
    rkp_batch *b = rki_event_batch(r->pool, e);
    char *text = b ? rkp_batch_alloc(b, topic.n) : NULL;
    of = text ? rkp_batch_alloc(b, sizeof *of) : NULL;
    if (!of) {
        rkp_batch_put(b);
        return NULL;
    }
    memcpy(text, topic.p, topic.n);
    of->name = (rkp_str){ text, topic.n };
    of->topics = (rkp_topics){ 1, &of->name };
    b->topics = &of->topics;
    return b;
}

// By who makes the change: so it comes at once, in its order, and whether or not a kernel of the pipeline subscribes.  Events are few, come one
// right after the other, and only their taps' boxes are waited for: so a reader that prints makes nobody miss the next.
void rki_tap_event(rki_run *r, const rkp_event *e)
{
    char text[RKI_TOPIC_BYTES];
    rkp_str topic;
    rkp_batch *b = NULL;
    if (!RKI_LOOK(r->n_taps))
        return;
    topic = event_topic(e->kernel, text);
    if (r->leased && r->event_clock.last < r->lease.start)
        r->event_clock.last = r->lease.start;
    rkp_hlc_tick(&r->event_clock, rki_clock_now_us(&r->clock));
    pthread_rwlock_rdlock(&r->tap_lock);
    for (uint32_t i = 0; i < r->n_taps; i++) {
        rki_tap *t = r->taps[i];
        if (!t || t->kernel || !rki_topic_match((rkp_str){ t->pattern, t->n_pattern }, topic))
            continue;
        b = b ? b : event_under(r, e, topic);
        pthread_mutex_lock(&t->lock);
        if (!b || !put_in(t, &(struct tapped){ .b = b, .stamp = r->event_clock.last, .kernel = rki_op_engine.name }))
            __atomic_fetch_add(&t->missed, 1, __ATOMIC_RELAXED);
        pthread_mutex_unlock(&t->lock);
    }
    pthread_rwlock_unlock(&r->tap_lock);
    rkp_batch_put(b);
}

static bool find_kernel(const rki_run *r, rkp_str name, uint32_t *at)
{
    for (uint32_t i = 0; i < r->plan->n_kernels; i++) {
        if (rkp_str_eq(rkp_word_str(r->plan->kernels[i].k->id), name)) {
            *at = i;
            return true;
        }
    }
    return false;
}

// Does the condition fit what it will see?  Of several kinds of rows one is enough: those that it does not fit are not shown.
static bool where_fits(const rki_run *r, const rki_tap *t, char *text, size_t n)
{
    bool any = false, fits = false;
    for (uint32_t i = 0; i < r->plan->n_kernels && !fits; i++) {
        const rki_bound *b = &r->plan->kernels[i];
        for (uint32_t p = 0; t->kernel == r->ks[i] && p < b->n_out && !fits; p++) {
            if (t->port != UINT32_MAX && t->port != p)
                continue;
            any = true;
            fits = rki_tap_where_check(t->where, &b->out[p], text, n);
        }
        for (uint32_t p = 0; !t->kernel && p < b->k->n_pubs && !fits; p++) {
            const rki_publication *pub = &b->k->pubs[p];
            rkp_str pattern = { t->pattern, t->n_pattern };
            if (pub->port >= b->n_out || !(pub->tpl ? rki_topic_may_match(pub->tpl, pattern)
                                                    : rki_topic_match(pattern, rkp_word_str(pub->topic))))
                continue;
            any = true;
            fits = rki_tap_where_check(t->where, &b->out[pub->port], text, n);
        }
    }
    return fits || !any;
}

// What the pattern means; false and a sentence when nothing can ever match.
static bool aim(const rki_run *r, rkp_str pattern, rki_tap *t, char *text, size_t n)
{
    uint32_t kernel = 0;
    t->kernel = NULL;
    t->port = UINT32_MAX;
    if (pattern.n > 7 && memcmp(pattern.p, "kernel:", 7) == 0) {
        rkp_str id = { pattern.p + 7, pattern.n - 7 }, port = { 0 };
        const char *dot = memchr(id.p, '.', id.n);
        const rki_kernel *k;
        if (dot) {
            port = (rkp_str){ dot + 1, id.n - (size_t)(dot - id.p) - 1 };
            id.n = (size_t)(dot - id.p);
        }
        if (!find_kernel(r, id, &kernel)) {
            rki_no_kernel(r, id, text, n);
            return false;
        }
        t->kernel = r->ks[kernel];
        k = r->plan->kernels[kernel].k;
        for (uint32_t p = 0; port.p && p < k->n_ports; p++)
            if (rkp_str_eq(rkp_word_str(k->ports[p]), port))
                t->port = p;
        if (k->op->kind == RKP_SINK || (port.p && t->port == UINT32_MAX)) {
            snprintf(text, n, port.p ? "kernel '%s' has no port '%.*s'" : "kernel '%s' is a sink and emits nothing",
                     k->id.p, RKP_STR_ARG(port));
            return false;
        }
        return true;
    }
    if (!rki_topic_check(RKI_TOPIC_PATTERN, pattern, NULL)) {
        rki_topic_findings f;
        rki_topic_check(RKI_TOPIC_PATTERN, pattern, &f);
        snprintf(text, n, "%s%s%s", f.v[0].what, f.v[0].hint[0] ? "; " : "", f.v[0].hint);
        return false;
    }
    memcpy(t->pattern, pattern.p, pattern.n);
    t->n_pattern = pattern.n;
    for (uint32_t i = 0; i < r->plan->n_kernels; i++) {
        const rki_kernel *k = r->plan->kernels[i].k;
        for (uint32_t p = 0; p < k->n_pubs; p++)
            if (k->pubs[p].tpl ? rki_topic_may_match(k->pubs[p].tpl, pattern)
                               : rki_topic_match(pattern, rkp_word_str(k->pubs[p].topic)))
                return true;
    }
    for (uint32_t i = 0; pattern.p[0] == '$' && i < r->plan->n_kernels; i++) {
        char name[RKI_TOPIC_BYTES];
        if (rki_topic_match(pattern, event_topic(r->plan->kernels[i].k->id.p, name)))
            return true;
    }
    snprintf(text, n, "nobody publishes what '%.*s' matches%s", (int)(pattern.n < 200 ? pattern.n : 200), pattern.p,
             pattern.p[0] == '$' ? "; the engine's own are $lifecycle/KERNEL" : "");
    return false;
}

static bool aimed(rki_run *r, rkp_str pattern, rkp_str where, rki_tap *t, char *text, size_t n)
{
    bool ok;
    pthread_rwlock_rdlock(&r->graph_lock);
    ok = aim(r, pattern, t, text, n);
    if (ok && where.p) {
        t->where = rki_tap_where_new(r->plan->spec, where, text, n);
        ok = t->where && where_fits(r, t, text, n);
    }
    pthread_rwlock_unlock(&r->graph_lock);
    return ok;
}

rki_tap *rki_tap_open(rki_run *r, rkp_str pattern, rkp_str where, rki_tap_format f, char *text, size_t n)
{
    rki_tap *t = pattern.n <= RKI_TOPIC_BYTES ? calloc(1, sizeof *t) : NULL;
    pthread_condattr_t attr;
    bool full;
    if (!t) {
        snprintf(text, n, pattern.n > RKI_TOPIC_BYTES ? "the pattern is too long" : "out of memory");
        return NULL;
    }
    rki_buf_init(&t->rest);
    rki_buf_init(&t->ends);
    t->format = f;
    t->run = r;
    if (!aimed(r, pattern, where, t, text, n)) {
        rki_tap_where_free(t->where);
        free(t);
        return NULL;
    }
    pthread_mutex_init(&t->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&t->came, &attr);
    pthread_condattr_destroy(&attr);
    pthread_rwlock_wrlock(&r->tap_lock);
    full = r->n_taps == TAPS || r->taps_closed;
    if (!full) {
        r->taps[r->n_taps] = t;
        // Relaxed: a tap may begin a message later.
        __atomic_store_n(&r->n_taps, r->n_taps + 1, __ATOMIC_RELAXED);
    }
    pthread_rwlock_unlock(&r->tap_lock);
    if (full) {
        snprintf(text, n, r->taps_closed ? "the run is ending" : "there are %d taps already", TAPS);
        t->run = NULL;
        rki_tap_close(t);
        return NULL;
    }
    return t;
}

int rki_tap_read(rki_tap *t, uint64_t max_rows, uint64_t deadline_ns, rki_buf *out)
{
    struct timespec ts = { (time_t)(deadline_ns / 1000000000u), (long)(deadline_ns % 1000000000u) };
    uint64_t rows;
    int rc = 0;
    pthread_mutex_lock(&t->lock);
    while (!t->n && !t->over && rc == 0)
        rc = pthread_cond_timedwait(&t->came, &t->lock, &ts);
    rows = t->n ? print_some(t, max_rows, out, NULL) : give_rest(t, max_rows, out);
    rc = rows ? 1 : t->over && !t->n ? -1 : 0;
    if (rc < 0)
        set_gaps(t, RKI_LOOK(t->missed));
    // Relaxed: who asks for it has read them, or only wants to know.
    __atomic_store_n(&t->rows, t->rows + rows, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&t->lock);
    return rc;
}

uint64_t rki_tap_rows(const rki_tap *t)
{
    return RKI_LOOK(t->rows);
}

uint64_t rki_tap_missed(const rki_tap *t)
{
    return RKI_LOOK(t->gaps);
}

void rki_tap_close(rki_tap *t)
{
    rki_run *r;
    pthread_mutex_lock(&t->lock); // rki_taps_end has let go of it
    r = t->run;
    pthread_mutex_unlock(&t->lock);
    if (r) {
        pthread_rwlock_wrlock(&r->tap_lock);
        for (uint32_t i = 0; i < r->n_taps; i++) {
            if (r->taps[i] != t)
                continue;
            r->taps[i] = r->taps[r->n_taps - 1];
            __atomic_store_n(&r->n_taps, r->n_taps - 1, __ATOMIC_RELAXED);
            break;
        }
        pthread_rwlock_unlock(&r->tap_lock);
    }
    while (t->n) {
        rkp_batch_put(t->box[t->first].b);
        t->first = (t->first + 1) % TAP_BATCHES;
        t->n--;
    }
    pthread_cond_destroy(&t->came);
    pthread_mutex_destroy(&t->lock);
    rki_buf_fini(&t->rest);
    rki_buf_fini(&t->ends);
    rki_tap_where_free(t->where);
    free(t);
}

// The run ends: what is in the boxes is printed, so that the batches can go.
void rki_taps_end(rki_run *r)
{
    pthread_rwlock_wrlock(&r->tap_lock);
    r->taps_closed = true;
    for (uint32_t i = 0; i < r->n_taps; i++) {
        rki_tap *t = r->taps[i];
        if (!t)
            continue;
        pthread_mutex_lock(&t->lock);
        print_some(t, UINT64_MAX, &t->rest, &t->ends);
        t->over = true;
        t->run = NULL;
        pthread_cond_broadcast(&t->came);
        pthread_mutex_unlock(&t->lock);
    }
    __atomic_store_n(&r->n_taps, 0, __ATOMIC_RELAXED);
    pthread_rwlock_unlock(&r->tap_lock);
}
