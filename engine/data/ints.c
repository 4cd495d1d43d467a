// ints.c - see ints.h.
//
// A text of up to 16 characters is half of a vector, shifted so that its last character is the highest byte, as in
// parse_sse.h; two vectors are four texts.  Bytes become pairs, fours and eights of digits by multiplying with 10, 100
// and 10,000 and adding neighbours; the two eights of a text are one more multiplication.  A minus counts as a zero in
// front, and turns the number around in the end.  What does not fit is read alone.
#include "data/ints.h"

#include "data/parse_sse.h"

static uint32_t one_by_one(const char *base, int64_t reach, const uint32_t *at, const uint32_t *size, uint32_t from,
                           uint32_t to_row, int64_t *to, uint32_t *others, uint32_t n)
{
    for (uint32_t i = from; i < to_row; i++)
        if (size[i] - 1 >= RKI_PARSE_READS || at[i] > reach || !rki_short_i64(base + at[i], size[i], &to[i]))
            others[n++] = i;
    return n;
}

#ifdef RKI_SSE
#define RKI_AVX2 __attribute__((target("avx2")))

// The same with the shuffle of parse_sse.h.
RKI_AVX2 static uint32_t one_by_one_sse(const char *base, int64_t reach, const uint32_t *at, const uint32_t *size,
                                        uint32_t from, uint32_t to_row, int64_t *to, uint32_t *others, uint32_t n)
{
    for (uint32_t i = from; i < to_row; i++)
        if (size[i] - 1 >= RKI_PARSE_READS || at[i] > reach || !rki_sse_i64(base + at[i], size[i], &to[i]))
            others[n++] = i;
    return n;
}

RKI_AVX2 static inline __m256i two(const void *low, const void *high)
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(low)), _mm_loadu_si128(high), 1);
}

RKI_AVX2 static uint32_t by_fours(const char *base, int64_t reach, const uint32_t *at, const uint32_t *size,
                                  uint32_t rows, int64_t *to, uint32_t *others)
{
    const __m256i zeros = _mm256_set1_epi8('0'), nine = _mm256_set1_epi8(9), minus = _mm256_set1_epi8('-');
    const __m256i first = _mm256_setr_epi64x(0xff, 0, 0xff, 0), one = _mm256_set1_epi64x(1);
    const __m256i tens = _mm256_set1_epi16(1 << 8 | 10), hundreds = _mm256_set1_epi32(1 << 16 | 100);
    const __m256i thousands = _mm256_set1_epi32(1 << 16 | 10000), eights = _mm256_set1_epi64x(100000000);
    const __m128i fifteen = _mm_set1_epi32(15);
    const __m128i far = _mm_set1_epi32((int)(reach < 0 ? 0 : reach > UINT32_MAX ? UINT32_MAX : (uint32_t)reach));
    uint32_t n = 0, i = 0;

    if (reach < 0)
        return one_by_one(base, reach, at, size, 0, rows, to, others, 0);
    for (; i + 4 <= rows; i += 4) {
        __m128i places = _mm_loadu_si128((const __m128i *)(const void *)(at + i));
        __m128i sizes = _mm_loadu_si128((const __m128i *)(const void *)(size + i));
        __m128i less = _mm_sub_epi32(sizes, _mm_set1_epi32(1));
        __m128i fit = _mm_and_si128(_mm_cmpeq_epi32(_mm_min_epu32(places, far), places),
                                    _mm_cmpeq_epi32(_mm_min_epu32(less, fifteen), less));
        __m256i x, y, neg_x, neg_y, good, sign, v;
        unsigned bad;

        if (RKP_UNLIKELY(_mm_movemask_epi8(fit) != 0xffff)) {
            n = one_by_one_sse(base, reach, at, size, i, i + 4, to, others, n);
            continue;
        }
        x = two(base + at[i], base + at[i + 1]);
        y = two(base + at[i + 2], base + at[i + 3]);
        neg_x = _mm256_and_si256(_mm256_cmpeq_epi8(x, minus), first);
        neg_y = _mm256_and_si256(_mm256_cmpeq_epi8(y, minus), first);
        x = _mm256_andnot_si256(neg_x, _mm256_xor_si256(x, zeros));
        y = _mm256_andnot_si256(neg_y, _mm256_xor_si256(y, zeros));
        x = _mm256_shuffle_epi8(x, two(rki_align + size[i], rki_align + size[i + 1]));
        y = _mm256_shuffle_epi8(y, two(rki_align + size[i + 2], rki_align + size[i + 3]));
        good = _mm256_cmpeq_epi8(_mm256_max_epu8(_mm256_max_epu8(x, y), nine), nine);
        x = _mm256_madd_epi16(_mm256_maddubs_epi16(x, tens), hundreds);
        y = _mm256_madd_epi16(_mm256_maddubs_epi16(y, tens), hundreds);
        // rows 0 and 2 in the low half, 1 and 3 in the high one
        v = _mm256_madd_epi16(_mm256_packus_epi32(x, y), thousands);
        v = _mm256_add_epi64(_mm256_mul_epu32(v, eights), _mm256_srli_epi64(v, 32));
        sign = _mm256_cmpgt_epi64(_mm256_unpacklo_epi64(neg_x, neg_y), _mm256_setzero_si256());
        v = _mm256_permute4x64_epi64(_mm256_sub_epi64(_mm256_xor_si256(v, sign), sign), _MM_SHUFFLE(3, 1, 2, 0));
        sign = _mm256_permute4x64_epi64(sign, _MM_SHUFFLE(3, 1, 2, 0));
        _mm256_storeu_si256((__m256i *)(void *)(to + i), v);
        bad = ~(unsigned)_mm256_movemask_epi8(good) | (unsigned)_mm256_movemask_epi8(_mm256_and_si256(
                                                          sign, _mm256_cmpeq_epi64(_mm256_cvtepu32_epi64(sizes), one)));
        if (RKP_UNLIKELY(bad))
            n = one_by_one_sse(base, reach, at, size, i, i + 4, to, others, n);
    }
    return one_by_one(base, reach, at, size, i, rows, to, others, n);
}
#endif

uint32_t rki_short_ints(const char *base, int64_t reach, const uint32_t *at, const uint32_t *size, uint32_t n,
                        int64_t *to, uint32_t *others)
{
#ifdef RKI_SSE
    if (__builtin_cpu_supports("avx2"))
        return by_fours(base, reach, at, size, n, to, others);
#endif
    return one_by_one(base, reach, at, size, 0, n, to, others, 0);
}
