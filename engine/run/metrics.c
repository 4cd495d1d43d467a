// run/metrics.c - a run as series: one walk over kernels, edges and the rest, under the graph's lock (docs/design/metrics.md).
//
// First everything is read and merged, then it is given row by row, because the text format wants all series of a row together.
#include "flow/deadstore.h"
#include "run/meter.h"

#include <stdio.h>
#include <stdlib.h>

struct kernel {
    const rki_kstate *ks;
    const rki_kernel *conf; // NULL: a reload has removed it, and it drains
    rki_kernel_counts c;
    uint32_t state;
    uint64_t restarts, failures, retries, busy_ns, flushes[RKI_N_FLUSHES];
};

struct walk {
    rki_run *r;
    rki_emit emit;
    void *arg;
    rki_arena mem;
    struct kernel *kernels;
    uint32_t n;
    rki_hist *hist; // for merging
    rki_ckpt_counts *ckpt;
    uint64_t now_us;
};

static rki_label label(const char *name, const char *value)
{
    return (rki_label){ rkp_str_of(name), rkp_str_of(value) };
}

static void give(const struct walk *w, const rki_metric *row, const rki_label *l, uint32_t n, double v)
{
    w->emit(w->arg, row, rkp_str_of(row->name), l, n, v);
}

static void one(const struct walk *w, int id, double v)
{
    give(w, &rki_metrics[id], NULL, 0, v);
}

static void by(const struct walk *w, int id, const char *name, const char *value, double v)
{
    rki_label l = label(name, value);
    give(w, &rki_metrics[id], &l, 1, v);
}

// ---- no counter goes back -------------------------------------------------------------------------------------------
//
// What a supervised kernel has counted for a message that it failed on is taken back, and rows that nobody reads are counted as out for a
// moment.  So the largest value that was given is kept, and no less is given after it.

static void no_less(uint64_t *now, uint64_t *shown)
{
    if (*now < *shown)
        *now = *shown;
    else
        *shown = *now;
}

static void no_less_reasons(rki_run *r, rki_reason_count *now, uint32_t *n, rki_reason_count *shown, uint32_t *n_shown)
{
    for (uint32_t i = 0; i < *n_shown; i++) { // what is gone from the list comes back
        uint32_t k = 0;
        while (k < *n && strcmp(now[k].reason, shown[i].reason) != 0)
            k++;
        if (k == *n && *n < RKI_MAX_REASONS)
            now[(*n)++] = (rki_reason_count){ shown[i].reason, 0 };
    }
    for (uint32_t i = 0; i < *n; i++) {
        uint32_t k = 0;
        while (k < *n_shown && strcmp(now[i].reason, shown[k].reason) != 0)
            k++;
        if (k == *n_shown) {
            const char *name = k < RKI_MAX_REASONS ? rki_intern(r, now[i].reason) : NULL;
            if (!name)
                continue;
            shown[(*n_shown)++] = (rki_reason_count){ name, 0 };
        }
        no_less(&now[i].rows, &shown[k].rows);
    }
}

static void no_less_counts(rki_run *r, rki_kstate *k, rki_kernel_counts *c)
{
    rki_kernel_counts *s = k->shown;
    uint64_t *const now[] = { &c->rows_in,  &c->rows_out, &c->bytes_in, &c->bytes_out,     &c->batches,
                              &c->absorbed, &c->dropped,  &c->lost,     &c->dead_lettered, &c->bad };
    uint64_t *const shown[] = { &s->rows_in,  &s->rows_out, &s->bytes_in, &s->bytes_out,     &s->batches,
                                &s->absorbed, &s->dropped,  &s->lost,     &s->dead_lettered, &s->bad };
    for (size_t i = 0; i < sizeof now / sizeof *now; i++)
        no_less(now[i], shown[i]);
    for (int i = 0; i < 16; i++)
        no_less(&c->metrics[i], &s->metrics[i]);
    no_less_reasons(r, c->drops, &c->n_drops, s->drops, &s->n_drops);
    no_less_reasons(r, c->deads, &c->n_deads, s->deads, &s->n_deads);
}

