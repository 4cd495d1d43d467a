// settings.c - typed declarations with values from outside: variables of a pipeline, parameters of a template.
//
// A default may name other variables, so values are resolved on demand, depth first; `state` finds the circle.
#include "spec/load.h"

#include "spec/value.h"
#include <rkpipe/num.h>
#include <stdio.h>

static const rkp_choice type_names[] = {
    { "string", RKI_SET_STRING, "any text" },
    { "int", RKI_SET_INT, "a whole number" },
    { "float", RKI_SET_FLOAT, "a number" },
    { "bool", RKI_SET_BOOL, "true or false" },
    { "duration", RKI_SET_DURATION, "500ms, 5s, 1h" },
    { "size", RKI_SET_SIZE, "64KiB, 10MB" },
    { "path", RKI_SET_PATH, "a file or folder" },
    { "list", RKI_SET_LIST, "texts; a,b,c on the command line" },
    { 0 },
};

struct decl {
    int type;
    const rkp_node *def, *choices;
    bool required;
    rkp_word description;
};

#define AT(f) offsetof(struct decl, f)
const rkp_opt rki_setting_rows[] = {
    { "type", &rkp_choice_type, AT(type), .optional = true, .choices = type_names, .help = "what values it takes" },
    { "default", &rki_any, AT(def), .optional = true, .help = "its value when none is given" },
    { "required", &rkp_bool, AT(required), .def = "false", .help = "a value must be given" },
    { "enum", &rki_any, AT(choices), .optional = true, .help = "the values that are allowed",
      .also = "options values one_of allowed choices" },
    { "description", &rkp_string, AT(description), .optional = true, .help = "what it is for", .also = "help doc" },
    { 0 },
};

static const char *type_name(int type)
{
    for (const rkp_choice *c = type_names; c->name; c++)
        if (c->value == type)
            return c->name;
    return "value";
}

rki_setting *rki_settings_find(const rki_settings *s, rkp_str name)
{
    int i = s ? rki_names_find(&s->names, name) : -1;

    return i < 0 ? NULL : &s->v[i];
}

// ---- declarations

static void declare(rki_load *l, const rkp_node *n, const char *what, rki_setting *to)
{
    rkp_str owner = rki_printf(l->arena, "%s '%s'", what, n->key.p);
    rkp_opt_ctx c = rki_load_ctx(l, owner.p);
    struct decl d = { 0 };

    *to = (rki_setting){ .name = n->key };
    if (!owner.p)
        return;
    if (n->kind == RKI_SCALAR && rki_node_is_null(n)) {
        rkp_diag(l->d, RKP_ERROR, n->key_at, "opt-empty", "'%s' has no value", n->key.p);
        rkp_diag_hint(l->d, "write {type: string, required: true}, or a default");
        return;
    }
    if (n->kind != RKI_MAP) { // a bare value
        to->type = n->kind == RKI_LIST ? RKI_SET_LIST : RKI_SET_AUTO;
        to->raw = n;
        return;
    }
    if (rki_opts_apply(&c, rki_setting_rows, n, n->key_at, &d) != RKP_OK)
        return;
    to->type = d.type;
    to->raw = d.def;
    to->choices = d.choices;
    to->required = d.required;
    if (d.required && d.def) {
        rkp_diag(l->d, RKP_ERROR, d.def->key_at, "var-default", "%s is required, so its default is never used",
                 owner.p);
        rkp_diag_hint(l->d, "remove 'default' or 'required'");
    }
    if (d.choices && d.choices->kind != RKI_LIST) {
        rkp_diag(l->d, RKP_ERROR, d.choices->at, "opt-type", "'enum' needs a list of values, not %s",
                 rki_node_shown(l->arena, d.choices));
        to->choices = NULL;
    }
    if (!to->type && !d.def)
        to->type = RKI_SET_STRING;
}

