// gpu_bench.c - how fast frames go to a device and back, through the module that the engine uses.
//
//   gpu_bench [--simulate] [--quick] [--json FILE]
//
// One chain: it keeps rows whose first column is positive, and adds a column.  Every answer is looked at: a run that loses or changes a row fails.
//   round trip   one frame of one row, window 1: from before the columns are written until after the answer is read
//   stream       as many frames on their way as there are slots; rows and bytes both ways in a second
//   command      from RKD_PAUSE or RKD_RUN until the block says so
//   launch       the baseline on the same card: an empty kernel, launched and seen to have ended by polling its stream
// Percentiles are of all samples after a warm-up; rates are medians of seven rounds.
#include "cuda/driver.h"
#include "cuda/nvrtc.h"
#include "cuda/texts.h"
#include <rkpipe/device.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

const rkd_module *rkd_module_get(void);

enum { ROWS = 8192, SLOTS_LOG2 = 4, THREADS = 256, ROUNDS = 7 };
enum { STATE_A = 64 + ROWS * 8, COL_B = STATE_A + ROWS, IN_BYTES = COL_B + ROWS * 8 };
enum {
    KEPT = 192,
    PUNTED = KEPT + ROWS * 4,
    MADE = PUNTED + ROWS * 4,
    STATE_M = MADE + ROWS * 8,
    OUT_BYTES = STATE_M + ROWS
};

static bool simulate, quick;
static FILE *json;
static const char *separator = "";

