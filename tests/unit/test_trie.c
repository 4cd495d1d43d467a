// labels: threads
// Tests of flow/trie.h and flow/topic_memo.h, against a walk over all patterns with rki_topic_match.
#include "flow/text_hash.h"
#include "flow/topic.h"
#include "flow/topic_memo.h"
#include "flow/trie.h"
#include "nomem.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
// after the above
#include <cmocka.h>

static uint64_t seed = 7;

static uint32_t below(uint32_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((seed >> 33) % n);
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static const char *show(const rki_trie_hits *h)
{
    static char text[400];
    size_t n = 0;

    text[0] = 0;
    for (uint32_t i = 0; i < h->n && n < sizeof text - 20; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%u", i ? " " : "", h->v[i]);
    return text;
}

static void a_find_gives_the_values_of_all_patterns_that_match_once_and_in_order(void **state)
{
    static const rki_trie_entry entries[] = {
        { { "#", 1 }, 9 },
        { { "a", 1 }, 1 },
        { { "a/#", 3 }, 2 },
        { { "a/*", 3 }, 3 },
        { { "a/b", 3 }, 4 },
        { { "*/b", 3 }, 5 },
        { { "a/*/c", 5 }, 6 },
        { { "*/*/#", 5 }, 7 },
        { { "$alerts/#", 9 }, 8 },
        { { "a/b", 3 }, 4 },
        { { "a/b", 3 }, 0 },
        { { "*", 1 }, 5 },
        { { "$alerts/*/x", 11 }, 8 },
        { { "b/a/b/a/b", 9 }, 11 },
        { { "$x", 2 }, 12 },
        { { "$x", 2 }, 12 },
    };
    static const struct {
        const char *topic, *values;
    } rows[] = {
        { "a", "1 2 5 9" },
        { "a/b", "0 2 3 4 5 7 9" },
        { "b", "5 9" },
        { "b/b", "5 7 9" },
        { "a/x", "2 3 7 9" },
        { "a/b/c", "2 6 7 9" },
        { "$alerts", "8" },
        { "$alerts/y", "8" },
        { "$alerts/y/x", "8" },
        { "$other", "" },
        { "b/a/b/a/b", "7 9 11" },
        { "b/a/b/a", "7 9" },
        { "$x", "12" },
        { "", "" },
        { "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p", "2 7 9" },
        { "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q", "" }, // no topic
    };
    rki_trie *t = NULL;
    rki_trie_hits h = { 0 };

    (void)state;
    assert_int_equal(rki_trie_new(entries, sizeof entries / sizeof *entries, &t), RKP_OK);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_true(rki_trie_find(t, rkp_str_of(rows[i].topic), &h));
        assert_string_equal(show(&h), rows[i].values);
    }
    assert_true(rki_trie_find(t, (rkp_str){ 0 }, &h));
    assert_int_equal(h.n, 0);
    assert_true(rki_trie_bytes(t) > 1000);
    rki_trie_hits_fini(&h);
    rki_trie_free(t);
    rki_trie_free(NULL);
}

static void a_trie_of_nothing_finds_nothing(void **state)
{
    rki_trie *t = NULL;
    rki_trie_hits h = { 0 };

    (void)state;
    assert_int_equal(rki_trie_new(NULL, 0, &t), RKP_OK);
    assert_true(rki_trie_find(t, RKP_STR("a/b"), &h));
    assert_int_equal(h.n, 0);
    assert_true(rki_trie_find(t, RKP_STR("$a"), &h));
    assert_int_equal(h.n, 0);
    rki_trie_hits_fini(&h);
    rki_trie_free(t);
}

static void a_pattern_that_is_not_legal_is_refused(void **state)
{
    static const char *const bad[] = { "", "a/", "a//b", "#/a", "a*", "a/b#" };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rki_trie_entry e[] = { { RKP_STR("a/b"), 1 }, { rkp_str_of(bad[i]), 2 } };
        rki_trie *t = (rki_trie *)&e;

        assert_int_equal(rki_trie_new(e, 2, &t), RKP_INVALID);
        assert_ptr_equal(t, &e);
    }
}

// ---- random ---------------------------------------------------------------------------------------------------------

enum { MOST = 3000 };

static char texts[MOST][80];
static rki_trie_entry random_entries[MOST];

