// cli/command.c - `rkpipe activate|suspend|resume|restart|terminate KERNEL`: one command to a kernel of a running engine.
#include "cli/remote.h"
#include "cli/verbs.h"

enum { TIMEOUT_MS = 30000 };

static const rki_arg command_rows[] = { RKI_ARGS_ADMIN, { 0 } };

static int verb_command(rki_cli *c)
{
    rki_buf target;
    rki_arena a;
    rki_reply r;
    int code;
    rki_buf_init(&target);
    rki_putz(&target, "/v1/kernels/");
    rki_remote_escape(&target, rkp_str_of(c->pos[0]));
    rki_putf(&target, ":%s", c->verb->name);
    rki_putc(&target, 0);
    if (target.failed) {
        rki_buf_fini(&target);
        return rki_cli_nomem();
    }
    code = rki_remote_call(c, &(rki_call){ .method = "POST", .target = target.p, .timeout_ms = TIMEOUT_MS }, &r);
    rki_buf_fini(&target);
    if (code)
        return code;
    rki_arena_init(&a);
    rki_buf_init(&target);
    rki_remote_text(&target,
                    rki_json_text(rki_json_get(rki_json_read(&a, (rkp_str){ r.body.p, r.body.n }), "message"), "done"));
    rki_putc(&target, '\n');
    code = rki_cli_out(&target) ? RKI_EXIT_OK : RKI_EXIT_FAILED;
    rki_buf_fini(&target);
    rki_arena_fini(&a);
    rki_buf_fini(&r.body);
    return code;
}

#define EXIT_CODES                                                                                                     \
    " " RKI_REMOTE_DETAILS "\n\nExit codes: 0 the kernel is in the state that was asked for; 1 its state does not "    \
    "allow it, no kernel has that name, or it came to no batch boundary in time, and nothing has changed; 64 several " \
    "engines run here; 69 none can be reached."
#define COMMAND(id, verb, what, says)                                                                                  \
    const rki_verb id = {                                                                                              \
        .name = verb,                                                                                                  \
        .summary = what,                                                                                               \
        .pos = { "KERNEL", 1, 1, RKI_WORDS_NONE, NULL, "a kernel of the running pipeline" },                           \
        .args = command_rows,                                                                                          \
        .args_size = sizeof(rki_remote_args),                                                                          \
        .details = says EXIT_CODES,                                                                                    \
        .run = verb_command,                                                                                           \
    }

COMMAND(rki_verb_activate, "activate", "Activate a kernel",
        "A kernel that is launched (start: suspended) or suspended begins to work.");
COMMAND(rki_verb_suspend, "suspend", "Suspend a kernel",
        "The kernel stops after the batch at hand and keeps its state and its queue; when the queue is full, what "
        "feeds it does what the queue's overflow says.");
COMMAND(rki_verb_deactivate, "deactivate", "Suspend a kernel", "The same as suspend.");
COMMAND(rki_verb_resume, "resume", "Resume a suspended kernel", "The same as activate.");
COMMAND(rki_verb_restart, "restart", "Restart a kernel",
        "A new instance takes over at a batch boundary, with the same queues and without the state.");
COMMAND(rki_verb_terminate, "terminate", "Terminate a kernel",
        "The kernel ends for good. What still comes for it is dropped and counted with the reason terminated.");
