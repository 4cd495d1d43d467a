// run/engine.c - builds actors and rings from a plan, runs them to the end, checks that the counts add up, publishes.
#include "run/device.h"
#include "run/meter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { STUCK_NS = 500000000 }; // a thread that has not stopped so long after a signal told it to hangs

static uint64_t cpu_ns(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000000u +
           (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000u;
}

// Stamps of a stream go on above those of the last run, and actors keep their numbers: data_dir remembers both.
static bool open_clock(rki_run *r, char *err, size_t err_n)
{
    char text[RKP_FILE_ERR] = "";
    rki_actor_ids *ids = NULL;
    bool ok = false;
    rki_clock_init(&r->clock, r->args.time ? r->args.time : &rki_time_system);
    if (!r->plan->stream || !r->args.data_dir || r->args.time)
        return true;
    r->dir = open(r->args.data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r->dir < 0) {
        snprintf(err, err_n, "cannot open the folder '%s': %s", r->args.data_dir, strerror(errno));
        return false;
    }
    r->leased = rki_lease_open(&r->lease, r->dir, rki_clock_now_us(&r->clock), text) == RKP_OK;
    if (!r->leased || rki_actor_ids_open(r->dir, &ids, text) != RKP_OK)
        goto out;
    for (uint32_t i = 0; i < r->n_runners; i++) {
        const rkp_actor *head = r->runners[i]->acts[0];
        char name[256];
        int n = snprintf(name, sizeof name, "%s%s#%u", head->bound->k->id.p, rki_role_name(head->stage->role),
                         r->runners[i]->replica);
        if (n < 0 || (size_t)n >= sizeof name ||
            rki_actor_ids_get(ids, (rkp_str){ name, (size_t)n }, &r->runners[i]->id, text) != RKP_OK)
            goto out;
        r->runners[i]->clock.last = r->lease.start;
    }
    ok = rki_actor_ids_save(ids, text) == RKP_OK;
out:
    if (!ok)
        snprintf(err, err_n, "%s", text);
    rki_actor_ids_free(ids);
    return ok;
}

// Once a second: the bound is moved, the wall clock is followed.
static void keep_clock(rki_run *r, uint64_t now_ns, uint64_t *next)
{
    char text[RKP_FILE_ERR] = "";
    if (!r->leased || now_ns < *next)
        return;
    *next = now_ns + 250000000u;
    __atomic_store_n(&r->drift_us, rki_clock_follow(&r->clock), __ATOMIC_RELAXED);
    if (rki_lease_renew(&r->lease, rki_clock_now_us(&r->clock), text) == RKP_OK) {
        r->lease_told = false;
    } else if (!r->lease_told) {
        r->lease_told = true;
        rki_log(r, "warning: %s; publishing stops until the clock's bound can be written\n", text);
    }
}

// Of those that the publisher feeds: who is fed by nobody else and feeds nobody else.  They need nothing from a run that has failed.
static void find_observers(rki_run *r)
{
    for (uint32_t i = 0; i < r->n_runners; i++)
        r->runners[i]->watches = r->runners[i]->behind_engine;
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t i = 0; i < r->n_links; i++) {
            rki_runner *from = rki_from(r->links[i]), *to = rki_to(r->links[i]);
            if (from->watches == to->watches)
                continue;
            from->watches = to->watches = false;
            changed = true;
        }
    }
    for (uint32_t i = 0; i < r->n_runners; i++)
        __atomic_store_n(&r->runners[i]->observes, r->runners[i]->watches, __ATOMIC_RELAXED);
}

// The publisher of the engine's own topics, and everything that it feeds: those do not keep a job open.
void rki_find_engine(rki_run *r)
{
    rki_runner *publisher = NULL;
    for (uint32_t i = 0; i < r->n_runners; i++) {
        rki_runner *run = r->runners[i];
        run->behind_engine = run->acts[0]->op == &rki_op_engine && !run->acts[0]->muted;
        if (run->behind_engine)
            publisher = run;
    }
    for (bool changed = publisher != NULL; changed;) {
        changed = false;
        for (uint32_t i = 0; i < r->n_links; i++) {
            if (!rki_from(r->links[i])->behind_engine || rki_to(r->links[i])->behind_engine)
                continue;
            rki_to(r->links[i])->behind_engine = true;
            changed = true;
        }
    }
    find_observers(r);
    pthread_mutex_lock(&r->lock);
    __atomic_store_n(&r->publisher, publisher, __ATOMIC_RELEASE);
    if (!publisher) {
        r->n_events = 0;
        rki_forget_news(r);
    }
    for (uint32_t i = 0; i < r->n_runners; i++)
        rki_life_counts(r->runners[i], !r->runners[i]->behind_engine);
    pthread_mutex_unlock(&r->lock);
}

