// watch/notify_files.h - what notifications keep on disk: JSON files that are replaced as a whole.
//
//   Owns     nothing
//   Threads  any; one at a time for a file
//   Fails    false and a sentence
//   Limits   RKI_NOTIFY_FILE_BYTES to read
//   Cost     a write, two fsyncs, a rename
#ifndef RKI_NOTIFY_FILES_H
#define RKI_NOTIFY_FILES_H

#include "base/buf.h"
#include "base/json_read.h"
#include <rkpipe/file.h>

enum { RKI_NOTIFY_FILE_BYTES = 16 << 20 };

#define RKI_ALERTS_FILE   "alerts.json"
#define RKI_SILENCES_FILE "silences.json"

bool rki_notify_file_write(const char *folder, const char *name, rkp_str text, char err[RKP_FILE_ERR]);
// NULL: it is not there (err is empty), cannot be read, or is not of this version.
const rki_json_node *rki_notify_file_read(rki_arena *a, const char *folder, const char *name, char err[RKP_FILE_ERR]);
void rki_notify_file_remove(const char *folder, const char *name);

#endif
