// watch/sender.h - one way of a receiver, or of a collector, at work: a thread of its own takes bodies from a queue and sends them until they arrive.
//
//   Owns     its thread, between new and free; parcels that it was given
//   Threads  give: any; done and log are called on its thread
//   Fails    a parcel that cannot be sent is tried again, later and later, until its time is over; then done says so
//   Limits   RKI_PARCELS_MAX parcels wait, or max_bytes of them; what does not fit is not taken
//   Cost     nothing for who gives
#ifndef RKI_SENDER_H
#define RKI_SENDER_H

#include "base/buf.h"
#include "watch/routing.h"

enum { RKI_PARCELS_MAX = 256, RKI_SEND_WHY = 200 };

typedef struct rki_parcel {
    uint64_t ticket;
    rki_buf body;
    int64_t life_ms; // how long it is tried
    struct rki_parcel *next;
    uint64_t end_ns; // inside the sender
} rki_parcel;

typedef enum rki_sent { RKI_SENT, RKI_SEND_AGAIN, RKI_SEND_REFUSED } rki_sent;

// What stops a send that waits: an event that can be polled, and a flag.
typedef struct rki_send_stop {
    int fd;
    bool set; // atomic
} rki_send_stop;

// Sends it, or says why not: a sentence without secrets.
typedef rki_sent rki_send(void *self, rkp_str body, const rki_send_stop *stop, char why[RKI_SEND_WHY]);

typedef struct rki_sender_args {
    rkp_str receiver; // as way: for the log
    const char *way;
    const char *who;   // the same for somebody else: "otlp: the collector"; NULL: that receiver
    const char *goods; // what it takes: "metrics"; NULL: notifications
    rki_send *send;
    void *self;
    void (*close)(void *self); // of self, after the last send; may be NULL
    // After RKI_SEND_AGAIN: when the other side wants to be asked again, not before; 0: it has not said.  NULL: nobody says.
    int64_t (*after_ms)(void *self);
    int64_t first_ms, most_ms; // between tries: doubles from the first to the most
    size_t max_bytes;          // of bodies that wait; 0: no limit
    void (*done)(void *arg, uint64_t ticket, bool ok);
    void (*log)(void *arg, rkp_str line); // may be NULL
    void *arg;                            // of both
} rki_sender_args;

typedef struct rki_sender_counts {
    uint64_t sent, failed, tries;
    bool failing; // the last try was not the right one
    char why[RKI_SEND_WHY];
} rki_sender_counts;

typedef struct rki_sender rki_sender;

rki_sender *rki_sender_new(const rki_sender_args *args); // NULL: no memory or no thread; self is closed then, too
bool rki_sender_give(rki_sender *s, rki_parcel *p);      // takes p; false: there was no room, and it is not done
void rki_sender_hurry(rki_sender *s);                    // from here on nothing is tried again: one more try, now
void rki_sender_stop(rki_sender *s);                     // whatever it is at; does not wait
void rki_sender_free(rki_sender *s);                     // waits for the thread; what waits is done, as failed
rki_sender_counts rki_sender_count(rki_sender *s);
const char *rki_sender_receiver(const rki_sender *s), *rki_sender_way(const rki_sender *s);
void rki_parcel_free(rki_parcel *p);

// ---- ways: NULL without memory; close with their `close`
typedef struct rki_courier {
    rki_send *send;
    void (*close)(void *self);
    void *self;
} rki_courier;

bool rki_courier_file(const rki_way *w, rki_courier *out); // each body is a line at the end of the file
// env: NAME=VALUE, NULL terminated, borrowed.  Its standard error goes to the log, line by line.
bool rki_courier_exec(const rki_way *w, const char *const *env, void (*line)(void *arg, rkp_str line), void *arg,
                      rki_courier *out);
bool rki_courier_http(const rki_way *w, const char *version, rki_courier *out); // POST of JSON, by libcurl

#endif
