// check.c - the tree of names to a typed program: names resolved, operands brought to one type, constants folded.
//
// All that is wrong is reported, each once: a part that is wrong makes its surroundings `bad` without a word.  A node
// whose arguments are all constant is evaluated at once with the very code that evaluates rows; when that gives an
// error the node stays, and every row is in error (so `try(1 // 0)` is null).
//
// Integers: i8 to i64 and u8 to u32 compute in i64, u64 with u64 in u64.  A constant that is not negative goes with
// either.  i64 with u64 brings the u64 to i64, and a value that does not fit is an error row; comparisons of the two
// are exact and never fail.
#include "expr/functions.h"

#include "base/diag.h"
#include <rkpipe/num.h>
#include <stdio.h>
#include <stdlib.h>

static bool check(rki_check *c, rki_node *n);

// ---- words ----------------------------------------------------------------------------------------------------------

const char *rki_kind_word(unsigned kind)
{
    switch (kind) {
    case RKP_BOOL:
        return "bool";
    case RKP_I64:
        return "i64";
    case RKP_U64:
        return "u64";
    case RKP_F64:
        return "f64";
    case RKP_TIMESTAMP:
        return "timestamp";
    case RKP_STRING:
        return "string";
    case RKP_BYTES:
        return "bytes";
    case RKP_JSON:
        return "json";
    default:
        return "null";
    }
}

static bool is_int(unsigned kind)
{
    return kind == RKP_I64 || kind == RKP_U64;
}

static bool is_num(unsigned kind)
{
    return is_int(kind) || kind == RKP_F64;
}

static bool is_text(unsigned kind)
{
    return kind == RKP_STRING || kind == RKP_BYTES || kind == RKP_JSON;
}

static const char *const arith_signs[] = { "+", "-", "*", "/", "//", "%" };
static const char *const cmp_signs[] = { "==", "!=", "<", "<=", ">", ">=" };

// ---- conversions ----------------------------------------------------------------------------------------------------

static bool out_of_memory(rki_check *c)
{
    c->s.oom = true;
    return false;
}

static rkp_frame *frame_of(rki_check *c)
{
    if (!c->frame)
        c->frame = rkp_frame_new(NULL);
    if (!c->frame)
        c->s.oom = true;
    return c->frame;
}

// Evaluates a node that depends on no row.  It stays as it is when its value is an error.
static bool fold(rki_check *c, rki_node *n)
{
    rki_node to = { 0 };
    uint8_t state = 0;

    if (!frame_of(c) || !rki_fold(c->frame, n, &to, &state, c->s.arena))
        return out_of_memory(c);
    if (state > 1)
        return true;
    n->op = RKI_X_CONST;
    n->n = 0;
    n->height = 1;
    n->null = n->nullable = state == 1;
    n->v = to.v;
    return true;
}

static bool all_const(const rki_node *n)
{
    for (uint32_t i = 0; i < n->n; i++)
        if (n->arg[i]->op != RKI_X_CONST)
            return false;
    return n->n > 0;
}

bool rki_convert(rki_check *c, rki_node *n, uint32_t i, unsigned kind)
{
    rki_node *a = n->arg[i], *conv;

    if (a->kind == kind)
        return true;
    if (a->op == RKI_X_CONST && a->null) {
        a->kind = (uint8_t)kind;
        return true;
    }
    if (a->op == RKI_X_CONST && a->kind == RKP_I64 && kind == RKP_U64 && a->v.i >= 0) {
        a->kind = RKP_U64;
        return true;
    }
    conv = rki_expr_node(&c->s, RKI_X_CONV, 1);
    if (!conv)
        return false;
    rki_expr_arg(conv, 0, a);
    conv->kind = (uint8_t)kind;
    conv->nullable = a->nullable;
    conv->from = conv->tok = a->from;
    conv->to = conv->tok_end = a->to;
    n->arg[i] = conv;
    if (conv->height >= n->height)
        n->height = (uint16_t)(conv->height + 1);
    return a->op != RKI_X_CONST || fold(c, conv);
}

static bool fits_u64(const rki_node *n)
{
    return n->kind == RKP_U64 || n->kind == RKI_NULL || (n->op == RKI_X_CONST && n->kind == RKP_I64 && n->v.i >= 0);
}

// The type that integers and floats meet in: of args[0..n).
static unsigned num_kind(rki_node *const *arg, uint32_t n)
{
    bool unsigned_ = false, signed_ = false;

    for (uint32_t i = 0; i < n; i++) {
        if (arg[i]->kind == RKP_F64)
            return RKP_F64;
        unsigned_ |= arg[i]->kind == RKP_U64;
        signed_ |= !fits_u64(arg[i]);
    }
    return unsigned_ && !signed_ ? RKP_U64 : RKP_I64;
}

// The one type of args[from..to), RKI_NULL when all are null; false when there is none.
static bool common_kind(rki_node *const *arg, uint32_t from, uint32_t to, unsigned *kind, uint32_t *odd)
{
    unsigned k = RKI_NULL;
    uint32_t first = from;

    for (uint32_t i = from; i < to; i++) {
        if (arg[i]->kind == RKI_NULL)
            continue;
        if (k == RKI_NULL) {
            k = arg[i]->kind;
            first = i;
        }
        if (arg[i]->kind != k && !(is_num(arg[i]->kind) && is_num(k))) {
            *odd = i;
            *kind = arg[first]->kind;
            return false;
        }
    }
    *kind = is_num(k) ? num_kind(arg + from, to - from) : k;
    return true;
}

static bool convert_all(rki_check *c, rki_node *n, uint32_t from, unsigned kind)
{
    for (uint32_t i = from; i < n->n; i++)
        if (!rki_convert(c, n, i, kind))
            return false;
    return true;
}

