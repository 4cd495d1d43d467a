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
};

#define EACH(i)                                                                                                        \
    for (uint32_t i = 0; i < n; i++)                                                                                   \
        if (!in->valid || rkp_bit(in->valid, i))

#define AT(T, i) ((T *)(void *)(recs[i] + s->at))

enum {
    LIST_MAX = 64 << 10, // values that quantile looks at in one piece
    SCRATCH_WORDS = 4 * RKS_FOLD_ROWS,
};

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
    ++*AT(uint64_t, i);
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
    sum_f64_add(AT(struct sum_f64, i), v[i]);
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

static rkp_status text_free(rks_fold *f, const rks_state *s, char *st)
{
    struct text *t = (void *)st;

    (void)s;
    rks_free(f->slab, t->p, t->cap);
    return RKP_OK;
}

// ---- all values, for exact quantiles --------------------------------------------------------------------------------
//
// A group's values stand in small chunks.  Numbers as people write them, such as 12.34, are an i32 over a power of ten
// and are kept so, in half of the memory: v is kept as k when k / 10^d is v to the bit.  d belongs to the state, not to
// the group: it grows when a value does not fit, and when none fits, values are kept as they are from there on.  Chunks
// that are made already stay as they are.

struct chunk {
    struct chunk *prev;
    uint16_t nth;   // how many came before, at most NTH_MAX
    uint8_t format; // 0: f64, else i32 over 10^(format - 1)
    uint8_t pad;
    uint32_t n; // values, when it is not the last
};

struct values {
    char *at; // free places of the last chunk
    struct chunk *last;
    uint32_t left;
    uint32_t format; // of the last chunk
};

enum { FORMATS = 7, CHUNK_MAX = 1024, NTH_MAX = 10 };

static const double scales[FORMATS] = { 1, 1, 10, 100, 1000, 10000, 100000 }; // by format

// 64 bytes four times, then each size twice: at most a third of a group's memory is not in use.
static size_t chunk_bytes(unsigned nth)
{
    return nth < 4 ? 64 : nth < NTH_MAX ? (size_t)64 << (nth / 2 - 1) : CHUNK_MAX;
}

static size_t format_size(unsigned format)
{
    return format ? sizeof(int32_t) : sizeof(double);
}

static char *chunk_data(struct chunk *k)
{
    return (char *)(k + 1);
}

static uint32_t chunk_room(const struct chunk *k)
{
    return (uint32_t)((chunk_bytes(k->nth) - sizeof *k) / format_size(k->format));
}

static bool values_grow(rks_fold *f, struct values *t, unsigned format)
{
    unsigned nth = !t->last ? 0 : t->last->nth < NTH_MAX ? t->last->nth + 1u : NTH_MAX;
    struct chunk *k = rks_alloc(f->slab, chunk_bytes(nth));

    if (!k)
        return false;
    if (t->last)
        t->last->n = chunk_room(t->last) - t->left;
    *k = (struct chunk){ .prev = t->last, .nth = (uint16_t)nth, .format = (uint8_t)format };
    t->last = k;
    t->at = chunk_data(k);
    t->left = chunk_room(k);
    t->format = format;
    return true;
}

// Values as i32 over a power of ten; false when one of them is not.
static bool to_format(const struct input *in, uint32_t n, unsigned format, int32_t *to)
{
    const double *v = in->v, scale = scales[format], limit = INT32_MAX;

    for (uint32_t from = 0; from < n; from += 64) {
        uint32_t end = n - from < 64 ? n : from + 64;
        bool ok = true;

        for (uint32_t i = from; i < end; i++) {
            double x = in->valid && !rkp_bit(in->valid, i) ? 0 : v[i];
            double scaled = x * scale + 0x1.8p52 - 0x1.8p52; // the nearest integer
            int32_t k = (int32_t)(scaled < limit && scaled > -limit ? scaled : 0);

            to[i] = k;
            ok &= (double)k / scale == x;
        }
        if (!ok)
            return false;
    }
    return true;
}

