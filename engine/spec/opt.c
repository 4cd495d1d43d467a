// opt.c - the walkers over option rows.  None of them knows a type by name: they call the row's type object.
#include "spec/opt.h"

#include "spec/value.h"
#include <rkpipe/op.h>
#include <stdio.h>

enum { MAX_ROWS = RKI_MAX_ROWS, LIST_NAMES = 12, SHOWN = 60, HINTS = 250 };

void *rkp_opt_alloc(rkp_opt_ctx *c, size_t bytes)
{
    return rki_alloc(c->arena, bytes);
}

const rkp_opt *rki_opts_find(const rkp_opt *rows, rkp_str name)
{
    for (; rows && rows->name; rows++)
        if (rkp_str_is(name, rows->name))
            return rows;
    return NULL;
}

bool rki_opt_is_expr(const rkp_opt *row)
{
    return row->no_vars || row->type == &rkp_expr_text || row->type == &rkp_expr_map;
}

rkp_word rki_node_word(const rkp_node *n)
{
    return (rkp_word){ n->text.p, n->text.n, n->at };
}

// ---- findings

const char *rki_node_shown(rki_arena *a, const rkp_node *n)
{
    size_t all = n->text.n, cut;
    rkp_str s;

    if (n->kind == RKI_LIST)
        return "a list";
    if (n->kind == RKI_MAP)
        return "a mapping";
    if (n->secret)
        return "a secret of another form";
    if (n->text.n == 0)
        return n->plain && !n->filled ? "nothing" : "an empty text";
    while (all > 1 && n->text.p[all - 1] == '\n')
        all--;
    cut = all;
    if (cut > SHOWN) {
        cut = SHOWN;
        while (cut > 0 && ((unsigned char)n->text.p[cut] & 0xc0) == 0x80)
            cut--;
    }
    s = rki_printf(a, cut < all ? "'%.*s..'" : "'%.*s'", (int)cut, n->text.p);
    return s.p ? s.p : "this";
}

rkp_status rki_opt_refuse(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, const char *want, const char *hint)
{
    if (n->bad)
        return RKP_INVALID;
    rkp_diag(c->diags, RKP_ERROR, n->at, "opt-type", "'%s' needs %s, not %s", row->name, want,
             rki_node_shown(c->arena, n));
    if (hint)
        rkp_diag_hint(c->diags, "%s", hint);
    return RKP_INVALID;
}

const char *rki_opt_nearest(const rkp_diags *d, rkp_str word, const char *const *names)
{
    return rki_diags_n(d) <= HINTS ? rki_nearest(word, names) : NULL;
}

static rkp_status empty(rkp_opt_ctx *c, const char *name, const rkp_node *n)
{
    rkp_diag(c->diags, RKP_ERROR, n->key_at.line ? n->key_at : n->at, "opt-empty", "'%s' has no value", name);
    if (n->comment)
        rkp_diag_hint(c->diags, "'#' begins a comment: quote the value");
    else if (n->text.n)
        rkp_diag_hint(c->diags, "quote '%.*s' if the text is meant", RKP_STR_ARG(n->text));
    return RKP_INVALID;
}

bool rki_opt_scalar(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, const char *want)
{
    if (n->bad)
        return false;
    if (n->kind != RKI_SCALAR) {
        rki_opt_refuse(c, row, n, want, NULL);
        return false;
    }
    if (rki_node_is_null(n)) {
        empty(c, row->name, n);
        return false;
    }
    return true;
}

// Does `also` ("rps qps") hold the word?
static bool also_holds(const char *also, rkp_str word)
{
    while (also && *also) {
        size_t n = strcspn(also, " ");

        if (n == word.n && memcmp(also, word.p, n) == 0)
            return true;
        also += n + (also[n] == ' ');
    }
    return false;
}

