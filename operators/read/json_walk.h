// operators/read/json_walk.h - the scanner itself; included once per instruction set.
//
// The including file has defined, for its instruction set:
//   STEP                        bytes that string_stops and scalar_stops look at
//   string_stops(p, &high)      bits of `"`, `\` and control characters in p[0..STEP); high: bytes from 0x80
//   scalar_stops(p)             bits of what can follow a number or word: blanks, control characters, `,` `]` `}`
//   block(p)                    masks of p[0..64)
//   newlines(p)                 bits of '\n' in p[0..64)
//   same(p, item)               p begins with the item's text
//   prefix_xor(m)               bit i: parity of bits 0..i of m
#include "json_scan_impl.h"

struct walk {
    const char *base;
    uint32_t *const *pos;
    size_t at; // 2 * row
    unsigned error;
    const char *error_at;
};

static inline const char *fail(struct walk *w, unsigned error, const char *at)
{
    w->error = error;
    w->error_at = at;
    return NULL;
}

static inline const char *blanks(const char *p)
{
    while (*p == ' ' || *p == '\t' || *p == '\r')
        p++;
    return p;
}

static inline int hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

enum { STRING_ESCAPED = 1, STRING_HIGH = 2 };

// p is behind the opening quote; returns the closing one.
static inline const char *string_end(struct walk *w, const char *p, unsigned *flags)
{
    for (;;) {
        uint64_t high, stop = string_stops(p, &high);
        unsigned i;
        if (RKP_UNLIKELY(!stop)) {
            *flags |= high ? STRING_HIGH : 0;
            p += STEP;
            continue;
        }
        i = (unsigned)__builtin_ctzll(stop);
        *flags |= high & ((UINT64_C(1) << i) - 1) ? STRING_HIGH : 0;
        p += i;
        if (RKP_LIKELY(*p == '"'))
            return p;
        if (*p != '\\')
            return fail(w, JSCAN_STRING, p);
        *flags |= STRING_ESCAPED;
        switch (p[1]) {
        case '"':
        case '\\':
        case '/':
        case 'b':
        case 'f':
        case 'n':
        case 'r':
        case 't':
            p += 2;
            break;
        case 'u':
            if (!(hex(p[2]) && hex(p[3]) && hex(p[4]) && hex(p[5])))
                return fail(w, JSCAN_ESCAPE, p);
            p += 6;
            break;
        default:
            return fail(w, JSCAN_ESCAPE, p);
        }
    }
}

static inline const char *scalar_end(const char *p)
{
    uint64_t stop;
    while (!(stop = scalar_stops(p)))
        p += STEP;
    return p + __builtin_ctzll(stop);
}

static inline int digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool number_ok(const char *p, const char *end)
{
    p += *p == '-';
    if (*p == '0')
        p++;
    else if (digit(*p))
        while (digit(*p))
            p++;
    else
        return false;
    if (*p == '.') {
        p++;
        if (!digit(*p))
            return false;
        while (digit(*p))
            p++;
    }
    if (*p == 'e' || *p == 'E') {
        p++;
        p += *p == '+' || *p == '-';
        if (!digit(*p))
            return false;
        while (digit(*p))
            p++;
    }
    return p == end;
}

// A number or word p[0..end): 0 or an error.
static inline unsigned scalar_check(const char *p, const char *end)
{
    switch (*p) {
    case 't':
        return end - p == 4 && !memcmp(p, "true", 4) ? 0 : JSCAN_WORD;
    case 'n':
        return end - p == 4 && !memcmp(p, "null", 4) ? 0 : JSCAN_WORD;
    case 'f':
        return end - p == 5 && !memcmp(p, "false", 5) ? 0 : JSCAN_WORD;
    default:
        if (*p != '-' && !digit(*p))
            return JSCAN_VALUE;
        return number_ok(p, end) ? 0 : JSCAN_NUMBER;
    }
}

struct nest {
    uint64_t bits[JSCAN_DEPTH / 64]; // 1: an object
    uint32_t n;
};

static inline bool nest_push(struct nest *s, bool object)
{
    uint64_t bit = UINT64_C(1) << (s->n % 64);
    if (s->n == JSCAN_DEPTH)
        return false;
    s->bits[s->n / 64] = object ? s->bits[s->n / 64] | bit : s->bits[s->n / 64] & ~bit;
    s->n++;
    return true;
}

static inline bool nest_object(const struct nest *s) // what the innermost is
{
    return s->bits[(s->n - 1) / 64] >> ((s->n - 1) % 64) & 1;
}

