// emit_fn.c - calls of functions as source of a device: see emit.c.  The work is in rkpipe/device/math.h.
#include "expr/emit_parts.h"

#include <math.h>
#include <stdio.h>

enum { MOST = 3 }; // arguments of a function with a fixed number of them

// A variable t3 with the joined states, which the function may then set.
static void states(rki_emit *m, const rki_operand *a, uint32_t n, rki_operand *out)
{
    char st[48];

    rki_emit_name(m, out);
    rki_emit_join(st, a[0].st, n > 1 ? a[1].st : "0");
    rki_line(m, "uint8_t %s = %s;", out->st, st);
    if (n > 2 && !rki_emit_is(a[2].st, "0"))
        rki_line(m, "%s = rkd_join(%s, %s);", out->st, out->st, a[2].st);
}

bool rki_emit_call(rki_emit *m, const rki_node *n, rki_operand *out)
{
    const rki_fn *f = n->aux;
    rki_operand a[MOST];

    if (n->n < 1 || n->n > MOST)
        return rki_emit_no(m, "'%s' has no form for a device", f->name);
    for (uint32_t i = 0; i < n->n; i++)
        if (!rki_emit_node(m, n->arg[i], &a[i]))
            return false;
    states(m, a, n->n, out);
    rki_line(m, "%s %s = rkd_%s_%s(&%s, %s%s%s%s%s);", rki_emit_type(n->kind), out->v, f->name,
             rki_emit_suffix(n->arg[0]->kind), out->st, a[0].v, n->n > 1 ? ", " : "", n->n > 1 ? a[1].v : "",
             n->n > 2 ? ", " : "", n->n > 2 ? a[2].v : "");
    return true;
}

bool rki_emit_extreme(rki_emit *m, const rki_node *n, rki_operand *out)
{
    const rki_fn *f = n->aux;
    rki_operand a;

    if (!rki_emit_node(m, n->arg[0], &a))
        return false;
    rki_emit_declare(m, n->kind, a.v, a.st, out);
    for (uint32_t i = 1; i < n->n; i++) {
        if (!rki_emit_node(m, n->arg[i], &a))
            return false;
        rki_line(m, "%s = rkd_%s_%s(%s, %s);", out->v, f->name, rki_emit_suffix(n->kind), out->v, a.v);
        if (!rki_emit_is(a.st, "0"))
            rki_line(m, "%s = rkd_join(%s, %s);", out->st, out->st, a.st);
    }
    return true;
}

bool rki_emit_is_null(rki_emit *m, const rki_node *n, rki_operand *out)
{
    rki_operand a;

    if (!rki_emit_node(m, n->arg[0], &a))
        return false;
    rki_emit_name(m, out);
    rki_line(m, "uint8_t %s = (uint8_t)(%s == 1);", out->v, a.st);
    rki_line(m, "uint8_t %s = rkd_error(%s);", out->st, a.st);
    rki_line(m, "(void)%s;", a.v);
    return true;
}

// 10 to so many digits, as the evaluator has it: the C library's, and infinite from 309 on.
static double power_of_ten(uint64_t digits)
{
    return pow(10, digits > 400 ? 400 : (double)digits);
}

static void powers(rki_emit *m)
{
    char text[48];

    // Once for a function, however often it rounds.
    if (m->powers)
        return;
    m->powers = true;
    rki_putf(&m->head, "RKD_CONST double %s_p10[309] = {\n", m->name);
    for (uint64_t i = 0; i < 309; i++) {
        rki_emit_f64(text, power_of_ten(i));
        rki_putf(&m->head, "    %s,\n", text);
    }
    rki_putz(&m->head, "};\n");
}

