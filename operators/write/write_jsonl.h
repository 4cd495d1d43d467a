// operators/write/write_jsonl.h - rows as lines of JSON, for a sink that gives the bytes to somebody else.
//
//   Owns     nothing as long as on_batch is not called
//   Threads  bind: control; encode: a worker
//   Fails    through the bind and the actor
//   Limits   see write_jsonl.c
//   Cost     see write_jsonl.c
//
// Such a sink holds a struct write_jsonl, sets its options, and uses bind and encode of rkp_op_write_jsonl.
#ifndef WRITE_JSONL_H
#define WRITE_JSONL_H

#include "file_out.h"

struct json_column {
    uint32_t in;
    rkp_str lead; // ,"name":
};

struct write_jsonl {
    rkp_word path; // options: constant after bind
    rkp_words columns;
    int commit, compression, nulls;
    struct json_column *cols; // bind
    uint32_t n_cols;
    rkp_str head;       // encode: every line begins with it: an object that is not closed; empty: none
    double row_bytes;   // encode: of the batch before
    rkp_writer *writer; // the writing instance
    bool ended;         // the writing instance
    file_out_tries tries;
};

extern const rkp_op rkp_op_write_jsonl;

#endif
