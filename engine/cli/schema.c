// cli/schema.c - `rkpipe schema`: JSON Schema of a pipeline file, or of one operator's options.
#include "cli/verbs.h"

#include <stdio.h>

static int verb_schema(rki_cli *c)
{
    const rkp_op *op = NULL;
    rki_buf out;
    rki_json j;
    bool ok;
    if (c->n_pos && !(op = rki_find_op(c, c->pos[0]))) {
        const char *names[256], *near;
        char hint[128] = "'rkpipe list ops' has the names";
        size_t n = 0;
        for (; c->ops[n] && n < 255; n++)
            names[n] = c->ops[n]->name;
        names[n] = NULL;
        if ((near = rki_nearest(rkp_str_of(c->pos[0]), names)))
            snprintf(hint, sizeof hint, "did you mean '%s'?", near);
        return rki_cli_usage(c, hint, "there is no operator '%s'", c->pos[0]);
    }
    rki_buf_init(&out);
    if (op) {
        rki_json_init(&j, &out, 2);
        rki_opts_schema(op->opts, &j);
        rki_putc(&out, '\n');
    } else {
        rki_spec_schema(c->ops, &out);
    }
    ok = rki_cli_out(&out);
    rki_buf_fini(&out);
    return ok ? RKI_EXIT_OK : RKI_EXIT_FAILED;
}

const rki_verb rki_verb_schema = {
    .name = "schema",
    .summary = "Print the JSON Schema of pipeline files, or of one operator's options",
    .pos = { "OP", 0, 1, RKI_WORDS_OPS, NULL, "an operator; without it the schema of a whole file" },
    .details = "Editors that know yaml-language-server complete and check pipeline files with it; schemas/pipeline."
               "schema.json is the same text.",
    .examples = "  rkpipe schema > pipeline.schema.json\n",
    .run = verb_schema,
};
