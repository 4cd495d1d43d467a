// write.stdout: rows on standard output, as a table to look at, as CSV, or as JSON lines.
//
// CSV and JSON lines are encoded by the workers.  A table keeps its first rows until it knows how wide its columns are;
// rows that come later keep these widths.
#include "file_out.h"

#include <rkpipe/csv.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { FORMAT_TABLE, FORMAT_CSV, FORMAT_JSONL };
enum {
    TABLE_ROWS = 1000,     // that widths are made of
    TABLE_BYTES = 4 << 20, // of them, at most
    NARROW = 6,            // a column is not made narrower for the terminal
};

static const rkp_choice format_names[] = {
    { "table", FORMAT_TABLE, "aligned columns, cut to the width of the terminal" },
    { "csv", FORMAT_CSV, "comma-separated values with a header" },
    { "jsonl", FORMAT_JSONL, "one JSON object a line" },
    { 0 },
};

// A growing text.
struct text {
    char *p;
    size_t n, cap;
    bool failed;
};

struct write_stdout {
    int format; // options
    rkp_words columns;
    bool header;

    rkp_schema in; // bind
    uint32_t *cols;
    uint32_t n_cols;

    rkp_writer *out;  // the sink's thread
    bool again;       // another process has written before
    struct text kept; // cells of the first rows, each with a 0 behind it
    uint64_t kept_rows;
    uint32_t *widths; // NULL: not known yet
    struct text line;
};

#define AT(field) offsetof(struct write_stdout, field)
static const rkp_opt write_stdout_opts[] = {
    { "format", &rkp_choice_type, AT(format), .def = "table", .choices = format_names, .help = "how rows look",
      .also = "encoding codec" },
    { "columns", &rkp_word_list, AT(columns), .optional = true, .help = "which columns, in this order; else all",
      .also = "fields select" },
    { "header", &rkp_bool, AT(header), .def = "true", .help = "table and csv: begin with the columns' names" },
    { 0 },
};

static const rkp_csv_style csv_style = { ',', '"', false, false };

static rkp_status write_stdout_bind(void *self, rkp_bind *b)
{
    struct write_stdout *s = self;
    rkp_status st = RKP_OK;
    rkp_bind_delivery(b, RKP_AT_LEAST_ONCE, "what is on standard output cannot be taken back");
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
        if (s->in.f[c].type.len && rkp_bind_diags(b)) {
            rkp_diag(rkp_bind_diags(b), RKP_ERROR, rkp_bind_at(b), "csv-array",
                     "column '" RKP_STR_FMT "' is an array, which is not shown", RKP_STR_ARG(s->in.f[c].name));
            rkp_diag_hint(rkp_bind_diags(b), "name the other columns in 'columns'");
            st = RKP_INVALID;
        }
    }
    if (s->format == FORMAT_TABLE)
        rkp_bind_whole(b);
    return st;
}

// ---- text -----------------------------------------------------------------------------------------------------------

static bool reserve(struct text *t, size_t more)
{
    size_t cap = t->cap * 2 > t->n + more ? t->cap * 2 : t->n + more + 256;
    char *p;
    if (t->failed || t->cap - t->n >= more)
        return !t->failed;
    p = realloc(t->p, cap);
    if (!p) {
        t->failed = true;
        return false;
    }
    t->p = p;
    t->cap = cap;
    return true;
}

static void put(struct text *t, const char *p, size_t n)
{
    if (n && reserve(t, n)) {
        memcpy(t->p + t->n, p, n);
        t->n += n;
    }
}

static void put_char(struct text *t, char c)
{
    put(t, &c, 1);
}

