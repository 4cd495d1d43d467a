// num_print.c - numbers to text.
//
// Floats: the shortest decimal that reads back.  Integers below 2^53, and values of up to six decimals, are found by
// one multiplication and one check: at most 15 digits that read back to v are the only such decimal, and so the
// shortest. All others by Schubfach (Giulietti, "The Schubfach way to render doubles", 2020): in the interval of
// decimals that round to v, the multiples of a power of ten 10^k are so spaced that one or two of 10^(k+1), or else of
// 10^k, lie inside; three 64 x 128 bit products, rounded to odd, locate v and the ends of the interval among them
// exactly.
#include "base/num_pow5.h"

#include <math.h>
#include <rkpipe/num.h>

static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                            "25262728293031323334353637383940414243444546474849"
                            "50515253545556575859606162636465666768697071727374"
                            "75767778798081828384858687888990919293949596979899";

static const uint64_t ten_u64[] = { 1u,
                                    10u,
                                    100u,
                                    1000u,
                                    10000u,
                                    100000u,
                                    1000000u,
                                    10000000u,
                                    100000000u,
                                    1000000000u,
                                    10000000000u,
                                    100000000000u,
                                    1000000000000u,
                                    10000000000000u,
                                    100000000000000u,
                                    1000000000000000u,
                                    10000000000000000u,
                                    100000000000000000u,
                                    1000000000000000000u,
                                    10000000000000000000u };

// ---- integers

static inline unsigned digits_of(uint64_t v)
{
    unsigned n = (unsigned)(64 - __builtin_clzll(v | 1)) * 1233 >> 12; // log10(2), near enough below 2^64

    return n + (v >= ten_u64[n]) + (v == 0);
}

// Exactly n digits.
static inline void put_digits(char *to, uint64_t v, unsigned n)
{
    while (n >= 2) {
        n -= 2;
        memcpy(to + n, pairs + v % 100 * 2, 2);
        v /= 100;
    }
    if (n)
        to[0] = (char)('0' + v);
}

size_t rkp_print_u64(char *to, uint64_t v)
{
    unsigned n = digits_of(v);

    put_digits(to, v, n);
    return n;
}

size_t rkp_print_i64(char *to, int64_t v)
{
    if (v >= 0)
        return rkp_print_u64(to, (uint64_t)v);
    *to = '-';
    return 1 + rkp_print_u64(to + 1, 0 - (uint64_t)v);
}

// ---- layout

static size_t put(char *to, const char *text, size_t n)
{
    memcpy(to, text, n);
    return n;
}

// v * 10^exp with v > 0; trailing zeros of v are taken off here.
static size_t layout(char *to, uint64_t v, int exp)
{
    char *p = to;
    unsigned n;
    int point; // digits before the point

    while (v % 10000 == 0) {
        v /= 10000;
        exp += 4;
    }
    while (v % 10 == 0) {
        v /= 10;
        exp++;
    }
    n = digits_of(v);
    point = (int)n + exp;
    if (point > 16 || point < -4) {
        put_digits(p + 1, v, n);
        p[0] = p[1];
        if (n > 1) {
            p[1] = '.';
            p += n;
        }
        p++;
        *p++ = 'e';
        *p++ = point > 0 ? '+' : '-';
        n = (unsigned)(point > 0 ? point - 1 : 1 - point);
        if (n >= 100)
            *p++ = (char)('0' + n / 100);
        return (size_t)(p - to) + put(p, pairs + n % 100 * 2, 2);
    }
    if (point <= 0) {
        memcpy(p, "0.0000", 6); // point >= -4
        p += 2 - point;
        put_digits(p, v, n);
        return (size_t)(p - to) + n;
    }
    if (exp >= 0) {
        put_digits(p, v, n);
        memset(p + n, '0', (size_t)exp);
        p += point;
        return (size_t)(p - to) + put(p, ".0", 2);
    }
    put_digits(p + 1, v, n);
    memmove(p, p + 1, (size_t)point);
    p[point] = '.';
    return n + 1;
}

static size_t named(char *to, bool nan, bool neg)
{
    if (nan)
        return put(to, "nan", 3);
    return neg ? put(to, "-inf", 4) : put(to, "inf", 3);
}

// ---- Schubfach

// 10^k as 128 bits, rounded up.
static inline struct rki_u128 pow10_up(int k)
{
    const uint64_t *g = rki_pow5[k - RKI_POW5_MIN];

    return (struct rki_u128){ g[0], g[1] + (k < 0 || k > RKI_POW5_EXACT) };
}

