// Tests of base/json_read.h.
#include "base/json.h"
#include "base/json_read.h"
#include "nomem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void print(const rki_json_node *n, rki_json *to)
{
    switch (n->kind) {
    case RKI_JSON_NULL:
        rki_json_null(to);
        break;
    case RKI_JSON_BOOL:
        rki_json_bool(to, rki_json_true(n));
        break;
    case RKI_JSON_NUMBER:
        rki_json_raw(to, n->text);
        break;
    case RKI_JSON_STRING:
        rki_json_str(to, n->text);
        break;
    case RKI_JSON_LIST:
        rki_json_array(to);
        for (const rki_json_node *c = n->child; c; c = c->next)
            print(c, to);
        rki_json_end_array(to);
        break;
    case RKI_JSON_MAP:
        rki_json_object(to);
        for (const rki_json_node *c = n->child; c; c = c->next) {
            rki_json_key_str(to, c->key);
            print(c, to);
        }
        rki_json_end_object(to);
        break;
    }
}

// Reads and prints again; NULL: refused.  Free with free().
static char *again(rkp_str text)
{
    rki_arena a;
    rki_buf b;
    rki_json j;
    char *got = NULL;
    const rki_json_node *n;

    rki_arena_init(&a);
    n = rki_json_read(&a, text);
    if (n) {
        rki_buf_init(&b);
        rki_json_init(&j, &b, 0);
        print(n, &j);
        got = rki_buf_take(&b, NULL);
        assert_non_null(got);
    }
    rki_arena_fini(&a);
    return got;
}

static void what_is_json_reads_and_prints_the_same(void **state)
{
    static const struct {
        const char *in, *out; // out NULL: as in
    } cases[] = {
        { "null", NULL },
        { "true", NULL },
        { " \t\r\nfalse\n", "false" },
        { "0", NULL },
        { "-0", NULL },
        { "-12.50e+03", NULL },
        { "1E9", NULL },
        { "\"\"", NULL },
        { "\"a\\u0041\\/\\u00e9\\ud83d\\ude00\"", "\"aA/\xc3\xa9\xf0\x9f\x98\x80\"" },
        { "\"\\\"\\\\\\b\\f\\n\\r\\t\"", NULL },
        { "\"\\u0000x\"", NULL },
        { "[]", NULL },
        { "{ }", "{}" },
        { "[1, [2, {\"a\": [] , \"b\":{}}], \"x\"]", "[1,[2,{\"a\":[],\"b\":{}}],\"x\"]" },
        { "{\"a\":1,\"a\":2}", NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *got = again(rkp_str_of(cases[i].in));
        assert_non_null(got);
        assert_string_equal(got, cases[i].out ? cases[i].out : cases[i].in);
        free(got);
    }
}

static void what_is_not_json_is_refused(void **state)
{
    static const rkp_str cases[] = {
        RKP_STR(""),
        RKP_STR(" "),
        RKP_STR("nul"),
        RKP_STR("truex"),
        RKP_STR("01"),
        RKP_STR("+1"),
        RKP_STR("1."),
        RKP_STR(".5"),
        RKP_STR("1e"),
        RKP_STR("-"),
        RKP_STR("NaN"),
        RKP_STR("1 2"),
        RKP_STR("\""),
        RKP_STR("\"\\\""),
        RKP_STR("\"\\"),
        RKP_STR("\"\\x\""),
        RKP_STR("'a'"),
        RKP_STR("\"\\u12\""),
        RKP_STR("["),
        RKP_STR("\"\\u123g\""),
        RKP_STR("[1,]"),
        RKP_STR("\"\\ud800\""),
        RKP_STR("[,1]"),
        RKP_STR("\"\\ud800\\u0041\""),
        RKP_STR("[1 2]"),
        RKP_STR("\"\\udc00\""),
        RKP_STR("{"),
        RKP_STR("\"a\nb\""),
        RKP_STR("{1:2}"),
        RKP_STR("\"a\0b\""),
        RKP_STR("{\"a\"}"),
        RKP_STR("\"\xff\""),
        RKP_STR("{\"a\":}"),
        RKP_STR("\"\xc0\x80\""),
        RKP_STR("[1}"),
        RKP_STR("{\"a\":1,}"),
        RKP_STR("1//x"),
        RKP_STR("\xef\xbb\xbf"
                "1"),
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *exact = malloc(cases[i].n + 1); // its end is the sanitizer's to watch
        memcpy(exact, cases[i].p, cases[i].n);
        char *got = again((rkp_str){ exact, cases[i].n });
        if (got)
            fail_msg("case %zu is read as %s", i, got);
        free(exact);
    }
}

static void depth_ends_at_64(void **state)
{
    char text[200];
    char *got;

    (void)state;
    for (size_t n = 64; n <= 65; n++) {
        memset(text, '[', n);
        memset(text + n, ']', n);
        got = again((rkp_str){ text, 2 * n });
        assert_int_equal(got != NULL, n == 64);
        free(got);
    }
}

static void values_are_found_by_name(void **state)
{
    rki_arena a;
    const rki_json_node *n;
    uint64_t u = 7;
    double f = 7;

    (void)state;
    rki_arena_init(&a);
    n = rki_json_read(&a, RKP_STR("{\"s\":\"x\",\"u\":18446744073709551615,\"f\":-2.5,\"b\":true,\"m\":{\"k\":[]}}"));
    assert_non_null(n);
    assert_int_equal(n->n, 5);
    assert_true(rkp_str_is(rki_json_text(rki_json_get(n, "s"), "-"), "x"));
    assert_true(rkp_str_is(rki_json_text(rki_json_get(n, "u"), "-"), "-"));
    assert_true(rkp_str_is(rki_json_text(rki_json_get(n, "none"), "-"), "-"));
    assert_true(rki_json_count(rki_json_get(n, "u"), &u));
    assert_true(u == UINT64_MAX);
    assert_false(rki_json_count(rki_json_get(n, "f"), &u));
    assert_false(rki_json_count(rki_json_get(n, "s"), &u));
    assert_false(rki_json_count(NULL, &u));
    assert_true(rki_json_float(rki_json_get(n, "f"), &f));
    assert_true(f == -2.5);
    assert_true(rki_json_true(rki_json_get(n, "b")));
    assert_false(rki_json_true(rki_json_get(n, "s")));
    assert_int_equal(rki_json_get(rki_json_get(n, "m"), "k")->kind, RKI_JSON_LIST);
    assert_null(rki_json_get(rki_json_get(n, "s"), "k"));
    assert_null(rki_json_get(rki_json_get(n, "none"), "k"));
    rki_arena_fini(&a);
}

static void memory_may_run_out(void **state)
{
    char text[9000];
    bool done = false;

    (void)state;
    if (!nomem_works())
        skip();
    text[0] = '[';
    for (size_t i = 1; i < sizeof text - 2; i += 2)
        memcpy(text + i, "1,", 2);
    memcpy(text + sizeof text - 3, "11]", 3);
    for (long i = 1; !done; i++) {
        rki_arena a;
        const rki_json_node *n;

        rki_arena_init(&a);
        nomem_at(i);
        n = rki_json_read(&a, (rkp_str){ text, sizeof text });
        done = nomem_count() < i;
        nomem_at(0);
        assert_int_equal(n != NULL, done);
        assert_int_equal(rki_arena_failed(&a), !done);
        rki_arena_fini(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_json_reads_and_prints_the_same),
        cmocka_unit_test(what_is_not_json_is_refused),
        cmocka_unit_test(depth_ends_at_64),
        cmocka_unit_test(values_are_found_by_name),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests_name("json_read", tests, NULL, NULL);
}
