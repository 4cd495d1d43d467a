// emit_some.c - see emit.c: nodes that look at some rows only, as blocks and ifs.
#include "expr/emit_parts.h"

#include <stdio.h>
#include <stdlib.h>

static bool certain(const char *st)
{
    return rki_emit_is(st, "0");
}

static void open_brace(rki_emit *m, const char *text)
{
    rki_line(m, "%s{", text);
    m->depth++;
}

static void close_brace(rki_emit *m, const char *text)
{
    m->depth--;
    rki_line(m, "}%s", text);
}

// A variable pair that a block below sets.
void rki_emit_declare(rki_emit *m, unsigned kind, const char *value, const char *state, rki_operand *out)
{
    rki_emit_name(m, out);
    rki_line(m, "%s %s = %s;", rki_emit_type(kind), out->v, value);
    rki_line(m, "uint8_t %s = %s;", out->st, state);
}

// One part of && || and `in`: leaves the block when it decides, or is in error; a null marks the result.  False in
// *more when it decides always, and what stands behind it is never looked at.
static void narrow(rki_emit *m, const rki_operand *a, int decides, const rki_operand *out, bool *more)
{
    if (rki_emit_is(a->st, "1")) {
        rki_line(m, "%s = 1;", out->st);
        return;
    }
    if (certain(a->st) && (rki_emit_is(a->v, "0") || rki_emit_is(a->v, "1"))) {
        *more = (a->v[0] == '1') != decides;
        if (!*more) {
            rki_line(m, "%s = %d;", out->v, decides);
            rki_line(m, "%s = 0;", out->st);
        }
        return;
    }
    if (certain(a->st))
        rki_line(m, "if (%s%s) {", decides ? "" : "!", a->v);
    else
        rki_line(m, "if (%s == 0 && %s%s) {", a->st, decides ? "" : "!", a->v);
    m->depth++;
    rki_line(m, "%s = %d;", out->v, decides);
    rki_line(m, "%s = 0;", out->st);
    rki_line(m, "break;");
    close_brace(m, "");
    if (certain(a->st))
        return;
    rki_line(m, "if (%s != 0)", a->st);
    m->depth++;
    rki_line(m, "%s = %s;", out->st, a->st);
    m->depth--;
    rki_line(m, "if (%s > 1)", a->st);
    m->depth++;
    rki_line(m, "break;");
    m->depth--;
}

bool rki_emit_logic(rki_emit *m, const rki_node *n, rki_operand *out)
{
    int decides = n->op == RKI_X_OR;
    bool more = true;

    rki_emit_declare(m, RKP_BOOL, decides ? "0" : "1", "0", out);
    open_brace(m, "do ");
    for (uint32_t i = 0; i < n->n && more; i++) {
        rki_operand a;

        if (!rki_emit_node(m, n->arg[i], &a))
            return false;
        narrow(m, &a, decides, out, &more);
    }
    close_brace(m, " while (0);");
    return true;
}

bool rki_emit_cond(rki_emit *m, const rki_node *n, rki_operand *out)
{
    rki_operand c, a;

    if (!rki_emit_node(m, n->arg[0], &c))
        return false;
    if (rki_emit_is(c.st, "1") || (certain(c.st) && rki_emit_is(c.v, "0")))
        return rki_emit_node(m, n->arg[2], out);
    if (certain(c.st) && rki_emit_is(c.v, "1"))
        return rki_emit_node(m, n->arg[1], out);
    rki_emit_declare(m, n->kind, "0", c.st, out);
    if (certain(c.st)) {
        rki_line(m, "if (%s) {", c.v);
    } else {
        rki_line(m, "if (%s > 1) {", c.st);
        rki_line(m, "} else if (%s == 0 && %s) {", c.st, c.v);
    }
    m->depth++;
    for (uint32_t i = 1; i < 3; i++) {
        if (!rki_emit_node(m, n->arg[i], &a))
            return false;
        rki_line(m, "%s = %s;", out->v, a.v);
        rki_line(m, "%s = %s;", out->st, a.st);
        close_brace(m, i == 1 ? " else {" : "");
        m->depth += i == 1;
    }
    return true;
}

bool rki_emit_coalesce(rki_emit *m, const rki_node *n, rki_operand *out)
{
    rki_emit_declare(m, n->kind, "0", "1", out);
    open_brace(m, "do ");
    for (uint32_t i = 0; i < n->n; i++) {
        rki_operand a;

        if (!rki_emit_node(m, n->arg[i], &a))
            return false;
        if (rki_emit_is(a.st, "1"))
            continue;
        rki_line(m, "%s = %s;", out->v, a.v);
        rki_line(m, "%s = %s;", out->st, a.st);
        if (certain(a.st) || i + 1 == n->n)
            break;
        rki_line(m, "if (%s != 1)", out->st);
        m->depth++;
        rki_line(m, "break;");
        m->depth--;
    }
    close_brace(m, " while (0);");
    return true;
}

