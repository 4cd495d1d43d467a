// write.log: a line of the log for each row, as logfmt text or as JSON.
//
//   text  time=2026-01-31T12:00:00.123Z level=warn kernel=late device=dev-3 value=21.5
//   json  {"time":"2026-01-31T12:00:00.123Z","level":"warn","kernel":"late","device":"dev-3","value":21.5}
//
// encode makes the lines of a batch (any worker), on_batch hands them to the log in one go.  A column that is called like
// one of the first three is shown as row.time, row.level or row.kernel.
#include "write_jsonl.h"

#include <rkpipe/csv.h>
#include <rkpipe/num.h>

#include <stdio.h>
#include <stdlib.h>

enum { FORMAT_TEXT, FORMAT_JSON };
enum { LEVEL_DEBUG, LEVEL_INFO, LEVEL_WARN, LEVEL_ERROR };

static const rkp_choice level_names[] = {
    { "debug", LEVEL_DEBUG, "of use to who looks for a mistake" },
    { "info", LEVEL_INFO, "good to know" },
    { "warn", LEVEL_WARN, "somebody should look at it" },
    { "error", LEVEL_ERROR, "something went wrong" },
    { 0 },
};

static const rkp_choice format_names[] = {
    { "text", FORMAT_TEXT, "logfmt: `name=value` pairs" },
    { "json", FORMAT_JSON, "one JSON object a line" },
    { 0 },
};

struct write_log {
    int level, format; // options
    rkp_words columns;
    bool time;

    struct write_jsonl json; // bind: json
    struct field {
        uint32_t in;
        rkp_str lead; // " name="
    } * fields;       // bind: text
    uint32_t n_fields;
    rkp_str label; // bind: "level=info kernel=log", or as members of an object
};

#define AT(field) offsetof(struct write_log, field)
static const rkp_opt write_log_opts[] = {
    { "level", &rkp_choice_type, AT(level), .def = "info", .choices = level_names, .help = "how much it matters",
      .also = "severity log_level priority" },
    { "format", &rkp_choice_type, AT(format), .def = "text", .choices = format_names, .help = "how a line looks",
      .also = "encoding codec" },
    { "columns", &rkp_word_list, AT(columns), .optional = true, .help = "which columns, in this order; else all",
      .also = "fields select fields_mapping" },
    { "time", &rkp_bool, AT(time), .def = "true",
      .help = "begin each line with the time; false, where whoever reads the log adds it", .also = "timestamp" },
    { 0 },
};

static const rkp_example write_log_examples[] = {
    { .title = "A line for each row, on standard error",
      .with = "level: warn\ntime: false\n",
      .input = "device,value,note\ndev-3,21.5,\ndev-4,22.0,too hot\n",
      .output = "level=warn kernel=it device=dev-3 value=21.5 note=\n"
                "level=warn kernel=it device=dev-4 value=22.0 note=\"too hot\"\n" },
    { .title = "For a program that collects logs; a column of its own is called level",
      .with = "format: json\ntime: false\ncolumns: [level, msg]\n",
      .input = "level,msg\n3,disk full\n",
      .output = "{\"level\":\"info\",\"kernel\":\"it\",\"row.level\":3,\"msg\":\"disk full\"}\n" },
    { 0 },
};

// ---- bind -----------------------------------------------------------------------------------------------------------

static bool is_ours(rkp_str name)
{
    return rkp_str_is(name, "time") || rkp_str_is(name, "level") || rkp_str_is(name, "kernel");
}

static char *put(char *to, const char *p, size_t n)
{
    if (n)
        memcpy(to, p, n);
    return to + n;
}

