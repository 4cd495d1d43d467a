// column_bench [NAME]: nanoseconds a value of reading columns out of text, for the shapes that data files have; and of
// what lies around it: taking blocks and batches from the pool, selections, dense columns.
//
// CPU time of one thread, the best of many rounds over one chunk that stays in the cache.  Each text column stands
// between two others, as in a file.
#include <rkpipe/batch.h>
#include <rkpipe/num.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROWS = 8192, ROUNDS = 200 };

static uint64_t state = 0x9E3779B97F4A7C15u;

static uint32_t below(uint32_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(((state * 0x2545F4914F6CDD1Du >> 32) * n) >> 32);
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static const char *wanted;

static bool asked(const char *name)
{
    return !wanted || strstr(name, wanted);
}

static void say(const char *name, double ns)
{
    printf("%-34s %7.2f ns\n", name, ns);
}

// ---- text -----------------------------------------------------------------------------------------------------------

static const char *const words[] = { "ok", "failed", "pending", "refunded", "reversed by the bank" };

static int put(char *to, const char *shape)
{
    uint32_t r = below(UINT32_MAX);

    if (strcmp(shape, "i64 1..3 digits") == 0)
        return sprintf(to, "%u", below(1000));
    if (strcmp(shape, "i64 8 digits") == 0)
        return sprintf(to, "%u", 10000000 + below(90000000));
    if (strcmp(shape, "i64 -9..9 digits") == 0)
        return sprintf(to, "%d", (int)(r % 2000000000) - 1000000000);
    if (strcmp(shape, "i64 13 digits") == 0)
        return sprintf(to, "17%u%u", 10000000 + below(90000000), 100 + below(900));
    if (strcmp(shape, "i64 19 digits") == 0)
        return sprintf(to, "17%u%u", 10000000 + below(90000000), 100000000 + below(900000000));
    if (strcmp(shape, "i32 1..6 digits") == 0)
        return sprintf(to, "%u", below(1000000));
    if (strcmp(shape, "f64 0.00..9999.99") == 0)
        return sprintf(to, "%.2f", below(1000000) / 100.0);
    if (strcmp(shape, "f64 -500000.00..500000.00") == 0)
        return sprintf(to, "%.2f", ((int)below(100000000) - 50000000) / 100.0);
    if (strcmp(shape, "f64 6 decimals") == 0)
        return sprintf(to, "%.6f", below(UINT32_MAX) / 1e6);
    if (strcmp(shape, "f64 17 digits") == 0)
        return sprintf(to, "%.17g", below(UINT32_MAX) / 7.0e9);
    if (strcmp(shape, "f64 one in ten null") == 0)
        return below(10) ? sprintf(to, "%.2f", below(1000000) / 100.0) : 0;
    if (strcmp(shape, "f64 in quotes") == 0)
        return sprintf(to, "\"%.2f\"", below(1000000) / 100.0);
    if (strcmp(shape, "bool") == 0)
        return sprintf(to, "%s", r & 1024 ? "true" : "false");
    if (strcmp(shape, "timestamp s") == 0)
        return sprintf(to, "2024-%02u-%02uT%02u:%02u:%02uZ", 1 + below(12), 1 + below(28), below(24), below(60),
                       below(60));
    if (strcmp(shape, "timestamp ms") == 0)
        return sprintf(to, "2024-%02u-%02u %02u:%02u:%02u.%03u", 1 + below(12), 1 + below(28), below(24), below(60),
                       below(60), below(1000));
    if (strcmp(shape, "string words") == 0 || strcmp(shape, "string words, unchecked") == 0)
        return sprintf(to, "%s", words[r % 5]);
    if (strcmp(shape, "string 30..50") == 0)
        return sprintf(to, "%.*s", (int)(30 + below(20)), "a longer text such as a note, a path or an address");
    if (strcmp(shape, "string in quotes") == 0)
        return sprintf(to, "\"%s\"", words[r % 5]);
    return sprintf(to, "\"a \"\"%s\"\" b\"", words[r % 5]); // string with quotes in it
}

static const char *const shapes[] = { "i64 1..3 digits",
                                      "i64 8 digits",
                                      "i64 -9..9 digits",
                                      "i64 13 digits",
                                      "i64 19 digits",
                                      "i32 1..6 digits",
                                      "f64 0.00..9999.99",
                                      "f64 -500000.00..500000.00",
                                      "f64 6 decimals",
                                      "f64 17 digits",
                                      "f64 one in ten null",
                                      "f64 in quotes",
                                      "bool",
                                      "timestamp s",
                                      "timestamp ms",
                                      "string words",
                                      "string words, unchecked",
                                      "string 30..50",
                                      "string in quotes",
                                      "string with quotes in it" };

static char base[ROWS * 96];
static uint32_t pos[ROWS * 3 + 1];
static const rkp_str nulls[] = { { "", 0 } };
static rkp_text text = { .base = base, .kind = RKP_TEXT_CSV, .quote = '"', .delim = ',', .nulls = nulls, .n_nulls = 1 };

static void fill(rkp_batch *b, const char *shape)
{
    uint32_t at = 0, k = 0;
    rkp_type t = { 0 };

    base[at] = '\n';
    pos[k++] = at++;
    for (uint32_t i = 0; i < ROWS; i++) {
        at += (uint32_t)sprintf(base + at, "tx%u", 1000000 + below(1000000));
        pos[k++] = at;
        base[at++] = ',';
        at += (uint32_t)put(base + at, shape);
        pos[k++] = at;
        base[at++] = ',';
        at += (uint32_t)sprintf(base + at, "EUR");
        pos[k++] = at;
        base[at++] = '\n';
    }
    text.len = at;
    text.utf8 = strstr(shape, "unchecked") != NULL;
    rkp_type_parse((rkp_str){ shape, strcspn(shape, " ") }, &t);
    t.nullable = 1;
    b->rows = ROWS;
    b->cols[0] = (rkp_col){ .type = t, .rep = RKP_TEXT, .stride = 3, .pos = pos + 1, .text = &text };
}

static double flat(rkp_pool *p, rkp_batch *b, const uint32_t *rows, uint32_t n, rkp_col *out)
{
    double best = 1e18;

    for (int r = 0; r < ROUNDS; r++) {
        rkp_batch *mem = rkp_batch_new(p, NULL, 0, 0);
        double t = now();

        if (rkp_col_flat(mem, b, 0, rows, n, out, NULL) != RKP_OK)
            exit(1);
        t = now() - t;
        if (t < best)
            best = t;
        rkp_batch_put(mem);
    }
    return best / n;
}

static double strs(rkp_pool *p, rkp_batch *b)
{
    static rkp_str out[ROWS];
    double best = 1e18;

    for (int r = 0; r < ROUNDS; r++) {
        rkp_batch *mem = rkp_batch_new(p, NULL, 0, 0);
        double t = now();

        if (rkp_col_strs(mem, b, 0, NULL, ROWS, out, NULL) != RKP_OK)
            exit(1);
        t = now() - t;
        if (t < best)
            best = t;
        rkp_batch_put(mem);
    }
    return best / ROWS;
}

// rkp_parse_f64 for every row, as anybody would call it: what the blocks are to beat.
static double one_by_one(rkp_batch *b)
{
    static double out[ROWS];
    double best = 1e18;

    for (int r = 0; r < ROUNDS; r++) {
        double t = now();

        for (uint32_t i = 0; i < ROWS; i++) {
            rkp_str s = rkp_col_raw(&b->cols[0], i);

            rkp_parse_f64(s.p, s.n, &out[i]);
        }
        t = now() - t;
        if (t < best)
            best = t;
    }
    return best / ROWS;
}

static void columns(rkp_pool *p)
{
    static uint32_t half[ROWS / 2];

    for (uint32_t i = 0; i < ROWS / 2; i++)
        half[i] = 2 * i + below(2);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        rkp_batch *b = rkp_batch_new(p, NULL, 1, 0);
        rkp_col out;
        char name[64];

        if (!asked(shapes[i])) {
            rkp_batch_put(b);
            continue;
        }
        fill(b, shapes[i]);
        say(shapes[i], flat(p, b, NULL, ROWS, &out));
        if (rkp_kind_is_view(b->cols[0].type.kind)) {
            snprintf(name, sizeof name, "  as pointers");
            say(name, strs(p, b));
        }
        if (strcmp(shapes[i], "f64 0.00..9999.99") == 0) {
            say("  every other row", flat(p, b, half, ROWS / 2, &out));
            say("  rkp_parse_f64 one by one", one_by_one(b));
        }
        rkp_batch_put(b);
    }
}

