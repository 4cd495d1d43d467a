// promql_parse.c - tokens to a typed tree, by precedence:
//
//   lowest   or
//            and unless
//            == != < <= > >=
//            + -
//            * / %            unary + - binds as these do: -2 ^ 2 is -4
//   highest  ^                to the right
//
// The first mistake ends the parse: what follows it would be guesses.  What is PromQL and not in the subset is refused by
// its name, so that nobody takes it for a mistake of his own.
#include "watch/promql_lex.h"
#include "watch/promql_tree.h"

#include "base/diag.h"
#include "expr/functions.h"
#include <stdlib.h>

typedef struct parser {
    rki_source *s;
    const rki_prom_names *names;
    rki_token t;
    uint32_t at;
    uint32_t depth;
} parser;

const char *const rki_prom_ops[RKI_N_PROM_OPS] = { "or", "and", "unless", "==", "!=", "<=", "<", ">=",
                                                   ">",  "+",   "-",      "*",  "/",  "%",  "^" };
const char *const rki_prom_aggs[] = { "sum", "avg", "min", "max", "count", NULL };

static rki_prom *parse_expr(parser *p, int power);

int rki_prom_power(rki_prom_op op)
{
    if (op == RKI_PROM_OR)
        return 1;
    if (op <= RKI_PROM_UNLESS)
        return 2;
    if (rki_prom_compares(op))
        return 3;
    if (op <= RKI_PROM_MINUS)
        return 4;
    return op == RKI_PROM_POWER ? 6 : 5;
}

static void next(parser *p)
{
    rki_prom_lex(p->s, &p->at, &p->t);
}

static bool dead(const parser *p)
{
    return p->s->failed || p->s->oom;
}

static void *oom(parser *p)
{
    p->s->oom = true;
    return NULL;
}

// "'(' is needed here, not 'x'": what stands at hand is wrong.
static void *unexpected(parser *p, const char *want)
{
    uint32_t n = p->t.to - p->t.from;

    if (dead(p))
        return NULL;
    if (p->t.kind == RKI_T_END)
        rki_say(p->s, p->t.from, p->t.to, "promql-syntax", "the expression ends where %s is needed", want);
    else
        rki_say(p->s, p->t.from, p->t.to, "promql-syntax", "%s is needed here, not '%.*s'", want,
                (int)(n < 60 ? n : 60), p->s->text.p + p->t.from);
    if (p->t.kind == RKI_T_ASSIGN)
        rki_hint(p->s, "'==' compares; '=' is for labels, in braces");
    return NULL;
}

static bool take(parser *p, rki_tok kind, const char *want)
{
    if (dead(p))
        return false;
    if (p->t.kind != kind) {
        unexpected(p, want);
        return false;
    }
    next(p);
    return !dead(p);
}

static void *not_yet(parser *p, uint32_t from, uint32_t to, const char *hint)
{
    if (dead(p))
        return NULL;
    rki_say(p->s, from, to, "not-supported", "'%.*s' in an alert's expression is not supported yet", (int)(to - from),
            p->s->text.p + from);
    if (hint)
        rki_hint(p->s, "%s", hint);
    return NULL;
}

static rki_prom *node(parser *p, rki_prom_kind kind, rki_prom_type type, uint32_t from)
{
    rki_prom *e = rki_alloc(p->s->arena, sizeof *e);

    if (!e)
        return oom(p);
    e->kind = (uint8_t)kind;
    e->type = (uint8_t)type;
    e->height = 1;
    e->from = from;
    e->to = from;
    return e;
}

// Adds an operand; false when the tree becomes too high.
static bool adopt(parser *p, rki_prom *e, const rki_prom *arg)
{
    e->arg[e->n_args++] = arg;
    if (arg->height >= e->height)
        e->height = (uint16_t)(arg->height + 1);
    if (e->to < arg->to)
        e->to = arg->to;
    if (e->height <= RKI_PROM_HEIGHT)
        return true;
    rki_say(p->s, e->from, e->to, "promql-limit", "the expression is nested more than %d deep", RKI_PROM_HEIGHT);
    return false;
}

