// cli/test_goal.c - what tests name (kernels, their ports, topics), the columns that come there, and the rows that do.
//
// Rows are kept as text, as sinks print values: equal values of one type have equal text, and text is what people are shown.  Floats keep
// their number, too.
#include "cli/test.h"

#include <rkpipe/num.h>

enum { NAMES = 200, WRONG = 5 };

static const char dead_port[] = "dead_letter";

// ---- names ----------------------------------------------------------------------------------------------------------

static uint32_t kernel_named(const rki_plan *p, rkp_str id)
{
    for (uint32_t i = 0; i < p->n_kernels; i++)
        if (rkp_str_eq(rkp_word_str(p->kernels[i].k->id), id))
            return i;
    return UINT32_MAX;
}

static void hint_kernel(rki_case *k, rkp_str word)
{
    const char *names[NAMES + 1], *near;
    size_t n = 0;
    for (uint32_t i = 0; i < k->l.plan->n_kernels && n < NAMES; i++)
        if (k->l.plan->kernels[i].k->id.p[0] != '$')
            names[n++] = k->l.plan->kernels[i].k->id.p;
    names[n] = NULL;
    near = rki_nearest(word, names);
    if (near)
        rkp_diag_hint(k->l.diags, "did you mean '%s'?", near);
}

static void ports_hint(rki_case *k, const rki_kernel *kernel)
{
    rki_buf b;
    rki_buf_init(&b);
    for (size_t i = 0; i < kernel->n_ports; i++)
        rki_putf(&b, "%s%s.%s", i ? ", " : "", kernel->id.p, kernel->ports[i].p);
    if (b.n && !b.failed)
        rkp_diag_hint(k->l.diags, "it has %.*s", (int)b.n, b.p);
    rki_buf_fini(&b);
}

// The port of a kernel that the words after its name mean.
static bool port_of(rki_case *k, rkp_word of, const rki_kernel *kernel, rkp_str port, uint32_t *out)
{
    if (!port.p && kernel->op->kind == RKP_SINK) {
        *out = RKI_SEEN_TAKEN;
        return true;
    }
    if (!port.p && !kernel->op->ports) {
        *out = 0;
        return true;
    }
    if (!port.p) {
        rkp_diag(k->l.diags, RKP_ERROR, of.at, "port-which", "kernel '%s' (%s) has several ports", kernel->id.p,
                 kernel->op->name);
        ports_hint(k, kernel);
        return false;
    }
    for (uint32_t i = 0; i < kernel->n_ports; i++)
        if (rkp_str_eq(rkp_word_str(kernel->ports[i]), port)) {
            *out = i;
            return true;
        }
    if (rkp_str_is(port, dead_port)) {
        *out = RKI_SEEN_DEAD;
        return true;
    }
    rkp_diag(k->l.diags, RKP_ERROR, of.at, "port-unknown", "kernel '%s' (%s) has no port '%.*s'", kernel->id.p,
             kernel->op->name, RKP_STR_ARG(port));
    ports_hint(k, kernel);
    return false;
}

static rki_origin *add_origin(rki_case *k, rki_goal *t, uint32_t kernel, uint32_t port, const rki_publication *pub)
{
    const rki_bound *b = &k->l.plan->kernels[kernel];
    rki_origin *v = rki_array(&k->arena, t->n_from + 1, sizeof *v);
    if (!v)
        return NULL;
    for (size_t i = 0; i < t->n_from; i++)
        v[i] = t->from[i];
    t->from = v;
    v += t->n_from++;
    *v = (rki_origin){ .kernel = kernel,
                       .port = port,
                       .pub = pub,
                       .schema = port == RKI_SEEN_DEAD    ? rki_dead_schema()
                                 : port == RKI_SEEN_TAKEN ? &b->in
                                                          : &b->out[port] };
    return v;
}

static bool find_kernel(rki_case *k, rki_goal *t, rkp_word of, uint32_t kernel, rkp_str port)
{
    uint32_t at;
    const rki_bound *b = &k->l.plan->kernels[kernel];
    if (!port_of(k, of, b->k, port, &at))
        return false;
    if (at == RKI_SEEN_DEAD && b->on_error != RKI_ERR_DEAD_LETTER) {
        rkp_diag(k->l.diags, RKP_ERROR, of.at, "test-target", "kernel '%s' makes no dead letters", b->k->id.p);
        rkp_diag_hint(k->l.diags, b->on_error == RKI_ERR_DROP ? "it drops bad rows" : "it fails when a row is bad");
        return false;
    }
    t->of = rki_printf(&k->arena, "kernel '%s'", of.p).p;
    return add_origin(k, t, kernel, at, NULL) && t->of;
}

