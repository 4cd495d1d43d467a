// data/parse_sse.h - parse.h's short numbers with SSE4.1: 1 to 16 characters without a branch on how many.
//
//   Owns     nothing
//   Threads  any
//   Fails    as parse.h
//   Limits   as parse.h; functions need target("sse4.1"), see RKI_SSE and rki_sse
//   Cost     1 to 2 ns
//
// One shuffle puts the last character into the highest byte and zeros below the first; for a point, a second one moves
// what is below it up by one.  Three multiplications then join 2, 4 and 8 digits.
#ifndef RKI_PARSE_SSE_H
#define RKI_PARSE_SSE_H

#include "data/parse.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define RKI_SSE __attribute__((target("sse4.1")))

static inline bool rki_sse(void)
{
    return __builtin_cpu_supports("sse4.1");
}

#define RKI_SSE_ALWAYS static inline __attribute__((always_inline, target("sse4.1")))

// Loading 16 bytes at rki_align + n gives the shuffle that aligns n characters to the right.
static const int8_t rki_align[32] = { -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
                                      0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15 };

// Row d closes the gap at byte d; row 16 is for no gap.
static const int8_t rki_gap[17][16] = {
    { -1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 },
    { -1, 0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 },
    { -1, 0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 },
    { -1, 0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 },
    { -1, 0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 },
    { -1, 0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 },
    { -1, 0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15 },
    { -1, 0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15 },
    { -1, 0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15 },
    { -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15 },
    { -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15 },
    { -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14, 15 },
    { -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15 },
    { -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15 },
    { -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15 },
    { -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14 },
    { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 },
};

RKI_SSE_ALWAYS __m128i rki_sse_load(const char *p, uint32_t n) // n <= 16
{
    __m128i x = _mm_sub_epi8(_mm_loadu_si128((const __m128i *)(const void *)p), _mm_set1_epi8('0'));

    return _mm_shuffle_epi8(x, _mm_loadu_si128((const __m128i *)(const void *)(rki_align + n)));
}

// 16 bytes that must be 0 .. 9 as the number they spell.
RKI_SSE_ALWAYS bool rki_sse_join(__m128i x, uint64_t *v)
{
    __m128i nine = _mm_set1_epi8(9), pairs, fours, eights;
    bool good = _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_max_epu8(x, nine), nine)) == 0xffff;
    uint64_t w;

    pairs = _mm_maddubs_epi16(x, _mm_set1_epi16(10 | 1 << 8));
    fours = _mm_madd_epi16(pairs, _mm_set1_epi32(100 | 1 << 16));
    eights = _mm_madd_epi16(_mm_packus_epi32(fours, fours), _mm_set1_epi32(10000 | 1 << 16));
    w = (uint64_t)_mm_cvtsi128_si64(eights);
    *v = (w & UINT32_MAX) * 100000000 + (w >> 32);
    return good;
}

RKI_SSE_ALWAYS bool rki_sse_i64(const char *p, uint32_t n, int64_t *out)
{
    uint32_t neg = rki_minus(p);
    uint64_t v;

    p += neg;
    n -= neg;
    if (n - 1 >= 16 || !rki_sse_join(rki_sse_load(p, n), &v))
        return false;
    *out = (int64_t)((v ^ (0 - (uint64_t)neg)) + neg);
    return true;
}

RKI_SSE_ALWAYS bool rki_sse_f64(const char *p, uint32_t n, double *out)
{
    // By the byte that the point is in; 16 is for none.
    static const double tens[] = { 1e15, 1e14, 1e13, 1e12, 1e11, 1e10, 1e9, 1e8, 1e7,
                                   1e6,  1e5,  1e4,  1e3,  1e2,  1e1,  1e0, 1 };
    uint32_t neg = rki_minus(p), at;
    uint64_t v, bits;
    __m128i x;
    double d;

    p += neg;
    n -= neg;
    if (n - 1 >= 16)
        return false;
    x = rki_sse_load(p, n);
    at = (uint32_t)__builtin_ctz((unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(x, _mm_set1_epi8('.' - '0'))) | 1u << 16);
    x = _mm_shuffle_epi8(x, _mm_loadu_si128((const __m128i *)(const void *)rki_gap[at]));
    // A point alone is no number; 2^53 is as far as every integer is a double.
    if (!rki_sse_join(x, &v) || n + at == 16 || v > (uint64_t)1 << 53)
        return false;
    d = (double)(int64_t)v / tens[at]; // both exact, so it is rounded once
    memcpy(&bits, &d, sizeof bits);
    bits |= (uint64_t)neg << 63;
    memcpy(out, &bits, sizeof bits);
    return true;
}

#endif
#endif
