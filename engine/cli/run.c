// cli/run.c - `rkpipe run`: load, plan, run, report.
//
// Signals are the one thing that a process has once: the handler finds the run in a variable of this file, counts, and
// remembers which signal it was for the exit code.  Stopping is the run's business; but a thread that waits in the
// kernel (a write to a pipe that nobody reads) cannot be told to stop, so an alarm ends the process when the time to
// stop is long over.
#include "cli/alerting.h"
#include "cli/exporting.h"
#include "cli/job.h"
#include "cli/log.h"
#include "cli/notify.h"
#include "cli/progress.h"
#include "cli/reload.h"
#include "cli/remote.h"
#include "cli/serve.h"
#include "cli/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const backend_names[] = { "auto", "cpu", "cuda", NULL };
const char *const rki_job_progress[] = { "auto", "bar", "json", "none", NULL };
const char *const rki_job_summary[] = { "text", "json", "none", NULL };
enum { PROGRESS_AUTO, PROGRESS_BAR, PROGRESS_JSON, PROGRESS_NONE };
enum { SUMMARY_TEXT, SUMMARY_JSON, SUMMARY_NONE };

struct run_args {
    rki_load_args load;
    const char *backend;
    rki_job_args job;
    bool watch;
};

static const rki_arg run_rows[] = {
    RKI_ARGS_LOAD,
    { .kind = RKI_ARG_TEXT,
      .name = "backend",
      .value = "auto|cpu|cuda",
      .at = offsetof(struct run_args, backend),
      .choices = backend_names,
      .words = RKI_WORDS_CHOICE,
      .help = "where kernels run; without it the file decides" },
    RKI_ARGS_JOB(run_args, job),
    { .kind = RKI_ARG_FLAG,
      .name = "migrate",
      .at = offsetof(struct run_args, job) + offsetof(rki_job_args, migrate),
      .help = "go on from the checkpoint of an earlier form of the pipeline, where it fits" },
    { .kind = RKI_ARG_FLAG,
      .name = "fresh",
      .at = offsetof(struct run_args, job) + offsetof(rki_job_args, fresh),
      .help = "begin anew: forget the checkpoint that an earlier run has left" },
    { .kind = RKI_ARG_FLAG,
      .name = "watch",
      .at = offsetof(struct run_args, watch),
      .help = "reload the pipeline when its file changes, or one that it includes" },
    { 0 },
};

// ---- signals --------------------------------------------------------------------------------------------------------

static rki_run *current;    // atomic: the run that signals go to
static int last_signal;     // atomic
static int announce_signal; // atomic: say what the first signal does
static unsigned n_signals;  // atomic
static unsigned grace;      // seconds, set before the handlers
static bool json_log;       // set before the handlers: who reads standard error expects JSON

enum { STOP_NOW = 2, STOP_LATE = 5 }; // seconds to stop after the second signal, and after the grace of the first

static void on_alarm(int sig)
{
#define STUCK "something that it waits for does not let it stop"
    static const char text[] = "rkpipe: error: " STUCK "\n",
                      json[] = "{\"level\":\"error\",\"message\":\"" STUCK "\"}\n";
    ssize_t n = json_log ? write(STDERR_FILENO, json, sizeof json - 1) : write(STDERR_FILENO, text, sizeof text - 1);
    (void)n;
    (void)sig;
    _exit(__atomic_load_n(&n_signals, __ATOMIC_SEQ_CST) > 1 ? 128 + __atomic_load_n(&last_signal, __ATOMIC_SEQ_CST)
                                                            : RKI_EXIT_INTERRUPTED);
}

static void on_signal(int sig)
{
    static const char text[] = "\nrkpipe: stopping; once more to stop at once\n";
    rki_run *r = __atomic_load_n(&current, __ATOMIC_SEQ_CST);
    int saved = errno;
    __atomic_store_n(&last_signal, sig, __ATOMIC_SEQ_CST);
    if (__atomic_exchange_n(&announce_signal, 0, __ATOMIC_SEQ_CST)) {
        ssize_t n = write(STDERR_FILENO, text, sizeof text - 1);
        (void)n;
    }
    alarm(__atomic_fetch_add(&n_signals, 1, __ATOMIC_SEQ_CST) ? STOP_NOW : grace + STOP_LATE);
    if (r)
        rki_run_signal(r);
    errno = saved;
}