// Bytes of the UTF-8 character at p and its code point; 1 byte and U+FFFD when it is none.
static size_t next_char(const char *p, size_t n, uint32_t *cp)
{
    static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
    const unsigned char *u = (const unsigned char *)p;
    size_t k = u[0] < 0x80 ? 1 : u[0] >= 0xf0 ? 4 : u[0] >= 0xe0 ? 3 : 2;
    uint32_t c = k == 1 ? u[0] : u[0] & (0x7fu >> k);
    *cp = 0xfffd;
    if (u[0] >= 0x80 && (u[0] < 0xc2 || u[0] > 0xf4 || k > n))
        return 1;
    for (size_t i = 1; i < k; i++) {
        if ((u[i] & 0xc0) != 0x80)
            return 1;
        c = c << 6 | (u[i] & 0x3f);
    }
    if (c < least[k] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return 1;
    *cp = c;
    return k;
}

// ---- JSON lines -----------------------------------------------------------------------------------------------------

static void put_json_string(struct text *t, rkp_str s)
{
    put_char(t, '"');
    for (size_t i = 0; i < s.n;) {
        uint32_t cp;
        size_t k = next_char(s.p + i, s.n - i, &cp);
        char u[8];
        if (cp == '"' || cp == '\\') {
            put_char(t, '\\');
            put_char(t, (char)cp);
        } else if (cp < 0x20) {
            int n = cp == '\n'   ? snprintf(u, sizeof u, "\\n")
                    : cp == '\t' ? snprintf(u, sizeof u, "\\t")
                    : cp == '\r' ? snprintf(u, sizeof u, "\\r")
                                 : snprintf(u, sizeof u, "\\u%04x", (unsigned)cp);
            put(t, u, (size_t)n);
        } else if (cp == 0xfffd) {
            put(t, "\xef\xbf\xbd", 3);
        } else {
            put(t, s.p + i, k);
        }
        i += k;
    }
    put_char(t, '"');
}

// The columns' values as text, rows x n_cols; numbers and times are parsed and printed, so that they are JSON.
static rkp_status json_cells(const struct write_stdout *s, rkp_batch *mem, const rkp_batch *b, rkp_str *cells,
                             rkp_errs *errs)
{
    rkp_batch *flat = rkp_batch_new(mem->pool, NULL, s->n_cols, 4096);
    rkp_status st = flat ? RKP_OK : RKP_NOMEM;
    for (uint32_t c = 0; st == RKP_OK && c < s->n_cols; c++) {
        st = rkp_col_flat(mem, b, s->cols[c], NULL, b->rows, &flat->cols[c], errs);
        if (st == RKP_OK)
            st = rkp_col_texts(mem, flat, c, b->rows, cells + (size_t)c * b->rows, errs);
    }
    rkp_batch_put(flat);
    return st;
}

static void put_json_value(struct text *t, unsigned kind, rkp_str v)
{
    if (!v.p || (rkp_kind_is_float(kind) && v.n && (v.p[v.n - 1] == 'f' || v.p[v.n - 1] == 'n')))
        put(t, "null", 4); // also inf and nan, which JSON has no word for
    else if (kind == RKP_TIMESTAMP || kind == RKP_STRING || kind == RKP_BYTES)
        put_json_string(t, v);
    else
        put(t, v.p, v.n);
}

static rkp_status json_rows(const struct write_stdout *s, rkp_batch *out, const rkp_batch *b, rkp_errs *errs,
                            uint32_t *written)
{
    rkp_batch *mem = rkp_batch_new(b->pool, NULL, 0, (size_t)b->rows * s->n_cols * sizeof(rkp_str) + 4096);
    rkp_str *cells = mem ? rkp_batch_alloc(mem, ((size_t)b->rows * s->n_cols + 1) * sizeof *cells) : NULL;
    uint8_t *bad = mem ? rkp_batch_alloc(mem, b->rows / 8 + 1) : NULL;
    struct text t = { 0 };
    rkp_status st = cells && bad ? json_cells(s, mem, b, cells, errs) : RKP_NOMEM;
    char *to;
    *written = 0;
    if (st != RKP_OK)
        goto out;
    memset(bad, 0, b->rows / 8 + 1);
    for (uint32_t i = 0; i < errs->n; i++)
        rkp_bit_set(bad, errs->v[i].row);
    for (uint32_t i = 0; i < b->rows; i++) {
        if (rkp_bit(bad, i))
            continue;
        for (uint32_t c = 0; c < s->n_cols; c++) {
            put_char(&t, c ? ',' : '{');
            put_json_string(&t, s->in.f[s->cols[c]].name);
            put_char(&t, ':');
            put_json_value(&t, s->in.f[s->cols[c]].type.kind, cells[(size_t)c * b->rows + i]);
        }
        put(&t, s->n_cols ? "}\n" : "{}\n", s->n_cols ? 2 : 3);
        ++*written;
    }
    to = t.failed ? NULL : rkp_batch_alloc(out, t.n);
    if (!to) {
        st = RKP_NOMEM;
        goto out;
    }
    if (t.n)
        memcpy(to, t.p, t.n);
    out->blob = (rkp_str){ to, t.n };
out:
    free(t.p);
    rkp_batch_put(mem);
    return st;
}

static int by_row(const void *a, const void *b)
{
    const rkp_err *x = a, *y = b;
    return x->row < y->row ? -1 : x->row > y->row;
}

// One entry a row, in their order: several columns may have listed the same row.
static void sort_errs(rkp_errs *e)
{
    uint32_t n = 0;
    if (e->n < 2)
        return;
    qsort(e->v, e->n, sizeof *e->v, by_row);
    for (uint32_t i = 0; i < e->n; i++)
        if (!n || e->v[n - 1].row != e->v[i].row)
            e->v[n++] = e->v[i];
    e->n = n;
}

static rkp_verdict write_stdout_encode(void *self, rkp_actor *a, rkp_batch *b)
{
    struct write_stdout *s = self;
    rkp_errs *errs = rkp_actor_errs(a);
    rkp_batch *out = rkp_batch_new(rkp_actor_pool(a), NULL, 0, 0);
    rkp_verdict v = RKP_DONE;
    rkp_status st = RKP_NOMEM;
    uint32_t rows = 0;
    if (out && s->format == FORMAT_JSONL)
        st = json_rows(s, out, b, errs, &rows);
    else if (out)
        st = rkp_csv_rows(out, b, s->cols, s->n_cols, &csv_style, &out->blob, errs);
    if (st != RKP_OK || errs->failed) {
        rkp_batch_put(out);
        return rkp_fail(a, RKP_NOMEM, "out of memory");
    }
    sort_errs(errs);
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

// ---- table ----------------------------------------------------------------------------------------------------------

// Columns of the terminal that a character takes; a coarse table of what is wide and what combines.
static unsigned char_width(uint32_t cp)
{
    if ((cp >= 0x300 && cp < 0x370) || cp == 0x200b || cp == 0x200d || (cp >= 0xfe00 && cp < 0xfe10))
        return 0;
    return (cp >= 0x1100 && cp < 0x1160) || (cp >= 0x2e80 && cp < 0xa4d0) || (cp >= 0xac00 && cp < 0xd7a4) ||
                   (cp >= 0xf900 && cp < 0xfb00) || (cp >= 0xfe30 && cp < 0xfe70) || (cp >= 0xff00 && cp < 0xff61) ||
                   (cp >= 0x1f300 && cp < 0x1f650) || (cp >= 0x1f900 && cp < 0x1fa00) || (cp >= 0x20000 && cp < 0x40000)
               ? 2
               : 1;
}

// A cell as it is shown: control characters become visible, so that no value can steer the terminal.
static void put_cell(struct text *t, rkp_str v)
{
    if (!v.p) {
        put(t, "null", 4);
        return;
    }
    for (size_t i = 0; i < v.n;) {
        uint32_t cp;
        size_t k = next_char(v.p + i, v.n - i, &cp);
        char u[12];
        if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0)) {
            int n = cp == '\n'   ? snprintf(u, sizeof u, "\\n")
                    : cp == '\t' ? snprintf(u, sizeof u, "\\t")
                    : cp == '\r' ? snprintf(u, sizeof u, "\\r")
                                 : snprintf(u, sizeof u, "\\x%02x", (unsigned)cp);
            put(t, u, (size_t)n);
        } else if (cp == 0xfffd) {
            put(t, "\xef\xbf\xbd", 3);
        } else {
            put(t, v.p + i, k);
        }
        i += k;
    }
}

