// operators/state/recent.h - the keys of a table in two orders: since when they are known, and when they were seen last.
//
//   Owns     nothing: the links lie in the records of a table whose user bytes begin with a rks_recent_key
//   Threads  the actor's
//   Fails    -
//   Limits   -
//   Cost     a few stores for each row
#ifndef RKS_RECENT_H
#define RKS_RECENT_H

#include "keys.h"

enum { RKS_BY_AGE, RKS_BY_USE, RKS_ORDERS };

typedef struct rks_recent_key {
    int64_t made_ns; // of the actor's clock; before its beginning when it has come with a checkpoint
    uint32_t id;
    uint32_t before[RKS_ORDERS], after[RKS_ORDERS];
} rks_recent_key;

typedef struct rks_recent {
    rks_table *table;
    uint32_t first[RKS_ORDERS], last[RKS_ORDERS]; // UINT32_MAX: none
} rks_recent;

void rks_recent_init(rks_recent *r,
                     rks_table *t); // of a table that rks_table_init has made with rks_recent_key as user bytes
rks_recent_key *rks_recent_of(const rks_recent *r, uint32_t id);
static inline uint32_t rks_recent_id(const rks_recent *r, const char *rec)
{
    uint32_t id;

    memcpy(&id, rec + r->table->id_at, sizeof id);
    return id;
}

void rks_recent_add(rks_recent *r, uint32_t id, unsigned order); // as the newest
void rks_recent_seen(rks_recent *r, uint32_t id);                // now the newest in use
rkp_status rks_recent_forget(rks_recent *r, uint32_t id);        // takes it out of the table, too
// The order by age of all keys, from their made_ns: after keys were added by use alone.
rkp_status rks_recent_sort(rks_recent *r);

#endif
