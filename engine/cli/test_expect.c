// cli/test_expect.c - what a test expects against what came: a finding with its place, and rows side by side.
//
//          tx_id  amount  fee
//       1      7   100.0  3.2
//   -   2      8    50.0  1.75     expected, and not there
//   +   2      8    50.0  1.74     there, and not expected
//
// Rows in order are matched as diff does (longest common subsequence) while both lists are short, else place by place.
#include "cli/test.h"

#include <math.h>
#include <stdlib.h>

enum { LCS_CELLS = 4000000, LINES = 60, AROUND = 2, WIDTH = 48, NEAREST = 2000, MANY_COLUMNS = 8 };

// ---- findings -------------------------------------------------------------------------------------------------------

static void put_indented(rki_buf *to, const rki_buf *from)
{
    for (size_t i = 0; i < from->n; i++) {
        if (i == 0 || from->p[i - 1] == '\n')
            rki_putz(to, "  ");
        rki_putc(to, from->p[i]);
    }
}

static rkp_diags *new_diags(const rki_case *k)
{
    rkp_diags *d = rki_diags_new();
    for (const rki_source *s = d ? k->tests->own->sources.first : NULL; s; s = s->next)
        rki_diags_source(d, s->name, s->text);
    return d;
}

static void put_finding(rki_case *k, rkp_diags *d)
{
    rki_buf text;
    rki_buf_init(&text);
    rki_diags_text(d, &text, k->colour);
    put_indented(&k->report, &text);
    if (text.failed)
        k->nomem = true;
    rki_buf_fini(&text);
}

void rki_case_fail(rki_case *k, rkp_loc at, const char *code, const char *fmt, ...)
{
    rkp_diags *d = new_diags(k);
    va_list ap;
    rkp_str text;
    k->failures++;
    va_start(ap, fmt);
    text = rki_vprintf(&k->arena, fmt, ap);
    va_end(ap);
    if (!d || !text.p) {
        k->nomem = true;
        rki_diags_free(d);
        return;
    }
    rkp_diag(d, RKP_ERROR, at, code, "%s", text.p);
    put_finding(k, d);
    rki_diags_free(d);
}

// ---- tables ---------------------------------------------------------------------------------------------------------

struct line {
    char mark;       // ' ', '-' or '+', 0: rows are left out here
    uint64_t number; // of the row, from 1; 0: none
    rki_cell *const *cells;
};

struct table {
    rki_case *k;
    const rkp_schema *s;
    const bool *columns; // that are shown; NULL: all
    struct line *v;
    size_t n, cap;
    size_t *widths;
};

static void add_line(struct table *t, char mark, uint64_t number, rki_cell *const *cells)
{
    if (t->n == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 64;
        struct line *v = rki_array(&t->k->arena, cap, sizeof *v);
        if (!v) {
            t->k->nomem = true;
            return;
        }
        if (t->n)
            memcpy(v, t->v, t->n * sizeof *v);
        t->v = v;
        t->cap = cap;
    }
    t->v[t->n++] = (struct line){ mark, number, cells };
}

// A value as one word: text that could be taken for something else is in quotes, null is what it is called.
static void cell_text(const rki_cell *c, uint8_t kind, rki_buf *out)
{
    bool quote = rkp_kind_is_view(kind) && c->text.p && (c->text.n == 0 || rkp_str_is(c->text, "null"));
    size_t n_shown = 0;
    if (!c->text.p) {
        rki_putz(out, "null");
        return;
    }
    for (size_t i = 0; i < c->text.n; i++)
        quote |= rkp_kind_is_view(kind) &&
                 (c->text.p[i] == ' ' || c->text.p[i] == '"' || (unsigned char)c->text.p[i] < 0x20);
    if (quote)
        rki_putc(out, '"');
    for (size_t i = 0; i < c->text.n; i++) {
        unsigned char x = (unsigned char)c->text.p[i];
        if ((x & 0xc0) != 0x80 && ++n_shown > WIDTH) {
            rki_putz(out, "..");
            break;
        }
        if (x == '\n')
            rki_putz(out, "\\n");
        else if (x < 0x20 || x == 0x7f)
            rki_putf(out, "\\x%02x", x);
        else
            rki_putc(out, (char)x);
    }
    if (quote)
        rki_putc(out, '"');
    if (c->bad)
        rki_putz(out, " (!)");
}

static size_t width_of(const rki_buf *b, size_t from)
{
    size_t n = 0;
    for (size_t i = from; i < b->n; i++)
        n += ((unsigned char)b->p[i] & 0xc0) != 0x80;
    return n;
}

static void pad(rki_buf *out, size_t n)
{
    while (n--)
        rki_putc(out, ' ');
}

