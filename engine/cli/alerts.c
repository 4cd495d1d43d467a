// cli/alerts.c - `rkpipe alerts`: the alert rules of a pipeline, as Prometheus reads them.
#include "cli/verbs.h"
#include "watch/export.h"

struct alerts_args {
    rki_load_args load;
    bool prometheus;
};

static const rki_arg alerts_rows[] = {
    RKI_ARGS_LOAD,
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

static int verb_alerts(rki_cli *c)
{
    const struct alerts_args *a = c->args;
    rki_loaded l = { 0 };
    int code;

    if (strcmp(c->pos[0], "export") != 0)
        return rki_cli_usage(c, "it knows export", "'alerts' does not know '%s'", c->pos[0]);
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
    .summary = "Export the alert rules of a pipeline",
    .pos = { "export PIPELINE", 2, 2, RKI_WORDS_YAML, NULL, "what to do, and the pipeline" },
    .args = alerts_rows,
    .args_size = sizeof(struct alerts_args),
    .details =
        "`export --prometheus` writes the rules to standard output, as a file that `promtool check rules` and "
        "Prometheus' `rule_files` take. Rules with the same `every` and `limit` are a group. A rule with "
        "`resolve_expr` or `no_data` has no words in Prometheus: it is left out, with a warning and a comment in "
        "its place.\n\n"
        "Exit codes: 0; 69 the file is not there; 78 the pipeline is wrong.",
    .examples = "  rkpipe alerts export --prometheus job.yaml > rules.yml\n",
    .run = verb_alerts,
};
