// push: options and texts of sources to which clients send; see push.h.  The server is push_server.c.
//
// A text is what one connection sends, or one body.  Records are found byte by byte where the format needs it (quotes of
// CSV), so what came slowly is looked at once, and chunks hold the records of one text.
#include "push.h"

#include "push_listen.h"

#include <stdio.h>
#include <stdlib.h>

enum { RAW_SHOWN = 4096, KEEP = 64 << 10 };

static const char bom[3] = { '\xef', '\xbb', '\xbf' };

// ---- bind -----------------------------------------------------------------------------------------------------------

static rkp_status wrong(rkp_bind *b, rkp_word w, const char *code, const char *why)
{
    if (rkp_bind_diags(b))
        rkp_diag(rkp_bind_diags(b), RKP_ERROR, w.at, code, "%s", why);
    return RKP_INVALID;
}

static rkp_status check_listen(struct push *x, rkp_bind *b)
{
    const char *why = NULL;
    char text[160];
    if (x->kind != PUSH_UNIX)
        why = push_address_wrong(rkp_word_str(x->listen));
    else if (x->listen.n == 0 || x->listen.n > 96 || memchr(x->listen.p, 0, x->listen.n))
        why = "a path of a socket has from 1 to 96 bytes";
    if (!why)
        return RKP_OK;
    snprintf(text, sizeof text, "cannot listen on '%.60s': %s", x->listen.p, why);
    return wrong(b, x->listen, "listen-address", text);
}

static rkp_status check_mode(struct push *x, rkp_bind *b)
{
    bool good = x->mode.n >= 3 && x->mode.n <= 4;
    for (size_t i = 0; i < x->mode.n; i++)
        good &= x->mode.p[i] >= '0' && x->mode.p[i] <= '7';
    if (x->kind != PUSH_UNIX || (good && (x->mode.n == 3 || x->mode.p[0] == '0')))
        return RKP_OK;
    return wrong(b, x->mode, "listen-mode", "'mode' is an octal number like \"0600\" or \"0660\"");
}

// The reader's columns and the client's.
static rkp_status add_client(struct push *x, rkp_bind *b)
{
    const rkp_schema *own = x->f.format == FORMAT_CSV     ? &x->f.u.csv.out
                            : x->f.format == FORMAT_JSONL ? &x->f.u.jsonl.out
                                                          : &x->f.u.lines.schema;
    rkp_field *f;
    if (!x->client.p)
        return RKP_OK;
    if (x->client.n == 0 || rkp_schema_find(own, rkp_word_str(x->client)) >= 0)
        return wrong(b, x->client, x->client.n ? "column-twice" : "column-name",
                     x->client.n ? "'client' names a column that is there already" : "a column name is empty");
    f = rkp_opt_alloc(rkp_bind_mem(b), ((size_t)own->n + 1) * sizeof *f);
    if (!f)
        return RKP_NOMEM;
    if (own->n)
        memcpy(f, own->f, own->n * sizeof *f);
    f[own->n] = (rkp_field){ rkp_word_str(x->client), RKP_TYPE(RKP_STRING) };
    x->from = (rkp_schema){ own->n + 1, f };
    if (x->f.format == FORMAT_CSV)
        x->f.u.csv.from = &x->from;
    else if (x->f.format == FORMAT_JSONL)
        x->f.u.jsonl.from = &x->from;
    else
        x->f.u.lines.from = &x->from;
    rkp_bind_out(b, 0, x->from);
    return RKP_OK;
}

rkp_status push_bind(struct push *x, rkp_bind *b, enum push_kind kind)
{
    rkp_status listen, mode, st;
    x->kind = kind;
    x->f.chunk_bytes = 64 << 10;
    listen = check_listen(x, b);
    mode = check_mode(x, b);
    st = formats_bind(&x->f, b, x->listen, "listen-format", "the columns must be known before the first client");
    if (st == RKP_OK)
        st = add_client(x, b);
    rkp_bind_endless(b);
    rkp_bind_delivery(b, RKP_AT_MOST_ONCE, "what a client has sent cannot be asked for again");
    return st != RKP_OK ? st : listen != RKP_OK ? listen : mode;
}

