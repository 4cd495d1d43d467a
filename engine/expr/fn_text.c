// fn_text.c - functions of text.  Positions count code points from 1; what is cut out of a text is a view of it.
//
// lower and upper know the simple pairs of ASCII, Latin-1, Latin Extended-A, Greek and Cyrillic: each pair has the same
// number of bytes, so the text keeps its length.  Other letters stay.  Bytes that are not UTF-8 stay as well.
#include "expr/functions.h"
#include "expr/kernels.h"

#include "base/utf8.h"
#include "data/text.h"

#define ROWS(i)   for (uint32_t i = 0; i < r->n; i++)
#define STR(k, i) RKI_AT(rkp_str, a[k], i)
#define OUT(T, i) (((T *)out->v)[i])

static const rkp_str nothing = { "", 0 };

static void bad(rki_eval *x, const rki_rows *r, uint32_t i, rkp_vec *out, unsigned code, rkp_str what)
{
    rki_row_bad(x, r, i, out, code, -1, what);
}

static uint32_t count(rkp_str s)
{
    uint32_t n = 0;

    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

static bool f_length(rki_eval *x, const rki_node *n, const rki_rows *r, const rkp_vec *a, rkp_vec *out)
{
    (void)x;
    (void)n;
    ROWS(i)
    OUT(int64_t, i) = a[0].kind == RKP_BYTES ? (int64_t)STR(0, i).n : (int64_t)count(STR(0, i));
    return true;
}

static bool text_or_bytes(rki_check *c, rki_node *n)
{
    unsigned k = n->arg[0]->kind;

    if (k == RKP_STRING || k == RKP_BYTES)
        return true;
    rki_say(&c->s, n->arg[0]->from, n->arg[0]->to, "expr-type", "argument 1 of length must be string or bytes, not %s",
            rki_kind_word(k));
    if (k == RKP_JSON)
        rki_hint(&c->s, "write json_get(x, 'path'), or to_string(x) for its text");
    else
        rki_hint(&c->s, "write to_string(x)");
    n->bad = true;
    return true;
}

// ---- case -----------------------------------------------------------------------------------------------------------

static bool between(uint32_t cp, uint32_t from, uint32_t to)
{
    return cp - from <= to - from;
}

static uint32_t lower_of(uint32_t cp)
{
    if (between(cp, 'A', 'Z') || (between(cp, 0xc0, 0xde) && cp != 0xd7) ||
        (between(cp, 0x391, 0x3ab) && cp != 0x3a2) || between(cp, 0x410, 0x42f))
        return cp + 32;
    if (between(cp, 0x400, 0x40f))
        return cp + 80;
    if (between(cp, 0x100, 0x137) || between(cp, 0x14a, 0x177) || between(cp, 0x460, 0x481) ||
        between(cp, 0x48a, 0x4bf) || between(cp, 0x4d0, 0x52f))
        return cp == 0x130 || cp == 0x131 ? cp : cp | 1; // dotted and dotless i are no pair
    if (between(cp, 0x139, 0x148) || between(cp, 0x179, 0x17e) || between(cp, 0x4c1, 0x4ce))
        return cp + (cp & 1);
    switch (cp) {
    case 0x178:
        return 0xff;
    case 0x386:
        return 0x3ac;
    case 0x388:
    case 0x389:
    case 0x38a:
        return cp + 37;
    case 0x38c:
        return 0x3cc;
    case 0x38e:
    case 0x38f:
        return cp + 63;
    case 0x4c0:
        return 0x4cf;
    default:
        return cp;
    }
}

static uint32_t upper_of(uint32_t cp)
{
    if (between(cp, 'a', 'z') || (between(cp, 0xe0, 0xfe) && cp != 0xf7) ||
        (between(cp, 0x3b1, 0x3cb) && cp != 0x3c2) || between(cp, 0x430, 0x44f))
        return cp - 32;
    if (between(cp, 0x450, 0x45f))
        return cp - 80;
    if (between(cp, 0x100, 0x137) || between(cp, 0x14a, 0x177) || between(cp, 0x460, 0x481) ||
        between(cp, 0x48a, 0x4bf) || between(cp, 0x4d0, 0x52f))
        return cp == 0x130 || cp == 0x131 ? cp : cp & ~1u;
    if (between(cp, 0x139, 0x148) || between(cp, 0x179, 0x17e) || between(cp, 0x4c1, 0x4ce))
        return cp - !(cp & 1);
    switch (cp) {
    case 0xff:
        return 0x178;
    case 0x3c2: // the sigma at the end of a word
        return 0x3a3;
    case 0x3ac:
        return 0x386;
    case 0x3ad:
    case 0x3ae:
    case 0x3af:
        return cp - 37;
    case 0x3cc:
        return 0x38c;
    case 0x3cd:
    case 0x3ce:
        return cp - 63;
    case 0x4cf:
        return 0x4c0;
    default:
        return cp;
    }
}

// Letters that are not ASCII, in to[0..n) itself.
static void recase_others(char *to, size_t n, uint32_t (*map)(uint32_t))
{
    for (size_t at = 0; at < n;) {
        uint32_t cp = (unsigned char)to[at];
        size_t len = 1;

        if (cp >= 0x80)
            len = rki_utf8_next(to + at, to + n, &cp);
        if (len == 2 && cp != RKI_UTF8_BAD) {
            cp = map(cp);
            to[at] = (char)(0xc0 | cp >> 6);
            to[at + 1] = (char)(0x80 | (cp & 0x3f));
        }
        at += len;
    }
}

// from: 'A' or 'a', the first of the letters that change.
static bool recase(rki_eval *x, const rki_rows *r, const rkp_vec *a, rkp_vec *out, unsigned char from,
                   uint32_t (*map)(uint32_t))
{
    ROWS(i)
    {
        rkp_str s = out->st[i] ? nothing : STR(0, i);
        unsigned char high = 0, changed = 0;
        char *to;

        OUT(rkp_str, i) = s;
        if (s.n == 0)
            continue;
        to = rki_text(x, s.n);
        if (!to)
            return false;
        for (size_t k = 0; k < s.n; k++) {
            unsigned char c = (unsigned char)s.p[k], flip = (unsigned char)(c - from) < 26 ? 0x20 : 0;

            high |= c;
            changed |= flip;
            to[k] = (char)(c ^ flip);
        }
        if (high & 0x80)
            recase_others(to, s.n, map);
        if (changed | (high & 0x80))
            OUT(rkp_str, i).p = to;
    }
    return true;
}

static bool f_lower(rki_eval *x, const rki_node *n, const rki_rows *r, const rkp_vec *a, rkp_vec *out)
{
    (void)n;
    return recase(x, r, a, out, 'A', lower_of);
}

static bool f_upper(rki_eval *x, const rki_node *n, const rki_rows *r, const rkp_vec *a, rkp_vec *out)
{
    (void)n;
    return recase(x, r, a, out, 'a', upper_of);
}

// ---- parts ----------------------------------------------------------------------------------------------------------

// Is the character at p (n bytes long) in the set?
static bool one_of(const char *p, size_t n, rkp_str set)
{
    for (size_t i = 0; i + n <= set.n;) {
        uint32_t cp;
        size_t len = rki_utf8_next(set.p + i, set.p + set.n, &cp);

        if (len == n && memcmp(set.p + i, p, n) == 0)
            return true;
        i += len;
    }
    return false;
}

static rkp_str trim(rkp_str s, rkp_str set)
{
    while (s.n) {
        uint32_t cp;
        size_t len = rki_utf8_next(s.p, s.p + s.n, &cp);

        if (!one_of(s.p, len, set))
            break;
        s.p += len;
        s.n -= len;
    }
    while (s.n) {
        size_t from = s.n - 1;

        while (from > 0 && s.n - from < 4 && ((unsigned char)s.p[from] & 0xc0) == 0x80)
            from--;
        if (!one_of(s.p + from, s.n - from, set))
            break;
        s.n = from;
    }
    return s;
}

static bool f_trim(rki_eval *x, const rki_node *n, const rki_rows *r, const rkp_vec *a, rkp_vec *out)
{
    (void)x;
    ROWS(i)
    OUT(rkp_str, i) = out->st[i] ? nothing : trim(STR(0, i), n->n > 1 ? STR(1, i) : RKP_STR(" \t\n\v\f\r"));
    return true;
}

// The place of code point `at` (from 0), at most n.
static size_t offset(rkp_str s, size_t from, uint64_t at)
{
    for (; from < s.n && at; at--) {
        from++;
        while (from < s.n && ((unsigned char)s.p[from] & 0xc0) == 0x80)
            from++;
    }
    return from;
}

// The code points [start, start + len) that there are, or all from start on (INT64_MAX); a negative start counts from
// the end.
static rkp_str substr(rkp_str s, int64_t start, int64_t len)
{
    int64_t end;
    size_t from, to;

    if (start < 0)
        start += (int64_t)count(s) + 1;
    if (len == INT64_MAX || __builtin_add_overflow(start, len, &end))
        end = INT64_MAX;
    if (start < 1)
        start = 1;
    if (end <= start)
        return nothing;
    from = offset(s, 0, (uint64_t)start - 1);
    to = offset(s, from, (uint64_t)(end - start));
    return (rkp_str){ s.p + from, to - from };
}

static bool f_substr(rki_eval *x, const rki_node *n, const rki_rows *r, const rkp_vec *a, rkp_vec *out)
{
    ROWS(i)
    {
        int64_t len = n->n > 2 ? RKI_AT(int64_t, a[2], i) : INT64_MAX;

        OUT(rkp_str, i) = nothing;
        if (out->st[i])
            continue;
        if (len < 0)
            bad(x, r, i, out, RKP_ROW_DOMAIN, STR(0, i));
        else
            OUT(rkp_str, i) = substr(STR(0, i), RKI_AT(int64_t, a[1], i), len);
    }
    return true;
}

static const char *search(rkp_str s, rkp_str part)
{
    return rki_find(s.p, s.n, part.p, part.n);
}

// Part number `index` of s, from 1 or, below 0, from the end; false when there is none.
static bool split(rkp_str s, rkp_str sep, int64_t index, rkp_str *out)
{
    if (index < 0) {
        int64_t parts = 1;
        rkp_str rest = s;

        for (const char *p; (p = search(rest, sep)); parts++)
            rest = (rkp_str){ p + sep.n, (size_t)(rest.p + rest.n - p) - sep.n };
        if (index < -parts)
            return false;
        index += parts + 1;
    }
    for (;;) {
        const char *p = search(s, sep);

        if (--index == 0) {
            *out = (rkp_str){ s.p, p ? (size_t)(p - s.p) : s.n };
            return true;
        }
        if (!p)
            return false;
        s = (rkp_str){ p + sep.n, (size_t)(s.p + s.n - p) - sep.n };
    }
}

static bool f_split(rki_eval *x, const rki_node *n, const rki_rows *r, const rkp_vec *a, rkp_vec *out)
{
    (void)n;
    ROWS(i)
    {
        int64_t index = RKI_AT(int64_t, a[2], i);

        OUT(rkp_str, i) = nothing;
        if (out->st[i])
            continue;
        if (index == 0 || STR(1, i).n == 0)
            bad(x, r, i, out, RKP_ROW_DOMAIN, STR(0, i));
        else if (!split(STR(0, i), STR(1, i), index, &OUT(rkp_str, i)))
            out->st[i] = 1;
    }
    return true;
}

static bool bind_split(rki_check *c, rki_node *n)
{
    const rki_node *sep = n->arg[1], *index = n->arg[2];

    if (sep->op == RKI_X_CONST && !sep->null && sep->v.s.n == 0) {
        rki_say(&c->s, sep->from, sep->to, "expr-args", "the separator of split is empty");
        n->bad = true;
    }
    if (index->op == RKI_X_CONST && !index->null && index->v.i == 0) {
        rki_say(&c->s, index->from, index->to, "expr-args", "the parts of split count from 1");
        rki_hint(&c->s, "1 is the first part, -1 the last");
        n->bad = true;
    }
    return true;
}

// ---- joined and replaced --------------------------------------------------------------------------------------------

static bool f_concat(rki_eval *x, const rki_node *n, const rki_rows *r, const rkp_vec *a, rkp_vec *out)
{
    ROWS(i)
    {
        size_t len = 0;
        char *from, *to;

        OUT(rkp_str, i) = nothing;
        if (out->st[i])
            continue;
        for (uint32_t k = 0; k < n->n; k++)
            len += a[k].kind >= RKP_STRING ? STR(k, i).n : RKI_PRINTED;
        if (len > RKI_EXPR_VALUE) {
            bad(x, r, i, out, RKP_ROW_SIZE, nothing);
            continue;
        }
        from = to = rki_text(x, len);
        if (!to)
            return false;
        for (uint32_t k = 0; k < n->n; k++) {
            rkp_str t = rki_value_text(&a[k], i, to);

            if (t.p != to && t.n)
                memcpy(to, t.p, t.n);
            to += t.n;
        }
        OUT(rkp_str, i) = (rkp_str){ from, (size_t)(to - from) };
    }
    return true;
}

static bool f_replace(rki_eval *x, const rki_node *n, const rki_rows *r, const rkp_vec *a, rkp_vec *out)
{
    (void)n;
    ROWS(i)
    {
        rkp_str s = STR(0, i), from = STR(1, i), with = STR(2, i), rest = s;
        size_t hits = 0, len;
        const char *p;
        char *to;

        OUT(rkp_str, i) = out->st[i] ? nothing : s;
        if (out->st[i] || from.n == 0)
            continue;
        for (; (p = search(rest, from)); hits++)
            rest = (rkp_str){ p + from.n, (size_t)(rest.p + rest.n - p) - from.n };
        if (hits == 0)
            continue;
        if (__builtin_mul_overflow(hits, with.n, &len) || (len += s.n - hits * from.n) > RKI_EXPR_VALUE) {
            OUT(rkp_str, i) = nothing;
            bad(x, r, i, out, RKP_ROW_SIZE, s);
            continue;
        }
        to = rki_text(x, len);
        if (!to)
            return false;
        OUT(rkp_str, i) = (rkp_str){ to, len };
        for (rest = s; (p = search(rest, from));) {
            size_t before = (size_t)(p - rest.p);

            memcpy(to, rest.p, before);
            to += before;
            if (with.n)
                memcpy(to, with.p, with.n);
            to += with.n;
            rest = (rkp_str){ p + from.n, rest.n - before - from.n };
        }
        if (rest.n)
            memcpy(to, rest.p, rest.n);
    }
    return true;
}

// ---- questions ------------------------------------------------------------------------------------------------------

static bool f_starts_with(rki_eval *x, const rki_node *n, const rki_rows *r, const rkp_vec *a, rkp_vec *out)
{
    (void)x;
    (void)n;
    ROWS(i)
    {
        rkp_str s = STR(0, i), t = STR(1, i);

        OUT(uint8_t, i) = s.n >= t.n && rkp_str_eq((rkp_str){ s.p, t.n }, t);
    }
    return true;
}

static bool f_ends_with(rki_eval *x, const rki_node *n, const rki_rows *r, const rkp_vec *a, rkp_vec *out)
{
    (void)x;
    (void)n;
    ROWS(i)
    {
        rkp_str s = STR(0, i), t = STR(1, i);

        OUT(uint8_t, i) = s.n >= t.n && rkp_str_eq((rkp_str){ s.p + (s.n - t.n), t.n }, t);
    }
    return true;
}

static bool f_contains(rki_eval *x, const rki_node *n, const rki_rows *r, const rkp_vec *a, rkp_vec *out)
{
    (void)x;
    (void)n;
    ROWS(i)
    OUT(uint8_t, i) = search(STR(0, i), STR(1, i)) != NULL;
    return true;
}

// ---- extract --------------------------------------------------------------------------------------------------------

static bool bind_extract(rki_check *c, rki_node *n)
{
    rki_node *p = n->arg[1], *g = n->n > 2 ? n->arg[2] : NULL;
    uint32_t from = p->from, to = p->to, raw = c->s.text.p[from] == 'r';
    bool exact = to - from == p->v.s.n + 2 + raw && (c->s.text.p[from + raw] == '\'' || c->s.text.p[from + raw] == '"');
    const rkp_regex *re;

    if (exact) {
        from += 1 + raw;
        to--;
    }
    re = rki_regex_new(c->s.arena, c->s.diags, p->v.s, rki_place(&c->s, from, to), exact);
    if (!re) {
        if (rki_arena_failed(c->s.arena)) {
            c->s.oom = true;
            return false;
        }
        c->s.failed = n->bad = true;
        return true;
    }
    n->data = re;
    n->v.index = 0;
    if (!g)
        return true;
    if (g->op != RKI_X_CONST || g->null || (g->kind != RKP_I64 && g->kind != RKP_STRING)) {
        rki_say(&c->s, g->from, g->to, "expr-type", "argument 3 of extract must be the number or name of a group");
        n->bad = true;
        return true;
    }
    if (g->kind == RKP_I64 && g->v.i >= 0 && g->v.i <= rkp_regex_groups(re)) {
        n->v.index = (uint32_t)g->v.i;
        return true;
    }
    for (uint32_t i = 1; g->kind == RKP_STRING && i <= rkp_regex_groups(re); i++)
        if (g->v.s.n && rkp_str_eq(rkp_regex_group_name(re, i), g->v.s))
            n->v.index = i;
    if (n->v.index)
        return true;
    if (g->kind == RKP_I64)
        rki_say(&c->s, g->from, g->to, "expr-args", "the pattern has %u group%s, not %lld", rkp_regex_groups(re),
                rkp_regex_groups(re) == 1 ? "" : "s", (long long)g->v.i);
    else
        rki_say(&c->s, g->from, g->to, "expr-args", "the pattern has no group '" RKP_STR_FMT "'", RKP_STR_ARG(g->v.s));
    rki_hint(&c->s, "groups are numbered from 1, and named with (?<name>..); 0 is the whole match");
    n->bad = true;
    return true;
}

static bool f_extract(rki_eval *x, const rki_node *n, const rki_rows *r, const rkp_vec *a, rkp_vec *out)
{
    rkp_regex_run *m = rki_frame_regex(x->f, n->data);
    uint32_t want = n->v.index;
    rkp_str *groups = rki_take(x, (want + 1) * sizeof *groups);

    if (!m || !groups)
        return false;
    ROWS(i)
    {
        int rc;

        OUT(rkp_str, i) = nothing;
        if (out->st[i])
            continue;
        rc = rkp_regex_match(n->data, m, STR(0, i), groups, want + 1);
        if (rc < 0)
            bad(x, r, i, out, RKP_ROW_REGEX, STR(0, i));
        else if (rc == 0 || !groups[want].p)
            out->st[i] = 1;
        else
            OUT(rkp_str, i) = groups[want];
    }
    return true;
}

// ---- json -----------------------------------------------------------------------------------------------------------

static bool bind_json_get(rki_check *c, rki_node *n)
{
    const rki_node *p = n->arg[1];
    rki_json_path *path;
    const char *why;
    size_t at;

    if (p->op != RKI_X_CONST || p->null)
        return true;
    path = rki_alloc(c->s.arena, sizeof *path);
    if (!path) {
        c->s.oom = true;
        return false;
    }
    if (!rki_json_path_parse(p->v.s, path, &why, &at)) {
        rki_say(&c->s, p->from, p->to, "expr-args", "'" RKP_STR_FMT "' is no path: %s at byte %zu", RKP_STR_ARG(p->v.s),
                why, at + 1);
        rki_hint(&c->s, "write it as 'a.b[0].c'");
        n->bad = true;
        return true;
    }
    n->data = path;
    return true;
}

static bool f_json_get(rki_eval *x, const rki_node *n, const rki_rows *r, const rkp_vec *a, rkp_vec *out)
{
    rki_json_path *own = n->data ? NULL : rki_take(x, sizeof *own);

    if (!n->data && !own)
        return false;
    ROWS(i)
    {
        const rki_json_path *path = n->data ? n->data : own;
        const char *why;
        size_t at, len;
        rkp_str s;
        char *to;

        OUT(rkp_str, i) = nothing;
        if (out->st[i])
            continue;
        if (own && !rki_json_path_parse(STR(1, i), own, &why, &at)) {
            bad(x, r, i, out, RKP_ROW_DOMAIN, STR(1, i));
            continue;
        }
        switch (rki_json_find(STR(0, i), path, &s)) {
        case RKI_JSON_MISSING:
            out->st[i] = 1;
            break;
        case RKI_JSON_RAW:
            OUT(rkp_str, i) = s;
            break;
        case RKI_JSON_STRING:
            OUT(rkp_str, i) = s;
            if (!memchr(s.p, '\\', s.n))
                break;
            to = rki_text(x, s.n);
            if (!to)
                return false;
            len = rki_json_unescape(to, s.p, s.n);
            OUT(rkp_str, i) = (rkp_str){ to, len };
            if (len != RKI_NO_TEXT_SIZE)
                break;
            OUT(rkp_str, i) = nothing;
            bad(x, r, i, out, RKP_ROW_SYNTAX, s);
            break;
        default:
            bad(x, r, i, out, RKP_ROW_SYNTAX, STR(0, i));
            break;
        }
    }
    return true;
}

const rki_fn rki_fns_text[] = {
    { .name = "length",
      .args = "a",
      .result = 'i',
      .bind = text_or_bytes,
      .eval = f_length,
      .usage = "length(text)",
      .help = "how many code points; of bytes, how many bytes",
      .example = "length('h\\u{e9}llo')",
      .gives = "5" },
    { .name = "lower",
      .args = "s",
      .result = 's',
      .eval = f_lower,
      .usage = "lower(text)",
      .help = "in small letters (Latin, Greek, Cyrillic)",
      .example = "lower('ABC')",
      .gives = "abc" },
    { .name = "upper",
      .args = "s",
      .result = 's',
      .eval = f_upper,
      .usage = "upper(text)",
      .help = "in capital letters (Latin, Greek, Cyrillic)",
      .example = "upper('h\\u{e9}')",
      .gives = "H\xc3\x89" },
    { .name = "trim",
      .args = "s?s",
      .result = 's',
      .eval = f_trim,
      .usage = "trim(text [, characters])",
      .help = "without blanks, or the given characters, at both ends",
      .example = "trim('  a b ')",
      .gives = "a b" },
    { .name = "substr",
      .args = "si?i",
      .result = 's',
      .eval = f_substr,
      .usage = "substr(text, start [, length])",
      .help = "a part of it; 1 is the first character, -1 the last",
      .example = "substr('pipeline', 5, 2)",
      .gives = "li" },
    { .name = "concat",
      .args = "a*",
      .result = 's',
      .eval = f_concat,
      .usage = "concat(a, b, ..)",
      .help = "the texts of its arguments, joined; null when one is null",
      .example = "concat('id-', 7)",
      .gives = "id-7" },
    { .name = "replace",
      .args = "sss",
      .result = 's',
      .eval = f_replace,
      .usage = "replace(text, from, to)",
      .help = "with every `from` replaced",
      .example = "replace('a-b-c', '-', '/')",
      .gives = "a/b/c" },
    { .name = "split",
      .args = "ssi",
      .result = 's',
      .nullable = true,
      .bind = bind_split,
      .eval = f_split,
      .usage = "split(text, separator, index)",
      .help = "one part; 1 is the first, -1 the last; null when there are fewer",
      .example = "split('a,b,c', ',', 2)",
      .gives = "b" },
    { .name = "starts_with",
      .args = "ss",
      .result = 'b',
      .eval = f_starts_with,
      .usage = "starts_with(text, part)",
      .help = "does it begin so",
      .example = "starts_with('pipeline', 'pipe')",
      .gives = "true" },
    { .name = "ends_with",
      .args = "ss",
      .result = 'b',
      .eval = f_ends_with,
      .usage = "ends_with(text, part)",
      .help = "does it end so",
      .example = "ends_with('a.csv', '.csv')",
      .gives = "true" },
    { .name = "contains",
      .args = "ss",
      .result = 'b',
      .eval = f_contains,
      .usage = "contains(text, part)",
      .help = "is it somewhere in it",
      .example = "contains('pipeline', 'peli')",
      .gives = "true" },
    { .name = "extract",
      .args = "sS?a",
      .result = 's',
      .nullable = true,
      .bind = bind_extract,
      .eval = f_extract,
      .usage = "extract(text, regex [, group])",
      .help = "what a group of the first match holds, by number or name (0, the default: all of the match); null "
              "without a match",
      .example = "extract('dur=12ms', r'dur=(\\d+)', 1)",
      .gives = "12" },
    { .name = "json_get",
      .args = "js",
      .result = 's',
      .nullable = true,
      .bind = bind_json_get,
      .eval = f_json_get,
      .usage = "json_get(text, path)",
      .help = "the value at a path such as a.b[0].c: a string as its text, others as JSON; null when it is not there",
      .example = "json_get('{\"a\": [1, {\"b\": \"x\"}]}', 'a[1].b')",
      .gives = "x" },
    { 0 },
};
