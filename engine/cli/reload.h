// cli/reload.h - the engine's side of a reload (reloader.c): a file, loaded as the first one was, for run/control.h.
//
//   Owns     what it keeps of the pipelines that ran: memory and, with a folder, files; what it loads belongs to the run
//   Threads  rki_reload_file, rki_rollback, rki_generations_json: any; init, begin, end, fini: the one that runs the job
//   Fails    the answer says why, with findings
//   Limits   -
//   Cost     loading and planning a file
//
// Requests are seen to one after the other, each from the reading of its file to its answer, so what is read last is what runs last.
// While one is at work, at most one waits: who comes later takes its place.
#ifndef RKI_CLI_RELOAD_H
#define RKI_CLI_RELOAD_H

#include "cli/alerting.h"
#include "cli/cli.h"
#include "cli/generations.h"
#include "cli/log.h"
#include "cli/notify.h"
#include "cli/watch.h"
#include "run/control.h"
#include <pthread.h>
#include <semaphore.h>

typedef struct rki_reloader {
    rki_cli *cli;
    const rki_load_args *load; // --var, --set: they hold for every generation
    const char *file, *backend;
    bool quiet, watch; // watch: also when the file does not ask for it
    rki_run *run;
    const rki_alerting *alerting;
    const rki_notify *notify; // who is told that it is at work
    const char *data_dir;     // of the run; NULL: it has none
    rki_logger *log;

    sem_t wake; // of the thread
    pthread_t thread;
    bool begun, ends, hangup; // the two last are atomic; hangup: a SIGHUP that nobody has seen to
    rki_spec_args watch_args; // of the thread alone, as `looks`
    rki_watch looks;

    pthread_mutex_t lock;
    pthread_cond_t turn;
    uint64_t tickets; // of requests, as they came
    bool watching;    // as debounce_ns
    uint64_t debounce_ns;
    uint64_t n_looks, n_settled; // of the watch, with what has come of it
    bool busy;                   // somebody is at work; what follows is theirs
    rki_generations kept;
    rki_generation first;  // until it is kept
    uint64_t running;      // hash of what runs
    rki_snapshot *current; // its texts
    struct {
        rki_snapshot *s; // NULL: there was none
        int64_t us;
        char *message, *findings; // findings: JSON; each may be NULL
    } rejected;                   // the last one
} rki_reloader;

// "alerts change: Slow (expr; begins anew)" and so on, of an answer's diff; each between `before` and `after`.
void rki_reload_alerts(const struct rki_json_node *diff, const char *before, const char *after, rki_buf *out);

// After the fields of the first block are set.  l: what begins.  data_dir NULL: nothing can be kept on disk.  False without
// memory.  fini: the run has ended, and what was kept goes.
bool rki_reloader_init(rki_reloader *v, const rki_loaded *l, const char *data_dir);
void rki_reloader_fini(rki_reloader *v);

// rki_admin_source.reload, .rollback (0: to the newest before that differs), .generations and .config.  dry: nothing is changed.
int rki_reload_file(void *reloader, const char *file, bool dry, rki_buf *out);
int rki_rollback(void *reloader, uint64_t generation, bool dry, rki_buf *out);
int rki_generations_json(void *reloader, rki_buf *out);
int rki_config_json(void *reloader, rki_buf *out); // the texts that run, and those that were rejected last
// .check (text.p NULL: of the file), .letters and .replay (answers.c).
int rki_check_json(void *reloader, const char *file, rkp_str text, rki_buf *out);
int rki_letters_answer(void *reloader, const char *kernel, const char *reason, uint64_t limit, rki_buf *out);
int rki_replay_answer(void *reloader, const char *kernel, const char *reason, bool dry, rki_buf *out);
void rki_reloader_hold(rki_reloader *v); // nobody reloads from here on, until
void rki_reloader_let_go(rki_reloader *v);
rki_snapshot *rki_reloader_texts(rki_reloader *v); // a copy of those that run; NULL without memory
// SIGHUP loads the file again, and so does a change of it where it is watched; what came of it is on standard error.
void rki_reloader_begin(rki_reloader *v);
void rki_reloader_end(rki_reloader *v);

#endif
