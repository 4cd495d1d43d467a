// cli/reloader.c - what the engine does when it is asked to reload or to go back: by a command, by the API, by SIGHUP, or because the file has
// changed.
#include "cli/reload.h"

#include "base/failpoint.h"
#include "base/json.h"
#include "base/json_read.h"
#include "plan/diff.h"

#include <rkpipe/num.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void drop_loaded(void *arg)
{
    rki_loaded *l = arg;
    rki_loaded_free(l);
    free(l);
}

static void ms(rki_json *j, const char *key, uint64_t ns)
{
    uint64_t us = ns / 1000u;
    rki_json_put_f64(j, key, (double)us / 1000.0);
}

// back_to: the generation that a rollback has found, or 0.
static void answer(rki_json *j, const rki_reload_result *r, rkp_diags *d, uint64_t back_to, bool dry)
{
    rki_buf found;
    rki_buf_init(&found);
    rki_json_object(j);
    rki_json_put_z(j, "outcome",
                   dry && r->outcome == RKI_RELOAD_APPLIED ? "would_apply" : rki_reload_outcomes[r->outcome]);
    rki_json_put_u64(j, "generation", r->generation);
    if (back_to)
        rki_json_put_u64(j, "back_to", back_to);
    if (r->diff.n) {
        rki_json_key(j, "diff");
        rki_json_raw(j, (rkp_str){ r->diff.p, r->diff.n });
    }
    if (r->text[0])
        rki_json_put_z(j, "message", r->text);
    rki_diags_json(d, &found);
    while (found.n && found.p[found.n - 1] == '\n')
        found.n--;
    rki_json_key(j, "findings");
    rki_json_raw(j, (rkp_str){ found.p, found.n });
    if (r->outcome == RKI_RELOAD_APPLIED && !dry) {
        rki_json_key(j, "milliseconds");
        rki_json_object(j);
        ms(j, "prepare", r->prepare_ns);
        ms(j, "quiesce", r->quiesce_ns);
        ms(j, "commit", r->commit_ns);
        ms(j, "grace", r->grace_ns);
        ms(j, "pause", r->pause_ns);
        rki_json_end_object(j);
        rki_json_key(j, "pauses");
        rki_json_raw(j, (rkp_str){ r->pauses.p, r->pauses.n });
        rki_json_key(j, "edges"); // sent = received + overflowed + in_flight, of every one
        rki_json_raw(j, (rkp_str){ r->edges.p, r->edges.n });
    }
    rki_json_end_object(j);
    rki_buf_fini(&found);
}

// One request.
struct ask {
    const char *file;          // "": the one that the engine was started with
    const rki_snapshot *texts; // load these, not the file
    bool rollback;             // load what is kept
    uint64_t generation;       // of a rollback; 0: the newest that differs
    bool dry;
    bool asked;     // by somebody who gets an answer
    const char *by; // for the log
};

// ---- whose turn it is

// False: somebody has come later, and takes its place.
static bool take_turn(rki_reloader *v)
{
    uint64_t ticket;
    bool mine;
    pthread_mutex_lock(&v->lock);
    ticket = ++v->tickets;
    pthread_cond_broadcast(&v->turn); // who waits is the older one now
    while (v->busy && v->tickets == ticket)
        pthread_cond_wait(&v->turn, &v->lock);
    mine = v->tickets == ticket;
    v->busy = v->busy || mine;
    pthread_mutex_unlock(&v->lock);
    return mine;
}

static void give_turn(rki_reloader *v)
{
    pthread_mutex_lock(&v->lock);
    v->busy = false;
    pthread_cond_broadcast(&v->turn);
    pthread_mutex_unlock(&v->lock);
}

// Of those who only look: they wait for who is at work, and make nobody wait for longer than they look.
static void look_on(rki_reloader *v)
{
    pthread_mutex_lock(&v->lock);
    while (v->busy)
        pthread_cond_wait(&v->turn, &v->lock);
    v->busy = true;
    pthread_mutex_unlock(&v->lock);
}

