// run/replay.c - see replay.h.
//
// The store is read by each target's source, as another process would read it; which rows go is decided by the same
// conditions as in the first scan, so nothing but marks of rows that were emitted has to be kept in memory.
#include "flow/deadstore.h"
#include "run/actor.h"

#include <stdio.h>
#include <stdlib.h>

enum { POOL = 64 << 20 };

struct mark {
    uint64_t seq;
    uint32_t rows;
    uint8_t *done;
};

struct target {
    const char *id;
    bool source;         // gets texts
    const rki_bound *to; // once it is planned
    uint64_t rows;       // that it is to get
    // Its source's from here on.
    rki_deadstore *store;
    rki_dead_record rec; // of `source`: at hand
    uint32_t row;        // the next of it
    uint8_t *bits;       // of it
    struct mark *v;
    size_t n, cap;
    uint64_t emitted, refused;
};

// Columns of rows of one target, each set once.
struct shape {
    uint32_t target, n;
    uint64_t rows;
    const rkp_field *f;
    uint8_t *text;  // they have not been read yet
    uint8_t *nulls; // some of them are null
    struct shape *next;
};

struct rki_replay {
    rki_arena arena;
    const rki_spec *spec;
    const char *dir, *kernel, *reason;
    const char *(*refuse)(void *arg, const rki_kernel *k);
    void *refuse_arg;
    struct target *targets;
    const char **ids;
    uint32_t n_targets, cap_targets;
    rki_replay_group *groups;
    size_t n_groups, cap_groups, last_group;
    struct shape *shapes;
    uint64_t last; // record of the scan: what comes later is not ours
    uint64_t damaged;
    uint64_t again; // atomic
    bool settled;
};

// ---- what goes where ------------------------------------------------------------------------------------------------

static const char no_kernel[] = "the pipeline has no such kernel";
static const char made[] = "the kernel has made them, it did not get them";
static const char cut[] = "only the beginning of their text is known";
static const char no_columns[] = "they have no columns";
static const char no_way[] = "their source cannot take them again";

static bool asked_for(const rki_replay *p, const rki_dead_record *r, uint32_t row)
{
    return !rki_dead_done(r, row) && (!p->kernel || rkp_str_is(rki_dead_text(r, row, RKI_DEAD_KERNEL), p->kernel)) &&
           (!p->reason || rkp_str_is(rki_dead_text(r, row, RKI_DEAD_REASON), p->reason));
}

static bool goes_to(const rki_replay *p, const struct target *t, const rki_dead_record *r, uint32_t row)
{
    return asked_for(p, r, row) && rkp_str_is(rki_dead_text(r, row, RKI_DEAD_TO), t->id) &&
           (t->source ? rki_dead_text(r, row, RKI_DEAD_TEXT).p != NULL : r->rows != NULL);
}

static const rki_kernel *kernel_named(const rki_spec *s, rkp_str id)
{
    for (size_t i = 0; i < s->n_kernels; i++)
        if (rkp_str_eq(rkp_word_str(s->kernels[i].id), id))
            return &s->kernels[i];
    return NULL;
}

// Why the row cannot be replayed; NULL: it can.
static const char *stays(const rki_replay *p, const rki_kernel *k, const rki_dead_record *r, uint32_t row)
{
    const char *why;
    if (!rki_dead_text(r, row, RKI_DEAD_TO).n)
        return r->rows ? made : cut;
    if (!k || k->id.p[0] == '$')
        return no_kernel;
    if (p->refuse && (why = p->refuse(p->refuse_arg, k)))
        return why;
    if (k->op->kind != RKP_SOURCE)
        return r->rows ? NULL : no_columns;
    return k->op->again && k->op->decode && rki_dead_text(r, row, RKI_DEAD_TEXT).p ? NULL : no_way;
}

static bool no_memory(char *err, size_t n)
{
    snprintf(err, n, "out of memory");
    return false;
}

