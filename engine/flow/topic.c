// flow/topic.c - the text of topics.
//
// A walk over a text looks at one level after the other and notes what is wrong with each; templates use the same walk on
// the texts between what is filled in.  Two patterns, or a template and a pattern, are compared level by level: at most
// RKI_TOPIC_LEVELS of each, so a table of level x level answers whether a template with ${meta.topic} can match.
#include "flow/topic.h"

#include "base/utf8.h"
#include <stdarg.h>
#include <stdio.h>

enum { SHOWN = 60, MOST_LEVELS = RKI_TOPIC_LEVELS + 1 };

static rkp_str part_of(rkp_str s, size_t at, size_t n)
{
    return (rkp_str){ s.p + at, n };
}

static bool is(rkp_str s, char c)
{
    return s.n == 1 && s.p[0] == c;
}

static bool has(rkp_str s, char c)
{
    return s.n && memchr(s.p, c, s.n);
}

// ---- findings

struct walk {
    rkp_str text;
    rki_topic_kind kind;
    rki_topic_findings *out; // NULL: only whether it is legal
    bool wrong, fills_in;    // it is a template: values may be filled in
};

static rki_topic_finding *newest(const struct walk *w)
{
    return w->out && w->out->n ? &w->out->v[w->out->n - 1] : NULL;
}

static bool RKP_PRINTF(5, 6) found(struct walk *w, const char *code, size_t at, size_t n, const char *fmt, ...)
{
    rki_topic_finding *f;
    va_list ap;

    w->wrong = true;
    if (!w->out || w->out->n == RKI_TOPIC_FINDINGS)
        return false;
    f = &w->out->v[w->out->n++];
    *f = (rki_topic_finding){ .code = code, .at = (uint32_t)at, .n = (uint32_t)n };
    va_start(ap, fmt);
    vsnprintf(f->what, sizeof f->what, fmt, ap);
    va_end(ap);
    return true;
}

static void RKP_PRINTF(2, 3) hint(struct walk *w, const char *fmt, ...)
{
    rki_topic_finding *f = newest(w);
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(f->hint, sizeof f->hint, fmt, ap);
    va_end(ap);
}

// Not more of the user's words than a sentence bears, and no half character.
static int cut(rkp_str s)
{
    size_t n = s.n < SHOWN ? s.n : SHOWN;

    while (n && n < s.n && ((unsigned char)s.p[n] & 0xc0) == 0x80)
        n--;
    return (int)n;
}

// ---- checking

static void check_bytes(struct walk *w, rkp_str s)
{
    const char *end = s.p + s.n;
    uint32_t cp;

    for (const char *p = s.p; p < end;) {
        size_t n = rki_utf8_next(p, end, &cp), at = (size_t)(p - w->text.p);

        if (cp == RKI_UTF8_BAD) {
            found(w, "topic-text", at, n, "byte 0x%02x is not UTF-8", (unsigned char)*p);
            return;
        }
        if (!rki_utf8_plain(cp)) {
            if (found(w, "topic-text", at, n, "the character U+%04X cannot be in a topic", (unsigned)cp))
                hint(w, "it cannot be seen, so two topics would look the same");
            return;
        }
        p += n;
    }
}

// A subject of NATS or a routing key: dots between the levels, and one of them is a wildcard.
static bool dotted(const struct walk *w, rkp_str level)
{
    const char *p = level.p, *end = level.p + level.n;

    if (level.n != w->text.n || !has(level, '.'))
        return false;
    while (p < end) {
        const char *dot = memchr(p, '.', (size_t)(end - p)), *to = dot ? dot : end;

        if (to - p == 1 && (*p == '*' || *p == '#' || *p == '>'))
            return true;
        p = to + 1;
    }
    return false;
}

static void found_dots(struct walk *w, rkp_str level)
{
    char as[SHOWN + 1];
    size_t n = (size_t)cut(level);

    if (!found(w, "topic-dots", 0, level.n, "the levels of a topic are split at '/', not at '.'"))
        return;
    for (size_t i = 0; i < n; i++)
        as[i] = level.p[i] == '.' ? '/' : level.p[i];
    if (n == level.n && as[n - 1] == '>')
        as[n - 1] = '#';
    hint(w, "write '%.*s'%s", (int)n, as, n < level.n ? " and so on" : "");
}