// Members of one circle are those that its edges join.
static bool find_circles(rki_run *r)
{
    for (uint32_t i = 0; i < r->n_runners; i++)
        r->runners[i]->circle = i;
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t i = 0; i < r->n_runners; i++) {
            rki_runner *run = r->runners[i];
            for (uint32_t o = 0; o < run->n_outs; o++) {
                for (uint32_t l = 0; run->outs[o].edge->circle && l < run->outs[o].n; l++) {
                    rki_runner *to = rki_to(run->outs[o].links[l]);
                    uint32_t least = to->circle < run->circle ? to->circle : run->circle;
                    changed |= to->circle != run->circle;
                    to->circle = run->circle = least;
                }
            }
        }
    }
    for (uint32_t i = 0; i < r->n_runners; i++) // the least of each is its number, made dense
        if (r->runners[i]->in_circle && r->runners[i]->circle == i) {
            for (uint32_t j = i; j < r->n_runners; j++)
                if (r->runners[j]->in_circle && r->runners[j]->circle == i && j != i)
                    r->runners[j]->circle = r->n_circles;
            r->runners[i]->circle = r->n_circles++;
        }
    r->circles = rki_array(&r->arena, r->n_circles ? r->n_circles : 1, sizeof *r->circles);
    return r->circles != NULL;
}

static bool build(rki_run *r, const rki_plan *p)
{
    rki_gen *gen = calloc(1, sizeof *gen);
    rki_net *g;
    if (!gen)
        return false;
    *gen = (rki_gen){ .plan = p, .number = r->number };
    r->gens = gen;
    g = rki_net_new(r, gen, NULL);
    if (!g)
        return false;
    rki_net_place(r, g);
    for (uint32_t i = 0; i < g->n_runners; i++) {
        rki_runner *run = g->runners[i];
        run->id = (uint16_t)(i + 1);
        rki_put_on(run, g->wirings[i]);
        if (run->hlc_out) // else its clock is its own, also while a reload gives it a reader in order
            rki_clock_leave(run);
        g->wirings[i] = NULL;
    }
    for (uint32_t i = 0; i < g->n_runners; i++)
        for (uint32_t j = 0; j < g->runners[i]->n_stages; j++)
            if (!rki_new_instance(g->runners[i]->acts[j]))
                return false;
    return true;
}

static rkp_status open_backend(rki_run *r)
{
    rkp_backend_conf conf = { .workers = r->plan->workers, .seed = r->args.seed, .virtual_ns = r->args.virtual_ns };
    rkp_task **tasks = calloc(r->n_runners + 1u, sizeof(rkp_task *));
    rkp_status st;
    for (uint32_t i = 0; tasks && i < r->n_runners; i++)
        tasks[i] = &r->runners[i]->task;
    st = tasks ? r->backend->open(&conf, tasks, r->n_runners, &r->b) : RKP_NOMEM;
    free(tasks);
    return st;
}

rkp_status rki_run_new(const rki_plan *p, const rki_run_args *args, rki_run **out, char *err, size_t err_n)
{
    rki_run *r = calloc(1, sizeof *r);
    pthread_rwlockattr_t attr;
    rkp_status st = RKP_NOMEM;
    snprintf(err, err_n, "out of memory while building the graph");
    if (!r)
        return RKP_NOMEM;
    rki_arena_init(&r->arena);
    r->dir = -1;
    r->plan = p;
    r->args = *args;
    r->backend = args->backend;
    r->n_taps = args->see ? 1 : 0; // an empty place, so that messages are looked at
    // Who opens a tap or changes the graph goes before those who only look, or might wait for ever.
    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    if (pthread_mutex_init(&r->lock, NULL) != 0 || pthread_rwlock_init(&r->tap_lock, &attr) != 0 ||
        pthread_rwlock_init(&r->graph_lock, &attr) != 0)
        goto fail;
    r->lock_made = true;
    r->number = 1;
    r->name = rki_dup(&r->arena, p->spec->name.p, p->spec->name.n);
    if (!r->name)
        goto fail;
    if (pthread_mutex_init(&r->build_lock, NULL) != 0 || pthread_mutex_init(&r->metrics_lock, NULL) != 0 ||
        !rki_reload_open(r))
        goto fail;
    r->pool = rkp_pool_new(p->pool_bytes);
    r->state_pool = rkp_pool_new(p->state_bytes);
    if (!r->pool || !r->state_pool || !build(r, p))
        goto fail;
    r->last_id = (uint16_t)r->n_runners;
    rki_find_engine(r);
    if (!find_circles(r))
        goto fail;
    if (!open_clock(r, err, err_n)) {
        st = RKP_UNAVAILABLE;
        goto fail;
    }
    if (!rki_life_new(r))
        goto fail;
    if (!rki_ckpt_open(r, &st, err, err_n))
        goto fail;
    rki_spill_mark_left(r);
    st = rki_store_open(r, err, err_n);
    if (st == RKP_OK)
        st = rki_ckpt_replayed(r, err, err_n);
    if (st != RKP_OK)
        goto fail;
    st = rki_device_open(r, &r->device, err, err_n);
    if (st != RKP_OK)
        goto fail;
    st = open_backend(r);
    if (st != RKP_OK)
        goto fail;
    *out = r;
    return RKP_OK;
fail:
    rki_run_free(r);
    return st;
}

