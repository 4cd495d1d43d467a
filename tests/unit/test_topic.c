// Tests of flow/topic.h.  What matches is compared with a matcher over split levels, and with PCRE2; what two patterns
// have in common with a small world in which every topic can be listed; what a template can match with what it makes.
#include "flow/topic.h"
#include "nomem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
// after the above
#include <cmocka.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define N RKI_TOPIC_NAME
#define A RKI_TOPIC_ANY
#define P RKI_TOPIC_PATTERN

static uint64_t seed = 1;

static uint32_t below(uint32_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((seed >> 33) % n);
}

// ---- checking -------------------------------------------------------------------------------------------------------

#define L16 "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p"

static void names_and_patterns_that_are_legal(void **state)
{
    static const struct {
        rki_topic_kind kind;
        const char *text;
    } rows[] = {
        { N, "a" },       { N, "scores/DE" }, { N, "a/$b" },         { N, "orders.eu" },
        { N, "a+b/c>d" }, { N, "ümlaut/日" }, { N, "with space" },   { N, "100%/%2F" },
        { N, L16 },       { N, "++/>>" },     { A, "$alerts/x" },    { A, "a" },
        { P, "#" },       { P, "*" },         { P, "a/#" },          { P, "*/*" },
        { P, "*/#" },     { P, "$alerts/#" }, { P, "$lifecycle/*" }, { P, L16 },
        { P, "a.b/*" },   { P, "a b/c" },     { P, "x>y" },
    };
    rki_topic_findings f;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!rki_topic_check(rows[i].kind, rkp_str_of(rows[i].text), &f))
            fail_msg("'%s': %s", rows[i].text, f.v[0].what);
        assert_int_equal(f.n, 0);
        assert_true(rki_topic_check(rows[i].kind, rkp_str_of(rows[i].text), NULL));
    }
}

static void each_illegal_form_says_what_is_wrong_where_and_what_to_do(void **state)
{
    static const struct {
        rki_topic_kind kind;
        const char *text, *code;
        uint32_t at, n;
        const char *what, *hint;
    } rows[] = {
        { P, "", "topic-empty", 0, 0, "the topic is empty", "write '#' in quotes" },
        { N, "", "topic-empty", 0, 0, "the topic is empty", "comment" },
        { P, "a/#/b", "topic-hash", 2, 1, "'#' has levels behind it", "comes last" },
        { P, "dev*/x", "topic-partial", 0, 4, "'*' is only a part of the level 'dev*'", "whole level" },
        { P, "a/b#", "topic-partial", 2, 2, "'#' is only a part", "whole level" },
        { P, "a/+/b", "topic-foreign", 2, 1, "'+' is no wildcard", "one level is '*' here" },
        { P, "a/>", "topic-foreign", 2, 1, "'>' is no wildcard", "'#' here" },
        { P, "a/**/b", "topic-foreign", 2, 2, "'**' is no wildcard", "'#'" },
        { P, "orders.*.eu", "topic-dots", 0, 11, "split at '/'", "write 'orders/*/eu'" },
        { P, "orders.>", "topic-dots", 0, 8, "split at '/'", "write 'orders/#'" },
        { P, "orders.#", "topic-dots", 0, 8, "split at '/'", "write 'orders/#'" },
        { P, "a//b", "topic-level-empty", 1, 2, "a level of the topic is empty", "'*'" },
        { N, "a//b", "topic-level-empty", 1, 2, "a level of the topic is empty", "" },
        { P, "/a/b", "topic-level-empty", 0, 1, "does not begin with '/'", "write 'a/b'" },
        { P, "a/b/", "topic-level-empty", 3, 1, "does not end with '/'", "'a/b/#' is everything below it" },
        { N, "a/", "topic-level-empty", 1, 1, "does not end with '/'", "" },
        { N, "/", "topic-level-empty", 0, 1, "does not begin with '/'", "" },
        { N, "//", "topic-level-empty", 0, 1, "does not begin with '/'", "" },
        { N, "a/*", "topic-wildcard", 2, 1, "'*' is for patterns", "write one topic" },
        { N, "a/#", "topic-wildcard", 2, 1, "'#' is for patterns", "write one topic" },
        { N, "dev*/a", "topic-wildcard", 0, 4, "'*' is for patterns", "write one topic" },
        { A, "a/*", "topic-wildcard", 2, 1, "'*' is for patterns", "" },
        { N, "a/+", "topic-foreign", 2, 1, "a level cannot be '+'", "elsewhere" },
        { N, "$x", "topic-engine", 0, 1, "only the engine", "subscribe" },
        { N, "$alerts/x", "topic-engine", 0, 1, "only the engine", "subscribe" },
        { P, "a/\x01", "topic-text", 2, 1, "U+0001 cannot be", "cannot be seen" },
        { N, "a\tb", "topic-text", 1, 1, "U+0009 cannot be", "cannot be seen" },
        { N, "a\x7f", "topic-text", 1, 1, "U+007F cannot be", "cannot be seen" },
        { N,
          "a/\xe2\x80\xae"
          "b",
          "topic-text", 2, 3, "U+202E cannot be", "cannot be seen" },
        { P, "a/\xff", "topic-text", 2, 1, "byte 0xff is not UTF-8", "" },
        { P, "a/\xe2\x82/x", "topic-text", 2, 2, "byte 0xe2 is not UTF-8", "" },
        { N, L16 "/q", "topic-limit", 32, 1, "more than 16 levels", "" },
        { P, L16 "/#", "topic-limit", 32, 1, "more than 16 levels", "" },
    };
    rki_topic_findings f;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_false(rki_topic_check(rows[i].kind, rkp_str_of(rows[i].text), NULL));
        assert_false(rki_topic_check(rows[i].kind, rkp_str_of(rows[i].text), &f));
        assert_int_equal(f.n, 1);
        assert_string_equal(f.v[0].code, rows[i].code);
        assert_int_equal(f.v[0].at, rows[i].at);
        assert_int_equal(f.v[0].n, rows[i].n);
        assert_non_null(strstr(f.v[0].what, rows[i].what));
        assert_non_null(strstr(f.v[0].hint, rows[i].hint));
        assert_int_equal(f.v[0].hint[0] == 0, rows[i].hint[0] == 0);
    }
}

