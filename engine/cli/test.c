// cli/test.c - `rkpipe test`: the tests of pipelines, one after the other.
#include "cli/test.h"
#include "cli/paths.h"
#include "cli/verbs.h"

#include <errno.h>
#include <fnmatch.h>
#include <rkpipe/num.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH = 32 };

struct test_args {
    rki_load_args load;
    const char *junit, *only, *seed;
};

static const rki_arg test_rows[] = {
    RKI_ARGS_LOAD,
    { .kind = RKI_ARG_TEXT,
      .name = "junit",
      .value = "FILE",
      .at = offsetof(struct test_args, junit),
      .words = RKI_WORDS_FILE,
      .help = "write the results as JUnit XML, too" },
    { .kind = RKI_ARG_TEXT,
      .name = "only",
      .value = "PATTERN",
      .at = offsetof(struct test_args, only),
      .help = "run the tests whose names match: * is any text" },
    { .kind = RKI_ARG_TEXT,
      .name = "seed",
      .value = "N",
      .at = offsetof(struct test_args, seed),
      .help = "take the steps of kernels in another order, the same for the same number" },
    { 0 },
};

// Which kernels of a pipeline rows have passed, and which of its alerts have fired, over all of its tests.
struct covered {
    const char *name;
    bool yes;
};

struct pipeline {
    const char *file;
    struct covered *v, *rules;
    size_t n, n_rules;
    struct pipeline *next;
};

struct testing {
    rki_cli *c;
    const struct test_args *a;
    uint64_t seed;
    rki_arena arena;
    struct pipeline *pipelines, **tail;
    rki_junit *junit;
    const rki_case *at_work;
    size_t n, failed, broken, files;
    bool nomem, stopped; // standard output is gone
};

// ---- files ----------------------------------------------------------------------------------------------------------

// Every *.yaml and *.yml below, in the order of their bytes; hidden ones are left out.
static int add_folder(rki_paths *to, const char *folder, int depth)
{
    rki_paths here = { 0 };
    int rc = rki_paths_add_folder(&here, folder, NULL);
    for (size_t i = 0; rc == 0 && i < here.n; i++) {
        struct stat st;
        if (stat(here.v[i], &st) != 0)
            continue;
        if (S_ISDIR(st.st_mode) && depth < DEPTH)
            rc = add_folder(to, here.v[i], depth + 1);
        else if (S_ISREG(st.st_mode) && rki_is_yaml(here.v[i]) && !rki_paths_add(to, here.v[i], NULL))
            rc = rki_cli_nomem();
    }
    rki_paths_fini(&here);
    return rc;
}

// ---- coverage -------------------------------------------------------------------------------------------------------

static struct pipeline *pipeline_of(struct testing *w, const char *file, const rki_spec *s)
{
    struct pipeline *to;
    for (to = w->pipelines; to; to = to->next)
        if (strcmp(to->file, file) == 0)
            return to;
    to = rki_alloc(&w->arena, sizeof *to);
    if (!to)
        return NULL;
    to->file = rki_dup(&w->arena, file, strlen(file));
    to->v = rki_array(&w->arena, s->n_kernels + 1u, sizeof *to->v);
    for (size_t i = 0; to->v && i < s->n_kernels; i++)
        if (s->kernels[i].id.p[0] != '$')
            to->v[to->n++].name = rki_dup(&w->arena, s->kernels[i].id.p, s->kernels[i].id.n);
    to->rules = rki_array(&w->arena, s->n_alerts + 1, sizeof *to->rules);
    for (size_t i = 0; to->rules && i < s->n_alerts; i++)
        to->rules[to->n_rules++].name = rki_dup(&w->arena, s->alerts[i].name.p, s->alerts[i].name.n);
    *w->tail = to;
    w->tail = &to->next;
    return rki_arena_failed(&w->arena) ? NULL : to;
}

static void count(void *arg, const rki_run *r)
{
    struct testing *w = arg;
    const rki_case *k = w->at_work;
    struct pipeline *p = pipeline_of(w, k->tests->pipeline, k->l.spec);
    for (uint32_t i = 0; p && i < k->l.plan->n_kernels; i++) {
        const rki_mock *m = rki_test_mock(k->t, rkp_word_str(k->l.plan->kernels[i].k->id));
        rki_kernel_counts n;
        rki_run_counts(r, i, &n);
        if ((m && m->op) || !(n.rows_in || n.rows_out))
            continue;
        for (size_t v = 0; v < p->n; v++)
            if (strcmp(p->v[v].name, n.kernel) == 0)
                p->v[v].yes = true;
    }
    w->nomem |= !p;
}

