// run/trace.h - spans of kernels that work on a sampled batch (docs/design/otlp.md).
//
//   Owns     nothing
//   Threads  the runner's
//   Fails    never: without memory the next span has this one's parent
//   Limits   -
//   Cost     of a sampled batch: two readings of the clock and a slot in the queue; of others see runner.c and actor.c
#ifndef RKI_TRACE_H
#define RKI_TRACE_H

#include "run/actor.h"
#include "watch/spans.h"

// A span that has begun, and what the runner was at before it.
typedef struct rki_tracing {
    rki_span span;
    uint64_t was_trace, was_span, rows_out;
    bool opened, had_failed;
} rki_tracing;

// A kernel takes b, which may be part of a trace.  Gives what it takes in its place, to be put by rki_trace_end.
rkp_batch *rki_trace_begin(struct rkp_actor *a, rkp_batch *b, rki_tracing *t);
void rki_trace_end(struct rkp_actor *a, rkp_batch *b, rkp_batch *taken, rki_tracing *t, rkp_verdict v);

// It gives b, which is new (it has no memory of where it came from).  True: b begins a trace, and rki_trace_emitted must follow when it is given.
bool rki_trace_emits(struct rkp_actor *a, rkp_batch *b, rki_tracing *t);
void rki_trace_emitted(struct rkp_actor *a, rki_tracing *t);

#endif
