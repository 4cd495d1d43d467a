// cli/graph.c - `rkpipe graph`: a pipeline as a drawing.
#include "cli/verbs.h"

static const char *const format_names[] = { "dot", "mermaid", "svg", "json", NULL };
static const rki_graph_format formats[] = { RKI_GRAPH_DOT, RKI_GRAPH_MERMAID, RKI_GRAPH_SVG, RKI_GRAPH_JSON };

struct graph_args {
    rki_load_args load;
    int format;
};

static const rki_arg graph_rows[] = {
    RKI_ARGS_LOAD,
    { .kind = RKI_ARG_CHOICE,
      .name = "format",
      .at = offsetof(struct graph_args, format),
      .choices = format_names,
      .words = RKI_WORDS_CHOICE,
      .help = "dot for Graphviz, mermaid for Markdown, svg for a browser, json for programs" },
    { 0 },
};

static int verb_graph(rki_cli *c)
{
    const struct graph_args *a = c->args;
    rki_loaded l = { 0 };
    rki_buf out;
    int code = rki_cli_load(c, c->pos[0], &a->load, NULL, false, RKI_LOAD_CHECK, &l);
    if (l.diags)
        rki_load_print(c, l.diags);
    rki_buf_init(&out);
    if (code == 0) {
        rki_graph(l.plan, formats[a->format], &out);
        if (!rki_cli_out(&out))
            code = RKI_EXIT_FAILED;
    }
    rki_buf_fini(&out);
    rki_loaded_free(&l);
    return code;
}

const rki_verb rki_verb_graph = {
    .name = "graph",
    .summary = "Draw a pipeline",
    .pos = { "FILE", 1, 1, RKI_WORDS_YAML, NULL, "the pipeline; - is standard input" },
    .args = graph_rows,
    .args_size = sizeof(struct graph_args),
    .details = "Kernels are nodes, `from` is an arrow with the name of the port when it is not the first one, and a "
               "dashed arrow leads to where bad rows go.",
    .examples = "  rkpipe graph job.yaml --var in=a.csv --var out=b.csv --format svg > job.svg\n",
    .run = verb_graph,
};
