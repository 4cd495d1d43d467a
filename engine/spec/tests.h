// spec/tests.h - the tests of a pipeline: what a file says, checked as far as it can be without the pipeline.
//
//   Owns     everything hangs off the tests' arena
//   Threads  one
//   Fails    NULL and findings
//   Limits   SPEC.md 2, for the file of the tests
//   Cost     not on a data path
#ifndef RKI_TESTS_H
#define RKI_TESTS_H

#include "spec/given.h"
#include "spec/spec.h"
#include "watch/series_text.h"

// Another operator for a kernel, or (of a source) rows.
typedef struct rki_mock {
    rkp_word kernel;
    const rkp_node *op, *with; // op NULL: rows
    rki_given *given;
} rki_mock;

typedef struct rki_expect {
    rkp_word of; // "kernel", "kernel.port" or a pattern of topics
    rki_rows equals, contains;
    bool counts;
    uint64_t min, max;
    rkp_loc count_at;
    bool any_order;
    rkp_word where;
    rkp_words columns; // n 0: all
    double tolerance;
} rki_expect;

typedef struct rki_test_var {
    rkp_word name;
    rkp_str value; // NUL terminated
    rkp_loc at;
} rki_test_var;

// What an alert must be at a moment of the test.
typedef struct rki_alert_expect {
    rkp_word alert;
    rki_alert_state state;
    rkp_loc at; // its place
    bool says_at, counts;
    int64_t at_ms; // from the beginning
    rkp_pairs labels, annotations;
    uint64_t count;
} rki_alert_expect;

typedef struct rki_test {
    rkp_word name;
    rkp_loc at;
    const char *file;         // in which it stands
    rkp_word from, topic;     // one of them, or none: no input
    rki_given *given;         // of it
    const rki_test_var *vars; // NULL: none
    size_t n_vars;
    rki_mock *mocks;
    size_t n_mocks;
    rki_expect *expects;
    size_t n_expects;
    uint64_t stop_rows, stop_ns;
    bool says_rows, says_ns; // by the test, not by default
    int64_t now_us;          // of the clock when it begins
    rkp_word fails;          // p NULL: it must not
    const rkp_op *given_op;  // gives rows to a topic; set before the pipeline is loaded
    rki_alert_expect *alerts;
    size_t n_alerts;
    bool asks_alerts;        // it has `alerts`, perhaps none
    bool of_series;          // it has `input_series`: rules are evaluated, and nothing runs
    rki_series_text *series; // every series_ms a value; 0: as rules are evaluated
    size_t n_series;
    int64_t series_ms;
} rki_test;

typedef struct rki_tests {
    rki_spec *own;        // arena and sources
    const char *pipeline; // the file that they test
    rki_test *v;
    size_t n;
    bool any; // the file has `tests`
} rki_tests;

extern const rkp_opt rki_test_rows[]; // of a test; rki_expect_rows of an expectation
extern const rkp_opt rki_expect_rows[];

// The tests of a pipeline, or of a *.test.yaml.  Of args the file, --set and sources are looked at.
rki_tests *rki_tests_load(const rki_spec_args *args, rkp_diags *d);
void rki_tests_free(rki_tests *t);
bool rki_is_test_file(const char *path); // *.test.yaml, *.test.yml

// Makes a loaded pipeline, not planned yet, one that runs this test: sources give rows of the test, sinks only look.  False: findings.
bool rki_spec_test(rki_spec *s, const rki_test *t, const rkp_op *given, const rkp_op *seen, rkp_diags *d);
int64_t rki_test_last_ms(const rki_test *t);                      // the last moment that it asks of alerts
const rki_mock *rki_test_mock(const rki_test *t, rkp_str kernel); // NULL: none

#define RKI_INPUT_ID "$input" // the kernel that gives rows to a topic

#endif
