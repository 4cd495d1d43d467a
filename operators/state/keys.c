// keys.c - see keys.h.  Open addressing over 8-byte slots (half of the hash beside the record's number), at most half
// full.  The hash says which eight slots, one cache line, to look through; all eight are compared at once, so that
// where in them a key stands is nothing to guess, and a row touches one line of slots and one record.
#include "keys.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <sys/random.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum { STEP_BYTES = 64 << 10, STEP_MAX = 2048, STEP_MIN = 64, PIECE = 512, AHEAD = 12, NEAR_SLOTS = 1 << 16 };
enum { LINE = 8 }; // slots

typedef unsigned __int128 u128;

#define INLINE static inline __attribute__((always_inline))

static inline uint64_t mum(uint64_t a, uint64_t b)
{
    u128 r = (u128)a * b;

    return (uint64_t)r ^ (uint64_t)(r >> 64);
}

static inline uint64_t load64(const void *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof v);
    return v;
}

// ---- plan -----------------------------------------------------------------------------------------------------------

bool rks_keys_plan(rks_keys *k, rkp_opt_ctx *mem, const rkp_type *types, uint32_t n, uint32_t lead)
{
    uint32_t nulls = 0;

    *k = (rks_keys){ .n = n, .lead = lead, .n_words = lead };
    k->cols = rkp_opt_alloc(mem, (n ? n : 1) * sizeof *k->cols);
    if (!k->cols)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        rks_key_col *c = &k->cols[i];

        *c = (rks_key_col){ .kind = types[i].kind, .nullable = types[i].nullable, .word = k->n_words };
        if (rkp_kind_is_view(c->kind)) {
            c->text = k->n_texts++;
            k->n_words += 2;
        } else {
            k->n_words++;
            if (c->nullable)
                c->null = nulls++;
        }
    }
    k->null_word = k->n_words;
    k->n_words += (nulls + 63) / 64;
    return true;
}

void rks_keys_seed(rks_keys *k)
{
    if (getrandom(k->seed, sizeof k->seed, GRND_NONBLOCK) != sizeof k->seed)
        for (int i = 0; i < 3; i++) // not secret, but a seed
            k->seed[i] = mum((uint64_t)(uintptr_t)k + (uint64_t)i, 0x9E3779B97F4A7C15u);
    for (int i = 0; i < 3; i++)
        k->seed[i] |= 1;
}

uint32_t rks_keys_step(const rks_keys *k)
{
    uint32_t n = k->n_words ? STEP_BYTES / (k->n_words * 8) : STEP_MAX;

    n = n / 64 * 64; // so that validity bits begin at a byte
    return n > STEP_MAX ? STEP_MAX : n < STEP_MIN ? STEP_MIN : n;
}

// ---- words ----------------------------------------------------------------------------------------------------------

static uint64_t text_hash(const rks_keys *k, const char *p, size_t n)
{
    uint64_t h = k->seed[0] ^ n;

    for (; n > 16; p += 16, n -= 16)
        h = mum(load64(p) ^ k->seed[1], load64(p + 8) ^ h);
    if (n >= 8) // the last 16 bytes at most, which may overlap
        return mum(load64(p) ^ k->seed[1], load64(p + n - 8) ^ h);
    {
        uint64_t a = 0;

        memcpy(&a, p, n);
        return mum(a ^ k->seed[1], h ^ k->seed[2]);
    }
}

// Bytes of an inline view that count, by length: what is behind the text need not be zero.
static const uint64_t view_mask[RKS_INLINE + 1][2] = {
#define LO(n) (0xFFFFFFFFu | ((n) >= 4 ? 0xFFFFFFFFull << 32 : ((1ull << (8 * ((n)&3))) - 1) << 32))
#define HI(n) ((n) <= 4 ? 0 : (n) >= 12 ? UINT64_MAX : (1ull << (8 * (((n)-4) & 7))) - 1)
    { LO(0), HI(0) },   { LO(1), HI(1) },   { LO(2), HI(2) },   { LO(3), HI(3) }, { LO(4), HI(4) },
    { LO(5), HI(5) },   { LO(6), HI(6) },   { LO(7), HI(7) },   { LO(8), HI(8) }, { LO(9), HI(9) },
    { LO(10), HI(10) }, { LO(11), HI(11) }, { LO(12), HI(12) },
};

