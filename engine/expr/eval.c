// eval.c - runs a typed tree over the rows of a batch.
//
// Rows are taken RKI_CHUNK at a time.  A node gets its arguments' registers and makes one of its own; registers come
// from a stack in the frame, whose blocks are kept, so a warm frame asks the system for nothing.  The nodes that need
// not look at every row (&& || ?: ?? in) evaluate a part only for its rows: they pick those rows out, evaluate the part
// densely, and put its values back.  That is what makes `x != 0 && 10 / x > 1` safe and cheap.
//
//   frame   regs    a stack: what a node took is given back when its value has been used
//           text    bytes of strings that functions made, until the chunk is done
//           detail  what was wrong in which row, for the list of errors at the end of the chunk
//           cache   parsed text columns that the expression uses more than once
//
// The state of a row (rkp_vec.st) is 0, null, or an error; two states join to the greater.
#include "expr/functions.h"
#include "expr/kernels.h"

#include <math.h>
#include <rkpipe/num.h>
#include <stdlib.h>
#include <time.h>

enum {
    BLOCK = 64 << 10,
    TEXT_KEPT = 1 << 20, // bytes of text blocks that are kept between chunks
    WHAT_MAX = 256,      // bytes copied of what was wrong
    SOURCES = 8,         // buffers of the batch that result views may point into
};

typedef struct block {
    struct block *next;
    size_t size;
    char data[] __attribute__((aligned(32)));
} block;

typedef struct stack {
    block *first, *cur;
    size_t at; // in cur
} stack;

typedef struct mark {
    block *cur;
    size_t at;
} mark;

typedef struct detail {
    uint32_t row, seq;
    uint16_t code;
    int16_t col;
    rkp_str what;
} detail;

typedef struct cached {
    uint32_t id; // of the rows; 0: empty
    rkp_vec v;
} cached;

struct rkp_frame {
    rkp_pool *pool;
    uint64_t seed;
    stack regs, text;
    detail *details;
    uint32_t n_details, cap_details;
    cached *cache;
    uint32_t cap_cache;
    rkp_batch *scratch;
    rkp_regex_run *regex;
    uint32_t n_src;
    struct {
        const char *p;
        size_t n;
    } src[SOURCES];
    uint32_t n_known; // of src, also those that results do not point into
};

// ---- memory ---------------------------------------------------------------------------------------------------------

static void *stack_take(stack *s, size_t bytes)
{
    char *p;

    bytes = (bytes + 31) & ~(size_t)31;
    while (!s->cur || s->cur->size - s->at < bytes) {
        block **link = s->cur ? &s->cur->next : &s->first, *b = *link;

        if (!b || b->size < bytes) {
            size_t size = bytes > BLOCK ? bytes : BLOCK;

            b = malloc(sizeof *b + size);
            if (!b)
                return NULL;
            b->size = size;
            b->next = *link;
            *link = b;
        }
        s->cur = b;
        s->at = 0;
    }
    p = s->cur->data + s->at;
    s->at += bytes;
    return p;
}

static void stack_fini(stack *s)
{
    while (s->first) {
        block *b = s->first;

        s->first = b->next;
        free(b);
    }
    *s = (stack){ 0 };
}

static void stack_reset(stack *s, size_t keep)
{
    size_t total = 0;

    for (block **link = &s->first; *link;) {
        block *b = *link;

        total += b->size;
        if (total <= keep) {
            link = &b->next;
        } else {
            *link = b->next;
            free(b);
        }
    }
    s->cur = NULL;
    s->at = 0;
}

void *rki_take(rki_eval *x, size_t bytes)
{
    return stack_take(&x->f->regs, bytes);
}

char *rki_text(rki_eval *x, size_t bytes)
{
    return stack_take(&x->f->text, bytes);
}

char *rkp_expr_bytes(const rkp_expr_call *c, size_t bytes)
{
    return stack_take(&((rki_eval *)c->memory)->f->text, bytes);
}

static mark mark_of(const rki_eval *x)
{
    return (mark){ x->f->regs.cur, x->f->regs.at };
}

static void release(rki_eval *x, mark m)
{
    x->f->regs.cur = m.cur;
    x->f->regs.at = m.at;
}

rkp_frame *rkp_frame_new(rkp_pool *pool)
{
    rkp_frame *f = calloc(1, sizeof *f);

    if (f)
        f->pool = pool;
    return f;
}

void rkp_frame_free(rkp_frame *f)
{
    if (!f)
        return;
    stack_fini(&f->regs);
    stack_fini(&f->text);
    free(f->details);
    free(f->cache);
    rkp_regex_run_free(f->regex);
    free(f);
}

void rkp_frame_seed(rkp_frame *f, uint64_t seed)
{
    f->seed = seed;
}

rkp_regex_run *rki_frame_regex(rkp_frame *f, const rkp_regex *r)
{
    rkp_regex_run *m = rki_regex_run_fit(f->regex, r);

    if (m)
        f->regex = m;
    return m;
}

rkp_batch *rki_scratch(rki_eval *x)
{
    if (!x->f->scratch && x->f->pool)
        x->f->scratch = rkp_batch_new(x->f->pool, NULL, 0, 4096);
    return x->f->scratch;
}

bool rki_in_batch(const rki_eval *x, const char *p)
{
    for (uint32_t i = 0; i < x->f->n_known; i++)
        if ((uintptr_t)p - (uintptr_t)x->f->src[i].p < x->f->src[i].n)
            return true;
    return false;
}

size_t rki_width(unsigned kind)
{
    return kind == RKP_BOOL ? 1 : kind >= RKP_STRING ? sizeof(rkp_str) : 8;
}

// ---- rows in error --------------------------------------------------------------------------------------------------

