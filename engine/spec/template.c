// template.c - kernels written with `use` become copies of the template's kernel.
//
// The fields that stand beside `use` and `args` go over the template's, whole.  ${param:x} is filled in later, with
// everything else: the values are kept by kernel.
#include "spec/load.h"

struct shape {
    const rkp_node *params, *kernel;
};

struct template
{
    rkp_word name;
    struct shape is;
    bool ok;
};

struct templates {
    struct template *v;
    size_t n;
    rki_names names;
};

static void read_templates(rki_load *l, struct templates *to)
{
    rkp_node *map = rki_load_map(l, "templates", "names to templates");

    if (!map)
        return;
    to->v = rki_array(l->arena, map->n, sizeof *to->v);
    if (!to->v || !rki_names_make(l->arena, map->n, &to->names))
        return;
    for (rkp_node *n = map->child; n; n = n->next) {
        struct template *t = &to->v[to->n];
        rkp_str owner = rki_printf(l->arena, "template '%s'", n->key.p);
        rkp_opt_ctx c = rki_load_ctx(l, owner.p);
        const rkp_node *use;

        if (!owner.p)
            return;
        rki_names_add(&to->names, rkp_word_str(n->key), (uint32_t)to->n++);
        t->name = n->key;
        t->ok = rki_load_id(l, n, "template");
        c.other = rki_kernel_rows;
        c.other_hint = "fields of the kernel stand under 'kernel' of the template";
        if (rki_opts_apply(&c, rki_template_rows, n, n->key_at, &t->is) != RKP_OK) {
            t->ok = false;
            continue;
        }
        if (t->is.kernel->kind != RKI_MAP) {
            rkp_diag(l->d, RKP_ERROR, t->is.kernel->at, "opt-type", "'kernel' needs a mapping, not %s",
                     rki_node_shown(l->arena, t->is.kernel));
            t->ok = false;
            continue;
        }
        if (t->is.params && t->is.params->kind != RKI_MAP) {
            rkp_diag(l->d, RKP_ERROR, t->is.params->at, "opt-type", "'params' needs a mapping of names, not %s",
                     rki_node_shown(l->arena, t->is.params));
            t->ok = false;
        }
        use = rki_node_get(t->is.kernel, "use");
        if (use) {
            rkp_diag(l->d, RKP_ERROR, use->key_at, "template-use", "a template cannot use another template");
            t->ok = false;
        }
    }
    rki_names_sort(&to->names);
}

static struct template *find(rki_load *l, struct templates *in, const rkp_node *use)
{
    const char *names[128 + 1], *near;
    size_t n = 0;
    int i;

    if (use->kind != RKI_SCALAR || rki_node_is_null(use)) {
        rkp_diag(l->d, RKP_ERROR, use->at, "opt-type", "'use' needs the name of a template, not %s",
                 rki_node_shown(l->arena, use));
        return NULL;
    }
    i = rki_names_find(&in->names, use->text);
    if (i >= 0)
        return &in->v[i];
    for (size_t k = 0; k < in->n && n < 128; k++)
        names[n++] = in->v[k].name.p;
    names[n] = NULL;
    rkp_diag(l->d, RKP_ERROR, use->at, "template-unknown", "no template is named %s", rki_node_shown(l->arena, use));
    near = rki_opt_nearest(l->d, use->text, names);
    if (near)
        rkp_diag_hint(l->d, "did you mean '%s'?", near);
    else if (rki_op_promised(use->text))
        rkp_diag_hint(l->d, "'%.*s' is an operator: write 'op' and 'with'", RKP_STR_ARG(use->text));
    return NULL;
}

