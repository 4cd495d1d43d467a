// cli/top_view.h - a picture of a running engine: two answers of /v1/status and what has changed between them.
//
//   Owns     nothing; `out` is the caller's
//   Threads  one
//   Fails    false without memory
//   Limits   lines are cut at the width of the screen, and kernels at its height
//   Cost     linear in kernels times edges of each
#ifndef RKI_TOP_VIEW_H
#define RKI_TOP_VIEW_H

#include "cli/table.h"

typedef enum rki_top_sort { RKI_TOP_RATE, RKI_TOP_QUEUE, RKI_TOP_NAME } rki_top_sort;

typedef struct rki_top_look {
    int sort;              // rki_top_sort
    size_t columns, lines; // of the screen; 0: as many as it takes
    size_t from;           // the first kernel that is shown
} rki_top_look;

// `before` NULL: rates are those since the start.  Lines end in '\n'.  *n_kernels: how many there are.
bool rki_top_view(rki_arena *a, const rki_json_node *before, const rki_json_node *now, const rki_top_look *look,
                  size_t *n_kernels, rki_buf *out);

#endif
