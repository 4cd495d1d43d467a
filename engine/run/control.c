// run/control.c - what others see of a run at work: its status as JSON, and taps.
//
// Counters are read while their owners write them: each value is whole, sums may be a message apart.
#include "base/json.h"
#include "flow/topic.h"
#include "run/meter.h"

#include <rkpipe/num.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

// ---- status ---------------------------------------------------------------------------------------------------------

static void field_u64(rki_json *j, const char *key, uint64_t v)
{
    rki_json_key(j, key);
    rki_json_u64(j, v);
}

static void field_text(rki_json *j, const char *key, const char *z)
{
    rki_json_key(j, key);
    rki_json_z(j, z);
}

static void reasons(rki_json *j, const char *key, const rki_reason_count *v, uint32_t n)
{
    rki_json_key(j, key);
    rki_json_object(j);
    for (uint32_t i = 0; i < n; i++)
        if (v[i].rows)
            field_u64(j, v[i].reason, v[i].rows);
    rki_json_end_object(j);
}

static uint32_t consumer(const rki_run *r, const rki_edge *e)
{
    return r->plan->stages[e->to_stage].kernel;
}

struct fill {
    uint64_t messages, capacity, bytes;
};

static struct fill fill_of(const rki_link *k)
{
    uint64_t gone = RKI_LOOK(k->ring->bytes_out), in = RKI_LOOK(k->ring->bytes_in);
    return (struct fill){ rki_ring_fill(k->ring), k->ring->mask + 1, in > gone ? in - gone : 0 };
}

// In the walk's order: those that a reload has removed, and that still drain, come last.
static void kernel_json(rki_json *j, rki_run *r, const rki_kstate *of, const rki_kernel_counts *counts)
{
    rki_kernel_counts c = *counts;
    struct {
        uint32_t state;
        uint64_t restarts, since_us;
        char reason[sizeof of->reason];
    } k;
    struct fill q = { 0 };
    char since[RKP_TIMESTAMP_TEXT];
    pthread_mutex_lock(&r->lock);
    k.state = of->state;
    k.restarts = of->restarts;
    k.since_us = of->since_us;
    memcpy(k.reason, of->reason, sizeof k.reason);
    pthread_mutex_unlock(&r->lock);
    for (uint32_t i = 0; i < r->n_links; i++) {
        const rki_edge *e = r->links[i]->edge;
        struct fill f;
        if (r->ks[consumer(r, e)] != of || e->from_stage == UINT32_MAX ||
            r->ks[r->plan->stages[e->from_stage].kernel] == of)
            continue;
        f = fill_of(r->links[i]);
        q.messages += f.messages;
        q.capacity += f.capacity;
        q.bytes += f.bytes;
    }
    rki_json_object(j);
    field_text(j, "kernel", c.kernel);
    field_text(j, "op", c.op);
    field_text(j, "state", rki_state_name((int)k.state));
    rki_json_key(j, "since");
    rki_json_str(j, (rkp_str){ since, rkp_print_timestamp(since, (int64_t)k.since_us) });
    field_text(j, "reason", k.reason);
    if (of->gone) {
        rki_json_key(j, "removed");
        rki_json_bool(j, true);
    }
    field_u64(j, "restarts", k.restarts);
    field_u64(j, "rows_in", c.rows_in);
    field_u64(j, "rows_out", c.rows_out);
    field_u64(j, "absorbed", c.absorbed);
    field_u64(j, "batches", c.batches);
    field_u64(j, "bytes_in", c.bytes_in);
    field_u64(j, "bytes_out", c.bytes_out);
    field_u64(j, "dropped", c.dropped);
    reasons(j, "drops", c.drops, c.n_drops);
    field_u64(j, "dead_lettered", c.dead_lettered);
    reasons(j, "dead", c.deads, c.n_deads);
    rki_json_key(j, "queue");
    rki_json_object(j);
    field_u64(j, "messages", q.messages);
    field_u64(j, "capacity", q.capacity);
    field_u64(j, "bytes", q.bytes);
    rki_json_end_object(j);
    rki_times_json(j, of);
    rki_json_end_object(j);
}