static bool find_topic(rki_case *k, rki_goal *t, rkp_word of)
{
    const rki_plan *p = k->l.plan;
    rki_topic_findings f;
    if (!rki_topic_check(RKI_TOPIC_PATTERN, rkp_word_str(of), &f)) {
        rkp_diag(k->l.diags, RKP_ERROR, of.at, "test-target", "no kernel is named '%s', and it is no topic: %s", of.p,
                 f.v[0].what);
        hint_kernel(k, rkp_word_str(of));
        return false;
    }
    t->topic = rkp_word_str(of);
    t->of = rki_printf(&k->arena, "topic '%s'", of.p).p;
    for (uint32_t i = 0; i < p->n_kernels; i++) {
        const rki_kernel *from = p->kernels[i].k;
        for (uint32_t n = 0; n < from->n_pubs; n++) {
            const rki_publication *pub = &from->pubs[n];
            bool meets = pub->tpl ? rki_topic_may_match(pub->tpl, t->topic)
                                  : rki_topic_match(t->topic, rkp_word_str(pub->topic));
            if (meets && !add_origin(k, t, i, pub->port, pub))
                return false;
        }
        if (p->dead_topics && p->kernels[i].on_error == RKI_ERR_DEAD_LETTER &&
            rki_topic_match(t->topic, p->dead_topics->names[0]) && !add_origin(k, t, i, RKI_SEEN_DEAD, NULL))
            return false;
    }
    if (t->n_from)
        return t->of != NULL;
    rkp_diag(k->l.diags, RKP_ERROR, of.at, "test-target",
             memchr(of.p, '/', of.n) ? "nobody publishes what '%s' matches"
                                     : "no kernel is named '%s', and nobody publishes such a topic",
             of.p);
    hint_kernel(k, rkp_word_str(of));
    return false;
}

// ---- columns --------------------------------------------------------------------------------------------------------

static bool united(rkp_type a, rkp_type b, rkp_type *out)
{
    *out = a;
    out->nullable = a.nullable || b.nullable;
    if (a.kind == b.kind && a.len == b.len)
        return true;
    if (a.len || b.len || !rkp_kind_is_num(a.kind) || !rkp_kind_is_num(b.kind))
        return false;
    out->kind = rkp_kind_is_float(a.kind) || rkp_kind_is_float(b.kind) ? RKP_F64 : RKP_I64;
    return true;
}

static bool unite(rki_case *k, rki_goal *t, rkp_loc at)
{
    uint32_t cap = 0;
    rkp_field *f;
    for (size_t i = 0; i < t->n_from; i++)
        cap += t->from[i].schema->n;
    f = rki_array(&k->arena, cap ? cap : 1, sizeof *f);
    if (!f)
        return false;
    t->schema.f = f;
    for (size_t i = 0; i < t->n_from; i++) {
        const rkp_schema *s = t->from[i].schema;
        for (uint32_t c = 0; c < s->n; c++) {
            int have = rkp_schema_find(&t->schema, s->f[c].name);
            char a[RKP_TYPE_TEXT], b[RKP_TYPE_TEXT];
            if (have < 0) {
                f[t->schema.n++] = s->f[c];
                continue;
            }
            rkp_type_print(a, f[have].type);
            rkp_type_print(b, s->f[c].type);
            if (united(f[have].type, s->f[c].type, &f[have].type))
                continue;
            rkp_diag(k->l.diags, RKP_ERROR, at, "test-target", "%s carries column '%.*s' as %s and as %s", t->of,
                     RKP_STR_ARG(s->f[c].name), a, b);
            rkp_diag_hint(k->l.diags, "expect it of the kernels that publish it");
            return false;
        }
    }
    for (size_t i = 0; i < t->n_from; i++) {
        rki_origin *o = &t->from[i];
        o->col = rki_array(&k->arena, t->schema.n + 1u, sizeof *o->col);
        for (uint32_t c = 0; o->col && c < t->schema.n; c++)
            o->col[c] = rkp_schema_find(o->schema, t->schema.f[c].name);
        if (!o->col)
            return false;
    }
    return true;
}

