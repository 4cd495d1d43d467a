// cli/serve.h - the servers of `rkpipe run`: for commands, and for metrics alone.
#ifndef RKI_SERVE_H
#define RKI_SERVE_H

#include "admin/server.h"
#include "cli/alerting.h"
#include "cli/log.h"

typedef struct rki_servers {
    rki_admin *commands, *metrics; // NULL: there is none
} rki_servers;

// Starts them as the pipeline says, before the run is executed.  0, or the exit code when one cannot be (and there are none): a batch job
// that did not ask for commands goes on without.  `folder`: data_dir is there.
struct rki_reloader;
int rki_serve(const rki_plan *p, const char *data_dir, bool folder, rki_logger *log, rki_run *r,
              struct rki_reloader *reloader, const rki_alerting *alerting, rki_servers *out);
// As rki_admin_stop and rki_admin_free.
void rki_servers_stop(const rki_servers *s);
void rki_servers_free(rki_servers *s, int code);

#endif
