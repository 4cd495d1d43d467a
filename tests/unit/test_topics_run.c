// labels: threads
// Topics in whole runs: who gets what, against a reference that looks at every row and every subscription; groups, schemas, full queues,
// circles, dead letters, taps.
#include "base/buf.h"
#include "files.h"
#include "flow/spool.h"
#include "run_expect.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
// after the above
#include <cmocka.h>

// ---- the reference --------------------------------------------------------------------------------------------------

// Does the pattern match?  Level by level, from the words of the contract.
static bool matches(const char *pattern, const char *topic)
{
    if ((*pattern == '$') != (*topic == '$'))
        return false;
    for (;;) {
        size_t np = strcspn(pattern, "/"), nt = strcspn(topic, "/");
        if (np == 1 && *pattern == '#')
            return true;
        if (!(np == 1 && *pattern == '*') && (np != nt || strncmp(pattern, topic, np) != 0))
            return false;
        pattern += np;
        topic += nt;
        if (!*pattern && !*topic)
            return true;
        if (!*topic) // a/# matches a
            return strcmp(pattern, "/#") == 0;
        if (!*pattern)
            return false;
        pattern++;
        topic++;
    }
}

#define LONG                                                                                                           \
    "lllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllll"  \
    "lllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllll"

// What a value becomes in a level.  ~ is null.
static const struct value {
    const char *yaml, *value, *level;
} values[] = {
    { "a", "a", "a" },
    { "b", "b", "b" },
    { "c", "c", "c" },
    { "\"x/y\"", "x/y", "x%2Fy" },
    { "\"*\"", "*", "%2A" },
    { "\"#\"", "#", "%23" },
    { "\"\"", "", "%-" },
    { "\"~\"", NULL, "%-" },
    { "\"%\"", "%", "%25" },
    { "\"+\"", "+", "%2B" },
    { "\"\\u00f6\"", "\xc3\xb6", "\xc3\xb6" },
    { "\"$x\"", "$x", "$x" },
    { LONG, LONG, LONG },
};
enum { VALUES = sizeof values / sizeof *values };

struct publisher {
    uint64_t rows, batch, pick;
    uint32_t keys[4], n_keys;
    int shape; // 0: a topic; 1: t/KEY; 2: t/KEY/PUBLISHER; 3: KEY/t
    char topic[64];
    bool behind; // a kernel between it and the topic
};

struct subscription {
    char pattern[64];
    int where; // 0: none
};

struct subscriber {
    struct subscription subs[3];
    uint32_t n, group; // group 0: none
    bool keyed;
};

static const char *const wheres[] = { NULL, "n % 3 == 0", "p == 1", "k == 'a'", "meta.topic =~ 'a'" };

static bool wanted(int where, int64_t p, int64_t n, const char *k, const char *topic)
{
    switch (where) {
    case 1:
        return n % 3 == 0;
    case 2:
        return p == 1;
    case 3:
        return k && strcmp(k, "a") == 0;
    case 4:
        return strchr(topic, 'a') != NULL;
    default:
        return true;
    }
}

static uint64_t dice;

static uint32_t pick(uint32_t n)
{
    dice++;
    return (uint32_t)(case_hash(dice, 77, 1) >> 20) % n;
}

static const struct value *value_of(const struct publisher *pub, uint64_t id, uint64_t n)
{
    return &values[pub->keys[case_key(pub->pick, id, n, pub->n_keys)]];
}

static void topic_of(const struct publisher *pub, uint64_t id, uint64_t n, char *to, size_t size)
{
    const char *level = value_of(pub, id, n)->level;
    switch (pub->shape) {
    case 0:
        snprintf(to, size, "%s", pub->topic);
        break;
    case 1:
        snprintf(to, size, "t/%s", level);
        break;
    case 2:
        snprintf(to, size, "t/%s/p%llu", level, (unsigned long long)id);
        break;
    default:
        snprintf(to, size, "%s%s/t", *level == '$' ? "%24" : "", *level == '$' ? level + 1 : level);
        break;
    }
}

static void make_publisher(struct publisher *p)
{
    static const char *const topics[] = { "t/a", "t/b", "t/a/p1", "u", "t", "u/v/w/x" };
    *p = (struct publisher){
        .rows = 20 + pick(200), .batch = 1 + pick(9), .pick = 1 + pick(1000), .n_keys = 1 + pick(4)
    };
    for (uint32_t i = 0; i < p->n_keys; i++)
        p->keys[i] = pick(VALUES);
    p->shape = (int)pick(4);
    p->behind = pick(3) == 0;
    snprintf(p->topic, sizeof p->topic, "%s", topics[pick(6)]);
}

static const char *const patterns[] = { "t/a",   "t/*", "t/#",   "#",    "*",      "*/t", "t/*/*",
                                        "t/a/#", "u/#", "t/%2A", "t/%-", "t/*/p2", "a/t", "*/*" };
enum { PATTERNS = sizeof patterns / sizeof *patterns };

static void make_subscriber(struct subscriber *s, const struct subscriber *others, uint32_t n_others)
{
    *s = (struct subscriber){ .n = 1 + pick(3) };
    if (pick(3) == 0) { // a member of a group, with others or alone
        s->n = 1;
        s->group = 1 + pick(2);
        s->keyed = s->group == 2;
        snprintf(s->subs[0].pattern, sizeof s->subs[0].pattern, "%s", patterns[pick(PATTERNS)]);
        for (uint32_t i = 0; i < n_others; i++)
            if (others[i].group == s->group)
                s->subs[0] = others[i].subs[0];
        return;
    }
    for (uint32_t i = 0; i < s->n; i++) {
        bool twice;
        do {
            snprintf(s->subs[i].pattern, sizeof s->subs[i].pattern, "%s", patterns[pick(PATTERNS)]);
            twice = false;
            for (uint32_t j = 0; j < i; j++)
                twice |= strcmp(s->subs[i].pattern, s->subs[j].pattern) == 0;
        } while (twice);
        s->subs[i].where = pick(2) ? (int)pick(5) : 0;
    }
}

static void write_pipeline(rki_buf *b, const struct publisher *p, uint32_t n_p, const struct subscriber *s,
                           uint32_t n_s)
{
    bool groups = false;
    for (uint32_t i = 0; i < n_s; i++)
        groups |= s[i].group != 0;
    rki_putz(b, "kernels:\n");
    for (uint32_t i = 0; i < n_p; i++) {
        static const char *const shapes[] = { "", "t/${this.k}", "t/${this.k}/p", "${this.k}/t" };
        rki_putf(b, "  p%u: { op: t.pub, with: { id: %u, rows: %llu, batch: %llu, pick: %llu, keys: [", i + 1, i + 1,
                 (unsigned long long)p[i].rows, (unsigned long long)p[i].batch, (unsigned long long)p[i].pick);
        for (uint32_t k = 0; k < p[i].n_keys; k++)
            rki_putf(b, "%s%s", k ? ", " : "", values[p[i].keys[k]].yaml);
        rki_putz(b, "] }");
        if (p[i].behind)
            rki_putf(b, " }\n  b%u: { op: t.pass, from: [p%u], replicas: %u, fuse: never", i + 1, i + 1,
                     groups ? 1 : 1 + i % 3);
        if (p[i].shape == 0)
            rki_putf(b, ", publish: %s }\n", p[i].topic);
        else if (p[i].shape == 2)
            rki_putf(b, ", publish: '%s%u' }\n", shapes[2], i + 1);
        else
            rki_putf(b, ", publish: '%s' }\n", shapes[p[i].shape]);
    }
    for (uint32_t i = 0; i < n_s; i++) {
        rki_putf(b, "  s%u: { op: t.sink, with: { into: %u }, subscribe: [", i, i + 1);
        for (uint32_t j = 0; j < s[i].n; j++) {
            rki_putf(b, "%s{ topic: '%s'", j ? ", " : "", s[i].subs[j].pattern);
            if (s[i].subs[j].where)
                rki_putf(b, ", where: \"%s\"", wheres[s[i].subs[j].where]);
            if (s[i].group)
                rki_putf(b, ", group: g%u", s[i].group);
            rki_putz(b, " }");
        }
        rki_putz(b, "]");
        if (s[i].group)
            rki_putz(b, s[i].keyed ? ", order: key, partition_by: k" : ", order: none");
        rki_putz(b, " }\n");
    }
    rki_putc(b, 0);
}

