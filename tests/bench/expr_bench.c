// expr_bench - nanoseconds a row for expressions over batches as read.csv makes them.  Not a test.
//
//     cmake --build build/release --target expr_bench && build/release/tests/expr_bench [ROWS] [ROUNDS]
#include "expr_case.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const rkp_field fields[] = {
    { { "tx_id", 5 }, { .kind = RKP_I64, .nullable = 1 } },
    { { "ts", 2 }, { .kind = RKP_TIMESTAMP, .nullable = 1 } },
    { { "account", 7 }, { .kind = RKP_STRING, .nullable = 1 } },
    { { "amount", 6 }, { .kind = RKP_F64, .nullable = 1 } },
    { { "status", 6 }, { .kind = RKP_STRING, .nullable = 1 } },
    { { "note", 4 }, { .kind = RKP_STRING, .nullable = 1 } },
};
static const rkp_schema schema = { sizeof fields / sizeof *fields, fields };

static uint64_t seed = 88172645463325252u;

static uint64_t random64(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

// A matrix of separators, as a CSV index has it: stride = columns.
static rkp_batch *make(rkp_pool *pool, uint32_t rows)
{
    static const char *const states[] = { "ok", "ok", "ok", "failed", "pending", "ok", "ok", "ok", "reversed", "ok" };
    static const rkp_str nulls[] = { { "", 0 } };
    rkp_batch *b = rkp_batch_new(pool, &schema, schema.n, 1 << 20);
    rkp_text *t = rkp_batch_alloc(b, sizeof *t);
    uint32_t *pos = rkp_batch_alloc(b, ((size_t)rows * schema.n + 1) * sizeof *pos), k = 0;
    char *base = rkp_batch_alloc(b, (size_t)rows * 128 + 64);
    uint32_t at = 1;

    base[0] = '\n';
    pos[k++] = 0;
    for (uint32_t i = 0; i < rows; i++) {
        char cell[6][40];
        uint64_t r = random64();

        snprintf(cell[0], 40, "%u", 1000000 + i);
        snprintf(cell[1], 40, "2024-03-%02uT%02u:%02u:%02uZ", 1 + i / 4096 % 28, i / 3600 % 24, i / 60 % 60, i % 60);
        snprintf(cell[2], 40, "acc%u", (unsigned)(r % 10000));
        snprintf(cell[3], 40, "%.2f", (double)(r >> 20 & 0xffff) * (double)(r >> 36 & 3) / 100 + 0.01);
        snprintf(cell[4], 40, "%s", states[(r >> 40) % 10]);
        snprintf(cell[5], 40, "note %u of the row", (unsigned)(r >> 50 & 255));
        for (uint32_t c = 0; c < schema.n; c++) {
            size_t n = strlen(cell[c]);

            memcpy(base + at, cell[c], n);
            at += (uint32_t)n;
            pos[k++] = at;
            base[at++] = c + 1 < schema.n ? ',' : '\n';
        }
    }
    *t = (rkp_text){ .base = base,
                     .len = at,
                     .kind = RKP_TEXT_CSV,
                     .quote = '"',
                     .delim = ',',
                     .utf8 = true,
                     .n_nulls = 1,
                     .nulls = nulls };
    b->rows = rows;
    for (uint32_t c = 0; c < schema.n; c++)
        b->cols[c] = (rkp_col){ .type = fields[c].type,
                                .rep = RKP_TEXT,
                                .last = c + 1 == schema.n,
                                .stride = schema.n,
                                .pos = pos + c,
                                .text = t };
    return b;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *text;
        bool filter;
    } jobs[] = {
        { "amount > 500", true },
        { "status == 'ok'", true },
        { "amount > 500 && status == 'ok'", true },
        { "status == 'ok' && amount > 500", true },
        { "amount > 100 && amount < 500", true },
        { "note =~ 'of the'", true },
        { "note =~ 'note 1\\\\d+ '", true },
        { "status in ('ok', 'failed')", true },
        { "round(amount * 0.029 + 0.30, 2)", false },
        { "amount * 0.029 + 0.30", false },
        { "tx_id % 10 == 0 ? amount : 0", false },
        { "date_trunc(ts, 'minute')", false },
        { "concat(account, '-', status)", false },
        { "upper(status)", false },
        { "hash(account) % 16", false },
    };
    uint32_t rows = argc > 1 ? (uint32_t)atoi(argv[1]) : 8192, rounds = argc > 2 ? (uint32_t)atoi(argv[2]) : 300;
    rkp_pool *pool = rkp_pool_new(1u << 30);
    rkp_frame *frame = rkp_frame_new(pool);
    rkp_batch *b[2] = { make(pool, rows), NULL };
    uint32_t *out = malloc(rows * sizeof *out);

    b[1] = expr_case_flat(rkp_batch_get(b[0]));
    printf("%-40s %10s %10s   ns a row, best of %u rounds over %u rows\n", "", "text", "flat", rounds, rows);
    for (size_t j = 0; j < sizeof jobs / sizeof *jobs; j++) {
        double best[2] = { 1e18, 1e18 };
        uint32_t kept = 0;
        expr_case c;
        rkp_expr *e;

        expr_case_init(&c);
        c.scope.schema = &schema;
        e = expr_case_compile(&c, jobs[j].text, RKP_WANT_ANY);
        if (!e) {
            char why[500];

            expr_case_findings(&c, why, sizeof why);
            printf("%s: %s\n", jobs[j].text, why);
            return 1;
        }
        for (uint32_t k = 0; k < rounds; k++) {
            for (int f = 0; f < 2; f++) {
                rkp_batch *mem = jobs[j].filter ? NULL : rkp_batch_new(pool, NULL, 0, rows * 16);
                rkp_errs errs = { 0 };
                rkp_col col;
                double t = now();

                if (jobs[j].filter)
                    rkp_expr_filter(e, frame, b[f], NULL, NULL, rows, out, &kept, &errs);
                else
                    rkp_expr_eval(e, frame, mem, b[f], NULL, NULL, rows, &col, &errs);
                t = (now() - t) / rows;
                best[f] = t < best[f] ? t : best[f];
                rkp_errs_fini(&errs);
                rkp_batch_put(mem);
            }
        }
        printf("%-40s %10.2f %10.2f", jobs[j].text, best[0], best[1]);
        if (jobs[j].filter)
            printf("   keeps %.0f %%", 100.0 * kept / rows);
        printf("\n");
        expr_case_fini(&c);
    }
    free(out);
    rkp_batch_put(b[1]);
    rkp_batch_put(b[0]);
    rkp_frame_free(frame);
    rkp_pool_free(pool);
    return 0;
}
