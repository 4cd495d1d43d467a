// run/life.c - the life of kernels: states, commands at batch boundaries, supervision.
//
//   created -> launched -> active <-> suspended     any of these -> terminating -> terminated
//                           active -> failed -> launched (a restart) or terminating
//
// A command is a wish that is left with the kernel; each runner that has a part of the kernel sees it between two messages, does it, and says
// so.  The last one changes the state.  Every change is an event for whoever subscribes to $lifecycle/<kernel>.
//
// A supervised kernel runs alone in its actor.  What it emits for one message lies in boxes until the call is over, so when the call fails
// it is taken back, the counts are set back, and the message is offered to a new instance after the backoff: nothing is lost or doubled.
// A source that keeps its place goes on behind the last poll that did not fail (place.c); what another one emitted before it failed
// stands: nobody would bring it again.
#include "run/meter.h"
#include "run/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const char *const state_names[RKI_N_STATES] = { "created", "launched",    "active",    "suspended",
                                                       "failed",  "terminating", "terminated" };
static const char *const command_names[RKI_N_COMMANDS] = { "activate", "suspend", "restart", "terminate" };

// Which states a command may find.
static const uint32_t allowed[RKI_N_COMMANDS] = {
    [RKI_ACTIVATE] = 1u << RKI_LAUNCHED | 1u << RKI_SUSPENDED,
    [RKI_SUSPEND] = 1u << RKI_ACTIVE,
    [RKI_RESTART] = 1u << RKI_ACTIVE | 1u << RKI_SUSPENDED | 1u << RKI_FAILED,
    [RKI_TERMINATE] =
        1u << RKI_CREATED | 1u << RKI_LAUNCHED | 1u << RKI_ACTIVE | 1u << RKI_SUSPENDED | 1u << RKI_FAILED,
};

const char *rki_state_name(int s)
{
    return s >= 0 && s < RKI_N_STATES ? state_names[s] : "?";
}

const char *rki_command_name(int c)
{
    return c >= 0 && c < RKI_N_COMMANDS ? command_names[c] : "?";
}

int rki_command_named(rkp_str s)
{
    if (rkp_str_is(s, "resume"))
        return RKI_ACTIVATE;
    if (rkp_str_is(s, "deactivate"))
        return RKI_SUSPEND;
    for (int i = 0; i < RKI_N_COMMANDS; i++)
        if (rkp_str_is(s, command_names[i]))
            return i;
    return -1;
}

// ---- states ---------------------------------------------------------------------------------------------------------

static rkp_event news_of(const rki_event *e)
{
    rkp_event out = { .kernel = e->kernel->id, .from = state_names[e->from], .to = state_names[e->to], .us = e->us };
    memcpy(out.reason, e->reason, sizeof out.reason);
    return out;
}

static void note(rki_run *r, const rki_kstate *kernel, rki_state from, rki_state to, const char *reason)
{
    rki_event e = { .kernel = kernel, .from = (uint8_t)from, .to = (uint8_t)to, .us = (int64_t)rki_run_wall_us(r) };
    rkp_event news;
    snprintf(e.reason, sizeof e.reason, "%s", reason ? reason : "");
    news = news_of(&e);
    rki_tap_event(r, &news);
    if (!r->publisher)
        return;
    if (r->n_events == r->cap_events) {
        uint32_t cap = r->cap_events ? r->cap_events * 2 : 32;
        rki_event *v = realloc(r->events, cap * sizeof *v);
        if (!v)
            return; // the state itself is right; its news is lost
        r->events = v;
        r->cap_events = cap;
    }
    r->events[r->n_events++] = e;
}

// With the lock held.
static void set_state(rki_run *r, rki_kstate *k, rki_state to, const char *reason)
{
    rki_state from = (rki_state)k->state;
    if (from == to)
        return;
    // Relaxed: others only look.
    __atomic_store_n(&k->state, (uint32_t)to, __ATOMIC_RELAXED);
    k->since_us = rki_run_wall_us(r);
    snprintf(k->reason, sizeof k->reason, "%s", reason ? reason : "");
    note(r, k, from, to, reason);
}

// A runner, the control thread, or whoever holds the lock while the run does not end: the backend is there.
static void tell(rki_run *r)
{
    rki_runner *p = __atomic_load_n(&r->publisher, __ATOMIC_ACQUIRE);
    if (p && r->b)
        rki_wake_runner(p);
}

bool rki_is_publisher(const rki_runner *r)
{
    return r == __atomic_load_n(&r->run->publisher, __ATOMIC_ACQUIRE);
}

static void change(rki_run *r, rki_kstate *kernel, rki_state to, const char *reason)
{
    pthread_mutex_lock(&r->lock);
    set_state(r, kernel, to, reason);
    pthread_mutex_unlock(&r->lock);
    tell(r);
}

// ---- supervision ----------------------------------------------------------------------------------------------------

