// template.c - the part of Go's templates that annotations use.
//
//   text {{ command | command .. }} text
//   command   an operand, or a function with operands; the value before a `|` is the last operand
//   operand   $labels.name  .Labels.name  $value  .Value  "text"  `text`
//
// Every operand has a type, number or text, and every function says what it takes, so that nothing can go wrong once an
// alert fires: in Prometheus `printf "%d" $value` is "%!d(float64=3)" in the pager of whoever is on call.
#include "watch/template.h"

#include "expr/program.h"
#include <math.h>
#include <rkpipe/num.h>
#include <stdio.h>
#include <stdlib.h>

enum { TEXT_MAX = 4 << 10, ARGS = 16 };

typedef enum kind { K_TEXT, K_LABEL, K_VALUE, K_CALL } kind;

typedef struct part part;

typedef struct fn {
    const char *name;
    bool number; // what it takes; printf looks for itself
    void (*run)(const part *p, const rki_labels *l, double value, rki_buf *out);
} fn;

struct part {
    uint8_t kind;
    rkp_str text; // K_TEXT, or the name of K_LABEL
    const fn *fn;
    const part *arg[ARGS];
    uint32_t n;
    const part *next; // of the template
};

struct rki_text_tpl {
    const part *first;
};

// ---- numbers --------------------------------------------------------------------------------------------------------

static bool odd(double v, rki_buf *out)
{
    if (!isnan(v) && !isinf(v))
        return false;
    rki_putz(out, isnan(v) ? "NaN" : v > 0 ? "+Inf" : "-Inf");
    return true;
}

void rki_go_float(double v, rki_buf *out)
{
    char text[40];

    if (odd(v, out))
        return;
    for (int digits = 1; digits <= 17; digits++) {
        double back = 0;
        int n = snprintf(text, sizeof text, "%.*e", digits - 1, v);

        if (rkp_parse_f64(text, (size_t)n, &back) && back == v) {
            long e = strtol(strchr(text, 'e') + 1, NULL, 10);

            // As strconv's 'g' with the shortest digits: an exponent from 1e-05 down and from 1e+06 up.
            if (e < -4 || e >= 6)
                break;
            snprintf(text, sizeof text, "%.*f", digits - 1 > e ? digits - 1 - (int)e : 0, v);
            break;
        }
    }
    rki_putz(out, text);
}

static void four(double v, const char *unit, rki_buf *out)
{
    if (!odd(v, out))
        rki_putf(out, "%.4g", v);
    rki_putz(out, unit);
}

static void run_value(const part *p, const rki_labels *l, double value, rki_buf *out);

static void run_humanize(const part *p, const rki_labels *l, double v, rki_buf *out)
{
    static const char *const large[] = { "", "k", "M", "G", "T", "P", "E", "Z", "Y" };
    static const char *const small[] = { "", "m", "u", "n", "p", "f", "a", "z", "y" };
    size_t i = 0;

    (void)p;
    (void)l;
    if (v != 0 && isfinite(v)) {
        bool big = fabs(v) >= 1;

        for (; i < 8 && (big ? fabs(v) >= 1000 : fabs(v) < 1); i++)
            v = big ? v / 1000 : v * 1000;
        four(v, big ? large[i] : small[i], out);
        return;
    }
    four(v, "", out);
}

static void run_humanize1024(const part *p, const rki_labels *l, double v, rki_buf *out)
{
    static const char *const units[] = { "", "ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi" };
    size_t i = 0;

    (void)p;
    (void)l;
    for (; i < 8 && isfinite(v) && fabs(v) > 1 && fabs(v) >= 1024; i++)
        v /= 1024;
    four(v, units[i], out);
}

static void run_percentage(const part *p, const rki_labels *l, double v, rki_buf *out)
{
    (void)p;
    (void)l;
    four(v * 100, "%", out);
}

static void run_duration(const part *p, const rki_labels *l, double v, rki_buf *out)
{
    static const char *const small[] = { "s", "ms", "us", "ns", "ps", "fs", "as", "zs", "ys" };
    size_t i = 0;

    (void)p;
    (void)l;
    if (!isfinite(v)) {
        odd(v, out);
    } else if (fabs(v) >= 1) {
        double whole = fabs(v);
        // Beyond 2^63 a conversion gives the smallest number, and its rests are negative: what Go shows as well.
        int64_t s = whole < 9.2e18 ? (int64_t)whole : INT64_MIN;

        rki_putz(out, v < 0 ? "-" : "");
        if (s / 86400)
            rki_putf(out, "%lldd ", (long long)(s / 86400));
        if (s / 3600)
            rki_putf(out, "%lldh ", (long long)(s / 3600 % 24));
        if (s / 60)
            rki_putf(out, "%lldm %llds", (long long)(s / 60 % 60), (long long)(s % 60));
        else
            rki_putf(out, "%.4gs", whole);
    } else {
        for (; i < 8 && v != 0 && fabs(v) < 1; i++)
            v *= 1000;
        four(v, small[i], out);
    }
}