static inline bool text_words(const rks_keys *k, const rkp_col *col, uint32_t row, uint64_t *to)
{
    const rkp_view *v = (const rkp_view *)col->values + row;
    int32_t len = v->len;

    if (RKP_LIKELY(len <= RKS_INLINE)) {
        to[0] = load64(v) & view_mask[len][0];
        to[1] = load64((const char *)v + 8) & view_mask[len][1];
        return false;
    }
    {
        rkp_str s = rkp_view_str(col, row);

        to[0] = load64(v);
        to[1] = text_hash(k, s.p, s.n);
        return true;
    }
}

// Returns whether one of the texts is longer than a view holds.
static bool text_column(const rks_keys *k, const rkp_col *col, uint32_t from, uint32_t n, uint64_t *to)
{
    const size_t w = k->n_words;
    bool longs = false;

    if (!col->valid) {
        for (uint32_t i = 0; i < n; i++)
            longs |= text_words(k, col, from + i, to + i * w);
        return longs;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (rkp_bit(col->valid, from + i)) {
            longs |= text_words(k, col, from + i, to + i * w);
        } else {
            to[i * w] = UINT32_MAX; // length -1
            to[i * w + 1] = 0;
        }
    }
    return longs;
}

static uint64_t f64_word(double v)
{
    uint64_t w;

    if (v != v)
        return 0x7FF8000000000000u;
    v += 0.0; // -0 is 0
    memcpy(&w, &v, sizeof w);
    return w;
}

#define FIXED(T, EXPR)                                                                                                 \
    do {                                                                                                               \
        const T *v = (const T *)col->values + from;                                                                    \
        for (uint32_t i = 0; i < n; i++)                                                                               \
            to[i * w] = EXPR;                                                                                          \
    } while (0)

static void fixed_column(const rks_keys *k, const rks_key_col *c, const rkp_col *col, uint32_t from, uint32_t n,
                         uint64_t *to)
{
    const size_t w = k->n_words;

    switch (c->kind) {
    case RKP_BOOL:
        for (uint32_t i = 0; i < n; i++)
            to[i * w] = rkp_bit(col->values, from + i);
        break;
    case RKP_I8:
        FIXED(int8_t, (uint64_t)(int64_t)v[i]);
        break;
    case RKP_I16:
        FIXED(int16_t, (uint64_t)(int64_t)v[i]);
        break;
    case RKP_I32:
        FIXED(int32_t, (uint64_t)(int64_t)v[i]);
        break;
    case RKP_U8:
        FIXED(uint8_t, v[i]);
        break;
    case RKP_U16:
        FIXED(uint16_t, v[i]);
        break;
    case RKP_U32:
        FIXED(uint32_t, v[i]);
        break;
    case RKP_F32:
        FIXED(float, f64_word((double)v[i]));
        break;
    case RKP_F64:
        FIXED(double, f64_word(v[i]));
        break;
    default: // i64, u64, timestamp
        FIXED(uint64_t, v[i]);
        break;
    }
    if (col->valid && c->nullable) // else there is no null bit
        for (uint32_t i = 0; i < n; i++)
            if (!rkp_bit(col->valid, from + i)) {
                to[i * w] = 0;
                to[i * w + (k->null_word - c->word) + c->null / 64] |= 1ull << (c->null % 64);
            }
}

bool rks_keys_words(const rks_keys *k, const rkp_col *cols, uint32_t from, uint32_t n, uint64_t *words)
{
    bool longs = false;

    for (uint32_t j = k->null_word; j < k->n_words; j++)
        for (uint32_t i = 0; i < n; i++)
            words[(size_t)i * k->n_words + j] = 0;
    for (uint32_t j = 0; j < k->n; j++) {
        if (rkp_kind_is_view(k->cols[j].kind))
            longs |= text_column(k, &cols[j], from, n, words + k->cols[j].word);
        else
            fixed_column(k, &k->cols[j], &cols[j], from, n, words + k->cols[j].word);
    }
    return longs;
}

