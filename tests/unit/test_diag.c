// Tests of rkpipe/diag.h and base/diag.h.
#include "base/diag.h"
#include "nomem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static char *text_of(rkp_diags *d, bool colour)
{
    rki_buf b;

    rki_buf_init(&b);
    rki_diags_text(d, &b, colour);
    return rki_buf_take(&b, NULL);
}

static void expect_text(rkp_diags *d, const char *want)
{
    char *p = text_of(d, false);

    assert_non_null(p);
    assert_string_equal(p, want);
    free(p);
}

static void a_finding_shows_place_excerpt_underline_and_hint(void **state)
{
    rkp_diags *d = rki_diags_new();
    static const char yaml[] = "\n\n\n\n\n\n\n\n\n\n\n\n\n      bacth: { count: 64 }\n";

    (void)state;
    rki_diags_source(d, "cards.yaml", RKP_STR(yaml));
    rkp_diag(d, RKP_ERROR, (rkp_loc){ "cards.yaml", 14, 7, 5 }, "key-unknown", "kernel '%s' has no key '%s'", "detect",
             "bacth");
    rkp_diag_hint(d, "did you mean 'x'?");
    rkp_diag_hint(d, "did you mean '%s'?", "batch");
    expect_text(d, "cards.yaml:14:7: error: kernel 'detect' has no key 'bacth' [key-unknown]\n"
                   "   14 |       bacth: { count: 64 }\n"
                   "      |       ^~~~~\n"
                   "      = hint: did you mean 'batch'?\n");
    assert_true(rki_diags_failed(d));
    rki_diags_free(d);
}