// The first subscription that matches; -1: none.
static int taker(const struct subscriber *s, const char *topic)
{
    for (uint32_t j = 0; j < s->n; j++)
        if (matches(s->subs[j].pattern, topic))
            return (int)j;
    return -1;
}

// What a subscriber that is no member of a group must have: each publisher's rows in their order, where one subscription takes them.
static void check_subscriber(const struct publisher *p, uint32_t n_p, const struct subscriber *s, uint32_t at,
                             const char *text)
{
    const case_result *r = &case_results[at + 1];
    size_t seen = 0;
    for (uint32_t i = 0; i < n_p * s->n; i++) {
        const struct publisher *pub = &p[i / s->n];
        uint64_t id = i / s->n + 1;
        size_t from = 0;
        for (uint64_t n = 0; n < pub->rows; n++) {
            const struct value *v = value_of(pub, id, n);
            char topic[512];
            topic_of(pub, id, n, topic, sizeof topic);
            if (taker(s, topic) != (int)(i % s->n) ||
                !wanted(s->subs[i % s->n].where, (int64_t)id, (int64_t)n, v->value, topic))
                continue;
            while (from < r->n && (r->v[from].p != (int64_t)id || r->v[from].n != (int64_t)n))
                from++; // backwards is never looked
            if (from == r->n)
                fail_msg("s%u: row %llu of p%llu (%s) is not there or not in its place\n%s", at, (unsigned long long)n,
                         (unsigned long long)id, topic, text);
            if (r->v[from].topic && strcmp(r->v[from].topic, topic) != 0)
                fail_msg("s%u: row %llu of p%llu came over '%s', not '%s'\n%s", at, (unsigned long long)n,
                         (unsigned long long)id, r->v[from].topic, topic, text);
            if ((v->value == NULL) != (r->v[from].k == NULL) || (v->value && strcmp(v->value, r->v[from].k) != 0))
                fail_msg("s%u: row %llu of p%llu has another key\n%s", at, (unsigned long long)n,
                         (unsigned long long)id, text);
            from++;
            seen++;
        }
    }
    if (seen != r->n)
        fail_msg("s%u: %zu rows, not %zu\n%s", at, r->n, seen, text);
}

// Each row to one member, the rows of one publisher in order, and with a key each key to one member.
static void check_group(const struct publisher *p, uint32_t n_p, const struct subscriber *s, uint32_t n_s,
                        uint32_t group, const char *text)
{
    const char *pattern = NULL;
    int owner[VALUES];
    bool keyed = false;
    for (uint32_t i = 0; i < n_s; i++) {
        if (s[i].group == group) {
            pattern = s[i].subs[0].pattern;
            keyed = s[i].keyed;
        }
    }
    if (!pattern)
        return;
    for (int v = 0; v < VALUES; v++)
        owner[v] = -1;
    for (uint32_t i = 0; i < n_p; i++) {
        for (uint64_t n = 0; n < p[i].rows; n++) {
            uint32_t have = 0;
            int who = -1;
            const struct value *v = value_of(&p[i], i + 1, n);
            char topic[512];
            topic_of(&p[i], i + 1, n, topic, sizeof topic);
            for (uint32_t m = 0; m < n_s; m++) {
                if (s[m].group != group)
                    continue;
                for (size_t at = 0; at < case_results[m + 1].n; at++) {
                    if (case_results[m + 1].v[at].p == (int64_t)i + 1 && case_results[m + 1].v[at].n == (int64_t)n) {
                        have++;
                        who = (int)m;
                    }
                }
            }
            if (have != matches(pattern, topic))
                fail_msg("group g%u: row %llu of p%u (%s) came %u times\n%s", group, (unsigned long long)n, i + 1,
                         topic, have, text);
            if (!have || !keyed)
                continue;
            if (owner[v - values] >= 0 && owner[v - values] != who)
                fail_msg("group g%u: key '%s' came to two members\n%s", group, v->level, text);
            owner[v - values] = who;
        }
    }
}

static void each_subscriber_gets_exactly_what_its_patterns_say(void **state)
{
    uint64_t runs = getenv("RKP_RUNS") ? strtoull(getenv("RKP_RUNS"), NULL, 10) : 80;
    uint64_t first = getenv("RKP_SEED") ? strtoull(getenv("RKP_SEED"), NULL, 10) : 1;
    (void)state;
    for (uint64_t seed = first; seed < first + runs; seed++) {
        struct publisher p[4];
        struct subscriber s[5];
        uint32_t n_p, n_s;
        rki_buf b;
        int code;
        case_forget();
        dice = seed * 1000003;
        n_p = 1 + pick(4);
        n_s = 1 + pick(5);
        for (uint32_t i = 0; i < n_p; i++)
            make_publisher(&p[i]);
        for (uint32_t i = 0; i < n_s; i++)
            make_subscriber(&s[i], s, i);
        rki_buf_init(&b);
        write_pipeline(&b, p, n_p, s, n_s);
        code = case_run(1 + pick(3), "%s", b.p);
        if (code == RKI_EXIT_INVALID && strstr(case_failure, "[subscribe-unreached]") &&
            strstr(case_failure, "no column")) {
            rki_buf_fini(&b); // where nobody publishes there are no columns for `where`
            continue;
        }
        if (code != RKI_EXIT_OK)
            fail_msg("seed %llu: exit %d: %s\n%s", (unsigned long long)seed, code, case_failure, b.p);
        for (uint32_t i = 0; i < n_s; i++)
            if (!s[i].group)
                check_subscriber(p, n_p, &s[i], i, b.p);
        for (uint32_t g = 1; g <= 2; g++)
            check_group(p, n_p, s, n_s, g, b.p);
        rki_buf_fini(&b);
    }
}

// ---- one publisher, several subscriptions -----------------------------------------------------------------------------

static void levels_up_to_the_limit_are_topics_and_one_more_is_a_bad_row(void **state)
{
    (void)state;
    // 16 levels, of which the template makes one; ${meta.topic} makes more.
    expect_run(
        RKI_EXIT_OK, 2,
        "kernels:\n"
        "  p: { op: t.pub, with: { id: 1, rows: 20, keys: [a, b] }, publish: "
        "'l1/l2/l3/l4/l5/l6/l7/l8/l9/l10/l11/l12/l13/l14/l15/${this.k}' }\n"
        "  s: { op: t.sink, subscribe: 'l1/l2/l3/l4/l5/l6/l7/l8/l9/l10/l11/l12/l13/l14/l15/*', with: { into: 1 } }\n"
        "  again: { op: t.pass, subscribe: 'l1/#', publish: 'x/${meta.topic}', on_error: drop }\n"
        "  t: { op: t.sink, subscribe: '#', with: { into: 2 } }\n");
    expect_rows(1, 1, 20);
    assert_int_equal(case_results[2].n, 20); // what `again` makes is too deep
    assert_int_equal(case_totals.dropped, 20);
}