INLINE uint64_t words_hash(const rks_keys *k, const uint64_t *w, uint32_t n_words)
{
    uint64_t h = k->seed[0];
    uint32_t j = 0;

    for (; j + 1 < n_words; j += 2)
        h = mum(w[j] ^ k->seed[1], w[j + 1] ^ h);
    if (j < n_words)
        h = mum(w[j] ^ k->seed[1], k->seed[2] ^ h);
    return h;
}

void rks_keys_hash(const rks_keys *k, const uint64_t *words, uint32_t n, uint64_t *hash)
{
    switch (k->n_words) { // the loop over the words is unrolled for the usual keys
    case 1:
        for (uint32_t i = 0; i < n; i++)
            hash[i] = words_hash(k, words + i, 1);
        break;
    case 2:
        for (uint32_t i = 0; i < n; i++)
            hash[i] = words_hash(k, words + (size_t)i * 2, 2);
        break;
    case 3:
        for (uint32_t i = 0; i < n; i++)
            hash[i] = words_hash(k, words + (size_t)i * 3, 3);
        break;
    case 4:
        for (uint32_t i = 0; i < n; i++)
            hash[i] = words_hash(k, words + (size_t)i * 4, 4);
        break;
    default:
        for (uint32_t i = 0; i < n; i++)
            hash[i] = words_hash(k, words + (size_t)i * k->n_words, k->n_words);
        break;
    }
}

// ---- table ----------------------------------------------------------------------------------------------------------

void rks_table_init(rks_table *t, const rks_keys *k, rks_slab *slab, uint32_t user, const void *fresh)
{
    uint64_t seg;

    *t = (rks_table){ .keys = k, .slab = slab, .user = user, .fresh = fresh, .free_head = UINT32_MAX };
    t->user_at = k->n_words * 8;
    t->texts_at = t->user_at + (user + 7) / 8 * 8;
    t->rec_size = t->texts_at + k->n_texts * (uint32_t)sizeof(char *);
    if (t->rec_size < 8)
        t->rec_size = 8;
    seg = rkp_state_limit(slab->actor) / 64; // small states begin small
    seg = k->n_words == 0 ? 1 : seg > RKS_SLAB_BIG ? RKS_SLAB_BIG : seg < 1024 ? 1024 : seg;
    while (t->shift < 12 && ((uint64_t)t->rec_size << (t->shift + 1)) <= seg)
        t->shift++;
}

void rks_table_drop(rks_table *t)
{
    uint32_t id_at = t->id_at;

    rks_table_init(t, t->keys, t->slab, t->user, t->fresh);
    t->id_at = id_at;
}

// The first of the slots where a key with this hash may stand: in them from the first to the last, then in the next
// line, when there was no room.  Between a line and a key of it no slot is empty (slots_erase), so a line whose last slot is empty is the
// last one.
INLINE uint64_t line_of(const rks_table *t, uint64_t hash)
{
    return hash & (t->n_slots - 1) & ~(uint64_t)(LINE - 1);
}

// A bit for each slot of a line with this half of a hash; an empty slot has the half 0.
INLINE unsigned line_hits(const uint64_t *line, uint64_t hash)
{
#if defined(__SSE2__)
    const __m128i *v = (const __m128i *)(const void *)line, half = _mm_set1_epi32((int)(hash >> 32));
    unsigned hits = 0;

    for (int i = 0; i < 2; i++) {
        __m128 a = _mm_castsi128_ps(_mm_load_si128(v + 2 * i)), b = _mm_castsi128_ps(_mm_load_si128(v + 2 * i + 1));
        __m128i upper = _mm_castps_si128(_mm_shuffle_ps(a, b, _MM_SHUFFLE(3, 1, 3, 1)));

        hits |= (unsigned)_mm_movemask_ps(_mm_castsi128_ps(_mm_cmpeq_epi32(upper, half))) << 4 * i;
    }
    return hits;
#else
    unsigned hits = 0;

    for (unsigned i = 0; i < LINE; i++)
        hits |= (unsigned)(line[i] >> 32 == hash >> 32) << i;
    return hits;
#endif
}

// The first id + 1 with half of this hash from the line at `at` on, 0: there is none.
static uint32_t slots_find(const rks_table *t, uint64_t at, uint64_t hash)
{
    for (;; at = (at + LINE) & (t->n_slots - 1)) {
        unsigned hits = line_hits(t->slots + at, hash);

        if (hits)
            return (uint32_t)t->slots[at + (unsigned)__builtin_ctz(hits)];
        if (!t->slots[at + LINE - 1])
            return 0;
    }
}

