// rkpipe/device/math.h - what an expression that was emitted as source calls: arithmetic that says when it fails, dates,
// conversions, hash(); the same in C11, C++17 and CUDA C++ (NVRTC, nvcc), and the same as the evaluator of the host.
//
//   Owns     nothing
//   Threads  any; pure functions
//   Fails    a function that can fail gets `st`, the state of its arguments; where that is 0 it may set it
//   Limits   no text
//   Cost     inlined; no table but those that an expression brings along
//
// A state is that of rkp_vec.st: 0 has a value, 1 null, 1 + rkp_row_error in error.  Where it is not 0 the value means
// nothing, but it is a value: nothing here is undefined for any bits.
//
// Compile without contraction and without fast-math: -ffp-contract=off on a host, --fmad=false for a device (floating
// operations of the source go through intrinsics that are never contracted, so that flag is the second lock).  Hosts
// link libm.  A nan is a nan: its bits differ between machines.
#ifndef RKPIPE_DEVICE_MATH_H
#define RKPIPE_DEVICE_MATH_H

#if defined(__CUDACC_RTC__)
#if !defined(RKD_INTS) // NVRTC has no <stdint.h>; as glibc has them
#define RKD_INTS
typedef signed char int8_t;
typedef short int16_t;
typedef int int32_t;
typedef long int64_t;
typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
typedef unsigned long uint64_t;
#endif
#else
#include <stdint.h>
#endif

// RKD_FN: a function of the loop.  RKD_CONST: a table that all rows read.
#ifndef RKD_FN
#if defined(__CUDACC__)
#define RKD_FN static __device__ __forceinline__ __attribute__((unused)) // NVRTC would say so of each
#else
#define RKD_FN static inline __attribute__((always_inline)) // gcc 12 with -fsanitize=undefined got a clone wrong
#endif
#endif
#if defined(__CUDACC__)
#define RKD_CONST static __device__ const
#else
#define RKD_CONST static const
#endif

enum {
    RKD_NULL = 1,
    RKD_OVERFLOW = 6, // 1 + RKP_ROW_OVERFLOW, and so on: asserted in expr/emit.c
    RKD_ZERO = 7,
    RKD_CAST = 8,
};

// ---- what machines have of their own --------------------------------------------------------------------------------

#if defined(__CUDA_ARCH__)
RKD_FN int64_t rkd_mulhi_i64(int64_t a, int64_t b)
{
    return (int64_t)__mul64hi((long long)a, (long long)b);
}

RKD_FN uint64_t rkd_mulhi_u64(uint64_t a, uint64_t b)
{
    return (uint64_t)__umul64hi((unsigned long long)a, (unsigned long long)b);
}

RKD_FN uint64_t rkd_bits(double v)
{
    return (uint64_t)__double_as_longlong(v);
}

RKD_FN double rkd_f64(uint64_t bits)
{
    return __longlong_as_double((long long)bits);
}

#define rkd_add_f64(a, b) __dadd_rn(a, b)
#define rkd_sub_f64(a, b) __dsub_rn(a, b)
#define rkd_mul_f64(a, b) __dmul_rn(a, b)
#define rkd_div_f64(a, b) __ddiv_rn(a, b)
#define RKD_SQRT          __dsqrt_rn
#define RKD_FMOD          fmod
#define RKD_TRUNC         trunc
#define RKD_FLOOR         floor
#define RKD_CEIL          ceil
#define RKD_FABS          fabs
#define RKD_COPYSIGN      copysign
#else
RKD_FN uint64_t rkd_mulhi_u64(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 wide;

    return (uint64_t)((wide)a * b >> 64);
}

// From the unsigned product.
RKD_FN int64_t rkd_mulhi_i64(int64_t a, int64_t b)
{
    uint64_t x = (uint64_t)a, y = (uint64_t)b;

    return (int64_t)(rkd_mulhi_u64(x, y) - (a < 0 ? y : 0) - (b < 0 ? x : 0));
}

RKD_FN uint64_t rkd_bits(double v)
{
    uint64_t bits;

    __builtin_memcpy(&bits, &v, sizeof bits);
    return bits;
}

RKD_FN double rkd_f64(uint64_t bits)
{
    double v;

    __builtin_memcpy(&v, &bits, sizeof v);
    return v;
}