rkp_verdict push_decode(void *self, rkp_actor *a, rkp_batch *raw)
{
    struct push *x = self;
    return formats_decode(&x->f, a, raw);
}

rkp_status push_again(void *self, rkp_actor *a, const rkp_record *r)
{
    struct push *x = self;
    return x->f.op->again(&x->f.u, a, r);
}

// ---- texts ----------------------------------------------------------------------------------------------------------

static uint64_t newlines(const char *p, size_t n)
{
    return n ? jscan_kernels_at(JSCAN_BEST)->count_lines(p, n) : 0;
}

static bool carry_add(push_text *t, const char *p, size_t n)
{
    size_t want = t->n + n, cap = t->cap ? t->cap : 256;
    if (want > t->cap) {
        char *q;
        while (cap < want)
            cap *= 2;
        q = realloc(t->carry, cap);
        if (!q)
            return false;
        t->carry = q;
        t->cap = cap;
    }
    if (n)
        memcpy(t->carry + t->n, p, n);
    t->n = want;
    return true;
}

static void carry_clear(push_text *t, bool give)
{
    t->n = 0;
    if (give || t->cap > KEEP) {
        free(t->carry);
        t->carry = NULL;
        t->cap = 0;
    }
}

// Behind the first (or the last) record that ends in p[0..n); 0: none does.  *mode goes along to the end of what was
// looked at.
static size_t record_end(const struct push *x, unsigned *mode, const char *p, size_t n, bool first)
{
    const struct csv_dialect *d = &x->f.u.csv.dialect;
    size_t end = 0;
    if (x->f.format != FORMAT_CSV) {
        const char *nl = n ? first ? memchr(p, '\n', n) : memrchr(p, '\n', n) : NULL;
        return nl ? (size_t)(nl - p) + 1 : 0;
    }
    for (size_t i = 0; i < n; i++)
        if (csv_step(d, mode, p[i]) && p[i] == '\n') {
            end = i + 1;
            if (first)
                break;
        }
    return end;
}

static rkp_verdict nomem(rkp_actor *a)
{
    return rkp_fail(a, RKP_NOMEM, "out of memory for what clients send");
}

static rkp_batch *chunk(struct push *x, rkp_actor *a, const push_text *t, rkp_str name, rkp_str one, rkp_str two)
{
    return x->f.format == FORMAT_CSV ? read_csv_chunk(&x->f.u.csv, a, t->head, one, two, t->line, t->offset + 1)
                                     : line_chunk(a, name, one, two, t->line, t->offset);
}

// Is there nothing in these lines but their ends?
static bool blank(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != '\n' && p[i] != '\r')
            return false;
    return true;
}

// csv: the head, `one` and `two` to the end of the first record.  INVALID: why.
static rkp_status take_head(struct push *x, rkp_actor *a, push_text *t, rkp_str name, rkp_str one, rkp_str two,
                            char why[RKP_FILE_ERR])
{
    rkp_str all = two;
    char *both = NULL;
    rkp_status st;
    if (one.n) {
        both = malloc(one.n + two.n + 1);
        if (!both)
            return RKP_NOMEM;
        memcpy(both, one.p, one.n);
        if (two.n)
            memcpy(both + one.n, two.p, two.n);
        all = (rkp_str){ both, one.n + two.n };
    }
    st = read_csv_text(&x->f.u.csv, a, name, all, &t->head, why);
    free(both);
    return st;
}

static bool needs_head(const struct push *x, const push_text *t)
{
    return x->f.format == FORMAT_CSV && !t->head;
}

// The records of carry and p[0..n), which ends with one.
static rkp_verdict emit(struct push *x, rkp_actor *a, push_text *t, rkp_str name, const char *p, size_t n)
{
    rkp_str one = { t->carry, t->n }, two = { p, n };
    rkp_batch *b = chunk(x, a, t, name, one, two);
    if (!b)
        return nomem(a);
    t->line += newlines(one.p, one.n) + newlines(two.p, two.n);
    t->offset += one.n + two.n;
    carry_clear(t, false);
    rkp_emit(a, 0, b);
    return RKP_MORE;
}

