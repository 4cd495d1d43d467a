// plan/bind.h - runs the probe and bind slots of operators, and unites inputs.
//
//   Owns     answers live in the context's arena
//   Threads  control
//   Fails    findings and RKP_INVALID; RKP_NOMEM
//   Limits   see plan.h
//   Cost     not on a data path
#ifndef RKI_BIND_H
#define RKI_BIND_H

#include "plan/plan.h"

// A hint after a finding about a column that is not there: the nearest name, or all of them.
void rki_bind_hint_column(rki_arena *a, rkp_diags *d, const rkp_schema *s, rkp_str name);
rkp_status rki_probe_run(rki_bound *b, rkp_opt_ctx *ctx, bool may_read_stdin);
// checking: the answers are kept in `to`; else only `self` is set up.
rkp_status rki_bind_run(rki_bound *to, void *self, rkp_opt_ctx *ctx, bool checking);
// Sets to->in and one map per input.
rkp_status rki_bind_unite(rki_arena *a, rkp_diags *d, const rki_bound *to, const rkp_schema *const *ins,
                          const char *const *names, uint32_t n, rki_unite *maps, rkp_schema *out);

#endif