struct mark {
    uint32_t n_box;
    uint64_t next_chunk;
};

struct rki_life {
    const rki_restart_conf *c;
    uint64_t *times; // of restarts in the window, a ring
    uint32_t cap, n, first;
    uint64_t until_ns; // down: when to make a new instance
    bool down;
    uint32_t in_a_row;
    struct mark *marks;
    uint32_t n_marks;
    rki_place place; // of a source that keeps it
    bool lost;       // the instance that there is has failed
    rki_counts saved;
    uint64_t saved_bad, saved_emission;
};

// A reload may have given it more outputs.  False: the run was failed.
static bool room_for_marks(rkp_actor *a)
{
    rki_life *l = a->life;
    uint32_t n = a->r->n_outs + 1;
    struct mark *v;
    if (l->n_marks >= n)
        return true;
    v = realloc(l->marks, n * sizeof *v);
    if (!v) {
        rki_fail_run(a, RKP_NOMEM, "out of memory");
        return false;
    }
    l->marks = v;
    l->n_marks = n;
    return true;
}

static bool save(rkp_actor *a)
{
    rki_life *l = a->life;
    if (!room_for_marks(a))
        return false;
    for (uint32_t i = 0; i < a->r->n_outs; i++)
        l->marks[i] = (struct mark){ a->r->outs[i].n_box, a->r->outs[i].next_chunk };
    l->saved = a->counts;
    l->saved_bad = a->bad;
    l->saved_emission = a->r->emission;
    return true;
}

static void set_back(rki_reason_count *v, uint32_t n, const rki_reason_count *saved, uint32_t n_saved)
{
    for (uint32_t i = 0; i < n; i++) // new ones stay with no rows: others may be looking at them
        __atomic_store_n(&v[i].rows, i < n_saved ? saved[i].rows : 0, __ATOMIC_RELAXED);
}

// Field by field: others look meanwhile.
static void counts_back(rki_counts *c, const rki_counts *saved)
{
    __atomic_store_n(&c->batches, saved->batches, __ATOMIC_RELAXED);
    __atomic_store_n(&c->rows_in, saved->rows_in, __ATOMIC_RELAXED);
    __atomic_store_n(&c->rows_out, saved->rows_out, __ATOMIC_RELAXED);
    __atomic_store_n(&c->bytes_in, saved->bytes_in, __ATOMIC_RELAXED);
    __atomic_store_n(&c->bytes_out, saved->bytes_out, __ATOMIC_RELAXED);
    __atomic_store_n(&c->absorbed, saved->absorbed, __ATOMIC_RELAXED);
    __atomic_store_n(&c->dropped, saved->dropped, __ATOMIC_RELAXED);
    __atomic_store_n(&c->dead, saved->dead, __ATOMIC_RELAXED);
    __atomic_store_n(&c->lost, saved->lost, __ATOMIC_RELAXED);
    set_back(c->drops, c->n_drops, saved->drops, saved->n_drops);
    set_back(c->deads, c->n_deads, saved->deads, saved->n_deads);
    for (int i = 0; i < 16; i++)
        __atomic_store_n(&c->metrics[i], saved->metrics[i], __ATOMIC_RELAXED);
}

// Takes back what was emitted since save.
static void take_back(rkp_actor *a)
{
    rki_life *l = a->life;
    for (uint32_t i = 0; i < a->r->n_outs; i++) {
        rki_outset *o = &a->r->outs[i];
        while (o->n_box > l->marks[i].n_box)
            rkp_batch_put((rkp_batch *)(uintptr_t)o->box[--o->n_box].env.payload);
        for (uint32_t j = 0; j < o->n; j++)
            o->open[j] = 0;
        o->next_chunk = l->marks[i].next_chunk;
        rki_keep_back(o, l->saved_emission);
    }
    counts_back(&a->counts, &l->saved);
    __atomic_store_n(&a->bad, l->saved_bad, __ATOMIC_RELAXED);
}

// Rows that the instance holds and will not give on.
void rki_drop_held(rkp_actor *a, const char *reason)
{
    const rki_counts *c = &a->counts;
    uint64_t gone = c->rows_out + c->absorbed + c->dropped + c->dead;
    if (a->stage->role == RKI_WHOLE && a->op->kind != RKP_SOURCE && (a->op->traits & RKP_ROWWISE) && c->rows_in > gone)
        rki_lose_rows(a, c->rows_in - gone, reason);
}

// What the instance keeps until a time is given on now.
static void give_held(rkp_actor *a)
{
    a->leaving = true;
    if (a->op->on_timer && a->timer_ns)
        a->op->on_timer(a->self, a);
    a->leaving = false;
}

