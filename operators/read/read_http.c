// read.http: rows in the bodies of HTTP requests; see push.h.
#include "push.h"

static const rkp_opt read_http_opts[] = {
    PUSH_OPTS(
        struct push,
        "where clients connect: `host:port`, `[IPv6]:port`, or `:port` for all addresses; port 0 takes a free one", "",
        " of each body", "requests need `Authorization: Bearer` and the one line of this file",
        "longest body; a longer one is refused, 413"),
    PUSH_CLIENT(struct push),
    PUSH_TIMES(struct push, "60s", 1e6, 86400e9, "a connection without a request for so long is closed",
               "keepalive keepalive_timeout max_connection_age",
               "time for the head of a request, and for its body, which has a second more for each KiB that has come; "
               "then 408",
               "read_timeout request_timeout"),
    { 0 },
};

static const rkp_metric read_http_metrics[] = {
    PUSH_METRICS,
    [PUSH_REFUSED] = { "refused", RKP_UNIT_COUNT, "requests answered with 400 or more" },
    [PUSH_UNFINISHED] = { "unfinished", RKP_UNIT_COUNT, "connections cut in the middle of a request" },
    { 0 },
};

static const rkp_example read_http_examples[] = {
    { .title = "Lines, as `curl --data-binary @FILE` sends them",
      .with = "listen: 127.0.0.1:8080\n",
      .input = "first\nsecond\n",
      .output = "line\nfirst\nsecond\n" },
    { .title = "JSON lines with types: a body with a wrong value is refused as a whole",
      .with = "listen: ':8080'\n"
              "format: jsonl\n"
              "schema: { id: i64, at: timestamp, amount: f64? }\n"
              "max_message: 1MiB\n",
      .input =
          "{\"id\":1,\"at\":\"2024-05-01T10:00:00Z\",\"amount\":12.5}\n{\"at\":\"2024-05-01T10:00:01Z\",\"id\":2}\n",
      .output = "id,at,amount\n1,2024-05-01T10:00:00Z,12.5\n2,2024-05-01T10:00:01Z,\n" },
    { 0 },
};

static rkp_status read_http_bind(void *self, rkp_bind *b)
{
    return push_bind(self, b, PUSH_HTTP);
}

const rkp_op rkp_op_read_http = {
    PUSH_SLOTS,
    .name = "read.http",
    .summary = "Take rows that clients send as bodies of HTTP requests.",
    .details =
        "POST or PUT, to any path; the body is lines, JSON lines or CSV with a header, by Content-Length or in chunks. "
        "A "
        "body is taken as a whole or not at all. The answer is 204 when all of its rows are in the queues of the "
        "pipeline, and 400 with the line and the reason when one is wrong: every value is checked against `schema` "
        "before anything is taken, so a client's mistake never meets `on_error`.\n\n"
        "Other answers: 401 without the right token; 405 for another method; 408 when the request is slower than "
        "`timeout` "
        "allows; 411 without a length; 413 above `max_message`; 414 and 431 for a head that is too large; 415 for a "
        "compressed body; 417, 501 and 505 for what is not known here; 503 when the source stops, or too many large "
        "bodies "
        "come at once (128 MiB in all): come again. What is not well-formed, or could be understood in two ways, is "
        "400 "
        "and the end of the connection. Connections are kept for further requests, and `Expect: 100-continue` is "
        "answered.\n\n"
        "When the pipeline is full answers wait, and nothing more is read. Rows that were answered with 204 are in the "
        "pipeline, but only in its memory: a crash may lose them. A client that got no answer does not know, and may "
        "send "
        "rows twice when it tries again.\n\n"
        "The source never ends by itself. There is no encryption: on a network that is not yours alone put a proxy "
        "with TLS in "
        "front.",
    .opts = read_http_opts,
    .metrics = read_http_metrics,
    .examples = read_http_examples,
    .also = "http http_server in_http webhook http_listener post",
    .bind = read_http_bind,
};
