// run/kept.c - retained messages of an edge: of each topic the last `count`, within `bytes` and `age`, replayed when its subscription begins.
//
// A batch is a message of each topic that its rows have.  Each topic has a queue of the batches of which it is retained, so what a newer message
// puts an end to is found at once, however many topics and messages there are.  Rows that are retained no more stay in their batch until they are
// a quarter of it.
#include "run/actor.h"

#include "flow/text_hash.h"
#include <stdlib.h>
#include <string.h>

struct kept_one {
    struct kept_one *before, *behind; // older, newer
    rkp_batch *b;
    uint64_t id, ns, bytes, emission;
    uint32_t live; // rows that are retained; of a batch of one topic 1
};

struct kept_part {
    struct kept_one *m;
    uint32_t live; // of its rows those of the topic
};

struct kept_topic {
    uint64_t hash;
    struct kept_part *v; // a circle; cap is a power of two
    uint32_t first, n, cap, len;
    char name[];
};

struct rki_kept {
    const rki_topic_conf *conf;
    bool last_only;
    struct kept_one *oldest, *newest;
    uint64_t id, bytes;
    struct kept_topic **topics; // a table; slots is a power of two
    uint32_t n_topics, slots;
};

// ---- topics ---------------------------------------------------------------------------------------------------------

static uint32_t slot_of(const struct rki_kept *k, rkp_str name, uint64_t hash)
{
    uint32_t i = (uint32_t)hash & (k->slots - 1);
    while (k->topics[i] &&
           (k->topics[i]->hash != hash || !rkp_str_eq((rkp_str){ k->topics[i]->name, k->topics[i]->len }, name)))
        i = (i + 1) & (k->slots - 1);
    return i;
}

static struct kept_topic *topic_at(const struct rki_kept *k, rkp_str name)
{
    return k->slots ? k->topics[slot_of(k, name, rki_text_hash(name.p, name.n, 0))] : NULL;
}

static bool more_slots(struct rki_kept *k)
{
    uint32_t slots = k->slots ? k->slots * 2 : 16;
    struct kept_topic **now = calloc(slots, sizeof(struct kept_topic *));
    if (!now)
        return false;
    for (uint32_t i = 0; i < k->slots; i++) {
        uint32_t at;
        if (!k->topics[i])
            continue;
        for (at = (uint32_t)k->topics[i]->hash & (slots - 1); now[at]; at = (at + 1) & (slots - 1))
            ;
        now[at] = k->topics[i];
    }
    free(k->topics);
    k->topics = now;
    k->slots = slots;
    return true;
}

static struct kept_topic *topic_new(struct rki_kept *k, rkp_str name)
{
    struct kept_topic *t;
    if ((k->n_topics + 1) * 4 > k->slots * 3 && !more_slots(k))
        return NULL;
    t = calloc(1, sizeof *t + name.n + 1);
    if (!t)
        return NULL;
    t->hash = rki_text_hash(name.p, name.n, 0);
    t->len = (uint32_t)name.n;
    memcpy(t->name, name.n ? name.p : "", name.n);
    k->topics[slot_of(k, name, t->hash)] = t;
    k->n_topics++;
    return t;
}

// What stands behind it moves up, so that finds do not end at its slot.
static void topic_free(struct rki_kept *k, struct kept_topic *t)
{
    uint32_t mask = k->slots - 1, hole = slot_of(k, (rkp_str){ t->name, t->len }, t->hash);
    for (uint32_t i = (hole + 1) & mask; k->topics[i]; i = (i + 1) & mask) {
        uint32_t home = (uint32_t)k->topics[i]->hash & mask;
        if (((i - home) & mask) < ((i - hole) & mask))
            continue;
        k->topics[hole] = k->topics[i];
        hole = i;
    }
    k->topics[hole] = NULL;
    k->n_topics--;
    free(t->v);
    free(t);
}

static struct kept_part *part_at(const struct kept_topic *t, uint32_t i)
{
    return &t->v[(t->first + i) & (t->cap - 1)];
}

