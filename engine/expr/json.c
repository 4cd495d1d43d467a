// json.c - one value out of JSON text, by a path.
//
// Only the way to the value is read: what lies beside it is skipped by counting brackets and strings, and not checked
// further.  The value itself is.  Of a key that stands twice the first counts.
#include "expr/functions.h"

#include "data/text.h"

enum { LEVELS = 1000 };

bool rki_json_path_parse(rkp_str t, rki_json_path *out, const char **why, size_t *at)
{
    size_t i = 0, from;

    out->n = 0;
    if (t.n && t.p[0] == '$') // as in JSONPath
        i = 1;
    if (i == t.n) {
        *why = "nothing stands there";
        *at = i;
        return t.n > 0; // `$` alone is the value itself
    }
    while (i < t.n) {
        rki_json_step *s = &out->step[out->n];

        *at = i;
        if (out->n++ == RKI_JSON_STEPS) {
            *why = "too many steps";
            return false;
        }
        *s = (rki_json_step){ .index = 0 };
        if (t.p[i] == '[') {
            char quote = i + 1 < t.n ? t.p[i + 1] : 0;

            if (quote == '"' || quote == '\'') {
                from = i += 2;
                while (i < t.n && t.p[i] != quote)
                    i++;
                s->key = (rkp_str){ t.p + from, i - from };
                i++;
            } else {
                from = ++i;
                for (; i < t.n && (unsigned)(t.p[i] - '0') <= 9; i++)
                    s->index = i - from < 18 ? s->index * 10 + (uint64_t)(t.p[i] - '0') : UINT64_MAX / 2;
                if (i == from) {
                    *why = "an index or a quoted key is missing";
                    *at = i;
                    return false;
                }
            }
            if (i >= t.n || t.p[i] != ']') {
                *why = "']' is missing";
                *at = i < t.n ? i : t.n;
                return false;
            }
            i++;
        } else {
            if (t.p[i] == '.')
                i++;
            else if (out->n > 1) {
                *why = "'.' or '[' is missing";
                return false;
            }
            from = i;
            while (i < t.n && t.p[i] != '.' && t.p[i] != '[')
                i++;
            if (i == from) {
                *why = "a key is missing";
                *at = i;
                return false;
            }
            s->key = (rkp_str){ t.p + from, i - from };
        }
    }
    return true;
}

static const char *blank(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
        p++;
    return p;
}

// p is behind the opening quote; the place behind the closing one, or NULL.
static const char *string_end(const char *p, const char *end)
{
    for (;;) {
        const char *q = memchr(p, '"', (size_t)(end - p)), *b;

        if (!q)
            return NULL;
        b = q;
        while (b > p && b[-1] == '\\')
            b--;
        if (((q - b) & 1) == 0)
            return q + 1;
        p = q + 1;
    }
}

// The place behind the value at p, or NULL.
static const char *value_end(const char *p, const char *end)
{
    uint64_t object[(LEVELS + 63) / 64]; // bit d: level d is an object
    unsigned depth = 0;

    if (p == end)
        return NULL;
    if (*p == '"')
        return string_end(p + 1, end);
    if (*p != '{' && *p != '[') {
        const char *from = p;

        while (p < end && *p != ',' && *p != '}' && *p != ']' && *p != ' ' && *p != '\t' && *p != '\n' && *p != '\r')
            p++;
        return p > from ? p : NULL;
    }
    memset(object, 0, sizeof object);
    while (p < end) {
        switch (*p++) {
        case '"':
            p = string_end(p, end);
            if (!p)
                return NULL;
            break;
        case '{':
        case '[':
            if (++depth == LEVELS)
                return NULL;
            if (p[-1] == '{')
                object[depth / 64] |= (uint64_t)1 << depth % 64;
            else
                object[depth / 64] &= ~((uint64_t)1 << depth % 64);
            break;
        case '}':
        case ']':
            if ((object[depth / 64] >> depth % 64 & 1) != (p[-1] == '}'))
                return NULL;
            if (--depth == 0)
                return p;
            break;
        default:
            break;
        }
    }
    return NULL;
}

static bool key_is(rkp_str raw, rkp_str key)
{
    char plain[256];
    size_t n;

    if (!memchr(raw.p, '\\', raw.n))
        return rkp_str_eq(raw, key);
    // Escapes make it longer, at most six times.
    if (raw.n > sizeof plain || raw.n < key.n)
        return false;
    n = rki_json_unescape(plain, raw.p, raw.n);
    return n != RKI_NO_TEXT_SIZE && rkp_str_eq((rkp_str){ plain, n }, key);
}

// Moves from a value to a part of it.  NULL in *p: there is no such part; false: the text is broken.
static bool step_into(const char **at, const char *end, const rki_json_step *s)
{
    const char *p = *at;
    char open = s->key.p ? '{' : '[', close = s->key.p ? '}' : ']';

    *at = NULL;
    if (p == end)
        return false;
    if (*p != open) {
        const char *to = value_end(p, end);

        return to && (*p == '{' || *p == '[' || rki_json_valid(p, (size_t)(to - p)));
    }
    p = blank(p + 1, end);
    if (p < end && *p == close)
        return true;
    for (uint64_t i = 0;; i++) {
        bool here = !s->key.p && i == s->index;

        if (s->key.p) {
            const char *from = p + 1;

            if (p == end || *p != '"' || !(p = string_end(from, end)))
                return false;
            here = key_is((rkp_str){ from, (size_t)(p - from) - 1 }, s->key);
            p = blank(p, end);
            if (p == end || *p++ != ':')
                return false;
            p = blank(p, end);
        }
        if (here) {
            *at = p;
            return true;
        }
        p = value_end(p, end);
        if (!p)
            return false;
        p = blank(p, end);
        if (p == end)
            return false;
        if (*p == close)
            return true;
        if (*p++ != ',')
            return false;
        p = blank(p, end);
    }
}

rki_json_found rki_json_find(rkp_str t, const rki_json_path *path, rkp_str *out)
{
    const char *end = t.p + t.n, *p = blank(t.p, end), *to;

    for (uint32_t i = 0; i < path->n; i++) {
        if (!step_into(&p, end, &path->step[i]))
            return RKI_JSON_BROKEN;
        if (!p)
            return RKI_JSON_MISSING;
    }
    to = value_end(p, end);
    if (!to || !rki_json_valid(p, (size_t)(to - p)))
        return RKI_JSON_BROKEN;
    if (path->n == 0 && blank(to, end) != end)
        return RKI_JSON_BROKEN;
    *out = (rkp_str){ p, (size_t)(to - p) };
    if (*p == '"') {
        *out = (rkp_str){ p + 1, out->n - 2 };
        return RKI_JSON_STRING;
    }
    return rkp_str_is(*out, "null") ? RKI_JSON_MISSING : RKI_JSON_RAW;
}
