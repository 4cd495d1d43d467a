// cli/letters.c - see letters.h.
#include "cli/letters.h"

#include "data/row_text.h"
#include <rkpipe/num.h>

#include <stdio.h>
#include <stdlib.h>

enum { POOL = 64 << 20 };

rkp_status rki_letters_open(rki_letters *s)
{
    const rki_deadstore_opts o = { .read_only = true };
    rkp_status st = RKP_NOMEM;
    s->pool = rkp_pool_new(POOL);
    if (s->pool)
        st = rki_deadstore_open(s->dir, &o, &s->d, s->err);
    if (st == RKP_NOMEM)
        snprintf(s->err, sizeof s->err, "out of memory");
    return st;
}

void rki_letters_close(rki_letters *s)
{
    rki_deadstore_close(s->d);
    rkp_pool_free(s->pool);
    s->d = NULL;
    s->pool = NULL;
}

uint64_t rki_letters_damaged(rki_letters *s)
{
    rki_spool_stats st;
    rki_deadstore_look(s->d, &st);
    return st.lost + s->unreadable;
}

static bool wanted(const rki_letters *s, const rki_dead_record *r, uint32_t row)
{
    return !rki_dead_done(r, row) && (!s->kernel || rkp_str_is(rki_dead_text(r, row, RKI_DEAD_KERNEL), s->kernel)) &&
           (!s->reason || rkp_str_is(rki_dead_text(r, row, RKI_DEAD_REASON), s->reason));
}

rkp_status rki_letters_each(rki_letters *s, rki_letter_fn *seen, void *arg)
{
    rkp_status st = RKP_OK;
    rki_dead_record r;
    s->unreadable = 0;
    rki_deadstore_rewind(s->d);
    while (st == RKP_OK) {
        st = rki_deadstore_next(s->d, s->pool, &r, s->err);
        if (st == RKP_INVALID) {
            s->unreadable++;
            st = RKP_OK;
            continue;
        }
        if (st != RKP_OK || !r.seq)
            break;
        for (uint32_t i = 0; i < r.letters->rows && st == RKP_OK; i++)
            if (wanted(s, &r, i))
                st = seen(arg, &r, i);
        rki_dead_record_put(&r);
    }
    if (st == RKP_NOMEM)
        snprintf(s->err, sizeof s->err, "out of memory");
    return st;
}

static rkp_status count_one(void *arg, const rki_dead_record *r, uint32_t row)
{
    (void)r;
    (void)row;
    ++*(uint64_t *)arg;
    return RKP_OK;
}

rkp_status rki_letters_count(rki_letters *s, uint64_t *n)
{
    *n = 0;
    return rki_letters_each(s, count_one, n);
}

void rki_letter_time(rki_buf *out, uint64_t us)
{
    char text[RKP_TIMESTAMP_TEXT];
    rki_put(out, text, rkp_print_timestamp(text, us < INT64_MAX ? (int64_t)us : INT64_MAX));
}

// ---- groups ---------------------------------------------------------------------------------------------------------

static bool is_group(const rki_letter_group *g, rkp_str kernel, rkp_str reason)
{
    return rkp_str_is(kernel, g->kernel) && rkp_str_is(reason, g->reason);
}

static rki_letter_group *new_group(rki_letter_groups *gs, rkp_str kernel, rkp_str reason, uint64_t us)
{
    rki_letter_group *g;
    if (gs->n == gs->cap) {
        size_t cap = gs->cap ? gs->cap * 2 : 16;
        g = reallocarray(gs->v, cap, sizeof *g);
        if (!g)
            return NULL;
        gs->v = g;
        gs->cap = cap;
    }
    g = &gs->v[gs->n];
    *g = (rki_letter_group){ strndup(kernel.p, kernel.n), strndup(reason.p, reason.n), 0, us, us };
    if (!g->kernel || !g->reason) {
        free(g->kernel);
        free(g->reason);
        return NULL;
    }
    gs->n++;
    return g;
}

static rkp_status group_one(void *arg, const rki_dead_record *r, uint32_t row)
{
    rki_letter_groups *gs = arg;
    rkp_str kernel = rki_dead_text(r, row, RKI_DEAD_KERNEL), reason = rki_dead_text(r, row, RKI_DEAD_REASON);
    rki_letter_group *g;
    size_t i = gs->last;
    if (i >= gs->n || !is_group(&gs->v[i], kernel, reason))
        for (i = 0; i < gs->n && !is_group(&gs->v[i], kernel, reason); i++)
            ;
    g = i < gs->n ? &gs->v[i] : new_group(gs, kernel, reason, r->at_us);
    if (!g)
        return RKP_NOMEM;
    gs->last = i;
    gs->rows++;
    g->rows++;
    g->oldest = r->at_us < g->oldest ? r->at_us : g->oldest;
    g->newest = r->at_us > g->newest ? r->at_us : g->newest;
    return RKP_OK;
}