// ---- names ----------------------------------------------------------------------------------------------------------

static bool wrong(rki_node *n)
{
    n->bad = true;
    return true;
}

// Hint with the nearest of n names, or those that there are.
static void hint_name(rki_check *c, rkp_str word, const rkp_str *(*get)(const void *of, size_t i), const void *of,
                      size_t n, const char *prefix, const char *all)
{
    const char **names = rki_array(c->s.arena, n + 1, sizeof *names);
    const char *near;
    char text[300];
    size_t len = 0;

    if (!names) {
        c->s.oom = true;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const rkp_str *s = get(of, i);

        names[i] = rki_dup(c->s.arena, s->p, s->n);
        if (!names[i]) {
            c->s.oom = true;
            return;
        }
    }
    near = rki_nearest(word, names);
    if (near) {
        rki_hint(&c->s, "did you mean '%s%s'?", prefix, near);
        return;
    }
    for (size_t i = 0; i < n && i < 12; i++) {
        int k = snprintf(text + len, sizeof text - len, "%s%s%s", i ? ", " : "", prefix, names[i]);

        if (k < 0 || (size_t)k >= sizeof text - len) {
            n = 13;
            break;
        }
        len += (size_t)k;
    }
    text[len] = 0;
    if (len)
        rki_hint(&c->s, "%s %s%s", all, text, n > 12 ? ", .." : "");
}

static const rkp_str *field_name(const void *of, size_t i)
{
    return &((const rkp_schema *)of)->f[i].name;
}

static const rkp_str *var_name(const void *of, size_t i)
{
    return &((const rkp_expr_var *)of)[i].name;
}

static const rkp_str *meta_name(const void *of, size_t i)
{
    return (const rkp_str *)of + i;
}

static void no_column(rki_check *c, const rki_node *n)
{
    const rkp_schema *s = c->scope->schema;
    rkp_str name = n->v.s;

    rki_say(&c->s, n->tok, n->tok_end, "expr-column", "no column '" RKP_STR_FMT "'", RKP_STR_ARG(name));
    for (size_t i = 0; i < c->scope->n_vars; i++) {
        if (rkp_str_eq(c->scope->vars[i].name, name)) {
            rki_hint(&c->s, "write var." RKP_STR_FMT " for the variable of the pipeline", RKP_STR_ARG(name));
            return;
        }
    }
    if (rkp_str_is(name, "True") || rkp_str_is(name, "TRUE") || rkp_str_is(name, "False") ||
        rkp_str_is(name, "FALSE") || rkp_str_is(name, "NULL") || rkp_str_is(name, "None") || rkp_str_is(name, "nil")) {
        rki_hint(&c->s, "write %s", (name.p[0] | 32) == 't' ? "true" : (name.p[0] | 32) == 'f' ? "false" : "null");
        return;
    }
    // a-b, where the column has that name.
    for (uint32_t i = 0; s && i < s->n; i++) {
        const rkp_field *f = &s->f[i];

        if (n->sub == RKI_N_BARE && f->name.n > name.n && memcmp(f->name.p, name.p, name.n) == 0 &&
            f->name.n <= c->s.text.n - n->from && memcmp(c->s.text.p + n->from, f->name.p, f->name.n) == 0) {
            rki_hint(&c->s, "write `" RKP_STR_FMT "` in backticks", RKP_STR_ARG(f->name));
            return;
        }
    }
    if (s && s->n)
        hint_name(c, name, field_name, s, s->n, "", "the columns are");
}

static bool column(rki_check *c, rki_node *n, bool alone)
{
    const rkp_schema *s = c->scope->schema;
    int at = s ? rkp_schema_find(s, n->v.s) : -1;
    rkp_type t;

    if (at < 0 && n->sub == RKI_N_BARE) {
        if (c->extra && c->extra->row && rkp_str_is(n->v.s, "row")) {
            n->op = RKI_X_ROW;
            n->kind = RKP_I64;
            return true;
        }
        if (rkp_str_is(n->v.s, "this") || rkp_str_is(n->v.s, "var") || rkp_str_is(n->v.s, "meta")) {
            rki_say(&c->s, n->tok, n->tok_end, "expr-column", "'" RKP_STR_FMT "' alone is no value",
                    RKP_STR_ARG(n->v.s));
            rki_hint(&c->s, "write " RKP_STR_FMT ".name, or `" RKP_STR_FMT "` for a column of that name",
                     RKP_STR_ARG(n->v.s), RKP_STR_ARG(n->v.s));
            return wrong(n);
        }
    }
    if (at < 0) {
        no_column(c, n);
        return wrong(n);
    }
    t = s->f[at].type;
    n->op = RKI_X_COL;
    n->v.index = (uint32_t)at;
    n->nullable = t.nullable;
    if (t.len) {
        if (!alone) {
            rki_say(&c->s, n->tok, n->tok_end, "expr-type", "column '" RKP_STR_FMT "' holds arrays: not supported yet",
                    RKP_STR_ARG(s->f[at].name));
            rki_hint(&c->s, "a column of arrays can only be passed on as it is");
            return wrong(n);
        }
        n->kind = RKI_NULL;
    } else if (t.kind == RKP_U64) {
        n->kind = RKP_U64;
    } else if (rkp_kind_is_int(t.kind)) {
        n->kind = RKP_I64;
    } else if (rkp_kind_is_float(t.kind)) {
        n->kind = RKP_F64;
    } else {
        n->kind = t.kind;
    }
    return true;
}