void rki_row_bad(rki_eval *x, const rki_rows *r, uint32_t i, rkp_vec *out, unsigned code, int col, rkp_str what)
{
    rkp_frame *f = x->f;

    out->st[i] = (uint8_t)(code + 1);
    if (!x->b)
        return;
    if (f->n_details == f->cap_details) {
        uint32_t cap = f->cap_details ? f->cap_details * 2 : 64;
        detail *v = reallocarray(f->details, cap, sizeof *v);

        if (!v)
            return; // the error itself is not lost, only what it was about
        f->details = v;
        f->cap_details = cap;
    }
    if (what.n && !rki_in_batch(x, what.p)) {
        size_t n = what.n < WHAT_MAX ? what.n : WHAT_MAX;
        char *copy = x->mem ? rkp_batch_alloc(x->mem, n) : NULL;

        if (copy)
            memcpy(copy, what.p, n);
        what = (rkp_str){ copy, copy ? n : 0 };
    }
    f->details[f->n_details] = (detail){
        .row = rki_row(r, i), .seq = f->n_details, .code = (uint16_t)code, .col = (int16_t)col, .what = what
    };
    f->n_details++;
}

static int by_row(const void *a, const void *b)
{
    const detail *x = a, *y = b;

    return x->row != y->row ? (x->row > y->row) - (x->row < y->row) : (x->seq > y->seq) - (x->seq < y->seq);
}

static int by_err_row(const void *a, const void *b)
{
    const rkp_err *x = a, *y = b;

    return (x->row > y->row) - (x->row < y->row);
}

// Adds the rows of a chunk that are in error to the caller's list.
static void report(rki_eval *x, const rki_rows *r, const rkp_vec *v, rkp_errs *errs)
{
    rkp_frame *f = x->f;
    bool sorted = false;

    if (!errs)
        return;
    for (uint32_t i = 0; i < r->n; i++) {
        unsigned code = v->st[i * v->step] - 1u;
        uint32_t row = rki_row(r, i), lo = 0, hi = f->n_details;
        const detail *d = NULL;

        if (v->st[i * v->step] < 2)
            continue;
        if (!sorted && f->n_details > 1)
            qsort(f->details, f->n_details, sizeof *f->details, by_row);
        sorted = true;
        while (lo < hi) {
            uint32_t mid = lo + (hi - lo) / 2;

            if (f->details[mid].row < row)
                lo = mid + 1;
            else
                hi = mid;
        }
        for (; lo < f->n_details && f->details[lo].row == row && !d; lo++)
            if (f->details[lo].code == code)
                d = &f->details[lo];
        rkp_errs_add(errs, row, code, d ? d->col : -1, d ? d->what : (rkp_str){ NULL, 0 });
    }
}

// Joins the states of k arguments over n rows into st; NULL when every row has a value.
static uint8_t *join(const rkp_vec *a, uint32_t k, uint32_t n, uint8_t *st)
{
    bool any = false;

    for (uint32_t j = 0; j < k; j++) {
        if (!a[j].st || (!a[j].step && !a[j].st[0]))
            continue;
        if (a[j].step && !any) {
            memcpy(st, a[j].st, n);
        } else if (a[j].step) {
            rki_k_max_u8(st, a[j].st, n);
        } else {
            if (!any)
                memset(st, 0, n);
            for (uint32_t i = 0; i < n; i++)
                st[i] = st[i] > a[j].st[0] ? st[i] : a[j].st[0];
        }
        any = true;
    }
    return any ? st : NULL;
}

// Memory for the values and states of a node that makes n of them.
static bool make(rki_eval *x, const rki_node *n, uint32_t rows, rkp_vec *out, uint8_t **st)
{
    out->kind = n->kind;
    if (!out->v)
        out->v = rki_take(x, rows * rki_width(n->kind));
    *st = rki_take(x, rows);
    out->st = NULL;
    return out->v && *st;
}

// ---- rows taken out of others ---------------------------------------------------------------------------------------

static bool pick(rki_eval *x, const rki_rows *r, const uint32_t *pos, uint32_t n, rki_rows *out)
{
    uint32_t *at = rki_take(x, (size_t)n * sizeof *at);

    if (!at)
        return false;
    for (uint32_t i = 0; i < n; i++)
        at[i] = rki_row(r, pos[i]);
    *out = (rki_rows){ .at = at, .n = n, .id = ++x->next_id, .up = r, .pos = pos };
    return true;
}

// out[pos[i]] = a[i], values and states; out->st must be there.
static void scatter(rkp_vec *out, const rkp_vec *a, const uint32_t *pos, uint32_t n)
{
    switch (rki_width(out->kind)) {
    case 1:
        for (uint32_t i = 0; i < n; i++)
            ((uint8_t *)out->v)[pos[i]] = RKI_AT(uint8_t, *a, i);
        break;
    case 8:
        for (uint32_t i = 0; i < n; i++)
            ((uint64_t *)out->v)[pos[i]] = RKI_AT(uint64_t, *a, i);
        break;
    default:
        for (uint32_t i = 0; i < n; i++)
            ((rkp_str *)out->v)[pos[i]] = RKI_AT(rkp_str, *a, i);
        break;
    }
    for (uint32_t i = 0; i < n; i++)
        out->st[pos[i]] = a->st ? a->st[i * a->step] : 0;
}

static void copy_values(rkp_vec *out, const rkp_vec *a, uint32_t n)
{
    size_t w = rki_width(out->kind);

    if (a->step) {
        memcpy(out->v, a->v, n * w);
        return;
    }
    if (w == 1)
        memset(out->v, *(const uint8_t *)a->v, n);
    else if (w == 8)
        for (uint32_t i = 0; i < n; i++)
            ((uint64_t *)out->v)[i] = *(const uint64_t *)a->v;
    else
        for (uint32_t i = 0; i < n; i++)
            ((rkp_str *)out->v)[i] = *(const rkp_str *)a->v;
}

static void drop_states(rkp_vec *v, uint32_t n)
{
    if (v->st && !rki_k_any_u8(v->st, v->step ? n : 1))
        v->st = NULL;
}