static struct kept_part *part_new(struct kept_topic *t)
{
    if (t->n == t->cap) {
        uint32_t cap = t->cap ? t->cap * 2 : 1;
        struct kept_part *v = malloc(cap * sizeof *v);
        if (!v)
            return NULL;
        for (uint32_t i = 0; i < t->n; i++)
            v[i] = *part_at(t, i);
        free(t->v);
        t->v = v;
        t->first = 0;
        t->cap = cap;
    }
    return part_at(t, t->n++);
}

// ---- messages -------------------------------------------------------------------------------------------------------

static void let_go(struct rki_kept *k, struct kept_one *m)
{
    *(k->oldest == m ? &k->oldest : &m->before->behind) = m->behind;
    *(k->newest == m ? &k->newest : &m->behind->before) = m->before;
    k->bytes -= m->bytes;
    rkp_batch_put(m->b);
    free(m);
}

static bool retained(const struct rki_kept *k, const struct kept_one *m, uint32_t row)
{
    const struct kept_topic *t = topic_at(k, rkp_batch_topic(m->b, row));
    return t && t->n && part_at(t, 0)->m->id <= m->id;
}

// The rows that are retained, as a batch of its own.  NULL: there is no memory for it.
static rkp_batch *retained_rows(const struct rki_kept *k, const struct kept_one *m)
{
    rkp_batch *b = m->b, *rest;
    uint32_t *rows, n = 0;
    if (!b->topic_of || m->live == b->rows)
        return rkp_batch_get(b);
    rows = malloc((b->rows + 1u) * sizeof *rows);
    for (uint32_t i = 0; rows && i < b->rows; i++) {
        rows[n] = i;
        n += retained(k, m, i);
    }
    rest = rows ? rkp_batch_pick(b, rows, n) : NULL;
    free(rows);
    return rest;
}

// Some of its rows are retained no more.
static void look_at_rest(struct rki_kept *k, struct kept_one *m)
{
    rkp_batch *rest;
    if (!m->live) {
        let_go(k, m);
        return;
    }
    if (m->live >= m->b->rows - m->b->rows / 4 || !(rest = retained_rows(k, m)))
        return;
    rkp_batch_put(m->b);
    k->bytes -= m->bytes;
    m->b = rest;
    m->bytes = rki_weight(rest);
    k->bytes += m->bytes;
}

// A row of the newest message.  false: there is no memory for it.
static bool add_row(struct rki_kept *k, struct kept_one *m, rkp_str name, uint64_t count)
{
    struct kept_topic *t = topic_at(k, name);
    struct kept_part *p;
    if (!t && !(t = topic_new(k, name)))
        return false;
    p = t->n ? part_at(t, t->n - 1) : NULL;
    if (!p || p->m != m) {
        p = part_new(t);
        if (!p) {
            if (!t->n)
                topic_free(k, t);
            return false;
        }
        *p = (struct kept_part){ m, 0 };
    }
    p->live++;
    m->live++;
    while (t->n > count && part_at(t, 0)->m != m) {
        struct kept_part old = *part_at(t, 0);
        t->first = (t->first + 1) & (t->cap - 1);
        t->n--;
        old.m->live -= old.live;
        look_at_rest(k, old.m);
    }
    return true;
}

static uint32_t rows_of(const rkp_batch *b)
{
    return b->topic_of ? b->rows : 1;
}

// The oldest or the newest message, with what its topics know of it.
static void drop(struct rki_kept *k, struct kept_one *m)
{
    for (uint32_t i = 0; i < rows_of(m->b); i++) {
        struct kept_topic *t = topic_at(k, rkp_batch_topic(m->b, i));
        if (!t)
            continue;
        if (part_at(t, t->n - 1)->m == m) {
            t->n--;
        } else if (part_at(t, 0)->m == m) {
            t->first = (t->first + 1) & (t->cap - 1);
            t->n--;
        }
        if (!t->n)
            topic_free(k, t);
    }
    let_go(k, m);
}

