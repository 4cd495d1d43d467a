// The scanner of read.jsonl: what it finds, what it refuses, the same with every instruction set; and, where jansson is
// at hand, the same answers as a library that reads JSON into memory.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../operators/read/json_scan.h"
#include "nomem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(RKP_JANSSON)
#include <jansson.h>
#endif

enum { MAX_ROWS = 64, MAX_SLOTS = 8 };

struct found {
    uint32_t rows, n_bad;
    rkp_str v[MAX_ROWS][MAX_SLOTS]; // by path; p == NULL: not there
    uint32_t start[MAX_ROWS];
    unsigned error[MAX_ROWS];
    uint32_t bad_at[MAX_ROWS], bad_end[MAX_ROWS], error_at[MAX_ROWS];
    char *text;
};

// Scans text (the last line gets its end) with one instruction set.
static void scan_with(jscan *s, const uint32_t *slot_of, uint32_t n_paths, rkp_str text, struct found *f)
{
    uint32_t pos_mem[MAX_SLOTS][MAX_ROWS * 2], *pos[MAX_SLOTS];
    jscan_chunk c = { .at = 1, .cap = MAX_ROWS, .start = f->start, .pos = pos };
    size_t n = text.n;
    // Exactly what the scanner may read, so that a byte more is found by the sanitizer.
    char *buf = malloc(1 + n + 1 + JSCAN_PAD);
    assert_non_null(buf);
    buf[0] = '\n';
    memcpy(buf + 1, text.p, n);
    if (!n || buf[n] != '\n')
        buf[++n] = '\n';
    memset(buf + 1 + n, '"', JSCAN_PAD);
    for (uint32_t i = 0; i < MAX_SLOTS; i++)
        pos[i] = pos_mem[i];
    f->text = buf;
    f->rows = f->n_bad = 0;
    c.base = buf;
    c.end = (uint32_t)n + 1;
    while (!jscan_lines(s, &c)) {
        f->error[f->n_bad] = c.error;
        f->bad_at[f->n_bad] = c.bad_at;
        f->bad_end[f->n_bad] = c.bad_end;
        f->error_at[f->n_bad] = c.error_at;
        f->n_bad++;
    }
    f->rows = c.rows;
    for (uint32_t r = 0; r < c.rows; r++)
        for (uint32_t i = 0; i < n_paths; i++) {
            const uint32_t *at = pos[slot_of[i]] + 2 * (size_t)r;
            f->v[r][i] = at[0] == RKP_NO_TEXT ? (rkp_str){ NULL, 0 } : (rkp_str){ buf + at[0] + 1, at[1] - at[0] - 1 };
        }
}

static jscan *scanner(const char *const *paths, uint32_t n, bool validate, uint32_t *slot_of)
{
    jscan_path p[MAX_SLOTS];
    jscan *s;
    for (uint32_t i = 0; i < n; i++)
        p[i] = (jscan_path){ .text = rkp_str_of(paths[i]) };
    s = jscan_new(p, n, validate, slot_of);
    assert_non_null(s);
    return s;
}

// ---- what is found --------------------------------------------------------------------------------------------------

