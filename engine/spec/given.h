// spec/given.h - rows that a test gives or expects: from YAML or a small file to typed columns.
//
//   Owns     nodes and schemas live in the arena; a batch in the caller's pool
//   Threads  one
//   Fails    findings at the value that is wrong; NULL or false
//   Limits   files of 1 MiB; no fixed arrays
//   Cost     not on a data path
#ifndef RKI_GIVEN_H
#define RKI_GIVEN_H

#include "spec/tree.h"
#include <rkpipe/batch.h>

typedef struct rki_rows {
    const rkp_node *list; // of mappings; NULL: not given
    rkp_loc at;
} rki_rows;

// Rows in place of what a source reads.
typedef struct rki_given {
    rki_rows rows;
    const rkp_node *schema_node; // as the test says; NULL:
    rkp_schema schema;           // n 0: that of the operator in whose place they are, or by their values
    uint64_t every_ns;           // between two messages; 0: all at once
    uint64_t batch;              // rows of a message; 0: one with every_ns, else all
    uint64_t open_ns;            // from the beginning of the run: the source does not end before
} rki_given;

// A list of mappings?  Findings when it is not.
bool rki_rows_take(rki_arena *a, rkp_diags *d, const rkp_node *list, const char *what, rki_rows *out);
// The rows of a text: JSON lines when the name says so, else CSV with a header.  `at`: where the file is named.
bool rki_rows_parse(rki_arena *a, rkp_diags *d, const char *file, rkp_str text, rkp_loc at, rki_rows *out);
// Types by their values, as read.csv finds them; text in quotes is string.  All columns may be null.
bool rki_rows_infer(rki_arena *a, const rki_rows *rows, rkp_schema *out);

typedef struct rki_rows_as {
    rki_arena *arena;
    rkp_diags *d;
    rkp_pool *pool;
    const rkp_schema *schema;
    const char *of; // "kernel 'read'": for findings
    bool partial;   // a column that a row does not name is nothing wrong
} rki_rows_as;

// Flat columns of these types.  NULL: findings were made, or memory is out.
rkp_batch *rki_rows_batch(const rki_rows_as *as, const rki_rows *rows);

#endif