void rki_settings_declare(rki_load *l, const rkp_node *map, rki_settings *to)
{
    to->v = rki_array(l->arena, map->n, sizeof *to->v);
    if (!to->v || !rki_names_make(l->arena, map->n, &to->names))
        return;
    for (const rkp_node *n = map->child; n; n = n->next) {
        rki_names_add(&to->names, rkp_word_str(n->key), (uint32_t)to->n);
        rki_load_id(l, n, to->what);
        declare(l, n, to->what, &to->v[to->n++]);
    }
    rki_names_sort(&to->names);
}

// ---- types

static int type_of_bare(const rkp_node *n)
{
    const char *hint;
    int64_t i;
    double f;
    bool b;

    if (n->kind == RKI_LIST)
        return RKI_SET_LIST;
    if (!n->plain)
        return RKI_SET_STRING;
    if (rki_value_int(n->text, &i, &hint) == RKI_VALUE_OK)
        return RKI_SET_INT;
    if (rki_value_float(n->text, &f, &hint) == RKI_VALUE_OK)
        return RKI_SET_FLOAT;
    return rki_value_bool(n->text, &b, &hint) == RKI_VALUE_OK ? RKI_SET_BOOL : RKI_SET_STRING;
}

// Does the text have the type?  *say gets what the type wants.
static rki_verdict scalar_fits(int type, const rkp_node *n, const char **want, const char **hint)
{
    int64_t i;
    uint64_t u;
    double f;
    bool b;

    *hint = NULL;
    switch (type) {
    case RKI_SET_INT:
        *want = "a whole number";
        return rki_value_int(n->text, &i, hint);
    case RKI_SET_FLOAT:
        *want = "a number";
        return rki_value_float(n->text, &f, hint);
    case RKI_SET_BOOL:
        *want = "true or false";
        return rki_value_bool(n->text, &b, hint);
    case RKI_SET_DURATION:
        *want = "a duration such as 500ms or 5s";
        return rki_value_duration(n->text, &u, hint);
    case RKI_SET_SIZE:
        *want = "a size such as 64KiB or 10MB";
        return rki_value_size(n->text, &u, hint);
    case RKI_SET_PATH:
        *want = "a path";
        return n->text.n ? RKI_VALUE_OK : RKI_VALUE_FORM;
    default:
        *want = "a text";
        return RKI_VALUE_OK;
    }
}

static bool fits(rki_load *l, const rki_settings *s, const rki_setting *v, const rkp_node *n)
{
    const char *want, *hint;
    bool ok = n->kind == RKI_SCALAR && !rki_node_is_null(n);
    rki_verdict r = RKI_VALUE_FORM;

    if (n->bad)
        return false;
    if (v->type == RKI_SET_LIST) {
        ok = n->kind == RKI_LIST;
        for (const rkp_node *c = n->child; ok && c; c = c->next) {
            if (c->bad)
                return false;
            ok = c->kind == RKI_SCALAR && !rki_node_is_null(c);
        }
        if (!ok)
            rkp_diag(l->d, RKP_ERROR, n->at, "var-type", "%s '%s' needs a list of texts, not %s", s->what, v->name.p,
                     n->kind == RKI_LIST ? "a list of lists" : rki_node_shown(l->arena, n));
        return ok;
    }
    r = scalar_fits(v->type, n, &want, &hint);
    if (ok && r == RKI_VALUE_OK)
        return true;
    if (ok && r == RKI_VALUE_RANGE)
        rkp_diag(l->d, RKP_ERROR, n->at, "var-type", "%s is out of range for %s '%s'", rki_node_shown(l->arena, n),
                 s->what, v->name.p);
    else
        rkp_diag(l->d, RKP_ERROR, n->at, "var-type", "%s '%s' needs %s, not %s", s->what, v->name.p, want,
                 rki_node_shown(l->arena, n));
    if (ok && hint)
        rkp_diag_hint(l->d, "%s", hint);
    return false;
}

