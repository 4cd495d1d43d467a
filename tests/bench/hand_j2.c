// hand_j2 IN OUT [nop95]: J2 by hand. By account: count, sum, mean and exact p95 of amount, sorted by account.
//
// Amounts are kept as cents, so the sums are exact. Each account's amounts go to a list of small pieces; at the end
// they are gathered and the two values around p95 are selected: partition without branches, around a pivot guessed from
// a sample at the same quantile, so that the first pass leaves a few per cent of the values.
#include "hand.h"
#include <math.h>

enum { TX, TS, ACCOUNT, MERCHANT, COUNTRY, CATEGORY, AMOUNT, CURRENCY, STATUS, NOTE, FIELDS };
enum { PIECE = 125, PIECES_AT_ONCE = 4096 };

struct piece {
    struct piece *before;
    uint32_t n, pad;
    uint32_t cents[PIECE - 1];
};
struct group {
    uint64_t n, cents;
    struct piece *last;
};

static struct piece *piece_new(struct piece *before)
{
    static struct piece *pool;
    static size_t left;
    if (!left) {
        pool = must(malloc((left = PIECES_AT_ONCE) * sizeof *pool));
    }
    struct piece *p = pool + --left;
    p->before = before;
    p->n = 0;
    return p;
}

static size_t below(uint32_t *a, size_t n, uint32_t pivot) // moves what is < pivot to the front
{
    size_t j = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t v = a[i];
        a[i] = a[j];
        a[j] = v;
        j += v < pivot;
    }
    return j;
}

static void insertion_sort(uint32_t *a, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        uint32_t v = a[i];
        size_t j = i;
        for (; j && a[j - 1] > v; j--)
            a[j] = a[j - 1];
        a[j] = v;
    }
}

static uint32_t select_kth(uint32_t *a, size_t n, size_t k) // a[k] as if sorted; what is before it is not greater
{
    while (n > 32) {
        uint32_t sample[32];
        for (size_t i = 0; i < 32; i++)
            sample[i] = a[i * (n - 1) / 31];
        insertion_sort(sample, 32);
        uint32_t pivot = sample[k * 32 / n];
        size_t less = below(a, n, pivot);
        if (k < less) {
            n = less;
            continue;
        }
        size_t equal = below(a + less, n - less, pivot + 1);
        if (k < less + equal)
            return pivot;
        a += less + equal, n -= less + equal, k -= less + equal;
    }
    insertion_sort(a, n);
    return a[k];
}

static double p95(const struct group *g, uint32_t *values) // in cents, interpolated between the two nearest
{
    size_t n = 0;
    for (const struct piece *p = g->last; p; p = p->before) {
        memcpy(values + n, p->cents, p->n * sizeof *values);
        n += p->n;
    }
    double h = (double)(n - 1) * 0.95;
    size_t k = (size_t)h;
    uint32_t low = select_kth(values, n, k), high = UINT32_MAX;
    if (k + 1 == n)
        return low;
    size_t not_above = 0; // values <= low: if there are more than k + 1, the next one is low too
    for (size_t i = 0; i < n; i++) {
        uint32_t v = values[i] > low ? values[i] : UINT32_MAX;
        not_above += values[i] <= low;
        high = v < high ? v : high;
    }
    if (not_above > k + 1)
        high = low;
    return low + (double)(high - low) * (h - (double)k);
}

int main(int argc, char **argv)
{
    struct input in;
    struct output out;
    struct index x = { 0 };
    struct keys keys;
    struct group *groups = NULL;
    size_t n_groups = 0;
    uint64_t most = 0;
    index_fn *separators = index_best();
    bool header = true, with_p95 = argc == 3;

    if (argc != 3 && (argc != 4 || strcmp(argv[3], "nop95") != 0))
        die("usage", "hand_j2 IN OUT [nop95]");
    input_open(&in, argv[1]);
    output_open(&out, argv[2]);
    keys_init(&keys);
    while (csv_block(&in, &x, separators)) {
        const char *data = input_data(&in);
        if (x.n % FIELDS)
            die("input", "a row has not ten fields");
        for (const uint32_t *at = x.at; at < x.at + x.n; at += FIELDS) {
            if (data[at[NOTE]] != '\n')
                die("input", "a row has not ten fields");
            if (header) {
                header = false;
                continue;
            }
            uint64_t cents = fixed(data + at[CATEGORY] + 1, data + at[AMOUNT], 2);
            uint32_t id = keys_get(&keys, data + at[TS] + 1, at[ACCOUNT] - at[TS] - 1);
            if (__builtin_expect(id >= n_groups, 0)) {
                groups = must(realloc(groups, keys.room * sizeof *groups));
                memset(groups + n_groups, 0, (keys.room - n_groups) * sizeof *groups);
                n_groups = keys.room;
            }
            struct group *g = &groups[id];
            g->n++;
            g->cents += cents;
            if (with_p95) {
                if (__builtin_expect(!g->last || g->last->n == PIECE - 1, 0))
                    g->last = piece_new(g->last);
                if (__builtin_expect(cents >= UINT32_MAX, 0))
                    die("input", "an amount is too large for this loop");
                g->last->cents[g->last->n++] = (uint32_t)cents;
            }
        }
    }
    for (uint32_t i = 0; i < keys.n; i++)
        most = groups[i].n > most ? groups[i].n : most;
    uint32_t *values = must(malloc((most + 1) * sizeof *values)), *order = keys_sorted(&keys);
    if (with_p95)
        PUT(&out, "account,n,s,m,p95\n");
    else
        PUT(&out, "account,n,s,m\n");
    for (uint32_t i = 0; i < keys.n; i++) {
        const struct key *key = &keys.of[order[i]];
        const struct group *g = &groups[order[i]];
        output_need(&out, key->n + 200);
        put(&out, key->text, key->n);
        PUT(&out, ",");
        put_uint(&out, g->n, 1);
        PUT(&out, ",");
        put_fixed(&out, g->cents, 100, 2);
        out.p += snprintf(out.p, 40, ",%.15g", (double)g->cents / 100.0 / (double)g->n);
        if (with_p95)
            out.p += snprintf(out.p, 40, ",%.15g", p95(g, values) / 100.0);
        PUT(&out, "\n");
    }
    output_close(&out);
    return 0;
}
