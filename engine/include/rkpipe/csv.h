// rkpipe/csv.h - rows as CSV text (RFC 4180), and values as text.
//
//   Owns     results live in the memory of the batch that is given for them
//   Threads  any; no state
//   Fails    RKP_NOMEM; rows that cannot be written are left out and listed in errs
//   Limits   2^31 bytes of one batch's text
//   Cost     TEXT columns of CSV are copied, neighbours in one go: about 2 to 5 GB/s; others are printed
//
// Null is written as nothing, an empty string as "".  A field is quoted when it holds the delimiter, a quote, \r or \n.
// A TEXT column keeps the text it came with, whatever its type; quotes that are not needed are taken off.
#ifndef RKPIPE_CSV_H
#define RKPIPE_CSV_H

#include <rkpipe/batch.h>

typedef struct rkp_csv_style {
    char delim, quote; // both are given
    bool crlf;         // lines end in \r\n, else \n
    bool quote_all;    // every field but null is quoted
} rkp_csv_style;

// All rows of b, columns cols[0..n_cols) (NULL: all).
rkp_status rkp_csv_rows(rkp_batch *mem, const rkp_batch *b, const uint32_t *cols, uint32_t n_cols,
                        const rkp_csv_style *style, rkp_str *text, rkp_errs *errs);

// The line with the columns' names.
rkp_status rkp_csv_header(rkp_batch *mem, const rkp_schema *schema, const uint32_t *cols, uint32_t n_cols,
                          const rkp_csv_style *style, rkp_str *text);

// The n first rows of column c as text: what CSV would have between quotes.  Null is p == NULL.
rkp_status rkp_col_texts(rkp_batch *mem, const rkp_batch *b, uint32_t c, uint32_t n, rkp_str *out, rkp_errs *errs);

#endif
