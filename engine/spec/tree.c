// tree.c - libyaml's events to a tree with places, every limit enforced while they stream.
//
// The text is looked at once before libyaml sees it: encoding, NUL, control characters and byte limits are found there,
// with a place (libyaml's reader reports only a byte offset for them).  Then one loop over events:
//
//     event            stack of open collections (at most 64; libyaml's scanner is quadratic in depth, so the loop
//       |              stops at the 65th and never asks it for more)
//       v
//     node ------> parent's list of children; in a map every second node is a key
//       |
//       +--------> anchors: name -> node.  An alias copies it, node by node, against the budget, so a bomb ends when
//                  the 200,000 nodes are used up; an alias to a node that is still open is a cycle
//
// When a map closes its keys are sorted once: equal neighbours are duplicates, and the same pass decides between own
// and merged (`<<`) keys.  Sorting, not hashing: no choice of keys makes it slow.
#include "spec/tree.h"

#include "base/utf8.h"
#include <stdlib.h>
#include <yaml.h>

enum { DEPTH = RKI_TREE_DEPTH, ANCHOR_SLOTS = 2048 };
_Static_assert((int)ANCHOR_SLOTS > (int)RKI_TREE_ANCHORS && (ANCHOR_SLOTS & (ANCHOR_SLOTS - 1)) == 0,
               "the table never fills");

struct anchor {
    rkp_str name;
    uint64_t hash;
    rkp_node *node;
    bool open; // its collection has not closed yet
};

struct level {
    rkp_node *node, *last;
    struct anchor *anchor;
    bool merges; // a plain << is among the keys
    bool have_key;
    rkp_word key;
    yaml_mark_t key_end;
};

// A point in the text.  Events come in order, so finding a mark's bytes costs one walk over the text in all.
struct cursor {
    const char *p, *end;
    size_t line, col; // from 0, as libyaml counts
};

struct tree {
    rki_arena *a;
    rkp_diags *d;
    const char *file;
    rki_tree_budget *b;
    rkp_str text;
    struct cursor cur;
    struct level stack[DEPTH];
    size_t depth;
    rkp_node *root;
    struct anchor **anchors; // ANCHOR_SLOTS of them; NULL until the first
    bool stop;
};

// ---- small helpers on nodes

rkp_node *rki_node_get(const rkp_node *map, const char *key)
{
    size_t n = strlen(key);

    if (!map || map->kind != RKI_MAP)
        return NULL;
    for (rkp_node *c = map->child; c; c = c->next)
        if (c->key.n == n && memcmp(c->key.p, key, n) == 0)
            return c;
    return NULL;
}

bool rki_node_is_null(const rkp_node *n)
{
    if (n->kind != RKI_SCALAR || !n->plain || n->filled)
        return false;
    return n->text.n == 0 || rkp_str_is(n->text, "~") || rkp_str_is(n->text, "null") || rkp_str_is(n->text, "Null") ||
           rkp_str_is(n->text, "NULL");
}

size_t rki_code_points(const char *p, const char *end)
{
    size_t n = 0;
    uint32_t cp;

    for (; p < end; n++)
        p += rki_utf8_next(p, end, &cp);
    return n;
}

rkp_loc rki_node_part(const rkp_node *n, size_t at, size_t len)
{
    rkp_loc loc = n->at;

    if (n->kind != RKI_SCALAR || !n->exact || at > n->text.n || len > n->text.n - at)
        return loc;
    loc.col += (uint32_t)rki_code_points(n->text.p, n->text.p + at);
    loc.len = (uint32_t)rki_code_points(n->text.p + at, n->text.p + at + len);
    return loc;
}

rkp_node *rki_node_new(rki_arena *a, rki_node_kind kind, rkp_loc at)
{
    rkp_node *n = rki_alloc(a, sizeof *n);

    if (!n)
        return NULL;
    n->kind = (uint8_t)kind;
    n->at = at;
    n->text = RKP_STR("");
    return n;
}

void rki_node_add(rkp_node *parent, rkp_node *child)
{
    rkp_node **to = &parent->child;

    while (*to)
        to = &(*to)->next;
    *to = child;
    child->next = NULL;
    parent->n++;
}

void rki_node_remove(rkp_node *parent, rkp_node *child)
{
    rkp_node **to = &parent->child;

    while (*to && *to != child)
        to = &(*to)->next;
    if (!*to)
        return;
    *to = child->next;
    child->next = NULL;
    parent->n--;
}

bool rki_tree_charge(rkp_diags *d, rkp_loc at, rki_tree_budget *b, size_t n)
{
    if (n > RKI_TREE_NODES - b->nodes) {
        rkp_diag(d, RKP_ERROR, at, "limit-nodes", "more than %d values after expansion of aliases and templates",
                 RKI_TREE_NODES);
        return false;
    }
    b->nodes += n;
    return true;
}

