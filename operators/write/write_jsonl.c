// write.jsonl: rows as lines of JSON, one object a line.
//
// encode makes the bytes of a batch, on_batch writes them.  A value that came as JSON text and has not been changed is
// copied as it stands.  Other texts are looked at 16 bytes at a time for what must be escaped, which is mostly nothing.
#include "write_jsonl.h"

#include <rkpipe/num.h>

#include <math.h>
#include <stdlib.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum nulls { NULLS_WRITE, NULLS_OMIT };

static const rkp_choice commit_names[] = {
    { "rename", RKP_COMMIT_RENAME, "the file takes its name when the job has succeeded" },
    { "append", RKP_COMMIT_APPEND, "add to the file as it goes" },
    { 0 },
};

static const rkp_choice nulls_names[] = {
    { "write", NULLS_WRITE, "as `\"column\":null`" },
    { "omit", NULLS_OMIT, "leave the column out of the line" },
    { 0 },
};

#define AT(field) offsetof(struct write_jsonl, field)
static const rkp_opt write_jsonl_opts[] = {
    { .name = "path",
      .type = &rkp_path,
      .at = AT(path),
      .required = true,
      .help = "file to write; `-` is standard output",
      .also = "file filename output" },
    { .name = "columns",
      .type = &rkp_word_list,
      .at = AT(columns),
      .optional = true,
      .help = "the columns to write, in this order; absent: all",
      .also = "fields select only_fields" },
    { .name = "nulls",
      .type = &rkp_choice_type,
      .at = AT(nulls),
      .def = "write",
      .choices = nulls_names,
      .help = "what becomes of nulls",
      .also = "skip_null omit_null include_null" },
    { .name = "commit",
      .type = &rkp_choice_type,
      .at = AT(commit),
      .def = "rename",
      .choices = commit_names,
      .help = "when the output can be seen",
      .also = "mode write_mode" },
    { .name = "compression",
      .type = &rkp_choice_type,
      .at = AT(compression),
      .def = "auto",
      .choices = rkp_compression_names,
      .help = "how the file is compressed; `auto`: by its name",
      .also = "compress codec encoding" },
    { 0 },
};

static const rkp_example write_jsonl_examples[] = {
    { .title = "All columns",
      .with = "path: out.jsonl\n",
      .input = "id,name,score\n1,Ann,2.5\n2,\"Bob \"\"B\"\"\",\n",
      .output = "{\"id\":1,\"name\":\"Ann\",\"score\":2.5}\n{\"id\":2,\"name\":\"Bob \\\"B\\\"\",\"score\":null}\n" },
    { .title = "Some columns, compressed, without nulls",
      .with = "path: out/scores.jsonl.gz\ncolumns: [name, score]\nnulls: omit\n",
      .input = "id,name,score\n1,Ann,2.5\n2,Bob,\n",
      .output = "{\"name\":\"Ann\",\"score\":2.5}\n{\"name\":\"Bob\"}\n" },
    { 0 },
};

// ---- output ---------------------------------------------------------------------------------------------------------

// Bytes in a batch's memory.  SLACK bytes behind n are always writable.
enum { SLACK = 64 };
struct out {
    rkp_batch *b;
    char *p;
    size_t n, cap; // of p: cap + SLACK
    bool failed;
};

static bool grow(struct out *o, size_t more)
{
    size_t cap = o->cap * 2 > o->n + more ? o->cap * 2 : o->n + more;
    char *p = rkp_batch_alloc(o->b, cap + SLACK);
    if (!p) {
        o->failed = true;
        return false;
    }
    if (o->n)
        memcpy(p, o->p, o->n);
    o->p = p;
    o->cap = cap;
    return true;
}

static inline bool room(struct out *o, size_t more)
{
    return RKP_LIKELY(o->cap - o->n >= more) || grow(o, more);
}

static inline void put(struct out *o, const char *p, size_t n)
{
    if (room(o, n)) {
        memcpy(o->p + o->n, p, n);
        o->n += n;
    }
}

