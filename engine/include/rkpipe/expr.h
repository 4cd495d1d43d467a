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
    uint32_t *meta_used; // gets bit 1 << i for each that is used; may be NULL
    const void *extra;   // rkp_expr_extra: further functions of the place where the expression stands; may be NULL
} rkp_scope;

// Compiles.  `mem` gives arena memory that outlives the program.  NULL and findings when it is wrong.
rkp_expr *rkp_expr_compile(rkp_opt_ctx *mem, rkp_diags *d, rkp_word text, const rkp_scope *scope, rkp_want want);
rkp_type rkp_expr_type(const rkp_expr *e);
bool rkp_expr_reads(const rkp_expr *e, uint32_t column);
bool rkp_expr_is_const(const rkp_expr *e); // the same value for every row
int rkp_expr_is_column(const rkp_expr *e); // the column it is when it is just that, else -1

rkp_frame *rkp_frame_new(rkp_pool *pool); // NULL when memory is out; an evaluation with NULL is RKP_NOMEM
void rkp_frame_free(rkp_frame *f);
void rkp_frame_seed(rkp_frame *f, uint64_t seed); // of the random functions; 0 when it was never called

// What an expression may say after `meta.`.
typedef enum rkp_meta_name { RKP_META_KERNEL, RKP_META_TOPIC, RKP_META_HLC, RKP_N_META } rkp_meta_name;
extern const rkp_str rkp_meta_names[RKP_N_META];

// Values of meta.* for the batch at hand.  The topic is the batch's own, row by row.
typedef struct rkp_meta {
    rkp_str kernel;
    uint64_t stamp;     // meta.hlc, as a decimal number; 0: null
    uint64_t first_row; // number of logical row 0 in its stream, for `row`
    int64_t now_us;     // the wall clock, for now(); 0: the evaluation reads it
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

// ---- further functions ----------------------------------------------------------------------------------------------

// Values of a run of rows.  v: uint8_t (0 or 1) for RKP_BOOL, int64_t for RKP_I64 and RKP_TIMESTAMP, uint64_t, double,
// rkp_str for the text kinds.  Row i is at i * step.
typedef struct rkp_vec {
    uint8_t kind;  // RKP_BOOL, RKP_I64, RKP_U64, RKP_F64, RKP_TIMESTAMP, RKP_STRING, RKP_BYTES or RKP_JSON
    uint32_t step; // 0: one value stands for every row
    void *v;
    uint8_t *st; // NULL: every row has a value; else 0: has one, 1: null, 1 + rkp_row_error: in error
} rkp_vec;

// One call of a further function over some rows.
typedef struct rkp_expr_call {
    uint64_t seed;        // rkp_frame_seed
    uint64_t site;        // differs between the calls of a pipeline, and is the same in every run of it
    const uint64_t *rows; // numbers of the rows in their stream
    uint32_t n;
    void *memory; // for rkp_expr_bytes
} rkp_expr_call;

// Bytes for string results; they live as long as needed.  NULL when memory is out.
char *rkp_expr_bytes(const rkp_expr_call *c, size_t bytes);

// Arguments: one letter each.  n: a number, i: i64, f: f64 (integers are converted), s: string, t: timestamp, b: bool,
// a: anything, c: all of these brought to one common type, S: a constant string.  `?` before the first that may be left
// out; `*` after the last: any number of it.  Result: i u f s t b, or 1: the type of the first argument.  A row with a
// null argument is null and is not asked for.
typedef struct rkp_expr_fn {
    const char *name;
    const char *args;
    char result;
    // Writes out->v[0..c->n); out->st is set (all rows) and may get 1 + rkp_row_error.  RKP_NOMEM or RKP_OK.
    rkp_status (*eval)(const rkp_expr_call *c, const rkp_vec *args, uint32_t n_args, rkp_vec *out);
    const char *usage; // "rand_int(lo, hi)"
    const char *help;  // one sentence
} rkp_expr_fn;

typedef struct rkp_expr_extra {
    bool row;               // `row` is the number of the row (i64) when no column has that name
    uint64_t site;          // of this expression, e.g. a hash of the column it makes: goes into rkp_expr_call.site
    const rkp_expr_fn *fns; // ends with a row without name; may be NULL
} rkp_expr_extra;

// rand_int rand_float rand_choice rand_normal uuid: pure functions of (seed, site, row), so that replicas and a resumed
// run make the same rows.
extern const rkp_expr_fn rkp_expr_random[];

// ---- regular expressions --------------------------------------------------------------------------------------------

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