#define rkd_add_f64(a, b) ((a) + (b))
#define rkd_sub_f64(a, b) ((a) - (b))
#define rkd_mul_f64(a, b) ((a) * (b))
#define rkd_div_f64(a, b) ((a) / (b))
#define RKD_SQRT          __builtin_sqrt
#define RKD_FMOD          __builtin_fmod
#define RKD_TRUNC         __builtin_trunc
#define RKD_FLOOR         __builtin_floor
#define RKD_CEIL          __builtin_ceil
#define RKD_FABS          __builtin_fabs
#define RKD_COPYSIGN      __builtin_copysign
#endif

RKD_FN uint8_t rkd_finite(double v)
{
    return (uint8_t)(RKD_FABS(v) <= 1.7976931348623157e308);
}

// ---- states ---------------------------------------------------------------------------------------------------------

// Of two arguments: an error is more than null, null more than a value.
RKD_FN uint8_t rkd_join(uint8_t a, uint8_t b)
{
    return a > b ? a : b;
}

// Of a function that looks at nulls itself.
RKD_FN uint8_t rkd_error(uint8_t s)
{
    return s == RKD_NULL ? (uint8_t)0 : s;
}

RKD_FN void rkd_bad(uint8_t *st, int state)
{
    if (*st == 0)
        *st = (uint8_t)state;
}

// ---- integers -------------------------------------------------------------------------------------------------------

RKD_FN int64_t rkd_add_i64(uint8_t *st, int64_t a, int64_t b)
{
    uint64_t r = (uint64_t)a + (uint64_t)b;

    if ((((uint64_t)a ^ r) & ((uint64_t)b ^ r)) >> 63)
        rkd_bad(st, RKD_OVERFLOW);
    return (int64_t)r;
}

RKD_FN int64_t rkd_sub_i64(uint8_t *st, int64_t a, int64_t b)
{
    uint64_t r = (uint64_t)a - (uint64_t)b;

    if ((((uint64_t)a ^ (uint64_t)b) & ((uint64_t)a ^ r)) >> 63)
        rkd_bad(st, RKD_OVERFLOW);
    return (int64_t)r;
}

RKD_FN int64_t rkd_mul_i64(uint8_t *st, int64_t a, int64_t b)
{
    int64_t r = (int64_t)((uint64_t)a * (uint64_t)b);

    if (rkd_mulhi_i64(a, b) != (r < 0 ? -1 : 0))
        rkd_bad(st, RKD_OVERFLOW);
    return r;
}

RKD_FN int64_t rkd_neg_i64(uint8_t *st, int64_t a)
{
    return rkd_sub_i64(st, 0, a);
}

RKD_FN int64_t rkd_idiv_i64(uint8_t *st, int64_t a, int64_t b)
{
    if (b == 0) {
        rkd_bad(st, RKD_ZERO);
        return 0;
    }
    return b == -1 ? rkd_neg_i64(st, a) : a / b;
}

RKD_FN int64_t rkd_rem_i64(uint8_t *st, int64_t a, int64_t b)
{
    if (b == 0)
        rkd_bad(st, RKD_ZERO);
    return b == 0 || b == -1 ? 0 : a % b;
}

RKD_FN uint64_t rkd_add_u64(uint8_t *st, uint64_t a, uint64_t b)
{
    if (a + b < a)
        rkd_bad(st, RKD_OVERFLOW);
    return a + b;
}

RKD_FN uint64_t rkd_sub_u64(uint8_t *st, uint64_t a, uint64_t b)
{
    if (a < b)
        rkd_bad(st, RKD_OVERFLOW);
    return a - b;
}

RKD_FN uint64_t rkd_mul_u64(uint8_t *st, uint64_t a, uint64_t b)
{
    if (rkd_mulhi_u64(a, b) != 0)
        rkd_bad(st, RKD_OVERFLOW);
    return a * b;
}

RKD_FN uint64_t rkd_idiv_u64(uint8_t *st, uint64_t a, uint64_t b)
{
    if (b == 0)
        rkd_bad(st, RKD_ZERO);
    return b == 0 ? 0 : a / b;
}

RKD_FN uint64_t rkd_rem_u64(uint8_t *st, uint64_t a, uint64_t b)
{
    if (b == 0)
        rkd_bad(st, RKD_ZERO);
    return b == 0 ? 0 : a % b;
}