void rki_run_signal(rki_run *r)
{
    __atomic_fetch_add(&r->signals, 1, __ATOMIC_SEQ_CST);
    rkp_backend_run *b = __atomic_load_n(&r->poke, __ATOMIC_SEQ_CST);
    if (b)
        r->backend->poke(b);
}

// ---- progress -------------------------------------------------------------------------------------------------------

static void add_past(const rki_kstate *k, rki_progress *p)
{
    p->bad += k->past.bad;
    if (k->op->kind == RKP_SOURCE)
        p->rows_in += k->past.rows_in;
    if (k->op->kind == RKP_SINK && k->op != &rki_op_watch)
        p->rows_out += k->past.absorbed;
}

static void look(const rki_run *r, rki_progress *p)
{
    memset(p, 0, sizeof *p);
    p->elapsed_ns = rki_run_ns(r) - r->start_ns;
    p->total = 1;
    for (uint32_t i = 0; i < r->n_runners; i++) {
        const rki_runner *run = r->runners[i];
        for (uint32_t j = 0; j < run->n_stages; j++) {
            const rkp_actor *a = run->acts[j];
            int role = a->stage->role;
            if (a->muted)
                continue;
            p->bad += RKI_LOOK(a->bad);
            if (a->op->kind == RKP_SOURCE && role != RKI_DECODE) {
                uint64_t total = RKI_LOOK(a->progress_total);
                p->done += RKI_LOOK(a->progress_done);
                p->total = total && p->total ? p->total + total : 0;
                p->bytes_in += RKI_LOOK(a->counts.bytes_out);
            }
            if (a->op->kind == RKP_SOURCE && role != RKI_POLL)
                p->rows_in += RKI_LOOK(a->counts.rows_out) + RKI_LOOK(a->bad);
            if (a->op->kind == RKP_SINK && role != RKI_ENCODE && a->op != &rki_op_watch)
                p->rows_out += RKI_LOOK(a->counts.absorbed);
        }
    }
    for (uint32_t i = 0; i < r->plan->n_kernels; i++)
        add_past(r->ks[i], p);
    for (const rki_kstate *k = r->gone; k; k = k->next_gone)
        add_past(k, p);
    if (p->total)
        p->total -= 1;
}

// ---- running --------------------------------------------------------------------------------------------------------

// Those that a reload has removed, too.
static void wake_all(rki_run *r)
{
    uint32_t n;
    rki_runner *const *going = rki_reload_going(r, &n);
    for (uint32_t i = 0; i < n; i++)
        rki_wake_runner(going[i]);
    for (uint32_t i = 0; i < r->n_runners; i++)
        rki_wake_runner(r->runners[i]);
}

static void stop_sources(rki_run *r)
{
    __atomic_store_n(&r->stopping, 1, __ATOMIC_SEQ_CST);
    wake_all(r); // sources, and whoever holds rows until a time
}

static void cancel(rki_run *r)
{
    __atomic_store_n(&r->halted, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&r->failed, 1, __ATOMIC_SEQ_CST);
    wake_all(r);
}

// ---- circles --------------------------------------------------------------------------------------------------------
//
// A circle ends when everything that feeds it from outside has ended and nothing is in flight in it.  Two looks in a row that find all
// members idle, their rings empty, and none of them run in between: then nothing was on its way at the time of the first look
// (F. Mattern, "Algorithms for distributed termination detection", 1987, with counters of steps instead of messages).

static bool member_quiet(const rki_runner *m)
{
    // Acquire, from the worker's release when a step ends.
    if (__atomic_load_n(&m->task.state, __ATOMIC_ACQUIRE) != RKP_TASK_IDLE ||
        !__atomic_load_n(&m->at_rest, __ATOMIC_ACQUIRE))
        return false;
    for (uint32_t i = 0; i < m->n_ins; i++) // of the others one may be retiring; those of a circle stay
        for (uint32_t l = 0; m->ins[i].edge->circle && l < m->ins[i].n; l++)
            if (rki_ring_fill(m->ins[i].links[l]->ring) > 0)
                return false;
    return true;
}

// With the lock, under which runners put on what a reload gives them.
static bool circle_at_rest(const rki_run *r, uint32_t circle)
{
    rki_circle *c = &r->circles[circle];
    uint64_t steps = 0;
    bool quiet = true, was = c->quiet;
    for (uint32_t i = 0; i < r->n_runners && quiet; i++) {
        if (!r->runners[i]->in_circle || r->runners[i]->circle != circle)
            continue;
        steps += RKI_LOOK(r->runners[i]->steps);
        quiet = member_quiet(r->runners[i]);
    }
    quiet = quiet && steps;
    was = was && quiet && steps == c->steps;
    c->quiet = quiet;
    c->steps = steps;
    return was;
}

