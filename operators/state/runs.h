// runs.h - sorted runs of rows, in memory or in a temporary file, and their merge into one order.
//
//   Owns     a run owns its batch and order, or its list of blocks; the file is the owner's
//   Threads  the actor's
//   Fails    RKP_NOMEM or RKP_IO; rkp_fail has been called
//   Limits   2^31 - 1 rows a run
//   Cost     sorting: about n log2 n compares of two words; merging: log2(runs) compares a row
//
// Every row has a prefix: 24 bytes made of its first keys so that comparing them as numbers orders the rows, but for
// rows whose prefixes are equal; those are compared column by column when the prefix does not hold the whole key.  Rows
// that are equal keep the order of the runs, and of the rows in a run: the sort is stable.
#ifndef RKS_RUNS_H
#define RKS_RUNS_H

#include "spill.h"

typedef struct rks_order_key {
    uint32_t col;
    bool desc, nulls_first, nullable;
} rks_order_key;

typedef struct rks_order {
    const rkp_schema *schema;
    const rks_order_key *keys;
    uint32_t n;
} rks_order;

enum { RKS_PREFIX = 24, RKS_LONG_ROW = 2048 };

typedef struct rks_entry {
    uint64_t w[RKS_PREFIX / 8]; // the prefix
    uint32_t row;
    uint32_t pad;
} rks_entry;

// Room for n entries, for free(): on huge pages where there are many and the system gives them.  NULL: no memory.
rks_entry *rks_entries_new(uint32_t n);
// The key columns of b, in the order of the keys, as dense FLAT columns.  b must stay.  NULL when memory is out.
rkp_batch *rks_key_columns(const rks_order *o, rkp_batch *b);
// Prefixes of rows e[i].row of a batch of key columns.  Returns whether rows with equal prefixes may differ.
bool rks_prefixes(const rks_order *o, const rkp_batch *keys, rks_entry *e, uint32_t n);
// Compares two rows of key columns: < 0, 0, > 0.
int rks_compare(const rks_order *o, const rkp_batch *x, uint32_t i, const rkp_batch *y, uint32_t j);
// Sorts entries; `tmp` has room for n.  Equal rows keep their order.
void rks_sort(const rks_order *o, const rkp_batch *keys, rks_entry *e, rks_entry *tmp, uint32_t n, bool inexact);

typedef struct rks_run {
    rkp_batch *b, *keys; // in memory: the rows, their key columns
    rks_entry *order;    // in memory: sorted, malloc
    uint32_t n;          // in memory
    bool inexact;
    bool long_rows;    // a row may have more than RKS_LONG_ROW bytes of text
    rks_blocks blocks; // in the file
} rks_run;

typedef struct rks_runs {
    rks_run *v;
    uint32_t n, cap;
} rks_runs;

// Takes what the run holds, also on failure.
rkp_status rks_runs_add(rks_runs *l, rks_run run);
void rks_runs_fini(rks_runs *l);
// Moves a run in memory to the file.  A block has about `bytes` bytes.
rkp_status rks_run_spill(rks_spill *s, const rks_order *o, rks_run *run, uint64_t bytes);

typedef struct rks_cursor {
    rks_run *run;
    rkp_batch *b, *keys; // the block at hand (a run in memory: its own, borrowed)
    rks_entry *e;        // its rows in order
    rks_entry *own;      // e, when it is the cursor's
    uint32_t i, n, block, cap;
    bool inexact;
} rks_cursor;

typedef struct rks_merge {
    const rks_order *order;
    rks_spill *spill;
    rks_cursor *cur;
    uint32_t *heap; // cursors by their row; [0] is the least
    uint32_t n, n_heap;
    rks_pick *picks;
    rkp_batch **done; // blocks that picks point into
    uint32_t n_done, cap_done;
} rks_merge;

enum { RKS_MERGE_ROWS = 8192, RKS_MERGE_BYTES = 4 << 20, RKS_BLOCK_BYTES = 64 << 10, RKS_BLOCK_ROWS = 4096 };

// Merges runs [0, n); they must stay.  The merge owns nothing of them.
rkp_status rks_merge_init(rks_merge *m, const rks_order *o, rks_spill *s, rks_run *runs, uint32_t n);
void rks_merge_fini(rks_merge *m);
// The next rows, at most max_rows and about max_bytes of text, with the columns of `schema` (the first of the order's).
// *out is NULL at the end.
rkp_status rks_merge_next(rks_merge *m, const rkp_schema *schema, uint32_t max_rows, uint64_t max_bytes,
                          rkp_batch **out);
// Merges neighbours until at most `fan` runs are left.
rkp_status rks_runs_reduce(rks_runs *l, const rks_order *o, rks_spill *s, uint32_t fan, uint64_t bytes);
// How many runs to merge at once with this much memory.
uint32_t rks_merge_fan(uint64_t bytes);

#endif
