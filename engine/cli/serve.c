// cli/serve.c - where run/control.h and the admin room meet.
#include "cli/serve.h"

#include "cli/reload.h"

#include <stdlib.h>

static rki_admin_source source_of(rki_run *r, struct rki_reloader *reloader, const rki_alerting *alerting)
{
    return (rki_admin_source){
        .run = r,
        .command = rki_run_command,
        .reload = reloader ? rki_reload_file : NULL,
        .rollback = reloader ? rki_rollback : NULL,
        .generations = reloader ? rki_generations_json : NULL,
        .config = reloader ? rki_config_json : NULL,
        .check = rki_check_json,
        .letters = rki_letters_answer,
        .replay = rki_replay_answer,
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
        .alerter = alerting->alerter,
        .notify_json = rki_notifying_json,
        .silence = rki_notifying_silence,
        .unsilence = rki_notifying_unsilence,
        .notifying = alerting->notifying,
        .tap_open = rki_tap_open,
        .tap_read = rki_tap_read,
        .tap_rows = rki_tap_rows,
        .tap_missed = rki_tap_missed,
        .tap_close = rki_tap_close,
    };
}

static void say_address(rki_logger *log, const char *what, const char *address, unsigned port, const char *path)
{
    bool v6 = strchr(address, ':');
    rki_logger_say(log, "note: %s at http://%s%s%s:%u%s", what, v6 ? "[" : "", address, v6 ? "]" : "", port, path);
}

// For those who have the token of the file.
static int serve_over_tcp(const rki_admin_conf *conf, rki_logger *log, const rki_admin_source *source, rki_admin **out)
{
    const rki_loopback *at = &conf->listen.at;
    rki_bearer token;
    const rki_admin_args args = {
        .source = source, .address = at->address.p, .port = at->port, .token = &token, .secrets = log->secrets
    };
    rki_bearer_error e;
    char err[400] = "";
    rkp_status st = rki_bearer_read(conf->token_file.p, &token, &e);
    if (st != RKP_OK) {
        rki_logger_say(log, "error: admin.token_file: %s", e.text);
        if (e.hint[0])
            rki_cli_hint("%s", e.hint);
        return RKI_EXIT_UNAVAILABLE;
    }
    st = rki_admin_start(&args, out, err, sizeof err);
    rki_bearer_wipe(&token);
    if (st != RKP_OK) {
        rki_logger_say(log, "error: admin.listen: %s", err);
        return rki_status_exit(st);
    }
    if (at->port == 0)
        say_address(log, "commands are taken", at->address.p, rki_admin_port(*out), "");
    return 0;
}

static int serve_commands(const rki_plan *p, const char *data_dir, bool folder, rki_logger *log,
                          const rki_admin_source *source, rki_admin **out)
{
    const rki_listen *l = &p->spec->admin.listen;
    rki_admin_args args = { .source = source, .secrets = log->secrets };
    rki_buf path;
    char *z, err[400] = "";
    rkp_status st;
    *out = NULL;
    if (l->kind == RKI_LISTEN_NONE || (l->kind == RKI_LISTEN_DEFAULT && !folder))
        return 0;
    if (l->kind == RKI_LISTEN_TCP)
        return serve_over_tcp(&p->spec->admin, log, source, out);
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
        rki_logger_say(log, "error: %s", err);
        return rki_status_exit(st);
    }
    rki_logger_say(log, "note: %s, so commands cannot reach this run", err);
    return 0;
}

static int serve_metrics(const rki_spec *s, rki_logger *log, const rki_admin_source *source, rki_admin **out)
{
    const rki_admin_args args = { .source = source,
                                  .address = s->telemetry.prometheus.address.p,
                                  .port = s->telemetry.prometheus.port,
                                  .metrics = s->telemetry.prometheus.path.p,
                                  .secrets = log->secrets };
    char err[400] = "";
    rkp_status st;
    *out = NULL;
    if (!args.address)
        return 0;
    st = rki_admin_start(&args, out, err, sizeof err);
    if (st != RKP_OK) {
        rki_logger_say(log, "error: telemetry.prometheus: %s", err);
        return rki_status_exit(st);
    }
    if (args.port == 0)
        say_address(log, "metrics are", args.address, rki_admin_port(*out), args.metrics);
    return 0;
}

int rki_serve(const rki_plan *p, const char *data_dir, bool folder, rki_logger *log, rki_run *r,
              struct rki_reloader *reloader, const rki_alerting *alerting, rki_servers *out)
{
    const rki_admin_source source = source_of(r, reloader, alerting);
    int code = serve_commands(p, data_dir, folder, log, &source, &out->commands);
    if (code == 0)
        code = serve_metrics(p->spec, log, &source, &out->metrics);
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
