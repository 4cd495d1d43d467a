// aggs.c - see aggs.h.  First the states (one struct, one update loop and what belongs to it), then the functions over
// them, then parsing.
#include "aggs.h"

#include <math.h>
#include <stdlib.h>

#include <rkpipe/num.h>

typedef __int128 i128;

// What a state wants of its argument.
enum want { WANT_NOTHING, WANT_NULLS, WANT_I64, WANT_U64, WANT_F64, WANT_TEXT, WANT_COLUMN };

struct input {
    const void *v;        // int64_t, uint64_t or double from the first row on
    const uint8_t *valid; // bits from the first row on; NULL: no nulls
    const rkp_col *col;
    uint32_t from;
};

struct rks_state_kind {
    uint32_t size;
    int want;
    void (*fresh)(char *st); // NULL: zeros
    rkp_status (*fold)(rks_fold *f, const rks_state *s, const struct input *in, uint32_t n, char *const *recs);
    // NULL: the state is its `size` bytes
    void (*save)(rks_fold *f, const rks_state *s, const char *st, rks_spill *to);
    rkp_status (*load)(rks_fold *f, const rks_state *s, char *rec, rks_spill *from);
    rkp_status (*free)(rks_fold *f, const rks_state *s, char *st);
    void (*checkpoint)(rks_fold *f, const rks_state *s, const char *st, rkp_save *to);
    rkp_status (*restore)(rks_fold *f, const rks_state *s, char *rec, rkp_load *from);
};

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "states are saved as they are in memory");

#define EACH(i)                                                                                                        \
    for (uint32_t i = 0; i < n; i++)                                                                                   \
        if (!in->valid || rkp_bit(in->valid, i))

#define AT(T, i) ((T *)(void *)(recs[i] + s->at))

enum { SCRATCH_WORDS = 4 * RKS_FOLD_ROWS };
_Static_assert((int)SCRATCH_WORDS >= (int)RKS_SCRATCH, "quantiles use it too");

// Scratch of a fold; which part is used depends on the state at hand.
struct scratch {
    double values[RKS_FOLD_ROWS];
    uint64_t words[SCRATCH_WORDS], hash[RKS_FOLD_ROWS];
    char *recs[RKS_FOLD_ROWS];
    uint32_t made[RKS_FOLD_ROWS];
    int32_t ints[RKS_FOLD_ROWS];
};

// ---- counts and sums ------------------------------------------------------------------------------------------------

static rkp_status count_fold(rks_fold *f, const rks_state *s, const struct input *in, uint32_t n, char *const *recs)
{
    (void)f;
    if (!in->valid)
        for (uint32_t i = 0; i < n; i++)
            ++*AT(uint64_t, i);
    else
        EACH(i)
        {
            ++*AT(uint64_t, i);
        }
    return RKP_OK;
}

struct sum_f64 {
    double sum, lost; // what rounding took away (Neumaier)
    uint64_t n;
};

static inline void sum_f64_add(struct sum_f64 *t, double v)
{
    double sum = t->sum + v;

    t->lost += fabs(t->sum) >= fabs(v) ? (t->sum - sum) + v : (v - sum) + t->sum;
    t->sum = sum;
    t->n++;
}

static rkp_status sum_f64_fold(rks_fold *f, const rks_state *s, const struct input *in, uint32_t n, char *const *recs)
{
    const double *v = in->v;

    (void)f;
    if (!in->valid)
        for (uint32_t i = 0; i < n; i++)
            sum_f64_add(AT(struct sum_f64, i), v[i]);
    else
        EACH(i)
        {
            sum_f64_add(AT(struct sum_f64, i), v[i]);
        }
    return RKP_OK;
}

static double sum_f64_value(const struct sum_f64 *t)
{
    return isfinite(t->sum) ? t->sum + t->lost : t->sum;
}

struct sum_int {
    uint64_t lo; // of 128 bits
    int64_t hi;
    uint64_t n;
};

static rkp_status sum_i64_fold(rks_fold *f, const rks_state *s, const struct input *in, uint32_t n, char *const *recs)
{
    const int64_t *v = in->v;

    (void)f;
    EACH(i)
    {
        struct sum_int *t = AT(struct sum_int, i);

        t->hi += (v[i] >> 63) + __builtin_add_overflow(t->lo, (uint64_t)v[i], &t->lo);
        t->n++;
    }
    return RKP_OK;
}

static rkp_status sum_u64_fold(rks_fold *f, const rks_state *s, const struct input *in, uint32_t n, char *const *recs)
{
    const uint64_t *v = in->v;

    (void)f;
    EACH(i)
    {
        struct sum_int *t = AT(struct sum_int, i);

        t->hi += __builtin_add_overflow(t->lo, v[i], &t->lo);
        t->n++;
    }
    return RKP_OK;
}

static rkp_status sum_int_restore(rks_fold *f, const rks_state *s, char *rec, rkp_load *from)
{
    struct sum_int *t = (void *)(rec + s->at);

    (void)f;
    rkp_load_bytes(from, t, sizeof *t);
    if (t->n > INT64_MAX || t->hi > (int64_t)t->n || t->hi < -(int64_t)t->n)
        return rkp_load_refuse(from, "a sum is larger than its values can make it");
    return rkp_load_status(from);
}

static i128 sum_int_value(const struct sum_int *t)
{
    return (i128)((unsigned __int128)(uint64_t)t->hi << 64 | t->lo);
}

struct spread { // Welford
    uint64_t n;
    double mean, m2;
};

static rkp_status spread_fold(rks_fold *f, const rks_state *s, const struct input *in, uint32_t n, char *const *recs)
{
    const double *v = in->v;

    (void)f;
    EACH(i)
    {
        struct spread *t = AT(struct spread, i);
        double d = v[i] - t->mean;

        t->n++;
        t->mean += d / (double)t->n;
        t->m2 += d * (v[i] - t->mean);
    }
    return RKP_OK;
}

// ---- one value of the group -----------------------------------------------------------------------------------------

struct one {
    union {
        int64_t i;
        uint64_t u;
        double f;
    } v;
    uint64_t n; // 0: none yet
};

#define ONE_FOLD(NAME, T, MEMBER, BETTER)                                                                              \
    static rkp_status NAME(rks_fold *f, const rks_state *s, const struct input *in, uint32_t n, char *const *recs)     \
    {                                                                                                                  \
        const T *v = in->v;                                                                                            \
                                                                                                                       \
        (void)f;                                                                                                       \
        EACH(i)                                                                                                        \
        {                                                                                                              \
            struct one *t = AT(struct one, i);                                                                         \
            T is = t->v.MEMBER, x = v[i];                                                                              \
                                                                                                                       \
            (void)is;                                                                                                  \
            if (!t->n || (BETTER)) {                                                                                   \
                t->v.MEMBER = x;                                                                                       \
                t->n = 1;                                                                                              \
            }                                                                                                          \
        }                                                                                                              \
        return RKP_OK;                                                                                                 \
    }