// True when some circle has not ended.
static bool look_at_circles(rki_run *r)
{
    bool any = false;
    for (uint32_t c = 0; c < r->n_circles; c++) {
        if (RKI_LOOK(r->circles[c].done))
            continue;
        any = true;
        pthread_mutex_lock(&r->lock);
        if (circle_at_rest(r, c)) {
            __atomic_store_n(&r->circles[c].done, 1, __ATOMIC_RELEASE);
            for (uint32_t i = 0; i < r->n_runners; i++)
                if (r->runners[i]->in_circle && r->runners[i]->circle == c)
                    rki_wake_runner(r->runners[i]);
        }
        pthread_mutex_unlock(&r->lock);
    }
    return any;
}

// ---- a drain that a suspended kernel holds up -----------------------------------------------------------------------
//
// What waits before it is not delivered however long the grace is.  Two looks in a row that find everybody idle, without a time to
// wake at, and none of them run in between: then only a command could move anything.

static const rki_kernel *suspended_kernel(const rki_run *r)
{
    for (uint32_t i = 0; i < r->plan->n_kernels; i++) {
        uint32_t s = RKI_LOOK(r->ks[i]->state);
        if (s == RKI_SUSPENDED || s == RKI_LAUNCHED)
            return r->plan->kernels[i].k;
    }
    return NULL;
}

struct rest {
    bool quiet;
    uint64_t steps;
};

static bool drain_at_rest(const rki_run *r, struct rest *last)
{
    uint64_t steps = 0;
    bool quiet = suspended_kernel(r) != NULL, was = last->quiet;
    for (uint32_t i = 0; i < r->n_runners && quiet; i++) {
        const rki_runner *m = r->runners[i];
        uint32_t state = __atomic_load_n(&m->task.state, __ATOMIC_ACQUIRE);
        steps += RKI_LOOK(m->steps);
        quiet =
            state == RKP_TASK_RETIRED || (state == RKP_TASK_IDLE && !RKI_LOOK(m->task.wake_ns) && !rki_device_busy(m));
    }
    was = was && quiet && steps == last->steps;
    *last = (struct rest){ quiet, steps };
    return was;
}

// A batch job that only a command can bring on says so, once, after a while.
struct held {
    struct rest rest;
    uint64_t next, since;
    bool told;
};

enum { HELD_LOOK_NS = 500000000 };
static const uint64_t held_ns = 3000000000u;

static void tell_held(rki_run *r, const rki_kernel *k)
{
    const rki_spec *s = r->plan->spec;
    const char *verb = RKI_LOOK(r->ks[k - s->kernels]->state) == RKI_SUSPENDED ? "resume" : "activate";
    const char *what = verb[0] == 'r' ? "is suspended" : "was not activated yet";
    if (s->admin.listen.kind == RKI_LISTEN_NONE)
        rki_log(r, "warning: nothing moves: kernel '%s' %s, and no command can reach this run (admin.listen: none)\n",
                k->id.p, what);
    else if (s->admin.listen.kind == RKI_LISTEN_UNIX)
        rki_log(r, "warning: nothing moves: kernel '%s' %s; to go on: rkpipe %s %s --admin unix:%s\n", k->id.p, what,
                verb, k->id.p, s->admin.listen.path.p);
    else if (s->admin.listen.kind == RKI_LISTEN_TCP)
        rki_log(r,
                "warning: nothing moves: kernel '%s' %s; to go on: rkpipe %s %s --admin ADDRESS:PORT --token-file %s "
                "(admin.listen: %s)\n",
                k->id.p, what, verb, k->id.p, s->admin.token_file.p, s->admin.listen.at.text.p);
    else if (s->engine.data_dir.p && r->args.data_dir)
        rki_log(r, "warning: nothing moves: kernel '%s' %s; to go on: rkpipe %s %s --admin unix:%s/admin.sock\n",
                k->id.p, what, verb, k->id.p, r->args.data_dir);
    else
        rki_log(r, "warning: nothing moves: kernel '%s' %s; to go on: rkpipe %s %s\n", k->id.p, what, verb, k->id.p);
}

static void look_for_held(rki_run *r, uint64_t now, struct held *h, uint64_t *until)
{
    const rki_kernel *k = suspended_kernel(r);
    if (now >= h->next) {
        h->next = now + HELD_LOOK_NS;
        if (!drain_at_rest(r, &h->rest)) {
            h->since = 0;
            h->told = false;
        } else if (!h->since) {
            h->since = now;
        } else if (k && !h->told && now - h->since >= held_ns) {
            h->told = true;
            tell_held(r, k);
        }
    }
    if (!*until || h->next < *until)
        *until = h->next;
}

// After a failure: true when those that observe must give up, too.
static bool see_off(rki_run *r, uint64_t now, uint64_t *end)
{
    if (!RKI_LOOK(r->publisher) || RKI_LOOK(r->halted))
        return true;
    if (!*end) {
        *end = now + r->plan->spec->engine.grace_ns;
        wake_all(r); // all others end now
    }
    return now >= *end;
}

