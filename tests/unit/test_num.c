// Tests of rkpipe/num.h.  The C library's strtod, strtof, printf and timegm are the oracles.
#include <rkpipe/num.h>

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define N(a) (sizeof(a) / sizeof *(a))

// A splitmix64 stream: the same on every run.
static uint64_t next_random(uint64_t *s)
{
    uint64_t z = *s += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static uint64_t below(uint64_t *s, uint64_t n)
{
    return next_random(s) % n;
}

static uint64_t bits64(double v)
{
    uint64_t b;

    memcpy(&b, &v, sizeof b);
    return b;
}

static uint32_t bits32(float v)
{
    uint32_t b;

    memcpy(&b, &v, sizeof b);
    return b;
}

static double f64_of_bits(uint64_t b)
{
    double v;

    memcpy(&v, &b, sizeof v);
    return v;
}

static float f32_of_bits(uint32_t b)
{
    float v;

    memcpy(&v, &b, sizeof v);
    return v;
}

// Parses from a block of exactly n bytes, so that a sanitizer sees every byte read beyond.
static bool parse_f64(const char *t, size_t n, double *v)
{
    char *p = malloc(n ? n : 1);
    bool ok;

    memcpy(p, t, n);
    ok = rkp_parse_f64(n ? p : NULL, n, v);
    free(p);
    return ok;
}

static bool parse_f32(const char *t, size_t n, float *v)
{
    char *p = malloc(n ? n : 1);
    bool ok;

    memcpy(p, t, n);
    ok = rkp_parse_f32(n ? p : NULL, n, v);
    free(p);
    return ok;
}

static void same_as_libc(const char *t)
{
    double v = 0;
    float f = 0;

    if (!parse_f64(t, strlen(t), &v) || bits64(v) != bits64(strtod(t, NULL)))
        fail_msg("f64 '%s': got %a, want %a", t, v, strtod(t, NULL));
    if (!parse_f32(t, strlen(t), &f) || bits32(f) != bits32(strtof(t, NULL)))
        fail_msg("f32 '%s': got %a, want %a", t, (double)f, (double)strtof(t, NULL));
}

// ---- integers

static void integers_are_read_whole_and_in_range(void **state)
{
    static const struct {
        const char *t;
        bool i_ok;
        int64_t i;
        bool u_ok;
        uint64_t u;
    } cases[] = {
        { "0", true, 0, true, 0 },
        { "-0", true, 0, false, 0 },
        { "+7", true, 7, true, 7 },
        { "-1", true, -1, false, 0 },
        { "12345678", true, 12345678, true, 12345678 },
        { "1234567890123456789", true, 1234567890123456789, true, 1234567890123456789 },
        { "9223372036854775807", true, INT64_MAX, true, INT64_MAX },
        { "9223372036854775808", false, 0, true, 9223372036854775808u },
        { "-9223372036854775808", true, INT64_MIN, false, 0 },
        { "-9223372036854775809", false, 0, false, 0 },
        { "18446744073709551615", false, 0, true, UINT64_MAX },
        { "18446744073709551616", false, 0, false, 0 },
        { "99999999999999999999", false, 0, false, 0 },
        { "100000000000000000000", false, 0, false, 0 },
        { "00000000000000000000000000000042", true, 42, true, 42 },
        { "-00000000000000000000000000000042", true, -42, false, 0 },
        { "0000000000000000000000000000000000000000", true, 0, true, 0 },
        { "0000000000000000000000000000000000x00000", false, 0, false, 0 },
        { "1844674407370955161x", false, 0, false, 0 },
        { "1234567x", false, 0, false, 0 },
        { "x2345678", false, 0, false, 0 },
        { "1234567:", false, 0, false, 0 },
        { "1234567/", false, 0, false, 0 },
        { "1234\x80"
          "678",
          false, 0, false, 0 },
        { "", false, 0, false, 0 },
        { "+", false, 0, false, 0 },
        { "-", false, 0, false, 0 },
        { "+-1", false, 0, false, 0 },
        { "--1", false, 0, false, 0 },
        { " 1", false, 0, false, 0 },
        { "1 ", false, 0, false, 0 },
        { "1.0", false, 0, false, 0 },
        { "0x1", false, 0, false, 0 },
        { "1_000", false, 0, false, 0 },
    };

    (void)state;
    for (size_t i = 0; i < N(cases); i++) {
        int64_t v = 99;
        uint64_t u = 99;
        size_t n = strlen(cases[i].t);

        assert_int_equal(rkp_parse_i64(cases[i].t, n, &v), cases[i].i_ok);
        assert_true(v == (cases[i].i_ok ? cases[i].i : 99)); // untouched on failure
        assert_int_equal(rkp_parse_u64(cases[i].t, n, &u), cases[i].u_ok);
        assert_true(u == (cases[i].u_ok ? cases[i].u : 99));
    }
    assert_false(rkp_parse_i64(NULL, 0, &(int64_t){ 0 }));
    assert_false(rkp_parse_u64(NULL, 0, &(uint64_t){ 0 }));
}

static void integers_print_as_printf_does_and_read_back(void **state)
{
    uint64_t s = 1;

    (void)state;
    for (int i = 0; i < 300000; i++) {
        uint64_t u = next_random(&s) >> below(&s, 64), u2;
        int64_t v = (int64_t)next_random(&s) >> below(&s, 64), v2;
        char t[RKP_I64_TEXT], want[32];
        size_t n;

        if (i < 40) { // powers of ten and their neighbours
            u = 1;
            for (int k = 0; k < i / 2; k++)
                u *= 10;
            u -= i & 1;
            v = -(int64_t)(u / 10);
        }
        if (i == 40) {
            u = UINT64_MAX;
            v = INT64_MIN;
        }
        n = rkp_print_u64(t, u);
        snprintf(want, sizeof want, "%" PRIu64, u);
        assert_int_equal(n, strlen(want));
        assert_memory_equal(t, want, n);
        assert_true(rkp_parse_u64(t, n, &u2) && u2 == u);
        n = rkp_print_i64(t, v);
        snprintf(want, sizeof want, "%" PRId64, v);
        assert_int_equal(n, strlen(want));
        assert_memory_equal(t, want, n);
        assert_true(rkp_parse_i64(t, n, &v2) && v2 == v);
    }
}

// ---- reading floats

static void text_that_is_no_number_is_refused(void **state)
{
    static const char *const cases[] = {
        "",           "+",       "-",   ".",          "+.",   "-.",       "..",          "1..",
        "1.2.3",      "1.2.3.4", "e5",  ".e5",        "1e",   "1e+",      "1e-",         "1e5.0",
        "1e5x",       " 1",      "1 ",  "1,5",        "0x10", "0x1p3",    "1_000",       "--1",
        "+-1",        "1-",      "1+1", "in",         "infi", "infinit",  "infinityx",   "nanx",
        "nan()",      "na",      "n",   "i",          "-",    "1234567x", "x2345678",    "1234.67x",
        "12345678.x", "1e1e1",   "1f",  "1d",         "\xb1", "1\xb2",    "1234567\xb0", "1234567890123456789012345x",
        "1.5\n",      "..5",     ".5.", "12345.789.", "1:2",  "1/2",      "1e 5",        "- 1",
        "+inf1",
    };

    (void)state;
    for (size_t i = 0; i < N(cases); i++) {
        double v = 99;
        float f = 99;

        if (parse_f64(cases[i], strlen(cases[i]), &v) || parse_f32(cases[i], strlen(cases[i]), &f))
            fail_msg("'%s' was taken", cases[i]);
        assert_true(bits64(v) == bits64(99) && bits32(f) == bits32(99));
    }
    assert_false(rkp_parse_f64("1\0002", 3, &(double){ 0 })); // NUL is a byte like others
    for (int c = 1; c < 256; c++)                             // any byte at any place of a short number
        for (size_t n = 1; n <= 9; n++)
            for (size_t at = 0; at < n; at++) {
                char t[10] = "111111111";
                char *end;
                double v = 99;
                bool want;

                t[n] = '\0';
                t[at] = (char)c;
                strtod(t, &end);
                want = *end == '\0' && !strpbrk(t, " \t\n\v\f\r");
                assert_int_equal(parse_f64(t, n, &v), want);
            }
}

static void names_are_read_in_any_case(void **state)
{
    static const struct {
        const char *t;
        uint64_t bits;
    } cases[] = {
        { "inf", 0x7ff0000000000000u },      { "+Inf", 0x7ff0000000000000u },      { "-INF", 0xfff0000000000000u },
        { "Infinity", 0x7ff0000000000000u }, { "-iNfInItY", 0xfff0000000000000u }, { "nan", 0x7ff8000000000000u },
        { "NaN", 0x7ff8000000000000u },      { "-NAN", 0xfff8000000000000u },
    };

    (void)state;
    for (size_t i = 0; i < N(cases); i++) {
        double v;
        float f;

        assert_true(parse_f64(cases[i].t, strlen(cases[i].t), &v));
        assert_true(bits64(v) == cases[i].bits);
        assert_true(parse_f32(cases[i].t, strlen(cases[i].t), &f));
        assert_true(bits32(f) >> 22 == (uint32_t)(cases[i].bits >> 63 << 9 | (cases[i].bits >> 51 & 0x1ff)) ||
                    (isnan(f) && isnan(cases[i].bits ? f64_of_bits(cases[i].bits) : 0)));
        assert_int_equal(signbit(f) != 0, cases[i].bits >> 63);
    }
}

static const char *const hard[] = {
    "0",
    "-0",
    "0.0",
    "-0.0",
    ".5",
    "5.",
    "+.5",
    "-5.",
    "00",
    "007.50",
    "123.45",
    "-7.0001",
    "1e10",
    "1E10",
    "1e+10",
    "1e-10",
    "0e999999999999999999999",
    "1e999999999999999999999",
    "1e-999999999999999999999",
    "-1e999999999999999999999",
    "1e309",
    "1e308",
    "1.7976931348623157e308",
    "1.7976931348623158e308",
    "1.7976931348623159e308",
    "179769313486231580793728971405301e276",
    "2.2250738585072014e-308",
    "2.2250738585072011e-308",
    "2.225073858507201136057409796709131975934819546351645648023426109724822222021076945"
    "5165295239081350879141491589130396211068700864386945946455276572074078206217433799881410632673292535522868813721"
    "4901298112245145188984905722230728525513315575501591439747639798341180199932396254828903107e-308",
    "4.9406564584124654e-324",
    "5e-324",
    "2.4703282292062327e-324",
    "2.4703282292062328e-324",
    "2.5e-324",
    "3e-324",
    "2e-324",
    "1e-323",
    "9007199254740991",
    "9007199254740992",
    "9007199254740993",
    "9007199254740994",
    "9007199254740993.0",
    "9007199254740993.00000000000000000000000000000000000000001",
    "9007199254740992.99999999999999999999999999",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "0.1",
    "0.3",
    "4.35",
    "1e23",
    "8.5e22",
    "1e22",
    "1e-22",
    "123456789012345678",
    "0.00000000000000000000000000000000000000000000001",
    "100000000000000000000000000000000000000000000000000",
    "7.2057594037927933e16",
    "6.631236846766476e-316",
    "3.518437208883201171875e13",
    "62.5364939768271845828",
    "8.10109172351e-10",
    "1.50000000000000011102230246251565",
    "1.50000000000000011102230246251564",
    "1.50000000000000011102230246251566",
    "1.00000000000000011102230246251565404236316680908203125",
    "1.00000000000000011102230246251565404236316680908203124",
    "1.00000000000000011102230246251565404236316680908203126",
    // float's own: the largest, halfway to infinity, smallest, halfway to zero, double rounding
    "3.4028234663852886e38",
    "3.4028235677973366e38",
    "3.4028235677973367e38",
    "3.4028235677973365e38",
    "1.401298464324817e-45",
    "7.006492321624085e-46",
    "7.006492321624086e-46",
    "7.0064923216240853546186479164495e-46",
    "7.0064923216240853546186479164496e-46",
    "1.1754943508222875e-38",
    "1.1754942807573643e-38",
    "16777217",
    "16777219",
    "16777217.0000000000000000000000001",
    "1.00000005960464477539062500",
    "1.00000005960464477539062501",
    "1.000000059604644775390625000000000000000000000000000000001",
    "1.00000017881393432617187499",
    "0.5000000894069671",
    "8388609.5",
    "8388608.5",
    "8388607.25",
};

static void hard_texts_are_rounded_as_libc_rounds_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < N(hard); i++)
        same_as_libc(hard[i]);
}

