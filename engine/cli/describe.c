// cli/describe.c - `rkpipe describe`: all that is known about an operator or a function, from its own table.
#include "cli/functions.h"
#include "cli/verbs.h"

#include <stdio.h>

struct describe_args {
    const char *all;
    bool markdown;
};

static const rki_arg describe_rows[] = {
    { .kind = RKI_ARG_FLAG,
      .name = "markdown",
      .at = offsetof(struct describe_args, markdown),
      .hidden = true,
      .help = "as a page of the reference" },
    { .kind = RKI_ARG_TEXT,
      .name = "all",
      .value = "FOLDER",
      .at = offsetof(struct describe_args, all),
      .words = RKI_WORDS_FOLDER,
      .hidden = true,
      .help = "write the whole reference into a folder" },
    { 0 },
};

const char *rki_metric_unit_name(int unit)
{
    static const char *const names[] = {
        [RKP_UNIT_ROWS] = "rows", [RKP_UNIT_BYTES] = "bytes", [RKP_UNIT_COUNT] = "count", [RKP_UNIT_SECONDS] = "seconds"
    };
    return names[unit];
}

void rki_traits_text(const rkp_op *op, rki_buf *out, const char *bullet)
{
    const unsigned t = (unsigned)op->traits;
    if (t & RKP_NOT_YET) {
        rki_putf(out, "%snot supported yet\n", bullet);
        return;
    }
    if (op->kind == RKP_TRANSFORM && (t & RKP_STATELESS))
        rki_putf(out, "%skeeps nothing between batches: it is fused with its neighbours and replicated\n", bullet);
    else if (op->kind == RKP_TRANSFORM && (t & RKP_KEYED))
        rki_putf(out, "%skeeps state per key: replicas need `partition_by`\n", bullet);
    else if (op->kind == RKP_TRANSFORM)
        rki_putf(out, "%skeeps state: one replica\n", bullet);
    if (op->kind == RKP_SOURCE)
        rki_putf(out, t & RKP_FINITE ? "%sends by itself\n" : "%sends only when it is told to\n", bullet);
    if (op->decode && !(t & RKP_BLOCKING))
        rki_putf(out, "%sits rows are made by the workers, in replicas\n", bullet);
    else if (op->decode)
        rki_putf(out, "%sreads on a thread of its own; what it reads is decoded by the workers, in replicas\n", bullet);
    else if (op->encode)
        rki_putf(out, "%srows are made text by the workers, in replicas; it writes them in order\n", bullet);
    else if (t & RKP_BLOCKING)
        rki_putf(out, "%smay wait for the outside, so it has a thread of its own\n", bullet);
    if (t & RKP_EXECS)
        rki_putf(out, "%sstarts a command: only with `engine: {allow_exec: true}` or `--allow-exec`\n", bullet);
    if (t & RKP_DETERMINISTIC)
        rki_putf(out, "%sthe same input gives the same output\n", bullet);
    else
        rki_putf(out, "%sthe same input may give another output\n", bullet);
    if (op->retries)
        rki_putf(out, "%s`retry` tries again after: %s\n", bullet, op->retries);
    if ((t & RKP_ROWWISE) && op->kind == RKP_TRANSFORM)
        rki_putf(out, "%severy row that comes in is accounted for: passed, dropped with a reason, or rejected\n",
                 bullet);
}

static void lines(rki_buf *out, const char *text, const char *indent)
{
    while (*text) {
        size_t n = strcspn(text, "\n");
        rki_putf(out, "%s%.*s\n", indent, (int)n, text);
        text += n + (text[n] == '\n');
    }
}

static void example_text(const rkp_op *op, const rkp_example *e, rki_buf *out)
{
    rki_putf(out, "\n  %s\n    op: %s\n", e->title, op->name);
    if (e->with && *e->with) {
        rki_putz(out, "    with:\n");
        lines(out, e->with, "      ");
    }
    if (e->input && *e->input) {
        rki_putz(out, "    gets\n");
        lines(out, e->input, "      | ");
    }
    if (e->output && *e->output) {
        rki_putz(out, op->kind == RKP_SINK ? "    writes\n" : "    gives\n");
        lines(out, e->output, "      | ");
    }
}

