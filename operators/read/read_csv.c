// read.csv: rows of CSV files (RFC 4180), each column the text it came as until somebody needs the value.
//
//   poll    read() -> [pad | record record .. record | part of one]      one pass: quotes, newlines, last record's end
//                      `------- a raw chunk -------'  `- carried over
//   decode  raw chunk -> positions of the separators = a matrix of rows x columns -> TEXT columns over it
//
// The pad byte before the first record gives the first field a separator before it, like all others.  A chunk whose
// every row has as many fields as the header is a matrix as it is; else the good rows are copied into one with a
// position more per row, since a row's end is no longer the next row's beginning.
#include "read_csv.h"

#include "csv_head.h"
#include "file_place.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SLACK = 64,           // bytes behind a chunk that loads may touch
    SAMPLE_ROWS = 10000,  // of the first file
    SAMPLE_MAX = 8 << 20, // bytes of a file
    SAMPLE_STDIN = 1 << 20,
    SAMPLE_STEP = 256 << 10,
    SAMPLE_IDLE_MS = 2000, // a pipe that gives no more is not waited for longer, once it has given a row
    HEAD_MAX = 16 << 20,   // bytes up to the end of the header
    RAW_SHOWN = 4096,      // bytes of a record without an end that go along with its error
};

static const rkp_choice validate_names[] = {
    { "used", CSV_VALIDATE_USED, "only columns that a kernel reads must fit their type; others keep their text" },
    { "all", CSV_VALIDATE_ALL, "every column of every row must fit its type" },
    { 0 },
};

// What the probe found out; lives in the pipeline's arena.
struct csv_answer {
    rkp_words files;
    bool no_wait;      // all can be read without waiting
    rkp_status status; // of finding them; why says what is wrong
    const char *why;
    bool known;         // names and types below
    rkp_schema columns; // of all files, united by name
};

// One input file, for the chunks that came from it: the parent of their batches.
struct source {
    uint32_t n_fields;
    rkp_str name;
    uint32_t absent[2]; // the matrix of a column that the file does not have: null in every row
    int32_t map[];      // out column -> field, -1: absent
};

// A raw chunk, in its batch's memory.
struct chunk {
    rkp_text text; // first: rkp_batch.text points at it
    const struct source *from;
    bool quotes, exact;
};

#define AT(field) offsetof(struct read_csv, field)
static const rkp_opt read_csv_opts[] = {
    { "path", &rkp_word_list, AT(path), .required = true, .help = "files to read, globs too; `-` is standard input",
      .also = "file files filename paths include inputs" },
    { "schema", &rkp_schema_name, AT(schema), .optional = true,
      .help = "columns and types; without it the names come from the header and the types from the first 10,000 rows",
      .also = "dtypes types" },
    { "header", &rkp_bool, AT(header), .def = "true",
      .help = "the first row has the names; else they come from `schema` or `columns`, or are column0, column1, ..",
      .also = "has_header headers" },
    { "delimiter", &rkp_char, AT(delimiter), .def = "','", .help = "between fields", .also = "delim sep separator" },
    { "quote", &rkp_string, AT(quote), .def = "'\"'", .help = "around fields; empty: quotes are text like any other",
      .also = "quotechar quote_char" },
    { "nulls", &rkp_word_list, AT(nulls), .def = "[\"\"]", .help = "texts that mean null, quoted or not",
      .also = "null_values na_values nullstr" },
    { "columns", &rkp_word_list, AT(columns), .optional = true,
      .help = "which columns, in this order; with `header: false` and no schema, the names of all",
      .also = "usecols select fields names" },
    { "event_time", &rkp_string, AT(event_time), .optional = true, .not_yet = "",
      .help = "the column that says when a row happened" },
    { "compression", &rkp_choice_type, AT(compression), .def = "auto", .choices = rkp_compression_names,
      .help = "how the files are compressed" },
    { "follow", &rkp_bool, AT(follow), .def = "false",
      .help = "wait for more at the end of a file (true is not supported yet)", .also = "tail" },
    { "validate", &rkp_choice_type, AT(validate), .def = "used", .choices = validate_names,
      .help = "which columns must fit their type" },
    { "skip_rows", &rkp_uint, AT(skip_rows), .def = "0", .bounded = true, .min = 0, .max = 1e6, .unit = "lines",
      .help = "lines of each file before its header", .also = "skip skiprows skip_lines" },
    { "max_record", &rkp_size, AT(max_record), .def = "16MiB", .bounded = true, .min = 16, .max = 1u << 30,
      .unit = "bytes", .help = "a longer record is a bad row (reason size)", .also = "max_line_size" },
    { "chunk_bytes", &rkp_size, AT(chunk_bytes), .def = "510KiB", .bounded = true, .min = 16, .max = 1u << 30,
      .unit = "bytes", .help = "text in one batch; which rows come out does not depend on it",
      .also = "block_size chunk_size" },
    { "idle", &rkp_duration, AT(idle_ns), .def = "200ms", .bounded = true, .min = 0, .max = 3600e9,
      .help = "when a pipe gives nothing for so long, pass on the rows that have come; 0: wait for a full chunk" },
    { 0 },
};

static const rkp_metric read_csv_metrics[] = {
    [M_FILES] = { "files", RKP_UNIT_COUNT, "files begun" },
    [M_CHUNKS] = { "chunks", RKP_UNIT_COUNT, "chunks decoded" },
    [M_EXACT] = { "exact_chunks", RKP_UNIT_COUNT, "chunks read byte by byte because of stray quotes" },
    [M_UNEVEN] = { "uneven_chunks", RKP_UNIT_COUNT, "chunks with blank lines or bad rows" },
    { 0 },
};

// ---- options --------------------------------------------------------------------------------------------------------

static rkp_status set_dialect(struct read_csv *s, rkp_diags *d)
{
    const char *why = NULL;
    s->dialect.delim = s->delimiter;
    s->dialect.quote = s->quote.n ? s->quote.p[0] : 0;
    if (s->quote.n > 1 || (s->quote.n == 1 && (s->quote.p[0] < ' ' || s->quote.p[0] > '~')))
        why = "'quote' is one character, or empty for none";
    else if (s->quote.n && s->quote.p[0] == s->delimiter)
        why = "'quote' and 'delimiter' are the same";
    else if (s->delimiter == '\n' || s->delimiter == '\r' || s->delimiter == 0)
        why = "'delimiter' cannot be the end of a line";
    if (!why)
        return RKP_OK;
    if (d)
        rkp_diag(d, RKP_ERROR, s->quote.at, "csv-dialect", "%s", why);
    return RKP_INVALID;
}

static void *arena_alloc(void *c, size_t bytes)
{
    return rkp_opt_alloc(c, bytes);
}

static struct csv_memory arena_memory(rkp_opt_ctx *c)
{
    return (struct csv_memory){ arena_alloc, c };
}

static void *batch_alloc(void *b, size_t bytes)
{
    return rkp_batch_alloc(b, bytes);
}

static bool is_null(const rkp_words *nulls, rkp_str s)
{
    for (size_t i = 0; i < nulls->n; i++)
        if (rkp_str_eq(rkp_word_str(nulls->v[i]), s))
            return true;
    return false;
}

// Bytes of a regular file; 0 when there is none of that name.
static uint64_t file_size(const char *path)
{
    struct stat st;
    return strcmp(path, "-") != 0 && stat(path, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
}

static bool is_pipe(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

// ---- probe ----------------------------------------------------------------------------------------------------------

// The beginning of one file.
struct sample {
    char *p;
    size_t n, cap;
    bool whole; // all of the file
};

static void lf_from(char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] == '\r')
            p[i] = '\n';
}

static uint64_t count_lines(const char *p, size_t n)
{
    uint64_t lines = 0;
    for (const char *e = p + n; p < e && (p = memchr(p, '\n', (size_t)(e - p))); p++)
        lines++;
    return lines;
}

