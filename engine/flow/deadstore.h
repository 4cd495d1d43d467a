// flow/deadstore.h - dead letters on disk: what went wrong, and the rows themselves, so that they can be tried again.
//
//   Owns     its log (flow/spool.h) and a pool for what it writes
//   Threads  adding: any, several at a time; everything else: one
//   Fails    a status and a sentence; nothing that was added is lost by it
//   Limits   opts.bytes on disk, opts.age: the oldest go, in whole segments
//   Cost     a set is one record: encoded, checksummed and written under a lock; on disk within a second
//
// A record holds the rows of one kernel that went wrong together:
//
//   head      what there is, and when it was
//   letters   a batch: kernel, to, reason, error, source, line, text
//   rows      a batch with the columns that stood before the kernel, as they stood there: types, text nobody had read,
//             lines, topics.  Row i is letter i's.  Not there for rows that never had columns: `text` is all of those
//
// So a replay can put exactly those rows in front of the kernel that failed (or before its decoder, when there are no
// columns).  The record's envelope has the stamp of the message that the rows came in.
//
// Rows that were replayed are marked as done (flow/deadmarks.h) and do not come any more.  A replay is a trial: what it
// adds counts together with what it has done, in one step, when rki_deadstore_settle has returned; a crash before it
// leaves the store as it was.
#ifndef RKI_DEADSTORE_H
#define RKI_DEADSTORE_H

#include "flow/spool.h"
#include <rkpipe/batch.h>

typedef struct rki_deadstore rki_deadstore;

typedef struct rki_deadstore_opts {
    uint64_t bytes;         // on disk; 0: no limit
    uint64_t age_us;        // of a letter; 0: no limit
    uint64_t segment_bytes; // 0: a sixteenth of `bytes`, 64 KiB to 64 MiB
    bool read_only;         // by another process
    // What is added counts when rki_deadstore_settle says so, and not at all when it is closed before; until then
    // nothing goes by bytes or age.
    bool trial;
    const rki_spool_io *io; // NULL: the system
} rki_deadstore_opts;

// One row that went wrong.
typedef struct rki_dead_row {
    rkp_str reason, error;
    rkp_str source; // the file it came from; p NULL: not known
    int64_t line;   // 0: not known
    rkp_str text;   // as it came; p NULL: not known, the columns are all there is
} rki_dead_row;

typedef struct rki_dead_set {
    rkp_str kernel; // in which they went wrong
    rkp_str to;     // before which they belong; p NULL: the same; empty: nowhere, they cannot be replayed
    uint64_t stamp; // of the message they came in; 0: none
    const rki_dead_row *v;
    uint32_t n;
    const rkp_batch *rows; // row i is v[i]'s; NULL: they never had columns
} rki_dead_set;

// Columns of `letters`.
enum { RKI_DEAD_KERNEL, RKI_DEAD_TO, RKI_DEAD_REASON, RKI_DEAD_ERROR, RKI_DEAD_SOURCE, RKI_DEAD_LINE, RKI_DEAD_TEXT };

typedef struct rki_dead_record {
    uint64_t seq; // 0: there is none
    uint64_t stamp, at_us;
    rkp_batch *letters;
    rkp_batch *rows;     // may be NULL
    const uint8_t *done; // bits of rows that have been replayed; NULL: none.  Lives until the store changes
} rki_dead_record;

// Rows of a record that have been replayed.
typedef struct rki_dead_mark {
    uint64_t seq;
    uint32_t rows;       // of the record
    const uint8_t *done; // their bits; NULL: all of them
} rki_dead_mark;

// Statuses as of rki_spool_open.
rkp_status rki_deadstore_open(const char *dir, const rki_deadstore_opts *opts, rki_deadstore **out,
                              char err[RKI_SPOOL_ERR]);
const char *rki_deadstore_warning(const rki_deadstore *d); // as rki_spool_warning
void rki_deadstore_close(rki_deadstore *d);                // NULL is fine

// Adds a set.  RKP_UNSUPPORTED: too large for a store of this size.
rkp_status rki_deadstore_add(rki_deadstore *d, const rki_dead_set *set, char err[RKI_SPOOL_ERR]);

// What was added is on disk when it returns.  Any thread.
rkp_status rki_deadstore_flush(rki_deadstore *d, char err[RKI_SPOOL_ERR]);

// The end of a replay: these rows are done with, and what was added since the store was opened counts.  On failure
// neither is so.  On disk when it returns.
rkp_status rki_deadstore_settle(rki_deadstore *d, const rki_dead_mark *v, size_t n, char err[RKI_SPOOL_ERR]);

// The next record of which not all is done, oldest first; its batches are the caller's, from `pool` (rki_dead_record_put).  RKP_INVALID: it
// cannot be read, the one behind it comes next.
rkp_status rki_deadstore_next(rki_deadstore *d, rkp_pool *pool, rki_dead_record *r, char err[RKI_SPOOL_ERR]);
void rki_deadstore_rewind(rki_deadstore *d); // to the oldest
void rki_dead_record_put(rki_dead_record *r);
rkp_str rki_dead_text(const rki_dead_record *r, uint32_t row, unsigned column); // p NULL: none; not of the line
int64_t rki_dead_line(const rki_dead_record *r, uint32_t row);                  // 0: none
bool rki_dead_done(const rki_dead_record *r, uint32_t row);                     // it was replayed

uint64_t rki_deadstore_bytes(const rki_deadstore *d); // on disk, when something was last added or settled; any thread
void rki_deadstore_look(rki_deadstore *d, rki_spool_stats *out);

#endif
