// run/meter.c - times of steps and of batches, and where counts live that outlast instances and rings.
#include "run/meter.h"

#include <stdlib.h>

const char *rki_flush_name(int why)
{
    static const char *const names[RKI_N_FLUSHES] = {
        [RKI_FLUSH_NO] = "",           [RKI_FLUSH_COUNT] = "count", [RKI_FLUSH_BYTES] = "bytes",
        [RKI_FLUSH_PERIOD] = "period", [RKI_FLUSH_IDLE] = "idle",   [RKI_FLUSH_BARRIER] = "barrier",
        [RKI_FLUSH_RELOAD] = "reload", [RKI_FLUSH_TOPIC] = "topic", [RKI_FLUSH_END] = "end",
    };
    return names[why];
}

// ---- where they live ------------------------------------------------------------------------------------------------

rki_meter *rki_meter_of(rki_kstate *k, int role, uint32_t replica)
{
    rki_meter *m = k->meters;
    while (m && (m->role != role || m->replica != replica))
        m = m->next;
    if (m || !(m = calloc(1, sizeof *m)))
        return m;
    m->role = role;
    m->replica = replica;
    m->next = k->meters;
    // Release, to the acquire of who walks over them: what it is.
    __atomic_store_n(&k->meters, m, __ATOMIC_RELEASE);
    return m;
}

static const char *keep(rki_run *r, rkp_str s)
{
    return s.n ? rki_dup(&r->arena, s.p, s.n) : "";
}

rki_published *rki_published_of(rki_run *r, rki_kstate *k, rkp_str topic, uint32_t replica)
{
    rki_published *p = k->published;
    while (p && (p->replica != replica || !rkp_str_is(topic, p->topic)))
        p = p->next;
    if (p || !(p = aligned_alloc(64, 64)))
        return p;
    *p = (rki_published){ .next = k->published, .topic = keep(r, topic), .replica = replica };
    if (!p->topic) {
        free(p);
        return NULL;
    }
    __atomic_store_n(&k->published, p, __ATOMIC_RELEASE); // as above
    return p;
}
_Static_assert(sizeof(rki_published) <= 64, "a line of its own");

rki_flow *rki_flow_of(rki_run *r, const rki_plan *p, const rki_edge *e)
{
    uint32_t from = p->stages[e->from_stage].kernel, to = p->stages[e->to_stage].kernel;
    bool topic = e->in && e->in->topic && !e->dead;
    rkp_str name = topic ? rkp_word_str(p->kernels[e->in->kernel].k->pubs[e->in->pub].topic) : (rkp_str){ "", 0 };
    const char *kind = e->dead                 ? "dead_letter"
                       : e->in && e->in->reply ? "reply"
                       : topic                 ? "topic"
                       : from == to            ? "internal"
                                               : "direct";
    rki_flow *f = r->flows;
    while (f && (strcmp(f->from, p->kernels[from].k->id.p) != 0 || strcmp(f->to, p->kernels[to].k->id.p) != 0 ||
                 strcmp(f->kind, kind) != 0 || !rkp_str_is(name, f->topic)))
        f = f->next;
    if (f || !(f = rki_alloc(&r->arena, sizeof *f)))
        return f;
    *f = (rki_flow){ .from = keep(r, rkp_word_str(p->kernels[from].k->id)),
                     .to = keep(r, rkp_word_str(p->kernels[to].k->id)),
                     .topic = keep(r, name),
                     .kind = kind,
                     .policy = "block",
                     .next = r->flows };
    if (!f->from || !f->to || !f->topic)
        return NULL;
    __atomic_store_n(&r->flows, f, __ATOMIC_RELEASE); // as above
    return f;
}

void rki_kstate_free(rki_kstate *k)
{
    rki_meter *m;
    rki_published *p;
    if (!k)
        return;
    while ((m = k->meters)) {
        k->meters = m->next;
        free(m);
    }
    while ((p = k->published)) {
        k->published = p->next;
        free(p);
    }
    free(k->shown);
    free(k);
}

void rki_flow_add(rki_flow_sums *to, const rki_link *k)
{
    to->got += RKI_LOOK(k->got_rows); // before what was sent: so that rows in flight are never negative
    to->over += RKI_LOOK(k->overflowed_rows);
    to->spilled += RKI_LOOK(k->spilled_rows);
    to->sent += RKI_LOOK(k->sent_rows);
    to->filtered += RKI_LOOK(k->filtered_rows);
    to->late += RKI_LOOK(k->late);
    to->excluded += RKI_LOOK(k->n_excluded);
    to->waits += RKI_LOOK(k->waits);
    to->blocked_us += RKI_LOOK(k->blocked_us);
}