static bool variable(rki_check *c, rki_node *n)
{
    const rkp_expr_var *v = NULL;
    bool ok = true;

    for (size_t i = 0; i < c->scope->n_vars && !v; i++)
        if (rkp_str_eq(c->scope->vars[i].name, n->v.s))
            v = &c->scope->vars[i];
    if (!v) {
        rki_say(&c->s, n->tok, n->tok_end, "expr-var", "no variable '" RKP_STR_FMT "'", RKP_STR_ARG(n->v.s));
        if (c->scope->n_vars)
            hint_name(c, n->v.s, var_name, c->scope->vars, c->scope->n_vars, "var.", "the variables are");
        return wrong(n);
    }
    n->op = RKI_X_CONST;
    switch (v->type.kind) {
    case RKP_I64:
        n->kind = RKP_I64;
        ok = rkp_parse_i64(v->text.p, v->text.n, &n->v.i);
        break;
    case RKP_F64:
        n->kind = RKP_F64;
        ok = rkp_parse_f64(v->text.p, v->text.n, &n->v.f);
        break;
    case RKP_BOOL:
        n->kind = RKP_BOOL;
        n->v.b = rkp_str_is(v->text, "true");
        ok = n->v.b || rkp_str_is(v->text, "false");
        break;
    default:
        n->kind = RKP_STRING;
        n->v.s = rki_dup_str(c->s.arena, v->text);
        if (!n->v.s.p)
            return out_of_memory(c);
        break;
    }
    if (!ok) {
        rki_say(&c->s, n->tok, n->tok_end, "expr-var", "the variable '" RKP_STR_FMT "' is no %s: '" RKP_STR_FMT "'",
                RKP_STR_ARG(v->name), rki_kind_word(n->kind), RKP_STR_ARG(v->text));
        return wrong(n);
    }
    return true;
}

static bool meta(rki_check *c, rki_node *n)
{
    for (size_t i = 0; i < c->scope->n_meta; i++) {
        if (rkp_str_eq(c->scope->meta[i], n->v.s)) {
            n->op = RKI_X_META;
            if (c->scope->meta_used)
                *c->scope->meta_used |= 1u << i;
            n->v.index = (uint32_t)i;
            n->kind = RKP_STRING;
            n->nullable = true;
            return true;
        }
    }
    rki_say(&c->s, n->tok, n->tok_end, "expr-meta", "no 'meta." RKP_STR_FMT "' here", RKP_STR_ARG(n->v.s));
    if (c->scope->n_meta)
        hint_name(c, n->v.s, meta_name, c->scope->meta, c->scope->n_meta, "meta.", "there are");
    return wrong(n);
}

static bool name(rki_check *c, rki_node *n, bool alone)
{
    return n->sub == RKI_N_VAR ? variable(c, n) : n->sub == RKI_N_META ? meta(c, n) : column(c, n, alone);
}

// ---- operators ------------------------------------------------------------------------------------------------------

static void not_numbers(rki_check *c, const rki_node *n)
{
    unsigned a = n->arg[0]->kind, b = n->arg[1]->kind;
    const char *sign = arith_signs[n->sub];

    rki_say(&c->s, n->tok, n->tok_end, "expr-type", "'%s' needs numbers, not %s and %s", sign, rki_kind_word(a),
            rki_kind_word(b));
    if (n->sub == RKI_ADD && (is_text(a) || is_text(b)) && !is_num(a) && !is_num(b))
        rki_hint(&c->s, "write concat(a, b) to join text");
    else if (is_text(a) || is_text(b))
        rki_hint(&c->s, "write to_float(x) or to_int(x) to read a number%s",
                 n->sub == RKI_ADD ? ", concat(a, b) to join text" : "");
    else if (a == RKP_BOOL || b == RKP_BOOL)
        rki_hint(&c->s, "write to_int(x) for 0 or 1");
    else
        rki_hint(&c->s, "a timestamp takes + and - with i64 microseconds; to_int(x) is its microseconds");
}

static bool arith(rki_check *c, rki_node *n)
{
    rki_node *a = n->arg[0], *b = n->arg[1];
    unsigned k;

    if ((a->kind == RKP_TIMESTAMP || b->kind == RKP_TIMESTAMP) && (n->sub == RKI_ADD || n->sub == RKI_SUB)) {
        bool both = a->kind == b->kind;
        unsigned other = a->kind == RKP_TIMESTAMP ? b->kind : a->kind;

        if (both && n->sub == RKI_SUB) {
            n->kind = RKP_I64;
            return true;
        }
        if (!both && (is_int(other) || other == RKI_NULL) && (n->sub == RKI_ADD || a->kind == RKP_TIMESTAMP)) {
            n->kind = RKP_TIMESTAMP;
            return rki_convert(c, n, a->kind == RKP_TIMESTAMP ? 1 : 0, RKP_I64);
        }
        not_numbers(c, n);
        return wrong(n);
    }
    if ((!is_num(a->kind) && a->kind != RKI_NULL) || (!is_num(b->kind) && b->kind != RKI_NULL)) {
        not_numbers(c, n);
        return wrong(n);
    }
    k = n->sub == RKI_DIV ? RKP_F64 : num_kind(n->arg, 2);
    n->kind = (uint8_t)k;
    return convert_all(c, n, 0, k);
}

static bool negate(rki_check *c, rki_node *n)
{
    rki_node *a = n->arg[0];
    unsigned k = a->kind == RKI_NULL ? RKP_I64 : a->kind;

    if (!is_num(k)) {
        rki_say(&c->s, n->tok, n->tok_end, "expr-type", "'%c' needs a number, not %s", n->sub ? '+' : '-',
                rki_kind_word(k));
        return wrong(n);
    }
    if (n->sub) { // a plus changes nothing
        uint32_t from = n->from;

        if (!rki_convert(c, n, 0, k))
            return false;
        *n = *n->arg[0];
        n->from = from;
        return true;
    }
    if (k == RKP_U64)
        k = RKP_I64;
    n->kind = (uint8_t)k;
    return rki_convert(c, n, 0, k);
}

