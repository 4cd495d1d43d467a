// operators/write/file_out.h - what write.csv and write.jsonl share: the place of the file that they write.
//
//   Owns     nothing; a writer that file_out_restore has opened is the caller's
//   Threads  bind: control; save and restore: the sink's thread
//   Fails    a file that is not as it was is refused with its name; else through the actor
//   Limits   -
//   Cost     save: fsync
#ifndef FILE_OUT_H
#define FILE_OUT_H

#include <rkpipe/file.h>
#include <rkpipe/op.h>

// Attempts at the write at hand that have failed and put nothing into the file; n is 0 for the first one.
typedef struct file_out_tries {
    uint64_t n, first_ns, length;
} file_out_tries;

#define FILE_OUT_RETRIES "no_space" // what file_out_failed may try again

// A write has failed.  RKP_RETRY: there was no room, and by the kernel's `retry` the same write is to come again; the actor is woken for it.
rkp_verdict file_out_failed(file_out_tries *t, rkp_actor *a, const rkp_writer *w, rkp_status st, const char *err);
// Says which delivery this path can keep.
void file_out_bind(rkp_bind *b, rkp_word path, int commit);
// Does the file end in the middle of a line at byte `at` (-1: its end)?  Then what is added begins with the end of that line, or the
// first new row would be a part of it.  False for what is no file, and for one that we may not read.
rkp_status file_out_inside_line(const char *path, int64_t at, bool *inside, char err[RKP_FILE_ERR]);
// w NULL: none has been opened.  ended: no more rows will come; w is complete after it.  The file stays when the job fails later.
rkp_status file_out_save(rkp_save *to, rkp_actor *a, rkp_writer *w, bool ended);
// The job has failed: the temporary file stays when a checkpoint goes on with it.  Takes w.
void file_out_abort(rkp_writer *w, rkp_actor *a);
// *out stays NULL when nothing had been opened, or a pipe, which begins anew.
rkp_status file_out_restore(rkp_load *from, rkp_actor *a, const char *path, int commit, int compression,
                            rkp_writer **out, bool *ended);

#endif