static void all_findings_of_a_text_come_in_order_and_not_without_end(void **state)
{
    rki_topic_findings f;

    (void)state;
    assert_false(rki_topic_check(P, RKP_STR("/x*//a/#/+/b"), &f));
    assert_int_equal(f.n, 5);
    assert_string_equal(f.v[0].code, "topic-level-empty");
    assert_string_equal(f.v[1].code, "topic-partial");
    assert_string_equal(f.v[2].code, "topic-level-empty");
    assert_string_equal(f.v[3].code, "topic-hash");
    assert_string_equal(f.v[4].code, "topic-foreign");
    for (uint32_t i = 1; i < f.n; i++)
        assert_true(f.v[i].at > f.v[i - 1].at);
    assert_false(rki_topic_check(P, RKP_STR("+/+/+/+/+/+/+/+/+/+/+/+"), &f));
    assert_int_equal(f.n, RKI_TOPIC_FINDINGS);
}

static void a_topic_has_at_most_1024_bytes(void **state)
{
    char text[RKI_TOPIC_BYTES + 2];
    rki_topic_findings f;

    (void)state;
    memset(text, 'x', sizeof text);
    assert_true(rki_topic_check(N, (rkp_str){ text, RKI_TOPIC_BYTES }, &f));
    assert_false(rki_topic_check(N, (rkp_str){ text, RKI_TOPIC_BYTES + 1 }, &f));
    assert_string_equal(f.v[0].code, "topic-limit");
    assert_string_equal(f.v[0].what, "it has 1025 bytes; there are at most 1024");
    text[500] = '*'; // a long level is cut in the sentence, not in the middle of a character
    memcpy(text + 58, "\xe2\x82\xac", 3);
    assert_false(rki_topic_check(P, (rkp_str){ text, 600 }, &f));
    assert_int_equal(f.v[0].n, 600);
    assert_int_equal(strlen(f.v[0].what), strlen("'*' is only a part of the level ''") + 58);
}

// ---- matching -------------------------------------------------------------------------------------------------------

// The reference: levels first, then one rule for each kind of level.
struct levels {
    rkp_str v[64];
    int n;
};

static void ref_split(const char *s, size_t n, struct levels *to)
{
    size_t from = 0;

    to->n = 0;
    for (size_t i = 0; i <= n; i++)
        if (i == n || s[i] == '/') {
            to->v[to->n++] = (rkp_str){ s + from, i - from };
            from = i + 1;
        }
}

static bool ref_levels(const rkp_str *p, int np, const rkp_str *t, int nt)
{
    if (np == 0)
        return nt == 0;
    if (rkp_str_is(*p, "#"))
        return ref_levels(p + 1, np - 1, t, nt) || (nt > 0 && ref_levels(p, np, t + 1, nt - 1));
    return nt > 0 && (rkp_str_is(*p, "*") || rkp_str_eq(*p, *t)) && ref_levels(p + 1, np - 1, t + 1, nt - 1);
}

static bool ref_match(rkp_str pattern, rkp_str topic)
{
    struct levels p, t;

    ref_split(pattern.p, pattern.n, &p);
    ref_split(topic.p, topic.n, &t);
    if (t.v[0].n && t.v[0].p[0] == '$' && !(p.v[0].n && p.v[0].p[0] == '$'))
        return false;
    return ref_levels(p.v, p.n, t.v, t.n);
}

static void a_pattern_matches_what_the_contract_says(void **state)
{
    static const struct {
        const char *pattern, *topic;
        bool yes;
    } rows[] = {
        { "a/#", "a", true },
        { "a/#", "a/b/c", true },
        { "a/#", "ab", false },
        { "a/#", "b", false },
        { "a/*", "a/b", true },
        { "a/*", "a", false },
        { "a/*", "a/b/c", false },
        { "#", "a", true },
        { "#", "a/b/c", true },
        { "*", "a", true },
        { "*", "a/b", false },
        { "*/#", "a", true },
        { "*/#", "a/b", true },
        { "*/b", "a/b", true },
        { "*/b", "a/c", false },
        { "a/*/c", "a/b/c", true },
        { "a/*/c", "a/c", false },
        { "a/*/#", "a", false },
        { "a/*/#", "a/b", true },
        { "a", "a", true },
        { "a", "A", false },
        { "a/b", "a/b/c", false },
        { "a/b/c", "a/b", false },
        { "#", "$alerts/x", false },
        { "*", "$reload", false },
        { "*/x", "$alerts/x", false },
        { "$alerts/#", "$alerts", true },
        { "$alerts/#", "$alerts/x", true },
        { "$alerts/*", "$alerts/x", true },
        { "$reload", "$reload", true },
        { "$alerts/#", "alerts/x", false },
        { "a/#", "a/$b", true },
        { "a/*", "a/$b", true },
        { "日/*", "日/é", true },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        rkp_str p = rkp_str_of(rows[i].pattern), t = rkp_str_of(rows[i].topic);

        assert_int_equal(rki_topic_match(p, t), rows[i].yes);
        assert_int_equal(ref_match(p, t), rows[i].yes);
    }
}

static const char *const words[] = { "a", "b", "ab", "a.b", "\xc3\xa9", "$s", "x1", "+-", "%2F", "\xe6\x97\xa5" };

static void put(char *to, size_t *n, const char *level)
{
    size_t k = strlen(level);

    if (*n)
        to[(*n)++] = '/';
    memcpy(to + *n, level, k);
    *n += k;
}

static size_t random_topic(char *to)
{
    size_t n = 0;

    for (uint32_t levels = 1 + below(6); levels; levels--)
        put(to, &n, words[below(below(3) ? 3 : sizeof words / sizeof *words)]);
    return n;
}

// A pattern near the topic, so that about half of them match.
static size_t random_pattern(char *to, const char *topic, size_t topic_n)
{
    struct levels l;
    size_t n = 0;
    uint32_t change = below(4);

    ref_split(topic, topic_n, &l);
    for (int i = 0; i < l.n; i++) {
        char level[16] = { 0 };

        if (below(12) == 0) {
            put(to, &n, "#");
            return n;
        }
        memcpy(level, l.v[i].p, l.v[i].n);
        put(to, &n, below(3) == 0 ? "*" : change == 0 && below(3) == 0 ? words[below(4)] : level);
    }
    for (uint32_t more = below(8); more > 5; more--)
        put(to, &n, below(2) ? "*" : words[below(3)]);
    if (below(6) == 0)
        put(to, &n, "#");
    return n;
}

