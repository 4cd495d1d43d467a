// Expressions as source of a device: what it looks like, what is refused and how it is said.  That it computes the same is
// test_emit_same.c.
#include "emit_case.h"
#include "expr/emit.h"
#include "expr/functions.h"
#include "nomem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

// ---- what it looks like ---------------------------------------------------------------------------------------------

static rkp_expr *compile(expr_case *c, const char *text, rkp_want want)
{
    char got[1000];
    rkp_expr *e;

    c->scope.schema = &emit_case_schema;
    e = expr_case_compile(c, text, want);
    if (!e) {
        expr_case_findings(c, got, sizeof got);
        fail_msg("%s: %s", text, got);
    }
    return e;
}

static void looks(const char *text, bool filter, const char *want)
{
    char why[RKI_EMIT_WHY] = "";
    expr_case c;
    rki_buf to;
    rkp_expr *e;

    expr_case_init(&c);
    rki_buf_init(&to);
    e = compile(&c, text, filter ? RKP_WANT_BOOL : RKP_WANT_ANY);
    if (!(filter ? rki_emit_filter : rki_emit_value)(e, "f", &to, why, sizeof why))
        fail_msg("%s: %s", text, why);
    rki_putc(&to, 0);
    assert_string_equal(to.p, want);
    rki_buf_fini(&to);
    expr_case_fini(&c);
}

static void arithmetic_joins_the_states_of_its_sides(void **state)
{
    (void)state;
    looks("a + b * 2", false,
          "RKD_FN int64_t f(uint8_t *st, int64_t c5, uint8_t s5, int64_t c6, uint8_t s6)\n"
          "{\n"
          "    uint8_t t1 = s6;\n"
          "    int64_t v1 = rkd_mul_i64(&t1, c6, 2LL);\n"
          "    uint8_t t2 = rkd_join(s5, t1);\n"
          "    int64_t v2 = rkd_add_i64(&t2, c5, v1);\n"
          "    *st = t2;\n"
          "    return v2;\n"
          "}\n");
    looks("h", false,
          "RKD_FN double f(uint8_t *st, double c12, uint8_t s12)\n"
          "{\n"
          "    *st = s12;\n"
          "    return c12;\n"
          "}\n");
    looks("0.1 + -0.0 * 5e-324", false,
          "RKD_FN double f(uint8_t *st)\n"
          "{\n"
          "    *st = 0;\n"
          "    return 0x1.999999999999ap-4;\n"
          "}\n");
}

static void a_filter_returns_at_the_first_part_that_is_not_true(void **state)
{
    (void)state;
    looks("p && u > 3", true,
          "RKD_FN uint8_t f_st(uint8_t c0, uint8_t s0, uint64_t c10, uint8_t s10)\n"
          "{\n"
          "    if (s0 != 0)\n"
          "        return s0;\n"
          "    if (!c0)\n"
          "        return 1;\n"
          "    uint8_t v1 = (uint8_t)(c10 > 3ULL);\n"
          "    if (s10 != 0)\n"
          "        return s10;\n"
          "    if (!v1)\n"
          "        return 1;\n"
          "    return 0;\n"
          "}\n"
          "RKD_FN uint8_t f(uint8_t c0, uint8_t s0, uint64_t c10, uint8_t s10)\n"
          "{\n"
          "    uint8_t st = f_st(c0, s0, c10, s10);\n"
          "\n"
          "    return st > 2 ? (uint8_t)2 : st;\n"
          "}\n");
    looks("false && p", true,
          "RKD_FN uint8_t f_st(uint8_t c0, uint8_t s0)\n"
          "{\n"
          "    (void)c0;\n"
          "    (void)s0;\n"
          "    return 1;\n"
          "}\n"
          "RKD_FN uint8_t f(uint8_t c0, uint8_t s0)\n"
          "{\n"
          "    uint8_t st = f_st(c0, s0);\n"
          "\n"
          "    return st > 2 ? (uint8_t)2 : st;\n"
          "}\n");
}