static void check_pattern_level(struct walk *w, rkp_str s, bool last)
{
    size_t at = (size_t)(s.p - w->text.p);

    if (is(s, '*') || (is(s, '#') && last))
        return;
    if (is(s, '#')) {
        if (found(w, "topic-hash", at, 1, "'#' has levels behind it"))
            hint(w, "'#' is all levels below and comes last; one level is '*'");
    } else if (is(s, '+')) {
        if (found(w, "topic-foreign", at, 1, "'+' is no wildcard"))
            hint(w, "one level is '*' here");
    } else if (is(s, '>')) {
        if (found(w, "topic-foreign", at, 1, "'>' is no wildcard"))
            hint(w, "all levels below are '#' here");
    } else if (s.n == 2 && memcmp(s.p, "**", 2) == 0) {
        if (found(w, "topic-foreign", at, 2, "'**' is no wildcard"))
            hint(w, "one level is '*', all levels below are '#'");
    } else if (dotted(w, s)) {
        found_dots(w, s);
    } else if (has(s, '*') || has(s, '#')) {
        if (found(w, "topic-partial", at, s.n, "'%c' is only a part of the level '%.*s'", has(s, '*') ? '*' : '#',
                  cut(s), s.p))
            hint(w, "a wildcard is a whole level: take '*' there, and choose with 'where'");
    }
}

// `whole`: the piece is all of its level.
static void check_name_piece(struct walk *w, rkp_str s, bool whole)
{
    size_t at = (size_t)(s.p - w->text.p);
    char wild = 0;

    for (size_t i = 0; i < s.n && !wild; i++)
        if (s.p[i] == '*' || s.p[i] == '#')
            wild = s.p[i];
    if (wild) {
        if (found(w, "topic-wildcard", at, s.n, "'%c' is for patterns and cannot be in a topic's name", wild) &&
            w->kind == RKI_TOPIC_NAME)
            hint(w, w->fills_in ? "a message goes to one topic; a level that depends on the row is ${this.column}"
                                : "write one topic; patterns are for 'subscribe'");
    } else if (whole && (is(s, '+') || is(s, '>'))) {
        if (found(w, "topic-foreign", at, 1, "a level cannot be '%c'", s.p[0]))
            hint(w, "that is a wildcard elsewhere; here they are '*' and '#', in 'subscribe'");
    }
}

static void check_engine(struct walk *w)
{
    if (w->text.p[0] == '$' &&
        found(w, "topic-engine", 0, 1, "only the engine publishes to topics that begin with '$'"))
        hint(w, "kernels can subscribe to them: $alerts/#, $lifecycle/#, $reload");
}

// The text without its empty levels, as far as a hint bears it.
static size_t without_empty(rkp_str s, char to[SHOWN])
{
    size_t n = 0;

    for (size_t i = 0; i < s.n && n < SHOWN; i++)
        if (s.p[i] != '/' || (n && to[n - 1] != '/'))
            to[n++] = s.p[i];
    while (n && to[n - 1] == '/')
        n--;
    return (size_t)cut((rkp_str){ to, n });
}

// An empty level at byte `at`.
static void found_empty(struct walk *w, size_t at, size_t end)
{
    size_t skip = 0; // slashes at the beginning are one finding

    while (skip < w->text.n && w->text.p[skip] == '/')
        skip++;
    if (at == 0) {
        if (!found(w, "topic-level-empty", 0, 1, "a topic does not begin with '/'"))
            return;
        if (skip < w->text.n) {
            char rest[SHOWN];

            hint(w, "write '%.*s'", (int)without_empty(w->text, rest), rest);
        }
    } else if (at <= skip) {
        return;
    } else if (end == w->text.n) {
        if (found(w, "topic-level-empty", at - 1, 1, "a topic does not end with '/'") && w->kind == RKI_TOPIC_PATTERN)
            hint(w, "'%.*s/#' is everything below it", cut(part_of(w->text, 0, at - 1)), w->text.p);
    } else if (found(w, "topic-level-empty", at - 1, 2, "a level of the topic is empty") &&
               w->kind == RKI_TOPIC_PATTERN) {
        hint(w, "one level, whatever its name, is '*'");
    }
}

