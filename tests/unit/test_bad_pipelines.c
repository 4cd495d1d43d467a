// Wrong pipelines, and exactly what is said about each: tests/golden/bad/NNN-name.yaml and NNN-name.expect.
// A first line `# args: --var a=b --set c=d --backend x` or `# env: NAME=VALUE` gives the run what it says; with
// `# plan: 2` the real operators are bound and a plan is made, for so many cores; with `# warnings` it is only warned of.
// RKP_UPDATE_GOLDEN=1 rewrites the expectations; the diff is the review.
#include "run/run.h"
#include "table_ops.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
// after the above
#include <cmocka.h>

enum { WORDS = 32 };

struct line {
    char text[512];
    rki_kv vars[WORDS], sets[WORDS];
    size_t n_vars, n_sets;
    const char *backend;
    const char *env[WORDS];
    unsigned plan; // cores; 0: none is made
    bool warnings; // nothing is wrong, but there is something to say
};

static char *slurp(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    rki_buf b;
    char part[4096];
    size_t k;

    if (!f)
        return NULL;
    rki_buf_init(&b);
    while ((k = fread(part, 1, sizeof part, f)) > 0)
        rki_put(&b, part, k);
    fclose(f);
    rki_putc(&b, 0);
    *n = b.n - 1;
    return b.p;
}

// The first line's words.  No value holds a blank.
static void read_line(struct line *l, const char *yaml)
{
    size_t n = strcspn(yaml, "\n"), n_env = 0;
    char *w, *save = NULL, *eq;

    memset(l, 0, sizeof *l);
    if (strncmp(yaml, "# plan: ", 8) == 0)
        l->plan = (unsigned)strtoul(yaml + 8, NULL, 10);
    l->warnings = strncmp(yaml, "# warnings", 10) == 0;
    if (n >= sizeof l->text || (strncmp(yaml, "# args: ", 8) != 0 && strncmp(yaml, "# env: ", 7) != 0))
        return;
    memcpy(l->text, yaml, n);
    strtok_r(l->text, " ", &save); // '#'
    w = strtok_r(NULL, " ", &save);
    if (strcmp(w, "env:") == 0) {
        while ((w = strtok_r(NULL, " ", &save)))
            l->env[n_env++] = w;
        return;
    }
    while ((w = strtok_r(NULL, " ", &save))) {
        char *v = strtok_r(NULL, " ", &save);

        assert_non_null(v);
        if (strcmp(w, "--backend") == 0) {
            l->backend = v;
            continue;
        }
        eq = strchr(v, '=');
        assert_non_null(eq);
        *eq = 0;
        if (strcmp(w, "--var") == 0)
            l->vars[l->n_vars++] = (rki_kv){ v, eq + 1 };
        else
            l->sets[l->n_sets++] = (rki_kv){ v, eq + 1 };
    }
}

static void check_one(const char *file, bool update, int *wrong)
{
    char expect[300];
    size_t n_yaml, n_want = 0;
    char *yaml = slurp(file, &n_yaml), *want;
    struct line l;
    rkp_diags *d = rki_diags_new();
    rki_spec *s;
    rki_plan *p = NULL;
    bool fine;
    rki_buf out;

    assert_non_null(yaml);
    read_line(&l, yaml);
    s = rki_spec_load(&(rki_spec_args){ .file = file,
                                        .vars = l.vars,
                                        .n_vars = l.n_vars,
                                        .sets = l.sets,
                                        .n_sets = l.n_sets,
                                        .env = l.env,
                                        .ops = l.plan ? rkp_ops : table_ops,
                                        .engine_op = &rki_op_engine,
                                        .watch_op = &rki_op_watch,
                                        .backend = l.backend },
                      d);
    if (s && l.plan)
        p = rki_plan_new(s, &(rki_plan_args){ .cores = l.plan, .memory = 1ull << 32 }, d);
    fine = l.plan ? p != NULL : s != NULL;
    rki_buf_init(&out);
    rki_diags_text(d, &out, false);
    rki_putc(&out, 0);
    snprintf(expect, sizeof expect, "%.*s.expect", (int)(strlen(file) - 5), file);
    if (fine != l.warnings || out.n <= 1) {
        print_error("%s: %s\n%s", file, l.warnings ? "more than warnings" : "nothing is wrong with it", out.p);
        ++*wrong;
    }
    if (strstr(out.p, "canary")) {
        print_error("%s: a secret is shown\n%s", file, out.p);
        ++*wrong;
    }
    if (update) {
        FILE *f = fopen(expect, "wb");

        assert_non_null(f);
        fwrite(out.p, 1, out.n - 1, f);
        fclose(f);
    } else {
        want = slurp(expect, &n_want);
        if (!want || n_want != out.n - 1 || memcmp(want, out.p, n_want) != 0) {
            print_error("%s: expected\n%s\nand got\n%s\n", file, want ? want : "(no .expect file)", out.p);
            ++*wrong;
        }
        free(want);
    }
    rki_buf_fini(&out);
    rki_plan_free(p);
    rki_spec_free(s);
    rki_diags_free(d);
    free(yaml);
}

static int yaml_files(const struct dirent *e)
{
    size_t n = strlen(e->d_name);

    return n > 5 && strcmp(e->d_name + n - 5, ".yaml") == 0;
}

static void each_wrong_pipeline_gives_exactly_its_findings(void **state)
{
    bool update = getenv("RKP_UPDATE_GOLDEN") != NULL;
    struct dirent **list = NULL;
    int n, wrong = 0;

    (void)state;
    assert_int_equal(chdir(RKP_SOURCE_DIR "/tests/golden/bad"), 0); // files are shown by their base names
    n = scandir(".", &list, yaml_files, alphasort);
    assert_true(n >= 110);
    for (int i = 0; i < n; i++) {
        check_one(list[i]->d_name, update, &wrong);
        free(list[i]);
    }
    free(list);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_wrong_pipeline_gives_exactly_its_findings),
    };

    return cmocka_run_group_tests_name("bad_pipelines", tests, NULL, NULL);
}
