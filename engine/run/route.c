// run/route.c - where an emission goes: edges, groups that share, and topics that depend on the row.
#include "run/actor.h"

#include "flow/topic.h"
#include "flow/topic_memo.h"
#include "flow/trie.h"
#include <rkpipe/num.h>
#include <stdlib.h>

// ---- division by a key ----------------------------------------------------------------------------------------------

static uint64_t hash_value(uint64_t h, const void *p, size_t n)
{
    // FNV-1a over the bytes, then a finaliser: only has to spread keys over a few replicas, the same way every time.
    const unsigned char *c = p;
    for (size_t i = 0; i < n; i++)
        h = (h ^ c[i]) * 0x100000001b3ull;
    return h;
}

static uint32_t part_of(const rkp_col *keys, uint32_t row, uint32_t n)
{
    uint64_t h = 0xcbf29ce484222325ull;
    uint32_t p = rkp_col_row(keys, row);
    if (rkp_col_is_null(keys, p))
        return 0; // null keys and keys in error go to the first, which reports them
    if (rkp_kind_is_view(keys->type.kind)) {
        rkp_str s = rkp_view_str(keys, p);
        h = hash_value(h, s.p, s.n);
    } else if (keys->type.kind == RKP_BOOL) {
        unsigned char bit = rkp_bit(keys->values, p);
        h = hash_value(h, &bit, 1);
    } else {
        size_t w = rkp_kind_width(keys->type.kind);
        h = hash_value(h, (const char *)keys->values + w * p, w);
    }
    h ^= h >> 32;
    return (uint32_t)((h * 0x9e3779b97f4a7c15ull >> 33) % n);
}

void rki_divide(rki_runner *r, const rki_outset *o, rkp_batch *b, uint32_t n,
                void (*to)(void *arg, uint32_t i, rkp_batch *part), void *arg)
{
    rkp_actor *a = r->acts[r->n_stages - 1];
    rkp_frame *f = rkp_actor_frame(a);
    rkp_batch *mem = rkp_batch_new(r->run->pool, NULL, 0, 4096), *seen = b;
    uint32_t *which = mem ? rkp_batch_alloc(mem, (size_t)b->rows * 8 + 8) : NULL, *rows;
    rkp_errs errs = { 0 };
    rkp_col keys;
    if (o->unite && !o->unite->same) // the key is an expression over the consumer's columns
        seen = rki_unite_batch(a, o->unite_to, o->unite, rkp_batch_get(b));
    if (!f || !which || !seen ||
        rkp_expr_eval(o->partition, f, mem, seen, NULL, NULL, b->rows, &keys, &errs) != RKP_OK) {
        rki_fail_run(a, RKP_NOMEM, "out of memory while dividing rows");
        goto out;
    }
    rows = which + b->rows;
    for (uint32_t i = 0; i < b->rows; i++)
        which[i] = part_of(&keys, i, n);
    for (uint32_t l = 0; l < n; l++) {
        uint32_t count = 0;
        rkp_batch *part = NULL;
        for (uint32_t i = 0; i < b->rows; i++) {
            rows[count] = i;
            count += which[i] == l;
        }
        if (count && !(part = rkp_batch_pick(b, rows, count))) {
            rki_fail_run(a, RKP_NOMEM, "out of memory while dividing rows");
            break;
        }
        to(arg, l, part);
    }
out:
    rkp_errs_fini(&errs);
    if (seen != b)
        rkp_batch_put(seen);
    rkp_batch_put(mem);
    rkp_batch_put(b);
}

// ---- groups ---------------------------------------------------------------------------------------------------------

struct share {
    rki_runner *r;
    rki_dest *d;
};

static void push_share(void *arg, uint32_t i, rkp_batch *part)
{
    struct share *s = arg;
    if (part)
        rki_out_push(s->r, s->d->sets[i], part);
}

bool rki_takes(const rki_outset *o)
{
    // Acquire, with the release in check_wanted: nothing but the word itself.
    return !__atomic_load_n(&o->links[0]->closed, __ATOMIC_ACQUIRE);
}