rkp_status rki_letters_group(rki_letters *s, rki_letter_groups *to)
{
    return rki_letters_each(s, group_one, to);
}

void rki_letter_groups_fini(rki_letter_groups *g)
{
    for (size_t i = 0; i < g->n; i++) {
        free(g->v[i].kernel);
        free(g->v[i].reason);
    }
    free(g->v);
    *g = (rki_letter_groups){ 0 };
}

static void put_time(rki_json *j, const char *key, uint64_t us)
{
    char text[RKP_TIMESTAMP_TEXT];
    size_t n = rkp_print_timestamp(text, us < INT64_MAX ? (int64_t)us : INT64_MAX);
    rki_json_put_str(j, key, (rkp_str){ text, n });
}

void rki_letter_groups_json(rki_letters *s, const rki_letter_groups *gs, int indent, rki_buf *out)
{
    rki_spool_stats st;
    rki_json j;
    rki_deadstore_look(s->d, &st);
    rki_json_init(&j, out, indent);
    rki_json_object(&j);
    rki_json_put_z(&j, "store", s->dir);
    rki_json_put_u64(&j, "bytes", st.bytes);
    rki_json_put_u64(&j, "rows", gs->rows);
    rki_json_key(&j, "groups");
    rki_json_array(&j);
    for (size_t i = 0; i < gs->n; i++) {
        rki_json_object(&j);
        rki_json_put_z(&j, "kernel", gs->v[i].kernel);
        rki_json_put_z(&j, "reason", gs->v[i].reason);
        rki_json_put_u64(&j, "rows", gs->v[i].rows);
        put_time(&j, "oldest", gs->v[i].oldest);
        put_time(&j, "newest", gs->v[i].newest);
        rki_json_end_object(&j);
    }
    rki_json_end_array(&j);
    rki_json_end_object(&j);
}

// ---- one letter -----------------------------------------------------------------------------------------------------

bool rki_letter_columns(rki_letters *s, const rki_dead_record *r, uint32_t row, rki_buf *to)
{
    rkp_batch *mem;
    rki_json j;
    if (!r->rows)
        return true;
    mem = rkp_batch_new(s->pool, NULL, 0, 4096);
    if (!mem)
        return false;
    rki_json_init(&j, to, 0);
    rki_row_json(&j, mem, r->rows, row);
    rkp_batch_put(mem);
    return !to->failed;
}

static void text_json(rki_json *j, const char *key, rkp_str s)
{
    if (s.p)
        rki_json_put_str(j, key, s);
}

void rki_letter_json(const rki_dead_record *r, uint32_t row, rkp_str columns, rki_buf *out)
{
    rkp_str kernel = rki_dead_text(r, row, RKI_DEAD_KERNEL), to = rki_dead_text(r, row, RKI_DEAD_TO);
    char id[48];
    rki_json j;
    snprintf(id, sizeof id, "%llu.%u", (unsigned long long)r->seq, row);
    rki_json_init(&j, out, 0);
    rki_json_object(&j);
    text_json(&j, "id", rkp_str_of(id));
    put_time(&j, "at", r->at_us);
    text_json(&j, "kernel", kernel);
    if (!rkp_str_eq(kernel, to))
        text_json(&j, "to", to);
    text_json(&j, "reason", rki_dead_text(r, row, RKI_DEAD_REASON));
    text_json(&j, "error", rki_dead_text(r, row, RKI_DEAD_ERROR));
    text_json(&j, "source", rki_dead_text(r, row, RKI_DEAD_SOURCE));
    if (rki_dead_line(r, row))
        rki_json_put_i64(&j, "line", rki_dead_line(r, row));
    if (r->rows)
        text_json(&j, "topic", rkp_batch_topic(r->rows, row));
    if (r->stamp)
        rki_json_put_u64(&j, "stamp", r->stamp);
    text_json(&j, "text", rki_dead_text(r, row, RKI_DEAD_TEXT));
    if (columns.n) {
        rki_json_key(&j, "row");
        rki_json_raw(&j, columns);
    }
    rki_json_end_object(&j);
}