// 2^e exactly, and the midpoints above it, and one digit to either side of that: up to 1,077 digits long.
static void every_midpoint_goes_to_even_and_its_neighbours_do_not(void **state)
{
    static char t[4000];

    (void)state;
    for (int e = -1074; e < 1024; e += e < -1060 || e > 1010 ? 1 : 7)
        for (uint64_t m = 0; m < 4; m++) {
            uint64_t bits = bits64(ldexp(1.0, e)) + m;
            double lo = f64_of_bits(bits), hi = f64_of_bits(bits + 1);
            long double mid = ((long double)lo + (long double)hi) / 2; // exact in x87's 64 bits
            int n;

            if (!isfinite(hi) || LDBL_MANT_DIG < 64)
                continue;
            n = snprintf(t, 3000, "%.1100Lf", mid);
            same_as_libc(t); // the tie
            assert_true(n > 1000);
            t[n] = '1';
            t[n + 1] = '\0';
            same_as_libc(t); // above
            t[n] = '0';
            for (n--; t[n] == '0' || t[n] == '.'; n--)
                ;
            t[n]--;
            same_as_libc(t); // below
        }
}

static void random_texts_of_all_shapes_are_rounded_as_libc_rounds_them(void **state)
{
    uint64_t s = 2;
    static char t[2000];

    (void)state;
    for (int i = 0; i < 400000; i++) {
        char *p = t;
        unsigned shape = (unsigned)below(&s, 16);
        uint64_t whole = below(&s, shape < 8 ? 6 : shape < 14 ? 25 : 40), frac = below(&s, shape < 8 ? 7 : 30);

        if (shape == 15 && i % 8 == 0) {
            whole = below(&s, 700);
            frac = below(&s, 700);
        }
        if (below(&s, 3) == 0)
            *p++ = below(&s, 4) ? '-' : '+';
        if (whole + frac == 0)
            whole = 1;
        if (below(&s, 20) == 0) // many zeros first
            for (uint64_t k = below(&s, 40); k-- > 0;)
                *p++ = '0';
        for (uint64_t k = 0; k < whole; k++)
            *p++ = (char)('0' + below(&s, 10));
        if (frac || below(&s, 4) == 0) {
            *p++ = '.';
            if (below(&s, 20) == 0)
                for (uint64_t k = below(&s, 40); k-- > 0;)
                    *p++ = '0';
            for (uint64_t k = 0; k < frac; k++)
                *p++ = (char)('0' + below(&s, 10));
        }
        *p = '\0';
        if (shape % 4 == 3)
            sprintf(p, "%c%s%d", shape & 8 ? 'e' : 'E', below(&s, 3) ? "" : "+", (int)below(&s, 700) - 350);
        if (strstr(p, "+-"))
            *p = '\0';
        same_as_libc(t);
    }
}

