// cli/plan.c - `rkpipe plan`: how a pipeline would run here, and why.
#include "cli/verbs.h"
#include "plan/chain.h"

enum { AS_TEXT, AS_JSON, AS_CUDA };
static const char *const format_names[] = { "text", "json", "cuda", NULL };

struct plan_args {
    rki_load_args load;
    int format;
};

static const rki_arg plan_rows[] = {
    RKI_ARGS_LOAD,
    { .kind = RKI_ARG_CHOICE,
      .name = "format",
      .at = offsetof(struct plan_args, format),
      .choices = format_names,
      .words = RKI_WORDS_CHOICE,
      .help = "text for people, JSON for programs, cuda for the source of what runs on a device" },
    { 0 },
};

static int verb_plan(rki_cli *c)
{
    const struct plan_args *a = c->args;
    rki_loaded l = { 0 };
    rki_buf out;
    int code = rki_cli_load(c, c->pos[0], &a->load, NULL, false, RKI_LOAD_CHECK, &l);
    if (l.diags)
        rki_load_print(c, l.diags);
    rki_buf_init(&out);
    if (code == 0) {
        if (a->format == AS_CUDA && !l.plan->program)
            rki_cli_say("no kernel has 'place: gpu'");
        else if (a->format == AS_CUDA)
            rki_put(&out, l.plan->program->source.p, l.plan->program->source.n);
        else
            (a->format == AS_JSON ? rki_plan_json : rki_plan_text)(l.plan, &out);
        if (!rki_cli_out(&out))
            code = RKI_EXIT_FAILED;
    }
    rki_buf_fini(&out);
    rki_loaded_free(&l);
    return code;
}

const rki_verb rki_verb_plan = {
    .name = "plan",
    .summary = "Show how a pipeline will run here, and why",
    .pos = { "FILE", 1, 1, RKI_WORDS_YAML, NULL, "the pipeline; - is standard input" },
    .args = plan_rows,
    .args_size = sizeof(struct plan_args),
    .details =
        "The kernels in the order in which rows pass them, with the columns they get and give, what nobody reads "
        "(and is therefore not parsed or computed), and where bad rows go; the actors that kernels are fused "
        "into, with replicas, threads and the reason for each decision; the queues between them; the memory.",
    .examples = "  rkpipe plan job.yaml --var in=data.csv --var out=result.csv\n",
    .run = verb_plan,
};
