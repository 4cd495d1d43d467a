// emit.c - see emit.h.  A walk over the typed tree that writes one or two statements a node:
//
//   a + b * 2 > 10          uint8_t t1 = s1;
//                           int64_t v1 = rkd_mul_i64(&t1, c1, 2LL);
//                           uint8_t t2 = rkd_join(s0, t1);
//                           int64_t v2 = rkd_add_i64(&t2, c0, v1);
//                           uint8_t v3 = (uint8_t)(v2 > 10LL);
//
// v3 is a value and t3 its state.  A node that computes for every row runs for rows without a value, too: what it finds
// there is thrown away, because its state is not 0 already.  Nodes that look at some rows only become ifs, and a chain
// (&&, ||, ??, in) a block that is left with `break`.  What is constant is decided here, so that no compiler has to say
// that some statement is never reached.
#include "expr/emit.h"
#include "expr/emit_parts.h"

#include <rkpipe/device/math.h>
#include <stdarg.h>
#include <stdio.h>

_Static_assert((int)RKD_OVERFLOW == 1 + RKP_ROW_OVERFLOW, "states of rkpipe/device/math.h");
_Static_assert((int)RKD_ZERO == 1 + RKP_ROW_ZERO, "states of rkpipe/device/math.h");
_Static_assert((int)RKD_CAST == 1 + RKP_ROW_CAST, "states of rkpipe/device/math.h");

// ---- text -----------------------------------------------------------------------------------------------------------

static bool is_text(unsigned kind)
{
    return kind >= RKP_STRING;
}

const char *rki_emit_type(unsigned kind)
{
    return kind == RKP_BOOL ? "uint8_t" : kind == RKP_U64 ? "uint64_t" : kind == RKP_F64 ? "double" : "int64_t";
}

const char *rki_emit_suffix(unsigned kind)
{
    return kind == RKP_BOOL ? "bool" : kind == RKP_U64 ? "u64" : kind == RKP_F64 ? "f64" : "i64";
}

void rki_line(rki_emit *m, const char *fmt, ...)
{
    char text[400]; // two calls with operands need less than 300
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    for (unsigned i = 0; i < m->depth; i++)
        rki_putz(&m->body, "    ");
    rki_putz(&m->body, text);
    rki_putc(&m->body, '\n');
}

bool rki_emit_no(rki_emit *m, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(m->why, m->n_why, fmt, ap);
    va_end(ap);
    return false;
}

void rki_emit_name(rki_emit *m, rki_operand *out)
{
    m->next++;
    snprintf(out->v, sizeof out->v, "v%u", m->next);
    snprintf(out->st, sizeof out->st, "t%u", m->next);
}

bool rki_emit_is(const char *st, const char *text)
{
    return strcmp(st, text) == 0;
}

static bool certain(const char *st)
{
    return rki_emit_is(st, "0");
}

void rki_emit_join(char *to, const char *a, const char *b)
{
    if (certain(a) || rki_emit_is(a, b))
        snprintf(to, 48, "%s", b);
    else if (certain(b))
        snprintf(to, 48, "%s", a);
    else
        snprintf(to, 48, "rkd_join(%s, %s)", a, b);
}

// Hexadecimal by hand: printf's point is the locale's.
void rki_emit_f64(char *to, double v)
{
    uint64_t bits = rkd_bits(v), digits = bits << 12;
    int power = (int)(bits >> 52 & 0x7ff), n = 13;

    if (power == 0x7ff) {
        snprintf(to, 48, "rkd_f64(0x%016llxULL)", (unsigned long long)bits);
        return;
    }
    for (; n > 1 && (digits >> (64 - 4 * n) & 15) == 0; n--)
        ;
    if (power == 0)
        power = digits ? 1 : 1023;
    snprintf(to, 48, "%s0x%d.%0*llxp%+d%s", bits >> 63 ? "(-" : "", (bits >> 52 & 0x7ff) != 0, n,
             (unsigned long long)(digits >> (64 - 4 * n)), power - 1023, bits >> 63 ? ")" : "");
}

void rki_emit_constant(const rki_node *n, rki_operand *out)
{
    char *to = out->v;

    snprintf(out->st, sizeof out->st, "%d", n->null);
    if (n->null)
        snprintf(to, sizeof out->v, "%s", n->kind == RKP_F64 ? "0.0" : "0");
    else if (n->kind == RKP_BOOL)
        snprintf(to, sizeof out->v, "%d", n->v.b);
    else if (n->kind == RKP_U64)
        snprintf(to, sizeof out->v, "%lluULL", (unsigned long long)n->v.u);
    else if (n->kind == RKP_F64)
        rki_emit_f64(to, n->v.f);
    else if (n->v.i == INT64_MIN)
        snprintf(to, sizeof out->v, "(-9223372036854775807LL - 1)");
    else
        snprintf(to, sizeof out->v, n->v.i < 0 ? "(%lldLL)" : "%lldLL", (long long)n->v.i);
}