// Empty, or so long that nothing else is said about it.
static bool check_size(struct walk *w, size_t bytes)
{
    if (w->text.n == 0) {
        if (found(w, "topic-empty", 0, 0, "the topic is empty"))
            hint(w, "an unquoted '#' begins a comment in YAML: write '#' in quotes");
        return false;
    }
    if (bytes > RKI_TOPIC_BYTES) {
        found(w, "topic-limit", 0, w->text.n, "it has %zu bytes; there are at most %d", bytes, RKI_TOPIC_BYTES);
        return false;
    }
    return true;
}

static void found_deep(struct walk *w, size_t at)
{
    found(w, "topic-limit", at, w->text.n - at, "it has more than %d levels", RKI_TOPIC_LEVELS);
}

bool rki_topic_check(rki_topic_kind kind, rkp_str text, rki_topic_findings *out)
{
    struct walk w = { .text = text, .kind = kind, .out = out };
    size_t at = 0, levels = 0;

    if (out)
        out->n = 0;
    if (!check_size(&w, text.n))
        return false;
    if (kind == RKI_TOPIC_NAME)
        check_engine(&w);
    for (bool last = false; !last && (out || !w.wrong);) {
        const char *slash = memchr(text.p + at, '/', text.n - at);
        size_t end = slash ? (size_t)(slash - text.p) : text.n;
        rkp_str level = part_of(text, at, end - at);

        last = !slash;
        if (++levels > RKI_TOPIC_LEVELS) {
            found_deep(&w, at);
            break;
        }
        if (level.n == 0) {
            found_empty(&w, at, end);
        } else {
            check_bytes(&w, level);
            if (kind == RKI_TOPIC_PATTERN)
                check_pattern_level(&w, level, last);
            else
                check_name_piece(&w, level, true);
        }
        at = end + 1;
    }
    return !w.wrong;
}

// ---- matching

bool rki_topic_match(rkp_str pattern, rkp_str topic)
{
    const char *p = pattern.p, *p_end = p + pattern.n, *t = topic.p, *t_end = t + topic.n;

    if (topic.n == 0 || pattern.n == 0 || (*t == '$' && *p != '$'))
        return false;
    for (;;) {
        if (p < p_end && *p == '#')
            return true;
        if (p < p_end && *p == '*') {
            p++;
            while (t < t_end && *t != '/')
                t++;
        } else {
            while (t < t_end && p < p_end && *t == *p && *t != '/') {
                t++;
                p++;
            }
        }
        if ((p < p_end && *p != '/') || (t < t_end && *t != '/'))
            return false;
        if (p == p_end)
            return t == t_end;
        p++;
        if (t == t_end)
            return p < p_end && *p == '#';
        t++;
    }
}

// The levels of a text; more than MOST_LEVELS are not looked at (the text is not legal).
static size_t split(rkp_str s, rkp_str *levels)
{
    size_t n = 0, at = 0;

    while (n < MOST_LEVELS) {
        const char *slash = memchr(s.p + at, '/', s.n - at);
        size_t end = slash ? (size_t)(slash - s.p) : s.n;

        levels[n++] = part_of(s, at, end - at);
        if (!slash)
            break;
        at = end + 1;
    }
    return n;
}

static void put_level(rki_buf *b, size_t *bytes, rkp_str level)
{
    if (*bytes && b)
        rki_putc(b, '/');
    if (b)
        rki_put(b, level.p, level.n);
    *bytes += level.n + (*bytes > 0);
}

bool rki_topic_patterns_meet(rkp_str a, rkp_str b, rki_buf *both)
{
    rkp_str la[MOST_LEVELS], lb[MOST_LEVELS];
    size_t na, nb, i, bytes = 0;

    if (both)
        rki_buf_clear(both);
    if (a.n == 0 || b.n == 0 || (a.p[0] == '$') != (b.p[0] == '$'))
        return false;
    na = split(a, la);
    nb = split(b, lb);
    for (i = 0; i < na && i < nb && !is(la[i], '#') && !is(lb[i], '#'); i++) {
        if (!is(la[i], '*') && !is(lb[i], '*') && !rkp_str_eq(la[i], lb[i]))
            return false;
        put_level(both, &bytes, is(la[i], '*') ? lb[i] : la[i]);
    }
    if (i < na && is(la[i], '#')) { // the rest is the other's
        for (; i < nb; i++)
            put_level(both, &bytes, lb[i]);
    } else if (i < nb && is(lb[i], '#')) {
        for (; i < na; i++)
            put_level(both, &bytes, la[i]);
    } else if (i < na || i < nb) {
        return false;
    }
    // The shortest topic has one byte for each '*', and nothing for "/#".
    if (is(la[na - 1], '#') && is(lb[nb - 1], '#') && bytes > 2)
        bytes -= 2;
    return bytes <= RKI_TOPIC_BYTES;
}

