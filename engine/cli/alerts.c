// cli/alerts.c - `rkpipe alerts`: those of a running engine; and the rules of a pipeline as Prometheus reads them.
#include "cli/remote.h"
#include "cli/verbs.h"
#include "watch/export.h"

static const char *const format_names[] = { "text", "json", NULL };
enum { TEXT, JSON };

struct alerts_args {
    rki_remote_args remote;
    rki_load_args load;
    int format;
    bool prometheus;
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

// One line, and one more for each annotation.
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

static int verb_alerts(rki_cli *c)
{
    const struct alerts_args *a = c->args;
    rki_loaded l = { 0 };
    int code;

    if (c->n_pos == 0)
        return a->prometheus
                   ? rki_cli_usage(c, "rkpipe alerts export --prometheus FILE", "--prometheus goes with export")
                   : show(c, a->format);
    if (strcmp(c->pos[0], "export") != 0)
        return rki_cli_usage(c, "it knows export", "'alerts' does not know '%s'", c->pos[0]);
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
    .summary = "Show the alerts of a running engine, or export the rules of a pipeline",
    .pos = { "export PIPELINE", 0, 2, RKI_WORDS_YAML, NULL, "export: the pipeline whose rules are written" },
    .args = alerts_rows,
    .args_size = sizeof(struct alerts_args),
    .details =
        "Alone it shows the alerts of a running engine: firing, pending, and for 15 minutes those that are "
        "resolved. " RKI_REMOTE_DETAILS "\n\n"
        "`export --prometheus` writes the rules to standard output, as a file that `promtool check rules` and "
        "Prometheus' `rule_files` take. Rules with the same `every` and `limit` are a group. A rule with "
        "`resolve_expr` or `no_data` has no words in Prometheus: it is left out, with a warning and a comment in "
        "its place.\n\n"
        "Exit codes: 0; 64 several engines run here; 69 none can be reached, or the file is not there; 78 the "
        "pipeline is wrong.",
    .examples = "  rkpipe alerts\n"
                "  rkpipe alerts --format json | jq '.alerts[] | select(.state == \"firing\")'\n"
                "  rkpipe alerts export --prometheus job.yaml > rules.yml\n",
    .run = verb_alerts,
};
