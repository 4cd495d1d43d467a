// cli/serve.h - the admin server of `rkpipe run`.
#ifndef RKI_SERVE_H
#define RKI_SERVE_H

#include "admin/server.h"
#include "cli/cli.h"

// Starts it as the pipeline says, before the run is executed; *out is NULL when there is none.  0, or the exit code when
// it cannot be: a batch job that did not ask for it goes on without.  `folder`: data_dir is there.
struct rki_reloader;
int rki_serve(const rki_plan *p, const char *data_dir, bool folder, bool quiet, rki_run *r,
              struct rki_reloader *reloader, rki_admin **out);

#endif