static bool has_place(const rki_outset *o)
{
    return o->n_box == 0 && rki_takes(o) && rki_ring_room(o->links[0]->ring, 1) > 0;
}

// Somebody with room, else whose turn it is; those who take nothing any more only when all do.
static rki_outset *member(rki_dest *d)
{
    uint32_t turn = d->n;
    for (uint32_t i = 0; i < d->n; i++) {
        uint32_t at = (d->next + i) % d->n;
        if (has_place(d->sets[at])) {
            d->next = (at + 1) % d->n;
            return d->sets[at];
        }
        if (turn == d->n && rki_takes(d->sets[at]))
            turn = at;
    }
    turn = turn < d->n ? turn : d->next;
    d->next = (turn + 1) % d->n;
    return d->sets[turn];
}

static void send_dest(rki_runner *r, rki_dest *d, rkp_batch *b)
{
    if (RKP_LIKELY(d->n == 1)) {
        rki_out_push(r, d->sets[0], b);
    } else if (d->sets[0]->partition) {
        struct share s = { r, d };
        rki_divide(r, d->sets[0], b, d->n, push_share, &s);
    } else {
        rki_out_push(r, member(d), b);
    }
}

// ---- topics that depend on the row ----------------------------------------------------------------------------------

enum { MEMO_MAX = 65536, MEMO_BYTES = 8 << 20 };

struct rki_route {
    const rki_plan *plan;
    const rki_bound *b;
    const rki_publication *pub;
    const uint32_t *cols; // per part of the template
    rki_dest *dests;
    uint32_t n_dests, cap_dests;
    rki_trie *trie; // of the subscriptions' patterns: which dests
    rki_topic_memo *memo;
    uint32_t *takers; // scratch, n_dests
};

rki_route *rki_route_new(const rki_plan *p, const rki_bound *b, uint32_t pub)
{
    rki_route *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->plan = p;
    t->b = b;
    t->pub = &b->k->pubs[pub];
    t->cols = b->tpl_cols[pub];
    t->memo = rki_topic_memo_new(MEMO_MAX, MEMO_BYTES);
    if (!t->memo) {
        rki_route_free(t);
        return NULL;
    }
    return t;
}

bool rki_route_add(rki_route *t, rki_outset *o)
{
    const rki_bound *to = &t->plan->kernels[t->plan->stages[o->edge->to_stage].kernel];
    rki_dest *d;
    for (uint32_t i = 0; o->edge->group && i < t->n_dests; i++) {
        rki_outset **v;
        d = &t->dests[i];
        if (d->sets[0]->edge->group != o->edge->group)
            continue;
        v = realloc(d->sets, (d->n + 1) * sizeof(rki_outset *));
        if (!v)
            return false;
        v[d->n++] = o;
        d->sets = v;
        return true;
    }
    if (t->n_dests == t->cap_dests) {
        uint32_t cap = t->cap_dests ? t->cap_dests * 2 : 8;
        rki_dest *v = realloc(t->dests, cap * sizeof *v);
        if (!v)
            return false;
        t->dests = v;
        t->cap_dests = cap;
    }
    d = &t->dests[t->n_dests];
    *d = (rki_dest){ .sets = malloc(sizeof(rki_outset *)), .n = 1, .to = to, .in = o->edge->in };
    if (!d->sets)
        return false;
    d->sets[0] = o;
    t->n_dests++;
    return true;
}

bool rki_route_seal(rki_route *t)
{
    size_t n = 0, most = 1;
    rki_trie_entry *v;
    bool ok;
    for (uint32_t i = 0; i < t->n_dests; i++)
        most += t->dests[i].to->k->n_subs;
    v = calloc(most, sizeof *v);
    t->takers = calloc(t->n_dests + 1u, sizeof *t->takers);
    for (uint32_t i = 0; v && i < t->n_dests; i++) {
        const rki_dest *d = &t->dests[i];
        for (uint32_t s = 0; s < d->to->k->n_subs; s++)
            if (rki_input_of_sub(d->in, s))
                v[n++] = (rki_trie_entry){ rkp_word_str(d->to->k->subs[s].topic), i };
    }
    ok = v && t->takers && rki_trie_new(v, n, &t->trie) == RKP_OK;
    free(v);
    return ok;
}

