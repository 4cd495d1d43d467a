// parse.c - text to a tree of names: a lexer that makes a token at a time, and a parser that climbs precedences.
//
//   lowest   c ? a : b        to the right
//            || or            any number of parts in one node
//            && and           the same
//            not
//            == != < <= > >= in =~    not in a row
//            ??               any number of parts in one node
//            + -
//            * / // %
//   highest  - + !
//
// `??` binds tighter than comparisons, so `x ?? 0 > 5` means what it looks like.  The first syntax error ends the
// parse: what follows it would be guesses.  An `=` is reported and taken for `==`, because then there is no doubt.
#include "expr/program.h"

#include "base/hex.h"
#include "base/utf8.h"
#include <rkpipe/num.h>
#include <stdarg.h>
#include <stdio.h>

typedef enum token_kind {
    T_END,
    T_INT,
    T_FLOAT,
    T_STR,
    T_NAME,   // bare
    T_QUOTED, // in backticks
    T_LP,
    T_RP,
    T_COMMA,
    T_DOT,
    T_QUESTION,
    T_COLON,
    T_COALESCE,
    T_OR,
    T_AND,
    T_BANG,
    T_NOT,
    T_IN,
    T_EQ,
    T_NE,
    T_LT,
    T_LE,
    T_GT,
    T_GE,
    T_MATCH,
    T_PLUS,
    T_MINUS,
    T_STAR,
    T_SLASH,
    T_IDIV,
    T_PERCENT,
    T_TRUE,
    T_FALSE,
    T_NULL,
    T_BAD, // reported
} token_kind;

typedef struct token {
    token_kind kind;
    uint32_t from, to;
    uint64_t u;
    double f;
    rkp_str s; // a name, or a string without its escapes
} token;

typedef struct parser {
    rki_source *s;
    token t; // at hand
    uint32_t at;
    uint32_t depth;
} parser;

// ---- places and findings --------------------------------------------------------------------------------------------

static uint32_t code_points(const char *p, uint32_t from, uint32_t to)
{
    uint32_t n = 0;

    for (uint32_t i = from; i < to; i++)
        n += ((unsigned char)p[i] & 0xc0) != 0x80;
    return n;
}

rkp_loc rki_place(const rki_source *s, uint32_t from, uint32_t to)
{
    rkp_loc at = s->text.at;

    // The lines of a block or folded scalar lost their indentation: the scalar is the place.
    if (at.line == 0 || memchr(s->text.p, '\n', s->text.n))
        return at;
    at.col += code_points(s->text.p, 0, from);
    at.len = code_points(s->text.p, from, to);
    return at;
}

void rki_say(rki_source *s, uint32_t from, uint32_t to, const char *code, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    s->failed = true;
    if (!s->diags)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (memchr(s->text.p, '\n', s->text.n)) {
        uint32_t line = 1, start = 0;

        for (uint32_t i = 0; i < from; i++) {
            if (s->text.p[i] == '\n') {
                line++;
                start = i + 1;
            }
        }
        rkp_diag(s->diags, RKP_ERROR, rki_place(s, from, to), code, "%s (line %u, column %u of the expression)", text,
                 line, code_points(s->text.p, start, from) + 1);
    } else {
        rkp_diag(s->diags, RKP_ERROR, rki_place(s, from, to), code, "%s", text);
    }
}

void rki_hint(rki_source *s, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    if (!s->diags)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    rkp_diag_hint(s->diags, "%s", text);
}

// ---- nodes ----------------------------------------------------------------------------------------------------------

rki_node *rki_expr_node(rki_source *s, rki_op op, uint32_t n_args)
{
    rki_node *n;

    if (s->failed && s->nodes > RKI_EXPR_NODES)
        return NULL;
    if (s->nodes++ >= RKI_EXPR_NODES) {
        rki_say(s, 0, (uint32_t)s->text.n, "expr-limit", "the expression has more than %d operations", RKI_EXPR_NODES);
        return NULL;
    }
    n = rki_alloc(s->arena, sizeof *n);
    if (n && n_args)
        n->arg = rki_array(s->arena, n_args, sizeof *n->arg);
    if (!n || (n_args && !n->arg)) {
        s->oom = true;
        return NULL;
    }
    n->op = (uint8_t)op;
    n->kind = RKI_NULL;
    n->n = n_args;
    n->height = 1;
    n->slot = UINT32_MAX;
    return n;
}

void rki_expr_arg(rki_node *n, uint32_t i, rki_node *arg)
{
    n->arg[i] = arg;
    if (arg->height >= n->height)
        n->height = (uint16_t)(arg->height + 1);
}

