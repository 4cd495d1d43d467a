// extract: the named groups of a regular expression become columns.
//
// The expression runs once per row.  With `no_match: drop` or `error` the rows without a match are taken out before
// anything is built.  A group of up to 12 bytes is stored in its view; a longer one points into the text that the
// column points into, which the batch keeps alive, and is copied only when that text had to be rewritten (unescaped).
#include <rkpipe/num.h>
#include <rkpipe/op.h>

#include <stdlib.h>

enum no_match { NO_MATCH_NULL, NO_MATCH_DROP, NO_MATCH_ERROR };

struct group {
    uint32_t number; // in the pattern
    uint32_t out;    // output column
    rkp_type type;
};

struct extract {
    rkp_word column; // options: constant after bind
    rkp_word pattern;
    rkp_pairs types;
    int no_match; // enum no_match
    int col;      // bind
    rkp_regex *regex;
    uint32_t n_in, n_numbers, n_groups, n_out;
    struct group *groups;
    rkp_schema schema;
    rkp_regex_run *run; // actor
    rkp_str *texts;     // actor: the column's texts
    rkp_str *found;     // actor: n_groups arrays of cap texts
    rkp_str *match;     // actor: groups of one match
    uint32_t *rows;     // actor
    uint32_t cap;       // actor
};

static const rkp_choice no_match_names[] = {
    { "null", NO_MATCH_NULL, "keep the row, its new columns are null" },
    { "drop", NO_MATCH_DROP, "drop the row, reason `no_match`" },
    { "error", NO_MATCH_ERROR, "an error row, reason `missing`: it goes where `on_error` says" },
    { 0 },
};

#define AT(field) offsetof(struct extract, field)
static const rkp_opt extract_opts[] = {
    { .name = "column",
      .type = &rkp_string,
      .at = AT(column),
      .required = true,
      .help = "text column to search",
      .also = "field source key source_field key_name" },
    { .name = "pattern",
      .type = &rkp_string,
      .at = AT(pattern),
      .required = true,
      .help = "PCRE2 regular expression with named groups, `(?<name>..)`; it may match anywhere in the text",
      .also = "regex regexp expression grok re" },
    { .name = "types",
      .type = &rkp_type_map,
      .at = AT(types),
      .optional = true,
      .help = "types of groups that are not strings; a text that does not fit is an error row",
      .also = "convert schema" },
    { .name = "no_match",
      .type = &rkp_choice_type,
      .at = AT(no_match),
      .def = "null",
      .choices = no_match_names,
      .help = "what happens to rows in which the pattern is not found",
      .also = "on_no_match on_mismatch drop_on_error unmatched" },
    { 0 },
};

static const rkp_example extract_examples[] = {
    { .title = "One group",
      .with = "column: mail\npattern: '@(?<host>.+)$'\n",
      .input = "mail\nann@example.org\nnobody\n",
      .output = "mail,host\nann@example.org,example.org\nnobody,\n" },
    { .title = "Fields of an access log, with types; lines of another kind are dropped",
      .with = "column: msg\n"
              "pattern: 'status=(?<status>\\d+) dur=(?<ms>[0-9.]+)ms user=(?<user>\\w+)'\n"
              "types: { status: i64, ms: f64 }\n"
              "no_match: drop\n",
      .input = "msg\nGET /a status=200 dur=1.5ms user=ann\nstarted\nPUT /b status=404 dur=12ms user=bob\n",
      .output = "msg,status,ms,user\n"
                "GET /a status=200 dur=1.5ms user=ann,200,1.5,ann\n"
                "PUT /b status=404 dur=12ms user=bob,404,12.0,bob\n" },
    { 0 },
};

// ---- bind -----------------------------------------------------------------------------------------------------------

static const rkp_pair *type_of(const struct extract *x, rkp_str name)
{
    for (size_t i = 0; i < x->types.n; i++)
        if (rkp_str_eq(rkp_word_str(x->types.v[i].key), name))
            return &x->types.v[i];
    return NULL;
}