static void no_less_flow(rki_flow_sums *now, rki_flow_sums *shown)
{
    no_less(&now->sent, &shown->sent);
    no_less(&now->got, &shown->got);
    no_less(&now->over, &shown->over);
    no_less(&now->spilled, &shown->spilled);
    no_less(&now->filtered, &shown->filtered);
    no_less(&now->late, &shown->late);
    no_less(&now->excluded, &shown->excluded);
    no_less(&now->waits, &shown->waits);
    no_less(&now->blocked_us, &shown->blocked_us);
}

// ---- kernels --------------------------------------------------------------------------------------------------------

static const rki_kernel *conf_of(const rki_run *r, const rki_kstate *k)
{
    for (uint32_t i = 0; i < r->plan->n_kernels; i++)
        if (r->ks[i] == k)
            return r->plan->kernels[i].k;
    return NULL;
}

static bool read_kernel(struct walk *w, rki_kstate *k, struct kernel *to)
{
    to->ks = k;
    to->conf = conf_of(w->r, k);
    pthread_mutex_lock(&w->r->lock);
    to->state = k->state;
    to->restarts = k->restarts;
    pthread_mutex_unlock(&w->r->lock);
    rki_meters_times(k, &to->busy_ns, NULL, NULL);
    for (const rki_meter *m = __atomic_load_n(&k->meters, __ATOMIC_ACQUIRE); m; m = m->next) {
        to->failures += RKI_LOOK(m->failures);
        to->retries += RKI_LOOK(m->retries);
        for (int i = 0; i < RKI_N_FLUSHES; i++)
            to->flushes[i] += RKI_LOOK(m->flushes[i]);
    }
    if (!k->shown && !(k->shown = calloc(1, sizeof *k->shown)))
        return false;
    no_less_counts(w->r, k, &to->c);
    return true;
}

static bool read_kernels(struct walk *w)
{
    rki_run *r = w->r;
    uint32_t n = r->plan->n_kernels;
    rki_kernel_counts c;
    for (const rki_kstate *k = r->gone; k; k = k->next_gone)
        n++;
    w->kernels = rki_array(&w->mem, n + 1u, sizeof *w->kernels);
    if (!w->kernels)
        return false;
    for (rki_counts_walk at = { 0 }; rki_run_next_counts(r, &at, &c);) {
        struct kernel *to = &w->kernels[w->n];
        if (rki_life_left(at.kernel))
            continue;
        to->c = c;
        if (!read_kernel(w, (rki_kstate *)(uintptr_t)at.kernel, to))
            return false;
        w->n++;
    }
    return true;
}

// A name of the pipeline as the name of a label: label_team.
static void label_name(const char *name, char to[80])
{
    int n = snprintf(to, 80, "label_%.60s", name);
    for (int c = 0; c < n; c++)
        if (!((to[c] >= '0' && to[c] <= '9') || ((to[c] | 0x20) >= 'a' && (to[c] | 0x20) <= 'z')))
            to[c] = '_';
}

static void kernel_info(const struct walk *w, const struct kernel *k)
{
    static const char *const kinds[] = { [RKP_SOURCE] = "source", [RKP_TRANSFORM] = "transform", [RKP_SINK] = "sink" };
    rki_label l[RKI_EMIT_LABELS];
    char names[RKI_EMIT_LABELS][80];
    uint32_t n = 3;
    l[0] = label("kernel", k->ks->id);
    l[1] = label("operator", k->ks->op->name);
    l[2] = label("kind", kinds[k->ks->op->kind]);
    for (size_t i = 0; k->conf && i < k->conf->labels.n && n < RKI_EMIT_LABELS; i++) {
        bool twice = false; // two names may become one
        label_name(k->conf->labels.v[i].key.p, names[n]);
        for (uint32_t before = 3; before < n; before++)
            twice |= strcmp(names[before], names[n]) == 0;
        if (!twice) {
            l[n] = (rki_label){ rkp_str_of(names[n]), rkp_word_str(k->conf->labels.v[i].val) };
            n++;
        }
    }
    give(w, &rki_metrics[RKI_M_KERNEL_INFO], l, n, 1);
}