// ---- lexer ----------------------------------------------------------------------------------------------------------

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static bool starts_name(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80;
}

static bool in_name(int c)
{
    return starts_name(c) || is_digit(c);
}

static int peek(const parser *p, uint32_t at)
{
    return at < p->s->text.n ? (unsigned char)p->s->text.p[at] : -1;
}

static rkp_str slice(const parser *p, uint32_t from, uint32_t to)
{
    return (rkp_str){ p->s->text.p + from, to - from };
}

static void bad(parser *p, uint32_t from, uint32_t to)
{
    p->t.kind = T_BAD;
    p->t.from = from;
    p->t.to = to;
}

static void lex_number(parser *p)
{
    uint32_t from = p->at, at = from;
    bool whole = true;
    rkp_str text;

    while (is_digit(peek(p, at)))
        at++;
    if (peek(p, at) == '.' && is_digit(peek(p, at + 1))) {
        whole = false;
        at++;
        while (is_digit(peek(p, at)))
            at++;
    }
    if ((peek(p, at) == 'e' || peek(p, at) == 'E') &&
        (is_digit(peek(p, at + 1)) ||
         ((peek(p, at + 1) == '+' || peek(p, at + 1) == '-') && is_digit(peek(p, at + 2))))) {
        whole = false;
        at += 2;
        while (is_digit(peek(p, at)))
            at++;
    }
    text = slice(p, from, at);
    p->t.from = from;
    p->t.to = at;
    if (in_name(peek(p, at)) || (peek(p, at) == '.' && !in_name(peek(p, at + 1)))) {
        while (in_name(peek(p, at)) || peek(p, at) == '.')
            at++;
        text = slice(p, from, at);
        rki_say(p->s, from, at, "expr-literal", "'" RKP_STR_FMT "' is not a number", RKP_STR_ARG(text));
        if (memchr(text.p, '_', text.n))
            rki_hint(p->s, "write the digits without '_'");
        else if (text.n > 1 && text.p[0] == '0' && (text.p[1] | 32) == 'x')
            rki_hint(p->s, "numbers are decimal");
        else if (text.p[text.n - 1] == '.')
            rki_hint(p->s, "write a digit after the point");
        bad(p, from, at);
    } else if (text.n > 1 && text.p[0] == '0' && is_digit(text.p[1])) {
        rki_say(p->s, from, at, "expr-literal", "the number '" RKP_STR_FMT "' has a leading zero", RKP_STR_ARG(text));
        bad(p, from, at);
    } else if (whole) {
        p->t.kind = T_INT;
        if (!rkp_parse_u64(text.p, text.n, &p->t.u)) {
            rki_say(p->s, from, at, "expr-literal", "'" RKP_STR_FMT "' does not fit in 64 bits", RKP_STR_ARG(text));
            rki_hint(p->s, "write it with a point or an exponent for a float");
            bad(p, from, at);
        }
    } else {
        p->t.kind = T_FLOAT;
        if (!rkp_parse_f64(text.p, text.n, &p->t.f) || p->t.f > 1.7976931348623157e308) {
            rki_say(p->s, from, at, "expr-literal", "'" RKP_STR_FMT "' is too large for a float", RKP_STR_ARG(text));
            bad(p, from, at);
        }
    }
    p->at = at;
}

