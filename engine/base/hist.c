// base/hist.c - reading histograms; adding to them is in the header.
#include "base/hist.h"

// The middle of the values that bucket i holds.
static double middle(uint32_t i)
{
    uint32_t shift = i < 2 * RKI_HIST_SUB ? 0 : i / RKI_HIST_SUB - 1;
    uint64_t first = (uint64_t)(i - shift * RKI_HIST_SUB) << shift, more = (1ull << shift) - 1;
    return (double)first + (double)more / 2;
}

void rki_hist_merge(rki_hist *to, const rki_hist *from)
{
    to->sum += __atomic_load_n(&from->sum, __ATOMIC_RELAXED);
    for (uint32_t i = 0; i < RKI_HIST_BUCKETS; i++)
        to->n[i] += __atomic_load_n(&from->n[i], __ATOMIC_RELAXED);
}

uint64_t rki_hist_count(const rki_hist *h)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < RKI_HIST_BUCKETS; i++)
        n += __atomic_load_n(&h->n[i], __ATOMIC_RELAXED);
    return n;
}

double rki_hist_quantile(const rki_hist *h, double q)
{
    uint64_t count = rki_hist_count(h), seen = 0, rank;
    double at = q * (double)count;
    if (!count)
        return 0;
    rank = at <= 1 ? 1 : at >= (double)count ? count : (uint64_t)at;
    rank += (double)rank < at && rank < count; // up
    for (uint32_t i = 0; i < RKI_HIST_BUCKETS; i++) {
        seen += __atomic_load_n(&h->n[i], __ATOMIC_RELAXED);
        if (seen >= rank)
            return middle(i);
    }
    return middle(RKI_HIST_BUCKETS - 1);
}

uint64_t rki_hist_up_to(const rki_hist *h, double most)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < RKI_HIST_BUCKETS && middle(i) <= most; i++)
        n += __atomic_load_n(&h->n[i], __ATOMIC_RELAXED);
    return n;
}
