// lookup: adds the columns of the row of a small table whose key equals that of the row.
//
// The table is loaded once into columns, with one more row that is all null; a hash table maps keys to rows.  An output
// column is the table's own column seen through a selection, so a looked-up row costs four bytes whatever it brings.
#include "keys.h"
#include "spill.h"
#include "table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { MISSING_NULL, MISSING_DROP, MISSING_ERROR };
enum { M_ROWS, M_REPEATED, M_MISSING };
enum { CHUNK = 2048, SHARE_BYTES = 16 << 20 };

// What the probe found out; lives in the pipeline's arena.
struct answer {
    rkp_status status; // UNAVAILABLE: there is no table; why says it
    const char *why;
    rkp_str *names;
    rks_guess *guess;
    uint32_t n;
    bool large;
};

struct value {
    uint32_t from; // column of the file
    rkp_str name;
    rkp_type type;
};

struct lookup {
    rkp_word table; // options
    rkp_pairs key;
    rkp_words columns;
    int on_missing;
    rkp_words nulls;
    rkp_pairs types;
    char delim;
    const struct answer *answer; // bind: constant
    uint32_t n_keys, n_values, n_in;
    uint32_t *in_cols;    // key columns of the input
    uint32_t *table_keys; // key columns of the file
    struct value *values;
    rkp_schema keys_then_values, schema; // of the table in memory; of the output
    rks_keys keys;
    rks_slab slab; // run: constant after init
    rks_table index;
    rkp_batch *rows;
    uint32_t n_rows; // the row behind them is null
    uint32_t step;
    uint64_t *words, *hash; // run: actor thread
    char **recs;
    uint32_t *sel, *good;
    uint32_t cap;
};

static const rkp_choice missing_names[] = {
    { "null", MISSING_NULL, "the added columns are null" },
    { "drop", MISSING_DROP, "the row is dropped and counted" },
    { "error", MISSING_ERROR, "the row is a bad row, and goes where `on_error` says" },
    { 0 },
};

#define AT(field) offsetof(struct lookup, field)
static const rkp_opt lookup_opts[] = {
    { "table", &rkp_path, AT(table), .required = true, .also = "file path source",
      .help = "a CSV file with a header; it is read when the pipeline starts" },
    { "key", &rkp_name_pairs, AT(key), .required = true, .also = "keys by join_on left_on",
      .help =
          "the column that names the table's row; several as a list; {column: table column} when the names differ" },
    { "columns", &rkp_word_list, AT(columns), .optional = true, .also = "fields select add",
      .help = "columns of the table to add (default: all but its keys)" },
    { "on_missing", &rkp_choice_type, AT(on_missing), .def = "null", .choices = missing_names,
      .also = "missing how default", .help = "what happens to a row whose key is null or not in the table" },
    { "types", &rkp_type_map, AT(types), .optional = true, .also = "schema",
      .help = "types of added columns (default: taken from all of the table's texts)" },
    { "delimiter", &rkp_char, AT(delim), .def = "\",\"", .also = "sep separator",
      .help = "between the table's fields" },
    { "nulls", &rkp_word_list, AT(nulls), .def = "[\"\"]", .also = "null_values na_values",
      .help = "texts of the table that mean null" },
    { 0 },
};

static const rkp_metric lookup_metrics[] = {
    [M_ROWS] = { "table_rows", RKP_UNIT_ROWS, "rows of the table" },
    [M_REPEATED] = { "repeated_keys", RKP_UNIT_ROWS, "rows of the table whose key stands in an earlier row" },
    [M_MISSING] = { "missing", RKP_UNIT_ROWS, "rows whose key is null or not in the table" },
    { 0 },
};

// ---- the table's texts ----------------------------------------------------------------------------------------------

static bool is_null(const struct lookup *l, rkp_str s)
{
    for (size_t i = 0; i < l->nulls.n; i++)
        if (rkp_str_eq(rkp_word_str(l->nulls.v[i]), s))
            return true;
    return false;
}

static int find_name(const struct answer *t, rkp_str name)
{
    for (uint32_t i = 0; i < t->n; i++)
        if (rkp_str_eq(t->names[i], name))
            return (int)i;
    return -1;
}

// ---- probe ----------------------------------------------------------------------------------------------------------

static char *copy(rkp_opt_ctx *mem, const char *p, size_t n)
{
    char *to = rkp_opt_alloc(mem, n + 1);

    if (to && n)
        memcpy(to, p, n);
    return to;
}

static rkp_status take_header(struct lookup *l, rkp_probe *p, const rks_csv *c, struct answer *t)
{
    rkp_opt_ctx *mem = rkp_probe_mem(p);

    t->names = rkp_opt_alloc(mem, (c->n_fields + 1) * sizeof *t->names);
    t->guess = rkp_opt_alloc(mem, (c->n_fields + 1) * sizeof *t->guess);
    if (!t->names || !t->guess)
        return RKP_NOMEM;
    for (uint32_t i = 0; i < c->n_fields; i++) {
        rkp_str name = c->fields[i];

        if (find_name(t, name) >= 0) {
            rkp_diag(rkp_probe_diags(p), RKP_ERROR, l->table.at, "lookup-table",
                     "'%s' has two columns called '" RKP_STR_FMT "'", l->table.p, RKP_STR_ARG(name));
            return RKP_INVALID;
        }
        t->names[i] = (rkp_str){ copy(mem, name.p, name.n), name.n };
        if (!t->names[i].p)
            return RKP_NOMEM;
        t->n++;
    }
    return RKP_OK;
}

