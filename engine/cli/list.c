// cli/list.c - `rkpipe list`: the operators, functions, backends and metrics of this binary.
#include "base/json.h"
#include "cli/functions.h"
#include "cli/verbs.h"
#include "watch/metrics.h"

static const char *const what_names[] = { "ops", "functions", "backends", "metrics", NULL };
static const char *const format_names[] = { "text", "json", NULL };

struct list_args {
    int format;
};

static const rki_arg list_rows[] = {
    { .kind = RKI_ARG_CHOICE,
      .name = "format",
      .at = offsetof(struct list_args, format),
      .choices = format_names,
      .words = RKI_WORDS_CHOICE,
      .help = "text for people, JSON for programs" },
    { 0 },
};

const char *rki_op_kind_name(const rkp_op *op)
{
    static const char *const names[] = { [RKP_SOURCE] = "source", [RKP_TRANSFORM] = "transform", [RKP_SINK] = "sink" };
    return names[op->kind];
}

static void ops_text(const rki_cli *c, rki_buf *out)
{
    static const char *const titles[] = {
        [RKP_SOURCE] = "sources", [RKP_TRANSFORM] = "transforms", [RKP_SINK] = "sinks"
    };
    size_t wide = 0;
    for (size_t i = 0; c->ops[i]; i++)
        wide = strlen(c->ops[i]->name) > wide ? strlen(c->ops[i]->name) : wide;
    for (int kind = RKP_SOURCE; kind <= RKP_SINK; kind++) {
        rki_putf(out, "%s%s\n", kind ? "\n" : "", titles[kind]);
        for (size_t i = 0; c->ops[i]; i++)
            if ((int)c->ops[i]->kind == kind)
                rki_putf(out, "  %-*s  %s%s\n", (int)wide, c->ops[i]->name, c->ops[i]->summary,
                         c->ops[i]->traits & RKP_NOT_YET ? " (not supported yet)" : "");
    }
}

static void ops_json(const rki_cli *c, rki_json *j)
{
    for (size_t i = 0; c->ops[i]; i++) {
        rki_json_object(j);
        rki_json_put_z(j, "name", c->ops[i]->name);
        rki_json_put_z(j, "kind", rki_op_kind_name(c->ops[i]));
        rki_json_put_z(j, "summary", c->ops[i]->summary);
        rki_json_put_bool(j, "supported", !(c->ops[i]->traits & RKP_NOT_YET));
        rki_json_end_object(j);
    }
}

static void functions_text(rki_buf *out)
{
    enum { WIDE = 30 };
    rki_function f;
    for (size_t i = 0; rki_function_at(i, &f); i++) {
        int gap = WIDE - (int)strlen(f.usage);
        if (f.first)
            rki_putf(out, "%s%s\n", i ? "\n" : "", f.group);
        rki_putf(out, "  %s%*s  ", f.usage, gap > 0 ? gap : 0, "");
        rki_wrap(out, f.help, WIDE + 4 + (gap < 0 ? (size_t)-gap : 0), WIDE + 4, 110);
        rki_putc(out, '\n');
    }
}

static void functions_json(rki_json *j)
{
    rki_function f;
    for (size_t i = 0; rki_function_at(i, &f); i++) {
        rki_json_object(j);
        rki_json_put_z(j, "name", f.name);
        rki_json_put_z(j, "group", f.group);
        rki_json_put_z(j, "usage", f.usage);
        rki_json_put_z(j, "summary", f.help);
        rki_json_end_object(j);
    }
}

static void backends_text(const rki_cli *c, rki_buf *out)
{
    for (size_t i = 0; c->backends[i]; i++)
        rki_putf(out, "  %-6s  %s\n", c->backends[i]->name, c->backends[i]->summary);
}

static void backends_json(const rki_cli *c, rki_json *j)
{
    for (size_t i = 0; c->backends[i]; i++) {
        rki_json_object(j);
        rki_json_put_z(j, "name", c->backends[i]->name);
        rki_json_put_z(j, "summary", c->backends[i]->summary);
        rki_json_end_object(j);
    }
}

// ---- metrics

