// topics ROUNDS [--json]: the engine's index of subscriptions (bar P6 of the benchmark): medians of ROUNDS.
//
//   publish   repeated topics with 1, 10,000 and 100,000 wildcard subscriptions: look the topic up in the memo, and push
//             an envelope of 64 bytes onto the ring of whoever gets it (always exactly one), in batches of 32
//   unseen    topics that come once, with 10,000 subscriptions: the trie, a loop over all patterns with a matcher
//             written for it, and a loop over as many regular expressions compiled by PCRE2's JIT
//   build     subscriptions a second, from a list of texts to a trie
//
// Contenders take turns in every round, and must find the same.
#define PCRE2_CODE_UNIT_WIDTH 8
#include "flow/ring.h"
#include "flow/topic_memo.h"
#include "flow/trie.h"

#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { MOST = 1000000, TEXT = 48, UNSEEN_SUBS = 10000, REPEATED = 1000, MAX_ROUNDS = 101, BATCH = 32 };
enum { PUBLISHED = 2000000, SEEN_BY_TRIE = 200000, SEEN_BY_LOOP = 2000, SEEN_BY_PCRE = 12 };

static char (*texts)[TEXT];
static rki_trie_entry *subs;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, by_value);
    return v[n / 2];
}

// The first subscription gets every topic; the others share its levels, in part, and get none of them.
static void make_subs(void)
{
    for (uint32_t i = 0; i < MOST; i++) {
        uint32_t site = i % 1000, dev = i / 1000;
        int n = i == 0       ? snprintf(texts[i], TEXT, "plant/*/*/temp")
                : i % 4 == 0 ? snprintf(texts[i], TEXT, "plant/site%u/*/m%u/#", site, dev)
                : i % 4 == 1 ? snprintf(texts[i], TEXT, "plant/*/dev%u/m%u", i, dev)
                : i % 4 == 2 ? snprintf(texts[i], TEXT, "plant/site%u/dev%u/*/raw", site, i)
                             : snprintf(texts[i], TEXT, "depot%u/#", i);
        subs[i] = (rki_trie_entry){ { texts[i], (size_t)n }, i };
    }
}

static rkp_str topic_of(char *to, uint32_t i)
{
    return (rkp_str){ to, (size_t)snprintf(to, TEXT, "plant/site%u/dev%u/temp", i % 1000, i) };
}

static rki_trie *trie_of(uint32_t n)
{
    rki_trie *t = NULL;
    if (rki_trie_new(subs, n, &t) != RKP_OK)
        exit(1);
    return t;
}

// ---- publish --------------------------------------------------------------------------------------------------------

// Nanoseconds for one message; *find: of which the look-up alone.
static double publish(uint32_t n, double *find)
{
    static char text[REPEATED][TEXT];
    static rkp_str topics[REPEATED];
    rki_trie *t = trie_of(n);
    rki_topic_memo *m = rki_topic_memo_new(1 << 16, 16 << 20);
    rki_ring *r = aligned_alloc(64, rki_ring_bytes(64));
    uint64_t got = 0, wrong = 0;
    rkp_envelope e = { .flags = RKP_F_DATA, .rows = 1 };
    double begin, per_message;
    if (!m || !r || !rki_ring_init(r, 64))
        exit(1);
    for (uint32_t i = 0; i < REPEATED; i++)
        topics[i] = topic_of(text[i], i * 7);
    for (int lap = 0; lap < 2; lap++) { // the first one warms
        begin = now();
        for (uint32_t i = 0, k = 0; i < PUBLISHED; i += BATCH) {
            rki_topic_memo_begin(m, t, 1);
            for (uint32_t j = 0; j < BATCH; j++, k = k + 1 == REPEATED ? 0 : k + 1) {
                const rki_topic_hit *h = rki_topic_memo_find(m, topics[k]);
                for (uint32_t v = 0; v < h->n; v++) {
                    e.topic = h->id;
                    e.seq++;
                    wrong += h->values[v] != 0 || !rki_ring_push(r, &e);
                }
            }
            for (rkp_envelope out; rki_ring_pop(r, &out);)
                got++;
        }
    }
    per_message = (now() - begin) / PUBLISHED * 1e9;
    begin = now();
    for (uint32_t i = 0, k = 0; i < PUBLISHED; i++, k = k + 1 == REPEATED ? 0 : k + 1)
        wrong += rki_topic_memo_find(m, topics[k])->n != 1;
    *find = (now() - begin) / PUBLISHED * 1e9;
    if (wrong || got != 2 * PUBLISHED)
        exit(1);
    free(r);
    rki_topic_memo_free(m);
    rki_trie_free(t);
    return per_message;
}