static void cannot_compare(rki_check *c, const rki_node *n, unsigned a, unsigned b, const rki_node *text)
{
    rki_say(&c->s, n->tok, n->tok_end, "expr-type", "cannot compare %s with %s", rki_kind_word(a), rki_kind_word(b));
    if (a == RKP_JSON || b == RKP_JSON)
        rki_hint(&c->s, "write json_get(x, 'path'), or to_string(x) for its text");
    else if (text && is_text(text->kind) && text->op == RKI_X_CONST && (is_num(a) || is_num(b)))
        rki_hint(&c->s, "write the number without quotes; a column's name with odd signs stands in backticks");
    else if (is_text(a) != is_text(b) && (is_num(a) || is_num(b)))
        rki_hint(&c->s, "write to_float(x) or to_int(x) to read the number, or quotes around the text");
    else if ((a == RKP_TIMESTAMP || b == RKP_TIMESTAMP) && (is_text(a) || is_text(b)))
        rki_hint(&c->s, "write to_timestamp(x) to read the time");
    else if ((a == RKP_TIMESTAMP || b == RKP_TIMESTAMP) && (is_num(a) || is_num(b)))
        rki_hint(&c->s, "write to_timestamp(x, 's'), or to_int(x) for the microseconds of a timestamp");
    else if ((a == RKP_BOOL || b == RKP_BOOL) && (is_num(a) || is_num(b)))
        rki_hint(&c->s, "write a < b && b < c to compare three values");
}

// A literal string becomes the time it is.  *done when it was one.
static bool time_literal(rki_check *c, rki_node *n, uint32_t i, bool *done)
{
    rki_node *a = n->arg[i];
    int64_t us;

    *done = false;
    if (a->op != RKI_X_CONST || a->kind != RKP_STRING || a->null)
        return true;
    *done = true;
    if (!rki_parse_time(a->v.s, &us)) {
        rki_say(&c->s, a->from, a->to, "expr-literal", "'" RKP_STR_FMT "' is not a time", RKP_STR_ARG(a->v.s));
        rki_hint(&c->s, "write it as '2024-01-31' or '2024-01-31T12:00:00Z'");
        return wrong(n);
    }
    a->kind = RKP_TIMESTAMP;
    a->v.i = us;
    return true;
}

static void null_compared(rki_check *c, const rki_node *n, const char *sign)
{
    if (c->s.diags) {
        rkp_diag(c->s.diags, RKP_WARNING, rki_place(&c->s, n->tok, n->tok_end), "expr-null",
                 "'%s' with null is always null", sign);
        rkp_diag_hint(c->s.diags, "write is_null(x) or !is_null(x)");
    }
}

static bool compare(rki_check *c, rki_node *n)
{
    rki_node *a = n->arg[0], *b = n->arg[1];
    bool done = false;

    n->kind = RKP_BOOL;
    if (a->kind == RKI_NULL || b->kind == RKI_NULL) {
        unsigned k = a->kind == RKI_NULL ? b->kind : a->kind;

        null_compared(c, n, cmp_signs[n->sub]);
        return convert_all(c, n, 0, k == RKI_NULL ? RKP_I64 : k);
    }
    if (a->kind == RKP_TIMESTAMP && b->kind == RKP_STRING && !time_literal(c, n, 1, &done))
        return false;
    if (b->kind == RKP_TIMESTAMP && a->kind == RKP_STRING && !time_literal(c, n, 0, &done))
        return false;
    if (n->bad)
        return true;
    if (is_num(a->kind) && is_num(b->kind)) {
        unsigned k = num_kind(n->arg, 2);

        // i64 and u64 are compared as they are.
        return k == RKP_I64 && a->kind != b->kind ? true : convert_all(c, n, 0, k);
    }
    if (a->kind == RKP_JSON || b->kind == RKP_JSON || (a->kind != b->kind && !(is_text(a->kind) && is_text(b->kind)))) {
        cannot_compare(c, n, a->kind, b->kind, is_text(a->kind) ? a : b);
        return wrong(n);
    }
    if (a->kind == RKP_BOOL && n->sub > RKI_NE) {
        rki_say(&c->s, n->tok, n->tok_end, "expr-type", "'%s' cannot order bool and bool", cmp_signs[n->sub]);
        return wrong(n);
    }
    return true;
}

// Parts of && || ! and the question of ?:.
static bool condition(rki_check *c, rki_node *n, uint32_t i, const char *sign)
{
    rki_node *a = n->arg[i];

    if (a->kind == RKP_BOOL)
        return true;
    if (a->kind == RKI_NULL)
        return rki_convert(c, n, i, RKP_BOOL);
    rki_say(&c->s, a->from, a->to, "expr-type", "'%s' needs a condition, not %s", sign, rki_kind_word(a->kind));
    if (is_num(a->kind))
        rki_hint(&c->s, "write x != 0");
    else if (n->op == RKI_X_OR && is_text(a->kind))
        rki_hint(&c->s, "write concat(a, b) to join text");
    else if (is_text(a->kind))
        rki_hint(&c->s, "write x == 'text'");
    n->bad = true;
    return true;
}

static bool conditions(rki_check *c, rki_node *n, const char *sign)
{
    n->kind = RKP_BOOL;
    for (uint32_t i = 0; i < n->n; i++)
        if (!condition(c, n, i, sign))
            return false;
    return true;
}