// Evaluates a node for the rows pos[0..n) of r (pos NULL: all of them) and puts the values in their places.
static bool run_into(rki_eval *x, const rki_node *n, const rki_rows *r, const uint32_t *pos, uint32_t count,
                     rkp_vec *out)
{
    mark m = mark_of(x);
    rki_rows sub;
    rkp_vec a = { 0 };

    if (count == 0)
        return true;
    if (!pick(x, r, pos, count, &sub) || !rki_run(x, n, &sub, &a))
        return false;
    scatter(out, &a, pos, count);
    release(x, m);
    return true;
}

// ---- leaves ---------------------------------------------------------------------------------------------------------

static uint8_t is_null[1] = { 1 };

static bool run_const(const rki_node *n, rkp_vec *out)
{
    static const rkp_str empty = { "", 0 };

    *out = (rkp_vec){ .kind = n->kind, .v = (void *)&n->v, .st = n->null ? is_null : NULL };
    if (n->null)
        out->v = (void *)&empty;
    return true;
}

// Values that are cached for rows from which these were taken: looked up instead of parsed again.
static bool from_cache(rki_eval *x, const cached *c, const rki_rows *r, rkp_vec *out, bool *found)
{
    const rki_rows *up = r;
    uint32_t *at;
    rkp_vec v = { .kind = c->v.kind, .step = 1, .v = NULL };

    *found = false;
    while (up && up->id != c->id)
        up = up->up;
    if (!up || !c->id)
        return true;
    *found = true;
    if (up == r || !c->v.step) {
        *out = c->v;
        return true;
    }
    at = rki_take(x, (size_t)r->n * sizeof *at);
    v.v = out->v ? out->v : rki_take(x, r->n * rki_width(v.kind));
    v.st = c->v.st ? rki_take(x, r->n) : NULL;
    if (!at || !v.v || (c->v.st && !v.st))
        return false;
    for (uint32_t i = 0; i < r->n; i++)
        at[i] = r->pos[i];
    for (const rki_rows *s = r->up; s != up; s = s->up)
        for (uint32_t i = 0; i < r->n; i++)
            at[i] = s->pos[at[i]];
    switch (rki_width(v.kind)) {
    case 1:
        for (uint32_t i = 0; i < r->n; i++)
            ((uint8_t *)v.v)[i] = ((const uint8_t *)c->v.v)[at[i]];
        break;
    case 8:
        for (uint32_t i = 0; i < r->n; i++)
            ((uint64_t *)v.v)[i] = ((const uint64_t *)c->v.v)[at[i]];
        break;
    default:
        for (uint32_t i = 0; i < r->n; i++)
            ((rkp_str *)v.v)[i] = ((const rkp_str *)c->v.v)[at[i]];
        break;
    }
    for (uint32_t i = 0; v.st && i < r->n; i++)
        v.st[i] = c->v.st[at[i]];
    *out = v;
    return true;
}

static bool run_column(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out)
{
    const rkp_col *c = &x->b->cols[n->v.index];
    cached *slot = n->slot != UINT32_MAX && c->rep == RKP_TEXT ? &x->f->cache[n->slot] : NULL;
    bool found;
    char *keep;
    rkp_vec v = { 0 };

    if (!slot)
        return rki_load(x, n->v.index, r, out);
    if (!from_cache(x, slot, r, out, &found))
        return false;
    if (found)
        return true;
    // The values must outlive the registers of the node that asks first.
    v.v = rki_text(x, r->n * rki_width(n->kind));
    if (!v.v || !rki_load(x, n->v.index, r, &v))
        return false;
    if (v.st) {
        keep = rki_text(x, r->n);
        if (!keep)
            return false;
        memcpy(keep, v.st, r->n);
        v.st = (uint8_t *)keep;
    }
    *slot = (cached){ r->id, v };
    *out = v;
    return true;
}

const rkp_str rkp_meta_names[RKP_N_META] = { { "kernel", 6 }, { "topic", 5 }, { "hlc", 3 } };

// The topic of every row; one value when they came over one.
static bool run_topic(rki_eval *x, const rki_rows *r, rkp_vec *out)
{
    bool many = x->b && x->b->topic_of;
    rkp_str *v = rki_take(x, (many ? r->n + 1u : 1u) * sizeof *v);

    if (!v)
        return false;
    *v = x->b && x->b->topics ? x->b->topics->names[0] : (rkp_str){ NULL, 0 };
    for (uint32_t i = 0; many && i < r->n; i++)
        v[i] = rkp_batch_topic(x->b, rki_row(r, i));
    *out = (rkp_vec){ .kind = RKP_STRING, .step = many ? 1 : 0, .v = v, .st = v->p ? NULL : is_null };
    if (!v->p)
        *v = (rkp_str){ "", 0 };
    return true;
}

static bool run_meta(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out)
{
    rkp_str *s;

    if (n->v.index == RKP_META_TOPIC)
        return run_topic(x, r, out);
    s = rki_take(x, sizeof *s + 24);
    if (!s)
        return false;
    *s = (rkp_str){ NULL, 0 };
    if (n->v.index == RKP_META_KERNEL && x->meta)
        *s = x->meta->kernel;
    if (n->v.index == RKP_META_HLC && x->meta && x->meta->stamp) {
        char *text = (char *)(s + 1);

        *s = (rkp_str){ text, (size_t)rkp_print_u64(text, x->meta->stamp) };
    }
    *out = (rkp_vec){ .kind = RKP_STRING, .v = s, .st = s->p ? NULL : is_null };
    if (!s->p)
        *s = (rkp_str){ "", 0 };
    return true;
}

