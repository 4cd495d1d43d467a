// base/ctx.h - what rkpipe/opt.h calls rkp_opt_ctx: the arena and the findings of the pipeline at hand.
//
//   Owns     nothing
//   Threads  control
//   Fails    nothing here fails
//   Limits   none
//   Cost     a struct
//
// It stands in base because the expressions and the files, which are below the spec, put what they make into the same
// arena.
#ifndef RKI_CTX_H
#define RKI_CTX_H

#include "base/arena.h"
#include <rkpipe/diag.h>
#include <rkpipe/opt.h>

struct rki_spec;

// A word of another engine, or of another place of the file, and what to write instead.
typedef struct rki_foreign {
    const char *word;
    const char *hint;
} rki_foreign;

enum { RKI_NOT_YET = -1000 }; // rkp_choice.value: known, and refused with "not supported yet"

struct rkp_opt_ctx {
    rki_arena *arena;
    rkp_diags *diags;            // NULL: checked before, be quiet
    const struct rki_spec *spec; // schemas by name; may be NULL
    const char *owner;           // "operator 'throttle'", "kernel 'score'": for unknown keys
    bool keys;                   // the rows are keys of the pipeline file, not options: findings say so
    bool free_x;                 // keys that start with x- are nobody's business
    const rki_foreign *foreign;  // for hints; ends with { 0 }; may be NULL
    const char *foreign_means;   // the row that such a word stands for; may be NULL
    const char *short_for;       // the row of a short form: `on_error: drop` speaks of on_error, not of its `action`
    const rkp_opt *other;        // rows of a neighbouring place, for hints; may be NULL
    const char *other_hint;      // "put it under 'with'"
    bool *meant;                 // per row: an unknown key stands for it, so it is not missing; may be NULL
};

enum { RKI_MAX_ROWS = 256 }; // of one table

#endif
