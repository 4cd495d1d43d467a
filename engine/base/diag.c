// diag.c - the sink of findings.
//
// Findings arrive in any order and are kept in an array; files are known by their index in `files`, which is the order
// in which they were first mentioned.  Sorting goes by (file, line, column, arrival); within one place a note that
// arrived before any error is moved below it.  All that a user's file can put on a terminal goes through shown(), which
// replaces what could steer the terminal.
//
// A line ends where YAML's reader ends it (LF, CR, CR LF, NEL, LS, PS), so that its marks and our excerpts agree.
#include "base/diag.h"

#include "base/arena.h"
#include "base/json.h"
#include "base/utf8.h"
#include <stdio.h>
#include <stdlib.h>

enum {
    KEEP = 1000,               // findings
    TEXT_MAX = 4000,           // bytes of a message or hint
    SHOWN_MAX = 160,           // code points of an excerpt
    LINE_DIGITS = 5,           // width of the line number
    LINE_MAX_BYTES = 64 << 10, // a longer line is not quoted
    HIDDEN_MAX = 1000,         // texts that are shown as ***
    NEAREST_BYTES = 64,        // a longer word gets no suggestion
};

struct source {
    const char *name;
    rkp_str text; // p is NULL when only the name is known
};

struct entry {
    rki_finding f; // first: rki_diags_at hands it out
    size_t file;   // index + 1 into files; 0 is no file
    size_t seq;
};

struct rkp_diags {
    rki_arena mem;
    struct source *files;
    size_t n_files, cap_files;
    struct entry *list;
    size_t n, cap;
    size_t seq;
    size_t count[3]; // by severity, also those that are not kept
    size_t cut;      // not kept because there were too many
    size_t lost;     // not kept for want of memory
    rkp_str *hidden; // shown as ***
    size_t n_hidden, cap_hidden;
    size_t newest; // index + 1 of the finding a hint goes to
};

rkp_diags *rki_diags_new(void)
{
    rkp_diags *d = calloc(1, sizeof *d);

    if (d)
        rki_arena_init(&d->mem);
    return d;
}

void rki_diags_free(rkp_diags *d)
{
    if (!d)
        return;
    rki_arena_fini(&d->mem);
    free(d->files);
    free(d->list);
    free(d->hidden);
    free(d);
}

static bool grow(void **p, size_t *cap, size_t n, size_t size)
{
    size_t want = *cap ? *cap * 2 : 16;
    void *to;

    if (n < *cap)
        return true;
    to = reallocarray(*p, want, size);
    if (!to)
        return false;
    *p = to;
    *cap = want;
    return true;
}

// The index + 1 of a file; 0 when memory is out.
static size_t file_of(rkp_diags *d, const char *name)
{
    char *copy;

    for (size_t i = d->n_files; i > 0; i--) // the newest is the likeliest
        if (strcmp(d->files[i - 1].name, name) == 0)
            return i;
    if (!grow((void **)&d->files, &d->cap_files, d->n_files, sizeof *d->files))
        return 0;
    copy = rki_dup(&d->mem, name, strlen(name));
    if (!copy)
        return 0;
    d->files[d->n_files++] = (struct source){ .name = copy };
    return d->n_files;
}

void rki_diags_source(rkp_diags *d, const char *file, rkp_str text)
{
    size_t i;

    if (!d || !file)
        return;
    if (text.n >= 3 && memcmp(text.p, "\xef\xbb\xbf", 3) == 0) // a byte order mark has no column
        text = (rkp_str){ text.p + 3, text.n - 3 };
    i = file_of(d, file);
    if (i)
        d->files[i - 1].text = rki_dup_str(&d->mem, text); // without memory there is no excerpt, nothing worse
}