// Reads raw bytes of standard input for the sample; they are given to the instance that polls.
static rkp_status take_stdin(struct read_csv *s, rkp_probe *p, rkp_str *kept, char err[RKP_FILE_ERR])
{
    size_t n = 0;
    char *b = rkp_opt_alloc(rkp_probe_mem(p), SAMPLE_STDIN);
    if (!b)
        return RKP_NOMEM;
    while (n < SAMPLE_STDIN) {
        struct pollfd f = { .fd = STDIN_FILENO, .events = POLLIN };
        uint64_t lines = count_lines(b, n);
        ssize_t k;
        // Compressed data have no lines to count: the timeout alone ends them early.
        if (lines > SAMPLE_ROWS + s->skip_rows || (s->schema.schema && lines > s->skip_rows + 1))
            break;
        if (poll(&f, 1, lines > s->skip_rows + 1 ? SAMPLE_IDLE_MS : -1) == 0)
            break;
        k = read(STDIN_FILENO, b + n, SAMPLE_STDIN - n);
        if (k == 0)
            break;
        if (k > 0) {
            n += (size_t)k;
        } else if (errno != EINTR && errno != EAGAIN) {
            snprintf(err, RKP_FILE_ERR, "cannot read standard input: %s", strerror(errno));
            return RKP_IO;
        }
    }
    *kept = (rkp_str){ b, n };
    rkp_probe_keep(p, *kept);
    return RKP_OK;
}

static rkp_status read_sample(const struct read_csv *s, const char *path, rkp_str kept, uint64_t rows, struct sample *m,
                              char err[RKP_FILE_ERR])
{
    rkp_reader *r = NULL;
    rkp_status st = rkp_reader_open(strcmp(path, "-") == 0 ? NULL : path, s->compression, kept, &r, err);
    size_t step = rows * 64 < SAMPLE_STEP ? rows * 64 + 4096 : SAMPLE_STEP;
    uint64_t lines = 0;
    while (st == RKP_OK && m->n < SAMPLE_MAX && lines <= rows + s->skip_rows) {
        int64_t k;
        if (m->cap - m->n < step) {
            size_t cap = m->cap ? m->cap * 2 : step;
            char *q = realloc(m->p, cap + SLACK);
            if (!q) {
                st = RKP_NOMEM;
                break;
            }
            m->p = q;
            m->cap = cap;
        }
        k = rkp_reader_read(r, m->p + m->n, m->cap - m->n, err);
        if (k <= 0) {
            // The kept bytes of a compressed standard input may end anywhere.
            if (k < 0 && strcmp(path, "-") != 0)
                st = RKP_IO;
            m->whole = k == 0;
            break;
        }
        lines += count_lines(m->p + m->n, (size_t)k);
        m->n += (size_t)k;
    }
    rkp_reader_close(r);
    return st;
}

// Feeds the fields of whole records of the sample to the guesses of the file's columns.
static bool guess_types(const struct read_csv *s, const struct csv_head *h, const char *p, size_t n, uint64_t rows,
                        struct csv_guess **columns)
{
    char *plain = malloc(n + 1);
    size_t *ends = calloc(h->n, sizeof *ends), from = 0, start = 0;
    unsigned mode = CSV_START;
    uint32_t fields = 0;
    bool ok = plain && ends;
    for (size_t i = 0; ok && i < n && rows; i++) {
        bool record;
        if (!csv_step(&s->dialect, &mode, p[i]))
            continue;
        if (fields < h->n)
            ends[fields] = i;
        fields++;
        record = p[i] == '\n';
        if (!record)
            continue;
        if (fields == h->n && (h->n > 1 || i > start)) {
            from = start;
            for (uint32_t c = 0; c < h->n; c++) {
                size_t e = ends[c];
                rkp_str t = { plain, 0 };
                if (c + 1 == h->n && e > from && p[e - 1] == '\r')
                    e--;
                if (csv_field_ok(&s->dialect, p + from, e - from)) {
                    t.n = csv_unquote(&s->dialect, p + from, e - from, plain);
                    if (!is_null(&s->nulls, t))
                        csv_guess_add(columns[c], t);
                }
                from = ends[c] + 1;
            }
            rows--;
        }
        fields = 0;
        start = i + 1;
    }
    free(plain);
    free(ends);
    return ok;
}

struct probing {
    struct read_csv *s;
    rkp_probe *probe;
    struct csv_answer *answer;
    rkp_field *fields;
    struct csv_guess *guesses;
    uint32_t n, cap;
    const char *first; // the file that the first columns come from
    uint32_t first_n;
};

static int find_field(const struct probing *g, rkp_str name)
{
    rkp_schema s = { g->n, g->fields };
    return rkp_schema_find(&s, name);
}

// The union so far with this file's columns; *columns gets the guess of each of its fields.
static rkp_status unite(struct probing *g, const struct csv_head *h, struct csv_guess **columns)
{
    for (uint32_t i = 0; i < h->n; i++) {
        int at = find_field(g, h->names[i]);
        if (at >= 0) {
            columns[i] = &g->guesses[at];
            continue;
        }
        if (g->n == CSV_MAX_COLUMNS)
            return RKP_INVALID;
        g->fields[g->n].name = h->names[i];
        columns[i] = &g->guesses[g->n++];
    }
    return RKP_OK;
}

static rkp_status bad_file(struct probing *g, const char *path, const char *why)
{
    rkp_diag(rkp_probe_diags(g->probe), RKP_ERROR, g->s->path.at, "csv-header", "'%s' %s", path, why);
    return RKP_INVALID;
}

static rkp_status check_head(struct probing *g, const char *path, const struct csv_head *h)
{
    const struct read_csv *s = g->s;
    const rkp_schema *want = s->schema.schema;
    char why[160];
    if (!s->header) {
        uint32_t n = want ? want->n : s->columns.n ? (uint32_t)s->columns.n : g->first ? g->first_n : h->n;
        if (n == h->n)
            return RKP_OK;
        snprintf(why, sizeof why, "has %u fields in its first row, %u are expected", h->n, n);
        return bad_file(g, path, why);
    }
    for (uint32_t i = 0; want && i < want->n; i++) {
        bool there = false;
        for (uint32_t j = 0; j < h->n && !there; j++)
            there = rkp_str_eq(h->names[j], want->f[i].name);
        if (!there && !want->f[i].type.nullable) {
            snprintf(why, sizeof why, "has no column '%.*s', and the schema does not let it be null",
                     (int)(want->f[i].name.n < 64 ? want->f[i].name.n : 64), want->f[i].name.p);
            return bad_file(g, path, why);
        }
    }
    return RKP_OK;
}

// The input is not there, or may not be read: what depends on it is seen when the run starts.
static rkp_status missing(struct probing *g, rkp_loc at, const char *err)
{
    rkp_diags *d = rkp_probe_diags(g->probe);
    size_t n = strlen(err) + 1;
    char *why = rkp_opt_alloc(rkp_probe_mem(g->probe), n);
    if (!why)
        return RKP_NOMEM;
    memcpy(why, err, n);
    g->answer->status = RKP_UNAVAILABLE;
    g->answer->why = why;
    rkp_diag(d, RKP_NOTE, at, "input-missing", "%s", err);
    rkp_diag_hint(d, "what depends on its columns is checked when the pipeline starts");
    rkp_probe_set(g->probe, g->answer);
    return RKP_OK;
}

static rkp_status probe_file(struct probing *g, rkp_word file, rkp_str kept, uint64_t rows)
{
    struct read_csv *s = g->s;
    struct sample m = { 0 };
    struct csv_head h;
    struct csv_guess *columns[CSV_MAX_COLUMNS];
    char err[RKP_FILE_ERR];
    rkp_status st = read_sample(s, file.p, kept, rows, &m, err);
    if (st != RKP_OK) {
        if (st == RKP_UNAVAILABLE)
            st = missing(g, file.at, err);
        else if (st != RKP_NOMEM)
            rkp_diag(rkp_probe_diags(g->probe), RKP_ERROR, file.at, "input-unreadable", "%s", err);
        goto out;
    }
    switch (csv_head(&s->dialect, m.p ? m.p : "", m.n, m.whole || m.n >= SAMPLE_MAX || strcmp(file.p, "-") == 0,
                     s->skip_rows, s->header, arena_memory(rkp_probe_mem(g->probe)), &h)) {
    case CSV_HEAD_OK:
        break;
    case CSV_HEAD_EMPTY:
        goto out;
    case CSV_HEAD_WIDE:
        st = bad_file(g, file.p, "has more than 4,096 columns");
        goto out;
    case CSV_HEAD_QUOTES:
        st = bad_file(g, file.p, "has broken quotes in its header");
        goto out;
    case CSV_HEAD_MORE:
        st = bad_file(g, file.p, "has no end of line in its first 8 MiB");
        goto out;
    default:
        st = RKP_NOMEM;
        goto out;
    }
    for (uint32_t i = 0; !s->header && i < h.n && i < s->columns.n && !s->schema.schema; i++)
        h.names[i] = rkp_word_str(s->columns.v[i]);
    st = check_head(g, file.p, &h);
    if (st != RKP_OK || s->schema.schema)
        goto out;
    st = unite(g, &h, columns);
    if (st != RKP_OK) {
        st = bad_file(g, file.p, "brings the columns of all files to more than 4,096");
        goto out;
    }
    if (!g->first) {
        g->first = file.p;
        g->first_n = h.n;
    }
    if (h.lone_cr)
        lf_from(m.p + h.at, m.n - h.at);
    if (m.whole && m.n > h.at && m.p[m.n - 1] != '\n')
        m.p[m.n++] = '\n'; // the last line; there is slack
    if (!guess_types(s, &h, m.p + h.at, m.n - h.at, rows, columns))
        st = RKP_NOMEM;
out:
    free(m.p);
    return st;
}

