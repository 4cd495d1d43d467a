// expr_case.c - see expr_case.h.
#include "expr_case.h"

#include <rkpipe/num.h>
#include <stdio.h>
#include <stdlib.h>

#define FIELD(n, ...)                                                                                                  \
    {                                                                                                                  \
        .name = { n, sizeof n - 1 }, .type = { __VA_ARGS__ }                                                           \
    }

static const rkp_field columns[] = {
    FIELD("id", .kind = RKP_I64),
    FIELD("small", .kind = RKP_I32, .nullable = 1),
    FIELD("big", .kind = RKP_U64, .nullable = 1),
    FIELD("amount", .kind = RKP_F64, .nullable = 1),
    FIELD("status", .kind = RKP_STRING, .nullable = 1),
    FIELD("name", .kind = RKP_STRING, .nullable = 1),
    FIELD("ts", .kind = RKP_TIMESTAMP, .nullable = 1),
    FIELD("ok", .kind = RKP_BOOL, .nullable = 1),
    FIELD("doc", .kind = RKP_JSON, .nullable = 1),
    FIELD("raw", .kind = RKP_BYTES, .nullable = 1),
    FIELD("odd name", .kind = RKP_STRING),
    FIELD("a-b", .kind = RKP_I64),
    FIELD("vec", .kind = RKP_F32, .len = 4),
    FIELD("tick`s", .kind = RKP_I64),
};

const rkp_schema expr_case_schema = { sizeof columns / sizeof *columns, columns };

static const rkp_expr_var vars[] = {
    { { "limit", 5 }, { .kind = RKP_I64 }, { "500", 3 } },
    { { "rate", 4 }, { .kind = RKP_F64 }, { "0.5", 3 } },
    { { "who", 3 }, { .kind = RKP_STRING }, { "ann", 3 } },
    { { "on", 2 }, { .kind = RKP_BOOL }, { "true", 4 } },
};

static const rkp_str metas[] = { { "kernel", 6 }, { "topic", 5 }, { "hlc", 3 } };

void expr_case_init(expr_case *c)
{
    *c = (expr_case){ .diags = rki_diags_new() };
    rki_arena_init(&c->arena);
    c->ctx = (rkp_opt_ctx){ .arena = &c->arena, .diags = c->diags };
    c->scope = (rkp_scope){ .schema = &expr_case_schema, .vars = vars, .n_vars = 4, .meta = metas, .n_meta = 3 };
}

void expr_case_fini(expr_case *c)
{
    rki_diags_free(c->diags);
    rki_arena_fini(&c->arena);
}

rkp_expr *expr_case_compile(expr_case *c, const char *text, rkp_want want)
{
    rkp_word w = { text, strlen(text), { "x", 1, 1, 0 } };

    return rkp_expr_compile(&c->ctx, c->diags, w, &c->scope, want);
}

void expr_case_findings(expr_case *c, char *to, size_t size)
{
    size_t n = 0;

    to[0] = 0;
    rki_diags_sort(c->diags);
    for (size_t i = 0; i < rki_diags_n(c->diags) && n < size; i++) {
        const rki_finding *f = rki_diags_at(c->diags, i);
        int k = snprintf(to + n, size - n, "%s%u:%u %s%s: %s%s%s", i ? "\n" : "", f->at.col, f->at.len,
                         f->sev == RKP_WARNING ? "warning " : "", f->code, f->text, f->hint ? " = " : "",
                         f->hint ? f->hint : "");

        n += k > 0 ? (size_t)k : 0;
    }
}

rkp_batch *expr_case_text(rkp_pool *pool, const rkp_schema *schema, const rkp_str *fields, uint32_t rows, unsigned kind)
{
    static const rkp_str nulls[] = { { "", 0 } };
    rkp_batch *b = rkp_batch_new(pool, schema, schema->n, 4096);
    size_t n = (size_t)rows * schema->n, bytes = 1, at = 1;
    rkp_text *t = b ? rkp_batch_alloc(b, sizeof *t) : NULL;
    uint32_t *pos = b ? rkp_batch_alloc(b, (2 * n + 1) * sizeof *pos) : NULL;
    char *base;

    for (size_t i = 0; i < n; i++)
        bytes += fields[i].n + 1;
    base = b ? rkp_batch_alloc(b, bytes) : NULL;
    if (!t || !pos || !base) {
        rkp_batch_put(b);
        return NULL;
    }
    *t = (rkp_text){ .base = base, .len = (uint32_t)bytes, .kind = (uint8_t)kind, .quote = '"', .delim = ',' };
    if (kind == RKP_TEXT_CSV) {
        t->n_nulls = 1;
        t->nulls = nulls;
    }
    base[0] = '\n';
    for (size_t i = 0; i < n; i++) { // pairs, as of JSON; good for any kind
        pos[2 * i] = fields[i].p ? (uint32_t)at - 1 : RKP_NO_TEXT;
        if (fields[i].n)
            memcpy(base + at, fields[i].p, fields[i].n);
        at += fields[i].n;
        pos[2 * i + 1] = (uint32_t)at;
        base[at++] = (i + 1) % schema->n ? ',' : '\n';
    }
    b->rows = rows;
    b->text = t;
    for (uint32_t c = 0; c < schema->n; c++)
        b->cols[c] = (rkp_col){
            .type = schema->f[c].type, .rep = RKP_TEXT, .stride = 2 * schema->n, .pos = pos + 2 * c, .text = t
        };
    return b;
}

