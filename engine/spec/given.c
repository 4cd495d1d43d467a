// given.c - rows as people write them: mappings in YAML, lines of a file, and the typed columns that they stand for.
//
// Files become the same nodes as YAML, with the places of their lines, so all that follows is written once.  Values become columns through
// text columns, which the data room parses as it does what a file holds: what is a value of a type is decided in one place.
#include "spec/given.h"

#include "base/json.h"
#include "base/json_read.h"
#include "spec/names.h"
#include "spec/opt.h"
#include <rkpipe/num.h>

enum { MAX_COLUMNS = 4096, NEAR = 64 };

bool rki_rows_take(rki_arena *a, rkp_diags *d, const rkp_node *list, const char *what, rki_rows *out)
{
    *out = (rki_rows){ list, list->at };
    if (list->kind != RKI_LIST) {
        rkp_diag(d, RKP_ERROR, list->at, "test-rows", "'%s' needs a list of rows, not %s", what,
                 rki_node_shown(a, list));
        rkp_diag_hint(d, "a row is a mapping of columns to values, as in - { id: 1, name: x }");
        return false;
    }
    for (const rkp_node *r = list->child; r; r = r->next) {
        if (r->kind == RKI_MAP)
            continue;
        rkp_diag(d, RKP_ERROR, r->at, "test-rows", "a row of '%s' is a mapping of columns to values, not %s", what,
                 rki_node_shown(a, r));
        return false;
    }
    return true;
}

// ---- files ----------------------------------------------------------------------------------------------------------

struct reader {
    rki_arena *a;
    rkp_diags *d;
    const char *file;
    const char *at, *end;
    uint32_t line;
    rkp_node *list, **tail;
};

static rkp_loc here(const struct reader *r)
{
    return (rkp_loc){ .file = r->file, .line = r->line, .col = 1 };
}

static rkp_node *new_row(struct reader *r)
{
    rkp_node *n = rki_node_new(r->a, RKI_MAP, here(r));
    if (!n)
        return NULL;
    *r->tail = n;
    r->tail = &n->next;
    r->list->n++;
    return n;
}

static bool add_value(struct reader *r, rkp_node *row, rkp_node **tail, rkp_str key, rkp_node *v)
{
    if (!v)
        return false;
    v->key = (rkp_word){ key.p, key.n, here(r) };
    v->key_at = here(r);
    *tail = v;
    row->n++;
    return true;
}

// One field; false at the end of the line.  Quotes may hold line ends.
static bool csv_field(struct reader *r, rki_buf *to, bool *quoted, bool *last)
{
    rki_buf_clear(to);
    *quoted = r->at < r->end && *r->at == '"';
    if (*quoted) {
        for (r->at++; r->at < r->end; r->at++) {
            if (*r->at == '"' && r->at + 1 < r->end && r->at[1] == '"')
                r->at++;
            else if (*r->at == '"')
                break;
            r->line += *r->at == '\n';
            rki_putc(to, *r->at);
        }
        if (r->at == r->end)
            return false;
        r->at++;
    }
    while (r->at < r->end && *r->at != ',' && *r->at != '\n') {
        if (*r->at != '\r' || (r->at + 1 < r->end && r->at[1] != '\n'))
            rki_putc(to, *r->at);
        r->at++;
    }
    *last = r->at == r->end || *r->at == '\n';
    r->at += r->at < r->end;
    return true;
}

static bool csv_rows(struct reader *r)
{
    rkp_str names[256];
    size_t n_names = 0;
    bool quoted, last = false, ok = true;
    rki_buf text;
    rki_buf_init(&text);
    while (r->at < r->end && !last && ok && n_names < 256) {
        ok = csv_field(r, &text, &quoted, &last);
        names[n_names++] = rki_dup_str(r->a, (rkp_str){ text.p ? text.p : "", text.n });
    }
    ok = ok && (last || r->at == r->end);
    while (ok && r->at < r->end) {
        rkp_node *row, **tail;
        size_t c = 0;
        r->line++;
        if (*r->at == '\n') { // an empty line is no row
            r->at++;
            continue;
        }
        row = new_row(r);
        tail = row ? &row->child : NULL;
        for (last = false; row && ok && !last; c++) {
            rkp_node *v = rki_node_new(r->a, RKI_SCALAR, here(r));
            ok = csv_field(r, &text, &quoted, &last) && c < n_names && v;
            if (!ok)
                break;
            v->text = rki_dup_str(r->a, (rkp_str){ text.p ? text.p : "", text.n });
            v->plain = true;
            v->plain = text.n ? !rki_node_is_null(v) : !quoted; // as read.csv: nothing is null, and no word is
            ok = v->text.p && add_value(r, row, tail, names[c], v);
            tail = &v->next;
        }
        ok = ok && row && c == n_names;
    }
    if (text.failed)
        r->a->failed = true;
    rki_buf_fini(&text);
    return ok;
}

