// write.exec: rows into a command's standard input, as lines, CSV or JSON lines.
//
//   encode    rows -> bytes (any worker; the encoders of write.csv and write.jsonl)
//   on_batch  bytes -> pipe (its own thread; it waits for the command, also while the run drains)
//   prepare   end of the input, exit status 0
//
// A command that ends or reads no more before the end of the input fails the kernel: rows would be lost in silence.
#include "write_csv.h"
#include "write_jsonl.h"

#include <rkpipe/command.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

enum { FORMAT_LINES, FORMAT_CSV, FORMAT_JSONL };
enum { M_BYTES };

static const rkp_choice format_names[] = {
    { "lines", FORMAT_LINES, "the text of one column, a line each" },
    { "csv", FORMAT_CSV, "comma-separated values, as write.csv writes them" },
    { "jsonl", FORMAT_JSONL, "one JSON object a line, as write.jsonl writes them" },
    { 0 },
};

struct write_exec {
    rkp_command command; // options: constant after bind
    int format;
    rkp_words columns;
    bool header;

    const rkp_op *op; // bind: the encoder, and its instance; NULL: lines
    union {
        struct write_csv csv;
        struct write_jsonl jsonl;
    } u;
    uint32_t column; // lines

    rkp_actor *actor; // the sink's thread from here on: for the child's thread
    rkp_child *child;
    bool begun;
};

#define AT(field) offsetof(struct write_exec, field)
static const rkp_opt write_exec_opts[] = {
    RKP_COMMAND_OPTS(struct write_exec, command),
    { "format", &rkp_choice_type, AT(format), .def = "lines", .choices = format_names, .help = "what the command reads",
      .also = "codec encoding" },
    { "columns", &rkp_word_list, AT(columns), .optional = true,
      .help = "which columns, in this order; absent: all. `lines` writes one", .also = "column fields select" },
    { "header", &rkp_bool, AT(header), .def = "true", .help = "csv: the first line has the columns' names",
      .also = "include_header write_header" },
    { 0 },
};

static const rkp_metric write_exec_metrics[] = {
    [M_BYTES] = { "bytes", RKP_UNIT_BYTES, "bytes that the command was given" },
    { 0 },
};

static const rkp_example write_exec_examples[] = {
    { .title = "A column, line by line; what the command prints goes to standard output",
      .with = "argv: [sort, -n]\ncolumns: [people]\n",
      .input = "city,people\nOslo,709037\nBergen,291940\n",
      .output = "291940\n709037\n" },
    { .title = "JSON lines for a program of one's own, in an environment of its own",
      .with = "argv: [cat]\nformat: jsonl\nenv: { LC_ALL: C }\n",
      .input = "city,people\nOslo,709037\nAtlantis,\n",
      .output = "{\"city\":\"Oslo\",\"people\":709037}\n{\"city\":\"Atlantis\",\"people\":null}\n" },
    { 0 },
};

// ---- bind -----------------------------------------------------------------------------------------------------------

static rkp_status bind_lines(struct write_exec *x, rkp_bind *b)
{
    const rkp_schema *in = rkp_bind_in(b);
    rkp_diags *d = rkp_bind_diags(b);
    int c = x->columns.n == 1 ? rkp_bind_column(b, x->columns.v[0]) : 0;
    if (x->columns.n > 1 || (!x->columns.n && in->n != 1)) {
        rkp_diag(d, RKP_ERROR, x->columns.n ? x->columns.at : rkp_bind_at(b), "exec-format",
                 "format: lines writes one column, and there are %u",
                 x->columns.n ? (unsigned)x->columns.n : (unsigned)in->n);
        rkp_diag_hint(d, "name it in 'columns', or use format: csv or jsonl");
        return RKP_INVALID;
    }
    if (c < 0)
        return RKP_INVALID;
    rkp_bind_read(b, (uint32_t)c);
    x->column = (uint32_t)c;
    if (!in->f[c].type.len)
        return RKP_OK;
    rkp_diag(d, RKP_ERROR, rkp_bind_at(b), "exec-format", "column '" RKP_STR_FMT "' is an array, which is no line",
             RKP_STR_ARG(in->f[c].name));
    return RKP_INVALID;
}

static rkp_status write_exec_bind(void *self, rkp_bind *b)
{
    struct write_exec *x = self;
    rkp_status command = rkp_command_check(&x->command, rkp_bind_diags(b)), st;
    const rkp_word nowhere = { "-", 1, rkp_bind_at(b) };
    rkp_bind_delivery(b, RKP_AT_MOST_ONCE, "what a command was given cannot be taken back or given again");
    if (x->format == FORMAT_CSV) {
        x->u.csv = (struct write_csv){ .path = nowhere, .columns = x->columns, .delimiter = ',' };
        x->op = &rkp_op_write_csv;
    } else if (x->format == FORMAT_JSONL) {
        x->u.jsonl = (struct write_jsonl){ .path = nowhere, .columns = x->columns };
        x->op = &rkp_op_write_jsonl;
    }
    st = x->op ? x->op->bind(&x->u, b) : bind_lines(x, b);
    return st == RKP_OK ? command : st;
}

