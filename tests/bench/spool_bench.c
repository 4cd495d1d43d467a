// Figures of the log on disk and of the records in it: spool_bench FOLDER [MiB].  Writes there, and removes it.
#include "data/wire.h"
#include "flow/spool.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static char err[RKI_SPOOL_ERR];

static void require(bool ok)
{
    if (!ok) {
        fprintf(stderr, "spool_bench: %s\n", err);
        exit(1);
    }
}

static void log_of(const char *dir, size_t record, uint64_t mib, rki_spool_sync sync, const char *what)
{
    uint64_t n = (mib << 20) / record, got = 0;
    rki_spool_opts o = { .sync = sync };
    char *body = calloc(1, record);
    rkp_envelope env = { 0 };
    rki_spool_record r = { 0 };
    rki_spool_stats st;
    rki_spool *s = NULL;
    double t, put, open_s, read;
    require(body && rki_spool_open(dir, &o, &s, err) == RKP_OK);
    t = now();
    for (uint64_t i = 0; i < n; i++)
        require(rki_spool_append(s, &env, body, record, NULL, err) == RKP_OK);
    put = now() - t;
    rki_spool_close(s);
    t = now();
    require(rki_spool_open(dir, &o, &s, err) == RKP_OK);
    open_s = now() - t;
    t = now();
    do {
        require(rki_spool_next(s, &r, err) == RKP_OK);
        got += r.seq != 0;
    } while (r.seq);
    read = now() - t;
    require(got == n);
    printf("%-10s %8zu bytes a record: append %7.0f MB/s %9.0f records/s, open %6.1f ms, read %7.0f MB/s\n", what,
           record, (double)(n * record) / put / 1e6, (double)n / put, open_s * 1e3, (double)(n * record) / read / 1e6);
    rki_spool_look(s, &st);
    require(rki_spool_ack(s, st.next - 1, err) == RKP_OK);
    rki_spool_close(s);
    free(body);
}

static void wire(uint32_t rows)
{
    static const rkp_field f[] = { { { "id", 2 }, { .kind = RKP_I64 } },
                                   { { "v", 1 }, { .kind = RKP_F64, .nullable = 1 } },
                                   { { "name", 4 }, { .kind = RKP_STRING } } };
    static const rkp_schema s = { 3, f };
    rkp_pool *p = rkp_pool_new(256 << 20);
    rkp_batch *b = rkp_batch_new(p, &s, 3, 0), *back;
    int64_t *id = rkp_batch_alloc(b, rows * sizeof *id);
    rkp_str *name = rkp_batch_alloc(b, rows * sizeof *name);
    enum { TIMES = 2000 };
    double t, put, get;
    rki_buf o;
    b->rows = rows;
    for (uint32_t i = 0; i < rows; i++) {
        id[i] = i;
        name[i] = (rkp_str){ "a name of some length", i % 21 };
    }
    rkp_col_set_values(b, 0, f[0].type, id, NULL, rows);
    rkp_col_set_values(b, 1, f[1].type, id, NULL, rows);
    rkp_col_set_strs(b, 2, f[2].type, name, rows);
    rki_buf_init(&o);
    t = now();
    for (int i = 0; i < TIMES; i++) {
        rki_buf_clear(&o);
        require(rki_wire_put(b, &o) == RKP_OK);
    }
    put = now() - t;
    t = now();
    for (int i = 0; i < TIMES; i++) {
        require(rki_wire_get(p, &s, o.p, o.n, &back, NULL) == RKP_OK);
        rkp_batch_put(back);
    }
    get = now() - t;
    printf("%6u rows in %7zu bytes: put %6.0f MB/s %6.1f ns/row, get %6.0f MB/s %6.1f ns/row\n", rows, o.n,
           (double)o.n * TIMES / put / 1e6, put / TIMES / rows * 1e9, (double)o.n * TIMES / get / 1e6,
           get / TIMES / rows * 1e9);
    rki_buf_fini(&o);
    rkp_batch_put(b);
    rkp_pool_free(p);
}

int main(int argc, char **argv)
{
    uint64_t mib = argc > 2 ? strtoull(argv[2], NULL, 10) : 1024;
    if (argc < 2) {
        fprintf(stderr, "usage: spool_bench FOLDER [MiB]\n");
        return 64;
    }
    log_of(argv[1], 256, mib / 8, RKI_SPOOL_NEVER, "never");
    log_of(argv[1], 64 << 10, mib, RKI_SPOOL_NEVER, "never");
    log_of(argv[1], 1 << 20, mib, RKI_SPOOL_NEVER, "never");
    log_of(argv[1], 64 << 10, mib, RKI_SPOOL_INTERVAL, "interval");
    log_of(argv[1], 64 << 10, mib / 16, RKI_SPOOL_ALWAYS, "always");
    wire(1);
    wire(100);
    wire(10000);
    return 0;
}
