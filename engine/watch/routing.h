// watch/routing.h - whom alerts are told to: receivers, the tree of routes, inhibitions.
//
//   Owns     nothing; all of it lives in the arena of whoever made it
//   Threads  one at a time (matchers.h)
//   Fails    NULL without memory
//   Limits   those of the enum
//   Cost     a walk down the tree for each new alert
#ifndef RKI_ROUTING_H
#define RKI_ROUTING_H

#include "watch/matchers.h"
#include <rkpipe/command.h>

struct rki_json;

enum {
    RKI_RECEIVERS_MAX = 64,
    RKI_ROUTE_DEPTH = 8,
    RKI_ROUTES_MAX = 256,
    RKI_INHIBITS_MAX = 64,
    RKI_GROUP_BY_MAX = 16,
};

typedef enum rki_way_kind {
    RKI_WAY_LOG,
    RKI_WAY_FILE,
    RKI_WAY_WEBHOOK,
    RKI_WAY_EXEC,
    RKI_WAY_TOPIC,
    RKI_WAY_ALERTMANAGER,
    RKI_N_WAYS
} rki_way_kind;

// One way on which a receiver is told.
typedef struct rki_way {
    int kind;      // rki_way_kind
    bool resolved; // also that alerts are resolved
    int64_t timeout_ms;
    uint64_t max_alerts; // in one message; 0: all
    rkp_word path;       // file
    rkp_command command; // exec
    rkp_word url;        // webhook, alertmanager: may hold a secret, never shown
    rkp_pairs headers;   // webhook, alertmanager: values may be secrets
} rki_way;

typedef struct rki_receiver {
    rkp_word name;
    rki_way *ways;
    size_t n_ways;
} rki_receiver;

typedef struct rki_alert_route {
    rki_matchers match;
    uint32_t receiver;
    rkp_word *by; // labels
    size_t n_by;
    bool by_all; // each alert is a group
    int64_t wait_ms, interval_ms, repeat_ms;
    bool go_on; // routes after this one are looked at as well
    struct rki_alert_route *routes;
    size_t n_routes;
} rki_alert_route;

typedef struct rki_inhibit {
    rki_matchers source, target;
    rkp_word *equal;
    size_t n_equal;
} rki_inhibit;

typedef struct rki_routing {
    rki_receiver *receivers;
    size_t n_receivers;
    rki_alert_route root;
    rki_inhibit *inhibits;
    size_t n_inhibits;
} rki_routing;

const char *rki_way_word(int kind); // "webhook"
// What a reload would do: {"receivers":{"change":["a"],"add":["b"],"remove":["c"]},"change":["route","inhibit"]}.  Names only; each may be NULL.
void rki_routing_diff(const rki_routing *from, const rki_routing *to, struct rki_json *j);
rki_routing *rki_routing_copy(rki_arena *a, const rki_routing *from);

#endif