// It goes on at `place` (NULL, or not known: where the run began).
static bool new_instance(rkp_actor *a, const rki_place *place)
{
    rkp_status st;
    if (a->op == &rki_op_pass)
        return true;
    rki_drop_held(a, "restart");
    a->crashed = false;
    if (!rki_actor_renew(a)) {
        rkp_fail(a, RKP_NOMEM, "out of memory for a new instance");
        return false;
    }
    a->timer_ns = 0;
    a->state_used = 0;
    a->self_made = true;
    a->gen = a->r->gen;
    if (rki_plan_instance((rki_plan *)(uintptr_t)a->gen->plan, a->stage->kernel, &a->arena, a->self) != RKP_OK) {
        rkp_fail(a, RKP_NOMEM, "out of memory for a new instance");
        return false;
    }
    st = a->op->init ? a->op->init(a->self, a) : RKP_OK;
    if (st != RKP_OK && !a->crashed)
        rkp_fail(a, st, "cannot start");
    if (st != RKP_OK || a->crashed)
        return false;
    if (a->life)
        a->life->lost = false;
    if (!rki_keeps_place(a))
        return true;
    if (place && place->known)
        return rki_place_go(a, place);
    return !a->run->ckpt || rki_ckpt_restore(a);
}

static rkp_verdict exhausted(rkp_actor *a, rkp_batch *b)
{
    rki_life *l = a->life;
    rki_run *r = a->run;
    uint64_t rows = b ? rki_batch_rows(b) : 0;
    if (b && a->bound->on_error == RKI_ERR_DEAD_LETTER) {
        rki_dead_crash(a, b, a->crash);
        rki_count_dead(a, rows, "crash");
        l->n = 0;
        l->in_a_row = 0;
        l->until_ns = 0; // a new instance goes on with the next message
        if (l->c->policy != RKI_RESTART_NEVER)
            return RKP_DONE;
        rows = 0;
    }
    if (l->c->on_exhausted == RKI_EXHAUSTED_ISOLATE) {
        change(r, a->ks, RKI_TERMINATING, "isolated");
        l->down = false;
        a->crashed = false;
        a->stop_reason = "terminated";
        rki_stop_stage(a);
        a->ended = true;
        a->r->polled_out |= a->op->kind == RKP_SOURCE;
        rki_drop_held(a, "terminated"); // b is not among what came in yet
        rki_lose_rows(a, rows, "terminated");
        change(r, a->ks, RKI_TERMINATED, a->crash);
        return b ? RKP_DONE : RKP_STOP;
    }
    return rki_fail_run(a, a->crash_status, "%s (failed %llu times in %g s, restart.max)", a->crash,
                        (unsigned long long)l->c->max + 1, (double)l->c->window_ns * 1e-9);
}

// It failed: waits for a restart (RKI_CRASHED), or there are no more.  b: what it failed on, and is to blame when it always does.
static rkp_verdict crashed(rkp_actor *a, rkp_batch *b)
{
    rki_life *l = a->life;
    uint64_t now = rkp_now_ns(a);
    RKI_ADD(a->meter->failures, 1);
    if (!a->crash[0])
        snprintf(a->crash, sizeof a->crash, "failed");
    change(a->run, a->ks, RKI_FAILED, a->crash);
    l->down = l->lost = true;
    while (l->n && now - l->times[l->first] > l->c->window_ns) {
        l->first = (l->first + 1) % l->cap;
        l->n--;
    }
    if (l->n == l->cap)
        return exhausted(a, b);
    l->times[(l->first + l->n++) % l->cap] = now;
    l->in_a_row++;
    l->until_ns = now + rki_backoff_ns(&l->c->backoff, l->in_a_row, a->r->id);
    a->r->wake_ns = l->until_ns;
    return RKI_CRASHED;
}

// Makes a new instance when its time has come.  RKP_DONE: it runs.
static rkp_verdict revive(rkp_actor *a)
{
    rki_life *l = a->life;
    if (rkp_now_ns(a) < l->until_ns) {
        a->r->wake_ns = l->until_ns;
        return RKI_CRASHED;
    }
    change(a->run, a->ks, RKI_LAUNCHED, "restart");
    pthread_mutex_lock(&a->run->lock);
    a->ks->restarts++;
    pthread_mutex_unlock(&a->run->lock);
    if (!new_instance(a, &a->life->place))
        return crashed(a, NULL);
    l->down = false;
    change(a->run, a->ks, RKI_ACTIVE, "restart");
    return RKP_DONE;
}

bool rki_life_ready(rkp_actor *a)
{
    rki_life *l = a->life;
    if (l->down && l->place.known && rkp_stopping(a) && !rki_halted(a->r)) {
        a->crashed = l->down = false; // it would give nothing more: it ends where it was
        return true;
    }
    if (l->down)
        revive(a);
    return !a->life->down && !rki_halted(a->r);
}

