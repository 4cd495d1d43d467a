// cli/alerts.c - `rkpipe alerts`: those of a running engine; and the rules of a pipeline as Prometheus reads them.
#include "cli/remote.h"
#include "cli/verbs.h"
#include "spec/value.h"
#include "watch/export.h"

#include <stdlib.h>

static const char *const format_names[] = { "text", "json", NULL };
enum { TEXT, JSON };

struct alerts_args {
    rki_remote_args remote;
    rki_load_args load;
    int format;
    bool prometheus;
    const char *how_long, *by, *comment; // silence
};

#define LOAD offsetof(struct alerts_args, load)
static const rki_arg alerts_rows[] = {
    RKI_ARGS_ADMIN,
    { .kind = RKI_ARG_CHOICE,
      .name = "format",
      .at = offsetof(struct alerts_args, format),
      .choices = format_names,
      .words = RKI_WORDS_CHOICE,
      .help = "a table, or what the engine answers" },
    { .kind = RKI_ARG_PAIRS,
      .name = "var",
      .value = "NAME=VALUE",
      .at = LOAD + offsetof(rki_load_args, vars),
      .help = "export: set a variable of the pipeline; may be repeated" },
    { .kind = RKI_ARG_PAIRS,
      .name = "set",
      .value = "KEY.PATH=YAML",
      .at = LOAD + offsetof(rki_load_args, sets),
      .help = "export: change a key of the file before it is checked; may be repeated" },
    { .kind = RKI_ARG_FLAG,
      .name = "prometheus",
      .at = offsetof(struct alerts_args, prometheus),
      .help = "export: as a file of rules for Prometheus" },
    { .kind = RKI_ARG_TEXT,
      .name = "for",
      .value = "DURATION",
      .at = offsetof(struct alerts_args, how_long),
      .help = "silence: how long, as in 30m, 2h or 1d" },
    { .kind = RKI_ARG_TEXT,
      .name = "comment",
      .value = "TEXT",
      .at = offsetof(struct alerts_args, comment),
      .help = "silence: why" },
    { .kind = RKI_ARG_TEXT,
      .name = "by",
      .value = "NAME",
      .at = offsetof(struct alerts_args, by),
      .help = "silence: whose it is ($USER)" },
    { 0 },
};

static int export(const rki_spec *s)
{
    rki_buf b;
    int code;

    rki_buf_init(&b);
    rki_rules_export(s->alerts, s->n_alerts, rkp_word_str(s->name), &b);
    for (size_t i = 0; i < s->n_alerts; i++)
        if (rki_rule_unsaid(&s->alerts[i]))
            rki_cli_say("warning: alert '%s' is left out: %s, which Prometheus does not have", s->alerts[i].name.p,
                        rki_rule_unsaid(&s->alerts[i]));
    code = rki_cli_out(&b) ? RKI_EXIT_OK : RKI_EXIT_FAILED;
    rki_buf_fini(&b);
    return code;
}

// ---- a running engine -----------------------------------------------------------------------------------------------

static rkp_str text_of(const rki_json_node *n, const char *key)
{
    return rki_json_text(rki_json_get(n, key), "");
}

static void put_cell(rki_buf *b, rkp_str s, size_t width)
{
    size_t from = b->n;

    rki_remote_text(b, s);
    while (b->n < from + width && !b->failed)
        rki_putc(b, ' ');
    rki_putz(b, "  ");
}

// Why nobody is told of it: "  silenced by 27e3c71b96ef6c00", "  inhibited by Down".
static void put_muted(rki_buf *b, const rki_json_node *n)
{
    const rki_json_node *by = rki_json_get(n, "silenced_by");
    for (const rki_json_node *s = by ? by->child : NULL; s; s = s->next) {
        rki_putz(b, s == by->child ? "          silenced by " : ", ");
        rki_remote_text(b, rki_json_text(s, ""));
        rki_putz(b, s->next ? "" : "\n");
    }
    by = rki_json_get(n, "inhibited_by");
    for (const rki_json_node *s = by ? by->child : NULL; s; s = s->next) {
        rki_putz(b, s == by->child ? "          inhibited by " : ", ");
        rki_remote_text(b, text_of(s, "alertname"));
        rki_putz(b, s->next ? "" : "\n");
    }
}

