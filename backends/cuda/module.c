// cuda/module.c - librk_cuda.so: devices, images and grids (rkpipe/device.h), on the driver's table or on the simulated one.
//
// While a grid is resident nothing is called that may wait for it: everything is allocated and loaded before it starts, and freed after it has
// ended.  What happens to it meanwhile goes through words in mapped memory.
#include "cuda/driver.h"
#include "cuda/nvrtc.h"
#include "cuda/texts.h"
#include <rkpipe/device.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { MAX_DEVICES = 16, LINE = 256 };

typedef struct device {
    cu_device d;
    rkd_info info;
    cu_context context; // retained when it is first used
} device;

struct rkd_host {
    const rkc_driver *cu;
    bool simulate;
    char what[96];
    const char *const *env;
    device devices[MAX_DEVICES];
    uint32_t n;
    uint32_t live; // grids that run
};

struct rkd_image {
    rkd_host *h;
    device *d;
    cu_module module;
    cu_function main;
    rkd_image_info info;
};

typedef struct chain {
    rkd_chain_conf conf;
    size_t in_at, out_at, ctl_at; // in the grid's memory
} chain;

struct rkd_grid {
    rkd_image *image;
    chain *chains;
    uint32_t n, blocks, threads;
    char *memory;  // pinned, mapped: actors, then each chain's control words and slots
    cu_ptr mapped; // the same, as the device sees it
    uint64_t epoch;
    cu_stream stream;
    bool started;
};

// ---- errors ---------------------------------------------------------------------------------------------------------

static rkp_status failed(const rkd_host *h, cu_result r, const char *what, char *err, size_t n)
{
    const char *name = NULL, *text = NULL;
    if (h->cu->error_name(r, &name) != CU_OK || !name)
        name = "an error without a name";
    if (h->cu->error_text(r, &text) != CU_OK || !text)
        text = "";
    snprintf(err, n, "%s: %s%s%s", what, name, *text ? ", " : "", text);
    return RKP_UNAVAILABLE;
}

#define TRY(h, call, what)                                                                                             \
    do {                                                                                                               \
        cu_result result_ = (h)->cu->call;                                                                             \
        if (result_ != CU_OK)                                                                                          \
            return failed(h, result_, what, err, n_err);                                                               \
    } while (0)

// ---- host -----------------------------------------------------------------------------------------------------------

static rkp_status describe(rkd_host *h, device *d, int ordinal, char *err, size_t n_err)
{
    int v[6];
    static const int attributes[] = { CU_MAJOR,    CU_MINOR,       CU_MULTIPROCESSORS,
                                      CU_MAP_HOST, CU_COOPERATIVE, CU_KERNEL_TIMEOUT };
    size_t memory = 0;
    TRY(h, device_get(&d->d, ordinal), "cuDeviceGet");
    TRY(h, device_name(d->info.name, (int)sizeof d->info.name, d->d), "cuDeviceGetName");
    TRY(h, device_memory(&memory, d->d), "cuDeviceTotalMem");
    for (int i = 0; i < 6; i++)
        TRY(h, device_attribute(&v[i], attributes[i], d->d), "cuDeviceGetAttribute");
    d->info.major = (uint32_t)v[0];
    d->info.minor = (uint32_t)v[1];
    d->info.processors = (uint32_t)v[2];
    d->info.memory = memory;
    d->info.usable = v[0] * 10 + v[1] >= 75 && v[3] && v[4] && !v[5];
    snprintf(d->info.why, sizeof d->info.why, "%s",
             v[0] * 10 + v[1] < 75 ? "it is older than compute capability 7.5"
             : !v[3]               ? "it cannot map memory of the host"
             : !v[4]               ? "it cannot keep several blocks resident together"
             : v[5] ? "it has a time limit for kernels (a display is attached), and resident ones have none"
                    : "");
    return RKP_OK;
}

static rkp_status find_devices(rkd_host *h, char *err, size_t n_err)
{
    int version = 0, n = 0;
    cu_result r = h->cu->init(0);
    if (r == CU_NO_DEVICE)
        return RKP_OK;
    if (r != CU_OK)
        return failed(h, r, "the CUDA driver does not start", err, n_err);
    TRY(h, version(&version), "cuDriverGetVersion");
    TRY(h, device_count(&n), "cuDeviceGetCount");
    if (h->simulate)
        snprintf(h->what, sizeof h->what, "simulated");
    else
        snprintf(h->what, sizeof h->what, "CUDA driver %d.%d", version / 1000, version % 1000 / 10);
    for (int i = 0; i < n && h->n < MAX_DEVICES; i++) {
        rkp_status st = describe(h, &h->devices[h->n], i, err, n_err);
        if (st != RKP_OK)
            return st;
        h->n++;
    }
    return RKP_OK;
}