// The length of the UTF-8 character at p, or 0 when there is none.
static size_t utf8(const unsigned char *p, const unsigned char *end)
{
    size_t n = *p < 0xC2 ? 0 : *p < 0xE0 ? 2 : *p < 0xF0 ? 3 : *p < 0xF5 ? 4 : 0;
    if (!n || (size_t)(end - p) < n || (*p == 0xE0 && p[1] < 0xA0) || (*p == 0xED && p[1] > 0x9F) ||
        (*p == 0xF0 && p[1] < 0x90) || (*p == 0xF4 && p[1] > 0x8F))
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    return n;
}

// Bytes of p[0..n) from the front that stand in a JSON string as they are; ASCII alone.
static size_t plain(const char *p, size_t n)
{
    size_t i = 0;
#if defined(__SSE2__)
    for (; n - i >= 16; i += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
        // Signed: bytes from 0x80 are below 0x20 too.
        __m128i stop =
            _mm_or_si128(_mm_cmplt_epi8(v, _mm_set1_epi8(0x20)),
                         _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')), _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'))));
        unsigned m = (unsigned)_mm_movemask_epi8(stop);
        if (m)
            return i + (unsigned)__builtin_ctz(m);
    }
#endif
    while (i < n && (signed char)p[i] >= 0x20 && p[i] != '"' && p[i] != '\\')
        i++;
    return i;
}