static rkp_status read_csv_probe(void *self, rkp_probe *p)
{
    struct read_csv *s = self;
    struct probing g = { .s = s, .probe = p };
    char err[RKP_FILE_ERR] = "";
    rkp_str kept = { 0 };
    rkp_diags *d = rkp_probe_diags(p);
    rkp_opt_ctx *mem = rkp_probe_mem(p);
    bool unread = false;
    rkp_status st;
    if (set_dialect(s, NULL) != RKP_OK)
        return RKP_OK; // bind tells
    g.answer = rkp_opt_alloc(mem, sizeof *g.answer);
    g.fields = rkp_opt_alloc(mem, CSV_MAX_COLUMNS * sizeof *g.fields);
    g.guesses = rkp_opt_alloc(mem, CSV_MAX_COLUMNS * sizeof *g.guesses);
    if (!g.answer || !g.fields || !g.guesses)
        return RKP_NOMEM;
    st = rkp_files_expand(mem, &s->path, &g.answer->files, err);
    if (st != RKP_OK && st != RKP_UNAVAILABLE)
        return st;
    if (st == RKP_UNAVAILABLE)
        return missing(&g, s->path.at, err);
    for (size_t i = 0; i < g.answer->files.n; i++) {
        rkp_word file = g.answer->files.v[i];
        uint64_t rows = i == 0 ? SAMPLE_ROWS : 100000 / g.answer->files.n;
        bool from_stdin = strcmp(file.p, "-") == 0;
        if (from_stdin ? !rkp_probe_may_read_stdin(p) : is_pipe(file.p)) {
            unread = true;
            if (!from_stdin && !s->schema.schema && rkp_probe_may_read_stdin(p)) {
                rkp_diag(d, RKP_ERROR, file.at, "input-pipe", "'%s' is a pipe, which cannot be read twice", file.p);
                rkp_diag_hint(d, "give a 'schema', or read it as standard input");
                return RKP_INVALID;
            }
            continue;
        }
        if (s->schema.schema)
            rows = 1;
        if (from_stdin) {
            st = take_stdin(s, p, &kept, err);
            if (st == RKP_IO)
                rkp_diag(d, RKP_ERROR, file.at, "input-unreadable", "%s", err);
            if (st != RKP_OK)
                return st;
        }
        if (rows > SAMPLE_ROWS)
            rows = SAMPLE_ROWS;
        if (rows < 100 && !s->schema.schema)
            rows = 100;
        st = probe_file(&g, file, from_stdin ? kept : (rkp_str){ 0 }, rows);
        if (st != RKP_OK || g.answer->status != RKP_OK)
            return st;
    }
    for (uint32_t i = 0; i < g.n; i++)
        g.fields[i].type = RKP_NTYPE((uint8_t)csv_guess_kind(&g.guesses[i]));
    g.answer->columns = (rkp_schema){ g.n, g.fields };
    g.answer->known = !unread && g.n > 0;
    g.answer->no_wait = rkp_files_no_wait(&g.answer->files, s->compression);
    if (unread && !s->schema.schema) {
        rkp_diag(d, RKP_NOTE, s->path.at, "input-missing", "the columns of a pipe are known when it is read");
        rkp_diag_hint(d, "what depends on them is checked when the pipeline starts, or give a 'schema'");
    } else if (!g.n && !s->schema.schema) {
        rkp_diag(d, rkp_probe_may_read_stdin(p) ? RKP_ERROR : RKP_NOTE, s->path.at, "input-empty",
                 "there is nothing in the input to take the columns from");
        rkp_diag_hint(d, "give a 'schema' when an empty input is right");
        if (rkp_probe_may_read_stdin(p))
            return RKP_INVALID;
    }
    rkp_probe_set(p, g.answer);
    return RKP_OK;
}

// ---- bind -----------------------------------------------------------------------------------------------------------

static rkp_status set_out(struct read_csv *s, rkp_bind *b)
{
    rkp_opt_ctx *mem = rkp_bind_mem(b);
    bool select = s->columns.n && (s->header || s->schema.schema);
    uint32_t n = select ? (uint32_t)s->columns.n : s->base.n;
    rkp_field *f = rkp_opt_alloc(mem, (n ? n : 1) * sizeof *f);
    rkp_status st = RKP_OK;
    s->out_base = rkp_opt_alloc(mem, (n ? n : 1) * sizeof *s->out_base);
    if (!f || !s->out_base)
        return RKP_NOMEM;
    for (uint32_t i = 0; i < n; i++) {
        rkp_word w = select ? s->columns.v[i] : (rkp_word){ 0 };
        int at = select ? rkp_schema_find(&s->base, rkp_word_str(w)) : (int)i;
        rkp_schema before = { i, f };
        if (at < 0 || (select && rkp_schema_find(&before, rkp_word_str(w)) >= 0)) {
            if (rkp_bind_diags(b))
                rkp_diag(rkp_bind_diags(b), RKP_ERROR, w.at, at < 0 ? "column-unknown" : "column-twice",
                         at < 0 ? "the input has no column '%s'" : "column '%s' is named twice", w.p);
            st = RKP_INVALID;
            at = 0;
        }
        s->out_base[i] = (uint32_t)at;
        f[i] = s->base.n ? s->base.f[at] : (rkp_field){ .name = rkp_word_str(w), .type = RKP_NTYPE(RKP_STRING) };
    }
    s->out = (rkp_schema){ n, f };
    return st;
}

static rkp_status read_csv_bind(void *self, rkp_bind *b)
{
    struct read_csv *s = self;
    rkp_diags *d = rkp_bind_diags(b);
    rkp_status out, st = set_dialect(s, d);
    rkp_str *nulls = rkp_opt_alloc(rkp_bind_mem(b), (s->nulls.n ? s->nulls.n : 1) * sizeof *nulls);
    if (!nulls)
        return RKP_NOMEM;
    for (size_t i = 0; i < s->nulls.n; i++)
        nulls[i] = rkp_word_str(s->nulls.v[i]);
    s->null_texts = nulls;
    s->answer = rkp_bind_probed(b);
    file_place_bind(b, &s->path, s->answer && s->answer->status == RKP_OK ? &s->answer->files : NULL);
    s->no_wait = s->answer && s->answer->status == RKP_OK && s->answer->no_wait;
    if (s->no_wait)
        rkp_bind_no_wait(b);
    if (s->nulls.n > UINT8_MAX) {
        if (d)
            rkp_diag(d, RKP_ERROR, s->nulls.at, "opt-range", "'nulls' has more than 255 texts");
        st = RKP_INVALID;
    }
    if (s->follow) {
        if (d)
            rkp_diag(d, RKP_ERROR, rkp_bind_at(b), "not-supported", "'follow: true' is not supported yet");
        st = RKP_INVALID;
    }
    for (uint32_t i = 0; s->schema.schema && i < s->schema.schema->n; i++) {
        if (!s->schema.schema->f[i].type.len)
            continue;
        if (d)
            rkp_diag(d, RKP_ERROR, s->schema.name.at, "csv-array", "column '" RKP_STR_FMT "' is an array; CSV has none",
                     RKP_STR_ARG(s->schema.schema->f[i].name));
        st = RKP_INVALID;
    }
    if (s->schema.schema && !s->schema.schema->n) {
        if (d)
            rkp_diag(d, RKP_ERROR, s->schema.name.at, "csv-schema", "the schema has no columns");
        st = RKP_INVALID;
    }
    if (s->schema.schema)
        s->base = *s->schema.schema;
    else if (s->answer && s->answer->known)
        s->base = s->answer->columns;
    else
        return st; // not known yet: the port stays unset
    out = set_out(s, b);
    if (out == RKP_OK) // set also when another option is wrong, so that later kernels are checked
        rkp_bind_out(b, 0, s->out);
    return st == RKP_OK ? out : st;
}