static void host_close(rkd_host *h)
{
    for (uint32_t i = 0; i < h->n; i++)
        if (h->devices[i].context)
            h->cu->context_release(h->devices[i].d);
    free(h);
}

static rkp_status host_open(const rkd_conf *c, rkd_host **out, char *err, size_t n_err)
{
    rkd_host *h = calloc(1, sizeof *h);
    rkp_status st;
    *out = NULL;
    if (!h)
        return RKP_NOMEM;
    h->simulate = c->simulate;
    h->env = c->env;
    // Functions are loaded with their module: the first call of one that is loaded later would wait for the resident grid to end.
    if (!c->simulate)
        setenv("CUDA_MODULE_LOADING", "EAGER", 1);
    h->cu = c->simulate ? rkc_sim_driver() : rkc_driver_load(err, n_err);
    st = h->cu ? find_devices(h, err, n_err) : RKP_UNAVAILABLE;
    if (st != RKP_OK) {
        host_close(h);
        return st;
    }
    *out = h;
    return RKP_OK;
}

static const char *host_what(const rkd_host *h)
{
    return h->what;
}

static uint32_t host_devices(const rkd_host *h)
{
    return h->n;
}

static void host_info(const rkd_host *h, uint32_t i, rkd_info *out)
{
    *out = h->devices[i].info;
}

// ---- image ----------------------------------------------------------------------------------------------------------

static void image_free(rkd_image *i)
{
    if (i->module) {
        i->h->cu->context_set(i->d->context);
        i->h->cu->module_unload(i->module);
    }
    free(i);
}

static rkp_status load(rkd_image *i, const void *code, char *err, size_t n_err)
{
    rkd_host *h = i->h;
    int v[3];
    static const int attributes[] = { CU_FUNC_REGISTERS, CU_FUNC_LOCAL, CU_FUNC_SHARED };
    TRY(h, module_load(&i->module, code), "the program cannot be loaded");
    TRY(h, module_function(&i->main, i->module, "rkd_main"), "the program has no rkd_main");
    for (int k = 0; k < 3; k++)
        TRY(h, function_attribute(&v[k], attributes[k], i->main), "cuFuncGetAttribute");
    i->info.registers = (uint32_t)v[0];
    i->info.local_bytes = (uint32_t)v[1];
    i->info.shared_bytes = (uint32_t)v[2];
    return RKP_OK;
}

// A shared object that is gone once it is loaded.
static rkp_status compile_simulated(rkd_image *i, rkp_str source, char *err, size_t n_err)
{
    const char *dir = getenv("TMPDIR");
    char path[4096];
    rkp_status st;
    int fd, len = snprintf(path, sizeof path, "%s/rkpipe-device-XXXXXX", dir && *dir ? dir : "/tmp");
    if (len < 0 || (size_t)len >= sizeof path || (fd = mkostemp(path, O_CLOEXEC)) < 0) {
        snprintf(err, n_err, "no temporary file can be made in TMPDIR");
        return RKP_UNAVAILABLE;
    }
    close(fd);
    st = rkc_sim_compile(source, rkc_device_texts, rkc_n_device_texts, path, i->h->env, err, n_err);
    if (st == RKP_OK)
        st = load(i, path, err, n_err);
    unlink(path);
    return st;
}

static rkp_status compile(rkd_image *i, rkp_str source, char *err, size_t n_err)
{
    const rkd_info *d = &i->d->info;
    char *code = NULL;
    size_t bytes = 0;
    rkp_status st;
    if (i->h->simulate)
        return compile_simulated(i, source, err, n_err);
    st = rkc_nvrtc_compile(source, rkc_device_texts, rkc_n_device_texts, d->major, d->minor, &code, &bytes, err, n_err);
    if (st == RKP_OK)
        st = load(i, code, err, n_err);
    free(code);
    return st;
}

