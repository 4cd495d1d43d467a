// cli/notify.h - what a service manager is told (the datagrams of sd_notify(3): $NOTIFY_SOCKET, $WATCHDOG_USEC).
//
//   Owns     a socket, a list of variables
//   Threads  begin, end: the one that runs the job; beat: the run's control thread; reloading, reloaded: any
//   Fails    begin without memory; nobody listens, or the socket is of another kind: nothing is told (and the latter is said)
//   Limits   -
//   Cost     a look at the run each second, where somebody listens
#ifndef RKI_CLI_NOTIFY_H
#define RKI_CLI_NOTIFY_H

#include "cli/log.h"
#include "run/control.h"

typedef struct rki_notify {
    int fd; // -1: nobody is told
    rki_logger *log;
    rki_run *run;         // whose life it is; set before it is executed
    uint64_t watchdog_ns; // it must be heard of this often; 0: it need not
    uint64_t grace_ns;    // engine.shutdown.grace
    bool ready, stopping; // has been told
    const char **env; // of commands that the pipeline starts: without the variables that speak to this process alone
} rki_notify;

bool rki_notify_begin(rki_notify *n, const rki_cli *c, rki_logger *log, uint64_t grace_ns);
// rki_run_args.beat: READY=1 when every kernel has been launched, WATCHDOG=1, STOPPING=1.
uint64_t rki_notify_beat(void *notify);
void rki_notify_reloading(const rki_notify *n);
void rki_notify_reloaded(const rki_notify *n, const rki_reload_result *r);
// The run has ended.  A job that was over before anybody looked was ready, too.
void rki_notify_end(rki_notify *n, int code);
void rki_notify_free(rki_notify *n); // when the run has gone

#endif
