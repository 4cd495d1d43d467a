// cli/test.h - one test: put on its pipeline, run on a virtual clock, compared with what is expected.
//
//   Owns     a case owns its pipeline, its rows and its report, until rki_case_fini
//   Threads  one
//   Fails    findings (the test is wrong) or failures (the pipeline is)
//   Limits   100,000 rows from the sources of a test, unless it says otherwise
//   Cost     what its steps take; nothing sleeps
#ifndef RKI_TEST_H
#define RKI_TEST_H

#include "cli/cli.h"
#include "spec/tests.h"

// A value as sinks print it.
typedef struct rki_cell {
    rkp_str text; // p NULL: null
    double num;   // of floats
    bool bad;     // text that is no value of its column's type
    bool named;   // of a row that is expected: the file names this column
} rki_cell;

typedef struct rki_cells {
    rki_cell **v; // rows
    size_t n, cap;
} rki_cells;

// Where rows of a target come from.
typedef struct rki_origin {
    uint32_t kernel, port;      // as rki_seen
    const rki_publication *pub; // of a topic
    const rkp_schema *schema;
    int32_t *col; // of each column of the target: its column, -1: none
    const rkp_expr *where;
} rki_origin;

// What somebody looks at.
typedef struct rki_goal {
    const rki_expect *e; // NULL: it is only shown
    const char *of;      // "kernel 'fee'", "topic 'a/#'"
    rkp_str topic;       // a pattern; p NULL: a kernel
    rki_origin *from;
    size_t n_from;
    rkp_schema schema; // united
    bool *compared;    // per column, by equals
    rki_cells equals, contains;
    rki_cells got;   // as many as are kept
    uint64_t rows;   // all
    rki_cells wrong; // for which `where` is not true, a few
    uint64_t n_wrong, first_wrong;
} rki_goal;

typedef struct rki_case_alerts rki_case_alerts;

typedef struct rki_case {
    rki_cli *c;
    const rki_test *t;
    const rki_tests *tests;
    rki_loaded l;
    rki_snapshot *texts; // of the pipeline
    rki_arena arena;
    rkp_pool *pool;
    rkp_frame *frame;
    rki_goal *goals;
    size_t n_goals;
    bool nomem;
    bool our_rows, our_ns;   // nobody said when it is to be stopped
    rki_case_alerts *alerts; // NULL: nobody evaluates rules
    // What came of it.
    rki_buf report; // findings, or differences, or what was produced
    unsigned failures;
    double seconds;
    bool colour;
} rki_case;

// Loads and plans the pipeline with the test on it, and checks what is expected.  0, or the exit code: findings are in k->l.diags.
int rki_case_prepare(rki_cli *c, const rki_load_args *a, const rki_tests *tests, const rki_test *t, rki_case *k);
// Runs it; the report says what differs, or, without expectations, what was produced.  0, or the exit code when it could not run.
int rki_case_run(uint64_t seed, rki_case *k, void (*counts)(void *arg, const rki_run *r), void *arg);
void rki_case_fini(rki_case *k);

// ---- test_goal.c: kernels and topics as tests name them

bool rki_goals_find(rki_case *k);
void rki_goals_see(rki_case *k, const rki_seen *s);
bool rki_cells_add(rki_case *k, const rki_goal *t, const rki_origin *o, rkp_batch *b, const uint32_t *rows, uint32_t n,
                   rki_cells *to);

// ---- test_expect.c: what differs

void rki_expect_look(rki_case *k);
void rki_case_show(rki_case *k); // what every target got
// A finding with the lines of the file that it is about, in the report.  `code` is a literal.
void rki_case_fail(rki_case *k, rkp_loc at, const char *code, const char *fmt, ...) RKP_PRINTF(4, 5);

// ---- test_alerts.c: what the test asks of alerts

// Findings where it asks for what there is not; false then.  After the pipeline was loaded and its limits are known.
bool rki_case_alerts_prepare(rki_case *k);
bool rki_case_run_series(rki_case *k); // the rules over the test's own series; false without memory
// Around a run; tick: what the clock shows.  False without memory.
bool rki_case_alerts_begin(rki_case *k, rki_run *r);
void rki_case_alerts_tick(rki_case *k, int64_t wall_us);
bool rki_case_alerts_approve(void *k, const rki_spec *s, char *text, size_t n); // rki_run_args.approve
void rki_case_alerts_end(rki_case *k, int64_t wall_us);
void rki_case_alerts_look(rki_case *k); // what differs; without expectations, what has changed
bool rki_case_fired(const rki_case *k, size_t rule);
void rki_case_alerts_free(rki_case_alerts *x); // NULL is fine

// ---- test_check.c

// The tests of a file; NULL and findings.  What they need of the engine is set.
rki_tests *rki_tests_of(rki_cli *c, const char *file, rkp_diags *d);
void rki_case_findings(const rki_case *k, bool colour, rki_buf *out); // why it could not be prepared
// Checks them without running them; errors go to d.  0, or the exit code; *n: how many there are.
int rki_tests_check(rki_cli *c, const rki_load_args *a, const char *file, rkp_diags *d, size_t *n);

// ---- test_junit.c

typedef enum { RKI_TEST_OK, RKI_TEST_FAILED, RKI_TEST_BROKEN } rki_test_outcome;

typedef struct rki_junit rki_junit;

rki_junit *rki_junit_new(void);
// `text`: what is said about it; may be empty.  False without memory.
bool rki_junit_add(rki_junit *j, const char *file, const char *name, rki_test_outcome o, double seconds, rkp_str text);
bool rki_junit_write(const rki_junit *j, const char *path); // false: it has been said why not
void rki_junit_free(rki_junit *j);

#endif
