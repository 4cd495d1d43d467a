// expr/emit.h - a checked expression as source of a device: one function of a row, with the semantics of the evaluator.
//
//   Owns     nothing; text is added to the caller's buffer, and taken back when it cannot be
//   Threads  any; an expression is immutable
//   Fails    false and `why` when something in it cannot run on a device, or memory is out
//   Limits   fixed-width kinds; no text, patterns, meta.*, `row`, now(), random functions; no functions of the C library
//            whose last digit differs between machines
//   Cost     a few lines of source an operation
//
// The source is C11, C++17 and CUDA C++ at once.  It calls rkpipe/device/math.h, which must stand before it, and is
// compiled without contraction (said there).  It is the same for the same expression, and nothing of a pipeline's text
// is in it: only numbers.  Equal on host and device are values bit by bit (a nan is a nan) and states.
#ifndef RKI_EMIT_H
#define RKI_EMIT_H

#include "base/buf.h"
#include <rkpipe/expr.h>

enum { RKI_EMIT_WHY = 160 }; // bytes that `why` should have room for

// `RKD_FN T NAME(uint8_t *st, T0 c0, uint8_t s0, ..)`: the value, and its state in *st.  One pair of parameters for
// each column that e reads, in ascending order, named after the column's number (c7, s7).  A T is the C type of the
// register: uint8_t (0 or 1) for bool, int64_t for i64 and timestamp and all integers that compute in i64, uint64_t,
// double.  States are those of rkp_vec.st: 0 a value, 1 null, 1 + rkp_row_error; where one is not 0, its value may be
// any (initialised) one.  Helpers stand before the function; their names begin with NAME.
bool rki_emit_value(const rkp_expr *e, const char *name, rki_buf *to, char *why, size_t n_why);

// `RKD_FN uint8_t NAME(T0 c0, uint8_t s0, ..)`: 0 the row is kept, 1 refused, 2 in error.  As rkp_expr_filter: parts of
// a conjunction from left to right, the first that is not true refuses.  Who wants to know which error calls NAME_st
// with the same arguments: 1 + rkp_row_error in place of 2.
bool rki_emit_filter(const rkp_expr *e, const char *name, rki_buf *to, char *why, size_t n_why);

// `RKD_FN T NAME(uint8_t *st, T0 c0, uint8_t s0)`: a register of kind `from` as a column of kind `to` would hold it
// (rkp_kind both): as rkp_col_cast, and brought back to a register.
bool rki_emit_cast(unsigned from, unsigned to_kind, const char *name, rki_buf *to, char *why, size_t n_why);

#endif
