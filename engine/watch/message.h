// watch/message.h - a change of state of an alert as texts: for a message on $alerts/<name>.
//
//   Owns     nothing: texts are in the buffer, the rules and the alert, as long as none of them changes
//   Threads  one at a time, the one that ticks
//   Fails    false without memory
//   Limits   -
//   Cost     as long as its labels and annotations
#ifndef RKI_ALERT_MESSAGE_H
#define RKI_ALERT_MESSAGE_H

#include "base/json.h"
#include "watch/rules.h"

enum { RKI_ALERT_KEY = 17 };

typedef struct rki_alert_message {
    rkp_str alert, severity, labels, annotations; // the last two: JSON objects
    const char *from, *to;                        // rki_alert_word
    double value;
    int64_t active_ms, ms;   // since when it holds; when it changed
    const rki_labels *set;   // the labels; NULL where the message is a copy that waits
    int64_t fired_ms;        // since when it fires, or fired; 0: it did not
    char key[RKI_ALERT_KEY]; // the same for the same rule, labels, active_ms and `to`, in every process
} rki_alert_message;

// What a receiver of the kind `topic` publishes: texts as above.
typedef struct rki_notice_message {
    rkp_str receiver, group_labels, alerts; // the last two: JSON
    const char *status;                     // "firing", "resolved"
    int64_t ms;
} rki_notice_message;

void rki_alert_key(rkp_str name, const rki_alert *a, rki_alert_state from, int64_t ms, char key[RKI_ALERT_KEY]);
bool rki_alert_message_make(const rki_rules *r, size_t i, const rki_alert *a, rki_alert_state from, int64_t ms,
                            rki_buf *text, rki_alert_message *out);

// {"a":"b"} of labels, and of annotations.
void rki_labels_json(rki_json *j, const rki_labels *l);
void rki_notes_json(rki_json *j, const rki_rule_view *v, const rki_alert *a);

#endif
