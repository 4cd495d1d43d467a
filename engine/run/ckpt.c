// run/ckpt.c - checkpoints: when one is made, and its manifest (docs/design/checkpoints.md).
//
//   control   wanted = n --> every source: save, barrier behind what it has sent --> rings --> every other runner, when all of its
//             open links have given it: save, and on --> missing == 0 --> manifest n, old ones go
//
// A runner hands in under the lock (ckpt_cut.c).  Of one that has ended the control thread saves what it is at its end, when a manifest
// first wants it: a manifest takes the cut of its own number where there is one, else the end.
#include "run/ckpt.h"

#include "plan/diff.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { HURRY = 10 }; // HURRY: a tenth of the interval is soon

static bool folder(const rki_run *r, char *path, size_t n)
{
    char name[40];
    rki_spec_checkpoints(r->plan->spec, name);
    return snprintf(path, n, "%s/%s", r->args.data_dir, name) < (int)n;
}

// Also one that is there, once: who made it may not have come to make its name durable.
static rkp_status make_folder(rki_run *r, char err[RKI_MANIFEST_ERR])
{
    struct rki_ckpt *c = r->ckpt;
    char path[4096];
    int dir;
    rkp_status st;
    if (c->entered)
        return RKP_OK;
    if (!folder(r, path, sizeof path)) {
        snprintf(err, RKI_MANIFEST_ERR, "the name of the folder of checkpoints is too long");
        return RKP_IO;
    }
    st = rki_manifest_folder(path, true, &dir, err);
    if (st != RKP_OK)
        return st;
    if (c->dir >= 0)
        close(c->dir);
    c->dir = dir;
    c->entered = true;
    return RKP_OK;
}

// Those who had ended before they could hand in for this number: what they are is saved here, when the first checkpoint wants it.
static bool save_ended(rki_run *r, uint64_t number)
{
    for (uint32_t i = 0; i < r->n_runners; i++) {
        rki_runner *run = r->runners[i];
        if (run->parts->cut.number == (uint32_t)number)
            continue;
        if (!run->parts->end && !(run->parts->end = rki_ckpt_take(run, true)))
            return false;
    }
    return true;
}

// With the lock.
static size_t fill(rki_run *r, uint64_t number, rki_record *to)
{
    size_t n = 0;
    for (uint32_t i = 0; i < r->n_runners; i++) {
        rki_runner *run = r->runners[i];
        bool cut = run->parts->cut.number == (uint32_t)number;
        const struct rki_part *v = cut ? run->parts->cut.v : run->parts->end;
        if (cut) {
            const char *id = run->acts[0]->bound->k->id.p;
            to[n++] = (rki_record){ .kernel = { id, strlen(id) },
                                    .op = { "", 0 },
                                    .role = RKI_MANIFEST_QUEUES,
                                    .replica = run->replica,
                                    .version = run->acts[0]->stage->role,
                                    .counts = { "", 0 },
                                    .state = { run->parts->cut.queues.out.p, run->parts->cut.queues.out.n } };
        }
        for (uint32_t s = 0; v && s < run->n_stages; s++) {
            const rkp_actor *a = run->acts[s];
            const char *id = a->bound->k->id.p, *op = a->op->name;
            to[n++] = (rki_record){ .kernel = { id, strlen(id) },
                                    .op = { op, strlen(op) },
                                    .role = a->stage->role,
                                    .replica = run->replica,
                                    .version = a->op->state_version,
                                    .keeps_rows = a->op->kind == RKP_TRANSFORM,
                                    .publishes = a->op->commit != NULL,
                                    .form = rki_form_of(a->bound, a->run->plan->spec),
                                    .ended = v[s].ended,
                                    .counts = { v[s].counts.out.p, v[s].counts.out.n },
                                    .state = { v[s].state.out.p, v[s].state.out.n } };
        }
    }
    return n;
}

// Behind the stages: what kernels have counted in instances that are no more.  Control thread, which alone changes that.  s: one for each kernel.
static bool fill_past(rki_run *r, rki_manifest *m, rkp_save *s)
{
    bool ok = true;
    for (uint32_t i = 0; i < r->plan->n_kernels; i++) {
        rki_kernel_counts *c = &r->ks[i]->past;
        const char *id = r->ks[i]->id, *op = r->ks[i]->op->name;
        rki_save_begin(&s[i]);
        if (!c->batches && !c->rows_in && !c->rows_out && !c->absorbed && !c->dropped && !c->dead_lettered)
            continue;
        rki_past_put(&s[i], c);
        ok &= rki_save_status(&s[i]) == RKP_OK;
        m->v[m->n++] = (rki_record){ .kernel = { id, strlen(id) },
                                     .op = { op, strlen(op) },
                                     .role = RKI_MANIFEST_PAST,
                                     .counts = { s[i].out.p, s[i].out.n } };
    }
    return ok;
}

