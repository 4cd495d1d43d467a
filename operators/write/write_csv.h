// operators/write/write_csv.h - rows as CSV, for a sink that gives the bytes to somebody else.
//
//   Owns     nothing as long as on_batch is not called
//   Threads  bind: control; encode: a worker
//   Fails    through the bind and the actor
//   Limits   see write_csv.c
//   Cost     see write_csv.c
//
// Such a sink holds a struct write_csv, sets its options (a `path` among them), and uses bind and encode of
// rkp_op_write_csv; the header's line is rkp_csv_header of `in`, `cols` and `style`.
#ifndef WRITE_CSV_H
#define WRITE_CSV_H

#include "file_out.h"

#include <rkpipe/csv.h>

struct write_csv {
    rkp_word path; // options
    rkp_words columns;
    int commit, compression, quote, line_end;
    bool header;
    char delimiter;
    rkp_word rotate;

    rkp_csv_style style; // bind
    rkp_schema in;
    uint32_t *cols;
    uint32_t n_cols;

    rkp_writer *out; // the sink's thread
    bool fresh;      // there was nothing in it
    bool begun;      // the header is in it
    file_out_tries tries;
    bool ended;
};

extern const rkp_op rkp_op_write_csv;

#endif
