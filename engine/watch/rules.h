// watch/rules.h - alert rules and what they have found: inactive, pending, firing, resolved.
//
//   Owns     copies of everything it is told: rules, templates, instances
//   Threads  one at a time
//   Fails    an evaluation that fails changes nothing, is counted, and leaves its reason; NULL without memory
//   Limits   `limit` instances of a rule: past it the rule fails and loses them, as in Prometheus
//   Cost     an evaluation of its expression, and of each annotation for each instance
//
//   inactive --c--> pending --ms - active >= for--> firing --not c, for keep_ms--> resolved
//      pending --not c--> inactive
//
// c: the expression has an element of these labels.  With `resolve`, `not c` is: that has one, or a scalar that is not 0;
// while neither has one, nothing changes.  keep_ms counts from the first evaluation that is false.  Time is what the caller
// says; ticks that did not happen are not made up for.
#ifndef RKI_RULES_H
#define RKI_RULES_H

#include "watch/promql.h"
#include "watch/template.h"

struct rki_json;
struct rki_json_node;
struct rki_alert_message;

typedef enum { RKI_NO_DATA_OK, RKI_NO_DATA_KEEP, RKI_NO_DATA_FIRE } rki_no_data;

typedef struct rki_rule_text {
    rkp_word name, text; // the text is a template
} rki_rule_text;

typedef struct rki_rule_conf {
    rkp_word name, expr, resolve; // resolve.p NULL: none
    int64_t for_ms, keep_ms, every_ms;
    uint32_t limit; // 0: none
    int no_data;    // rki_no_data: when no selector finds any sample
    const rki_rule_text *labels, *notes;
    size_t n_labels, n_notes;
    // An alert on data: rows for which `where` is true; then there is no expr.  where.p NULL: it is none.
    rkp_word watch, where; // what rows, as it is shown
    const rkp_word *keys;  // columns, labels of the alert
    size_t n_keys;
    int64_t throttle_ms;
} rki_rule_conf;

typedef enum rki_alert_state {
    RKI_ALERT_INACTIVE,
    RKI_ALERT_PENDING,
    RKI_ALERT_FIRING,
    RKI_ALERT_RESOLVED
} rki_alert_state;

enum { RKI_ALERT_REMEMBER_MS = 15 * 60 * 1000 }; // a resolved instance is shown so long

typedef struct rki_alert {
    const rki_labels *labels; // with alertname
    const rki_buf *notes;     // as many as the rule has, in its order
    rki_alert_state state;
    double value;
    int64_t active_ms, fired_ms, resolved_ms; // resolved_ms: of RKI_ALERT_RESOLVED
    bool held;                                // it is of an earlier process, and has not been found in this one yet
} rki_alert;

typedef struct rki_rules rki_rules;

// What a rule says, checked: findings, and false when it is wrong.  d may be NULL.
bool rki_rule_check(const rki_rule_conf *c, rkp_diags *d, const rki_prom_names *names);
rki_rules *rki_rules_new(const rki_rule_conf *v, size_t n); // NULL: without memory, or a rule is wrong
void rki_rules_free(rki_rules *r);
int64_t rki_rules_back(const rki_rules *r);             // how far back any of them looks, in ms
bool rki_rules_wants(const rki_rules *r, rkp_str name); // does any select series of this name?

// A change of state of one instance of rule i: `from` is not what it is now, but where an alert on data says again that it fires.
typedef void rki_rules_change(void *arg, const rki_rules *r, size_t i, const rki_alert *a, rki_alert_state from);
// Evaluates the rules that are due.  False: memory is out, and the rules that it hit have not been evaluated.
bool rki_rules_tick(rki_rules *r, const rki_series *s, int64_t ms, rki_rules_change *change, void *arg);
// Rows that an alert on data is about: so many of this key since the last look, and `over` of further keys that nobody remembers (then
// perhaps none of this one).  Told at the next tick.
void rki_rules_saw(rki_rules *r, rkp_str name, const rkp_str *keys, size_t n, uint64_t rows, uint64_t over);
// So many rows, since the beginning, it has not looked at because they came too fast.
void rki_rules_missed(rki_rules *r, rkp_str name, uint64_t rows);
// Takes the instances of rules of `from` whose name, expression, for and labels are the same.
void rki_rules_adopt(rki_rules *to, rki_rules *from);
// What a reload would do: {"same":["A"],"change":[{"alert":"B","what":["expr"],"keeps_state":false,"pending":0,"firing":1}],"add":["C"],
// "remove":[{"alert":"D","pending":0,"firing":0}]}.  What fires and is not kept will be resolved.
void rki_rules_diff(const rki_rules *from, const rki_rules *to, struct rki_json *j);
// Ends what is left in r, which has been replaced: what fires is resolved, what is pending is not.
void rki_rules_end(rki_rules *r, int64_t ms, rki_rules_change *change, void *arg);

// What is pending and what fires, for another process: a list of JSON ("[]": nothing), and back.  saved_ms: when it was said; interval_ms: between
// looks.  Told is what fires and goes on firing (from and to are firing), and what fired and has no rule any more (to is resolved).
typedef void rki_rules_restored(void *arg, const struct rki_alert_message *m);
void rki_rules_state(const rki_rules *r, struct rki_json *j);
void rki_rules_restore(rki_rules *r, const struct rki_json_node *list, int64_t saved_ms, int64_t ms,
                       int64_t interval_ms, rki_rules_restored *told, void *arg);

typedef struct rki_rule_view {
    rkp_str name, expr; // expr in the one form of rki_prom_print
    int64_t for_ms, keep_ms, every_ms;
    const rkp_str *notes; // names of annotations
    size_t n_notes;
    rki_alert_state state; // the worst of its instances
    size_t n;              // instances, resolved ones as well
    int64_t last_ms;       // of the last evaluation; INT64_MIN: none
    uint64_t evaluations, failures;
    bool data; // expr says what it looks at:
    int64_t throttle_ms;
    uint64_t missed;     // rows that it has not looked at
    uint64_t rows, over; // that matched; of them, those of more keys than it may have
    const char *error;   // of the last evaluation; NULL: it was right
} rki_rule_view;

size_t rki_rules_n(const rki_rules *r);
// In the last tick it has begun to fail, or to work again.
bool rki_rules_turned(const rki_rules *r, size_t i);
rki_rule_view rki_rules_view(const rki_rules *r, size_t i);
rki_alert rki_rules_alert(const rki_rules *r, size_t i, size_t k);
const char *rki_alert_word(rki_alert_state s);

#endif