static bool count(rki_replay *p, rkp_str kernel, rkp_str to, rkp_str reason, const char *why)
{
    rki_replay_group *g;
    size_t i = p->last_group;

#define IS_IT(g)                                                                                                       \
    ((g)->stays == why && rkp_str_is(kernel, (g)->kernel) && rkp_str_is(to, (g)->to) && rkp_str_is(reason, (g)->reason))
    if (i >= p->n_groups || !IS_IT(&p->groups[i]))
        for (i = 0; i < p->n_groups && !IS_IT(&p->groups[i]); i++)
            ;
#undef IS_IT
    if (i == p->n_groups) {
        if (p->n_groups == p->cap_groups) {
            size_t cap = p->cap_groups ? p->cap_groups * 2 : 16;
            g = reallocarray(p->groups, cap, sizeof *g);
            if (!g)
                return false;
            p->groups = g;
            p->cap_groups = cap;
        }
        g = &p->groups[i];
        *g = (rki_replay_group){ .kernel = rki_dup(&p->arena, kernel.p, kernel.n),
                                 .to = rki_dup(&p->arena, to.p, to.n),
                                 .reason = rki_dup(&p->arena, reason.p, reason.n),
                                 .stays = why };
        if (!g->kernel || !g->to || !g->reason)
            return false;
        p->n_groups++;
    }
    p->last_group = i;
    p->groups[i].rows++;
    return true;
}

// The target of this name, made when it is new; NULL without memory.
static struct target *target_named(rki_replay *p, const rki_kernel *k)
{
    struct target *t;

    for (uint32_t i = 0; i < p->n_targets; i++)
        if (strcmp(p->targets[i].id, k->id.p) == 0)
            return &p->targets[i];
    if (p->n_targets == p->cap_targets) {
        uint32_t cap = p->cap_targets ? p->cap_targets * 2 : 8;
        struct target *v = reallocarray(p->targets, cap, sizeof *v);
        const char **ids = v ? reallocarray(p->ids, cap, sizeof *ids) : NULL;
        p->targets = v ? v : p->targets;
        if (!ids)
            return NULL;
        p->ids = ids;
        p->cap_targets = cap;
    }
    t = &p->targets[p->n_targets];
    *t = (struct target){ .id = rki_dup(&p->arena, k->id.p, k->id.n), .source = k->op->kind == RKP_SOURCE };
    if (!t->id)
        return NULL;
    p->ids[p->n_targets++] = t->id;
    return t;
}

// ---- their columns --------------------------------------------------------------------------------------------------

static bool same_shape(const struct shape *s, uint32_t target, const rkp_batch *b)
{
    if (s->target != target || s->n != b->n_cols)
        return false;
    for (uint32_t c = 0; c < s->n; c++)
        if (s->f[c].type.kind != b->cols[c].type.kind || s->f[c].type.len != b->cols[c].type.len ||
            s->text[c] != (b->cols[c].rep == RKP_TEXT) || !rkp_str_eq(s->f[c].name, b->schema->f[c].name))
            return false;
    return true;
}

static struct shape *shape_of(rki_replay *p, uint32_t target, const rkp_batch *b)
{
    struct shape *s = p->shapes;
    rkp_field *f;

    while (s && !same_shape(s, target, b))
        s = s->next;
    if (s)
        return s;
    s = rki_alloc(&p->arena, sizeof *s);
    f = rki_array(&p->arena, b->n_cols + 1u, sizeof *f);
    if (!s || !f)
        return NULL;
    *s = (struct shape){ .target = target, .n = b->n_cols, .f = f, .next = p->shapes };
    s->text = rki_alloc(&p->arena, b->n_cols + 1u);
    s->nulls = rki_alloc(&p->arena, b->n_cols + 1u);
    for (uint32_t c = 0; s->text && s->nulls && c < s->n; c++) {
        f[c] = (rkp_field){ rki_dup_str(&p->arena, b->schema->f[c].name), b->cols[c].type };
        s->text[c] = b->cols[c].rep == RKP_TEXT;
    }
    if (rki_arena_failed(&p->arena))
        return NULL;
    p->shapes = s;
    return s;
}

static void look_for_nulls(struct shape *s, const rkp_batch *b, uint32_t row)
{
    for (uint32_t c = 0; c < s->n; c++)
        if (!s->text[c] && !s->nulls[c])
            s->nulls[c] = rkp_col_is_null(&b->cols[c], rkp_col_row(&b->cols[c], row));
}

// ---- the scan -------------------------------------------------------------------------------------------------------