static rkp_status read_csv_init(void *self, rkp_actor *a)
{
    struct read_csv *s = self;
    (void)a;
    s->kernel = csv_kernel_at(0);
    s->density = 1.0 / 6;
    return RKP_OK;
}

// ---- poll -----------------------------------------------------------------------------------------------------------

// Where the bytes of a chunk are while it is filled.
struct filling {
    rkp_batch *b;
    struct chunk *c;
    char *data; // base + 1
    size_t n, cap;
    bool ended; // the file has no more
};

static rkp_verdict out_of_memory(rkp_actor *a)
{
    return rkp_fail(a, RKP_NOMEM, "out of memory");
}

static void close_file(struct read_csv *s)
{
    if (s->reader)
        s->done += rkp_reader_done(s->reader);
    rkp_reader_close(s->reader);
    s->reader = NULL;
    rkp_batch_put(s->source);
    s->source = NULL;
    s->begun = s->skipping = s->lone_cr = false;
    s->carry_n = 0;
}

static uint64_t bytes_read(const struct read_csv *s)
{
    return s->done + (s->reader ? rkp_reader_done(s->reader) : 0);
}

static rkp_verdict open_file(struct read_csv *s, rkp_actor *a)
{
    char err[RKP_FILE_ERR];
    rkp_word w = s->answer->files.v[s->file];
    bool from_stdin = strcmp(w.p, "-") == 0;
    rkp_status st =
        rkp_reader_open(w.p, s->compression, from_stdin ? rkp_actor_kept(a) : (rkp_str){ 0 }, &s->reader, err);
    if (st != RKP_OK)
        return rkp_fail(a, st, "%s", err);
    rkp_count(a, M_FILES, 1);
    s->line = 1;
    s->offset = 0;
    return RKP_MORE;
}

// The sum of the files' sizes, when all are known.
static void set_total(struct read_csv *s)
{
    for (size_t i = 0; i < s->answer->files.n; i++) {
        uint64_t n = file_size(s->answer->files.v[i].p);
        if (!n) {
            s->total = 0;
            return;
        }
        s->total += n;
    }
}

rkp_status read_csv_piped(struct read_csv *s, rkp_opt_ctx *mem, rkp_word name)
{
    struct csv_answer *a = rkp_opt_alloc(mem, sizeof *a);
    rkp_word *file = rkp_opt_alloc(mem, sizeof *file);
    if (!a || !file)
        return RKP_NOMEM;
    *file = name;
    a->files = (rkp_words){ file, 1, name.at };
    s->answer = a;
    return RKP_OK;
}

void read_csv_begin(struct read_csv *s, rkp_reader *r)
{
    s->reader = r;
    s->line = 1;
    s->offset = 0;
}

// How the fields of a text become the out columns.  RKP_INVALID: it lacks `*missing`.
static rkp_status make_source(const struct read_csv *s, rkp_actor *a, rkp_str name, const struct csv_head *h,
                              rkp_batch **out, rkp_str *missing)
{
    size_t bytes = sizeof(struct source) + s->out.n * sizeof(int32_t);
    rkp_batch *b = rkp_batch_new(rkp_actor_pool(a), NULL, 0, bytes + name.n);
    struct source *src = b ? rkp_batch_alloc(b, bytes) : NULL;
    char *copy = src ? rkp_batch_alloc(b, name.n + 1) : NULL;
    if (!copy) {
        rkp_batch_put(b);
        return RKP_NOMEM;
    }
    if (name.n)
        memcpy(copy, name.p, name.n);
    src->n_fields = s->header ? h->n : s->base.n;
    src->name = (rkp_str){ copy, name.n };
    src->absent[0] = src->absent[1] = RKP_NO_TEXT;
    for (uint32_t i = 0; i < s->out.n; i++) {
        src->map[i] = s->header ? -1 : (int32_t)s->out_base[i];
        for (uint32_t j = 0; s->header && j < h->n && src->map[i] < 0; j++)
            if (rkp_str_eq(h->names[j], s->out.f[i].name))
                src->map[i] = (int32_t)j;
        if (src->map[i] < 0 && !s->out.f[i].type.nullable) {
            *missing = s->out.f[i].name;
            rkp_batch_put(b);
            return RKP_INVALID;
        }
    }
    // The batch is the chunks' parent: what it has is only found through the pointer kept here.
    b->blob = (rkp_str){ (const char *)src, bytes };
    *out = b;
    return RKP_OK;
}

static rkp_verdict set_source(struct read_csv *s, rkp_actor *a, rkp_str name, const struct csv_head *h)
{
    rkp_str missing;
    rkp_status st = make_source(s, a, name, h, &s->source, &missing);
    if (st == RKP_INVALID)
        return rkp_fail(a, RKP_IO, "'" RKP_STR_FMT "' has no column '" RKP_STR_FMT "'", RKP_STR_ARG(name),
                        RKP_STR_ARG(missing));
    return st == RKP_OK ? RKP_MORE : out_of_memory(a);
}

static bool new_chunk(rkp_actor *a, size_t cap, struct filling *f)
{
    rkp_batch *b = rkp_batch_new(rkp_actor_pool(a), NULL, 0, sizeof(struct chunk) + 64 + 1 + cap + SLACK);
    struct chunk *c = b ? rkp_batch_alloc(b, sizeof *c) : NULL;
    char *base = c ? rkp_batch_alloc(b, 1 + cap + SLACK) : NULL;
    if (!base) {
        rkp_batch_put(b);
        return false;
    }
    memset(c, 0, sizeof *c);
    base[0] = 0;
    f->b = b;
    f->c = c;
    f->data = base + 1;
    f->cap = cap;
    return true;
}

// A larger chunk with the same bytes.
static bool grow_chunk(rkp_actor *a, struct filling *f)
{
    struct filling old = *f;
    if (!new_chunk(a, old.cap * 2, f)) {
        *f = old;
        return false;
    }
    memcpy(f->data, old.data, old.n);
    rkp_batch_put(old.b);
    return true;
}

enum filled { FILLED, FILLED_IDLE, FILLED_LATER, FILLED_STOP, FILLED_FAIL };

// Reads until the chunk is full, the file ends, or a pipe has given nothing for `idle`.
static enum filled fill(struct read_csv *s, rkp_actor *a, struct filling *f)
{
    char err[RKP_FILE_ERR];
    while (f->n < f->cap && !f->ended) {
        int64_t k;
        if (rkp_stopping(a))
            return FILLED_STOP;
        if (rkp_reader_waits(s->reader)) {
            struct pollfd p = { .fd = rkp_reader_fd(s->reader), .events = POLLIN };
            if (s->idle_ns && f->n > s->carry_n && poll(&p, 1, (int)(s->idle_ns / 1000000)) == 0)
                return FILLED_IDLE;
            if (!rkp_wait_readable(a, p.fd))
                return FILLED_STOP;
        }
        k = rkp_reader_read(s->reader, f->data + f->n, f->cap - f->n, err);
        if (k == RKP_READ_LATER)
            return FILLED_LATER;
        if (k < 0) {
            rkp_fail(a, RKP_IO, "%s", err);
            return FILLED_FAIL;
        }
        if (k == 0)
            f->ended = true;
        if (s->lone_cr)
            lf_from(f->data + f->n, (size_t)k);
        f->n += (size_t)k;
    }
    return FILLED;
}

static bool keep_carry(struct read_csv *s, const char *p, size_t n)
{
    if (n > s->carry_cap) {
        size_t cap = n + n / 2 + 4096;
        char *q = realloc(s->carry, cap);
        if (!q)
            return false;
        s->carry = q;
        s->carry_cap = cap;
    }
    if (n)
        memcpy(s->carry, p, n);
    s->carry_n = n;
    return true;
}