// Arguments over defaults.  False when something is missing or not known.
static bool bind_args(rki_load *l, const struct template *t, const rkp_node *args, rkp_loc at, rki_settings *to)
{
    const rki_setting *meant = NULL;
    bool ok = true;

    *to = (rki_settings){ .what = "parameter", .ns = "param" };
    if (t->is.params && !rki_tree_charge(l->d, at, &l->budget, t->is.params->n))
        return false;
    if (t->is.params)
        rki_settings_declare(l, t->is.params, to);
    if (args && args->kind != RKI_MAP) {
        rkp_diag(l->d, RKP_ERROR, args->at, "opt-type", "'args' needs a mapping of parameters, not %s",
                 rki_node_shown(l->arena, args));
        return false;
    }
    for (const rkp_node *a = args ? args->child : NULL; a; a = a->next) {
        rki_setting *s = rki_settings_find(to, rkp_word_str(a->key));
        const char *names[64 + 1], *near;
        size_t n = 0;

        if (s) {
            if (s->type == RKI_SET_AUTO && s->raw && a->kind == RKI_LIST)
                s->type = RKI_SET_STRING; // a bare default is one value
            s->raw = a;
            continue;
        }
        for (size_t i = 0; i < to->n && n < 64; i++)
            names[n++] = to->v[i].name.p;
        names[n] = NULL;
        rkp_diag(l->d, RKP_ERROR, a->key_at, "param-unknown", "template '%s' has no parameter '%s'", t->name.p,
                 a->key.p);
        near = rki_opt_nearest(l->d, rkp_word_str(a->key), names);
        if (near) {
            rkp_diag_hint(l->d, "did you mean '%s'?", near);
            meant = rki_settings_find(to, rkp_str_of(near));
        }
        ok = false;
    }
    for (size_t i = 0; i < to->n; i++)
        if (to->v[i].required && !to->v[i].raw) {
            if (&to->v[i] != meant)
                rkp_diag(l->d, RKP_ERROR, args ? args->key_at : at, "param-missing", "template '%s' needs '%s'",
                         t->name.p, to->v[i].name.p);
            ok = false;
        }
    rki_settings_resolve(l, to);
    return ok;
}

// The kernel becomes the template's, with its own fields on top.
static void expand(rki_load *l, struct templates *all, rkp_node *k, rki_use ***tail)
{
    rkp_node *use = rki_node_get(k, "use"), *args = rki_node_get(k, "args"), *copy;
    static const char *const never[] = { "op", "with", NULL };
    struct template *t;
    rkp_node **tail_of;
    rki_use *u;

    k->bad = true; // until it is made
    t = find(l, all, use);
    if (!t)
        return;
    for (size_t i = 0; never[i]; i++) {
        const rkp_node *n = rki_node_get(k, never[i]);

        if (!n)
            continue;
        rkp_diag(l->d, RKP_ERROR, n->key_at, "template-op", "kernel '%s' has 'use' and '%s'", k->key.p, never[i]);
        rkp_diag_hint(l->d, i ? "a template takes 'args'" : "a kernel has 'op' and 'with', or 'use' and 'args'");
        return;
    }
    if (!t->ok)
        return;
    u = rki_alloc(l->arena, sizeof *u);
    if (!u || !bind_args(l, t, args, k->key_at, &u->params))
        return;
    copy = rki_node_copy(l->arena, l->d, t->is.kernel, use->at, &l->budget);
    if (!copy)
        return;
    rki_node_remove(k, use);
    if (args)
        rki_node_remove(k, args);
    for (tail_of = &k->child; *tail_of; tail_of = &(*tail_of)->next)
        ;
    *tail_of = copy->child;
    k->n += copy->n;
    rki_map_settle(l->arena, NULL, k); // its own fields stand first, and win
    k->bad = false;
    u->kernel = k;
    **tail = u;
    *tail = &u->next;
}

void rki_load_templates(rki_load *l)
{
    rkp_node *kernels = rki_node_get(l->root, "kernels");
    struct templates all = { 0 };
    rki_use **tail = &l->uses;

    read_templates(l, &all);
    for (rkp_node *k = kernels && kernels->kind == RKI_MAP ? kernels->child : NULL; k; k = k->next)
        if (k->kind == RKI_MAP && rki_node_get(k, "use") && !rki_arena_failed(l->arena))
            expand(l, &all, k, &tail);
}