static void catch_signals(rki_run *r, const rki_spec *s, bool quiet, bool json)
{
    struct sigaction on = { .sa_handler = on_signal, .sa_flags = SA_RESTART }, late = { .sa_handler = on_alarm };
    uint64_t seconds = s->engine.grace_ns / 1000000000u;
    grace = seconds < 86400 ? (unsigned)seconds + 1 : 86400;
    json_log = json;
    sigemptyset(&on.sa_mask);
    sigaddset(&on.sa_mask, SIGINT);
    sigaddset(&on.sa_mask, SIGTERM);
    sigemptyset(&late.sa_mask);
    __atomic_store_n(&last_signal, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&n_signals, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&announce_signal, !quiet && !json, __ATOMIC_SEQ_CST);
    __atomic_store_n(&current, r, __ATOMIC_SEQ_CST);
    sigaction(SIGALRM, &late, NULL);
    sigaction(SIGINT, &on, NULL);
    sigaction(SIGTERM, &on, NULL);
}

static void release_signals(void)
{
    struct sigaction off = { .sa_handler = SIG_DFL };
    sigemptyset(&off.sa_mask);
    sigaction(SIGINT, &off, NULL);
    sigaction(SIGTERM, &off, NULL);
    alarm(0);
    sigaction(SIGALRM, &off, NULL);
    __atomic_store_n(&current, NULL, __ATOMIC_SEQ_CST);
}

// ---- parts ----------------------------------------------------------------------------------------------------------

static const rkp_backend *pick_backend(const rki_cli *c, const rki_spec *s)
{
    static const char *const names[] = {
        [RKI_BACKEND_AUTO] = "cpu", [RKI_BACKEND_CPU] = "cpu", [RKI_BACKEND_CUDA] = "cuda"
    };
    const char *name = names[s->engine.backend];
    const rkp_backend *b = rki_find_backend(c, name);
    if (!b)
        rki_cli_say("error: backend '%s' is not supported yet", name);
    return b;
}

// A sink that prints, on the terminal on which the bar would stand.
static bool prints(const rki_plan *p)
{
    if (!isatty(STDOUT_FILENO))
        return false;
    for (uint32_t i = 0; i < p->n_kernels; i++) {
        const rki_kernel *k = p->kernels[i].k;
        const rkp_node *path = k->with ? rki_node_get(k->with, "path") : NULL;
        if (k->op->kind != RKP_SINK)
            continue;
        if (strcmp(k->op->name, "write.stdout") == 0 || (path && rkp_str_is(path->text, "-")))
            return true;
    }
    return false;
}

static void choose_progress(const rki_cli *c, const rki_job_args *a, const rki_plan *p, rki_bar *bar, rki_run_args *to)
{
    const char *term = rki_cli_env(c, "TERM"), *columns = rki_cli_env(c, "COLUMNS");
    bool terminal = isatty(STDERR_FILENO) && term && *term && strcmp(term, "dumb") != 0;
    int how = a->progress;
    if (how == PROGRESS_AUTO)
        how = terminal && !a->quiet && !prints(p) ? PROGRESS_BAR : PROGRESS_NONE;
    else if (how == PROGRESS_BAR && !terminal) {
        rki_cli_say("standard error is no terminal, so there is no progress bar");
        how = PROGRESS_NONE;
    }
    to->progress_arg = bar;
    if (how == PROGRESS_BAR) {
        bar->width = columns ? (int)strtol(columns, NULL, 10) : 0;
        to->progress = rki_progress_bar;
        to->progress_ns = 200000000u;
    } else if (how == PROGRESS_JSON) {
        to->progress = rki_progress_lines;
        to->progress_ns = 1000000000u;
    }
}

// Whole or not at all: a temporary name beside it, then its own.
static bool write_file(const char *path, const rki_buf *b)
{
    rki_buf name;
    char *tmp;
    size_t at = 0;
    int fd, err = 0;
    rki_buf_init(&name);
    rki_putf(&name, "%s.tmp-%ld", path, (long)getpid());
    tmp = rki_buf_take(&name, NULL);
    if (!tmp || b->failed) {
        free(tmp);
        rki_cli_nomem();
        return false;
    }
    fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        err = errno;
    while (!err && at < b->n) {
        ssize_t n = write(fd, b->p + at, b->n - at);
        if (n < 0 && errno != EINTR)
            err = errno;
        else if (n > 0)
            at += (size_t)n;
    }
    if (fd >= 0 && close(fd) != 0 && !err)
        err = errno;
    if (!err && rename(tmp, path) != 0)
        err = errno;
    if (err) {
        rki_cli_say("error: cannot write the summary '%s': %s", path, strerror(err));
        if (fd >= 0)
            unlink(tmp);
    }
    free(tmp);
    return !err;
}