static void slots_insert(rks_table *t, uint64_t hash, uint32_t id)
{
    uint64_t mask = t->n_slots - 1, at = line_of(t, hash);

    while (t->slots[at])
        at = (at + 1) & mask;
    t->slots[at] = (hash & ~(uint64_t)UINT32_MAX) | (id + 1u);
}

// A handful of records at a time, so that their slots are on the way when they are needed.
void rks_table_rehash(rks_table *t)
{
    enum { HANDFUL = 32 };
    uint32_t ids[HANDFUL];
    uint64_t hash[HANDFUL];

    if (t->n_slots)
        memset(t->slots, 0, t->n_slots * sizeof *t->slots);
    for (uint32_t id = 0; id < t->n;) {
        uint32_t n = 0;

        for (; id < t->n && n < HANDFUL; id++) {
            if (!rks_table_alive(t, id))
                continue;
            ids[n] = id;
            hash[n] = words_hash(t->keys, (const uint64_t *)(const void *)rks_table_rec(t, id), t->keys->n_words);
            __builtin_prefetch(&t->slots[line_of(t, hash[n])], 1);
            n++;
        }
        for (uint32_t i = 0; i < n; i++)
            slots_insert(t, hash[i], ids[i]);
    }
}

static size_t slots_size(uint64_t n)
{
    return (n + LINE) * sizeof(uint64_t);
}

// Makes room for n more records in the slots.
static rkp_status reserve(rks_table *t, uint32_t n)
{
    uint64_t want = t->n_slots ? t->n_slots : 256;
    void *slots;

    if ((uint64_t)t->n_live + n <= t->n_slots / 2)
        return RKP_OK;
    while (want / 2 < (uint64_t)t->n_live + n)
        want *= 2;
    if ((uint64_t)t->n + n >= UINT32_MAX)
        return RKP_NOMEM;
    slots = rks_alloc(t->slab, slots_size(want));
    if (!slots)
        return RKP_NOMEM;
    rks_free(t->slab, t->slots_mem, slots_size(t->n_slots));
    t->slots_mem = slots;
    t->slots = (uint64_t *)(((uintptr_t)slots + LINE * 8 - 1) & ~(uintptr_t)(LINE * 8 - 1));
    t->n_slots = want;
    rks_table_rehash(t);
    return RKP_OK;
}

static char *record_new(rks_table *t, uint32_t *id)
{
    if (t->free_head != UINT32_MAX) {
        char *rec = rks_table_rec(t, *id = t->free_head);

        memcpy(&t->free_head, rec, sizeof t->free_head);
        rkp_bit_clear(t->dead, *id);
        t->n_live++;
        return rec;
    }
    if (t->n >> t->shift == t->n_segs) {
        char *seg;

        if (t->n_segs == t->cap_segs) {
            uint32_t cap = t->cap_segs ? t->cap_segs * 2 : 16;
            char **segs = rks_alloc(t->slab, cap * sizeof *segs);

            if (!segs)
                return NULL;
            if (t->n_segs)
                memcpy(segs, t->segs, t->n_segs * sizeof *segs);
            rks_free(t->slab, t->segs, t->cap_segs * sizeof *segs);
            t->segs = segs;
            t->cap_segs = cap;
        }
        seg = rks_alloc(t->slab, (size_t)t->rec_size << t->shift);
        if (!seg)
            return NULL;
        t->segs[t->n_segs++] = seg;
    }
    *id = t->n++;
    t->n_live++;
    return rks_table_rec(t, *id);
}