// True when every task has ended; false when one did not react to being stopped by a signal.
static bool control_loop(rki_run *r)
{
    const rki_spec *s = r->plan->spec;
    uint64_t tick = r->args.progress && r->args.progress_ns ? r->args.progress_ns : 0, next = r->start_ns + tick;
    uint64_t grace_end = 0, stop_at = s->run.stop_ns ? r->start_ns + s->run.stop_ns : 0;
    uint64_t give_up = 0, observers_end = 0;
    uint64_t next_clock = 0, next_beat = 0;
    struct rest drained = { 0 };
    struct held held = { 0 };
    bool cancelled = false, asked = false;
    for (;;) {
        uint64_t now = rki_run_ns(r), until = 0;
        uint32_t signals = __atomic_load_n(&r->signals, __ATOMIC_SEQ_CST);
        rki_progress p;
        if (rki_failed(r) && !cancelled && see_off(r, now, &observers_end)) {
            cancelled = true;
            cancel(r);
        }
        if (observers_end && !cancelled && (!until || observers_end < until))
            until = observers_end;
        if (signals && !r->interrupted) {
            r->interrupted = true;
            grace_end = now + s->engine.grace_ns;
            next_beat = 0;
            if (!rki_ckpt_last(r))
                stop_sources(r);
        }
        if (!give_up &&
            (signals > 1 || (grace_end && now >= grace_end) || ((grace_end || asked) && drain_at_rest(r, &drained)))) {
            cancelled = r->cut = r->interrupted = true;
            r->held_up = signals > 1 ? NULL : suspended_kernel(r);
            cancel(r);
            give_up = now + STUCK_NS;
        }
        if (give_up && now >= give_up)
            return false;
        if (stop_at && now >= stop_at && !asked) {
            asked = true;
            stop_sources(r);
        }
        if (r->ckpt && !cancelled) {
            rki_ckpt_look(r, now, &until);
            if (rki_ckpt_last_done(r)) {
                cancelled = true;
                cancel(r);
            }
        }
        if (!r->plan->stream && !give_up && !grace_end && !asked)
            look_for_held(r, now, &held, &until);
        keep_clock(r, now, &next_clock);
        if (r->leased && (!until || next_clock < until))
            until = next_clock;
        if (!give_up && rki_look_for_hung(r, now, &until)) {
            cancelled = true;
            cancel(r);
            give_up = now + STUCK_NS;
        }
        if (r->n_circles && look_at_circles(r))
            until = !until || now + 1000000u < until ? now + 1000000u : until;
        if (r->args.beat && now >= next_beat)
            next_beat = now + r->args.beat(r->args.beat_arg);
        if (r->args.beat && (!until || next_beat < until))
            until = next_beat;
        if (tick && now >= next) {
            look(r, &p);
            r->args.progress(r->args.progress_arg, &p);
            next = now + tick;
        }
        if (s->run.stop_rows && !asked) {
            look(r, &p);
            if (p.rows_in >= s->run.stop_rows) {
                asked = true;
                stop_sources(r);
            }
            if (!r->args.time) // where steps are taken by who waits, it looks often enough
                until = !until || now + 1000000u < until ? now + 1000000u : until;
        }
        if (tick && (!until || next < until))
            until = next;
        if (grace_end && !give_up && (!until || grace_end < until))
            until = grace_end;
        if ((grace_end || asked) && !give_up && suspended_kernel(r) && (!until || now + 10000000u < until))
            until = now + 10000000u;
        if (stop_at && !asked && (!until || stop_at < until))
            until = stop_at;
        if (give_up && (!until || give_up < until))
            until = give_up;
        bool stopping = rki_reload_look(r, now, &until);
        if (r->backend->wait(r->b, until) && !stopping && !rki_reload_under_way(r))
            return true;
    }
}

static void sinks_of(rki_run *r, rki_runner *run, bool commit, rkp_status *st)
{
    // Acquire, from the release of whoever retires it: what the task did.
    if (r->stuck && __atomic_load_n(&run->task.state, __ATOMIC_ACQUIRE) != RKP_TASK_RETIRED)
        return;
    for (uint32_t j = 0; j < run->n_stages; j++) {
        rkp_actor *a = run->acts[j];
        if (a->op->kind != RKP_SINK || a->stage->role == RKI_ENCODE || !a->inited)
            continue;
        if (!commit) {
            if (a->op->abort)
                a->op->abort(a->self, a);
        } else if (*st == RKP_OK && a->op->commit) {
            *st = a->op->commit(a->self, a);
            if (*st != RKP_OK)
                rkp_fail(a, *st, "cannot publish its output");
        }
    }
}

static void each_sink(rki_run *r, bool commit, rkp_status *st)
{
    uint32_t n;
    rki_runner *const *going = rki_reload_going(r, &n);
    for (uint32_t i = 0; i < n; i++)
        sinks_of(r, going[i], commit, st);
    for (uint32_t i = 0; i < r->n_runners; i++)
        sinks_of(r, r->runners[i], commit, st);
}