// \u{1f600}: reads from the `{` and returns the place after the `}`, or 0.
static uint32_t lex_code_point(const parser *p, uint32_t at, uint32_t *cp)
{
    uint32_t v = 0, digits = 0;

    if (peek(p, at) != '{')
        return 0;
    for (at++;; at++) {
        int c = peek(p, at), d = rki_hex_digit(c);

        if (c == '}')
            break;
        if (d < 0)
            return 0;
        v = v << 4 | (uint32_t)d;
        if (++digits > 6)
            return 0;
    }
    if (digits == 0 || v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
        return 0;
    *cp = v;
    return at + 1;
}

static void lex_string(parser *p, bool raw)
{
    uint32_t from = p->at, at = from + (raw ? 1 : 0), cp = 0, end;
    int quote = peek(p, at), c;
    char *to;
    size_t n = 0;

    for (end = at + 1; (c = peek(p, end)) != quote; end++) {
        if (c < 0) {
            rki_say(p->s, from, (uint32_t)p->s->text.n, "expr-syntax", "the string has no closing %c", quote);
            bad(p, from, end);
            p->at = end;
            return;
        }
        if (c == '\\' && !raw && peek(p, end + 1) >= 0)
            end++;
    }
    to = rki_alloc(p->s->arena, (size_t)(end - at)); // the escapes are longer than what they stand for
    if (!to) {
        p->s->oom = true;
        bad(p, from, end);
        return;
    }
    p->t.kind = T_STR;
    p->t.from = from;
    p->t.to = p->at = end + 1;
    for (at++; at < end; at++) {
        uint32_t next;

        c = peek(p, at);
        if (c != '\\' || raw) {
            to[n++] = (char)c;
            continue;
        }
        switch (c = peek(p, ++at)) {
        case 'n':
            to[n++] = '\n';
            break;
        case 't':
            to[n++] = '\t';
            break;
        case 'r':
            to[n++] = '\r';
            break;
        case '\\':
        case '\'':
        case '"':
            to[n++] = (char)c;
            break;
        case 'u':
            next = lex_code_point(p, at + 1, &cp);
            if (next) {
                n += rki_utf8_put(to + n, cp);
                at = next - 1;
                break;
            }
            rki_say(p->s, at - 1, at + 1, "expr-literal", "'\\u' needs a code point such as \\u{e9}");
            bad(p, from, end + 1);
            return;
        default:
            next = at + 1;
            while (next < end && ((unsigned char)peek(p, next) & 0xc0) == 0x80)
                next++;
            rki_say(p->s, at - 1, next, "expr-literal", "'\\" RKP_STR_FMT "' is no escape",
                    RKP_STR_ARG(slice(p, at, next)));
            rki_hint(p->s, "write '\\\\' for a backslash, or r'..' for text without escapes");
            bad(p, from, end + 1);
            return;
        }
    }
    p->t.s = (rkp_str){ to, n };
}

static void lex_backticks(parser *p)
{
    uint32_t from = p->at, at = from + 1;
    char *to = NULL;
    size_t n = 0;

    for (;; at++) {
        int c = peek(p, at);

        if (c < 0) {
            rki_say(p->s, from, at, "expr-syntax", "the name has no closing `");
            bad(p, from, at);
            p->at = at;
            return;
        }
        if (c == '`' && peek(p, at + 1) != '`')
            break;
        at += c == '`';
    }
    to = rki_alloc(p->s->arena, at - from);
    if (!to) {
        p->s->oom = true;
        bad(p, from, at);
        return;
    }
    for (uint32_t i = from + 1; i < at; i++) {
        to[n++] = p->s->text.p[i];
        i += p->s->text.p[i] == '`';
    }
    p->t.kind = T_QUOTED;
    p->t.from = from;
    p->t.to = p->at = at + 1;
    p->t.s = (rkp_str){ to, n };
    if (n == 0) {
        rki_say(p->s, from, at + 1, "expr-syntax", "the name in backticks is empty");
        bad(p, from, at + 1);
    }
}

static void lex_name(parser *p)
{
    static const struct {
        const char *word;
        token_kind kind;
    } keywords[] = { { "and", T_AND },   { "or", T_OR },       { "not", T_NOT },  { "in", T_IN },
                     { "true", T_TRUE }, { "false", T_FALSE }, { "null", T_NULL } };
    uint32_t at = p->at;

    while (in_name(peek(p, at)))
        at++;
    p->t.kind = T_NAME;
    p->t.from = p->at;
    p->t.to = at;
    p->t.s = slice(p, p->at, at);
    p->at = at;
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++)
        if (rkp_str_is(p->t.s, keywords[i].word))
            p->t.kind = keywords[i].kind;
}

// What is written in other languages.
static bool lex_foreign(parser *p)
{
    static const struct {
        const char *text, *hint;
        token_kind as; // T_BAD: nothing can be made of it
    } words[] = {
        { "===", "write '==' to compare", T_EQ },
        { "!==", "write '!=' to compare", T_NE },
        { "<>", "write '!=' to compare", T_NE },
        { "**", "write pow(x, y)", T_BAD },
        { "^", "write pow(x, y)", T_BAD },
        { "!~", "write !(x =~ 'regex')", T_BAD },
        { "=>", "write '>='", T_GE },
        { "=<", "write '<='", T_LE },
        { "=", "write '==' to compare", T_EQ },
        { "&", "write '&&' or 'and'", T_BAD },
        { "|", "write '||' or 'or'", T_BAD },
        { "[", "write json_get(text, 'a[0]') for a part of JSON text", T_BAD },
        { "]", NULL, T_BAD },
        { "{", NULL, T_BAD },
        { "}", NULL, T_BAD },
    };

    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        uint32_t n = (uint32_t)strlen(words[i].text);

        if (p->s->text.n - p->at < n || memcmp(p->s->text.p + p->at, words[i].text, n) != 0)
            continue;
        rki_say(p->s, p->at, p->at + n, "expr-syntax", "'%s' is no operator", words[i].text);
        if (words[i].hint)
            rki_hint(p->s, "%s", words[i].hint);
        p->t.kind = words[i].as;
        p->t.from = p->at;
        p->t.to = p->at += n;
        return true;
    }
    return false;
}

