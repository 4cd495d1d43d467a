// run/dead.c - rows that went wrong: what is said about them, and the batch that carries them to the dead-letter
// kernel.
//
// A dead letter has a schema of its own whatever the pipeline's types are (kernel, reason, error, source, line, row),
// so one target takes them all.  `row` is the text the row came with, or the row as JSON when it was made by a kernel.
#include "run/actor.h"
#include <stdio.h>

enum {
    MAX_TEXT = 64 * 1024,       // of one row in a dead letter
    LETTERS = 512,              // raw rows in a batch
    LETTERS_BYTES = 256 * 1024, // of their texts
};

static const char *const sentences[RKP_N_ROW_ERRORS] = {
    [RKP_ROW_PARSE] = "cannot read the value",
    [RKP_ROW_FIELDS] = "too few or too many fields",
    [RKP_ROW_QUOTES] = "broken quoting",
    [RKP_ROW_SYNTAX] = "not valid JSON",
    [RKP_ROW_OVERFLOW] = "integer overflow",
    [RKP_ROW_ZERO] = "integer division by zero",
    [RKP_ROW_CAST] = "the conversion failed",
    [RKP_ROW_REGEX] = "the regular expression hit a limit",
    [RKP_ROW_UTF8] = "not valid UTF-8",
    [RKP_ROW_MISSING] = "no match",
    [RKP_ROW_SIZE] = "larger than the limit",
    [RKP_ROW_DOMAIN] = "argument out of the function's domain",
    [RKP_ROW_TIMEOUT] = "no reply in time",
    [RKP_ROW_REPLY] = "the reply has another number of rows than the request",
};

void rki_row_error_text(const rkp_actor *a, const rkp_batch *b, const rkp_err *e, rki_buf *out)
{
    const rkp_schema *s = b ? b->schema : NULL;
    const char *what = e->code && e->code < RKP_N_ROW_ERRORS ? sentences[e->code] : "a bad row";
    (void)a;
    if (e->col >= 0 && s && (uint32_t)e->col < s->n) {
        const rkp_field *f = &s->f[e->col];
        char type[RKP_TYPE_TEXT];
        rkp_type t = f->type;
        t.nullable = 0;
        rkp_type_print(type, t);
        if (e->code == RKP_ROW_PARSE && e->what.p)
            rki_putf(out, "cannot read '%.*s' as %s in column '%.*s'", RKP_STR_ARG(e->what), type,
                     RKP_STR_ARG(f->name));
        else
            rki_putf(out, "%s in column '%.*s'%s%.*s%s", what, RKP_STR_ARG(f->name), e->what.n ? ": '" : "",
                     RKP_STR_ARG(e->what), e->what.n ? "'" : "");
    } else {
        rki_putf(out, "%s%s%.*s%s", what, e->what.n ? ": '" : "", RKP_STR_ARG(e->what), e->what.n ? "'" : "");
    }
    rki_putf(out, " [%s]", rkp_row_error_name(e->code));
}

// The text a row came with: from its start to the end of its line (outside quotes for CSV).
static rkp_str source_text(const rkp_batch *b, uint32_t row)
{
    const rkp_text *t = b->text;
    uint32_t at, from, i;
    bool quoted = false;
    if (!t || !b->text_pos)
        return (rkp_str){ 0 };
    at = b->text_sel ? b->text_sel[row] : row;
    from = b->text_pos[(size_t)at * b->text_stride] + 1;
    if (from > t->len)
        return (rkp_str){ 0 };
    for (i = from; i < t->len; i++) {
        char c = t->base[i];
        if (t->kind == RKP_TEXT_CSV && t->quote && c == t->quote)
            quoted = !quoted;
        else if (c == '\n' && !quoted)
            break;
    }
    if (i > from && t->base[i - 1] == '\r')
        i--;
    return (rkp_str){ t->base + from, i - from };
}

static void row_json(rkp_batch *mem, const rkp_batch *b, uint32_t row, rki_buf *out)
{
    rki_json j;
    rki_json_init(&j, out, 0);
    rki_row_json(&j, mem, b, row);
}