// Is every topic that q matches matched by p?  A '#' alone is one level or more, as there is no topic without levels.
static bool contains(rkp_str p, rkp_str q)
{
    rkp_str lp[MOST_LEVELS] = { { 0 } }, lq[MOST_LEVELS] = { { 0 } };
    size_t np, nq;

    if (p.n == 0 || q.n == 0 || (p.p[0] == '$') != (q.p[0] == '$'))
        return false;
    np = split(p, lp);
    nq = split(is(q, '#') ? RKP_STR("*/#") : q, lq);
    for (size_t i = 0;; i++) {
        if (i < np && is(lp[i], '#'))
            return true;
        if (i == np || i == nq)
            return np == nq;
        if (is(lq[i], '#') || (!is(lp[i], '*') && !rkp_str_eq(lp[i], lq[i])))
            return false;
    }
}

int rki_topic_specific_cmp(rkp_str a, rkp_str b)
{
    return (int)contains(a, b) - (int)contains(b, a);
}

// ---- templates: parsing

struct parse {
    struct walk w;
    rki_arena *a;
    rki_topic_template *t;
    rki_topic_part *parts;
    size_t cap;
    bool no_memory;
};

static const struct {
    const char *name;
    rki_topic_meta meta;
} metas[] = {
    { "kernel", RKI_META_KERNEL }, { "topic", RKI_META_TOPIC },   { "key", RKI_META_KEY },
    { "hlc", RKI_META_HLC },       { "reason", RKI_META_REASON },
};

static bool starts(rkp_str s, const char *with)
{
    size_t n = strlen(with);

    return s.n >= n && memcmp(s.p, with, n) == 0;
}

// `odd ``name``` is odd `name`; another text is itself.
static rkp_str unquote(struct parse *p, rkp_str s)
{
    char *to;
    size_t n = 0;

    if (s.n < 3 || s.p[0] != '`' || s.p[s.n - 1] != '`')
        return s;
    s = part_of(s, 1, s.n - 2);
    if (!has(s, '`'))
        return s;
    to = rki_dup(p->a, s.p, s.n);
    if (!to) {
        p->no_memory = true;
        return s;
    }
    for (size_t i = 0; i < s.n; i++) {
        to[n++] = s.p[i];
        i += s.p[i] == '`' && i + 1 < s.n && s.p[i + 1] == '`';
    }
    return (rkp_str){ to, n };
}

// $${ is ${ .
static rkp_str unescape(struct parse *p, rkp_str s)
{
    const char *at = s.n >= 3 ? memmem(s.p, s.n, "$${", 3) : NULL;
    char *to;
    size_t n = 0;

    if (!at)
        return s;
    to = rki_dup(p->a, s.p, s.n);
    if (!to) {
        p->no_memory = true;
        return s;
    }
    for (size_t i = 0; i < s.n; i++) {
        i += starts(part_of(s, i, s.n - i), "$${");
        to[n++] = s.p[i];
    }
    return (rkp_str){ to, n };
}

static rki_topic_part *add_part(struct parse *p, size_t at, size_t n)
{
    rki_topic_template *t = p->t;
    rki_topic_level *level = &t->levels[t->n_levels - 1];

    if (t->n_parts == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 8;
        rki_topic_part *more = rki_array(p->a, cap, sizeof *more);

        if (!more) {
            p->no_memory = true;
            return NULL;
        }
        if (p->cap)
            memcpy(more, p->parts, p->cap * sizeof *more);
        p->parts = more;
        p->cap = cap;
    }
    level->n++;
    p->parts[t->n_parts] = (rki_topic_part){
        .level = (uint16_t)(t->n_levels - 1), .at = (uint32_t)at, .n = (uint32_t)n, .text = part_of(p->w.text, at, n)
    };
    return &p->parts[t->n_parts++];
}

