// spec.c - from the united tree to a checked pipeline: everything is looked at, all findings are given.
//
// Order matters only where one part needs another: variables before texts, operators before their options' texts
// (expressions are known by the operator's rows), kernels before edges.  A kernel that is wrong in itself still takes
// part in the graph when its operator is known, so that the edges to it are checked and not reported as unknown.
#include "spec/spec.h"

#include "spec/load.h"
#include "spec/value.h"
#include <stdlib.h>

enum { NAME_MAX_BYTES = 63, PORTS = 64 };

rkp_opt_ctx rki_load_ctx(rki_load *l, const char *owner)
{
    return (rkp_opt_ctx){ .arena = l->arena, .diags = l->d, .spec = l->s, .owner = owner, .keys = true };
}

bool rki_load_id(rki_load *l, const rkp_node *n, const char *what)
{
    if (rki_is_id(rkp_word_str(n->key)))
        return true;
    rkp_diag(l->d, RKP_ERROR, n->key_at, "id", "'%.*s' cannot be the name of a %s",
             (int)(n->key.n < 80 ? n->key.n : 80), n->key.p, what);
    rkp_diag_hint(l->d, "letters, digits, '_' and '-', at most 63, and no digit first");
    return false;
}

rkp_node *rki_load_map(rki_load *l, const char *key, const char *of)
{
    rkp_node *n = rki_node_get(l->root, key);

    if (!n || n->kind == RKI_MAP)
        return n;
    if (rki_node_is_null(n))
        rkp_diag(l->d, RKP_ERROR, n->key_at, "opt-empty", "'%s' has no value", key);
    else
        rkp_diag(l->d, RKP_ERROR, n->at, "opt-type", "'%s' needs a mapping of %s, not %s", key, of,
                 rki_node_shown(l->arena, n));
    return NULL;
}

// ---- schemas

// {file: schemas/x.yaml}: a mapping of columns in a file of its own.
static const rkp_node *schema_file(rki_load *l, const rkp_node *n)
{
    const rkp_node *f = n->n == 1 ? rki_node_get(n, "file") : NULL;
    rkp_type t;
    rkp_str path, text;
    rkp_node *tree;

    if (!f || f->kind != RKI_SCALAR || rkp_type_parse(f->text, &t) || f->text.n == 0)
        return n;
    path = rki_printf(l->arena, "%s%s", f->text.p[0] == '/' ? "" : rki_load_dir(l, f->at), f->text.p);
    if (!path.p || !rki_load_read(l, path.p, f->at, "the schema file", &text))
        return NULL;
    rki_diags_source(l->d, path.p, text);
    tree = rki_tree_load(l->arena, l->d, path.p, text, &l->budget);
    if (tree && tree->kind != RKI_MAP) {
        rkp_diag(l->d, RKP_ERROR, tree->at, "opt-type", "a schema file is a mapping of columns to types, not %s",
                 rki_node_shown(l->arena, tree));
        return NULL;
    }
    return tree;
}

static void read_schemas(rki_load *l)
{
    rkp_node *map = rki_load_map(l, "schemas", "names to columns");
    const rki_interp how = { 0 };

    if (!map)
        return;
    rki_interp_all(l, map, &how);
    l->s->schemas = rki_array(l->arena, map->n, sizeof *l->s->schemas);
    if (!l->s->schemas || !rki_names_make(l->arena, map->n, &l->s->schema_names))
        return;
    for (rkp_node *n = map->child; n; n = n->next) {
        rki_named_schema *to = &l->s->schemas[l->s->n_schemas++];
        rkp_opt_ctx c = rki_load_ctx(l, "'schemas'");
        const rkp_node *cols;

        to->name = n->key;
        rki_names_add(&l->s->schema_names, rkp_word_str(n->key), (uint32_t)l->s->n_schemas - 1);
        rki_load_id(l, n, "schema");
        if (n->kind != RKI_MAP) {
            rkp_diag(l->d, RKP_ERROR, n->at, "opt-type", "schema '%s' needs a mapping of columns to types, not %s",
                     n->key.p, rki_node_shown(l->arena, n));
            continue;
        }
        cols = schema_file(l, n);
        if (cols)
            rki_opt_columns(&c, cols, &to->schema);
    }
    rki_names_sort(&l->s->schema_names);
}

