// The scanner for AVX2 with BMI2 and carry-less multiplication: 32 bytes a comparison.
#if defined(__x86_64__)
#include "json_scan_impl.h"

#include <immintrin.h>

enum { STEP = 32 };

struct masks {
    uint64_t quote, back, open, close, ctrl, newline;
};

static inline __m256i at(const char *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

static inline __m256i eq(__m256i v, char c)
{
    return _mm256_cmpeq_epi8(v, _mm256_set1_epi8(c));
}

static inline __m256i upto(__m256i v, char c) // unsigned
{
    return _mm256_cmpeq_epi8(_mm256_min_epu8(v, _mm256_set1_epi8(c)), v);
}

static inline uint64_t bits(__m256i v)
{
    return (uint32_t)_mm256_movemask_epi8(v);
}

static inline uint64_t string_stops(const char *p, uint64_t *high)
{
    __m256i v = at(p);
    *high = bits(v);
    return bits(_mm256_or_si256(_mm256_or_si256(eq(v, '"'), eq(v, '\\')), upto(v, 0x1f)));
}

static inline uint64_t scalar_stops(const char *p)
{
    __m256i v = at(p);
    return bits(_mm256_or_si256(_mm256_or_si256(upto(v, 0x20), eq(v, ',')),
                                eq(_mm256_or_si256(v, _mm256_set1_epi8(0x20)), '}')));
}

static inline struct masks block(const char *p)
{
    __m256i a = at(p), b = at(p + 32), blank = _mm256_set1_epi8(0x20);
    __m256i la = _mm256_or_si256(a, blank), lb = _mm256_or_si256(b, blank);
    return (struct masks){
        .quote = bits(eq(a, '"')) | bits(eq(b, '"')) << 32,
        .back = bits(eq(a, '\\')) | bits(eq(b, '\\')) << 32,
        .open = bits(eq(la, '{')) | bits(eq(lb, '{')) << 32,
        .close = bits(eq(la, '}')) | bits(eq(lb, '}')) << 32,
        .ctrl = bits(upto(a, 0x1f)) | bits(upto(b, 0x1f)) << 32,
        .newline = bits(eq(a, '\n')) | bits(eq(b, '\n')) << 32,
    };
}

static inline uint64_t newlines(const char *p)
{
    return bits(eq(at(p), '\n')) | bits(eq(at(p + 32), '\n')) << 32;
}

static inline uint64_t prefix_xor(uint64_t m)
{
    return (uint64_t)_mm_cvtsi128_si64(
        _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)m), _mm_set1_epi8((char)0xff), 0));
}

static inline bool same(const char *p, const struct item *it)
{
    uint32_t lo = (uint32_t)it->mask, hi = (uint32_t)(it->mask >> 32);
    if (~(uint32_t)bits(_mm256_cmpeq_epi8(at(p), at(it->lit))) & lo)
        return false;
    return !hi || !(~(uint32_t)bits(_mm256_cmpeq_epi8(at(p + 32), at(it->lit + 32))) & hi);
}

#include "json_walk.h"

const jscan_kernels jscan_avx2 = { "avx2", lines, validate, count_lines, find_lines };
#else
typedef int nothing_here;
#endif
