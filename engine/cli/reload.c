// cli/reload.c - `rkpipe reload`, and what the engine does when it is asked to: by that, by the API, or by SIGHUP.
#include "cli/reload.h"

#include "base/json.h"
#include "cli/remote.h"
#include "cli/verbs.h"
#include "plan/diff.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RELOAD_REJECTED = 2, RELOAD_TIMED_OUT = 3, RELOAD_SUPERSEDED = 4 };

static const char *const outcomes[] = { [RKI_RELOAD_APPLIED] = "applied",
                                        [RKI_RELOAD_REJECTED] = "rejected",
                                        [RKI_RELOAD_TIMED_OUT] = "timed_out",
                                        [RKI_RELOAD_SUPERSEDED] = "superseded" };

// ---- the engine's side ----------------------------------------------------------------------------------------------

static void drop_loaded(void *arg)
{
    rki_loaded *l = arg;
    rki_loaded_free(l);
    free(l);
}

static void ms(rki_json *j, const char *key, uint64_t ns)
{
    uint64_t us = ns / 1000u;
    rki_json_key(j, key);
    rki_json_f64(j, (double)us / 1000.0);
}

static void answer(rki_json *j, const rki_reload_result *r, rkp_diags *d, bool dry)
{
    rki_buf found;
    rki_buf_init(&found);
    rki_json_object(j);
    rki_json_key(j, "outcome");
    rki_json_z(j, dry && r->outcome == RKI_RELOAD_APPLIED ? "would_apply" : outcomes[r->outcome]);
    rki_json_key(j, "generation");
    rki_json_u64(j, r->generation);
    if (r->diff.n) {
        rki_json_key(j, "diff");
        rki_json_raw(j, (rkp_str){ r->diff.p, r->diff.n });
    }
    if (r->text[0]) {
        rki_json_key(j, "message");
        rki_json_z(j, r->text);
    }
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
    }
    rki_json_end_object(j);
    rki_buf_fini(&found);
}

// The findings as text go to `say`, when it is there.
static rki_reload_result reload(rki_reloader *v, const char *file, bool dry, rki_json *j, rki_buf *say)
{
    rki_reload_result r = { .outcome = RKI_RELOAD_REJECTED };
    rki_loaded *l = calloc(1, sizeof *l);
    rkp_diags *d;
    int code;
    rki_buf_init(&r.diff);
    rki_buf_init(&r.pauses);
    if (!l || !(d = rki_diags_new())) {
        free(l);
        snprintf(r.text, sizeof r.text, "out of memory");
        return r;
    }
    l->diags = d;
    code = rki_cli_load(v->cli, *file ? file : v->file, v->load, v->backend, false, RKI_LOAD_CHECK, l);
    if (code == 0 && !l->plan->known)
        snprintf(r.text, sizeof r.text, "an input is missing, so its columns are not known");
    l->diags = NULL; // ours: it speaks of what may be gone
    if (code || !l->plan->known) {
        drop_loaded(l);
        rki_run_generation(v->run, &r);
    } else if (dry) {
        rki_run_compare(v->run, l->plan, d, &r);
        drop_loaded(l);
    } else {
        rki_run_reload(v->run, l->plan, drop_loaded, l, d, &r);
    }
    if (j)
        answer(j, &r, d, dry);
    if (say)
        rki_diags_text(d, say, false);
    rki_diags_free(d);
    return r;
}

int rki_reload_file(void *reloader, const char *file, bool dry, rki_buf *out)
{
    rki_json j;
    rki_reload_result r;
    rki_json_init(&j, out, 0);
    r = reload(reloader, file, dry, &j, NULL);
    if (out->n == 0)
        rki_putf(out, "{\"outcome\":\"rejected\",\"message\":\"%s\"}", "out of memory");
    rki_buf_fini(&r.diff);
    rki_buf_fini(&r.pauses);
    return r.outcome == RKI_RELOAD_APPLIED ? 200 : r.outcome == RKI_RELOAD_REJECTED ? 422 : 409;
}

// ---- SIGHUP ---------------------------------------------------------------------------------------------------------

static sem_t *hangup; // atomic: where the handler leaves it

static void on_hangup(int sig)
{
    sem_t *s = __atomic_load_n(&hangup, __ATOMIC_SEQ_CST);
    int saved = errno;
    (void)sig;
    if (s)
        sem_post(s);
    errno = saved;
}