// Numbers to the right, text to the left, and nothing behind the last.
static void put_cell(struct table *t, uint32_t c, const rki_buf *text, bool last)
{
    rki_buf *out = &t->k->report;
    uint8_t kind = t->s->f[c].type.kind;
    size_t n = width_of(text, 0), left = t->widths[c] > n ? t->widths[c] - n : 0;
    rki_putz(out, "  ");
    if (rkp_kind_is_num(kind))
        pad(out, left);
    rki_put(out, text->p ? text->p : "", text->n);
    if (!rkp_kind_is_num(kind) && !last)
        pad(out, left);
}

static bool shown(const struct table *t, uint32_t c)
{
    return !t->columns || t->columns[c];
}

static void put_line(struct table *t, const struct line *l, rki_buf *text)
{
    rki_buf *out = &t->k->report;
    uint32_t last = 0;
    for (uint32_t c = 0; c < t->s->n; c++)
        last = shown(t, c) ? c : last;
    if (l && !l->mark) {
        rki_putz(out, "         ..\n");
        return;
    }
    if (!l)
        rki_putz(out, "           ");
    else if (l->number)
        rki_putf(out, "    %c %5llu", l->mark, (unsigned long long)l->number);
    else
        rki_putf(out, "    %c      ", l->mark);
    for (uint32_t c = 0; c < t->s->n; c++) {
        if (!shown(t, c))
            continue;
        rki_buf_clear(text);
        if (l)
            cell_text(&(*l->cells)[c], t->s->f[c].type.kind, text);
        else
            rki_put(text, t->s->f[c].name.p, t->s->f[c].name.n);
        put_cell(t, c, text, c == last);
    }
    rki_putc(out, '\n');
}

static void put_table(struct table *t)
{
    rki_buf text;
    size_t n = t->n < LINES ? t->n : LINES;
    rki_buf_init(&text);
    t->widths = rki_array(&t->k->arena, t->s->n + 1u, sizeof *t->widths);
    if (!t->widths) {
        t->k->nomem = true;
        return;
    }
    for (uint32_t c = 0; c < t->s->n; c++) {
        t->widths[c] = t->s->f[c].name.n;
        for (size_t i = 0; i < n; i++) {
            size_t w;
            if (!t->v[i].mark)
                continue;
            rki_buf_clear(&text);
            cell_text(&(*t->v[i].cells)[c], t->s->f[c].type.kind, &text);
            w = width_of(&text, 0);
            t->widths[c] = w > t->widths[c] ? w : t->widths[c];
        }
    }
    put_line(t, NULL, &text);
    for (size_t i = 0; i < n; i++)
        put_line(t, &t->v[i], &text);
    if (n < t->n)
        rki_putf(&t->k->report, "         .. and %zu more lines\n", t->n - n);
    rki_buf_fini(&text);
}

// ---- rows -----------------------------------------------------------------------------------------------------------

static bool same_cell(const rki_cell *want, const rki_cell *got, uint8_t kind, double tolerance)
{
    if (!want->text.p || !got->text.p)
        return want->text.p == got->text.p;
    if (got->bad)
        return false;
    if (!rkp_kind_is_float(kind) || isnan(want->num) || isnan(got->num))
        return rkp_str_eq(want->text, got->text);
    if (want->num == got->num) // also infinite ones
        return true;
    return tolerance > 0 && fabs(want->num - got->num) <= tolerance * (fabs(want->num) > 1 ? fabs(want->num) : 1);
}

static bool same_row(const rki_goal *t, const rki_cell *want, const rki_cell *got)
{
    for (uint32_t c = 0; c < t->schema.n; c++)
        if (t->compared[c] && !same_cell(&want[c], &got[c], t->schema.f[c].type.kind, t->e->tolerance))
            return false;
    return true;
}

// How many of the columns that the file names are as it says.
static uint32_t alike(const rki_goal *t, const rki_cell *want, const rki_cell *got, bool *all)
{
    uint32_t n = 0;
    *all = true;
    for (uint32_t c = 0; c < t->schema.n; c++) {
        if (!want[c].named)
            continue;
        if (same_cell(&want[c], &got[c], t->schema.f[c].type.kind, t->e->tolerance))
            n++;
        else
            *all = false;
    }
    return n;
}

// Lines that are the same and far from any that is not are left out.
static void squeeze(struct table *t)
{
    struct line *v = t->v;
    size_t n = t->n, to = 0;
    bool *keep = rki_array(&t->k->arena, n + 1, sizeof *keep);
    for (size_t i = 0; keep && i < n; i++)
        if (v[i].mark != ' ')
            for (size_t j = i > AROUND ? i - AROUND : 0; j < n && j <= i + AROUND; j++)
                keep[j] = true;
    for (size_t i = 0; keep && i < n; i++) {
        if (keep[i])
            v[to++] = v[i];
        else if (!to || v[to - 1].mark)
            v[to++] = (struct line){ 0 };
    }
    if (keep)
        t->n = to;
}