static void lex_interpolation(parser *p)
{
    uint32_t from = p->at, at = from + 2, colon = 0;

    while (peek(p, at) >= 0 && peek(p, at) != '}') {
        if (peek(p, at) == ':' && !colon)
            colon = at;
        at++;
    }
    rki_say(p->s, from, at + (peek(p, at) == '}'), "expr-syntax", "'${..}' is not allowed in an expression");
    if (colon && rkp_str_is(slice(p, from + 2, colon), "var"))
        rki_hint(p->s, "write var." RKP_STR_FMT, RKP_STR_ARG(slice(p, colon + 1, at)));
    else
        rki_hint(p->s, "write var.x for a variable of the pipeline");
    bad(p, from, at);
}

static void lex_other(parser *p)
{
    uint32_t cp, n = (uint32_t)rki_utf8_next(p->s->text.p + p->at, p->s->text.p + p->s->text.n, &cp);

    if (rki_utf8_plain(cp))
        rki_say(p->s, p->at, p->at + n, "expr-syntax", "unexpected '" RKP_STR_FMT "'",
                RKP_STR_ARG(slice(p, p->at, p->at + n)));
    else
        rki_say(p->s, p->at, p->at + n, "expr-syntax", "unexpected character U+%04X", cp);
    bad(p, p->at, p->at + n);
}

static void next(parser *p)
{
    static const struct {
        char text[3];
        token_kind kind;
    } marks[] = {
        { "??", T_COALESCE }, { "||", T_OR },   { "&&", T_AND },    { "==", T_EQ },      { "!=", T_NE },
        { "<=", T_LE },       { ">=", T_GE },   { "=~", T_MATCH },  { "//", T_IDIV },    { "(", T_LP },
        { ")", T_RP },        { ",", T_COMMA }, { ".", T_DOT },     { "?", T_QUESTION }, { ":", T_COLON },
        { "!", T_BANG },      { "<", T_LT },    { ">", T_GT },      { "+", T_PLUS },     { "-", T_MINUS },
        { "*", T_STAR },      { "/", T_SLASH }, { "%", T_PERCENT },
    };
    // The foreign ones that begin like ours.
    static const char *const longer[] = { "===", "!==", "<>", "**", "!~" };
    int c;

    if (p->t.kind == T_BAD)
        return;
    while ((c = peek(p, p->at)) == ' ' || c == '\t' || c == '\n' || c == '\r')
        p->at++;
    p->t.from = p->t.to = p->at;
    if (c < 0) {
        p->t.kind = T_END;
        return;
    }
    if (is_digit(c)) {
        lex_number(p);
        return;
    }
    if (c == '\'' || c == '"') {
        lex_string(p, false);
        return;
    }
    if (c == 'r' && (peek(p, p->at + 1) == '\'' || peek(p, p->at + 1) == '"')) {
        lex_string(p, true);
        return;
    }
    if (c == '`') {
        lex_backticks(p);
        return;
    }
    if (starts_name(c)) {
        lex_name(p);
        return;
    }
    if (c == '$' && peek(p, p->at + 1) == '{') {
        lex_interpolation(p);
        return;
    }
    if (c == '.' && is_digit(peek(p, p->at + 1))) {
        rki_say(p->s, p->at, p->at + 1, "expr-literal", "a number needs a digit before the point");
        rki_hint(p->s, "write 0.5");
        bad(p, p->at, p->at + 1);
        return;
    }
    for (size_t i = 0; i < sizeof longer / sizeof *longer; i++) {
        size_t n = strlen(longer[i]);

        if (p->s->text.n - p->at >= n && memcmp(p->s->text.p + p->at, longer[i], n) == 0 && lex_foreign(p))
            return;
    }
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        uint32_t n = (uint32_t)strlen(marks[i].text);

        if (p->s->text.n - p->at >= n && memcmp(p->s->text.p + p->at, marks[i].text, n) == 0) {
            p->t.kind = marks[i].kind;
            p->t.to = p->at += n;
            return;
        }
    }
    if (!lex_foreign(p))
        lex_other(p);
}

