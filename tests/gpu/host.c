#include "host.h"

#include "cuda/texts.h"

#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { TEXTS = 32, WAIT_S = 60 };

uint64_t gpu_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

bool gpu_wait(gpu_waiting *w)
{
    uint64_t now = gpu_now_ns();
    if (!w->until_ns) {
        const char *s = getenv("GPU_WAIT_S");
        w->until_ns = now + (uint64_t)(s ? atoi(s) : WAIT_S) * 1000000000u;
    }
    if (now > w->until_ns)
        return false;
    if (w->turns++ < 100)
        sched_yield();
    else
        nanosleep(&(struct timespec){ 0, 50000 }, NULL); // others need the cores more
    return true;
}

void gpu_host_wrong(gpu_host *h, const char *format, ...)
{
    va_list ap;
    if (h->wrong[0])
        return;
    va_start(ap, format);
    vsnprintf(h->wrong, sizeof h->wrong, format, ap);
    va_end(ap);
}

// ---- programs --------------------------------------------------------------------------------------------------------

static char *read_text(const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/tests/gpu/%s", RKP_SOURCE_DIR, name);
    FILE *f = fopen(path, "rb");
    if (!f)
        return NULL;
    char *text = calloc(1, 64 << 10);
    if (text)
        text[fread(text, 1, (64 << 10) - 1, f)] = '\0';
    fclose(f);
    return text;
}

// A copy of `text`, mutated if it is the one.  NULL: what must be replaced is not there exactly once.
static char *mutated(const char *name, const char *text, const gpu_mutation *m)
{
    if (!m || !m->file || strcmp(m->file, name) != 0)
        return strdup(text);
    const char *at = strstr(text, m->from);
    if (!at || strstr(at + 1, m->from))
        return NULL;
    size_t n = strlen(text) + strlen(m->to) + 1;
    char *made = malloc(n);
    if (made)
        snprintf(made, n, "%.*s%s%s", (int)(at - text), text, m->to, at + strlen(m->from));
    return made;
}

const char *gpu_program_open(gpu_program *p, const char *name, const gpu_mutation *m)
{
    static char err[4096];
    rkc_text texts[TEXTS] = { 0 };
    char *source = read_text(name), *layout = read_text("chain.h"),
         *program = source ? mutated("program", source, m) : NULL;
    char image[] = "gpu-image-XXXXXX";
    size_t n = 0;
    rkp_status st = RKP_INTERNAL;
    snprintf(err, sizeof err, "the texts of '%s', or what is to be mutated in them, are not there", name);
    bool all = program && layout && rkc_n_device_texts < TEXTS;
    for (; all && n < rkc_n_device_texts; n++) {
        texts[n].name = rkc_device_texts[n].name;
        texts[n].text = mutated(rkc_device_texts[n].name, rkc_device_texts[n].text, m);
        all = texts[n].text != NULL;
    }
    texts[n] = (rkc_text){ "chain.h", layout };
    int fd = mkstemp(image);
    if (fd >= 0)
        close(fd);
    if (all && fd >= 0)
        st = rkc_sim_compile(rkp_str_of(program), texts, n + 1, image, (const char *const *)environ, err, sizeof err);
    for (size_t i = 0; i < n; i++)
        free((char *)(uintptr_t)texts[i].text);
    free(program);
    free(layout);
    free(source);
    if (st == RKP_OK) {
        char path[64];
        snprintf(path, sizeof path, "./%s", image);
        *p = (gpu_program){ .d = rkc_sim_driver() };
        if (p->d->init(0) || p->d->context_retain(&p->context, 0) || p->d->context_set(p->context) ||
            p->d->module_load(&p->module, path) || p->d->module_function(&p->main, p->module, "rkd_main"))
            snprintf(err, sizeof err, "the program cannot be loaded");
        else
            err[0] = '\0';
    }
    unlink(image);
    return err;
}

void gpu_program_close(gpu_program *p)
{
    if (p->module)
        p->d->module_unload(p->module);
    if (p->context)
        p->d->context_release(0);
    *p = (gpu_program){ 0 };
}

// ---- memory ----------------------------------------------------------------------------------------------------------

static bool get(gpu_host *h, void *to, size_t bytes)
{
    void *p = NULL;
    if (h->p->d->host_alloc(&p, bytes, CU_HOST_MAPPED) != CU_OK)
        return false;
    memset(p, 0, bytes);
    memcpy(to, &p, sizeof p);
    return true;
}