rkp_verdict rki_supervised_call(rkp_actor *a, rkp_batch *b)
{
    rkp_verdict v;
    if (a->life->down && !rki_life_ready(a))
        return RKI_CRASHED;
    if (a->stopped) { // isolated
        rki_lose_rows(a, rki_batch_rows(b), a->stop_reason);
        return RKP_DONE;
    }
    if (!save(a))
        return RKI_CRASHED;
    rkp_batch_get(b); // it may be offered again, so it must stay as it is
    v = rki_call(a, b);
    rkp_batch_put(b);
    if (v != RKP_FAIL && !a->crashed) {
        a->life->in_a_row = v == RKP_RETRY ? a->life->in_a_row : 0;
        return v;
    }
    take_back(a);
    return crashed(a, b);
}

// One poll of a source that keeps its place: it was, with a place behind it, or it was not.
static rkp_verdict poll_with_place(rkp_actor *a)
{
    rki_life *l = a->life;
    rkp_verdict v;
    if (!l->place.known && !rki_place_take(a, &l->place)) {
        rki_crash_is_final(a); // it may have given something that is not known
        return RKP_FAIL;
    }
    rki_dead_flush(a->r);
    if (!save(a))
        return RKP_FAIL;
    v = a->op->poll(a->self, a);
    if (v != RKP_FAIL && !a->crashed && rki_place_take(a, &l->place))
        return v;
    rkp_batch_put(a->r->letters.mem);
    a->r->letters = (rki_letters){ 0 };
    take_back(a);
    return RKP_FAIL;
}

rkp_verdict rki_supervised_poll(rkp_actor *a)
{
    rkp_verdict v = rki_keeps_place(a) ? poll_with_place(a) : a->op->poll(a->self, a);
    if (rki_halted(a->r))
        return RKI_CRASHED;
    if (v == RKP_FAIL || a->crashed)
        return crashed(a, NULL);
    if (v == RKP_DONE && a->life->c->policy == RKI_RESTART_ALWAYS && !rkp_stopping(a)) {
        snprintf(a->crash, sizeof a->crash, "ended (restart: always)");
        a->crash_status = RKP_IO;
        return crashed(a, NULL);
    }
    if (v != RKP_RETRY)
        a->life->in_a_row = 0;
    return v;
}

rkp_verdict rki_supervised_end(rkp_actor *a)
{
    rkp_verdict v;
    if (!save(a))
        return RKI_CRASHED;
    v = a->op->on_end(a->self, a);
    if (v != RKP_FAIL && !a->crashed)
        return v;
    take_back(a);
    return crashed(a, NULL);
}

void rki_supervised_timer(rkp_actor *a)
{
    rkp_verdict v;
    if (!save(a))
        return;
    v = a->op->on_timer(a->self, a);
    if (v == RKP_STOP)
        rki_stop_stage(a);
    if (v != RKP_FAIL && !a->crashed)
        return;
    take_back(a);
    crashed(a, NULL);
}

void rki_crash_is_final(rkp_actor *a)
{
    if (!a->life || !a->crashed)
        return;
    a->crashed = false;
    rki_fail_run(a, a->crash_status, "%s", a->crash);
}

void rki_crash_at_start(rkp_actor *a, rkp_status st)
{
    if (!a->crashed)
        rkp_fail(a, st, "cannot start");
    crashed(a, NULL);
}

// ---- commands, the runner's side ------------------------------------------------------------------------------------

static void suspend_stage(rkp_actor *a, bool on)
{
    if (a->suspended == on)
        return;
    a->suspended = on;
    a->r->n_suspended += on ? 1 : (uint32_t)-1;
}

// What it holds is given on, as at the end of its input and without waiting.
void rki_last_words(rkp_actor *a)
{
    bool timer = false;
    for (int i = 0; i < 1 << 20; i++) {
        rkp_verdict v = RKP_DONE;
        if (timer && a->timer_ns) {
            a->timer_ns = 0;
            v = a->op->on_timer(a->self, a);
        } else if (a->op->on_end) {
            v = a->op->on_end(a->self, a);
        }
        if (v == RKP_FAIL || a->crashed) {
            rkp_fail(a, RKP_IO, "failed at its end");
            rki_crash_is_final(a);
            return;
        }
        if (v == RKP_DONE && timer) {
            timer = false; // and its end once more
            continue;
        }
        if (v == RKP_RETRY && a->op->on_timer && a->timer_ns && !timer) {
            timer = true;
            continue;
        }
        if (v != RKP_MORE)
            return;
    }
}