struct seen { // a key of the table
    uint64_t hash, line;
};

struct repeats {
    struct seen *v;
    size_t n, cap;
    uint32_t cols[64];
    uint32_t n_cols;
};

static uint64_t hash_texts(uint64_t h, rkp_str s)
{
    h ^= s.n;
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (uint8_t)s.p[i]) * 0x100000001B3u;
    return (h ^ (h >> 29)) * 0xBF58476D1CE4E5B9u;
}

static bool note_key(const struct lookup *l, struct repeats *r, const rks_csv *c)
{
    uint64_t h = 0xCBF29CE484222325u;

    for (uint32_t i = 0; i < r->n_cols; i++) {
        if (is_null(l, c->fields[r->cols[i]]))
            return true;
        h = hash_texts(h, c->fields[r->cols[i]]);
    }
    if (r->n == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 1024;
        struct seen *v = realloc(r->v, cap * sizeof *v);

        if (!v)
            return false;
        r->v = v;
        r->cap = cap;
    }
    r->v[r->n++] = (struct seen){ h, c->line };
    return true;
}

static int compare_seen(const void *x, const void *y)
{
    const struct seen *a = x, *b = y;

    return a->hash != b->hash ? (a->hash < b->hash ? -1 : 1) : a->line < b->line ? -1 : a->line > b->line;
}

static void tell_repeats(const struct lookup *l, rkp_probe *p, struct repeats *r)
{
    uint64_t n = 0, first = 0, of = 0;

    if (!r->n_cols || !r->n)
        return;
    qsort(r->v, r->n, sizeof *r->v, compare_seen);
    for (size_t i = 1, begin = 0; i < r->n; i++) {
        if (r->v[i].hash != r->v[begin].hash) {
            begin = i;
            continue;
        }
        n++;
        if (!first || r->v[i].line < first) {
            first = r->v[i].line;
            of = r->v[begin].line;
        }
    }
    if (!n)
        return;
    rkp_diag(rkp_probe_diags(p), RKP_WARNING, l->table.at, "lookup-repeated",
             "'%s' has %" PRIu64 " row%s whose key stands in an earlier row, which is the one that counts", l->table.p,
             n, n == 1 ? "" : "s");
    rkp_diag_hint(rkp_probe_diags(p), "line %" PRIu64 " repeats the key of line %" PRIu64, first, of);
}

static rkp_status missing_table(struct lookup *l, rkp_probe *p, struct answer *t, const char *err)
{
    t->status = RKP_UNAVAILABLE;
    t->why = copy(rkp_probe_mem(p), err, strlen(err));
    if (!t->why)
        return RKP_NOMEM;
    rkp_diag(rkp_probe_diags(p), RKP_NOTE, l->table.at, "input-missing", "%s", err);
    rkp_diag_hint(rkp_probe_diags(p), "what depends on its columns is checked when the pipeline starts");
    rkp_probe_set(p, t);
    return RKP_OK;
}

// Reads the records behind the header: their types, and which keys stand there twice.
static rkp_status probe_rows(struct lookup *l, rkp_probe *p, rks_csv *c, struct answer *t, char err[RKP_FILE_ERR])
{
    struct repeats r = { 0 };
    rkp_status st;
    bool has;

    for (size_t i = 0; i < l->key.n && r.n_cols < 64; i++) {
        int col = find_name(t, rkp_word_str(l->key.v[i].val));

        if (col >= 0)
            r.cols[r.n_cols++] = (uint32_t)col;
    }
    while ((st = rks_csv_next(c, &has, err)) == RKP_OK && has) {
        if (c->n_fields != t->n) {
            snprintf(err, RKP_FILE_ERR, "'%s' line %" PRIu64 " has %u fields, and the header has %u", l->table.p,
                     c->line, c->n_fields, t->n);
            st = RKP_IO;
            break;
        }
        for (uint32_t i = 0; i < t->n; i++)
            if (!is_null(l, c->fields[i]))
                rks_guess_add(&t->guess[i], c->fields[i]);
        if (!note_key(l, &r, c)) {
            st = RKP_NOMEM;
            break;
        }
    }
    if (st == RKP_OK)
        tell_repeats(l, p, &r);
    free(r.v);
    return st;
}