// ---- around it ------------------------------------------------------------------------------------------------------

static void pool(rkp_pool *p)
{
    enum { N = 1000000 };
    static const size_t sizes[] = { 0, 60 << 10, 1 << 20 };

    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        char name[64];
        double t;

        snprintf(name, sizeof name, "batch of %zu KiB: new and put", sizes[s] >> 10);
        if (!asked(name))
            continue;
        t = now();
        for (int i = 0; i < N; i++)
            rkp_batch_put(rkp_batch_new(p, NULL, 0, sizes[s]));
        say(name, (now() - t) / N);
    }
}

static void selections(rkp_pool *p)
{
    static int64_t values[ROWS];
    static uint32_t rows[ROWS / 2];
    rkp_batch *b = rkp_batch_new(p, NULL, 8, 0), *once;
    rkp_col out;
    double t;

    for (uint32_t i = 0; i < ROWS / 2; i++)
        rows[i] = 2 * i + below(2);
    b->rows = ROWS;
    for (uint32_t c = 0; c < 8; c++)
        rkp_col_set_values(b, c, RKP_TYPE(RKP_I64), values, NULL, ROWS);
    once = rkp_batch_pick(b, rows, ROWS / 2);
    if (asked("pick")) {
        t = now();
        for (int i = 0; i < 2000; i++)
            rkp_batch_put(rkp_batch_pick(b, rows, ROWS / 2));
        say("pick half of 8 columns, a row", (now() - t) / 2000 / (ROWS / 2));
        t = now();
        for (int i = 0; i < 2000; i++)
            rkp_batch_put(rkp_batch_pick(once, rows, ROWS / 4));
        say("pick again, a row", (now() - t) / 2000 / (ROWS / 4));
    }
    if (asked("dense")) {
        b->cols[0].sel = once->cols[0].sel;
        say("dense i64 of a selection", flat(p, b, NULL, ROWS / 2, &out));
    }
    rkp_batch_put(once);
    rkp_batch_put(b);
}

int main(int argc, char **argv)
{
    rkp_pool *p = rkp_pool_new(256 << 20);

    wanted = argc > 1 ? argv[1] : NULL;
    if (!p)
        return 1;
    columns(p);
    pool(p);
    selections(p);
    rkp_pool_free(p);
    return 0;
}