static void terminate_stage(rkp_actor *a, const char *reason)
{
    rki_runner *r = a->r;
    bool works = !a->stopped && !a->ended && !(a->life && a->life->down);
    suspend_stage(a, false);
    if (a->stage->role == RKI_GATHER)
        return; // gives on what the replicas gave at their ends
    a->stop_reason = reason;
    a->leaving = true;
    if (a->life)
        a->life->down = false;
    if (a->op->kind == RKP_SOURCE) { // ends as if it were exhausted; its other half gives on what is on the way
        r->polled_out |= a->stage->role != RKI_DECODE;
        a->ended |= !works;
        return;
    }
    if (works && a->stage->role == RKI_WHOLE)
        rki_last_words(a);
    rki_drop_held(a, reason);
    a->ended = true;
    rki_stop_stage(a);
    rki_look_wanted(r); // before it is told: whoever shares with it deals it nothing from then on
}

static void restart_stage(rkp_actor *a)
{
    rki_place here = { 0 }, *place = a->life ? &a->life->place : &here;
    bool ok = true;
    suspend_stage(a, false);
    if (!a->life || !a->life->down)
        give_held(a);
    if (rki_keeps_place(a) && !(a->life && a->life->lost))
        ok = rki_place_take(a, place);
    if (a->life)
        a->life->down = false;
    if (!(ok && new_instance(a, place)) && a->life)
        crashed(a, NULL);
    rki_place_fini(&here);
}

static void do_it(rkp_actor *a, rki_command c, bool removed)
{
    switch (c) {
    case RKI_ACTIVATE:
        suspend_stage(a, false);
        break;
    case RKI_SUSPEND:
        suspend_stage(a, true);
        break;
    case RKI_RESTART:
        restart_stage(a);
        break;
    default:
        terminate_stage(a, removed ? "reload" : "terminated");
        break;
    }
}

static rki_state after(rki_command c)
{
    return c == RKI_SUSPEND ? RKI_SUSPENDED : c == RKI_TERMINATE ? RKI_TERMINATED : RKI_ACTIVE;
}

// Every part that is left has done it.  With the lock held.
static void wish_done(rki_run *r, rki_kstate *k, bool failed)
{
    k->wished = false;
    pthread_cond_broadcast(&r->obeyed);
    if (k->wish == RKI_RESTART)
        k->restarts++;
    k->reached = failed ? (rki_state)k->state : after(k->wish);
    if (failed)
        return; // and its state says so already
    if (k->wish == RKI_RESTART)
        set_state(r, k, RKI_LAUNCHED, "command");
    set_state(r, k, after(k->wish), k->gone ? "reload" : "command");
}

void rki_obey(rki_runner *r)
{
    rki_open_gates(r);
    rki_look_for_given(r);
    for (uint32_t i = 0; i < r->n_stages; i++) {
        rkp_actor *a = r->acts[i];
        rki_kstate *k = a->ks;
        rki_command c;
        bool mine, removed;
        pthread_mutex_lock(&r->run->lock);
        mine = k->wished && a->wish_done != k->wish_number;
        c = k->wish;
        removed = k->gone;
        if (mine) {
            a->wish_done = k->wish_number; // from here on it is not taken back
            k->begun++;
        }
        pthread_mutex_unlock(&r->run->lock);
        if (!mine)
            continue;
        do_it(a, c, removed);
        pthread_mutex_lock(&r->run->lock);
        if (++k->obeyed >= k->alive) // a supervised kernel is one part
            wish_done(r->run, k, c == RKI_RESTART && a->life && (a->life->down || a->stopped));
        pthread_mutex_unlock(&r->run->lock);
        tell(r->run);
    }
}

// ---- commands, who asks ---------------------------------------------------------------------------------------------

static const char *state_list(uint32_t set, char *to, size_t n)
{
    size_t at = 0;
    for (int s = 0; s < RKI_N_STATES; s++) {
        int k;
        if (!(set & 1u << s) || s == RKI_CREATED)
            continue;
        k = snprintf(to + at, n - at, "%s%s", at ? (set >> (s + 1) ? ", " : " or ") : "", state_names[s]);
        if (k > 0 && (size_t)k < n - at)
            at += (size_t)k;
    }
    return to;
}

static bool has_part(const rki_runner *r, const rki_kstate *kernel)
{
    for (uint32_t i = 0; i < r->n_stages; i++)
        if (r->acts[i]->ks == kernel)
            return true;
    return false;
}

static void wake_parts(rki_runner *const *v, uint32_t n, const rki_kstate *kernel)
{
    for (uint32_t i = 0; i < n; i++) {
        if (!has_part(v[i], kernel))
            continue;
        // Release, to the exchange in the step: the wish.
        __atomic_store_n(&v[i]->commands, 1, __ATOMIC_RELEASE);
        rki_wake_runner(v[i]);
    }
}

// A subscription of a launched kernel begins: its publishers replay what they retain.
static void open_gates_of(rki_run *r, const rki_kstate *kernel)
{
    for (uint32_t i = 0; i < r->n_runners; i++) {
        rki_runner *p = r->runners[i];
        bool any = false;
        for (uint32_t o = 0; o < p->n_outs; o++) {
            if (rki_to(p->outs[o].links[0])->acts[0]->ks != kernel || !p->outs[o].kept_made)
                continue;
            __atomic_store_n(&p->outs[o].open_now, 1, __ATOMIC_RELEASE);
            any = true;
        }
        if (!any)
            continue;
        __atomic_store_n(&p->commands, 1, __ATOMIC_RELEASE);
        rki_wake_runner(p);
    }
}

