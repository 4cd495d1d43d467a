// set.c - the constants of `x in (..)`.
//
// Up to FEW values are compared one after the other.  More: numbers are sorted and halved; texts go into an open hash
// table, so the cost does not grow with the list.
#include "expr/functions.h"

#include <stdlib.h>

enum { FEW = 8 };

struct rki_set {
    uint8_t kind;
    bool null;
    uint32_t n;
    uint32_t mask; // of the table; 0: none
    union {
        int64_t *i; // also bool, timestamp
        uint64_t *u;
        double *f;
        rkp_str *s;
    } v;
    uint32_t *table; // number of the value + 1, or 0
};

static int by_i64(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static int by_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static int by_f64(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static bool make_table(rki_arena *a, rki_set *s)
{
    uint32_t size = 16;

    while (size < s->n * 2)
        size *= 2;
    s->table = rki_array(a, size, sizeof *s->table);
    if (!s->table)
        return false;
    s->mask = size - 1;
    for (uint32_t i = 0; i < s->n; i++) {
        uint32_t at = (uint32_t)rki_xxh64(s->v.s[i].p, s->v.s[i].n, 0) & s->mask;

        while (s->table[at])
            at = (at + 1) & s->mask;
        s->table[at] = i + 1;
    }
    return true;
}

const rki_set *rki_set_new(rki_arena *a, const rki_node *n)
{
    rki_set *s = rki_alloc(a, sizeof *s);
    bool text;

    if (!s)
        return NULL;
    s->kind = n->arg[0]->kind;
    text = s->kind >= RKP_STRING;
    s->v.i = rki_array(a, n->n, text ? sizeof(rkp_str) : sizeof(int64_t));
    if (!s->v.i)
        return NULL;
    for (uint32_t i = 1; i < n->n; i++) {
        const rki_node *e = n->arg[i];

        if (e->null)
            s->null = true;
        else if (text)
            s->v.s[s->n++] = e->v.s;
        else if (s->kind == RKP_BOOL)
            s->v.i[s->n++] = e->v.b;
        else if (s->kind != RKP_F64)
            s->v.i[s->n++] = e->v.i; // u64 has the same place
        else if (e->v.f == e->v.f)   // nothing equals nan
            s->v.f[s->n++] = e->v.f;
    }
    if (s->n > FEW && text)
        return make_table(a, s) ? s : NULL;
    if (s->n > FEW)
        qsort(s->v.i, s->n, sizeof *s->v.i, s->kind == RKP_F64 ? by_f64 : s->kind == RKP_U64 ? by_u64 : by_i64);
    return s;
}

bool rki_set_null(const rki_set *s)
{
    return s->null;
}

static bool has_str(const rki_set *s, rkp_str v)
{
    if (!s->mask) {
        for (uint32_t i = 0; i < s->n; i++)
            if (s->v.s[i].n == v.n && (v.n == 0 || (s->v.s[i].p[0] == v.p[0] && memcmp(s->v.s[i].p, v.p, v.n) == 0)))
                return true;
        return false;
    }
    for (uint32_t at = (uint32_t)rki_xxh64(v.p, v.n, 0) & s->mask; s->table[at]; at = (at + 1) & s->mask)
        if (rkp_str_eq(s->v.s[s->table[at] - 1], v))
            return true;
    return false;
}

#define HAS(name, T, field)                                                                                            \
    static bool name(const rki_set *s, T v)                                                                            \
    {                                                                                                                  \
        uint32_t lo = 0, hi = s->n;                                                                                    \
        if (s->n <= FEW) {                                                                                             \
            for (uint32_t i = 0; i < s->n; i++)                                                                        \
                if (s->v.field[i] == v)                                                                                \
                    return true;                                                                                       \
            return false;                                                                                              \
        }                                                                                                              \
        while (lo < hi) {                                                                                              \
            uint32_t mid = lo + (hi - lo) / 2;                                                                         \
            if (s->v.field[mid] < v)                                                                                   \
                lo = mid + 1;                                                                                          \
            else                                                                                                       \
                hi = mid;                                                                                              \
        }                                                                                                              \
        return lo < s->n && s->v.field[lo] == v;                                                                       \
    }

HAS(has_i64, int64_t, i)
HAS(has_u64, uint64_t, u)
HAS(has_f64, double, f)

void rki_set_has(const rki_set *s, const rkp_vec *a, uint32_t n, uint8_t *v)
{
    switch (s->kind) {
    case RKP_BOOL:
        for (uint32_t i = 0; i < n; i++)
            v[i] = has_i64(s, RKI_AT(uint8_t, *a, i));
        break;
    case RKP_I64:
    case RKP_TIMESTAMP:
        for (uint32_t i = 0; i < n; i++)
            v[i] = has_i64(s, RKI_AT(int64_t, *a, i));
        break;
    case RKP_U64:
        for (uint32_t i = 0; i < n; i++)
            v[i] = has_u64(s, RKI_AT(uint64_t, *a, i));
        break;
    case RKP_F64:
        for (uint32_t i = 0; i < n; i++)
            v[i] = has_f64(s, RKI_AT(double, *a, i));
        break;
    default:
        for (uint32_t i = 0; i < n; i++)
            v[i] = has_str(s, RKI_AT(rkp_str, *a, i));
        break;
    }
}