static void parts_stand_in_blocks_that_are_left(void **state)
{
    (void)state;
    looks("a ?? i8 // 2 ?? 7", false,
          "RKD_FN int64_t f(uint8_t *st, int64_t c2, uint8_t s2, int64_t c5, uint8_t s5)\n"
          "{\n"
          "    int64_t v1 = 0;\n"
          "    uint8_t t1 = 1;\n"
          "    do {\n"
          "        v1 = c5;\n"
          "        t1 = s5;\n"
          "        if (t1 != 1)\n"
          "            break;\n"
          "        uint8_t t2 = s2;\n"
          "        int64_t v2 = rkd_idiv_i64(&t2, c2, 2LL);\n"
          "        v1 = v2;\n"
          "        t1 = t2;\n"
          "        if (t1 != 1)\n"
          "            break;\n"
          "        v1 = 7LL;\n"
          "        t1 = 0;\n"
          "    } while (0);\n"
          "    *st = t1;\n"
          "    return v1;\n"
          "}\n");
    looks("p ? f : -g", false,
          "RKD_FN double f(uint8_t *st, uint8_t c0, uint8_t s0, double c13, uint8_t s13, double c14, uint8_t s14)\n"
          "{\n"
          "    double v1 = 0;\n"
          "    uint8_t t1 = s0;\n"
          "    if (s0 > 1) {\n"
          "    } else if (s0 == 0 && c0) {\n"
          "        v1 = c13;\n"
          "        t1 = s13;\n"
          "    } else {\n"
          "        double v2 = -c14;\n"
          "        v1 = v2;\n"
          "        t1 = s14;\n"
          "    }\n"
          "    *st = t1;\n"
          "    return v1;\n"
          "}\n");
}

static void long_lists_become_a_table_in_order(void **state)
{
    (void)state;
    looks("a not in (9, 8, 7, 6, 5, 4, 3, 2, -1)", false,
          "RKD_CONST int64_t f_a1[9] = {\n"
          "    (-1LL),\n    2LL,\n    3LL,\n    4LL,\n    5LL,\n    6LL,\n    7LL,\n    8LL,\n    9LL,\n"
          "};\n"
          "RKD_FN uint8_t f(uint8_t *st, int64_t c5, uint8_t s5)\n"
          "{\n"
          "    uint8_t v1 = 0;\n"
          "    uint8_t t1 = s5;\n"
          "    v1 = rkd_in_i64(f_a1, 9, c5);\n"
          "    v1 ^= 1;\n"
          "    *st = t1;\n"
          "    return v1;\n"
          "}\n");
}

// ---- what is refused ------------------------------------------------------------------------------------------------

static void refused(const rkp_schema *schema, const char *text, const char *want)
{
    static const rkp_expr_extra extra = { .row = true, .fns = rkp_expr_random };
    char why[RKI_EMIT_WHY] = "", got[1000];
    expr_case c;
    rki_buf to;
    rkp_expr *e;

    expr_case_init(&c);
    rki_buf_init(&to);
    rki_putz(&to, "before");
    c.scope.schema = schema;
    c.scope.extra = &extra;
    e = expr_case_compile(&c, text, RKP_WANT_ANY);
    expr_case_findings(&c, got, sizeof got);
    if (!e)
        fail_msg("%s: %s", text, got);
    if (rki_emit_value(e, "f", &to, why, sizeof why))
        fail_msg("%s is emitted", text);
    assert_string_equal(why, want);
    assert_int_equal(to.n, 6); // nothing is left of it
    rki_buf_fini(&to);
    expr_case_fini(&c);
}

