// watch/spans.h - what kernels did with a sampled batch, on its way from the runners to the exporter (docs/design/otlp.md).
//
//   Owns     its slots; texts in a span live as long as the run
//   Threads  put: any, several at a time; take: one; dropped: any
//   Fails    put: false and counted when it is full; take: false when it is empty
//   Limits   slots is a power of two, 2 .. 2^20
//   Cost     put: a compare-and-swap and the slot; never waits
//
// Vyukov's bounded queue: a slot's turn says whose it is, at first the slot's own number.
//
// Who writes what                           Ordered accesses, in pairs
//   tail         whoever puts, by swap        S1 release turn (put)  -> S2 acquire turn (take)
//   slots[].span who has the turn               carries: the span
//   slots[].turn who had it                   S3 release turn (take) -> S4 acquire turn (put)
//   head         the consumer                   carries: "I no longer read it"
//
// Taking any of S1 to S4 down to relaxed must be caught: tests/model/spans.c.
#ifndef RKI_SPANS_H
#define RKI_SPANS_H

#include <rkpipe/base.h>

typedef struct rki_span {
    uint64_t trace, id, parent; // parent 0: the first of its trace
    uint64_t start_ns, end_ns;  // since 1970
    uint64_t rows_in, rows_out;
    const char *kernel, *op;
    const char *part; // of a kernel in halves: "poll", "decode", "encode", "write"; NULL: it is whole
    uint32_t replica;
    bool sink, failed;
} rki_span;

typedef struct rki_spans rki_spans;

rki_spans *rki_spans_new(uint32_t slots); // NULL without memory
void rki_spans_free(rki_spans *q);
bool rki_spans_put(rki_spans *q, const rki_span *s);
bool rki_spans_take(rki_spans *q, rki_span *out);
uint64_t rki_spans_dropped(const rki_spans *q); // that found no slot

// The higher half of the ids of all traces of this queue; not 0.
uint64_t rki_spans_high(const rki_spans *q);
// A word that it has not given before, and not 0: for ids.  Any thread.
uint64_t rki_spans_id(rki_spans *q);

#endif
