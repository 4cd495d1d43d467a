// data/state.h - the bytes of rkpipe/state.h, from the side of the engine.
//
//   Owns     a rkp_save its buffer
//   Threads  one at a time
//   Fails    the flags in the structs
//   Limits   -
//   Cost     -
#ifndef RKI_STATE_H
#define RKI_STATE_H

#include "base/buf.h"
#include <rkpipe/state.h>

struct rkp_save {
    rki_buf out; // out.failed: memory was out
    rkp_status st;
};

struct rkp_load {
    const char *p;
    size_t n, at;
    rkp_status st;
    char why[200]; // RKP_INVALID
};

void rki_save_begin(rkp_save *s);
rkp_status rki_save_status(const rkp_save *s);
void rki_save_fini(rkp_save *s);
void rki_load_begin(rkp_load *l, const void *p, size_t n);
// All of it must have been read.
rkp_status rki_load_end(rkp_load *l);

#endif
