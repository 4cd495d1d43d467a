// jsonl_bench FILE [CHUNK_BYTES [ROUNDS]]: the JSON scanner alone, with each instruction set, beside a newline scan.
// Wanted are ts, level, service and msg of the benchmark's log lines (gen jsonl BYTES > FILE); best of the rounds, CPU time.
#include "../../operators/read/json_scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

struct input {
    char *text; // a newline, the file, JSCAN_PAD bytes
    size_t n;
};

static int load(const char *path, struct input *in)
{
    FILE *f = fopen(path, "rb");
    long n;
    if (!f || fseek(f, 0, SEEK_END) || (n = ftell(f)) < 0 || fseek(f, 0, SEEK_SET))
        return 0;
    in->n = (size_t)n;
    in->text = calloc(1, 1 + in->n + JSCAN_PAD);
    if (!in->text || fread(in->text + 1, 1, in->n, f) != in->n)
        return 0;
    in->text[0] = '\n';
    fclose(f);
    return 1;
}

// Bytes of the chunk that begins at text[at]: whole lines, about `chunk` of them.
static size_t cut(const struct input *in, size_t at, size_t chunk)
{
    size_t end = at + chunk < in->n + 1 ? at + chunk : in->n + 1;
    const char *nl = memrchr(in->text + at, '\n', end - at);
    return nl ? (size_t)(nl + 1 - (in->text + at)) : 0;
}

static double scan_all(jscan *s, const struct input *in, size_t chunk, uint32_t *start, uint32_t **pos, uint32_t cap,
                       uint64_t *rows, uint64_t *bad)
{
    double t = now();
    *rows = *bad = 0;
    for (size_t at = 1, n; (n = cut(in, at, chunk)) > 0; at += n) {
        jscan_chunk c = {
            .base = in->text + at - 1, .at = 1, .end = (uint32_t)n + 1, .cap = cap, .start = start, .pos = pos
        };
        while (!jscan_lines(s, &c))
            ++*bad;
        *rows += c.rows;
    }
    return now() - t;
}

static double count_all(const jscan_kernels *k, const struct input *in, size_t chunk, uint64_t *lines)
{
    double t = now();
    *lines = 0;
    for (size_t at = 1, n; (n = cut(in, at, chunk)) > 0; at += n)
        *lines += k->count_lines(in->text + at, n);
    return now() - t;
}

int main(int argc, char **argv)
{
    static const jscan_path paths[] = {
        { .text = { "ts", 2 }, .key = true },
        { .text = { "level", 5 }, .key = true },
        { .text = { "service", 7 }, .key = true },
        { .text = { "msg", 3 }, .key = true },
    };
    size_t chunk = argc > 2 ? strtoul(argv[2], NULL, 10) : 510 << 10;
    int rounds = argc > 3 ? atoi(argv[3]) : 5;
    uint32_t slots[4], cap = (uint32_t)(chunk / 2 + 1), *start, *pos[4];
    const jscan_kernels *k;
    struct input in = { 0 };
    if (argc < 2 || !load(argv[1], &in)) {
        fprintf(stderr, "usage: jsonl_bench FILE [CHUNK_BYTES [ROUNDS]]\n");
        return 64;
    }
    start = malloc(cap * sizeof *start);
    for (int i = 0; i < 4; i++)
        pos[i] = malloc((size_t)cap * 2 * sizeof *pos[i]);
    printf("%-8s %-10s %8s %10s %10s\n", "set", "what", "GB/s", "ns/line", "lines");
    for (int j = 0; (k = jscan_kernels_at(j)); j++)
        for (int what = 0; what < 3; what++) {
            static const char *const names[] = { "used", "all", "newlines" };
            double best = 1e9;
            uint64_t rows = 0, bad = 0;
            for (int r = 0; r < rounds; r++) {
                jscan *s = jscan_new(paths, 4, what == 1, slots);
                double t;
                jscan_use(s, k);
                t = what < 2 ? scan_all(s, &in, chunk, start, pos, cap, &rows, &bad) : count_all(k, &in, chunk, &rows);
                best = t < best ? t : best;
                jscan_free(s);
            }
            printf("%-8s %-10s %8.2f %10.1f %10llu\n", k->name, names[what], (double)in.n / best * 1e-9,
                   best / (double)rows * 1e9, (unsigned long long)(rows + bad));
        }
    free(start);
    for (int i = 0; i < 4; i++)
        free(pos[i]);
    free(in.text);
    return 0;
}