static rkp_status write_exec_init(void *self, rkp_actor *a)
{
    struct write_exec *x = self;
    char err[RKP_FILE_ERR];
    rkp_status st = rkp_command_find(&x->command, rkp_actor_env(a), err);
    if (st != RKP_OK)
        (void)rkp_fail(a, st, "%s", err);
    return st;
}

// ---- encode ---------------------------------------------------------------------------------------------------------

static int by_row(const void *x, const void *y)
{
    const rkp_err *p = x, *q = y;
    return p->row < q->row ? -1 : p->row > q->row;
}

// Null is an empty line.  A text with a line break in it cannot be one line: the row is rejected.
static rkp_status put_lines(const struct write_exec *x, rkp_batch *mem, rkp_batch *out, const rkp_batch *b,
                            rkp_errs *errs)
{
    static const char broken[] = "a text with a line break is not one line";
    rkp_str *texts = rkp_batch_alloc(mem, ((size_t)b->rows + 1) * sizeof *texts);
    rkp_status st = texts ? rkp_col_texts(mem, b, x->column, b->rows, texts, errs) : RKP_NOMEM;
    uint32_t bad = errs->n, e = 0;
    size_t n = 0;
    char *to = NULL;
    for (uint32_t i = 0; st == RKP_OK && i < b->rows; i++) {
        if (texts[i].n && memchr(texts[i].p, '\n', texts[i].n))
            rkp_errs_add(errs, i, RKP_ROW_CAST, (int)x->column, RKP_STR(broken));
        else
            n += texts[i].n + 1;
    }
    if (st == RKP_OK && errs->n > bad && bad)
        qsort(errs->v, errs->n, sizeof *errs->v, by_row);
    if (st == RKP_OK && !(to = rkp_batch_alloc(out, n + 1)))
        st = RKP_NOMEM;
    out->blob = (rkp_str){ to, 0 };
    for (uint32_t i = 0; st == RKP_OK && i < b->rows; i++) {
        if (e < errs->n && errs->v[e].row == i) {
            e++;
            continue;
        }
        if (texts[i].n)
            memcpy(to, texts[i].p, texts[i].n);
        to += texts[i].n;
        *to++ = '\n';
    }
    if (st == RKP_OK)
        out->blob.n = (size_t)(to - out->blob.p);
    return st;
}