static const char *type_word(unsigned type)
{
    static const char *const words[] = { "a scalar", "an instant vector", "a range vector" };

    return words[type];
}

// ---- lists of labels ------------------------------------------------------------------------------------------------

static int by_text(const void *a, const void *b)
{
    return rki_label_order(*(const rkp_str *)a, *(const rkp_str *)b);
}

// (a, b) behind by, without, on, ignoring.
static bool parse_labels(parser *p, rki_prom *e)
{
    rkp_str v[RKI_LABELS_MAX];
    uint32_t n = 0;
    rkp_str *to;

    if (!take(p, RKI_T_LP, "'('"))
        return false;
    while (p->t.kind != RKI_T_RP) {
        if (p->t.kind != RKI_T_NAME || !rki_label_name(p->t.s)) {
            unexpected(p, "the name of a label");
            return false;
        }
        if (n == RKI_LABELS_MAX) {
            rki_say(p->s, p->t.from, p->t.to, "promql-limit", "there are more than %d labels", RKI_LABELS_MAX);
            return false;
        }
        if (!rki_label_among(p->t.s, v, n))
            v[n++] = p->t.s;
        next(p);
        if (p->t.kind == RKI_T_COMMA)
            next(p);
        else if (p->t.kind != RKI_T_RP)
            break;
    }
    e->to = p->t.to;
    if (!take(p, RKI_T_RP, "')'"))
        return false;
    to = rki_array(p->s->arena, n ? n : 1, sizeof *to);
    if (!to) {
        oom(p);
        return false;
    }
    if (n) {
        memcpy(to, v, n * sizeof *v);
        qsort(to, n, sizeof *to, by_text);
    }
    e->labels = to;
    e->n_labels = n;
    e->grouped = true;
    return true;
}

// ---- selectors ------------------------------------------------------------------------------------------------------

static bool plain(rkp_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '\0' || strchr("\\.+*?()|[]{}^$", s.p[i]))
            return false;
    return true;
}

// What RE2, which reads the pattern in Prometheus, does not know; NULL: nothing.
static const char *pcre_only(rkp_str s)
{
    bool in_class = false;

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i], d = i + 1 < s.n ? s.p[i + 1] : '\0', e = i + 2 < s.n ? s.p[i + 2] : '\0';

        if (c == '\\') {
            if ((d >= '1' && d <= '9') || (d && strchr("gkKRXhHvVNZGoc", d)))
                return "an escape";
            i++;
        } else if (in_class) {
            in_class = c != ']';
        } else if (c == '[') {
            in_class = true;
            if (d == '^' && e == ']')
                i += 2;
            else if (d == '^' || d == ']')
                i++;
        } else if (c == '(' && d == '*') {
            return "a verb";
        } else if (c == '(' && d == '?' && e != ':' && e != 'P' && !strchr("imsU-", e)) {
            return "a group";
        } else if (c == '(' && d == '?' && e == 'P' && (i + 3 >= s.n || s.p[i + 3] != '<')) {
            return "a group";
        } else if (strchr("*+?}", c) && d == '+') {
            return "a possessive repetition";
        }
    }
    return NULL;
}

static bool compile(parser *p, rki_matcher *m)
{
    const char *bad = pcre_only(m->value);
    rkp_loc at = rki_place(p->s, p->t.from, p->t.to);
    rkp_str text;

    if (plain(m->value))
        return true;
    if (bad) {
        rki_say(p->s, p->t.from, p->t.to, "promql-regex", "the pattern has %s that Prometheus' RE2 does not know", bad);
        return false;
    }
    // Once alone, so that a finding speaks of what was written.
    if (!rki_regex_new(p->s->arena, p->s->diags, m->value, at, false)) {
        p->s->failed = true;
        return false;
    }
    text = rki_printf(p->s->arena, "\\A(?:" RKP_STR_FMT ")\\z", RKP_STR_ARG(m->value));
    if (!text.p) {
        oom(p);
        return false;
    }
    m->re = rki_regex_new(p->s->arena, NULL, text, at, false);
    if (!m->re)
        oom(p);
    return m->re != NULL;
}

