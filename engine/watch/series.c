// series.c - one ring of times, one ring of values per series.
//
//   times    [ 10 | 20 | 30 | .. ]        tick number t is at t % cap
//   values   [ 1  | 1  | gap| .. ]        of series 0
//            [ gap| 7  |stale..  ]        of series 1
//
// A series is found by the hash of its labels, in a table with open addresses that is never more than half full.  A series
// whose last value has left the ring gives its place to the next new one.
#include "watch/series.h"

#include <stdlib.h>

enum { SERIES_DEFAULT = 10000, TABLE_MIN = 64 };
#define BYTES_DEFAULT ((size_t)256 << 20)

typedef struct one {
    rki_labels labels;
    rkp_str name;
    double *values;
    void *memory;       // labels and their texts
    size_t bytes;       // of all of it
    uint64_t last_tick; // in which it had a value
    bool there;         // it was in the last tick
} one;

struct rki_series {
    int64_t keep_ms;
    uint32_t cap, max_series;
    size_t bytes, max_bytes;
    int64_t *times;
    uint64_t tick; // number of the one that is being filled, or of the last one; the first is 1
    uint64_t first;
    bool open;
    one *v;
    uint32_t n, room;
    uint32_t *table; // index + 1
    uint32_t table_n;
    uint64_t refused, rejected, lost;
};

rki_series *rki_series_new(const rki_series_conf *conf)
{
    rki_series *s = calloc(1, sizeof *s);
    int64_t interval = conf->interval_ms > 0 ? conf->interval_ms : 1;
    int64_t cap = (conf->keep_ms > 0 ? conf->keep_ms : 0) / interval + 2;

    if (!s)
        return NULL;
    s->keep_ms = conf->keep_ms;
    s->cap = cap > 1 << 20 ? 1 << 20 : (uint32_t)cap;
    s->max_series = conf->max_series ? conf->max_series : SERIES_DEFAULT;
    s->max_bytes = conf->max_bytes ? conf->max_bytes : BYTES_DEFAULT;
    s->times = calloc(s->cap, sizeof *s->times);
    s->table_n = TABLE_MIN;
    s->table = calloc(s->table_n, sizeof *s->table);
    s->bytes = s->cap * sizeof *s->times + s->table_n * sizeof *s->table;
    s->first = 1;
    if (!s->times || !s->table) {
        rki_series_free(s);
        return NULL;
    }
    return s;
}

static void one_fini(one *o)
{
    free(o->values);
    free(o->memory);
    *o = (one){ 0 };
}

void rki_series_free(rki_series *s)
{
    if (!s)
        return;
    for (uint32_t i = 0; i < s->n; i++)
        one_fini(&s->v[i]);
    free(s->v);
    free(s->table);
    free(s->times);
    free(s);
}

// ---- finding --------------------------------------------------------------------------------------------------------

static void table_put(rki_series *s, uint32_t i)
{
    uint32_t at = (uint32_t)s->v[i].labels.hash & (s->table_n - 1);

    while (s->table[at])
        at = (at + 1) & (s->table_n - 1);
    s->table[at] = i + 1;
}

static void table_fill(rki_series *s)
{
    memset(s->table, 0, s->table_n * sizeof *s->table);
    for (uint32_t i = 0; i < s->n; i++)
        if (s->v[i].values)
            table_put(s, i);
}

static bool table_grow(rki_series *s)
{
    uint32_t *t, n = s->table_n * 2;

    if (s->n + 1 <= s->table_n / 2)
        return true;
    t = calloc(n, sizeof *t);
    if (!t)
        return false;
    free(s->table);
    s->bytes += (n - s->table_n) * sizeof *t;
    s->table = t;
    s->table_n = n;
    table_fill(s);
    return true;
}

static one *find(const rki_series *s, const rki_labels *l)
{
    for (uint32_t at = (uint32_t)l->hash & (s->table_n - 1); s->table[at]; at = (at + 1) & (s->table_n - 1)) {
        one *o = &s->v[s->table[at] - 1];

        if (rki_labels_eq(&o->labels, l))
            return o;
    }
    return NULL;
}

// ---- a new series ---------------------------------------------------------------------------------------------------

