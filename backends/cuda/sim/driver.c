// The simulated device behind the driver's table.
//
// It is as strict as a real one may be: a call without a context on its thread fails; what would wait there for a resident grid to end
// (allocating, freeing, loading) is refused while one runs, with CU_NOT_READY; memory begins with bytes that are not 0; and when a launch has
// failed, the context is lost, and every call says so until it is released.
#include "cuda/driver.h"
#include "cuda/sim/launch.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CU_INVALID_VALUE = 1,
    CU_OUT_OF_MEMORY = 2,
    CU_NOT_INITIALIZED = 3,
    CU_INVALID_DEVICE = 101,
    CU_INVALID_IMAGE = 200,
    CU_INVALID_CONTEXT = 201,
    CU_NOT_FOUND = 500,
    CU_LAUNCH_FAILED = 719,
    CU_TOO_LARGE = 720,
};

enum { PROCESSORS = 4, PROCESSOR_THREADS = 1024, PROCESSOR_BLOCKS = 4, VERSION = 13000 };
#define MEMORY        ((size_t)1 << 30)
#define GIVE_UP_NS    1000000000u // for lanes that neither meet nor nap
#define OF_ONE_DEVICE 0

struct cu_context {
    int retained;
};

struct cu_function {
    rkc_program program;
};

struct cu_module {
    void *object;
    struct cu_function main;
};

struct cu_stream {
    rkc_launch *launch; // NULL: nothing runs
};

// Of the process, as the driver's is.
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool initialized;
static struct cu_context context;
static unsigned launches; // that run
static bool lost;
static char why[256]; // it is lost
static _Thread_local bool current;

// May this thread call?  Takes the lock if so.  idle: not beside a grid, whatever has become of another one.
static cu_result enter_when(bool idle)
{
    pthread_mutex_lock(&lock);
    cu_result r = !initialized                    ? CU_NOT_INITIALIZED
                  : idle && launches              ? CU_NOT_READY
                  : !current || !context.retained ? CU_INVALID_CONTEXT
                  : lost                          ? CU_LAUNCH_FAILED
                                                  : CU_OK;
    if (r != CU_OK)
        pthread_mutex_unlock(&lock);
    return r;
}

static cu_result enter(void)
{
    return enter_when(false);
}

static cu_result enter_idle(void)
{
    return enter_when(true);
}

static cu_result enter_device(cu_device d)
{
    pthread_mutex_lock(&lock);
    cu_result r = !initialized ? CU_NOT_INITIALIZED : d != OF_ONE_DEVICE ? CU_INVALID_DEVICE : CU_OK;
    if (r != CU_OK)
        pthread_mutex_unlock(&lock);
    return r;
}

static cu_result leave(cu_result r)
{
    pthread_mutex_unlock(&lock);
    return r;
}

// ---- the device ------------------------------------------------------------------------------------------------------

static cu_result sim_init(unsigned flags)
{
    pthread_mutex_lock(&lock);
    initialized |= flags == 0;
    return leave(flags ? CU_INVALID_VALUE : CU_OK);
}

static cu_result sim_version(int *v)
{
    *v = VERSION;
    return CU_OK;
}

static cu_result sim_device_get(cu_device *d, int ordinal)
{
    cu_result r = enter_device(ordinal);
    if (r != CU_OK)
        return r;
    *d = ordinal;
    return leave(CU_OK);
}

static cu_result sim_device_count(int *n)
{
    cu_result r = enter_device(OF_ONE_DEVICE);
    if (r != CU_OK)
        return r;
    *n = 1;
    return leave(CU_OK);
}

static cu_result sim_device_name(char *name, int n, cu_device d)
{
    cu_result r = enter_device(d);
    if (r != CU_OK)
        return r;
    if (n > 0)
        snprintf(name, (size_t)n, "simulated");
    return leave(n > 0 ? CU_OK : CU_INVALID_VALUE);
}

static cu_result sim_device_memory(size_t *bytes, cu_device d)
{
    cu_result r = enter_device(d);
    if (r != CU_OK)
        return r;
    *bytes = MEMORY;
    return leave(CU_OK);
}

static cu_result sim_device_attribute(int *v, int attribute, cu_device d)
{
    static const struct {
        int attribute, value;
    } all[] = { { CU_MULTIPROCESSORS, PROCESSORS },
                { CU_KERNEL_TIMEOUT, 0 },
                { CU_MAP_HOST, 1 },
                { CU_MAJOR, 9 },
                { CU_MINOR, 0 },
                { CU_COOPERATIVE, 1 } };
    cu_result r = enter_device(d);
    if (r != CU_OK)
        return r;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].attribute == attribute) {
            *v = all[i].value;
            return leave(CU_OK);
        }
    return leave(CU_INVALID_VALUE);
}

static cu_result sim_context_retain(cu_context *c, cu_device d)
{
    cu_result r = enter_device(d);
    if (r != CU_OK)
        return r;
    context.retained++;
    *c = &context;
    return leave(CU_OK);
}

