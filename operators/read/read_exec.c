// read.exec: what a command writes to its standard output, as lines, CSV or JSON lines.
//
// It is one of the readers of this folder over a pipe: bind, poll and decode are theirs.  What is its own is the command:
// started by the first poll, waited for when its output has ended, stopped with its whole process group when the
// pipeline does not want more.
#include "formats.h"

#include <rkpipe/command.h>

#include <poll.h>
#include <stdio.h>

enum { WAIT_MS = 100 };

struct read_exec {
    rkp_command command; // options: constant after bind
    struct formats f;
    rkp_actor *actor; // poll: for the child's thread
    rkp_child *child; // poll: while it runs
    bool begun, read; // poll: it was started; its output has ended
};

#define AT(field) offsetof(struct read_exec, field)
static const rkp_opt read_exec_opts[] = {
    RKP_COMMAND_OPTS(struct read_exec, command),
    FORMAT_OPTS(struct read_exec, f, "what the command writes", "before the command runs", ""),
    { .name = "chunk_bytes",
      .type = &rkp_size,
      .at = AT(f.chunk_bytes),
      .def = "510KiB",
      .bounded = true,
      .min = 4096,
      .max = 64 << 20,
      .unit = "bytes",
      .help = "output that makes one batch",
      .also = "buffer_size block_size batch_bytes" },
    { .name = "max_record",
      .type = &rkp_size,
      .at = AT(f.max_record),
      .def = "16MiB",
      .bounded = true,
      .min = 16,
      .max = 256 << 20,
      .unit = "bytes",
      .help = "longest line or record; a longer one is a bad row, reason `size`",
      .also = "max_line_bytes max_buffer max_line_size" },
    { .name = "idle",
      .type = &rkp_duration,
      .at = AT(f.idle_ns),
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

static rkp_status read_exec_bind(void *self, rkp_bind *b)
{
    struct read_exec *x = self;
    rkp_status command = rkp_command_check(&x->command, rkp_bind_diags(b));
    rkp_word name = x->command.argv.n ? x->command.argv.v[0] : (rkp_word){ "", 0, rkp_bind_at(b) };
    rkp_status st = formats_bind(&x->f, b, name, "exec-format", "the columns must be known before the command runs");
    rkp_bind_delivery(b, RKP_AT_MOST_ONCE, "a command cannot be read again");
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
    return formats_init(&x->f, a);
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
    return x->f.format == FORMAT_CSV     ? x->f.u.csv.reader
           : x->f.format == FORMAT_JSONL ? x->f.u.jsonl.src.reader
                                         : x->f.u.lines.src.reader;
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
    if (x->f.format == FORMAT_CSV)
        read_csv_begin(&x->f.u.csv, r);
    else
        line_source_begin(x->f.format == FORMAT_JSONL ? &x->f.u.jsonl.src : &x->f.u.lines.src, r);
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
    v = x->f.op->poll(&x->f.u, a);
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
    return formats_decode(&x->f, a, raw);
}

static void read_exec_fini(void *self)
{
    struct read_exec *x = self;
    rkp_child_free(x->child);
    formats_fini(&x->f);
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