// ---- what computes for every row ------------------------------------------------------------------------------------

static bool sides(rki_emit *m, const rki_node *n, rki_operand *a, rki_operand *b)
{
    return rki_emit_node(m, n->arg[0], a) && rki_emit_node(m, n->arg[1], b);
}

static bool arith(rki_emit *m, const rki_node *n, rki_operand *out)
{
    static const char *const names[] = { "add", "sub", "mul", "div", "idiv", "rem" };
    unsigned kind = n->arg[0]->kind;
    bool fails = kind != RKP_F64 || n->sub == RKI_IDIV || n->sub == RKI_REM;
    rki_operand a, b;
    char st[48];

    if (!sides(m, n, &a, &b))
        return false;
    rki_emit_name(m, out);
    rki_emit_join(st, a.st, b.st);
    if (fails || strlen(st) >= sizeof out->st)
        rki_line(m, "uint8_t %s = %s;", out->st, st);
    else
        memcpy(out->st, st, strlen(st) + 1);
    rki_line(m, "%s %s = rkd_%s_%s(%s%s%s%s, %s);", rki_emit_type(n->kind), out->v, names[n->sub],
             rki_emit_suffix(kind), fails ? "&" : "", fails ? out->st : "", fails ? ", " : "", a.v, b.v);
    return true;
}

static bool negate(rki_emit *m, const rki_node *n, rki_operand *out)
{
    rki_operand a;

    if (!rki_emit_node(m, n->arg[0], &a))
        return false;
    rki_emit_name(m, out);
    if (n->kind == RKP_F64) {
        snprintf(out->st, sizeof out->st, "%s", a.st);
        rki_line(m, "double %s = -%s;", out->v, a.v);
        return true;
    }
    rki_line(m, "uint8_t %s = %s;", out->st, a.st);
    rki_line(m, "int64_t %s = rkd_neg_i64(&%s, %s);", out->v, out->st, a.v);
    return true;
}

static bool convert(rki_emit *m, const rki_node *n, rki_operand *out)
{
    unsigned from = n->arg[0]->kind;
    rki_operand a;

    if (!rki_emit_node(m, n->arg[0], &a))
        return false;
    rki_emit_name(m, out);
    if (n->kind == RKP_F64) {
        snprintf(out->st, sizeof out->st, "%s", a.st);
        rki_line(m, "double %s = (double)%s;", out->v, a.v);
        return true;
    }
    rki_line(m, "uint8_t %s = %s;", out->st, a.st);
    rki_line(m, "%s %s = rkd_%s_of_%s(&%s, %s);", rki_emit_type(n->kind), out->v, rki_emit_suffix(n->kind),
             rki_emit_suffix(from), out->st, a.v);
    return true;
}

void rki_emit_apart(rki_emit *m, unsigned kind, const rki_operand *a, rki_operand *b)
{
    rki_operand copy;

    if (!rki_emit_is(a->v, b->v) && !rki_emit_is(b->v, "0ULL"))
        return;
    rki_emit_name(m, &copy);
    rki_line(m, "%s %s = %s;", rki_emit_type(kind), copy.v, b->v);
    snprintf(b->v, sizeof b->v, "%s", copy.v);
}

static bool compare(rki_emit *m, const rki_node *n, rki_operand *out)
{
    static const char *const signs[] = { "==", "!=", "<", "<=", ">", ">=" };
    bool u[2] = { n->arg[0]->kind == RKP_U64, n->arg[1]->kind == RKP_U64 };
    rki_operand a, b;
    char st[48];

    if (!sides(m, n, &a, &b))
        return false;
    rki_emit_apart(m, n->arg[1]->kind, &a, &b);
    rki_emit_apart(m, n->arg[0]->kind, &b, &a);
    rki_emit_name(m, out);
    rki_emit_join(st, a.st, b.st);
    if (strlen(st) >= sizeof out->st)
        rki_line(m, "uint8_t %s = %s;", out->st, st);
    else
        memcpy(out->st, st, strlen(st) + 1);
    if (u[0] != u[1])
        rki_line(m, "uint8_t %s = (uint8_t)(rkd_order_%s(%s, %s) %s 0);", out->v, u[0] ? "ui" : "iu", a.v, b.v,
                 signs[n->sub]);
    else
        rki_line(m, "uint8_t %s = (uint8_t)(%s %s %s);", out->v, a.v, signs[n->sub], b.v);
    return true;
}