// With the last one goes what was wrong with it.
static cu_result sim_context_release(cu_device d)
{
    cu_result r = enter_device(d);
    if (r != CU_OK)
        return r;
    if (!context.retained)
        return leave(CU_INVALID_CONTEXT);
    if (--context.retained == 0)
        lost = false;
    return leave(CU_OK);
}

static cu_result sim_context_set(cu_context c)
{
    if (c && c != &context)
        return CU_INVALID_CONTEXT;
    current = c != NULL;
    return CU_OK;
}

// ---- memory ----------------------------------------------------------------------------------------------------------

static cu_result sim_host_alloc(void **p, size_t bytes, unsigned flags)
{
    cu_result r = enter_idle();
    (void)flags; // all memory is everybody's
    if (r != CU_OK)
        return r;
    if (bytes == 0 || bytes > MEMORY)
        return leave(bytes ? CU_OUT_OF_MEMORY : CU_INVALID_VALUE);
    size_t pages = (bytes + 4095) & ~(size_t)4095;
    void *got = aligned_alloc(4096, pages);
    if (!got)
        return leave(CU_OUT_OF_MEMORY);
    memset(got, 0xa5, pages);
    *p = got;
    return leave(CU_OK);
}

// Also of a lost context: only here is it given back.
static cu_result sim_host_free(void *p)
{
    cu_result r = enter_idle();
    if (r == CU_NOT_READY || r == CU_NOT_INITIALIZED)
        return r;
    free(p);
    return r == CU_OK ? leave(r) : r;
}

static cu_result sim_host_address(cu_ptr *p, void *host, unsigned flags)
{
    cu_result r = enter();
    if (r != CU_OK)
        return r;
    if (flags || !host)
        return leave(CU_INVALID_VALUE);
    *p = (cu_ptr)(uintptr_t)host;
    return leave(CU_OK);
}

// ---- programs --------------------------------------------------------------------------------------------------------

static bool symbol(void *object, const char *name, void *to, size_t size)
{
    void *p = dlsym(object, name);
    memcpy(to, &p, size); // a function's address out of an object's: POSIX allows what C does not say
    return p != NULL;
}

static cu_result sim_module_load(cu_module *m, const void *image)
{
    void (*bind)(const rkd_sim_calls *) = NULL;
    struct cu_module *made;
    cu_result r = enter_idle();
    if (r != CU_OK)
        return r;
    made = calloc(1, sizeof *made);
    if (!made)
        return leave(CU_OUT_OF_MEMORY);
    made->object = dlopen(image, RTLD_NOW | RTLD_LOCAL);
    if (!made->object || !symbol(made->object, RKD_SIM_BIND, &bind, sizeof bind) ||
        !symbol(made->object, RKD_SIM_HERE, &made->main.program.here, sizeof made->main.program.here) ||
        !symbol(made->object, "rkd_main", &made->main.program.main, sizeof made->main.program.main)) {
        if (made->object)
            dlclose(made->object);
        free(made);
        return leave(CU_INVALID_IMAGE);
    }
    bind(rkc_sim_calls());
    *m = made;
    return leave(CU_OK);
}

static cu_result sim_module_unload(cu_module m)
{
    cu_result r = enter_idle();
    if (r == CU_NOT_READY || r == CU_NOT_INITIALIZED)
        return r;
    if (m) {
        dlclose(m->object);
        free(m);
    }
    return r == CU_OK ? leave(m ? CU_OK : CU_INVALID_VALUE) : r;
}

static cu_result sim_module_function(cu_function *f, cu_module m, const char *name)
{
    cu_result r = enter();
    if (r != CU_OK)
        return r;
    if (!m || strcmp(name, "rkd_main") != 0)
        return leave(CU_NOT_FOUND);
    *f = &m->main;
    return leave(CU_OK);
}

// Nothing is known of it but that it keeps no memory of its own on the device.
static cu_result sim_function_attribute(int *v, int attribute, cu_function f)
{
    cu_result r = enter();
    if (r != CU_OK)
        return r;
    if (!f || (attribute != CU_FUNC_SHARED && attribute != CU_FUNC_LOCAL && attribute != CU_FUNC_REGISTERS))
        return leave(CU_INVALID_VALUE);
    *v = 0;
    return leave(CU_OK);
}

static int blocks_of(unsigned threads)
{
    if (threads == 0 || threads > RKC_BLOCK_THREADS)
        return 0;
    int n = (int)(PROCESSOR_THREADS / threads);
    return n < PROCESSOR_BLOCKS ? n : PROCESSOR_BLOCKS;
}

static cu_result sim_occupancy(int *blocks, cu_function f, int threads, size_t shared)
{
    cu_result r = enter();
    if (r != CU_OK)
        return r;
    if (!f || threads <= 0)
        return leave(CU_INVALID_VALUE);
    *blocks = shared > RKD_SIM_SHARED_BYTES ? 0 : blocks_of((unsigned)threads);
    return leave(CU_OK);
}

// ---- launches --------------------------------------------------------------------------------------------------------