static rkp_status bind_json(struct write_log *w, rkp_bind *b)
{
    const rkp_schema *in = rkp_bind_in(b);
    rkp_status st;
    w->json = (struct write_jsonl){ .path = { "-", 1, rkp_bind_at(b) }, .columns = w->columns };
    st = rkp_op_write_jsonl.bind(&w->json, b);
    for (uint32_t i = 0; st == RKP_OK && i < w->json.n_cols; i++) {
        struct json_column *c = &w->json.cols[i];
        rkp_str name = in->f[c->in].name;
        char *p;
        if (!is_ours(name))
            continue;
        p = rkp_opt_alloc(rkp_bind_mem(b), name.n + 16);
        if (!p)
            return RKP_NOMEM;
        c->lead.p = p;
        c->lead.n = (size_t)(put(put(put(p, ",\"row.", 6), name.p, name.n), "\":", 2) - p);
    }
    return st;
}

// A name as logfmt can have it.
static rkp_str lead_of(rkp_opt_ctx *mem, rkp_str name)
{
    char *p = rkp_opt_alloc(mem, name.n + 8), *to = p;
    if (!p)
        return (rkp_str){ NULL, 0 };
    *to++ = ' ';
    if (is_ours(name))
        to = put(to, "row.", 4);
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];
        *to++ = c <= ' ' || c == '=' || c == '"' || c == 0x7f ? '_' : (char)c;
    }
    *to++ = '=';
    return (rkp_str){ p, (size_t)(to - p) };
}

static rkp_status bind_text(struct write_log *w, rkp_bind *b)
{
    const rkp_schema *in = rkp_bind_in(b);
    rkp_diags *d = rkp_bind_diags(b);
    uint32_t n = w->columns.v ? (uint32_t)w->columns.n : in->n;
    rkp_status st = RKP_OK;
    w->fields = rkp_opt_alloc(rkp_bind_mem(b), (n ? n : 1) * sizeof *w->fields);
    if (!w->fields)
        return RKP_NOMEM;
    if (w->columns.v && !n) {
        rkp_diag(d, RKP_ERROR, w->columns.at, "columns-empty", "'columns' names no column");
        st = RKP_INVALID;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct field *f = &w->fields[w->n_fields];
        int at = w->columns.v ? rkp_bind_column(b, w->columns.v[i]) : (int)i;
        if (at < 0) {
            st = RKP_INVALID;
            continue;
        }
        if (in->f[at].type.len) {
            rkp_diag(d, RKP_ERROR, rkp_bind_at(b), "csv-array",
                     "column '" RKP_STR_FMT "' is an array, which format: text does not show",
                     RKP_STR_ARG(in->f[at].name));
            rkp_diag_hint(d, "name the other columns in 'columns', or use format: json");
            st = RKP_INVALID;
        }
        *f = (struct field){ (uint32_t)at, lead_of(rkp_bind_mem(b), in->f[at].name) };
        if (!f->lead.p)
            return RKP_NOMEM;
        rkp_bind_read(b, (uint32_t)at);
        w->n_fields++;
    }
    return st;
}

static rkp_status write_log_bind(void *self, rkp_bind *b)
{
    static const char *const forms[] = {
        [FORMAT_TEXT] = "level=%s kernel=%s", [FORMAT_JSON] = "\"level\":\"%s\",\"kernel\":\"%s\""
    };
    struct write_log *w = self;
    const char *kernel = rkp_bind_kernel(b); // letters, digits, _ and -
    size_t room = strlen(kernel) + 48;
    char *p = rkp_opt_alloc(rkp_bind_mem(b), room);
    int n;
    rkp_bind_delivery(b, RKP_AT_LEAST_ONCE, "what is in the log cannot be taken back");
    if (!p)
        return RKP_NOMEM;
    n = snprintf(p, room, forms[w->format], level_names[w->level].name, kernel);
    w->label = (rkp_str){ p, (size_t)n };
    return w->format == FORMAT_JSON ? bind_json(w, b) : bind_text(w, b);
}

// ---- lines ----------------------------------------------------------------------------------------------------------

