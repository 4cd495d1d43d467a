// csv_bench FILE: what the parts of CSV reading and writing cost, each alone, over the file's chunks as they come.
//
// The file is one of `gen csv` (ten columns, the seventh is a number).  For every instruction set: scan (what the source's
// thread does per byte), index.  Then with the best: the number column parsed, seven columns copied raw, all ten.
#include "../../operators/read/csv_index.h"

#include <rkpipe/csv.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 510 << 10, COLUMNS = 10, NUMBER = 6 };

// CPU time of this thread: others on the machine count less.
static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int die(const char *what)
{
    perror(what);
    return 1;
}

// The matrix of a chunk as a batch of ten TEXT columns.
static rkp_batch *batch_of(rkp_pool *pool, const rkp_text *t, const uint32_t *pos, uint32_t rows)
{
    rkp_batch *b = rkp_batch_new(pool, NULL, COLUMNS, 0);
    if (!b)
        return NULL;
    b->rows = rows;
    for (uint32_t c = 0; c < COLUMNS; c++)
        b->cols[c] = (rkp_col){ .type = RKP_NTYPE(c == NUMBER ? RKP_F64 : RKP_STRING),
                                .rep = RKP_TEXT,
                                .last = c + 1 == COLUMNS,
                                .pos = pos + c,
                                .stride = COLUMNS,
                                .text = t };
    return b;
}

int main(int argc, char **argv)
{
    static const uint32_t j1[] = { 0, 1, 2, 4, 6, 7, 9 };
    static const rkp_str nulls[] = { { "", 0 } };
    const struct csv_dialect d = { ',', '"' };
    const rkp_csv_style style = { ',', '"', false, false };
    char *base = aligned_alloc(64, CHUNK + 128);
    uint32_t *pos = malloc((CHUNK + CSV_SLACK + 64) * sizeof *pos);
    rkp_pool *pool = rkp_pool_new(256 << 20);
    const struct csv_kernel *k;
    int fd = argc == 2 ? open(argv[1], O_RDONLY) : -1;
    if (fd < 0 || !base || !pos || !pool)
        return die("csv_bench FILE");
    for (unsigned i = 0; (k = csv_kernel_at(i)); i++) {
        double t_read = 0, t_scan = 0, t_index = 0, t_parse = 0, t_seven = 0, t_all = 0;
        size_t bytes = 0, seven = 0, all = 0, carry = 0;
        uint64_t rows = 0;
        ssize_t got;
        lseek(fd, 0, SEEK_SET);
        for (;;) {
            struct csv_scan scan;
            struct csv_index x = { .at = 1, .n = 1 };
            double t0 = now(), t1, t2, t3;
            got = read(fd, base + 1 + carry, CHUNK - carry);
            if (got <= 0)
                break;
            t1 = now();
            k->scan(&d, base + 1, carry + (size_t)got, &scan);
            t2 = now();
            k->index(&d, base, (uint32_t)scan.cut + 1, scan.quotes, &x, pos, CHUNK + CSV_SLACK);
            t3 = now();
            pos[0] = 0;
            t_read += t1 - t0;
            t_scan += t2 - t1;
            t_index += t3 - t2;
            if (i == 0) {
                rkp_text t = { .base = base,
                               .len = (uint32_t)scan.cut + 1,
                               .kind = RKP_TEXT_CSV,
                               .quote = '"',
                               .delim = ',',
                               .n_nulls = 1,
                               .nulls = nulls };
                bool header = bytes == 0;
                rkp_batch *b = batch_of(pool, &t, pos + (header ? COLUMNS : 0), (x.n - 1) / COLUMNS - header);
                rkp_batch *mem = rkp_batch_new(pool, NULL, 0, 1 << 20);
                rkp_errs errs = { 0 };
                rkp_str text;
                rkp_col flat;
                if (!b || !mem)
                    return die("memory");
                t0 = now();
                if (rkp_col_flat(mem, b, NUMBER, NULL, b->rows, &flat, &errs) != RKP_OK || errs.n)
                    return die("a number that is none");
                t1 = now();
                if (rkp_csv_rows(mem, b, j1, 7, &style, &text, &errs) != RKP_OK)
                    return die("memory");
                t2 = now();
                seven += text.n;
                if (rkp_csv_rows(mem, b, NULL, COLUMNS, &style, &text, &errs) != RKP_OK)
                    return die("memory");
                t3 = now();
                all += text.n;
                t_parse += t1 - t0;
                t_seven += t2 - t1;
                t_all += t3 - t2;
                rows += b->rows;
                rkp_batch_put(b);
                rkp_batch_put(mem);
            }
            bytes += scan.cut;
            carry = carry + (size_t)got - scan.cut;
            memmove(base + 1, base + 1 + scan.cut, carry);
        }
        if (!bytes)
            return die("nothing to read");
        if (i == 0)
            printf("%zu bytes, %llu rows; read() %.3f s/GB\n", bytes, (unsigned long long)rows,
                   t_read / (double)bytes * 1e9);
        printf("%-8s scan %.3f s/GB   index %.3f s/GB\n", k->name, t_scan / (double)bytes * 1e9,
               t_index / (double)bytes * 1e9);
        if (i == 0)
            printf(
                "         parse a number %.1f ns   copy 7 of 10 columns %.2f GB/s of output, %.1f ns a row   copy all "
                "%.2f GB/s\n",
                t_parse / (double)rows * 1e9, (double)seven / t_seven * 1e-9, t_seven / (double)rows * 1e9,
                (double)all / t_all * 1e-9);
    }
    rkp_pool_free(pool);
    free(base);
    free(pos);
    close(fd);
    return 0;
}
