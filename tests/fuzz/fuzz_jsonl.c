// The scanner of read.jsonl on any bytes: every instruction set must give the same answer, what the strict scanner
// accepts the lax one accepts too and with the same values, and every value that was found is JSON by itself.
#include "../../operators/read/json_scan.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { N_PATHS = 7, MAX_SETS = 4 };

static const jscan_path some_paths[N_PATHS] = {
    { .text = { "a", 1 }, .key = true },   { .text = { "a.b", 3 } },       { .text = { "a[1]", 4 } },
    { .text = { "b[0].a", 6 } },           { .text = { "[\"x.y\"]", 7 } }, { .text = { "$", 1 } },
    { .text = { "a.b", 3 }, .key = true },
};

struct answer {
    uint32_t rows, bad;
    uint32_t errors; // hash of errors and their places
    uint32_t *start, *pos[N_PATHS];
};

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void scan(jscan *s, const char *text, uint32_t end, uint32_t lines, struct answer *a)
{
    jscan_chunk c = { .base = text, .at = 1, .end = end, .cap = lines };
    a->start = malloc(lines * sizeof *a->start + 1);
    for (uint32_t i = 0; i < N_PATHS; i++)
        a->pos[i] = malloc(lines * 2 * sizeof *a->pos[i] + 1);
    c.start = a->start;
    c.pos = a->pos;
    a->bad = a->errors = 0;
    while (!jscan_lines(s, &c)) {
        a->bad++;
        a->errors = a->errors * 31 + c.error * 7 + c.bad_at;
        require(c.error != JSCAN_OK && jscan_row_error(c.error) && jscan_error_text(c.error)[0]);
        require(c.bad_at < c.bad_end && c.bad_end < end && c.error_at >= c.bad_at && c.error_at <= c.bad_end + 1);
    }
    require(c.at == end && c.rows + a->bad <= lines);
    a->rows = c.rows;
}

static void answer_free(struct answer *a)
{
    free(a->start);
    for (uint32_t i = 0; i < N_PATHS; i++)
        free(a->pos[i]);
}

static bool same_values(const struct answer *a, const struct answer *b, uint32_t n_slots)
{
    if (a->rows != b->rows || memcmp(a->start, b->start, a->rows * sizeof *a->start) != 0)
        return false;
    for (uint32_t i = 0; i < n_slots; i++)
        for (uint32_t r = 0; r < a->rows; r++)
            if (a->pos[i][2 * r] != b->pos[i][2 * r] ||
                (a->pos[i][2 * r] != RKP_NO_TEXT && a->pos[i][2 * r + 1] != b->pos[i][2 * r + 1]))
                return false;
    return true;
}

// Every value stands inside the text and is JSON; what is broken about the others the strict scanner has said.
static void check_values(const jscan_kernels *k, const char *text, uint32_t end, const struct answer *a,
                         uint32_t n_slots)
{
    for (uint32_t i = 0; i < n_slots; i++)
        for (uint32_t r = 0; r < a->rows; r++) {
            const uint32_t *pos = &a->pos[i][2 * r];
            const char *stop, *bad;
            char *copy;
            size_t n;
            if (pos[0] == RKP_NO_TEXT)
                continue;
            require(pos[0] + 1 < pos[1] && pos[1] <= end);
            n = pos[1] - pos[0] - 1;
            copy = malloc(n + 1 + JSCAN_PAD);
            memcpy(copy, text + pos[0] + 1, n);
            copy[n] = '\n';
            memset(copy + n + 1, 0, JSCAN_PAD);
            require(k->validate(copy, &stop, &bad) == JSCAN_OK && stop == copy + n);
            free(copy);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const jscan_kernels *k;
    char *text;
    uint32_t lines, end, slots[N_PATHS];
    struct answer first[2] = { 0 };
    bool narrow = size && data[0] & 1;
    if (size > 4096)
        return 0;
    text = malloc(1 + size + 1 + JSCAN_PAD);
    text[0] = '\n';
    memcpy(text + 1, data, size);
    end = (uint32_t)size + 1;
    if (text[end - 1] != '\n' || end == 1)
        text[end++] = '\n';
    memset(text + end, size & 1 ? '\n' : '"', JSCAN_PAD); // what stands there must not matter
    lines = jscan_kernels_at(0)->count_lines(text + 1, end - 1);
    for (int j = 0; (k = jscan_kernels_at(j)); j++) {
        uint32_t *found = malloc(lines * sizeof *found);
        bool cr;
        require(k->count_lines(text + 1, end - 1) == lines);
        require(k->find_lines(text, 1, end, found, &cr) == lines && found[lines - 1] == end - 1);
        free(found);
        for (int strict = 0; strict < 2; strict++) {
            // Twice with one scanner: what it learned the first time must not change the answer.
            jscan *s = jscan_new(some_paths, narrow ? 4 : N_PATHS, strict, slots);
            struct answer a, again;
            jscan_use(s, k);
            scan(s, text, end, lines, &a);
            scan(s, text, end, lines, &again);
            require(same_values(&a, &again, jscan_slots(s)) && a.errors == again.errors);
            answer_free(&again);
            if (j == 0) {
                check_values(k, text, end, &a, jscan_slots(s));
                first[strict] = a;
            } else {
                require(same_values(&a, &first[strict], jscan_slots(s)) && a.errors == first[strict].errors);
                answer_free(&a);
            }
            jscan_free(s);
        }
    }
    require(first[1].rows <= first[0].rows);
    answer_free(&first[0]);
    answer_free(&first[1]);
    free(text);
    return 0;
}