const rki_named_schema *rki_schema_named(const rki_spec *s, rkp_str name)
{
    int i = rki_names_find(&s->schema_names, name);

    for (size_t k = 0; i < 0 && s->schema_names.n < s->n_schemas && k < s->n_schemas; k++) // made by hand
        if (rkp_str_eq(rkp_word_str(s->schemas[k].name), name))
            i = (int)k;
    return i < 0 ? NULL : &s->schemas[i];
}

// ---- top level

// The name may become a folder: letters, digits, dot, dash, underscore.
static bool name_char(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_' || c == '-' || c == '.';
}

static void take_name(rki_load *l, rkp_word name)
{
    const char *base = strrchr(l->s->file, '/');
    char *z;
    size_t n;

    for (size_t i = 0; name.p && i < name.n; i++)
        if (name.n > NAME_MAX_BYTES || !name_char(name.p[i]) || name.p[0] == '.') {
            rkp_diag(l->d, RKP_ERROR, name.at, "id", "'%.*s' cannot be the name of a pipeline",
                     (int)(name.n < 80 ? name.n : 80), name.p);
            rkp_diag_hint(l->d, "letters, digits, '_', '-' and '.', at most 63, and no dot first");
            return;
        }
    if (name.n) {
        l->s->name = name;
        return;
    }
    base = base ? base + 1 : l->s->file;
    if (base[0] == '<')
        base = "stdin";
    n = strrchr(base, '.') && strrchr(base, '.') > base ? (size_t)(strrchr(base, '.') - base) : strlen(base);
    if (n > NAME_MAX_BYTES)
        n = NAME_MAX_BYTES;
    z = rki_dup(l->arena, base, n);
    for (size_t i = 0; z && i < n; i++)
        if (!name_char(z[i]) || (i == 0 && z[i] == '.'))
            z[i] = '_';
    l->s->name = (rkp_word){ z, n, { 0 } };
}

static bool severity_of(rkp_word w, const char *const *names, int *out)
{
    for (int i = 0; names[i]; i++) {
        if (rkp_str_is(rkp_word_str(w), names[i])) {
            *out = i;
            return true;
        }
    }
    return false;
}

static void take_fail_on(rki_load *l, const rkp_words *w)
{
    static const char *const names[] = { "dead_letter", "drop", "alert:info", "alert:warn", "alert:page", NULL };
    enum { FIRST_ALERT = 2 };

    for (size_t i = 0; i < w->n; i++) {
        rkp_word one = w->v[i];
        const char *near;
        int severity = 0;

        if (rkp_str_is(rkp_word_str(one), "dead_letter")) {
            l->s->run.fail_on_dead_letter = true;
        } else if (rkp_str_is(rkp_word_str(one), "drop")) {
            l->s->run.fail_on_drop = true;
        } else if (one.n > 6 && memcmp(one.p, "alert:", 6) == 0 && severity_of(one, &names[FIRST_ALERT], &severity)) {
            if (!l->s->run.fail_on_alert || severity + 1 < l->s->run.fail_on_alert)
                l->s->run.fail_on_alert = severity + 1;
        } else {
            rkp_diag(l->d, RKP_ERROR, one.at, "opt-choice",
                     "'fail_on' is dead_letter, drop, alert:info, alert:warn or alert:page, not '%s'", one.p);
            near = rki_opt_nearest(l->d, rkp_word_str(one), names);
            if (near)
                rkp_diag_hint(l->d, "did you mean '%s'?", near);
        }
    }
}