// ---- unseen ---------------------------------------------------------------------------------------------------------

static bool hand_match(const char *p, const char *t)
{
    if (*t == '$' && *p != '$')
        return false;
    for (;;) {
        if (*p == '#')
            return true;
        if (*p == '*') {
            p++;
            while (*t && *t != '/')
                t++;
        } else {
            while (*p && *p == *t && *p != '/') {
                p++;
                t++;
            }
        }
        if (*p == '/' && *t == '/') {
            p++;
            t++;
        } else {
            return *p == *t || (*t == 0 && p[0] == '/' && p[1] == '#');
        }
    }
}

static double by_trie(const rki_trie *t, uint32_t salt)
{
    static rki_trie_hits h; // reused, as an actor does
    uint64_t wrong = 0;
    double took = 0;
    for (uint32_t i = 0; i < SEEN_BY_TRIE; i += 100) {
        char text[100][TEXT];
        rkp_str topics[100];
        double begin;
        for (uint32_t k = 0; k < 100; k++)
            topics[k] = topic_of(text[k], salt * SEEN_BY_TRIE + i + k);
        begin = now();
        for (uint32_t k = 0; k < 100; k++)
            wrong += !rki_trie_find(t, topics[k], &h) || h.n != 1 || h.v[0] != 0;
        took += now() - begin;
    }
    if (wrong)
        exit(1);
    return took / SEEN_BY_TRIE * 1e9;
}

static double by_loop(uint32_t salt)
{
    uint64_t found = 0;
    double begin = now();
    for (uint32_t i = 0; i < SEEN_BY_LOOP; i++) {
        char text[TEXT];
        topic_of(text, salt * SEEN_BY_LOOP + i);
        for (uint32_t k = 0; k < UNSEEN_SUBS; k++)
            found += hand_match(texts[k], text);
    }
    if (found != SEEN_BY_LOOP)
        exit(1);
    return (now() - begin) / SEEN_BY_LOOP * 1e9;
}

static pcre2_code *regex_of(const char *p)
{
    char re[4 * TEXT];
    size_t n = 0, off;
    int err;
    pcre2_code *code;
    n += (size_t)snprintf(re, sizeof re, "^(?!\\$)");
    for (; *p; p++)
        n += (size_t)snprintf(re + n, sizeof re - n,
                              p[0] == '*'                  ? "[^/]+"
                              : p[0] == '/' && p[1] == '#' ? "(?:/.*)?"
                              : p[0] == '#'                ? ""
                                                           : "%c",
                              *p);
    n += (size_t)snprintf(re + n, sizeof re - n, "\\z");
    code = pcre2_compile((PCRE2_SPTR)re, n, PCRE2_DOTALL, &err, &off, NULL);
    if (!code || pcre2_jit_compile(code, PCRE2_JIT_COMPLETE) != 0)
        exit(1);
    return code;
}

static double by_pcre(pcre2_code **codes, pcre2_match_data *m, uint32_t salt)
{
    uint64_t found = 0;
    double begin = now();
    for (uint32_t i = 0; i < SEEN_BY_PCRE; i++) {
        char text[TEXT];
        rkp_str s = topic_of(text, salt * SEEN_BY_PCRE + i);
        for (uint32_t k = 0; k < UNSEEN_SUBS; k++)
            found += pcre2_jit_match(codes[k], (PCRE2_SPTR)s.p, s.n, 0, 0, m, NULL) >= 0;
    }
    if (found != SEEN_BY_PCRE)
        exit(1);
    return (now() - begin) / SEEN_BY_PCRE * 1e9;
}

// ---- build ----------------------------------------------------------------------------------------------------------

static double build(uint32_t n, size_t *bytes)
{
    double begin = now();
    rki_trie *t = trie_of(n);
    double took = now() - begin;
    *bytes = rki_trie_bytes(t);
    rki_trie_free(t);
    return n / took / 1e6;
}

