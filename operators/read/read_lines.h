// operators/read/read_lines.h - the reader of lines, for a source that has the bytes from elsewhere.
//
//   Owns     see line_source.h
//   Threads  see line_source.h
//   Fails    through the bind and the actor
//   Limits   see line_source.h
//   Cost     see read_lines.c
//
// Such a source holds a struct read_lines, sets its options, and uses the slots of rkp_op_read_lines but probe: bind,
// then line_source_piped; line_source_begin before the first poll; decode; fini.
#ifndef READ_LINES_H
#define READ_LINES_H

#include "line_source.h"
#include "sent.h"

struct read_lines {
    line_source src;        // options; then the poll thread's
    rkp_word column;        // options
    rkp_schema schema;      // bind
    const rkp_schema *from; // with the client's column (sent.h); NULL: without
};

extern const rkp_op rkp_op_read_lines;

#endif
