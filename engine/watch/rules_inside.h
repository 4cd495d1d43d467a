// watch/rules_inside.h - what the two kinds of rules share: rules.c looks at metrics, data_rules.c at rows.
//
//   Owns     -
//   Threads  one at a time
//   Fails    as rules.h
//   Limits   -
//   Cost     -
#ifndef RKI_RULES_INSIDE_H
#define RKI_RULES_INSIDE_H

#include "watch/rules.h"

typedef struct rki_instance {
    rki_arena arena;
    rki_labels labels;
    rki_buf *notes;
    rki_alert_state state;
    double value;
    int64_t active_ms, fired_ms, resolved_ms, keep_since_ms; // keep_since_ms INT64_MIN: not
    bool seen, ends;                                         // in this evaluation
    int64_t held_ms; // of an earlier process: until then it stays as it is where it is not found
    // Of data:
    uint64_t untold;          // rows since the last message
    int64_t seen_ms, told_ms; // seen_ms: of the last look with rows
} rki_instance;

typedef struct rki_rule {
    rki_rule_conf conf;
    const rki_prom *expr, *resolve; // of data: NULL
    rkp_str printed;
    const rki_text_tpl **labels, **notes;
    rkp_str *note_names;
    rki_instance **v;
    size_t n, room;
    int64_t last_ms;
    uint64_t evaluations, failures;
    uint64_t rows, over,
        over_now; // of data: that matched; of them, those of more keys than there may be; since the last look
    uint64_t missed, missed_now; // of data: rows that nobody has looked at
    bool failed, failed_before;
    char error[400];
} rki_rule;

struct rki_rules {
    rki_arena arena, scratch;
    rki_prom_run *run, *run_resolve;
    rki_rule *v;
    size_t n;
};

// One element of a vector as an instance would have it.
typedef struct rki_found {
    rki_labels labels, element; // element: what templates see
    double value;
} rki_found;

typedef struct rki_rules_look {
    rki_rules *all;
    size_t i; // the rule
    int64_t ms;
    rki_rules_change *change;
    void *arg;
} rki_rules_look;

extern const char rki_rule_nomem[];

bool rki_rule_fail(rki_rule *r, const char *why); // false
bool rki_rule_final_labels(rki_rules *all, rki_rule *r, const rki_labels *element, double value, rki_labels *to);
rki_instance *rki_rule_instance(const rki_rule *r, const rki_labels *l); // NULL: none
bool rki_rule_add(rki_rule *r, const rki_labels *l, int64_t ms);
void rki_rule_remove(rki_rule *r, size_t i);
bool rki_rule_refresh(rki_rule *r, rki_instance *a, const rki_found *f);
rki_alert rki_rule_alert(const rki_instance *a);
void rki_rule_tell(const rki_rules_look *t, const rki_instance *a, rki_alert_state from); // unless it is the same

// Its state goes on in a reload, and in the next process.
bool rki_rule_same(const rki_rule *a, const rki_rule *b);
bool rki_rule_same_texts(const rki_rule_text *a, size_t n, const rki_rule_text *b, size_t n_b);

bool rki_is_data_rule(const rki_rule *r);
bool rki_data_rule_print(const rki_rule *r, rki_buf *out);
void rki_data_rule_look(const rki_rules_look *t, rki_rule *r);

#endif
