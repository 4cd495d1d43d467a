// flow/manifest.h - a checkpoint on disk: what every stage of a pipeline was at one cut.
//
//   Owns     a rki_manifest that was read: its bytes, into which its texts point
//   Threads  one at a time
//   Fails    a status and a sentence in err.  What is read is not trusted: every record has a CRC-32C
//   Limits   2^31 bytes a record
//   Cost     one write and two fsyncs
//
//   head      magic "RKPCKPT1", version, flags, number, identity, time, records, size of the file, CRC-32C of the head
//   record    size, CRC-32C, and then: kernel, operator, role, replica, state_version, form, keeps_rows, publishes, ended, counts, state
//
// Files are called <number, ten digits>.ckpt.  One is written under another name, made durable, and then renamed, so what
// has the name is whole unless the disk has damaged it.
#ifndef RKI_MANIFEST_H
#define RKI_MANIFEST_H

#include <rkpipe/file.h>

enum { RKI_MANIFEST_ERR = RKP_FILE_ERR };

enum {
    RKI_MANIFEST_QUEUES =
        100, // in place of a role: what was on its way to and from the runner that begins with this kernel
    RKI_MANIFEST_NO_QUEUES = 24, // bytes of a state that says that nothing was
    RKI_MANIFEST_PAST = 101,     // in place of a role: counts of a kernel's instances that have gone
    RKI_MANIFEST_REPLAYED = 102  // in place of a role: marks of dead letters whose effects are in it
};

typedef struct rki_record {
    rkp_str kernel, op;
    uint32_t role, replica, version; // rki_role; replica of the stage's actor; rkp_op.state_version
    uint64_t form;                   // of what the state depends on
    bool keeps_rows, publishes; // whoever lets go of it loses rows that it holds; or an output that has no name yet
    bool ended;                 // its inputs had ended and it had given everything on
    rkp_str counts, state;      // by data/state.h
} rki_record;

typedef struct rki_manifest {
    uint64_t number, identity; // from 1; of the pipeline
    int64_t us;                // wall clock, since 1970
    bool final;                // everything has ended: only the outputs' names are missing
    rki_record *v;
    size_t n;
    char *mem;
} rki_manifest;

// Opens the folder; `make`: it is made when it is not there, and the names in it, its own and those of the folders above it, as
// far as `path` tells them, are made durable.  RKP_UNAVAILABLE: it is not there.
rkp_status rki_manifest_folder(const char *path, bool make, int *dir, char err[RKI_MANIFEST_ERR]);

// dir: a descriptor of the folder, here and below.  After a failure it may be there under its name all the same, whole, and
// then it is found.
rkp_status rki_manifest_write(int dir, const rki_manifest *m, char err[RKI_MANIFEST_ERR]);
// RKP_INVALID: damaged.  RKP_UNAVAILABLE: not there.
rkp_status rki_manifest_read(int dir, const char *name, rki_manifest *out, char err[RKI_MANIFEST_ERR]);
void rki_manifest_free(rki_manifest *m);

// A reload is about to make the pipeline with identity `from`, of the newest manifest, another one: who begins again with that one may go on from
// the manifest.  Durable when it returns.
rkp_status rki_manifest_intend(int dir, uint64_t from, uint64_t to, char err[RKI_MANIFEST_ERR]);
bool rki_manifest_intended(int dir, uint64_t from, uint64_t to);

// Numbers of the manifests there, ascending (malloc's).
rkp_status rki_manifest_list(int dir, uint64_t **numbers, size_t *n, char err[RKI_MANIFEST_ERR]);
void rki_manifest_name(uint64_t number, char name[32]);
// The newest that is whole.  RKP_UNAVAILABLE: there is none.  `note` (of RKI_MANIFEST_ERR): about a newer one that is damaged, else "".
rkp_status rki_manifest_newest(int dir, rki_manifest *out, char *note, char err[RKI_MANIFEST_ERR]);
// Removes all but the newest `keep`, the oldest first, so that what is left after a failure is always the newest; with `keep` 0
// also files that were never finished, and the newest only when the others are gone for good.
rkp_status rki_manifest_prune(int dir, size_t keep, char err[RKI_MANIFEST_ERR]);
// The folder goes, unless somebody else has put something there, and none of what was in it comes back.  Takes no care of failures:
// who finds the last one again finds that all was done.
void rki_manifest_gone(int dir, const char *path);

#endif