// One line, one more for each annotation, and one where nobody is told.
static void put_alert(rki_buf *b, const rki_json_node *n)
{
    const rki_json_node *labels = rki_json_get(n, "labels"), *value = rki_json_get(n, "value"), *notes;
    bool comma = false;

    put_cell(b, text_of(n, "state"), 8);
    put_cell(b, text_of(labels, "severity"), 8);
    put_cell(b, text_of(n, "alert"), 20);
    put_cell(b, text_of(n, "active_at"), 24);
    put_cell(b, value && value->kind == RKI_JSON_NUMBER ? value->text : RKP_STR("-"), 10);
    for (const rki_json_node *l = labels ? labels->child : NULL; l; l = l->next) {
        if (rkp_str_is(l->key, "alertname") || rkp_str_is(l->key, "severity"))
            continue;
        rki_putz(b, comma ? ", " : "");
        rki_remote_text(b, l->key);
        rki_putc(b, '=');
        rki_remote_text(b, l->text);
        comma = true;
    }
    rki_putc(b, '\n');
    notes = rki_json_get(n, "annotations");
    for (const rki_json_node *l = notes ? notes->child : NULL; l; l = l->next) {
        rki_putz(b, "          ");
        rki_remote_text(b, l->key);
        rki_putz(b, ": ");
        rki_remote_text(b, l->text);
        rki_putc(b, '\n');
    }
    put_muted(b, n);
}

static void put_all(rki_buf *b, const rki_json_node *n)
{
    static const char *const order[] = { "firing", "pending", "resolved", NULL };
    const rki_json_node *alerts = rki_json_get(n, "alerts"), *rules = rki_json_get(n, "rules");

    if (alerts && alerts->n)
        rki_putf(b, "%-8s  %-8s  %-20s  %-24s  %-10s  %s\n", "state", "severity", "alert", "since", "value", "labels");
    else
        rki_putf(b, "no alerts, %zu rules\n", rules ? rules->n : 0);
    for (const char *const *o = order; *o; o++)
        for (const rki_json_node *a = alerts ? alerts->child : NULL; a; a = a->next)
            if (rkp_str_is(text_of(a, "state"), *o))
                put_alert(b, a);
    for (const rki_json_node *r = rules ? rules->child : NULL; r; r = r->next) {
        if (!rki_json_get(r, "error"))
            continue;
        rki_putz(b, "rule ");
        rki_remote_text(b, text_of(r, "alert"));
        rki_putz(b, " cannot be evaluated: ");
        rki_remote_text(b, text_of(r, "error"));
        rki_putc(b, '\n');
    }
}

static int show(rki_cli *c, int format)
{
    const rki_json_node *n;
    rki_arena arena;
    rki_reply r;
    rki_buf b;
    int code = rki_remote_get(c, "/v1/alerts", &r);

    if (code)
        return code;
    if (format == JSON) {
        code = rki_cli_out(&r.body) ? RKI_EXIT_OK : RKI_EXIT_FAILED;
        rki_buf_fini(&r.body);
        return code;
    }
    rki_arena_init(&arena);
    rki_buf_init(&b);
    n = rki_json_read(&arena, (rkp_str){ r.body.p, r.body.n });
    if (n) {
        put_all(&b, n);
        code = rki_cli_out(&b) ? RKI_EXIT_OK : RKI_EXIT_FAILED;
    } else {
        rki_cli_say("error: %s", rki_arena_failed(&arena) ? "out of memory" : "the engine's answer is not JSON");
        code = RKI_EXIT_FAILED;
    }
    rki_buf_fini(&b);
    rki_arena_fini(&arena);
    rki_buf_fini(&r.body);
    return code;
}

// ---- silences -------------------------------------------------------------------------------------------------------

static void put_param(rki_buf *b, const char *name, const char *value)
{
    rki_putf(b, "%s=", name);
    rki_remote_escape(b, rkp_str_of(value ? value : ""));
}

// POSTs it; 0: the answer is in r.
static int post(rki_cli *c, rki_buf *target, rki_reply *r)
{
    rki_call call = { .method = "POST" };
    char *z = rki_buf_take(target, NULL);
    int code;

    if (!z)
        return rki_cli_nomem();
    call.target = z;
    code = rki_remote_call(c, &call, r);
    free(z);
    return code;
}