static bool meta_named(rkp_str name, uint8_t *meta)
{
    for (size_t i = 0; i < sizeof metas / sizeof *metas; i++)
        if (rkp_str_is(name, metas[i].name)) {
            *meta = (uint8_t)metas[i].meta;
            return true;
        }
    return false;
}

// `body` is what stands between ${ and }; `alone`: it is all of its level.
static void add_value(struct parse *p, size_t at, size_t n, rkp_str body, bool alone)
{
    rki_topic_level *level = &p->t->levels[p->t->n_levels - 1];
    rki_topic_part *part = add_part(p, at, n);
    bool known;

    if (!part)
        return;
    if (++p->t->n_values == RKI_TOPIC_VALUES + 1)
        found(&p->w, "topic-limit", at, n, "a topic with more than %d values", RKI_TOPIC_VALUES);
    level->kind = RKI_LEVEL_VARIABLE;
    if (starts(body, "this.") && body.n > 5) {
        part->kind = RKI_TOPIC_COLUMN;
        part->text = unquote(p, part_of(body, 5, body.n - 5));
        return;
    }
    part->kind = RKI_TOPIC_META;
    known = starts(body, "meta.") && meta_named(part_of(body, 5, body.n - 5), &part->meta);
    part->text = known ? part_of(body, 5, body.n - 5) : body;
    if (!known) {
        if (found(&p->w, "topic-template", at, n, "'${%.*s}' names nothing", cut(body), body.p))
            hint(&p->w, "there are ${this.column} and ${meta.kernel}, .topic, .key, .hlc, .reason");
    } else if (part->meta == RKI_META_TOPIC) {
        level->kind = RKI_LEVEL_MANY;
        if (!alone &&
            found(&p->w, "topic-template", at, n, "'${meta.topic}' is whole levels and cannot be a part of one"))
            hint(&p->w, "set it off with '/'");
    }
}

static void add_text(struct parse *p, size_t at, size_t end, bool alone)
{
    rki_topic_part *part = add_part(p, at, end - at);

    if (!part)
        return;
    part->kind = RKI_TOPIC_TEXT;
    check_bytes(&p->w, part->text);
    check_name_piece(&p->w, part->text, alone);
    part->text = unescape(p, part->text);
}

// Where the text before '/', ${ or the end of the template ends.
static size_t text_end(rkp_str s, size_t at)
{
    while (at < s.n && s.p[at] != '/') {
        rkp_str rest = part_of(s, at, s.n - at);

        if (starts(rest, "${"))
            break;
        at += starts(rest, "$${") ? 3 : 1;
    }
    return at;
}

static bool level_ends(rkp_str s, size_t at)
{
    return at == s.n || s.p[at] == '/';
}

// One level, from `from`; where it ends.
static size_t parse_level(struct parse *p, size_t from)
{
    rkp_str s = p->w.text;
    size_t at = from;

    if (level_ends(s, at))
        found_empty(&p->w, at, at);
    while (!level_ends(s, at) && !p->no_memory) {
        size_t end = text_end(s, at);
        const char *close;

        if (end > at)
            add_text(p, at, end, at == from && level_ends(s, end));
        at = end;
        if (level_ends(s, at))
            break;
        close = memchr(s.p + at, '}', s.n - at);
        if (!close) {
            if (found(&p->w, "topic-template", at, s.n - at, "'${' is not closed"))
                hint(&p->w, "write $${ for the two characters");
            return s.n;
        }
        end = (size_t)(close - s.p) + 1;
        add_value(p, at, end - at, part_of(s, at + 2, end - at - 3), at == from && level_ends(s, end));
        at = end;
    }
    return at;
}

static rkp_str whole_text(struct parse *p)
{
    rkp_str all = unescape(p, p->w.text);

    return p->no_memory ? (rkp_str){ 0 } : all;
}

