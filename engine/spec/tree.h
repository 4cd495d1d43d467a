// spec/tree.h - YAML text to a tree in which every node keeps its place.
//
//   Owns     nodes live in the arena given to the loader
//   Threads  one
//   Fails    every problem of the text is a finding with its place; NULL when there is no tree (syntax, a limit), the
//            tree without the wrong part otherwise (duplicate keys, tags)
//   Limits   SPEC.md 2: sizes, depth, nodes after expansion, anchors, scalars; each enforced while libyaml streams
//   Cost     linear in the text
//
// Anchors, aliases and merge keys are resolved here (an alias copies the node: places of the copy are those of the
// anchored text).  Duplicate keys, cycles, tags other than the core ones, several documents, NUL bytes and non-scalar
// keys are errors.
//
// The place of a scalar is that of its first character, after a quote; at.len is the number of its code points when
// `exact` (the text stands like that in one line of the file), so a place inside is at.col plus code points.
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
    bool exact;                    // see above
    bool comment;                  // an empty value with a comment after it: somebody forgot to quote a '#'
    bool filled;                   // the whole text came out of ${..}: typed by its text, never null
    bool templated;                // ${this.x} and ${meta.x} stay in the text, a literal ${ is $${
    bool bad;                      // a finding about it has been given: parsers refuse it in silence
    bool dropped;                  // inside the loader: lost against an equal key
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

enum {
    RKI_FILE_BYTES = 1 << 20,
    RKI_ALL_BYTES = 8 << 20,
    RKI_TREE_DEPTH = 64,
    RKI_TREE_NODES = 200000,
    RKI_TREE_ANCHORS = 1000,
    RKI_SCALAR_BYTES = 256 << 10,
};

rkp_node *rki_tree_load(rki_arena *a, rkp_diags *d, const char *file, rkp_str text, rki_tree_budget *b);
rkp_node *rki_node_get(const rkp_node *map, const char *key);
bool rki_node_is_null(const rkp_node *n);                        // plain, and empty or ~ or null
rkp_loc rki_node_part(const rkp_node *n, size_t at, size_t len); // the place of bytes of a scalar's text

size_t rki_code_points(const char *p, const char *end);

// Making and changing trees (includes, templates, --set).  NULL when memory is out.
rkp_node *rki_node_new(rki_arena *a, rki_node_kind kind, rkp_loc at);
// Counts n more values; a finding and false when there are too many.
bool rki_tree_charge(rkp_diags *d, rkp_loc at, rki_tree_budget *b, size_t n);
// A deep copy, without key and sibling, charged to the budget: a finding at `used_at` and NULL when it is used up.
rkp_node *rki_node_copy(rki_arena *a, rkp_diags *d, const rkp_node *n, rkp_loc used_at, rki_tree_budget *b);
void rki_node_add(rkp_node *parent, rkp_node *child);                            // at the end
void rki_node_remove(rkp_node *parent, rkp_node *child);                         // the child stays valid
void rki_key_twice(rkp_diags *d, const rkp_node *first, const rkp_node *second); // the finding
// Reports keys that stand twice (after maps of several files were united) and drops all but the first.
void rki_map_settle(rki_arena *a, rkp_diags *d, rkp_node *m);

#endif
