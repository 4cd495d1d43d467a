// The simulated device by itself: how strict its driver is, what lanes may not do, and how programs are compiled for it.
// labels: threads
#include "host.h"

#include "cuda/texts.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    INVALID = 1,
    NOT_INITIALIZED = 3,
    INVALID_IMAGE = 200,
    INVALID_CONTEXT = 201,
    NOT_FOUND = 500,
    LOST = 719,
    TOO_LARGE = 720
};

static const rkc_driver *d;
static gpu_program lanes; // tests/gpu/lanes.cu

static const char *words_of(cu_result r)
{
    const char *text = NULL;
    assert_int_equal(d->error_text(r, &text), CU_OK);
    return text;
}

static void before_init_nothing_is_there(void **state)
{
    int n = 0;
    cu_context c = NULL;
    (void)state;
    assert_int_equal(d->device_count(&n), NOT_INITIALIZED);
    assert_int_equal(d->context_retain(&c, 0), NOT_INITIALIZED);
    assert_int_equal(d->init(1), INVALID);
    assert_int_equal(d->init(0), CU_OK);
    assert_int_equal(d->device_count(&n), CU_OK);
    assert_int_equal(n, 1);
}

static void it_says_what_it_is(void **state)
{
    static const struct {
        int what, value;
    } all[] = { { CU_MAJOR, 9 },       { CU_MINOR, 0 },    { CU_MULTIPROCESSORS, 4 },
                { CU_COOPERATIVE, 1 }, { CU_MAP_HOST, 1 }, { CU_KERNEL_TIMEOUT, 0 } };
    char name[32] = "";
    cu_device dev = 7;
    size_t bytes = 0;
    int v = -1;
    (void)state;
    assert_int_equal(d->device_get(&dev, 0), CU_OK);
    assert_int_equal(dev, 0);
    assert_int_not_equal(d->device_get(&dev, 1), CU_OK);
    assert_int_equal(d->device_name(name, sizeof name, 0), CU_OK);
    assert_string_equal(name, "simulated");
    assert_int_equal(d->device_memory(&bytes, 0), CU_OK);
    assert_true(bytes > 0);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        assert_int_equal(d->device_attribute(&v, all[i].what, 0), CU_OK);
        assert_int_equal(v, all[i].value);
    }
    assert_int_equal(d->device_attribute(&v, 9999, 0), INVALID);
    assert_int_equal(d->version(&v), CU_OK);
    assert_string_equal(words_of(TOO_LARGE), "the blocks do not fit on the device together");
}

static void a_call_needs_a_context_on_its_thread(void **state)
{
    void *p = NULL;
    cu_context c = NULL;
    (void)state;
    assert_int_equal(d->host_alloc(&p, 64, 0), INVALID_CONTEXT);
    assert_int_equal(d->context_release(0), INVALID_CONTEXT);
    assert_int_equal(d->context_retain(&c, 0), CU_OK);
    assert_int_equal(d->host_alloc(&p, 64, 0), INVALID_CONTEXT);
    assert_int_equal(d->context_set(c), CU_OK);
    assert_int_equal(d->host_alloc(&p, 64, 0), CU_OK);
    assert_int_equal(d->host_free(p), CU_OK);
    assert_int_equal(d->host_alloc(&p, 0, 0), INVALID);
    assert_int_equal(d->context_set(NULL), CU_OK);
    assert_int_equal(d->host_alloc(&p, 64, 0), INVALID_CONTEXT);
    assert_int_equal(d->context_release(0), CU_OK);
}

static void what_is_no_program_is_not_loaded(void **state)
{
    cu_context c = NULL;
    cu_module m = NULL;
    (void)state;
    assert_int_equal(d->context_retain(&c, 0), CU_OK);
    assert_int_equal(d->context_set(c), CU_OK);
    assert_int_equal(d->module_load(&m, "./no-such-image"), INVALID_IMAGE);
    assert_int_equal(d->module_load(&m, "/proc/self/cmdline"), INVALID_IMAGE);
    assert_int_equal(d->module_load(&m, "libm.so.6"), INVALID_IMAGE); // a shared object that is none
    assert_null(m);
    assert_int_equal(d->context_release(0), CU_OK);
}

// ---- lanes -----------------------------------------------------------------------------------------------------------