static const struct {
    const char *name, *text, *paths[MAX_SLOTS];
    const char *expect; // rows of values separated by |, - for not there
} finds[] = {
    { "members", "{\"a\":1,\"b\":\"x\"}\n{\"b\":\"y\",\"a\":2}\n", { "a", "b" }, "1|\"x\"\n2|\"y\"\n" },
    { "absent and null", "{\"a\":null}\n{}\n{\"b\":1}\n", { "a", "b" }, "-|-\n-|-\n-|1\n" },
    { "blanks everywhere", " \t{ \"a\" : 1 ,\r \"b\":[ ] }  \n", { "a", "b" }, "1|[ ]\n" },
    { "more blanks than the line before",
      "{\"a\":1,\"b\":2}\n{\"a\": 1,\"b\":\t 2}\n{\"a\":1 ,\"b\":2 }\n",
      { "a", "b" },
      "1|2\n1|2\n1|2\n" },
    { "nested",
      "{\"a\":{\"b\":[1,{\"c\":2}]},\"d\":3}\n",
      { "a.b[1].c", "a.b[0]", "a.b", "d" },
      "2|1|[1,{\"c\":2}]|3\n" },
    { "nested is not there",
      "{\"a\":1}\n{\"a\":[]}\n{\"a\":{\"b\":null}}\n{\"a\":\"x\"}\n",
      { "a.b.c", "a.b", "a" },
      "-|-|1\n-|-|[]\n-|-|{\"b\":null}\n-|-|\"x\"\n" },
    { "object or array", "{\"a\":{\"b\":1}}\n{\"a\":[7,8]}\n", { "a.b", "a[1]" }, "1|-\n-|8\n" },
    { "odd keys",
      "{\"x.y\":1,\"a b\":{\"]\":2},\"\":3,\"q\\\"q\":4}\n",
      { "[\"x.y\"]", "a b[\"]\"]", "[\"\"]", "['q\"q']" },
      "1|2|3|4\n" },
    { "key with escapes",
      "{\"\\u0061\":1,\"\\n\":2,\"\\uD83D\\uDE00\":3,\"\\u00e9\":4}\n",
      { "a", "[\"\n\"]", "\xF0\x9F\x98\x80", "\xC3\xA9" },
      "1|2|3|4\n" },
    { "the last of equal keys",
      "{\"a\":1,\"a\":2}\n{\"a\":1,\"a\":null}\n{\"a\":{\"b\":1},\"a\":2}\n",
      { "a", "a.b" },
      "2|-\n-|-\n2|-\n" },
    { "the whole line",
      " {\"a\":1} \n[1]\n7\n\"x\"\nnull\n",
      { "$", "$.a", "[0]" },
      "{\"a\":1}|1|-\n[1]|-|1\n7|-|-\n\"x\"|-|-\n-|-|-\n" },
    { "the same path twice", "{\"a\":1}\n", { "a", "$.a", "[\"a\"]" }, "1|1|1\n" },
    { "blank lines and no last end", "\n  \n{\"a\":1}\r\n\r\n{\"a\":2}", { "a" }, "1\n2\n" },
    { "strings with everything",
      "{\"s\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000{}[],:\",\"a\":\"\\\\\"}\n",
      { "s", "a" },
      "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000{}[],:\"|\"\\\\\"\n" },
    { "skipped text with brackets in strings",
      "{\"x\":{\"s\":\"}]\\\"}\",\"t\":[\"\\\\\"]},\"a\":1}\n",
      { "a" },
      "1\n" },
    { "keys that begin alike",
      "{\"level\":1,\"levels\":2,\"leve\":3}\n{\"levels\":4,\"level\":5}\n",
      { "level", "leve" },
      "1|3\n5|-\n" },
    { "elements",
      "{\"a\":[0,1,[2,3],{\"b\":4}]}\n{\"a\":[]}\n{\"a\":[5]}\n",
      { "a[0]", "a[2][1]", "a[3].b", "a[1]" },
      "0|3|4|1\n-|-|-|-\n5|-|-|-\n" },
};

static void finds_the_values_of_paths(void **state)
{
    const jscan_kernels *k;
    (void)state;
    for (size_t i = 0; i < sizeof finds / sizeof *finds; i++)
        for (int j = 0; (k = jscan_kernels_at(j)); j++)
            for (int validate = 0; validate < 2; validate++)
                for (int again = 0; again < 2; again++) {
                    struct found f;
                    char got[4096] = "";
                    size_t n = 0;
                    uint32_t n_paths = 0, slot_of[MAX_SLOTS];
                    jscan *s;
                    while (n_paths < MAX_SLOTS && finds[i].paths[n_paths])
                        n_paths++;
                    s = scanner(finds[i].paths, n_paths, validate, slot_of);
                    jscan_use(s, k);
                    for (int round = 0; round <= again; round++) { // the second time with what was learned
                        n = 0;
                        scan_with(s, slot_of, n_paths, rkp_str_of(finds[i].text), &f);
                        for (uint32_t r = 0; r < f.rows; r++)
                            for (uint32_t c = 0; c < n_paths; c++)
                                n += (size_t)snprintf(got + n, sizeof got - n, RKP_STR_FMT "%c",
                                                      RKP_STR_ARG(f.v[r][c].p ? f.v[r][c] : RKP_STR("-")),
                                                      c + 1 < n_paths ? '|' : '\n');
                        free(f.text);
                    }
                    if (f.n_bad || strcmp(got, finds[i].expect))
                        fail_msg("%s (%s, validate %d): %u bad (%s), got\n%s", finds[i].name, k->name, validate,
                                 f.n_bad, f.n_bad ? jscan_error_text(f.error[0]) : "", got);
                    jscan_free(s);
                }
}

