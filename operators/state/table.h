// table.h - a small CSV table: records one after the other, and the type of a column from its texts.
//
//   Owns     its buffer and reader
//   Threads  one
//   Fails    with a message in err
//   Limits   4,096 columns, 16 MiB a record; RFC 4180, also with \n alone, a byte order mark, blank lines (skipped) and
//            compression
//   Cost     a byte at a time: made for tables that fit into memory
#ifndef RKS_TABLE_H
#define RKS_TABLE_H

#include <rkpipe/file.h>
#include <rkpipe/type.h>

enum { RKS_TABLE_COLUMNS = 4096, RKS_TABLE_RECORD = 16 << 20 };

typedef struct rks_csv {
    rkp_reader *r;
    const char *path;
    char delim;
    char *buf;
    size_t n, at, cap;
    bool ended;
    uint64_t line, next_line; // of the record at hand, of the next; from 1
    rkp_str *fields;          // of the record at hand, decoded, in buf
    uint32_t n_fields, cap_fields;
} rks_csv;

rkp_status rks_csv_open(rks_csv *c, const char *path, char delim, char err[RKP_FILE_ERR]);
// Reads the next record; *has is false at the end.
rkp_status rks_csv_next(rks_csv *c, bool *has, char err[RKP_FILE_ERR]);
void rks_csv_close(rks_csv *c);

// What the texts of a column can be, in read.csv's order: bool, i64, f64, timestamp, string.
typedef struct rks_guess {
    bool no_bool, no_int, no_float, no_time, seen;
} rks_guess;

void rks_guess_add(rks_guess *g, rkp_str text); // a text that is not null
unsigned rks_guess_kind(const rks_guess *g);

#endif
