// admin/http.h - HTTP/1.1 as bytes: heads of requests and answers, chunks.  No sockets.
//
//   Owns     nothing; what a head is parsed to points into its bytes
//   Threads  any; no state
//   Fails    a request that is not well formed gives the status of the answer; nothing is guessed
//   Limits   16 KiB of head, 8 KiB of request line, 64 fields, 16 parameters, 64 KiB of body
//   Cost     linear in the bytes
//
// Strict: lines end with CR LF, no folded fields, no absolute targets, a body only with one Content-Length.  What two
// readers could understand in two ways is refused.
#ifndef RKI_HTTP_H
#define RKI_HTTP_H

#include "base/buf.h"

enum {
    RKI_HTTP_HEAD_BYTES = 16 << 10,
    RKI_HTTP_LINE_BYTES = 8 << 10,
    RKI_HTTP_BODY_BYTES = 64 << 10,
    RKI_HTTP_FIELDS = 64,
    RKI_HTTP_PARAMS = 16,
};

typedef struct rki_http_param {
    rkp_str name, value;
} rki_http_param;

typedef struct rki_http_request {
    rkp_str method;
    rkp_str path; // decoded, UTF-8 without controls, begins with '/'
    rki_http_param params[RKI_HTTP_PARAMS];
    size_t n_params;
    size_t body;   // Content-Length
    int minor;     // HTTP/1.minor
    bool keep;     // the connection may serve another request
    bool says_100; // the client waits for "100 Continue" before it sends the body
} rki_http_request;

// Where the head that begins at p ends (after its empty line); 0: not yet.  `*seen` remembers between calls what was
// looked at already; it begins at 0.
size_t rki_http_head_end(const char *p, size_t n, size_t *seen);
// Parses a whole head, decoding it in place.  0, or the status of the answer.
int rki_http_parse(char *p, size_t n, rki_http_request *out);

const char *rki_http_reason(int status);
// Status line and fields of an answer; `fields` are whole lines with CR LF, or "".  `length` SIZE_MAX: no Content-Length.
void rki_http_head(rki_buf *out, int status, const char *type, const char *fields, size_t length, bool keep);
void rki_http_chunk(rki_buf *out, const char *p, size_t n); // n > 0

// ---- the client's side

typedef struct rki_http_answer {
    int status;
    uint64_t length; // valid when has_length
    bool has_length, chunked;
} rki_http_answer;

bool rki_http_parse_answer(const char *p, size_t n, rki_http_answer *out);

// Chunks to bytes, whatever the pieces they come in.
typedef struct rki_dechunk {
    uint64_t left;   // bytes of the chunk at hand
    int state;       // 0 at the start
    size_t n;        // of line
    char line[256];  // size of a chunk, or a field of the trailer
    uint64_t missed; // Rkpipe-Missed of the trailer
} rki_dechunk;

// 1: this was the end (`*used` bytes belong to it); 0: more must come; -1: not chunks.
int rki_http_dechunk(rki_dechunk *d, const char *p, size_t n, size_t *used, rki_buf *out);

#endif