// The place of a series that has left the ring, or a new one; UINT32_MAX: there is no room.
static uint32_t place(rki_series *s)
{
    if (s->n >= s->max_series) {
        for (uint32_t i = 0; i < s->n; i++) {
            if (s->v[i].last_tick + s->cap > s->tick)
                continue;
            s->bytes -= s->v[i].bytes;
            one_fini(&s->v[i]);
            table_fill(s);
            return i;
        }
        return UINT32_MAX;
    }
    if (s->n == s->room) {
        uint32_t room = s->room ? s->room * 2 : 16;
        one *v = realloc(s->v, room * sizeof *v);

        if (!v)
            return UINT32_MAX;
        s->bytes += (room - s->room) * sizeof *v;
        s->v = v;
        s->room = room;
    }
    s->v[s->n] = (one){ 0 };
    return s->n;
}

static bool copy_labels(one *o, const rki_labels *l)
{
    size_t bytes = l->n * sizeof(rki_label);
    rki_label *v;
    char *text;

    for (uint32_t i = 0; i < l->n; i++)
        bytes += l->v[i].name.n + l->v[i].value.n;
    v = o->memory = malloc(bytes ? bytes : 1);
    if (!v)
        return false;
    text = (char *)(v + l->n);
    for (uint32_t i = 0; i < l->n; i++) {
        const rki_label *from = &l->v[i];

        memcpy(text, from->name.p, from->name.n);
        v[i].name = (rkp_str){ text, from->name.n };
        text += from->name.n;
        memcpy(text, from->value.p, from->value.n);
        v[i].value = (rkp_str){ text, from->value.n };
        text += from->value.n;
    }
    o->labels = (rki_labels){ v, l->n, l->hash };
    o->name = rki_labels_get(&o->labels, "__name__");
    o->bytes = bytes;
    return true;
}

static one *new_one(rki_series *s, const rki_labels *l)
{
    size_t bytes = s->cap * sizeof(double);
    uint32_t i = s->bytes + bytes <= s->max_bytes && table_grow(s) ? place(s) : UINT32_MAX;
    one *o;

    if (i == UINT32_MAX)
        return NULL;
    o = &s->v[i];
    o->values = malloc(bytes);
    if (!o->values)
        return NULL;
    if (!copy_labels(o, l)) {
        free(o->values);
        o->values = NULL;
        return NULL;
    }
    for (uint32_t k = 0; k < s->cap; k++)
        o->values[k] = rki_f64_of(RKI_GAP_BITS);
    o->bytes += bytes;
    s->bytes += o->bytes;
    if (i == s->n)
        s->n++;
    table_put(s, i);
    return o;
}

// ---- ticks ----------------------------------------------------------------------------------------------------------

rkp_status rki_series_begin(rki_series *s, int64_t ms)
{
    uint32_t at = (uint32_t)((s->tick + 1) % s->cap);

    if (s->open || (s->tick && ms <= s->times[s->tick % s->cap]))
        return RKP_INVALID;
    s->open = true;
    s->tick++;
    if (s->tick - s->first >= s->cap) {
        s->first = s->tick - s->cap + 1;
        if (s->times[at] >= ms - s->keep_ms)
            s->lost++;
    }
    s->times[at] = ms;
    for (uint32_t i = 0; i < s->n; i++)
        if (s->v[i].values)
            s->v[i].values[at] = rki_f64_of(RKI_GAP_BITS);
    return RKP_OK;
}

rkp_status rki_series_add(rki_series *s, rkp_str name, const rki_label *labels, uint32_t n, double value)
{
    rki_label v[RKI_LABELS_MAX + 1];
    rki_labels l;
    one *o;

    if (n > RKI_LABELS_MAX - 1 || !s->open || !rki_metric_name(name))
        goto bad;
    for (uint32_t i = 0; i < n; i++) {
        if (!rki_label_name(labels[i].name))
            goto bad;
        v[i] = labels[i];
    }
    v[n] = (rki_label){ RKP_STR("__name__"), name };
    if (!rki_labels_make(v, n + 1, &l))
        goto bad;
    o = find(s, &l);
    if (!o)
        o = new_one(s, &l);
    if (!o) {
        s->refused++;
        return RKP_NOMEM;
    }
    if (o->there && o->last_tick == s->tick)
        goto bad;
    o->values[s->tick % s->cap] = value;
    o->last_tick = s->tick;
    o->there = true;
    return RKP_OK;
bad:
    s->rejected++;
    return RKP_INVALID;
}