static uint32_t width_of(const char *p, size_t n)
{
    uint32_t w = 0, cp;
    for (size_t i = 0; i < n;) {
        i += next_char(p + i, n - i, &cp);
        w += char_width(cp);
    }
    return w;
}

static void pad(struct text *t, uint32_t n, char c)
{
    if (reserve(t, n)) {
        memset(t->p + t->n, c, n);
        t->n += n;
    }
}

// One cell in its column: numbers to the right, too long ones cut, no blanks behind the last.
static void put_aligned(struct text *t, const char *p, size_t n, uint32_t width, bool right, bool cut, bool last)
{
    uint32_t w = width_of(p, n);
    if (cut && w > width) {
        uint32_t seen = 0, cp;
        size_t i = 0;
        while (i < n) {
            size_t k = next_char(p + i, n - i, &cp);
            if (seen + char_width(cp) > width - 1)
                break;
            seen += char_width(cp);
            i += k;
        }
        put(t, p, i);
        put(t, "\xe2\x80\xa6", 3); // an ellipsis
        w = seen + 1;
        right = false;
    } else {
        if (right && w < width)
            pad(t, width - w, ' ');
        put(t, p, n);
    }
    if (last)
        put_char(t, '\n');
    else if (!right && w < width)
        pad(t, width - w + 2, ' ');
    else
        put(t, "  ", 2);
}

