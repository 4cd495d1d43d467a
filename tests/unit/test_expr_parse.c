// Expressions as text: what is accepted and as what type, and every finding with its exact place and hint.
#include "expr/functions.h"
#include "expr_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

typedef struct bad {
    const char *text, *findings;
} bad;

static void check_bad(const bad *b, size_t n, rkp_want want)
{
    unsigned failed = 0;

    for (size_t i = 0; i < n; i++) {
        char got[4000];
        expr_case c;
        rkp_expr *e;

        expr_case_init(&c);
        e = expr_case_compile(&c, b[i].text, want);
        expr_case_findings(&c, got, sizeof got);
        if (e || strcmp(got, b[i].findings) != 0) {
            print_error("%s\n  expected  %s\n  got       %s%s\n", b[i].text, b[i].findings, got,
                        e ? " (compiled)" : "");
            failed++;
        }
        expr_case_fini(&c);
    }
    assert_int_equal(failed, 0);
}

#define CHECK(table, want) check_bad(table, sizeof table / sizeof *table, want)

static void syntax_errors_have_their_place(void **state)
{
    static const bad table[] = {
        { "", "1:0 expr-syntax: the expression is empty" },
        { "  ", "1:0 expr-syntax: the expression is empty" },
        { "id +", "5:0 expr-syntax: the expression ends where a value should follow" },
        { "id + * 2", "6:1 expr-syntax: unexpected '*' where a value should follow" },
        { "(id + 1", "8:0 expr-syntax: the expression ends where ')' should follow" },
        { "id 2", "4:1 expr-syntax: unexpected '2' where an operator should follow" },
        { "id name", "4:4 expr-syntax: unexpected 'name' where an operator should follow" },
        { "id)", "3:1 expr-syntax: unexpected ')' where the end should follow" },
        { "abs(1 2)", "7:1 expr-syntax: unexpected '2' where ',' or ')' should follow" },
        { "abs(", "5:0 expr-syntax: the expression ends where a value should follow" },
        { "ok ? 1", "7:0 expr-syntax: the expression ends where ':' should follow" },
        { "id in 3", "7:1 expr-syntax: unexpected '3' where '(' and a list should follow" },
        { "id in ()", "4:5 expr-syntax: the list after 'in' is empty" },
        { "id not 3", "8:1 expr-syntax: unexpected '3' where 'in' should follow" },
        { "(1, 2)", "3:1 expr-syntax: unexpected ',' = a list can only stand after 'in'" },
        { "1 < id < 3", "8:1 expr-syntax: comparisons cannot follow one another = write a < b && b < c" },
        { "id = 1", "4:1 expr-syntax: '=' is no operator = write '==' to compare" },
        { "id === 1", "4:3 expr-syntax: '===' is no operator = write '==' to compare" },
        { "id !== 1", "4:3 expr-syntax: '!==' is no operator = write '!=' to compare" },
        { "id <> 1", "4:2 expr-syntax: '<>' is no operator = write '!=' to compare" },
        { "id => 1", "4:2 expr-syntax: '=>' is no operator = write '>='" },
        { "id =< 1", "4:2 expr-syntax: '=<' is no operator = write '<='" },
        { "ok & ok", "4:1 expr-syntax: '&' is no operator = write '&&' or 'and'" },
        { "ok | ok", "4:1 expr-syntax: '|' is no operator = write '||' or 'or'" },
        { "id ** 2", "4:2 expr-syntax: '**' is no operator = write pow(x, y)" },
        { "id ^ 2", "4:1 expr-syntax: '^' is no operator = write pow(x, y)" },
        { "name !~ 'a'", "6:2 expr-syntax: '!~' is no operator = write !(x =~ 'regex')" },
        { "name[0]", "5:1 expr-syntax: '[' is no operator = write json_get(text, 'a[0]') for a part of JSON text" },
        { "id # 2", "4:1 expr-syntax: unexpected '#'" },
        { "id \xe2\x82\xac 2", "4:1 expr-syntax: unexpected '\xe2\x82\xac' where an operator should follow" },
        { "ok AND ok", "4:3 expr-syntax: unexpected 'AND' where an operator should follow = write 'and' or '&&'" },
        { "name IS null", "6:2 expr-syntax: unexpected 'IS' where an operator should follow = write is_null(x)" },
        { "name like 'a%'",
          "6:4 expr-syntax: unexpected 'like' where an operator should follow = write x =~ 'regex', or contains(x, "
          "'text')" },
        { "id between 1 and 2",
          "4:7 expr-syntax: unexpected 'between' where an operator should follow = write x >= a && x <= b" },
        { "${var:limit} > 1", "1:12 expr-syntax: '${..}' is not allowed in an expression = write var.limit" },
        { "id > ${HOME}",
          "6:7 expr-syntax: '${..}' is not allowed in an expression = write var.x for a variable of the pipeline" },
        { "status.code == 1",
          "1:11 expr-syntax: a column has no parts = a name with a point stands in backticks: `status.code`; for JSON "
          "text write json_get" },
        { "this. == 1", "7:2 expr-syntax: unexpected '==' where a name should follow" },
        { "id\x01", "3:1 expr-syntax: unexpected character U+0001" },
        { "id \xff", "4:1 expr-syntax: the expression is not UTF-8" },
    };

    (void)state;
    CHECK(table, RKP_WANT_ANY);
}

