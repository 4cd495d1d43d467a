// cli/log.h - the log of a run: lines of the engine, of alerts and of reloads, and rows of write.log; on standard error or in a file,
// as text or as JSON.
//
//   Owns     its file, and the secrets that it puts over; lines are written when the call returns
//   Threads  any, several at a time: lines do not mix
//   Fails    open says why; a line that cannot be written is counted, and that is said on standard error
//   Limits   of lines of one kind (alike but for their numbers) 10 in 10 s, then how many were left out; errors that end the run, alerts and
//            rows of write.log have no limit
//   Cost     a write for each line
//
// Secrets are put over with ***.  A file that somebody has moved away (logrotate) is made anew within a second.
#ifndef RKI_LOG_H
#define RKI_LOG_H

#include "base/secrets.h"
#include "cli/cli.h"
#include <pthread.h>
#include <sys/types.h>

enum { RKI_LOG_KINDS = 64 };

typedef struct rki_logger {
    pthread_mutex_t lock;
    rki_logs_conf conf;
    rki_secrets *secrets;
    bool quiet; // notes are not said
    bool bar;   // a line with progress stands on standard error: it makes room
    int fd;     // of the file; -1: standard error
    dev_t dev;
    ino_t ino;
    uint64_t next_look; // at the file
    uint64_t lost;      // lines
    bool said_lost;
    struct {
        uint64_t hash, since; // since 0: free
        uint64_t said, left_out;
        rki_log_level level;
    } kinds[RKI_LOG_KINDS];
    uint64_t (*now_ns)(void); // monotonic
} rki_logger;

// False: `err` says why.
bool rki_logger_open(rki_logger *l, const rki_logs_conf *conf, char *err, size_t n);
void rki_logger_close(rki_logger *l);
bool rki_logger_owns_stderr(const rki_logger *l); // who reads it expects JSON

// What a pipeline has got from its stores of secrets is put over from here on, here and in what the engine answers.
void rki_logger_hide(rki_logger *l, const rkp_diags *d);

// `logger` is a rki_logger.  Lines that begin with "error: " or "warning: " have that level, others are for information.
void rki_logger_lines(void *logger, rkp_str lines);
void rki_logger_rows(void *logger, rkp_str lines);
void rki_logger_alert(void *logger, rkp_str line);
// As rki_cli_say; an error is said on standard error, too, when the log is a file.
void RKP_PRINTF(2, 3) rki_logger_say(rki_logger *l, const char *fmt, ...);
void rki_logger_findings(rki_logger *l, const rki_cli *c, rkp_diags *d);
void rki_logger_summary(rki_logger *l, rki_buf *json); // where rki_logger_owns_stderr

#endif
