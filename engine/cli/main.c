// cli/main.c - the table of verbs, and main.
#include "cli/cli.h"
#include "cli/verbs.h"

#include <fcntl.h>
#include <unistd.h>

// Known, and not there yet: SPEC.md 10 has them all.
#define LATER(id, n, what) static const rki_verb id = { .name = n, .summary = what }
LATER(verb_bench, "bench", "Measure a pipeline");

const rki_verb *const rki_verbs[] = {
    &rki_verb_run,
    &rki_verb_check,
    &rki_verb_plan,
    &rki_verb_graph,
    &rki_verb_list,
    &rki_verb_describe,
    &rki_verb_schema,
    &rki_verb_eval,
    &rki_verb_new,
    &rki_verb_status,
    &rki_verb_tap,
    &rki_verb_activate,
    &rki_verb_suspend,
    &rki_verb_deactivate,
    &rki_verb_resume,
    &rki_verb_restart,
    &rki_verb_terminate,
    &rki_verb_drain,
    &rki_verb_dlq,
    &rki_verb_checkpoint,
    &rki_verb_version,
    &rki_verb_completion,
    &rki_verb_help,
    &rki_verb_test,
    &rki_verb_top,
    &rki_verb_alerts,
    &rki_verb_reload,
    &rki_verb_rollback,
    &rki_verb_devices,
    &verb_bench,
    NULL,
};

// A standard stream that is closed would be given to the next file that is opened, and messages would go into it.  What
// stands in its place refuses what the stream is for, so reading or writing it still fails.
static void hold_streams(void)
{
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) < 0)
            return;
}

int main(int argc, char **argv)
{
    hold_streams();
    return rki_cli_main(rki_verbs, argc, (const char *const *)argv, (const char *const *)environ);
}