static bool parse_matcher(parser *p, rki_matcher *m)
{
    if (p->t.kind != RKI_T_NAME || !rki_label_name(p->t.s)) {
        unexpected(p, "the name of a label");
        return false;
    }
    m->name = p->t.s;
    next(p);
    if (p->t.kind == RKI_T_ASSIGN)
        m->how = RKI_MATCH_EQ;
    else if (p->t.kind == RKI_T_OP && p->t.op == RKI_PROM_NE)
        m->how = RKI_MATCH_NE;
    else if (p->t.kind == RKI_T_RE)
        m->how = RKI_MATCH_RE;
    else if (p->t.kind == RKI_T_NRE)
        m->how = RKI_MATCH_NRE;
    else {
        unexpected(p, "'=', '!=', '=~' or '!~'");
        return false;
    }
    next(p);
    if (p->t.kind != RKI_T_STRING) {
        unexpected(p, "a text in quotes");
        return false;
    }
    m->value = p->t.s;
    if (m->how >= RKI_MATCH_RE && !compile(p, m))
        return false;
    next(p);
    return !dead(p);
}

// Does it take a label that is not there?
static bool takes_empty(const rki_matcher *m)
{
    rkp_regex_run *run;
    rkp_str none = { "", 0 };
    int hit;

    if (!m->re)
        return (m->value.n == 0) == (m->how == RKI_MATCH_EQ || m->how == RKI_MATCH_RE);
    run = rkp_regex_run_new(m->re);
    hit = run ? rkp_regex_match(m->re, run, none, NULL, 0) : 1;
    rkp_regex_run_free(run);
    return (hit == 1) == (m->how == RKI_MATCH_RE);
}

// Is there name_bucket among them?
static bool is_histogram(rkp_str name, const char *const *names)
{
    for (; *names; names++)
        if (strlen(*names) == name.n + 7 && memcmp(*names, name.p, name.n) == 0 &&
            strcmp(*names + name.n, "_bucket") == 0)
            return true;
    return false;
}

// A metric that is not there will never fire anything.
static bool known_name(parser *p, rkp_str name, uint32_t from, uint32_t to)
{
    const char *near;

    for (const char *const *n = p->names ? p->names->names : NULL; n && *n; n++)
        if (rkp_str_is(name, *n))
            return true;
    if (!p->names || !p->names->names)
        return true;
    rki_say(p->s, from, to, "promql-metric", "there is no metric '" RKP_STR_FMT "'", RKP_STR_ARG(name));
    near = rki_nearest(name, p->names->names);
    if (is_histogram(name, p->names->names))
        rki_hint(p->s, "it is a histogram: " RKP_STR_FMT "_bucket, _sum and _count are", RKP_STR_ARG(name));
    else if (near)
        rki_hint(p->s, "did you mean '%s'?", near);
    else
        rki_hint(p->s, "'rkpipe list metrics' lists them");
    return false;
}