void rki_diags_hide(rkp_diags *d, rkp_str secret)
{
    rkp_str copy;

    if (!d || secret.n < 4)
        return;
    for (size_t i = 0; i < d->n_hidden; i++)
        if (rkp_str_eq(d->hidden[i], secret))
            return;
    if (d->n_hidden == HIDDEN_MAX || !grow((void **)&d->hidden, &d->cap_hidden, d->n_hidden, sizeof *d->hidden)) {
        d->lost += d->n_hidden != HIDDEN_MAX;
        return;
    }
    copy = rki_dup_str(&d->mem, secret);
    if (copy.p)
        d->hidden[d->n_hidden++] = copy;
    else
        d->lost++;
}

size_t rki_diags_n_hidden(const rkp_diags *d)
{
    return d ? d->n_hidden : 0;
}

rkp_str rki_diags_hidden(const rkp_diags *d, size_t i)
{
    return d->hidden[i];
}

// Puts *** over every hidden text.
static void hide(const rkp_diags *d, char *t, size_t *len)
{
    for (size_t i = 0; i < d->n_hidden; i++) {
        rkp_str h = d->hidden[i];
        char *p = t;

        while ((p = memmem(p, (size_t)(t + *len - p), h.p, h.n))) {
            memcpy(p, "***", 3);
            memmove(p + 3, p + h.n, (size_t)(t + *len - p) - h.n);
            *len -= h.n - 3;
            p += 3;
        }
    }
}

// Formats into the arena, cut at TEXT_MAX on a code point's border.
static char *say(rkp_diags *d, const char *fmt, va_list ap)
{
    char t[TEXT_MAX + 4];
    int n = vsnprintf(t, sizeof t, fmt, ap);
    size_t len;

    if (n < 0)
        return NULL;
    len = (size_t)n < sizeof t ? (size_t)n : sizeof t - 1;
    hide(d, t, &len);
    if (len > TEXT_MAX) {
        len = TEXT_MAX;
        while (len > TEXT_MAX - 4 && ((unsigned char)t[len] & 0xc0) == 0x80)
            len--;
        memcpy(t + len, "...", 3);
        len += 3;
    }
    return rki_dup(&d->mem, t, len);
}

// Where the next finding goes.  When the sink is full an error takes the place of the last one that is none.
static struct entry *room(rkp_diags *d, rkp_severity sev)
{
    if (d->n < KEEP) {
        if (grow((void **)&d->list, &d->cap, d->n, sizeof *d->list))
            return &d->list[d->n];
        d->lost++;
        return NULL;
    }
    d->cut++;
    for (size_t i = d->n; sev == RKP_ERROR && i > 0; i--)
        if (d->list[i - 1].f.sev != RKP_ERROR)
            return &d->list[i - 1];
    return NULL;
}

void rkp_diag(rkp_diags *d, rkp_severity sev, rkp_loc at, const char *code, const char *fmt, ...)
{
    struct entry e = { .f = { .sev = sev, .at = at } };
    struct entry *to;
    size_t i;
    va_list ap;

    if (!d)
        return;
    d->newest = 0;
    d->count[sev]++;
    to = room(d, sev);
    if (!to)
        return;
    if (at.file) {
        e.file = file_of(d, at.file);
        if (!e.file)
            goto lost;
        e.f.at.file = d->files[e.file - 1].name;
    }
    va_start(ap, fmt);
    e.f.text = say(d, fmt, ap);
    va_end(ap);
    e.f.code = rki_dup(&d->mem, code ? code : "", code ? strlen(code) : 0);
    if (!e.f.text || !e.f.code)
        goto lost;
    e.seq = d->seq++;
    *to = e;
    i = (size_t)(to - d->list);
    if (i == d->n)
        d->n++;
    d->newest = i + 1;
    return;
lost:
    d->lost++;
}

void rkp_diag_hint(rkp_diags *d, const char *fmt, ...)
{
    va_list ap;
    char *hint;

    if (!d || !d->newest)
        return;
    va_start(ap, fmt);
    hint = say(d, fmt, ap);
    va_end(ap);
    if (hint)
        d->list[d->newest - 1].f.hint = hint;
}

