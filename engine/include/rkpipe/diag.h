// rkpipe/diag.h - findings for the author of a pipeline: a place, a stable code, one fact, at most one hint.
//
//   Owns     the sink copies every text it is given
//   Threads  one thread at a time per sink
//   Fails    never: without memory the sink remembers that it lost findings and says so when printed
//   Limits   at most 1,000 findings are kept; the count goes on
//   Cost     formatting; never used on a data path
//
// Text: lower case, no full stop, what is wrong first, the user's words in single quotes, advice only in the hint.
#ifndef RKPIPE_DIAG_H
#define RKPIPE_DIAG_H

#include <rkpipe/base.h>

typedef struct rkp_diags rkp_diags;

typedef enum rkp_severity { RKP_ERROR, RKP_WARNING, RKP_NOTE } rkp_severity;

// Adds a finding.  `code` is a string literal ("key-unknown"), looked up in docs/reference/diagnostics.md.
void rkp_diag(rkp_diags *d, rkp_severity sev, rkp_loc at, const char *code, const char *fmt, ...) RKP_PRINTF(5, 6);

// Gives the newest finding its hint; a second call replaces the first.
void rkp_diag_hint(rkp_diags *d, const char *fmt, ...) RKP_PRINTF(2, 3);

#endif