static bool not_(rki_emit *m, const rki_node *n, rki_operand *out)
{
    rki_operand a;

    if (!rki_emit_node(m, n->arg[0], &a))
        return false;
    rki_emit_name(m, out);
    snprintf(out->st, sizeof out->st, "%s", a.st);
    rki_line(m, "uint8_t %s = (uint8_t)!%s;", out->v, a.v);
    return true;
}

static bool try_(rki_emit *m, const rki_node *n, rki_operand *out)
{
    rki_operand a;

    if (!rki_emit_node(m, n->arg[0], &a))
        return false;
    *out = a;
    if (certain(a.st) || rki_emit_is(a.st, "1"))
        return true;
    rki_emit_name(m, out);
    snprintf(out->v, sizeof out->v, "%s", a.v);
    rki_line(m, "uint8_t %s = (uint8_t)(%s != 0);", out->st, a.st);
    return true;
}

// ---- the walk -------------------------------------------------------------------------------------------------------

// What a person calls this node.
static const char *word(const rki_node *n)
{
    static const char *const ariths[] = { "+", "-", "*", "/", "//", "%" };
    static const char *const cmps[] = { "==", "!=", "<", "<=", ">", ">=" };
    static const char *const ops[] = {
        [RKI_X_NEG] = "-",    [RKI_X_AND] = "&&",       [RKI_X_OR] = "||",   [RKI_X_NOT] = "!",   [RKI_X_IN] = "in",
        [RKI_X_MATCH] = "=~", [RKI_X_COALESCE] = "?\?", [RKI_X_COND] = "?:", [RKI_X_TRY] = "try",
    };

    switch (n->op) {
    case RKI_X_FN:
        return ((const rki_fn *)n->aux)->name;
    case RKI_X_EXTRA:
        return ((const rkp_expr_fn *)n->aux)->name;
    case RKI_X_ARITH:
        return ariths[n->sub];
    case RKI_X_CMP:
        return cmps[n->sub];
    default:
        return n->op < sizeof ops / sizeof *ops && ops[n->op] ? ops[n->op] : "the value";
    }
}

static bool takes_text(const rki_node *n)
{
    for (uint32_t i = 0; i < n->n; i++)
        if (is_text(n->arg[i]->kind) && !(n->arg[i]->op == RKI_X_CONST && n->arg[i]->null))
            return true;
    return is_text(n->kind);
}

static bool function(rki_emit *m, const rki_node *n, rki_operand *out)
{
    const rki_fn *f = n->aux;

    if (f->host)
        return rki_emit_no(m, "'%s' %s", f->name, f->host);
    // The names of units are text, too, but constant and gone.
    if (!f->emit || (takes_text(n) && f->emit != rki_emit_date_trunc && f->emit != rki_emit_to_timestamp) ||
        (f->emit == rki_emit_to_timestamp && is_text(n->arg[0]->kind)))
        return rki_emit_no(m, "'%s' works on text, which a device does not take", f->name);
    return f->emit(m, n, out);
}

static bool column(rki_emit *m, const rki_node *n, rki_operand *out)
{
    if (n->kind == RKI_NULL)
        return rki_emit_no(m, "a column of arrays is read, which a device does not take");
    if (n->v.index >= RKI_EMIT_COLUMNS)
        return rki_emit_no(m, "column %u is one too many for a device", n->v.index);
    m->used[n->v.index / 64] |= UINT64_C(1) << n->v.index % 64;
    snprintf(out->v, sizeof out->v, "c%u", n->v.index);
    snprintf(out->st, sizeof out->st, "s%u", n->v.index);
    return true;
}

static bool literal(rki_emit *m, const rki_node *n, rki_operand *out)
{
    if (is_text(n->kind) && !n->null)
        return rki_emit_no(m, "a text is made, which a device does not take");
    rki_emit_constant(n, out);
    return true;
}