static void texts_near_random_floats_are_rounded_as_libc_rounds_them(void **state)
{
    uint64_t s = 3;

    (void)state;
    for (int i = 0; i < 200000; i++) {
        double v = f64_of_bits(next_random(&s) & INT64_MAX);
        float f = f32_of_bits((uint32_t)next_random(&s) & INT32_MAX);
        char t[80];

        if (isfinite(v)) {
            snprintf(t, sizeof t, "%.*e", (int)below(&s, 40), v);
            same_as_libc(t);
        }
        if (isfinite(f)) {
            snprintf(t, sizeof t, "%.*e", (int)below(&s, 40), (double)f);
            same_as_libc(t);
            // the midpoint to the next float: exact as a double
            snprintf(t, sizeof t, "%.*e", 15 + (int)below(&s, 60),
                     ((double)f + (double)f32_of_bits(bits32(f) + 1)) / 2);
            if (!strchr(t, 'n'))
                same_as_libc(t);
        }
    }
}

static void a_megabyte_of_digits_is_read(void **state)
{
    size_t n = 1 << 20;
    char *t = malloc(n + 32);
    double v;

    (void)state;
    memset(t, '0', n);
    assert_true(rkp_parse_f64(t, n, &v) && bits64(v) == 0);
    t[n - 1] = '7';
    assert_true(rkp_parse_f64(t, n, &v) && v == 7);
    t[1] = '.'; // 0.0000..7e1048574
    memcpy(t + n, "e1048574", 8);
    assert_true(rkp_parse_f64(t, n + 8, &v) && v == 7);
    memset(t, '9', n);
    assert_true(rkp_parse_f64(t, n, &v) && isinf(v));
    t[1] = '.';
    assert_true(rkp_parse_f64(t, n, &v) && v == 10);
    memcpy(t, "9007199254740993.", 17); // a tie but for the last of a million digits
    memset(t + 17, '0', n - 17);
    assert_true(rkp_parse_f64(t, n, &v) && v == 9007199254740992.0);
    t[n - 1] = '1';
    assert_true(rkp_parse_f64(t, n, &v) && v == 9007199254740994.0);
    free(t);
}