// -1, 0, 1: a before, at, behind b.
RKD_FN int rkd_order_iu(int64_t a, uint64_t b)
{
    return a < 0 || (uint64_t)a < b ? -1 : (uint64_t)a > b ? 1 : 0;
}

RKD_FN int rkd_order_ui(uint64_t a, int64_t b)
{
    return -rkd_order_iu(b, a);
}

RKD_FN int64_t rkd_i64_of_u64(uint8_t *st, uint64_t a)
{
    if (a >> 63)
        rkd_bad(st, RKD_OVERFLOW);
    return (int64_t)a;
}

RKD_FN uint64_t rkd_u64_of_i64(uint8_t *st, int64_t a)
{
    if (a < 0)
        rkd_bad(st, RKD_OVERFLOW);
    return (uint64_t)a;
}

// ---- floats ---------------------------------------------------------------------------------------------------------

RKD_FN double rkd_idiv_f64(uint8_t *st, double a, double b)
{
    if (b == 0)
        rkd_bad(st, RKD_ZERO);
    return RKD_TRUNC(rkd_div_f64(a, b));
}

// Exact on every machine.
RKD_FN double rkd_rem_f64(uint8_t *st, double a, double b)
{
    if (b == 0)
        rkd_bad(st, RKD_ZERO);
    return RKD_FMOD(a, b);
}

RKD_FN double rkd_half_away(double x)
{
    double t = RKD_TRUNC(x), up = RKD_FABS(rkd_sub_f64(x, t)) >= 0.5 ? 1.0 : 0.0;

    return RKD_COPYSIGN(rkd_add_f64(RKD_FABS(t), up), x);
}

// To digits behind the point, or before it (digits < 0); m: 10 to the power of their number.
RKD_FN double rkd_round_f64(double v, double m, uint8_t before)
{
    double w;

    if (!rkd_finite(v))
        return v;
    if (before) {
        w = rkd_mul_f64(rkd_half_away(rkd_div_f64(v, m)), m);
        return rkd_finite(w) ? w : 0;
    }
    w = rkd_div_f64(rkd_half_away(rkd_mul_f64(v, m)), m);
    return rkd_finite(w) ? w : v;
}

// p10: 10 to the powers 0 to 308; what is above is infinite.
RKD_FN double rkd_round_at(double v, int64_t digits, const double *p10)
{
    uint64_t n = digits < 0 ? 0 - (uint64_t)digits : (uint64_t)digits;

    return rkd_round_f64(v, n < 309 ? p10[n] : rkd_f64(0x7ff0000000000000ULL), (uint8_t)(digits < 0));
}

// An amount to tens, hundreds, ..; the state says when it does not fit `most`.
RKD_FN uint64_t rkd_round_amount(uint8_t *st, uint64_t v, int64_t digits, uint64_t most)
{
    uint64_t p = 1, rest;

    if (digits >= 0)
        return v;
    if (digits < -19) // 10^20 is more than twice any of them
        return 0;
    for (int64_t i = 0; i > digits; i--)
        p *= 10;
    rest = v % p;
    v -= rest;
    if (rest >= p - rest) {
        if (v > most || most - v < p)
            rkd_bad(st, RKD_OVERFLOW);
        v += p;
    }
    return v;
}

RKD_FN int64_t rkd_round_i64(uint8_t *st, int64_t v, int64_t digits)
{
    uint64_t minus = v < 0 ? 1u : 0u, most = (~(uint64_t)0 >> 1) + minus;
    uint64_t r = rkd_round_amount(st, minus ? 0 - (uint64_t)v : (uint64_t)v, digits, most);

    return (int64_t)(minus ? 0 - r : r);
}

RKD_FN uint64_t rkd_round_u64(uint8_t *st, uint64_t v, int64_t digits)
{
    return rkd_round_amount(st, v, digits, ~(uint64_t)0);
}

// ---- functions of numbers: one form per kind, each with a state although most cannot fail ---------------------------

#define RKD_FN1(name, R, T, expr)                                                                                      \
    RKD_FN R name(uint8_t *st, T v)                                                                                    \
    {                                                                                                                  \
        (void)st;                                                                                                      \
        return expr;                                                                                                   \
    }