static bool parse_matchers(parser *p, rki_prom *e)
{
    rki_matcher v[RKI_LABELS_MAX + 1];
    uint32_t n = 0;
    bool some = false;
    rki_matcher *to;

    if (e->name.p)
        v[n++] = (rki_matcher){ .name = RKP_STR("__name__"), .value = e->name };
    if (p->t.kind == RKI_T_LBRACE) {
        next(p);
        while (p->t.kind != RKI_T_RBRACE) {
            uint32_t from = p->t.from, to_text;

            if (n > RKI_LABELS_MAX) {
                rki_say(p->s, from, p->t.to, "promql-limit", "there are more than %d conditions", RKI_LABELS_MAX);
                return false;
            }
            v[n] = (rki_matcher){ 0 };
            if (!parse_matcher(p, &v[n]))
                return false;
            to_text = p->t.from;
            if (e->name.p && rkp_str_is(v[n].name, "__name__")) {
                rki_say(p->s, from, to_text, "promql-syntax", "the name of the metric is given twice");
                return false;
            }
            n++;
            if (p->t.kind == RKI_T_COMMA)
                next(p);
            else if (p->t.kind != RKI_T_RBRACE)
                break;
        }
        e->to = p->t.to;
        if (!take(p, RKI_T_RBRACE, "'}'"))
            return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        some = some || !takes_empty(&v[i]);
        if (rkp_str_is(v[i].name, "__name__") && v[i].how == RKI_MATCH_EQ && v[i].value.n &&
            !known_name(p, v[i].value, e->from, e->to))
            return false;
    }
    if (!some) {
        rki_say(p->s, e->from, e->to, "promql-syntax", "nothing is selected: every condition takes the empty text");
        rki_hint(p->s, "name a metric");
        return false;
    }
    to = rki_array(p->s->arena, n, sizeof *to);
    if (!to) {
        oom(p);
        return false;
    }
    memcpy(to, v, n * sizeof *v);
    e->matchers = to;
    e->n_matchers = n;
    return true;
}

// [5m], and what may stand behind a selector elsewhere.
static rki_prom *parse_range(parser *p, rki_prom *e)
{
    uint32_t from = p->t.from;

    next(p);
    if (e->kind != RKI_PROM_SELECTOR) {
        if (!dead(p))
            rki_say(p->s, from, p->at, "not-supported", "a range of another expression is not supported yet");
        rki_hint(p->s, "a range stands behind a metric: rate(x[1m])");
        return NULL;
    }
    if (p->t.kind != RKI_T_DURATION)
        return unexpected(p, "a duration such as 5m");
    e->range_ms = p->t.ms;
    if (e->range_ms <= 0 || e->range_ms > RKI_PROM_RANGE_MS) {
        rki_say(p->s, p->t.from, p->t.to, "promql-limit",
                e->range_ms <= 0 ? "a range is longer than nothing" : "a range is at most 1h");
        return NULL;
    }
    next(p);
    if (p->t.kind == RKI_T_COLON)
        return not_yet(p, p->t.from, p->t.to, "a subquery: evaluate the inner expression in a rule of its own");
    e->type = RKI_PROM_MATRIX;
    e->to = p->t.to;
    return take(p, RKI_T_RBRACKET, "']'") ? e : NULL;
}

static rki_prom *postfix(parser *p, rki_prom *e)
{
    while (e && !dead(p)) {
        if (p->t.kind == RKI_T_LBRACKET && e->type != RKI_PROM_MATRIX)
            e = parse_range(p, e);
        else if (p->t.kind == RKI_T_AT || rki_token_is(&p->t, "offset"))
            return not_yet(p, p->t.from, p->t.to, NULL);
        else
            break;
    }
    return dead(p) ? NULL : e;
}

static rki_prom *parse_selector(parser *p, const rki_token *name)
{
    rki_prom *e = node(p, RKI_PROM_SELECTOR, RKI_PROM_VECTOR, name ? name->from : p->t.from);

    if (!e)
        return NULL;
    if (name) {
        e->name = name->s;
        e->to = name->to;
    }
    return parse_matchers(p, e) ? e : NULL;
}

// ---- functions and aggregations -------------------------------------------------------------------------------------

static const char *const known_functions[] = {
    "absent_over_time",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "ceil",
    "changes",
    "clamp",
    "cos",
    "cosh",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "days_in_month",
    "deg",
    "deriv",
    "exp",
    "floor",
    "histogram_count",
    "histogram_fraction",
    "histogram_sum",
    "holt_winters",
    "hour",
    "idelta",
    "irate",
    "label_join",
    "label_replace",
    "ln",
    "log10",
    "log2",
    "minute",
    "month",
    "pi",
    "predict_linear",
    "present_over_time",
    "quantile_over_time",
    "rad",
    "resets",
    "round",
    "sgn",
    "sin",
    "sinh",
    "sort",
    "sort_desc",
    "sqrt",
    "stddev_over_time",
    "stdvar_over_time",
    "tan",
    "tanh",
    "timestamp",
    "year",
    NULL,
};
static const char *const known_aggregations[] = { "topk",   "bottomk", "quantile",     "stddev",
                                                  "stdvar", "group",   "count_values", NULL };
