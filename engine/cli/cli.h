// cli/cli.h - the command line: verbs and their options as tables, and what verbs share.
//
//   Owns     an invocation owns what the parser stored; freed when the verb has returned
//   Threads  one
//   Fails    usage errors are printed with a hint and give exit 64
//   Limits   64 options a verb
//   Cost     -
//
// One row per verb, one row per option: parsing, --help, the shells' completion and docs/reference/cli.md are walkers
// over these rows.  The environment, the terminal and standard output are touched in this room only.
#ifndef RKI_CLI_H
#define RKI_CLI_H

#include "base/buf.h"
#include "base/diag.h"
#include "plan/plan.h"
#include "run/run.h"
#include "spec/spec.h"
#include <rkpipe/base.h>

typedef enum rki_arg_kind {
    RKI_ARG_END,    // ends a table
    RKI_ARG_FLAG,   // bool
    RKI_ARG_TEXT,   // const char *, NULL when absent; the last one counts
    RKI_ARG_CHOICE, // int: index in `choices`
    RKI_ARG_PAIRS,  // rki_kvs: K=V, may be repeated
} rki_arg_kind;

// What a shell offers for a word.
typedef enum rki_words {
    RKI_WORDS_NONE,
    RKI_WORDS_YAML,   // pipeline files and folders
    RKI_WORDS_FILE,   // any file
    RKI_WORDS_FOLDER, //
    RKI_WORDS_OPS,    // operators
    RKI_WORDS_NAMES,  // operators and functions
    RKI_WORDS_VERBS,  //
    RKI_WORDS_CHOICE, // `choices`
} rki_words;

typedef struct rki_kvs {
    rki_kv *v;
    size_t n;
} rki_kvs;

typedef struct rki_arg {
    rki_arg_kind kind;
    const char *name;           // without the dashes
    const char *value;          // how help names the value: "PATH"
    size_t at;                  // offsetof the field in the verb's struct
    const char *const *choices; // NULL terminated; the first is the default
    rki_words words;
    bool hidden; // not in help and completion
    const char *help;
} rki_arg;

// The words beside the options.
typedef struct rki_pos {
    const char *name; // "FILE", "PATH.."
    unsigned min, max;
    rki_words words;
    const char *const *choices; // RKI_WORDS_CHOICE
    const char *help;
} rki_pos;

typedef struct rki_cli rki_cli;

typedef struct rki_verb {
    const char *name;
    const char *summary; // one sentence without a full stop
    rki_pos pos;
    const rki_arg *args; // NULL: none; shared rows come by RKI_ARGS_*
    size_t args_size;
    const char *details;    // paragraphs for --help and the reference; may be NULL
    const char *examples;   // lines; may be NULL
    int (*run)(rki_cli *c); // NULL: not supported yet
} rki_verb;

struct rki_cli {
    const rki_verb *const *verbs; // NULL terminated
    const rki_verb *verb;
    const char *const *env;
    const char **pos;
    size_t n_pos;
    void *args; // the verb's struct
    const rkp_op *const *ops;
    const rkp_backend *const *backends;
};

// What loading a pipeline needs; a verb's struct begins with it and its rows with RKI_ARGS_LOAD.
typedef struct rki_load_args {
    rki_kvs vars, sets;
    bool allow_exec;
} rki_load_args;

#define RKI_ARGS_LOAD                                                                                                  \
    { .kind = RKI_ARG_PAIRS,                                                                                           \
      .name = "var",                                                                                                   \
      .value = "NAME=VALUE",                                                                                           \
      .at = offsetof(rki_load_args, vars),                                                                             \
      .help = "set a variable of the pipeline; may be repeated" },                                                     \
        { .kind = RKI_ARG_PAIRS,                                                                                       \
          .name = "set",                                                                                               \
          .value = "KEY.PATH=YAML",                                                                                    \
          .at = offsetof(rki_load_args, sets),                                                                         \
          .help = "change a key of the file before it is checked, e.g. engine.threads=1; may be repeated" },           \
    {                                                                                                                  \
        .kind = RKI_ARG_FLAG, .name = "allow-exec", .at = offsetof(rki_load_args, allow_exec),                         \
        .help = "the pipeline may start commands (read.exec, write.exec), also when the file does not say so"          \
    }

extern const rki_verb *const rki_verbs[]; // main.c

int rki_cli_main(const rki_verb *const *verbs, int argc, const char *const *argv, const char *const *env);

// ---- output ---------------------------------------------------------------------------------------------------------

