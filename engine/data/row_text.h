// data/row_text.h - one row as text, for people and for dead letters; not for sinks, which print whole columns.
//
//   Owns     nothing; appends to the caller's buffer
//   Threads  any
//   Fails    with the buffer (sticky); a value without memory is null
//   Limits   JSON stops at the column with which it is longer than 64 KiB
//   Cost     one row at a time: slow
#ifndef RKI_ROW_TEXT_H
#define RKI_ROW_TEXT_H

#include "base/json.h"
#include <rkpipe/batch.h>

// {"column": value, ..}; text that is no value of its column's type is a string.
void rki_row_json(rki_json *j, rkp_batch *mem, const rkp_batch *b, uint32_t row);
// The columns, each with a comma before it.
void rki_row_csv(rkp_batch *mem, const rkp_batch *b, uint32_t row, rki_buf *out);
// A field of CSV, quoted where a reader could take it for something else.
void rki_put_csv(rki_buf *out, rkp_str s);

#endif
