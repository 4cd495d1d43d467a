// cli/serve.c - where run/control.h and the admin room meet.
#include "cli/serve.h"

#include "cli/reload.h"

#include <stdlib.h>

int rki_serve(const rki_plan *p, const char *data_dir, bool folder, bool quiet, rki_run *r,
              struct rki_reloader *reloader, rki_admin **out)
{
    const rki_admin_source source = {
        .run = r,
        .command = rki_run_command,
        .reload = reloader ? rki_reload_file : NULL,
        .rollback = reloader ? rki_rollback : NULL,
        .generations = reloader ? rki_generations_json : NULL,
        .config = reloader ? rki_config_json : NULL,
        .reload_arg = reloader,
        .drain = rki_run_drain,
        .ready = rki_run_ready,
        .status_json = rki_run_status_json,
        .kernels_json = rki_run_kernels_json,
        .kernel_json = rki_run_kernel_json,
        .topics_json = rki_run_topics_json,
        .graph_json = rki_run_graph_json,
        .metrics_text = rki_run_metrics_text,
        .tap_open = rki_tap_open,
        .tap_read = rki_tap_read,
        .tap_rows = rki_tap_rows,
        .tap_missed = rki_tap_missed,
        .tap_close = rki_tap_close,
    };
    const rki_listen *l = &p->spec->admin.listen;
    rki_admin_args args = { .source = &source };
    rki_buf path;
    char *z, err[400] = "";
    rkp_status st;
    *out = NULL;
    if (l->kind == RKI_LISTEN_NONE || (l->kind == RKI_LISTEN_DEFAULT && !folder))
        return 0;
    rki_buf_init(&path);
    if (l->kind == RKI_LISTEN_UNIX)
        rki_putz(&path, l->path.p);
    else
        rki_putf(&path, "%s/admin.sock", data_dir);
    z = rki_buf_take(&path, NULL);
    if (!z)
        return rki_cli_nomem();
    args.path = z;
    st = rki_admin_start(&args, out, err, sizeof err);
    free(z);
    if (st == RKP_OK)
        return 0;
    if (l->kind == RKI_LISTEN_UNIX || p->stream) {
        rki_cli_say("error: %s", err);
        return rki_status_exit(st);
    }
    if (!quiet)
        rki_cli_say("note: %s, so commands cannot reach this run", err);
    return 0;
}
