// watch/alerter.h - alert rules at work: a tick at every interval feeds the series and evaluates the rules.
//
//   Owns     series, rules, a thread of its own between start and stop
//   Threads  new, start, stop, free: one; tick, replace, json: any.  `feed` and `log` run on the thread that ticks
//   Fails    NULL or false without memory; a tick that failed is made up for by none, and the next one is a tick like any other
//   Limits   see series.h and rules.h; what is kept is as long as the rules look back
//   Cost     a walk over the metrics, and the rules (rules.h)
#ifndef RKI_ALERTER_H
#define RKI_ALERTER_H

#include "watch/rules.h"

typedef struct rki_alerter rki_alerter;

typedef struct rki_alerter_args {
    const rki_rule_conf *rules; // copied
    size_t n;
    int64_t interval_ms;
    // Calls rki_alerter_sample for every series that there is now.
    void (*feed)(void *arg, rki_alerter *a);
    void *feed_arg;
    // One line, with its end: an alert fires or is resolved, a rule fails.  NULL: they are let go.
    void (*log)(void *arg, rkp_str line);
    void *log_arg;
    int64_t (*now_ms)(
        void *arg); // since 1970, never back; NULL: the clock at `new`, and the monotonic one from there on
    void *now_arg;
} rki_alerter_args;

rki_alerter *rki_alerter_new(const rki_alerter_args *args); // NULL without memory
void rki_alerter_free(rki_alerter *a);                      // after stop

// Inside of `feed`.  Series that no rule asks for are let go.
void rki_alerter_sample(rki_alerter *a, rkp_str name, const rki_label *labels, uint32_t n, double value);

bool rki_alerter_start(rki_alerter *a); // without rules there is no thread, until there are some
void rki_alerter_stop(rki_alerter *a);  // a last tick, so that a short run has had one; may be called twice
bool rki_alerter_tick(rki_alerter *a);  // one tick now: false when memory was out, or time has not gone on

// Other rules from here on (rki_rules_new; taken); those that are the same keep their state, and all keep their series.  Without memory for a
// longer look-back it stays as long as it was.
void rki_alerter_replace(rki_alerter *a, rki_rules *rules);
// {"alerts":[{"alert":..,"state":..,"labels":{..},"annotations":{..},"value":..,"active_at":..}],"rules":[..],"series":{..}}
void rki_alerter_json(rki_alerter *a, rki_buf *out);

#endif
