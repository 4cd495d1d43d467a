// watch/notifying_inside.h - what the parts of notifications at work share: notifying.c moves them, notifying_look.c shows and silences.
//
//   Owns     -
//   Threads  see the locks
//   Fails    -
//   Limits   -
//   Cost     -
#ifndef RKI_NOTIFYING_INSIDE_H
#define RKI_NOTIFYING_INSIDE_H

#include "watch/notifier.h"
#include "watch/notify_files.h"
#include "watch/notifying.h"
#include "watch/sender.h"
#include <pthread.h>

// The senders of a routing: those of a receiver one after the other.
typedef struct rki_senders {
    rki_sender **v;
    size_t n;
    struct rki_senders *next; // retired
} rki_senders;

struct rki_notifying {
    rki_notifying_args args;
    char *pipeline, *folder;
    int64_t wall_ms, mono_ms;
    rki_arena kept_arena;
    const rki_json_node *kept; // of the process before
    int64_t kept_ms;
    pthread_mutex_t file_lock; // of the file of silences; before lock
    pthread_mutex_t lock;      // of all below
    pthread_cond_t wake, quiet;
    pthread_t thread;
    bool running, started, over, hurry, hurried; // running: a thread may be begun
    rki_silences *silences;
    rki_notifier *n;
    rki_senders *senders,
        *retired;             // senders is replaced with set_lock as well, so that who holds that may look at them
    pthread_mutex_t set_lock; // inside of lock
    rki_parcel *instant;      // published; to be done
    bool dirty, save_failed;
    bool full;  // an alert had no room: that has been said
    bool alive; // when it was saved, something was pending or firing: how long it was is said again now and then
    int64_t saved_mono;
};

int64_t rki_notifying_now(const rki_notifying *x);

#endif