static void kernel_states(const struct walk *w, const struct kernel *k)
{
    for (uint32_t s = 0; s < RKI_N_STATES; s++) {
        rki_label l[] = { label("kernel", k->ks->id), label("state", rki_state_name((int)s)) };
        give(w, &rki_metrics[RKI_M_KERNEL_STATE], l, 2, k->state == s);
    }
}

static void by_reason(const struct walk *w, int id, const struct kernel *k, const rki_reason_count *v, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        rki_label l[] = { label("kernel", k->ks->id), label("reason", v[i].reason) };
        if (v[i].rows)
            give(w, &rki_metrics[id], l, 2, (double)v[i].rows);
    }
}

static void dropped(const struct walk *w, const struct kernel *k)
{
    by_reason(w, RKI_M_DROPPED_ROWS, k, k->c.drops, k->c.n_drops);
}

static void dead_lettered(const struct walk *w, const struct kernel *k)
{
    by_reason(w, RKI_M_DEAD_LETTER_ROWS, k, k->c.deads, k->c.n_deads);
}

static void replayed(const struct walk *w, const struct kernel *k)
{
    if (w->r->dead_store)
        by(w, RKI_M_KERNEL_REPLAYED_ROWS, "kernel", k->ks->id, (double)RKI_LOOK(k->ks->replayed));
}

static void batch_time(const struct walk *w, const struct kernel *k)
{
    rki_label l = label("kernel", k->ks->id);
    memset(w->hist, 0, sizeof *w->hist);
    rki_meters_times(k->ks, NULL, w->hist, NULL);
    rki_emit_hist(w->emit, w->arg, &rki_metrics[RKI_M_KERNEL_BATCH_TIME], &l, 1, w->hist, 1e9);
}

static void sink_latency(const struct walk *w, const struct kernel *k)
{
    rki_label l = label("kernel", k->ks->id);
    if (k->ks->op->kind != RKP_SINK)
        return;
    memset(w->hist, 0, sizeof *w->hist);
    rki_meters_times(k->ks, NULL, NULL, w->hist);
    rki_emit_hist(w->emit, w->arg, &rki_metrics[RKI_M_SINK_LATENCY], &l, 1, w->hist, 1e9);
}

static void flushes(const struct walk *w, const struct kernel *k)
{
    if (!k->conf || !k->conf->batches)
        return;
    for (int i = RKI_FLUSH_NO + 1; i < RKI_N_FLUSHES; i++) {
        rki_label l[] = { label("kernel", k->ks->id), label("reason", rki_flush_name(i)) };
        give(w, &rki_metrics[RKI_M_BATCH_FLUSHES], l, 2, (double)k->flushes[i]);
    }
}

