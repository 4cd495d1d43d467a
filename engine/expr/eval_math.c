// eval_math.c - nodes of numbers and comparisons.  The loops are in kernels.c; here are the rows that need a closer look.
#include "expr/eval.h"

#include "expr/kernels.h"

#include <math.h>

// ---- arithmetic -----------------------------------------------------------------------------------------------------

// One integer operation; 0 or a rkp_row_error.
static unsigned one_i64(unsigned op, int64_t a, int64_t b, int64_t *r)
{
    switch (op) {
    case RKI_ADD:
        return __builtin_add_overflow(a, b, r) ? RKP_ROW_OVERFLOW : 0;
    case RKI_SUB:
        return __builtin_sub_overflow(a, b, r) ? RKP_ROW_OVERFLOW : 0;
    case RKI_MUL:
        return __builtin_mul_overflow(a, b, r) ? RKP_ROW_OVERFLOW : 0;
    default:
        *r = 0;
        if (b == 0)
            return RKP_ROW_ZERO;
        if (b == -1) {
            if (op == RKI_REM)
                return 0;
            return __builtin_sub_overflow((int64_t)0, a, r) ? RKP_ROW_OVERFLOW : 0;
        }
        *r = op == RKI_IDIV ? a / b : a % b;
        return 0;
    }
}

static unsigned one_u64(unsigned op, uint64_t a, uint64_t b, uint64_t *r)
{
    switch (op) {
    case RKI_ADD:
        return __builtin_add_overflow(a, b, r) ? RKP_ROW_OVERFLOW : 0;
    case RKI_SUB:
        return __builtin_sub_overflow(a, b, r) ? RKP_ROW_OVERFLOW : 0;
    case RKI_MUL:
        return __builtin_mul_overflow(a, b, r) ? RKP_ROW_OVERFLOW : 0;
    default:
        *r = 0;
        if (b == 0)
            return RKP_ROW_ZERO;
        *r = op == RKI_IDIV ? a / b : a % b;
        return 0;
    }
}

static unsigned one_f64(unsigned op, double a, double b, double *r)
{
    *r = 0;
    if (b == 0)
        return RKP_ROW_ZERO;
    *r = op == RKI_IDIV ? trunc(a / b) : fmod(a, b);
    return 0;
}

static void bad_row(rki_eval *x, const rki_rows *r, uint32_t i, rkp_vec *out, unsigned code)
{
    rki_row_bad(x, r, i, out, code, -1, (rkp_str){ NULL, 0 });
}

// Row by row: for division, and to find the rows that overflowed.
static void arith_rows(rki_eval *x, const rki_node *n, const rki_rows *r, const rkp_vec *a, rkp_vec *out, uint32_t m)
{
    for (uint32_t i = 0; i < m; i++) {
        unsigned code;

        if (out->st[i])
            continue;
        if (a[0].kind == RKP_F64)
            code = one_f64(n->sub, RKI_AT(double, a[0], i), RKI_AT(double, a[1], i), (double *)out->v + i);
        else if (a[0].kind == RKP_U64)
            code = one_u64(n->sub, RKI_AT(uint64_t, a[0], i), RKI_AT(uint64_t, a[1], i), (uint64_t *)out->v + i);
        else
            code = one_i64(n->sub, RKI_AT(int64_t, a[0], i), RKI_AT(int64_t, a[1], i), (int64_t *)out->v + i);
        if (code)
            bad_row(x, r, i, out, code);
    }
}

// Integer division of many by one.  False when it is not that, and when the rows must be looked at one by one.
static bool divide_by_one(const rki_node *n, const rkp_vec *a, const rkp_vec *out, uint32_t m)
{
    bool rem = n->sub == RKI_REM;

    if (!a[0].step || a[1].step || a[1].st)
        return false;
    if (a[0].kind == RKP_U64) {
        uint64_t b = *(const uint64_t *)a[1].v;

        return b > 1 && rki_k_idiv_u64(out->v, a[0].v, b, rem, m);
    }
    if (a[0].kind == RKP_I64) {
        int64_t b = *(const int64_t *)a[1].v;

        if (b >= -1 && b <= 1)
            return false;
        rki_k_idiv_i64(out->v, a[0].v, b, rem, m);
        return true;
    }
    return false;
}

typedef void kernel_f64(RKI_K_ARGS(double));
typedef bool kernel_i64(RKI_K_ARGS(int64_t));
typedef bool kernel_u64(RKI_K_ARGS(uint64_t));

