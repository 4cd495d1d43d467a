// Option rows: what each type takes and refuses, defaults, and what is printed and described of them.
#include "nomem.h"
#include "spec/opt.h"
#include "spec/spec.h"
#include "table_ops.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
// after the above
#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

enum { RED, GREEN };

static const rkp_choice colours[] = {
    { "red", RED, "warm" }, { "green", GREEN, "calm" }, { "blue", RKI_NOT_YET, "cold" }, { 0 }
};

struct inner {
    rkp_word name;
    uint64_t n;
};

static const rkp_opt inner_rows[] = {
    { "name", &rkp_string, offsetof(struct inner, name), .required = true, .help = "who" },
    { "n", &rkp_uint, offsetof(struct inner, n), .def = "3", .help = "how many" },
    { 0 },
};

struct all {
    rkp_word string, path, expr;
    char c;
    uint64_t u, bounded, duration, size;
    int64_t i;
    double f, ratio, rate;
    bool b;
    int choice;
    rkp_pairs exprs, words_by_name, types;
    rkp_words words;
    rkp_schema_use schema;
    struct inner object;
    rkp_objects_of objects;
};

#define AT(f) offsetof(struct all, f)
static const rkp_opt rows[] = {
    { "string", &rkp_string, AT(string), .optional = true, .help = "a text", .also = "text str" },
    { "path", &rkp_path, AT(path), .optional = true, .help = "a file" },
    { "char", &rkp_char, AT(c), .optional = true, .help = "a character" },
    { "uint", &rkp_uint, AT(u), .optional = true, .help = "a number" },
    { "bounded", &rkp_uint, AT(bounded), .def = "7", .bounded = true, .min = 5, .max = 10, .unit = "rows",
      .help = "a number" },
    { "int", &rkp_int, AT(i), .optional = true, .help = "a number" },
    { "float", &rkp_float, AT(f), .optional = true, .help = "a number" },
    { "ratio", &rkp_ratio, AT(ratio), .optional = true, .help = "a share" },
    { "bool", &rkp_bool, AT(b), .def = "true", .help = "yes or no" },
    { "duration", &rkp_duration, AT(duration), .def = "1500ms", .bounded = true, .min = 1e6, .max = 60e9,
      .help = "a time" },
    { "size", &rkp_size, AT(size), .def = "64KiB", .help = "a size" },
    { "rate", &rkp_rate, AT(rate), .optional = true, .help = "a rate" },
    { "choice", &rkp_choice_type, AT(choice), .def = "green", .choices = colours, .help = "a colour" },
    { "expr", &rkp_expr_text, AT(expr), .optional = true, .no_vars = true, .help = "an expression" },
    { "exprs", &rkp_expr_map, AT(exprs), .optional = true, .no_vars = true, .help = "expressions" },
    { "words", &rkp_word_list, AT(words), .def = "[a, \"\"]", .help = "a list" },
    { "names", &rkp_word_map, AT(words_by_name), .optional = true, .help = "texts" },
    { "types", &rkp_type_map, AT(types), .optional = true, .help = "types" },
    { "schema", &rkp_schema_name, AT(schema), .optional = true, .help = "columns" },
    { "object", &rkp_object, AT(object), .optional = true, .sub = inner_rows, .sub_size = sizeof(struct inner),
      .short_key = "name", .help = "a part" },
    { "objects", &rkp_objects, AT(objects), .optional = true, .sub = inner_rows, .sub_size = sizeof(struct inner),
      .short_key = "name", .help = "parts" },
    { "later", &rkp_uint, 0, .optional = true, .help = "not today", .not_yet = "use uint" },
    { 0 },
};

struct run {
    rki_arena a;
    rkp_diags *d;
    rki_buf out;
    struct all self;
    rkp_status st;
};