static rkp_status lookup_probe(void *self, rkp_probe *p)
{
    struct lookup *l = self;
    struct answer *t = rkp_opt_alloc(rkp_probe_mem(p), sizeof *t);
    char err[RKP_FILE_ERR] = "";
    rks_csv c;
    bool has;
    rkp_status st;

    if (!t)
        return RKP_NOMEM;
    if (strcmp(l->table.p, "-") == 0) {
        rkp_diag(rkp_probe_diags(p), RKP_ERROR, l->table.at, "lookup-table", "a table cannot be standard input");
        return RKP_INVALID;
    }
    st = rks_csv_open(&c, l->table.p, l->delim, err);
    if (st == RKP_UNAVAILABLE) {
        rks_csv_close(&c);
        return missing_table(l, p, t, err);
    }
    if (st == RKP_OK)
        st = rks_csv_next(&c, &has, err);
    if (st == RKP_OK && !has) {
        snprintf(err, sizeof err, "'%s' is empty: a table has at least a header", l->table.p);
        st = RKP_IO;
    }
    if (st == RKP_OK)
        st = take_header(l, p, &c, t);
    if (st == RKP_OK)
        st = probe_rows(l, p, &c, t, err);
    t->large = c.r && rkp_reader_total(c.r) > SHARE_BYTES;
    rks_csv_close(&c);
    if (st == RKP_OK) {
        rkp_probe_loads(p, l->table.p);
        rkp_probe_set(p, t);
    }
    if (st == RKP_IO)
        rkp_diag(rkp_probe_diags(p), RKP_ERROR, l->table.at, "lookup-table", "%s", err);
    return st == RKP_IO ? RKP_INVALID : st;
}

// ---- bind -----------------------------------------------------------------------------------------------------------

static rkp_status no_column(const struct lookup *l, rkp_diags *d, rkp_word name)
{
    char list[256];
    size_t n = 0;

    rkp_diag(d, RKP_ERROR, name.at, "lookup-column", "the table '%s' has no column '" RKP_STR_FMT "'", l->table.p,
             RKP_STR_ARG(rkp_word_str(name)));
    for (uint32_t i = 0; i < l->answer->n && n + l->answer->names[i].n + 2 < sizeof list; i++)
        n += (size_t)snprintf(list + n, sizeof list - n, " " RKP_STR_FMT, RKP_STR_ARG(l->answer->names[i]));
    if (n)
        rkp_diag_hint(d, "it has%s", list);
    return RKP_INVALID;
}

// Can the texts of a column be keys of this type?
static bool fits(const rks_guess *g, rkp_type type)
{
    unsigned k = rks_guess_kind(g);

    if (!g->seen || rkp_kind_is_view(type.kind))
        return true;
    if (rkp_kind_is_int(type.kind))
        return k == RKP_I64 || (k == RKP_F64 && type.kind == RKP_U64); // u64 beyond i64 looks like a float
    if (rkp_kind_is_float(type.kind))
        return k == RKP_I64 || k == RKP_F64;
    return k == type.kind;
}

static rkp_status bind_keys(struct lookup *l, rkp_bind *b, rkp_field *fields, rkp_type *types)
{
    const rkp_schema *in = rkp_bind_in(b);
    rkp_diags *d = rkp_bind_diags(b);
    rkp_status st = RKP_OK;

    if (!l->key.n) {
        rkp_diag(d, RKP_ERROR, l->key.at, "lookup-key", "'key' is empty");
        return RKP_INVALID;
    }
    for (size_t i = 0; i < l->key.n; i++) {
        int c = rkp_bind_column(b, l->key.v[i].key);
        int of = l->answer ? find_name(l->answer, rkp_word_str(l->key.v[i].val)) : 0;

        if (of < 0)
            st = no_column(l, d, l->key.v[i].val);
        if (c < 0)
            st = RKP_INVALID;
        if (c < 0 || of < 0)
            continue;
        if (in->f[c].type.len) {
            rkp_diag(d, RKP_ERROR, l->key.v[i].key.at, "lookup-key",
                     "'" RKP_STR_FMT "' is an array and cannot be a key", RKP_STR_ARG(in->f[c].name));
            st = RKP_INVALID;
        } else if (l->answer && !fits(&l->answer->guess[of], in->f[c].type)) {
            rkp_diag(d, RKP_ERROR, l->key.v[i].key.at, "lookup-key",
                     "'" RKP_STR_FMT "' is %s in the input, and %s in the table '%s'", RKP_STR_ARG(in->f[c].name),
                     rkp_kind_name(in->f[c].type.kind), rkp_kind_name(rks_guess_kind(&l->answer->guess[of])),
                     l->table.p);
            rkp_diag_hint(d, "bring both to one type, for instance with map's cast: { " RKP_STR_FMT ": string }",
                          RKP_STR_ARG(in->f[c].name));
            st = RKP_INVALID;
        }
        l->in_cols[l->n_keys] = (uint32_t)c;
        l->table_keys[l->n_keys] = (uint32_t)of;
        types[l->n_keys] = in->f[c].type;
        types[l->n_keys].nullable = 1;
        fields[l->n_keys] = (rkp_field){ in->f[c].name, types[l->n_keys] };
        l->n_keys++;
    }
    return st;
}