size_t rki_diags_count(const rkp_diags *d, rkp_severity sev)
{
    return d ? d->count[sev] : 0;
}

bool rki_diags_failed(const rkp_diags *d)
{
    return !d || d->count[RKP_ERROR] > 0 || d->lost > 0;
}

static int order(size_t a, size_t b)
{
    return (a > b) - (a < b);
}

static int by_place(const void *pa, const void *pb)
{
    const struct entry *a = pa, *b = pb;
    int c = order(a->file, b->file);

    if (c == 0)
        c = order(a->f.at.line, b->f.at.line);
    if (c == 0)
        c = order(a->f.at.col, b->f.at.col);
    return c ? c : order(a->seq, b->seq);
}

static bool same_place(const struct entry *a, const struct entry *b)
{
    return a->file == b->file && a->f.at.line == b->f.at.line && a->f.at.col == b->f.at.col;
}

static bool repeats(const struct entry *a, const struct entry *b)
{
    return a->f.sev == b->f.sev && a->f.at.len == b->f.at.len && strcmp(a->f.code, b->f.code) == 0 &&
           strcmp(a->f.text, b->f.text) == 0;
}

// One place: list[0 .. n).  Returns how many are left.
static size_t tidy_place(rkp_diags *d, struct entry *e, size_t n)
{
    size_t kept = 0, first = 0;

    for (size_t i = 0; i < n; i++) {
        size_t k = 0;

        while (k < kept && !repeats(&e[k], &e[i]))
            k++;
        if (k == kept) {
            e[kept++] = e[i];
            continue;
        }
        d->count[e[i].f.sev]--;
        if (!e[k].f.hint)
            e[k].f.hint = e[i].f.hint;
    }
    while (first < kept && e[first].f.sev == RKP_NOTE)
        first++;
    if (first > 0 && first < kept) {
        struct entry lead = e[first];

        memmove(e + 1, e, first * sizeof *e);
        e[0] = lead;
    }
    return kept;
}

void rki_diags_sort(rkp_diags *d)
{
    size_t out = 0;

    if (!d || d->n == 0)
        return;
    qsort(d->list, d->n, sizeof *d->list, by_place);
    for (size_t i = 0, j; i < d->n; i = j) {
        size_t kept;

        for (j = i + 1; j < d->n && same_place(&d->list[i], &d->list[j]); j++)
            ;
        kept = tidy_place(d, d->list + i, j - i);
        memmove(d->list + out, d->list + i, kept * sizeof *d->list);
        out += kept;
    }
    d->n = out;
    d->newest = 0;
    for (size_t i = 0; i < d->n; i++)
        d->list[i].seq = i;
    d->seq = d->n;
}

size_t rki_diags_n(const rkp_diags *d)
{
    return d ? d->n : 0;
}

const rki_finding *rki_diags_at(const rkp_diags *d, size_t i)
{
    return &d->list[i].f;
}

// ---- text

static const char *const sev_name[] = { [RKP_ERROR] = "error", [RKP_WARNING] = "warning", [RKP_NOTE] = "note" };
static const char *const sev_colour[] = {
    [RKP_ERROR] = "\033[1;31m", [RKP_WARNING] = "\033[1;35m", [RKP_NOTE] = "\033[1;36m"
};
#define BOLD(colour)  ((colour) ? "\033[1m" : "")
#define GREEN(colour) ((colour) ? "\033[1;32m" : "")
#define PLAIN(colour) ((colour) ? "\033[0m" : "")

// Text that cannot steer a terminal: U+FFFD for what is not UTF-8 and for controls.  A break in a message is a blank.
static void shown(rki_buf *out, rkp_str s)
{
    const char *p = s.p, *end = s.n ? s.p + s.n : s.p;

    while (p < end) {
        uint32_t cp;
        size_t n = rki_utf8_next(p, end, &cp);

        if (rki_utf8_plain(cp))
            rki_put(out, p, n);
        else if (cp == '\n' || cp == '\t')
            rki_putc(out, ' ');
        else
            rki_putz(out, "\xef\xbf\xbd");
        p += n;
    }
}

