// run/watch.h - alerts on data: what their kernels have counted.
//
//   Owns     a run owns its boxes until it is freed
//   Threads  any
//   Fails    rows that find no memory are counted as those of too many keys
//   Limits   RKI_WATCH_KEYS columns of 1 KiB; as many keys as the alert may have
//   Cost     of a row that matches: its key as text, and a probe
#ifndef RKI_RUN_WATCH_H
#define RKI_RUN_WATCH_H

#include "run/run.h"
#include "spec/spec.h"

// So many rows of a key since the last time, or, with 0, `over` rows of keys past the limit.
typedef void rki_watched(void *arg, rkp_str alert, const rkp_str *keys, size_t n, uint64_t rows, uint64_t over);

void rki_run_watched(rki_run *r, rki_watched *take, void *arg);
void rki_watches_free(rki_run *r);

#endif