// ---- parser ---------------------------------------------------------------------------------------------------------

enum { P_COND, P_OR, P_AND, P_NOT, P_CMP, P_COALESCE, P_SUM, P_PRODUCT, P_UNARY };

static rki_node *expression(parser *p, int level);

static rkp_str token_text(const parser *p)
{
    return slice(p, p->t.from, p->t.to);
}

// Reports the token at hand as out of place.
static rki_node *unexpected(parser *p, const char *wanted)
{
    static const struct {
        const char *word, *hint;
    } words[] = { { "AND", "write 'and' or '&&'" },
                  { "OR", "write 'or' or '||'" },
                  { "NOT", "write 'not' or '!'" },
                  { "IN", "write 'in'" },
                  { "is", "write is_null(x)" },
                  { "IS", "write is_null(x)" },
                  { "like", "write x =~ 'regex', or contains(x, 'text')" },
                  { "LIKE", "write x =~ 'regex', or contains(x, 'text')" },
                  { "between", "write x >= a && x <= b" },
                  { "BETWEEN", "write x >= a && x <= b" },
                  { "then", "write condition ? a : b" },
                  { "if", "write condition ? a : b" } };

    if (p->t.kind == T_BAD || p->s->oom)
        return NULL;
    if (p->t.kind == T_END) {
        rki_say(p->s, p->t.from, p->t.to, "expr-syntax", "the expression ends where %s should follow", wanted);
        return NULL;
    }
    rki_say(p->s, p->t.from, p->t.to, "expr-syntax", "unexpected '" RKP_STR_FMT "' where %s should follow",
            RKP_STR_ARG(token_text(p)), wanted);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (p->t.kind == T_NAME && rkp_str_is(p->t.s, words[i].word))
            rki_hint(p->s, "%s", words[i].hint);
    return NULL;
}

// A growing list of nodes.
typedef struct list {
    rki_node **v;
    uint32_t n, cap;
} list;

static bool list_add(parser *p, list *l, rki_node *n)
{
    if (l->n == l->cap) {
        uint32_t cap = l->cap ? l->cap * 2 : 4;
        rki_node **v = rki_array(p->s->arena, cap, sizeof *v);

        if (!v) {
            p->s->oom = true;
            return false;
        }
        if (l->n)
            memcpy(v, l->v, l->n * sizeof *v);
        l->v = v;
        l->cap = cap;
    }
    l->v[l->n++] = n;
    return true;
}

static rki_node *from_list(parser *p, rki_op op, const list *l, uint32_t from, uint32_t to)
{
    rki_node *n = rki_expr_node(p->s, op, l->n);

    if (!n)
        return NULL;
    for (uint32_t i = 0; i < l->n; i++)
        rki_expr_arg(n, i, l->v[i]);
    n->from = n->tok = from;
    n->to = n->tok_end = to;
    if (n->height > RKI_EXPR_DEPTH) {
        rki_say(p->s, from, to, "expr-limit", "the expression is nested more than %d deep", RKI_EXPR_DEPTH);
        return NULL;
    }
    return n;
}

static rki_node *binary(parser *p, rki_op op, unsigned sub, rki_node *a, rki_node *b, const token *t)
{
    list l = { 0 };
    rki_node *n;

    if (!list_add(p, &l, a) || !list_add(p, &l, b))
        return NULL;
    n = from_list(p, op, &l, a->from, b->to);
    if (n) {
        n->sub = (uint8_t)sub;
        n->tok = t->from;
        n->tok_end = t->to;
    }
    return n;
}

static rki_node *leaf(parser *p, rki_op op, uint32_t from, uint32_t to)
{
    rki_node *n = rki_expr_node(p->s, op, 0);

    if (n) {
        n->from = n->tok = from;
        n->to = n->tok_end = to;
    }
    return n;
}

// (a, b, ..) with the `(` at hand; *end is set to the place after the `)`.
static bool arguments(parser *p, list *l, uint32_t *end)
{
    next(p);
    if (p->t.kind == T_RP) {
        *end = p->t.to;
        next(p);
        return true;
    }
    for (;;) {
        rki_node *a = expression(p, P_COND);

        if (!a || !list_add(p, l, a))
            return false;
        if (p->t.kind == T_RP)
            break;
        if (p->t.kind != T_COMMA) {
            unexpected(p, "',' or ')'");
            return false;
        }
        next(p);
    }
    *end = p->t.to;
    next(p);
    return true;
}

