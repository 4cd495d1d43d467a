// cli/help.c - `rkpipe help`.
#include "cli/verbs.h"

#include <stdio.h>

static int verb_help(rki_cli *c)
{
    const rki_verb *v = NULL;
    rki_buf out;
    bool ok;
    if (c->n_pos && !(v = rki_find_verb(c, c->pos[0]))) {
        const char *names[65], *near;
        char hint[128] = "'rkpipe help' lists the commands";
        size_t n = 0;
        for (; c->verbs[n] && n < 64; n++)
            names[n] = c->verbs[n]->name;
        names[n] = NULL;
        if ((near = rki_nearest(rkp_str_of(c->pos[0]), names)))
            snprintf(hint, sizeof hint, "did you mean '%s'?", near);
        return rki_cli_usage(c, hint, "there is no command '%s'", c->pos[0]);
    }
    rki_buf_init(&out);
    if (v)
        rki_help_verb(v, &out);
    else
        rki_help_all(c, &out);
    ok = rki_cli_out(&out);
    rki_buf_fini(&out);
    return ok ? RKI_EXIT_OK : RKI_EXIT_FAILED;
}

const rki_verb rki_verb_help = {
    .name = "help",
    .summary = "Show this list, or the help of one command",
    .pos = { "COMMAND", 0, 1, RKI_WORDS_VERBS, NULL, "a command" },
    .run = verb_help,
};