static uint64_t seen_by_device(gpu_host *h, void *p)
{
    cu_ptr at = 0;
    if (h->p->d->host_address(&at, p, 0) != CU_OK)
        gpu_host_wrong(h, "memory that the device does not see");
    return at;
}

bool gpu_host_open(gpu_host *h, gpu_program *p, uint32_t blocks, uint32_t threads, uint32_t slots_log2,
                   uint64_t orphan_ns)
{
    size_t slots = (size_t)1 << slots_log2;
    *h = (gpu_host){ .p = p, .blocks = blocks, .threads = threads, .slots_log2 = slots_log2, .orphan_ns = orphan_ns };
    return threads < CHAIN_ROWS && get(h, &h->in, slots * sizeof *h->in) && get(h, &h->out, slots * sizeof *h->out) &&
           get(h, &h->ctl, blocks * sizeof *h->ctl) && get(h, &h->actors, blocks * sizeof *h->actors) &&
           p->d->stream_new(&h->stream, CU_STREAM_NON_BLOCKING) == CU_OK;
}

void gpu_host_close(gpu_host *h)
{
    if (h->stream)
        h->p->d->stream_free(h->stream);
    h->p->d->host_free(h->in);
    h->p->d->host_free(h->out);
    h->p->d->host_free(h->ctl);
    h->p->d->host_free(h->actors);
}

// ---- commands --------------------------------------------------------------------------------------------------------

bool gpu_host_start(gpu_host *h)
{
    for (uint64_t i = 0; i < 1ull << h->slots_log2; i++)
        h->out[i].head.seq = 0; // what was answered behind a gap is answered again
    for (uint32_t b = 0; b < h->blocks; b++)
        h->actors[b] = (rkd_actor){
            .in = seen_by_device(h, h->in),
            .out = seen_by_device(h, h->out),
            .ctl = seen_by_device(h, &h->ctl[b]),
            .in_bytes = sizeof *h->in,
            .out_bytes = sizeof *h->out,
            .start = h->taken,
            .orphan_ns = h->orphan_ns,
            .part = b,
            .parts = h->blocks,
            .slots_log2 = h->slots_log2,
        };
    uint64_t actors = seen_by_device(h, h->actors);
    void *params[] = { &actors };
    gpu_host_command(h, RKD_RUN);
    cu_result r = h->p->d->launch(h->p->main, h->blocks, 1, 1, h->threads, 1, 1, 0, h->stream, params);
    if (r != CU_OK)
        gpu_host_wrong(h, "a launch gives %d", r);
    return r == CU_OK;
}

void gpu_host_command(gpu_host *h, unsigned what)
{
    h->epoch++;
    for (uint32_t b = 0; b < h->blocks; b++)
        rkd_release(&h->ctl[b].command, h->epoch << 8 | what);
}

bool gpu_host_says(gpu_host *h, unsigned state)
{
    for (uint32_t b = 0; b < h->blocks; b++)
        if (rkd_acquire(&h->ctl[b].state) != (h->epoch << 8 | state))
            return false;
    return true;
}

bool gpu_host_ended(gpu_host *h)
{
    cu_result r = h->p->d->stream_query(h->stream);
    const char *text = "";
    if (r == CU_OK || r == CU_NOT_READY)
        return r == CU_OK;
    h->p->d->error_text(r, &text);
    gpu_host_wrong(h, "the device is lost: %s", text);
    return false;
}

void gpu_host_beat(gpu_host *h)
{
    for (uint32_t b = 0; b < h->blocks; b++)
        rkd_put(&h->ctl[b].beat, h->ctl[b].beat + 1);
}

// ---- frames ----------------------------------------------------------------------------------------------------------

static uint64_t mix(uint64_t v)
{
    v = (v ^ v >> 31) * 0x9e3779b97f4a7c15ull;
    v = (v ^ v >> 29) * 0xbf58476d1ce4e5b9ull;
    return v ^ v >> 32;
}

static int64_t value_a(uint64_t pos, uint32_t row)
{
    return (int64_t)(mix(pos << 10 | row) >> 8) - ((int64_t)1 << 54);
}

static double value_b(uint64_t pos, uint32_t row)
{
    return (double)(mix(pos << 10 | row) % 1000003);
}