static rkp_status bind_types(struct extract *x, rkp_bind *b)
{
    rkp_status st = RKP_OK;
    for (size_t i = 0; i < x->types.n; i++) {
        const rkp_pair *p = &x->types.v[i];
        bool known = false;
        rkp_type t;
        for (uint32_t g = 1; g <= x->n_numbers && !known; g++)
            known = rkp_str_eq(rkp_regex_group_name(x->regex, g), rkp_word_str(p->key));
        if (!known) {
            rkp_diag(rkp_bind_diags(b), RKP_ERROR, p->key.at, "group-unknown",
                     "'types' names no group '" RKP_STR_FMT "' of the pattern", RKP_STR_ARG(p->key));
            st = RKP_INVALID;
        }
        if (!rkp_type_parse(rkp_word_str(p->val), &t)) {
            rkp_diag(rkp_bind_diags(b), RKP_ERROR, p->val.at, "type-unknown", "'" RKP_STR_FMT "' is not a type",
                     RKP_STR_ARG(p->val));
            st = RKP_INVALID;
        } else if (t.len) {
            rkp_diag(rkp_bind_diags(b), RKP_ERROR, p->val.at, "type-array", "a group cannot be a fixed array");
            st = RKP_INVALID;
        }
    }
    return st;
}

static rkp_status extract_bind(void *self, rkp_bind *b)
{
    struct extract *x = self;
    const rkp_schema *in = rkp_bind_in(b);
    rkp_opt_ctx *mem = rkp_bind_mem(b);
    rkp_status st = RKP_OK;
    rkp_field *f;
    x->col = rkp_bind_column(b, x->column);
    if (x->col < 0) {
        st = RKP_INVALID;
    } else if (!rkp_kind_is_view(in->f[x->col].type.kind)) {
        rkp_diag(rkp_bind_diags(b), RKP_ERROR, x->column.at, "column-type",
                 "'extract' needs a text column, '" RKP_STR_FMT "' is %s", RKP_STR_ARG(x->column),
                 rkp_kind_name(in->f[x->col].type.kind));
        rkp_diag_hint(rkp_bind_diags(b), "convert it first, with 'map' and 'cast'");
        st = RKP_INVALID;
    }
    x->regex = rkp_regex_compile(mem, rkp_bind_diags(b), x->pattern);
    if (x->regex)
        x->n_numbers = rkp_regex_groups(x->regex);
    else
        st = RKP_INVALID;
    x->groups = rkp_opt_alloc(mem, ((size_t)x->n_numbers + 1) * sizeof *x->groups);
    f = rkp_opt_alloc(mem, ((size_t)in->n + x->n_numbers + 1) * sizeof *f);
    if (!x->groups || !f)
        return RKP_NOMEM;
    x->n_in = x->n_out = in->n;
    for (uint32_t i = 0; i < in->n; i++)
        f[i] = in->f[i];
    if (x->regex && bind_types(x, b) != RKP_OK)
        st = RKP_INVALID;
    for (uint32_t g = 1; g <= x->n_numbers; g++) {
        rkp_str name = rkp_regex_group_name(x->regex, g);
        const rkp_pair *t = type_of(x, name);
        struct group *to = &x->groups[x->n_groups];
        int at;
        if (name.n == 0)
            continue;
        to->number = g;
        to->type = RKP_NTYPE(RKP_STRING);
        if (t && rkp_type_parse(rkp_word_str(t->val), &to->type))
            to->type.nullable = 1;
        at = rkp_schema_find(&(rkp_schema){ x->n_out, f }, name);
        to->out = at >= 0 ? (uint32_t)at : x->n_out++;
        f[to->out] = (rkp_field){ name, to->type };
        x->n_groups++;
    }
    if (x->regex && !x->n_groups) {
        rkp_diag(rkp_bind_diags(b), RKP_ERROR, x->pattern.at, "extract-groups", "the pattern has no named group");
        rkp_diag_hint(rkp_bind_diags(b), "write (?<name>..) around the part that column 'name' is to hold");
        st = RKP_INVALID;
    }
    x->schema = (rkp_schema){ x->n_out, f };
    rkp_bind_out(b, 0, x->schema);
    for (uint32_t i = 0; i < in->n; i++) {
        bool mine = false;
        for (uint32_t g = 0; g < x->n_groups && !mine; g++)
            mine = x->groups[g].out == i;
        if (!mine)
            rkp_bind_pass(b, i, i);
    }
    return st;
}

static rkp_status extract_init(void *self, rkp_actor *a)
{
    struct extract *x = self;
    x->run = rkp_regex_run_new(x->regex);
    x->match = calloc((size_t)x->n_numbers + 1, sizeof *x->match);
    if (!x->run || !x->match) {
        (void)rkp_fail(a, RKP_NOMEM, "out of memory for a regular expression");
        return RKP_NOMEM;
    }
    return RKP_OK;
}

// ---- run ------------------------------------------------------------------------------------------------------------