// A record with these words, its user bytes, and copies of its long texts.
static char *record_make(rks_table *t, const uint64_t *words, const rkp_col *cols, uint32_t row, const rkp_str *texts,
                         uint64_t hash)
{
    const rks_keys *k = t->keys;
    uint32_t id;
    char *rec = record_new(t, &id);

    if (!rec)
        return NULL;
    memcpy(rec, words, (size_t)k->n_words * 8);
    memcpy(rec + t->user_at, t->fresh, t->user);
    if (t->id_at)
        memcpy(rec + t->id_at, &id, sizeof id);
    if (k->n_texts) {
        memset(rec + t->texts_at, 0, k->n_texts * sizeof(char *));
        for (uint32_t j = 0; j < k->n; j++) {
            const rks_key_col *c = &k->cols[j];
            int32_t len;
            rkp_str s;
            char *p;

            if (!rkp_kind_is_view(c->kind))
                continue;
            memcpy(&len, words + c->word, sizeof len);
            if (len <= RKS_INLINE)
                continue;
            s = texts ? texts[c->text] : rkp_view_str(&cols[j], row);
            p = rks_alloc(t->slab, s.n);
            if (!p)
                return NULL; // the record is dead weight; the operator fails now
            memcpy(p, s.p, s.n);
            memcpy(rec + t->texts_at + c->text * sizeof p, &p, sizeof p);
        }
    }
    slots_insert(t, hash, id);
    return rec;
}

// Same words, and the same bytes where a text is long.  Without cols and texts no text is long.
INLINE bool same_key(const rks_table *t, const char *rec, const uint64_t *words, const rkp_col *cols, uint32_t row,
                     const rkp_str *texts, uint32_t n_words)
{
    const rks_keys *k = t->keys;
    uint64_t apart = 0; // mostly they are the same: one branch for all words

#pragma GCC unroll 4
    for (uint32_t j = 0; j < n_words; j++)
        apart |= load64(rec + (size_t)j * 8) ^ words[j];
    if (RKP_UNLIKELY(apart != 0))
        return false;
    if (RKP_LIKELY(!cols && !texts))
        return true;
    for (uint32_t j = 0; j < k->n; j++) {
        const rks_key_col *c = &k->cols[j];
        int32_t len;
        const char *p;

        if (!rkp_kind_is_view(c->kind))
            continue;
        memcpy(&len, words + c->word, sizeof len);
        if (RKP_LIKELY(len <= RKS_INLINE))
            continue;
        memcpy(&p, rec + t->texts_at + c->text * sizeof p, sizeof p);
        if (memcmp(p, texts ? texts[c->text].p : rkp_view_str(&cols[j], row).p, (size_t)len) != 0)
            return false;
    }
    return true;
}

static __attribute__((noinline)) char *lookup(const rks_table *t, const uint64_t *words, const rkp_col *cols,
                                              uint32_t row, const rkp_str *texts, uint64_t hash)
{
    const uint64_t mask = t->n_slots - 1, *slots = t->slots;

    for (uint64_t at = line_of(t, hash); slots[at]; at = (at + 1) & mask) {
        char *rec;

        if (slots[at] >> 32 != hash >> 32)
            continue;
        rec = rks_table_rec(t, (uint32_t)slots[at] - 1);
        if (RKP_LIKELY(same_key(t, rec, words, cols, row, texts, t->keys->n_words)))
            return rec;
    }
    return NULL;
}

// The records of existing keys among n rows, n <= PIECE; NULL for the others, of which there are none when the answer is
// true.  First the slots of all rows, then their records: the two loops have no branch that is hard to guess, so the
// misses of many rows are under way at once.
INLINE bool find_piece(const rks_table *t, const rkp_col *cols, uint32_t from, uint32_t n, const uint64_t *words,
                       const uint64_t *hash, char **recs, uint32_t n_words)
{
    const uint64_t *slots = t->slots, lines = (t->n_slots - 1) & ~(uint64_t)(LINE - 1);
    char *const *segs = t->segs;
    const uint32_t shift = t->shift, in_seg = (1u << t->shift) - 1;
    const size_t rec_size = t->rec_size;
    const bool far = t->n_slots > NEAR_SLOTS;
    bool all = true;

    for (uint32_t i = 0; i < n; i++) {
        uint64_t at = hash[i] & lines;
        unsigned hits = line_hits(slots + at, hash[i]);
        uint32_t id;

        if (far)
            __builtin_prefetch(&slots[hash[i + AHEAD < n ? i + AHEAD : i] & lines]);
        id = RKP_LIKELY(hits) ? (uint32_t)slots[at + (unsigned)__builtin_ctz(hits)] : slots_find(t, at, hash[i]);
        if (RKP_LIKELY(id)) {
            recs[i] = segs[(id - 1) >> shift] + ((id - 1) & in_seg) * rec_size;
            __builtin_prefetch(recs[i], 1);
        } else {
            recs[i] = NULL;
            all = false;
        }
    }
    for (uint32_t i = 0; i < n; i++, words += n_words) {
        if (!recs[i] || RKP_LIKELY(same_key(t, recs[i], words, cols, from + i, NULL, n_words)))
            continue;
        recs[i] = lookup(t, words, cols, from + i, NULL, hash[i]); // half a hash in common: look on
        all &= recs[i] != NULL;
    }
    return all;
}