RKD_FN1(rkd_abs_f64, double, double, RKD_FABS(v))
RKD_FN1(rkd_abs_u64, uint64_t, uint64_t, v)
RKD_FN1(rkd_abs_i64, int64_t, int64_t, v < 0 ? rkd_neg_i64(st, v) : v)
RKD_FN1(rkd_ceil_f64, double, double, RKD_CEIL(v))
RKD_FN1(rkd_ceil_i64, int64_t, int64_t, v)
RKD_FN1(rkd_ceil_u64, uint64_t, uint64_t, v)
RKD_FN1(rkd_floor_f64, double, double, RKD_FLOOR(v))
RKD_FN1(rkd_floor_i64, int64_t, int64_t, v)
RKD_FN1(rkd_floor_u64, uint64_t, uint64_t, v)
RKD_FN1(rkd_sqrt_f64, double, double, RKD_SQRT(v))
RKD_FN1(rkd_is_nan_f64, uint8_t, double, (uint8_t)(v != v))
RKD_FN1(rkd_is_nan_i64, uint8_t, int64_t, (uint8_t)(v != v))
RKD_FN1(rkd_is_nan_u64, uint8_t, uint64_t, (uint8_t)(v != v))

// The first of those that are least (or greatest); nan when there is one.
#define RKD_ORDERED(T, K, NAN_OF)                                                                                      \
    RKD_FN T rkd_min_##K(T best, T v)                                                                                  \
    {                                                                                                                  \
        return !(NAN_OF(best)) && (v < best || NAN_OF(v)) ? v : best;                                                  \
    }                                                                                                                  \
    RKD_FN T rkd_max_##K(T best, T v)                                                                                  \
    {                                                                                                                  \
        return !(NAN_OF(best)) && (best < v || NAN_OF(v)) ? v : best;                                                  \
    }                                                                                                                  \
    RKD_FN T rkd_clamp_##K(uint8_t *st, T v, T low, T high)                                                            \
    {                                                                                                                  \
        (void)st;                                                                                                      \
        return v < low ? low : high < v ? high : v;                                                                    \
    }
#define RKD_NEVER(v)  0
#define RKD_IS_NAN(v) ((v) != (v))

RKD_ORDERED(uint8_t, bool, RKD_NEVER)
RKD_ORDERED(int64_t, i64, RKD_NEVER)
RKD_ORDERED(uint64_t, u64, RKD_NEVER)
RKD_ORDERED(double, f64, RKD_IS_NAN)

// Is v in the ascending table?
#define RKD_IN(T, K)                                                                                                   \
    RKD_FN uint8_t rkd_in_##K(const T *table, uint32_t n, T v)                                                         \
    {                                                                                                                  \
        uint32_t lo = 0, hi = n;                                                                                       \
        while (lo < hi) {                                                                                              \
            uint32_t mid = lo + (hi - lo) / 2;                                                                         \
            if (table[mid] < v)                                                                                        \
                lo = mid + 1;                                                                                          \
            else                                                                                                       \
                hi = mid;                                                                                              \
        }                                                                                                              \
        return (uint8_t)(lo < n && table[lo] == v);                                                                    \
    }

RKD_IN(int64_t, i64)
RKD_IN(uint64_t, u64)
RKD_IN(double, f64)

// ---- conversions ----------------------------------------------------------------------------------------------------

RKD_FN1(rkd_to_float_bool, double, uint8_t, (double)v)
RKD_FN1(rkd_to_float_i64, double, int64_t, (double)v)
RKD_FN1(rkd_to_float_u64, double, uint64_t, (double)v)
RKD_FN1(rkd_to_float_f64, double, double, v)
RKD_FN1(rkd_to_int_bool, int64_t, uint8_t, v)
RKD_FN1(rkd_to_int_i64, int64_t, int64_t, v)

