// kernels.c - see kernels.h.  Built with -O3 and, where the loader can choose, once more for AVX2.  No contraction:
// the results are those of IEEE 754 operation by operation, on every machine.
#include "expr/kernels.h"

#include "expr/program.h"
#include <math.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PLAIN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define PLAIN 1
#endif
#endif

// The choice is an ifunc, which runs before a sanitizer is ready.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(PLAIN) && !defined(__AVX2__)
#define CLONES __attribute__((target_clones("avx2", "default")))
#else
#define CLONES
#endif

// One loop for each of the shapes row-row, row-constant, constant-row.
#define LOOPS(T, EXPR)                                                                                                 \
    if (sa && sb) {                                                                                                    \
        for (uint32_t i = 0; i < n; i++) {                                                                             \
            T x = a[i], y = b[i];                                                                                      \
            EXPR;                                                                                                      \
        }                                                                                                              \
    } else if (sa) {                                                                                                   \
        T y = b[0];                                                                                                    \
        for (uint32_t i = 0; i < n; i++) {                                                                             \
            T x = a[i];                                                                                                \
            EXPR;                                                                                                      \
        }                                                                                                              \
    } else {                                                                                                           \
        T x = a[0];                                                                                                    \
        for (uint32_t i = 0; i < n; i++) {                                                                             \
            T y = b[sb ? i : 0];                                                                                       \
            EXPR;                                                                                                      \
        }                                                                                                              \
    }

#define ARITH_F64(name, OP)                                                                                            \
    CLONES void name(RKI_K_ARGS(double))                                                                               \
    {                                                                                                                  \
        LOOPS(double, o[i] = x OP y)                                                                                   \
    }

ARITH_F64(rki_k_add_f64, +)
ARITH_F64(rki_k_sub_f64, -)
ARITH_F64(rki_k_mul_f64, *)
ARITH_F64(rki_k_div_f64, /)

// The sign bit of `bad` collects overflows, so that the loop has no branch.
CLONES bool rki_k_add_i64(RKI_K_ARGS(int64_t))
{
    uint64_t bad = 0;

    LOOPS(int64_t, uint64_t r = (uint64_t)x + (uint64_t)y; bad |= ((uint64_t)x ^ r) & ((uint64_t)y ^ r);
          o[i] = (int64_t)r)
    return bad >> 63;
}

CLONES bool rki_k_sub_i64(RKI_K_ARGS(int64_t))
{
    uint64_t bad = 0;

    LOOPS(int64_t, uint64_t r = (uint64_t)x - (uint64_t)y; bad |= ((uint64_t)x ^ (uint64_t)y) & ((uint64_t)x ^ r);
          o[i] = (int64_t)r)
    return bad >> 63;
}

bool rki_k_mul_i64(RKI_K_ARGS(int64_t))
{
    bool bad = false;

    LOOPS(int64_t, int64_t r; bad |= __builtin_mul_overflow(x, y, &r); o[i] = r)
    return bad;
}

CLONES bool rki_k_add_u64(RKI_K_ARGS(uint64_t))
{
    uint64_t bad = 0;

    LOOPS(uint64_t, uint64_t r = x + y; bad |= r < x; o[i] = r)
    return bad != 0;
}

CLONES bool rki_k_sub_u64(RKI_K_ARGS(uint64_t))
{
    uint64_t bad = 0;

    LOOPS(uint64_t, bad |= x < y; o[i] = x - y)
    return bad != 0;
}

bool rki_k_mul_u64(RKI_K_ARGS(uint64_t))
{
    bool bad = false;

    LOOPS(uint64_t, uint64_t r; bad |= __builtin_mul_overflow(x, y, &r); o[i] = r)
    return bad;
}

// Division by an invariant integer (Granlund and Montgomery, 1994).  With s so that 2^s < d <= 2^(s+1), and m the
// rounded up 2^(64+s) / d, which is below 2^64: x m / 2^(64+s) is x / d and less than x / 2^(64+s) more, which
// for x <= 2^63 is less than 1 / d, so both have the same integer part.
struct by {
    uint64_t m;
    int s;
};

static struct by by_of(uint64_t d) // d > 1
{
    int s = 63 - __builtin_clzll(d - 1);
    unsigned __int128 power = (unsigned __int128)1 << (64 + s);

    return (struct by){ (uint64_t)((power + d - 1) / d), s };
}

static inline uint64_t divided(struct by by, uint64_t x)
{
    return (uint64_t)((unsigned __int128)x * by.m >> 64) >> by.s;
}

void rki_k_idiv_i64(int64_t *restrict o, const int64_t *a, int64_t b, bool rem, uint32_t n)
{
    struct by by = by_of(b < 0 ? 0 - (uint64_t)b : (uint64_t)b);
    uint64_t sign = 0 - (uint64_t)(b < 0);

    for (uint32_t i = 0; i < n; i++) {
        uint64_t x = (uint64_t)a[i], neg = 0 - (x >> 63);
        uint64_t q = divided(by, (x ^ neg) - neg);

        neg ^= sign;
        q = (q ^ neg) - neg;
        o[i] = (int64_t)(rem ? x - q * (uint64_t)b : q);
    }
}

bool rki_k_idiv_u64(uint64_t *restrict o, const uint64_t *a, uint64_t b, bool rem, uint32_t n)
{
    struct by by = by_of(b);
    uint64_t large = 0;

    for (uint32_t i = 0; i < n; i++) {
        uint64_t x = a[i], q = divided(by, x);

        large |= x;
        o[i] = rem ? x - q * b : q;
    }
    return !(large >> 63);
}

