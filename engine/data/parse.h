// data/parse.h - the short numbers of data files, inline; what is not short goes to rkpipe/num.h.
//
//   Owns     nothing
//   Threads  any
//   Fails    false: not decided here; ask rkp_parse_*
//   Limits   optional minus, then 1 to 16 digits (floats: with at most one point); reads 17 bytes whatever n is
//   Cost     2 to 4 ns
//
// A number of up to 8 characters is one word, up to 16 are two.  Shifting left puts the last character at the highest
// byte, where it weighs one, and zeros come in below: so the length needs no branch.  A point is a byte that the bytes
// below it (the digits before it) move up into.
#ifndef RKI_PARSE_H
#define RKI_PARSE_H

#include "base/num_pow5.h"

enum { RKI_PARSE_READS = 17 };

static inline bool rki_digits16(uint64_t a, uint64_t b)
{
    const uint64_t over = 0x7676767676767676ull;

    return ((a | (a + over) | b | (b + over)) & 0x8080808080808080ull) == 0;
}

// Is the first character a minus?  Without a comparison: compilers make one a byte register whose other bits are those
// of the number before, and then no two numbers are worked on at the same time (17 ns instead of 4).
static inline uint32_t rki_minus(const char *p)
{
    return (((unsigned char)*p ^ (uint32_t)'-') - 1) >> 31;
}

// 1 to 16 digits.
static inline bool rki_short_digits(const char *p, uint32_t n, uint64_t *out)
{
    uint64_t a, b;

    if (RKP_LIKELY(n - 1 < 8)) {
        a = (rki_load8(p) ^ RKI_ZEROS8) << (64 - 8 * n);
        *out = rki_join8(a);
        return rki_digits8(a);
    }
    if (n - 9 >= 8)
        return false;
    a = (rki_load8(p) ^ RKI_ZEROS8) << (64 - 8 * (n - 8));
    b = rki_load8(p + n - 8) ^ RKI_ZEROS8;
    *out = rki_join8(a) * (uint64_t)100000000 + rki_join8(b);
    return rki_digits16(a, b);
}

static inline bool rki_short_i64(const char *p, uint32_t n, int64_t *out)
{
    uint32_t neg = rki_minus(p);
    uint64_t v;

    if (!rki_short_digits(p + neg, n - neg, &v))
        return false;
    *out = (int64_t)((v ^ (0 - (uint64_t)neg)) + neg);
    return true;
}

// The point of a word of right-aligned bytes ^ '0': its top bit, or 0.
static inline uint64_t rki_point(uint64_t x)
{
    uint64_t y = x ^ 0x1e1e1e1e1e1e1e1eull; // '.' ^ '0'
    uint64_t t = (y - 0x0101010101010101ull) & ~y & 0x8080808080808080ull;

    return t & (0 - t); // the lowest bit is exact
}

// Takes the byte of the point out of x: the bytes below move up by one, `in` comes in at the bottom.
static inline uint64_t rki_close(uint64_t x, uint64_t point, uint64_t in)
{
    uint64_t below = (point >> 7) - 1;

    return ((x & ~below) ^ (point >> 7) * 0x1e) | (x & below) << 8 | in;
}

// Digits and at most one point, one to eight of them, as a number over ten to *frac.
static inline bool rki_decimal8(const char *p, uint32_t n, uint32_t *v, uint32_t *frac)
{
    uint64_t x = (rki_load8(p) ^ RKI_ZEROS8) << (64 - 8 * n), t = rki_point(x);

    *frac = 0;
    if (t) { // mostly all values of a column have one or none has
        *frac = (uint32_t)__builtin_clzll(t) >> 3;
        x = rki_close(x, t, 0);
    }
    *v = rki_join8(x);
    return rki_digits8(x);
}

// 9 to 16 of them.
static inline bool rki_decimal16(const char *p, uint32_t n, uint64_t *v, uint32_t *frac)
{
    uint64_t a = (rki_load8(p) ^ RKI_ZEROS8) << (128 - 8 * n), b = rki_load8(p + n - 8) ^ RKI_ZEROS8, t;

    if (RKP_LIKELY((t = rki_point(b)))) {
        b = rki_close(b, t, a >> 56);
        a <<= 8;
        *frac = (uint32_t)__builtin_clzll(t) >> 3;
    } else if ((t = rki_point(a))) {
        a = rki_close(a, t, 0);
        *frac = ((uint32_t)__builtin_clzll(t) >> 3) + 8;
    } else {
        *frac = 0;
    }
    *v = rki_join8(a) * (uint64_t)100000000 + rki_join8(b);
    return rki_digits16(a, b);
}

static inline bool rki_short_f64(const char *p, uint32_t n, double *out)
{
    static const double tens[] = {
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15
    };
    uint32_t neg = rki_minus(p), frac, w;
    uint64_t v, bits;
    double d; // of two exact numbers, so it is rounded once

    p += neg;
    n -= neg;
    if ((unsigned)(*p - '0') > 9)
        return false;
    if (RKP_LIKELY(n - 1 < 8)) {
        if (!rki_decimal8(p, n, &w, &frac))
            return false;
        d = (double)(int32_t)w / tens[frac];
    } else {
        if (n - 9 >= 8 || !rki_decimal16(p, n, &v, &frac) || v > (uint64_t)1 << 53)
            return false;
        d = (double)(int64_t)v / tens[frac];
    }
    memcpy(&bits, &d, sizeof bits);
    bits |= (uint64_t)neg << 63;
    memcpy(out, &bits, sizeof bits);
    return true;
}

static inline bool rki_short_f32(const char *p, uint32_t n, float *out)
{
    static const float tens[] = { 1e0f, 1e1f, 1e2f, 1e3f, 1e4f, 1e5f, 1e6f, 1e7f };
    uint32_t neg = rki_minus(p), frac, w;
    float f;

    p += neg;
    n -= neg;
    if ((unsigned)(*p - '0') > 9 || n - 1 >= 8 || !rki_decimal8(p, n, &w, &frac) || w > 1u << 24)
        return false;
    f = (float)(int32_t)w / tens[frac];
    *out = neg ? -f : f;
    return true;
}

#endif
