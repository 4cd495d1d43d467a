// operators/read/read_jsonl.h - the reader of JSON lines, for a source that has the bytes from elsewhere.
//
//   Owns     see line_source.h
//   Threads  see line_source.h
//   Fails    through the bind and the actor
//   Limits   see line_source.h
//   Cost     see read_jsonl.c
//
// Such a source holds a struct read_jsonl, sets its options, `schema` among them, and uses the slots of
// rkp_op_read_jsonl but probe: bind, then line_source_piped; line_source_begin before the first poll; decode; fini.
#ifndef READ_JSONL_H
#define READ_JSONL_H

#include "json_scan.h"
#include "line_source.h"
#include "sent.h"

enum jsonl_validate { JSONL_VALIDATE_USED, JSONL_VALIDATE_ALL };

struct read_jsonl {
    line_source src;       // options; then the poll thread's
    rkp_schema_use schema; // options
    rkp_pairs paths;
    int validate;           // enum jsonl_validate
    rkp_schema out;         // bind
    const rkp_schema *from; // with the client's column (sent.h); NULL: without
    sent_check *check;      // of who only looks; `validate` is VALIDATE_ALL then
    jscan_path *wanted;     // bind: a column each
    jscan *scan;            // decode
    uint32_t *slot_of;      // decode: by column; UINT32_MAX: nobody reads it
    uint32_t **pos;         // decode: by slot, of the batch at hand
};

extern const rkp_op rkp_op_read_jsonl;

#endif