INLINE rkp_status map_rows(rks_table *t, const rkp_col *cols, uint32_t from, uint32_t n, const uint64_t *words,
                           const uint64_t *hash, char **recs, uint32_t *made, uint32_t *n_made, uint32_t n_words)
{
    uint32_t m = 0;

    for (uint32_t at = 0; at < n; at += PIECE) {
        uint32_t end = n - at < PIECE ? n : at + PIECE;
        const uint64_t *w = words + (size_t)at * n_words;
        bool all = cols ? find_piece(t, cols, from + at, end - at, w, hash + at, recs + at, n_words)
                        : find_piece(t, NULL, 0, end - at, w, hash + at, recs + at, n_words);

        for (uint32_t i = at; !all && i < end; i++) {
            if (recs[i])
                continue;
            w = words + (size_t)i * n_words;
            recs[i] = lookup(t, w, cols, from + i, NULL, hash[i]); // an earlier row has made it
            if (recs[i])
                continue;
            recs[i] = record_make(t, w, cols, from + i, NULL, hash[i]);
            if (!recs[i])
                return RKP_NOMEM;
            made[m++] = i;
        }
    }
    *n_made = m;
    return RKP_OK;
}

rkp_status rks_table_map(rks_table *t, const rkp_col *cols, uint32_t from, uint32_t n, const uint64_t *words,
                         const uint64_t *hash, char **recs, uint32_t *made, uint32_t *n_made)
{
    *n_made = 0;
    if (reserve(t, n) != RKP_OK)
        return RKP_NOMEM;
    switch (t->keys->n_words) {
    case 1:
        return map_rows(t, cols, from, n, words, hash, recs, made, n_made, 1);
    case 2:
        return map_rows(t, cols, from, n, words, hash, recs, made, n_made, 2);
    case 3:
        return map_rows(t, cols, from, n, words, hash, recs, made, n_made, 3);
    case 4:
        return map_rows(t, cols, from, n, words, hash, recs, made, n_made, 4);
    default:
        return map_rows(t, cols, from, n, words, hash, recs, made, n_made, t->keys->n_words);
    }
}

void rks_table_find(const rks_table *t, const rkp_col *cols, uint32_t from, uint32_t n, const uint64_t *words,
                    const uint64_t *hash, char **recs)
{
    const uint32_t n_words = t->keys->n_words;

    if (!t->n_slots) {
        memset(recs, 0, n * sizeof *recs);
        return;
    }
    for (uint32_t at = 0; at < n; at += PIECE)
        find_piece(t, cols, from + at, n - at < PIECE ? n - at : PIECE, words + (size_t)at * n_words, hash + at,
                   recs + at, n_words);
}

char *rks_table_put(rks_table *t, const uint64_t *words, const rkp_str *texts, bool *made)
{
    uint64_t hash = words_hash(t->keys, words, t->keys->n_words);
    char *rec;

    *made = false;
    if (reserve(t, 1) != RKP_OK)
        return NULL;
    rec = lookup(t, words, NULL, 0, texts, hash);
    if (!rec) {
        *made = true;
        rec = record_make(t, words, NULL, 0, texts, hash);
    }
    return rec;
}