static bool allowed(rki_load *l, const rki_settings *s, const rki_setting *v, const rkp_node *n)
{
    const char *names[64 + 1], *near;
    char list[300];
    size_t count = 0, at = 0;

    if (!v->choices || n->kind != RKI_SCALAR)
        return true;
    for (const rkp_node *c = v->choices->child; c; c = c->next) {
        if (c->kind == RKI_SCALAR && rkp_str_eq(c->text, n->text))
            return true;
        if (c->kind == RKI_SCALAR && count < 64)
            names[count++] = c->text.p;
    }
    names[count] = NULL;
    list[0] = 0;
    for (size_t i = 0; i < count && at < sizeof list; i++)
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%s",
                               i == 0           ? ""
                               : i + 1 == count ? " or "
                                                : ", ",
                               names[i]);
    rkp_diag(l->d, RKP_ERROR, n->at, "var-enum", "%s '%s' is %s, not %s", s->what, v->name.p, list,
             rki_node_shown(l->arena, n));
    near = n->secret ? NULL : rki_opt_nearest(l->d, n->text, names);
    if (near)
        rkp_diag_hint(l->d, "did you mean '%s'?", near);
    return false;
}

// ---- values

static void resolve(rki_load *l, rki_settings *s, rki_setting *v)
{
    const rki_interp how = { 0 };
    rkp_node *n;

    if (v->state == 2)
        return;
    v->state = 1;
    if (v->raw) {
        n = rki_node_copy(l->arena, l->d, v->raw, v->raw->at, &l->budget);
        if (n) {
            rki_interp_all(l, n, &how);
            if (v->type == RKI_SET_AUTO)
                v->type = type_of_bare(n);
            if (fits(l, s, v, n) && allowed(l, s, v, n))
                v->value = n;
        }
    }
    v->state = 2;
}

const rkp_node *rki_settings_value(rki_load *l, rki_settings *s, rkp_str name, rkp_loc at)
{
    rki_setting *v = rki_settings_find(s, name);
    const char *names[128 + 1], *near;
    size_t n = 0;

    if (v && v->state == 1) {
        rkp_diag(l->d, RKP_ERROR, at, "var-cycle", "%s '%s' is part of its own value", s->what, v->name.p);
        return NULL;
    }
    if (v) {
        bool had = v->raw != NULL;

        resolve(l, s, v);
        if (!v->value && !had && !v->required) // required ones are reported once, at their declaration
            rkp_diag(l->d, RKP_ERROR, at, "var-none", "%s '%s' has no value", s->what, v->name.p);
        return v->value;
    }
    rkp_diag(l->d, RKP_ERROR, at, s == &l->vars ? "var-unknown" : "param-unknown", "no %s is named '%.*s'", s->what,
             (int)(name.n < 60 ? name.n : 60), name.p);
    for (size_t i = 0; s && i < s->n && n < 128; i++)
        names[n++] = s->v[i].name.p;
    names[n] = NULL;
    near = rki_opt_nearest(l->d, name, names);
    if (near)
        rkp_diag_hint(l->d, "did you mean '%s'?", near);
    else if (s == &l->vars)
        rkp_diag_hint(l->d, "declare it under 'vars:'; the environment is ${NAME}");
    return NULL;
}

void rki_settings_resolve(rki_load *l, rki_settings *s)
{
    for (size_t i = 0; i < s->n && !rki_arena_failed(l->arena); i++)
        resolve(l, s, &s->v[i]);
}

// ---- variables

// A value from outside, as a node of the variable's type.
static rkp_node *node_of(rki_load *l, int type, const char *text, rkp_loc at)
{
    rkp_node *n = rki_node_new(l->arena, RKI_SCALAR, at), *e;
    rki_tree_budget small = { 0 };

    if (!n)
        return NULL;
    n->plain = true;
    n->filled = true;
    n->text = rki_dup_str(l->arena, rkp_str_of(text));
    if (!n->text.p || type != RKI_SET_LIST)
        return n->text.p ? n : NULL;
    if (text[0] == '[')
        return rki_tree_load(l->arena, l->d, at.file, n->text, &small);
    n->kind = RKI_LIST;
    n->text = RKP_STR("");
    for (const char *p = text; *p;) {
        size_t len = strcspn(p, ",");

        e = rki_node_new(l->arena, RKI_SCALAR, at);
        if (!e)
            return NULL;
        e->text = rki_dup_str(l->arena, (rkp_str){ p, len });
        if (!e->text.p)
            return NULL;
        e->filled = true;
        rki_node_add(n, e);
        p += len + (p[len] == ',');
    }
    return n;
}