static rkp_status build(rkd_host *h, uint32_t number, rkp_str source, rkd_image **out, char *err, size_t n_err)
{
    device *d = &h->devices[number];
    rkd_image *i;
    rkp_status st;
    *out = NULL;
    if (number >= h->n || !d->info.usable) {
        snprintf(err, n_err, "device %u %s", number, number >= h->n ? "is not there" : d->info.why);
        return RKP_UNAVAILABLE;
    }
    if (h->live) {
        snprintf(err, n_err, "nothing is loaded while a grid is resident");
        return RKP_UNSUPPORTED;
    }
    if (!d->context)
        TRY(h, context_retain(&d->context, d->d), "the device gives no context");
    TRY(h, context_set(d->context), "cuCtxSetCurrent");
    i = calloc(1, sizeof *i);
    if (!i)
        return RKP_NOMEM;
    i->h = h;
    i->d = d;
    snprintf(i->info.arch, sizeof i->info.arch, h->simulate ? "simulated" : "sm_%u%u", d->info.major, d->info.minor);
    st = compile(i, source, err, n_err);
    if (st != RKP_OK) {
        image_free(i);
        return st;
    }
    *out = i;
    return RKP_OK;
}

static void image_info(const rkd_image *i, rkd_image_info *out)
{
    *out = i->info;
}

// ---- grid -----------------------------------------------------------------------------------------------------------

static size_t place(size_t *end, size_t bytes)
{
    size_t at = *end;
    *end = (at + bytes + LINE - 1) & ~(size_t)(LINE - 1);
    return at;
}

static rkd_ctl *ctl_of(const rkd_grid *g, uint32_t c)
{
    return (rkd_ctl *)(void *)(g->memory + g->chains[c].ctl_at);
}

static void grid_free(rkd_grid *g)
{
    const rkc_driver *cu = g->image->h->cu;
    cu->context_set(g->image->d->context);
    if (g->stream)
        cu->stream_free(g->stream);
    if (g->memory)
        cu->host_free(g->memory);
    free(g->chains);
    free(g);
}

// All blocks at once, or they would wait for each other for ever.
static rkp_status fits(const rkd_grid *g, char *err, size_t n_err)
{
    rkd_host *h = g->image->h;
    const rkd_info *d = &g->image->d->info;
    int each = 0;
    TRY(h, occupancy(&each, g->image->main, (int)g->threads, 0), "cuOccupancyMaxActiveBlocksPerMultiprocessor");
    if ((uint64_t)each * d->processors >= g->blocks)
        return RKP_OK;
    snprintf(err, n_err,
             "%u blocks of %u threads do not fit on %s together: %u at most (%d on each of %u multiprocessors, at %u "
             "registers a thread)",
             g->blocks, g->threads, d->name, (unsigned)each * d->processors, each, d->processors,
             g->image->info.registers);
    return RKP_UNSUPPORTED;
}

static void fill_actors(rkd_grid *g, uint64_t orphan_ns)
{
    rkd_actor *a = (rkd_actor *)(void *)g->memory;
    for (uint32_t c = 0; c < g->n; c++) {
        const chain *x = &g->chains[c];
        for (uint32_t b = 0; b < x->conf.blocks; b++)
            *a++ = (rkd_actor){ .in = g->mapped + x->in_at,
                                .out = g->mapped + x->out_at,
                                .ctl = g->mapped + x->ctl_at + b * sizeof(rkd_ctl),
                                .in_bytes = x->conf.in_bytes,
                                .out_bytes = x->conf.out_bytes,
                                .start = x->conf.start,
                                .orphan_ns = orphan_ns,
                                .chain = c,
                                .part = b,
                                .parts = x->conf.blocks,
                                .slots_log2 = x->conf.slots_log2 };
    }
}

static rkp_status reserve(rkd_grid *g, uint64_t orphan_ns, char *err, size_t n_err)
{
    rkd_host *h = g->image->h;
    size_t bytes = 0;
    place(&bytes, g->blocks * sizeof(rkd_actor));
    for (uint32_t c = 0; c < g->n; c++) {
        chain *x = &g->chains[c];
        x->ctl_at = place(&bytes, x->conf.blocks * sizeof(rkd_ctl));
        x->in_at = place(&bytes, x->conf.in_bytes << x->conf.slots_log2);
        x->out_at = place(&bytes, x->conf.out_bytes << x->conf.slots_log2);
    }
    TRY(h, host_alloc((void **)&g->memory, bytes, CU_HOST_PORTABLE | CU_HOST_MAPPED), "no pinned memory");
    memset(g->memory, 0, bytes); // a sequence number of 0 is of no frame
    TRY(h, host_address(&g->mapped, g->memory, 0), "pinned memory cannot be mapped");
    TRY(h, stream_new(&g->stream, CU_STREAM_NON_BLOCKING), "cuStreamCreate");
    fill_actors(g, orphan_ns);
    return RKP_OK;
}