static void kernels_json(rki_json *j, rki_run *r)
{
    rki_kernel_counts c;
    rki_json_array(j);
    for (rki_counts_walk w = { 0 }; rki_run_next_counts(r, &w, &c);)
        if (!rki_life_left(w.kernel))
            kernel_json(j, r, w.kernel, &c);
    rki_json_end_array(j);
}

struct sums {
    uint64_t sent, got, over, spilled, waits, filtered, late, excluded, messages, capacity;
};

static void add_link(struct sums *s, const rki_link *k)
{
    struct fill f;
    s->got += RKI_LOOK(k->got_rows); // before what was sent: so that rows in flight are never negative
    s->over += RKI_LOOK(k->overflowed_rows);
    s->spilled += RKI_LOOK(k->spilled_rows);
    s->waits += RKI_LOOK(k->spill_waits);
    s->sent += RKI_LOOK(k->sent_rows);
    s->filtered += RKI_LOOK(k->filtered_rows);
    s->late += RKI_LOOK(k->late);
    s->excluded += RKI_LOOK(k->n_excluded);
    f = fill_of(k);
    s->messages += f.messages;
    s->capacity += f.capacity;
}

static void sums_json(rki_json *j, const struct sums *s)
{
    field_u64(j, "sent", s->sent);
    field_u64(j, "received", s->got);
    field_u64(j, "overflowed", s->over);
    field_u64(j, "spilled", s->spilled);
    field_u64(j, "filtered", s->filtered);
    field_u64(j, "late", s->late);
    field_u64(j, "excluded", s->excluded);
    field_u64(j, "in_flight", s->sent > s->got + s->over ? s->sent - s->got - s->over : 0);
    field_u64(j, "messages", s->messages);
    field_u64(j, "capacity", s->capacity);
}

void rki_edges_json(rki_json *j, rki_run *r)
{
    rki_json_array(j);
    for (uint32_t e = 0; e < r->plan->n_edges; e++) {
        const rki_edge *edge = &r->plan->edges[e];
        struct sums s = { 0 };
        for (uint32_t i = 0; i < r->n_links; i++)
            if (r->links[i]->edge == edge)
                add_link(&s, r->links[i]);
        rki_json_object(j);
        field_text(j, "from", r->plan->kernels[r->plan->stages[edge->from_stage].kernel].k->id.p);
        field_text(j, "to", r->plan->kernels[consumer(r, edge)].k->id.p);
        rki_json_key(j, "topic");
        if (edge->in && edge->in->topic)
            rki_json_z(j, r->plan->kernels[edge->in->kernel].k->pubs[edge->in->pub].topic.p);
        else
            rki_json_null(j);
        field_text(j, "overflow", rki_overflow_name(edge->overflow));
        if (edge->spill_bytes)
            field_u64(j, "spill_full", s.waits);
        sums_json(j, &s);
        rki_json_end_object(j);
    }
    for (const rki_link *k = rki_reload_leaving(r); k; k = k->next_leaving) {
        struct sums s = { 0 };
        add_link(&s, k);
        rki_json_object(j);
        field_text(j, "from", k->writer->id);
        field_text(j, "to", k->reader->id);
        rki_json_key(j, "removed");
        rki_json_bool(j, true);
        sums_json(j, &s);
        rki_json_end_object(j);
    }
    rki_json_end_array(j);
}

