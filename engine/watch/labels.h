// watch/labels.h - label sets: sorted names with values, one of them perhaps __name__.
//
//   Owns     nothing; a set points at texts and rows of whoever made it
//   Threads  any
//   Fails    NULL when memory is out
//   Limits   RKI_LABELS_MAX names
//   Cost     linear in the labels
#ifndef RKI_LABELS_H
#define RKI_LABELS_H

#include "base/arena.h"
#include "base/buf.h"

enum { RKI_LABELS_MAX = 64 };

typedef struct rki_label {
    rkp_str name, value;
} rki_label;

// Sorted by name, no name twice, no value empty (an empty one is no label).
typedef struct rki_labels {
    const rki_label *v;
    uint32_t n;
    uint64_t hash;
} rki_labels;

int rki_label_order(rkp_str a, rkp_str b); // by bytes: <0, 0, >0

// Sorts v in place, drops empty values, computes the hash.  false when a name stands twice or there are too many.
bool rki_labels_make(rki_label *v, uint32_t n, rki_labels *out);
bool rki_labels_eq(const rki_labels *a, const rki_labels *b);
rkp_str rki_labels_get(const rki_labels *l, const char *name); // {NULL, 0}: no such label
rkp_str rki_labels_find(const rki_labels *l, rkp_str name);

// Is the name among `names`?
bool rki_label_among(rkp_str name, const rkp_str *names, uint32_t n);
// The labels of l that are (keep) or are not (!keep) among names; __name__ goes too when drop_name.  Rows are of the arena.
bool rki_labels_pick(rki_arena *a, const rki_labels *l, const rkp_str *names, uint32_t n, bool keep, bool drop_name,
                     rki_labels *out);
// The hash of what rki_labels_pick would give, and whether two sets agree on it.
uint64_t rki_labels_pick_hash(const rki_labels *l, const rkp_str *names, uint32_t n, bool keep, bool drop_name);
bool rki_labels_pick_eq(const rki_labels *a, const rki_labels *b, const rkp_str *names, uint32_t n, bool keep,
                        bool drop_name);
// A copy with its texts, in the arena.
bool rki_labels_copy(rki_arena *a, const rki_labels *l, rki_labels *out);

// name{a="b",c="d"}, {} when there are none: as Prometheus shows them.
void rki_labels_print(const rki_labels *l, rki_buf *out);
// "text", with \\ \" \n and bytes that are not UTF-8 or not to be seen as \xNN.
void rki_quote(rkp_str s, rki_buf *out);

// Metric: [a-zA-Z_:][a-zA-Z0-9_:]*; label: the same without the colon.
bool rki_metric_name(rkp_str s);
bool rki_label_name(rkp_str s);

#endif