// Bits that a backslash escapes; *carry: the last byte of the block escapes the first of the next.
static inline uint64_t escaped_bits(uint64_t back, uint64_t *carry)
{
    const uint64_t odd = UINT64_C(0xAAAAAAAAAAAAAAAA);
    uint64_t first = back & ~*carry, maybe = first << 1 | odd;
    uint64_t codes = (maybe - first) ^ odd;
    uint64_t escaped = codes ^ (back | *carry);
    *carry = (codes & back) >> 63;
    return escaped;
}

// An object or array that nobody looks into: strings and nesting are checked, 64 bytes at a time.
static const char *skip(struct walk *w, const char *p)
{
    struct nest nest;
    uint64_t carry = 0, inside = 0;
    nest.n = 0;
    for (;; p += 64) {
        struct masks m = block(p);
        uint64_t string, brackets, stop;
        unsigned limit;
        if (RKP_UNLIKELY(m.back | carry))
            m.quote &= ~escaped_bits(m.back, &carry);
        string = prefix_xor(m.quote) ^ inside;
        brackets = (m.open | m.close) & ~string;
        stop = (m.ctrl & string) | m.newline;
        limit = stop ? (unsigned)__builtin_ctzll(stop) : 64;
        for (; brackets; brackets &= brackets - 1) {
            unsigned i = (unsigned)__builtin_ctzll(brackets);
            bool object = p[i] & 0x20;
            if (i > limit)
                break;
            if (m.open >> i & 1) {
                if (!nest_push(&nest, object))
                    return fail(w, JSCAN_DEEP, p + i);
                continue;
            }
            if (nest_object(&nest) != object)
                return fail(w, JSCAN_NESTING, p + i);
            if (--nest.n == 0)
                return p + i + 1;
        }
        if (stop)
            return fail(w, string >> limit & 1 ? JSCAN_STRING : JSCAN_NESTING, p + limit);
        inside = 0 - (string >> 63);
    }
}

// One value by the whole grammar.
static const char *check(struct walk *w, const char *p)
{
    struct nest nest;
    const char *q;
    unsigned e, flags;
    nest.n = 0;
value:
    switch (*p) {
    case '"':
        flags = 0;
        q = string_end(w, p + 1, &flags);
        if (!q)
            return NULL;
        if (flags & STRING_HIGH && !jscan_utf8(p + 1, (size_t)(q - p - 1)))
            return fail(w, JSCAN_UTF8, p);
        p = q + 1;
        break;
    case '{':
        if (!nest_push(&nest, true))
            return fail(w, JSCAN_DEEP, p);
        p = blanks(p + 1);
        if (*p != '}')
            goto key;
        p++;
        nest.n--;
        break;
    case '[':
        if (!nest_push(&nest, false))
            return fail(w, JSCAN_DEEP, p);
        p = blanks(p + 1);
        if (*p != ']')
            goto value;
        p++;
        nest.n--;
        break;
    default:
        q = scalar_end(p);
        e = scalar_check(p, q);
        if (e)
            return fail(w, e, p);
        p = q;
    }
    for (;;) {
        bool object;
        if (nest.n == 0)
            return p;
        object = nest_object(&nest);
        p = blanks(p);
        if (*p == ',') {
            p = blanks(p + 1);
            if (object)
                goto key;
            goto value;
        }
        if (*p != (object ? '}' : ']'))
            return fail(w, object ? JSCAN_COMMA : JSCAN_COMMA_ARR, p);
        p++;
        nest.n--;
    }
key:
    if (*p != '"')
        return fail(w, JSCAN_KEY, p);
    flags = 0;
    q = string_end(w, p + 1, &flags);
    if (!q)
        return NULL;
    if (flags & STRING_HIGH && !jscan_utf8(p + 1, (size_t)(q - p - 1)))
        return fail(w, JSCAN_UTF8, p);
    p = blanks(q + 1);
    if (*p != ':')
        return fail(w, JSCAN_COLON, p);
    p = blanks(p + 1);
    goto value;
}

static const char *object(struct walk *w, struct node *nd, const char *p);
static const char *array(struct walk *w, const struct node *nd, const char *p);

