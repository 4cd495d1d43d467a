// chain.cu through NVRTC, as the module compiles for a card: the headers are the texts that the module has in it.
//   nvrtc SM TO: writes the cubin for sm_SM to TO; 77 when there is no NVRTC, or it knows no such card
#include "cuda/texts.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct program *program;
static int (*create)(program *p, const char *source, const char *name, int n, const char *const *texts,
                     const char *const *names);
static int (*compile)(program p, int n, const char *const *options);
static int (*log_size)(program p, size_t *n);
static int (*get_log)(program p, char *log);
static int (*cubin_size)(program p, size_t *n);
static int (*get_cubin)(program p, char *to);
static int (*destroy)(program *p);

enum { TEXTS = 32, TEXT_BYTES = 64 << 10, INVALID_OPTION = 5 };

static void *open_library(void)
{
    static const char *const names[] = {
        "libnvrtc.so.13",
        "libnvrtc.so.12",
        "libnvrtc.so",
        "/usr/local/cuda/targets/x86_64-linux/lib/libnvrtc.so",
        "/usr/local/cuda/lib64/libnvrtc.so",
    };
    void *l = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !l; i++)
        l = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    return l;
}

static bool load(void)
{
    static const struct {
        void *to;
        const char *name;
    } all[] = { { &create, "nvrtcCreateProgram" },       { &compile, "nvrtcCompileProgram" },
                { &log_size, "nvrtcGetProgramLogSize" }, { &get_log, "nvrtcGetProgramLog" },
                { &cubin_size, "nvrtcGetCUBINSize" },    { &get_cubin, "nvrtcGetCUBIN" },
                { &destroy, "nvrtcDestroyProgram" } };
    void *l = open_library();
    for (size_t i = 0; l && i < sizeof all / sizeof *all; i++) {
        void *p = dlsym(l, all[i].name);
        if (!p)
            return false;
        memcpy(all[i].to, &p, sizeof p);
    }
    return l != NULL;
}

static const char *text_of(const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/tests/gpu/%s", RKP_SOURCE_DIR, name);
    char *text = calloc(1, TEXT_BYTES);
    FILE *f = fopen(path, "rb");
    if (!f || !text || fread(text, 1, TEXT_BYTES - 1, f) == 0) {
        fprintf(stderr, "cannot read '%s'\n", path);
        exit(2);
    }
    fclose(f);
    return text;
}

static void show_log(program p)
{
    size_t n = 0;
    char *log = log_size(p, &n) == 0 && n > 1 ? calloc(1, n + 1) : NULL;
    if (log && get_log(p, log) == 0)
        fputs(log, stderr);
    free(log);
}

static int write_cubin(program p, const char *to)
{
    size_t n = 0;
    char *cubin = cubin_size(p, &n) == 0 && n ? malloc(n) : NULL;
    FILE *f = cubin && get_cubin(p, cubin) == 0 ? fopen(to, "wb") : NULL;
    bool right = f && fwrite(cubin, 1, n, f) == n;
    right = (!f || fclose(f) == 0) && right;
    free(cubin);
    return right ? 0 : 1;
}

int main(int argc, char **argv)
{
    const char *names[TEXTS], *texts[TEXTS];
    char arch[64];
    int n = 0;
    program p = NULL;
    if (argc != 3)
        return 2;
    if (!load()) {
        printf("skipped: no NVRTC\n");
        return 77;
    }
    for (size_t i = 0; i < rkc_n_device_texts && n < TEXTS - 1; i++, n++) {
        names[n] = rkc_device_texts[i].name;
        texts[n] = rkc_device_texts[i].text;
    }
    names[n] = "chain.h";
    texts[n++] = text_of("chain.h");
    snprintf(arch, sizeof arch, "--gpu-architecture=sm_%s", argv[1]);
    const char *options[] = { arch, "--std=c++17", "--fmad=false" };
    if (create(&p, text_of("chain.cu"), "chain.cu", n, texts, names) != 0)
        return 1;
    int r = compile(p, 3, options);
    show_log(p); // also warnings: there must be none
    if (r == INVALID_OPTION) {
        printf("skipped: this NVRTC has no sm_%s\n", argv[1]);
        return 77;
    }
    r = r ? 1 : write_cubin(p, argv[2]);
    destroy(&p);
    return r;
}
