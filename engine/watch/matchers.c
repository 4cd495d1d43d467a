// matchers.c - conditions on labels.
#include "watch/matchers.h"

#include "expr/functions.h"

static const char *const hows[] = { "=", "!=", "=~", "!~" };

rkp_str rki_label_word(rkp_str name)
{
    return rkp_str_is(name, "alert") ? RKP_STR("alertname") : name;
}

static void run_free(void *p)
{
    rkp_regex_run_free(p);
}

bool rki_match_make(rki_arena *a, rkp_diags *d, rkp_loc at, rkp_str name, rki_match_how how, rkp_str value,
                    rki_match *out)
{
    rkp_str text;

    name = rki_label_word(name);
    *out = (rki_match){ .name = rki_dup_str(a, name), .value = rki_dup_str(a, value), .how = how };
    if (!out->name.p || !out->value.p)
        return false;
    if (how < RKI_LIKE)
        return true;
    // Once alone, so that a finding speaks of what was written.
    if (!rki_regex_new(a, d, out->value, at, false))
        return false;
    text = rki_printf(a, "\\A(?:" RKP_STR_FMT ")\\z", RKP_STR_ARG(value));
    out->re = text.p ? rki_regex_new(a, NULL, text, at, false) : NULL;
    out->run = out->re ? rkp_regex_run_new(out->re) : NULL;
    return out->run && rki_arena_defer(a, run_free, out->run);
}

// ---- text -----------------------------------------------------------------------------------------------------------

typedef struct reader {
    const char *p, *end;
} reader;

static void blanks(reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n'))
        r->p++;
}

static bool take(reader *r, char c)
{
    if (r->p == r->end || *r->p != c)
        return false;
    r->p++;
    return true;
}

static rkp_str take_name(reader *r)
{
    const char *from = r->p;

    while (r->p < r->end &&
           (*r->p == '_' || (*r->p >= '0' && *r->p <= '9') || ((*r->p | 0x20) >= 'a' && (*r->p | 0x20) <= 'z')))
        r->p++;
    return (rkp_str){ from, (size_t)(r->p - from) };
}

static bool take_how(reader *r, rki_match_how *how)
{
    if (take(r, '=')) {
        *how = take(r, '~') ? RKI_LIKE : RKI_IS;
        return true;
    }
    if (!take(r, '!'))
        return false;
    *how = take(r, '~') ? RKI_NOT_LIKE : RKI_IS_NOT;
    return *how == RKI_NOT_LIKE || take(r, '=');
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

// "..", in which \" \\ \n and \xNN are escapes (rki_quote) and any other backslash is itself, as patterns have them.
static bool take_quoted(reader *r, rki_buf *to)
{
    while (r->p < r->end && *r->p != '"') {
        size_t left = (size_t)(r->end - r->p);
        char c = *r->p++;

        if (c == '\\' && left >= 4 && *r->p == 'x' && hex(r->p[1]) >= 0 && hex(r->p[2]) >= 0) {
            c = (char)(hex(r->p[1]) * 16 + hex(r->p[2]));
            r->p += 3;
        } else if (c == '\\' && left >= 2 && strchr("\"\\n", *r->p)) {
            c = *r->p == 'n' ? '\n' : *r->p;
            r->p++;
        }
        rki_putc(to, c);
    }
    return take(r, '"');
}

static bool take_value(reader *r, rki_buf *to)
{
    if (take(r, '"'))
        return take_quoted(r, to);
    while (r->p < r->end && !strchr(",}\" \t\n", *r->p))
        rki_putc(to, *r->p++);
    return true;
}

static const char *one(rki_arena *a, rkp_diags *d, rkp_loc at, reader *r, rki_match *out)
{
    const char *why = NULL;
    rki_match_how how = RKI_IS;
    rkp_str name;
    rki_buf b;

    blanks(r);
    name = take_name(r);
    if (!rki_label_name(name))
        return "it begins with the name of a label";
    blanks(r);
    if (!take_how(r, &how))
        return "after the label comes =, !=, =~ or !~";
    blanks(r);
    rki_buf_init(&b);
    if (!take_value(r, &b))
        why = "a quote has no end";
    else if (b.failed)
        why = "out of memory";
    else if (!rki_match_make(a, d, at, name, how, (rkp_str){ b.n ? b.p : "", b.n }, out))
        why = rki_arena_failed(a) ? "out of memory" : "the pattern is not one";
    rki_buf_fini(&b);
    blanks(r);
    return why;
}

bool rki_matchers_parse(rki_arena *a, rkp_diags *d, rkp_loc at, rkp_str text, rki_matchers *out, const char **why)
{
    reader r = { text.p, text.p + text.n };
    rki_match *v = rki_array(a, RKI_MATCHERS_MAX, sizeof *v);
    bool braces;
    size_t n = 0;

    *why = v ? NULL : "out of memory";
    blanks(&r);
    braces = take(&r, '{');
    do {
        if (!*why)
            *why = n == RKI_MATCHERS_MAX ? "too many conditions" : one(a, d, at, &r, &v[n++]);
    } while (!*why && take(&r, ','));
    if (!*why && braces && !take(&r, '}'))
        *why = "a brace has no end";
    blanks(&r);
    if (!*why && r.p != r.end)
        *why = "between conditions stands a comma; a value with blanks, commas or braces needs quotes";
    *out = (rki_matchers){ v, n };
    return !*why;
}

bool rki_matchers_copy(rki_arena *a, const rki_matchers *from, rki_matchers *to)
{
    static const rkp_loc nowhere;

    to->n = from->n;
    to->v = rki_array(a, from->n ? from->n : 1, sizeof *to->v);
    for (size_t i = 0; to->v && i < from->n; i++)
        if (!rki_match_make(a, NULL, nowhere, from->v[i].name, from->v[i].how, from->v[i].value, &to->v[i]))
            return false;
    return to->v != NULL;
}

// ---- matching -------------------------------------------------------------------------------------------------------

static bool hit(const rki_match *m, rkp_str value)
{
    if (!value.p)
        value = RKP_STR("");
    switch (m->how) {
    case RKI_IS:
        return rkp_str_eq(m->value, value);
    case RKI_IS_NOT:
        return !rkp_str_eq(m->value, value);
    case RKI_LIKE:
        return rkp_regex_match(m->re, m->run, value, NULL, 0) == 1;
    default:
        return rkp_regex_match(m->re, m->run, value, NULL, 0) == 0;
    }
}

bool rki_matchers_hit(const rki_matchers *m, const rki_labels *l)
{
    for (size_t i = 0; i < m->n; i++)
        if (!hit(&m->v[i], rki_labels_find(l, m->v[i].name)))
            return false;
    return true;
}

bool rki_matchers_take_empty(const rki_matchers *m)
{
    const rki_labels none = { 0 };

    return rki_matchers_hit(m, &none);
}

void rki_matchers_print(const rki_matchers *m, rki_buf *out)
{
    for (size_t i = 0; i < m->n; i++) {
        rki_putf(out, "%s" RKP_STR_FMT "%s", i ? "," : "", RKP_STR_ARG(m->v[i].name), hows[m->v[i].how]);
        rki_quote(m->v[i].value, out);
    }
}
