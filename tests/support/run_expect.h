// run_expect.h - what runs of run_case.h must have come to; what did not fails the test and says what there was.
#ifndef RUN_EXPECT_H
#define RUN_EXPECT_H

#include "run_case.h"

int run_forget(void **state); // teardown of a cmocka test: nothing of it is seen by the next
void expect_end(live *l, int want);
void expect_run(int want, unsigned threads, const char *text);
// Rows 0 .. n - 1 of publisher p, once each and in order, at a sink.
void expect_rows(int sink, int64_t p, int64_t n);
void expect_reload(rki_reload_result r, rki_reload_outcome want);
// G1, G4 of RELIABILITY.md 2.4: messages at a sink in growing (stamp, actor).  Which actor is not seen here, but one does not give a stamp
// twice.
void expect_ordered(int sink);

#endif