static rki_node *name_or_call(parser *p)
{
    token t = p->t;
    rki_node *n;
    list l = { 0 };
    uint32_t end;

    next(p);
    if (p->t.kind == T_LP && t.kind == T_NAME) {
        if (!arguments(p, &l, &end))
            return NULL;
        n = from_list(p, RKI_X_CALL, &l, t.from, end);
        if (n) {
            n->tok_end = t.to;
            n->v.s = t.s;
        }
        return n;
    }
    n = leaf(p, RKI_X_NAME, t.from, t.to);
    if (!n)
        return NULL;
    n->v.s = t.s;
    n->sub = t.kind == T_QUOTED ? RKI_N_QUOTED : RKI_N_BARE;
    if (p->t.kind != T_DOT)
        return n;
    if (t.kind == T_NAME && rkp_str_is(t.s, "this"))
        n->sub = RKI_N_THIS;
    else if (t.kind == T_NAME && rkp_str_is(t.s, "var"))
        n->sub = RKI_N_VAR;
    else if (t.kind == T_NAME && rkp_str_is(t.s, "meta"))
        n->sub = RKI_N_META;
    else {
        uint32_t at = p->at;

        while (in_name(peek(p, at)) || peek(p, at) == '.')
            at++;
        rki_say(p->s, t.from, at, "expr-syntax", "a column has no parts");
        rki_hint(p->s, "a name with a point stands in backticks: `" RKP_STR_FMT "`; for JSON text write json_get",
                 RKP_STR_ARG(slice(p, t.from, at)));
        bad(p, t.from, at);
        return NULL;
    }
    next(p);
    // Keywords are names after a point.
    if (p->t.kind != T_QUOTED &&
        !(p->t.kind != T_BAD && p->t.from < p->t.to && starts_name(peek(p, p->t.from)) && p->t.kind != T_STR))
        return unexpected(p, "a name");
    n->v.s = p->t.kind == T_QUOTED ? p->t.s : token_text(p);
    n->to = n->tok_end = p->t.to;
    next(p);
    return n;
}

static rki_node *constant(parser *p)
{
    rki_node *n = leaf(p, RKI_X_CONST, p->t.from, p->t.to);

    if (!n)
        return NULL;
    switch (p->t.kind) {
    case T_INT:
        n->kind = p->t.u > INT64_MAX ? RKP_U64 : RKP_I64;
        n->v.u = p->t.u;
        break;
    case T_FLOAT:
        n->kind = RKP_F64;
        n->v.f = p->t.f;
        break;
    case T_STR:
        n->kind = RKP_STRING;
        n->v.s = p->t.s;
        break;
    case T_TRUE:
    case T_FALSE:
        n->kind = RKP_BOOL;
        n->v.b = p->t.kind == T_TRUE;
        break;
    default:
        n->kind = RKI_NULL;
        n->null = n->nullable = true;
        break;
    }
    next(p);
    return n;
}

static rki_node *primary(parser *p)
{
    rki_node *n;
    uint32_t from = p->t.from;

    switch (p->t.kind) {
    case T_INT:
    case T_FLOAT:
    case T_STR:
    case T_TRUE:
    case T_FALSE:
    case T_NULL:
        return constant(p);
    case T_NAME:
    case T_QUOTED:
        return name_or_call(p);
    case T_LP:
        next(p);
        n = expression(p, P_COND);
        if (!n)
            return NULL;
        if (p->t.kind == T_COMMA) {
            rki_say(p->s, p->t.from, p->t.to, "expr-syntax", "unexpected ','");
            rki_hint(p->s, "a list can only stand after 'in'");
            return NULL;
        }
        if (p->t.kind != T_RP)
            return unexpected(p, "')'");
        n->from = from;
        n->to = p->t.to;
        next(p);
        return n;
    default:
        return unexpected(p, "a value");
    }
}

static rki_node *prefix(parser *p)
{
    token t = p->t;
    rki_node *n, *a;

    if (t.kind != T_MINUS && t.kind != T_PLUS && t.kind != T_BANG)
        return primary(p);
    p->depth += 4;
    if (p->depth > RKI_EXPR_DEPTH * 4) {
        rki_say(p->s, t.from, t.to, "expr-limit", "the expression is nested more than %d deep", RKI_EXPR_DEPTH);
        return NULL;
    }
    next(p);
    if (t.kind == T_MINUS && p->t.kind == T_INT && p->t.u == (uint64_t)INT64_MAX + 1) {
        n = leaf(p, RKI_X_CONST, t.from, p->t.to);
        if (n) {
            n->kind = RKP_I64;
            n->v.i = INT64_MIN;
        }
        next(p);
        p->depth -= 4;
        return n;
    }
    a = prefix(p);
    p->depth -= 4;
    if (!a)
        return NULL;
    n = rki_expr_node(p->s, t.kind == T_BANG ? RKI_X_NOT : RKI_X_NEG, 1);
    if (!n)
        return NULL;
    rki_expr_arg(n, 0, a);
    n->sub = t.kind == T_PLUS;
    n->from = n->tok = t.from;
    n->tok_end = t.to;
    n->to = a->to;
    return n;
}