static bool run_row(rki_eval *x, const rki_rows *r, rkp_vec *out)
{
    int64_t *v = out->v ? out->v : rki_take(x, (size_t)r->n * sizeof *v);
    uint64_t first = x->meta ? x->meta->first_row : 0;

    if (!v)
        return false;
    for (uint32_t i = 0; i < r->n; i++)
        v[i] = (int64_t)(first + rki_row(r, i));
    *out = (rkp_vec){ .kind = RKP_I64, .step = 1, .v = v };
    return true;
}

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

static bool run_arith(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out)
{
    static kernel_f64 *const f64[] = { rki_k_add_f64, rki_k_sub_f64, rki_k_mul_f64, rki_k_div_f64 };
    static kernel_i64 *const i64[] = { rki_k_add_i64, rki_k_sub_i64, rki_k_mul_i64 };
    static kernel_u64 *const u64[] = { rki_k_add_u64, rki_k_sub_u64, rki_k_mul_u64 };
    rkp_vec a[2] = { 0 };
    uint8_t *st;
    uint32_t m;
    bool bad = false;
    mark top;

    if (!make(x, n, r->n, out, &st))
        return false;
    top = mark_of(x);
    if (!rki_run(x, n->arg[0], r, &a[0]) || !rki_run(x, n->arg[1], r, &a[1]))
        return false;
    out->step = a[0].step | a[1].step;
    m = out->step ? r->n : 1;
    out->st = join(a, 2, m, st);
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
        drop_states(out, r->n);
    }
    release(x, top);
    return true;
}

static bool run_neg(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out)
{
    rkp_vec a = { 0 };
    uint8_t *st;
    uint32_t m;
    mark top;

    if (!make(x, n, r->n, out, &st))
        return false;
    top = mark_of(x);
    if (!rki_run(x, n->arg[0], r, &a))
        return false;
    out->step = a.step;
    m = a.step ? r->n : 1;
    out->st = join(&a, 1, m, st);
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
    release(x, top);
    return true;
}

static bool run_conv(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out)
{
    rkp_vec a = { 0 };
    uint8_t *st;
    uint32_t m;
    mark top;

    if (!make(x, n, r->n, out, &st))
        return false;
    top = mark_of(x);
    if (!rki_run(x, n->arg[0], r, &a))
        return false;
    out->step = a.step;
    m = a.step ? r->n : 1;
    out->st = join(&a, 1, m, st);
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
            drop_states(out, r->n);
        }
    }
    release(x, top);
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

static void compare(unsigned op, uint8_t *o, const rkp_vec *a, const rkp_vec *b, uint32_t n)
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

static bool run_cmp(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out)
{
    rkp_vec a[2] = { 0 };
    uint8_t *st;
    uint32_t m;
    mark top;
    bool done;

    if (!run_eq_literal(x, n, r, out, &done))
        return false;
    if (done)
        return true;
    if (!make(x, n, r->n, out, &st))
        return false;
    top = mark_of(x);
    if (!rki_run(x, n->arg[0], r, &a[0]) || !rki_run(x, n->arg[1], r, &a[1]))
        return false;
    out->step = a[0].step | a[1].step;
    m = out->step ? r->n : 1;
    out->st = join(a, 2, m, st);
    compare(n->sub, out->v, &a[0], &a[1], m);
    release(x, top);
    return true;
}

static bool run_not(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out)
{
    rkp_vec a = { 0 };
    uint8_t *st;
    uint32_t m;
    mark top;

    if (!make(x, n, r->n, out, &st))
        return false;
    top = mark_of(x);
    if (!rki_run(x, n->arg[0], r, &a))
        return false;
    out->step = a.step;
    m = a.step ? r->n : 1;
    out->st = join(&a, 1, m, st);
    rki_k_not_u8(out->v, a.v, m);
    release(x, top);
    return true;
}

// ---- nodes that look at some rows only ------------------------------------------------------------------------------

// The rows that && || and `in` have not decided yet: pos[0..n) of r, or all of r while pos was not needed.
typedef struct open {
    const rki_rows *r;
    uint32_t *pos;
    uint32_t n;
    bool all;
} open_rows;

// Narrows the open rows by a part's values: a row whose value is `decides` gets it and is closed; an error closes it; a
// null marks it and leaves it open.
static void narrow(open_rows *o, const rkp_vec *a, uint8_t decides, rkp_vec *out)
{
    uint32_t k = 0;
    uint8_t *v = out->v;

    for (uint32_t i = 0; i < o->n; i++) {
        uint32_t at = o->all ? i : o->pos[i];
        uint8_t s = a->st ? a->st[i * a->step] : 0;

        if (s == 0 && RKI_AT(uint8_t, *a, i) == decides) {
            v[at] = decides;
            out->st[at] = 0;
        } else if (s > 1) {
            out->st[at] = s;
        } else {
            if (s)
                out->st[at] = 1;
            o->pos[k++] = at;
        }
    }
    o->all = o->all && k == o->n;
    o->n = k;
}

static bool run_open(rki_eval *x, const rki_node *n, const open_rows *o, rkp_vec *a)
{
    rki_rows *sub;

    if (o->all)
        return rki_run(x, n, o->r, a);
    sub = rki_take(x, sizeof *sub);
    return sub && pick(x, o->r, o->pos, o->n, sub) && rki_run(x, n, sub, a);
}

static bool run_logic(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out)
{
    uint8_t decides = n->op == RKI_X_OR, *st;
    open_rows o = { .r = r, .n = r->n, .all = true };

    if (!make(x, n, r->n, out, &st))
        return false;
    o.pos = rki_take(x, (size_t)r->n * sizeof *o.pos);
    if (!o.pos)
        return false;
    memset(out->v, !decides, r->n);
    memset(st, 0, r->n);
    out->st = st;
    out->step = 1;
    for (uint32_t i = 0; i < n->n && o.n; i++) {
        mark top = mark_of(x);
        rkp_vec a = { 0 };

        if (!run_open(x, n->arg[i], &o, &a))
            return false;
        narrow(&o, &a, decides, out);
        release(x, top);
    }
    drop_states(out, r->n);
    return true;
}

