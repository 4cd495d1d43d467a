// read.exec: what a command writes to its standard output, as lines, CSV or JSON lines.
//
// It is one of the readers of this folder over a pipe: bind, poll and decode are theirs.  What is its own is the command:
// started by the first poll, waited for when its output has ended, stopped with its whole process group when the
// pipeline does not want more.
#include "read_csv.h"
#include "read_jsonl.h"
#include "read_lines.h"

#include <rkpipe/command.h>

#include <poll.h>
#include <stdio.h>

enum { FORMAT_LINES, FORMAT_CSV, FORMAT_JSONL };
enum { WAIT_MS = 100 };

static const rkp_choice format_names[] = {
    { "lines", FORMAT_LINES, "a column with the lines" },
    { "csv", FORMAT_CSV, "comma-separated values, as read.csv reads them" },
    { "jsonl", FORMAT_JSONL, "one JSON object a line, as read.jsonl reads them" },
    { 0 },
};

struct read_exec {
    rkp_command command; // options: constant after bind
    int format;
    rkp_word column;
    rkp_schema_use schema;
    rkp_words columns;
    bool header;
    char delimiter;
    rkp_words nulls;
    rkp_pairs paths;
    uint64_t chunk_bytes, max_record, idle_ns;
    const rkp_op *op; // bind: the reader, and its instance
    union {
        struct read_lines lines;
        struct read_csv csv;
        struct read_jsonl jsonl;
    } u;
    rkp_actor *actor; // poll: for the child's thread
    rkp_child *child; // poll: while it runs
    bool begun, read; // poll: it was started; its output has ended
};

#define AT(field) offsetof(struct read_exec, field)
static const rkp_opt read_exec_opts[] = {
    RKP_COMMAND_OPTS(struct read_exec, command),
    { .name = "format",
      .type = &rkp_choice_type,
      .at = AT(format),
      .def = "lines",
      .choices = format_names,
      .help = "what the command writes",
      .also = "codec decoding parser" },
    { .name = "column",
      .type = &rkp_string,
      .at = AT(column),
      .optional = true,
      .help = "lines: name of the column that holds the line; absent: `line`",
      .also = "field message_key key" },
    { .name = "schema",
      .type = &rkp_schema_name,
      .at = AT(schema),
      .optional = true,
      .help = "csv, jsonl: columns and types; nothing can be inferred before the command runs",
      .also = "types dtypes fields" },
    { .name = "columns",
      .type = &rkp_word_list,
      .at = AT(columns),
      .optional = true,
      .help = "csv: which columns, in this order; without `schema` they are strings",
      .also = "select names usecols" },
    { .name = "header",
      .type = &rkp_bool,
      .at = AT(header),
      .def = "true",
      .help = "csv: the first line has the names",
      .also = "has_header headers" },
    { .name = "delimiter",
      .type = &rkp_char,
      .at = AT(delimiter),
      .optional = true,
      .help = "csv: between fields; absent: a comma",
      .also = "delim sep separator" },
    { .name = "nulls",
      .type = &rkp_word_list,
      .at = AT(nulls),
      .optional = true,
      .help = "csv: texts that mean null; absent: the empty one",
      .also = "null_values na_values nullstr" },
    { .name = "paths",
      .type = &rkp_word_map,
      .at = AT(paths),
      .optional = true,
      .help = "jsonl: where columns are found, as `column: a.b[0].c`",
      .also = "json_paths mapping jsonpath path_map" },
    { .name = "chunk_bytes",
      .type = &rkp_size,
      .at = AT(chunk_bytes),
      .def = "510KiB",
      .bounded = true,
      .min = 4096,
      .max = 64 << 20,
      .unit = "bytes",
      .help = "output that makes one batch",
      .also = "buffer_size block_size batch_bytes" },
    { .name = "max_record",
      .type = &rkp_size,
      .at = AT(max_record),
      .def = "16MiB",
      .bounded = true,
      .min = 16,
      .max = 256 << 20,
      .unit = "bytes",
      .help = "longest line or record; a longer one is a bad row, reason `size`",
      .also = "max_line_bytes max_buffer max_line_size" },
    { .name = "idle",
      .type = &rkp_duration,
      .at = AT(idle_ns),
      .def = "200ms",
      .bounded = true,
      .min = 0,
      .max = 3600e9,
      .help = "when the command writes nothing for so long, pass on the rows that have come; 0: wait for a full chunk",
      .also = "flush_interval" },
    { 0 },
};