static bool room(struct extract *x, uint32_t rows)
{
    if (rows <= x->cap)
        return true;
    free(x->texts);
    free(x->found);
    free(x->rows);
    x->cap = 0;
    x->texts = malloc((size_t)rows * sizeof *x->texts);
    x->found = malloc((size_t)rows * x->n_groups * sizeof *x->found);
    x->rows = malloc((size_t)rows * sizeof *x->rows);
    if (!x->texts || !x->found || !x->rows)
        return false;
    x->cap = rows;
    return true;
}

// Which of c's buffers holds s, or -1.
static int buffer_of(const char *const *bufs, const int64_t *sizes, uint32_t n, rkp_str s)
{
    for (uint32_t i = 0; i < n; i++)
        if ((uintptr_t)s.p >= (uintptr_t)bufs[i] && (uintptr_t)s.p + s.n <= (uintptr_t)bufs[i] + (uint64_t)sizes[i])
            return (int)i;
    return -1;
}

// A string column of n texts that lie in the buffers of `from`, or anywhere (then they are copied).
static rkp_status set_views(rkp_batch *w, uint32_t c, rkp_type type, const rkp_col *from, const rkp_str *v, uint32_t n)
{
    rkp_view *views = rkp_batch_alloc(w, (size_t)n * sizeof *views);
    uint8_t *valid = rkp_batch_alloc(w, (size_t)n / 8 + 1);
    uint32_t n_bufs = from->rep == RKP_TEXT ? 1 : from->n_bufs;
    const char **bufs = rkp_batch_alloc(w, ((size_t)n_bufs + 1) * sizeof *bufs);
    int64_t *sizes = rkp_batch_alloc(w, ((size_t)n_bufs + 1) * sizeof *sizes);
    size_t other = 0;
    char *own = NULL;
    bool nulls = false;
    if (!views || !valid || !bufs || !sizes)
        return RKP_NOMEM;
    if (from->rep == RKP_TEXT) {
        bufs[0] = from->text->base;
        sizes[0] = from->text->len;
    } else {
        for (uint32_t i = 0; i < n_bufs; i++) {
            bufs[i] = from->bufs[i];
            sizes[i] = from->buf_sizes[i];
        }
    }
    for (uint32_t i = 0; i < n; i++)
        if (v[i].n > 12 && buffer_of(bufs, sizes, n_bufs, v[i]) < 0)
            other += v[i].n;
    if (other) {
        if (other > INT32_MAX)
            return RKP_NOMEM;
        own = rkp_batch_alloc(w, other);
        if (!own)
            return RKP_NOMEM;
        bufs[n_bufs] = own;
        sizes[n_bufs] = (int64_t)other;
    }
    memset(valid, 0xff, (size_t)n / 8 + 1);
    other = 0;
    for (uint32_t i = 0; i < n; i++) {
        rkp_view *to = &views[i];
        memset(to, 0, sizeof *to);
        if (!v[i].p) {
            rkp_bit_clear(valid, i);
            nulls = true;
            continue;
        }
        to->len = (int32_t)v[i].n;
        if (v[i].n <= 12) {
            memcpy(to->u.inlined, v[i].p, v[i].n);
            continue;
        }
        memcpy(to->u.ref.prefix, v[i].p, 4);
        to->u.ref.buf = buffer_of(bufs, sizes, n_bufs, v[i]);
        if (to->u.ref.buf < 0) {
            memcpy(own + other, v[i].p, v[i].n);
            to->u.ref.buf = (int32_t)n_bufs;
            to->u.ref.off = (int32_t)other;
            other += v[i].n;
        } else {
            to->u.ref.off = (int32_t)(v[i].p - bufs[to->u.ref.buf]);
        }
    }
    w->cols[c] = (rkp_col){ .type = type,
                            .rep = RKP_FLAT,
                            .valid = nulls ? valid : NULL,
                            .values = views,
                            .bufs = bufs,
                            .buf_sizes = sizes,
                            .n_bufs = n_bufs + (own ? 1 : 0),
                            .phys_rows = n };
    return RKP_OK;
}