void rki_reloader_hold(rki_reloader *v)
{
    look_on(v);
}

void rki_reloader_let_go(rki_reloader *v)
{
    give_turn(v);
}

// ---- what is kept

static int64_t wall_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static bool keep_first(rki_reloader *v, uint64_t most, char err[RKP_FILE_ERR])
{
    if (v->first.s && !rki_generations_keep(&v->kept, &v->first, v->load, most, err))
        return false;
    rki_snapshot_free(v->first.s);
    v->first.s = NULL;
    return true;
}

bool rki_reloader_init(rki_reloader *v, const rki_loaded *l, const char *data_dir)
{
    char err[RKP_FILE_ERR] = "";
    if (pthread_mutex_init(&v->lock, NULL) != 0)
        return false;
    if (pthread_cond_init(&v->turn, NULL) != 0) {
        pthread_mutex_destroy(&v->lock);
        return false;
    }
    sem_init(&v->wake, 0, 0); // 0 is a value that it can have
    v->running = rki_sources_hash(&l->spec->sources);
    v->current = rki_snapshot_copy(&l->spec->sources);
    v->first = (rki_generation){ 1, wall_us(), data_dir ? rki_snapshot_copy(&l->spec->sources) : NULL };
    v->watching = v->watch || l->spec->reload.watch;
    v->debounce_ns = l->spec->reload.debounce_ns;
    v->watch_args = (rki_spec_args){ .file = v->file, .env = v->cli->env };
    if (!rki_generations_open(&v->kept, data_dir) || !v->current || (data_dir && !v->first.s) ||
        !rki_watch_init(&v->looks, &v->watch_args, &l->spec->sources)) {
        rki_reloader_fini(v);
        return false;
    }
    // A batch job may be over in a moment: its first one is written when another follows.
    if (l->plan->stream && data_dir && !keep_first(v, l->spec->reload.generations + 1, err) && !v->quiet)
        rki_logger_say(v->log, "note: the pipeline cannot be kept for a rollback: %s", err);
    return true;
}

void rki_reloader_fini(rki_reloader *v)
{
    rki_generations_close(&v->kept);
    rki_snapshot_free(v->first.s);
    rki_watch_fini(&v->looks);
    rki_snapshot_free(v->current);
    rki_snapshot_free(v->rejected.s);
    free(v->rejected.message);
    free(v->rejected.findings);
    sem_destroy(&v->wake);
    pthread_cond_destroy(&v->turn);
    pthread_mutex_destroy(&v->lock);
    v->first.s = NULL;
    v->current = NULL;
    v->rejected.s = NULL;
}

static void watch(rki_reloader *v, const rki_reload_conf *conf)
{
    pthread_mutex_lock(&v->lock);
    v->watching = v->watch || conf->watch;
    v->debounce_ns = conf->debounce_ns;
    pthread_mutex_unlock(&v->lock);
    sem_post(&v->wake);
}

// What was rejected stays readable.  Takes s.
static void keep_rejected(rki_reloader *v, rki_snapshot *s, rkp_diags *d, const rki_reload_result *r)
{
    rki_buf b;
    if (!s || !s->s.first) {
        rki_snapshot_free(s);
        return;
    }
    rki_snapshot_free(v->rejected.s);
    free(v->rejected.message);
    free(v->rejected.findings);
    rki_buf_init(&b);
    rki_diags_json(d, &b);
    v->rejected.s = s;
    v->rejected.us = wall_us();
    v->rejected.message = r->text[0] ? strdup(r->text) : NULL;
    v->rejected.findings = rki_buf_take(&b, NULL);
}

static bool fails(const char *step, char *why, size_t n)
{
    if (!rki_failpoint(step))
        return false;
    snprintf(why, n, "%s was made to fail", step);
    return true;
}