void rki_route_free(rki_route *t)
{
    if (!t)
        return;
    for (uint32_t i = 0; i < t->n_dests; i++)
        free(t->dests[i].sets);
    free(t->dests);
    rki_topic_memo_free(t->memo);
    rki_trie_free(t->trie);
    free(t->takers);
    free(t);
}

// The edges that a topic goes to, into t->takers.  Of the subscriptions of one kernel the first that matches takes it; they
// stand beside each other, in their order.
static uint32_t takers(rki_route *t, const rki_topic_hit *h)
{
    uint32_t n = 0;
    const rki_bound *last = NULL;
    for (uint32_t i = 0; i < h->n; i++) {
        const rki_dest *d = &t->dests[h->values[i]];
        bool shared = d->sets[0]->edge->group != 0;
        if (!shared && d->to == last)
            continue;
        t->takers[n++] = h->values[i];
        last = shared ? NULL : d->to;
    }
    return n;
}

// One distinct topic of the batch at hand.
struct made {
    uint64_t hash;
    uint32_t row;               // first with these values
    const rki_topic_hit *known; // NULL: no legal topic
};

struct work {
    rki_route *t;
    rkp_actor *a;
    rkp_batch *b;  // derived: owns what is below
    rkp_col *cols; // per part: strings
    struct made *v;
    uint32_t n, *table, mask;
    uint32_t *of; // per row
};

static rkp_str part_text(const struct work *w, uint32_t part, uint32_t row, char number[24])
{
    const rki_topic_part *p = &w->t->pub->tpl->parts[part];
    const rkp_meta *m = &w->a->meta;
    if (p->kind == RKI_TOPIC_COLUMN) {
        uint32_t at = rkp_col_row(&w->cols[part], row);
        return rkp_col_is_null(&w->cols[part], at) ? (rkp_str){ "", 0 } : rkp_view_str(&w->cols[part], at);
    }
    switch (p->meta) {
    case RKI_META_KERNEL:
        return m->kernel;
    case RKI_META_TOPIC: {
        rkp_str s = rkp_batch_topic(w->b->parent, row);
        return s.p ? s : (rkp_str){ "", 0 };
    }
    case RKI_META_HLC:
        return (rkp_str){ number, rkp_print_u64(number, m->stamp) };
    default:
        return (rkp_str){ "", 0 };
    }
}

static uint64_t row_hash(const struct work *w, uint32_t row)
{
    uint64_t h = 0xcbf29ce484222325ull;
    char number[24];
    for (uint32_t i = 0; i < w->t->pub->tpl->n_parts; i++) {
        if (w->t->pub->tpl->parts[i].kind == RKI_TOPIC_TEXT)
            continue;
        rkp_str s = part_text(w, i, row, number);
        h = hash_value(h, s.p, s.n) * 0x9e3779b97f4a7c15ull ^ s.n;
    }
    return h;
}

static bool same_values(const struct work *w, uint32_t a, uint32_t b)
{
    char na[24], nb[24];
    for (uint32_t i = 0; i < w->t->pub->tpl->n_parts; i++)
        if (w->t->pub->tpl->parts[i].kind != RKI_TOPIC_TEXT &&
            !rkp_str_eq(part_text(w, i, a, na), part_text(w, i, b, nb)))
            return false;
    return true;
}

// The topic of a row as text, in `to`.
static rki_topic_made fill(const struct work *w, uint32_t row, rki_buf *to)
{
    const rki_topic_template *tpl = w->t->pub->tpl;
    rkp_str values[RKI_TOPIC_VALUES];
    char numbers[8][24];
    uint32_t n = 0, numbered = 0;
    for (uint32_t i = 0; i < tpl->n_parts; i++)
        if (tpl->parts[i].kind != RKI_TOPIC_TEXT) {
            values[n++] = part_text(w, i, row, numbers[numbered & 7]);
            numbered++;
        }
    return rki_topic_fill(tpl, values, to);
}