// ---- printing floats

static const struct {
    double v;
    const char *t;
} printed[] = {
    { 0.0, "0.0" },
    { -0.0, "-0.0" },
    { 1, "1.0" },
    { -1, "-1.0" },
    { 0.1, "0.1" },
    { 0.3, "0.3" },
    { 4.35, "4.35" },
    { 2, "2.0" },
    { 10, "10.0" },
    { 100000, "100000.0" },
    { 123456789, "123456789.0" },
    { 1234567890, "1234567890.0" },
    { 0.000001, "1e-06" },
    { 0.00001, "0.00001" },
    { 0.000012345, "0.000012345" },
    { 0.00123, "0.00123" },
    { 1.5e-7, "1.5e-07" },
    { 123.456789, "123.456789" },
    { 123.4567891, "123.4567891" },
    { 999999.999999, "999999.999999" },
    { 1e15, "1000000000000000.0" },
    { 1e16, "1e+16" },
    { 9999999999999998, "9999999999999998.0" },
    { 9007199254740993.0, "9007199254740992.0" },
    { 9007199254740991, "9007199254740991.0" },
    { 1234567890123456.5, "1234567890123456.5" },
    { 1e22, "1e+22" },
    { 1e23, "1e+23" },
    { 1e300, "1e+300" },
    { 1.7976931348623157e308, "1.7976931348623157e+308" },
    { 5e-324, "5e-324" },
    { 2.2250738585072014e-308, "2.2250738585072014e-308" },
    { 2.225073858507201e-308, "2.225073858507201e-308" },
    { 5.684341886080802e-14, "5.684341886080802e-14" }, // 2^-44: the nearer one with 16 digits does not read back
    { 9.5367431640625e-7, "9.5367431640625e-07" },
    { (double)INFINITY, "inf" },
    { -(double)INFINITY, "-inf" },
    { (double)NAN, "nan" },
    { -(double)NAN, "nan" },
};