ONE_FOLD(min_i64_fold, int64_t, i, x < is)
ONE_FOLD(max_i64_fold, int64_t, i, x > is)
ONE_FOLD(min_u64_fold, uint64_t, u, x < is)
ONE_FOLD(max_u64_fold, uint64_t, u, x > is)
ONE_FOLD(min_f64_fold, double, f, x < is || is != is) // NaN is above every number
ONE_FOLD(max_f64_fold, double, f, x > is || x != x)
ONE_FOLD(first_fold, uint64_t, u, false)
ONE_FOLD(last_fold, uint64_t, u, true)

struct text {
    char *p; // NULL: none yet
    uint32_t n, cap;
};

static rkp_status text_set(rks_fold *f, struct text *t, rkp_str v)
{
    if (!t->p || v.n > t->cap) {
        char *p = rks_alloc(f->slab, v.n ? v.n : 1);

        if (!p)
            return RKP_NOMEM;
        rks_free(f->slab, t->p, t->cap);
        t->p = p;
        t->cap = v.n > RKS_SLAB_BIG ? (uint32_t)v.n : (uint32_t)rks_alloc_size(v.n ? v.n : 1);
    }
    memcpy(t->p, v.p, v.n);
    t->n = (uint32_t)v.n;
    return RKP_OK;
}

static int text_compare(const struct text *t, rkp_str v)
{
    size_t n = t->n < v.n ? t->n : v.n;
    int c = n ? memcmp(t->p, v.p, n) : 0;

    return c ? c : t->n < v.n ? -1 : t->n > v.n;
}

enum pick { PICK_MIN, PICK_MAX, PICK_FIRST, PICK_LAST };

static inline rkp_status text_fold(rks_fold *f, const rks_state *s, const struct input *in, uint32_t n,
                                   char *const *recs, enum pick pick)
{
    EACH(i)
    {
        struct text *t = AT(struct text, i);
        rkp_str v = rkp_view_str(in->col, in->from + i);

        if (t->p && (pick == PICK_FIRST || (pick == PICK_MIN && text_compare(t, v) <= 0) ||
                     (pick == PICK_MAX && text_compare(t, v) >= 0)))
            continue;
        if (text_set(f, t, v) != RKP_OK)
            return RKP_NOMEM;
    }
    return RKP_OK;
}

#define TEXT_FOLD(NAME, PICK)                                                                                          \
    static rkp_status NAME(rks_fold *f, const rks_state *s, const struct input *in, uint32_t n, char *const *recs)     \
    {                                                                                                                  \
        return text_fold(f, s, in, n, recs, PICK);                                                                     \
    }

TEXT_FOLD(min_text_fold, PICK_MIN)
TEXT_FOLD(max_text_fold, PICK_MAX)
TEXT_FOLD(first_text_fold, PICK_FIRST)
TEXT_FOLD(last_text_fold, PICK_LAST)

static void text_save(rks_fold *f, const rks_state *s, const char *st, rks_spill *to)
{
    const struct text *t = (const void *)st;
    char has = t->p != NULL;

    (void)f, (void)s;
    rks_spill_put(to, &has, 1);
    rks_spill_put(to, &t->n, sizeof t->n);
    rks_spill_put(to, t->p, t->n);
}

static rkp_status text_load(rks_fold *f, const rks_state *s, char *rec, rks_spill *from)
{
    struct text *t = (void *)(rec + s->at);
    char has;
    uint32_t n;

    *t = (struct text){ 0 };
    if (!rks_spill_get(from, &has, 1) || !rks_spill_get(from, &n, sizeof n))
        return from->st;
    if (!has)
        return RKP_OK;
    t->p = rks_alloc(f->slab, n ? n : 1);
    if (!t->p)
        return RKP_NOMEM;
    t->n = t->cap = n ? n : 1;
    t->n = n;
    return rks_spill_get(from, t->p, n) ? RKP_OK : from->st;
}

static void text_checkpoint(rks_fold *f, const rks_state *s, const char *st, rkp_save *to)
{
    const struct text *t = (const void *)st;

    (void)f, (void)s;
    rkp_save_str(to, (rkp_str){ t->p, t->n });
}

static rkp_status text_restore(rks_fold *f, const rks_state *s, char *rec, rkp_load *from)
{
    rkp_str v = rkp_load_str(from);

    if (v.p && v.n > INT32_MAX)
        return rkp_load_refuse(from, "a text is too long");
    if (v.p && text_set(f, (void *)(rec + s->at), v) != RKP_OK)
        return RKP_NOMEM;
    return rkp_load_status(from);
}

static rkp_status text_free(rks_fold *f, const rks_state *s, char *st)
{
    struct text *t = (void *)st;

    (void)s;
    rks_free(f->slab, t->p, t->cap);
    return RKP_OK;
}

// ---- all values, and digests ----------------------------------------------------------------------------------------

// The end of a group's list is far from its record, so it is asked for some rows before it is written.
static inline void values_ahead(const rks_state *s, uint32_t i, uint32_t n, char *const *recs)
{
    enum { AHEAD = 8 };

    __builtin_prefetch(AT(rks_values, i + AHEAD < n ? i + AHEAD : i)->at, 1);
}

static rkp_status values_fold(rks_fold *f, const rks_state *s, const struct input *in, uint32_t n, char *const *recs)
{
    uint8_t *format = &f->formats[s - f->aggs->states];
    int32_t *ints = ((struct scratch *)f->scratch)->ints;
    const double *v = in->v;

    *format = rks_values_format(*format, v, in->valid, n, ints);
    if (*format) {
        EACH(i)
        {
            values_ahead(s, i, n, recs);
            if (!rks_values_put(&f->quantiles, AT(rks_values, i), *format, &ints[i], sizeof ints[i]))
                return RKP_NOMEM;
        }
    } else {
        EACH(i)
        {
            values_ahead(s, i, n, recs);
            if (!rks_values_put(&f->quantiles, AT(rks_values, i), 0, &v[i], sizeof v[i]))
                return RKP_NOMEM;
        }
    }
    return RKP_OK;
}

static void values_ask(const rks_state *s, char *const *recs, uint32_t n)
{
    const rks_values *t[RKS_VALUES_TOGETHER];
    uint32_t m = n < RKS_VALUES_TOGETHER ? n : RKS_VALUES_TOGETHER;

    for (uint32_t i = 0; i < m; i++)
        t[i] = AT(rks_values, i);
    rks_values_ask(t, m);
}

static void values_save(rks_fold *f, const rks_state *s, const char *st, rks_spill *to)
{
    (void)f, (void)s;
    rks_values_save((const void *)st, to);
}

static rkp_status values_load(rks_fold *f, const rks_state *s, char *rec, rks_spill *from)
{
    return rks_values_load(&f->quantiles, (void *)(rec + s->at), from);
}

static void values_checkpoint(rks_fold *f, const rks_state *s, const char *st, rkp_save *to)
{
    (void)f, (void)s;
    rks_values_checkpoint((const void *)st, to);
}

