// cli/check.c - `rkpipe check`: everything that is wrong with one or many pipelines, before anything runs.
#include "cli/paths.h"
#include "cli/test.h"
#include "cli/verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *const format_names[] = { "text", "json", "sarif", NULL };
enum { FORMAT_TEXT, FORMAT_JSON, FORMAT_SARIF };

struct check_args {
    rki_load_args load;
    int format;
    bool deny, print;
};

static const rki_arg check_rows[] = {
    RKI_ARGS_LOAD,
    { .kind = RKI_ARG_CHOICE,
      .name = "format",
      .at = offsetof(struct check_args, format),
      .choices = format_names,
      .words = RKI_WORDS_CHOICE,
      .help = "how findings are printed; sarif is what code hosts read" },
    { .kind = RKI_ARG_FLAG,
      .name = "deny-warnings",
      .at = offsetof(struct check_args, deny),
      .help = "a warning fails the check, too" },
    { .kind = RKI_ARG_FLAG,
      .name = "print",
      .at = offsetof(struct check_args, print),
      .help = "print the pipeline with includes, templates and variables resolved; findings go to standard error" },
    { 0 },
};

static bool is_pipeline(const char *name)
{
    return rki_is_yaml(name) && !rki_is_test_file(name);
}

// The pipelines of a folder: *.yaml and *.yml, without files of tests, in the order of their bytes.
static int add_folder(rki_paths *p, const char *folder)
{
    size_t first = p->n;
    int rc = rki_paths_add_folder(p, folder, is_pipeline);
    if (rc == 0 && p->n == first) {
        rki_cli_say("error: no *.yaml or *.yml in '%s'", folder);
        rc = RKI_EXIT_UNAVAILABLE;
    }
    return rc;
}

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

static void good(const char *file, const rki_loaded *l, size_t n_tests, size_t warnings, rki_buf *out)
{
    size_t kernels = l->spec ? l->spec->n_kernels : 0;
    rki_putf(out, "ok: %s (", file);
    if (l->spec)
        rki_putf(out, "%zu kernel%s", kernels, plural(kernels));
    if (n_tests)
        rki_putf(out, "%s%zu test%s", l->spec ? ", " : "", n_tests, plural(n_tests));
    if (warnings)
        rki_putf(out, ", %zu warning%s", warnings, plural(warnings));
    rki_putz(out, ")\n");
}

static void verdict(const char *file, const rki_loaded *l, bool failed, size_t n_tests, rki_buf *out)
{
    size_t errors = rki_diags_count(l->diags, RKP_ERROR), warnings = rki_diags_count(l->diags, RKP_WARNING);
    if (failed && errors == 0)
        rki_putf(out, "%s: %zu warning%s, and --deny-warnings\n", file, warnings, plural(warnings));
    else if (failed)
        rki_putf(out, "%s: %zu error%s, %zu warning%s\n", file, errors, plural(errors), warnings, plural(warnings));
    else
        good(file, l, n_tests, warnings, out);
}

// A file of tests: it has no kernels of its own.
static int check_tests(rki_cli *c, const struct check_args *a, const char *file, rki_loaded *l, size_t *n)
{
    if (!l->diags)
        l->diags = rki_diags_new();
    return l->diags ? rki_tests_check(c, &a->load, file, l->diags, n) : rki_cli_nomem();
}

// One file.  With `shared` findings the caller prints them.
static int check_one(rki_cli *c, const struct check_args *a, const char *file, rkp_diags *shared, rki_buf *out)
{
    rki_loaded l = { .diags = shared };
    size_t before = rki_diags_count(shared, RKP_WARNING);
    size_t n_tests = 0;
    int code = rki_is_test_file(file) ? check_tests(c, a, file, &l, &n_tests)
                                      : rki_cli_load(c, file, &a->load, NULL, false, RKI_LOAD_CHECK, &l);
    if (!l.diags)
        return code;
    if (code == 0 && l.spec && rki_node_get(l.spec->root, "tests"))
        code = rki_tests_check(c, &a->load, file, l.diags, &n_tests);
    if (code == 0 && a->deny && rki_diags_count(l.diags, RKP_WARNING) > before)
        code = RKI_EXIT_INVALID;
    if (code == 0 && a->print && l.spec)
        rki_spec_print(l.spec, out);
    if (!shared && a->print) {
        rki_load_print(c, l.diags);
    } else if (!shared) {
        rki_diags_text(l.diags, out, rki_cli_colour(c, STDOUT_FILENO));
        if (code != RKI_EXIT_FAILED)
            verdict(file, &l, code != 0, n_tests, out);
    }
    if (shared)
        l.diags = NULL;
    rki_loaded_free(&l);
    return code;
}

static int check_all(rki_cli *c, const struct check_args *a, const rki_paths *p)
{
    rkp_diags *shared = NULL;
    rki_buf out;
    int code = 0;
    if (a->format != FORMAT_TEXT) {
        shared = rki_diags_new();
        if (!shared)
            return rki_cli_nomem();
    }
    rki_buf_init(&out);
    for (size_t i = 0; i < p->n; i++) {
        int one = check_one(c, a, p->v[i], shared, &out);
        if (one && code != RKI_EXIT_INVALID)
            code = one;
        if (!rki_cli_out(&out))
            break;
    }
    if (a->format == FORMAT_JSON)
        rki_diags_json(shared, &out);
    else if (a->format == FORMAT_SARIF)
        rki_diags_sarif(shared, &out);
    if (!rki_cli_out(&out) && code == 0)
        code = RKI_EXIT_FAILED;
    rki_buf_fini(&out);
    rki_diags_free(shared);
    return code;
}

static int verb_check(rki_cli *c)
{
    const struct check_args *a = c->args;
    rki_paths p = { 0 };
    int code = 0;
    if (a->print && a->format != FORMAT_TEXT)
        return rki_cli_usage(c, NULL, "--print and --format %s exclude each other", format_names[a->format]);
    for (size_t i = 0; code == 0 && i < c->n_pos; i++) {
        if (rki_is_folder(c->pos[i]))
            code = add_folder(&p, c->pos[i]);
        else if (!rki_paths_add(&p, c->pos[i], NULL))
            code = rki_cli_nomem();
    }
    if (code == 0)
        code = check_all(c, a, &p);
    rki_paths_fini(&p);
    return code;
}

const rki_verb rki_verb_check = {
    .name = "check",
    .summary = "Check pipelines without running them",
    .pos = { "PATH..", 1, 1u << 20, RKI_WORDS_YAML, NULL,
             "pipelines, or folders: all *.yaml and *.yml in them; - is standard input" },
    .args = check_rows,
    .args_size = sizeof(struct check_args),
    .details = "All findings are shown at once, each with its place, what is wrong, and a hint where there is one. "
               "Input files are looked at for their columns and types; one that is missing is only a note, and what "
               "depends on it is checked when the pipeline starts.\n\n"
               "Exit codes: 0 no errors; 69 a file to check is not there; 78 errors, or warnings with "
               "--deny-warnings.",
    .examples = "  rkpipe check pipelines/ --deny-warnings\n"
                "  rkpipe check job.yaml --var in=data.csv --var out=result.csv --print\n",
    .run = verb_check,
};
