// run/store.c - dead letters that are kept on disk (dead_letter.store): one store a run, in <data_dir>/dlq.
//
// What is kept of a row is more than what the dead-letter kernel gets: its columns as they stood before the kernel that
// failed, so that it can be put there again.
#include "flow/deadstore.h"
#include "run/actor.h"

#include <limits.h>
#include <stdio.h>

rkp_status rki_store_open(rki_run *r, char *err, size_t n)
{
    const rki_store_conf *c = &r->plan->spec->dead_store;
    rki_deadstore_opts o = { .bytes = c->bytes, .age_us = c->age_ns / 1000, .trial = r->args.replay != NULL };
    char path[PATH_MAX], why[RKI_SPOOL_ERR] = "";
    rkp_status st;
    int k;

    if (!c->bytes)
        return RKP_OK;
    k = snprintf(path, sizeof path, "%s/" RKI_STORE_FOLDER, r->args.data_dir ? r->args.data_dir : ".");
    if (k < 0 || (size_t)k >= sizeof path) {
        snprintf(err, n, "engine.data_dir is too long");
        return RKP_INVALID;
    }
    st = rki_deadstore_open(path, &o, &r->dead_store, why);
    if (st != RKP_OK) {
        snprintf(err, n, "dead letters cannot be kept: %s", why);
        return st;
    }
    if (*rki_deadstore_warning(r->dead_store))
        rki_log(r, "warning: dead letters: %s\n", rki_deadstore_warning(r->dead_store));
    return RKP_OK;
}

rkp_status rki_store_flush(rki_run *r, char *err, size_t n)
{
    char why[RKI_SPOOL_ERR] = "";
    rkp_status st = r->dead_store ? rki_deadstore_flush(r->dead_store, why) : RKP_OK;

    if (st != RKP_OK)
        snprintf(err, n, "dead letters cannot be kept: %.200s", why);
    return st;
}

void rki_store_close(rki_run *r)
{
    rki_deadstore_close(r->dead_store);
    r->dead_store = NULL;
}

static bool all_null(const rkp_col *c, uint32_t rows)
{
    if (c->rep != RKP_FLAT || !c->valid)
        return false;
    for (uint32_t i = 0; i < rows; i++)
        if (!rkp_col_is_null(c, rkp_col_row(c, i)))
            return false;
    return true;
}

// Does nobody behind the producers of a kernel read what comes as this column?  Then they need not have made it.
static bool unread(const rki_plan *p, const rki_bound *to, rkp_str name)
{
    int at = rkp_schema_find(&to->in, name);
    for (uint32_t i = 0; at >= 0 && to->unite && i < to->k->n_from; i++) {
        const rki_bound *from = &p->kernels[to->k->from[i].kernel];
        int32_t c = to->k->from[i].reply ? -1 : to->unite[i].col[at];
        if (c >= 0 && from->needed && (uint32_t)c < from->out[0].n && !from->needed[c])
            return true;
    }
    return false;
}

// Without columns that were not made because nobody reads them: they are null in every row, whatever they should be, and a
// replay through kernels that do read them must not take that for their values.  Takes b.
static rkp_batch *made_columns(const rki_plan *p, rkp_str kernel, rkp_batch *b)
{
    const rki_bound *to = NULL;
    rkp_schema *s = NULL;
    rkp_field *f = NULL;
    rkp_batch *out = b;
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->n_kernels; i++)
        if (rkp_str_eq(rkp_word_str(p->kernels[i].k->id), kernel))
            to = &p->kernels[i];
    for (uint32_t c = 0; to && c < b->n_cols; c++) {
        if (!all_null(&b->cols[c], b->rows) || !unread(p, to, b->schema->f[c].name)) {
            if (s) {
                f[n] = b->schema->f[c];
                out->cols[n] = b->cols[c];
            }
            n++;
        } else if (!s) {
            out = rkp_batch_derive(b, 4096);
            s = out ? rkp_batch_alloc(out, sizeof *s) : NULL;
            f = out ? rkp_batch_alloc(out, b->n_cols * sizeof *f) : NULL;
            if (!s || !f) {
                rkp_batch_put(out);
                rkp_batch_put(b);
                return NULL;
            }
            memcpy(f, b->schema->f, n * sizeof *f);
        }
    }
    if (!s)
        return b;
    *s = (rkp_schema){ n, f };
    out->schema = s;
    out->n_cols = n;
    rkp_batch_put(b);
    return out;
}

bool rki_store_letters(rkp_actor *a, rkp_batch *b, const uint32_t *rows, const rki_letter *v, uint32_t n)
{
    rki_dead_set set = { .kernel = v->kernel, .to = v->to, .stamp = a->r->in_stamp, .n = n };
    rkp_batch *mem = rkp_batch_new(a->run->pool, NULL, 0, (size_t)n * sizeof *set.v), *part = NULL;
    rki_dead_row *d = mem ? rkp_batch_alloc(mem, n * sizeof *d) : NULL;
    char err[RKI_SPOOL_ERR] = "out of memory";
    rkp_status st = d ? RKP_OK : RKP_NOMEM;

    if (st == RKP_OK && b && b->n_cols) {
        part = rkp_batch_pick(b, rows, n);
        if (part)
            part = made_columns(a->gen->plan, v->to.n ? v->to : v->kernel, part);
        st = part ? RKP_OK : RKP_NOMEM;
    }
    for (uint32_t i = 0; st == RKP_OK && i < n; i++)
        d[i] = (rki_dead_row){ .reason = v[i].reason,
                               .error = v[i].error,
                               .source = v[i].source,
                               .line = v[i].line,
                               .text = v[i].made && part ? (rkp_str){ 0 } : v[i].row };
    if (st == RKP_OK) {
        set.v = d;
        set.rows = part;
        st = rki_deadstore_add(a->run->dead_store, &set, err);
    }
    if (st == RKP_OK && a->run->args.replay)
        rki_replay_kept(a->run->args.replay, n);
    rkp_batch_put(part);
    rkp_batch_put(mem);
    if (st != RKP_OK)
        rki_fail_run(a, st, "dead letters cannot be kept: %s", err);
    return st == RKP_OK;
}
