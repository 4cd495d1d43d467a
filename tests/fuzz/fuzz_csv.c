// CSV text of any bytes: every instruction set must find what the definition finds; what is written must read back the
// same, and the beginning of a file must not be misread for want of bytes.
#include "../../operators/read/csv_head.h"
#include "data/csv_print.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

// ---- places ---------------------------------------------------------------------------------------------------------

// The positions of separators in base[1..to), behind pos[0] = 0, by the definition.
static uint32_t separators(const struct csv_dialect *d, const char *base, uint32_t to, uint32_t *pos)
{
    unsigned mode = CSV_START;
    uint32_t n = 1;
    pos[0] = 0;
    for (uint32_t i = 1; i < to; i++)
        if (csv_step(d, &mode, base[i]))
            pos[n++] = i;
    return n;
}

static void check_kernels(const struct csv_dialect *d, const char *base, size_t n, const uint32_t *pos, uint32_t n_pos)
{
    const struct csv_kernel *k;
    struct csv_scan first = { 0 };
    uint32_t *got = malloc((n + 1 + CSV_SLACK) * sizeof *got);
    require(got != NULL);
    for (unsigned i = 0; (k = csv_kernel_at(i)); i++) {
        struct csv_scan s = { 0 };
        struct csv_index x = { .at = 1, .n = 1 };
        k->scan(d, base + 1, n, &s);
        if (i == 0)
            first = s;
        require(s.cut == first.cut && s.lines == first.lines && s.quotes == first.quotes && s.exact == first.exact);
        require(s.exact || s.open == first.open);
        require(s.cut == 0 || base[s.cut] == '\n');
        if (s.exact)
            continue;
        k->index(d, base, (uint32_t)s.cut + 1, s.quotes, &x, got, (uint32_t)n + 1 + CSV_SLACK);
        require(x.at == s.cut + 1);
        for (uint32_t j = 1; j < x.n; j++)
            require(j < n_pos && got[j] == pos[j]);
        require(x.n == n_pos || pos[x.n] > s.cut);
    }
    free(got);
}

// ---- heads ----------------------------------------------------------------------------------------------------------

struct heap {
    void *v[8200];
    size_t n;
};

static void *heap_alloc(void *ctx, size_t bytes)
{
    struct heap *h = ctx;
    require(h->n < 8200);
    return h->v[h->n++] = malloc(bytes ? bytes : 1);
}

static void heap_free(struct heap *h)
{
    while (h->n)
        free(h->v[--h->n]);
}

// What is said of a prefix stays true of the whole.
static void check_head(const struct csv_dialect *d, const char *p, size_t n, size_t part, uint64_t skip, bool header)
{
    static struct heap a, b;
    struct csv_head h, g;
    enum csv_head_result whole = csv_head(d, p, n, true, skip, header, (struct csv_memory){ heap_alloc, &a }, &h);
    enum csv_head_result some = csv_head(d, p, part, false, skip, header, (struct csv_memory){ heap_alloc, &b }, &g);
    require(whole != CSV_HEAD_MORE && some != CSV_HEAD_EMPTY);
    if (some != CSV_HEAD_MORE)
        require(some == whole);
    if (some == CSV_HEAD_OK) {
        require(g.at == h.at && g.lines == h.lines && g.lone_cr == h.lone_cr && g.n == h.n && h.at <= n);
        for (uint32_t i = 0; i < h.n; i++) {
            require(rkp_str_eq(g.names[i], h.names[i]) && h.names[i].n);
            for (uint32_t j = 0; j < i && i < 64; j++)
                require(!rkp_str_eq(h.names[i], h.names[j]));
        }
    }
    heap_free(&a);
    heap_free(&b);
}

// ---- values ---------------------------------------------------------------------------------------------------------

static rkp_str value_at(rkp_batch *mem, const rkp_batch *b, uint32_t c, uint32_t r)
{
    rkp_str v = { NULL, 0 };
    bool bad = false;
    rkp_str raw = rkp_col_raw(&b->cols[c], r);
    rkp_text_decode(mem, &b->cols[c], raw, &v, &bad);
    require(!bad);
    return v;
}

// Rows of `cols` well-formed fields out of the separators, cols + 1 positions each.
static uint32_t rows_of(const struct csv_dialect *d, const char *base, const uint32_t *pos, uint32_t n, uint32_t cols,
                        uint32_t *to)
{
    uint32_t rows = 0;
    for (uint32_t i = 0; i + 1 < n;) {
        uint32_t k = i + 1;
        bool ok = true;
        while (k + 1 < n && base[pos[k]] != '\n')
            k++;
        if (base[pos[k]] != '\n')
            break;
        for (uint32_t f = i; f < k; f++) {
            size_t end = pos[f + 1];
            if (f + 1 == k && end > pos[f] + 1 && base[end - 1] == '\r')
                end--;
            ok &= csv_field_ok(d, base + pos[f] + 1, end - pos[f] - 1);
        }
        if (ok && k - i == cols)
            memcpy(to + (size_t)rows++ * (cols + 1), pos + i, (cols + 1) * sizeof *to);
        i = k;
    }
    return rows;
}

