// flow/trie.c - patterns as a tree of levels.
//
//     levels   text -> number, an open table: each text of the patterns once, 1 .. n (0: in no pattern)
//     edges    (node, number of a level) -> node, an open table
//     nodes    node -> the node behind '*', and two lists of values: of the patterns that end here, and of those that
//              end here with '#'
//     lists    all values, those of one list side by side, ascending
//
// A find turns the levels of the topic into numbers once, and walks down along the edges and the '*'s: as many ways at a
// time as there are beginnings of patterns that match.  The lists that it meets on its way are the answer; when there are
// several they are merged.  Building appends to the tables, which double; the lists are laid out at the end.
#include "flow/trie.h"

#include "flow/text_hash.h"
#include "flow/topic.h"
#include <stdlib.h>

enum { MOST_ENTRIES = 1 << 26, FIRST_SLOTS = 64 };

struct level { // id 0: a free slot
    uint32_t hash, id, at, n;
};

struct edge { // key 0: a free slot; no level has the number 0
    uint64_t key;
    uint32_t to, unused;
};

struct node {
    uint32_t star;       // 0: none; the root is nobody's child
    uint32_t end, below; // lists, 0: none
    uint32_t edges;      // has it any?
};

struct list {
    uint32_t at, n;
};

struct rki_trie {
    struct level *levels;
    struct edge *edges;
    struct node *nodes;
    struct list *lists;
    char *text;
    uint32_t *values;
    uint32_t n_levels, level_slots; // slots are powers of two
    uint32_t n_edges, edge_slots;
    uint32_t n_nodes, cap_nodes;
    uint32_t n_lists, cap_lists;
    uint32_t n_text, cap_text;
    uint32_t n_values;
};

// ---- tables that grow

// *p gets room for `need` pieces; *cap doubles.
static bool grow(void **p, uint32_t *cap, size_t need, size_t size)
{
    size_t more = *cap ? *cap : FIRST_SLOTS;
    void *q;

    if (need <= *cap)
        return true;
    while (more < need)
        more *= 2;
    if (more > UINT32_MAX)
        return false;
    q = reallocarray(*p, more, size);
    if (!q)
        return false;
    *p = q;
    *cap = (uint32_t)more;
    return true;
}

static bool add_node(rki_trie *t, uint32_t *id)
{
    void *p = t->nodes;
    bool ok = grow(&p, &t->cap_nodes, (size_t)t->n_nodes + 1, sizeof *t->nodes);

    t->nodes = p;
    if (!ok)
        return false;
    t->nodes[t->n_nodes] = (struct node){ 0 };
    *id = t->n_nodes++;
    return true;
}

static bool add_list(rki_trie *t, uint32_t *id)
{
    void *p = t->lists;
    bool ok = grow(&p, &t->cap_lists, (size_t)t->n_lists + 1, sizeof *t->lists);

    t->lists = p;
    if (!ok)
        return false;
    t->lists[t->n_lists] = (struct list){ 0 };
    *id = t->n_lists++;
    return true;
}

static bool add_text(rki_trie *t, rkp_str s)
{
    void *p = t->text;
    bool ok = grow(&p, &t->cap_text, (size_t)t->n_text + s.n, 1);

    t->text = p;
    if (!ok)
        return false;
    memcpy(t->text + t->n_text, s.p, s.n);
    t->n_text += (uint32_t)s.n;
    return true;
}

static bool more_levels(rki_trie *t)
{
    uint32_t slots = t->level_slots ? t->level_slots * 2 : FIRST_SLOTS;
    struct level *v = calloc(slots, sizeof *v);

    if (!v)
        return false;
    for (uint32_t i = 0; i < t->level_slots; i++) {
        uint32_t at = t->levels[i].hash & (slots - 1);

        if (!t->levels[i].id)
            continue;
        while (v[at].id)
            at = (at + 1) & (slots - 1);
        v[at] = t->levels[i];
    }
    free(t->levels);
    t->levels = v;
    t->level_slots = slots;
    return true;
}

static uint32_t edge_slot(uint64_t key, uint32_t slots)
{
    return (uint32_t)rki_word_hash(key) & (slots - 1);
}

static bool more_edges(rki_trie *t)
{
    uint32_t slots = t->edge_slots ? t->edge_slots * 2 : FIRST_SLOTS;
    struct edge *v = calloc(slots, sizeof *v);

    if (!v)
        return false;
    for (uint32_t i = 0; i < t->edge_slots; i++) {
        uint32_t at = edge_slot(t->edges[i].key, slots);

        if (!t->edges[i].key)
            continue;
        while (v[at].key)
            at = (at + 1) & (slots - 1);
        v[at] = t->edges[i];
    }
    free(t->edges);
    t->edges = v;
    t->edge_slots = slots;
    return true;
}

// ---- looking at tables; both have free slots always

static struct level *level_at(const rki_trie *t, rkp_str s, uint32_t hash)
{
    uint32_t mask = t->level_slots - 1, at = hash & mask;