rkp_batch *expr_case_flat(rkp_batch *text)
{
    rkp_batch *b = text ? rkp_batch_derive(text, 4096) : NULL;
    rkp_errs errs = { 0 };

    for (uint32_t c = 0; b && c < b->n_cols; c++) {
        if (rkp_col_flat(b, text, c, NULL, text->rows, &b->cols[c], &errs) != RKP_OK || errs.n) {
            rkp_batch_put(b);
            b = NULL;
        }
    }
    rkp_errs_fini(&errs);
    rkp_batch_put(text);
    return b;
}

rkp_batch *expr_case_batch(rkp_pool *pool, const char *csv, bool flat)
{
    rkp_str fields[64 * 16];
    uint32_t n = 0;
    rkp_batch *b;

    while (*csv) {
        const char *p = csv;
        bool quoted = *p == '"';

        for (p += quoted; quoted ? !(*p == '"' && p[1] != '"') : *p != ',' && *p != '\n'; p++)
            p += quoted && *p == '"';
        p += quoted;
        fields[n++] = (rkp_str){ csv, (size_t)(p - csv) };
        csv = p + 1;
    }
    b = expr_case_text(pool, &expr_case_schema, fields, n / expr_case_schema.n, RKP_TEXT_CSV);
    return flat ? expr_case_flat(b) : b;
}

static size_t print_value(const rkp_col *c, uint32_t i, char *to, size_t size)
{
    rkp_str s;

    if (rkp_col_is_null(c, i))
        return (size_t)snprintf(to, size, "null");
    if (c->type.len)
        return (size_t)snprintf(to, size, "array");
    switch (c->type.kind) {
    case RKP_BOOL:
        return (size_t)snprintf(to, size, "%s", rkp_bit(c->values, i) ? "true" : "false");
    case RKP_I32:
        return rkp_print_i64(to, ((const int32_t *)c->values)[i]);
    case RKP_I64:
        return rkp_print_i64(to, ((const int64_t *)c->values)[i]);
    case RKP_U64:
        return rkp_print_u64(to, ((const uint64_t *)c->values)[i]);
    case RKP_F64:
        return rkp_print_f64(to, ((const double *)c->values)[i]);
    case RKP_TIMESTAMP:
        return rkp_print_timestamp(to, ((const int64_t *)c->values)[i]);
    default:
        s = rkp_view_str(c, i);
        return (size_t)snprintf(to, size, RKP_STR_FMT, RKP_STR_ARG(s));
    }
}

void expr_case_print(rkp_pool *pool, rkp_frame *f, const rkp_expr *e, const rkp_batch *b, const rkp_meta *meta,
                     const uint32_t *rows, uint32_t n, const char *sep, char *to, size_t size)
{
    rkp_batch *mem = rkp_batch_new(pool, NULL, 0, 4096);
    rkp_errs errs = { 0 };
    rkp_col col = { 0 };
    size_t at = 0;
    uint32_t seen = 0;

    to[0] = 0;
    if (!mem || rkp_expr_eval(e, f, mem, b, meta, rows, n, &col, &errs) != RKP_OK || errs.failed) {
        snprintf(to, size, "no memory");
        n = 0;
    }
    for (uint32_t i = 0; i < n && at + 100 < size; i++) {
        if (i)
            at += (size_t)snprintf(to + at, size - at, "%s", sep);
        if (seen < errs.n && errs.v[seen].row == (rows ? rows[i] : i)) {
            at += (size_t)snprintf(to + at, size - at, "!%s", rkp_row_error_name(errs.v[seen].code));
            seen++;
            if (!rkp_col_is_null(&col, i))
                at += (size_t)snprintf(to + at, size - at, "(not null)");
        } else {
            at += print_value(&col, i, to + at, size - at);
            to[at] = 0;
        }
    }
    if (seen < errs.n)
        snprintf(to + at, size - at, " and %u errors more", errs.n - seen);
    rkp_errs_fini(&errs);
    rkp_batch_put(mem);
}