// Reads the file's head at the beginning of the chunk; *at gets where its records begin.
static rkp_verdict begin(struct read_csv *s, rkp_actor *a, struct filling *f, size_t *at)
{
    struct csv_head h;
    const char *path = s->answer->files.v[s->file].p;
    rkp_batch *scratch = rkp_batch_new(rkp_actor_pool(a), NULL, 0, 4096);
    rkp_verdict v = RKP_MORE;
    enum csv_head_result r = CSV_HEAD_NOMEM;
    if (scratch)
        r = csv_head(&s->dialect, f->data, f->n, f->ended, s->skip_rows, s->header,
                     (struct csv_memory){ batch_alloc, scratch }, &h);
    switch (r) {
    case CSV_HEAD_OK:
        v = set_source(s, a, rkp_str_of(path), &h);
        s->lone_cr = h.lone_cr;
        s->begun = true;
        s->line += h.lines;
        s->offset += h.at;
        *at = h.at;
        if (h.lone_cr)
            lf_from(f->data + h.at, f->n - h.at);
        break;
    case CSV_HEAD_MORE:
        v = RKP_RETRY;
        break;
    case CSV_HEAD_EMPTY:
        v = RKP_DONE;
        break;
    case CSV_HEAD_WIDE:
        v = rkp_fail(a, RKP_IO, "'%s' has more than 4,096 columns", path);
        break;
    case CSV_HEAD_QUOTES:
        v = rkp_fail(a, RKP_IO, "'%s' has broken quotes in its header", path);
        break;
    case CSV_HEAD_NOMEM:
        v = out_of_memory(a);
        break;
    }
    rkp_batch_put(scratch);
    return v;
}

// The record at p is longer than max_record, and its end has not come yet.
static rkp_verdict reject_long(struct read_csv *s, rkp_actor *a, const char *p, size_t n)
{
    char what[64];
    int k = snprintf(what, sizeof what, "a record of more than %llu bytes", (unsigned long long)s->max_record);
    rkp_str raw = { p, n < RAW_SHOWN ? n : RAW_SHOWN };
    s->skipping = true;
    s->skip_mode = CSV_START;
    return rkp_reject_raw(a, RKP_ROW_SIZE, (rkp_str){ what, (size_t)k }, raw, rkp_word_str(s->answer->files.v[s->file]),
                          s->line);
}

// Bytes of p[0..n) that still belong to the record that is skipped.
static size_t skip_record(struct read_csv *s, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        s->line += p[i] == '\n';
        if (csv_step(&s->dialect, &s->skip_mode, p[i]) && p[i] == '\n') {
            s->skipping = false;
            s->offset += i + 1;
            return i + 1;
        }
    }
    s->offset += n;
    return n;
}

// Its records begin at `from`, that line and that byte of the file.
static void make_chunk(const struct read_csv *s, rkp_batch *source, struct filling *f, size_t from,
                       const struct csv_scan *scan, uint64_t line, uint64_t offset)
{
    struct chunk *c = f->c;
    rkp_batch *b = f->b;
    char *base = f->data + from - 1;
    c->from = (const struct source *)(const void *)source->blob.p;
    base[0] = 0;
    c->text = (rkp_text){ .base = base,
                          .len = (uint32_t)(scan->cut + 1),
                          .kind = RKP_TEXT_CSV,
                          .quote = s->dialect.quote,
                          .delim = s->dialect.delim,
                          .n_nulls = (uint8_t)s->nulls.n,
                          .nulls = s->null_texts,
                          .origin = { c->from->name, line, offset - 1 } };
    c->quotes = scan->quotes;
    c->exact = scan->exact;
    b->text = &c->text;
    b->blob = (rkp_str){ base + 1, scan->cut };
    b->parent = rkp_batch_get(source);
}

static void emit(struct read_csv *s, rkp_actor *a, struct filling *f, size_t from, const struct csv_scan *scan)
{
    rkp_batch *b = f->b;
    uint64_t read = bytes_read(s);
    make_chunk(s, s->source, f, from, scan, s->line, s->offset);
    b->in_bytes = read - s->reported;
    s->reported = read;
    s->line += scan->lines;
    s->offset += scan->cut;
    f->b = NULL;
    rkp_emit(a, 0, b);
}

// One chunk, from the carried bytes to the carried bytes.  RKP_RETRY: there is no more in memory yet.
static rkp_verdict next_chunk(struct read_csv *s, rkp_actor *a, struct filling *f)
{
    size_t from = 0;
    for (;;) {
        struct csv_scan scan = { 0 };
        enum filled filled = fill(s, a, f);
        rkp_verdict v;
        if (filled == FILLED_FAIL)
            return RKP_FAIL;
        if (filled == FILLED_STOP)
            return RKP_STOP;
        if (filled == FILLED_LATER)
            return keep_carry(s, f->data + from, f->n - from) ? RKP_RETRY : out_of_memory(a);
        if (!s->begun) {
            v = begin(s, a, f, &from);
            if (v == RKP_RETRY && f->n >= HEAD_MAX)
                return rkp_fail(a, RKP_IO, "'%s' has no end of line in its first %llu bytes",
                                s->answer->files.v[s->file].p, (unsigned long long)f->n);
            if (v == RKP_RETRY && f->n == f->cap && !grow_chunk(a, f))
                return out_of_memory(a);
            if (v == RKP_RETRY)
                continue;
            if (v != RKP_MORE)
                return v;
        }
        if (s->skipping)
            from += skip_record(s, f->data + from, f->n - from);
        if (!s->skipping)
            s->kernel->scan(&s->dialect, f->data + from, f->n - from, &scan);
        if (!s->skipping && f->ended && scan.cut < f->n - from) {
            // The last record has no newline; inside quotes it also has no end, which decode says.
            scan.lines += count_lines(f->data + from + scan.cut, f->n - from - scan.cut);
            scan.cut = f->n - from;
            scan.exact |= scan.open;
        }
        if (!scan.cut && f->n - from > s->max_record + 1 && !f->ended && !s->skipping) {
            if (reject_long(s, a, f->data + from, f->n - from) == RKP_FAIL)
                return RKP_FAIL;
            continue;
        }
        if (!keep_carry(s, f->data + from + scan.cut, f->n - from - scan.cut))
            return out_of_memory(a);
        if (scan.cut) {
            emit(s, a, f, from, &scan);
            return f->ended ? RKP_DONE : RKP_MORE;
        }
        if (f->ended)
            return RKP_DONE;
        if (from) { // room was made in front: go on with the rest moved there
            memmove(f->data, f->data + from, f->n - from);
            f->n -= from;
            from = 0;
        } else if (f->n == f->cap && !grow_chunk(a, f)) {
            return out_of_memory(a);
        }
    }
}

static rkp_verdict read_csv_poll(void *self, rkp_actor *a)
{
    struct read_csv *s = self;
    struct filling f = { 0 };
    size_t cap = s->chunk_bytes;
    rkp_verdict v;
    if (!s->answer || s->answer->status != RKP_OK)
        return rkp_fail(a, RKP_UNAVAILABLE, "%s", s->answer ? s->answer->why : "the input was not there");
    if (rkp_stopping(a))
        return RKP_DONE;
    if (!s->reader) {
        if (s->file == s->answer->files.n)
            return RKP_DONE;
        if (s->file == 0)
            set_total(s);
        if (open_file(s, a) == RKP_FAIL)
            return RKP_FAIL;
    }
    if (s->no_wait)
        rkp_reader_no_wait(s->reader);
    // What is carried because more comes later is part of this chunk; else it is a record whose end was not in the last one.
    if (s->later)
        cap = s->later;
    else if (s->carry_n * 2 > cap)
        cap = s->carry_n * 2;
    if (!new_chunk(a, cap, &f))
        return out_of_memory(a);
    if (s->carry_n)
        memcpy(f.data, s->carry, s->carry_n);
    f.n = s->carry_n;
    v = next_chunk(s, a, &f);
    rkp_batch_put(f.b);
    s->later = v == RKP_RETRY ? f.cap : 0;
    if (v == RKP_RETRY)
        rkp_wake_at(a, rkp_now_ns(a) + RKP_LATER_NS);
    if (v == RKP_DONE) {
        close_file(s);
        s->file++;
        v = RKP_MORE;
    } else if (v == RKP_STOP) {
        v = RKP_DONE;
    }
    rkp_progress(a, bytes_read(s), s->total);
    return v;
}

