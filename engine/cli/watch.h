// cli/watch.h - a pipeline's file and what it includes, looked at again and again, until they have changed and settled.
//
//   Owns     the texts that it saw last; those that it gives belong to the caller
//   Threads  one
//   Fails    without memory a look sees nothing, and the next one tries again
//   Limits   a text that comes and goes between two looks is not seen
//   Cost     a look: a stat(2) of each file; while something settles: reading and parsing them
//
// What has changed counts when two readings, at least `debounce` apart, gave the same texts.  It is given as it was read,
// so what is loaded then is what has settled, whatever becomes of the file in between.
#ifndef RKI_WATCH_H
#define RKI_WATCH_H

#include "spec/spec.h"

typedef enum rki_watched {
    RKI_WATCH_NOTHING, // as before, or not settled yet
    RKI_WATCH_CHANGED, // `out` has it
    RKI_WATCH_GONE,    // the file cannot be read, and has been so for long enough
} rki_watched;

typedef struct rki_watch {
    const rki_spec_args *args; // its file and env
    rki_snapshot *known;       // which files there are
    uint64_t signature;        // of their names and times, when they were settled
    uint64_t told;             // hash of what was given last
    uint64_t hash, since_ns;   // of the reading at hand, and when it was first like this
    bool settling, read;
    uint64_t n_settled; // so often something that had changed stood still
} rki_watch;

// `now`: what runs.  False without memory.
bool rki_watch_init(rki_watch *w, const rki_spec_args *args, const rki_sources *now);
void rki_watch_fini(rki_watch *w);
rki_watched rki_watch_look(rki_watch *w, uint64_t now_ns, uint64_t debounce_ns, rki_snapshot **out);

#endif
