// data/csv_print.h - rkp_csv_rows with a chosen loop, for the tests.
//
//   Owns     see rkpipe/csv.h
//   Threads  see rkpipe/csv.h
//   Fails    see rkpipe/csv.h
//   Limits   see rkpipe/csv.h
//   Cost     see rkpipe/csv.h
#ifndef RKI_CSV_PRINT_H
#define RKI_CSV_PRINT_H

#include <rkpipe/csv.h>

enum { RKI_CSV_BEST, RKI_CSV_BASE }; // the best for this CPU; what every CPU of this kind can do

rkp_status rki_csv_rows(unsigned loop, rkp_batch *mem, const rkp_batch *b, const uint32_t *cols, uint32_t n_cols,
                        const rkp_csv_style *style, rkp_str *text, rkp_errs *errs);

#endif