bool rki_run_arith(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out)
{
    static kernel_f64 *const f64[] = { rki_k_add_f64, rki_k_sub_f64, rki_k_mul_f64, rki_k_div_f64 };
    static kernel_i64 *const i64[] = { rki_k_add_i64, rki_k_sub_i64, rki_k_mul_i64 };
    static kernel_u64 *const u64[] = { rki_k_add_u64, rki_k_sub_u64, rki_k_mul_u64 };
    rkp_vec a[2] = { 0 };
    uint8_t *st;
    uint32_t m;
    bool bad = false;
    rki_top top;

    if (!rki_make(x, n, r->n, out, &st))
        return false;
    top = rki_top_of(x);
    if (!rki_run(x, n->arg[0], r, &a[0]) || !rki_run(x, n->arg[1], r, &a[1]))
        return false;
    out->step = a[0].step | a[1].step;
    m = out->step ? r->n : 1;
    out->st = rki_join(a, 2, m, st);
    if (n->sub == RKI_IDIV || n->sub == RKI_REM)
        bad = !divide_by_one(n, a, out, m);
    else if (a[0].kind == RKP_F64)
        f64[n->sub](out->v, a[0].v, a[0].step, a[1].v, a[1].step, m);
    else if (a[0].kind == RKP_U64)
        bad = u64[n->sub](out->v, a[0].v, a[0].step, a[1].v, a[1].step, m);
    else
        bad = i64[n->sub](out->v, a[0].v, a[0].step, a[1].v, a[1].step, m);
    if (bad) {
        if (!out->st)
            memset(st, 0, m);
        out->st = st;
        arith_rows(x, n, r, a, out, m);
        rki_drop_states(out, r->n);
    }
    rki_release(x, top);
    return true;
}

bool rki_run_neg(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out)
{
    rkp_vec a = { 0 };
    uint8_t *st;
    uint32_t m;
    rki_top top;

    if (!rki_make(x, n, r->n, out, &st))
        return false;
    top = rki_top_of(x);
    if (!rki_run(x, n->arg[0], r, &a))
        return false;
    out->step = a.step;
    m = a.step ? r->n : 1;
    out->st = rki_join(&a, 1, m, st);
    if (n->kind == RKP_F64) {
        rki_k_neg_f64(out->v, a.v, m);
    } else {
        static const int64_t zero = 0;

        if (rki_k_sub_i64(out->v, &zero, 0, a.v, a.step, m)) {
            if (!out->st)
                memset(st, 0, m);
            out->st = st;
            for (uint32_t i = 0; i < m; i++)
                if (!st[i] && RKI_AT(int64_t, a, i) == INT64_MIN)
                    bad_row(x, r, i, out, RKP_ROW_OVERFLOW);
        }
    }
    rki_release(x, top);
    return true;
}

bool rki_run_conv(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out)
{
    rkp_vec a = { 0 };
    uint8_t *st;
    uint32_t m;
    rki_top top;

    if (!rki_make(x, n, r->n, out, &st))
        return false;
    top = rki_top_of(x);
    if (!rki_run(x, n->arg[0], r, &a))
        return false;
    out->step = a.step;
    m = a.step ? r->n : 1;
    out->st = rki_join(&a, 1, m, st);
    if (n->kind == RKP_F64 && a.kind == RKP_I64) {
        rki_k_f64_i64(out->v, a.v, m);
    } else if (n->kind == RKP_F64) {
        rki_k_f64_u64(out->v, a.v, m);
    } else {
        uint64_t high = 0;

        memcpy(out->v, a.v, m * sizeof(uint64_t));
        for (uint32_t i = 0; i < m; i++)
            high |= ((const uint64_t *)a.v)[i];
        if (high >> 63) {
            if (!out->st)
                memset(st, 0, m);
            out->st = st;
            for (uint32_t i = 0; i < m; i++)
                if (!st[i] && ((const uint64_t *)a.v)[i] > INT64_MAX)
                    bad_row(x, r, i, out, RKP_ROW_OVERFLOW);
            rki_drop_states(out, r->n);
        }
    }
    rki_release(x, top);
    return true;
}

// ---- comparison -----------------------------------------------------------------------------------------------------

static bool holds(unsigned op, int order)
{
    switch (op) {
    case RKI_EQ:
        return order == 0;
    case RKI_NE:
        return order != 0;
    case RKI_LT:
        return order < 0;
    case RKI_LE:
        return order <= 0;
    case RKI_GT:
        return order > 0;
    default:
        return order >= 0;
    }
}