static size_t random_text(char *to, size_t cap, bool pattern, uint32_t words)
{
    size_t n = 0;

    for (uint32_t l = 0, levels = 1 + below(6); l < levels; l++) {
        const char *slash = l ? "/" : "";

        if (pattern && l + 1 == levels && below(4) == 0)
            n += (size_t)snprintf(to + n, cap - n, "%s#", slash);
        else if (pattern && below(3) == 0)
            n += (size_t)snprintf(to + n, cap - n, "%s*", slash);
        else
            n += (size_t)snprintf(to + n, cap - n, "%s%sw%u", slash, below(40) ? "" : "$", below(words));
    }
    return n;
}

static void compare(const rki_trie *t, const rki_trie_entry *e, uint32_t n, rkp_str topic, const uint32_t *got,
                    uint32_t got_n)
{
    static uint8_t want[65536];
    uint32_t wanted = 0;

    (void)t;
    memset(want, 0, sizeof want);
    for (uint32_t i = 0; i < n; i++)
        if (rki_topic_match(e[i].pattern, topic)) {
            wanted += !want[e[i].value];
            want[e[i].value] = 1;
        }
    if (wanted != got_n)
        fail_msg("'" RKP_STR_FMT "': %u values, not %u", RKP_STR_ARG(topic), got_n, wanted);
    for (uint32_t i = 0; i < got_n; i++) {
        assert_true(want[got[i]]);
        assert_true(i == 0 || got[i] > got[i - 1]);
    }
}

static uint32_t random_trie(rki_trie **t, uint32_t *words)
{
    uint32_t n = 1 + below(below(4) ? 40 : MOST), values = below(3) ? 60000 : 1 + below(50);
    bool in_order = below(2);

    *words = 2 + below(below(2) ? 4 : 200);
    for (uint32_t i = 0; i < n; i++) {
        random_entries[i].pattern = (rkp_str){ texts[i], random_text(texts[i], sizeof texts[i], true, *words) };
        random_entries[i].value = in_order ? i : below(values);
    }
    assert_int_equal(rki_trie_new(random_entries, n, t), RKP_OK);
    return n;
}

static void random_tries_find_what_a_walk_over_all_patterns_finds(void **state)
{
    rki_trie_hits h = { 0 };
    uint64_t found = 0;

    (void)state;
    for (int round = 0; round < 150; round++) {
        rki_trie *t = NULL;
        uint32_t words, n = random_trie(&t, &words);

        for (int k = 0; k < 100; k++) {
            char topic[100];
            rkp_str s = { topic, random_text(topic, sizeof topic, false, words) };

            assert_true(rki_trie_find(t, s, &h));
            compare(t, random_entries, n, s, h.v, h.n);
            found += h.n;
        }
        rki_trie_free(t);
    }
    print_message("%llu values in 15000 finds\n", (unsigned long long)found);
    rki_trie_hits_fini(&h);
}

static void what_does_not_begin_like_the_topic_is_not_looked_at(void **state)
{
    static char text[20000][40];
    static rki_trie_entry e[20000];
    uint32_t looked[2] = { 0 };
    rki_trie_hits h = { 0 };

    (void)state;
    for (int round = 0; round < 2; round++) {
        uint32_t n = round ? 20000 : 20;
        rki_trie *t = NULL;

        for (uint32_t i = 0; i < n; i++) {
            e[i].pattern = (rkp_str){ text[i], (size_t)snprintf(text[i], 40, "plant/site%u/*/temp", i) };
            e[i].value = i;
        }
        assert_int_equal(rki_trie_new(e, n, &t), RKP_OK);
        assert_true(rki_trie_find(t, RKP_STR("plant/site7/dev9/temp"), &h));
        assert_int_equal(h.n, 1);
        assert_int_equal(h.v[0], 7);
        looked[round] = h.looked;
        rki_trie_free(t);
    }
    assert_int_equal(looked[0], looked[1]);
    assert_int_equal(looked[1], 5); // the root and four levels
    rki_trie_hits_fini(&h);
}