static bool compile_where(rki_case *k, rki_goal *t)
{
    rkp_opt_ctx c = { .arena = &k->arena, .diags = k->l.diags, .spec = k->l.spec, .owner = t->of };
    const rki_spec *s = k->l.spec;
    rkp_expr_var *vars = rki_array(&k->arena, s->n_vars + 1, sizeof *vars);
    if (!vars)
        return false;
    for (size_t i = 0; i < s->n_vars; i++)
        vars[i] = (rkp_expr_var){ rkp_word_str(s->vars[i].name), RKP_TYPE((uint8_t)s->vars[i].kind), s->vars[i].value };
    for (size_t i = 0; i < t->n_from; i++) {
        rkp_scope scope = {
            .schema = t->from[i].schema, .vars = vars, .n_vars = s->n_vars, .meta = rkp_meta_names, .n_meta = RKP_N_META
        };
        t->from[i].where = rkp_expr_compile(&c, k->l.diags, t->e->where, &scope, RKP_WANT_BOOL);
        if (!t->from[i].where)
            return false;
    }
    return true;
}

static bool take_columns(rki_case *k, rki_goal *t)
{
    bool ok = true;
    t->compared = rki_array(&k->arena, t->schema.n + 1u, sizeof *t->compared);
    for (uint32_t c = 0; t->compared && c < t->schema.n; c++)
        t->compared[c] = t->e->columns.n == 0 && !t->schema.f[c].type.len;
    for (size_t i = 0; t->compared && i < t->e->columns.n; i++) {
        int at = rkp_schema_find(&t->schema, rkp_word_str(t->e->columns.v[i]));
        if (at >= 0) {
            t->compared[at] = true;
            continue;
        }
        rkp_diag(k->l.diags, RKP_ERROR, t->e->columns.v[i].at, "test-column", "%s has no column '%s'", t->of,
                 t->e->columns.v[i].p);
        ok = false;
    }
    return ok && t->compared;
}

static bool type_rows(rki_case *k, const rki_goal *t, const rki_rows *rows, rki_cells *to)
{
    rki_rows_as as = {
        .arena = &k->arena, .d = k->l.diags, .pool = k->pool, .schema = &t->schema, .of = t->of, .partial = true
    };
    rki_origin same = { .schema = &t->schema };
    rkp_batch *b;
    const rkp_node *row = rows->list ? rows->list->child : NULL;
    bool ok;
    if (!rows->list)
        return true;
    b = rki_rows_batch(&as, rows);
    same.col = rki_array(&k->arena, t->schema.n + 1u, sizeof *same.col);
    for (uint32_t c = 0; same.col && c < t->schema.n; c++)
        same.col[c] = (int32_t)c;
    ok = b && same.col && rki_cells_add(k, t, &same, b, NULL, b->rows, to);
    rkp_batch_put(b);
    for (size_t i = 0; ok && row; row = row->next, i++)
        for (const rkp_node *v = row->child; v; v = v->next) {
            int at = rkp_schema_find(&t->schema, rkp_word_str(v->key));
            if (at >= 0)
                to->v[i][at].named = true;
        }
    return ok;
}

static bool find_target(rki_case *k, rki_goal *t)
{
    const rki_expect *e = t->e;
    const char *dot = memchr(e->of.p, '.', e->of.n);
    rkp_str id = { e->of.p, dot ? (size_t)(dot - e->of.p) : e->of.n };
    uint32_t at = kernel_named(k->l.plan, id);
    rkp_str port = { dot ? dot + 1 : NULL, dot ? e->of.n - id.n - 1 : 0 };
    bool ok;
    if (!(at != UINT32_MAX ? find_kernel(k, t, e->of, at, port) : find_topic(k, t, e->of)) || !unite(k, t, e->of.at))
        return false;
    ok = take_columns(k, t);
    ok = (!e->where.p || compile_where(k, t)) && ok;
    ok = type_rows(k, t, &e->equals, &t->equals) && ok;
    return type_rows(k, t, &e->contains, &t->contains) && ok;
}

