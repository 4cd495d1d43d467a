// run/batcher.c - `batch`: messages at a kernel's input become batches of the size that it asks for.
//
// A large message is cut into slices, which copies nothing; small ones are copied together.  What was made from different requests, or came
// over different topics, is never put together.  What waits for more rows is given on at `period` after its first row came, when the kernel
// would be idle (period 0, and in a stream the default), and at the end.
#include "run/meter.h"

#include <stdlib.h>

struct rki_batcher {
    const rki_kernel *k;
    const rkp_schema *schema;
    bool when_idle;
    rkp_batch *in; // the message at hand, and how far it is given on
    uint32_t at;
    uint64_t in_corr;
    rkp_builder *made; // rows that wait for more
    uint32_t rows;
    uint64_t bytes, since_ns, corr, born_us; // born_us: of the first of them
    uint64_t trace, span;                    // of the first of them that is part of one
    const rkp_topics *topics;
    uint64_t *flushes; // by rki_flush_why
};

rki_batcher *rki_batcher_new(rki_run *r, const rki_plan *p, const rki_bound *b, rki_meter *m)
{
    rki_batcher *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->k = b->k;
    s->schema = &b->in;
    s->flushes = m->flushes;
    s->when_idle = b->k->batch_period_given ? b->k->batch_period_ns == 0 : p->stream;
    s->made = rkp_builder_new(r->pool, &b->in);
    if (!s->made) {
        free(s);
        return NULL;
    }
    rkp_builder_keep_text(s->made);
    return s;
}

uint64_t rki_batcher_rows(const rki_batcher *s)
{
    return s ? s->rows + (s->in ? s->in->rows - s->at : 0) : 0;
}

bool rki_batcher_full(const rki_batcher *s)
{
    return s->in != NULL;
}

void rki_batcher_free(rki_batcher *s)
{
    if (!s)
        return;
    rkp_batch_put(s->in);
    rkp_builder_free(s->made);
    free(s);
}

// Only when rki_batcher_get has given NULL.  Takes b.
void rki_batcher_put(rki_batcher *s, rkp_batch *b, uint64_t corr)
{
    s->in = b;
    s->at = 0;
    s->in_corr = corr;
}

// Rows of the message at hand that make a batch of their own, and by which limit.
static uint32_t most_rows(const rki_batcher *s, rki_flush_why *why)
{
    uint64_t n = s->k->batch_count ? s->k->batch_count : UINT32_MAX, each;
    *why = RKI_FLUSH_COUNT;
    if (s->k->batch_bytes && s->in->rows) {
        each = rki_weight(s->in) / s->in->rows;
        if (s->k->batch_bytes / (each + 1) < n) {
            n = s->k->batch_bytes / (each + 1);
            *why = RKI_FLUSH_BYTES;
        }
    }
    return n < 1 ? 1 : (uint32_t)n;
}

static rkp_batch *finish(rki_batcher *s)
{
    rkp_batch *b = rkp_builder_finish(s->made);
    if (b) {
        b->topics = s->topics;
        b->in_bytes = s->bytes;
        b->born_us = s->born_us;
        b->trace = s->trace;
        b->span = s->span;
    }
    s->rows = 0;
    s->bytes = 0;
    s->trace = 0;
    return b;
}

static bool goes_together(const rki_batcher *s)
{
    return s->in_corr == s->corr && s->in->topics == s->topics && !s->in->topic_of;
}

static bool add(rki_batcher *s, uint32_t n, uint64_t now_ns)
{
    rkp_batch *part = s->at == 0 && n == s->in->rows ? rkp_batch_get(s->in) : rkp_batch_slice(s->in, s->at, n);
    rkp_errs errs = { 0 };
    bool ok = part && rkp_builder_add(s->made, part, NULL, n, &errs) == RKP_OK && !errs.n;
    if (!s->rows) {
        s->since_ns = now_ns;
        s->born_us = s->in->born_us;
        s->corr = s->in_corr;
        s->topics = s->in->topics;
    }
    if (RKP_UNLIKELY(s->in->trace) && !s->trace) {
        s->trace = s->in->trace;
        s->span = s->in->span;
    }
    s->rows += n;
    s->bytes += part ? part->in_bytes : 0;
    rkp_errs_fini(&errs);
    rkp_batch_put(part);
    return ok;
}

static rkp_batch *cut(rki_batcher *s, uint32_t n)
{
    rkp_batch *b = s->at == 0 && n == s->in->rows ? rkp_batch_get(s->in) : rkp_batch_slice(s->in, s->at, n);
    s->at += n;
    if (s->at == s->in->rows) {
        rkp_batch_put(s->in);
        s->in = NULL;
    }
    return b;
}

bool rki_batcher_due(const rki_batcher *s, uint64_t now_ns, bool idle, uint64_t *wake_ns)
{
    if (!s->rows)
        return false;
    if (s->when_idle)
        return idle;
    if (!s->k->batch_period_ns)
        return false;
    if (now_ns >= s->since_ns + s->k->batch_period_ns)
        return true;
    *wake_ns =
        !*wake_ns || s->since_ns + s->k->batch_period_ns < *wake_ns ? s->since_ns + s->k->batch_period_ns : *wake_ns;
    return false;
}

// The next batch, or NULL: more rows are needed, or memory is out (*nomem).  `why` not RKI_FLUSH_NO: what there is.
rkp_batch *rki_batcher_get(rki_batcher *s, uint64_t now_ns, rki_flush_why why, uint64_t *corr, bool *nomem)
{
    rkp_batch *b;
    while (s->in) {
        rki_flush_why limit;
        uint32_t rest = s->in->rows - s->at, most = most_rows(s, &limit), n;
        if (s->rows && (!goes_together(s) || s->rows >= most)) {
            why = goes_together(s) ? limit : RKI_FLUSH_TOPIC;
            break;
        }
        if (!rest) {
            rkp_batch_put(s->in);
            s->in = NULL;
            break;
        }
        if (!s->rows && (rest >= most || s->in->topic_of)) {
            *corr = s->in_corr;
            b = cut(s, rest < most ? rest : most);
            *nomem |= !b;
            RKI_ADD(s->flushes[rest < most ? RKI_FLUSH_TOPIC : limit], 1);
            return b;
        }
        n = rest < most - s->rows ? rest : most - s->rows;
        if (!add(s, n, now_ns)) {
            *nomem = true;
            return NULL;
        }
        s->at += n;
        if (s->at == s->in->rows) {
            rkp_batch_put(s->in);
            s->in = NULL;
        }
        if (s->rows == most) {
            why = limit;
            break;
        }
    }
    if (!s->rows || why == RKI_FLUSH_NO)
        return NULL;
    *corr = s->corr;
    b = finish(s);
    RKI_ADD(s->flushes[why], 1);
    *nomem |= !b;
    return b;
}