static rkp_node *copy_node(rki_arena *a, rkp_diags *d, const rkp_node *n, rkp_loc at, rki_tree_budget *b, size_t depth)
{
    rkp_node *to, **tail;

    if (n->kind != RKI_SCALAR && depth >= DEPTH) {
        rkp_diag(d, RKP_ERROR, at, "limit-depth", "nested deeper than %d levels", DEPTH);
        return NULL;
    }
    if (!rki_tree_charge(d, at, b, 1))
        return NULL;
    to = rki_alloc(a, sizeof *to);
    if (!to)
        return NULL;
    *to = *n;
    to->next = NULL;
    to->dropped = false;
    tail = &to->child;
    for (const rkp_node *c = n->child; c; c = c->next) {
        *tail = copy_node(a, d, c, at, b, depth + 1);
        if (!*tail)
            return NULL;
        tail = &(*tail)->next;
    }
    return to;
}

rkp_node *rki_node_copy(rki_arena *a, rkp_diags *d, const rkp_node *n, rkp_loc used_at, rki_tree_budget *b)
{
    rkp_node *to = copy_node(a, d, n, used_at, b, 0);

    if (to) {
        to->key = (rkp_word){ 0 };
        to->key_at = (rkp_loc){ 0 };
    }
    return to;
}

// ---- places

static rkp_loc loc_at(const struct tree *t, yaml_mark_t m)
{
    return (rkp_loc){ t->file, (uint32_t)m.line + 1, (uint32_t)m.column + 1, 0 };
}

static rkp_loc loc_span(const struct tree *t, yaml_mark_t from, yaml_mark_t to)
{
    rkp_loc l = loc_at(t, from);

    if (from.line == to.line && to.column > from.column)
        l.len = (uint32_t)(to.column - from.column);
    return l;
}

// Bytes of a line end at p, as YAML's reader sees it; 0 when there is none.
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

static void step(struct cursor *c)
{
    size_t n = line_end(c->p, c->end);
    uint32_t cp;

    if (n) {
        c->p += n;
        c->line++;
        c->col = 0;
        return;
    }
    c->p += rki_utf8_next(c->p, c->end, &cp);
    c->col++;
}

// The bytes at a mark; NULL when the cursor is past it.
static const char *seek(struct cursor *c, yaml_mark_t m)
{
    while (c->p < c->end && (c->line < m.line || (c->line == m.line && c->col < m.column)))
        step(c);
    return c->line == m.line && c->col == m.column ? c->p : NULL;
}

// ---- the look before libyaml

static struct cursor start_of(rkp_str text)
{
    if (text.n >= 3 && memcmp(text.p, "\xef\xbb\xbf", 3) == 0)
        text = (rkp_str){ text.p + 3, text.n - 3 };
    return (struct cursor){ text.p, text.p + text.n, 0, 0 };
}

static bool allowed(uint32_t cp)
{
    return cp == '\t' || cp == '\n' || cp == '\r' || (cp >= 0x20 && cp <= 0x7e) || cp == 0x85 ||
           (cp >= 0xa0 && cp <= 0xd7ff) || (cp >= 0xe000 && cp <= 0xfffd && cp != 0xfeff) ||
           (cp >= 0x10000 && cp <= 0x10ffff);
}

static bool encoding_ok(struct tree *t)
{
    const unsigned char *u = (const unsigned char *)t->text.p;
    struct cursor c = start_of(t->text);

    if (t->text.n >= 2 && ((u[0] == 0xff && u[1] == 0xfe) || (u[0] == 0xfe && u[1] == 0xff))) {
        rkp_diag(t->d, RKP_ERROR, (rkp_loc){ .file = t->file }, "yaml-encoding", "the file is UTF-16");
        rkp_diag_hint(t->d, "save it as UTF-8");
        return false;
    }
    while (c.p < c.end) {
        rkp_loc at = { t->file, (uint32_t)c.line + 1, (uint32_t)c.col + 1, 1 };
        const char *was = c.p;
        uint32_t cp;

        if ((unsigned char)*c.p >= 0x20 && (unsigned char)*c.p < 0x7f) { // most of any file
            c.p++;
            c.col++;
            continue;
        }
        rki_utf8_next(c.p, c.end, &cp);
        if (cp == RKI_UTF8_BAD) {
            rkp_diag(t->d, RKP_ERROR, at, "yaml-encoding", "byte 0x%02x is not UTF-8", (unsigned char)*was);
            rkp_diag_hint(t->d, "save the file as UTF-8");
            return false;
        }
        if (cp == 0) {
            rkp_diag(t->d, RKP_ERROR, at, "yaml-encoding", "a NUL byte in the file");
            return false;
        }
        if (!allowed(cp)) {
            rkp_diag(t->d, RKP_ERROR, at, "yaml-encoding", "the control character U+%04X is not allowed", cp);
            rkp_diag_hint(t->d, "write \"\\x%02x\" in double quotes", cp & 0xff);
            return false;
        }
        step(&c);
    }
    return true;
}