static int silence(rki_cli *c, const struct alerts_args *a)
{
    const char *hint = NULL, *user = rki_cli_env(c, "USER");
    uint64_t ns = 0;
    rki_buf target, matchers;
    rki_arena arena;
    rki_reply r = { 0 };
    int code;

    if (c->n_pos < 2)
        return rki_cli_usage(c, "rkpipe alerts silence alert=NAME kernel=~'read.*' --for 2h",
                             "'alerts silence' needs conditions on labels");
    if (!a->how_long || rki_value_duration(rkp_str_of(a->how_long), &ns, &hint) != RKI_VALUE_OK || ns < 1000000000)
        return rki_cli_usage(c, "--for 2h", "'alerts silence' needs --for: how long, at least 1s");
    rki_buf_init(&target);
    rki_buf_init(&matchers);
    for (size_t i = 1; i < c->n_pos; i++)
        rki_putf(&matchers, "%s%s", i > 1 ? "," : "", c->pos[i]);
    rki_putc(&matchers, 0);
    rki_putf(&target, "/v1/notify:silence?seconds=%llu&", (unsigned long long)(ns / 1000000000));
    put_param(&target, "by", a->by ? a->by : user);
    put_param(&target, "&comment", a->comment);
    put_param(&target, "&matchers", matchers.failed ? "" : matchers.p);
    target.failed = target.failed || matchers.failed;
    rki_buf_fini(&matchers);
    code = post(c, &target, &r);
    if (code)
        return code;
    rki_arena_init(&arena);
    if (a->format == JSON) {
        code = rki_cli_out(&r.body) ? RKI_EXIT_OK : RKI_EXIT_FAILED;
    } else {
        const rki_json_node *n = rki_json_read(&arena, (rkp_str){ r.body.p, r.body.n });

        rki_buf_init(&target);
        rki_remote_text(&target, text_of(n, "id"));
        rki_putc(&target, '\n');
        code = rki_cli_out(&target) ? RKI_EXIT_OK : RKI_EXIT_FAILED;
        rki_buf_fini(&target);
    }
    rki_arena_fini(&arena);
    rki_buf_fini(&r.body);
    return code;
}

static int unsilence(rki_cli *c)
{
    int code = 0;

    if (c->n_pos < 2)
        return rki_cli_usage(c, "'rkpipe alerts silences' shows them", "'alerts unsilence' needs the id of a silence");
    for (size_t i = 1; i < c->n_pos && code == 0; i++) {
        rki_reply r = { 0 };
        rki_buf target;

        rki_buf_init(&target);
        put_param(&target, "/v1/notify:unsilence?id", c->pos[i]);
        code = post(c, &target, &r);
        if (code == 0)
            rki_buf_fini(&r.body);
    }
    return code;
}

static void put_receivers(rki_buf *b, const rki_json_node *n)
{
    for (const rki_json_node *w = n ? n->child : NULL; w; w = w->next) {
        const rki_json_node *sent = rki_json_get(w, "sent"), *error = rki_json_get(w, "error");

        put_cell(b, text_of(w, "receiver"), 16);
        put_cell(b, text_of(w, "kind"), 12);
        put_cell(b, sent ? sent->text : RKP_STR("-"), 8);
        rki_remote_text(b, error ? error->text : RKP_STR("-"));
        rki_putc(b, '\n');
    }
}

static void put_silences(rki_buf *b, const rki_json_node *n)
{
    if (!n || !n->child) {
        rki_putz(b, "no silences\n");
        return;
    }
    rki_putf(b, "%-16s  %-24s  %-12s  %s\n", "silence", "until", "by", "labels");
    for (const rki_json_node *s = n->child; s; s = s->next) {
        put_cell(b, text_of(s, "id"), 16);
        put_cell(b, text_of(s, "ends_at"), 24);
        put_cell(b, text_of(s, "by"), 12);
        rki_remote_text(b, text_of(s, "matchers"));
        if (text_of(s, "comment").n) {
            rki_putz(b, "  # ");
            rki_remote_text(b, text_of(s, "comment"));
        }
        rki_putc(b, '\n');
    }
}