static bool scan_record(rki_replay *p, const rki_dead_record *r)
{
    rkp_str last = { 0 };
    const rki_kernel *k = NULL;
    struct target *t = NULL;
    struct shape *s = NULL;

    for (uint32_t i = 0; i < r->letters->rows; i++) {
        rkp_str to = rki_dead_text(r, i, RKI_DEAD_TO);
        const char *why;
        if (!asked_for(p, r, i))
            continue;
        if (!last.p || !rkp_str_eq(last, to)) { // mostly the same for all rows
            k = kernel_named(p->spec, to);
            t = NULL;
            s = NULL;
            last = to;
        }
        why = stays(p, k, r, i);
        if (!count(p, rki_dead_text(r, i, RKI_DEAD_KERNEL), to, rki_dead_text(r, i, RKI_DEAD_REASON), why))
            return false;
        if (why)
            continue;
        if (!t && !(t = target_named(p, k)))
            return false;
        t->rows++;
        if (t->source)
            continue;
        if (!s && !(s = shape_of(p, (uint32_t)(t - p->targets), r->rows)))
            return false;
        s->rows++;
        look_for_nulls(s, r->rows, i);
    }
    return true;
}

static rkp_status scan(rki_replay *p, rki_deadstore *d, rkp_pool *pool, char *err, size_t n)
{
    char why[RKI_SPOOL_ERR] = "";
    rki_spool_stats about;
    rki_dead_record r;

    for (;;) {
        rkp_status st = rki_deadstore_next(d, pool, &r, why);
        bool ok;
        if (st == RKP_INVALID) {
            p->damaged++;
            continue;
        }
        if (st != RKP_OK) {
            snprintf(err, n, "%s", why);
            return st;
        }
        if (!r.seq)
            break;
        p->last = r.seq;
        ok = scan_record(p, &r);
        rki_dead_record_put(&r);
        if (!ok) {
            no_memory(err, n);
            return RKP_NOMEM;
        }
    }
    rki_deadstore_look(d, &about);
    p->damaged += about.lost;
    return RKP_OK;
}

rkp_status rki_replay_new(const rki_replay_opts *o, const rki_spec *s, rki_replay **out, char *err, size_t n)
{
    const rki_deadstore_opts so = { .read_only = true };
    rki_replay *p = calloc(1, sizeof *p);
    rkp_pool *pool = rkp_pool_new(POOL);
    char why[RKI_SPOOL_ERR] = "";
    rki_deadstore *d = NULL;
    rkp_status st = RKP_NOMEM;

    no_memory(err, n);
    if (!p || !pool)
        goto out;
    rki_arena_init(&p->arena);
    p->spec = s;
    p->dir = rki_dup(&p->arena, o->dir, strlen(o->dir));
    p->kernel = o->kernel ? rki_dup(&p->arena, o->kernel, strlen(o->kernel)) : NULL;
    p->refuse = o->refuse;
    p->refuse_arg = o->refuse_arg;
    p->reason = o->reason ? rki_dup(&p->arena, o->reason, strlen(o->reason)) : NULL;
    if (rki_arena_failed(&p->arena))
        goto out;
    st = rki_deadstore_open(p->dir, &so, &d, why);
    if (st == RKP_OK)
        st = scan(p, d, pool, err, n);
    else
        snprintf(err, n, "%s", why);
out:
    rki_deadstore_close(d);
    rkp_pool_free(pool);
    if (st == RKP_OK)
        *out = p;
    else
        rki_replay_free(p);
    return st;
}

void rki_replay_free(rki_replay *p)
{
    if (!p)
        return;
    for (uint32_t i = 0; i < p->n_targets; i++) {
        struct target *t = &p->targets[i];
        for (size_t j = 0; j < t->n; j++)
            free(t->v[j].done);
        free(t->v);
        free(t->bits);
        rki_deadstore_close(t->store);
    }
    free(p->targets);
    free(p->ids);
    free(p->groups);
    rki_arena_fini(&p->arena);
    free(p);
}

const rki_replay_group *rki_replay_groups(const rki_replay *p, size_t *n)
{
    *n = p->n_groups;
    return p->groups;
}

uint64_t rki_replay_damaged(const rki_replay *p)
{
    return p->damaged;
}