// It runs now.  Takes s.
static void keep(rki_reloader *v, rki_snapshot *s, const rki_reload_conf *conf, rki_reload_result *r)
{
    rki_generation g = { r->generation, wall_us(), s };
    char err[RKP_FILE_ERR] = "out of memory";
    bool ok;
    watch(v, conf);
    v->running = rki_sources_hash(&s->s);
    rki_snapshot_free(v->current);
    v->current = s;
    if (!v->kept.path)
        return;
    ok = !fails("reload.keep", err, sizeof err) && keep_first(v, conf->generations + 1, err) &&
         rki_generations_keep(&v->kept, &g, v->load, conf->generations + 1, err);
    rki_failpoint("reload.kept");
    if (!ok)
        snprintf(r->text, sizeof r->text, "it is not kept for a rollback: %s", err);
}

// What a rollback goes to.
static bool find_kept(rki_reloader *v, const struct ask *a, uint32_t runs, rki_generation *to, rki_reload_result *r)
{
    char err[RKP_FILE_ERR] = "";
    if (!v->kept.path) {
        snprintf(r->text, sizeof r->text, "nothing is kept: this run has no folder for it");
        return false;
    }
    if (a->generation) {
        if (v->first.s && a->generation == v->first.number) { // a batch job's
            *to = (rki_generation){ v->first.number, v->first.us, rki_snapshot_copy(&v->first.s->s) };
            if (!to->s)
                snprintf(r->text, sizeof r->text, "out of memory");
            return to->s != NULL;
        }
        if (rki_generations_read(&v->kept, a->generation, to, err))
            return true;
        snprintf(r->text, sizeof r->text, "%s", err);
        return false;
    }
    for (uint64_t n = rki_generations_before(&v->kept, runs); n; n = rki_generations_before(&v->kept, n)) {
        if (!rki_generations_read(&v->kept, n, to, err)) {
            snprintf(r->text, sizeof r->text, "%s", err);
            return false;
        }
        if (rki_sources_hash(&to->s->s) != v->running)
            return true;
        rki_snapshot_free(to->s);
        to->s = NULL;
    }
    snprintf(r->text, sizeof r->text, "no earlier generation that is kept differs from what runs");
    return false;
}

rki_snapshot *rki_reloader_texts(rki_reloader *v)
{
    rki_snapshot *s;
    look_on(v);
    s = rki_snapshot_copy(&v->current->s);
    give_turn(v);
    return s;
}

static const char *file_of(const rki_snapshot *s)
{
    return s && s->s.first ? s->s.first->name : "";
}

int rki_generations_json(void *reloader, rki_buf *out)
{
    rki_reloader *v = reloader;
    rki_reload_result r = { 0 };
    rki_json j;
    look_on(v);
    rki_run_generation(v->run, &r);
    rki_json_init(&j, out, 0);
    rki_json_object(&j);
    rki_json_put_u64(&j, "generation", r.generation);
    rki_json_put_z(&j, "file", file_of(v->current));
    rki_json_key(&j, "generations");
    rki_json_array(&j);
    for (uint64_t n = rki_generations_before(&v->kept, UINT64_MAX); n; n = rki_generations_before(&v->kept, n)) {
        rki_generation g;
        char err[RKP_FILE_ERR] = "", at[64];
        bool ok = rki_generations_read(&v->kept, n, &g, err);
        uint64_t files = 0;
        rki_json_object(&j);
        rki_json_put_u64(&j, "generation", n);
        if (ok) {
            for (const rki_source *s = g.s->s.first; s; s = s->next)
                files++;
            rki_json_put_str(&j, "applied", (rkp_str){ at, rkp_print_timestamp(at, g.us) });
            rki_json_put_z(&j, "file", g.s->s.first->name);
            rki_json_put_u64(&j, "files", files);
            rki_json_put_bool(&j, "same", rki_sources_hash(&g.s->s) == v->running);
            rki_snapshot_free(g.s);
        } else {
            rki_json_put_z(&j, "error", err);
        }
        rki_json_end_object(&j);
    }
    rki_json_end_array(&j);
    rki_json_end_object(&j);
    give_turn(v);
    return 200;
}

