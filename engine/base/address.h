// base/address.h - ADDRESS:PORT as people write it.
//
//   Owns     nothing; parts point into the text, or are constants
//   Threads  any; no state
//   Fails    false: it is none
//   Limits   numbers only, no names but localhost
//   Cost     -
#ifndef RKI_ADDRESS_H
#define RKI_ADDRESS_H

#include <rkpipe/base.h>

// "127.0.0.1:80", "localhost:80" (127.0.0.1), "[::1]:80".
bool rki_address_split(rkp_str s, rkp_str *host, uint16_t *port);
bool rki_address_is_local(const char *host); // 127.0.0.0/8 or ::1

#endif