static void levels_whose_hashes_are_equal_are_told_apart(void **state)
{
    enum { TRIES = 1 << 18 };
    uint64_t *seen = malloc(TRIES * sizeof *seen); // hash and number
    char a[12], b[12];
    rki_trie *t = NULL;
    rki_trie_hits h = { 0 };
    uint32_t i, pairs = 0;

    (void)state;
    assert_non_null(seen);
    for (i = 0; i < TRIES; i++) {
        snprintf(a, sizeof a, "%08u", i);
        seen[i] = rki_text_hash(a, 8, 0) << 32 | i;
    }
    qsort(seen, TRIES, sizeof *seen, by_number);
    for (i = 1; i < TRIES; i++)
        if (seen[i] >> 32 == seen[i - 1] >> 32) {
            rki_trie_entry e[2] = { { { a, 8 }, 1 }, { { b, 8 }, 2 } };

            snprintf(a, sizeof a, "%08u", (unsigned)(uint32_t)seen[i]);
            snprintf(b, sizeof b, "%08u", (unsigned)(uint32_t)seen[i - 1]);
            for (uint32_t k = 0; k < 2; k++) { // both, and one without the other
                assert_int_equal(rki_trie_new(e, 1 + k, &t), RKP_OK);
                assert_true(rki_trie_find(t, (rkp_str){ b, 8 }, &h));
                assert_int_equal(h.n, k);
                assert_true(k == 0 || h.v[0] == 2);
                assert_true(rki_trie_find(t, (rkp_str){ a, 8 }, &h));
                assert_int_equal(h.n, 1);
                assert_int_equal(h.v[0], 1);
                rki_trie_free(t);
            }
            pairs++;
        }
    assert_true(pairs > 0);
    rki_trie_hits_fini(&h);
    free(seen);
}

static void every_topic_of_many_values_gives_them_sorted(void **state)
{
    static const char *const patterns[] = { "a/b/c", "a/b/*", "a/*/c", "*/b/c", "#", "a/#", "*/*/*", "a/b/#" };
    enum { EACH = 4000 };
    rki_trie_entry *e = calloc(8 * EACH, sizeof *e);
    rki_trie_hits h = { 0 };
    rki_trie *t = NULL;

    (void)state;
    assert_non_null(e);
    for (uint32_t i = 0; i < 8 * EACH; i++)
        e[i] = (rki_trie_entry){ rkp_str_of(patterns[below(8)]), below(40000) };
    assert_int_equal(rki_trie_new(e, 8 * EACH, &t), RKP_OK);
    assert_true(rki_trie_find(t, RKP_STR("a/b/c"), &h));
    compare(t, e, 8 * EACH, RKP_STR("a/b/c"), h.v, h.n);
    assert_true(h.n > 20000);
    rki_trie_hits_fini(&h);
    rki_trie_free(t);
    free(e);
}

static void *find_many(void *arg)
{
    rki_trie_hits h = { 0 };
    uint64_t sum = 0, seen = 0;

    for (uint32_t i = 0; i < 20000; i++) {
        char topic[40];

        if (!rki_trie_find(arg, (rkp_str){ topic, (size_t)snprintf(topic, sizeof topic, "w%u/w%u", i % 7, i % 5) }, &h))
            return NULL;
        for (uint32_t k = 0; k < h.n; k++)
            sum = sum * 31 + h.v[k];
        seen += h.n;
    }
    rki_trie_hits_fini(&h);
    return (void *)(uintptr_t)(sum | (seen > 0));
}

static void threads_find_in_one_trie_at_the_same_time(void **state)
{
    pthread_t thread[3];
    void *got[3], *alone;
    rki_trie *t = NULL;
    uint32_t n = 500;

    (void)state;
    for (uint32_t i = 0; i < n; i++)
        random_entries[i] = (rki_trie_entry){ { texts[i], random_text(texts[i], sizeof texts[i], true, 7) }, i };
    assert_int_equal(rki_trie_new(random_entries, n, &t), RKP_OK);
    alone = find_many(t);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, find_many, t), 0);
    for (int i = 0; i < 3; i++) {
        pthread_join(thread[i], &got[i]);
        assert_ptr_equal(got[i], alone);
    }
    assert_non_null(alone);
    rki_trie_free(t);
}

// ---- memo -----------------------------------------------------------------------------------------------------------

static rki_trie *small_trie(uint32_t shift)
{
    rki_trie_entry e[] = { { RKP_STR("a/#"), 1 + shift },
                           { RKP_STR("a/*"), 2 + shift },
                           { RKP_STR("b/1"), 3 + shift } };
    rki_trie *t = NULL;

    assert_int_equal(rki_trie_new(e, 3, &t), RKP_OK);
    return t;
}