// How many bytes end a line here; 0 when none does.
static size_t line_end(const char *p, const char *end)
{
    size_t have = (size_t)(end - p);

    if (*p == '\n')
        return 1;
    if (*p == '\r')
        return have > 1 && p[1] == '\n' ? 2 : 1;
    if (have > 1 && memcmp(p, "\xc2\x85", 2) == 0)
        return 2;
    if (have > 2 && (memcmp(p, "\xe2\x80\xa8", 3) == 0 || memcmp(p, "\xe2\x80\xa9", 3) == 0))
        return 3;
    return 0;
}

// The line that was found last: findings are sorted, so the next one is mostly the same or further down.
struct place {
    const struct source *src;
    uint32_t line;
    rkp_str text;
};

// Line number `line`, from 1, without its end.  False when the text has no such line.
static bool find_line(struct place *last, const struct source *src, uint32_t line, rkp_str *out)
{
    rkp_str text = src->text;
    const char *p = text.p, *end = text.n ? text.p + text.n : text.p, *from = p;
    uint32_t at = 1;

    if (!text.p || line == 0)
        return false;
    if (last->src == src && last->line == line) {
        *out = last->text;
        return true;
    }
    if (last->src == src && last->line < line) {
        p = from = last->text.p;
        at = last->line;
    }
    while (p < end) {
        size_t n = line_end(p, end);

        if (n == 0) {
            p++;
            continue;
        }
        if (at == line)
            break;
        p += n;
        from = p;
        at++;
    }
    *out = (rkp_str){ from, (size_t)(p - from) };
    if (at == line)
        *last = (struct place){ src, line, *out };
    return at == line;
}

static size_t code_points(rkp_str s)
{
    size_t n = 0;
    uint32_t cp;

    for (const char *p = s.p, *end = s.p + s.n; p < end; n++)
        p += rki_utf8_next(p, end, &cp);
    return n;
}

// The excerpt and the underline.  Both lines are built in one walk over the line's code points; `first` and `last`
// bound the part that is shown, and a tab before the place is a tab in both, so they stay aligned whatever its width.
static void excerpt(rki_buf *out, rki_buf *under, rkp_str text, const rki_finding *f, bool colour)
{
    size_t total = code_points(text), col = f->at.col, len = f->at.len ? f->at.len : 1;
    size_t first = 0, last = total, i = 0;
    int width = 1;

    for (uint32_t v = f->at.line; v > 9; v /= 10)
        width++;
    if (width < LINE_DIGITS)
        width = LINE_DIGITS;
    if (col > total + 1)
        col = total + 1;
    if (col > 0 && len > total + 1 - col)
        len = total + 1 - col; // to the end of the line; 0 when the place is the end
    if (total > SHOWN_MAX) {
        size_t before = SHOWN_MAX / 2;

        if (len > before && len < SHOWN_MAX)
            before = SHOWN_MAX - len; // keep a long word whole
        first = col > before ? col - 1 - before : 0;
        if (first > total - SHOWN_MAX)
            first = total - SHOWN_MAX;
        last = first + SHOWN_MAX;
    }
    rki_buf_clear(under);
    rki_putf(out, "%*u | ", width, f->at.line);
    rki_putf(under, "%*s | ", width, "");
    if (first > 0) {
        rki_putz(out, "...");
        rki_putz(under, "   ");
    }
    for (const char *p = text.p, *end = text.p + text.n; p < end && i < last; i++) {
        uint32_t cp;
        size_t n = rki_utf8_next(p, end, &cp);

        if (i >= first) {
            if (cp == '\t')
                rki_putc(out, '\t');
            else
                shown(out, (rkp_str){ p, n });
            if (i + 1 < col)
                rki_putc(under, cp == '\t' ? '\t' : ' ');
        }
        p += n;
    }
    while (out->n > 0 && (out->p[out->n - 1] == ' ' || out->p[out->n - 1] == '\t'))
        out->n--; // blanks at the end of a line are nobody's finding
    rki_putz(out, last < total ? "...\n" : "\n");
    if (col == 0)
        return;
    if (col + len > last + 1)
        len = last + 1 - col;
    rki_putz(under, GREEN(colour));
    rki_putc(under, '^');
    for (i = 1; i < len; i++)
        rki_putc(under, '~');
    rki_putz(under, PLAIN(colour));
    rki_putc(under, '\n');
    rki_put(out, under->p, under->n);
    out->failed |= under->failed;
}