static bool is_key(const struct lookup *l, uint32_t column)
{
    for (uint32_t i = 0; i < l->n_keys; i++)
        if (l->table_keys[i] == column)
            return true;
    return false;
}

static rkp_status add_value(struct lookup *l, rkp_bind *b, uint32_t from, rkp_loc at)
{
    const rkp_schema *in = rkp_bind_in(b);
    struct value *v = &l->values[l->n_values];

    *v = (struct value){ from, l->answer->names[from], RKP_NTYPE(rks_guess_kind(&l->answer->guess[from])) };
    for (size_t i = 0; i < l->types.n; i++)
        if (rkp_str_eq(rkp_word_str(l->types.v[i].key), v->name)) {
            rkp_type_parse(rkp_word_str(l->types.v[i].val), &v->type);
            v->type.nullable = 1;
            if (v->type.len) {
                rkp_diag(rkp_bind_diags(b), RKP_ERROR, l->types.v[i].val.at, "lookup-column", "CSV has no arrays");
                return RKP_INVALID;
            }
        }
    if (rkp_schema_find(in, v->name) >= 0) {
        rkp_diag(rkp_bind_diags(b), RKP_ERROR, at, "lookup-column",
                 "'" RKP_STR_FMT "' is a column of the input and of the table", RKP_STR_ARG(v->name));
        rkp_diag_hint(rkp_bind_diags(b),
                      "name the columns to add in 'columns', or rename the input's with a map before");
        return RKP_INVALID;
    }
    l->n_values++;
    return RKP_OK;
}

static rkp_status bind_values(struct lookup *l, rkp_bind *b)
{
    rkp_diags *d = rkp_bind_diags(b);
    rkp_status st = RKP_OK, one;

    for (size_t i = 0; i < l->columns.n; i++) {
        int of = find_name(l->answer, rkp_word_str(l->columns.v[i]));

        one = of < 0 ? no_column(l, d, l->columns.v[i]) : add_value(l, b, (uint32_t)of, l->columns.v[i].at);
        for (uint32_t k = 0; one == RKP_OK && k + 1 < l->n_values; k++)
            if (l->values[k].from == (uint32_t)of) {
                rkp_diag(d, RKP_ERROR, l->columns.v[i].at, "lookup-column", "'" RKP_STR_FMT "' is added twice",
                         RKP_STR_ARG(rkp_word_str(l->columns.v[i])));
                one = RKP_INVALID;
            }
        st = one != RKP_OK ? one : st;
    }
    for (uint32_t c = 0; !l->columns.at.line && !l->columns.n && c < l->answer->n; c++) {
        if (is_key(l, c))
            continue;
        one = add_value(l, b, c, l->table.at);
        st = one != RKP_OK ? one : st;
    }
    for (size_t i = 0; i < l->types.n; i++) {
        bool used = false;

        for (uint32_t k = 0; k < l->n_values; k++)
            used |= rkp_str_eq(rkp_word_str(l->types.v[i].key), l->values[k].name);
        if (!used && st == RKP_OK) {
            rkp_diag(d, RKP_ERROR, l->types.v[i].key.at, "lookup-column",
                     "'" RKP_STR_FMT "' is not a column that is added", RKP_STR_ARG(rkp_word_str(l->types.v[i].key)));
            st = RKP_INVALID;
        }
    }
    return st;
}

static rkp_status lookup_bind(void *self, rkp_bind *b)
{
    struct lookup *l = self;
    const rkp_schema *in = rkp_bind_in(b);
    rkp_opt_ctx *mem = rkp_bind_mem(b);
    rkp_field *table, *out;
    rkp_type *types;
    size_t n_table;
    rkp_status st, values;

    l->answer = rkp_bind_probed(b);
    if (l->answer && l->answer->status != RKP_OK)
        l->answer = NULL;
    n_table = l->key.n + (l->answer ? l->answer->n : 0) + l->columns.n + 1;
    l->in_cols = rkp_opt_alloc(mem, (l->key.n + 1) * sizeof *l->in_cols);
    l->table_keys = rkp_opt_alloc(mem, (l->key.n + 1) * sizeof *l->table_keys);
    l->values = rkp_opt_alloc(mem, n_table * sizeof *l->values);
    types = rkp_opt_alloc(mem, (l->key.n + 1) * sizeof *types);
    table = rkp_opt_alloc(mem, n_table * sizeof *table);
    out = rkp_opt_alloc(mem, (in->n + n_table) * sizeof *out);
    if (!l->in_cols || !l->table_keys || !l->values || !types || !table || !out)
        return RKP_NOMEM;
    l->n_in = in->n;
    rkp_bind_pass_all(b);
    st = bind_keys(l, b, table, types);
    if (!l->answer)
        return st; // not known yet: the port stays unset
    values = bind_values(l, b);
    if (l->answer->large)
        rkp_bind_single(b, "each replica would hold the whole table");
    for (uint32_t i = 0; i < in->n; i++)
        out[i] = in->f[i];
    for (uint32_t i = 0; i < l->n_values; i++)
        table[l->n_keys + i] = out[in->n + i] = (rkp_field){ l->values[i].name, l->values[i].type };
    l->keys_then_values = (rkp_schema){ l->n_keys + l->n_values, table };
    l->schema = (rkp_schema){ in->n + l->n_values, out };
    if (l->schema.n > 4096) {
        rkp_diag(rkp_bind_diags(b), RKP_ERROR, l->table.at, "limit-columns", "more than 4,096 output columns");
        return RKP_INVALID;
    }
    rkp_bind_out(b, 0, l->schema);
    st = st == RKP_OK ? values : st;
    return rks_keys_plan(&l->keys, mem, types, l->n_keys, 0) ? st : RKP_NOMEM;
}