static const rki_foreign others[] = {
    { "max_over", "it is max_over_time" },
    { "min_over", "it is min_over_time" },
    { "avg_over", "it is avg_over_time" },
    { "mean", "it is avg" },
    { "percentile", "histogram_quantile(0.99, rate(x_bucket[1m]))" },
    { "if", "'a and b' is a where b has something" },
    { "now", "it is time()" },
    { 0 },
};

static bool among(const rki_token *t, const char *const *words)
{
    for (; *words; words++)
        if (rki_token_is(t, *words))
            return true;
    return false;
}

static void *no_function(parser *p, const rki_token *name)
{
    const char *names[64];
    size_t n = 0;

    for (const char *const *k = known_functions; *k; k++)
        if (rkp_str_is(name->s, *k))
            return not_yet(p, name->from, name->to, NULL);
    rki_say(p->s, name->from, name->to, "promql-function", "there is no function '" RKP_STR_FMT "'",
            RKP_STR_ARG(name->s));
    for (const rki_foreign *f = others; f->word; f++) {
        if (rkp_str_is(name->s, f->word)) {
            rki_hint(p->s, "%s", f->hint);
            return NULL;
        }
    }
    for (const rki_prom_fn *f = rki_prom_fns; f->name; f++)
        names[n++] = f->name;
    for (const char *const *a = rki_prom_aggs; *a; a++)
        names[n++] = *a;
    names[n] = NULL;
    if (rki_nearest(name->s, names))
        rki_hint(p->s, "did you mean '%s'?", rki_nearest(name->s, names));
    return NULL;
}

// Arguments in parentheses; at most 2 are kept, all are counted.
static bool parse_args(parser *p, rki_prom *e, uint32_t *n)
{
    if (!take(p, RKI_T_LP, "'('"))
        return false;
    for (*n = 0; p->t.kind != RKI_T_RP; ++*n) {
        rki_prom *arg = parse_expr(p, 1);

        if (!arg || dead(p) || (*n < 2 && !adopt(p, e, arg)))
            return false;
        if (p->t.kind != RKI_T_COMMA)
            continue;
        next(p);
        if (p->t.kind == RKI_T_RP) {
            unexpected(p, "an argument");
            return false;
        }
    }
    e->to = p->t.to;
    next(p);
    return !dead(p);
}

static rki_prom *parse_call(parser *p, const rki_token *name)
{
    static const char letters[] = "svm";
    rki_prom *e = node(p, RKI_PROM_CALL, RKI_PROM_VECTOR, name->from);
    const rki_prom_fn *f = rki_prom_fns;
    uint32_t n, want;

    while (f->name && !rkp_str_is(name->s, f->name))
        f++;
    if (!f->name)
        return no_function(p, name);
    if (!e || !parse_args(p, e, &n))
        return NULL;
    e->fn = f;
    e->type = f->result;
    want = (uint32_t)strlen(f->args);
    if (n != want) {
        rki_say(p->s, e->from, e->to, "promql-args", "%s takes %u argument%s, not %u", f->name, want,
                want == 1 ? "" : "s", n);
        return NULL;
    }
    for (uint32_t i = 0; i < n; i++) {
        unsigned type = (unsigned)(strchr(letters, f->args[i]) - letters);

        if (e->arg[i]->type == type)
            continue;
        rki_say(p->s, e->arg[i]->from, e->arg[i]->to, "promql-args", "%s needs %s here, and this is %s", f->name,
                type_word(type), type_word(e->arg[i]->type));
        if (type == RKI_PROM_MATRIX)
            rki_hint(p->s, "write a range behind the metric: x[5m]");
        else if (e->arg[i]->type == RKI_PROM_MATRIX)
            rki_hint(p->s, "without the range, or inside a function such as rate()");
        return NULL;
    }
    return e;
}