// ---- in -------------------------------------------------------------------------------------------------------------

enum { FEW = 8 }; // values that are compared one after the other

static int by_i64(const void *a, const void *b)
{
    int64_t x = (*(rki_node *const *)a)->v.i, y = (*(rki_node *const *)b)->v.i;

    return (x > y) - (x < y);
}

static int by_u64(const void *a, const void *b)
{
    uint64_t x = (*(rki_node *const *)a)->v.u, y = (*(rki_node *const *)b)->v.u;

    return (x > y) - (x < y);
}

static int by_f64(const void *a, const void *b)
{
    double x = (*(rki_node *const *)a)->v.f, y = (*(rki_node *const *)b)->v.f;

    return (x > y) - (x < y);
}

// The table NAME_a3, ascending.
static void table(rki_emit *m, rki_node **v, uint32_t n, unsigned kind, const char *var)
{
    qsort(v, n, sizeof(rki_node *), kind == RKP_F64 ? by_f64 : kind == RKP_U64 ? by_u64 : by_i64);
    rki_putf(&m->head, "RKD_CONST %s %s_a%s[%u] = {\n", rki_emit_type(kind), m->name, var + 1, n);
    for (uint32_t i = 0; i < n; i++) {
        rki_operand a;

        rki_emit_constant(v[i], &a);
        rki_putf(&m->head, "    %s,\n", a.v);
    }
    rki_putz(&m->head, "};\n");
}

// x among constants.
static bool in_set(rki_emit *m, const rki_node *n, const rki_operand *x, rki_operand *out)
{
    rki_node **v = malloc(n->n * sizeof *v);
    unsigned kind = n->arg[0]->kind;
    bool null = false;
    uint32_t k = 0;

    if (!v)
        return rki_emit_no(m, "not enough memory");
    for (uint32_t i = 1; i < n->n; i++) {
        null |= n->arg[i]->null;
        if (!n->arg[i]->null && !(kind == RKP_F64 && n->arg[i]->v.f != n->arg[i]->v.f))
            v[k++] = n->arg[i];
    }
    rki_emit_declare(m, RKP_BOOL, "0", x->st, out);
    if (k > FEW && kind != RKP_BOOL) {
        table(m, v, k, kind, out->v);
        rki_line(m, "%s = rkd_in_%s(%s_a%s, %u, %s);", out->v, rki_emit_suffix(kind), m->name, out->v + 1, k, x->v);
    } else {
        for (uint32_t i = 0; i < k; i++) {
            rki_operand a;

            rki_emit_constant(v[i], &a);
            rki_line(m, "%s |= (uint8_t)(%s == %s);", out->v, x->v, a.v);
        }
    }
    free(v);
    if (k == 0)
        rki_line(m, "(void)%s;", x->v);
    if (null) {
        rki_line(m, "if (!%s && !%s)", out->v, out->st);
        m->depth++;
        rki_line(m, "%s = 1;", out->st);
        m->depth--;
    }
    return true;
}

// x == a || x == b .., with x computed once.
static bool in_parts(rki_emit *m, const rki_node *n, const rki_operand *x, rki_operand *out)
{
    bool more = true;

    rki_emit_declare(m, RKP_BOOL, "0", x->st, out);
    open_brace(m, "do ");
    if (!certain(x->st)) {
        rki_line(m, "if (%s != 0)", x->st);
        m->depth++;
        rki_line(m, "break;");
        m->depth--;
    }
    for (uint32_t i = 1; i < n->n && more; i++) {
        rki_operand a, eq;

        if (!rki_emit_node(m, n->arg[i], &a))
            return false;
        rki_emit_name(m, &eq);
        snprintf(eq.st, sizeof eq.st, "%s", a.st);
        if (!rki_emit_is(a.st, "1")) {
            rki_emit_apart(m, n->arg[0]->kind, x, &a);
            rki_line(m, "uint8_t %s = (uint8_t)(%s == %s);", eq.v, x->v, a.v);
        }
        narrow(m, &eq, 1, out, &more);
    }
    close_brace(m, " while (0);");
    return true;
}

bool rki_emit_in(rki_emit *m, const rki_node *n, rki_operand *out)
{
    rki_operand x;

    if (!rki_emit_node(m, n->arg[0], &x))
        return false;
    if (rki_emit_is(x.st, "1")) { // null, and nobody asks in what
        snprintf(out->v, sizeof out->v, "0");
        snprintf(out->st, sizeof out->st, "1");
        return true;
    }
    if (!(n->data ? in_set(m, n, &x, out) : in_parts(m, n, &x, out)))
        return false;
    if (n->sub)
        rki_line(m, "%s ^= 1;", out->v);
    return true;
}
