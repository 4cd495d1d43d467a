// cli/test_check.c - the tests of a file, and what `check` says about them.
#include "cli/test.h"

rki_tests *rki_tests_of(rki_cli *c, const char *file, rkp_diags *d)
{
    rki_spec_args sa = { .file = file, .env = c->env, .ops = c->ops };
    rki_tests *t = rki_tests_load(&sa, d);
    for (size_t i = 0; t && i < t->n; i++)
        t->v[i].given_op = &rki_op_given;
    return t;
}

// Errors and notes of one sink into another.  Warnings are the pipeline's, and `check` has given them.
static void pass_on(rkp_diags *from, rkp_diags *to)
{
    for (size_t i = 0; i < rki_diags_n(from); i++) {
        const rki_finding *f = rki_diags_at(from, i);
        if (f->sev == RKP_WARNING)
            continue;
        rkp_diag(to, f->sev, f->at, f->code, "%s", f->text);
        if (f->hint)
            rkp_diag_hint(to, "%s", f->hint);
    }
}

void rki_case_findings(const rki_case *k, bool colour, rki_buf *out)
{
    rkp_diags *d = rki_diags_new();
    for (const rki_source *s = d ? k->tests->own->sources.first : NULL; s; s = s->next)
        rki_diags_source(d, s->name, s->text);
    for (const rki_source *s = d && k->texts ? k->texts->s.first : NULL; s; s = s->next)
        rki_diags_source(d, s->name, s->text);
    if (d) {
        pass_on(k->l.diags, d);
        rki_diags_text(d, out, colour);
    }
    rki_diags_free(d);
}

int rki_tests_check(rki_cli *c, const rki_load_args *a, const char *file, rkp_diags *d, size_t *n)
{
    rki_tests *tests = rki_tests_of(c, file, d);
    int code = tests ? 0 : RKI_EXIT_INVALID;
    *n = tests ? tests->n : 0;
    for (size_t i = 0; tests && i < tests->n; i++) {
        rki_case k;
        int one = rki_case_prepare(c, a, tests, &tests->v[i], &k);
        if (one)
            code = one;
        if (one && k.l.diags)
            pass_on(k.l.diags, d);
        rki_case_fini(&k);
    }
    rki_tests_free(tests);
    return code;
}