static void a_topic_that_becomes_too_long_is_a_bad_row(void **state)
{
    rki_buf b;
    (void)state;
    rki_buf_init(&b);
    rki_putz(&b, "dead_letter: { kernel: dead }\nkernels:\n  p: { op: t.pub, with: { id: 1, rows: 30, keys: [a, '");
    for (int i = 0; i < 1100; i++)
        rki_putc(&b, 'x');
    rki_putz(&b, "', b] }, publish: 't/${this.k}' }\n"
                 "  s: { op: t.sink, subscribe: t/*, with: { into: 1 } }\n"
                 "  dead: { op: t.sink, with: { into: 2 } }\n");
    rki_putc(&b, 0);
    expect_run(RKI_EXIT_OK, 2, b.p);
    rki_buf_fini(&b);
    assert_int_equal(case_results[1].n, 20);
    assert_int_equal(case_results[2].n, 10);
    assert_int_equal(case_totals.dead_lettered, 10);
}

static void more_topics_in_one_batch_than_are_remembered_are_all_routed(void **state)
{
    (void)state;
    expect_run(RKI_EXIT_OK, 2,
               "kernels:\n"
               "  p: { op: generate, with: { rows: 200000, batch_rows: 200000, columns: { p: '1', n: row, k: "
               "to_string(row) } } }\n"
               "  m: { op: map, from: [p], with: { select: [p, n, k] }, publish: 't/${this.k}/x' }\n"
               "  one: { op: t.sink, subscribe: t/777/x, with: { into: 1 } }\n"
               "  all: { op: t.sink, subscribe: t/*/x, with: { into: 2 } }\n");
    assert_int_equal(case_results[1].n, 1);
    assert_int_equal(case_results[1].v[0].n, 777);
    expect_rows(2, 1, 200000);
}

static void meta_is_what_the_message_came_with(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 3; threads++) {
        case_forget();
        expect_run(
            RKI_EXIT_OK, threads,
            "kernels:\n"
            "  p: { op: t.pub, with: { id: 1, rows: 200, batch: 7, keys: [a, b, c] }, publish: 't/${this.k}' }\n"
            "  q: { op: t.pub, with: { id: 2, rows: 100, batch: 3 }, publish: t/q }\n"
            "  m: { op: map, subscribe: t/*, with: { derive: { k: \"concat(meta.topic, ' ', meta.kernel)\" } } }\n"
            "  s: { op: t.sink, from: [m], with: { into: 1 } }\n"
            "  f: { op: filter, subscribe: t/*, with: { where: \"meta.topic == 't/b' && to_int(meta.hlc) > 0\" } }\n"
            "  u: { op: t.sink, from: [f], with: { into: 2 } }\n"
            "  w: { op: t.sink, subscribe: { topic: '#', where: \"meta.topic in ('t/a', 't/q') && n < 10\" }, with: { "
            "into: 3 } }\n");
        assert_int_equal(case_results[1].n, 300);
        for (size_t i = 0; i < case_results[1].n; i++) {
            const case_row *r = &case_results[1].v[i];
            char want[32];
            snprintf(want, sizeof want, "t/%c m", r->p == 2 ? 'q' : "abc"[r->n % 3]);
            assert_non_null(r->k);
            assert_string_equal(r->k, want);
        }
        assert_int_equal(case_results[2].n, 67);
        for (size_t i = 0; i < case_results[2].n; i++)
            assert_int_equal(case_results[2].v[i].n % 3, 1);
        assert_int_equal(case_results[3].n, 4 + 10);
    }
}

static void a_kernel_behind_publishes_under_its_own_topic(void **state)
{
    (void)state;
    expect_run(RKI_EXIT_OK, 2,
               "kernels:\n"
               "  p: { op: t.pub, with: { id: 1, rows: 90, batch: 4, keys: [a, b, c] }, publish: 'in/${this.k}' }\n"
               "  x: { op: t.pass, subscribe: in/*, publish: 'out/${meta.topic}/${meta.kernel}' }\n"
               "  y: { op: t.pass, subscribe: out/#, publish: final }\n"
               "  s: { op: t.sink, subscribe: 'out/in/b/x', with: { into: 1 } }\n"
               "  t: { op: filter, subscribe: final, with: { where: \"meta.topic == 'final'\" } }\n"
               "  u: { op: t.sink, from: [t], with: { into: 2 } }\n");
    assert_int_equal(case_results[1].n, 30);
    for (size_t i = 0; i < 30; i++)
        assert_string_equal(case_results[1].v[i].topic, "out/in/b/x");
    expect_rows(2, 1, 90);
}

// ---- columns --------------------------------------------------------------------------------------------------------

static void publishers_with_other_columns_are_united(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 3; threads++) {
        case_forget();
        expect_run(
            RKI_EXIT_OK, threads,
            "kernels:\n"
            "  p: { op: t.pub, with: { id: 1, rows: 100, batch: 3 }, publish: t/a }\n"
            "  q: { op: t.pub, with: { id: 2, rows: 100, batch: 4, other: 1 }, publish: t/b }\n"
            "  m: { op: map, subscribe: t/*, with: { derive: { k: \"concat(k ?? 'null', '|', is_null(x) ? 'null' : "
            "to_string(x))\" } } }\n"
            "  s: { op: t.sink, from: [m], with: { into: 1 } }\n"
            "  w: { op: t.sink, subscribe: { topic: t/*, where: \"is_null(x) || x > 40\" }, with: { into: 2 } }\n");
        expect_rows(1, 1, 100);
        expect_rows(1, 2, 100);
        for (size_t i = 0; i < case_results[1].n; i++) {
            const case_row *r = &case_results[1].v[i];
            char want[64];
            if (r->p == 1)
                snprintf(want, sizeof want, "a|null");
            else
                snprintf(want, sizeof want, "null|%.1f", (double)r->n * 0.5);
            assert_string_equal(r->k, want);
        }
        assert_int_equal(case_results[2].n, 100 + 19);
    }
}

static void a_topic_with_a_schema_has_its_columns(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 3; threads++) {
        case_forget();
        expect_run(RKI_EXIT_OK, threads,
                   "topics: { 't/*': { schema: { n: i64, k: string?, p: i64, y: f64? } } }\n"
                   "kernels:\n"
                   "  p: { op: t.pub, with: { id: 1, rows: 100, batch: 3, keys: [a, b] }, publish: 't/${this.k}' }\n"
                   "  q: { op: t.pub, with: { id: 2, rows: 100, batch: 4, other: 1 }, publish: t/b }\n"
                   "  m: { op: map, subscribe: t/*, with: { derive: { k: \"concat(k ?? 'null', is_null(y) ? '' : "
                   "'!')\" } } }\n"
                   "  s: { op: t.sink, from: [m], with: { into: 1 } }\n");
        expect_rows(1, 1, 100);
        expect_rows(1, 2, 100);
        for (size_t i = 0; i < case_results[1].n; i++)
            assert_string_equal(case_results[1].v[i].k, case_results[1].v[i].p == 2  ? "null"
                                                        : case_results[1].v[i].n % 2 ? "b"
                                                                                     : "a");
    }
}

// ---- groups ---------------------------------------------------------------------------------------------------------

