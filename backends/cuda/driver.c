// cuda/driver.c - the table of calls, filled from libcuda.so.1.
#include "cuda/driver.h"

#include <dlfcn.h>
#include <stdio.h>

// The names with a number are those of today's interface: the plain ones are kept for programs of long ago.
#define CALLS(X)                                                                                                       \
    X(init, "cuInit")                                                                                                  \
    X(version, "cuDriverGetVersion")                                                                                   \
    X(device_count, "cuDeviceGetCount")                                                                                \
    X(device_get, "cuDeviceGet")                                                                                       \
    X(device_name, "cuDeviceGetName")                                                                                  \
    X(device_memory, "cuDeviceTotalMem_v2")                                                                            \
    X(device_attribute, "cuDeviceGetAttribute")                                                                        \
    X(context_retain, "cuDevicePrimaryCtxRetain")                                                                      \
    X(context_release, "cuDevicePrimaryCtxRelease_v2")                                                                 \
    X(context_set, "cuCtxSetCurrent")                                                                                  \
    X(host_alloc, "cuMemHostAlloc")                                                                                    \
    X(host_free, "cuMemFreeHost")                                                                                      \
    X(host_address, "cuMemHostGetDevicePointer_v2")                                                                    \
    X(module_load, "cuModuleLoadData")                                                                                 \
    X(module_unload, "cuModuleUnload")                                                                                 \
    X(module_function, "cuModuleGetFunction")                                                                          \
    X(function_attribute, "cuFuncGetAttribute")                                                                        \
    X(occupancy, "cuOccupancyMaxActiveBlocksPerMultiprocessor")                                                        \
    X(stream_new, "cuStreamCreate")                                                                                    \
    X(stream_free, "cuStreamDestroy_v2")                                                                               \
    X(stream_query, "cuStreamQuery")                                                                                   \
    X(launch, "cuLaunchCooperativeKernel")                                                                             \
    X(error_name, "cuGetErrorName")                                                                                    \
    X(error_text, "cuGetErrorString")

const rkc_driver *rkc_driver_load(char *why, size_t n)
{
    static rkc_driver table;
    static bool there;
    void *lib;
    if (there)
        return &table;
    lib = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!lib) {
        snprintf(why, n, "there is no CUDA driver on this machine (%s)", dlerror());
        return NULL;
    }
#define FILL(field, name)                                                                                              \
    *(void **)&table.field = dlsym(lib, name);                                                                         \
    if (!table.field) {                                                                                                \
        snprintf(why, n, "the CUDA driver of this machine is too old: it has no %s", name);                            \
        dlclose(lib);                                                                                                  \
        return NULL;                                                                                                   \
    }
    CALLS(FILL)
#undef FILL
    there = true; // and stays: a driver keeps threads of its own
    return &table;
}