// Everything that a kernel gives, and what its sinks get.
static bool show_all(rki_case *k)
{
    const rki_plan *p = k->l.plan;
    size_t n = 0;
    for (uint32_t i = 0; i < p->n_kernels; i++)
        n += p->kernels[i].k->n_ports + 2;
    k->goals = rki_array(&k->arena, n, sizeof *k->goals);
    for (uint32_t o = 0; k->goals && o < p->n_order; o++) {
        const rki_kernel *kernel = p->kernels[p->order[o]].k;
        bool sink = kernel->op->kind == RKP_SINK, rejects = p->kernels[p->order[o]].on_error == RKI_ERR_DEAD_LETTER;
        size_t ports = sink ? 1 : kernel->n_ports;
        if (kernel->id.p[0] == '$')
            continue;
        for (size_t i = 0; i < ports + rejects; i++) {
            rki_goal *t = &k->goals[k->n_goals++];
            const char *name = sink ? NULL : i < ports ? kernel->ports[i].p : NULL;
            bool dead = i == ports;
            t->of = dead                ? rki_printf(&k->arena, "%s.%s", kernel->id.p, dead_port).p
                    : name && ports > 1 ? rki_printf(&k->arena, "%s.%s", kernel->id.p, name).p
                                        : kernel->id.p;
            if (!t->of ||
                !add_origin(k, t, p->order[o],
                            dead   ? RKI_SEEN_DEAD
                            : sink ? RKI_SEEN_TAKEN
                                   : (uint32_t)i,
                            NULL) ||
                !unite(k, t, kernel->at))
                return false;
        }
    }
    return k->goals != NULL;
}

bool rki_goals_find(rki_case *k)
{
    bool ok = true;
    if (!k->t->n_expects)
        return k->t->fails.p || k->t->n_alerts || show_all(k);
    k->goals = rki_array(&k->arena, k->t->n_expects, sizeof *k->goals);
    for (size_t i = 0; k->goals && i < k->t->n_expects; i++) {
        k->goals[i].e = &k->t->expects[i];
        ok = find_target(k, &k->goals[i]) && ok;
    }
    k->n_goals = k->goals ? k->t->n_expects : 0;
    return ok && k->goals;
}

// ---- rows -----------------------------------------------------------------------------------------------------------

static double number(const rkp_col *c, uint32_t row)
{
    return c->type.kind == RKP_F32 ? (double)((const float *)c->values)[row] : ((const double *)c->values)[row];
}

// One column of some rows, as text.
static bool column_cells(rki_case *k, rkp_batch *mem, rkp_type want, rkp_batch *b, uint32_t from, const uint32_t *rows,
                         uint32_t n, rki_cell **to, uint32_t c)
{
    const rkp_type string = RKP_NTYPE(RKP_STRING);
    rkp_errs errs = { 0 };
    rkp_col flat, text;
    bool ok = rkp_col_flat(mem, b, from, rows, n, &flat, &errs) == RKP_OK;
    if (ok && flat.type.kind != want.kind)
        ok = rkp_col_cast(mem, &flat, n, want, &text, &errs) == RKP_OK && ((flat = text), true);
    text = flat;
    if (ok && !rkp_kind_is_view(flat.type.kind))
        ok = rkp_col_cast(mem, &flat, n, string, &text, &errs) == RKP_OK;
    for (uint32_t i = 0; ok && i < n; i++) {
        uint32_t at = rkp_col_row(&text, i), num = rkp_col_row(&flat, i);
        if (rkp_col_is_null(&text, at))
            continue;
        to[i][c].text = rki_dup_str(&k->arena, rkp_view_str(&text, at));
        if (rkp_kind_is_float(flat.type.kind))
            to[i][c].num = number(&flat, num);
        ok = to[i][c].text.p != NULL;
    }
    for (uint32_t i = 0; ok && i < errs.n; i++) { // what it was made of is all there is
        for (uint32_t r = 0; r < n; r++)
            if ((rows ? rows[r] : r) == errs.v[i].row) {
                rkp_str raw = b->cols[from].rep == RKP_TEXT ? rkp_col_raw(&b->cols[from], errs.v[i].row) : RKP_STR("?");
                to[r][c] = (rki_cell){ .text = rki_dup_str(&k->arena, raw), .bad = true };
            }
    }
    rkp_errs_fini(&errs);
    return ok;
}