static bool membership(rki_check *c, rki_node *n)
{
    unsigned k;
    uint32_t odd;
    bool done = false;

    n->kind = RKP_BOOL;
    if (n->arg[0]->kind == RKP_TIMESTAMP)
        for (uint32_t i = 1; i < n->n; i++)
            if (!time_literal(c, n, i, &done))
                return false;
    if (n->bad)
        return true;
    for (uint32_t i = 0; i < n->n; i++)
        if (n->arg[i]->op == RKI_X_CONST && n->arg[i]->null && (i == 0 || n->sub))
            null_compared(c, n, n->sub ? "not in" : "in");
    if (!common_kind(n->arg, 0, n->n, &k, &odd)) {
        cannot_compare(c, n->arg[odd], k, n->arg[odd]->kind, n->arg[odd]);
        return wrong(n);
    }
    if (k == RKP_JSON) {
        cannot_compare(c, n, k, k, NULL);
        return wrong(n);
    }
    if (!convert_all(c, n, 0, k == RKI_NULL ? RKP_I64 : k))
        return false;
    for (uint32_t i = 1; i < n->n; i++)
        if (n->arg[i]->op != RKI_X_CONST)
            return true;
    n->data = rki_set_new(c->s.arena, n);
    return n->data || out_of_memory(c);
}

// The text of a literal's inside, so that places in a pattern can be shown; false when escapes stand in it.
static bool literal_inside(const rki_check *c, const rki_node *n, uint32_t *from, uint32_t *to)
{
    const char *p = c->s.text.p + n->from;
    uint32_t raw = *p == 'r';

    if (n->op != RKI_X_CONST || (p[raw] != '\'' && p[raw] != '"') || n->to - n->from != n->v.s.n + 2 + raw)
        return false;
    *from = n->from + raw + 1;
    *to = n->to - 1;
    return true;
}

// The regular expression that arg[i] is, compiled into n->data.
static bool pattern(rki_check *c, rki_node *n, uint32_t i, const char *what)
{
    rki_node *a = n->arg[i];
    uint32_t from = a->from, to = a->to;
    bool exact;

    if (a->kind != RKP_STRING || a->op != RKI_X_CONST || a->null) {
        rki_say(&c->s, a->from, a->to, "expr-type", "%s needs a constant pattern%s%s", what,
                a->kind != RKP_STRING ? ", not " : "", a->kind != RKP_STRING ? rki_kind_word(a->kind) : "");
        return wrong(n);
    }
    exact = literal_inside(c, a, &from, &to);
    n->data = rki_regex_new(c->s.arena, c->s.diags, a->v.s, rki_place(&c->s, from, to), exact);
    if (n->data)
        return true;
    if (rki_arena_failed(c->s.arena))
        return out_of_memory(c);
    c->s.failed = true;
    return wrong(n);
}

static bool match(rki_check *c, rki_node *n)
{
    rki_node *a = n->arg[0];

    n->kind = RKP_BOOL;
    if (a->kind == RKI_NULL && !rki_convert(c, n, 0, RKP_STRING))
        return false;
    if (a->kind != RKP_STRING) {
        rki_say(&c->s, n->tok, n->tok_end, "expr-type", "'=~' needs text, not %s", rki_kind_word(a->kind));
        rki_hint(&c->s, "write to_string(x) =~ 'regex'");
        n->bad = true;
    }
    return pattern(c, n, 1, "'=~'");
}

static void null_constant(rki_node *n)
{
    n->op = RKI_X_CONST;
    n->kind = RKI_NULL;
    n->n = 0;
    n->height = 1;
    n->null = n->nullable = true;
}

static bool results(rki_check *c, rki_node *n, uint32_t from, const char *what)
{
    unsigned k;
    uint32_t odd;

    if (!common_kind(n->arg, from, n->n, &k, &odd)) {
        rki_say(&c->s, n->tok, n->tok_end, "expr-type", "%s cannot be %s and %s", what, rki_kind_word(k),
                rki_kind_word(n->arg[odd]->kind));
        if (is_text(k) != is_text(n->arg[odd]->kind))
            rki_hint(&c->s, "write to_string(x) to make both text");
        return wrong(n);
    }
    if (k == RKI_NULL) { // nothing but nulls
        null_constant(n);
        return true;
    }
    n->kind = (uint8_t)k;
    return convert_all(c, n, from, k);
}

static bool conditional(rki_check *c, rki_node *n)
{
    if (!condition(c, n, 0, "?:"))
        return false;
    n->nullable = n->arg[1]->nullable || n->arg[2]->nullable;
    return results(c, n, 1, "the results of '?:'");
}

static bool coalesce(rki_check *c, rki_node *n)
{
    n->nullable = true;
    for (uint32_t i = 0; i < n->n; i++)
        n->nullable &= n->arg[i]->nullable;
    return results(c, n, 0, "the sides of '?\?'");
}

// ---- calls ----------------------------------------------------------------------------------------------------------

