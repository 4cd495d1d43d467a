// spool_case.h - for the tests of logs: folders, records that are known by their number, and a system that fails.
#ifndef SPOOL_CASE_H
#define SPOOL_CASE_H

#include "flow/spool.h"

// A fresh folder in the working folder; removed, with what is in it, by spool_folder_remove.
void spool_folder(char to[64]);
void spool_folder_empty(const char *dir);
void spool_folder_remove(const char *dir);
void spool_folder_copy(const char *from, const char *to); // files only; empties `to` first
// Names of the segments in order; returns how many (at most `room`).
size_t spool_segments(const char *dir, char (*names)[64], size_t room);
// A whole file; free it.
char *spool_read(const char *dir, const char *name, size_t *n);
void spool_write(const char *dir, const char *name, const char *p, size_t n);

// The record of a number: its size is any up to `most`, mostly small.
size_t spool_body_size(uint64_t id, size_t most);
void spool_body(uint64_t id, char *to, size_t n);
rkp_envelope spool_env(uint64_t id);
// Appends it under env.seq = id.
rkp_status spool_put(rki_spool *s, uint64_t id, size_t most, uint64_t *seq, char err[RKI_SPOOL_ERR]);
// Is it whole?  The number it was appended with.
bool spool_whole(const rki_spool_record *r, size_t most, uint64_t *id);

// A system whose n-th call fails.
enum spool_call {
    SPOOL_OPEN,
    SPOOL_READ,
    SPOOL_WRITE,
    SPOOL_FSYNC,
    SPOOL_TRUNCATE,
    SPOOL_RENAME,
    SPOOL_UNLINK,
    SPOOL_CALLS
};
typedef struct spool_faults {
    rki_spool_io io;         // for rki_spool_opts.io
    unsigned calls;          // those that are counted: 1 << SPOOL_WRITE ..
    long at;                 // the n-th of them fails, from 1; 0: none
    bool and_later;          //
    int error;               // errno; 0: short reads and writes of half, EINTR before others
    long count;              // so far
    bool failed_fsync[1024]; // per descriptor, until it is opened again
    bool misused;            // such a descriptor was synced or written again
    uint64_t now_us;         // the clocks
} spool_faults;
void spool_faults_init(spool_faults *f);

#endif