static void take_backend(rki_load *l)
{
    const char *b = l->args->backend;
    rkp_loc at = { .file = "--backend" };

    if (!b || strcmp(b, "auto") == 0)
        return;
    if (strcmp(b, "cpu") == 0)
        l->s->engine.backend = RKI_BACKEND_CPU;
    else if (strcmp(b, "cuda") == 0)
        rkp_diag(l->d, RKP_ERROR, at, "not-supported", "the backend 'cuda' is not supported yet");
    else
        rkp_diag(l->d, RKP_ERROR, at, "opt-choice", "a backend is auto, cpu or cuda, not '%s'", b);
}

static void top_level(rki_load *l, rki_top *top)
{
    rkp_opt_ctx c = rki_load_ctx(l, "the pipeline");
    const rkp_node *dead;

    c.free_x = true;
    c.foreign = rki_top_words;
    c.foreign_means = "kernels";
    c.other = rki_kernel_rows;
    c.other_hint = "it belongs to a kernel, under 'kernels:'";
    rki_interp_rows(l, l->root, rki_top_rows, NULL);
    rki_opts_apply(&c, rki_top_rows, l->root, (rkp_loc){ .file = l->s->file, .line = 1, .col = 1 }, top);
    l->s->engine = top->engine;
    l->s->engine.allow_exec = l->s->engine.allow_exec || l->args->allow_exec;
    l->s->run = top->run;
    l->s->admin = top->admin;
    l->s->telemetry = top->telemetry;
    l->s->reload = top->reload;
    l->s->description = top->description;
    take_name(l, top->name);
    take_fail_on(l, &top->fail_on);
    rki_load_alerts(l, &top->alerts);
    rki_load_notify(l, &top->notify);
    rki_load_admin(l);
    take_backend(l);
    dead = rki_node_get(l->root, "dead_letter");
    if (dead && dead->kind == RKI_MAP && dead->n == 0)
        rkp_diag(l->d, RKP_ERROR, dead->at, "key-missing", "'dead_letter' needs 'kernel', 'topic' or 'store'");
}

// ---- operators

static const rkp_op *op_named(rki_load *l, rkp_str name)
{
    for (const rkp_op *const *o = l->args->ops; o && *o; o++)
        if (rkp_str_is(name, (*o)->name))
            return *o;
    return NULL;
}

static bool has_word(const char *list, rkp_str word)
{
    while (list && *list) {
        size_t n = strcspn(list, " ");

        if (n == word.n && memcmp(list, word.p, n) == 0)
            return true;
        list += n + (list[n] == ' ');
    }
    return false;
}

static void op_unknown(rki_load *l, const rkp_node *n)
{
    const char *names[256 + 1], *near, *foreign = rki_op_foreign(n->text);
    size_t count = 0;

    if (rki_op_promised(n->text)) {
        rkp_diag(l->d, RKP_ERROR, n->at, "not-supported", "operator %s is not supported yet",
                 rki_node_shown(l->arena, n));
        return;
    }
    rkp_diag(l->d, RKP_ERROR, n->at, "op-unknown", "there is no operator %s", rki_node_shown(l->arena, n));
    for (const rkp_op *const *o = l->args->ops; o && *o; o++) {
        if (has_word((*o)->also, n->text)) {
            rkp_diag_hint(l->d, "it is %s here", (*o)->name);
            return;
        }
        if (count < 256)
            names[count++] = (*o)->name;
    }
    names[count] = NULL;
    near = rki_opt_nearest(l->d, n->text, names);
    if (foreign)
        rkp_diag_hint(l->d, "%s", foreign);
    else if (near)
        rkp_diag_hint(l->d, "did you mean '%s'?", near);
    else
        rkp_diag_hint(l->d, "'rkpipe list ops' lists them");
}

// The operator of a kernel; NULL after a finding.
static const rkp_op *op_of(rki_load *l, const rkp_node *k)
{
    const rkp_node *n = rki_node_get(k, "op");
    const rkp_op *op;

    if (!n || n->kind != RKI_SCALAR || rki_node_is_null(n) || n->bad)
        return NULL; // the row reports it
    op = op_named(l, n->text);
    if (!op) {
        op_unknown(l, n);
        return NULL;
    }
    if (op->traits & RKP_NOT_YET) {
        rkp_diag(l->d, RKP_ERROR, n->at, "not-supported", "operator '%s' is not supported yet", op->name);
        return NULL;
    }
    return op;
}