    while (t->levels[at].id) {
        const struct level *l = &t->levels[at];

        if (l->hash == hash && l->n == s.n && memcmp(t->text + l->at, s.p, s.n) == 0)
            break;
        at = (at + 1) & mask;
    }
    return &t->levels[at];
}

static struct edge *edge_at(const rki_trie *t, uint64_t key)
{
    uint32_t mask = t->edge_slots - 1, at = edge_slot(key, t->edge_slots);

    while (t->edges[at].key && t->edges[at].key != key)
        at = (at + 1) & mask;
    return &t->edges[at];
}

static uint64_t edge_key(uint32_t node, uint32_t level)
{
    return (uint64_t)node << 32 | level;
}

// ---- building

static bool level_number(rki_trie *t, rkp_str s, uint32_t *id)
{
    uint32_t hash = (uint32_t)rki_text_hash(s.p, s.n, 0);
    struct level *l;

    if (t->n_levels * 2 >= t->level_slots && !more_levels(t))
        return false;
    l = level_at(t, s, hash);
    if (!l->id) {
        uint32_t at = t->n_text;

        if (!add_text(t, s))
            return false;
        *l = (struct level){ hash, ++t->n_levels, at, (uint32_t)s.n };
    }
    *id = l->id;
    return true;
}

static bool child(rki_trie *t, uint32_t node, rkp_str level, uint32_t *to)
{
    uint32_t id, made;
    struct edge *e;

    if (level.n == 1 && level.p[0] == '*') {
        if (!t->nodes[node].star) {
            if (!add_node(t, &made))
                return false;
            t->nodes[node].star = made;
        }
        *to = t->nodes[node].star;
        return true;
    }
    if (!level_number(t, level, &id))
        return false;
    if (t->n_edges * 2 >= t->edge_slots && !more_edges(t))
        return false;
    e = edge_at(t, edge_key(node, id));
    if (!e->key) {
        if (!add_node(t, &made))
            return false;
        *e = (struct edge){ .key = edge_key(node, id), .to = made };
        t->nodes[node].edges = 1;
        t->n_edges++;
    }
    *to = e->to;
    return true;
}

// The list that a pattern's value belongs to.
static bool list_of(rki_trie *t, rkp_str pattern, uint32_t *id)
{
    const char *p = pattern.p, *end = p + pattern.n, *slash = p;
    uint32_t node = 0, *list;

    for (; *p != '#'; p = slash + 1) {
        slash = memchr(p, '/', (size_t)(end - p));
        if (!child(t, node, (rkp_str){ p, (size_t)((slash ? slash : end) - p) }, &node))
            return false;
        if (!slash)
            break;
    }
    list = slash ? &t->nodes[node].below : &t->nodes[node].end; // it stopped at '#', or at the end
    if (!*list && !add_list(t, list))
        return false;
    *id = *list;
    return true;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static bool ascending(const uint32_t *v, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++)
        if (v[i] <= v[i - 1])
            return false;
    return true;
}

static uint32_t distinct(uint32_t *v, uint32_t n)
{
    uint32_t k = 0;

    for (uint32_t i = 0; i < n; i++)
        if (i == 0 || v[i] != v[i - 1])
            v[k++] = v[i];
    return k;
}

// of[i] is the list of entry i.
static bool lay_out(rki_trie *t, const rki_trie_entry *entries, const uint32_t *of, uint32_t n)
{
    uint32_t at = 0;

    t->values = malloc((n ? n : 1) * sizeof *t->values);
    if (!t->values)
        return false;
    t->n_values = n;
    for (uint32_t i = 0; i < n; i++)
        t->lists[of[i]].n++;
    for (uint32_t i = 0; i < t->n_lists; i++) {
        t->lists[i].at = at;
        at += t->lists[i].n;
        t->lists[i].n = 0;
    }
    for (uint32_t i = 0; i < n; i++)
        t->values[t->lists[of[i]].at + t->lists[of[i]].n++] = entries[i].value;
    for (uint32_t i = 0; i < t->n_lists; i++) {
        uint32_t *v = t->values + t->lists[i].at;

        if (ascending(v, t->lists[i].n))
            continue;
        qsort(v, t->lists[i].n, sizeof *v, by_value);
        t->lists[i].n = distinct(v, t->lists[i].n);
    }
    return true;
}

static rkp_status build(rki_trie *t, const rki_trie_entry *entries, uint32_t n, uint32_t *of)
{
    uint32_t root, none;

    if (!add_node(t, &root) || !add_list(t, &none) || !more_levels(t) || !more_edges(t))
        return RKP_NOMEM;
    for (uint32_t i = 0; i < n; i++) {
        if (!rki_topic_check(RKI_TOPIC_PATTERN, entries[i].pattern, NULL))
            return RKP_INVALID;
        if (!list_of(t, entries[i].pattern, &of[i]))
            return RKP_NOMEM;
    }
    return lay_out(t, entries, of, n) ? RKP_OK : RKP_NOMEM;
}

