// cli/replay.c - `rkpipe dlq replay`: stored rows once more, through the pipeline as it is now.
#include "cli/dlq.h"
#include "cli/remote.h"

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

// ---- into an engine that runs ---------------------------------------------------------------------------------------

static double number(const rki_json_node *n, const char *key)
{
    double v = 0;
    return rki_json_float(rki_json_get(n, key), &v) ? v : 0;
}

static void put_live_groups(const rki_json_node *n, bool dry, rki_buf *out)
{
    const rki_json_node *g = rki_json_get(n, "groups");
    for (g = g ? g->child : NULL; g; g = g->next) {
        rkp_str stays = rki_json_text(rki_json_get(g, "stays"), "");
        double rows = number(g, "rows");
        if (!dry && !stays.n)
            continue;
        rki_putf(out, "%.0f row%s of kernel '", rows, rows == 1 ? "" : "s");
        rki_remote_text(out, rki_json_text(rki_json_get(g, "kernel"), ""));
        rki_putz(out, "' (");
        rki_remote_text(out, rki_json_text(rki_json_get(g, "reason"), ""));
        rki_putz(out, !stays.n ? ") would be replayed" : dry ? ") would stay: " : rows == 1 ? ") stays: " : ") stay: ");
        rki_remote_text(out, stays);
        rki_putc(out, '\n');
    }
}

static int tell_live(const struct replaying *p, const rki_reply *reply)
{
    bool dry = p->a->dry_run;
    rki_arena mem;
    rki_buf out, why;
    const rki_json_node *n;
    int code = reply->status == 200 ? 0 : RKI_EXIT_FAILED;
    rki_arena_init(&mem);
    rki_buf_init(&out);
    rki_buf_init(&why);
    n = rki_json_read(&mem, (rkp_str){ reply->body.p, reply->body.n });
    if (rki_json_get(n, "error")) {
        rki_remote_text(&why, rki_json_text(rki_json_get(rki_json_get(n, "error"), "message"), ""));
        rki_cli_say("error: %.*s", (int)why.n, why.p ? why.p : "");
        code = RKI_EXIT_FAILED;
    } else {
        put_live_groups(n, dry, &out);
        rki_remote_text(&why, rki_json_text(rki_json_get(n, "message"), ""));
        if (dry)
            rki_putf(&out, "%.0f rows would be replayed into the engine that runs, %.0f would stay\n",
                     number(n, "would_replay"), number(n, "would_stay"));
        else
            rki_putf(&out, "%.0f row%s replayed into the engine that runs, %.0f have left the store, %.0f stay%s%.*s\n",
                     number(n, "replayed"), number(n, "replayed") == 1 ? "" : "s", number(n, "settled"),
                     number(n, "stayed"), why.n ? "; " : "", (int)why.n, why.n ? why.p : "");
        if (dry && !rki_cli_out(&out))
            code = RKI_EXIT_FAILED;
        else if (!dry && !p->a->job.quiet)
            rki_cli_err(&out);
    }
    rki_buf_fini(&why);
    rki_buf_fini(&out);
    rki_arena_fini(&mem);
    return code;
}

static void put_choice(rki_buf *target, const char *name, const char *value)
{
    if (!value)
        return;
    rki_putf(target, "&%s=", name);
    rki_remote_escape(target, rkp_str_of(value));
}

// Where the pipeline's file says that its engine listens.
static bool where(const struct replaying *p, rki_buf *out)
{
    const rki_listen *l = &p->l.spec->admin.listen;
    if (l->kind == RKI_LISTEN_UNIX)
        rki_putf(out, "unix:%s", l->path.p);
    else if (l->kind == RKI_LISTEN_TCP)
        rki_putf(out, strchr(l->at.address.p, ':') ? "[%s]:%u" : "%s:%u", l->at.address.p, l->at.port);
    else
        rki_putf(out, "unix:%s/admin.sock", p->dir);
    rki_putc(out, 0);
    return !out->failed;
}

// The pipeline runs: its engine is asked.
static int live(const struct replaying *p)
{
    rki_remote_args remote = { .token_file = p->l.spec->admin.token_file.p };
    rki_cli c = *p->c;
    rki_buf target, at;
    rki_reply reply;
    int code;
    if (p->a->load.sets.n || p->a->overwrite)
        return rki_cli_usage(p->c, "drain it first", "--%s changes nothing of the engine that runs",
                             p->a->overwrite ? "overwrite" : "set");
    if (p->l.spec->admin.listen.kind == RKI_LISTEN_NONE) {
        rki_cli_say("error: the pipeline runs, and its engine takes no commands (admin.listen: none)");
        rki_cli_hint("stop it, and then replay them");
        return RKI_EXIT_UNAVAILABLE;
    }
    rki_buf_init(&target);
    rki_buf_init(&at);
    rki_putf(&target, "/v1/dlq:replay?dry=%d", p->a->dry_run);
    put_choice(&target, "kernel", p->a->kernel);
    put_choice(&target, "reason", p->a->reason);
    rki_putc(&target, 0);
    if (!where(p, &at) || target.failed) {
        code = rki_cli_nomem();
    } else {
        remote.admin = at.p;
        c.args = &remote;
        code = rki_remote_ask(&c, &(rki_call){ .method = "POST", .target = target.p, .timeout_ms = 600000 }, &reply);
        if (!code) {
            code = tell_live(p, &reply);
            rki_buf_fini(&reply.body);
        }
    }
    rki_buf_fini(&at);
    rki_buf_fini(&target);
    return code;
}

// Nobody else may take rows out of the store, or put some in.  *runs: the pipeline does, and has been asked.
static int lock(struct replaying *p, bool *runs)
{
    size_t ours = p->l.spec->engine.data_dir.p ? 0 : 2;
    char err[400] = "";
    rki_data_dir_state st = rki_data_dir_open(p->dir, ours, &p->lock, err, sizeof err);
    *runs = st == RKI_DIR_BUSY;
    if (st == RKI_DIR_LOCKED || (p->a->dry_run && !*runs))
        return 0;
    if (*runs)
        return live(p);
    rki_cli_say("error: %s", err);
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
    bool runs = false;
    int code = load(p, file);
    if (!code)
        code = lock(p, &runs);
    if (runs)
        return code;
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