bool rki_cells_add(rki_case *k, const rki_goal *t, const rki_origin *o, rkp_batch *b, const uint32_t *rows, uint32_t n,
                   rki_cells *to)
{
    rkp_batch *mem;
    rki_cell **v;
    bool ok = true;
    if (!n)
        return true;
    if (to->n + n > to->cap) {
        size_t cap = to->cap ? to->cap * 2 : 64;
        while (cap < to->n + n)
            cap *= 2;
        v = rki_array(&k->arena, cap, sizeof *v);
        if (!v)
            return false;
        if (to->n)
            memcpy(v, to->v, to->n * sizeof *v);
        to->v = v;
        to->cap = cap;
    }
    v = to->v + to->n;
    for (uint32_t i = 0; i < n; i++)
        if (!(v[i] = rki_array(&k->arena, t->schema.n + 1u, sizeof **v)))
            return false;
    mem = rkp_batch_new(k->pool, NULL, 0, 4096);
    for (uint32_t c = 0; mem && ok && c < t->schema.n; c++) {
        if (o->col[c] >= 0 && t->schema.f[c].type.len) { // arrays are only counted
            for (uint32_t i = 0; i < n; i++)
                v[i][c].text = RKP_STR("[..]");
        } else if (o->col[c] >= 0) {
            ok = column_cells(k, mem, t->schema.f[c].type, b, (uint32_t)o->col[c], rows, n, v, c);
        }
    }
    ok = ok && mem;
    rkp_batch_put(mem);
    to->n += ok ? n : 0;
    return ok;
}

// Rows for which the condition is not true.
static bool look_where(rki_case *k, rki_goal *t, const rki_origin *o, rkp_batch *b, const uint32_t *rows, uint32_t n)
{
    rkp_errs errs = { 0 };
    rkp_meta meta = { .kernel = rkp_word_str(k->l.plan->kernels[o->kernel].k->id), .now_us = k->t->now_us };
    uint32_t *good = rki_array(&k->arena, n + 1u, sizeof *good), n_good = 0, g = 0;
    bool ok = good && rkp_expr_filter(o->where, k->frame, b, &meta, rows, n, good, &n_good, &errs) == RKP_OK;
    for (uint32_t i = 0; ok && i < n; i++) {
        uint32_t row = rows ? rows[i] : i;
        if (g < n_good && good[g] == row) {
            g++;
            continue;
        }
        if (!t->n_wrong++)
            t->first_wrong = t->rows + i + 1;
        if (t->wrong.n < WRONG)
            ok = rki_cells_add(k, t, o, b, &row, 1, &t->wrong);
    }
    rkp_errs_fini(&errs);
    return ok;
}

// How many rows are worth keeping: nobody is shown a million.
static uint64_t keeps(const rki_goal *t)
{
    enum { SHOWN = 20, MOST = 1000000 };
    bool all = t->e && (t->contains.n || (t->e->equals.list && t->e->any_order));
    return all ? MOST : t->e && t->e->equals.list ? t->equals.n + SHOWN : SHOWN;
}

static void take(rki_case *k, rki_goal *t, const rki_origin *o, rkp_batch *b, const uint32_t *rows, uint32_t n)
{
    uint64_t room = keeps(t);
    room = room > t->got.n ? room - t->got.n : 0;
    if (o->where && !look_where(k, t, o, b, rows, n))
        k->nomem = true;
    if (!rki_cells_add(k, t, o, b, rows, n < room ? n : (uint32_t)room, &t->got))
        k->nomem = true;
    t->rows += n;
}

static void take_topic(rki_case *k, rki_goal *t, const rki_origin *o, const rki_seen *s)
{
    uint32_t *rows, n = 0;
    if (s->topics) {
        if (rki_topic_match(t->topic, s->topics->names[0]))
            take(k, t, o, s->b, NULL, s->b->rows);
        return;
    }
    rows = rki_array(&k->arena, s->b->rows + 1u, sizeof *rows);
    for (uint32_t i = 0; rows && i < s->b->rows; i++) {
        rkp_str name = rkp_batch_topic(s->b, i);
        if (name.p && rki_topic_match(t->topic, name))
            rows[n++] = i;
    }
    if (!rows)
        k->nomem = true;
    else if (n)
        take(k, t, o, s->b, rows, n);
}

void rki_goals_see(rki_case *k, const rki_seen *s)
{
    for (size_t i = 0; i < k->n_goals && !k->nomem; i++) {
        rki_goal *t = &k->goals[i];
        for (size_t f = 0; f < t->n_from; f++) {
            const rki_origin *o = &t->from[f];
            if (o->kernel != s->kernel || o->port != s->port || o->pub != s->pub)
                continue;
            if (t->topic.p)
                take_topic(k, t, o, s);
            else
                take(k, t, o, s->b, NULL, s->b->rows);
            break;
        }
    }
}
