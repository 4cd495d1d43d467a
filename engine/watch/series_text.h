// watch/series_text.h - a series and its values as the tests of Prometheus' rules write them: up{job="a"}, 0+1x10 _x3 stale.
//
//   Owns     everything is of the arena given
//   Threads  one
//   Fails    false and findings; without memory rki_arena_failed
//   Limits   RKI_SERIES_VALUES values of a series; 64 KiB of text
//   Cost     linear in the text; a value is made when it is asked for
//
//   a  a+bxn  a-bxn    a;  a, a+b, .., a+nb, which are n + 1;  the same downwards
//   axn                a, n + 1 times
//   _  _xn             no sample;  n times none
//   stale              the series ends here
#ifndef RKI_SERIES_TEXT_H
#define RKI_SERIES_TEXT_H

#include "watch/series.h"
#include <rkpipe/diag.h>

enum { RKI_SERIES_VALUES = 1000000 };

typedef struct rki_series_item {
    double first, step; // first may be stale or a gap (watch/series.h)
    uint32_t n;
} rki_series_item;

typedef struct rki_series_text {
    rkp_loc at;
    rkp_str name;
    rki_label *labels; // without the name, sorted
    uint32_t n_labels;
    const rki_series_item *items;
    uint32_t n_items;
    uint32_t n; // values
} rki_series_text;

bool rki_series_text_parse(rki_arena *a, rkp_diags *d, rkp_word series, rkp_word values, rki_series_text *out);

bool rki_series_text_same(const rki_series_text *a, const rki_series_text *b); // of one name and the same labels

typedef struct rki_series_walk { // {0} at the beginning
    uint32_t item, at;
    double v;
} rki_series_walk;

// The next value, which may be stale or a gap.  False: there are no more.
bool rki_series_text_next(const rki_series_text *t, rki_series_walk *w, double *v);

#endif