rkp_status rki_topic_template_parse(rki_arena *a, rki_topic_kind kind, rkp_str text, rki_topic_template *out,
                                    rki_topic_findings *why)
{
    struct parse p = { .w = { .text = text, .kind = kind, .out = why, .fills_in = true }, .a = a, .t = out };
    size_t at = 0, bytes = 0;

    *out = (rki_topic_template){ .text = text };
    if (why)
        why->n = 0;
    if (!check_size(&p.w, 0))
        return RKP_INVALID;
    if (!starts(text, "${") && kind == RKI_TOPIC_NAME)
        check_engine(&p.w);
    out->engine = kind == RKI_TOPIC_ANY && text.n && text.p[0] == '$' && !starts(text, "${");
    for (bool last = false; !last && !p.no_memory;) {
        rki_topic_level *l = &out->levels[out->n_levels];
        size_t end;

        if (out->n_levels == RKI_TOPIC_LEVELS) {
            found_deep(&p.w, at);
            break;
        }
        out->n_levels++;
        l->first = out->n_parts;
        end = parse_level(&p, at);
        last = end == text.n;
        at = end + 1;
    }
    for (uint32_t i = 0; i < out->n_parts; i++) // a value is at least one byte
        bytes += p.parts[i].kind == RKI_TOPIC_TEXT ? p.parts[i].text.n : 1;
    check_size(&p.w, bytes + out->n_levels - 1);
    out->parts = p.parts;
    if (!p.no_memory && !p.w.wrong && out->n_values == 0)
        out->fixed = whole_text(&p);
    return p.no_memory ? RKP_NOMEM : p.w.wrong ? RKP_INVALID : RKP_OK;
}

// ---- templates: filling in

// 1: never as it is; 2: more than one byte, look at the character.
static const uint8_t special[256] = {
    [0x00 ... 0x1f] = 1, ['#'] = 1, ['%'] = 1, ['*'] = 1, ['/'] = 1, [0x7f] = 1, [0x80 ... 0xff] = 2,
};

static char *put_hex(char *to, char c)
{
    static const char digits[] = "0123456789ABCDEF";

    *to++ = '%';
    *to++ = digits[(unsigned char)c >> 4];
    *to++ = digits[(unsigned char)c & 15];
    return to;
}

// Into room for three times as many bytes, and two more; how many they became.
static size_t escape(char *to, rkp_str v, bool first)
{
    const char *p = v.p, *end;
    char *at = to;

    if (v.n == 0) {
        memcpy(to, "%-", 2);
        return 2;
    }
    end = v.p + v.n;
    if ((first && *p == '$') || is(v, '+') || is(v, '>'))
        at = put_hex(at, *p++);
    while (p < end) {
        uint8_t kind = special[(unsigned char)*p];
        uint32_t cp;
        size_t n = 1;

        if (kind == 2) {
            n = rki_utf8_next(p, end, &cp);
            if (rki_utf8_plain(cp)) {
                memcpy(at, p, n);
                at += n;
                p += n;
                continue;
            }
        }
        if (kind == 0)
            *at++ = *p++;
        else
            for (; n; n--)
                at = put_hex(at, *p++);
    }
    return (size_t)(at - to);
}

void rki_topic_escape(rki_buf *to, rkp_str value, bool first)
{
    if (value.n > SIZE_MAX / 4)
        to->failed = true;
    else if (rki_buf_reserve(to, value.n * 3 + 2))
        to->n += escape(to->p + to->n, value, first);
}

// meta.topic: levels as they are.
static size_t put_topic(rki_buf *to, rkp_str topic)
{
    size_t levels = 1;

    if (topic.n == 0) {
        rki_topic_escape(to, topic, false);
        return 1;
    }
    if (to->n == 0 && topic.p[0] == '$') {
        rki_topic_escape(to, part_of(topic, 0, 1), true);
        topic = part_of(topic, 1, topic.n - 1);
    }
    rki_put(to, topic.p, topic.n);
    for (size_t i = 0; i < topic.n; i++)
        levels += topic.p[i] == '/';
    return levels;
}

rki_topic_made rki_topic_fill(const rki_topic_template *t, const rkp_str *values, rki_buf *to)
{
    size_t levels = 0;

    rki_buf_clear(to);
    to->failed = false; // of an earlier row
    for (uint32_t l = 0; l < t->n_levels; l++) {
        const rki_topic_level *level = &t->levels[l];

        if (l)
            rki_putc(to, '/');
        levels += level->kind != RKI_LEVEL_MANY;
        for (uint32_t i = level->first; i < level->first + level->n; i++) {
            const rki_topic_part *part = &t->parts[i];

            if (part->kind == RKI_TOPIC_TEXT)
                rki_put(to, part->text.p, part->text.n);
            else if (values->n > RKI_TOPIC_BYTES)
                return RKI_TOPIC_TOO_LONG;
            else if (level->kind == RKI_LEVEL_MANY)
                levels += put_topic(to, *values++);
            else
                rki_topic_escape(to, *values++, to->n == 0);
        }
    }
    if (to->failed)
        return RKI_TOPIC_NO_MEMORY;
    if (to->n > RKI_TOPIC_BYTES)
        return RKI_TOPIC_TOO_LONG;
    return levels > RKI_TOPIC_LEVELS ? RKI_TOPIC_TOO_DEEP : RKI_TOPIC_OK;
}