void rki_series_end(rki_series *s)
{
    for (uint32_t i = 0; i < s->n && s->open; i++) {
        one *o = &s->v[i];

        if (!o->there || o->last_tick == s->tick)
            continue;
        o->there = false;
        o->values[s->tick % s->cap] = rki_f64_of(RKI_STALE_BITS);
        o->last_tick = s->tick;
    }
    s->open = false;
}

void rki_series_end_quiet(rki_series *s)
{
    s->open = false;
}

bool rki_series_copy(rki_series *to, const rki_series *from)
{
    uint64_t first = from->tick + 1 - from->first > to->cap ? from->tick + 1 - to->cap : from->first;

    to->tick = from->tick;
    to->first = first;
    for (uint64_t t = first; t <= from->tick; t++)
        to->times[t % to->cap] = from->times[t % from->cap];
    for (uint32_t i = 0; i < from->n; i++) {
        const one *old = &from->v[i];
        one *o = old->values ? new_one(to, &old->labels) : NULL;

        if (!old->values)
            continue;
        if (!o)
            return false;
        for (uint64_t t = first; t <= from->tick; t++)
            o->values[t % to->cap] = old->values[t % from->cap];
        o->there = old->there;
        o->last_tick = old->last_tick;
    }
    return true;
}

rki_series_stats rki_series_count(const rki_series *s)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < s->n; i++)
        n += s->v[i].values && s->v[i].last_tick + s->cap > s->tick;
    return (rki_series_stats){ .series = n,
                               .max_series = s->max_series,
                               .bytes = s->bytes,
                               .max_bytes = s->max_bytes,
                               .ticks = (uint32_t)(s->tick + 1 - s->first),
                               .refused = s->refused,
                               .rejected = s->rejected,
                               .lost = s->lost };
}

// ---- reading --------------------------------------------------------------------------------------------------------

uint32_t rki_series_n(const rki_series *s)
{
    return s->n;
}

const rki_labels *rki_series_labels(const rki_series *s, uint32_t i)
{
    return &s->v[i].labels;
}

rkp_str rki_series_name(const rki_series *s, uint32_t i)
{
    return s->v[i].name;
}

// The newest tick at or before ms; first - 1 when there is none.
static uint64_t tick_at(const rki_series *s, int64_t ms)
{
    uint64_t low = s->first, high = s->tick + 1; // the answer is before high

    while (low < high) {
        uint64_t mid = low + (high - low) / 2;

        if (s->times[mid % s->cap] <= ms)
            low = mid + 1;
        else
            high = mid;
    }
    return low - 1;
}

bool rki_series_at(const rki_series *s, uint32_t i, int64_t ms, int64_t back, double *value)
{
    const double *v = s->v[i].values;

    if (!v)
        return false;
    for (uint64_t t = tick_at(s, ms); t >= s->first && s->times[t % s->cap] >= ms - back; t--) {
        double x = v[t % s->cap];
        uint64_t bits = rki_bits_of(x);

        if (bits == RKI_GAP_BITS)
            continue;
        *value = x;
        return bits != RKI_STALE_BITS;
    }
    return false;
}

uint32_t rki_series_ticks(const rki_series *s, int64_t from, int64_t to)
{
    return from > to ? 0 : (uint32_t)(tick_at(s, to) - tick_at(s, from - 1));
}

uint32_t rki_series_range(const rki_series *s, uint32_t i, int64_t from, int64_t to, rki_sample *out, uint32_t max)
{
    const double *v = s->v[i].values;
    uint64_t end = tick_at(s, to);
    uint32_t n = 0;

    if (!v || from > to)
        return 0;
    for (uint64_t t = tick_at(s, from - 1) + 1; t <= end; t++) {
        double x = v[t % s->cap];
        uint64_t bits = rki_bits_of(x);

        if (bits == RKI_GAP_BITS || bits == RKI_STALE_BITS)
            continue;
        if (n < max)
            out[n] = (rki_sample){ s->times[t % s->cap], x };
        n++;
    }
    return n;
}