static void *reloader_main(void *arg)
{
    rki_reloader *v = arg;
    for (;;) {
        rki_reload_result r;
        rki_buf found;
        while (sem_wait(&v->hangup) != 0)
            ;
        if (__atomic_load_n(&v->ends, __ATOMIC_ACQUIRE))
            return NULL;
        while (sem_trywait(&v->hangup) == 0) // several at once are one: the file as it is now
            if (__atomic_load_n(&v->ends, __ATOMIC_ACQUIRE))
                return NULL;
        rki_buf_init(&found);
        r = reload(v, "", false, NULL, &found);
        if (found.n && (r.outcome != RKI_RELOAD_APPLIED || !v->quiet))
            rki_cli_err(&found);
        if (r.outcome != RKI_RELOAD_APPLIED)
            rki_cli_say("error: reload %s%s%s; generation %u runs on", outcomes[r.outcome], r.text[0] ? ": " : "",
                        r.text, r.generation);
        else if (!v->quiet)
            rki_cli_say("reload applied: generation %u", r.generation);
        rki_buf_fini(&found);
        rki_buf_fini(&r.diff);
        rki_buf_fini(&r.pauses);
    }
}

void rki_reloader_begin(rki_reloader *v)
{
    struct sigaction on = { .sa_handler = on_hangup, .sa_flags = SA_RESTART }, old;
    sigset_t all, before;
    if (strcmp(v->file, "-") == 0 || sem_init(&v->hangup, 0, 0) != 0)
        return;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    v->begun = pthread_create(&v->thread, NULL, reloader_main, v) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!v->begun)
        return;
    sigemptyset(&on.sa_mask);
    __atomic_store_n(&hangup, &v->hangup, __ATOMIC_SEQ_CST);
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
    __atomic_store_n(&hangup, NULL, __ATOMIC_SEQ_CST);
    __atomic_store_n(&v->ends, true, __ATOMIC_RELEASE);
    sem_post(&v->hangup);
    pthread_join(v->thread, NULL);
    sem_destroy(&v->hangup);
    v->begun = false;
}

// ---- the command ----------------------------------------------------------------------------------------------------

struct reload_args {
    rki_remote_args remote;
    bool diff;
    int format;
};

static const char *const formats[] = { "text", "json", NULL };

static const rki_arg reload_rows[] = {
    RKI_ARGS_ADMIN,
    { .kind = RKI_ARG_FLAG,
      .name = "diff",
      .at = offsetof(struct reload_args, diff),
      .help = "only say what would change" },
    { .kind = RKI_ARG_CHOICE,
      .name = "format",
      .at = offsetof(struct reload_args, format),
      .choices = formats,
      .words = RKI_WORDS_CHOICE,
      .help = "of the answer on standard output" },
    { 0 },
};

static double number_of(const rki_json_node *n)
{
    double v = 0;
    return rki_json_float(n, &v) ? v : 0;
}

static void names(rki_buf *out, const rki_json_node *diff, const char *key)
{
    const rki_json_node *list = rki_json_get(diff, key);
    bool any = false;
    for (const rki_json_node *n = list ? list->child : NULL; n; n = n->next) {
        rki_putf(out, any ? ", " : "%s: ", key);
        rki_remote_text(out, rki_json_text(n, ""));
        any = true;
    }
    if (any)
        rki_putc(out, '\n');
}

static void findings(rki_buf *out, const rki_json_node *list)
{
    for (const rki_json_node *n = list ? list->child : NULL; n; n = n->next) {
        rki_remote_text(out, rki_json_text(rki_json_get(n, "file"), ""));
        rki_putf(out, ":%.0f:%.0f: ", number_of(rki_json_get(n, "line")), number_of(rki_json_get(n, "column")));
        rki_remote_text(out, rki_json_text(rki_json_get(n, "severity"), ""));
        rki_putz(out, ": ");
        rki_remote_text(out, rki_json_text(rki_json_get(n, "message"), ""));
        rki_putz(out, " [");
        rki_remote_text(out, rki_json_text(rki_json_get(n, "code"), ""));
        rki_putz(out, "]\n");
        if (rki_json_get(n, "hint")) {
            rki_putz(out, "      = hint: ");
            rki_remote_text(out, rki_json_text(rki_json_get(n, "hint"), ""));
            rki_putc(out, '\n');
        }
    }
}

static int outcome_of(rkp_str s)
{
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++)
        if (rkp_str_is(s, outcomes[i]))
            return (int)i;
    return rkp_str_is(s, "would_apply") ? RKI_RELOAD_APPLIED : -1;
}

