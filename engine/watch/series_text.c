// series_text.c - see series_text.h.
//
// A run of values is added up step by step and not multiplied, as promtool does it: then both have the same last bit.
#include "watch/series_text.h"

#include "watch/promql_lex.h"
#include <rkpipe/num.h>

enum { TEXT = 64 << 10 };

// ---- the series -----------------------------------------------------------------------------------------------------

static bool unexpected(rki_source *s, const rki_token *t, const char *want)
{
    if (t->kind != RKI_T_BAD) // that has been said
        rki_say(s, t->from, t->to > t->from ? t->to : t->from + 1, "series-text", "a series needs %s here", want);
    rki_hint(s, "it is a name and labels: rkpipe_kernel_in_rows_total{kernel=\"read\"}");
    return false;
}

static bool take(rki_source *s, uint32_t *at, rki_token *t, rki_tok kind, const char *want)
{
    if (t->kind != kind)
        return unexpected(s, t, want);
    rki_prom_lex(s, at, t);
    return true;
}

// NAME="value", at t.
static bool label(rki_source *s, uint32_t *at, rki_token *t, rki_series_text *out)
{
    rki_token name = *t;
    rki_label *l = &out->labels[out->n_labels];

    if (!take(s, at, t, RKI_T_NAME, "a label") || !take(s, at, t, RKI_T_ASSIGN, "'='"))
        return false;
    l->name = name.s;
    l->value = t->s;
    if (!rki_label_name(name.s)) {
        rki_say(s, name.from, name.to, "series-text", "'" RKP_STR_FMT "' cannot be the name of a label",
                RKP_STR_ARG(name.s));
        return false;
    }
    for (uint32_t i = 0; i < out->n_labels; i++)
        if (rkp_str_eq(out->labels[i].name, name.s)) {
            rki_say(s, name.from, name.to, "series-text", "the label '" RKP_STR_FMT "' stands here twice",
                    RKP_STR_ARG(name.s));
            return false;
        }
    if (!take(s, at, t, RKI_T_STRING, "a value in quotes"))
        return false;
    if (!rkp_str_is(name.s, "__name__")) {
        out->n_labels += l->value.n != 0; // an empty one is none
        return true;
    }
    if (out->name.p) {
        rki_say(s, name.from, name.to, "series-text", "the name of the series is given twice");
        return false;
    }
    out->name = l->value;
    return true;
}

static bool labels(rki_source *s, uint32_t *at, rki_token *t, rki_series_text *out)
{
    rki_prom_lex(s, at, t);
    while (t->kind != RKI_T_RBRACE) {
        if (out->n_labels == RKI_LABELS_MAX - 1) {
            rki_say(s, t->from, t->to, "series-text", "a series has at most %d labels", RKI_LABELS_MAX - 1);
            return false;
        }
        if (!label(s, at, t, out))
            return false;
        if (t->kind == RKI_T_COMMA)
            rki_prom_lex(s, at, t);
        else if (t->kind != RKI_T_RBRACE)
            return unexpected(s, t, "'}'");
    }
    rki_prom_lex(s, at, t);
    return true;
}

static bool parse_series(rki_source *s, rki_series_text *out)
{
    uint32_t at = 0;
    rki_token t;

    out->labels = rki_array(s->arena, RKI_LABELS_MAX, sizeof *out->labels);
    if (!out->labels)
        return false;
    rki_prom_lex(s, &at, &t);
    if (t.kind == RKI_T_NAME) {
        out->name = t.s;
        rki_prom_lex(s, &at, &t);
    }
    if (t.kind == RKI_T_LBRACE && !labels(s, &at, &t, out))
        return false;
    if (t.kind != RKI_T_END)
        return unexpected(s, &t, out->name.p ? "its end" : "a name");
    if (out->name.p && rki_metric_name(out->name))
        return true;
    rki_say(s, 0, (uint32_t)s->text.n, "series-text", "the series has no name");
    rki_hint(s, "rkpipe list metrics shows those that there are");
    return false;
}

// ---- values ---------------------------------------------------------------------------------------------------------