// ---- texts ----------------------------------------------------------------------------------------------------------

static void run_case(const part *p, const rki_labels *l, rki_buf *out, char first, char last)
{
    size_t from = out->n;

    run_value(p->arg[0], l, 0, out);
    for (size_t i = from; i < out->n; i++)
        if (out->p[i] >= first && out->p[i] <= last)
            out->p[i] = (char)(out->p[i] ^ 32);
}

static void run_upper(const part *p, const rki_labels *l, double v, rki_buf *out)
{
    (void)v;
    run_case(p, l, out, 'a', 'z');
}

static void run_lower(const part *p, const rki_labels *l, double v, rki_buf *out)
{
    (void)v;
    run_case(p, l, out, 'A', 'Z');
}

// One directive of printf at *i, behind its `%`: its length until behind the verb, or 0.
static size_t directive(rkp_str f, size_t i, char *verb)
{
    size_t from = i, digits = 0;

    while (i < f.n && (f.p[i] == '-' || f.p[i] == '+' || f.p[i] == '0'))
        i++;
    for (; i < f.n && f.p[i] >= '0' && f.p[i] <= '9'; i++)
        digits++;
    if (i < f.n && f.p[i] == '.')
        for (i++; i < f.n && f.p[i] >= '0' && f.p[i] <= '9'; i++)
            digits++;
    if (i == f.n || digits > 4 || i - from > 8)
        return 0;
    *verb = f.p[i];
    return i + 1 - from;
}

// A directive taken apart: flags, width, precision.
typedef struct form {
    bool left, plus, zero;
    int precision; // -1: none
    size_t width;
} form;

static form form_of(rkp_str t)
{
    form f = { .precision = -1 };
    size_t i = 0;

    for (; i < t.n && strchr("-+0", t.p[i]); i++) {
        f.left |= t.p[i] == '-';
        f.plus |= t.p[i] == '+';
        f.zero |= t.p[i] == '0';
    }
    for (; i < t.n && t.p[i] != '.'; i++)
        f.width = f.width * 10 + (size_t)(t.p[i] - '0');
    if (i < t.n)
        for (f.precision = 0, i++; i < t.n; i++)
            f.precision = f.precision * 10 + (t.p[i] - '0');
    return f;
}

// Fills what was written from `from` on up to the width, before `at` or behind it all.
static void pad(const form *f, size_t from, size_t at, char with, rki_buf *out)
{
    size_t n = out->n - from, more = f->width > n ? f->width - n : 0;

    if (more == 0 || out->failed || !rki_buf_reserve(out, more))
        return;
    if (f->left)
        at = out->n;
    memmove(out->p + at + more, out->p + at, out->n - at);
    memset(out->p + at, f->left ? ' ' : with, more);
    out->n += more;
}

// With e, f or g; %g and %v without a precision have as many digits as it takes.
static void print_number(rkp_str flags, char verb, double v, rki_buf *out)
{
    form f = form_of(flags);
    int precision = f.precision < 0 ? 6 : f.precision;
    size_t from = out->n, digits;

    if (isnan(v) || isinf(v)) {
        odd(v, out);
        pad(&f, from, from, ' ', out);
        return;
    }
    if (signbit(v) || f.plus)
        rki_putc(out, signbit(v) ? '-' : '+');
    digits = out->n;
    if (verb == 'f')
        rki_putf(out, "%.*f", precision, fabs(v));
    else if (verb == 'e')
        rki_putf(out, "%.*e", precision, fabs(v));
    else if (f.precision >= 0)
        rki_putf(out, "%.*g", precision, fabs(v));
    else
        rki_go_float(fabs(v), out);
    pad(&f, from, f.zero ? digits : from, f.zero ? '0' : ' ', out);
}

static void run_printf(const part *p, const rki_labels *l, double value, rki_buf *out)
{
    rkp_str f = p->arg[0]->text;
    uint32_t arg = 1;

    for (size_t i = 0; i < f.n; i++) {
        char verb = 0;
        size_t n, from = out->n;

        if (f.p[i] != '%') {
            rki_putc(out, f.p[i]);
            continue;
        }
        n = directive(f, i + 1, &verb);
        if (verb == '%') {
            rki_putc(out, '%');
        } else if (p->arg[arg]->kind == K_VALUE) {
            print_number((rkp_str){ f.p + i + 1, n - 1 }, verb, value, out);
            arg++;
        } else {
            form how = form_of((rkp_str){ f.p + i + 1, n - 1 });

            run_value(p->arg[arg++], l, value, out);
            pad(&how, from, from, how.zero ? '0' : ' ', out);
        }
        i += n;
    }
}