// ---- what is refused ------------------------------------------------------------------------------------------------

static const struct {
    const char *line;
    unsigned used, all; // errors; path "a" is wanted
} refused[] = {
    { "{", JSCAN_KEY, JSCAN_KEY },
    { "{\"a\"", JSCAN_COLON, JSCAN_COLON },
    { "{\"a\":", JSCAN_VALUE, JSCAN_VALUE },
    { "{\"a\":1", JSCAN_COMMA, JSCAN_COMMA },
    { "{\"a\":1,", JSCAN_KEY, JSCAN_KEY },
    { "{\"a\":1,}", JSCAN_KEY, JSCAN_KEY },
    { "{,}", JSCAN_KEY, JSCAN_KEY },
    { "{\"a\":1}}", JSCAN_TAIL, JSCAN_TAIL },
    { "{\"a\":1}{\"a\":2}", JSCAN_TAIL, JSCAN_TAIL },
    { "{\"a\":1 \"b\":2}", JSCAN_COMMA, JSCAN_COMMA },
    { "{\"a\" 1}", JSCAN_COLON, JSCAN_COLON },
    { "{a:1}", JSCAN_KEY, JSCAN_KEY },
    { "{'a':1}", JSCAN_KEY, JSCAN_KEY },
    { "{\"a\":'x'}", JSCAN_VALUE, JSCAN_VALUE },
    { "{\"a\":\"x}", JSCAN_STRING, JSCAN_STRING },
    { "{\"a\":\"x\ty\"}", JSCAN_STRING, JSCAN_STRING },
    { "{\"a\":\"\\x\"}", JSCAN_ESCAPE, JSCAN_ESCAPE },
    { "{\"a\":\"\\u12G4\"}", JSCAN_ESCAPE, JSCAN_ESCAPE },
    { "{\"a\":\"\\", JSCAN_ESCAPE, JSCAN_ESCAPE },
    { "{\"b\":\"\\x\"}", JSCAN_ESCAPE, JSCAN_ESCAPE },
    { "{\"a\":\"\xFF\"}", JSCAN_UTF8, JSCAN_UTF8 },
    { "{\"a\":\"\xED\xA0\x80\"}", JSCAN_UTF8, JSCAN_UTF8 },
    { "{\"b\":\"\xFF\"}", JSCAN_OK, JSCAN_UTF8 },
    { "{\"a\":01}", JSCAN_NUMBER, JSCAN_NUMBER },
    { "{\"a\":1.}", JSCAN_NUMBER, JSCAN_NUMBER },
    { "{\"a\":.5}", JSCAN_VALUE, JSCAN_VALUE },
    { "{\"a\":+1}", JSCAN_VALUE, JSCAN_VALUE },
    { "{\"a\":-}", JSCAN_NUMBER, JSCAN_NUMBER },
    { "{\"a\":1e}", JSCAN_NUMBER, JSCAN_NUMBER },
    { "{\"a\":1e+}", JSCAN_NUMBER, JSCAN_NUMBER },
    { "{\"a\":0x10}", JSCAN_NUMBER, JSCAN_NUMBER },
    { "{\"a\":NaN}", JSCAN_VALUE, JSCAN_VALUE },
    { "{\"a\":tru}", JSCAN_WORD, JSCAN_WORD },
    { "{\"a\":True}", JSCAN_VALUE, JSCAN_VALUE },
    { "{\"a\":nullx}", JSCAN_WORD, JSCAN_WORD },
    { "{\"b\":1x}", JSCAN_OK, JSCAN_NUMBER },
    { "{\"b\":x}", JSCAN_VALUE, JSCAN_VALUE },
    { "{\"b\":}", JSCAN_VALUE, JSCAN_VALUE },
    { "{\"b\":{\"c\" 1}}", JSCAN_OK, JSCAN_COLON },
    { "{\"b\":[1 2]}", JSCAN_OK, JSCAN_COMMA_ARR },
    { "{\"b\":[1,]}", JSCAN_OK, JSCAN_VALUE },
    { "{\"a\":[1,]}", JSCAN_VALUE, JSCAN_VALUE },
    { "{\"b\":[1}", JSCAN_NESTING, JSCAN_COMMA_ARR },
    { "{\"b\":[1", JSCAN_NESTING, JSCAN_COMMA_ARR },
    { "{\"b\":[\"1]}", JSCAN_STRING, JSCAN_STRING },
    { "{\"b\":[\"1\x01\"]}", JSCAN_STRING, JSCAN_STRING },
    { "{\"b\":{\"c\":[}]}}", JSCAN_NESTING, JSCAN_VALUE },
    { "[1]", JSCAN_OBJECT, JSCAN_OBJECT },
    { "1", JSCAN_OBJECT, JSCAN_OBJECT },
    { "x", JSCAN_OBJECT, JSCAN_VALUE },
    { "\xEF\xBB\xBF{}", JSCAN_OBJECT, JSCAN_VALUE },
};

