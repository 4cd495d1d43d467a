// The scanner for AVX-512 (F, BW, VL) with carry-less multiplication: 64 bytes a comparison.
#if defined(__x86_64__)
#include "json_scan_impl.h"

#include <immintrin.h>

enum { STEP = 64 };

struct masks {
    uint64_t quote, back, open, close, ctrl, newline;
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

#include "json_walk.h"

const jscan_kernels jscan_avx512 = { "avx512", lines, validate, count_lines, find_lines };
#else
typedef int nothing_here;
#endif
