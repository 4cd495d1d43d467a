// base/hex.h - hexadecimal digits.
//
//   Owns     nothing
//   Threads  any
//   Fails    -1 or false for what is no digit
//   Limits   none
//   Cost     inline
#ifndef RKI_HEX_H
#define RKI_HEX_H

#include <rkpipe/base.h>

// The value of a digit, in either case; -1 for anything else, also for what is no character.
static inline int rki_hex_digit(int c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

// Four digits at p, as in \u00e9.
static inline bool rki_hex4(const char *p, uint32_t *v)
{
    *v = 0;
    for (int i = 0; i < 4; i++) {
        int d = rki_hex_digit(p[i]);

        if (d < 0)
            return false;
        *v = *v << 4 | (uint32_t)d;
    }
    return true;
}

#endif
