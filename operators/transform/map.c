// map: derives, renames, casts, drops and selects columns, in this order.
//
// Bind turns the five options into slots and outputs.  Slot i < n_in is input column i; each derived column and each
// cast gets a slot of its own behind them, so that a slot never changes once it is made.  A name is bound to the slot
// that it means at this point; the outputs are the names that are left at the end.  At run time the slots somebody
// needs are filled in order, and the outputs are picked from them: a column that is only renamed, dropped or
// selected is never looked at.
#include <rkpipe/op.h>

#include <stdlib.h>

enum slot_kind { SLOT_INPUT, SLOT_EXPR, SLOT_CAST };

struct slot {
    int kind; // enum slot_kind
    rkp_type type;
    rkp_expr *expr; // SLOT_EXPR
    uint32_t from;  // SLOT_CAST: the slot it casts
    bool needed;    // actor: somebody reads it, or a slot that is computed from it
};

struct output {
    rkp_str name;
    uint32_t slot;
};

struct map {
    rkp_pairs derive; // options: constant after bind
    rkp_pairs rename;
    rkp_pairs cast;
    rkp_words drop;
    rkp_words select;
    uint32_t n_in, n_slots, n_outs; // bind
    struct slot *slots;
    struct output *outs;
    rkp_schema schema;      // of what goes out
    rkp_schema inner;       // of the slots, for expressions
    uint64_t *seen;         // actor: one bit a row, for the errors of several slots
    uint32_t seen_rows;     // actor
    uint32_t *rows;         // actor
    uint32_t rows_cap;      // actor
    rkp_col *work;          // actor: the slots of the batch at hand
    bool computes, planned; // actor: something is computed at all; `needed` is known
};

#define AT(field) offsetof(struct map, field)
static const rkp_opt map_opts[] = {
    { .name = "derive",
      .type = &rkp_expr_map,
      .at = AT(derive),
      .optional = true,
      .no_vars = true,
      .help = "new columns, or new values of existing ones, each by an expression; one may use those before it",
      .also = "mutate compute add_fields with_columns assign put fields columns expressions" },
    { .name = "rename",
      .type = &rkp_word_map,
      .at = AT(rename),
      .optional = true,
      .help = "new names of columns, as `old: new`",
      .also = "renames rename_fields aliases" },
    { .name = "cast",
      .type = &rkp_type_map,
      .at = AT(cast),
      .optional = true,
      .help = "other types of columns; a value that does not fit is an error row",
      .also = "convert coerce types astype" },
    { .name = "drop",
      .type = &rkp_word_list,
      .at = AT(drop),
      .optional = true,
      .help = "columns to leave out",
      .also = "remove exclude remove_fields drop_columns except cut" },
    { .name = "select",
      .type = &rkp_word_list,
      .at = AT(select),
      .optional = true,
      .help = "the columns to keep, in this order",
      .also = "keep include only_fields project keep_columns order" },
    { 0 },
};

static const rkp_example map_examples[] = {
    { .title = "A derived column",
      .with = "derive: { total: price * quantity }\n",
      .input = "item,price,quantity\nbolt,0.25,40\nnut,0.1,10\n",
      .output = "item,price,quantity,total\nbolt,0.25,40,10.0\nnut,0.1,10,1.0\n" },
    { .title = "Tidy a table: derive, then rename, cast, drop and order the columns",
      .with = "derive:\n"
              "  net: round(gross / 1.19, 2)\n"
              "  vat: round(gross - net, 2)\n"
              "rename: { cust: customer }\n"
              "cast: { customer: string }\n"
              "drop: [gross]\n"
              "select: [customer, net, vat]\n",
      .input = "cust,gross,comment\n17,119.0,first\n18,11.9,\n",
      .output = "customer,net,vat\n17,100.0,19.0\n18,10.0,1.9\n" },
    { 0 },
};

// ---- bind -----------------------------------------------------------------------------------------------------------

// While binding: the names that are visible, in order.
struct names {
    struct output *v;
    uint32_t n;
};

static int name_find(const struct names *s, rkp_str name)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (rkp_str_eq(s->v[i].name, name))
            return (int)i;
    return -1;
}