static void a_memo_knows_a_topic_again_by_its_text(void **state)
{
    rki_trie *t = small_trie(0);
    rki_topic_memo *m = rki_topic_memo_new(100, 1 << 20);
    rki_topic_hit *a, *b, *c;
    char text[] = "a/b";

    (void)state;
    assert_non_null(m);
    rki_topic_memo_begin(m, t, 1);
    a = rki_topic_memo_find(m, (rkp_str){ text, 3 });
    assert_int_equal(a->n, 2);
    assert_int_equal(a->values[0], 1);
    assert_int_equal(a->values[1], 2);
    assert_int_equal(a->mark, 0);
    a->mark = 77;
    text[0] = 'x'; // the memo has a text of its own
    b = rki_topic_memo_find(m, RKP_STR("a/b"));
    assert_ptr_equal(a, b);
    assert_int_equal(b->mark, 77);
    assert_true(rkp_str_is(b->topic, "a/b"));
    c = rki_topic_memo_find(m, RKP_STR("nobody"));
    assert_int_equal(c->n, 0);
    assert_true(c->id != a->id && c->id && a->id);
    rki_topic_memo_begin(m, t, 1); // the same generation: nothing is forgotten
    assert_ptr_equal(rki_topic_memo_find(m, RKP_STR("a/b")), a);
    assert_int_equal(rki_topic_memo_count(m), 2);
    rki_topic_memo_free(m);
    rki_topic_memo_free(NULL);
    rki_trie_free(t);
}

static void a_new_generation_forgets_everything(void **state)
{
    rki_trie *old = small_trie(0), *new = small_trie(10);
    rki_topic_memo *m = rki_topic_memo_new(100, 1 << 20);

    (void)state;
    rki_topic_memo_begin(m, old, 1);
    assert_int_equal(rki_topic_memo_find(m, RKP_STR("b/1"))->values[0], 3);
    rki_topic_memo_begin(m, new, 2);
    assert_int_equal(rki_topic_memo_count(m), 0);
    assert_int_equal(rki_topic_memo_bytes(m), 0);
    assert_int_equal(rki_topic_memo_find(m, RKP_STR("b/1"))->values[0], 13);
    rki_topic_memo_begin(m, new, 3); // another one, at the same place
    assert_int_equal(rki_topic_memo_count(m), 0);
    rki_topic_memo_free(m);
    rki_trie_free(old);
    rki_trie_free(new);
}

static void over_a_limit_a_memo_keeps_what_the_last_batch_asked_for(void **state)
{
    rki_trie *t = small_trie(0);
    rki_topic_memo *m = rki_topic_memo_new(10, 1 << 20);
    rki_topic_hit *kept;

    (void)state;
    rki_topic_memo_begin(m, t, 1);
    kept = rki_topic_memo_find(m, RKP_STR("a/kept"));
    for (int batch = 0; batch < 5; batch++) {
        rki_topic_memo_begin(m, t, 1);
        assert_ptr_equal(rki_topic_memo_find(m, RKP_STR("a/kept")), kept);
        for (int i = 0; i < 4; i++) {
            char topic[20];

            assert_non_null(
                rki_topic_memo_find(m, (rkp_str){ topic, (size_t)snprintf(topic, 20, "a/%d-%d", batch, i) }));
        }
    }
    assert_int_equal(rki_topic_memo_count(m), 13);
    rki_topic_memo_begin(m, t, 1);
    assert_int_equal(rki_topic_memo_count(m), 5);
    rki_topic_memo_free(m);
    rki_trie_free(t);
}

static void a_memo_keeps_its_limits_from_batch_to_batch_and_what_it_gave_within_one(void **state)
{
    enum { BATCH = 3000, TOPICS = 500, BYTES = 60000 };
    static rki_topic_hit *given[BATCH];
    rki_trie *t = NULL;
    uint32_t words, n = random_trie(&t, &words);
    rki_topic_memo *m = rki_topic_memo_new(TOPICS, BYTES);

    (void)state;
    for (int batch = 0; batch < 60; batch++) {
        uint32_t rows = 1 + below(batch % 3 ? 300 : BATCH);

        rki_topic_memo_begin(m, t, 1);
        assert_true(rki_topic_memo_count(m) <= TOPICS && rki_topic_memo_bytes(m) <= BYTES);
        for (uint32_t i = 0; i < rows; i++) {
            char topic[100];
            rkp_str s = { topic, random_text(topic, sizeof topic, false, batch % 2 ? 3 : 200) };

            given[i] = rki_topic_memo_find(m, s);
            assert_non_null(given[i]);
            assert_true(rkp_str_eq(given[i]->topic, s));
            if (given[i]->mark == 0)
                given[i]->mark = given[i]->id;
        }
        for (uint32_t i = 0; i < rows; i++) { // still there, and right
            assert_int_equal(given[i]->mark, given[i]->id);
            assert_ptr_equal(rki_topic_memo_find(m, given[i]->topic), given[i]);
            if (i % 16 == 0)
                compare(t, random_entries, n, given[i]->topic, given[i]->values, given[i]->n);
        }
    }
    rki_topic_memo_free(m);
    rki_trie_free(t);
}

