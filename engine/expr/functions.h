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

// json.c: a path such as a.b[0].c or a["odd key"].  Keys point into the text.
enum { RKI_JSON_STEPS = 64 };
typedef struct rki_json_step {
    rkp_str key; // p NULL: an index
    uint64_t index;
} rki_json_step;
typedef struct rki_json_path {
    uint32_t n;
    rki_json_step step[RKI_JSON_STEPS];
} rki_json_path;
// false: *why says what is wrong and *at the byte.
bool rki_json_path_parse(rkp_str text, rki_json_path *out, const char **why, size_t *at);

typedef enum rki_json_found {
    RKI_JSON_MISSING, // also null
    RKI_JSON_RAW,     // a number, true, false, an object or a list: its text
    RKI_JSON_STRING,  // between its quotes; escapes may stand in it
    RKI_JSON_BROKEN,
} rki_json_found;
rki_json_found rki_json_find(rkp_str text, const rki_json_path *path, rkp_str *out);

// fn_time.c
typedef struct rki_civil {
    int64_t year;
    unsigned month, day; // from 1
    unsigned hour, minute, second, micros;
    unsigned weekday; // 1 Monday .. 7 Sunday
    unsigned yearday; // from 1
} rki_civil;
void rki_civil_of(int64_t us, rki_civil *out);
// As rkp_parse_timestamp, and a date alone is its midnight.
bool rki_parse_time(rkp_str s, int64_t *us);

// What date_trunc cuts to: microseconds, or 0 and months.
void rki_trunc_unit(const rki_node *n, int64_t *us, unsigned *months);

// hash.c: XXH64, as its specification 0.1.1 defines it.
uint64_t rki_xxh64(const void *p, size_t n, uint64_t seed);

// fn_convert.c: what to_string and concat print.  Numbers go into `to`, which has room for RKI_PRINTED bytes; text is
// given as it is.
enum { RKI_PRINTED = 40 };
rkp_str rki_value_text(const rkp_vec *v, uint32_t i, char *to);

// to_timestamp: microseconds are x * mul / div.
void rki_time_scale(const rki_node *n, int64_t *mul, int64_t *div);

// emit_fn.c: calls as source of a device.
bool rki_emit_call(struct rki_emit *m, const rki_node *n, struct rki_operand *out); // rkd_NAME_KIND(st, arguments)
bool rki_emit_extreme(struct rki_emit *m, const rki_node *n, struct rki_operand *out);
bool rki_emit_is_null(struct rki_emit *m, const rki_node *n, struct rki_operand *out);
bool rki_emit_round(struct rki_emit *m, const rki_node *n, struct rki_operand *out);
bool rki_emit_date_trunc(struct rki_emit *m, const rki_node *n, struct rki_operand *out);
bool rki_emit_to_timestamp(struct rki_emit *m, const rki_node *n, struct rki_operand *out);
bool rki_emit_hash(struct rki_emit *m, const rki_node *n, struct rki_operand *out);
#define RKI_LAST_DIGIT "may differ in its last digit on a device, which is not allowed here"

// regex.c.  NULL and a finding, or NULL because memory is out (the arena says so).  exact: byte i of the pattern is
// column i of the place.
const rkp_regex *rki_regex_new(rki_arena *a, rkp_diags *d, rkp_str pattern, rkp_loc at, bool exact);
// A run that fits r: `m` itself, or a larger one in its place (m is freed).  NULL: memory is out, m is as it was.
rkp_regex_run *rki_regex_run_fit(rkp_regex_run *m, const rkp_regex *r);

#endif
