// admin/guard.h - who may ask over TCP.
//
//   Owns     the refusal belongs to the caller
//   Threads  any; no state
//   Fails    -
//   Limits   -
//   Cost     the length of what was given
#ifndef RKI_GUARD_H
#define RKI_GUARD_H

#include "admin/api.h"
#include "base/bearer.h"

// A request without this token gets 401, and nothing is done for it; one that asks for a name which is not this machine's
// gets 403.  False: it may go on.  `parsed`: what rki_http_parse has given; a request that is not well formed has other trouble.
bool rki_guard_refuses(const rki_bearer *t, const rki_http_request *r, int parsed, rki_answer *out);

// A Host field that names an address of this machine, or a name that is not looked up anywhere else; with or without a
// port.  A web page could have bent any other one.
bool rki_guard_host(rkp_str host);

#endif