// ---- init: the table ------------------------------------------------------------------------------------------------

struct loading {
    struct lookup *l;
    rkp_actor *a;
    rkp_builder *w;
    rks_csv csv;
    rkp_batch *texts; // of one chunk
    rkp_str *v;       // columns behind each other, CHUNK each
    uint64_t *lines;
    uint32_t n; // rows of the chunk
};

static uint32_t file_column(const struct lookup *l, uint32_t j)
{
    return j < l->n_keys ? l->table_keys[j] : l->values[j - l->n_keys].from;
}

// The record at hand into the chunk.
static rkp_status take_record(struct loading *g)
{
    struct lookup *l = g->l;

    g->lines[g->n] = g->csv.line;
    for (uint32_t j = 0; j < l->keys_then_values.n; j++) {
        rkp_str s = g->csv.fields[file_column(l, j)];
        char *to;

        if (is_null(l, s)) {
            g->v[(size_t)j * CHUNK + g->n] = (rkp_str){ NULL, 0 };
            continue;
        }
        to = rkp_batch_alloc(g->texts, s.n ? s.n : 1);
        if (!to)
            return RKP_NOMEM;
        memcpy(to, s.p, s.n);
        g->v[(size_t)j * CHUNK + g->n] = (rkp_str){ to, s.n };
    }
    g->n++;
    return RKP_OK;
}

// Column j of the chunk as values.
static rkp_status make_column(struct loading *g, rkp_batch *b, uint32_t j, rkp_errs *errs)
{
    rkp_type t = g->l->keys_then_values.f[j].type;
    bool view = t.kind == RKP_STRING || t.kind == RKP_BYTES;
    rkp_status st = rkp_col_set_strs(b, j, view ? t : RKP_NTYPE(RKP_STRING), g->v + (size_t)j * CHUNK, g->n);
    rkp_col out;

    if (st != RKP_OK || view)
        return st;
    st = rkp_col_cast(b, &b->cols[j], g->n, t, &out, errs);
    b->cols[j] = out;
    return st == RKP_OK && errs->failed ? RKP_NOMEM : st;
}

// No part of the row's key is null.
static bool has_key(const struct lookup *l, const rkp_batch *b, uint32_t row)
{
    for (uint32_t j = 0; j < l->n_keys; j++)
        if (rkp_col_is_null(&b->cols[j], row))
            return false;
    return true;
}

// The chunk's keys into the index.
static rkp_status index_chunk(struct loading *g, const rkp_batch *b)
{
    struct lookup *l = g->l;

    for (uint32_t from = 0; from < b->rows; from += l->step) {
        uint32_t n = b->rows - from < l->step ? b->rows - from : l->step, n_made, first = 0, all = 0;
        uint32_t made[CHUNK];
        bool longs;

        longs = rks_keys_words(&l->keys, b->cols, from, n, l->words);
        rks_keys_hash(&l->keys, l->words, n, l->hash);
        if (rks_table_map(&l->index, longs ? b->cols : NULL, from, n, l->words, l->hash, l->recs, made, &n_made) !=
            RKP_OK)
            return RKP_NOMEM;
        for (uint32_t k = 0; k < n_made; k++) {
            uint32_t row = l->n_rows + from + made[k];

            memcpy(l->recs[made[k]] + l->index.user_at, &row, sizeof row);
            first += has_key(l, b, from + made[k]);
        }
        for (uint32_t i = 0; i < n; i++)
            all += has_key(l, b, from + i);
        rkp_count(g->a, M_REPEATED, all - first);
    }
    return RKP_OK;
}

static rkp_status bad_value(struct loading *g, const rkp_err *e, uint32_t j)
{
    rkp_type t = g->l->keys_then_values.f[j].type;
    rkp_str s = g->v[(size_t)j * CHUNK + e->row];
    char type[RKP_TYPE_TEXT];

    rkp_type_print(type, t);
    rkp_fail(g->a, RKP_IO, "lookup: '%s' line %" PRIu64 ": '%.*s' is no %s, the type of column '" RKP_STR_FMT "'",
             g->l->table.p, g->lines[e->row], (int)(s.n < 40 ? s.n : 40), s.p, type,
             RKP_STR_ARG(g->l->keys_then_values.f[j].name));
    return RKP_IO;
}