static void a_group_of_which_a_member_is_slow_or_gone_still_gets_everything(void **state)
{
    static const char *const what[] = { "", "    # terminated\n" };
    (void)state;
    for (int gone = 0; gone < 2; gone++) {
        live *l;
        uint64_t emitted;
        case_forget();
        case_set(case_gate[1], 50);
        case_set(case_gate[2], 0);
        l = live_start(NULL,
                       "%skernels:\n"
                       "  p: { op: t.pub, with: { id: 1, rows: 1000, gate: 1 }, publish: t }\n"
                       "  a: { op: t.sink, subscribe: { topic: t, group: g }, order: none, queue: { capacity: 4 }, "
                       "with: { into: 1 } }\n"
                       "  b: { op: t.slow, subscribe: { topic: t, group: g }, order: none, queue: { capacity: 4 }, "
                       "with: { into: 2, gate: 2 } }\n"
                       "  c: { op: t.sink, subscribe: { topic: t, group: g }, order: none, queue: { capacity: 4 }, "
                       "with: { into: 3 } }\n",
                       what[gone]);
        live_until(l, case_look(case_emitted[1]) == 50);
        if (gone)
            assert_int_equal(live_command(l, "a", RKI_TERMINATE, 20000), RKI_DONE);
        case_set(case_gate[1], 990);
        // The slow one has its ring and one in its hands, the others take the rest, or had it when they were ended.
        live_until(l, case_look(case_results[1].rows) + case_look(case_results[3].rows) +
                              live_reason(l, "a", "drops", "terminated") >=
                          990 - 6);
        case_set(case_gate[2], UINT64_MAX);
        case_set(case_gate[1], 1000);
        live_until(l, __atomic_load_n(&l->over, __ATOMIC_ACQUIRE));
        emitted = case_look(case_emitted[1]);
        expect_end(l, RKI_EXIT_OK);
        assert_int_equal(emitted, 1000);
        assert_int_equal(case_results[1].n + case_results[2].n + case_results[3].n + case_totals.dropped, 1000);
        if (!gone)
            assert_int_equal(case_totals.dropped, 0);
        // Nothing is lost but what had been dealt to it when it was ended.
        for (int64_t n = 50; n < 1000; n++) {
            uint32_t times = 0;
            for (int k = 1; k <= 3; k++)
                for (size_t at = 0; at < case_results[k].n; at++)
                    times += case_results[k].v[at].n == n;
            assert_int_equal(times, 1);
        }
    }
}

// Two members, each with one message in its hands and a queue of two; row n is sent when row n - 1 is in a queue.
static live *two_members(const char *more)
{
    case_set(case_gate[1], 0);
    return live_start(NULL,
                      "kernels:\n"
                      "  p: { op: t.pub, with: { id: 1, rows: 20, gate: 1 }, publish: t }\n"
                      "  a: { op: t.slow, subscribe: { topic: t, group: g }, order: none, queue: { capacity: 2%s }, "
                      "with: { into: 1, gate: 2 } }\n"
                      "  b: { op: t.slow, subscribe: { topic: t, group: g }, order: none, queue: { capacity: 2%s }, "
                      "with: { into: 2, gate: 3 } }\n",
                      more, more);
}

// Rows [from, to), one after the other, each into a queue.
static void send_each(live *l, uint64_t from, uint64_t to)
{
    for (uint64_t n = from; n < to; n++) {
        case_set(case_gate[1], n + 1);
        live_until(l, live_edges(l, "sent") == n + 1);
    }
}

static int by_n(const void *a, const void *b)
{
    const case_row *x = a, *y = b;
    return (x->n > y->n) - (x->n < y->n);
}

// The first `in_order` so, the others in any order: what is dealt again comes behind what was dealt later.
static void expect_numbers(int sink, const int64_t *n, size_t count, size_t in_order)
{
    assert_int_equal(case_results[sink].n, count);
    qsort(case_results[sink].v + in_order, count - in_order, sizeof *case_results[sink].v, by_n);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(case_results[sink].v[i].n, n[i]);
}

static void what_was_dealt_to_a_full_member_is_dealt_again_to_one_with_room(void **state)
{
    // The member whose turn it is stays full; the other one takes again.
    static const int64_t of_a[] = { 0, 2, 4 }, of_b[] = { 1, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19 };
    static const char *const more[] = { "", ", overflow: block, bytes: 64KiB" };
    (void)state;
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
        live *l;
        case_forget();
        case_set(case_gate[2], 0);
        case_set(case_gate[3], 0);
        l = two_members(more[i]);
        send_each(l, 0, 1);
        live_until(l, case_look(case_seen[CASE_SINK(1)].calls) == 1); // in its hands
        send_each(l, 1, 2);
        live_until(l, case_look(case_seen[CASE_SINK(2)].calls) == 1);
        send_each(l, 2, 6); // both queues are full
        case_set(case_gate[1], 7);
        live_until(l, case_look(case_emitted[1]) == 7); // the turn of a
        assert_int_equal(live_edges(l, "sent"), 6);
        case_set(case_gate[3], UINT64_MAX);
        live_until(l, case_look(case_results[2].rows) == 4);
        case_set(case_gate[1], 20);
        live_until(l, case_look(case_results[2].rows) == 17);
        case_set(case_gate[2], UINT64_MAX);
        expect_end(l, RKI_EXIT_OK);
        expect_numbers(1, of_a, 3, 3);
        expect_numbers(2, of_b, 17, 4);
    }
}

static void a_member_that_was_terminated_is_dealt_nothing(void **state)
{
    static const int64_t of_a[] = { 0 };
    int64_t of_b[19];
    live *l;
    (void)state;
    for (size_t i = 0; i < 19; i++)
        of_b[i] = (int64_t)i + 1;
    l = two_members("");
    send_each(l, 0, 2);
    live_until(l, case_look(case_results[1].rows) == 1 && case_look(case_results[2].rows) == 1);
    assert_int_equal(live_command(l, "a", RKI_TERMINATE, 20000), RKI_DONE);
    send_each(l, 2, 20);
    expect_end(l, RKI_EXIT_OK);
    expect_numbers(1, of_a, 1, 1);
    expect_numbers(2, of_b, 19, 19);
    assert_int_equal(case_totals.dropped, 0);
}

// ---- full queues ----------------------------------------------------------------------------------------------------

// The reader of `t` takes nothing until everything was published; another reader takes everything at once.
static live *overflow(const char *policy, const char *more)
{
    live *l;
    case_forget();
    case_set(case_gate[2], 0);
    l = live_start(
        NULL,
        "%s"
        "kernels:\n"
        "  p: { op: t.pub, with: { id: 1, rows: 5000 }, publish: t }\n"
        "  s: { op: t.slow, subscribe: t, queue: { capacity: 8, overflow: %s }, with: { into: 1, gate: 2 } }\n"
        "  all: { op: t.sink, subscribe: t, with: { into: 2 } }\n",
        more, policy);
    live_until(l, case_look(case_results[2].rows) == 5000); // whoever is slow holds nobody else up
    case_set(case_gate[2], UINT64_MAX);
    return l;
}

static void drop_oldest_keeps_the_newest(void **state)
{
    (void)state;
    expect_end(overflow("drop_oldest", ""), RKI_EXIT_OK);
    expect_rows(2, 1, 5000);
    assert_int_equal(case_results[1].n + case_totals.dropped, 5000);
    // One that it had in its hands, then the last that fit beside the end mark.
    assert_true(case_results[1].n >= 7 && case_results[1].n <= 9);
    for (size_t k = 1; k < case_results[1].n; k++)
        assert_int_equal(case_results[1].v[case_results[1].n - k].n, 5000 - k);
    assert_true(case_results[1].v[0].n <= 5000 - (int64_t)case_results[1].n);
}