// Rules of a template of a file may differ from test to test, but not in number: `enabled` is not theirs.
static void count_rules(struct testing *w, const rki_case *k)
{
    struct pipeline *p = pipeline_of(w, k->tests->pipeline, k->l.spec);
    for (size_t i = 0; p && i < p->n_rules && i < k->l.spec->n_alerts; i++)
        p->rules[i].yes |= rki_case_fired(k, i);
    w->nomem |= !p;
}

static size_t n_covered(const struct covered *v, size_t n)
{
    size_t yes = 0;
    for (size_t i = 0; i < n; i++)
        yes += v[i].yes;
    return yes;
}

static void put_others(const struct covered *v, size_t n, const char *words, rki_buf *out)
{
    size_t no = 0;
    for (size_t i = 0; i < n; i++)
        if (!v[i].yes)
            rki_putf(out, "%s%s", no++ ? ", " : words, v[i].name);
    rki_putc(out, '\n');
}

static void put_coverage(const struct testing *w, rki_buf *out)
{
    for (const struct pipeline *p = w->pipelines; p; p = p->next) {
        rki_putf(out, "%s: rows passed %zu of %zu kernels", p->file, n_covered(p->v, p->n), p->n);
        put_others(p->v, p->n, "; none passed ", out);
        if (!p->n_rules)
            continue;
        rki_putf(out, "%s: %zu of %zu alerts fired", p->file, n_covered(p->rules, p->n_rules), p->n_rules);
        put_others(p->rules, p->n_rules, "; never ", out);
    }
}

// ---- tests ----------------------------------------------------------------------------------------------------------

static void tell(struct testing *w, const char *file, const char *name, rki_test_outcome o, const rki_case *k,
                 rki_buf *text)
{
    static const char *const words[] = { "ok    ", "FAIL  ", "ERROR " };
    static const char *const codes[] = { "\033[32m", "\033[31m", "\033[31m" };
    bool colour = rki_cli_colour(w->c, STDOUT_FILENO);
    rki_buf out;
    rki_buf_init(&out);
    rki_putf(&out, "%s%s%s%s: %s\n", colour ? codes[o] : "", words[o], colour ? "\033[0m" : "", file, name);
    rki_put(&out, text->p ? text->p : "", text->n);
    w->n++;
    w->failed += o == RKI_TEST_FAILED;
    w->broken += o == RKI_TEST_BROKEN;
    if (w->junit && !rki_junit_add(w->junit, file, name, o, k ? k->seconds : 0, (rkp_str){ text->p, text->n }))
        w->nomem = true;
    if (!rki_cli_out(&out))
        w->stopped = true;
    rki_buf_fini(&out);
}

static void one_test(struct testing *w, const char *file, const rki_tests *tests, const rki_test *t)
{
    rki_case k;
    rki_test_outcome o = RKI_TEST_OK;
    int code = rki_case_prepare(w->c, &w->a->load, tests, t, &k);
    if (code && k.l.diags) {
        rki_case_findings(&k, rki_cli_colour(w->c, STDOUT_FILENO), &k.report);
        o = RKI_TEST_BROKEN;
    } else if (!code) {
        k.colour = rki_cli_colour(w->c, STDOUT_FILENO);
        w->at_work = &k;
        code = rki_case_run(w->seed, &k, count, w);
        count_rules(w, &k);
        o = code ? RKI_TEST_BROKEN : k.failures ? RKI_TEST_FAILED : RKI_TEST_OK;
    }
    tell(w, file, t->name.p, o, &k, &k.report);
    rki_case_fini(&k);
}