static bool columns(struct work *w, rkp_errs *errs)
{
    const rki_topic_template *tpl = w->t->pub->tpl;
    w->cols = rkp_batch_alloc(w->b, (tpl->n_parts + 1u) * sizeof *w->cols);
    for (uint32_t i = 0; w->cols && i < tpl->n_parts; i++) {
        rkp_type text = { .kind = RKP_STRING, .nullable = 1 };
        rkp_col flat;
        if (tpl->parts[i].kind != RKI_TOPIC_COLUMN)
            continue;
        if (rkp_col_flat(w->b, w->b->parent, w->t->cols[i], NULL, w->b->rows, &flat, errs) != RKP_OK)
            return false;
        if (rkp_kind_is_view(flat.type.kind))
            w->cols[i] = flat;
        else if (rkp_col_cast(w->b, &flat, w->b->rows, text, &w->cols[i], errs) != RKP_OK)
            return false;
    }
    return w->cols != NULL;
}

static bool classify(struct work *w, rki_buf *text)
{
    uint32_t rows = w->b->rows, cap = 16;
    while (cap < 2 * rows)
        cap *= 2;
    w->mask = cap - 1;
    w->table = rkp_batch_alloc(w->b, cap * sizeof *w->table);
    w->of = rkp_batch_alloc(w->b, (rows + 1u) * sizeof *w->of);
    w->v = rkp_batch_alloc(w->b, (rows + 1u) * sizeof *w->v);
    if (!w->table || !w->of || !w->v)
        return false;
    memset(w->table, 0xff, cap * sizeof *w->table);
    for (uint32_t i = 0; i < rows; i++) {
        uint64_t h = row_hash(w, i);
        uint32_t at = (uint32_t)(h >> 32) & w->mask;
        while (w->table[at] != UINT32_MAX &&
               (w->v[w->table[at]].hash != h || !same_values(w, w->v[w->table[at]].row, i)))
            at = (at + 1) & w->mask;
        if (w->table[at] == UINT32_MAX) {
            struct made *m = &w->v[w->n];
            rki_topic_made how;
            *m = (struct made){ .hash = h, .row = i };
            how = fill(w, i, text);
            if (how == RKI_TOPIC_NO_MEMORY)
                return false;
            if (how == RKI_TOPIC_OK && !(m->known = rki_topic_memo_find(w->t->memo, (rkp_str){ text->p, text->n })))
                return false;
            w->table[at] = w->n++;
        }
        w->of[i] = w->table[at];
    }
    return true;
}

// Rows whose topic would be too long or too deep.
static void refuse(struct work *w)
{
    rkp_errs errs = { 0 };
    uint32_t n = 0;
    for (uint32_t i = 0; i < w->b->rows; i++) {
        if (w->v[w->of[i]].known)
            continue;
        rkp_errs_add(&errs, i, RKP_ROW_SIZE, -1, RKP_STR("topic"));
        n++;
    }
    RKI_ADD(w->a->counts.rows_out, 0 - (uint64_t)n);
    rkp_reject_made(w->a, w->b->parent, &errs);
    rkp_errs_fini(&errs);
}

// Who gets which topics, and which rows a topic has: lists one behind the other, list i from at[i] to at[i + 1].
struct lists {
    uint32_t *at, *v;
};

static bool lists_new(rkp_batch *mem, uint32_t n, uint32_t total, struct lists *l)
{
    l->at = rkp_batch_alloc(mem, (n + 2u) * sizeof *l->at);
    l->v = rkp_batch_alloc(mem, (total + 1u) * sizeof *l->v);
    if (l->at)
        memset(l->at, 0, (n + 2u) * sizeof *l->at);
    return l->at && l->v;
}

// Lengths were counted into at[i + 2]: now at[i + 1] is where list i is filled from.
static void lists_place(struct lists *l, uint32_t n)
{
    for (uint32_t i = 2; i < n + 2u; i++)
        l->at[i] += l->at[i - 1];
}