// Row i of all: the engine's, then those of operators.  `name` is memory for it.
static bool metric_at(const rki_cli *c, size_t i, char name[RKI_METRIC_NAME], rki_metric *out)
{
    if (i < RKI_N_METRICS) {
        *out = rki_metrics[i];
        return true;
    }
    i -= RKI_N_METRICS;
    for (size_t o = 0; c->ops[o]; o++)
        for (unsigned m = 0; rki_metric_of_op(c->ops[o], m, name, out); m++)
            if (i-- == 0)
                return true;
    return false;
}

static void metrics_text(const rki_cli *c, rki_buf *out)
{
    char name[RKI_METRIC_NAME];
    rki_metric m;
    for (size_t i = 0; metric_at(c, i, name, &m); i++) {
        rki_putf(out, "%s%s", i == RKI_N_METRICS ? "\n" : "", m.name);
        if (*m.labels)
            rki_putf(out, "{%s}", m.labels);
        rki_putf(out, "\n    %s", rki_metric_kind_name((int)m.kind));
        if (m.unit != RKI_METRIC_NONE)
            rki_putf(out, ", %s", rki_metric_unit_text((int)m.unit));
        rki_putz(out, ": ");
        rki_wrap(out, m.help, 6, 6, 110);
        rki_putc(out, '\n');
    }
}

static void metrics_json(const rki_cli *c, rki_json *j)
{
    char name[RKI_METRIC_NAME];
    rki_metric m;
    for (size_t i = 0; metric_at(c, i, name, &m); i++) {
        rki_json_object(j);
        rki_json_put_z(j, "name", m.name);
        rki_json_put_z(j, "type", rki_metric_kind_name((int)m.kind));
        rki_json_put_z(j, "unit", rki_metric_unit_text((int)m.unit));
        rki_json_key(j, "labels");
        rki_json_array(j);
        for (const char *p = m.labels; *p;) {
            size_t n = strcspn(p, " ");
            rki_json_str(j, (rkp_str){ p, n });
            p += n + (p[n] == ' ');
        }
        rki_json_end_array(j);
        rki_json_put_z(j, "summary", m.help);
        rki_json_end_object(j);
    }
}

void rki_metrics_markdown(const rki_cli *c, rki_buf *out)
{
    char name[RKI_METRIC_NAME];
    rki_metric m;
    for (size_t i = 0; metric_at(c, i, name, &m); i++) {
        if (i == 0 || i == RKI_N_METRICS)
            rki_putf(out, "\n## %s\n\n| metric | type | unit | labels | meaning |\n|---|---|---|---|---|\n",
                     i ? "Of operators" : "Of the engine");
        rki_putf(out, "| `%s` | %s | %s | ", m.name, rki_metric_kind_name((int)m.kind),
                 rki_metric_unit_text((int)m.unit));
        for (const char *p = m.labels; *p;) {
            size_t n = strcspn(p, " ");
            rki_putf(out, "%s`%.*s`", p == m.labels ? "" : ", ", (int)n, p);
            p += n + (p[n] == ' ');
        }
        rki_putz(out, " | ");
        rki_reference_cell(out, m.help);
        rki_putz(out, " |\n");
    }
}

static int verb_list(rki_cli *c)
{
    const struct list_args *a = c->args;
    const char *what = c->pos[0];
    rki_buf out;
    rki_json j;
    bool ok;
    rki_buf_init(&out);
    if (a->format) {
        rki_json_init(&j, &out, 2);
        rki_json_array(&j);
        if (*what == 'o')
            ops_json(c, &j);
        else if (*what == 'f')
            functions_json(&j);
        else if (*what == 'm')
            metrics_json(c, &j);
        else
            backends_json(c, &j);
        rki_json_end_array(&j);
        rki_putc(&out, '\n');
    } else if (*what == 'o') {
        ops_text(c, &out);
    } else if (*what == 'f') {
        functions_text(&out);
    } else if (*what == 'm') {
        metrics_text(c, &out);
    } else {
        backends_text(c, &out);
    }
    ok = rki_cli_out(&out);
    rki_buf_fini(&out);
    return ok ? RKI_EXIT_OK : RKI_EXIT_FAILED;
}

const rki_verb rki_verb_list = {
    .name = "list",
    .summary = "List operators, functions of expressions, backends, or metrics",
    .pos = { "ops|functions|backends|metrics", 1, 1, RKI_WORDS_CHOICE, what_names, "what to list" },
    .args = list_rows,
    .args_size = sizeof(struct list_args),
    .examples = "  rkpipe list ops\n",
    .run = verb_list,
};