// One file.  `asked`: by its name, so it must have tests.
static int one_file(struct testing *w, const char *file, bool asked)
{
    rkp_diags *d = rki_diags_new();
    rki_tests *tests;
    rki_buf text;
    int code = 0;
    if (!d)
        return rki_cli_nomem();
    if (access(file, R_OK) != 0) {
        rki_cli_say("error: cannot open '%s': %s", file, strerror(errno));
        rki_diags_free(d);
        return RKI_EXIT_UNAVAILABLE;
    }
    tests = rki_tests_of(w->c, file, d);
    rki_buf_init(&text);
    if (!tests) {
        rki_diags_text(d, &text, rki_cli_colour(w->c, STDOUT_FILENO));
        tell(w, file, "cannot be read", RKI_TEST_BROKEN, NULL, &text);
    } else if (!tests->any && asked) {
        rki_cli_say("'%s' has no tests", file);
    }
    w->files += tests && tests->any;
    for (size_t i = 0; tests && i < tests->n && !w->stopped && !w->nomem; i++)
        if (!w->a->only || fnmatch(w->a->only, tests->v[i].name.p, 0) == 0)
            one_test(w, file, tests, &tests->v[i]);
    rki_buf_fini(&text);
    rki_tests_free(tests);
    rki_diags_free(d);
    return code;
}

static int finish(struct testing *w, int code)
{
    rki_buf out;
    if (w->nomem)
        return rki_cli_nomem();
    rki_buf_init(&out);
    if (!w->n && !code) {
        rki_cli_say(w->a->only && w->files ? "error: no test is named like '%s'" : "error: there are no tests",
                    w->a->only);
        code = RKI_EXIT_UNAVAILABLE;
    }
    if (w->n && w->n > w->broken)
        put_coverage(w, &out);
    if (w->n)
        rki_putf(&out, "%zu test%s, %zu failed", w->n, w->n == 1 ? "" : "s", w->failed);
    if (w->broken)
        rki_putf(&out, ", %zu could not run", w->broken);
    if (w->n)
        rki_putc(&out, '\n');
    if (w->n && !rki_cli_out(&out) && !code)
        code = RKI_EXIT_FAILED;
    rki_buf_fini(&out);
    if (w->junit && !rki_junit_write(w->junit, w->a->junit) && !code)
        code = RKI_EXIT_FAILED;
    return code ? code : w->broken ? RKI_EXIT_INVALID : w->failed ? RKI_EXIT_FAILED : 0;
}

static int verb_test(rki_cli *c)
{
    const struct test_args *a = c->args;
    struct testing w = { .c = c, .a = a };
    int code = 0;
    if (a->seed && !rkp_parse_u64(a->seed, strlen(a->seed), &w.seed))
        return rki_cli_usage(c, NULL, "--seed needs a number, not '%s'", a->seed);
    rki_arena_init(&w.arena);
    w.tail = &w.pipelines;
    if (a->junit && !(w.junit = rki_junit_new()))
        return rki_cli_nomem();
    for (size_t i = 0; i < c->n_pos && !w.stopped; i++) {
        rki_paths p = { 0 };
        bool folder = rki_is_folder(c->pos[i]);
        int one = folder ? add_folder(&p, c->pos[i], 0) : rki_paths_add(&p, c->pos[i], NULL) ? 0 : rki_cli_nomem();
        for (size_t f = 0; one == 0 && f < p.n && !w.stopped && !w.nomem; f++)
            one = one_file(&w, p.v[f], !folder);
        code = code ? code : one;
        rki_paths_fini(&p);
    }
    code = finish(&w, code);
    rki_junit_free(w.junit);
    rki_arena_fini(&w.arena);
    return code;
}

const rki_verb rki_verb_test = {
    .name = "test",
    .summary = "Run the tests of pipelines",
    .pos = { "PATH..", 1, 1u << 20, RKI_WORDS_YAML, NULL,
             "pipelines with tests, files of tests (*.test.yaml), or folders: all of both below them" },
    .args = test_rows,
    .args_size = sizeof(struct test_args),
    .details = "A test gives rows to a source or a topic and says what kernels give, or topics carry. The engine runs "
               "the pipeline as it is, on a clock of its own that never waits; sources and sinks do not look outside. "
               "'alerts' says what must become of its rules, over the run or over given series. A test without "
               "'expect' prints "
               "what every kernel has produced.\n\n"
               "Exit codes: 0 all is as expected; 1 something is not; 69 a file is not there, or there are no tests; "
               "78 a test or its pipeline is wrong.",
    .examples = "  rkpipe test fees.yaml\n"
                "  rkpipe test pipelines/ --junit results.xml\n"
                "  rkpipe test fees.yaml --only 'rounds*'\n",
    .run = verb_test,
};