// Writes all of it; false when it could not (the error has been said).  Clears the buffer.
bool rki_cli_out(rki_buf *b);                             // standard output
void rki_cli_err(rki_buf *b);                             // standard error
void RKP_PRINTF(1, 2) rki_cli_say(const char *fmt, ...);  // "rkpipe: " and the text, standard error
void RKP_PRINTF(1, 2) rki_cli_hint(const char *fmt, ...); // "  = hint: " and the text, standard error
// A usage error; `hint` may be NULL.  Returns RKI_EXIT_USAGE.
int RKP_PRINTF(3, 4) rki_cli_usage(const rki_cli *c, const char *hint, const char *fmt, ...);
int rki_cli_nomem(void); // says it and returns RKI_EXIT_FAILED
bool rki_cli_colour(const rki_cli *c, int fd);
const char *rki_cli_env(const rki_cli *c, const char *name); // NULL when not set
const char *rki_status_text(rkp_status st);
int rki_status_exit(rkp_status st);

// ---- loading --------------------------------------------------------------------------------------------------------

typedef struct rki_machine {
    uint32_t cores;
    uint64_t memory;
} rki_machine;
// Cores this process may use, and memory: of the machine or of its control group, whichever is less.
void rki_machine_look(rki_machine *m);
// Where the modules of this binary are: lib/rkpipe beside it, or beside its folder.  False: there are none.
bool rki_machine_modules(char *to, size_t n);
// The same with the roots of /proc and /sys given, for tests.
uint64_t rki_machine_cgroup_memory(const char *proc, const char *sys);
uint32_t rki_machine_cgroup_cores(const char *proc, const char *sys);

typedef struct rki_loaded {
    const rki_sources *sources;  // load these texts, not the files; NULL: the files
    const struct rki_test *test; // what it is loaded for; NULL: to run
    rki_snapshot **texts;        // gets what was read, also when it is wrong; NULL: not wanted
    rkp_diags *diags;
    rki_spec *spec;
    rki_plan *plan;
} rki_loaded;

typedef enum rki_load_how {
    RKI_LOAD_CHECK, // standard input is not touched
    RKI_LOAD_RUN,
} rki_load_how;

// Spec and plan; `l->diags` is made when NULL.  Findings are collected, not printed.  Returns the exit code so far:
// 0, 69 when the file is not there, 78 when it is wrong, 1 without memory.
int rki_cli_load(rki_cli *c, const char *file, const rki_load_args *a, const char *backend, bool allow_exec,
                 rki_load_how how, rki_loaded *l);
// The same without a plan: a spec with errors in it is loaded all the same, as far as it goes; look at l->diags.
int rki_cli_load_spec(rki_cli *c, const char *file, const rki_load_args *a, const char *backend, bool allow_exec,
                      rki_loaded *l);
int rki_cli_plan(rki_load_how how, rki_loaded *l); // what rki_cli_load does after it
char *rki_cli_data_dir(const rki_spec *s);         // of a run of it; free it; NULL without memory
void rki_loaded_free(rki_loaded *l);
// Prints findings to standard error.
void rki_load_print(const rki_cli *c, rkp_diags *d);

const rkp_op *rki_find_op(const rki_cli *c, const char *name);
const rkp_backend *rki_find_backend(const rki_cli *c, const char *name);
const rki_verb *rki_find_verb(const rki_cli *c, const char *name);

// ---- text -----------------------------------------------------------------------------------------------------------

void rki_help_verb(const rki_verb *v, rki_buf *out);
void rki_help_usage(const rki_verb *v, rki_buf *out, size_t indent); // "rkpipe run FILE [--var ..] ..", wrapped
void rki_help_all(const rki_cli *c, rki_buf *out);
// Text broken at blanks so that lines end before column `width`; lines after the first begin with `indent` blanks.
void rki_wrap(rki_buf *out, const char *text, size_t at, size_t indent, size_t width);

// ---- reference (describe.c, reference.c) ------------------------------------------------------------------------

void rki_op_describe(const rkp_op *op, rki_buf *out);
void rki_op_markdown(const rkp_op *op, rki_buf *out);
void rki_metrics_markdown(const rki_cli *c, rki_buf *out);
void rki_reference_cell(rki_buf *out, const char *text); // of a table
void rki_traits_text(const rkp_op *op, rki_buf *out, const char *bullet);
const char *rki_op_kind_name(const rkp_op *op);
const char *rki_metric_unit_name(int unit);
int rki_reference_write(rki_cli *c, const char *dir);

#endif
