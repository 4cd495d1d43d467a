// read/csv_head.h - the beginning of a CSV file: byte order mark, skipped lines, line ends, header; and column types from
// a sample.
//
//   Owns     nothing; names go into memory that the caller's alloc gives
//   Threads  any
//   Fails    csv_head: CSV_HEAD_NOMEM; csv_guess: false
//   Limits   4,096 columns
//   Cost     a byte at a time; once per file
#ifndef CSV_HEAD_H
#define CSV_HEAD_H

#include "csv_index.h"
#include <rkpipe/type.h>

enum { CSV_MAX_COLUMNS = 4096 };

struct csv_memory {
    void *(*alloc)(void *ctx, size_t bytes);
    void *ctx;
};

enum csv_head_result {
    CSV_HEAD_MORE, // the first record is not whole yet
    CSV_HEAD_OK,
    CSV_HEAD_EMPTY,  // there is no record
    CSV_HEAD_WIDE,   // too many columns
    CSV_HEAD_QUOTES, // the quotes of the header are broken
    CSV_HEAD_NOMEM,
};

struct csv_head {
    size_t at;      // where the data begin
    uint64_t lines; // lines before
    bool lone_cr;   // lines end in \r alone: the first one does
    uint32_t n;     // fields of the first record
    rkp_str *names; // n; the header's, made unique as a, a_1, ..; or column0, column1, ..
};

// p[0..n) is the beginning of the (decompressed) file; at_end: all of it.
enum csv_head_result csv_head(const struct csv_dialect *d, const char *p, size_t n, bool at_end, uint64_t skip_rows,
                              bool header, struct csv_memory mem, struct csv_head *out);

// Bytes of a quoted field without its quotes; `to` has room for n.
size_t csv_unquote(const struct csv_dialect *d, const char *p, size_t n, char *to);

// What the texts of a column can be.
struct csv_guess {
    uint8_t not_bool, not_int, not_float, not_time, seen;
};
void csv_guess_add(struct csv_guess *g, rkp_str text); // a text that is not null
unsigned csv_guess_kind(const struct csv_guess *g);    // rkp_kind

#endif