// One batch of n dead letters, kept and sent.  Letter i is of row rows[i] of `of`.
static void send(rkp_actor *a, rkp_batch *mem, rkp_batch *of, const uint32_t *rows, const rki_letter *v, uint32_t n)
{
    if (a->run->dead_store && (!rki_store_letters(a, of, rows, v, n) || !a->r->n_dead))
        return;
    rkp_batch *b = rkp_batch_new(a->run->pool, rki_dead_schema(), rki_dead_schema()->n, 4096);
    rkp_str *col = rkp_batch_alloc(mem, n * sizeof *col);
    int64_t *lines = b ? rkp_batch_alloc(b, n * sizeof *lines) : NULL;
    uint8_t *valid = b ? rkp_batch_alloc(b, (n + 7) / 8) : NULL;
    rkp_status st = b && col && lines && valid ? RKP_OK : RKP_NOMEM;
    for (uint32_t c = 0; st == RKP_OK && c < 6; c++) {
        if (c == 4)
            continue;
        for (uint32_t i = 0; i < n; i++)
            col[i] = c == 0   ? v[i].kernel
                     : c == 1 ? v[i].reason
                     : c == 2 ? v[i].error
                     : c == 3 ? v[i].source
                              : (rkp_str){ v[i].row.p, v[i].row.n > MAX_TEXT ? MAX_TEXT : v[i].row.n };
        st = rkp_col_set_strs(b, c, rki_dead_schema()->f[c].type, col, n);
    }
    if (st != RKP_OK || (!a->r->n_dead && !a->run->args.see)) {
        rkp_batch_put(b);
        rkp_fail(a, RKP_NOMEM, "out of memory for dead letters");
        return;
    }
    memset(valid, 0, (n + 7) / 8);
    for (uint32_t i = 0; i < n; i++) {
        lines[i] = v[i].line;
        if (v[i].line)
            rkp_bit_set(valid, i);
    }
    rkp_col_set_values(b, 4, rki_dead_schema()->f[4].type, lines, valid, n);
    b->rows = n;
    if (RKP_UNLIKELY(a->run->args.see)) {
        rki_see(a, RKI_SEEN_DEAD, NULL, a->gen->plan->dead_topics, b);
        if (!a->r->n_dead) { // their store is not there in a test
            rkp_batch_put(b);
            return;
        }
    }
    if (a->gen->plan->dead_topics && a->gen->plan->reads_topics)
        b->topics = a->gen->plan->dead_topics;
    a->r->emission++;
    if (!a->r->hlc_out)
        a->r->stamp = rkp_hlc_tick(&a->r->clock, a->r->pt_us);
    for (uint32_t i = 0; i < a->r->n_dead; i++)
        rki_out_push(a->r, a->r->dead[i], i + 1 < a->r->n_dead ? rkp_batch_get(b) : b);
}

static rkp_str keep(rkp_batch *mem, const char *p, size_t n)
{
    char *to = rkp_batch_alloc(mem, n + 1);
    if (!to)
        return (rkp_str){ 0 };
    if (n)
        memcpy(to, p, n);
    to[n] = 0;
    return (rkp_str){ to, n };
}

