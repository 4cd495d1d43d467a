// cuda/nvrtc.h - device source to machine code, with the compiler library of a CUDA toolkit.
//
//   Owns     the image is the caller's (free)
//   Threads  any
//   Fails    RKP_UNAVAILABLE and why: there is no such library; RKP_INVALID and the compiler's words
//   Limits   -
//   Cost     some 0.3 s
#ifndef RKC_NVRTC_H
#define RKC_NVRTC_H

#include "cuda/driver.h"

// For a card of capability major.minor.  *image ends with a NUL byte that is not counted.
rkp_status rkc_nvrtc_compile(rkp_str source, const rkc_text *include, size_t n_include, unsigned major, unsigned minor,
                             char **image, size_t *bytes, char *err, size_t n);
// Of the library, for the key of a cache: 13000 is 13.0; 0: there is none.
unsigned rkc_nvrtc_version(void);

#endif