static rkp_status flush_chunk(struct loading *g)
{
    struct lookup *l = g->l;
    const rkp_schema *s = &l->keys_then_values;
    rkp_batch *b = rkp_batch_new(rkp_actor_pool(g->a), s, s->n, (size_t)g->n * 16);
    rkp_errs errs = { 0 };
    rkp_status st = b ? RKP_OK : RKP_NOMEM;

    if (b)
        b->rows = g->n;
    for (uint32_t j = 0; st == RKP_OK && j < s->n; j++) {
        st = make_column(g, b, j, &errs);
        if (st == RKP_OK && errs.n)
            st = bad_value(g, &errs.v[0], j);
    }
    if (st == RKP_OK)
        st = rkp_builder_add(g->w, b, NULL, g->n, &errs);
    if (st == RKP_OK)
        st = index_chunk(g, b);
    rkp_errs_fini(&errs);
    rkp_batch_put(b);
    l->n_rows += g->n;
    g->n = 0;
    rkp_batch_put(g->texts);
    g->texts = rkp_batch_new(rkp_actor_pool(g->a), NULL, 0, 64 << 10);
    return st == RKP_OK && !g->texts ? RKP_NOMEM : st;
}

// The file must still be the one that the probe saw.
static rkp_status check_header(struct loading *g)
{
    const struct answer *t = g->l->answer;
    bool same = g->csv.n_fields == t->n;

    for (uint32_t i = 0; same && i < t->n; i++)
        same = rkp_str_eq(g->csv.fields[i], t->names[i]);
    if (same)
        return RKP_OK;
    rkp_fail(g->a, RKP_IO, "lookup: the header of '%s' has changed since it was checked", g->l->table.p);
    return RKP_IO;
}

static rkp_status load_rows(struct loading *g)
{
    char err[RKP_FILE_ERR] = "";
    bool has = false;
    rkp_status st = rks_csv_open(&g->csv, g->l->table.p, g->l->delim, err);

    if (st == RKP_OK)
        st = rks_csv_next(&g->csv, &has, err);
    if (st == RKP_OK)
        st = check_header(g);
    while (st == RKP_OK) {
        st = rks_csv_next(&g->csv, &has, err);
        if (st != RKP_OK || !has)
            break;
        if (g->csv.n_fields != g->l->answer->n) {
            snprintf(err, sizeof err, "'%s' line %" PRIu64 " has %u fields, and the header has %u", g->l->table.p,
                     g->csv.line, g->csv.n_fields, g->l->answer->n);
            st = RKP_IO;
            break;
        }
        if (g->l->n_rows > INT32_MAX - 2 * CHUNK) {
            snprintf(err, sizeof err, "'%s' has too many rows for a table", g->l->table.p);
            st = RKP_IO;
            break;
        }
        st = take_record(g);
        if (st == RKP_OK && g->n == CHUNK)
            st = flush_chunk(g);
    }
    if (st == RKP_OK && g->n)
        st = flush_chunk(g);
    if (st != RKP_OK && err[0])
        rkp_fail(g->a, st, "lookup: %s", err);
    return st;
}

// One more row, all null, for keys that are not there.
static rkp_status add_null_row(struct loading *g)
{
    const rkp_schema *s = &g->l->keys_then_values;
    rkp_batch *b = rkp_batch_new(rkp_actor_pool(g->a), s, s->n, 64);
    rkp_errs errs = { 0 };
    rkp_status st = b ? RKP_OK : RKP_NOMEM;

    if (b)
        b->rows = g->n = 1;
    for (uint32_t j = 0; j < s->n; j++)
        g->v[(size_t)j * CHUNK] = (rkp_str){ NULL, 0 };
    for (uint32_t j = 0; st == RKP_OK && j < s->n; j++)
        st = make_column(g, b, j, &errs);
    if (st == RKP_OK)
        st = rkp_builder_add(g->w, b, NULL, 1, &errs);
    rkp_errs_fini(&errs);
    rkp_batch_put(b);
    return st;
}

static rkp_status check_share(struct lookup *l, rkp_actor *a, uint64_t bytes)
{
    rks_slab_count(&l->slab, bytes);
    if (!l->slab.over)
        return RKP_OK;
    rkp_fail(a, RKP_NOMEM,
             "lookup: the table '%s' takes %" PRIu64 " bytes, more than this kernel's share of memory_limit (%" PRIu64
             " bytes)",
             l->table.p, l->slab.held, rkp_state_limit(a));
    return RKP_NOMEM;
}