enum { GOOD, TWO_BALLOTS, ENDS_EARLY, WARP_ENDS, HALF_A_WARP, TOO_MUCH_SHARED, TWO_BARRIERS, POLLS };

// Runs a case of lanes.cu.  What it gives in the end; memory is what it wrote.
static cu_result run(uint32_t number, uint32_t blocks, uint32_t threads, uint32_t *memory, size_t bytes)
{
    void *shared = NULL;
    cu_stream s = NULL;
    gpu_waiting w = { 0, 0 };
    assert_int_equal(d->host_alloc(&shared, 4096 + bytes, 0), CU_OK);
    memset(shared, 0, 4096 + bytes);
    rkd_actor *a = shared;
    a->chain = number;
    a->out = (uint64_t)(uintptr_t)shared + 4096;
    void *params[] = { &shared };
    assert_int_equal(d->stream_new(&s, 0), CU_OK);
    assert_int_equal(d->launch(lanes.main, blocks, 1, 1, threads, 1, 1, 0, s, params), CU_OK);
    cu_result r = CU_NOT_READY;
    while ((r = d->stream_query(s)) == CU_NOT_READY && gpu_wait(&w))
        ;
    assert_int_not_equal(r, CU_NOT_READY);
    memcpy(memory, (char *)shared + 4096, bytes);
    d->stream_free(s);
    d->host_free(shared);
    return r;
}

static void open_lanes(void)
{
    const char *wrong = gpu_program_open(&lanes, "lanes.cu", NULL);
    if (wrong[0])
        fail_msg("%s", wrong);
}

static void lanes_give_each_other_what_they_have(void **state)
{
    enum { THREADS = 96, BLOCKS = 2 };
    uint32_t got[BLOCKS * THREADS * 4];
    (void)state;
    open_lanes();
    assert_int_equal(run(GOOD, BLOCKS, THREADS, got, sizeof got), CU_OK);
    for (uint32_t b = 0; b < BLOCKS; b++)
        for (uint32_t t = 0; t < THREADS; t++) {
            const uint32_t *g = got + (b * THREADS + t) * 4;
            uint32_t votes = 0;
            for (uint32_t l = 0; l < 32; l++)
                votes |= (uint32_t)((t / 32 * 32 + l) % 3 == 0) << l;
            assert_int_equal(g[0], votes);
            assert_int_equal(g[1], (t / 32 * 32 + (t + 5) % 32) * 1000 + b);
            assert_int_equal(g[2], (THREADS - 1 - t) * 7); // of shared memory, written by another warp
            assert_int_equal(g[3], BLOCKS << 16 | THREADS);
        }
    gpu_program_close(&lanes);
}

static void lanes_that_part_are_told_with_both_places(void **state)
{
    static const struct {
        uint32_t number, threads;
        const char *says[3];
    } all[] = {
        { TWO_BALLOTS, 32, { "diverged: thread 0 is at program.cpp:101 while thread 16 is at program.cpp:103" } },
        { ENDS_EARLY, 32, { "diverged: thread 3 has ended while thread ", " is at program.cpp:201" } },
        { WARP_ENDS, 64, { "diverged: ", "ended while " } },
        { HALF_A_WARP, 32, { "a meeting of a part of a warp is not simulated: mask 0000ffff at program.cpp:401" } },
        { TOO_MUCH_SHARED, 64, { "60000 bytes of shared memory, of at most 49152: program.cpp:501" } },
        { TWO_BARRIERS, 64, { "diverged: thread ", "is at program.cpp:601", "is at program.cpp:603" } },
    };
    (void)state;
    open_lanes();
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        uint32_t none[1];
        void *p = NULL;
        assert_int_equal(run(all[i].number, 3, all[i].threads, none, sizeof none), LOST);
        for (int k = 0; k < 3 && all[i].says[k]; k++)
            if (!strstr(words_of(LOST), all[i].says[k]))
                fail_msg("'%s' is not in '%s'", all[i].says[k], words_of(LOST));
        // The context is lost until all have given it back.
        assert_int_equal(d->host_alloc(&p, 64, 0), LOST);
        assert_int_equal(d->context_release(0), CU_OK);
        assert_int_equal(d->context_retain(&lanes.context, 0), CU_OK);
        assert_int_equal(d->host_alloc(&p, 64, 0), CU_OK);
        assert_int_equal(d->host_free(p), CU_OK);
    }
    gpu_program_close(&lanes);
}

