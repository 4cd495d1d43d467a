// cli/tap.c - `rkpipe tap`: rows of a running engine as they pass.
//
// Ctrl-C closes the sending half of the connection; the engine then ends the stream and says how many rows it could not
// give, which is the last thing this says as well.
#include "cli/remote.h"
#include "cli/verbs.h"

#include <errno.h>
#include <rkpipe/num.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static const char *const format_names[] = { "json", "csv", NULL };

struct tap_args {
    rki_remote_args remote;
    const char *limit, *where;
    int format;
};

static const rki_arg tap_rows[] = {
    RKI_ARGS_ADMIN,
    { .kind = RKI_ARG_TEXT,
      .name = "limit",
      .value = "ROWS",
      .at = offsetof(struct tap_args, limit),
      .help = "end after so many rows were shown" },
    { .kind = RKI_ARG_TEXT,
      .name = "where",
      .value = "EXPR",
      .at = offsetof(struct tap_args, where),
      .help = "only rows for which this condition is true, as in a filter" },
    { .kind = RKI_ARG_CHOICE,
      .name = "format",
      .at = offsetof(struct tap_args, format),
      .choices = format_names,
      .words = RKI_WORDS_CHOICE,
      .help = "a JSON object a row, or CSV" },
    { 0 },
};

static volatile int stop; // set by a signal

static void on_signal(int sig)
{
    (void)sig;
    stop = 1;
}

static bool take(void *arg, rkp_str bytes)
{
    rki_buf b;
    bool ok;
    (void)arg;
    rki_buf_init(&b);
    rki_put(&b, bytes.p, bytes.n);
    ok = rki_cli_out(&b);
    rki_buf_fini(&b);
    return ok;
}

static int verb_tap(rki_cli *c)
{
    struct sigaction on = { .sa_handler = on_signal }, old_int, old_term;
    const struct tap_args *a = c->args;
    uint64_t limit = 0;
    rki_buf target;
    rki_reply r;
    int code;
    if (a->limit && (!rkp_parse_u64(a->limit, strlen(a->limit), &limit) || limit == 0))
        return rki_cli_usage(c, NULL, "--limit needs a number of rows from 1, not '%s'", a->limit);
    rki_buf_init(&target);
    rki_putz(&target, "/v1/tap?topic=");
    rki_remote_escape(&target, rkp_str_of(c->pos[0]));
    if (limit)
        rki_putf(&target, "&limit=%llu", (unsigned long long)limit);
    rki_putf(&target, "&format=%s", format_names[a->format]);
    if (a->where) {
        rki_putz(&target, "&where=");
        rki_remote_escape(&target, rkp_str_of(a->where));
    }
    rki_putc(&target, 0);
    if (target.failed) {
        rki_buf_fini(&target);
        return rki_cli_nomem();
    }
    stop = 0;
    signal(SIGPIPE, SIG_IGN); // a reader that has seen enough (| head)
    sigemptyset(&on.sa_mask);
    on.sa_flags = (int)SA_RESETHAND; // once more: at once
    sigaction(SIGINT, &on, &old_int);
    sigaction(SIGTERM, &on, &old_term);
    code = rki_remote_call(c, &(rki_call){ .method = "GET", .target = target.p, .take = take, .stop = &stop }, &r);
    sigaction(SIGINT, &old_int, NULL);
    sigaction(SIGTERM, &old_term, NULL);
    rki_buf_fini(&target);
    if (code)
        return code;
    if (r.missed)
        rki_cli_say("%llu rows passed too fast to be shown and were left out between these",
                    (unsigned long long)r.missed);
    rki_buf_fini(&r.body);
    return RKI_EXIT_OK;
}

const rki_verb rki_verb_tap = {
    .name = "tap",
    .summary = "Show the messages of a topic of a running engine",
    .pos = { "PATTERN", 1, 1, RKI_WORDS_NONE, NULL, "a topic pattern, or kernel:ID, or kernel:ID.PORT" },
    .args = tap_rows,
    .args_size = sizeof(struct tap_args),
    .details =
        "Rows that pass from now on, on standard output, until Ctrl-C, the limit or the end of the run. "
        "kernel:ID shows what a kernel emits. With --where a row is shown when the condition is true for it; one for "
        "which it cannot be computed is not. The pipeline never waits for it: rows that come faster than they "
        "are taken are left out, and at the end it says how many were, between those that it has "
        "shown. " RKI_REMOTE_DETAILS "\n\n"
        "Exit codes: 0; 1 the pattern or the condition is wrong, or nothing can match; 64 usage, or several engines "
        "run here; "
        "69 none can be reached.",
    .examples = "  rkpipe tap 'scores/#' --limit 10\n"
                "  rkpipe tap kernel:score --where 'amount > 500 && status =~ \"^ok\"' --format csv\n",
    .run = verb_tap,
};