static rkp_status lookup_init(void *self, rkp_actor *a)
{
    struct lookup *l = self;
    struct loading g = { .l = l, .a = a };
    static const uint32_t zero;
    uint64_t bytes;
    rkp_status st = RKP_OK;

    if (!l->answer) {
        rkp_fail(a, RKP_UNAVAILABLE, "lookup: the table '%s' was not there", l->table.p);
        return RKP_UNAVAILABLE;
    }
    l->rows = NULL;
    l->n_rows = 0;
    rks_slab_init(&l->slab, a);
    rks_keys_seed(&l->keys);
    rks_table_init(&l->index, &l->keys, &l->slab, sizeof zero, &zero);
    l->step = rks_keys_step(&l->keys);
    if (l->step > CHUNK)
        l->step = CHUNK;
    l->words = malloc((size_t)l->step * l->keys.n_words * 8 + 8);
    l->hash = malloc(l->step * sizeof *l->hash);
    l->recs = malloc(l->step * sizeof *l->recs);
    g.v = malloc((size_t)l->keys_then_values.n * CHUNK * sizeof *g.v);
    g.lines = malloc(CHUNK * sizeof *g.lines);
    g.w = rkp_builder_new(rkp_actor_pool(a), &l->keys_then_values);
    g.texts = rkp_batch_new(rkp_actor_pool(a), NULL, 0, 64 << 10);
    if (!l->words || !l->hash || !l->recs || !g.v || !g.lines || !g.w || !g.texts)
        st = RKP_NOMEM;
    if (st == RKP_OK)
        st = load_rows(&g);
    if (st == RKP_OK)
        st = add_null_row(&g);
    bytes = g.w ? rkp_builder_bytes(g.w) : 0;
    if (st == RKP_OK) {
        l->rows = rkp_builder_finish(g.w);
        st = l->rows ? check_share(l, a, bytes) : RKP_NOMEM;
    }
    rks_csv_close(&g.csv);
    rkp_builder_free(g.w);
    rkp_batch_put(g.texts);
    free(g.v);
    free(g.lines);
    rkp_count(a, M_ROWS, l->n_rows);
    if (st == RKP_NOMEM)
        rkp_fail(a, RKP_NOMEM, "lookup: no memory for the table '%s'", l->table.p);
    return st;
}

// ---- rows -----------------------------------------------------------------------------------------------------------

static rkp_verdict no_memory(struct lookup *l)
{
    return rkp_fail(l->slab.actor, RKP_NOMEM, "lookup: no memory for a batch beside the table");
}

static bool room(struct lookup *l, uint32_t rows)
{
    uint32_t *sel, *good;

    if (rows <= l->cap)
        return true;
    sel = realloc(l->sel, rows * sizeof *sel);
    if (sel)
        l->sel = sel;
    good = realloc(l->good, rows * sizeof *good);
    if (good)
        l->good = good;
    if (!sel || !good)
        return false;
    l->cap = rows;
    return true;
}

// The table's row for each row of b, n_rows where there is none.
static rkp_status find_rows(struct lookup *l, rkp_batch *mem, const rkp_batch *b, rkp_errs *errs)
{
    rkp_col *cols = rkp_batch_alloc(mem, l->n_keys * sizeof *cols);
    rkp_status st = cols ? RKP_OK : RKP_NOMEM;

    for (uint32_t j = 0; st == RKP_OK && j < l->n_keys; j++)
        st = rkp_col_flat(mem, b, l->in_cols[j], NULL, b->rows, &cols[j], errs);
    for (uint32_t from = 0; st == RKP_OK && from < b->rows; from += l->step) {
        uint32_t n = b->rows - from < l->step ? b->rows - from : l->step;

        bool longs = rks_keys_words(&l->keys, cols, from, n, l->words);

        rks_keys_hash(&l->keys, l->words, n, l->hash);
        rks_table_find(&l->index, longs ? cols : NULL, from, n, l->words, l->hash, l->recs);
        for (uint32_t i = 0; i < n; i++) {
            l->sel[from + i] = l->n_rows;
            if (l->recs[i])
                memcpy(&l->sel[from + i], l->recs[i] + l->index.user_at, sizeof *l->sel);
        }
    }
    for (uint32_t j = 0; st == RKP_OK && j < l->n_keys; j++)
        for (uint32_t i = 0; cols[j].valid && i < b->rows; i++)
            if (!rkp_bit(cols[j].valid, i))
                l->sel[i] = l->n_rows;
    return st == RKP_OK && errs->failed ? RKP_NOMEM : st;
}

// Decides which rows stay: l->good, with l->sel moved up.  Rows in errs go.
static uint32_t settle(struct lookup *l, rkp_batch *mem, const rkp_batch *b, rkp_errs *errs)
{
    uint32_t n_bad = errs->n, n = 0, e = 0, missing = 0, bad = 0;

    for (uint32_t i = 0; i < b->rows; i++) {
        if (e < n_bad && errs->v[e].row == i) {
            e++;
            bad++;
            continue;
        }
        if (l->sel[i] == l->n_rows) {
            missing++;
            if (l->on_missing == MISSING_ERROR) {
                rkp_str what = { NULL, 0 };

                if (rkp_kind_is_view(b->schema->f[l->in_cols[0]].type.kind))
                    (void)rkp_col_strs(mem, b, l->in_cols[0], &i, 1, &what, NULL);
                rkp_errs_add(errs, i, RKP_ROW_MISSING, (int)l->in_cols[0], what);
            }
            if (l->on_missing != MISSING_NULL)
                continue;
        }
        l->good[n] = i;
        l->sel[n++] = l->sel[i];
    }
    rkp_count(l->slab.actor, M_MISSING, missing);
    if (l->on_missing == MISSING_DROP && missing)
        rkp_drop(l->slab.actor, missing, "missing");
    return n;
}