static bool rows_by_topic(const struct work *w, struct lists *l)
{
    if (!lists_new(w->b, w->n, w->b->rows, l))
        return false;
    for (uint32_t i = 0; i < w->b->rows; i++)
        l->at[w->of[i] + 2]++;
    lists_place(l, w->n);
    for (uint32_t i = 0; i < w->b->rows; i++)
        l->v[l->at[w->of[i] + 1]++] = i;
    return true;
}

static bool topics_by_dest(const struct work *w, struct lists *l)
{
    uint32_t total = 0;
    for (uint32_t m = 0; m < w->n; m++)
        total += w->v[m].known ? takers(w->t, w->v[m].known) : 0;
    if (!lists_new(w->b, w->t->n_dests, total, l))
        return false;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t m = 0; m < w->n; m++) {
            uint32_t n = w->v[m].known ? takers(w->t, w->v[m].known) : 0;
            for (uint32_t i = 0; i < n; i++) {
                if (pass)
                    l->v[l->at[w->t->takers[i] + 1]++] = m;
                else
                    l->at[w->t->takers[i] + 2]++;
            }
        }
        if (!pass)
            lists_place(l, w->t->n_dests);
    }
    return true;
}

static bool name_topics(struct work *w)
{
    rkp_topics *topics = rkp_batch_alloc(w->b, sizeof *topics);
    rkp_str *names = rkp_batch_alloc(w->b, (w->n + 1u) * sizeof *names);
    if (!topics || !names)
        return false;
    for (uint32_t m = 0; m < w->n; m++) {
        const rki_topic_hit *k = w->v[m].known;
        char *text = k ? rkp_batch_alloc(w->b, k->topic.n + 1) : NULL;
        names[m] = (rkp_str){ "", 0 };
        if (!k)
            continue;
        if (!text)
            return false;
        memcpy(text, k->topic.p, k->topic.n);
        names[m] = (rkp_str){ text, k->topic.n };
    }
    *topics = (rkp_topics){ w->n, names };
    w->b->topics = topics;
    w->b->topic_of = w->of;
    return true;
}

static bool give(struct work *w)
{
    uint32_t *rows = rkp_batch_alloc(w->b, (w->b->rows + 1u) * sizeof *rows);
    uint8_t *wants = rkp_batch_alloc(w->b, w->n + 1u);
    struct lists of_dest, of_topic;
    uint64_t unread = 0;
    bool bad = false;
    if (!rows || !wants || !name_topics(w) || !rows_by_topic(w, &of_topic) || !topics_by_dest(w, &of_dest))
        return false;
    memset(wants, 0, w->n);
    if (RKP_UNLIKELY(__atomic_load_n(&w->a->run->n_taps, __ATOMIC_RELAXED)))
        rki_tap_offer(w->a, w->t->pub->port, w->t->pub, NULL, w->b);
    for (uint32_t m = 0; m < w->n; m++) {
        bad |= !w->v[m].known;
        if (w->v[m].known && w->v[m].known->n == 0)
            unread += of_topic.at[m + 1] - of_topic.at[m];
    }
    if (bad)
        refuse(w);
    if (unread)
        rki_drop_unread(w->a, unread);
    for (uint32_t d = 0; d < w->t->n_dests; d++) {
        const uint32_t *topic = of_dest.v + of_dest.at[d], *chosen = rows;
        uint32_t n_topics = of_dest.at[d + 1] - of_dest.at[d], n = 0;
        rkp_batch *part;
        if (!n_topics)
            continue;
        if (n_topics == 1) {
            chosen = of_topic.v + of_topic.at[*topic];
            n = of_topic.at[*topic + 1] - of_topic.at[*topic];
        } else {
            for (uint32_t i = 0; i < n_topics; i++)
                wants[topic[i]] = 1;
            for (uint32_t i = 0; i < w->b->rows; i++) {
                rows[n] = i;
                n += wants[w->of[i]];
            }
            for (uint32_t i = 0; i < n_topics; i++)
                wants[topic[i]] = 0;
        }
        part = n == w->b->rows ? rkp_batch_get(w->b) : rkp_batch_pick(w->b, chosen, n);
        if (!part)
            return false;
        send_dest(w->a->r, &w->t->dests[d], part);
    }
    return true;
}