// What every line of a batch begins with; the memory is the batch's.
static rkp_str head_of(const struct write_log *w, rkp_actor *a, rkp_batch *mem)
{
    char time[RKP_TIMESTAMP_TEXT];
    char *p = rkp_batch_alloc(mem, w->label.n + sizeof time + 16), *to = p;
    if (!p)
        return (rkp_str){ NULL, 0 };
    if (w->format == FORMAT_JSON)
        to = put(to, "{", 1);
    if (w->time) {
        int64_t us = rkp_wall_us(a), ms = us / 1000 * 1000;
        size_t n = rkp_print_timestamp(time, ms);
        to = w->format == FORMAT_JSON ? put(to, "\"time\":\"", 8) : put(to, "time=", 5);
        to = put(to, time, n);
        to = w->format == FORMAT_JSON ? put(to, "\",", 2) : put(to, " ", 1);
    }
    to = put(to, w->label.p, w->label.n);
    return (rkp_str){ p, (size_t)(to - p) };
}

// Bytes of a value as logfmt has it, at most; 0: as it is.
static size_t quoted(rkp_str v)
{
    bool plain = v.n > 0;
    for (size_t i = 0; i < v.n && plain; i++) {
        unsigned char c = (unsigned char)v.p[i];
        plain = c > ' ' && c != '"' && c != '=' && c != '\\' && c != 0x7f;
    }
    return plain ? 0 : v.n * 6 + 2;
}

static char *put_quoted(char *to, rkp_str v)
{
    static const char hex[] = "0123456789abcdef";
    *to++ = '"';
    for (size_t i = 0; i < v.n; i++) {
        unsigned char c = (unsigned char)v.p[i];
        if (c == '"' || c == '\\') {
            *to++ = '\\';
            *to++ = (char)c;
        } else if (c == '\n' || c == '\t' || c == '\r') {
            *to++ = '\\';
            *to++ = c == '\n' ? 'n' : c == '\t' ? 't' : 'r';
        } else if (c < 0x20 || c == 0x7f) { // no value steers a terminal
            to = put(to, "\\u00", 4);
            *to++ = hex[c >> 4];
            *to++ = hex[c & 15];
        } else {
            *to++ = (char)c;
        }
    }
    *to++ = '"';
    return to;
}

static int by_row(const void *x, const void *y)
{
    const rkp_err *p = x, *q = y;
    return p->row < q->row ? -1 : p->row > q->row;
}

// One entry a row, in their order: several columns may have listed the same row.
static void sort_errs(rkp_errs *e)
{
    uint32_t n = 0;
    if (e->n > 1)
        qsort(e->v, e->n, sizeof *e->v, by_row);
    for (uint32_t i = 0; i < e->n; i++)
        if (!n || e->v[n - 1].row != e->v[i].row)
            e->v[n++] = e->v[i];
    e->n = n;
}

// The lines of the rows without errors.
static rkp_status put_lines(const struct write_log *w, rkp_actor *a, rkp_batch *mem, rkp_batch *out, const rkp_batch *b,
                            rkp_errs *errs)
{
    rkp_str *v = rkp_batch_alloc(mem, ((size_t)b->rows * w->n_fields + 1) * sizeof *v), head = head_of(w, a, mem);
    size_t bytes = ((size_t)b->rows + 1) * (head.n + 1);
    uint32_t e = 0;
    char *p, *to;
    if (!v || !head.p)
        return RKP_NOMEM;
    for (uint32_t c = 0; c < w->n_fields; c++) {
        rkp_str *col = v + (size_t)c * b->rows;
        if (rkp_col_texts(mem, b, w->fields[c].in, b->rows, col, errs) != RKP_OK)
            return RKP_NOMEM;
        for (uint32_t i = 0; i < b->rows; i++) {
            size_t more = col[i].p ? quoted(col[i]) : 0;
            bytes += w->fields[c].lead.n + (more ? more : col[i].n);
        }
    }
    sort_errs(errs);
    p = to = rkp_batch_alloc(out, bytes);
    if (!p)
        return RKP_NOMEM;
    for (uint32_t i = 0; i < b->rows; i++) {
        if (e < errs->n && errs->v[e].row == i) {
            e++;
            continue;
        }
        to = put(to, head.p, head.n);
        for (uint32_t c = 0; c < w->n_fields; c++) {
            rkp_str t = v[(size_t)c * b->rows + i];
            to = put(to, w->fields[c].lead.p, w->fields[c].lead.n);
            to = t.p && quoted(t) ? put_quoted(to, t) : put(to, t.p, t.n);
        }
        *to++ = '\n';
    }
    out->blob = (rkp_str){ p, (size_t)(to - p) };
    return RKP_OK;
}

