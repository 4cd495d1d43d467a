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
const rkp_opt *rki_opts_find(const rkp_opt *rows, rkp_str name); // NULL when there is none
// An expression, in which nothing is interpolated?
bool rki_opt_is_expr(const rkp_opt *row);
// The finding "'rate' needs a rate, not 'fast'".  `hint` may be NULL.
rkp_status rki_opt_refuse(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, const char *want, const char *hint);
// A scalar with a value?  A finding when it is not.
bool rki_opt_scalar(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, const char *want);
// rki_nearest, or NULL when there are so many findings that nobody reads their hints.
const char *rki_opt_nearest(const rkp_diags *d, rkp_str word, const char *const *names);
// "'fast'", "a list", "nothing": what the user wrote, short, never a secret.
const char *rki_node_shown(rki_arena *a, const rkp_node *n);
rkp_word rki_node_word(const rkp_node *n);
// A column list {name: type}: findings for what is wrong.
rkp_status rki_opt_columns(rkp_opt_ctx *c, const rkp_node *map, rkp_schema *out);
void rki_opts_schema(const rkp_opt *rows, rki_json *j); // a whole {"type":"object",..}
void rki_opts_print(const rkp_opt *rows, const void *self, rki_json *j);
void rki_opt_schema(const rkp_opt *row, rki_json *j); // the object of one row
// The members of a schema that takes what `type` takes, or a string with ${..} in it.
void rki_schema_or_var(rki_json *j, const char *json);
void rki_opt_bound(const rkp_opt *row, double v, char to[40]); // min or max, as people write it
// Text for `describe`: a row per option, choices below.
void rki_opts_describe(const rkp_opt *rows, rki_buf *out, int indent);

#endif
