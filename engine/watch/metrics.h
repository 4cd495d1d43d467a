// watch/metrics.h - what metrics there are, the visitor that is given their values, and the Prometheus text format.
//
//   Owns     nothing; rows are static, or of whoever made them
//   Threads  any; a writer has one
//   Fails    with its buffer (sticky)
//   Limits   names of 127 bytes
//   Cost     appends
//
// A walk (run/metrics.c) calls `emit` once for each series, all series of a row one after the other.  A histogram's series have the
// names of the text format (_bucket with the label `le`, _sum, _count), so a visitor needs to know nothing of histograms.
#ifndef RKI_METRICS_H
#define RKI_METRICS_H

#include "base/buf.h"
#include "base/hist.h"
#include "watch/labels.h"
#include "watch/metric_rows.h"
#include <rkpipe/op.h>

typedef enum rki_metric_kind { RKI_METRIC_COUNTER, RKI_METRIC_GAUGE, RKI_METRIC_HISTOGRAM } rki_metric_kind;

// For checks of comparisons: seconds and bytes are what they are, times since 1970 are seconds, NONE is a ratio or a fact.
typedef enum rki_metric_unit {
    RKI_METRIC_NONE,
    RKI_METRIC_SECONDS,
    RKI_METRIC_BYTES,
    RKI_METRIC_ROWS,
    RKI_METRIC_MESSAGES,
    RKI_METRIC_BATCHES,
    RKI_METRIC_COUNT,
} rki_metric_unit;

typedef struct rki_metric {
    const char *name; // "rkpipe_kernel_in_rows_total"
    rki_metric_kind kind;
    rki_metric_unit unit;
    const char *labels; // names, separated by blanks
    const char *help;
} rki_metric;

#define RKI_METRIC_ID(id, name, kind, unit, labels, help) RKI_M_##id,
enum { RKI_METRIC_ROWS(RKI_METRIC_ID) RKI_N_METRICS };
#undef RKI_METRIC_ID

extern const rki_metric rki_metrics[RKI_N_METRICS];

const char *rki_metric_kind_name(int kind);
const char *rki_metric_unit_text(int unit); // "seconds"; "" for NONE

// ---- metrics of operators

enum { RKI_METRIC_NAME = 128 };

// Metric i of an operator as a row; `name` is its memory.  False: it has no metric i.
bool rki_metric_of_op(const rkp_op *op, unsigned i, char name[RKI_METRIC_NAME], rki_metric *out);

// ---- the visitor

// `name` is the series' whole name; everything is borrowed for the call.
typedef void (*rki_emit)(void *arg, const rki_metric *row, rkp_str name, const rki_label *labels, uint32_t n_labels,
                         double value);

// `per` of the histogram's units are one of the row's (1e9: nanoseconds).  At most RKI_EMIT_LABELS labels.
enum { RKI_EMIT_LABELS = 24 };
void rki_emit_hist(rki_emit emit, void *arg, const rki_metric *row, const rki_label *labels, uint32_t n_labels,
                   const rki_hist *h, double per);

// ---- text format 0.0.4

#define RKI_EXPOSITION_TYPE "text/plain; version=0.0.4; charset=utf-8"

typedef struct rki_exposition {
    rki_buf *out;
    const rki_metric *row; // whose HELP and TYPE stand above
} rki_exposition;

void rki_exposition_emit(void *exposition, const rki_metric *row, rkp_str name, const rki_label *labels,
                         uint32_t n_labels, double value); // an rki_emit
void rki_put_sample_value(rki_buf *out, double v);         // "12", "0.25", "+Inf", "NaN"

// ---- this process

typedef struct rki_process {
    double cpu_seconds, start_seconds; // start: since 1970
    uint64_t resident_bytes, virtual_bytes, fds, max_fds;
} rki_process;

// What cannot be read is 0.
void rki_process_read(rki_process *out);

#endif
