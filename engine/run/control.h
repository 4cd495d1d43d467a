// run/control.h - what others may ask of a run at work: states, commands, counts, taps, drain.
//
//   Owns     answers live in the caller's buffers; a tap belongs to who opened it
//   Threads  any, several at a time; never a thread that runs kernels
//   Fails    a refused command changes nothing and says why
//   Limits   64 taps
//   Cost     commands wait for a batch boundary of the kernel; looking costs the data path nothing
#ifndef RKI_CONTROL_H
#define RKI_CONTROL_H

#include "run/run.h"
#include "watch/message.h"
#include "watch/metrics.h"

typedef enum rki_state {
    RKI_CREATED,
    RKI_LAUNCHED,
    RKI_ACTIVE,
    RKI_SUSPENDED,
    RKI_FAILED,
    RKI_TERMINATING,
    RKI_TERMINATED,
    RKI_N_STATES
} rki_state;

typedef enum rki_command { RKI_ACTIVATE, RKI_SUSPEND, RKI_RESTART, RKI_TERMINATE, RKI_N_COMMANDS } rki_command;

const char *rki_state_name(int s);   // "active"
const char *rki_command_name(int c); // "activate"
// "activate" and "resume", "suspend" and "deactivate", "restart", "terminate"; -1: no such command.
int rki_command_named(rkp_str s);

typedef enum rki_outcome {
    RKI_DONE,      // the kernel is in the state that was asked for
    RKI_REFUSED,   // its state does not allow it
    RKI_NO_KERNEL, // no kernel has that name
    RKI_TOO_LATE,  // the run is ending
    RKI_TIMED_OUT, // the kernel came to no batch boundary in time; the command is taken back
    RKI_NO_MEMORY,
} rki_outcome;

// Waits until the command has taken effect, at most until `deadline_ns` (monotonic).  `text` gets one sentence without a
// full stop ("kernel 'score' is active; activate needs launched or suspended").
rki_outcome rki_run_command(rki_run *r, rkp_str kernel, rki_command c, uint64_t deadline_ns, char *text, size_t n);

// ---- another pipeline ----------------------------------------------------------------------------------------------

typedef enum rki_reload_outcome {
    RKI_RELOAD_APPLIED,
    RKI_RELOAD_REJECTED,   // nothing has changed: findings, or `text`, say why
    RKI_RELOAD_TIMED_OUT,  // a kernel came to no batch boundary in time; nothing has changed
    RKI_RELOAD_SUPERSEDED, // somebody else asked before this one's turn came
} rki_reload_outcome;

extern const char *const rki_reload_outcomes[4]; // their words: "applied"

typedef struct rki_reload_result {
    rki_reload_outcome outcome;
    bool counted;                                         // rki_run_count_reload has been called
    uint32_t generation;                                  // that runs now
    char text[1024];                                      // a sentence, where there are no findings
    uint64_t prepare_ns, quiesce_ns, commit_ns, grace_ns; // how long each step took
    uint64_t pause_ns;                                    // that kernels which were replaced stood, at most
    rki_buf pauses;                                       // JSON: {"actor":milliseconds,..}; the caller's, as diff
    rki_buf edges; // JSON, of RKI_RELOAD_APPLIED: [{"from":..,"sent":..},..], as in the status
    rki_buf diff;  // JSON: {"same":[..],"retune":[..],..}; the caller's
} rki_reload_result;

// Puts `plan` in the place of the one that runs; returns when every kernel runs by it, or nothing has changed.  Takes the plan: drop is
// called when nothing of it is needed any more, perhaps before this returns.
void rki_run_reload(rki_run *r, const rki_plan *plan, void (*drop)(void *arg), void *drop_arg, rkp_diags *d,
                    rki_reload_result *out);

