// base/diag.h - the sink behind rkpipe/diag.h: collects, sorts by place, prints as text, JSON or SARIF.
//
//   Owns     copies of all texts, and of the sources it quotes
//   Threads  one at a time
//   Fails    see rkpipe/diag.h
//   Limits   see rkpipe/diag.h
//   Cost     not on a data path
#ifndef RKI_DIAG_H
#define RKI_DIAG_H

#include "base/buf.h"
#include <rkpipe/diag.h>

rkp_diags *rki_diags_new(void);
void rki_diags_free(rkp_diags *d);

// Gives the sink the text of a file, so that findings in it show an excerpt.  Copies both.
void rki_diags_source(rkp_diags *d, const char *file, rkp_str text);

size_t rki_diags_count(const rkp_diags *d, rkp_severity sev);
bool rki_diags_failed(const rkp_diags *d); // any error, or findings lost for want of memory

// From here on this text is shown as *** in findings, whoever writes them (a path that holds a secret cannot be opened).
// Copies it; a text of less than 4 bytes is left alone, it would hide half of every finding.
void rki_diags_hide(rkp_diags *d, rkp_str secret);

size_t rki_diags_n_hidden(const rkp_diags *d);
rkp_str rki_diags_hidden(const rkp_diags *d, size_t i); // lives as long as d

typedef struct rki_finding {
    rkp_severity sev;
    rkp_loc at;
    const char *code, *text, *hint; // hint may be NULL
} rki_finding;

// Sorts by file (in order of first mention of a source), line, column, then order of arrival; removes exact repeats.
void rki_diags_sort(rkp_diags *d);
size_t rki_diags_n(const rkp_diags *d);
const rki_finding *rki_diags_at(const rkp_diags *d, size_t i);

// SPEC.md 10's text form: `file:line:col: error: text [code]`, the excerpt line, the underline, `= hint: ..`.
void rki_diags_text(rkp_diags *d, rki_buf *out, bool colour);
// A JSON array of {severity, file, line, column, length, code, message, hint}.
void rki_diags_json(rkp_diags *d, rki_buf *out);
// SARIF 2.1.0, one run.
void rki_diags_sarif(rkp_diags *d, rki_buf *out);

// The nearest of `names` (NULL terminated) to `word` by edit distance, or NULL when none is near enough to suggest
// (at most 1 edit for 1 to 4 bytes, 2 for longer, 3 for over 10; a transposition is one edit).
const char *rki_nearest(rkp_str word, const char *const *names);

#endif
