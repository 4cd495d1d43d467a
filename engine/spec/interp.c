// interp.c - ${..} in scalars, after parsing: a value can change a text, never the shape of the tree.
//
//     ${NAME} ${NAME:-default} ${NAME:?message}     environment
//     ${var:x} ${param:x}                           values with a type; a list only when it is the whole scalar
//     ${secret:store/key} ${file:path}              texts from outside; what a secret went into is marked
//     ${this.column} ${meta.topic}                  kept for the operator, in rows that say `templated`
//     $${                                           the two characters
//
// What is filled in is not looked at again.  In a templated row the result is still a template, so there the text that
// is filled in gets its ${ escaped.
#include "spec/load.h"

#include "base/utf8.h"
#include <stdio.h>

enum { SHOWN = 60, WRONG = 20 };

struct rki_store {
    rkp_word name;
    int type;
    rkp_word path;
    rkp_node *tree; // of a file
    const rkp_node **keys;
    rki_names key_names;
    bool read;
};

enum { STORE_ENV, STORE_FILE, STORE_DIR };

struct secret_conf {
    int type;
    rkp_word path;
};

static const rkp_choice store_types[] = {
    { "env", STORE_ENV, "keys are names of the environment" },
    { "file", STORE_FILE, "keys are those of a YAML or JSON mapping" },
    { "dir", STORE_DIR, "keys are files of a folder" },
    { "exec", RKI_NOT_YET, "a command prints the value" },
    { 0 },
};

const rkp_opt rki_secret_rows[] = {
    { "type", &rkp_choice_type, offsetof(struct secret_conf, type), .required = true, .choices = store_types,
      .help = "where its values are" },
    { "path", &rkp_path, offsetof(struct secret_conf, path), .optional = true,
      .help = "the file or folder, relative to the file that says so", .also = "file dir directory" },
    { "command", &rki_any, 0, .optional = true, .help = "the command to run", .not_yet = "" },
    { 0 },
};

bool rki_utf8_ok(rkp_str s)
{
    uint32_t cp;

    for (const char *p = s.p, *end = s.p + s.n; p < end;) {
        p += rki_utf8_next(p, end, &cp);
        if (cp == RKI_UTF8_BAD || cp == 0)
            return false;
    }
    return true;
}

const char *rki_load_env(const rki_load *l, rkp_str name)
{
    for (const char *const *e = l->args->env; e && *e; e++)
        if (strncmp(*e, name.p, name.n) == 0 && (*e)[name.n] == '=')
            return *e + name.n + 1;
    return NULL;
}

// ---- one ${..}

struct piece {
    rki_load *l;
    const rki_interp *how;
    rkp_node *n;          // the scalar
    rkp_loc at;           // of ${..} in it
    rkp_str body;         // between the braces
    rkp_str text;         // what it stands for
    const rkp_node *list; // or this
    bool keep;            // stays as it is
    bool secret;
};

static int cut(rkp_str s)
{
    return (int)(s.n < SHOWN ? s.n : SHOWN);
}

static bool letter(char c)
{
    return ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_';
}

static size_t name_len(rkp_str s)
{
    size_t n = 0;

    while (n < s.n && (letter(s.p[n]) || (n > 0 && s.p[n] >= '0' && s.p[n] <= '9')))
        n++;
    return n;
}

static bool starts(rkp_str s, const char *with)
{
    size_t n = strlen(with);

    return s.n >= n && memcmp(s.p, with, n) == 0;
}

static rkp_str after(rkp_str s, size_t n)
{
    return (rkp_str){ s.p + n, s.n - n };
}

static bool fail_syntax(struct piece *p)
{
    static const struct {
        const char *with, *hint;
    } hints[] = {
        { "var.", "in a text a variable is ${var:name}" },
        { "vars.", "in a text a variable is ${var:name}" },
        { "env.", "the environment is ${NAME}" },
        { "env:", "the environment is ${NAME}" },
        { "env(", "the environment is ${NAME}" },
        { "secret.", "a secret is ${secret:store/key}" },
        { "{", "there are no {{..}} templates; the environment is ${NAME}, a variable ${var:name}" },
        { "!", "there is no ${! ..}; a column is ${this.name}, where templates are allowed" },
        { "row.", "a column is ${this.name}, where templates are allowed" },
        { 0 },
    };

    rkp_diag(p->l->d, RKP_ERROR, p->at, "interp-syntax", "'${%.*s}' names nothing", cut(p->body), p->body.p);
    for (size_t i = 0; hints[i].with; i++)
        if (starts(p->body, hints[i].with)) {
            rkp_diag_hint(p->l->d, "%s", hints[i].hint);
            return false;
        }
    if (p->how->templated)
        rkp_diag_hint(p->l->d, "a column is ${this.name}; ${NAME} is the environment, ${var:name} a variable, $${ the "
                               "two characters");
    else
        rkp_diag_hint(p->l->d,
                      "write $${ for the two characters, ${NAME} for the environment, ${var:name} for a variable");
    return false;
}