static rkp_status values_restore(rks_fold *f, const rks_state *s, char *rec, rkp_load *from)
{
    return rks_values_restore(&f->quantiles, (void *)(rec + s->at), from);
}

static rkp_status values_free(rks_fold *f, const rks_state *s, char *st)
{
    (void)s;
    rks_values_free(&f->quantiles, (void *)st);
    return RKP_OK;
}

static rkp_status digest_fold(rks_fold *f, const rks_state *s, const struct input *in, uint32_t n, char *const *recs)
{
    const double *v = in->v;

    EACH(i)
    {
        if (rks_digest_add(&f->quantiles, AT(rks_digest *, i), v[i]) != RKP_OK)
            return RKP_NOMEM;
    }
    return RKP_OK;
}

static void digest_save(rks_fold *f, const rks_state *s, const char *st, rks_spill *to)
{
    (void)f, (void)s;
    rks_digest_save(*(rks_digest *const *)(const void *)st, to);
}

static rkp_status digest_load(rks_fold *f, const rks_state *s, char *rec, rks_spill *from)
{
    return rks_digest_load(&f->quantiles, (void *)(rec + s->at), from);
}

static void digest_checkpoint(rks_fold *f, const rks_state *s, const char *st, rkp_save *to)
{
    (void)f, (void)s;
    rks_digest_checkpoint(*(rks_digest *const *)(const void *)st, to);
}

static rkp_status digest_restore(rks_fold *f, const rks_state *s, char *rec, rkp_load *from)
{
    return rks_digest_restore(&f->quantiles, (void *)(rec + s->at), from);
}

static rkp_status digest_free(rks_fold *f, const rks_state *s, char *st)
{
    (void)s;
    rks_digest_free(&f->quantiles, *(rks_digest **)(void *)st);
    return RKP_OK;
}

// ---- a set of values ------------------------------------------------------------------------------------------------
//
// One table for all groups, by (address of the group's record, value); a group's entries hang together by their ids.

struct set {
    uint32_t head; // id, UINT32_MAX: empty
    uint32_t size; // entries, with the one that a null makes
    uint64_t n;    // values
};

struct member {
    uint32_t next, id;
};

static void set_fresh(char *st)
{
    ((struct set *)(void *)st)->head = UINT32_MAX;
}

static void set_link(struct set *t, char *rec, const rks_table *tab)
{
    struct member *m = (void *)(rec + tab->user_at);

    m->next = t->head;
    t->head = m->id;
    t->size++;
}

static rkp_status set_fold(rks_fold *f, const rks_state *s, const struct input *in, uint32_t n, char *const *recs)
{
    struct scratch *x = f->scratch;
    rks_table *tab = &f->tables[s->table];
    const rks_keys *k = tab->keys;
    uint32_t made;
    bool longs;

    longs = rks_keys_words(k, in->col, in->from, n, x->words);
    for (uint32_t i = 0; i < n; i++)
        x->words[(size_t)i * k->n_words] = (uint64_t)(uintptr_t)recs[i];
    rks_keys_hash(k, x->words, n, x->hash);
    if (rks_table_map(tab, longs ? in->col : NULL, in->from, n, x->words, x->hash, x->recs, x->made, &made) != RKP_OK)
        return RKP_NOMEM;
    for (uint32_t j = 0; j < made; j++) {
        uint32_t i = x->made[j];
        struct set *t = AT(struct set, i);

        set_link(t, x->recs[i], tab);
        t->n += !in->valid || rkp_bit(in->valid, i);
    }
    return RKP_OK;
}

static void set_save(rks_fold *f, const rks_state *s, const char *st, rks_spill *to)
{
    const struct set *t = (const void *)st;
    const rks_table *tab = &f->tables[s->table];
    const rks_keys *k = tab->keys;
    uint32_t id = t->head;

    rks_spill_put(to, t, sizeof *t);
    for (uint32_t i = 0; i < t->size; i++) {
        const char *rec = rks_table_rec(tab, id);

        rks_spill_put(to, rec + 8, (k->n_words - 1) * 8);
        if (k->n_texts) {
            rkp_str v = rks_text_of(&k->cols[0], rec, tab->texts_at);

            if (v.n > RKS_INLINE)
                rks_spill_put(to, v.p, v.n);
        }
        id = ((const struct member *)(const void *)(rec + tab->user_at))->next;
    }
}

static rkp_status set_load(rks_fold *f, const rks_state *s, char *rec, rks_spill *from)
{
    struct set *t = (void *)(rec + s->at), saved;
    rks_table *tab = &f->tables[s->table];
    const rks_keys *k = tab->keys;
    uint64_t words[4] = { (uint64_t)(uintptr_t)rec };

    set_fresh((char *)t);
    t->n = t->size = 0;
    if (!rks_spill_get(from, &saved, sizeof saved))
        return from->st;
    for (uint32_t i = 0; i < saved.size; i++) {
        rkp_str text = { 0 };
        char *long_text = NULL, *entry;
        int32_t len;
        bool made;

        if (!rks_spill_get(from, words + 1, (k->n_words - 1) * 8))
            return from->st;
        memcpy(&len, words + 1, sizeof len);
        if (k->n_texts && len > RKS_INLINE) {
            long_text = malloc((size_t)len);
            if (!long_text)
                return RKP_NOMEM;
            if (!rks_spill_get(from, long_text, (size_t)len)) {
                free(long_text);
                return from->st;
            }
            text = (rkp_str){ long_text, (size_t)len };
        }
        entry = rks_table_put(tab, words, &text, &made);
        free(long_text);
        if (!entry)
            return RKP_NOMEM;
        if (made)
            set_link(t, entry, tab);
    }
    t->n = saved.n;
    return RKP_OK;
}

static void set_checkpoint(rks_fold *f, const rks_state *s, const char *st, rkp_save *to)
{
    const struct set *t = (const void *)st;
    const rks_table *tab = &f->tables[s->table];
    uint32_t id = t->head;

    rkp_save_u64(to, t->size);
    rkp_save_u64(to, t->n);
    for (uint32_t i = 0; i < t->size; i++) {
        const char *rec = rks_table_rec(tab, id);

        rks_keys_save(tab->keys, rec, tab->texts_at, to);
        id = ((const struct member *)(const void *)(rec + tab->user_at))->next;
    }
}

static rkp_status set_restore(rks_fold *f, const rks_state *s, char *rec, rkp_load *from)
{
    struct set *t = (void *)(rec + s->at);
    rks_table *tab = &f->tables[s->table];
    uint64_t words[4] = { (uint64_t)(uintptr_t)rec }, size = rkp_load_count(from, 1), n = rkp_load_u64(from);

    if (n > size || size - n > 1) // a null is an entry too
        return rkp_load_refuse(from, "a set contradicts itself");
    for (uint64_t i = 0; i < size; i++) {
        rkp_str text = { 0 };
        char *entry;
        bool made;

        if (!rks_keys_load(tab->keys, from, words, &text))
            return rkp_load_status(from);
        entry = rks_table_put(tab, words, &text, &made);
        if (!entry)
            return RKP_NOMEM;
        if (!made)
            return rkp_load_refuse(from, "a value is in a set twice");
        set_link(t, entry, tab);
    }
    t->n = n;
    return rkp_load_status(from);
}

