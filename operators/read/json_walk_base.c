// The scanner for any machine: SSE2 where the compiler has it, else plain C.
#include "json_scan_impl.h"

enum { STEP = 16 };

struct masks {
    uint64_t quote, back, open, close, ctrl, newline;
};

static inline uint64_t prefix_xor(uint64_t m)
{
    for (unsigned i = 1; i < 64; i *= 2)
        m ^= m << i;
    return m;
}

#if defined(__SSE2__)
#include <emmintrin.h>

static inline __m128i at(const char *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static inline __m128i eq(__m128i v, char c)
{
    return _mm_cmpeq_epi8(v, _mm_set1_epi8(c));
}

static inline __m128i upto(__m128i v, char c) // unsigned
{
    return _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(c)), v);
}

static inline uint64_t bits(__m128i v)
{
    return (uint32_t)_mm_movemask_epi8(v);
}

static inline uint64_t string_stops(const char *p, uint64_t *high)
{
    __m128i v = at(p);
    *high = bits(v);
    return bits(_mm_or_si128(_mm_or_si128(eq(v, '"'), eq(v, '\\')), upto(v, 0x1f)));
}

static inline uint64_t scalar_stops(const char *p)
{
    __m128i v = at(p);
    return bits(_mm_or_si128(_mm_or_si128(upto(v, 0x20), eq(v, ',')), eq(_mm_or_si128(v, _mm_set1_epi8(0x20)), '}')));
}

static inline struct masks block(const char *p)
{
    struct masks m = { 0 };
    for (unsigned i = 0; i < 64; i += 16) {
        __m128i v = at(p + i), low = _mm_or_si128(v, _mm_set1_epi8(0x20));
        m.quote |= bits(eq(v, '"')) << i;
        m.back |= bits(eq(v, '\\')) << i;
        m.open |= bits(eq(low, '{')) << i;
        m.close |= bits(eq(low, '}')) << i;
        m.ctrl |= bits(upto(v, 0x1f)) << i;
        m.newline |= bits(eq(v, '\n')) << i;
    }
    return m;
}

static inline uint64_t newlines(const char *p)
{
    return bits(eq(at(p), '\n')) | bits(eq(at(p + 16), '\n')) << 16 | bits(eq(at(p + 32), '\n')) << 32 |
           bits(eq(at(p + 48), '\n')) << 48;
}

static inline bool same(const char *p, const struct item *it)
{
    for (uint32_t i = 0; i < it->len; i += 16)
        if (~bits(_mm_cmpeq_epi8(at(p + i), at(it->lit + i))) & (it->mask >> i & 0xffff))
            return false;
    return true;
}

#else

static inline uint64_t string_stops(const char *p, uint64_t *high)
{
    uint64_t m = 0;
    *high = 0;
    for (unsigned i = 0; i < STEP; i++) {
        unsigned char c = (unsigned char)p[i];
        m |= (uint64_t)(c == '"' || c == '\\' || c < 0x20) << i;
        *high |= (uint64_t)(c >> 7) << i;
    }
    return m;
}

static inline uint64_t scalar_stops(const char *p)
{
    uint64_t m = 0;
    for (unsigned i = 0; i < STEP; i++) {
        unsigned char c = (unsigned char)p[i];
        m |= (uint64_t)(c <= 0x20 || c == ',' || c == ']' || c == '}') << i;
    }
    return m;
}

static inline struct masks block(const char *p)
{
    struct masks m = { 0 };
    for (unsigned i = 0; i < 64; i++) {
        unsigned char c = (unsigned char)p[i];
        uint64_t bit = UINT64_C(1) << i;
        m.quote |= c == '"' ? bit : 0;
        m.back |= c == '\\' ? bit : 0;
        m.open |= c == '{' || c == '[' ? bit : 0;
        m.close |= c == '}' || c == ']' ? bit : 0;
        m.ctrl |= c < 0x20 ? bit : 0;
        m.newline |= c == '\n' ? bit : 0;
    }
    return m;
}

static inline uint64_t newlines(const char *p)
{
    uint64_t m = 0;
    for (unsigned i = 0; i < 64; i++)
        m |= (uint64_t)(p[i] == '\n') << i;
    return m;
}

static inline bool same(const char *p, const struct item *it)
{
    return memcmp(p, it->lit, it->len) == 0;
}

#endif

#include "json_walk.h"

const jscan_kernels jscan_base = { "base", lines, validate, count_lines, find_lines };