static pcre2_code *regex_of(rkp_str pattern)
{
    struct levels l;
    char re[512];
    size_t n = 0, off;
    int err;
    pcre2_code *code;

    ref_split(pattern.p, pattern.n, &l);
    n += (size_t)snprintf(re + n, sizeof re - n, "^%s", pattern.p[0] == '$' ? "" : "(?!\\$)");
    for (int i = 0; i < l.n; i++) {
        const char *slash = i ? "/" : "";

        if (rkp_str_is(l.v[i], "#"))
            n += (size_t)snprintf(re + n, sizeof re - n, i ? "(?:/[^/]+)*" : "[^/]+(?:/[^/]+)*");
        else if (rkp_str_is(l.v[i], "*"))
            n += (size_t)snprintf(re + n, sizeof re - n, "%s[^/]+", slash);
        else
            n += (size_t)snprintf(re + n, sizeof re - n, "%s\\Q" RKP_STR_FMT "\\E", slash, RKP_STR_ARG(l.v[i]));
    }
    n += (size_t)snprintf(re + n, sizeof re - n, "\\z");
    code = pcre2_compile((PCRE2_SPTR)re, n, 0, &err, &off, NULL);
    assert_non_null(code);
    return code;
}

static void a_million_random_pairs_match_as_split_levels_and_as_a_regular_expression_do(void **state)
{
    uint32_t yes = 0, compared = 0;
    pcre2_match_data *m = pcre2_match_data_create(1, NULL);

    (void)state;
    assert_non_null(m);
    for (uint32_t i = 0; i < 1000000; i++) {
        char t[256], p[256], other[256];
        rkp_str topic = { t, random_topic(t) }, near = { other, random_topic(other) }, pattern;
        bool got;

        pattern = (rkp_str){ p, random_pattern(p, below(4) ? t : other, below(4) ? topic.n : near.n) };
        if (!rki_topic_check(P, pattern,
                             NULL)) { // cut off in the middle of a character, when the other's length was taken
            i--;
            continue;
        }
        got = rki_topic_match(pattern, topic);
        if (got != ref_match(pattern, topic))
            fail_msg("'" RKP_STR_FMT "' and '" RKP_STR_FMT "'", RKP_STR_ARG(pattern), RKP_STR_ARG(topic));
        yes += got;
        if (i % 50 == 0) {
            pcre2_code *code = regex_of(pattern);

            assert_int_equal(pcre2_match(code, (PCRE2_SPTR)t, topic.n, 0, 0, m, NULL) >= 0, got);
            pcre2_code_free(code);
            compared++;
        }
    }
    pcre2_match_data_free(m);
    print_message("%u of 1000000 match; %u of them looked at by PCRE2\n", yes, compared);
    assert_in_range(yes, 200000, 800000);
}

static void texts_that_are_not_legal_do_no_harm(void **state)
{
    static const char set[] = "ab/*#$+%\xc3";

    (void)state;
    for (int i = 0; i < 100000; i++) {
        char *a = malloc(12), *b = malloc(12); // their ends are the sanitizer's to watch
        rkp_str p = { a, below(13) }, t = { b, below(13) };
        rki_topic_findings f;
        bool legal;

        for (size_t k = 0; k < p.n; k++)
            a[k] = set[below(sizeof set - 1)];
        for (size_t k = 0; k < t.n; k++)
            b[k] = set[below(sizeof set - 1)];
        memmove(a + 12 - p.n, a, p.n);
        p.p = a + 12 - p.n;
        memmove(b + 12 - t.n, b, t.n);
        t.p = b + 12 - t.n;
        if (rki_topic_check(P, p, NULL) && rki_topic_check(A, t, NULL))
            assert_int_equal(rki_topic_match(p, t), ref_match(p, t));
        rki_topic_match(p, t);
        rki_topic_patterns_meet(p, t, NULL);
        rki_topic_specific_cmp(p, t);
        legal = rki_topic_check(P, p, &f);
        assert_int_equal(legal, f.n == 0);
        free(a);
        free(b);
    }
}

// ---- two patterns ---------------------------------------------------------------------------------------------------

enum { MAX_WORLD = 2000 };

static char world[MAX_WORLD][16], shapes[MAX_WORLD][16];
static int n_world, n_shapes;

// All texts of up to `deep` levels of these words; the first level has words of its own, "#" ends a text.
static void list(char (*to)[16], int *n, const char *const *first, const char *const *rest, int deep,
                 const char *before)
{
    const char *const *set = before[0] ? rest : first;

    for (int i = 0; set[i]; i++) {
        char text[16];

        snprintf(text, sizeof text, "%s%s%.3s", before, before[0] ? "/" : "", set[i]);
        assert_true(*n < MAX_WORLD);
        memcpy(to[(*n)++], text, sizeof text);
        if (deep > 1 && strcmp(set[i], "#") != 0)
            list(to, n, first, rest, deep - 1, text);
    }
}

static void make_world(void)
{
    static const char *const first[] = { "a", "b", "$a", "c", NULL }, *const rest[] = { "a", "b", "$a", "c", NULL };
    static const char *const p_first[] = { "a", "b", "$a", "*", "#", NULL }, *const p_rest[] = { "a", "b", "*", "#",
                                                                                                 NULL };

    n_world = n_shapes = 0;
    list(world, &n_world, first, rest, 4, "");
    list(shapes, &n_shapes, p_first, p_rest, 3, "");
}

static void patterns_meet_when_some_topic_matches_both_and_then_say_which(void **state)
{
    rki_buf both;
    int meets = 0;

    (void)state;
    make_world();
    rki_buf_init(&both);
    for (int i = 0; i < n_shapes; i++)
        for (int k = 0; k < n_shapes; k++) {
            rkp_str a = rkp_str_of(shapes[i]), b = rkp_str_of(shapes[k]);
            bool meet = rki_topic_patterns_meet(a, b, &both), some = false;

            assert_int_equal(rki_topic_patterns_meet(a, b, NULL), meet);
            for (int t = 0; t < n_world; t++) {
                rkp_str topic = rkp_str_of(world[t]);
                bool hit = rki_topic_match(a, topic) && rki_topic_match(b, topic);

                some |= hit;
                if (meet)
                    assert_int_equal(rki_topic_match((rkp_str){ both.p, both.n }, topic), hit);
            }
            assert_int_equal(meet, some);
            if (meet)
                assert_true(rki_topic_check(P, (rkp_str){ both.p, both.n }, NULL));
            meets += meet;
        }
    print_message("%d of %d pairs meet\n", meets, n_shapes * n_shapes);
    rki_buf_fini(&both);
}