const char *const *rki_replay_targets(const rki_replay *p, size_t *n)
{
    *n = p->n_targets;
    return p->ids;
}

void rki_replay_look(const rki_replay *p, rki_replay_result *out)
{
    *out = (rki_replay_result){ .again = __atomic_load_n(&p->again, __ATOMIC_RELAXED), .settled = p->settled };
    for (uint32_t i = 0; i < p->n_targets; i++) {
        const struct target *t = &p->targets[i];
        out->replayed += t->emitted;
        out->refused += t->refused;
    }
}

// ---- do they fit? ---------------------------------------------------------------------------------------------------

// Without a value that could get lost on the way.
static bool type_fits(rkp_type have, rkp_type want, bool text)
{
    if (have.kind == want.kind && have.len == want.len)
        return true;
    if (have.len || want.len)
        return false;
    if (text)
        return true; // read as what it should be now, and wrong again when it is not
    switch (want.kind) {
    case RKP_F64:
        return rkp_kind_is_num(have.kind);
    case RKP_I64:
        return rkp_kind_is_int(have.kind) && have.kind != RKP_U64;
    case RKP_U64:
        return rkp_kind_is_int(have.kind) && !rkp_kind_is_signed(have.kind);
    default:
        return false;
    }
}

static bool column_fits(const struct target *t, const struct shape *s, uint32_t c, rkp_diags *d)
{
    const rki_bound *to = t->to;
    const rkp_field *want = &to->in.f[c];
    rkp_schema have = { s->n, s->f };
    int at = rkp_schema_find(&have, want->name);
    char tw[RKP_TYPE_TEXT], th[RKP_TYPE_TEXT];
    rkp_type is;

    if (at < 0 && !rki_plan_wants(to, c))
        return true;
    rkp_type_print(tw, want->type);
    if (at < 0) {
        rkp_diag(d, RKP_ERROR, to->k->at, "replay-columns",
                 "kernel '%s' reads a column '%.*s' (%s), which %llu stored row%s of it %s not have", t->id,
                 RKP_STR_ARG(want->name), tw, (unsigned long long)s->rows, s->rows == 1 ? "" : "s",
                 s->rows == 1 ? "does" : "do");
        rkp_diag_hint(d,
                      "it was not made, or nobody read it, when they went wrong; --kernel and --reason choose others");
        return false;
    }
    is = s->f[at].type;
    is.nullable = s->nulls[at];
    if (!type_fits(is, want->type, s->text[at]) || (s->nulls[at] && !want->type.nullable)) {
        rkp_type_print(th, is);
        rkp_diag(d, RKP_ERROR, to->k->at, "replay-columns",
                 "kernel '%s' reads column '%.*s' as %s, and it is %s in %llu stored row%s", t->id,
                 RKP_STR_ARG(want->name), tw, th, (unsigned long long)s->rows, s->rows == 1 ? "" : "s");
        rkp_diag_hint(
            d, "--kernel and --reason choose others; 'dlq show --format json' has these for a pipeline of their own");
        return false;
    }
    return true;
}

bool rki_replay_fits(rki_replay *p, const rki_plan *plan, rkp_diags *d)
{
    bool ok = true;

    for (uint32_t i = 0; i < p->n_targets; i++)
        for (uint32_t k = 0; k < plan->n_kernels; k++)
            if (strcmp(plan->kernels[k].k->id.p, p->targets[i].id) == 0)
                p->targets[i].to = &plan->kernels[k];
    for (const struct shape *s = p->shapes; s; s = s->next) {
        const struct target *t = &p->targets[s->target];
        for (uint32_t c = 0; c < t->to->in.n; c++)
            ok &= column_fits(t, s, c, d);
    }
    return ok;
}

// ---- subscriptions --------------------------------------------------------------------------------------------------

// Which of its inputs a row came over is not known, only its topic.  With inputs that are no topics it could have come over
// one of those, and then a `where` is not asked.
bool rki_replay_has_where(const rki_bound *to)
{
    bool some = false;

    for (size_t i = 0; i < to->k->n_from; i++)
        if (!to->k->from[i].topic && !to->k->from[i].reply && !to->k->from[i].replay)
            return false;
    for (size_t i = 0; to->where && i < to->k->n_subs; i++)
        some |= to->where[i] != NULL;
    return some;
}

