// operators/read/http_in.h - one request after the other out of the bytes of a connection.  No sockets.
//
//   Owns     the head and the body of the request at hand
//   Threads  one
//   Fails    the status of the answer to a request that is not well formed or too large
//   Limits   those of rkpipe/http.h; `max_body` bytes of body, of which `room` may be kept now
//   Cost     one copy of head and body
//
//   feed -> HTTP_MORE .. -> HTTP_HEAD (look at `r`) -> feed -> HTTP_MORE .. -> HTTP_WHOLE (take `body`) -> http_in_next
#ifndef HTTP_IN_H
#define HTTP_IN_H

#include <rkpipe/http.h>

enum http_fed {
    HTTP_MORE,  // all bytes are taken
    HTTP_HEAD,  // a head is whole
    HTTP_WHOLE, // and its body
    HTTP_ROOM,  // the body needs more than `room`: make it more, and feed the rest again
    HTTP_NOMEM,
    // From 400 on: refuse it with this status.
};

typedef struct http_in {
    size_t max_body, room; // the caller's
    char *head;
    size_t n_head, cap_head, seen;
    bool parsed, whole;
    rkp_http_request r; // from HTTP_HEAD on; points into head
    rkp_http_chunks chunks;
    char *body;
    size_t n_body, cap_body;
} http_in;

// *used of p[0..n) have been taken.
int http_in_feed(http_in *h, const char *p, size_t n, size_t *used);
void http_in_next(http_in *h);       // the request at hand is done
bool http_in_idle(const http_in *h); // not a byte of a request has come
void http_in_fini(http_in *h);

#endif
