// admin/http.h - HTTP/1.1 as bytes, for one small server and its client: heads of requests and answers, chunks.
//
//   Owns     nothing; what a head is parsed to points into its bytes
//   Threads  any; no state
//   Fails    a request that is not well formed gives the status of the answer; nothing is guessed
//   Limits   of rkpipe/http.h, and 64 KiB of body
//   Cost     linear in the bytes
#ifndef RKI_HTTP_H
#define RKI_HTTP_H

#include "base/buf.h"
#include <rkpipe/http.h>

enum { RKI_HTTP_BODY_BYTES = 64 << 10 };

typedef rkp_http_request rki_http_request;

// rkp_http_parse with the limits of this room: bodies come with their length and have at most 64 KiB.
int rki_http_parse(char *p, size_t n, rki_http_request *out);
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