static const rkp_metric read_exec_metrics[] = {
    [M_FILES] = { "commands", RKP_UNIT_COUNT, "commands started" },
    [M_CHUNKS] = { "chunks", RKP_UNIT_COUNT, "csv: chunks decoded" },
    [M_EXACT] = { "exact_chunks", RKP_UNIT_COUNT, "csv: chunks read byte by byte because of stray quotes" },
    [M_UNEVEN] = { "uneven_chunks", RKP_UNIT_COUNT, "csv: chunks with blank lines or bad rows" },
    { 0 },
};

static const rkp_example read_exec_examples[] = {
    { .title = "The lines of a command's output",
      .with = "argv: [seq, \"3\"]\n",
      .input = "",
      .output = "line\n1\n2\n3\n" },
    { .title = "A command that writes CSV, with types, and a variable of its environment",
      .with = "argv: [printf, 'city,people\\nOslo,709037\\nBergen,291940\\n']\n"
              "format: csv\n"
              "schema: { city: string, people: i64 }\n"
              "env: { LC_ALL: C }\n",
      .input = "",
      .output = "city,people\nOslo,709037\nBergen,291940\n" },
    { .title = "JSON lines, of which two nested values are wanted",
      .with = "argv: [printf, '{\"id\":1,\"user\":{\"name\":\"Ann\"}}\\n{\"id\":2}\\n']\n"
              "format: jsonl\n"
              "schema: { id: i64, name: string? }\n"
              "paths: { name: user.name }\n",
      .input = "",
      .output = "id,name\n1,Ann\n2,\n" },
    { 0 },
};

// ---- bind -----------------------------------------------------------------------------------------------------------

// Options that go with another format.
static rkp_status check_format(const struct read_exec *x, rkp_bind *b)
{
    const struct {
        const char *name;
        bool given;
        rkp_loc at;
        unsigned formats; // bits
    } rows[] = {
        { "column", x->column.p != NULL, x->column.at, 1 << FORMAT_LINES },
        { "schema", x->schema.schema != NULL, x->schema.name.at, 1 << FORMAT_CSV | 1 << FORMAT_JSONL },
        { "columns", x->columns.v != NULL, x->columns.at, 1 << FORMAT_CSV },
        { "delimiter", x->delimiter != 0, rkp_bind_at(b), 1 << FORMAT_CSV },
        { "nulls", x->nulls.v != NULL, x->nulls.at, 1 << FORMAT_CSV },
        { "paths", x->paths.v != NULL, x->paths.at, 1 << FORMAT_JSONL },
    };
    rkp_diags *d = rkp_bind_diags(b);
    rkp_status st = RKP_OK;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!rows[i].given || rows[i].formats >> x->format & 1)
            continue;
        rkp_diag(d, RKP_ERROR, rows[i].at.line ? rows[i].at : rkp_bind_at(b), "exec-format",
                 "'%s' means nothing for format: %s", rows[i].name, format_names[x->format].name);
        st = RKP_INVALID;
    }
    if (x->format != FORMAT_LINES && !x->schema.schema && !(x->format == FORMAT_CSV && x->columns.n)) {
        rkp_diag(d, RKP_ERROR, rkp_bind_at(b), "exec-format", "format: %s needs %s", format_names[x->format].name,
                 x->format == FORMAT_CSV ? "'schema', or 'columns'" : "'schema'");
        rkp_diag_hint(d, "the columns must be known before the command runs");
        st = RKP_INVALID;
    }
    return st;
}

// `columns` without `schema`: strings of these names.
static rkp_status string_schema(struct read_exec *x, rkp_opt_ctx *mem)
{
    rkp_schema *s = rkp_opt_alloc(mem, sizeof *s);
    rkp_field *f = rkp_opt_alloc(mem, x->columns.n * sizeof *f);
    if (!s || !f)
        return RKP_NOMEM;
    for (size_t i = 0; i < x->columns.n; i++)
        f[i] = (rkp_field){ rkp_word_str(x->columns.v[i]), RKP_NTYPE(RKP_STRING) };
    *s = (rkp_schema){ (uint32_t)x->columns.n, f };
    x->u.csv.schema = (rkp_schema_use){ s, x->columns.v[0] };
    return RKP_OK;
}

