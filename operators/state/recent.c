// recent: see recent.h.
#include "recent.h"

#include <stdlib.h>

static const uint32_t none = UINT32_MAX;

void rks_recent_init(rks_recent *r, rks_table *t)
{
    *r = (rks_recent){ .table = t };
    for (unsigned o = 0; o < RKS_ORDERS; o++)
        r->first[o] = r->last[o] = none;
    t->id_at = t->user_at + (uint32_t)offsetof(rks_recent_key, id);
}

rks_recent_key *rks_recent_of(const rks_recent *r, uint32_t id)
{
    return (rks_recent_key *)(void *)(rks_table_rec(r->table, id) + r->table->user_at);
}

void rks_recent_add(rks_recent *r, uint32_t id, unsigned order)
{
    rks_recent_key *k = rks_recent_of(r, id);

    k->before[order] = r->last[order];
    k->after[order] = none;
    if (r->last[order] == none)
        r->first[order] = id;
    else
        rks_recent_of(r, r->last[order])->after[order] = id;
    r->last[order] = id;
}

static void unlink_key(rks_recent *r, const rks_recent_key *k, unsigned order)
{
    uint32_t before = k->before[order], after = k->after[order];

    if (before == none)
        r->first[order] = after;
    else
        rks_recent_of(r, before)->after[order] = after;
    if (after == none)
        r->last[order] = before;
    else
        rks_recent_of(r, after)->before[order] = before;
}

void rks_recent_seen(rks_recent *r, uint32_t id)
{
    if (r->last[RKS_BY_USE] == id)
        return;
    unlink_key(r, rks_recent_of(r, id), RKS_BY_USE);
    rks_recent_add(r, id, RKS_BY_USE);
}

rkp_status rks_recent_forget(rks_recent *r, uint32_t id)
{
    const rks_recent_key was = *rks_recent_of(r, id);
    rkp_status st = rks_table_remove(r->table, id);

    if (st != RKP_OK)
        return st;
    for (unsigned o = 0; o < RKS_ORDERS; o++)
        unlink_key(r, &was, o);
    return RKP_OK;
}

struct aged {
    int64_t made_ns;
    uint32_t at, id; // at: in use, so that the order of equals is always the same
};

static int by_age(const void *x, const void *y)
{
    const struct aged *a = x, *b = y;

    if (a->made_ns != b->made_ns)
        return a->made_ns < b->made_ns ? -1 : 1;
    return a->at < b->at ? -1 : a->at > b->at;
}

rkp_status rks_recent_sort(rks_recent *r)
{
    uint32_t n = 0;
    struct aged *v = malloc((r->table->n_live + 1ull) * sizeof *v);

    if (!v)
        return RKP_NOMEM;
    for (uint32_t id = r->first[RKS_BY_USE]; id != none; id = rks_recent_of(r, id)->after[RKS_BY_USE]) {
        v[n] = (struct aged){ rks_recent_of(r, id)->made_ns, n, id };
        n++;
    }
    qsort(v, n, sizeof *v, by_age);
    r->first[RKS_BY_AGE] = r->last[RKS_BY_AGE] = none;
    for (uint32_t i = 0; i < n; i++)
        rks_recent_add(r, v[i].id, RKS_BY_AGE);
    free(v);
    return RKP_OK;
}
