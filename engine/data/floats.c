// floats.c - see floats.h.
//
// Four texts of up to eight characters are four words of a vector.  Each is shifted so that its last character is the
// highest byte; the byte of the point is taken out, the bytes below it move up; bytes become pairs, fours and eights of
// digits by multiplying with 10, 100 and 10,000 and adding neighbours.  The two exact numbers, digits and power of ten,
// are divided once, so the result is rounded as IEEE wants it.  What does not fit is read alone.
#include "data/floats.h"

#include "data/parse_sse.h"

static uint32_t one_by_one(const char *base, int64_t reach, const uint32_t *at, const uint32_t *size, uint32_t from,
                           uint32_t to_row, double *to, uint32_t *others, uint32_t n)
{
    for (uint32_t i = from; i < to_row; i++)
        if (size[i] - 1 >= RKI_PARSE_READS || at[i] > reach || !rki_short_f64(base + at[i], size[i], &to[i]))
            others[n++] = i;
    return n;
}

#ifdef RKI_SSE
#define RKI_AVX2 __attribute__((target("avx2")))

// The same with the shuffles of parse_sse.h.
RKI_AVX2 static uint32_t one_by_one_sse(const char *base, int64_t reach, const uint32_t *at, const uint32_t *size,
                                        uint32_t from, uint32_t to_row, double *to, uint32_t *others, uint32_t n)
{
    for (uint32_t i = from; i < to_row; i++)
        if (size[i] - 1 >= RKI_PARSE_READS || at[i] > reach || !rki_sse_f64(base + at[i], size[i], &to[i]))
            others[n++] = i;
    return n;
}

// By the bytes that are a point, one bit each: the power of ten.  Zero is for no point.
static const double tens_of[256] = { [0x00] = 1e0, [0x80] = 1e0, [0x40] = 1e1, [0x20] = 1e2, [0x10] = 1e3,
                                     [0x08] = 1e4, [0x04] = 1e5, [0x02] = 1e6, [0x01] = 1e7 };

// Texts of 9 to 16 characters among n: when there are more than a few, reading them alone would cost more than the
// fours save.
RKI_AVX2 static bool mostly_short(const uint32_t *size, uint32_t n)
{
    const __m256i nine = _mm256_set1_epi32(9), eight = _mm256_set1_epi32(8);
    __m256i count = _mm256_setzero_si256();
    uint32_t long_ = 0, i = 0, part[8];

    for (; i + 8 <= n; i += 8) {
        __m256i v = _mm256_sub_epi32(_mm256_loadu_si256((const __m256i *)(const void *)(size + i)), nine);

        count = _mm256_sub_epi32(count, _mm256_cmpeq_epi32(_mm256_min_epu32(v, eight), v));
    }
    _mm256_storeu_si256((__m256i *)(void *)part, count);
    for (uint32_t k = 0; k < 8; k++)
        long_ += part[k];
    for (; i < n; i++)
        long_ += size[i] - 9 < 9;
    return long_ * 16 <= n;
}