static rkp_status bind_csv(struct read_exec *x, rkp_bind *b)
{
    static const rkp_word empty = { "", 0, { 0 } };
    struct read_csv *r = &x->u.csv;
    rkp_status st = RKP_OK;
    *r = (struct read_csv){ .schema = x->schema,
                            .header = x->header,
                            .delimiter = x->delimiter ? x->delimiter : ',',
                            .quote = { "\"", 1, rkp_bind_at(b) },
                            .nulls = x->nulls.v ? x->nulls : (rkp_words){ &empty, 1, { 0 } },
                            .columns = x->columns,
                            .compression = RKP_COMPRESS_NONE,
                            .chunk_bytes = x->chunk_bytes,
                            .max_record = x->max_record,
                            .idle_ns = x->idle_ns };
    x->op = &rkp_op_read_csv;
    if (!x->schema.schema)
        st = string_schema(x, rkp_bind_mem(b));
    if (st == RKP_OK)
        st = x->op->bind(r, b);
    return st == RKP_OK ? read_csv_piped(r, rkp_bind_mem(b), x->command.argv.v[0]) : st;
}

static line_source source_of(const struct read_exec *x)
{
    return (line_source){ .compression = RKP_COMPRESS_NONE,
                          .chunk_bytes = x->chunk_bytes,
                          .max_record = x->max_record,
                          .idle_ns = x->idle_ns };
}

static rkp_status bind_jsonl(struct read_exec *x, rkp_bind *b)
{
    struct read_jsonl *r = &x->u.jsonl;
    rkp_status st;
    *r = (struct read_jsonl){ .src = source_of(x), .schema = x->schema, .paths = x->paths };
    x->op = &rkp_op_read_jsonl;
    st = x->op->bind(r, b);
    return st == RKP_OK ? line_source_piped(&r->src, rkp_bind_mem(b), x->command.argv.v[0]) : st;
}

static rkp_status bind_lines(struct read_exec *x, rkp_bind *b)
{
    struct read_lines *r = &x->u.lines;
    rkp_status st;
    *r = (struct read_lines){ .src = source_of(x),
                              .column = x->column.p ? x->column : (rkp_word){ "line", 4, rkp_bind_at(b) } };
    x->op = &rkp_op_read_lines;
    st = x->op->bind(r, b);
    return st == RKP_OK ? line_source_piped(&r->src, rkp_bind_mem(b), x->command.argv.v[0]) : st;
}

static rkp_status read_exec_bind(void *self, rkp_bind *b)
{
    struct read_exec *x = self;
    rkp_status command = rkp_command_check(&x->command, rkp_bind_diags(b)), st = check_format(x, b);
    rkp_bind_delivery(b, RKP_AT_MOST_ONCE, "a command cannot be read again");
    if (command == RKP_OK && st == RKP_OK)
        st = x->format == FORMAT_CSV ? bind_csv(x, b) : x->format == FORMAT_JSONL ? bind_jsonl(x, b) : bind_lines(x, b);
    return st == RKP_OK ? command : st;
}

// ---- run ------------------------------------------------------------------------------------------------------------

static rkp_status read_exec_init(void *self, rkp_actor *a)
{
    struct read_exec *x = self;
    char err[RKP_FILE_ERR];
    rkp_status st = rkp_command_find(&x->command, rkp_actor_env(a), err);
    if (st != RKP_OK) {
        (void)rkp_fail(a, st, "%s", err);
        return st;
    }
    return x->op->init ? x->op->init(&x->u, a) : RKP_OK;
}

// A line of the command's standard error; on the child's thread.
static void on_line(void *arg, rkp_str line)
{
    const struct read_exec *x = arg;
    char text[5000];
    int n = snprintf(text, sizeof text, "kernel '%s': %.*s\n", rkp_actor_kernel(x->actor), RKP_STR_ARG(line));
    if (n > 0)
        rkp_log(x->actor, (rkp_str){ text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1 });
}

// The pipe is the reader's, which closes it at the end: from then on its number may be somebody else's.  NULL: closed.
static const rkp_reader *pipe_of(const struct read_exec *x)
{
    return x->format == FORMAT_CSV     ? x->u.csv.reader
           : x->format == FORMAT_JSONL ? x->u.jsonl.src.reader
                                       : x->u.lines.src.reader;
}