static void no_function(rki_check *c, const rki_node *n)
{
    static const struct {
        const char *name, *hint;
    } others[] = {
        { "if", "write condition ? a : b" },
        { "iff", "write condition ? a : b" },
        { "case", "write condition ? a : b" },
        { "ifnull", "write x ?? default" },
        { "nvl", "write x ?? default" },
        { "isnull", "did you mean 'is_null'?" },
        { "isnan", "did you mean 'is_nan'?" },
        { "len", "did you mean 'length'?" },
        { "size", "did you mean 'length'?" },
        { "char_length", "did you mean 'length'?" },
        { "substring", "did you mean 'substr'?" },
        { "slice", "did you mean 'substr'?" },
        { "lowercase", "did you mean 'lower'?" },
        { "uppercase", "did you mean 'upper'?" },
        { "tolower", "did you mean 'lower'?" },
        { "toupper", "did you mean 'upper'?" },
        { "strip", "did you mean 'trim'?" },
        { "join", "write concat(a, b)" },
        { "split_part", "did you mean 'split'?" },
        { "regexp_extract", "did you mean 'extract'?" },
        { "regexp_matches", "write x =~ 'regex'" },
        { "match", "write x =~ 'regex'" },
        { "int", "did you mean 'to_int'?" },
        { "float", "did you mean 'to_float'?" },
        { "str", "did you mean 'to_string'?" },
        { "string", "did you mean 'to_string'?" },
        { "cast", "write to_int(x), to_float(x), to_string(x) or to_timestamp(x)" },
        { "parse_json", "write json_get(text, path)" },
        { "json_extract", "did you mean 'json_get'?" },
        { "power", "did you mean 'pow'?" },
        { "log", "write ln(x) or log10(x)" },
        { "ceiling", "did you mean 'ceil'?" },
        { "trunc", "write x // 1, or to_int(x)" },
        { "mod", "write a % b" },
        { "least", "did you mean 'min'?" },
        { "greatest", "did you mean 'max'?" },
        { "strftime", "did you mean 'format_time'?" },
        { "strptime", "did you mean 'to_timestamp'?" },
        { "timestamp", "did you mean 'to_timestamp'?" },
        { "dayofweek", "did you mean 'weekday'?" },
        { "count", "aggregates stand in `compute` of the operator aggregate" },
        { "sum", "aggregates stand in `compute` of the operator aggregate" },
        { "avg", "aggregates stand in `compute` of the operator aggregate" },
        { "mean", "aggregates stand in `compute` of the operator aggregate" },
        { "rand_int", "random functions stand in `columns` of the operator generate" },
        { "rand_float", "random functions stand in `columns` of the operator generate" },
        { "rand_choice", "random functions stand in `columns` of the operator generate" },
        { "rand_normal", "random functions stand in `columns` of the operator generate" },
        { "uuid", "random functions stand in `columns` of the operator generate" },
    };
    const char *names[128];
    const char *near;
    size_t k = 0;

    rki_say(&c->s, n->tok, n->tok_end, "expr-function", "no function '" RKP_STR_FMT "'", RKP_STR_ARG(n->v.s));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (rkp_str_is(n->v.s, others[i].name)) {
            rki_hint(&c->s, "%s", others[i].hint);
            return;
        }
    }
    for (const rki_fn_group *g = rki_expr_functions(); g->title; g++)
        for (const rki_fn *f = g->fns; f->name && k < 127; f++)
            names[k++] = f->name;
    for (const rkp_expr_fn *f = c->extra ? c->extra->fns : NULL; f && f->name && k < 127; f++)
        names[k++] = f->name;
    names[k] = NULL;
    near = rki_nearest(n->v.s, names);
    if (near)
        rki_hint(&c->s, "did you mean '%s'?", near);
    else if (c->scope->schema && rkp_schema_find(c->scope->schema, n->v.s) >= 0)
        rki_hint(&c->s, "the column '" RKP_STR_FMT "' is no function", RKP_STR_ARG(n->v.s));
    else
        rki_hint(&c->s, "`rkpipe list functions` shows them all");
}

// How many arguments a signature takes.
static void arity(const char *args, uint32_t *min, uint32_t *max)
{
    bool optional = false;

    *min = *max = 0;
    for (; *args; args++) {
        if (*args == '?')
            optional = true;
        else if (*args == '*')
            *max = UINT32_MAX;
        else {
            *min += !optional;
            *max += 1;
        }
    }
}

static const char *letter_word(char letter)
{
    switch (letter) {
    case 'n':
    case 'f':
        return "a number";
    case 'i':
        return "an integer";
    case 's':
        return "string";
    case 'S':
        return "a constant string";
    case 'j':
        return "string or json";
    case 't':
        return "timestamp";
    case 'b':
        return "bool";
    default:
        return "a value";
    }
}

// Brings argument i to what the letter wants.
static bool argument(rki_check *c, rki_node *n, uint32_t i, char letter, const char *fn, const char *usage)
{
    rki_node *a = n->arg[i];
    unsigned k = a->kind, want = k;
    bool ok = true, done;

    switch (letter) {
    case 'n':
        want = k == RKI_NULL ? RKP_I64 : k;
        ok = is_num(want);
        break;
    case 'i':
        want = RKP_I64;
        ok = is_int(k) || k == RKI_NULL;
        break;
    case 'f':
        want = RKP_F64;
        ok = is_num(k) || k == RKI_NULL;
        break;
    case 's':
        want = RKP_STRING;
        ok = k == RKP_STRING || k == RKI_NULL;
        break;
    case 'S':
        ok = k == RKP_STRING && a->op == RKI_X_CONST && !a->null;
        break;
    case 'j':
        want = k == RKI_NULL ? RKP_STRING : k;
        ok = want == RKP_STRING || want == RKP_JSON;
        break;
    case 't':
        if (k == RKP_STRING && !time_literal(c, n, i, &done))
            return false;
        if (n->bad)
            return true;
        k = n->arg[i]->kind;
        want = RKP_TIMESTAMP;
        ok = k == RKP_TIMESTAMP || k == RKI_NULL;
        break;
    case 'b':
        want = RKP_BOOL;
        ok = k == RKP_BOOL || k == RKI_NULL;
        break;
    default:
        want = k == RKI_NULL ? RKP_STRING : k;
        break;
    }
    if (!ok) {
        rki_say(&c->s, a->from, a->to, "expr-type", "argument %u of %s must be %s, not %s", i + 1, fn,
                letter_word(letter), rki_kind_word(k));
        if (letter == 's' && !is_text(k))
            rki_hint(&c->s, "write to_string(x)");
        else if (letter == 's' && k == RKP_JSON)
            rki_hint(&c->s, "write json_get(x, 'path'), or to_string(x) for its text");
        else if ((letter == 'n' || letter == 'f') && k == RKP_STRING)
            rki_hint(&c->s, "write to_float(x)");
        else if (letter == 'i' && k == RKP_STRING)
            rki_hint(&c->s, "write to_int(x)");
        else if (letter == 't')
            rki_hint(&c->s, "write to_timestamp(x)");
        else
            rki_hint(&c->s, "%s", usage);
        n->bad = true;
        return true;
    }
    return rki_convert(c, n, i, want);
}