static void patterns_whose_topics_would_be_too_long_do_not_meet(void **state)
{
    char a[RKI_TOPIC_BYTES + 2], b[RKI_TOPIC_BYTES + 2];

    (void)state;
    memset(a, 'x', sizeof a);
    memset(b, 'y', sizeof b);
    memcpy(a + 511, "/*", 2); // 511 bytes and any level
    memcpy(b, "*/", 2);       // any level and 512 bytes
    assert_true(rki_topic_patterns_meet((rkp_str){ a, 513 }, (rkp_str){ b, 514 }, NULL));
    assert_false(rki_topic_patterns_meet((rkp_str){ a, 513 }, (rkp_str){ b, 515 }, NULL));
    memcpy(a + 511, "/*/#", 4);
    memcpy(b + 514, "/#", 2);
    assert_true(rki_topic_patterns_meet((rkp_str){ a, 515 }, (rkp_str){ b, 516 }, NULL)); // "/#" may be nothing
    b[514] = 'y';
    memcpy(b + 515, "/#", 2);
    assert_false(rki_topic_patterns_meet((rkp_str){ a, 515 }, (rkp_str){ b, 517 }, NULL));
    memset(a + 511, 'x', 4);
    memcpy(a + 1022, "/#", 2);
    assert_true(rki_topic_patterns_meet((rkp_str){ a, 1024 }, RKP_STR("*/#"), NULL));
    assert_true(rki_topic_patterns_meet((rkp_str){ a, 1024 }, RKP_STR("#"), NULL));
    assert_true(rki_topic_patterns_meet((rkp_str){ a, 1024 }, (rkp_str){ a, 1024 }, NULL));
}

static void the_more_specific_pattern_is_the_one_whose_topics_the_other_has_too(void **state)
{
    static const struct {
        const char *a, *b;
        int cmp;
    } rows[] = {
        { "a/b", "a/*", -1 }, { "a/*", "a/#", -1 }, { "a/b", "a/#", -1 },   { "a", "a/#", -1 },
        { "a/#", "#", -1 },   { "a/*", "*/*", -1 }, { "a/*", "*/b", 0 },    { "a/#", "*/b", 0 },
        { "a", "b", 0 },      { "a/b", "a/b", 0 },  { "#", "*/#", 0 },      { "*", "#", -1 },
        { "*", "*/#", -1 },   { "$a/*", "#", 0 },   { "$a/*", "$a/#", -1 }, { "a/*/#", "a/#", -1 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(rki_topic_specific_cmp(rkp_str_of(rows[i].a), rkp_str_of(rows[i].b)), rows[i].cmp);
        assert_int_equal(rki_topic_specific_cmp(rkp_str_of(rows[i].b), rkp_str_of(rows[i].a)), -rows[i].cmp);
    }
    make_world();
    for (int i = 0; i < n_shapes; i++)
        for (int k = 0; k < n_shapes; k++) {
            rkp_str a = rkp_str_of(shapes[i]), b = rkp_str_of(shapes[k]);
            int only_a = 0, only_b = 0, both = 0;

            for (int t = 0; t < n_world; t++) {
                bool x = rki_topic_match(a, rkp_str_of(world[t])), y = rki_topic_match(b, rkp_str_of(world[t]));

                both += x && y;
                only_a += x && !y;
                only_b += y && !x;
            }
            assert_int_equal(rki_topic_specific_cmp(a, b), both && only_b && !only_a   ? -1
                                                           : both && only_a && !only_b ? 1
                                                                                       : 0);
        }
}

// ---- templates ------------------------------------------------------------------------------------------------------

// As text: parts behind each other, values in braces, * before the levels of ${meta.topic}.
static void describe(const rki_topic_template *t, char *to, size_t cap)
{
    size_t n = 0;

    for (uint32_t l = 0; l < t->n_levels; l++) {
        if (l)
            n += (size_t)snprintf(to + n, cap - n, " / ");
        if (t->levels[l].kind == RKI_LEVEL_MANY)
            n += (size_t)snprintf(to + n, cap - n, "*");
        for (uint32_t i = t->levels[l].first; i < t->levels[l].first + t->levels[l].n; i++) {
            const rki_topic_part *p = &t->parts[i];
            const char *form = p->kind == RKI_TOPIC_TEXT     ? "%u:'%.*s'"
                               : p->kind == RKI_TOPIC_COLUMN ? "%u:{%.*s}"
                                                             : "%u:{meta %.*s}";

            assert_int_equal(p->level, l);
            assert_true(p->at + p->n <= t->text.n);
            assert_int_equal(t->levels[l].kind == RKI_LEVEL_FIXED, p->kind == RKI_TOPIC_TEXT && t->levels[l].n == 1);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            n += (size_t)snprintf(to + n, cap - n, form, p->at, RKP_STR_ARG(p->text));
#pragma GCC diagnostic pop
        }
    }
}

static void a_template_is_split_into_levels_texts_and_values(void **state)
{
    static const struct {
        const char *text, *parts;
        uint32_t values;
        const char *fixed;
    } rows[] = {
        { "a/b", "0:'a' / 2:'b'", 0, "a/b" },
        { "scores/${this.country}", "0:'scores' / 7:{country}", 1, NULL },
        { "dev-${this.id}-x/${meta.kernel}", "0:'dev-'4:{id}14:'-x' / 17:{meta kernel}", 2, NULL },
        { "${this.a}${this.b}", "0:{a}9:{b}", 2, NULL },
        { "${meta.topic}", "*0:{meta topic}", 1, NULL },
        { "archive/${meta.topic}", "0:'archive' / *8:{meta topic}", 1, NULL },
        { "${meta.topic}/late/${meta.reason}", "*0:{meta topic} / 14:'late' / 19:{meta reason}", 2, NULL },
        { "${meta.hlc}/${meta.key}", "0:{meta hlc} / 12:{meta key}", 2, NULL },
        { "${this.a/b}/c", "0:{a/b} / 12:'c'", 1, NULL },
        { "${this.`odd ``name```}/c", "0:{odd `name`} / 23:'c'", 1, NULL },
        { "a$${x}/b", "0:'a${x}' / 7:'b'", 0, "a${x}/b" },
        { "a/$${${this.x}", "0:'a' / 2:'${'5:{x}", 1, NULL },
        { "a/$$x", "0:'a' / 2:'$$x'", 0, "a/$$x" },
        { "${this.a}+", "0:{a}9:'+'", 1, NULL },
    };
    rki_arena a;
    rki_topic_template t;
    rki_topic_findings f;
    char got[400];

    (void)state;
    rki_arena_init(&a);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rki_topic_template_parse(&a, RKI_TOPIC_NAME, rkp_str_of(rows[i].text), &t, &f) != RKP_OK)
            fail_msg("'%s': %s", rows[i].text, f.v[0].what);
        describe(&t, got, sizeof got);
        assert_string_equal(got, rows[i].parts);
        assert_int_equal(t.n_values, rows[i].values);
        assert_int_equal(t.fixed.p != NULL, rows[i].fixed != NULL);
        if (rows[i].fixed)
            assert_true(rkp_str_is(t.fixed, rows[i].fixed));
    }
    rki_arena_fini(&a);
}