static void literals_are_checked(void **state)
{
    static const bad table[] = {
        { "'abc", "1:4 expr-syntax: the string has no closing '" },
        { "name == \"abc", "9:4 expr-syntax: the string has no closing \"" },
        { "`abc", "1:4 expr-syntax: the name has no closing `" },
        { "`` == 1", "1:2 expr-syntax: the name in backticks is empty" },
        { "'a\\qb'",
          "3:2 expr-literal: '\\q' is no escape = write '\\\\' for a backslash, or r'..' for text without escapes" },
        { "'\\u{110000}'", "2:2 expr-literal: '\\u' needs a code point such as \\u{e9}" },
        { "'\\u{d800}'", "2:2 expr-literal: '\\u' needs a code point such as \\u{e9}" },
        { "'\\u00e9'", "2:2 expr-literal: '\\u' needs a code point such as \\u{e9}" },
        { "1_000", "1:5 expr-literal: '1_000' is not a number = write the digits without '_'" },
        { "0x1F", "1:4 expr-literal: '0x1F' is not a number = numbers are decimal" },
        { "5m", "1:2 expr-literal: '5m' is not a number" },
        { "5.", "1:2 expr-literal: '5.' is not a number = write a digit after the point" },
        { ".5", "1:1 expr-literal: a number needs a digit before the point = write 0.5" },
        { "007", "1:3 expr-literal: the number '007' has a leading zero" },
        { "18446744073709551616",
          "1:20 expr-literal: '18446744073709551616' does not fit in 64 bits = write it with a point or an exponent "
          "for a float" },
        { "1e999", "1:5 expr-literal: '1e999' is too large for a float" },
    };

    (void)state;
    CHECK(table, RKP_WANT_ANY);
}