rkp_status rks_table_free(rks_table *t, uint32_t id)
{
    const rks_keys *k = t->keys;
    char *rec = rks_table_rec(t, id);
    uint64_t want = ((uint64_t)t->n_segs << t->shift) / 8 + 1;

    if (want > t->dead_size) {
        uint8_t *dead = rks_alloc(t->slab, want);

        if (!dead)
            return RKP_NOMEM;
        memset(dead, 0, want);
        if (t->dead)
            memcpy(dead, t->dead, t->dead_size);
        rks_free(t->slab, t->dead, t->dead_size);
        t->dead = dead;
        t->dead_size = want;
    }
    for (uint32_t j = 0; j < k->n; j++) {
        const rks_key_col *c = &k->cols[j];
        rkp_str s;

        if (!rkp_kind_is_view(c->kind))
            continue;
        s = rks_text_of(c, rec, t->texts_at);
        if (s.p && s.n > RKS_INLINE)
            rks_free(t->slab, (char *)s.p, s.n);
    }
    rkp_bit_set(t->dead, id);
    memcpy(rec, &t->free_head, sizeof t->free_head);
    t->free_head = id;
    t->n_live--;
    return RKP_OK;
}

// Later keys move up into the hole, as far as they may stand there.
static void slots_erase(rks_table *t, uint64_t hole)
{
    const uint64_t mask = t->n_slots - 1;

    for (uint64_t at = (hole + 1) & mask; t->slots[at]; at = (at + 1) & mask) {
        const char *rec = rks_table_rec(t, (uint32_t)t->slots[at] - 1);
        uint64_t home = line_of(t, words_hash(t->keys, (const uint64_t *)(const void *)rec, t->keys->n_words));

        if (((hole - home) & mask) < ((at - home) & mask)) {
            t->slots[hole] = t->slots[at];
            hole = at;
        }
    }
    t->slots[hole] = 0;
}

rkp_status rks_table_remove(rks_table *t, uint32_t id)
{
    const uint64_t *words = (const uint64_t *)(const void *)rks_table_rec(t, id), mask = t->n_slots - 1;
    uint64_t at = line_of(t, words_hash(t->keys, words, t->keys->n_words));

    while ((uint32_t)t->slots[at] != id + 1)
        at = (at + 1) & mask;
    if (rks_table_free(t, id) != RKP_OK)
        return RKP_NOMEM;
    slots_erase(t, at);
    return RKP_OK;
}

// ---- keys as columns ------------------------------------------------------------------------------------------------

static void fixed_values(const rks_key_col *c, char *const *recs, uint32_t n, void *to)
{
    size_t at = (size_t)c->word * 8;

#define NARROW(T)                                                                                                      \
    do {                                                                                                               \
        for (uint32_t i = 0; i < n; i++)                                                                               \
            ((T *)to)[i] = (T)load64(recs[i] + at);                                                                    \
    } while (0)
    switch (c->kind) {
    case RKP_BOOL:
        memset(to, 0, (n + 7) / 8);
        for (uint32_t i = 0; i < n; i++)
            if (load64(recs[i] + at))
                rkp_bit_set(to, i);
        break;
    case RKP_I8:
    case RKP_U8:
        NARROW(uint8_t);
        break;
    case RKP_I16:
    case RKP_U16:
        NARROW(uint16_t);
        break;
    case RKP_I32:
    case RKP_U32:
        NARROW(uint32_t);
        break;
    case RKP_F32:
        for (uint32_t i = 0; i < n; i++) {
            double v;

            memcpy(&v, recs[i] + at, sizeof v);
            ((float *)to)[i] = (float)v;
        }
        break;
    default:
        NARROW(uint64_t);
        break;
    }
#undef NARROW
}

rkp_status rks_keys_column(const rks_keys *k, uint32_t texts_at, uint32_t j, char *const *recs, uint32_t n,
                           rkp_batch *out, uint32_t col, rkp_type type)
{
    const rks_key_col *c = &k->cols[j];
    uint8_t *valid = NULL;
    void *values;

    if (rkp_kind_is_view(c->kind)) {
        rkp_str *v = malloc((n ? n : 1) * sizeof *v);
        rkp_status st;

        if (!v)
            return RKP_NOMEM;
        for (uint32_t i = 0; i < n; i++)
            v[i] = rks_text_of(c, recs[i], texts_at);
        st = rkp_col_set_strs(out, col, type, v, n);
        free(v);
        return st;
    }
    values = rkp_batch_alloc(out, (n ? n : 1) * (size_t)8);
    if (!values)
        return RKP_NOMEM;
    fixed_values(c, recs, n, values);
    if (c->nullable) {
        uint64_t bit = 1ull << (c->null % 64);
        size_t at = (size_t)(k->null_word + c->null / 64) * 8;
        size_t bytes = (n + 7) / 8;

        valid = rkp_batch_alloc(out, bytes ? bytes : 1);
        if (!valid)
            return RKP_NOMEM;
        memset(valid, 0xff, bytes);
        for (uint32_t i = 0; i < n; i++)
            if (load64(recs[i] + at) & bit)
                rkp_bit_clear(valid, i);
    }
    rkp_col_set_values(out, col, type, values, valid, n);
    return RKP_OK;
}