// `in` with parts that are not constant: x == a || x == b .., with x evaluated once.
static bool run_in_parts(rki_eval *x, const rki_node *n, const open_rows *all, const rkp_vec *subject, rkp_vec *out)
{
    open_rows o = *all;
    size_t w = rki_width(subject->kind);

    for (uint32_t i = 1; i < n->n && o.n; i++) {
        mark top = mark_of(x);
        rkp_vec a[2] = { 0 }, eq = { .kind = RKP_BOOL, .step = 1 };
        uint8_t *st;

        if (!run_open(x, n->arg[i], &o, &a[1]))
            return false;
        a[0] = *subject;
        a[0].st = NULL;
        if (!o.all && subject->step) {
            char *v = rki_take(x, o.n * w);

            if (!v)
                return false;
            for (uint32_t k = 0; k < o.n; k++)
                memcpy(v + k * w, (const char *)subject->v + o.pos[k] * w, w);
            a[0].v = v;
        }
        eq.v = rki_take(x, o.n);
        st = rki_take(x, o.n);
        if (!eq.v || !st)
            return false;
        eq.st = join(&a[1], 1, o.n, st);
        compare(RKI_EQ, eq.v, &a[0], &a[1], o.n);
        narrow(&o, &eq, 1, out);
        release(x, top);
    }
    return true;
}

static bool run_in(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out)
{
    rkp_vec a = { 0 };
    uint8_t *st, *v;
    open_rows o = { .r = r, .all = true };
    mark top;

    if (!make(x, n, r->n, out, &st))
        return false;
    v = out->v;
    o.pos = rki_take(x, (size_t)r->n * sizeof *o.pos);
    top = mark_of(x);
    if (!o.pos || !rki_run(x, n->arg[0], r, &a))
        return false;
    out->step = 1;
    out->st = st;
    if (!join(&a, 1, r->n, st))
        memset(st, 0, r->n);
    if (n->data) {
        rki_set_has(n->data, &a, r->n, v);
        for (uint32_t i = 0; rki_set_null(n->data) && i < r->n; i++)
            if (!v[i] && !st[i])
                st[i] = 1;
    } else {
        memset(v, 0, r->n);
        for (uint32_t i = 0; i < r->n; i++)
            if (!st[i])
                o.pos[o.n++] = i;
        o.all = o.n == r->n;
        if (!run_in_parts(x, n, &o, &a, out))
            return false;
    }
    for (uint32_t i = 0; n->sub && i < r->n; i++)
        v[i] ^= 1;
    drop_states(out, r->n);
    release(x, top);
    return true;
}

static void scatter_nothing(rkp_vec *out, uint32_t i)
{
    size_t w = rki_width(out->kind);

    memset((char *)out->v + i * w, 0, w);
    if (w == sizeof(rkp_str))
        ((rkp_str *)out->v)[i].p = "";
}

static bool run_cond(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out)
{
    rkp_vec c = { 0 };
    uint32_t *yes, *no, n_yes = 0, n_no = 0;
    uint8_t *st;

    if (!make(x, n, r->n, out, &st))
        return false;
    yes = rki_take(x, (size_t)r->n * sizeof *yes);
    no = rki_take(x, (size_t)r->n * sizeof *no);
    if (!yes || !no || !rki_run(x, n->arg[0], r, &c))
        return false;
    out->st = st;
    out->step = 1;
    for (uint32_t i = 0; i < r->n; i++) {
        uint8_t s = c.st ? c.st[i * c.step] : 0;

        st[i] = s;
        if (s > 1) {
            scatter_nothing(out, i);
        } else if (s == 0 && RKI_AT(uint8_t, c, i)) {
            yes[n_yes++] = i;
        } else {
            no[n_no++] = i;
        }
    }
    if (n_yes == r->n || n_no == r->n) { // one side has it all
        out->st = NULL;
        return rki_run(x, n->arg[n_yes ? 1 : 2], r, out);
    }
    if (!run_into(x, n->arg[1], r, yes, n_yes, out) || !run_into(x, n->arg[2], r, no, n_no, out))
        return false;
    drop_states(out, r->n);
    return true;
}

static bool run_coalesce(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out)
{
    rkp_vec a = { 0 };
    uint32_t *pos, k = 0;
    uint8_t *st;

    if (!make(x, n, r->n, out, &st))
        return false;
    pos = rki_take(x, (size_t)r->n * sizeof *pos);
    if (!pos || !rki_run(x, n->arg[0], r, &a))
        return false;
    for (uint32_t i = 0; a.st && i < r->n; i++) {
        pos[k] = i;
        k += a.st[i * a.step] == 1;
    }
    if (k == 0) {
        *out = a;
        return true;
    }
    out->st = st;
    out->step = 1;
    copy_values(out, &a, r->n);
    for (uint32_t i = 0; i < r->n; i++)
        st[i] = a.st[i * a.step];
    for (uint32_t j = 1; j < n->n && k; j++) {
        uint32_t open = 0;

        if (!run_into(x, n->arg[j], r, pos, k, out))
            return false;
        for (uint32_t i = 0; i < k; i++)
            if (st[pos[i]] == 1)
                pos[open++] = pos[i];
        k = open;
    }
    drop_states(out, r->n);
    return true;
}

static bool run_try(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out)
{
    uint32_t seen = x->f->n_details, m;
    uint8_t *st = rki_take(x, r->n);

    if (!st || !rki_run(x, n->arg[0], r, out))
        return false;
    x->f->n_details = seen;
    if (!out->st)
        return true;
    m = out->step ? r->n : 1;
    for (uint32_t i = 0; i < m; i++)
        st[i] = out->st[i] != 0;
    out->st = st;
    return true;
}

// ---- functions ------------------------------------------------------------------------------------------------------

