// watch/notice_text.h - what receivers get: a notice as JSON in the forms of Alertmanager, and as a line.
//
//   Owns     nothing
//   Threads  one at a time
//   Fails    with the buffer
//   Limits   `max_alerts` of the way; what is left out is counted in truncatedAlerts
//   Cost     as long as labels and annotations
#ifndef RKI_NOTICE_TEXT_H
#define RKI_NOTICE_TEXT_H

#include "watch/notifier.h"

// What a webhook of Alertmanager gets (version "4"), in one line.
void rki_notice_webhook(const rki_notice *n, rkp_str pipeline, rki_buf *out);
// What POST /api/v2/alerts takes.
void rki_notice_alertmanager(const rki_notice *n, rki_buf *out);
// ops: 2 alerts are firing: DeadLettersGrow{kernel="score"} "score rejects rows"; ..
void rki_notice_line(const rki_notice *n, rki_buf *out);
// A list of the alerts, each as in the webhook.
void rki_notice_alerts(const rki_notice *n, rki_buf *out);

#endif