static void what_a_device_cannot_is_refused_by_name(void **state)
{
    const rkp_schema *s = &expr_case_schema;

    (void)state;
    refused(s, "lower(status)", "'lower' works on text, which a device does not take");
    refused(s, "length(status) > 3", "'length' works on text, which a device does not take");
    refused(s, "id == 3 && status == 'ok'", "'==' works on text, which a device does not take");
    refused(s, "status in ('a', 'b')", "'in' works on text, which a device does not take");
    refused(s, "ok ? 'a' : 'b'", "'?:' works on text, which a device does not take");
    refused(s, "is_null(status)", "'is_null' works on text, which a device does not take");
    refused(s, "hash(id, name)", "'hash' works on text, which a device does not take");
    refused(s, "to_int(status)", "'to_int' works on text, which a device does not take");
    refused(s, "to_timestamp(status)", "'to_timestamp' works on text, which a device does not take");
    refused(s, "to_string(id)", "'to_string' works on text, which a device does not take");
    refused(s, "json_get(doc, 'a')", "'json_get' works on text, which a device does not take");
    refused(s, "max(status, name)", "'max' works on text, which a device does not take");
    refused(s, "status =~ 'a+'", "'=~' is a regular expression, which a device does not take");
    refused(s, "status", "a column of string is read, which a device does not take");
    refused(s, "raw", "a column of bytes is read, which a device does not take");
    refused(s, "vec", "a column of arrays is read, which a device does not take");
    refused(s, "'text'", "the value is text, which a device does not take");
    refused(s, "null", "the value is text, which a device does not take");
    refused(s, "meta.topic", "'meta.topic' is not known on a device");
    refused(s, "row + 1", "'row' is not known on a device");
    refused(s, "rand_int(1, 6)", "'rand_int' has no form for a device");
    refused(s, "ts < now()", "'now' asks the clock of the host");
    refused(s, "ln(amount)", "'ln' may differ in its last digit on a device, which is not allowed here");
    refused(s, "pow(amount, 2)", "'pow' may differ in its last digit on a device, which is not allowed here");
}

// A new function is for a device, or takes or gives text, or says why not.
static void every_function_has_a_form_or_a_reason(void **state)
{
    (void)state;
    for (const rki_fn_group *g = rki_expr_functions(); g->title; g++) {
        for (const rki_fn *f = g->fns; f->name; f++) {
            bool text = strcmp(g->title, "Text") == 0 || f->result == 's';

            if (f->eval && !f->emit && !f->host && !text)
                fail_msg("'%s' has neither `emit` nor `host`", f->name);
            assert_false(f->emit && f->host);
        }
    }
}

static void a_name_that_is_no_identifier_is_refused(void **state)
{
    static const char *const names[] = { "", "1a", "a b", "a;", "f(){}", "\xc3\xa4" };
    char why[RKI_EMIT_WHY];
    rki_buf to;

    (void)state;
    rki_buf_init(&to);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_false(rki_emit_cast(RKP_I64, RKP_F64, names[i], &to, why, sizeof why));
    assert_int_equal(to.n, 0);
    rki_buf_fini(&to);
}

// Every allocation fails once.
static void memory_that_runs_out_is_said(void **state)
{
    static const char text[] = "a in (9, 8, 7, 6, 5, 4, 3, 2, 1) || x > round(f, i8) && t < date_trunc(t, 'day')";
    bool done = false;
    expr_case c;
    rkp_expr *e;

    (void)state;
    if (!nomem_works())
        return;
    expr_case_init(&c);
    e = compile(&c, text, RKP_WANT_ANY);
    for (long n = 1; !done; n++) {
        char why[RKI_EMIT_WHY] = "";
        rki_buf to;

        rki_buf_init(&to);
        nomem_at(n);
        done = rki_emit_value(e, "f", &to, why, sizeof why);
        if (nomem_count() >= n) {
            assert_false(done);
            assert_string_equal(why, "not enough memory");
            assert_int_equal(to.n, 0);
        }
        nomem_at(0);
        rki_buf_fini(&to);
        assert_true(n < 1000);
    }
    expr_case_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arithmetic_joins_the_states_of_its_sides),
        cmocka_unit_test(a_filter_returns_at_the_first_part_that_is_not_true),
        cmocka_unit_test(parts_stand_in_blocks_that_are_left),
        cmocka_unit_test(long_lists_become_a_table_in_order),
        cmocka_unit_test(what_a_device_cannot_is_refused_by_name),
        cmocka_unit_test(every_function_has_a_form_or_a_reason),
        cmocka_unit_test(a_name_that_is_no_identifier_is_refused),
        cmocka_unit_test(memory_that_runs_out_is_said),
    };

    return cmocka_run_group_tests_name("emit", tests, NULL, NULL);
}