// ---- kernels

struct kernels {
    rki_kernel *v;
    rki_graph_from *from;
    bool *ports_known;
    size_t n;
    rkp_word *off;
    size_t n_off;
    rki_graph_lost *lost;
    size_t n_lost;
};

// Adds the fields of `defaults` that the kernel does not have; mappings go key by key.
static void add_defaults(rki_load *l, rkp_node *to, const rkp_node *from, const rkp_op *op, bool top)
{
    for (const rkp_node *d = from->child; d; d = d->next) {
        rkp_node *have = rki_node_get(to, d->key.p), *copy;

        if (top && op && !rki_field_for(op, d))
            continue;
        if (have) {
            if (top && have->kind == RKI_MAP && d->kind == RKI_MAP)
                add_defaults(l, have, d, op, false);
            continue;
        }
        copy = rki_node_copy(l->arena, l->d, d, d->at, &l->budget);
        if (!copy)
            return;
        copy->key = d->key;
        copy->key_at = d->key_at;
        rki_node_add(to, copy);
    }
}

// The ports that options name come after the table's.
static bool take_ports(rki_load *l, rki_kernel *k, void *self)
{
    rkp_opt_ctx c = rki_load_ctx(l, k->id.p);
    const rkp_word *named = NULL;
    size_t n_named = 0, n = 0;
    rkp_word *v;

    if (k->op->kind == RKP_SINK)
        return true;
    if (k->op->ports && k->op->ports(self, &c, &named, &n_named) != RKP_OK)
        return false;
    while (k->op->outs && k->op->outs[n].name)
        n++;
    if (!k->op->outs && !k->op->ports)
        n = 1;
    v = rki_array(l->arena, n + n_named, sizeof *v);
    if (!v)
        return false;
    if (!k->op->outs && !k->op->ports)
        v[0] = (rkp_word){ "out", 3, { 0 } };
    for (size_t i = 0; k->op->outs && i < n; i++)
        v[i] = (rkp_word){ k->op->outs[i].name, strlen(k->op->outs[i].name), { 0 } };
    for (size_t i = 0; i < n_named; i++) {
        v[n + i] = named[i];
        if (rki_is_id(rkp_word_str(named[i])))
            continue;
        rkp_diag(l->d, RKP_ERROR, named[i].at, "id", "'%s' cannot be the name of a port", named[i].p);
        rkp_diag_hint(l->d, "letters, digits, '_' and '-', at most 63, and no digit first");
    }
    k->ports = v;
    k->n_ports = n + n_named;
    if (n_named > PORTS) {
        rkp_diag(l->d, RKP_ERROR, k->at, "limit-ports", "kernel '%s' has more than %d ports", k->id.p, PORTS);
        return false;
    }
    return true;
}

// Sets the options in a scratch instance, so that every mistake in them is found now.
static bool check_options(rki_load *l, rki_kernel *k, const rkp_node *kernel)
{
    bool meant[RKI_MAX_ROWS] = { false };
    rkp_str owner = rki_printf(l->arena, "operator '%s'", k->op->name);
    rkp_opt_ctx c = rki_load_ctx(l, owner.p);
    void *self = rki_alloc(l->arena, k->op->self_size);
    bool ok;

    if (!owner.p || !self)
        return false;
    for (size_t i = 0; k->op->opts && k->op->opts[i].name && i < RKI_MAX_ROWS; i++)
        meant[i] = rki_node_get(kernel, k->op->opts[i].name) != NULL; // written beside `with`: that has been said
    c.keys = false;
    c.meant = meant;
    c.other = rki_kernel_rows;
    c.other_hint = "it stands beside 'with', not in it";
    ok = rki_opts_apply(&c, k->op->opts, k->with, k->with ? k->with->key_at : k->at, self) == RKP_OK;
    ok = ok && take_ports(l, k, self);
    if (k->op->fini)
        k->op->fini(self);
    return ok;
}

