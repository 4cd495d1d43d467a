// cuda/driver.h - the calls of the CUDA driver that this module makes, as a table: of libcuda.so.1, or of the simulated device.
//
//   Owns     nothing
//   Threads  as the driver's: a context is current per thread
//   Fails    the driver's numbers; 0 is success
//   Limits   -
//   Cost     an indirect call
//
// The types and numbers are those of the driver's binary interface, so that no toolkit is needed to build.  A call that is not in the table
// cannot be made: what may wait for a resident grid to end (allocating, freeing, loading) is refused while one runs (device.c).
#ifndef RKC_DRIVER_H
#define RKC_DRIVER_H

#include <rkpipe/base.h>

typedef int cu_result;
typedef int cu_device;
typedef unsigned long long cu_ptr;
typedef struct cu_context *cu_context;
typedef struct cu_module *cu_module;
typedef struct cu_function *cu_function;
typedef struct cu_stream *cu_stream;

enum { CU_OK = 0, CU_NO_DEVICE = 100, CU_NOT_READY = 600, CU_NOT_SUPPORTED = 801 };
enum { CU_HOST_PORTABLE = 1, CU_HOST_MAPPED = 2 };
enum { CU_STREAM_NON_BLOCKING = 1 };
enum { // of a device
    CU_MULTIPROCESSORS = 16,
    CU_KERNEL_TIMEOUT = 17,
    CU_MAP_HOST = 19,
    CU_MAJOR = 75,
    CU_MINOR = 76,
    CU_COOPERATIVE = 95,
};
enum { CU_FUNC_SHARED = 1, CU_FUNC_LOCAL = 3, CU_FUNC_REGISTERS = 4 };

typedef struct rkc_driver {
    cu_result (*init)(unsigned flags);
    cu_result (*version)(int *v);
    cu_result (*device_count)(int *n);
    cu_result (*device_get)(cu_device *d, int ordinal);
    cu_result (*device_name)(char *name, int n, cu_device d);
    cu_result (*device_memory)(size_t *bytes, cu_device d);
    cu_result (*device_attribute)(int *v, int attribute, cu_device d);
    cu_result (*context_retain)(cu_context *c, cu_device d);
    cu_result (*context_release)(cu_device d);
    cu_result (*context_set)(cu_context c);
    cu_result (*host_alloc)(void **p, size_t bytes, unsigned flags);
    cu_result (*host_free)(void *p);
    cu_result (*host_address)(cu_ptr *p, void *host, unsigned flags); // as the device sees it
    cu_result (*module_load)(cu_module *m, const void *image);
    cu_result (*module_unload)(cu_module m);
    cu_result (*module_function)(cu_function *f, cu_module m, const char *name);
    cu_result (*function_attribute)(int *v, int attribute, cu_function f);
    cu_result (*occupancy)(int *blocks, cu_function f, int threads, size_t shared);
    cu_result (*stream_new)(cu_stream *s, unsigned flags);
    cu_result (*stream_free)(cu_stream s);
    cu_result (*stream_query)(cu_stream s);
    cu_result (*launch)(cu_function f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                        unsigned shared, cu_stream s,
                        void **params); // cooperative: all blocks are resident together, or none
    cu_result (*error_name)(cu_result r, const char **name);
    cu_result (*error_text)(cu_result r, const char **text);
} rkc_driver;

// libcuda.so.1; NULL and why.  Stays loaded.
const rkc_driver *rkc_driver_load(char *why, size_t n);

// The simulated device: one device on threads of this process.  An image is the path of a shared object that rkc_sim_compile made, with its
// NUL; a launch runs rkd_main of it, one thread for each warp.
const rkc_driver *rkc_sim_driver(void);
// Compiles device source with the C++ compiler of this machine ($CXX, c++, g++, clang++).  include: the texts of <rkpipe/device/..>.
typedef struct rkc_text {
    const char *name; // "rkpipe/device/abi.h"
    const char *text;
} rkc_text;
rkp_status rkc_sim_compile(rkp_str source, const rkc_text *include, size_t n_include, const char *to,
                           const char *const *env, char *err, size_t n);

#endif
