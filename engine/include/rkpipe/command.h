// rkpipe/command.h - a command of the system as a source or a sink uses it.
//
//   Owns     a child owns its process until it is reaped, our end of its pipe, and a thread that takes its standard error
//   Threads  one at a time; `line` is called on the child's own thread, until wait or free have returned
//   Fails    a status, and a message in `err`; the message has the last line of standard error
//   Limits   Linux 5.3; a line of standard error that is longer than 4 KiB comes in parts
//   Cost     a process, a thread, five descriptors
//
// There is no shell.  The command gets a process group of its own, default signals, nothing but descriptors 0, 1 and 2,
// and an environment of PATH, HOME, LANG, TZ and what is given for it.
//
//   way              0           1           2
//   RKP_CHILD_READ   /dev/null   our pipe    `line`
//   RKP_CHILD_WRITE  our pipe    ours        `line`
#ifndef RKPIPE_COMMAND_H
#define RKPIPE_COMMAND_H

#include <rkpipe/diag.h>
#include <rkpipe/file.h>
#include <rkpipe/opt.h>

typedef struct rkp_command {
    rkp_words argv; // options
    rkp_pairs env;
    uint64_t grace_ns;
} rkp_command;

// clang-format off
// The rows of these options, for a struct T with a member `m`.
#define RKP_COMMAND_OPTS(T, m) \
    { .name = "argv", .type = &rkp_word_list, .at = offsetof(T, m.argv), .required = true, .no_secrets = true, \
      .help = "the command and its arguments, each an entry of the list; no shell reads them", \
      .also = "command cmd exec args run program" }, \
    { .name = "env", .type = &rkp_word_map, .at = offsetof(T, m.env), .optional = true, .no_secrets = true, \
      .help = "its environment, besides PATH, HOME, LANG and TZ, which it gets as rkpipe has them", \
      .also = "environment envs" }, \
    { .name = "grace", .type = &rkp_duration, .at = offsetof(T, m.grace_ns), .def = "1s", .bounded = true, .min = 0, \
      .max = 3600e9, .help = "time from SIGTERM to SIGKILL when it has to be stopped", .also = "kill_timeout kill_after" }
// clang-format on

// Findings for what no command can have; pure.
rkp_status rkp_command_check(const rkp_command *c, rkp_diags *d);
// Is there such a program?  `env` is NAME=VALUE, NULL terminated; may be NULL.  RKP_UNAVAILABLE and a message if not.
rkp_status rkp_command_find(const rkp_command *c, const char *const *env, char err[RKP_FILE_ERR]);

typedef enum rkp_child_way { RKP_CHILD_READ, RKP_CHILD_WRITE } rkp_child_way;
typedef struct rkp_child rkp_child;

// `line` gets the lines of its standard error without their ends; control characters are replaced.
rkp_status rkp_child_start(const rkp_command *c, rkp_child_way way, const char *const *env,
                           void (*line)(void *arg, rkp_str line), void *arg, rkp_child **out, char err[RKP_FILE_ERR]);
int rkp_child_fd(const rkp_child *c);      // our end of the pipe; -1: closed or taken.  WRITE: it never blocks
int rkp_child_take_fd(rkp_child *c);       // the caller closes it
int rkp_child_exit_fd(const rkp_child *c); // readable when the command has ended
bool rkp_child_ended(const rkp_child *c);  // has it?
// WRITE: how many of n bytes went into the pipe: 0, wait until it is writable; -1, nobody reads it any more, or another
// error (errno).  Never raises SIGPIPE.
int64_t rkp_child_write(rkp_child *c, const void *p, size_t n);
uint64_t rkp_child_unread(const rkp_child *c); // WRITE: bytes in the pipe that it has not read
void rkp_child_close(rkp_child *c);            // our end of the pipe
// Waits until it ends, and for the last lines of its standard error.  RKP_OK for exit status 0.
rkp_status rkp_child_wait(rkp_child *c, char err[RKP_FILE_ERR]);
void rkp_child_stop(rkp_child *c); // SIGTERM to its process group; does not wait
// What still runs is stopped: SIGTERM, after `grace` SIGKILL.
void rkp_child_free(rkp_child *c);

#endif