// ---- the sources ----------------------------------------------------------------------------------------------------

static struct target *target_of(const rkp_actor *a)
{
    rki_replay *p = a->run->args.replay;
    const char *id = a->bound->k->id.p;

    if (!p)
        return NULL;
    if (strncmp(id, RKI_REPLAY_ID, sizeof RKI_REPLAY_ID - 1) == 0)
        id += sizeof RKI_REPLAY_ID - 1;
    for (uint32_t i = 0; i < p->n_targets; i++)
        if (strcmp(p->targets[i].id, id) == 0)
            return &p->targets[i];
    return NULL;
}

// r->seq 0: there is no more.
static rkp_status read_record(const rki_replay *p, struct target *t, rkp_pool *pool, rki_dead_record *r, char *err)
{
    const rki_deadstore_opts so = { .read_only = true };
    rkp_status st = t->store ? RKP_OK : rki_deadstore_open(p->dir, &so, &t->store, err);

    do // what is damaged was counted
        st = st == RKP_OK || st == RKP_INVALID ? rki_deadstore_next(t->store, pool, r, err) : st;
    while (st == RKP_INVALID);
    if (st != RKP_OK || (r->seq && r->seq <= p->last))
        return st;
    rki_dead_record_put(r);
    r->seq = 0;
    return RKP_OK;
}

// RKP_MORE: there is a record.  RKP_DONE: there is no more.  RKP_FAIL.
static rkp_verdict next_record(rkp_actor *a, struct target *t, rki_dead_record *r)
{
    char err[RKI_SPOOL_ERR] = "";
    rkp_status st = read_record(a->run->args.replay, t, rkp_actor_pool(a), r, err);

    if (st != RKP_OK)
        return rki_fail_run(a, st, "cannot read the dead letters: %s", err);
    return r->seq ? RKP_MORE : RKP_DONE;
}

// Takes `done`, which must be malloc's.
static bool add_mark(struct target *t, uint64_t seq, uint32_t rows, uint8_t *done)
{
    if (t->n == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 64;
        struct mark *v = reallocarray(t->v, cap, sizeof *v);
        if (!v) {
            free(done);
            return false;
        }
        t->v = v;
        t->cap = cap;
    }
    t->v[t->n++] = (struct mark){ seq, rows, done };
    return true;
}

// As the kernel's columns are now.  Takes b.
rkp_batch *rki_replay_fitting(rkp_actor *a, const rki_bound *to, rkp_batch *b)
{
    rki_unite u = { .col = b ? rkp_batch_alloc(b, (to->in.n + 1u) * sizeof *u.col) : NULL };

    if (!u.col) {
        rkp_batch_put(b);
        rkp_fail(a, RKP_NOMEM, "out of memory");
        return NULL;
    }
    b->in_bytes = 0;
    for (uint32_t c = 0; c < to->in.n; c++)
        u.col[c] = rkp_schema_find(b->schema, to->in.f[c].name);
    return rki_unite_batch(a, &to->in, &u, b);
}

static bool emit(rkp_actor *a, const struct target *t, rkp_batch *of, const uint32_t *rows, uint32_t n)
{
    rkp_batch *b = n ? rki_replay_fitting(a, t->to, rkp_batch_pick(of, rows, n)) : NULL;

    if (b)
        rkp_emit(a, 0, b);
    return b || !n;
}

static rkp_verdict replay_poll(void *self, rkp_actor *a)
{
    struct target *t = target_of(a);
    rki_dead_record r;
    rkp_verdict v;
    uint32_t *rows, n = 0;
    uint8_t *done;
    bool ok;
    (void)self;
    if (!t || !t->to)
        return rkp_fail(a, RKP_INTERNAL, "nothing is replayed");
    if (rkp_stopping(a))
        return RKP_DONE;
    v = next_record(a, t, &r);
    if (v != RKP_MORE)
        return v;
    rows = rkp_batch_alloc(r.letters, (r.letters->rows + 1u) * sizeof *rows);
    done = calloc(1, r.letters->rows / 8 + 1);
    ok = rows && done;
    for (uint32_t i = 0; ok && i < r.letters->rows; i++) {
        if (!goes_to(a->run->args.replay, t, &r, i))
            continue;
        rows[n++] = i;
        rkp_bit_set(done, i);
    }
    if (ok && n && (ok = emit(a, t, r.rows, rows, n))) {
        ok = add_mark(t, r.seq, r.letters->rows, done);
        t->emitted += n;
    } else {
        free(done);
    }
    rki_dead_record_put(&r);
    if (!ok)
        return rkp_fail(a, RKP_NOMEM, "out of memory");
    rkp_progress(a, t->emitted, t->rows);
    return RKP_MORE;
}