static void launches_that_do_not_fit_are_refused(void **state)
{
    cu_stream s = NULL;
    void *nothing = NULL;
    void *params[] = { &nothing };
    int blocks = 0;
    (void)state;
    open_lanes();
    assert_int_equal(d->stream_new(&s, 0), CU_OK);
    assert_int_equal(d->occupancy(&blocks, lanes.main, 256, 0), CU_OK);
    assert_int_equal(blocks, 4);
    assert_int_equal(d->occupancy(&blocks, lanes.main, 1024, 0), CU_OK);
    assert_int_equal(blocks, 1);
    assert_int_equal(d->launch(lanes.main, 17, 1, 1, 32, 1, 1, 0, s, params), TOO_LARGE);
    assert_int_equal(d->launch(lanes.main, 5, 1, 1, 1024, 1, 1, 0, s, params), TOO_LARGE);
    assert_int_equal(d->launch(lanes.main, 1, 1, 1, 33, 1, 1, 0, s, params), INVALID);
    assert_int_equal(d->launch(lanes.main, 1, 2, 1, 32, 1, 1, 0, s, params), INVALID);
    assert_int_equal(d->stream_query(s), CU_OK);
    assert_int_equal(d->stream_free(s), CU_OK);
    cu_function f = NULL;
    assert_int_equal(d->module_function(&f, lanes.module, "other_main"), NOT_FOUND);
    gpu_program_close(&lanes);
}

static void nothing_is_allocated_or_loaded_beside_a_grid(void **state)
{
    uint64_t *word = NULL;
    rkd_actor *a = NULL;
    cu_stream s = NULL;
    cu_module m = NULL;
    void *p = NULL;
    gpu_waiting w = { 0, 0 };
    (void)state;
    open_lanes();
    assert_int_equal(d->host_alloc((void **)&a, sizeof *a + 64, 0), CU_OK);
    memset(a, 0, sizeof *a + 64);
    word = (uint64_t *)(void *)(a + 1);
    a->chain = POLLS;
    a->ctl = (uint64_t)(uintptr_t)word;
    void *params[] = { &a };
    assert_int_equal(d->stream_new(&s, 0), CU_OK);
    assert_int_equal(d->launch(lanes.main, 1, 1, 1, 32, 1, 1, 0, s, params), CU_OK);
    assert_int_equal(d->stream_query(s), CU_NOT_READY);
    assert_int_equal(d->host_alloc(&p, 64, 0), CU_NOT_READY);
    assert_int_equal(d->host_free(a), CU_NOT_READY);
    assert_int_equal(d->module_load(&m, "./other"), CU_NOT_READY);
    assert_int_equal(d->module_unload(lanes.module), CU_NOT_READY);
    assert_int_equal(d->launch(lanes.main, 1, 1, 1, 32, 1, 1, 0, s, params), CU_NOT_READY);
    rkd_release(word, 1);
    while (d->stream_query(s) == CU_NOT_READY && gpu_wait(&w))
        ;
    assert_int_equal(d->stream_query(s), CU_OK);
    assert_int_equal(d->stream_free(s), CU_OK);
    assert_int_equal(d->host_free(a), CU_OK);
    gpu_program_close(&lanes);
}

// ---- compiling -------------------------------------------------------------------------------------------------------

static unsigned entries_of(const char *folder)
{
    DIR *f = opendir(folder);
    unsigned n = 0;
    assert_non_null(f);
    for (struct dirent *e; (e = readdir(f));)
        n += e->d_name[0] != '.';
    closedir(f);
    return n;
}