static uint32_t terminal_width(void)
{
    struct winsize w;
    return isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 ? w.ws_col : 0;
}

// Makes the widest columns narrower until the table fits.
static void fit(uint32_t *widths, uint32_t n, uint32_t terminal)
{
    for (;;) {
        uint64_t sum = n ? 2 * (uint64_t)(n - 1) : 0;
        uint32_t widest = 0;
        for (uint32_t i = 0; i < n; i++) {
            sum += widths[i];
            widest = widths[i] > widths[widest] ? i : widest;
        }
        if (sum <= terminal || !n || widths[widest] <= NARROW)
            return;
        widths[widest] -= sum - terminal < widths[widest] / 4 ? (uint32_t)(sum - terminal) : widths[widest] / 4;
        if (widths[widest] < NARROW)
            widths[widest] = NARROW;
    }
}

static bool right_aligned(const struct write_stdout *s, uint32_t c)
{
    return rkp_kind_is_num(s->in.f[s->cols[c]].type.kind);
}

// The next kept cell; *at moves behind it.
static rkp_str cell_at(const struct write_stdout *s, size_t *at)
{
    const char *p = s->kept.p + *at;
    size_t n = strlen(p); // put_cell writes no 0
    *at += n + 1;
    return (rkp_str){ p, n };
}

// Gives the columns their widths and moves the header and the kept rows to `line`.
static bool begin_table(struct write_stdout *s)
{
    uint32_t terminal = terminal_width();
    struct text names = { 0 };
    size_t at = 0;
    s->widths = calloc(s->n_cols ? s->n_cols : 1, sizeof *s->widths);
    if (!s->widths)
        return false;
    for (uint32_t c = 0; c < s->n_cols; c++) {
        size_t from = names.n;
        put_cell(&names, s->in.f[s->cols[c]].name);
        if (s->header && !names.failed)
            s->widths[c] = width_of(names.p + from, names.n - from);
        put_char(&names, 0);
    }
    for (uint64_t i = 0; i < s->kept_rows * s->n_cols; i++) {
        rkp_str v = cell_at(s, &at);
        uint32_t w = width_of(v.p, v.n), *to = &s->widths[i % s->n_cols];
        *to = w > *to ? w : *to;
    }
    if (terminal)
        fit(s->widths, s->n_cols, terminal);
    if (s->header && !names.failed) {
        const char *p = names.p;
        for (uint32_t c = 0; c < s->n_cols; c++) {
            put_aligned(&s->line, p, strlen(p), s->widths[c], right_aligned(s, c), terminal > 0, c + 1 == s->n_cols);
            p += strlen(p) + 1;
        }
        for (uint32_t c = 0; c < s->n_cols; c++) {
            pad(&s->line, s->widths[c], '-');
            put(&s->line, c + 1 < s->n_cols ? "  " : "\n", c + 1 < s->n_cols ? 2 : 1);
        }
    }
    at = 0;
    for (uint64_t i = 0; i < s->kept_rows * s->n_cols; i++) {
        rkp_str v = cell_at(s, &at);
        uint32_t c = (uint32_t)(i % s->n_cols);
        put_aligned(&s->line, v.p, v.n, s->widths[c], right_aligned(s, c), terminal > 0, c + 1 == s->n_cols);
    }
    free(names.p);
    free(s->kept.p);
    s->kept = (struct text){ 0 };
    return !names.failed && !s->line.failed;
}

static rkp_verdict failed(struct write_stdout *s, rkp_actor *a, rkp_status st, const char *err)
{
    if (s->out && rkp_writer_hung_up(s->out))
        return RKP_STOP;
    return rkp_fail(a, st, "%s", err);
}

