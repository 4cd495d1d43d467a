// read/csv_index.h - where the records and fields of CSV text are (RFC 4180), 64 bytes at a time.
//
//   Owns     nothing
//   Threads  any; the caller's state
//   Fails    nothing fails; csv_index stops when its room is used up and goes on when called again
//   Limits   chunks of 2^31 bytes
//   Cost     AVX-512 about 0.02 s/GB to scan and 0.05 s/GB to index text of 9 bytes a field
//
// A quote opens a quoted field only at the field's start; elsewhere in an unquoted field it is text.  With bits, quotes
// can only be counted, so csv_scan proves for every chunk that counting is right (each opening quote follows a
// separator or a closing quote, each closing quote is followed by a separator, a quote, or the end of the line).  Where
// it is not, the chunk is `exact`: csv_step, one byte at a time, says what it means.
#ifndef CSV_INDEX_H
#define CSV_INDEX_H

#include <rkpipe/base.h>

struct csv_dialect {
    char delim;
    char quote; // 0: none
};

// ---- the definition: one byte at a time -----------------------------------------------------------------------------

enum csv_mode { CSV_START, CSV_PLAIN, CSV_QUOTED, CSV_QUOTE }; // CSV_QUOTE: after a quote in a quoted field

// Returns true when c is a separator (a delimiter or a newline outside quotes).
static inline bool csv_step(const struct csv_dialect *d, unsigned *mode, char c)
{
    if (*mode == CSV_QUOTED) {
        if (c == d->quote)
            *mode = CSV_QUOTE;
        return false;
    }
    if (d->quote && c == d->quote && *mode != CSV_PLAIN) {
        *mode = CSV_QUOTED; // opens the field, or is the second half of ""
        return false;
    }
    if (c == d->delim || c == '\n') {
        *mode = CSV_START;
        return true;
    }
    *mode = CSV_PLAIN; // also what follows a closing quote by mistake: csv_field_ok finds it
    return false;
}

// Is a field that starts with a quote one quoted field, and nothing behind it?
bool csv_field_ok(const struct csv_dialect *d, const char *p, size_t n);

// ---- chunks ---------------------------------------------------------------------------------------------------------

struct csv_scan {
    size_t cut;     // bytes up to and with the last newline that ends a record; 0: none
    uint64_t lines; // newlines in [0, cut), also in quotes
    bool quotes;    // there is a quote
    bool exact;     // only csv_step is right
    bool open;      // the text ends inside quotes (not told when exact)
};

struct csv_index {
    uint32_t at;       // next byte; set to where the text begins
    unsigned mode;     // exact: enum csv_mode
    uint64_t inside;   // all ones inside quotes
    uint64_t carriage; // not 0: there was a \r
    uint64_t newlines; // outside quotes
    uint32_t n;        // positions written
    bool high;         // there was a byte from 0x80 on
    // Has every row the same number of fields?  Asked when `ends` is set, by csv_row_ends; not told when exact.
    const uint64_t *ends;
    uint32_t fields, field; // of a row; of this one, so far
    bool uneven;
};

enum { CSV_ENDS = 64 };

// Which separators end rows of n fields, 0 < n <= CSV_ENDS: bit i of ends[f] is set when separator i, counted from the
// f-th of a row, does.
void csv_row_ends(uint32_t n, uint64_t ends[CSV_ENDS]);

enum { CSV_SLACK = 80 };   // positions that csv_index may write beyond those it counts
enum { CSV_AHEAD = 4096 }; // bytes that it asks for before it looks at them

struct csv_kernel {
    const char *name;
    // p[0..n) begins where a record begins.
    void (*scan)(const struct csv_dialect *d, const char *p, size_t n, struct csv_scan *out);
    // Writes the positions of separators in base[s->at..to) behind the s->n that are there, until room - CSV_SLACK.
    void (*index)(const struct csv_dialect *d, const char *base, uint32_t to, bool quotes, struct csv_index *s,
                  uint32_t *pos, uint32_t room);
};

extern const struct csv_kernel csv_scalar; // the reference
// The i-th kernel that this CPU can run, best first; NULL behind the last.
const struct csv_kernel *csv_kernel_at(unsigned i);

// The same as kernel->index for an exact chunk.
void csv_index_exact(const struct csv_dialect *d, const char *base, uint32_t to, struct csv_index *s, uint32_t *pos,
                     uint32_t room);

#endif