static void refuses_broken_lines_and_goes_on(void **state)
{
    const jscan_kernels *k;
    static const char *const paths[] = { "a" };
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        for (int j = 0; (k = jscan_kernels_at(j)); j++)
            for (int validate = 0; validate < 2; validate++) {
                struct found f;
                char text[256];
                uint32_t slot_of[1];
                unsigned want = validate ? refused[i].all : refused[i].used;
                jscan *s = scanner(paths, 1, validate, slot_of);
                int n = snprintf(text, sizeof text, "{\"a\":1}\n%s\r\n{\"a\":2}\n", refused[i].line);
                jscan_use(s, k);
                scan_with(s, slot_of, 1, (rkp_str){ text, (size_t)n }, &f);
                if (f.n_bad != (want != JSCAN_OK) || (f.n_bad && f.error[0] != want))
                    fail_msg("%s (%s, validate %d): %s", refused[i].line, k->name, validate,
                             f.n_bad ? jscan_error_text(f.error[0]) : "accepted");
                assert_int_equal(f.rows, 2 + (want == JSCAN_OK));
                assert_true(rkp_str_is(f.v[f.rows - 1][0], "2"));
                if (f.n_bad) {
                    assert_int_equal(f.bad_at[0], 9);
                    assert_int_equal(f.bad_end[0], 9 + strlen(refused[i].line));
                    assert_in_range(f.error_at[0], f.bad_at[0], f.bad_end[0] + 1); // the end of the line, behind \r
                    assert_true(jscan_row_error(f.error[0]) != 0);
                }
                free(f.text);
                jscan_free(s);
            }
}

static void nesting_has_a_limit(void **state)
{
    const jscan_kernels *k;
    static const char *const paths[] = { "a" };
    (void)state;
    for (int j = 0; (k = jscan_kernels_at(j)); j++)
        for (int validate = 0; validate < 2; validate++)
            for (int deep = 1020; deep <= 1028; deep++)
                for (int wanted = 0; wanted < 2; wanted++) {
                    char text[4096];
                    struct found f;
                    uint32_t slot_of[1];
                    jscan *s = scanner(paths, 1, validate, slot_of);
                    // The object of the line counts where the whole line is checked.
                    bool ok = deep + (validate ? 1 : 0) <= JSCAN_DEPTH;
                    size_t n = (size_t)snprintf(text, sizeof text, "{\"%c\":", wanted ? 'a' : 'b');
                    memset(text + n, '[', (size_t)deep);
                    memset(text + n + deep, ']', (size_t)deep);
                    n += 2 * (size_t)deep;
                    text[n++] = '}';
                    jscan_use(s, k);
                    scan_with(s, slot_of, 1, (rkp_str){ text, n }, &f);
                    assert_int_equal(f.rows, ok);
                    assert_int_equal(f.n_bad, !ok);
                    if (!ok)
                        assert_int_equal(f.error[0], JSCAN_DEEP);
                    free(f.text);
                    jscan_free(s);
                }
}