static rkp_verdict encode_json(struct write_log *w, rkp_actor *a, rkp_batch *b)
{
    rkp_batch *mem = rkp_batch_new(rkp_actor_pool(a), NULL, 0, 512);
    rkp_verdict v;
    w->json.head = mem ? head_of(w, a, mem) : (rkp_str){ NULL, 0 };
    v = w->json.head.p ? rkp_op_write_jsonl.encode(&w->json, a, b) : rkp_fail(a, RKP_NOMEM, "out of memory");
    rkp_batch_put(mem);
    return v;
}

static rkp_verdict write_log_encode(void *self, rkp_actor *a, rkp_batch *b)
{
    struct write_log *w = self;
    rkp_verdict v = RKP_DONE;
    rkp_batch *mem, *out;
    rkp_errs *errs;
    if (w->format == FORMAT_JSON)
        return encode_json(w, a, b);
    errs = rkp_actor_errs(a);
    mem = rkp_batch_new(rkp_actor_pool(a), NULL, 0, (size_t)b->rows * w->n_fields * sizeof(rkp_str) + 4096);
    out = rkp_batch_new(rkp_actor_pool(a), NULL, 0, 0);
    if (!mem || !out || put_lines(w, a, mem, out, b, errs) != RKP_OK || errs->failed) {
        v = rkp_fail(a, RKP_NOMEM, "out of memory for %u lines", (unsigned)b->rows);
    } else {
        out->blob_rows = b->rows - errs->n;
        out->in_bytes = b->in_bytes;
        if (errs->n)
            v = rkp_reject(a, b, errs);
    }
    rkp_batch_put(mem);
    if (v == RKP_FAIL)
        rkp_batch_put(out);
    else
        rkp_emit(a, 0, out);
    return v;
}

static rkp_verdict write_log_on_batch(void *self, rkp_actor *a, unsigned port, rkp_batch *b)
{
    (void)self;
    (void)port;
    rkp_log_rows(a, b->blob);
    rkp_absorb(a, b->blob_rows);
    return RKP_DONE;
}

// A line has been written when on_batch returns.
static rkp_status write_log_save(void *self, rkp_actor *a, rkp_save *to)
{
    (void)self;
    (void)a;
    (void)to;
    return RKP_OK;
}

static rkp_status write_log_restore(void *self, rkp_actor *a, rkp_load *from)
{
    (void)self;
    (void)a;
    return rkp_load_ok(from) ? RKP_OK : RKP_INVALID;
}

const rkp_op rkp_op_write_log = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "write.log",
    .kind = RKP_SINK,
    .summary = "Write rows to the log, which is standard error.",
    .details =
        "Each row is a line with the time, `level`, the kernel's name, and the columns. In `text` a value with blanks, "
        "quotes, `=` or control characters is quoted, null is nothing and an empty string is \"\". A column that is "
        "called "
        "`time`, `level` or `kernel` is shown as `row.time`, `row.level` or `row.kernel`.\n\n"
        "Lines of several kernels do not mix. A log is for a few rows: put `throttle` in front when there may be "
        "many, or `sample`, or `limit`.",
    .traits = RKP_BLOCKING | RKP_ROWWISE,
    .self_size = sizeof(struct write_log),
    .opts = write_log_opts,
    .examples = write_log_examples,
    .also = "log stderr write.stderr console out_stderr print_log",
    .bind = write_log_bind,
    .encode = write_log_encode,
    .on_batch = write_log_on_batch,
    .state_version = 1,
    .save = write_log_save,
    .restore = write_log_restore,
};
