// base/bearer.h - the token that opens a door: from a file that nobody else can read, and compared so that time tells nothing.
//
//   Owns     its bytes, in the caller's memory: rki_bearer_wipe when they are not needed any more
//   Threads  any; no state
//   Fails    RKP_UNAVAILABLE: the file cannot be read; RKP_INVALID: others can read it too, or there is no token in it.  A
//            sentence in `err`, and what to do about it in `hint`
//   Limits   16 to 512 bytes, printable and without blanks
//   Cost     reading a small file
#ifndef RKI_BEARER_H
#define RKI_BEARER_H

#include <rkpipe/base.h>

enum { RKI_BEARER_LEAST = 16, RKI_BEARER_MOST = 512 };

typedef struct rki_bearer {
    char text[RKI_BEARER_MOST];
    size_t n; // 0: there is none
} rki_bearer;

typedef struct rki_bearer_error {
    char text[5000], hint[5000]; // they name the file; hint may be ""
} rki_bearer_error;

rkp_status rki_bearer_read(const char *path, rki_bearer *out, rki_bearer_error *e);
bool rki_bearer_is(const rki_bearer *t, rkp_str given);            // false when there is none
bool rki_bearer_bears(const rki_bearer *t, rkp_str authorization); // "Bearer TOKEN"
bool rki_bearer_basic(
    const rki_bearer *t,
    rkp_str authorization); // "Basic " and, in base64, "ANYBODY:TOKEN": what a browser asks its user for
void rki_bearer_wipe(rki_bearer *t);

#endif