// Casts of a column: what does not fit is an error, a fraction is cut off.
#define RKD_CAST_INT(K, R, lo, hi, lo_f, hi_f)                                                                         \
    RKD_FN R rkd_cast_##K##_i64(uint8_t *st, int64_t v)                                                                \
    {                                                                                                                  \
        if (!(v >= (lo) && (v < 0 || (uint64_t)v <= (hi))))                                                            \
            rkd_bad(st, RKD_CAST);                                                                                     \
        return (R)v;                                                                                                   \
    }                                                                                                                  \
    RKD_FN R rkd_cast_##K##_u64(uint8_t *st, uint64_t v)                                                               \
    {                                                                                                                  \
        if (!(v <= (hi)))                                                                                              \
            rkd_bad(st, RKD_CAST);                                                                                     \
        return (R)v;                                                                                                   \
    }                                                                                                                  \
    RKD_FN R rkd_cast_##K##_f64(uint8_t *st, double v)                                                                 \
    {                                                                                                                  \
        if (v > (lo_f) && v < (hi_f))                                                                                  \
            return (R)v;                                                                                               \
        rkd_bad(st, RKD_CAST);                                                                                         \
        return 0;                                                                                                      \
    }

#define RKD_I64_MIN (-9223372036854775807LL - 1)
RKD_CAST_INT(i8, int64_t, -128, 127u, -129.0, 128.0)
RKD_CAST_INT(i16, int64_t, -32768, 32767u, -32769.0, 32768.0)
RKD_CAST_INT(i32, int64_t, -2147483648LL, 2147483647u, -2147483649.0, 2147483648.0)
RKD_CAST_INT(i64, int64_t, RKD_I64_MIN, 9223372036854775807ULL, -9223372036854777856.0, 9223372036854775808.0)
RKD_CAST_INT(u8, int64_t, 0, 255u, -1.0, 256.0)
RKD_CAST_INT(u16, int64_t, 0, 65535u, -1.0, 65536.0)
RKD_CAST_INT(u32, int64_t, 0, 4294967295u, -1.0, 4294967296.0)
RKD_CAST_INT(u64, uint64_t, 0, 18446744073709551615ULL, -1.0, 18446744073709551616.0)

RKD_FN1(rkd_cast_bool_i64, uint8_t, int64_t, (uint8_t)(v != 0))
RKD_FN1(rkd_cast_bool_u64, uint8_t, uint64_t, (uint8_t)(v != 0))
RKD_FN1(rkd_cast_f64_i64, double, int64_t, (double)v)
RKD_FN1(rkd_cast_f64_u64, double, uint64_t, (double)v)
RKD_FN1(rkd_cast_f64_f64, double, double, v)
RKD_FN1(rkd_cast_f32_i64, double, int64_t, (double)(float)v)
RKD_FN1(rkd_cast_f32_u64, double, uint64_t, (double)(float)v)

RKD_FN uint8_t rkd_cast_bool_f64(uint8_t *st, double v)
{
    if (v != v)
        rkd_bad(st, RKD_CAST);
    return (uint8_t)(v != 0);
}

// What is finite must stay so.
RKD_FN double rkd_cast_f32_f64(uint8_t *st, double v)
{
    double to = (double)(float)v;

    if (rkd_finite(v) && !rkd_finite(to))
        rkd_bad(st, RKD_CAST);
    return to;
}

RKD_FN1(rkd_to_int_u64, int64_t, uint64_t, rkd_cast_i64_u64(st, v))
RKD_FN1(rkd_to_int_f64, int64_t, double, rkd_cast_i64_f64(st, v))

// Times of numbers since 1970: microseconds are v * mul / div.
RKD_FN int64_t rkd_time_f64(uint8_t *st, double v, double mul, double div)
{
    double d = rkd_half_away(rkd_div_f64(rkd_mul_f64(v, mul), div));

    if (d > -9.2e18 && d < 9.2e18)
        return (int64_t)d;
    rkd_bad(st, RKD_CAST);
    return 0;
}

// ---- dates: see fn_time.c ---------------------------------------------------------------------------------------------

#define RKD_DAY (86400 * (int64_t)1000000)

RKD_FN int64_t rkd_floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0 ? 1 : 0);
}

RKD_FN int64_t rkd_floor_mod(int64_t a, int64_t b)
{
    int64_t m = a % b;

    return m < 0 ? m + b : m;
}

typedef struct rkd_date {
    int64_t year;
    uint32_t month, day; // from 1
} rkd_date;