static bool from_env(struct piece *p)
{
    size_t n = name_len(p->body);
    rkp_str name = { p->body.p, n }, rest = after(p->body, n);
    const char *v;
    char op = 0;

    if (n == 0 || (rest.n && rest.p[0] != ':'))
        return fail_syntax(p);
    if (rest.n) {
        op = rest.n > 1 ? rest.p[1] : 0;
        if (op != '-' && op != '?')
            return fail_syntax(p);
        rest = after(rest, 2);
    }
    v = rki_load_env(p->l, name);
    if (v && !rki_utf8_ok(rkp_str_of(v))) {
        rkp_diag(p->l->d, RKP_ERROR, p->at, "interp-text", "environment '%.*s' is not UTF-8", cut(name), name.p);
        return false;
    }
    if (v && (v[0] || !op)) {
        p->text = rkp_str_of(v);
        return true;
    }
    if (op == '-') {
        p->text = rest;
        return true;
    }
    if (op == '?' && rest.n) {
        rkp_diag(p->l->d, RKP_ERROR, p->at, "env-missing", "environment '%.*s' is not set: %.*s", cut(name), name.p,
                 cut(rest), rest.p);
        return false;
    }
    rkp_diag(p->l->d, RKP_ERROR, p->at, "env-missing", "environment '%.*s' is not set", cut(name), name.p);
    if (rki_settings_find(&p->l->vars, name))
        rkp_diag_hint(p->l->d, "the variable is ${var:%.*s}", RKP_STR_ARG(name));
    else
        rkp_diag_hint(p->l->d, "set it, or write ${%.*s:-default}", cut(name), name.p);
    return false;
}

static bool from_setting(struct piece *p, rki_settings *s, rkp_str name)
{
    const rkp_node *v = rki_settings_value(p->l, s, name, p->at);

    if (!v)
        return false;
    p->secret = v->secret;
    if (v->kind == RKI_SCALAR)
        p->text = v->text;
    else
        p->list = v;
    return true;
}

static rkp_str chomp(rkp_str s)
{
    if (s.n && s.p[s.n - 1] == '\n')
        s.n--;
    if (s.n && s.p[s.n - 1] == '\r')
        s.n--;
    return s;
}

static const char *path_from(rki_load *l, rkp_loc at, rkp_str path)
{
    const char *dir = path.n && path.p[0] == '/' ? "" : rki_load_dir(l, at);

    return rki_printf(l->arena, "%s%.*s", dir, RKP_STR_ARG(path)).p;
}

static bool from_file(struct piece *p, const char *path, const char *what)
{
    rkp_str text;

    if (!path || !rki_load_read(p->l, path, p->at, what, &text))
        return false;
    text = chomp(text);
    if (text.n > RKI_SCALAR_BYTES || !rki_utf8_ok(text)) {
        rkp_diag(p->l->d, RKP_ERROR, p->at, "interp-text", "%s '%s' is %s", what, path,
                 text.n > RKI_SCALAR_BYTES ? "larger than 256 KiB" : "not UTF-8 text");
        return false;
    }
    p->text = text;
    return true;
}

// ---- secrets