static rkp_verdict too_large(struct push *x, rkp_actor *a, push_text *t, rkp_str name)
{
    char what[80];
    int k = snprintf(what, sizeof what, "a record of more than %llu bytes", (unsigned long long)x->f.max_record);
    rkp_str raw = { t->carry, t->n < RAW_SHOWN ? t->n : RAW_SHOWN };
    rkp_verdict v = rkp_reject_raw(a, RKP_ROW_SIZE, (rkp_str){ what, (size_t)k }, raw, name, t->line);
    t->skipping = true;
    t->line += newlines(t->carry, t->n);
    t->offset += t->n;
    carry_clear(t, true);
    return v;
}

// The head of a text whose first record ends at p[0..n): what it has is of no use when it is wrong.
static rkp_verdict begin_csv(struct push *x, rkp_actor *a, push_text *t, rkp_str name, const char *p, size_t n)
{
    char why[RKP_FILE_ERR];
    rkp_str one = { t->carry, t->n }, two = { p, n }, raw = one.n ? one : two;
    rkp_status st =
        take_head(x, a, t, name, x->f.header ? one : (rkp_str){ 0 }, x->f.header ? two : (rkp_str){ 0 }, why);
    if (st == RKP_NOMEM)
        return nomem(a);
    if (st != RKP_OK) {
        t->useless = true;
        raw.n = raw.n < RAW_SHOWN ? raw.n : RAW_SHOWN;
        return rkp_reject_raw(a, RKP_ROW_FIELDS, rkp_str_of(why), raw, name, t->line) == RKP_FAIL ? RKP_FAIL : RKP_DONE;
    }
    if (x->f.header) {
        t->line += newlines(one.p, one.n) + newlines(two.p, two.n);
        t->offset += one.n + two.n;
        carry_clear(t, false);
    }
    return RKP_MORE;
}

// A byte order mark at the front of carry and *p is gone; false: more must come before that is known.
static bool strip_mark(push_text *t, const char **p, size_t *n)
{
    size_t have = t->n + *n, k;
    char front[3];
    for (k = 0; k < 3 && k < have; k++) {
        front[k] = k < t->n ? t->carry[k] : (*p)[k - t->n];
        if (front[k] != bom[k])
            break;
    }
    if (k < 3 && k == have)
        return false;
    if (k == 3) {
        *p += 3 - t->n;
        *n -= 3 - t->n;
        t->offset = 3;
        t->n = 0;
    } else if (t->n) {
        t->mode = CSV_PLAIN; // a byte or two that could have been the mark
    }
    t->begun = true;
    t->line = 1;
    return true;
}

rkp_verdict push_text_feed(struct push *x, rkp_actor *a, push_text *t, rkp_str name, const char *p, size_t n)
{
    size_t end;
    if (t->useless)
        return RKP_DONE;
    if (!t->begun && !strip_mark(t, &p, &n))
        return carry_add(t, p, n) ? RKP_MORE : nomem(a);
    if (needs_head(x, t) && !x->f.header && begin_csv(x, a, t, name, p, n) == RKP_FAIL)
        return RKP_FAIL;
    while (n && (t->skipping || needs_head(x, t))) {
        rkp_verdict v;
        end = record_end(x, &t->mode, p, n, true);
        if (t->skipping) {
            size_t gone = end ? end : n;
            t->line += newlines(p, gone);
            t->offset += gone;
            t->skipping = end == 0;
            p += gone;
            n -= gone;
            continue;
        }
        if (!end || (blank(t->carry, t->n) && blank(p, end))) { // blank lines before the head belong to it
            if (!carry_add(t, p, end ? end : n))
                return nomem(a);
            p += end ? end : n;
            n -= end ? end : n;
            if (t->n > x->f.max_record) {
                t->useless = true;
                return too_large(x, a, t, name) == RKP_FAIL ? RKP_FAIL : RKP_DONE;
            }
            continue;
        }
        v = begin_csv(x, a, t, name, p, end);
        if (v != RKP_MORE)
            return v;
        p += end;
        n -= end;
    }
    end = record_end(x, &t->mode, p, n, false);
    if (end && emit(x, a, t, name, p, end) == RKP_FAIL)
        return RKP_FAIL;
    if (n > end && !carry_add(t, p + end, n - end))
        return nomem(a);
    if (t->n > x->f.max_record + 1) // and a carriage return
        return too_large(x, a, t, name) == RKP_FAIL ? RKP_FAIL : RKP_MORE;
    return RKP_MORE;
}