RKD_FN rkd_date rkd_date_of(int64_t us)
{
    int64_t z = rkd_floor_div(us, RKD_DAY) + 719468, era = rkd_floor_div(z, 146097);
    uint32_t doe = (uint32_t)(z - era * 146097);
    uint32_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    uint32_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    uint32_t mp = (5 * doy + 2) / 153;
    rkd_date d;

    d.day = doy - (153 * mp + 2) / 5 + 1;
    d.month = mp < 10 ? mp + 3 : mp - 9;
    d.year = (int64_t)yoe + era * 400 + (d.month <= 2 ? 1 : 0);
    return d;
}

// The days from 1970 to the first of a month.
RKD_FN int64_t rkd_day_of(int64_t year, uint32_t month)
{
    int64_t y = year - (month <= 2 ? 1 : 0), era = rkd_floor_div(y, 400);
    uint32_t yoe = (uint32_t)(y - era * 400);
    uint32_t doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5;
    uint32_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;

    return era * 146097 + (int64_t)doe - 719468;
}

RKD_FN1(rkd_year_i64, int64_t, int64_t, rkd_date_of(v).year)
RKD_FN1(rkd_month_i64, int64_t, int64_t, (int64_t)rkd_date_of(v).month)
RKD_FN1(rkd_day_i64, int64_t, int64_t, (int64_t)rkd_date_of(v).day)
RKD_FN1(rkd_hour_i64, int64_t, int64_t, rkd_floor_mod(v, RKD_DAY) / 3600000000LL)
RKD_FN1(rkd_minute_i64, int64_t, int64_t, rkd_floor_mod(v, RKD_DAY) / 60000000 % 60)
RKD_FN1(rkd_second_i64, int64_t, int64_t, rkd_floor_mod(v, RKD_DAY) / 1000000 % 60)
RKD_FN1(rkd_weekday_i64, int64_t, int64_t, rkd_floor_mod(rkd_floor_div(v, RKD_DAY) + 3, 7) + 1)

// The begin of a unit of so many microseconds; weeks begin on Monday, and 1970 on a Thursday: shift is 3 days.
RKD_FN int64_t rkd_trunc_us(uint8_t *st, int64_t us, int64_t unit, int64_t shift)
{
    return rkd_sub_i64(st, us, rkd_floor_mod(rkd_floor_mod(us, unit) + shift, unit));
}

RKD_FN int64_t rkd_trunc_months(uint8_t *st, int64_t us, uint32_t months)
{
    rkd_date d = rkd_date_of(us);

    return rkd_mul_i64(st, rkd_day_of(d.year, (d.month - 1) / months * months + 1), RKD_DAY);
}

// ---- hash(): XXH64, see expr/hash.c -----------------------------------------------------------------------------------

#define RKD_P1 0x9e3779b185ebca87ULL
#define RKD_P2 0xc2b2ae3d27d4eb4fULL
#define RKD_P3 0x165667b19e3779f9ULL
#define RKD_P4 0x85ebca77c2b2ae63ULL
#define RKD_P5 0x27d4eb2f165667c5ULL

RKD_FN uint64_t rkd_turn(uint64_t v, int by)
{
    return v << by | v >> (64 - by);
}

RKD_FN uint64_t rkd_hash_end(uint64_t h)
{
    h = (h ^ h >> 33) * RKD_P2;
    h = (h ^ h >> 29) * RKD_P3;
    return h ^ h >> 32;
}

// Each goes on from the hash of the values before it; a null stands for no bytes.
RKD_FN uint64_t rkd_hash_u64(uint64_t h, uint64_t v, uint8_t state)
{
    if (state)
        return rkd_hash_end(h + RKD_P5);
    return rkd_hash_end(rkd_turn((h + RKD_P5 + 8) ^ rkd_turn(v * RKD_P2, 31) * RKD_P1, 27) * RKD_P1 + RKD_P4);
}

RKD_FN uint64_t rkd_hash_f64(uint64_t h, double v, uint8_t state)
{
    return rkd_hash_u64(h, v == 0 ? 0 : v != v ? 0x7ff8000000000000ULL : rkd_bits(v), state);
}

RKD_FN uint64_t rkd_hash_bool(uint64_t h, uint8_t v, uint8_t state)
{
    if (state)
        return rkd_hash_end(h + RKD_P5);
    return rkd_hash_end(rkd_turn((h + RKD_P5 + 1) ^ v * RKD_P5, 11) * RKD_P1);
}

#endif
