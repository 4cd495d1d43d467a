// watch/promql.h - the subset of PromQL in which alerts are written, with the meaning of Prometheus 2.42.
//
//   Owns     a tree lives in the arena it was parsed into; a result in its run, until the next evaluation
//   Threads  a tree is immutable; a run belongs to one thread at a time
//   Fails    parse: findings with their place.  eval: a text that says why (what Prometheus calls an execution error)
//   Limits   64 KiB of text, height 200, ranges of 1 h, RKI_PROM_SAMPLES samples looked at in one evaluation
//   Cost     eval is linear in the series of the store, once per selector, and in the samples of its ranges
#ifndef RKI_PROMQL_H
#define RKI_PROMQL_H

#include "watch/series.h"
#include <rkpipe/diag.h>

typedef struct rki_prom rki_prom;

typedef enum rki_prom_type { RKI_PROM_SCALAR, RKI_PROM_VECTOR, RKI_PROM_MATRIX } rki_prom_type;

enum {
    RKI_PROM_BACK_MS = 5 * 60 * 1000,   // how old the sample of an instant selector may be
    RKI_PROM_RANGE_MS = 60 * 60 * 1000, // the longest range
    RKI_PROM_HEIGHT = 200,
    RKI_PROM_TEXT = 64 << 10,
    RKI_PROM_SAMPLES = 50000000,
    RKI_PROM_BYTES = 256 << 20, // of one evaluation
};

// The names of metrics that there can be (with _bucket, _sum and _count of histograms); NULL: not known, any is taken.
typedef struct rki_prom_names {
    const char *const *names; // ends with NULL
} rki_prom_names;

// NULL and findings when it is wrong, or when memory is out (rki_arena_failed).  An expression of a rule: a scalar or an
// instant vector.
const rki_prom *rki_prom_parse(rki_arena *a, rkp_diags *d, rkp_word text, const rki_prom_names *names);
// False and findings when it compares, adds or subtracts what is of unlike units.  Of the engine's own metrics (metric_rows.h).
bool rki_prom_units(const rki_prom *e, rkp_diags *d, rkp_word text);
rki_prom_type rki_prom_type_of(const rki_prom *e);
// In one form for all ways of writing it; it parses to the same.
void rki_prom_print(const rki_prom *e, rki_buf *out);
int64_t rki_prom_back(const rki_prom *e);               // how far back it looks, in ms
void rki_prom_print_duration(int64_t ms, rki_buf *out); // 1m30s
// Could the series of this name and labels be wanted by a selector of it?
bool rki_prom_wants(const rki_prom *e, rkp_str name);

// ---- evaluation

typedef struct rki_elem {
    rki_labels labels;
    double v;
} rki_elem;

typedef struct rki_vector {
    bool scalar; // one element without labels
    rki_elem *v;
    uint32_t n;
    uint64_t seen; // samples that its selectors have found
} rki_vector;

typedef struct rki_prom_run rki_prom_run;

rki_prom_run *rki_prom_run_new(void); // NULL without memory
void rki_prom_run_free(rki_prom_run *r);
// The value at ms.  False: *why says what was wrong (in the run, until the next evaluation).
bool rki_prom_eval(rki_prom_run *r, const rki_prom *e, const rki_series *s, int64_t ms, rki_vector *out,
                   const char **why);

#endif
