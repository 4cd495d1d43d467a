// base/failpoint.h - a step of a protocol at which a test's program fails, or kills its process.
//
//   Owns     nothing
//   Threads  any
//   Fails    false, always: the product's own function does nothing else
//   Limits   -
//   Cost     a call, never on the way of a message
//
// The steps of a reload, in their order: reload.parse, .check, .diff, .admit, .build, .warm, .warmed, .intend, .stop, .hand_over, .commit,
// .committed, .retired, .keep, .kept.  Each is before what it is named after, and behind the one before.  Behind the commit nothing may fail any more
// but .keep; there only a crash is of interest.  tests/fault/failpoint.c has the other function of this name.
#ifndef RKI_FAILPOINT_H
#define RKI_FAILPOINT_H

#include <stdbool.h>

bool rki_failpoint(const char *step); // true: it is to fail here

#endif
