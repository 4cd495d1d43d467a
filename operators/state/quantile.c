// quantile.c - see quantile.h.
#include "quantile.h"

#include <math.h>
#include <stdlib.h>

// ---- all values -----------------------------------------------------------------------------------------------------

struct rks_chunk {
    struct rks_chunk *prev;
    uint16_t nth;   // how many came before, at most NTH_MAX
    uint8_t format; // 0: f64, else i32 over 10^(format - 1)
    uint8_t pad;
    uint32_t n; // values, when it is not the last
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

static char *chunk_data(struct rks_chunk *k)
{
    return (char *)(k + 1);
}

static uint32_t chunk_room(const struct rks_chunk *k)
{
    return (uint32_t)((chunk_bytes(k->nth) - sizeof *k) / format_size(k->format));
}

bool rks_values_grow(rks_quantiles *q, rks_values *t, unsigned format)
{
    unsigned nth = !t->last ? 0 : t->last->nth < NTH_MAX ? t->last->nth + 1u : NTH_MAX;
    struct rks_chunk *k = rks_alloc(q->slab, chunk_bytes(nth));

    if (!k)
        return false;
    if (t->last)
        t->last->n = chunk_room(t->last) - t->left;
    *k = (struct rks_chunk){ .prev = t->last, .nth = (uint16_t)nth, .format = (uint8_t)format };
    t->last = k;
    t->at = chunk_data(k);
    t->left = chunk_room(k);
    t->format = format;
    return true;
}

// Values as i32 over a power of ten; false when one of them is not.
static bool to_format(unsigned format, const double *v, const uint8_t *valid, uint32_t n, int32_t *to)
{
    const double scale = scales[format], limit = INT32_MAX;

    for (uint32_t from = 0; from < n; from += 64) {
        uint32_t end = n - from < 64 ? n : from + 64;
        bool ok = true;

        for (uint32_t i = from; i < end; i++) {
            double x = valid && !rkp_bit(valid, i) ? 0 : v[i];
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

uint8_t rks_values_format(uint8_t format, const double *v, const uint8_t *valid, uint32_t n, int32_t *ints)
{
    while (format && !to_format(format, v, valid, n, ints))
        format = format + 1 < FORMATS ? (uint8_t)(format + 1) : 0;
    return format;
}

// The values in a chunk of t.
static uint32_t chunk_used(const rks_values *t, const struct rks_chunk *k)
{
    return k == t->last ? chunk_room(k) - t->left : k->n;
}

static uint64_t values_count(const rks_values *t)
{
    uint64_t n = 0;

    for (struct rks_chunk *k = t->last; k; k = k->prev)
        n += chunk_used(t, k);
    return n;
}

void rks_values_ask(const rks_values *const *t, uint32_t n)
{
    enum { STEPS = 24 }; // of a group; large ones would drive each other out of the cache
    const struct rks_chunk *at[RKS_VALUES_TOGETHER];
    uint32_t left = 0;

    for (uint32_t i = 0; i < n; i++)
        if (t[i]->last)
            at[left++] = t[i]->last;
    for (uint32_t step = 0; left && step < STEPS; step++) {
        uint32_t m = 0;

        for (uint32_t i = 0; i < left; i++) {
            const struct rks_chunk *k = at[i];

            for (size_t line = 64; line < chunk_bytes(k->nth); line += 64)
                __builtin_prefetch((const char *)k + line);
            __builtin_prefetch(k->prev);
            if (k->prev)
                at[m++] = k->prev;
        }
        left = m;
    }
}

// Chunks {format, values, bytes}; one without values ends them.
void rks_values_save(const rks_values *t, rks_spill *to)
{
    uint32_t head[2] = { 0, 0 };

    for (struct rks_chunk *k = t->last; k; k = k->prev) {
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

rkp_status rks_values_load(rks_quantiles *q, rks_values *t, rks_spill *from)
{
    uint32_t head[2];

    *t = (rks_values){ 0 };
    for (;;) {
        if (!rks_spill_get(from, head, sizeof head))
            return from->st;
        if (!head[1])
            return RKP_OK;
        while (head[1]) {
            uint32_t part;
            size_t bytes;

            if ((t->left == 0 || t->format != head[0]) && !rks_values_grow(q, t, head[0]))
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

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "values are saved as they are in memory");

// Chunks {format, number of values, values}; the format FORMATS ends them.
void rks_values_checkpoint(const rks_values *t, rkp_save *to)
{
    static const uint8_t end = FORMATS;

    for (struct rks_chunk *k = t->last; k; k = k->prev) {
        uint32_t n = chunk_used(t, k);

        rkp_save_bytes(to, &k->format, 1);
        rkp_save_u64(to, n);
        rkp_save_bytes(to, chunk_data(k), n * format_size(k->format));
    }
    rkp_save_bytes(to, &end, 1);
}

rkp_status rks_values_restore(rks_quantiles *q, rks_values *t, rkp_load *from)
{
    *t = (rks_values){ 0 };
    for (;;) {
        uint8_t format = 0;
        uint64_t n;

        rkp_load_bytes(from, &format, 1);
        if (!rkp_load_ok(from) || format == FORMATS)
            return rkp_load_status(from);
        if (format > FORMATS)
            return rkp_load_refuse(from, "values are in no form that is known");
        n = rkp_load_count(from, format_size(format));
        while (n) {
            uint32_t part;

            if ((t->left == 0 || t->format != format) && !rks_values_grow(q, t, format))
                return RKP_NOMEM;
            part = t->left < n ? t->left : (uint32_t)n;
            rkp_load_bytes(from, t->at, part * format_size(format));
            t->at += part * format_size(format);
            t->left -= part;
            n -= part;
        }
    }
}

void rks_values_free(rks_quantiles *q, rks_values *t)
{
    struct rks_chunk *prev;

    for (struct rks_chunk *k = t->last; k; k = prev) {
        prev = k->prev;
        rks_free(q->slab, k, chunk_bytes(k->nth));
    }
    *t = (rks_values){ 0 };
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
static inline double chunk_value(struct rks_chunk *k, uint32_t i)
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
static uint64_t scan(const rks_values *t, uint64_t mask, uint64_t prefix, int shift, uint64_t *hist, uint64_t *list)
{
    uint64_t m = 0;

    for (struct rks_chunk *c = t->last; c; c = c->prev)
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
static uint64_t select_far(rks_quantiles *q, const rks_values *t, uint64_t k)
{
    uint64_t *hist = q->scratch;
    uint64_t prefix = 0, mask = 0;

    _Static_assert(RKS_SCRATCH >= 4096, "the histogram fits");
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
        if (hist[bits] <= RKS_LIST)
            return select_uint64_t(q->list, (size_t)scan(t, mask, prefix, 0, NULL, q->list), (size_t)k);
    }
}

// Between two neighbours of a sorted list.
static double between(double lo, double hi, double part)
{
    double apart = hi - lo;

    if (part == 0 || lo == hi)
        return lo;
    // An end is infinite, or they are further apart than a double is large.
    return isfinite(apart) ? lo + apart * part : lo * (1 - part) + hi * part;
}

// The values of ranks k and k + 1 when all are i32 over one power of ten.
static bool select_ints(rks_quantiles *q, const rks_values *t, uint64_t n, uint64_t k, double *lo, double *hi)
{
    uint32_t *list = (uint32_t *)(void *)q->list, a;
    unsigned format = t->last->format;
    size_t m = 0;

    if (!format || n > 2 * RKS_LIST)
        return false;
    for (struct rks_chunk *c = t->last; c; c = c->prev) {
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

bool rks_values_quantile(rks_quantiles *q, const rks_values *t, double at, double *out)
{
    uint64_t n = values_count(t), k, a, b;
    double h = (double)(n - 1) * at, lo, hi;

    if (!n)
        return false;
    k = (uint64_t)h;
    if (k > n - 1)
        k = n - 1;
    if (!select_ints(q, t, n, k, &lo, &hi)) {
        if (n <= RKS_LIST) {
            scan(t, 0, 0, 0, NULL, q->list);
            a = select_uint64_t(q->list, (size_t)n, (size_t)k);
            b = next_uint64_t(q->list, (size_t)n, (size_t)k, a);
        } else {
            a = b = select_far(q, t, k);
            if (k + 1 < n && h > (double)k)
                b = select_far(q, t, k + 1);
        }
        lo = unordered(a);
        hi = unordered(b);
    }
    *out = between(lo, hi, h - (double)k);
    return true;
}

// ---- a digest -------------------------------------------------------------------------------------------------------

struct centroid {
    double mean, weight;
};

struct rks_digest {
    uint64_t n, below, above, nans; // finite values; -inf, inf, NaN
    double min, max;
    struct centroid *c;
    double *buf;
    uint32_t n_c, cap_c, n_buf, cap_buf;
};

enum { DIGEST_SIZE = 100, DIGEST_BUF = 512, DIGEST_MOST = 3584 }; // the last: centroids; n = 2^64 makes about 2,100

// A few hundred finite values.
static void sort_f64(double *v, uint32_t n)
{
    while (n > 24) {
        double a = v[0], b = v[n / 2], c = v[n - 1];
        double pivot = a < b ? (b < c ? b : a < c ? c : a) : (a < c ? a : b < c ? c : b);
        uint32_t i = 0, j = n - 1;

        for (;;) {
            while (v[i] < pivot)
                i++;
            while (v[j] > pivot)
                j--;
            if (i >= j)
                break;
            a = v[i];
            v[i++] = v[j];
            v[j--] = a;
        }
        if (j + 1 < n - (j + 1)) { // the smaller side first, so that the depth stays small
            sort_f64(v, j + 1);
            v += j + 1;
            n -= j + 1;
        } else {
            sort_f64(v + j + 1, n - (j + 1));
            n = j + 1;
        }
    }
    for (uint32_t i = 1; i < n; i++) {
        double x = v[i];
        uint32_t j = i;

        for (; j && v[j - 1] > x; j--)
            v[j] = v[j - 1];
        v[j] = x;
    }
}

static rkp_status digest_merge(rks_quantiles *q, rks_digest *d)
{
    struct centroid *to = (void *)q->scratch;
    uint32_t n = 0, i = 0, j = 0;
    double done = 0, total = (double)d->n;

    _Static_assert(RKS_SCRATCH * sizeof *q->scratch >= DIGEST_MOST * sizeof *to, "the centroids fit");
    sort_f64(d->buf, d->n_buf);
    while (i < d->n_c || j < d->n_buf) {
        struct centroid c;

        if (j == d->n_buf || (i < d->n_c && d->c[i].mean <= d->buf[j]))
            c = d->c[i++];
        else
            c = (struct centroid){ d->buf[j++], 1 };
        if (n) {
            struct centroid *last = &to[n - 1];
            double w = last->weight + c.weight;
            double rank = (done + w / 2) / total;

            if (w <= 4 * total * rank * (1 - rank) / DIGEST_SIZE || n == DIGEST_MOST) {
                last->mean += (c.mean - last->mean) * c.weight / w;
                last->weight = w;
                continue;
            }
            done += last->weight;
        }
        to[n++] = c;
    }
    if (n > d->cap_c) {
        uint32_t cap = (uint32_t)(rks_alloc_size((n + n / 4) * sizeof *d->c) / sizeof *d->c);
        struct centroid *v = rks_alloc(q->slab, cap * sizeof *v);

        if (!v)
            return RKP_NOMEM;
        rks_free(q->slab, d->c, d->cap_c * sizeof *v);
        d->c = v;
        d->cap_c = cap;
    }
    memcpy(d->c, to, n * sizeof *to);
    d->n_c = n;
    d->n_buf = 0;
    return RKP_OK;
}

rkp_status rks_digest_add(rks_quantiles *q, rks_digest **of, double v)
{
    rks_digest *d = *of;

    if (!d) {
        d = rks_alloc(q->slab, sizeof *d);
        if (!d)
            return RKP_NOMEM;
        *d = (rks_digest){ 0 };
        *of = d;
    }
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
            if (digest_merge(q, d) != RKP_OK)
                return RKP_NOMEM;
        } else {
            uint32_t cap = d->cap_buf ? d->cap_buf * 2 : 8;
            double *buf = rks_alloc(q->slab, cap * sizeof *buf);

            if (!buf)
                return RKP_NOMEM;
            if (d->n_buf)
                memcpy(buf, d->buf, d->n_buf * sizeof *buf);
            rks_free(q->slab, d->buf, d->cap_buf * sizeof *buf);
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

// The value at rank h (from 0) of the finite ones.
static double digest_at(const rks_digest *d, double h)
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

rkp_status rks_digest_quantile(rks_quantiles *q, rks_digest *d, double at, double *out, bool *has)
{
    double all, h;

    *has = false;
    if (!d)
        return RKP_OK;
    all = (double)(d->n + d->below + d->above + d->nans);
    h = (all - 1) * at;
    *has = true;
    if (d->n_c && d->n_buf && digest_merge(q, d) != RKP_OK)
        return RKP_NOMEM;
    if (!d->n_c)
        sort_f64(d->buf, d->n_buf);
    if (h < (double)d->below)
        *out = -INFINITY;
    else if ((h -= (double)d->below) <= (double)d->n - 1)
        *out = digest_at(d, h);
    else
        *out = h - (double)d->n < (double)d->above ? INFINITY : NAN;
    return RKP_OK;
}

void rks_digest_save(const rks_digest *d, rks_spill *to)
{
    char has = d != NULL;

    rks_spill_put(to, &has, 1);
    if (!d)
        return;
    rks_spill_put(to, d, sizeof *d);
    rks_spill_put(to, d->c, d->n_c * sizeof *d->c);
    rks_spill_put(to, d->buf, d->n_buf * sizeof *d->buf);
}

rkp_status rks_digest_load(rks_quantiles *q, rks_digest **out, rks_spill *from)
{
    rks_digest *d;
    char has;

    *out = NULL;
    if (!rks_spill_get(from, &has, 1))
        return from->st;
    if (!has)
        return RKP_OK;
    d = rks_alloc(q->slab, sizeof *d);
    if (!d)
        return RKP_NOMEM;
    if (!rks_spill_get(from, d, sizeof *d))
        return from->st;
    d->c = d->cap_c ? rks_alloc(q->slab, d->cap_c * sizeof *d->c) : NULL;
    d->buf = d->cap_buf ? rks_alloc(q->slab, d->cap_buf * sizeof *d->buf) : NULL;
    if ((d->cap_c && !d->c) || (d->cap_buf && !d->buf))
        return RKP_NOMEM;
    if (!rks_spill_get(from, d->c, d->n_c * sizeof *d->c) || !rks_spill_get(from, d->buf, d->n_buf * sizeof *d->buf))
        return from->st;
    *out = d;
    return RKP_OK;
}

void rks_digest_checkpoint(const rks_digest *d, rkp_save *to)
{
    rkp_save_bool(to, d != NULL);
    if (!d)
        return;
    rkp_save_u64(to, d->n);
    rkp_save_u64(to, d->below);
    rkp_save_u64(to, d->above);
    rkp_save_u64(to, d->nans);
    rkp_save_f64(to, d->min);
    rkp_save_f64(to, d->max);
    rkp_save_u64(to, d->n_c);
    for (uint32_t i = 0; i < d->n_c; i++) {
        rkp_save_f64(to, d->c[i].mean);
        rkp_save_f64(to, d->c[i].weight);
    }
    rkp_save_u64(to, d->n_buf);
    for (uint32_t i = 0; i < d->n_buf; i++)
        rkp_save_f64(to, d->buf[i]);
}

// Room for at least n values, a size that rks_digest_add makes: it merges when the largest of them is full.
static uint32_t buf_room(uint32_t n)
{
    uint32_t cap = 8;

    while (cap < n)
        cap *= 2;
    return n ? cap : 0;
}

// Its numbers, and room for what they say.
static rkp_status digest_restore_head(rks_quantiles *q, rks_digest *d, rkp_load *from)
{
    uint64_t n;

    d->n = rkp_load_u64(from);
    d->below = rkp_load_u64(from);
    d->above = rkp_load_u64(from);
    d->nans = rkp_load_u64(from);
    d->min = rkp_load_f64(from);
    d->max = rkp_load_f64(from);
    n = rkp_load_count(from, 2 * sizeof(double));
    if (n > DIGEST_MOST)
        return rkp_load_refuse(from, "a digest is too large");
    d->cap_c = (uint32_t)n;
    d->c = n ? rks_alloc(q->slab, (size_t)n * sizeof *d->c) : NULL;
    return n && !d->c ? RKP_NOMEM : rkp_load_status(from);
}

rkp_status rks_digest_restore(rks_quantiles *q, rks_digest **out, rkp_load *from)
{
    rks_digest *d;
    rkp_status st;
    bool sane = true;
    uint64_t n;

    *out = NULL;
    if (!rkp_load_bool(from))
        return rkp_load_status(from);
    d = rks_alloc(q->slab, sizeof *d);
    if (!d)
        return RKP_NOMEM;
    *d = (rks_digest){ 0 };
    *out = d;
    st = digest_restore_head(q, d, from);
    if (st != RKP_OK)
        return st;
    for (; d->n_c < d->cap_c; d->n_c++) {
        struct centroid *c = &d->c[d->n_c];

        c->mean = rkp_load_f64(from);
        c->weight = rkp_load_f64(from);
        sane &= isfinite(c->mean) && isfinite(c->weight) && c->weight >= 1;
    }
    n = rkp_load_count(from, sizeof *d->buf);
    if (n > DIGEST_BUF)
        return rkp_load_refuse(from, "a digest is too large");
    d->cap_buf = buf_room((uint32_t)n);
    d->buf = n ? rks_alloc(q->slab, d->cap_buf * sizeof *d->buf) : NULL;
    if (n && !d->buf)
        return RKP_NOMEM;
    for (; d->n_buf < n; d->n_buf++) {
        d->buf[d->n_buf] = rkp_load_f64(from);
        sane &= isfinite(d->buf[d->n_buf]);
    }
    // Without centroids the rank of a value is its place in the buffer.
    sane &= d->n_c ? d->n >= (uint64_t)d->n_c + d->n_buf : d->n == d->n_buf;
    sane &= isfinite(d->min) && isfinite(d->max);
    return sane ? rkp_load_status(from) : rkp_load_refuse(from, "a digest contradicts itself");
}

void rks_digest_free(rks_quantiles *q, rks_digest *d)
{
    if (!d)
        return;
    rks_free(q->slab, d->c, d->cap_c * sizeof *d->c);
    rks_free(q->slab, d->buf, d->cap_buf * sizeof *d->buf);
    rks_free(q->slab, d, sizeof *d);
}