static int show(const struct reload_args *a, const rki_reply *reply)
{
    static const int codes[] = { [RKI_RELOAD_APPLIED] = 0,
                                 [RKI_RELOAD_REJECTED] = RELOAD_REJECTED,
                                 [RKI_RELOAD_TIMED_OUT] = RELOAD_TIMED_OUT,
                                 [RKI_RELOAD_SUPERSEDED] = RELOAD_SUPERSEDED };
    rki_arena mem;
    rki_buf out;
    const rki_json_node *n, *diff;
    int o;
    rki_arena_init(&mem);
    rki_buf_init(&out);
    n = rki_json_read(&mem, (rkp_str){ reply->body.p, reply->body.n });
    o = outcome_of(rki_json_text(rki_json_get(n, "outcome"), ""));
    diff = rki_json_get(n, "diff");
    if (a->format == 1) {
        rki_put(&out, reply->body.p, reply->body.n);
    } else if (o >= 0) {
        rki_buf err;
        rki_buf_init(&err);
        findings(&err, rki_json_get(n, "findings"));
        rki_cli_err(&err);
        names(&out, diff, "replace");
        names(&out, diff, "retune");
        names(&out, diff, "add");
        names(&out, diff, "remove");
        if (o == RKI_RELOAD_APPLIED && !a->diff) {
            rki_putf(&out, "applied: generation %.0f", number_of(rki_json_get(n, "generation")));
            rki_putf(&out, ", kernels that were replaced stood for %.3f ms\n",
                     number_of(rki_json_get(rki_json_get(n, "milliseconds"), "pause")));
        } else if (o != RKI_RELOAD_APPLIED) {
            rkp_str why = rki_json_text(rki_json_get(n, "message"), "");
            rki_putz(&err, outcomes[o]);
            if (why.n)
                rki_putz(&err, ": ");
            rki_remote_text(&err, why);
            rki_cli_say("error: %.*s; generation %.0f runs on", (int)err.n, err.p,
                        number_of(rki_json_get(n, "generation")));
        } else if (!out.n) {
            rki_putz(&out, "nothing would change\n");
        }
        rki_buf_fini(&err);
    }
    if (o < 0)
        rki_cli_say("error: the engine's answer is not understood");
    if (!rki_cli_out(&out) && o == 0)
        o = -1;
    rki_buf_fini(&out);
    rki_arena_fini(&mem);
    return o < 0 ? RKI_EXIT_FAILED : codes[o];
}

static int verb_reload(rki_cli *c)
{
    const struct reload_args *a = c->args;
    rki_buf target;
    rki_reply reply;
    char *z;
    int code;
    rki_buf_init(&target);
    rki_putf(&target, "/v1/config:apply?dry=%d", a->diff ? 1 : 0);
    if (c->n_pos) {
        char *real = realpath(c->pos[0], NULL);
        if (!real) {
            rki_cli_say("error: cannot open '%s': %s", c->pos[0], strerror(errno));
            rki_buf_fini(&target);
            return RKI_EXIT_UNAVAILABLE;
        }
        rki_putz(&target, "&file=");
        rki_remote_escape(&target, rkp_str_of(real));
        free(real);
    }
    z = rki_buf_take(&target, NULL);
    if (!z)
        return rki_cli_nomem();
    // As long as a removed kernel may drain, and more.
    code = rki_remote_ask(c, &(rki_call){ .method = "POST", .target = z, .timeout_ms = 600000 }, &reply);
    free(z);
    if (code)
        return code;
    code = show(a, &reply);
    rki_buf_fini(&reply.body);
    return code;
}

const rki_verb rki_verb_reload = {
    .name = "reload",
    .summary = "Replace the pipeline of a running engine",
    .pos = { "FILE", 0, 1, RKI_WORDS_YAML, NULL,
             "the new pipeline; without it the file that the engine was started with" },
    .args = reload_rows,
    .args_size = sizeof(struct reload_args),
    .details =
        "The engine loads the file as it loaded its first one, with the same --var and --set, compares it with what "
        "runs, makes "
        "what is new beside it, and only then changes over, at batch boundaries. No row is lost, doubled or reordered; "
        "kernels that have not changed run on with their state. Whatever is wrong changes nothing. SIGHUP does the "
        "same "
        "with the file that the engine was started with.\n\n" RKI_REMOTE_DETAILS "\n\n"
        "Exit codes: 0 applied; 2 rejected; 3 a kernel came to no batch boundary in reload.quiesce_timeout; 4 a newer "
        "reload "
        "took its place; 1 the engine was lost sight of; 64 several engines run here; 69 none can be reached.",
    .examples = "  rkpipe reload --diff new.yaml\n  rkpipe reload new.yaml\n",
    .run = verb_reload,
};