// The last line of a process before may be torn, where standard output is a file that is added to.
static rkp_status end_line(rkp_writer *w, char err[RKP_FILE_ERR])
{
    int64_t at = fcntl(STDOUT_FILENO, F_GETFL) & O_APPEND ? -1 : lseek(STDOUT_FILENO, 0, SEEK_CUR);
    bool inside;
    rkp_status st = file_out_inside_line("/proc/self/fd/1", at, &inside, err);
    return st == RKP_OK && inside ? rkp_writer_write(w, "\n", 1, err) : st;
}

static rkp_verdict open_out(struct write_stdout *s, rkp_actor *a)
{
    char err[RKP_FILE_ERR];
    rkp_batch *mem;
    rkp_str text;
    rkp_status st;
    if (s->out)
        return RKP_DONE;
    st = rkp_writer_open("-", RKP_COMMIT_APPEND, RKP_COMPRESS_NONE, &s->out, NULL, err);
    if (st == RKP_OK && (s->again || s->format != FORMAT_TABLE))
        st = end_line(s->out, err);
    if (st != RKP_OK)
        return failed(s, a, st, err);
    if (s->format != FORMAT_CSV || !s->header)
        return RKP_DONE;
    mem = rkp_batch_new(rkp_actor_pool(a), NULL, 0, 4096);
    if (!mem || rkp_csv_header(mem, &s->in, s->cols, s->n_cols, &csv_style, &text) != RKP_OK) {
        rkp_batch_put(mem);
        return rkp_fail(a, RKP_NOMEM, "out of memory");
    }
    st = rkp_writer_write(s->out, text.p, text.n, err);
    rkp_batch_put(mem);
    return st == RKP_OK ? RKP_DONE : failed(s, a, st, err);
}

static rkp_verdict write_line(struct write_stdout *s, rkp_actor *a)
{
    char err[RKP_FILE_ERR];
    rkp_status st = rkp_writer_write(s->out, s->line.p, s->line.n, err);
    s->line.n = 0;
    return st == RKP_OK ? RKP_DONE : failed(s, a, st, err);
}

static rkp_verdict table_batch(struct write_stdout *s, rkp_actor *a, rkp_batch *b)
{
    rkp_errs *errs = rkp_actor_errs(a);
    rkp_batch *mem = rkp_batch_new(rkp_actor_pool(a), NULL, 0, (size_t)b->rows * s->n_cols * sizeof(rkp_str) + 4096);
    rkp_str *cells = mem ? rkp_batch_alloc(mem, ((size_t)b->rows * s->n_cols + 1) * sizeof *cells) : NULL;
    bool cut = terminal_width() > 0;
    rkp_status st = cells ? RKP_OK : RKP_NOMEM;
    rkp_verdict v = RKP_DONE;
    uint32_t e = 0;
    for (uint32_t c = 0; st == RKP_OK && c < s->n_cols; c++)
        st = rkp_col_texts(mem, b, s->cols[c], b->rows, cells + (size_t)c * b->rows, errs);
    sort_errs(errs);
    for (uint32_t i = 0; st == RKP_OK && i < b->rows; i++) {
        if (e < errs->n && errs->v[e].row == i) {
            e++;
            continue;
        }
        for (uint32_t c = 0; c < s->n_cols; c++) {
            rkp_str cell = cells[(size_t)c * b->rows + i];
            size_t from = s->kept.n;
            put_cell(&s->kept, cell);
            if (s->widths && !s->kept.failed) {
                put_aligned(&s->line, s->kept.p + from, s->kept.n - from, s->widths[c], right_aligned(s, c), cut,
                            c + 1 == s->n_cols);
                s->kept.n = from;
            } else {
                put_char(&s->kept, 0);
            }
        }
        s->kept_rows += !s->widths;
        if (!s->widths && (s->kept_rows == TABLE_ROWS || s->kept.n > TABLE_BYTES) && !s->kept.failed && !begin_table(s))
            st = RKP_NOMEM;
    }
    if (st != RKP_OK || errs->failed || s->kept.failed || s->line.failed)
        v = rkp_fail(a, RKP_NOMEM, "out of memory");
    else if (errs->n)
        v = rkp_reject(a, b, errs);
    if (v != RKP_FAIL)
        v = write_line(s, a);
    if (v == RKP_DONE)
        rkp_absorb(a, b->rows - errs->n);
    else if (v == RKP_STOP)
        rkp_drop(a, b->rows - errs->n, "stop");
    rkp_batch_put(mem);
    return v;
}

