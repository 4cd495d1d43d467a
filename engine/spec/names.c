// names.c - see names.h.  Sorted by length first: most comparisons end there.
#include "spec/names.h"

#include <stdlib.h>

static int compare(rkp_str a, rkp_str b)
{
    if (a.n != b.n)
        return a.n < b.n ? -1 : 1;
    return a.n ? memcmp(a.p, b.p, a.n) : 0;
}

static int by_key(const void *pa, const void *pb)
{
    const rki_name *a = pa, *b = pb;
    int c = compare(a->key, b->key);

    return c ? c : (a->i > b->i) - (a->i < b->i); // the first of equal ones is found
}

bool rki_names_make(rki_arena *a, size_t n, rki_names *to)
{
    to->n = 0;
    to->v = rki_array(a, n, sizeof *to->v);
    return to->v != NULL;
}

void rki_names_add(rki_names *s, rkp_str key, uint32_t i)
{
    s->v[s->n++] = (rki_name){ key, i };
}

void rki_names_sort(rki_names *s)
{
    if (s->n > 1)
        qsort(s->v, s->n, sizeof *s->v, by_key);
}

int rki_names_find(const rki_names *s, rkp_str key)
{
    size_t lo = 0, hi = s->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (compare(s->v[mid].key, key) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < s->n && compare(s->v[lo].key, key) == 0 ? (int)s->v[lo].i : -1;
}