rkp_status rki_trie_new(const rki_trie_entry *entries, size_t n, rki_trie **out)
{
    rki_trie *t = NULL;
    uint32_t *of = NULL;
    rkp_status st = RKP_NOMEM;

    if (n > MOST_ENTRIES)
        return RKP_NOMEM;
    t = calloc(1, sizeof *t);
    of = malloc((n ? n : 1) * sizeof *of);
    if (t && of)
        st = build(t, entries, (uint32_t)n, of);
    free(of);
    if (st == RKP_OK)
        *out = t;
    else
        rki_trie_free(t);
    return st;
}

void rki_trie_free(rki_trie *t)
{
    if (!t)
        return;
    free(t->levels);
    free(t->edges);
    free(t->nodes);
    free(t->lists);
    free(t->text);
    free(t->values);
    free(t);
}

size_t rki_trie_bytes(const rki_trie *t)
{
    return sizeof *t + t->level_slots * sizeof *t->levels + t->edge_slots * sizeof *t->edges +
           t->cap_nodes * sizeof *t->nodes + t->cap_lists * sizeof *t->lists + t->cap_text +
           t->n_values * sizeof *t->values;
}

// ---- finding

struct find {
    const rki_trie *t;
    rki_trie_hits *hits;
    uint32_t ids[RKI_TOPIC_LEVELS];
    uint32_t n;
    bool in_order, failed;
};

static bool hits_room(rki_trie_hits *h, size_t more)
{
    void *p = h->v;
    bool ok = grow(&p, &h->cap, h->n + more, sizeof *h->v);

    h->v = p;
    return ok;
}

static void add_hits(struct find *f, uint32_t list)
{
    const struct list *l = &f->t->lists[list];
    rki_trie_hits *h = f->hits;

    if (!list || f->failed)
        return;
    if (!hits_room(h, l->n)) {
        f->failed = true;
        return;
    }
    f->in_order &= h->n == 0 || f->t->values[l->at] > h->v[h->n - 1];
    memcpy(h->v + h->n, f->t->values + l->at, l->n * sizeof *h->v);
    h->n += l->n;
}

// The topic's first i levels led to the node.
static void walk(struct find *f, uint32_t node, uint32_t i)
{
    for (;;) {
        const struct node *at = &f->t->nodes[node];
        uint32_t next = 0;

        f->hits->looked++;
        add_hits(f, at->below);
        if (i == f->n) {
            add_hits(f, at->end);
            return;
        }
        if (at->edges && f->ids[i])
            next = edge_at(f->t, edge_key(node, f->ids[i]))->to;
        if (next && at->star)
            walk(f, at->star, i + 1); // as deep as a topic has levels
        else if (!next)
            next = at->star;
        if (!next)
            return;
        node = next;
        i++;
    }
}

// The lists lie one behind the other, each of them ascending: merges neighbours until one is left.
static bool merge_hits(rki_trie_hits *h)
{
    uint32_t *from, *to, *swap, n = h->n;
    bool one = false;

    if (!hits_room(h, n))
        return false;
    from = h->v;
    to = h->v + n;
    while (!one) {
        uint32_t k = 0, a = 0;

        one = true;
        while (a < n) {
            uint32_t b = a + 1, end, i = a, j, begin = k;

            while (b < n && from[b] > from[b - 1])
                b++;
            end = b + (b < n);
            while (end < n && from[end] > from[end - 1])
                end++;
            one &= a == 0 && end == n;
            for (j = b; i < b || j < end;) {
                uint32_t v = j == end || (i < b && from[i] <= from[j]) ? from[i++] : from[j++];

                if (k == begin || to[k - 1] != v)
                    to[k++] = v;
            }
            a = end;
        }
        n = k;
        swap = from;
        from = to;
        to = swap;
    }
    if (from != h->v)
        memcpy(h->v, from, n * sizeof *from);
    h->n = n;
    return true;
}

bool rki_trie_find(const rki_trie *t, rkp_str topic, rki_trie_hits *out)
{
    struct find f = { .t = t, .hits = out, .in_order = true };
    size_t at = 0;

    out->n = out->looked = 0;
    if (topic.n == 0)
        return true;
    for (;;) {
        const char *slash = memchr(topic.p + at, '/', topic.n - at);
        size_t end = slash ? (size_t)(slash - topic.p) : topic.n;
        rkp_str level = { topic.p + at, end - at };

        if (f.n == RKI_TOPIC_LEVELS)
            return true; // not a topic
        f.ids[f.n++] = level_at(t, level, (uint32_t)rki_text_hash(level.p, level.n, 0))->id;
        if (!slash)
            break;
        at = end + 1;
    }
    if (topic.p[0] == '$') { // neither '*' nor '#'
        uint32_t next = f.ids[0] ? edge_at(t, edge_key(0, f.ids[0]))->to : 0;

        out->looked++;
        if (next)
            walk(&f, next, 1);
    } else {
        walk(&f, 0, 0);
    }
    if (!f.failed && !f.in_order)
        f.failed = !merge_hits(out);
    if (f.failed)
        out->n = 0;
    return !f.failed;
}

void rki_trie_hits_fini(rki_trie_hits *h)
{
    free(h->v);
    *h = (rki_trie_hits){ 0 };
}
