// run/tap_where.h - the condition of a tap: which rows it shows.
//
//   Owns     its program and what that needs, until rki_tap_where_free
//   Threads  one at a time (the tap's lock)
//   Fails    new, check: false and a sentence; a row for which the condition cannot be computed is not shown
//   Limits   those of expressions
//   Cost     compiled for each change of the columns, evaluated for the rows of a batch at once; by who reads the tap
#ifndef RKI_TAP_WHERE_H
#define RKI_TAP_WHERE_H

#include "run/actor.h"

typedef struct rki_tap_where rki_tap_where;

// Variables of the pipeline have the values that they have now; those that hold a secret are not known to it.
rki_tap_where *rki_tap_where_new(const rki_spec *s, rkp_str text, char *err, size_t n);
void rki_tap_where_free(rki_tap_where *w); // NULL is fine
// Does it fit these columns?
bool rki_tap_where_check(rki_tap_where *w, const rkp_schema *s, char *err, size_t n);
// Looks at the rows of a batch, for rki_tap_where_wants.  False: out of memory.
bool rki_tap_where_look(rki_tap_where *w, const rkp_batch *b, const char *kernel, uint64_t stamp);
bool rki_tap_where_wants(const rki_tap_where *w, uint32_t row);

#endif
