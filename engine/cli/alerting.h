// cli/alerting.h - where metrics of a run, alert rules and the log meet.
#ifndef RKI_ALERTING_H
#define RKI_ALERTING_H

#include "cli/cli.h"
#include "run/run.h"
#include "watch/alerter.h"
#include "watch/notifying.h"

// The names of all series that this binary can have; free() it.  NULL without memory.
char **rki_metric_series_names(const rkp_op *const *ops);

// As rki_alerter_args.feed: what the metrics of a run are, and what its alerts on data have seen.
void rki_alerting_feed(void *run, rki_alerter *a);

enum { RKI_SEVERITIES = 3 }; // info, warn, page

// Alerts of a run: rules, and who is told of them.
typedef struct rki_alerting {
    rki_alerter *alerter; // NULL: there are none (a replay)
    rki_notifying *notifying;
    rki_run *run;
    // Per severity: the first alert that fired in this run.  The flag is atomic, and set after its name.
    struct {
        bool yes;
        char name[80];
    } fired[RKI_SEVERITIES];
} rki_alerting;

typedef struct rki_alerting_args {
    const rki_spec *spec;
    rki_run *run;                         // begins now
    const char *folder;                   // to keep state in; NULL: none is kept
    const char *const *env;               // for commands; may be NULL
    void (*log)(void *arg, rkp_str line); // any thread
    void *log_arg;
} rki_alerting_args;

// The rules of the pipeline at work.  0, or the exit code, said.  Ends with rki_alerting_end, when the run has, and rki_alerting_free.
int rki_alerting_begin(rki_alerting *x, const rki_alerting_args *args);
bool rki_alerting_start(rki_alerting *x);
// What a reload brings, in two steps: the first can fail, with a sentence, the second cannot.
typedef struct rki_alert_change rki_alert_change;
rki_alert_change *rki_alerting_prepare(const rki_alerting *x, const rki_spec *s, char *err, size_t n);
// What the file does to alerts and to who is told: "alerts":{..},"notify":{..}.  False without memory.
bool rki_alerting_diff(const rki_alerting *x, const rki_spec *s, rki_json *j);
void rki_alerting_replace(const rki_alerting *x, rki_alert_change *c); // takes c
void rki_alert_change_free(rki_alert_change *c);
void rki_alerting_end(rki_alerting *x); // a last look, and the last notifications
void rki_alerting_free(rki_alerting *x);
// rki_run_args.notified.
void rki_alerting_metrics(void *alerting, rki_emit emit, void *arg);
// rki_run_args.approve: one more look, and what run.fail_on says of what has fired.
bool rki_alerting_approve(void *alerting, const rki_spec *s, char *text, size_t n);

#endif