static void a_template_that_is_not_legal_says_why(void **state)
{
    static const struct {
        const char *text, *code;
        uint32_t at, n;
    } rows[] = {
        { "", "topic-empty", 0, 0 },
        { "a/*", "topic-wildcard", 2, 1 },
        { "dev-*${this.x}", "topic-wildcard", 0, 5 },
        { "a/${this.x}#/b", "topic-wildcard", 11, 1 },
        { "$a/${this.x}", "topic-engine", 0, 1 },
        { "$${x}", "topic-engine", 0, 1 },
        { "/${this.x}", "topic-level-empty", 0, 1 },
        { "${this.x}/", "topic-level-empty", 9, 1 },
        { "${this.x}//${this.y}", "topic-level-empty", 9, 2 },
        { "a/${x}", "topic-template", 2, 4 },
        { "a/${this.}", "topic-template", 2, 8 },
        { "a/${meta.offset}", "topic-template", 2, 14 },
        { "a/${}", "topic-template", 2, 3 },
        { "a/${this.x", "topic-template", 2, 8 },
        { "x-${meta.topic}", "topic-template", 2, 13 },
        { "${meta.topic}.old/a", "topic-template", 0, 13 },
        { "${this.x}\x02", "topic-text", 9, 1 },
        { "+/${this.x}", "topic-foreign", 0, 1 },
        { L16 "/${this.x}", "topic-limit", 32, 9 },
    };
    rki_arena a;
    rki_topic_template t;
    rki_topic_findings f;

    (void)state;
    rki_arena_init(&a);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(rki_topic_template_parse(&a, RKI_TOPIC_NAME, rkp_str_of(rows[i].text), &t, NULL), RKP_INVALID);
        assert_int_equal(rki_topic_template_parse(&a, RKI_TOPIC_NAME, rkp_str_of(rows[i].text), &t, &f), RKP_INVALID);
        assert_int_equal(f.n, 1);
        assert_string_equal(f.v[0].code, rows[i].code);
        assert_int_equal(f.v[0].at, rows[i].at);
        assert_int_equal(f.v[0].n, rows[i].n);
        assert_null(t.fixed.p);
    }
    rki_arena_fini(&a);
}

static void a_template_counts_a_byte_for_each_value_and_not_its_name_and_has_64_of_them(void **state)
{
    char text[1200];
    rki_arena a;
    rki_topic_template t;
    rki_topic_findings f;

    (void)state;
    rki_arena_init(&a);
    memset(text, 'x', sizeof text);
    memcpy(text + 1021, "/${this.long_name}", 18); // 1,021 + 1 + 1
    assert_int_equal(rki_topic_template_parse(&a, RKI_TOPIC_NAME, (rkp_str){ text, 1039 }, &t, NULL), RKP_OK);
    assert_int_equal(rki_topic_template_parse(&a, RKI_TOPIC_NAME, (rkp_str){ text, 1040 }, &t, NULL), RKP_OK);
    assert_int_equal(rki_topic_template_parse(&a, RKI_TOPIC_NAME, (rkp_str){ text, 1041 }, &t, NULL), RKP_INVALID);
    for (size_t i = 0; i <= RKI_TOPIC_VALUES; i++)
        memcpy(text + 9 * i, "${this.x}", 9);
    assert_int_equal(rki_topic_template_parse(&a, RKI_TOPIC_NAME, (rkp_str){ text, 9 * RKI_TOPIC_VALUES }, &t, NULL),
                     RKP_OK);
    assert_int_equal(t.n_values, RKI_TOPIC_VALUES);
    assert_int_equal(rki_topic_template_parse(&a, RKI_TOPIC_NAME, (rkp_str){ text, 9 * RKI_TOPIC_VALUES + 9 }, &t, &f),
                     RKP_INVALID);
    assert_int_equal(f.n, 1);
    assert_string_equal(f.v[0].what, "a topic with more than 64 values");
    rki_arena_fini(&a);
}

static void a_value_is_escaped_so_that_it_stays_one_level(void **state)
{
    static const struct {
        rkp_str value;
        bool first;
        const char *text;
    } rows[] = {
        { { "DE", 2 }, true, "DE" },
        { { "a/b", 3 }, false, "a%2Fb" },
        { { "*", 1 }, false, "%2A" },
        { { "a*", 2 }, false, "a%2A" },
        { { "#", 1 }, false, "%23" },
        { { "50%", 3 }, false, "50%25" },
        { { "", 0 }, false, "%-" },
        { { NULL, 0 }, true, "%-" },
        { { "%-", 2 }, false, "%25-" },
        { { "\0", 1 }, false, "%00" },
        { { "a\nb", 3 }, false, "a%0Ab" },
        { { "$x", 2 }, true, "%24x" },
        { { "$x", 2 }, false, "$x" },
        { { "+", 1 }, false, "%2B" },
        { { ">", 1 }, false, "%3E" },
        { { "+49", 3 }, false, "+49" },
        { { "a b.c", 5 }, false, "a b.c" },
        { { "é", 2 }, false, "é" },
        { { "\xc3", 1 }, false, "%C3" },
        { { "\xe2\x80\xae", 3 }, false, "%E2%80%AE" },
        { { "\xff\xc3\xa9", 3 }, false, "%FF\xc3\xa9" },
    };
    rki_buf b;

    (void)state;
    rki_buf_init(&b);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        rki_buf_clear(&b);
        rki_topic_escape(&b, rows[i].value, rows[i].first);
        if (!rkp_str_is((rkp_str){ b.p, b.n }, rows[i].text))
            fail_msg("'%s' became '%.*s'", rows[i].text, (int)b.n, b.p);
    }
    rki_buf_fini(&b);
}