static void floats_print_in_the_documented_form(void **state)
{
    (void)state;
    for (size_t i = 0; i < N(printed); i++) {
        char t[RKP_F64_TEXT + 1];

        t[rkp_print_f64(t, printed[i].v)] = '\0';
        assert_string_equal(t, printed[i].t);
    }
    for (size_t i = 0; i < 3; i++) {
        static const float v[] = { 0.1f, 16777216.0f, 1e-45f };
        static const char *const want[] = { "0.1", "16777216.0", "1e-45" };
        char t[RKP_F64_TEXT + 1];

        t[rkp_print_f32(t, v[i])] = '\0';
        assert_string_equal(t, want[i]);
    }
}

// How many digits the shortest %.{n}e that reads back has, and its text.
static int shortest(double v, bool single, char *t)
{
    for (int prec = 0;; prec++) {
        sprintf(t, "%.*e", prec, v);
        if (prec == 16 || (single ? strtof(t, NULL) == (float)v : strtod(t, NULL) == v))
            return prec + 1;
    }
}

// Counts the digits of our text without the zeros around them.
static int digits_in(const char *t)
{
    int n = 0, zeros = 0;

    for (; *t && *t != 'e'; t++) {
        if (*t < '0' || *t > '9' || (n == 0 && *t == '0'))
            continue;
        zeros = *t == '0' ? zeros + 1 : 0;
        n++;
    }
    return n - zeros;
}

static void check_f64(double v, bool power_of_two)
{
    char t[RKP_F64_TEXT + 1], want[40];
    double back;
    int n;

    memset(t, 'x', sizeof t);
    t[rkp_print_f64(t, v)] = '\0';
    if (!rkp_parse_f64(t, strlen(t), &back) || bits64(back) != bits64(v) || bits64(strtod(t, NULL)) != bits64(v))
        fail_msg("%a printed as '%s'", v, t);
    if (!strpbrk(t, ".e"))
        fail_msg("'%s' looks like an integer", t);
    if (v == 0)
        return;
    if ((fabs(v) >= 1e-5 && fabs(v) < 1e16) != (strchr(t, 'e') == NULL))
        fail_msg("'%s' has the wrong notation", t);
    n = shortest(v, false, want);
    if (power_of_two ? digits_in(t) > n : digits_in(t) != n)
        fail_msg("'%s' is not the shortest: '%s'", t, want);
    // As near as can be with so many digits: the same value as printf's, but beside powers of two.
    if (!power_of_two && bits64(strtod(want, NULL)) == bits64(v)) {
        char ours[40];

        sprintf(ours, "%.*e", n - 1, strtod(t, NULL));
        assert_string_equal(ours, want);
    }
}

static void check_f32(float v, bool power_of_two)
{
    char t[RKP_F64_TEXT + 1], want[40];
    float back;
    int n;

    t[rkp_print_f32(t, v)] = '\0';
    if (!rkp_parse_f32(t, strlen(t), &back) || bits32(back) != bits32(v) || bits32(strtof(t, NULL)) != bits32(v))
        fail_msg("%a printed as '%s'", (double)v, t);
    if (v == 0)
        return;
    n = shortest((double)v, true, want);
    if (power_of_two ? digits_in(t) > n : digits_in(t) != n)
        fail_msg("'%s' is not the shortest: '%s'", t, want);
}