static rkp_batch *batch_of(rkp_pool *pool, rkp_text *t, const uint32_t *pos, uint32_t rows, uint32_t cols)
{
    rkp_batch *b = rkp_batch_new(pool, NULL, cols, 0);
    require(b != NULL);
    b->rows = rows;
    for (uint32_t c = 0; c < cols; c++)
        b->cols[c] = (rkp_col){ .type = RKP_NTYPE(RKP_STRING),
                                .rep = RKP_TEXT,
                                .last = c + 1 == cols,
                                .stride = cols + 1,
                                .pos = pos + c,
                                .text = t };
    return b;
}

static void check_values(const struct csv_dialect *d, const char *base, const uint32_t *pos, uint32_t n, uint32_t cols,
                         const rkp_csv_style *style)
{
    static const rkp_str empty[] = { { "", 0 } };
    uint32_t *rows_pos = malloc((size_t)n * 2 * sizeof *rows_pos + 64), *again_sep, *again_pos;
    uint32_t rows = rows_of(d, base, pos, n, cols, rows_pos), n_again;
    rkp_pool *pool = rkp_pool_new(64 << 20);
    rkp_text t = { .base = base,
                   .len = pos[n - 1] + 1,
                   .kind = RKP_TEXT_CSV,
                   .quote = d->quote,
                   .delim = d->delim,
                   .cr = true,
                   .n_nulls = 1,
                   .nulls = empty };
    rkp_batch *b = batch_of(pool, &t, rows_pos, rows, cols), *mem = rkp_batch_new(pool, NULL, 0, 0), *back;
    struct csv_dialect out = { style->delim, style->quote };
    rkp_errs errs = { 0 };
    rkp_str text = { 0 }, other = { 0 };
    char *copy;
    require(mem && rki_csv_rows(RKI_CSV_BEST, mem, b, NULL, cols, style, &text, &errs) == RKP_OK && !errs.n);
    require(rki_csv_rows(RKI_CSV_BASE, mem, b, NULL, cols, style, &other, &errs) == RKP_OK && !errs.n);
    require(rkp_str_eq(text, other));
    copy = malloc(text.n + 2);
    copy[0] = 0;
    memcpy(copy + 1, text.p, text.n);
    again_sep = malloc((text.n + 2) * sizeof *again_sep);
    again_pos = malloc((text.n + 2) * 2 * sizeof *again_pos + 64);
    n_again = separators(&out, copy, (uint32_t)text.n + 1, again_sep);
    require(rows_of(&out, copy, again_sep, n_again, cols, again_pos) == rows);
    rkp_text t2 = { .base = copy,
                    .len = (uint32_t)text.n + 1,
                    .kind = RKP_TEXT_CSV,
                    .quote = style->quote,
                    .delim = style->delim,
                    .cr = style->crlf,
                    .n_nulls = 1,
                    .nulls = empty };
    back = batch_of(pool, &t2, again_pos, rows, cols);
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t c = 0; c < cols; c++)
            require(rkp_str_eq(value_at(mem, b, c, r), value_at(mem, back, c, r)));
    rkp_batch_put(b);
    rkp_batch_put(back);
    rkp_batch_put(mem);
    require(rkp_pool_live(pool) == 0);
    rkp_pool_free(pool);
    free(rows_pos);
    free(again_sep);
    free(again_pos);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct csv_dialect dialects[] = { { ',', '"' }, { ';', '\'' }, { '\t', 0 }, { ',', 0 } };
    static const rkp_csv_style styles[] = {
        { ',', '"', false, false }, { '\t', '"', true, false }, { ';', '"', false, true }, { '\'', '"', false, false }
    };
    struct csv_dialect d;
    char *base;
    uint32_t *pos, n_pos, cols = 1;
    size_t n;
    if (size < 3 || size > 1 << 16)
        return 0;
    d = dialects[data[0] & 3];
    n = size - 2;
    base = malloc(n + 1); // ends where the text ends: a load beyond is seen
    pos = malloc((n + 2) * sizeof *pos);
    require(base && pos);
    base[0] = 0;
    memcpy(base + 1, data + 2, n);
    n_pos = separators(&d, base, (uint32_t)n + 1, pos);
    check_kernels(&d, base, n, pos, n_pos);
    check_head(&d, base + 1, n, n * data[1] / 256, data[0] >> 2 & 1, data[0] >> 3 & 1);
    while (cols < n_pos && base[pos[cols]] != '\n')
        cols++;
    if (cols < n_pos && cols < 256)
        check_values(&d, base, pos, n_pos, cols, &styles[data[0] >> 4 & 3]);
    free(base);
    free(pos);
    return 0;
}