static rkp_verdict start(struct read_exec *x, rkp_actor *a)
{
    char err[RKP_FILE_ERR];
    rkp_reader *r;
    rkp_status st;
    x->begun = true;
    x->actor = a;
    st = rkp_child_start(&x->command, RKP_CHILD_READ, rkp_actor_env(a), on_line, x, &x->child, err);
    if (st == RKP_OK)
        st = rkp_reader_open_fd(rkp_child_take_fd(x->child), x->command.argv.v[0].p, &r, err);
    if (st != RKP_OK)
        return rkp_fail(a, st, "%s", err);
    if (x->format == FORMAT_CSV)
        read_csv_begin(&x->u.csv, r);
    else
        line_source_begin(x->format == FORMAT_JSONL ? &x->u.jsonl.src : &x->u.lines.src, r);
    rkp_count(a, M_FILES, 1);
    return RKP_MORE;
}

// Is there something, within a moment?  If not, the engine looks whether the kernel is wanted and comes back.
static bool waits(rkp_actor *a, int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    if (poll(&p, 1, WAIT_MS) != 0)
        return false;
    rkp_wake_at(a, rkp_now_ns(a));
    return true;
}

// Its output has ended: how has it?
static rkp_verdict finish(struct read_exec *x, rkp_actor *a)
{
    char err[RKP_FILE_ERR];
    rkp_status st;
    if (!rkp_child_ended(x->child) && waits(a, rkp_child_exit_fd(x->child)))
        return RKP_RETRY;
    if (!rkp_child_ended(x->child))
        return RKP_MORE;
    st = rkp_child_wait(x->child, err);
    rkp_child_free(x->child);
    x->child = NULL;
    return st == RKP_OK ? RKP_DONE : rkp_fail(a, st, "%s", err);
}

static rkp_verdict read_exec_poll(void *self, rkp_actor *a)
{
    struct read_exec *x = self;
    rkp_verdict v;
    if (rkp_stopping(a) || (!x->child && x->begun))
        return RKP_DONE;
    if (x->read) // by polls of its own: a failure then takes back no rows
        return finish(x, a);
    if (!x->child && start(x, a) == RKP_FAIL)
        return RKP_FAIL;
    if (waits(a, rkp_reader_fd(pipe_of(x))))
        return RKP_RETRY;
    v = x->op->poll(&x->u, a);
    x->read = !pipe_of(x);
    return v == RKP_FAIL ? v : rkp_stopping(a) ? RKP_DONE : RKP_MORE;
}

// It is polled no more: a command that still runs is told.
static rkp_status read_exec_prepare(void *self, rkp_actor *a)
{
    struct read_exec *x = self;
    (void)a;
    if (x->child)
        rkp_child_stop(x->child); // fini waits for it
    return RKP_OK;
}

static rkp_verdict read_exec_decode(void *self, rkp_actor *a, rkp_batch *raw)
{
    struct read_exec *x = self;
    return x->op->decode(&x->u, a, raw);
}

static void read_exec_fini(void *self)
{
    struct read_exec *x = self;
    rkp_child_free(x->child);
    if (x->op)
        x->op->fini(&x->u);
}

const rkp_op rkp_op_read_exec = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "read.exec",
    .kind = RKP_SOURCE,
    .summary = "Read what a command writes.",
    .details =
        "The command is started once, without a shell: `argv` is its name and its arguments. Its standard input is "
        "empty, its standard error is passed on line by line with the kernel's name. It gets PATH, HOME, LANG and TZ "
        "of "
        "rkpipe's environment, what `env` says, and no open file. It runs in rkpipe's working folder and in a process "
        "group of its own.\n\n"
        "The kernel ends when the command has ended with status 0. Another status, or a signal, fails the pipeline "
        "with the last line of its standard error. When the pipeline is told to stop, or nobody wants more rows, the "
        "process group gets SIGTERM, and SIGKILL after `grace`. With `restart` it is started again; rows that it has "
        "given "
        "stay.\n\n"
        "Secrets are refused in `argv` and `env`: other users can see them there. Let the command read a file.",
    .traits = RKP_BLOCKING | RKP_FINITE | RKP_EXECS | RKP_RESTARTS,
    .self_size = sizeof(struct read_exec),
    .opts = read_exec_opts,
    .metrics = read_exec_metrics,
    .examples = read_exec_examples,
    .also = "exec in_exec subprocess command read.command shell read.subprocess",
    .bind = read_exec_bind,
    .init = read_exec_init,
    .poll = read_exec_poll,
    .decode = read_exec_decode,
    .prepare = read_exec_prepare,
    .fini = read_exec_fini,
};
