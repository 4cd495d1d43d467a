// testing.c - a test put on its pipeline: mocks while it is loaded, rows in place of sources and sinks afterwards.
//
//   mocks          replace `op` and `with` in the tree, after templates, so that all that checks a kernel checks them, too
//   topic          gets a kernel of its own that publishes the rows
//   sources        give the rows of the test, or are those of a mock, or never look outside; else a finding
//   sinks          look at what they get, unless they are mocks
#include "spec/tests.h"

#include "spec/load.h"

enum { NAMES = 200 };

const rki_mock *rki_test_mock(const rki_test *t, rkp_str kernel)
{
    for (size_t i = 0; i < t->n_mocks; i++)
        if (rkp_str_eq(rkp_word_str(t->mocks[i].kernel), kernel))
            return &t->mocks[i];
    return NULL;
}

// ---- while it is loaded ---------------------------------------------------------------------------------------------

static void put(rki_load *l, rkp_node *kernel, const char *key, const rkp_node *v)
{
    rkp_node *was = rki_node_get(kernel, key), *copy;
    if (was)
        rki_node_remove(kernel, was);
    if (!v)
        return;
    copy = rki_node_copy(l->arena, l->d, v, v->at, &l->budget);
    if (!copy)
        return;
    copy->key = v->key;
    copy->key_at = v->key_at;
    rki_node_add(kernel, copy);
}

static void hint_node(rki_load *l, const rkp_node *map, rkp_str word)
{
    const char *names[NAMES + 1], *near;
    size_t n = 0;
    for (const rkp_node *k = map->child; k && n < NAMES; k = k->next)
        names[n++] = k->key.p;
    names[n] = NULL;
    near = rki_opt_nearest(l->d, word, names);
    if (near)
        rkp_diag_hint(l->d, "did you mean '%s'?", near);
}

static const rkp_op *op_named(const rki_load *l, const rkp_node *n)
{
    for (const rkp_op *const *o = l->args->ops; n && n->kind == RKI_SCALAR && o && *o; o++)
        if (rkp_str_is(n->text, (*o)->name))
            return *o;
    return NULL; // that is said elsewhere
}

static bool same_kind(rki_load *l, const rkp_node *kernel, const rki_mock *m)
{
    static const char *const kinds[] = { [RKP_SOURCE] = "source", [RKP_TRANSFORM] = "transform", [RKP_SINK] = "sink" };
    const rkp_op *was = op_named(l, rki_node_get(kernel, "op")), *is = op_named(l, m->op);
    if (!was || !is || was->kind == is->kind)
        return true;
    rkp_diag(l->d, RKP_ERROR, m->op->at, "test-mock", "kernel '%s' is a %s (%s), and its mock is a %s (%s)",
             m->kernel.p, kinds[was->kind], was->name, kinds[is->kind], is->name);
    return false;
}

void rki_load_test(rki_load *l)
{
    const rki_test *t = l->args->test;
    const rkp_node *kernels = rki_node_get(l->root, "kernels");
    if (!t || !kernels || kernels->kind != RKI_MAP)
        return;
    for (size_t i = 0; i < t->n_mocks; i++) {
        const rki_mock *m = &t->mocks[i];
        rkp_node *k = rki_node_get(kernels, m->kernel.p);
        if (!k) {
            rkp_diag(l->d, RKP_ERROR, m->kernel.at, "test-kernel", "no kernel is named '%s'", m->kernel.p);
            hint_node(l, kernels, rkp_word_str(m->kernel));
        } else if (k->kind == RKI_MAP && !k->bad && m->op && same_kind(l, k, m)) {
            put(l, k, "op", m->op);
            put(l, k, "with", m->with);
        }
    }
}

void rki_load_test_vars(rki_load *l)
{
    const rki_test *t = l->args->test;
    const rkp_node *vars = rki_node_get(l->root, "vars");
    for (size_t i = 0; t && i < t->n_vars; i++) {
        if (rki_settings_find(&l->vars, rkp_word_str(t->vars[i].name)))
            continue;
        rkp_diag(l->d, RKP_ERROR, t->vars[i].name.at, "var-unknown", "the pipeline has no variable '%s'",
                 t->vars[i].name.p);
        if (vars && vars->kind == RKI_MAP)
            hint_node(l, vars, rkp_word_str(t->vars[i].name));
    }
}

bool rki_load_test_topic(rki_load *l, rki_kernel *k)
{
    static const rkp_word port = { "out", 3, { 0 } };
    const rki_test *t = l->args->test;
    if (!t || !t->topic.p)
        return false;
    *k = (rki_kernel){ .id = { RKI_INPUT_ID, sizeof RKI_INPUT_ID - 1, { 0 } },
                       .at = t->topic.at,
                       .op = t->given_op,
                       .on_error.max_ratio = 1,
                       .on_error.action = RKI_ERR_FAIL,
                       .replicas = 1,
                       .queue_capacity = 1024,
                       .queue_bytes = 8 << 20,
                       .enabled = true,
                       .priority = RKI_PRIO_NORMAL,
                       .order = RKI_ORDER_FIFO,
                       .ports = &port,
                       .n_ports = 1 };
    return rki_load_publish(l, k, t->topic);
}

// ---- afterwards -----------------------------------------------------------------------------------------------------

struct putting {
    rki_spec *s;
    const rki_test *t;
    rkp_diags *d;
    bool ok;
};

static rki_kernel *kernel_named(rki_spec *s, rkp_str id)
{
    for (size_t i = 0; i < s->n_kernels; i++)
        if (rkp_str_eq(rkp_word_str(s->kernels[i].id), id))
            return &s->kernels[i];
    return NULL;
}