static bool commit(rki_run *r, uint64_t number, bool final)
{
    struct rki_ckpt *c = r->ckpt;
    rki_manifest m = { .number = number, .identity = c->identity, .us = (int64_t)rki_wall_us(), .final = final };
    char err[RKI_MANIFEST_ERR] = "";
    size_t total = 0;
    rkp_status st = RKP_NOMEM;
    rkp_save *pasts;
    rki_buf replayed;
    rki_buf_init(&replayed);
    for (uint32_t i = 0; i < r->n_runners; i++)
        total += r->runners[i]->n_stages + 1;
    m.v = calloc(total + r->plan->n_kernels + 2, sizeof *m.v);
    pasts = calloc(r->plan->n_kernels + 1u, sizeof *pasts);
    if (m.v && pasts && !save_ended(r, number)) {
        free(m.v);
        free(pasts);
        return false;
    }
    if (!m.v || !pasts) {
        snprintf(err, sizeof err, "out of memory");
    } else if ((st = make_folder(r, err)) == RKP_OK && (st = rki_store_flush(r, err, sizeof err)) == RKP_OK) {
        // Nobody hands in for this number any more, and the next is not asked for: what is read stays.
        pthread_mutex_lock(&c->lock);
        m.n = fill(r, number, m.v);
        pthread_mutex_unlock(&c->lock);
        if (fill_past(r, &m, pasts) && rki_live_put(r, number, &replayed)) {
            if (replayed.n)
                m.v[m.n++] = (rki_record){ .kernel = { "", 0 },
                                           .op = { "", 0 },
                                           .role = RKI_MANIFEST_REPLAYED,
                                           .counts = { "", 0 },
                                           .state = { replayed.p, replayed.n } };
            st = rki_manifest_write(c->dir, &m, err);
        } else {
            st = RKP_NOMEM;
            snprintf(err, sizeof err, "out of memory");
        }
    }
    for (uint32_t i = 0; pasts && i < r->plan->n_kernels; i++)
        rki_save_fini(&pasts[i]);
    free(pasts);
    free(m.v);
    rki_buf_fini(&replayed);
    if (st != RKP_OK) {
        char name[32];
        rki_manifest_name(number, name);
        if (c->dir >= 0 && faccessat(c->dir, name, F_OK, 0) == 0)
            __atomic_store_n(
                &c->committed, (uint32_t)number,
                __ATOMIC_RELEASE); // it has its name, and who comes next goes on from it: its files must stay
        pthread_mutex_lock(&r->lock);
        if (r->fail_status == RKP_OK) {
            snprintf(r->failure, sizeof r->failure, "the checkpoint cannot be kept: %s", err);
            r->fail_status = st;
        }
        pthread_mutex_unlock(&r->lock);
        __atomic_store_n(&r->failed, 1, __ATOMIC_SEQ_CST);
        return false;
    }
    // The manifest has their marks: what fails here is made up for by whoever goes on from it, or with the next one.
    if (rki_live_settle(r, number, err, sizeof err) != RKP_OK)
        rki_log(r, "warning: %s\n", err);
    __atomic_store_n(&c->committed, (uint32_t)number, __ATOMIC_RELEASE);
    c->kept = c->identity;
    if (rki_manifest_prune(c->dir, RKI_CKPT_KEEP, err) != RKP_OK && !c->told) {
        c->told = true;
        rki_log(r, "warning: old checkpoints stay: %s\n", err);
    }
    rki_ckpt_drop_logs(r, false);
    return true;
}

// Sources; and who takes nothing and must look by itself.
static void wake_all(rki_run *r)
{
    for (uint32_t i = 0; i < r->n_runners; i++)
        rki_wake_runner(r->runners[i]);
}

