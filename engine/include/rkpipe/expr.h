// rkpipe/expr.h - compiled expressions over the columns of a batch.
//
//   Owns     a program lives in the arena of the bind that compiled it; a frame owns the scratch of one actor
//   Threads  a program is immutable and shared; a frame belongs to one thread at a time
//   Fails    compile: findings with a place inside the expression; eval: RKP_NOMEM; bad rows are entries in errs
//   Limits   64 KiB of text, depth 200, 4,096 operations
//   Cost     vectorised: one pass per operation over the rows
#ifndef RKPIPE_EXPR_H
#define RKPIPE_EXPR_H

#include <rkpipe/batch.h>
#include <rkpipe/diag.h>
#include <rkpipe/opt.h>

typedef struct rkp_expr rkp_expr;
typedef struct rkp_frame rkp_frame;

typedef enum rkp_want {
    RKP_WANT_ANY,
    RKP_WANT_BOOL, // a condition
    RKP_WANT_NUM,
    RKP_WANT_STRING,
} rkp_want;

typedef struct rkp_expr_var {
    rkp_str name;
    rkp_type type; // string, i64, f64 or bool
    rkp_str text;
} rkp_expr_var;

// What names mean where the expression stands.
typedef struct rkp_scope {
    const rkp_schema *schema;
    const rkp_expr_var *vars;
    size_t n_vars;
    const rkp_str *meta; // names allowed after `meta.`
    size_t n_meta;
    // Further functions of the place where the expression stands (generate's seed functions); may be NULL.  See
    // expr/README.md.
    const void *extra;
} rkp_scope;

// Compiles.  `mem` gives arena memory that outlives the program.  NULL and findings when it is wrong.
rkp_expr *rkp_expr_compile(rkp_opt_ctx *mem, rkp_diags *d, rkp_word text, const rkp_scope *scope, rkp_want want);
rkp_type rkp_expr_type(const rkp_expr *e);
bool rkp_expr_reads(const rkp_expr *e, uint32_t column);
bool rkp_expr_is_const(const rkp_expr *e); // the same value for every row
int rkp_expr_is_column(const rkp_expr *e); // the column it is when it is just that, else -1

rkp_frame *rkp_frame_new(rkp_pool *pool); // NULL when memory is out
void rkp_frame_free(rkp_frame *f);

// Values of meta.* for the batch at hand, in the order of rkp_scope.meta.
typedef struct rkp_meta {
    const rkp_str *v;
    size_t n;
    uint64_t first_row; // number of logical row 0 in its stream, for `row`
} rkp_meta;

// Values for logical rows rows[0..n) (NULL: 0..n-1) as a dense FLAT column in `mem`'s memory (it may point into b's).
// Rows in error are null in *out and listed in errs.
rkp_status rkp_expr_eval(const rkp_expr *e, rkp_frame *f, rkp_batch *mem, const rkp_batch *b, const rkp_meta *meta,
                         const uint32_t *rows, uint32_t n, rkp_col *out, rkp_errs *errs);

// A condition: writes the logical rows for which it is true into out (room for n), in order; null is false.  A row in
// error is not written and is listed in errs.  Conjunctions narrow from left to right: a row that an earlier part
// refused is not evaluated by a later one.
rkp_status rkp_expr_filter(const rkp_expr *e, rkp_frame *f, const rkp_batch *b, const rkp_meta *meta,
                           const uint32_t *rows, uint32_t n, uint32_t *out, uint32_t *n_out, rkp_errs *errs);

// Regular expressions with the engine's limits, for operators (`extract`).
typedef struct rkp_regex rkp_regex;
typedef struct rkp_regex_run rkp_regex_run; // match data and JIT stack of one thread
rkp_regex *rkp_regex_compile(rkp_opt_ctx *mem, rkp_diags *d, rkp_word pattern);
uint32_t rkp_regex_groups(const rkp_regex *r);                // without group 0
rkp_str rkp_regex_group_name(const rkp_regex *r, uint32_t g); // empty when unnamed; g from 1
rkp_regex_run *rkp_regex_run_new(const rkp_regex *r);
void rkp_regex_run_free(rkp_regex_run *m);
// 1 match, 0 none, -1 a limit was hit.  groups[0..n) get the texts (group 0 first), p == NULL for a group that took no
// part.
int rkp_regex_match(const rkp_regex *r, rkp_regex_run *m, rkp_str subject, rkp_str *groups, uint32_t n);
// Compiled patterns are freed with the arena they were compiled into.

#endif