static void text_one(rki_buf *out, rki_buf *under, struct place *last, const struct source *src, const rki_finding *f,
                     bool colour)
{
    rkp_str line;

    if (f->at.file) {
        rki_putz(out, BOLD(colour));
        shown(out, rkp_str_of(f->at.file));
        if (f->at.line)
            rki_putf(out, ":%u", f->at.line);
        if (f->at.line && f->at.col)
            rki_putf(out, ":%u", f->at.col);
        rki_putz(out, ": ");
        rki_putz(out, PLAIN(colour));
    }
    rki_putf(out, "%s%s:%s ", colour ? sev_colour[f->sev] : "", sev_name[f->sev], PLAIN(colour));
    rki_putz(out, BOLD(colour));
    shown(out, rkp_str_of(f->text));
    rki_putz(out, PLAIN(colour));
    if (f->code[0])
        rki_putf(out, " [%s]", f->code);
    rki_putc(out, '\n');
    if (src && find_line(last, src, f->at.line, &line) && line.n <= LINE_MAX_BYTES)
        excerpt(out, under, line, f, colour);
    if (f->hint) {
        rki_putf(out, "%*s = hint: ", LINE_DIGITS, "");
        shown(out, rkp_str_of(f->hint));
        rki_putc(out, '\n');
    }
}

// What the sink itself has to say, as findings without a place.  Returns how many, at most 2.
static size_t own_findings(const rkp_diags *d, rki_finding f[2], char text[2][80])
{
    size_t n = 0;

    if (d->cut) {
        snprintf(text[n], sizeof text[n], "%zu more findings are not shown", d->cut);
        f[n] = (rki_finding){ RKP_NOTE, { 0 }, "findings-cut", text[n], NULL };
        n++;
    }
    if (d->lost) {
        snprintf(text[n], sizeof text[n], "%zu findings are lost because memory ran out", d->lost);
        f[n] = (rki_finding){ RKP_ERROR, { 0 }, "findings-lost", text[n], NULL };
        n++;
    }
    return n;
}

void rki_diags_text(rkp_diags *d, rki_buf *out, bool colour)
{
    struct place last = { 0 };
    rki_buf under;
    rki_finding own[2];
    char text[2][80];
    size_t n;

    if (!d)
        return;
    rki_diags_sort(d);
    rki_buf_init(&under);
    for (size_t i = 0; i < d->n; i++) {
        const struct entry *e = &d->list[i];

        text_one(out, &under, &last, e->file ? &d->files[e->file - 1] : NULL, &e->f, colour);
    }
    n = own_findings(d, own, text);
    for (size_t i = 0; i < n; i++)
        text_one(out, &under, &last, NULL, &own[i], colour);
    rki_buf_fini(&under);
}

// ---- JSON

static void json_num(rki_json *j, const char *key, uint32_t v)
{
    rki_json_key(j, key);
    if (v)
        rki_json_u64(j, v);
    else
        rki_json_null(j);
}