static rkp_node *json_value(struct reader *r, const rki_json_node *j)
{
    rki_node_kind kind = j->kind == RKI_JSON_LIST ? RKI_LIST : j->kind == RKI_JSON_MAP ? RKI_MAP : RKI_SCALAR;
    rkp_node *n = rki_node_new(r->a, kind, here(r)), **tail;
    if (!n)
        return NULL;
    n->plain = j->kind != RKI_JSON_STRING;
    if (kind == RKI_SCALAR)
        n->text = j->kind == RKI_JSON_NULL ? RKP_STR("") : j->text;
    tail = &n->child;
    for (const rki_json_node *c = kind == RKI_SCALAR ? NULL : j->child; c; c = c->next) {
        rkp_node *v = json_value(r, c);
        if (!add_value(r, n, tail, c->key, v))
            return NULL;
        tail = &v->next;
    }
    return n;
}

static bool json_rows(struct reader *r)
{
    for (; r->at < r->end; r->line++) {
        const char *nl = memchr(r->at, '\n', (size_t)(r->end - r->at));
        rkp_str line = { r->at, nl ? (size_t)(nl - r->at) : (size_t)(r->end - r->at) };
        const rki_json_node *j;
        rkp_node *row;
        r->at = nl ? nl + 1 : r->end;
        while (line.n && (line.p[line.n - 1] == '\r' || line.p[line.n - 1] == ' '))
            line.n--;
        if (!line.n)
            continue;
        j = rki_json_read(r->a, line);
        if (!j || j->kind != RKI_JSON_MAP)
            return false;
        row = json_value(r, j);
        if (!row)
            return false;
        *r->tail = row;
        r->tail = &row->next;
        r->list->n++;
    }
    return true;
}

static bool ends_with(const char *z, const char *end)
{
    size_t n = strlen(z), m = strlen(end);
    return n >= m && strcmp(z + n - m, end) == 0;
}

bool rki_rows_parse(rki_arena *a, rkp_diags *d, const char *file, rkp_str text, rkp_loc at, rki_rows *out)
{
    struct reader r = { .a = a, .d = d, .file = file, .at = text.p, .end = text.p + text.n, .line = 1 };
    bool json = ends_with(file, ".jsonl") || ends_with(file, ".ndjson") || ends_with(file, ".json");
    r.list = rki_node_new(a, RKI_LIST, here(&r));
    if (!r.list)
        return false;
    r.tail = &r.list->child;
    if (!(json ? json_rows(&r) : csv_rows(&r))) {
        if (!rki_arena_failed(a))
            rkp_diag(d, RKP_ERROR, here(&r), "test-rows",
                     json ? "not a JSON object" : "not a row of CSV with as many fields as the header");
        return false;
    }
    *out = (rki_rows){ r.list, at };
    return !rki_arena_failed(a);
}

// ---- types ----------------------------------------------------------------------------------------------------------

static unsigned kind_of(const rkp_node *v)
{
    double f;
    int64_t i;
    if (v->kind != RKI_SCALAR)
        return RKP_JSON;
    if (!v->plain)
        return RKP_STRING;
    if (rkp_str_is(v->text, "true") || rkp_str_is(v->text, "false"))
        return RKP_BOOL;
    // Digits with a leading zero are a name of something.
    if (v->text.n > 1 && v->text.p[0] == '0' && v->text.p[1] >= '0' && v->text.p[1] <= '9')
        return rkp_parse_timestamp(v->text.p, v->text.n, &i) ? RKP_TIMESTAMP : RKP_STRING;
    if (rkp_parse_i64(v->text.p, v->text.n, &i))
        return RKP_I64;
    if (rkp_parse_f64(v->text.p, v->text.n, &f))
        return RKP_F64;
    return rkp_parse_timestamp(v->text.p, v->text.n, &i) ? RKP_TIMESTAMP : RKP_STRING;
}

static unsigned both(unsigned a, unsigned b)
{
    if (a == b || b == RKP_N_KINDS)
        return a;
    if (a == RKP_N_KINDS)
        return b;
    if ((a == RKP_I64 && b == RKP_F64) || (a == RKP_F64 && b == RKP_I64))
        return RKP_F64;
    return a == RKP_JSON || b == RKP_JSON ? RKP_JSON : RKP_STRING;
}