static void a_path_is_read_or_refused(void **state)
{
    static const struct {
        const char *path;
        bool ok;
    } cases[] = {
        { "a", true },         { "a.b", true },        { "a[0]", true },         { "a[0][1].b", true },
        { "$", true },         { "$.a", true },        { "$[0]", true },         { "[0]", true },
        { "[\"a.b\"]", true }, { "a['x\\'y']", true }, { "$a", true },           { "a-b c", true },
        { "", false },         { ".", false },         { "a.", false },          { ".a", false },
        { "a..b", false },     { "a[", false },        { "a[]", false },         { "a[-1]", false },
        { "a[x]", false },     { "a[0", false },       { "a[\"x]", false },      { "a[0]b", false },
        { "$.", false },       { "a[\"x\"", false },   { "a[999999999]", true }, { "a[99999999999]", false },
    };
    size_t bad;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (jscan_path_ok(rkp_str_of(cases[i].path), &bad) != cases[i].ok)
            fail_msg("%s", cases[i].path);
}

static void columns_that_nobody_reads_are_not_looked_for(void **state)
{
    uint32_t slot_of[3], pos_mem[2];
    uint32_t *pos[1] = { pos_mem }, start[2];
    jscan_path paths[] = { { RKP_STR("a"), true, true },
                           { RKP_STR("b.c"), true, false },
                           { RKP_STR("c"), true, true } };
    jscan *s = jscan_new(paths, 3, false, slot_of);
    char text[256] = "\n{\"a\":x1,\"b.c\":7,\"c\":[}\n{\"b.c\":7}\n";
    jscan_chunk c = { .base = text, .at = 1, .end = (uint32_t)strlen(text), .cap = 2, .start = start, .pos = pos };
    (void)state;
    assert_int_equal(jscan_slots(s), 1);
    assert_int_equal(slot_of[0], UINT32_MAX);
    assert_int_equal(slot_of[1], 0);
    assert_false(jscan_lines(s, &c));
    assert_true(jscan_lines(s, &c));
    assert_int_equal(c.rows, 1);
    jscan_free(s);
}

static void many_different_keys_are_read_although_not_all_are_learned(void **state)
{
    static const char *const paths[] = { "a", "k1500", "k3" };
    const jscan_kernels *k;
    size_t cap = 1 << 20, n = 0;
    char *text = malloc(cap);
    (void)state;
    n += (size_t)snprintf(text + n, cap - n, "{");
    for (int i = 0; i < 2000; i++)
        n += (size_t)snprintf(text + n, cap - n, "\"k%d\":%d,", i, i);
    n += (size_t)snprintf(text + n, cap - n, "\"a\":\"end\"}\n");
    for (int j = 0; (k = jscan_kernels_at(j)); j++) {
        uint32_t slot_of[3];
        jscan *s = scanner(paths, 3, false, slot_of);
        jscan_use(s, k);
        for (int round = 0; round < 3; round++) {
            struct found f;
            scan_with(s, slot_of, 3, (rkp_str){ text, n }, &f);
            assert_int_equal(f.rows, 1);
            assert_true(rkp_str_is(f.v[0][0], "\"end\""));
            assert_true(rkp_str_is(f.v[0][1], "1500"));
            assert_true(rkp_str_is(f.v[0][2], "3"));
            free(f.text);
        }
        jscan_free(s);
    }
    free(text);
}