// Applies the mapping `yaml`; *out gets the findings without places, one a line: "text [code] | hint".
static void apply(struct run *r, const char *yaml)
{
    static const rkp_field fields[] = { { { "id", 2 }, { .kind = RKP_I64 } } };
    rki_named_schema known = { { "orders", 6, { 0 } }, { 1, fields } };
    rki_spec spec = { .schemas = &known, .n_schemas = 1 };
    rki_tree_budget budget = { 0 };
    rkp_opt_ctx c = { .arena = &r->a, .spec = &spec, .owner = "operator 'x'" };
    rkp_node *n;

    rki_arena_init(&r->a);
    r->d = rki_diags_new();
    rki_buf_init(&r->out);
    memset(&r->self, 0, sizeof r->self);
    c.diags = r->d;
    n = rki_tree_load(&r->a, r->d, "t.yaml", rkp_str_of(yaml), &budget);
    r->st = n ? rki_opts_apply(&c, rows, n, n->at, &r->self) : RKP_INVALID;
    rki_diags_sort(r->d);
    for (size_t i = 0; i < rki_diags_n(r->d); i++) {
        const rki_finding *f = rki_diags_at(r->d, i);

        rki_putf(&r->out, "%s%s [%s]%s%s", i ? "\n" : "", f->text, f->code, f->hint ? " | " : "",
                 f->hint ? f->hint : "");
    }
    rki_putc(&r->out, 0);
}

static void done(struct run *r)
{
    rki_arena_fini(&r->a);
    rki_diags_free(r->d);
    rki_buf_fini(&r->out);
}