static bool parse_by(parser *p, rki_prom *e)
{
    if (!rki_token_is(&p->t, "by") && !rki_token_is(&p->t, "without"))
        return true;
    if (e->grouped) {
        unexpected(p, "an operator");
        return false;
    }
    e->on = rki_token_is(&p->t, "by");
    next(p);
    return parse_labels(p, e);
}

static rki_prom *parse_aggregate(parser *p, const rki_token *name)
{
    rki_prom *e = node(p, RKI_PROM_AGGREGATE, RKI_PROM_VECTOR, name->from);
    uint32_t n;

    if (!e)
        return NULL;
    while (!rki_token_is(name, rki_prom_aggs[e->op]))
        e->op++;
    e->on = true;
    if (!parse_by(p, e) || !parse_args(p, e, &n) || !parse_by(p, e))
        return NULL;
    if (n != 1) {
        rki_say(p->s, e->from, e->to, "promql-args", "%s takes 1 argument, not %u", rki_prom_aggs[e->op], n);
        return NULL;
    }
    if (e->arg[0]->type != RKI_PROM_VECTOR) {
        rki_say(p->s, e->arg[0]->from, e->arg[0]->to, "promql-type", "%s needs an instant vector, and this is %s",
                rki_prom_aggs[e->op], type_word(e->arg[0]->type));
        if (e->arg[0]->type == RKI_PROM_MATRIX)
            rki_hint(p->s, "over time it is %s_over_time", rki_prom_aggs[e->op]);
        return NULL;
    }
    return e;
}

// ---- expressions ----------------------------------------------------------------------------------------------------

// A name: a keyword that is a value, a function, an aggregation, a metric.
static rki_prom *parse_name(parser *p)
{
    static const char *const words[] = { "and",      "or",         "unless",      "by",   "without", "on",
                                         "ignoring", "group_left", "group_right", "bool", "offset",  NULL };
    rki_token name = p->t;
    rki_prom *e;

    if (rki_token_is(&name, "inf") || rki_token_is(&name, "nan")) {
        e = node(p, RKI_PROM_NUMBER, RKI_PROM_SCALAR, name.from);
        if (e) {
            e->number = rki_token_is(&name, "inf") ? (double)INFINITY : (double)NAN;
            e->to = name.to;
        }
        next(p);
        return e;
    }
    if (among(&name, words) || rki_token_is(&name, "atan2"))
        return unexpected(p, "a metric, a function or a number");
    next(p);
    if (among(&name, known_aggregations) &&
        (p->t.kind == RKI_T_LP || rki_token_is(&p->t, "by") || rki_token_is(&p->t, "without")))
        return not_yet(p, name.from, name.to,
                       rki_token_is(&name, "quantile") ? "histogram_quantile(0.99, rate(x_bucket[1m])) is" : NULL);
    if (among(&name, rki_prom_aggs))
        return parse_aggregate(p, &name);
    if (p->t.kind == RKI_T_LP)
        return parse_call(p, &name);
    if (among(&name, known_aggregations))
        return not_yet(p, name.from, name.to, "write {__name__=\"..\"} for a metric of that name");
    return parse_selector(p, &name);
}

static rki_prom *parse_paren(parser *p)
{
    rki_prom *e, *inner;
    uint32_t from = p->t.from;

    next(p);
    inner = parse_expr(p, 1);
    if (!inner || dead(p))
        return NULL;
    e = node(p, RKI_PROM_PAREN, (rki_prom_type)inner->type, from);
    if (!e || !adopt(p, e, inner))
        return NULL;
    e->to = p->t.to;
    return take(p, RKI_T_RP, "')'") ? e : NULL;
}

