// backend_case.h - the backends that were built in, for tests that need one.
#ifndef BACKEND_CASE_H
#define BACKEND_CASE_H

#include <rkpipe/backend.h>

const rkp_backend *cpu_backend(void); // NULL: there is none

#endif