static void names_are_resolved_with_hints(void **state)
{
    static const bad table[] = {
        { "amout > 5", "1:5 expr-column: no column 'amout' = did you mean 'amount'?" },
        { "h\xc3\xb6 + \xc3\xbc\xc3\xbc",
          "1:2 expr-column: no column 'h\xc3\xb6' = the columns are id, small, big, amount, status, name, ts, ok, doc, "
          "raw, odd name, a-b, ..\n"
          "6:2 expr-column: no column '\xc3\xbc\xc3\xbc' = the columns are id, small, big, amount, status, name, ts, "
          "ok, doc, raw, odd name, a-b, .." },
        { "a-b > 1", "1:1 expr-column: no column 'a' = write `a-b` in backticks\n"
                     "3:1 expr-column: no column 'b' = the columns are id, small, big, amount, status, name, ts, ok, "
                     "doc, raw, odd name, a-b, .." },
        { "limit > 1", "1:5 expr-column: no column 'limit' = write var.limit for the variable of the pipeline" },
        { "ok == True", "7:4 expr-column: no column 'True' = write true" },
        { "name == NULL", "9:4 expr-column: no column 'NULL' = write null" },
        { "this == 1",
          "1:4 expr-column: 'this' alone is no value = write this.name, or `this` for a column of that name" },
        { "var", "1:3 expr-column: 'var' alone is no value = write var.name, or `var` for a column of that name" },
        { "this.amout", "1:10 expr-column: no column 'amout' = did you mean 'amount'?" },
        { "var.limt > 1", "1:8 expr-var: no variable 'limt' = did you mean 'var.limit'?" },
        { "var.zzzz > 1", "1:8 expr-var: no variable 'zzzz' = the variables are var.limit, var.rate, var.who, var.on" },
        { "meta.topik == 'a'", "1:10 expr-meta: no 'meta.topik' here = did you mean 'meta.topic'?" },
        { "lenght(name)", "1:6 expr-function: no function 'lenght' = did you mean 'length'?" },
        { "len(name)", "1:3 expr-function: no function 'len' = did you mean 'length'?" },
        { "if(ok, 1, 2)", "1:2 expr-function: no function 'if' = write condition ? a : b" },
        { "sum(amount)",
          "1:3 expr-function: no function 'sum' = aggregates stand in `compute` of the operator aggregate" },
        { "frobnicate(1)", "1:10 expr-function: no function 'frobnicate' = `rkpipe list functions` shows them all" },
        { "status(1)", "1:6 expr-function: no function 'status' = the column 'status' is no function" },
        { "row", "1:3 expr-column: no column 'row' = did you mean 'raw'?" },
        { "rand_int(1, 2)",
          "1:8 expr-function: no function 'rand_int' = random functions stand in `columns` of the operator generate" },
        { "vec == 1", "1:3 expr-type: column 'vec' holds arrays: not supported yet = a column of arrays can only be "
                      "passed on as it is" },
    };

    (void)state;
    CHECK(table, RKP_WANT_ANY);
}

