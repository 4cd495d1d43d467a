// cli/list.c - `rkpipe list`: the operators, functions and backends of this binary.
#include "base/json.h"
#include "cli/functions.h"
#include "cli/verbs.h"

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
        rki_json_key(j, "name");
        rki_json_z(j, c->ops[i]->name);
        rki_json_key(j, "kind");
        rki_json_z(j, rki_op_kind_name(c->ops[i]));
        rki_json_key(j, "summary");
        rki_json_z(j, c->ops[i]->summary);
        rki_json_key(j, "supported");
        rki_json_bool(j, !(c->ops[i]->traits & RKP_NOT_YET));
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
        rki_json_key(j, "name");
        rki_json_z(j, f.name);
        rki_json_key(j, "group");
        rki_json_z(j, f.group);
        rki_json_key(j, "usage");
        rki_json_z(j, f.usage);
        rki_json_key(j, "summary");
        rki_json_z(j, f.help);
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
        rki_json_key(j, "name");
        rki_json_z(j, c->backends[i]->name);
        rki_json_key(j, "summary");
        rki_json_z(j, c->backends[i]->summary);
        rki_json_end_object(j);
    }
}

static int verb_list(rki_cli *c)
{
    const struct list_args *a = c->args;
    const char *what = c->pos[0];
    rki_buf out;
    rki_json j;
    bool ok;
    if (strcmp(what, "metrics") == 0) {
        rki_cli_say("'list metrics' is not supported yet; 'rkpipe describe OP' has the metrics of an operator");
        return RKI_EXIT_UNAVAILABLE;
    }
    rki_buf_init(&out);
    if (a->format) {
        rki_json_init(&j, &out, 2);
        rki_json_array(&j);
        if (*what == 'o')
            ops_json(c, &j);
        else if (*what == 'f')
            functions_json(&j);
        else
            backends_json(c, &j);
        rki_json_end_array(&j);
        rki_putc(&out, '\n');
    } else if (*what == 'o') {
        ops_text(c, &out);
    } else if (*what == 'f') {
        functions_text(&out);
    } else {
        backends_text(c, &out);
    }
    ok = rki_cli_out(&out);
    rki_buf_fini(&out);
    return ok ? RKI_EXIT_OK : RKI_EXIT_FAILED;
}

const rki_verb rki_verb_list = {
    .name = "list",
    .summary = "List operators, functions of expressions, or backends",
    .pos = { "ops|functions|backends", 1, 1, RKI_WORDS_CHOICE, what_names, "what to list" },
    .args = list_rows,
    .args_size = sizeof(struct list_args),
    .examples = "  rkpipe list ops\n",
    .run = verb_list,
};