static void json_one(rki_json *j, const rki_finding *f)
{
    uint32_t len = f->at.len ? f->at.len : 1;

    rki_json_object(j);
    rki_json_put_z(j, "severity", sev_name[f->sev]);
    rki_json_put_z(j, "file", f->at.file);
    json_num(j, "line", f->at.line);
    json_num(j, "column", f->at.line ? f->at.col : 0);
    json_num(j, "length", f->at.line && f->at.col ? len : 0);
    rki_json_put_z(j, "code", f->code);
    rki_json_put_z(j, "message", f->text);
    rki_json_put_z(j, "hint", f->hint);
    rki_json_end_object(j);
}

void rki_diags_json(rkp_diags *d, rki_buf *out)
{
    rki_finding own[2];
    char text[2][80];
    rki_json j;
    size_t n = d ? own_findings(d, own, text) : 0;

    rki_diags_sort(d);
    rki_json_init(&j, out, 2);
    rki_json_array(&j);
    for (size_t i = 0; i < rki_diags_n(d); i++)
        json_one(&j, &d->list[i].f);
    for (size_t i = 0; i < n; i++)
        json_one(&j, &own[i]);
    rki_json_end_array(&j);
    rki_putc(out, '\n');
}

// ---- SARIF

// A file name as a URI reference: percent-encoded, absolute paths as file:// URIs.
static void uri(rki_buf *out, const char *file)
{
    rki_buf_clear(out);
    if (file[0] == '/')
        rki_putz(out, "file://");
    for (const char *p = file; *p; p++) {
        unsigned char c = (unsigned char)*p;

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-._~/", c))
            rki_putc(out, *p);
        else
            rki_putf(out, "%%%02X", c);
    }
}

static void sarif_one(rki_json *j, rki_buf *tmp, const rki_finding *f, size_t rule)
{
    rki_json_object(j);
    rki_json_put_z(j, "ruleId", f->code);
    rki_json_put_u64(j, "ruleIndex", rule);
    rki_json_put_z(j, "level", sev_name[f->sev]);
    rki_json_key(j, "message");
    rki_json_object(j);
    rki_json_key(j, "text");
    rki_buf_clear(tmp);
    rki_putz(tmp, f->text);
    if (f->hint) {
        rki_putz(tmp, "; hint: ");
        rki_putz(tmp, f->hint);
    }
    rki_json_str(j, (rkp_str){ tmp->p, tmp->n });
    rki_json_end_object(j);
    if (f->at.file) {
        rki_json_key(j, "locations");
        rki_json_array(j);
        rki_json_object(j);
        rki_json_key(j, "physicalLocation");
        rki_json_object(j);
        rki_json_key(j, "artifactLocation");
        rki_json_object(j);
        rki_json_key(j, "uri");
        uri(tmp, f->at.file);
        rki_json_str(j, (rkp_str){ tmp->p, tmp->n });
        rki_json_end_object(j);
        if (f->at.line) {
            rki_json_key(j, "region");
            rki_json_object(j);
            rki_json_put_u64(j, "startLine", f->at.line);
            if (f->at.col) {
                rki_json_put_u64(j, "startColumn", f->at.col);
                rki_json_put_u64(j, "endColumn", (uint64_t)f->at.col + (f->at.len ? f->at.len : 1));
            }
            rki_json_end_object(j);
        }
        rki_json_end_object(j);
        rki_json_end_object(j);
        rki_json_end_array(j);
    }
    rki_json_end_object(j);
}

// The index of a code among the rules, in order of first use.
static size_t rule_of(const rki_finding *const *all, size_t n, const char *code)
{
    size_t rule = 0;

    for (size_t i = 0; i < n; i++) {
        size_t k = 0;

        if (strcmp(all[i]->code, code) == 0)
            return rule;
        while (k < i && strcmp(all[k]->code, all[i]->code) != 0)
            k++;
        rule += k == i; // the first finding with this code
    }
    return rule;
}

