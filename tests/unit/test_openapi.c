// schemas/openapi.yaml has the routes of the engine, their parameters and bodies, and no others.
#include "admin/api.h"
#include "spec/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct file {
    char *text;
    rki_arena mem;
    rkp_diags *d;
    const rkp_node *root, *paths;
};

static void load(struct file *f)
{
    static const char name[] = RKP_SOURCE_DIR "/schemas/openapi.yaml";
    rki_tree_budget budget = { 0 };
    FILE *in = fopen(name, "r");
    long n;
    assert_non_null(in);
    assert_int_equal(fseek(in, 0, SEEK_END), 0);
    n = ftell(in);
    rewind(in);
    assert_true(n > 0);
    f->text = malloc((size_t)n);
    assert_non_null(f->text);
    assert_int_equal(fread(f->text, 1, (size_t)n, in), n);
    fclose(in);
    rki_arena_init(&f->mem);
    f->d = rki_diags_new();
    f->root = rki_tree_load(&f->mem, f->d, name, (rkp_str){ f->text, (size_t)n }, &budget);
    assert_false(rki_diags_failed(f->d));
    f->paths = rki_node_get(f->root, "paths");
    assert_non_null(f->paths);
}

static void unload(struct file *f)
{
    rki_diags_free(f->d);
    rki_arena_fini(&f->mem);
    free(f->text);
}

// What "$ref: '#/components/parameters/X'" means.
static const rkp_node *resolved(const struct file *f, const rkp_node *n)
{
    static const char begins[] = "#/components/parameters/";
    const rkp_node *ref = rki_node_get(n, "$ref");
    if (!ref)
        return n;
    assert_true(ref->text.n > sizeof begins && strncmp(ref->text.p, begins, sizeof begins - 1) == 0);
    n = rki_node_get(rki_node_get(rki_node_get(f->root, "components"), "parameters"), ref->text.p + sizeof begins - 1);
    assert_non_null(n);
    return n;
}

static bool in_list(const char *const *names, rkp_str name)
{
    for (size_t i = 0; names && names[i]; i++)
        if (rkp_str_is(name, names[i]))
            return true;
    return false;
}

static void same_params(const struct file *f, const rki_api_route *r, const rkp_node *op)
{
    const rkp_node *params = rki_node_get(op, "parameters");
    size_t described = 0, known = 0;
    for (const rkp_node *n = params ? params->child : NULL; n; n = n->next) {
        const rkp_node *p = resolved(f, n), *name = rki_node_get(p, "name");
        assert_string_equal(rki_node_get(p, "in")->text.p, "query");
        if (!in_list(r->params, name->text))
            fail_msg("%s %s has no parameter '%s'", r->method, r->path, name->text.p);
        described++;
    }
    while (r->params && r->params[known])
        known++;
    if (described != known)
        fail_msg("%s %s: %zu of %zu parameters are described", r->method, r->path, described, known);
    assert_int_equal(rki_node_get(op, "requestBody") != NULL, r->body);
}

static const rkp_node *operation(const struct file *f, const rki_api_route *r)
{
    return rki_node_get(rki_node_get(f->paths, r->path), r->method[0] == 'P' ? "post" : "get");
}

static void every_route_is_described(void **state)
{
    struct file f;
    rki_api_route r;
    size_t n = 0;
    (void)state;
    load(&f);
    for (; rki_api_route_at(n, &r); n++) {
        const rkp_node *op = operation(&f, &r), *answers = op ? rki_node_get(op, "responses") : NULL;
        if (!op || !answers)
            fail_msg("%s %s is not in schemas/openapi.yaml", r.method, r.path);
        same_params(&f, &r, op);
        assert_non_null(rki_node_get(op, "operationId"));
        assert_non_null(rki_node_get(op, "summary"));
        assert_non_null(rki_node_get(answers, "200"));
        if (!rki_node_get(answers, "401"))
            fail_msg("%s %s: over TCP it may be 401", r.method, r.path);
    }
    assert_true(n > 20);
    unload(&f);
}

static void nothing_else_is_described(void **state)
{
    struct file f;
    (void)state;
    load(&f);
    for (const rkp_node *path = f.paths->child; path; path = path->next) {
        for (const rkp_node *op = path->child; op; op = op->next) {
            rki_api_route r;
            bool there = strcmp(op->key.p, "parameters") == 0;
            for (size_t i = 0; !there && rki_api_route_at(i, &r); i++)
                there = strcmp(path->key.p, r.path) == 0 && strcmp(op->key.p, r.method[0] == 'P' ? "post" : "get") == 0;
            if (!there)
                fail_msg("the engine has no '%s %s'", op->key.p, path->key.p);
        }
    }
    unload(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_is_described),
        cmocka_unit_test(nothing_else_is_described),
    };
    return cmocka_run_group_tests_name("openapi", tests, NULL, NULL);
}