static void drop_newest_keeps_the_oldest(void **state)
{
    (void)state;
    expect_end(overflow("drop_newest", ""), RKI_EXIT_OK);
    expect_rows(2, 1, 5000);
    assert_int_equal(case_results[1].n + case_totals.dropped, 5000);
    assert_true(case_results[1].n >= 8 && case_results[1].n <= 10);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(case_results[1].v[i].n, i);
    for (size_t i = 8; i < case_results[1].n; i++) // what came when it had taken the first
        assert_true(case_results[1].v[i].n > case_results[1].v[i - 1].n);
}

static void a_full_queue_can_send_to_a_dead_letter_topic(void **state)
{
    live *l;
    size_t dead;
    (void)state;
    case_set(case_gate[2], 0);
    l = live_start(
        NULL,
        "dead_letter: { topic: bad/rows }\n"
        "kernels:\n"
        "  p: { op: t.pub, with: { id: 1, rows: 5000 }, publish: t }\n"
        "  s: { op: t.slow, subscribe: t, queue: { capacity: 8, overflow: dead_letter }, with: { into: 1, gate: 2 } }\n"
        "  all: { op: t.sink, subscribe: t, with: { into: 2 } }\n"
        "  d: { op: map, subscribe: bad/#, with: { derive: { p: '7', n: \"to_int(json_get(row, 'n'))\", k: "
        "\"concat(reason, ' ', meta.topic)\" } } }\n"
        "  e: { op: t.sink, from: [d], with: { into: 3 } }\n"
        "  f: { op: t.sink, subscribe: { topic: 'bad/*', where: \"reason == 'none'\" }, with: { into: 4 } }\n");
    live_until(l, case_look(case_results[2].rows) == 5000);
    case_set(case_gate[2], UINT64_MAX);
    expect_end(l, RKI_EXIT_OK);
    dead = case_results[3].n;
    assert_int_equal(case_results[1].n + dead, 5000);
    assert_int_equal(case_totals.dead_lettered, dead);
    for (size_t i = 0, at = 0; i < dead; i++) {
        while (at < case_results[1].n && case_results[1].v[at].n < case_results[3].v[i].n)
            at++;
        assert_int_equal(case_results[3].v[i].n, i + at); // each is here or there
        assert_string_equal(case_results[3].v[i].k, "queue_full bad/rows");
    }
    assert_int_equal(case_results[4].n, 0); // `where` is about dead letters as well
}

static void a_full_queue_can_fail_the_run(void **state)
{
    live *l;
    (void)state;
    case_set(case_gate[2], 0);
    l = live_start(
        NULL,
        "kernels:\n"
        "  p: { op: t.pub, with: { id: 1, rows: 5000 }, publish: t }\n"
        "  s: { op: t.slow, subscribe: t, queue: { capacity: 8, overflow: fail }, with: { into: 1, gate: 2 } }\n");
    expect_end(l, RKI_EXIT_FAILED);
    if (!strstr(case_failure, "the queue of kernel 's' is full (overflow: fail)"))
        fail_msg("%s", case_failure);
}

static void what_spills_comes_back_in_order(void **state)
{
    (void)state;
    expect_end(overflow("spill", ""), RKI_EXIT_OK);
    expect_rows(1, 1, 5000);
    expect_rows(2, 1, 5000);
    assert_int_equal(case_totals.dropped, 0);
}

// Records in the log of what p has for s, as another process finds it; UINT64_MAX: there is no log.
static uint64_t records_on_disk(const char *data_dir)
{
    char dir[128], err[RKI_SPOOL_ERR];
    rki_spool_record rec = { 0 };
    rki_spool *log;
    uint64_t n = 0;
    snprintf(dir, sizeof dir, "%s/spill/p-s-0-0", data_dir);
    if (rki_spool_open(dir, &(rki_spool_opts){ .read_only = true }, &log, err) != RKP_OK)
        return UINT64_MAX;
    while (rki_spool_next(log, &rec, err) == RKP_OK && rec.seq)
        n++;
    rki_spool_close(log);
    return n;
}

static void copy_log(const char *from, const char *to)
{
    char path[2][256];
    DIR *d;
    snprintf(path[1], sizeof path[1], "%s/spill", to);
    assert_int_equal(mkdir(path[1], 0700), 0);
    snprintf(path[1], sizeof path[1], "%s/spill/p-s-0-0", to);
    assert_int_equal(mkdir(path[1], 0700), 0);
    snprintf(path[0], sizeof path[0], "%s/spill/p-s-0-0", from);
    d = opendir(path[0]);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        char name[2][600], buf[65536];
        FILE *f;
        size_t n;
        if (e->d_name[0] == '.')
            continue;
        for (int i = 0; i < 2; i++)
            assert_true(snprintf(name[i], sizeof name[i], "%s/%s", path[i], e->d_name) < (int)sizeof name[i]);
        f = fopen(name[0], "rb");
        assert_non_null(f);
        n = fread(buf, 1, sizeof buf, f);
        assert_true(n < sizeof buf);
        fclose(f);
        f = fopen(name[1], "wb");
        assert_non_null(f);
        assert_int_equal(fwrite(buf, 1, n, f), n);
        assert_int_equal(fclose(f), 0);
    }
    closedir(d);
}

#define SPILLS(start)                                                                                                  \
    "run: { mode: stream }\n"                                                                                          \
    "kernels:\n"                                                                                                       \
    "  p: { op: t.pub, with: { id: 1, rows: 150, gate: 1 }, publish: t }\n"                                            \
    "  s: { op: t.sink, subscribe: t" start ", queue: { capacity: 4, overflow: spill }, with: { into: 1 } }\n"

// With a clock that stands still all messages of a step are gathered.
static void what_has_spilled_is_on_disk_when_the_publisher_waits_and_comes_first_after_a_kill(void **state)
{
    char dir[] = "/tmp/rkp-spill-XXXXXX";
    live *l;
    (void)state;
    assert_non_null(mkdtemp(dir));
    case_set(case_gate[1], 100);
    l = live_start(&(live_conf){ .clocked = true }, SPILLS(", start: suspended"));
    live_until(l, case_look(case_emitted[1]) == 100);
    live_until(l, records_on_disk(l->dir) == 96); // a queue of 4
    copy_log(l->dir, dir);                        // as after kill -9
    assert_int_equal(live_command(l, "s", RKI_ACTIVATE, 20000), RKI_DONE);
    case_set(case_gate[1], 150);
    expect_end(l, RKI_EXIT_OK);
    expect_rows(1, 1, 150);
    case_forget();
    case_set(case_gate[1], 100);
    case_set(case_emitted[1], 100);
    l = live_start(&(live_conf){ .dir = dir }, SPILLS(""));
    live_until(l, case_look(case_results[1].rows) == 96);
    case_set(case_gate[1], 150);
    expect_end(l, RKI_EXIT_OK);
    assert_int_equal(case_results[1].n, 146);
    for (size_t i = 0; i < 146; i++) // what was in the queue is gone
        assert_int_equal(case_results[1].v[i].n, i + 4);
    assert_int_equal(records_on_disk(dir), UINT64_MAX); // an empty log leaves nothing behind
    remove_folder(dir);
}

static void heard(void *arg, rkp_str lines)
{
    if (memmem(lines.p, lines.n, "queue.spill.max_bytes", 21))
        case_add(*(uint64_t *)arg, 1);
}

