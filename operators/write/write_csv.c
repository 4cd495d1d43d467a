// write.csv: rows as CSV files (RFC 4180).
//
//   encode    rows -> bytes (any worker)           on_batch   bytes -> file (its own thread)
//   prepare   end of the compressed data, fsync    commit     the file takes its name
#include "write_csv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { QUOTE_MINIMAL, QUOTE_ALL };
enum { END_LF, END_CRLF };
enum { M_BYTES };

static const rkp_choice commit_names[] = {
    { "rename", RKP_COMMIT_RENAME, "the file appears under its name when the job has succeeded" },
    { "append", RKP_COMMIT_APPEND, "rows are added to what is there" },
    { 0 },
};

static const rkp_choice quote_names[] = {
    { "minimal", QUOTE_MINIMAL, "fields that hold the delimiter, a quote or an end of line" },
    { "all", QUOTE_ALL, "every field but null" },
    { 0 },
};

static const rkp_choice line_end_names[] = {
    { "lf", END_LF, "\\n" },
    { "crlf", END_CRLF, "\\r\\n" },
    { 0 },
};

#define AT(field) offsetof(struct write_csv, field)
static const rkp_opt write_csv_opts[] = {
    { "path", &rkp_path, AT(path), .required = true, .help = "the file; `-` is standard output",
      .also = "file filename output" },
    { "columns", &rkp_word_list, AT(columns), .optional = true, .help = "which columns, in this order; else all",
      .also = "fields select" },
    { "commit", &rkp_choice_type, AT(commit), .def = "rename", .choices = commit_names,
      .help = "when rows become visible", .also = "mode" },
    { "header", &rkp_bool, AT(header), .def = "true", .help = "the first line has the columns' names",
      .also = "include_header write_header" },
    { "delimiter", &rkp_char, AT(delimiter), .def = "','", .help = "between fields", .also = "delim sep separator" },
    { "quote", &rkp_choice_type, AT(quote), .def = "minimal", .choices = quote_names, .help = "which fields are quoted",
      .also = "quoting quote_style force_quote" },
    { "line_end", &rkp_choice_type, AT(line_end), .def = "lf", .choices = line_end_names, .help = "at the end of a row",
      .also = "line_terminator newline" },
    { "compression", &rkp_choice_type, AT(compression), .def = "auto", .choices = rkp_compression_names,
      .help = "how the file is compressed" },
    { "rotate", &rkp_string, AT(rotate), .optional = true, .not_yet = "", .help = "when to begin a new file" },
    { 0 },
};

static const rkp_metric write_csv_metrics[] = {
    [M_BYTES] = { "bytes", RKP_UNIT_BYTES, "bytes of CSV written, before compression" },
    { 0 },
};

static rkp_status write_csv_bind(void *self, rkp_bind *b)
{
    struct write_csv *s = self;
    rkp_diags *d = rkp_bind_diags(b);
    rkp_status st = RKP_OK;
    file_out_bind(b, s->path, s->commit);
    s->in = *rkp_bind_in(b);
    s->n_cols = s->columns.n ? (uint32_t)s->columns.n : s->in.n;
    s->cols = rkp_opt_alloc(rkp_bind_mem(b), (s->n_cols ? s->n_cols : 1) * sizeof *s->cols);
    if (!s->cols)
        return RKP_NOMEM;
    for (uint32_t i = 0; i < s->n_cols; i++) {
        int c = s->columns.n ? rkp_bind_column(b, s->columns.v[i]) : (int)i;
        if (c < 0) {
            st = RKP_INVALID;
            continue;
        }
        s->cols[i] = (uint32_t)c;
        rkp_bind_read(b, (uint32_t)c);
        if (s->in.f[c].type.len) {
            if (d) {
                rkp_diag(d, RKP_ERROR, rkp_bind_at(b), "csv-array",
                         "column '" RKP_STR_FMT "' is an array, which CSV has no place for",
                         RKP_STR_ARG(s->in.f[c].name));
                rkp_diag_hint(d, "name the other columns in 'columns'");
            }
            st = RKP_INVALID;
        }
    }
    s->style = (rkp_csv_style){
        .delim = s->delimiter, .quote = '"', .crlf = s->line_end == END_CRLF, .quote_all = s->quote == QUOTE_ALL
    };
    if (s->delimiter == '"' || s->delimiter == '\n' || s->delimiter == '\r' || s->delimiter == 0) {
        if (d)
            rkp_diag(d, RKP_ERROR, rkp_bind_at(b), "csv-dialect", "'delimiter' cannot be a quote or the end of a line");
        st = RKP_INVALID;
    }
    if (memmem(s->path.p, s->path.n, "${", 2)) {
        if (d)
            rkp_diag(d, RKP_ERROR, s->path.at, "not-supported",
                     "a path that is filled in per row is not supported yet");
        st = RKP_INVALID;
    }
    return st;
}

