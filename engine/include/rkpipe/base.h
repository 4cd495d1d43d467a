// rkpipe/base.h - words that every other header of the contract uses: views, places, statuses.
//
//   Owns     nothing; a view never owns what it points at
//   Threads  any
//   Fails    nothing here fails
//   Limits   a place counts lines and columns from 1, columns in code points; line 0 means "no place"
//   Cost     inline
#ifndef RKPIPE_BASE_H
#define RKPIPE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define RKP_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define RKP_UNUSED       __attribute__((unused))
#define RKP_LIKELY(x)    __builtin_expect(!!(x), 1)
#define RKP_UNLIKELY(x)  __builtin_expect(!!(x), 0)

// What the caller does next.  RKP_INVALID always comes with a diagnostic.
typedef enum rkp_status {
    RKP_OK,
    RKP_INVALID,     // the pipeline is wrong; diagnostics say where (exit 78)
    RKP_NOMEM,       // memory or the budget is used up
    RKP_IO,          // an operation failed at run time; the message has been given (exit 1)
    RKP_UNAVAILABLE, // a file, endpoint or device that is needed is not there (exit 69)
    RKP_UNSUPPORTED, // known, and not supported yet
    RKP_INTERNAL,    // our bug (exit 70)
} rkp_status;

// Text by pointer and length; not NUL terminated unless its source says so.
typedef struct rkp_str {
    const char *p;
    size_t n;
} rkp_str;

#define RKP_STR(lit)   ((rkp_str){ (lit), sizeof(lit) - 1 })
#define RKP_STR_FMT    "%.*s"
#define RKP_STR_ARG(s) (int)(s).n, (s).p

static inline rkp_str rkp_str_of(const char *z)
{
    return (rkp_str){ z, z ? strlen(z) : 0 };
}

static inline bool rkp_str_eq(rkp_str a, rkp_str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool rkp_str_is(rkp_str a, const char *z)
{
    return rkp_str_eq(a, rkp_str_of(z));
}

// A place in a file the user wrote.  `file` lives as long as the pipeline.
typedef struct rkp_loc {
    const char *file;
    uint32_t line;
    uint32_t col;
    uint32_t len; // code points to underline; 0 is one
} rkp_loc;

// A word the user wrote, with its place.  Also NUL terminated (p[n] == 0); p is NULL when the option is absent.
typedef struct rkp_word {
    const char *p;
    size_t n;
    rkp_loc at;
} rkp_word;

static inline rkp_str rkp_word_str(rkp_word w)
{
    return (rkp_str){ w.p, w.n };
}

#endif
