// cli/progress.h - how far a run is: one line on a terminal, or a JSON object a line.
//
//   Owns     nothing but its fields
//   Threads  the control thread of the run
//   Fails    what cannot be written is left out
//   Limits   a line of 512 bytes
//   Cost     five (bar) or one (json) short text a second
#ifndef RKI_PROGRESS_H
#define RKI_PROGRESS_H

#include "run/run.h"

typedef struct rki_bar {
    int width; // of the terminal when it cannot be asked
    uint64_t at_ns, rows, bytes;
    double rows_rate, bytes_rate; // per second, smoothed
    bool shown;
} rki_bar;

// The line for a terminal `width` columns wide, without control characters.
void rki_bar_line(rki_bar *b, const rki_progress *p, int width, rki_buf *out);
void rki_progress_json(const rki_progress *p, rki_buf *out);
// Callbacks for rki_run_args; arg is a rki_bar.
void rki_progress_bar(void *arg, const rki_progress *p);
void rki_progress_lines(void *arg, const rki_progress *p);

#endif