// The folder must be there before hours of work, not after.
static rkp_status write_csv_init(void *self, rkp_actor *a)
{
    struct write_csv *s = self;
    const char *slash = strrchr(s->path.p, '/');
    char folder[4096];
    size_t n = slash ? (size_t)(slash - s->path.p) : 0;
    struct stat st;
    if (!slash || n == 0 || n >= sizeof folder || stat(s->path.p, &st) == 0)
        return RKP_OK;
    memcpy(folder, s->path.p, n);
    folder[n] = 0;
    if (stat(folder, &st) < 0) {
        char t[128];
        rkp_fail(a, RKP_UNAVAILABLE, "cannot write '%s': the folder '%s' is not there (%s)", s->path.p, folder,
                 strerror_r(errno, t, sizeof t));
        return RKP_UNAVAILABLE;
    }
    return RKP_OK;
}

static rkp_verdict write_csv_encode(void *self, rkp_actor *a, rkp_batch *b)
{
    struct write_csv *s = self;
    rkp_errs *errs = rkp_actor_errs(a);
    rkp_batch *out = rkp_batch_new(rkp_actor_pool(a), NULL, 0, 0);
    rkp_verdict v = RKP_DONE;
    if (!out || rkp_csv_rows(out, b, s->cols, s->n_cols, &s->style, &out->blob, errs) != RKP_OK || errs->failed) {
        rkp_batch_put(out);
        return rkp_fail(a, RKP_NOMEM, "out of memory");
    }
    out->blob_rows = b->rows - errs->n;
    out->in_bytes = b->in_bytes;
    if (errs->n)
        v = rkp_reject(a, b, errs);
    if (v == RKP_FAIL)
        rkp_batch_put(out);
    else
        rkp_emit(a, 0, out);
    return v;
}

// ---- the file -------------------------------------------------------------------------------------------------------

// What a failed write means: nobody reading a pipe any more is the end of the work, not a failure.
static rkp_verdict write_failed(struct write_csv *s, rkp_actor *a, rkp_status st, const char *err)
{
    if (s->out && rkp_writer_hung_up(s->out))
        return RKP_STOP;
    return file_out_failed(&s->tries, a, s->out, st, err);
}

static rkp_verdict open_out(struct write_csv *s, rkp_actor *a)
{
    char err[RKP_FILE_ERR];
    rkp_status st;
    if (s->out)
        return RKP_DONE;
    s->begun = false;
    st = rkp_writer_open_own(s->path.p, s->commit, s->compression, rkp_owner(a), &s->out, &s->fresh, err);
    return st == RKP_OK ? RKP_DONE : rkp_fail(a, st, "%s", err);
}

// Opens the file when it is not open, and writes the header: for the first row or at the end, and not before, since what is added
// to a file can be taken back only when a checkpoint knows how long it was.
static rkp_verdict begin_out(struct write_csv *s, rkp_actor *a)
{
    char err[RKP_FILE_ERR];
    bool inside = false;
    rkp_verdict v = open_out(s, a);
    rkp_status st = RKP_OK;
    if (v != RKP_DONE || s->begun)
        return v;
    if (!s->fresh && s->compression <= RKP_COMPRESS_NONE)
        st = file_out_inside_line(s->path.p, -1, &inside, err);
    if (st == RKP_OK && inside)
        st = s->style.crlf ? rkp_writer_write(s->out, "\r\n", 2, err) : rkp_writer_write(s->out, "\n", 1, err);
    if (st == RKP_OK && s->fresh && s->header) {
        rkp_batch *mem = rkp_batch_new(rkp_actor_pool(a), NULL, 0, 4096);
        rkp_str text;
        if (!mem || rkp_csv_header(mem, &s->in, s->cols, s->n_cols, &s->style, &text) != RKP_OK) {
            rkp_batch_put(mem);
            return rkp_fail(a, RKP_NOMEM, "out of memory");
        }
        st = rkp_writer_write(s->out, text.p, text.n, err);
        rkp_count(a, M_BYTES, st == RKP_OK ? text.n : 0);
        rkp_batch_put(mem);
    }
    if (st != RKP_OK)
        return write_failed(s, a, st, err);
    s->begun = true;
    s->tries.n = 0;
    return RKP_DONE;
}

static rkp_verdict write_csv_on_batch(void *self, rkp_actor *a, unsigned port, rkp_batch *b)
{
    struct write_csv *s = self;
    char err[RKP_FILE_ERR];
    rkp_verdict v = begin_out(s, a);
    rkp_status st;
    (void)port;
    if (v == RKP_DONE) {
        st = rkp_writer_write(s->out, b->blob.p, b->blob.n, err);
        if (st != RKP_OK)
            v = write_failed(s, a, st, err);
    }
    if (v == RKP_DONE) {
        s->tries.n = 0;
        rkp_absorb(a, b->blob_rows);
        rkp_count(a, M_BYTES, b->blob.n);
    } else if (v == RKP_STOP) {
        rkp_drop(a, b->blob_rows, "stop");
    }
    return v;
}

