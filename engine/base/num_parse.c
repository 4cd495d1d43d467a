// num_parse.c - text to numbers, exactly.
//
// Floats go through four doors, each correct for what it lets through, so each result is correctly rounded:
//   1. at most 8 characters, digits and a point: both loaded into one word and converted there
//   2. a mantissa below 2^53 and a power of ten up to 10^22: one exact operation (Clinger, "How to read floating point
//      numbers accurately", 1990)
//   3. up to 19 digits: a 64 x 128 bit product decides (Lemire, "Number parsing at a gigabyte per second", 2021; that
//      it needs no fallback: Mushtak and Lemire, "Fast number parsing without fallback", 2023).  With more digits the
//      answers for the first 19 and for one more in the last place are compared; mostly they agree.
//   4. the rest: exact comparison of the decimal with the midpoints beside the candidate, in big integers.  768 digits
//      decide every case, so after 800 what follows counts only as "something".
#include "base/num_pow5.h"

#include <assert.h>
#include <rkpipe/num.h>

// ---- 1 to 8 characters

// Exactly these bytes, the first one lowest, zero above them.
static inline uint64_t load_short(const char *p, size_t n)
{
    if (n >= 4)
        return rki_load4(p) | (uint64_t)rki_load4(p + n - 4) << (8 * (n - 4)); // n < 8: bytes in both are the same
    return (uint64_t)(unsigned char)p[0] | (uint64_t)(unsigned char)p[n / 2] << (8 * (n / 2)) |
           (uint64_t)(unsigned char)p[n - 1] << (8 * (n - 1));
}

// The number that n digits in a word spell.  The shift brings the last digit to the highest byte, where it weighs one;
// zeros come in below, and what lies above the digits goes out.
static inline bool join_short(uint64_t v, size_t n, uint32_t *w)
{
    uint64_t x = (v ^ RKI_ZEROS8) << (8 * (8 - n));

    *w = rki_join8(x);
    return rki_digits8(x);
}

// ---- integers

// [0-9]+ up to 2^64 - 1
static bool digits_u64(const char *p, size_t n, uint64_t *out)
{
    const char *end;
    uint64_t v = 0;
    uint32_t w;

    if (n - 1 < 8) { // 1 to 8
        if (!join_short(load_short(p, n), n, &w))
            return false;
        *out = w;
        return true;
    }
    if (n == 0)
        return false;
    end = p + n;
    if (RKP_UNLIKELY(n > 19)) {
        uint64_t last;

        while (end - p > 1 && *p == '0')
            p++;
        if (end - p > 20)
            return false;
        if (end - p == 20) {
            last = (uint64_t)(unsigned char)end[-1] - '0';
            if (last > 9 || !digits_u64(p, 19, &v) || __builtin_mul_overflow(v, 10u, &v) ||
                __builtin_add_overflow(v, last, &v))
                return false;
            *out = v;
            return true;
        }
    }
    while (end - p >= 8) {
        uint64_t x = rki_load8(p) ^ RKI_ZEROS8;

        if (!rki_digits8(x))
            return false;
        v = v * 100000000 + rki_join8(x);
        p += 8;
    }
    for (; p < end; p++) {
        unsigned d = (unsigned)(unsigned char)*p - '0';

        if (d > 9)
            return false;
        v = v * 10 + d;
    }
    *out = v;
    return true;
}

bool rkp_parse_u64(const char *p, size_t n, uint64_t *out)
{
    if (n && *p == '+') {
        p++;
        n--;
    }
    return digits_u64(p, n, out);
}