static void texts_json(rki_json *j, const rki_snapshot *s)
{
    rki_json_key(j, "files");
    rki_json_array(j);
    for (const rki_source *o = s->s.first; o; o = o->next) {
        rki_json_object(j);
        rki_json_put_z(j, "name", o->name);
        rki_json_put_str(j, "text", o->text);
        rki_json_end_object(j);
    }
    rki_json_end_array(j);
}

// null: nobody looks at the file.
static void watch_json(rki_reloader *v, rki_json *j)
{
    bool watching;
    uint64_t looks, settled;
    pthread_mutex_lock(&v->lock);
    watching = v->watching && v->begun;
    looks = v->n_looks;
    settled = v->n_settled;
    pthread_mutex_unlock(&v->lock);
    rki_json_key(j, "watch");
    if (!watching) {
        rki_json_null(j);
        return;
    }
    rki_json_object(j);
    rki_json_put_u64(j, "looks", looks);
    rki_json_put_u64(j, "settled", settled);
    rki_json_end_object(j);
}

int rki_config_json(void *reloader, rki_buf *out)
{
    rki_reloader *v = reloader;
    rki_reload_result r = { 0 };
    rki_json j;
    char at[64];
    look_on(v);
    rki_run_generation(v->run, &r);
    rki_json_init(&j, out, 0);
    rki_json_object(&j);
    rki_json_put_u64(&j, "generation", r.generation);
    texts_json(&j, v->current);
    rki_json_key(&j, "rejected");
    if (v->rejected.s) {
        rki_json_object(&j);
        rki_json_put_str(&j, "at", (rkp_str){ at, rkp_print_timestamp(at, v->rejected.us) });
        if (v->rejected.message)
            rki_json_put_z(&j, "message", v->rejected.message);
        rki_json_key(&j, "findings");
        rki_json_raw(&j, rkp_str_of(v->rejected.findings ? v->rejected.findings : "[]"));
        texts_json(&j, v->rejected.s);
        rki_json_end_object(&j);
    } else {
        rki_json_null(&j);
    }
    watch_json(v, &j);
    rki_json_end_object(&j);
    give_turn(v);
    return 200;
}

// ---- one request

// What happens to alerts and to who is told of them, beside what happens to kernels.
static void add_alerts(rki_reload_result *r, const rki_buf *more)
{
    if (!r->diff.n || r->diff.p[r->diff.n - 1] != '}' || more->failed || more->n < 3)
        return;
    r->diff.n--;
    rki_putc(&r->diff, ',');
    rki_put(&r->diff, more->p + 1, more->n - 1);
}

static void compare_alerts(const rki_reloader *v, const rki_spec *s, rki_buf *out)
{
    rki_json j;
    rki_json_init(&j, out, 0);
    rki_json_object(&j);
    if (!rki_alerting_diff(v->alerting, s, &j))
        out->failed = true;
    rki_json_end_object(&j);
}