// For metrics, once: also of one that never came to rki_run_reload.
void rki_run_count_reload(rki_run *r, rki_reload_result *out);
// What it would change; nothing is changed.
void rki_run_compare(rki_run *r, const rki_plan *plan, rkp_diags *d, rki_reload_result *out);
void rki_run_generation(rki_run *r, rki_reload_result *out); // the number alone

// What came of one, as a message on $reload; let go when nobody subscribes.  Never waits.
typedef struct rki_reload_message {
    const char *outcome;         // a word that stays
    uint32_t generation;         // that runs now
    rkp_str by, message, answer; // who asked; a sentence or nothing; JSON, as clients get it
    int64_t us;
} rki_reload_message;

void rki_run_tell_reload(rki_run *r, const rki_reload_message *m);

// Drain: sources end, everything on its way is delivered, the run ends.  As the first signal in stream mode.
void rki_run_drain(rki_run *r);
// Every kernel has been launched, and the run is neither draining nor ending.
bool rki_run_ready(rki_run *r);

// {"name":..,"state":"running","uptime_seconds":..,"mode":..,"kernels":[..],"edges":[..],"topics":[..],"memory":{..}}
void rki_run_status_json(rki_run *r, rki_buf *out);
// Every metric (watch/metrics.h), series by series.  Takes the graph's lock for reading; `emit` must not call back into the run.  False: out
// of memory, and something is missing.
bool rki_run_metrics(rki_run *r, rki_emit emit, void *arg);
bool rki_run_metrics_text(rki_run *r, rki_buf *out); // in the Prometheus text format
// `kernels` of it alone: an array.
void rki_run_kernels_json(rki_run *r, rki_buf *out);
// One kernel of it; false when there is none of that name.
bool rki_run_kernel_json(rki_run *r, rkp_str kernel, rki_buf *out);
void rki_run_topics_json(rki_run *r, rki_buf *out);
void rki_run_graph_json(rki_run *r, rki_buf *out);

// ---- alerts ---------------------------------------------------------------------------------------------------------

// A change of an alert, for those who subscribe to $alerts/<name>; let go when nobody does.  Never waits.
void rki_run_alert(rki_run *r, const rki_alert_message *m);
// A notification, for those who subscribe to $notify/<receiver>; let go when nobody does.  Never waits.
void rki_run_notice(rki_run *r, const rki_notice_message *m);
// Called, with locks held, when the last kernel ends that does not hang on `$` topics; it must not wait.  When it returns true the `$` topics end
// after rki_run_looked with that number.  NULL: nobody is asked.
void rki_run_on_last(rki_run *r, bool (*ask)(void *arg, uint64_t number), void *arg);
void rki_run_looked(rki_run *r, uint64_t number);

// ---- taps -----------------------------------------------------------------------------------------------------------

typedef struct rki_tap rki_tap;

typedef enum rki_tap_format { RKI_TAP_JSON, RKI_TAP_CSV } rki_tap_format;

// Messages whose topic matches the pattern, or (pattern "kernel:ID" or "kernel:ID.port") what a kernel emits.  NULL and a sentence in
// `text` when the pattern is wrong, nothing can ever match, or there are too many taps.  `where` (p NULL: none) is a condition: rows for which it is
// not true, or cannot be computed, are not shown.
rki_tap *rki_tap_open(rki_run *r, rkp_str pattern, rkp_str where, rki_tap_format f, char *text, size_t n);
// Appends the rows that came since the last call, as lines.  1: something was appended; 0: nothing until `deadline_ns`; -1: the run has
// ended and everything was given.
int rki_tap_read(rki_tap *t, uint64_t max_rows, uint64_t deadline_ns, rki_buf *out);
uint64_t rki_tap_rows(const rki_tap *t); // rows given so far; the header of CSV is none
// Rows that did not fit: those that passed before the last row given, and at the end (-1) all.
uint64_t rki_tap_missed(const rki_tap *t);
void rki_tap_close(rki_tap *t); // any time, also before the run is freed

#endif
