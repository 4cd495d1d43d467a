// data/column.h - rkp_col_flat and rkp_col_strs for the room's own use: errors name results, not rows.
//
//   Owns     nothing
//   Threads  as rkp_col_flat
//   Fails    as rkp_col_flat; the row of an error is the index in [0, n)
//   Limits   as rkp_col_flat
//   Cost     as rkp_col_flat
#ifndef RKI_COLUMN_H
#define RKI_COLUMN_H

#include <rkpipe/batch.h>

rkp_status rki_col_flat(rkp_batch *mem, const rkp_batch *b, uint32_t col, const uint32_t *rows, uint32_t n,
                        rkp_col *out, rkp_errs *errs);
// What texts say, of any TEXT column or column of views, without asking whether it fits the type or is UTF-8.
rkp_status rki_col_texts(rkp_batch *mem, const rkp_batch *b, uint32_t col, const uint32_t *rows, uint32_t n,
                         rkp_str *out, rkp_errs *errs);

#endif