static void every_power_of_two_and_its_neighbours_print_shortest(void **state)
{
    (void)state;
    for (int e = -1074; e < 1024; e++)
        for (int64_t k = -2; k <= 2; k++) {
            double v = f64_of_bits((uint64_t)((int64_t)bits64(ldexp(1, e)) + k));

            if (isfinite(v) && !signbit(v)) {
                check_f64(v, k == 0);
                check_f64(-v, k == 0);
            }
        }
    for (int e = -149; e < 128; e++)
        for (int k = -2; k <= 2; k++) {
            float v = f32_of_bits((uint32_t)((int)bits32(ldexpf(1, e)) + k));

            if (isfinite(v) && !signbit(v))
                check_f32(v, k == 0);
        }
}

static void every_power_of_ten_and_its_neighbours_print_shortest(void **state)
{
    (void)state;
    for (int e = -323; e <= 308; e++)
        for (int64_t k = -3; k <= 3; k++) {
            char t[16];
            double v;

            sprintf(t, "1e%d", e);
            v = f64_of_bits((uint64_t)((int64_t)bits64(strtod(t, NULL)) + k));
            if (!signbit(v) && isfinite(v))
                check_f64(v, (bits64(v) & 0xfffffffffffffu) == 0);
        }
}

static void random_bit_patterns_print_and_read_back(void **state)
{
    uint64_t s = 4;

    (void)state;
    for (int i = 0; i < 1200000; i++) {
        double v = f64_of_bits(next_random(&s)), back;
        float f = f32_of_bits((uint32_t)next_random(&s)), fback;
        char t[RKP_F64_TEXT];
        size_t n;

        if (isfinite(v)) {
            n = rkp_print_f64(t, v);
            if (!rkp_parse_f64(t, n, &back) || bits64(back) != bits64(v))
                fail_msg("%a printed as '%.*s'", v, (int)n, t);
        }
        if (isfinite(f)) {
            n = rkp_print_f32(t, f);
            if (!rkp_parse_f32(t, n, &fback) || bits32(fback) != bits32(f))
                fail_msg("%a printed as '%.*s'", (double)f, (int)n, t);
        }
    }
}

static void random_bit_patterns_print_shortest(void **state)
{
    uint64_t s = 5;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        double v = f64_of_bits(next_random(&s));
        float f = f32_of_bits((uint32_t)next_random(&s));

        if (isfinite(v))
            check_f64(v, (bits64(v) & 0xfffffffffffffu) == 0);
        if (isfinite(f))
            check_f32(f, (bits32(f) & 0x7fffffu) == 0);
    }
}

static void decimals_of_few_digits_print_as_written(void **state)
{
    uint64_t s = 6;

    (void)state;
    for (int i = 0; i < 200000; i++) {
        uint64_t w = below(&s, 1000000000000000u) >> below(&s, 49);
        unsigned frac = (unsigned)below(&s, 10);
        char want[40], t[RKP_F64_TEXT + 1];
        double v, scale = 1;

        for (unsigned k = 0; k < frac; k++)
            scale *= 10;
        v = (double)w / scale;
        check_f64(v, true);
        if (v < 1e-5 || (frac && w % 10 == 0))
            continue;
        if (frac)
            snprintf(want, sizeof want, "%.*f", (int)frac, v);
        else
            snprintf(want, sizeof want, "%" PRIu64 ".0", w);
        t[rkp_print_f64(t, v)] = '\0';
        assert_string_equal(t, want);
    }
}

// ---- timestamps