void rki_meters_times(const rki_kstate *k, uint64_t *busy_ns, rki_hist *work, rki_hist *late)
{
    // Acquire, from the release of who adds one.
    for (const rki_meter *m = __atomic_load_n(&k->meters, __ATOMIC_ACQUIRE); m; m = m->next) {
        if (busy_ns)
            *busy_ns += RKI_LOOK(m->busy_ns);
        if (work)
            rki_hist_merge(work, &m->work);
        if (late)
            rki_hist_merge(late, &m->late);
    }
}

static void quantiles_json(rki_json *j, const char *key, const rki_hist *h)
{
    static const struct {
        const char *name;
        double q;
    } all[] = { { "p50", 0.5 }, { "p90", 0.9 }, { "p99", 0.99 }, { "p999", 0.999 } };
    rki_json_key(j, key);
    rki_json_object(j);
    rki_json_put_u64(j, "count", rki_hist_count(h));
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        rki_json_put_f64(j, all[i].name, rki_hist_quantile(h, all[i].q) / 1e9);
    rki_json_end_object(j);
}

void rki_times_json(rki_json *j, const rki_kstate *k)
{
    rki_hist work = { 0 }, late = { 0 };
    bool sink = k->op->kind == RKP_SINK;
    rki_meters_times(k, NULL, &work, sink ? &late : NULL);
    quantiles_json(j, "batch_seconds", &work);
    if (sink)
        quantiles_json(j, "latency_seconds", &late);
}

// ---- steps ----------------------------------------------------------------------------------------------------------
//
// A step is measured as a whole.  Where it runs several stages, every 64th is also measured between them, and the others are divided in
// the proportions of those.

enum { TIMED_STEPS = 64 };

static uint64_t mono_ns(const rki_runner *r)
{
    const rki_clock *c = &r->run->clock;
    return c->time.mono_ns(c->time.ctx);
}

void rki_meter_begin(rki_runner *r)
{
    r->begun_ns = r->looked_ns;
    r->begun_emission = r->emission;
    r->took = 0;
    r->n_born = 0;
    r->timing = r->n_stages > 1 && r->measured++ % TIMED_STEPS == 0;
    if (RKP_LIKELY(!r->timing))
        return;
    r->timed_ns = r->begun_ns;
    r->timed_at = r->acts[0];
    for (uint32_t i = 0; i < r->n_stages; i++)
        r->acts[i]->spent_ns = 0;
}

rkp_actor *rki_meter_enter(rki_runner *r, rkp_actor *a)
{
    rkp_actor *was = r->timed_at;
    uint64_t now = mono_ns(r);
    was->spent_ns += now - r->timed_ns;
    r->timed_ns = now;
    r->timed_at = a;
    return was;
}

void rki_meter_late(rki_runner *r, uint64_t now_us)
{
    for (uint32_t i = 0; i < r->n_born; i++) {
        uint64_t born = r->born[i].us;
        rki_hist_add(&r->born[i].a->meter->late, now_us > born ? (now_us - born) * 1000 : 0, r->born[i].times);
    }
    r->n_born = 0;
}

// What part of a timed step each stage had; the newest counts for a fourth.
static void learn_shares(rki_runner *r, uint64_t ns)
{
    double left = 1;
    for (uint32_t i = r->n_stages; i-- > 1;) {
        rkp_actor *a = r->acts[i];
        double share = ns ? (double)a->spent_ns / (double)ns : a->share;
        a->share = r->measured == 1 ? share : a->share + (share - a->share) / 4;
        left -= a->share;
    }
    r->acts[0]->share = left > 0 ? left : 0;
}

static void count_work(rkp_actor *a, uint64_t ns, uint32_t batches)
{
    RKI_ADD(a->meter->busy_ns, ns);
    if (RKP_LIKELY(batches))
        rki_hist_add(&a->meter->work, ns / batches, batches);
}

void rki_meter_end(rki_runner *r)
{
    uint64_t now, ns;
    if (!r->took && r->emission == r->begun_emission) { // it had nothing to do
        r->measured -= r->timing;
        return;
    }
    now = mono_ns(r);
    ns = now - r->begun_ns;
    if (r->n_born)
        rki_meter_late(r, rki_clock_at_us(&r->run->clock, now));
    if (RKP_LIKELY(r->n_stages == 1)) {
        count_work(r->acts[0], ns, r->took);
        return;
    }
    if (r->timing) {
        r->timed_at->spent_ns += now - r->timed_ns;
        learn_shares(r, ns);
    }
    for (uint32_t i = 0; i < r->n_stages; i++) {
        rkp_actor *a = r->acts[i];
        count_work(a, r->timing ? a->spent_ns : (uint64_t)((double)ns * a->share), r->took);
    }
}
