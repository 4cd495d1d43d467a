// aggs.h - aggregate functions: from `sum(a * b)` to states in a record, and from states to output columns.
//
//   Owns     rks_aggs: nothing (bind's arena).  rks_fold: scratch, and the tables behind distinct; pieces of states are
//            in the slab
//   Threads  rks_aggs is constant after bind; a fold is the actor's
//   Fails    bind: RKP_INVALID and findings.  Else RKP_NOMEM
//   Limits   256 functions
//   Cost     1 to 3 ns a row and state, over groups that are in the cache
//
// The parts of states that have a fixed size stand in the group's record, so that a row touches one or two cache lines;
// functions of one argument share what they can (sum and mean; all quantiles).  States are updated in row order, one
// column at a time: float sums are added in that order, with a compensation (Neumaier), so the answer depends on the
// order of the rows only, not on batches or threads.
#ifndef RKS_AGGS_H
#define RKS_AGGS_H

#include "keys.h"
#include "quantile.h"
#include "spill.h"

struct rks_state_kind;

typedef struct rks_arg {
    rkp_expr *e;
    int column; // when the expression is just that, else -1
    rkp_type type;
    rkp_str text;
} rks_arg;

typedef struct rks_state {
    const struct rks_state_kind *kind;
    int arg;        // -1: none
    uint32_t at;    // bytes from the begin of the record
    uint32_t table; // distinct: number of its table
} rks_state;

typedef struct rks_agg {
    const struct rks_agg_fn *fn;
    rkp_str name, text; // of the output column; the call as it was written
    uint32_t state;
    double q;
    rkp_type type; // of the output
} rks_agg;

typedef struct rks_aggs {
    rks_agg *v;
    rks_arg *args;
    rks_state *states;
    uint32_t n, n_args, n_states, n_tables;
    uint32_t user;     // bytes of all states
    const char *fresh; // their first content
    rks_keys *tables;  // keys of the distinct tables: owner, value
} rks_aggs;

// Parses and checks `compute`; at_user is where the states begin in a record.
rkp_status rks_aggs_bind(rks_aggs *g, rkp_bind *b, const rkp_pairs *compute, uint32_t at_user);

// What an actor needs to fold rows into states.
typedef struct rks_fold {
    const rks_aggs *aggs;
    rks_slab *slab;
    rks_table *tables; // of distinct
    rks_keys *keys;    // with the seed of this actor
    void *scratch;
    rks_quantiles quantiles;
    uint8_t *formats; // how quantile's states keep values, by state
} rks_fold;

rkp_status rks_fold_init(rks_fold *f, const rks_aggs *g, rks_slab *slab);
void rks_fold_drop(rks_fold *f); // before rks_slab_reset
void rks_fold_fini(rks_fold *f);

enum { RKS_FOLD_ROWS = 2048 };

// Folds rows [from, from + n), n <= RKS_FOLD_ROWS and from a multiple of 64, of dense FLAT argument columns into
// records.
rkp_status rks_fold_rows(rks_fold *f, const rkp_col *args, uint32_t from, uint32_t n, char *const *recs);

// Output column of aggregate i for n records.  A sum that does not fit is an entry in errs, and null.
rkp_status rks_fold_column(rks_fold *f, uint32_t i, char *const *recs, uint32_t n, rkp_batch *out, uint32_t col,
                           rkp_errs *errs);

// A record's states to and from a spill block; free gives back what they hold outside the record.
void rks_fold_save(rks_fold *f, const char *rec, rks_spill *s);
rkp_status rks_fold_load(rks_fold *f, char *rec, rks_spill *s);
rkp_status rks_fold_free(rks_fold *f, char *rec);
void rks_fold_freed(rks_fold *f); // after many frees

// The same for a checkpoint, whose bytes are not trusted.
void rks_fold_checkpoint(rks_fold *f, const char *rec, rkp_save *to);
rkp_status rks_fold_restore(rks_fold *f, char *rec, rkp_load *from);

#endif
