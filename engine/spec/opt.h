// spec/opt.h - the walkers over option rows: apply, describe, schema, hints.
//
//   Owns     see rkpipe/opt.h
//   Threads  control
//   Fails    findings
//   Limits   none
//   Cost     not on a data path
#ifndef RKI_OPT_H
#define RKI_OPT_H

#include "base/ctx.h"
#include "base/json.h"
#include "spec/tree.h"

// Sets every option of `rows` in `self` from the mapping `with` (NULL: all defaults), reporting all that is wrong.
rkp_status rki_opts_apply(rkp_opt_ctx *c, const rkp_opt *rows, const rkp_node *with, rkp_loc at, void *self);
void rki_opts_schema(const rkp_opt *rows, rki_json *j); // a whole {"type":"object",..}
void rki_opts_print(const rkp_opt *rows, const void *self, rki_json *j);
// Text for `describe`: a row per option, choices below.
void rki_opts_describe(const rkp_opt *rows, rki_buf *out, int indent);

#endif