static int report(const rki_job_args *a, rki_logger *log, const rki_spec *s, const rki_run *r, int code)
{
    rki_buf b;
    rki_buf_init(&b);
    if (rki_run_failure(r)[0])
        rki_logger_say(log, "%s%s",
                       code == RKI_EXIT_OK ? "" : "error: ", rki_run_failure(r)); // a stream may end by a signal
    else if (code != RKI_EXIT_OK)
        rki_logger_say(log, "error: the run did not succeed");
    if (!a->quiet && a->summary != SUMMARY_NONE && rki_logger_owns_stderr(log)) {
        rki_run_summary_json(r, code, &b);
        rki_logger_summary(log, &b);
    } else if (!a->quiet && a->summary != SUMMARY_NONE) {
        if (a->summary == SUMMARY_JSON)
            rki_run_summary_json(r, code, &b);
        else
            rki_run_summary_text(r, &b);
        rki_secrets_mask(log->secrets, RKI_MASK_TEXT, &b);
        rki_cli_err(&b);
    }
    if (s->run.summary.p) {
        rki_buf_fini(&b);
        rki_run_summary_json(r, code, &b);
        if (!write_file(s->run.summary.p, &b) && code == RKI_EXIT_OK)
            code = RKI_EXIT_FAILED;
    }
    rki_buf_fini(&b);
    return code;
}

// Does the folder have checkpoints, or may it have some?  A run without them would do again what has been done.
static bool may_have_checkpoints(const rki_spec *s, const char *path)
{
    char name[40];
    rki_buf b;
    bool may;
    rki_spec_checkpoints(s, name);
    rki_buf_init(&b);
    rki_putf(&b, "%s/%s", path, name);
    rki_putc(&b, 0);
    may = b.failed || access(b.p, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR);
    rki_buf_fini(&b);
    return may;
}

// The folder that this run has to itself.  0, or the exit code: a batch job goes on where no folder can be made.
static int take_folder(const struct run_args *a, const rki_loaded *l, const char *path, rki_data_dir *dir)
{
    const rki_spec *s = l->spec;
    char err[400] = "";
    switch (rki_data_dir_open(path, s->engine.data_dir.p ? 0 : 2, dir, err, sizeof err)) {
    case RKI_DIR_LOCKED:
        return 0;
    case RKI_DIR_BUSY:
        rki_cli_say("error: %s", err);
        rki_cli_hint("wait for it, or give this run a folder of its own: --set engine.data_dir=%s-2", path);
        return RKI_EXIT_UNAVAILABLE;
    case RKI_DIR_NONE:
        break;
    }
    if (l->plan->stream || may_have_checkpoints(s, path)) {
        rki_cli_say("error: %s", err);
        return RKI_EXIT_UNAVAILABLE;
    }
    if (s->engine.delivery > RKI_DELIVERY_AT_MOST_ONCE) {
        rki_cli_say("error: engine.delivery needs a folder for checkpoints: %s", err);
        return RKI_EXIT_UNAVAILABLE;
    }
    if (!a->job.quiet && s->admin.listen.kind == RKI_LISTEN_DEFAULT)
        rki_cli_say("note: %s, so commands cannot reach this run", err);
    return 0;
}

static int begin_alerts(rki_alerting *x, const rki_loaded *l, const char *path, const rki_data_dir *dir, rki_run *r,
                        rki_logger *log, const char *const *env)
{
    const rki_alerting_args args = { .spec = l->spec,
                                     .run = r,
                                     .folder = dir->fd >= 0 ? path : NULL,
                                     .env = env,
                                     .log = rki_logger_alert,
                                     .log_arg = log };
    return rki_alerting_begin(x, &args);
}

// Those who look at the metrics besides the admin socket.
typedef struct watchers {
    rki_alerting alerting;
    rki_exporting exporting;
} watchers;

static void watchers_metrics(void *arg, rki_emit emit, void *emit_arg)
{
    const watchers *w = arg;
    rki_alerting_metrics(arg, emit, emit_arg);
    if (w->exporting.otlp)
        rki_otlp_metrics(w->exporting.otlp, emit, emit_arg);
}

