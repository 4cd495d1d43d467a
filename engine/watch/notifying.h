// watch/notifying.h - notifications at work: a thread that flushes groups, a thread for each way of a receiver, silences on disk.
//
//   Owns     its threads between start and end; what it is told is copied
//   Threads  told, replace, the JSON and the silences: any; new, start, end, free: one
//   Fails    who tells is never told of a failure: it is in the log and in the JSON
//   Limits   those of notifier.h, sender.h, silences.h
//   Cost     told: a walk down the routes, under a lock that nobody holds while he sends or writes
#ifndef RKI_NOTIFYING_H
#define RKI_NOTIFYING_H

#include "watch/message.h"
#include "watch/metrics.h"
#include "watch/routing.h"

typedef struct rki_notifying rki_notifying;

typedef struct rki_notifying_args {
    const rki_routing *routing;           // copied; NULL: nobody is told until there is one
    rkp_str pipeline;                     // copied
    const char *version;                  // of the program
    const char *const *env;               // for commands: NAME=VALUE, NULL terminated, borrowed; may be NULL
    const char *folder;                   // where silences and what was told are kept; NULL: nothing is
    void (*log)(void *arg, rkp_str line); // any thread
    void *log_arg;
    void (*publish)(void *arg, const rki_notice_message *m); // any thread, never waits; NULL: there are no topics
    void *publish_arg;
    // Writes what the rules remember, as a value of JSON; NULL: nothing of it is kept.
    void (*remember)(void *arg, rki_buf *out);
    void *remember_arg;
    int64_t (*now_ms)(
        void *arg); // since 1970, any thread; NULL: the clock at `new`, and the monotonic one from there on
    void *now_arg;
    int64_t first_ms, most_ms; // between tries; 0: half a second and half a minute
} rki_notifying_args;

enum { RKI_NOTIFY_END_MS = 5000 }; // at the end, what is on its way has so long

rki_notifying *rki_notifying_new(const rki_notifying_args *args, char *err, size_t n); // NULL: err says why
bool rki_notifying_start(rki_notifying *x);
// Nobody waits for a group any more; what is on its way may arrive for RKI_NOTIFY_END_MS, then threads are stopped.  May be called twice.
void rki_notifying_end(rki_notifying *x);
void rki_notifying_free(rki_notifying *x); // after end; may be NULL

void rki_notifying_told(rki_notifying *x, const rki_alert_message *m);
// Other routes and receivers, in two steps: the first can fail, the second cannot.
typedef struct rki_notify_change rki_notify_change;
rki_notify_change *rki_notifying_prepare(rki_notifying *x, const rki_routing *routing, char *err, size_t n);
void rki_notifying_replace(rki_notifying *x, rki_notify_change *c); // takes c
void rki_notify_change_free(rki_notify_change *c);

// rki_routing_diff with what there is; rki_notifier_muted of what is pending or fires.
void rki_notifying_diff(rki_notifying *x, const rki_routing *routing, rki_json *j);
void rki_notifying_mark(rki_notifying *x, const rki_alert *al, rki_json *j);

// What was kept by the process before: the value of `remember`, and when it was said; NULL: nothing.
const struct rki_json_node *rki_notifying_kept(const rki_notifying *x, int64_t *ms);

// {"receivers":[..],"silences":[..],"alerts":n,"groups":n,"waiting":n,"dropped":n}
void rki_notifying_json(rki_notifying *x, rki_buf *out);
// How often each way was told; under no lock that anybody holds for long.
void rki_notifying_metrics(rki_notifying *x, rki_emit emit, void *arg);
// A new silence for so long; its JSON, or false and a sentence.
bool rki_notifying_silence(rki_notifying *x, rkp_str matchers, int64_t for_ms, rkp_str by, rkp_str comment,
                           rki_buf *out, char *err, size_t n);
bool rki_notifying_unsilence(rki_notifying *x, rkp_str id, char *err, size_t n);

#endif