uint64_t rki_runner_empty(rki_runner *run)
{
    uint64_t rows = 0;
    for (uint32_t o = 0; run->outs && o < run->n_outs; o++) {
        for (uint32_t m = 0; m < run->outs[o].n_box; m++) {
            rows += run->outs[o].box[m].env.rows;
            rkp_batch_put((rkp_batch *)(uintptr_t)run->outs[o].box[m].env.payload);
        }
        run->outs[o].n_box = 0;
        rki_kept_free(&run->outs[o]);
    }
    rows += run->letters.n;
    rkp_batch_put(run->letters.mem);
    run->letters = (rki_letters){ 0 };
    rows += rki_batcher_rows(run->batcher);
    rki_batcher_free(run->batcher);
    run->batcher = NULL;
    if (run->pending) {
        rows += rki_batch_rows(run->pending);
        rkp_batch_put(run->pending);
        run->pending = NULL;
    }
    return rows;
}

void rki_finish_sink(rki_run *r, rkp_actor *a)
{
    rkp_status st = RKP_OK;
    (void)r;
    if (a->op->kind != RKP_SINK || a->stage->role == RKI_ENCODE || !a->inited || a->muted)
        return;
    if (!a->ended && a->op->prepare)
        st = a->op->prepare(a->self, a);
    if (st == RKP_OK && a->op->commit)
        st = a->op->commit(a->self, a);
    if (st != RKP_OK)
        rki_fail_run(a, st, "cannot complete its output, which a reload has removed");
}

// Everything that is still in a ring or waits for one goes back to the pool (a run that was given up).
static uint64_t drain(rki_run *r)
{
    uint64_t rows = 0;
    for (uint32_t i = 0; i < r->n_links; i++)
        rows += rki_link_empty(r->links[i]);
    for (uint32_t i = 0; i < r->n_runners; i++)
        rows += rki_runner_empty(r->runners[i]);
    return rows + (r->reload ? rki_reload_drain(r) : 0);
}

static void tell_interrupted(rki_run *r, uint64_t left)
{
    const rki_kernel *k = r->held_up;
    const char *why = __atomic_load_n(&r->signals, __ATOMIC_SEQ_CST) ? "interrupted" : "run.stop_after";
    char held[128] = "";
    if (k)
        snprintf(held, sizeof held, "kernel '%s' is suspended: ", k->id.p);
    if (r->plan->stream)
        snprintf(r->failure, sizeof r->failure, "%s: %s%llu rows were not delivered", why, held,
                 (unsigned long long)left);
    else
        snprintf(r->failure, sizeof r->failure,
                 "%s: %soutputs with commit: rename were not published (%llu rows were in flight); run again to "
                 "start over",
                 why, held, (unsigned long long)left);
}

// The same rows where nothing may be touched: counters only.
static uint64_t on_the_way(const rki_run *r)
{
    uint64_t rows = 0;
    for (uint32_t i = 0; i < r->n_links; i++) {
        uint64_t got = RKI_LOOK(r->links[i]->got_rows) + RKI_LOOK(r->links[i]->overflowed_rows),
                 sent = RKI_LOOK(r->links[i]->sent_rows);
        rows += sent > got ? sent - got : 0;
    }
    return rows;
}

// SPEC.md: in = out + dropped + dead-lettered, for every kernel that handles row by row; sent = received on every edge;
// and no batch may be left.  "" when all adds up.
static void check_counts(const rki_run *r, char *text, size_t n)
{
    rki_kernel_counts c;
    text[0] = 0;
    for (uint32_t i = 0; i < r->n_links; i++) {
        const rki_link *k = r->links[i];
        if (k->sent_rows != k->got_rows + k->overflowed_rows) {
            snprintf(text, n, "edge '%s' -> '%s': sent %llu rows, received %llu, %llu did not fit",
                     rki_from(k)->plan->name, rki_to(k)->plan->name, (unsigned long long)k->sent_rows,
                     (unsigned long long)k->got_rows, (unsigned long long)k->overflowed_rows);
            return;
        }
    }
    for (rki_counts_walk w = { 0 }; rki_run_next_counts(r, &w, &c);) {
        const rkp_op *op = w.kernel->op;
        uint64_t out = c.rows_out + c.absorbed + c.dropped + c.dead_lettered;
        if ((op->traits & RKP_ROWWISE) && op->kind != RKP_SOURCE && c.rows_in != out) {
            snprintf(
                text, n, "kernel '%s': %llu rows in, but %llu out + %llu absorbed + %llu dropped + %llu dead-lettered",
                c.kernel, (unsigned long long)c.rows_in, (unsigned long long)c.rows_out, (unsigned long long)c.absorbed,
                (unsigned long long)c.dropped, (unsigned long long)c.dead_lettered);
            return;
        }
    }
}

