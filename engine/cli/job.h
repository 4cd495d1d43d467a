// cli/job.h - a planned pipeline at work in the foreground: progress, signals, log, summary.
//
//   Owns     -
//   Threads  one
//   Fails    what is wrong has been printed; the functions return the exit code
//   Limits   one at a time: signals are the process's
//   Cost     -
#ifndef RKI_JOB_H
#define RKI_JOB_H

#include "cli/cli.h"
#include "cli/data_dir.h"

typedef struct rki_job_args {
    int progress, summary;
    bool quiet, fresh, migrate;
} rki_job_args;

extern const char *const rki_job_progress[], *const rki_job_summary[];

// Rows of these options, for a verb's struct T with a member of rki_job_args.
#define RKI_ARGS_JOB(T, member)                                                                                        \
    { .kind = RKI_ARG_CHOICE,                                                                                          \
      .name = "progress",                                                                                              \
      .at = offsetof(struct T, member) + offsetof(rki_job_args, progress),                                             \
      .choices = rki_job_progress,                                                                                     \
      .words = RKI_WORDS_CHOICE,                                                                                       \
      .help = "a bar on a terminal (auto), or a JSON object a second on standard error" },                             \
        { .kind = RKI_ARG_CHOICE,                                                                                      \
          .name = "summary",                                                                                           \
          .at = offsetof(struct T, member) + offsetof(rki_job_args, summary),                                          \
          .choices = rki_job_summary,                                                                                  \
          .words = RKI_WORDS_CHOICE,                                                                                   \
          .help = "what is printed to standard error at the end" },                                                    \
    {                                                                                                                  \
        .kind = RKI_ARG_FLAG, .name = "quiet", .at = offsetof(struct T, member) + offsetof(rki_job_args, quiet),       \
        .help = "say nothing but errors: no bar, no warnings, no summary"                                              \
    }

void rki_job_signals(void); // before anything is written or started
// Runs it, with `path` as its folder (`dir` may be locked, and is closed).  `replay` NULL: an ordinary run, which serves
// commands.
struct rki_reloader;
int rki_job_run(rki_cli *c, const rki_job_args *a, const rki_loaded *l, const char *path, rki_data_dir *dir,
                rki_replay *replay, struct rki_reloader *reloader);

#endif