// Findings as text go to `say`, when it is there.
static void load_and_apply(rki_reloader *v, const struct ask *a, const char *file, const rki_snapshot *texts,
                           rkp_diags *d, rki_reload_result *r)
{
    rki_loaded *l = calloc(1, sizeof *l);
    rki_snapshot *s = NULL;
    rki_reload_conf conf = { 0 };
    rki_alert_change *alerts = NULL;
    rki_buf more;
    int code;
    rki_buf_init(&more);
    if (!l) {
        snprintf(r->text, sizeof r->text, "out of memory");
        return;
    }
    l->diags = d;
    l->sources = texts ? &texts->s : NULL;
    l->texts = &s;
    code = fails("reload.parse", r->text, sizeof r->text)
               ? RKI_EXIT_FAILED
               : rki_cli_load_spec(v->cli, file, v->load, v->backend, false, l);
    if (code == 0)
        code = fails("reload.check", r->text, sizeof r->text) ? RKI_EXIT_FAILED : rki_cli_plan(RKI_LOAD_CHECK, l);
    if (code == 0 && !l->plan->known)
        snprintf(r->text, sizeof r->text, "an input is missing, so its columns are not known");
    l->diags = NULL; // the caller's: it speaks of what may be gone
    rki_logger_hide(v->log, d);
    if (!code && l->plan->known)
        compare_alerts(v, l->spec, &more); // before anything of it is another's
    if (code || !l->plan->known) {
        drop_loaded(l);
    } else if (a->dry) {
        rki_run_compare(v->run, l->plan, d, r);
        drop_loaded(l);
    } else if (!(alerts = rki_alerting_prepare(v->alerting, l->spec, r->text, sizeof r->text))) {
        drop_loaded(l);
    } else {
        conf = l->spec->reload;
        rki_run_reload(v->run, l->plan, drop_loaded, l, d, r);
    }
    add_alerts(r, &more);
    rki_buf_fini(&more);
    if (alerts && r->outcome == RKI_RELOAD_APPLIED)
        rki_alerting_replace(v->alerting, alerts);
    else
        rki_alert_change_free(alerts);
    if (a->dry || r->outcome == RKI_RELOAD_TIMED_OUT || r->outcome == RKI_RELOAD_SUPERSEDED)
        rki_snapshot_free(s);
    else if (r->outcome == RKI_RELOAD_APPLIED)
        keep(v, s, &conf, r);
    else
        keep_rejected(v, s, d, r);
}

// To those who subscribe to $reload.
static void publish(const rki_reloader *v, const struct ask *a, const rki_reload_result *r, rkp_diags *d,
                    uint64_t back_to)
{
    rki_buf b;
    rki_json j;
    rki_buf_init(&b);
    rki_json_init(&j, &b, 0);
    answer(&j, r, d, back_to, false);
    rki_run_tell_reload(v->run,
                        &(rki_reload_message){ .outcome = rki_reload_outcomes[r->outcome],
                                               .generation = r->generation,
                                               .by = rkp_str_of(a->by),
                                               .message = rkp_str_of(r->text),
                                               .answer = b.failed || !b.n ? RKP_STR("null") : (rkp_str){ b.p, b.n },
                                               .us = wall_us() });
    rki_buf_fini(&b);
}

static rki_reload_result reload(rki_reloader *v, const struct ask *a, rki_json *j, bool say)
{
    rki_reload_result r = { .outcome = RKI_RELOAD_REJECTED };
    rkp_diags *d = rki_diags_new();
    rki_generation to = { 0 };
    const char *file = *a->file ? a->file : v->file;
    rki_buf_init(&r.diff);
    rki_buf_init(&r.pauses);
    rki_buf_init(&r.edges);
    if (a->dry) {
        look_on(v);
    } else if (!take_turn(v)) {
        r.outcome = RKI_RELOAD_SUPERSEDED;
        snprintf(r.text, sizeof r.text, "a newer reload takes its place");
    }
    rki_run_generation(v->run, &r);
    if (r.outcome == RKI_RELOAD_REJECTED) {
        if (!a->dry)
            rki_notify_reloading(v->notify);
        if (!d)
            snprintf(r.text, sizeof r.text, "out of memory");
        else if (!a->rollback && !a->texts && strcmp(file, "-") == 0)
            snprintf(r.text, sizeof r.text, "the pipeline came from standard input: name a file");
        else if (!a->rollback)
            load_and_apply(v, a, file, a->texts, d, &r);
        else if (find_kept(v, a, r.generation, &to, &r))
            load_and_apply(v, a, to.s->s.first->name, to.s, d, &r);
        if (!a->dry)
            rki_notify_reloaded(v->notify, &r);
        give_turn(v);
    }
    if (!a->dry)
        rki_run_count_reload(v->run, &r);
    if (!a->dry && d)
        publish(v, a, &r, d, to.number);
    rki_snapshot_free(to.s);
    if (j && d)
        answer(j, &r, d, to.number, a->dry);
    if (say && d && (r.outcome != RKI_RELOAD_APPLIED || !v->quiet))
        rki_logger_findings(v->log, v->cli, d);
    rki_diags_free(d);
    return r;
}