static bool too_many_bad(const rki_run *r, char *text, size_t n)
{
    const rki_spec *s = r->plan->spec;
    rki_totals t;
    for (uint32_t i = 0; i < r->plan->n_kernels; i++) {
        const rki_bound *b = &r->plan->kernels[i];
        double limit = b->k->on_error.max_ratio;
        rki_kernel_counts c;
        rki_run_counts(r, i, &c);
        if (c.bad && limit < 1 && (double)c.bad > limit * (double)c.rows_in) {
            snprintf(text, n, "kernel '%s': %llu of %llu rows are bad, more than on_error.max_ratio allows (%g)",
                     c.kernel, (unsigned long long)c.bad, (unsigned long long)c.rows_in, limit);
            return true;
        }
    }
    rki_run_totals(r, &t);
    if (t.bad && s->run.max_bad_ratio < 1 && (double)t.bad > s->run.max_bad_ratio * (double)t.rows_in) {
        snprintf(text, n, "%llu of %llu rows are bad, more than run.max_bad_ratio allows (%g)",
                 (unsigned long long)t.bad, (unsigned long long)t.rows_in, s->run.max_bad_ratio);
        return true;
    }
    if (s->run.fail_on_dead_letter && t.dead_lettered) {
        snprintf(text, n, "%llu rows were dead-lettered, and run.fail_on has dead_letter",
                 (unsigned long long)t.dead_lettered);
        return true;
    }
    if (s->run.fail_on_drop && t.lost) {
        snprintf(text, n, "%llu rows that should have gone on were dropped, and run.fail_on has drop",
                 (unsigned long long)t.lost);
        return true;
    }
    return r->args.approve && !r->args.approve(r->args.approve_arg, s, text, n);
}

int rki_run_execute(rki_run *r)
{
    rkp_status st;
    rkp_status started;
    int code = RKI_EXIT_OK;
    uint64_t left;
    __atomic_store_n(&r->start_ns, rki_run_ns(r), __ATOMIC_RELAXED); // the status is asked for from the start
    r->cpu_start_ns = cpu_ns();
    __atomic_store_n(&r->started_us, rki_wall_us(), __ATOMIC_RELAXED);
    rki_life_start(r);
    __atomic_store_n(&r->poke, r->b, __ATOMIC_SEQ_CST);
    st = r->backend->start(r->b);
    if (st != RKP_OK) {
        snprintf(r->failure, sizeof r->failure, "cannot start the worker threads");
        r->fail_status = st;
        cancel(r);
    } else if (r->device && (started = rki_device_start(r->device, r->failure, sizeof r->failure)) != RKP_OK) {
        r->fail_status = started;
        cancel(r);
    }
    for (uint32_t i = 0; i < r->n_runners; i++)
        rki_wake_runner(r->runners[i]);
    r->stuck = st == RKP_OK && !control_loop(r);
    __atomic_store_n(&r->poke, NULL, __ATOMIC_SEQ_CST); // a signal finds nobody from here on
    pthread_mutex_lock(&r->lock);
    __atomic_store_n(&r->ending, 1, __ATOMIC_SEQ_CST);
    pthread_cond_broadcast(&r->obeyed);
    pthread_mutex_unlock(&r->lock);
    if (r->stuck) {
        left = on_the_way(r);
    } else {
        left = rki_device_rest(r->device);
        r->backend->close(r->b);
        r->b = NULL;
        rki_reload_end(r);
        left += drain(r);
    }
    if (r->fail_status != RKP_OK) {
        code = r->fail_status == RKP_UNAVAILABLE ? RKI_EXIT_UNAVAILABLE
               : r->fail_status == RKP_INTERNAL  ? RKI_EXIT_INTERNAL
                                                 : RKI_EXIT_FAILED;
    } else if (r->interrupted && rki_ckpt_last_done(r)) {
        code = r->plan->stream ? RKI_EXIT_OK : RKI_EXIT_INTERRUPTED;
        snprintf(r->failure, sizeof r->failure, "interrupted: ");
        rki_ckpt_say(r, r->failure + strlen(r->failure), sizeof r->failure - strlen(r->failure));
    } else if (r->interrupted && (!r->plan->stream || left || r->cut)) {
        code = __atomic_load_n(&r->signals, __ATOMIC_SEQ_CST) > 1 ? RKI_EXIT_SIGNAL : RKI_EXIT_INTERRUPTED;
        tell_interrupted(r, left);
    } else {
        check_counts(r, r->failure, sizeof r->failure);
        if (r->failure[0] || left) {
            code = RKI_EXIT_INTERNAL;
            if (!r->failure[0])
                snprintf(r->failure, sizeof r->failure, "%llu rows were left in queues", (unsigned long long)left);
        } else if (too_many_bad(r, r->failure, sizeof r->failure)) {
            code = RKI_EXIT_BAD_DATA;
        }
    }
    if (r->args.replay && !r->stuck)
        rki_replay_stop(r->args.replay);
    if (code == RKI_EXIT_OK && r->args.replay && rki_replay_lost(r, r->failure, sizeof r->failure))
        code = RKI_EXIT_FAILED;
    if (code == RKI_EXIT_BAD_DATA)
        rki_ckpt_forget(r); // it would be no better from there
    // Before any output has its name: rows that are in none must be among the letters.  A replay settles them later.
    if (code == RKI_EXIT_OK && !r->args.replay && rki_store_flush(r, r->failure, sizeof r->failure) != RKP_OK)
        code = RKI_EXIT_FAILED;
    if (code == RKI_EXIT_OK && !rki_ckpt_last_done(r) && !rki_ckpt_finish(r))
        code = RKI_EXIT_FAILED;
    if (code == RKI_EXIT_OK && !rki_ckpt_last_done(r)) {
        st = RKP_OK;
        each_sink(r, true, &st);
        if (st != RKP_OK) {
            each_sink(r, false, &st);
            code = RKI_EXIT_FAILED;
        }
    } else {
        each_sink(r, false, &st);
    }
    if (code == RKI_EXIT_OK && !rki_ckpt_last_done(r))
        rki_ckpt_forget(r);
    // Outputs first: a crash between the two replays rows once more, and loses none.
    if (code == RKI_EXIT_OK && r->args.replay) {
        char err[512] = "";
        if (rki_replay_settle(r->args.replay, r->dead_store, err, sizeof err) != RKP_OK) {
            code = RKI_EXIT_FAILED;
            snprintf(r->failure, sizeof r->failure,
                     "the rows were replayed, but stay in the store, and another replay would deliver them again: %s",
                     err);
        }
    }
    if (code == RKI_EXIT_OK) { // outputs first, here as well
        char err[512] = "";
        if (rki_live_settle(r, UINT64_MAX, err, sizeof err) != RKP_OK)
            rki_log(r, "warning: %s\n", err);
    }
    if (code != RKI_EXIT_OK && !rki_ckpt_last_done(r)) {
        char kept[160];
        rki_ckpt_say(r, kept, sizeof kept);
        if (kept[0])
            rki_log(r, "%s\n", kept);
    }
    rki_taps_end(r);
    for (uint32_t i = 0; !r->stuck && i < r->n_runners; i++)
        for (uint32_t o = 0; o < r->runners[i]->n_outs; o++)
            rki_spill_close(&r->runners[i]->outs[o], code == RKI_EXIT_OK || !r->plan->stream); // a job begins anew
    rki_spill_end(r);
    for (uint32_t i = 0; !r->stuck && i < r->n_runners; i++) {
        for (uint32_t j = 0; j < r->runners[i]->n_stages; j++) {
            rkp_actor *a = r->runners[i]->acts[j];
            rki_actor_end(a);
            rkp_frame_free(a->frame);
            a->frame = NULL;
            rkp_errs_fini(&a->errs);
        }
    }
    if (code == RKI_EXIT_OK && rkp_pool_live(r->pool) + rkp_pool_live(r->state_pool) != 0) {
        code = RKI_EXIT_INTERNAL;
        snprintf(r->failure, sizeof r->failure, "%llu batches were not given back",
                 (unsigned long long)(rkp_pool_live(r->pool) + rkp_pool_live(r->state_pool)));
    }
    r->end_ns = rki_run_ns(r);
    r->cpu_end_ns = cpu_ns();
    if (r->args.progress) {
        rki_progress p;
        look(r, &p);
        p.elapsed_ns = r->end_ns - r->start_ns;
        p.final = true;
        r->args.progress(r->args.progress_arg, &p);
    }
    return code;
}

