// operators/read/json_quick.h - a second walker, for machines that find marks quickly; included instead of json_walk.h.
//
// Marks are the places of all quotes, escaping backslashes, newlines, and brackets outside of strings.  They are found
// 64 bytes at a time, ahead of the walker.  With them the end of a string is the next mark, so that the next key can be
// looked at before the string's end has been searched for, and the processor does much at once.
//
// This walker knows good lines only.  Whatever it does not like is read again by the other one, which looks at the text
// itself and can say what is wrong.  Both accept the same lines.
//
// The including file has defined, besides what json_walk.h needs:
//   put_bits(to, m, from)       places of the set bits of m
#include "json_walk.h"

struct quick {
    const char *base;
    uint32_t *const *pos;
    size_t at;
    bool high; // there are bytes from 0x80 near
};

// Where the walker is: in the text (NULL: this line is not for it), and at the next mark.  Both stay in registers.
struct cursor {
    const char *p;
    const uint32_t *m;
};

static inline struct cursor not_quick(void)
{
    return (struct cursor){ NULL, NULL };
}

static struct cursor quick_object(const struct quick *w, struct node *nd, struct cursor c);
static struct cursor quick_array(const struct quick *w, const struct node *nd, struct cursor c);

static bool escape_ok(const char *p)
{
    static const char good[] = "\"\\/bfnrt";
    return p[1] == 'u' ? hex(p[2]) && hex(p[3]) && hex(p[4]) && hex(p[5]) : p[1] && strchr(good, p[1]);
}

// c is at a quote and its mark; p of the answer is behind the string.
static inline struct cursor quick_string(const struct quick *w, struct cursor c)
{
    const uint32_t *m = c.m + 1;
    while (RKP_UNLIKELY(w->base[*m] == '\\'))
        if (!escape_ok(w->base + *m++))
            return not_quick();
    return (struct cursor){ w->base + *m + 1, m + 1 };
}

static inline struct cursor quick_skip(const struct quick *w, struct cursor c)
{
    struct nest nest;
    nest.n = 0;
    for (const uint32_t *m = c.m;; m++) {
        char b = w->base[*m];
        if (b == '"' || b == '\\')
            continue;
        if (b == '{' || b == '[') {
            if (!nest_push(&nest, b == '{'))
                return not_quick();
        } else {
            if (b == '\n' || nest_object(&nest) != (b == '}'))
                return not_quick();
            if (--nest.n == 0)
                return (struct cursor){ w->base + *m + 1, m + 1 };
        }
    }
}

static inline void quick_found(const struct quick *w, const struct entry *e, const char *p, const char *end)
{
    uint32_t *to;
    if (e->slot < 0)
        return;
    to = w->pos[e->slot] + w->at;
    to[0] = (uint32_t)(p - w->base) - 1;
    to[1] = (uint32_t)(end - w->base);
}

// A value that is no string.
static struct cursor quick_other(const struct quick *w, const struct entry *e, struct cursor c)
{
    const char *p = c.p;
    if (*p == '{' || *p == '[') {
        struct walk slow = { .base = w->base };
        if (e && e->slot >= 0 && !check(&slow, p))
            return not_quick();
        if (e && e->child && *p == '{' && e->child->n_members)
            c = quick_object(w, e->child, c);
        else if (e && e->child && *p == '[' && e->child->n_elems)
            c = quick_array(w, e->child, c);
        else
            c = quick_skip(w, c);
        if (e && c.p)
            quick_found(w, e, p, c.p);
        return c;
    }
    c.p = scalar_end(p);
    if (w->base + *c.m < c.p) // a quote, backslash or bracket in it: the marks would not be those of the values
        return not_quick();
    if (!e)
        return *p == '-' || digit(*p) || *p == 't' || *p == 'f' || *p == 'n' ? c : not_quick();
    if (scalar_check(p, c.p))
        return not_quick();
    if (*p != 'n')
        quick_found(w, e, p, c.p);
    else if (e->slot >= 0)
        w->pos[e->slot][w->at] = RKP_NO_TEXT;
    return c;
}