// The record at hand is over.
static bool put_record(struct target *t)
{
    uint8_t *bits = t->bits;
    bool ok = true, some = false;

    t->bits = NULL;
    for (uint32_t i = 0; bits && i < t->rec.letters->rows; i++)
        some |= rkp_bit(bits, i);
    if (some)
        ok = add_mark(t, t->rec.seq, t->rec.letters->rows, bits);
    else
        free(bits);
    rki_dead_record_put(&t->rec);
    return ok;
}

// One record of text at a time: each has a place of its own.
rkp_verdict rki_replay_feed(rkp_actor *a)
{
    struct target *t = target_of(a);
    rkp_record rec;
    rkp_status st;
    rkp_str text;

    if (!t)
        return rkp_fail(a, RKP_INTERNAL, "nothing is replayed");
    if (rkp_stopping(a))
        return RKP_DONE;
    if (!t->rec.seq) {
        rkp_verdict v = next_record(a, t, &t->rec);
        if (v != RKP_MORE)
            return v;
        t->row = 0;
        t->bits = calloc(1, t->rec.letters->rows / 8 + 1);
        if (!t->bits)
            return rkp_fail(a, RKP_NOMEM, "out of memory");
    }
    while (t->row < t->rec.letters->rows && !goes_to(a->run->args.replay, t, &t->rec, t->row))
        t->row++;
    if (t->row == t->rec.letters->rows)
        return put_record(t) ? RKP_MORE : rkp_fail(a, RKP_NOMEM, "out of memory");
    text = rki_dead_text(&t->rec, t->row, RKI_DEAD_TEXT);
    rec = (rkp_record){ text, rki_dead_text(&t->rec, t->row, RKI_DEAD_SOURCE), (uint64_t)rki_dead_line(&t->rec, t->row),
                        t->rec.at_us };
    st = a->op->again(a->self, a, &rec);
    if (st == RKP_OK) {
        rkp_bit_set(t->bits, t->row);
        t->emitted++;
    } else if (st == RKP_UNAVAILABLE) {
        t->refused++;
    } else {
        return rkp_fail(a, st, st == RKP_NOMEM ? "out of memory" : "cannot take its records again");
    }
    t->row++;
    rkp_progress(a, t->emitted + t->refused, t->rows);
    return RKP_MORE;
}

const rki_bound *rki_replay_target(const rki_replay *p, uint32_t target)
{
    return p->targets[target].to;
}

rkp_status rki_replay_next(rki_replay *p, uint32_t target, rkp_pool *pool, rki_replay_part *out, char *err)
{
    struct target *t = &p->targets[target];

    *out = (rki_replay_part){ 0 };
    for (;;) {
        rki_dead_record r;
        uint32_t *rows, n = 0;
        rkp_status st = read_record(p, t, pool, &r, err);

        if (st != RKP_OK || !r.seq)
            return st;
        rows = rkp_batch_alloc(r.letters, (r.letters->rows + 1u) * sizeof *rows);
        out->done = calloc(1, r.letters->rows / 8 + 1);
        for (uint32_t i = 0; rows && out->done && i < r.letters->rows; i++) {
            if (!goes_to(p, t, &r, i))
                continue;
            rows[n++] = i;
            rkp_bit_set(out->done, i);
        }
        out->seq = r.seq;
        out->rows = r.letters->rows;
        out->b = n ? rkp_batch_pick(r.rows, rows, n) : NULL;
        st = rows && out->done && (out->b || !n) ? RKP_OK : RKP_NOMEM;
        rki_dead_record_put(&r);
        if (st == RKP_OK && n)
            return RKP_OK;
        free(out->done);
        *out = (rki_replay_part){ 0 };
        if (st != RKP_OK) {
            no_memory(err, RKI_SPOOL_ERR);
            return st;
        }
    }
}

