// expr/emit_parts.h - what the files of the emitter share: the function that is being written, and values in it.
//
//   Owns     the buffers, until the function is done
//   Threads  one at a time
//   Fails    false: this cannot run on a device, and `why` says so; memory that is out shows in the buffers
//   Limits   -
//   Cost     -
#ifndef RKI_EMIT_PARTS_H
#define RKI_EMIT_PARTS_H

#include "base/buf.h"
#include "expr/functions.h"

enum { RKI_EMIT_COLUMNS = 4096 }; // of a schema

// A value in the source, as the text of a C expression without effects: a name or a constant.
typedef struct rki_operand {
    char v[48];
    char st[16]; // "0": it always has a value
} rki_operand;

typedef struct rki_emit {
    rki_buf head, body; // tables; the statements
    const char *name;
    unsigned next;                               // number of the next variable
    unsigned depth;                              // of the braces
    bool powers;                                 // the table NAME_p10 is there
    uint64_t used[(RKI_EMIT_COLUMNS + 63) / 64]; // columns that the statements speak of
    char *why;
    size_t n_why;
} rki_emit;

// ---- emit.c ---------------------------------------------------------------------------------------------------------

// Writes the statements that compute a node.
bool rki_emit_node(rki_emit *m, const rki_node *n, rki_operand *out);
// One indented line.
void rki_line(rki_emit *m, const char *fmt, ...) RKP_PRINTF(2, 3);
bool rki_emit_no(rki_emit *m, const char *fmt, ...) RKP_PRINTF(2, 3); // false
// A new variable pair for a value of a kind: v3, t3.
void rki_emit_name(rki_emit *m, rki_operand *out);
const char *rki_emit_type(unsigned kind);   // "int64_t"
const char *rki_emit_suffix(unsigned kind); // "i64", as rkd_ functions have it
void rki_emit_f64(char *to, double v);      // exact; to: sizeof rki_operand.v
// The text of two states joined, into to (48 bytes).
void rki_emit_join(char *to, const char *a, const char *b);
bool rki_emit_is(const char *st, const char *text);
// Before two values are compared, gives b another name: compilers wonder about x == x, and about u >= 0.
void rki_emit_apart(rki_emit *m, unsigned kind, const rki_operand *a, rki_operand *b);
void rki_emit_constant(const rki_node *n, rki_operand *out);

// ---- emit_some.c ----------------------------------------------------------------------------------------------------

bool rki_emit_logic(rki_emit *m, const rki_node *n, rki_operand *out);
bool rki_emit_cond(rki_emit *m, const rki_node *n, rki_operand *out);
bool rki_emit_coalesce(rki_emit *m, const rki_node *n, rki_operand *out);
bool rki_emit_in(rki_emit *m, const rki_node *n, rki_operand *out);
// A variable pair that statements behind it set.
void rki_emit_declare(rki_emit *m, unsigned kind, const char *value, const char *state, rki_operand *out);

#endif