static bool op_of(const parser *p, int *level, rki_op *op, unsigned *sub)
{
    static const struct {
        token_kind kind;
        int level;
        rki_op op;
        unsigned sub;
    } table[] = {
        { T_EQ, P_CMP, RKI_X_CMP, RKI_EQ },
        { T_NE, P_CMP, RKI_X_CMP, RKI_NE },
        { T_LT, P_CMP, RKI_X_CMP, RKI_LT },
        { T_LE, P_CMP, RKI_X_CMP, RKI_LE },
        { T_GT, P_CMP, RKI_X_CMP, RKI_GT },
        { T_GE, P_CMP, RKI_X_CMP, RKI_GE },
        { T_MATCH, P_CMP, RKI_X_MATCH, 0 },
        { T_PLUS, P_SUM, RKI_X_ARITH, RKI_ADD },
        { T_MINUS, P_SUM, RKI_X_ARITH, RKI_SUB },
        { T_STAR, P_PRODUCT, RKI_X_ARITH, RKI_MUL },
        { T_SLASH, P_PRODUCT, RKI_X_ARITH, RKI_DIV },
        { T_IDIV, P_PRODUCT, RKI_X_ARITH, RKI_IDIV },
        { T_PERCENT, P_PRODUCT, RKI_X_ARITH, RKI_REM },
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (table[i].kind == p->t.kind) {
            *level = table[i].level;
            *op = table[i].op;
            *sub = table[i].sub;
            return true;
        }
    }
    return false;
}

static rki_node *sum(parser *p, int level)
{
    rki_node *a = level < P_PRODUCT ? sum(p, P_PRODUCT) : prefix(p), *b;
    int l;
    rki_op op;
    unsigned sub;

    while (a && op_of(p, &l, &op, &sub) && l == level) {
        token t = p->t;

        next(p);
        b = level < P_PRODUCT ? sum(p, P_PRODUCT) : prefix(p);
        a = b ? binary(p, op, sub, a, b, &t) : NULL;
    }
    return a;
}

// One or more parts joined by `join`, as one node.
static rki_node *joined(parser *p, int level, token_kind join, rki_op op)
{
    rki_node *a = level == P_COALESCE ? sum(p, P_SUM) : expression(p, level + 1), *n;
    list l = { 0 };
    token t = p->t;

    if (!a || p->t.kind != join)
        return a;
    if (!list_add(p, &l, a))
        return NULL;
    while (p->t.kind == join) {
        next(p);
        a = level == P_COALESCE ? sum(p, P_SUM) : expression(p, level + 1);
        if (!a || !list_add(p, &l, a))
            return NULL;
    }
    n = from_list(p, op, &l, l.v[0]->from, a->to);
    if (n) {
        n->tok = t.from;
        n->tok_end = t.to;
    }
    return n;
}

static rki_node *membership(parser *p, rki_node *a, const token *t, bool negated)
{
    list l = { 0 };
    rki_node *n;
    uint32_t end;

    next(p);
    if (p->t.kind != T_LP)
        return unexpected(p, "'(' and a list");
    if (!list_add(p, &l, a) || !arguments(p, &l, &end))
        return NULL;
    if (l.n == 1) {
        rki_say(p->s, t->from, end, "expr-syntax", "the list after 'in' is empty");
        return NULL;
    }
    n = from_list(p, RKI_X_IN, &l, a->from, end);
    if (n) {
        n->sub = negated;
        n->tok = t->from;
        n->tok_end = t->to;
    }
    return n;
}

static bool compares(const parser *p)
{
    return (p->t.kind >= T_EQ && p->t.kind <= T_MATCH) || p->t.kind == T_IN;
}