// The rows that stay, with the table's columns.
static rkp_batch *join(struct lookup *l, rkp_batch *b, uint32_t n)
{
    size_t bytes = (size_t)n * 4 + l->schema.n * sizeof(rkp_col);
    rkp_batch *w = n == b->rows ? rkp_batch_derive(b, bytes) : rkp_batch_pick(b, l->good, n);
    rkp_col *cols = w ? rkp_batch_alloc(w, l->schema.n * sizeof *cols) : NULL;
    uint32_t *sel = w ? rkp_batch_alloc(w, ((size_t)n + 1) * sizeof *sel) : NULL;

    if (!cols || !sel || rkp_batch_hold(w, l->rows) != RKP_OK) {
        rkp_batch_put(w);
        return NULL;
    }
    memcpy(sel, l->sel, n * sizeof *sel);
    memcpy(cols, w->cols, l->n_in * sizeof *cols);
    for (uint32_t i = 0; i < l->n_values; i++) {
        cols[l->n_in + i] = l->rows->cols[l->n_keys + i];
        cols[l->n_in + i].sel = sel;
    }
    w->cols = cols;
    w->n_cols = l->schema.n;
    w->schema = &l->schema;
    return w;
}

static rkp_verdict lookup_on_batch(void *self, rkp_actor *a, unsigned port, rkp_batch *b)
{
    struct lookup *l = self;
    rkp_batch *mem = rkp_batch_new(rkp_actor_pool(a), NULL, 0, (size_t)b->rows * 16), *w;
    rkp_errs *errs = rkp_actor_errs(a);
    rkp_verdict v = RKP_DONE;
    uint32_t n;

    (void)port;
    if (!mem || !room(l, b->rows) || find_rows(l, mem, b, errs) != RKP_OK) {
        rkp_batch_put(mem);
        return no_memory(l);
    }
    rks_unite_errs(errs);
    n = settle(l, mem, b, errs);
    if (errs->n) {
        rks_unite_errs(errs);
        v = errs->failed ? no_memory(l) : rkp_reject(a, b, errs);
    }
    rkp_batch_put(mem);
    if (v == RKP_FAIL || !n)
        return v;
    w = join(l, b, n);
    if (!w)
        return no_memory(l);
    rkp_emit(a, 0, w);
    return v;
}

static void lookup_fini(void *self)
{
    struct lookup *l = self;

    rkp_batch_put(l->rows);
    rks_slab_fini(&l->slab);
    free(l->words);
    free(l->hash);
    free(l->recs);
    free(l->sel);
    free(l->good);
}

static const rkp_example lookup_examples[] = {
    { .title = "The name and the currency of a country; countries.csv is examples/enrich/countries.csv",
      .with = "table: countries.csv\nkey: country\n",
      .input = "order,country\n1,DE\n2,FR\n3,XX\n4,\n",
      .output = "order,country,name,vat\n1,DE,Germany,0.19\n2,FR,France,0.2\n3,XX,,\n4,,,\n" },
    { .title = "Only one column of the table, found by a column of another name; rows without an answer are dropped",
      .with = "table: countries.csv\nkey: { ship_to: country }\ncolumns: [name]\non_missing: drop\n",
      .input = "order,ship_to\n1,DE\n2,FR\n3,XX\n",
      .output = "order,ship_to,name\n1,DE,Germany\n2,FR,France\n" },
    { 0 },
};

const rkp_op rkp_op_lookup = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "lookup",
    .kind = RKP_TRANSFORM,
    .summary = "Add the columns of the row of a table that has the same key.",
    .details =
        "The table is a CSV file (plain, gzip or zstd) that is held in memory; it is read when the pipeline starts, "
        "and "
        "a later change of the file is not seen. A key of the table that stands there several times counts once: the "
        "first row wins, and `check` warns. Keys are compared as the input's type: where the input has i64, `7` and "
        "`007` are the same key, where it has text they are not. A null key finds nothing.\n\n"
        "Types of the added columns are taken from all of the table's texts, in the order of `read.csv` (bool, i64, "
        "f64, "
        "timestamp, string); they are nullable. Rows keep their order, and each gives at most one row: use `join` for "
        "more. Rows that are dropped are counted with the reason `missing`; bad rows have the reason `missing` too.\n\n"
        "The table must fit into the kernel's share of `memory_limit`.",
    .traits = RKP_STATELESS | RKP_DETERMINISTIC | RKP_ROWWISE | RKP_HOLDS,
    .self_size = sizeof(struct lookup),
    .opts = lookup_opts,
    .metrics = lookup_metrics,
    .examples = lookup_examples,
    .also = "enrich vlookup map_lookup enrichment_table geoip join_table cache",
    .probe = lookup_probe,
    .bind = lookup_bind,
    .init = lookup_init,
    .on_batch = lookup_on_batch,
    .fini = lookup_fini,
};