// A hint for an unknown key.  Returns the row that is meant, if it is one of these rows.
static const rkp_opt *hint_known(rkp_opt_ctx *c, const rkp_opt *rows, rkp_str word, bool *done)
{
    *done = true;
    for (const rki_foreign *f = c->foreign; f && f->word; f++)
        if (rkp_str_is(word, f->word)) {
            rkp_diag_hint(c->diags, "%s", f->hint);
            return c->foreign_means ? rki_opts_find(rows, rkp_str_of(c->foreign_means)) : NULL;
        }
    for (const rkp_opt *r = rows; r && r->name; r++)
        if (also_holds(r->also, word)) {
            rkp_diag_hint(c->diags, "'%.*s' is '%s' here", RKP_STR_ARG(word), r->name);
            return r;
        }
    if (c->other && rki_opts_find(c->other, word)) {
        rkp_diag_hint(c->diags, "%s", c->other_hint);
        return NULL;
    }
    for (const rkp_opt *r = rows; r && r->name; r++)
        if (!r->not_yet && rki_opts_find(r->sub, word)) {
            rkp_diag_hint(c->diags, "'%.*s' belongs under '%s'", RKP_STR_ARG(word), r->name);
            return NULL;
        }
    *done = false;
    return NULL;
}

static const rkp_opt *hint_names(rkp_opt_ctx *c, const rkp_opt *rows, rkp_str word)
{
    const char *names[MAX_ROWS + 1], *near;
    char list[400];
    size_t n = 0, at = 0, all = 0;

    for (const rkp_opt *r = rows; r && r->name && n < MAX_ROWS; r++)
        if (!r->not_yet)
            names[n++] = r->name;
    all = n;
    for (const rkp_opt *r = rows; r && r->name && n < MAX_ROWS; r++)
        if (r->not_yet)
            names[n++] = r->name;
    names[n] = NULL;
    near = rki_opt_nearest(c->diags, word, names);
    if (near) {
        rkp_diag_hint(c->diags, "did you mean '%s'?", near);
        return rki_opts_find(rows, rkp_str_of(near));
    }
    if (all == 0 || all > LIST_NAMES)
        return NULL;
    for (size_t i = 0; i < all && at < sizeof list; i++)
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", i ? ", " : "", names[i]);
    if (at < sizeof list)
        rkp_diag_hint(c->diags, "%s %s", all == 1 ? "there is only" : "there are", list);
    return NULL;
}

static const rkp_opt *unknown(rkp_opt_ctx *c, const rkp_opt *rows, const rkp_node *n)
{
    int len = (int)(n->key.n < SHOWN ? n->key.n : SHOWN);
    rkp_str word = { n->key.p, n->key.n };
    const rkp_opt *meant;
    bool done;

    if (c->keys)
        rkp_diag(c->diags, RKP_ERROR, n->key_at, "key-unknown", "%s has no key '%.*s'", c->owner, len, n->key.p);
    else
        rkp_diag(c->diags, RKP_ERROR, n->key_at, "opt-unknown", "%s has no option '%.*s'", c->owner, len, n->key.p);
    if (rki_diags_n(c->diags) > HINTS)
        return NULL;
    meant = hint_known(c, rows, word, &done);
    return done ? meant : hint_names(c, rows, word);
}

static void not_yet(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n)
{
    rkp_diag(c->diags, RKP_ERROR, n->key_at, "not-supported", "'%s' is not supported yet", row->name);
    if (row->not_yet[0])
        rkp_diag_hint(c->diags, "%s", row->not_yet);
}

static void missing(rkp_opt_ctx *c, const rkp_opt *row, rkp_loc at)
{
    rkp_diag(c->diags, RKP_ERROR, at, c->keys ? "key-missing" : "opt-missing", "%s needs '%s'", c->owner, row->name);
    if (row->help)
        rkp_diag_hint(c->diags, "'%s': %s", row->name, row->help);
}

// ---- apply

static rkp_status apply_default(rkp_opt_ctx *c, const rkp_opt *row, void *field)
{
    rkp_opt_ctx quiet = *c;
    rkp_node scalar = { .kind = RKI_SCALAR, .plain = true, .filled = true };
    const rkp_node *n = &scalar;
    rkp_status st;

    quiet.diags = NULL;
    scalar.text = rkp_str_of(row->def);
    if (strcmp(row->def, "{}") == 0) {
        scalar = (rkp_node){ .kind = RKI_MAP };
    } else if (row->def[0] == '[' || row->def[0] == '{' || row->def[0] == '"' || row->def[0] == '\'') {
        rki_tree_budget budget = { 0 };

        n = rki_tree_load(c->arena, NULL, "default", scalar.text, &budget);
    }
    st = n ? row->type->parse(&quiet, row, n, field) : RKP_INVALID;
    if (rki_arena_failed(c->arena))
        return RKP_NOMEM;
    if (st != RKP_OK) {
        rkp_diag(c->diags, RKP_ERROR, (rkp_loc){ 0 }, "internal", "the default of '%s' is not a value of its type",
                 row->name);
        return RKP_INTERNAL;
    }
    return RKP_OK;
}