int main(int argc, char **argv)
{
    static const uint32_t counts[] = { 1, 10000, 100000 }, built[] = { 10000, 100000, 1000000 };
    static double message[3][MAX_ROUNDS], find[3][MAX_ROUNDS], rate[3][MAX_ROUNDS], unseen[3][MAX_ROUNDS];
    static double ratio[4][MAX_ROUNDS], built_rate[3][MAX_ROUNDS];
    static pcre2_code *codes[UNSEEN_SUBS];
    int rounds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 5;
    bool json = argc > 2 && strcmp(argv[2], "--json") == 0;
    pcre2_match_data *m = pcre2_match_data_create(1, NULL);
    double p[16];
    size_t bytes[3];
    rki_trie *t;
    texts = malloc(MOST * sizeof *texts);
    subs = malloc(MOST * sizeof *subs);
    if (rounds < 1 || rounds > MAX_ROUNDS || !m || !texts || !subs)
        return 64;
    make_subs();
    t = trie_of(UNSEEN_SUBS);
    for (uint32_t i = 0; i < UNSEEN_SUBS; i++)
        codes[i] = regex_of(texts[i]);
    for (int r = 0; r < rounds; r++) {
        for (int k = 0; k < 3; k++) { // another one first in each round
            int i = (k + r) % 3;
            message[i][r] = publish(counts[i], &find[i][r]);
        }
        unseen[0][r] = by_trie(t, (uint32_t)r);
        unseen[1][r] = by_loop((uint32_t)r);
        unseen[2][r] = by_pcre(codes, m, (uint32_t)r);
        for (int i = 0; i < 3; i++)
            built_rate[i][r] = build(built[i], &bytes[i]);
        ratio[0][r] = message[0][r] / message[1][r];
        ratio[1][r] = message[0][r] / message[2][r];
        ratio[2][r] = unseen[1][r] / unseen[0][r];
        ratio[3][r] = unseen[2][r] / unseen[0][r];
        for (int i = 0; i < 3; i++)
            rate[i][r] = 1e3 / message[i][r];
    }
    for (int i = 0; i < 3; i++) {
        p[i] = median(rate[i], rounds);
        p[3 + i] = median(find[i], rounds);
        p[6 + i] = median(unseen[i], rounds);
        p[9 + i] = median(built_rate[i], rounds);
    }
    for (int i = 0; i < 4; i++)
        p[12 + i] = median(ratio[i], rounds);
    if (json) {
        printf("{\"rounds\":%d,\"publish\":{\"m_per_s\":[%.2f,%.2f,%.2f],\"find_ns\":[%.1f,%.1f,%.1f],"
               "\"subscriptions\":[1,10000,100000],\"ratio\":[1,%.2f,%.2f]},",
               rounds, p[0], p[1], p[2], p[3], p[4], p[5], p[12], p[13]);
        printf(
            "\"unseen\":{\"trie_ns\":%.0f,\"loop_ns\":%.0f,\"pcre_ns\":%.0f,\"loop_ratio\":%.0f,\"pcre_ratio\":%.0f},",
            p[6], p[7], p[8], p[14], p[15]);
        printf("\"build\":{\"subscriptions\":[10000,100000,1000000],\"m_per_s\":[%.2f,%.2f,%.2f],\"bytes\":[%zu,%zu,%"
               "zu]}}\n",
               p[9], p[10], p[11], bytes[0], bytes[1], bytes[2]);
    } else {
        printf("topics: medians of %d rounds\n", rounds);
        for (int i = 0; i < 3; i++)
            printf("  publish, %6u subscriptions  %6.1f M/s  %.2fx   (memo alone %.1f ns)\n", counts[i], p[i],
                   i ? p[11 + i] : 1.0, p[3 + i]);
        printf("  unseen topic, 10000 subscriptions: trie %.0f ns; a loop %.0f ns, %.0fx; PCRE2 %.0f ns, %.0fx\n", p[6],
               p[7], p[14], p[8], p[15]);
        for (int i = 0; i < 3; i++)
            printf("  build, %7u subscriptions  %5.2f M/s, %zu bytes each\n", built[i], p[9 + i], bytes[i] / built[i]);
    }
    for (uint32_t i = 0; i < UNSEEN_SUBS; i++)
        pcre2_code_free(codes[i]);
    pcre2_match_data_free(m);
    rki_trie_free(t);
    free(texts);
    free(subs);
    return 0;
}
