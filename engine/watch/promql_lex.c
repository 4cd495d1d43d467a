// promql_lex.c - PromQL text to tokens: names, numbers, durations, strings with Go's escapes, signs.
#include "watch/promql_lex.h"

#include "base/hex.h"
#include "base/utf8.h"
#include "watch/promql_tree.h"
#include <rkpipe/num.h>
#include <strings.h>

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static bool is_alpha(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static int peek(const rki_source *s, uint32_t at)
{
    return at < s->text.n ? (unsigned char)s->text.p[at] : -1;
}

bool rki_token_is(const rki_token *t, const char *word)
{
    return t->kind == RKI_T_NAME && t->s.n == strlen(word) && strncasecmp(t->s.p, word, t->s.n) == 0;
}

// ---- numbers and durations ------------------------------------------------------------------------------------------

static const struct {
    const char *name;
    int64_t ms;
} units[] = { { "y", 365 * INT64_C(86400000) },
              { "w", 7 * INT64_C(86400000) },
              { "d", INT64_C(86400000) },
              { "h", 3600000 },
              { "m", 60000 },
              { "s", 1000 },
              { "ms", 1 } };
enum { N_UNITS = sizeof units / sizeof units[0] };

bool rki_prom_duration(rkp_str s, int64_t *ms)
{
    size_t i = 0, unit = 0;
    int64_t sum = 0;

    if (s.n == 0)
        return false;
    while (i < s.n) {
        size_t from = i, word;
        uint64_t v;

        while (i < s.n && is_digit(s.p[i]))
            i++;
        word = i;
        while (i < s.n && is_alpha(s.p[i]))
            i++;
        while (unit < N_UNITS && !rkp_str_is((rkp_str){ s.p + word, i - word }, units[unit].name))
            unit++;
        if (unit == N_UNITS || word == from || !rkp_parse_u64(s.p + from, word - from, &v) || v > 1u << 24)
            return false; // 2^24 years are as good as for ever
        sum += (int64_t)v * units[unit++].ms;
    }
    *ms = sum;
    return true;
}

void rki_prom_print_duration(int64_t ms, rki_buf *out)
{
    if (ms == 0)
        rki_putz(out, "0s");
    for (size_t i = 0; i < N_UNITS; i++) {
        // As Prometheus: years, weeks and days only where nothing is left over.
        if (ms < units[i].ms || (i < 2 && ms % units[i].ms))
            continue;
        rki_putf(out, "%lld%s", (long long)(ms / units[i].ms), units[i].name);
        ms %= units[i].ms;
    }
}

static void bad(rki_token *t, uint32_t from, uint32_t to)
{
    t->kind = RKI_T_BAD;
    t->from = from;
    t->to = to;
}

static bool read_number(rkp_str text, double *f)
{
    uint64_t v = 0;

    if (text.n > 2 && text.p[0] == '0' && (text.p[1] | 32) == 'x') {
        for (size_t i = 2; i < text.n; i++) {
            int d = rki_hex_digit((unsigned char)text.p[i]);

            if (d < 0 || v >> 59)
                return false;
            v = v << 4 | (uint64_t)d;
        }
        *f = (double)v;
        return true;
    }
    return rkp_parse_f64(text.p, text.n, f);
}

static void lex_number(rki_source *s, uint32_t *at, rki_token *t)
{
    uint32_t from = *at, to = from;
    bool exponent;
    rkp_str text;

    for (;; to++) {
        int c = peek(s, to);

        exponent = to > from && (peek(s, to - 1) | 32) == 'e' && (peek(s, from + 1) | 32) != 'x';
        if (!is_alpha(c) && !is_digit(c) && c != '.' && !((c == '+' || c == '-') && exponent))
            break;
    }
    text = (rkp_str){ s->text.p + from, to - from };
    *at = to;
    t->from = from;
    t->to = to;
    t->s = text;
    if (rki_prom_duration(text, &t->ms)) {
        t->kind = RKI_T_DURATION;
        return;
    }
    t->kind = RKI_T_NUMBER;
    if (text.n > 1 && text.p[0] == '0' && is_digit(text.p[1])) {
        rki_say(s, from, to, "promql-syntax", "the number '" RKP_STR_FMT "' has a leading zero", RKP_STR_ARG(text));
        bad(t, from, to);
    } else if (!read_number(text, &t->f)) {
        rki_say(s, from, to, "promql-syntax", "'" RKP_STR_FMT "' is no number and no duration", RKP_STR_ARG(text));
        rki_hint(s, "durations are 500ms, 30s, 5m, 1h30m");
        bad(t, from, to);
    }
}

// ---- strings --------------------------------------------------------------------------------------------------------

// Digits of \x41, \u00e9, \U0001f600, \101 from p; the number of bytes read, or 0.
static uint32_t code_of(const rki_source *s, uint32_t at, uint32_t base, uint32_t digits, uint32_t *v)
{
    *v = 0;
    for (uint32_t i = 0; i < digits; i++) {
        int d = rki_hex_digit(peek(s, at + i));

        if (d < 0 || (uint32_t)d >= base)
            return 0;
        *v = *v * base + (uint32_t)d;
    }
    return digits;
}

// One escape at `at` (behind the backslash): writes it to *to and returns its length, 0 when it is none.
static uint32_t escape(const rki_source *s, uint32_t at, int quote, char **to)
{
    static const char names[] = "abfnrtv\\", values[] = "\a\b\f\n\r\t\v\\";
    int c = peek(s, at);
    const char *name = c > 0 ? strchr(names, c) : NULL;
    uint32_t v, n;

    if (c == quote || name) {
        *(*to)++ = name ? values[name - names] : (char)c;
        return 1;
    }
    if (c == 'x' || (c >= '0' && c <= '7')) {
        n = c == 'x' ? code_of(s, at + 1, 16, 2, &v) : code_of(s, at, 8, 3, &v);
        if (n == 0 || v > 255)
            return 0;
        *(*to)++ = (char)v;
        return n + (c == 'x');
    }
    if (c == 'u' || c == 'U') {
        n = code_of(s, at + 1, 16, c == 'u' ? 4 : 8, &v);
        if (n == 0 || v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
            return 0;
        *to += rki_utf8_put(*to, v);
        return n + 1;
    }
    return 0;
}

static void lex_string(rki_source *s, uint32_t *at, rki_token *t)
{
    uint32_t from = *at, i = from + 1;
    int quote = peek(s, from), c;
    char *text = rki_alloc(s->arena, s->text.n - from + 1), *to = text;

    t->kind = RKI_T_STRING;
    t->from = from;
    if (!text) {
        s->oom = true;
        bad(t, from, from + 1);
        return;
    }
    for (; (c = peek(s, i)) != quote; i++) {
        uint32_t n;

        if (c < 0 || (c == '\n' && quote != '`')) {
            rki_say(s, from, i, "promql-syntax", "the string has no closing %c", quote);
            bad(t, from, i);
            *at = i;
            return;
        }
        if (c != '\\' || quote == '`') {
            *to++ = (char)c;
            continue;
        }
        n = escape(s, i + 1, quote, &to);
        if (n == 0) {
            rki_say(s, i, i + 2, "promql-syntax", "there is no such escape in a string");
            rki_hint(s, "a backslash is written twice, or the string stands in backticks");
            bad(t, from, i);
            return;
        }
        i += n;
    }
    t->to = *at = i + 1;
    t->s = (rkp_str){ text, (size_t)(to - text) };
}

// ---- signs ----------------------------------------------------------------------------------------------------------

static const struct {
    char text[3];
    uint8_t kind, op;
} signs[] = {
    // longer ones first
    { "==", RKI_T_OP, RKI_PROM_EQ },
    { "!=", RKI_T_OP, RKI_PROM_NE },
    { "=~", RKI_T_RE, 0 },
    { "!~", RKI_T_NRE, 0 },
    { "<=", RKI_T_OP, RKI_PROM_LE },
    { ">=", RKI_T_OP, RKI_PROM_GE },
    { "<", RKI_T_OP, RKI_PROM_LT },
    { ">", RKI_T_OP, RKI_PROM_GT },
    { "=", RKI_T_ASSIGN, 0 },
    { "+", RKI_T_OP, RKI_PROM_PLUS },
    { "-", RKI_T_OP, RKI_PROM_MINUS },
    { "*", RKI_T_OP, RKI_PROM_TIMES },
    { "/", RKI_T_OP, RKI_PROM_DIVIDE },
    { "%", RKI_T_OP, RKI_PROM_MODULO },
    { "^", RKI_T_OP, RKI_PROM_POWER },
    { "(", RKI_T_LP, 0 },
    { ")", RKI_T_RP, 0 },
    { "{", RKI_T_LBRACE, 0 },
    { "}", RKI_T_RBRACE, 0 },
    { "[", RKI_T_LBRACKET, 0 },
    { "]", RKI_T_RBRACKET, 0 },
    { ",", RKI_T_COMMA, 0 },
    { ":", RKI_T_COLON, 0 },
    { "@", RKI_T_AT, 0 },
};

static void lex_sign(rki_source *s, uint32_t *at, rki_token *t)
{
    uint32_t from = *at;

    t->from = from;
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
        size_t n = strlen(signs[i].text);

        if (s->text.n - from < n || memcmp(s->text.p + from, signs[i].text, n) != 0)
            continue;
        t->kind = signs[i].kind;
        t->op = signs[i].op;
        t->to = *at = from + (uint32_t)n;
        return;
    }
    t->to = from + 1;
    while (t->to < s->text.n && ((unsigned char)s->text.p[t->to] & 0xc0) == 0x80)
        t->to++;
    rki_say(s, from, t->to, "promql-syntax", "'%.*s' means nothing here", (int)(t->to - from), s->text.p + from);
    if (s->text.p[from] == '&' || s->text.p[from] == '|')
        rki_hint(s, "the words are 'and', 'or' and 'unless'");
    else if (s->text.p[from] == '!')
        rki_hint(s, "'a unless b' is what is in a and not in b; '!=' compares");
    else if (s->text.p[from] == '$')
        rki_hint(s, "a variable cannot change an expression; '$labels' and '$value' are for annotations");
    bad(t, from, t->to);
}

void rki_prom_lex(rki_source *s, uint32_t *at, rki_token *t)
{
    int c;

    for (;; ++*at) {
        c = peek(s, *at);
        if (c == '#') {
            while (peek(s, *at) >= 0 && peek(s, *at) != '\n')
                ++*at;
            c = peek(s, *at);
        }
        if (c != ' ' && c != '\t' && c != '\n' && c != '\r')
            break;
    }
    *t = (rki_token){ .from = *at, .to = *at };
    if (c < 0)
        return;
    if (is_digit(c) || (c == '.' && is_digit(peek(s, *at + 1)))) {
        lex_number(s, at, t);
    } else if (c == '"' || c == '\'' || c == '`') {
        lex_string(s, at, t);
    } else if (is_alpha(c) || (c == ':' && is_alpha(peek(s, *at + 1)))) {
        uint32_t to = *at + 1;

        while (is_alpha(peek(s, to)) || is_digit(peek(s, to)) || peek(s, to) == ':')
            to++;
        t->kind = RKI_T_NAME;
        t->s = (rkp_str){ s->text.p + *at, to - *at };
        t->to = *at = to;
    } else {
        lex_sign(s, at, t);
    }
}
