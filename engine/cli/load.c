// cli/load.c - a file to a checked and planned pipeline, with all findings.
#include "cli/alerting.h"
#include "cli/cli.h"
#include "spec/tests.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

// Is the file itself there?  What is in it is the spec's business.
static bool readable(const char *file, rkp_diags *d)
{
    struct stat st;
    int fd, err = 0;
    if (strcmp(file, "-") == 0)
        return true;
    fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        err = errno;
    else if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
        err = EISDIR;
    if (fd >= 0)
        close(fd);
    if (err)
        rkp_diag(d, RKP_ERROR, (rkp_loc){ file, 0, 0, 0 }, "file-open", "cannot open '%s': %s", file, strerror(err));
    return !err;
}

int rki_cli_load_spec(rki_cli *c, const char *file, const rki_load_args *a, const char *backend, bool allow_exec,
                      rki_loaded *l)
{
    rki_spec_args sa = { .file = file,
                         .sources = l->sources,
                         .texts = l->texts,
                         .vars = a ? a->vars.v : NULL,
                         .n_vars = a ? a->vars.n : 0,
                         .sets = a ? a->sets.v : NULL,
                         .n_sets = a ? a->sets.n : 0,
                         .env = c->env,
                         .ops = c->ops,
                         .engine_op = &rki_op_engine,
                         .watch_op = l->test && !l->test->asks_alerts ? NULL : &rki_op_watch,
                         .backend = backend,
                         .test = l->test,
                         .allow_exec = allow_exec || (a && a->allow_exec) };
    rki_prom_names metrics = { 0 };
    char **names;
    if (!l->diags)
        l->diags = rki_diags_new();
    if (!l->diags)
        return rki_cli_nomem();
    if (!l->sources && !readable(file, l->diags))
        return RKI_EXIT_UNAVAILABLE;
    names = rki_metric_series_names(c->ops);
    if (!names)
        return rki_cli_nomem();
    metrics.names = (const char *const *)names;
    sa.metrics = &metrics;
    l->spec = rki_spec_load(&sa, l->diags);
    free(names);
    if (!l->spec)
        return rki_diags_failed(l->diags) ? RKI_EXIT_INVALID : rki_cli_nomem();
    return RKI_EXIT_OK;
}

int rki_cli_load(rki_cli *c, const char *file, const rki_load_args *a, const char *backend, bool allow_exec,
                 rki_load_how how, rki_loaded *l)
{
    int code = rki_cli_load_spec(c, file, a, backend, allow_exec, l);
    return code ? code : rki_cli_plan(how, l);
}

int rki_cli_plan(rki_load_how how, rki_loaded *l)
{
    rki_plan_args pa = { .may_read_stdin = how == RKI_LOAD_RUN, .probe = true };
    rki_machine m;
    rki_machine_look(&m);
    pa.cores = m.cores;
    pa.memory = m.memory;
    l->plan = rki_plan_new(l->spec, &pa, l->diags);
    if (rki_diags_failed(l->diags))
        return RKI_EXIT_INVALID;
    return l->plan ? RKI_EXIT_OK : rki_cli_nomem();
}

char *rki_cli_data_dir(const rki_spec *s)
{
    rki_buf name;
    rki_buf_init(&name);
    if (s->engine.data_dir.p)
        rki_putz(&name, s->engine.data_dir.p);
    else
        rki_putf(&name, ".rkpipe/%s", s->name.p);
    return rki_buf_take(&name, NULL);
}

void rki_loaded_free(rki_loaded *l)
{
    rki_plan_free(l->plan);
    rki_spec_free(l->spec);
    rki_diags_free(l->diags);
    *l = (rki_loaded){ 0 };
}

void rki_load_print(const rki_cli *c, rkp_diags *d)
{
    rki_buf b;
    rki_buf_init(&b);
    rki_diags_text(d, &b, rki_cli_colour(c, STDERR_FILENO));
    rki_cli_err(&b);
    rki_buf_fini(&b);
}