static void lines_are_counted_and_found(void **state)
{
    const jscan_kernels *k;
    (void)state;
    for (int j = 0; (k = jscan_kernels_at(j)); j++)
        for (uint32_t n = 0; n < 300; n++)
            for (uint32_t every = 1; every < 70; every += 17) {
                char *buf = malloc(1 + n + JSCAN_PAD);
                uint32_t to[512], count = 0, got;
                bool cr;
                memset(buf, 'x', 1 + n);
                memset(buf + 1 + n, '\n', JSCAN_PAD);
                for (uint32_t i = 1; i <= n; i += every, count++)
                    buf[i] = '\n';
                assert_int_equal(k->count_lines(buf + 1, n), count);
                got = k->find_lines(buf, 1, 1 + n, to, &cr);
                assert_int_equal(got, count);
                assert_false(cr);
                for (uint32_t i = 0; i < got; i++)
                    assert_int_equal(to[i], 1 + i * every);
                free(buf);
            }
}

// ---- random documents -----------------------------------------------------------------------------------------------

static uint64_t rng = 88172645463325252u;

static uint32_t rnd(uint32_t n)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (uint32_t)((rng * UINT64_C(0x2545F4914F6CDD1D)) >> 33) % n;
}

struct text {
    char p[1 << 16];
    size_t n;
};

static void add(struct text *t, const char *s)
{
    size_t n = strlen(s);
    if (t->n + n < sizeof t->p) {
        memcpy(t->p + t->n, s, n);
        t->n += n;
    }
}

static void add_blank(struct text *t)
{
    static const char *const some[] = { "", "", "", "", "", "", " ", "\t", "  ", "\r" };
    add(t, some[rnd(10)]);
}

static void add_string(struct text *t)
{
    static const char *const parts[] = { "a",
                                         "b",
                                         "key",
                                         "0",
                                         "}",
                                         "{",
                                         "[",
                                         ":",
                                         ",",
                                         "]",
                                         " ",
                                         "\\\"",
                                         "\\\\",
                                         "\\n",
                                         "\\u0041",
                                         "\\/",
                                         "\xC3\xA9",
                                         "\xE2\x82\xAC",
                                         "\xF0\x9F\x98\x80",
                                         "a long piece of plain text without anything",
                                         "\\uD83D\\uDE00",
                                         "\\t",
                                         "'" };
    uint32_t n = rnd(6);
    add(t, "\"");
    while (n--)
        add(t, parts[rnd(sizeof parts / sizeof *parts)]);
    add(t, "\"");
}

static void add_value(struct text *t, unsigned depth)
{
    static const char *const scalars[] = { "0",   "1",    "-1",   "12345678", "1.5",  "-0.25",
                                           "1e5", "2E-3", "true", "false",    "null", "9007199254740993" };
    static const char *const keys[] = { "\"a\"", "\"b\"", "\"c\"", "\"a\\u0062\"", "\"x.y\"", "\"\"" };
    uint32_t n, kind = rnd(depth > 4 ? 6 : 10);
    if (kind < 4) {
        add(t, scalars[rnd(sizeof scalars / sizeof *scalars)]);
    } else if (kind < 6) {
        add_string(t);
    } else if (kind < 8) {
        add(t, "[");
        add_blank(t);
        n = rnd(5);
        for (uint32_t i = 0; i < n; i++) {
            add_value(t, depth + 1);
            add_blank(t);
            if (i + 1 < n)
                add(t, ",");
            add_blank(t);
        }
        add(t, "]");
    } else {
        add(t, "{");
        add_blank(t);
        n = rnd(6);
        for (uint32_t i = 0; i < n; i++) {
            if (rnd(8))
                add(t, keys[rnd(6)]);
            else
                add_string(t);
            add_blank(t);
            add(t, ":");
            add_blank(t);
            add_value(t, depth + 1);
            add_blank(t);
            if (i + 1 < n)
                add(t, ",");
            add_blank(t);
        }
        add(t, "}");
    }
}