static void give(rki_load *l, rki_setting *v, const char *text, rkp_loc at)
{
    int type = v->type;

    if (!rki_utf8_ok(rkp_str_of(text))) {
        rkp_diag(l->d, RKP_ERROR, at, "var-type", "the value of variable '%s' is not UTF-8", v->name.p);
        return;
    }
    if (strlen(text) > RKI_SCALAR_BYTES) {
        rkp_diag(l->d, RKP_ERROR, at, "limit-scalar", "a value of more than 256 KiB");
        return;
    }
    if (type == RKI_SET_AUTO && v->raw) // the type is that of the value it replaces
        type = type_of_bare(v->raw);
    v->type = type;
    v->raw = node_of(l, type, text, at);
}

// What comes from outside is text as it is: ${..} in it is not looked at.
static void take(rki_load *l, rki_setting *v, bool *given)
{
    rkp_node *n = (rkp_node *)v->raw;

    *given = true;
    if (!n)
        return;
    if (v->type == RKI_SET_LIST && n->kind == RKI_LIST)
        v->value = fits(l, &l->vars, v, n) ? n : NULL;
    else
        v->value = fits(l, &l->vars, v, n) && allowed(l, &l->vars, v, n) ? n : NULL;
    v->state = 2;
}

// The values of a test come after those of the command line.
static bool from_test(rki_load *l, rki_setting *v)
{
    const rki_test *t = l->args->test;
    bool given = false;

    for (size_t i = 0; t && i < t->n_vars; i++) {
        if (!rkp_str_eq(rkp_word_str(t->vars[i].name), rkp_word_str(v->name)))
            continue;
        give(l, v, t->vars[i].value.p, t->vars[i].at);
        take(l, v, &given);
    }
    return given;
}

static bool from_args(rki_load *l, rki_setting *v)
{
    bool given = false;

    for (size_t i = 0; i < l->args->n_vars; i++) {
        const rki_kv *kv = &l->args->vars[i];
        rkp_str file;

        if (strcmp(kv->key, v->name.p) != 0)
            continue;
        file = rki_printf(l->arena, "--var %s", kv->key);
        if (!file.p)
            return true;
        give(l, v, kv->val, (rkp_loc){ .file = file.p });
        take(l, v, &given);
    }
    return given;
}

static bool from_env(rki_load *l, rki_setting *v)
{
    rkp_str name = rki_printf(l->arena, "RKPIPE_VAR_%s", v->name.p);
    const char *text;
    bool given = false;

    if (!name.p)
        return true;
    for (char *p = (char *)name.p; *p; p++)
        *p = *p == '-' ? '_' : *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p;
    text = rki_load_env(l, name);
    if (!text)
        return false;
    give(l, v, text, (rkp_loc){ .file = name.p });
    take(l, v, &given);
    return given;
}

static void unknown_args(rki_load *l)
{
    for (size_t i = 0; i < l->args->n_vars; i++) {
        rkp_str name = rkp_str_of(l->args->vars[i].key), file;

        if (rki_settings_find(&l->vars, name))
            continue;
        file = rki_printf(l->arena, "--var %s", name.p);
        if (file.p)
            rki_settings_value(l, &l->vars, name, (rkp_loc){ .file = file.p });
    }
}

