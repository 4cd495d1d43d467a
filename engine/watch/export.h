// watch/export.h - rules as a file that Prometheus reads.
//
//   Owns     nothing
//   Threads  any
//   Fails    with its buffer (sticky)
//   Limits   what Prometheus has no words for (resolve_expr, no_data) is left out, and stands there as a comment
//   Cost     linear in the rules
#ifndef RKI_WATCH_EXPORT_H
#define RKI_WATCH_EXPORT_H

#include "watch/rules.h"

// Why this rule cannot be said in Prometheus' words; NULL: it can.
const char *rki_rule_unsaid(const rki_rule_conf *c);
// Rules with the same interval and limit are a group, named after `name`; one without an interval has Prometheus' default.
void rki_rules_export(const rki_rule_conf *v, size_t n, rkp_str name, rki_buf *out);

#endif