static uint64_t power_of_two(uint64_t v)
{
    uint64_t p = 2;

    while (p < v)
        p *= 2;
    return p;
}

void rki_queue_rounded(rki_load *l, const rkp_node *n, uint64_t capacity)
{
    if (n && capacity && power_of_two(capacity) != capacity)
        rkp_diag(l->d, RKP_NOTE, n->at, "queue-rounded", "capacity %llu is rounded up to %llu, a power of two",
                 (unsigned long long)capacity, (unsigned long long)power_of_two(capacity));
}

static void take_queue(rki_load *l, const rkp_node *k, const rki_kernel_conf *conf, rki_kernel *to)
{
    const rkp_node *q = rki_node_get(k, "queue"), *n = q ? rki_node_get(q, "capacity") : NULL;

    to->queue_bytes = conf->queue.bytes;
    to->overflow = conf->queue.overflow;
    to->spill_bytes = conf->queue.spill_bytes;
    to->capacity_given = n != NULL;
    to->bytes_given = q && rki_node_get(q, "bytes");
    to->queue_capacity = power_of_two(conf->queue.capacity);
    rki_queue_rounded(l, n, conf->queue.capacity);
}

// Fields that mean nothing for a source.
static void source_fields(rki_load *l, const rkp_node *k)
{
    static const char *const names[] = { "queue", "batch", "partition_by", "order", "timeout", NULL };

    for (size_t i = 0; names[i]; i++) {
        const rkp_node *n = rki_node_get(k, names[i]);

        if (!n)
            continue;
        rkp_diag(l->d, RKP_ERROR, n->key_at, "source-field", "'%s' is about a kernel's input, and '%s' is a source",
                 names[i], k->key.p);
        rkp_diag_hint(l->d, "put it on the kernel that reads '%s'", k->key.p);
    }
}

static void take_fields(rki_load *l, const rkp_node *n, const rki_kernel_conf *conf, rki_kernel *k)
{
    const rkp_node *e = rki_node_get(n, "on_error"), *b = rki_node_get(n, "batch"), *o = rki_node_get(n, "order");
    const rkp_node *p = rki_node_get(n, "place");

    take_queue(l, n, conf, k);
    k->batch_count = conf->batch.count;
    k->batch_bytes = conf->batch.bytes;
    if (b && b->kind == RKI_MAP && b->n == 0)
        rkp_diag(l->d, RKP_ERROR, b->at, "key-missing", "'batch' needs 'count' or 'bytes'");
    k->batch_period_ns = conf->batch.period_ns;
    k->batch_period_given = b && rki_node_get(b, "period");
    k->batches = k->batch_count || k->batch_bytes || k->batch_period_ns;
    k->place_device = conf->place.device;
    k->place_mode = conf->place.mode;
    k->place_blocks = conf->place.blocks;
    k->place_threads = conf->place.threads;
    k->place_fallback = conf->place.fallback;
    k->place_at = p ? p->at : n->key_at;
    k->fuse_never = conf->fuse == 1;
    k->order = conf->order;
    k->delivery = conf->delivery;
    k->order_at = o ? o->at : n->key_at;
    k->start_suspended = conf->start == 1;
    k->supervised = rki_node_get(n, "restart") &&
                    (k->restart.policy != RKI_RESTART_NEVER || k->restart.on_exhausted == RKI_EXHAUSTED_ISOLATE);
    k->replicas_given = rki_node_get(n, "replicas") != NULL;
    k->on_error.at = e ? e->at : n->key_at;
}

static rki_settings *params_of(rki_use **use, const rkp_node *k)
{
    rki_settings *p = NULL;

    if (*use && (*use)->kernel == k) {
        p = &(*use)->params;
        *use = (*use)->next;
    }
    return p;
}

static size_t row_of(const char *name)
{
    return (size_t)(rki_opts_find(rki_kernel_rows, rkp_str_of(name)) - rki_kernel_rows);
}