const rkp_op rki_op_replay = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "$replay",
    .kind = RKP_SOURCE,
    .summary = "Stored dead letters of one kernel.",
    .traits = RKP_BLOCKING | RKP_FINITE,
    .self_size = 1,
    .poll = replay_poll,
};

// ---- the end --------------------------------------------------------------------------------------------------------

void rki_replay_kept(rki_replay *p, uint64_t rows)
{
    // Relaxed: a count.
    __atomic_fetch_add(&p->again, rows, __ATOMIC_RELAXED);
}

void rki_replay_stop(rki_replay *p)
{
    for (uint32_t i = 0; i < p->n_targets; i++) {
        struct target *t = &p->targets[i];
        if (t->rec.seq && !put_record(t))
            t->n = 0; // without memory nothing of it is marked: all rows come again
        rki_deadstore_close(t->store);
        t->store = NULL;
    }
}

static uint64_t dropped(const rki_reason_count *v, uint32_t n, const char *reason)
{
    uint64_t rows = 0;

    for (uint32_t i = 0; i < n; i++)
        rows += strcmp(v[i].reason, reason) == 0 ? v[i].rows : 0;
    return rows;
}

// It wanted no more, and there was more: a sink whose reader has gone, a `limit` that was reached.
static bool left_rows(const rkp_actor *a)
{
    return a->stopped && (a->op->kind == RKP_SINK || dropped(a->counts.drops, a->counts.n_drops, "stop") ||
                          dropped(a->counts.drops, a->counts.n_drops, "limit"));
}

static bool kernel_left_rows(const rki_run *r, uint32_t kernel)
{
    for (uint32_t i = 0; i < r->n_runners; i++)
        for (uint32_t j = 0; j < r->runners[i]->n_stages; j++)
            if (r->runners[i]->acts[j]->ks == r->ks[kernel] && left_rows(r->runners[i]->acts[j]))
                return true;
    return false;
}

bool rki_replay_lost(const rki_run *r, char *text, size_t n)
{
    const rki_replay *p = r->args.replay;

    for (uint32_t o = r->plan->n_order; o-- > 0;) { // the last of them stopped those before it
        if (!kernel_left_rows(r, r->plan->order[o]))
            continue;
        snprintf(text, n, "kernel '%s' took no more rows before the end; all rows stay in the store",
                 r->plan->kernels[r->plan->order[o]].k->id.p);
        return true;
    }
    for (uint32_t i = 0; i < r->plan->n_kernels; i++) {
        rki_kernel_counts c;
        rki_run_counts(r, i, &c);
        if (!dropped(c.drops, c.n_drops, "terminated"))
            continue;
        snprintf(text, n, "kernel '%s' was terminated before the end; all rows stay in the store", c.kernel);
        return true;
    }
    for (uint32_t i = 0; i < p->n_targets; i++) {
        const struct target *t = &p->targets[i];
        if (t->emitted + t->refused >= t->rows)
            continue;
        snprintf(text, n, "behind kernel '%s' no more rows were wanted before the end; all rows stay in the store",
                 t->id);
        return true;
    }
    return false;
}

rkp_status rki_replay_settle(rki_replay *p, struct rki_deadstore *store, char *err, size_t n)
{
    char why[RKI_SPOOL_ERR] = "";
    rki_dead_mark *v;
    size_t total = 0;
    rkp_status st;

    for (uint32_t i = 0; i < p->n_targets; i++)
        total += p->targets[i].n;
    v = calloc(total + 1, sizeof *v);
    if (!v) {
        no_memory(err, n);
        return RKP_NOMEM;
    }
    total = 0;
    for (uint32_t i = 0; i < p->n_targets; i++)
        for (size_t j = 0; j < p->targets[i].n; j++)
            v[total++] = (rki_dead_mark){ p->targets[i].v[j].seq, p->targets[i].v[j].rows, p->targets[i].v[j].done };
    st = rki_deadstore_settle(store, v, total, why);
    p->settled = st == RKP_OK;
    free(v);
    if (st != RKP_OK)
        snprintf(err, n, "%s", why);
    return st;
}