static void die(const char *what, const char *why)
{
    fprintf(stderr, "gpu_bench: %s: %s\n", what, why);
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void put(const char *name, double v, const char *unit)
{
    printf("%-44s %14.3f %s\n", name, v, unit);
    if (json)
        fprintf(json, "%s\n  {\"name\": \"%s\", \"value\": %.6g, \"unit\": \"%s\"}", separator, name, v, unit);
    separator = ",";
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void put_percentiles(const char *name, uint64_t *v, size_t n)
{
    static const struct {
        const char *name;
        double at;
    } p[] = { { "p50", 0.5 }, { "p99", 0.99 }, { "p99.9", 0.999 }, { "max", 1 } };
    char text[96];
    qsort(v, n, sizeof *v, by_value);
    for (size_t i = 0; i < sizeof p / sizeof *p; i++) {
        snprintf(text, sizeof text, "%s %s", name, p[i].name);
        put(text, (double)v[(size_t)(p[i].at * (double)(n - 1))] / 1000, "us");
    }
}

// ---- the program ----------------------------------------------------------------------------------------------------

static const char source[] =
    "#include <rkpipe/device/loop.h>\n"
    "RKD_FN void rkd_frame(uint32_t chain, rkd_block *b, const rkd_in *in, rkd_out *out, uint32_t rows, uint64_t pos)\n"
    "{\n"
    "    const char *from = (const char *)in;\n"
    "    char *to = (char *)out;\n"
    "    rkd_at at = { 0, 0, 0 };\n"
    "    rkd_begin(b, 1);\n"
    "    for (uint32_t first = 0; first < rows; first += blockDim.x) {\n"
    "        uint32_t i = first + threadIdx.x, what = RKD_NONE;\n"
    "        int64_t a = 0, c = 0;\n"
    "        if (i < rows) {\n"
    "            a = ((const int64_t *)(from + 64))[i];\n"
    "            c = ((const int64_t *)(from + COL_B))[i];\n"
    "            what = a > 0 ? RKD_ROW(RKD_KEPT, 1) : RKD_ROW(RKD_REFUSED, 1);\n"
    "        }\n"
    "        rkd_rank(b, &at, what, 1);\n"
    "        if ((what & 0xff) == RKD_KEPT) {\n"
    "            ((uint32_t *)(to + KEPT))[at.rank] = i;\n"
    "            ((int64_t *)(to + MADE))[at.rank] = a * 3 + c;\n"
    "        }\n"
    "    }\n"
    "    rkd_answer(b, &at, out, 1, pos);\n"
    "    (void)chain;\n"
    "}\n"
    "RKD_ENTRY void rkd_main(const rkd_actor *actors)\n"
    "{\n"
    "    RKD_SHARED(rkd_block, b);\n"
    "    rkd_loop(actors, &b);\n"
    "}\n";

typedef struct rig {
    const rkd_module *m;
    rkd_host *h;
    rkd_image *image;
    rkd_grid *grid;
    rkd_in *in;
    rkd_out *out;
    rkd_ctl *ctl;
    uint64_t next, taken, epoch;
    uint32_t blocks;
} rig;

static rkd_in *in_at(const rig *g, uint64_t pos)
{
    return (rkd_in *)(void *)((char *)g->in + (pos & ((1u << SLOTS_LOG2) - 1)) * IN_BYTES);
}

static rkd_out *out_at(const rig *g, uint64_t pos)
{
    return (rkd_out *)(void *)((char *)g->out + (pos & ((1u << SLOTS_LOG2) - 1)) * OUT_BYTES);
}

static int64_t value_of(uint64_t pos, uint32_t row)
{
    uint64_t x = (pos * ROWS + row + 1) * 0x9e3779b97f4a7c15u;
    return (int64_t)(x >> 16) * (x & 1 ? 1 : -1);
}

static void start(rig *g, uint32_t blocks)
{
    char err[2048] = "";
    rkd_chain_conf c = {
        .blocks = blocks, .threads = THREADS, .slots_log2 = SLOTS_LOG2, .in_bytes = IN_BYTES, .out_bytes = OUT_BYTES
    };
    if (g->m->grid_new(g->image, &c, 1, 10000000000u, &g->grid, err, sizeof err) != RKP_OK ||
        g->m->grid_start(g->grid, err, sizeof err) != RKP_OK)
        die("grid", err);
    g->in = g->m->grid_in(g->grid, 0);
    g->out = g->m->grid_out(g->grid, 0);
    g->ctl = g->m->grid_ctl(g->grid, 0);
    g->next = g->taken = 0;
    g->epoch = 1;
    g->blocks = blocks;
}

static void stop(rig *g)
{
    char err[256] = "";
    if (g->m->grid_stop(g->grid, now_ns() + 5000000000u, err, sizeof err) != RKP_OK)
        die("stop", err);
    g->m->grid_free(g->grid);
}

static void fill(const rig *g, uint64_t pos, uint32_t rows)
{
    char *to = (char *)in_at(g, pos);
    for (uint32_t i = 0; i < rows; i++) {
        ((int64_t *)(void *)(to + 64))[i] = value_of(pos, i);
        ((int64_t *)(void *)(to + COL_B))[i] = (int64_t)i;
    }
    in_at(g, pos)->rows = rows;
    in_at(g, pos)->states = 0;
}

// Not of what could be there from the lap before: every value depends on the position.
static void verify(const rig *g, uint64_t pos, uint32_t rows)
{
    const rkd_out *out = out_at(g, pos);
    const char *at = (const char *)out;
    uint32_t n = 0;
    for (uint32_t i = 0; i < rows; i++) {
        int64_t a = value_of(pos, i);
        if (a <= 0)
            continue;
        if (n >= out->rows || ((const uint32_t *)(const void *)(at + KEPT))[n] != i ||
            ((const int64_t *)(const void *)(at + MADE))[n] != (int64_t)((uint64_t)a * 3 + i))
            die("answer", "a row is wrong");
        n++;
    }
    if (n != out->rows || out->punted || out->reached[0] != rows)
        die("answer", "the counts are wrong");
}

static bool answered(const rig *g, uint64_t pos)
{
    return rkd_acquire(&out_at(g, pos)->seq) == pos + 1;
}

static void wait_for(const rig *g, uint64_t pos)
{
    uint64_t until = now_ns() + 20000000000u;
    for (uint32_t polls = 1; !answered(g, pos); polls++)
        if (!(polls & 0xffff)) {
            g->m->grid_beat(g->grid);
            if (now_ns() > until)
                die("answer", "it did not come within 20 s");
        }
}

// ---- measurements ---------------------------------------------------------------------------------------------------

static void round_trip(rig *g)
{
    size_t n = simulate ? 200 : quick ? 10000 : 200000, warm = n / 10;
    uint64_t *v = calloc(n, sizeof *v);
    start(g, 1);
    for (size_t i = 0; i < n + warm; i++) {
        uint64_t t = now_ns(), pos = g->next++;
        fill(g, pos, 1);
        rkd_release(&in_at(g, pos)->seq, pos + 1);
        wait_for(g, pos);
        verify(g, pos, 1);
        if (i >= warm)
            v[i - warm] = now_ns() - t;
        if (i % 1024 == 0)
            g->m->grid_beat(g->grid);
    }
    stop(g);
    put_percentiles("round trip, one row", v, n);
    free(v);
}

static void wait_state(rig *g, uint64_t what)
{
    uint64_t want = g->epoch << 8 | what, until = now_ns() + 20000000000u;
    while (rkd_acquire(&g->ctl->state) != want)
        if (now_ns() > until)
            die("command", "the block did not obey within 20 s");
}

static void commands(rig *g)
{
    size_t n = simulate ? 50 : quick ? 1000 : 20000;
    uint64_t *v = calloc(n, sizeof *v);
    start(g, 1);
    wait_state(g, RKD_RUNS);
    g->epoch = 1000;
    for (size_t i = 0; i < n; i++) {
        bool pause = i % 2 == 0;
        uint64_t t = now_ns();
        g->epoch++;
        rkd_release(&g->ctl->command, g->epoch << 8 | (pause ? RKD_PAUSE : RKD_RUN));
        wait_state(g, pause ? RKD_PAUSED : RKD_RUNS);
        v[i] = now_ns() - t;
        if (i % 1024 == 0)
            g->m->grid_beat(g->grid);
    }
    stop(g);
    put_percentiles("command to state", v, n);
    free(v);
}

// Frames that are filled and looked at beforehand and afterwards: the host's own work is not measured here.
static double stream_once(rig *g, uint64_t frames, bool touch)
{
    uint64_t t, first = g->next, beats = 0;
    if (!touch)
        for (uint64_t i = 0; i < 1u << SLOTS_LOG2; i++)
            fill(g, first + i, ROWS);
    t = now_ns();
    while (g->taken < first + frames) {
        if (g->next < first + frames && g->next - g->taken < 1u << SLOTS_LOG2) {
            if (touch)
                fill(g, g->next, ROWS);
            rkd_release(&in_at(g, g->next)->seq, g->next + 1);
            g->next++;
            continue;
        }
        wait_for(g, g->taken);
        if (touch)
            verify(g, g->taken, ROWS);
        g->taken++;
        if (++beats % 64 == 0)
            g->m->grid_beat(g->grid);
    }
    return (double)(now_ns() - t) / 1e9;
}

static int by_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void stream(rig *g, uint32_t blocks, bool touch)
{
    uint64_t frames = simulate ? 32 : quick ? 500 : 4000;
    double v[ROUNDS];
    char name[96];
    start(g, blocks);
    stream_once(g, frames / 4 + 1, true); // warm, and every row is looked at
    for (int i = 0; i < ROUNDS; i++)
        v[i] = stream_once(g, frames, touch);
    stop(g);
    qsort(v, ROUNDS, sizeof *v, by_double);
    snprintf(name, sizeof name, "stream, %u block%s%s", blocks, blocks == 1 ? "" : "s",
             touch ? ", filled and checked by one core" : "");
    put(name, (double)frames * ROWS / v[ROUNDS / 2] / 1e6, "M rows/s");
    put(name, (double)frames * ROWS * 16 / v[ROUNDS / 2] / 1e9, "GB/s to the device");
}

static void launches(void)
{
    static const char empty[] = "extern \"C\" __global__ void rkd_main(const void *p) { (void)p; }\n";
    const rkc_driver *cu;
    char err[1024] = "", *code = NULL;
    size_t bytes, n = quick ? 2000 : 20000;
    cu_device d;
    cu_context c;
    cu_module m;
    cu_function f;
    cu_stream s;
    int major = 0, minor = 0;
    void *arg = NULL, *params[] = { &arg };
    uint64_t *v = calloc(n, sizeof *v);
    if (simulate || !v) {
        free(v);
        return;
    }
    cu = rkc_driver_load(err, sizeof err);
    if (!cu || cu->init(0) || cu->device_get(&d, 0) || cu->device_attribute(&major, CU_MAJOR, d) ||
        cu->device_attribute(&minor, CU_MINOR, d) || cu->context_retain(&c, d) || cu->context_set(c) ||
        rkc_nvrtc_compile(rkp_str_of(empty), NULL, 0, (unsigned)major, (unsigned)minor, &code, &bytes, err,
                          sizeof err) != RKP_OK ||
        cu->module_load(&m, code) || cu->module_function(&f, m, "rkd_main") ||
        cu->stream_new(&s, CU_STREAM_NON_BLOCKING))
        die("launch", err);
    for (size_t i = 0; i < n; i++) {
        uint64_t t = now_ns();
        cu_result r;
        if (cu->launch(f, 1, 1, 1, THREADS, 1, 1, 0, s, params))
            die("launch", "refused");
        while ((r = cu->stream_query(s)) == CU_NOT_READY)
            ;
        if (r != CU_OK)
            die("launch", "failed");
        v[i] = now_ns() - t;
    }
    put_percentiles("launch of an empty kernel, and seen to end", v + n / 10, n - n / 10);
    cu->stream_free(s);
    cu->module_unload(m);
    cu->context_release(d);
    free(code);
    free(v);
}

int main(int argc, char **argv)
{
    static const uint32_t blocks[] = { 1, 2, 4, 8, 16 };
    char err[4096] = "";
    rig g = { .m = rkd_module_get() };
    rkd_conf conf = { 0 };
    rkd_info info;
    rkd_image_info image;
    uint64_t t;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--simulate") == 0)
            simulate = true;
        else if (strcmp(argv[i], "--quick") == 0)
            quick = true;
        else if (strcmp(argv[i], "--json") == 0 && i + 1 < argc)
            json = fopen(argv[++i], "we");
        else
            die("usage", "gpu_bench [--simulate] [--quick] [--json FILE]");
    }
    conf.simulate = simulate;
    conf.env = (const char *const *)environ;
    if (g.m->open(&conf, &g.h, err, sizeof err) != RKP_OK || !g.m->devices(g.h)) {
        printf("skipped: no device (%s)\n", err);
        return 0;
    }
    g.m->info(g.h, 0, &info);
    printf("%s, compute capability %u.%u, %u multiprocessors; %s\n", info.name, info.major, info.minor, info.processors,
           g.m->what(g.h));
    if (json)
        fprintf(json, "[");
    t = now_ns();
    char text[sizeof source + 256];
    snprintf(text, sizeof text, "#define KEPT %d\n#define MADE %d\n#define COL_B %d\n%s", KEPT, MADE, COL_B, source);
    if (g.m->build(g.h, 0, rkp_str_of(text), &g.image, err, sizeof err) != RKP_OK)
        die("build", err);
    g.m->image_info(g.image, &image);
    put("compile and load", (double)(now_ns() - t) / 1e6, "ms");
    put("registers", image.registers, "a thread");
    put("local memory", image.local_bytes, "bytes a thread");
    round_trip(&g);
    commands(&g);
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks && !(simulate && blocks[i] > 4); i++)
        stream(&g, blocks[i], false);
    stream(&g, simulate ? 2 : 4, true);
    g.m->image_free(g.image);
    g.m->close(g.h);
    launches();
    if (json) {
        fprintf(json, "\n]\n");
        fclose(json);
    }
    return 0;
}
