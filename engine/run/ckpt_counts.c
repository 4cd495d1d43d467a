// run/ckpt_counts.c - what a checkpoint keeps of counts: they go on, so that the sums at the end are those of the whole job.
#include "run/ckpt.h"

static void put_reasons(rkp_save *s, const rki_reason_count *v, uint32_t n)
{
    rkp_save_u64(s, n);
    for (uint32_t i = 0; i < n; i++) {
        rkp_save_str(s, (rkp_str){ v[i].reason, strlen(v[i].reason) });
        rkp_save_u64(s, v[i].rows);
    }
}

static bool get_reasons(rki_run *r, rkp_load *l, rki_reason_count *v, uint32_t *n)
{
    uint64_t most = rkp_load_count(l, 16);
    for (uint64_t i = 0; i < most && rkp_load_ok(l); i++) {
        rkp_str name = rkp_load_str(l);
        uint64_t rows = rkp_load_u64(l);
        uint32_t at = 0;
        while (at < *n && !rkp_str_eq((rkp_str){ v[at].reason, strlen(v[at].reason) }, name))
            at++;
        if (at == RKI_MAX_REASONS)
            at--;
        if (at == *n) {
            v[at] = (rki_reason_count){ rki_dup(&r->arena, name.p ? name.p : "", name.n), 0 };
            if (!v[at].reason)
                return false;
            ++*n;
        }
        v[at].rows += rows;
    }
    return true;
}

// What is counted, of an instance or of those that have gone, as a list.
struct sums {
    uint64_t *v[12];
    size_t n;
    uint64_t *metrics; // 16
    rki_reason_count *drops, *deads;
    uint32_t *n_drops, *n_deads;
};

static struct sums sums_of(rkp_actor *a)
{
    rki_counts *c = &a->counts;
    return (struct sums){ .v = { &c->batches, &c->rows_in, &c->rows_out, &c->bytes_in, &c->bytes_out, &c->absorbed,
                                 &c->unread, &c->dropped, &c->lost, &c->dead, &a->bad, &a->meta.first_row },
                          .n = 12,
                          .metrics = c->metrics,
                          .drops = c->drops,
                          .deads = c->deads,
                          .n_drops = &c->n_drops,
                          .n_deads = &c->n_deads };
}

// Of instances that reloads have taken out of a kernel.
static struct sums sums_of_past(rki_kernel_counts *c)
{
    return (struct sums){ .v = { &c->batches, &c->rows_in, &c->rows_out, &c->bytes_in, &c->bytes_out, &c->absorbed,
                                 &c->dropped, &c->lost, &c->dead_lettered, &c->bad },
                          .n = 10,
                          .metrics = c->metrics,
                          .drops = c->drops,
                          .deads = c->deads,
                          .n_drops = &c->n_drops,
                          .n_deads = &c->n_deads };
}

static void put_sums(rkp_save *s, struct sums c)
{
    for (size_t i = 0; i < c.n; i++)
        rkp_save_u64(s, *c.v[i]);
    for (size_t i = 0; i < 16; i++)
        rkp_save_u64(s, c.metrics[i]);
    put_reasons(s, c.drops, *c.n_drops);
    put_reasons(s, c.deads, *c.n_deads);
}

// Adds: what several replicas had becomes one's where there are fewer now.
static bool add_sums(rki_run *r, rkp_load *l, struct sums c)
{
    for (size_t i = 0; i < c.n; i++)
        *c.v[i] += rkp_load_u64(l);
    for (size_t i = 0; i < 16; i++)
        c.metrics[i] += rkp_load_u64(l);
    return get_reasons(r, l, c.drops, c.n_drops) && get_reasons(r, l, c.deads, c.n_deads);
}

void rki_counts_put(rkp_save *s, rkp_actor *a)
{
    put_sums(s, sums_of(a));
    rkp_save_bool(s, a->stopped);
}

rkp_status rki_counts_get(rkp_actor *a, rkp_str bytes)
{
    rkp_load l;
    rki_load_begin(&l, bytes.p, bytes.n);
    if (!add_sums(a->run, &l, sums_of(a)))
        return RKP_NOMEM;
    if (rkp_load_bool(&l))
        a->stopped = true;
    return rki_load_end(&l);
}

uint64_t rki_counts_rows_out(rkp_str bytes)
{
    rkp_load l;
    rki_load_begin(&l, bytes.p, bytes.n);
    rkp_load_u64(&l); // as in sums_of
    rkp_load_u64(&l);
    return rkp_load_u64(&l);
}

void rki_past_put(rkp_save *s, rki_kernel_counts *c)
{
    put_sums(s, sums_of_past(c));
}

rkp_status rki_past_get(rki_run *r, rki_kernel_counts *c, rkp_str bytes)
{
    rkp_load l;
    rki_load_begin(&l, bytes.p, bytes.n);
    return add_sums(r, &l, sums_of_past(c)) ? rki_load_end(&l) : RKP_NOMEM;
}