static void no_kernel(struct putting *p, rkp_word w)
{
    const char *names[NAMES + 1], *near;
    size_t n = 0;
    for (size_t i = 0; i < p->s->n_kernels && n < NAMES; i++)
        if (p->s->kernels[i].id.p[0] != '$')
            names[n++] = p->s->kernels[i].id.p;
    names[n] = NULL;
    rkp_diag(p->d, RKP_ERROR, w.at, "test-kernel", "no kernel is named '%s'", w.p);
    near = rki_opt_nearest(p->d, rkp_word_str(w), names);
    if (near)
        rkp_diag_hint(p->d, "did you mean '%s'?", near);
    p->ok = false;
}

static void give(struct putting *p, rki_kernel *k, rki_given *g)
{
    static const rkp_opt row = { "schema", &rkp_schema_name, 0, .optional = true };
    rkp_opt_ctx c = { .arena = &p->s->arena, .diags = p->d, .spec = p->s, .owner = "the test", .keys = true };
    rkp_schema_use use = { 0 };
    rki_given *own = rki_alloc(&p->s->arena, sizeof *own);
    if (!own || (g->schema_node && row.type->parse(&c, &row, g->schema_node, &use) != RKP_OK)) {
        p->ok = false;
        return;
    }
    *own = *g;
    if (p->t->n_alerts) // one more look after the last that is asked for
        own->open_ns = (uint64_t)rki_test_last_ms(p->t) * 1000000 + p->s->telemetry.interval_ns;
    if (use.schema)
        own->schema = *use.schema;
    k->given = own;
}

static void give_from(struct putting *p, rkp_word kernel, rki_given *g)
{
    rki_kernel *k = kernel_named(p->s, rkp_word_str(kernel));
    if (!k) {
        no_kernel(p, kernel);
        return;
    }
    if (k->op->kind != RKP_SOURCE) {
        rkp_diag(p->d, RKP_ERROR, kernel.at, "test-source", "kernel '%s' (%s) is no source: it reads what others give",
                 k->id.p, k->op->name);
        rkp_diag_hint(p->d, "give rows to the source before it, or another operator here: mocks: { %s: { op: .. } }",
                      k->id.p);
        p->ok = false;
        return;
    }
    if (k->given) {
        rkp_diag(p->d, RKP_ERROR, kernel.at, "test-source", "kernel '%s' is given rows twice", k->id.p);
        p->ok = false;
        return;
    }
    give(p, k, g);
}

static void settle(struct putting *p, rki_kernel *k)
{
    const rki_mock *m = rki_test_mock(p->t, rkp_word_str(k->id));
    bool mocked = m && m->op;
    k->start_suspended = false; // nobody would activate it
    if (k->id.p[0] == '$')
        return;
    if (k->op->kind == RKP_SINK && !mocked)
        k->watched = true;
    if (mocked && k->given) {
        rkp_diag(p->d, RKP_ERROR, m->kernel.at, "test-mock", "kernel '%s' has rows and a mock", k->id.p);
        p->ok = false;
    }
    if (mocked && (k->op->traits & RKP_EXECS) && !p->s->engine.allow_exec) {
        rkp_diag(p->d, RKP_ERROR, m->op->at, "exec-denied", "the mock of '%s' starts a command, which is not allowed",
                 k->id.p);
        rkp_diag_hint(p->d, "allow it with --allow-exec");
        p->ok = false;
    }
    if (k->op->kind != RKP_SOURCE || k->given || mocked || !(k->op->traits & RKP_BLOCKING))
        return;
    rkp_diag(p->d, RKP_ERROR, p->t->name.at, "test-outside", "kernel '%s' (%s) reads from outside, and a test does not",
             k->id.p, k->op->name);
    rkp_diag_hint(p->d, "give it rows: from: %s and input: [..], or mocks: { %s: { input: [..] } }; [] is none",
                  k->id.p, k->id.p);
    p->ok = false;
}

// What stands in for sources and sinks has nothing to be durable.
static void relax_delivery(rki_spec *s)
{
    for (size_t i = 0; i < s->n_kernels; i++)
        if (s->kernels[i].delivery > RKI_DELIVERY_AT_MOST_ONCE)
            s->kernels[i].delivery = RKI_DELIVERY_AUTO;
    if (s->engine.delivery > RKI_DELIVERY_AT_MOST_ONCE)
        s->engine.delivery = RKI_DELIVERY_AUTO;
}

bool rki_spec_test(rki_spec *s, const rki_test *t, const rkp_op *given, const rkp_op *seen, rkp_diags *d)
{
    struct putting p = { .s = s, .t = t, .d = d, .ok = true };
    s->given_op = given;
    s->seen_op = seen;
    s->test = true;
    if (t->from.p && t->given)
        give_from(&p, t->from, t->given);
    if (t->topic.p && t->given) {
        rki_kernel *k = kernel_named(s, RKP_STR(RKI_INPUT_ID));
        if (k)
            give(&p, k, t->given);
    }
    for (size_t i = 0; i < t->n_mocks; i++)
        if (!t->mocks[i].op)
            give_from(&p, t->mocks[i].kernel, t->mocks[i].given);
    for (size_t i = 0; i < s->n_kernels; i++)
        settle(&p, &s->kernels[i]);
    relax_delivery(s);
    s->engine.threads = 1; // what a kernel gives has one order then
    s->dead_store.bytes = 0;
    return p.ok && !rki_arena_failed(&s->arena);
}
