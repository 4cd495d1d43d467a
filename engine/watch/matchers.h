// watch/matchers.h - conditions on labels: severity="page", kernel=~"read.*", as routes, inhibitions and silences have them.
//
//   Owns     what it makes lives in the arena given, compiled patterns too
//   Threads  one at a time: a pattern that is matched has room of its own
//   Fails    false: a finding or *why says what is wrong, or memory is out
//   Limits   RKI_MATCHERS_MAX conditions in one list
//   Cost     a comparison each; patterns are PCRE2's, anchored at both ends
#ifndef RKI_MATCHERS_H
#define RKI_MATCHERS_H

#include "watch/labels.h"
#include <rkpipe/diag.h>
#include <rkpipe/expr.h>

enum { RKI_MATCHERS_MAX = 32 };

typedef enum rki_match_how { RKI_IS, RKI_IS_NOT, RKI_LIKE, RKI_NOT_LIKE } rki_match_how;

typedef struct rki_match {
    rkp_str name, value;
    rki_match_how how;
    const rkp_regex *re;
    rkp_regex_run *run;
} rki_match;

typedef struct rki_matchers { // all of them hold
    rki_match *v;
    size_t n;
} rki_matchers;

// `alert` is another word for the label alertname.
rkp_str rki_label_word(rkp_str name);
// name and value are copied.  d and at: where a finding about a pattern goes; d may be NULL.
bool rki_match_make(rki_arena *a, rkp_diags *d, rkp_loc at, rkp_str name, rki_match_how how, rkp_str value,
                    rki_match *out);
// One condition or several with commas between them, in braces or not; values with quotes or without.
bool rki_matchers_parse(rki_arena *a, rkp_diags *d, rkp_loc at, rkp_str text, rki_matchers *out, const char **why);
bool rki_matchers_copy(rki_arena *a, const rki_matchers *from, rki_matchers *to);
// A label that is not there is an empty text.
bool rki_matchers_hit(const rki_matchers *m, const rki_labels *l);
bool rki_matchers_take_empty(const rki_matchers *m); // do all of them hold without any label?
void rki_matchers_print(const rki_matchers *m, rki_buf *out);

#endif
