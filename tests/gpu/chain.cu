// A chain as the engine generates them, written by hand: a filter on a, then a map to c and d; a multiple of 11 is an error.
#include <rkpipe/device/loop.h>

#include "chain.h"

RKD_FN uint32_t row_0(int64_t a, double b, int64_t *c, double *d)
{
    if (a % 11 == 0)
        return RKD_ROW(RKD_PUNTED, 0);
    if ((a & 3) == 0)
        return RKD_ROW(RKD_REFUSED, 1);
    *c = a * 2 + 1;
    *d = b * 0.5 - 1.0;
    return RKD_ROW(RKD_KEPT, 2);
}

RKD_FN void chain_0(rkd_block *b, const chain_in *in, chain_out *out, uint32_t rows, uint64_t pos)
{
    rkd_at at = { 0, 0, 0 };
    rkd_begin(b, CHAIN_STAGES);
    for (uint32_t first = 0; first < rows; first += blockDim.x) {
        uint32_t row = first + threadIdx.x, what = RKD_ROW(RKD_NONE, 0);
        int64_t c = 0;
        double d = 0;
        if (row < rows)
            what = row_0(in->a[row], in->b[row], &c, &d);
        rkd_rank(b, &at, what, CHAIN_STAGES);
        if ((what & 0xff) == RKD_KEPT) {
            out->kept[at.rank] = row;
            out->c[at.rank] = c;
            out->d[at.rank] = d;
        } else if ((what & 0xff) == RKD_PUNTED) {
            out->punted[at.rank] = row;
        }
    }
    rkd_answer(b, &at, &out->head, CHAIN_STAGES, pos);
}

RKD_FN void rkd_frame(uint32_t chain, rkd_block *b, const rkd_in *in, rkd_out *out, uint32_t rows, uint64_t pos)
{
    switch (chain) {
    default:
        chain_0(b, (const chain_in *)in, (chain_out *)out, rows, pos);
    }
}

RKD_ENTRY void rkd_main(const rkd_actor *actors)
{
    RKD_SHARED(rkd_block, b);
    rkd_loop(actors, &b);
}
