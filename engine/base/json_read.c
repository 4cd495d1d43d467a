// base/json_read.c - a recursive descent over RFC 8259, strict.
#include "base/json_read.h"

#include "base/hex.h"
#include "base/utf8.h"
#include <rkpipe/num.h>

enum { DEPTH = 64 };

struct reader {
    rki_arena *a;
    const char *p, *end;
    int depth;
};

static rki_json_node *value(struct reader *r);

static void blanks(struct reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r'))
        r->p++;
}

static bool take(struct reader *r, char c)
{
    if (r->p == r->end || *r->p != c)
        return false;
    r->p++;
    return true;
}

static bool word(struct reader *r, const char *z)
{
    size_t n = strlen(z);
    if ((size_t)(r->end - r->p) < n || memcmp(r->p, z, n) != 0)
        return false;
    r->p += n;
    return true;
}

static bool hex4(struct reader *r, uint32_t *out)
{
    if (r->end - r->p < 4 || !rki_hex4(r->p, out))
        return false;
    r->p += 4;
    return true;
}

// After a backslash; NULL when it is no escape.
static char *escape(struct reader *r, char *to)
{
    static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
    const char *at;
    uint32_t cp, low;
    if (r->p == r->end)
        return NULL;
    at = memchr(from, *r->p, sizeof from - 1);
    if (at) {
        r->p++;
        *to = into[at - from];
        return to + 1;
    }
    if (!take(r, 'u') || !hex4(r, &cp) || (cp >= 0xdc00 && cp < 0xe000))
        return NULL;
    if (cp >= 0xd800 && cp < 0xdc00) {
        if (!word(r, "\\u") || !hex4(r, &low) || low < 0xdc00 || low >= 0xe000)
            return NULL;
        cp = 0x10000 + ((cp - 0xd800) << 10) + (low - 0xdc00);
    }
    return to + rki_utf8_put(to, cp);
}

// The length of the quoted text that begins at p, escapes and all: an upper bound of what it stands for.
static bool quoted_length(const struct reader *r, size_t *n)
{
    for (const char *q = r->p; q < r->end; q++) {
        if (*q == '"') {
            *n = (size_t)(q - r->p);
            return true;
        }
        if (*q == '\\')
            q++;
    }
    return false;
}

static bool string(struct reader *r, rkp_str *out)
{
    char *to, *at;
    size_t n;
    if (!take(r, '"') || !quoted_length(r, &n))
        return false;
    to = at = rki_alloc(r->a, n + 1);
    if (!to)
        return false;
    while (*r->p != '"') {
        uint32_t cp;
        size_t k;
        if (*r->p == '\\') {
            r->p++;
            at = escape(r, at);
            if (!at)
                return false;
            continue;
        }
        k = rki_utf8_next(r->p, r->end, &cp);
        if (cp == RKI_UTF8_BAD || cp < 0x20)
            return false;
        memcpy(at, r->p, k);
        at += k;
        r->p += k;
    }
    r->p++;
    *out = (rkp_str){ to, (size_t)(at - to) };
    return true;
}

static size_t digits(struct reader *r)
{
    size_t n = 0;
    for (; r->p < r->end && *r->p >= '0' && *r->p <= '9'; r->p++)
        n++;
    return n;
}

static bool number(struct reader *r, rki_json_node *to)
{
    const char *from = r->p;
    take(r, '-');
    if (!take(r, '0') && !digits(r))
        return false;
    if (take(r, '.') && !digits(r))
        return false;
    if (take(r, 'e') || take(r, 'E')) {
        if (!take(r, '+'))
            take(r, '-');
        if (!digits(r))
            return false;
    }
    to->kind = RKI_JSON_NUMBER;
    to->text = rki_dup_str(r->a, (rkp_str){ from, (size_t)(r->p - from) });
    return to->text.p != NULL;
}

static bool members(struct reader *r, rki_json_node *to, char close)
{
    const rki_json_node **tail = &to->child;
    to->kind = close == '}' ? RKI_JSON_MAP : RKI_JSON_LIST;
    if (++r->depth > DEPTH)
        return false;
    blanks(r);
    if (!take(r, close)) {
        do {
            rkp_str key = { NULL, 0 };
            rki_json_node *n;
            blanks(r);
            if (close == '}') {
                if (!string(r, &key))
                    return false;
                blanks(r);
                if (!take(r, ':'))
                    return false;
            }
            n = value(r);
            if (!n)
                return false;
            n->key = key;
            *tail = n;
            tail = &n->next;
            to->n++;
            blanks(r);
        } while (take(r, ','));
        if (!take(r, close))
            return false;
    }
    r->depth--;
    return true;
}

static rki_json_node *value(struct reader *r)
{
    rki_json_node *n = rki_alloc(r->a, sizeof *n);
    bool ok = false;
    blanks(r);
    if (!n || r->p == r->end)
        return NULL;
    if (take(r, '{')) {
        ok = members(r, n, '}');
    } else if (take(r, '[')) {
        ok = members(r, n, ']');
    } else if (*r->p == '"') {
        n->kind = RKI_JSON_STRING;
        ok = string(r, &n->text);
    } else if (word(r, "null")) {
        ok = true;
    } else if (word(r, "true") || word(r, "false")) {
        n->kind = RKI_JSON_BOOL;
        n->text = rkp_str_of(r->p[-2] == 'u' ? "true" : "false");
        ok = true;
    } else {
        ok = number(r, n);
    }
    return ok ? n : NULL;
}

const rki_json_node *rki_json_read(rki_arena *a, rkp_str text)
{
    struct reader r = { a, text.p, text.p + text.n, 0 };
    const rki_json_node *n;
    if (text.n == 0)
        return NULL;
    n = value(&r);
    blanks(&r);
    return r.p == r.end ? n : NULL;
}

const rki_json_node *rki_json_get(const rki_json_node *map, const char *key)
{
    if (!map || map->kind != RKI_JSON_MAP)
        return NULL;
    for (const rki_json_node *n = map->child; n; n = n->next)
        if (rkp_str_is(n->key, key))
            return n;
    return NULL;
}

rkp_str rki_json_text(const rki_json_node *n, const char *otherwise)
{
    return n && n->kind == RKI_JSON_STRING ? n->text : rkp_str_of(otherwise);
}

bool rki_json_count(const rki_json_node *n, uint64_t *out)
{
    return n && n->kind == RKI_JSON_NUMBER && rkp_parse_u64(n->text.p, n->text.n, out);
}

bool rki_json_float(const rki_json_node *n, double *out)
{
    return n && n->kind == RKI_JSON_NUMBER && rkp_parse_f64(n->text.p, n->text.n, out);
}

bool rki_json_true(const rki_json_node *n)
{
    return n && n->kind == RKI_JSON_BOOL && n->text.n == 4;
}
