// flow/spool.h - a log of messages in a folder: appended at one end, read and let go at the other, kept across crashes.
//
//   Owns     its folder while it is open (a lock file says so), its descriptors, a buffer of the largest record read
//   Threads  one at a time; another process may read the same folder with `read_only`
//   Fails    a status and a sentence in `err`; nothing that was appended is lost by it, and a later call may succeed
//   Limits   1 GiB a record; max_bytes on disk, in whole segments
//   Cost     append: one checksum and one write, or, gathered, a copy and its share of a write; next: one read every 256 KiB; ack: two more calls every 1,024 records
//
//   00000001-0000000000000001-5f3a99c0.seg   full: only read, unlinked when all of it is acknowledged
//   00000002-00000000000003e9-0c11d2aa.seg   appended to      (running number - first record - salt)
//   ledger                                   the last record that is acknowledged; may be behind, never ahead
//   lock                                     held by who may write
//
// A segment is 64 bytes of head and then frames at multiples of 8: 88 bytes of head (checksums, size, sequence number,
// envelope), the body, zeros.  Sequence numbers have no gaps, so a gap is a loss that can be counted.  The checksums
// begin with the segment's salt: bytes of a record that look like a frame are not taken for one.
//
// After a crash:
//   - what was appended is there, in order (after a loss of power: what was synced; with gather_bytes: what was written);
//   - the last record that was being written is cut off, with a warning;
//   - records after the last written ledger come again: at least once;
//   - a record with a flipped bit is skipped and counted, and what is behind it comes.
//
// An fsync that fails is final for its descriptor: what had not been synced is written again into a new segment, out of
// the old one, and if that fails too, nothing more is appended until it succeeds.
#ifndef RKI_SPOOL_H
#define RKI_SPOOL_H

#include <rkpipe/base.h>
#include <rkpipe/ring_abi.h>
#include <sys/types.h>
#include <sys/uio.h>

enum { RKI_SPOOL_ERR = 512 };
#define RKI_SPOOL_BODY_MAX ((size_t)1 << 30)

typedef struct rki_spool rki_spool;

// With gather_bytes, records are collected in memory and written together: when the buffer is full, before a segment is
// closed or synced, when they are read, by trim and close, and by rki_spool_write, which whoever gathers calls before
// anybody may rely on them.  A write that fails loses none of them: they stay, in order, and the next call that writes tries again.
// (Only close has no other try: who must know writes first.)
typedef enum rki_spool_sync {
    RKI_SPOOL_NEVER,    // a crash of the process loses nothing that is written, a loss of power may lose all
    RKI_SPOOL_INTERVAL, // a loss of power loses the last sync_ns
    RKI_SPOOL_ALWAYS,   // an append that returned is on disk
} rki_spool_sync;

// The calls that may fail, so that tests can make them fail; each like its namesake, at a folder's descriptor.
typedef struct rki_spool_io {
    void *ctx;
    int (*open)(void *ctx, int dir, const char *name, int flags);
    ssize_t (*read)(void *ctx, int fd, void *to, size_t n, uint64_t at);
    ssize_t (*write)(void *ctx, int fd, const struct iovec *v, int n, uint64_t at);
    int (*fsync)(void *ctx, int fd);
    int (*truncate)(void *ctx, int fd, uint64_t size);
    int (*rename)(void *ctx, int dir, const char *from, const char *to);
    int (*unlink)(void *ctx, int dir, const char *name);
    uint64_t (*mono_ns)(void *ctx);
    uint64_t (*wall_us)(void *ctx);
    // Asks for bytes [from, to) of a file to be sent to the disk, and waits for nothing.  Below 0 and an error that an fsync may not tell again.
    int (*send)(void *ctx, int fd, uint64_t from, uint64_t to); // NULL: it is not asked
} rki_spool_io;

extern const rki_spool_io rki_spool_system; // the real ones: for tests that stand before them

typedef struct rki_spool_opts {
    uint64_t segment_bytes;  // a segment is full then; 0: 64 MiB; at most a quarter of max_bytes
    uint64_t max_bytes;      // of all segments; 0: no limit
    rki_spool_sync sync;     //
    uint64_t sync_ns;        // INTERVAL; 0: one second
    uint32_t ledger_records; // acknowledged between two writings of the ledger; 0: 1,024
    size_t gather_bytes;     // records that are written together at most; 0: each append writes
    bool read_only;          // by another process than the writer; the first record there is comes first
    const rki_spool_io *io;  // NULL: the system
} rki_spool_opts;