static void values_are_taken_and_printed_back(void **state)
{
    static const struct {
        const char *yaml, *key, *json;
    } cases[] = {
        { "string: abc", "string", "\"abc\"" },
        { "string: ''", "string", "\"\"" },
        { "string: 5", "string", "\"5\"" },
        { "string: true", "string", "\"true\"" },
        { "path: '-'", "path", "\"-\"" },
        { "char: ';'", "char", "\";\"" },
        { "char: \"\\t\"", "char", "\"\\t\"" },
        { "char: '\\t'", "char", "\"\\t\"" },
        { "char: tab", "char", "\"\\t\"" },
        { "uint: 18446744073709551615", "uint", "18446744073709551615" },
        { "uint: 0x10", "uint", "16" },
        { "bounded: 5", "bounded", "5" },
        { "bounded: 10", "bounded", "10" },
        { "int: -5", "int", "-5" },
        { "float: 1.5", "float", "1.5" },
        { "float: 2", "float", "2.0" },
        { "ratio: 5%", "ratio", "0.05" },
        { "ratio: '5%'", "ratio", "0.05" },
        { "bool: false", "bool", "false" },
        { "duration: 1s", "duration", "\"1s\"" },
        { "duration: 60s", "duration", "\"1m\"" },
        { "duration: '1.5s'", "duration", "\"1500ms\"" },
        { "size: 1GiB", "size", "\"1GiB\"" },
        { "size: 1000", "size", "1000" },
        { "size: 10MB", "size", "10000000" },
        { "rate: 30/m", "rate", "0.5" },
        { "choice: red", "choice", "\"red\"" },
        { "choice: 'red'", "choice", "\"red\"" },
        { "expr: a > 1", "expr", "\"a > 1\"" },
        { "expr: |\n  a > 1\n  && b\n", "expr", "\"a > 1\\n&& b\"" },
        { "expr: true", "expr", "\"true\"" },
        { "exprs: {b: x + 1, a: '2'}", "exprs", "{\"b\":\"x + 1\",\"a\":\"2\"}" },
        { "exprs: {}", "exprs", "{}" },
        { "words: [a, 5, true, 'null']", "words", "[\"a\",\"5\",\"true\",\"null\"]" },
        { "words: one", "words", "[\"one\"]" },
        { "words: []", "words", "[]" },
        { "names: {a: b, c: 1}", "names", "{\"a\":\"b\",\"c\":\"1\"}" },
        { "types: {a: i64, b: 'f32[8]', c: string?}", "types", "{\"a\":\"i64\",\"b\":\"f32[8]\",\"c\":\"string?\"}" },
        { "schema: orders", "schema", "\"orders\"" },
        { "schema: {a: i64, b: string?}", "schema", "{\"a\":\"i64\",\"b\":\"string?\"}" },
        { "object: {name: a, n: 5}", "object", "{\"name\":\"a\",\"n\":5}" },
        { "object: a", "object", "{\"name\":\"a\",\"n\":3}" },
        { "objects: [a, {name: b, n: 1}]", "objects", "[{\"name\":\"a\",\"n\":3},{\"name\":\"b\",\"n\":1}]" },
        { "objects: {name: b}", "objects", "[{\"name\":\"b\",\"n\":3}]" },
        { "objects: a", "objects", "[{\"name\":\"a\",\"n\":3}]" },
        { "objects: []", "objects", "[]" },
        // defaults take the same way
        { "{}", "bounded", "7" },
        { "{}", "bool", "true" },
        { "{}", "duration", "\"1500ms\"" },
        { "{}", "size", "\"64KiB\"" },
        { "{}", "choice", "\"green\"" },
        { "{}", "words", "[\"a\",\"\"]" },
        { "{}", "string", "null" },
        { "{}", "exprs", "{}" },
        { "{}", "schema", "null" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const rkp_opt *row = rki_opts_find(rows, rkp_str_of(cases[i].key));
        struct run r;
        rki_json j;
        rki_buf b;

        apply(&r, cases[i].yaml);
        if (r.st != RKP_OK)
            fail_msg("%s: %s", cases[i].yaml, r.out.p);
        rki_buf_init(&b);
        rki_json_init(&j, &b, 0);
        row->type->print(row, (char *)&r.self + row->at, &j);
        rki_putc(&b, 0);
        if (strcmp(b.p, cases[i].json) != 0)
            fail_msg("%s: %s", cases[i].yaml, b.p);
        rki_buf_fini(&b);
        done(&r);
    }
}

static void each_wrong_value_gives_one_finding(void **state)
{
    static const struct {
        const char *yaml, *finding;
    } cases[] = {
        { "string: [a]", "'string' needs a text, not a list [opt-type]" },
        { "string: {}", "'string' needs a text, not a mapping [opt-type]" },
        { "string:", "'string' has no value [opt-empty]" },
        { "string: null", "'string' has no value [opt-empty] | quote 'null' if the text is meant" },
        { "string: # x", "'string' has no value [opt-empty] | '#' begins a comment: quote the value" },
        { "path: ''", "'path' needs a path, not an empty text [opt-type]" },
        { "char: ab", "'char' needs one ASCII character, not 'ab' [opt-type]" },
        { "char: \"\\a\"", "'char' needs one ASCII character, not '\a' [opt-type]" },
        { "uint: -1", "'-1' is out of range for 'uint' [opt-range]" },
        { "uint: 1.5", "'uint' needs a whole number, not '1.5' [opt-type]" },
        { "uint: '5'", "'uint' needs a whole number, not the text '5' [opt-type] | remove the quotes" },
        { "uint: ''", "'uint' needs a whole number, not an empty text [opt-type]" },
        { "bounded: 4", "'bounded' must be at least 5 rows, not '4' [opt-range]" },
        { "bounded: 11", "'bounded' must be at most 10 rows, not '11' [opt-range]" },
        { "int: 9223372036854775808", "'9223372036854775808' is out of range for 'int' [opt-range]" },
        { "float: nan", "'float' needs a number, not 'nan' [opt-type]" },
        { "float: 1e999", "'1e999' is out of range for 'float' [opt-range]" },
        { "ratio: 2", "'2' is out of range for 'ratio' [opt-range] | a share of 1; write 5% or 0.05" },
        { "bool: yes", "'bool' needs true or false, not 'yes' [opt-type] | write true" },
        { "bool: 'true'", "'bool' needs true or false, not the text 'true' [opt-type] | remove the quotes" },
        { "bool: treu", "'bool' needs true or false, not 'treu' [opt-type] | did you mean 'true'?" },
        { "duration: 5", "'duration' needs a duration such as 500ms or 5s, not '5' [opt-type] | add a unit: us, ms, s, "
                         "m, h or d" },
        { "duration: 2m", "'duration' must be at most 1m, not '2m' [opt-range]" },
        { "duration: 1us", "'duration' must be at least 1ms, not '1us' [opt-range]" },
        { "size: 1K", "'size' needs a size such as 64KiB or 10MB, not '1K' [opt-type] | the units are B, KiB, MiB, "
                      "GiB, TiB (1024) and KB, MB, GB, TB (1000)" },
        { "rate: x", "'rate' needs a rate such as 200/s or 5k/s, not 'x' [opt-type]" },
        { "choice: rde", "'choice' is red, green or blue, not 'rde' [opt-choice] | did you mean 'red'?" },
        { "choice: pink", "'choice' is red, green or blue, not 'pink' [opt-choice]" },
        { "choice: blue", "'choice: blue' is not supported yet [not-supported]" },
        { "expr: ''", "'expr' needs an expression, not an empty text [opt-type]" },
        { "expr: '  '", "'expr' needs an expression, not '  ' [opt-type]" },
        { "exprs: a", "'exprs' needs a mapping of names to expressions, not 'a' [opt-type]" },
        { "exprs: {a: {b: c}}", "'a' needs an expression, not a mapping [opt-type]" },
        { "words: {a: b}", "'words' needs a list of texts, not a mapping [opt-type]" },
        { "words: [a, ~]", "an entry of 'words' has no value [opt-empty] | quote '~' if the text is meant" },
        { "words: [a, [b]]", "'words' needs texts in its list, not a list [opt-type]" },
        { "names: [a]", "'names' needs a mapping of names to texts, not a list [opt-type]" },
        { "types: {a: int}", "column 'a' has no type 'int' [type-unknown] | write i64" },
        { "types: {a: strnig}", "column 'a' has no type 'strnig' [type-unknown] | did you mean 'string'?" },
        { "schema: order", "no schema is named 'order' [schema-unknown] | did you mean 'orders'?" },
        { "schema: [a]", "'schema' needs the name of a schema or a mapping of columns to types, not a list "
                         "[opt-type]" },
        { "object: {n: 1}", "'object' needs 'name' [opt-missing] | 'name': who" },
        { "object: [a]", "'object' needs a mapping or only its 'name', not a list [opt-type]" },
        { "object: {name: a, m: 1}", "'object' has no option 'm' [opt-unknown] | there are name, n" },
        { "object: ~", "'object' has no value [opt-empty] | quote '~' if the text is meant" },
        { "objects: [{name: a}, {n: x, name: b}]", "'n' needs a whole number, not 'x' [opt-type]" },
        { "objects: [~]", "'objects' has no value [opt-empty] | quote '~' if the text is meant" },
        { "later: 5", "'later' is not supported yet [not-supported] | use uint" },
        { "strnig: a", "operator 'x' has no option 'strnig' [opt-unknown] | did you mean 'string'?" },
        { "str: a", "operator 'x' has no option 'str' [opt-unknown] | 'str' is 'string' here" },
        { "n: 1", "operator 'x' has no option 'n' [opt-unknown] | 'n' belongs under 'object'" },
        { "[a]", "operator 'x' needs a mapping of options, not a list [opt-type]" },
        { "uint: 0123456789012345678901234567890123456789012345678901234567890123456789",
          "'uint' needs a whole number, not '012345678901234567890123456789012345678901234567890123456789..' "
          "[opt-type] "
          "| write it without the leading zero, or as 0o17 if it is octal" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct run r;

        apply(&r, cases[i].yaml);
        assert_int_equal(r.st, RKP_INVALID);
        if (strcmp(r.out.p, cases[i].finding) != 0)
            fail_msg("%s\n  expected %s\n  and got  %s", cases[i].yaml, cases[i].finding, r.out.p);
        done(&r);
    }
}

static void all_findings_are_given_at_once(void **state)
{
    struct run r;

    (void)state;
    apply(&r, "uint: a\nbool: b\nzzzzzz: c\nobjects: [{n: d}, {name: [e]}]\n");
    assert_int_equal(rki_diags_n(r.d), 6);
    done(&r);
}

static void quiet_means_no_findings(void **state)
{
    rki_arena a;
    rkp_opt_ctx c = { .arena = &a, .owner = "x" };
    rki_tree_budget budget = { 0 };
    struct all self = { 0 };
    rkp_node *n;

    (void)state;
    rki_arena_init(&a);
    n = rki_tree_load(&a, NULL, "t", RKP_STR("uint: x\nzz: 1"), &budget);
    assert_non_null(n);
    assert_int_equal(rki_opts_apply(&c, rows, n, n->at, &self), RKP_INVALID);
    assert_int_equal(rki_opts_apply(&c, rows, NULL, n->at, &self), RKP_OK);
    assert_int_equal(self.bounded, 7);
    rki_arena_fini(&a);
}

static void a_wrong_default_is_our_bug(void **state)
{
    static const rkp_opt bad[] = { { "n", &rkp_uint, 0, .def = "many", .help = "x" }, { 0 } };
    rki_arena a;
    rkp_diags *d = rki_diags_new();
    rkp_opt_ctx c = { .arena = &a, .diags = d, .owner = "x" };
    uint64_t self = 0;

    (void)state;
    rki_arena_init(&a);
    assert_int_equal(rki_opts_apply(&c, bad, NULL, (rkp_loc){ 0 }, &self), RKP_INTERNAL);
    assert_int_equal(rki_diags_n(d), 1);
    rki_arena_fini(&a);
    rki_diags_free(d);
}

static void describe_shows_a_line_for_each_option(void **state)
{
    static const rkp_opt some[] = {
        { "rate", &rkp_rate, 0, .required = true, .bounded = true, .min = 0.001, .max = 1e9, .unit = "rows/s",
          .help = "sustained rate to let through" },
        { "colour", &rkp_choice_type, 0, .def = "red", .choices = colours, .help = "of the rows" },
        { "wait", &rkp_duration, 0, .def = "0", .bounded = true, .min = 0, .max = 3600e9, .help = "before it" },
        { "part", &rkp_object, 0, .optional = true, .sub = inner_rows, .sub_size = sizeof(struct inner),
          .help = "a part" },
        { 0 },
    };
    rki_buf b;

    (void)state;
    rki_buf_init(&b);
    rki_opts_describe(some, &b, 2);
    rki_putc(&b, 0);
    assert_string_equal(b.p,
                        "  rate    rate      sustained rate to let through (required, 0.001 to 1000000000 rows/s)\n"
                        "  colour  choice    of the rows (default red)\n"
                        "      red    warm\n"
                        "      green  calm\n"
                        "      blue   cold (not supported yet)\n"
                        "  wait    duration  before it (default 0, 0 to 1h)\n"
                        "  part    mapping   a part\n"
                        "      name  string        who (required)\n"
                        "      n     whole number  how many (default 3)\n");
    rki_buf_fini(&b);
}

static void the_schema_of_rows_is_strict(void **state)
{
    static const rkp_opt some[] = {
        { "n", &rkp_uint, 0, .required = true, .bounded = true, .min = 1, .max = 5, .unit = "rows",
          .help = "how many" },
        { "where", &rkp_expr_text, 8, .optional = true, .no_vars = true, .help = "which" },
        { "later", &rkp_uint, 0, .optional = true, .help = "not today", .not_yet = "" },
        { "on", &rkp_bool, 40, .def = "true", .help = "x" },
        { 0 },
    };
    rki_json j;
    rki_buf b;

    (void)state;
    rki_buf_init(&b);
    rki_json_init(&j, &b, 0);
    rki_opts_schema(some, &j);
    rki_putc(&b, 0);
    assert_string_equal(b.p,
                        "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{"
                        "\"n\":{\"description\":\"how many (rows)\",\"anyOf\":[{\"type\":\"integer\",\"minimum\":1,"
                        "\"maximum\":5},{\"type\":\"string\",\"pattern\":\"\\\\$\\\\{\"}]},"
                        "\"where\":{\"description\":\"which\",\"type\":[\"string\",\"number\",\"boolean\"],"
                        "\"not\":{\"type\":\"string\",\"pattern\":\"\\\\$\\\\{\"}},"
                        "\"later\":{\"description\":\"not today (not supported yet)\",\"not\":{}},"
                        "\"on\":{\"description\":\"x\",\"default\":true,\"anyOf\":[{\"type\":\"boolean\"},"
                        "{\"type\":\"string\",\"pattern\":\"\\\\$\\\\{\"}]}},\"required\":[\"n\"]}");
    rki_buf_fini(&b);
}

static void check_rows(const char *of, const rkp_opt *r)
{
    for (; r && r->name; r++) {
        rki_arena a;
        rkp_opt_ctx c = { .arena = &a };
        rkp_opt one[2] = { *r, { 0 } };
        void *field;

        if (!r->help || !r->help[0] || !r->type)
            fail_msg("%s.%s has no help or no type", of, r->name);
        if ((r->def != NULL) + r->required + r->optional != 1)
            fail_msg("%s.%s needs exactly one of def, required and optional", of, r->name);
        rki_arena_init(&a);
        field = rki_alloc(&a, r->at + r->type->size + r->sub_size);
        if (r->def && rki_opts_apply(&c, one, NULL, (rkp_loc){ 0 }, field) != RKP_OK)
            fail_msg("%s.%s: the default is not a value", of, r->name);
        rki_arena_fini(&a);
        check_rows(r->name, r->sub);
    }
}

static void rows_of_the_tables_are_complete(void **state)
{
    (void)state;
    for (size_t i = 0; table_ops[i]; i++)
        check_rows(table_ops[i]->name, table_ops[i]->opts);
    check_rows("test", rows);
}

static void every_allocation_may_fail(void **state)
{
    static const char yaml[] = "string: a\nexprs: {a: b, c: ' d '}\nwords: [a, b]\ntypes: {a: i64}\nschema: {a: i64}\n"
                               "object: x\nobjects: [a, {name: b}]\nuint: 5x\nzz: 1\n";
    rki_arena first;
    rki_tree_budget budget = { 0 };
    rkp_node *n;

    (void)state;
    if (!nomem_works())
        skip();
    rki_arena_init(&first);
    n = rki_tree_load(&first, NULL, "t", rkp_str_of(yaml), &budget);
    for (long k = 1;; k++) {
        rki_arena a;
        rkp_diags *d = rki_diags_new();
        rkp_opt_ctx c = { .arena = &a, .diags = d, .owner = "x" };
        struct all self = { 0 };
        rkp_status st;
        bool end;

        rki_arena_init(&a);
        nomem_at(k);
        st = rki_opts_apply(&c, rows, n, n->at, &self);
        end = nomem_count() < k;
        nomem_at(0);
        assert_int_not_equal(st, RKP_OK);
        assert_true(rki_diags_failed(d) || st == RKP_NOMEM);
        rki_arena_fini(&a);
        rki_diags_free(d);
        if (end)
            break;
    }
    rki_arena_fini(&first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_taken_and_printed_back), cmocka_unit_test(each_wrong_value_gives_one_finding),
        cmocka_unit_test(all_findings_are_given_at_once),    cmocka_unit_test(quiet_means_no_findings),
        cmocka_unit_test(a_wrong_default_is_our_bug),        cmocka_unit_test(describe_shows_a_line_for_each_option),
        cmocka_unit_test(the_schema_of_rows_is_strict),      cmocka_unit_test(rows_of_the_tables_are_complete),
        cmocka_unit_test(every_allocation_may_fail),
    };

    return cmocka_run_group_tests_name("opt", tests, NULL, NULL);
}