// ---- again ----------------------------------------------------------------------------------------------------------

// The file's first bytes, as far as its head goes.  RKP_UNAVAILABLE: err says why, or is empty when they are no head.
static rkp_status read_head(struct read_csv *s, const char *path, bool header, rkp_batch *mem, struct csv_head *h,
                            char err[RKP_FILE_ERR])
{
    rkp_reader *r = NULL;
    char *p = NULL;
    size_t n = 0, cap = 0;
    enum csv_head_result got = CSV_HEAD_MORE;
    rkp_status st;
    err[0] = 0;
    st = rkp_reader_open(path, s->compression, (rkp_str){ 0 }, &r, err);
    while (st == RKP_OK && got == CSV_HEAD_MORE && n < HEAD_MAX) {
        int64_t k;
        if (n == cap) {
            char *q = realloc(p, cap ? cap * 2 : 4096);
            if (!q) {
                st = RKP_NOMEM;
                break;
            }
            p = q;
            cap = cap ? cap * 2 : 4096;
        }
        k = rkp_reader_read(r, p + n, cap - n, err);
        if (k < 0)
            break;
        n += (size_t)k;
        got = csv_head(&s->dialect, p, n, k == 0, s->skip_rows, header, (struct csv_memory){ batch_alloc, mem }, h);
        if (k == 0)
            break;
    }
    rkp_reader_close(r);
    free(p);
    return st == RKP_NOMEM || got == CSV_HEAD_NOMEM ? RKP_NOMEM : got == CSV_HEAD_OK ? RKP_OK : RKP_UNAVAILABLE;
}

// How the fields of a record's file become columns.  With a header only the file says that, as it was then.
static rkp_status source_again(struct read_csv *s, rkp_actor *a, const rkp_record *r)
{
    rkp_batch *mem = rkp_batch_new(rkp_actor_pool(a), NULL, 0, 4096);
    char *path = mem ? rkp_batch_alloc(mem, r->file.n + 1) : NULL;
    struct csv_head h = { 0 };
    struct stat about;
    char err[RKP_FILE_ERR];
    rkp_status st = path ? RKP_OK : RKP_NOMEM;
    if (path && r->file.n)
        memcpy(path, r->file.p, r->file.n);
    if (path)
        path[r->file.n] = 0;
    if (st == RKP_OK && s->header) {
        if (stat(path, &about) < 0 || !S_ISREG(about.st_mode) ||
            (uint64_t)about.st_mtim.tv_sec * 1000000 + (uint64_t)about.st_mtim.tv_nsec / 1000 > r->at_us)
            st = RKP_UNAVAILABLE;
        else
            st = read_head(s, path, true, mem, &h, err);
    }
    if (st == RKP_OK && set_source(s, a, r->file, &h) == RKP_FAIL) {
        rkp_batch_put(s->source);
        s->source = NULL;
        st = RKP_INTERNAL; // that has been said
    }
    rkp_batch_put(mem);
    return st;
}

static rkp_status read_csv_again(void *self, rkp_actor *a, const rkp_record *r)
{
    struct read_csv *s = self;
    rkp_batch *b;
    if (!s->source || !rkp_str_eq(((const struct source *)(const void *)s->source->blob.p)->name, r->file)) {
        rkp_status st;
        rkp_batch_put(s->source);
        s->source = NULL;
        st = source_again(s, a, r);
        if (st != RKP_OK)
            return st;
    }
    b = read_csv_chunk(s, a, s->source, r->text, (rkp_str){ NULL, 0 }, r->line ? r->line : 1, 1);
    if (!b)
        return RKP_NOMEM;
    rkp_emit(a, 0, b);
    return RKP_OK;
}

// ---- texts of clients -----------------------------------------------------------------------------------------------

rkp_status read_csv_text(struct read_csv *s, rkp_actor *a, rkp_str name, rkp_str head, rkp_batch **text,
                         char why[RKP_FILE_ERR])
{
    struct csv_head h = { 0 };
    rkp_batch *scratch = rkp_batch_new(rkp_actor_pool(a), NULL, 0, 4096);
    enum csv_head_result r = CSV_HEAD_NOMEM;
    rkp_status st = RKP_INVALID;
    rkp_str missing;
    if (!scratch)
        return RKP_NOMEM;
    r = s->header
            ? csv_head(&s->dialect, head.p, head.n, true, 0, true, (struct csv_memory){ batch_alloc, scratch }, &h)
            : CSV_HEAD_OK;
    if (r == CSV_HEAD_NOMEM)
        st = RKP_NOMEM;
    else if (r == CSV_HEAD_EMPTY)
        snprintf(why, RKP_FILE_ERR, "there is no header");
    else if (r == CSV_HEAD_WIDE)
        snprintf(why, RKP_FILE_ERR, "the header has more than 4,096 columns");
    else if (r != CSV_HEAD_OK)
        snprintf(why, RKP_FILE_ERR, "the header has broken quotes");
    else if (h.lone_cr)
        snprintf(why, RKP_FILE_ERR, "lines end in a carriage return alone");
    else
        st = make_source(s, a, name, &h, text, &missing);
    if (r == CSV_HEAD_OK && !h.lone_cr && st == RKP_INVALID)
        snprintf(why, RKP_FILE_ERR, "the header has no column '%.*s'", (int)(missing.n < 200 ? missing.n : 200),
                 missing.p);
    rkp_batch_put(scratch);
    return st;
}

rkp_batch *read_csv_chunk(struct read_csv *s, rkp_actor *a, rkp_batch *text, rkp_str one, rkp_str two, uint64_t line,
                          uint64_t offset)
{
    struct csv_scan scan = { 0 };
    struct filling f = { 0 };
    size_t n = one.n + two.n;
    if (n >= INT32_MAX || !new_chunk(a, n + 1, &f))
        return NULL;
    if (one.n)
        memcpy(f.data, one.p, one.n);
    if (two.n)
        memcpy(f.data + one.n, two.p, two.n);
    if (!n || f.data[n - 1] != '\n') // within quotes it may end with one
        f.data[n++] = '\n';
    s->kernel->scan(&s->dialect, f.data, n, &scan);
    if (scan.cut < n) { // it ends within quotes, which decode says
        scan.cut = n;
        scan.exact |= scan.open;
    }
    make_chunk(s, text, &f, 0, &scan, line, offset);
    f.b->in_bytes = n;
    return f.b;
}

// ---- checkpoints ----------------------------------------------------------------------------------------------------

// The place behind the last chunk, and how much of a record has been read beyond it.
static rkp_status read_csv_save(void *self, rkp_actor *a, rkp_save *to)
{
    static const rkp_words none = { 0 };
    const struct read_csv *s = self;
    const rkp_words *files = s->answer && s->answer->status == RKP_OK ? &s->answer->files : &none;
    rkp_status st = file_place_save(to, a, files, s->file, s->reader, s->offset, s->carry_n);
    if (st != RKP_OK)
        return st;
    rkp_save_bool(to, s->begun);
    rkp_save_bool(to, s->skipping);
    rkp_save_u64(to, s->later);
    rkp_save_u64(to, s->skip_mode);
    rkp_save_u64(to, s->line);
    rkp_save_u64(to, s->done);
    rkp_save_u64(to, s->reported);
    return RKP_OK;
}

// The columns of the file at hand, by its head.
static rkp_status restore_source(struct read_csv *s, rkp_actor *a, rkp_load *from, uint64_t at)
{
    const char *path = s->answer->files.v[s->file].p;
    rkp_batch *mem = rkp_batch_new(rkp_actor_pool(a), NULL, 0, 4096);
    struct csv_head h = { 0 };
    char err[RKP_FILE_ERR];
    rkp_status st = mem ? read_head(s, path, s->header, mem, &h, err) : RKP_NOMEM;
    if (st == RKP_NOMEM)
        (void)out_of_memory(a);
    else if (st != RKP_OK && err[0])
        st = rkp_load_refuse(from, "%s", err);
    else if (st != RKP_OK || at < h.at)
        st = rkp_load_refuse(from, "'%.100s' has another head than before", path);
    else if (set_source(s, a, rkp_str_of(path), &h) == RKP_FAIL)
        st = RKP_INVALID; // that has been said
    s->lone_cr = h.lone_cr;
    rkp_batch_put(mem);
    return st;
}