void rki_load_stores(rki_load *l)
{
    rkp_node *map = rki_load_map(l, "secrets", "names to stores");
    rki_names names;
    const rki_interp how = { 0 };

    if (!map)
        return;
    l->stores = rki_array(l->arena, map->n, sizeof *l->stores);
    if (!l->stores || !rki_names_make(l->arena, map->n, &names))
        return;
    for (rkp_node *n = map->child; n; n = n->next) {
        struct secret_conf conf = { 0 };
        rkp_str owner = rki_printf(l->arena, "secret store '%s'", n->key.p);
        rkp_opt_ctx c = rki_load_ctx(l, owner.p);
        rki_store *s = &l->stores[l->n_stores];

        if (!owner.p)
            return;
        rki_load_id(l, n, "secret store");
        rki_interp_all(l, n, &how);
        s->name = n->key;
        s->type = -1;
        rki_names_add(&names, rkp_word_str(n->key), (uint32_t)l->n_stores);
        l->n_stores++;
        if (rki_opts_apply(&c, rki_secret_rows, n, n->key_at, &conf) != RKP_OK)
            continue;
        if (conf.type != STORE_ENV && !conf.path.p) {
            rkp_diag(l->d, RKP_ERROR, n->key_at, "key-missing", "%s needs 'path'", owner.p);
            continue;
        }
        if (conf.type == STORE_ENV && conf.path.p) {
            rkp_diag(l->d, RKP_ERROR, conf.path.at, "secret-path", "%s is the environment and has no path", owner.p);
            continue;
        }
        s->type = conf.type;
        s->path = conf.path;
    }
    rki_names_sort(&names);
    l->store_names = names; // only now: a store's path names no other store
}

// The mapping of a file store.  Findings never quote the file.
static void store_read(struct piece *p, rki_store *s)
{
    const char *path = path_from(p->l, s->path.at, rkp_word_str(s->path));
    rki_tree_budget small = { 0 };
    rkp_str text;

    s->read = true;
    if (!path || !rki_load_read(p->l, path, s->path.at, "the secrets file", &text))
        return;
    s->tree = rki_tree_load(p->l->arena, NULL, path, text, &small);
    if (s->tree && s->tree->kind == RKI_MAP) {
        size_t n = 0;

        s->keys = rki_array(p->l->arena, s->tree->n, sizeof(const rkp_node *));
        if (!s->keys || !rki_names_make(p->l->arena, s->tree->n, &s->key_names))
            return;
        for (const rkp_node *c = s->tree->child; c; c = c->next) {
            rki_names_add(&s->key_names, rkp_word_str(c->key), (uint32_t)n);
            s->keys[n++] = c;
        }
        rki_names_sort(&s->key_names);
        return;
    }
    s->tree = NULL;
    if (!rki_arena_failed(p->l->arena))
        rkp_diag(p->l->d, RKP_ERROR, s->path.at, "secret-file", "'%s' is not a YAML or JSON mapping of keys to texts",
                 path);
}

static bool key_is_file(rkp_str key)
{
    return key.n && key.p[0] != '.' && !memchr(key.p, '/', key.n);
}

static bool from_store(struct piece *p, rki_store *s, rkp_str key)
{
    const char *v;
    const rkp_node *n;
    rkp_str path;
    int i;

    if (s->type == STORE_ENV) {
        v = rki_load_env(p->l, key);
        if (v && rki_utf8_ok(rkp_str_of(v))) {
            p->text = rkp_str_of(v);
            return true;
        }
    } else if (s->type == STORE_FILE) {
        if (!s->read)
            store_read(p, s);
        if (!s->tree)
            return false;
        i = rki_names_find(&s->key_names, key);
        n = i >= 0 ? s->keys[i] : NULL;
        if (n && n->kind == RKI_SCALAR && !rki_node_is_null(n)) {
            p->text = n->text;
            return true;
        }
    } else if (s->type == STORE_DIR && key_is_file(key)) {
        v = path_from(p->l, s->path.at, rkp_word_str(s->path));
        path = v ? rki_printf(p->l->arena, "%s/%.*s", v, RKP_STR_ARG(key)) : (rkp_str){ 0 };
        return from_file(p, path.p, "the secret");
    } else if (s->type < 0) {
        return false; // reported at its declaration
    }
    rkp_diag(p->l->d, RKP_ERROR, p->at, "secret-missing", "secret store '%s' has no '%.*s'", s->name.p, cut(key),
             key.p);
    return false;
}

