// cli/reload.c - `rkpipe reload` and `rkpipe rollback`: they ask a running engine, and say what came of it.
#include "cli/reload.h"
#include "base/json.h"
#include "cli/remote.h"
#include "cli/verbs.h"

#include <rkpipe/num.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RELOAD_REJECTED = 2, RELOAD_TIMED_OUT = 3, RELOAD_SUPERSEDED = 4 };

struct reload_args {
    rki_remote_args remote;
    bool diff;
    int format;
};

static const char *const formats[] = { "text", "json", NULL };

// What both commands have.
#define ARGS_ANSWER(args)                                                                                              \
    { .kind = RKI_ARG_FLAG, .name = "diff", .at = offsetof(struct args, diff), .help = "only say what would change" }, \
    {                                                                                                                  \
        .kind = RKI_ARG_CHOICE, .name = "format", .at = offsetof(struct args, format), .choices = formats,             \
        .words = RKI_WORDS_CHOICE, .help = "of the answer on standard output"                                          \
    }

static const rki_arg reload_rows[] = {
    RKI_ARGS_ADMIN,
    ARGS_ANSWER(reload_args),
    { 0 },
};

static double number_of(const rki_json_node *n)
{
    double v = 0;
    return rki_json_float(n, &v) ? v : 0;
}

static void names(rki_buf *out, const rki_json_node *diff, const char *key)
{
    const rki_json_node *list = rki_json_get(diff, key);
    bool any = false;
    for (const rki_json_node *n = list ? list->child : NULL; n; n = n->next) {
        rki_putf(out, any ? ", " : "%s: ", key);
        rki_remote_text(out, rki_json_text(n, ""));
        any = true;
    }
    if (any)
        rki_putc(out, '\n');
}

// (expr, for; begins anew: 1 that fires is resolved)
static void put_alert(rki_buf *out, const rki_json_node *a)
{
    const rki_json_node *what = rki_json_get(a, "what"), *keeps = rki_json_get(a, "keeps_state");
    double firing = number_of(rki_json_get(a, "firing"));
    bool ends = firing > 0 && !(keeps && rki_json_true(keeps));
    rki_remote_text(out, rki_json_text(rki_json_get(a, "alert"), ""));
    if (what || ends)
        rki_putz(out, " (");
    for (const rki_json_node *n = what ? what->child : NULL; n; n = n->next) {
        rki_putz(out, n == what->child ? "" : ", ");
        rki_remote_text(out, rki_json_text(n, ""));
    }
    if (keeps)
        rki_putz(out, rki_json_true(keeps) ? "; keeps its state" : "; begins anew");
    if (ends)
        rki_putf(out, "%s%.0f that %s resolved", keeps ? ": " : "", firing, firing == 1 ? "fires is" : "fire are");
    if (what || ends)
        rki_putc(out, ')');
}

static void put_list(rki_buf *out, const rki_json_node *list, const char *before, const char *what, const char *after)
{
    for (const rki_json_node *n = list ? list->child : NULL; n; n = n->next) {
        if (n == list->child)
            rki_putf(out, "%s%s: ", before, what);
        else
            rki_putz(out, ", ");
        if (n->kind == RKI_JSON_MAP)
            put_alert(out, n);
        else
            rki_remote_text(out, rki_json_text(n, ""));
        if (!n->next)
            rki_putz(out, after);
    }
}

void rki_reload_alerts(const rki_json_node *diff, const char *before, const char *after, rki_buf *out)
{
    const rki_json_node *alerts = rki_json_get(diff, "alerts"), *notify = rki_json_get(diff, "notify");
    const rki_json_node *receivers = rki_json_get(notify, "receivers");
    put_list(out, rki_json_get(alerts, "change"), before, "alerts change", after);
    put_list(out, rki_json_get(alerts, "add"), before, "alerts add", after);
    put_list(out, rki_json_get(alerts, "remove"), before, "alerts remove", after);
    put_list(out, rki_json_get(receivers, "change"), before, "receivers change", after);
    put_list(out, rki_json_get(receivers, "add"), before, "receivers add", after);
    put_list(out, rki_json_get(receivers, "remove"), before, "receivers remove", after);
    put_list(out, rki_json_get(notify, "change"), before, "notify change", after);
}

static void findings(rki_buf *out, const rki_json_node *list)
{
    for (const rki_json_node *n = list ? list->child : NULL; n; n = n->next) {
        rki_remote_text(out, rki_json_text(rki_json_get(n, "file"), ""));
        rki_putf(out, ":%.0f:%.0f: ", number_of(rki_json_get(n, "line")), number_of(rki_json_get(n, "column")));
        rki_remote_text(out, rki_json_text(rki_json_get(n, "severity"), ""));
        rki_putz(out, ": ");
        rki_remote_text(out, rki_json_text(rki_json_get(n, "message"), ""));
        rki_putz(out, " [");
        rki_remote_text(out, rki_json_text(rki_json_get(n, "code"), ""));
        rki_putz(out, "]\n");
        if (rki_json_get(n, "hint")) {
            rki_putz(out, "      = hint: ");
            rki_remote_text(out, rki_json_text(rki_json_get(n, "hint"), ""));
            rki_putc(out, '\n');
        }
    }
}

