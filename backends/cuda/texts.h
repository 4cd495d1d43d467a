// cuda/texts.h - what device source includes, as texts in this module: a compiler at run time finds no installed headers.
//
//   Owns     constants; the build writes them (cmake/embed_device.cmake)
//   Threads  any
//   Fails    -
//   Limits   -
//   Cost     -
#ifndef RKC_TEXTS_H
#define RKC_TEXTS_H

#include "cuda/driver.h"

extern const rkc_text rkc_device_texts[]; // rkpipe/device/*.h
extern const size_t rkc_n_device_texts;
extern const char rkc_sim_shim[]; // cuda/sim/shim.h

#endif