// Checks the arguments by the letters and sets the node's kind.
static bool signature(rki_check *c, rki_node *n, const char *fn, const char *args, char result, const char *usage)
{
    static const struct {
        char letter;
        uint8_t kind;
    } kinds[] = { { 'i', RKP_I64 },    { 'u', RKP_U64 },       { 'f', RKP_F64 },
                  { 's', RKP_STRING }, { 't', RKP_TIMESTAMP }, { 'b', RKP_BOOL } };
    uint32_t min, max;
    const char *at = args;
    uint32_t common = UINT32_MAX;

    arity(args, &min, &max);
    if (n->n < min || n->n > max) {
        char want[40];

        if (max == UINT32_MAX)
            snprintf(want, sizeof want, "at least %u argument%s", min, min == 1 ? "" : "s");
        else if (min == max)
            snprintf(want, sizeof want, "%u argument%s", min, min == 1 ? "" : "s");
        else
            snprintf(want, sizeof want, "%u to %u arguments", min, max);
        rki_say(&c->s, n->tok, n->to, "expr-args", "%s takes %s, not %u", fn, want, n->n);
        rki_hint(&c->s, "%s", usage);
        return wrong(n);
    }
    for (uint32_t i = 0; i < n->n; i++) {
        if (*at == '?')
            at++;
        if (*at == 'c' && common == UINT32_MAX)
            common = i;
        if (*at != 'c' && !argument(c, n, i, *at, fn, usage))
            return false;
        if (at[1] && at[1] != '*')
            at++;
    }
    if (common != UINT32_MAX && !n->bad) {
        unsigned k;
        uint32_t odd;

        if (!common_kind(n->arg, common, n->n, &k, &odd)) {
            rki_say(&c->s, n->arg[odd]->from, n->arg[odd]->to, "expr-type", "the arguments of %s cannot be %s and %s",
                    fn, rki_kind_word(k), rki_kind_word(n->arg[odd]->kind));
            return wrong(n);
        }
        if (!convert_all(c, n, common, k == RKI_NULL ? RKP_I64 : k))
            return false;
    }
    n->kind = n->n ? n->arg[0]->kind : RKP_I64;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].letter == result)
            n->kind = kinds[i].kind;
    for (uint32_t i = 0; i < n->n; i++)
        n->nullable |= n->arg[i]->nullable;
    return true;
}

static bool any_bad(const rki_node *n)
{
    for (uint32_t i = 0; i < n->n; i++)
        if (n->arg[i]->bad)
            return true;
    return false;
}

static bool call(rki_check *c, rki_node *n)
{
    const rki_fn *f = rki_fn_find(n->v.s);
    const rkp_expr_fn *x = c->extra ? c->extra->fns : NULL;
    bool broken = any_bad(n);

    for (; x && x->name && !rkp_str_is(n->v.s, x->name); x++)
        ;
    if (x && x->name) {
        n->op = RKI_X_EXTRA;
        n->aux = x;
        n->v.u = c->n_sites++;
        if (broken)
            return wrong(n);
        return signature(c, n, x->name, x->args, x->result, x->usage);
    }
    if (!f) {
        no_function(c, n);
        return wrong(n);
    }
    if (broken)
        return wrong(n);
    if (!f->eval) { // try and coalesce
        uint32_t n_args = n->n;

        if (!(f->args[1] ? n_args >= 1 : n_args == 1)) {
            rki_say(&c->s, n->tok, n->to, "expr-args", "%s takes %s, not %u", f->name,
                    f->args[1] ? "at least 1 argument" : "1 argument", n_args);
            rki_hint(&c->s, "%s", f->usage);
            return wrong(n);
        }
        n->op = f->args[1] ? RKI_X_COALESCE : RKI_X_TRY;
        if (n->op == RKI_X_COALESCE)
            return coalesce(c, n);
        n->kind = n->arg[0]->kind;
        n->nullable = true;
        if (n->kind == RKI_NULL)
            null_constant(n);
        return true;
    }
    n->op = RKI_X_FN;
    n->aux = f;
    if (!signature(c, n, f->name, f->args, f->result, f->usage))
        return false;
    n->nullable |= f->nullable;
    if (f->sees_null)
        n->nullable = f->nullable;
    return n->bad || !f->bind || f->bind(c, n);
}

// ---- the walk -------------------------------------------------------------------------------------------------------

static bool operator_(rki_check *c, rki_node *n)
{
    switch (n->op) {
    case RKI_X_ARITH:
        return arith(c, n);
    case RKI_X_NEG:
        return negate(c, n);
    case RKI_X_CMP:
        return compare(c, n);
    case RKI_X_AND:
        return conditions(c, n, "&&");
    case RKI_X_OR:
        return conditions(c, n, "||");
    case RKI_X_NOT:
        return conditions(c, n, "!");
    case RKI_X_IN:
        return membership(c, n);
    case RKI_X_MATCH:
        return match(c, n);
    case RKI_X_COND:
        return conditional(c, n);
    default:
        return coalesce(c, n);
    }
}