// Evaluates the arguments; out gets the joined states (always there), and room for the values.
static bool run_args(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out, rkp_vec **args, bool sees_null,
                     mark *top)
{
    uint8_t *st;
    rkp_vec *a;
    uint32_t m;

    if (!make(x, n, r->n, out, &st))
        return false;
    *top = mark_of(x);
    *args = a = rki_take(x, (n->n + 1) * sizeof *a);
    if (!a)
        return false;
    memset(a, 0, (n->n + 1) * sizeof *a);
    out->step = 0;
    for (uint32_t i = 0; i < n->n; i++) {
        if (!rki_run(x, n->arg[i], r, &a[i]))
            return false;
        out->step |= a[i].step;
    }
    m = out->step ? r->n : 1;
    if (!join(a, n->n, m, st))
        memset(st, 0, m);
    if (sees_null)
        for (uint32_t i = 0; i < m; i++)
            st[i] = st[i] == 1 ? 0 : st[i];
    out->st = st;
    return true;
}

static bool run_fn(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out)
{
    const rki_fn *f = n->aux;
    rki_rows one = *r;
    rkp_vec *a;
    mark top;

    if (!run_args(x, n, r, out, &a, f->sees_null, &top))
        return false;
    if (!out->step)
        one.n = 1;
    if (!f->eval(x, n, &one, a, out))
        return false;
    drop_states(out, r->n);
    // What a function gives may be one of its arguments: those that make text keep their registers.
    if (rki_width(n->kind) != sizeof(rkp_str))
        release(x, top);
    return true;
}

static bool run_extra(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out)
{
    const rkp_expr_fn *f = n->aux;
    rkp_expr_call call = { .seed = x->f->seed, .site = x->e->site * 0x9e3779b97f4a7c15u + n->v.u, .n = r->n };
    uint64_t *rows, first = x->meta ? x->meta->first_row : 0;
    rkp_vec *a;
    mark top;

    if (!run_args(x, n, r, out, &a, false, &top))
        return false;
    if (!out->step) // every row has its own value although the arguments are the same
        for (uint32_t i = r->n; i-- > 0;)
            out->st[i] = out->st[0];
    out->step = 1;
    rows = rki_take(x, (size_t)r->n * sizeof *rows);
    if (!rows)
        return false;
    for (uint32_t i = 0; i < r->n; i++)
        rows[i] = first + rki_row(r, i);
    call.rows = rows;
    call.memory = x;
    if (f->eval(&call, a, n->n, out) != RKP_OK)
        return false;
    drop_states(out, r->n);
    return true;
}

static bool run_match(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out)
{
    rkp_regex_run *m = rki_frame_regex(x->f, n->data);
    rkp_vec *a;
    mark top;
    uint32_t count;

    // The pattern is an argument too, a constant one.
    if (!m || !run_args(x, n, r, out, &a, false, &top))
        return false;
    count = out->step ? r->n : 1;
    for (uint32_t i = 0; i < count; i++) {
        int rc = 0;

        if (!out->st[i])
            rc = rkp_regex_match(n->data, m, RKI_AT(rkp_str, a[0], i), NULL, 0);
        ((uint8_t *)out->v)[i] = rc > 0;
        if (rc < 0)
            rki_row_bad(x, r, i, out, RKP_ROW_REGEX, -1, RKI_AT(rkp_str, a[0], i));
    }
    drop_states(out, r->n);
    release(x, top);
    return true;
}

// ---- the walk -------------------------------------------------------------------------------------------------------

bool rki_run(rki_eval *x, const rki_node *n, const rki_rows *r, rkp_vec *out)
{
    switch (n->op) {
    case RKI_X_CONST:
        return run_const(n, out);
    case RKI_X_COL:
        return run_column(x, n, r, out);
    case RKI_X_META:
        return run_meta(x, n, r, out);
    case RKI_X_ROW:
        return run_row(x, r, out);
    case RKI_X_ARITH:
        return run_arith(x, n, r, out);
    case RKI_X_NEG:
        return run_neg(x, n, r, out);
    case RKI_X_CONV:
        return run_conv(x, n, r, out);
    case RKI_X_CMP:
        return run_cmp(x, n, r, out);
    case RKI_X_NOT:
        return run_not(x, n, r, out);
    case RKI_X_AND:
    case RKI_X_OR:
        return run_logic(x, n, r, out);
    case RKI_X_IN:
        return run_in(x, n, r, out);
    case RKI_X_MATCH:
        return run_match(x, n, r, out);
    case RKI_X_COND:
        return run_cond(x, n, r, out);
    case RKI_X_COALESCE:
        return run_coalesce(x, n, r, out);
    case RKI_X_TRY:
        return run_try(x, n, r, out);
    case RKI_X_EXTRA:
        return run_extra(x, n, r, out);
    default:
        return run_fn(x, n, r, out);
    }
}

bool rki_fold(rkp_frame *f, const rki_node *n, rki_node *to, uint8_t *state, rki_arena *a)
{
    static const rkp_expr none = { .column = -1 };
    rki_eval x = { .f = f, .e = &none };
    rki_rows one = { .n = 1, .id = 1 };
    rkp_vec v = { 0 };
    bool ok;

    x.next_id = 1;
    ok = rki_run(&x, n, &one, &v);
    *state = ok && v.st ? v.st[0] : 0;
    if (ok && *state == 0) {
        switch (rki_width(v.kind)) {
        case 1:
            to->v.b = *(const uint8_t *)v.v != 0;
            break;
        case 8:
            to->v.u = *(const uint64_t *)v.v;
            break;
        default:
            to->v.s = *(const rkp_str *)v.v;
            to->v.s = to->v.s.n ? rki_dup_str(a, to->v.s) : (rkp_str){ "", 0 };
            ok = to->v.s.p != NULL;
            break;
        }
    }
    stack_reset(&f->regs, SIZE_MAX);
    stack_reset(&f->text, TEXT_KEPT);
    return ok;
}

