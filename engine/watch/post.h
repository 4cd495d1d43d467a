// watch/post.h - POST requests by HTTP or HTTPS, through libcurl.so.4, opened by name so that only who needs it loads it.
//
//   Owns     a connection, which is kept from one request to the next; copies of the URL and of the fields
//   Threads  one at a time
//   Fails    rki_post_new: NULL; a request: status 0, and a sentence without secrets
//   Limits   of an answer's body the first RKI_POST_BODY bytes are kept
//   Cost     the network's
//
// A URL and the fields may be secrets: nothing that libcurl says about them is passed on, only what kind of failure it was.
#ifndef RKI_POST_H
#define RKI_POST_H

#include "base/buf.h"
#include "watch/sender.h"

enum { RKI_POST_BODY = 64 << 10 };

typedef struct rki_post rki_post;

typedef struct rki_post_args {
    rkp_str url;
    const rkp_pairs *headers; // may be NULL
    const char *encoding;     // of every body; NULL: as it is
    const char *version;      // of the program
    int64_t timeout_ms;
} rki_post_args;

typedef struct rki_answer {
    long status;      // 0: there is none,
    bool never;       //   and there will be none, as the URL is none
    int64_t after_ms; // Retry-After; 0: it does not say
    rki_buf *body;    // where it goes, NULL: nowhere
    char why[RKI_SEND_WHY];
} rki_answer;

bool rki_post_there(char why[RKI_SEND_WHY]); // can it be loaded?
rki_post *rki_post_new(const rki_post_args *args);
void rki_post_free(rki_post *x);
// `body` of the answer is the caller's; all else is written.
void rki_post_send(rki_post *x, rkp_str body, const rki_send_stop *stop, rki_answer *a);

#endif