static rki_prom *parse_unary(parser *p)
{
    bool minus = p->t.op == RKI_PROM_MINUS;
    uint32_t from = p->t.from;
    rki_prom *e, *arg;

    next(p);
    arg = parse_expr(p, 6);
    if (!arg || dead(p))
        return NULL;
    if (arg->type == RKI_PROM_MATRIX) {
        rki_say(p->s, from, arg->to, "promql-type", "a sign stands before a scalar or an instant vector, not %s",
                type_word(arg->type));
        return NULL;
    }
    if (arg->kind == RKI_PROM_NUMBER) {
        arg->number = minus ? -arg->number : arg->number;
        arg->from = from;
        return arg;
    }
    e = node(p, RKI_PROM_SIGN, (rki_prom_type)arg->type, from);
    if (!e || !adopt(p, e, arg))
        return NULL;
    e->op = minus ? RKI_PROM_MINUS : RKI_PROM_PLUS;
    return e;
}

static rki_prom *parse_primary(parser *p)
{
    rki_prom *e;

    switch (p->t.kind) {
    case RKI_T_NUMBER:
        e = node(p, RKI_PROM_NUMBER, RKI_PROM_SCALAR, p->t.from);
        if (!e)
            return NULL;
        e->number = p->t.f;
        e->to = p->t.to;
        next(p);
        return dead(p) ? NULL : e;
    case RKI_T_NAME:
        return parse_name(p);
    case RKI_T_LBRACE:
        return parse_selector(p, NULL);
    case RKI_T_LP:
        return parse_paren(p);
    case RKI_T_STRING:
        return not_yet(p, p->t.from, p->t.to, "texts stand in braces: x{label=\"text\"}");
    default:
        return unexpected(p, "a metric, a function or a number");
    }
}

// The operator at hand, or -1.
static int operator_at(parser *p)
{
    if (p->t.kind == RKI_T_OP)
        return p->t.op;
    for (int op = RKI_PROM_OR; op <= RKI_PROM_UNLESS; op++)
        if (rki_token_is(&p->t, rki_prom_ops[op]))
            return op;
    if (rki_token_is(&p->t, "atan2"))
        not_yet(p, p->t.from, p->t.to, NULL);
    return -1;
}

static bool parse_modifiers(parser *p, rki_prom *e)
{
    if (rki_token_is(&p->t, "bool")) {
        if (!rki_prom_compares(e->op)) {
            rki_say(p->s, p->t.from, p->t.to, "promql-type", "'bool' stands behind a comparison");
            return false;
        }
        e->is_bool = true;
        next(p);
    }
    if (rki_token_is(&p->t, "on") || rki_token_is(&p->t, "ignoring")) {
        e->on = rki_token_is(&p->t, "on");
        next(p);
        if (!parse_labels(p, e))
            return false;
    }
    if (rki_token_is(&p->t, "group_left") || rki_token_is(&p->t, "group_right"))
        not_yet(p, p->t.from, p->t.to, "aggregate the side with more series first: sum by (..) (x)");
    return !dead(p);
}

static bool check_operands(parser *p, rki_prom *e)
{
    const rki_prom *l = e->arg[0], *r = e->arg[1];
    const char *op = rki_prom_ops[e->op];

    for (uint32_t i = 0; i < 2; i++) {
        if (e->arg[i]->type != RKI_PROM_MATRIX)
            continue;
        rki_say(p->s, e->arg[i]->from, e->arg[i]->to, "promql-type", "'%s' needs scalars or instant vectors, not %s",
                op, type_word(RKI_PROM_MATRIX));
        rki_hint(p->s, "put it into a function: rate(x[5m])");
        return false;
    }
    if (l->type == RKI_PROM_VECTOR && r->type == RKI_PROM_VECTOR) {
        e->type = RKI_PROM_VECTOR;
        return true;
    }
    e->type = l->type == RKI_PROM_VECTOR || r->type == RKI_PROM_VECTOR ? RKI_PROM_VECTOR : RKI_PROM_SCALAR;
    if (rki_prom_is_set(e->op)) {
        rki_say(p->s, e->from, e->to, "promql-type", "'%s' is between instant vectors, and a side of it is a scalar",
                op);
        rki_hint(p->s, "vector(1) makes a vector of a scalar");
        return false;
    }
    if (e->n_labels) {
        rki_say(p->s, e->from, e->to, "promql-type", "labels are matched between instant vectors only");
        return false;
    }
    e->grouped = e->on = false;
    if (e->type == RKI_PROM_SCALAR && rki_prom_compares(e->op) && !e->is_bool) {
        rki_say(p->s, e->from, e->to, "promql-type", "scalars are compared with 'bool': 1 %s bool 2", op);
        return false;
    }
    return true;
}

