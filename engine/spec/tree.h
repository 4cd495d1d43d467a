// spec/tree.h - YAML text to a tree in which every node keeps its place.
//
//   Owns     nodes live in the arena given to the loader
//   Threads  one
//   Fails    every problem of the text is a finding with its place; NULL then
//   Limits   SPEC.md 2: sizes, depth, nodes after expansion, anchors, scalars; each enforced while libyaml streams
//   Cost     linear in the text
//
// Anchors, aliases and merge keys are resolved here (an alias copies the node: marks of the copy are those of the
// anchored text, `used_at` is the alias).  Duplicate keys, cycles, tags other than the core ones, several documents,
// NUL bytes and non-scalar keys are errors.
#ifndef RKI_TREE_H
#define RKI_TREE_H

#include "base/arena.h"
#include "base/diag.h"
#include <rkpipe/opt.h>

typedef enum rki_node_kind { RKI_SCALAR, RKI_LIST, RKI_MAP } rki_node_kind;

struct rkp_node {
    uint8_t kind;                  // rki_node_kind
    bool plain;                    // unquoted scalar
    bool expression;               // interpolation was off for it
    bool secret;                   // came out of ${secret:..}: never printed
    rkp_loc at;                    // of the value
    rkp_loc key_at;                // of the key, in a map
    rkp_word key;                  // in a map; p is NULL elsewhere
    rkp_str text;                  // scalar, NUL terminated
    struct rkp_node *child, *next; // first child, next sibling
    size_t n;                      // children
};

// Loads one file (limits apply to the sum over one `budget`).
typedef struct rki_tree_budget {
    size_t bytes, nodes, anchors, files;
} rki_tree_budget;

rkp_node *rki_tree_load(rki_arena *a, rkp_diags *d, const char *file, rkp_str text, rki_tree_budget *b);
const rkp_node *rki_node_get(const rkp_node *map, const char *key);
bool rki_node_is_null(const rkp_node *n); // plain, and empty or ~ or null

#endif
