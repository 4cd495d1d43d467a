// operators/read/push.h - sources to which clients send: read.tcp, read.unix, read.http.
//
//   Owns     a server owns its listening socket, its connections and what they have not finished
//   Threads  bind: control; decode: worker; the others: the source's thread
//   Fails    through the bind and the actor; what a client does wrong never fails the source, unless a bad row does
//   Limits   `max_connections` at once; a record or body of `max_message`; what is unfinished: 128 KiB a connection, and
//            128 MiB or one record in all of those that are larger
//   Cost     a read, a copy and a message for what a connection has sent since it was looked at
//
// An instance is a struct push.  Its server is made by init and holds all that lives outside of the process: another
// instance that gets the pointer goes on with the same sockets.
#ifndef PUSH_H
#define PUSH_H

#include "formats.h"

enum push_kind { PUSH_TCP, PUSH_UNIX, PUSH_HTTP };

// What a connection sends as a stream, between two looks at it.
typedef struct push_text {
    char *carry; // the beginning of a record
    size_t n, cap;
    uint64_t line, offset; // of carry[0]
    rkp_batch *head;       // csv: on which chunks hang
    unsigned mode;         // csv: enum csv_mode at the end of carry
    bool begun;            // a byte order mark would have been seen
    bool skipping;         // inside a record that is too large
    bool useless;          // csv: its head is wrong
} push_text;

typedef struct push_server push_server;

struct push {
    enum push_kind kind; // bind
    rkp_word listen;     // options: constant after bind
    rkp_word token_file, client, mode;
    struct formats f; // max_record is `max_message`
    uint64_t max_connections, idle_ns, timeout_ns;
    rkp_schema from;     // bind: with the column `client`
    sent_check check;    // poll, http: what is wrong with a body
    push_server *server; // init
};

// clang-format off
#define PUSH_OPTS(T, LISTEN, ALSO, EACH, TOKEN, MESSAGE) \
    { .name = "listen", .type = &rkp_string, .at = offsetof(T, listen), .required = true, .help = LISTEN, \
      .also = "address bind host url path port endpoint" ALSO }, \
    FORMAT_OPTS(T, f, "what clients send", "before the first one", EACH), \
    { .name = "token_file", .type = &rkp_path, .at = offsetof(T, token_file), .optional = true, .help = TOKEN, \
      .also = "token auth password shared_key auth_token" }, \
    { .name = "max_message", .type = &rkp_size, .at = offsetof(T, f.max_record), .def = "16MiB", .bounded = true, \
      .min = 16, .max = 256 << 20, .unit = "bytes", .help = MESSAGE, \
      .also = "max_length max_record max_body_size max_line_bytes chunk_size buffer_size buffer_max_size max_buffer" }, \
    { .name = "max_connections", .type = &rkp_uint, .at = offsetof(T, max_connections), .def = "1000", .bounded = true, \
      .min = 1, .max = 100000, .unit = "connections", \
      .help = "open at once; further clients wait until one has gone", .also = "connection_limit max_conns" }
#define PUSH_CLIENT(T) \
    { .name = "client", .type = &rkp_string, .at = offsetof(T, client), .optional = true, \
      .help = "name of one more column, the last, with the address of who has sent the row; absent: none", \
      .also = "source_address_key host_key peer" }
#define PUSH_TIMES(T, IDLE, IDLE_MIN, IDLE_MAX, IDLE_HELP, IDLE_ALSO, TIME_HELP, TIME_ALSO) \
    { .name = "idle_timeout", .type = &rkp_duration, .at = offsetof(T, idle_ns), .def = IDLE, .bounded = true, \
      .min = IDLE_MIN, .max = IDLE_MAX, .help = IDLE_HELP, .also = IDLE_ALSO }, \
    { .name = "timeout", .type = &rkp_duration, .at = offsetof(T, timeout_ns), .def = "30s", .bounded = true, \
      .min = 1e6, .max = 3600e9, .help = TIME_HELP, .also = TIME_ALSO }
// Of connections that are streams of records.
#define PUSH_STREAM_TIMES(T) \
    PUSH_TIMES(T, "0s", 0, 7 * 86400e9, "a connection on which nothing has come for so long is closed; 0: none is", \
               "read_timeout keepalive", \
               "time for the line with the token; and how long a large record may stand still while others wait for " \
               "its memory", "connect_timeout")
// clang-format on

enum { // the metrics of such a source begin with those of its readers
    PUSH_CONNECTIONS = M_FILES,
    PUSH_BYTES = M_UNEVEN + 1,
    PUSH_REFUSED,
    PUSH_UNFINISHED,
};
// clang-format off
#define PUSH_METRICS \
    [PUSH_CONNECTIONS] = { "connections", RKP_UNIT_COUNT, "connections that clients have opened" }, \
    [M_CHUNKS] = { "chunks", RKP_UNIT_COUNT, "csv: chunks decoded" }, \
    [M_EXACT] = { "exact_chunks", RKP_UNIT_COUNT, "csv: chunks read byte by byte because of stray quotes" }, \
    [M_UNEVEN] = { "uneven_chunks", RKP_UNIT_COUNT, "csv: chunks with blank lines or bad rows" }, \
    [PUSH_BYTES] = { "received_bytes", RKP_UNIT_BYTES, "bytes that clients have sent" }
#define PUSH_STREAM_METRICS \
    PUSH_METRICS, \
    [PUSH_REFUSED] = { "refused", RKP_UNIT_COUNT, "connections without the right token" }, \
    [PUSH_UNFINISHED] = { "unfinished", RKP_UNIT_COUNT, "connections cut in the middle of a record" }
// What such a descriptor has beside its name, its texts, its tables and its bind.
#define PUSH_SLOTS \
    .abi = RKP_ABI, .size = sizeof(rkp_op), .kind = RKP_SOURCE, .traits = RKP_BLOCKING | RKP_RESTARTS, \
    .self_size = sizeof(struct push), .init = push_init, .poll = push_poll, .decode = push_decode, \
    .prepare = push_prepare, .fini = push_fini, .again = push_again
// clang-format on

// ---- the slots; self is a struct push -------------------------------------------------------------------------------

rkp_status push_bind(struct push *x, rkp_bind *b, enum push_kind kind);
rkp_status push_init(void *self, rkp_actor *a);
rkp_verdict push_poll(void *self, rkp_actor *a);
rkp_verdict push_decode(void *self, rkp_actor *a, rkp_batch *raw);
rkp_status push_prepare(void *self, rkp_actor *a);
rkp_status push_again(void *self, rkp_actor *a, const rkp_record *r);
void push_fini(void *self);

// ---- texts ----------------------------------------------------------------------------------------------------------

// Emits the records that are whole now and keeps the rest.  DONE: it is useless from here on; FAIL.
rkp_verdict push_text_feed(struct push *x, rkp_actor *a, push_text *t, rkp_str name, const char *p, size_t n);
// The connection has ended well: the last record needs no end.
rkp_verdict push_text_end(struct push *x, rkp_actor *a, push_text *t, rkp_str name);
void push_text_fini(push_text *t);
// A whole text.  Emits its rows, or none: *why says what is wrong.  FAIL, or DONE.
rkp_verdict push_body(struct push *x, rkp_actor *a, rkp_str name, rkp_str body, const char **why);

#endif