static rki_prom *parse_binary(parser *p, rki_prom *left, int op)
{
    int power = rki_prom_power((rki_prom_op)op);
    rki_prom *e = node(p, RKI_PROM_BINARY, RKI_PROM_VECTOR, left->from), *right;

    if (!e)
        return NULL;
    e->op = (uint8_t)op;
    next(p);
    if (!parse_modifiers(p, e))
        return NULL;
    right = parse_expr(p, op == RKI_PROM_POWER ? power : power + 1);
    if (!right || dead(p) || !adopt(p, e, left) || !adopt(p, e, right))
        return NULL;
    return check_operands(p, e) ? e : NULL;
}

static rki_prom *parse_expr(parser *p, int power)
{
    rki_prom *e;

    if (dead(p))
        return NULL;
    if (++p->depth > RKI_PROM_HEIGHT) {
        rki_say(p->s, p->t.from, p->t.to, "promql-limit", "the expression is nested more than %d deep",
                RKI_PROM_HEIGHT);
        return NULL;
    }
    if (p->t.kind == RKI_T_OP && (p->t.op == RKI_PROM_PLUS || p->t.op == RKI_PROM_MINUS))
        e = parse_unary(p);
    else
        e = postfix(p, parse_primary(p));
    while (e && !dead(p)) {
        int op = operator_at(p);

        if (op < 0 || rki_prom_power((rki_prom_op)op) < power)
            break;
        e = parse_binary(p, e, op);
    }
    p->depth--;
    return dead(p) ? NULL : e;
}

// ---- the whole ------------------------------------------------------------------------------------------------------

const rki_prom *rki_prom_parse(rki_arena *a, rkp_diags *d, rkp_word text, const rki_prom_names *names)
{
    rki_source s = { .arena = a, .diags = d, .text = text };
    parser p = { .s = &s, .names = names };
    rki_prom *e = NULL;

    if (text.n > RKI_PROM_TEXT) {
        rki_say(&s, 0, 0, "promql-limit", "the expression is longer than 64 KiB");
        return NULL;
    }
    next(&p);
    e = parse_expr(&p, 1);
    if (e && p.t.kind != RKI_T_END)
        unexpected(&p, "an operator");
    if (e && !dead(&p) && e->type == RKI_PROM_MATRIX) {
        rki_say(&s, e->from, e->to, "promql-type", "an alert needs an instant vector or a scalar, and this is %s",
                type_word(e->type));
        rki_hint(&s, "put it into a function: rate(x[5m])");
    }
    if (s.oom && d)
        rkp_diag(d, RKP_ERROR, text.at, "memory", "not enough memory for the expression");
    return dead(&p) ? NULL : e;
}

rki_prom_type rki_prom_type_of(const rki_prom *e)
{
    return (rki_prom_type)e->type;
}

int64_t rki_prom_back(const rki_prom *e)
{
    int64_t back = e->kind != RKI_PROM_SELECTOR ? 0 : e->range_ms ? e->range_ms : RKI_PROM_BACK_MS;

    for (uint32_t i = 0; i < e->n_args; i++) {
        int64_t of = rki_prom_back(e->arg[i]);

        back = of > back ? of : back;
    }
    return back;
}

bool rki_prom_wants(const rki_prom *e, rkp_str name)
{
    bool wants = e->kind == RKI_PROM_SELECTOR;

    for (uint32_t i = 0; i < e->n_matchers && wants; i++)
        if (rkp_str_is(e->matchers[i].name, "__name__") && e->matchers[i].how == RKI_MATCH_EQ)
            wants = rkp_str_eq(e->matchers[i].value, name);
    for (uint32_t i = 0; i < e->n_args && !wants; i++)
        wants = rki_prom_wants(e->arg[i], name);
    return wants;
}
