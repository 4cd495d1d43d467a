// table_ops.h - operators that are only their tables, with the names and options of SPEC.md 13: what the pipeline file
// says can be checked without the operators themselves.
#ifndef TABLE_OPS_H
#define TABLE_OPS_H

#include <rkpipe/op.h>

extern const rkp_op *const table_ops[]; // NULL terminated

#endif