RKI_AVX2 static uint32_t by_fours(const char *base, int64_t reach, const uint32_t *at, const uint32_t *size,
                                  uint32_t rows, double *to, uint32_t *others)
{
    const __m256i zeros = _mm256_set1_epi8('0'), nine = _mm256_set1_epi8(9), point = _mm256_set1_epi8('.' ^ '0');
    const __m256i first = _mm256_set1_epi64x(0xff), eight = _mm256_set1_epi64x(8), sixty_four = _mm256_set1_epi64x(64);
    const __m256i tens = _mm256_set1_epi16(1 << 8 | 10), hundreds = _mm256_set1_epi32(1 << 16 | 100);
    const __m256i thousands = _mm256_set1_epi64x((int64_t)1 << 32 | 10000),
                  low = _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6);
    const __m256i minus = _mm256_set1_epi8('-'), sign = _mm256_set1_epi64x(INT64_MIN), none = _mm256_setzero_si256();
    uint32_t n = 0, i = 0;

    for (; i + 4 <= rows; i += 4) {
        __m128i sizes = _mm_loadu_si128((const __m128i *)(const void *)(size + i));
        __m256i x, neg, left, dot, t, below, good, v;
        uint32_t dots;
        __m256d value, by;

        if (at[i] > reach || at[i + 1] > reach || at[i + 2] > reach || at[i + 3] > reach) {
            n = one_by_one_sse(base, reach, at, size, i, i + 4, to, others, n);
            continue;
        }
        x = _mm256_setr_epi64x((int64_t)rki_load8(base + at[i]), (int64_t)rki_load8(base + at[i + 1]),
                               (int64_t)rki_load8(base + at[i + 2]), (int64_t)rki_load8(base + at[i + 3]));
        left = _mm256_cvtepu32_epi64(sizes);
        good = _mm256_cmpgt_epi64(_mm256_set1_epi64x(9), left);
        // without the minus
        neg = _mm256_and_si256(_mm256_cmpeq_epi8(x, minus), first);
        neg = _mm256_cmpeq_epi64(neg, first);
        x = _mm256_xor_si256(_mm256_srlv_epi64(x, _mm256_and_si256(neg, eight)), zeros);
        left = _mm256_add_epi64(left, neg);
        // a digit comes first
        good = _mm256_and_si256(good, _mm256_cmpgt_epi64(_mm256_set1_epi64x(10), _mm256_and_si256(x, first)));
        good = _mm256_and_si256(good, _mm256_cmpgt_epi64(left, none));
        x = _mm256_sllv_epi64(x, _mm256_sub_epi64(sixty_four, _mm256_slli_epi64(left, 3)));
        // the lowest point closes up; another one is no digit
        dot = _mm256_cmpeq_epi8(x, point);
        t = _mm256_and_si256(dot, _mm256_sub_epi64(none, dot));
        below = _mm256_sub_epi64(t, _mm256_set1_epi64x(1));
        v = _mm256_andnot_si256(_mm256_cmpeq_epi64(t, none), eight);
        dots = (uint32_t)_mm256_movemask_epi8(dot);
        x = _mm256_or_si256(
            _mm256_andnot_si256(_mm256_or_si256(below, _mm256_sub_epi64(_mm256_slli_epi64(t, 8), t)), x),
            _mm256_sllv_epi64(_mm256_and_si256(x, below), v));
        good = _mm256_and_si256(
            good, _mm256_cmpeq_epi64(_mm256_cmpeq_epi8(_mm256_max_epu8(x, nine), nine), _mm256_set1_epi64x(-1)));
        x = _mm256_madd_epi16(_mm256_maddubs_epi16(x, tens), hundreds);
        x = _mm256_madd_epi16(x, thousands);
        x = _mm256_add_epi64(x, _mm256_srli_epi64(x, 32));
        value = _mm256_cvtepi32_pd(_mm256_castsi256_si128(_mm256_permutevar8x32_epi32(x, low)));
        by = _mm256_setr_pd(tens_of[dots & 255], tens_of[dots >> 8 & 255], tens_of[dots >> 16 & 255],
                            tens_of[dots >> 24]);
        value = _mm256_div_pd(value, by);
        value = _mm256_or_pd(value, _mm256_castsi256_pd(_mm256_and_si256(neg, sign)));
        _mm256_storeu_pd(to + i, value);
        if (__builtin_expect(_mm256_movemask_pd(_mm256_castsi256_pd(good)) != 15, 0)) {
            unsigned is = (unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(good));

            for (uint32_t k = 0; k < 4; k++)
                if (!(is >> k & 1))
                    n = one_by_one_sse(base, reach, at, size, i + k, i + k + 1, to, others, n);
        }
    }
    return one_by_one(base, reach, at, size, i, rows, to, others, n);
}
#endif

uint32_t rki_short_floats(const char *base, int64_t reach, const uint32_t *at, const uint32_t *size, uint32_t n,
                          double *to, uint32_t *others)
{
#ifdef RKI_SSE
    if (__builtin_cpu_supports("avx2"))
        return mostly_short(size, n) ? by_fours(base, reach, at, size, n, to, others)
                                     : one_by_one_sse(base, reach, at, size, 0, n, to, others, 0);
#endif
    return one_by_one(base, reach, at, size, 0, n, to, others, 0);
}