static void match_in_order(struct table *t, const rki_goal *g)
{
    size_t n = g->equals.n, m = g->got.n, i = 0, j = 0;
    uint32_t *len = NULL;
    if ((n + 1) * (m + 1) <= LCS_CELLS)
        len = calloc((n + 1) * (m + 1), sizeof *len);
#define LEN(a, b) len[(a) * (m + 1) + (b)]
    for (size_t a = len ? n : 0; a-- > 0;)
        for (size_t b = m; b-- > 0;)
            LEN(a, b) = same_row(g, g->equals.v[a], g->got.v[b]) ? LEN(a + 1, b + 1) + 1
                        : LEN(a + 1, b) >= LEN(a, b + 1)         ? LEN(a + 1, b)
                                                                 : LEN(a, b + 1);
    while (i < n || j < m) {
        bool same = i < n && j < m && same_row(g, g->equals.v[i], g->got.v[j]);
        if (same) {
            add_line(t, ' ', j + 1, &g->got.v[j]);
            i++;
            j++;
        } else if (i < n && (j == m || !len || LEN(i + 1, j) >= LEN(i, j + 1))) {
            add_line(t, '-', i + 1, &g->equals.v[i]);
            i++;
            if (!len && j < m) {
                add_line(t, '+', j + 1, &g->got.v[j]);
                j++;
            }
        } else {
            add_line(t, '+', j + 1, &g->got.v[j]);
            j++;
        }
    }
#undef LEN
    free(len);
}

static void match_in_any_order(struct table *t, const rki_goal *g)
{
    bool *used = rki_array(&t->k->arena, g->got.n + 1, sizeof *used);
    for (size_t i = 0; used && i < g->equals.n; i++) {
        size_t j = 0;
        while (j < g->got.n && (used[j] || !same_row(g, g->equals.v[i], g->got.v[j])))
            j++;
        if (j < g->got.n)
            used[j] = true;
        else
            add_line(t, '-', i + 1, &g->equals.v[i]);
    }
    for (size_t j = 0; used && j < g->got.n; j++)
        if (!used[j])
            add_line(t, '+', j + 1, &g->got.v[j]);
}

static rkp_loc row_at(const rki_rows *rows, size_t at)
{
    const rkp_node *r = rows->list->child;
    while (r && at--)
        r = r->next;
    return r ? r->at : rows->at;
}

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

// Of many columns only those are shown in which the first row expected differs from the first that came, the second from the second, and so
// on; and the first one, by which people know a row.
static void narrow(struct table *t, const rki_goal *g)
{
    bool *columns = rki_array(&t->k->arena, g->schema.n + 1u, sizeof *columns);
    uint32_t n = 0, left = 0;
    size_t plus = 0;
    for (uint32_t c = 0; c < g->schema.n; c++)
        n += g->compared[c];
    if (!columns || n <= MANY_COLUMNS)
        return;
    for (size_t minus = 0; minus < t->n; minus++) {
        while (plus < t->n && t->v[plus].mark != '+')
            plus++;
        if (t->v[minus].mark != '-')
            continue;
        if (plus == t->n)
            return; // it has no like: all of it is of interest
        for (uint32_t c = 0; c < g->schema.n; c++)
            columns[c] |= g->compared[c] && !same_cell(&(*t->v[minus].cells)[c], &(*t->v[plus].cells)[c],
                                                       g->schema.f[c].type.kind, g->e->tolerance);
        plus++;
    }
    for (uint32_t c = 0, first = 1; c < g->schema.n; c++) {
        columns[c] |= g->compared[c] && first;
        first = first && !g->compared[c];
        left += g->compared[c] && !columns[c];
    }
    if (left == n - 1)
        return; // nothing that is expected is missing
    t->columns = columns;
    if (left)
        rki_putf(&t->k->report, "    %u column%s without a difference %s left out\n", left, plural(left),
                 left == 1 ? "is" : "are");
}

