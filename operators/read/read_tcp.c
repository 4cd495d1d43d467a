// read.tcp: rows that clients send over TCP; see push.h.
#include "push.h"

static const rkp_opt read_tcp_opts[] = {
    PUSH_OPTS(
        struct push,
        "where clients connect: `host:port`, `[IPv6]:port`, or `:port` for all addresses; port 0 takes a free one",
        " mode socket", " of each connection", "the first line of each connection must be the one line of this file",
        "longest record; a longer one is a bad row, reason `size`, and the connection goes on"),
    PUSH_CLIENT(struct push),
    PUSH_STREAM_TIMES(struct push),
    { 0 },
};

static const rkp_metric read_tcp_metrics[] = {
    PUSH_STREAM_METRICS,
    { 0 },
};

static const rkp_example read_tcp_examples[] = {
    { .title = "Lines, as `nc` sends them",
      .with = "listen: 127.0.0.1:9000\n",
      .input = "first\nsecond, with a comma\n",
      .output = "line\nfirst\n\"second, with a comma\"\n" },
    { .title = "JSON lines with types, and who has sent them",
      .with = "listen: 127.0.0.1:9001\n"
              "format: jsonl\n"
              "schema: { sensor: string, value: f64? }\n"
              "client: from\n",
      .input = "{\"sensor\":\"t1\",\"value\":20.5}\n{\"sensor\":\"t2\"}\n",
      .output = "sensor,value,from\nt1,20.5,127.0.0.1\nt2,,127.0.0.1\n" },
    { .title = "CSV, of which each connection sends a header of its own",
      .with = "listen: 127.0.0.1:9002\n"
              "format: csv\n"
              "schema: { city: string, people: i64? }\n",
      .input = "people,city\n709037,Oslo\n,Bergen\n",
      .output = "city,people\nOslo,709037\nBergen,\n" },
    { 0 },
};

static rkp_status read_tcp_bind(void *self, rkp_bind *b)
{
    return push_bind(self, b, PUSH_TCP);
}

const rkp_op rkp_op_read_tcp = {
    PUSH_SLOTS,
    .name = "read.tcp",
    .summary = "Take rows that clients send over TCP.",
    .details =
        "Each connection sends records one after the other: lines, JSON lines, or CSV with a header of its own. What "
        "is "
        "whole goes on at once, in the order of its connection; records of different connections are never mixed. A "
        "connection that is closed well may end its last record without a newline. One that is reset, or cut when the "
        "source stops, loses the record it was in: dropped, reason `unfinished`.\n\n"
        "A bad record is a bad row of the client's address and the number of its line there; `on_error` decides. The "
        "default without a dead-letter target is to fail, which a server on a network rarely wants: say `on_error: "
        "drop`, or give a target. CSV whose header lacks a column is one bad row, and the connection is closed.\n\n"
        "When the pipeline is full nothing is read, and the clients' own sends wait. Clients that are slow or silent "
        "hold up "
        "nobody; what they have not finished is kept up to `max_message`, 128 MiB in all. TCP tells a "
        "client nothing about what has become of its rows: who must know uses `read.http`.\n\n"
        "The source never ends by itself. When it is told to stop it listens no more, reads what has come until then, "
        "and closes the connections. There is no encryption: on a network that is not yours alone put a proxy with TLS "
        "in "
        "front.",
    .opts = read_tcp_opts,
    .metrics = read_tcp_metrics,
    .examples = read_tcp_examples,
    .also = "tcp socket socket_server in_tcp socket.tcp tcp_listener syslog net",
    .bind = read_tcp_bind,
};
