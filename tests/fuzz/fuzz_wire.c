// Records of any bytes: what is refused is refused with a reason, and what is not is a batch in which everything can be
// looked at, and which comes back the same when it is put and got again.
#include "data/csv_print.h"
#include "data/wire.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

// All values of a column as one number; errors count as well.
static uint64_t sum_of(rkp_batch *mem, const rkp_batch *b, uint32_t c, uint64_t sum)
{
    rkp_type t = b->schema->f[c].type;
    rkp_errs errs = { 0 };
    rkp_col x;

    require(rkp_col_flat(mem, b, c, NULL, b->rows, &x, &errs) == RKP_OK);
    for (uint32_t i = 0; i < b->rows; i++) {
        size_t width = rkp_kind_width(t.kind) * (t.len ? t.len : 1);
        rkp_str s = { (const char *)x.values + i * width, width };
        uint8_t bit;

        if (rkp_col_is_null(&x, i)) {
            sum = sum * 31 + 7;
            continue;
        }
        if (rkp_kind_is_view(t.kind)) {
            s = rkp_view_str(&x, i);
        } else if (t.kind == RKP_BOOL) {
            bit = rkp_bit(x.values, i);
            s = (rkp_str){ (const char *)&bit, 1 };
        }
        for (size_t k = 0; k < s.n; k++)
            sum = sum * 31 + (unsigned char)s.p[k];
    }
    for (uint32_t i = 0; i < errs.n; i++)
        sum = sum * 31 + errs.v[i].row * 7 + errs.v[i].code;
    rkp_errs_fini(&errs);
    return sum;
}

static uint64_t sum(rkp_pool *pool, const rkp_batch *b)
{
    static const rkp_csv_style style = { ',', '"', false, false };
    rkp_batch *mem = rkp_batch_new(pool, NULL, 0, 0);
    uint64_t sum = b->rows;
    rkp_errs errs = { 0 };
    bool flat = true;
    rkp_str text, name;

    require(mem != NULL);
    for (uint32_t c = 0; c < b->n_cols; c++) {
        sum = sum_of(mem, b, c, sum);
        flat &= !b->schema->f[c].type.len;
    }
    if (b->n_cols && flat)
        require(rki_csv_rows(RKI_CSV_BEST, mem, b, NULL, b->n_cols, &style, &text, &errs) == RKP_OK);
    for (uint32_t i = 0; i < b->rows && i < 1000; i++)
        sum = sum * 31 + rkp_batch_line(b, i, &name) + rkp_batch_topic(b, i).n;
    rkp_errs_fini(&errs);
    rkp_batch_put(mem);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rkp_pool *pool = rkp_pool_new(64 << 20);
    rkp_batch *b = NULL, *again = NULL;
    const char *why = NULL;
    rkp_status st;
    rki_buf o;

    require(pool != NULL);
    st = rki_wire_get(pool, NULL, data, size, &b, &why);
    require(st == RKP_OK ? b && !why : st == RKP_INVALID && !b && why);
    if (b && b->rows <= 10000) {
        rki_buf_init(&o);
        require(rki_wire_put(b, &o) == RKP_OK);
        require(rki_wire_get(pool, b->schema, o.p, o.n, &again, NULL) == RKP_OK);
        require(sum(pool, b) == sum(pool, again));
        rkp_batch_put(again);
        rki_buf_fini(&o);
    }
    rkp_batch_put(b);
    require(rkp_pool_live(pool) == 0);
    rkp_pool_free(pool);
    return 0;
}