void rki_dead_rows(rkp_actor *a, rkp_batch *b, const rkp_errs *errs, bool made)
{
    rkp_batch *mem = rkp_batch_new(a->run->pool, NULL, 0, 4096);
    rki_letter *v = mem ? rkp_batch_alloc(mem, errs->n * sizeof *v) : NULL;
    uint32_t *rows = mem ? rkp_batch_alloc(mem, errs->n * sizeof *rows) : NULL;
    rki_buf text;
    if (!rows)
        v = NULL;
    rki_dead_flush(a->r); // in the order in which they went wrong
    rki_buf_init(&text);
    for (uint32_t i = 0; v && i < errs->n; i++) {
        const rkp_err *e = &errs->v[i];
        rkp_str file = { 0 };
        const char *reason =
            a->bound->k->on_error.reason.p ? a->bound->k->on_error.reason.p : rkp_row_error_name(e->code);
        uint64_t line = rkp_batch_line(b, e->row, &file);
        rki_buf_clear(&text);
        rki_row_error_text(a, b, e, &text);
        v[i] = (rki_letter){ .kernel = rkp_str_of(a->bound->k->id.p),
                             .reason = rkp_str_of(reason),
                             .error = keep(mem, text.p ? text.p : "", text.n),
                             .source = line ? file : (rkp_str){ 0 },
                             .line = (int64_t)line,
                             .to = made ? RKP_STR("") : (rkp_str){ 0 } };
        rows[i] = e->row;
        v[i].row = source_text(b, e->row);
        if (!v[i].row.p) {
            rki_buf_clear(&text);
            row_json(mem, b, e->row, &text);
            v[i].row = keep(mem, text.p ? text.p : "", text.n);
            v[i].made = true;
        }
        if (text.failed)
            v = NULL;
    }
    if (v)
        send(a, mem, b, rows, v, errs->n);
    else
        rkp_fail(a, RKP_NOMEM, "out of memory for dead letters");
    rki_buf_fini(&text);
    rkp_batch_put(mem);
}

// A whole batch: `reason` and `error` are the same for all rows.
static void dead_all(rkp_actor *a, rkp_str to, rkp_batch *b, const char *reason, const char *error)
{
    rkp_batch *mem = rkp_batch_new(a->run->pool, NULL, 0, 4096);
    rki_letter *v = mem ? rkp_batch_alloc(mem, (b->rows + 1u) * sizeof *v) : NULL;
    rki_buf text;
    rki_dead_flush(a->r);
    rki_buf_init(&text);
    for (uint32_t i = 0; v && i < b->rows; i++) {
        rkp_str file = { 0 };
        uint64_t line = rkp_batch_line(b, i, &file);
        v[i] = (rki_letter){ .kernel = rkp_word_str(a->bound->k->id),
                             .reason = rkp_str_of(reason),
                             .error = rkp_str_of(error),
                             .source = line ? file : (rkp_str){ 0 },
                             .line = (int64_t)line,
                             .made = true,
                             .to = to };
        rki_buf_clear(&text);
        row_json(mem, b, i, &text);
        v[i].row = keep(mem, text.p ? text.p : "", text.n);
        if (text.failed || !v[i].row.p)
            v = NULL;
    }
    if (v && b->rows)
        send(a, mem, b, NULL, v, b->rows);
    else if (!v)
        rki_fail_run(a, RKP_NOMEM, "out of memory for dead letters");
    rki_buf_fini(&text);
    rkp_batch_put(mem);
}

void rki_dead_batch(rki_runner *r, rki_link *k, rkp_batch *b)
{
    char error[256];
    const rkp_actor *to = rki_to(k)->acts[0];
    snprintf(error, sizeof error, "the queue of kernel '%s' is full", to->bound->k->id.p);
    dead_all(r->acts[r->n_stages - 1], rkp_word_str(to->bound->k->id), b, "queue_full", error);
}

void rki_dead_crash(rkp_actor *a, rkp_batch *b, const char *text)
{
    dead_all(a, a->r->in_port ? RKP_STR("") : (rkp_str){ 0 }, b, "crash", text); // a reply is no input of its own
}

void rki_dead_send(rki_runner *r)
{
    rki_letters l = r->letters;
    r->letters = (rki_letters){ 0 };
    if (l.n && !rki_halted(r))
        send(l.actor, l.mem, NULL, NULL, l.v, l.n);
    rkp_batch_put(l.mem);
}

