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
#include "sent.h"

#include <rkpipe/file.h>
#include <rkpipe/op.h>

enum { M_FILES, M_CHUNKS, M_EXACT, M_UNEVEN }; // what decode counts, so the first metrics of such a source

enum csv_validate { CSV_VALIDATE_USED, CSV_VALIDATE_ALL };

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
    rkp_schema base;        // the files' columns
    rkp_schema out;         // after `columns`
    uint32_t *out_base;     // out column -> base column
    const rkp_schema *from; // with the client's column (sent.h); NULL: without
    sent_check *check;      // of who only looks; `validate` is CSV_VALIDATE_ALL then

    const struct csv_kernel *kernel; // set by init
    double density;                  // decode: positions per byte of the last chunk

    size_t file; // poll: the run
    rkp_reader *reader;
    rkp_batch *source; // holds a struct source
    bool begun;        // the head of the file has been read
    bool lone_cr;
    bool no_wait;  // set by bind: a worker runs poll
    bool skipping; // in a record that is too long
    unsigned skip_mode;
    char *carry;
    size_t carry_n, carry_cap;
    size_t later;          // the last poll had no more in memory: room of the chunk that goes on; else 0
    uint64_t line, offset; // of the next byte to emit
    uint64_t done, total;  // bytes of finished files; of all
    uint64_t reported;     // bytes that emitted chunks stand for
};

extern const rkp_op rkp_op_read_csv;

// One input of this name, in place of what a probe finds.
rkp_status read_csv_piped(struct read_csv *s, rkp_opt_ctx *mem, rkp_word name);
// Its bytes; takes r.
void read_csv_begin(struct read_csv *s, rkp_reader *r);

// For a source of many texts, each with a head of its own; after read_csv_piped and init.  A text is a batch on which its
// chunks hang.  `head` is all up to the end of its first record, or empty without `header`.  RKP_INVALID: `why` says what is
// wrong with it.
rkp_status read_csv_text(struct read_csv *s, rkp_actor *a, rkp_str name, rkp_str head, rkp_batch **text,
                         char why[RKP_FILE_ERR]);
// A chunk of the records in two pieces, of which the first begins at that line and offset of the text; the last one may
// have no end.  NULL: out of memory, or more than 2^31 bytes.
rkp_batch *read_csv_chunk(struct read_csv *s, rkp_actor *a, rkp_batch *text, rkp_str one, rkp_str two, uint64_t line,
                          uint64_t offset);

#endif