static void types_that_do_not_fit_are_named(void **state)
{
    static const bad table[] = {
        { "name + status",
          "6:1 expr-type: '+' needs numbers, not string and string = write concat(a, b) to join text" },
        { "name + 1", "6:1 expr-type: '+' needs numbers, not string and i64 = write to_float(x) or to_int(x) to read a "
                      "number, concat(a, b) to join text" },
        { "amount * status",
          "8:1 expr-type: '*' needs numbers, not f64 and string = write to_float(x) or to_int(x) to read a number" },
        { "ok + 1", "4:1 expr-type: '+' needs numbers, not bool and i64 = write to_int(x) for 0 or 1" },
        { "ts + ts", "4:1 expr-type: '+' needs numbers, not timestamp and timestamp = a timestamp takes + and - with "
                     "i64 microseconds; to_int(x) is its microseconds" },
        { "ts * 2", "4:1 expr-type: '*' needs numbers, not timestamp and i64 = a timestamp takes + and - with i64 "
                    "microseconds; to_int(x) is its microseconds" },
        { "ts + 1.5", "4:1 expr-type: '+' needs numbers, not timestamp and f64 = a timestamp takes + and - with i64 "
                      "microseconds; to_int(x) is its microseconds" },
        { "1 - ts", "3:1 expr-type: '-' needs numbers, not i64 and timestamp = a timestamp takes + and - with i64 "
                    "microseconds; to_int(x) is its microseconds" },
        { "-name", "1:1 expr-type: '-' needs a number, not string" },
        { "status == 5", "8:2 expr-type: cannot compare string with i64 = write to_float(x) or to_int(x) to read the "
                         "number, or quotes around the text" },
        { "amount > '500'", "8:1 expr-type: cannot compare f64 with string = write the number without quotes; a "
                            "column's name with odd signs stands in backticks" },
        { "ok < ok", "4:1 expr-type: '<' cannot order bool and bool" },
        { "ok == 1", "4:2 expr-type: cannot compare bool with i64 = write a < b && b < c to compare three values" },
        { "doc == 'a'",
          "5:2 expr-type: cannot compare json with string = write json_get(x, 'path'), or to_string(x) for its text" },
        { "ts > name", "4:1 expr-type: cannot compare timestamp with string = write to_timestamp(x) to read the time" },
        { "ts > 5", "4:1 expr-type: cannot compare timestamp with i64 = write to_timestamp(x, 's'), or to_int(x) for "
                    "the microseconds of a timestamp" },
        { "ts > 'yesterday'", "6:11 expr-literal: 'yesterday' is not a time = write it as '2024-01-31' or "
                              "'2024-01-31T12:00:00Z'" },
        { "id && ok", "1:2 expr-type: '&&' needs a condition, not i64 = write x != 0" },
        { "ok or name", "7:4 expr-type: '||' needs a condition, not string = write concat(a, b) to join text" },
        { "!amount", "2:6 expr-type: '!' needs a condition, not f64 = write x != 0" },
        { "id ? 1 : 2", "1:2 expr-type: '?:' needs a condition, not i64 = write x != 0" },
        { "ok ? 1 : 'a'", "4:1 expr-type: the results of '?:' cannot be i64 and string = write to_string(x) to make "
                          "both text" },
        { "name ?\? 1",
          "6:2 expr-type: the sides of '?\?' cannot be string and i64 = write to_string(x) to make both text" },
        { "id in (1, 'a')", "11:3 expr-type: cannot compare i64 with string = write the number without quotes; a "
                            "column's name with odd signs stands in backticks" },
        { "id =~ 'a'", "4:2 expr-type: '=~' needs text, not i64 = write to_string(x) =~ 'regex'" },
        { "name =~ status", "9:6 expr-type: '=~' needs a constant pattern" },
        { "name =~ 5", "9:1 expr-type: '=~' needs a constant pattern, not i64" },
        { "abs(name)", "5:4 expr-type: argument 1 of abs must be a number, not string = write to_float(x)" },
        { "length(id)", "8:2 expr-type: argument 1 of length must be string or bytes, not i64 = write to_string(x)" },
        { "lower(doc)", "7:3 expr-type: argument 1 of lower must be string, not json = write json_get(x, 'path'), or "
                        "to_string(x) for its text" },
        { "year(id)", "6:2 expr-type: argument 1 of year must be timestamp, not i64 = write to_timestamp(x)" },
        { "substr(name, 'a')",
          "14:3 expr-type: argument 2 of substr must be an integer, not string = write to_int(x)" },
        { "max(1, 'a')", "8:3 expr-type: the arguments of max cannot be i64 and string" },
        { "min(doc, doc)", "5:3 expr-type: json cannot be ordered" },
        { "to_int(doc)", "8:3 expr-type: to_int takes a number, string, bool or timestamp, not json = write "
                         "to_int(json_get(x, 'path'))" },
        { "to_float(ts)", "10:2 expr-type: to_float takes a number, string or bool, not timestamp" },
        // everything that is wrong, not only the first
        { "amout + name * 2 > statu && id",
          "1:5 expr-column: no column 'amout' = did you mean 'amount'?\n"
          "14:1 expr-type: '*' needs numbers, not string and i64 = write to_float(x) or to_int(x) to read a number\n"
          "20:5 expr-column: no column 'statu' = did you mean 'status'?" },
    };

    (void)state;
    CHECK(table, RKP_WANT_ANY);
}