static void the_underline_fits_the_line(void **state)
{
    static const struct {
        const char *line;
        uint32_t col, len;
        const char *want;
    } cases[] = {
        { "rate: fast", 7, 4, "    1 | rate: fast\n      |       ^~~~\n" },
        { "rate: fast", 7, 0, "    1 | rate: fast\n      |       ^\n" },
        { "rate: fast", 7, 99, "    1 | rate: fast\n      |       ^~~~\n" },
        { "rate:", 6, 3, "    1 | rate:\n      |      ^\n" },
        { "rate:", 60, 3, "    1 | rate:\n      |      ^\n" },
        { "rate:", 0, 3, "    1 | rate:\n" },
        { "", 1, 1, "    1 |\n      | ^\n" },
        { "\ta:\tbad", 5, 3, "    1 | \ta:\tbad\n      | \t  \t^~~\n" },
        { "h\xc3\xa9: \xe2\x82\xac\xf0\x9f\x98\x80", 5, 2,
          "    1 | h\xc3\xa9: \xe2\x82\xac\xf0\x9f\x98\x80\n      |     ^~\n" },
        { "a: b   ", 4, 1, "    1 | a: b\n      |    ^\n" },
        { "a\r\nb", 1, 5, "    1 | a\n      | ^\n" },
        { "a\xc2\x85"
          "b",
          1, 5, "    1 | a\n      | ^\n" },
        { "\xef\xbb\xbf"
          "ab",
          2, 1, "    1 | ab\n      |  ^\n" },
        { "x\x1b[31m\xc2\x9b\xff\xe2\x80\xaez", 3, 1,
          "    1 | x\xef\xbf\xbd[31m\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\n      |   ^\n" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rkp_diags *d = rki_diags_new();
        rki_buf want;
        char *p;

        rki_diags_source(d, "f", rkp_str_of(cases[i].line));
        rkp_diag(d, RKP_WARNING, (rkp_loc){ "f", 1, cases[i].col, cases[i].len }, "c", "m");
        rki_buf_init(&want);
        if (cases[i].col)
            rki_putf(&want, "f:1:%u: warning: m [c]\n", cases[i].col);
        else
            rki_putz(&want, "f:1: warning: m [c]\n");
        rki_putz(&want, cases[i].want);
        p = rki_buf_take(&want, NULL);
        expect_text(d, p);
        free(p);
        assert_false(rki_diags_failed(d));
        rki_diags_free(d);
    }
}

static void a_long_line_is_cut_around_the_place(void **state)
{
    char line[1001];

    (void)state;
    memset(line, 'a', 1000);
    line[1000] = '\0';
    for (uint32_t col = 1; col <= 1003; col++)
        for (uint32_t len = 1; len < 2000; len = len * 3 + 1) {
            rkp_diags *d = rki_diags_new();
            char *p, *bar, *mark;
            uint32_t at = col > 1001 ? 1001 : col;

            line[at - 1] = 'X';
            rki_diags_source(d, "f", (rkp_str){ line, 1000 });
            rkp_diag(d, RKP_ERROR, (rkp_loc){ "f", 1, col, len }, "c", "m");
            p = text_of(d, false);
            assert_non_null(p);
            bar = strchr(p, '|');
            mark = strchr(bar + 1, '|');
            assert_true(strchr(bar, '\n') - bar < 2 + 160 + 6 + 1);
            assert_true(strlen(mark) <= 2 + 160 + 6 + 1);
            if (at <= 1000) // the mark stands below the X
                assert_int_equal(bar[strchr(mark, '^') - mark], 'X');
            line[at - 1] = at <= 1000 ? 'a' : '\0';
            free(p);
            rki_diags_free(d);
        }
}

static void findings_are_sorted_by_place_and_repeats_are_gone(void **state)
{
    rkp_diags *d = rki_diags_new();

    (void)state;
    rki_diags_source(d, "main.yaml", RKP_STR(""));
    rkp_diag(d, RKP_ERROR, (rkp_loc){ "inc.yaml", 1, 1, 0 }, "c", "in the include");
    rkp_diag(d, RKP_ERROR, (rkp_loc){ "main.yaml", 9, 1, 0 }, "c", "nine");
    rkp_diag(d, RKP_NOTE, (rkp_loc){ "main.yaml", 3, 4, 0 }, "c", "a note that came first");
    rkp_diag(d, RKP_ERROR, (rkp_loc){ "main.yaml", 3, 4, 0 }, "c", "three");
    rkp_diag(d, RKP_ERROR, (rkp_loc){ "main.yaml", 3, 4, 0 }, "c", "another");
    rkp_diag(d, RKP_ERROR, (rkp_loc){ "main.yaml", 3, 4, 0 }, "c", "three");
    rkp_diag_hint(d, "kept from the repeat");
    rkp_diag(d, RKP_NOTE, (rkp_loc){ "main.yaml", 3, 4, 0 }, "c", "more of another");
    rkp_diag(d, RKP_ERROR, (rkp_loc){ "main.yaml", 3, 1, 0 }, "c", "first column");
    rkp_diag(d, RKP_WARNING, (rkp_loc){ 0 }, "c", "no place");
    expect_text(d, "warning: no place [c]\n"
                   "main.yaml:3:1: error: first column [c]\n"
                   "main.yaml:3:4: error: three [c]\n"
                   "      = hint: kept from the repeat\n"
                   "main.yaml:3:4: note: a note that came first [c]\n"
                   "main.yaml:3:4: error: another [c]\n"
                   "main.yaml:3:4: note: more of another [c]\n"
                   "main.yaml:9:1: error: nine [c]\n"
                   "inc.yaml:1:1: error: in the include [c]\n");
    assert_int_equal(rki_diags_n(d), 8);
    assert_int_equal(rki_diags_count(d, RKP_ERROR), 5);
    assert_string_equal(rki_diags_at(d, 1)->text, "first column");
    rkp_diag_hint(d, "lands nowhere: the newest finding is not known after sorting");
    assert_null(rki_diags_at(d, 7)->hint);
    rki_diags_free(d);
}

static void texts_are_copied_cut_and_harmless(void **state)
{
    rkp_diags *d = rki_diags_new();
    char *big = malloc(100000), *p;
    char file[] = "a\x1b.yaml";

    (void)state;
    memset(big, 0xc3, 100000); // invalid UTF-8 from end to end
    big[99999] = '\0';
    rkp_diag(d, RKP_ERROR, (rkp_loc){ file, 2, 3, 0 }, "c", "bad '%s'", big);
    rkp_diag(d, RKP_ERROR, (rkp_loc){ file, 3, 3, 0 }, "c", "esc '%s'", "\x1b]0;x\a\n\xe2\x80\xae");
    memset(file, 'z', sizeof file - 1);
    free(big);
    assert_true(strlen(rki_diags_at(d, 0)->text) < 5000);
    p = text_of(d, false);
    for (const char *c = p; *c; c++)
        assert_true(*c == '\n' || (unsigned char)*c >= 0x20);
    assert_non_null(strstr(p, "a\xef\xbf\xbd.yaml:3:3: error: esc '\xef\xbf\xbd]0;x\xef\xbf\xbd \xef\xbf\xbd' [c]\n"));
    free(p);
    rki_diags_free(d);
}

// Bytes that break lines, begin sequences, steer terminals, or are plain.
static void random_sources_and_places_print_harmlessly(void **state)
{
    static const char bytes[] =
        "aaaaaaaaaabbbb \t\n\n\r\x1b\x9b\x7f\xc2\x85\xe2\x80\xa8\xae\xf0\x9f\x98\x80\xff\xef\xbb\xbf\xc3\xa9";
    unsigned s = 1;

    (void)state;
    for (int round = 0; round < 3000; round++) {
        rkp_diags *d = rki_diags_new();
        size_t n = (unsigned)round % 700;
        char *text = malloc(n + 1), *p;

        for (size_t i = 0; i < n; i++) {
            s = s * 1664525u + 1013904223u;
            text[i] = bytes[(s >> 16) % (sizeof bytes - (round & 1 ? 1 : 20))];
        }
        rki_diags_source(d, "f", (rkp_str){ text, n });
        text[n] = '\0';
        for (int i = 0; i < 5; i++) {
            s = s * 1664525u + 1013904223u;
            rkp_diag(d, RKP_ERROR, (rkp_loc){ "f", s >> 28, s >> 8 & 0x1ff, s >> 20 & 0xff }, "c", "%s", text);
            rkp_diag_hint(d, "%s", text);
        }
        free(text);
        p = text_of(d, false);
        assert_non_null(p);
        for (const unsigned char *c = (unsigned char *)p; *c; c++) {
            assert_true(*c == '\n' || *c == '\t' || (*c >= 0x20 && *c != 0x7f));
            assert_false(*c == 0xc2 && c[1] < 0xa0);                                  // C1
            assert_false(*c == 0xe2 && c[1] == 0x80 && c[2] >= 0xa8 && c[2] <= 0xae); // breaks, bidi
        }
        free(p);
        rki_diags_free(d);
    }
}

static void past_the_limit_errors_take_the_place_of_warnings(void **state)
{
    rkp_diags *d = rki_diags_new();
    char *p;

    (void)state;
    for (uint32_t i = 0; i < 1500; i++)
        rkp_diag(d, RKP_WARNING, (rkp_loc){ "f", i + 1, 1, 0 }, "w", "warning %u", i);
    rkp_diag(d, RKP_ERROR, (rkp_loc){ "f", 5000, 1, 0 }, "e", "the error");
    rkp_diag_hint(d, "its hint");
    rkp_diag(d, RKP_WARNING, (rkp_loc){ "f", 5001, 1, 0 }, "w", "one more");
    rkp_diag_hint(d, "goes with the warning that is not kept");
    assert_int_equal(rki_diags_n(d), 1000);
    assert_int_equal(rki_diags_count(d, RKP_WARNING), 1501);
    assert_int_equal(rki_diags_count(d, RKP_ERROR), 1);
    p = text_of(d, false);
    assert_non_null(strstr(p, "f:5000:1: error: the error [e]\n      = hint: its hint\n"));
    assert_non_null(strstr(p, "note: 502 more findings are not shown [findings-cut]\n"));
    free(p);
    rki_diags_free(d);
}

static void colour_marks_severity_and_underline(void **state)
{
    rkp_diags *d = rki_diags_new();
    char *p;

    (void)state;
    rki_diags_source(d, "f", RKP_STR("abc"));
    rkp_diag(d, RKP_ERROR, (rkp_loc){ "f", 1, 2, 2 }, "c", "m");
    p = text_of(d, true);
    assert_string_equal(p, "\033[1mf:1:2: \033[0m\033[1;31merror:\033[0m \033[1mm\033[0m [c]\n"
                           "    1 | abc\n"
                           "      |  \033[1;32m^~\033[0m\n");
    free(p);
    rki_diags_free(d);
}

static void json_has_every_field(void **state)
{
    rkp_diags *d = rki_diags_new();
    rki_buf b;
    char *p;

    (void)state;
    rkp_diag(d, RKP_ERROR, (rkp_loc){ "f", 1, 2, 0 }, "c", "m \"q\"");
    rkp_diag_hint(d, "h");
    rkp_diag(d, RKP_NOTE, (rkp_loc){ 0 }, "n", "plain");
    rki_buf_init(&b);
    rki_diags_json(d, &b);
    p = rki_buf_take(&b, NULL);
    assert_string_equal(
        p,
        "[\n  {\n    \"severity\": \"note\",\n    \"file\": null,\n    \"line\": null,\n    \"column\": null,\n"
        "    \"length\": null,\n    \"code\": \"n\",\n    \"message\": \"plain\",\n    \"hint\": null\n  },\n"
        "  {\n    \"severity\": \"error\",\n    \"file\": \"f\",\n    \"line\": 1,\n    \"column\": 2,\n"
        "    \"length\": 1,\n    \"code\": \"c\",\n    \"message\": \"m \\\"q\\\"\",\n    \"hint\": \"h\"\n  }\n]\n");
    free(p);
    rki_diags_free(d);
    d = rki_diags_new();
    rki_diags_json(d, &b);
    p = rki_buf_take(&b, NULL);
    assert_string_equal(p, "[]\n");
    free(p);
    rki_diags_free(d);
}

static void sarif_is_complete(void **state)
{
    rkp_diags *d = rki_diags_new();
    rki_buf b;
    char *p;

    (void)state;
    rkp_diag(d, RKP_ERROR, (rkp_loc){ "my file:1.yaml", 1, 2, 3 }, "c", "m");
    rkp_diag_hint(d, "h");
    rkp_diag(d, RKP_WARNING, (rkp_loc){ "/tmp/\xc3\xa9.yaml", 4, 0, 0 }, "w", "x");
    rkp_diag(d, RKP_ERROR, (rkp_loc){ "/tmp/\xc3\xa9.yaml", 5, 1, 0 }, "c", "y");
    rkp_diag(d, RKP_NOTE, (rkp_loc){ 0 }, "n", "plain");
    rki_buf_init(&b);
    rki_diags_sarif(d, &b);
    p = rki_buf_take(&b, NULL);
    assert_non_null(p);
    assert_non_null(strstr(p, "\"version\": \"2.1.0\""));
    assert_non_null(strstr(p, "\"columnKind\": \"unicodeCodePoints\""));
    assert_non_null(strstr(p, "\"uri\": \"my%20file%3A1.yaml\""));
    assert_non_null(strstr(p, "\"uri\": \"file:///tmp/%C3%A9.yaml\""));
    assert_non_null(strstr(p, "\"text\": \"m; hint: h\""));
    assert_non_null(strstr(p, "\"startLine\": 1,\n                  \"startColumn\": 2,\n"
                              "                  \"endColumn\": 5\n"));
    // rules in order of first use: n, c, w
    assert_non_null(strstr(p, "\"id\": \"n\"\n            },\n            {\n              \"id\": \"c\"\n"
                              "            },\n            {\n              \"id\": \"w\""));
    assert_non_null(strstr(p, "\"ruleId\": \"w\",\n          \"ruleIndex\": 2,\n          \"level\": \"warning\""));
    assert_non_null(strstr(p, "\"ruleId\": \"n\",\n          \"ruleIndex\": 0,\n          \"level\": \"note\""));
    free(p);
    rki_diags_free(d);
}

static void no_sink_is_a_failed_one(void **state)
{
    rki_buf b;

    (void)state;
    rkp_diag(NULL, RKP_ERROR, (rkp_loc){ 0 }, "c", "m");
    rkp_diag_hint(NULL, "h");
    rki_diags_source(NULL, "f", RKP_STR(""));
    rki_diags_sort(NULL);
    assert_true(rki_diags_failed(NULL));
    assert_int_equal(rki_diags_n(NULL), 0);
    rki_buf_init(&b);
    rki_diags_text(NULL, &b, false);
    rki_diags_json(NULL, &b);
    rki_diags_sarif(NULL, &b);
    rki_buf_fini(&b);
    rki_diags_free(NULL);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    if (!nomem_works())
        skip();
    for (long n = 1;; n++) {
        rkp_diags *d;
        rki_buf b;
        char *p;
        bool done, made, failed, whole;

        nomem_at(n);
        rki_buf_init(&b);
        d = rki_diags_new();
        made = d != NULL;
        rki_diags_source(d, "f", RKP_STR("some text"));
        for (uint32_t i = 0; i < 60; i++) {
            rkp_diag(d, RKP_WARNING, (rkp_loc){ i & 1 ? "f" : "g", 1, i, 0 }, "c", "%0200u", i);
            rkp_diag_hint(d, "%0200u", i);
        }
        failed = rki_diags_failed(d);
        whole = rki_diags_n(d) == 60;
        rki_diags_text(d, &b, false);
        rki_diags_json(d, &b);
        rki_diags_sarif(d, &b);
        p = rki_buf_take(&b, NULL);
        done = nomem_count() < n;
        nomem_at(0);
        assert_int_equal(failed, !(made && whole)); // a finding that is missing is never silent
        if (failed && made && p)
            assert_non_null(strstr(p, "[findings-lost]"));
        if (done)
            assert_true(p && !failed);
        free(p);
        rki_buf_fini(&b);
        rki_diags_free(d);
        if (done)
            break;
    }
}

static void nearest_suggests_only_what_is_near(void **state)
{
    static const char *const names[] = { "batch", "burst", "rate", "on_error", "partition_by", "x", "op", NULL };
    static const struct {
        const char *word, *want;
    } cases[] = {
        { "bacth", "batch" },
        { "batch", "batch" },
        { "batches", "batch" },
        { "bat", NULL },
        { "rat", "rate" },
        { "ratio", "rate" },
        { "raet", "rate" },
        { "onerror", "on_error" },
        { "partitioned_by", "partition_by" },
        { "partitionated", NULL },
        { "y", NULL },
        { "xy", "x" },
        { "po", "op" },
        { "ab", NULL },
        { "", NULL },
        { "burts", "burst" },
        { "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz", NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *got = rki_nearest(rkp_str_of(cases[i].word), names);

        if (cases[i].want) {
            assert_non_null(got);
            assert_string_equal(got, cases[i].want);
        } else {
            assert_null(got);
        }
    }
}

static void a_hidden_text_is_never_shown(void **state)
{
    rkp_diags *d = rki_diags_new();
    rki_buf out;

    (void)state;
    rki_diags_hide(d, RKP_STR("hunter2"));
    rki_diags_hide(d, RKP_STR("hunter2"));
    rki_diags_hide(d, RKP_STR("abc")); // too short to hide
    rkp_diag(d, RKP_ERROR, (rkp_loc){ 0 }, "x", "cannot open '/run/hunter2/hunter2hunter2': abc");
    rkp_diag_hint(d, "is hunter2 right?");
    rki_buf_init(&out);
    rki_diags_text(d, &out, false);
    rki_putc(&out, 0);
    assert_string_equal(out.p, "error: cannot open '/run/***/******': abc [x]\n      = hint: is *** right?\n");
    rki_buf_fini(&out);
    rki_diags_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_finding_shows_place_excerpt_underline_and_hint),
        cmocka_unit_test(the_underline_fits_the_line),
        cmocka_unit_test(a_long_line_is_cut_around_the_place),
        cmocka_unit_test(findings_are_sorted_by_place_and_repeats_are_gone),
        cmocka_unit_test(texts_are_copied_cut_and_harmless),
        cmocka_unit_test(random_sources_and_places_print_harmlessly),
        cmocka_unit_test(past_the_limit_errors_take_the_place_of_warnings),
        cmocka_unit_test(colour_marks_severity_and_underline),
        cmocka_unit_test(json_has_every_field),
        cmocka_unit_test(sarif_is_complete),
        cmocka_unit_test(no_sink_is_a_failed_one),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(a_hidden_text_is_never_shown),
        cmocka_unit_test(nearest_suggests_only_what_is_near),
    };

    return cmocka_run_group_tests_name("diag", tests, NULL, NULL);
}