// With and without stamps that wait for room.
static void a_log_with_a_limit_makes_the_publisher_wait_and_says_so_once(void **state)
{
    static const char *const orders[] = { "fifo", "hlc" };
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        char path[128], err[RKI_SPOOL_ERR];
        uint64_t told = 0, emitted;
        rki_spool_stats stats = { 0 };
        rki_spool *log;
        live *l;
        case_forget();
        case_set(case_gate[2], 0);
        l = live_start(
            &(live_conf){ .log = heard, .log_arg = &told },
            "run: { mode: stream }\n"
            "topics: { t: { spill: 1MiB } }\n" // the queue says less
            "kernels:\n"
            "  p: { op: t.pub, with: { id: 1, rows: 5000 }, publish: t }\n"
            "  s: { op: t.slow, subscribe: t, order: %s, queue: { capacity: 8, spill: { max_bytes: 64KiB } }, with: "
            "{ into: 1, gate: 2 } }\n"
            "  all: { op: t.sink, subscribe: t, with: { into: 2 } }\n",
            orders[i]);
        live_until(l, live_edges(l, "spill_full") == 1);
        emitted = case_look(case_emitted[1]);
        assert_true(emitted > 100 && emitted < 1000);
        snprintf(path, sizeof path, "%s/spill/p-s-0-0", l->dir);
        assert_int_equal(rki_spool_open(path, &(rki_spool_opts){ .read_only = true }, &log, err), RKP_OK);
        rki_spool_look(log, &stats);
        assert_true(stats.bytes > 60000 && stats.bytes < 65536 + 1000);
        rki_spool_close(log);
        case_set(case_gate[2], UINT64_MAX);
        expect_end(l, RKI_EXIT_OK);
        expect_rows(1, 1, 5000);
        expect_rows(2, 1, 5000);
        assert_int_equal(case_totals.dropped, 0);
        assert_int_equal(case_look(told), 1);
    }
}

static void a_limit_of_what_may_spill_counts_as_a_queue_that_blocks(void **state)
{
    static const struct {
        const char *queue, *found;
        bool runs;
    } cases[] = {
        { "overflow: spill", NULL, true },
        { "overflow: spill, spill: 1MiB", "[cycle-blocks]", false },
        { "overflow: drop_newest, spill: 1MiB", "[queue-no-spill]", true },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        live *l;
        case_forget();
        l = live_try(NULL,
                     "schemas: { job: { p: i64, n: i64, k: string? } }\n"
                     "topics: { 'loop/#': { schema: job } }\n"
                     "kernels:\n"
                     "  p: { op: t.pub, with: { id: 1, rows: 10 }, publish: loop/in }\n"
                     "  e: { op: t.echo, subscribe: loop/#, publish: loop/again, queue: { %s }, with: { hops: 1 } }\n",
                     cases[i].queue);
        assert_int_equal(l != NULL, cases[i].runs);
        if (l) {
            rki_buf b;
            rki_buf_init(&b);
            rki_diags_text(l->d, &b, false);
            rki_putc(&b, 0);
            snprintf(case_failure, sizeof case_failure, "%s", b.p);
            rki_buf_fini(&b);
        }
        if (cases[i].found ? !strstr(case_failure, cases[i].found) : strstr(case_failure, "queue-") != NULL)
            fail_msg("%s: %s", cases[i].queue, case_failure);
        if (l)
            expect_end(l, RKI_EXIT_OK);
    }
}

static void a_full_queue_by_bytes_is_full_too(void **state)
{
    live *l;
    (void)state;
    case_set(case_gate[2], 0);
    l = live_start(NULL, "kernels:\n"
                         "  p: { op: t.pub, with: { id: 1, rows: 500, batch: 10 }, publish: t }\n"
                         "  s: { op: t.slow, subscribe: t, queue: { capacity: 1024, bytes: 64KiB, overflow: "
                         "drop_oldest }, with: { into: 1, gate: 2 } }\n"
                         "  all: { op: t.sink, subscribe: t, with: { into: 2 } }\n");
    live_until(l, case_look(case_results[2].rows) == 500);
    case_set(case_gate[2], UINT64_MAX);
    expect_end(l, RKI_EXIT_OK);
    assert_int_equal(case_results[1].n + case_totals.dropped, 500);
    assert_true(case_totals.dropped > 200);
    assert_int_equal(case_results[1].v[case_results[1].n - 1].n, 499);
}

static void replicas_and_queues_that_drop_go_together(void **state)
{
    static const char *const policies[] = { "drop_oldest", "drop_newest", "spill" };
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        for (int behind = 0; behind < 2; behind++) {
            int code;
            case_forget();
            code = case_run(2,
                            "kernels:\n"
                            "  p: { op: t.pub, with: { id: 1, rows: 3000, keys: [a, b, c, d, e] } }\n"
                            "  x: { op: t.step, from: [p], replicas: 3, partition_by: k, queue: { capacity: 4%s%s } }\n"
                            "  s: { op: t.sink, from: [x], queue: { capacity: 4%s%s }, with: { into: 1 } }\n",
                            behind ? "" : ", overflow: ", behind ? "" : policies[i], behind ? ", overflow: " : "",
                            behind ? policies[i] : "");
            if (code == RKI_EXIT_INVALID)
                continue; // refused
            if (code != RKI_EXIT_OK)
                fail_msg("%s, %d: exit %d: %s", policies[i], behind, code, case_failure);
            assert_int_equal(case_results[1].n + case_totals.dropped, 3000);
        }
    }
}

// ---- circles --------------------------------------------------------------------------------------------------------

// Every row of p goes round `hops` times, and each time past the sink.
static void expect_circle(int sink, int64_t rows, int64_t hops)
{
    bool *seen = calloc((size_t)(rows * (hops + 1)), 1);
    assert_non_null(seen);
    assert_int_equal(case_results[sink].n, rows * (hops + 1));
    for (size_t i = 0; i < case_results[sink].n; i++) {
        const case_row *r = &case_results[sink].v[i];
        int64_t at = r->p / 100 * rows + r->n;
        assert_true(r->p % 100 == 1 && r->n < rows && at < rows * (hops + 1));
        assert_false(seen[at]);
        seen[at] = true;
    }
    free(seen);
}

static void circles_end_and_lose_nothing(void **state)
{
    static const char *const texts[] = {
        // One kernel that hears itself.
        "topics: { 'loop/#': { schema: { p: i64, n: i64, k: string? } } }\n"
        "kernels:\n"
        "  src: { op: t.pub, with: { id: 1, rows: 500, batch: 3 }, publish: loop/in }\n"
        "  e: { op: t.echo, subscribe: loop/#, publish: loop/again, queue: { capacity: 4, overflow: spill }, with: { "
        "hops: 5 } }\n"
        "  s: { op: t.sink, subscribe: loop/#, with: { into: 1 } }\n",
        // Two, and what they have in between.
        "topics: { 'loop/#': { schema: { p: i64, n: i64, k: string? } } }\n"
        "kernels:\n"
        "  src: { op: t.pub, with: { id: 1, rows: 500, batch: 3 }, publish: loop/in }\n"
        "  a: { op: t.pass, subscribe: loop/#, queue: { capacity: 4, overflow: spill } }\n"
        "  e: { op: t.echo, from: [a], with: { hops: 5 } }\n"
        "  b: { op: t.step, from: [e], publish: loop/again }\n"
        "  s: { op: t.sink, subscribe: loop/#, with: { into: 1 } }\n",
        // With stamps.
        "topics: { 'loop/#': { schema: { p: i64, n: i64, k: string? } } }\n"
        "kernels:\n"
        "  src: { op: t.pub, with: { id: 1, rows: 500, batch: 3 }, publish: loop/in }\n"
        "  e: { op: t.echo, subscribe: loop/#, order: hlc, publish: loop/again, queue: { capacity: 4, overflow: spill "
        "}, with: { hops: 5 } }\n"
        "  s: { op: t.sink, subscribe: loop/#, order: hlc, with: { into: 1 } }\n",
        // With a kernel in it that holds rows for a time.
        "topics: { 'loop/#': { schema: { p: i64, n: i64, k: string? } } }\n"
        "kernels:\n"
        "  src: { op: t.pub, with: { id: 1, rows: 50, batch: 3 }, publish: loop/in }\n"
        "  h: { op: t.hold, subscribe: loop/#, queue: { capacity: 4, overflow: spill }, with: { for: 5ms } }\n"
        "  e: { op: t.echo, from: [h], publish: loop/again, with: { hops: 5 } }\n"
        "  s: { op: t.sink, subscribe: loop/#, with: { into: 1 } }\n",
        // Two circles that share a kernel.
        "topics: { 'loop/#': { schema: { p: i64, n: i64, k: string? } }, 'other/#': { schema: { p: i64, n: i64, k: "
        "string? } } }\n"
        "kernels:\n"
        "  src: { op: t.pub, with: { id: 1, rows: 500, batch: 3 }, publish: loop/in }\n"
        "  e: { op: t.echo, subscribe: loop/#, publish: loop/again, queue: { capacity: 4, overflow: spill }, with: { "
        "hops: 5 } }\n"
        "  o: { op: t.echo, subscribe: other/#, publish: other/again, queue: { capacity: 1024, overflow: drop_oldest "
        "}, with: { hops: 1 } }\n"
        "  f: { op: filter, from: [e], with: { where: 'n < 20' }, publish: other/x }\n"
        "  s: { op: t.sink, subscribe: loop/#, with: { into: 1 } }\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        for (unsigned threads = 1; threads <= 3; threads++) {
            int code;
            case_forget();
            code = case_run(threads, "%s", texts[i]);
            if (code != RKI_EXIT_OK)
                fail_msg("circle %zu, %u threads: exit %d: %s", i, threads, code, case_failure);
            expect_circle(1, i == 3 ? 50 : 500, 5);
        }
    }
}

