// run/where.c - `where`: the rows of a message that a subscription wants.
//
// Subscriptions of one kernel that a templated topic may meet share an edge, so the rows of one message may be those of
// several subscriptions, each with a condition of its own: the first that matches a row's topic decides about it.
#include "run/actor.h"

#include "flow/topic.h"
#include <stdlib.h>

struct choice {
    rki_runner *r;
    rkp_batch *b, *mem;
    uint32_t *rows, *out; // room for all rows
    uint32_t n;           // of out
    rkp_errs *errs;
};

static const rkp_expr *of_topic(const rki_inset *in, const rki_bound *to, rkp_str topic)
{
    for (uint32_t i = 0; topic.p && i < to->k->n_subs; i++)
        if ((in->where_any || in->where_subs >> i & 1) && rki_topic_match(rkp_word_str(to->k->subs[i].topic), topic))
            return to->where[i];
    return NULL;
}

static bool filter(struct choice *c, const rkp_expr *where, const uint32_t *rows, uint32_t n, uint32_t *out,
                   uint32_t *n_out)
{
    rkp_actor *head = c->r->acts[0];
    return rkp_expr_filter(where, head->frame, c->b, &head->meta, rows, n, out, n_out, c->errs) == RKP_OK;
}

static int by_row(const void *x, const void *y)
{
    const rkp_err *p = x, *q = y;
    return p->row < q->row ? -1 : p->row > q->row;
}

// Each topic's rows by its own condition, then all that are wanted in their order.
static bool by_topic(struct choice *c, const rki_inset *in)
{
    const rki_bound *to = c->r->acts[0]->bound;
    uint32_t n_topics = c->b->topics ? c->b->topics->n : 0, n, kept;
    uint8_t *wanted = rkp_batch_alloc(c->mem, c->b->rows + 1u), *done = rkp_batch_alloc(c->mem, n_topics + 1u);
    const rkp_expr **where = rkp_batch_alloc(c->mem, (n_topics + 1u) * sizeof *where);
    if (!wanted || !done || !where)
        return false;
    memset(wanted, 1, c->b->rows);
    memset(done, 0, n_topics);
    for (uint32_t t = 0; t < n_topics; t++)
        where[t] = of_topic(in, to, c->b->topics->names[t]);
    for (uint32_t t = 0; t < n_topics; t++) {
        if (done[t] || !where[t])
            continue;
        for (uint32_t u = t; u < n_topics; u++)
            done[u] |= where[u] == where[t];
        n = 0;
        for (uint32_t i = 0; i < c->b->rows; i++) {
            bool his = where[c->b->topic_of ? c->b->topic_of[i] : 0] == where[t];
            c->rows[n] = i;
            n += his;
            wanted[i] = his ? 0 : wanted[i];
        }
        if (!filter(c, where[t], c->rows, n, c->out, &kept))
            return false;
        for (uint32_t i = 0; i < kept; i++)
            wanted[c->out[i]] = 1;
    }
    for (uint32_t i = 0; i < c->b->rows; i++) {
        c->out[c->n] = i;
        c->n += wanted[i];
    }
    if (c->errs->n)
        qsort(c->errs->v, c->errs->n, sizeof *c->errs->v, by_row);
    return true;
}

rkp_batch *rki_wanted_rows(rki_runner *r, const rki_inset *in, rkp_batch *b)
{
    rkp_actor *head = r->acts[0];
    rki_link *k = in->links[in->n == 1 ? 0 : in->cur];
    rkp_batch *out = NULL;
    struct choice c = { .r = r, .b = b, .mem = rkp_batch_new(r->run->pool, NULL, 0, 4096) };
    c.errs = rkp_actor_errs(head);
    c.rows = c.mem ? rkp_batch_alloc(c.mem, (b->rows + 1u) * sizeof *c.rows) : NULL;
    c.out = c.mem ? rkp_batch_alloc(c.mem, (b->rows + 1u) * sizeof *c.out) : NULL;
    head->meta.stamp = r->in_stamp;
    if (!c.rows || !c.out || !rkp_actor_frame(head) ||
        !(in->where ? filter(&c, in->where, NULL, b->rows, c.out, &c.n) : by_topic(&c, in))) {
        rkp_fail(head, RKP_NOMEM, "out of memory while choosing rows");
        goto out;
    }
    RKI_ADD(k->filtered_rows, b->rows - c.n - c.errs->n);
    if (c.errs->n) {
        RKI_ADD(head->counts.rows_in, c.errs->n); // they are the kernel's, as bad rows
        rkp_reject(head, b, c.errs);
    }
    if (c.n == b->rows)
        out = rkp_batch_get(b);
    else if (c.n && !(out = rkp_batch_pick(b, c.out, c.n)))
        rkp_fail(head, RKP_NOMEM, "out of memory while choosing rows");
out:
    rkp_batch_put(c.mem);
    rkp_batch_put(b);
    return out;
}