static void kernels(const struct walk *w)
{
    static const struct {
        int id;
        size_t at; // in a struct kernel
        double per;
    } numbers[] = {
        { RKI_M_KERNEL_RESTARTS, offsetof(struct kernel, restarts), 1 },
        { RKI_M_KERNEL_FAILURES, offsetof(struct kernel, failures), 1 },
        { RKI_M_KERNEL_RETRIES, offsetof(struct kernel, retries), 1 },
        { RKI_M_KERNEL_BATCHES, offsetof(struct kernel, c.batches), 1 },
        { RKI_M_KERNEL_IN_ROWS, offsetof(struct kernel, c.rows_in), 1 },
        { RKI_M_KERNEL_OUT_ROWS, offsetof(struct kernel, c.rows_out), 1 },
        { RKI_M_KERNEL_ABSORBED_ROWS, offsetof(struct kernel, c.absorbed), 1 },
        { RKI_M_KERNEL_REJECTED_ROWS, offsetof(struct kernel, c.bad), 1 },
        { RKI_M_KERNEL_IN_BYTES, offsetof(struct kernel, c.bytes_in), 1 },
        { RKI_M_KERNEL_OUT_BYTES, offsetof(struct kernel, c.bytes_out), 1 },
        { RKI_M_KERNEL_BUSY, offsetof(struct kernel, busy_ns), 1e9 },
    };
    static void (*const families[])(const struct walk *w, const struct kernel *k) = {
        kernel_info, kernel_states, replayed, dropped, dead_lettered, batch_time, sink_latency, flushes,
    };
    for (size_t f = 0; f < sizeof numbers / sizeof *numbers; f++)
        for (uint32_t i = 0; i < w->n; i++) {
            uint64_t v;
            memcpy(&v, (const char *)&w->kernels[i] + numbers[f].at, sizeof v);
            by(w, numbers[f].id, "kernel", w->kernels[i].ks->id, (double)v / numbers[f].per);
        }
    for (size_t f = 0; f < sizeof families / sizeof *families; f++)
        for (uint32_t i = 0; i < w->n; i++)
            families[f](w, &w->kernels[i]);
}

// What operators count themselves: a row for each metric of an operator, with all of its kernels.
static bool operators(struct walk *w)
{
    for (uint32_t i = 0; i < w->n; i++) {
        const rkp_op *op = w->kernels[i].ks->op;
        bool first = true;
        for (uint32_t k = 0; k < i; k++)
            first &= w->kernels[k].ks->op != op;
        for (unsigned m = 0; first && m < 16; m++) {
            char *name = rki_alloc(&w->mem, RKI_METRIC_NAME);
            rki_metric *row = rki_alloc(&w->mem, sizeof *row); // a visitor may tell rows by their address
            if (!name || !row)
                return false;
            if (!rki_metric_of_op(op, m, name, row))
                break;
            for (uint32_t k = i; k < w->n; k++) {
                rki_label l = label("kernel", w->kernels[k].ks->id);
                if (w->kernels[k].ks->op == op)
                    give(w, row, &l, 1, (double)w->kernels[k].c.metrics[m]);
            }
        }
    }
    return true;
}

// ---- edges ----------------------------------------------------------------------------------------------------------

static void read_link(const struct walk *w, const rki_link *k, const rki_edge *e)
{
    rki_flow *f = k->flow;
    uint64_t full = RKI_LOOK(k->full_us), gone = RKI_LOOK(k->ring->bytes_out), in = RKI_LOOK(k->ring->bytes_in);
    uint64_t floor;
    f->live = true;
    rki_flow_add(&f->now, k);
    if (full && w->now_us > full)
        f->now.blocked_us += w->now_us - full;
    f->messages += rki_ring_fill(k->ring);
    f->capacity += k->ring->mask + 1;
    f->bytes += in > gone ? in - gone : 0;
    f->limit += k->byte_limit;
    f->spill_bytes += RKI_LOOK(k->spill_bytes);
    f->spill_messages += RKI_LOOK(k->spill_messages);
    if (!e)
        return;
    f->policy = rki_overflow_name((int)e->overflow);
    f->hlc = e->hlc;
    floor = e->hlc ? rkp_hlc_us(rki_ring_floor(k->ring)) : 0;
    if (floor && w->now_us > floor && w->now_us - floor > f->lag_us)
        f->lag_us = w->now_us - floor;
}

static rki_flow *first_flow(const rki_run *r)
{
    return __atomic_load_n(&r->flows, __ATOMIC_ACQUIRE); // from the release of who adds one
}