static void topics_json(rki_json *j, const rki_run *r)
{
    const rki_plan *p = r->plan;
    rki_json_array(j);
    for (uint32_t i = 0; i < p->n_kernels; i++) {
        for (uint32_t q = 0; q < p->kernels[i].k->n_pubs; q++) {
            rki_json_object(j);
            field_text(j, "topic", p->kernels[i].k->pubs[q].topic.p);
            field_text(j, "publisher", p->kernels[i].k->id.p);
            rki_json_key(j, "subscribers");
            rki_json_array(j);
            for (uint32_t e = 0; e < p->n_edges; e++)
                if (p->edges[e].in && p->edges[e].in->topic && p->edges[e].in->kernel == i && p->edges[e].in->pub == q)
                    rki_json_z(j, p->kernels[consumer(r, &p->edges[e])].k->id.p);
            rki_json_end_array(j);
            rki_json_end_object(j);
        }
    }
    rki_json_end_array(j);
}

static bool draining(const rki_run *r)
{
    return __atomic_load_n(&r->stopping, __ATOMIC_SEQ_CST) || __atomic_load_n(&r->signals, __ATOMIC_SEQ_CST) ||
           __atomic_load_n(&r->ending, __ATOMIC_SEQ_CST) || rki_failed(r);
}

const char *rki_run_state(const rki_run *r)
{
    return __atomic_load_n(&r->ending, __ATOMIC_SEQ_CST) ? "ending" : draining(r) ? "draining" : "running";
}

bool rki_run_ready(rki_run *r)
{
    bool ready = !draining(r);
    pthread_rwlock_rdlock(&r->graph_lock);
    pthread_mutex_lock(&r->lock);
    for (uint32_t i = 0; ready && i < r->plan->n_kernels; i++)
        ready = r->ks[i]->state != RKI_CREATED;
    pthread_mutex_unlock(&r->lock);
    pthread_rwlock_unlock(&r->graph_lock);
    return ready;
}

static void status_json(rki_run *r, rki_buf *out)
{
    rki_json j;
    uint64_t start;
    rki_json_init(&j, out, 0);
    rki_json_object(&j);
    field_text(&j, "name", r->name);
    field_text(&j, "state", rki_run_state(r));
    field_u64(&j, "generation", r->number);
    field_text(&j, "mode", r->plan->stream ? "stream" : "batch");
    rki_json_key(&j, "uptime_seconds");
    start = RKI_LOOK(r->start_ns);
    rki_json_f64(&j, start ? (double)(rki_run_ns(r) - start) * 1e-9 : 0);
    field_u64(&j, "workers", r->plan->workers);
    rki_json_key(&j, "kernels");
    kernels_json(&j, r);
    rki_json_key(&j, "edges");
    rki_edges_json(&j, r);
    rki_json_key(&j, "topics");
    topics_json(&j, r);
    rki_json_key(&j, "checkpoints");
    rki_ckpt_json(r, &j);
    rki_json_key(&j, "memory");
    rki_json_object(&j);
    field_u64(&j, "limit", r->plan->memory_limit);
    field_u64(&j, "batches", rkp_pool_used(r->pool));
    field_u64(&j, "batches_limit", rkp_pool_limit(r->pool));
    field_u64(&j, "state", rkp_pool_used(r->state_pool));
    field_u64(&j, "state_limit", rkp_pool_limit(r->state_pool));
    rki_json_end_object(&j);
    rki_json_end_object(&j);
}

void rki_run_status_json(rki_run *r, rki_buf *out)
{
    pthread_rwlock_rdlock(&r->graph_lock);
    status_json(r, out);
    pthread_rwlock_unlock(&r->graph_lock);
}

void rki_run_kernels_json(rki_run *r, rki_buf *out)
{
    rki_json j;
    rki_json_init(&j, out, 0);
    pthread_rwlock_rdlock(&r->graph_lock);
    kernels_json(&j, r);
    pthread_rwlock_unlock(&r->graph_lock);
}

bool rki_run_kernel_json(rki_run *r, rkp_str kernel, rki_buf *out)
{
    rki_json j;
    rki_kernel_counts c;
    bool found = false;
    pthread_rwlock_rdlock(&r->graph_lock);
    for (rki_counts_walk w = { 0 }; !found && rki_run_next_counts(r, &w, &c);)
        if (rkp_str_eq(rkp_str_of(c.kernel), kernel) && !rki_life_left(w.kernel)) {
            rki_json_init(&j, out, 0);
            kernel_json(&j, r, w.kernel, &c);
            found = true;
        }
    pthread_rwlock_unlock(&r->graph_lock);
    return found;
}