// What there is, and what recovery and reading have found.
typedef struct rki_spool_stats {
    uint64_t records;       // not acknowledged (those that are damaged and not come to yet included)
    uint64_t bytes;         // of all segments
    uint64_t first, next;   // the first record that is not acknowledged, and the next that will be appended
    uint64_t lost;          // records that were damaged, so far
    uint64_t damaged_bytes; // that were skipped for it
    uint64_t cut_bytes;     // of unfinished records, cut off by open
    uint32_t segments;
} rki_spool_stats;

typedef struct rki_spool_record {
    uint64_t seq; // 0: there is none
    rkp_envelope env;
    const void *body; // until the next call
    size_t n;
} rki_spool_record;

// Makes the folder (and those above it) when it is not there, and recovers.  RKP_UNAVAILABLE: somebody else has it open
// for writing, or it may not be opened; read_only: it is not there.
rkp_status rki_spool_open(const char *dir, const rki_spool_opts *opts, rki_spool **out, char err[RKI_SPOOL_ERR]);
// What recovery had to do, for a warning; "" when there was nothing.  Lives as long as s.
const char *rki_spool_warning(const rki_spool *s);
// Writes the ledger, syncs unless NEVER, and lets go.  NULL is fine.
void rki_spool_close(rki_spool *s);

// As close, and when all records are acknowledged the log goes from the disk: its files, and the folder when nothing
// else is in it.  Numbers begin at 1 again then.
void rki_spool_remove(rki_spool *s);

// Appends a record; *seq (may be NULL) is its number.  RKP_UNAVAILABLE: max_bytes is reached, and room comes with
// acknowledgements.  RKP_IO: the system refused (no space, a bad disk); nothing was appended, and it may be tried again.
// RKP_UNSUPPORTED: too large, it will never fit.
rkp_status rki_spool_append(rki_spool *s, const rkp_envelope *env, const void *body, size_t n, uint64_t *seq,
                            char err[RKI_SPOOL_ERR]);
// What is gathered is in the file now: a crash of the process does not lose it.  RKP_IO: it is not, and it is kept.
rkp_status rki_spool_write(rki_spool *s, char err[RKI_SPOOL_ERR]);
// All that was appended is on disk now (NEVER: all that is in the last segment).  With INTERVAL, for when nothing more
// is appended: appends do it by themselves.
rkp_status rki_spool_flush(rki_spool *s, char err[RKI_SPOOL_ERR]);

// The next record behind the last one that was read, acknowledged or not.  RKP_OK with seq 0: there is none yet.
rkp_status rki_spool_next(rki_spool *s, rki_spool_record *r, char err[RKI_SPOOL_ERR]);
// Reading goes on with the first record from `seq` on that is there; 0: with the first not acknowledged.
void rki_spool_seek(rki_spool *s, uint64_t seq);

// All records up to `seq` are done with.  RKP_IO: the ledger could not be written; they are done with all the same, and
// may come again after a crash.
rkp_status rki_spool_ack(rki_spool *s, uint64_t seq, char err[RKI_SPOOL_ERR]);
// Lets whole segments go, the oldest first, while there are more than max_bytes (0: any) or the newest record of one is
// older than `age_us` (0: any); the segment that is appended to is closed for it when it is that old.  Returns how many
// records went through *dropped (may be NULL).
rkp_status rki_spool_trim(rki_spool *s, uint64_t max_bytes, uint64_t age_us, uint64_t *dropped,
                          char err[RKI_SPOOL_ERR]);

// Records behind `seq`, which are not acknowledged, never were: the next one that is appended has the number behind it.  Reading
// goes on with the first that is not acknowledged.  On failure some of them may still be there, and it may be tried again.
rkp_status rki_spool_cut(rki_spool *s, uint64_t seq, char err[RKI_SPOOL_ERR]);

void rki_spool_look(const rki_spool *s, rki_spool_stats *out);

#endif