static const fn fns[] = {
    { "humanize", true, run_humanize },
    { "humanize1024", true, run_humanize1024 },
    { "humanizeDuration", true, run_duration },
    { "humanizePercentage", true, run_percentage },
    { "printf", false, run_printf },
    { "toLower", false, run_lower },
    { "toUpper", false, run_upper },
    { 0 },
};

static void run_value(const part *p, const rki_labels *l, double value, rki_buf *out)
{
    rkp_str s;

    switch (p->kind) {
    case K_TEXT:
        rki_put(out, p->text.p, p->text.n);
        break;
    case K_LABEL:
        s = rki_labels_find(l, p->text);
        rki_put(out, s.p ? s.p : "", s.n);
        break;
    case K_VALUE:
        rki_go_float(value, out);
        break;
    default:
        p->fn->run(p, l, value, out);
    }
}

void rki_text_tpl_expand(const rki_text_tpl *t, const rki_labels *labels, double value, rki_buf *out)
{
    for (const part *p = t->first; p; p = p->next)
        run_value(p, labels, value, out);
}

// ---- parsing --------------------------------------------------------------------------------------------------------

typedef struct parser {
    rki_source s;
    bool label;
    uint32_t at, end; // of the action at hand
    part **tail;
} parser;

static bool dead(const parser *p)
{
    return p->s.failed || p->s.oom;
}

static part *new_part(parser *p, kind k)
{
    part *t = rki_alloc(p->s.arena, sizeof *t);

    if (!t) {
        p->s.oom = true;
        return NULL;
    }
    t->kind = (uint8_t)k;
    return t;
}

static void *complain(parser *p, uint32_t from, uint32_t to, const char *what)
{
    if (!dead(p))
        rki_say(&p->s, from, to, "alert-template", "%s", what);
    return NULL;
}

static bool word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
           c == '$';
}

static void blanks(parser *p)
{
    while (p->at < p->end && strchr(" \t\n\r", p->s.text.p[p->at]))
        p->at++;
}

static rkp_str word(parser *p)
{
    uint32_t from = p->at;

    while (p->at < p->end && word_char(p->s.text.p[p->at]))
        p->at++;
    return (rkp_str){ p->s.text.p + from, p->at - from };
}

static part *quoted(parser *p)
{
    uint32_t from = p->at;
    char quote = p->s.text.p[p->at++];
    part *t = new_part(p, K_TEXT);
    char *to = t ? rki_alloc(p->s.arena, p->end - from + 1) : NULL;

    if (!to)
        return NULL;
    t->text.p = to;
    for (; p->at < p->end && p->s.text.p[p->at] != quote; p->at++) {
        char c = p->s.text.p[p->at];

        if (c == '\\' && quote == '"') {
            c = ++p->at < p->end ? p->s.text.p[p->at] : ' ';
            if (c != '\\' && c != '"' && c != 'n' && c != 't')
                return complain(p, p->at - 1, p->at + 1,
                                "only \\\\ \\\" \\n and \\t can stand in a text of a template");
            c = c == 'n' ? '\n' : c == 't' ? '\t' : c;
        }
        to[t->text.n++] = c;
    }
    if (p->at >= p->end)
        return complain(p, from, p->end, "the text has no closing quote");
    p->at++;
    return t;
}

static void *not_yet(parser *p, uint32_t from, rkp_str w, const char *hint)
{
    if (dead(p))
        return NULL;
    rki_say(&p->s, from, from + (uint32_t)w.n, "not-supported", "'" RKP_STR_FMT "' in a template is not supported yet",
            RKP_STR_ARG(w));
    if (hint)
        rki_hint(&p->s, "%s", hint);
    return NULL;
}

static const char *after(rkp_str w, const char *prefix)
{
    size_t n = strlen(prefix);

    return w.n > n && memcmp(w.p, prefix, n) == 0 ? w.p + n : NULL;
}

