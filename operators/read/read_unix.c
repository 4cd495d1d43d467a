// read.unix: rows that processes of this machine send over a unix socket; see push.h.
#include "push.h"

static const rkp_opt read_unix_opts[] = {
    PUSH_OPTS(struct push, "path of the socket; what a dead process left there is replaced", " file socket_path",
              " of each connection", "the first line of each connection must be the one line of this file",
              "longest record; a longer one is a bad row, reason `size`, and the connection goes on"),
    { .name = "mode",
      .type = &rkp_string,
      .at = offsetof(struct push, mode),
      .def = "'0600'",
      .help = "rights of the socket's file: who may write to it may connect",
      .also = "socket_file_mode permissions unix_perm" },
    PUSH_STREAM_TIMES(struct push),
    { 0 },
};

static const rkp_metric read_unix_metrics[] = {
    PUSH_STREAM_METRICS,
    { 0 },
};

static const rkp_example read_unix_examples[] = {
    { .title = "Lines of other processes",
      .with = "listen: app.sock\n",
      .input = "started\nready\n",
      .output = "line\nstarted\nready\n" },
    { .title = "JSON lines, from processes of a group",
      .with = "listen: events.sock\n"
              "mode: '0660'\n"
              "format: jsonl\n"
              "schema: { id: i64, user: string? }\n"
              "paths: { user: ctx.user }\n",
      .input = "{\"id\":1,\"ctx\":{\"user\":\"Ann\"}}\n{\"id\":2}\n",
      .output = "id,user\n1,Ann\n2,\n" },
    { 0 },
};

static rkp_status read_unix_bind(void *self, rkp_bind *b)
{
    return push_bind(self, b, PUSH_UNIX);
}

const rkp_op rkp_op_read_unix = {
    PUSH_SLOTS,
    .name = "read.unix",
    .summary = "Take rows that processes of this machine send over a unix socket.",
    .details =
        "A stream socket in the file system, whose connections are those of `read.tcp`: each sends records one after "
        "the "
        "other, what is whole goes on at once, and what is said there about bad rows, full pipelines and the end holds "
        "here.\n\n"
        "The file has the rights of `mode` from the moment it can be connected to. What a dead process left at the "
        "path is "
        "replaced; when somebody listens there, or it is no socket, the pipeline does not start. It is removed when "
        "the "
        "source ends.",
    .opts = read_unix_opts,
    .metrics = read_unix_metrics,
    .examples = read_unix_examples,
    .also = "unix unix_stream socket.unix unix_socket uds",
    .bind = read_unix_bind,
};
