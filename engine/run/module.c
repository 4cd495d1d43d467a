// run/module.c - librk_cuda.so by name: whoever has no kernels on a device does not load it.
#include "run/module.h"

#include <dlfcn.h>
#include <stdio.h>

rkp_status rki_module_load(const char *dir, const rkd_module **out, char *err, size_t n)
{
    char path[1024];
    const rkd_module *(*get)(void);
    void *lib;
    *out = NULL;
    if (!dir || snprintf(path, sizeof path, "%s/librk_cuda.so", dir) >= (int)sizeof path) {
        snprintf(err, n, "this rkpipe has no module for devices (lib/rkpipe/librk_cuda.so beside it)");
        return RKP_UNAVAILABLE;
    }
    lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!lib) {
        snprintf(err, n, "the module for devices cannot be loaded: %s", dlerror());
        return RKP_UNAVAILABLE;
    }
    *(void **)&get = dlsym(lib, RKD_MODULE_SYMBOL);
    *out = get ? get() : NULL;
    if (*out && (*out)->abi == RKD_MODULE_ABI && (*out)->size == sizeof **out)
        return RKP_OK;
    *out = NULL;
    snprintf(err, n, "%s is not of this version of rkpipe", path);
    return RKP_UNAVAILABLE;
}