static void timestamps_are_read(void **state)
{
    static const struct {
        const char *t;
        int64_t us;
    } cases[] = {
        { "1970-01-01T00:00:00Z", 0 },
        { "1970-01-01 00:00", 0 },
        { "1970-01-01t00:00z", 0 },
        { "1970-01-01T00:00:01", 1000000 },
        { "1970-01-01T00:00:00.5", 500000 },
        { "1970-01-01T00:00:00.123Z", 123000 },
        { "1970-01-01T00:00:00.123z", 123000 },
        { "1970-01-01T00:00:59.999Z", 59999000 },
        { "1970-01-01T00:00:00.123456Z", 123456 },
        { "1970-01-01T00:00:00.1234569999999999999999999999999Z", 123456 },
        { "1970-01-01T00:00:00.0000009+00:00", 0 },
        { "1969-12-31T23:59:59.9999999Z", -1 },
        { "1970-01-01T01:00+01:00", 0 },
        { "1970-01-01T00:00:00-00:30", 1800000000 },
        { "1970-01-01T00:00:00.25+23:59", -86340000000 + 250000 },
        { "2000-02-29T00:00:00Z", 951782400000000 },
        { "2024-02-29T12:34:56.789Z", 1709210096789000 },
        { "2025-01-01T00:00:00.123Z", 1735689600123000 },
        { "0000-01-01T00:00:00Z", -62167219200000000 },
        { "0000-02-29T00:00:00Z", -62162121600000000 },
        { "9999-12-31T23:59:59.999999Z", 253402300799999999 },
        { "9999-12-31T23:59:59-23:59", 253402300799000000 + 86340000000 },
        { "1600-02-29 00:00:00", -11670998400000000 },
    };

    (void)state;
    for (size_t i = 0; i < N(cases); i++) {
        int64_t us = -7;
        size_t n = strlen(cases[i].t);
        char *p = malloc(n);

        memcpy(p, cases[i].t, n);
        if (!rkp_parse_timestamp(p, n, &us) || us != cases[i].us)
            fail_msg("'%s': got %" PRId64 ", want %" PRId64, cases[i].t, us, cases[i].us);
        free(p);
    }
}

static void times_that_do_not_exist_are_refused(void **state)
{
    static const char *const cases[] = {
        "",
        "2024-01-01",
        "2024-01-01T",
        "2024-01-01T00",
        "2024-01-01T00:0",
        "2024-01-01T0:00:00Z",
        "2024-1-01T00:00:00Z",
        "24-01-01T00:00:00Z",
        "12024-01-01T00:00:00Z",
        "+2024-01-01T00:00:00Z",
        "-024-01-01T00:00:00Z",
        "2024-00-01T00:00:00Z",
        "2024-13-01T00:00:00Z",
        "2024-01-00T00:00:00Z",
        "2024-01-32T00:00:00Z",
        "2024-02-30T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2024-04-31T00:00:00Z",
        "2024-06-31T00:00:00Z",
        "2024-09-31T00:00:00Z",
        "2024-11-31T00:00:00Z",
        "2024-01-01T24:00:00Z",
        "2024-01-01T00:60:00Z",
        "2024-01-01T00:00:60Z",
        "2024-01-01T00:00:60.123Z",
        "2024-01-01T00:00:61",
        "2024-01-01T00:00:",
        "2024-01-01T00:00:1",
        "2024-01-01T00:00:00.",
        "2024-01-01T00:00:00.Z",
        "2024-01-01T00:00:00.12x",
        "2024-01-01T00:00:00,5Z",
        "2024-01-01T00:00:00ZZ",
        "2024-01-01T00:00:00Z ",
        " 2024-01-01T00:00:00Z",
        "2024-01-01T00:00:00 Z",
        "2024-01-01T00:00:00+1:00",
        "2024-01-01T00:00:00+0100",
        "2024-01-01T00:00:00+01",
        "2024-01-01T00:00:00+24:00",
        "2024-01-01T00:00:00+00:60",
        "2024-01-01T00:00:00+01:00Z",
        "2024-01-01T00:00:00*01:00",
        "2024-01-01_00:00:00Z",
        "2024/01/01T00:00:00Z",
        "2024-01-01T00.00.00Z",
        "2024-01-01T00:00:00.1z3Z",
        "2024-01-01T00:00:00:123Z",
        "20240101T000000.000Z",
        "2024-01-01TT00:00:00Z",
    };

    (void)state;
    for (size_t i = 0; i < N(cases); i++) {
        int64_t us = -7;
        size_t n = strlen(cases[i]);
        char *p = malloc(n + 1);

        memcpy(p, cases[i], n);
        if (rkp_parse_timestamp(p, n, &us))
            fail_msg("'%s' was taken", cases[i]);
        assert_true(us == -7);
        free(p);
    }
    assert_false(rkp_parse_timestamp(NULL, 0, &(int64_t){ 0 }));
    for (int c = 0; c < 256; c++) // any other byte at any place
        for (size_t at = 0; at < 24; at++) {
            char t[] = "2011-11-11T11:11:11.111Z";
            bool want = (c >= '0' && c <= '9' && t[at] == '1') || c == t[at] || (at == 10 && (c == ' ' || c == 't')) ||
                        (at == 23 && (c == 'z' || (c >= '0' && c <= '9')));
            int64_t us;

            if (at == 0 || at == 1 || at == 2 || at == 3)
                want = c >= '0' && c <= '9';
            if (at == 5)
                want = c == '0' || c == '1';
            if (at == 6)
                want = c >= '0' && c <= '2';
            if (at == 8)
                want = c >= '0' && c <= '2';
            if (at == 11)
                want = c >= '0' && c <= '2';
            if (at == 14 || at == 17)
                want = c >= '0' && c <= '5';
            t[at] = (char)c;
            assert_int_equal(rkp_parse_timestamp(t, 24, &us), want);
        }
}