static bool open_log(rki_cli *c, const rki_job_args *a, const rki_loaded *l, rki_logger *log)
{
    char err[400];
    if (!rki_logger_open(log, &l->spec->telemetry.logs, err, sizeof err)) {
        rki_cli_say("error: %s", err);
        return false;
    }
    log->quiet = a->quiet;
    rki_logger_hide(log, l->diags);
    if (!a->quiet && rki_logger_owns_stderr(log))
        rki_logger_findings(log, c, l->diags);
    return true;
}

int rki_job_run(rki_cli *c, const rki_job_args *a, const rki_loaded *l, const char *path, rki_data_dir *dir,
                rki_replay *replay, rki_reloader *reloader)
{
    rki_logger log;
    rki_bar bar = { 0 };
    rki_run_args ra = { .data_dir = path,
                        .keeps = dir->fd >= 0,
                        .fresh = a->fresh,
                        .migrate = a->migrate,
                        .quiet = a->quiet,
                        .replay = replay,
                        .version = RKI_VERSION };
    rki_run *r = NULL;
    rki_servers servers = { 0 };
    watchers w = { 0 };
    char err[1024] = "";
    rkp_status st;
    int code = 0, sig;
    rki_notify notify = { .fd = -1 };
    char modules[4096];
    if (rki_machine_modules(modules, sizeof modules))
        ra.lib_dir = modules;
    ra.backend = pick_backend(c, l->spec);
    if (!ra.backend)
        return RKI_EXIT_UNAVAILABLE;
    if (!open_log(c, a, l, &log))
        return RKI_EXIT_UNAVAILABLE;
    if (!rki_notify_begin(&notify, c, &log, l->spec->engine.grace_ns)) {
        code = rki_cli_nomem();
        goto out;
    }
    ra.env = notify.env;
    ra.beat = notify.fd >= 0 ? rki_notify_beat : NULL;
    ra.beat_arg = &notify;
    choose_progress(c, a, l->plan, &bar, &ra);
    log.bar = ra.progress == rki_progress_bar;
    ra.log = rki_logger_lines;
    ra.log_rows = rki_logger_rows;
    ra.log_arg = &log;
    ra.notified = watchers_metrics;
    ra.notified_arg = &w;
    ra.approve = rki_alerting_approve;
    ra.approve_arg = &w.alerting;
    if (!replay && !rki_exporting_prepare(&w.exporting, &l->spec->telemetry.otlp, &ra)) {
        code = rki_cli_nomem();
        goto out;
    }
    st = rki_run_new(l->plan, &ra, &r, err, sizeof err);
    if (st != RKP_OK) {
        rki_logger_say(&log, "error: %s", err[0] ? err : rki_status_text(st));
        code = rki_status_exit(st);
        goto out;
    }
    if (reloader) {
        reloader->log = &log;
        if (!rki_reloader_init(reloader, l, dir->fd >= 0 ? path : NULL)) {
            code = rki_cli_nomem();
            goto out;
        }
    }
    notify.run = r;
    if (reloader) {
        reloader->run = r;
        reloader->notify = &notify;
        reloader->data_dir = dir->fd >= 0 ? path : NULL;
    }
    if (!replay)
        code = begin_alerts(&w.alerting, l, path, dir, r, &log, notify.env);
    if (reloader)
        reloader->alerting = &w.alerting;
    if (!replay && code == 0 &&
        !rki_exporting_begin(&w.exporting, l->spec, r, rki_logger_alert, &log, err, sizeof err)) {
        rki_logger_say(&log, "error: %s", err);
        code = RKI_EXIT_UNAVAILABLE;
    }
    if (!replay && code == 0)
        code = rki_serve(l->plan, path, dir->fd >= 0, &log, r, reloader, &w.alerting, &servers);
    if (code) {
        rki_alerting_free(&w.alerting);
        if (reloader)
            rki_reloader_fini(reloader);
        goto out;
    }
    catch_signals(r, l->spec, a->quiet, rki_logger_owns_stderr(&log));
    if (reloader)
        rki_reloader_begin(reloader);
    if (!rki_alerting_start(&w.alerting))
        rki_logger_say(&log, "warning: alerts are not evaluated: no thread can be made");
    if (!rki_exporting_start(&w.exporting))
        rki_logger_say(&log, "warning: telemetry.otlp: nobody is told: no thread can be made");
    code = rki_run_execute(r);
    if (reloader)
        rki_reloader_end(reloader);
    rki_alerting_end(&w.alerting);
    rki_exporting_end(&w.exporting);
    rki_servers_stop(&servers);
    release_signals();
    sig = __atomic_load_n(&last_signal, __ATOMIC_SEQ_CST);
    if (code == RKI_EXIT_SIGNAL && sig)
        code = 128 + sig;
    code = report(a, &log, l->spec, r, code);
    if (reloader)
        rki_reloader_fini(reloader);
    rki_notify_end(&notify, code);
    rki_data_dir_close(dir);
    rki_servers_free(&servers, code); // who waits for the end may start the next run
    rki_alerting_free(&w.alerting);
    if (rki_run_stuck(r))
        _exit(code); // a thread hangs in the system and may still use what would be freed
out:
    rki_exporting_free(&w.exporting);
    if (r)
        rki_run_free(r);
    rki_notify_free(&notify);
    rki_logger_close(&log);
    return code;
}