static int outcome_of(rkp_str s)
{
    for (size_t i = 0; i < sizeof rki_reload_outcomes / sizeof *rki_reload_outcomes; i++)
        if (rkp_str_is(s, rki_reload_outcomes[i]))
            return (int)i;
    return rkp_str_is(s, "would_apply") ? RKI_RELOAD_APPLIED : -1;
}

static int show(int format, bool diff_only, const rki_reply *reply)
{
    static const int codes[] = { [RKI_RELOAD_APPLIED] = 0,
                                 [RKI_RELOAD_REJECTED] = RELOAD_REJECTED,
                                 [RKI_RELOAD_TIMED_OUT] = RELOAD_TIMED_OUT,
                                 [RKI_RELOAD_SUPERSEDED] = RELOAD_SUPERSEDED };
    rki_arena mem;
    rki_buf out;
    const rki_json_node *n, *diff;
    int o;
    rki_arena_init(&mem);
    rki_buf_init(&out);
    n = rki_json_read(&mem, (rkp_str){ reply->body.p, reply->body.n });
    o = outcome_of(rki_json_text(rki_json_get(n, "outcome"), ""));
    diff = rki_json_get(n, "diff");
    if (format == 1) {
        rki_put(&out, reply->body.p, reply->body.n);
    } else if (o >= 0) {
        rki_buf err;
        rki_buf_init(&err);
        findings(&err, rki_json_get(n, "findings"));
        rki_cli_err(&err);
        names(&out, diff, "replace");
        names(&out, diff, "retune");
        names(&out, diff, "add");
        names(&out, diff, "remove");
        rki_reload_alerts(diff, "", "\n", &out);
        if (o == RKI_RELOAD_APPLIED && !diff_only) {
            rkp_str why = rki_json_text(rki_json_get(n, "message"), "");
            rki_putf(&out, "applied: generation %.0f", number_of(rki_json_get(n, "generation")));
            if (rki_json_get(n, "back_to"))
                rki_putf(&out, ", as %.0f was", number_of(rki_json_get(n, "back_to")));
            rki_putf(&out, ", kernels that were replaced stood for %.3f ms\n",
                     number_of(rki_json_get(rki_json_get(n, "milliseconds"), "pause")));
            rki_remote_text(&err, why);
            if (err.n)
                rki_cli_say("note: %.*s", (int)err.n, err.p);
        } else if (o != RKI_RELOAD_APPLIED) {
            rkp_str why = rki_json_text(rki_json_get(n, "message"), "");
            rki_putz(&err, rki_reload_outcomes[o]);
            if (why.n)
                rki_putz(&err, ": ");
            rki_remote_text(&err, why);
            rki_cli_say("error: %.*s; generation %.0f runs on", (int)err.n, err.p,
                        number_of(rki_json_get(n, "generation")));
        } else if (!out.n) {
            rki_putz(&out, "nothing would change\n");
        }
        rki_buf_fini(&err);
    }
    if (o < 0)
        rki_cli_say("error: the engine's answer is not understood");
    if (!rki_cli_out(&out) && o == 0)
        o = -1;
    rki_buf_fini(&out);
    rki_arena_fini(&mem);
    return o < 0 ? RKI_EXIT_FAILED : codes[o];
}

static int verb_reload(rki_cli *c)
{
    const struct reload_args *a = c->args;
    rki_buf target;
    rki_reply reply;
    char *z;
    int code;
    rki_buf_init(&target);
    rki_putf(&target, "/v1/config:apply?dry=%d", a->diff ? 1 : 0);
    if (c->n_pos) {
        char *real = realpath(c->pos[0], NULL);
        if (!real) {
            rki_cli_say("error: cannot open '%s': %s", c->pos[0], strerror(errno));
            rki_buf_fini(&target);
            return RKI_EXIT_UNAVAILABLE;
        }
        rki_putz(&target, "&file=");
        rki_remote_escape(&target, rkp_str_of(real));
        free(real);
    }
    z = rki_buf_take(&target, NULL);
    if (!z)
        return rki_cli_nomem();
    // As long as a removed kernel may drain, and more.
    code = rki_remote_ask(c, &(rki_call){ .method = "POST", .target = z, .timeout_ms = 600000 }, &reply);
    free(z);
    if (code)
        return code;
    code = show(a->format, a->diff, &reply);
    rki_buf_fini(&reply.body);
    return code;
}