static bool may_restart(const rki_bound *b)
{
    const rkp_op *op = b->k->op;
    if (op->kind == RKP_SOURCE)
        return (op->traits & RKP_RESTARTS) || rki_place_kept(b);
    return !op->commit && !op->abort;
}

uint32_t rki_life_commands(const rki_run *r, const rki_kstate *k, int state)
{
    uint32_t at = 0, out = 0;
    while (at < r->plan->n_kernels && r->ks[at] != k)
        at++;
    if (at == r->plan->n_kernels || k->gone || k->id[0] == '$' || __atomic_load_n(&r->ending, __ATOMIC_SEQ_CST))
        return 0;
    for (uint32_t c = 0; c < RKI_N_COMMANDS; c++)
        if (allowed[c] & 1u << state && (c != RKI_RESTART || may_restart(&r->plan->kernels[at])))
            out |= 1u << c;
    return out;
}

static bool until_ns(rki_run *r, uint64_t deadline_ns)
{
    struct timespec ts = { (time_t)(deadline_ns / 1000000000u), (long)(deadline_ns % 1000000000u) };
    return pthread_cond_timedwait(&r->obeyed, &r->lock, &ts) != ETIMEDOUT;
}

rki_outcome rki_run_command(rki_run *r, rkp_str kernel, rki_command c, uint64_t deadline_ns, char *text, size_t n)
{
    uint32_t at = 0;
    rki_kstate *k;
    rki_outcome out = RKI_DONE;
    char list[128] = "";
    uint64_t number;
    const rkp_op *op;
    bool restarts;
    pthread_rwlock_rdlock(&r->graph_lock);
    while (at < r->plan->n_kernels && !rkp_str_eq(rkp_word_str(r->plan->kernels[at].k->id), kernel))
        at++;
    if (at == r->plan->n_kernels || (kernel.n && kernel.p[0] == '$')) { // the engine's own is nobody's business
        rki_no_kernel(r, kernel, text, n);
        pthread_rwlock_unlock(&r->graph_lock);
        return RKI_NO_KERNEL;
    }
    k = r->ks[at];
    op = r->plan->kernels[at].k->op;
    restarts = may_restart(&r->plan->kernels[at]);
    pthread_rwlock_unlock(&r->graph_lock);
    pthread_mutex_lock(&r->lock);
    while ((k->wished || rki_reload_at_work(r)) && !__atomic_load_n(&r->ending, __ATOMIC_SEQ_CST) &&
           until_ns(r, deadline_ns))
        ;
    if (__atomic_load_n(&r->ending, __ATOMIC_SEQ_CST)) {
        snprintf(text, n, "the run is ending");
        out = RKI_TOO_LATE;
    } else if (k->gone) {
        snprintf(text, n, "kernel '%.*s' has been removed by a reload", RKP_STR_ARG(kernel));
        out = RKI_NO_KERNEL;
    } else if (k->wished || rki_reload_at_work(r)) {
        snprintf(text, n, "kernel '%.*s' has not done the last command yet", RKP_STR_ARG(kernel));
        out = RKI_TIMED_OUT;
    } else if (!(allowed[c] & 1u << k->state)) {
        snprintf(text, n, "kernel '%.*s' is %s; %s needs %s", RKP_STR_ARG(kernel), state_names[k->state],
                 command_names[c], state_list(allowed[c], list, sizeof list));
        out = RKI_REFUSED;
    } else if (c == RKI_RESTART && !restarts) {
        snprintf(text, n, "kernel '%.*s' (%s) cannot be restarted: %s", RKP_STR_ARG(kernel), op->name,
                 op->kind == RKP_SOURCE ? "it would begin its input again"
                                        : "it would lose what it has written since the last checkpoint");
        out = RKI_REFUSED;
    }
    if (out != RKI_DONE) {
        pthread_mutex_unlock(&r->lock);
        return out;
    }
    if (k->state == RKI_LAUNCHED && c == RKI_ACTIVATE)
        open_gates_of(r, k);
    k->before = k->state;
    if (c == RKI_TERMINATE)
        set_state(r, k, RKI_TERMINATING, "command");
    k->wished = true;
    k->wish = c;
    k->begun = k->obeyed = 0;
    number = ++k->wish_number;
    wake_parts(r->runners, r->n_runners, k);
    while (k->wished && k->wish_number == number && !__atomic_load_n(&r->ending, __ATOMIC_SEQ_CST) &&
           until_ns(r, deadline_ns))
        ;
    if (k->wished && k->wish_number == number) {
        bool late = __atomic_load_n(&r->ending, __ATOMIC_SEQ_CST);
        out = late ? RKI_TOO_LATE : RKI_TIMED_OUT;
        snprintf(text, n,
                 late       ? "the run is ending"
                 : k->begun ? "kernel '%.*s' has begun with it and was not done in time"
                            : "kernel '%.*s' came to no batch boundary in time",
                 RKP_STR_ARG(kernel));
        if (!k->begun) {
            k->wished = false; // taken back
            pthread_cond_broadcast(&r->obeyed);
            if (c == RKI_TERMINATE)
                set_state(r, k, (rki_state)k->before, "taken back");
        }
    } else if (k->lost == number && c != RKI_TERMINATE) {
        snprintf(text, n, "kernel '%.*s' has ended", RKP_STR_ARG(kernel));
        out = RKI_TOO_LATE;
    } else {
        // Not its state now: it may have gone on from there.
        snprintf(text, n, "kernel '%.*s' is %s", RKP_STR_ARG(kernel), state_names[k->reached]);
    }
    if (!__atomic_load_n(&r->ending, __ATOMIC_SEQ_CST))
        tell(r);
    pthread_mutex_unlock(&r->lock);
    return out;
}

