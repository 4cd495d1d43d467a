// expr/functions.h - the table of functions, for the checker, `rkpipe list` and the reference.
//
//   Owns     nothing; the tables are static
//   Threads  any
//   Fails    nothing here fails
//   Limits   none
//   Cost     a search through some fifty names, when an expression is compiled
#ifndef RKI_FUNCTIONS_H
#define RKI_FUNCTIONS_H

#include "expr/program.h"

typedef struct rki_fn_group {
    const char *title; // "Numbers"
    const rki_fn *fns; // ends with a row without name
} rki_fn_group;

// The groups in the order of the reference, ended by one without title.  Every row has a usage, help, an example and
// what it gives; `try` and `coalesce`, which the checker knows itself, are in it as well.
const rki_fn_group *rki_expr_functions(void);
const rki_fn *rki_fn_find(rkp_str name);

extern const rki_fn rki_fns_number[], rki_fns_text[], rki_fns_time[], rki_fns_convert[], rki_fns_other[];

// json.c: a path such as a.b[0].c, compiled.
typedef struct rki_json_path rki_json_path;
// NULL and *why, the byte where it is wrong; or NULL and *why == NULL when memory is out.
const rki_json_path *rki_json_path_parse(rki_arena *a, rkp_str text, const char **why, size_t *at);
typedef enum rki_json_found {
    RKI_JSON_MISSING, // also null
    RKI_JSON_RAW,     // a number, true, false, an object or a list: its text
    RKI_JSON_STRING,  // between its quotes, with escapes
    RKI_JSON_BROKEN,
} rki_json_found;
rki_json_found rki_json_find(rkp_str text, const rki_json_path *path, rkp_str *out, bool *escaped);
// Writes a JSON string without its escapes (never longer than it was); false: it is broken.
bool rki_json_unescape(rkp_str s, char *to, size_t *n);

// time.c
typedef struct rki_civil {
    int64_t year;
    unsigned month, day;          // from 1
    unsigned hour, minute, second; //
    unsigned micros;
    unsigned weekday; // 1 Monday .. 7 Sunday
    unsigned yearday; // from 1
} rki_civil;
void rki_civil_of(int64_t us, rki_civil *out);

// hash.c: XXH64 (xxhash, specification 0.1.1) of bytes.
uint64_t rki_xxh64(const void *p, size_t n, uint64_t seed);
// Text of a value, without its null: what to_string and concat print.  At most RKI_VALUE_TEXT bytes into `to`, or a
// view of the string itself.
enum { RKI_VALUE_TEXT = 40 };
rkp_str rki_value_text(const rkp_vec *v, uint32_t i, char *to);

// regex.c
const rkp_regex *rki_regex_new(rki_arena *a, rkp_diags *d, rkp_str pattern, rkp_loc at, bool exact);
// The text that a pattern without any special sign stands for: no library is needed to find it.
bool rki_regex_match(const rkp_regex *r, rkp_regex_run *m, rkp_str subject, int *rc);
rkp_regex_run *rki_regex_run_any(rkp_regex_run *m, const rkp_regex *r);

#endif