// ---- templates: what they can match

static int hex_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// Does some value become this text?  The only one that can is what the text says; it must come out as the text.
static bool is_escaped(rkp_str s, bool first)
{
    char value[RKI_TOPIC_BYTES], again[3 * RKI_TOPIC_BYTES + 2];
    size_t n = 0;

    if (s.n == 0 || s.n > sizeof value)
        return false;
    if (s.n == 2 && memcmp(s.p, "%-", 2) == 0)
        return true;
    for (size_t i = 0; i < s.n; i++) {
        int high, low;

        if (s.p[i] != '%') {
            value[n++] = s.p[i];
            continue;
        }
        high = i + 2 < s.n ? hex_of(s.p[i + 1]) : -1;
        low = high >= 0 ? hex_of(s.p[i + 2]) : -1;
        if (low < 0)
            return false;
        value[n++] = (char)(high << 4 | low);
        i += 2;
    }
    n = escape(again, (rkp_str){ value, n }, first);
    return n == s.n && memcmp(again, s.p, n) == 0;
}

// Can the level become the word?  Each value is at least one byte; where there is more than one, texts between them are
// looked for from the left, and whatever is left over is taken for values.
static bool level_may_be(const rki_topic_template *t, const rki_topic_level *l, rkp_str word)
{
    const rki_topic_part *part = &t->parts[l->first], *end = part + l->n;
    size_t values = 0, due = 0;
    bool first = part->level == 0 && part->kind != RKI_TOPIC_TEXT;

    for (const rki_topic_part *p = part; p < end; p++)
        values += p->kind != RKI_TOPIC_TEXT;
    if (part->kind == RKI_TOPIC_TEXT) {
        if (word.n < part->text.n || memcmp(word.p, part->text.p, part->text.n) != 0)
            return false;
        word = part_of(word, part->text.n, word.n - part->text.n);
        part++;
    }
    if (part < end && end[-1].kind == RKI_TOPIC_TEXT) {
        rkp_str tail = end[-1].text;

        if (word.n < tail.n || memcmp(word.p + word.n - tail.n, tail.p, tail.n) != 0)
            return false;
        word.n -= tail.n;
        end--;
    }
    if (values <= 1)
        return values ? is_escaped(word, first) : word.n == 0;
    for (; part < end; part++) {
        const char *at;

        if (part->kind != RKI_TOPIC_TEXT) {
            due++;
            continue;
        }
        if (word.n < due)
            return false;
        at = memmem(word.p + due, word.n - due, part->text.p, part->text.n);
        if (!at)
            return false;
        at += part->text.n;
        word = part_of(word, (size_t)(at - word.p), word.n - (size_t)(at - word.p));
        due = 0;
    }
    return word.n >= due;
}

bool rki_topic_may_match(const rki_topic_template *t, rkp_str pattern)
{
    bool can[RKI_TOPIC_LEVELS + 1][MOST_LEVELS + 1] = {
        { true }
    }; // the first i levels can be the first j of the pattern
    rkp_str words[MOST_LEVELS] = { { 0 } };
    size_t n;

    if (pattern.n == 0 || (pattern.p[0] == '$') != t->engine)
        return false;
    n = split(pattern, words);
    for (size_t i = 0; i <= t->n_levels; i++)
        for (size_t j = 0; j <= n; j++) {
            const rki_topic_level *l = &t->levels[i];

            if (!can[i][j])
                continue;
            if (j == n ? i == t->n_levels : is(words[j], '#'))
                return true;
            if (j == n || i == t->n_levels)
                continue;
            if (l->kind == RKI_LEVEL_MANY)
                for (size_t k = j + 1; k <= n; k++)
                    can[i + 1][k] = true;
            else if (is(words[j], '*') || level_may_be(t, l, words[j]))
                can[i + 1][j + 1] = true;
        }
    return false;
}
