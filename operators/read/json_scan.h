// operators/read/json_scan.h - finds the values of some paths in lines of JSON, and builds nothing.
//
//   Owns     a scanner owns its copy of the paths and what it has learned; texts stay the caller's
//   Threads  a scanner belongs to one thread; the kernels below have no state
//   Fails    NULL when memory is out; a bad line stops the scan at that line, and the next call goes on behind it
//   Limits   64 steps a path, 65,535 paths, values nested 1,024 deep, 2^31 - 1 bytes a chunk
//   Cost     about a third of a nanosecond a byte for log lines with four of ten values wanted
//
// The caller's text ends with '\n' and JSCAN_PAD readable bytes follow it: every loop stops at a newline, because a raw
// newline can stand neither in a string nor in a number, so no loop looks at a length.
//
// A scanner learns.  In each object it walks through it keeps what stood between two values (`,"level":`) together with
// what that key means, and what came after it last time; on the next line one wide comparison per value finds the key
// again.  Lines with other keys, or keys in another order, are read in the ordinary way and learned.
#ifndef JSON_SCAN_H
#define JSON_SCAN_H

#include <rkpipe/batch.h>
#include <rkpipe/opt.h>

enum { JSCAN_PAD = 64, JSCAN_DEPTH = 1024, JSCAN_STEPS = 64 };

// Paths: a.b[0].c, ["odd.key"].x, $ for the whole line.  False when it cannot be read; *bad is the byte then.
bool jscan_path_ok(rkp_str path, size_t *bad);

typedef struct jscan jscan;

typedef struct jscan_path {
    rkp_str text;
    bool key;    // not a path: the name of a member of the line's object, as it is
    bool unread; // nobody looks at it: no slot (UINT32_MAX), but it says what lines may look like
} jscan_path;

// The same path twice gets the same slot: slot_of[i] (n entries) is where path i's places are put.
jscan *jscan_new(const jscan_path *paths, uint32_t n, bool validate, uint32_t *slot_of);
void jscan_free(jscan *s);
uint32_t jscan_slots(const jscan *s);

typedef enum jscan_error {
    JSCAN_OK,
    JSCAN_VALUE,     // a value is expected
    JSCAN_KEY,       // a key is expected
    JSCAN_COLON,     // ':' is expected
    JSCAN_COMMA,     // ',' or '}' is expected
    JSCAN_COMMA_ARR, // ',' or ']' is expected
    JSCAN_STRING,    // a string does not end, or holds a control character
    JSCAN_ESCAPE,    // a broken escape
    JSCAN_NUMBER,    // not a number
    JSCAN_WORD,      // not true, false or null
    JSCAN_NESTING,   // brackets do not match
    JSCAN_DEEP,      // too deep
    JSCAN_TAIL,      // text behind the value
    JSCAN_OBJECT,    // the line is not an object
    JSCAN_UTF8,      // not UTF-8
} jscan_error;
const char *jscan_error_text(unsigned e);
unsigned jscan_row_error(unsigned e); // rkp_row_error

typedef struct jscan_chunk {
    const char *base;
    uint32_t at, end; // lines in base[at .. end); at >= 1, base[end - 1] == '\n'
    uint32_t rows;    // found so far
    uint32_t cap;     // room for rows; never more than the lines that are left
    uint32_t *start;  // row r began at base[1 + start[r] + 1]: places count from base + 1
    uint32_t **pos;   // by slot: row r's value is base[pos[2 r] + 1 .. pos[2 r + 1]), or pos[2 r] == RKP_NO_TEXT
    // a bad line
    unsigned error;
    uint32_t bad_at, bad_end; // the line, without its end
    uint32_t error_at;        // where it was noticed
} jscan_chunk;

// Scans until the end of the chunk (true) or behind a bad line (false; call again).  `at` must be at least 1.
bool jscan_lines(jscan *s, jscan_chunk *c);

// ---- kernels --------------------------------------------------------------------------------------------------------

// One set per instruction set; the best that runs here is jscan_kernels(JSCAN_BEST).
typedef struct jscan_kernels {
    const char *name;
    bool (*lines)(jscan *s, jscan_chunk *c);
    // One value with blanks around it that ends at '\n': *end gets its end.  Complete RFC 8259 grammar, UTF-8 too.
    unsigned (*validate)(const char *p, const char **end, const char **bad);
    uint32_t (*count_lines)(const char *p, size_t n);
    // Offsets (from base) of every '\n' in p[0..n); returns how many.  *cr is set when one stands behind '\r'.
    uint32_t (*find_lines)(const char *base, uint32_t at, uint32_t end, uint32_t *to, bool *cr);
} jscan_kernels;

enum { JSCAN_BEST = -1 };
// The i-th set, from the plainest; NULL past the last that runs on this machine.
const jscan_kernels *jscan_kernels_at(int i);
void jscan_use(jscan *s, const jscan_kernels *k); // for tests

// The inside of a string whose escapes were checked; writes at most n bytes.  Half of a surrogate pair is U+FFFD.
size_t jscan_unescape(char *to, const char *p, size_t n);

// True when the text is UTF-8 as RFC 3629 has it.
bool jscan_utf8(const char *p, size_t n);

#endif
