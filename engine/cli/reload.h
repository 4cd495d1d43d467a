// cli/reload.h - the engine's side of a reload: a file, loaded as the first one was, for run/control.h.
//
//   Owns     nothing of the caller's; what it loads belongs to the run
//   Threads  rki_reload_file: any; begin and end: the one that runs the job
//   Fails    the answer says why, with findings
//   Limits   -
//   Cost     loading and planning a file
#ifndef RKI_CLI_RELOAD_H
#define RKI_CLI_RELOAD_H

#include "cli/cli.h"
#include "run/control.h"
#include <pthread.h>
#include <semaphore.h>

typedef struct rki_reloader {
    rki_cli *cli;
    const rki_load_args *load; // --var, --set: they hold for every generation
    const char *file, *backend;
    bool quiet;
    rki_run *run;
    sem_t hangup; // SIGHUPs that nobody has seen to
    pthread_t thread;
    bool begun, ends;
} rki_reloader;

// rki_admin_source.reload.  dry: nothing is changed.
int rki_reload_file(void *reloader, const char *file, bool dry, rki_buf *out);
// SIGHUP loads the file again, and says what came of it.
void rki_reloader_begin(rki_reloader *v);
void rki_reloader_end(rki_reloader *v);

#endif
