// Tests of base/json.h.
#include "base/json.h"
#include "nomem.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void expect(rki_buf *b, const char *want)
{
    char *p = rki_buf_take(b, NULL);

    assert_non_null(p);
    assert_string_equal(p, want);
    free(p);
}

static void every_kind(rki_json *j)
{
    rki_json_object(j);
    rki_json_key(j, "a");
    rki_json_array(j);
    rki_json_i64(j, INT64_MIN);
    rki_json_u64(j, UINT64_MAX);
    rki_json_f64(j, 2);
    rki_json_f64(j, 1e300);
    rki_json_f64(j, (double)NAN);
    rki_json_f64(j, (double)-INFINITY);
    rki_json_end_array(j);
    rki_json_key_str(j, RKP_STR("b\""));
    rki_json_object(j);
    rki_json_end_object(j);
    rki_json_key(j, "c");
    rki_json_array(j);
    rki_json_end_array(j);
    rki_json_key(j, "d");
    rki_json_bool(j, true);
    rki_json_key(j, "e");
    rki_json_null(j);
    rki_json_key(j, "f");
    rki_json_raw(j, RKP_STR("[1]"));
    rki_json_key(j, "g");
    rki_json_z(j, NULL);
    rki_json_end_object(j);
}

static void commas_and_nesting_are_right(void **state)
{
    rki_buf b;
    rki_json j;

    (void)state;
    rki_buf_init(&b);
    rki_json_init(&j, &b, 0);
    every_kind(&j);
    expect(&b, "{\"a\":[-9223372036854775808,18446744073709551615,2.0,1e+300,null,null],\"b\\\"\":{},\"c\":[],"
               "\"d\":true,\"e\":null,\"f\":[1],\"g\":null}");
}

static void indented_text_has_a_line_per_value(void **state)
{
    rki_buf b;
    rki_json j;

    (void)state;
    rki_buf_init(&b);
    rki_json_init(&j, &b, 2);
    rki_json_array(&j);
    rki_json_bool(&j, false);
    rki_json_object(&j);
    rki_json_key(&j, "k");
    rki_json_i64(&j, -1);
    rki_json_key(&j, "l");
    rki_json_array(&j);
    rki_json_end_array(&j);
    rki_json_end_object(&j);
    rki_json_end_array(&j);
    expect(&b, "[\n  false,\n  {\n    \"k\": -1,\n    \"l\": []\n  }\n]");
}

static void strings_are_escaped_and_made_utf8(void **state)
{
    static const struct {
        rkp_str in;
        const char *want;
    } cases[] = {
        { { NULL, 0 }, "\"\"" },
        { RKP_STR("plain"), "\"plain\"" },
        { RKP_STR("\"\\/\b\f\n\r\t"), "\"\\\"\\\\/\\b\\f\\n\\r\\t\"" },
        { RKP_STR("a\0b\x1f\x7f"), "\"a\\u0000b\\u001f\\u007f\"" },
        { RKP_STR("\xc2\x9b"), "\"\\u009b\"" },
        { RKP_STR("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"), "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"" },
        { RKP_STR("a\xff"), "\"a\xef\xbf\xbd\"" },
        { RKP_STR("\xc3"), "\"\xef\xbf\xbd\"" },
        { RKP_STR("\xe2\x82z"), "\"\xef\xbf\xbdz\"" },                           // cut off: one mark
        { RKP_STR("\xc0\xaf"), "\"\xef\xbf\xbd\xef\xbf\xbd\"" },                 // overlong
        { RKP_STR("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" }, // surrogate
        { RKP_STR("\xf4\x90\x80\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
        { RKP_STR("\xf0\x9f\x98"), "\"\xef\xbf\xbd\"" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rki_buf b;
        rki_json j;

        rki_buf_init(&b);
        rki_json_init(&j, &b, 0);
        rki_json_str(&j, cases[i].in);
        expect(&b, cases[i].want);
    }
}

static void deeper_than_the_limit_gives_no_text(void **state)
{
    for (int deep = 64; deep <= 66; deep++) {
        rki_buf b;
        rki_json j;
        char *p;

        (void)state;
        rki_buf_init(&b);
        rki_json_init(&j, &b, 0);
        for (int i = 0; i < deep; i++)
            rki_json_array(&j);
        for (int i = 0; i < deep; i++)
            rki_json_end_array(&j);
        p = rki_buf_take(&b, NULL);
        assert_int_equal(p != NULL, deep == 64);
        free(p);
        rki_buf_fini(&b);
    }
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    if (!nomem_works())
        skip();
    for (long n = 1;; n++) {
        rki_buf b;
        rki_json j;
        char *p;
        bool done;

        nomem_at(n);
        rki_buf_init(&b);
        rki_json_init(&j, &b, 2);
        rki_json_array(&j);
        for (int i = 0; i < 20; i++)
            every_kind(&j);
        rki_json_end_array(&j);
        p = rki_buf_take(&b, NULL);
        done = nomem_count() < n;
        nomem_at(0);
        assert_int_equal(p != NULL, done);
        free(p);
        rki_buf_fini(&b);
        if (done)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commas_and_nesting_are_right),      cmocka_unit_test(indented_text_has_a_line_per_value),
        cmocka_unit_test(strings_are_escaped_and_made_utf8), cmocka_unit_test(deeper_than_the_limit_gives_no_text),
        cmocka_unit_test(every_allocation_may_fail),
    };

    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