static bool check(rki_check *c, rki_node *n)
{
    if (n->op == RKI_X_CONST)
        return true;
    if (n->op == RKI_X_NAME)
        return name(c, n, false);
    for (uint32_t i = 0; i < n->n; i++)
        if (!check(c, n->arg[i]))
            return false;
    if (n->op == RKI_X_CALL) {
        if (!call(c, n))
            return false;
    } else if (any_bad(n)) {
        n->bad = true;
    } else {
        for (uint32_t i = 0; i < n->n; i++)
            n->nullable |= n->arg[i]->nullable;
        if (!operator_(c, n))
            return false;
    }
    if (n->bad || n->kind == RKI_NULL || n->op == RKI_X_EXTRA || !all_const(n))
        return true;
    return (n->op == RKI_X_FN && ((const rki_fn *)n->aux)->changes) || fold(c, n);
}

// ---- the program ----------------------------------------------------------------------------------------------------

// Counts the uses of every column; then numbers those used more than once.
static void count_columns(const rki_node *n, uint32_t *uses)
{
    if (n->op == RKI_X_COL)
        uses[n->v.index]++;
    for (uint32_t i = 0; i < n->n; i++)
        count_columns(n->arg[i], uses);
}

static void set_slots(rki_node *n, const uint32_t *slots)
{
    if (n->op == RKI_X_COL)
        n->slot = slots[n->v.index];
    for (uint32_t i = 0; i < n->n; i++)
        set_slots(n->arg[i], slots);
}

static bool columns(rki_check *c, rkp_expr *e)
{
    uint32_t n = c->scope->schema ? c->scope->schema->n : 0;
    uint32_t *uses;

    if (n == 0)
        return true;
    uses = rki_array(c->s.arena, n, sizeof *uses);
    if (!uses)
        return out_of_memory(c);
    count_columns(e->root, uses);
    for (uint32_t i = 0; i < n; i++)
        e->n_reads += uses[i] > 0;
    e->reads = rki_array(c->s.arena, e->n_reads + 1, sizeof *e->reads);
    if (!e->reads)
        return out_of_memory(c);
    e->n_reads = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (uses[i])
            e->reads[e->n_reads++] = i;
        uses[i] = uses[i] > 1 ? e->n_slots++ : UINT32_MAX;
    }
    set_slots(e->root, uses);
    return true;
}

static bool wanted(rki_check *c, rki_node *n, rkp_want want)
{
    static const char *const words[] = { "a value", "a condition", "a number", "text" };
    bool ok = true;

    if (n->bad)
        return true;
    if (n->kind == RKI_NULL && n->op == RKI_X_CONST)
        n->kind = want == RKP_WANT_BOOL ? RKP_BOOL : want == RKP_WANT_NUM ? RKP_F64 : RKP_STRING;
    switch (want) {
    case RKP_WANT_BOOL:
        ok = n->kind == RKP_BOOL;
        break;
    case RKP_WANT_NUM:
        ok = is_num(n->kind);
        break;
    case RKP_WANT_STRING:
        ok = n->kind == RKP_STRING;
        break;
    default:
        break;
    }
    if (ok)
        return true;
    rki_say(&c->s, n->from, n->to, "expr-type", "%s is needed here, not %s", words[want], rki_kind_word(n->kind));
    if (want == RKP_WANT_BOOL && is_num(n->kind))
        rki_hint(&c->s, "write x != 0");
    else if (want == RKP_WANT_BOOL && is_text(n->kind))
        rki_hint(&c->s, "write x == 'text'");
    else if (want == RKP_WANT_STRING)
        rki_hint(&c->s, "write to_string(x)");
    return wrong(n);
}

static rkp_expr *compile(rki_check *c, rkp_want want)
{
    rki_node *root = rki_parse(&c->s);
    rkp_expr *e;
    rkp_type t;

    if (!root)
        return NULL;
    if (!(root->op == RKI_X_NAME ? name(c, root, want == RKP_WANT_ANY) : check(c, root)) || !wanted(c, root, want))
        return NULL;
    if (c->s.failed || root->bad)
        return NULL;
    e = rki_alloc(c->s.arena, sizeof *e);
    if (!e) {
        out_of_memory(c);
        return NULL;
    }
    e->root = root;
    e->column = root->op == RKI_X_COL ? (int)root->v.index : -1;
    t = e->column >= 0 ? c->scope->schema->f[e->column].type : RKP_TYPE(root->kind);
    t.nullable = root->nullable;
    e->type = t;
    e->site = c->extra ? c->extra->site : 0;
    e->conj = root->op == RKI_X_AND ? root->arg : &e->root;
    e->n_conj = root->op == RKI_X_AND ? root->n : 1;
    return columns(c, e) ? e : NULL;
}

rkp_expr *rkp_expr_compile(rkp_opt_ctx *mem, rkp_diags *d, rkp_word text, const rkp_scope *scope, rkp_want want)
{
    static const rkp_scope nothing = { 0 };
    rki_check c = {
        .s = { .arena = mem->arena, .diags = d, .text = text },
        .scope = scope ? scope : &nothing,
        .extra = scope ? scope->extra : NULL,
        .mem = mem,
    };
    rkp_expr *e = NULL;

    if (!c.s.text.p)
        c.s.text.p = "";
    e = compile(&c, want);
    rkp_frame_free(c.frame);
    if (!e && !c.s.failed && d)
        rkp_diag(d, RKP_ERROR, text.at, "memory", "not enough memory for the expression");
    return e;
}

rkp_type rkp_expr_type(const rkp_expr *e)
{
    return e->type;
}

bool rkp_expr_reads(const rkp_expr *e, uint32_t column)
{
    for (uint32_t i = 0; i < e->n_reads; i++)
        if (e->reads[i] == column)
            return true;
    return false;
}

bool rkp_expr_is_const(const rkp_expr *e)
{
    return e->root->op == RKI_X_CONST;
}

int rkp_expr_is_column(const rkp_expr *e)
{
    return e->column;
}
