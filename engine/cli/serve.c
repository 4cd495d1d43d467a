// cli/serve.c - where run/control.h and the admin room meet.
#include "cli/serve.h"

#include "cli/reload.h"

#include <stdlib.h>

static rki_admin_source source_of(rki_run *r, struct rki_reloader *reloader, rki_alerter *alerter)
{
    return (rki_admin_source){
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
        .alerts_json = rki_alerter_json,
        .alerter = alerter,
        .tap_open = rki_tap_open,
        .tap_read = rki_tap_read,
        .tap_rows = rki_tap_rows,
        .tap_missed = rki_tap_missed,
        .tap_close = rki_tap_close,
    };
}

static int serve_commands(const rki_plan *p, const char *data_dir, bool folder, bool quiet,
                          const rki_admin_source *source, rki_admin **out)
{
    const rki_listen *l = &p->spec->admin.listen;
    rki_admin_args args = { .source = source };
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

static int serve_metrics(const rki_spec *s, bool quiet, const rki_admin_source *source, rki_admin **out)
{
    const rki_admin_args args = { .source = source,
                                  .address = s->telemetry.prometheus.address.p,
                                  .port = s->telemetry.prometheus.port,
                                  .metrics = s->telemetry.prometheus.path.p };
    bool v6 = args.address && strchr(args.address, ':');
    char err[400] = "";
    rkp_status st;
    *out = NULL;
    if (!args.address)
        return 0;
    st = rki_admin_start(&args, out, err, sizeof err);
    if (st != RKP_OK) {
        rki_cli_say("error: telemetry.prometheus: %s", err);
        return rki_status_exit(st);
    }
    if (!quiet && args.port == 0)
        rki_cli_say("note: metrics are at http://%s%s%s:%u%s", v6 ? "[" : "", args.address, v6 ? "]" : "",
                    rki_admin_port(*out), args.metrics);
    return 0;
}

int rki_serve(const rki_plan *p, const char *data_dir, bool folder, bool quiet, rki_run *r,
              struct rki_reloader *reloader, rki_alerter *alerter, rki_servers *out)
{
    const rki_admin_source source = source_of(r, reloader, alerter);
    int code = serve_commands(p, data_dir, folder, quiet, &source, &out->commands);
    if (code == 0)
        code = serve_metrics(p->spec, quiet, &source, &out->metrics);
    if (code) {
        rki_servers_stop(out);
        rki_servers_free(out, code);
    }
    return code;
}

void rki_servers_stop(const rki_servers *s)
{
    rki_admin_stop(s->metrics);
    rki_admin_stop(s->commands);
}

void rki_servers_free(rki_servers *s, int code)
{
    rki_admin_free(s->metrics, code);
    rki_admin_free(s->commands, code);
    *s = (rki_servers){ 0 };
}