// What stands in a level is the value again: so two values never become the same.
static size_t unescape(const char *p, size_t n, char *to)
{
    size_t k = 0;

    if (n == 2 && memcmp(p, "%-", 2) == 0)
        return 0;
    for (size_t i = 0; i < n; i++) {
        char hex[3] = { 0 };

        if (p[i] != '%' || i + 2 >= n) {
            to[k++] = p[i];
            continue;
        }
        memcpy(hex, p + i + 1, 2);
        to[k++] = (char)strtoul(hex, NULL, 16);
        i += 2;
    }
    return k;
}

static void different_values_become_different_legal_levels(void **state)
{
    rki_buf b;
    char back[300];

    (void)state;
    rki_buf_init(&b);
    for (uint32_t i = 0; i < 300000; i++) {
        char v[8];
        size_t n = i <= 0xffff ? 2 : below(8);

        for (size_t k = 0; k < n; k++)
            v[k] = (char)(i <= 0xffff ? i >> (8 * k) & 0xff : below(256));
        for (int first = 0; first < 2; first++) {
            rki_buf_clear(&b);
            rki_topic_escape(&b, (rkp_str){ v, n }, first);
            assert_int_equal(unescape(b.p, b.n, back), n);
            assert_memory_equal(back, v, n);
            assert_true(rki_topic_check(first ? N : A, (rkp_str){ b.p, b.n }, NULL));
            assert_null(memchr(b.p, '/', b.n));
        }
    }
    rki_buf_fini(&b);
}

static void a_template_makes_a_topic_of_a_row(void **state)
{
    static const struct {
        const char *text, *values[3];
        rki_topic_made made;
        const char *topic;
    } rows[] = {
        { "a/b", { 0 }, RKI_TOPIC_OK, "a/b" },
        { "scores/${this.c}", { "DE" }, RKI_TOPIC_OK, "scores/DE" },
        { "scores/${this.c}", { "D/E" }, RKI_TOPIC_OK, "scores/D%2FE" },
        { "scores/${this.c}", { "" }, RKI_TOPIC_OK, "scores/%-" },
        { "dev-${this.c}/${this.c}", { "1", "2" }, RKI_TOPIC_OK, "dev-1/2" },
        { "${this.c}/x", { "$alerts" }, RKI_TOPIC_OK, "%24alerts/x" },
        { "${this.c}${this.d}", { "$", "$" }, RKI_TOPIC_OK, "%24$" },
        { "${this.c}${this.d}", { "", "+" }, RKI_TOPIC_OK, "%-%2B" },
        { "${meta.topic}", { "a/b/c" }, RKI_TOPIC_OK, "a/b/c" },
        { "archive/${meta.topic}/x", { "a/b" }, RKI_TOPIC_OK, "archive/a/b/x" },
        { "archive/${meta.topic}", { "$alerts/x" }, RKI_TOPIC_OK, "archive/$alerts/x" },
        { "${meta.topic}", { "$alerts/x" }, RKI_TOPIC_OK, "%24alerts/x" },
        { "${meta.topic}", { "" }, RKI_TOPIC_OK, "%-" },
        { "a/${meta.topic}", { L16 }, RKI_TOPIC_TOO_DEEP, "" },
        { "${meta.topic}", { L16 }, RKI_TOPIC_OK, L16 },
    };
    rki_arena a;
    rki_topic_template t;
    rki_buf b;
    char *text = malloc(3000);
    rkp_str v = { text, 0 };

    (void)state;
    rki_arena_init(&a);
    rki_buf_init(&b);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        rkp_str values[3];

        for (int k = 0; k < 3; k++)
            values[k] = rkp_str_of(rows[i].values[k]);
        assert_int_equal(rki_topic_template_parse(&a, RKI_TOPIC_NAME, rkp_str_of(rows[i].text), &t, NULL), RKP_OK);
        assert_int_equal(rki_topic_fill(&t, values, &b), rows[i].made);
        if (rows[i].made == RKI_TOPIC_OK) {
            assert_true(rkp_str_is((rkp_str){ b.p, b.n }, rows[i].topic));
            assert_true(rki_topic_check(N, (rkp_str){ b.p, b.n }, NULL));
        }
    }
    memset(text, 'x', 3000);
    assert_int_equal(rki_topic_template_parse(&a, RKI_TOPIC_NAME, RKP_STR("a/${this.c}"), &t, NULL), RKP_OK);
    for (v.n = 1000; v.n < 3000; v.n += v.n < 1050 ? 1 : 100) {
        assert_int_equal(rki_topic_fill(&t, &v, &b), v.n + 2 <= RKI_TOPIC_BYTES ? RKI_TOPIC_OK : RKI_TOPIC_TOO_LONG);
        text[0] = '/';
        assert_int_equal(rki_topic_fill(&t, &v, &b), v.n + 4 <= RKI_TOPIC_BYTES ? RKI_TOPIC_OK : RKI_TOPIC_TOO_LONG);
        text[0] = 'x';
    }
    free(text);
    rki_buf_fini(&b);
    rki_arena_fini(&a);
}

