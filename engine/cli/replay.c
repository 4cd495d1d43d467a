// cli/replay.c - `rkpipe dlq replay`: stored rows once more, through the pipeline as it is now.
#include "cli/dlq.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

struct replaying {
    rki_cli *c;
    const struct rki_dlq_args *a;
    rki_loaded l;
    rki_replay *what;
    rki_data_dir lock;
    char *dir, *store; // data_dir, and what is in it
};

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static unsigned long long n_of(uint64_t v)
{
    return v;
}

// ---- before ---------------------------------------------------------------------------------------------------------

static int load(struct replaying *p, const char *file)
{
    const rki_spec *s;
    rki_buf b;
    int code = rki_cli_load_spec(p->c, file, &p->a->load, NULL, false, &p->l);
    if (code)
        return code;
    s = p->l.spec;
    p->dir = rki_cli_data_dir(s);
    rki_buf_init(&b);
    rki_putf(&b, "%s/" RKI_STORE_FOLDER, p->dir ? p->dir : "");
    p->store = rki_buf_take(&b, NULL);
    if (!p->dir || !p->store)
        return rki_cli_nomem();
    if (!s->dead_store.bytes) {
        rki_cli_say("error: pipeline '%s' keeps no dead letters, so rows that go wrong again would be lost", s->name.p);
        rki_cli_hint("it keeps them with dead_letter: {store: {}}");
        return RKI_EXIT_INVALID;
    }
    if (!is_folder(p->store)) {
        rki_cli_say("error: pipeline '%s' has kept no dead letters in '%s'", s->name.p, p->store);
        return RKI_EXIT_UNAVAILABLE;
    }
    return 0;
}

// Nobody else may take rows out of the store, or put some in.
static int lock(struct replaying *p)
{
    size_t ours = p->l.spec->engine.data_dir.p ? 0 : 2;
    char err[400] = "";
    rki_data_dir_state st;
    if (p->a->dry_run)
        return 0;
    st = rki_data_dir_open(p->dir, ours, &p->lock, err, sizeof err);
    if (st == RKI_DIR_LOCKED)
        return 0;
    rki_cli_say("error: %s", err);
    if (st == RKI_DIR_BUSY)
        rki_cli_hint("dead letters are replayed while the pipeline does not run");
    return RKI_EXIT_UNAVAILABLE;
}

static int scan(struct replaying *p)
{
    rki_replay_opts o = { .dir = p->store, .kernel = p->a->kernel, .reason = p->a->reason };
    char err[600] = "";
    rkp_status st = rki_replay_new(&o, p->l.spec, &p->what, err, sizeof err);
    if (st == RKP_OK) {
        uint64_t n = rki_replay_damaged(p->what);
        if (n)
            rki_cli_say("warning: %llu record%s damaged and left out", n_of(n), n == 1 ? " is" : "s are");
        return 0;
    }
    rki_cli_say("error: %s", err);
    return rki_status_exit(st);
}

// The plan of the replay.
static int plan(struct replaying *p)
{
    size_t n;
    const char *const *targets = rki_replay_targets(p->what, &n);
    int code;
    if (!rki_spec_replay(p->l.spec, &rki_op_replay, targets, n))
        return rki_cli_nomem();
    code = rki_cli_plan(RKI_LOAD_CHECK, &p->l); // standard input is not read
    if (code)
        return code;
    if (!p->l.plan->known) {
        rki_load_print(p->c, p->l.diags);
        rki_cli_say("error: an input is missing, so the columns of its rows are not known");
        rki_cli_hint("give it a schema, or name another input like it with --var or --set");
        return RKI_EXIT_UNAVAILABLE;
    }
    return rki_replay_fits(p->what, p->l.plan, p->l.diags) ? 0 : RKI_EXIT_INVALID;
}

// The file that this kernel would replace; p NULL: none.
static rkp_str replaces(const rki_kernel *k)
{
    const rkp_node *path = k->with ? rki_node_get(k->with, "path") : NULL;
    const rkp_node *commit = k->with ? rki_node_get(k->with, "commit") : NULL;
    const rkp_opt *row = k->op->opts;
    rkp_str how = { 0 };
    struct stat st;
    char *name;
    bool there;
    while (row && row->name && strcmp(row->name, "commit") != 0)
        row++;
    if (row && row->name)
        how = commit && !rki_node_is_null(commit) ? commit->text : rkp_str_of(row->def);
    if (k->muted || k->op->kind != RKP_SINK || !path || !rkp_str_is(how, "rename") || rkp_str_is(path->text, "-"))
        return (rkp_str){ 0 };
    name = strndup(path->text.p, path->text.n);
    there = !name || (stat(name, &st) == 0 && S_ISREG(st.st_mode)); // a device or a pipe is written to
    free(name);
    return there ? path->text : (rkp_str){ 0 };
}