static size_t distance(rkp_str a, rkp_str b)
{
    size_t row[65];
    if (a.n > 64 || b.n > 64)
        return 65;
    for (size_t j = 0; j <= b.n; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        size_t diag = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            size_t best = diag + (a.p[i - 1] != b.p[j - 1]);
            diag = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[b.n];
}

// A name that rename, cast, drop or select mentions; a finding when there is no such column at this point.
static int name_use(rkp_bind *b, const struct names *s, rkp_word w, const char *option)
{
    int i = name_find(s, rkp_word_str(w)), near = -1;
    size_t least = w.n / 3 + 2;
    if (i >= 0)
        return i;
    rkp_diag(rkp_bind_diags(b), RKP_ERROR, w.at, "column-unknown", "'%s' names no column '" RKP_STR_FMT "'", option,
             RKP_STR_ARG(w));
    for (uint32_t k = 0; k < s->n; k++) {
        size_t d = distance(rkp_word_str(w), s->v[k].name);
        if (d < least) {
            least = d;
            near = (int)k;
        }
    }
    if (near >= 0)
        rkp_diag_hint(rkp_bind_diags(b), "did you mean '" RKP_STR_FMT "'?", RKP_STR_ARG(s->v[near].name));
    return -1;
}

// The input column that a slot is, unchanged; or -1.
static int slot_input(const struct map *m, uint32_t slot)
{
    while (m->slots[slot].kind == SLOT_EXPR && m->slots[slot].expr && rkp_expr_is_column(m->slots[slot].expr) >= 0)
        slot = (uint32_t)rkp_expr_is_column(m->slots[slot].expr);
    return m->slots[slot].kind == SLOT_INPUT ? (int)slot : -1;
}

static rkp_status bind_derive(struct map *m, rkp_bind *b, struct names *names)
{
    rkp_status st = RKP_OK;
    const rkp_schema *in = rkp_bind_in(b);
    rkp_scope scope = *rkp_bind_scope(b);
    rkp_field *inner = rkp_opt_alloc(rkp_bind_mem(b), (m->n_slots ? m->n_slots : 1) * sizeof *inner);
    uint32_t slot = m->n_in;
    if (!inner)
        return RKP_NOMEM;
    for (uint32_t i = 0; i < m->n_in; i++)
        inner[i] = in->f[i];
    m->inner = (rkp_schema){ m->n_in, inner };
    scope.schema = &m->inner;
    for (size_t i = 0; i < m->derive.n; i++, slot++) {
        const rkp_pair *p = &m->derive.v[i];
        rkp_str name = rkp_word_str(p->key);
        int at = name_find(names, name);
        rkp_expr *e = rkp_expr_compile(rkp_bind_mem(b), rkp_bind_diags(b), p->val, &scope, RKP_WANT_ANY);
        struct slot *s = &m->slots[slot];
        s->kind = SLOT_EXPR;
        s->expr = e;
        s->type = e ? rkp_expr_type(e) : RKP_NTYPE(RKP_STRING);
        if (!e)
            st = RKP_INVALID;
        for (uint32_t c = 0; e && rkp_expr_is_column(e) < 0 && c < slot; c++)
            if (rkp_expr_reads(e, c) && slot_input(m, c) >= 0)
                rkp_bind_read(b, (uint32_t)slot_input(m, c));
        // A name that is taken means the new column from here on; the old one keeps its slot under no name.
        if (at >= 0) {
            inner[names->v[at].slot].name = RKP_STR("\001 replaced by derive");
            names->v[at].slot = slot;
        } else {
            names->v[names->n++] = (struct output){ name, slot };
        }
        inner[slot] = (rkp_field){ name, s->type };
        m->inner.n = slot + 1;
    }
    return st;
}

static rkp_status bind_rename(struct map *m, rkp_bind *b, struct names *names)
{
    rkp_status st = RKP_OK;
    // All at once, so that two names can be exchanged: find first, then set, then look for doubles.
    int *at = rkp_opt_alloc(rkp_bind_mem(b), (m->rename.n ? m->rename.n : 1) * sizeof *at);
    if (!at)
        return RKP_NOMEM;
    for (size_t i = 0; i < m->rename.n; i++) {
        at[i] = name_use(b, names, m->rename.v[i].key, "rename");
        if (at[i] < 0)
            st = RKP_INVALID;
        if (m->rename.v[i].val.n == 0) {
            rkp_diag(rkp_bind_diags(b), RKP_ERROR, m->rename.v[i].val.at, "column-name", "a column name is empty");
            st = RKP_INVALID;
        }
    }
    for (size_t i = 0; i < m->rename.n; i++)
        if (at[i] >= 0)
            names->v[at[i]].name = rkp_word_str(m->rename.v[i].val);
    for (size_t i = 0; i < m->rename.n; i++) {
        for (uint32_t k = 0; at[i] >= 0 && k < names->n; k++) {
            if ((int)k == at[i] || !rkp_str_eq(names->v[k].name, names->v[at[i]].name))
                continue;
            rkp_diag(rkp_bind_diags(b), RKP_ERROR, m->rename.v[i].val.at, "column-duplicate",
                     "there is already a column '" RKP_STR_FMT "'", RKP_STR_ARG(names->v[k].name));
            rkp_diag_hint(rkp_bind_diags(b), "rename or derive it away first, or 'select' what is wanted");
            st = RKP_INVALID;
            break;
        }
    }
    return st;
}

static rkp_status bind_cast(struct map *m, rkp_bind *b, struct names *names, uint32_t slot)
{
    rkp_status st = RKP_OK;
    for (size_t i = 0; i < m->cast.n; i++, slot++) {
        const rkp_pair *p = &m->cast.v[i];
        int at = name_use(b, names, p->key, "cast");
        rkp_type to;
        struct slot *s = &m->slots[slot];
        const struct slot *from;
        if (!rkp_type_parse(rkp_word_str(p->val), &to)) {
            rkp_diag(rkp_bind_diags(b), RKP_ERROR, p->val.at, "type-unknown", "'" RKP_STR_FMT "' is not a type",
                     RKP_STR_ARG(p->val));
            st = RKP_INVALID;
            at = -1;
        }
        if (at < 0) {
            st = RKP_INVALID;
            *s = (struct slot){ .kind = SLOT_CAST, .type = RKP_NTYPE(RKP_STRING), .from = 0 };
            continue;
        }
        from = &m->slots[names->v[at].slot];
        if (to.len || from->type.len) {
            rkp_diag(rkp_bind_diags(b), RKP_ERROR, p->val.at, "cast-array",
                     "'cast' of a fixed array is not supported yet");
            st = RKP_INVALID;
        }
        to.nullable = to.nullable || from->type.nullable;
        *s = (struct slot){ .kind = SLOT_CAST, .type = to, .from = names->v[at].slot };
        if (to.kind == from->type.kind && to.nullable == from->type.nullable)
            continue; // the same type: the column passes as it is
        if (slot_input(m, names->v[at].slot) >= 0)
            rkp_bind_read(b, (uint32_t)slot_input(m, names->v[at].slot));
        names->v[at].slot = slot;
    }
    return st;
}

static rkp_status bind_drop(struct map *m, rkp_bind *b, struct names *names)
{
    rkp_status st = RKP_OK;
    for (size_t i = 0; i < m->drop.n; i++) {
        int at = name_use(b, names, m->drop.v[i], "drop");
        if (at < 0) {
            st = RKP_INVALID;
            continue;
        }
        memmove(&names->v[at], &names->v[at + 1], (names->n - (uint32_t)at - 1) * sizeof *names->v);
        names->n--;
    }
    return st;
}

static rkp_status bind_select(struct map *m, rkp_bind *b, struct names *names)
{
    rkp_status st = RKP_OK;
    struct names kept = { 0 };
    if (!m->select.v)
        return RKP_OK;
    if (m->select.n == 0) {
        rkp_diag(rkp_bind_diags(b), RKP_ERROR, m->select.at, "select-empty", "'select' names no column");
        return RKP_INVALID;
    }
    kept.v = rkp_opt_alloc(rkp_bind_mem(b), m->select.n * sizeof *kept.v);
    if (!kept.v)
        return RKP_NOMEM;
    for (size_t i = 0; i < m->select.n; i++) {
        int at = name_use(b, names, m->select.v[i], "select");
        if (at < 0) {
            st = RKP_INVALID;
            continue;
        }
        if (name_find(&kept, rkp_word_str(m->select.v[i])) >= 0) {
            rkp_diag(rkp_bind_diags(b), RKP_ERROR, m->select.v[i].at, "column-duplicate",
                     "'select' names '" RKP_STR_FMT "' twice", RKP_STR_ARG(m->select.v[i]));
            st = RKP_INVALID;
            continue;
        }
        kept.v[kept.n++] = names->v[at];
    }
    *names = kept;
    return st;
}

static rkp_status map_bind(void *self, rkp_bind *b)
{
    struct map *m = self;
    const rkp_schema *in = rkp_bind_in(b);
    rkp_opt_ctx *mem = rkp_bind_mem(b);
    rkp_status st = RKP_OK, s;
    struct names names = { 0 };
    rkp_field *fields;
    size_t n = (size_t)in->n + m->derive.n;
    m->n_in = in->n;
    m->n_slots = (uint32_t)(n + m->cast.n);
    m->slots = rkp_opt_alloc(mem, (m->n_slots ? m->n_slots : 1) * sizeof *m->slots);
    names.v = rkp_opt_alloc(mem, (n ? n : 1) * sizeof *names.v);
    if (!m->slots || !names.v)
        return RKP_NOMEM;
    for (uint32_t i = 0; i < m->n_in; i++) {
        m->slots[i] = (struct slot){ .kind = SLOT_INPUT, .type = in->f[i].type };
        names.v[names.n++] = (struct output){ in->f[i].name, i };
    }
#define STEP(call)                                                                                                     \
    if ((s = (call)) != RKP_OK)                                                                                        \
    st = s == RKP_NOMEM || st == RKP_OK ? s : st
    STEP(bind_derive(m, b, &names));
    if (st != RKP_NOMEM)
        STEP(bind_rename(m, b, &names));
    if (st != RKP_NOMEM)
        STEP(bind_cast(m, b, &names, (uint32_t)n));
    if (st != RKP_NOMEM)
        STEP(bind_drop(m, b, &names));
    if (st != RKP_NOMEM)
        STEP(bind_select(m, b, &names));
#undef STEP
    if (st == RKP_NOMEM)
        return st;
    m->outs = names.v;
    m->n_outs = names.n;
    fields = rkp_opt_alloc(mem, (names.n ? names.n : 1) * sizeof *fields);
    if (!fields)
        return RKP_NOMEM;
    for (uint32_t i = 0; i < names.n; i++) {
        fields[i] = (rkp_field){ names.v[i].name, m->slots[names.v[i].slot].type };
    }
    m->schema = (rkp_schema){ names.n, fields };
    rkp_bind_out(b, 0, m->schema);
    for (uint32_t i = 0; i < names.n; i++) { // after the columns that come out are known
        int from = slot_input(m, names.v[i].slot);
        if (from >= 0)
            rkp_bind_pass(b, i, (uint32_t)from);
    }
    return st;
}

// ---- run ------------------------------------------------------------------------------------------------------------

// What nobody reads is not computed: the slots that the outputs marked `needed` are made of.
static void mark_needed(struct slot *slots, uint32_t n_in, uint32_t n_slots, bool *computes)
{
    for (uint32_t i = n_slots; i-- > n_in;) {
        struct slot *s = &slots[i];
        if (!s->needed)
            continue;
        if (s->kind == SLOT_CAST)
            slots[s->from].needed = true;
        for (uint32_t c = 0; s->kind == SLOT_EXPR && c < i; c++)
            if (rkp_expr_reads(s->expr, c))
                slots[c].needed = true;
        if (s->kind == SLOT_CAST || rkp_expr_is_column(s->expr) < 0)
            *computes = true;
    }
}

static void plan(struct map *m, rkp_actor *a)
{
    for (uint32_t i = 0; i < m->n_outs; i++)
        if (rkp_actor_needed(a, i))
            m->slots[m->outs[i].slot].needed = true;
    mark_needed(m->slots, m->n_in, m->n_slots, &m->computes);
    m->planned = true;
}

// A column for which there are no values: all null.  Costs nothing; nobody looks at it.
static void col_unread(rkp_col *c, rkp_type t, const uint32_t *zeros)
{
    static const uint8_t none[16] = { 0 };
    *c = (rkp_col){ .type = t, .rep = RKP_FLAT, .sel = zeros, .valid = none, .values = none, .phys_rows = 1 };
}

static rkp_status fill(struct map *m, rkp_actor *a, rkp_batch *w, rkp_errs *errs)
{
    uint32_t *zeros = NULL;
    rkp_frame *frame = rkp_actor_frame(a);
    if (!frame)
        return RKP_NOMEM;
    for (uint32_t i = m->n_in; i < m->n_slots; i++) {
        struct slot *s = &m->slots[i];
        rkp_col *out = &w->cols[i];
        rkp_status st = RKP_OK;
        int same = s->kind == SLOT_EXPR ? rkp_expr_is_column(s->expr) : -1;
        if (same >= 0) {
            *out = w->cols[same];
            continue;
        }
        if (!s->needed) {
            if (!zeros) {
                zeros = rkp_batch_alloc(w, (size_t)w->rows * sizeof *zeros);
                if (!zeros)
                    return RKP_NOMEM;
                memset(zeros, 0, (size_t)w->rows * sizeof *zeros);
            }
            col_unread(out, s->type, zeros);
            continue;
        }
        if (s->kind == SLOT_EXPR) {
            st = rkp_expr_eval(s->expr, frame, w, w, rkp_actor_meta(a), NULL, w->rows, out, errs);
        } else {
            rkp_col flat;
            st = rkp_col_flat(w, w, s->from, NULL, w->rows, &flat, errs);
            if (st == RKP_OK)
                st = rkp_col_cast(w, &flat, w->rows, s->type, out, errs);
        }
        if (st != RKP_OK || errs->failed)
            return RKP_NOMEM;
        out->type = s->type;
    }
    return RKP_OK;
}

static int by_row(const void *x, const void *y)
{
    const rkp_err *p = x, *q = y;
    return p->row < q->row ? -1 : p->row > q->row;
}

// Errors of several slots: the first one of each row, in row order; and the rows that have none, into m->rows.
static bool settle(struct map *m, rkp_errs *errs, uint32_t rows, uint32_t *n_good)
{
    uint32_t n = 0;
    if (rows > m->seen_rows) {
        uint64_t *seen = realloc(m->seen, ((size_t)rows / 64 + 1) * sizeof *seen);
        if (!seen)
            return false;
        m->seen = seen;
        m->seen_rows = rows;
    }
    if (rows > m->rows_cap) {
        uint32_t *r = realloc(m->rows, (size_t)rows * sizeof *r);
        if (!r)
            return false;
        m->rows = r;
        m->rows_cap = rows;
    }
    memset(m->seen, 0, ((size_t)rows / 64 + 1) * sizeof *m->seen);
    for (uint32_t i = 0; i < errs->n; i++) {
        uint32_t r = errs->v[i].row;
        if (m->seen[r / 64] >> (r % 64) & 1)
            continue;
        m->seen[r / 64] |= UINT64_C(1) << (r % 64);
        errs->v[n] = errs->v[i];
        if (errs->v[n].col >= 0) // of the slots; who reads the error knows the input's columns only
            errs->v[n].col = (int16_t)slot_input(m, (uint32_t)errs->v[n].col);
        n++;
    }
    errs->n = n;
    qsort(errs->v, n, sizeof *errs->v, by_row);
    *n_good = 0;
    for (uint32_t r = 0; r < rows; r++)
        if (!(m->seen[r / 64] >> (r % 64) & 1))
            m->rows[(*n_good)++] = r;
    return true;
}

// The columns of `w` become the slots: its own ones, and those to fill.
static void to_slots(struct map *m, rkp_batch *w)
{
    memcpy(m->work, w->cols, m->n_in * sizeof *m->work);
    memset(m->work + m->n_in, 0, (m->n_slots - m->n_in) * sizeof *m->work);
    w->cols = m->work;
    w->n_cols = m->n_slots;
    w->schema = &m->inner;
}

// And the slots the columns that go out, in `to`.
static void to_outs(struct map *m, rkp_batch *w, rkp_col *to)
{
    for (uint32_t i = 0; i < m->n_outs; i++)
        to[i] = m->work[m->outs[i].slot];
    w->cols = to;
    w->n_cols = m->n_outs;
    w->schema = &m->schema;
}

// Rows that could not be computed go where on_error says, the others out of `w`, which is taken.
static rkp_verdict without_errors(struct map *m, rkp_actor *a, rkp_batch *b, rkp_batch *w, rkp_errs *errs)
{
    uint32_t n_good;
    rkp_batch *good = NULL;
    rkp_verdict v;
    if (!settle(m, errs, b->rows, &n_good) || (n_good && !(good = rkp_batch_pick(w, m->rows, n_good)))) {
        rkp_batch_put(w);
        return rkp_fail(a, RKP_NOMEM, "out of memory for %u rows", (unsigned)b->rows);
    }
    v = rkp_reject(a, b, errs);
    rkp_batch_put(w);
    if (v == RKP_FAIL)
        rkp_batch_put(good);
    else if (good)
        rkp_emit(a, 0, good);
    return v;
}

static rkp_verdict map_on_batch(void *self, rkp_actor *a, unsigned port, rkp_batch *b)
{
    struct map *m = self;
    rkp_errs *errs = rkp_actor_errs(a);
    rkp_col *was = b->cols, *to;
    const rkp_schema *schema = b->schema;
    rkp_batch *w;
    bool same = rkp_batch_sole(b); // nobody else sees b: it goes on with other columns
    (void)port;
    if (!m->planned)
        plan(m, a);
    if (!m->work && !(m->work = calloc((size_t)m->n_slots + 1, sizeof *m->work)))
        return rkp_fail(a, RKP_NOMEM, "out of memory for %u columns", (unsigned)m->n_slots);
    w = same ? rkp_batch_get(b) : rkp_batch_derive(b, m->computes ? (size_t)b->rows * 16 : 0);
    if (!w)
        return rkp_fail(a, RKP_NOMEM, "out of memory for %u rows", (unsigned)b->rows);
    to = m->n_outs <= m->n_in ? w->cols : rkp_batch_alloc(w, m->n_outs * sizeof *to);
    if (!to)
        goto nomem;
    to_slots(m, w);
    if (fill(m, a, w, errs) != RKP_OK)
        goto nomem;
    if (!errs->n) {
        to_outs(m, w, to);
        rkp_emit(a, 0, w);
        return RKP_DONE;
    }
    if (same) { // who looks at the bad rows wants to see the columns that came
        b->cols = was;
        b->n_cols = m->n_in;
        b->schema = schema;
        rkp_batch_put(w);
        w = rkp_batch_derive(b, m->n_outs * sizeof *to);
        to = w ? rkp_batch_alloc(w, ((size_t)m->n_outs + 1) * sizeof *to) : NULL;
        if (!to)
            goto nomem;
    }
    to_outs(m, w, to);
    return without_errors(m, a, b, w, errs);
nomem:
    b->cols = was;
    b->n_cols = m->n_in;
    b->schema = schema;
    rkp_batch_put(w);
    return rkp_fail(a, RKP_NOMEM, "out of memory for %u rows of %u columns", (unsigned)b->rows, (unsigned)m->n_outs);
}

// The same slots as registers.
static void map_device(const void *self, rkp_dev *d)
{
    const struct map *m = self;
    struct slot *slots = malloc((m->n_slots ? m->n_slots : 1) * sizeof *slots);
    uint32_t *regs = malloc((m->n_slots ? m->n_slots : 1) * sizeof *regs);
    bool computes = false;
    if (slots && regs) {
        memcpy(slots, m->slots, m->n_slots * sizeof *slots);
        for (uint32_t i = 0; i < m->n_outs; i++)
            if (rkp_dev_needed(d, i))
                slots[m->outs[i].slot].needed = true;
        mark_needed(slots, m->n_in, m->n_slots, &computes);
        for (uint32_t i = 0; i < m->n_slots; i++) {
            const struct slot *s = &slots[i];
            regs[i] = UINT32_MAX;
            if (i < m->n_in)
                regs[i] = rkp_dev_in(d, i);
            else if (s->needed && s->kind == SLOT_CAST)
                regs[i] = rkp_dev_cast(d, regs[s->from], s->type);
            else if (s->needed)
                regs[i] = rkp_dev_derive(d, s->expr, regs);
        }
        for (uint32_t i = 0; i < m->n_outs; i++)
            if (rkp_dev_needed(d, i))
                rkp_dev_out(d, i, regs[m->outs[i].slot]);
    } else {
        rkp_dev_nomem(d);
    }
    free(slots);
    free(regs);
}

static void map_fini(void *self)
{
    struct map *m = self;
    free(m->seen);
    free(m->rows);
    free(m->work);
}

const rkp_op rkp_op_map = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "map",
    .kind = RKP_TRANSFORM,
    .summary = "Derive, rename, cast, drop and select columns, in this order.",
    .details = "`derive` adds columns at the end, in the order in which they are written; a name that exists already "
               "gets the new values at its old place, and what stands before it still saw the old ones. `rename` "
               "does all its names at once, so two columns can be exchanged. `cast`, `drop` and `select` use the new "
               "names.\n\n"
               "A row for which an expression or a cast cannot be computed is an error row and goes where `on_error` "
               "says; the others go on. A derived column that no later kernel reads is not computed. Columns that "
               "only pass keep the text they were read from.",
    .traits = RKP_STATELESS | RKP_DETERMINISTIC | RKP_ROWWISE,
    .self_size = sizeof(struct map),
    .opts = map_opts,
    .examples = map_examples,
    .also = "mutate transform select project with_columns mapping remap record_modifier convert rename bloblang put",
    .bind = map_bind,
    .on_batch = map_on_batch,
    .device = map_device,
    .fini = map_fini,
};