void rki_dead_raw(rkp_actor *a, unsigned code, rkp_str what, rkp_str raw, rkp_str file, uint64_t line)
{
    rki_letters *l = &a->r->letters;
    const char *reason = a->bound->k->on_error.reason.p ? a->bound->k->on_error.reason.p : rkp_row_error_name(code);
    rki_letter *d;
    if (!l->mem) {
        l->mem = rkp_batch_new(a->run->pool, NULL, 0, LETTERS * sizeof *l->v);
        l->v = l->mem ? rkp_batch_alloc(l->mem, LETTERS * sizeof *l->v) : NULL;
    }
    if (!l->v) {
        rkp_fail(a, RKP_NOMEM, "out of memory for dead letters");
        return;
    }
    if (raw.n > MAX_TEXT && !a->run->dead_store)
        raw.n = MAX_TEXT;
    d = &l->v[l->n];
    *d = (rki_letter){ .kernel = rkp_str_of(a->bound->k->id.p), .reason = rkp_str_of(reason), .line = (int64_t)line };
    if (a->stage->role != RKI_DECODE)
        d->to = RKP_STR(""); // it may be the beginning of a record, and nobody could decode it
    d->error = keep(l->mem, what.p, what.n);
    d->source = l->n && rkp_str_eq(d[-1].source, file) ? d[-1].source : keep(l->mem, file.p, file.n);
    d->row = keep(l->mem, raw.p, raw.n);
    if (!d->error.p || !d->source.p || !d->row.p) {
        rkp_fail(a, RKP_NOMEM, "out of memory for dead letters");
        return;
    }
    l->actor = a;
    l->bytes += what.n + raw.n;
    if (++l->n == LETTERS || l->bytes >= LETTERS_BYTES)
        rki_dead_flush(a->r);
}

// ---- union of inputs ------------------------------------------------------------------------------------------------

rkp_batch *rki_unite_batch(rkp_actor *a, const rkp_schema *to, const rki_unite *u, rkp_batch *b)
{
    rkp_batch *out = rkp_batch_new(a->run->pool, to, to->n, 4096);
    rkp_errs errs = { 0 };
    uint32_t *zeros = NULL;
    uint8_t *nothing = NULL;
    if (!out)
        goto fail;
    out->parent = b;
    out->rows = b->rows;
    out->in_bytes = b->in_bytes;
    out->text = b->text;
    out->text_pos = b->text_pos;
    out->text_sel = b->text_sel;
    out->text_stride = b->text_stride;
    out->topics = b->topics;
    out->topic_of = b->topic_of;
    b = NULL;
    for (uint32_t c = 0; c < to->n; c++) {
        rkp_col *col = &out->cols[c];
        rkp_type want = to->f[c].type;
        if (u->col[c] < 0) {
            // One null value, and every row points at it.
            if (!zeros) {
                zeros = rkp_batch_alloc(out, ((size_t)out->rows + 1) * sizeof *zeros);
                nothing = rkp_batch_alloc(out, 64 + (size_t)want.len * 8);
                if (!zeros || !nothing)
                    goto fail;
                memset(zeros, 0, ((size_t)out->rows + 1) * sizeof *zeros);
                memset(nothing, 0, 64);
            }
            *col = (rkp_col){
                .type = want, .rep = RKP_FLAT, .sel = zeros, .valid = nothing, .values = nothing, .phys_rows = 1
            };
            continue;
        }
        *col = out->parent->cols[u->col[c]];
        if (col->rep == RKP_TEXT) {
            col->type = want; // parsed as the wider type, when somebody reads it
        } else if (col->type.kind != want.kind) {
            rkp_col flat, cast;
            if (rkp_col_flat(out, out->parent, (uint32_t)u->col[c], NULL, out->rows, &flat, &errs) != RKP_OK ||
                rkp_col_cast(out, &flat, out->rows, want, &cast, &errs) != RKP_OK)
                goto fail;
            *col = cast;
        }
        col->type.nullable = want.nullable;
    }
    rkp_errs_fini(&errs);
    return out;
fail:
    rkp_errs_fini(&errs);
    rkp_batch_put(b);
    rkp_batch_put(out);
    rkp_fail(a, RKP_NOMEM, "out of memory while uniting inputs");
    return NULL;
}
