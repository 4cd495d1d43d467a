// admin/source.h - the run behind the admin room, as functions: run/control.h in the engine, fakes in tests.
//
//   Owns     nothing; `run` outlives the server
//   Threads  called by the server's thread, `command` also by a few threads of its own
//   Fails    as run/control.h says
//   Limits   as run/control.h says
//   Cost     as run/control.h says
#ifndef RKI_SOURCE_H
#define RKI_SOURCE_H

#include "run/control.h"
#include "watch/alerter.h"
#include "watch/notifying.h"

typedef struct rki_admin_source {
    rki_run *run;
    rki_outcome (*command)(rki_run *r, rkp_str kernel, rki_command c, uint64_t deadline_ns, char *text, size_t n);
    // Puts the pipeline of a file ("": its own) in the place of the one that runs; JSON, and a status of HTTP.  NULL: it cannot.
    int (*reload)(void *arg, const char *file, bool dry, rki_buf *out);
    int (*rollback)(void *arg, uint64_t generation, bool dry, rki_buf *out); // 0: to the newest before that differs
    int (*generations)(void *arg, rki_buf *out);                             // those that are kept
    int (*config)(void *arg, rki_buf *out); // the texts that run, and those that were rejected last
    // Is the pipeline of a file ("": its own), or (p not NULL) of this text in its place, in order?
    int (*check)(void *arg, const char *file, rkp_str text, rki_buf *out);
    // Dead letters of a kernel and a reason (NULL: any): counted, or (limit not 0) the newest so many.
    int (*letters)(void *arg, const char *kernel, const char *reason, uint64_t limit, rki_buf *out);
    int (*replay)(void *arg, const char *kernel, const char *reason, bool dry,
                  rki_buf *out); // puts them in front of their kernels again
    void *reload_arg;            // of the seven
    void (*drain)(rki_run *r);
    bool (*ready)(rki_run *r);
    void (*status_json)(rki_run *r, rki_buf *out);
    void (*kernels_json)(rki_run *r, rki_buf *out);
    bool (*kernel_json)(rki_run *r, rkp_str kernel, rki_buf *out);
    void (*topics_json)(rki_run *r, rki_buf *out);
    void (*graph_json)(rki_run *r, rki_buf *out);
    bool (*metrics_text)(rki_run *r, rki_buf *out);
    void (*alerts_json)(rki_alerter *a, rki_buf *out);
    rki_alerter *alerter;
    // Receivers and silences.  NULL: there are none.
    void (*notify_json)(rki_notifying *x, rki_buf *out);
    bool (*silence)(rki_notifying *x, rkp_str matchers, int64_t for_ms, rkp_str by, rkp_str comment, rki_buf *out,
                    char *err, size_t n);
    bool (*unsilence)(rki_notifying *x, rkp_str id, char *err, size_t n);
    rki_notifying *notifying;
    rki_tap *(*tap_open)(rki_run *r, rkp_str pattern, rkp_str where, rki_tap_format f, char *text, size_t n);
    int (*tap_read)(rki_tap *t, uint64_t max_rows, uint64_t deadline_ns, rki_buf *out);
    uint64_t (*tap_rows)(const rki_tap *t);
    uint64_t (*tap_missed)(const rki_tap *t);
    void (*tap_close)(rki_tap *t);
} rki_admin_source;

#endif