static void a_template_may_match_what_it_can_make(void **state)
{
    static const struct {
        const char *text, *pattern;
        bool yes;
    } rows[] = {
        { "a/b", "a/*", true },
        { "a/b", "a", false },
        { "scores/${this.c}", "scores/*", true },
        { "scores/${this.c}", "scores/DE", true },
        { "scores/${this.c}", "scores/#", true },
        { "scores/${this.c}", "#", true },
        { "scores/${this.c}", "scores", false },
        { "scores/${this.c}", "other/*", false },
        { "scores/${this.c}", "scores/a/b", false },
        { "scores/${this.c}", "scores/%-", true },   // an empty value
        { "scores/${this.c}", "scores/%2F", true },  // "/"
        { "scores/${this.c}", "scores/%2f", false }, // escapes have capitals
        { "scores/${this.c}", "scores/%41", false }, // "A" is not escaped
        { "scores/${this.c}", "scores/100%", false },
        { "dev-${this.c}/x", "dev-7/x", true },
        { "dev-${this.c}/x", "dev-/x", false }, // a value is never nothing
        { "dev-${this.c}/x", "dew-7/x", false },
        { "${this.c}-x", "a-x", true },
        { "${this.c}-x", "a-y", false },
        { "aa${this.c}aa", "aaa", false },
        { "aa${this.c}aa", "aaaaa", true },
        { "${this.c}/x", "$alerts/x", false },
        { "${this.c}/x", "%24alerts/x", true },
        { "${meta.topic}", "a/b/c", true },
        { "${meta.topic}", "$alerts/#", false },
        { "archive/${meta.topic}", "archive", false },
        { "archive/${meta.topic}", "archive/a/b", true },
        { "archive/${meta.topic}", "archive/#", true },
        { "${meta.topic}/x", "a/b/x", true },
        { "${meta.topic}/x", "a/b/y", false },
        { "${meta.topic}/x", "x", false },
        { "${meta.topic}/x", "a/b/#", true },
        { "${meta.topic}/x/${meta.topic}", "a/x/b", true },
        { "${meta.topic}/x/${meta.topic}", "a/y/b", false },
        { "${this.a}-${this.b}", "1-2", true },
        { "${this.a}-${this.b}", "12", false },
        { "${this.a}-${this.b}", "-2", false },
        { "${this.a}-${this.b}", "1-", false },
        { "${this.a}-${this.b}", "--2", true },
        { "${this.a}${this.b}", "x", false },
        { "${this.a}${this.b}", "xy", true },
        { "a${this.a}${this.b}-${this.c}z", "abc-dz", true },
        { "a${this.a}${this.b}-${this.c}z", "ab-dz", false },
    };
    rki_arena a;
    rki_topic_template t;

    (void)state;
    rki_arena_init(&a);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(rki_topic_template_parse(&a, RKI_TOPIC_NAME, rkp_str_of(rows[i].text), &t, NULL), RKP_OK);
        if (rki_topic_may_match(&t, rkp_str_of(rows[i].pattern)) != rows[i].yes)
            fail_msg("'%s' and '%s'", rows[i].text, rows[i].pattern);
    }
    rki_arena_fini(&a);
}

static void a_template_of_the_engine_makes_topics_that_only_patterns_with_a_dollar_match(void **state)
{
    static const struct {
        const char *text, *pattern;
        bool yes;
    } rows[] = {
        { "$lifecycle/${meta.kernel}", "$lifecycle/#", true },
        { "$lifecycle/${meta.kernel}", "$lifecycle/score", true },
        { "$lifecycle/${meta.kernel}", "$alerts/#", false },
        { "$lifecycle/${meta.kernel}", "#", false },
        { "$lifecycle/${meta.kernel}", "*/*", false },
        { "${this.x}/a", "$x/a", false },
        { "${this.x}/a", "#", true },
        { "a/$x", "a/*", true },
    };
    rki_arena a;
    rki_topic_template t;
    rki_topic_findings f;

    (void)state;
    rki_arena_init(&a);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(rki_topic_template_parse(&a, RKI_TOPIC_ANY, rkp_str_of(rows[i].text), &t, &f), RKP_OK);
        assert_int_equal(t.engine, rows[i].text[0] == '$' && rows[i].text[1] != '{');
        assert_int_equal(rki_topic_may_match(&t, rkp_str_of(rows[i].pattern)), rows[i].yes);
    }
    rki_arena_fini(&a);
}

// Values that make the template match the pattern, when each level has at most one: what is left of the pattern's word
// after the texts, as a value; for ${meta.topic} every stretch of the pattern is tried.
static bool witness(const rki_topic_template *t, rkp_str pattern, rkp_str *values, uint32_t part, uint32_t value,
                    rki_buf *b)
{
    static char room[8][64];
    struct levels p;
    const rki_topic_level *l;

    while (part < t->n_parts && t->parts[part].kind == RKI_TOPIC_TEXT)
        part++;
    if (part == t->n_parts)
        return rki_topic_fill(t, values, b) == RKI_TOPIC_OK && rki_topic_match(pattern, (rkp_str){ b->p, b->n });
    ref_split(pattern.p, pattern.n, &p);
    l = &t->levels[t->parts[part].level];
    for (int from = 0; from < p.n; from++) {
        size_t n = 0;

        for (int to = from; to < p.n && (to == from || l->kind == RKI_LEVEL_MANY); to++) {
            rkp_str w = p.v[to];

            if (rkp_str_is(w, "*") || rkp_str_is(w, "#"))
                w = RKP_STR("v");
            if (l->kind == RKI_LEVEL_MANY) {
                n += (size_t)snprintf(room[value] + n, 64 - n, "%s" RKP_STR_FMT, n ? "/" : "", RKP_STR_ARG(w));
            } else {
                size_t before = t->parts[l->first].kind == RKI_TOPIC_TEXT ? t->parts[l->first].text.n : 0;
                const rki_topic_part *end = &t->parts[l->first + l->n - 1];
                size_t after = end->kind == RKI_TOPIC_TEXT ? end->text.n : 0;

                if (w.n == 1 && w.p[0] == 'v')
                    before = after = 0;
                if (w.n < before + after)
                    continue;
                n = unescape(w.p + before, w.n - before - after, room[value]);
            }
            values[value] = (rkp_str){ room[value], n };
            if (witness(t, pattern, values, part + 1, value + 1, b))
                return true;
        }
    }
    return false;
}