static rkp_verdict write_exec_encode(void *self, rkp_actor *a, rkp_batch *b)
{
    struct write_exec *x = self;
    rkp_errs *errs;
    rkp_batch *mem, *out;
    rkp_verdict v = RKP_DONE;
    if (x->op)
        return x->op->encode(&x->u, a, b);
    errs = rkp_actor_errs(a);
    mem = rkp_batch_new(rkp_actor_pool(a), NULL, 0, (size_t)b->rows * sizeof(rkp_str) + 4096);
    out = rkp_batch_new(rkp_actor_pool(a), NULL, 0, 0);
    if (!mem || !out || put_lines(x, mem, out, b, errs) != RKP_OK || errs->failed) {
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

// ---- the command ----------------------------------------------------------------------------------------------------

// A line of the command's standard error; on the child's thread.
static void on_line(void *arg, rkp_str line)
{
    const struct write_exec *x = arg;
    char text[5000];
    int n = snprintf(text, sizeof text, "kernel '%s': %.*s\n", rkp_actor_kernel(x->actor), RKP_STR_ARG(line));
    if (n > 0)
        rkp_log(x->actor, (rkp_str){ text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1 });
}

// It reads no more.  It has the time of `grace` to end, so that its own words are told.
static rkp_verdict gone(struct write_exec *x, rkp_actor *a)
{
    struct pollfd p = { .fd = rkp_child_exit_fd(x->child), .events = POLLIN };
    const char *name = x->command.argv.v[0].p;
    char err[RKP_FILE_ERR];
    rkp_status st;
    poll(&p, 1, (int)(x->command.grace_ns / 1000000));
    if (!rkp_child_ended(x->child)) {
        rkp_child_stop(x->child);
        return rkp_fail(a, RKP_IO, "command '%.100s' has closed its input before the end", name);
    }
    st = rkp_child_wait(x->child, err);
    rkp_child_free(x->child);
    x->child = NULL;
    if (st == RKP_OK)
        return rkp_fail(a, RKP_IO, "command '%.100s' has ended before the end of its input", name);
    return rkp_fail(a, st, "%s", err);
}

static rkp_verdict give(struct write_exec *x, rkp_actor *a, rkp_str text)
{
    rkp_count(a, M_BYTES, text.n);
    while (text.n) {
        int64_t k = rkp_child_write(x->child, text.p, text.n);
        if (k < 0)
            return gone(x, a);
        if (k == 0 && !rkp_wait_ready(a, rkp_child_fd(x->child), POLLOUT))
            return RKP_DONE; // the run is given up: nobody asks for these rows
        text.p += k;
        text.n -= (size_t)k;
    }
    return RKP_DONE;
}

// Starts the command when it has not been started, and gives it the header.
static rkp_verdict begin(struct write_exec *x, rkp_actor *a)
{
    char err[RKP_FILE_ERR];
    const struct write_csv *w = &x->u.csv;
    rkp_verdict v = RKP_DONE;
    rkp_batch *mem;
    rkp_str text;
    rkp_status st;
    if (x->begun)
        return RKP_DONE;
    x->begun = true;
    x->actor = a;
    st = rkp_child_start(&x->command, RKP_CHILD_WRITE, rkp_actor_env(a), on_line, x, &x->child, err);
    if (st != RKP_OK)
        return rkp_fail(a, st, "%s", err);
    if (x->format != FORMAT_CSV || !x->header)
        return RKP_DONE;
    mem = rkp_batch_new(rkp_actor_pool(a), NULL, 0, 4096);
    if (!mem || rkp_csv_header(mem, &w->in, w->cols, w->n_cols, &w->style, &text) != RKP_OK)
        v = rkp_fail(a, RKP_NOMEM, "out of memory");
    else
        v = give(x, a, text);
    rkp_batch_put(mem);
    return v;
}

static rkp_verdict write_exec_on_batch(void *self, rkp_actor *a, unsigned port, rkp_batch *b)
{
    struct write_exec *x = self;
    rkp_verdict v = begin(x, a);
    (void)port;
    if (v == RKP_DONE)
        v = give(x, a, b->blob);
    if (v == RKP_DONE)
        rkp_absorb(a, b->blob_rows);
    return v;
}

static rkp_verdict write_exec_on_end(void *self, rkp_actor *a)
{
    return begin(self, a); // also when there was no row
}

static rkp_status write_exec_prepare(void *self, rkp_actor *a)
{
    struct write_exec *x = self;
    char err[RKP_FILE_ERR];
    bool early;
    rkp_status st;
    if (!x->child)
        return RKP_OK;
    early = rkp_child_ended(x->child) && rkp_child_unread(x->child) > 0;
    rkp_child_close(x->child);
    while (!rkp_child_ended(x->child))
        if (!rkp_wait_ready(a, rkp_child_exit_fd(x->child), POLLIN))
            return RKP_OK; // the run is given up
    st = rkp_child_wait(x->child, err);
    rkp_child_free(x->child);
    x->child = NULL;
    if (st == RKP_OK && early) {
        st = RKP_IO;
        snprintf(err, sizeof err, "command '%.100s' has ended before the end of its input", x->command.argv.v[0].p);
    }
    if (st != RKP_OK)
        (void)rkp_fail(a, st, "%s", err);
    return st;
}

static void write_exec_abort(void *self, rkp_actor *a)
{
    struct write_exec *x = self;
    (void)a;
    if (x->child)
        rkp_child_stop(x->child); // it is waited for in fini
}

static void write_exec_fini(void *self)
{
    struct write_exec *x = self;
    rkp_child_free(x->child);
}

const rkp_op rkp_op_write_exec = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "write.exec",
    .kind = RKP_SINK,
    .summary = "Give rows to a command.",
    .details =
        "The command is started once, without a shell: `argv` is its name and its arguments. Rows go to its standard "
        "input as they come; its standard output is rkpipe's, its standard error is passed on line by line with the "
        "kernel's name. It gets PATH, HOME, LANG and TZ of rkpipe's environment, what `env` says, and no open file. It "
        "runs in rkpipe's working folder and in a process group of its own.\n\n"
        "At the end its input is closed, and the job succeeds when it ends with status 0. Another status, a signal, or "
        "an "
        "end before all rows were read fails the pipeline with the last line of its standard error. When the pipeline "
        "fails, the process group gets SIGTERM, and SIGKILL after `grace`, before its input ends: a command that acts "
        "at the end of its input does so only when all rows have come. What it has done before cannot be taken "
        "back.\n\n"
        "In `lines` null is an empty line, and a text with a line break is an error row, reason `cast`. Secrets are "
        "refused in `argv` and `env`: other users can see them there. Let the command read a file.",
    .traits = RKP_BLOCKING | RKP_ROWWISE | RKP_EXECS,
    .self_size = sizeof(struct write_exec),
    .opts = write_exec_opts,
    .metrics = write_exec_metrics,
    .examples = write_exec_examples,
    .also = "exec out_exec subprocess command write.command shell pipe",
    .bind = write_exec_bind,
    .init = write_exec_init,
    .encode = write_exec_encode,
    .on_batch = write_exec_on_batch,
    .on_end = write_exec_on_end,
    .prepare = write_exec_prepare,
    .abort = write_exec_abort,
    .fini = write_exec_fini,
};
