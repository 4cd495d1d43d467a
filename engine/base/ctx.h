// base/ctx.h - what rkpipe/opt.h calls rkp_opt_ctx: the arena and the findings of the pipeline at hand.
//
//   Owns     nothing
//   Threads  control
//   Fails    nothing here fails
//   Limits   none
//   Cost     a struct
//
// It stands in base because the expressions, which are below the spec, put their programs into the same arena.
#ifndef RKI_CTX_H
#define RKI_CTX_H

#include "base/arena.h"
#include <rkpipe/diag.h>
#include <rkpipe/opt.h>

struct rki_spec;

struct rkp_opt_ctx {
    rki_arena *arena;
    rkp_diags *diags;            // NULL: checked before, be quiet
    const struct rki_spec *spec; // schemas by name; may be NULL
    const char *owner;           // "operator 'throttle'", "kernel 'score'": for unknown keys
};

#endif