// $labels.x, $value; NULL without a finding when the word is none of these.
static part *variable(parser *p, uint32_t from, rkp_str w)
{
    const char *name = after(w, "$labels.");
    part *t;

    if (!name)
        name = after(w, ".Labels.");
    if (name) {
        t = new_part(p, K_LABEL);
        if (t)
            t->text = (rkp_str){ name, (size_t)(w.p + w.n - name) };
        if (t && !rki_label_name(t->text))
            return complain(p, from, p->at, "this is no name of a label");
        return t;
    }
    if (rkp_str_is(w, "$value") || rkp_str_is(w, ".Value")) {
        if (!p->label)
            return new_part(p, K_VALUE);
        complain(p, from, p->at, "a label must not hold the value: each value would be another alert");
        if (!p->s.oom)
            rki_hint(&p->s, "put it into an annotation");
    }
    return NULL;
}

// What stands in the place of an operand or a function.
static part *operand(parser *p, bool first)
{
    static const char *const refused[] = { "if",
                                           "else",
                                           "end",
                                           "range",
                                           "with",
                                           "define",
                                           "template",
                                           "block",
                                           "query",
                                           "first",
                                           "value",
                                           "label",
                                           "strvalue",
                                           "sortByLabel",
                                           "and",
                                           "or",
                                           "not",
                                           "eq",
                                           "ne",
                                           "lt",
                                           "gt",
                                           "le",
                                           "ge",
                                           "len",
                                           "index",
                                           "print",
                                           "println",
                                           "html",
                                           "urlquery",
                                           "js",
                                           "slice",
                                           "call",
                                           "match",
                                           "title",
                                           "reReplaceAll",
                                           "graphLink",
                                           "tableLink",
                                           "safeHtml",
                                           "args",
                                           "tmpl",
                                           "parseDuration",
                                           "humanizeTimestamp",
                                           "toTime",
                                           "pathPrefix",
                                           "externalURL",
                                           "stripPort",
                                           "stripDomain",
                                           NULL };
    uint32_t from = p->at;
    rkp_str w;
    part *t;

    if (p->at < p->end && (p->s.text.p[p->at] == '"' || p->s.text.p[p->at] == '`'))
        return quoted(p);
    w = word(p);
    t = w.n ? variable(p, from, w) : NULL;
    if (t || dead(p))
        return t;
    for (const fn *f = fns; f->name && first; f++) {
        if (rkp_str_is(w, f->name)) {
            t = new_part(p, K_CALL);
            if (t)
                t->fn = f;
            return t;
        }
    }
    for (const char *const *r = refused; *r; r++)
        if (rkp_str_is(w, *r))
            return not_yet(p, from, w, NULL);
    if (w.n && (w.p[0] == '$' || w.p[0] == '.'))
        return not_yet(p, from, w, "'$labels.NAME' and '$value' are");
    if (w.n && w.p[0] >= '0' && w.p[0] <= '9')
        return not_yet(p, from, w, NULL);
    if (!w.n)
        return complain(p, from, p->at < p->end ? p->at + 1 : p->at, "a label, a value or a function is needed here");
    complain(p, from, p->at, "there is no such function for templates");
    if (!p->s.oom)
        rki_hint(&p->s,
                 "humanize, humanize1024, humanizeDuration, humanizePercentage, printf, toLower and toUpper are");
    return NULL;
}

static bool is_number(const part *t)
{
    return t->kind == K_VALUE;
}

static bool check_printf(parser *p, const part *t, uint32_t from)
{
    rkp_str f = t->n ? t->arg[0]->text : (rkp_str){ NULL, 0 };
    uint32_t arg = 1;

    if (!t->n || t->arg[0]->kind != K_TEXT)
        return complain(p, from, p->at, "printf needs a text in quotes first") != NULL;
    for (size_t i = 0; i < f.n; i++) {
        char verb = 0;
        size_t n;

        if (f.p[i] != '%')
            continue;
        n = directive(f, i + 1, &verb);
        i += n;
        if (n && verb == '%')
            continue;
        if (verb == 'd' && arg < t->n && is_number(t->arg[arg])) {
            complain(p, from, p->at, "%d is for whole numbers, and a value is none");
            rki_hint(&p->s, "%%.0f rounds it");
            return false;
        }
        if (!n || !strchr("efgsv", verb))
            return complain(p, from, p->at, "printf takes %f, %e, %g, %s, %v and %% here") != NULL;
        if (arg >= t->n)
            return complain(p, from, p->at, "printf has fewer values than its text asks for") != NULL;
        if (verb != 'v' && is_number(t->arg[arg]) != (verb != 's'))
            return complain(p, from, p->at,
                            verb == 's' ? "%s is for texts, and this is a number" : "a number is needed, not a text") !=
                   NULL;
        arg++;
    }
    if (arg < t->n)
        return complain(p, from, p->at, "printf has more values than its text asks for") != NULL;
    return true;
}