static void read_edges(const struct walk *w)
{
    rki_run *r = w->r;
    for (rki_flow *f = first_flow(r); f; f = f->next) {
        f->live = false;
        f->now = f->past;
        f->messages = f->capacity = f->bytes = f->limit = f->lag_us = f->spill_bytes = f->spill_messages = 0;
    }
    for (uint32_t i = 0; i < r->n_links; i++)
        read_link(w, r->links[i], r->links[i]->edge);
    for (const rki_link *k = rki_reload_leaving(r); k; k = k->next_leaving)
        read_link(w, k, NULL);
    for (rki_flow *f = first_flow(r); f; f = f->next)
        if (f->live)
            no_less_flow(&f->now, &f->shown);
}

static bool always(const rki_flow *f)
{
    (void)f;
    return true;
}

static bool may_lose(const rki_flow *f)
{
    return f->now.over || strcmp(f->policy, "block") != 0;
}

static bool may_spill(const rki_flow *f)
{
    return f->now.spilled || strcmp(f->policy, "spill") == 0;
}

static bool may_filter(const rki_flow *f)
{
    return f->now.filtered || *f->topic;
}

static bool is_hlc(const rki_flow *f)
{
    return f->hlc;
}

static void edges(const struct walk *w)
{
    static const struct {
        int id;
        bool (*applies)(const rki_flow *f);
        size_t at;
        double per;
    } families[] = {
        { RKI_M_EDGE_SENT_ROWS, always, offsetof(rki_flow, now.sent), 1 },
        { RKI_M_EDGE_RECEIVED_ROWS, always, offsetof(rki_flow, now.got), 1 },
        { RKI_M_EDGE_OVERFLOWED_ROWS, may_lose, offsetof(rki_flow, now.over), 1 },
        { RKI_M_EDGE_SPILLED_ROWS, may_spill, offsetof(rki_flow, now.spilled), 1 },
        { RKI_M_EDGE_SPILL_BYTES, may_spill, offsetof(rki_flow, spill_bytes), 1 },
        { RKI_M_EDGE_SPILL_MESSAGES, may_spill, offsetof(rki_flow, spill_messages), 1 },
        { RKI_M_EDGE_FILTERED_ROWS, may_filter, offsetof(rki_flow, now.filtered), 1 },
        { RKI_M_EDGE_WAITS, always, offsetof(rki_flow, now.waits), 1 },
        { RKI_M_EDGE_BLOCKED, always, offsetof(rki_flow, now.blocked_us), 1e6 },
        { RKI_M_EDGE_MESSAGES, always, offsetof(rki_flow, messages), 1 },
        { RKI_M_EDGE_CAPACITY, always, offsetof(rki_flow, capacity), 1 },
        { RKI_M_EDGE_BYTES, always, offsetof(rki_flow, bytes), 1 },
        { RKI_M_EDGE_LIMIT, always, offsetof(rki_flow, limit), 1 },
        { RKI_M_HLC_LATE, is_hlc, offsetof(rki_flow, now.late), 1 },
        { RKI_M_HLC_EXCLUDED, is_hlc, offsetof(rki_flow, now.excluded), 1 },
        { RKI_M_HLC_LAG, is_hlc, offsetof(rki_flow, lag_us), 1e6 },
    };
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        for (const rki_flow *f = first_flow(w->r); f; f = f->next) {
            rki_label l[] = { label("from", f->from), label("to", f->to), label("topic", f->topic),
                              label("kind", f->kind), label("policy", f->policy) };
            uint64_t v;
            if (!f->live || !families[i].applies(f))
                continue;
            memcpy(&v, (const char *)f + families[i].at, sizeof v);
            give(w, &rki_metrics[families[i].id], l, families[i].id == RKI_M_EDGE_OVERFLOWED_ROWS ? 5 : 4,
                 (double)v / families[i].per);
        }
}

// ---- topics ---------------------------------------------------------------------------------------------------------

static uint32_t subscribers(const rki_plan *p, uint32_t kernel, uint32_t pub)
{
    uint32_t n = 0;
    for (uint32_t e = 0; e < p->n_edges; e++)
        n += p->edges[e].in && p->edges[e].in->topic && p->edges[e].in->kernel == kernel && p->edges[e].in->pub == pub;
    return n;
}