void rki_keep(rki_runner *r, rki_outset *o, rkp_batch *b)
{
    struct rki_kept *k = o->kept;
    uint64_t count = k->last_only ? 1 : k->conf->retain.count, now;
    struct kept_one *m = o->gated ? calloc(1, sizeof *m) : NULL;
    if (!m)
        return;
    now = rkp_now_ns(r->acts[0]);
    *m = (struct kept_one){ k->newest, NULL, rkp_batch_get(b), k->id++, now, rki_weight(b), r->emission, 0 };
    *(m->before ? &m->before->behind : &k->oldest) = m;
    k->newest = m;
    k->bytes += m->bytes;
    for (uint32_t i = 0; i < rows_of(b); i++)
        if (!add_row(k, m, rkp_batch_topic(b, i), count)) {
            drop(k, m);
            return;
        }
    if (!m->live) {
        let_go(k, m);
        return;
    }
    while (k->oldest != k->newest && k->bytes > k->conf->retain.bytes)
        drop(k, k->oldest);
    while (k->oldest && k->conf->retain.age_ns && now - k->oldest->ns > k->conf->retain.age_ns)
        drop(k, k->oldest);
}

void rki_keep_back(rki_outset *o, uint64_t emission)
{
    while (o->kept && o->kept->newest && o->kept->newest->emission > emission)
        drop(o->kept, o->kept->newest);
}

// ---- subscriptions that begin ---------------------------------------------------------------------------------------

static void replay(rki_runner *r, rki_outset *o)
{
    const struct rki_kept *k = o->kept;
    uint64_t now = rkp_now_ns(r->acts[0]), limit = k->conf->retain.age_ns;
    for (const struct kept_one *m = k->oldest; m; m = m->behind) {
        rkp_batch *b = limit && now - m->ns > limit ? NULL : retained_rows(k, m);
        if (!b)
            continue;
        r->emission++;
        r->stamp = rkp_hlc_tick(&r->clock, r->pt_us);
        rki_out_push(r, o, b);
    }
}

void rki_open_gates(rki_runner *r)
{
    for (uint32_t i = 0; i < r->n_outs; i++) {
        rki_outset *o = &r->outs[i];
        bool closed;
        if (!o->gated)
            continue;
        // Acquire, from the release of who activates or ends the consumer; nothing but the words themselves.
        closed = __atomic_load_n(&o->links[0]->closed, __ATOMIC_ACQUIRE);
        if (!closed && !__atomic_load_n(&o->open_now, __ATOMIC_ACQUIRE))
            continue;
        o->gated = false;
        if (o->kept && !closed)
            replay(r, o);
        rki_kept_free(o);
        if (r->end_sent) { // it waited for this
            r->emission++;
            rki_box_end(r, o);
        }
    }
}

// Nothing more comes: what is retained waits in the ring for the subscription to begin.
void rki_end_gates(rki_runner *r)
{
    for (uint32_t i = 0; i < r->n_outs; i++)
        if (r->outs[i].gated)
            __atomic_store_n(&r->outs[i].open_now, 1, __ATOMIC_RELAXED);
    rki_open_gates(r);
}

rki_kept *rki_kept_new(const rki_topic_conf *conf, bool last_only)
{
    rki_kept *k = calloc(1, sizeof *k);
    if (k) {
        k->conf = conf;
        k->last_only = last_only;
    }
    return k;
}

void rki_kept_moved(rki_outset *o)
{
    if (o->kept && o->edge->in && o->edge->in->conf)
        o->kept->conf = o->edge->in->conf;
}

void rki_kept_free(rki_outset *o)
{
    struct rki_kept *k = o->kept;
    if (!k)
        return;
    while (k->oldest)
        let_go(k, k->oldest);
    for (uint32_t i = 0; i < k->slots; i++)
        if (k->topics[i]) {
            free(k->topics[i]->v);
            free(k->topics[i]);
        }
    free(k->topics);
    free(k);
    o->kept = NULL;
}