static void a_hundred_thousand_random_templates_match_no_pattern_that_was_ruled_out(void **state)
{
    static const char *const texts[] = { "a", "b", "ab", "a", "-", "a-" };
    static const char *const fills[] = { "a", "b", "", "-", "ab", "a/b", "$s", "+", "%", "*", "\xff", "b-a" };
    static const char *const topics[] = { "a", "a/b", "$s/a", "b/a/b", "" };
    static const char *const words_of[] = { "a",    "b",  "ab",  "a-",  "%-",  "%2F", "a%2Fb",
                                            "%24s", "$s", "%2B", "%25", "aab", "b-a" };
    uint32_t yes = 0, proved = 0;
    rki_arena a;
    rki_buf b;

    (void)state;
    rki_arena_init(&a);
    rki_buf_init(&b);
    for (int i = 0; i < 100000; i++) {
        char text[200], p[200];
        size_t n = 0, pn = 0;
        bool simple = true, may;
        rki_topic_template t;
        rkp_str values[32], pattern;

        for (uint32_t l = 0, levels = 1 + below(3); l < levels; l++) {
            int held = 0;

            if (l)
                text[n++] = '/';
            if (below(6) == 0) {
                n += (size_t)snprintf(text + n, sizeof text - n, "${meta.topic}");
                continue;
            }
            for (uint32_t parts = 1 + below(3); parts; parts--) {
                bool value = below(2);

                held += value;
                n += (size_t)snprintf(text + n, sizeof text - n, "%s", value ? "${this.c}" : texts[below(6)]);
            }
            simple = simple && held <= 1;
        }
        for (uint32_t l = 0, levels = 1 + below(4); l < levels; l++)
            put(p, &pn,
                l + 1 == levels && below(5) == 0 ? "#"
                : below(4) == 0                  ? "*"
                                                 : words_of[below(below(2) ? 13 : 3)]);
        pattern = (rkp_str){ p, pn };
        assert_true(rki_topic_check(P, pattern, NULL));
        if (i % 1000 == 0) {
            rki_arena_fini(&a);
            rki_arena_init(&a);
        }
        assert_int_equal(rki_topic_template_parse(&a, RKI_TOPIC_NAME, (rkp_str){ text, n }, &t, NULL), RKP_OK);
        may = rki_topic_may_match(&t, pattern);
        for (int k = 0; k < 20; k++) {
            uint32_t v = 0;

            for (uint32_t q = 0; q < t.n_parts; q++)
                if (t.parts[q].kind == RKI_TOPIC_COLUMN)
                    values[v++] = rkp_str_of(fills[below(12)]);
                else if (t.parts[q].kind == RKI_TOPIC_META)
                    values[v++] = rkp_str_of(topics[below(5)]);
            assert_int_equal(rki_topic_fill(&t, values, &b), RKI_TOPIC_OK);
            assert_true(rki_topic_check(N, (rkp_str){ b.p, b.n }, NULL));
            if (!may && rki_topic_match(pattern, (rkp_str){ b.p, b.n }))
                fail_msg("'%.*s' makes '%.*s', which '%.*s' matches", (int)n, text, (int)b.n, b.p, (int)pn, p);
        }
        yes += may;
        if (may && simple && t.n_values <= 4) {
            if (!witness(&t, pattern, values, 0, 0, &b))
                fail_msg("'%.*s' makes nothing that '%.*s' matches", (int)n, text, (int)pn, p);
            proved++;
        }
    }
    print_message("%u may match, %u of them were shown to\n", yes, proved);
    assert_true(yes > 10000 && proved > 10000);
    rki_buf_fini(&b);
    rki_arena_fini(&a);
}

static void every_allocation_may_fail(void **state)
{
    static const char text[] = "a$${x}/${this.`odd ``name```}/${this.b}-${this.c}-${this.d}/${this.e}-${this.f}/x";
    const rkp_str values[6] = { { "1", 1 }, { "2", 1 }, { "a/b", 3 }, { "4", 1 }, { "5", 1 }, { "", 0 } };

    (void)state;
    if (!nomem_works())
        skip();
    for (long n = 1;; n++) {
        rki_arena a;
        rki_topic_template t;
        rki_buf b;
        rkp_status st;
        bool done, made = false;

        rki_arena_init(&a);
        rki_buf_init(&b);
        nomem_at(n);
        st = rki_topic_template_parse(&a, RKI_TOPIC_NAME, RKP_STR(text), &t, NULL);
        if (st == RKP_OK)
            made = rki_topic_fill(&t, values, &b) == RKI_TOPIC_OK;
        done = nomem_count() < n;
        nomem_at(0);
        assert_true(st == RKP_OK || st == RKP_NOMEM);
        assert_int_equal(made, done);
        if (st == RKP_OK) // memory is back
            assert_int_equal(rki_topic_fill(&t, values, &b), RKI_TOPIC_OK);
        rki_buf_fini(&b);
        rki_arena_fini(&a);
        if (done)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_patterns_that_are_legal),
        cmocka_unit_test(each_illegal_form_says_what_is_wrong_where_and_what_to_do),
        cmocka_unit_test(all_findings_of_a_text_come_in_order_and_not_without_end),
        cmocka_unit_test(a_topic_has_at_most_1024_bytes),
        cmocka_unit_test(a_pattern_matches_what_the_contract_says),
        cmocka_unit_test(a_million_random_pairs_match_as_split_levels_and_as_a_regular_expression_do),
        cmocka_unit_test(texts_that_are_not_legal_do_no_harm),
        cmocka_unit_test(patterns_meet_when_some_topic_matches_both_and_then_say_which),
        cmocka_unit_test(patterns_whose_topics_would_be_too_long_do_not_meet),
        cmocka_unit_test(the_more_specific_pattern_is_the_one_whose_topics_the_other_has_too),
        cmocka_unit_test(a_template_is_split_into_levels_texts_and_values),
        cmocka_unit_test(a_template_that_is_not_legal_says_why),
        cmocka_unit_test(a_template_counts_a_byte_for_each_value_and_not_its_name_and_has_64_of_them),
        cmocka_unit_test(a_value_is_escaped_so_that_it_stays_one_level),
        cmocka_unit_test(different_values_become_different_legal_levels),
        cmocka_unit_test(a_template_makes_a_topic_of_a_row),
        cmocka_unit_test(a_template_may_match_what_it_can_make),
        cmocka_unit_test(a_template_of_the_engine_makes_topics_that_only_patterns_with_a_dollar_match),
        cmocka_unit_test(a_hundred_thousand_random_templates_match_no_pattern_that_was_ruled_out),
        cmocka_unit_test(every_allocation_may_fail),
    };

    return cmocka_run_group_tests_name("topic", tests, NULL, NULL);
}