static void mutate(struct text *t)
{
    static const char some[] = "{}[],:\"\\ \t0a.-e\x01\x80\xC3\xFF";
    size_t at;
    if (!t->n)
        return;
    at = rnd((uint32_t)t->n);
    switch (rnd(4)) {
    case 0:
        memmove(t->p + at, t->p + at + 1, t->n - at - 1);
        t->n--;
        break;
    case 1:
        t->p[at] = some[rnd(sizeof some - 1)];
        break;
    case 2:
        if (t->n + 1 < sizeof t->p) {
            memmove(t->p + at + 1, t->p + at, t->n - at);
            t->p[at] = some[rnd(sizeof some - 1)];
            t->n++;
        }
        break;
    default:
        t->n = at;
    }
}

static const char *const oracle_paths[] = { "$", "a", "a.b", "a[1]", "b[0].a", "[\"x.y\"]", "ab", "a.b.c" };
enum { N_ORACLE = 8 };

static bool blank_line(const struct text *t)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->p[i] != ' ' && t->p[i] != '\t' && t->p[i] != '\r')
            return false;
    return true;
}

// Every instruction set gives the same answer; *f is the last one's.
static void scan_all(jscan *const *scans, const uint32_t *slot_of, const struct text *t, struct found *f)
{
    const jscan_kernels *k;
    struct found g;
    for (int j = 0; (k = jscan_kernels_at(j)); j++) {
        scan_with(scans[j], slot_of, N_ORACLE, (rkp_str){ t->p, t->n }, j ? &g : f);
        if (!j)
            continue;
        if (g.rows != f->rows || g.n_bad != f->n_bad || (g.n_bad && (g.error[0] != f->error[0])))
            fail_msg("%s differs: %.*s", k->name, (int)t->n, t->p);
        for (uint32_t i = 0; g.rows && i < N_ORACLE; i++)
            if (g.v[0][i].n != f->v[0][i].n ||
                (g.v[0][i].p ? g.v[0][i].p - g.text : 0) != (f->v[0][i].p ? f->v[0][i].p - f->text : 0))
                fail_msg("%s differs at %s: %.*s", k->name, oracle_paths[i], (int)t->n, t->p);
        free(g.text);
    }
}

#if defined(RKP_JANSSON)
static const json_t *step(const json_t *v, const char *key, size_t index)
{
    return !v ? NULL : key ? json_object_get(v, key) : json_array_get(v, index);
}

static const json_t *oracle(const json_t *v, int path)
{
    switch (path) {
    case 0:
        return v;
    case 1:
        return step(v, "a", 0);
    case 2:
        return step(step(v, "a", 0), "b", 0);
    case 3:
        return step(step(v, "a", 0), NULL, 1);
    case 4:
        return step(step(step(v, "b", 0), NULL, 0), "a", 0);
    case 5:
        return step(v, "x.y", 0);
    case 6:
        return step(v, "ab", 0);
    default:
        return step(step(step(v, "a", 0), "b", 0), "c", 0);
    }
}
#endif