// ---- keys in a checkpoint -------------------------------------------------------------------------------------------

void rks_keys_save(const rks_keys *k, const char *rec, uint32_t texts_at, rkp_save *to)
{
    for (uint32_t j = 0; j < k->n; j++) {
        const rks_key_col *c = &k->cols[j];

        if (rkp_kind_is_view(c->kind)) {
            rkp_save_str(to, rks_text_of(c, rec, texts_at));
            continue;
        }
        if (c->nullable) {
            uint64_t nulls = load64(rec + (size_t)(k->null_word + c->null / 64) * 8);
            bool null = (nulls >> (c->null % 64)) & 1;

            rkp_save_bool(to, null);
            if (null)
                continue;
        }
        rkp_save_u64(to, load64(rec + (size_t)c->word * 8));
    }
}

// Is this a word that a value of the kind makes?
static bool is_word_of(unsigned kind, uint64_t w)
{
    int64_t i = (int64_t)w;
    double d;

    switch (kind) {
    case RKP_BOOL:
        return w <= 1;
    case RKP_I8:
        return i >= INT8_MIN && i <= INT8_MAX;
    case RKP_I16:
        return i >= INT16_MIN && i <= INT16_MAX;
    case RKP_I32:
        return i >= INT32_MIN && i <= INT32_MAX;
    case RKP_U8:
        return w <= UINT8_MAX;
    case RKP_U16:
        return w <= UINT16_MAX;
    case RKP_U32:
        return w <= UINT32_MAX;
    case RKP_F32:
    case RKP_F64:
        memcpy(&d, &w, sizeof d);
        if (w != f64_word(d))
            return false;
        return kind == RKP_F64 || !isfinite(d) || (fabs(d) <= (double)FLT_MAX && (double)(float)d == d);
    default:
        return true;
    }
}

static bool load_text(const rks_keys *k, const rks_key_col *c, rkp_load *from, uint64_t *words, rkp_str *texts)
{
    rkp_str s = rkp_load_str(from);
    uint64_t *w = words + c->word;
    rkp_view v = { 0 };

    texts[c->text] = s;
    if (!rkp_load_ok(from))
        return false;
    if (s.n > INT32_MAX || (!s.p && !c->nullable)) {
        rkp_load_refuse(from, "a key is no value of its type");
        return false;
    }
    if (!s.p) {
        w[0] = UINT32_MAX; // length -1
        w[1] = 0;
        return true;
    }
    v.len = (int32_t)s.n;
    memcpy(v.u.inlined, s.p, s.n <= RKS_INLINE ? s.n : 4);
    w[0] = load64(&v);
    w[1] = s.n <= RKS_INLINE ? load64((const char *)&v + 8) : text_hash(k, s.p, s.n);
    return true;
}

bool rks_keys_load(const rks_keys *k, rkp_load *from, uint64_t *words, rkp_str *texts)
{
    for (uint32_t j = k->null_word; j < k->n_words; j++)
        words[j] = 0;
    for (uint32_t j = 0; j < k->n; j++) {
        const rks_key_col *c = &k->cols[j];

        if (rkp_kind_is_view(c->kind)) {
            if (!load_text(k, c, from, words, texts))
                return false;
            continue;
        }
        if (c->nullable && rkp_load_bool(from)) {
            words[c->word] = 0;
            words[k->null_word + c->null / 64] |= 1ull << (c->null % 64);
            continue;
        }
        words[c->word] = rkp_load_u64(from);
        if (!is_word_of(c->kind, words[c->word]))
            rkp_load_refuse(from, "a key is no value of its type");
    }
    return rkp_load_ok(from);
}