// ---- a call ---------------------------------------------------------------------------------------------------------

static void add_source(rkp_frame *f, const void *p, size_t n)
{
    for (uint32_t i = 0; i < f->n_known; i++)
        if (f->src[i].p == p && f->src[i].n >= n)
            return;
    if (f->n_known == SOURCES || n == 0)
        return;
    f->src[f->n_known].p = p;
    f->src[f->n_known++].n = n;
}

// Which memory of the batch strings may point into.
static void find_sources(rki_eval *x)
{
    x->f->n_known = x->f->n_src = 0;
    for (uint32_t i = 0; i < x->e->n_reads; i++) {
        const rkp_col *c = &x->b->cols[x->e->reads[i]];

        if (c->rep == RKP_TEXT && c->text)
            add_source(x->f, c->text->base, c->text->len);
        else if (c->rep == RKP_FLAT && rkp_kind_is_view(c->type.kind) && c->type.len == 0 && c->buf_sizes)
            for (uint32_t k = 0; k < c->n_bufs && k < SOURCES; k++)
                add_source(x->f, c->bufs[k], (size_t)c->buf_sizes[k]);
    }
    x->f->n_src = x->f->n_known;
}

static bool start(rki_eval *x)
{
    rkp_frame *f = x->f;

    if (x->e->n_slots > f->cap_cache) {
        cached *v = reallocarray(f->cache, x->e->n_slots, sizeof *v);

        if (!v)
            return false;
        f->cache = v;
        f->cap_cache = x->e->n_slots;
    }
    find_sources(x);
    return true;
}

static void next_chunk(rki_eval *x)
{
    rkp_frame *f = x->f;

    stack_reset(&f->regs, SIZE_MAX);
    stack_reset(&f->text, TEXT_KEPT);
    f->n_details = 0;
    x->next_id = 1;
    for (uint32_t i = 0; i < x->e->n_slots; i++)
        f->cache[i].id = 0;
}

static void finish(rki_eval *x)
{
    next_chunk(x);
    rkp_batch_put(x->f->scratch);
    x->f->scratch = NULL;
    x->f->n_known = 0;
}

static rki_rows chunk_rows(const uint32_t *rows, uint32_t from, uint32_t n)
{
    uint32_t k = n - from < RKI_CHUNK ? n - from : RKI_CHUNK;

    return (rki_rows){ .at = rows ? rows + from : NULL, .base = from, .n = k, .id = 1 };
}

// The column that an evaluation fills.
typedef struct sink {
    rkp_batch *mem;
    rkp_col *out;
    char *values;
    uint8_t *valid;
    const char **bufs;
    int64_t *sizes;
    uint32_t n;
} sink;

static bool sink_new(rki_eval *x, sink *s, uint32_t n)
{
    size_t width = rkp_kind_width(x->e->type.kind), bytes = width ? width * n : (n + 7) / 8;
    size_t chunks = n / RKI_CHUNK + 1;

    s->n = n;
    s->values = rkp_batch_alloc(s->mem, bytes ? bytes : 1);
    if (!s->values)
        return false;
    if (width == 0)
        memset(s->values, 0, bytes);
    if (width != sizeof(rkp_view))
        return true;
    s->bufs = rkp_batch_alloc(s->mem, (x->f->n_src + chunks) * sizeof *s->bufs);
    s->sizes = rkp_batch_alloc(s->mem, (x->f->n_src + chunks) * sizeof *s->sizes);
    if (!s->bufs || !s->sizes)
        return false;
    for (uint32_t i = 0; i < x->f->n_src; i++) {
        s->bufs[i] = x->f->src[i].p;
        s->sizes[i] = (int64_t)x->f->src[i].n;
    }
    s->out->n_bufs = x->f->n_src;
    return true;
}

static bool sink_valid(sink *s, const rkp_vec *v, uint32_t from, uint32_t n)
{
    if (!v->st)
        return true;
    if (!s->valid) {
        s->valid = rkp_batch_alloc(s->mem, (s->n + 7) / 8 + 1);
        if (!s->valid)
            return false;
        memset(s->valid, 0xff, (s->n + 7) / 8 + 1);
    }
    for (uint32_t i = 0; i < n; i++)
        if (v->st[i * v->step])
            rkp_bit_clear(s->valid, from + i);
    return true;
}

static uint32_t source_of(const rki_eval *x, const char *p)
{
    for (uint32_t i = 0; i < x->f->n_src; i++)
        if ((uintptr_t)p - (uintptr_t)x->f->src[i].p < x->f->src[i].n)
            return i;
    return UINT32_MAX;
}

static bool sink_strs(rki_eval *x, sink *s, const rkp_vec *v, uint32_t from, uint32_t n)
{
    rkp_view *to = (rkp_view *)(void *)s->values + from;
    uint64_t total = 0;
    uint32_t at = 0, own = s->out->n_bufs;
    char *copy = NULL;

    for (uint32_t i = 0; i < n; i++) {
        rkp_str t = RKI_AT(rkp_str, *v, i);
        bool null = v->st && v->st[i * v->step];

        if (!null && t.n > 12 && source_of(x, t.p) == UINT32_MAX)
            total += t.n;
    }
    if (total > INT32_MAX)
        return false;
    if (total) {
        copy = rkp_batch_alloc(s->mem, (size_t)total);
        if (!copy)
            return false;
        s->bufs[own] = copy;
        s->sizes[own] = (int64_t)total;
        s->out->n_bufs++;
    }
    for (uint32_t i = 0; i < n; i++) {
        rkp_str t = RKI_AT(rkp_str, *v, i);
        rkp_view w = { 0 };
        uint32_t src;

        if (v->st && v->st[i * v->step])
            t.n = 0;
        w.len = (int32_t)t.n;
        if (t.n > 12) {
            memcpy(w.u.ref.prefix, t.p, 4);
            src = source_of(x, t.p);
            if (src == UINT32_MAX) {
                memcpy(copy + at, t.p, t.n);
                w.u.ref.buf = (int32_t)own;
                w.u.ref.off = (int32_t)at;
                at += (uint32_t)t.n;
            } else {
                w.u.ref.buf = (int32_t)src;
                w.u.ref.off = (int32_t)(t.p - x->f->src[src].p);
            }
        } else if (t.n) {
            memcpy(w.u.inlined, t.p, t.n);
        }
        to[i] = w;
    }
    return true;
}

