// watch/promql_tree.h - what the parts of the PromQL subset share: the tree, and the work on vectors.
//
//   Owns     nothing
//   Threads  see promql.h
//   Fails    see promql.h
//   Limits   see promql.h
//   Cost     -
#ifndef RKI_PROMQL_TREE_H
#define RKI_PROMQL_TREE_H

#include "expr/program.h"
#include "watch/promql.h"
#include <rkpipe/expr.h>

typedef enum rki_prom_kind {
    RKI_PROM_NUMBER,
    RKI_PROM_SELECTOR, // also with a range
    RKI_PROM_SIGN,     // -x, +x
    RKI_PROM_PAREN,
    RKI_PROM_BINARY,
    RKI_PROM_AGGREGATE,
    RKI_PROM_CALL,
} rki_prom_kind;

// Operators in the order of rki_prom_ops.
typedef enum rki_prom_op {
    RKI_PROM_OR,
    RKI_PROM_AND,
    RKI_PROM_UNLESS,
    RKI_PROM_EQ,
    RKI_PROM_NE,
    RKI_PROM_LE,
    RKI_PROM_LT,
    RKI_PROM_GE,
    RKI_PROM_GT,
    RKI_PROM_PLUS,
    RKI_PROM_MINUS,
    RKI_PROM_TIMES,
    RKI_PROM_DIVIDE,
    RKI_PROM_MODULO,
    RKI_PROM_POWER,
    RKI_N_PROM_OPS
} rki_prom_op;

typedef enum rki_prom_agg { RKI_AGG_SUM, RKI_AGG_AVG, RKI_AGG_MIN, RKI_AGG_MAX, RKI_AGG_COUNT } rki_prom_agg;

typedef enum rki_match { RKI_MATCH_EQ, RKI_MATCH_NE, RKI_MATCH_RE, RKI_MATCH_NRE } rki_match;

typedef struct rki_matcher {
    rkp_str name, value;
    rki_match how;
    const rkp_regex *re; // NULL: compared as text (a pattern that is plain text is)
} rki_matcher;

typedef struct rki_prom_fn rki_prom_fn;

struct rki_prom {
    uint8_t kind; // rki_prom_kind
    uint8_t type; // rki_prom_type
    uint8_t op;   // rki_prom_op, rki_prom_agg
    bool is_bool; // ==bool
    bool on;      // on(..), by (..); else ignoring(..), without (..)
    bool grouped; // one of these words is there
    uint16_t height;
    double number;
    // selector
    rkp_str name; // before the braces; p NULL: none
    const rki_matcher *matchers;
    uint32_t n_matchers; // with that of the name
    int64_t range_ms;    // 0: instant
    // on, ignoring, by, without; sorted
    const rkp_str *labels;
    uint32_t n_labels;
    const rki_prom_fn *fn;
    const rki_prom *arg[2]; // operands, arguments
    uint32_t n_args;
    uint32_t from, to; // bytes of the text
};

typedef struct rki_prom_eval {
    rki_arena *arena;
    const rki_series *series;
    int64_t ms;
    uint64_t work, seen; // samples looked at; found
    rkp_regex_run **regex;
    const char *why; // set: the evaluation has failed
} rki_prom_eval_at;

struct rki_prom_fn {
    const char *name;
    const char *args; // s, v, m: scalar, vector, matrix
    uint8_t result;   // rki_prom_type
    // Of a range: the value of one series, from its samples; false: none.
    bool (*range)(const rki_prom *call, const rki_prom_eval_at *x, const rki_sample *v, uint32_t n, double *out);
    // Of a vector: the value of one element, which loses its name.
    double (*each)(double v, double arg);
    // All others: out is empty.
    bool (*call)(const rki_prom *call, rki_prom_eval_at *x, const rki_vector *args, rki_vector *out);
};

extern const char *const rki_prom_ops[RKI_N_PROM_OPS];
extern const char *const rki_prom_aggs[];
extern const rki_prom_fn rki_prom_fns[]; // ends with a row without name

int rki_prom_power(rki_prom_op op); // of binding, from 1
static inline bool rki_prom_compares(unsigned op)
{
    return op >= RKI_PROM_EQ && op <= RKI_PROM_GT;
}
static inline bool rki_prom_is_set(unsigned op)
{
    return op <= RKI_PROM_UNLESS;
}

// ---- promql_eval.c

bool rki_prom_fail(rki_prom_eval_at *x, const char *fmt, ...) RKP_PRINTF(2, 3); // false
rki_elem *rki_vector_add(rki_prom_eval_at *x, rki_vector *v);                   // zeroed; NULL: failed
// ---- promql_binary.c
bool rki_prom_binary(rki_prom_eval_at *x, const rki_prom *e, const rki_vector *l, const rki_vector *r, rki_vector *out);
bool rki_prom_aggregate(rki_prom_eval_at *x, const rki_prom *e, const rki_vector *in, rki_vector *out);
// No label set twice?  false and a reason otherwise.
bool rki_prom_distinct(rki_prom_eval_at *x, const rki_vector *v);

// What two elements are compared by: the labels among `names` (keep) or all others, and the name of the metric or not.
typedef struct rki_sig {
    const rkp_str *names;
    uint32_t n;
    bool keep, name;
} rki_sig;

// Elements of a vector by their signature, in a table with open addresses.
typedef struct rki_sig_table {
    uint32_t *slot; // element + 1
    uint32_t mask;
} rki_sig_table;

bool rki_sig_new(rki_prom_eval_at *x, uint32_t n, rki_sig_table *t); // room for n
// The slot of the element of v with the signature of l: 0 when there is none, and the caller may set it.
uint32_t *rki_sig_find(const rki_sig_table *t, const rki_sig *k, const rki_elem *v, const rki_labels *l);

#endif