static rki_node *comparison(parser *p)
{
    rki_node *a = joined(p, P_COALESCE, T_COALESCE, RKI_X_COALESCE), *b;
    token t = p->t;
    int level;
    rki_op op;
    unsigned sub;

    if (!a)
        return NULL;
    if (t.kind == T_NOT) {
        next(p);
        if (p->t.kind != T_IN)
            return unexpected(p, "'in'");
        t.to = p->t.to;
        a = membership(p, a, &t, true);
    } else if (t.kind == T_IN) {
        a = membership(p, a, &t, false);
    } else if (compares(p) && op_of(p, &level, &op, &sub)) {
        next(p);
        b = joined(p, P_COALESCE, T_COALESCE, RKI_X_COALESCE);
        a = b ? binary(p, op, sub, a, b, &t) : NULL;
    }
    if (a && compares(p)) {
        rki_say(p->s, p->t.from, p->t.to, "expr-syntax", "comparisons cannot follow one another");
        rki_hint(p->s, "write a < b && b < c");
        return NULL;
    }
    return a;
}

static rki_node *conditional(parser *p)
{
    rki_node *c = expression(p, P_OR), *a, *b, *n;
    list l = { 0 };
    token t = p->t;

    if (!c || t.kind != T_QUESTION)
        return c;
    next(p);
    a = expression(p, P_COND);
    if (!a)
        return NULL;
    if (p->t.kind != T_COLON)
        return unexpected(p, "':'");
    next(p);
    b = expression(p, P_COND);
    if (!b || !list_add(p, &l, c) || !list_add(p, &l, a) || !list_add(p, &l, b))
        return NULL;
    n = from_list(p, RKI_X_COND, &l, c->from, b->to);
    if (n) {
        n->tok = t.from;
        n->tok_end = t.to;
    }
    return n;
}

static rki_node *negation(parser *p)
{
    token t = p->t;
    rki_node *a, *n;

    if (t.kind != T_NOT)
        return comparison(p);
    next(p);
    a = expression(p, P_NOT);
    n = a ? rki_expr_node(p->s, RKI_X_NOT, 1) : NULL;
    if (!n)
        return NULL;
    rki_expr_arg(n, 0, a);
    n->from = n->tok = t.from;
    n->tok_end = t.to;
    n->to = a->to;
    return n;
}

static rki_node *expression(parser *p, int level)
{
    rki_node *n;

    if (++p->depth > RKI_EXPR_DEPTH * 4) { // a parenthesis takes four calls
        rki_say(p->s, p->t.from, p->t.to, "expr-limit", "the expression is nested more than %d deep", RKI_EXPR_DEPTH);
        return NULL;
    }
    switch (level) {
    case P_COND:
        n = conditional(p);
        break;
    case P_OR:
        n = joined(p, P_OR, T_OR, RKI_X_OR);
        break;
    case P_AND:
        n = joined(p, P_AND, T_AND, RKI_X_AND);
        break;
    default:
        n = negation(p);
        break;
    }
    p->depth--;
    if (n && n->height > RKI_EXPR_DEPTH) {
        rki_say(p->s, n->from, n->to, "expr-limit", "the expression is nested more than %d deep", RKI_EXPR_DEPTH);
        return NULL;
    }
    return n;
}

// The first byte that is not UTF-8, or n.
static size_t not_utf8(const char *p, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        size_t len = rki_utf8_next(p + i, p + n, &cp);

        if (cp == RKI_UTF8_BAD)
            return i;
        i += len;
    }
    return n;
}

rki_node *rki_parse(rki_source *s)
{
    parser p = { .s = s };
    rki_node *n;
    size_t good;

    if (s->text.n > RKI_EXPR_TEXT) {
        rki_say(s, 0, 1, "expr-limit", "the expression is longer than %d KiB", RKI_EXPR_TEXT >> 10);
        return NULL;
    }
    good = not_utf8(s->text.p, s->text.n);
    if (good < s->text.n) {
        rki_say(s, (uint32_t)good, (uint32_t)good + 1, "expr-syntax", "the expression is not UTF-8");
        return NULL;
    }
    next(&p);
    if (p.t.kind == T_END) {
        rki_say(s, 0, 0, "expr-syntax", "the expression is empty");
        return NULL;
    }
    n = expression(&p, P_COND);
    if (n && p.t.kind != T_END && p.t.kind != T_BAD) {
        if (p.t.kind == T_STR || p.t.kind == T_INT || p.t.kind == T_FLOAT || p.t.kind == T_QUOTED ||
            p.t.kind == T_NAME || p.t.kind == T_LP)
            unexpected(&p, "an operator");
        else
            unexpected(&p, "the end");
        return NULL;
    }
    return p.t.kind == T_BAD || s->oom ? NULL : n;
}