// var.x as expressions take it.
static bool as_expr(rki_load *l, const rki_setting *v, rki_var *to)
{
    const rkp_node *n = v->value;
    const char *hint;
    uint64_t u = 0;
    int64_t i = 0;
    char text[RKP_I64_TEXT + 1] = "";

    to->name = v->name;
    to->at = v->name.at;
    to->secret = n->secret;
    to->value = n->text;
    switch (v->type) {
    case RKI_SET_INT:
        to->kind = RKP_I64;
        rki_value_int(n->text, &i, &hint);
        break;
    case RKI_SET_DURATION:
        to->kind = RKP_I64;
        rki_value_duration(n->text, &u, &hint);
        i = (int64_t)(u / 1000);
        break;
    case RKI_SET_SIZE:
        to->kind = RKP_I64;
        rki_value_size(n->text, &u, &hint);
        i = (int64_t)u;
        break;
    case RKI_SET_FLOAT:
        to->kind = RKP_F64;
        return true;
    case RKI_SET_BOOL:
        to->kind = RKP_BOOL;
        return true;
    default:
        to->kind = RKP_STRING;
        return true;
    }
    to->value = rki_dup_str(l->arena, (rkp_str){ text, rkp_print_i64(text, i) });
    return to->value.p != NULL;
}

void rki_load_vars(rki_load *l)
{
    rki_settings *s = &l->vars;
    const rkp_node *map;

    *s = (rki_settings){ .what = "variable", .ns = "var" };
    map = rki_load_map(l, "vars", "names to variables");
    if (map)
        rki_settings_declare(l, map, s);
    unknown_args(l);
    rki_load_test_vars(l);
    for (size_t i = 0; i < s->n && !rki_arena_failed(l->arena); i++) {
        rki_setting *v = &s->v[i];

        bool given = false;

        if (from_test(l, v) || from_args(l, v) || from_env(l, v) || v->raw || !v->required)
            continue;
        if (l->args->test && v->type == RKI_SET_PATH) { // nobody opens it
            give(l, v, v->name.p, l->args->test->at);
            take(l, v, &given);
            continue;
        }
        rkp_diag(l->d, RKP_ERROR, v->name.at, "var-missing", "variable '%s' has no value", v->name.p);
        rkp_diag_hint(l->d, "give it with --var %s=.. (%s)", v->name.p, type_name(v->type));
        v->state = 2;
    }
}

static void add(rki_load *l, rkp_node *to, const char *key, rkp_node *n)
{
    if (!n) {
        l->arena->failed = true;
        return;
    }
    n->key = (rkp_word){ key, strlen(key), n->at };
    n->key_at = n->at;
    rki_node_add(to, n);
}

// `vars` of the resolved tree: each with its type and the value it has now.
static void show(rki_load *l, const rki_settings *s)
{
    rkp_node *map = rki_node_get(l->root, "vars"), *one, *type, **tail;

    if (!map || map->kind != RKI_MAP)
        return;
    map->child = NULL;
    map->n = 0;
    tail = &map->child;
    for (size_t i = 0; i < s->n && !rki_arena_failed(l->arena); i++) {
        if (!s->v[i].value)
            continue;
        one = rki_node_new(l->arena, RKI_MAP, s->v[i].name.at);
        type = rki_node_new(l->arena, RKI_SCALAR, s->v[i].name.at);
        if (!one || !type)
            return;
        type->plain = true;
        type->text = rkp_str_of(type_name(s->v[i].type));
        add(l, one, "type", type);
        add(l, one, "default", rki_node_copy(l->arena, l->d, s->v[i].value, one->at, &l->budget));
        one->key = s->v[i].name;
        one->key_at = one->at;
        *tail = one;
        tail = &one->next;
        map->n++;
    }
}

void rki_load_vars_done(rki_load *l)
{
    rki_settings *s = &l->vars;

    rki_settings_resolve(l, s);
    l->s->vars = rki_array(l->arena, s->n, sizeof *l->s->vars);
    for (size_t i = 0; l->s->vars && i < s->n; i++) // lists have no place in an expression
        if (s->v[i].value && s->v[i].type != RKI_SET_LIST && as_expr(l, &s->v[i], &l->s->vars[l->s->n_vars]))
            l->s->n_vars++;
    show(l, s);
}
