#include "csv_head.h"

#include <rkpipe/num.h>

#include <stdio.h>

size_t csv_unquote(const struct csv_dialect *d, const char *p, size_t n, char *to)
{
    size_t k = 0;
    if (n < 2 || p[0] != d->quote || !d->quote) {
        memcpy(to, p, n);
        return n;
    }
    for (size_t i = 1; i + 1 < n; i++) {
        to[k++] = p[i];
        if (p[i] == d->quote)
            i++; // "" is one
    }
    return k;
}

// ---- header ---------------------------------------------------------------------------------------------------------

// Bytes of the first line with its end, 0 when the end is not there yet.  Quotes mean nothing here.
static size_t skip_line(const char *p, size_t n, bool at_end)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '\n')
            return i + 1;
        if (p[i] == '\r' && (i + 1 < n || at_end))
            return i + 1 < n && p[i + 1] == '\n' ? i + 2 : i + 1;
    }
    return at_end ? n : 0;
}

// The first record: its bytes without and with its end.  False when the end is not there yet.
static bool first_record(const struct csv_dialect *d, const char *p, size_t n, bool at_end, size_t *text, size_t *whole,
                         bool *lone_cr)
{
    unsigned mode = CSV_START;
    *lone_cr = false;
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '\r' && mode != CSV_QUOTED) {
            if (i + 1 == n && !at_end)
                return false;
            if (i + 1 == n || p[i + 1] != '\n') {
                *lone_cr = i + 1 < n;
                *text = i;
                *whole = i + 1;
                return true;
            }
            *text = i;
            *whole = i + 2;
            return true;
        }
        if (csv_step(d, &mode, p[i]) && p[i] == '\n') {
            *text = i;
            *whole = i + 1;
            return true;
        }
    }
    *text = *whole = n;
    return at_end;
}

static bool name_taken(const rkp_str *names, uint32_t n, rkp_str s)
{
    for (uint32_t i = 0; i < n; i++)
        if (rkp_str_eq(names[i], s))
            return true;
    return false;
}

static bool set_name(struct csv_memory mem, rkp_str *names, uint32_t i, rkp_str name)
{
    char column[24], *p;
    size_t n;
    if (!name.n) {
        int k = snprintf(column, sizeof column, "column%u", i);
        name = (rkp_str){ column, (size_t)k };
    }
    p = mem.alloc(mem.ctx, name.n + 12);
    if (!p)
        return false;
    memcpy(p, name.p, name.n);
    n = name.n;
    if (name_taken(names, i, (rkp_str){ p, n })) {
        unsigned again = 0; // begins behind the a, a_1, .. there are, so that a thousand of them do not take long
        for (uint32_t j = 0; j < i; j++)
            again += names[j].n >= name.n && memcmp(names[j].p, name.p, name.n) == 0 &&
                     (names[j].n == name.n || names[j].p[name.n] == '_');
        do
            n = name.n + (size_t)snprintf(p + name.n, 12, "_%u", again++);
        while (name_taken(names, i, (rkp_str){ p, n }));
    }
    names[i] = (rkp_str){ p, n };
    return true;
}

static enum csv_head_result set_names(const struct csv_dialect *d, const char *p, size_t n, bool header,
                                      struct csv_memory mem, struct csv_head *out)
{
    unsigned mode = CSV_START;
    size_t from = 0;
    uint32_t at = 0;
    char *plain = mem.alloc(mem.ctx, n + 1);
    out->names = mem.alloc(mem.ctx, out->n * sizeof *out->names);
    if (!plain || !out->names)
        return CSV_HEAD_NOMEM;
    for (size_t i = 0; i <= n; i++) {
        rkp_str name = { plain, 0 };
        if (i < n && !csv_step(d, &mode, p[i]))
            continue;
        if (header && !csv_field_ok(d, p + from, i - from))
            return CSV_HEAD_QUOTES;
        if (header)
            name.n = csv_unquote(d, p + from, i - from, plain);
        if (!set_name(mem, out->names, at++, name))
            return CSV_HEAD_NOMEM;
        from = i + 1;
    }
    return CSV_HEAD_OK;
}

enum csv_head_result csv_head(const struct csv_dialect *d, const char *p, size_t n, bool at_end, uint64_t skip_rows,
                              bool header, struct csv_memory mem, struct csv_head *out)
{
    static const char bom[3] = { '\xef', '\xbb', '\xbf' };
    size_t at = 0, start, text, whole;
    uint64_t start_lines;
    unsigned mode = CSV_START;
    *out = (struct csv_head){ 0 };
    if (n < 3 && !at_end && memcmp(p, bom, n) == 0)
        return CSV_HEAD_MORE;
    if (n >= 3 && memcmp(p, bom, 3) == 0)
        at = 3;
    for (uint64_t i = 0; i < skip_rows; i++) {
        size_t k = skip_line(p + at, n - at, at_end);
        if (k == 0)
            return at_end ? CSV_HEAD_EMPTY : CSV_HEAD_MORE;
        at += k;
        out->lines++;
    }
    start = at;
    start_lines = out->lines;
    for (;;) {
        if (at == n)
            return at_end ? CSV_HEAD_EMPTY : CSV_HEAD_MORE;
        if (!first_record(d, p + at, n - at, at_end, &text, &whole, &out->lone_cr))
            return CSV_HEAD_MORE;
        if (text)
            break;
        at += whole; // blank lines before the first record
        out->lines++;
    }
    out->n = 1;
    for (size_t i = 0; i < text; i++)
        out->n += csv_step(d, &mode, p[at + i]);
    if (out->n > CSV_MAX_COLUMNS)
        return CSV_HEAD_WIDE;
    out->at = at;
    if (!header && out->n == 1) { // blank lines are rows then
        out->at = start;
        out->lines = start_lines;
    }
    if (header) {
        for (size_t i = at; i < at + whole; i++)
            out->lines += p[i] == '\n' || (out->lone_cr && p[i] == '\r');
        out->at = at + whole;
    }
    return set_names(d, p + at, text, header, mem, out);
}

// ---- types ----------------------------------------------------------------------------------------------------------

// 007 and -01 are names of something, not numbers.
static bool leading_zero(rkp_str s)
{
    size_t i = s.n && (s.p[0] == '-' || s.p[0] == '+');
    return s.n > i + 1 && s.p[i] == '0' && s.p[i + 1] >= '0' && s.p[i + 1] <= '9';
}

void csv_guess_add(struct csv_guess *g, rkp_str s)
{
    int64_t i;
    double f;
    g->seen = 1;
    if (!g->not_bool && !rkp_str_is(s, "true") && !rkp_str_is(s, "false"))
        g->not_bool = 1;
    if ((!g->not_int || !g->not_float) && leading_zero(s))
        g->not_int = g->not_float = 1;
    if (!g->not_int && !rkp_parse_i64(s.p, s.n, &i))
        g->not_int = 1;
    if (g->not_int && !g->not_float && !rkp_parse_f64(s.p, s.n, &f))
        g->not_float = 1;
    if (!g->not_time && !rkp_parse_timestamp(s.p, s.n, &i))
        g->not_time = 1;
}

unsigned csv_guess_kind(const struct csv_guess *g)
{
    if (!g->seen)
        return RKP_STRING;
    if (!g->not_bool)
        return RKP_BOOL;
    if (!g->not_int)
        return RKP_I64;
    if (!g->not_float)
        return RKP_F64;
    return g->not_time ? RKP_STRING : RKP_TIMESTAMP;
}