static void what_a_member_of_a_circle_emits_at_its_end_is_told(void **state)
{
    int code = case_run(2, "%s",
                        "topics: { 'loop/#': { schema: { p: i64, n: i64, k: string? } } }\n"
                        "kernels:\n"
                        "  src: { op: t.pub, with: { id: 1, rows: 50, batch: 3 }, publish: loop/in }\n"
                        "  e: { op: t.echo, subscribe: loop/#, publish: mid, queue: { capacity: 4, overflow: spill }, "
                        "with: { hops: 2 } }\n"
                        "  c: { op: t.acc, subscribe: mid, publish: loop/sum, with: { id: 5 } }\n"
                        "  s: { op: t.sink, subscribe: loop/#, with: { into: 1 } }\n");
    (void)state;
    if (code != RKI_EXIT_OK)
        fail_msg("exit %d: %s", code, case_failure);
    assert_int_equal(case_results[1].n, 51); // and the sum, of which nothing comes round any more
}

static void a_job_ends_when_the_last_of_several_publishers_has(void **state)
{
    live *l;
    (void)state;
    case_set(case_gate[2], 0);
    l = live_start(NULL, "kernels:\n"
                         "  p: { op: t.pub, with: { id: 1, rows: 100 }, publish: t/a }\n"
                         "  q: { op: t.pub, with: { id: 2, rows: 100, gate: 2 }, publish: 't/${this.k}' }\n"
                         "  n: { op: t.pub, with: { id: 3, rows: 5 }, publish: u }\n"
                         "  s: { op: t.sink, subscribe: [t/#, u], with: { into: 1 } }\n"
                         "  v: { op: t.sink, subscribe: u, with: { into: 2 } }\n");
    live_until(l, live_state(l, "v") == RKI_TERMINATED && live_state(l, "p") == RKI_TERMINATED);
    assert_int_equal(live_state(l, "s"), RKI_ACTIVE);
    case_set(case_gate[2], 100);
    expect_end(l, RKI_EXIT_OK);
    expect_rows(1, 1, 100);
    expect_rows(1, 2, 100);
    expect_rows(1, 3, 5);
}

// ---- dead letters ---------------------------------------------------------------------------------------------------

static void dead_letters_go_to_everybody_who_subscribes_to_their_topic(void **state)
{
    (void)state;
    expect_run(RKI_EXIT_OK, 2,
               "dead_letter: { topic: bad/rows }\n"
               "kernels:\n"
               "  p: { op: t.pub, with: { id: 1, rows: 1000, batch: 7 } }\n"
               "  x: { op: t.step, from: [p], with: { bad_every: 10 } }\n"
               "  y: { op: t.step, from: [x], with: { bad_every: 7 } }\n"
               "  s: { op: t.sink, from: [y], with: { into: 1 } }\n"
               "  d: { op: t.sink, subscribe: bad/rows, with: { into: 2 } }\n"
               "  e: { op: t.sink, subscribe: bad/#, with: { into: 3 } }\n"
               "  f: { op: t.sink, subscribe: { topic: '#', where: \"kernel == 'y'\" }, with: { into: 4 } }\n");
    assert_int_equal(case_results[2].n, 100 + 128);
    assert_int_equal(case_results[3].n, 100 + 128);
    assert_int_equal(case_results[4].n, 128);
    assert_int_equal(case_results[1].n, 1000 - 228);
}

// ---- taps -----------------------------------------------------------------------------------------------------------

static uint64_t lines(const rki_buf *b)
{
    uint64_t n = 0;
    for (size_t i = 0; i < b->n; i++)
        n += b->p[i] == '\n';
    return n;
}

static void a_tap_sees_every_message_or_says_how_many_it_missed(void **state)
{
    static const struct {
        const char *pattern;
        uint64_t rows;
    } cases[] = {
        { "t/a", 700 },      { "t/*", 1400 },      { "#", 2800 },           { "u", 700 },        { "kernel:p", 1400 },
        { "kernel:q", 700 }, { "kernel:x", 1400 }, { "kernel:r.odd", 350 }, { "kernel:r", 700 }, { "unheard", 700 },
    };
    enum { N = sizeof cases / sizeof *cases };
    rki_tap *t[N];
    rki_buf got[N];
    live *l;
    char err[256];
    (void)state;
    case_set(case_gate[1], 0);
    case_set(case_gate[2], 0);
    l = live_start(
        NULL,
        "kernels:\n"
        "  p: { op: t.pub, with: { id: 1, rows: 1400, batch: 3, gate: 1, keys: [a, b] }, publish: 't/${this.k}' }\n"
        "  x: { op: t.pass, from: [p] }\n"
        "  o: { op: t.sink, from: [x], with: { into: 3 } }\n"
        "  q: { op: t.pub, with: { id: 2, rows: 700, batch: 5, gate: 2 }, publish: u }\n"
        "  r: { op: route, from: [q], with: { ports: { odd: 'n %% 2 == 1', even: 'n %% 2 == 0' } }, publish: { odd: "
        "unheard, even: unheard } }\n"
        "  s: { op: t.sink, subscribe: t/a, with: { into: 1 } }\n"
        "  v: { op: t.sink, subscribe: u, with: { into: 2 } }\n");
    for (size_t i = 0; i < N; i++) {
        rki_buf_init(&got[i]);
        t[i] = rki_tap_open(l->r, rkp_str_of(cases[i].pattern), (rkp_str){ 0 }, RKI_TAP_JSON, err, sizeof err);
        if (!t[i])
            fail_msg("%s: %s", cases[i].pattern, err);
    }
    case_set(case_gate[1], 1400);
    case_set(case_gate[2], 700);
    for (bool over = false; !over;) {
        over = true;
        for (size_t i = 0; i < N; i++)
            over &= rki_tap_read(t[i], 7, case_now_ns(), &got[i]) < 0;
    }
    for (size_t i = 0; i < N; i++) {
        uint64_t n = lines(&got[i]);
        assert_int_equal(rki_tap_rows(t[i]), n);
        if (n + rki_tap_missed(t[i]) != cases[i].rows)
            fail_msg("%s: %llu rows and %llu missed, of %llu", cases[i].pattern, (unsigned long long)n,
                     (unsigned long long)rki_tap_missed(t[i]), (unsigned long long)cases[i].rows);
        rki_tap_close(t[i]);
        rki_buf_fini(&got[i]);
    }
    expect_end(l, RKI_EXIT_OK);
    expect_rows(2, 2, 700);
}