static void send_route(rkp_actor *a, rki_route *t, rkp_batch *b)
{
    struct work w = { .t = t, .a = a, .b = rkp_batch_derive(b, (size_t)b->rows * 16 + 1024) };
    rkp_errs errs = { 0 };
    rki_buf text;
    rki_buf_init(&text);
    rki_topic_memo_begin(t->memo, t->trie, 1);
    // A value that cannot be read is null in the topic; whoever reads the column reports it.
    if (!w.b || !columns(&w, &errs) || !classify(&w, &text) || !give(&w))
        rki_fail_run(a, RKP_NOMEM, "out of memory while finding topics");
    rki_buf_fini(&text);
    rkp_errs_fini(&errs);
    rkp_batch_put(w.b);
    rkp_batch_put(b);
}

void rki_tap_unheard(rkp_actor *a, uint32_t port, rkp_batch *b)
{
    for (uint32_t u = 0; u < a->n_unheard && b->n_cols; u++) {
        rki_out *o = &a->unheard[u];
        struct work w = { .t = o->route, .a = a };
        rkp_errs errs = { 0 };
        rki_buf text;
        if (o->pub->port != port)
            continue;
        if (!o->route) {
            rki_tap_offer(a, port, o->pub, o->topics, b);
            continue;
        }
        rki_buf_init(&text);
        w.b = rkp_batch_derive(b, (size_t)b->rows * 16 + 1024);
        rki_topic_memo_begin(o->route->memo, o->route->trie, 1);
        // Without memory for it the tap does not see it.
        if (w.b && columns(&w, &errs) && classify(&w, &text) && name_topics(&w))
            rki_tap_offer(a, port, o->pub, NULL, w.b);
        rki_buf_fini(&text);
        rkp_errs_fini(&errs);
        rkp_batch_put(w.b);
    }
}

// ---- sending --------------------------------------------------------------------------------------------------------

// A batch that says it came over this topic.  Takes b.
static rkp_batch *under(rkp_batch *b, const rkp_topics *topics)
{
    rkp_batch *d;
    if (b->topics == topics && !b->topic_of)
        return b;
    if (__atomic_load_n(&b->refs, __ATOMIC_ACQUIRE) == 1) {
        b->topics = topics; // ours alone
        b->topic_of = NULL;
        return b;
    }
    d = rkp_batch_derive(b, 0);
    rkp_batch_put(b);
    if (d) {
        d->topics = topics;
        d->topic_of = NULL;
    }
    return d;
}

void rki_send(rkp_actor *a, rki_out *o, rkp_batch *b)
{
    if (RKP_UNLIKELY(__atomic_load_n(&a->run->n_taps, __ATOMIC_RELAXED)) && o->topics && o->first_of_pub)
        rki_tap_offer(a, o->pub->port, o->pub, o->topics, b);
    if (o->topics && a->r->wiring->gen->plan->reads_topics && !(b = under(b, o->topics))) {
        rki_fail_run(a, RKP_NOMEM, "out of memory");
        return;
    }
    if (o->route)
        send_route(a, o->route, b);
    else
        send_dest(a->r, &o->dest, b);
}

// To the kernel whose request it answers: the id names it.
void rki_send_reply(rkp_actor *a, rkp_batch *b)
{
    uint64_t rows = rki_batch_rows(b);
    uint16_t id = (uint16_t)(a->r->corr >> 48);
    for (uint32_t i = 0; id && a->stage->n_ports && i < a->n_outs[0]; i++) {
        rki_outset *o = a->outs[0][i].dest.sets[0];
        if (rki_to(o->links[0])->id != id)
            continue;
        rki_out_push(a->r, o, b);
        return;
    }
    rki_lose_rows(a, rows, "no request");
    RKI_ADD(a->counts.rows_out, 0 - rows);
    rkp_batch_put(b);
}