static int show_notify(rki_cli *c, int format, bool silences)
{
    const rki_json_node *n;
    rki_arena arena;
    rki_reply r;
    rki_buf b;
    int code = rki_remote_get(c, "/v1/notify", &r);

    if (code)
        return code;
    rki_arena_init(&arena);
    rki_buf_init(&b);
    if (format == JSON) {
        rki_put(&b, r.body.p, r.body.n);
    } else {
        n = rki_json_read(&arena, (rkp_str){ r.body.p, r.body.n });
        if (silences) {
            put_silences(&b, rki_json_get(n, "silences"));
        } else {
            rki_putf(&b, "%-16s  %-12s  %-8s  %s\n", "receiver", "kind", "sent", "error");
            put_receivers(&b, rki_json_get(n, "receivers"));
        }
    }
    code = rki_cli_out(&b) ? RKI_EXIT_OK : RKI_EXIT_FAILED;
    rki_buf_fini(&b);
    rki_arena_fini(&arena);
    rki_buf_fini(&r.body);
    return code;
}

static int verb_alerts(rki_cli *c)
{
    const struct alerts_args *a = c->args;
    rki_loaded l = { 0 };
    int code;

    if (c->n_pos == 0)
        return a->prometheus
                   ? rki_cli_usage(c, "rkpipe alerts export --prometheus FILE", "--prometheus goes with export")
                   : show(c, a->format);
    if (strcmp(c->pos[0], "silence") == 0)
        return silence(c, a);
    if (strcmp(c->pos[0], "unsilence") == 0)
        return unsilence(c);
    if (strcmp(c->pos[0], "silences") == 0 || strcmp(c->pos[0], "receivers") == 0)
        return show_notify(c, a->format, c->pos[0][0] == 's');
    if (strcmp(c->pos[0], "export") != 0)
        return rki_cli_usage(c, "it knows export, silence, silences, unsilence and receivers",
                             "'alerts' does not know '%s'", c->pos[0]);
    if (c->n_pos > 2)
        return rki_cli_usage(c, NULL, "'alerts export' takes one pipeline");
    if (c->n_pos < 2)
        return rki_cli_usage(c, NULL, "'alerts export' needs a pipeline");
    if (!a->prometheus)
        return rki_cli_usage(c, "the form is --prometheus", "'alerts export' needs a form");
    code = rki_cli_load_spec(c, c->pos[1], &a->load, NULL, false, &l);
    if (code && l.diags)
        rki_load_print(c, l.diags);
    else if (!code)
        code = export(l.spec);
    rki_loaded_free(&l);
    return code;
}

const rki_verb rki_verb_alerts = {
    .name = "alerts",
    .summary = "Show and silence the alerts of a running engine, or export the rules of a pipeline",
    .pos = { "export PIPELINE|silence MATCHER..|silences|unsilence ID..|receivers", 0, 32, RKI_WORDS_YAML, NULL,
             "export: the pipeline whose rules are written; silence: conditions on labels; unsilence: ids" },
    .args = alerts_rows,
    .args_size = sizeof(struct alerts_args),
    .details =
        "Alone it shows the alerts of a running engine: firing, pending, and for 15 minutes those that are "
        "resolved. " RKI_REMOTE_DETAILS "\n\n"
        "`export --prometheus` writes the rules to standard output, as a file that `promtool check rules` and "
        "Prometheus' `rule_files` take. Rules with the same `every` and `limit` are a group. A rule with "
        "`resolve_expr` or `no_data` has no words in Prometheus: it is left out, with a warning and a comment in "
        "its place.\n\n"
        "`silence` tells nobody of alerts whose labels are like that, for the time of --for: NAME=VALUE, !=, and =~ "
        "and "
        "!~ with a pattern of the whole value; all conditions must hold, and `alert` is the alert's name. It prints "
        "the "
        "id of the silence, which is kept in the data folder over a restart. `silences` lists them, `unsilence` ends "
        "one, `receivers` shows who was told how often.\n\n"
        "Exit codes: 0; 1 the engine refuses it; 64 several engines run here; 69 none can be reached, or the file is "
        "not there; 78 the "
        "pipeline is wrong.",
    .examples = "  rkpipe alerts\n"
                "  rkpipe alerts --format json | jq '.alerts[] | select(.state == \"firing\")'\n"
                "  rkpipe alerts export --prometheus job.yaml > rules.yml\n"
                "  rkpipe alerts silence alert=QueueFull 'kernel=~\"read.*\"' --for 2h --comment 'disk is replaced'\n",
    .run = verb_alerts,
};