static int order_str(rkp_str a, rkp_str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;

    return c ? c : (a.n > b.n) - (a.n < b.n);
}

static void cmp_str(unsigned op, uint8_t *o, const rkp_vec *a, const rkp_vec *b, uint32_t n)
{
    if (op > RKI_NE) {
        for (uint32_t i = 0; i < n; i++)
            o[i] = holds(op, order_str(RKI_AT(rkp_str, *a, i), RKI_AT(rkp_str, *b, i)));
        return;
    }
    for (uint32_t i = 0; i < n; i++)
        o[i] = rkp_str_eq(RKI_AT(rkp_str, *a, i), RKI_AT(rkp_str, *b, i)) ^ (op == RKI_NE);
}

// i64 with u64, exactly.
static void cmp_mixed(unsigned op, uint8_t *o, const rkp_vec *a, const rkp_vec *b, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint64_t x = RKI_AT(uint64_t, *a, i), y = RKI_AT(uint64_t, *b, i);
        int order = a->kind == RKP_I64 && (int64_t)x < 0   ? -1
                    : b->kind == RKP_I64 && (int64_t)y < 0 ? 1
                                                           : (x > y) - (x < y);

        o[i] = holds(op, order);
    }
}

void rki_compare(unsigned op, uint8_t *o, const rkp_vec *a, const rkp_vec *b, uint32_t n)
{
    switch (a->kind) {
    case RKP_F64:
        rki_k_cmp_f64(op, o, a->v, a->step, b->v, b->step, n);
        break;
    case RKP_U64:
    case RKP_I64:
        if (a->kind != b->kind)
            cmp_mixed(op, o, a, b, n);
        else if (a->kind == RKP_U64)
            rki_k_cmp_u64(op, o, a->v, a->step, b->v, b->step, n);
        else
            rki_k_cmp_i64(op, o, a->v, a->step, b->v, b->step, n);
        break;
    case RKP_TIMESTAMP:
        rki_k_cmp_i64(op, o, a->v, a->step, b->v, b->step, n);
        break;
    case RKP_BOOL:
        for (uint32_t i = 0; i < n; i++)
            o[i] = (RKI_AT(uint8_t, *a, i) ^ RKI_AT(uint8_t, *b, i)) ^ (op == RKI_EQ);
        break;
    default:
        cmp_str(op, o, a, b, n);
        break;
    }
}

// column == 'text' without making views of the column.
static bool run_eq_literal(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out, bool *done)
{
    const rki_node *a = n->arg[0], *b = n->arg[1];

    *done = false;
    if (n->sub > RKI_NE)
        return true;
    if (b->op == RKI_X_COL) {
        const rki_node *t = a;

        a = b;
        b = t;
    }
    if (a->op != RKI_X_COL || b->op != RKI_X_CONST || b->null || b->kind != RKP_STRING || a->kind != RKP_STRING ||
        a->slot != UINT32_MAX)
        return true;
    if (!rki_load_eq(x, a->v.index, r, b->v.s, out, done))
        return false;
    if (*done && n->sub == RKI_NE)
        for (uint32_t i = 0; i < r->n; i++)
            ((uint8_t *)out->v)[i] ^= 1;
    return true;
}

bool rki_run_cmp(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out)
{
    rkp_vec a[2] = { 0 };
    uint8_t *st;
    uint32_t m;
    rki_top top;
    bool done;

    if (!run_eq_literal(x, n, r, out, &done))
        return false;
    if (done)
        return true;
    if (!rki_make(x, n, r->n, out, &st))
        return false;
    top = rki_top_of(x);
    if (!rki_run(x, n->arg[0], r, &a[0]) || !rki_run(x, n->arg[1], r, &a[1]))
        return false;
    out->step = a[0].step | a[1].step;
    m = out->step ? r->n : 1;
    out->st = rki_join(a, 2, m, st);
    rki_compare(n->sub, out->v, &a[0], &a[1], m);
    rki_release(x, top);
    return true;
}

bool rki_run_not(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out)
{
    rkp_vec a = { 0 };
    uint8_t *st;
    uint32_t m;
    rki_top top;

    if (!rki_make(x, n, r->n, out, &st))
        return false;
    top = rki_top_of(x);
    if (!rki_run(x, n->arg[0], r, &a))
        return false;
    out->step = a.step;
    m = a.step ? r->n : 1;
    out->st = rki_join(&a, 1, m, st);
    rki_k_not_u8(out->v, a.v, m);
    rki_release(x, top);
    return true;
}