static bool sizes_ok(struct tree *t)
{
    rkp_loc at = { .file = t->file };

    if (t->text.n > RKI_FILE_BYTES) {
        rkp_diag(t->d, RKP_ERROR, at, "limit-bytes", "the file is larger than 1 MiB");
        return false;
    }
    if (t->b->bytes + t->text.n > RKI_ALL_BYTES) {
        rkp_diag(t->d, RKP_ERROR, at, "limit-bytes", "the pipeline with its includes is larger than 8 MiB");
        return false;
    }
    t->b->bytes += t->text.n;
    t->b->files++;
    return true;
}

// ---- syntax errors

// The text of line `line` (from 0).
static rkp_str line_text(const struct tree *t, size_t line)
{
    struct cursor c = start_of(t->text);
    const char *from;

    while (c.p < c.end && c.line < line)
        step(&c);
    from = c.p;
    while (c.p < c.end && line_end(c.p, c.end) == 0)
        c.p++;
    return c.line == line ? (rkp_str){ from, (size_t)(c.p - from) } : (rkp_str){ "", 0 };
}

// Splits a line at a column (from 0): what stands before it, and from it on.
static void split(rkp_str line, size_t col, rkp_str *before, rkp_str *after)
{
    const char *p = line.p, *end = line.p + line.n;
    uint32_t cp;

    for (; p < end && col; col--)
        p += rki_utf8_next(p, end, &cp);
    *before = (rkp_str){ line.p, (size_t)(p - line.p) };
    *after = (rkp_str){ p, (size_t)(end - p) };
}

