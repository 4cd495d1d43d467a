// watch/notifier.h - who is told of which alerts, and when: grouping, waiting, repeating, resolving, as Alertmanager does it.
//
//   Owns     copies of routes and alerts; a notice lives during the call that gets it
//   Threads  one at a time; time is a parameter
//   Fails    false without memory, or past a limit: that alert is not told of, and counted
//   Limits   RKI_NOTIFIED_MAX alerts in RKI_GROUPS_MAX groups
//   Cost     a change: a walk down the routes; a flush: a walk over the alerts of its group
//
//   alert --routes--> group --group_wait--> flush --group_interval--> flush ..
//                                             |  not silenced, not inhibited
//                        per way of the receiver: is there something new, or is repeat_interval over?
//                                             |
//                                          notice --somebody sends it--> done: told
//
// Of each group and way it is remembered who was told to fire and to be resolved: a flush tells when an alert fires that was not told, when
// all that was told is resolved, when one of them is (and that is wanted), and when what fires was told repeat_interval ago.  There is at most one notice of
// a group and way on its way; what fails is told again by the next flush, as it is then.
#ifndef RKI_NOTIFIER_H
#define RKI_NOTIFIER_H

#include "watch/message.h"
#include "watch/routing.h"
#include "watch/silences.h"

enum { RKI_NOTIFIED_MAX = 10000, RKI_GROUPS_MAX = 1000, RKI_TOLD_MAX = 4000 };

typedef struct rki_noticed {
    uint64_t id; // of its labels
    rki_labels labels;
    rkp_str annotations; // JSON
    double value;
    int64_t starts_ms, ends_ms; // ends_ms 0: it fires
    char key[RKI_ALERT_KEY];    // as rki_alert_message.key
} rki_noticed;

typedef struct rki_notice {
    uint64_t ticket;
    uint32_t receiver, way; // of the routing
    const rki_routing *routing;
    rkp_str group;     // a name of the group
    rki_labels labels; // that its alerts share, of group_by
    int64_t ms, interval_ms;
    bool firing;                      // or all of it is resolved
    const rki_noticed *const *alerts; // those that fire first
    size_t n;
} rki_notice;

typedef struct rki_notifier_counts {
    size_t alerts, groups, on_the_way;
    uint64_t dropped; // alerts that had no room
} rki_notifier_counts;

typedef struct rki_notifier rki_notifier;
typedef bool rki_notifier_send(void *arg, const rki_notice *n); // false: it will not be sent

rki_notifier *rki_notifier_new(const rki_silences *silences); // borrowed
void rki_notifier_free(rki_notifier *n);
// Routes as the notifier has them: a copy.  NULL without memory.
typedef struct rki_routes {
    rki_arena arena;
    const rki_routing *routing; // NULL: nobody is told
} rki_routes;
rki_routes *rki_routes_new(const rki_routing *r);
void rki_routes_free(rki_routes *r);
// From here on these routes (taken).  Alerts find their groups again; what was told is remembered.
void rki_notifier_route(rki_notifier *n, rki_routes *r, int64_t ms);
const rki_routing *rki_notifier_routing(const rki_notifier *n); // its copy; NULL: none
// Only changes to firing and from firing count.
bool rki_notifier_change(rki_notifier *n, const rki_alert_message *m, int64_t ms);
// Flushes what is due, and says when the next one is: INT64_MAX, there is none.  A notice that `send` gets is on its way until done.
int64_t rki_notifier_due(rki_notifier *n, int64_t ms, rki_notifier_send *send, void *arg);
void rki_notifier_done(rki_notifier *n, uint64_t ticket, bool ok, int64_t ms);
void rki_notifier_hurry(rki_notifier *n, int64_t ms); // nobody waits any longer: every group is due
// Why nobody is told of an alert with these labels: "silenced_by": ids of silences, "inhibited_by": what fires and holds it down.
void rki_notifier_muted(const rki_notifier *n, const rki_labels *l, int64_t ms, rki_json *j);
rki_notifier_counts rki_notifier_count(const rki_notifier *n);

// What was told, for the next process.
void rki_notifier_told_json(const rki_notifier *n, rki_json *j);
bool rki_notifier_told_read(rki_notifier *n, const rki_json_node *list);
size_t rki_notifier_told(const rki_notifier *n); // how many groups and ways have been told that something fires

#endif