static bool from_secret(struct piece *p, rkp_str rest)
{
    const char *slash = memchr(rest.p, '/', rest.n), *names[64 + 1], *near;
    rkp_str store = { rest.p, slash ? (size_t)(slash - rest.p) : rest.n };
    rkp_str key = slash ? after(rest, store.n + 1) : (rkp_str){ "", 0 };
    size_t n = 0;
    int i;

    p->secret = true;
    if (!slash || key.n == 0 || store.n == 0) {
        rkp_diag(p->l->d, RKP_ERROR, p->at, "interp-syntax", "'${%.*s}' names no secret", cut(p->body), p->body.p);
        rkp_diag_hint(p->l->d, "write ${secret:store/key}");
        return false;
    }
    i = rki_names_find(&p->l->store_names, store);
    if (i >= 0)
        return from_store(p, &p->l->stores[i], key);
    for (size_t k = 0; k < p->l->n_stores && n < 64; k++)
        names[n++] = p->l->stores[k].name.p;
    names[n] = NULL;
    rkp_diag(p->l->d, RKP_ERROR, p->at, "secret-store", "no secret store is named '%.*s'", cut(store), store.p);
    near = rki_opt_nearest(p->l->d, store, names);
    if (near)
        rkp_diag_hint(p->l->d, "did you mean '%s'?", near);
    else
        rkp_diag_hint(p->l->d, "declare it: secrets: {%.*s: {type: env}}", cut(store), store.p);
    return false;
}

// ---- messages' own values

static bool per_message(struct piece *p)
{
    static const char *const names[] = { "kernel", "topic", "key", "hlc", "reason", NULL };
    bool meta = starts(p->body, "meta.");
    rkp_str name = after(p->body, 5);
    const char *near;

    if (!p->how->templated) {
        rkp_diag(p->l->d, RKP_ERROR, p->at, "interp-here", "'${%.*s}' is not filled in here", cut(p->body), p->body.p);
        rkp_diag_hint(p->l->d, p->how->pattern ? "a pattern has '*' for a level of any name; 'where' chooses among them"
                                               : "values of a message are allowed only in options that say so, such "
                                                 "as 'path' of write.csv");
        return false;
    }
    p->keep = true;
    if (!meta && name.n)
        return true;
    for (size_t i = 0; meta && names[i]; i++)
        if (rkp_str_is(name, names[i]))
            return true;
    rkp_diag(p->l->d, RKP_ERROR, p->at, "interp-syntax", "'${%.*s}' names nothing", cut(p->body), p->body.p);
    near = meta ? rki_opt_nearest(p->l->d, name, names) : NULL;
    if (near)
        rkp_diag_hint(p->l->d, "did you mean '${meta.%s}'?", near);
    else
        rkp_diag_hint(p->l->d, "there are ${this.column} and ${meta.kernel}, .topic, .key, .hlc, .reason");
    return false;
}

static bool value_of(struct piece *p)
{
    static const char *const spaces[] = { "var", "param", "secret", "file", NULL };
    size_t n = name_len(p->body);
    rkp_str ns = { p->body.p, n }, rest;
    const char *near;

    if (starts(p->body, "this.") || starts(p->body, "meta."))
        return per_message(p);
    if (n == p->body.n || p->body.p[n] != ':' || n + 1 == p->body.n || strchr("-?", p->body.p[n + 1]))
        return from_env(p);
    rest = after(p->body, n + 1);
    if (p->how->env_only) {
        rkp_diag(p->l->d, RKP_ERROR, p->at, "interp-here", "'${%.*s}' is not known yet where files are included",
                 cut(p->body), p->body.p);
        rkp_diag_hint(p->l->d, "'include' takes the environment only: ${NAME}");
        return false;
    }
    if (rkp_str_is(ns, "var"))
        return from_setting(p, &p->l->vars, rest);
    if (rkp_str_is(ns, "param")) {
        if (p->how->params)
            return from_setting(p, p->how->params, rest);
        rkp_diag(p->l->d, RKP_ERROR, p->at, "interp-here", "'${%.*s}' stands outside a template", cut(p->body),
                 p->body.p);
        rkp_diag_hint(p->l->d, "parameters exist in 'templates'; a variable is ${var:name}");
        return false;
    }
    if (rkp_str_is(ns, "secret"))
        return from_secret(p, rest);
    if (rkp_str_is(ns, "file"))
        return from_file(p, path_from(p->l, p->n->at, rest), "the file");
    near = rki_opt_nearest(p->l->d, ns, spaces);
    if (!near)
        return fail_syntax(p);
    rkp_diag(p->l->d, RKP_ERROR, p->at, "interp-syntax", "'${%.*s}' names nothing", cut(p->body), p->body.p);
    rkp_diag_hint(p->l->d, "did you mean '${%s:%.*s}'?", near, cut(rest), rest.p);
    return false;
}