const char *rki_run_failure(const rki_run *r)
{
    return r->failure;
}

bool rki_run_stuck(const rki_run *r)
{
    return r->stuck;
}

static void free_graph(rki_run *r)
{
    rki_runner *spare;
    rki_kstate *gone;
    rki_gen *gen;
    for (uint32_t i = 0; i < r->n_runners; i++)
        rki_runner_free(r->runners[i]);
    for (uint32_t i = 0; i < r->n_links; i++)
        free(r->links[i]);
    for (uint32_t i = 0; r->net && i < r->plan->n_kernels; i++)
        rki_kstate_free(r->ks[i]);
    while ((gone = r->gone)) {
        r->gone = gone->next_gone;
        rki_kstate_free(gone);
    }
    if (r->net)
        rki_arena_fini(&r->net->arena);
    free(r->net);
    while ((spare = r->spare)) {
        r->spare = spare->next_spare;
        free(spare);
    }
    while ((gen = r->gens)) {
        r->gens = gen->next;
        if (gen->drop)
            gen->drop(gen->drop_arg);
        free(gen);
    }
}

void rki_run_free(rki_run *r)
{
    if (!r || r->stuck)
        return;
    rki_device_rest(r->device);
    if (r->b)
        r->backend->close(r->b);
    rki_device_close(r->device);
    drain(r);
    rki_ckpt_close(r);
    rki_reload_close(r);
    free_graph(r);
    rki_life_free(r);
    rki_live_free(r);
    rki_store_close(r);
    if (r->dir >= 0)
        close(r->dir);
    if (r->pool)
        rkp_pool_free(r->pool);
    if (r->state_pool)
        rkp_pool_free(r->state_pool);
    rki_taps_end(r);
    if (r->lock_made) {
        pthread_rwlock_destroy(&r->tap_lock);
        pthread_rwlock_destroy(&r->graph_lock);
        pthread_mutex_destroy(&r->lock);
    }
    pthread_mutex_destroy(&r->build_lock);
    pthread_mutex_destroy(&r->metrics_lock);
    rki_arena_fini(&r->arena);
    free(r);
}
