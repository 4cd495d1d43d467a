// admin/server.h - the server inside a running engine: one thread, one socket, HTTP.
//
//   Owns     its thread, its socket (a file, or an address), its connections and their taps
//   Threads  start, stop and free: one control thread
//   Fails    start says why in one sentence; later failures end the connection that they belong to
//   Limits   100 connections, 4 commands at a time, those of http.h; the times of rki_admin_times
//   Cost     idle: a thread that sleeps in poll.  No allocation until somebody connects
//
// A connection: reads a request, answers it, and reads the next; or it waits for a command, for the end of the run, or
// gives the rows of a tap as they come.  A client that is slow, silent or gone costs its own connection only: rows that
// a slow reader has no room for stay in the tap, which lets go of them and counts.
#ifndef RKI_SERVER_H
#define RKI_SERVER_H

#include "admin/source.h"
#include "base/bearer.h"
#include "base/secrets.h"

typedef struct rki_admin rki_admin;

// Nanoseconds; 0 is the default.
typedef struct rki_admin_times {
    uint64_t head_ns;    // 5 s: the first byte of a request to the end of its head, and as long again for its body
    uint64_t idle_ns;    // 30 s: between two requests
    uint64_t write_ns;   // 10 s: without a byte of an answer being taken
    uint64_t command_ns; // 5 s: until a command is taken back
    uint64_t tap_ns;     // 20 ms: between two looks at a tap
    uint64_t stop_ns;    // 250 ms: at the end, for what is still to be sent
} rki_admin_times;

typedef struct rki_admin_args {
    const rki_admin_source *source; // copied
    const char *path;               // of a unix socket; or NULL, and
    const char *address;            // "127.0.0.1" or "::1"
    uint16_t port;                  //   with this port (0: any that is free)
    const char *metrics;            // not NULL: serves metrics at this path, and nothing else; NULL, with an address:
    const rki_bearer *token;        //   commands, for those who have this one; copied
    rki_secrets *secrets;           // put over in everything that is answered; may be NULL
    rki_admin_times times;
} rki_admin_args;

rkp_status rki_admin_start(const rki_admin_args *args, rki_admin **out, char *err, size_t n);
uint16_t rki_admin_port(const rki_admin *a); // of an address
// Both take NULL.  Stop: nobody comes any more, taps give what they still have, and the source is not used afterwards.
// Free: who waits for the end is told how the process will end, so it should be the last thing.
void rki_admin_stop(rki_admin *a);
void rki_admin_free(rki_admin *a, int exit_code);

#endif