// A value that means `e` (NULL: nothing); returns what is behind it.
static inline const char *value(struct walk *w, const struct entry *e, const char *p)
{
    const char *end;
    unsigned error, flags = 0;
    if (!e) {
        if (*p == '"') {
            end = string_end(w, p + 1, &flags);
            return end ? end + 1 : NULL;
        }
        if (*p == '{' || *p == '[')
            return skip(w, p);
        if (*p != '-' && !digit(*p) && *p != 't' && *p != 'f' && *p != 'n')
            return fail(w, JSCAN_VALUE, p);
        return scalar_end(p);
    }
    for (uint32_t i = e->lo; i < e->hi; i++) // a key that comes twice: the last one counts
        w->pos[i][w->at] = RKP_NO_TEXT;
    if (*p == '"') {
        end = string_end(w, p + 1, &flags);
        if (!end)
            return NULL;
        if (RKP_UNLIKELY(flags & STRING_HIGH) && !jscan_utf8(p + 1, (size_t)(end - p - 1)))
            return fail(w, JSCAN_UTF8, p);
        end++;
    } else if (*p == '{' || *p == '[') {
        end = NULL;
        if (e->slot >= 0) {
            end = check(w, p);
            if (!end)
                return NULL;
        }
        if (e->child && *p == '{' && e->child->n_members)
            end = object(w, e->child, p);
        else if (e->child && *p == '[' && e->child->n_elems)
            end = array(w, e->child, p);
        else if (!end)
            end = skip(w, p);
        if (!end)
            return NULL;
    } else {
        end = scalar_end(p);
        error = scalar_check(p, end);
        if (error)
            return fail(w, error, p);
        if (*p == 'n') {
            if (e->slot >= 0)
                w->pos[e->slot][w->at] = RKP_NO_TEXT;
            return end;
        }
    }
    if (e->slot >= 0) {
        uint32_t *to = w->pos[e->slot] + w->at;
        to[0] = (uint32_t)(p - w->base) - 1;
        to[1] = (uint32_t)(end - w->base);
    }
    return end;
}

// The item that stands at p, when it is one of those that are expected there: a few that came after the item before
// (*link), or at the beginning.
static inline struct item *expected(const struct node *nd, struct item *const *link, const char *p)
{
    struct item *it = link ? *link : nd->first;
    for (int hops = 0; it && hops < 4; hops++) {
        if (RKP_LIKELY(same(p, it)))
            return it;
        it = link ? it->next : it->other;
    }
    return NULL;
}

static const char *object(struct walk *w, struct node *nd, const char *p)
{
    struct item *none = NULL;  // what comes after a first key that was not learned
    struct item **link = NULL; // where the next item is expected; NULL: at the bracket
    for (;;) {
        const struct entry *e;
        struct item *it = expected(nd, link, p);
        if (link && *p == '}')
            return p + 1;
        if (RKP_LIKELY(it != NULL)) {
            e = it->e;
            p += it->len;
            if (RKP_UNLIKELY((unsigned char)*p <= ' ')) // more blanks than last time
                p = blanks(p);
            link = &it->next;
        } else {
            const char *q, *key;
            unsigned flags = 0;
            q = blanks(p);
            if (!link) {
                q = blanks(q + 1); // behind '{'
                if (*q == '}')
                    return q + 1;
            } else {
                if (*q == '}')
                    return q + 1;
                if (*q != ',')
                    return fail(w, JSCAN_COMMA, q);
                q = blanks(q + 1);
            }
            if (*q != '"')
                return fail(w, JSCAN_KEY, q);
            key = q + 1;
            q = string_end(w, key, &flags);
            if (!q)
                return NULL;
            e = jscan_member(nd, key, (size_t)(q - key), flags & STRING_ESCAPED);
            q = blanks(q + 1);
            if (*q != ':')
                return fail(w, JSCAN_COLON, q);
            q = blanks(q + 1);
            // Keys with escapes are not learned here: their marks were not counted.
            it = flags & STRING_ESCAPED ? NULL : jscan_learn(nd, link, p, (size_t)(q - p), link ? 2 : 3, e);
            link = it ? &it->next : link ? link : &none;
            p = q;
        }
        p = value(w, e, p);
        if (!p)
            return NULL;
    }
}

static const char *array(struct walk *w, const struct node *nd, const char *p)
{
    uint32_t next = 0;
    p = blanks(p + 1);
    if (*p == ']')
        return p + 1;
    for (uint64_t i = 0;; i++) {
        const struct entry *e = NULL;
        if (next < nd->n_elems && nd->elems[next].index == i)
            e = &nd->elems[next++];
        p = value(w, e, p);
        if (!p)
            return NULL;
        p = blanks(p);
        if (*p == ']')
            return p + 1;
        if (*p != ',')
            return fail(w, JSCAN_COMMA_ARR, p);
        p = blanks(p + 1);
    }
}

// Ends of lines, found some blocks ahead: where a line begins then does not depend on how the line before it was read,
// and the processor begins with the next line while it is still busy with this one.
struct ahead {
    const char *at;
    uint32_t n, i;
    uint32_t ends[256];
};

