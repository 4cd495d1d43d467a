// cuda/nvrtc.c - NVRTC by name: a machine without a toolkit builds and runs everything else.
//
// Contraction of a multiplication and an addition is off, so that answers have the bits of the CPU's; division and square root are rounded as IEEE
// 754 says, which is the compiler's default.
#include "cuda/nvrtc.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct nvrtc_program *program;

static struct {
    int (*version)(int *major, int *minor);
    int (*create)(program *p, const char *source, const char *name, int n, const char *const *texts,
                  const char *const *names);
    int (*destroy)(program *p);
    int (*compile)(program p, int n, const char *const *options);
    int (*log_size)(program p, size_t *bytes);
    int (*log)(program p, char *to);
    int (*image_size)(program p, size_t *bytes);
    int (*image)(program p, char *to);
    const char *(*error)(int result);
} lib;
static bool there;
static char missing[256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void)
{
    static const char *const names[] = {
        "libnvrtc.so.13",
        "libnvrtc.so.12",
        "libnvrtc.so",
        "/usr/local/cuda/lib64/libnvrtc.so",
        "/usr/local/cuda/targets/x86_64-linux/lib/libnvrtc.so",
    };
    void *h = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !h; i++)
        h = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!h) {
        snprintf(missing, sizeof missing,
                 "the CUDA compiler library (libnvrtc.so of a CUDA toolkit, 12 or later) is not there");
        return;
    }
#define GET(field, name)                                                                                               \
    if (!(*(void **)&lib.field = dlsym(h, name))) {                                                                    \
        snprintf(missing, sizeof missing, "the CUDA compiler library has no %s: it is too old", name);                 \
        return;                                                                                                        \
    }
    GET(version, "nvrtcVersion")
    GET(create, "nvrtcCreateProgram")
    GET(destroy, "nvrtcDestroyProgram")
    GET(compile, "nvrtcCompileProgram")
    GET(log_size, "nvrtcGetProgramLogSize")
    GET(log, "nvrtcGetProgramLog")
    GET(image_size, "nvrtcGetCUBINSize")
    GET(image, "nvrtcGetCUBIN")
    GET(error, "nvrtcGetErrorString")
#undef GET
    there = true;
}

unsigned rkc_nvrtc_version(void)
{
    int major = 0, minor = 0;
    pthread_once(&once, load);
    if (!there || lib.version(&major, &minor) != 0)
        return 0;
    return (unsigned)(major * 1000 + minor * 10);
}

static void put_log(program p, int result, char *err, size_t n)
{
    size_t bytes = 0;
    char *text;
    snprintf(err, n, "the CUDA compiler says: %s", lib.error(result));
    if (lib.log_size(p, &bytes) != 0 || bytes < 2 || !(text = malloc(bytes + 1)))
        return;
    text[0] = text[bytes] = 0;
    if (lib.log(p, text) == 0 && text[0])
        snprintf(err, n, "the CUDA compiler says: %s", text);
    free(text);
}

rkp_status rkc_nvrtc_compile(rkp_str source, const rkc_text *include, size_t n_include, unsigned major, unsigned minor,
                             char **image, size_t *bytes, char *err, size_t n)
{
    const char *texts[16], *names[16];
    char arch[32];
    const char *const options[] = { arch, "--std=c++17", "--fmad=false", "-default-device" };
    char *text = malloc(source.n + 1);
    program p = NULL;
    int result;
    *image = NULL;
    pthread_once(&once, load);
    if (!there || !text || n_include > sizeof texts / sizeof *texts) {
        free(text);
        snprintf(err, n, "%s", there ? "out of memory" : missing);
        return there ? RKP_NOMEM : RKP_UNAVAILABLE;
    }
    memcpy(text, source.p, source.n);
    text[source.n] = 0;
    for (size_t i = 0; i < n_include; i++) {
        names[i] = include[i].name;
        texts[i] = include[i].text;
    }
    snprintf(arch, sizeof arch, "--gpu-architecture=sm_%u%u", major, minor);
    result = lib.create(&p, text, "pipeline.cu", (int)n_include, texts, names);
    free(text);
    if (result == 0)
        result = lib.compile(p, (int)(sizeof options / sizeof *options), options);
    if (result != 0) {
        if (p)
            put_log(p, result, err, n);
        else
            snprintf(err, n, "the CUDA compiler says: %s", lib.error(result));
    } else if ((result = lib.image_size(p, bytes)) != 0 || !(*image = calloc(1, *bytes + 1)) ||
               lib.image(p, *image) != 0) {
        free(*image);
        *image = NULL;
        snprintf(err, n, "the CUDA compiler gave no machine code");
        result = result ? result : 1;
    }
    if (p)
        lib.destroy(&p);
    return result == 0 ? RKP_OK : RKP_INVALID;
}