static void begin(rki_run *r, bool last)
{
    struct rki_ckpt *c = r->ckpt;
    uint32_t number = c->wanted + 1;
    pthread_mutex_lock(&c->lock);
    c->missing = 0;
    for (uint32_t i = 0; i < r->n_runners; i++)
        if (!r->runners[i]->parts->retired)
            c->missing++;
        else
            r->runners[i]->barrier = number;
    c->under_way = c->missing > 0;
    c->last = last;
    // Release, to the acquire of the sources: `last`.
    __atomic_store_n(&c->wanted, number, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&c->lock);
    __atomic_store_n(&c->hurry, 0, __ATOMIC_RELAXED);
    c->began_ns = rki_mono_ns();
    wake_all(r);
}

void rki_ckpt_look(rki_run *r, uint64_t now, uint64_t *until)
{
    struct rki_ckpt *c = r->ckpt;
    bool done;
    if (!c->next_ns)
        c->next_ns = r->start_ns + r->plan->spec->engine.checkpoint_ns;
    pthread_mutex_lock(&c->lock);
    done = c->under_way && c->missing == 0;
    if (done)
        c->under_way = false;
    pthread_mutex_unlock(&c->lock);
    if (done) {
        bool last = c->last;
        if (!commit(r, c->wanted, false)) {
            pthread_mutex_lock(&c->lock);
            c->failures++;
            pthread_mutex_unlock(&c->lock);
            return;
        }
        c->last_done = last;
        pthread_mutex_lock(&c->lock);
        c->took_ns[c->count % RKI_CKPT_TIMES] = rki_mono_ns() - c->began_ns;
        rki_hist_add(&c->durations, c->took_ns[c->count++ % RKI_CKPT_TIMES], 1);
        c->last_us = rki_wall_us();
        pthread_mutex_unlock(&c->lock);
        if (c->hold) {
            __atomic_store_n(&c->hold, 0, __ATOMIC_RELEASE);
            wake_all(r);
        }
        c->next_ns = rki_mono_ns() + r->plan->spec->engine.checkpoint_ns;
        if (last)
            return;
    }
    if (!c->under_way && c->next_ns != UINT64_MAX && __atomic_load_n(&c->hurry, __ATOMIC_RELAXED)) {
        uint64_t soon = c->began_ns + r->plan->spec->engine.checkpoint_ns / HURRY;
        c->next_ns = soon < c->next_ns ? soon : c->next_ns;
    }
    if (!c->under_way && !rki_reload_under_way(r) && !rki_reload_drains(r) &&
        (c->last_asked || now >= c->next_ns || (c->hold && !c->wanted))) {
        begin(r, c->last_asked);
        if (!c->under_way) // everybody has ended
            c->next_ns = UINT64_MAX;
    }
    // While a reload is at work its end is what is waited for.
    if (!c->under_way && c->next_ns != UINT64_MAX && !rki_reload_under_way(r) && (!*until || c->next_ns < *until))
        *until = c->next_ns;
}

uint32_t rki_ckpt_committed(const rki_run *r)
{
    // Acquire, from the release of the control thread: nothing but the number itself.
    return r->ckpt ? __atomic_load_n(&r->ckpt->committed, __ATOMIC_ACQUIRE) : 0;
}

void rki_ckpt_hurry(rki_run *r)
{
    if (r->ckpt && !__atomic_exchange_n(&r->ckpt->hurry, 1, __ATOMIC_RELAXED))
        r->backend->poke(r->b);
}

bool rki_ckpt_idle(const rki_run *r)
{
    return !r->ckpt || !r->ckpt->under_way;
}

const char *rki_ckpt_waits_for(const rki_run *r)
{
    const char *id = NULL;
    pthread_mutex_lock(&r->ckpt->lock);
    for (uint32_t i = 0; i < r->n_runners && !id; i++) {
        const rki_runner *run = r->runners[i];
        if (run->parts->cut.number == r->ckpt->wanted || run->parts->retired)
            continue;
        for (uint32_t s = 0; s < run->n_stages && !id; s++)
            if (RKI_LOOK(run->acts[s]->ks->state) == RKI_SUSPENDED || RKI_LOOK(run->acts[s]->ks->state) == RKI_LAUNCHED)
                id = run->acts[s]->ks->id;
    }
    pthread_mutex_unlock(&r->ckpt->lock);
    return id;
}