static void every_day_agrees_with_timegm_and_prints_back(void **state)
{
    (void)state;
    for (int64_t day = -719528; day <= 2932896; day++) { // 0000-01-01 .. 9999-12-31
        time_t s = day * 86400 + (day * 7919 & 0xffff);
        struct tm tm;
        char want[80], t[RKP_TIMESTAMP_TEXT];
        int64_t us;
        size_t n;

        if (day % 11 && (day < 0 || day > 30000)) // every day of the years people use
            continue;
        gmtime_r(&s, &tm);
        snprintf(want, sizeof want, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
                 tm.tm_hour, tm.tm_min, tm.tm_sec);
        assert_true(rkp_parse_timestamp(want, strlen(want), &us));
        assert_true(us == s * 1000000);
        n = rkp_print_timestamp(t, us);
        assert_int_equal(n, 20);
        assert_memory_equal(t, want, n);
    }
}

static void timestamps_print_their_fraction_and_read_back(void **state)
{
    static const struct {
        int64_t us;
        const char *t;
    } cases[] = {
        { 0, "1970-01-01T00:00:00Z" },
        { 1000, "1970-01-01T00:00:00.001Z" },
        { 1, "1970-01-01T00:00:00.000001Z" },
        { 120000, "1970-01-01T00:00:00.120Z" },
        { -1, "1969-12-31T23:59:59.999999Z" },
        { 253402300799999999, "9999-12-31T23:59:59.999999Z" },
        { 253402300800000000, "+10000-01-01T00:00:00Z" },
        { -62167219200000000, "0000-01-01T00:00:00Z" },
        { -62167219200000001, "-0001-12-31T23:59:59.999999Z" },
        { INT64_MAX, "+294247-01-10T04:00:54.775807Z" },
        { INT64_MIN, "-290308-12-21T19:59:05.224192Z" },
    };
    uint64_t s = 7;

    (void)state;
    for (size_t i = 0; i < N(cases); i++) {
        char t[RKP_TIMESTAMP_TEXT + 1];

        t[rkp_print_timestamp(t, cases[i].us)] = '\0';
        assert_string_equal(t, cases[i].t);
    }
    for (int i = 0; i < 300000; i++) {
        int64_t us = (int64_t)below(&s, 315569520000000000u) - 62167219200000000, back;
        char t[RKP_TIMESTAMP_TEXT];
        size_t n;

        if (i & 1)
            us -= us % 1000;
        n = rkp_print_timestamp(t, us);
        assert_true(rkp_parse_timestamp(t, n, &back));
        assert_true(back == us);
        rkp_print_timestamp(t, (int64_t)next_random(&s)); // anything at all
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_read_whole_and_in_range),
        cmocka_unit_test(integers_print_as_printf_does_and_read_back),
        cmocka_unit_test(text_that_is_no_number_is_refused),
        cmocka_unit_test(names_are_read_in_any_case),
        cmocka_unit_test(hard_texts_are_rounded_as_libc_rounds_them),
        cmocka_unit_test(every_midpoint_goes_to_even_and_its_neighbours_do_not),
        cmocka_unit_test(random_texts_of_all_shapes_are_rounded_as_libc_rounds_them),
        cmocka_unit_test(texts_near_random_floats_are_rounded_as_libc_rounds_them),
        cmocka_unit_test(a_megabyte_of_digits_is_read),
        cmocka_unit_test(floats_print_in_the_documented_form),
        cmocka_unit_test(every_power_of_two_and_its_neighbours_print_shortest),
        cmocka_unit_test(every_power_of_ten_and_its_neighbours_print_shortest),
        cmocka_unit_test(random_bit_patterns_print_and_read_back),
        cmocka_unit_test(random_bit_patterns_print_shortest),
        cmocka_unit_test(decimals_of_few_digits_print_as_written),
        cmocka_unit_test(timestamps_are_read),
        cmocka_unit_test(times_that_do_not_exist_are_refused),
        cmocka_unit_test(every_day_agrees_with_timegm_and_prints_back),
        cmocka_unit_test(timestamps_print_their_fraction_and_read_back),
    };

    return cmocka_run_group_tests_name("num", tests, NULL, NULL);
}