bool rki_emit_node(rki_emit *m, const rki_node *n, rki_operand *out)
{
    switch (n->op) {
    case RKI_X_MATCH:
        return rki_emit_no(m, "'=~' is a regular expression, which a device does not take");
    case RKI_X_META:
        return rki_emit_no(m, "'meta." RKP_STR_FMT "' is not known on a device",
                           RKP_STR_ARG(rkp_meta_names[n->v.index]));
    case RKI_X_ROW:
        return rki_emit_no(m, "'row' is not known on a device");
    case RKI_X_EXTRA:
        return rki_emit_no(m, "'%s' has no form for a device", word(n));
    case RKI_X_FN:
        return function(m, n, out);
    case RKI_X_CONST:
        return literal(m, n, out);
    default:
        break;
    }
    if (n->op == RKI_X_COL && n->kind != RKI_NULL && is_text(n->kind))
        return rki_emit_no(m, "a column of %s is read, which a device does not take", rki_kind_word(n->kind));
    if (n->op != RKI_X_COL && takes_text(n))
        return rki_emit_no(m, "'%s' works on text, which a device does not take", word(n));
    switch (n->op) {
    case RKI_X_COL:
        return column(m, n, out);
    case RKI_X_ARITH:
        return arith(m, n, out);
    case RKI_X_NEG:
        return negate(m, n, out);
    case RKI_X_CONV:
        return convert(m, n, out);
    case RKI_X_CMP:
        return compare(m, n, out);
    case RKI_X_NOT:
        return not_(m, n, out);
    case RKI_X_AND:
    case RKI_X_OR:
        return rki_emit_logic(m, n, out);
    case RKI_X_IN:
        return rki_emit_in(m, n, out);
    case RKI_X_COND:
        return rki_emit_cond(m, n, out);
    case RKI_X_COALESCE:
        return rki_emit_coalesce(m, n, out);
    case RKI_X_TRY:
        return try_(m, n, out);
    default:
        return rki_emit_no(m, "an operation has no form for a device");
    }
}

// ---- functions ------------------------------------------------------------------------------------------------------

enum { LONGEST_NAME = 64 };

// Names go into the source: letters, digits, _.
static bool begin(rki_emit *m, const char *name, char *why, size_t n_why)
{
    *m = (rki_emit){ .name = name, .depth = 1, .why = why, .n_why = n_why };
    rki_buf_init(&m->head);
    rki_buf_init(&m->body);
    if ((name[0] >= '0' && name[0] <= '9') || name[0] == 0 || strlen(name) > LONGEST_NAME)
        return rki_emit_no(m, "a function cannot have this name");
    for (const char *p = name; *p; p++)
        if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || *p == '_'))
            return rki_emit_no(m, "a function cannot have this name");
    return true;
}

// The kind of a column that an expression reads.
static bool read_kind(const rki_node *n, uint32_t column, unsigned *kind)
{
    if (n->op == RKI_X_COL && n->v.index == column) {
        *kind = n->kind;
        return true;
    }
    for (uint32_t i = 0; i < n->n; i++)
        if (read_kind(n->arg[i], column, kind))
            return true;
    return false;
}

// `uint8_t *st, int64_t c0, uint8_t s0`: all parameters, with their types or without.
static void parameters(const rkp_expr *e, bool state, bool types, rki_buf *to)
{
    const char *comma = state ? ", " : "";

    if (state)
        rki_putz(to, types ? "uint8_t *st" : "st");
    for (uint32_t i = 0; i < e->n_reads; i++, comma = ", ") {
        unsigned kind = RKP_I64, c = e->reads[i];

        if (types && read_kind(e->root, c, &kind))
            rki_putf(to, "%s%s c%u, uint8_t s%u", comma, rki_emit_type(kind), c, c);
        else
            rki_putf(to, "%sc%u, s%u", comma, c, c);
    }
}

// What was decided while this was written is read by no statement.
static void unused(const rki_emit *m, const rkp_expr *e, rki_buf *to)
{
    for (uint32_t i = 0; i < e->n_reads; i++) {
        uint32_t c = e->reads[i];

        if (!(m->used[c / 64] >> c % 64 & 1))
            rki_putf(to, "    (void)c%u;\n    (void)s%u;\n", c, c);
    }
}

// Adds what was written to `to`, or takes everything back.
static bool finish(rki_emit *m, bool ok, rki_buf *to, size_t was)
{
    if (ok) {
        rki_put(to, m->body.p, m->body.n);
        rki_putz(to, "}\n");
        if (m->head.failed || m->body.failed || to->failed)
            ok = rki_emit_no(m, "not enough memory");
    }
    if (!ok)
        to->n = was;
    rki_buf_fini(&m->head);
    rki_buf_fini(&m->body);
    return ok;
}