// ---- one scalar

static const char *find(rkp_str s, const char *what, size_t n)
{
    return s.n >= n ? memmem(s.p, s.n, what, n) : NULL;
}

// Text that is filled into a template is no template.
static void put_value(rki_buf *b, rkp_str v, bool templated)
{
    for (size_t i = 0; i < v.n; i++) {
        if (templated && v.p[i] == '$' && i + 1 < v.n && v.p[i + 1] == '{')
            rki_putc(b, '$');
        rki_putc(b, v.p[i]);
    }
}

// The node becomes the list that ${..} named.
static void become_list(rki_load *l, rkp_node *n, const rkp_node *list)
{
    rkp_node *copy = rki_node_copy(l->arena, l->d, list, n->at, &l->budget);

    if (!copy)
        return;
    n->kind = RKI_LIST;
    n->text = RKP_STR("");
    n->child = copy->child;
    n->n = copy->n;
    for (rkp_node *c = n->child; c; c = c->next)
        c->at = n->at;
}

static bool one_piece(struct piece *p, rki_buf *b, bool whole)
{
    if (!value_of(p))
        return false;
    if (p->secret) {
        p->n->secret = true;
        rki_diags_hide(p->l->d, p->text);
    }
    if (p->keep) {
        rki_putz(b, "${");
        rki_put(b, p->body.p, p->body.n);
        rki_putc(b, '}');
        return true;
    }
    if (p->list && !whole) {
        rkp_diag(p->l->d, RKP_ERROR, p->at, "interp-list", "'${%.*s}' is a list and cannot be part of a text",
                 cut(p->body), p->body.p);
        return false;
    }
    if (!p->list)
        put_value(b, p->text, p->how->templated);
    if (b->n > RKI_SCALAR_BYTES) {
        rkp_diag(p->l->d, RKP_ERROR, p->at, "limit-scalar", "a value of more than 256 KiB");
        return false;
    }
    return true;
}

static void scalar(rki_load *l, rkp_node *n, const rki_interp *how)
{
    struct piece p = { .l = l, .how = how, .n = n };
    const char *end = n->text.p + n->text.n, *counted = n->text.p;
    rkp_str rest = n->text;
    uint32_t col = n->at.col;
    unsigned wrong = 0;
    bool ok = true, whole = false, had_value = false;
    rki_buf b;

    n->templated = how->templated;
    if (!find(rest, "${", 2))
        return;
    rki_buf_init(&b);
    while (rest.n) {
        const char *from = find(rest, "${", 2), *to;

        if (!from) {
            rki_put(&b, rest.p, rest.n);
            break;
        }
        if (from > rest.p && from[-1] == '$') { // $${
            rki_put(&b, rest.p, (size_t)(from - rest.p) - !how->templated);
            rki_putz(&b, "${");
            rest = (rkp_str){ from + 2, (size_t)(end - from) - 2 };
            continue;
        }
        rki_put(&b, rest.p, (size_t)(from - rest.p));
        to = memchr(from, '}', (size_t)(end - from));
        p.body = (rkp_str){ from + 2, to ? (size_t)(to - from) - 2 : (size_t)(end - from) - 2 };
        p.at = n->at;
        if (n->exact) { // as rki_node_part, but one walk for all of them
            col += (uint32_t)rki_code_points(counted, from);
            counted = from;
            p.at.col = col;
            p.at.len = (uint32_t)rki_code_points(from, to ? to + 1 : end);
        }
        if (!to || p.body.n == 0 || find(p.body, "${", 2)) {
            rkp_diag(l->d, RKP_ERROR, p.at, "interp-syntax",
                     !to             ? "'${' is not closed"
                     : p.body.n == 0 ? "'${}' names nothing"
                                     : "'${..}' inside '${..}' is not possible");
            rkp_diag_hint(l->d, to ? "write $${ for the two characters"
                                   : "end it with '}', or write $${ for the two characters");
            ok = false;
            break;
        }
        whole = from == n->text.p && to + 1 == end;
        p.list = NULL;
        p.keep = p.secret = false;
        if (!one_piece(&p, &b, whole)) {
            ok = false;
            if (++wrong == WRONG)
                break;
        }
        had_value = had_value || !p.keep;
        rest = (rkp_str){ to + 1, (size_t)(end - to) - 1 };
    }
    l->filled += b.n;
    if (ok && l->filled > RKI_ALL_BYTES) {
        rkp_diag(l->d, RKP_ERROR, n->at, "limit-bytes", "more than 8 MiB of text are filled in");
        ok = false;
    }
    l->arena->failed |= b.failed;
    if (ok && p.list) {
        become_list(l, n, p.list);
    } else if (ok && !b.failed) {
        n->text = rki_dup_str(l->arena, (rkp_str){ b.p ? b.p : "", b.n });
        n->exact = false;
        n->filled = n->filled || (whole && had_value);
    } else {
        n->bad = true;
    }
    rki_buf_fini(&b);
}