static void look_equals(rki_case *k, const rki_goal *g)
{
    struct table t = { .k = k, .s = &g->schema, .columns = g->compared };
    size_t first = 0;
    rkp_loc at;
    if (!g->equals.n && !g->rows)
        return;
    if (g->e->any_order)
        match_in_any_order(&t, g);
    else
        match_in_order(&t, g);
    while (first < t.n && t.v[first].mark == ' ')
        first++;
    if (first == t.n && g->rows == g->equals.n)
        return;
    at = g->e->equals.at;
    for (size_t i = first; i < t.n; i++)
        if (t.v[i].mark == '-') {
            at = row_at(&g->e->equals, (size_t)t.v[i].number - 1);
            break;
        }
    if (g->rows != g->equals.n)
        rki_case_fail(k, at, "test-equals", "%s: %llu row%s, and %llu expected", g->of, (unsigned long long)g->rows,
                      plural(g->rows), (unsigned long long)g->equals.n);
    else
        rki_case_fail(k, at, "test-equals", "%s: other rows than expected", g->of);
    squeeze(&t);
    rki_putz(&k->report, "    - expected, + got\n");
    narrow(&t, g);
    put_table(&t);
}

static void look_contains(rki_case *k, const rki_goal *g)
{
    for (size_t i = 0; i < g->contains.n; i++) {
        struct table t = { .k = k, .s = &g->schema };
        bool *columns = rki_array(&k->arena, g->schema.n + 1u, sizeof *columns), found = false;
        size_t best = SIZE_MAX;
        uint32_t most = 0;
        for (size_t j = 0; j < g->got.n && !found; j++) {
            uint32_t n = alike(g, g->contains.v[i], g->got.v[j], &found);
            if (n >= most && (best == SIZE_MAX || n > most) && j < NEAREST) {
                best = j;
                most = n;
            }
        }
        if (found)
            continue;
        rki_case_fail(k, row_at(&g->e->contains, i), "test-contains", "%s: none of %llu row%s is like this", g->of,
                      (unsigned long long)g->rows, plural(g->rows));
        for (uint32_t c = 0; columns && c < g->schema.n; c++)
            columns[c] = g->contains.v[i][c].named;
        t.columns = columns;
        add_line(&t, '-', 0, &g->contains.v[i]);
        if (best != SIZE_MAX)
            add_line(&t, '+', best + 1, &g->got.v[best]);
        rki_putz(&k->report, best == SIZE_MAX ? "    - expected\n" : "    - expected, + the nearest\n");
        put_table(&t);
    }
}

static void put_rows(rki_case *k, const rki_goal *g, const rki_cells *rows, char mark)
{
    struct table t = { .k = k, .s = &g->schema };
    for (size_t i = 0; i < rows->n; i++)
        add_line(&t, mark, mark == ' ' ? i + 1 : 0, &rows->v[i]);
    if (rows->n)
        put_table(&t);
}

static void look_count(rki_case *k, const rki_goal *g)
{
    const rki_expect *e = g->e;
    unsigned long long n = g->rows, min = e->min, max = e->max;
    if (n >= min && n <= max)
        return;
    if (min == max)
        rki_case_fail(k, e->count_at, "test-count", "%s: %llu row%s, and %llu expected", g->of, n, plural(n), min);
    else if (n < min)
        rki_case_fail(k, e->count_at, "test-count", "%s: %llu row%s, and at least %llu expected", g->of, n, plural(n),
                      min);
    else
        rki_case_fail(k, e->count_at, "test-count", "%s: %llu row%s, and at most %llu expected", g->of, n, plural(n),
                      max);
    if (!e->equals.list)
        put_rows(k, g, &g->got, ' ');
}

static void look_where(rki_case *k, const rki_goal *g)
{
    if (!g->n_wrong)
        return;
    rki_case_fail(k, g->e->where.at, "test-where", "%s: not so for %llu of %llu row%s, first row %llu", g->of,
                  (unsigned long long)g->n_wrong, (unsigned long long)g->rows, plural(g->rows),
                  (unsigned long long)g->first_wrong);
    put_rows(k, g, &g->wrong, '+');
}

void rki_expect_look(rki_case *k)
{
    for (size_t i = 0; i < k->n_goals; i++) {
        const rki_goal *g = &k->goals[i];
        if (g->e->counts)
            look_count(k, g);
        if (g->e->equals.list)
            look_equals(k, g);
        look_contains(k, g);
        look_where(k, g);
    }
}

void rki_case_show(rki_case *k)
{
    for (size_t i = 0; i < k->n_goals; i++) {
        const rki_goal *g = &k->goals[i];
        if (!g->rows && g->from[0].port == RKI_SEEN_DEAD)
            continue;
        rki_putf(&k->report, "  %s: %llu row%s\n", g->of, (unsigned long long)g->rows, plural(g->rows));
        put_rows(k, g, &g->got, ' ');
        if (g->rows > g->got.n)
            rki_putf(&k->report, "         .. and %llu more\n", (unsigned long long)(g->rows - g->got.n));
    }
}
