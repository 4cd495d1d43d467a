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

struct read_jsonl {
    line_source src;       // options; then the poll thread's
    rkp_schema_use schema; // options
    rkp_pairs paths;
    int validate;       // enum validate
    rkp_schema out;     // bind
    jscan_path *wanted; // bind: a column each
    jscan *scan;        // decode
    uint32_t *slot_of;  // decode: by column; UINT32_MAX: nobody reads it
    uint32_t **pos;     // decode: by slot, of the batch at hand
};

extern const rkp_op rkp_op_read_jsonl;

#endif