void rki_diags_sarif(rkp_diags *d, rki_buf *out)
{
    const rki_finding *all[KEEP + 2];
    rki_finding own[2];
    char text[2][80];
    rki_buf tmp;
    rki_json j;
    size_t n, n_own = d ? own_findings(d, own, text) : 0;

    rki_diags_sort(d);
    n = rki_diags_n(d);
    for (size_t i = 0; i < n; i++)
        all[i] = &d->list[i].f;
    for (size_t i = 0; i < n_own; i++)
        all[n++] = &own[i];
    rki_buf_init(&tmp);
    rki_json_init(&j, out, 2);
    rki_json_object(&j);
    rki_json_put_z(&j, "$schema", "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json");
    rki_json_put_z(&j, "version", "2.1.0");
    rki_json_key(&j, "runs");
    rki_json_array(&j);
    rki_json_object(&j);
    rki_json_key(&j, "tool");
    rki_json_object(&j);
    rki_json_key(&j, "driver");
    rki_json_object(&j);
    rki_json_put_z(&j, "name", "rkpipe");
    rki_json_key(&j, "rules");
    rki_json_array(&j);
    for (size_t i = 0, rules = 0; i < n; i++) {
        if (rule_of(all, n, all[i]->code) != rules)
            continue;
        rules++;
        rki_json_object(&j);
        rki_json_put_z(&j, "id", all[i]->code);
        rki_json_end_object(&j);
    }
    rki_json_end_array(&j);
    rki_json_end_object(&j);
    rki_json_end_object(&j);
    rki_json_put_z(&j, "columnKind", "unicodeCodePoints");
    rki_json_key(&j, "results");
    rki_json_array(&j);
    for (size_t i = 0; i < n; i++)
        sarif_one(&j, &tmp, all[i], rule_of(all, n, all[i]->code));
    rki_json_end_array(&j);
    rki_json_end_object(&j);
    rki_json_end_array(&j);
    rki_json_end_object(&j);
    rki_putc(out, '\n');
    out->failed |= tmp.failed;
    rki_buf_fini(&tmp);
}

// ---- suggestions

// Edits from a to b (insert, delete, replace, swap of neighbours: "optimal string alignment"), or more than `most`.
static size_t edits(rkp_str a, rkp_str b, size_t most)
{
    unsigned char row[3][NEAREST_BYTES + 8];
    unsigned char *prev2 = row[0], *prev = row[1], *cur = row[2];

    if ((a.n > b.n ? a.n - b.n : b.n - a.n) > most)
        return most + 1;
    for (size_t j = 0; j <= b.n; j++)
        prev[j] = (unsigned char)j;
    for (size_t i = 1; i <= a.n; i++) {
        unsigned char *spare = prev2;

        cur[0] = (unsigned char)i;
        for (size_t j = 1; j <= b.n; j++) {
            unsigned best = prev[j - 1] + (unsigned)(a.p[i - 1] != b.p[j - 1]);

            if (prev[j] + 1u < best)
                best = prev[j] + 1u;
            if (cur[j - 1] + 1u < best)
                best = cur[j - 1] + 1u;
            if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1] && prev2[j - 2] + 1u < best)
                best = prev2[j - 2] + 1u;
            cur[j] = (unsigned char)best;
        }
        prev2 = prev;
        prev = cur;
        cur = spare;
    }
    return prev[b.n];
}

const char *rki_nearest(rkp_str word, const char *const *names)
{
    size_t most = word.n > 10 ? 3 : word.n > 4 ? 2 : 1, best = most + 1;
    const char *found = NULL;

    if (word.n == 0 || word.n > NEAREST_BYTES)
        return NULL;
    for (; *names; names++) {
        rkp_str name = rkp_str_of(*names);
        size_t e = edits(word, name, most);

        // Something must be left of the word: "x" is not a misspelt "y".
        if (e < best && e < (word.n > name.n ? word.n : name.n)) {
            best = e;
            found = *names;
        }
    }
    return found;
}