bool rki_ckpt_intend(rki_run *r, const rki_plan *to, char *text, size_t n)
{
    struct rki_ckpt *c = r->ckpt;
    char err[RKI_MANIFEST_ERR];
    if (!c || !c->committed || c->dir < 0)
        return true; // who begins again begins at the beginning, with whatever file
    if (rki_manifest_intend(c->dir, c->kept, rki_spec_identity(to->spec), err) == RKP_OK)
        return true;
    snprintf(text, n, "what it goes on from cannot be kept: %s", err);
    return false;
}

// What is kept from now on is of the new pipeline: soon, so that a crash finds it.
void rki_ckpt_changed(rki_run *r)
{
    if (!r->ckpt)
        return;
    r->ckpt->identity = rki_spec_identity(r->plan->spec);
    r->ckpt->next_ns = 1;
}

bool rki_ckpt_last(rki_run *r)
{
    if (!r->ckpt)
        return false;
    r->ckpt->last_asked = true;
    return true;
}

bool rki_ckpt_last_done(const rki_run *r)
{
    return r->ckpt && r->ckpt->last_done;
}

bool rki_ckpt_finish(rki_run *r)
{
    // A number that nobody has handed in for: of everybody it is the end, not the cut of one that was still under way.
    return !r->ckpt || !r->ckpt->committed || commit(r, r->ckpt->wanted + 1, true);
}

void rki_ckpt_forget(rki_run *r)
{
    char err[RKI_MANIFEST_ERR];
    char path[4096];
    if (!r->ckpt || r->ckpt->dir < 0)
        return;
    __atomic_store_n(&r->ckpt->committed, 0, __ATOMIC_RELEASE);
    if (rki_manifest_prune(r->ckpt->dir, 0, err) != RKP_OK)
        rki_log(r, "warning: %s; the next run would only name the outputs again\n", err);
    else if (folder(r, path, sizeof path))
        rki_manifest_gone(r->ckpt->dir, path);
    rki_ckpt_drop_logs(r, true);
}

static int by_time(const void *x, const void *y)
{
    const uint64_t *a = x, *b = y;
    return *a < *b ? -1 : *a > *b;
}

static void seconds(rki_json *j, const char *key, uint64_t ns)
{
    rki_json_put_f64(j, key, (double)ns * 1e-9);
}

void rki_ckpt_json(const rki_run *r, rki_json *j)
{
    struct rki_ckpt *c = r->ckpt;
    uint64_t v[RKI_CKPT_TIMES], n, count, last;
    if (!c) {
        rki_json_null(j);
        return;
    }
    pthread_mutex_lock(&c->lock);
    count = c->count;
    n = count < RKI_CKPT_TIMES ? count : RKI_CKPT_TIMES;
    memcpy(v, c->took_ns, (size_t)n * sizeof *v);
    last = n ? v[(count - 1) % RKI_CKPT_TIMES] : 0;
    pthread_mutex_unlock(&c->lock);
    qsort(v, (size_t)n, sizeof *v, by_time);
    rki_json_object(j);
    rki_json_put_u64(j, "newest", rki_ckpt_committed(r));
    rki_json_put_u64(j, "count", count);
    if (n) {
        seconds(j, "last_seconds", last);
        seconds(j, "p50_seconds", v[(n - 1) / 2]);
        seconds(j, "p99_seconds", v[(n - 1) * 99 / 100]);
        seconds(j, "max_seconds", v[n - 1]);
    }
    rki_json_end_object(j);
}

bool rki_ckpt_sums(const rki_run *r, rki_ckpt_counts *out)
{
    struct rki_ckpt *c = r->ckpt;
    if (!c)
        return false;
    pthread_mutex_lock(&c->lock);
    *out = (rki_ckpt_counts){ .count = c->count, .failures = c->failures, .last_us = c->last_us, .took = c->durations };
    pthread_mutex_unlock(&c->lock);
    return true;
}

void rki_ckpt_say(const rki_run *r, char *text, size_t n)
{
    text[0] = 0;
    if (r->ckpt && r->ckpt->committed)
        snprintf(text, n, "checkpoint %llu is kept: the same command goes on from it, --fresh begins anew",
                 (unsigned long long)r->ckpt->committed);
}

// ---- the begin and the end --------------------------------------------------------------------------------------------

static void hold_if_adding(rki_run *r)
{
    for (uint32_t i = 0; i < r->plan->n_kernels; i++)
        if (r->plan->kernels[i].adds)
            r->ckpt->hold = 1;
}