// ---- trees

static void key_ok(rki_load *l, const rkp_node *n)
{
    if (!n->key.p || !find(rkp_word_str(n->key), "${", 2))
        return;
    rkp_diag(l->d, RKP_ERROR, n->key_at, "interp-key", "a key is not filled in");
    rkp_diag_hint(l->d, "${..} is possible in values only");
}

void rki_interp_all(rki_load *l, rkp_node *n, const rki_interp *how)
{
    if (rki_arena_failed(l->arena))
        return;
    key_ok(l, n);
    if (n->kind == RKI_SCALAR) {
        scalar(l, n, how);
        return;
    }
    for (rkp_node *c = n->child; c; c = c->next)
        rki_interp_all(l, c, how);
}

// An expression: nothing is filled in, so that no value can change what it computes.
static void expression(rki_load *l, rkp_node *n, bool prom)
{
    const char *from;
    rkp_str body;

    key_ok(l, n);
    for (rkp_node *c = n->child; c; c = c->next)
        expression(l, c, prom);
    if (n->kind != RKI_SCALAR)
        return;
    n->expression = true;
    from = find(n->text, "${", 2);
    if (!from)
        return;
    body = after(n->text, (size_t)(from - n->text.p) + 2);
    body.n = memchr(body.p, '}', body.n) ? (size_t)((const char *)memchr(body.p, '}', body.n) - body.p) : body.n;
    n->bad = true;
    rkp_diag(l->d, RKP_ERROR, rki_node_part(n, (size_t)(from - n->text.p), 2), "interp-expr",
             "'${..}' is not allowed in an expression");
    if (prom)
        rkp_diag_hint(l->d, "an alert's expression has no variables: write the value");
    else if (starts(body, "var:") && body.n > 4)
        rkp_diag_hint(l->d, "write var.%.*s", cut(after(body, 4)), body.p + 4);
    else if (starts(body, "this.") && body.n > 5)
        rkp_diag_hint(l->d, "write the column's name, %.*s", cut(after(body, 5)), body.p + 5);
    else if (starts(body, "meta."))
        rkp_diag_hint(l->d, "write %.*s", cut(body), body.p);
    else
        rkp_diag_hint(l->d, "declare a variable under 'vars:' with that value, and write var.name");
}

static void by_row(rki_load *l, rkp_node *n, const rkp_opt *row, rki_settings *params)
{
    const rki_interp how = { .params = params, .templated = row->templated, .pattern = row == rki_subscribe_rows };

    if (row->not_yet || row->type == &rki_any)
        return;
    if (rki_opt_is_expr(row)) {
        expression(l, n, row->type == &rki_prom_text);
    } else if (!row->sub || n->kind == RKI_SCALAR) {
        const rkp_opt *one = row->short_key ? rki_opts_find(row->sub, rkp_str_of(row->short_key)) : NULL;

        if (one)
            by_row(l, n, one, params);
        else
            rki_interp_all(l, n, &how);
    } else if (n->kind == RKI_MAP) {
        rki_interp_rows(l, n, row->sub, params);
    } else {
        for (rkp_node *c = n->child; c; c = c->next)
            by_row(l, c, row, params);
    }
}

void rki_interp_rows(rki_load *l, rkp_node *map, const rkp_opt *rows, rki_settings *params)
{
    if (map->kind != RKI_MAP)
        return;
    for (rkp_node *n = map->child; n; n = n->next) {
        const rkp_opt *row = rki_opts_find(rows, rkp_word_str(n->key));

        if (row)
            by_row(l, n, row, params);
    }
}
