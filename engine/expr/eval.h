// expr/eval.h - what the files of the evaluator share: the frame, registers, and the nodes by what they do.
//
//   Owns     nothing of its own: registers, text and notes on errors are the frame's
//   Threads  a frame belongs to one evaluation at a time
//   Fails    false means that memory is out, and nothing else
//   Limits   RKI_SOURCES buffers of a batch that results point into
//   Cost     a call per node and 1,024 rows; what is done for each row stands beside its loop
//
//   frame   regs    a stack: what a node took is given back when its value has been used
//           text    bytes of strings that functions made, until the chunk is done
//           detail  what was wrong in which row, for the list of errors at the end of the chunk
//           cache   parsed text columns that the expression uses more than once
#ifndef RKI_EVAL_H
#define RKI_EVAL_H

#include "expr/functions.h"

enum { RKI_SOURCES = 8 };

typedef struct rki_block rki_block;

typedef struct rki_stack {
    rki_block *first, *cur;
    size_t at; // in cur
} rki_stack;

// How much of the registers was taken.
typedef struct rki_top {
    rki_block *cur;
    size_t at;
} rki_top;

typedef struct rki_detail {
    uint32_t row, seq;
    uint16_t code;
    int16_t col;
    rkp_str what;
} rki_detail;

typedef struct rki_cached {
    uint32_t id; // of the rows; 0: empty
    rkp_vec v;
} rki_cached;

struct rkp_frame {
    rkp_pool *pool;
    uint64_t seed;
    rki_stack regs, text;
    rki_detail *details;
    uint32_t n_details, cap_details;
    rki_cached *cache;
    uint32_t cap_cache;
    rkp_batch *scratch;
    rkp_regex_run *regex;
    uint32_t n_src;
    struct {
        const char *p;
        size_t n;
    } src[RKI_SOURCES];
    uint32_t n_known; // of src, also those that results do not point into
};

// ---- frame.c --------------------------------------------------------------------------------------------------------

static inline rki_top rki_top_of(const rki_eval *x)
{
    return (rki_top){ x->f->regs.cur, x->f->regs.at };
}

// Gives back what was taken since.
static inline void rki_release(rki_eval *x, rki_top top)
{
    x->f->regs.cur = top.cur;
    x->f->regs.at = top.at;
}

void rki_frame_reset(rkp_frame *f); // registers and text, and of the text's memory all but some
// Adds the rows of a chunk that are in error to the caller's list.
void rki_report(rki_eval *x, const rki_rows *r, const rkp_vec *v, rkp_errs *errs);

// ---- eval.c ---------------------------------------------------------------------------------------------------------

// Memory for the values and states of a node that makes n of them.
bool rki_make(rki_eval *x, const rki_node *n, uint32_t rows, rkp_vec *out, uint8_t **st);
// Joins the states of k arguments over n rows into st; NULL when every row has a value.
uint8_t *rki_join(const rkp_vec *a, uint32_t k, uint32_t n, uint8_t *st);
void rki_drop_states(rkp_vec *v, uint32_t n); // when all rows have a value
void rki_copy_values(rkp_vec *out, const rkp_vec *a, uint32_t n);

// ---- eval_math.c ----------------------------------------------------------------------------------------------------

bool rki_run_arith(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out);
bool rki_run_neg(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out);
bool rki_run_conv(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out);
bool rki_run_cmp(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out);
bool rki_run_not(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out);
// o[i] = a's value i compared with b's; op: rki_cmp.
void rki_compare(unsigned op, uint8_t *o, const rkp_vec *a, const rkp_vec *b, uint32_t n);

// ---- eval_some.c ----------------------------------------------------------------------------------------------------

bool rki_run_logic(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out);
bool rki_run_in(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out);
bool rki_run_cond(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out);
bool rki_run_coalesce(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out);

#endif
