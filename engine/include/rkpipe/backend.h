// rkpipe/backend.h - what the engine asks of a place where actors run.
//
//   Owns     the engine owns tasks; a backend owns its threads
//   Threads  start, wake: any; open, close: control
//   Fails    open returns a status; wake cannot fail
//   Limits   4,096 tasks
//   Cost     wake of a task that is already ready: one load
//
// A task is the schedulable half of an actor: one atomic state word, a step function, a priority.  `step` runs a
// bounded amount of work and says whether there is more.  Waking is exactly once: however many wake, the task is queued
// once, and a wake that comes while it runs makes it run again.
#ifndef RKPIPE_BACKEND_H
#define RKPIPE_BACKEND_H

#include <rkpipe/base.h>

// One state word per task; every transition is a compare-and-swap (DESIGN.md 8).
typedef enum rkp_task_state {
    RKP_TASK_IDLE,    // nothing to do
    RKP_TASK_READY,   // in a queue
    RKP_TASK_RUN,     // a thread is in step
    RKP_TASK_RERUN,   // in step, and woken meanwhile
    RKP_TASK_PUSH,    // the runtime advances its clock for it
    RKP_TASK_STOPREQ, // asked to stop at the next batch boundary
    RKP_TASK_STOPPED,
    RKP_TASK_RETIRED, // never runs again
} rkp_task_state;

typedef enum rkp_step {
    RKP_STEP_IDLE,  // nothing left: sleep until woken
    RKP_STEP_AGAIN, // there is more: queue again, behind its equals
    RKP_STEP_DONE,  // never again
} rkp_step;

typedef struct rkp_task {
    uint32_t state;     // atomic, rkp_task_state
    uint8_t priority;   // 0 low .. 3 critical
    uint8_t own_thread; // blocking, or `mode: thread`: not run by the worker pool
    uint8_t poll;       // own_thread: spin instead of parking
    uint8_t pad;
    rkp_step (*step)(struct rkp_task *t, void *arg, unsigned worker);
    void *arg;
    struct rkp_task *next; // the backend's queue link
    void *backend_data;
    uint64_t wake_ns; // 0, or when to wake an idle task
} rkp_task;

typedef struct rkp_backend_run rkp_backend_run;

typedef struct rkp_backend_conf {
    unsigned workers;     // 0: cores
    uint64_t seed;        // sim: the order of steps; 0: in turns
    uint64_t *virtual_ns; // sim: the clock, which it moves; the engine reads it.  Others: NULL
} rkp_backend_conf;

typedef struct rkp_backend {
    uint32_t abi, size;
    const char *name; // "cpu"
    const char *summary;
    rkp_status (*open)(const rkp_backend_conf *c, rkp_task **tasks, size_t n, rkp_backend_run **out);
    rkp_status (*start)(rkp_backend_run *r); // all tasks IDLE; wake those that have work
    void (*wake)(rkp_backend_run *r, rkp_task *t);
    // Waits until every task is RETIRED or `deadline_ns` (monotonic; 0: none) or an `rkp_backend.poke`.  True: all
    // retired.
    bool (*wait)(rkp_backend_run *r, uint64_t deadline_ns);
    void (*poke)(rkp_backend_run *r);  // makes wait return; async-signal-safe
    void (*close)(rkp_backend_run *r); // tasks that still run are waited for
    unsigned (*workers)(const rkp_backend_run *r);
    // While it runs, by the thread that waits: more tasks, IDLE then (wake those that have work).  RKP_UNSUPPORTED: there is no room for
    // so many; on any failure none was added.
    rkp_status (*add)(rkp_backend_run *r, rkp_task **tasks, size_t n);
    // By the thread that waits: a RETIRED task leaves, and may be added again.  A wake of it is let go as before.
    void (*forget)(rkp_backend_run *r, rkp_task *t);
} rkp_backend;

extern const rkp_backend *const rkp_backends[]; // the registry, NULL terminated

#endif