bool rkp_parse_i64(const char *p, size_t n, int64_t *out)
{
    bool neg = n && *p == '-';
    uint64_t v;

    if (n && (*p == '-' || *p == '+')) {
        p++;
        n--;
    }
    if (!digits_u64(p, n, &v) || v > (uint64_t)INT64_MAX + neg)
        return false;
    *out = neg ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

// ---- floats: the decimal

// digits[from .. end) with at most one point in between: value = w * 10^exp when !more; else w holds the first 19
// significant digits and something above zero follows them.
struct decimal {
    uint64_t w;
    int64_t exp;
    const char *from, *end; // digits and the point
    int64_t exp_text;       // what stood after the e
    bool more;
};

// The formats as the algorithms see them.
struct format {
    int bits;           // of the mantissa that are stored
    int min_exp;        // biased exponent 0 stands for this power of two
    int inf;            // the biased exponent of infinity
    int min10, max10;   // outside 10^min10 .. 10^max10 a 19-digit mantissa gives 0 or infinity
    int tie_lo, tie_hi; // powers of ten with which a mantissa can lie halfway between two floats
};

static const struct format f64 = { 52, -1023, 0x7ff, -342, 308, -4, 23 };
static const struct format f32 = { 23, -127, 0xff, -64, 38, -17, 10 };

// More than 19 digits were read: keep the first 19 that count.
static void trim(struct decimal *d)
{
    const char *p = d->from, *point = memchr(d->from, '.', (size_t)(d->end - d->from));
    const char *int_end = point ? point : d->end;
    int taken = 0;

    d->w = 0;
    while (p < d->end && (*p == '0' || *p == '.'))
        p++;
    for (; p < d->end && taken < 19; p++) {
        if (*p == '.')
            continue;
        d->w = d->w * 10 + (uint64_t)(*p - '0');
        taken++;
    }
    d->exp = (p <= int_end ? int_end - p : int_end + 1 - p) + d->exp_text;
    for (; p < d->end; p++)
        if (*p != '0' && *p != '.') {
            d->more = true;
            break;
        }
}

// Everything but the sign and the names.  False when it is not a number.
static inline bool read_decimal(const char *p, const char *end, struct decimal *d)
{
    const char *from = p;
    uint64_t w = 0;
    int64_t digits, exp = 0, exp_text = 0;

    while (p < end && (unsigned)(*p - '0') <= 9)
        w = w * 10 + (uint64_t)(*p++ - '0');
    digits = p - from;
    if (p < end && *p == '.') {
        const char *frac = ++p;

        while (end - p >= 8) {
            uint64_t x = rki_load8(p) ^ RKI_ZEROS8;

            if (!rki_digits8(x))
                break;
            w = w * 100000000 + rki_join8(x);
            p += 8;
        }
        while (p < end && (unsigned)(*p - '0') <= 9)
            w = w * 10 + (uint64_t)(*p++ - '0');
        exp = frac - p;
        digits += p - frac;
    }
    if (digits == 0)
        return false;
    d->from = from;
    d->end = p;
    if (p < end && (*p | 0x20) == 'e') {
        bool neg = false;

        p++;
        if (p < end && (*p == '-' || *p == '+'))
            neg = *p++ == '-';
        if (p == end)
            return false;
        for (; p < end && (unsigned)(*p - '0') <= 9; p++)
            if (exp_text < (int64_t)1 << 50) // beyond the length of any text
                exp_text = exp_text * 10 + (*p - '0');
        if (neg)
            exp_text = -exp_text;
    }
    if (p != end)
        return false;
    d->w = w;
    d->exp = exp + exp_text;
    d->exp_text = exp_text;
    d->more = false;
    if (RKP_UNLIKELY(digits > 19))
        trim(d);
    return true;
}

// ---- floats: door 3

// w * 10^q, rounded to nearest even, as the bits of a positive float.
static inline uint64_t eisel_lemire(const struct format *f, uint64_t w, int64_t q)
{
    uint64_t inf = (uint64_t)f->inf << f->bits, g_hi, g_lo, mask = UINT64_MAX >> (f->bits + 3), m;
    struct rki_u128 prod;
    int lz, upper, shift, power;

    if (w == 0 || q < f->min10)
        return 0;
    if (q > f->max10)
        return inf;
    g_hi = rki_pow5[q - RKI_POW5_MIN][0];
    g_lo = rki_pow5[q - RKI_POW5_MIN][1];
    g_lo += q < 0 && q >= -27; // for these the proof wants the reciprocal rounded up
    lz = __builtin_clzll(w);
    w <<= lz;
    prod = rki_mul64(w, g_hi);
    if ((prod.hi & mask) == mask) { // the low half could carry into the bits that count
        struct rki_u128 low = rki_mul64(w, g_lo);

        prod.lo += low.hi;
        prod.hi += prod.lo < low.hi;
    }
    upper = (int)(prod.hi >> 63);
    shift = upper + 64 - f->bits - 3;
    m = prod.hi >> shift;
    power = (int)((217706 * q) >> 16) + 63 + upper - lz - f->min_exp; // 217706 / 2^16 is log2(10), near enough
    if (RKP_UNLIKELY(power <= 0)) {                                   // subnormal
        if (1 - power >= 64)
            return 0;
        m >>= 1 - power;
        m += m & 1;
        return m >> 1; // may carry into the exponent, which is then right
    }
    // Halfway between two floats: only possible for few q, and then the product is exact.
    if (prod.lo <= 1 && q >= f->tie_lo && q <= f->tie_hi && (m & 3) == 1 && m << shift == prod.hi)
        m &= ~(uint64_t)1;
    m += m & 1;
    m >>= 1;
    if (m >= (uint64_t)2 << f->bits) {
        m >>= 1;
        power++;
    }
    if (power >= f->inf)
        return inf;
    return ((uint64_t)power << f->bits) | (m & (((uint64_t)1 << f->bits) - 1));
}

// ---- floats: door 4

enum { BIG_LIMBS = 64, BIG_DIGITS = 800 }; // 801 digits are 2,661 bits, the other side is as large: 43 limbs

struct big {
    size_t n;
    uint64_t v[BIG_LIMBS];
};

// b = b * m + add
static void big_muladd(struct big *b, uint64_t m, uint64_t add)
{
    for (size_t i = 0; i < b->n; i++) {
        struct rki_u128 x = rki_mul64(b->v[i], m);

        b->v[i] = x.lo + add;
        add = x.hi + (b->v[i] < add);
    }
    if (add) {
        assert(b->n < BIG_LIMBS);
        if (b->n < BIG_LIMBS)
            b->v[b->n++] = add;
    }
}

static void big_mul_pow5(struct big *b, int64_t k)
{
    const uint64_t pow27 = 7450580596923828125u; // 5^27
    uint64_t rest = 1;

    for (; k >= 27; k -= 27)
        big_muladd(b, pow27, 0);
    for (; k > 0; k--)
        rest *= 5;
    big_muladd(b, rest, 0);
}

static void big_shift(struct big *b, int64_t k)
{
    size_t limbs = (size_t)(k / 64);

    big_muladd(b, (uint64_t)1 << k % 64, 0);
    assert(b->n + limbs <= BIG_LIMBS);
    if (limbs == 0 || b->n == 0 || b->n + limbs > BIG_LIMBS)
        return;
    memmove(b->v + limbs, b->v, b->n * sizeof *b->v);
    memset(b->v, 0, limbs * sizeof *b->v);
    b->n += limbs;
}

static int big_cmp(const struct big *a, const struct big *b)
{
    if (a->n != b->n)
        return a->n < b->n ? -1 : 1;
    for (size_t i = a->n; i-- > 0;)
        if (a->v[i] != b->v[i])
            return a->v[i] < b->v[i] ? -1 : 1;
    return 0;
}

// All digits of d, or the first 800 and a 1 for whatever follows.  Returns the power of ten of the last digit.
static int64_t big_digits(const struct decimal *d, struct big *b)
{
    const char *p = d->from, *point = memchr(d->from, '.', (size_t)(d->end - d->from));
    const char *int_end = point ? point : d->end;
    uint64_t chunk = 0, scale = 1;
    int taken = 0;

    b->n = 0;
    while (p < d->end && (*p == '0' || *p == '.'))
        p++;
    for (; p < d->end && taken < BIG_DIGITS; p++) {
        if (*p == '.')
            continue;
        chunk = chunk * 10 + (uint64_t)(*p - '0');
        scale *= 10;
        taken++;
        if (taken % 19 == 0) {
            big_muladd(b, scale, chunk);
            chunk = 0;
            scale = 1;
        }
    }
    big_muladd(b, scale, chunk);
    for (const char *r = p; r < d->end; r++)
        if (*r != '0' && *r != '.') {
            big_muladd(b, 10, 1);
            return (p <= int_end ? int_end - p : int_end + 1 - p) + d->exp_text - 1;
        }
    return (p <= int_end ? int_end - p : int_end + 1 - p) + d->exp_text;
}

// The decimal digits * 10^exp against the midpoint of the float `bits` and the next one.
static int cmp_midpoint(const struct format *f, const struct big *digits, int64_t exp, uint64_t bits)
{
    uint64_t m = bits & (((uint64_t)1 << f->bits) - 1);
    int64_t power = (int64_t)(bits >> f->bits), shift;
    struct big a = *digits, b = { .n = 1 };

    if (power)
        m |= (uint64_t)1 << f->bits;
    else
        power = 1;
    power += f->min_exp - f->bits - 1; // of the last bit of 2 m + 1
    b.v[0] = 2 * m + 1;
    if (exp >= 0)
        big_mul_pow5(&a, exp);
    else
        big_mul_pow5(&b, -exp);
    shift = exp - power; // a * 2^exp against b * 2^power
    if (shift >= 0)
        big_shift(&a, shift);
    else
        big_shift(&b, -shift);
    return big_cmp(&a, &b);
}

// From a candidate that may be a step or two off to the right answer.
static __attribute__((noinline)) uint64_t settle(const struct format *f, const struct decimal *d, uint64_t bits)
{
    uint64_t inf = (uint64_t)f->inf << f->bits;
    struct big digits;
    int64_t exp = big_digits(d, &digits);

    if (bits >= inf)
        bits = inf - 1;
    for (;;) {
        int c = cmp_midpoint(f, &digits, exp, bits);

        if (c > 0 || (c == 0 && (bits & 1))) {
            if (++bits == inf)
                return inf;
            continue;
        }
        if (bits == 0)
            return 0;
        c = cmp_midpoint(f, &digits, exp, bits - 1);
        if (c > 0 || (c == 0 && !(bits & 1)))
            return bits;
        bits--;
    }
}

// Doors 3 and 4.
static inline uint64_t to_bits(const struct format *f, const struct decimal *d)
{
    uint64_t bits = eisel_lemire(f, d->w, d->exp);

    if (RKP_LIKELY(!d->more))
        return bits;
    // Far outside of the range both answers are 0 or infinity, so what settles is within reach of the big integers.
    if (bits == eisel_lemire(f, d->w + 1, d->exp))
        return bits;
    return settle(f, d, bits);
}

// ---- floats: the parsers

// inf, infinity, nan; the sign has been read.  0 when it is none of them, 1 infinity, 2 nan.
static int named(const char *p, size_t n)
{
    char t[8];

    if (n != 3 && n != 8)
        return 0;
    for (size_t i = 0; i < n; i++)
        t[i] = (char)(p[i] | 0x20);
    if (memcmp(t, "nan", 3) == 0 && n == 3)
        return 2;
    return memcmp(t, "infinity", n) == 0; // n is 3 or 8
}

// Door 1: digits and at most one point.
static inline bool short_decimal(const char *p, size_t n, uint32_t *w, unsigned *frac)
{
    uint64_t v = load_short(p, n), x, dot;

    *frac = 0;
    x = v ^ 0x2e2e2e2e2e2e2e2eull;
    dot = (x - 0x0101010101010101ull) & ~x & 0x8080808080808080ull; // its lowest bit is exact
    if (dot) {
        uint64_t below = (dot ^ (dot - 1)) >> 8; // the bytes before the point

        *frac = (unsigned)n - 1 - (unsigned)__builtin_ctzll(dot) / 8;
        v = (v & below) | (v >> 8 & ~below);
        n--;
    }
    return n > 0 && join_short(v, n, w);
}

static const double ten_f64[] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                  1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
static const float ten_f32[] = { 1e0f, 1e1f, 1e2f, 1e3f, 1e4f, 1e5f, 1e6f, 1e7f, 1e8f, 1e9f, 1e10f };

bool rkp_parse_f64(const char *p, size_t n, double *out)
{
    bool neg = false;
    struct decimal d;
    uint64_t bits;
    uint32_t w;
    unsigned frac;
    double v;

    if (n == 0)
        return false;
    if (*p == '-' || *p == '+') {
        neg = *p++ == '-';
        if (--n == 0)
            return false;
    }
    if (n <= 8 && short_decimal(p, n, &w, &frac)) {
        v = (double)w / ten_f64[frac];
        *out = neg ? -v : v;
        return true;
    }
    if (!read_decimal(p, p + n, &d)) {
        static const uint64_t name_bits[] = { 0, 0x7ff0000000000000u, 0x7ff8000000000000u };
        int name = named(p, n);

        if (!name)
            return false;
        bits = name_bits[name];
    } else if (d.w <= (uint64_t)1 << 53 && d.exp >= -22 && d.exp <= 22 && !d.more) {
        v = (double)d.w;
        v = d.exp < 0 ? v / ten_f64[-d.exp] : v * ten_f64[d.exp];
        *out = neg ? -v : v;
        return true;
    } else {
        bits = to_bits(&f64, &d);
    }
    bits |= (uint64_t)neg << 63;
    memcpy(out, &bits, sizeof bits);
    return true;
}

bool rkp_parse_f32(const char *p, size_t n, float *out)
{
    bool neg = false;
    struct decimal d;
    uint32_t bits, w;
    unsigned frac;
    float v;

    if (n == 0)
        return false;
    if (*p == '-' || *p == '+') {
        neg = *p++ == '-';
        if (--n == 0)
            return false;
    }
    if (n <= 8 && short_decimal(p, n, &w, &frac) && w <= 1u << 24) {
        v = (float)w / ten_f32[frac];
        *out = neg ? -v : v;
        return true;
    }
    if (!read_decimal(p, p + n, &d)) {
        static const uint32_t name_bits[] = { 0, 0x7f800000u, 0x7fc00000u };
        int name = named(p, n);

        if (!name)
            return false;
        bits = name_bits[name];
    } else if (d.w <= (uint64_t)1 << 24 && d.exp >= -10 && d.exp <= 10 && !d.more) {
        v = (float)d.w;
        v = d.exp < 0 ? v / ten_f32[-d.exp] : v * ten_f32[d.exp];
        *out = neg ? -v : v;
        return true;
    } else {
        bits = (uint32_t)to_bits(&f32, &d);
    }
    bits |= (uint32_t)neg << 31;
    memcpy(out, &bits, sizeof bits);
    return true;
}
