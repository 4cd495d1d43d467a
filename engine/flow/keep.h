// flow/keep.h - a small text file in data_dir that is whole or not there.
//
//   Owns     nothing; the folder's descriptor is the caller's
//   Threads  one at a time for one name
//   Fails    a status and a sentence: RKP_UNAVAILABLE when there is no such file, RKP_IO when it cannot be read or written or
//            is damaged, RKP_NOMEM
//   Limits   16 MiB
//   Cost     a write is two fsyncs
//
// The first line says what it is and of which version, the last one is a check sum of all before it.  A write goes to
// NAME.new and then takes the name, so a crash leaves the old file or the new one.
#ifndef RKI_KEEP_H
#define RKI_KEEP_H

#include "base/buf.h"
#include <rkpipe/file.h>

rkp_status rki_keep_write(int dir, const char *name, const char *head, rkp_str body, char err[RKP_FILE_ERR]);
// The same for bytes that say themselves what they are.
rkp_status rki_keep_bytes(int dir, const char *name, rkp_str bytes, char err[RKP_FILE_ERR]);
// `body` is cleared first.
rkp_status rki_keep_read(int dir, const char *name, const char *head, rki_buf *body, char err[RKP_FILE_ERR]);

// Names made durable: those in an open folder; those in a folder; the one of the file or folder itself and of all that are
// above it, as far as the path tells them (which is cut to pieces).  0 or an errno.  Where folders have no fsync, or we may not read
// one, there is nothing to be done.
int rki_keep_folder(int fd);
int rki_keep_path(const char *path);
int rki_keep_above(char *path);

#endif