static inline struct cursor quick_value(const struct quick *w, const struct entry *e, struct cursor c)
{
    const char *p = c.p;
    for (uint32_t i = e ? e->lo : 0, hi = e ? e->hi : 0; i < hi; i++)
        w->pos[i][w->at] = RKP_NO_TEXT;
    if (RKP_UNLIKELY(*p != '"'))
        return quick_other(w, e, c);
    c = quick_string(w, c);
    if (!e || RKP_UNLIKELY(!c.p))
        return c;
    if (RKP_UNLIKELY(w->high) && !jscan_utf8(p, (size_t)(c.p - p)))
        return not_quick();
    quick_found(w, e, p, c.p);
    return c;
}

// A key that was not guessed; c is behind the value before it, or at the bracket.  *link gets its item.  The answer is
// where the value begins, or the closing bracket.
static struct cursor quick_key(const struct quick *w, struct node *nd, struct cursor c, struct item ***link,
                               struct item **none, const struct entry **e)
{
    bool begun = *link != NULL;
    const char *q = blanks(begun ? c.p : c.p + 1), *key;
    struct item *it;
    if (*q == '}')
        return (struct cursor){ q, c.m + !begun };
    if (begun) {
        if (*q != ',')
            return not_quick();
        q = blanks(q + 1);
    }
    if (*q != '"')
        return not_quick();
    key = q + 1;
    c.m += begun ? 1 : 2; // at the closing quote, unless there are escapes
    q = w->base + *c.m;
    if (*q != '"')
        return not_quick();
    *e = jscan_member(nd, key, (size_t)(q - key), false);
    q = blanks(q + 1);
    if (*q != ':')
        return not_quick();
    q = blanks(q + 1);
    if (*q == '}')
        return not_quick();
    it = jscan_learn(nd, *link, c.p, (size_t)(q - c.p), begun ? 2 : 3, *e);
    *link = it ? &it->next : begun ? *link : none;
    return (struct cursor){ q, c.m + 1 };
}

static struct cursor quick_object(const struct quick *w, struct node *nd, struct cursor c)
{
    struct item *none = NULL, **link = NULL; // as in object
    for (;;) {
        const struct entry *e = NULL;
        struct item *it = expected(nd, link, c.p);
        if (link && *c.p == '}')
            break;
        if (RKP_LIKELY(it != NULL)) {
            e = it->e;
            c.p += it->len;
            c.m += it->marks;
            if (RKP_UNLIKELY((unsigned char)*c.p <= ' '))
                c.p = blanks(c.p);
            link = &it->next;
        } else {
            c = quick_key(w, nd, c, &link, &none, &e);
            if (!c.p)
                return c;
            if (*c.p == '}')
                break;
        }
        c = quick_value(w, e, c);
        if (RKP_UNLIKELY(!c.p))
            return c;
    }
    c.m++;
    c.p++;
    return c;
}

static struct cursor quick_array(const struct quick *w, const struct node *nd, struct cursor c)
{
    uint32_t next = 0;
    c.m++;
    c.p = blanks(c.p + 1);
    for (uint64_t i = 0; *c.p != ']' || i; i++) {
        const struct entry *e = NULL;
        if (next < nd->n_elems && nd->elems[next].index == i)
            e = &nd->elems[next++];
        c = quick_value(w, e, c);
        if (!c.p)
            return c;
        c.p = blanks(c.p);
        if (*c.p == ']')
            break;
        if (*c.p != ',')
            return not_quick();
        c.p = blanks(c.p + 1);
    }
    c.m++;
    c.p++;
    return c;
}

// ---- lines --------------------------------------------------------------------------------------------------------------

// Marks of the text from `at` on, a stretch at a time.
struct marker {
    uint32_t *m;
    uint32_t n;             // marks
    uint32_t at;            // next byte to look at
    uint64_t carry, inside; // escape, string
    bool high;
    bool stuck; // a string does not end in the line behind the last one that has all its marks
};

static void mark_from(struct marker *k, uint32_t at)
{
    k->n = 0;
    k->at = at;
    k->carry = k->inside = 0;
    k->high = k->stuck = false;
}

