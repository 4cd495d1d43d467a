// Text to values: what is taken, what is refused, and with which hint.
#include "spec/value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// after the above
#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

static void whole_numbers_follow_yaml_1_2(void **state)
{
    static const struct {
        const char *text;
        rki_verdict v;
        int64_t value;
    } cases[] = {
        { "0", RKI_VALUE_OK, 0 },
        { "42", RKI_VALUE_OK, 42 },
        { "-42", RKI_VALUE_OK, -42 },
        { "+42", RKI_VALUE_OK, 42 },
        { "0x1F", RKI_VALUE_OK, 31 },
        { "-0x10", RKI_VALUE_OK, -16 },
        { "0o17", RKI_VALUE_OK, 15 },
        { "9223372036854775807", RKI_VALUE_OK, INT64_MAX },
        { "-9223372036854775808", RKI_VALUE_OK, INT64_MIN },
        { "9223372036854775808", RKI_VALUE_RANGE, 0 },
        { "-9223372036854775809", RKI_VALUE_RANGE, 0 },
        { "99999999999999999999999", RKI_VALUE_RANGE, 0 },
        { "0xFFFFFFFFFFFFFFFFF", RKI_VALUE_RANGE, 0 },
        { "", RKI_VALUE_FORM, 0 },
        { "-", RKI_VALUE_FORM, 0 },
        { "+", RKI_VALUE_FORM, 0 },
        { "--1", RKI_VALUE_FORM, 0 },
        { "1 ", RKI_VALUE_FORM, 0 },
        { " 1", RKI_VALUE_FORM, 0 },
        { "010", RKI_VALUE_FORM, 0 },
        { "00", RKI_VALUE_FORM, 0 },
        { "1_000", RKI_VALUE_FORM, 0 },
        { "1,000", RKI_VALUE_FORM, 0 },
        { "5x", RKI_VALUE_FORM, 0 },
        { "1.0", RKI_VALUE_FORM, 0 },
        { "1e3", RKI_VALUE_FORM, 0 },
        { "0x", RKI_VALUE_FORM, 0 },
        { "0xg", RKI_VALUE_FORM, 0 },
        { "0o8", RKI_VALUE_FORM, 0 },
        { "0b1", RKI_VALUE_FORM, 0 },
        { "1:30", RKI_VALUE_FORM, 0 },
        { "ten", RKI_VALUE_FORM, 0 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *hint;
        int64_t got = 77;
        rki_verdict v = rki_value_int(rkp_str_of(cases[i].text), &got, &hint);

        if (v != cases[i].v || got != (v == RKI_VALUE_OK ? cases[i].value : 77))
            fail_msg("'%s': %d %lld", cases[i].text, (int)v, (long long)got);
    }
}

static void unsigned_numbers_have_no_sign_but_plus(void **state)
{
    const char *hint;
    uint64_t v = 77;

    (void)state;
    assert_int_equal(rki_value_uint(RKP_STR("18446744073709551615"), &v, &hint), RKI_VALUE_OK);
    assert_true(v == UINT64_MAX);
    assert_int_equal(rki_value_uint(RKP_STR("18446744073709551616"), &v, &hint), RKI_VALUE_RANGE);
    assert_int_equal(rki_value_uint(RKP_STR("-1"), &v, &hint), RKI_VALUE_RANGE);
    assert_int_equal(rki_value_uint(RKP_STR("-x"), &v, &hint), RKI_VALUE_FORM);
    assert_int_equal(rki_value_uint(RKP_STR("-0"), &v, &hint), RKI_VALUE_OK);
    assert_true(v == 0);
    assert_int_equal(rki_value_uint(RKP_STR("+7"), &v, &hint), RKI_VALUE_OK);
    assert_true(v == 7);
    assert_int_equal(rki_value_uint(RKP_STR("010"), &v, &hint), RKI_VALUE_FORM);
    assert_non_null(hint);
    assert_int_equal(rki_value_uint(RKP_STR("1_0"), &v, &hint), RKI_VALUE_FORM);
    assert_non_null(hint);
}

static void floats_are_numbers_only(void **state)
{
    static const char *const good[] = { "0", "1.5", "-1.5", "+1.", ".5", "1e3", "1.5E-3", "1e+3", "007.5", "5e-324" };
    static const char *const bad[] = { "",    ".",     "-",     "e3",  "1e", "1.5abc", "nan",  ".nan", ".inf",
                                       "inf", "0x1p3", "1_0.5", "1,5", "1 ", " 1",     "1..2", "--1",  "1e3.5" };
    const char *hint;
    double v;

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++)
        if (rki_value_float(rkp_str_of(good[i]), &v, &hint) != RKI_VALUE_OK)
            fail_msg("'%s' is refused", good[i]);
    for (size_t i = 0; i < COUNT(bad); i++)
        if (rki_value_float(rkp_str_of(bad[i]), &v, &hint) != RKI_VALUE_FORM)
            fail_msg("'%s' is taken", bad[i]);
    assert_int_equal(rki_value_float(RKP_STR("1e999"), &v, &hint), RKI_VALUE_RANGE);
}