CLONES void rki_k_neg_f64(double *restrict o, const double *a, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        o[i] = -a[i];
}

CLONES void rki_k_abs_f64(double *restrict o, const double *a, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        o[i] = fabs(a[i]);
}

CLONES void rki_k_sqrt_f64(double *restrict o, const double *a, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        o[i] = sqrt(a[i]);
}

CLONES void rki_k_floor_f64(double *restrict o, const double *a, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        o[i] = floor(a[i]);
}

CLONES void rki_k_ceil_f64(double *restrict o, const double *a, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        o[i] = ceil(a[i]);
}

// x - trunc(x) is exact, so this is round() without the call that stands in the way of vector code.
static inline double half_away(double x)
{
    double t = trunc(x), up = fabs(x - t) >= 0.5 ? 1.0 : 0.0;

    return copysign(fabs(t) + up, x);
}

double rki_round_half_away(double x)
{
    return half_away(x);
}

CLONES void rki_k_round_f64(double *restrict o, const double *a, double m, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        double x = a[i], r = half_away(x * m) / m;

        o[i] = fabs(r) <= 1.7976931348623157e308 ? r : x;
    }
}

CLONES void rki_k_f64_i64(double *restrict o, const int64_t *a, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        o[i] = (double)a[i];
}

CLONES void rki_k_f64_u64(double *restrict o, const uint64_t *a, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        o[i] = (double)a[i];
}

#define CMP(name, T)                                                                                                   \
    CLONES void name(unsigned op, uint8_t *restrict o, const T *a, uint32_t sa, const T *b, uint32_t sb, uint32_t n)   \
    {                                                                                                                  \
        switch (op) {                                                                                                  \
        case RKI_EQ:                                                                                                   \
            LOOPS(T, o[i] = x == y)                                                                                    \
            break;                                                                                                     \
        case RKI_NE:                                                                                                   \
            LOOPS(T, o[i] = x != y)                                                                                    \
            break;                                                                                                     \
        case RKI_LT:                                                                                                   \
            LOOPS(T, o[i] = x < y)                                                                                     \
            break;                                                                                                     \
        case RKI_LE:                                                                                                   \
            LOOPS(T, o[i] = x <= y)                                                                                    \
            break;                                                                                                     \
        case RKI_GT:                                                                                                   \
            LOOPS(T, o[i] = x > y)                                                                                     \
            break;                                                                                                     \
        default:                                                                                                       \
            LOOPS(T, o[i] = x >= y)                                                                                    \
            break;                                                                                                     \
        }                                                                                                              \
    }

CMP(rki_k_cmp_f64, double)
CMP(rki_k_cmp_i64, int64_t)
CMP(rki_k_cmp_u64, uint64_t)

CLONES void rki_k_max_u8(uint8_t *restrict o, const uint8_t *a, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        o[i] = o[i] > a[i] ? o[i] : a[i];
}

CLONES bool rki_k_any_u8(const uint8_t *a, uint32_t n)
{
    uint8_t any = 0;

    for (uint32_t i = 0; i < n; i++)
        any |= a[i];
    return any != 0;
}

CLONES void rki_k_not_u8(uint8_t *restrict o, const uint8_t *a, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        o[i] = a[i] ^ 1;
}

uint32_t rki_k_true(const uint8_t *v, const uint8_t *st, uint32_t n, uint32_t *out)
{
    uint32_t k = 0;

    // The store is made always and the place moves only for rows that count: no branch to predict.
    if (st) {
        for (uint32_t i = 0; i < n; i++) {
            out[k] = i;
            k += v[i] & (st[i] == 0);
        }
    } else {
        for (uint32_t i = 0; i < n; i++) {
            out[k] = i;
            k += v[i];
        }
    }
    return k;
}

#if defined(__SSE2__)
// The first place of part among the sixteen from s on, or NULL.
static inline const char *find16(const char *s, const char *part, size_t m, __m128i first, __m128i last)
{
    __m128i a = _mm_loadu_si128((const __m128i *)(const void *)s);
    __m128i b = _mm_loadu_si128((const __m128i *)(const void *)(s + m - 1));
    unsigned hits = (unsigned)_mm_movemask_epi8(_mm_and_si128(_mm_cmpeq_epi8(a, first), _mm_cmpeq_epi8(b, last)));

    for (; hits; hits &= hits - 1) {
        const char *p = s + __builtin_ctz(hits);

        if (m == 2 || memcmp(p + 1, part + 1, m - 2) == 0)
            return p;
    }
    return NULL;
}
#endif

// Sixteen places at a time: where the first and the last byte of part stand at their distance, the rest is compared.
// Measured on log lines, this finds short texts in half to a third of the time that memmem needs.
const char *rki_find(const char *s, size_t n, const char *part, size_t m)
{
    const char *end, *p;

    if (m == 0)
        return s;
    if (m > n)
        return NULL;
    if (m == 1)
        return memchr(s, part[0], n);
    end = s + (n - m) + 1; // behind the last place
#if defined(__SSE2__)
    if (end - s >= 16) {
        const __m128i first = _mm_set1_epi8(part[0]), last = _mm_set1_epi8(part[m - 1]);

        for (; end - s >= 16; s += 16)
            if ((p = find16(s, part, m, first, last)))
                return p;
        return s < end ? find16(end - 16, part, m, first, last) : NULL;
    }
#endif
    for (; (p = memchr(s, part[0], (size_t)(end - s))); s = p + 1)
        if (memcmp(p + 1, part + 1, m - 1) == 0)
            return p;
    return NULL;
}
