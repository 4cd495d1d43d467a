// hand_j4 IN OUT: J4 by hand. By minute of ts_ms and key: count, mean and maximum of value, sorted by minute and key.
//
// Keys become small numbers, a minute is an array of one cell per key, so a row touches one cell; sums are kept as
// whole thousandths. Minutes are found by their distance from the first one seen, so rows may be late by any time.
#include "hand.h"

enum { TS, KEY, VALUE, KIND, FIELDS };
enum { MINUTE_MS = 60000 };

struct cell {
    uint64_t sum; // thousandths
    uint32_t n, max;
};
struct minute {
    struct cell *cell; // by key
    uint32_t n;
};
struct minutes {
    struct minute *of;
    uint64_t first; // number of the minute at of[0]
    size_t n;
};

// The cell of a minute and key that are not there yet: makes room in front, behind, or for more keys.
static struct cell *cell_new(struct minutes *m, uint64_t minute, uint32_t key, uint32_t keys_room)
{
    if (!m->n)
        m->first = minute;
    if (minute < m->first || minute - m->first >= m->n) {
        uint64_t first = minute < m->first ? minute : m->first;
        uint64_t end = minute < m->first ? m->first + m->n : minute + 1;
        if (end - first > (uint64_t)1 << 24)
            die("input", "the rows span too many minutes for this loop");
        struct minute *of = must(calloc(end - first, sizeof *of));
        if (m->n)
            memcpy(of + (m->first - first), m->of, m->n * sizeof *of);
        free(m->of);
        *m = (struct minutes){ of, first, end - first };
    }
    struct minute *w = &m->of[minute - m->first];
    if (key >= w->n) {
        uint32_t n = w->n ? keys_room : key < 1024 ? 1024 : keys_room;
        n = n > key ? n : key + 1;
        w->cell = must(realloc(w->cell, n * sizeof *w->cell));
        memset(w->cell + w->n, 0, (n - w->n) * sizeof *w->cell);
        w->n = n;
    }
    return &w->cell[key];
}

int main(int argc, char **argv)
{
    struct input in;
    struct output out;
    struct index x = { 0 };
    struct keys keys;
    struct minutes minutes = { 0 };
    index_fn *separators = index_best();
    bool header = true;

    if (argc != 3)
        die("usage", "hand_j4 IN OUT");
    input_open(&in, argv[1]);
    output_open(&out, argv[2]);
    keys_init(&keys);
    while (csv_block(&in, &x, separators)) {
        const char *data = input_data(&in), *row = data;
        if (x.n % FIELDS)
            die("input", "a row has not four fields");
        for (const uint32_t *at = x.at; at < x.at + x.n; row = data + at[KIND] + 1, at += FIELDS) {
            if (data[at[KIND]] != '\n')
                die("input", "a row has not four fields");
            if (header) {
                header = false;
                continue;
            }
            uint64_t minute = whole(row, data + at[TS]) / MINUTE_MS;
            uint64_t value = fixed(data + at[KEY] + 1, data + at[VALUE], 3);
            uint32_t key = keys_get(&keys, data + at[TS] + 1, at[KEY] - at[TS] - 1);
            uint64_t w = minute - minutes.first;
            struct cell *c;
            if (__builtin_expect(w < minutes.n && key < minutes.of[w].n, 1))
                c = &minutes.of[w].cell[key];
            else
                c = cell_new(&minutes, minute, key, keys.room);
            if (__builtin_expect(value > UINT32_MAX, 0))
                die("input", "a value is too large for this loop");
            c->n++;
            c->sum += value;
            c->max = (uint32_t)value > c->max ? (uint32_t)value : c->max;
        }
    }
    uint32_t *order = keys_sorted(&keys);
    PUT(&out, "w,key,n,m,mx\n");
    for (size_t w = 0; w < minutes.n; w++) {
        for (uint32_t i = 0; i < keys.n; i++) {
            if (order[i] >= minutes.of[w].n || !minutes.of[w].cell[order[i]].n)
                continue;
            const struct cell *c = &minutes.of[w].cell[order[i]];
            const struct key *key = &keys.of[order[i]];
            output_need(&out, key->n + 150);
            put_uint(&out, (minutes.first + w) * MINUTE_MS, 1);
            PUT(&out, ",");
            put(&out, key->text, key->n);
            PUT(&out, ",");
            put_uint(&out, c->n, 1);
            PUT(&out, ",");
            put_fixed(&out, c->sum / c->n, 1000, 3);               // mean: three decimals,
            put_uint(&out, c->sum % c->n * 1000000000u / c->n, 9); // and nine more
            PUT(&out, ",");
            put_fixed(&out, c->max, 1000, 3);
            PUT(&out, "\n");
        }
    }
    output_close(&out);
    return 0;
}
