// cli/alerting.h - where metrics of a run, alert rules and the log meet.
#ifndef RKI_ALERTING_H
#define RKI_ALERTING_H

#include "cli/cli.h"
#include "watch/alerter.h"

// The names of all series that this binary can have; free() it.  NULL without memory.
char **rki_metric_series_names(const rkp_op *const *ops);

// The rules of the pipeline at work on a run that begins now; NULL without memory.  Ends with rki_alerter_stop and rki_alerter_free.
rki_alerter *rki_alerting_begin(const rki_spec *s, rki_run *r, void (*log)(void *arg, rkp_str line), void *log_arg);

#endif