// (g * v) >> 128, the last bit set when something was cut off.
static inline uint64_t scaled_f64(struct rki_u128 g, uint64_t v)
{
    struct rki_u128 x = rki_mul64(g.lo, v), y = rki_mul64(g.hi, v);

    y.lo += x.hi;
    y.hi += y.lo < x.hi;
    return y.hi | (y.lo > 1);
}

// The same with the first 64 bits of g, rounded up, which are enough for v < 2^32.
static inline uint64_t scaled_f32(struct rki_u128 g, uint64_t v)
{
    struct rki_u128 x = rki_mul64(g.hi + (g.lo != 0), v);

    return x.hi | (x.lo >> 32 > 1);
}

// The shortest decimal *v * 10^returned of c * 2^q.  `closer`: the float below is nearer than the one above.
static inline int schubfach(uint64_t c, int q, bool closer, bool wide, uint64_t *v)
{
    // Floors of log10(2^q), log10(3/4 2^q) and log2(10^-k), exact for every q of a double.
    int k = (q * 1262611 - (closer ? 524031 : 0)) >> 22, h = q + ((-k * 1741647) >> 19) + 1;
    struct rki_u128 g = pow10_up(-k);
    uint64_t odd = c & 1, lo = 4 * c - 2 + closer, mid = 4 * c, hi = 4 * c + 2, s, s10;
    bool below, above;

    lo = (wide ? scaled_f64(g, lo << h) : scaled_f32(g, lo << h)) + odd; // the ends count only when c is even
    hi = (wide ? scaled_f64(g, hi << h) : scaled_f32(g, hi << h)) - odd;
    mid = wide ? scaled_f64(g, mid << h) : scaled_f32(g, mid << h);
    s = mid / 4; // all three are four times the value in units of 10^k
    if (s >= 10) {
        s10 = s / 10;
        below = lo <= 40 * s10;
        above = 40 * s10 + 40 <= hi;
        if (below != above) {
            *v = s10 + above;
            return k + 1;
        }
    }
    below = lo <= 4 * s;
    above = 4 * s + 4 <= hi;
    if (below == above) // both or none: the nearer one, on a tie the even one
        above = mid > 4 * s + 2 || (mid == 4 * s + 2 && (s & 1));
    *v = s + above;
    return k;
}

size_t rkp_print_f64(char *to, double v)
{
    uint64_t bits, c, w;
    bool neg;
    int e;

    memcpy(&bits, &v, sizeof bits);
    neg = bits >> 63;
    c = bits & (((uint64_t)1 << 52) - 1);
    e = (int)(bits >> 52 & 0x7ff);
    if (e == 0x7ff)
        return named(to, c != 0, neg);
    if (neg) {
        *to++ = '-';
        v = -v;
    }
    if (e == 0 && c == 0)
        return neg + put(to, "0.0", 3);
    if (v < 1e9 && v >= 1e-5) {
        double x = v * 1e6;
        // x is within an ulp of what it should be, and nearer to the integer than a half when there is one.
        uint64_t i = (uint64_t)(x + 0.5);

        if ((double)i / 1e6 == v)
            return neg + layout(to, i, -6);
    } else if (v < 9007199254740992.0 && v >= 1 && (double)(w = (uint64_t)v) == v) {
        return neg + layout(to, w, 0);
    }
    if (e)
        e = schubfach(c | (uint64_t)1 << 52, e - 1075, c == 0 && e > 1, true, &w);
    else
        e = schubfach(c, -1074, false, true, &w);
    return neg + layout(to, w, e);
}

size_t rkp_print_f32(char *to, float v)
{
    uint32_t bits, c;
    uint64_t w;
    bool neg;
    int e;

    memcpy(&bits, &v, sizeof bits);
    neg = bits >> 31;
    c = bits & (((uint32_t)1 << 23) - 1);
    e = (int)(bits >> 23 & 0xff);
    if (e == 0xff)
        return named(to, c != 0, neg);
    if (neg) {
        *to++ = '-';
        v = -v;
    }
    if (e == 0 && c == 0)
        return neg + put(to, "0.0", 3);
    if (v < 16777216.0f && v >= 1 && (float)(uint32_t)v == v)
        return neg + layout(to, (uint32_t)v, 0);
    if (e)
        e = schubfach(c | (uint32_t)1 << 23, e - 150, c == 0 && e > 1, false, &w);
    else
        e = schubfach(c, -149, false, false, &w);
    return neg + layout(to, w, e);
}
