// operators/read/read_csv.h - the reader of CSV, for a source that has the bytes from elsewhere.
//
//   Owns     the reader that it is given, and the beginning of a record whose end has not been read yet
//   Threads  bind: control; the others: the source's thread.  decode runs on an instance of its own
//   Fails    through the bind and the actor
//   Limits   see read_csv.c
//   Cost     see read_csv.c
//
// Such a source holds a struct read_csv, sets its options, and uses the slots of rkp_op_read_csv but probe: bind, then
// read_csv_piped; init; read_csv_begin before the first poll; decode; fini.
#ifndef READ_CSV_H
#define READ_CSV_H

#include "csv_index.h"

#include <rkpipe/file.h>
#include <rkpipe/op.h>

enum { M_FILES, M_CHUNKS, M_EXACT, M_UNEVEN }; // what decode counts, so the first metrics of such a source

struct read_csv {
    rkp_words path; // options: constant after bind
    rkp_schema_use schema;
    bool header, follow;
    char delimiter;
    rkp_word quote;
    rkp_words nulls, columns;
    rkp_word event_time;
    int compression, validate;
    uint64_t skip_rows, chunk_bytes, max_record, idle_ns;

    struct csv_dialect dialect; // set by bind
    const rkp_str *null_texts;
    const struct csv_answer *answer;
    rkp_schema base;    // the files' columns
    rkp_schema out;     // after `columns`
    uint32_t *out_base; // out column -> base column

    const struct csv_kernel *kernel; // set by init
    double density;                  // decode: positions per byte of the last chunk

    size_t file; // poll: the run
    rkp_reader *reader;
    rkp_batch *source; // holds a struct source
    bool begun;        // the head of the file has been read
    bool lone_cr;
    bool skipping; // in a record that is too long
    unsigned skip_mode;
    char *carry;
    size_t carry_n, carry_cap;
    uint64_t line, offset; // of the next byte to emit
    uint64_t done, total;  // bytes of finished files; of all
    uint64_t reported;     // bytes that emitted chunks stand for
};

extern const rkp_op rkp_op_read_csv;

// One input of this name, in place of what a probe finds.
rkp_status read_csv_piped(struct read_csv *s, rkp_opt_ctx *mem, rkp_word name);
// Its bytes; takes r.
void read_csv_begin(struct read_csv *s, rkp_reader *r);

#endif