// Numbers and times straight from the texts; other types through a string column and a cast.
static rkp_status set_typed(rkp_batch *w, const struct group *g, const rkp_col *from, const rkp_str *v, uint32_t n,
                            rkp_errs *errs)
{
    uint64_t *values;
    uint8_t *valid;
    bool nulls = false;
    unsigned kind = g->type.kind;
    rkp_col text;
    rkp_status st;
    if (kind == RKP_STRING || kind == RKP_BYTES)
        return set_views(w, g->out, g->type, from, v, n);
    if (kind != RKP_I64 && kind != RKP_F64 && kind != RKP_TIMESTAMP) {
        st = set_views(w, g->out, RKP_NTYPE(RKP_STRING), from, v, n);
        text = w->cols[g->out];
        if (st == RKP_OK)
            st = rkp_col_cast(w, &text, n, g->type, &w->cols[g->out], errs);
        w->cols[g->out].type = g->type;
        return st;
    }
    values = rkp_batch_alloc(w, (size_t)n * sizeof *values);
    valid = rkp_batch_alloc(w, (size_t)n / 8 + 1);
    if (!values || !valid)
        return RKP_NOMEM;
    memset(valid, 0xff, (size_t)n / 8 + 1);
    for (uint32_t i = 0; i < n; i++) {
        int64_t whole = 0;
        double real = 0;
        bool ok = true;
        if (v[i].p && kind == RKP_I64)
            ok = rkp_parse_i64(v[i].p, v[i].n, &whole);
        else if (v[i].p && kind == RKP_F64)
            ok = rkp_parse_f64(v[i].p, v[i].n, &real);
        else if (v[i].p)
            ok = rkp_parse_timestamp(v[i].p, v[i].n, &whole);
        if (kind == RKP_F64)
            memcpy(&values[i], &real, sizeof real);
        else
            memcpy(&values[i], &whole, sizeof whole);
        if (!ok)
            rkp_errs_add(errs, i, RKP_ROW_PARSE, -1, v[i]);
        if (!ok || !v[i].p) {
            rkp_bit_clear(valid, i);
            nulls = true;
        }
    }
    rkp_col_set_values(w, g->out, g->type, values, nulls ? valid : NULL, n);
    return RKP_OK;
}

static void set_unread(rkp_batch *w, const struct group *g, const uint32_t *zeros)
{
    static const uint8_t none[16] = { 0 };
    w->cols[g->out] =
        (rkp_col){ .type = g->type, .rep = RKP_FLAT, .sel = zeros, .valid = none, .values = none, .phys_rows = 1 };
}

static int by_row(const void *p, const void *q)
{
    const rkp_err *s = p, *t = q;
    return s->row < t->row ? -1 : s->row > t->row;
}

// Searches every row that has no error yet; found[g] gets the texts of the rows that stay, rows[] their numbers.
static uint32_t search(struct extract *x, uint32_t n, rkp_errs *errs, uint32_t *n_missed)
{
    uint32_t k = 0, e = 0, n_bad = errs->n;
    *n_missed = 0;
    for (uint32_t i = 0; i < n; i++) {
        int r = 0;
        if (e < n_bad && errs->v[e].row == i) {
            e++;
            continue;
        }
        if (x->texts[i].p)
            r = rkp_regex_match(x->regex, x->run, x->texts[i], x->match, x->n_numbers + 1);
        if (r < 0) {
            rkp_errs_add(errs, i, RKP_ROW_REGEX, x->col, x->texts[i]);
            continue;
        }
        if (r == 0 && x->no_match != NO_MATCH_NULL) {
            if (x->no_match == NO_MATCH_ERROR)
                rkp_errs_add(errs, i, RKP_ROW_MISSING, x->col, x->texts[i]);
            else
                ++*n_missed;
            continue;
        }
        for (uint32_t g = 0; g < x->n_groups; g++)
            x->found[(size_t)g * x->cap + k] = r ? x->match[x->groups[g].number] : (rkp_str){ NULL, 0 };
        x->rows[k++] = i;
    }
    return k;
}

// The columns of the groups, on top of w's rows.
static rkp_status build(struct extract *x, rkp_actor *a, rkp_batch *w, const rkp_col *from, uint32_t n, rkp_errs *errs)
{
    uint32_t *zeros = NULL;
    rkp_col *cols = rkp_batch_alloc(w, ((size_t)x->n_out + 1) * sizeof *cols);
    if (!cols)
        return RKP_NOMEM;
    memcpy(cols, w->cols, x->n_in * sizeof *cols);
    w->cols = cols;
    w->n_cols = x->n_out;
    w->schema = &x->schema;
    for (uint32_t i = 0; i < x->n_groups; i++) {
        const struct group *g = &x->groups[i];
        if (rkp_actor_needed(a, g->out)) {
            if (set_typed(w, g, from, x->found + (size_t)i * x->cap, n, errs) != RKP_OK || errs->failed)
                return RKP_NOMEM;
            continue;
        }
        if (!zeros) {
            zeros = rkp_batch_alloc(w, (size_t)n * sizeof *zeros);
            if (!zeros)
                return RKP_NOMEM;
            memset(zeros, 0, (size_t)n * sizeof *zeros);
        }
        set_unread(w, g, zeros);
    }
    return RKP_OK;
}

