// watch/otlp_text.h - series and spans as OTLP/JSON requests (docs/design/otlp.md).
//
//   Owns     nothing; appends to the caller's buffer
//   Threads  one at a time
//   Fails    with its buffer (sticky)
//   Limits   histograms of RKI_OTLP_BUCKETS borders
//   Cost     appends
//
// The mapping is that of the OpenTelemetry specification: protojson, but ids are hexadecimal; whole numbers of 64 bits are strings;
// enumerations are numbers.  Members that would be their default are left out where nobody could miss them.
#ifndef RKI_OTLP_TEXT_H
#define RKI_OTLP_TEXT_H

#include "base/json.h"
#include "watch/metrics.h"
#include "watch/spans.h"

enum { RKI_OTLP_BUCKETS = 32 };

// Whom the metrics are of.
typedef struct rki_otlp_resource {
    rkp_str pipeline, instance, host; // empty: left out
    const char *version;              // of the program
    uint64_t pid;
    const rkp_pairs *more; // may be NULL; a name of the above wins over it
} rki_otlp_resource;

typedef struct rki_otlp_points {
    rki_json j;
    const rki_metric *row; // whose points are being written
    uint64_t start_ns, now_ns, points;
    // Of the histogram at hand: so many borders have come.
    uint32_t n;
    rkp_str borders[RKI_OTLP_BUCKETS]; // their texts are static (metrics.c)
    uint64_t up_to[RKI_OTLP_BUCKETS + 1];
    double sum;
} rki_otlp_points;

void rki_otlp_metrics_begin(rki_otlp_points *m, rki_buf *out, const rki_otlp_resource *of, uint64_t start_ns,
                            uint64_t now_ns);
void rki_otlp_metrics_emit(void *otlp_metrics, const rki_metric *row, rkp_str name, const rki_label *labels,
                           uint32_t n_labels, double value); // an rki_emit
uint64_t rki_otlp_metrics_end(rki_otlp_points *m);           // how many data points

typedef struct rki_otlp_traces {
    rki_json j;
    uint64_t high; // of the ids of traces
} rki_otlp_traces;

void rki_otlp_traces_begin(rki_otlp_traces *t, rki_buf *out, const rki_otlp_resource *of, uint64_t high);
void rki_otlp_traces_span(rki_otlp_traces *t, const rki_span *s);
void rki_otlp_traces_end(rki_otlp_traces *t);

// What a collector has to say of a request that it took: how many data points or spans it did not take, and why, made fit for a log.
uint64_t rki_otlp_rejected(rkp_str answer, char *why, size_t n);

#endif