uint32_t gpu_rows(const gpu_host *h, uint64_t pos)
{
    const uint32_t edges[] = { 0, 1, 31, 32, 33, h->threads - 1, h->threads, h->threads + 1, CHAIN_ROWS };
    uint64_t r = mix(pos + 77);
    return r & 1 ? edges[(r >> 1) % (sizeof edges / sizeof *edges)] : (uint32_t)((r >> 1) % (CHAIN_ROWS + 1));
}

bool gpu_host_put(gpu_host *h)
{
    uint64_t pos = h->put, slots = 1ull << h->slots_log2;
    if (pos - h->taken >= slots + h->reuses_early)
        return false;
    chain_in *in = &h->in[pos & (slots - 1)];
    in->head.rows = gpu_rows(h, pos);
    for (uint32_t i = 0; i < in->head.rows; i++) {
        in->a[i] = value_a(pos, i);
        in->b[i] = value_b(pos, i);
    }
    rkd_release(&in->head.seq, pos + 1);
    h->put++;
    return true;
}

static void look_at(gpu_host *h, const chain_out *out, uint64_t pos)
{
    uint32_t rows = gpu_rows(h, pos), kept = 0, punted = 0;
    for (uint32_t i = 0; i < rows; i++) {
        int64_t a = value_a(pos, i);
        if (a % 11 == 0) {
            if (out->punted[punted++] != i)
                gpu_host_wrong(h, "frame %llu: punted %u is not row %u", (unsigned long long)pos, punted - 1, i);
        } else if ((a & 3) != 0) {
            if (out->kept[kept] != i || out->c[kept] != a * 2 + 1 || out->d[kept] != value_b(pos, i) * 0.5 - 1.0)
                gpu_host_wrong(h, "frame %llu: answer %u is not that of row %u", (unsigned long long)pos, kept, i);
            kept++;
        }
    }
    if (out->head.rows != kept || out->head.punted != punted || out->head.reached[0] != rows - punted ||
        out->head.reached[1] != kept)
        gpu_host_wrong(h, "frame %llu: %u rows, %u punted, %u %u reached; not %u, %u, %u %u", (unsigned long long)pos,
                       out->head.rows, out->head.punted, out->head.reached[0], out->head.reached[1], kept, punted,
                       rows - punted, kept);
}

bool gpu_host_take(gpu_host *h)
{
    uint64_t pos = h->taken;
    const chain_out *out = &h->out[pos & ((1ull << h->slots_log2) - 1)];
    uint64_t seq = rkd_acquire(&out->head.seq);
    if (pos == h->put || seq != pos + 1) {
        if (seq > pos + 1)
            gpu_host_wrong(h, "frame %llu: the answer of frame %llu stands there", (unsigned long long)pos,
                           (unsigned long long)seq - 1);
        return false;
    }
    look_at(h, out, pos);
    h->taken++;
    return true;
}

// The highest position whose answer stands in a slot, and one.
static uint64_t answered_up_to(const gpu_host *h)
{
    uint64_t most = 0;
    for (uint64_t i = 0; i < 1ull << h->slots_log2; i++) {
        uint64_t seq = rkd_look(&h->out[i].head.seq);
        most = seq > most ? seq : most;
    }
    return most;
}

enum { EAGER, ONE, FULL, SLOW, MOODS, MOOD_FRAMES = 40 };

void gpu_host_run(gpu_host *h, uint64_t end, uint64_t seed)
{
    while (h->taken < end && !h->wrong[0]) {
        unsigned mood = (unsigned)(mix(seed + h->taken / MOOD_FRAMES) % MOODS);
        uint64_t most = mood == ONE ? 1 : 1ull << h->slots_log2;
        if (mood == SLOW)
            for (uint64_t i = mix(seed ^ h->taken) % 8; i; i--)
                sched_yield();
        while (h->put < end && h->put - h->taken < most + h->reuses_early && gpu_host_put(h) && mood != EAGER)
            ;
        if (mood == FULL) { // all are answered though none is taken
            GPU_UNTIL(h, answered_up_to(h) >= h->put);
            while (h->taken < h->put && !h->wrong[0])
                GPU_UNTIL(h, gpu_host_take(h));
        } else if (mood == EAGER && h->put < end && h->put - h->taken < most) {
            gpu_host_take(h);
        } else {
            GPU_UNTIL(h, gpu_host_take(h));
        }
    }
}