static rkp_status values_fold(rks_fold *f, const rks_state *s, const struct input *in, uint32_t n, char *const *recs)
{
    uint8_t *format = &f->formats[s - f->aggs->states];
    int32_t *k = ((struct scratch *)f->scratch)->ints;
    const double *v = in->v;

    while (*format && !to_format(in, n, *format, k))
        *format = *format + 1 < FORMATS ? (uint8_t)(*format + 1) : 0;
    if (*format) {
        EACH(i)
        {
            struct values *t = AT(struct values, i);

            if (RKP_UNLIKELY(t->left == 0 || t->format != *format) && !values_grow(f, t, *format))
                return RKP_NOMEM;
            memcpy(t->at, &k[i], sizeof k[i]);
            t->at += sizeof k[i];
            t->left--;
        }
    } else {
        EACH(i)
        {
            struct values *t = AT(struct values, i);

            if (RKP_UNLIKELY(t->left == 0 || t->format) && !values_grow(f, t, 0))
                return RKP_NOMEM;
            memcpy(t->at, &v[i], sizeof v[i]);
            t->at += sizeof v[i];
            t->left--;
        }
    }
    return RKP_OK;
}

// The values in a chunk of t.
static uint32_t chunk_used(const struct values *t, const struct chunk *k)
{
    return k == t->last ? chunk_room(k) - t->left : k->n;
}

static uint64_t values_count(const struct values *t)
{
    uint64_t n = 0;

    for (struct chunk *k = t->last; k; k = k->prev)
        n += chunk_used(t, k);
    return n;
}

// Chunks {format, values, bytes}; one without values ends them.
static void values_save(rks_fold *f, const rks_state *s, const char *st, rks_spill *to)
{
    const struct values *t = (const void *)st;
    uint32_t head[2] = { 0, 0 };

    (void)f, (void)s;
    for (struct chunk *k = t->last; k; k = k->prev) {
        head[0] = k->format;
        head[1] = chunk_used(t, k);
        if (!head[1])
            continue;
        rks_spill_put(to, head, sizeof head);
        rks_spill_put(to, chunk_data(k), head[1] * format_size(k->format));
    }
    head[1] = 0;
    rks_spill_put(to, head, sizeof head);
}

static rkp_status values_load(rks_fold *f, const rks_state *s, char *rec, rks_spill *from)
{
    struct values *t = (void *)(rec + s->at);
    uint32_t head[2];

    *t = (struct values){ 0 };
    for (;;) {
        if (!rks_spill_get(from, head, sizeof head))
            return from->st;
        if (!head[1])
            return RKP_OK;
        while (head[1]) {
            uint32_t part;
            size_t bytes;

            if ((t->left == 0 || t->format != head[0]) && !values_grow(f, t, head[0]))
                return RKP_NOMEM;
            part = t->left < head[1] ? t->left : head[1];
            bytes = part * format_size(head[0]);
            if (!rks_spill_get(from, t->at, bytes))
                return from->st;
            t->at += bytes;
            t->left -= part;
            head[1] -= part;
        }
    }
}

static rkp_status values_free(rks_fold *f, const rks_state *s, char *st)
{
    struct values *t = (void *)st;
    struct chunk *prev;

    (void)s;
    for (struct chunk *k = t->last; k; k = prev) {
        prev = k->prev;
        rks_free(f->slab, k, chunk_bytes(k->nth));
    }
    return RKP_OK;
}

// Values as numbers that order as they do; NaN last.
static inline uint64_t ordered(double v)
{
    uint64_t w;

    if (v != v)
        return UINT64_MAX;
    v += 0.0;
    memcpy(&w, &v, sizeof w);
    return w >> 63 ? ~w : w | 1ull << 63;
}

static double unordered(uint64_t w)
{
    double v;

    if (w == UINT64_MAX)
        return NAN;
    w = w >> 63 ? w & ~(1ull << 63) : ~w;
    memcpy(&v, &w, sizeof v);
    return v;
}

