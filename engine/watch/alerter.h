// watch/alerter.h - alert rules at work: a tick at every interval feeds the series and evaluates the rules.
//
//   Owns     series, rules, a thread of its own between start and stop
//   Threads  new, start, stop, free: one; tick, replace, json: any.  `feed` and `log` run on the thread that ticks
//   Fails    NULL or false without memory; a tick that failed is made up for by none, and the next one is a tick like any other
//   Limits   see series.h and rules.h; what is kept is as long as the rules look back
//   Cost     a walk over the metrics, and the rules (rules.h)
#ifndef RKI_ALERTER_H
#define RKI_ALERTER_H

#include "watch/message.h"

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
    // Every change of state, on the thread that ticks or replaces; m lives until it returns.  NULL: nobody is told.
    void (*tell)(void *arg, const rki_alert_message *m);
    void *tell_arg;
    // More members of an alert in rki_alerter_json, with its lock held; NULL: there are none.
    void (*mark)(void *arg, const rki_alert *al, struct rki_json *j);
    void *mark_arg;
    // A look that rki_alerter_last has asked for is over.
    void (*looked)(void *arg, uint64_t number);
    void *looked_arg;
    int64_t (*now_ms)(
        void *arg); // since 1970, never back; NULL: the clock at `new`, and the monotonic one from there on
    void *now_arg;
} rki_alerter_args;

rki_alerter *rki_alerter_new(const rki_alerter_args *args); // NULL without memory
void rki_alerter_free(rki_alerter *a);                      // after stop

// Inside of `feed`.  Series that no rule asks for are let go.
void rki_alerter_sample(rki_alerter *a, rkp_str name, const rki_label *labels, uint32_t n, double value);

// Inside of `feed`: as rki_rules_saw.
void rki_alerter_saw(rki_alerter *a, rkp_str alert, const rkp_str *keys, size_t n, uint64_t rows, uint64_t over);
void rki_alerter_missed(rki_alerter *a, rkp_str alert, uint64_t rows); // as rki_rules_missed

bool rki_alerter_start(rki_alerter *a); // without rules there is no thread, until there are some
void rki_alerter_stop(rki_alerter *a);  // a last tick, so that a short run has had one; may be called twice
bool rki_alerter_tick(rki_alerter *a);  // one tick now: false when memory was out, or time has not gone on

// There will not be more to see: the thread looks once more, soon, and calls `looked` with the number.  False: there is no thread.  Any
// thread, one at a time with numbers that grow; never waits for a look.
bool rki_alerter_last(rki_alerter *a, uint64_t number);

// Other rules from here on (rki_rules_new; taken); those that are the same keep their state, and all keep their series; what the others
// have is ended.  Without memory for a longer look-back it stays as long as it was.
void rki_alerter_replace(rki_alerter *a, rki_rules *rules);
void rki_alerter_diff(rki_alerter *a, const rki_rules *rules, struct rki_json *j); // rki_rules_diff with what it has
// rki_rules_state as text, and rki_rules_restore; the latter before start.
void rki_alerter_state(rki_alerter *a, rki_buf *out);
void rki_alerter_restore(rki_alerter *a, const struct rki_json_node *list, int64_t saved_ms, rki_rules_restored *told,
                         void *arg);
// Every alert that there is, with what its rule says; f must not call back.
void rki_alerter_each(rki_alerter *a, void (*f)(void *arg, const rki_rule_view *v, const rki_alert *al), void *arg);
// Every rule; turned: as rki_rules_turned.
void rki_alerter_rules(rki_alerter *a, void (*f)(void *arg, const rki_rule_view *v, bool turned), void *arg);
// {"alerts":[{"alert":..,"state":..,"labels":{..},"annotations":{..},"value":..,"active_at":..}],"rules":[..],"series":{..}}
void rki_alerter_json(rki_alerter *a, rki_buf *out);

#endif