static bool check_call(parser *p, const part *t, uint32_t from)
{
    if (t->fn->run == run_printf)
        return check_printf(p, t, from);
    if (t->n != 1)
        return complain(p, from, p->at, "the function takes one value") != NULL;
    if (is_number(t->arg[0]) == t->fn->number)
        return true;
    return complain(p, from, p->at, t->fn->number ? "the function needs '$value'" : "the function needs a text") !=
           NULL;
}

// command | command ..
static part *pipeline(parser *p)
{
    part *value = NULL;

    for (;;) {
        uint32_t from;
        part *t, *arg;

        blanks(p);
        from = p->at;
        t = operand(p, true);
        if (!t)
            return NULL;
        for (blanks(p); p->at < p->end && p->s.text.p[p->at] != '|'; blanks(p)) {
            if (t->kind != K_CALL || t->n + 1 >= ARGS)
                return complain(p, p->at, p->at + 1, "'|' or '}}' is needed here");
            arg = operand(p, false);
            if (!arg)
                return NULL;
            t->arg[t->n++] = arg;
        }
        if (value && t->kind != K_CALL)
            return complain(p, from, p->at, "a function is needed behind '|'");
        if (value)
            t->arg[t->n++] = value;
        if (t->kind == K_CALL && !check_call(p, t, from))
            return NULL;
        value = t;
        if (p->at >= p->end)
            return value;
        p->at++;
    }
}

static bool add_part(parser *p, part *t)
{
    if (!t)
        return false;
    *p->tail = t;
    // The list is being made: its links are not const yet.
    p->tail = (part **)(uintptr_t)&t->next;
    return true;
}

static bool add_text(parser *p, uint32_t from, uint32_t to, bool trim_left, bool trim_right)
{
    part *t;

    while (trim_left && from < to && strchr(" \t\n\r", p->s.text.p[from]))
        from++;
    while (trim_right && to > from && strchr(" \t\n\r", p->s.text.p[to - 1]))
        to--;
    if (from == to)
        return true;
    t = new_part(p, K_TEXT);
    if (t)
        t->text = (rkp_str){ p->s.text.p + from, to - from };
    return add_part(p, t);
}

// Where `what` begins at or behind `from`, outside of quotes when it ends an action; the end of the text when nowhere.
static uint32_t seek(const parser *p, uint32_t from, const char *what, bool in_action)
{
    char quote = 0;

    for (uint32_t i = from; i + 1 < p->s.text.n; i++) {
        char c = p->s.text.p[i];

        if (quote) {
            i += c == '\\' && quote == '"';
            quote = c == quote ? 0 : quote;
        } else if (memcmp(p->s.text.p + i, what, 2) == 0) {
            return i;
        } else if (in_action && (c == '"' || c == '`')) {
            quote = c;
        }
    }
    return (uint32_t)p->s.text.n;
}

static void parse_all(parser *p)
{
    uint32_t n = (uint32_t)p->s.text.n, at = 0;
    bool trim = false;

    while (!dead(p)) {
        uint32_t open = seek(p, at, "{{", false), close;
        bool left = open + 3 < n && p->s.text.p[open + 2] == '-' && strchr(" \t\n\r", p->s.text.p[open + 3]);

        if (!add_text(p, at, open, trim, left) || open >= n)
            return;
        close = seek(p, open + 2, "}}", true);
        if (close >= n) {
            complain(p, open, open + 2, "'{{' has no '}}'");
            return;
        }
        p->at = open + 2 + left;
        trim = close >= p->at + 2 && p->s.text.p[close - 1] == '-' && strchr(" \t\n\r", p->s.text.p[close - 2]);
        p->end = close - trim;
        at = close + 2;
        if (p->s.text.n > p->at + 1 && memcmp(p->s.text.p + p->at, "/*", 2) == 0)
            continue; // a comment
        if (!add_part(p, pipeline(p)))
            return;
    }
}

const rki_text_tpl *rki_text_tpl_parse(rki_arena *a, rkp_diags *d, rkp_word text, bool label)
{
    rki_text_tpl *t = rki_alloc(a, sizeof *t);
    parser p = { .s = { .arena = a, .diags = d, .text = text }, .label = label };
    part *first = NULL;

    p.tail = &first;
    if (!t)
        p.s.oom = true;
    else if (text.n > TEXT_MAX)
        complain(&p, 0, 0, "the template is longer than 4 KiB");
    else
        parse_all(&p);
    if (p.s.oom && d)
        rkp_diag(d, RKP_ERROR, text.at, "memory", "not enough memory for the template");
    if (dead(&p))
        return NULL;
    t->first = first;
    return t;
}