static void calls_are_checked(void **state)
{
    static const bad table[] = {
        { "abs()", "1:5 expr-args: abs takes 1 argument, not 0 = abs(x)" },
        { "abs(1, 2)", "1:9 expr-args: abs takes 1 argument, not 2 = abs(x)" },
        { "round(1.5, 1, 2)", "1:16 expr-args: round takes 1 to 2 arguments, not 3 = round(x [, digits])" },
        { "min()", "1:5 expr-args: min takes at least 1 argument, not 0 = min(a, b, ..)" },
        { "try(1, 2)", "1:9 expr-args: try takes 1 argument, not 2 = try(x)" },
        { "coalesce()", "1:10 expr-args: coalesce takes at least 1 argument, not 0 = coalesce(a, b, ..)" },
        { "name =~ 'a('", "12:1 expr-regex: the pattern is wrong: missing closing parenthesis" },
        { "name =~ r'a[\\d'", "15:1 expr-regex: the pattern is wrong: missing terminating ] for character class" },
        { "name =~ '(\\\\d'", "9:6 expr-regex: the pattern is wrong: missing closing parenthesis" },
        { "name =~ '*a'", "10:1 expr-regex: the pattern is wrong: quantifier does not follow a repeatable item" },
        { "extract(name, 'a(b)', 2)",
          "23:1 expr-args: the pattern has 1 group, not 2 = groups are numbered from 1, and named with (?<name>..); 0 "
          "is the whole match" },
        { "extract(name, 'a(?<x>b)', 'y')",
          "27:3 expr-args: the pattern has no group 'y' = groups are numbered from 1, and named with (?<name>..); 0 "
          "is the whole match" },
        { "extract(name, status)", "15:6 expr-type: argument 2 of extract must be a constant string, not string = "
                                   "extract(text, regex [, group])" },
        { "split(name, '', 1)", "13:2 expr-args: the separator of split is empty" },
        { "split(name, ',', 0)", "18:1 expr-args: the parts of split count from 1 = 1 is the first part, -1 the last" },
        { "date_trunc(ts, 'fortnight')",
          "16:11 expr-args: date_trunc needs the name of a unit = 'second', 'minute', 'hour', 'day', 'week', 'month', "
          "'quarter' or 'year'" },
        { "date_trunc(name, 'day')",
          "12:4 expr-type: argument 1 of date_trunc must be timestamp, not string = write to_timestamp(x)" },
        { "format_time(ts, '%Q')", "17:4 expr-args: format_time does not know '%Q' = %Y %m %d %H %M %S %f %L %j %y %a "
                                   "%A %b %B %e %I %p %u %w %s "
                                   "%F %T %R %z %Z %%" },
        { "to_timestamp(id, 'min')", "18:5 expr-args: 'min' is no unit of time = 's', 'ms', 'us' or 'ns'" },
        { "to_timestamp(name, 's')", "20:3 expr-args: a unit goes with a number, not with string" },
        { "json_get(name, 'a..b')",
          "16:6 expr-args: 'a..b' is no path: a key is missing at byte 3 = write it as 'a.b[0].c'" },
        { "json_get(name, 'a[x]')", "16:6 expr-args: 'a[x]' is no path: an index or a quoted key is missing at byte 3 "
                                    "= write it as 'a.b[0].c'" },
    };

    (void)state;
    CHECK(table, RKP_WANT_ANY);
}

static void what_is_wanted_is_checked(void **state)
{
    static const bad cond[] = {
        { "amount", "1:6 expr-type: a condition is needed here, not f64 = write x != 0" },
        { "name", "1:4 expr-type: a condition is needed here, not string = write x == 'text'" },
        { "(id + 1)", "1:8 expr-type: a condition is needed here, not i64 = write x != 0" },
        { "vec", "1:3 expr-type: column 'vec' holds arrays: not supported yet = a column of arrays can only be passed "
                 "on as it is" },
    };
    static const bad num[] = { { "name", "1:4 expr-type: a number is needed here, not string" } };
    static const bad text[] = { { "id", "1:2 expr-type: text is needed here, not i64 = write to_string(x)" } };

    (void)state;
    CHECK(cond, RKP_WANT_BOOL);
    CHECK(num, RKP_WANT_NUM);
    CHECK(text, RKP_WANT_STRING);
}

static void places_in_a_block_are_told_in_words(void **state)
{
    char got[500];
    expr_case c;
    const char *text = "id > 1\n  && amout < 2";
    rkp_word w = { text, strlen(text), { "x", 7, 12, 0 } };

    (void)state;
    expr_case_init(&c);
    assert_null(rkp_expr_compile(&c.ctx, c.diags, w, &c.scope, RKP_WANT_ANY));
    expr_case_findings(&c, got, sizeof got);
    assert_string_equal(got, "12:0 expr-column: no column 'amout' (line 2, column 6 of the expression) = did you mean "
                             "'amount'?");
    expr_case_fini(&c);
}