static rkp_status read_csv_restore(void *self, rkp_actor *a, rkp_load *from)
{
    static const rkp_words none = { 0 };
    struct read_csv *s = self;
    const rkp_words *files = s->answer && s->answer->status == RKP_OK ? &s->answer->files : &none;
    file_place p;
    rkp_status st = file_place_load(from, files, &p);
    bool begun = rkp_load_bool(from), skipping = rkp_load_bool(from);
    uint64_t later = rkp_load_u64(from), limit = 2 * s->chunk_bytes + 4 * s->max_record + (begun ? 0 : 2 * HEAD_MAX);
    uint64_t mode = rkp_load_u64(from), line = rkp_load_u64(from);
    uint64_t done = rkp_load_u64(from), reported = rkp_load_u64(from);
    if (st == RKP_OK && !rkp_load_ok(from))
        st = RKP_INVALID;
    if (st != RKP_OK)
        return st;
    if (mode > CSV_QUOTE || (!p.open && (begun || skipping)) || (!begun && p.at) ||
        (later && (later <= p.carry || later > limit)))
        return rkp_load_refuse(from, "where it was in a file makes no sense");
    s->file = (size_t)p.file;
    s->done = done;
    s->reported = reported;
    if (p.file || p.open)
        set_total(s);
    if (!p.open)
        return RKP_OK;
    st = file_place_open(from, a, files, &p, s->compression, limit, &s->reader, &s->carry, &s->carry_cap);
    if (st == RKP_OK && begun) // now that it is known to be the same file
        st = restore_source(s, a, from, p.at);
    if (st != RKP_OK)
        return st;
    if (s->lone_cr)
        lf_from(s->carry, (size_t)p.carry);
    s->carry_n = (size_t)p.carry;
    s->begun = begun;
    s->skipping = skipping;
    s->later = later;
    s->skip_mode = (unsigned)mode;
    s->line = line;
    s->offset = p.at;
    return RKP_OK;
}

// ---- decode ---------------------------------------------------------------------------------------------------------

// The separators of a chunk: pos[0] is the pad, the others follow in order.
struct seps {
    uint32_t *pos;
    uint32_t n, room;
    uint32_t rows; // newlines outside quotes
    bool carriage, high;
    bool checked, uneven; // does every row have as many fields?
};

static bool find_seps(struct read_csv *s, rkp_batch *b, const struct chunk *c, struct seps *out)
{
    struct csv_index x = { .at = 1, .n = 1, .fields = c->from->n_fields };
    const rkp_text *t = &c->text;
    uint64_t ends[CSV_ENDS];
    if (!c->exact && x.fields <= CSV_ENDS) {
        csv_row_ends(x.fields, ends);
        x.ends = ends;
    }
    out->pos[0] = 0;
    for (;;) {
        uint32_t *more;
        if (c->exact)
            csv_index_exact(&s->dialect, t->base, t->len, &x, out->pos, out->room);
        else
            s->kernel->index(&s->dialect, t->base, t->len, c->quotes, &x, out->pos, out->room);
        if (x.at >= t->len)
            break;
        more = rkp_batch_alloc(b, (size_t)out->room * 2 * sizeof *more);
        if (!more)
            return false;
        memcpy(more, out->pos, x.n * sizeof *more);
        out->pos = more;
        out->room *= 2;
    }
    if (x.n == 1 || out->pos[x.n - 1] != t->len - 1 || t->base[t->len - 1] != '\n') {
        out->pos[x.n++] = t->len; // the last record of a file without a newline
        x.newlines++;
    }
    out->n = x.n - 1;
    out->rows = (uint32_t)x.newlines;
    out->carriage = x.carriage != 0;
    out->high = x.high;
    out->checked = x.ends != NULL;
    out->uneven = x.uneven;
    s->density = (double)x.n / t->len;
    return true;
}

// Is every row of n fields, and none too long?
static bool even(const struct read_csv *s, const struct chunk *c, const struct seps *x, uint32_t n)
{
    const char *base = c->text.base;
    const uint32_t *p = x->pos;
    uint32_t longest = 0, last = 0;
    bool bad = false;
    if (c->exact || x->uneven || (uint64_t)x->rows * n != x->n)
        return false;
    // The last row ends with a newline, or with the text: find_seps made sure.
    for (uint32_t r = 1; r < x->rows && !x->checked; r++)
        bad |= base[p[(size_t)r * n]] != '\n';
    for (uint32_t r = 1; r <= x->rows && c->text.len > s->max_record; r++) {
        uint32_t at = p[(size_t)r * n], len = at - last;
        longest = len > longest ? len : longest;
        last = at;
    }
    return !bad && (longest == 0 || longest - 1 <= s->max_record);
}

struct repair {
    struct read_csv *s;
    rkp_actor *a;
    const struct chunk *c;
    uint64_t line; // of base[counted]
    uint32_t counted;
};

static rkp_verdict reject_record(struct repair *r, unsigned code, const char *what, uint32_t from, uint32_t to)
{
    const rkp_text *t = &r->c->text;
    rkp_str raw = { t->base + from, to - from };
    r->line += count_lines(t->base + r->counted, from - r->counted);
    r->counted = from;
    return sent_reject_raw(r->s->check, r->a, code, rkp_str_of(what), raw, t->origin.name, r->line);
}

static bool quotes_ok(const struct csv_dialect *d, const char *base, const uint32_t *p, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t from = p[i] + 1, to = p[i + 1];
        if (i + 1 == n && to > from && base[to - 1] == '\r')
            to--;
        if (!csv_field_ok(d, base + from, to - from))
            return false;
    }
    return true;
}

// Copies the good rows, n + 1 positions each, to x->pos; reports the bad ones.
static rkp_verdict repair(struct repair *r, rkp_batch *b, struct seps *x, uint32_t n)
{
    const char *base = r->c->text.base;
    uint32_t *to = rkp_batch_alloc(b, ((size_t)x->n + x->n / n + 2) * sizeof *to), *p = x->pos, rows = 0;
    uint32_t *next = to;
    if (!to)
        return out_of_memory(r->a);
    for (uint32_t i = 0; i < x->n;) {
        uint32_t k = i + 1, from = p[i] + 1, end;
        rkp_verdict v = RKP_DONE;
        char what[80];
        while (k < x->n && base[p[k]] != '\n')
            k++;
        end = p[k];
        if (k - i == n && end - from <= r->s->max_record) {
            if (!r->c->exact || quotes_ok(&r->s->dialect, base, p + i, n)) {
                memcpy(next, p + i, (n + 1) * sizeof *next);
                next += n + 1;
                rows++;
            } else {
                v = reject_record(r, RKP_ROW_QUOTES, "a quoted field does not end where its quotes do", from, end);
            }
        } else if (end - from > r->s->max_record) {
            snprintf(what, sizeof what, "a record of more than %llu bytes", (unsigned long long)r->s->max_record);
            v = reject_record(r, RKP_ROW_SIZE, what, from, end);
        } else if (k - i > 1 || !(end == from || (end == from + 1 && base[from] == '\r'))) {
            bool quotes = r->c->exact && !quotes_ok(&r->s->dialect, base, p + i, k - i);
            snprintf(what, sizeof what, "%u field%s where %u are expected", k - i, k - i == 1 ? "" : "s", n);
            v = reject_record(r, quotes ? RKP_ROW_QUOTES : RKP_ROW_FIELDS,
                              quotes ? "a quoted field does not end where its quotes do" : what, from, end);
        }
        if (v == RKP_FAIL)
            return v;
        i = k;
    }
    x->pos = to;
    x->rows = rows;
    return RKP_DONE;
}

static int by_row(const void *a, const void *b)
{
    const rkp_err *x = a, *y = b;
    return x->row < y->row ? -1 : x->row > y->row;
}