bool rki_rows_infer(rki_arena *a, const rki_rows *rows, rkp_schema *out)
{
    rkp_field *f = rki_array(a, MAX_COLUMNS, sizeof *f);
    rkp_schema s = { 0, f };
    if (!f)
        return false;
    for (const rkp_node *r = rows->list ? rows->list->child : NULL; r; r = r->next) {
        for (const rkp_node *v = r->child; v; v = v->next) {
            int at = rkp_schema_find(&s, rkp_word_str(v->key));
            if (at < 0 && s.n == MAX_COLUMNS)
                continue;
            if (at < 0) {
                at = (int)s.n++;
                f[at] = (rkp_field){ rkp_word_str(v->key), RKP_NTYPE(RKP_N_KINDS) };
            }
            if (!rki_node_is_null(v))
                f[at].type.kind = (uint8_t)both(f[at].type.kind, kind_of(v));
        }
    }
    for (uint32_t c = 0; c < s.n; c++)
        if (f[c].type.kind == RKP_N_KINDS)
            f[c].type.kind = RKP_STRING;
    *out = s;
    return true;
}

// ---- columns --------------------------------------------------------------------------------------------------------

static void put_json(rki_json *j, const rkp_node *n)
{
    double f;
    switch (n->kind) {
    case RKI_MAP:
    case RKI_LIST:
        if (n->kind == RKI_MAP)
            rki_json_object(j);
        else
            rki_json_array(j);
        for (const rkp_node *c = n->child; c; c = c->next) {
            if (n->kind == RKI_MAP)
                rki_json_key_str(j, rkp_word_str(c->key));
            put_json(j, c);
        }
        if (n->kind == RKI_MAP)
            rki_json_end_object(j);
        else
            rki_json_end_array(j);
        break;
    default:
        if (rki_node_is_null(n))
            rki_json_null(j);
        else if (n->plain && (rkp_str_is(n->text, "true") || rkp_str_is(n->text, "false") ||
                              (rkp_parse_f64(n->text.p, n->text.n, &f) && n->text.p[0] != '+' && f - f == 0)))
            rki_json_raw(j, n->text);
        else
            rki_json_str(j, n->text);
        break;
    }
}

static void columns_hint(const rki_rows_as *as, rkp_str name)
{
    const char *names[NEAR + 1], *near;
    uint32_t n = 0;
    rki_buf list;
    for (uint32_t i = 0; i < as->schema->n && n < NEAR; i++)
        if ((names[n] = rki_dup(as->arena, as->schema->f[i].name.p, as->schema->f[i].name.n)))
            n++;
    names[n] = NULL;
    near = rki_nearest(name, names);
    if (near) {
        rkp_diag_hint(as->d, "did you mean '%s'?", near);
        return;
    }
    rki_buf_init(&list);
    for (uint32_t i = 0; i < n; i++)
        rki_putf(&list, "%s%s", i ? ", " : "", names[i]);
    if (n && n <= 24 && !list.failed)
        rkp_diag_hint(as->d, "the columns are %.*s", (int)list.n, list.p);
    rki_buf_fini(&list);
}

static bool names_known(const rki_rows_as *as, const rki_rows *rows)
{
    bool ok = true;
    for (uint32_t c = 0; !as->partial && c < as->schema->n; c++) {
        if (!as->schema->f[c].type.len)
            continue;
        rkp_diag(as->d, RKP_ERROR, rows->at, "not-supported",
                 "column '%.*s' of %s is a fixed array: rows with one are not supported yet",
                 RKP_STR_ARG(as->schema->f[c].name), as->of);
        return false;
    }
    for (const rkp_node *r = rows->list->child; r; r = r->next) {
        for (const rkp_node *v = r->child; v; v = v->next) {
            int at = rkp_schema_find(as->schema, rkp_word_str(v->key));
            if (at >= 0 && as->schema->f[at].type.len) {
                rkp_diag(as->d, RKP_ERROR, v->key_at, "not-supported",
                         "column '%s' is a fixed array: rows of tests with one are not supported yet", v->key.p);
                ok = false;
            }
            if (at >= 0)
                continue;
            rkp_diag(as->d, RKP_ERROR, v->key_at, "test-column", "%s has no column '%s'", as->of, v->key.p);
            columns_hint(as, rkp_word_str(v->key));
            ok = false;
        }
    }
    return ok;
}

static const rkp_node *value_of(const rkp_node *row, rkp_str name)
{
    for (const rkp_node *v = row->child; v; v = v->next)
        if (rkp_str_eq(rkp_word_str(v->key), name))
            return v;
    return NULL;
}