const rki_verb rki_verb_reload = {
    .name = "reload",
    .summary = "Replace the pipeline of a running engine",
    .pos = { "FILE", 0, 1, RKI_WORDS_YAML, NULL,
             "the new pipeline; without it the file that the engine was started with" },
    .args = reload_rows,
    .args_size = sizeof(struct reload_args),
    .details =
        "The engine loads the file as it loaded its first one, with the same --var and --set, compares it with what "
        "runs, makes "
        "what is new beside it, and only then changes over, at batch boundaries. No row is lost, doubled or reordered; "
        "kernels that have not changed run on with their state. Whatever is wrong changes nothing. SIGHUP does the "
        "same "
        "with the file that the engine was started with.\n\n" RKI_REMOTE_DETAILS "\n\n"
        "Exit codes: 0 applied; 2 rejected; 3 a kernel came to no batch boundary in reload.quiesce_timeout; 4 a newer "
        "reload "
        "took its place; 1 the engine was lost sight of; 64 several engines run here; 69 none can be reached.",
    .examples = "  rkpipe reload --diff new.yaml\n  rkpipe reload new.yaml\n",
    .run = verb_reload,
};

// ---- rollback -------------------------------------------------------------------------------------------------------

struct rollback_args {
    rki_remote_args remote;
    bool list, diff;
    int format;
};

static const rki_arg rollback_rows[] = {
    RKI_ARGS_ADMIN,
    { .kind = RKI_ARG_FLAG,
      .name = "list",
      .at = offsetof(struct rollback_args, list),
      .help = "only show the generations that are kept" },
    ARGS_ANSWER(rollback_args),
    { 0 },
};

static int show_list(int format, const rki_reply *reply)
{
    rki_arena mem;
    rki_buf out;
    const rki_json_node *n, *list;
    double runs;
    int code;
    rki_arena_init(&mem);
    rki_buf_init(&out);
    n = rki_json_read(&mem, (rkp_str){ reply->body.p, reply->body.n });
    list = rki_json_get(n, "generations");
    runs = number_of(rki_json_get(n, "generation"));
    if (format == 1)
        rki_put(&out, reply->body.p, reply->body.n);
    else if (list && !list->n)
        rki_putf(&out, "generation %.0f runs, and none is kept\n", runs);
    for (const rki_json_node *g = format == 1 || !list ? NULL : list->child; g; g = g->next) {
        double number = number_of(rki_json_get(g, "generation"));
        rki_putf(&out, "%6.0f  ", number);
        if (rki_json_get(g, "error")) {
            rki_remote_text(&out, rki_json_text(rki_json_get(g, "error"), ""));
        } else {
            rki_remote_text(&out, rki_json_text(rki_json_get(g, "applied"), ""));
            rki_putz(&out, "  ");
            rki_remote_text(&out, rki_json_text(rki_json_get(g, "file"), ""));
            rki_putz(&out, number == runs ? "  (runs)" : rki_json_true(rki_json_get(g, "same")) ? "  (the same)" : "");
        }
        rki_putc(&out, '\n');
    }
    if (!list)
        rki_cli_say("error: the engine's answer is not understood");
    code = rki_cli_out(&out) && list ? RKI_EXIT_OK : RKI_EXIT_FAILED;
    rki_buf_fini(&out);
    rki_arena_fini(&mem);
    return code;
}

static int verb_rollback(rki_cli *c)
{
    const struct rollback_args *a = c->args;
    char target[80];
    uint64_t n = 0;
    rki_reply reply;
    int code;
    if (a->list) {
        if (c->n_pos)
            return rki_cli_usage(c, NULL, "--list shows all of them");
        code = rki_remote_get(c, "/v1/generations", &reply);
        if (code)
            return code;
        code = show_list(a->format, &reply);
        rki_buf_fini(&reply.body);
        return code;
    }
    if (c->n_pos && (!rkp_parse_u64(c->pos[0], strlen(c->pos[0]), &n) || !n))
        return rki_cli_usage(c, "rkpipe rollback --list shows those that are kept", "'%s' is no generation", c->pos[0]);
    snprintf(target, sizeof target, "/v1/config:rollback?dry=%d", a->diff ? 1 : 0);
    if (n)
        snprintf(target + strlen(target), sizeof target - strlen(target), "&generation=%llu", (unsigned long long)n);
    code = rki_remote_ask(c, &(rki_call){ .method = "POST", .target = target, .timeout_ms = 600000 }, &reply);
    if (code)
        return code;
    code = show(a->format, a->diff, &reply);
    rki_buf_fini(&reply.body);
    return code;
}

const rki_verb rki_verb_rollback = {
    .name = "rollback",
    .summary = "Go back to the pipeline before the last reload",
    .pos = { "N", 0, 1, RKI_WORDS_NONE, NULL,
             "the generation to go back to; without it the newest one before that differs from what runs" },
    .args = rollback_rows,
    .args_size = sizeof(struct rollback_args),
    .details =
        "A reload with a pipeline that has run before: the file and what it includes as they were then, whatever "
        "stands in them now. What they only name (data, tables, ${file:..}, secrets, the environment) is read anew. It "
        "becomes a new generation, so a second rollback takes the first one back. The file itself is not changed, and "
        "the next reload takes it.\n\n"
        "A run keeps the newest reload.keep_generations of them and the one that runs, in engine.data_dir, and removes "
        "them when it ends.\n\n" RKI_REMOTE_DETAILS "\n\n"
        "Exit codes: those of reload.",
    .examples = "  rkpipe rollback --list\n  rkpipe rollback\n  rkpipe rollback --diff 3\n",
    .run = verb_rollback,
};