static void topic(const struct walk *w, int id, uint32_t kernel, uint32_t pub)
{
    const rki_plan *p = w->r->plan;
    rkp_str name = rkp_word_str(p->kernels[kernel].k->pubs[pub].topic);
    rki_label l[] = { { RKP_STR("topic"), name }, label("kernel", w->r->ks[kernel]->id) };
    uint64_t v = id == RKI_M_TOPIC_SUBSCRIBERS ? subscribers(p, kernel, pub) : 0;
    const rki_published *at = __atomic_load_n(&w->r->ks[kernel]->published, __ATOMIC_ACQUIRE);
    for (uint32_t q = 0; q < pub; q++) // of several ports
        if (rkp_str_eq(rkp_word_str(p->kernels[kernel].k->pubs[q].topic), name))
            return;
    for (; at && id != RKI_M_TOPIC_SUBSCRIBERS; at = at->next)
        if (rkp_str_is(name, at->topic))
            v += id == RKI_M_TOPIC_ROWS ? RKI_LOOK(at->rows) : RKI_LOOK(at->messages);
    give(w, &rki_metrics[id], l, 2, (double)v);
}

static void topics(const struct walk *w)
{
    static const int ids[] = { RKI_M_TOPIC_ROWS, RKI_M_TOPIC_MESSAGES, RKI_M_TOPIC_SUBSCRIBERS };
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        for (uint32_t k = 0; k < w->r->plan->n_kernels; k++)
            for (uint32_t q = 0; q < w->r->plan->kernels[k].k->n_pubs; q++)
                topic(w, ids[i], k, q);
}

// ---- the rest -------------------------------------------------------------------------------------------------------

static void pipeline(const struct walk *w)
{
    static const char *const states[] = { "running", "draining", "ending" };
    const rki_run *r = w->r;
    const char *state = rki_run_state(r);
    rki_label engine[] = { label("version", r->args.version ? r->args.version : ""),
                           label("backend", r->backend->name) };
    rki_label info[] = { label("pipeline", r->name), label("mode", r->plan->stream ? "stream" : "batch"),
                         label("delivery", rki_delivery_name(r->plan->delivery)) };
    give(w, &rki_metrics[RKI_M_ENGINE_INFO], engine, 2, 1);
    give(w, &rki_metrics[RKI_M_PIPELINE_INFO], info, 3, 1);
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        by(w, RKI_M_PIPELINE_STATE, "state", states[i], strcmp(state, states[i]) == 0);
    one(w, RKI_M_WORKERS, r->plan->workers);
}

static void checkpoints(const struct walk *w)
{
    rki_ckpt_counts *c = w->ckpt;
    uint64_t now = rki_wall_us(), since;
    if (!rki_ckpt_sums(w->r, c))
        return;
    one(w, RKI_M_CKPT_COUNT, (double)c->count);
    one(w, RKI_M_CKPT_FAILURES, (double)c->failures);
    rki_emit_hist(w->emit, w->arg, &rki_metrics[RKI_M_CKPT_DURATION], NULL, 0, &c->took, 1e9);
    if (c->last_us)
        one(w, RKI_M_CKPT_TIMESTAMP, (double)c->last_us / 1e6);
    since = c->last_us ? c->last_us : RKI_LOOK(w->r->started_us);
    one(w, RKI_M_CKPT_AGE, now > since ? (double)(now - since) / 1e6 : 0);
}

static void reloads(const struct walk *w)
{
    rki_run *r = w->r;
    uint64_t n[4], us, pause;
    bool failed;
    pthread_mutex_lock(&r->lock);
    memcpy(n, r->reloads, sizeof n);
    failed = r->reload_failed;
    us = r->reload_us;
    pause = r->reload_pause_ns;
    pthread_mutex_unlock(&r->lock);
    one(w, RKI_M_GENERATION, r->number);
    for (size_t i = 0; i < sizeof n / sizeof *n; i++)
        by(w, RKI_M_RELOADS, "outcome", rki_reload_outcomes[i], (double)n[i]);
    one(w, RKI_M_RELOAD_OK, !failed);
    one(w, RKI_M_RELOAD_TIMESTAMP, (double)(us ? us : RKI_LOOK(r->started_us)) / 1e6);
    one(w, RKI_M_RELOAD_PAUSE, (double)pause / 1e9);
}