static rkp_status set_free(rks_fold *f, const rks_state *s, char *st)
{
    struct set *t = (void *)st;
    rks_table *tab = &f->tables[s->table];

    for (uint32_t i = 0, id = t->head; i < t->size; i++) {
        uint32_t next = ((struct member *)(void *)(rks_table_rec(tab, id) + tab->user_at))->next;

        if (rks_table_free(tab, id) != RKP_OK)
            return RKP_NOMEM;
        id = next;
    }
    return RKP_OK;
}

// ---- the kinds of states --------------------------------------------------------------------------------------------

#define PLAIN(T, W, FOLD)                                                                                              \
    {                                                                                                                  \
        .size = sizeof(T), .want = W, .fold = FOLD                                                                     \
    }
#define TEXTS(FOLD)                                                                                                    \
    {                                                                                                                  \
        .size = sizeof(struct text), .want = WANT_TEXT, .fold = FOLD, .save = text_save, .load = text_load,            \
        .free = text_free, .checkpoint = text_checkpoint, .restore = text_restore                                      \
    }

static const struct rks_state_kind rows_kind = PLAIN(uint64_t, WANT_NOTHING, count_fold);
static const struct rks_state_kind count_kind = PLAIN(uint64_t, WANT_NULLS, count_fold);
static const struct rks_state_kind sum_f64_kind = PLAIN(struct sum_f64, WANT_F64, sum_f64_fold);
static const struct rks_state_kind sum_i64_kind = {
    .size = sizeof(struct sum_int), .want = WANT_I64, .fold = sum_i64_fold, .restore = sum_int_restore
};
static const struct rks_state_kind sum_u64_kind = {
    .size = sizeof(struct sum_int), .want = WANT_U64, .fold = sum_u64_fold, .restore = sum_int_restore
};
static const struct rks_state_kind spread_kind = PLAIN(struct spread, WANT_F64, spread_fold);
static const struct rks_state_kind values_kind = { .size = sizeof(rks_values),
                                                   .want = WANT_F64,
                                                   .fold = values_fold,
                                                   .save = values_save,
                                                   .load = values_load,
                                                   .free = values_free,
                                                   .checkpoint = values_checkpoint,
                                                   .restore = values_restore };
static const struct rks_state_kind digest_kind = { .size = sizeof(rks_digest *),
                                                   .want = WANT_F64,
                                                   .fold = digest_fold,
                                                   .save = digest_save,
                                                   .load = digest_load,
                                                   .free = digest_free,
                                                   .checkpoint = digest_checkpoint,
                                                   .restore = digest_restore };
static const struct rks_state_kind set_kind = { .size = sizeof(struct set),
                                                .want = WANT_COLUMN,
                                                .fresh = set_fresh,
                                                .fold = set_fold,
                                                .save = set_save,
                                                .load = set_load,
                                                .free = set_free,
                                                .checkpoint = set_checkpoint,
                                                .restore = set_restore };

// min, max, first, last by the class of the argument's type.
enum { CLASS_I64, CLASS_U64, CLASS_F64, CLASS_TEXT, CLASSES };

static const struct rks_state_kind one_kinds[][CLASSES] = {
    [PICK_MIN] = { PLAIN(struct one, WANT_I64, min_i64_fold), PLAIN(struct one, WANT_U64, min_u64_fold),
                   PLAIN(struct one, WANT_F64, min_f64_fold), TEXTS(min_text_fold) },
    [PICK_MAX] = { PLAIN(struct one, WANT_I64, max_i64_fold), PLAIN(struct one, WANT_U64, max_u64_fold),
                   PLAIN(struct one, WANT_F64, max_f64_fold), TEXTS(max_text_fold) },
    [PICK_FIRST] = { PLAIN(struct one, WANT_I64, first_fold), PLAIN(struct one, WANT_U64, first_fold),
                     PLAIN(struct one, WANT_F64, first_fold), TEXTS(first_text_fold) },
    [PICK_LAST] = { PLAIN(struct one, WANT_I64, last_fold), PLAIN(struct one, WANT_U64, last_fold),
                    PLAIN(struct one, WANT_F64, last_fold), TEXTS(last_text_fold) },
};

static int class_of(rkp_type t)
{
    if (rkp_kind_is_view(t.kind))
        return CLASS_TEXT;
    if (rkp_kind_is_float(t.kind))
        return CLASS_F64;
    return t.kind == RKP_U64 ? CLASS_U64 : CLASS_I64;
}

// ---- functions ------------------------------------------------------------------------------------------------------

enum accepts { ACCEPTS_ANY, ACCEPTS_VALUE, ACCEPTS_NUM }; // anything; no arrays; numbers

// One output value: false is null.
typedef bool finish_fn(rks_fold *f, const rks_agg *a, const char *st, struct one *out, bool *over);

struct rks_agg_fn {
    const char *name;
    unsigned min_args, max_args;
    int accepts;
    const struct rks_state_kind *(*state)(rkp_type arg);
    rkp_type (*type)(rkp_type arg);
    finish_fn *finish; // NULL: a text
    const char *also;  // names elsewhere
};

static const struct rks_state_kind *state_rows(rkp_type t)
{
    (void)t;
    return &rows_kind;
}

static const struct rks_state_kind *state_sum(rkp_type t)
{
    int c = class_of(t);

    return c == CLASS_F64 ? &sum_f64_kind : c == CLASS_U64 ? &sum_u64_kind : &sum_i64_kind;
}

static const struct rks_state_kind *state_min(rkp_type t)
{
    return &one_kinds[PICK_MIN][class_of(t)];
}

static const struct rks_state_kind *state_max(rkp_type t)
{
    return &one_kinds[PICK_MAX][class_of(t)];
}

static const struct rks_state_kind *state_first(rkp_type t)
{
    return &one_kinds[PICK_FIRST][class_of(t)];
}

static const struct rks_state_kind *state_last(rkp_type t)
{
    return &one_kinds[PICK_LAST][class_of(t)];
}

static const struct rks_state_kind *state_spread(rkp_type t)
{
    (void)t;
    return &spread_kind;
}

static const struct rks_state_kind *state_values(rkp_type t)
{
    (void)t;
    return &values_kind;
}

static const struct rks_state_kind *state_digest(rkp_type t)
{
    (void)t;
    return &digest_kind;
}

static const struct rks_state_kind *state_set(rkp_type t)
{
    (void)t;
    return &set_kind;
}

static rkp_type type_count(rkp_type t)
{
    (void)t;
    return RKP_TYPE(RKP_I64);
}

static rkp_type type_sum(rkp_type t)
{
    static const uint8_t kinds[] = { [CLASS_I64] = RKP_I64, [CLASS_U64] = RKP_U64, [CLASS_F64] = RKP_F64 };

    return RKP_NTYPE(kinds[class_of(t)]);
}