void rki_run_topics_json(rki_run *r, rki_buf *out)
{
    rki_json j;
    rki_json_init(&j, out, 0);
    pthread_rwlock_rdlock(&r->graph_lock);
    topics_json(&j, r);
    pthread_rwlock_unlock(&r->graph_lock);
}

void rki_run_graph_json(rki_run *r, rki_buf *out)
{
    pthread_rwlock_rdlock(&r->graph_lock);
    rki_graph(r->plan, RKI_GRAPH_JSON, out);
    pthread_rwlock_unlock(&r->graph_lock);
}

// ---- taps -----------------------------------------------------------------------------------------------------------
//
// A tap's box is guarded by its lock; who emits only tries it, and what does not get in is counted as missed.

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
        field_text(&j, "kernel", m->kernel);
        field_u64(&j, "stamp", m->stamp);
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
        if (!mem) {
            __atomic_fetch_add(&t->missed, m.b->rows - t->row, __ATOMIC_RELAXED);
            t->row = m.b->rows;
        }
        for (; t->row < m.b->rows && rows < max_rows; t->row++) {
            if (!row_fits(t, &m, t->row))
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
    if (!pub)
        return false;
    return pub->tpl ? rki_topic_may_match(pub->tpl, pattern) : rki_topic_match(pattern, rkp_word_str(pub->topic));
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
        uint64_t w = fits ? rki_weight(b) : 0;
        if (!fits)
            continue;
        if (pthread_mutex_trylock(&t->lock) != 0) {
            __atomic_fetch_add(&t->missed, rows_for(t, topics, b), __ATOMIC_RELAXED);
            continue;
        }
        if (t->n == TAP_BATCHES || (t->n && t->bytes + w > TAP_BYTES)) {
            __atomic_fetch_add(&t->missed, rows_for(t, topics, b), __ATOMIC_RELAXED);
        } else {
            t->box[(t->first + t->n++) % TAP_BATCHES] =
                (struct tapped){ rkp_batch_get(b), a->r->stamp, a->ks->id, topics, RKI_LOOK(t->missed) };
            t->bytes += w;
            pthread_cond_signal(&t->came);
        }
        pthread_mutex_unlock(&t->lock);
    }
    pthread_rwlock_unlock(&r->tap_lock);
}

void rki_no_kernel(const rki_run *r, rkp_str name, char *text, size_t n)
{
    const char **names = calloc(r->plan->n_kernels + 1u, sizeof *names), *near;
    uint32_t count = 0;
    for (uint32_t i = 0; names && i < r->plan->n_kernels; i++)
        if (r->plan->kernels[i].k->id.p[0] != '$')
            names[count++] = r->plan->kernels[i].k->id.p;
    near = names && name.n ? rki_nearest(name, names) : NULL;
    snprintf(text, n, "no kernel is named '%.*s'%s%s%s", (int)(name.n < 64 ? name.n : 64), name.p,
             near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    free(names);
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
    snprintf(text, n, "nobody publishes what '%.*s' matches", (int)(pattern.n < 200 ? pattern.n : 200), pattern.p);
    return false;
}

static bool aimed(rki_run *r, rkp_str pattern, rki_tap *t, char *text, size_t n)
{
    bool ok;
    pthread_rwlock_rdlock(&r->graph_lock);
    ok = aim(r, pattern, t, text, n);
    pthread_rwlock_unlock(&r->graph_lock);
    return ok;
}

rki_tap *rki_tap_open(rki_run *r, rkp_str pattern, rki_tap_format f, char *text, size_t n)
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
    if (!aimed(r, pattern, t, text, n)) {
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