// Errors of the types name rows of w: adds them as rows of b, one entry a row, and takes them out of w.
static rkp_batch *settle(struct extract *x, rkp_batch *w, rkp_errs *mine, rkp_errs *errs, uint32_t n)
{
    uint32_t *stay = (uint32_t *)(void *)x->texts; // its texts are not needed any more, and it is large enough
    uint32_t e = 0, keep = 0;
    qsort(mine->v, mine->n, sizeof *mine->v, by_row);
    for (uint32_t i = 0; i < n; i++) {
        if (e == mine->n || mine->v[e].row != i) {
            stay[keep++] = i;
            continue;
        }
        rkp_errs_add(errs, x->rows[i], mine->v[e].code, mine->v[e].col, mine->v[e].what);
        while (e < mine->n && mine->v[e].row == i)
            e++;
    }
    return errs->failed ? NULL : rkp_batch_pick(w, stay, keep);
}

static rkp_verdict extract_on_batch(void *self, rkp_actor *a, unsigned port, rkp_batch *b)
{
    struct extract *x = self;
    rkp_errs *errs = rkp_actor_errs(a);
    rkp_batch *mem = NULL, *w = NULL, *good;
    rkp_col from;
    rkp_errs mine = { 0 };
    uint32_t n, missed;
    rkp_verdict v = RKP_DONE;
    (void)port;
    if (!room(x, b->rows))
        return rkp_fail(a, RKP_NOMEM, "out of memory for %u rows", (unsigned)b->rows);
    // What unescaping rewrites dies with `mem`: groups that point into it are copied.
    mem = rkp_batch_new(rkp_actor_pool(a), NULL, 0, 0);
    if (!mem || rkp_col_strs(mem, b, (uint32_t)x->col, NULL, b->rows, x->texts, errs) != RKP_OK || errs->failed)
        goto nomem;
    n = search(x, b->rows, errs, &missed);
    if (errs->failed)
        goto nomem;
    if (n) {
        size_t bytes = (size_t)n * 16 * x->n_groups;
        w = n == b->rows ? rkp_batch_derive(b, bytes) : rkp_batch_pick(b, x->rows, n);
        from = b->cols[x->col];
        if (!w || build(x, a, w, &from, n, &mine) != RKP_OK)
            goto nomem;
        if (mine.n) {
            good = settle(x, w, &mine, errs, n);
            if (!good)
                goto nomem;
            rkp_batch_put(w);
            w = good;
        }
    }
    if (errs->n) {
        qsort(errs->v, errs->n, sizeof *errs->v, by_row);
        v = rkp_reject(a, b, errs);
    }
    rkp_errs_fini(&mine);
    rkp_batch_put(mem);
    if (v == RKP_FAIL) {
        rkp_batch_put(w);
        return v;
    }
    if (missed)
        rkp_drop(a, missed, "no_match");
    if (w && w->rows)
        rkp_emit(a, 0, w);
    else
        rkp_batch_put(w);
    return v;
nomem:
    rkp_errs_fini(&mine);
    rkp_batch_put(mem);
    rkp_batch_put(w);
    return rkp_fail(a, RKP_NOMEM, "out of memory for %u rows", (unsigned)b->rows);
}

static void extract_fini(void *self)
{
    struct extract *x = self;
    rkp_regex_run_free(x->run);
    free(x->texts);
    free(x->found);
    free(x->match);
    free(x->rows);
}

const rkp_op rkp_op_extract = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "extract",
    .kind = RKP_TRANSFORM,
    .summary = "Make columns of the named groups of a regular expression.",
    .details = "The pattern is a PCRE2 regular expression and may match anywhere; write `^` and `$` to tie it to the "
               "ends. Each named group `(?<name>..)` becomes a column, behind the others, in the order of the groups; "
               "a group with the name of an existing column takes its place. Groups without a name only group.\n\n"
               "The new columns are nullable: a group that took no part in the match is null, and a null text is "
               "like one without a match. Match and depth limits hold; a row that hits one is an error row, reason "
               "`regex`. A group's text that is not of the type in `types` is one too, reason `parse`.",
    .traits = RKP_STATELESS | RKP_DETERMINISTIC | RKP_ROWWISE,
    .self_size = sizeof(struct extract),
    .opts = extract_opts,
    .examples = extract_examples,
    .also = "grok dissect parse_regex regexp parser parse_grok rewrite capture regex_parser",
    .bind = extract_bind,
    .init = extract_init,
    .on_batch = extract_on_batch,
    .fini = extract_fini,
};
