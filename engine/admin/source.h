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

typedef struct rki_admin_source {
    rki_run *run;
    rki_outcome (*command)(rki_run *r, rkp_str kernel, rki_command c, uint64_t deadline_ns, char *text, size_t n);
    // Puts the pipeline of a file ("": its own) in the place of the one that runs; JSON, and a status of HTTP.  NULL: it cannot.
    int (*reload)(void *arg, const char *file, bool dry, rki_buf *out);
    int (*rollback)(void *arg, uint64_t generation, bool dry, rki_buf *out); // 0: to the newest before that differs
    int (*generations)(void *arg, rki_buf *out);                             // those that are kept
    int (*config)(void *arg, rki_buf *out); // the texts that run, and those that were rejected last
    void *reload_arg;                       // of the four
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
    rki_tap *(*tap_open)(rki_run *r, rkp_str pattern, rki_tap_format f, char *text, size_t n);
    int (*tap_read)(rki_tap *t, uint64_t max_rows, uint64_t deadline_ns, rki_buf *out);
    uint64_t (*tap_rows)(const rki_tap *t);
    uint64_t (*tap_missed)(const rki_tap *t);
    void (*tap_close)(rki_tap *t);
} rki_admin_source;

#endif
