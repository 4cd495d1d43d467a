// cli/checkpoint.c - `rkpipe checkpoint`: what a pipeline would go on from.
#include "cli/verbs.h"
#include "flow/manifest.h"
#include <rkpipe/num.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { LIST, SHOW, VERIFY };
static const char *const what_names[] = { "list", "show", "verify", NULL };

struct checkpoint_args {
    rki_load_args load;
};

static const rki_arg checkpoint_rows[] = { RKI_ARGS_LOAD, { 0 } };

static void put_time(rki_buf *b, int64_t us)
{
    char text[64];
    rki_put(b, text, rkp_print_timestamp(text, us));
}

static size_t state_bytes(const rki_manifest *m)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++)
        n += m->v[i].state.n;
    return n;
}

static size_t stages(const rki_manifest *m)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++)
        n += m->v[i].role < RKI_N_ROLES;
    return n;
}

static void list_one(rki_buf *b, const rki_manifest *m, const rki_spec *s)
{
    rki_putf(b, "%-10llu  ", (unsigned long long)m->number);
    put_time(b, m->us);
    rki_putf(b, "  %6zu  %12zu  %s%s\n", stages(m), state_bytes(m), m->final ? "everything has ended" : "under way",
             m->identity == rki_spec_identity(s) ? "" : ", of another form of this pipeline");
}

static const char *role_name(uint32_t role)
{
    return role == RKI_MANIFEST_QUEUES ? ", on its way"
           : role == RKI_MANIFEST_PAST ? ", gone"
           : role < RKI_N_ROLES        ? rki_role_name((int)role)
                                       : "/?";
}

static void show(rki_buf *b, const rki_manifest *m, const rki_spec *s)
{
    rki_putf(b, "checkpoint %llu of ", (unsigned long long)m->number);
    put_time(b, m->us);
    rki_putf(b, "%s%s\n\n%-32s  %-20s  %7s  %7s  %12s\n", m->final ? ", everything has ended" : "",
             m->identity == rki_spec_identity(s) ? "" : ", of another form of this pipeline", "kernel", "operator",
             "replica", "version", "state bytes");
    for (size_t i = 0; i < m->n; i++) {
        const rki_record *v = &m->v[i];
        rki_buf name;
        if (v->role == RKI_MANIFEST_QUEUES && v->state.n <= RKI_MANIFEST_NO_QUEUES)
            continue;
        rki_buf_init(&name);
        rki_putf(&name, "%.*s%s", RKP_STR_ARG(v->kernel), role_name(v->role));
        rki_putf(b, "%-32.*s  %-20.*s  %7u  %7u  %12zu%s\n", (int)name.n, name.p ? name.p : "", RKP_STR_ARG(v->op),
                 (unsigned)v->replica, (unsigned)v->version, v->state.n, v->ended ? "  ended" : "");
        rki_buf_fini(&name);
    }
}

// All of them; the exit code.
static int look(int what, int dir, const rki_spec *s)
{
    char err[RKI_MANIFEST_ERR] = "", name[32];
    uint64_t *v;
    size_t n, bad = 0;
    rki_buf b;
    rkp_status st = rki_manifest_list(dir, &v, &n, err);
    int code;
    if (st != RKP_OK) {
        rki_cli_say("error: %s", err);
        return rki_status_exit(st);
    }
    rki_buf_init(&b);
    if (what == LIST && n)
        rki_putf(&b, "%-10s  %-27s  %6s  %12s\n", "number", "time", "stages", "state bytes");
    for (size_t i = what == SHOW && n ? n - 1 : 0; i < n; i++) {
        rki_manifest m;
        rki_manifest_name(v[i], name);
        st = rki_manifest_read(dir, name, &m, err);
        if (st != RKP_OK) {
            bad++;
            rki_cli_say("error: %s", err);
            continue;
        }
        if (what == LIST)
            list_one(&b, &m, s);
        else if (what == SHOW)
            show(&b, &m, s);
        else
            rki_putf(&b, "checkpoint %llu: whole\n", (unsigned long long)m.number);
        rki_manifest_free(&m);
    }
    free(v);
    if (!n)
        rki_cli_say("there is no checkpoint");
    code = rki_cli_out(&b) ? 0 : RKI_EXIT_FAILED;
    rki_buf_fini(&b);
    return code ? code : !n ? RKI_EXIT_UNAVAILABLE : bad ? RKI_EXIT_FAILED : RKI_EXIT_OK;
}

static int verb_checkpoint(rki_cli *c)
{
    const struct checkpoint_args *a = c->args;
    rki_loaded l = { 0 };
    rki_buf path;
    int what = 0, code, dir;
    while (what_names[what] && strcmp(what_names[what], c->pos[0]) != 0)
        what++;
    if (!what_names[what]) {
        const char *near = rki_nearest(rkp_str_of(c->pos[0]), what_names);
        return rki_cli_usage(c, near ? near : "it knows list, show and verify", "'checkpoint' does not know '%s'",
                             c->pos[0]);
    }
    code = rki_cli_load_spec(c, c->pos[1], &a->load, NULL, false, &l);
    if (code) {
        if (l.diags)
            rki_load_print(c, l.diags);
    } else {
        char *top = rki_cli_data_dir(l.spec), name[40];
        rki_spec_checkpoints(l.spec, name);
        rki_buf_init(&path);
        rki_putf(&path, "%s/%s", top ? top : "", name);
        rki_putc(&path, 0);
        dir = top && !path.failed ? open(path.p, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
        if (!top || path.failed) {
            code = rki_cli_nomem();
        } else if (dir < 0 && errno == ENOENT) {
            rki_cli_say("there is no checkpoint");
            code = RKI_EXIT_UNAVAILABLE;
        } else if (dir < 0) {
            rki_cli_say("error: cannot open '%s': %s", path.p, strerror(errno));
            code = RKI_EXIT_UNAVAILABLE;
        } else {
            code = look(what, dir, l.spec);
            close(dir);
        }
        rki_buf_fini(&path);
        free(top);
    }
    rki_loaded_free(&l);
    return code;
}

const rki_verb rki_verb_checkpoint = {
    .name = "checkpoint",
    .summary = "List, show and verify the checkpoints of a pipeline",
    .pos = { "list|show|verify PIPELINE", 2, 2, RKI_WORDS_YAML, NULL,
             "what to do, and the pipeline; show is about the newest" },
    .args = checkpoint_rows,
    .args_size = sizeof(struct checkpoint_args),
    .details =
        "A run that keeps at_least_once or exactly_once (see `rkpipe plan`) saves where it is every engine.checkpoint."
        "interval, and when a first signal stops it. The same command then goes on from there; `rkpipe run --fresh` "
        "begins anew. The two newest are kept in data_dir/checkpoints, until the job has succeeded.\n\n"
        "Exit codes: 0; 1 one of them is damaged; 69 there is none.",
    .examples = "  rkpipe checkpoint list job.yaml\n"
                "  rkpipe checkpoint show job.yaml --var in=data.csv\n",
    .run = verb_checkpoint,
};
