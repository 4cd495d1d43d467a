// watch/template.h - the texts of labels and annotations: {{ $labels.x }}, {{ $value | humanize }}.
//
//   Owns     a template lives in the arena it was parsed into
//   Threads  immutable
//   Fails    parse: findings with their place; whatever could fail later is one of them, so expanding fails with its
//            buffer only
//   Limits   4 KiB of text; 16 arguments of printf
//   Cost     linear in the text
#ifndef RKI_WATCH_TEMPLATE_H
#define RKI_WATCH_TEMPLATE_H

#include "watch/labels.h"
#include <rkpipe/diag.h>

typedef struct rki_text_tpl rki_text_tpl;

// `label`: of a label, which must not change with the value.
const rki_text_tpl *rki_text_tpl_parse(rki_arena *a, rkp_diags *d, rkp_word text, bool label);
void rki_text_tpl_expand(const rki_text_tpl *t, const rki_labels *labels, double value, rki_buf *out);

// A number as Go prints it with %v: 1e+06, 0.25, +Inf.
void rki_go_float(double v, rki_buf *out);

#endif