static void booleans_are_true_and_false(void **state)
{
    static const char *const bad[] = { "yes", "no", "on", "off", "y", "n", "1", "0", "True", "FALSE", "", "fasle" };
    const char *hint;
    bool v = false;

    (void)state;
    assert_int_equal(rki_value_bool(RKP_STR("true"), &v, &hint), RKI_VALUE_OK);
    assert_true(v);
    assert_int_equal(rki_value_bool(RKP_STR("false"), &v, &hint), RKI_VALUE_OK);
    assert_false(v);
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int_equal(rki_value_bool(rkp_str_of(bad[i]), &v, &hint), RKI_VALUE_FORM);
        assert_int_equal(hint != NULL, i < 10);
    }
}

static void durations_are_exact(void **state)
{
    static const struct {
        const char *text;
        rki_verdict v;
        uint64_t ns;
    } cases[] = {
        { "0", RKI_VALUE_OK, 0 },
        { "0s", RKI_VALUE_OK, 0 },
        { "100us", RKI_VALUE_OK, 100000 },
        { "5ms", RKI_VALUE_OK, 5000000 },
        { "1s", RKI_VALUE_OK, 1000000000 },
        { "2m", RKI_VALUE_OK, 120000000000 },
        { "1h", RKI_VALUE_OK, 3600000000000 },
        { "1d", RKI_VALUE_OK, 86400000000000 },
        { "0.1s", RKI_VALUE_OK, 100000000 },
        { "1.5h", RKI_VALUE_OK, 5400000000000 },
        { "0.123456789s", RKI_VALUE_OK, 123456789 },
        { "0.3us", RKI_VALUE_OK, 300 },
        { "1h30m", RKI_VALUE_OK, 5400000000000 },
        { "1d2h3m4s5ms6us", RKI_VALUE_OK, 93784005006000 },
        { "106751d", RKI_VALUE_OK, 9223286400000000000u },
        { "106752d", RKI_VALUE_RANGE, 0 },
        { "99999999999999999999s", RKI_VALUE_RANGE, 0 },
        { "", RKI_VALUE_FORM, 0 },
        { "5", RKI_VALUE_FORM, 0 },
        { "s", RKI_VALUE_FORM, 0 },
        { "5 s", RKI_VALUE_FORM, 0 },
        { "5S", RKI_VALUE_FORM, 0 },
        { "5ns", RKI_VALUE_FORM, 0 },
        { "5sec", RKI_VALUE_FORM, 0 },
        { "-5s", RKI_VALUE_FORM, 0 },
        { "1m1h", RKI_VALUE_FORM, 0 },
        { "1s1s", RKI_VALUE_FORM, 0 },
        { "1.5h30m", RKI_VALUE_FORM, 0 },
        { "1h1.5m", RKI_VALUE_FORM, 0 },
        { "1.s", RKI_VALUE_FORM, 0 },
        { ".5s", RKI_VALUE_FORM, 0 },
        { "1h30", RKI_VALUE_FORM, 0 },
        { "5s ", RKI_VALUE_FORM, 0 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *hint;
        uint64_t got = 77;
        rki_verdict v = rki_value_duration(rkp_str_of(cases[i].text), &got, &hint);

        if (v != cases[i].v || got != (v == RKI_VALUE_OK ? cases[i].ns : 77))
            fail_msg("'%s': %d %llu", cases[i].text, (int)v, (unsigned long long)got);
    }
}

static void sizes_tell_1000_from_1024(void **state)
{
    static const struct {
        const char *text;
        rki_verdict v;
        uint64_t bytes;
    } cases[] = {
        { "0", RKI_VALUE_OK, 0 },
        { "512", RKI_VALUE_OK, 512 },
        { "512B", RKI_VALUE_OK, 512 },
        { "64KiB", RKI_VALUE_OK, 65536 },
        { "64KB", RKI_VALUE_OK, 64000 },
        { "64kB", RKI_VALUE_OK, 64000 },
        { "10MB", RKI_VALUE_OK, 10000000 },
        { "1.5GiB", RKI_VALUE_OK, 1610612736 },
        { "2TiB", RKI_VALUE_OK, 2199023255552 },
        { "9000000TiB", RKI_VALUE_RANGE, 0 },
        { "99999999999999999999", RKI_VALUE_RANGE, 0 },
        { "", RKI_VALUE_FORM, 0 },
        { "64K", RKI_VALUE_FORM, 0 },
        { "10M", RKI_VALUE_FORM, 0 },
        { "10mb", RKI_VALUE_FORM, 0 },
        { "10 MB", RKI_VALUE_FORM, 0 },
        { "1.5", RKI_VALUE_FORM, 0 },
        { "1.5B", RKI_VALUE_FORM, 0 },
        { "-1", RKI_VALUE_FORM, 0 },
        { "1e6", RKI_VALUE_FORM, 0 },
        { "10MBx", RKI_VALUE_FORM, 0 },
        { "MB", RKI_VALUE_FORM, 0 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *hint;
        uint64_t got = 77;
        rki_verdict v = rki_value_size(rkp_str_of(cases[i].text), &got, &hint);

        if (v != cases[i].v || got != (v == RKI_VALUE_OK ? cases[i].bytes : 77))
            fail_msg("'%s': %d %llu", cases[i].text, (int)v, (unsigned long long)got);
    }
}

static void rates_are_per_second(void **state)
{
    static const struct {
        const char *text;
        rki_verdict v;
        double value;
    } cases[] = {
        { "200/s", RKI_VALUE_OK, 200 }, { "5k/s", RKI_VALUE_OK, 5000 }, { "2M/s", RKI_VALUE_OK, 2e6 },
        { "1G/s", RKI_VALUE_OK, 1e9 },  { "30/m", RKI_VALUE_OK, 0.5 },  { "36/h", RKI_VALUE_OK, 0.01 },
        { "86400/d", RKI_VALUE_OK, 1 }, { "12.5", RKI_VALUE_OK, 12.5 }, { "1e3/s", RKI_VALUE_OK, 1000 },
        { "5k", RKI_VALUE_OK, 5000 },   { "-1/s", RKI_VALUE_RANGE, 0 }, { "1e308k", RKI_VALUE_RANGE, 0 },
        { "", RKI_VALUE_FORM, 0 },      { "/s", RKI_VALUE_FORM, 0 },    { "5/", RKI_VALUE_FORM, 0 },
        { "5/x", RKI_VALUE_FORM, 0 },   { "5K/s", RKI_VALUE_FORM, 0 },  { "5 /s", RKI_VALUE_FORM, 0 },
        { "5/sec", RKI_VALUE_FORM, 0 }, { "fast", RKI_VALUE_FORM, 0 },  { "5kk/s", RKI_VALUE_FORM, 0 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *hint;
        double got = 77;
        rki_verdict v = rki_value_rate(rkp_str_of(cases[i].text), &got, &hint);

        if (v != cases[i].v || (v == RKI_VALUE_OK && (got < cases[i].value || got > cases[i].value)))
            fail_msg("'%s': %d %g", cases[i].text, (int)v, got);
    }
}

static void shares_are_between_none_and_all(void **state)
{
    static const struct {
        const char *text;
        rki_verdict v;
        double value;
    } cases[] = {
        { "0", RKI_VALUE_OK, 0 },      { "1", RKI_VALUE_OK, 1 },       { "0.25", RKI_VALUE_OK, 0.25 },
        { "5%", RKI_VALUE_OK, 0.05 },  { "5 %", RKI_VALUE_OK, 0.05 },  { "100%", RKI_VALUE_OK, 1 },
        { "5", RKI_VALUE_RANGE, 0 },   { "-0.1", RKI_VALUE_RANGE, 0 }, { "101%", RKI_VALUE_RANGE, 0 },
        { "", RKI_VALUE_FORM, 0 },     { "%", RKI_VALUE_FORM, 0 },     { "5%%", RKI_VALUE_FORM, 0 },
        { "half", RKI_VALUE_FORM, 0 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *hint;
        double got = 77;
        rki_verdict v = rki_value_ratio(rkp_str_of(cases[i].text), &got, &hint);

        if (v != cases[i].v || (v == RKI_VALUE_OK && (got < cases[i].value || got > cases[i].value)))
            fail_msg("'%s': %d %g", cases[i].text, (int)v, got);
    }
}

static void ids_are_words(void **state)
{
    static const char *const good[] = { "a", "_", "A-b_9",
                                        "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_" };
    static const char *const bad[] = {
        "",    "9a",  "-a",       "a.b",
        "a b", "a/b", "\xc3\xa9", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ__",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++)
        assert_true(rki_is_id(rkp_str_of(good[i])));
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(rki_is_id(rkp_str_of(bad[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_numbers_follow_yaml_1_2),
        cmocka_unit_test(unsigned_numbers_have_no_sign_but_plus),
        cmocka_unit_test(floats_are_numbers_only),
        cmocka_unit_test(booleans_are_true_and_false),
        cmocka_unit_test(durations_are_exact),
        cmocka_unit_test(sizes_tell_1000_from_1024),
        cmocka_unit_test(rates_are_per_second),
        cmocka_unit_test(shares_are_between_none_and_all),
        cmocka_unit_test(ids_are_words),
    };

    return cmocka_run_group_tests_name("value", tests, NULL, NULL);
}