static rkp_verdict write_stdout_on_batch(void *self, rkp_actor *a, unsigned port, rkp_batch *b)
{
    struct write_stdout *s = self;
    char err[RKP_FILE_ERR];
    rkp_verdict v = open_out(s, a);
    rkp_status st;
    (void)port;
    if (v == RKP_DONE && s->format == FORMAT_TABLE)
        return table_batch(s, a, b);
    if (v == RKP_DONE) {
        st = rkp_writer_write(s->out, b->blob.p, b->blob.n, err);
        if (st != RKP_OK)
            v = failed(s, a, st, err);
    }
    if (v == RKP_DONE)
        rkp_absorb(a, b->blob_rows);
    else if (v == RKP_STOP)
        rkp_drop(a, s->format == FORMAT_TABLE ? b->rows : b->blob_rows, "stop");
    return v;
}

// The rows that a table still keeps.
static rkp_verdict show_kept(struct write_stdout *s, rkp_actor *a)
{
    if (s->format != FORMAT_TABLE || s->widths)
        return RKP_DONE;
    return begin_table(s) ? write_line(s, a) : rkp_fail(a, RKP_NOMEM, "out of memory");
}

static rkp_verdict write_stdout_on_end(void *self, rkp_actor *a)
{
    struct write_stdout *s = self;
    rkp_verdict v = open_out(s, a);
    if (v == RKP_DONE)
        v = show_kept(s, a);
    return v == RKP_STOP ? RKP_DONE : v;
}

// Who reads the output of another process begins anew, so nothing is kept for it.
static rkp_status write_stdout_save(void *self, rkp_actor *a, rkp_save *to)
{
    struct write_stdout *s = self;
    char err[RKP_FILE_ERR];
    rkp_writer_place p;
    rkp_verdict v = s->kept_rows ? show_kept(s, a) : RKP_DONE;
    rkp_status st = RKP_OK;
    (void)to;
    if (v == RKP_FAIL)
        return RKP_IO;
    if (s->out && !rkp_writer_hung_up(s->out))
        st = rkp_writer_sync(s->out, &p, err);
    if (st == RKP_OK || rkp_writer_hung_up(s->out))
        return RKP_OK;
    rkp_fail(a, st, "%s", err);
    return st;
}

static rkp_status write_stdout_restore(void *self, rkp_actor *a, rkp_load *from)
{
    struct write_stdout *s = self;
    (void)a;
    s->again = true;
    return rkp_load_ok(from) ? RKP_OK : RKP_INVALID;
}

static void write_stdout_fini(void *self)
{
    struct write_stdout *s = self;
    rkp_writer_close(s->out);
    free(s->kept.p);
    free(s->line.p);
    free(s->widths);
}

static const rkp_example write_stdout_examples[] = {
    { .title = "A small result to look at",
      .with = "",
      .input = "city,people\nOslo,709037\nBergen,291940\n",
      .output = "city    people\n------  ------\nOslo    709037\nBergen  291940\n" },
    { .title = "For the next program",
      .with = "format: jsonl\n",
      .input = "city,people\nOslo,709037\nAtlantis,\n",
      .output = "{\"city\":\"Oslo\",\"people\":709037}\n{\"city\":\"Atlantis\",\"people\":null}\n" },
    { 0 },
};

const rkp_op rkp_op_write_stdout = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "write.stdout",
    .kind = RKP_SINK,
    .summary = "Show rows on standard output.",
    .details = "A table is for people: it waits for its first 1,000 rows, a checkpoint or the end, then its columns "
               "have the widths these need; on a terminal long values are cut to fit. Use csv or jsonl for programs.",
    .traits = RKP_BLOCKING | RKP_DETERMINISTIC | RKP_ROWWISE,
    .self_size = sizeof(struct write_stdout),
    .opts = write_stdout_opts,
    .examples = write_stdout_examples,
    .also = "stdout print console show display",
    .bind = write_stdout_bind,
    .on_batch = write_stdout_on_batch,
    .encode = write_stdout_encode,
    .on_end = write_stdout_on_end,
    .fini = write_stdout_fini,
    .state_version = 1,
    .save = write_stdout_save,
    .restore = write_stdout_restore,
};