static void one_kernel(rki_load *l, rkp_node *n, rki_settings *params, const rkp_node *defaults, struct kernels *all)
{
    rkp_str owner = rki_printf(l->arena, "kernel '%.*s'", (int)(n->key.n < 80 ? n->key.n : 80), n->key.p);
    rkp_opt_ctx c = rki_load_ctx(l, owner.p);
    rki_kernel_conf conf = { .k.on_error.max_ratio = 1, .k.enabled = true };
    bool meant[RKI_MAX_ROWS] = { false };
    const rkp_node *from;
    const rkp_op *op;
    const rkp_node *subscribe;
    rkp_node *with;
    rki_kernel *k;

    rki_load_id(l, n, "kernel");
    if (!owner.p)
        return;
    if (n->kind != RKI_MAP)
        rkp_diag(l->d, RKP_ERROR, n->at, "opt-type", "%s needs a mapping with 'op', not %s", owner.p,
                 rki_node_shown(l->arena, n));
    if (n->kind != RKI_MAP || n->bad) {
        all->lost[all->n_lost++].id = n->key;
        return;
    }
    rki_interp_rows(l, n, rki_kernel_rows, params);
    op = op_of(l, n);
    with = rki_node_get(n, "with");
    if (op && with)
        rki_interp_rows(l, with, op->opts, params);
    if (op && op->kind == RKP_SOURCE)
        source_fields(l, n);
    if (defaults)
        add_defaults(l, n, defaults, op, true);
    c.foreign = rki_kernel_words;
    c.other = op ? op->opts : NULL;
    c.other_hint = "it is an option of the operator: put it under 'with'";
    c.meant = meant;
    rki_opts_apply(&c, rki_kernel_rows, n, n->key_at, &conf);
    if (!op) {
        all->lost[all->n_lost].id = n->key;
        all->lost[all->n_lost++].from = conf.from;
        return;
    }
    k = &all->v[all->n];
    *k = conf.k;
    k->id = n->key;
    k->at = n->key_at;
    k->op = op;
    k->with = with;
    take_fields(l, n, &conf, k);
    rki_check_fields(l, n, k);
    if (!k->enabled) {
        check_options(l, k, n);
        all->off[all->n_off++] = n->key;
        return;
    }
    if ((op->traits & RKP_EXECS) && !l->s->engine.allow_exec && !l->args->test) {
        rkp_diag(l->d, RKP_ERROR, k->op_name.at, "exec-denied",
                 "operator '%s' starts a command, which is not allowed here", op->name);
        rkp_diag_hint(l->d, "allow it with 'engine: {allow_exec: true}', or with --allow-exec");
    }
    from = rki_node_get(n, "from");
    all->ports_known[all->n] = !meant[row_of("with")] && check_options(l, k, n);
    all->from[all->n] = (rki_graph_from){ .w = conf.from, .given = from != NULL, .bad = meant[row_of("from")] };
    subscribe = rki_node_get(n, "subscribe"); // when nothing comes of it, that has been said
    if ((with && rki_node_get(with, "from")) || (subscribe && !(subscribe->kind == RKI_LIST && !subscribe->child)))
        all->from[all->n].bad = true;
    rki_load_pubsub(l, n, &conf, all->ports_known[all->n], k);
    if (from) {
        all->from[all->n].at = from->at;
        all->from[all->n].bad =
            all->from[all->n].bad || (conf.from.n == 0 && !(from->kind == RKI_LIST && from->n == 0));
    }
    all->n++;
}

static const rkp_node *check_defaults(rki_load *l)
{
    rkp_node *d = rki_node_get(l->root, "defaults");
    rkp_opt_ctx c = rki_load_ctx(l, "'defaults'");
    rki_kernel_conf scratch = { 0 };

    if (!d)
        return NULL;
    rki_interp_rows(l, d, rki_defaults_rows, NULL);
    c.other = rki_kernel_rows;
    c.other_hint = "it has no default for every kernel: write it in the kernel";
    if (rki_opts_apply(&c, rki_defaults_rows, d, d->key_at, &scratch) != RKP_OK)
        return NULL;
    return d;
}