// Once; a second one is not the second signal.
void rki_run_drain(rki_run *r)
{
    uint32_t none = 0;
    pthread_mutex_lock(&r->lock);
    if (!__atomic_load_n(&r->ending, __ATOMIC_SEQ_CST) &&
        __atomic_compare_exchange_n(&r->signals, &none, 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
        rkp_backend_run *b = __atomic_load_n(&r->poke, __ATOMIC_SEQ_CST);
        if (b) // while the lock is held it is not closed: `ending` comes first
            r->backend->poke(b);
    }
    pthread_mutex_unlock(&r->lock);
}

// ---- hung kernels ---------------------------------------------------------------------------------------------------

bool rki_look_for_hung(rki_run *r, uint64_t now_ns, uint64_t *until)
{
    for (uint32_t i = 0; i < r->n_runners; i++) {
        rki_runner *run = r->runners[i];
        rkp_actor *a = run->acts[0];
        uint64_t limit = a->bound->k->timeout_ns, start;
        if (!limit || rki_failed(r))
            continue;
        start = __atomic_load_n(&run->step_start_ns, __ATOMIC_RELAXED);
        if (!start) {
            *until = !*until || now_ns + limit < *until ? now_ns + limit : *until;
            continue;
        }
        if (now_ns < start + limit) {
            *until = !*until || start + limit < *until ? start + limit : *until;
            continue;
        }
        change(r, a->ks, RKI_FAILED, "hung");
        rki_fail_run(a, RKP_IO, "hangs: one message took longer than its timeout of %g s", (double)limit * 1e-9);
        return true;
    }
    return false;
}

// ---- begin and end --------------------------------------------------------------------------------------------------

bool rki_life_of(rkp_actor *a)
{
    const rki_kernel *k = a->bound->k;
    rki_life *l = a->life;
    uint32_t cap = (uint32_t)(k->restart.max < 10000 ? k->restart.max : 10000);
    if (k->restart.policy == RKI_RESTART_NEVER)
        cap = 0; // exhausted when it first fails
    if (!k->supervised || a->stage->role == RKI_DECODE || a->stage->role == RKI_ENCODE) {
        rki_life_drop(a);
        return true;
    }
    if (l && l->cap != cap)
        rki_life_drop(a); // what was counted was counted for another limit
    if (!a->life && !(a->life = calloc(1, sizeof *l)))
        return false;
    l = a->life;
    l->c = &k->restart;
    l->cap = cap;
    if (!l->times && !(l->times = calloc(cap + 1u, sizeof *l->times)))
        return false;
    l->place.known = false; // its instance may be another one
    return true;
}

bool rki_life_lost(const rkp_actor *a)
{
    return a->life && a->life->lost && a->life->place.known;
}

bool rki_life_save(const rkp_actor *a, rkp_save *to)
{
    if (!rki_life_lost(a))
        return false;
    rkp_save_bytes(to, a->life->place.good.out.p, a->life->place.good.out.n);
    return true;
}

void rki_life_drop(rkp_actor *a)
{
    if (!a->life)
        return;
    free(a->life->times);
    free(a->life->marks);
    rki_place_fini(&a->life->place);
    free(a->life);
    a->life = NULL;
}

bool rki_life_new(rki_run *r)
{
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr) != 0)
        return false;
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    r->cond_made = pthread_cond_init(&r->obeyed, &attr) == 0;
    pthread_condattr_destroy(&attr);
    for (uint32_t i = 0; i < r->n_runners; i++) {
        rki_runner *run = r->runners[i];
        for (uint32_t j = 0; j < run->n_stages; j++) {
            rkp_actor *a = run->acts[j];
            a->ks->parts++;
            a->ks->alive++;
            run->watched |= a->bound->k->timeout_ns != 0;
            if (!rki_life_of(a))
                return false;
            if (a->bound->k->start_suspended)
                suspend_stage(a, true);
        }
    }
    return r->cond_made;
}

