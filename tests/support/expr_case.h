// expr_case.h - for the tests of expressions: columns to compile against, findings as text, batches out of a few values.
#ifndef EXPR_CASE_H
#define EXPR_CASE_H

#include "base/ctx.h"
#include "base/diag.h"
#include <rkpipe/batch.h>
#include <rkpipe/expr.h>

typedef struct expr_case {
    rki_arena arena;
    rkp_diags *diags;
    rkp_opt_ctx ctx;
    rkp_scope scope;
} expr_case;

// The scope has the columns of expr_case_schema, the variables limit = 500, rate = 0.5, who = 'ann', on = true, and
// meta.topic and meta.kernel.
void expr_case_init(expr_case *c);
void expr_case_fini(expr_case *c);
extern const rkp_schema expr_case_schema;

rkp_expr *expr_case_compile(expr_case *c, const char *text, rkp_want want);
// One line a finding: `col:len [warning ]code: text = hint`.  The place of the text is line 1, column 1 of "x".
void expr_case_findings(expr_case *c, char *to, size_t size);

// A batch of expr_case_schema out of CSV lines (quotes as in CSV, an empty field is null): TEXT columns, or parsed ones.
// NULL when memory is out.
rkp_batch *expr_case_batch(rkp_pool *pool, const char *csv, bool flat);
// Any schema, and any kind of text: fields[row * schema->n + column] are the raw texts, p NULL for absent ones.
rkp_batch *expr_case_text(rkp_pool *pool, const rkp_schema *schema, const rkp_str *fields, uint32_t rows,
                          unsigned kind);
rkp_batch *expr_case_flat(rkp_batch *text); // takes it

// The values for rows[0..n) (NULL: 0..n-1), separated by `sep`: null as "null", a row in error as "!" and its name.
void expr_case_print(rkp_pool *pool, rkp_frame *f, const rkp_expr *e, const rkp_batch *b, const rkp_meta *meta,
                     const uint32_t *rows, uint32_t n, const char *sep, char *to, size_t size);

#endif
