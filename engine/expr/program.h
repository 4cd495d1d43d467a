// expr/program.h - what the parts of this room share: the tree of an expression, and the state of one evaluation.
//
//   Owns     nodes live in the arena of the compilation; registers in the frame
//   Threads  a tree is immutable once compiled; an evaluation belongs to its thread
//   Fails    evaluation: false means that memory is out, and nothing else
//   Limits   LIMIT_* below
//   Cost     one pass per node and 1,024 rows
//
//   text --parse.c--> tree of names --check.c--> typed tree, constants folded --eval.c--> registers, a chunk at a time
//
// A register (rkp_vec) holds the values of one node for the rows at hand, densely: value i belongs to row i of a
// rki_rows.  What a register points at is read only for everybody but the node that made it.
#ifndef RKI_PROGRAM_H
#define RKI_PROGRAM_H

#include "base/ctx.h"
#include <rkpipe/expr.h>

enum {
    RKI_EXPR_TEXT = 64 << 10,  // bytes of one expression
    RKI_EXPR_DEPTH = 200,      // of parentheses, and of the tree
    RKI_EXPR_NODES = 4096,     // operations
    RKI_EXPR_VALUE = 16 << 20, // bytes of one string that an expression makes
    RKI_CHUNK = 1024,          // rows evaluated at a time: registers stay in the first cache
};

// A value of no type: the literal null before something gives it one.
#define RKI_NULL RKP_N_KINDS

typedef enum rki_op {
    // as parsed
    RKI_X_NAME, // v.s; sub: rki_name
    RKI_X_CALL, // v.s names the function
    // as checked
    RKI_X_CONST,    // v, or null
    RKI_X_COL,      // v.index of the batch
    RKI_X_META,     // v.index of rkp_meta
    RKI_X_ROW,      // number of the row in its stream
    RKI_X_ARITH,    // sub: rki_arith
    RKI_X_NEG,      // i64 or f64
    RKI_X_CMP,      // sub: rki_cmp; both sides have one kind, or are i64 and u64
    RKI_X_AND,      // n arguments
    RKI_X_OR,       // n arguments
    RKI_X_NOT,      //
    RKI_X_IN,       // arg[0] in the others; data: a set when all are constant; sub: 1 for `not in`
    RKI_X_MATCH,    // arg[0] =~ data
    RKI_X_COND,     // arg[0] ? arg[1] : arg[2]
    RKI_X_COALESCE, // first argument that is not null
    RKI_X_TRY,      //
    RKI_X_CONV,     // to `kind`
    RKI_X_FN,       // aux: rki_fn
    RKI_X_EXTRA,    // aux: rkp_expr_fn; v.u: number of the call in its expression
} rki_op;

typedef enum rki_name { RKI_N_BARE, RKI_N_QUOTED, RKI_N_THIS, RKI_N_VAR, RKI_N_META } rki_name;
typedef enum rki_arith { RKI_ADD, RKI_SUB, RKI_MUL, RKI_DIV, RKI_IDIV, RKI_REM } rki_arith;
typedef enum rki_cmp { RKI_EQ, RKI_NE, RKI_LT, RKI_LE, RKI_GT, RKI_GE } rki_cmp;

typedef struct rki_node rki_node;
struct rki_node {
    uint8_t op, sub;
    uint8_t kind; // of the value: those of rkp_vec, or RKI_NULL
    bool nullable;
    bool null;       // CONST
    bool bad;        // wrong, and reported
    uint16_t height; // of the tree below
    uint32_t n;
    rki_node **arg;
    uint32_t from, to;     // bytes of the text: the whole construct
    uint32_t tok, tok_end; // the token that findings about it point at
    uint32_t slot;         // COL: number among the columns used more than once, or UINT32_MAX
    union {
        bool b;
        int64_t i; // also timestamps
        uint64_t u;
        double f;
        rkp_str s;
        uint32_t index;
    } v;
    const void *aux;
    const void *data;
};

struct rkp_expr {
    rki_node *root;
    rkp_type type;
    rki_node **conj; // the root's conjuncts, one when it is no conjunction
    uint32_t n_conj;
    uint32_t *reads; // columns, ascending
    uint32_t n_reads;
    uint32_t n_slots;
    uint64_t site;
    int column; // the root is just that, or -1
};

// The rows a node is evaluated for.  Row i is logical row at[i] (at NULL: base + i) of the batch; when the rows were
// taken out of other ones, it was number pos[i] of `up`.
typedef struct rki_rows {
    const uint32_t *at;
    uint32_t base, n;
    uint32_t id; // unique within an evaluation
    const struct rki_rows *up;
    const uint32_t *pos;
} rki_rows;

static inline uint32_t rki_row(const rki_rows *r, uint32_t i)
{
    return r->at ? r->at[i] : r->base + i;
}

// One call of rkp_expr_eval or rkp_expr_filter.
typedef struct rki_eval {
    rkp_frame *f;
    const rkp_expr *e;
    const rkp_batch *b; // NULL while constants are folded
    rkp_batch *mem;     // NULL in a filter
    const rkp_meta *meta;
    int64_t now_us; // 0: not asked for yet
    uint32_t next_id;
} rki_eval;