static void put_string(struct out *o, const char *p, size_t n)
{
    static const char hex[] = "0123456789abcdef";
    static const char shorts[32] = { ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r' };
    const char *end = p + n;
    if (!room(o, n + 2))
        return;
    o->p[o->n++] = '"';
    while (p < end) {
        size_t k = plain(p, (size_t)(end - p)), left;
        unsigned char c;
        memcpy(o->p + o->n, p, k);
        o->n += k;
        p += k;
        if (p == end)
            break;
        left = (size_t)(end - p);
        c = (unsigned char)*p;
        if (!room(o, left + 8))
            return;
        if (c >= 0x80) {
            k = utf8((const unsigned char *)p, (const unsigned char *)end);
            if (k) {
                memcpy(o->p + o->n, p, k);
                o->n += k;
                p += k;
            } else {
                memcpy(o->p + o->n, "\xEF\xBF\xBD", 3);
                o->n += 3;
                p++;
            }
            continue;
        }
        o->p[o->n++] = '\\';
        if (c >= 0x20) {
            o->p[o->n++] = (char)c;
        } else if (shorts[c]) {
            o->p[o->n++] = shorts[c];
        } else {
            memcpy(o->p + o->n, "u00", 3);
            o->p[o->n + 3] = hex[c >> 4];
            o->p[o->n + 4] = hex[c & 15];
            o->n += 5;
        }
        p++;
    }
    if (room(o, 1))
        o->p[o->n++] = '"';
}

static void put_base64(struct out *o, const char *text, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = (const unsigned char *)text;
    char *to;
    if (!room(o, (n + 2) / 3 * 4 + 2))
        return;
    to = o->p + o->n;
    *to++ = '"';
    for (; n > 0; p += 3, n -= n < 3 ? n : 3) {
        uint32_t v = (uint32_t)p[0] << 16 | (n > 1 ? (uint32_t)p[1] << 8 : 0) | (n > 2 ? p[2] : 0);
        *to++ = digits[v >> 18];
        *to++ = digits[v >> 12 & 63];
        *to++ = n > 1 ? digits[v >> 6 & 63] : '=';
        *to++ = n > 2 ? digits[v & 63] : '=';
    }
    *to++ = '"';
    o->n = (size_t)(to - o->p);
}

// JSON text that stands on one line: a raw newline can only be a blank.
static void put_json(struct out *o, const char *p, size_t n)
{
    size_t from = o->n;
    put(o, p, n);
    if (o->failed || !memchr(o->p + from, '\n', o->n - from))
        return;
    for (size_t i = from; i < o->n; i++)
        if (o->p[i] == '\n' || o->p[i] == '\r')
            o->p[i] = ' ';
}

static void put_null(struct out *o)
{
    put(o, "null", 4);
}

// One value of a fixed-width type.
static void put_fixed(struct out *o, unsigned kind, const void *values, size_t i)
{
    char *to;
    if (!room(o, 64))
        return;
    to = o->p + o->n;
    switch (kind) {
    case RKP_BOOL:
        if (rkp_bit(values, i))
            put(o, "true", 4);
        else
            put(o, "false", 5);
        return;
    case RKP_I8:
        o->n += rkp_print_i64(to, ((const int8_t *)values)[i]);
        return;
    case RKP_I16:
        o->n += rkp_print_i64(to, ((const int16_t *)values)[i]);
        return;
    case RKP_I32:
        o->n += rkp_print_i64(to, ((const int32_t *)values)[i]);
        return;
    case RKP_I64:
        o->n += rkp_print_i64(to, ((const int64_t *)values)[i]);
        return;
    case RKP_U8:
        o->n += rkp_print_u64(to, ((const uint8_t *)values)[i]);
        return;
    case RKP_U16:
        o->n += rkp_print_u64(to, ((const uint16_t *)values)[i]);
        return;
    case RKP_U32:
        o->n += rkp_print_u64(to, ((const uint32_t *)values)[i]);
        return;
    case RKP_U64:
        o->n += rkp_print_u64(to, ((const uint64_t *)values)[i]);
        return;
    case RKP_F32:
        if (isfinite(((const float *)values)[i]))
            o->n += rkp_print_f32(to, ((const float *)values)[i]);
        else
            put_null(o);
        return;
    case RKP_F64:
        if (isfinite(((const double *)values)[i]))
            o->n += rkp_print_f64(to, ((const double *)values)[i]);
        else
            put_null(o);
        return;
    case RKP_TIMESTAMP:
        *to = '"';
        o->n += 1 + rkp_print_timestamp(to + 1, ((const int64_t *)values)[i]);
        o->p[o->n++] = '"';
        return;
    default:
        put_null(o);
    }
}

static bool digits(const char **p, const char *end)
{
    const char *from = *p;
    while (*p < end && **p >= '0' && **p <= '9')
        ++*p;
    return *p > from;
}

// A number as JSON has it: no plus, no leading zero, digits on both sides of the point.
static bool json_number(rkp_str s)
{
    const char *p = s.p, *end = s.p + s.n;
    if (p < end && *p == '-')
        p++;
    if (end - p > 1 && p[0] == '0' && p[1] >= '0' && p[1] <= '9')
        return false;
    if (!digits(&p, end))
        return false;
    if (p < end && *p == '.') {
        p++;
        if (!digits(&p, end))
            return false;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        if (!digits(&p, end))
            return false;
    }
    return p == end && s.n > 0;
}

// A field's text as the value of its type; false when it is none.
static bool put_field(struct out *o, unsigned kind, rkp_str s)
{
    int64_t whole;
    uint64_t u;
    double real;
    if (kind == RKP_STRING || kind == RKP_TIMESTAMP) {
        put_string(o, s.p, s.n);
        return true;
    }
    if (kind == RKP_BOOL) {
        if (!rkp_str_is(s, "true") && !rkp_str_is(s, "false"))
            return false;
        put(o, s.p, s.n);
        return true;
    }
    if (kind == RKP_BYTES) {
        put_base64(o, s.p, s.n);
        return true;
    }
    if (json_number(s)) {
        put(o, s.p, s.n);
        return true;
    }
    if (!room(o, 64))
        return true;
    if (rkp_kind_is_float(kind)) {
        if (!rkp_parse_f64(s.p, s.n, &real))
            return false;
        put_fixed(o, RKP_F64, &real, 0);
    } else if (rkp_parse_i64(s.p, s.n, &whole)) {
        o->n += rkp_print_i64(o->p + o->n, whole);
    } else if (rkp_parse_u64(s.p, s.n, &u)) {
        o->n += rkp_print_u64(o->p + o->n, u);
    } else {
        return false;
    }
    return true;
}

// ---- rows -----------------------------------------------------------------------------------------------------------

// How the values of a column are written, of the batch at hand.
enum way { WAY_JSON_TEXT, WAY_TEXT, WAY_VIEW_STRING, WAY_VIEW_JSON, WAY_VIEW_BYTES, WAY_FIXED, WAY_ARRAY };

static enum way way_of(const rkp_col *c)
{
    if (c->rep == RKP_TEXT)
        return c->text->kind == RKP_TEXT_JSON ? WAY_JSON_TEXT : WAY_TEXT;
    if (c->type.len)
        return WAY_ARRAY;
    switch (c->type.kind) {
    case RKP_STRING:
        return WAY_VIEW_STRING;
    case RKP_JSON:
        return WAY_VIEW_JSON;
    case RKP_BYTES:
        return WAY_VIEW_BYTES;
    default:
        return WAY_FIXED;
    }
}

struct encoding {
    struct out out;
    rkp_batch *mem; // for decoded fields
    rkp_errs *errs;
};

// Writes the value of a row.  False when it is null (nothing is written); *bad when its text is not of its type.
static inline bool put_value(struct encoding *e, const rkp_col *c, enum way way, uint32_t row, bool *bad)
{
    struct out *o = &e->out;
    uint32_t r = rkp_col_row(c, row);
    rkp_str s;
    if (way == WAY_JSON_TEXT) {
        const uint32_t *pos = c->pos + (size_t)r * c->stride;
        if (pos[0] == RKP_NO_TEXT)
            return false;
        put(o, c->text->base + pos[0] + 1, pos[1] - pos[0] - 1);
        return true;
    }
    if (way == WAY_TEXT) {
        if (!rkp_text_decode(e->mem, c, rkp_col_raw(c, row), &s, bad))
            return false;
        *bad = *bad || !put_field(o, c->type.kind, s);
        return true;
    }
    if (rkp_col_is_null(c, r))
        return false;
    switch (way) {
    case WAY_VIEW_STRING:
        s = rkp_view_str(c, r);
        put_string(o, s.p, s.n);
        return true;
    case WAY_VIEW_JSON:
        s = rkp_view_str(c, r);
        put_json(o, s.p, s.n);
        return true;
    case WAY_VIEW_BYTES:
        s = rkp_view_str(c, r);
        put_base64(o, s.p, s.n);
        return true;
    case WAY_ARRAY:
        for (uint32_t i = 0; i < c->type.len; i++) {
            put(o, i ? "," : "[", 1);
            put_fixed(o, c->type.kind, c->values, (size_t)r * c->type.len + i);
        }
        put(o, "]", 1);
        return true;
    default:
        put_fixed(o, c->type.kind, c->values, r);
        return true;
    }
}

// Text columns whose type is not written from the text alone (json, arrays) are parsed first.
static rkp_status settle_column(struct encoding *e, const rkp_batch *b, uint32_t in, rkp_col *c)
{
    *c = b->cols[in];
    if (c->rep != RKP_TEXT || c->text->kind == RKP_TEXT_JSON || (c->type.kind != RKP_JSON && !c->type.len))
        return RKP_OK;
    return rkp_col_flat(e->mem, b, in, NULL, b->rows, c, e->errs);
}

static bool put_rows(const struct write_jsonl *w, struct encoding *e, const rkp_batch *b, const rkp_col *cols,
                     const enum way *ways)
{
    struct out *o = &e->out;
    uint8_t *wrong = NULL; // rows that settle_column found wrong
    if (e->errs->n) {
        wrong = rkp_batch_alloc(e->mem, (size_t)b->rows + 1);
        if (!wrong)
            return false;
        memset(wrong, 0, b->rows);
        for (uint32_t i = 0; i < e->errs->n; i++)
            wrong[e->errs->v[i].row] = 1;
    }
    for (uint32_t row = 0; row < b->rows; row++) {
        size_t begin = o->n;
        bool bad = false;
        if (RKP_UNLIKELY(wrong && wrong[row]))
            continue;
        if (w->head.n)
            put(o, w->head.p, w->head.n);
        for (uint32_t i = 0; i < w->n_cols && !bad; i++) {
            size_t before = o->n;
            put(o, w->cols[i].lead.p, w->cols[i].lead.n);
            if (!put_value(e, &cols[i], ways[i], row, &bad) && !bad) {
                if (w->nulls == NULLS_OMIT)
                    o->n = before;
                else
                    put_null(o);
            }
            if (bad)
                rkp_errs_add(e->errs, row, RKP_ROW_PARSE, (int)w->cols[i].in,
                             cols[i].rep == RKP_TEXT ? rkp_col_raw(&cols[i], row) : (rkp_str){ NULL, 0 });
        }
        if (bad) {
            o->n = begin;
            continue;
        }
        if (!w->head.n && o->n == begin)
            put(o, "{", 1);
        else if (!w->head.n)
            o->p[begin] = '{'; // for the comma before the first column
        put(o, "}\n", 2);
        if (o->failed)
            return false;
    }
    return !e->errs->failed;
}

static int by_row(const void *x, const void *y)
{
    const rkp_err *p = x, *q = y;
    return p->row < q->row ? -1 : p->row > q->row;
}

static rkp_verdict write_jsonl_encode(void *self, rkp_actor *a, rkp_batch *b)
{
    struct write_jsonl *w = self;
    struct encoding e = { .errs = rkp_actor_errs(a) };
    size_t guess = (size_t)((double)b->rows * w->row_bytes * 1.1) + 4096;
    rkp_col *cols;
    enum way *ways;
    uint32_t good;
    e.mem = rkp_batch_new(rkp_actor_pool(a), NULL, 0, w->n_cols * (sizeof *cols + sizeof *ways) + 1024);
    e.out.b = rkp_batch_new(rkp_actor_pool(a), NULL, 0, guess + SLACK);
    if (!e.mem || !e.out.b || !grow(&e.out, guess))
        goto nomem;
    cols = rkp_batch_alloc(e.mem, ((size_t)w->n_cols + 1) * sizeof *cols);
    ways = rkp_batch_alloc(e.mem, ((size_t)w->n_cols + 1) * sizeof *ways);
    if (!cols || !ways)
        goto nomem;
    for (uint32_t i = 0; i < w->n_cols; i++) {
        if (settle_column(&e, b, w->cols[i].in, &cols[i]) != RKP_OK)
            goto nomem;
        ways[i] = way_of(&cols[i]);
    }
    if (!put_rows(w, &e, b, cols, ways))
        goto nomem;
    good = b->rows;
    if (e.errs->n) {
        uint32_t n = 0;
        rkp_verdict v;
        qsort(e.errs->v, e.errs->n, sizeof *e.errs->v, by_row);
        for (uint32_t i = 0; i < e.errs->n; i++)
            if (i == 0 || e.errs->v[i].row != e.errs->v[n - 1].row)
                e.errs->v[n++] = e.errs->v[i];
        e.errs->n = n;
        good -= n;
        v = rkp_reject(a, b, e.errs);
        if (v == RKP_FAIL) {
            rkp_batch_put(e.mem);
            rkp_batch_put(e.out.b);
            return v;
        }
    }
    rkp_batch_put(e.mem);
    if (good)
        w->row_bytes = (double)e.out.n / good;
    e.out.b->blob = (rkp_str){ e.out.p, e.out.n };
    e.out.b->blob_rows = good;
    e.out.b->in_bytes = b->in_bytes;
    if (good)
        rkp_emit(a, 0, e.out.b);
    else
        rkp_batch_put(e.out.b);
    return RKP_DONE;
nomem:
    rkp_batch_put(e.mem);
    rkp_batch_put(e.out.b);
    return rkp_fail(a, RKP_NOMEM, "out of memory for %u lines", (unsigned)b->rows);
}

// ---- bind, write ----------------------------------------------------------------------------------------------------

static rkp_status set_lead(rkp_bind *b, struct json_column *c, rkp_str name)
{
    static const char hex[] = "0123456789abcdef";
    char *p = rkp_opt_alloc(rkp_bind_mem(b), name.n * 6 + 5), *to = p;
    if (!p)
        return RKP_NOMEM;
    *to++ = ',';
    *to++ = '"';
    for (size_t i = 0; i < name.n; i++) {
        unsigned char ch = (unsigned char)name.p[i];
        if (ch == '"' || ch == '\\') {
            *to++ = '\\';
            *to++ = (char)ch;
        } else if (ch < 0x20) {
            memcpy(to, "\\u00", 4);
            to[4] = hex[ch >> 4];
            to[5] = hex[ch & 15];
            to += 6;
        } else {
            *to++ = (char)ch;
        }
    }
    *to++ = '"';
    *to++ = ':';
    c->lead = (rkp_str){ p, (size_t)(to - p) };
    return RKP_OK;
}

static rkp_status write_jsonl_bind(void *self, rkp_bind *b)
{
    struct write_jsonl *w = self;
    const rkp_schema *in = rkp_bind_in(b);
    rkp_status st = RKP_OK;
    uint32_t n = w->columns.v ? (uint32_t)w->columns.n : in->n;
    file_out_bind(b, w->path, w->commit);
    w->cols = rkp_opt_alloc(rkp_bind_mem(b), (n ? n : 1) * sizeof *w->cols);
    if (!w->cols)
        return RKP_NOMEM;
    w->row_bytes = 64;
    if (w->columns.v && !n) {
        rkp_diag(rkp_bind_diags(b), RKP_ERROR, w->columns.at, "columns-empty", "'columns' names no column");
        st = RKP_INVALID;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct json_column *c = &w->cols[w->n_cols];
        int at = w->columns.v ? rkp_bind_column(b, w->columns.v[i]) : (int)i;
        if (at < 0) {
            st = RKP_INVALID;
            continue;
        }
        for (uint32_t k = 0; k < w->n_cols; k++) {
            if (w->cols[k].in != (uint32_t)at)
                continue;
            rkp_diag(rkp_bind_diags(b), RKP_ERROR, w->columns.v[i].at, "column-duplicate",
                     "'columns' names '" RKP_STR_FMT "' twice", RKP_STR_ARG(w->columns.v[i]));
            st = RKP_INVALID;
        }
        c->in = (uint32_t)at;
        if (set_lead(b, c, in->f[at].name) != RKP_OK)
            return RKP_NOMEM;
        rkp_bind_read(b, (uint32_t)at);
        w->n_cols++;
    }
    return st;
}

static rkp_status open_writer(struct write_jsonl *w, rkp_actor *a)
{
    char err[RKP_FILE_ERR] = "";
    bool fresh = true, inside = false;
    rkp_status st;
    if (w->writer)
        return RKP_OK;
    st = rkp_writer_open_own(w->path.p, w->commit, w->compression, rkp_owner(a), &w->writer, &fresh, err);
    if (st == RKP_OK && !fresh && w->compression <= RKP_COMPRESS_NONE)
        st = file_out_inside_line(w->path.p, -1, &inside, err);
    if (st == RKP_OK && inside)
        st = rkp_writer_write(w->writer, "\n", 1, err);
    if (st != RKP_OK)
        (void)rkp_fail(a, st, "%s", err);
    return st;
}

static rkp_verdict write_jsonl_on_batch(void *self, rkp_actor *a, unsigned port, rkp_batch *b)
{
    struct write_jsonl *w = self;
    char err[RKP_FILE_ERR] = "";
    rkp_status st;
    (void)port;
    if (open_writer(w, a) != RKP_OK)
        return RKP_FAIL;
    st = rkp_writer_write(w->writer, b->blob.p, b->blob.n, err);
    if (st != RKP_OK)
        return file_out_failed(&w->tries, a, w->writer, st, err);
    w->tries.n = 0;
    rkp_absorb(a, b->blob_rows);
    return RKP_DONE;
}

static rkp_verdict write_jsonl_on_end(void *self, rkp_actor *a)
{
    struct write_jsonl *w = self;
    w->ended = open_writer(w, a) == RKP_OK; // no rows make an empty file
    return w->ended ? RKP_DONE : RKP_FAIL;
}

static rkp_status write_jsonl_prepare(void *self, rkp_actor *a)
{
    struct write_jsonl *w = self;
    char err[RKP_FILE_ERR] = "";
    rkp_status st = open_writer(w, a);
    if (st != RKP_OK)
        return st;
    st = rkp_writer_prepare(w->writer, err);
    if (st != RKP_OK)
        (void)rkp_fail(a, st, "%s", err);
    return st;
}

static rkp_status write_jsonl_commit(void *self, rkp_actor *a)
{
    struct write_jsonl *w = self;
    char err[RKP_FILE_ERR] = "";
    rkp_status st = rkp_writer_commit(w->writer, err);
    if (st != RKP_OK)
        (void)rkp_fail(a, st, "%s", err);
    return st;
}

static void write_jsonl_abort(void *self, rkp_actor *a)
{
    struct write_jsonl *w = self;
    file_out_abort(w->writer, a);
    w->writer = NULL;
}

// Opens the file, so that what is added to it later can be taken back also when there was no row yet.
static rkp_status write_jsonl_save(void *self, rkp_actor *a, rkp_save *to)
{
    struct write_jsonl *w = self;
    rkp_status st = open_writer(w, a);
    return st == RKP_OK ? file_out_save(to, a, w->writer, w->ended) : st;
}

static rkp_status write_jsonl_restore(void *self, rkp_actor *a, rkp_load *from)
{
    struct write_jsonl *w = self;
    return file_out_restore(from, a, w->path.p, w->commit, w->compression, &w->writer, &w->ended);
}

static void write_jsonl_fini(void *self)
{
    struct write_jsonl *w = self;
    rkp_writer_close(w->writer);
}

const rkp_op rkp_op_write_jsonl = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "write.jsonl",
    .kind = RKP_SINK,
    .summary = "Write rows as lines of JSON, one object a line.",
    .details = "A value that came as JSON and has not been changed keeps its text. Numbers are written as numbers, "
               "`nan` and infinity as null, times as strings, bytes in base64, `json` columns as the JSON they hold. "
               "Strings are written as UTF-8; bytes that are not UTF-8 become U+FFFD.\n\n"
               "With `commit: rename` the file appears under its name only when the whole job has succeeded. "
               "Text that is not a value of its column's type (only possible where nobody looked at it before) is an "
               "error row, reason `parse`.\n\n"
               "With the kernel field `retry` a write that finds no room on the disk (`no_space`) is tried again, from "
               "the byte where it stopped; after the last attempt the kernel fails.",
    .traits = RKP_BLOCKING | RKP_DETERMINISTIC | RKP_ROWWISE,
    .self_size = sizeof(struct write_jsonl),
    .opts = write_jsonl_opts,
    .examples = write_jsonl_examples,
    .also = "write.json write.ndjson ndjson jsonlines to_json json_lines jsonl file",
    .retries = FILE_OUT_RETRIES,
    .bind = write_jsonl_bind,
    .on_batch = write_jsonl_on_batch,
    .encode = write_jsonl_encode,
    .on_end = write_jsonl_on_end,
    .prepare = write_jsonl_prepare,
    .commit = write_jsonl_commit,
    .abort = write_jsonl_abort,
    .fini = write_jsonl_fini,
    .state_version = 1,
    .save = write_jsonl_save,
    .restore = write_jsonl_restore,
};