static void numbers_of_topics_that_a_memo_holds_differ(void **state)
{
    enum { N = 5000 };
    static bool used[4 * N];
    rki_trie *t = small_trie(0);
    rki_topic_memo *m = rki_topic_memo_new(N, 1 << 24);

    (void)state;
    rki_topic_memo_begin(m, t, 1);
    for (int lap = 0; lap < 2; lap++)
        for (uint32_t i = 0; i < N; i++) {
            char topic[20];
            uint32_t id = rki_topic_memo_find(m, (rkp_str){ topic, (size_t)snprintf(topic, 20, "a/%u", i) })->id;

            assert_true(id < 4 * N);
            assert_int_equal(used[id], lap);
            used[id] = true;
        }
    rki_topic_memo_free(m);
    rki_trie_free(t);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    if (!nomem_works())
        skip();
    for (uint32_t i = 0; i < 200; i++)
        random_entries[i] =
            (rki_trie_entry){ { texts[i], random_text(texts[i], sizeof texts[i], true, 30) }, below(9000) };
    for (long n = 1;; n++) {
        rki_trie *t = NULL;
        rki_trie_hits h = { 0 };
        rki_topic_memo *m;
        rkp_status st;
        bool done;

        nomem_at(n);
        st = rki_trie_new(random_entries, 200, &t);
        m = rki_topic_memo_new(50, 5000);
        if (st == RKP_OK && rki_trie_find(t, RKP_STR("w1/w2/w3"), &h)) {
            nomem_pause(true);
            compare(t, random_entries, 200, RKP_STR("w1/w2/w3"), h.v, h.n);
            nomem_pause(false);
        }
        for (uint32_t i = 0; m && t && i < 100; i++) {
            char topic[20];
            rkp_str s = { topic, (size_t)snprintf(topic, 20, "w%u/w2", i) };
            rki_topic_hit *hit;

            if (i % 40 == 0)
                rki_topic_memo_begin(m, t, i / 80);
            hit = rki_topic_memo_find(m, s);
            nomem_pause(true);
            if (hit)
                compare(t, random_entries, 200, s, hit->values, hit->n);
            nomem_pause(false);
        }
        done = nomem_count() < n;
        nomem_at(0);
        assert_true(st == RKP_OK || (st == RKP_NOMEM && !t));
        rki_trie_hits_fini(&h);
        rki_topic_memo_free(m);
        rki_trie_free(t);
        if (done)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_find_gives_the_values_of_all_patterns_that_match_once_and_in_order),
        cmocka_unit_test(a_trie_of_nothing_finds_nothing),
        cmocka_unit_test(a_pattern_that_is_not_legal_is_refused),
        cmocka_unit_test(random_tries_find_what_a_walk_over_all_patterns_finds),
        cmocka_unit_test(what_does_not_begin_like_the_topic_is_not_looked_at),
        cmocka_unit_test(levels_whose_hashes_are_equal_are_told_apart),
        cmocka_unit_test(every_topic_of_many_values_gives_them_sorted),
        cmocka_unit_test(threads_find_in_one_trie_at_the_same_time),
        cmocka_unit_test(a_memo_knows_a_topic_again_by_its_text),
        cmocka_unit_test(a_new_generation_forgets_everything),
        cmocka_unit_test(over_a_limit_a_memo_keeps_what_the_last_batch_asked_for),
        cmocka_unit_test(a_memo_keeps_its_limits_from_batch_to_batch_and_what_it_gave_within_one),
        cmocka_unit_test(numbers_of_topics_that_a_memo_holds_differ),
        cmocka_unit_test(every_allocation_may_fail),
    };

    return cmocka_run_group_tests_name("trie", tests, NULL, NULL);
}
