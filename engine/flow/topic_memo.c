// flow/topic_memo.c - an open table of pointers to topics, each one piece of memory with its text and its values.
//
// The table has at least twice as many slots as topics and doubles.  Nothing is taken out of it one by one: when begin
// lets topics go, the table is filled again from the list of those that stay.
#include "flow/topic_memo.h"

#include "flow/text_hash.h"
#include <stdlib.h>
#include <sys/random.h>

enum { FIRST_SLOTS = 64 };

#define LAST_ID 0x7fffffffu // past it begin starts anew at 1

struct known {
    rki_topic_hit hit;
    struct known *next; // all of them
    uint64_t hash;
    uint64_t asked; // the begin after which it was last asked for
    size_t bytes;
    uint32_t values[]; // and then the text
};

struct slot {
    uint64_t hash;
    struct known *known; // NULL: free
};

struct rki_topic_memo {
    struct slot *slots;
    size_t n_slots; // a power of two
    struct known *all;
    size_t n, bytes;
    size_t most, most_bytes;
    const rki_trie *trie;
    uint64_t generation;
    uint64_t begins;
    uint64_t seed; // texts come from rows, and who writes rows must not choose where they collide
    uint32_t next_id;
    rki_trie_hits hits;
};

rki_topic_memo *rki_topic_memo_new(size_t entries, size_t bytes)
{
    rki_topic_memo *m = calloc(1, sizeof *m);

    if (!m)
        return NULL;
    m->slots = calloc(FIRST_SLOTS, sizeof *m->slots);
    if (!m->slots) {
        free(m);
        return NULL;
    }
    m->n_slots = FIRST_SLOTS;
    m->most = entries;
    m->most_bytes = bytes;
    m->next_id = 1;
    if (getrandom(&m->seed, sizeof m->seed, GRND_NONBLOCK) < 0)
        m->seed = rki_word_hash((uintptr_t)m);
    return m;
}

static void put(struct slot *slots, size_t n_slots, struct known *k)
{
    size_t at = k->hash & (n_slots - 1);

    while (slots[at].known)
        at = (at + 1) & (n_slots - 1);
    slots[at] = (struct slot){ k->hash, k };
}

// One batch with very many topics leaves no large table behind.
static void shrink(rki_topic_memo *m)
{
    size_t n = FIRST_SLOTS;
    struct slot *slots;

    while (n < m->n * 8)
        n *= 2;
    if (n * 4 > m->n_slots || !(slots = calloc(n, sizeof *slots)))
        return;
    free(m->slots);
    m->slots = slots;
    m->n_slots = n;
}

// Keeps what was asked for since the last begin, or nothing.
static void forget(rki_topic_memo *m, bool everything)
{
    struct known **at = &m->all, *k;

    while ((k = *at)) {
        if (!everything && k->asked == m->begins) {
            at = &k->next;
            continue;
        }
        *at = k->next;
        m->n--;
        m->bytes -= k->bytes;
        free(k);
    }
    shrink(m);
    memset(m->slots, 0, m->n_slots * sizeof *m->slots);
    for (k = m->all; k; k = k->next)
        put(m->slots, m->n_slots, k);
}

static bool over(const rki_topic_memo *m)
{
    return m->n > m->most || m->bytes > m->most_bytes;
}

void rki_topic_memo_free(rki_topic_memo *m)
{
    if (!m)
        return;
    forget(m, true);
    rki_trie_hits_fini(&m->hits);
    free(m->slots);
    free(m);
}

void rki_topic_memo_begin(rki_topic_memo *m, const rki_trie *t, uint64_t generation)
{
    if (generation != m->generation || t != m->trie || m->next_id > LAST_ID) {
        forget(m, true);
        m->next_id = 1;
    } else if (over(m)) {
        forget(m, false);
        if (over(m))
            forget(m, true);
    }
    m->trie = t;
    m->generation = generation;
    m->begins++;
}

static bool more_slots(rki_topic_memo *m)
{
    size_t n = m->n_slots * 2;
    struct slot *slots = calloc(n, sizeof *slots);

    if (!slots)
        return false;
    for (struct known *k = m->all; k; k = k->next)
        put(slots, n, k);
    free(m->slots);
    m->slots = slots;
    m->n_slots = n;
    return true;
}

static struct known *learn(rki_topic_memo *m, rkp_str topic, uint64_t hash)
{
    struct known *k;
    size_t bytes;
    char *text;

    if (m->n * 2 >= m->n_slots && !more_slots(m))
        return NULL;
    if (!rki_trie_find(m->trie, topic, &m->hits))
        return NULL;
    bytes = sizeof *k + m->hits.n * sizeof *k->values + topic.n;
    k = malloc(bytes);
    if (!k)
        return NULL;
    text = (char *)(k->values + m->hits.n);
    if (m->hits.n)
        memcpy(k->values, m->hits.v, m->hits.n * sizeof *k->values);
    memcpy(text, topic.p, topic.n);
    k->hit = (rki_topic_hit){ .topic = { text, topic.n }, .values = k->values, .n = m->hits.n, .id = m->next_id++ };
    k->hash = hash;
    k->bytes = bytes + 2 * sizeof *m->slots;
    k->next = m->all;
    m->all = k;
    m->n++;
    m->bytes += k->bytes;
    put(m->slots, m->n_slots, k);
    return k;
}

rki_topic_hit *rki_topic_memo_find(rki_topic_memo *m, rkp_str topic)
{
    uint64_t hash = rki_text_hash(topic.p, topic.n, m->seed);
    struct known *k;

    for (size_t at = hash & (m->n_slots - 1); (k = m->slots[at].known); at = (at + 1) & (m->n_slots - 1))
        if (m->slots[at].hash == hash && rkp_str_eq(k->hit.topic, topic))
            break;
    if (!k)
        k = learn(m, topic, hash);
    if (!k)
        return NULL;
    k->asked = m->begins;
    return &k->hit;
}

size_t rki_topic_memo_count(const rki_topic_memo *m)
{
    return m->n;
}

size_t rki_topic_memo_bytes(const rki_topic_memo *m)
{
    return m->bytes;
}
