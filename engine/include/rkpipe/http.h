// rkpipe/http.h - the requests of HTTP/1.1 as bytes, for whoever answers them.  No sockets.
//
//   Owns     nothing; what a head is parsed to points into its bytes
//   Threads  any; no state but the caller's
//   Fails    a request that is not well formed gives the status of the answer; nothing is guessed
//   Limits   16 KiB of head, 8 KiB of request line, 64 fields, 16 parameters; 8 KiB of trailer and of a chunk's extension
//   Cost     linear in the bytes
//
// Strict: lines end with CR LF, no folded fields, no absolute targets, a body by one Content-Length or by one
// `Transfer-Encoding: chunked`, never both.  What two readers could understand in two ways is refused.
#ifndef RKPIPE_HTTP_H
#define RKPIPE_HTTP_H

#include <rkpipe/base.h>

enum {
    RKP_HTTP_HEAD_BYTES = 16 << 10,
    RKP_HTTP_LINE_BYTES = 8 << 10,
    RKP_HTTP_TRAILER_BYTES = 8 << 10,
    RKP_HTTP_FIELDS = 64,
    RKP_HTTP_PARAMS = 16,
};

typedef struct rkp_http_param {
    rkp_str name, value;
} rkp_http_param;

typedef struct rkp_http_request {
    rkp_str method;
    rkp_str path; // decoded, UTF-8 without controls, begins with '/'
    rkp_http_param params[RKP_HTTP_PARAMS];
    size_t n_params;
    size_t body;                                   // Content-Length; SIZE_MAX: more than can be
    bool has_length;                               // it was given
    bool chunked;                                  // the body comes in chunks
    int minor;                                     // HTTP/1.minor
    bool keep;                                     // the connection may serve another request
    bool says_100;                                 // the client waits for "100 Continue" before it sends the body
    rkp_str host, authorization, content_encoding; // the fields of these names; p NULL: not there
    rkp_str origin, fetch_site;                    // Origin, Sec-Fetch-Site: what a browser says of the page that asks
} rkp_http_request;

// Where the head that begins at p ends (after its empty line); 0: not yet.  `*seen` remembers between calls what was
// looked at already; it begins at 0.
size_t rkp_http_head_end(const char *p, size_t n, size_t *seen);
// Parses a whole head, decoding it in place.  0, or the status of the answer.
int rkp_http_parse(char *p, size_t n, rkp_http_request *out);
const char *rkp_http_reason(int status);

// A body in chunks, whatever the pieces it comes in; zeroed at the start.
typedef struct rkp_http_chunks {
    uint64_t left;  // bytes of the chunk at hand
    uint32_t extra; // of its extension, or of the trailer
    uint8_t digits, state;
} rkp_http_chunks;

// Goes over p[0..n) up to the end of one stretch of data, which is *data (it may be empty): *used bytes.  1: the body has
// ended there; 0: more must come, or is left in p; -1: these are not chunks.
int rkp_http_dechunk(rkp_http_chunks *c, const char *p, size_t n, size_t *used, rkp_str *data);

// ASCII only, whatever the locale.
bool rkp_http_same_word(rkp_str a, const char *lower);

#endif