// ---- parse.c --------------------------------------------------------------------------------------------------------

typedef struct rki_source {
    rki_arena *arena;
    rkp_diags *diags; // NULL: quiet
    rkp_word text;
    bool failed;                                                              // a finding was made
    bool oom;                                                                 // memory is out
    uint32_t nodes;                                                           // made so far
    rkp_loc (*place)(const struct rki_source *s, uint32_t from, uint32_t to); // NULL: rki_place
} rki_source;

// The tree of names, or NULL with a finding (or s->oom).
rki_node *rki_parse(rki_source *s);
rki_node *rki_expr_node(rki_source *s, rki_op op, uint32_t n_args);
void rki_expr_arg(rki_node *n, uint32_t i, rki_node *arg);
rkp_loc rki_place(const rki_source *s, uint32_t from, uint32_t to);
void rki_say(rki_source *s, uint32_t from, uint32_t to, const char *code, const char *fmt, ...) RKP_PRINTF(5, 6);
void rki_hint(rki_source *s, const char *fmt, ...) RKP_PRINTF(2, 3);

// ---- check.c --------------------------------------------------------------------------------------------------------

typedef struct rki_check {
    rki_source s;
    const rkp_scope *scope;
    const rkp_expr_extra *extra;
    rkp_opt_ctx *mem;
    rkp_frame *frame; // for folding; made when it is first needed
    uint32_t n_sites;
} rki_check;

const char *rki_kind_word(unsigned kind); // "i64", "null"
// Brings n->arg[i] to `kind`; the kinds must be convertible.  false when memory is out.
bool rki_convert(rki_check *c, rki_node *n, uint32_t i, unsigned kind);

// ---- eval.c ---------------------------------------------------------------------------------------------------------

// Evaluates a node for rows.  out->v may be set to memory for the values, which is used when the node makes any;
// otherwise it must be NULL.
bool rki_run(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out);
// Evaluates a node that depends on no row into to->v; *state is that of rkp_vec.st.
bool rki_fold(rkp_frame *f, const rki_node *n, rki_node *to, uint8_t *state, rki_arena *a);
size_t rki_width(unsigned kind);

// ---- frame.c --------------------------------------------------------------------------------------------------------

void *rki_take(rki_eval *x, size_t bytes); // until the caller of rki_run has done; aligned to 32; NULL: memory is out
char *rki_text(rki_eval *x, size_t bytes); // until the chunk is done
void rki_row_bad(rki_eval *x, const rki_rows *r, uint32_t i, rkp_vec *out, unsigned code, int col, rkp_str what);
struct rkp_regex_run *rki_frame_regex(rkp_frame *f, const rkp_regex *r);
rkp_batch *rki_scratch(rki_eval *x); // memory for decoded fields, until the call is over
// Is p in memory that lives as long as the batch?
bool rki_in_batch(const rki_eval *x, const char *p);

// ---- load.c ---------------------------------------------------------------------------------------------------------

bool rki_load(rki_eval *x, uint32_t col, const rki_rows *r, rkp_vec *out);
// A text column compared with a literal, without making views: 1 equal, 0 not, in v; false in *done when the column is
// not of that sort and nothing was done.
bool rki_load_eq(rki_eval *x, uint32_t col, const rki_rows *r, rkp_str lit, rkp_vec *out, bool *done);

// ---- set.c ----------------------------------------------------------------------------------------------------------

// The constants after `in`: arg[1..n) of the node.
typedef struct rki_set rki_set;
const rki_set *rki_set_new(rki_arena *a, const rki_node *n);
// v[i] = is a's value i among them; a->st is not looked at.
void rki_set_has(const rki_set *s, const rkp_vec *a, uint32_t n, uint8_t *v);
bool rki_set_null(const rki_set *s); // null is among them

// ---- functions ------------------------------------------------------------------------------------------------------

struct rki_emit;
struct rki_operand;

// A row of the table of functions.  args and result as in rkp_expr_fn.
typedef struct rki_fn {
    const char *name;
    const char *args;
    char result;
    bool sees_null; // is asked for rows with null arguments
    bool nullable;  // may be null although no argument is
    bool changes;   // is not constant although its arguments are
    // After the arguments have been brought to their kinds: more checks (n->bad, and a finding), n->data prepared.
    // false: memory is out.
    bool (*bind)(rki_check *c, rki_node *n);
    bool (*eval)(rki_eval *x, const rki_node *n, const rki_rows *r, const rkp_vec *a, rkp_vec *out);
    const char *usage, *help;
    const char *example, *gives; // an expression over no columns, and its value as text
    // The same as source of a device (emit_fn.c); NULL: what has text in it has none, others say why in `host`.
    bool (*emit)(struct rki_emit *m, const rki_node *n, struct rki_operand *out);
    const char *host; // "may differ in its last digit on a device"
} rki_fn;

#define RKI_AT(T, a, i) (((const T *)(a).v)[(size_t)(i) * (a).step])

#endif
