// data/text.h - text of fields: quoting, escapes, JSON and UTF-8 checks, and one value of any type out of one text.
//
//   Owns     nothing
//   Threads  any; no state
//   Fails    false, or RKI_NO_TEXT_SIZE, and what *to then holds is not defined
//   Limits   JSON is checked to 1,000 levels
//   Cost     a few bytes a cycle
#ifndef RKI_TEXT_H
#define RKI_TEXT_H

#include <rkpipe/batch.h>

#define RKI_NO_TEXT_SIZE SIZE_MAX

// Is it ASCII?  Short texts in a few instructions.
static inline bool rki_ascii(const char *p, size_t n)
{
    const uint64_t high = 0x8080808080808080ull;
    uint64_t v, last;
    uint32_t a, b;

    if (n >= 8) {
        memcpy(&last, p + n - 8, 8);
        for (size_t i = 0; i + 8 < n; i += 8) {
            memcpy(&v, p + i, 8);
            last |= v;
        }
        return (last & high) == 0;
    }
    if (n >= 4) {
        memcpy(&a, p, 4);
        memcpy(&b, p + n - 4, 4);
        return ((a | b) & (uint32_t)high) == 0;
    }
    return n == 0 || (((unsigned)(unsigned char)p[0] | (unsigned char)p[n / 2] | (unsigned char)p[n - 1]) & 0x80) == 0;
}

// The inside of a quoted CSV field; quotes in it are doubled.  `to` has room for n bytes.
size_t rki_csv_unquote(char *to, const char *p, size_t n, char quote);
// The inside of a JSON string.  `to` has room for n bytes.
size_t rki_json_unescape(char *to, const char *p, size_t n);
// One JSON value, blanks around it allowed.
bool rki_json_valid(const char *p, size_t n);
bool rki_json_number(const char *p, size_t n);
// Writes s as a JSON string with its quotes.  `to` has room for 6 n + 2 bytes.
size_t rki_json_quote(char *to, const char *p, size_t n);

// One value of a scalar kind that is not a view; bool is one byte.  `to` has the kind's width.
bool rki_value_parse(unsigned kind, const char *p, size_t n, void *to);
enum { RKI_VALUE_TEXT = 32 };
size_t rki_value_print(char *to, unsigned kind, const void *value); // at most RKI_VALUE_TEXT bytes
// A fixed array out of JSON text, [1, 2].
bool rki_array_parse(unsigned kind, uint32_t len, const char *p, size_t n, void *to);

#endif