static void alerts(const struct walk *w)
{
    rki_run *r = w->r;
    uint64_t published, dropped;
    pthread_mutex_lock(&r->lock);
    published = r->news.published;
    dropped = r->news.dropped;
    pthread_mutex_unlock(&r->lock);
    by(w, RKI_M_ALERT_MESSAGES, "outcome", "published", (double)published);
    by(w, RKI_M_ALERT_MESSAGES, "outcome", "dropped", (double)dropped);
    if (r->args.notified)
        r->args.notified(r->args.notified_arg, w->emit, w->arg);
}

static void memory(const struct walk *w)
{
    static const struct {
        int id;
        uint64_t (*of)(const rkp_pool *p);
    } families[] = {
        { RKI_M_MEMORY_USED, rkp_pool_used },
        { RKI_M_MEMORY_LIMIT, rkp_pool_limit },
        { RKI_M_MEMORY_PEAK, rkp_pool_peak },
    };
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        by(w, families[i].id, "pool", "batches", (double)families[i].of(w->r->pool));
        by(w, families[i].id, "pool", "state", (double)families[i].of(w->r->state_pool));
    }
}

static void dead_store(const struct walk *w)
{
    if (!w->r->dead_store)
        return;
    one(w, RKI_M_DEAD_STORE_BYTES, (double)rki_deadstore_bytes(w->r->dead_store));
    one(w, RKI_M_DEAD_STORE_LIMIT, (double)w->r->plan->spec->dead_store.bytes);
}

static void process(const struct walk *w)
{
    rki_process p;
    rki_process_read(&p);
    one(w, RKI_M_PROCESS_CPU, p.cpu_seconds);
    one(w, RKI_M_PROCESS_RESIDENT, (double)p.resident_bytes);
    one(w, RKI_M_PROCESS_VIRTUAL, (double)p.virtual_bytes);
    one(w, RKI_M_PROCESS_FDS, (double)p.fds);
    one(w, RKI_M_PROCESS_MAX_FDS, (double)p.max_fds);
    one(w, RKI_M_PROCESS_START, p.start_seconds);
}

static bool walk(struct walk *w)
{
    w->hist = rki_alloc(&w->mem, sizeof *w->hist);
    w->ckpt = rki_alloc(&w->mem, sizeof *w->ckpt);
    if (!w->hist || !w->ckpt || !read_kernels(w))
        return false;
    w->now_us = rki_clock_now_us(&w->r->clock);
    read_edges(w);
    pipeline(w);
    kernels(w);
    dead_store(w);
    edges(w);
    topics(w);
    if (w->r->leased)
        one(w, RKI_M_HLC_DRIFT, (double)__atomic_load_n(&w->r->drift_us, __ATOMIC_RELAXED) / 1e6);
    checkpoints(w);
    reloads(w);
    alerts(w);
    memory(w);
    process(w);
    return operators(w);
}

bool rki_run_metrics(rki_run *r, rki_emit emit, void *arg)
{
    struct walk w = { .r = r, .emit = emit, .arg = arg };
    bool ok;
    rki_arena_init(&w.mem);
    pthread_mutex_lock(&r->metrics_lock);
    pthread_rwlock_rdlock(&r->graph_lock);
    ok = walk(&w);
    pthread_rwlock_unlock(&r->graph_lock);
    pthread_mutex_unlock(&r->metrics_lock);
    rki_arena_fini(&w.mem);
    return ok;
}

bool rki_run_metrics_text(rki_run *r, rki_buf *out)
{
    rki_exposition x = { .out = out };
    return rki_run_metrics(r, rki_exposition_emit, &x) && !out->failed;
}