// One line of the log: "reload applied (SIGHUP): generation 3; replace: price".
static void tell(const rki_reloader *v, const struct ask *a, const rki_reload_result *r)
{
    static const char *const lists[] = { "replace", "retune", "add", "remove" };
    const char *what = a->rollback ? "rollback" : "reload";
    rki_arena mem;
    rki_buf b;
    const rki_json_node *diff;
    if (v->quiet && (r->outcome == RKI_RELOAD_APPLIED || a->asked))
        return;
    rki_arena_init(&mem);
    rki_buf_init(&b);
    diff =
        r->outcome == RKI_RELOAD_APPLIED && r->diff.n ? rki_json_read(&mem, (rkp_str){ r->diff.p, r->diff.n }) : NULL;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        const rki_json_node *list = rki_json_get(diff, lists[i]);
        for (const rki_json_node *n = list ? list->child : NULL; n; n = n->next) {
            rkp_str name = rki_json_text(n, "");
            rki_putf(&b, n == list->child ? "; %s: " : ", ", lists[i]);
            rki_put(&b, name.p, name.n);
        }
    }
    rki_reload_alerts(diff, "; ", "", &b);
    if (r->text[0] && r->outcome == RKI_RELOAD_APPLIED)
        rki_putf(&b, "; %s", r->text);
    if (r->outcome == RKI_RELOAD_APPLIED)
        rki_logger_say(v->log, "%s applied (%s): generation %u%.*s", what, a->by, r->generation, (int)b.n,
                       b.n ? b.p : "");
    else
        rki_logger_say(v->log, "error: %s %s (%s)%s%s; generation %u runs on", what, rki_reload_outcomes[r->outcome],
                       a->by, r->text[0] ? ": " : "", r->text, r->generation);
    rki_buf_fini(&b);
    rki_arena_fini(&mem);
}

static int ask(rki_reloader *v, struct ask *a, rki_buf *out)
{
    rki_json j;
    rki_reload_result r;
    a->by = "asked for";
    a->asked = true;
    rki_json_init(&j, out, 0);
    r = reload(v, a, &j, false);
    if (!a->dry)
        tell(v, a, &r);
    if (out->n == 0)
        rki_putf(out, "{\"outcome\":\"%s\",\"message\":\"out of memory\"}", rki_reload_outcomes[r.outcome]);
    rki_buf_fini(&r.diff);
    rki_buf_fini(&r.pauses);
    rki_buf_fini(&r.edges);
    return r.outcome == RKI_RELOAD_APPLIED ? 200 : r.outcome == RKI_RELOAD_REJECTED ? 422 : 409;
}

int rki_reload_file(void *reloader, const char *file, bool dry, rki_buf *out)
{
    return ask(reloader, &(struct ask){ .file = file, .dry = dry }, out);
}

int rki_rollback(void *reloader, uint64_t generation, bool dry, rki_buf *out)
{
    return ask(reloader, &(struct ask){ .file = "", .rollback = true, .generation = generation, .dry = dry }, out);
}

// ---- SIGHUP, and files that change ----------------------------------------------------------------------------------

enum { TICK_MOST_MS = 250, TICK_LEAST_MS = 10 };

static rki_reloader *hangs_up; // atomic: whom the handler tells

static void on_hangup(int sig)
{
    rki_reloader *v = __atomic_load_n(&hangs_up, __ATOMIC_SEQ_CST);
    int saved = errno;
    (void)sig;
    if (v) {
        __atomic_store_n(&v->hangup, true, __ATOMIC_SEQ_CST);
        sem_post(&v->wake);
    }
    errno = saved;
}

static void reload_and_say(rki_reloader *v, const char *by, const rki_snapshot *texts)
{
    const struct ask a = { .file = "", .texts = texts, .by = by };
    rki_reload_result r = reload(v, &a, NULL, true);
    tell(v, &a, &r);
    rki_buf_fini(&r.diff);
    rki_buf_fini(&r.pauses);
    rki_buf_fini(&r.edges);
}