static void agrees_with_a_library_on_random_and_broken_documents(void **state)
{
    static struct text t;
    jscan *scans[8] = { 0 }, *lax[8] = { 0 };
    uint32_t slot_of[N_ORACLE];
    const jscan_kernels *k;
    uint64_t good = 0, bad = 0;
    (void)state;
    for (int j = 0; (k = jscan_kernels_at(j)); j++) {
        scans[j] = scanner(oracle_paths, N_ORACLE, true, slot_of);
        lax[j] = scanner(oracle_paths, N_ORACLE, false, slot_of);
        jscan_use(scans[j], k);
        jscan_use(lax[j], k);
    }
    for (int round = 0; round < 20000; round++) {
        struct found f, g;
        t.n = 0;
        add_blank(&t);
        add_value(&t, rnd(3) ? 0 : 3);
        for (uint32_t n = rnd(3); n-- && round % 2;)
            mutate(&t);
        if (blank_line(&t))
            continue;
        scan_all(scans, slot_of, &t, &f);
        scan_all(lax, slot_of, &t, &g);
        assert_int_equal(f.rows + f.n_bad, 1);
        if (f.rows && !g.rows)
            fail_msg("the lax one refuses (%s): %.*s", jscan_error_text(g.error[0]), (int)t.n, t.p);
        for (uint32_t i = 0; f.rows && i < N_ORACLE; i++)
            assert_true(f.v[0][i].n == g.v[0][i].n && !f.v[0][i].p == !g.v[0][i].p);
        good += f.rows;
        bad += f.n_bad;
#if defined(RKP_JANSSON)
        json_error_t e;
        json_t *v = json_loadb(t.p, t.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
        bool known = !v && (strstr(e.text, "invalid Unicode") || strstr(e.text, "overflow") ||
                            strstr(e.text, "too big") || strstr(e.text, "NUL byte"));
        if (!known && (v != NULL) != (f.rows == 1))
            fail_msg("jansson says %s, we say %s: %.*s", v ? "good" : e.text,
                     f.rows ? "good" : jscan_error_text(f.error[0]), (int)t.n, t.p);
        for (int i = 0; v && i < N_ORACLE; i++) {
            const json_t *want = oracle(v, i);
            json_t *got;
            if (!want || json_is_null(want)) {
                assert_null(f.v[0][i].p);
                continue;
            }
            if (!f.v[0][i].p)
                fail_msg("%s is not found: %.*s", oracle_paths[i], (int)t.n, t.p);
            got = json_loadb(f.v[0][i].p, f.v[0][i].n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
            if (!got || !json_equal(got, want))
                fail_msg("%s is " RKP_STR_FMT ": %.*s", oracle_paths[i], RKP_STR_ARG(f.v[0][i]), (int)t.n, t.p);
            json_decref(got);
        }
        json_decref(v);
#endif
        free(f.text);
        free(g.text);
    }
    assert_in_range(good, 9000, 20000);
    assert_in_range(bad, 1000, 11000);
    for (int j = 0; scans[j]; j++) {
        jscan_free(scans[j]);
        jscan_free(lax[j]);
    }
}

static void memory_may_run_out_anywhere(void **state)
{
    static const char *const paths[] = { "a", "b.c[3].d", "b.c", "[\"x\"]" };
    (void)state;
    if (!nomem_works())
        skip();
    for (long n = 1;; n++) {
        jscan_path p[4];
        uint32_t slot_of[4], pos_mem[4][4], *pos[4], start[2];
        char text[256] = "\n{\"a\":1,\"b\":{\"c\":[0,1,2,{\"d\":\"x\"}]},\"x\":2}\n{\"z\":0,\"a\":1}\n";
        jscan_chunk c = { .base = text, .at = 1, .end = (uint32_t)strlen(text), .cap = 2, .start = start, .pos = pos };
        jscan *s;
        bool done;
        for (int i = 0; i < 4; i++) {
            p[i] = (jscan_path){ .text = rkp_str_of(paths[i]) };
            pos[i] = pos_mem[i];
        }
        nomem_at(n);
        s = jscan_new(p, 4, false, slot_of);
        if (s) { // without memory nothing is learned, and all is found
            assert_true(jscan_lines(s, &c));
            assert_int_equal(c.rows, 2);
            assert_memory_equal(text + pos[slot_of[1]][0] + 1, "\"x\"", 3);
        }
        done = nomem_count() < n;
        nomem_at(0);
        jscan_free(s);
        if (done)
            break;
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_values_of_paths),
        cmocka_unit_test(refuses_broken_lines_and_goes_on),
        cmocka_unit_test(nesting_has_a_limit),
        cmocka_unit_test(a_path_is_read_or_refused),
        cmocka_unit_test(columns_that_nobody_reads_are_not_looked_for),
        cmocka_unit_test(many_different_keys_are_read_although_not_all_are_learned),
        cmocka_unit_test(lines_are_counted_and_found),
        cmocka_unit_test(agrees_with_a_library_on_random_and_broken_documents),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests_name("op.json_scan", tests, NULL, NULL);
}