static int peek(const rki_source *s, uint32_t at)
{
    return at < s->text.n ? (unsigned char)s->text.p[at] : -1;
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_space(int c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_word(rkp_str s, const char *word)
{
    for (size_t i = 0; i < s.n; i++)
        if (!word[i] || (s.p[i] | 0x20) != word[i])
            return false;
    return word[s.n] == '\0';
}

// Digits, with a point and an exponent: no sign, no hexadecimal, in which an x would be one of two things.
static bool digits(rki_source *s, uint32_t *at, double *v)
{
    uint32_t from = *at, to = from;

    while (is_digit(peek(s, to)))
        to++;
    if (peek(s, to) == '.')
        to++;
    while (is_digit(peek(s, to)))
        to++;
    if ((peek(s, to) | 0x20) == 'e') {
        to++;
        to += peek(s, to) == '+' || peek(s, to) == '-';
        while (is_digit(peek(s, to)))
            to++;
    }
    *at = to;
    if (to - from > 1 && s->text.p[from] == '0' && is_digit(s->text.p[from + 1]))
        return false; // octal, in promtool
    return (!is_letter(peek(s, to)) || peek(s, to) == 'x') && rkp_parse_f64(s->text.p + from, to - from, v);
}

// A number without its sign, also as a word.
static bool number(rki_source *s, uint32_t *at, double *v)
{
    uint32_t from = *at, to = from;
    rkp_str word;

    if (is_digit(peek(s, from)) || peek(s, from) == '.')
        return digits(s, at, v);
    while (is_letter(peek(s, to)) || is_digit(peek(s, to)))
        to++;
    word = (rkp_str){ s->text.p + from, to - from };
    *at = to;
    *v = is_word(word, "nan") ? (double)NAN : (double)INFINITY;
    return is_word(word, "nan") || is_word(word, "inf");
}

static bool signed_number(rki_source *s, uint32_t *at, double *v)
{
    bool minus = peek(s, *at) == '-';

    *at += minus || peek(s, *at) == '+';
    if (!number(s, at, v))
        return false;
    *v = minus ? -*v : *v;
    return true;
}

// xN behind a value.
static bool times(rki_source *s, uint32_t *at, uint64_t *n)
{
    uint32_t from = *at + 1, to = from;

    while (is_digit(peek(s, to)))
        to++;
    *at = to;
    return rkp_parse_u64(s->text.p + from, to - from, n);
}

static bool item(rki_source *s, uint32_t *at, rki_series_item *out, uint64_t *n)
{
    int c = peek(s, *at);

    *out = (rki_series_item){ 0 };
    *n = 0;
    if (c == '_') {
        ++*at;
        out->first = rki_f64_of(RKI_GAP_BITS);
        *n = 1;
        return peek(s, *at) != 'x' || times(s, at, n);
    }
    if (s->text.n - *at >= 5 && memcmp(s->text.p + *at, "stale", 5) == 0 && !is_letter(peek(s, *at + 5))) {
        *at += 5;
        out->first = rki_f64_of(RKI_STALE_BITS);
        *n = 1;
        return true;
    }
    if (!signed_number(s, at, &out->first))
        return false;
    c = peek(s, *at);
    if ((c == '+' || c == '-') && (!signed_number(s, at, &out->step) || peek(s, *at) != 'x'))
        return false;
    if (peek(s, *at) == 'x' && !times(s, at, n))
        return false;
    return ++*n != 0;
}

static void refuse(rki_source *s, uint32_t from, uint32_t at)
{
    uint32_t to = at > from ? at : from + 1;

    while (to < s->text.n && !is_space(peek(s, to)))
        to++;
    rki_say(s, from, to, "series-text", "'%.*s' is no value of a series", (int)(to - from < 60 ? to - from : 60),
            s->text.p + from);
    if (memchr(s->text.p + from, '{', to - from))
        rki_hint(s, "histograms are their series: .._bucket{le=\"..\"}, .._sum and .._count");
    else
        rki_hint(s, "5, 0+1x10 (0, 1, .., 10), 3x4 (five times 3), _ (no sample), _x3, stale");
}

static bool parse_values(rki_source *s, rki_series_text *out)
{
    rki_series_item *v = rki_array(s->arena, s->text.n / 2 + 1, sizeof *v);
    uint64_t n;

    if (!v)
        return false;
    for (uint32_t at = 0, from;;) {
        while (is_space(peek(s, at)))
            at++;
        if (peek(s, at) < 0)
            break;
        from = at;
        if (!item(s, &at, &v[out->n_items], &n) || (peek(s, at) >= 0 && !is_space(peek(s, at)))) {
            refuse(s, from, at);
            return false;
        }
        if (n > RKI_SERIES_VALUES - out->n) {
            rki_say(s, from, at, "series-text", "a series has at most %d values", RKI_SERIES_VALUES);
            return false;
        }
        v[out->n_items].n = (uint32_t)n;
        out->n += (uint32_t)n;
        out->n_items += n != 0;
    }
    out->items = v;
    return true;
}

bool rki_series_text_parse(rki_arena *a, rkp_diags *d, rkp_word series, rkp_word values, rki_series_text *out)
{
    rki_source s = { .arena = a, .diags = d, .text = series }, v = { .arena = a, .diags = d, .text = values };
    rki_labels sorted;
    bool ok;

    *out = (rki_series_text){ .at = series.at };
    if (series.n > TEXT || values.n > TEXT) {
        rki_say(series.n > TEXT ? &s : &v, 0, 0, "series-text", "the text is longer than 64 KiB");
        return false;
    }
    ok = parse_series(&s, out);
    if (ok)
        ok = rki_labels_make(out->labels, out->n_labels, &sorted);
    return parse_values(&v, out) && ok;
}

bool rki_series_text_same(const rki_series_text *a, const rki_series_text *b)
{
    bool same = rkp_str_eq(a->name, b->name) && a->n_labels == b->n_labels;

    for (uint32_t i = 0; same && i < a->n_labels; i++)
        same = rkp_str_eq(a->labels[i].name, b->labels[i].name) && rkp_str_eq(a->labels[i].value, b->labels[i].value);
    return same;
}

bool rki_series_text_next(const rki_series_text *t, rki_series_walk *w, double *v)
{
    const rki_series_item *i;

    if (w->item == t->n_items)
        return false;
    i = &t->items[w->item];
    if (w->at == 0)
        w->v = i->first;
    *v = w->v;
    if (i->step != 0) // what marks a gap must not be touched
        w->v += i->step;
    if (++w->at == i->n) {
        w->item++;
        w->at = 0;
    }
    return true;
}
