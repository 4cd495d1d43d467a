// base/utf8.h - one step through text that may or may not be UTF-8, and one code point as UTF-8.
//
//   Owns     nothing
//   Threads  any
//   Fails    RKI_UTF8_BAD for bytes that are not UTF-8 (overlong, surrogate, cut off, above U+10FFFF)
//   Limits   none
//   Cost     inline
#ifndef RKI_UTF8_H
#define RKI_UTF8_H

#include <rkpipe/base.h>

#define RKI_UTF8_BAD UINT32_MAX

// Reads one code point at p < end into *cp and returns how many bytes it took, at least 1.  Bad input takes the longest
// prefix of a possible sequence, as Unicode advises, so that a reader resumes at the next character that may be good.
static inline size_t rki_utf8_next(const char *p, const char *end, uint32_t *cp)
{
    const unsigned char *s = (const unsigned char *)p;
    size_t have = (size_t)(end - p), len, i;
    unsigned lo = 0x80, hi = 0xbf; // of the second byte
    uint32_t v;

    *cp = RKI_UTF8_BAD;
    if (s[0] < 0x80) {
        *cp = s[0];
        return 1;
    }
    if (s[0] < 0xc2 || s[0] > 0xf4)
        return 1;
    if (s[0] < 0xe0) {
        len = 2;
        v = s[0] & 0x1fu;
    } else if (s[0] < 0xf0) {
        len = 3;
        v = s[0] & 0x0fu;
        lo = s[0] == 0xe0 ? 0xa0 : 0x80;
        hi = s[0] == 0xed ? 0x9f : 0xbf;
    } else {
        len = 4;
        v = s[0] & 0x07u;
        lo = s[0] == 0xf0 ? 0x90 : 0x80;
        hi = s[0] == 0xf4 ? 0x8f : 0xbf;
    }
    for (i = 1; i < len; i++) {
        if (i == have || s[i] < lo || s[i] > hi)
            return i;
        v = v << 6 | (s[i] & 0x3fu);
        lo = 0x80;
        hi = 0xbf;
    }
    *cp = v;
    return len;
}

// Writes a code point, at most U+10FFFF and no surrogate, to `to`; returns how many bytes it took, at most 4.
static inline size_t rki_utf8_put(char *to, uint32_t cp)
{
    size_t n = 0;

    if (cp < 0x80) {
        to[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        to[n++] = (char)(0xc0 | cp >> 6);
    } else if (cp < 0x10000) {
        to[n++] = (char)(0xe0 | cp >> 12);
        to[n++] = (char)(0x80 | (cp >> 6 & 0x3f));
    } else {
        to[n++] = (char)(0xf0 | cp >> 18);
        to[n++] = (char)(0x80 | (cp >> 12 & 0x3f));
        to[n++] = (char)(0x80 | (cp >> 6 & 0x3f));
    }
    to[n++] = (char)(0x80 | (cp & 0x3f));
    return n;
}

// May this code point go to a terminal as it is?  Not the C0 and C1 controls, line separators, and the marks that
// reorder text (a file can use them to show something other than it says).
static inline bool rki_utf8_plain(uint32_t cp)
{
    return cp >= 0x20 && cp < 0x110000 && !(cp >= 0x7f && cp < 0xa0) && !(cp >= 0x200e && cp <= 0x200f) &&
           !(cp >= 0x2028 && cp <= 0x202e) && !(cp >= 0x2066 && cp <= 0x2069) && cp != 0x61c && cp != 0xfeff;
}

#endif
