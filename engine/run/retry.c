// run/retry.c - when what has failed is tried again: `retry`, and the waits of `restart`.
//
// Who tries waits without a thread: it answers RKP_RETRY, or sets a timer, and is woken when the time has come.
#include "run/meter.h"

uint64_t rki_backoff_ns(const rki_backoff *b, uint64_t n, uint64_t salt)
{
    double ns = (double)b->initial_ns, max = (double)b->max_ns, share;
    for (uint64_t i = 1; i < n && ns < max && b->multiplier > 1; i++)
        ns *= b->multiplier;
    ns = ns < max ? ns : max;
    // Not random, so that a run can be had again: any spread does, as long as kernels that failed together do not all come back together.
    share =
        (double)((salt * UINT64_C(0x9e3779b97f4a7c15) + n) * UINT64_C(0xd6e8feb86659fd93) >> 40) / (double)(1 << 24);
    return (uint64_t)(ns * (1 - b->jitter * share));
}

static bool listed(const rkp_words *errors, const char *error)
{
    if (!errors->v)
        return true;
    for (size_t i = 0; i < errors->n; i++)
        if (rkp_str_is(rkp_word_str(errors->v[i]), error))
            return true;
    return false;
}

bool rkp_retry_at(rkp_actor *a, const char *error, uint64_t attempts, uint64_t first_ns, uint64_t *at_ns)
{
    const rki_retry_conf *c = &a->bound->k->retry;
    uint64_t now = rkp_now_ns(a), at;
    if (attempts >= c->max_attempts || a->leaving || !listed(&c->errors, error))
        return false;
    at = now + rki_backoff_ns(&c->backoff, attempts, ((uint64_t)a->r->id << 32) + a->meter->retries);
    if (c->max_elapsed_ns && at - first_ns > c->max_elapsed_ns)
        return false;
    RKI_ADD(a->meter->retries, 1);
    *at_ns = at;
    return true;
}