void rki_op_describe(const rkp_op *op, rki_buf *out)
{
    rki_putf(out, "%s (%s):", op->name, rki_op_kind_name(op));
    rki_wrap(out, op->summary, strlen(op->name) + strlen(rki_op_kind_name(op)) + 4, 0, 100);
    rki_putc(out, '\n');
    if (op->details && *op->details) {
        rki_putc(out, '\n');
        rki_wrap(out, op->details, 0, 0, 100);
        rki_putc(out, '\n');
    }
    rki_putz(out, "\noptions\n");
    if (op->opts && op->opts[0].name)
        rki_opts_describe(op->opts, out, 2);
    else
        rki_putz(out, "  none\n");
    if (op->outs && op->outs[0].name) {
        rki_putz(out, "\noutput ports\n");
        for (const rkp_port *p = op->outs; p->name; p++)
            rki_putf(out, "  %-12s  %s\n", p->name, p->help);
    }
    if (op->metrics && op->metrics[0].name) {
        rki_putz(out, "\nmetrics\n");
        for (const rkp_metric *m = op->metrics; m->name; m++)
            rki_putf(out, "  %-12s  %s (%s)\n", m->name, m->help, rki_metric_unit_name((int)m->unit));
    }
    rki_putz(out, "\nbehaviour\n");
    rki_traits_text(op, out, "  ");
    if (op->examples && op->examples[0].title) {
        rki_putz(out, "\nexamples\n");
        for (const rkp_example *e = op->examples; e->title; e++)
            example_text(op, e, out);
    }
}

static void function_text(const rki_function *f, rki_buf *out)
{
    rki_putf(out, "%s\n\n", f->usage);
    rki_wrap(out, f->help, 0, 0, 100);
    rki_putc(out, '\n');
    if (f->example)
        rki_putf(out, "\n  %s  gives  %s\n", f->example, f->gives);
}

static int not_found(rki_cli *c, const char *word)
{
    const char *names[512], *near, *other = NULL;
    char hint[160];
    rki_function f;
    size_t n = 0;
    for (size_t i = 0; c->ops[i] && n < 256; i++) {
        const char *also = c->ops[i]->also;
        size_t len = strlen(word);
        names[n++] = c->ops[i]->name;
        for (const char *p = also; p && *p; p += strcspn(p, " ") + (p[strcspn(p, " ")] == ' '))
            if (strncmp(p, word, len) == 0 && (p[len] == ' ' || p[len] == 0))
                other = other ? other : c->ops[i]->name;
    }
    for (size_t i = 0; n < 511 && rki_function_at(i, &f); i++)
        names[n++] = f.name;
    names[n] = NULL;
    near = rki_nearest(rkp_str_of(word), names);
    if (other)
        snprintf(hint, sizeof hint, "'%s' is '%s' here", word, other);
    else if (near)
        snprintf(hint, sizeof hint, "did you mean '%s'?", near);
    else
        snprintf(hint, sizeof hint, "'rkpipe list ops' and 'rkpipe list functions' have the names");
    return rki_cli_usage(c, hint, "there is no operator or function '%s'", word);
}

static int verb_describe(rki_cli *c)
{
    const struct describe_args *a = c->args;
    const rkp_op *op;
    rki_function f;
    rki_buf out;
    bool ok;
    if (a->all)
        return rki_reference_write(c, a->all);
    if (c->n_pos == 0)
        return rki_cli_usage(c, NULL, "'describe' needs %s", c->verb->pos.name);
    op = rki_find_op(c, c->pos[0]);
    if (!op && !rki_function_find(c->pos[0], &f))
        return not_found(c, c->pos[0]);
    rki_buf_init(&out);
    if (op)
        (a->markdown ? rki_op_markdown : rki_op_describe)(op, &out);
    else
        function_text(&f, &out);
    ok = rki_cli_out(&out);
    rki_buf_fini(&out);
    return ok ? RKI_EXIT_OK : RKI_EXIT_FAILED;
}

const rki_verb rki_verb_describe = {
    .name = "describe",
    .summary = "Tell all about an operator or a function",
    .pos = { "NAME", 0, 1, RKI_WORDS_NAMES, NULL, "an operator such as read.csv, or a function of expressions" },
    .args = describe_rows,
    .args_size = sizeof(struct describe_args),
    .examples = "  rkpipe describe aggregate\n  rkpipe describe round\n",
    .run = verb_describe,
};