// The text that stands for a value; p NULL: null.  *ok: false after a finding.
static rkp_str text_of(const rki_rows_as *as, const rkp_node *row, const rkp_field *f, bool *ok)
{
    const rkp_node *v = value_of(row, f->name);
    char type[RKP_TYPE_TEXT];
    rkp_str s;
    rki_buf b;
    rki_json j;
    if (!v || rki_node_is_null(v)) {
        if (!f->type.nullable && (v || !as->partial)) {
            rkp_type_print(type, f->type);
            rkp_diag(as->d, RKP_ERROR, v ? v->at : row->at, "test-value",
                     v ? "column '%.*s' of %s is never null" : "the row has no '%.*s', and %s needs one",
                     RKP_STR_ARG(f->name), as->of);
            *ok = false;
        }
        return (rkp_str){ 0 };
    }
    if (v->kind == RKI_SCALAR && (f->type.kind != RKP_JSON || v->plain))
        return v->text;
    if (f->type.kind != RKP_JSON) {
        rkp_type_print(type, f->type);
        rkp_diag(as->d, RKP_ERROR, v->at, "test-value", "column '%.*s' of %s is %s, not %s", RKP_STR_ARG(f->name),
                 as->of, type, rki_node_shown(as->arena, v));
        *ok = false;
        return (rkp_str){ 0 };
    }
    if (v->kind == RKI_SCALAR)
        return v->text; // JSON as text
    rki_buf_init(&b);
    rki_json_init(&j, &b, 0);
    put_json(&j, v);
    s = b.failed ? (rkp_str){ 0 } : rki_dup_str(as->arena, (rkp_str){ b.p, b.n });
    rki_buf_fini(&b);
    *ok = *ok && s.p;
    return s;
}

// Column c of `b` as text, not looked at yet; null where a finding was made.  False without memory.
static bool text_column(const rki_rows_as *as, const rki_rows *rows, rkp_batch *b, uint32_t c, bool *ok)
{
    const rkp_field *f = &as->schema->f[c];
    rkp_str *v = rki_array(as->arena, b->rows + 1u, sizeof *v);
    rkp_text *text = rkp_batch_alloc(b, sizeof *text);
    uint32_t *pos = rkp_batch_alloc(b, ((size_t)b->rows + 1) * 2 * sizeof *pos), r = 0;
    size_t bytes = 1, at = 1;
    char *base;
    if (!v || !text || !pos)
        return false;
    for (const rkp_node *row = rows->list->child; row; row = row->next, r++) {
        v[r] = text_of(as, row, f, ok);
        bytes += v[r].n;
    }
    base = rkp_batch_alloc(b, bytes + 1);
    if (!base)
        return false;
    base[0] = '\n';
    for (r = 0; r < b->rows; r++) {
        pos[2 * (size_t)r] = v[r].p ? (uint32_t)at - 1 : RKP_NO_TEXT;
        if (v[r].n)
            memcpy(base + at, v[r].p, v[r].n);
        at += v[r].n;
        pos[2 * (size_t)r + 1] = (uint32_t)at;
    }
    *text = (rkp_text){ .base = base, .len = (uint32_t)at, .kind = RKP_TEXT_RAW, .utf8 = rkp_text_is_utf8(base, at) };
    b->cols[c] = (rkp_col){ .type = f->type, .rep = RKP_TEXT, .stride = 2, .pos = pos, .text = text };
    return true;
}

static void refuse(const rki_rows_as *as, const rki_rows *rows, uint32_t row, uint32_t c)
{
    const rkp_node *r = rows->list->child, *v;
    const rkp_field *f = &as->schema->f[c];
    char type[RKP_TYPE_TEXT];
    rkp_type t = f->type;
    while (row-- && r)
        r = r->next;
    v = r ? value_of(r, f->name) : NULL;
    if (!v)
        return;
    t.nullable = 0;
    rkp_type_print(type, t);
    rkp_diag(as->d, RKP_ERROR, v->at, "test-value", "column '%.*s' of %s is %s, and %s is none", RKP_STR_ARG(f->name),
             as->of, type, rki_node_shown(as->arena, v));
}

rkp_batch *rki_rows_batch(const rki_rows_as *as, const rki_rows *rows)
{
    rkp_batch *text, *out = NULL;
    rkp_errs errs = { 0 };
    bool ok = names_known(as, rows), memory = true;
    text = rkp_batch_new(as->pool, as->schema, as->schema->n, 4096);
    if (!text)
        return NULL;
    text->rows = (uint32_t)rows->list->n;
    for (uint32_t c = 0; memory && c < as->schema->n; c++)
        memory = as->schema->f[c].type.len || text_column(as, rows, text, c, &ok);
    out = memory ? rkp_batch_derive(text, 4096) : NULL;
    for (uint32_t c = 0; out && c < as->schema->n; c++) {
        rkp_col flat;
        if (as->schema->f[c].type.len) // nobody names it
            continue;
        rkp_errs_clear(&errs);
        if (rkp_col_flat(out, text, c, NULL, text->rows, &flat, &errs) != RKP_OK || errs.failed)
            ok = false;
        else
            out->cols[c] = flat;
        for (uint32_t i = 0; i < errs.n; i++)
            refuse(as, rows, errs.v[i].row, c);
        ok = ok && errs.n == 0;
    }
    rkp_errs_fini(&errs);
    rkp_batch_put(text);
    if (!ok) {
        rkp_batch_put(out);
        out = NULL;
    }
    return out;
}