bool rki_ckpt_open(rki_run *r, rkp_status *st, char *err, size_t n)
{
    struct rki_ckpt *c;
    char note[RKI_MANIFEST_ERR] = "", why[RKI_MANIFEST_ERR] = "", path[4096];
    if (r->plan->delivery <= RKI_DELIVERY_AT_MOST_ONCE || r->args.replay)
        return true;
    if (!r->args.keeps)
        return r->plan->spec->engine.delivery == RKI_DELIVERY_AUTO ||
               rki_ckpt_refuse(st, err, n, "engine.delivery needs a folder for checkpoints, and '%s' cannot be made",
                               r->args.data_dir ? r->args.data_dir : "");
    *st = RKP_NOMEM;
    c = calloc(1, sizeof *c);
    if (!c || pthread_mutex_init(&c->lock, NULL) != 0) {
        free(c);
        return false;
    }
    c->dir = -1;
    c->identity = rki_spec_identity(r->plan->spec);
    r->ckpt = c;
    for (uint32_t i = 0; i < r->n_runners; i++) {
        if (!rki_ckpt_join(r->runners[i]))
            return false;
    }
    if (!folder(r, path, sizeof path))
        return true;
    *st = rki_manifest_folder(path, false, &c->dir, why);
    if (*st == RKP_UNAVAILABLE) { // there were none
        *st = RKP_OK;
        hold_if_adding(r);
        return true;
    }
    if (*st != RKP_OK)
        return rki_ckpt_refuse(st, err, n, "%s", why);
    if (r->args.fresh) {
        *st = rki_manifest_prune(c->dir, 0, why);
        hold_if_adding(r);
        return *st == RKP_OK || rki_ckpt_refuse(st, err, n, "%s", why);
    }
    *st = rki_manifest_newest(c->dir, &c->from, note, why);
    if (*st == RKP_UNAVAILABLE && !note[0]) {
        *st = RKP_OK;
        hold_if_adding(r);
        return true;
    }
    if (*st != RKP_OK)
        return rki_ckpt_refuse(st, err, n, "%s; --fresh begins anew", note[0] ? note : why);
    if (note[0])
        rki_log(r, "warning: %s: going on from the one before\n", note);
    c->moved = c->from.identity != c->identity &&
               (r->args.migrate || rki_manifest_intended(c->dir, c->from.identity, c->identity));
    if (c->from.identity != c->identity && !c->moved)
        return rki_ckpt_refuse(
            st, err, n,
            "'%s' has a checkpoint of another form of this pipeline: run that to its end, go on with --migrate "
            "where it still fits, or begin anew with --fresh",
            path);
    c->wanted = (uint32_t)c->from.number;
    c->committed = (uint32_t)c->from.number;
    c->kept = c->from.identity;
    if (c->moved && !rki_ckpt_may_move(r, st, err, n))
        return false;
    for (uint32_t i = 0; i < r->n_runners; i++)
        r->runners[i]->barrier = c->wanted;
    if (!rki_ckpt_go_on(r, st, err, n))
        return false;
    // Who wrote it may have been killed before its name was durable, and outputs must never be ahead of what is found.
    *st = make_folder(r, why);
    if (*st != RKP_OK)
        return rki_ckpt_refuse(st, err, n, "%s", why);
    rki_ckpt_find_gone_logs(r);
    if (!r->args.quiet)
        rki_log(r, "going on from checkpoint %llu%s\n", (unsigned long long)c->from.number,
                c->moved ? ", which is of an earlier form of the pipeline" : "");
    *st = RKP_OK;
    return true;
}

rkp_status rki_ckpt_replayed(rki_run *r, char *err, size_t n)
{
    rkp_status st = RKP_OK;
    for (size_t i = 0; r->ckpt && i < r->ckpt->from.n && st == RKP_OK; i++)
        if (r->ckpt->from.v[i].role == RKI_MANIFEST_REPLAYED)
            st = rki_live_restore(r, r->ckpt->from.v[i].state, err, n);
    return st;
}

void rki_ckpt_close(rki_run *r)
{
    struct rki_ckpt *c = r->ckpt;
    if (!c)
        return;
    rki_manifest_free(&c->from);
    for (struct rki_gone_log *g; (g = c->gone);) {
        c->gone = g->next;
        free(g);
    }
    if (c->dir >= 0)
        close(c->dir);
    pthread_mutex_destroy(&c->lock);
    free(c);
    r->ckpt = NULL;
}