static rkp_type type_f64(rkp_type t)
{
    (void)t;
    return RKP_NTYPE(RKP_F64);
}

static rkp_type type_same(rkp_type t)
{
    t.nullable = 1;
    return t;
}

static bool finish_count(rks_fold *f, const rks_agg *a, const char *st, struct one *out, bool *over)
{
    (void)f, (void)a, (void)over;
    memcpy(&out->v.u, st, sizeof out->v.u);
    return true;
}

static bool finish_distinct(rks_fold *f, const rks_agg *a, const char *st, struct one *out, bool *over)
{
    (void)f, (void)a, (void)over;
    out->v.u = ((const struct set *)(const void *)st)->n;
    return true;
}

static bool finish_sum(rks_fold *f, const rks_agg *a, const char *st, struct one *out, bool *over)
{
    const struct sum_int *t = (const void *)st;

    if (a->type.kind == RKP_F64) {
        const struct sum_f64 *d = (const void *)st;

        out->v.f = sum_f64_value(d);
        return d->n > 0;
    }
    (void)f;
    out->v.u = t->lo;
    *over = a->type.kind == RKP_U64 ? t->hi != 0 : t->hi != (int64_t)t->lo >> 63;
    return t->n > 0 && !*over;
}

static bool finish_mean(rks_fold *f, const rks_agg *a, const char *st, struct one *out, bool *over)
{
    const rks_state *s = &f->aggs->states[a->state];

    (void)over;
    if (s->kind == &sum_f64_kind) {
        const struct sum_f64 *d = (const void *)st;

        out->v.f = sum_f64_value(d) / (double)d->n;
        return d->n > 0;
    }
    {
        const struct sum_int *t = (const void *)st;

        out->v.f = (double)sum_int_value(t) / (double)t->n;
        return t->n > 0;
    }
}

static bool finish_variance(rks_fold *f, const rks_agg *a, const char *st, struct one *out, bool *over)
{
    const struct spread *t = (const void *)st;

    (void)f, (void)a, (void)over;
    if (t->n < 2)
        return false;
    out->v.f = t->m2 / (double)(t->n - 1);
    return true;
}

static bool finish_stddev(rks_fold *f, const rks_agg *a, const char *st, struct one *out, bool *over)
{
    bool has = finish_variance(f, a, st, out, over);

    if (has)
        out->v.f = sqrt(out->v.f);
    return has;
}

static bool finish_one(rks_fold *f, const rks_agg *a, const char *st, struct one *out, bool *over)
{
    (void)f, (void)a, (void)over;
    memcpy(out, st, sizeof *out);
    return out->n > 0;
}

static bool finish_quantile(rks_fold *f, const rks_agg *a, const char *st, struct one *out, bool *over)
{
    (void)over;
    return rks_values_quantile(&f->quantiles, (const void *)st, a->q, &out->v.f);
}

static bool finish_approx(rks_fold *f, const rks_agg *a, const char *st, struct one *out, bool *over)
{
    bool has;

    (void)over;
    if (rks_digest_quantile(&f->quantiles, *(rks_digest *const *)(const void *)st, a->q, &out->v.f, &has) != RKP_OK) {
        out->n = UINT64_MAX; // memory
        return false;
    }
    return has;
}

static const struct rks_agg_fn fns[] = {
    { "count", 0, 1, ACCEPTS_ANY, state_rows, type_count, finish_count, "n size rows" },
    { "sum", 1, 1, ACCEPTS_NUM, state_sum, type_sum, finish_sum, "total add" },
    { "mean", 1, 1, ACCEPTS_NUM, state_sum, type_f64, finish_mean, "avg average" },
    { "min", 1, 1, ACCEPTS_VALUE, state_min, type_same, finish_one, "minimum least" },
    { "max", 1, 1, ACCEPTS_VALUE, state_max, type_same, finish_one, "maximum greatest" },
    { "stddev", 1, 1, ACCEPTS_NUM, state_spread, type_f64, finish_stddev, "std stdev stddev_samp sd" },
    { "variance", 1, 1, ACCEPTS_NUM, state_spread, type_f64, finish_variance, "var var_samp" },
    { "quantile", 2, 2, ACCEPTS_NUM, state_values, type_f64, finish_quantile,
      "percentile quantile_cont percentile_cont median p50 p90 p95 p99" },
    { "approx_quantile", 2, 2, ACCEPTS_NUM, state_digest, type_f64, finish_approx,
      "approx_percentile tdigest approx_median" },
    { "distinct", 1, 1, ACCEPTS_VALUE, state_set, type_count, finish_distinct, "count_distinct nunique uniq unique" },
    { "first", 1, 1, ACCEPTS_VALUE, state_first, type_same, finish_one, "any any_value head" },
    { "last", 1, 1, ACCEPTS_VALUE, state_last, type_same, finish_one, "tail latest" },
};
enum { N_FNS = sizeof fns / sizeof *fns };

static const char fn_names[] = "count() count(x) sum(x) mean(x) min(x) max(x) stddev(x) variance(x) quantile(x, q) "
                               "approx_quantile(x, q) distinct(x) first(x) last(x)";

// ---- parsing --------------------------------------------------------------------------------------------------------

struct call {
    rkp_str name;
    rkp_word args[3];
    unsigned n;
};