void rki_job_signals(void)
{
    signal(SIGPIPE, SIG_IGN); // a reader that has gone is a failed write, with its message
    signal(SIGCHLD, SIG_DFL); // ignored, as some parents leave it, it would hide how commands ended
}

static int execute(rki_cli *c, const struct run_args *a, const char *file, const rki_loaded *l)
{
    rki_data_dir dir = { .fd = -1 };
    char *path = rki_cli_data_dir(l->spec);
    rki_reloader reloader = {
        .cli = c, .load = &a->load, .file = file, .backend = a->backend, .watch = a->watch, .quiet = a->job.quiet
    };
    int code;
    if (!path)
        return rki_cli_nomem();
    code = take_folder(a, l, path, &dir);
    if (code == 0)
        code = rki_job_run(c, &a->job, l, path, &dir, NULL, &reloader);
    rki_data_dir_close(&dir);
    free(path);
    return code;
}

// Then findings come when the log is open.
static bool json_on_stderr(const rki_spec *s)
{
    return s->telemetry.logs.format == RKI_LOG_JSON && !s->telemetry.logs.file.p;
}

static int verb_run(rki_cli *c)
{
    const struct run_args *a = c->args;
    rki_loaded l = { 0 };
    int code, known = 0;
    if (a->watch && strcmp(c->pos[0], "-") == 0)
        return rki_cli_usage(c, NULL, "--watch needs a file, and '-' is standard input");
    for (int i = 0; a->backend && backend_names[i]; i++)
        known |= strcmp(a->backend, backend_names[i]) == 0;
    if (a->backend && !known)
        return rki_cli_usage(c, "it knows auto, cpu and cuda", "--backend does not know '%s'", a->backend);
    rki_job_signals();
    code = rki_cli_load(c, c->pos[0], &a->load, a->backend, false, RKI_LOAD_RUN, &l);
    if (l.diags && (code || (!a->job.quiet && !json_on_stderr(l.spec))))
        rki_load_print(c, l.diags);
    if (code == 0 && !l.plan->known) {
        if (a->job.quiet)
            rki_load_print(c, l.diags);
        rki_cli_say("error: an input is missing, so it cannot run");
        code = RKI_EXIT_UNAVAILABLE;
    }
    if (code == 0)
        code = execute(c, a, c->pos[0], &l);
    rki_loaded_free(&l);
    return code;
}

const rki_verb rki_verb_run = {
    .name = "run",
    .summary = "Run a pipeline until its sources end",
    .pos = { "FILE", 1, 1, RKI_WORDS_YAML, NULL, "the pipeline; - is standard input" },
    .args = run_rows,
    .args_size = sizeof(struct run_args),
    .details =
        "Results go to standard output or to the files that the pipeline names, everything else to standard error. "
        "The first SIGINT (Ctrl-C) or SIGTERM stops the sources and lets what was read pass, within engine.shutdown."
        "grace; the second stops at once. Outputs with commit: rename get their names only when all went well.\n\n"
        "While it runs, engine.data_dir belongs to it, and a second run of the same folder ends with 69. There is its "
        "socket, where status, tap, suspend and the other commands for a running engine find it; admin.listen in the "
        "file names another place, or none.\n\n"
        "Exit codes: 0 done; 1 failed at run time; 64 usage; 65 too many bad rows, or run.fail_on hit; 69 a file, "
        "device or endpoint that is needed is not there; 70 the counts do not add up (our bug); 75 stopped by the "
        "first signal; 78 the pipeline is not valid; 130 and 143 stopped by a second signal.",
    .examples = "  rkpipe run job.yaml --var in=data.csv --var out=result.csv\n"
                "  rkpipe run job.yaml --set engine.threads=1 --progress json --summary json\n",
    .run = verb_run,
};