rkp_verdict push_text_end(struct push *x, rkp_actor *a, push_text *t, rkp_str name)
{
    if (t->useless || t->skipping || t->n == 0)
        return RKP_MORE;
    if (!t->begun)
        t->line = t->begun = 1;
    if (needs_head(x, t)) {
        rkp_verdict v = blank(t->carry, t->n) ? RKP_MORE : begin_csv(x, a, t, name, "", 0);
        if (v == RKP_FAIL)
            return v;
        if (needs_head(x, t) || t->n == 0)
            return RKP_MORE;
    }
    return emit(x, a, t, name, "", 0);
}

void push_text_fini(push_text *t)
{
    carry_clear(t, true);
    rkp_batch_put(t->head);
    t->head = NULL;
}

// ---- bodies ---------------------------------------------------------------------------------------------------------

// Does this instance find anything wrong with it?  FAIL: memory is out.
static rkp_verdict look(struct push *x, rkp_actor *a, rkp_batch *raw, const char **why)
{
    struct formats *f = &x->f;
    rkp_verdict v;
    x->check = (sent_check){ 0 };
    if (f->format == FORMAT_CSV) {
        f->u.csv.check = &x->check;
        f->u.csv.validate = CSV_VALIDATE_ALL;
    } else if (f->format == FORMAT_JSONL) {
        f->u.jsonl.check = &x->check;
        f->u.jsonl.validate = JSONL_VALIDATE_ALL;
    } else {
        return RKP_DONE;
    }
    v = f->op->decode(&f->u, a, raw);
    if (x->check.bad) {
        *why = x->check.what;
        v = RKP_DONE;
    }
    rkp_errs_clear(rkp_actor_errs(a));
    return v;
}

rkp_verdict push_body(struct push *x, rkp_actor *a, rkp_str name, rkp_str body, const char **why)
{
    push_text t = { .line = 1 };
    char wrong_head[RKP_FILE_ERR];
    rkp_batch *raw = NULL;
    rkp_verdict v = RKP_DONE;
    *why = NULL;
    if (!body.n)
        return RKP_DONE;
    if (body.n >= 3 && memcmp(body.p, bom, 3) == 0) {
        body = (rkp_str){ body.p + 3, body.n - 3 };
        t.offset = 3;
    }
    if (x->f.format == FORMAT_CSV) {
        size_t end = 0;
        rkp_status st;
        while (x->f.header && end < body.n && blank(body.p, end)) {
            size_t k = record_end(x, &t.mode, body.p + end, body.n - end, true);
            end = k ? end + k : body.n;
        }
        st = take_head(x, a, &t, name, (rkp_str){ NULL, 0 }, (rkp_str){ body.p, end }, wrong_head);
        if (st == RKP_NOMEM)
            return nomem(a);
        if (st != RKP_OK) {
            snprintf(x->check.what, sizeof x->check.what, "%.*s", (int)sizeof x->check.what - 1, wrong_head);
            *why = x->check.what;
            return RKP_DONE;
        }
        t.line += newlines(body.p, end);
        t.offset += end;
        body = (rkp_str){ body.p + end, body.n - end };
    }
    if (body.n) {
        raw = chunk(x, a, &t, name, body, (rkp_str){ NULL, 0 });
        v = raw ? look(x, a, raw, why) : nomem(a);
    }
    if (raw && v != RKP_FAIL && !*why)
        rkp_emit(a, 0, raw);
    else
        rkp_batch_put(raw);
    push_text_fini(&t);
    return v;
}