static const rkp_node *secret_in(const rkp_node *n)
{
    const rkp_node *found = n->secret ? n : NULL;

    for (const rkp_node *k = n->child; k && !found; k = k->next)
        found = secret_in(k);
    return found;
}

static rkp_status no_secrets(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n)
{
    const rkp_node *s = secret_in(n);

    if (!s)
        return RKP_OK;
    rkp_diag(c->diags, RKP_ERROR, s->at, "secret-here", "'%s' cannot hold a secret: others could see it", row->name);
    if (strcmp(row->name, "argv") == 0 || strcmp(row->name, "env") == 0)
        rkp_diag_hint(c->diags, "let the command read it from a file, and tell it the file's name");
    else
        rkp_diag_hint(c->diags, "it is shown by commands, in metrics, messages and the log");
    return RKP_INVALID;
}

rkp_status rki_opts_apply(rkp_opt_ctx *c, const rkp_opt *rows, const rkp_node *with, rkp_loc at, void *self)
{
    bool own[MAX_ROWS] = { false }, *meant = c->meant ? c->meant : own;
    rkp_status st = RKP_OK;

    if (with && rki_node_is_null(with))
        return empty(c, with->key.p ? with->key.p : "with", with);
    if (with && with->kind != RKI_MAP) {
        rkp_diag(c->diags, RKP_ERROR, with->at, "opt-type", "%s needs a mapping of %s, not %s", c->owner,
                 c->keys ? "keys" : "options", rki_node_shown(c->arena, with));
        return RKP_INVALID;
    }
    for (const rkp_node *n = with ? with->child : NULL; n; n = n->next) {
        rkp_str key = { n->key.p, n->key.n };
        const rkp_opt *row = rki_opts_find(rows, key);

        if (c->free_x && key.n > 2 && memcmp(key.p, "x-", 2) == 0)
            continue;
        if (row && !row->not_yet)
            continue;
        st = RKP_INVALID;
        if (row)
            not_yet(c, row, n);
        else if ((row = unknown(c, rows, n)))
            meant[row - rows] = true;
    }
    for (const rkp_opt *row = rows; row && row->name; row++) {
        const rkp_node *n = with ? rki_node_get(with, row->name) : NULL;
        void *field = (char *)self + row->at;
        rkp_status one = RKP_OK;

        if (row->not_yet)
            continue;
        if (n && c->short_for) {
            rkp_opt named = *row;

            named.name = c->short_for;
            one = row->type->parse(c, &named, n, field);
        } else if (n)
            one = row->type->parse(c, row, n, field);
        else if (row->def)
            one = apply_default(c, row, field);
        else if (row->required) {
            if (!meant[row - rows])
                missing(c, row, at);
            one = RKP_INVALID;
        }
        if (n && row->no_secrets && one == RKP_OK)
            one = no_secrets(c, row, n);
        if (rki_arena_failed(c->arena))
            return RKP_NOMEM;
        if (one != RKP_OK && st != RKP_INTERNAL)
            st = one;
    }
    return st;
}

// ---- print, schema, describe

void rki_opts_print(const rkp_opt *rows, const void *self, rki_json *j)
{
    rki_json_object(j);
    for (const rkp_opt *r = rows; r && r->name; r++) {
        if (r->not_yet)
            continue;
        rki_json_key(j, r->name);
        r->type->print(r, (const char *)self + r->at, j);
    }
    rki_json_end_object(j);
}

static void schema_text(const rkp_opt *row, rki_json *j)
{
    rki_buf b;

    rki_buf_init(&b);
    rki_putz(&b, row->help ? row->help : "");
    if (row->unit)
        rki_putf(&b, " (%s)", row->unit);
    if (row->not_yet)
        rki_putz(&b, " (not supported yet)");
    rki_json_put_str(j, "description", (rkp_str){ b.p, b.n });
    j->out->failed |= b.failed;
    rki_buf_fini(&b);
}