void rki_life_begin(rki_run *r, uint32_t kernel)
{
    set_state(r, r->ks[kernel], RKI_LAUNCHED, "reload");
    if (!r->plan->kernels[kernel].k->start_suspended)
        set_state(r, r->ks[kernel], RKI_ACTIVE, "reload");
}

void rki_life_leave(rki_run *r, rki_kstate *k)
{
    k->before = k->state;
    if (k->state != RKI_TERMINATED)
        set_state(r, k, RKI_TERMINATING, "reload");
    if (k->alive == 0)
        set_state(r, k, RKI_TERMINATED, "reload");
}

void rki_life_cut(rki_run *r, rki_kstate *k)
{
    uint32_t n;
    rki_runner *const *going = rki_reload_going(r, &n);
    if (k->wished || k->alive == 0)
        return;
    k->wished = true;
    k->wish = RKI_TERMINATE;
    k->begun = k->obeyed = 0;
    k->wish_number++;
    wake_parts(going, n, k);
}

void rki_life_start(rki_run *r)
{
    pthread_mutex_lock(&r->lock);
    for (uint32_t i = 0; i < r->plan->n_kernels; i++) {
        bool waits = r->plan->kernels[i].k->start_suspended;
        if (r->ks[i]->state == RKI_TERMINATING) { // somebody was quicker: only where that is taken back does it begin
            r->ks[i]->before = waits ? RKI_LAUNCHED : RKI_ACTIVE;
            continue;
        }
        set_state(r, r->ks[i], RKI_LAUNCHED, "start");
        if (!waits)
            set_state(r, r->ks[i], RKI_ACTIVE, "start");
    }
    pthread_mutex_unlock(&r->lock);
}

// The runner has ended; a kernel whose last part it had is terminated.
void rki_life_end(rki_runner *r)
{
    rki_run *run = r->run;
    pthread_mutex_lock(&run->lock);
    for (uint32_t i = 0; i < r->n_stages; i++) {
        rki_kstate *k = r->acts[i]->ks;
        bool did = k->wished && r->acts[i]->wish_done == k->wish_number;
        const char *why = rki_halted(r) ? "failure" : k->gone ? "reload" : "end";
        if (k->alive == 0)
            continue;
        if (did) {
            k->begun--;
            k->obeyed--;
        }
        if (--k->alive > 0) {
            if (k->wished && k->obeyed >= k->alive)
                wish_done(run, k, false);
            continue;
        }
        if (k->wished) {
            k->wished = false;
            k->lost = did ? 0 : k->wish_number;
            k->reached = RKI_TERMINATED;
            pthread_cond_broadcast(&run->obeyed);
        }
        if (k->state == RKI_TERMINATED)
            continue;
        set_state(run, k, RKI_TERMINATING, why);
        set_state(run, k, RKI_TERMINATED, why);
    }
    rki_life_counts(r, false);
    r->over_told = true;
    pthread_mutex_unlock(&run->lock);
    tell(run);
}

void rki_life_counts(rki_runner *r, bool counts)
{
    if (r->over_told || counts == r->counts)
        return;
    r->counts = counts;
    if (counts) {
        __atomic_fetch_add(&r->run->live, 1, __ATOMIC_SEQ_CST);
    } else {
        if (__atomic_load_n(&r->run->live, __ATOMIC_SEQ_CST) == 1)
            rki_ask_last_look(r->run);
        __atomic_fetch_sub(&r->run->live, 1, __ATOMIC_SEQ_CST);
    }
}

void rki_life_free(rki_run *r)
{
    if (r->cond_made)
        pthread_cond_destroy(&r->obeyed);
    free(r->events);
    rki_forget_news(r);
    rki_watches_free(r);
    rki_husks_free(r);
}

// ---- the engine's own publisher -------------------------------------------------------------------------------------

bool rkp_engine_event(rkp_actor *a, rkp_event *out)
{
    rki_run *r = a->run;
    bool some = false;
    pthread_mutex_lock(&r->lock);
    if (r->n_events) {
        some = true;
        *out = news_of(&r->events[0]);
        r->n_events--;
        memmove(r->events, r->events + 1, r->n_events * sizeof *r->events);
    }
    pthread_mutex_unlock(&r->lock);
    return some;
}

bool rkp_engine_over(const rkp_actor *a)
{
    return __atomic_load_n(&a->run->live, __ATOMIC_SEQ_CST) == 0 &&
           __atomic_load_n(&a->run->news.awaited, __ATOMIC_SEQ_CST) == 0;
}