// Adds marks until there are enough, or the end.  What is behind the last newline stays for the next time.
static void mark(struct marker *k, const char *base, uint32_t end)
{
    k->high = false;
    while (k->at < end && k->n < MARKS) {
        struct masks b = block(base + k->at);
        uint64_t string, wrong, all;
        __builtin_prefetch(base + k->at + FETCH);
        if (RKP_UNLIKELY(b.back | k->carry)) {
            uint64_t escaped = escaped_bits(b.back, &k->carry);
            b.quote &= ~escaped;
            b.back &= ~escaped;
        }
        string = prefix_xor(b.quote) ^ k->inside;
        all = b.quote | b.back | ((b.open | b.close) & ~string) | b.newline;
        wrong = b.ctrl & string;
        if (RKP_UNLIKELY(end - k->at < 64)) {
            uint64_t mine = (UINT64_C(1) << (end - k->at)) - 1;
            all &= mine;
            wrong &= mine;
        }
        k->high |= b.high != 0;
        if (RKP_UNLIKELY(wrong)) {
            k->n += put_bits(k->m + k->n, all & ((wrong & (0 - wrong)) - 1), k->at);
            k->stuck = true;
            return;
        }
        k->n += put_bits(k->m + k->n, all, k->at);
        k->inside = 0 - (string >> 63);
        k->at += 64;
    }
}

// One line by the other walker, which can say what is wrong.
static bool slow_line(const jscan *s, jscan_chunk *c, uint32_t at, uint32_t line_end)
{
    struct walk w = { .base = c->base, .pos = c->pos };
    switch (line(s, &w, at, line_end, c->rows)) {
    case LINE_ROW:
        c->start[c->rows++] = at - 2;
        return true;
    case LINE_BLANK:
        return true;
    default:
        return bad_line(c, &w, at, line_end);
    }
}

// The lines that have all their marks: m[0..n) ends with a newline.  Returns how many marks were used; fewer when a bad
// line was met (*good is false then).
static uint32_t quick_lines(jscan *s, jscan_chunk *c, const uint32_t *m, uint32_t n, bool high, bool *good)
{
    struct quick w = { .base = c->base, .pos = c->pos, .high = high };
    const uint32_t *at_mark = m, *end = m + n;
    uint32_t at = c->at, rows = c->rows, n_slots = s->n_slots;
    while (at_mark < end) {
        struct cursor cur = { c->base + at, at_mark };
        if (RKP_LIKELY(*cur.p == '{')) {
            w.at = (size_t)rows * 2;
            for (uint32_t i = 0; i < n_slots; i++)
                c->pos[i][w.at] = RKP_NO_TEXT;
            cur = quick_other(&w, &s->root, cur);
            if (RKP_LIKELY(cur.p != NULL)) {
                if (RKP_UNLIKELY(*cur.p != '\n'))
                    cur.p = blanks(cur.p);
                if (*cur.p == '\n' && cur.p == c->base + *cur.m) {
                    c->start[rows++] = at - 2;
                    at_mark = cur.m + 1;
                    at = *cur.m + 1;
                    continue;
                }
            }
        }
        while (c->base[*at_mark] != '\n')
            at_mark++;
        c->rows = rows;
        *good = slow_line(s, c, at, *at_mark);
        rows = c->rows;
        at = *at_mark++ + 1;
        if (!*good)
            break;
    }
    c->at = at;
    c->rows = rows;
    return (uint32_t)(at_mark - m);
}

static bool quick(jscan *s, jscan_chunk *c)
{
    struct marker k = { .m = s->marks };
    bool good = true;
    if (s->validate) // every line is looked at twice anyway
        return lines(s, c);
    mark_from(&k, c->at);
    while (c->at < c->end) {
        uint32_t n, used, line_end;
        mark(&k, c->base, c->end);
        for (n = k.n; n && c->base[k.m[n - 1]] != '\n';)
            n--;
        used = n ? quick_lines(s, c, k.m, n, k.high, &good) : 0;
        if (!good)
            return false;
        memmove(k.m, k.m + used, (k.n - used) * sizeof *k.m);
        k.n -= used;
        if (c->at == c->end || (used && !k.stuck))
            continue;
        // No whole line in all these marks, or a string that does not end.
        line_end = (uint32_t)((const char *)memchr(c->base + c->at, '\n', c->end - c->at) - c->base);
        if (!slow_line(s, c, c->at, line_end))
            return false;
        c->at = line_end + 1;
        mark_from(&k, c->at);
    }
    return true;
}