static rkp_loc place(rkp_word w, size_t from, size_t n)
{
    rkp_loc at = w.at;

    for (size_t i = 0; i < from; i++)
        at.col += (w.p[i] & 0xC0) != 0x80;
    at.len = 0;
    for (size_t i = from; i < from + n; i++)
        at.len += (w.p[i] & 0xC0) != 0x80;
    return at;
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

// The end of a quoted piece that begins at i, behind its quote; n when it does not end.
static size_t skip_quoted(const char *p, size_t i, size_t n)
{
    char q = p[i];
    bool raw = q == '`' || (i > 0 && p[i - 1] == 'r');

    for (i++; i < n; i++) {
        if (p[i] == '\\' && !raw)
            i++;
        else if (p[i] == q)
            return i + 1;
    }
    return n;
}

static bool add_arg(struct call *c, rkp_word text, size_t from, size_t to, rkp_opt_ctx *mem)
{
    char *p;

    while (from < to && blank(text.p[from]))
        from++;
    while (to > from && blank(text.p[to - 1]))
        to--;
    if (c->n < 3) {
        p = rkp_opt_alloc(mem, to - from + 1);
        if (!p)
            return false;
        memcpy(p, text.p + from, to - from);
        c->args[c->n] = (rkp_word){ p, to - from, place(text, from, to - from) };
    }
    c->n++;
    return true;
}

// `name ( .. , .. )` and nothing else.
static rkp_status parse_call(rkp_word text, struct call *c, rkp_opt_ctx *mem, rkp_diags *d)
{
    size_t n = text.n, i = 0, from, depth = 0;

    *c = (struct call){ 0 };
    while (i < n && blank(text.p[i]))
        i++;
    from = i;
    while (i < n && (text.p[i] == '_' || (text.p[i] >= 'a' && text.p[i] <= 'z') ||
                     (text.p[i] >= 'A' && text.p[i] <= 'Z') || (i > from && text.p[i] >= '0' && text.p[i] <= '9')))
        i++;
    c->name = (rkp_str){ text.p + from, i - from };
    while (i < n && blank(text.p[i]))
        i++;
    if (!c->name.n || i == n || text.p[i] != '(')
        goto bad;
    for (from = ++i; i < n; i++) {
        char ch = text.p[i];

        if (ch == '\'' || ch == '"' || ch == '`') {
            i = skip_quoted(text.p, i, n) - 1;
        } else if (ch == '(' || ch == '[') {
            depth++;
        } else if ((ch == ')' || ch == ']') && depth) {
            depth--;
        } else if (ch == ')' || (ch == ',' && !depth)) {
            bool empty = ch == ')' && c->n == 0;

            for (size_t k = from; empty && k < i; k++)
                empty = blank(text.p[k]);
            if (!empty && !add_arg(c, text, from, i, mem))
                return RKP_NOMEM;
            from = i + 1;
            if (ch == ')')
                break;
        }
    }
    if (i >= n)
        goto bad;
    for (i++; i < n; i++)
        if (!blank(text.p[i]))
            goto bad;
    return RKP_OK;
bad:
    rkp_diag(d, RKP_ERROR, place(text, 0, n), "aggregate-call", "'" RKP_STR_FMT "' is not one call of an aggregate",
             RKP_STR_ARG(rkp_word_str(text)));
    rkp_diag_hint(d, "write name(column); combine results in a map after this kernel. Functions: %s", fn_names);
    return RKP_INVALID;
}

static bool is_word_of(const char *list, rkp_str w)
{
    while (*list) {
        size_t n = strcspn(list, " ");

        if (rkp_str_eq((rkp_str){ list, n }, w))
            return true;
        list += n + (list[n] == ' ');
    }
    return false;
}

static const struct rks_agg_fn *find_fn(rkp_word text, rkp_str name, rkp_diags *d)
{
    for (int i = 0; i < N_FNS; i++)
        if (rkp_str_is(name, fns[i].name))
            return &fns[i];
    rkp_diag(d, RKP_ERROR, place(text, (size_t)(name.p - text.p), name.n), "aggregate-unknown",
             "no aggregate '" RKP_STR_FMT "'", RKP_STR_ARG(name));
    for (int i = 0; i < N_FNS; i++)
        if (is_word_of(fns[i].also, name)) {
            rkp_diag_hint(d, fns[i].max_args == 2 ? "here it is %s(x, q), with q from 0 to 1" : "here it is %s(x)",
                          fns[i].name);
            return NULL;
        }
    rkp_diag_hint(d, "there are %s", fn_names);
    return NULL;
}

// ---- bind -----------------------------------------------------------------------------------------------------------

static rkp_status check_type(rkp_diags *d, const struct rks_agg_fn *fn, rkp_word arg, rkp_type t)
{
    char text[RKP_TYPE_TEXT];

    if (fn->accepts == ACCEPTS_ANY || (!t.len && (fn->accepts == ACCEPTS_VALUE || rkp_kind_is_num(t.kind))))
        return RKP_OK;
    rkp_type_print(text, t);
    rkp_diag(d, RKP_ERROR, arg.at, "aggregate-type", "%s takes %s, and '" RKP_STR_FMT "' is %s", fn->name,
             fn->accepts == ACCEPTS_NUM ? "a number" : "a single value", RKP_STR_ARG(rkp_word_str(arg)), text);
    if (fn->accepts == ACCEPTS_NUM && t.kind == RKP_BOOL)
        rkp_diag_hint(d, "to count where it is true: sum(" RKP_STR_FMT " ? 1 : 0)", RKP_STR_ARG(rkp_word_str(arg)));
    return RKP_INVALID;
}

// The number of an argument that is written like this one, compiled when it is new.
static rkp_status bind_arg(rks_aggs *g, rkp_bind *b, rkp_word text, uint32_t *out)
{
    rks_arg *a;

    for (uint32_t i = 0; i < g->n_args; i++)
        if (rkp_str_eq(g->args[i].text, rkp_word_str(text))) {
            *out = i;
            return RKP_OK;
        }
    a = &g->args[g->n_args];
    a->e = rkp_bind_expr(b, text, RKP_WANT_ANY);
    if (!a->e)
        return RKP_INVALID;
    a->text = rkp_word_str(text);
    a->type = rkp_expr_type(a->e);
    a->column = rkp_expr_is_column(a->e);
    *out = g->n_args++;
    return RKP_OK;
}

static uint32_t bind_state(rks_aggs *g, const struct rks_state_kind *kind, int arg, uint32_t at_user)
{
    rks_state *s;

    for (uint32_t i = 0; i < g->n_states; i++)
        if (g->states[i].kind == kind && g->states[i].arg == arg)
            return i;
    s = &g->states[g->n_states];
    *s = (rks_state){ .kind = kind, .arg = arg, .at = at_user + g->user };
    if (kind == &set_kind)
        s->table = g->n_tables++;
    g->user += (kind->size + 7) / 8 * 8;
    return g->n_states++;
}

static rkp_status bind_agg(rks_aggs *g, rkp_bind *b, const rkp_pair *pair, uint32_t at_user)
{
    rkp_diags *d = rkp_bind_diags(b);
    rks_agg *a = &g->v[g->n];
    struct call c;
    uint32_t arg = 0;
    rkp_type t = { 0 };
    const struct rks_state_kind *kind;
    rkp_status st = parse_call(pair->val, &c, rkp_bind_mem(b), d);

    if (st != RKP_OK)
        return st;
    *a = (rks_agg){ .name = rkp_word_str(pair->key), .text = rkp_word_str(pair->val) };
    a->fn = find_fn(pair->val, c.name, d);
    if (!a->fn)
        return RKP_INVALID;
    if (c.n < a->fn->min_args || c.n > a->fn->max_args) {
        rkp_diag(d, RKP_ERROR, pair->val.at, "aggregate-arguments", "%s takes %s, not %u argument%s", a->fn->name,
                 a->fn->max_args == 2   ? "a value and a number from 0 to 1"
                 : a->fn->min_args == 0 ? "one value or none"
                                        : "one value",
                 c.n, c.n == 1 ? "" : "s");
        return RKP_INVALID;
    }
    if (a->fn->max_args == 2 && (!rkp_parse_f64(c.args[1].p, c.args[1].n, &a->q) || !(a->q >= 0 && a->q <= 1))) {
        rkp_diag(d, RKP_ERROR, c.args[1].at, "aggregate-arguments",
                 "the second argument of %s is a number from 0 to 1, not '" RKP_STR_FMT "'", a->fn->name,
                 RKP_STR_ARG(rkp_word_str(c.args[1])));
        return RKP_INVALID;
    }
    if (c.n) {
        st = bind_arg(g, b, c.args[0], &arg);
        if (st == RKP_OK)
            st = check_type(d, a->fn, c.args[0], t = g->args[arg].type);
        if (st != RKP_OK)
            return st;
    }
    kind = a->fn->state(t);
    if (kind == &rows_kind && c.n)
        kind = &count_kind;
    a->type = a->fn->type(t);
    a->state = bind_state(g, kind, c.n ? (int)arg : -1, at_user);
    g->n++;
    return RKP_OK;
}

rkp_status rks_aggs_bind(rks_aggs *g, rkp_bind *b, const rkp_pairs *compute, uint32_t at_user)
{
    rkp_opt_ctx *mem = rkp_bind_mem(b);
    rkp_status st = RKP_OK;
    size_t n = compute->n ? compute->n : 1;
    char *fresh;

    *g = (rks_aggs){ 0 };
    if (compute->n > 256) {
        rkp_diag(rkp_bind_diags(b), RKP_ERROR, compute->at, "aggregate-many",
                 "%zu aggregates are too many: at most 256", compute->n);
        return RKP_INVALID;
    }
    g->v = rkp_opt_alloc(mem, n * sizeof *g->v);
    g->args = rkp_opt_alloc(mem, n * sizeof *g->args);
    g->states = rkp_opt_alloc(mem, n * sizeof *g->states);
    g->tables = rkp_opt_alloc(mem, n * sizeof *g->tables);
    if (!g->v || !g->args || !g->states || !g->tables)
        return RKP_NOMEM;
    for (size_t i = 0; i < compute->n; i++) {
        rkp_status one = bind_agg(g, b, &compute->v[i], at_user);

        if (one != RKP_OK)
            st = one;
    }
    if (st != RKP_OK)
        return st;
    fresh = rkp_opt_alloc(mem, g->user ? g->user : 1);
    if (!fresh)
        return RKP_NOMEM;
    for (uint32_t i = 0; i < g->n_states; i++) {
        const rks_state *s = &g->states[i];

        if (s->kind->fresh)
            s->kind->fresh(fresh + (s->at - at_user));
        if (s->kind == &set_kind && !rks_keys_plan(&g->tables[s->table], mem, &g->args[s->arg].type, 1, 1))
            return RKP_NOMEM;
    }
    g->fresh = fresh;
    return RKP_OK;
}

// ---- fold -----------------------------------------------------------------------------------------------------------

static const struct member fresh_member;

static void tables_init(rks_fold *f)
{
    for (uint32_t i = 0; i < f->aggs->n_tables; i++) {
        rks_table_init(&f->tables[i], &f->keys[i], f->slab, sizeof fresh_member, &fresh_member);
        f->tables[i].id_at = f->tables[i].user_at + (uint32_t)offsetof(struct member, id);
    }
}

rkp_status rks_fold_init(rks_fold *f, const rks_aggs *g, rks_slab *slab)
{
    uint32_t n = g->n_tables ? g->n_tables : 1;
    bool values = false;

    *f = (rks_fold){ .aggs = g, .slab = slab };
    for (uint32_t i = 0; i < g->n_states; i++)
        values |= g->states[i].kind == &values_kind;
    f->tables = calloc(n, sizeof *f->tables);
    f->keys = calloc(n, sizeof *f->keys);
    f->scratch = malloc(sizeof(struct scratch));
    f->formats = malloc(g->n_states + 1);
    f->quantiles.list = values ? malloc(RKS_LIST * sizeof *f->quantiles.list) : NULL;
    if (!f->tables || !f->keys || !f->scratch || !f->formats || (values && !f->quantiles.list))
        return RKP_NOMEM;
    f->quantiles.slab = slab;
    f->quantiles.scratch = ((struct scratch *)f->scratch)->words;
    memset(f->formats, 1, g->n_states + 1);
    for (uint32_t i = 0; i < g->n_tables; i++) {
        f->keys[i] = g->tables[i];
        rks_keys_seed(&f->keys[i]);
    }
    tables_init(f);
    return RKP_OK;
}

void rks_fold_drop(rks_fold *f)
{
    tables_init(f);
}

void rks_fold_fini(rks_fold *f)
{
    free(f->tables);
    free(f->keys);
    free(f->scratch);
    free(f->quantiles.list);
    free(f->formats);
    *f = (rks_fold){ 0 };
}

#define CONVERT(T, FROM)                                                                                               \
    do {                                                                                                               \
        const FROM *v = (const FROM *)c->values + from;                                                                \
        for (uint32_t i = 0; i < n; i++)                                                                               \
            ((T *)to)[i] = (T)v[i];                                                                                    \
    } while (0)

#define CONVERT_ALL(T)                                                                                                 \
    do {                                                                                                               \
        switch (c->type.kind) {                                                                                        \
        case RKP_BOOL:                                                                                                 \
            for (uint32_t i = 0; i < n; i++)                                                                           \
                ((T *)to)[i] = (T)rkp_bit(c->values, from + i);                                                        \
            break;                                                                                                     \
        case RKP_I8:                                                                                                   \
            CONVERT(T, int8_t);                                                                                        \
            break;                                                                                                     \
        case RKP_I16:                                                                                                  \
            CONVERT(T, int16_t);                                                                                       \
            break;                                                                                                     \
        case RKP_I32:                                                                                                  \
            CONVERT(T, int32_t);                                                                                       \
            break;                                                                                                     \
        case RKP_U8:                                                                                                   \
            CONVERT(T, uint8_t);                                                                                       \
            break;                                                                                                     \
        case RKP_U16:                                                                                                  \
            CONVERT(T, uint16_t);                                                                                      \
            break;                                                                                                     \
        case RKP_U32:                                                                                                  \
            CONVERT(T, uint32_t);                                                                                      \
            break;                                                                                                     \
        case RKP_U64:                                                                                                  \
            CONVERT(T, uint64_t);                                                                                      \
            break;                                                                                                     \
        case RKP_F32:                                                                                                  \
            CONVERT(T, float);                                                                                         \
            break;                                                                                                     \
        default:                                                                                                       \
            CONVERT(T, int64_t);                                                                                       \
            break;                                                                                                     \
        }                                                                                                              \
    } while (0)

// The values of rows [from, from + n) as the state wants them.
static const void *convert(struct scratch *x, const rkp_col *c, int want, uint32_t from, uint32_t n)
{
    bool wide = rkp_kind_width(c->type.kind) == 8;
    void *to = x->values;

    if (want == WANT_F64 ? c->type.kind == RKP_F64 : wide)
        return (const char *)c->values + (size_t)from * 8;
    if (want == WANT_F64)
        CONVERT_ALL(double);
    else
        CONVERT_ALL(int64_t);
    return to;
}

// NULL when every bit is set.
static const uint8_t *valid_from(const rkp_col *c, uint32_t from, uint32_t n)
{
    const uint8_t *v;
    uint32_t i = 0;

    if (!c->valid)
        return NULL;
    v = c->valid + from / 8;
    while (i < n / 8 && v[i] == 0xff)
        i++;
    if (i == n / 8 && (n % 8 == 0 || (v[i] & ((1u << n % 8) - 1)) == (1u << n % 8) - 1))
        return NULL;
    return v;
}

rkp_status rks_fold_rows(rks_fold *f, const rkp_col *args, uint32_t from, uint32_t n, char *const *recs)
{
    const rks_aggs *g = f->aggs;
    struct input in = { .from = from };
    int arg = -1, want = WANT_NOTHING; // what in.v holds

    for (uint32_t i = 0; i < g->n_states; i++) {
        const rks_state *s = &g->states[i];

        if (s->arg < 0) {
            in = (struct input){ .from = from };
            arg = -1;
        } else if (s->arg != arg || s->kind->want != want) {
            in.col = &args[s->arg];
            in.valid = valid_from(in.col, from, n);
            in.v = NULL;
            arg = s->arg;
            want = s->kind->want;
            if (want == WANT_I64 || want == WANT_U64 || want == WANT_F64)
                in.v = convert(f->scratch, in.col, want, from, n);
        }
        if (s->kind->fold(f, s, &in, n, recs) != RKP_OK)
            return RKP_NOMEM;
    }
    return RKP_OK;
}

// ---- output ---------------------------------------------------------------------------------------------------------

static void store(const rkp_type t, void *to, uint32_t i, const struct one *v)
{
    switch (t.kind) {
    case RKP_BOOL:
        if (v->v.u)
            rkp_bit_set(to, i);
        else
            rkp_bit_clear(to, i);
        break;
    case RKP_I8:
    case RKP_U8:
        ((uint8_t *)to)[i] = (uint8_t)v->v.u;
        break;
    case RKP_I16:
    case RKP_U16:
        ((uint16_t *)to)[i] = (uint16_t)v->v.u;
        break;
    case RKP_I32:
    case RKP_U32:
        ((uint32_t *)to)[i] = (uint32_t)v->v.u;
        break;
    case RKP_F32:
        ((float *)to)[i] = (float)v->v.f;
        break;
    default:
        ((uint64_t *)to)[i] = v->v.u;
        break;
    }
}

static rkp_status text_column(const rks_state *s, char *const *recs, uint32_t n, rkp_batch *out, uint32_t col,
                              rkp_type type)
{
    rkp_str *v = malloc((n ? n : 1) * sizeof *v);
    rkp_status st;

    if (!v)
        return RKP_NOMEM;
    for (uint32_t i = 0; i < n; i++) {
        const struct text *t = AT(const struct text, i);

        v[i] = (rkp_str){ t->p, t->n };
    }
    st = rkp_col_set_strs(out, col, type, v, n);
    free(v);
    return st;
}

rkp_status rks_fold_column(rks_fold *f, uint32_t agg, char *const *recs, uint32_t n, rkp_batch *out, uint32_t col,
                           rkp_errs *errs)
{
    const rks_agg *a = &f->aggs->v[agg];
    const rks_state *s = &f->aggs->states[a->state];
    uint8_t *valid = NULL;
    char *values;
    size_t bytes = (n + 7) / 8;

    if (rkp_kind_is_view(a->type.kind))
        return text_column(s, recs, n, out, col, a->type);
    values = rkp_batch_alloc(out, ((size_t)n + 1) * 8);
    if (!values)
        return RKP_NOMEM;
    if (a->type.kind == RKP_BOOL)
        memset(values, 0, bytes);
    for (uint32_t i = 0; i < n; i++) {
        struct one v = { 0 };
        bool over = false;

        if (s->kind == &values_kind && i % RKS_VALUES_TOGETHER == 0)
            values_ask(s, recs + i, n - i);
        if (!a->fn->finish(f, a, recs[i] + s->at, &v, &over)) {
            if (v.n == UINT64_MAX)
                return RKP_NOMEM;
            if (over)
                rkp_errs_add(errs, i, RKP_ROW_OVERFLOW, (int)col, a->text);
            if (!valid) {
                valid = rkp_batch_alloc(out, bytes ? bytes : 1);
                if (!valid)
                    return RKP_NOMEM;
                memset(valid, 0xff, bytes);
            }
            rkp_bit_clear(valid, i);
            v.v.u = 0;
        }
        store(a->type, values, i, &v);
    }
    rkp_col_set_values(out, col, a->type, values, valid, n);
    return RKP_OK;
}

// ---- spilling -------------------------------------------------------------------------------------------------------

void rks_fold_save(rks_fold *f, const char *rec, rks_spill *to)
{
    for (uint32_t i = 0; i < f->aggs->n_states; i++) {
        const rks_state *s = &f->aggs->states[i];

        if (s->kind->save)
            s->kind->save(f, s, rec + s->at, to);
        else
            rks_spill_put(to, rec + s->at, s->kind->size);
    }
}

rkp_status rks_fold_load(rks_fold *f, char *rec, rks_spill *from)
{
    for (uint32_t i = 0; i < f->aggs->n_states; i++) {
        const rks_state *s = &f->aggs->states[i];
        rkp_status st = RKP_OK;

        if (s->kind->load)
            st = s->kind->load(f, s, rec, from);
        else if (!rks_spill_get(from, rec + s->at, s->kind->size))
            st = from->st;
        if (st != RKP_OK)
            return st;
    }
    return RKP_OK;
}

rkp_status rks_fold_free(rks_fold *f, char *rec)
{
    for (uint32_t i = 0; i < f->aggs->n_states; i++) {
        const rks_state *s = &f->aggs->states[i];

        if (s->kind->free && s->kind->free(f, s, rec + s->at) != RKP_OK)
            return RKP_NOMEM;
    }
    return RKP_OK;
}

void rks_fold_freed(rks_fold *f)
{
    for (uint32_t i = 0; i < f->aggs->n_tables; i++)
        rks_table_rehash(&f->tables[i]);
}

// ---- checkpoints ----------------------------------------------------------------------------------------------------

void rks_fold_checkpoint(rks_fold *f, const char *rec, rkp_save *to)
{
    for (uint32_t i = 0; i < f->aggs->n_states; i++) {
        const rks_state *s = &f->aggs->states[i];

        if (s->kind->checkpoint)
            s->kind->checkpoint(f, s, rec + s->at, to);
        else
            rkp_save_bytes(to, rec + s->at, s->kind->size);
    }
}

rkp_status rks_fold_restore(rks_fold *f, char *rec, rkp_load *from)
{
    for (uint32_t i = 0; i < f->aggs->n_states; i++) {
        const rks_state *s = &f->aggs->states[i];
        rkp_status st = RKP_OK;

        if (s->kind->restore)
            st = s->kind->restore(f, s, rec, from);
        else
            rkp_load_bytes(from, rec + s->at, s->kind->size);
        if (st == RKP_OK)
            st = rkp_load_status(from);
        if (st != RKP_OK)
            return st;
    }
    return RKP_OK;
}
