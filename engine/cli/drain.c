// cli/drain.c - `rkpipe drain`: a running engine finishes what it has, and ends.
#include "cli/remote.h"
#include "cli/verbs.h"

struct drain_args {
    rki_remote_args remote;
    bool no_wait;
};

static const rki_arg drain_rows[] = {
    RKI_ARGS_ADMIN,
    { .kind = RKI_ARG_FLAG,
      .name = "no-wait",
      .at = offsetof(struct drain_args, no_wait),
      .help = "do not wait until the engine has ended" },
    { 0 },
};

static int verb_drain(rki_cli *c)
{
    const struct drain_args *a = c->args;
    rki_call call = { .method = "POST", .target = a->no_wait ? "/v1/shutdown" : "/v1/shutdown?wait=1" };
    const rki_json_node *n;
    rki_arena arena;
    rki_reply r;
    uint64_t ended;
    int code = rki_remote_call(c, &call, &r);
    if (code)
        return code;
    rki_arena_init(&arena);
    n = rki_json_read(&arena, (rkp_str){ r.body.p, r.body.n });
    if (!a->no_wait) {
        bool known = rki_json_count(rki_json_get(n, "exit"), &ended);
        if (known && ended)
            rki_cli_say("the engine has ended with exit code %llu", (unsigned long long)ended);
        code = known ? RKI_EXIT_OK : RKI_EXIT_FAILED;
        if (!known)
            rki_cli_say("error: %s",
                        rki_arena_failed(&arena) ? "out of memory" : "the engine does not say how it ended");
    }
    rki_arena_fini(&arena);
    rki_buf_fini(&r.body);
    return code;
}

const rki_verb rki_verb_drain = {
    .name = "drain",
    .summary = "Let a running engine finish what it has and stop",
    .args = drain_rows,
    .args_size = sizeof(struct drain_args),
    .details = "Sources end, what was read is delivered, and the engine ends, as after the first Ctrl-C; within "
               "engine.shutdown.grace. The command waits for that. " RKI_REMOTE_DETAILS "\n\n"
               "Exit codes: 0 the engine has ended, whatever its own exit code (one that is not 0 is said); 1 it was "
               "lost sight of; 64 several engines run here; 69 none can be reached.",
    .examples = "  rkpipe drain && rkpipe run new.yaml\n",
    .run = verb_drain,
};