// validate: all.  Rows with a value that does not fit are rejected; *out gets the others (NULL: none is left).
static rkp_verdict check_values(sent_check *k, rkp_actor *a, rkp_batch *b, rkp_batch **out)
{
    rkp_batch *mem = rkp_batch_new(rkp_actor_pool(a), NULL, 0, (size_t)b->rows * 16 + b->rows / 4 + 4096);
    uint8_t *bad = mem ? rkp_batch_alloc(mem, b->rows / 8 + 1) : NULL;
    uint32_t *keep, n = 0;
    rkp_errs *all = rkp_actor_errs(a), one = { 0 };
    rkp_verdict v = RKP_DONE;
    *out = NULL;
    if (!bad)
        goto nomem;
    memset(bad, 0, b->rows / 8 + 1);
    for (uint32_t c = 0; c < b->n_cols; c++) {
        rkp_batch *values = rkp_batch_new(rkp_actor_pool(a), NULL, 0, (size_t)b->rows * 16 + 4096);
        rkp_col flat;
        rkp_status st = values ? rkp_col_flat(values, b, c, NULL, b->rows, &flat, &one) : RKP_NOMEM;
        for (uint32_t i = 0; st == RKP_OK && i < one.n; i++) {
            rkp_err e = one.v[i];
            if (rkp_bit(bad, e.row))
                continue;
            rkp_bit_set(bad, e.row);
            if (e.what.n) { // it may be in memory that goes with this column
                char *p = rkp_batch_alloc(mem, e.what.n);
                if (p)
                    memcpy(p, e.what.p, e.what.n);
                e.what = (rkp_str){ p, p ? e.what.n : 0 };
            }
            rkp_errs_add(all, e.row, e.code, (int)c, e.what);
        }
        rkp_batch_put(values);
        if (st != RKP_OK || one.failed || all->failed)
            goto nomem;
        rkp_errs_clear(&one);
    }
    if (!all->n) {
        *out = rkp_batch_get(b);
        goto out;
    }
    qsort(all->v, all->n, sizeof *all->v, by_row);
    v = sent_reject(k, a, b, all);
    keep = rkp_batch_alloc(mem, (size_t)b->rows * sizeof *keep);
    if (!keep)
        goto nomem;
    for (uint32_t i = 0; i < b->rows; i++)
        if (!rkp_bit(bad, i))
            keep[n++] = i;
    if (v != RKP_FAIL && n) {
        *out = rkp_batch_pick(b, keep, n);
        if (!*out)
            goto nomem;
    }
    goto out;
nomem:
    v = out_of_memory(a);
out:
    rkp_errs_fini(&one);
    rkp_batch_put(mem);
    return v;
}

static void set_columns(const struct read_csv *s, rkp_batch *b, const struct chunk *c, const rkp_text *t,
                        const struct seps *x, uint32_t stride)
{
    for (uint32_t i = 0; i < s->out.n; i++) {
        int32_t at = c->from->map[i];
        b->cols[i] = (rkp_col){ .type = s->out.f[i].type, .rep = RKP_TEXT, .text = t };
        if (at < 0) {
            b->cols[i].pos = c->from->absent;
            continue;
        }
        b->cols[i].pos = x->pos + at;
        b->cols[i].stride = stride;
        b->cols[i].last = (uint32_t)at + 1 == c->from->n_fields;
    }
    b->rows = x->rows;
    b->text = t;
    b->text_pos = x->pos;
    b->text_stride = stride;
}

static rkp_verdict read_csv_decode(void *self, rkp_actor *a, rkp_batch *raw)
{
    struct read_csv *s = self;
    const struct chunk *c = (const struct chunk *)(const void *)raw->text;
    uint32_t n = c->from->n_fields, stride = n;
    struct seps x = { .room = (uint32_t)((double)c->text.len * s->density * 1.125) + n + 256 + CSV_SLACK };
    rkp_batch *b = rkp_batch_new(rkp_actor_pool(a), &s->out, s->out.n, x.room * sizeof *x.pos + sizeof(rkp_text) + 128);
    rkp_text *t = b ? rkp_batch_alloc(b, sizeof *t) : NULL;
    rkp_verdict v = RKP_DONE;
    x.pos = t ? rkp_batch_alloc(b, x.room * sizeof *x.pos) : NULL;
    if (!x.pos || !find_seps(s, b, c, &x)) {
        rkp_batch_put(b);
        return out_of_memory(a);
    }
    if (!s->check)
        rkp_count(a, M_CHUNKS, 1);
    if (c->exact && !s->check)
        rkp_count(a, M_EXACT, 1);
    *t = c->text;
    t->nulls = s->null_texts; // those of the half that reads go with it when it is restarted
    t->cr = x.carriage;
    t->utf8 = !x.high;
    if (!even(s, c, &x, n)) {
        struct repair r = { s, a, c, c->text.origin.first_line, 1 };
        if (!s->check)
            rkp_count(a, M_UNEVEN, 1);
        stride = n + 1;
        v = repair(&r, b, &x, n);
    }
    b->parent = rkp_batch_get(raw);
    b->in_bytes = raw->in_bytes;
    if (v != RKP_FAIL && x.rows) {
        set_columns(s, b, c, t, &x, stride);
        if (!sent_from(s->from, b, t->origin.name)) {
            rkp_batch_put(b);
            return out_of_memory(a);
        }
        if (s->validate == CSV_VALIDATE_ALL) {
            rkp_batch *good = NULL;
            v = check_values(s->check, a, b, &good);
            rkp_batch_put(b);
            b = good;
        }
        if (v != RKP_FAIL && b) {
            sent_emit(s->check, a, b);
            b = NULL;
        }
    }
    rkp_batch_put(b);
    return v;
}

static void read_csv_fini(void *self)
{
    struct read_csv *s = self;
    close_file(s);
    free(s->carry);
}

static const rkp_example read_csv_examples[] = {
    { .title = "A file with a header; the types are found",
      .with = "path: cities.csv\n",
      .input = "city,country,people\nOslo,NO,709037\n\"Washington, D.C.\",US,\n",
      .output = "city,country,people\nOslo,NO,709037\n\"Washington, D.C.\",US,\n" },
    { .title = "A file of tab-separated values in which NA is null",
      .with = "path: cities.tsv\ndelimiter: tab\nnulls: [\"\", NA]\n",
      .input = "city\tpeople\nOslo\t709037\nAtlantis\tNA\n",
      .output = "city,people\nOslo,709037\nAtlantis,\n" },
    { .title = "Compressed files without a header: names and types by hand, three of four columns, every value checked",
      .with = "path: [trades-*.csv.gz, trades.csv]\nheader: false\n"
              "schema: { at: timestamp, symbol: string, price: f64, size: i64? }\n"
              "columns: [symbol, price, size]\nvalidate: all\n",
      .input = "2024-05-01T09:30:00Z,ABC,12.50,100\n2024-05-01T09:30:01Z,\"X, Y\",7.25,\n",
      .output = "symbol,price,size\nABC,12.50,100\n\"X, Y\",7.25,\n" },
    { 0 },
};

const rkp_op rkp_op_read_csv = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "read.csv",
    .kind = RKP_SOURCE,
    .summary = "Read rows of CSV files.",
    .details =
        "Columns keep the text they came as until a kernel reads the value, so a column that is only copied is written "
        "as it was. Types that `schema` does not give are inferred from the first 10,000 rows, in this order: bool "
        "(true, false), i64, f64, timestamp, string; digits with a leading zero stay text; inferred columns may be "
        "null. A later value that does not fit is a bad row.\n\n"
        "The files of a glob are united by column name: a column that one of them lacks is null there. Blank lines are "
        "skipped unless there is one column. Lines end in \\n or \\r\\n; in a file whose first line ends in a lone \\r "
        "all do. A byte order mark at the start is skipped. gzip and zstd are recognised by their first bytes.\n\n"
        "Standard input is sampled when the pipeline runs; a sample ends early when a pipe gives nothing for two "
        "seconds after its first rows, so give a `schema` for live streams.",
    .traits = RKP_BLOCKING | RKP_DETERMINISTIC | RKP_FINITE,
    .self_size = sizeof(struct read_csv),
    .opts = read_csv_opts,
    .metrics = read_csv_metrics,
    .examples = read_csv_examples,
    .also = "csv csv_scan scan_csv file file.csv input.csv",
    .probe = read_csv_probe,
    .bind = read_csv_bind,
    .init = read_csv_init,
    .poll = read_csv_poll,
    .decode = read_csv_decode,
    .fini = read_csv_fini,
    .again = read_csv_again,
    .state_version = 2,
    .save = read_csv_save,
    .restore = read_csv_restore,
};
