// run/control.c - what others see of a run at work: its status as JSON.
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
    rki_json_put_u64(j, key, v);
}

static void field_text(rki_json *j, const char *key, const char *z)
{
    rki_json_put_z(j, key, z);
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
static void commands_json(rki_json *j, uint32_t commands)
{
    rki_json_key(j, "commands");
    rki_json_array(j);
    for (int c = 0; c < RKI_N_COMMANDS; c++)
        if (commands & 1u << c)
            rki_json_z(j, rki_command_name(c));
    rki_json_end_array(j);
}

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
    rki_json_put_str(j, "since", (rkp_str){ since, rkp_print_timestamp(since, (int64_t)k.since_us) });
    field_text(j, "reason", k.reason);
    commands_json(j, rki_life_commands(r, of, (int)k.state));
    if (of->gone)
        rki_json_put_bool(j, "removed", true);
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
        rki_json_put_bool(j, "removed", true);
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

// How often which outcome, so that who looks knows when there is something new to ask for.
static void reloads_json(rki_json *j, rki_run *r)
{
    uint64_t n[sizeof r->reloads / sizeof *r->reloads];
    pthread_mutex_lock(&r->lock);
    memcpy(n, r->reloads, sizeof n);
    pthread_mutex_unlock(&r->lock);
    rki_json_key(j, "reloads");
    rki_json_object(j);
    for (size_t i = 0; i < sizeof n / sizeof *n; i++)
        field_u64(j, rki_reload_outcomes[i], n[i]);
    rki_json_end_object(j);
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
    reloads_json(&j, r);
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
