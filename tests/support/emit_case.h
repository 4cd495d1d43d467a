// emit_case.h - for the tests of the emitter: made-up columns of every fixed-width kind, random expressions over them,
// and what the evaluator says about one.
#ifndef EMIT_CASE_H
#define EMIT_CASE_H

#include "base/buf.h"
#include "expr_case.h"

enum { EMIT_ROWS = 256, EMIT_COLS = 18 };

// The columns as a loop on a device gets them: registers and states.  Where a state is not 0 the value is noise.
typedef struct emit_case {
    rkp_batch *batch;
    void *c[EMIT_COLS];
    uint8_t *s[EMIT_COLS];
} emit_case;

extern const rkp_schema emit_case_schema;
uint64_t emit_random(uint64_t *seed);
// Values that meet the edges often; two columns come as text, with fields that cannot be read.
bool emit_case_init(emit_case *c, rkp_pool *pool, uint64_t *seed);
void emit_case_fini(emit_case *c);

// A well-typed expression of a kind: RKP_BOOL, RKP_I64, RKP_U64, RKP_F64 or RKP_TIMESTAMP.
void emit_case_text(uint64_t *seed, unsigned kind, unsigned depth, rki_buf *to);

// What the evaluator gives: registers (8 bytes a row, bool: 1) and states.
bool emit_case_eval(rkp_pool *pool, rkp_frame *f, const rkp_expr *e, const rkp_batch *b, void *v, uint8_t *st);
// Value i of a column as a register.
void emit_case_read(const rkp_col *c, uint32_t row, void *to);
// What it keeps: 0 kept, 1 refused, 1 + rkp_row_error.
bool emit_case_filter(rkp_frame *f, const rkp_expr *e, const rkp_batch *b, uint8_t *st);

#endif