static bool runs(rki_reloader *v, const rki_snapshot *texts)
{
    bool same;
    look_on(v);
    same = v->running == rki_sources_hash(&texts->s);
    give_turn(v);
    return same;
}

static void look(rki_reloader *v, uint64_t debounce_ns)
{
    rki_reload_result r = { 0 };
    rki_snapshot *texts = NULL;
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    switch (rki_watch_look(&v->looks, (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec, debounce_ns, &texts)) {
    case RKI_WATCH_NOTHING:
        break;
    case RKI_WATCH_CHANGED:
        if (!runs(v, texts)) // it was reloaded by somebody, or has changed back
            reload_and_say(v, "the file has changed", texts);
        break;
    case RKI_WATCH_GONE:
        rki_run_generation(v->run, &r);
        rki_logger_say(v->log, "error: '%s' cannot be read any more; generation %u runs on", v->file, r.generation);
        break;
    }
    rki_snapshot_free(texts);
    pthread_mutex_lock(&v->lock);
    v->n_looks++;
    v->n_settled = v->looks.n_settled;
    pthread_mutex_unlock(&v->lock);
}

// Waits until it is woken; where it watches, for a moment.  The debounce, or 0: it does not watch.
static uint64_t wait_a_moment(rki_reloader *v)
{
    uint64_t debounce, ms;
    struct timespec t;
    bool watching;
    pthread_mutex_lock(&v->lock);
    watching = v->watching;
    debounce = v->debounce_ns ? v->debounce_ns : 1;
    pthread_mutex_unlock(&v->lock);
    if (!watching) {
        while (sem_wait(&v->wake) != 0)
            ;
        return 0;
    }
    ms = debounce / 4000000u;
    ms = ms < TICK_LEAST_MS ? TICK_LEAST_MS : ms > TICK_MOST_MS ? TICK_MOST_MS : ms;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += (long)ms * 1000000;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    while (sem_clockwait(&v->wake, CLOCK_MONOTONIC, &t) != 0 && errno == EINTR)
        ;
    return debounce;
}

static void *reloader_main(void *arg)
{
    rki_reloader *v = arg;
    for (;;) {
        uint64_t debounce = wait_a_moment(v);
        if (__atomic_load_n(&v->ends, __ATOMIC_ACQUIRE))
            return NULL;
        // Several at once are one: the file as it is now.
        if (__atomic_exchange_n(&v->hangup, false, __ATOMIC_SEQ_CST))
            reload_and_say(v, "SIGHUP", NULL);
        if (debounce)
            look(v, debounce);
    }
}

void rki_reloader_begin(rki_reloader *v)
{
    struct sigaction on = { .sa_handler = on_hangup, .sa_flags = SA_RESTART }, old;
    sigset_t all, before;
    if (strcmp(v->file, "-") == 0)
        return;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    v->begun = pthread_create(&v->thread, NULL, reloader_main, v) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!v->begun)
        return;
    sigemptyset(&on.sa_mask);
    __atomic_store_n(&hangs_up, v, __ATOMIC_SEQ_CST);
    if (sigaction(SIGHUP, NULL, &old) == 0 && old.sa_handler == SIG_IGN)
        return; // nohup: it shall not hear of it
    sigaction(SIGHUP, &on, NULL);
}

void rki_reloader_end(rki_reloader *v)
{
    struct sigaction now;
    if (!v->begun)
        return;
    // From here on it changes nothing, as before; the process is about to end.
    if (sigaction(SIGHUP, NULL, &now) == 0 && now.sa_handler == on_hangup)
        signal(SIGHUP, SIG_IGN);
    __atomic_store_n(&hangs_up, NULL, __ATOMIC_SEQ_CST);
    __atomic_store_n(&v->ends, true, __ATOMIC_RELEASE);
    sem_post(&v->wake);
    pthread_join(v->thread, NULL);
    v->begun = false;
}
