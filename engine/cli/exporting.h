// cli/exporting.h - where a run and an OpenTelemetry collector meet.
#ifndef RKI_EXPORTING_H
#define RKI_EXPORTING_H

#include "run/run.h"
#include "spec/spec.h"
#include "watch/otlp.h"

typedef struct rki_exporting {
    rki_spans *spans; // NULL: no batch is part of a trace
    rki_otlp *otlp;   // NULL: nobody is told
} rki_exporting;

// Before the run is made: what it is to know.  False without memory.
bool rki_exporting_prepare(rki_exporting *x, const rki_otlp_conf *c, rki_run_args *run);
// The exporter of a run that begins now.  False: err says why.
bool rki_exporting_begin(rki_exporting *x, const rki_spec *s, rki_run *run, void (*log)(void *arg, rkp_str line),
                         void *log_arg, char *err, size_t n);
bool rki_exporting_start(rki_exporting *x);
void rki_exporting_end(rki_exporting *x);  // a last look, while the run is still there
void rki_exporting_free(rki_exporting *x); // when it is not any more

#endif