static cu_result sim_stream_new(cu_stream *s, unsigned flags)
{
    cu_result r = enter();
    struct cu_stream *made;
    (void)flags;
    if (r != CU_OK)
        return r;
    made = calloc(1, sizeof *made);
    if (!made)
        return leave(CU_OUT_OF_MEMORY);
    *s = made;
    return leave(CU_OK);
}

// Of a launch that is over.
static void take(cu_stream s)
{
    char text[sizeof why];
    if (!rkc_launch_free(s->launch, GIVE_UP_NS, text, sizeof text))
        snprintf(text, sizeof text, "a thread neither meets others nor naps"); // it, and what it uses, are left alone
    else
        launches--;
    s->launch = NULL;
    if (text[0] && !lost) {
        lost = true;
        memcpy(why, text, sizeof why);
    }
}

static cu_result sim_stream_query(cu_stream s)
{
    cu_result r = enter();
    if (r != CU_OK)
        return r;
    if (!s)
        return leave(CU_INVALID_VALUE);
    if (s->launch && !rkc_launch_over(s->launch))
        return leave(CU_NOT_READY);
    if (s->launch)
        take(s);
    return leave(lost ? CU_LAUNCH_FAILED : CU_OK);
}

// What still runs on it is ended first: on a real device that is what a released context does.
static cu_result sim_stream_free(cu_stream s)
{
    cu_result r = enter();
    if (r == CU_NOT_INITIALIZED)
        return r;
    if (r != CU_OK)
        pthread_mutex_lock(&lock);
    if (s && s->launch) {
        rkc_launch_abort(s->launch);
        take(s);
    }
    free(s);
    return leave(r);
}

static cu_result sim_launch(cu_function f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                            unsigned shared, cu_stream s, void **params)
{
    cu_result r = enter();
    if (r != CU_OK)
        return r;
    if (!f || !s || !params || gx == 0 || gy != 1 || gz != 1 || by != 1 || bz != 1 || bx == 0 || bx % RKC_LANES ||
        shared)
        return leave(CU_INVALID_VALUE);
    if (gx > (unsigned)(PROCESSORS * blocks_of(bx)))
        return leave(CU_TOO_LARGE);
    if (s->launch)
        return leave(CU_NOT_READY); // a stream runs one after another; who waits for that here waits for ever
    const void *actors;
    memcpy(&actors, params[0], sizeof actors);
    s->launch = rkc_launch_start(&f->program, gx, bx, actors);
    launches += s->launch != NULL;
    return leave(s->launch ? CU_OK : CU_OUT_OF_MEMORY);
}

// ---- words -----------------------------------------------------------------------------------------------------------

static const struct {
    cu_result number;
    const char *name, *text;
} words[] = {
    { CU_OK, "CUDA_SUCCESS", "no error" },
    { CU_INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument" },
    { CU_OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory, or of threads" },
    { CU_NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "not initialized" },
    { CU_NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no device" },
    { CU_INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "there is no such device" },
    { CU_INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE", "this is no program of the simulated device" },
    { CU_INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "no context is current on this thread" },
    { CU_NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "the program has no such function" },
    { CU_NOT_READY, "CUDA_ERROR_NOT_READY", "a grid runs" },
    { CU_LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED", why },
    { CU_TOO_LARGE, "CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE", "the blocks do not fit on the device together" },
    { CU_NOT_SUPPORTED, "CUDA_ERROR_NOT_SUPPORTED", "not supported" },
};

static cu_result sim_error_name(cu_result r, const char **name)
{
    *name = NULL;
    for (size_t i = 0; i < sizeof words / sizeof *words && !*name; i++)
        if (words[i].number == r)
            *name = words[i].name;
    return *name ? CU_OK : CU_INVALID_VALUE;
}

static cu_result sim_error_text(cu_result r, const char **text)
{
    *text = NULL;
    for (size_t i = 0; i < sizeof words / sizeof *words && !*text; i++)
        if (words[i].number == r)
            *text = words[i].text;
    return *text ? CU_OK : CU_INVALID_VALUE;
}

const rkc_driver *rkc_sim_driver(void)
{
    static const rkc_driver driver = {
        .init = sim_init,
        .version = sim_version,
        .device_count = sim_device_count,
        .device_get = sim_device_get,
        .device_name = sim_device_name,
        .device_memory = sim_device_memory,
        .device_attribute = sim_device_attribute,
        .context_retain = sim_context_retain,
        .context_release = sim_context_release,
        .context_set = sim_context_set,
        .host_alloc = sim_host_alloc,
        .host_free = sim_host_free,
        .host_address = sim_host_address,
        .module_load = sim_module_load,
        .module_unload = sim_module_unload,
        .module_function = sim_module_function,
        .function_attribute = sim_function_attribute,
        .occupancy = sim_occupancy,
        .stream_new = sim_stream_new,
        .stream_free = sim_stream_free,
        .stream_query = sim_stream_query,
        .launch = sim_launch,
        .error_name = sim_error_name,
        .error_text = sim_error_text,
    };
    return &driver;
}
