// sent: see sent.h.
#include "sent.h"

#include <stdio.h>

static rkp_verdict note(sent_check *k, uint64_t line, rkp_str column, const char *reason, rkp_str what)
{
    int n;
    k->bad = true;
    n = snprintf(k->what, sizeof k->what, "line %llu: ", (unsigned long long)line);
    if (column.n)
        n += snprintf(k->what + n, sizeof k->what - (size_t)n, "column '%.*s': ", (int)(column.n < 63 ? column.n : 63),
                      column.p);
    if (what.n)
        n += snprintf(k->what + n, sizeof k->what - (size_t)n, "%.*s", (int)(what.n < 120 ? what.n : 120), what.p);
    snprintf(k->what + n, sizeof k->what - (size_t)n, " [%s]", reason);
    for (char *p = k->what; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = '?';
    return RKP_FAIL;
}

rkp_verdict sent_reject_raw(sent_check *k, rkp_actor *a, unsigned code, rkp_str what, rkp_str raw, rkp_str file,
                            uint64_t line)
{
    return k ? note(k, line, (rkp_str){ 0 }, rkp_row_error_name(code), what)
             : rkp_reject_raw(a, code, what, raw, file, line);
}

rkp_verdict sent_reject(sent_check *k, rkp_actor *a, rkp_batch *b, const rkp_errs *errs)
{
    const rkp_err *e = errs->v;
    rkp_str name;
    if (!k)
        return rkp_reject(a, b, errs);
    return note(k, rkp_batch_line(b, e->row, &name), e->col >= 0 ? b->schema->f[e->col].name : (rkp_str){ 0 },
                rkp_row_error_name(e->code), e->what);
}

void sent_emit(const sent_check *k, rkp_actor *a, rkp_batch *b)
{
    if (k)
        rkp_batch_put(b);
    else
        rkp_emit(a, 0, b);
}

rkp_str sent_host(rkp_str client)
{
    const char *colon = client.n ? memrchr(client.p, ':', client.n) : NULL;
    rkp_str host = { client.p, colon ? (size_t)(colon - client.p) : client.n };
    if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
        host = (rkp_str){ host.p + 1, host.n - 2 };
    return host;
}

bool sent_from(const rkp_schema *with, rkp_batch *b, rkp_str client)
{
    rkp_str host = sent_host(client);
    uint32_t n = b->n_cols, *zeros;
    rkp_col *cols;
    if (!with)
        return true;
    cols = rkp_batch_alloc(b, ((size_t)n + 1) * sizeof *cols);
    zeros = rkp_batch_alloc(b, ((size_t)b->rows + 1) * sizeof *zeros);
    if (!cols || !zeros)
        return false;
    if (n)
        memcpy(cols, b->cols, n * sizeof *cols);
    memset(zeros, 0, ((size_t)b->rows + 1) * sizeof *zeros);
    b->cols = cols;
    if (rkp_col_set_strs(b, n, with->f[n].type, &host, 1) != RKP_OK)
        return false;
    cols[n].sel = zeros;
    b->n_cols = n + 1;
    b->schema = with;
    return true;
}
