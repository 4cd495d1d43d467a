// Tests of rkpipe/type.h.
#include <rkpipe/type.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void every_kind_has_a_name_that_reads_back(void **state)
{
    (void)state;
    for (unsigned k = 0; k < RKP_N_KINDS; k++) {
        unsigned back = 99;

        assert_true(rkp_kind_from_name(rkp_str_of(rkp_kind_name(k)), &back));
        assert_int_equal(back, k);
        if (k != RKP_BOOL)
            assert_true(rkp_kind_width(k) > 0);
    }
    assert_int_equal(rkp_kind_width(RKP_BOOL), 0);
    assert_int_equal(rkp_kind_width(RKP_JSON), 16);
    assert_int_equal(rkp_kind_width(200), 0);
}

static void types_print_as_they_are_written(void **state)
{
    static const char *const good[] = { "bool",    "i8?",   "i64",   "f32[512]", "timestamp[65536]?",
                                        "string?", "bytes", "json?", "u16[1]",   "f64" };
    char text[RKP_TYPE_TEXT];

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        rkp_type t = { 0 };

        assert_true(rkp_type_parse(rkp_str_of(good[i]), &t));
        assert_int_equal(rkp_type_print(text, t), strlen(good[i]));
        assert_string_equal(text, good[i]);
    }
}

static void what_is_no_type_is_refused_and_leaves_the_result(void **state)
{
    static const char *const bad[] = { "",        "?",       "int",       "i64??",     "i64 ",    " i64",
                                       "i64[",    "i64[]",   "i64]",      "i64[0]",    "i64[01]", "i64[65537]",
                                       "i64[-1]", "i64[1]x", "bool[3]",   "string[2]", "json[1]", "i64[4294967297]",
                                       "I64",     "f32[5",   "i64[1][2]", "i64?[2]" };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rkp_type t = { .kind = 7, .len = 9 };

        if (rkp_type_parse(rkp_str_of(bad[i]), &t))
            fail_msg("'%s' was taken for a type", bad[i]);
        assert_int_equal(t.kind, 7);
        assert_int_equal(t.len, 9);
    }
}

static void a_schema_finds_its_columns_by_name(void **state)
{
    const rkp_field f[] = { { RKP_STR("a"), { 0 } }, { RKP_STR(""), { 0 } }, { RKP_STR("abc"), { 0 } } };
    const rkp_schema s = { 3, f };

    (void)state;
    assert_int_equal(rkp_schema_find(&s, RKP_STR("abc")), 2);
    assert_int_equal(rkp_schema_find(&s, RKP_STR("")), 1);
    assert_int_equal(rkp_schema_find(&s, RKP_STR("ab")), -1);
    assert_int_equal(rkp_schema_find(&(rkp_schema){ 0 }, RKP_STR("a")), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_has_a_name_that_reads_back),
        cmocka_unit_test(types_print_as_they_are_written),
        cmocka_unit_test(what_is_no_type_is_refused_and_leaves_the_result),
        cmocka_unit_test(a_schema_finds_its_columns_by_name),
    };

    return cmocka_run_group_tests_name("type", tests, NULL, NULL);
}
