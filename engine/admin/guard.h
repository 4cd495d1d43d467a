// admin/guard.h - who may ask: the token over TCP, and no page of a browser but our own.
//
//   Owns     the refusal belongs to the caller
//   Threads  any; no state
//   Fails    -
//   Limits   -
//   Cost     the length of what was given
//
// A browser asks for whatever any page wants, and shows the password that its user has once given for this address with it; also
// where no token is needed, because `ssh -L PORT:SOCKET` puts a socket behind an address.  What it says of the page it asks for
// (Origin, Sec-Fetch-Site) cannot be made up by that page, nor can Host: so what comes from another page, or through a name that may have been
// bent to this machine, is refused.
#ifndef RKI_GUARD_H
#define RKI_GUARD_H

#include "admin/api.h"
#include "base/bearer.h"

// Without this token (n 0: of a socket, nobody shows any) a request gets 401, and nothing is done for it; one that asks for a name
// which is not this machine's, or comes from another page, gets 403.  False: it may go on.  `parsed`: what rki_http_parse has given; a request
// that is not well formed has other trouble.
bool rki_guard_refuses(const rki_bearer *t, const rki_http_request *r, int parsed, rki_answer *out);

// A Host field that names an address of this machine, or a name that is not looked up anywhere else; with or without a
// port.  A web page could have bent any other one.
bool rki_guard_host(rkp_str host);

#endif