bool rki_emit_round(rki_emit *m, const rki_node *n, rki_operand *out)
{
    const rki_node *d = n->n > 1 ? n->arg[1] : NULL;
    const char *type = rki_emit_type(n->kind), *kind = rki_emit_suffix(n->kind);
    rki_operand a[2] = { { .v = "0" }, { .v = "0LL", .st = "0" } };
    bool known = !d || (d->op == RKI_X_CONST && !d->null);
    char m10[48];

    if (!rki_emit_node(m, n->arg[0], &a[0]) || (d && !rki_emit_node(m, d, &a[1])))
        return false;
    states(m, a, 2, out);
    if (n->kind != RKP_F64) {
        rki_line(m, "%s %s = rkd_round_%s(&%s, %s, %s);", type, out->v, kind, out->st, a[0].v, a[1].v);
    } else if (known) {
        int64_t digits = d ? d->v.i : 0;

        rki_emit_f64(m10, power_of_ten(digits < 0 ? 0 - (uint64_t)digits : (uint64_t)digits));
        rki_line(m, "double %s = rkd_round_f64(%s, %s, %d);", out->v, a[0].v, m10, digits < 0);
    } else {
        powers(m);
        rki_line(m, "double %s = rkd_round_at(%s, %s, %s_p10);", out->v, a[0].v, a[1].v, m->name);
    }
    return true;
}

bool rki_emit_date_trunc(rki_emit *m, const rki_node *n, rki_operand *out)
{
    const int64_t day = 86400000000;
    rki_operand a;
    int64_t us;
    unsigned months;

    if (!rki_emit_node(m, n->arg[n->v.index], &a))
        return false;
    rki_trunc_unit(n, &us, &months);
    states(m, &a, 1, out);
    if (us)
        rki_line(m, "int64_t %s = rkd_trunc_us(&%s, %s, %lldLL, %lldLL);", out->v, out->st, a.v, (long long)us,
                 (long long)(us == 7 * day ? 3 * day : 0));
    else
        rki_line(m, "int64_t %s = rkd_trunc_months(&%s, %s, %u);", out->v, out->st, a.v, months);
    return true;
}

bool rki_emit_to_timestamp(rki_emit *m, const rki_node *n, rki_operand *out)
{
    unsigned kind = n->arg[0]->kind;
    int64_t mul, div;
    rki_operand a;

    if (!rki_emit_node(m, n->arg[0], &a))
        return false;
    *out = a;
    if (kind == RKP_TIMESTAMP)
        return true;
    rki_time_scale(n, &mul, &div);
    states(m, &a, 1, out);
    if (kind == RKP_F64)
        rki_line(m, "int64_t %s = rkd_time_f64(&%s, %s, %lld.0, %lld.0);", out->v, out->st, a.v, (long long)mul,
                 (long long)div);
    else if (div > 1)
        rki_line(m, "int64_t %s = rkd_floor_div(%s, %lldLL);", out->v, a.v, (long long)div);
    else
        rki_line(m, "int64_t %s = rkd_mul_i64(&%s, %s, %lldLL);", out->v, out->st, a.v, (long long)mul);
    return true;
}

bool rki_emit_hash(rki_emit *m, const rki_node *n, rki_operand *out)
{
    rki_operand a;

    rki_emit_declare(m, RKP_U64, "0", "0", out);
    for (uint32_t i = 0; i < n->n; i++) {
        unsigned kind = n->arg[i]->kind;

        if (!rki_emit_node(m, n->arg[i], &a))
            return false;
        if (kind == RKP_BOOL || kind == RKP_F64)
            rki_line(m, "%s = rkd_hash_%s(%s, %s, %s);", out->v, rki_emit_suffix(kind), out->v, a.v, a.st);
        else
            rki_line(m, "%s = rkd_hash_u64(%s, (uint64_t)%s, %s);", out->v, out->v, a.v, a.st);
        if (!rki_emit_is(a.st, "0") && !rki_emit_is(a.st, "1"))
            rki_line(m, "%s = rkd_join(%s, rkd_error(%s));", out->st, out->st, a.st);
    }
    return true;
}
