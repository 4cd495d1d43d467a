// plan/diff.h - what of a plan that runs can go on in the plan that takes its place.
//
//   Owns     everything of a diff hangs off its arena; both plans are borrowed
//   Threads  made by one, then immutable
//   Fails    NULL: out of memory, or findings: what cannot be changed while it runs, with the place in the new file
//   Limits   see plan.h
//   Cost     a comparison of two resolved files
//
// Kernels are told apart by their names (RELIABILITY.md 3.2).  What an actor is made of, and a ring's shape, follow from them.
#ifndef RKI_DIFF_H
#define RKI_DIFF_H

#include "base/json.h"
#include "plan/plan.h"

typedef enum rki_change {
    RKI_SAME,    // nothing about it has changed
    RKI_RETUNE,  // the same operator with the same options, columns and state: only how it runs, or what it is wired to
    RKI_REPLACE, // a new instance
    RKI_ADD,
} rki_change;

typedef struct rki_kernel_diff {
    uint8_t change;  // rki_change
    int32_t old;     // index in the old plan; -1: RKI_ADD
    bool carries;    // of RKI_REPLACE: what it has kept is given to the new instance
    bool finishes;   // of RKI_REPLACE, a sink: what it has written is complete, and the new instance begins anew
    const char *why; // of RETUNE and REPLACE: "with.by", "columns of its input"
} rki_kernel_diff;

typedef struct rki_diff {
    rki_arena arena;
    const rki_plan *from, *to;
    rki_kernel_diff *kernels; // per kernel of `to`
    int32_t *edges;           // per edge of `to`: the edge of `from` whose rings go on; -1
    int32_t *actors;          // per actor of `to`: the actor of `from` that runs on as it is; -1
    int32_t *old_kernels;     // per kernel of `from`: index in `to`; -1: removed
    int32_t *old_edges;       // per edge of `from`: the edge of `to` that takes its rings; -1
    int32_t *old_actors;      // per actor of `from`: the actor of `to` that it is, unchanged; -1
    bool *stops;              // per actor of `from`: it stops, and others go on with (part of) its kernels
    bool *halts;              // the same, and those that stand still meanwhile so that no message meets two generations
    bool path;                // there may be such: what is between two that halt comes to its end before
    bool any;                 // false: nothing has changed
} rki_diff;

// kept: the one that runs makes checkpoints.
rki_diff *rki_diff_new(const rki_plan *from, const rki_plan *to, bool kept, rkp_diags *d);
void rki_diff_free(rki_diff *d);

// Of one that is made but for `halts`: reload.consistency: path (cut.c).  False: findings.
bool rki_diff_cut(rki_diff *v, rkp_diags *d);

// Of what the state of a kernel's instance depends on: another one means that a checkpoint of it does not fit.
uint64_t rki_form_of(const rki_bound *b, const rki_spec *s);

// {"same":[..],"retune":[..],"replace":[..],"add":[..],"remove":[..]}
void rki_diff_json(const rki_diff *d, rki_json *out);

#endif