static rkp_str trimmed_end(rkp_str s)
{
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

static bool has(rkp_str s, const char *what)
{
    size_t n = strlen(what);

    for (size_t i = 0; i + n <= s.n; i++)
        if (memcmp(s.p + i, what, n) == 0)
            return true;
    return false;
}

static bool begins(const char *text, const char *with)
{
    return text && strncmp(text, with, strlen(with)) == 0;
}

static const char *value_hint(char c)
{
    switch (c) {
    case '*':
        return "a value that begins with '*' must be quoted, as in \"*.csv\"";
    case '&':
        return "a value that begins with '&' must be quoted";
    case '@':
    case '`':
    case '%':
        return "a value that begins with this character must be quoted";
    default:
        return NULL;
    }
}

// What libyaml says, in the words of this file.  Returns the text, and a hint or NULL.
static const char *explain(const struct tree *t, const yaml_parser_t *p, const char **hint)
{
    const char *problem = p->problem ? p->problem : "cannot read this as YAML";
    rkp_str before, after, above, line = line_text(t, p->problem_mark.line);
    char first;

    split(line, p->problem_mark.column, &before, &after);
    before = trimmed_end(before);
    first = after.n ? after.p[0] : 0;
    *hint = NULL;
    if (begins(problem, "found character that cannot start any token")) {
        if (first == '\t' || has(before, "\t")) {
            *hint = "indent with blanks";
            return "a tab cannot indent";
        }
        *hint = value_hint(first);
        return "no value can begin with this character";
    }
    if (begins(problem, "found a tab character")) {
        *hint = "indent with blanks";
        return "a tab cannot indent";
    }
    if (begins(problem, "did not find expected alphabetic or numeric character")) {
        bool alias = begins(p->context, "while scanning an alias");

        *hint = value_hint(alias ? '*' : '&');
        return alias ? "'*' begins an alias, and no name follows it" : "'&' begins an anchor, and no name follows it";
    }
    if (begins(problem, "mapping values are not allowed")) {
        if (has(before, ": ") || (before.n && before.p[before.n - 1] == ':')) {
            *hint = "quote a value that holds ': '";
            return "a second ': ' in one line";
        }
        above = trimmed_end(line_text(t, p->problem_mark.line ? p->problem_mark.line - 1 : 0));
        if (has(above, ":") && !has(above, ": ") && above.p[above.n - 1] != ':')
            *hint = "in the line above no blank follows the ':'";
        else
            *hint = "check the indentation: this line stands deeper than the one it belongs to";
        return "a key is not allowed here";
    }
    if (begins(problem, "could not find expected ':'")) {
        *hint = "a key is followed by ':' and a blank";
        return "no ': ' after this key";
    }
    if (begins(problem, "did not find expected key")) {
        char last = before.n ? before.p[before.n - 1] : 0;

        if (last == '"' || last == '\'')
            *hint = "a value that begins with a quote ends at the next one: quote the whole value";
        else
            *hint = "check the indentation of this line against the lines above";
        return "a key of the mapping was expected here";
    }
    if (begins(problem, "did not find expected '-' indicator")) {
        *hint = "check the indentation of this line against the lines above";
        return "a '-' of the list was expected here";
    }
    if (begins(problem, "did not find expected ',' or ']'")) {
        *hint = "close the list with ']', or quote a value that holds '[', ']', ',' or '#'";
        return "a ',' or ']' was expected here";
    }
    if (begins(problem, "did not find expected ',' or '}'")) {
        *hint = "close the mapping with '}', or quote a value that holds '{', '}', ',' or '#'";
        return "a ',' or '}' was expected here";
    }
    if (begins(problem, "found unexpected end of stream")) {
        *hint = "close the quotes";
        return "the file ends inside quotes";
    }
    if (begins(problem, "found unknown escape character")) {
        *hint = "in single quotes a backslash is a backslash";
        return "no such escape in double quotes";
    }
    if (begins(problem, "block sequence entries are not allowed")) {
        *hint = "put the list on lines of its own, or write it as [a, b]";
        return "a list with '-' cannot begin on this line";
    }
    if (begins(problem, "did not find expected <document start>")) {
        *hint = "check the indentation of this line against the lines above";
        return "this does not belong to the mapping above";
    }
    if (begins(problem, "did not find expected node content")) {
        *hint = "quote a value that holds ',', '[' or '{'";
        return "a value was expected here";
    }
    return problem;
}

static const char *context_of(const char *context)
{
    if (!context)
        return NULL;
    if (strstr(context, "mapping"))
        return "mapping";
    if (strstr(context, "sequence"))
        return "list";
    return strstr(context, "quoted") ? "text" : NULL;
}

static void syntax(struct tree *t, const yaml_parser_t *p)
{
    const char *hint, *text, *what;
    rkp_loc at = loc_at(t, p->problem_mark);

    t->stop = true;
    if (p->error == YAML_MEMORY_ERROR) {
        t->a->failed = true;
        return;
    }
    if (p->error == YAML_READER_ERROR) { // encoding_ok finds these first
        rkp_diag(t->d, RKP_ERROR, (rkp_loc){ .file = t->file }, "yaml-encoding", "%s at byte %zu",
                 p->problem ? p->problem : "cannot read the text", p->problem_offset);
        return;
    }
    text = explain(t, p, &hint);
    what = p->context_mark.line != p->problem_mark.line ? context_of(p->context) : NULL;
    if (what)
        rkp_diag(t->d, RKP_ERROR, at, "yaml-syntax", "%s; the %s begins in line %zu", text, what,
                 p->context_mark.line + 1);
    else
        rkp_diag(t->d, RKP_ERROR, at, "yaml-syntax", "%s", text);
    if (hint)
        rkp_diag_hint(t->d, "%s", hint);
}

// ---- anchors

static uint64_t hash_of(rkp_str s)
{
    uint64_t h = 1469598103934665603u;

    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * 1099511628211u;
    return h ^ (h >> 29);
}

// Where an anchor of that name is, or would be.  The table must be there.
static struct anchor **anchor_slot(struct tree *t, rkp_str name)
{
    uint64_t h = hash_of(name);
    size_t i = (size_t)h & (ANCHOR_SLOTS - 1);

    while (t->anchors[i] && !(t->anchors[i]->hash == h && rkp_str_eq(t->anchors[i]->name, name)))
        i = (i + 1) & (ANCHOR_SLOTS - 1);
    return &t->anchors[i];
}

// The entry for a new anchor on `node`; an earlier one of that name is replaced, as YAML has it.
static struct anchor *anchor_add(struct tree *t, const yaml_char_t *z, rkp_node *node, bool open)
{
    rkp_str name = rkp_str_of((const char *)z);
    struct anchor **slot, *a;

    if (!t->anchors)
        t->anchors = rki_array(t->a, ANCHOR_SLOTS, sizeof(struct anchor *));
    if (!t->anchors)
        return NULL;
    slot = anchor_slot(t, name);
    if (!*slot) {
        if (t->b->anchors >= RKI_TREE_ANCHORS) {
            rkp_diag(t->d, RKP_ERROR, node->at, "limit-anchors", "more than %d anchors", RKI_TREE_ANCHORS);
            t->stop = true;
            return NULL;
        }
        t->b->anchors++;
    }
    a = rki_alloc(t->a, sizeof *a); // a new one: an open level may still point at the old
    if (!a)
        return NULL;
    *a = (struct anchor){ rki_dup_str(t->a, name), hash_of(name), node, open };
    if (a->name.p)
        *slot = a;
    return a;
}

// ---- maps: duplicates and merge keys

struct entry {
    rkp_node *n;
    size_t from;  // 0: the map's own; else the merged map it came from, in order
    size_t order; // in the map
};

static int by_key(const void *pa, const void *pb)
{
    const struct entry *a = pa, *b = pb;
    int c;

    if (a->n->key.n != b->n->key.n)
        return a->n->key.n < b->n->key.n ? -1 : 1;
    c = memcmp(a->n->key.p, b->n->key.p, a->n->key.n);
    if (c == 0)
        c = (a->from > b->from) - (a->from < b->from);
    return c ? c : (a->order > b->order) - (a->order < b->order);
}

static bool same_key(const rkp_node *a, const rkp_node *b)
{
    return a->key.n == b->key.n && memcmp(a->key.p, b->key.p, a->key.n) == 0;
}

static bool is_merge(const rkp_node *n)
{
    return !n->dropped && n->key.n == 2 && memcmp(n->key.p, "<<", 2) == 0;
}

void rki_key_twice(rkp_diags *d, const rkp_node *first, const rkp_node *second)
{
    bool one_file = first->key_at.file == second->key_at.file;

    rkp_diag(d, RKP_ERROR, second->key_at, "key-twice", "'%.*s' stands twice: first in %s%s%u",
             (int)(second->key.n < 200 ? second->key.n : 200), second->key.p, one_file ? "line " : first->key_at.file,
             one_file ? "" : ":", first->key_at.line);
}

// Sorts entries, reports duplicates among the map's own, and marks all but the first of equal keys.
static void settle(rkp_diags *d, struct entry *v, size_t n)
{
    qsort(v, n, sizeof *v, by_key);
    for (size_t i = 0; i < n;) {
        size_t k = i + 1;

        for (; k < n && same_key(v[i].n, v[k].n); k++) {
            if (v[k].from == 0)
                rki_key_twice(d, v[i].n, v[k].n);
            v[k].n->dropped = true;
        }
        i = k;
    }
}

void rki_map_settle(rki_arena *a, rkp_diags *d, rkp_node *m)
{
    struct entry *v = m->n > 1 ? malloc(m->n * sizeof *v) : NULL;
    rkp_node **to = &m->child;
    size_t i = 0;

    if (!v) {
        a->failed = a->failed || m->n > 1;
        return;
    }
    for (rkp_node *c = m->child; c; c = c->next, i++)
        v[i] = (struct entry){ c, 0, i };
    settle(d, v, i);
    free(v);
    for (rkp_node *c = m->child, *next; c; c = next) {
        next = c->next;
        if (c->dropped) {
            m->n--;
            continue;
        }
        *to = c;
        to = &c->next;
    }
    *to = NULL;
}

// Is `v` what a merge key takes?  *n grows by the number of keys it brings.
static bool merge_ok(struct tree *t, const rkp_node *v, size_t *n)
{
    bool ok = v->kind == RKI_MAP || v->kind == RKI_LIST;

    if (v->kind == RKI_MAP)
        *n += v->n;
    for (const rkp_node *c = v->child; v->kind == RKI_LIST && c; c = c->next) {
        ok = ok && c->kind == RKI_MAP;
        *n += c->n;
    }
    if (!ok) {
        rkp_diag(t->d, RKP_ERROR, v->key_at, "yaml-merge", "'<<' takes an alias of a mapping, or a list of them");
        rkp_diag_hint(t->d, "write '<<: *name', with '&name' before a mapping further up");
    }
    return ok;
}

// Moves what is left of a merged map to the end of m's list, which `to` points at.
static rkp_node **take_winners(rkp_node *m, rkp_node *merged, rkp_node **to)
{
    for (rkp_node *k = merged->child, *after; k; k = after) {
        after = k->next;
        if (k->dropped)
            continue;
        *to = k;
        to = &k->next;
        m->n++;
    }
    return to;
}

// Called when a map has closed: keys settled, `<<` replaced by the keys it brings and that win.
static void close_map(struct tree *t, rkp_node *m, bool merges)
{
    struct entry small[16], *v = small;
    size_t n = m->n, i = 0, from = 0;
    rkp_node *list = m->child, **to = &m->child;

    if (m->n < 2 && !merges)
        return;
    for (rkp_node *c = m->child; merges && c; c = c->next)
        if (is_merge(c) && !merge_ok(t, c, &n)) {
            t->stop = true;
            return;
        }
    if (n > sizeof small / sizeof *small) {
        v = malloc(n * sizeof *v);
        if (!v) {
            t->a->failed = true;
            return;
        }
    }
    for (rkp_node *c = m->child; c; c = c->next) {
        v[i] = (struct entry){ c, 0, i };
        i++;
        if (!merges || !is_merge(c))
            continue;
        if (c->kind == RKI_MAP) {
            from++;
            for (rkp_node *k = c->child; k; k = k->next)
                v[i] = (struct entry){ k, from, i }, i++;
        }
        for (rkp_node *l = c->kind == RKI_LIST ? c->child : NULL; l; l = l->next) {
            from++;
            for (rkp_node *k = l->child; k; k = k->next)
                v[i] = (struct entry){ k, from, i }, i++;
        }
    }
    settle(t->d, v, i);
    if (v != small)
        free(v);
    m->n = 0;
    for (rkp_node *c = list, *next; c; c = next) {
        next = c->next;
        if (c->dropped)
            continue;
        if (!merges || !is_merge(c)) {
            *to = c;
            to = &c->next;
            m->n++;
            continue;
        }
        for (rkp_node *l = c->kind == RKI_LIST ? c->child : c; l; l = c->kind == RKI_LIST ? l->next : NULL)
            to = take_winners(m, l, to);
    }
    *to = NULL;
}

// ---- events

// Hangs a finished scalar, an opened collection or an alias's copy into the tree.
static void place_node(struct tree *t, rkp_node *n)
{
    struct level *l = t->depth ? &t->stack[t->depth - 1] : NULL;

    if (!l) {
        t->root = n;
        return;
    }
    if (l->node->kind == RKI_MAP) {
        n->key = l->key;
        n->key_at = l->key.at;
        l->have_key = false;
    }
    if (l->last)
        l->last->next = n;
    else
        l->node->child = n;
    l->last = n;
    l->node->n++;
}

static bool wants_key(const struct tree *t)
{
    const struct level *l = t->depth ? &t->stack[t->depth - 1] : NULL;

    return l && l->node->kind == RKI_MAP && !l->have_key;
}

static const char *const scalar_tags[] = { "str", "int", "float", "bool", "null", NULL };
static const char *const map_tags[] = { "map", NULL };
static const char *const list_tags[] = { "seq", NULL };

static bool core_tag(struct tree *t, const yaml_char_t *z, rkp_loc at, const char *const *core)
{
    const char *tag = (const char *)z;

    if (!tag || strcmp(tag, "!") == 0)
        return true;
    for (; *core; core++)
        if (strncmp(tag, "tag:yaml.org,2002:", 18) == 0 && strcmp(tag + 18, *core) == 0)
            return true;
    if (strncmp(tag, "tag:yaml.org,2002:", 18) == 0)
        rkp_diag(t->d, RKP_ERROR, at, "yaml-tag", "the tag '!!%s' is not allowed here", tag + 18);
    else
        rkp_diag(t->d, RKP_ERROR, at, "yaml-tag", "the tag '%s' is not known", tag);
    rkp_diag_hint(t->d, "quote a value that begins with '!'");
    return false;
}

// Where the text of a block scalar begins; its header is at `header`.
static void block_place(struct tree *t, rkp_node *n, yaml_mark_t header)
{
    const char *p = seek(&t->cur, header);
    struct cursor c = t->cur;
    size_t blanks, own = 0;
    const char *nl = memchr(n->text.p, '\n', n->text.n);

    if (!p || n->text.n == 0)
        return;
    while (c.p < c.end && line_end(c.p, c.end) == 0)
        step(&c);
    for (;;) {
        if (c.p >= c.end)
            return;
        step(&c); // the line's end
        for (blanks = 0; c.p + blanks < c.end && c.p[blanks] == ' '; blanks++)
            ;
        if (c.p + blanks < c.end && line_end(c.p + blanks, c.end) == 0)
            break;
        c.p += blanks;
        if (c.p >= c.end)
            return;
    }
    if (n->text.p[0] == '\n')
        return; // leading empty lines: the text does not begin where its first word stands
    while (own < n->text.n && n->text.p[own] == ' ')
        own++;
    n->at.line = (uint32_t)c.line + 1;
    n->at.col = (uint32_t)(blanks >= own ? blanks - own : blanks) + 1;
    n->at.len = (uint32_t)rki_code_points(n->text.p, nl ? nl : n->text.p + n->text.n);
    n->exact = !nl;
}

// Is an empty value empty because of a '#'?  In a map it would stand after the key (libyaml puts its mark at the next
// token), in a list at its mark.
static bool comment_follows(struct tree *t, yaml_mark_t mark)
{
    const struct level *l = t->depth ? &t->stack[t->depth - 1] : NULL;
    bool in_map = l && l->have_key;
    const char *p = seek(&t->cur, in_map ? l->key_end : mark), *end = t->cur.end;

    for (int colon = in_map; p && p < end && (*p == ' ' || *p == '\t' || (*p == ':' && colon)); p++)
        colon -= *p == ':';
    return p && p < end && *p == '#';
}

static void scalar_place(struct tree *t, rkp_node *n, const yaml_event_t *e)
{
    bool one_line = e->start_mark.line == e->end_mark.line;
    bool marked = e->data.scalar.anchor || e->data.scalar.tag; // the start mark is that of the anchor or tag
    size_t len = one_line ? e->end_mark.column - e->start_mark.column : 0;
    size_t cps = rki_code_points(n->text.p, n->text.p + n->text.n);

    n->at = loc_at(t, e->start_mark);
    switch (e->data.scalar.style) {
    case YAML_PLAIN_SCALAR_STYLE:
        if (one_line && marked && e->end_mark.column >= cps) {
            n->at.col = (uint32_t)(e->end_mark.column - cps) + 1;
            len = cps;
        }
        n->at.len = (uint32_t)len;
        n->exact = one_line && len == cps;
        n->comment = n->text.n == 0 && comment_follows(t, e->start_mark);
        break;
    case YAML_LITERAL_SCALAR_STYLE:
    case YAML_FOLDED_SCALAR_STYLE:
        if (!marked)
            block_place(t, n, e->start_mark);
        break;
    default: // quoted
        if (marked)
            break;
        n->at.col++;
        n->at.len = (uint32_t)(one_line && len >= 2 ? len - 2 : 0);
        n->exact = one_line && n->at.len == cps;
        break;
    }
}

static rkp_node *scalar_node(struct tree *t, const yaml_event_t *e)
{
    rkp_loc at = loc_span(t, e->start_mark, e->end_mark);
    const char *tag = (const char *)e->data.scalar.tag;
    bool known;
    rkp_node *n;

    if (e->data.scalar.length > RKI_SCALAR_BYTES) {
        rkp_diag(t->d, RKP_ERROR, loc_at(t, e->start_mark), "limit-scalar", "a value of more than 256 KiB");
        t->stop = true;
        return NULL;
    }
    known = core_tag(t, e->data.scalar.tag, at, scalar_tags);
    n = rki_node_new(t->a, RKI_SCALAR, at);
    if (!n)
        return NULL;
    n->bad = !known;
    n->text = rki_dup_str(t->a, (rkp_str){ (const char *)e->data.scalar.value, e->data.scalar.length });
    if (!n->text.p)
        return NULL;
    n->plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (tag && known) // !!int "5" is a number, !!str 5 and ! 5 are not
        n->plain = tag[1] != 0 && strcmp(tag, "tag:yaml.org,2002:str") != 0;
    scalar_place(t, n, e);
    if (memchr(n->text.p, 0, n->text.n)) { // "\0" in double quotes
        rkp_diag(t->d, RKP_ERROR, n->at, "yaml-encoding", "a value with a NUL character");
        t->stop = true;
        return NULL;
    }
    return n;
}

static void take_key(struct tree *t, rkp_str text, bool plain, rkp_loc at, yaml_mark_t end)
{
    struct level *l = &t->stack[t->depth - 1];

    if (text.n == 0) {
        rkp_diag(t->d, RKP_ERROR, at, "yaml-key", "an empty key");
        t->stop = true;
        return;
    }
    l->key = (rkp_word){ text.p, text.n, at };
    l->have_key = true;
    l->key_end = end;
    l->merges = l->merges || (plain && rkp_str_is(text, "<<"));
}

static void on_scalar(struct tree *t, const yaml_event_t *e)
{
    rkp_node *n = scalar_node(t, e);

    if (!n)
        return;
    if (e->data.scalar.anchor && !anchor_add(t, e->data.scalar.anchor, n, false))
        return;
    if (wants_key(t)) {
        take_key(t, n->text, n->plain, n->at, e->end_mark);
        return;
    }
    if (!rki_tree_charge(t->d, n->at, t->b, 1)) {
        t->stop = true;
        return;
    }
    place_node(t, n);
}

static void hint_anchor(struct tree *t, rkp_str name)
{
    const char *names[64 + 1], *near;
    size_t n = 0;

    for (size_t i = 0; t->anchors && i < ANCHOR_SLOTS && n < 64; i++)
        if (t->anchors[i])
            names[n++] = t->anchors[i]->name.p;
    names[n] = NULL;
    near = rki_nearest(name, names);
    if (near)
        rkp_diag_hint(t->d, "did you mean '*%s'?", near);
    else
        rkp_diag_hint(t->d, "%s", value_hint('*'));
}

static void on_alias(struct tree *t, const yaml_event_t *e)
{
    rkp_str name = rkp_str_of((const char *)e->data.alias.anchor);
    rkp_loc at = loc_span(t, e->start_mark, e->end_mark);
    const struct anchor *a = t->anchors ? *anchor_slot(t, name) : NULL;
    rkp_node *n;

    if (!a) {
        rkp_diag(t->d, RKP_ERROR, at, "yaml-alias", "alias '*%.*s' has no anchor '&%.*s' above it", RKP_STR_ARG(name),
                 RKP_STR_ARG(name));
        hint_anchor(t, name);
        t->stop = true;
        return;
    }
    if (a->open) {
        rkp_diag(t->d, RKP_ERROR, at, "yaml-cycle", "alias '*%.*s' stands inside the value it names",
                 RKP_STR_ARG(name));
        t->stop = true;
        return;
    }
    if (wants_key(t)) {
        if (a->node->kind == RKI_SCALAR) {
            take_key(t, a->node->text, false, at, e->end_mark);
            return;
        }
        rkp_diag(t->d, RKP_ERROR, at, "yaml-key", "a key must be a scalar, not a list or a mapping");
        t->stop = true;
        return;
    }
    n = copy_node(t->a, t->d, a->node, at, t->b, t->depth);
    if (!n) {
        t->stop = true;
        return;
    }
    n->next = NULL;
    n->key = (rkp_word){ 0 };
    n->key_at = (rkp_loc){ 0 };
    place_node(t, n);
}

static void on_open(struct tree *t, const yaml_event_t *e, rki_node_kind kind)
{
    const yaml_char_t *anchor = kind == RKI_MAP ? e->data.mapping_start.anchor : e->data.sequence_start.anchor;
    const yaml_char_t *tag = kind == RKI_MAP ? e->data.mapping_start.tag : e->data.sequence_start.tag;
    rkp_loc at = loc_span(t, e->start_mark, e->end_mark);
    struct anchor *a = NULL;
    const rkp_loc *above;
    rkp_node *n;

    t->stop = true; // until all is well
    if (wants_key(t)) {
        rkp_diag(t->d, RKP_ERROR, at, "yaml-key", "a key must be a scalar, not a list or a mapping");
        above = &t->stack[t->depth - 1].node->at;
        if (kind == RKI_MAP && above->line == at.line && above->col + 1 == at.col)
            rkp_diag_hint(t->d, "there are no {{..}} templates: the environment is ${NAME}, a variable ${var:name}");
        else
            rkp_diag_hint(t->d, "quote a text that begins with '{' or '['");
        return;
    }
    if (t->depth == DEPTH) {
        rkp_diag(t->d, RKP_ERROR, at, "limit-depth", "nested deeper than %d levels", DEPTH);
        return;
    }
    core_tag(t, tag, at, kind == RKI_MAP ? map_tags : list_tags);
    n = rki_node_new(t->a, kind, at);
    if (!n || !rki_tree_charge(t->d, at, t->b, 1))
        return;
    if (anchor) {
        a = anchor_add(t, anchor, n, true);
        if (!a)
            return;
    }
    place_node(t, n);
    t->stack[t->depth++] = (struct level){ .node = n, .anchor = a };
    t->stop = false;
}

static void on_close(struct tree *t)
{
    struct level *l = &t->stack[--t->depth];

    if (l->anchor)
        l->anchor->open = false;
    if (l->node->kind == RKI_MAP)
        close_map(t, l->node, l->merges);
}

static void on_document(struct tree *t, const yaml_event_t *e)
{
    if (!t->root)
        return;
    rkp_diag(t->d, RKP_ERROR, loc_span(t, e->start_mark, e->end_mark), "yaml-documents",
             "a second document; a pipeline is one");
    rkp_diag_hint(t->d, "put it into a file of its own, and use 'include' if they belong together");
    t->stop = true;
}

// Returns true when the stream has ended.
static bool on_event(struct tree *t, const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        on_document(t, e);
        break;
    case YAML_SCALAR_EVENT:
        on_scalar(t, e);
        break;
    case YAML_ALIAS_EVENT:
        on_alias(t, e);
        break;
    case YAML_MAPPING_START_EVENT:
        on_open(t, e, RKI_MAP);
        break;
    case YAML_SEQUENCE_START_EVENT:
        on_open(t, e, RKI_LIST);
        break;
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        on_close(t);
        break;
    default:
        break;
    }
    return e->type == YAML_STREAM_END_EVENT;
}

rkp_node *rki_tree_load(rki_arena *a, rkp_diags *d, const char *file, rkp_str text, rki_tree_budget *b)
{
    struct tree tree = { .a = a, .d = d, .file = file, .b = b, .text = text, .cur = start_of(text) }, *t = &tree;
    yaml_parser_t p;
    bool end = false;

    if (!sizes_ok(t) || !encoding_ok(t))
        return NULL;
    if (!yaml_parser_initialize(&p)) {
        a->failed = true;
        return NULL;
    }
    yaml_parser_set_encoding(&p, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&p, (const unsigned char *)t->cur.p, (size_t)(t->cur.end - t->cur.p));
    while (!t->stop && !end && !rki_arena_failed(a)) {
        yaml_event_t e;

        if (!yaml_parser_parse(&p, &e)) {
            syntax(t, &p);
            break;
        }
        end = on_event(t, &e);
        yaml_event_delete(&e);
    }
    yaml_parser_delete(&p);
    if (t->stop || rki_arena_failed(a))
        return NULL;
    if (!t->root) {
        rkp_diag(d, RKP_ERROR, (rkp_loc){ .file = file }, "yaml-empty", "the file is empty");
        return NULL;
    }
    return t->root;
}
