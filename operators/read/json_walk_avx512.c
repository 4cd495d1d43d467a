// The scanner for AVX-512 (F, BW, VL, VBMI2) with carry-less multiplication: 64 bytes a comparison, and the quick walker.
#if defined(__x86_64__)
#include "json_scan_impl.h"

#include <immintrin.h>

enum { STEP = 64 };

struct masks {
    uint64_t quote, back, open, close, ctrl, newline, high;
};

static inline __m512i at(const char *p)
{
    return _mm512_loadu_si512((const void *)p);
}

static inline uint64_t string_stops(const char *p, uint64_t *high)
{
    __m512i v = at(p);
    *high = _cvtmask64_u64(_mm512_movepi8_mask(v));
    return _cvtmask64_u64(_kor_mask64(_kor_mask64(_mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('"')),
                                                  _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('\\'))),
                                      _mm512_cmplt_epu8_mask(v, _mm512_set1_epi8(0x20))));
}

static inline uint64_t scalar_stops(const char *p)
{
    __m512i v = at(p);
    return _cvtmask64_u64(
        _kor_mask64(_kor_mask64(_mm512_cmple_epu8_mask(v, _mm512_set1_epi8(0x20)),
                                _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8(','))),
                    _mm512_cmpeq_epi8_mask(_mm512_or_si512(v, _mm512_set1_epi8(0x20)), _mm512_set1_epi8('}'))));
}

static inline struct masks block(const char *p)
{
    __m512i v = at(p), low = _mm512_or_si512(v, _mm512_set1_epi8(0x20));
    return (struct masks){
        .quote = _cvtmask64_u64(_mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('"'))),
        .back = _cvtmask64_u64(_mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('\\'))),
        .open = _cvtmask64_u64(_mm512_cmpeq_epi8_mask(low, _mm512_set1_epi8('{'))),
        .close = _cvtmask64_u64(_mm512_cmpeq_epi8_mask(low, _mm512_set1_epi8('}'))),
        .ctrl = _cvtmask64_u64(_mm512_cmplt_epu8_mask(v, _mm512_set1_epi8(0x20))),
        .newline = _cvtmask64_u64(_mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('\n'))),
        .high = _cvtmask64_u64(_mm512_movepi8_mask(v)),
    };
}

static inline uint64_t newlines(const char *p)
{
    return _cvtmask64_u64(_mm512_cmpeq_epi8_mask(at(p), _mm512_set1_epi8('\n')));
}

static inline uint64_t prefix_xor(uint64_t m)
{
    return (uint64_t)_mm_cvtsi128_si64(
        _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)m), _mm_set1_epi8((char)0xff), 0));
}

static inline bool same(const char *p, const struct item *it)
{
    return _mm512_mask_cmpneq_epi8_mask(_cvtu64_mask64(it->mask), at(p), _mm512_load_si512((const void *)it->lit)) == 0;
}

// The places of set bits, counted from `from`, to to[0..]; 64 places may be written.  Returns how many count.
static inline unsigned put_bits(uint32_t *to, uint64_t m, uint32_t from)
{
    static const uint8_t iota[64] = { 0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                      16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
                                      32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47,
                                      48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63 };
    const __m512i add = _mm512_set1_epi32((int)from);
    unsigned n = (unsigned)__builtin_popcountll(m);
    __m512i at8 = _mm512_maskz_compress_epi8(_cvtu64_mask64(m), _mm512_loadu_si512((const void *)iota));
    _mm512_storeu_si512((void *)to, _mm512_add_epi32(add, _mm512_cvtepu8_epi32(_mm512_castsi512_si128(at8))));
    if (n > 16) {
        _mm512_storeu_si512((void *)(to + 16),
                            _mm512_add_epi32(add, _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(at8, 1))));
        if (n > 32) {
            _mm512_storeu_si512((void *)(to + 32),
                                _mm512_add_epi32(add, _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(at8, 2))));
            _mm512_storeu_si512((void *)(to + 48),
                                _mm512_add_epi32(add, _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(at8, 3))));
        }
    }
    return n;
}

#include "json_quick.h"

const jscan_kernels jscan_avx512 = { "avx512", quick, validate, count_lines, find_lines };
#else
typedef int nothing_here;
#endif