static int check_outputs(const struct replaying *p)
{
    int code = 0;
    for (uint32_t i = 0; i < p->l.plan->n_kernels && !p->a->overwrite; i++) {
        const rki_kernel *k = p->l.plan->kernels[i].k;
        rkp_str path = replaces(k);
        if (!path.p)
            continue;
        rki_cli_say(
            "error: '%.*s' is there, and kernel '%s' (commit: rename) would replace it by the replayed rows alone",
            RKP_STR_ARG(path), k->id.p);
        rki_cli_hint(
            "write elsewhere: --set kernels.%s.with.path=FILE; add to it: --set kernels.%s.with.commit=append; "
            "or --overwrite",
            k->id.p, k->id.p);
        code = RKI_EXIT_USAGE;
    }
    return code;
}

// ---- what would be, and what was ------------------------------------------------------------------------------------

static int by_name(const void *a, const void *b)
{
    const rki_replay_group *x = a, *y = b;
    int c = strcmp(x->kernel, y->kernel);
    if (c == 0)
        c = strcmp(x->reason, y->reason);
    if (c == 0)
        c = strcmp(x->to, y->to);
    return c ? c : (x->stays != NULL) - (y->stays != NULL);
}

static void put_group(rki_buf *out, const rki_replay_group *g)
{
    rki_putf(out, "%llu row%s of kernel '%s' (%s)", n_of(g->rows), g->rows == 1 ? "" : "s", g->kernel, g->reason);
}

static int dry_run(const struct replaying *p)
{
    size_t n;
    const rki_replay_group *g = rki_replay_groups(p->what, &n);
    rki_replay_group *v = calloc(n + 1, sizeof *v);
    uint64_t go = 0, stay = 0;
    rki_buf out;
    bool ok;
    if (!v)
        return rki_cli_nomem();
    if (n)
        memcpy(v, g, n * sizeof *v);
    qsort(v, n, sizeof *v, by_name);
    rki_buf_init(&out);
    for (size_t i = 0; i < n; i++) {
        put_group(&out, &v[i]);
        if (v[i].stays)
            rki_putf(&out, " would stay: %s\n", v[i].stays);
        else if (strcmp(v[i].kernel, v[i].to) != 0)
            rki_putf(&out, " would be replayed, before kernel '%s'\n", v[i].to);
        else
            rki_putz(&out, " would be replayed\n");
        *(v[i].stays ? &stay : &go) += v[i].rows;
    }
    rki_putf(&out, "%llu rows would be replayed, %llu would stay\n", n_of(go), n_of(stay));
    ok = rki_cli_out(&out);
    rki_buf_fini(&out);
    free(v);
    return ok ? 0 : RKI_EXIT_FAILED;
}

static void tell_stays(const struct replaying *p)
{
    size_t n;
    const rki_replay_group *g = rki_replay_groups(p->what, &n);
    rki_replay_result r;
    rki_replay_look(p->what, &r);
    for (size_t i = 0; i < n; i++) {
        rki_buf b;
        if (!g[i].stays)
            continue;
        rki_buf_init(&b);
        put_group(&b, &g[i]);
        if (!b.failed)
            rki_cli_say("%.*s stay%s: %s", (int)b.n, b.p, g[i].rows == 1 ? "s" : "", g[i].stays);
        rki_buf_fini(&b);
    }
    if (r.refused)
        rki_cli_say("%llu rows stay: the file that they came from is not there any more, or has changed",
                    n_of(r.refused));
}

static void tell(const struct replaying *p)
{
    rki_replay_result r;
    rki_replay_look(p->what, &r);
    if (p->a->job.quiet)
        return;
    if (!r.settled) {
        rki_cli_say("no row has left the store");
        return;
    }
    tell_stays(p);
    rki_cli_say("%llu row%s replayed, %llu went wrong again", n_of(r.replayed), r.replayed == 1 ? "" : "s",
                n_of(r.again));
}

static int replay(struct replaying *p, const char *file)
{
    size_t n;
    int code = load(p, file);
    if (!code)
        code = lock(p);
    if (!code)
        code = scan(p);
    if (code) {
        if (p->l.diags)
            rki_load_print(p->c, p->l.diags);
        return code;
    }
    if (p->a->dry_run)
        code = dry_run(p);
    rki_replay_targets(p->what, &n);
    if (code || !n) {
        if (!code && !p->a->dry_run && !p->a->job.quiet) {
            tell_stays(p);
            rki_cli_say("there is nothing to replay");
        }
        return code;
    }
    code = plan(p);
    if (p->l.diags && (code == RKI_EXIT_INVALID || (!code && !p->a->job.quiet)))
        rki_load_print(p->c, p->l.diags);
    if (!code)
        code = check_outputs(p);
    if (code || p->a->dry_run)
        return code;
    rki_job_signals();
    code = rki_job_run(p->c, &p->a->job, &p->l, p->dir, &p->lock, p->what, NULL);
    tell(p);
    return code;
}

int rki_dlq_replay(rki_cli *c, const struct rki_dlq_args *a, const char *file)
{
    struct replaying p = { .c = c, .a = a, .lock = { .fd = -1 } };
    int code = replay(&p, file);
    rki_replay_free(p.what);
    rki_loaded_free(&p.l);
    rki_data_dir_close(&p.lock);
    free(p.dir);
    free(p.store);
    return code;
}
