// crc32c.c - the instruction where there is one, else eight bytes at a time by eight tables.
//
// The instruction takes three cycles and a new one may begin in each, so three thirds of a block are summed side by side.  What
// stands before n zeros is worth itself times x^8n: a carry-less product with x^(8n-33), which the instruction reduces (and times x^33).
//
// A CRC is linear: the entry of a byte is the sum (xor) of the entries of its bits.  So a table is eight numbers, and
// the compiler writes the other 248.
#include "base/crc32c.h"

#define E(i, a, b, c, d, e, f, g, h)                                                                                   \
    (((i)&1 ? (a) : 0u) ^ ((i)&2 ? (b) : 0u) ^ ((i)&4 ? (c) : 0u) ^ ((i)&8 ? (d) : 0u) ^ ((i)&16 ? (e) : 0u) ^         \
     ((i)&32 ? (f) : 0u) ^ ((i)&64 ? (g) : 0u) ^ ((i)&128 ? (h) : 0u))
#define R4(i, ...)  E(i, __VA_ARGS__), E((i) + 1, __VA_ARGS__), E((i) + 2, __VA_ARGS__), E((i) + 3, __VA_ARGS__)
#define R16(i, ...) R4(i, __VA_ARGS__), R4((i) + 4, __VA_ARGS__), R4((i) + 8, __VA_ARGS__), R4((i) + 12, __VA_ARGS__)
#define R64(i, ...)                                                                                                    \
    R16(i, __VA_ARGS__), R16((i) + 16, __VA_ARGS__), R16((i) + 32, __VA_ARGS__), R16((i) + 48, __VA_ARGS__)
#define R256(...)                                                                                                      \
    {                                                                                                                  \
        R64(0, __VA_ARGS__), R64(64, __VA_ARGS__), R64(128, __VA_ARGS__), R64(192, __VA_ARGS__)                        \
    }

// Row k: the entries of a byte that k more bytes follow.
static const uint32_t table[8][256] = {
    R256(0xf26b8303, 0xe13b70f7, 0xc79a971f, 0x8ad958cf, 0x105ec76f, 0x20bd8ede, 0x417b1dbc, 0x82f63b78),
    R256(0x13a29877, 0x274530ee, 0x4e8a61dc, 0x9d14c3b8, 0x3fc5f181, 0x7f8be302, 0xff17c604, 0xfbc3faf9),
    R256(0xa541927e, 0x4f6f520d, 0x9edea41a, 0x38513ec5, 0x70a27d8a, 0xe144fb14, 0xc76580d9, 0x8b277743),
    R256(0xdd45aab8, 0xbf672381, 0x7b2231f3, 0xf64463e6, 0xe964b13d, 0xd725148b, 0xaba65fe7, 0x52a0c93f),
    R256(0x38116fac, 0x7022df58, 0xe045beb0, 0xc5670b91, 0x8f2261d3, 0x1ba8b557, 0x37516aae, 0x6ea2d55c),
    R256(0xef306b19, 0xdb8ca0c3, 0xb2f53777, 0x6006181f, 0xc00c303e, 0x85f4168d, 0x0e045beb, 0x1c08b7d6),
    R256(0x68032cc8, 0xd0065990, 0xa5e0c5d1, 0x4e2dfd53, 0x9c5bfaa6, 0x3d5b83bd, 0x7ab7077a, 0xf56e0ef4),
    R256(0x493c7d27, 0x9278fa4e, 0x211d826d, 0x423b04da, 0x847609b4, 0x0d006599, 0x1a00cb32, 0x34019664),
};

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first byte is the lowest");

uint32_t rki_crc32c_table(uint32_t crc, const void *p, size_t n)
{
    const unsigned char *at = p;

    crc = ~crc;
    for (; n >= 8; n -= 8, at += 8) {
        uint64_t v;

        memcpy(&v, at, 8);
        v ^= crc;
        crc = 0;
        for (unsigned k = 0; k < 8; k++, v >>= 8)
            crc ^= table[7 - k][v & 0xff];
    }
    for (; n; n--, at++)
        crc = table[0][(crc ^ *at) & 0xff] ^ crc >> 8;
    return ~crc;
}

#if defined(__x86_64__)
#include <immintrin.h>

enum { THIRD = 128 };

#define BEFORE_ONE 0x0d3b6092 // x^(8 * 128 - 33), the highest power in the lowest bit
#define BEFORE_TWO 0xb9e02b86 // x^(8 * 256 - 33)

__attribute__((target("sse4.2,pclmul"))) static uint64_t times(uint64_t c, int by)
{
    return (uint64_t)_mm_cvtsi128_si64(
        _mm_clmulepi64_si128(_mm_cvtsi64_si128((int64_t)c), _mm_cvtsi64_si128((int64_t)(uint32_t)by), 0));
}

// Of all whole blocks; *p and *n are what is left.
__attribute__((target("sse4.2,pclmul"))) static uint64_t crc_blocks(uint64_t c, const unsigned char **p, size_t *n)
{
    const unsigned char *at = *p;

    for (; *n >= 3 * THIRD; *n -= 3 * THIRD, at += 3 * THIRD) {
        uint64_t c2 = 0, c3 = 0;

        for (size_t i = 0; i < THIRD; i += 8) {
            uint64_t v[3];

            memcpy(&v[0], at + i, 8);
            memcpy(&v[1], at + i + THIRD, 8);
            memcpy(&v[2], at + i + 2 * (size_t)THIRD, 8);
            c = _mm_crc32_u64(c, v[0]);
            c2 = _mm_crc32_u64(c2, v[1]);
            c3 = _mm_crc32_u64(c3, v[2]);
        }
        c = c3 ^ _mm_crc32_u64(0, times(c, (int)BEFORE_TWO) ^ times(c2, BEFORE_ONE));
    }
    *p = at;
    return c;
}

__attribute__((target("sse4.2"))) static uint32_t crc_sse(uint32_t crc, const void *p, size_t n)
{
    const unsigned char *at = p;
    uint64_t c = ~crc;

    if (n >= 3 * THIRD && __builtin_cpu_supports("pclmul"))
        c = crc_blocks(c, &at, &n);
    for (; n >= 8; n -= 8, at += 8) {
        uint64_t v;

        memcpy(&v, at, 8);
        c = _mm_crc32_u64(c, v);
    }
    crc = (uint32_t)c;
    for (; n; n--, at++)
        crc = _mm_crc32_u8(crc, *at);
    return ~crc;
}

uint32_t rki_crc32c(uint32_t crc, const void *p, size_t n)
{
    return __builtin_cpu_supports("sse4.2") ? crc_sse(crc, p, n) : rki_crc32c_table(crc, p, n);
}
#else
uint32_t rki_crc32c(uint32_t crc, const void *p, size_t n)
{
    return rki_crc32c_table(crc, p, n);
}
#endif
