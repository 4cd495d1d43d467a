// Any text as an expression: it compiles or has a finding, and what compiles gives the same values over text columns and
// over parsed ones, whole or in part.
#include "../support/expr_case.c"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char rows[] =
    "1,10,18446744073709551615,100.5,ok,Ann,2024-03-09T10:20:30Z,true,\"{\"\"a\"\": [1, {\"\"b\"\": "
    "\"\"x\"\"}]}\",xyz,o,5,\"[1, 2, 3, 4]\",1\n"
    "-2,-7,3,-0.125,failed,\"Bob \"\"the\"\" B\",1969-12-31 23:59:59.999999,false,\"[1, 2]\",\"\"\"\",p,6,\"[1, 2, 3, "
    "4]\",2\n"
    "3,,,,,,,,,,q,7,\"[1, 2, 3, 4]\",3\n"
    "9223372036854775807,2147483647,9223372036854775808,1e300,\"a,b\",h\xc3\xa9llo,2024-02-29T00:00:00Z,true,7,a,r,8,"
    "\"[1, 2, 3, "
    "4]\",4\n";

static rkp_pool *pool;
static rkp_frame *frame;
static rkp_batch *batch[2];

static bool same_filter(const rkp_expr *e, const rkp_meta *meta)
{
    uint32_t out[2][4], n[2];

    for (int i = 0; i < 2; i++) {
        rkp_errs errs = { 0 };

        if (rkp_expr_filter(e, frame, batch[i], meta, NULL, 4, out[i], &n[i], &errs) != RKP_OK)
            abort();
        n[i] += 10 * errs.n;
        rkp_errs_fini(&errs);
    }
    return n[0] == n[1] && memcmp(out[0], out[1], n[0] % 10 * sizeof out[0][0]) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t some[] = { 0, 2, 3 };
    static char got[2][20000];
    rkp_meta meta = { .first_row = 7, .now_us = 1700000000000000 };
    rkp_expr_extra extra = { .row = true, .site = 1, .fns = rkp_expr_random };
    char *text = malloc(size + 1);
    expr_case c;
    rkp_expr *e;

    if (!pool) {
        pool = rkp_pool_new(64 << 20);
        frame = rkp_frame_new(pool);
        batch[0] = expr_case_batch(pool, rows, false);
        batch[1] = expr_case_batch(pool, rows, true);
    }
    memcpy(text, data, size); // its end is the sanitizer's to watch
    expr_case_init(&c);
    c.scope.extra = &extra;
    e = rkp_expr_compile(&c.ctx, c.diags, (rkp_word){ text, size, { "x", 1, 1, 0 } }, &c.scope, RKP_WANT_ANY);
    if (!e && !rki_diags_failed(c.diags))
        abort();
    if (e) {
        for (int i = 0; i < 2; i++)
            expr_case_print(pool, frame, e, batch[i], &meta, NULL, 4, "|", got[i], sizeof got[i]);
        if (strcmp(got[0], got[1]) != 0)
            abort();
        expr_case_print(pool, frame, e, batch[0], &meta, some, 3, "|", got[0], sizeof got[0]);
        if (rkp_expr_type(e).kind == RKP_BOOL && !same_filter(e, &meta))
            abort();
    }
    expr_case_fini(&c);
    free(text);
    return 0;
}