static rkp_verdict write_csv_on_end(void *self, rkp_actor *a)
{
    struct write_csv *s = self;
    rkp_verdict v = begin_out(s, a); // a file with a header also when there was no row
    s->ended = v != RKP_FAIL && v != RKP_RETRY;
    return v == RKP_STOP ? RKP_DONE : v;
}

static rkp_status write_csv_prepare(void *self, rkp_actor *a)
{
    struct write_csv *s = self;
    char err[RKP_FILE_ERR];
    rkp_status st;
    if (!s->out || rkp_writer_hung_up(s->out))
        return RKP_OK;
    st = rkp_writer_prepare(s->out, err);
    if (st != RKP_OK && !rkp_writer_hung_up(s->out)) {
        rkp_fail(a, st, "%s", err);
        return st;
    }
    return RKP_OK;
}

static rkp_status write_csv_commit(void *self, rkp_actor *a)
{
    struct write_csv *s = self;
    char err[RKP_FILE_ERR];
    rkp_status st = !s->out || rkp_writer_hung_up(s->out) ? RKP_OK : rkp_writer_commit(s->out, err);
    if (st != RKP_OK)
        rkp_fail(a, st, "%s", err);
    return st;
}

static void write_csv_abort(void *self, rkp_actor *a)
{
    struct write_csv *s = self;
    file_out_abort(s->out, a);
    s->out = NULL;
}

// Opens the file, so that what is added to it later can be taken back also when there was no row yet.
static rkp_status write_csv_save(void *self, rkp_actor *a, rkp_save *to)
{
    struct write_csv *s = self;
    if (open_out(s, a) == RKP_FAIL)
        return RKP_IO;
    rkp_save_bool(to, s->fresh);
    rkp_save_bool(to, s->begun);
    return file_out_save(to, a, s->out, s->ended);
}

static rkp_status write_csv_restore(void *self, rkp_actor *a, rkp_load *from)
{
    struct write_csv *s = self;
    s->fresh = rkp_load_bool(from);
    s->begun = rkp_load_bool(from);
    return file_out_restore(from, a, s->path.p, s->commit, s->compression, &s->out, &s->ended);
}

static void write_csv_fini(void *self)
{
    struct write_csv *s = self;
    rkp_writer_close(s->out);
}

static const rkp_example write_csv_examples[] = {
    { .title = "All columns",
      .with = "path: out.csv\n",
      .input = "city,people\nOslo,709037\n\"Washington, D.C.\",\n",
      .output = "city,people\nOslo,709037\n\"Washington, D.C.\",\n" },
    { .title = "Two of three columns, separated by tabs",
      .with = "path: out.tsv\ncolumns: [city, people]\ndelimiter: tab\n",
      .input = "city,country,people\nOslo,NO,709037\n\"Washington, D.C.\",US,\n",
      .output = "city\tpeople\nOslo\t709037\nWashington, D.C.\t\n" },
    { .title = "Add to a file that a spreadsheet opens: every field quoted, lines end as on Windows",
      .with = "path: report.csv\ncommit: append\nquote: all\nline_end: crlf\n",
      .input = "city,people\nOslo,709037\n\"say \"\"hi\"\"\",\n",
      .output = "\"city\",\"people\"\r\n\"Oslo\",\"709037\"\r\n\"say \"\"hi\"\"\",\r\n" },
    { 0 },
};

const rkp_op rkp_op_write_csv = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "write.csv",
    .kind = RKP_SINK,
    .summary = "Write rows as a CSV file.",
    .details =
        "Null is written as nothing and an empty string as \"\". A column that came as text and that no kernel changed "
        "keeps its text; other numbers are the shortest text that reads back to the same value, timestamps are "
        "2024-01-01T00:00:00Z. With `commit: rename` the file appears under its name only when the job has succeeded; "
        "until then it is a hidden file beside it. A symbolic link stays: what it points at is replaced. With `commit: "
        "append` the header is written to an empty file only. A path that ends in .gz or .zst is compressed.\n\n"
        "With the kernel field `retry` a write that finds no room on the disk (`no_space`) is tried again, from the "
        "byte where it stopped; after the last attempt the kernel fails.",
    .traits = RKP_BLOCKING | RKP_DETERMINISTIC | RKP_ROWWISE,
    .self_size = sizeof(struct write_csv),
    .opts = write_csv_opts,
    .metrics = write_csv_metrics,
    .examples = write_csv_examples,
    .also = "csv to_csv sink_csv file file.csv output.csv",
    .retries = FILE_OUT_RETRIES,
    .bind = write_csv_bind,
    .init = write_csv_init,
    .on_batch = write_csv_on_batch,
    .encode = write_csv_encode,
    .on_end = write_csv_on_end,
    .prepare = write_csv_prepare,
    .commit = write_csv_commit,
    .abort = write_csv_abort,
    .fini = write_csv_fini,
    .state_version = 2,
    .save = write_csv_save,
    .restore = write_csv_restore,
};
