// admin/client.h - one request to a running engine and its answer.
//
//   Owns     the reply's body is the caller's: rki_buf_fini
//   Threads  any; no state
//   Fails    see rki_called; `err` gets one sentence
//   Limits   64 MiB of answer; a stream has no end
//   Cost     blocks
#ifndef RKI_CLIENT_H
#define RKI_CLIENT_H

#include "base/bearer.h"
#include "base/buf.h"

typedef struct rki_call {
    const char *path; // of the socket, as it is shown; and, when it is an address,
    const char *address;
    uint16_t port;
    const rki_bearer *token; // may be NULL
    const char *method;
    const char *target;
    int timeout_ms; // without a byte; 0: none
    // The bytes of an answer of status 200 as they come; false: enough.  NULL: all answers are collected.
    bool (*take)(void *arg, rkp_str bytes);
    void *arg;
    // Becomes not 0 (in a signal handler): asks a stream to end, and takes what still comes.  May be NULL.
    const volatile int *stop;
} rki_call;

typedef struct rki_reply {
    int status;
    rki_buf body;
    uint64_t missed; // rows of a tap that were not given
} rki_reply;

typedef enum rki_called {
    RKI_ANSWERED,
    RKI_UNREACHED, // nobody there, or somebody else's
    RKI_CUT,       // the answer is not whole, or none came in time
    RKI_ENOUGH,    // `take` wanted no more
} rki_called;

rki_called rki_admin_call(const rki_call *c, rki_reply *out, char *err, size_t n);

#endif