static void read_kernels(rki_load *l, const rki_top *top)
{
    rkp_node *map = rki_load_map(l, "kernels", "ids to kernels");
    const rkp_node *defaults = check_defaults(l);
    rki_use *use = l->uses;
    struct kernels all = { 0 };
    size_t alert = 0, room;
    rki_graph_in in;

    if (!map)
        return; // the row reports that it is missing
    if (map->n == 0) {
        rkp_diag(l->d, RKP_ERROR, map->key_at, "kernels-none", "the pipeline has no kernels");
        return;
    }
    room = map->n + rki_watching_n(l) + 2; // and the engine's own, and a test's
    all.v = rki_array(l->arena, room, sizeof *all.v);
    all.from = rki_array(l->arena, room, sizeof *all.from);
    all.ports_known = rki_alloc(l->arena, room);
    all.off = rki_array(l->arena, map->n, sizeof *all.off);
    all.lost = rki_array(l->arena, map->n, sizeof *all.lost);
    if (rki_arena_failed(l->arena))
        return;
    for (rkp_node *k = map->child; k && !rki_arena_failed(l->arena); k = k->next)
        one_kernel(l, k, params_of(&use, k), defaults, &all);
    if (rki_arena_failed(l->arena))
        return;
    l->s->kernels = all.v;
    l->s->n_kernels = all.n;
    if (rki_load_test_topic(l, &all.v[all.n])) {
        all.ports_known[all.n] = true;
        l->s->n_kernels = ++all.n;
    }
    while (l->args->watch_op && rki_watching_kernel(l, &alert, &all.v[all.n], &all.from[all.n])) {
        all.ports_known[all.n] = true;
        l->s->n_kernels = ++all.n;
    }
    if (l->args->engine_op && rki_engine_wanted(l->s)) {
        rki_engine_kernel(l, &all.v[all.n]);
        all.ports_known[all.n] = true;
        l->s->n_kernels = ++all.n;
    }
    in = (rki_graph_in){ all.from, all.ports_known, all.off, all.n_off, all.lost, all.n_lost, top->dead_letter };
    rki_load_graph(l, &in);
}

// ---- load

static void load(rki_load *l)
{
    rki_top top = { 0 };

    l->root = rki_load_files(l);
    if (!l->root)
        return;
    l->s->root = l->root;
    rki_load_sets(l);
    rki_load_vars(l);
    rki_load_stores(l);
    rki_load_vars_done(l);
    rki_load_templates(l);
    rki_load_test(l);
    if (rki_arena_failed(l->arena))
        return;
    top_level(l, &top);
    read_schemas(l);
    if (!rki_arena_failed(l->arena))
        rki_load_topics(l, top.topics);
    if (!rki_arena_failed(l->arena))
        read_kernels(l, &top);
}

rki_spec *rki_spec_load(const rki_spec_args *args, rkp_diags *d)
{
    size_t before = rki_diags_count(d, RKP_ERROR);
    rki_spec *s = calloc(1, sizeof *s);
    rki_load l = { .args = args, .d = d, .s = s, .errors = before };

    if (!s) {
        rkp_diag(d, RKP_ERROR, (rkp_loc){ .file = args->file }, "no-memory", "memory is used up");
        return NULL;
    }
    rki_arena_init(&s->arena);
    l.arena = &s->arena;
    load(&l);
    if (args->texts && !(*args->texts = rki_snapshot_copy(&s->sources)))
        s->arena.failed = true;
    if (rki_arena_failed(&s->arena))
        rkp_diag(d, RKP_ERROR, (rkp_loc){ .file = args->file }, "no-memory", "memory is used up");
    if (rki_arena_failed(&s->arena) || rki_diags_count(d, RKP_ERROR) > before) {
        rki_spec_free(s);
        return NULL;
    }
    return s;
}

void rki_spec_free(rki_spec *s)
{
    if (!s)
        return;
    rki_arena_fini(&s->arena);
    free(s);
}
