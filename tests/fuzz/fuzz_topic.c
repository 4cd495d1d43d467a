// Topics, patterns and templates of any bytes. Lines: a topic, a template, two values, and patterns. A second matcher, over
// split levels, and the trie must agree with the first; what two patterns have in common matches when both do; what a
// template makes is legal, and no pattern that was ruled out matches it.
#include "flow/topic.h"
#include "flow/topic_memo.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST = 40, LEVELS = 2000 };

struct levels {
    rkp_str v[LEVELS];
    int n;
};

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void split(rkp_str s, struct levels *to)
{
    size_t from = 0;

    to->n = 0;
    for (size_t i = 0; i <= s.n; i++)
        if ((i == s.n || s.p[i] == '/') && to->n < LEVELS) {
            to->v[to->n++] = (rkp_str){ s.p + from, i - from };
            from = i + 1;
        }
}

static bool match_levels(const rkp_str *p, int np, const rkp_str *t, int nt)
{
    if (np == 0)
        return nt == 0;
    if (rkp_str_is(*p, "#"))
        return true;
    return nt > 0 && (rkp_str_is(*p, "*") || rkp_str_eq(*p, *t)) && match_levels(p + 1, np - 1, t + 1, nt - 1);
}

static bool match(rkp_str pattern, rkp_str topic)
{
    static struct levels p, t;

    split(pattern, &p);
    split(topic, &t);
    return (topic.p[0] != '$' || pattern.p[0] == '$') && match_levels(p.v, p.n, t.v, t.n);
}

static void check(rki_topic_kind kind, rkp_str s, bool *legal)
{
    rki_topic_findings f;

    *legal = rki_topic_check(kind, s, &f);
    require(*legal == rki_topic_check(kind, s, NULL));
    require(*legal == (f.n == 0));
    for (uint32_t i = 0; i < f.n; i++)
        require((size_t)f.v[i].at + f.v[i].n <= s.n && f.v[i].what[0] && f.v[i].code);
}

static void check_trie(const rki_trie_entry *e, uint32_t n, rkp_str topic)
{
    rki_topic_memo *m = rki_topic_memo_new(2, 1000);
    const rki_topic_hit *h;
    rki_trie *t = NULL;
    uint32_t want = 0;
    uint64_t seen = 0;

    require(m && rki_trie_new(e, n, &t) == RKP_OK);
    rki_topic_memo_begin(m, t, 1);
    h = rki_topic_memo_find(m, topic);
    require(h && rki_topic_memo_find(m, topic) == h);
    for (uint32_t i = 0; i < n; i++) {
        bool yes = match(e[i].pattern, topic);

        require(rki_topic_match(e[i].pattern, topic) == yes);
        want += yes;
        seen |= (uint64_t)yes << i;
    }
    require(h->n == want);
    for (uint32_t i = 0; i < h->n; i++)
        require(seen >> h->values[i] & 1);
    rki_topic_memo_free(m);
    rki_trie_free(t);
}

static void check_pairs(const rki_trie_entry *e, uint32_t n, const rkp_str *topic)
{
    rki_buf both;

    rki_buf_init(&both);
    for (uint32_t i = 0; i < n; i++) {
        rkp_str a = e[i].pattern, b = e[(i + 1) % n].pattern;
        bool meet = rki_topic_patterns_meet(a, b, &both), legal;
        int cmp = rki_topic_specific_cmp(a, b);

        require(rki_topic_patterns_meet(b, a, NULL) == meet);
        require(rki_topic_specific_cmp(b, a) == -cmp);
        require(cmp == 0 || meet);
        if (meet) {
            check(RKI_TOPIC_PATTERN, (rkp_str){ both.p, both.n }, &legal);
            require(legal || both.n > RKI_TOPIC_BYTES ||
                    (!memchr(both.p, '/', both.n) && memmem(both.p, both.n, ".>", 2)) ||
                    (!memchr(both.p, '/', both.n) && memmem(both.p, both.n, ">.", 2)));
        }
        if (topic && match(a, *topic) && match(b, *topic))
            require(meet && match((rkp_str){ both.p, both.n }, *topic));
        else if (topic && meet)
            require(!match((rkp_str){ both.p, both.n }, *topic));
        if (topic && cmp < 0 && match(a, *topic))
            require(match(b, *topic));
    }
    rki_buf_fini(&both);
}

static void check_template(rki_topic_kind kind, const rki_trie_entry *e, uint32_t n, rkp_str text, const rkp_str *given,
                           const rkp_str *topic)
{
    rki_topic_findings f;
    rki_topic_template t;
    rkp_status st;
    rki_arena a;
    rki_buf b;
    rkp_str *values;

    rki_arena_init(&a);
    rki_buf_init(&b);
    st = rki_topic_template_parse(&a, kind, text, &t, &f);
    require(st == RKP_OK ? f.n == 0 : st == RKP_INVALID && f.n > 0);
    for (uint32_t i = 0; i < f.n; i++)
        require((size_t)f.v[i].at + f.v[i].n <= text.n && f.v[i].what[0]);
    values = calloc(t.n_values + 1, sizeof *values);
    if (st == RKP_OK) {
        rki_topic_made made;
        uint32_t k = 0;
        bool legal;

        for (uint32_t i = 0; i < t.n_parts; i++)
            if (t.parts[i].kind == RKI_TOPIC_META && t.parts[i].meta == RKI_META_TOPIC)
                values[k++] = topic ? *topic : (rkp_str){ 0 };
            else if (t.parts[i].kind != RKI_TOPIC_TEXT) {
                values[k] = given[k % 2];
                k++;
            }
        made = rki_topic_fill(&t, values, &b);
        if (made == RKI_TOPIC_OK) {
            check(kind, (rkp_str){ b.p, b.n }, &legal);
            require(legal);
            require(!t.fixed.p || rkp_str_eq(t.fixed, (rkp_str){ b.p, b.n }));
            for (uint32_t i = 0; i < n; i++)
                require(rki_topic_may_match(&t, e[i].pattern) || !match(e[i].pattern, (rkp_str){ b.p, b.n }));
        }
    }
    free(values);
    rki_buf_fini(&b);
    rki_arena_fini(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    rkp_str line[4] = { { 0 } }, topic;
    rki_trie_entry e[MOST];
    uint32_t n = 0;
    size_t at = 0;
    bool legal;

    memcpy(text, data, size); // its end is the sanitizer's to watch
    for (int i = 0; at <= size && n < MOST; i++) {
        const char *nl = memchr(text + at, '\n', size - at);
        rkp_str s = { text + at, (nl ? (size_t)(nl - text) : size) - at };

        at += s.n + 1;
        if (i < 4) {
            line[i] = s;
            continue;
        }
        check(RKI_TOPIC_PATTERN, s, &legal);
        if (legal) {
            e[n] = (rki_trie_entry){ s, n };
            n++;
        }
    }
    topic = line[0];
    check(RKI_TOPIC_ANY, topic, &legal);
    if (legal)
        check_trie(e, n, topic);
    check_pairs(e, n, legal ? &topic : NULL);
    check_template(RKI_TOPIC_NAME, e, n, line[1], line + 2, legal ? &topic : NULL);
    check_template(RKI_TOPIC_ANY, e, n, line[1], line + 2, legal ? &topic : NULL);
    free(text);
    return 0;
}