bool rki_emit_value(const rkp_expr *e, const char *name, rki_buf *to, char *why, size_t n_why)
{
    size_t was = to->n;
    rki_emit m;
    rki_operand a;
    bool ok = begin(&m, name, why, n_why);

    if (ok && is_text(e->root->kind) && e->root->op == RKI_X_CONST)
        ok = rki_emit_no(&m, "the value is text, which a device does not take");
    ok = ok && rki_emit_node(&m, e->root, &a);
    if (ok) {
        rki_line(&m, "*st = %s;", a.st);
        rki_line(&m, "return %s;", a.v);
        rki_put(to, m.head.p, m.head.n);
        rki_putf(to, "RKD_FN %s %s(", rki_emit_type(e->root->kind), name);
        parameters(e, true, true, to);
        rki_putz(to, ")\n{\n");
        unused(&m, e, to);
    }
    return finish(&m, ok, to, was);
}

// The parts of a filter, with a return where a row is decided.
static bool filter_parts(rki_emit *m, const rkp_expr *e)
{
    for (uint32_t i = 0; i < e->n_conj; i++) {
        rki_operand a;

        if (!rki_emit_node(m, e->conj[i], &a))
            return false;
        if (rki_emit_is(a.st, "1") || (rki_emit_is(a.st, "0") && rki_emit_is(a.v, "0"))) {
            rki_line(m, "return 1;");
            return true;
        }
        if (rki_emit_is(a.st, "0") && rki_emit_is(a.v, "1"))
            continue;
        if (!rki_emit_is(a.st, "0")) {
            rki_line(m, "if (%s != 0)", a.st);
            rki_line(m, "    return %s;", a.st);
        }
        rki_line(m, "if (!%s)", a.v);
        rki_line(m, "    return 1;");
    }
    rki_line(m, "return 0;");
    return true;
}

bool rki_emit_filter(const rkp_expr *e, const char *name, rki_buf *to, char *why, size_t n_why)
{
    size_t was = to->n;
    rki_emit m;
    bool ok = begin(&m, name, why, n_why);

    if (ok && e->root->kind != RKP_BOOL)
        ok = rki_emit_no(&m, "a condition is needed, not %s", rki_kind_word(e->root->kind));
    ok = ok && filter_parts(&m, e);
    if (ok) {
        rki_put(to, m.head.p, m.head.n);
        rki_putf(to, "RKD_FN uint8_t %s_st(", name);
        parameters(e, false, true, to);
        rki_putz(to, ")\n{\n");
        unused(&m, e, to);
        rki_put(to, m.body.p, m.body.n);
        rki_putf(to, "}\nRKD_FN uint8_t %s(", name);
        parameters(e, false, true, to);
        rki_putf(to, ")\n{\n    uint8_t st = %s_st(", name);
        parameters(e, false, false, to);
        rki_putz(to, ");\n\n");
        rki_buf_clear(&m.body);
        rki_line(&m, "return st > 2 ? (uint8_t)2 : st;");
    }
    return finish(&m, ok, to, was);
}

bool rki_emit_cast(unsigned from, unsigned to_kind, const char *name, rki_buf *to, char *why, size_t n_why)
{
    static const char *const names[] = {
        [RKP_BOOL] = "bool", [RKP_I8] = "i8",   [RKP_I16] = "i16", [RKP_I32] = "i32",
        [RKP_I64] = "i64",   [RKP_U8] = "u8",   [RKP_U16] = "u16", [RKP_U32] = "u32",
        [RKP_U64] = "u64",   [RKP_F32] = "f32", [RKP_F64] = "f64", [RKP_TIMESTAMP] = "i64",
    };
    size_t was = to->n;
    unsigned wide = from == RKP_F32 ? RKP_F64 : from, target = to_kind == RKP_F32 ? RKP_F64 : to_kind;
    bool bool_time = (from == RKP_BOOL && to_kind == RKP_TIMESTAMP) || (from == RKP_TIMESTAMP && to_kind == RKP_BOOL);
    rki_emit m;
    bool ok = begin(&m, name, why, n_why);

    if (ok && (is_text(from) || is_text(to_kind)))
        ok = rki_emit_no(&m, "a cast of %s to %s works on text, which a device does not take", rkp_kind_name(from),
                         rkp_kind_name(to_kind));
    else if (ok && bool_time)
        ok = rki_emit_no(&m, "there is no cast of %s to %s", rkp_kind_name(from), rkp_kind_name(to_kind));
    if (ok) {
        const char *k = from == RKP_BOOL ? "i64" : rki_emit_suffix(wide);

        rki_line(&m, "*st = s0;");
        if (from == to_kind)
            rki_line(&m, "return c0;");
        else
            rki_line(&m, "return rkd_cast_%s_%s(st, c0);", names[to_kind], k);
        rki_putf(to, "RKD_FN %s %s(uint8_t *st, %s c0, uint8_t s0)\n{\n", rki_emit_type(target), name,
                 rki_emit_type(wide));
    }
    return finish(&m, ok, to, was);
}