static void limits_are_told(void **state)
{
    static char text[70000];
    char got[500];
    struct {
        int kind;
        const char *findings;
    } cases[] = {
        { 0, "1:1 expr-limit: the expression is longer than 64 KiB" },
        { 1, "201:1 expr-limit: the expression is nested more than 200 deep" },
        { 2, "200:1 expr-limit: the expression is nested more than 200 deep" },
        { 3, "1:401 expr-limit: the expression is nested more than 200 deep" },
        { 4, "1:16384 expr-limit: the expression has more than 4096 operations" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        expr_case c;
        size_t n = 0;

        expr_case_init(&c);
        switch (cases[i].kind) {
        case 0:
            memset(text, ' ', 66000);
            n = 66000;
            break;
        case 1:
            memset(text, '(', 1000);
            n = 1000;
            break;
        case 2:
            memset(text, '-', 1000);
            n = 1000;
            break;
        case 3:
            for (int k = 0; k < 1000; k++, n += 2)
                memcpy(text + n, k == 999 ? "1 " : "1+", 2);
            break;
        default: // a long chain of conditions is one operation, but its parts count
            for (int k = 0; k < 4096; k++, n += 4)
                memcpy(text + n, k == 4095 ? "ok  " : "ok||", 4);
            break;
        }
        text[n] = 0;
        assert_null(expr_case_compile(&c, text, RKP_WANT_ANY));
        expr_case_findings(&c, got, sizeof got);
        assert_string_equal(got, cases[i].findings);
        expr_case_fini(&c);
    }
}

static void a_long_chain_of_conditions_is_one_operation(void **state)
{
    static char text[20000];
    expr_case c;
    size_t n = 0;

    (void)state;
    expr_case_init(&c);
    for (int k = 0; k < 1300; k++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%sid == %d", k ? " or " : "", k % 10);
    assert_non_null(expr_case_compile(&c, text, RKP_WANT_BOOL));
    expr_case_fini(&c);
}

static void types_are_found(void **state)
{
    static const struct {
        const char *text, *type;
    } table[] = {
        { "id", "i64" },
        { "small", "i32?" },
        { "vec", "f32[4]" },
        { "this.amount", "f64?" },
        { "`odd name`", "string" },
        { "`tick``s`", "i64" },
        { "this.`a-b`", "i64" },
        { "small + 1", "i64?" },
        { "id + 1", "i64" },
        { "big + 1", "u64?" },
        { "big + id", "i64?" },
        { "big // 2", "u64?" },
        { "id / 2", "f64" },
        { "id // 2", "i64" },
        { "id + amount", "f64?" },
        { "amount % 3", "f64?" },
        { "-big", "i64?" },
        { "ts - ts", "i64?" },
        { "ts + 1000", "timestamp?" },
        { "1 + ts", "timestamp?" },
        { "id > 1", "bool" },
        { "big > id", "bool?" },
        { "ts >= '2024-01-01'", "bool?" },
        { "status == 'ok' and not ok", "bool?" },
        { "is_null(name)", "bool" },
        { "name ?\? 'x'", "string" },
        { "name ?\? status", "string?" },
        { "ok ? 1 : 2.5", "f64" },
        { "ok ? 1 : null", "i64?" },
        { "ok ? null : ts", "timestamp?" },
        { "18446744073709551615", "u64" },
        { "-9223372036854775808", "i64" },
        { "null", "string?" },
        { "null ?\? null", "string?" },
        { "null + 1", "i64?" },
        { "try(1 // 0)", "i64?" },
        { "var.limit", "i64" },
        { "var.rate * 2", "f64" },
        { "var.who == name", "bool?" },
        { "meta.topic", "string?" },
        { "hash(id)", "u64" },
        { "hash(name)", "u64" },
        { "min(id, 2.5)", "f64" },
        { "round(id, 2)", "i64" },
        { "round(amount)", "f64?" },
        { "to_timestamp(id, 'ms')", "timestamp" },
        { "json_get(doc, 'a.b')", "string?" },
        { "date_trunc('minute', ts)", "timestamp?" },
        { "raw == 'x'", "bool?" },
        { "length(raw)", "i64?" },
        { "now() - ts", "i64?" },
        { "coalesce(name, 'x')", "string" },
        { "id in (1, 2, 3)", "bool" },
        { "name not in ('a', 'b')", "bool?" },
        { "a_b_c ?\? 1", NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char got[RKP_TYPE_TEXT] = "";
        expr_case c;
        rkp_expr *e;

        expr_case_init(&c);
        e = expr_case_compile(&c, table[i].text, RKP_WANT_ANY);
        if (!table[i].type) {
            assert_null(e);
        } else {
            if (e)
                rkp_type_print(got, rkp_expr_type(e));
            if (strcmp(got, table[i].type) != 0)
                fail_msg("%s is %s, not %s", table[i].text, got, table[i].type);
        }
        expr_case_fini(&c);
    }
}

static void comparing_with_null_is_a_warning(void **state)
{
    char got[500];
    expr_case c;

    (void)state;
    expr_case_init(&c);
    assert_non_null(expr_case_compile(&c, "name == null", RKP_WANT_BOOL));
    expr_case_findings(&c, got, sizeof got);
    assert_string_equal(got, "6:2 warning expr-null: '==' with null is always null = write is_null(x) or !is_null(x)");
    expr_case_fini(&c);
}

static void constants_are_folded(void **state)
{
    static const char *const folded[] = {
        "1 + 2 * 3",     "'a' == 'b'",  "length('abc') + 1", "true ? 1 : 2",
        "null ?\? 3",    "1 in (1, 2)", "'abc' =~ 'b+'",     "date_trunc('2024-03-09T10:20:30Z', 'day')",
        "var.limit * 2", "null + 1",    "not true",          "to_timestamp(5)",
    };
    static const char *const open[] = {
        "1 // 0", "id", "now()", "meta.topic", "to_int('x')", "9223372036854775807 + 1"
    };
    expr_case c;

    (void)state;
    expr_case_init(&c);
    for (size_t i = 0; i < sizeof folded / sizeof *folded; i++) {
        rkp_expr *e = expr_case_compile(&c, folded[i], RKP_WANT_ANY);

        assert_non_null(e);
        if (!rkp_expr_is_const(e))
            fail_msg("%s is not folded", folded[i]);
    }
    for (size_t i = 0; i < sizeof open / sizeof *open; i++) {
        rkp_expr *e = expr_case_compile(&c, open[i], RKP_WANT_ANY);

        assert_non_null(e);
        if (rkp_expr_is_const(e))
            fail_msg("%s is folded", open[i]);
    }
    expr_case_fini(&c);
}

static void columns_read_are_known(void **state)
{
    expr_case c;
    rkp_expr *e;

    (void)state;
    expr_case_init(&c);
    e = expr_case_compile(&c, "amount > 1 && (name == 'a' || amount < 5)", RKP_WANT_BOOL);
    assert_non_null(e);
    assert_int_equal(rkp_expr_is_column(e), -1);
    for (uint32_t i = 0; i < expr_case_schema.n; i++)
        assert_int_equal(rkp_expr_reads(e, i), i == 3 || i == 5);
    e = expr_case_compile(&c, "(this.name)", RKP_WANT_ANY);
    assert_non_null(e);
    assert_int_equal(rkp_expr_is_column(e), 5);
    expr_case_fini(&c);
}

static void the_table_of_functions_is_whole(void **state)
{
    size_t n = 0;

    (void)state;
    for (const rki_fn_group *g = rki_expr_functions(); g->title; g++) {
        for (const rki_fn *f = g->fns; f->name; f++, n++) {
            assert_non_null(f->args);
            assert_non_null(f->usage);
            assert_non_null(f->help);
            assert_non_null(f->example);
            assert_non_null(f->gives);
            assert_memory_equal(f->usage, f->name, strlen(f->name));
            assert_ptr_equal(rki_fn_find(rkp_str_of(f->name)), f);
        }
    }
    assert_int_equal(n, 45);
    for (const rkp_expr_fn *f = rkp_expr_random; f->name; f++) {
        assert_non_null(f->usage);
        assert_non_null(f->help);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(syntax_errors_have_their_place),
        cmocka_unit_test(literals_are_checked),
        cmocka_unit_test(names_are_resolved_with_hints),
        cmocka_unit_test(types_that_do_not_fit_are_named),
        cmocka_unit_test(calls_are_checked),
        cmocka_unit_test(what_is_wanted_is_checked),
        cmocka_unit_test(places_in_a_block_are_told_in_words),
        cmocka_unit_test(limits_are_told),
        cmocka_unit_test(a_long_chain_of_conditions_is_one_operation),
        cmocka_unit_test(types_are_found),
        cmocka_unit_test(comparing_with_null_is_a_warning),
        cmocka_unit_test(constants_are_folded),
        cmocka_unit_test(columns_read_are_known),
        cmocka_unit_test(the_table_of_functions_is_whole),
    };

    return cmocka_run_group_tests_name("expr_parse", tests, NULL, NULL);
}
