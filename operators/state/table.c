// table.c - see table.h.
#include "table.h"

#include <rkpipe/num.h>

#include <stdio.h>
#include <stdlib.h>

static rkp_status fail(char err[RKP_FILE_ERR], rkp_status st, const rks_csv *c, const char *what)
{
    snprintf(err, RKP_FILE_ERR, "'%s' line %llu: %s", c->path, (unsigned long long)c->line, what);
    return st;
}

rkp_status rks_csv_open(rks_csv *c, const char *path, char delim, char err[RKP_FILE_ERR])
{
    *c = (rks_csv){ .path = path, .delim = delim, .line = 1, .next_line = 1 };
    return rkp_reader_open(path, RKP_COMPRESS_AUTO, (rkp_str){ NULL, 0 }, &c->r, err);
}

void rks_csv_close(rks_csv *c)
{
    if (c->r)
        rkp_reader_close(c->r);
    free(c->buf);
    free(c->fields);
    *c = (rks_csv){ 0 };
}

// More bytes behind those that are not taken yet.
static rkp_status more(rks_csv *c, char err[RKP_FILE_ERR])
{
    int64_t got;

    if (c->at) {
        memmove(c->buf, c->buf + c->at, c->n - c->at);
        c->n -= c->at;
        c->at = 0;
    }
    if (c->n == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 64 << 10;
        char *buf;

        if (cap > 2 * (size_t)RKS_TABLE_RECORD)
            return fail(err, RKP_IO, c, "a record of more than 16 MiB (is a quote not closed?)");
        buf = realloc(c->buf, cap);
        if (!buf)
            return fail(err, RKP_NOMEM, c, "no memory for a record");
        c->buf = buf;
        c->cap = cap;
    }
    got = rkp_reader_read(c->r, c->buf + c->n, c->cap - c->n, err);
    if (got < 0)
        return RKP_IO;
    c->n += (size_t)got;
    c->ended = got == 0;
    return RKP_OK;
}

// Finds the end of the record that begins at `at`: the place of its \n, or n at the end of the file.
static bool find_end(const rks_csv *c, size_t *end)
{
    enum { START, PLAIN, QUOTED, CLOSED } in = START; // of a field

    for (size_t i = c->at; i < c->n; i++) {
        char ch = c->buf[i];

        if (in == QUOTED) {
            in = ch == '"' ? CLOSED : QUOTED;
        } else if (ch == '\n') {
            *end = i;
            return true;
        } else if (ch == '"' && in != PLAIN) {
            in = QUOTED; // also the second of ""
        } else {
            in = ch == c->delim ? START : PLAIN;
        }
    }
    *end = c->n;
    return c->ended;
}

static bool add_field(rks_csv *c, rkp_str s)
{
    if (c->n_fields == c->cap_fields) {
        uint32_t cap = c->cap_fields ? c->cap_fields * 2 : 16;
        rkp_str *v = realloc(c->fields, cap * sizeof *v);

        if (!v)
            return false;
        c->fields = v;
        c->cap_fields = cap;
    }
    c->fields[c->n_fields++] = s;
    return true;
}

// Decodes a field that begins at p, in its place; *next is behind it, at the delimiter or at `end`.
static const char *field(const rks_csv *c, char *p, char *end, rkp_str *out, char **next)
{
    char *to = p, *from = p;

    if (p == end || *p != '"') {
        while (from < end && *from != c->delim)
            from++;
        *out = (rkp_str){ p, (size_t)(from - p) };
        *next = from;
        return NULL;
    }
    for (from++;; from++) {
        if (from >= end)
            return "a quote that is not closed";
        if (*from == '"') {
            if (from + 1 < end && from[1] == '"')
                from++;
            else
                break;
        }
        *to++ = *from;
    }
    *out = (rkp_str){ p, (size_t)(to - p) };
    *next = from + 1;
    return *next == end || **next == c->delim ? NULL : "text behind a closing quote";
}

static rkp_status split(rks_csv *c, char *p, char *end, char err[RKP_FILE_ERR])
{
    c->n_fields = 0;
    for (;;) {
        rkp_str s;
        const char *wrong = field(c, p, end, &s, &p);

        if (wrong)
            return fail(err, RKP_IO, c, wrong);
        if (c->n_fields == RKS_TABLE_COLUMNS)
            return fail(err, RKP_IO, c, "more than 4,096 columns");
        if (!add_field(c, s))
            return fail(err, RKP_NOMEM, c, "no memory for a record");
        if (p == end)
            return RKP_OK;
        p++;
    }
}

rkp_status rks_csv_next(rks_csv *c, bool *has, char err[RKP_FILE_ERR])
{
    static const char bom[3] = { '\xef', '\xbb', '\xbf' };

    *has = false;
    for (;;) {
        size_t end, text;

        c->line = c->next_line;
        while (c->line == 1 && c->n - c->at < 3 && !c->ended) {
            rkp_status st = more(c, err);

            if (st != RKP_OK)
                return st;
        }
        if (c->line == 1 && c->at == 0 && c->n >= 3 && memcmp(c->buf, bom, 3) == 0)
            c->at = 3;
        while (!find_end(c, &end)) {
            rkp_status st = more(c, err);

            if (st != RKP_OK)
                return st;
        }
        if (c->at == c->n)
            return RKP_OK;
        text = c->at;
        for (size_t i = text; i < end; i++)
            c->next_line += c->buf[i] == '\n';
        c->next_line++;
        c->at = end < c->n ? end + 1 : end;
        if (end > text && c->buf[end - 1] == '\r')
            end--;
        if (end == text)
            continue; // a blank line
        *has = true;
        return split(c, c->buf + text, c->buf + end, err);
    }
}

// ---- types ----------------------------------------------------------------------------------------------------------

// 007 and -01 are names of something, not numbers.
static bool leading_zero(rkp_str s)
{
    size_t i = s.n && (s.p[0] == '-' || s.p[0] == '+');

    return s.n > i + 1 && s.p[i] == '0' && s.p[i + 1] >= '0' && s.p[i + 1] <= '9';
}

void rks_guess_add(rks_guess *g, rkp_str s)
{
    int64_t i;
    double f;

    g->seen = true;
    if (!g->no_bool)
        g->no_bool = !rkp_str_is(s, "true") && !rkp_str_is(s, "false");
    if (leading_zero(s))
        g->no_int = g->no_float = true;
    if (!g->no_int)
        g->no_int = !rkp_parse_i64(s.p, s.n, &i);
    if (g->no_int && !g->no_float)
        g->no_float = !rkp_parse_f64(s.p, s.n, &f);
    if (!g->no_time)
        g->no_time = !rkp_parse_timestamp(s.p, s.n, &i);
}

unsigned rks_guess_kind(const rks_guess *g)
{
    if (!g->seen)
        return RKP_STRING;
    if (!g->no_bool)
        return RKP_BOOL;
    if (!g->no_int)
        return RKP_I64;
    if (!g->no_float)
        return RKP_F64;
    return g->no_time ? RKP_STRING : RKP_TIMESTAMP;
}