struct tapper {
    pthread_t thread;
    live *l;
    uint64_t seed, stop, opened, rows;
};

static void *tap_at_random(void *arg)
{
    static const char *const what[] = { "t/a",          "#",           "t/*", "kernel:p", "kernel:x", "$lifecycle/#",
                                        "nothing/here", "kernel:none", "a//b" };
    struct tapper *t = arg;
    rki_tap *open[6] = { NULL };
    rki_buf out;
    char err[256];
    rki_buf_init(&out);
    for (uint64_t i = 0; !__atomic_load_n(&t->stop, __ATOMIC_ACQUIRE); i++) {
        uint64_t x = case_hash(t->seed, i, 5);
        rki_tap **one = &open[x % 6];
        if (!*one) {
            *one = rki_tap_open(t->l->r, rkp_str_of(what[(x >> 8) % 9]), (rkp_str){ 0 },
                                (x >> 16) % 2 ? RKI_TAP_CSV : RKI_TAP_JSON, err, sizeof err);
            case_add(t->opened, *one != NULL);
        } else if ((x >> 24) % 4 == 0) {
            rki_tap_close(*one);
            *one = NULL;
        } else {
            rki_buf_clear(&out);
            rki_tap_read(*one, 1 + (x >> 32) % 20, case_now_ns() + 200000, &out);
            t->rows += lines(&out);
        }
    }
    for (int i = 0; i < 6; i++)
        if (open[i])
            rki_tap_close(open[i]);
    rki_buf_fini(&out);
    return NULL;
}

static void taps_come_and_go_while_it_runs(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        struct tapper t[3];
        live *l;
        case_forget();
        l = live_start(
            NULL, "kernels:\n"
                  "  p: { op: t.live, with: { id: 1, batch: 3, keys: [a, b] }, publish: 't/${this.k}' }\n"
                  "  x: { op: t.step, from: [p], queue: { capacity: 8 }, publish: x }\n"
                  "  s: { op: t.sink, subscribe: [t/#], queue: { capacity: 8, overflow: block }, with: { into: 1 } }\n"
                  "  v: { op: t.sink, subscribe: x, queue: { capacity: 8, overflow: block }, with: { into: 2 } }\n"
                  "  n: { op: t.sink, subscribe: $lifecycle/#, with: { into: 3 } }\n");
        for (int i = 0; i < 3; i++) {
            t[i] = (struct tapper){ .l = l, .seed = (uint64_t)(i + 10 * round) };
            assert_int_equal(pthread_create(&t[i].thread, NULL, tap_at_random, &t[i]), 0);
        }
        for (int i = 0; i < 3; i++)
            live_until(l, case_look(t[i].opened) >= 40);
        live_until(l, case_look(case_results[1].rows) > 100);
        if (round == 1) // the taps are there when it ends
            rki_run_drain(l->r);
        if (round == 1)
            live_until(l, __atomic_load_n(&l->over, __ATOMIC_ACQUIRE));
        for (int i = 0; i < 3; i++)
            __atomic_store_n(&t[i].stop, 1, __ATOMIC_RELEASE);
        for (int i = 0; i < 3; i++)
            pthread_join(t[i].thread, NULL);
        rki_run_drain(l->r);
        expect_end(l, RKI_EXIT_OK);
        expect_rows(1, 1, (int64_t)case_emitted[1]);
        expect_rows(2, 1, (int64_t)case_emitted[1]);
    }
}

static void a_tap_of_what_can_never_come_is_refused(void **state)
{
    static const struct {
        const char *pattern, *said;
    } cases[] = {
        { "other/#", "nobody publishes what 'other/#' matches" },
        { "$lifecycle/q", "nobody publishes what '$lifecycle/q' matches; the engine's own are $lifecycle/KERNEL" },
        { "$other/#", "nobody publishes what '$other/#' matches; the engine's own are $lifecycle/KERNEL" },
        { "kernel:z", "no kernel is named 'z'" },
        { "kernel:s", "kernel 's' is a sink and emits nothing" },
        { "kernel:p.bad", "kernel 'p' has no port 'bad'" },
        { "a//b", NULL },
        { "", NULL },
    };
    char err[256];
    live *l = live_start(NULL, "kernels:\n"
                               "  p: { op: t.pub, with: { id: 1 }, publish: t/a }\n"
                               "  s: { op: t.sink, subscribe: t/a }\n");
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        err[0] = 0;
        assert_null(rki_tap_open(l->r, rkp_str_of(cases[i].pattern), (rkp_str){ 0 }, RKI_TAP_JSON, err, sizeof err));
        if (cases[i].said)
            assert_string_equal(err, cases[i].said);
        assert_true(err[0] != 0);
    }
    rki_run_drain(l->r);
    expect_end(l, RKI_EXIT_OK);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, run_forget, run_forget)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(each_subscriber_gets_exactly_what_its_patterns_say),
        CASE(levels_up_to_the_limit_are_topics_and_one_more_is_a_bad_row),
        CASE(a_topic_that_becomes_too_long_is_a_bad_row),
        CASE(more_topics_in_one_batch_than_are_remembered_are_all_routed),
        CASE(meta_is_what_the_message_came_with),
        CASE(a_kernel_behind_publishes_under_its_own_topic),
        CASE(publishers_with_other_columns_are_united),
        CASE(a_topic_with_a_schema_has_its_columns),
        CASE(a_group_of_which_a_member_is_slow_or_gone_still_gets_everything),
        CASE(what_was_dealt_to_a_full_member_is_dealt_again_to_one_with_room),
        CASE(a_member_that_was_terminated_is_dealt_nothing),
        CASE(drop_oldest_keeps_the_newest),
        CASE(drop_newest_keeps_the_oldest),
        CASE(a_full_queue_can_send_to_a_dead_letter_topic),
        CASE(a_full_queue_can_fail_the_run),
        CASE(what_spills_comes_back_in_order),
        CASE(what_has_spilled_is_on_disk_when_the_publisher_waits_and_comes_first_after_a_kill),
        CASE(a_log_with_a_limit_makes_the_publisher_wait_and_says_so_once),
        CASE(a_limit_of_what_may_spill_counts_as_a_queue_that_blocks),
        CASE(a_full_queue_by_bytes_is_full_too),
        CASE(replicas_and_queues_that_drop_go_together),
        CASE(circles_end_and_lose_nothing),
        CASE(what_a_member_of_a_circle_emits_at_its_end_is_told),
        CASE(a_job_ends_when_the_last_of_several_publishers_has),
        CASE(dead_letters_go_to_everybody_who_subscribes_to_their_topic),
        CASE(a_tap_sees_every_message_or_says_how_many_it_missed),
        CASE(taps_come_and_go_while_it_runs),
        CASE(a_tap_of_what_can_never_come_is_refused),
    };
    if (getenv("RKP_ONLY"))
        cmocka_set_test_filter(getenv("RKP_ONLY"));
    return cmocka_run_group_tests_name("topics_run", tests, NULL, NULL);
}