// select_T(v, n, k): the k-th smallest; v is left in another order.  Partitions without branches around a pivot guessed
// from a sample at the same place, so that the first pass leaves a few per cent; sorts when that goes wrong.
#define SELECT(T)                                                                                                      \
    static int compare_##T(const void *x, const void *y)                                                               \
    {                                                                                                                  \
        T a = *(const T *)x, b = *(const T *)y;                                                                        \
                                                                                                                       \
        return a < b ? -1 : a > b;                                                                                     \
    }                                                                                                                  \
    static size_t below_##T(T *v, size_t n, T pivot) /* moves what is < pivot to the front */                          \
    {                                                                                                                  \
        size_t j = 0;                                                                                                  \
                                                                                                                       \
        for (size_t i = 0; i < n; i++) {                                                                               \
            T x = v[i];                                                                                                \
                                                                                                                       \
            v[i] = v[j];                                                                                               \
            v[j] = x;                                                                                                  \
            j += x < pivot;                                                                                            \
        }                                                                                                              \
        return j;                                                                                                      \
    }                                                                                                                  \
    static void insertion_##T(T *v, size_t n)                                                                          \
    {                                                                                                                  \
        for (size_t i = 1; i < n; i++) {                                                                               \
            T x = v[i];                                                                                                \
            size_t j = i;                                                                                              \
                                                                                                                       \
            for (; j && v[j - 1] > x; j--)                                                                             \
                v[j] = v[j - 1];                                                                                       \
            v[j] = x;                                                                                                  \
        }                                                                                                              \
    }                                                                                                                  \
    static T select_##T(T *v, size_t n, size_t k)                                                                      \
    {                                                                                                                  \
        for (int rounds = 0; n > 32; rounds++) {                                                                       \
            T sample[32], pivot;                                                                                       \
            size_t less, equal;                                                                                        \
                                                                                                                       \
            if (rounds == 50) {                                                                                        \
                qsort(v, n, sizeof *v, compare_##T);                                                                   \
                return v[k];                                                                                           \
            }                                                                                                          \
            for (size_t i = 0; i < 32; i++)                                                                            \
                sample[i] = v[i * (n - 1) / 31];                                                                       \
            insertion_##T(sample, 32);                                                                                 \
            pivot = sample[k * 32 / n];                                                                                \
            less = below_##T(v, n, pivot);                                                                             \
            if (k < less) {                                                                                            \
                n = less;                                                                                              \
                continue;                                                                                              \
            }                                                                                                          \
            equal = pivot == (T)-1 ? n - less : below_##T(v + less, n - less, (T)(pivot + 1));                         \
            if (k < less + equal)                                                                                      \
                return pivot;                                                                                          \
            v += less + equal;                                                                                         \
            n -= less + equal;                                                                                         \
            k -= less + equal;                                                                                         \
        }                                                                                                              \
        insertion_##T(v, n);                                                                                           \
        return v[k];                                                                                                   \
    }                                                                                                                  \
    /* The value of rank k + 1, when a is that of rank k. */                                                           \
    static T next_##T(const T *v, size_t n, size_t k, T a)                                                             \
    {                                                                                                                  \
        size_t not_above = 0;                                                                                          \
        T above = (T)-1;                                                                                               \
                                                                                                                       \
        for (size_t i = 0; i < n; i++) {                                                                               \
            not_above += v[i] <= a;                                                                                    \
            above = v[i] > a && v[i] < above ? v[i] : above;                                                           \
        }                                                                                                              \
        return not_above > k + 1 || not_above == n ? a : above;                                                        \
    }

SELECT(uint32_t)
SELECT(uint64_t)

// Value i of a chunk.
static inline double chunk_value(struct chunk *k, uint32_t i)
{
    const char *p = chunk_data(k) + i * format_size(k->format);
    double v;
    int32_t n;

    if (!k->format) {
        memcpy(&v, p, sizeof v);
        return v;
    }
    memcpy(&n, p, sizeof n);
    return (double)n / scales[k->format];
}

// The values whose bits under `mask` are `prefix`, into the list when `list` is set.  Returns how many; hist counts
// them by 12 bits.
static uint64_t scan(const struct values *t, uint64_t mask, uint64_t prefix, int shift, uint64_t *hist, uint64_t *list)
{
    uint64_t m = 0;

    for (struct chunk *c = t->last; c; c = c->prev)
        for (uint32_t i = 0, used = chunk_used(t, c); i < used; i++) {
            uint64_t w = ordered(chunk_value(c, i));

            if ((w & mask) != prefix)
                continue;
            if (list)
                list[m] = w;
            else
                hist[(w >> shift) & 4095]++;
            m++;
        }
    return m;
}

// The k-th smallest of more values than fit into the list: narrows the bits 12 at a time until what is left fits.
static uint64_t select_far(rks_fold *f, const struct values *t, uint64_t k)
{
    uint64_t *hist = ((struct scratch *)f->scratch)->words;
    uint64_t prefix = 0, mask = 0;

    _Static_assert(SCRATCH_WORDS >= 4096, "the histogram fits");
    for (int shift = 52;; shift = shift > 12 ? shift - 12 : 0) {
        uint64_t bits = 0;

        memset(hist, 0, 4096 * sizeof *hist);
        scan(t, mask, prefix, shift, hist, NULL);
        while (k >= hist[bits])
            k -= hist[bits++];
        prefix |= bits << shift;
        mask |= 4095ull << shift;
        if (shift == 0)
            return prefix;
        if (hist[bits] <= LIST_MAX)
            return select_uint64_t(f->list, (size_t)scan(t, mask, prefix, 0, NULL, f->list), (size_t)k);
    }
}

// Between two neighbours of a sorted list.
static double between(double lo, double hi, double part)
{
    return part == 0 || lo == hi ? lo : lo + (hi - lo) * part;
}

// The values of ranks k and k + 1 when all are i32 over one power of ten.
static bool select_ints(rks_fold *f, const struct values *t, uint64_t n, uint64_t k, double *lo, double *hi)
{
    uint32_t *list = (uint32_t *)(void *)f->list, a;
    unsigned format = t->last->format;
    size_t m = 0;

    if (!format || n > 2 * LIST_MAX)
        return false;
    for (struct chunk *c = t->last; c; c = c->prev) {
        uint32_t used = chunk_used(t, c);

        if (c->format != format)
            return false;
        memcpy(list + m, chunk_data(c), used * sizeof *list);
        m += used;
    }
    for (size_t i = 0; i < m; i++)
        list[i] ^= 1u << 31;
    a = select_uint32_t(list, m, (size_t)k);
    *lo = (double)(int32_t)(a ^ 1u << 31) / scales[format];
    *hi = (double)(int32_t)(next_uint32_t(list, m, (size_t)k, a) ^ 1u << 31) / scales[format];
    return true;
}

static bool values_quantile(rks_fold *f, const struct values *t, double q, double *out)
{
    uint64_t n = values_count(t), k, a, b;
    double h = (double)(n - 1) * q, lo, hi;

    if (!n)
        return false;
    k = (uint64_t)h;
    if (k > n - 1)
        k = n - 1;
    if (!select_ints(f, t, n, k, &lo, &hi)) {
        if (n <= LIST_MAX) {
            scan(t, 0, 0, 0, NULL, f->list);
            a = select_uint64_t(f->list, (size_t)n, (size_t)k);
            b = next_uint64_t(f->list, (size_t)n, (size_t)k, a);
        } else {
            a = b = select_far(f, t, k);
            if (k + 1 < n && h > (double)k)
                b = select_far(f, t, k + 1);
        }
        lo = unordered(a);
        hi = unordered(b);
    }
    *out = between(lo, hi, h - (double)k);
    return true;
}

// ---- a digest, for approximate quantiles ----------------------------------------------------------------------------
//
// A merging t-digest: values wait in a buffer; when it is full, they and the centroids are sorted together and merged
// again.  A centroid at rank q of n stands for at most max(1, 4 n q (1 - q) / SIZE) values, so the tails are fine and
// the number of centroids grows with log n only.  Values that are not finite are counted beside it.

struct centroid {
    double mean, weight;
};

struct digest {
    uint64_t n, below, above, nans; // finite values; -inf, inf, NaN
    double min, max;
    struct centroid *c;
    double *buf;
    uint32_t n_c, cap_c, n_buf, cap_buf;
};

enum { DIGEST_SIZE = 100, DIGEST_BUF = 512, DIGEST_MOST = 3584 }; // the last: centroids; n = 2^64 makes about 2,100

static int compare_f64(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;

    return a < b ? -1 : a > b;
}

static rkp_status digest_merge(rks_fold *f, struct digest *d)
{
    struct scratch *x = f->scratch;
    struct centroid *to = (void *)x->words;
    uint32_t n = 0, i = 0, j = 0;
    double done = 0, total = (double)d->n;

    _Static_assert(sizeof x->words >= DIGEST_MOST * sizeof *to, "the centroids fit");
    qsort(d->buf, d->n_buf, sizeof *d->buf, compare_f64);
    while (i < d->n_c || j < d->n_buf) {
        struct centroid c;

        if (j == d->n_buf || (i < d->n_c && d->c[i].mean <= d->buf[j]))
            c = d->c[i++];
        else
            c = (struct centroid){ d->buf[j++], 1 };
        if (n) {
            struct centroid *last = &to[n - 1];
            double w = last->weight + c.weight;
            double q = (done + w / 2) / total;

            if (w <= 4 * total * q * (1 - q) / DIGEST_SIZE || n == DIGEST_MOST) {
                last->mean += (c.mean - last->mean) * c.weight / w;
                last->weight = w;
                continue;
            }
            done += last->weight;
        }
        to[n++] = c;
    }
    if (n > d->cap_c) {
        uint32_t cap = (uint32_t)(rks_alloc_size((n + n / 2) * sizeof *d->c) / sizeof *d->c);
        struct centroid *v = rks_alloc(f->slab, cap * sizeof *v);

        if (!v)
            return RKP_NOMEM;
        rks_free(f->slab, d->c, d->cap_c * sizeof *v);
        d->c = v;
        d->cap_c = cap;
    }
    memcpy(d->c, to, n * sizeof *to);
    d->n_c = n;
    d->n_buf = 0;
    return RKP_OK;
}

static rkp_status digest_add(rks_fold *f, struct digest *d, double v)
{
    if (!isfinite(v)) {
        if (v != v)
            d->nans++;
        else if (v < 0)
            d->below++;
        else
            d->above++;
        return RKP_OK;
    }
    if (d->n_buf == d->cap_buf) {
        if (d->cap_buf == DIGEST_BUF) {
            if (digest_merge(f, d) != RKP_OK)
                return RKP_NOMEM;
        } else {
            uint32_t cap = d->cap_buf ? d->cap_buf * 2 : 8;
            double *buf = rks_alloc(f->slab, cap * sizeof *buf);

            if (!buf)
                return RKP_NOMEM;
            if (d->n_buf)
                memcpy(buf, d->buf, d->n_buf * sizeof *buf);
            rks_free(f->slab, d->buf, d->cap_buf * sizeof *buf);
            d->buf = buf;
            d->cap_buf = cap;
        }
    }
    if (d->n == 0 || v < d->min)
        d->min = v;
    if (d->n == 0 || v > d->max)
        d->max = v;
    d->n++;
    d->buf[d->n_buf++] = v;
    return RKP_OK;
}

static rkp_status digest_fold(rks_fold *f, const rks_state *s, const struct input *in, uint32_t n, char *const *recs)
{
    const double *v = in->v;

    EACH(i)
    {
        struct digest **t = AT(struct digest *, i);

        if (!*t) {
            *t = rks_alloc(f->slab, sizeof **t);
            if (!*t)
                return RKP_NOMEM;
            **t = (struct digest){ 0 };
        }
        if (digest_add(f, *t, v[i]) != RKP_OK)
            return RKP_NOMEM;
    }
    return RKP_OK;
}

// The value at rank h (from 0) of the finite ones.
static double digest_at(const struct digest *d, double h)
{
    double at = 0, mean = d->min, done = 0; // rank and mean of the last centroid's middle

    if (!d->n_c)
        return between(d->buf[(uint32_t)h], d->buf[(uint32_t)h + ((uint32_t)h + 1 < d->n_buf)], h - floor(h));
    for (uint32_t i = 0; i < d->n_c; i++) {
        double mid = done + (d->c[i].weight - 1) / 2;

        if (h <= mid)
            return mid > at ? between(mean, d->c[i].mean, (h - at) / (mid - at)) : d->c[i].mean;
        at = mid;
        mean = d->c[i].mean;
        done += d->c[i].weight;
    }
    return done - 1 > at ? between(mean, d->max, (h - at) / (done - 1 - at)) : d->max;
}

static rkp_status digest_quantile(rks_fold *f, struct digest *d, double q, double *out, bool *has)
{
    double all, h;

    *has = false;
    if (!d)
        return RKP_OK;
    all = (double)(d->n + d->below + d->above + d->nans);
    h = (all - 1) * q;
    *has = true;
    if (d->n_c && d->n_buf && digest_merge(f, d) != RKP_OK)
        return RKP_NOMEM;
    if (!d->n_c)
        qsort(d->buf, d->n_buf, sizeof *d->buf, compare_f64);
    if (h < (double)d->below)
        *out = -INFINITY;
    else if ((h -= (double)d->below) <= (double)d->n - 1)
        *out = digest_at(d, h);
    else
        *out = h - (double)d->n < (double)d->above ? INFINITY : NAN;
    return RKP_OK;
}

static void digest_save(rks_fold *f, const rks_state *s, const char *st, rks_spill *to)
{
    const struct digest *d = *(struct digest *const *)(const void *)st;
    char has = d != NULL;

    (void)f, (void)s;
    rks_spill_put(to, &has, 1);
    if (!d)
        return;
    rks_spill_put(to, d, sizeof *d);
    rks_spill_put(to, d->c, d->n_c * sizeof *d->c);
    rks_spill_put(to, d->buf, d->n_buf * sizeof *d->buf);
}

static rkp_status digest_load(rks_fold *f, const rks_state *s, char *rec, rks_spill *from)
{
    struct digest **t = (void *)(rec + s->at), *d;
    char has;

    *t = NULL;
    if (!rks_spill_get(from, &has, 1))
        return from->st;
    if (!has)
        return RKP_OK;
    d = rks_alloc(f->slab, sizeof *d);
    if (!d)
        return RKP_NOMEM;
    if (!rks_spill_get(from, d, sizeof *d))
        return from->st;
    d->c = d->cap_c ? rks_alloc(f->slab, d->cap_c * sizeof *d->c) : NULL;
    d->buf = d->cap_buf ? rks_alloc(f->slab, d->cap_buf * sizeof *d->buf) : NULL;
    if ((d->cap_c && !d->c) || (d->cap_buf && !d->buf))
        return RKP_NOMEM;
    *t = d;
    if (!rks_spill_get(from, d->c, d->n_c * sizeof *d->c) || !rks_spill_get(from, d->buf, d->n_buf * sizeof *d->buf))
        return from->st;
    return RKP_OK;
}

static rkp_status digest_free(rks_fold *f, const rks_state *s, char *st)
{
    struct digest *d = *(struct digest **)(void *)st;

    (void)s;
    if (d) {
        rks_free(f->slab, d->c, d->cap_c * sizeof *d->c);
        rks_free(f->slab, d->buf, d->cap_buf * sizeof *d->buf);
        rks_free(f->slab, d, sizeof *d);
    }
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

    rks_keys_words(k, in->col, in->from, n, x->words);
    for (uint32_t i = 0; i < n; i++)
        x->words[(size_t)i * k->n_words] = (uint64_t)(uintptr_t)recs[i];
    rks_keys_hash(k, x->words, n, x->hash);
    if (rks_table_map(tab, in->col, in->from, n, x->words, x->hash, x->recs, x->made, &made) != RKP_OK)
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
        .free = text_free                                                                                              \
    }

static const struct rks_state_kind rows_kind = PLAIN(uint64_t, WANT_NOTHING, count_fold);
static const struct rks_state_kind count_kind = PLAIN(uint64_t, WANT_NULLS, count_fold);
static const struct rks_state_kind sum_f64_kind = PLAIN(struct sum_f64, WANT_F64, sum_f64_fold);
static const struct rks_state_kind sum_i64_kind = PLAIN(struct sum_int, WANT_I64, sum_i64_fold);
static const struct rks_state_kind sum_u64_kind = PLAIN(struct sum_int, WANT_U64, sum_u64_fold);
static const struct rks_state_kind spread_kind = PLAIN(struct spread, WANT_F64, spread_fold);
static const struct rks_state_kind values_kind = { .size = sizeof(struct values),
                                                   .want = WANT_F64,
                                                   .fold = values_fold,
                                                   .save = values_save,
                                                   .load = values_load,
                                                   .free = values_free };
static const struct rks_state_kind digest_kind = { .size = sizeof(struct digest *),
                                                   .want = WANT_F64,
                                                   .fold = digest_fold,
                                                   .save = digest_save,
                                                   .load = digest_load,
                                                   .free = digest_free };
static const struct rks_state_kind set_kind = { .size = sizeof(struct set),
                                                .want = WANT_COLUMN,
                                                .fresh = set_fresh,
                                                .fold = set_fold,
                                                .save = set_save,
                                                .load = set_load,
                                                .free = set_free };

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
    return values_quantile(f, (const void *)st, a->q, &out->v.f);
}

static bool finish_approx(rks_fold *f, const rks_agg *a, const char *st, struct one *out, bool *over)
{
    bool has;

    (void)over;
    if (digest_quantile(f, *(struct digest *const *)(const void *)st, a->q, &out->v.f, &has) != RKP_OK) {
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
    f->list = values ? malloc(LIST_MAX * sizeof *f->list) : NULL;
    if (!f->tables || !f->keys || !f->scratch || !f->formats || (values && !f->list))
        return RKP_NOMEM;
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
    free(f->list);
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
