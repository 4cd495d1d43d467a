// base/json_read.h - JSON text to a tree: what a program says about itself, not data.
//
//   Owns     nodes and texts live in the arena given; nothing points into the text afterwards
//   Threads  one
//   Fails    NULL: not JSON (RFC 8259, strict: one value, UTF-8, no lone surrogates), too deep, or memory is out
//            (rki_arena_failed tells)
//   Limits   64 levels
//   Cost     linear in the text
//
// The getters take NULL for a node and say "not there", so that a chain of them needs one check at its end.
#ifndef RKI_JSON_READ_H
#define RKI_JSON_READ_H

#include "base/arena.h"

typedef enum rki_json_kind {
    RKI_JSON_NULL,
    RKI_JSON_BOOL,
    RKI_JSON_NUMBER,
    RKI_JSON_STRING,
    RKI_JSON_LIST,
    RKI_JSON_MAP,
} rki_json_kind;

typedef struct rki_json_node {
    rki_json_kind kind;
    rkp_str key;  // in a map
    rkp_str text; // a string's value, a number as it is written, "true", "false"; NUL terminated
    size_t n;     // children
    const struct rki_json_node *child, *next;
} rki_json_node;

const rki_json_node *rki_json_read(rki_arena *a, rkp_str text);

const rki_json_node *rki_json_get(const rki_json_node *map, const char *key); // the first of that name; NULL: none
rkp_str rki_json_text(const rki_json_node *n, const char *otherwise);         // of a string
bool rki_json_count(const rki_json_node *n, uint64_t *out);                   // a whole number >= 0
bool rki_json_float(const rki_json_node *n, double *out);
bool rki_json_true(const rki_json_node *n);

#endif