static bool sink_put(rki_eval *x, sink *s, const rkp_vec *v, uint32_t from, uint32_t n)
{
    if (!sink_valid(s, v, from, n))
        return false;
    switch (rkp_kind_width(x->e->type.kind)) {
    case 0:
        for (uint32_t i = 0; i < n; i++)
            if (RKI_AT(uint8_t, *v, i) && !(v->st && v->st[i * v->step]))
                rkp_bit_set((uint8_t *)s->values, from + i);
        return true;
    case 8: {
        rkp_vec to = { .kind = v->kind, .v = s->values + (size_t)from * 8 };

        if (!v->step || to.v != v->v)
            copy_values(&to, v, n);
        return true;
    }
    default:
        return sink_strs(x, s, v, from, n);
    }
}

static rkp_status eval(rki_eval *x, sink *s, const uint32_t *rows, uint32_t n, rkp_errs *errs)
{
    if (!sink_new(x, s, n))
        return RKP_NOMEM;
    for (uint32_t from = 0; from < n; from += RKI_CHUNK) {
        rki_rows r = chunk_rows(rows, from, n);
        rkp_vec v = { 0 };

        next_chunk(x);
        if (rkp_kind_width(x->e->type.kind) == 8)
            v.v = s->values + (size_t)from * 8;
        if (!rki_run(x, x->e->root, &r, &v) || !sink_put(x, s, &v, from, r.n))
            return RKP_NOMEM;
        if (v.st)
            report(x, &r, &v, errs);
    }
    s->out->type = x->e->type;
    s->out->rep = RKP_FLAT;
    s->out->values = s->values;
    s->out->valid = s->valid;
    s->out->bufs = s->bufs;
    s->out->buf_sizes = s->sizes;
    s->out->phys_rows = n;
    return RKP_OK;
}

rkp_status rkp_expr_eval(const rkp_expr *e, rkp_frame *f, rkp_batch *mem, const rkp_batch *b, const rkp_meta *meta,
                         const uint32_t *rows, uint32_t n, rkp_col *out, rkp_errs *errs)
{
    rki_eval x = { .f = f, .e = e, .b = b, .mem = mem, .meta = meta, .now_us = meta ? meta->now_us : 0 };
    rkp_col col = { 0 };
    sink s = { .mem = mem, .out = &col };
    rkp_status st;

    if (e->column >= 0)
        return rkp_col_flat(mem, b, (uint32_t)e->column, rows, n, out, errs);
    if (!f || !start(&x))
        return RKP_NOMEM;
    st = eval(&x, &s, rows, n, errs);
    finish(&x);
    if (st == RKP_OK)
        *out = col;
    return st;
}

static bool filter(rki_eval *x, const uint32_t *rows, uint32_t n, uint32_t *out, uint32_t *n_out, rkp_errs *errs)
{
    *n_out = 0;
    for (uint32_t from = 0; from < n; from += RKI_CHUNK) {
        rki_rows r[2];
        uint32_t which = 0, k, first = errs ? errs->n : 0;

        next_chunk(x);
        r[0] = chunk_rows(rows, from, n);
        for (uint32_t i = 0; i < x->e->n_conj && r[which].n; i++) {
            rki_rows *at = &r[which];
            uint32_t *pos = rki_take(x, (size_t)at->n * sizeof *pos), *next;
            rkp_vec v = { 0 };

            if (!pos || !rki_run(x, x->e->conj[i], at, &v))
                return false;
            if (v.st)
                report(x, at, &v, errs);
            if (v.step) {
                k = rki_k_true(v.v, v.st, at->n, pos);
            } else {
                k = !(v.st && v.st[0]) && *(const uint8_t *)v.v ? at->n : 0;
                for (uint32_t j = 0; j < k; j++)
                    pos[j] = j;
            }
            if (k == at->n)
                continue;
            // Earlier rows stay alive for the cache: copies of the parents hang on the registers.
            next = rki_take(x, (size_t)k * sizeof *next);
            if (k && !next)
                return false;
            for (uint32_t j = 0; j < k; j++)
                next[j] = rki_row(at, pos[j]);
            {
                rki_rows *up = rki_take(x, sizeof *up);

                if (!up)
                    return false;
                *up = *at;
                which ^= 1;
                r[which] = (rki_rows){ .at = next, .n = k, .id = ++x->next_id, .up = up, .pos = pos };
            }
        }
        k = r[which].n;
        for (uint32_t j = 0; j < k; j++)
            out[*n_out + j] = rki_row(&r[which], j);
        *n_out += k;
        // Parts report one after the other; the list is in the order of the rows.
        if (errs && x->e->n_conj > 1 && errs->n - first > 1)
            qsort(errs->v + first, errs->n - first, sizeof *errs->v, by_err_row);
    }
    return true;
}

rkp_status rkp_expr_filter(const rkp_expr *e, rkp_frame *f, const rkp_batch *b, const rkp_meta *meta,
                           const uint32_t *rows, uint32_t n, uint32_t *out, uint32_t *n_out, rkp_errs *errs)
{
    rki_eval x = { .f = f, .e = e, .b = b, .meta = meta, .now_us = meta ? meta->now_us : 0 };
    bool ok;

    if (!f)
        return RKP_NOMEM;
    ok = start(&x) && filter(&x, rows, n, out, n_out, errs);
    finish(&x);
    return ok ? RKP_OK : RKP_NOMEM;
}