static void a_wrong_program_is_told_in_the_compilers_words(void **state)
{
    char folder[] = "gpu-sim-XXXXXX", tmp[128], path[4200], to[64], err[512] = "";
    const char *system_path = getenv("PATH");
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(tmp, sizeof tmp, "TMPDIR=%s", folder);
    snprintf(path, sizeof path, "PATH=%s", system_path ? system_path : "/usr/bin:/bin");
    snprintf(to, sizeof to, "%s/image", folder);
    const char *env[] = { path, tmp, NULL };
    rkp_str wrong = RKP_STR("#include <rkpipe/device/mem.h>\nint f() { return no_such_name; }\n");
    assert_int_equal(rkc_sim_compile(wrong, rkc_device_texts, rkc_n_device_texts, to, env, err, sizeof err),
                     RKP_INVALID);
    assert_non_null(strstr(err, "program.cpp:2:"));
    assert_non_null(strstr(err, "no_such_name"));
    assert_null(strstr(err, folder));
    assert_int_equal(entries_of(folder), 0); // nothing is left of it
    rkp_str right = RKP_STR("int f() { return 1; }\n");
    assert_int_equal(rkc_sim_compile(right, NULL, 0, to, env, err, sizeof err), RKP_OK);
    assert_int_equal(entries_of(folder), 1);
    struct stat before, after;
    assert_int_equal(stat(to, &before), 0);
    assert_int_equal(rkc_sim_compile(right, NULL, 0, to, env, err, sizeof err), RKP_OK);
    assert_int_equal(stat(to, &after), 0);
    assert_int_not_equal(before.st_ino, after.st_ino); // another file under its name: whoever has the old one keeps it
    assert_int_equal(entries_of(folder), 1);
    assert_int_equal(unlink(to), 0);
    assert_int_equal(rkc_sim_compile(right, NULL, 0, to, NULL, err, sizeof err), RKP_OK); // no environment at all
    assert_int_equal(unlink(to), 0);
    snprintf(to, sizeof to, "%s/none/image", folder);
    assert_int_equal(rkc_sim_compile(right, NULL, 0, to, env, err, sizeof err), RKP_IO);
    assert_non_null(strstr(err, "none/image"));
    assert_int_equal(rmdir(folder), 0);
}

static void without_a_compiler_it_is_not_available(void **state)
{
    static const char *const none[] = { "PATH=/nonexistent:relative:", "CXX=no such thing", NULL };
    static const char *const no_folder[] = { "PATH=/usr/local/bin:/usr/bin:/bin", "TMPDIR=/nonexistent", NULL };
    char err[256] = "";
    rkp_str s = RKP_STR("int f() { return 1; }\n");
    (void)state;
    assert_int_equal(rkc_sim_compile(s, NULL, 0, "gpu-image-none", none, err, sizeof err), RKP_UNAVAILABLE);
    assert_string_equal(err, "engine.gpu.simulate needs a C++ compiler (g++ or clang++)");
    assert_int_equal(rkc_sim_compile(s, NULL, 0, "gpu-image-none", no_folder, err, sizeof err), RKP_IO);
    assert_non_null(strstr(err, "/nonexistent"));
    rkc_text out = { "../out.h", "" };
    assert_int_equal(rkc_sim_compile(s, &out, 1, "gpu-image-none", NULL, err, sizeof err), RKP_INTERNAL);
    assert_int_not_equal(access("gpu-image-none", F_OK), 0);
}

// Short buffers for words, long words.
static void words_are_cut_where_the_room_ends(void **state)
{
    char err[24];
    rkp_str wrong =
        RKP_STR("template <int N> struct f { f<N + 1> a; int b = a.b.c.d.e; }; f<0> g;\n#error \x01 control\n");
    (void)state;
    assert_int_equal(rkc_sim_compile(wrong, NULL, 0, "gpu-image-none", NULL, err, sizeof err), RKP_INVALID);
    assert_true(strlen(err) == sizeof err - 1);
    for (const char *p = err; *p; p++)
        assert_true((unsigned char)*p >= 0x20 || *p == '\n');
    assert_int_not_equal(access("gpu-image-none", F_OK), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(before_init_nothing_is_there),
        cmocka_unit_test(it_says_what_it_is),
        cmocka_unit_test(a_call_needs_a_context_on_its_thread),
        cmocka_unit_test(what_is_no_program_is_not_loaded),
        cmocka_unit_test(lanes_give_each_other_what_they_have),
        cmocka_unit_test(lanes_that_part_are_told_with_both_places),
        cmocka_unit_test(launches_that_do_not_fit_are_refused),
        cmocka_unit_test(nothing_is_allocated_or_loaded_beside_a_grid),
        cmocka_unit_test(a_wrong_program_is_told_in_the_compilers_words),
        cmocka_unit_test(without_a_compiler_it_is_not_available),
        cmocka_unit_test(words_are_cut_where_the_room_ends),
    };
    d = rkc_sim_driver();
    return cmocka_run_group_tests_name("gpu_driver", tests, NULL, NULL);
}
