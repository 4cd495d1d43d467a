// run/module.h - modules that bring devices.
//
//   Owns     a module stays loaded: drivers keep threads and handlers of their own
//   Threads  control
//   Fails    RKP_UNAVAILABLE, and why
//   Limits   -
//   Cost     a dlopen
#ifndef RKI_RUN_MODULE_H
#define RKI_RUN_MODULE_H

#include <rkpipe/device.h>

// librk_cuda.so of the folder where this rkpipe has its modules; NULL: it has none.
rkp_status rki_module_load(const char *dir, const rkd_module **out, char *err, size_t n);

#endif