enum { FETCH = 4096 }; // bytes fetched ahead of what is looked at

static inline uint32_t next_end(struct ahead *a, const char *base, const char *end)
{
    if (RKP_UNLIKELY(a->i == a->n)) {
        a->i = a->n = 0;
        for (; a->at < end && a->n <= 256 - 64; a->at += 64) {
            uint32_t from = (uint32_t)(a->at - base);
            __builtin_prefetch(a->at + FETCH);
            for (uint64_t m = newlines(a->at); m; m &= m - 1)
                a->ends[a->n++] = from + (uint32_t)__builtin_ctzll(m);
        }
    }
    return a->ends[a->i++];
}

// The line base[at .. line_end) as row `row`.  Returns what is behind its value (the row is there when that is the end of
// the line or `at` is a blank line), or NULL with w->error.
enum line { LINE_ROW, LINE_BLANK, LINE_BAD };

static inline enum line line(const jscan *s, struct walk *w, uint32_t at, uint32_t line_end, uint32_t row)
{
    const char *p = w->base + at, *q;
    if (RKP_UNLIKELY(*p != '{')) {
        p = blanks(p);
        if (*p == '\n')
            return LINE_BLANK;
    }
    w->at = (size_t)row * 2;
    for (uint32_t i = 0; i < s->n_slots; i++)
        w->pos[i][w->at] = RKP_NO_TEXT;
    if (s->validate && !check(w, p))
        return LINE_BAD;
    if (RKP_UNLIKELY(*p != '{') && !s->any_line) {
        fail(w, JSCAN_OBJECT, p);
        return LINE_BAD;
    }
    q = value(w, &s->root, p);
    if (RKP_UNLIKELY(!q))
        return LINE_BAD;
    if (RKP_UNLIKELY(q != w->base + line_end)) {
        q = blanks(q);
        if (*q != '\n') {
            fail(w, JSCAN_TAIL, q);
            return LINE_BAD;
        }
    }
    return LINE_ROW;
}

// What the caller is told about a bad line.
static bool bad_line(jscan_chunk *c, const struct walk *w, uint32_t at, uint32_t line_end)
{
    c->error = w->error;
    c->error_at = (uint32_t)(w->error_at - c->base);
    c->bad_at = at;
    c->bad_end = line_end;
    c->at = line_end + 1;
    if (c->bad_end > c->bad_at && c->base[c->bad_end - 1] == '\r')
        c->bad_end--;
    return false;
}

static bool lines(jscan *s, jscan_chunk *c)
{
    struct walk w = { .base = c->base, .pos = c->pos };
    struct ahead ahead;
    const char *end = c->base + c->end;
    uint32_t rows = c->rows, at = c->at, line_end;
    ahead.at = c->base + at;
    ahead.n = ahead.i = 0;
    for (; at < c->end; at = line_end + 1) {
        line_end = next_end(&ahead, c->base, end);
        switch (line(s, &w, at, line_end, rows)) {
        case LINE_ROW:
            c->start[rows++] = at - 2;
            break;
        case LINE_BLANK:
            break;
        case LINE_BAD:
            c->rows = rows;
            return bad_line(c, &w, at, line_end);
        }
    }
    c->rows = rows;
    c->at = c->end;
    return true;
}

static unsigned validate(const char *p, const char **end, const char **bad)
{
    struct walk w = { .base = p };
    const char *q = check(&w, blanks(p));
    if (!q) {
        *bad = w.error_at;
        return w.error;
    }
    *end = q;
    return JSCAN_OK;
}

static uint32_t count_lines(const char *p, size_t n)
{
    uint64_t count = 0;
    for (; n >= 64; p += 64, n -= 64)
        count += (unsigned)__builtin_popcountll(newlines(p));
    if (n)
        count += (unsigned)__builtin_popcountll(newlines(p) & ((UINT64_C(1) << n) - 1));
    return (uint32_t)count;
}

static uint32_t find_lines(const char *base, uint32_t at, uint32_t end, uint32_t *to, bool *cr)
{
    uint32_t n = 0;
    bool any = false;
    for (; at < end; at += 64) {
        uint64_t m = newlines(base + at);
        if (end - at < 64)
            m &= (UINT64_C(1) << (end - at)) - 1;
        for (; m; m &= m - 1) {
            uint32_t i = at + (uint32_t)__builtin_ctzll(m);
            to[n++] = i;
            any |= i && base[i - 1] == '\r';
        }
    }
    *cr = any;
    return n;
}
