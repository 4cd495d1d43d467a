// watch/otlp.h - the exporter: what an engine says of itself, told to an OpenTelemetry collector (docs/design/otlp.md).
//
//   Owns     its threads between start and end; what it is given is copied, but for the spans
//   Threads  new, start, end, free: one; metrics: any.  `walk` and `log` run on its threads
//   Fails    new: NULL and a sentence.  At work: what is not told is counted, and the log says when it begins and when it ends
//   Limits   16 MiB of each kind wait; a request is tried for five minutes
//   Cost     a walk over the metrics each interval; nothing for who makes spans
#ifndef RKI_OTLP_H
#define RKI_OTLP_H

#include "watch/metrics.h"
#include "watch/spans.h"

typedef struct rki_otlp rki_otlp;

typedef struct rki_otlp_args {
    rkp_str endpoint;          // "http://127.0.0.1:4318"; /v1/metrics and /v1/traces are below it
    const rkp_pairs *headers;  // values may be secrets; may be NULL
    const rkp_pairs *resource; // more attributes; may be NULL
    int64_t interval_ms, timeout_ms;
    bool metrics, gzip;
    rki_spans *spans; // NULL: no traces
    rkp_str pipeline;
    const char *version;                                    // of the program
    bool (*walk)(void *arg, rki_emit emit, void *emit_arg); // every series that there is now
    void *walk_arg;
    void (*log)(void *arg, rkp_str line); // one line, with its end; NULL: they are let go
    void *log_arg;
    int64_t first_ms, most_ms; // between tries; 0: a second and half a minute
} rki_otlp_args;

enum { RKI_OTLP_END_MS = 5000 }; // at the end, what is on its way has so long

rki_otlp *rki_otlp_new(const rki_otlp_args *args, char *err, size_t n);
bool rki_otlp_start(rki_otlp *x);
void rki_otlp_end(rki_otlp *x);                               // a last look, and the last requests; may be called twice
void rki_otlp_free(rki_otlp *x);                              // after end; may be NULL
void rki_otlp_metrics(rki_otlp *x, rki_emit emit, void *arg); // how often it was told, and what was lost

#endif
