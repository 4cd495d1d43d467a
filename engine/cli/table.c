// cli/table.c - see table.h.
#include "cli/table.h"

#include "cli/remote.h"

#include <stdio.h>

enum { CELL = 80 };

rkp_str rki_table_cell(rki_table *t, rkp_str s)
{
    rki_buf b;
    rkp_str got = { "", 0 };
    rki_buf_init(&b);
    rki_remote_text(&b, (rkp_str){ s.p, s.n < CELL ? s.n : CELL });
    if (!b.failed)
        got = rki_dup_str(t->a, (rkp_str){ b.p, b.n });
    rki_buf_fini(&b);
    return got.p ? got : (rkp_str){ "", 0 };
}

// 1234567 -> "1,234,567"
rkp_str rki_table_number(rki_table *t, uint64_t v)
{
    char text[32], *p = text + sizeof text;
    int n = 0;
    do {
        if (n && n % 3 == 0)
            *--p = ',';
        *--p = (char)('0' + v % 10);
        v /= 10;
        n++;
    } while (v);
    return rki_table_cell(t, (rkp_str){ p, (size_t)(text + sizeof text - p) });
}

rkp_str *rki_table_row(rki_table *t)
{
    if (t->n == t->cap)
        return NULL;
    for (size_t i = 0; i < RKI_TABLE_COLUMNS; i++)
        t->rows[t->n][i] = (rkp_str){ "", 0 };
    return t->rows[t->n++];
}

static size_t width(rkp_str s)
{
    return rki_code_points(s.p, s.p + s.n);
}

void rki_table_print(const rki_table *t, rki_buf *out)
{
    size_t wide[RKI_TABLE_COLUMNS] = { 0 };
    for (size_t c = 0; c < t->n_columns; c++) {
        wide[c] = strlen(t->heads[c]) - (t->heads[c][0] == '>');
        for (size_t r = 0; r < t->n; r++)
            wide[c] = width(t->rows[r][c]) > wide[c] ? width(t->rows[r][c]) : wide[c];
    }
    for (size_t r = 0; r <= t->n; r++) {
        size_t blanks = 0; // not written at the end of a line
        for (size_t c = 0; c < t->n_columns; c++) {
            bool right = t->heads[c][0] == '>';
            rkp_str s = r ? t->rows[r - 1][c] : rkp_str_of(t->heads[c] + right);
            size_t pad = wide[c] - width(s);
            blanks += right ? pad : 0;
            for (; s.n && blanks; blanks--)
                rki_putc(out, ' ');
            rki_put(out, s.p, s.n);
            blanks += (right ? 0 : pad) + 2;
        }
        rki_putc(out, '\n');
    }
}

uint64_t rki_table_count(const rki_json_node *of, const char *key)
{
    uint64_t v = 0;
    rki_json_count(rki_json_get(of, key), &v);
    return v;
}

// "12 / 1,024": messages that wait, and how many may.
rkp_str rki_table_fill(rki_table *t, uint64_t messages, uint64_t capacity)
{
    rkp_str a = rki_table_number(t, messages), b = rki_table_number(t, capacity), s;
    if (!capacity)
        return (rkp_str){ "", 0 };
    s = rki_printf(t->a, "%.*s / %.*s", RKP_STR_ARG(a), RKP_STR_ARG(b));
    return s.p ? s : (rkp_str){ "", 0 };
}

// Rows for a list, `each` for one of it.
bool rki_table_sized(rki_table *t, const rki_json_node *list, size_t each)
{
    t->cap = list ? list->n * each : 0;
    t->rows = rki_array(t->a, t->cap ? t->cap : 1, sizeof *t->rows);
    return t->rows != NULL;
}

// 0.0000123 -> "12.3 us"
rkp_str rki_table_duration(rki_table *t, const rki_json_node *n)
{
    static const struct {
        double least, per;
        const char *unit;
    } units[] = { { 1, 1, "s" }, { 1e-3, 1e3, "ms" }, { 0, 1e6, "us" } };
    double v = 0;
    int i = 0;
    rkp_str s;
    if (!n || !rki_json_float(n, &v) || v < 0)
        return (rkp_str){ "", 0 };
    while (v < units[i].least)
        i++;
    s = rki_printf(t->a, v * units[i].per < 99.95 ? "%.1f %s" : "%.0f %s", v * units[i].per, units[i].unit);
    return s.p ? s : (rkp_str){ "", 0 };
}

void rki_table_head(const rki_json_node *s, rki_buf *out)
{
    rkp_str mode = rki_json_text(rki_json_get(s, "mode"), "");
    double up;
    rki_remote_text(out, rki_json_text(rki_json_get(s, "name"), "?"));
    rki_putz(out, ": ");
    rki_remote_text(out, rki_json_text(rki_json_get(s, "state"), "?"));
    if (mode.n) {
        rki_putz(out, ", ");
        rki_remote_text(out, mode);
    }
    if (rki_json_float(rki_json_get(s, "uptime_seconds"), &up) && up >= 0 && up < 1e12) {
        uint64_t sec = (uint64_t)up;
        if (sec < 60)
            rki_putf(out, ", up %.1f s", up);
        else
            rki_putf(out, ", up %llu:%02llu:%02llu", (unsigned long long)(sec / 3600),
                     (unsigned long long)(sec / 60 % 60), (unsigned long long)(sec % 60));
    }
}