// The default as its type prints it.
static void schema_default(const rkp_opt *row, rki_json *j)
{
    rki_arena a;
    rkp_opt_ctx c = { .arena = &a };
    size_t size = row->sub_size > row->type->size ? row->sub_size : row->type->size;
    void *field;

    rki_arena_init(&a);
    field = rki_alloc(&a, size);
    if (!field) {
        j->out->failed = true;
    } else if (apply_default(&c, row, field) == RKP_OK) {
        rki_json_key(j, "default");
        row->type->print(row, field, j);
    }
    rki_arena_fini(&a);
}

void rki_opt_schema(const rkp_opt *row, rki_json *j)
{
    rki_json_object(j);
    schema_text(row, j);
    if (row->not_yet) {
        rki_json_key(j, "not");
        rki_json_object(j);
        rki_json_end_object(j);
    } else {
        if (row->def && row->def[0] != '{')
            schema_default(row, j);
        row->type->schema(row, j);
    }
    rki_json_end_object(j);
}

void rki_opts_schema(const rkp_opt *rows, rki_json *j)
{
    bool any = false;

    rki_json_object(j);
    rki_json_put_z(j, "type", "object");
    rki_json_put_bool(j, "additionalProperties", false);
    rki_json_key(j, "properties");
    rki_json_object(j);
    for (const rkp_opt *r = rows; r && r->name; r++) {
        rki_json_key(j, r->name);
        rki_opt_schema(r, j);
        any = any || (r->required && !r->not_yet);
    }
    rki_json_end_object(j);
    if (any) {
        rki_json_key(j, "required");
        rki_json_array(j);
        for (const rkp_opt *r = rows; r->name; r++)
            if (r->required && !r->not_yet)
                rki_json_z(j, r->name);
        rki_json_end_array(j);
    }
    rki_json_end_object(j);
}

void rki_schema_or_var(rki_json *j, const char *json)
{
    rki_json_key(j, "anyOf");
    rki_json_array(j);
    rki_json_raw(j, rkp_str_of(json));
    rki_json_raw(j, RKP_STR("{\"type\":\"string\",\"pattern\":\"\\\\$\\\\{\"}"));
    rki_json_end_array(j);
}

static void describe_limits(const rkp_opt *r, rki_buf *out)
{
    const char *sep = " (";
    char min[40], max[40];

    if (r->required)
        rki_putf(out, "%srequired", sep), sep = ", ";
    if (r->def)
        rki_putf(out, "%sdefault %s", sep, r->def[0] ? r->def : "\"\""), sep = ", ";
    if (r->bounded) {
        rki_opt_bound(r, r->min, min);
        rki_opt_bound(r, r->max, max);
        rki_putf(out, "%s%s to %s", sep, min, max), sep = ", ";
    }
    if (r->unit)
        rki_putf(out, "%s%s", r->bounded ? " " : sep, r->unit), sep = ", ";
    if (r->templated)
        rki_putf(out, "%s${this.column} and ${meta.x} allowed", sep), sep = ", ";
    if (r->not_yet)
        rki_putf(out, "%snot supported yet", sep), sep = ", ";
    if (sep[0] == ',')
        rki_putc(out, ')');
}

void rki_opts_describe(const rkp_opt *rows, rki_buf *out, int indent)
{
    int wide = 0, type = 0;

    for (const rkp_opt *r = rows; r && r->name; r++) {
        int n = (int)strlen(r->name), t = (int)strlen(r->type->name);

        wide = n > wide ? n : wide;
        type = t > type ? t : type;
    }
    for (const rkp_opt *r = rows; r && r->name; r++) {
        int c_wide = 0;

        rki_putf(out, "%*s%-*s  %-*s  %s", indent, "", wide, r->name, type, r->type->name, r->help ? r->help : "");
        describe_limits(r, out);
        rki_putc(out, '\n');
        for (const rkp_choice *c = r->choices; c && c->name; c++) {
            int n = (int)strlen(c->name);

            c_wide = n > c_wide ? n : c_wide;
        }
        for (const rkp_choice *c = r->choices; c && c->name; c++)
            rki_putf(out, "%*s%-*s  %s%s\n", indent + 4, "", c_wide, c->name, c->help ? c->help : "",
                     c->value == RKI_NOT_YET ? " (not supported yet)" : "");
        if (r->sub && !r->not_yet)
            rki_opts_describe(r->sub, out, indent + 4);
    }
}