static rkp_status grid_new(rkd_image *i, const rkd_chain_conf *chains, uint32_t n, uint64_t orphan_ns, rkd_grid **out,
                           char *err, size_t n_err)
{
    rkd_grid *g = calloc(1, sizeof *g);
    rkp_status st;
    *out = NULL;
    if (!g || !(g->chains = calloc(n ? n : 1, sizeof *g->chains))) {
        free(g);
        return RKP_NOMEM;
    }
    g->image = i;
    g->n = n;
    for (uint32_t c = 0; c < n; c++) {
        g->chains[c].conf = chains[c];
        g->blocks += chains[c].blocks;
        g->threads = chains[c].threads;
    }
    st = i->h->cu->context_set(i->d->context) == CU_OK ? fits(g, err, n_err) : RKP_UNAVAILABLE;
    if (st == RKP_OK)
        st = reserve(g, orphan_ns, err, n_err);
    if (st != RKP_OK) {
        grid_free(g);
        return st;
    }
    *out = g;
    return RKP_OK;
}

static rkd_in *grid_in(rkd_grid *g, uint32_t c)
{
    return (rkd_in *)(void *)(g->memory + g->chains[c].in_at);
}

static rkd_out *grid_out(rkd_grid *g, uint32_t c)
{
    return (rkd_out *)(void *)(g->memory + g->chains[c].out_at);
}

static rkd_ctl *grid_ctl(rkd_grid *g, uint32_t c)
{
    return ctl_of(g, c);
}

static void command(rkd_grid *g, uint64_t what)
{
    g->epoch++;
    for (uint32_t c = 0; c < g->n; c++)
        for (uint32_t b = 0; b < g->chains[c].conf.blocks; b++)
            rkd_release(&ctl_of(g, c)[b].command, g->epoch << 8 | what);
}

static void grid_beat(rkd_grid *g)
{
    for (uint32_t c = 0; c < g->n; c++)
        for (uint32_t b = 0; b < g->chains[c].conf.blocks; b++) {
            rkd_ctl *ctl = &ctl_of(g, c)[b];
            rkd_put(&ctl->beat, rkd_look(&ctl->beat) + 1);
        }
}

static rkp_status grid_start(rkd_grid *g, char *err, size_t n_err)
{
    rkd_host *h = g->image->h;
    cu_ptr actors = g->mapped;
    void *params[] = { &actors };
    command(g, RKD_RUN);
    TRY(h, context_set(g->image->d->context), "cuCtxSetCurrent");
    TRY(h, launch(g->image->main, g->blocks, 1, 1, g->threads, 1, 1, 0, g->stream, params),
        "the program cannot be started");
    g->started = true;
    h->live++;
    return RKP_OK;
}

// CU_NOT_READY is what it should be.
static rkp_status grid_look(rkd_grid *g, bool *ended, char *err, size_t n_err)
{
    rkd_host *h = g->image->h;
    cu_result r;
    *ended = false;
    h->cu->context_set(g->image->d->context);
    r = h->cu->stream_query(g->stream);
    *ended = r == CU_OK;
    if (r == CU_OK || r == CU_NOT_READY)
        return RKP_OK;
    failed(h, r, "the program on the device has failed", err, n_err);
    return RKP_IO;
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static rkp_status grid_stop(rkd_grid *g, uint64_t deadline_ns, char *err, size_t n_err)
{
    bool ended = !g->started;
    rkp_status st = RKP_OK;
    command(g, RKD_STOP);
    while (!ended && (st = grid_look(g, &ended, err, n_err)) == RKP_OK && !ended) {
        if (now_ns() > deadline_ns) {
            snprintf(err, n_err, "a block did not leave");
            return RKP_UNAVAILABLE;
        }
        nanosleep(&(struct timespec){ 0, 50000 }, NULL);
    }
    if (g->started)
        g->image->h->live--;
    g->started = false;
    return RKP_OK; // also a lost one is over
}

static const rkd_module module = {
    .abi = RKD_MODULE_ABI,
    .size = sizeof module,
    .name = "cuda",
    .open = host_open,
    .close = host_close,
    .what = host_what,
    .devices = host_devices,
    .info = host_info,
    .build = build,
    .image_info = image_info,
    .image_free = image_free,
    .grid_new = grid_new,
    .grid_in = grid_in,
    .grid_out = grid_out,
    .grid_ctl = grid_ctl,
    .grid_start = grid_start,
    .grid_look = grid_look,
    .grid_beat = grid_beat,
    .grid_stop = grid_stop,
    .grid_free = grid_free,
};

__attribute__((visibility("default"))) const rkd_module *rkd_module_get(void);
const rkd_module *rkd_module_get(void)
{
    return &module;
}
